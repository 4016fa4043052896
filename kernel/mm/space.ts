/**
 * Address spaces: page tables, the regions that they hold, and the cores on which they are active.
 *
 * Regions are populated when they are made, with 2 MB pages where they can be; PROT_NONE regions only once they become accessible.
 * (On-demand population of stacks and NORESERVE regions is not there yet.)
 *
 * All under `space.lock`, but for `activeCpus`, which is atomic. Nobody holds the lock while he waits for a shootdown, so that any number
 * of cores can change their parts of one address space at a time. Pages are taken out in three steps:
 *   1. under the lock: the range is cut out of the regions, its entries become LEAVING (not present, frame kept), and the range is
 *      entered in `leaving`;
 *   2. without the lock: all cores flush (mm/shootdown.ts);
 *   3. under the lock again: frames go back, or new pages into their places; the range is struck from `leaving`.
 * From 1 to 3 the range belongs to that core: mmap places nothing there, and whoever else means it (a call, a fault, a copy) waits until
 * 3 and looks again. That core waits for nothing but acknowledgements, and who waits for it serves requests: nobody deadlocks, whatever
 * locks he holds.
 */
import { Errno } from "../abi/errno.ts";
import { EventKind } from "../abi/events.ts";
import { LARGE_PAGE_BYTES, PAGE_BYTES, USER_END, USER_MAP_BASE } from "../abi/memory.ts";
import { Prot } from "../abi/process.ts";
import { PageFault, PTE_NX, Pte } from "../abi/x86.ts";
import { memset } from "../../toolchain/lib/rt/memory.ts";
import { writeCr3 } from "../arch/cpu.ts";
import { serveOnce } from "../arch/crosscall.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { type Lock, lock, unlock } from "../arch/spinlock.ts";
import { record } from "../arch/trace.ts";
import { allocateFrame, allocateLargeFrame, FRAMES_PER_BLOCK, freeFrames, physical } from "./frames.ts";
import { kernelRoot, makeUserRoot } from "./kernelmap.ts";
import {
  findLeaf,
  type Leaf,
  PTE_LEAVING,
  PTE_OWNED,
  setLargePage,
  setPage,
  splitLargePage,
  translateUser,
  userBits,
} from "./pagetable.ts";
import { findGap, placedAt, type RegionList, regionAdd, regionCut, regionsAreAbsent, regionsCover, regionsEndBelow } from "./regions.ts";
import { addToFlush, type FlushList, shootdown } from "./shootdown.ts";

class Range {
  start: u64 = 0;
  end: u64 = 0;
}

export class AddressSpace {
  lock!: Lock;
  owner: u16 = 0;
  root: u64 = 0;
  /** Bit n: CPU n runs on these tables. */
  activeCpus: u64 = 0;
  brkStart: u64 = 0;
  brkEnd: u64 = 0;
  regions!: RegionList;
  /** Bit n: CPU n is taking pages out of leaving[n]. */
  leavingCpus: u64 = 0;
  leaving!: arr<Range, 64>;
  /** Frames given back since step 3 began. */
  freedFrames: u64 = 0;
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

// ---- ranges --------------------------------------------------------------------------------------------------------
/** End of a range that another core is taking pages out of and that meets this one; 0: there is none. */
function leavingEnd(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
  for (let rest: u64 = atomicLoad(addr(space.leavingCpus)); rest !== 0; rest = rest & (rest - 1)) {
    const range = addr(space.leaving[u32(countTrailingZeros(rest))]);
    if (range.start < end && range.end > start) return range.end;
  }
  return 0;
}
/** Another core is taking pages out of the range: what is found there now says nothing. */
export function rangeIsLeaving(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  return leavingEnd(space, start, end) !== 0;
}
/** Waits, without the lock, until that is over. What is true then may be over again when the lock is taken. */
export function awaitLeaving(space: ptr<AddressSpace>, start: u64, end: u64): void {
  while (rangeIsLeaving(space, start, end)) serveOnce();
}
/** Takes the lock while no other core is taking pages out of the range. Returns the flags for `unlock`. */
function lockRange(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
  for (;;) {
    const flags: u64 = lock(addr(space.lock));
    if (!rangeIsLeaving(space, start, end)) return flags;
    unlock(addr(space.lock), flags);
    awaitLeaving(space, start, end);
  }
}
function rangeIsFree(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  return regionsAreAbsent(addr(space.regions), start, end) && !rangeIsLeaving(space, start, end);
}
/** Lowest free range from USER_MAP_BASE on; 0 if there is none. */
function findRange(space: ptr<AddressSpace>, lengthBytes: u64): u64 {
  let at: u64 = findGap(addr(space.regions), USER_MAP_BASE, lengthBytes);
  for (;;) {
    const past: u64 = at === 0 ? 0 : leavingEnd(space, at, at + lengthBytes);
    if (past === 0) return at;
    at = findGap(addr(space.regions), placedAt(past, lengthBytes), lengthBytes);
  }
}

// ---- pages ---------------------------------------------------------------------------------------------------------
function protectionBits(protection: u64): u64 {
  return userBits((protection & Prot.READ) !== 0, (protection & Prot.WRITE) !== 0, (protection & Prot.EXEC) !== 0);
}

/** Gives every page of the range that has none a zeroed frame, and LEAVING ones another than theirs. False: no memory (what was done stays). */
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
    const large: boolean = leaf.pageBytes === LARGE_PAGE_BYTES && (at & (LARGE_PAGE_BYTES - 1)) === 0 && end - at >= LARGE_PAGE_BYTES;
    if (large && populateLarge(space, at, bits, slot)) {
      at += LARGE_PAGE_BYTES;
      continue;
    }
    if (!populateSmall(space, at, bits, large ? null : slot)) return false;
    at += PAGE_BYTES;
  }
  return true;
}
/**
 * What is replaced gives way to other frames as long as there are any: a core that missed the flush would read the old one, not by chance
 * the new one. `slot`: LEAVING, or empty; null: no table is there. False: there is no 2 MB frame, and the slot is empty now.
 */
function populateLarge(space: ptr<AddressSpace>, at: u64, bits: u64, slot: ptr<u64> | null): boolean {
  let frame: u64 = allocateLargeFrame(space.owner);
  if (slot !== null) {
    freeLeaving(space, slot, LARGE_PAGE_BYTES);
    if (frame === 0) frame = allocateLargeFrame(space.owner);
  }
  if (frame === 0) return false;
  if (setLargePage(space.root, at, frame | bits, space.owner)) return true;
  freeFrames(frame, FRAMES_PER_BLOCK, space.owner);
  return false;
}
function populateSmall(space: ptr<AddressSpace>, at: u64, bits: u64, slot: ptr<u64> | null): boolean {
  let frame: u64 = allocateFrame(space.owner);
  if (slot !== null && (slot[0] & PTE_LEAVING) !== 0) {
    freeLeaving(space, slot, PAGE_BYTES);
    if (frame === 0) frame = allocateFrame(space.owner);
  }
  if (frame === 0) return false;
  if (setPage(space.root, at, frame | bits, space.owner)) return true;
  freeFrames(frame, 1, space.owner);
  return false;
}

/** Splits the large page that `address` lies inside of, if any. */
function splitAt(space: ptr<AddressSpace>, address: u64): boolean {
  if ((address & (LARGE_PAGE_BYTES - 1)) === 0) return true;
  return splitLargePage(space.root, address, space.owner);
}

/**
 * Steps 1 and 2: the pages of the range become LEAVING and are flushed everywhere. The range's ends are not inside of large pages. Under
 * the lock, which is given up meanwhile if there is anything to flush. Returns the shootdown's id, for `freePages`.
 */
function expel(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
  const list: FlushList = uninitialized();
  list.count = 0;
  changePages(space, start, end, PTE_LEAVING, addr(list));
  space.freedFrames = 0;
  if (list.count === 0) return 0;
  const cpu: u32 = cpuIndex();
  space.leaving[cpu].start = start;
  space.leaving[cpu].end = end;
  atomicOr(addr(space.leavingCpus), u64(1) << u64(cpu));
  // Interrupts stay off: this core comes back.
  unlock(addr(space.lock), 0);
  const id: u64 = shootdown(addr(list), space.root, addr(space.activeCpus));
  lock(addr(space.lock));
  // Nobody looks before the caller gives up the lock.
  atomicAnd(addr(space.leavingCpus), ~(u64(1) << u64(cpu)));
  space.freedFrames = 0;
  return id;
}
function freeLeaving(space: ptr<AddressSpace>, slot: ptr<u64>, pageBytes: u64): void {
  const frames: u64 = pageBytes === LARGE_PAGE_BYTES ? FRAMES_PER_BLOCK : 1;
  freeFrames(slot[0] & Pte.ADDRESS & ~(pageBytes - 1), frames, space.owner);
  slot[0] = 0;
  space.freedFrames += frames;
}
/** Step 3: the frames of what is LEAVING in the range go back. `id`: the shootdown that allows it. */
function freePages(space: ptr<AddressSpace>, start: u64, end: u64, id: u64): void {
  const leaf: Leaf = zeroed();
  let at: u64 = start;
  while (at < end) {
    findLeaf(space.root, at, addr(leaf));
    const slot = leaf.entry;
    if (slot !== null && (slot[0] & PTE_LEAVING) !== 0) freeLeaving(space, slot, leaf.pageBytes);
    at = (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
  }
  if (space.freedFrames !== 0) record(EventKind.FRAME_FREE, id, space.freedFrames, 0, 0);
}

/** Gives the pages that there are in the range other bits, and puts them on the list. */
function changePages(space: ptr<AddressSpace>, start: u64, end: u64, bits: u64, flush: ptr<FlushList>): void {
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
/** Cuts the range out of regions and large pages. False: no memory, or the list is full. */
function cutRange(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  if (regionsAreAbsent(addr(space.regions), start, end)) return true;
  return splitAt(space, start) && splitAt(space, end) && regionCut(addr(space.regions), start, end);
}
function unmapLocked(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  if (regionsAreAbsent(addr(space.regions), start, end)) return true;
  if (!cutRange(space, start, end)) return false;
  const id: u64 = expel(space, start, end);
  freePages(space, start, end, id);
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
  const flags: u64 = fixed ? lockRange(space, address, address + bytes) : lock(addr(space.lock));
  const result: i64 = mapLocked(space, address, bytes, protection, fixed);
  unlock(addr(space.lock), flags);
  return result;
}
function mapLocked(space: ptr<AddressSpace>, address: u64, bytes: u64, protection: u64, fixed: boolean): i64 {
  let start: u64 = address;
  if (fixed) {
    if (!cutRange(space, start, start + bytes)) return error(Errno.ENOMEM);
  } else if (start === 0 || badRange(start, bytes) || !rangeIsFree(space, start, start + bytes)) {
    start = findRange(space, bytes);
    if (start === 0) return error(Errno.ENOMEM);
  }
  // The new region is there before the old pages are gone: nobody finds the range free in between.
  let mapped: boolean = regionAdd(addr(space.regions), start, start + bytes, protection);
  const id: u64 = expel(space, start, start + bytes);
  if (mapped && protection !== Prot.NONE) mapped = populate(space, start, start + bytes, protectionBits(protection));
  freePages(space, start, start + bytes, id);
  if (mapped) return i64(start);
  unmapLocked(space, start, start + bytes);
  return error(Errno.ENOMEM);
}

/** Unmaps whatever lies in the range. Returns 0, -EINVAL or -ENOMEM. */
export function spaceUnmap(space: ptr<AddressSpace>, address: u64, lengthBytes: u64): i64 {
  const bytes: u64 = roundUp(lengthBytes);
  if (badRange(address, bytes) || bytes < lengthBytes) return error(Errno.EINVAL);
  const flags: u64 = lockRange(space, address, address + bytes);
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
  const flags: u64 = lockRange(space, address, address + bytes);
  const done: boolean = protectLocked(space, address, address + bytes, protection, addr(flush));
  unlock(addr(space.lock), flags);
  // No frame changes hands, so nobody has to be kept out meanwhile: all cores may be here at once.
  if (flush.count !== 0) shootdown(addr(flush), space.root, addr(space.activeCpus));
  return done ? 0 : error(Errno.ENOMEM);
}
function protectLocked(space: ptr<AddressSpace>, start: u64, end: u64, protection: u64, flush: ptr<FlushList>): boolean {
  if (!regionsCover(addr(space.regions), start, end)) return false;
  if (!cutRange(space, start, end) || !regionAdd(addr(space.regions), start, end, protection)) return false;
  const bits: u64 = protectionBits(protection);
  changePages(space, start, end, bits, flush);
  return protection === Prot.NONE || populate(space, start, end, bits);
}

/** Zeroes a range that is wholly mapped, accessible or not: what MADV_DONTNEED does to anonymous memory. Returns 0, -EINVAL or -ENOMEM. */
export function spaceClear(space: ptr<AddressSpace>, address: u64, lengthBytes: u64): i64 {
  const bytes: u64 = roundUp(lengthBytes);
  if (lengthBytes === 0) return (address & (PAGE_BYTES - 1)) === 0 ? 0 : error(Errno.EINVAL);
  if (badRange(address, bytes) || bytes < lengthBytes) return error(Errno.EINVAL);
  const flags: u64 = lockRange(space, address, address + bytes);
  const whole: boolean = regionsCover(addr(space.regions), address, address + bytes);
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
  space.brkStart = regionsEndBelow(addr(space.regions), USER_MAP_BASE);
  space.brkEnd = space.brkStart;
  unlock(addr(space.lock), flags);
}
/** Moves the end of the heap; returns the end as it is afterwards, as Linux does. */
export function spaceBrk(space: ptr<AddressSpace>, end: u64): u64 {
  // All of the heap: another core may just be moving the end.
  const flags: u64 = lockRange(space, space.brkStart, USER_MAP_BASE);
  const from: u64 = roundUp(space.brkEnd);
  const to: u64 = roundUp(end);
  if (space.brkStart !== 0 && end >= space.brkStart && end < USER_END) {
    if (to <= from) {
      if (to === from || unmapLocked(space, to, from)) space.brkEnd = end;
    } else if (rangeIsFree(space, from, to)) {
      const protection: u64 = Prot.READ | Prot.WRITE;
      if (regionAdd(addr(space.regions), from, to, protection)) {
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
  const flags: u64 = lockRange(space, address, address + 1);
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
