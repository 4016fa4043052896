/**
 * A trace in the Trace Event Format, which Perfetto (ui.perfetto.dev) and chrome://tracing open. Source: "Trace Event
 * Format", Google, https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU. Nodes are
 * processes, cores are threads. System calls, interrupts and idle time are slices that nest; everything else is an
 * instant (i). A slice is a pair of events, B where it begins and E where it ends: in floating point a time plus a
 * duration in microseconds may differ from the start of the next slice (1026.929 + 0.351 is not 1027.28), and a reader
 * would then nest adjacent slices. speedscope also reads this format. It pairs B and E by name and arguments, so both
 * have them; of a B and an E at one time it takes the E first, unless they are a pair. Therefore an empty slice never
 * begins inside a slice that begins at the same time, and two slices with the same name and arguments never touch. A
 * message is a short slice where it is sent and one where it is received, with one
 * flow arrow (s, f) between them, however many frames, retransmissions or duplicates it took; a message that never
 * arrived has no arrow. The steps of a job's load and its ranks are slices on separate tracks. ts is in µs with at most
 * three decimals, so that each is a whole number of virtual ns. Left out: frames that the links delivered (their
 * messages are shown), single instructions.
 */
import { EventKind } from "../abi/events.ts";
import { Operation, SERVICE_NID } from "../abi/net.ts";
import { decodeFields, kindName, type DecodeOptions } from "./decode.ts";
import type { TraceHeader } from "./file.ts";
import { jobSteps, stepNames } from "./steps.ts";
import type { TraceEvent } from "./tracer.ts";

export type ChromeArguments = Readonly<Record<string, string | number>>;
export interface ChromeEvent {
  readonly ph: "B" | "E" | "i" | "s" | "f" | "M";
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly cat?: string;
  readonly id?: number;
  /** f: binds to the enclosing slice, not to the next one. */
  readonly bp?: "e";
  /** i: scope is the thread. */
  readonly s?: "t";
  readonly args?: ChromeArguments;
}
export interface ChromeTrace {
  readonly traceEvents: readonly ChromeEvent[];
  readonly displayTimeUnit: "ns";
  readonly otherData: ChromeArguments;
}

/** nid 0 as a process: pid 0 and tid 0 mean the idle task to Perfetto. */
const HOST_PID = 1_000_000;
/** Thread numbers are unique over all processes: TIDS per process, its cores first. */
const TIDS = 200;
const enum Lane {
  CORE = 1,
  SERVICE = 70,
  IO = 71,
  /** Events of no core. */
  NODE = 72,
  JOB = 100,
}
/** Longest slice of a message, ns: wide enough to point at. */
const MESSAGE_NS = 400;

interface Slice {
  readonly name: string;
  readonly category: string;
  readonly pid: number;
  readonly tid: number;
  readonly start: number;
  end: number;
  args: ChromeArguments;
  /** Flow that starts or ends in this slice. */
  readonly flow?: { readonly id: number; readonly isStart: boolean };
}
/** An open slice. */
interface Open {
  readonly slice: Slice;
  readonly what: "call" | "interrupt" | "idle";
  /** Number of the call or vector. */
  readonly number: number;
}

const pidOf = (nid: number): number => (nid === SERVICE_NID ? HOST_PID : nid);
const tidOf = (nid: number, lane: number): number => pidOf(nid) * TIDS + lane;
const microseconds = (ns: number): number => ns / 1000;
const isEmpty = ({ start, end }: Slice): boolean => start === end;
const isSame = (a: Slice, b: Slice): boolean => a.name === b.name && JSON.stringify(a.args) === JSON.stringify(b.args);
/** A slice that ends where the next begins does not enclose it. Equal empty slices nest: no reader can order them. */
const isBefore = (a: Slice, b: Slice): boolean =>
  a.end <= b.start && (a.end < b.start || !isEmpty(a) || !isEmpty(b) || !isSame(a, b));

export function chromeTrace(
  header: TraceHeader,
  events: readonly TraceEvent[],
  nameOf?: DecodeOptions["nameOf"],
): ChromeTrace {
  const builder = new Builder(events, nameOf);
  return {
    traceEvents: builder.build(),
    displayTimeUnit: "ns",
    otherData: {
      command: `margay ${header.command.join(" ")}`,
      image: header.image,
      nodes: header.nodes,
      cores: header.cores,
      seed: header.seed,
    },
  };
}

class Builder {
  private readonly slices: Slice[] = [];
  private readonly instants: ChromeEvent[] = [];
  private readonly threads = new Map<number, { readonly nid: number; readonly name: string; readonly order: number }>();
  /** Open slices of each thread, the innermost last. */
  private readonly stacks = new Map<number, Open[]>();
  private readonly flows: ReadonlyMap<TraceEvent, number>;

  constructor(
    private readonly events: readonly TraceEvent[],
    private readonly nameOf: DecodeOptions["nameOf"],
  ) {
    this.flows = matchMessages(events);
  }

  build(): ChromeEvent[] {
    const nextTimes = this.nextTimes();
    this.events.forEach((event, i) => this.take(event, nextTimes[i]!));
    const last = this.events.at(-1)?.time ?? 0;
    for (const stack of this.stacks.values()) this.close(stack, 0, last, { unfinished: 1 });
    this.addJobs();
    const timed = [...this.sliceEvents(), ...this.instants].sort((a, b) => a.ts - b.ts);
    return [...this.metadata(), ...timed];
  }

  /** For each event, the time of the next event on the same thread. */
  private nextTimes(): number[] {
    const times: number[] = new Array(this.events.length);
    const next = new Map<number, { readonly time: number; readonly later: number }>();
    for (let i = this.events.length - 1; i >= 0; i--) {
      const event = this.events[i]!;
      const tid = this.tidOf(event);
      const known = next.get(tid);
      const later = known === undefined ? Number.POSITIVE_INFINITY : known.time > event.time ? known.time : known.later;
      times[i] = later;
      next.set(tid, { time: event.time, later });
    }
    return times;
  }

  private tidOf({ nid, core, kind, words }: TraceEvent): number {
    if (core >= 0) return tidOf(nid, Lane.CORE + core);
    if (
      nid !== SERVICE_NID ||
      kind === EventKind.LINK_FAULT ||
      kind === EventKind.MSG_RESEND ||
      kind === EventKind.MSG_DROP
    )
      return tidOf(nid, Lane.NODE);
    const operation = Number(words[0]);
    const isMessage = kind === EventKind.MSG_SEND || kind === EventKind.MSG_RECEIVE;
    const isIo =
      kind === EventKind.IO_CALL ||
      (isMessage && (operation === Operation.IO_REQUEST || operation === Operation.IO_REPLY));
    return tidOf(nid, isIo ? Lane.IO : Lane.SERVICE);
  }

  private threadOf(event: TraceEvent): number {
    const tid = this.tidOf(event);
    if (!this.threads.has(tid)) {
      const lane = tid % TIDS;
      const name =
        lane === Lane.SERVICE
          ? "service node"
          : lane === Lane.IO
            ? "I/O node"
            : lane === Lane.NODE
              ? "node"
              : `c${event.core}`;
      this.threads.set(tid, { nid: event.nid, name, order: lane });
    }
    return tid;
  }

  private take(event: TraceEvent, nextTime: number): void {
    const { kind, time, words } = event;
    if (kind === EventKind.LINK_SEND || kind === EventKind.LINK_RECEIVE || kind === EventKind.INSN) return;
    const tid = this.threadOf(event);
    let stack = this.stacks.get(tid);
    if (stack === undefined) this.stacks.set(tid, (stack = []));
    if (stack.at(-1)?.what === "idle") {
      if (kind === EventKind.CPU_IDLE) return;
      this.close(stack, stack.length - 1, time);
    }
    const number = Number(words[0] ?? 0);
    const find = (what: Open["what"]): number =>
      stack.findLastIndex((open) => open.what === what && open.number === number);
    switch (kind) {
      // A call that has not returned by then never returns (exit, margay_start); neither does a handler that was
      // abandoned with its task. When it ended is unknown: it ends before this event.
      case EventKind.SYS_ENTER:
        this.close(stack, 0, time - 1);
        this.open(event, tid, stack, "call");
        return;
      case EventKind.SYS_EXIT: {
        const at = find("call");
        if (at < 0) return;
        this.close(stack, at, time, { result: this.text(event) });
        return;
      }
      case EventKind.IRQ_DELIVER:
        this.open(event, tid, stack, "interrupt");
        return;
      case EventKind.IRQ_EXIT: {
        const at = find("interrupt");
        if (at >= 0) this.close(stack, at, time);
        return;
      }
      case EventKind.IRQ_ENTER:
        return;
      case EventKind.CPU_IDLE:
        this.open(event, tid, stack, "idle");
        return;
      case EventKind.JOB_START:
      case EventKind.TASK_END: {
        const at = stack.findIndex((open) => open.what === "call");
        if (at >= 0) this.close(stack, at, time);
        this.instant(event, tid);
        return;
      }
      case EventKind.MSG_SEND:
      case EventKind.MSG_RECEIVE:
        this.message(event, tid, nextTime);
        return;
      default:
        this.instant(event, tid);
    }
  }

  private open(event: TraceEvent, tid: number, stack: Open[], what: Open["what"]): void {
    const fields = this.text(event);
    const name = what === "idle" ? "idle" : what === "call" ? fields.split(" ")[0]! : fields.replace("vector=", "");
    const slice: Slice = {
      name,
      category: what,
      pid: pidOf(event.nid),
      tid,
      start: event.time,
      end: event.time,
      args: { fields },
    };
    stack.push({ slice, what, number: Number(event.words[0] ?? 0) });
    this.slices.push(slice);
  }

  /** Closes the open slice at `index` and all inside it. */
  private close(stack: Open[], index: number, time: number, args: ChromeArguments = {}): void {
    for (const { slice } of stack.splice(index)) {
      slice.end = Math.max(time, slice.start);
      slice.args = { ...slice.args, ...args };
    }
  }

  private instant(event: TraceEvent, tid: number): void {
    const { kind, time, nid } = event;
    const name = kindName(kind);
    this.instants.push({
      ph: "i",
      s: "t",
      name,
      cat: name.split(".")[0]!,
      pid: pidOf(nid),
      tid,
      ts: microseconds(time),
      args: { fields: this.text(event) },
    });
  }

  private message(event: TraceEvent, tid: number, nextTime: number): void {
    const { nid, time, kind } = event;
    const fields = this.text(event);
    const isStart = kind === EventKind.MSG_SEND;
    const id = this.flows.get(event);
    const [operation, peer] = fields.split(" ").map((part) => part.split("=")[1] ?? part);
    const name = isStart ? `send ${operation} to ${peer}` : `receive ${operation} from ${peer}`;
    const args: ChromeArguments = isStart && id === undefined ? { fields, arrived: "not in this trace" } : { fields };
    const end = Math.min(time + MESSAGE_NS, nextTime - 1);
    this.slices.push({
      name,
      category: "message",
      pid: pidOf(nid),
      tid,
      start: time,
      end,
      args,
      ...(id === undefined ? {} : { flow: { id, isStart } }),
    });
  }

  private text(event: TraceEvent): string {
    return decodeFields(event, { style: "full", nameOf: this.nameOf });
  }

  /** Steps and running ranks. Slices that overlap on a node without nesting go to additional tracks. */
  private addJobs(): void {
    const stretches = jobSteps(this.events).map(({ step, nid, job, start, end }) => ({
      nid,
      start,
      end,
      name: `${step} ${stepNames[step]}`,
      category: "job step",
      args: { job, step },
    }));
    const running = new Map<string, TraceEvent>();
    const ranks: typeof stretches = [];
    for (const event of this.events) {
      const key = `${event.nid}.${Number(event.words[0])}`;
      if (event.kind === EventKind.JOB_START) running.set(key, event);
      if (event.kind !== EventKind.JOB_EXIT) continue;
      const started = running.get(key);
      if (started === undefined) continue;
      const [job, rank] = started.words.map(Number) as [number, number];
      ranks.push({
        nid: event.nid,
        start: started.time,
        end: event.time,
        name: `rank ${rank}`,
        category: "job",
        args: { job, step: 0 },
      });
    }
    const lanes = new Map<number, number[]>();
    for (const { nid, start, end, name, category, args } of [...stretches, ...ranks].sort(
      (a, b) => a.start - b.start,
    )) {
      const ends = lanes.get(nid) ?? [];
      lanes.set(nid, ends);
      const free = ends.findIndex((busyUntil) => busyUntil <= start);
      const lane = free < 0 ? ends.length : free;
      ends[lane] = end;
      const tid = tidOf(nid, Lane.JOB + lane);
      if (!this.threads.has(tid))
        this.threads.set(tid, { nid, name: lane === 0 ? "job" : `job (${lane + 1})`, order: lane - Lane.JOB });
      this.slices.push({ name, category, pid: pidOf(nid), tid, start, end, args });
    }
  }

  /** Per thread in nesting order; a flow directly follows the start of its slice, to which it binds. */
  private sliceEvents(): ChromeEvent[] {
    const byThread = new Map<number, Slice[]>();
    for (const slice of this.slices) {
      const list = byThread.get(slice.tid);
      if (list === undefined) byThread.set(slice.tid, [slice]);
      else list.push(slice);
    }
    const events: ChromeEvent[] = [];
    const end = ({ name, pid, tid, args, end: at }: Slice): void =>
      void events.push({ ph: "E", name, pid, tid, ts: microseconds(at), args });
    for (const slices of byThread.values()) {
      const open: Slice[] = [];
      // The sort is stable: of equal slices, the earlier one is outside.
      for (const slice of slices.sort(
        (x, y) => x.start - y.start || Number(isEmpty(y)) - Number(isEmpty(x)) || y.end - x.end,
      )) {
        while (open.length > 0 && isBefore(open.at(-1)!, slice)) end(open.pop()!);
        const outer = open.at(-1);
        if (outer !== undefined && slice.end > outer.end)
          throw new Error(`trace export: '${slice.name}' at ${slice.start} ns ends behind '${outer.name}' around it`);
        const { name, category, pid, tid, args, flow } = slice;
        const ts = microseconds(slice.start);
        events.push({ ph: "B", name, cat: category, pid, tid, ts, args });
        if (flow !== undefined) {
          const arrow = { name: "message", cat: "message", pid, tid, ts, id: flow.id };
          events.push(flow.isStart ? { ph: "s", ...arrow } : { ph: "f", bp: "e", ...arrow });
        }
        open.push(slice);
      }
      while (open.length > 0) end(open.pop()!);
    }
    return events;
  }

  private metadata(): ChromeEvent[] {
    const nids = [...new Set([...this.threads.values()].map(({ nid }) => nid))].sort((a, b) => a - b);
    const processes = nids.flatMap((nid): ChromeEvent[] => [
      {
        ph: "M",
        name: "process_name",
        pid: pidOf(nid),
        tid: 0,
        ts: 0,
        args: { name: nid === SERVICE_NID ? "n0 service and I/O node" : `n${nid}` },
      },
      { ph: "M", name: "process_sort_index", pid: pidOf(nid), tid: 0, ts: 0, args: { sort_index: nid } },
    ]);
    const threads = [...this.threads]
      .sort(([a], [b]) => a - b)
      .flatMap(([tid, { nid, name, order }]): ChromeEvent[] => [
        { ph: "M", name: "thread_name", pid: pidOf(nid), tid, ts: 0, args: { name } },
        { ph: "M", name: "thread_sort_index", pid: pidOf(nid), tid, ts: 0, args: { sort_index: order } },
      ]);
    return [...processes, ...threads];
  }
}

/**
 * Ids of messages that arrived, for both of their events. Pairs as in DeliveryChecker: per ordered pair of nodes, in
 * order.
 */
export function matchMessages(events: readonly TraceEvent[]): ReadonlyMap<TraceEvent, number> {
  const ids = new Map<TraceEvent, number>();
  const sent = new Map<string, TraceEvent[]>();
  let count = 0;
  for (const event of events) {
    const { kind, nid, words } = event;
    if ((kind !== EventKind.MSG_SEND && kind !== EventKind.MSG_RECEIVE) || Number(words[0]) === Operation.ACKNOWLEDGE)
      continue;
    const peer = Number(words[1]);
    const key = [...(kind === EventKind.MSG_SEND ? [nid, peer] : [peer, nid]), words[0], words[2], words[3]]
      .map(String)
      .join(" ");
    const queue = sent.get(key);
    if (kind === EventKind.MSG_SEND) {
      if (queue === undefined) sent.set(key, [event]);
      else queue.push(event);
      continue;
    }
    const start = queue?.shift();
    if (start === undefined) continue;
    ids.set(start, ++count);
    ids.set(event, count);
  }
  return ids;
}
