/**
 * Threads: one per core, futexes as on Linux, every way to end; synchronisation without system calls if there is no
 * contention.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Syscall } from "../../emulator/abi/syscalls.ts";
import { realEngine } from "../machine/guest.ts";
import { runJob } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/threads skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;

describe.skipIf(create === null)("threads", () => {
  // biome-ignore format: table
  const ways: readonly (readonly [way: string, cores: number])[] = [
    ["create", 2], ["create", 4], ["identities", 4], ["refusals", 1], ["futexes", 2], ["futexes", 4], ["contention", 2], ["contention", 4], ["contention", 8], ["replaced", 2],
  ];
  for (const [way, cores] of ways) {
    it(`${way} on ${cores} cores`, () => {
      const run = runJob(create!, { program: "threads", argv: [way], cores });
      expect(run.stdout).toMatch(/^threads: \d+ checks passed\n$/);
      expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
    });
  }

  // biome-ignore format: table
  const ends: readonly (readonly [way: string, waitStatus: number, stdout: string])[] = [
    ["exit_group",   5 << 8, ""],
    ["fault",        11,     ""],
    ["main_first",   3 << 8, "late\n"],
    ["others_first", 0,      ""],
  ];
  for (const [way, waitStatus, stdout] of ends) {
    it(`${way}: every thread ends, wait status ${waitStatus}`, () => {
      const run = runJob(create!, { program: "threads", argv: [way], cores: 4 });
      expect(run.result).toMatchObject({ kind: "exited", waitStatus, count: 1 });
      expect(run.stdout).toBe(stdout);
      expect(run.events.filter((e) => e.kind === EventKind.TASK_END)).toHaveLength(1);
    });
  }

  it("a kill ends threads that spin and threads that sleep", () => {
    const run = runJob(create!, {
      program: "threads",
      argv: ["spin"],
      cores: 4,
      whenRunning: (service, job, now) => void service.kill(job, now()),
    });
    expect(run.result).toMatchObject({ kind: "killed" });
    expect(run.events.filter((e) => e.kind === EventKind.TASK_END)).toHaveLength(1);
  });

  it("mutex, condition and barrier make no system call where nobody waits", () => {
    const { events, stdout } = runJob(create!, { program: "threads", argv: ["quiet"], cores: 4 });
    expect(stdout).toMatch(/checks passed/);
    const marks = events.filter((e) => e.kind === EventKind.MARK);
    expect(marks.map((m) => Number(m.words[1]))).toEqual([1, 2, 3, 4]);
    const calls = (from: number, to: number): number[] =>
      events
        .filter((e) => e.kind === EventKind.SYS_ENTER && e.time > marks[from]!.time && e.time < marks[to]!.time)
        .map((e) => Number(e.words[0]))
        .filter((call) => call !== Syscall.MARGAY_MARK);
    expect(calls(0, 1), "600 locks, 400 signals").toEqual([]);
    expect(calls(2, 3), "30 meetings of four threads").toEqual([]);
    // The check is sensitive: elsewhere in the same run the threads do make calls.
    expect(calls(1, 2)).toContain(Syscall.CLONE);
  });
});
