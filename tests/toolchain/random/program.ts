/**
 * A random program as a tree, independent of the language in which it is printed (render.ts), made by generator.ts.
 * Everything is typed; operands of an operation have its type, so no conversion is implicit in either language.
 */
export type Int = "u8" | "u16" | "u32" | "u64" | "i8" | "i16" | "i32" | "i64";
/**
 * "T" is the type parameter of a generic function, always an Int: it is read, written, chosen, compared and cast from.
 */
export type Scalar = Int | "f64" | "T";
export const INTS: readonly Int[] = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"];
export const width = (t: Int): number => Number(t.slice(1));
export const isSigned = (t: Int): boolean => t.startsWith("i");
export const isInt = (t: Scalar): t is Int => t !== "f64" && t !== "T";
/** Whether `to` represents every value of `from`. */
export const widens = (from: Scalar, to: Int): boolean =>
  isInt(from) &&
  (isSigned(from) === isSigned(to) ? width(from) <= width(to) : !isSigned(from) && width(from) < width(to));

/** Lengths are powers of two, so that an index is guarded by a mask. */
export type Shape =
  | { readonly kind: "scalar"; readonly type: Scalar }
  | { readonly kind: "array"; readonly of: Shape; readonly length: number }
  | { readonly kind: "struct"; readonly struct: Struct }
  /** A function pointer in a field: zero until the statement that calls it sets it. */
  | { readonly kind: "fn"; readonly sig: Signature };
/** The first field is not of kind "fn". */
export interface Struct {
  readonly name: string;
  readonly packed: boolean;
  readonly fields: readonly { readonly name: string; readonly shape: Shape }[];
}
/** A function type, its functions, and a static table of pointers to them, whose length is a power of two. */
export interface Signature {
  readonly name: string;
  readonly params: readonly Scalar[];
  readonly result: Scalar;
  readonly members: readonly string[];
  readonly table: { readonly name: string; readonly entries: readonly string[] };
}
/** An instance of a generic class (containers.ts): `count` elements of type `t`. */
export interface Container {
  readonly of: "Stack" | "Ring";
  readonly t: Int | "f64";
  readonly count: number;
}

export type Place =
  | { readonly k: "name"; readonly name: string }
  /** `arrow`: the base is a pointer to a struct. */
  | { readonly k: "field"; readonly base: Place; readonly field: string; readonly arrow: boolean }
  | { readonly k: "index"; readonly base: Place; readonly index: Expr; readonly mask: number };

export type IntOp = "+" | "-" | "*" | "&" | "|" | "^";
export type Expr =
  | { readonly k: "lit"; readonly t: Int; readonly v: bigint }
  | { readonly k: "read"; readonly t: Scalar; readonly p: Place }
  /** A volatile or atomic read. */
  | { readonly k: "special"; readonly t: Scalar; readonly p: Place; readonly how: "volatile" | "atomic" }
  | { readonly k: "bin"; readonly t: Int; readonly op: IntOp; readonly a: Expr; readonly b: Expr }
  | { readonly k: "shift"; readonly t: Int; readonly op: "<<" | ">>" | ">>>"; readonly a: Expr; readonly n: Expr }
  /** The divisor is guarded: `| 1` after `& 0x7f`, or a negative number below −1. */
  | {
      readonly k: "div";
      readonly t: Int;
      readonly op: "/" | "%";
      readonly a: Expr;
      readonly b: Expr;
      readonly guard: "positive" | "negative" | "constant";
    }
  | { readonly k: "un"; readonly t: Int; readonly op: "-" | "~"; readonly a: Expr }
  | { readonly k: "cast"; readonly t: Int; readonly a: Expr }
  /** Lossless: implicit in our language, a cast in C. */
  | { readonly k: "widen"; readonly t: Int; readonly a: Expr }
  | { readonly k: "bool"; readonly t: Int; readonly c: Cond }
  | { readonly k: "choose"; readonly t: Scalar; readonly c: Cond; readonly a: Expr; readonly b: Expr }
  | { readonly k: "clz" | "ctz" | "bswap"; readonly t: Int; readonly a: Expr }
  | { readonly k: "rotl" | "mulHigh"; readonly t: Int; readonly a: Expr; readonly b: Expr }
  /** From a float: truncated as the processor does, or its bits (all NaNs as one). */
  | { readonly k: "toInt"; readonly t: Int; readonly f: Expr }
  | { readonly k: "bits"; readonly t: "u64"; readonly f: Expr }
  /** Sum of all elements of a container, by a generic function. */
  | { readonly k: "sum"; readonly t: "u64"; readonly name: string; readonly c: Container }
  // ---- floats
  | { readonly k: "flit"; readonly t: "f64"; readonly v: number }
  /** From bits; never a NaN with a payload. */
  | { readonly k: "fconst"; readonly t: "f64"; readonly bits: bigint }
  | { readonly k: "fbin"; readonly t: "f64"; readonly op: "+" | "-" | "*" | "/"; readonly a: Expr; readonly b: Expr }
  | { readonly k: "fneg"; readonly t: "f64"; readonly a: Expr }
  | { readonly k: "toFloat"; readonly t: "f64"; readonly i: Expr }
  /** From a u64 with one bit of the exponent cleared: never a NaN. */
  | { readonly k: "fromBits"; readonly t: "f64"; readonly i: Expr };
export type Compare = "<" | "<=" | ">" | ">=" | "===" | "!==";
export type Cond =
  /** Of integers, floats or two values of type T. */
  | { readonly k: "cmp"; readonly op: Compare; readonly a: Expr; readonly b: Expr }
  | { readonly k: "and" | "or"; readonly a: Cond; readonly b: Cond }
  | { readonly k: "not"; readonly a: Cond }
  | { readonly k: "test"; readonly e: Expr };

/** How a case ends. "fall": into the next. "continue": only inside a loop. */
export type CaseEnd = "break" | "fall" | "continue";
export interface Case {
  /** None: the default, which may be anywhere, once. */
  readonly values: readonly bigint[];
  readonly body: Stmt[];
  readonly end: CaseEnd;
}
export type AtomicOp = "exchange" | "add" | "and" | "or" | "xor" | "compareExchange";
export type Stmt =
  | { readonly k: "let"; readonly name: string; readonly t: Scalar; readonly e: Expr }
  /** Zeroed array or struct. */
  | { readonly k: "letShape"; readonly name: string; readonly shape: Shape }
  | { readonly k: "letPtr"; readonly name: string; readonly t: Scalar; readonly p: Place }
  | { readonly k: "letStructPtr"; readonly name: string; readonly struct: Struct; readonly p: Place }
  /** Floats have no "&", "|", "^". */
  | { readonly k: "set"; readonly p: Place; readonly op: "" | IntOp; readonly e: Expr }
  | { readonly k: "step"; readonly p: Place; readonly op: "++" | "--" }
  /** A volatile or atomic write. */
  | {
      readonly k: "setSpecial";
      readonly t: Scalar;
      readonly p: Place;
      readonly e: Expr;
      readonly how: "volatile" | "atomic";
    }
  /** Declares `to` with the old value; null: it is not used. `expected`: for compareExchange. */
  | {
      readonly k: "atomic";
      readonly op: AtomicOp;
      readonly t: Int;
      readonly p: Place;
      readonly expected: Expr | null;
      readonly e: Expr;
      readonly to: string | null;
    }
  | { readonly k: "fence"; readonly how: "fence" | "compilerFence" }
  | { readonly k: "copy"; readonly to: Place; readonly from: Place }
  | { readonly k: "zero"; readonly p: Place }
  | { readonly k: "if"; readonly c: Cond; readonly then: Stmt[]; readonly else: Stmt[] }
  | {
      readonly k: "for";
      readonly name: string;
      readonly t: Int;
      readonly count: number;
      readonly down: boolean;
      readonly body: Stmt[];
    }
  | {
      readonly k: "while" | "do";
      readonly name: string;
      readonly count: number;
      readonly c: Cond;
      readonly body: Stmt[];
    }
  | { readonly k: "switch"; readonly e: Expr; readonly cases: Case[] }
  | { readonly k: "break" | "continue" }
  | { readonly k: "return"; readonly e: Expr | null }
  /** `instance`: the type argument of a generic function. */
  | {
      readonly k: "call";
      readonly to: Place | null;
      readonly f: string;
      readonly args: Arg[];
      readonly instance: Int | null;
    }
  | { readonly k: "callPtr"; readonly via: Pointer; readonly to: Place; readonly args: Expr[] }
  | { readonly k: "setTable"; readonly sig: Signature; readonly index: Expr; readonly f: string }
  | { readonly k: "letContainer"; readonly name: string; readonly c: Container }
  | { readonly k: "put"; readonly name: string; readonly c: Container; readonly e: Expr }
  | { readonly k: "take"; readonly name: string; readonly c: Container; readonly to: Place | null }
  /** `apart`: by a call, which takes less code. */
  | { readonly k: "hash"; readonly e: Expr; readonly apart?: boolean };
/** For code that walks a tree: everything else with a `k` and a `t` is an expression. */
export const TYPED_STATEMENTS: ReadonlySet<string> = new Set(["let", "letPtr", "setSpecial", "atomic", "for"]);

/** Source of a function pointer. */
export type Pointer =
  /** A new local, which `c` chooses. */
  | {
      readonly k: "local";
      readonly sig: Signature;
      readonly name: string;
      readonly c: Cond;
      readonly yes: string;
      readonly no: string;
    }
  /** A field that is set before. */
  | { readonly k: "member"; readonly p: Place; readonly c: Cond; readonly yes: string; readonly no: string }
  | { readonly k: "table"; readonly sig: Signature; readonly index: Expr }
  | { readonly k: "param"; readonly name: string };
export type Arg =
  /** `hidden`: for a hidden parameter. */
  | { readonly k: "value"; readonly e: Expr; readonly hidden: boolean }
  | { readonly k: "address"; readonly p: Place; readonly pointer: boolean }
  | { readonly k: "function"; readonly name: string };

export interface Param {
  readonly name: string;
  readonly type:
    | { readonly kind: "scalar"; readonly type: Scalar }
    | { readonly kind: "pointer"; readonly struct: Struct }
    | { readonly kind: "fn"; readonly sig: Signature };
  /** Only in C: our function pointers may call functions with fewer parameters. It is never used. */
  readonly hidden?: boolean;
}
export interface Fn {
  readonly name: string;
  readonly params: readonly Param[];
  readonly result: Scalar | null;
  readonly inline: "always" | "never" | "auto";
  /** Type arguments of a generic function with the type parameter T. */
  readonly instances: readonly Int[] | null;
  body: Stmt[];
}
export interface Global {
  readonly name: string;
  readonly shape: Shape;
  /** Scalar: one value; array of scalars: one for each; null: zero. Floats: quarters. */
  readonly values: readonly bigint[] | null;
}
/** The last function is `program`: u64 program(void). */
export interface Program {
  readonly seed: number;
  readonly structs: readonly Struct[];
  readonly signatures: readonly Signature[];
  readonly containers: readonly Container[];
  readonly globals: readonly Global[];
  functions: Fn[];
}
