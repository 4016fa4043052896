/**
 * The pages of a range that one core has claimed (space.ts): allocates frames for them, replaces frames, changes
 * permissions, removes pages. It needs no lock: no other core changes entries in the range, and no large page crosses
 * its ends. Other ranges may share page tables with it.
 *
 * All functions admit interrupts after at most 10 µs of work and stop if the task ends, because its frames are freed
 * with it. Unmapped parts cost only one check for each missing table.
 */
import { EventKind } from "../abi/events.ts";
import { LARGE_PAGE_BYTES, PAGE_BYTES } from "../abi/memory.ts";
import { Pte } from "../abi/x86.ts";
import { admitInterrupts, isEnding } from "../arch/percpu.ts";
import { type Lock, lock, unlock } from "../arch/spinlock.ts";
import { record } from "../arch/trace.ts";
import { allocateBatch, allocateLargeFrame, FRAMES_PER_BLOCK, freeFrames, zeroMemory } from "./frames.ts";
import {
  findLeaf,
  type Leaf,
  nextLeaf,
  PTE_FILE,
  PTE_LEAVING,
  PTE_OWNED,
  replaceEmptyTable,
  setLargePage,
  smallPageTable,
  tableIsEmpty,
} from "./pagetable.ts";
import { addToFlush, type FlushList, shootdown } from "./shootdown.ts";

/** Most small pages that get frames at a time. */
const BATCH_MAX: u64 = 16;
/** Most adjacent small frames that are freed at a time. */
const FREED_TOGETHER: u64 = 64;
/** Page-table entries read before interrupts are admitted. */
const LOOKS: u64 = 64;

export class Claim {
  start: u64 = 0;
  end: u64 = 0;
  /** From the address space: its tables, the cores that run on them, and the lock that a copy of a page holds. */
  root: u64 = 0;
  cpus: ptr<u64> | null = null;
  lock: ptr<Lock> | null = null;
  owner: u16 = 0;
  /** Entries read since interrupts were admitted. */
  looks: u64 = 0;
}

/** End of the page that contains `at`, or of the span of the missing table. */
function behind(leaf: ptr<Leaf>, at: u64): u64 {
  return (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
}
/**
 * Advances to the next leaf and returns its address. Admits interrupts from time to time. Inline: a walk of 16 TB is
 * some thousand turns.
 */
function advance(c: ptr<Claim>, leaf: ptr<Leaf>, at: u64): u64 {
  attr({ inline: "always" });
  const next: u64 = behind(leaf, at);
  if (next < c.end) nextLeaf(c.root, next, leaf);
  c.looks++;
  if (c.looks >= LOOKS) {
    c.looks = 0;
    admitInterrupts();
  }
  return next;
}

/** Pages of the range that have a frame, in units of 4 KB. */
export function ownedPages(c: ptr<Claim>): u64 {
  const leaf: Leaf = zeroed();
  let count: u64 = 0;
  findLeaf(c.root, c.start, addr(leaf));
  for (let at: u64 = c.start; at < c.end; at = advance(c, addr(leaf), at)) {
    const slot = leaf.entry;
    if (slot !== null && (slot[0] & PTE_OWNED) !== 0) count += leaf.pageBytes / PAGE_BYTES;
  }
  return count;
}

// ---- frames for pages ----------------------------------------------------------------------------------------------
/**
 * Gives a zeroed frame to every page of the range that has none. False: no memory, or the task ends (completed work
 * stays).
 */
export function populate(c: ptr<Claim>, bits: u64): boolean {
  const leaf: Leaf = zeroed();
  let at: u64 = c.start;
  findLeaf(c.root, at, addr(leaf));
  while (at < c.end) {
    const slot = leaf.entry;
    if (slot !== null && (slot[0] & PTE_OWNED) !== 0) {
      at = advance(c, addr(leaf), at);
      continue;
    }
    if (isEnding()) return false;
    let large: boolean = (at & (LARGE_PAGE_BYTES - 1)) === 0 && c.end - at >= LARGE_PAGE_BYTES;
    if (large && slot !== null && leaf.pageBytes === PAGE_BYTES) large = tableIsEmpty(slot);
    if (large && populateLarge(c, at, bits)) at += LARGE_PAGE_BYTES;
    else at = populateSmall(c, at, bits);
    if (at === 0) return false;
    admitInterrupts();
    if (at < c.end) findLeaf(c.root, at, addr(leaf));
  }
  return true;
}
/** False: no 2 MB frame is free, and nothing has changed. */
function populateLarge(c: ptr<Claim>, at: u64, bits: u64): boolean {
  const frame: u64 = allocateLargeFrame(c.owner);
  if (frame === 0) return false;
  zeroMemory(frame, LARGE_PAGE_BYTES);
  if (setLargePage(c.root, at, frame | bits, c.owner)) return true;
  const table: u64 = replaceEmptyTable(c.root, at, frame | bits);
  if (table === 0) {
    freeFrames(frame, FRAMES_PER_BLOCK, c.owner);
    return false;
  }
  // Small pages were here once.
  const list: FlushList = uninitialized();
  list.count = 0;
  addToFlush(addr(list), at);
  flushClaimed(c, addr(list));
  freeFrames(table, 1, c.owner);
  return true;
}
/**
 * Populates some small pages without a frame, from `at` on, in one table; returns the address after them, 0: no memory.
 */
function populateSmall(c: ptr<Claim>, at: u64, bits: u64): u64 {
  const table = smallPageTable(c.root, at, c.owner);
  if (table === null) return 0;
  const first: u64 = (at / PAGE_BYTES) & 511;
  let wanted: u64 = 1;
  while (
    wanted < BATCH_MAX &&
    first + wanted < 512 &&
    at + wanted * PAGE_BYTES < c.end &&
    (table.entries[first + wanted] & PTE_OWNED) === 0
  ) {
    wanted++;
  }
  const frames: arr<u64, 16> = uninitialized();
  const got: u64 = allocateBatch(addr(frames[0]), wanted, c.owner);
  for (let i: u64 = 0; i < got; i++) table.entries[first + i] = frames[i] | bits;
  return got === 0 ? 0 : at + got * PAGE_BYTES;
}

// ---- other frames for pages ----------------------------------------------------------------------------------------
/**
 * Gives new, zeroed frames to the mapped pages of the range. Each entry changes from the old frame to the new one in
 * one step, so a page is never missing, neither for a program nor for an interrupt handler that copies to it. The old
 * frames are freed when all cores have flushed. Only if memory has run out, a page keeps its frame, which is zeroed in
 * place. (If a flush is missed, the core must read old contents, and not new ones by chance.)
 */
export function replacePages(c: ptr<Claim>, bits: u64): void {
  const leaf: Leaf = zeroed();
  let at: u64 = c.start;
  findLeaf(c.root, at, addr(leaf));
  while (at < c.end && !isEnding()) {
    const slot = leaf.entry;
    if (slot === null || (slot[0] & PTE_OWNED) === 0) {
      at = advance(c, addr(leaf), at);
      continue;
    }
    if (leaf.pageBytes === LARGE_PAGE_BYTES) at = replaceLarge(c, at, slot, bits);
    else at = replaceSmall(c, at, slot, bits);
    admitInterrupts();
    if (at < c.end) findLeaf(c.root, at, addr(leaf));
  }
}
function replaceLarge(c: ptr<Claim>, at: u64, slot: ptr<u64>, bits: u64): u64 {
  const old: u64 = slot[0] & Pte.ADDRESS & ~(LARGE_PAGE_BYTES - 1);
  const frame: u64 = allocateLargeFrame(c.owner);
  zeroMemory(frame === 0 ? old : frame, LARGE_PAGE_BYTES);
  const list: FlushList = uninitialized();
  list.count = 0;
  addToFlush(addr(list), at);
  atomicStore(slot, (frame === 0 ? old : frame) | bits | Pte.PS);
  const id: u64 = flushClaimed(c, addr(list));
  if (frame !== 0) {
    freeFrames(old, FRAMES_PER_BLOCK, c.owner);
    record(EventKind.FRAME_FREE, id, FRAMES_PER_BLOCK, 0, 0);
  }
  return at + LARGE_PAGE_BYTES;
}
/** Replaces some small pages that have frames, from `at` on, in one table; returns the address after them. */
function replaceSmall(c: ptr<Claim>, at: u64, slot: ptr<u64>, bits: u64): u64 {
  let wanted: u64 = 1;
  while (
    wanted < BATCH_MAX &&
    ((at / PAGE_BYTES) & 511) + wanted < 512 &&
    at + wanted * PAGE_BYTES < c.end &&
    (slot[wanted] & PTE_OWNED) !== 0
  ) {
    wanted++;
  }
  const frames: arr<u64, 16> = uninitialized();
  const got: u64 = allocateBatch(addr(frames[0]), wanted, c.owner);
  const list: FlushList = uninitialized();
  list.count = 0;
  if (got === 0) zeroMemory(slot[0] & Pte.ADDRESS, PAGE_BYTES);
  const count: u64 = got === 0 ? 1 : got;
  for (let i: u64 = 0; i < count; i++) {
    const old: u64 = slot[i] & Pte.ADDRESS;
    atomicStore(addr(slot[i]), (got === 0 ? old : frames[i]) | bits);
    frames[i] = old;
    addToFlush(addr(list), at + i * PAGE_BYTES);
  }
  const id: u64 = flushClaimed(c, addr(list));
  for (let i: u64 = 0; i < got; i++) freeFrames(frames[i], 1, c.owner);
  if (got !== 0) record(EventKind.FRAME_FREE, id, got, 0, 0);
  return at + count * PAGE_BYTES;
}

/**
 * Flushes the list on all cores, and waits until every copy that found a page by an old entry is done. Returns the
 * shootdown's id.
 */
export function flushClaimed(c: ptr<Claim>, list: ptr<FlushList>): u64 {
  const cpus = c.cpus;
  const copying = c.lock;
  if (list.count === 0 || cpus === null || copying === null) return 0;
  const id: u64 = shootdown(list, c.root, cpus);
  lock(copying);
  unlock(copying, 0);
  return id;
}

// ---- permissions, and the end of pages -----------------------------------------------------------------------------
/** Changes the entry bits of the mapped pages of the range and adds the pages to the list. */
export function changePages(c: ptr<Claim>, bits: u64, flush: ptr<FlushList>): void {
  const leaf: Leaf = zeroed();
  findLeaf(c.root, c.start, addr(leaf));
  for (let at: u64 = c.start; at < c.end; at = advance(c, addr(leaf), at)) {
    const slot = leaf.entry;
    if (slot === null || (slot[0] & PTE_OWNED) === 0) continue;
    if ((slot[0] & PTE_FILE) !== 0) changeFilePage(slot, bits);
    else slot[0] = (slot[0] & (Pte.ADDRESS | Pte.PS)) | bits;
    addToFlush(flush, at);
  }
}

/** A page of a shared file stays dirty; the processor may set that bit meanwhile. */
function changeFilePage(slot: ptr<u64>, bits: u64): void {
  for (;;) {
    const old: u64 = atomicLoad(slot);
    const kept: u64 = old & (Pte.ADDRESS | PTE_FILE | Pte.D);
    if (atomicCompareExchange(slot, old, kept | bits) === old) return;
  }
}

/** Frees the frames of the LEAVING entries, adjacent ones together. `id`: the shootdown that allows it. */
export function freePages(c: ptr<Claim>, id: u64): void {
  const leaf: Leaf = zeroed();
  let first: u64 = 0;
  let count: u64 = 0;
  let freed: u64 = 0;
  findLeaf(c.root, c.start, addr(leaf));
  for (let at: u64 = c.start; at < c.end && !isEnding(); at = advance(c, addr(leaf), at)) {
    const slot = leaf.entry;
    if (slot === null || (slot[0] & PTE_LEAVING) === 0) continue;
    const frame: u64 = slot[0] & Pte.ADDRESS & ~(leaf.pageBytes - 1);
    const frames: u64 = leaf.pageBytes / PAGE_BYTES;
    const isFile: boolean = (slot[0] & PTE_FILE) !== 0;
    slot[0] = 0;
    if (isFile) continue;
    if (frame !== first + count * PAGE_BYTES || count + frames > FREED_TOGETHER) {
      if (count !== 0) freeFrames(first, count, c.owner);
      first = frame;
      count = 0;
    }
    count += frames;
    freed += frames;
    // Freeing frames takes time, too.
    c.looks += frames / 8;
  }
  if (count !== 0) freeFrames(first, count, c.owner);
  if (freed !== 0) record(EventKind.FRAME_FREE, id, freed, 0, 0);
}

/** Zeroes the mapped pages, accessible or not. */
export function clearPages(c: ptr<Claim>): void {
  const leaf: Leaf = zeroed();
  let at: u64 = c.start;
  findLeaf(c.root, at, addr(leaf));
  while (at < c.end && !isEnding()) {
    const slot = leaf.entry;
    if (slot !== null && (slot[0] & PTE_OWNED) !== 0) {
      const frame: u64 = slot[0] & Pte.ADDRESS & ~(leaf.pageBytes - 1);
      const pageEnd: u64 = behind(addr(leaf), at);
      const to: u64 = pageEnd < c.end ? pageEnd : c.end;
      zeroMemory(frame + (at & (leaf.pageBytes - 1)), to - at);
    }
    at = advance(c, addr(leaf), at);
  }
}
