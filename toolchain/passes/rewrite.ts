/**
 * What passes share: recording "use b instead of a" and applying it once, and asking what may be removed.
 * The IR keeps no use lists; a pass that needs them asks `usesOf` for the whole function.
 */
import { type Func, Instr, type Loc } from "../ir/ir.ts";
import { type Op, opInfo, ops, type Type } from "../ir/ops.ts";

// Asked for every instruction by every pass: one look-up, not one in the table for each property.
const effects: ReadonlySet<Op> = new Set((Object.keys(ops) as Op[]).filter((op) => opInfo(op).effect));
const pures: ReadonlySet<Op> = new Set(
  (Object.keys(ops) as Op[]).filter(
    (op) => op !== "phi" && op !== "param" && !opInfo(op).readsMemory && !opInfo(op).effect,
  ),
);

/** Values that stand in for others. Chains are followed; `apply` rewrites every operand of the function. */
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
  /** Rewrites operands; the replaced instructions are taken out of their blocks. */
  apply(func: Func): void {
    if (this.#map.size === 0) return;
    for (const block of func.blocks) {
      let removed = false;
      for (const instr of block.instrs) {
        if (this.#map.has(instr)) removed = true;
        const { args } = instr;
        for (let i = 0; i < args.length; i++) args[i] = this.resolve(args[i]);
        if (instr.debug?.watched) instr.debug.watched = this.resolve(instr.debug.watched);
      }
      if (removed) block.instrs = block.instrs.filter((i) => !this.#map.has(i));
    }
  }
}

/** A new instruction of the function, in no block yet. */
export function newInstr(func: Func, op: Op, type: Type, args: Instr[], loc: Loc): Instr {
  const instr = new Instr(op, type, args, loc);
  instr.id = func.nextId++;
  return instr;
}
export function newConst(func: Func, type: Type, value: bigint, loc: Loc): Instr {
  const instr = newInstr(func, "const", type, [], loc);
  instr.imm = value;
  return instr;
}

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
const minusOne = (c: Instr): bigint =>
  BigInt.asUintN({ i8: 8, i16: 16, i32: 32, i64: 64, f64: 64, void: 0 }[c.type], -1n);

/** Whether an instruction without uses may go. An alloca may: its address is all that it makes. */
export function isRemovable(instr: Instr): boolean {
  if (instr.op === "load") return !instr.volatile;
  return instr.op === "alloca" || !effects.has(instr.op) || isSafeDivision(instr);
}

/** Equal operands give an equal value, wherever it is computed: nothing of memory, control or traps. */
export const isPure = (instr: Instr): boolean => pures.has(instr.op) || isSafeDivision(instr);
