/**
 * Observers that write the trace: what the machine does with a node's cores, and the records from the kernel's own
 * rings.
 */
import { EventKind } from "../abi/events.ts";
import type { RingReader } from "../trace/rings.ts";
import type { TraceSink } from "../trace/sink.ts";
import type { NodeObserver } from "./observer.ts";
import type { CoreSlot } from "./slot.ts";

/** Origin of events: the node, and the current core and time (core -1: none). */
export interface Moment {
  readonly nid: number;
  readonly coreIndex: number;
  readonly now: number;
}

export class Tracing implements NodeObserver {
  constructor(
    private readonly trace: TraceSink,
    private readonly moment: Moment,
  ) {}

  interrupt({ index, core }: CoreSlot, vector: number): void {
    this.trace.emit(this.moment.nid, index, core.time, EventKind.IRQ_DELIVER, [vector]);
  }
  nmi({ index, core }: CoreSlot): void {
    this.trace.emit(this.moment.nid, index, core.time, EventKind.NMI_DELIVER, []);
  }
  init({ index, core }: CoreSlot): void {
    this.trace.emit(this.moment.nid, index, core.time, EventKind.CORE_INIT, []);
  }
  startup({ index, core }: CoreSlot, page: number): void {
    this.trace.emit(this.moment.nid, index, core.time, EventKind.CORE_STARTUP, [page]);
  }
  interprocessor(source: number, target: number, mode: number, vector: number): void {
    this.trace.emit(this.moment.nid, source, this.moment.now, EventKind.IPI_ICR, [target, mode, vector]);
  }
  endOfInterrupt(core: number, vector: number): void {
    this.trace.emit(this.moment.nid, core, this.moment.now, EventKind.IRQ_EOI, [vector]);
  }
  error(line: string): void {
    this.emit(EventKind.DEVICE_ERROR, [line]);
  }
  exit(why: string, status: number): void {
    this.emit(EventKind.NODE_EXIT, [`${why} ${status}`]);
  }
  consoleLine(line: string): void {
    if (this.trace.enabled) this.emit(EventKind.CONSOLE, [Buffer.from(line, "latin1").toString("utf8")]);
  }

  private emit(kind: number, words: readonly string[]): void {
    const { nid, coreIndex, now } = this.moment;
    this.trace.emit(nid, coreIndex, now, kind, words);
  }
}

/** The kernel writes its trace records into one ring per core; this observer drains the rings after every run. */
export class KernelRings implements NodeObserver {
  constructor(private readonly rings: RingReader) {}

  ran({ index }: CoreSlot): void {
    this.rings.drain(index);
  }
}
