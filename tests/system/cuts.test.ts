/**
 * Nodes and links that go dead while a job loads, runs or ends. This is noticed within a bounded virtual time, the nid
 * is named, the rest of the job is torn down, and the next job runs on the other nodes or is refused by name.
 */
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Cause, Operation, RETRY_LIMIT, RTO_INITIAL_NS, RTO_MAX_NS } from "../../emulator/abi/net.ts";
import { Signal } from "../../emulator/abi/signal.ts";
import { type FaultInjector, soundVerdict, type Verdict } from "../../emulator/fabric/faults.ts";
import type { JobResult } from "../../emulator/service/service.ts";
import type { TraceEvent } from "../../emulator/trace/tracer.ts";
import { programImage } from "../kernel/rig.ts";
import { temporaryFolder } from "./command.ts";
import { withBench } from "./jobs.ts";

/** Silence after which a peer is unreachable: RETRY_LIMIT timeouts, doubled up to RTO_MAX_NS. */
const SILENCE_NS = Array.from({ length: RETRY_LIMIT + 1 }, (_, n) =>
  Math.min(RTO_INITIAL_NS * 2 ** n, RTO_MAX_NS),
).reduce((sum, ns) => sum + ns);
/** From the cut to the job's end: up to 50 ms until a probe, the silence, and the same again for the kill. */
const NOTICED_NS = 50e6 + 2 * SILENCE_NS + 20e6;

/** From a moment that the test chooses, all frames between two nodes, or to and from one, are lost. */
class Scissors implements FaultInjector {
  private cut: (a: number, b: number) => boolean = () => false;
  /** All links of a node. */
  node(nid: number): void {
    this.cut = (a, b) => a === nid || b === nid;
  }
  link(one: number, other: number): void {
    this.cut = (a, b) => (a === one && b === other) || (a === other && b === one);
  }
  judge(source: number, target: number): Verdict {
    return this.cut(source, target) ? { ...soundVerdict, lost: "cut", copies: 0 } : soundVerdict;
  }
  state(): unknown {
    return null;
  }
}

const seen =
  (kind: number, count = 1) =>
  (events: readonly TraceEvent[], nid: number): boolean =>
    events.filter((e) => e.kind === kind && e.nid === nid).length >= count;
const sent =
  (operation: number, count = 1) =>
  (events: readonly TraceEvent[], nid: number): boolean =>
    events.filter((e) => e.kind === EventKind.MSG_SEND && e.nid === nid && Number(e.words[0]) === operation).length >=
    count;
const allRun = (events: readonly TraceEvent[], _nid: number, size: number): boolean =>
  events.filter((e) => e.kind === EventKind.JOB_START).length === size;
type Moment = (events: readonly TraceEvent[], nid: number, size: number) => boolean;

/**
 * Cuts off one node after the other, each in the middle of a job on the remaining ones, and each at another place in
 * the tree.
 */
function cutting(
  program: string,
  order: readonly number[],
  moment: Moment,
  check: (result: JobResult, nid: number, size: number) => void,
) {
  const faults = new Scissors();
  withBench({ nodes: order.length, cores: 1, faults }, (bench) => {
    const alive = new Set(order);
    for (const nid of order) {
      const nids = [...alive].sort((a, b) => a - b);
      const from = bench.events.length;
      const id = bench.submit({ program, nids, fanout: 2 });
      expect(
        bench.until(() => moment(bench.events.slice(from), nid, nids.length)),
        `nid ${nid}: the moment comes`,
      ).toBe("until");
      faults.node(nid);
      const cutAt = bench.machine.time;
      const { result } = bench.finish(id);
      check(result, nid, nids.length);
      expect(bench.machine.time - cutAt, `nid ${nid}: noticed in time`).toBeLessThan(NOTICED_NS);
      expect(bench.console).not.toMatch(/panic|leak/);
      // The others still work, and a job that asks for the node is told.
      alive.delete(nid);
      const rest = nids.filter((n) => n !== nid);
      if (rest.length > 0) {
        const next = bench.run({ program: "hello", nids: rest, fanout: 2 });
        expect(next.result).toMatchObject({ kind: "exited", waitStatus: 0, count: rest.length });
      }
      const refused = { kind: "refused", cause: Cause.UNREACHABLE, nid, text: `the node does not answer, nid ${nid}` };
      expect(bench.run({ program: "hello", nids: [...rest, nid] }).result).toMatchObject(refused);
    }
  });
}
const ORDERS = [
  [1, 3, 2, 4],
  [2, 4, 3, 1],
] as const;

describe.each(ORDERS.map((order) => [order.join(", "), order] as const))("nids %s are cut off", (_text, order) => {
  it.each([
    ["its kernel has the load", seen(EventKind.JOB_LOAD)],
    ["its init runs", seen(EventKind.JOB_RUN_USER)],
    ["its init is in its first calls", seen(EventKind.SYS_ENTER, 8)],
  ])("when %s: the load is refused", (_what, moment) => {
    cutting("hello", order, moment, (result, nid) => {
      expect(result).toMatchObject({
        kind: "refused",
        cause: Cause.UNREACHABLE,
        nid,
        text: `the node does not answer, nid ${nid}`,
      });
    });
  });
  it.each([
    ["go is sent", (events: readonly TraceEvent[]) => events.some((e) => e.kind === EventKind.SERVICE_GO)],
    ["its program begins", seen(EventKind.JOB_START)],
    ["all programs run", allRun],
    [
      "it is in the middle of its messages",
      (events: readonly TraceEvent[], nid: number, size: number) =>
        allRun(events, nid, size) && (size === 1 || sent(Operation.PUT, 6)(events, nid)),
    ],
  ])("when %s: the job is killed on all nodes", (_what, moment) => {
    cutting("ring", order, moment, (result, nid) => {
      expect(result).toMatchObject({ kind: "exited", waitStatus: Signal.SIGKILL, lostNid: nid });
    });
  });
  it("when its init has reported: the load is refused, or go was faster and the job is killed", () => {
    cutting("hello", order, sent(Operation.PUT), (result, nid) => {
      if (result.kind === "refused") expect(result).toMatchObject({ cause: Cause.UNREACHABLE, nid });
      else expect(result).toMatchObject({ kind: "exited", waitStatus: Signal.SIGKILL, lostNid: nid });
    });
  });
  it("when its program has ended: the job is over, well or killed", () => {
    cutting("hello", order, seen(EventKind.JOB_EXIT), (result, nid, size) => {
      // Its notice may already have arrived.
      if (result.kind === "exited" && result.waitStatus === 0) expect(result.count).toBe(size);
      else expect(result).toMatchObject({ kind: "exited", waitStatus: Signal.SIGKILL, lostNid: nid });
    });
  });
});

describe("the last child is lost when the parent's own task has ended", () => {
  it("its notice goes up all the same, and counts what was heard", () => {
    const root = temporaryFolder();
    fs.writeFileSync(path.join(root, "patience"), programImage("patience"), { mode: 0o755 });
    const faults = new Scissors();
    try {
      withBench({ nodes: 3, cores: 1, faults, root }, (bench) => {
        // nid 1 above 2 above 3; nid 1 ends at once, nid 2 with it in the notice's way.
        const id = bench.submit({ program: "/patience", args: ["exit", "300"], nids: [1, 2, 3], fanout: 1 });
        expect(bench.until(() => seen(EventKind.JOB_EXIT)(bench.events, 1))).toBe("until");
        faults.node(2);
        const { result } = bench.finish(id);
        expect(result).toMatchObject({ kind: "exited", waitStatus: Signal.SIGKILL, lostNid: 2 });
        const notices = bench.events
          .filter((e) => e.kind === EventKind.JOB_NOTICE && e.nid === 1)
          .map((e) => e.words.map(Number));
        expect(notices).toEqual([[id, 0, Signal.SIGKILL, 1]]);
      });
    } finally {
      fs.rmSync(root, { recursive: true });
    }
  });
});

describe("one link is cut, between two nodes that the service node still reaches", () => {
  /** nid 1 above 2 and 3, nid 2 above 4. */
  const nids = [1, 2, 3, 4];
  const linkCut = (program: string, moment: Moment, ends: readonly [number, number]): void => {
    const faults = new Scissors();
    withBench({ nodes: nids.length, cores: 1, faults }, (bench) => {
      const id = bench.submit({ program, nids, fanout: 2 });
      expect(bench.until(() => moment(bench.events, ends[1], nids.length))).toBe("until");
      faults.link(...ends);
      const cutAt = bench.machine.time;
      const { result } = bench.finish(id);
      expect(bench.machine.time - cutAt).toBeLessThan(NOTICED_NS);
      // Each end reports that the other one does not answer, and both are right.
      if (result.kind === "refused") {
        expect(result.cause).toBe(Cause.UNREACHABLE);
        expect(ends).toContain(result.nid);
      } else {
        expect(result).toMatchObject({ kind: "exited", waitStatus: Signal.SIGKILL });
        expect(result.kind === "exited" && ends.includes(result.lostNid!)).toBe(true);
      }
      // A tree without that edge works; with it, the node at its far end is refused.
      const [above, below] = ends;
      const others = nids.filter((nid) => !ends.includes(nid));
      expect(
        bench.run({ program: "hello", nids: [others[0]!, above, below, others[1]!], fanout: 3 }).result,
      ).toMatchObject({
        kind: "exited",
        waitStatus: 0,
        count: 4,
      });
      const refused = { kind: "refused", cause: Cause.UNREACHABLE, nid: below };
      expect(bench.run({ program: "hello", nids: [above, below] }).result).toMatchObject(refused);
    });
  };
  it.each([
    ["has the load", seen(EventKind.JOB_LOAD)],
    ["runs init", seen(EventKind.JOB_RUN_USER)],
    ["is in init's first calls", seen(EventKind.SYS_ENTER, 8)],
    ["has reported", sent(Operation.PUT)],
  ])("parent and child, when the child %s", (_what, moment) => {
    linkCut("hello", moment, [2, 4]);
  });
  it("two neighbours of the ring that are none in the tree, while it runs", () => {
    linkCut("ring", allRun, [3, 4]);
  });
});
