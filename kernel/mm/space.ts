/**
 * Operations on address spaces.
 *
 * Regions are populated when they are made, with 2 MB pages where they can be; PROT_NONE regions only once they become
 * accessible; lazy regions (thread stacks, MAP_NORESERVE) page by page on first touch (fault.ts).
 *
 * No core holds `space.lock` while pages are zeroed or cores flush. So any number of cores can change their parts of
 * one address space at the same time, and interrupts are admitted throughout. An operation has three steps:
 *   1. under the lock: the core claims the range, and large pages that cross its ends are split;
 *   2. without the lock, or with it for a few regions at a time: regions and pages of the range change (pages.ts), all
 *      cores flush (shootdown.ts), and only then are frames freed;
 *   3. under the lock again: the claim ends.
 * A call or a fault in a claimed range waits until the claim ends, and looks again; mmap places nothing there. A core
 * that waits for a claim or holds one has no lock and is in a system call or in a program's fault, never in an
 * interrupt handler. So interrupts stay on, and no interrupt handler ever needs a claim to end. Copies (user.ts) do not
 * wait: they find a page or fail, and a page that is being replaced is never missing. They hold the lock while they
 * copy, so once a claimant has taken the lock, every copy that found a page earlier is done.
 *
 * A claimant whose task ends stops where it is: the frames are freed with the task.
 */
import { Errno } from "../abi/errno.ts";
import { LARGE_PAGE_BYTES, PAGE_BYTES, USER_END, USER_MAP_BASE } from "../abi/memory.ts";
import { Prot } from "../abi/process.ts";
import { assert } from "../arch/fatal.ts";
import { admitInterrupts, isEnding } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import {
  type AddressSpace,
  claim,
  claimedEnd,
  endClaim,
  isEager,
  leave,
  lockRange,
  othersClaim,
  pass,
  PROTECTIONS,
  protectionBits,
  rangeIsClaimed,
  take,
} from "./addressspace.ts";
import { quiesceFiles } from "./filepages.ts";
import { freeFrameCount } from "./frames.ts";
import {
  changePages,
  type Claim,
  clearPages,
  flushClaimed,
  freePages,
  ownedPages,
  populate,
  replacePages,
} from "./pages.ts";
import { PTE_LEAVING, splitLargePage } from "./pagetable.ts";
import {
  cutGrowth,
  findGap,
  Join,
  REGION_FILE,
  REGION_LAZY,
  type Region,
  regionAbove,
  regionAdd,
  regionAt,
  regionCut,
  regionJoins,
  regionsAreAbsent,
  regionsCoverTo,
  regionsEndBelow,
  regionsReady,
} from "./regions.ts";
import type { FlushList } from "./shootdown.ts";

/** Regions processed without admitting interrupts. */
const REGIONS_AT_A_TIME: u64 = 16;

/** Where mmap places a mapping. */
export const enum Placement {
  /** At the address if it is free there, otherwise anywhere. */
  HINT = 0,
  /** At the address, replacing what is mapped there. */
  FIXED = 1,
  /** At the address, only if it is free. */
  NOREPLACE = 2,
}

function error(errno: i64): i64 {
  return -errno;
}

// ---- parts of operations -------------------------------------------------------------------------------------------
function rangeIsFree(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  return regionsAreAbsent(addr(space.regions), start, end) && !rangeIsClaimed(space, start, end);
}
/**
 * Lowest free range from USER_MAP_BASE on; 0: none. May release the lock during the search, but not after a range is
 * found.
 */
function findRange(space: ptr<AddressSpace>, lengthBytes: u64): u64 {
  assertHeld(addr(space.lock));
  let isPlace: u32 = 0;
  let at: u64 = USER_MAP_BASE;
  for (;;) {
    at = findGap(addr(space.regions), at, lengthBytes, REGIONS_AT_A_TIME, addr(isPlace));
    if (at === 0) return 0;
    if (isPlace !== 0) {
      const past: u64 = claimedEnd(space, at, at + lengthBytes);
      if (past === 0) return at;
      at = past;
    }
    pass(space);
  }
}
/** Callers have checked what programs pass: whole pages, at least one, below USER_END. */
function assertRange(address: u64, bytes: u64): void {
  const holds: boolean = ((address | bytes) & (PAGE_BYTES - 1)) === 0 && bytes !== 0;
  assert(holds && address < USER_END && bytes <= USER_END - address, cstr("space: no range of pages"), address);
}
function roundUp(lengthBytes: u64): u64 {
  return (lengthBytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}
/** Splits the large page that `address` lies inside of, if any. */
function splitAt(space: ptr<AddressSpace>, address: u64): boolean {
  if ((address & (LARGE_PAGE_BYTES - 1)) === 0) return true;
  return splitLargePage(space.root, address, space.owner);
}
/**
 * After this, cutting out the range and adding one region cannot fail. False: no memory, or too many
 * regions.
 */
function prepareCut(space: ptr<AddressSpace>, start: u64, end: u64, added: u64): boolean {
  assertHeld(addr(space.lock));
  const list = addr(space.regions);
  if (!regionsReady(list, 2, cutGrowth(list, start, end) + added)) return false;
  return regionsAreAbsent(list, start, end) || (splitAt(space, start) && splitAt(space, end));
}
/** Removes all regions of the claimed range. Releases the lock from time to time. */
function cutRegions(space: ptr<AddressSpace>, start: u64, end: u64): void {
  assertHeld(addr(space.lock));
  while (!regionCut(addr(space.regions), start, end, REGIONS_AT_A_TIME)) pass(space);
}
/** Adds a region for a claimed range that has none. */
function addRegion(space: ptr<AddressSpace>, start: u64, end: u64, attributes: u64): void {
  assertHeld(addr(space.lock));
  let joins: u32 = regionJoins(addr(space.regions), start, end, attributes);
  // Do not join a region that another core may be changing.
  if ((joins & Join.BELOW) !== 0 && othersClaim(space, start - 1, start)) joins &= ~u32(Join.BELOW);
  if ((joins & Join.ABOVE) !== 0 && othersClaim(space, end, end + 1)) joins &= ~u32(Join.ABOVE);
  regionAdd(addr(space.regions), start, end, attributes, joins);
}
/** End of the gapless part of a claimed range. Releases the lock from time to time. */
function coveredTo(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
  assertHeld(addr(space.lock));
  let at: u64 = start;
  for (;;) {
    const next: u64 = regionsCoverTo(addr(space.regions), at, end, REGIONS_AT_A_TIME);
    if (next === at || next >= end) return next;
    at = next;
    pass(space);
  }
}
/**
 * Whether enough frames are free for the missing pages of the claimed range, so that an impossible request fails before
 * anything is zeroed. This ignores page tables and concurrent allocations: `populate` decides. May release the
 * lock.
 */
function thereIsRoom(space: ptr<AddressSpace>, c: ptr<Claim>): boolean {
  assertHeld(addr(space.lock));
  const pages: u64 = (c.end - c.start) / PAGE_BYTES;
  if (pages <= freeFrameCount()) return true;
  leave(space);
  const owned: u64 = ownedPages(c);
  take(space);
  return pages - owned <= freeFrameCount();
}
/** Unmaps the claimed pages on all cores, then frees their frames. */
function vacate(c: ptr<Claim>): void {
  const list: FlushList = uninitialized();
  list.count = 0;
  changePages(c, PTE_LEAVING, addr(list));
  if (list.count !== 0) freePages(c, flushClaimed(c, addr(list)));
}
/** Removes a claimed range that could not be populated. Releases the lock meanwhile. */
function undo(space: ptr<AddressSpace>, c: ptr<Claim>): void {
  assertHeld(addr(space.lock));
  if (isEnding()) return;
  leave(space);
  vacate(c);
  take(space);
  cutRegions(space, c.start, c.end);
}

// ---- operations ----------------------------------------------------------------------------------------------------
// All of them are for system calls and for the kernel's part of a thread: they let interrupts in. The caller holds no
// lock.
/**
 * Maps zeroed memory with a region's attributes; HINT: at most USER_END bytes, at the address if the range is free
 * there, otherwise anywhere. Returns the address, -ENOMEM, or -EEXIST.
 */
export function spaceMap(space: ptr<AddressSpace>, address: u64, bytes: u64, attributes: u64, placement: u32): i64 {
  const isFixed: boolean = placement !== Placement.HINT;
  if (isFixed) assertRange(address, bytes);
  else if (isEager(attributes) && bytes / PAGE_BYTES > freeFrameCount()) return error(Errno.ENOMEM);
  const flags: u64 = isFixed ? lockRange(space, address, address + bytes) : lock(addr(space.lock));
  const start: u64 = isFixed ? address : placeFor(space, address, bytes);
  let result: i64 = error(Errno.ENOMEM);
  if (placement === Placement.NOREPLACE && !regionsAreAbsent(addr(space.regions), start, start + bytes))
    result = error(Errno.EEXIST);
  else if (start !== 0 && mapLocked(space, start, start + bytes, attributes)) result = i64(start);
  unlock(addr(space.lock), flags);
  return result;
}
/** Releases the lock meanwhile. False: no memory. */
function mapLocked(space: ptr<AddressSpace>, start: u64, end: u64, attributes: u64): boolean {
  const isFree: boolean = regionsAreAbsent(addr(space.regions), start, end);
  if (!prepareCut(space, start, end, 1)) return false;
  const c = claim(space, start, end);
  let mapped: boolean = !isEager(attributes) || thereIsRoom(space, c);
  if (mapped) {
    const hadFiles: boolean = !isFree && quiesceFiles(space, c);
    if (!isFree) cutRegions(space, start, end);
    addRegion(space, start, end, attributes);
    leave(space);
    if (!isFree && (hadFiles || !isEager(attributes))) vacate(c);
    else if (!isFree) replacePages(c, protectionBits(attributes));
    mapped = !isEager(attributes) || populate(c, protectionBits(attributes));
    take(space);
    if (!mapped) undo(space, c);
  }
  endClaim(space);
  return mapped;
}
/** The hint if it is free, otherwise the lowest free range; 0: none. */
function placeFor(space: ptr<AddressSpace>, hint: u64, bytes: u64): u64 {
  if (hint !== 0 && rangeIsFree(space, hint, hint + bytes)) return hint;
  return findRange(space, bytes);
}

/** Unmaps everything in the range. Returns 0 or -ENOMEM. */
export function spaceUnmap(space: ptr<AddressSpace>, address: u64, bytes: u64): i64 {
  assertRange(address, bytes);
  const flags: u64 = lockRange(space, address, address + bytes);
  const done: boolean = unmapLocked(space, address, address + bytes);
  unlock(addr(space.lock), flags);
  return done ? 0 : error(Errno.ENOMEM);
}
/** Releases the lock meanwhile. */
function unmapLocked(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  if (regionsAreAbsent(addr(space.regions), start, end)) return true;
  if (!prepareCut(space, start, end, 0)) return false;
  const c = claim(space, start, end);
  quiesceFiles(space, c);
  cutRegions(space, start, end);
  leave(space);
  vacate(c);
  take(space);
  endClaim(space);
  return true;
}

/**
 * Changes the permissions of a range. Returns 0 or -ENOMEM; as on Linux, ENOMEM for a gap still leaves the part before
 * the gap changed.
 */
export function spaceProtect(space: ptr<AddressSpace>, address: u64, bytes: u64, protection: u64): i64 {
  assertRange(address, bytes);
  const flags: u64 = lockRange(space, address, address + bytes);
  const c = claim(space, address, address + bytes);
  const end: u64 = coveredTo(space, address, address + bytes);
  let done: boolean = end === address + bytes;
  if (end !== address) {
    c.end = end;
    done = protectLocked(space, c, protection) && done;
  }
  endClaim(space);
  unlock(addr(space.lock), flags);
  return done ? 0 : error(Errno.ENOMEM);
}
/**
 * Changes a claimed range that regions cover, region by region: each keeps what else it is. Releases the lock
 * meanwhile. False: no memory.
 */
function protectLocked(space: ptr<AddressSpace>, c: ptr<Claim>, protection: u64): boolean {
  const part: Claim = uninitialized();
  copy(addr(part), c);
  for (let at: u64 = c.start; at < c.end; at = part.end) {
    const region = regionAt(addr(space.regions), at);
    if (region === null) unreachable();
    const kept: u64 = takePart(addr(part), region, c);
    if (!protectPart(space, addr(part), protection | kept)) return false;
  }
  return true;
}
/** Sets `part` to the part of the claimed range that the region covers; returns its attributes but for protection. */
function takePart(part: ptr<Claim>, region: ptr<Region>, c: ptr<Claim>): u64 {
  part.start = region.start > c.start ? region.start : c.start;
  part.end = region.end < c.end ? region.end : c.end;
  return region.attributes & ~PROTECTIONS;
}
function protectPart(space: ptr<AddressSpace>, part: ptr<Claim>, attributes: u64): boolean {
  const bits: u64 = protectionBits(attributes);
  if (!prepareCut(space, part.start, part.end, 1)) return false;
  if (isEager(attributes) && !thereIsRoom(space, part)) return false;
  cutRegions(space, part.start, part.end);
  addRegion(space, part.start, part.end, attributes);
  leave(space);
  const list: FlushList = uninitialized();
  list.count = 0;
  changePages(part, bits, addr(list));
  flushClaimed(part, addr(list));
  admitInterrupts();
  const done: boolean = !isEager(attributes) || populate(part, bits);
  take(space);
  return done;
}

/**
 * The effect of madvise on a range: with `clear` (MADV_DONTNEED) its pages read as zeros, accessible or not; lazy
 * regions return their frames. Returns 0 or -ENOMEM; as on Linux, all mapped pages are cleared even if ENOMEM reports
 * holes.
 */
export function spaceAdvise(space: ptr<AddressSpace>, address: u64, bytes: u64, clear: boolean): i64 {
  assertRange(address, bytes);
  const end: u64 = address + bytes;
  const flags: u64 = lockRange(space, address, end);
  const c = claim(space, address, end);
  const whole: boolean = coveredTo(space, address, end) === end;
  if (clear) clearRange(space, c);
  endClaim(space);
  unlock(addr(space.lock), flags);
  return whole ? 0 : error(Errno.ENOMEM);
}

/** Clears the regions' parts of a claimed range. Releases the lock meanwhile. */
function clearRange(space: ptr<AddressSpace>, c: ptr<Claim>): void {
  const part: Claim = uninitialized();
  copy(addr(part), c);
  for (let at: u64 = c.start; at < c.end; at = part.end) {
    const region = regionAbove(addr(space.regions), at);
    if (region === null || region.start >= c.end) return;
    const kept: u64 = takePart(addr(part), region, c);
    leave(space);
    // Pages of files keep the file's contents.
    if ((kept & REGION_LAZY) !== 0) vacate(addr(part));
    else if ((kept & REGION_FILE) === 0) clearPages(addr(part));
    admitInterrupts();
    take(space);
  }
}

/** The heap starts after the program: at the end of the highest region below the range of mmap. */
export function spaceStartHeap(space: ptr<AddressSpace>): void {
  const flags: u64 = lock(addr(space.lock));
  space.brkStart = regionsEndBelow(addr(space.regions), USER_MAP_BASE);
  space.brkEnd = space.brkStart;
  unlock(addr(space.lock), flags);
}
/** Moves the end of the heap and returns the resulting end, as Linux does. */
export function spaceBrk(space: ptr<AddressSpace>, end: u64): u64 {
  // Lock the whole heap range: another core may be moving the end.
  const flags: u64 = lockRange(space, space.brkStart, USER_MAP_BASE);
  const from: u64 = roundUp(space.brkEnd);
  const to: u64 = roundUp(end);
  if (space.brkStart !== 0 && end >= space.brkStart && end < USER_END) {
    if (to <= from) {
      if (to === from || unmapLocked(space, to, from)) space.brkEnd = end;
    } else if (
      (to - from) / PAGE_BYTES <= freeFrameCount() &&
      rangeIsFree(space, from, to) &&
      mapLocked(space, from, to, Prot.READ | Prot.WRITE)
    ) {
      space.brkEnd = end;
    }
  }
  const result: u64 = space.brkEnd;
  unlock(addr(space.lock), flags);
  return result;
}
