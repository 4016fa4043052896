/**
 * A task that waits for long probes its neighbours from time to time: seldom, never while no task waits, and never for
 * ever. tests/system/cuts checks that it finds nodes that do not answer.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Operation } from "../../emulator/abi/net.ts";
import type { TraceEvent } from "../../emulator/trace/tracer.ts";
import { realEngine } from "../machine/guest.ts";
import { runJob } from "./rig.ts";

const engine = await realEngine();
if (typeof engine === "string") console.log(`tests/kernel/probes skipped: ${engine}`);
const create = typeof engine === "string" ? null : engine;

/** Probes that a node sent, in ms from the start of its program. */
function probes(events: readonly TraceEvent[], from: number, to: number): number[] {
  const start = events.find((e) => e.kind === EventKind.JOB_START && e.nid === (from === 0 ? 1 : from))?.time ?? 0;
  return events
    .filter(
      (e) =>
        e.kind === EventKind.MSG_SEND &&
        e.nid === from &&
        Number(e.words[0]) === Operation.ACKNOWLEDGE &&
        Number(e.words[1]) === to,
    )
    .map((e) => Math.floor((e.time - start) / 1e6));
}

describe.skipIf(create === null)("neighbours are probed", () => {
  it("by who waits for a message: after 10 ms, and each time after twice as long", () => {
    const run = runJob(create!, { program: "patience", argv: ["message", "400"], nodes: 3, fanout: 2 });
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0, count: 3 });
    expect(probes(run.events, 1, 3)).toEqual([10, 30, 70, 150, 310]);
    // nid 2 has ended and is no longer a neighbour; the service node watches rank 0.
    expect(probes(run.events, 1, 2)).toEqual([]);
    expect(probes(run.events, 0, 1).length).toBeGreaterThan(1);
    // A sleeping task waits for no other.
    expect([1, 2, 0].flatMap((to) => probes(run.events, 3, to))).toEqual([]);
  });
  it("by the kernel of a task that has ended, whose children have not", () => {
    const run = runJob(create!, { program: "patience", argv: ["exit", "100"], nodes: 3, fanout: 1 });
    expect(run.result).toMatchObject({ kind: "exited", waitStatus: 0, count: 3 });
    expect(probes(run.events, 1, 2)).toEqual([10, 30, 70]);
    expect(probes(run.events, 2, 3)).toEqual([]);
  });
  it("not by a job that is done in less time", () => {
    const run = runJob(create!, { program: "patience", argv: ["message", "5"], nodes: 2 });
    expect(
      run.events.filter((e) => e.kind === EventKind.MSG_SEND && Number(e.words[0]) === Operation.ACKNOWLEDGE),
    ).toEqual([]);
  });
  it("not for ever: a job whose ranks wait for each other brings the machine to rest", () => {
    const run = runJob(create!, { program: "patience", argv: ["ever"], nodes: 2, limitNs: 200e9 });
    expect(run.reason).toBe("idle");
    expect(probes(run.events, 1, 2).length).toBeLessThanOrEqual(10);
    expect(probes(run.events, 2, 1).length).toBeLessThanOrEqual(10);
    expect(probes(run.events, 0, 1).length).toBeLessThanOrEqual(10);
  });
});
