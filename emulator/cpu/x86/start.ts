/**
 * The start states of a core: INIT (Intel SDM vol. 3, table 9-1), SIPI (8.4.4.1) and PVH (QEMU hw/i386/x86.c, Xen's
 * "PVH" boot ABI). All MSRs except EFER, and the FPU and SSE state, survive INIT.
 */
import { Cr0, Rflags, Selector } from "../../abi/x86.ts";
import type { Segment } from "../engine.ts";
import { SegmentIndex } from "./access.ts";

export interface StartState {
  readonly cr0: number;
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly segments: readonly Segment[];
  /** By the number of the general register; all others are 0. */
  readonly gpr: ReadonlyMap<number, bigint>;
}

/** DR0 to DR7 after reset and INIT. */
export const DEBUG_AT_START: readonly bigint[] = [0n, 0n, 0n, 0n, 0n, 0n, 0xffff_0ff0n, 0x400n];

const realData: Segment = { selector: 0, base: 0n, limit: 0xffff, flags: 0x9300 };
const noLdt: Segment = { selector: 0, base: 0n, limit: 0xffff, flags: 0x8200 };
const noTask: Segment = { selector: 0, base: 0n, limit: 0xffff, flags: 0x8b00 };

/** In the order of SegmentIndex. */
function segments(code: Segment, data: Segment, task: Segment): Segment[] {
  const list: Segment[] = [];
  for (const index of [SegmentIndex.ES, SegmentIndex.SS, SegmentIndex.DS, SegmentIndex.FS, SegmentIndex.GS])
    list[index] = data;
  list[SegmentIndex.CS] = code;
  list[SegmentIndex.LDTR] = noLdt;
  list[SegmentIndex.TR] = task;
  return list;
}

/** After INIT, RDX holds the processor's signature: EAX of CPUID leaf 1. */
export const initState = (signature: number): StartState => ({
  cr0: Cr0.CD | Cr0.NW | Cr0.ET,
  rip: 0xfff0n,
  rflags: BigInt(Rflags.ONE),
  segments: segments({ selector: 0xf000, base: 0xffff_0000n, limit: 0xffff, flags: 0x9b00 }, realData, noTask),
  gpr: new Map([[2, BigInt(signature)]]),
});

/** SIPI changes only CS:IP of the INIT state. */
export const startupSegment = (page: number): Segment => ({
  selector: page << 8,
  base: BigInt(page << 12),
  limit: 0xffff,
  flags: 0x9b00,
});

export const pvhState = (entry: number, startInfo: number): StartState => ({
  cr0: Cr0.PE | Cr0.ET,
  rip: BigInt(entry),
  rflags: BigInt(Rflags.ONE),
  segments: segments(
    { selector: Selector.KERNEL_CODE, base: 0n, limit: 0xffff_ffff, flags: 0x00cf_9b00 },
    { selector: Selector.KERNEL_DATA, base: 0n, limit: 0xffff_ffff, flags: 0x00cf_9300 },
    { selector: 0, base: 0n, limit: 0x67, flags: 0x8b00 },
  ),
  gpr: new Map([[3, BigInt(startInfo)]]),
});
