/**
 * The debug information that frontend and back end pass to the DWARF writer (DWARF 5). Data only. A type is an index
 * into a module's table; ranges are offsets into the function's chunk, bytes, end exclusive.
 */

export type DebugType =
  | {
      readonly kind: "base";
      readonly name: string;
      readonly bytes: number;
      readonly encoding: "unsigned" | "signed" | "float" | "boolean";
    }
  /** target -1: void. */
  | { readonly kind: "pointer"; readonly target: number }
  /** Classes. A base's fields are either one member `super` at offset 0 or flattened; the frontend decides. */
  | {
      readonly kind: "struct";
      readonly name: string;
      readonly bytes: number;
      readonly members: readonly { readonly name: string; readonly type: number; readonly offset: number }[];
      readonly file: number;
      readonly line: number;
    }
  | { readonly kind: "array"; readonly element: number; readonly count: number }
  | {
      readonly kind: "enum";
      readonly name: string;
      readonly base: number;
      readonly values: readonly { readonly name: string; readonly value: bigint }[];
    }
  | { readonly kind: "typedef"; readonly name: string; readonly target: number }
  /** result -1: void. */
  | { readonly kind: "function"; readonly result: number; readonly parameters: readonly number[] };

/** A named value without storage. */
export interface DebugConstant {
  readonly name: string;
  readonly type: number;
  readonly value: bigint;
  readonly file: number;
  readonly line: number;
}

/** The place of a value. Registers are DWARF numbers (System V ABI AMD64, table 3.36). */
export type DebugPlace =
  | { readonly kind: "register"; readonly register: number }
  /** In memory at register + offset. */
  | { readonly kind: "memory"; readonly register: number; readonly offset: number }
  /** In memory at CFA + offset. */
  | { readonly kind: "frame"; readonly offset: number }
  | { readonly kind: "constant"; readonly value: bigint }
  /** The value is the symbol's address + addend (`indirect` below: what is stored there). */
  | { readonly kind: "symbol"; readonly symbol: string; readonly addend: bigint }
  /** The value is register + addend, computed: DW_OP_breg, DW_OP_stack_value. */
  | { readonly kind: "computed"; readonly register: number; readonly addend: bigint }
  /** The value that the steps leave on the stack; never `indirect`. */
  | { readonly kind: "expression"; readonly steps: readonly DebugStep[] }
  /**
   * The value of the register at the function's entry, which its caller may still know (DebugCall); never `indirect`.
   */
  | { readonly kind: "entry"; readonly register: number };

/**
 * One step of a computation on a stack of 64-bit integers (DWARF 5 section 2.5.1): push a value, or replace two
 * operands by one result.
 */
export type DebugStep =
  | { readonly op: "register"; readonly register: number; readonly addend: bigint }
  /** The eight bytes at CFA + offset. */
  | { readonly op: "frame"; readonly offset: number }
  | { readonly op: "constant"; readonly value: bigint }
  | { readonly op: DebugOperator };
export type DebugOperator = "plus" | "minus" | "mul" | "and" | "or" | "xor" | "shl" | "shr" | "shra" | "eq" | "ne";

/**
 * A piece of a variable; a whole variable has `offset` 0 and all `bytes`. `indirect`: the place is not the bytes but
 * their address.
 */
export interface DebugPiece {
  readonly offset: number;
  readonly bytes: number;
  readonly place: DebugPlace;
  readonly indirect: boolean;
}
export interface DebugLocation {
  readonly start: number;
  readonly end: number;
  /** In order of offset, without overlap; gaps are unknown bytes. */
  readonly pieces: readonly DebugPiece[];
}
export interface DebugVariable {
  readonly name: string;
  readonly type: number;
  readonly parameter: boolean;
  readonly file: number;
  readonly line: number;
  /** In order of start; where none covers the counter, the value is optimised out. */
  readonly locations: readonly DebugLocation[];
}

/** A scope of a function's chunk. scopes[0] is the function itself; parents come first. */
export interface DebugScope {
  /** Index among the chunk's scopes; -1 for scopes[0]. */
  readonly parent: number;
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
  /** An inlined copy: its function and the position of the call. Null: the function itself, or a block. */
  readonly inlined: {
    readonly symbol: string;
    readonly sourceName: string;
    readonly file: number;
    readonly line: number;
    readonly callFile: number;
    readonly callLine: number;
    readonly callColumn: number;
    /** Result, -1 = void. */
    readonly result: number;
  } | null;
  readonly variables: readonly DebugVariable[];
}

/**
 * How to find the caller from `offset` on (DWARF 5 section 6.4): CFA = register + cfaOffset; each saved register is at
 * CFA + offset.
 */
export interface FrameRow {
  readonly offset: number;
  readonly cfaRegister: number;
  readonly cfaOffset: number;
  /**
   * By DWARF number (16 = return address): offset from the CFA, bytes. A register in neither this map nor `held` is
   * unchanged. If the return address is in neither, it does not exist: the frame is the outermost.
   */
  readonly saved: ReadonlyMap<number, number>;
  /** By DWARF number: the register that holds its value now. */
  readonly held?: ReadonlyMap<number, number>;
}

/** A call, and those of its arguments that are known while it runs. */
export interface DebugCall {
  /** Offset of the return address. */
  readonly end: number;
  /** Link name; null: by pointer. */
  readonly target: string | null;
  /** Contents of argument registers, in places that the call preserves. */
  readonly arguments: readonly { readonly register: number; readonly place: DebugPlace }[];
}

/** Debug information of a function's chunk. */
export interface FunctionDebug {
  readonly file: number;
  readonly line: number;
  /** -1 = void. */
  readonly result: number;
  readonly scopes: readonly DebugScope[];
  /** All calls of the function, except those in assembly. */
  readonly calls?: readonly DebugCall[];
}
