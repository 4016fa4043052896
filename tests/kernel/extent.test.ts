/**
 * Calls on address spaces cost what is mapped, not what is named: terabytes are refused within 20 µs of virtual time,
 * or skipped by whole tables. Measured by the machine under `strict`, interrupts are never off for more than 20 µs,
 * however much is zeroed, unmapped or freed. The effect on mappings is that of Linux: random calls, here and on the
 * host.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Errno } from "../../emulator/abi/errno.ts";
import { EventKind } from "../../emulator/abi/events.ts";
import { realEngine } from "../machine/guest.ts";
import { temporaryFolder } from "../system/command.ts";
import { programImage, runJob } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/extent skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;
const folder = temporaryFolder();
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** "name errno ns" lines. */
const lines = (stdout: string): { name: string; errno: number; ns: number }[] =>
  stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" "))
    .map(([name, errno, ns]) => ({ name: name!, errno: Number(errno), ns: Number(ns) }));

describe.skipIf(create === null)("ranges of terabytes", () => {
  it("are answered as Linux would, at once", () => {
    const run = runJob(create!, { program: "extent", argv: ["names"] });
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
    const answers = lines(run.stdout);
    expect(Object.fromEntries(answers.map(({ name, errno }) => [name, errno]))).toEqual({
      "last-page": 0,
      "mmap-all": Errno.ENOMEM,
      "mmap-1536M": Errno.ENOMEM,
      "mremap-to-end": Errno.ENOMEM,
      "mmap-4T": Errno.ENOMEM,
      "mmap-fixed-4T": Errno.ENOMEM,
      "brk-16T": 0,
      "munmap-nothing-16T": 0,
      "mprotect-nothing-16T": Errno.ENOMEM,
      "madvise-nothing-16T": Errno.ENOMEM,
      "reserve-16T": 0,
      // Only what is reserved with MAP_NORESERVE, or as a stack, gets its memory on first touch.
      "mprotect-rw-16T": Errno.ENOMEM,
      "mprotect-none-16T": 0,
      "mprotect-one-page": 0,
      "madvise-16T": 0,
      cleared: 0,
      "munmap-16T": 0,
      "lazy-reserve-16T": 0,
      "lazy-rw-16T": 0,
      "lazy-zero": 0,
      "lazy-kernel-writes": 0,
      "lazy-kept": 0,
      "lazy-madvise-16T": 0,
      "lazy-cleared": 0,
      "lazy-mprotect-16T": 0,
      "lazy-read-only": Errno.EFAULT,
      "lazy-munmap-16T": 0,
    });
    expect(answers.filter(({ name, ns }) => !name.endsWith("-16T") && ns > 20_000)).toEqual([]);
    // The lowest mappings and the touched pages have tables: some thousand entries are read, twice where pages are
    // freed, with interrupts on.
    expect(answers.filter(({ name, ns }) => ns > (name.startsWith("lazy-") ? 1_000_000 : 500_000))).toEqual([]);
  });

  it("1536 MB fit a node of 2 GB: zeroed and freed with interrupts off for at most 20 µs; more is ENOMEM at once", () => {
    const run = runJob(create!, { program: "extent", argv: ["once", `${1536 << 20}`], ramMegabytes: 2048 });
    const answers = lines(run.stdout);
    expect(answers.map(({ name, errno }) => `${name} ${errno}`)).toEqual([
      "mmap 0",
      "touched 0",
      `mmap-again ${Errno.ENOMEM}`,
      "munmap 0",
    ]);
    expect(answers[2]!.ns).toBeLessThan(20_000);
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
  });

  it("thousands of regions, far more than 128", () => {
    const run = runJob(create!, { program: "extent", argv: ["regions", "3000"] });
    expect(lines(run.stdout).map(({ errno }) => errno)).toEqual([0, 0, 0]);
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
  });

  it("a thread that is killed while its memory is zeroed leaves nothing behind", () => {
    const run = runJob(create!, {
      program: "extent",
      argv: ["fill", `${40 << 20}`],
      whenRunning: (service, job, now) => void service.kill(job, now()),
    });
    expect(run.result).toMatchObject({ kind: "killed" });
    const killed = run.events.find((e) => e.kind === EventKind.JOB_KILL)!;
    const ended = run.events.find((e) => e.kind === EventKind.TASK_END)!;
    // 40 MB take 5 ms to zero; the kernel itself checks that nothing is left.
    expect(ended.time - killed.time).toBeLessThan(1_000_000);
  });
});

describe.skipIf(create === null)("random mappings", () => {
  const native = path.join(folder, "mappings");
  it.each([1, 2, 3, 4])("are on Margay what they are on Linux (seed %i)", (seed) => {
    if (!fs.existsSync(native)) fs.writeFileSync(native, programImage("mappings"), { mode: 0o755 });
    const argv = [`${seed}`, "240"];
    const linux = spawnSync(native, argv, { encoding: "utf8" });
    expect(linux.status).toBe(0);
    const run = runJob(create!, { program: "mappings", argv });
    expect(run.stdout).toBe(linux.stdout);
  });
});
