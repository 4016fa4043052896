/**
 * Segment descriptors, gates and TSS fields (Intel SDM vol. 3, 3.4.5, 6.11, 6.14.1, 7.2.1, 7.7). A descriptor is read
 * as a 64-bit value; a long-mode system descriptor and an IDT gate have a second one.
 */
import type { Segment } from "../engine.ts";
import { type CpuAccess, Fault, PRIVILEGE_IMPLICIT } from "./access.ts";

/** Bits of `Segment.flags` (the descriptor's high word, bits at their places). */
export const SegmentFlag = {
  ACCESSED: 1 << 8,
  /** Data: writable. Code: readable. */
  WRITABLE: 1 << 9,
  /** Code: conforming. Data: expand down. */
  CONFORMING: 1 << 10,
  CODE: 1 << 11,
  /** Code or data, not a system descriptor. */
  NON_SYSTEM: 1 << 12,
  DPL_SHIFT: 13,
  PRESENT: 1 << 15,
  LONG: 1 << 21,
  /** Default size 32. */
  BIG: 1 << 22,
  GRANULARITY: 1 << 23,
} as const;

/** The bits of the descriptor's high word that `Segment.flags` keeps. The limit's bits between them are 0. */
export const SEGMENT_FLAGS = 0x00f0_ff00;

/** Types of system descriptors and gates. */
export const SystemType = {
  TSS16_BUSY: 3,
  TASK_GATE: 5,
  INTERRUPT_GATE16: 6,
  TRAP_GATE16: 7,
  TSS32_BUSY: 11,
  INTERRUPT_GATE32: 14,
  TRAP_GATE32: 15,
} as const;

export interface Descriptor {
  readonly base: bigint;
  /** In bytes, granularity applied. */
  readonly limit: number;
  readonly flags: number;
}

export function decodeDescriptor(value: bigint): Descriptor {
  const low = Number(value & 0xffff_ffffn);
  const high = Number(value >> 32n);
  const limit = ((high & 0x000f_0000) | (low & 0xffff)) >>> 0;
  return {
    base: BigInt(((high & 0xff00_0000) | ((high & 0xff) << 16) | (low >>> 16)) >>> 0),
    limit: high & SegmentFlag.GRANULARITY ? (limit * 4096 + 0xfff) >>> 0 : limit,
    flags: high & SEGMENT_FLAGS,
  };
}

export const descriptorDpl = (flags: number): number => (flags >>> SegmentFlag.DPL_SHIFT) & 3;
export const isPresent = (flags: number): boolean => (flags & SegmentFlag.PRESENT) !== 0;
export const isCode = (flags: number): boolean =>
  (flags & (SegmentFlag.NON_SYSTEM | SegmentFlag.CODE)) === (SegmentFlag.NON_SYSTEM | SegmentFlag.CODE);
export const isWritableData = (flags: number): boolean =>
  (flags & (SegmentFlag.NON_SYSTEM | SegmentFlag.CODE | SegmentFlag.WRITABLE)) ===
  (SegmentFlag.NON_SYSTEM | SegmentFlag.WRITABLE);

/** Selector without its RPL, as in an error code. */
export const selectorError = (selector: number): number => selector & 0xfffc;

/**
 * Reads a code or data descriptor from GDT or LDT. A selector past the table's end raises `vector` with the selector as
 * error code.
 */
export function readDescriptor(cpu: CpuAccess, selector: number, vector: number, external: number): Descriptor {
  let base = cpu.gdtr.base;
  let limit = cpu.gdtr.limit;
  if (selector & 4) {
    const ldtr = cpu.segment(6);
    base = ldtr.base;
    limit = ldtr.limit;
    if (!isPresent(ldtr.flags)) limit = -1;
  }
  const index = selector & 0xfff8;
  if (index + 7 > limit) throw new Fault(vector, selectorError(selector) | external);
  return decodeDescriptor(cpu.readLinear(base + BigInt(index), 8, PRIVILEGE_IMPLICIT));
}

/** The hidden part after a load of this descriptor. */
export const loadedSegment = (selector: number, descriptor: Descriptor): Segment => ({
  selector,
  base: descriptor.base,
  limit: descriptor.limit,
  flags: descriptor.flags | SegmentFlag.ACCESSED,
});

export interface Gate {
  readonly type: number;
  readonly dpl: number;
  readonly present: boolean;
  readonly selector: number;
  readonly offset: bigint;
  /** Long mode only. */
  readonly ist: number;
}

/** `high` is the second half of a long-mode gate, or 0 for a legacy gate. */
export function decodeGate(low: bigint, high: bigint): Gate {
  return {
    type: Number((low >> 40n) & 0x1fn),
    dpl: Number((low >> 45n) & 3n),
    present: ((low >> 47n) & 1n) !== 0n,
    selector: Number((low >> 16n) & 0xffffn),
    offset: (low & 0xffffn) | ((low >> 32n) & 0xffff_0000n) | ((high & 0xffff_ffffn) << 32n),
    ist: Number((low >> 32n) & 7n),
  };
}
