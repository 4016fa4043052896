/**
 * How a value is described to a debugger, in terms of the machine: a constant, an address, a place of the frame, a
 * register, or something computed of these.
 *
 * Values in registers have numbers: a virtual register its own; the value of a parameter at entry PARAMETER − index
 * (negative), so that it can be followed from the argument's register to its copies.
 */
import type { DebugOperator } from "../../link/debug.ts";

/** Numbers of the parameters' values: PARAMETER, PARAMETER − 1 … */
export const PARAMETER = -2;

export type Told =
  | { readonly kind: "constant"; readonly value: bigint }
  | { readonly kind: "symbol"; readonly symbol: string; readonly addend: bigint }
  /** The address of a frame object. */
  | { readonly kind: "object"; readonly object: number; readonly addend: bigint }
  | { readonly kind: "value"; readonly value: number; readonly addend: bigint }
  | { readonly kind: "operation"; readonly op: DebugOperator; readonly args: readonly [Told, Told] }
  /** The value of a register at entry, by its number here. */
  | { readonly kind: "entry"; readonly register: number };

export interface Alternative {
  readonly told: Told;
  /**
   * Valid only after this value has been computed again and while the watched one is unchanged; null: from the start.
   */
  readonly once: number | null;
}
/** Some bytes of a variable from here on. */
export interface Mark {
  readonly offset: number;
  readonly bytes: number;
  /** The best first; empty = unknown. */
  readonly alternatives: readonly Alternative[];
  readonly indirect: boolean;
}

// ---- construction

export const constant = (value: bigint): Told => ({ kind: "constant", value: BigInt.asUintN(64, value) });

export function plus(told: Told | null, addend: bigint): Told | null {
  if (told === null) return null;
  if (told.kind === "constant") return constant(told.value + addend);
  if (told.kind === "operation") return operation("plus", told, constant(addend));
  if (told.kind === "entry") return null;
  return { ...told, addend: told.addend + addend };
}
export const less = (told: Told, by: Told | null): Told | null =>
  by?.kind === "constant" ? plus(told, -by.value) : operation("minus", told, by);

/** Only for values and constants: addresses of symbols and objects do not need it. */
export function operation(op: DebugOperator, a: Told | null, b: Told | null): Told | null {
  if (a === null || b === null) return null;
  const fits = (told: Told): boolean => told.kind === "value" || told.kind === "constant" || told.kind === "operation";
  return fits(a) && fits(b) ? { kind: "operation", op, args: [a, b] } : null;
}

/** With the bits above `bits` zero or sign-extended. */
export function widened(told: Told | null, bits: number, isSigned: boolean): Told | null {
  if (told === null || bits === 64) return told;
  if (told.kind === "constant")
    return constant(isSigned ? BigInt.asIntN(bits, told.value) : BigInt.asUintN(bits, told.value));
  if (!isSigned) return operation("and", told, constant((1n << BigInt(bits)) - 1n));
  const by = constant(BigInt(64 - bits));
  return operation("shra", operation("shl", told, by), by);
}

// ---- use

/** Calls back for each value that `told` needs. */
export function forEachValue(told: Told, visit: (value: number) => void): void {
  if (told.kind === "value") visit(told.value);
  else if (told.kind === "operation") for (const arg of told.args) forEachValue(arg, visit);
}
/** Identity, as text. */
export function toldKey(told: Told): string {
  switch (told.kind) {
    case "constant":
      return `#${told.value}`;
    case "symbol":
      return `&${told.symbol}+${told.addend}`;
    case "object":
      return `o${told.object}+${told.addend}`;
    case "value":
      return `v${told.value}+${told.addend}`;
    case "operation":
      return `${told.op}(${toldKey(told.args[0])},${toldKey(told.args[1])})`;
    case "entry":
      return `e${told.register}`;
  }
}
