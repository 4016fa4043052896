/**
 * The IR's data: modules of functions and data, functions of blocks, blocks of instructions in SSA form.
 * The frontend makes locals as `alloca` + load/store; mem2reg makes phis of them.
 */
import type { DebugType } from "../link/debug.ts";
import type { Op, Type } from "./ops.ts";

/** Where a piece of source stands: index into Module.files, 1-based line and column; file -1 = made by the compiler. */
export interface Loc {
  readonly file: number;
  readonly line: number;
  readonly column: number;
  /** Innermost scope of the source that it belongs to; absent: the function's own. The inliner gives every loc of a body a scope with `inlinedAt`. */
  readonly scope?: Scope;
}

/** What debuggers are told of a source function; inlined copies name it still when its own code is gone. */
export interface ScopeFunction {
  readonly name: string;
  readonly sourceName: string;
  readonly loc: Loc;
  /** Index into Module.types; -1 = void. */
  readonly result: number;
}

/** A function's body, or a block in it that declares variables; one object each inlined copy. For debuggers only. */
export interface Scope {
  /** Null: the outermost scope of `function`. */
  readonly parent: Scope | null;
  /** The source function that the scope is in. */
  readonly function: ScopeFunction;
  /** Outermost scope of an inlined copy: where the call stood (its own scope included); null in the function itself. */
  readonly inlinedAt: Loc | null;
}

/** A parameter or local of the source; one object each inlined copy. `dbg` instructions say what holds its value from there on. */
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

/** One inline-assembly block: text with operands between the pieces: pieces[0] operand[0] pieces[1] … */
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

export class Instr {
  /** Unique within the function. */
  id = 0;
  op: Op;
  type: Type;
  args: Instr[];
  block: Block | null = null;
  loc: Loc;
  /** const: value as unsigned bits; symbol: addend. */
  imm = 0n;
  float = 0;
  /** symbol, call. */
  symbol = "";
  /** param: position among the parameters. */
  index = 0;
  /** alloca, copy, zero: bytes. */
  size = 0;
  align = 1;
  /** load, store: may not be removed, merged or reordered with other volatile or effectful instructions. */
  volatile = false;
  asm: AsmBlock | null = null;
  /** Terminators: successors; switch: targets[i] for cases[i], last = default. */
  targets: Block[] = [];
  cases: bigint[] = [];
  /** Variable of the source that this alloca, param or phi stands for; for dumps. */
  name = "";
  /**
   * dbg only: from here on `variable` (or `bytes` bytes of it from `offset`) is the value `watched`, or, if `indirect`, what is stored at the
   * address `watched`; null = nobody knows any more. Where paths meet that disagree, nobody knows either. Not an operand: it keeps nothing
   * alive and counts as no use; what replaces a value replaces it here too (Replacements.apply), what deletes a value without a substitute need
   * not look: a watched value that is in no block is gone, but for what can be told from others (../passes/debug.ts: constants, sums …).
   */
  debug: DebugValue | null = null;
  constructor(op: Op, type: Type, args: Instr[], loc: Loc) {
    this.op = op;
    this.type = type;
    this.args = args;
    this.loc = loc;
  }
}

export class Block {
  id: number;
  /** Phis first, one terminator last. */
  instrs: Instr[] = [];
  /** In the order of the phis' operands. Kept by the passes; `recomputePreds` (cfg.ts) rebuilds it where no phi exists yet. */
  preds: Block[] = [];
  constructor(id: number) {
    this.id = id;
  }
}

export interface FunctionAttributes {
  naked: boolean;
  bits: 16 | 32 | 64;
  section: string;
  /** Bytes; 0 = the default of the back end. */
  align: number;
  inline: "always" | "never" | "auto";
  noreturn: boolean;
  keep: boolean;
}

export class Func {
  /** Link name. */
  name: string;
  /** Name in the source, for people: `Ring.put<u16>`. */
  sourceName: string;
  params: { name: string; type: Type }[];
  result: Type;
  attributes: FunctionAttributes;
  loc: Loc;
  /** blocks[0] is the entry; it has no predecessors. */
  blocks: Block[] = [];
  nextId = 0;
  /** Outermost scope; null: no debug information is wanted. */
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
  /** Types of the source, for debuggers (../link/debug.ts); empty when no debug information is wanted. */
  types: DebugType[] = [];
  functions = new Map<string, Func>();
  data = new Map<string, Data>();
  constructor(name: string) {
    this.name = name;
  }
}
