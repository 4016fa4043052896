/**
 * The pages of a range that one core has claimed (space.ts): given frames, given other permissions, taken out. No lock: nobody else
 * changes entries in the range, and no large page lies across its ends. Others' ranges may share page tables with it.
 */
import { EventKind } from "../abi/events.ts";
import { LARGE_PAGE_BYTES, PAGE_BYTES } from "../abi/memory.ts";
import { Pte } from "../abi/x86.ts";
import { memset } from "../../toolchain/lib/rt/memory.ts";
import { serveRequests } from "../arch/crosscall.ts";
import { record } from "../arch/trace.ts";
import { allocateBatch, allocateLargeFrame, FRAMES_PER_BLOCK, freeFrames, physical } from "./frames.ts";
import { findLeaf, type Leaf, PTE_LEAVING, PTE_OWNED, setLargePage, smallPageTable } from "./pagetable.ts";
import { addToFlush, type FlushList } from "./shootdown.ts";

/** Small pages that are given frames at a time. */
const BATCH_MAX: u64 = 16;

export class Claim {
  start: u64 = 0;
  end: u64 = 0;
  /** Of the address space. */
  root: u64 = 0;
  owner: u16 = 0;
  /** Frames of LEAVING pages that have been given back. */
  freedFrames: u64 = 0;
}

/** Behind the page, or where a page would be, that `at` lies in. */
function behind(leaf: ptr<Leaf>, at: u64): u64 {
  return (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
}

/** Goes on to the next leaf, which is mostly the next entry of the same table; returns its address. */
function advance(c: ptr<Claim>, leaf: ptr<Leaf>, at: u64): u64 {
  const next: u64 = behind(leaf, at);
  const slot = leaf.entry;
  if (slot !== null && leaf.pageBytes === PAGE_BYTES && (next & (LARGE_PAGE_BYTES - 1)) !== 0)
    leaf.entry = addr(slot[1]);
  else if (next < c.end) findLeaf(c.root, next, leaf);
  return next;
}

/** Gives every page of the range that has none a zeroed frame, and LEAVING ones another than theirs. False: no memory (what was done stays). */
export function populate(c: ptr<Claim>, bits: u64): boolean {
  const leaf: Leaf = zeroed();
  let at: u64 = c.start;
  while (at < c.end) {
    // Zeroing takes its time, and others may want this core to flush.
    serveRequests();
    findLeaf(c.root, at, addr(leaf));
    const slot = leaf.entry;
    if (slot !== null && (slot[0] & PTE_OWNED) !== 0) {
      at = behind(addr(leaf), at);
      continue;
    }
    const large: boolean =
      leaf.pageBytes === LARGE_PAGE_BYTES && (at & (LARGE_PAGE_BYTES - 1)) === 0 && c.end - at >= LARGE_PAGE_BYTES;
    if (large && populateLarge(c, at, bits, slot)) {
      at += LARGE_PAGE_BYTES;
      continue;
    }
    at = populateSmall(c, at, bits);
    if (at === 0) return false;
  }
  return true;
}
/**
 * What is replaced gives way to other frames as long as there are any: a core that missed the flush would read the old one, not by chance
 * the new one. `slot`: LEAVING; null: no entry for it is there. False: there is no 2 MB frame, and nothing is left in the slot.
 */
function populateLarge(c: ptr<Claim>, at: u64, bits: u64, slot: ptr<u64> | null): boolean {
  let frame: u64 = allocateLargeFrame(c.owner);
  if (slot !== null) {
    freeLeaving(c, slot, LARGE_PAGE_BYTES);
    if (frame === 0) frame = allocateLargeFrame(c.owner);
  }
  if (frame === 0) return false;
  if (setLargePage(c.root, at, frame | bits, c.owner)) return true;
  freeFrames(frame, FRAMES_PER_BLOCK, c.owner);
  return false;
}
/** Some small pages from `at` on, of one table, that have no frame; returns the address behind them, 0: no memory. */
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
  let got: u64 = allocateBatch(addr(frames[0]), wanted, c.owner);
  if (got === 0 && (table.entries[first] & PTE_LEAVING) !== 0) {
    // Only what gives way is left.
    freeLeaving(c, addr(table.entries[first]), PAGE_BYTES);
    got = allocateBatch(addr(frames[0]), 1, c.owner);
  }
  if (got === 0) return 0;
  for (let i: u64 = 0; i < got; i++) {
    const slot = addr(table.entries[first + i]);
    if ((slot[0] & PTE_LEAVING) !== 0) freeLeaving(c, slot, PAGE_BYTES);
    slot[0] = frames[i] | bits;
  }
  return at + got * PAGE_BYTES;
}

/** Gives the pages that there are in the range other bits, and puts them on the list. */
export function changePages(c: ptr<Claim>, bits: u64, flush: ptr<FlushList>): void {
  const leaf: Leaf = zeroed();
  findLeaf(c.root, c.start, addr(leaf));
  for (let at: u64 = c.start; at < c.end; at = advance(c, addr(leaf), at)) {
    const slot = leaf.entry;
    if (slot === null || (slot[0] & PTE_OWNED) === 0) continue;
    const kept: u64 = slot[0] & (Pte.ADDRESS | Pte.PS);
    slot[0] = kept | bits;
    addToFlush(flush, at);
  }
}

function freeLeaving(c: ptr<Claim>, slot: ptr<u64>, pageBytes: u64): void {
  const frames: u64 = pageBytes === LARGE_PAGE_BYTES ? FRAMES_PER_BLOCK : 1;
  freeFrames(slot[0] & Pte.ADDRESS & ~(pageBytes - 1), frames, c.owner);
  slot[0] = 0;
  c.freedFrames += frames;
}
/** The frames of what is LEAVING go back, adjoining ones together. `id`: the shootdown that allows it. */
export function freePages(c: ptr<Claim>, id: u64): void {
  const leaf: Leaf = zeroed();
  let first: u64 = 0;
  let count: u64 = 0;
  findLeaf(c.root, c.start, addr(leaf));
  for (let at: u64 = c.start; at < c.end; at = advance(c, addr(leaf), at)) {
    const slot = leaf.entry;
    if (slot === null || (slot[0] & PTE_LEAVING) === 0) continue;
    const frame: u64 = slot[0] & Pte.ADDRESS & ~(leaf.pageBytes - 1);
    slot[0] = 0;
    if (frame !== first + count * PAGE_BYTES) {
      if (count !== 0) freeFrames(first, count, c.owner);
      first = frame;
      count = 0;
    }
    count += leaf.pageBytes / PAGE_BYTES;
    c.freedFrames += leaf.pageBytes / PAGE_BYTES;
  }
  if (count !== 0) freeFrames(first, count, c.owner);
  if (c.freedFrames !== 0) record(EventKind.FRAME_FREE, id, c.freedFrames, 0, 0);
  c.freedFrames = 0;
}

/** Zeroes the pages that there are, accessible or not. */
export function clearPages(c: ptr<Claim>): void {
  const leaf: Leaf = zeroed();
  let at: u64 = c.start;
  while (at < c.end) {
    serveRequests();
    findLeaf(c.root, at, addr(leaf));
    const slot = leaf.entry;
    const pageEnd: u64 = behind(addr(leaf), at);
    const to: u64 = pageEnd < c.end ? pageEnd : c.end;
    if (slot !== null && (slot[0] & PTE_OWNED) !== 0) {
      const frame: u64 = slot[0] & Pte.ADDRESS & ~(leaf.pageBytes - 1);
      memset(physical<u8>(frame + (at & (leaf.pageBytes - 1))), 0, to - at);
    }
    at = to;
  }
}
