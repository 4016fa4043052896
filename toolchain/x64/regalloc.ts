/**
 * Register allocation: linear scan over live intervals with holes and splitting (Wimmer and Mössenböck, VEE 2005).
 *
 * An interval that gets no register is split. Outside its register it is in memory: in its slot, or, for constants and
 * addresses, nowhere, because they can be computed again. Every definition of a register that has a slot is stored at
 * once, so the slot is always valid, an eviction costs no code, and a split may be at any position. (Stores that are
 * never read are removed later.)
 *
 * Result: the segments of each register, with one location each; regalloc-place.ts turns them into code.
 */
import { ALLOCATABLE_INTEGER, ALLOCATABLE_VECTOR, CALLEE_SAVED_MASK } from "./abi.ts";
import type { Liveness } from "./liveness.ts";
import { BETTER, MUST } from "./liveness.ts";
import { FIRST_VIRTUAL, type MachineFunction } from "./machine.ts";
import { type Coalesced, coalesce, firstOverlap } from "./regalloc-coalesce.ts";

/** Location of a segment without a register. */
export const IN_MEMORY = -2;
const UNASSIGNED = -1;
const NEVER = Number.POSITIVE_INFINITY;

export class Segment {
  /** Representative register − FIRST_VIRTUAL. */
  readonly register: number;
  ranges: number[];
  /** Position * 4 + urgency. */
  uses: number[];
  /** Physical register, or IN_MEMORY. */
  location = UNASSIGNED;
  /** Index into `ranges` of the first range that ends after the current position. */
  cursor = 0;
  constructor(register: number, ranges: number[], uses: number[]) {
    this.register = register;
    this.ranges = ranges;
    this.uses = uses;
  }
  get start(): number {
    return this.ranges[0];
  }
  get end(): number {
    return this.ranges[this.ranges.length - 1];
  }
  /** Moves the cursor to `position`, which only increases; true if the interval covers it. */
  advance(position: number): boolean {
    let c = this.cursor;
    while (c < this.ranges.length && this.ranges[c + 1] <= position) c += 2;
    this.cursor = c;
    return c < this.ranges.length && this.ranges[c] <= position;
  }
  /** First use at or after `position` with at least this urgency. */
  nextUse(position: number, urgency: number): number {
    const uses = this.uses;
    let lo = 0;
    let hi = uses.length;
    while (lo < hi) {
      const middle = (lo + hi) >> 1;
      if (uses[middle] < position * 4) lo = middle + 1;
      else hi = middle;
    }
    for (; lo < uses.length; lo++) if ((uses[lo] & 3) >= urgency) return uses[lo] >> 2;
    return NEVER;
  }
  /** Last use before `position`; −1 if there is none. */
  lastUse(position: number): number {
    const uses = this.uses;
    let lo = 0;
    let hi = uses.length;
    while (lo < hi) {
      const middle = (lo + hi) >> 1;
      if (uses[middle] < position * 4) lo = middle + 1;
      else hi = middle;
    }
    return lo === 0 ? -1 : uses[lo - 1] >> 2;
  }
  /** Cuts off and returns the part at and after `position` (start < position < end). */
  split(position: number): Segment {
    const { ranges, uses } = this;
    let k = 0;
    while (ranges[k + 1] <= position) k += 2;
    const behind = ranges.slice(k);
    const before = ranges.slice(0, k);
    if (behind[0] < position) {
      before.push(behind[0], position);
      behind[0] = position;
    }
    let u = 0;
    while (u < uses.length && uses[u] >> 2 < position) u++;
    this.ranges = before;
    this.uses = uses.slice(0, u);
    if (this.cursor > before.length) this.cursor = before.length;
    return new Segment(this.register, behind, uses.slice(u));
  }
}

export interface Allocation {
  readonly representative: Int32Array;
  /** By representative: segments by start. */
  readonly segments: readonly Segment[][];
}

export function allocateRegisters(f: MachineFunction, live: Liveness): Allocation {
  return new LinearScan(f, live, coalesce(f, live)).run();
}

class LinearScan {
  readonly f: MachineFunction;
  readonly live: Liveness;
  readonly coalesced: Coalesced;
  readonly #segments: Segment[][] = [];
  readonly #unhandled = new Queue();
  #active: Segment[] = [];
  #inactive: Segment[] = [];
  /** By physical register: index into its fixed ranges. */
  readonly #fixedCursor = new Int32Array(FIRST_VIRTUAL);
  /** Callee-saved registers already in use: using them again costs nothing. */
  #saved = 0;
  readonly #free = new Float64Array(FIRST_VIRTUAL);
  readonly #block = new Float64Array(FIRST_VIRTUAL);

  constructor(f: MachineFunction, live: Liveness, coalesced: Coalesced) {
    this.f = f;
    this.live = live;
    this.coalesced = coalesced;
  }

  run(): Allocation {
    const { f, live } = this;
    for (let v = 0; v < f.registerCount; v++) {
      this.#segments.push([]);
      if (this.coalesced.representative[v] !== v || live.virtual[v].ranges.length === 0) continue;
      this.#add(new Segment(v, live.virtual[v].ranges, live.virtual[v].uses));
    }
    for (let current = this.#unhandled.pop(); current !== null; current = this.#unhandled.pop()) {
      this.#expire(current.start);
      if (this.#assignFree(current) || this.#assignBlocked(current)) this.#active.push(current);
    }
    for (const list of this.#segments) list.sort((a, b) => a.start - b.start);
    return { representative: this.coalesced.representative, segments: this.#segments };
  }

  #add(segment: Segment): void {
    this.#segments[segment.register].push(segment);
    this.#unhandled.push(segment);
  }

  #expire(position: number): void {
    const active: Segment[] = [];
    const inactive: Segment[] = [];
    for (const list of [this.#active, this.#inactive]) {
      for (const it of list) {
        if (it.end <= position) continue;
        if (it.advance(position)) active.push(it);
        else inactive.push(it);
      }
    }
    this.#active = active;
    this.#inactive = inactive;
  }

  #candidates(current: Segment): readonly number[] {
    return this.f.isVector[current.register] ? ALLOCATABLE_VECTOR : ALLOCATABLE_INTEGER;
  }

  /** First position at which the fixed ranges of `r` overlap `current`. */
  #fixedLimit(r: number, current: Segment): number {
    const ranges = this.live.fixed[r];
    let c = this.#fixedCursor[r];
    while (c < ranges.length && ranges[c + 1] <= current.start) c += 2;
    this.#fixedCursor[r] = c;
    return firstOverlap(current.ranges, 0, ranges, c);
  }

  // ---- a register that is free for all or the first part of the interval

  #assignFree(current: Segment): boolean {
    const free = this.#free;
    const candidates = this.#candidates(current);
    for (const r of candidates) free[r] = this.#fixedLimit(r, current);
    for (const it of this.#active) free[it.location] = 0;
    for (const it of this.#inactive) {
      if (free[it.location] > current.start)
        free[it.location] = Math.min(free[it.location], firstOverlap(it.ranges, it.cursor, current.ranges, 0));
    }
    const chosen = this.#choose(current, candidates);
    const until = free[chosen];
    if (until < current.end) {
      // Only even positions: between instructions.
      const limit = until & ~1;
      if (limit <= current.start) return false;
      this.#add(current.split(this.#bestSplit(Math.max(current.start + 1, current.lastUse(limit) + 1), limit)));
    }
    this.#take(current, chosen);
    return true;
  }

  #take(current: Segment, r: number): void {
    current.location = r;
    this.#saved |= (1 << r) & CALLEE_SAVED_MASK;
  }

  /**
   * Prefers hints, then a register that is free throughout and need not be saved, then the one that is free longest.
   */
  #choose(current: Segment, candidates: readonly number[]): number {
    const free = this.#free;
    const { end } = current;
    for (const hint of this.coalesced.hints.get(current.register) ?? []) {
      if (hint < FIRST_VIRTUAL) {
        if (candidates.includes(hint) && free[hint] >= end) return hint;
        continue;
      }
      for (const other of this.#segments[hint - FIRST_VIRTUAL]) {
        if (other.location >= 0 && free[other.location] >= end && candidates.includes(other.location))
          return other.location;
      }
    }
    let best = -1;
    let longest = candidates[0];
    for (const r of candidates) {
      if (free[r] > free[longest]) longest = r;
      if (free[r] < end) continue;
      if (((1 << r) & CALLEE_SAVED_MASK) === 0 || ((1 << r) & this.#saved) !== 0) return r;
      if (best < 0) best = r;
    }
    return best >= 0 ? best : longest;
  }

  // ---- all registers are taken: the interval with the farthest next use goes to memory

  #assignBlocked(current: Segment): boolean {
    const next = this.#free;
    const block = this.#block;
    const candidates = this.#candidates(current);
    for (const r of candidates) {
      const limit = this.#fixedLimit(r, current);
      block[r] = limit;
      next[r] = limit;
    }
    const consider = (it: Segment): void => {
      next[it.location] = Math.min(next[it.location], it.nextUse(current.start, BETTER));
    };
    for (const it of this.#active) consider(it);
    for (const it of this.#inactive) if (firstOverlap(it.ranges, it.cursor, current.ranges, 0) !== NEVER) consider(it);
    let best = candidates[0];
    for (const r of candidates) if (next[r] > next[best]) best = r;
    const first = current.nextUse(current.start, BETTER);
    const must = current.nextUse(current.start, MUST);
    const usable = next[best] > current.start && (block[best] >= current.end || (block[best] & ~1) > current.start);
    if (must > current.start && (!usable || next[best] <= first)) {
      this.#toMemory(current, current.start);
      return false;
    }
    if (!usable) {
      const state = candidates.map((r) => `${r}:${next[r]}/${block[r]}`).join(" ");
      throw new Error(`out of registers for v${current.register} at ${current.start}: ${state}`);
    }
    if (block[best] < current.end)
      this.#add(
        current.split(
          this.#bestSplit(Math.max(current.start + 1, current.lastUse(block[best] & ~1) + 1), block[best] & ~1),
        ),
      );
    for (const it of this.#active) if (it.location === best) this.#evict(it, current.start);
    for (const it of this.#inactive) {
      if (it.location !== best || firstOverlap(it.ranges, it.cursor, current.ranges, 0) === NEVER) continue;
      // It is in a hole: the rest must find a register again.
      if (it.start < current.start) this.#add(it.split(current.start));
    }
    this.#active = this.#active.filter((it) => it.location !== best && it.location !== IN_MEMORY);
    this.#inactive = this.#inactive.filter((it) => it.end > current.start);
    this.#take(current, best);
    return true;
  }

  /** `it` leaves its register before `position`, at the cheapest place after its last use. */
  #evict(it: Segment, position: number): void {
    const last = it.lastUse(position);
    const at = last < 0 ? it.start : this.#bestSplit(Math.max(last, it.start) + 1, position);
    if (at <= it.start) this.#toMemory(it, position);
    else {
      const rest = it.split(at);
      this.#segments[rest.register].push(rest);
      this.#toMemory(rest, position);
    }
  }

  /** `segment` stays in memory until a use needs a register; that part is queued, and starts after `position`. */
  #toMemory(segment: Segment, position: number): void {
    segment.location = IN_MEMORY;
    const must = segment.nextUse(position, MUST);
    if (must === NEVER) return;
    if (must <= segment.start) throw new Error(`v${segment.register} is needed in a register at ${must}`);
    this.#add(segment.split(must & 1 ? must : this.#bestSplit(Math.max(segment.lastUse(must), position) + 1, must)));
  }

  /**
   * The cheapest position in [low, high] at which to change the location: the latest start of a block outside the loops
   * that contain `high`, else `high`. Even positions only, except `high` itself, which may be odd if a location ends
   * there.
   */
  #bestSplit(low: number, high: number): number {
    const { blockAt } = this.live;
    const { blocks } = this.f;
    if (low >= high) return high;
    const lowest = blockAt[low >>> 1];
    let at = high;
    let b = blockAt[high >>> 1];
    let depth = blocks[b].loopDepth;
    for (; b > lowest; b--) {
      // The boundary before block b belongs to the block before it, because moves are on the edges.
      const before = blocks[b - 1].loopDepth;
      if (before < depth && blocks[b].from >= low) {
        depth = before;
        at = blocks[b].from;
      }
    }
    return at;
  }
}

/** Segments by start, in a binary heap. */
class Queue {
  readonly #heap: Segment[] = [];
  push(segment: Segment): void {
    const heap = this.#heap;
    let i = heap.push(segment) - 1;
    while (i > 0) {
      const up = (i - 1) >> 1;
      if (heap[up].start <= segment.start) break;
      heap[i] = heap[up];
      i = up;
    }
    heap[i] = segment;
  }
  pop(): Segment | null {
    const heap = this.#heap;
    if (heap.length === 0) return null;
    const top = heap[0];
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1].start < heap[child].start) child++;
      if (heap[child].start >= last.start) break;
      heap[i] = heap[child];
      i = child;
    }
    heap[i] = last;
    return top;
  }
}
