/**
 * `--gdb-job` with a real gdb: threads of one job as gdb's threads, breakpoints, steps, memory, faults, detach; and a
 * job on other nodes that is not affected. The program is tests/kernel/programs/debuggee.ts.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { DebugOperation, DebugReason } from "../../emulator/abi/jobdebug.ts";
import { loadedImage } from "../../emulator/gdb/image.ts";
import { JobTarget } from "../../emulator/gdb/job.ts";
import { JobDebugLink } from "../../emulator/service/jobdebug.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";
import { programImage } from "../kernel/rig.ts";
import { realEngine } from "../machine/guest.ts";
import { margay, packageRoot, temporaryFolder } from "../system/command.ts";
import { Bench } from "../system/jobs.ts";
import { gdb, gdbVersion, serve } from "./serve.ts";

const engine = await realEngine();
const missing = typeof engine === "string" ? engine : gdbVersion() === undefined ? "gdb is needed" : undefined;
if (missing !== undefined) console.log(`tests/gdb/job skipped: ${missing}`);

const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));
const bin = path.join(packageRoot, "dist/margay.js");
const file = path.join(folder, "debuggee");
const elf = programImage("debuggee");
fs.writeFileSync(file, elf, { mode: 0o755 });

interface Output {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}
function run(program: string, args: readonly string[], heard: (stderr: string) => void = () => {}): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: packageRoot, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (piece: string) => void (stdout += piece));
    child.stderr.setEncoding("utf8").on("data", (piece: string) => heard((stderr += piece)));
    child.once("error", reject);
    child.once("close", (status) => resolve({ status, stdout, stderr }));
  });
}
const gdbWith = (script: string, commands: readonly string[]): Promise<Output> =>
  run("gdb", ["-q", "-nx", "-batch", "-x", script, ...commands.flatMap((c) => ["-ex", c])]);

/** The command and its gdb, which connects when the job waits for it. */
async function session(
  name: string,
  options: readonly string[],
  args: readonly string[],
  commands: readonly string[],
  program = "/debuggee",
) {
  const socket = path.join(folder, name);
  let debugger_: Promise<Output> | undefined;
  const job = await run(
    process.execPath,
    [bin, "run", "--strict", "--root", folder, "--gdb-job", socket, ...options, program, ...args],
    (stderr) => {
      if (stderr.includes("the job waits for gdb")) debugger_ ??= gdbWith(`${socket}.gdb`, commands);
    },
  );
  const told = await debugger_!;
  expect(fs.existsSync(socket) || fs.existsSync(`${socket}.gdb`)).toBe(false);
  return { job, told: told.stdout + told.stderr };
}

describe.skipIf(missing !== undefined)("--gdb-job", () => {
  it("threads, breakpoints, steps, memory; the job ends as its program says", async () => {
    const { job, told } = await session(
      "threads",
      ["--nodes", "1", "--cores", "4"],
      [],
      [
        "break bump",
        "continue",
        "bt",
        "print amount",
        "info auxv",
        "info threads",
        "print state.given - state.calls",
        "finish",
        "next",
        "x/2xb &bump",
        "continue",
        "set var state.stop = 1",
        "delete",
        "continue",
      ],
    );
    expect(told).toMatch(
      /hit Breakpoint 1, bump \(amount=(?:amount@entry=)?1\) at tests\/kernel\/programs\/debuggee\.ts:\d+/,
    );
    expect(told).toMatch(/#0 {2}bump .*\n#1 .* main /);
    expect(told).toContain("$1 = 1\n");
    expect(told).toMatch(/AT_PAGESZ +System page size +4096\n/);
    expect(told).toMatch(/AT_ENTRY +Entry point of program +0x4[0-9a-f]+\n/);
    expect(told).toMatch(/AT_NULL +End of vector +0x0\n/);
    for (const core of [0, 1, 2, 3])
      expect(told).toMatch(new RegExp(`Thread 1\\.${core + 1} "n1\\.c${core} debuggee rank 0 thread \\d+"`));
    expect(told).toContain("$2 = 1\n");
    expect(told).toMatch(/Value returned is \$\d+ = 1\n/);
    // What gdb and the program see at the breakpoint is the program's byte, not int3.
    const code = /<bump>:\t(0x[0-9a-f]{2})\t(0x[0-9a-f]{2})/.exec(told);
    const symbol = SymbolTable.fromElf(elf).find("bump")!;
    const image = loadedImage(file, elf).segments.find(
      (s) => symbol.address >= s.address && symbol.address < s.address + BigInt(s.bytes.length),
    )!;
    const at = Number(symbol.address - image.address);
    expect([Number(code?.[1]), Number(code?.[2])]).toEqual([image.bytes[at], image.bytes[at + 1]]);
    expect(told).toMatch(/exited with code 07\]/);
    expect(job.stdout).toBe("debuggee: threads 7, awake 1, given beyond calls 0\n");
    expect(job.status).toBe(7);
  });

  it("a fault stops the thread where it is, then ends the job as without a debugger", async () => {
    const { job, told } = await session(
      "fault",
      ["--nodes", "1", "--cores", "1"],
      ["fault"],
      ["continue", "bt 1", "print $rip", "continue"],
    );
    expect(told).toMatch(/received signal SIGSEGV, Segmentation fault\.\n.*main .*debuggee\.ts:\d+/);
    expect(told).toMatch(/Program terminated with signal SIGSEGV/);
    expect(job.stderr).toMatch(/SIGSEGV/);
    expect(job.status).toBe(139);
  });

  it("catch syscall by name and number; info proc; a core file of its own opens again", async () => {
    const core = path.join(folder, "core.now");
    const { job, told } = await session(
      "calls",
      ["--nodes", "1", "--cores", "4", "--env", "A=b", "--chdir", "/"],
      ["some", "words"],
      [
        "catch syscall nanosleep",
        "continue",
        "print $orig_rax",
        "print (long)$rax",
        "continue",
        "print (long)$rax",
        "delete",
        "catch syscall 56 202",
        "continue",
        "delete",
        "catch syscall",
        "continue",
        "continue",
        "delete",
        "tbreak bump",
        "continue",
        "info proc",
        "info proc mappings",
        "info proc stat",
        "info proc status",
        "info proc 77",
        `generate-core-file ${core}`,
        "set var state.stop = 1",
        "continue",
      ],
    );
    expect(told).toContain("Catchpoint 1 (syscall 'nanosleep' [35])");
    expect(told).toMatch(/hit Catchpoint 1 \(call to syscall nanosleep\), .*\n[\s\S]*\$1 = 35\n\$2 = -38\n/);
    expect(told).toMatch(/\$2 = -38\n[\s\S]*?hit Catchpoint 1 \(returned from syscall nanosleep\)[\s\S]*?\$3 = 0\n/);
    expect(told).toMatch(/hit Catchpoint 2 \((?:call to|returned from) syscall futex\)/);
    expect(told.match(/hit Catchpoint 3 \((?:call to|returned from) syscall \w+\)/g)).toHaveLength(2);
    expect(told).toContain("process 1\ncmdline = '/debuggee some words'\ncwd = '/'\n");
    expect(told).toContain(`exe = '${file}'\n`);
    // A segment is named by its file, and its offset there is the program header's.
    const [text] = loadedImage(file, elf).segments;
    const start = text!.address.toString(16);
    expect(told).toMatch(new RegExp(`0x${start} .* 0x${text!.offset.toString(16)} +r-xp +${file}\\n`));
    expect(told).toMatch(/0x6[0-9a-f]+ +0x6fffffe00000 +0x[0-9a-f]+ +0x0 +rw-p +\[stack\]\n/);
    expect(told).toMatch(/Process: \d+\nExec file: debuggee\nState: t\n/);
    expect(told).toMatch(new RegExp(`Start of text: 0x${start}\n`));
    expect(told).toMatch(/Uid:\t1000\t1000\t1000\t1000\n[\s\S]*Threads:\t4\n/);
    // Only the job's own processes are there, not the host's.
    expect(told).toContain("unable to open /proc file '/proc/77/");
    expect(job.stdout).toBe("debuggee: threads 7, awake 1, given beyond calls 0\n");
    expect(job.status).toBe(7);

    const opened = await run("gdb", [
      ...["-q", "-nx", "-batch", file, core],
      ...["bt", "info threads", "print state.stop"].flatMap((c) => ["-ex", c]),
    ]);
    const seen = opened.stdout + opened.stderr;
    expect(seen).toMatch(/#0 {2}bump \(amount=(?:amount@entry=)?1\) at .*\n#1 .* main /);
    expect(seen.match(/LWP \d+ /g)!.length).toBeGreaterThanOrEqual(4);
    expect(seen).toMatch(/ syscall6 \(number=202, /);
    expect(seen).toContain("$1 = 0\n");
  });

  it("watch shows old and new value, and the place; rwatch is refused in one line", async () => {
    const { job, told } = await session(
      "watch",
      ["--nodes", "1", "--cores", "4"],
      [],
      [
        ...["break bump", "continue", "delete", "print state.given", "watch state.given", "continue", "bt 1"],
        ...["rwatch state.given", "delete", "set var state.stop = 1", "continue"],
      ],
    );
    const [, before, old, now] =
      /\$1 = (\d+)\nWatchpoint 2: state\.given\n[\s\S]*hit Watchpoint 2: state\.given\n\nOld value = (\d+)\nNew value = (\d+)\n/.exec(
        told,
      ) ?? [];
    expect([Number(old), Number(now)], told).toEqual([Number(before), Number(before) + 1]);
    expect(told).toMatch(/New value = \d+\n.*bump \(.*\) at tests\/kernel\/programs\/debuggee\.ts:\d+/);
    expect(told).toContain("Can't set read/access watchpoint when hardware watchpoints are disabled.\n");
    expect(job.status).toBe(7);
  });

  it("scheduler-locking: a rank that waits for an event of Portals stands, although the event comes", async () => {
    const { job, told } = await session(
      "locked",
      ["--nodes", "2", "--cores", "1"],
      [],
      [
        ...["break send", "continue", "thread 2.1", "print/x $pc", "print tokens.arrived", "thread 1.1", "delete"],
        ...["set scheduler-locking on", "finish", "thread 2.1", "bt 3", "print/x $pc", "print tokens.arrived"],
        ...["inferior 1", "detach", "inferior 2", "detach"],
      ],
      "ring",
    );
    expect(told).toMatch(/Thread 1\.1 .* hit Breakpoint 1\.\d, send /);
    expect(told).toMatch(/Value returned is \$\d+ = 0\n/);
    expect(told).toMatch(/#\d .*portalWait \(/);
    const [, pc] = /\$1 = (0x[0-9a-f]+)\n\$2 = 0\n/.exec(told) ?? [];
    // The message has been written by the network; the thread has not run.
    expect(told).toContain(`= ${pc}\n$5 = 1\n`);
    expect(job.stdout).toMatch(/^ring: 2 ranks, mean hop \d+ ns\n$/);
    expect(job.status).toBe(0);
  });

  it("ranks are inferiors; who detaches leaves the job as it was", async () => {
    const { job, told } = await session(
      "ranks",
      ["--nodes", "2", "--cores", "1"],
      [],
      ["info inferiors", "info threads", "detach", "inferior 2", "detach"],
    );
    expect(told).toMatch(/1 +process 1 .*\n +2 +process 2 /);
    expect(told).toMatch(/"n1\.c0 debuggee rank 0 thread \d+"[\s\S]*"n2\.c0 debuggee rank 1 thread \d+"/);
    // With one core there is no room for the program's threads.
    expect(job.status).toBe(1);
  });

  it("--no-wait goes on at once", () => {
    const { status, stdout } = margay([
      "run",
      "--nodes",
      "2",
      "--gdb-job",
      path.join(folder, "free"),
      "--no-wait",
      "hello",
    ]);
    expect(stdout.split("\n").sort()).toEqual([
      "",
      "hello from rank 0 of 2 on nid 1 core 0",
      "hello from rank 1 of 2 on nid 2 core 0",
    ]);
    expect(status).toBe(0);
  });

  it.each([
    ["with --gdb", ["--gdb-job", "1", "--gdb", "2", "hello"], "bad --gdb-job: with a debugger of the machine"],
    ["bad address", ["--gdb-job", "x", "hello"], "bad --gdb-job: 'x'"],
    ["no program", ["--gdb-job", "1234", "/none"], "bad --gdb-job: the program cannot be read from here"],
  ])("refuses: %s", (_, args, text) => {
    const { status, stderr } = margay(["run", ...args]);
    expect(stderr).toMatch(/^margay: [^\n]*\n$/);
    expect([status, stderr.includes(text)]).toEqual([2, true]);
  });
});

/**
 * Job 1 on node 1, job 2 on node 2; both compute. Job 2 is submitted and stopped at fixed times. Returns what node 2
 * did until then.
 */
async function beside(debug: (bench: Bench) => Promise<void>): Promise<{ stdout: string; events: unknown[] }> {
  const END = 60_000_000;
  const bench = new Bench({ nodes: 2, cores: 4, root: folder }).boot();
  try {
    const started = bench.debug.request(1, { jobId: 1, operation: DebugOperation.ATTACH, count: 1 });
    bench.submit({ program: "/debuggee", nids: [1] });
    const { events } = bench.debug;
    expect(bench.until(() => events.length > 0)).toBe("until");
    expect([started.reply?.errno, events.shift()]).toMatchObject([0, { kind: "stopped", reason: DebugReason.START }]);
    // Idle: the only job is stopped.
    bench.machine.run({ limitNs: 8_000_000 });
    const other = bench.submit({ program: "/debuggee", nids: [2] });
    const stop = SymbolTable.fromElf(elf).find("state")!.address;
    let at = END;
    const link = new JobDebugLink((nid, message) => bench.node(nid).mailAt((at += 1000), message));
    for (const operation of [DebugOperation.ATTACH, DebugOperation.WRITE_MEMORY, DebugOperation.DETACH])
      link.request(2, { jobId: other, operation, address: stop, body: Uint8Array.of(1, 0, 0, 0) });
    expect(bench.machine.run({ limitNs: 12_000_000 })).toBe("limit");
    await debug(bench);
    expect(bench.machine.time, "the session is over before job 2 is").toBeLessThan(END);
    const { stdout } = bench.finish(other);
    expect(bench.violations()).toEqual([]);
    return {
      stdout,
      events: bench.events.filter((e) => e.nid === 2 && e.time < END).map((e) => [e.time, e.core, e.kind, ...e.words]),
    };
  } finally {
    bench.close();
  }
}

describe.skipIf(missing !== undefined)("a job beside a debugged one", () => {
  it("does the same at the same times", async () => {
    const plain = await beside(async (bench) => {
      bench.debug.request(1, { jobId: 1, operation: DebugOperation.DETACH });
    });
    let told = "";
    const debugged = await beside(async (bench) => {
      const target = new JobTarget({
        machine: bench.machine,
        link: bench.debug,
        jobId: 1,
        nids: [1],
        files: [loadedImage(file, elf)],
        name: "debuggee",
        workingDirectory: "/",
      });
      target.begin();
      let over = false;
      const socket = path.join(folder, "beside");
      const transport = await serve(target, { path: socket }, () => {
        over = true;
        target.advance = () => ({ kind: "end" });
      });
      const commands = [
        `file ${file}`,
        `target extended-remote ${socket}`,
        "break bump",
        "continue",
        "bt",
        "info threads",
        "next",
        "delete",
        "detach",
      ];
      told = await gdb(commands);
      expect(over).toBe(true);
      await transport.close();
    });
    expect(told).toMatch(/hit Breakpoint 1, bump \(amount=(?:amount@entry=)?1\)/);
    expect(plain.stdout).toBe("debuggee: threads 7, awake 1, given beyond calls 0\n");
    expect(plain.events.length).toBeGreaterThan(100);
    expect(debugged).toEqual(plain);
  });
});
