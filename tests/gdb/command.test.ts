/** `--gdb` and `margay debug` from outside: what is refused, and what remains afterwards. */
import { spawn } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { margay, packageRoot, temporaryFolder } from "../system/command.ts";

const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
const bin = path.join(packageRoot, "dist/margay.js");

/** Starts `margay`, sends `signal` when `text` appears on stderr, resolves at its end. */
function interrupted(
  args: readonly string[],
  text: string,
  signal: NodeJS.Signals,
): Promise<{ status: number | null; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    let sent = false;
    child.stderr.setEncoding("utf8").on("data", (piece: string) => {
      stderr += piece;
      if (sent || !stderr.includes(text)) return;
      sent = true;
      child.kill(signal);
    });
    child.once("close", (status) => resolve({ status, stderr }));
  });
}

describe("refused with one line and status 2", () => {
  const stale = path.join(folder, "there");
  fs.writeFileSync(stale, "");
  it.each([
    [
      "a port that is none",
      ["run", "--gdb", "99999", "hello"],
      "bad --gdb: '99999': give a TCP port (1234) or the path of a socket",
    ],
    ["neither port nor path", ["boot", "--gdb", "socket", "kernel"], "bad --gdb: 'socket': give a TCP port"],
    ["a long path", ["run", "--gdb", `/${"x".repeat(120)}`, "hello"], "at most 107 bytes"],
    [
      "no such directory",
      ["run", "--gdb", `${folder}/none/socket`, "hello"],
      "none/socket: no such directory: give another port or path",
    ],
    ["a file that is there", ["run", "--gdb", stale, "hello"], "there: is in use: give another port or path"],
    [
      "--no-wait alone",
      ["run", "--no-wait", "hello"],
      "bad --no-wait: without --gdb: give --gdb PORT or --gdb-job PORT too",
    ],
    ["debug what", ["debug"], "no boot|run: margay debug: give `margay debug boot IMAGE | run PROGRAM …`"],
    ["debug something else", ["debug", "build"], "debug: 'build': give boot or run"],
    ["no such script", ["debug", "--script", "/none.gdb", "run", "hello"], "bad --script: /none.gdb: no such file"],
    ["--gdb twice over", ["debug", "run", "--gdb", "1234", "hello"], "bad --gdb: under margay debug: leave it out"],
    ["no such job", ["debug", "run", "nosuchjob"], "no built-in job: nosuchjob"],
  ] as const)("%s", (_, args, text) => {
    const { status, stdout, stderr } = margay(args);
    expect(stderr).toMatch(/^margay: [^\n]*\n$/);
    expect(stderr).toContain(text);
    expect(stdout).toBe("");
    expect(status).toBe(2);
    expect(fs.existsSync(stale)).toBe(true);
  });

  it("a port that is taken", async () => {
    const server = net.createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as net.AddressInfo;
    const { status, stderr } = margay(["run", "--gdb", `${port}`, "hello"]);
    server.close();
    expect(stderr).toBe(`margay: bad --gdb: port ${port}: is in use: give another port or path\n`);
    expect(status).toBe(2);
  });
});

describe("nothing is left", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const)("%s while it waits for gdb", async (signal, expected) => {
    const socket = path.join(folder, `wait-${signal}`);
    const { status, stderr } = await interrupted(["run", "--gdb", socket, "hello"], "waiting for gdb", signal);
    expect(stderr).toContain(`margay: waiting for gdb: gdb -x ${socket}.gdb\n`);
    expect(status).toBe(expected);
    expect(fs.existsSync(socket)).toBe(false);
    expect(fs.existsSync(`${socket}.gdb`)).toBe(false);
  });

  it("--no-wait runs as it would without a debugger", () => {
    const socket = path.join(folder, "free");
    const { status, stdout } = margay(["run", "--nodes", "1", "--gdb", socket, "--no-wait", "hello"]);
    expect(stdout).toBe("hello from rank 0 of 1 on nid 1 core 0\n");
    expect(status).toBe(0);
    expect(fs.existsSync(socket)).toBe(false);
  });

  it("a debugger that cannot be started ends the command", () => {
    const { status, stderr } = margay(["debug", "--gdb", "/no/such/gdb", "run", "hello"]);
    expect(stderr).toContain("margay: /no/such/gdb: not found: install gdb, or give another by --gdb\n");
    expect(status).toBe(127);
  });
});

it("help says how", () => {
  expect(margay(["debug", "--help"]).stdout).toMatch(/--script .*\n(?:.*\n)*.*--batch/);
  expect(margay(["run", "--help"], { strict: false }).stdout).toContain("--gdb");
});
