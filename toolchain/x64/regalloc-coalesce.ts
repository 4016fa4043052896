/**
 * Coalescing: two virtual registers joined by a copy become one if their live ranges do not overlap, innermost loops
 * first. So phis and two-address forms lose their copies. Pairs that cannot be joined, and copies from and to physical
 * registers, become hints.
 */
import { FIRST_VIRTUAL, type MachineFunction } from "./machine.ts";
import type { Liveness, LiveRanges } from "./liveness.ts";

export interface Coalesced {
  /** By virtual register − FIRST_VIRTUAL: the one (same numbering) whose interval it shares. */
  readonly representative: Int32Array;
  /** By representative: physical or virtual registers that it should equal, the most important first. */
  readonly hints: ReadonlyMap<number, number[]>;
}

export function coalesce(f: MachineFunction, live: Liveness): Coalesced {
  const parent = Int32Array.from({ length: f.registerCount }, (_, i) => i);
  const find = (i: number): number => {
    while (parent[i] !== i) i = parent[i] = parent[parent[i]];
    return i;
  };
  const copies = [...live.copies].sort((a, b) => b.loopDepth - a.loopDepth);
  for (const { to, from } of copies) {
    if (to < FIRST_VIRTUAL || from < FIRST_VIRTUAL) continue;
    const a = find(to - FIRST_VIRTUAL);
    const b = find(from - FIRST_VIRTUAL);
    if (a === b || f.isVector[a] !== f.isVector[b] || f.remat[a] || f.remat[b]) continue;
    const x = live.virtual[a];
    const y = live.virtual[b];
    if (overlap(x.ranges, y.ranges)) continue;
    parent[b] = a;
    merge(x, y);
  }
  const hints = new Map<number, number[]>();
  const hint = (from: number, to: number): void => {
    if (from < FIRST_VIRTUAL) return;
    const r = find(from - FIRST_VIRTUAL);
    const other = to < FIRST_VIRTUAL ? to : find(to - FIRST_VIRTUAL) + FIRST_VIRTUAL;
    if (other === r + FIRST_VIRTUAL) return;
    const list = hints.get(r);
    if (list === undefined) hints.set(r, [other]);
    else if (!list.includes(other)) list.push(other);
  };
  for (const copy of copies) {
    const from = copy.from < 0 ? ~copy.from : copy.from;
    hint(copy.to, from);
    hint(from, copy.to);
  }
  return { representative: parent.map((_, i) => find(i)), hints };
}

export function overlap(a: readonly number[], b: readonly number[]): boolean {
  return firstOverlap(a, 0, b, 0) !== Number.POSITIVE_INFINITY;
}

/** First common position of both lists of ranges, from range indices i and j (even) on; infinity if there is none. */
export function firstOverlap(a: readonly number[], i: number, b: readonly number[], j: number): number {
  while (i < a.length && j < b.length) {
    if (a[i + 1] <= b[j]) i += 2;
    else if (b[j + 1] <= a[i]) j += 2;
    else return Math.max(a[i], b[j]);
  }
  return Number.POSITIVE_INFINITY;
}

function merge(into: LiveRanges, from: LiveRanges): void {
  const a = into.ranges;
  const b = from.ranges;
  const ranges: number[] = [];
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    const takeA = j >= b.length || (i < a.length && a[i] < b[j]);
    const start = takeA ? a[i] : b[j];
    const end = takeA ? a[i + 1] : b[j + 1];
    if (takeA) i += 2;
    else j += 2;
    if (ranges.length > 0 && ranges[ranges.length - 1] === start) ranges[ranges.length - 1] = end;
    else ranges.push(start, end);
  }
  into.ranges = ranges;
  const uses: number[] = [];
  for (let i = 0, j = 0; i < into.uses.length || j < from.uses.length; ) {
    if (j >= from.uses.length || (i < into.uses.length && into.uses[i] <= from.uses[j])) uses.push(into.uses[i++]);
    else uses.push(from.uses[j++]);
  }
  into.uses = uses;
  from.ranges = [];
  from.uses = [];
}
