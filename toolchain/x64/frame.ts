/**
 * The stack frame:
 *
 *   rbp + 16 …  stack arguments of this function
 *   rbp +  8    return address
 *   rbp         the caller's rbp
 *   rbp −  8 …  callee-saved registers that the function uses
 *               frame objects (allocas), spill slots
 *   rsp …       stack arguments of the calls it makes; rsp is a multiple of 16 throughout
 *
 * Every function that calls, or that needs memory of its own, has rbp as frame pointer, so that a backtrace just
 * follows the chain. A leaf without either has no frame; it may still push callee-saved registers.
 */
import { CALLEE_SAVED, CALLEE_SAVED_MASK } from "./abi.ts";
import { FIRST_SLOT, type PlacedFunction } from "./regalloc-place.ts";

/** In every function with a frame, rbp + 16 is the CFA (the stack pointer before the call). */
export const CFA_FROM_RBP = 16;

export interface Frame {
  readonly hasPointer: boolean;
  /** In the order in which they are pushed. */
  readonly saved: readonly number[];
  /** Bytes below the saved registers. */
  readonly size: number;
  /** Offsets from rbp: by object number, by slot number. */
  readonly objects: readonly number[];
  readonly slots: readonly number[];
}

export function layOutFrame(placed: PlacedFunction): Frame {
  const { f, slotCount } = placed;
  const used = usedRegisters(placed);
  const saved = CALLEE_SAVED.filter((r) => used & (1 << r));
  const hasPointer = f.hasCalls || f.hasIncomingStack || f.objects.length > 0 || slotCount > 0;
  let depth = 8 * saved.length;
  const slots = Array.from({ length: slotCount }, () => -(depth += 8));
  // Small objects first, so that a one-byte displacement reaches them.
  const objects = new Array<number>(f.objects.length).fill(0);
  const order = f.objects.map((_, i) => i).sort((a, b) => f.objects[a].size - f.objects[b].size);
  for (const i of order) {
    const { size, align } = f.objects[i];
    depth = Math.ceil((depth + size) / align) * align;
    objects[i] = -depth;
  }
  const total = Math.ceil((depth + f.outgoingBytes) / 16) * 16;
  return { hasPointer, saved, size: hasPointer ? total - 8 * saved.length : 0, objects, slots };
}

function usedRegisters(placed: PlacedFunction): number {
  let mask = 0;
  for (const { code } of placed.blocks) {
    for (const { instr, locations } of code) {
      mask |= instr.earlyDefs;
      for (const location of locations) if (location >= 0 && location < FIRST_SLOT) mask |= 1 << location;
    }
  }
  return mask & CALLEE_SAVED_MASK;
}
