/**
 * Address spaces: page tables, the regions that they hold, and the cores on which they are active.
 *
 * Regions are populated when they are made, with 2 MB pages where they can be; PROT_NONE regions only once they become accessible.
 * (On-demand population of stacks and NORESERVE regions is not there yet.) All under `space.lock`, but for `activeCpus`, which is atomic.
 */
import { EventKind } from "../abi/events.ts";
import { Errno } from "../abi/errno.ts";
import { Prot } from "../abi/process.ts";
import { LARGE_PAGE_BYTES, PAGE_BYTES, USER_END, USER_MAP_BASE } from "../abi/memory.ts";
import { PageFault, PTE_NX, Pte } from "../abi/x86.ts";
import { memset } from "../../toolchain/lib/rt/memory.ts";
import { writeCr3 } from "../arch/cpu.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { type Lock, lock, unlock } from "../arch/spinlock.ts";
import { record } from "../arch/trace.ts";
import { allocateFrame, allocateLargeFrame, FRAMES_PER_BLOCK, freeFrames, physical } from "./frames.ts";
import { kernelRoot, makeUserRoot } from "./kernelmap.ts";
import { findLeaf, type Leaf, PTE_OWNED, setLargePage, setPage, splitLargePage, translateUser, userBits } from "./pagetable.ts";
import { addToFlush, type FlushList, shootdown } from "./shootdown.ts";

export class Region {
  start: u64 = 0;
  end: u64 = 0;
  protection: u64 = 0;
}
const REGIONS_MAX: u64 = 128;
/** Leaves removed between two shootdowns. */
const BATCH_MAX: u64 = 128;
class FreedPage {
  frame: u64 = 0;
  frameCount: u64 = 0;
}

export class AddressSpace {
  lock!: Lock;
  owner: u16 = 0;
  root: u64 = 0;
  /** Bit n: CPU n runs on these tables. */
  activeCpus: u64 = 0;
  brkStart: u64 = 0;
  brkEnd: u64 = 0;
  regionCount: u64 = 0;
  /** Ascending, not overlapping. */
  regions!: arr<Region, 128>;
  /** What `unmapPages` has taken out: not yet flushed, and not yet freed. */
  flush!: FlushList;
  freedCount: u64 = 0;
  freed!: arr<FreedPage, 128>;
  /** The shootdown that allows `freed` to be freed. */
  flushId: u64 = 0;
}

function error(errno: i64): i64 {
  return -errno;
}

/** False: no memory. The frames belong to `owner` and go back with freeOwnedFrames. */
export function spaceCreate(space: ptr<AddressSpace>, owner: u16): boolean {
  zero(space);
  space.owner = owner;
  space.root = makeUserRoot(owner);
  return space.root !== 0;
}

/** This core runs on `space` from now on. */
export function spaceEnter(space: ptr<AddressSpace>): void {
  // First the bit: a shootdown that misses it would miss what the TLB loads next.
  atomicOr(addr(space.activeCpus), u64(1) << u64(cpuIndex()));
  writeCr3(space.root);
}
export function spaceLeave(space: ptr<AddressSpace>): void {
  writeCr3(kernelRoot());
  atomicAnd(addr(space.activeCpus), ~(u64(1) << u64(cpuIndex())));
}

// ---- regions -------------------------------------------------------------------------------------------------------
/** Index of the first region that ends above `address`; regionCount if none does. */
function regionAbove(space: ptr<AddressSpace>, address: u64): u64 {
  let i: u64 = 0;
  while (i < space.regionCount && space.regions[i].end <= address) i++;
  return i;
}
function regionInsertAt(space: ptr<AddressSpace>, index: u64, start: u64, end: u64, protection: u64): boolean {
  if (space.regionCount === REGIONS_MAX) return false;
  for (let i: u64 = space.regionCount; i > index; i--) copy(addr(space.regions[i]), addr(space.regions[i - 1]));
  space.regions[index].start = start;
  space.regions[index].end = end;
  space.regions[index].protection = protection;
  space.regionCount++;
  return true;
}
/** The range is free. Joins a neighbour below with the same protection. */
function regionAdd(space: ptr<AddressSpace>, start: u64, end: u64, protection: u64): boolean {
  const index: u64 = regionAbove(space, start);
  if (index > 0 && space.regions[index - 1].end === start && space.regions[index - 1].protection === protection) {
    space.regions[index - 1].end = end;
    return true;
  }
  return regionInsertAt(space, index, start, end, protection);
}
/** Takes a range out of the list. False: the list is full (a region had to be split). */
function regionCut(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  let i: u64 = regionAbove(space, start);
  while (i < space.regionCount && space.regions[i].start < end) {
    const r = addr(space.regions[i]);
    if (r.start < start && r.end > end) {
      const tail: u64 = r.end;
      if (!regionInsertAt(space, i + 1, end, tail, r.protection)) return false;
      r.end = start;
      return true;
    }
    if (r.start < start) {
      r.end = start;
      i++;
    } else if (r.end > end) {
      r.start = end;
      return true;
    } else {
      space.regionCount--;
      for (let k: u64 = i; k < space.regionCount; k++) copy(addr(space.regions[k]), addr(space.regions[k + 1]));
    }
  }
  return true;
}
function rangeIsFree(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  const i: u64 = regionAbove(space, start);
  return i === space.regionCount || space.regions[i].start >= end;
}
/** Regions cover all of the range. */
function isMapped(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  let at: u64 = start;
  for (let i: u64 = regionAbove(space, start); at < end; i++) {
    if (i === space.regionCount || space.regions[i].start > at) return false;
    at = space.regions[i].end;
  }
  return true;
}
/** Lowest free range from USER_MAP_BASE on; 0 if there is none. */
function findRange(space: ptr<AddressSpace>, lengthBytes: u64): u64 {
  const align: u64 = lengthBytes >= LARGE_PAGE_BYTES ? LARGE_PAGE_BYTES : PAGE_BYTES;
  let at: u64 = USER_MAP_BASE;
  for (let i: u64 = regionAbove(space, at); i < space.regionCount; i++) {
    if (space.regions[i].start >= at + lengthBytes) return at;
    at = (space.regions[i].end + align - 1) & ~(align - 1);
  }
  return lengthBytes <= USER_END - at ? at : 0;
}

// ---- pages ---------------------------------------------------------------------------------------------------------
function protectionBits(protection: u64): u64 {
  return userBits((protection & Prot.READ) !== 0, (protection & Prot.WRITE) !== 0, (protection & Prot.EXEC) !== 0);
}

/** Gives every page of the range that has none a zeroed frame. False: no memory (what was done stays). */
function populate(space: ptr<AddressSpace>, start: u64, end: u64, bits: u64): boolean {
  const leaf: Leaf = zeroed();
  let at: u64 = start;
  while (at < end) {
    findLeaf(space.root, at, addr(leaf));
    const slot = leaf.entry;
    if (slot !== null && (slot[0] & PTE_OWNED) !== 0) {
      at = (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
      continue;
    }
    if ((at & (LARGE_PAGE_BYTES - 1)) === 0 && end - at >= LARGE_PAGE_BYTES && slot === null) {
      const large: u64 = allocateLargeFrame(space.owner);
      if (large !== 0) {
        if (!setLargePage(space.root, at, large | bits, space.owner)) return false;
        at += LARGE_PAGE_BYTES;
        continue;
      }
    }
    const frame: u64 = allocateFrame(space.owner);
    if (frame === 0 || !setPage(space.root, at, frame | bits, space.owner)) return false;
    at += PAGE_BYTES;
  }
  return true;
}

/** Makes every core forget what `unmapPages` has taken out so far; its frames wait in `freed`. */
function flushBatch(space: ptr<AddressSpace>): void {
  if (space.flush.count === 0) return;
  space.flushId = shootdown(addr(space.flush), space.root, addr(space.activeCpus));
  space.flush.count = 0;
}
/** Frees what has been taken out and flushed. */
function freeBatch(space: ptr<AddressSpace>): void {
  if (space.freedCount === 0) return;
  let frames: u64 = 0;
  for (let i: u64 = 0; i < space.freedCount; i++) {
    freeFrames(space.freed[i].frame, space.freed[i].frameCount, space.owner);
    frames += space.freed[i].frameCount;
  }
  record(EventKind.FRAME_FREE, space.flushId, frames, 0, 0);
  space.freedCount = 0;
}

/** Splits the large page that `address` lies inside of, if any. */
function splitAt(space: ptr<AddressSpace>, address: u64): boolean {
  if ((address & (LARGE_PAGE_BYTES - 1)) === 0) return true;
  return splitLargePage(space.root, address, space.owner);
}

/** The ends of the range are not inside of large pages. What was unmapped last is flushed but not freed: `freeBatch` is the caller's. */
function unmapPages(space: ptr<AddressSpace>, start: u64, end: u64): void {
  const leaf: Leaf = zeroed();
  let at: u64 = start;
  while (at < end) {
    findLeaf(space.root, at, addr(leaf));
    const slot = leaf.entry;
    if (slot !== null && (slot[0] & PTE_OWNED) !== 0) {
      const freed = addr(space.freed[space.freedCount]);
      freed.frame = slot[0] & Pte.ADDRESS & ~(leaf.pageBytes - 1);
      freed.frameCount = leaf.pageBytes === LARGE_PAGE_BYTES ? FRAMES_PER_BLOCK : 1;
      slot[0] = 0;
      space.freedCount++;
      addToFlush(addr(space.flush), at);
      if (space.freedCount === BATCH_MAX) {
        flushBatch(space);
        freeBatch(space);
      }
    }
    at = (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
  }
  flushBatch(space);
}

function protectPages(space: ptr<AddressSpace>, start: u64, end: u64, bits: u64, flush: ptr<FlushList>): void {
  const leaf: Leaf = zeroed();
  let at: u64 = start;
  while (at < end) {
    findLeaf(space.root, at, addr(leaf));
    const slot = leaf.entry;
    if (slot !== null && (slot[0] & PTE_OWNED) !== 0) {
      const kept: u64 = slot[0] & (Pte.ADDRESS | Pte.PS);
      slot[0] = kept | bits;
      addToFlush(flush, at);
    }
    at = (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
  }
}

// ---- operations ----------------------------------------------------------------------------------------------------
function badRange(address: u64, lengthBytes: u64): boolean {
  if ((address & (PAGE_BYTES - 1)) !== 0 || lengthBytes === 0) return true;
  return address >= USER_END || lengthBytes > USER_END - address;
}
function roundUp(lengthBytes: u64): u64 {
  return (lengthBytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}
function unmapLocked(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  const done: boolean = takeOut(space, start, end);
  freeBatch(space);
  return done;
}
/** Unmaps; the frames of the last batch are still to be freed. */
function takeOut(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  if (rangeIsFree(space, start, end)) return true;
  if (!splitAt(space, start) || !splitAt(space, end)) return false;
  if (!regionCut(space, start, end)) return false;
  unmapPages(space, start, end);
  return true;
}

/**
 * Maps zeroed memory. `fixed`: exactly at `address`, in place of what is there; otherwise `address` is a hint that is taken if free.
 * Returns the address, or -EINVAL, -ENOMEM.
 */
export function spaceMap(space: ptr<AddressSpace>, address: u64, lengthBytes: u64, protection: u64, fixed: boolean): i64 {
  const bytes: u64 = roundUp(lengthBytes);
  if (lengthBytes === 0 || (fixed && badRange(address, bytes))) return error(Errno.EINVAL);
  if (bytes < lengthBytes || bytes >= USER_END) return error(Errno.ENOMEM);
  const flags: u64 = lock(addr(space.lock));
  const result: i64 = mapLocked(space, address, bytes, protection, fixed);
  unlock(addr(space.lock), flags);
  return result;
}
function mapLocked(space: ptr<AddressSpace>, address: u64, bytes: u64, protection: u64, fixed: boolean): i64 {
  let start: u64 = address;
  if (fixed) {
    if (!takeOut(space, start, start + bytes)) return error(Errno.ENOMEM);
  } else if (start === 0 || badRange(start, bytes) || !rangeIsFree(space, start, start + bytes)) {
    start = findRange(space, bytes);
    if (start === 0) return error(Errno.ENOMEM);
  }
  let mapped: boolean = regionAdd(space, start, start + bytes, protection);
  if (mapped && protection !== Prot.NONE) {
    // What is replaced gives way to other frames as long as there are any: a core that missed the flush would read the old one, not
    // by chance the new one.
    const bits: u64 = protectionBits(protection);
    mapped = populate(space, start, start + bytes, bits);
    const replaced: boolean = space.freedCount !== 0;
    freeBatch(space);
    if (!mapped && replaced) mapped = populate(space, start, start + bytes, bits);
    if (!mapped) unmapLocked(space, start, start + bytes);
  }
  freeBatch(space);
  return mapped ? i64(start) : error(Errno.ENOMEM);
}

/** Unmaps whatever lies in the range. Returns 0, -EINVAL or -ENOMEM. */
export function spaceUnmap(space: ptr<AddressSpace>, address: u64, lengthBytes: u64): i64 {
  const bytes: u64 = roundUp(lengthBytes);
  if (badRange(address, bytes) || bytes < lengthBytes) return error(Errno.EINVAL);
  const flags: u64 = lock(addr(space.lock));
  const done: boolean = unmapLocked(space, address, address + bytes);
  unlock(addr(space.lock), flags);
  return done ? 0 : error(Errno.ENOMEM);
}

/** Changes the permissions of a range that is wholly mapped. Returns 0, -EINVAL or -ENOMEM. */
export function spaceProtect(space: ptr<AddressSpace>, address: u64, lengthBytes: u64, protection: u64): i64 {
  const bytes: u64 = roundUp(lengthBytes);
  if (lengthBytes === 0) return (address & (PAGE_BYTES - 1)) === 0 ? 0 : error(Errno.EINVAL);
  if (badRange(address, bytes) || bytes < lengthBytes) return error(Errno.EINVAL);
  const flush: FlushList = uninitialized();
  flush.count = 0;
  const flags: u64 = lock(addr(space.lock));
  const done: boolean = protectLocked(space, address, address + bytes, protection, addr(flush));
  unlock(addr(space.lock), flags);
  // No frame changes hands, so nobody has to be kept out meanwhile: all cores may be here at once.
  if (flush.count !== 0) shootdown(addr(flush), space.root, addr(space.activeCpus));
  return done ? 0 : error(Errno.ENOMEM);
}
function protectLocked(space: ptr<AddressSpace>, start: u64, end: u64, protection: u64, flush: ptr<FlushList>): boolean {
  if (!isMapped(space, start, end)) return false;
  if (!splitAt(space, start) || !splitAt(space, end)) return false;
  if (!regionCut(space, start, end) || !regionAdd(space, start, end, protection)) return false;
  const bits: u64 = protectionBits(protection);
  protectPages(space, start, end, bits, flush);
  return protection === Prot.NONE || populate(space, start, end, bits);
}

/** Zeroes a range that is wholly mapped, accessible or not: what MADV_DONTNEED does to anonymous memory. Returns 0, -EINVAL or -ENOMEM. */
export function spaceClear(space: ptr<AddressSpace>, address: u64, lengthBytes: u64): i64 {
  const bytes: u64 = roundUp(lengthBytes);
  if (lengthBytes === 0) return (address & (PAGE_BYTES - 1)) === 0 ? 0 : error(Errno.EINVAL);
  if (badRange(address, bytes) || bytes < lengthBytes) return error(Errno.EINVAL);
  const flags: u64 = lock(addr(space.lock));
  const whole: boolean = isMapped(space, address, address + bytes);
  if (whole) clearPages(space, address, address + bytes);
  unlock(addr(space.lock), flags);
  return whole ? 0 : error(Errno.ENOMEM);
}
function clearPages(space: ptr<AddressSpace>, start: u64, end: u64): void {
  const leaf: Leaf = zeroed();
  let at: u64 = start;
  while (at < end) {
    findLeaf(space.root, at, addr(leaf));
    const slot = leaf.entry;
    const pageEnd: u64 = (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
    const to: u64 = pageEnd < end ? pageEnd : end;
    if (slot !== null && (slot[0] & PTE_OWNED) !== 0) {
      const frame: u64 = slot[0] & Pte.ADDRESS & ~(leaf.pageBytes - 1);
      memset(physical<u8>(frame + (at & (leaf.pageBytes - 1))), 0, to - at);
    }
    at = to;
  }
}

/** The heap starts behind the program: at the end of the highest region below those that mmap places. */
export function spaceStartHeap(space: ptr<AddressSpace>): void {
  const flags: u64 = lock(addr(space.lock));
  let end: u64 = 0;
  for (let i: u64 = 0; i < space.regionCount && space.regions[i].start < USER_MAP_BASE; i++) end = space.regions[i].end;
  space.brkStart = end;
  space.brkEnd = end;
  unlock(addr(space.lock), flags);
}
/** Moves the end of the heap; returns the end as it is afterwards, as Linux does. */
export function spaceBrk(space: ptr<AddressSpace>, end: u64): u64 {
  const flags: u64 = lock(addr(space.lock));
  const from: u64 = roundUp(space.brkEnd);
  const to: u64 = roundUp(end);
  if (space.brkStart !== 0 && end >= space.brkStart && end < USER_END) {
    if (to <= from) {
      if (to === from || unmapLocked(space, to, from)) space.brkEnd = end;
    } else if (rangeIsFree(space, from, to)) {
      const protection: u64 = Prot.READ | Prot.WRITE;
      if (regionAdd(space, from, to, protection)) {
        if (populate(space, from, to, protectionBits(protection))) space.brkEnd = end;
        else unmapLocked(space, from, to);
      }
    }
  }
  const result: u64 = space.brkEnd;
  unlock(addr(space.lock), flags);
  return result;
}

/**
 * Whether the program may now do what it faulted on: another of its cores was changing the mapping (MAP_FIXED takes the page out before
 * it puts the new one in), or has allowed it since. Waits for whoever is at it.
 */
export function faultIsOver(space: ptr<AddressSpace>, address: u64, error: u64): boolean {
  if (address >= USER_END) return false;
  const flags: u64 = lock(addr(space.lock));
  const over: boolean =
    (error & PageFault.I) !== 0 ? isExecutable(space, address) : translateUser(space.root, address, (error & PageFault.W) !== 0) !== 0;
  unlock(addr(space.lock), flags);
  return over;
}

/** True if a program may execute at `address`. */
export function isExecutable(space: ptr<AddressSpace>, address: u64): boolean {
  if (address >= USER_END) return false;
  const leaf: Leaf = zeroed();
  findLeaf(space.root, address, addr(leaf));
  const slot = leaf.entry;
  return slot !== null && (slot[0] & Pte.P) !== 0 && (slot[0] & Pte.U) !== 0 && (slot[0] & PTE_NX) === 0;
}
