/**
 * The calling convention: System V AMD64 (psABI 1.0, section 3.2), for integers, pointers and f64.
 * Bits of a register or stack slot above the width of the argument's type are undefined. No red zone: interrupts use
 * the same stack.
 */
import type { Type } from "../ir/ops.ts";
import { R10, R11, R12, R13, R14, R15, R8, R9, RAX, RBX, RCX, RDI, RDX, RSI, XMM0, XMM_SCRATCH } from "./machine.ts";

const maskOf = (regs: readonly number[]): number => regs.reduce((mask, r) => mask | (1 << r), 0);
const vectors = Array.from({ length: 16 }, (_, i) => XMM0 + i);

export const INTEGER_ARGUMENTS = [RDI, RSI, RDX, RCX, R8, R9] as const;
export const VECTOR_ARGUMENTS = vectors.slice(0, 8);
export const INTEGER_RESULT = RAX;
export const VECTOR_RESULT = XMM0;
export const CALLEE_SAVED = [RBX, R12, R13, R14, R15] as const;
export const CALLEE_SAVED_MASK = maskOf(CALLEE_SAVED);
export const CALLER_SAVED_MASK = maskOf([RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11, ...vectors]);

/**
 * In order of preference: short encodings first, registers that a function must save last. Never rsp and rbp (the frame
 * pointer).
 */
export const ALLOCATABLE_INTEGER = [RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11, RBX, R12, R13, R14, R15] as const;
export const ALLOCATABLE_VECTOR = vectors.filter((r) => r !== XMM_SCRATCH);

/** Where an argument is: a register, or bytes above the stack pointer at the call. */
export type ArgumentPlace = { readonly reg: number } | { readonly offset: number };

export function placeArguments(types: readonly Type[]): { places: ArgumentPlace[]; stackBytes: number } {
  let integers = 0;
  let floats = 0;
  let stackBytes = 0;
  const places = types.map((type): ArgumentPlace => {
    if (type === "f64" && floats < VECTOR_ARGUMENTS.length) return { reg: VECTOR_ARGUMENTS[floats++] };
    if (type !== "f64" && integers < INTEGER_ARGUMENTS.length) return { reg: INTEGER_ARGUMENTS[integers++] };
    stackBytes += 8;
    return { offset: stackBytes - 8 };
  });
  return { places, stackBytes };
}
