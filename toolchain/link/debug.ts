/**
 * What the frontend and the back end say for debuggers, and the DWARF writer encodes (DWARF 5). Data only.
 * Types are an index into a module's table; ranges are offsets into the function's chunk, bytes, end exclusive.
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
  /**
   * Classes; a base's fields are a member `super` at offset 0 where there is one, or are flattened: the frontend says
   * what it does.
   */
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

/** Where a value is; registers by their DWARF numbers (System V ABI AMD64, table 3.36). */
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
  /** The value that the steps leave; never `indirect`. */
  | { readonly kind: "expression"; readonly steps: readonly DebugStep[] }
  /**
   * What the register held when the function was entered, which its caller may know still (DebugCall); never
   * `indirect`.
   */
  | { readonly kind: "entry"; readonly register: number };

/**
 * One step of a computation on a stack of 64-bit integers (DWARF 5 section 2.5.1): push something, or put one result
 * in place of two operands.
 */
export type DebugStep =
  | { readonly op: "register"; readonly register: number; readonly addend: bigint }
  /** The eight bytes at CFA + offset. */
  | { readonly op: "frame"; readonly offset: number }
  | { readonly op: "constant"; readonly value: bigint }
  | { readonly op: DebugOperator };
export type DebugOperator = "plus" | "minus" | "mul" | "and" | "or" | "xor" | "shl" | "shr" | "shra" | "eq" | "ne";

/**
 * A piece of a variable: `offset` 0 and all `bytes` when it is whole. `indirect`: the place holds or is the address
 * of the bytes.
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
  /** In order of offset, without overlap; holes are unknown bytes. */
  readonly pieces: readonly DebugPiece[];
}
export interface DebugVariable {
  readonly name: string;
  readonly type: number;
  readonly parameter: boolean;
  readonly file: number;
  readonly line: number;
  /** In order of start; where none covers the counter the value is optimised out. */
  readonly locations: readonly DebugLocation[];
}

/** A scope of a function's chunk. scopes[0] is the function itself; parents come first. */
export interface DebugScope {
  /** Index among the chunk's scopes; -1 for scopes[0]. */
  readonly parent: number;
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
  /** An inlined copy: whose, and where the call stood. Null: the function itself, or a block. */
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
 * How to find the caller from `offset` on (DWARF 5 section 6.4): CFA = register + cfaOffset; each saved register at
 * CFA + offset.
 */
export interface FrameRow {
  readonly offset: number;
  readonly cfaRegister: number;
  readonly cfaOffset: number;
  /**
   * By DWARF number (16 = return address); the offset from the CFA, bytes. A register that is neither here nor in
   * `held` is unchanged; a return address that is in neither does not exist: the frame is the outermost.
   */
  readonly saved: ReadonlyMap<number, number>;
  /** By DWARF number: the register that holds its value now. */
  readonly held?: ReadonlyMap<number, number>;
}

/** A call, and what of its arguments can be told while it runs. */
export interface DebugCall {
  /** Offset of the return address. */
  readonly end: number;
  /** Link name; null: by pointer. */
  readonly target: string | null;
  /** What argument registers hold that the call leaves alone. */
  readonly arguments: readonly { readonly register: number; readonly place: DebugPlace }[];
}

/** Of a function's chunk. */
export interface FunctionDebug {
  readonly file: number;
  readonly line: number;
  /** -1 = void. */
  readonly result: number;
  readonly scopes: readonly DebugScope[];
  /** All that the function makes, but for those in assembly. */
  readonly calls?: readonly DebugCall[];
}
