/**
 * Drains the trace rings that the kernel writes into its own memory (kernel/abi/events.ts, link name `trace_rings`):
 * one per core, at interleave boundaries, by reading RAM. This costs the guest nothing and is invisible to it. The
 * machine drains often enough that a ring of 256 records does not overflow; an overflow would lose records, so it is an
 * error.
 */
import { TRACE_RING_RECORDS, TraceRecord, TraceRing } from "../abi/events.ts";
import type { TraceSink } from "./sink.ts";

export const TRACE_RINGS_SYMBOL = "trace_rings";
const RECORDS = TraceRing.OFFSETS.records;
const { time: TIME, kind: KIND, words: WORDS } = TraceRecord.OFFSETS;

/** A ring overflowed between two drains. */
export class TraceOverflow extends Error {}

export class RingReader {
  /** Records read so far, per core; the low 32 bits are compared, as the counter is 64 bits wide. */
  private readonly seen: Uint32Array;
  private readonly words: bigint[] = [0n, 0n, 0n, 0n];

  /** `offset`: offset of trace_rings in `view`. */
  constructor(
    private readonly nid: number,
    cores: number,
    private readonly view: DataView,
    private readonly offset: number,
    private readonly sink: TraceSink,
  ) {
    this.seen = new Uint32Array(cores);
  }

  drain(core: number): void {
    const ring = this.offset + core * TraceRing.SIZE;
    const written = this.view.getUint32(ring, true);
    let next = this.seen[core];
    if (written === next) return;
    const count = (written - next) >>> 0;
    if (count > TRACE_RING_RECORDS) {
      throw new TraceOverflow(
        `trace: ring of n${this.nid}.c${core} overflowed: ${count} records since it was drained, it holds ${TRACE_RING_RECORDS}`,
      );
    }
    for (; next !== written; next = (next + 1) >>> 0) {
      const at = ring + RECORDS + (next & (TRACE_RING_RECORDS - 1)) * TraceRecord.SIZE;
      for (let i = 0; i < 4; i++) this.words[i] = this.view.getBigUint64(at + WORDS + 8 * i, true);
      this.sink.emit(
        this.nid,
        core,
        Number(this.view.getBigUint64(at + TIME, true)),
        this.view.getUint16(at + KIND, true),
        [...this.words],
      );
    }
    this.seen[core] = written;
  }
}
