/**
 * TLB shootdowns from all cores at once: no deadlock, every program keeps its data, and the checkers confirm that every
 * shootdown is acknowledged before its frames are freed. Each run also shows that requests of several cores were in
 * flight at the same time.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Vector } from "../../emulator/abi/vectors.ts";
import type { TraceEvent } from "../../emulator/trace/tracer.ts";
import { realEngine } from "../machine/guest.ts";
import { runJob } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/shootdown skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;

/** Requests by one vector as spans: from the first IPI to the acknowledgement. */
function spans(
  events: readonly TraceEvent[],
  vector: number,
): { core: number; from: number; to: number; targets: number }[] {
  const open = new Map<number, { core: number; from: number; targets: number }>();
  const done: { core: number; from: number; to: number; targets: number }[] = [];
  for (const e of events) {
    if (e.kind === EventKind.IPI_SEND && Number(e.words[1]) === vector) {
      const id = Number(e.words[2]);
      const span = open.get(id) ?? { core: e.core, from: e.time, targets: 0 };
      span.targets++;
      open.set(id, span);
    }
    if (e.kind !== EventKind.IPI_ACKED) continue;
    const span = open.get(Number(e.words[0]));
    if (span) done.push({ ...span, to: e.time });
  }
  return done;
}
/** The largest number of cores with requests in flight at the same time. */
function most(all: ReturnType<typeof spans>): number {
  return Math.max(
    0,
    ...all.map((s) => new Set(all.filter((o) => o.from <= s.to && o.to >= s.to).map((o) => o.core)).size),
  );
}

describe.skipIf(create === null)("shootdowns from all cores at once", () => {
  for (const [cores, seed, rounds] of [
    [2, 1, 60],
    [4, 1, 40],
    [4, 2, 40],
    [4, 3, 40],
    [8, 1, 20],
    [8, 2, 20],
  ] as const) {
    it(`${cores} cores, seed ${seed}`, () => {
      const run = runJob(create!, { program: "storm", argv: [`${seed}`, `${rounds}`], cores });
      expect(run.stdout).toBe(`storm: ${cores * rounds} operations, 0 failed\n`);
      expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
      const shootdowns = spans(run.events, Vector.TLB_SHOOTDOWN);
      expect(shootdowns.length).toBeGreaterThan(cores * rounds);
      expect(most(shootdowns), "cores with a shootdown under way at one time").toBeGreaterThan(1);
      expect(most(spans(run.events, Vector.CROSS_CALL)), "cores with a cross-call under way at one time").toBe(cores);
    });
  }

  // No core holds the address space's lock while it waits for acknowledgements, so cores flush at the same time.
  for (const [way, cores, rounds] of [
    ["unmap", 8, 12],
    ["replace", 8, 12],
    ["protect", 8, 12],
    ["large", 8, 6],
    ["replace", 16, 6],
  ] as const) {
    it(`${way}: ${cores} cores change one address space at the same time, all their shootdowns in flight`, () => {
      // IPIs that take longer than all cores need to take the lock, one after the other.
      const run = runJob(create!, { program: "overlap", argv: [way, `${rounds}`], cores, quantumNs: 2000 });
      expect(run.stdout).toBe(`overlap: ${cores * rounds} operations, 0 failed\n`);
      expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
      const shootdowns = spans(run.events, Vector.TLB_SHOOTDOWN);
      expect(shootdowns.length).toBeGreaterThanOrEqual(cores * rounds);
      expect(new Set(shootdowns.map((s) => s.targets))).toContain(cores - 1);
      expect(most(shootdowns), "cores with a shootdown under way at one time").toBe(cores);
    });
  }
  for (const cores of [2, 8] as const) {
    it(`contend: ${cores} cores replace the same page, and nobody sees it missing, no call either`, () => {
      const rounds = 12;
      const run = runJob(create!, { program: "overlap", argv: ["contend", `${rounds}`], cores });
      expect(run.stdout).toBe(`overlap: ${cores * rounds} operations, 0 failed\n`);
      expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
      // A call on a range that another core is changing waits for it.
      expect(most(spans(run.events, Vector.TLB_SHOOTDOWN))).toBe(1);
    });
  }

  it("disturb nobody else: cores without a thread of the job get no IPI", () => {
    const run = runJob(create!, { program: "memory", cores: 4 });
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0 });
    expect(
      run.events.filter((e) => e.kind === EventKind.IPI_SEND && Number(e.words[1]) === Vector.TLB_SHOOTDOWN),
    ).toEqual([]);
  });
});
