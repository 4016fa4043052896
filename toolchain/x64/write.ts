/**
 * Writes an allocated function to a code sink: order of blocks, jumps, prologue and epilogue, parallel copies, and
 * final local improvements that need to know where flags are read.
 */
import type { Instr, Loc } from "../ir/ir.ts";
import type { DebugWriter } from "./debug/info.ts";
import { type Frame, layOutFrame } from "./frame.ts";
import {
  type MachineBlock,
  type MachineInstr,
  type MachineOperand,
  type Mem,
  type Reg,
  RBP,
  RSP,
  registerName,
  type Width,
  XMM0,
} from "./machine.ts";
import type { CodeSink, MemoryOperand, Operand } from "./operand.ts";
import { type MoveSink, type ParallelMove, type Remade, sequentialise } from "./parallel.ts";
import { FIRST_SLOT, type Placed, type PlacedBlock, type PlacedFunction } from "./regalloc-place.ts";
import { negate } from "./select/control.ts";

export interface JumpTable {
  readonly symbol: string;
  readonly labels: readonly string[];
}

/** `debug` learns what each instruction became, through its own sink. */
export function writeCode(placed: PlacedFunction, sink: CodeSink, debug: DebugWriter | null = null): JumpTable[] {
  return new Writer(placed, debug?.sink ?? sink, debug).run();
}

const register = (r: number, width: Width): Operand => ({ kind: "register", name: registerName(r, width) });
const immediate = (value: bigint | number): Operand => ({ kind: "immediate", value: BigInt(value) });

class Writer implements MoveSink {
  readonly #placed: PlacedFunction;
  readonly #sink: CodeSink;
  readonly #frame: Frame;
  readonly #tables: JumpTable[] = [];
  /** The block that a jump to a block finally reaches. */
  readonly #forward = new Map<MachineBlock, MachineBlock>();
  /** Reached by a jump from another line. */
  readonly #entered = new Set<MachineBlock>();
  #expansions = 0;
  /** For the copies being written. */
  #flagsLive = true;

  readonly #debug: DebugWriter | null;

  constructor(placed: PlacedFunction, sink: CodeSink, debug: DebugWriter | null) {
    this.#placed = placed;
    this.#sink = sink;
    this.#debug = debug;
    this.#frame = layOutFrame(placed);
    if (debug) debug.frame = this.#frame;
  }

  run(): JumpTable[] {
    const { blocks } = this.#placed;
    const empty = new Set<PlacedBlock>();
    for (const b of blocks.slice(1))
      if (b.code.at(-1)!.instr.op === "jump" && b.code.slice(0, -1).every(isNothing)) empty.add(b);
    const byBlock = new Map(blocks.map((b) => [b.block, b]));
    for (const { block } of blocks) {
      let at = block;
      for (let steps = 0; empty.has(byBlock.get(at)!) && steps < blocks.length; steps++)
        at = byBlock.get(at)!.block.succs[0];
      // A loop that consists only of jumps keeps its code.
      if (empty.has(byBlock.get(at)!)) empty.delete(byBlock.get(at)!);
      this.#forward.set(block, at);
    }
    const order = rotateLoops(
      blocks.filter((b) => !empty.has(b)),
      (b) => this.#forward.get(b)!,
    );
    this.#findEntered(order);
    this.#prologue();
    order.forEach((b, i) => this.#writeBlock(b, order[i + 1]?.block ?? null));
    return this.#tables;
  }

  /** Blocks to which a block jumps that ends in another line than theirs begins in. */
  #findEntered(order: readonly PlacedBlock[]): void {
    const starts = new Map(order.map(({ block, code }) => [block, code.find(hasLine)?.instr.loc]));
    for (const { block, code } of order) {
      const end = code.findLast(hasLine)?.instr.loc;
      if (end === undefined) continue;
      for (const succ of block.succs) {
        const to = this.#forward.get(succ)!;
        const start = starts.get(to);
        if (start !== undefined && (start.file !== end.file || start.line !== end.line)) this.#entered.add(to);
      }
    }
  }

  // ---- prologue and epilogue

  #prologue(): void {
    const { hasPointer, saved, size } = this.#frame;
    const { loc } = this.#placed.f;
    const line = (mark?: "prologue end"): void => {
      if (loc.file >= 0) this.#sink.line(loc.file, loc.line, loc.column, mark);
    };
    line();
    if (hasPointer) {
      this.#sink.emit("push", register(RBP, 64));
      this.#sink.emit("mov", register(RBP, 64), register(RSP, 64));
    }
    for (const r of saved) this.#sink.emit("push", register(r, 64));
    if (size > 0) this.#sink.emit("sub", register(RSP, 64), immediate(size));
    line("prologue end");
  }

  #epilogue(): void {
    const { hasPointer, saved, size } = this.#frame;
    if (hasPointer && saved.length === 0) {
      this.#sink.emit(size > 0 ? "leave" : "pop", ...(size > 0 ? [] : [register(RBP, 64)]));
      this.#sink.emit("ret");
      return;
    }
    if (size > 0) this.#sink.emit("add", register(RSP, 64), immediate(size));
    for (let i = saved.length - 1; i >= 0; i--) this.#sink.emit("pop", register(saved[i], 64));
    if (hasPointer) this.#sink.emit("pop", register(RBP, 64));
    this.#sink.emit("ret");
  }

  // ---- blocks

  #writeBlock({ block, code }: PlacedBlock, next: MachineBlock | null): void {
    this.#sink.label(block.label);
    this.#debug?.enter(block);
    const flagsLive = flagsLiveAfter(code);
    let before: Loc | null = null;
    let isEntered = this.#entered.has(block);
    code.forEach((placed, i) => {
      const { loc, debug } = placed.instr;
      if (debug) this.#withoutCode(debug, before);
      if (!isNothing(placed)) before = loc;
      if (hasLine(placed)) {
        this.#sink.line(loc.file, loc.line, loc.column, undefined, isEntered);
        isEntered = false;
      }
      try {
        this.#write(placed, next, flagsLive[i] !== 0);
      } catch (error) {
        throw new Error(`writing ${placed.instr.op} at ${loc.line}:${loc.column}: ${(error as Error).message}`, {
          cause: error,
        });
      }
      this.#debug?.wrote(placed);
    });
  }

  /**
   * Statements without code, such as `x = y`: a breakpoint there belongs to the next code. `before`: the preceding code
   * in the block.
   */
  #withoutCode(debug: readonly Instr[], before: Loc | null): void {
    for (const { loc } of debug) {
      if (loc.file < 0 || (before !== null && before.file === loc.file && before.line === loc.line)) continue;
      this.#sink.line(loc.file, loc.line, loc.column, "no code");
    }
  }

  #write(placed: Placed, next: MachineBlock | null, flagsLive: boolean): void {
    const { instr } = placed;
    switch (instr.op) {
      case "undef":
        return;
      case "copy":
      case "parcopy":
      case "shuffle":
        this.#flagsLive = flagsLive;
        return sequentialise(parallelMoves(this.#placed, placed), this);
      case "expand":
        return this.#expand(placed);
      case "jump":
        return this.#jump(instr.targets[0], next);
      case "br":
        return this.#branch(instr, next);
      case "table":
        return this.#table(placed);
      case "ret":
        // The code after this has the same frame as before.
        if (next !== null) this.#sink.emit(".cfi_remember_state");
        if (instr.loc.file >= 0) this.#sink.line(instr.loc.file, instr.loc.line, instr.loc.column, "epilogue begin");
        this.#epilogue();
        if (next !== null) this.#sink.emit(".cfi_restore_state");
        return;
    }
    const operands = this.#operands(placed);
    const space = instr.op.indexOf(" ");
    if (space > 0) {
      this.#sink.emit(instr.op.slice(0, space));
      this.#sink.emit(instr.op.slice(space + 1), ...operands);
    } else this.#plain(instr.op, operands, flagsLive);
  }

  /** Uses shorter equivalent forms. */
  #plain(op: string, operands: Operand[], flagsLive: boolean): void {
    const [a, b] = operands;
    if (op === "mov" && a.kind === "register" && b.kind === "immediate" && b.value === 0n && !flagsLive) {
      this.#sink.emit("xor", a, a);
      return;
    }
    if (op === "lea" && a.kind === "register" && b.kind === "memory" && b.symbol === null) {
      // In a 32-bit lea the address still uses 64-bit register names.
      const width = a.name.startsWith("e") || a.name.endsWith("d") ? 32 : 64;
      const same = (name: string | null): boolean => name !== null && narrowed(name, width) === a.name;
      const { base, index, scale, displacement } = b;
      if (base !== null && index === null && displacement === 0n) {
        if (!same(base) || width === 32) this.#sink.emit("mov", a, { kind: "register", name: narrowed(base, width) });
        return;
      }
      if (!flagsLive && base !== null && index === null && same(base)) {
        if (displacement === 128n) this.#sink.emit("sub", a, immediate(-128));
        else this.#sink.emit("add", a, immediate(displacement));
        return;
      }
      if (
        !flagsLive &&
        base !== null &&
        index !== null &&
        scale === 1 &&
        displacement === 0n &&
        (same(base) || same(index))
      ) {
        this.#sink.emit("add", a, { kind: "register", name: narrowed(same(base) ? index : base, width) });
        return;
      }
    }
    this.#sink.emit(op, ...operands);
  }

  #jump(to: MachineBlock, next: MachineBlock | null): void {
    const target = this.#forward.get(to)!;
    if (target !== next) this.#sink.emit("jmp", { kind: "label", name: target.label });
  }

  #branch(instr: MachineInstr, next: MachineBlock | null): void {
    const [yes, no] = instr.targets.map((t) => this.#forward.get(t)!);
    const to = (cc: string, block: MachineBlock): void =>
      this.#sink.emit(`j${cc}`, { kind: "label", name: block.label });
    if (yes === no) return this.#jump(yes, next);
    if (instr.cc === "oe") {
      to("ne", no);
      to("p", no);
      return this.#jump(yes, next);
    }
    if (instr.cc === "une") {
      to("ne", yes);
      to("p", yes);
      return this.#jump(no, next);
    }
    if (yes === next) return to(negate(instr.cc), no);
    to(instr.cc, yes);
    this.#jump(no, next);
  }

  #table(placed: Placed): void {
    const [index, address] = placed.locations;
    const symbol = `${this.#placed.f.name}.table${this.#tables.length}`;
    this.#tables.push({ symbol, labels: placed.instr.targets.map((t) => this.#forward.get(t)!.label) });
    const expression = { plus: symbol, minus: null, addend: 0n };
    const blank = { kind: "memory", index: null, scale: 1, displacement: 0n, segment: null } as const;
    this.#sink.emit("lea", register(address, 64), { ...blank, width: 0, base: "rip", symbol: expression });
    this.#sink.emit("jmp", {
      ...blank,
      width: 64,
      base: registerName(address, 64),
      index: registerName(index, 64),
      scale: 8,
      symbol: null,
    });
  }

  #expand(placed: Placed): void {
    const { instr } = placed;
    const operands = this.#operands(placed);
    const regs = instr.operands.map((operand, i) =>
      operand.kind === "reg" ? placed.locations[locationIndex(instr, i)] : -1,
    );
    instr.expand!({
      sink: this.#sink,
      name: (i, width) => registerName(regs[i], width),
      memory: (i) => operands[i] as MemoryOperand,
      label: `.X${this.#expansions++}`,
    });
  }

  // ---- operands

  #operands(placed: Placed): Operand[] {
    let k = 0;
    return placed.instr.operands.map((operand): Operand => {
      switch (operand.kind) {
        case "reg":
          return this.#register(placed.locations[k++], operand.width);
        case "mem": {
          const base = operand.base ? placed.locations[k++] : -1;
          const index = operand.index ? placed.locations[k++] : -1;
          return this.#memory(operand, base, index);
        }
        case "imm":
          return immediate(operand.value);
        case "sym":
          return { kind: "symbol", expression: { plus: operand.name, minus: null, addend: operand.addend } };
        default:
          throw new Error(`operand ${operand.kind} outside a parallel copy`);
      }
    });
  }

  #register(location: number, width: Width): Operand {
    return location >= FIRST_SLOT ? this.#slot(location, width) : register(location, width);
  }
  #slot(location: number, width: Width): MemoryOperand {
    return frameMemory("rbp", this.#frame.slots[location - FIRST_SLOT], width);
  }

  #memory(m: Mem, base: number, index: number): MemoryOperand {
    const names = { index: index < 0 ? null : registerName(index, 64), scale: m.scale } as const;
    switch (m.space) {
      case "object":
        return { ...frameMemory("rbp", this.#frame.objects[m.object] + m.disp, m.width), ...names };
      case "incoming":
        return { ...frameMemory("rbp", 16 + m.disp, m.width), ...names };
      case "outgoing":
        return { ...frameMemory("rsp", m.disp, m.width), ...names };
      case "none":
        break;
    }
    if (m.symbol !== null)
      return { ...frameMemory("rip", 0, m.width), symbol: { plus: m.symbol, minus: null, addend: m.addend } };
    return {
      kind: "memory",
      width: m.width,
      base: base < 0 ? null : registerName(base, 64),
      ...names,
      displacement: BigInt(m.disp),
      symbol: null,
      segment: null,
    };
  }

  // ---- single moves

  move(to: number, from: number, isVector: boolean): void {
    const op = !isVector ? "mov" : to < FIRST_SLOT && from < FIRST_SLOT ? "movapd" : "movsd";
    this.#sink.emit(op, this.#register(to, 64), this.#register(from, 64));
  }
  exchange(a: number, b: number): void {
    this.#sink.emit("xchg", register(a, 64), register(b, 64));
  }
  push(location: number): void {
    this.#sink.emit("push", this.#register(location, 64));
  }
  pop(location: number): void {
    this.#sink.emit("pop", this.#register(location, 64));
  }
  make(to: number, value: Remade): void {
    switch (value.kind) {
      case "imm": {
        const v = BigInt.asUintN(64, value.value);
        if (v === 0n && !this.#flagsLive) this.#sink.emit("xor", register(to, 32), register(to, 32));
        else if (v <= 0xffff_ffffn) this.#sink.emit("mov", register(to, 32), immediate(v));
        else this.#sink.emit("mov", register(to, 64), immediate(BigInt.asIntN(64, v)));
        return;
      }
      case "sym":
        this.#sink.emit("lea", register(to, 64), {
          ...frameMemory("rip", 0, 0),
          symbol: { plus: value.name, minus: null, addend: value.addend },
        });
        return;
      case "frame":
        this.#sink.emit("lea", register(to, 64), frameMemory("rbp", this.#frame.objects[value.object] + value.disp, 0));
        return;
    }
  }
  storeImmediate(slot: number, value: bigint): void {
    this.#sink.emit("mov", this.#slot(slot, 64), immediate(value));
  }
}

const frameMemory = (base: string, offset: number, width: Width | 0): MemoryOperand => ({
  kind: "memory",
  width,
  base,
  index: null,
  scale: 1,
  displacement: BigInt(offset),
  symbol: null,
  segment: null,
});

const names32 = new Map(Array.from({ length: 16 }, (_, r) => [registerName(r, 64), registerName(r, 32)]));
const narrowed = (name: string, width: 32 | 64): string => (width === 64 ? name : names32.get(name)!);

/** Index into the locations of operand `i`. */
function locationIndex(instr: MachineInstr, i: number): number {
  let k = 0;
  for (const operand of instr.operands.slice(0, i)) {
    if (operand.kind === "reg") k++;
    else if (operand.kind === "mem") k += (operand.base ? 1 : 0) + (operand.index ? 1 : 0);
  }
  return k;
}

/** The moves of a copy, parallel copy or shuffle; undefined sources are left out. */
export function parallelMoves(placed: PlacedFunction, { instr, locations }: Placed): ParallelMove[] {
  const moves: ParallelMove[] = [];
  const isVector = (operand: Reg, location: number): boolean =>
    operand.reg < FIRST_SLOT ? location >= XMM0 : placed.f.isVector[operand.reg - FIRST_SLOT];
  let k = 0;
  for (let i = 0; i < instr.operands.length; i += 2) {
    const target = instr.operands[i] as Reg;
    const source: MachineOperand = instr.operands[i + 1];
    const to = locations[k++];
    if (source.kind === "reg") {
      const from = locations[k++];
      const remat = from < 0 ? placed.f.remat[source.reg - FIRST_SLOT] : null;
      moves.push({ to, from: remat ?? from, isVector: isVector(target, to) });
    } else if (source.kind === "imm" || source.kind === "sym" || source.kind === "frame")
      moves.push({ to, from: source, isVector: false });
  }
  return moves;
}

/** It is code of a line. */
const hasLine = (placed: Placed): boolean => placed.instr.loc.file >= 0 && !isNothing(placed);
/** Copies of a location to itself make no code. */
function isNothing({ instr, locations }: Placed): boolean {
  if (instr.op === "undef") return true;
  if (instr.op !== "copy" && instr.op !== "parcopy" && instr.op !== "shuffle") return false;
  let k = 0;
  for (let i = 0; i < instr.operands.length; i += 2) {
    const to = locations[k++];
    const source = instr.operands[i + 1];
    if (source.kind === "undefined") continue;
    if (source.kind !== "reg" || locations[k++] !== to) return false;
  }
  return true;
}

const WRITES_FLAGS = new Set([
  "cmp",
  "test",
  "add",
  "sub",
  "and",
  "or",
  "xor",
  "neg",
  "ucomisd",
  "call",
  "expand",
  "lock xadd",
  "lock cmpxchg",
  "imul",
  "mul",
  "div",
  "idiv",
  "bsf",
  "bsr",
]);

/** Per instruction: 1 if a later instruction in the block reads the flags that it leaves or sets. */
function flagsLiveAfter(code: readonly Placed[]): Uint8Array {
  const live = new Uint8Array(code.length);
  let now = 0;
  for (let i = code.length - 1; i >= 0; i--) {
    live[i] = now;
    const { op } = code[i].instr;
    if (op === "br" || op.startsWith("set") || op.startsWith("cmov")) now = 1;
    else if (WRITES_FLAGS.has(op)) now = 0;
  }
  return live;
}

/**
 * A loop tested at its head has a jump back at its end. The head is moved after that end, so that its test jumps back
 * instead: one jump when entering the loop, none inside.
 */
function rotateLoops(order: readonly PlacedBlock[], forward: (block: MachineBlock) => MachineBlock): PlacedBlock[] {
  const blocks = [...order];
  for (let i = blocks.length - 2; i > 0; i--) {
    const { block, code } = blocks[i];
    if (block.loopDepth === 0 || code.at(-1)!.instr.op !== "br") continue;
    if (!code.at(-1)!.instr.targets.some((t) => forward(t) === blocks[i + 1].block)) continue;
    let latch = -1;
    for (let j = i + 1; j < blocks.length && blocks[j].block.loopDepth >= block.loopDepth; j++) {
      const last = blocks[j].code.at(-1)!.instr;
      if (last.op === "jump" && forward(last.targets[0]) === block) latch = j;
    }
    if (latch < 0) continue;
    blocks.splice(latch + 1, 0, blocks[i]);
    blocks.splice(i, 1);
  }
  return blocks;
}
