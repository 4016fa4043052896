/**
 * Address spaces: page tables, the regions that they hold, and the cores on which they are active.
 *
 * Regions are populated when they are made, with 2 MB pages where they can be; PROT_NONE regions only once they become
 * accessible. (On-demand population of stacks and NORESERVE regions is not there yet.)
 *
 * Nobody holds `space.lock` while pages are zeroed or cores flush, so any number of cores change their parts of one
 * address space at a time, and interrupts are let in all along. An operation goes so:
 *   1. under the lock: the core claims the range, and large pages across the range's ends are split;
 *   2. without it, or for some regions at a time with it: regions and pages of the range change (pages.ts), all cores
 *      flush (shootdown.ts), frames go back only then;
 *   3. under the lock again: the claim ends.
 * A call that means a claimed range, or a fault there, waits until the claim ends, and looks again; mmap places nothing
 * there. Who waits or works on a claim holds no lock and is in a system call or in the fault of a program, never in an
 * interrupt handler: so interrupts stay open, and nothing that a handler does needs the claim to end. Copies (user.ts)
 * do not wait: they find a page or they do not, and a page that is replaced is never missing. They hold the lock while
 * they copy; so a claimant that takes it once knows that whoever found a page before is done.
 *
 * A claimant whose task ends stops where it is: the frames go back with the task.
 */
import { Errno } from "../abi/errno.ts";
import { LARGE_PAGE_BYTES, PAGE_BYTES, USER_END, USER_MAP_BASE } from "../abi/memory.ts";
import { Prot } from "../abi/process.ts";
import { PageFault, PTE_NX, Pte } from "../abi/x86.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { writeCr3 } from "../arch/cpu.ts";
import { serveRequests } from "../arch/crosscall.ts";
import { assert } from "../arch/fatal.ts";
import { admitInterrupts, cpuIndex, isEnding } from "../arch/percpu.ts";
import { type Lock, LockRank, lock, unlock } from "../arch/spinlock.ts";
import { allocateFrame, freeFrameCount, physical } from "./frames.ts";
import { kernelRoot, makeUserRoot } from "./kernelmap.ts";
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
import {
  findLeaf,
  type Leaf,
  PTE_LEAVING,
  PTE_OWNED,
  smallPageTable,
  splitLargePage,
  translateUser,
  userBits,
} from "./pagetable.ts";
import {
  cutGrowth,
  findGap,
  Join,
  type RegionList,
  regionAdd,
  regionCut,
  regionJoins,
  regionsAreAbsent,
  regionsCoverTo,
  regionsEndBelow,
  regionsReady,
} from "./regions.ts";
import type { FlushList } from "./shootdown.ts";

/** Regions that are looked at or taken out without letting interrupts in. */
const REGIONS_AT_A_TIME: u64 = 16;

/** Where mmap puts a mapping. */
export const enum Placement {
  /** At the address if it is free there, else where there is room. */
  HINT = 0,
  /** There, in place of what there is. */
  FIXED = 1,
  /** There, if it is free. */
  NOREPLACE = 2,
}

export class AddressSpace {
  /** Guards regions and claims. Page tables belong to the claims, `activeCpus` and `claimants` are atomic. */
  lock!: Lock;
  owner: u16 = 0;
  root: u64 = 0;
  /** Bit n: CPU n runs on these tables. */
  activeCpus: u64 = 0;
  brkStart: u64 = 0;
  brkEnd: u64 = 0;
  regions!: RegionList;
  /** Bit n: CPU n has claimed claims[n]. */
  claimants: u64 = 0;
  claims!: arr<Claim, 64>;
}

function error(errno: i64): i64 {
  return -errno;
}

/** False: no memory. The frames belong to `owner` and go back with freeOwnedFrames. */
export function spaceCreate(space: ptr<AddressSpace>, owner: u16): boolean {
  zero(space);
  space.lock.rank = LockRank.SPACE;
  space.owner = owner;
  space.regions.owner = owner;
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

// ---- claims --------------------------------------------------------------------------------------------------------
/** End of a claimed range that meets this one; 0: there is none. */
function claimedEnd(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
  for (let rest: u64 = atomicLoad(addr(space.claimants)); rest !== 0; rest = rest & (rest - 1)) {
    const c = addr(space.claims[u32(countTrailingZeros(rest))]);
    if (c.start < end && c.end > start) return c.end;
  }
  return 0;
}
/** Another core is changing pages of the range: what is found there now says nothing. */
function rangeIsClaimed(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  return claimedEnd(space, start, end) !== 0;
}
/**
 * Takes the lock while nobody has claimed anything of the range; waits for it with interrupts open. Returns the flags
 * for `unlock`.
 */
function lockRange(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
  for (;;) {
    const flags: u64 = lock(addr(space.lock));
    if (!rangeIsClaimed(space, start, end)) return flags;
    unlock(addr(space.lock), flags);
    while (rangeIsClaimed(space, start, end)) {
      serveRequests();
      admitInterrupts();
    }
  }
}
/** Under the lock: the range is this core's. */
function claim(space: ptr<AddressSpace>, start: u64, end: u64): ptr<Claim> {
  const cpu: u32 = cpuIndex();
  const c = addr(space.claims[cpu]);
  c.start = start;
  c.end = end;
  c.root = space.root;
  c.cpus = addr(space.activeCpus);
  c.lock = addr(space.lock);
  c.owner = space.owner;
  c.looks = 0;
  atomicOr(addr(space.claimants), u64(1) << u64(cpu));
  return c;
}
/** Under the lock: it is nobody's. */
function endClaim(space: ptr<AddressSpace>): void {
  atomicAnd(addr(space.claimants), ~(u64(1) << u64(cpuIndex())));
}
/** The claimant's lock, for a moment: interrupts are off before and after. */
function take(space: ptr<AddressSpace>): void {
  lock(addr(space.lock));
}
function leave(space: ptr<AddressSpace>): void {
  unlock(addr(space.lock), 0);
}
function pass(space: ptr<AddressSpace>): void {
  leave(space);
  admitInterrupts();
  take(space);
}

// ---- parts of operations -------------------------------------------------------------------------------------------
function rangeIsFree(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  return regionsAreAbsent(addr(space.regions), start, end) && !rangeIsClaimed(space, start, end);
}
/**
 * Lowest free range from USER_MAP_BASE on; 0 if there is none. Under the lock, which may be given up, but not once it
 * is found.
 */
function findRange(space: ptr<AddressSpace>, lengthBytes: u64): u64 {
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
/** Callers have checked what programs ask for: whole pages, at least one, below USER_END. */
function assertRange(address: u64, bytes: u64): void {
  const holds: boolean = ((address | bytes) & (PAGE_BYTES - 1)) === 0 && bytes !== 0;
  assert(holds && address < USER_END && bytes <= USER_END - address, cstr("space: no range of pages"), address);
}
function roundUp(lengthBytes: u64): u64 {
  return (lengthBytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}
function protectionBits(protection: u64): u64 {
  return userBits((protection & Prot.READ) !== 0, (protection & Prot.WRITE) !== 0, (protection & Prot.EXEC) !== 0);
}
/** Splits the large page that `address` lies inside of, if any. */
function splitAt(space: ptr<AddressSpace>, address: u64): boolean {
  if ((address & (LARGE_PAGE_BYTES - 1)) === 0) return true;
  return splitLargePage(space.root, address, space.owner);
}
/**
 * Under the lock: from here on taking the range out and putting one region in cannot fail. False: no memory, or too
 * many regions.
 */
function prepareCut(space: ptr<AddressSpace>, start: u64, end: u64, added: u64): boolean {
  const list = addr(space.regions);
  if (!regionsReady(list, 2, cutGrowth(list, start, end) + added)) return false;
  return regionsAreAbsent(list, start, end) || (splitAt(space, start) && splitAt(space, end));
}
/** The claimed range has no regions any more. Under the lock, which is given up now and then. */
function cutRegions(space: ptr<AddressSpace>, start: u64, end: u64): void {
  while (!regionCut(addr(space.regions), start, end, REGIONS_AT_A_TIME)) pass(space);
}
/** Under the lock: a region for a claimed range that has none. */
function addRegion(space: ptr<AddressSpace>, start: u64, end: u64, protection: u64): void {
  let joins: u32 = regionJoins(addr(space.regions), start, end, protection);
  // Not with one that another core may just be changing.
  if ((joins & Join.BELOW) !== 0 && rangeIsClaimed(space, start - 1, start)) joins &= ~u32(Join.BELOW);
  if ((joins & Join.ABOVE) !== 0 && rangeIsClaimed(space, end, end + 1)) joins &= ~u32(Join.ABOVE);
  regionAdd(addr(space.regions), start, end, protection, joins);
}
/** How far regions cover a claimed range without a hole. Under the lock, which is given up now and then. */
function coveredTo(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
  let at: u64 = start;
  for (;;) {
    const next: u64 = regionsCoverTo(addr(space.regions), at, end, REGIONS_AT_A_TIME);
    if (next === at || next >= end) return next;
    at = next;
    pass(space);
  }
}
/**
 * Whether there are frames for the pages that the claimed range lacks, so that what cannot be had is refused before
 * anything is zeroed. What page tables need comes on top; others may be faster: `populate` has the last word. Under the
 * lock, which may be given up.
 */
function thereIsRoom(space: ptr<AddressSpace>, c: ptr<Claim>): boolean {
  const pages: u64 = (c.end - c.start) / PAGE_BYTES;
  if (pages <= freeFrameCount()) return true;
  leave(space);
  const owned: u64 = ownedPages(c);
  take(space);
  return pages - owned <= freeFrameCount();
}
/** The claimed pages are taken out, everywhere; then their frames go back. */
function vacate(c: ptr<Claim>): void {
  const list: FlushList = uninitialized();
  list.count = 0;
  changePages(c, PTE_LEAVING, addr(list));
  if (list.count !== 0) freePages(c, flushClaimed(c, addr(list)));
}
/** Takes out a claimed range that could not be populated. Under the lock, which is given up meanwhile. */
function undo(space: ptr<AddressSpace>, c: ptr<Claim>): void {
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
 * Maps zeroed memory; HINT: at most USER_END bytes, at the address if it is a place, else anywhere. Returns the
 * address, -ENOMEM, or -EEXIST.
 */
export function spaceMap(space: ptr<AddressSpace>, address: u64, bytes: u64, protection: u64, placement: u32): i64 {
  const isFixed: boolean = placement !== Placement.HINT;
  if (isFixed) assertRange(address, bytes);
  else if (protection !== Prot.NONE && bytes / PAGE_BYTES > freeFrameCount()) return error(Errno.ENOMEM);
  const flags: u64 = isFixed ? lockRange(space, address, address + bytes) : lock(addr(space.lock));
  const start: u64 = isFixed ? address : placeFor(space, address, bytes);
  let result: i64 = error(Errno.ENOMEM);
  if (placement === Placement.NOREPLACE && !regionsAreAbsent(addr(space.regions), start, start + bytes))
    result = error(Errno.EEXIST);
  else if (start !== 0 && mapLocked(space, start, start + bytes, protection)) result = i64(start);
  unlock(addr(space.lock), flags);
  return result;
}
/** Gives up the lock meanwhile. False: no memory. */
function mapLocked(space: ptr<AddressSpace>, start: u64, end: u64, protection: u64): boolean {
  const isFree: boolean = regionsAreAbsent(addr(space.regions), start, end);
  if (!prepareCut(space, start, end, 1)) return false;
  const c = claim(space, start, end);
  let mapped: boolean = protection === Prot.NONE || thereIsRoom(space, c);
  if (mapped) {
    if (!isFree) cutRegions(space, start, end);
    addRegion(space, start, end, protection);
    leave(space);
    if (!isFree && protection === Prot.NONE) vacate(c);
    if (!isFree && protection !== Prot.NONE) replacePages(c, protectionBits(protection));
    mapped = protection === Prot.NONE || populate(c, protectionBits(protection));
    take(space);
    if (!mapped) undo(space, c);
  }
  endClaim(space);
  return mapped;
}
/** The hint if it is free, else the lowest free range; 0 if there is none. */
function placeFor(space: ptr<AddressSpace>, hint: u64, bytes: u64): u64 {
  if (hint !== 0 && rangeIsFree(space, hint, hint + bytes)) return hint;
  return findRange(space, bytes);
}

/** Unmaps whatever lies in the range. Returns 0 or -ENOMEM. */
export function spaceUnmap(space: ptr<AddressSpace>, address: u64, bytes: u64): i64 {
  assertRange(address, bytes);
  const flags: u64 = lockRange(space, address, address + bytes);
  const done: boolean = unmapLocked(space, address, address + bytes);
  unlock(addr(space.lock), flags);
  return done ? 0 : error(Errno.ENOMEM);
}
/** Gives up the lock meanwhile. */
function unmapLocked(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  if (regionsAreAbsent(addr(space.regions), start, end)) return true;
  if (!prepareCut(space, start, end, 0)) return false;
  const c = claim(space, start, end);
  cutRegions(space, start, end);
  leave(space);
  vacate(c);
  take(space);
  endClaim(space);
  return true;
}

/**
 * Changes the permissions of a range. Returns 0 or -ENOMEM; as on Linux, what lies in front of a hole has changed when
 * ENOMEM says that there is one.
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
/** A claimed range that regions cover. Gives up the lock meanwhile. False: no memory. */
function protectLocked(space: ptr<AddressSpace>, c: ptr<Claim>, protection: u64): boolean {
  const bits: u64 = protectionBits(protection);
  if (!prepareCut(space, c.start, c.end, 1)) return false;
  if (protection !== Prot.NONE && !thereIsRoom(space, c)) return false;
  cutRegions(space, c.start, c.end);
  addRegion(space, c.start, c.end, protection);
  leave(space);
  const list: FlushList = uninitialized();
  list.count = 0;
  changePages(c, bits, addr(list));
  flushClaimed(c, addr(list));
  const done: boolean = protection === Prot.NONE || populate(c, bits);
  take(space);
  return done;
}

/**
 * What madvise does to a range: with `clear` (MADV_DONTNEED) its pages are zeroed, accessible or not. Returns 0 or
 * -ENOMEM; as on Linux, all that is mapped is cleared when ENOMEM says that there are holes.
 */
export function spaceAdvise(space: ptr<AddressSpace>, address: u64, bytes: u64, clear: boolean): i64 {
  assertRange(address, bytes);
  const end: u64 = address + bytes;
  const flags: u64 = lockRange(space, address, end);
  const c = claim(space, address, end);
  const whole: boolean = coveredTo(space, address, end) === end;
  if (clear) {
    leave(space);
    clearPages(c);
    take(space);
  }
  endClaim(space);
  unlock(addr(space.lock), flags);
  return whole ? 0 : error(Errno.ENOMEM);
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

// ---- a segment that arrives in pieces ------------------------------------------------------------------------------
/** A region without pages, in a space that no thread has entered. False: no memory. */
export function spaceReserve(space: ptr<AddressSpace>, start: u64, bytes: u64, protection: u64): boolean {
  const flags: u64 = lock(addr(space.lock));
  const ready: boolean = bytes / PAGE_BYTES <= freeFrameCount() && regionsReady(addr(space.regions), 1, 1);
  if (ready) addRegion(space, start, start + bytes, protection);
  unlock(addr(space.lock), flags);
  return ready;
}
/** Writes into it, a few pages at most, and gives them frames: for an interrupt handler. False: no memory. */
export function spaceFill(
  space: ptr<AddressSpace>,
  to: u64,
  from: ptr<u8>,
  lengthBytes: u64,
  protection: u64,
): boolean {
  let done: u64 = 0;
  while (done < lengthBytes) {
    const at: u64 = to + done;
    const table = smallPageTable(space.root, at, space.owner);
    if (table === null) return false;
    const slot = addr(table.entries[(at / PAGE_BYTES) & 511]);
    if ((slot[0] & PTE_OWNED) === 0) {
      const frame: u64 = allocateFrame(space.owner);
      if (frame === 0) return false;
      slot[0] = frame | protectionBits(protection);
    }
    const rest: u64 = PAGE_BYTES - (at & (PAGE_BYTES - 1));
    const bytes: u64 = lengthBytes - done < rest ? lengthBytes - done : rest;
    memcpy(physical<u8>((slot[0] & Pte.ADDRESS) + (at & (PAGE_BYTES - 1))), addr(from[done]), bytes);
    done += bytes;
  }
  return true;
}
/** Gives it the pages that it still lacks. False: no memory, or the task ends. */
export function spaceComplete(space: ptr<AddressSpace>, start: u64, bytes: u64, protection: u64): boolean {
  const flags: u64 = lockRange(space, start, start + bytes);
  const c = claim(space, start, start + bytes);
  leave(space);
  const done: boolean = populate(c, protectionBits(protection));
  take(space);
  endClaim(space);
  unlock(addr(space.lock), flags);
  return done;
}

/**
 * Whether the program may now do what it faulted on: another of its cores has allowed it since, or was just changing
 * the mapping. Waits for whoever is at it.
 */
export function faultIsOver(space: ptr<AddressSpace>, address: u64, error: u64): boolean {
  if (address >= USER_END) return false;
  const flags: u64 = lockRange(space, address, address + 1);
  const over: boolean =
    (error & PageFault.I) !== 0
      ? isExecutable(space, address)
      : translateUser(space.root, address, (error & PageFault.W) !== 0) !== 0;
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
