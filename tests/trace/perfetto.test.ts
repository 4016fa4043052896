/**
 * The export for Perfetto and chrome://tracing, with real runs: the rules of the Trace Event Format (fields of each
 * phase, nesting, flow pairs, order), one arrow per message, the fifteen steps of a load.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { parseFaults } from "../../emulator/fabric/faults.ts";
import type { TraceHeader } from "../../emulator/trace/file.ts";
import { type ChromeEvent, chromeTrace, matchMessages } from "../../emulator/trace/perfetto.ts";
import { jobSteps, stepNames } from "../../emulator/trace/steps.ts";
import type { TraceEvent } from "../../emulator/trace/tracer.ts";
import { runCluster } from "../system/cluster.ts";

const NODES = 8;
const header: TraceHeader = {
  command: ["run", "ring"],
  image: "ring",
  nodes: NODES,
  cores: 2,
  seed: 0,
  show: "all",
  images: [],
};

/** Checks the rules of "Trace Event Format"; returns one line per violation. */
function violations(events: readonly ChromeEvent[]): string[] {
  const found: string[] = [];
  const complain = (event: ChromeEvent, what: string): void => void found.push(`${what}: ${JSON.stringify(event)}`);
  const starts = new Map<number, ChromeEvent>();
  const ends = new Set<number>();
  /** Open slices of each thread. */
  const open = new Map<string, ChromeEvent[]>();
  const ended = new Map<string, ChromeEvent>();
  const labelOf = (event: ChromeEvent): string => JSON.stringify([event.name, event.args]);
  let last = 0;
  for (const event of events) {
    const { ph, name, pid, tid, ts, id, args } = event;
    if (typeof name !== "string" || name === "") complain(event, "no name");
    if (!Number.isInteger(pid) || pid <= 0 || !Number.isInteger(tid) || tid < 0) complain(event, "bad pid or tid");
    if (!Number.isFinite(ts) || ts < 0 || !/^\d+(\.\d{1,3})?$/.test(String(ts))) complain(event, "bad ts");
    if (ph === "M") {
      if (args === undefined) complain(event, "metadata without args");
      continue;
    }
    if (ts < last) complain(event, "goes back in time");
    last = ts;
    const key = `${pid}.${tid}`;
    const stack = open.get(key) ?? [];
    open.set(key, stack);
    switch (ph) {
      case "B": {
        const before = ended.get(key);
        if (before?.ts === ts && labelOf(before) === labelOf(event)) complain(event, "touches an equal slice");
        stack.push(event);
        break;
      }
      case "E": {
        const begin = stack.pop();
        if (begin === undefined || labelOf(begin) !== labelOf(event))
          complain(event, "ends a slice that is not the innermost");
        const outer = stack.at(-1);
        if (outer?.ts === ts && labelOf(outer) !== labelOf(event)) complain(event, "an empty slice begins another one");
        ended.set(key, event);
        break;
      }
      case "s":
        if (id === undefined || starts.has(id)) complain(event, "flow starts twice, or without id");
        else starts.set(id, event);
        if (stack.length === 0) complain(event, "flow starts in no slice");
        break;
      case "f": {
        const start = id === undefined ? undefined : starts.get(id);
        if (start === undefined || id === undefined || ends.has(id))
          complain(event, "flow ends without start, or twice");
        else if (start.name !== name || start.cat !== event.cat || start.pid === pid)
          complain(event, "flow of another name, or on one node");
        if (id !== undefined) ends.add(id);
        if (event.bp !== "e" || stack.length === 0) complain(event, "flow ends in no slice");
        break;
      }
      case "i":
        if (event.s !== "t") complain(event, "instant without scope");
        break;
      default:
        complain(event, "unknown phase");
    }
  }
  for (const [key, stack] of open)
    if (stack.length > 0) found.push(`${key}: ${stack.map(labelOf).join(", ")} never end`);
  for (const [id, start] of starts) if (!ends.has(id)) complain(start, "flow never ends");
  const named = new Set(events.filter((e) => e.ph === "M" && e.name === "thread_name").map((e) => `${e.pid}.${e.tid}`));
  for (const event of events)
    if (event.ph !== "M" && !named.has(`${event.pid}.${event.tid}`)) complain(event, "on a thread without a name");
  return found;
}
const exported = (events: readonly TraceEvent[]): readonly ChromeEvent[] => {
  const { traceEvents } = JSON.parse(JSON.stringify(chromeTrace(header, events))) as { traceEvents: ChromeEvent[] };
  return traceEvents;
};
const count = <T>(list: readonly T[], is: (item: T) => boolean): number => list.filter(is).length;

describe("a load of eight nodes", () => {
  const { events, result } = runCluster({ nodes: NODES, fanout: 2, program: "ring" });
  const chrome = exported(events);

  it("keeps the rules of the format", () => {
    expect(result?.kind).toBe("exited");
    expect(violations(chrome)).toEqual([]);
  });
  it("has one arrow a message", () => {
    const received = count(events, (e) => e.kind === EventKind.MSG_RECEIVE);
    expect(received).toBeGreaterThan(100);
    expect(count(chrome, (e) => e.ph === "s")).toBe(received);
    expect(count(chrome, (e) => e.ph === "f")).toBe(received);
  });
  it("has the fifteen steps as slices, each where it is done", () => {
    const pids = new Map<number, number[]>();
    for (const e of chrome)
      if (e.ph === "B" && e.cat === "job step")
        pids.set(Number(e.args?.["step"]), [...(pids.get(Number(e.args?.["step"])) ?? []), e.pid].sort());
    const host = chrome.find((e) => e.name === "process_name" && String(e.args?.["name"]).startsWith("n0"))!.pid;
    const all = Array.from({ length: NODES }, (_, i) => i + 1);
    const parents = [1, 2, 3, 4];
    // biome-ignore format: a table
    expect([...pids].sort((a, b) => a[0] - b[0])).toEqual([
      [1, [host]], [2, [host]], [3, [host]], [4, [host]], [5, [1]], [6, [1]], [7, all], [8, parents],
      [9, all.slice(1)], [10, all.slice(1)], [11, all.slice(1)], [12, [1]], [13, [host]], [14, parents], [15, all],
    ]);
    expect(stepNames).toHaveLength(16);
  });
  it("the steps follow each other as the protocol says", () => {
    const steps = jobSteps(events);
    const first = (n: number): number => Math.min(...steps.filter(({ step }) => step === n).map(({ start }) => start));
    const last = (n: number): number => Math.max(...steps.filter(({ step }) => step === n).map(({ end }) => end));
    for (const [before, after] of [
      [4, 5],
      [5, 6],
      [6, 8],
      [11, 12],
      [12, 13],
    ] as const)
      expect(last(before)).toBeLessThanOrEqual(first(after)); // prettier-ignore
    expect(steps.every(({ start, end }) => end >= start)).toBe(true);
    expect(last(13)).toBeLessThanOrEqual(last(15));
  });
  it("has a slice for every system call and interrupt that began", () => {
    const starts = (kind: number): number => count(events, (e) => e.kind === kind);
    expect(count(chrome, (e) => e.ph === "B" && e.cat === "call")).toBe(starts(EventKind.SYS_ENTER));
    expect(count(chrome, (e) => e.ph === "B" && e.cat === "interrupt")).toBe(starts(EventKind.IRQ_DELIVER));
    expect(chrome.some((e) => e.name === "portal_wait" && String(e.args?.["result"]).includes("ret=0"))).toBe(true);
  });
  it("a part of a trace keeps the rules too", () => {
    const middle = events.filter((e) => e.time > 600_000 && e.time < 3_600_000 && e.nid !== 2);
    expect(violations(exported(middle))).toEqual([]);
    expect(violations(exported([]))).toEqual([]);
  });
});

it("lossy links: an arrow a message all the same, however often it was sent", () => {
  const faults = parseFaults("drop=4%,dup=4%,reorder=4%");
  const { events } = runCluster({ nodes: 3, cores: 1, program: "ring", machine: { faults, seed: 5 }, drain: true });
  expect(events.some((e) => e.kind === EventKind.MSG_RESEND)).toBe(true);
  const chrome = exported(events);
  expect(violations(chrome)).toEqual([]);
  const sent = count(events, (e) => e.kind === EventKind.MSG_SEND);
  expect(count(chrome, (e) => e.ph === "s")).toBe(sent);
  expect(matchMessages(events).size).toBe(2 * sent);
});

it("the check itself sees what is wrong", () => {
  const begin: ChromeEvent = { ph: "B", name: "a", pid: 1, tid: 1, ts: 1 };
  const end: ChromeEvent = { ph: "E", name: "a", pid: 1, tid: 1, ts: 3 };
  const name: ChromeEvent = { ph: "M", name: "thread_name", pid: 1, tid: 1, ts: 0, args: { name: "c0" } };
  expect(violations([name, begin, end])).toEqual([]);
  expect(violations([name, begin])).toHaveLength(1);
  expect(violations([name, end])).toHaveLength(1);
  expect(violations([name, begin, { ...begin, name: "b", ts: 2 }, end, { ...end, name: "b" }])).toHaveLength(2);
  expect(violations([name, begin, { ...end, ts: 0 }])).not.toEqual([]);
  expect(violations([name, begin, { ph: "s", name: "m", pid: 1, tid: 1, ts: 2, id: 1 }, end])).toHaveLength(1);
  expect(violations([begin, end])).toHaveLength(2);
  expect(violations([name, begin, end, { ...begin, ts: 3 }, { ...end, ts: 4 }])).toHaveLength(1);
  expect(violations([name, begin, { ...begin, name: "b" }, { ...end, name: "b", ts: 1 }, end])).toHaveLength(1);
});

it("slices of one time: empty ones come first, equal ones do not touch", () => {
  const call = (kind: number, time: number): TraceEvent => ({ time, nid: 1, core: 0, kind, words: [60n, 0n, 0n, 0n] });
  const idle = (time: number): TraceEvent => ({ time, nid: 1, core: 0, kind: EventKind.CPU_IDLE, words: [] });
  const message = (time: number): TraceEvent => ({
    time,
    nid: 0,
    core: -1,
    kind: EventKind.MSG_RECEIVE,
    words: [1n, 1n, 8n, 0n],
  });
  // Two calls of exit, three wake-ups, and equal messages at one time, after 1 ns and after 10 ns.
  const events = [
    ...[message(50), message(50), message(51), message(61)],
    ...[call(EventKind.SYS_ENTER, 100), call(EventKind.SYS_ENTER, 200), call(EventKind.SYS_EXIT, 250)],
    ...[idle(300), idle(310), idle(320)],
    call(EventKind.SYS_ENTER, 400),
  ];
  const chrome = exported(events);
  expect(violations(chrome)).toEqual([]);
  const slices = chrome.filter((e) => e.ph === "B" || e.ph === "E");
  expect(slices.filter((e) => e.pid === 1).map((e) => [e.ph, e.ts])).toEqual([
    ...[
      ["B", 0.1],
      ["E", 0.199],
      ["B", 0.2],
      ["E", 0.25],
    ],
    ...[
      ["B", 0.3],
      ["E", 0.4],
      ["B", 0.4],
      ["E", 0.4],
    ],
  ]);
  expect(slices.filter((e) => e.pid !== 1).map((e) => [e.ph, e.ts])).toEqual([
    ...[
      ["B", 0.05],
      ["B", 0.05],
      ["E", 0.05],
      ["E", 0.05],
    ],
    ...[
      ["B", 0.051],
      ["E", 0.06],
      ["B", 0.061],
      ["E", 0.461],
    ],
  ]);
});

it("slices that touch do not overlap, at any time: beginnings and ends are the trace's own nanoseconds", () => {
  // getpid, then getuid where it ends: 1026.929 + 0.351 µs.
  const event = (kind: number, time: number, call: number): TraceEvent => ({
    time,
    nid: 1,
    core: 0,
    kind,
    words: [call, 0, 0, 0],
  });
  const events = [
    event(EventKind.SYS_ENTER, 1_026_929, 39),
    event(EventKind.SYS_EXIT, 1_027_280, 39),
    event(EventKind.SYS_ENTER, 1_027_280, 102),
    event(EventKind.SYS_EXIT, 1_027_400, 102),
  ];
  const chrome = exported(events);
  expect(violations(chrome)).toEqual([]);
  expect(chrome.filter((e) => e.ph === "B" || e.ph === "E").map((e) => [e.ph, e.ts])).toEqual([
    ["B", 1026.929],
    ["E", 1027.28],
    ["B", 1027.28],
    ["E", 1027.4],
  ]);
});
