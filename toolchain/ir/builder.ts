/**
 * Building functions instruction by instruction. Used by the frontend, by passes and by tests.
 *
 * - `createBlock` makes a block, `enter` appends it to the function (once) and makes it current.
 * - A terminator adds its edges to the targets' `preds`, one entry an edge: a switch with two cases to one block is there twice.
 * - After a terminator a further terminator is dropped, and any other instruction opens a new block without predecessors, so
 *   that a front end need not know what is dead. The unreachable-code pass removes those blocks.
 * - `alloca` always goes to the head of the entry block, wherever the builder stands.
 * - Operand types are asserted by the op table: a mistake is a bug of the caller.
 */
import { type AsmBlock, Block, type Func, Instr, type Loc, NO_LOC, type Variable } from "./ir.ts";
import { type Op, opInfo, type ops, type Type, widthOf } from "./ops.ts";

type OpsWith<R> = { [K in Op]: (typeof ops)[K] extends R ? K : never }[Op];
/** Two operands of one integer type, result of that type or (comparisons) i8; shifts included. */
export type IntBinary = OpsWith<{ operands: 2; operandType: "int" | "i64"; result: "same" | "i8" }>;
export type IntUnary = OpsWith<{ operands: 1; operandType: "int"; result: "same" }>;
export type FloatBinary = OpsWith<{ operands: 2; operandType: "f64" }>;
export type Conversion = "sext" | "zext" | "trunc" | "sitof" | "uitof" | "ftosi" | "ftoui" | "fbits" | "bitsf";
export type AtomicUpdate = "axchg" | "aadd" | "aand" | "aor" | "axor";

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

  /** Enters the entry block, which is made if the function has none. */
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
    const instr = this.#emit("const", type, []);
    instr.imm = BigInt.asUintN(widthOf[type], BigInt(value));
    return instr;
  }
  fconst(value: number): Instr {
    const instr = this.#emit("fconst", "f64", []);
    instr.float = value;
    return instr;
  }
  /** Address of a function or datum, plus `addend` bytes. */
  symbol(name: string, addend: bigint | number = 0n): Instr {
    const instr = this.#emit("symbol", "i64", []);
    instr.symbol = name;
    instr.imm = BigInt.asUintN(64, BigInt(addend));
    return instr;
  }
  /** Parameter `index` of the function; call it in the entry block. */
  param(index: number): Instr {
    const param = this.func.params[index];
    if (param === undefined) throw new Error(`${this.func.name}: no parameter ${index}`);
    const instr = this.#emit("param", param.type, []);
    instr.index = index;
    instr.name = param.name;
    return instr;
  }
  undef(type: Type): Instr {
    return this.#emit("undef", type, []);
  }

  // ---- integers and floats
  binary(op: IntBinary | FloatBinary, a: Instr, b: Instr): Instr {
    const { operandType, result } = opInfo(op);
    const wanted = operandType === "int" ? a.type : operandType;
    if (a.type !== wanted || b.type !== wanted) throw new Error(`${this.func.name}: ${op} of ${a.type} and ${b.type}`);
    return this.#emit(op, result === "same" ? a.type : (result as Type), [a, b]);
  }
  unary(op: IntUnary, a: Instr): Instr {
    return this.#emit(op, a.type, [a]);
  }
  /** To `type`; gives `a` itself where nothing changes. */
  convert(op: Conversion, type: Type, a: Instr): Instr {
    if ((op === "sext" || op === "zext" || op === "trunc") && a.type === type) return a;
    return this.#emit(op, type, [a]);
  }
  /** `whenTrue` if the i8 `condition` is not 0. */
  select(condition: Instr, whenTrue: Instr, whenFalse: Instr): Instr {
    if (whenTrue.type !== whenFalse.type)
      throw new Error(`${this.func.name}: select of ${whenTrue.type} and ${whenFalse.type}`);
    return this.#emit("select", whenTrue.type, [condition, whenTrue, whenFalse]);
  }
  /** `address` + `bytes`; gives `address` itself for 0. */
  offset(address: Instr, bytes: bigint | number): Instr {
    return BigInt(bytes) === 0n ? address : this.binary("add", address, this.iconst("i64", bytes));
  }

  // ---- memory
  /** `size` and `align` in bytes. The address is valid until the function returns; the contents are undefined. */
  alloca(size: number, align: number, name = ""): Instr {
    const instr = new Instr("alloca", "i64", [], this.loc);
    const entry = this.func.blocks[0];
    instr.id = this.func.nextId++;
    instr.block = entry;
    instr.size = size;
    instr.align = align;
    instr.name = name;
    entry.instrs.splice(this.#allocas++, 0, instr);
    return instr;
  }
  load(type: Type, address: Instr, volatile = false): Instr {
    const instr = this.#emit("load", type, [address]);
    instr.volatile = volatile;
    return instr;
  }
  store(address: Instr, value: Instr, volatile = false): Instr {
    const instr = this.#emit("store", "void", [address, value]);
    instr.volatile = volatile;
    return instr;
  }
  /** `size` bytes, not overlapping unless `to` equals `from`. */
  copy(to: Instr, from: Instr, size: number, align: number): Instr {
    return this.#sized("copy", [to, from], size, align);
  }
  zero(to: Instr, size: number, align: number): Instr {
    return this.#sized("zero", [to], size, align);
  }
  atomicLoad(type: Type, address: Instr): Instr {
    return this.#emit("aload", type, [address]);
  }
  atomicStore(address: Instr, value: Instr): Instr {
    return this.#emit("astore", "void", [address, value]);
  }
  /** Gives the old value. */
  atomicUpdate(op: AtomicUpdate, address: Instr, value: Instr): Instr {
    return this.#emit(op, value.type, [address, value]);
  }
  /** Gives the old value; it equals `expected` where the exchange took place. */
  compareExchange(address: Instr, expected: Instr, desired: Instr): Instr {
    return this.#emit("cmpxchg", expected.type, [address, expected, desired]);
  }
  /** fence: for the processor too; barrier: for the compiler only. */
  fence(op: "fence" | "barrier"): Instr {
    return this.#emit(op, "void", []);
  }

  // ---- calls
  call(symbol: string, result: Type, args: readonly Instr[]): Instr {
    const instr = this.#emit("call", result, [...args]);
    instr.symbol = symbol;
    return instr;
  }
  callIndirect(target: Instr, result: Type, args: readonly Instr[]): Instr {
    return this.#emit("icall", result, [target, ...args]);
  }
  asm(block: AsmBlock, result: Type, args: readonly Instr[]): Instr {
    if (block.inputs.length !== args.length)
      throw new Error(`${this.func.name}: asm has ${block.inputs.length} inputs, ${args.length} operands`);
    const instr = this.#emit("asm", result, [...args]);
    instr.asm = block;
    return instr;
  }

  // ---- control
  /** At the head of the current block, behind its other phis. `args` in the order of the block's preds. */
  phi(type: Type, args: readonly Instr[], name = ""): Instr {
    const instr = new Instr("phi", type, [...args], this.loc);
    instr.id = this.func.nextId++;
    instr.block = this.block;
    instr.name = name;
    const at = this.block.instrs.findIndex((i) => i.op !== "phi");
    this.block.instrs.splice(at < 0 ? this.block.instrs.length : at, 0, instr);
    return instr;
  }
  jump(target: Block): void {
    this.#terminate("jump", [], [target]);
  }
  /** `condition`: i8, 0 or not. */
  branch(condition: Instr, whenTrue: Block, whenFalse: Block): void {
    if (condition.type !== "i8") throw new Error(`${this.func.name}: branch on ${condition.type}`);
    this.#terminate("branch", [condition], [whenTrue, whenFalse]);
  }
  /** targets[i] for cases[i] (wrapped to the width of `value`), else `otherwise`. */
  switch(value: Instr, cases: readonly bigint[], targets: readonly Block[], otherwise: Block): void {
    if (value.type === "void" || cases.length !== targets.length)
      throw new Error(`${this.func.name}: malformed switch`);
    const width = widthOf[value.type];
    const instr = this.#terminate("switch", [value], [...targets, otherwise]);
    if (instr) instr.cases = cases.map((c) => BigInt.asUintN(width, c));
  }
  ret(value?: Instr): void {
    this.#terminate("ret", value ? [value] : [], []);
  }
  unreachable(): void {
    this.#terminate("unreachable", [], []);
  }

  /**
   * From here on all `bytes` of the variable are `watched`, or (`indirect`) what is stored there. Nothing where nothing can run, since debug
   * values may not make blocks.
   */
  debugValue(variable: Variable, watched: Instr, indirect: boolean, bytes: number): void {
    if (this.terminated) return;
    this.#emit("dbg", "void", []).debug = { variable, watched, indirect, offset: 0, bytes };
  }
  /** A constant for debuggers: in no block, since it makes no code. */
  debugConstant(type: Type, value: bigint | number): Instr {
    const instr = new Instr(type === "f64" ? "fconst" : "const", type, [], this.loc);
    instr.id = this.func.nextId++;
    if (type === "f64") instr.float = Number(value);
    else instr.imm = BigInt.asUintN(widthOf[type as "i64"], BigInt(value));
    return instr;
  }

  /** The same for an address. */
  debugSymbol(name: string, addend: bigint): Instr {
    const instr = new Instr("symbol", "i64", [], this.loc);
    instr.id = this.func.nextId++;
    instr.symbol = name;
    instr.imm = BigInt.asUintN(64, addend);
    return instr;
  }

  #sized(op: Op, args: Instr[], size: number, align: number): Instr {
    const instr = this.#emit(op, "void", args);
    instr.size = size;
    instr.align = align;
    return instr;
  }
  #emit(op: Op, type: Type, args: Instr[]): Instr {
    if (this.terminated) this.enter(this.createBlock());
    const instr = new Instr(op, type, args, this.loc);
    instr.id = this.func.nextId++;
    instr.block = this.block;
    this.block.instrs.push(instr);
    return instr;
  }
  #terminate(op: Op, args: Instr[], targets: Block[]): Instr | null {
    if (this.terminated) return null;
    const instr = this.#emit(op, "void", args);
    instr.targets = targets;
    for (const target of targets) target.preds.push(this.block);
    return instr;
  }
}
