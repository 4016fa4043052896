/**
 * What a debug value watches, as the machine knows it: a constant, an address, a place of the frame, or a register and what to add to it.
 * A value that no register was asked for (folded into its users, or removed) is told from others where that needs no more than a sum.
 *
 * Values that live in registers are named by number: virtual registers by their own, what a parameter held at entry by
 * PARAMETER − index (negative), so that it can be followed from the argument's register on whoever else gets it.
 */
import type { DebugValue, Instr } from "../ir/ir.ts";
import { widthOf } from "../ir/ops.ts";
import type { Selector } from "./select.ts";
import { isZeroExtended } from "./select-integer.ts";

/** Numbers of the parameters' values: PARAMETER, PARAMETER − 1 … */
export const PARAMETER = -2;

export type Told =
  | { readonly kind: "constant"; readonly value: bigint }
  | { readonly kind: "symbol"; readonly symbol: string; readonly addend: bigint }
  /** The address of a frame object. */
  | { readonly kind: "object"; readonly object: number; readonly addend: bigint }
  | { readonly kind: "value"; readonly value: number; readonly addend: bigint };

/** Some bytes of a variable from here on; null = unknown. */
export interface Mark {
  readonly offset: number;
  readonly bytes: number;
  readonly told: Told | null;
  readonly indirect: boolean;
}

const MAX_DEPTH = 6;

export function tell(s: Selector, { watched, indirect, offset, bytes }: DebugValue): Mark[] {
  if (watched === null) return [{ offset, bytes, told: null, indirect }];
  // Widening leaves the upper bytes zero: they are a piece of their own.
  if (!indirect && watched.op === "zext" && !inRegister(s, watched)) {
    const low = bytesOf(watched.args[0]);
    if (low < bytes && !isZeroExtended(watched.args[0])) {
      const zeros: Mark = { offset: offset + low, bytes: bytes - low, told: { kind: "constant", value: 0n }, indirect };
      return [{ offset, bytes: low, told: toldOf(s, watched.args[0], 0), indirect }, zeros];
    }
  }
  return [{ offset, bytes, told: toldOf(s, watched, 0), indirect }];
}

const bytesOf = (instr: Instr): number => (instr.type === "void" ? 0 : widthOf[instr.type] / 8);
const inRegister = (s: Selector, instr: Instr): boolean => s.instrs[instr.id] === instr && s.registers[instr.id] !== 0;

/** Bits above the type's width may be anything. */
function toldOf(s: Selector, instr: Instr, depth: number): Told | null {
  switch (instr.op) {
    case "const":
      return { kind: "constant", value: instr.imm };
    case "fconst":
      return { kind: "constant", value: new BigUint64Array(new Float64Array([instr.float]).buffer)[0] };
    case "symbol":
      return { kind: "symbol", symbol: instr.symbol, addend: BigInt.asIntN(64, instr.imm) };
    case "param":
      return { kind: "value", value: PARAMETER - instr.index, addend: 0n };
    case "alloca": {
      const object = s.knownObject(instr);
      return object === null || instr.align > 16 ? null : { kind: "object", object, addend: 0n };
    }
  }
  if (inRegister(s, instr)) return { kind: "value", value: s.registers[instr.id], addend: 0n };
  if (depth === MAX_DEPTH) return null;
  const [a, b] = instr.args;
  switch (instr.op) {
    case "trunc":
      return toldOf(s, a, depth + 1);
    case "zext":
      return isZeroExtended(a) ? toldOf(s, a, depth + 1) : null;
    case "add":
    case "sub": {
      if (b.op === "const") return plus(toldOf(s, a, depth + 1), instr.op === "add" ? b : negated(b));
      return a.op === "const" && instr.op === "add" ? plus(toldOf(s, b, depth + 1), a) : null;
    }
    default:
      return null;
  }
}

const signed = (instr: Instr): bigint => BigInt.asIntN(8 * bytesOf(instr), instr.imm);
const negated = (instr: Instr): bigint => -signed(instr);
function plus(told: Told | null, by: Instr | bigint): Told | null {
  if (told === null) return null;
  const addend = typeof by === "bigint" ? by : signed(by);
  return told.kind === "constant" ? { ...told, value: told.value + addend } : { ...told, addend: told.addend + addend };
}
