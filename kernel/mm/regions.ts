/**
 * The regions of an address space: the ranges that a program has, and their attributes. They form a balanced tree (AVL)
 * in the order of addresses, so the cost of a search or a change is logarithmic in their number. Operations on many
 * regions process a few at a time, so that the caller can release the address space's lock in between; this lock guards
 * the whole tree. Nodes lie in frames of the task's own account; they are reused, and are freed with the task.
 */
import { LARGE_PAGE_BYTES, PAGE_BYTES, USER_END, USER_MAP_BASE } from "../abi/memory.ts";
import { allocateFrame, physical } from "./frames.ts";

/** Linux's default vm.max_map_count: a call that needs more regions fails with ENOMEM. */
export const REGIONS_MAX: u64 = 65530;

/** Attribute of a region besides its Prot bits: its pages get their frames on first touch (fault.ts). */
export const REGION_LAZY: u64 = 0x100;

/** Its pages come from a file: one that is not there lies past the file's end (SIGBUS). Bits above: views.ts. */
export const REGION_FILE: u64 = 0x200;

export class Region {
  start: u64 = 0;
  end: u64 = 0;
  /** Prot bits, REGION_LAZY, REGION_FILE, a view. Neighbours with equal attributes are one region. */
  attributes: u64 = 0;
  left: ptr<Region> | null = null;
  right: ptr<Region> | null = null;
  /** Height of the subtree with this root. */
  height: u64 = 0;
}
const PER_FRAME: u64 = 85;

export class RegionList {
  root: ptr<Region> | null = null;
  count: u64 = 0;
  /** Owner of the frames that hold the nodes. */
  owner: u16 = 0;
  /** Unused nodes, linked by `right`. */
  free: ptr<Region> | null = null;
  freeCount: u64 = 0;
  /** There is no gap between USER_MAP_BASE and this address. */
  packedTo: u64 = 0;
}

// ---- nodes ---------------------------------------------------------------------------------------------------------
/** Whether `growth` more regions are allowed. Reserves nodes for `nodes` regions, so that later changes cannot fail. */
export function regionsReady(list: ptr<RegionList>, nodes: u64, growth: u64): boolean {
  if (list.count + growth > REGIONS_MAX) return false;
  while (list.freeCount < nodes) {
    const frame: u64 = allocateFrame(list.owner);
    if (frame === 0) return false;
    for (let i: u64 = 0; i < PER_FRAME; i++) putNode(list, addr(physical<Region>(frame)[i]));
  }
  return true;
}
function putNode(list: ptr<RegionList>, r: ptr<Region>): void {
  r.right = list.free;
  list.free = r;
  list.freeCount++;
}
function takeNode(list: ptr<RegionList>): ptr<Region> {
  const r = list.free;
  if (r === null) unreachable();
  list.free = r.right;
  list.freeCount--;
  zero(r);
  return r;
}

// ---- the tree ------------------------------------------------------------------------------------------------------
function heightOf(r: ptr<Region> | null): u64 {
  return r === null ? 0 : r.height;
}
function update(r: ptr<Region>): void {
  const left: u64 = heightOf(r.left);
  const right: u64 = heightOf(r.right);
  r.height = (left > right ? left : right) + 1;
}
/** `r`'s left child becomes the root of the subtree; raiseRight is the mirror image. */
function raiseLeft(r: ptr<Region>): ptr<Region> {
  const left = r.left;
  if (left === null) unreachable();
  r.left = left.right;
  left.right = r;
  update(r);
  update(left);
  return left;
}
function raiseRight(r: ptr<Region>): ptr<Region> {
  const right = r.right;
  if (right === null) unreachable();
  r.right = right.left;
  right.left = r;
  update(r);
  update(right);
  return right;
}
/**
 * Returns the subtree's root after heights differ by at most one again; a change below `r` has made them differ by at
 * most two.
 */
function balance(r: ptr<Region>): ptr<Region> {
  const left = r.left;
  const right = r.right;
  if (left !== null && left.height > heightOf(right) + 1) {
    if (heightOf(left.left) < heightOf(left.right)) r.left = raiseRight(left);
    return raiseLeft(r);
  }
  if (right !== null && right.height > heightOf(left) + 1) {
    if (heightOf(right.right) < heightOf(right.left)) r.right = raiseLeft(right);
    return raiseRight(r);
  }
  update(r);
  return r;
}
function insert(at: ptr<Region> | null, r: ptr<Region>): ptr<Region> {
  if (at === null) {
    r.height = 1;
    return r;
  }
  if (r.start < at.start) at.left = insert(at.left, r);
  else at.right = insert(at.right, r);
  return balance(at);
}
function remove(at: ptr<Region>, start: u64): ptr<Region> | null {
  const left = at.left;
  const right = at.right;
  if (start < at.start) {
    if (left !== null) at.left = remove(left, start);
    return balance(at);
  }
  if (start > at.start) {
    if (right !== null) at.right = remove(right, start);
    return balance(at);
  }
  if (right === null) return left;
  let next = right;
  for (let below = next.left; below !== null; below = next.left) next = below;
  next.right = removeFirst(right);
  next.left = left;
  return balance(next);
}
function removeFirst(at: ptr<Region>): ptr<Region> | null {
  const left = at.left;
  if (left === null) return at.right;
  at.left = removeFirst(left);
  return balance(at);
}
function addNode(list: ptr<RegionList>, start: u64, end: u64, attributes: u64): void {
  const r = takeNode(list);
  r.start = start;
  r.end = end;
  r.attributes = attributes;
  list.root = insert(list.root, r);
  list.count++;
}
function removeNode(list: ptr<RegionList>, r: ptr<Region>): void {
  const root = list.root;
  if (root === null) return;
  list.root = remove(root, r.start);
  list.count--;
  putNode(list, r);
}
/** The first region that ends above `address`; null: none. */
export function regionAbove(list: ptr<RegionList>, address: u64): ptr<Region> | null {
  let found: ptr<Region> | null = null;
  let at = list.root;
  while (at !== null) {
    if (at.end > address) {
      found = at;
      at = at.left;
    } else {
      at = at.right;
    }
  }
  return found;
}

/** The region that contains `address`; null: none. */
export function regionAt(list: ptr<RegionList>, address: u64): ptr<Region> | null {
  const r = regionAbove(list, address);
  return r !== null && r.start <= address ? r : null;
}

// ---- changes -------------------------------------------------------------------------------------------------------
/** Which neighbours of a free range have these attributes and touch it. */
// biome-ignore format: a table
export const enum Join { NONE = 0, BELOW = 1, ABOVE = 2 }
export function regionJoins(list: ptr<RegionList>, start: u64, end: u64, attributes: u64): u32 {
  let joins: u32 = Join.NONE;
  // Usually one region is both the last below and the first above.
  const below = regionAbove(list, start - 1);
  const above = below === null || below.end > start ? below : regionAbove(list, start);
  if (below !== null && below.end === start && below.attributes === attributes) joins |= Join.BELOW;
  if (above !== null && above.start === end && above.attributes === attributes) joins |= Join.ABOVE;
  return joins;
}
/** Adds a free range; `regionsReady` has returned true for one region. `joins`: neighbours that merge with it. */
export function regionAdd(list: ptr<RegionList>, start: u64, end: u64, attributes: u64, joins: u32): void {
  const below = (joins & Join.BELOW) === 0 ? null : regionAbove(list, start - 1);
  const above = (joins & Join.ABOVE) === 0 ? null : regionAbove(list, start);
  if (below !== null && above !== null) {
    const last: u64 = above.end;
    removeNode(list, above);
    below.end = last;
  } else if (below !== null) {
    below.end = end;
  } else if (above !== null) {
    above.start = start;
  } else {
    addNode(list, start, end, attributes);
  }
}
/** Number of additional regions after the range is cut out: 1 if it lies inside one region, otherwise 0. */
export function cutGrowth(list: ptr<RegionList>, start: u64, end: u64): u64 {
  const r = regionAbove(list, start);
  return r !== null && r.start < start && r.end > end ? 1 : 0;
}
/** Cuts out the range, at most `most` regions of it. True: done. `regionsReady` has returned true for `cutGrowth`. */
export function regionCut(list: ptr<RegionList>, start: u64, end: u64, most: u64): boolean {
  if (start < list.packedTo) list.packedTo = start;
  for (let i: u64 = 0; i < most; i++) {
    const r = regionAbove(list, start);
    if (r === null || r.start >= end) return true;
    if (r.start < start && r.end > end) {
      const last: u64 = r.end;
      r.end = start;
      addNode(list, end, last, r.attributes);
      return true;
    }
    if (r.start < start) {
      r.end = start;
    } else if (r.end > end) {
      r.start = end;
      return true;
    } else {
      removeNode(list, r);
    }
  }
  return false;
}

// ---- questions -----------------------------------------------------------------------------------------------------
/** True if no region overlaps the range. */
export function regionsAreAbsent(list: ptr<RegionList>, start: u64, end: u64): boolean {
  const r = regionAbove(list, start);
  return r === null || r.start >= end;
}
/**
 * End of the gapless part of the range from `start` on, checking at most `most` regions; `start` if it begins with a
 * gap.
 */
export function regionsCoverTo(list: ptr<RegionList>, start: u64, end: u64, most: u64): u64 {
  let at: u64 = start;
  for (let i: u64 = 0; i < most && at < end; i++) {
    const r = regionAbove(list, at);
    if (r === null || r.start > at) break;
    at = r.end;
  }
  return at < end ? at : end;
}
/** End of the highest region that starts below `address`; 0: none. */
export function regionsEndBelow(list: ptr<RegionList>, address: u64): u64 {
  let end: u64 = 0;
  let at = list.root;
  while (at !== null) {
    if (at.start < address) {
      end = at.end;
      at = at.right;
    } else {
      at = at.left;
    }
  }
  return end;
}

/** Address at which mmap places a range of this length: aligned for large pages if it is long enough. */
export function placedAt(address: u64, lengthBytes: u64): u64 {
  const align: u64 = lengthBytes >= LARGE_PAGE_BYTES ? LARGE_PAGE_BYTES : PAGE_BYTES;
  return (address + align - 1) & ~(align - 1);
}
/**
 * Searches for a free range of this length from `from` on, past at most `most` regions. Returns the place, or the
 * address at which to continue; `isPlace` tells which. No place up to USER_END: 0.
 */
export function findGap(list: ptr<RegionList>, from: u64, lengthBytes: u64, most: u64, isPlace: ptr<u32>): u64 {
  let at: u64 = from;
  isPlace[0] = 0;
  if (list.packedTo < USER_MAP_BASE) list.packedTo = USER_MAP_BASE;
  if (at < list.packedTo) at = list.packedTo;
  for (let i: u64 = 0; i < most; i++) {
    const place: u64 = placedAt(at, lengthBytes);
    const r = regionAbove(list, at);
    const end: u64 = r === null ? USER_END : r.start;
    if (place < end && lengthBytes <= end - place) {
      isPlace[0] = 1;
      return place;
    }
    if (r === null) return 0;
    if (at === list.packedTo && r.start <= at) list.packedTo = r.end;
    at = r.end;
  }
  return at;
}
