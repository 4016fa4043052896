/**
 * After allocation: assigns a location to every register operand, inserts the moves that splits and edges need, and
 * removes stores to slots that are never read. A location is a physical register, or FIRST_SLOT + n for spill slot n (8
 * bytes each).
 */
import type { Loc } from "../ir/ir.ts";
import type { Liveness } from "./liveness.ts";
import {
  DEF,
  FIRST_VIRTUAL,
  forEachBit,
  forEachRegister,
  linkBlocks,
  MachineBlock,
  type MachineFunction,
  MachineInstr,
  type MachineOperand,
  MEMORY_OK,
  type Remat,
  reg,
  USE,
} from "./machine.ts";
import { type Allocation, IN_MEMORY, type Segment } from "./regalloc.ts";

export const FIRST_SLOT = 32;
/** No location: the value is computed again where it is read. */
export const REMADE = -1;

/** An instruction with the locations of its register operands, in the order of forEachRegister. */
export interface Placed {
  readonly instr: MachineInstr;
  readonly locations: readonly number[];
}
export interface PlacedBlock {
  readonly block: MachineBlock;
  code: Placed[];
}
export interface PlacedFunction {
  readonly f: MachineFunction;
  readonly blocks: PlacedBlock[];
  readonly slotCount: number;
}

export function placeRegisters(f: MachineFunction, live: Liveness, allocation: Allocation): PlacedFunction {
  return new Placer(f, live, allocation).run();
}

interface Move {
  /** Virtual register − FIRST_VIRTUAL. */
  readonly register: number;
  readonly to: number;
  readonly from: number;
}

class Placer {
  readonly f: MachineFunction;
  readonly live: Liveness;
  readonly #representative: Int32Array;
  readonly #segments: readonly Segment[][];
  /** By representative; −1 = none. */
  readonly #slots: Int32Array;
  #slotCount = 0;

  constructor(f: MachineFunction, live: Liveness, allocation: Allocation) {
    this.f = f;
    this.live = live;
    this.#representative = allocation.representative;
    this.#segments = allocation.segments;
    this.#slots = new Int32Array(f.registerCount).fill(-1);
  }

  run(): PlacedFunction {
    const { f } = this;
    this.#assignSlots();
    const splits = this.#splitMoves();
    const blocks = f.blocks.map((block): PlacedBlock => {
      const code: Placed[] = [];
      block.instrs.forEach((instr, i) => {
        const position = block.from + 2 * i;
        const moves = splits.get(position);
        if (moves) code.push(this.#moves(moves, instr.loc));
        this.#place(instr, position, code);
      });
      return { block, code };
    });
    this.#resolveEdges(blocks);
    linkBlocks(f);
    blocks.sort((a, b) => a.block.index - b.block.index);
    forwardCopies(blocks, this.#slotCount);
    if (this.#slotCount > 0) removeDeadStores(blocks, this.#slotCount);
    return { f, blocks, slotCount: this.#slotCount };
  }

  /** Registers share a slot if their whole live ranges do not overlap. */
  #assignSlots(): void {
    const spilled = this.#segments
      .map((list, register) => ({ list, register }))
      .filter(({ list, register }) => !this.f.remat[register] && list.some((s) => s.location === IN_MEMORY))
      .map(({ list, register }) => ({ register, start: list[0].start, end: Math.max(...list.map((s) => s.end)) }))
      .sort((a, b) => a.start - b.start);
    const busyUntil: number[] = [];
    for (const { register, start, end } of spilled) {
      let slot = busyUntil.findIndex((until) => until <= start);
      if (slot < 0) slot = busyUntil.length;
      busyUntil[slot] = end;
      this.#slots[register] = slot;
    }
    this.#slotCount = busyUntil.length;
  }

  #locationOf(segment: Segment): number {
    if (segment.location !== IN_MEMORY) return segment.location;
    const slot = this.#slots[segment.register];
    return slot < 0 ? REMADE : FIRST_SLOT + slot;
  }

  /** Where virtual register `v` is at `position`. */
  #at(v: number, position: number): number {
    const list = this.#segments[this.#representative[v]];
    // Segments are sorted by start; find the last one that starts at or before the position.
    let lo = 0;
    let hi = list.length - 1;
    while (lo < hi) {
      const middle = (lo + hi + 1) >> 1;
      if (list[middle].start <= position) lo = middle;
      else hi = middle - 1;
    }
    const segment = list[lo];
    if (segment === undefined || segment.start > position || segment.end <= position)
      throw new Error(`v${v} has no location at ${position}`);
    return this.#locationOf(segment);
  }

  /** Registers that a segment receives from its predecessor in the middle of a block, by position. */
  #splitMoves(): Map<number, Move[]> {
    const moves = new Map<number, Move[]>();
    const { blockAt } = this.live;
    this.#segments.forEach((list, register) => {
      for (let k = 1; k < list.length; k++) {
        const position = list[k].start;
        // Inside an instruction a segment can start only with a new value.
        if (position & 1 || list[k - 1].end !== position || position === this.f.blocks[blockAt[position >>> 1]].from)
          continue;
        const to = this.#locationOf(list[k]);
        const from = this.#locationOf(list[k - 1]);
        if (to === from || to >= FIRST_SLOT || to === REMADE) continue;
        const here = moves.get(position);
        if (here) here.push({ register, to, from });
        else moves.set(position, [{ register, to, from }]);
      }
    });
    return moves;
  }

  /**
   * One parallel copy of the allocator itself: "shuffle" moves the contents of locations, whichever register of a
   * shared interval they are.
   */
  #moves(moves: readonly Move[], loc: Loc): Placed {
    const operands: MachineOperand[] = [];
    const locations: number[] = [];
    for (const { register, to, from } of moves) {
      const again: Remat | null = from === REMADE ? this.f.remat[register] : null;
      operands.push(
        reg(register + FIRST_VIRTUAL, 64, DEF | MEMORY_OK),
        again ?? reg(register + FIRST_VIRTUAL, 64, USE | MEMORY_OK),
      );
      locations.push(to);
      if (!again) locations.push(from);
    }
    return { instr: new MachineInstr("shuffle", operands, loc), locations };
  }

  #place(instr: MachineInstr, position: number, code: Placed[]): void {
    const locations: number[] = [];
    let stores: Move[] | null = null;
    forEachRegister(instr, (operand) => {
      const v = operand.reg - FIRST_VIRTUAL;
      if (v < 0) {
        locations.push(operand.reg);
        return;
      }
      const isDef = (operand.role & DEF) !== 0;
      const at = operand.role & USE ? position : isDef ? position + 1 : position;
      const location = this.#at(v, at);
      locations.push(location);
      const slot = this.#slots[this.#representative[v]];
      if (isDef && slot >= 0 && location < FIRST_SLOT && !this.#isIdentity(instr, operand.reg)) {
        stores ??= [];
        stores.push({ register: v, to: FIRST_SLOT + slot, from: location });
      }
    });
    code.push({ instr, locations });
    if (stores) code.push(this.#moves(stores, instr.loc));
  }

  /** A copy between registers that share an interval changes nothing. */
  #isIdentity(instr: MachineInstr, to: number): boolean {
    if (instr.op !== "copy" && instr.op !== "parcopy") return false;
    for (let k = 0; k < instr.operands.length; k += 2) {
      const target = instr.operands[k];
      const source = instr.operands[k + 1];
      if (target.kind !== "reg" || target.reg !== to) continue;
      return (
        source.kind === "reg" &&
        source.reg >= FIRST_VIRTUAL &&
        this.#representative[source.reg - FIRST_VIRTUAL] === this.#representative[to - FIRST_VIRTUAL]
      );
    }
    return false;
  }

  #resolveEdges(blocks: PlacedBlock[]): void {
    const { f } = this;
    const isSplit = new Uint32Array((f.registerCount + 31) >>> 5);
    let any = false;
    for (let v = 0; v < f.registerCount; v++) {
      if (this.#segments[this.#representative[v]].length < 2) continue;
      isSplit[v >>> 5] |= 1 << (v & 31);
      any = true;
    }
    if (!any) return;
    const added: PlacedBlock[] = [];
    for (const { block, code } of blocks) {
      block.succs.forEach((succ) => {
        const moves: Move[] = [];
        const live = this.live.liveIn[succ.index];
        const seen = new Set<number>();
        for (let w = 0; w < live.length; w++) {
          for (let rest = live[w] & isSplit[w]; rest !== 0; ) {
            const bit = 31 - Math.clz32(rest);
            rest &= ~(1 << bit);
            const v = w * 32 + bit;
            const to = this.#at(v, succ.from);
            if (to >= FIRST_SLOT || to === REMADE || seen.has(this.#representative[v])) continue;
            const from = this.#at(v, block.to - 1);
            if (from === to) continue;
            seen.add(this.#representative[v]);
            moves.push({ register: v, to, from });
          }
        }
        if (moves.length === 0) return;
        const last = block.instrs.at(-1)!;
        const placed = this.#moves(moves, last.loc);
        if (block.succs.length === 1) code.splice(code.length - 1, 0, placed);
        else if (succ.preds.length === 1) blocks[succ.index].code.unshift(placed);
        else added.push(splitEdge(block, succ, placed));
      });
    }
    for (const extra of added) {
      blocks.push(extra);
      f.blocks.splice(f.blocks.indexOf(extra.block.preds[0]) + 1, 0, extra.block);
    }
  }
}

function splitEdge(from: MachineBlock, to: MachineBlock, placed: Placed): PlacedBlock {
  const block = new MachineBlock(0, `${from.label}${to.label.slice(1)}`);
  block.loopDepth = Math.min(from.loopDepth, to.loopDepth);
  const jump = new MachineInstr("jump", [], placed.instr.loc);
  jump.targets = [to];
  block.instrs = [placed.instr, jump];
  block.preds = [from];
  const terminator = from.instrs.at(-1)!;
  terminator.targets = terminator.targets.map((t) => (t === to ? block : t));
  return { block, code: [placed, { instr: jump, locations: [] }] };
}

// ---- copies of values that are already in place

/**
 * Within extended basic blocks: a copy to a location that already holds the value becomes a copy to itself, which makes
 * no code; a load of a slot whose value is also in a register becomes a move.
 */
function forwardCopies(blocks: readonly PlacedBlock[], slotCount: number): void {
  const size = FIRST_SLOT + slotCount;
  let fresh = 1;
  // By location: a number for its value; equal numbers mean equal values.
  const atEnd: (Int32Array | null)[] = blocks.map(() => null);
  blocks.forEach(({ block, code }, b) => {
    const known = block.preds.length === 1 ? atEnd[block.preds[0].index] : null;
    const values = known ? known.slice() : new Int32Array(size);
    if (!known) for (let location = 0; location < size; location++) values[location] = fresh++;
    atEnd[b] = values;
    const renew = (location: number): void => {
      if (location >= 0) values[location] = fresh++;
    };
    for (let i = 0; i < code.length; i++) {
      const { instr, locations } = code[i];
      if (instr.op === "copy" || instr.op === "parcopy" || instr.op === "shuffle") {
        const changed = [...locations];
        const writes: [location: number, value: number][] = [];
        let k = 0;
        for (let o = 0; o < instr.operands.length; o += 2) {
          const to = locations[k++];
          if (instr.operands[o + 1].kind !== "reg") {
            writes.push([to, fresh++]);
            continue;
          }
          const from = locations[k++];
          if (from < 0) {
            writes.push([to, fresh++]);
            continue;
          }
          if (values[to] === values[from]) changed[k - 1] = to;
          else if (from >= FIRST_SLOT) {
            const held = values.subarray(0, FIRST_SLOT).indexOf(values[from]);
            if (held >= 0) changed[k - 1] = held;
          }
          writes.push([to, values[from]]);
        }
        for (const [to, value] of writes) values[to] = value;
        code[i] = { instr, locations: changed };
        continue;
      }
      // Assembly may change the registers of its inputs.
      forEachBit(instr.defs | instr.earlyDefs | (instr.op === "expand" ? instr.uses : 0), renew);
      let k = 0;
      forEachRegister(instr, (operand) => {
        const location = locations[k++];
        if (operand.role & DEF || instr.op === "expand") renew(location);
      });
    }
  });
}

// ---- stores into slots that are never loaded

function removeDeadStores(blocks: readonly PlacedBlock[], slotCount: number): void {
  const words = (slotCount + 31) >>> 5;
  const liveIn = blocks.map(() => new Uint32Array(words));
  const scan = (b: number, live: Uint32Array, keep: ((placed: Placed) => void) | null): void => {
    const { code } = blocks[b];
    for (let i = code.length - 1; i >= 0; i--) {
      const placed = code[i];
      if (keep && isStore(placed)) {
        const wanted = pairs(placed).filter(([to]) => live[(to - FIRST_SLOT) >>> 5] & (1 << ((to - FIRST_SLOT) & 31)));
        if (wanted.length === 0) continue;
      }
      visit(placed, (slot, role) => {
        if (!(role & USE)) live[slot >>> 5] &= ~(1 << (slot & 31));
      });
      visit(placed, (slot, role) => {
        if (role & USE) live[slot >>> 5] |= 1 << (slot & 31);
      });
      keep?.(placed);
    }
  };
  const live = new Uint32Array(words);
  const liveOut = (b: number): void => {
    live.fill(0);
    for (const succ of blocks[b].block.succs) for (let w = 0; w < words; w++) live[w] |= liveIn[succ.index][w];
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (let b = blocks.length - 1; b >= 0; b--) {
      liveOut(b);
      scan(b, live, null);
      if (live.every((word, w) => word === liveIn[b][w])) continue;
      liveIn[b].set(live);
      changed = true;
    }
  }
  blocks.forEach((placed, b) => {
    const kept: Placed[] = [];
    liveOut(b);
    scan(b, live, (p) => kept.push(p));
    placed.code = kept.reverse();
  });
}

/** Calls back for each operand that is in a slot. */
function visit(placed: Placed, callback: (slot: number, role: number) => void): void {
  let k = 0;
  forEachRegister(placed.instr, (operand) => {
    const location = placed.locations[k++];
    if (location >= FIRST_SLOT) callback(location - FIRST_SLOT, operand.role);
  });
}

/** A shuffle only from registers into slots. */
const isStore = (placed: Placed): boolean =>
  placed.instr.op === "shuffle" &&
  pairs(placed).length > 0 &&
  pairs(placed).every(([to, from]) => to >= FIRST_SLOT && from >= 0 && from < FIRST_SLOT);

/** Locations of the copies whose source is a register. */
function pairs(placed: Placed): [to: number, from: number][] {
  const result: [number, number][] = [];
  let k = 0;
  for (let i = 0; i < placed.instr.operands.length; i += 2) {
    const to = placed.locations[k++];
    if (placed.instr.operands[i + 1].kind === "reg") result.push([to, placed.locations[k++]]);
  }
  return result;
}
