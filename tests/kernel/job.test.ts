/**
 * Effects of programs on the kernel: memory calls, faults, kills, lossy links. The kernel survives, and every trace
 * passes the checkers.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { realEngine } from "../machine/guest.ts";
import { runJob } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/job skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;

describe.skipIf(create === null)("programs", () => {
  it("map, unmap, protect, grow and shrink memory as on Linux; nothing leaks", () => {
    const run = runJob(create!, { program: "memory" });
    expect(run.stdout).toMatch(/^memory: \d+ checks passed\n$/);
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0, count: 1 });
  });

  const SIGILL = 4,
    SIGTRAP = 5,
    SIGFPE = 8,
    SIGSEGV = 11;
  // biome-ignore format: table
  const ways: readonly (readonly [way: string, waitStatus: number, console: RegExp | null])[] = [
    ["null",       SIGSEGV, /page fault.*address 0x0000000000000000: ended by signal 11/],
    ["kernel",     SIGSEGV, /page fault.*address 0xffffffff80100000: ended by signal 11/],
    ["code",       SIGSEGV, /page fault/],
    ["execute",    SIGSEGV, /page fault/],
    ["divide",     SIGFPE,  /divide error.*ended by signal 8/],
    ["invalid",    SIGILL,  /invalid instruction.*ended by signal 4/],
    ["privileged", SIGSEGV, /general protection fault.*ended by signal 11/],
    ["gate",       SIGSEGV, /general protection fault.*ended by signal 11/],
    ["breakpoint", SIGTRAP, /breakpoint.*ended by signal 5/],
    ["exit",       7 << 8,  null],
    ["enosys",     0,       null],
  ];
  for (const [way, waitStatus, console] of ways) {
    it(`${way}: wait status ${waitStatus}`, () => {
      const run = runJob(create!, { program: "fault", argv: [way] });
      expect(run.result).toMatchObject({ kind: "exited", waitStatus, count: 1 });
      if (console) expect(run.console).toMatch(console);
      else expect(run.console).not.toMatch(/signal/);
      expect(run.events.filter((e) => e.kind === EventKind.TASK_END)).toHaveLength(1);
    });
  }

  it("are killed on every node while they compute; each kernel answers when nothing is left", () => {
    const run = runJob(create!, {
      program: "fault",
      argv: ["spin"],
      nodes: 3,
      whenRunning: (service, job, now) => void service.kill(job, now()),
    });
    expect(run.result).toMatchObject({ kind: "killed" });
    expect(
      run.events
        .filter((e) => e.kind === EventKind.TASK_END)
        .map((e) => e.nid)
        .sort(),
    ).toEqual([1, 2, 3]);
    expect(run.events.some((e) => e.kind === EventKind.JOB_NOTICE)).toBe(false);
  });

  it("report the lowest failing rank in one notice", () => {
    const run = runJob(create!, { program: "fault", argv: ["null"], nodes: 4 });
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: SIGSEGV, rank: 0, count: 4 });
    expect(run.events.filter((e) => e.kind === EventKind.JOB_NOTICE)).toHaveLength(4);
    expect(run.events.filter((e) => e.kind === EventKind.SERVICE_EXIT)).toHaveLength(1);
  });
});

describe.skipIf(create === null)("a link that loses, doubles and damages frames", () => {
  for (const seed of [1, 2, 3]) {
    it(`changes nothing that a program sees (seed ${seed})`, () => {
      const run = runJob(create!, { program: "lines", faults: { seed, probability: 0.05 } });
      expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
      expect(run.stdout).toBe(Array.from({ length: 60 }, (_, i) => `line ${i + 1}\n`).join(""));
      expect(run.events.some((e) => e.kind === EventKind.MSG_RESEND)).toBe(true);
      expect(run.events.some((e) => e.kind === EventKind.MSG_DROP)).toBe(true);
    });
  }
});

describe.skipIf(create === null)("the status message", () => {
  it("shows registers and backtrace of every CPU, the program's in a call of init's, the other idle", () => {
    let text: string | null = "";
    runJob(create!, {
      program: "fault",
      argv: ["spin"],
      cores: 2,
      whenRunning: (service, job, now) => {
        const done = (t: string | null): void => {
          text = t;
          service.kill(job, now());
        };
        service.requestStatus(1, job, done, now());
      },
    });
    expect(text).toMatch(/^cpu 0: pid 1 of job 1\n ( r..=0x[0-9a-f]{16}){4}\n/);
    expect(text).toMatch(/ {2}in system call \d+ from rip=0x00007000/);
    expect(text).toMatch(/\ncpu 1: idle\n {2}rip=0xffffffff80/);
    expect(text!.match(/backtrace: 0x/g)).toHaveLength(2);
  });
});
