/**
 * Builds functions instruction by instruction. Used by the frontend, by passes and by tests.
 *
 * - `createBlock` makes a block; `enter` appends it to the function (once) and makes it current.
 * - A terminator adds its edges to the `preds` of its targets, one entry per edge: a switch with two cases to one block
 *   is there twice.
 * - After a terminator, a further terminator is dropped, and any other instruction opens a new block without
 *   predecessors. So a front end need not know which code is dead. The unreachable-code pass removes those blocks.
 * - `alloca` always goes to the head of the entry block, wherever the builder is.
 * - The op table gives the operand types, and they are asserted: a mismatch is a bug of the caller.
 */
import {
  type Alloca,
  type Asm,
  type AsmBlock,
  Block,
  type Branch,
  type Call,
  type Copy,
  type DebugMark,
  type DebugValue,
  type FloatConst,
  type Func,
  type Instr,
  type IntConst,
  type Jump,
  type Load,
  type Loc,
  NO_LOC,
  type Param,
  type Phi,
  type Plain,
  type PlainOp,
  type Ret,
  type Store,
  type Switch,
  type SymbolAddress,
  type Terminator,
  type Unreachable,
  type Variable,
  type Zero,
} from "./ir.ts";
import { type Op, opInfo, type ops, type Type, widthOf } from "./ops.ts";

type OpsWith<R> = { [K in Op]: (typeof ops)[K] extends R ? K : never }[Op];
/** Two operands of one integer type, result of that type or (comparisons) i8; shifts included. */
export type IntBinary = OpsWith<{ operands: 2; operandType: "int" | "i64"; result: "same" | "i8" }>;
export type IntUnary = OpsWith<{ operands: 1; operandType: "int"; result: "same" }>;
export type FloatBinary = OpsWith<{ operands: 2; operandType: "f64" }>;
export type Conversion = "sext" | "zext" | "trunc" | "sitof" | "uitof" | "ftosi" | "ftoui" | "fbits" | "bitsf";
export type AtomicUpdate = "axchg" | "aadd" | "aand" | "aor" | "axor";

// ---- constructors

/**
 * There are only four hidden classes for all kinds of instructions: passes read `op`, `args` and `block` of every kind,
 * and with more than four classes V8 makes such reads megamorphic (README.md). The types (ir.ts) expose the fields of
 * each kind.
 */
class Node<O extends Op> {
  id = 0;
  op: O;
  type: Type;
  args: Instr[];
  block: Block | null = null;
  loc: Loc;
  constructor(op: O, type: Type, args: Instr[], loc: Loc) {
    this.op = op;
    this.type = type;
    this.args = args;
    this.loc = loc;
  }
}
class ValueNode<O extends Op> extends Node<O> {
  imm = 0n;
  float = 0;
  symbol = "";
  index = 0;
  size = 0;
  align = 1;
  volatile = false;
  name = "";
}
class TerminatorNode<O extends Op> extends Node<O> {
  targets: Block[];
  readonly cases: readonly bigint[];
  constructor(op: O, args: Instr[], targets: Block[], cases: readonly bigint[], loc: Loc) {
    super(op, "void", args, loc);
    this.targets = targets;
    this.cases = cases;
  }
}
class AsmNode extends Node<"asm"> {
  readonly asm: AsmBlock;
  constructor(asm: AsmBlock, type: Type, args: Instr[], loc: Loc) {
    super("asm", type, args, loc);
    this.asm = asm;
  }
}
class DebugNode extends Node<"dbg"> {
  debug: DebugValue;
  constructor(debug: DebugValue, loc: Loc) {
    super("dbg", "void", [], loc);
    this.debug = debug;
  }
}
const NO_CASES: readonly bigint[] = [];

function blockAccess<O extends "copy" | "zero">(
  op: O,
  args: Instr[],
  size: number,
  align: number,
  loc: Loc,
): ValueNode<O> {
  const instr = new ValueNode(op, "void", args, loc);
  instr.size = size;
  instr.align = align;
  return instr;
}

/** One constructor per kind. The instructions have no id and are in no block yet. */
export const make = {
  plain: (op: PlainOp, type: Type, args: Instr[], loc: Loc): Plain => new ValueNode(op, type, args, loc),
  /** `value`: unsigned bits of the type's width. */
  intConst(type: Type, value: bigint, loc: Loc): IntConst {
    const instr = new ValueNode("const", type, [], loc);
    instr.imm = value;
    return instr;
  },
  floatConst(value: number, loc: Loc): FloatConst {
    const instr = new ValueNode("fconst", "f64", [], loc);
    instr.float = value;
    return instr;
  },
  symbol(name: string, addend: bigint, loc: Loc): SymbolAddress {
    const instr = new ValueNode("symbol", "i64", [], loc);
    instr.symbol = name;
    instr.imm = BigInt.asUintN(64, addend);
    return instr;
  },
  param(type: Type, index: number, name: string, loc: Loc): Param {
    const instr = new ValueNode("param", type, [], loc);
    instr.index = index;
    instr.name = name;
    return instr;
  },
  alloca(size: number, align: number, name: string, loc: Loc): Alloca {
    const instr = new ValueNode("alloca", "i64", [], loc);
    instr.size = size;
    instr.align = align;
    instr.name = name;
    return instr;
  },
  phi(type: Type, args: Instr[], name: string, loc: Loc): Phi {
    const instr = new ValueNode("phi", type, args, loc);
    instr.name = name;
    return instr;
  },
  load(type: Type, address: Instr, volatile: boolean, loc: Loc): Load {
    const instr = new ValueNode("load", type, [address], loc);
    instr.volatile = volatile;
    return instr;
  },
  store(address: Instr, value: Instr, volatile: boolean, loc: Loc): Store {
    const instr = new ValueNode("store", "void", [address, value], loc);
    instr.volatile = volatile;
    return instr;
  },
  copy: (to: Instr, from: Instr, size: number, align: number, loc: Loc): Copy =>
    blockAccess("copy", [to, from], size, align, loc),
  zero: (to: Instr, size: number, align: number, loc: Loc): Zero => blockAccess("zero", [to], size, align, loc),
  call(symbol: string, result: Type, args: Instr[], loc: Loc): Call {
    const instr = new ValueNode("call", result, args, loc);
    instr.symbol = symbol;
    return instr;
  },
  asm: (block: AsmBlock, result: Type, args: Instr[], loc: Loc): Asm => new AsmNode(block, result, args, loc),
  debug: (debug: DebugValue, loc: Loc): DebugMark => new DebugNode(debug, loc),
  jump: (target: Block, loc: Loc): Jump => new TerminatorNode("jump", [], [target], NO_CASES, loc),
  branch: (condition: Instr, targets: [Block, Block], loc: Loc): Branch =>
    new TerminatorNode("branch", [condition], targets, NO_CASES, loc),
  switch: (value: Instr, cases: readonly bigint[], targets: Block[], loc: Loc): Switch =>
    new TerminatorNode("switch", [value], targets, cases, loc),
  ret: (args: Instr[], loc: Loc): Ret => new TerminatorNode("ret", args, [], NO_CASES, loc),
  unreachable: (loc: Loc): Unreachable => new TerminatorNode("unreachable", [], [], NO_CASES, loc),
};

/** A copy with other operands; a copy of a terminator also has other targets. */
export function clone(old: Instr, args: Instr[], targets: Block[]): Instr {
  const { type, loc } = old;
  switch (old.op) {
    case "const":
      return make.intConst(type, old.imm, loc);
    case "fconst":
      return make.floatConst(old.float, loc);
    case "symbol":
      return make.symbol(old.symbol, old.imm, loc);
    case "param":
      return make.param(type, old.index, old.name, loc);
    case "alloca":
      return make.alloca(old.size, old.align, old.name, loc);
    case "phi":
      return make.phi(type, args, old.name, loc);
    case "load":
      return make.load(type, args[0], old.volatile, loc);
    case "store":
      return make.store(args[0], args[1], old.volatile, loc);
    case "copy":
      return make.copy(args[0], args[1], old.size, old.align, loc);
    case "zero":
      return make.zero(args[0], old.size, old.align, loc);
    case "call":
      return make.call(old.symbol, type, args, loc);
    case "asm":
      return make.asm(old.asm, type, args, loc);
    case "dbg":
      return make.debug(old.debug, loc);
    case "jump":
    case "branch":
    case "ret":
    case "unreachable":
      return new TerminatorNode(old.op, args, targets, NO_CASES, loc);
    case "switch":
      return make.switch(args[0], old.cases, targets, loc);
    default:
      return make.plain(old.op, type, args, loc);
  }
}

/** Gives a new instruction its id in the function. */
export function numbered<I extends Instr>(func: Func, instr: I): I {
  instr.id = func.nextId++;
  return instr;
}

// ---- the builder

export class Builder {
  readonly func: Func;
  /** The block that instructions are appended to. */
  block: Block;
  /** Position given to every instruction that follows. */
  loc: Loc = NO_LOC;
  #nextBlock: number;
  /** Number of allocas at the head of the entry block. */
  #allocas = 0;
  readonly #entered: Set<Block>;

  /** Enters the entry block, and creates it if the function has none. */
  constructor(func: Func) {
    this.func = func;
    this.#entered = new Set(func.blocks);
    this.#nextBlock = func.blocks.reduce((max, b) => Math.max(max, b.id + 1), 0);
    this.block = func.blocks[0] ?? this.enter(this.createBlock());
    while (this.func.blocks[0].instrs[this.#allocas]?.op === "alloca") this.#allocas++;
  }

  // ---- blocks
  createBlock(): Block {
    return new Block(this.#nextBlock++);
  }
  enter(block: Block): Block {
    if (!this.#entered.has(block)) {
      this.#entered.add(block);
      this.func.blocks.push(block);
    }
    this.block = block;
    return block;
  }
  get terminated(): boolean {
    const last = this.block.instrs.at(-1);
    return last !== undefined && opInfo(last.op).terminator === true;
  }

  // ---- leaves
  /** An integer of `type`; any bigint, wrapped to the width. */
  iconst(type: Type, value: bigint | number): Instr {
    if (type === "void" || type === "f64") throw new Error(`iconst of type ${type}`);
    return this.#emit(make.intConst(type, BigInt.asUintN(widthOf[type], BigInt(value)), this.loc));
  }
  fconst(value: number): Instr {
    return this.#emit(make.floatConst(value, this.loc));
  }
  /** Address of a function or datum, plus `addend` bytes. */
  symbol(name: string, addend: bigint | number = 0n): Instr {
    return this.#emit(make.symbol(name, BigInt(addend), this.loc));
  }
  /** Parameter `index` of the function; only in the entry block. */
  param(index: number): Instr {
    const param = this.func.params[index];
    if (param === undefined) throw new Error(`${this.func.name}: no parameter ${index}`);
    return this.#emit(make.param(param.type, index, param.name, this.loc));
  }
  undef(type: Type): Instr {
    return this.#plain("undef", type, []);
  }

  // ---- integers and floats
  binary(op: IntBinary | FloatBinary, a: Instr, b: Instr): Instr {
    const { operandType, result } = opInfo(op);
    const wanted = operandType === "int" ? a.type : operandType;
    if (a.type !== wanted || b.type !== wanted) throw new Error(`${this.func.name}: ${op} of ${a.type} and ${b.type}`);
    return this.#plain(op, result === "same" ? a.type : (result as Type), [a, b]);
  }
  unary(op: IntUnary, a: Instr): Instr {
    return this.#plain(op, a.type, [a]);
  }
  /** Converts to `type`; returns `a` itself if nothing changes. */
  convert(op: Conversion, type: Type, a: Instr): Instr {
    if ((op === "sext" || op === "zext" || op === "trunc") && a.type === type) return a;
    return this.#plain(op, type, [a]);
  }
  /** `whenTrue` if the i8 `condition` is not 0. */
  select(condition: Instr, whenTrue: Instr, whenFalse: Instr): Instr {
    if (whenTrue.type !== whenFalse.type)
      throw new Error(`${this.func.name}: select of ${whenTrue.type} and ${whenFalse.type}`);
    return this.#plain("select", whenTrue.type, [condition, whenTrue, whenFalse]);
  }
  /** `address` + `bytes`; returns `address` itself for 0. */
  offset(address: Instr, bytes: bigint | number): Instr {
    return BigInt(bytes) === 0n ? address : this.binary("add", address, this.iconst("i64", bytes));
  }

  // ---- memory
  /** `size` and `align` in bytes. The address is valid until the function returns; the contents are undefined. */
  alloca(size: number, align: number, name = ""): Alloca {
    const instr = numbered(this.func, make.alloca(size, align, name, this.loc));
    const entry = this.func.blocks[0];
    instr.block = entry;
    entry.instrs.splice(this.#allocas++, 0, instr);
    return instr;
  }
  load(type: Type, address: Instr, volatile = false): Instr {
    return this.#emit(make.load(type, address, volatile, this.loc));
  }
  store(address: Instr, value: Instr, volatile = false): Instr {
    return this.#emit(make.store(address, value, volatile, this.loc));
  }
  /** `size` bytes, not overlapping unless `to` equals `from`. */
  copy(to: Instr, from: Instr, size: number, align: number): Instr {
    return this.#emit(make.copy(to, from, size, align, this.loc));
  }
  zero(to: Instr, size: number, align: number): Instr {
    return this.#emit(make.zero(to, size, align, this.loc));
  }
  atomicLoad(type: Type, address: Instr): Instr {
    return this.#plain("aload", type, [address]);
  }
  atomicStore(address: Instr, value: Instr): Instr {
    return this.#plain("astore", "void", [address, value]);
  }
  /** Returns the old value. */
  atomicUpdate(op: AtomicUpdate, address: Instr, value: Instr): Instr {
    return this.#plain(op, value.type, [address, value]);
  }
  /** Returns the old value; it equals `expected` if the exchange took place. */
  compareExchange(address: Instr, expected: Instr, desired: Instr): Instr {
    return this.#plain("cmpxchg", expected.type, [address, expected, desired]);
  }
  /** fence: for the processor too; barrier: for the compiler only. */
  fence(op: "fence" | "barrier"): Instr {
    return this.#plain(op, "void", []);
  }

  // ---- calls
  call(symbol: string, result: Type, args: readonly Instr[]): Instr {
    return this.#emit(make.call(symbol, result, [...args], this.loc));
  }
  callIndirect(target: Instr, result: Type, args: readonly Instr[]): Instr {
    return this.#plain("icall", result, [target, ...args]);
  }
  asm(block: AsmBlock, result: Type, args: readonly Instr[]): Instr {
    if (block.inputs.length !== args.length)
      throw new Error(`${this.func.name}: asm has ${block.inputs.length} inputs, ${args.length} operands`);
    return this.#emit(make.asm(block, result, [...args], this.loc));
  }

  // ---- control
  /**
   * Adds a phi at the head of the current block, after its other phis. `args` are in the order of the block's preds.
   */
  phi(type: Type, args: readonly Instr[], name = ""): Instr {
    const instr = numbered(this.func, make.phi(type, [...args], name, this.loc));
    instr.block = this.block;
    const at = this.block.instrs.findIndex((i) => i.op !== "phi");
    this.block.instrs.splice(at < 0 ? this.block.instrs.length : at, 0, instr);
    return instr;
  }
  jump(target: Block): void {
    this.#terminate(make.jump(target, this.loc));
  }
  /** `condition`: i8, 0 or not. */
  branch(condition: Instr, whenTrue: Block, whenFalse: Block): void {
    if (condition.type !== "i8") throw new Error(`${this.func.name}: branch on ${condition.type}`);
    this.#terminate(make.branch(condition, [whenTrue, whenFalse], this.loc));
  }
  /** targets[i] for cases[i] (wrapped to the width of `value`), else `otherwise`. */
  switch(value: Instr, cases: readonly bigint[], targets: readonly Block[], otherwise: Block): void {
    if (value.type === "void" || cases.length !== targets.length)
      throw new Error(`${this.func.name}: malformed switch`);
    const width = widthOf[value.type];
    const wrapped = cases.map((c) => BigInt.asUintN(width, c));
    this.#terminate(make.switch(value, wrapped, [...targets, otherwise], this.loc));
  }
  ret(value?: Instr): void {
    this.#terminate(make.ret(value ? [value] : [], this.loc));
  }
  unreachable(): void {
    this.#terminate(make.unreachable(this.loc));
  }

  /**
   * From here on, all `bytes` of the variable are `watched`, or (`indirect`) what is stored there. Does nothing in
   * unreachable code, because debug values must not create blocks.
   */
  debugValue(variable: Variable, watched: Instr, indirect: boolean, bytes: number): void {
    if (this.terminated) return;
    this.#emit(make.debug({ variable, watched, indirect, offset: 0, bytes }, this.loc));
  }
  /** A constant for debuggers only: it is in no block, because it makes no code. */
  debugConstant(type: Type, value: bigint | number): Instr {
    return numbered(
      this.func,
      type === "f64"
        ? make.floatConst(Number(value), this.loc)
        : make.intConst(type, BigInt.asUintN(widthOf[type as "i64"], BigInt(value)), this.loc),
    );
  }
  /** The same for an address. */
  debugSymbol(name: string, addend: bigint): Instr {
    return numbered(this.func, make.symbol(name, addend, this.loc));
  }

  #plain(op: PlainOp, type: Type, args: Instr[]): Instr {
    return this.#emit(make.plain(op, type, args, this.loc));
  }
  #emit<I extends Instr>(instr: I): I {
    if (this.terminated) this.enter(this.createBlock());
    instr.id = this.func.nextId++;
    instr.block = this.block;
    this.block.instrs.push(instr);
    return instr;
  }
  #terminate(instr: Terminator): void {
    if (this.terminated) return;
    this.#emit(instr);
    for (const target of instr.targets) target.preds.push(this.block);
  }
}
