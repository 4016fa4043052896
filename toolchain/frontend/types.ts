/**
 * Machine types: how the machine represents a value of the language. They are made from type annotations (resolve.ts)
 * and decide sizes, signedness, layout and lossless conversions. TypeScript checks nullability.
 */
import type { Type } from "../ir/ops.ts";
import type { ts } from "./adapter.ts";

export interface IntType {
  readonly kind: "int";
  readonly name: string;
  readonly width: 8 | 16 | 32 | 64;
  readonly signed: boolean;
}
export interface PointerType {
  readonly kind: "pointer";
  readonly target: MachineType;
}
export interface FunctionType {
  readonly kind: "function";
  readonly parameters: readonly MachineType[];
  readonly result: MachineType;
}
export interface StructType {
  readonly kind: "struct";
  readonly struct: Struct;
}
export interface ArrayType {
  readonly kind: "array";
  readonly element: MachineType;
  readonly count: number;
}
/** A number as an argument of a generic: the N of `arr<T, N>`. */
export interface CountType {
  readonly kind: "count";
  readonly value: number;
}
export interface SimpleType {
  /**
   * untyped: an exact integer constant without a width; untypedFloat: the same with a fraction; null: the literal;
   * error: a declaration that has been refused, so that its uses report nothing.
   */
  readonly kind: "f64" | "bool" | "void" | "never" | "null" | "untyped" | "untypedFloat" | "error";
}
export type MachineType = IntType | PointerType | FunctionType | StructType | ArrayType | CountType | SimpleType;

export interface Field {
  readonly name: string;
  readonly type: MachineType;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  readonly declaration: ts.PropertyDeclaration;
  /** The struct that declares the field, and so the types that its initialiser sees. */
  readonly owner: Struct;
}
/**
 * A class with its type arguments. `fields` holds the base's first; the resolver fills it in when the layout is first
 * needed.
 */
export interface Struct {
  readonly name: string;
  readonly declaration: ts.ClassDeclaration;
  readonly arguments: readonly MachineType[];
  readonly environment: TypeEnvironment;
  state: "new" | "busy" | "done";
  base: Struct | null;
  fields: Map<string, Field>;
  size: number;
  align: number;
}
/** Type parameters in force and their arguments. */
export type TypeEnvironment = ReadonlyMap<ts.Symbol, MachineType>;

const int = (name: string, width: 8 | 16 | 32 | 64, signed: boolean): IntType => ({ kind: "int", name, width, signed });
export const INTEGERS: Readonly<Record<string, IntType>> = {
  u8: int("u8", 8, false),
  u16: int("u16", 16, false),
  u32: int("u32", 32, false),
  u64: int("u64", 64, false),
  usize: int("u64", 64, false),
  i8: int("i8", 8, true),
  i16: int("i16", 16, true),
  i32: int("i32", 32, true),
  i64: int("i64", 64, true),
};
export const U8 = INTEGERS.u8 as IntType;
export const U32 = INTEGERS.u32 as IntType;
export const U64 = INTEGERS.u64 as IntType;
export const I64 = INTEGERS.i64 as IntType;
export const F64: SimpleType = { kind: "f64" };
export const BOOL: SimpleType = { kind: "bool" };
export const VOID: SimpleType = { kind: "void" };
export const NEVER: SimpleType = { kind: "never" };
export const NULL: SimpleType = { kind: "null" };
export const UNTYPED: SimpleType = { kind: "untyped" };
export const UNTYPED_FLOAT: SimpleType = { kind: "untypedFloat" };
export const ERROR: SimpleType = { kind: "error" };

export const pointerTo = (target: MachineType): PointerType => ({ kind: "pointer", target });
export const arrayOf = (element: MachineType, count: number): ArrayType => ({ kind: "array", element, count });

/**
 * The type as its user writes it. It is also the type's identity: two types are the same if their names are (structs
 * with one name are compared by `sameType`).
 */
export function showType(type: MachineType): string {
  switch (type.kind) {
    case "int":
      return type.name;
    case "pointer":
      return `ptr<${showType(type.target)}>`;
    case "function":
      return `(${type.parameters.map(showType).join(", ")}) => ${showType(type.result)}`;
    case "struct":
      return type.struct.name;
    case "array":
      return `arr<${showType(type.element)}, ${type.count}>`;
    case "count":
      return String(type.value);
    case "bool":
      return "boolean";
    case "untyped":
    case "untypedFloat":
      return "constant";
    default:
      return type.kind;
  }
}

export function sameType(a: MachineType, b: MachineType): boolean {
  if (a === b) return true;
  switch (a.kind) {
    case "int":
      return b.kind === "int" && a.width === b.width && a.signed === b.signed;
    case "pointer":
      return b.kind === "pointer" && sameType(a.target, b.target);
    case "function":
      return (
        b.kind === "function" &&
        sameType(a.result, b.result) &&
        a.parameters.length === b.parameters.length &&
        a.parameters.every((p, i) => sameType(p, b.parameters[i] as MachineType))
      );
    case "struct":
      return b.kind === "struct" && a.struct === b.struct;
    case "array":
      return b.kind === "array" && a.count === b.count && sameType(a.element, b.element);
    case "count":
      return b.kind === "count" && a.value === b.value;
    default:
      return a.kind === b.kind;
  }
}

/** Whether `to` represents every value of `from`. */
export const widens = (from: IntType, to: IntType): boolean =>
  (from.width === to.width && from.signed === to.signed) || (to.width > from.width && (to.signed || !from.signed));

export function fits(value: bigint, type: IntType): boolean {
  const half = 1n << BigInt(type.width - 1);
  return type.signed ? value >= -half && value < half : value >= 0n && value < half * 2n;
}
/** The value in the type's range with the same low bits. */
export const wrap = (value: bigint, type: IntType): bigint =>
  type.signed ? BigInt.asIntN(type.width, value) : BigInt.asUintN(type.width, value);

export function isSubstruct(derived: Struct, base: Struct): boolean {
  for (let s: Struct | null = derived; s; s = s.base) if (s === base) return true;
  return false;
}

export const isAggregate = (type: MachineType): type is StructType | ArrayType =>
  type.kind === "struct" || type.kind === "array";
/** Whether the type fits one register. */
export const isScalar = (type: MachineType): boolean =>
  type.kind === "int" ||
  type.kind === "bool" ||
  type.kind === "f64" ||
  type.kind === "pointer" ||
  type.kind === "function";

/** The IR type of a scalar; void for types without a value. */
export function irType(type: MachineType): Type {
  switch (type.kind) {
    case "int":
      return `i${type.width}`;
    case "bool":
      return "i8";
    case "f64":
      return "f64";
    case "pointer":
    case "function":
    case "null":
    case "untyped":
      return "i64";
    case "untypedFloat":
      return "f64";
    default:
      return "void";
  }
}

/** Bytes; structs must have been laid out (Resolver.sizeOf does so). */
export function sizeOf(type: MachineType): number {
  switch (type.kind) {
    case "int":
      return type.width / 8;
    case "bool":
      return 1;
    case "f64":
    case "pointer":
    case "function":
      return 8;
    case "struct":
      return type.struct.size;
    case "array":
      return sizeOf(type.element) * type.count;
    default:
      return 0;
  }
}
export function alignOf(type: MachineType): number {
  if (type.kind === "struct") return type.struct.align;
  if (type.kind === "array") return alignOf(type.element);
  return Math.max(1, sizeOf(type));
}

// ---- identity

let structCount = 0;
const structNumbers = new WeakMap<Struct, number>();
/** Identity of a struct in keys; names may repeat between modules. */
export function structKey(struct: Struct): string {
  let number = structNumbers.get(struct);
  if (number === undefined) structNumbers.set(struct, (number = structCount++));
  return `${struct.name}#${number}`;
}
/** Identity of a type, as text. */
export function typeKey(type: MachineType): string {
  switch (type.kind) {
    case "struct":
      return structKey(type.struct);
    case "pointer":
      return `*${typeKey(type.target)}`;
    case "array":
      return `[${type.count}]${typeKey(type.element)}`;
    case "function":
      return `(${type.parameters.map(typeKey).join(",")})${typeKey(type.result)}`;
    default:
      return showType(type);
  }
}
