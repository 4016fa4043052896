/**
 * Instruction selection: SSA of toolchain/ir → machine IR.
 *
 * Blocks are lowered from the last to the first and each from its end to its start, so that when an instruction is
 * reached, all its users are known: they have either asked for its value in a register (`use`) or folded it into an
 * operand. A pure instruction whose value no user asked for makes no code. This file holds the walk, selector.ts its
 * state, operands.ts the forming of operands; integer, multiply, divide, memory, control, float and atomic hold the
 * families of operations.
 *
 * A load may be folded only into its single user, in its own block, and only if no memory write is between them
 * (`before`, `after` count writes). Volatile and atomic accesses are never folded.
 */
import { Dominators, terminatorOf } from "../../ir/cfg.ts";
import type { Block, Func, Instr } from "../../ir/ir.ts";
import { placeArguments } from "../abi.ts";
import { Teller } from "../debug/values.ts";
import {
  DEF,
  FIRST_VIRTUAL,
  linkBlocks,
  type MachineBlock,
  type MachineFunction,
  type MachineInstr,
  type MachineOperand,
  MEMORY_OK,
  type Mem,
  memOf,
  type Reg,
  reg,
  USE,
} from "../machine.ts";
import { lowerAsm, lowerAtomic } from "./atomic.ts";
import { lowerCall, lowerCompare, lowerSelect, lowerTerminator } from "./control.ts";
import { lowerFloat } from "./float.ts";
import { lowerInteger } from "./integer.ts";
import { lowerMemory } from "./memory.ts";
import { type SelectOptions, Selector } from "./selector.ts";

export function selectFunction(f: Func, options: SelectOptions): MachineFunction {
  const dominators = new Dominators(f);
  const order = coldLast(dominators.order);
  const s = new Selector(f, options, dominators, order);
  const blocks: MachineBlock[] = [];
  for (let i = order.length - 1; i >= 0; i--) {
    const block = lowerBlock(s, order[i]);
    blocks.push(...[...s.extra].reverse(), block);
  }
  s.mf.blocks = blocks.reverse();
  linkBlocks(s.mf);
  return s.mf;
}

/** Blocks that can only end in `unreachable` are placed after all others. */
function coldLast(order: readonly Block[]): Block[] {
  const cold = new Set<Block>();
  for (let i = order.length - 1; i > 0; i--) {
    const last = terminatorOf(order[i]);
    if (last.op === "unreachable" || (last.targets.length > 0 && last.targets.every((t) => cold.has(t))))
      cold.add(order[i]);
  }
  return [...order.filter((b) => !cold.has(b)), ...order.filter((b) => cold.has(b))];
}

function lowerBlock(s: Selector, block: Block): MachineBlock {
  const m = s.enter(block);
  const reversed: MachineInstr[] = [];
  const flush = (): void => {
    const code = s.take();
    for (let k = code.length - 1; k >= 0; k--) reversed.push(code[k]);
  };
  let next: Instr | null = null;
  for (let i = block.instrs.length - 1; i >= 0; i--) {
    const instr = block.instrs[i];
    if (instr.op === "dbg") {
      // Before the code that follows: the last that was made.
      const follower = reversed[reversed.length - 1];
      follower.debug = [instr, ...(follower.debug ?? [])];
      s.mf.teller ??= new Teller(s);
      continue;
    }
    s.turnTo(instr, next);
    try {
      lower(s, instr);
    } catch (error) {
      const { line, column } = instr.loc;
      throw new Error(
        `${s.f.name}: selecting ${instr.op} %${instr.id} (${line}:${column}): ${(error as Error).message}`,
        { cause: error },
      );
    }
    flush();
    // Before the terminator.
    if (next === null) {
      s.materialiseHoisted();
      flush();
    }
    next = instr;
  }
  if (block === s.f.blocks[0]) lowerParameters(s, block);
  else if (block.preds.length === 1 && block.instrs[0].op === "phi")
    s.copyPhis(block, block.preds[0], block.instrs[0].loc);
  flush();
  m.instrs = reversed.reverse();
  return m;
}

function lower(s: Selector, instr: Instr): void {
  switch (instr.op) {
    case "const":
    case "fconst":
    case "symbol":
    case "alloca":
    case "param":
    case "phi":
    case "barrier":
      return;
    case "undef":
      if (s.wanted(instr)) s.emit("undef", s.def(instr, 64));
      return;
    case "load":
      if (!instr.volatile && !s.wanted(instr)) return;
      return lowerMemory(s, instr);
    case "store":
    case "copy":
    case "zero":
      return lowerMemory(s, instr);
    case "call":
    case "icall":
      return lowerCall(s, instr);
    case "asm":
      return lowerAsm(s, instr);
    case "aload":
    case "astore":
    case "axchg":
    case "aadd":
    case "aand":
    case "aor":
    case "axor":
    case "cmpxchg":
    case "fence":
      return lowerAtomic(s, instr);
    case "jump":
    case "branch":
    case "switch":
    case "ret":
    case "unreachable":
      return lowerTerminator(s, instr);
    case "udiv":
    case "sdiv":
    case "urem":
    case "srem":
      return lowerInteger(s, instr);
  }
  if (!s.wanted(instr)) return;
  switch (instr.op) {
    case "eq":
    case "ne":
    case "slt":
    case "sle":
    case "ult":
    case "ule":
    case "feq":
    case "fne":
    case "flt":
    case "fle":
      return lowerCompare(s, instr);
    case "select":
      return lowerSelect(s, instr);
    case "fadd":
    case "fsub":
    case "fmul":
    case "fdiv":
    case "sitof":
    case "uitof":
    case "ftosi":
    case "ftoui":
    case "fbits":
    case "bitsf":
      return lowerFloat(s, instr);
    default:
      return lowerInteger(s, instr);
  }
}

function lowerParameters(s: Selector, entry: Block): void {
  const { places } = placeArguments(s.f.params.map((p) => p.type));
  const operands: MachineOperand[] = [];
  const loads: [Reg, Mem][] = [];
  for (const instr of entry.instrs) {
    if (instr.op !== "param" || !s.wanted(instr)) continue;
    const place = places[instr.index];
    if ("reg" in place) operands.push(reg(s.result(instr), 64, DEF | MEMORY_OK), reg(place.reg, 64, USE));
    else {
      s.mf.hasIncomingStack = true;
      loads.push([s.def(instr, 64), memOf(64, { space: "incoming", disp: place.offset })]);
    }
  }
  if (operands.length > 0) s.emitAtStart("parcopy", operands);
  for (const [to, from] of loads) s.emitAtStart(s.mf.isVector[to.reg - FIRST_VIRTUAL] ? "movsd" : "mov", [to, from]);
}
