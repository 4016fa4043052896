/**
 * Shared by passes: recording "use b instead of a" and applying it once, and deciding what may be removed. The IR keeps
 * no use lists; a pass that needs them calls `usesOf` for the whole function.
 */
import { make, numbered } from "../ir/builder.ts";
import type { Func, Instr, IntConst, Loc, Plain, PlainOp } from "../ir/ir.ts";
import { type Op, opInfo, ops, type Type } from "../ir/ops.ts";

// Every pass asks this for every instruction, so one set replaces several table look-ups.
const effects: ReadonlySet<Op> = new Set((Object.keys(ops) as Op[]).filter((op) => opInfo(op).effect));
const pures: ReadonlySet<Op> = new Set(
  (Object.keys(ops) as Op[]).filter(
    (op) => op !== "phi" && op !== "param" && !opInfo(op).readsMemory && !opInfo(op).effect,
  ),
);

const foldables: ReadonlySet<Op> = new Set(
  (Object.keys(ops) as Op[]).filter((op) => opInfo(op).operands > 0 && (pures.has(op) || opInfo(op).fold)),
);

/** Replacements of values by others. Chains are followed; `apply` rewrites every operand of the function. */
export class Replacements {
  readonly #map = new Map<Instr, Instr>();
  get size(): number {
    return this.#map.size;
  }
  set(from: Instr, to: Instr): void {
    this.#map.set(from, to);
  }
  has(instr: Instr): boolean {
    return this.#map.has(instr);
  }
  resolve(instr: Instr): Instr {
    let to = this.#map.get(instr);
    if (to === undefined) return instr;
    for (let next = this.#map.get(to); next !== undefined; next = this.#map.get(to)) to = next;
    this.#map.set(instr, to);
    return to;
  }
  /** Rewrites operands and removes the replaced instructions from their blocks. */
  apply(func: Func): void {
    if (this.#map.size === 0) return;
    for (const block of func.blocks) {
      let removed = false;
      for (const instr of block.instrs) {
        if (this.#map.has(instr)) removed = true;
        const { args } = instr;
        for (let i = 0; i < args.length; i++) args[i] = this.resolve(args[i]);
        if (instr.op === "dbg" && instr.debug.watched) instr.debug.watched = this.resolve(instr.debug.watched);
      }
      if (removed) block.instrs = block.instrs.filter((i) => !this.#map.has(i));
    }
  }
}

/** A new instruction of the function, in no block yet. */
export const newInstr = (func: Func, op: PlainOp, type: Type, args: Instr[], loc: Loc): Plain =>
  numbered(func, make.plain(op, type, args, loc));
export const newConst = (func: Func, type: Type, value: bigint, loc: Loc): IntConst =>
  numbered(func, make.intConst(type, value, loc));

/** Users of each value, once per operand. */
export function usesOf(func: Func): Map<Instr, Instr[]> {
  const uses = new Map<Instr, Instr[]>();
  for (const block of func.blocks) {
    for (const instr of block.instrs) {
      for (const arg of instr.args) {
        const list = uses.get(arg);
        if (list) list.push(instr);
        else uses.set(arg, [instr]);
      }
    }
  }
  return uses;
}

/** A division by a constant that can neither be zero nor overflow. */
export function isSafeDivision(instr: Instr): boolean {
  const divisor = instr.args[1];
  if (divisor?.op !== "const" || divisor.imm === 0n) return false;
  if (instr.op === "udiv" || instr.op === "urem") return true;
  return (instr.op === "sdiv" || instr.op === "srem") && divisor.imm !== minusOne(divisor);
}
const minusOne = (c: IntConst): bigint =>
  BigInt.asUintN({ i8: 8, i16: 16, i32: 32, i64: 64, f64: 64, void: 0 }[c.type], -1n);

export const isVolatile = (instr: Instr): boolean => (instr.op === "load" || instr.op === "store") && instr.volatile;

/** Whether an instruction without uses may be removed. An alloca may: it only produces its address. */
export function isRemovable(instr: Instr): boolean {
  if (instr.op === "load") return !instr.volatile;
  return instr.op === "alloca" || !effects.has(instr.op) || isSafeDivision(instr);
}

/** Equal operands give an equal value wherever it is computed: no dependence on memory or control, and no traps. */
export const isPure = (instr: Instr): boolean => pures.has(instr.op) || isSafeDivision(instr);

export const isDivision = (instr: Instr): instr is Plain =>
  instr.op === "udiv" || instr.op === "sdiv" || instr.op === "urem" || instr.op === "srem";

/** Whether constant operands give a constant. A division that would trap gives none (`evaluate`). */
export const isFoldable = (instr: Instr): instr is Plain => foldables.has(instr.op);
