/**
 * The IR's data: modules of functions and data, functions of blocks, blocks of instructions in SSA form. The frontend
 * represents locals by `alloca` + load/store; mem2reg turns them into values and phis.
 */
import type { DebugConstant, DebugType } from "../link/debug.ts";
import type { Op, Type } from "./ops.ts";

/** A source position: index into Module.files, 1-based line and column; file -1 = made by the compiler. */
export interface Loc {
  readonly file: number;
  readonly line: number;
  readonly column: number;
  /**
   * Innermost source scope of the position; absent: the function's own. The inliner gives every loc of a body a scope
   * with `inlinedAt`.
   */
  readonly scope?: Scope;
}

/** A source function for debuggers. Inlined copies still refer to it when its own code is gone. */
export interface ScopeFunction {
  readonly name: string;
  readonly sourceName: string;
  readonly loc: Loc;
  /** Index into Module.types; -1 = void. */
  readonly result: number;
}

/** A function's body, or a block in it that declares variables; one object per inlined copy. For debuggers only. */
export interface Scope {
  /** Null: the outermost scope of `function`. */
  readonly parent: Scope | null;
  /** The source function that contains the scope. */
  readonly function: ScopeFunction;
  /** Outermost scope of an inlined copy: position of the call (with its own scope); null in the function itself. */
  readonly inlinedAt: Loc | null;
}

/**
 * A parameter or local of the source; one object per inlined copy. `dbg` instructions say what holds its value from
 * there on.
 */
export interface Variable {
  readonly name: string;
  /** Index into Module.types. */
  readonly type: number;
  readonly loc: Loc;
  readonly scope: Scope;
  /** Position among the parameters of its function (`this` is 0 in a method); -1: a local. */
  readonly parameter: number;
}
export const NO_LOC: Loc = { file: -1, line: 0, column: 0 };

/** An inline-assembly block: text with operands between the pieces: pieces[0] operand[0] pieces[1] … */
export interface AsmBlock {
  readonly pieces: readonly string[];
  readonly operands: readonly AsmOperand[];
  readonly bits: 16 | 32 | 64;
  /** Instruction operand i is placed in fixed register inputs[i]; null = named by an operand of kind "in". */
  readonly inputs: readonly (string | null)[];
  /** Fixed register of the result; null = chosen by the allocator and named by an operand of kind "ret". */
  readonly out: string | null;
  readonly clobbers: readonly string[];
  readonly clobbersMemory: boolean;
  readonly loc: Loc;
}
export type AsmOperand =
  | { readonly kind: "ret" }
  /** The register of the instruction's operand `index`, named in the operand's width. */
  | { readonly kind: "in"; readonly index: number }
  | { readonly kind: "const"; readonly value: bigint }
  | { readonly kind: "symbol"; readonly name: string };

/** Payload of `dbg`. */
export interface DebugValue {
  readonly variable: Variable;
  watched: Instr | null;
  readonly indirect: boolean;
  readonly offset: number;
  readonly bytes: number;
}

// ---- instructions, a union by `op`: each kind has the fields that it needs besides its operands (builder.ts makes
// them)

interface Common<O extends Op> {
  /** Unique within the function. */
  id: number;
  op: O;
  type: Type;
  args: Instr[];
  block: Block | null;
  loc: Loc;
}
export interface IntConst extends Common<"const"> {
  /** As unsigned bits. */
  readonly imm: bigint;
}
export interface FloatConst extends Common<"fconst"> {
  readonly float: number;
}
export interface SymbolAddress extends Common<"symbol"> {
  readonly symbol: string;
  /** The addend, as unsigned bits. */
  readonly imm: bigint;
}
export interface Param extends Common<"param"> {
  /** Position among the parameters. */
  readonly index: number;
  /** The source variable that it represents; for dumps. */
  name: string;
}
export interface Alloca extends Common<"alloca"> {
  /** Bytes. */
  readonly size: number;
  readonly align: number;
  /** Source variable; for dumps. */
  name: string;
}
export interface Phi extends Common<"phi"> {
  /** Source variable; for dumps. */
  name: string;
}
/** Volatile accesses may not be removed, merged or reordered with other volatile or effectful instructions. */
export interface Load extends Common<"load"> {
  readonly volatile: boolean;
}
export interface Store extends Common<"store"> {
  readonly volatile: boolean;
}
export interface Copy extends Common<"copy"> {
  /** Bytes. */
  readonly size: number;
  readonly align: number;
}
export interface Zero extends Common<"zero"> {
  /** Bytes. */
  readonly size: number;
  readonly align: number;
}
export interface Call extends Common<"call"> {
  readonly symbol: string;
}
export interface Asm extends Common<"asm"> {
  readonly asm: AsmBlock;
}
/**
 * From here on `variable` (or `bytes` bytes of it from `offset`) has the value `watched`, or, if `indirect`, what is
 * stored at the address `watched`; null: unknown. Where paths that disagree meet, it is unknown, too. `watched` is not
 * an operand: it keeps nothing alive and is not a use. Code that replaces a value replaces it here too
 * (Replacements.apply). Code that deletes a value without a substitute need not update it: a watched value that is in
 * no block is lost, unless it can be computed from others (../passes/debug.ts).
 */
export interface DebugMark extends Common<"dbg"> {
  debug: DebugValue;
}
export interface Jump extends Common<"jump"> {
  targets: Block[];
}
export interface Branch extends Common<"branch"> {
  targets: Block[];
}
export interface Switch extends Common<"switch"> {
  /** targets[i] for cases[i]; the last one is the default. */
  targets: Block[];
  readonly cases: readonly bigint[];
}
export interface Ret extends Common<"ret"> {
  /** None, as in `unreachable`. */
  targets: Block[];
}
export interface Unreachable extends Common<"unreachable"> {
  targets: Block[];
}
export type Terminator = Jump | Branch | Switch | Ret | Unreachable;

type Special =
  | IntConst
  | FloatConst
  | SymbolAddress
  | Param
  | Alloca
  | Phi
  | Load
  | Store
  | Copy
  | Zero
  | Call
  | Asm
  | DebugMark
  | Terminator;
/** Operations that are fully described by op, type and operands. One may become another in place. */
export type PlainOp = Exclude<Op, Special["op"]>;
export interface Plain extends Common<PlainOp> {
  op: PlainOp;
}
export type Instr = Plain | Special;

export class Block {
  id: number;
  /** Phis first, one terminator last. */
  instrs: Instr[] = [];
  /**
   * In the order of the phis' operands. Passes maintain it; `recomputePreds` (cfg.ts) rebuilds it before there are
   * phis.
   */
  preds: Block[] = [];
  constructor(id: number) {
    this.id = id;
  }
}

export interface FunctionAttributes {
  naked: boolean;
  bits: 16 | 32 | 64;
  section: string;
  /** Bytes; 0 = the back end's default. */
  align: number;
  inline: "always" | "never" | "auto";
  noreturn: boolean;
  keep: boolean;
}

export class Func {
  /** Link name. */
  name: string;
  /** Name in the source, for messages: `Ring.put<u16>`. */
  sourceName: string;
  params: { name: string; type: Type }[];
  result: Type;
  attributes: FunctionAttributes;
  loc: Loc;
  /** blocks[0] is the entry; it has no predecessors. */
  blocks: Block[] = [];
  nextId = 0;
  /** Outermost scope; null: no debug information. */
  scope: Scope | null = null;
  constructor(
    name: string,
    sourceName: string,
    params: { name: string; type: Type }[],
    result: Type,
    attributes: FunctionAttributes,
    loc: Loc,
  ) {
    this.name = name;
    this.sourceName = sourceName;
    this.params = params;
    this.result = result;
    this.attributes = attributes;
    this.loc = loc;
  }
}

/** Static data. `relocations` put 8-byte addresses (symbol + addend) into `bytes`. */
export interface Data {
  name: string;
  sourceName: string;
  section: string;
  align: number;
  size: number;
  /** Null: all zero (.bss). */
  bytes: Uint8Array | null;
  relocations: { offset: number; symbol: string; addend: bigint }[];
  readonly: boolean;
  keep: boolean;
  loc: Loc;
  /** Index into Module.types; absent: not described. */
  type?: number;
}

export class Module {
  name: string;
  /** Source files that Loc.file counts, relative to the package root. */
  files: string[] = [];
  /** Types of the source, for debuggers (../link/debug.ts); empty without debug information. */
  types: DebugType[] = [];
  constants: DebugConstant[] = [];
  functions = new Map<string, Func>();
  data = new Map<string, Data>();
  constructor(name: string) {
    this.name = name;
  }
}
