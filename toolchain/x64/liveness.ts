/**
 * Liveness of virtual registers by backward data flow, and from it live intervals: for each register the ranges of
 * positions in which its value may still be read, and the positions where it is read or written. Physical registers
 * have the ranges of fixed operands, calls and clobbers; they are live only within a block, except parameters, which
 * are live from the entry.
 */
import {
  DEF,
  EARLY,
  FIRST_VIRTUAL,
  forEachBit,
  forEachRegister,
  type MachineBlock,
  type MachineFunction,
  type MachineInstr,
  MEMORY_OK,
  type Reg,
  USE,
} from "./machine.ts";

/** How urgently a use needs a register: not at all (copies), better (a memory operand is possible), must. */
export const ANYWHERE = 0;
export const BETTER = 1;
export const MUST = 2;

/** Ranges as start, end (exclusive), start, end …, ascending; uses as position * 4 + urgency, ascending. */
export interface LiveRanges {
  ranges: number[];
  uses: number[];
}
export interface Copy {
  readonly to: number;
  readonly from: number;
  readonly loopDepth: number;
}
export interface Liveness {
  /** By block index: the virtual registers (number − FIRST_VIRTUAL) that are live at its start. */
  readonly liveIn: readonly Uint32Array[];
  readonly virtual: readonly LiveRanges[];
  /** Physical registers, by number. */
  readonly fixed: readonly number[][];
  /** Copies between two virtual registers, or a virtual and a physical one. */
  readonly copies: readonly Copy[];
  /** By position / 2. */
  readonly blockAt: Int32Array;
}

/** Assigns positions to every block. */
export function numberInstructions(f: MachineFunction): number {
  let position = 0;
  for (const block of f.blocks) {
    block.from = position;
    position += 2 * block.instrs.length;
    block.to = position;
  }
  return position;
}

export function analyseLiveness(f: MachineFunction): Liveness {
  const end = numberInstructions(f);
  const liveIn = solve(f);
  const words = (f.registerCount + 31) >>> 5;
  const virtual: LiveRanges[] = Array.from({ length: f.registerCount }, () => ({ ranges: [], uses: [] }));
  const fixed: number[][] = Array.from({ length: FIRST_VIRTUAL }, () => []);
  const copies: Copy[] = [];
  const blockAt = new Int32Array((end >>> 1) + 1);
  const out = new Uint32Array(words);
  // Collected from the end of the function to its start, pairs as end, start; reversed at the end.
  for (let b = f.blocks.length - 1; b >= 0; b--) {
    const block = f.blocks[b];
    blockAt.fill(b, block.from >>> 1, block.to >>> 1);
    out.fill(0);
    for (const succ of block.succs) for (let w = 0; w < words; w++) out[w] |= liveIn[succ.index][w];
    for (let w = 0; w < words; w++) {
      for (let rest = out[w]; rest !== 0; ) {
        const bit = 31 - Math.clz32(rest);
        rest &= ~(1 << bit);
        extend(virtual[w * 32 + bit].ranges, block.from, block.to);
      }
    }
    for (let i = block.instrs.length - 1; i >= 0; i--) {
      const instr = block.instrs[i];
      visitInstr(f, instr, block, block.from + 2 * i, virtual, fixed, copies);
    }
  }
  for (const v of virtual) {
    v.ranges.reverse();
    v.uses.reverse();
  }
  for (const ranges of fixed) ranges.reverse();
  blockAt[end >>> 1] = f.blocks.length - 1;
  return { liveIn, virtual, fixed, copies, blockAt };
}

/** Adds [from, to) at the front of the ranges (which are stored backwards). */
function extend(ranges: number[], from: number, to: number): void {
  const last = ranges.length - 1;
  if (last >= 0 && ranges[last] <= to) {
    if (from < ranges[last]) ranges[last] = from;
  } else ranges.push(to, from);
}

/** Ends a range at its definition; a value that is never read is live only at its definition. */
function define(ranges: number[], blockFrom: number, at: number): void {
  const last = ranges.length - 1;
  if (last >= 0 && ranges[last] === blockFrom && ranges[last - 1] > at) ranges[last] = at;
  else extend(ranges, at, (at & ~1) + 2);
}

function visitInstr(
  f: MachineFunction,
  instr: MachineInstr,
  block: MachineBlock,
  p: number,
  virtual: LiveRanges[],
  fixed: number[][],
  copies: Copy[],
): void {
  const { op } = instr;
  const isCopy = op === "copy" || op === "parcopy";
  if (instr.defs !== 0) forEachBit(instr.defs, (r) => define(fixed[r], block.from, p + 1));
  if (instr.earlyDefs !== 0) forEachBit(instr.earlyDefs, (r) => define(fixed[r], block.from, p));
  const urgency = (operand: Reg): number =>
    !(operand.role & MEMORY_OK) ? MUST : isCopy ? ANYWHERE : f.remat[operand.reg - FIRST_VIRTUAL] ? MUST : BETTER;
  forEachRegister(instr, (operand) => {
    if (!(operand.role & DEF)) return;
    const at = operand.role & EARLY ? p : p + 1;
    if (operand.reg < FIRST_VIRTUAL) return define(fixed[operand.reg], block.from, at);
    const v = virtual[operand.reg - FIRST_VIRTUAL];
    define(v.ranges, block.from, at);
    v.uses.push(at * 4 + urgency(operand));
  });
  if (instr.uses !== 0) forEachBit(instr.uses, (r) => extend(fixed[r], block.from, p + 1));
  forEachRegister(instr, (operand) => {
    if (!(operand.role & USE)) return;
    if (operand.reg < FIRST_VIRTUAL) return extend(fixed[operand.reg], block.from, p + 1);
    const v = virtual[operand.reg - FIRST_VIRTUAL];
    extend(v.ranges, block.from, p + 1);
    v.uses.push(p * 4 + urgency(operand));
  });
  if (isCopy) {
    for (let k = 0; k < instr.operands.length; k += 2) {
      const to = instr.operands[k];
      const from = instr.operands[k + 1];
      if (to.kind === "reg" && from.kind === "reg")
        copies.push({ to: to.reg, from: from.reg, loopDepth: block.loopDepth });
    }
  } else if (op === "lea") {
    // Not a copy, but the result may take over the register of the base.
    const [to, from] = instr.operands;
    if (to.kind === "reg" && from.kind === "mem" && from.base)
      copies.push({ to: to.reg, from: ~from.base.reg, loopDepth: block.loopDepth });
  }
}

/** Live-in sets: read before written, or live out and not written. */
function solve(f: MachineFunction): Uint32Array[] {
  const words = (f.registerCount + 31) >>> 5;
  const liveIn = f.blocks.map(() => new Uint32Array(words));
  const written = f.blocks.map(() => new Uint32Array(words));
  for (const block of f.blocks) {
    const reads = liveIn[block.index];
    const writes = written[block.index];
    for (let i = block.instrs.length - 1; i >= 0; i--) {
      const instr = block.instrs[i];
      forEachRegister(instr, (operand) => {
        const v = operand.reg - FIRST_VIRTUAL;
        if (v < 0 || !(operand.role & DEF)) return;
        writes[v >>> 5] |= 1 << (v & 31);
        reads[v >>> 5] &= ~(1 << (v & 31));
      });
      forEachRegister(instr, (operand) => {
        const v = operand.reg - FIRST_VIRTUAL;
        if (v >= 0 && operand.role & USE) reads[v >>> 5] |= 1 << (v & 31);
      });
    }
  }
  const pending = new Uint8Array(f.blocks.length).fill(1);
  for (let changed = true; changed; ) {
    changed = false;
    for (let b = f.blocks.length - 1; b >= 0; b--) {
      if (!pending[b]) continue;
      pending[b] = 0;
      const block = f.blocks[b];
      const own = liveIn[b];
      const kill = written[b];
      let grew = false;
      for (const succ of block.succs) {
        const from = liveIn[succ.index];
        for (let w = 0; w < words; w++) {
          const next = (own[w] | (from[w] & ~kill[w])) >>> 0;
          if (next !== own[w]) {
            own[w] = next;
            grew = true;
          }
        }
      }
      if (grew) {
        changed = true;
        for (const pred of block.preds) pending[pred.index] = 1;
      }
    }
  }
  return liveIn;
}
