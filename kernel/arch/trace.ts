/**
 * The flight recorder: fixed-size records in a ring per CPU, always on, read by the tracer without any guest cost and
 * by a panic. It is on the lowest floor because the interrupt wrapper and the shootdown record, too. A CPU writes only
 * its own ring, with interrupts off (as always in the kernel), so records are complete and in the order of their times.
 */
import { MAX_CPUS } from "../abi/memory.ts";
import { TRACE_RING_RECORDS, type TraceRing } from "../abi/events.ts";
import { readTsc } from "./cpu.ts";
import { cpuAt, thisCpu } from "./percpu.ts";

/**
 * @symbol trace_rings
 * @align 64
 * @keep
 */
export const traceRings: arr<TraceRing, 64> = zeroed();

/**
 * Fills in the CPU of all records in advance, so that the system-call entry, which writes its own records
 * (syscall/entry.ts), need not.
 */
export function recorderStart(index: u32): void {
  const ring = addr(traceRings[index]);
  for (let i: u32 = 0; i < TRACE_RING_RECORDS; i++) ring.records[i].cpu = u16(index);
  cpuAt(index).ring = cast<u64>(ring);
}

export function record(kind: u16, a: u64, b: u64, c: u64, d: u64): void {
  const index: u32 = thisCpu().index;
  const ring = addr(traceRings[index]);
  const at: u64 = ring.written;
  const r = addr(ring.records[at & u64(TRACE_RING_RECORDS - 1)]);
  r.time = readTsc();
  r.kind = kind;
  r.cpu = u16(index);
  r.words[0] = a;
  r.words[1] = b;
  r.words[2] = c;
  r.words[3] = d;
  // The tracer may read at any instruction, so publish the record once it is complete.
  volatileWrite(addr(ring.written), at + 1);
}

/** Number of records that CPU `index` has written. */
export function recordCount(index: u32): u64 {
  return index < MAX_CPUS ? traceRings[index].written : 0;
}
