/**
 * State of the selection of one function: the register of each value, the code at the current place, frame objects,
 * edges. The families of operations emit their code through it; select.ts does the walk.
 */
import { type Dominators, findLoops, phisOf } from "../../ir/cfg.ts";
import type { Alloca, Block, FloatConst, Func, Instr, IntConst, Loc, SymbolAddress } from "../../ir/ir.ts";
import { opInfo } from "../../ir/ops.ts";
import {
  DEF,
  FIRST_VIRTUAL,
  imm,
  MachineBlock,
  MachineFunction,
  MachineInstr,
  type MachineOperand,
  MEMORY_OK,
  type Mem,
  memOf,
  type Reg,
  type Remat,
  reg,
  USE,
  type Width,
} from "../machine.ts";
import { isZeroExtended } from "./values.ts";

export interface SelectOptions {
  /** Whether a call of this symbol never returns. */
  isNoreturn(symbol: string): boolean;
}

export class Selector {
  readonly f: Func;
  readonly options: SelectOptions;
  readonly mf: MachineFunction;
  /** The instruction being lowered: everything folded into it is computed at its place. */
  root!: Instr;
  /** By Instr.id. */
  readonly uses: Int32Array;
  readonly usedByPhi: Uint8Array;
  readonly before: Int32Array;
  readonly after: Int32Array;
  /** By Instr.id: the instructions in blocks. */
  readonly instrs: Instr[] = [];
  /** By Instr.id: the register of the value; 0 = not requested yet. */
  readonly registers: Int32Array;
  /** The IR instruction after `root` in its block, ignoring debug values. */
  next: Instr | null = null;
  /** Where `emit` appends. */
  #current: MachineInstr[] = [];
  #block!: Block;
  readonly #machineBlocks = new Map<Block, MachineBlock>();
  /** Additional blocks that the terminator of `#block` needs, in order. */
  #extra: MachineBlock[] = [];
  #labels = 0;
  /** Where the values are computed that a block in a loop needs repeatedly: the block before its outermost loop. */
  readonly #beforeLoop = new Map<Block, Block>();
  readonly #hoisted = new Map<Block, Map<string, { register: number; value: Remat }>>();

  /** `order`: the order of the blocks in the code. */
  constructor(f: Func, options: SelectOptions, dominators: Dominators, order: readonly Block[]) {
    this.f = f;
    this.options = options;
    this.mf = new MachineFunction(f.name, f.loc);
    this.uses = new Int32Array(f.nextId);
    this.usedByPhi = new Uint8Array(f.nextId);
    this.before = new Int32Array(f.nextId);
    this.after = new Int32Array(f.nextId);
    this.registers = new Int32Array(f.nextId);
    const depths = new Map<Block, number>();
    for (const loop of findLoops(dominators)) {
      const outside = dominators.idom(loop.header)!;
      for (const block of loop.blocks) {
        depths.set(block, Math.max(loop.depth, depths.get(block) ?? 0));
        if (loop.depth === 1) this.#beforeLoop.set(block, outside);
      }
    }
    for (const block of order) {
      const m = new MachineBlock(0, `.L${this.#labels++}`);
      m.loopDepth = depths.get(block) ?? 0;
      this.#machineBlocks.set(block, m);
      this.#survey(block);
    }
  }

  /** Counts uses and the writes to memory before each instruction. */
  #survey(block: Block): void {
    let writes = 0;
    for (const instr of block.instrs) {
      for (const arg of instr.args) {
        this.uses[arg.id]++;
        if (instr.op === "phi") this.usedByPhi[arg.id] = 1;
      }
      this.instrs[instr.id] = instr;
      this.before[instr.id] = writes;
      if (opInfo(instr.op).writesMemory || (instr.op === "load" && instr.volatile)) writes++;
      this.after[instr.id] = writes;
    }
  }

  // ---- position

  /** Moves to a block, at its end. */
  enter(block: Block): MachineBlock {
    this.#block = block;
    this.#extra = [];
    return this.machineBlock(block);
  }
  machineBlock(block: Block): MachineBlock {
    return this.#machineBlocks.get(block)!;
  }
  /** The additional blocks of the current one's terminator, in order. */
  get extra(): readonly MachineBlock[] {
    return this.#extra;
  }
  /** Moves to `root`; `next`: the instruction after it in its block. */
  turnTo(root: Instr, next: Instr | null): void {
    this.root = root;
    this.next = next;
  }
  /** Returns the code since the last call. */
  take(): MachineInstr[] {
    const code = this.#current;
    this.#current = [];
    return code;
  }

  // ---- code

  emit(op: string, ...operands: MachineOperand[]): MachineInstr {
    const instr = new MachineInstr(op, operands, this.root.loc);
    this.#current.push(instr);
    return instr;
  }
  /** Emits code at the function's start. */
  emitAtStart(op: string, operands: MachineOperand[]): void {
    this.#current.push(new MachineInstr(op, operands, this.f.loc));
  }
  temp(isVector = false): number {
    return this.mf.newRegister(isVector);
  }

  // ---- values

  wanted(instr: Instr): boolean {
    return this.registers[instr.id] !== 0;
  }
  /** The register that `instr` defines. */
  result(instr: Instr): number {
    let r = this.registers[instr.id];
    if (r === 0) {
      r = this.mf.newRegister(instr.type === "f64");
      this.registers[instr.id] = r;
    }
    return r;
  }
  def(instr: Instr, width: Width): Reg {
    return reg(this.result(instr), width, DEF);
  }

  /** A register that holds the value of `instr` at the current place. */
  use(instr: Instr): number {
    switch (instr.op) {
      case "trunc":
        return this.use(instr.args[0]);
      case "zext":
        if (isZeroExtended(instr.args[0])) return this.use(instr.args[0]);
        break;
      case "const":
      case "symbol":
      case "fconst":
      case "alloca":
        return this.#useLeaf(instr);
    }
    return this.result(instr);
  }
  useReg(instr: Instr, width: Width): Reg {
    return reg(this.use(instr), width, USE);
  }

  /** A constant, symbol or address of the frame, or null. */
  rematOf(instr: Instr): Remat | null {
    switch (instr.op) {
      case "const":
        return imm(instr.imm);
      case "symbol":
        return { kind: "sym", name: instr.symbol, addend: BigInt.asIntN(64, instr.imm) };
      case "alloca":
        return instr.align <= 16 ? { kind: "frame", object: this.objectOf(instr), disp: 0 } : null;
      default:
        return null;
    }
  }

  #useLeaf(instr: IntConst | FloatConst | SymbolAddress | Alloca): number {
    const value = this.rematOf(instr);
    const before = this.#beforeLoop.get(this.#block);
    if (value === null) {
      const r = this.temp(instr.op === "fconst");
      if (instr.op === "fconst") this.materialiseFloat(r, instr.float);
      else if (instr.op === "alloca") {
        // Over-aligned: the object has room to round the address up.
        this.emit("lea", reg(r, 64, DEF), frameObject(this.objectOf(instr), 0, 0));
        this.emit("add", reg(r, 64, USE | DEF), imm(instr.align - 16));
        this.emit("and", reg(r, 64, USE | DEF), imm(-instr.align));
      }
      return r;
    }
    if (before !== undefined) {
      const key =
        value.kind === "imm"
          ? `${value.value}`
          : value.kind === "sym"
            ? `${value.name}+${value.addend}`
            : `#${value.object}`;
      let map = this.#hoisted.get(before);
      if (map === undefined) this.#hoisted.set(before, (map = new Map()));
      let entry = map.get(key);
      if (entry === undefined) {
        entry = { register: this.temp(), value };
        this.mf.remat[entry.register - FIRST_VIRTUAL] = value;
        map.set(key, entry);
      }
      return entry.register;
    }
    const r = this.temp();
    this.materialise(r, value);
    return r;
  }

  materialise(r: number, value: Remat): void {
    this.#current.push(...materialisation(r, value, this.root.loc));
  }

  /** Computes the values that loops after the current block take from it. */
  materialiseHoisted(): void {
    for (const { register, value } of this.#hoisted.get(this.#block)?.values() ?? []) this.materialise(register, value);
  }

  materialiseFloat(r: number, value: number): void {
    if (Object.is(value, 0)) {
      this.emit("undef", reg(r, 64, DEF));
      this.emit("xorps", reg(r, 64, USE | DEF), reg(r, 64, USE));
      return;
    }
    const bits = this.temp();
    this.materialise(bits, imm(new BigUint64Array(new Float64Array([value]).buffer)[0]));
    this.emit("movq", reg(r, 64, DEF), reg(bits, 64, USE));
  }

  /**
   * Whether `load` may become a memory operand of the root. `exclusive`: no other code computes the instructions
   * between them.
   */
  canSwallow(load: Instr, exclusive: boolean): boolean {
    return (
      load.op === "load" &&
      exclusive &&
      !load.volatile &&
      this.uses[load.id] === 1 &&
      load.block === this.#block &&
      !this.wanted(load) &&
      this.after[load.id] === this.before[this.root.id]
    );
  }
  /** Whether computing `instr` again at the root is worthwhile. */
  near(instr: Instr): boolean {
    return this.uses[instr.id] === 1 || instr.block === this.#block;
  }

  readonly #objects = new Map<Instr, number>();
  /** Null: no code needs it. */
  knownObject(alloca: Instr): number | null {
    return this.#objects.get(alloca) ?? null;
  }
  objectOf(alloca: Alloca): number {
    let object = this.#objects.get(alloca);
    if (object === undefined) {
      const over = Math.max(0, alloca.align - 16);
      object = this.mf.objects.push({ size: alloca.size + over, align: Math.min(16, alloca.align) }) - 1;
      this.#objects.set(alloca, object);
    }
    return object;
  }

  // ---- edges

  /** The source of a parallel copy. */
  copySource(instr: Instr): MachineOperand {
    if (instr.op === "undef") return { kind: "undefined" };
    return this.rematOf(instr) ?? reg(this.use(instr), 64, USE | MEMORY_OK);
  }

  /** The copies that the phis of `to` need on the edge from `from`. */
  copyPhis(to: Block, from: Block, loc: Loc): void {
    const index = to.preds.indexOf(from);
    const operands: MachineOperand[] = [];
    for (const phi of phisOf(to)) {
      const source = this.copySource(phi.args[index]);
      operands.push(reg(this.result(phi), 64, DEF | MEMORY_OK), source);
    }
    if (operands.length > 0) this.#current.push(new MachineInstr("parcopy", operands, loc));
  }

  /** Adds a block directly after the current one and those added before; `fill` emits its code. */
  extraBlock(fill: () => void): MachineBlock {
    const block = new MachineBlock(0, `.L${this.#labels++}`);
    block.loopDepth = this.machineBlock(this.#block).loopDepth;
    this.#extra.push(block);
    this.into(block, fill);
    return block;
  }
  into(block: MachineBlock, fill: () => void): void {
    const saved = this.#current;
    this.#current = block.instrs;
    fill();
    this.#current = saved;
  }

  readonly #edges = new Map<Block, { from: Block; block: MachineBlock }>();
  /** The target of a conditional jump from the current block to `to`: `to`, or a block that first copies its phis. */
  edge(to: Block): MachineBlock {
    const target = this.machineBlock(to);
    if (to.preds.length === 1 || to.instrs[0].op !== "phi") return target;
    const known = this.#edges.get(to);
    if (known?.from === this.#block) return known.block;
    const block = this.extraBlock(() => {
      this.copyPhis(to, this.#block, this.root.loc);
      this.emit("jump").targets = [target];
    });
    this.#edges.set(to, { from: this.#block, block });
    return block;
  }
  /** An unconditional jump to `to`. */
  jump(to: Block): void {
    if (to.preds.length > 1) this.copyPhis(to, this.#block, this.root.loc);
    this.emit("jump").targets = [this.machineBlock(to)];
  }
}

/** Code that computes `value` in register `r` without changing flags. */
export function materialisation(r: number, value: Remat, loc: Loc): MachineInstr[] {
  switch (value.kind) {
    case "imm": {
      const v = BigInt.asUintN(64, value.value);
      if (v <= 0xffff_ffffn) return [new MachineInstr("mov", [reg(r, 32, DEF), imm(v)], loc)];
      return [new MachineInstr("mov", [reg(r, 64, DEF), imm(BigInt.asIntN(64, v))], loc)];
    }
    case "sym":
      return [new MachineInstr("lea", [reg(r, 64, DEF), symbolMemory(value.name, value.addend, 0)], loc)];
    case "frame":
      return [new MachineInstr("lea", [reg(r, 64, DEF), frameObject(value.object, value.disp, 0)], loc)];
  }
}

export const frameObject = (object: number, disp: number, width: Width | 0): Mem =>
  memOf(width, { space: "object", object, disp });
export const symbolMemory = (symbol: string, addend: bigint, width: Width | 0): Mem => memOf(width, { symbol, addend });
export const memory = (width: Width | 0, base: number, disp = 0): Mem =>
  memOf(width, { base: reg(base, 64, USE), disp });
export const outgoing = (width: Width, disp: number): Mem => memOf(width, { space: "outgoing", disp });
