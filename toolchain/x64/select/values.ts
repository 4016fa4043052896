/** What is known of an IR value without requesting it: its width, its constant value, the bits above its type. */
import type { Instr } from "../../ir/ir.ts";
import { type Type, widthOf } from "../../ir/ops.ts";
import type { Width } from "../machine.ts";

export const bits = (type: Type): Width => (type === "void" ? 64 : (widthOf[type] as Width));

/** The signed value of a constant. */
export const constantOf = (instr: Instr): bigint | null =>
  instr.op === "const" ? BigInt.asIntN(bits(instr.type), instr.imm) : null;
/** The same if it fits a sign-extended 32-bit immediate. */
export function shortImmediate(instr: Instr): bigint | null {
  const value = constantOf(instr);
  return value !== null && value === BigInt.asIntN(32, value) ? value : null;
}
/** k if `instr` is the constant 2^k (as unsigned), else −1. */
export function powerOfTwo(instr: Instr): number {
  if (instr.op !== "const" || instr.imm === 0n || (instr.imm & (instr.imm - 1n)) !== 0n) return -1;
  return instr.imm.toString(2).length - 1;
}

const ZERO_EXTENDING = new Set([
  "add",
  "sub",
  "mul",
  "and",
  "or",
  "xor",
  "udiv",
  "sdiv",
  "urem",
  "srem",
  "load",
  "zext",
  "sext",
  "const",
  "select",
  "bswap",
]);
/**
 * Whether the register of `instr` holds zeros above its type's width. For a phi this is true if it is for all operands;
 * a phi under examination is assumed to be.
 */
export function isZeroExtended(instr: Instr, phis: Set<Instr> = new Set()): boolean {
  if (instr.op === "phi") {
    if (instr.type !== "i32" || phis.has(instr)) return instr.type === "i32";
    // Bounded: long chains of phis are not worthwhile.
    if (phis.size > 8) return false;
    phis.add(instr);
    return instr.args.every((arg) => isZeroExtended(arg, phis));
  }
  switch (instr.type) {
    case "i32":
      if (instr.op === "shl" || instr.op === "lshr" || instr.op === "ashr") return instr.args[1].op === "const";
      return ZERO_EXTENDING.has(instr.op);
    case "i8":
    case "i16":
      return instr.op === "load";
    default:
      return false;
  }
}
