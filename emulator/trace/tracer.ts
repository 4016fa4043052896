/**
 * Collects events from all sources and passes them on in one order: time, nid, core, order of emission. Nodes run
 * independently within a window, so events arrive out of order; `flush` tells up to which time they are complete. The
 * kernel's records come from `RingReader` with the time that the kernel read before it finished the record. They may be
 * a few instructions late, so the newest SLACK_NS wait for the next flush.
 */
import type { TraceSink } from "./sink.ts";

export interface TraceEvent {
  readonly nid: number;
  /** -1: no core. */
  readonly core: number;
  readonly time: number;
  readonly kind: number;
  readonly words: readonly (number | bigint | string)[];
}
export interface TraceConsumer {
  event(event: TraceEvent): void;
  end?(): void;
}

const SLACK_NS = 1000;

export class Tracer implements TraceSink {
  readonly enabled = true;
  private pending: TraceEvent[] = [];

  constructor(private readonly consumers: readonly TraceConsumer[]) {}

  emit(nid: number, core: number, time: number, kind: number, words: readonly (number | bigint | string)[]): void {
    this.pending.push({ nid, core, time, kind, words });
  }

  flush(time: number): void {
    if (this.pending.length > 0) this.deliver(time - SLACK_NS);
  }

  /** The run has ended: passes on everything. */
  end(): void {
    this.deliver(Number.POSITIVE_INFINITY);
    for (const consumer of this.consumers) consumer.end?.();
  }

  private deliver(before: number): void {
    const later: TraceEvent[] = [];
    const due: TraceEvent[] = [];
    for (const event of this.pending) (event.time < before ? due : later).push(event);
    this.pending = later;
    // The sort is stable: order of emission decides last.
    due.sort((a, b) => a.time - b.time || a.nid - b.nid || a.core - b.core);
    for (const event of due) for (const consumer of this.consumers) consumer.event(event);
  }
}

/** Keeps the events, for checkers and golden traces. */
export class EventList implements TraceConsumer {
  readonly events: TraceEvent[] = [];
  event(event: TraceEvent): void {
    this.events.push(event);
  }
}
