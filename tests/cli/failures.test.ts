/**
 * The command on a host with a fault: full, closed, unreadable, removed, out of memory. Each gives one line and its
 * status, no stack trace, and leaves nothing behind.
 */
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot, temporaryFolder } from "../system/command.ts";

const bin = path.join(packageRoot, "dist/margay.js");
const dir = temporaryFolder();
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));
const at = (name: string): string => path.join(dir, name);
spawnSync("mkfifo", [at("fifo")]);
fs.mkdirSync(at("folder"));
fs.writeFileSync(at("text"), "text\n");
const RUN = "run --nodes 1 --cores 1";

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
/** `line` after `margay`, as a shell parses it. */
function shell(script: string, options: { uid?: number; cwd?: string; env?: NodeJS.ProcessEnv } = {}): Outcome {
  const r = spawnSync(
    "bash",
    ["-c", script.replaceAll("MARGAY", `${process.execPath} ${options.env?.["BIN"] ?? bin}`)],
    {
      cwd: dir,
      encoding: "utf8",
      timeout: 110_000,
      stdio: ["ignore", "pipe", "pipe"],
      ...options,
    },
  );
  if (r.error) throw r.error;
  return { status: r.status, stdout: r.stdout, stderr: r.stderr };
}
const oneLine = ({ stderr }: Outcome): string => {
  expect(stderr).toMatch(/^margay: [^\n]*\n$/);
  expect(stderr).not.toMatch(/internal error/);
  return stderr.trimEnd();
};

describe("inputs are regular files", () => {
  // biome-ignore format: a table
  it.each([
    ["boot fifo",                       "image: fifo: not a regular file"],
    ["boot ./fifo",                     "image: ./fifo: not a regular file"],
    ["boot /dev/zero",                  "image: /dev/zero: not a regular file"],
    ["boot ./folder",                   "image: ./folder: is a directory"],
    ["boot text/",                      "image: text/: a part of the path is not a directory"],
    ["boot ''",                         "no such image: ''"],
    ["boot kernel --module fifo",       "boot module: fifo: not a regular file"],
    ["boot kernel --module /dev/zero",  "boot module: /dev/zero: not a regular file"],
    ["boot kernel --module .",          "boot module: .: is a directory"],
    ["run --kernel ./fifo hello",       "image: ./fifo: not a regular file"],
    ["run --root fifo hello",           "bad --root: 'fifo': not a directory"],
    ["run --root '' hello",             "bad --root: '': no such directory"],
    ["run --root /proc hello",          "bad --root: /proc: permission denied (EACCES)"],
    ["run --stdin fifo hello",          "bad --stdin: fifo: not a regular file"],
    ["run --stdin . hello",             "bad --stdin: .: is a directory"],
    ["run --chdir text hello",          "bad --chdir: 'text': no such directory"],
    ["run --root . --chdir text hello", "bad --chdir: 'text': not a directory"],
    ["run --trace fifo hello",          "bad --trace: fifo: it has no reader"],
    ["run ''",                          "no program: ''"],
    ["run .",                           "no built-in job: ."],
    ["trace show fifo",                 "trace: fifo: not a regular file"],
    ["trace show /dev/zero",            "trace: /dev/zero: not a regular file"],
    ["debug --script fifo run hello",   "bad --script: fifo: not a regular file"],
    ["build ''",                        "no such image: ''"],
    ["build --out /proc/x init",        "cannot write images: /proc/x: no such file"],
    ["build --out text init",           "cannot write images: "],
  ])("%s", (line, text) => {
    const r = shell(`timeout 60 MARGAY ${line}`);
    expect(oneLine(r)).toContain(`margay: ${text}`);
    expect([r.status, r.stdout]).toEqual([2, ""]);
  });
  it("a program behind a slash is refused by the nodes with one line, and nothing is summed up", () => {
    const r = shell(`MARGAY ${RUN} --root . /text/`);
    expect(oneLine(r)).toBe(
      "margay: load refused: program /text/: a part of the path is not a directory (ENOTDIR), nid 1: check the path inside --root",
    );
    expect([r.status, r.stdout]).toEqual([2, ""]);
  });
});

describe("outputs", () => {
  it.each(["--version", "run --help", "help --man", "trace events", "completion bash", `${RUN} hello`, "boot kernel"])(
    "%s on a full device: one line, status 74",
    (line) => {
      const r = shell(`MARGAY ${line} > /dev/full`);
      expect(oneLine(r)).toBe("margay: cannot write: stdout: no space left on device");
      expect(r.status).toBe(74);
    },
  );
  it("a trace on a full device: one line, status 74", () => {
    const r = shell(`MARGAY ${RUN} --trace /dev/full hello`);
    expect(oneLine(r)).toBe("margay: cannot write: /dev/full: no space left on device");
    expect(r.status).toBe(74);
  });
  it("a trace past the host's limit for files: one line, status 74", () => {
    const r = shell(`ulimit -f 1; MARGAY ${RUN} --trace ${at("limited")} hello`);
    expect(oneLine(r)).toContain("file too large");
    expect(r.status).toBe(74);
  });
  it.each(["--version", "run --help", "trace events", `${RUN} hello`, "boot kernel"])(
    "%s whose reader has gone: SIGPIPE's status, not a word",
    (line) => {
      expect(shell(`(sleep 0.3; MARGAY ${line}; echo status $? >&2) | true`).stderr).toBe("status 141\n");
    },
  );
  it("closed streams: the run is the same", () => {
    expect(shell(`MARGAY ${RUN} hello 2>&-`)).toMatchObject({
      status: 0,
      stdout: "hello from rank 0 of 1 on nid 1 core 0\n",
    });
    expect(shell(`MARGAY ${RUN} hello 2>/dev/full`).status).toBe(0);
    expect(shell(`MARGAY ${RUN} hello <&-`).status).toBe(0);
    expect(shell(`MARGAY ${RUN} hello >&-`).status).toBe(0);
  });
  it("no colours and no cursor movements but on a terminal", () => {
    for (const line of ["run --help", "run --nodes", `${RUN} --show job hello`, "help"]) {
      const r = shell(`MARGAY ${line}`, { env: { ...process.env, TERM: "xterm-256color", CI: "1" } });
      expect(r.stdout + r.stderr, line).not.toContain("\u001b");
    }
  });
});

describe("the host", () => {
  it.each([3_000_000, 1_500_000])(
    "without memory for the RAM (%i KB of address space): one line, status 2",
    (kilobytes) => {
      const r = shell(`ulimit -v ${kilobytes}; MARGAY ${RUN} --mem 3G hello`);
      expect(oneLine(r)).toMatch(/^margay: not enough memory/);
      expect(r.status).toBe(2);
    },
  );
  it("a machine that cannot fit is refused with the figures, before anything is started", () => {
    const r = shell("MARGAY run --mem 3G --nodes 256 --cores 64 hello");
    expect(oneLine(r)).toMatch(
      /^margay: not enough memory: 256 × 3G of RAM and .* are \d+\.\d GB, this host has \d+\.\d GB free: give fewer/,
    );
    expect(r.status).toBe(2);
  });
  it("a current directory that has been removed matters to relative paths alone", () => {
    const gone = "mkdir -p gone; cd gone; rmdir ../gone;";
    expect(shell(`${gone} MARGAY ${RUN} hello`).status).toBe(0);
    for (const line of ["boot ./kernel.elf", "run --root x hello", "trace record hello", "run --trace t hello"]) {
      const r = shell(`${gone} MARGAY ${line}`);
      oneLine(r);
      expect(r.status, line).toBe(2);
    }
  });
  it("200,000 arguments are refused with the figures", () => {
    // As much as the host passes on, and more than a program of the job may be given: both count 2 MB by default.
    const r = shell(`ulimit -s 65536 && MARGAY ${RUN} hello $(seq 200000)`);
    expect(oneLine(r)).toMatch(
      /^margay: arguments too long: 200001 arguments .* E2BIG\): give at most \d+, or put them into a file$/,
    );
    expect(r.status).toBe(2);
  });
  it("no folder for temporary files: refused where one is needed", () => {
    const env = { ...process.env, TMPDIR: "/nowhere" };
    for (const line of ["debug --batch run hello", "run --gdb 0 --no-wait hello"]) {
      const r = shell(`MARGAY ${line}`, { env });
      expect(oneLine(r)).toMatch(/TMPDIR/);
      expect(r.status, line).toBe(2);
    }
  });
  if (process.getuid!() !== 0) console.log("tests/cli/failures: another user's installation skipped: needs root");
  it.skipIf(process.getuid!() !== 0)(
    "an installation of somebody else's: it runs, and what would write there is one line",
    () => {
      const home = at("installation");
      fs.mkdirSync(path.join(home, "images/out"), { recursive: true });
      for (const file of [
        "package.json",
        "dist",
        "images/out/kernel.elf",
        "images/out/init.bin",
        "images/out/init.elf",
        "images/out/bin",
      ])
        fs.cpSync(path.join(packageRoot, file), path.join(home, file), { recursive: true });
      for (const folder of ["node_modules/koffi", "node_modules/@koromix", ".unicorn"])
        if (fs.existsSync(path.join(packageRoot, folder)))
          fs.cpSync(fs.realpathSync(path.join(packageRoot, folder)), path.join(home, folder), { recursive: true });
      for (const file of ["package.json", "lib/typescript.js"])
        fs.cpSync(
          path.join(packageRoot, "node_modules/typescript", file),
          path.join(home, "node_modules/typescript", file),
        );
      fs.chmodSync(dir, 0o755);
      const nobody = { uid: 65534, gid: 65534, env: { ...process.env, BIN: path.join(home, "dist/margay.js") } };
      const r = shell(`MARGAY ${RUN} hello`, nobody);
      expect(oneLine(r)).toMatch(
        /^margay: no root folder: .*images\/out\/root: permission denied: give a directory by --root DIR$/,
      );
      expect(r.status).toBe(2);
      const built = shell("MARGAY build init", nobody);
      expect(oneLine(built)).toMatch(
        /^margay: cannot write images: .*images\/out: permission denied: give another folder by --out DIR$/,
      );
      expect(built.status).toBe(2);
      const other = shell(`MARGAY ${RUN} --root /usr/share hello`, nobody);
      expect([other.status, other.stdout], other.stderr).toEqual([0, "hello from rank 0 of 1 on nid 1 core 0\n"]);
      const locked = at("locked");
      fs.mkdirSync(locked, { mode: 0o700 });
      fs.writeFileSync(at("secret"), "x", { mode: 0o600 });
      for (const line of [
        `run --root ${locked} hello`,
        `boot ${at("secret")}`,
        `run --trace ${at("new")} hello`,
        `run --stdin ${at("secret")} --root / hello`,
        `trace show ${at("secret")}`,
      ]) {
        const refused = shell(`MARGAY ${line}`, nobody);
        expect(oneLine(refused), line).toContain("permission denied");
        expect(refused.status, line).toBe(2);
      }
    },
  );
});

describe("signals", () => {
  /** Sends `signal` some ms after the start; then the command has ended, by itself or by the signal. */
  async function signalled(args: readonly string[], signal: NodeJS.Signals, ms: number): Promise<Outcome> {
    const child = spawn(process.execPath, [bin, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (text) => (stdout += text));
    child.stderr.on("data", (text) => (stderr += text));
    const timer = setTimeout(() => child.kill(signal), ms);
    const status = await new Promise<number | null>((resolve) =>
      child.on("close", (code, by) => resolve(code ?? (by === null ? null : 128 + (by === "SIGINT" ? 2 : 15)))),
    );
    clearTimeout(timer);
    return { status, stdout, stderr };
  }
  it("at any moment: the signal's status or the run's own, no stack, no socket and no script left", async () => {
    for (const [i, ms] of [1, 60, 150, 260, 400, 700].entries()) {
      const socket = at(`s${i}`);
      const signal = i % 2 === 0 ? "SIGINT" : "SIGTERM";
      const { status, stderr } = await signalled(
        ["run", "--nodes", "2", "--gdb", socket, "--no-wait", "hello"],
        signal,
        ms,
      );
      expect([0, signal === "SIGINT" ? 130 : 143], `${ms} ms: ${stderr}`).toContain(status);
      expect(stderr).not.toMatch(/^ {4}at /m);
      expect(fs.readdirSync(dir).filter((name) => name.startsWith(`s${i}`))).toEqual([]);
    }
  });
});

describe("sockets", () => {
  it("a peer that sends garbage and goes does not end the run", async () => {
    const socket = at("peer");
    const child = spawn(process.execPath, [bin, "run", "--nodes", "1", "--gdb", socket, "hello"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stderr = "";
    let stdout = "";
    child.stdout.on("data", (text) => (stdout += text));
    await new Promise<void>((resolve) =>
      child.stderr.on("data", (text) => {
        stderr += text;
        if (stderr.includes("waiting for gdb")) resolve();
      }),
    );
    await new Promise<void>((resolve) => {
      const peer = net.connect(socket, () => {
        peer.write("\u0000\u0003+++$zz#00$$$");
        peer.destroy();
      });
      peer.on("close", () => resolve());
    });
    const status = await new Promise<number | null>((resolve) => {
      child.on("close", resolve);
      setTimeout(() => child.kill("SIGINT"), 1500);
    });
    expect(stderr).not.toMatch(/internal error|^ {4}at /m);
    expect([0, 130]).toContain(status);
    expect(status === 0 ? stdout : "hello").toContain("hello");
    expect(fs.existsSync(socket)).toBe(false);
  });
});
