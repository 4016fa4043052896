/**
 * What page walk, TLB, event delivery and the SYSCALL transition need of a processor: its registers and its memory. An
 * engine implements these interfaces on its own state; tests implement them on plain objects.
 *
 * Linear addresses are two unsigned 32-bit halves (`low`, `high`) on hot paths of translation, and bigint where
 * registers are bigint. Physical addresses are numbers (at most 52 bits).
 */
import type { Segment } from "../engine.ts";

/** Kinds of access, numbered as the bits of a grant: bit 0 read, 1 write, 2 fetch. */
export const ACCESS_READ = 0;
export const ACCESS_WRITE = 1;
export const ACCESS_FETCH = 2;
export type AccessKind = 0 | 1 | 2;

/** The privilege of an access (Intel SDM vol. 3, 4.6). */
export const PRIVILEGE_SUPERVISOR = 0;
export const PRIVILEGE_USER = 1;
/** Descriptor tables and TSS: supervisor whatever the CPL is; RFLAGS.AC does not allow access to user pages. */
export const PRIVILEGE_IMPLICIT = 2;
export type Privilege = 0 | 1 | 2;

/** The registers that translation depends on. */
export interface PagingRegisters {
  readonly cr0: number;
  /** Physical address and flags, up to 52 bits. */
  readonly cr3: number;
  readonly cr4: number;
  readonly efer: number;
  /** RFLAGS.AC: with SMAP, the kernel may touch user pages. */
  readonly alignmentCheck: boolean;
}

/** RAM as the page walk sees it. */
export interface PhysicalMemory {
  /** RAM as little-endian 32-bit words; index = offset / 4. */
  readonly words: Uint32Array;
  /** Offset of a physical address in RAM, or -1 outside RAM. */
  offsetOf(physical: number): number;
  /** The walk has set accessed or dirty bits at this offset. */
  written(offset: number): void;
}

/** Segment register numbers in the processor's encoding order, then the two system registers. */
export const SegmentIndex = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5, LDTR: 6, TR: 7 } as const;
export type SegmentIndex = (typeof SegmentIndex)[keyof typeof SegmentIndex];

export interface TableRegister {
  readonly base: bigint;
  readonly limit: number;
}

/** The processor as event delivery and SYSCALL see it. */
export interface CpuAccess {
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
  cr2: bigint;
  rip: bigint;
  /** Without RF, which exists only in pushed images. */
  rflags: bigint;
  readonly cpl: number;
  /** For one instruction after STI and MOV SS. */
  interruptShadow: boolean;
  gpr(index: number): bigint;
  setGpr(index: number, value: bigint): void;
  segment(index: SegmentIndex): Segment;
  /** Loads the selector and the hidden part. CS also sets the CPL, from the selector. */
  setSegment(index: SegmentIndex, segment: Segment): void;
  readonly gdtr: TableRegister;
  readonly idtr: TableRegister;
  /** Little-endian access of 1, 2, 4 or 8 bytes at a linear address. Throws Fault. */
  readLinear(address: bigint, bytes: number, privilege: Privilege): bigint;
  writeLinear(address: bigint, bytes: number, value: bigint, privilege: Privilege): void;
  /** Throws #AC if a program's access is not aligned, unless `readLinear` and `writeLinear` check it. */
  checkAlignment?(address: bigint, bytes: number): void;
  /** A write without effect: throws the Fault that the write would raise. */
  checkWrite(address: bigint, bytes: number, privilege: Privilege): void;
}

/** The MSRs that SYSCALL reads. */
export interface SyscallRegisters {
  readonly star: bigint;
  readonly lstar: bigint;
  readonly cstar: bigint;
  readonly fmask: bigint;
}

/** An exception raised while the processor acts on its own, for example while it pushes an interrupt frame. */
export class Fault extends Error {
  constructor(
    readonly vector: number,
    readonly errorCode: number,
    /** For #PF: the address for CR2. */
    readonly address?: bigint,
  ) {
    super(`exception ${vector} error code 0x${errorCode.toString(16)}`);
  }
}

/** The guest uses a feature that this model deliberately omits: the machine stops instead of guessing. */
export class UnsupportedFeature extends Error {}
