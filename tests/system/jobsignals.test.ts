/**
 * Signals of `margay run` are the job's: every rank gets them, over the wire, at a virtual time that is logged; sent
 * again at that time they make the same run. One that the job does not handle ends it with 128 + n. The second Ctrl-C
 * ends a job that handles the first.
 */
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseSignals } from "../../emulator/cli/jobsignals.ts";
import { margay, packageRoot, temporaryFolder } from "./command.ts";

const root = temporaryFolder();
beforeAll(() => {
  const source = path.join(packageRoot, "tests/system/programs/signals.c");
  const r = spawnSync("gcc", ["-static", "-O1", "-w", "-o", path.join(root, "signals"), source], { encoding: "utf8" });
  if (r.status !== 0) throw new Error(r.stderr);
});
afterAll(() => fs.rmSync(root, { recursive: true }));

const line = (nodes: number, ...args: string[]): string[] => [
  "run",
  ...["--nodes", `${nodes}`, "--cores", "1", "--root", root],
  ...args,
];
describe("--signal", () => {
  it("every rank gets it at that time, each run alike; one without handler ends the job with 128 + n", () => {
    const run = () => {
      const signals = [
        "--signal",
        "USR1@9ms",
        "--signal",
        "sigusr1@12ms",
        "--signal",
        "10@14ms",
        "--signal",
        "USR2@16ms",
      ];
      return margay(line(2, "--hash", "--show", "service.signal", ...signals, "/signals"));
    };
    const r = run();
    expect(r.stdout.split("\n").sort().join(" ").trim()).toBe(
      "ready ready signal 10 signal 10 signal 10 signal 10 signal 10 signal 10",
    );
    expect(r.status).toBe(128 + 12);
    expect(r.stderr.match(/service.signal .*/g)).toHaveLength(8);
    expect(r.stderr).toMatch(/9000000.*service.signal +job=1 to=n?2 signal=10/);
    const again = run();
    expect(/state hash \w+/.exec(again.stderr)?.[0]).toBe(/state hash \w+/.exec(r.stderr)![0]);
  });
  it("before the job runs: it gets it when it starts", () => {
    expect(margay(line(1, "--signal", "TERM@1us", "/signals", "spin")).status).toBe(143);
  });
  it.each(["USR1", "USR9@1ms", "@1ms", "0@1ms", "65@1ms", "USR1@", "USR1@soon", "USR1@0"])("%s is refused", (text) => {
    expect(() => parseSignals([text])).toThrow(/^bad --signal/);
  });
});

describe("signals sent to the command", () => {
  /** Sends the signals one after the other, each when the output matches. */
  async function signalled(
    args: readonly string[],
    steps: readonly (readonly [NodeJS.Signals, RegExp])[],
  ): Promise<{ status: number | null; stdout: string; stderr: string }> {
    const child = spawn(process.execPath, [path.join(packageRoot, "dist/margay.js"), ...args]);
    const rest = [...steps];
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (text) => {
      stdout += text;
      while (rest[0]?.[1].test(stdout)) child.kill(rest.shift()![0]);
    });
    child.stderr.on("data", (text) => (stderr += text));
    const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { status, stdout, stderr };
  }
  it("reach a job that computes, and the log repeats the run", { timeout: 60_000 }, async () => {
    const r = await signalled(line(1, "--hash", "/signals", "spin"), [
      ["SIGUSR1", /ready/],
      ["SIGUSR1", /signal 10/],
      ["SIGINT", /10\nsignal 10/],
      ["SIGTERM", /signal 2/],
    ]);
    expect([r.status, r.stdout]).toEqual([143, "ready\nsignal 10\nsignal 10\nsignal 2\n"]);
    const log = [...r.stderr.matchAll(/^margay: SIG\w+ to the job at .* \(again: (--signal) (\w+@\d+)\)$/gm)];
    expect(log).toHaveLength(4);
    const again = margay(line(1, "--hash", ...log.flatMap((m) => [m[1]!, m[2]!]), "/signals", "spin"), {
      strict: false,
    });
    expect([again.status, again.stdout]).toEqual([r.status, r.stdout]);
    expect(/state hash \w+/.exec(again.stderr)?.[0]).toBe(/state hash \w+/.exec(r.stderr)![0]);
  });
  it("end the call of a job that waits for input", { timeout: 60_000 }, async () => {
    const r = await signalled(line(1, "/signals", "input"), [
      ["SIGWINCH", /ready/],
      ["SIGUSR1", /ready/],
      ["SIGUSR1", /signal 10/],
      ["SIGHUP", /10\n(.|\n)*signal 10/],
    ]);
    const interrupted = "read -1 Interrupted system call\nsignal 10\n";
    expect([r.status, r.stdout]).toEqual([129, `ready\n${interrupted}${interrupted}`]);
  });
  it("the second Ctrl-C ends the job", { timeout: 60_000 }, async () => {
    const r = await signalled(line(2, "/signals", "spin"), [
      ["SIGINT", /ready\n(.|\n)*ready\n/],
      ["SIGINT", /signal 2\n(.|\n)*signal 2\n/],
    ]);
    expect(r.status).toBe(130);
    expect(r.stderr).toContain("margay: interrupted: the job was ended");
  });
});
