/**
 * Events shown on the debugger's console as they happen. The machine's own events arrive through the sink with which
 * the machine was built. The kernel's are read from its rings between slices, so that a machine without a trace pays
 * nothing. Between two reads a ring may overflow, and its oldest records are missing here; a trace to a file is
 * separate and loses nothing.
 */
import { TRACE_RING_RECORDS, type TraceRecord, TraceRing } from "../../abi/events.ts";
import type { Machine } from "../../machine/machine.ts";
import type { Node } from "../../machine/node.ts";
import { fullLine } from "../../trace/format.ts";
import { TRACE_RINGS_SYMBOL } from "../../trace/rings.ts";
import { parseShow } from "../../trace/show.ts";
import type { TraceSink } from "../../trace/sink.ts";
import type { TraceEvent } from "../../trace/tracer.ts";

/** Instructions between two reads of the rings. */
export const TRACED_BUDGET = 1000;

export class LiveTrace {
  /** The list of events to show, as typed; undefined: none. */
  list: string | undefined;
  private shown: ReadonlySet<number> = new Set();
  private events: TraceEvent[] = [];
  /** Records read so far, by nid and core. */
  private readonly seen = new Map<string, number>();
  private machine: Machine | undefined;
  /** The run is traced: the machine drains the rings itself, and their records arrive through the sink. */
  private drained = false;

  /** `nameOf`: returns the symbol at an address. */
  constructor(private readonly nameOf: (address: bigint) => string | undefined) {}

  attach(machine: Machine): void {
    this.machine = machine;
  }

  /** Shows events from now on. Throws ShowError. */
  on(list: string): void {
    this.shown = parseShow(list);
    this.list = list;
    for (const node of this.machine?.nodes ?? []) this.read(node, false);
  }
  off(): void {
    this.list = undefined;
    this.events = [];
  }

  /** The machine's sink: passes everything to `base`, and to us while we are on. */
  sink(base: TraceSink): TraceSink {
    const self = this;
    this.drained = base.enabled;
    return {
      get enabled() {
        return base.enabled || self.list !== undefined;
      },
      emit(nid, core, time, kind, words) {
        base.emit(nid, core, time, kind, words);
        if (self.list !== undefined && self.shown.has(kind)) self.take({ nid, core, time, kind, words });
      },
      flush: (time) => base.flush?.(time),
    };
  }

  /** What has happened since the last call, as lines in order of time. */
  lines(): readonly string[] {
    if (this.list === undefined) return [];
    if (!this.drained) for (const node of this.machine?.nodes ?? []) this.read(node, true);
    const events = this.events.sort((a, b) => a.time - b.time || a.nid - b.nid || a.core - b.core);
    this.events = [];
    return events.map((event) => fullLine(event, this.nameOf));
  }

  private take(event: TraceEvent): void {
    this.events.push(event);
  }

  private read(node: Node, show: boolean): void {
    const symbol = node.symbols.find(TRACE_RINGS_SYMBOL);
    if (symbol === undefined) return;
    const core0 = node.engine.cores[0]!;
    for (let core = 0; core < node.engine.cores.length; core++) {
      const physical = core0.translate(symbol.address + BigInt(core * TraceRing.SIZE));
      if (physical === undefined || physical + TraceRing.SIZE > node.ram.length) continue;
      const ring = new TraceRing(node.view, physical);
      const written = Number(ring.written);
      const key = `${node.nid}.${core}`;
      const from = this.seen.get(key) ?? 0;
      this.seen.set(key, written);
      if (!show) continue;
      const first = Math.max(from, written - TRACE_RING_RECORDS);
      for (let n = first; n < written; n++) {
        const r: TraceRecord = ring.records(n % TRACE_RING_RECORDS);
        if (this.shown.has(r.kind))
          this.take({
            nid: node.nid,
            core,
            time: Number(r.time),
            kind: r.kind,
            words: [0, 1, 2, 3].map((i) => r.words(i)),
          });
      }
    }
  }
}
