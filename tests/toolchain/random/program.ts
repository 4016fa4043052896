/**
 * A random program as a tree, independent of the language that it is printed in (render.ts) and made by generator.ts.
 * Everything is typed; operands of an operation have its type, so that no conversion is implicit in either language.
 */
export type Scalar = "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64";
export const SCALARS: readonly Scalar[] = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"];
export const width = (t: Scalar): number => Number(t.slice(1));
export const isSigned = (t: Scalar): boolean => t.startsWith("i");
/** Whether every value of `from` is one of `to`. */
export const widens = (from: Scalar, to: Scalar): boolean =>
  isSigned(from) === isSigned(to) ? width(from) <= width(to) : !isSigned(from) && width(from) < width(to);

/** Lengths are powers of two, so that an index is guarded by a mask. */
export type Shape =
  | { readonly kind: "scalar"; readonly type: Scalar }
  | { readonly kind: "array"; readonly of: Shape; readonly length: number }
  | { readonly kind: "struct"; readonly struct: Struct };
export interface Struct {
  readonly name: string;
  readonly fields: readonly { readonly name: string; readonly shape: Shape }[];
}

export type Place =
  | { readonly k: "name"; readonly name: string }
  /** `arrow`: the base is a pointer to a struct. */
  | { readonly k: "field"; readonly base: Place; readonly field: string; readonly arrow: boolean }
  | { readonly k: "index"; readonly base: Place; readonly index: Expr; readonly mask: number };

export type Expr =
  | { readonly k: "lit"; readonly t: Scalar; readonly v: bigint }
  | { readonly k: "read"; readonly t: Scalar; readonly p: Place }
  | { readonly k: "bin"; readonly t: Scalar; readonly op: "+" | "-" | "*" | "&" | "|" | "^"; readonly a: Expr; readonly b: Expr }
  | { readonly k: "shift"; readonly t: Scalar; readonly op: "<<" | ">>" | ">>>"; readonly a: Expr; readonly n: Expr }
  /** The divisor is guarded: `| 1` after `& 0x7f`, or a negative number below −1. */
  | {
      readonly k: "div";
      readonly t: Scalar;
      readonly op: "/" | "%";
      readonly a: Expr;
      readonly b: Expr;
      readonly guard: "positive" | "negative" | "constant";
    }
  | { readonly k: "un"; readonly t: Scalar; readonly op: "-" | "~"; readonly a: Expr }
  | { readonly k: "cast"; readonly t: Scalar; readonly a: Expr }
  /** Lossless and unwritten in our language, a cast in C. */
  | { readonly k: "widen"; readonly t: Scalar; readonly a: Expr }
  | { readonly k: "bool"; readonly t: Scalar; readonly c: Cond }
  | { readonly k: "choose"; readonly t: Scalar; readonly c: Cond; readonly a: Expr; readonly b: Expr }
  | { readonly k: "clz" | "ctz" | "bswap"; readonly t: Scalar; readonly a: Expr }
  | { readonly k: "rotl" | "mulHigh"; readonly t: Scalar; readonly a: Expr; readonly b: Expr }
  /** Guarded conversion of a float variable. */
  | { readonly k: "fromFloat"; readonly t: Scalar; readonly name: string };
export type Cond =
  | { readonly k: "cmp"; readonly op: "<" | "<=" | ">" | ">=" | "===" | "!=="; readonly a: Expr; readonly b: Expr }
  | { readonly k: "and" | "or"; readonly a: Cond; readonly b: Cond }
  | { readonly k: "not"; readonly a: Cond }
  | { readonly k: "test"; readonly e: Expr }
  | { readonly k: "fcmp"; readonly op: "<" | "<=" | ">" | ">=" | "===" | "!=="; readonly a: Float; readonly b: Float };
export type Float =
  | { readonly k: "flit"; readonly v: number }
  | { readonly k: "fvar"; readonly name: string }
  | { readonly k: "fbin"; readonly op: "+" | "-" | "*" | "/"; readonly a: Float; readonly b: Float }
  | { readonly k: "toFloat"; readonly e: Expr };

export type Stmt =
  | { readonly k: "let"; readonly name: string; readonly t: Scalar; readonly e: Expr }
  | { readonly k: "letFloat"; readonly name: string; readonly e: Float }
  | { readonly k: "setFloat"; readonly name: string; readonly e: Float }
  /** Zeroed array or struct. */
  | { readonly k: "letShape"; readonly name: string; readonly shape: Shape }
  | { readonly k: "letPtr"; readonly name: string; readonly t: Scalar; readonly p: Place }
  | { readonly k: "letStructPtr"; readonly name: string; readonly struct: Struct; readonly p: Place }
  | { readonly k: "set"; readonly p: Place; readonly op: "" | "+" | "-" | "*" | "&" | "|" | "^"; readonly e: Expr }
  | { readonly k: "step"; readonly p: Place; readonly op: "++" | "--" }
  | { readonly k: "copy"; readonly to: Place; readonly from: Place }
  | { readonly k: "zero"; readonly p: Place }
  | { readonly k: "if"; readonly c: Cond; readonly then: Stmt[]; readonly else: Stmt[] }
  | { readonly k: "for"; readonly name: string; readonly t: Scalar; readonly count: number; readonly down: boolean; readonly body: Stmt[] }
  | { readonly k: "while" | "do"; readonly name: string; readonly count: number; readonly c: Cond; readonly body: Stmt[] }
  | { readonly k: "switch"; readonly e: Expr; readonly cases: { readonly v: bigint; readonly body: Stmt[] }[]; readonly otherwise: Stmt[] }
  | { readonly k: "break" | "continue" }
  | { readonly k: "return"; readonly e: Expr | null }
  | { readonly k: "call"; readonly to: Place | null; readonly f: string; readonly args: Arg[] }
  /** Through a pointer to one of two functions of one type. */
  | {
      readonly k: "callPtr";
      readonly name: string;
      readonly c: Cond;
      readonly yes: string;
      readonly no: string;
      readonly to: Place;
      readonly args: Expr[];
    }
  | { readonly k: "hash"; readonly e: Expr };
export type Arg = { readonly k: "value"; readonly e: Expr } | { readonly k: "address"; readonly p: Place; readonly pointer: boolean };

export interface Param {
  readonly name: string;
  readonly type: { readonly kind: "scalar"; readonly type: Scalar } | { readonly kind: "pointer"; readonly struct: Struct };
}
export interface Fn {
  readonly name: string;
  readonly params: readonly Param[];
  readonly result: Scalar | null;
  readonly inline: "always" | "never" | "auto";
  body: Stmt[];
}
export interface Global {
  readonly name: string;
  readonly shape: Shape;
  /** Of a scalar: one value; of an array of scalars: each; null: zero. */
  readonly values: readonly bigint[] | null;
}
/** The last function is `program`: u64 program(void). */
export interface Program {
  readonly seed: number;
  readonly structs: readonly Struct[];
  readonly globals: readonly Global[];
  functions: Fn[];
}
