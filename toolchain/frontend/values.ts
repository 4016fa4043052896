/** Values of expressions during lowering: exact constants, addresses known to the linker, or instructions. */
import type { Instr } from "../ir/ir.ts";
import { BOOL, F64, type MachineType, UNTYPED, UNTYPED_FLOAT } from "./types.ts";

/** Storage: an address and the type of its contents. */
export interface Place {
  readonly type: MachineType;
  /** Address without `offset`. */
  readonly base: Value;
  /** Bytes. */
  readonly offset: bigint;
}
/** Exactly one of constant, float, symbol, instr, place is set; none for void. */
export interface Value {
  readonly type: MachineType;
  /** Integers and enums: the exact value. Booleans: 0 or 1. Pointers: the address. */
  readonly constant?: bigint;
  readonly float?: number;
  /** Address of a function or variable plus bytes. */
  readonly symbol?: { readonly name: string; readonly addend: bigint };
  readonly instr?: Instr;
  /** Structs and arrays are places; they have no other value. */
  readonly place?: Place;
  /** Result of ~: in an unsigned context, a negative constant means its low bits. */
  readonly complement?: boolean;
  /** Result of a narrow + - * <<, which wraps: it may not be widened implicitly. */
  readonly narrow?: boolean;
}

export const untyped = (constant: bigint, complement = false): Value => ({ type: UNTYPED, constant, complement });
export const untypedFloat = (float: number): Value => ({ type: UNTYPED_FLOAT, float });
export const boolConstant = (value: boolean): Value => ({ type: BOOL, constant: value ? 1n : 0n });
export const voidValue: Value = { type: { kind: "void" } };

export const isConstant = (v: Value): boolean => v.constant !== undefined || v.float !== undefined;
export const isUntyped = (v: Value): boolean => v.type.kind === "untyped" || v.type.kind === "untypedFloat";

/** The type of an expression if nothing else decides: exact constants become i64 or f64. */
export function defaultType(type: MachineType): MachineType {
  if (type.kind === "untyped") return { kind: "int", name: "i64", width: 64, signed: true };
  return type.kind === "untypedFloat" ? F64 : type;
}
