/**
 * Address spaces: page tables, the regions that they hold, and the cores on which they are active.
 *
 * Regions are populated when they are made, with 2 MB pages where they can be; PROT_NONE regions only once they become accessible.
 * (On-demand population of stacks and NORESERVE regions is not there yet.)
 *
 * Nobody holds `space.lock` while pages are zeroed or cores flush, so any number of cores change their parts of one address space at a
 * time. An operation goes so:
 *   1. under the lock: regions change, large pages across the range's ends are split, and the core claims the range;
 *   2. without it: the range's pages change (pages.ts), all cores flush (shootdown.ts), frames go back only then;
 *   3. under the lock again: the claim ends.
 * Who means a claimed range (a call, a fault, a copy that finds no page) waits until the claim ends, and looks again; mmap places nothing
 * there. A claimant waits only for acknowledgements and for inner locks, and everybody who waits serves requests: nobody deadlocks,
 * whatever locks he holds. Copies (user.ts) hold the lock; so a claimant that takes it once knows that who found a page before is done.
 */
import { Errno } from "../abi/errno.ts";
import { LARGE_PAGE_BYTES, PAGE_BYTES, USER_END, USER_MAP_BASE } from "../abi/memory.ts";
import { Prot } from "../abi/process.ts";
import { PageFault, PTE_NX, Pte } from "../abi/x86.ts";
import { writeCr3 } from "../arch/cpu.ts";
import { serveOnce } from "../arch/crosscall.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { type Lock, LockRank, lock, unlock } from "../arch/spinlock.ts";
import { kernelRoot, makeUserRoot } from "./kernelmap.ts";
import { changePages, type Claim, clearPages, freePages, populate } from "./pages.ts";
import { findLeaf, type Leaf, PTE_LEAVING, splitLargePage, translateUser, userBits } from "./pagetable.ts";
import {
  findGap,
  placedAt,
  type RegionList,
  regionAdd,
  regionCut,
  regionsAreAbsent,
  regionsCover,
  regionsEndBelow,
} from "./regions.ts";
import { type FlushList, shootdown } from "./shootdown.ts";

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
export function rangeIsClaimed(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  return claimedEnd(space, start, end) !== 0;
}
/** Waits, without the lock, until it is not. It may be claimed again when the lock is taken. */
export function awaitClaims(space: ptr<AddressSpace>, start: u64, end: u64): void {
  while (rangeIsClaimed(space, start, end)) serveOnce();
}
/** Takes the lock while nobody has claimed anything of the range. Returns the flags for `unlock`. */
function lockRange(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
  for (;;) {
    const flags: u64 = lock(addr(space.lock));
    if (!rangeIsClaimed(space, start, end)) return flags;
    unlock(addr(space.lock), flags);
    awaitClaims(space, start, end);
  }
}
/** Gives up the lock and has the range instead. Interrupts stay off: this core comes back. */
function claim(space: ptr<AddressSpace>, start: u64, end: u64): ptr<Claim> {
  const cpu: u32 = cpuIndex();
  const c = addr(space.claims[cpu]);
  c.start = start;
  c.end = end;
  c.root = space.root;
  c.owner = space.owner;
  c.freedFrames = 0;
  atomicOr(addr(space.claimants), u64(1) << u64(cpu));
  unlock(addr(space.lock), 0);
  return c;
}
/** Takes the lock and gives up the range. */
function endClaim(space: ptr<AddressSpace>): void {
  lock(addr(space.lock));
  atomicAnd(addr(space.claimants), ~(u64(1) << u64(cpuIndex())));
}

/** The claimed pages are taken out and flushed everywhere, and nobody has found one before and is still at it. Returns the shootdown's id, for `freePages`. */
function expel(space: ptr<AddressSpace>, c: ptr<Claim>): u64 {
  const list: FlushList = uninitialized();
  list.count = 0;
  changePages(c, PTE_LEAVING, addr(list));
  if (list.count === 0) return 0;
  const id: u64 = shootdown(addr(list), space.root, addr(space.activeCpus));
  lock(addr(space.lock));
  unlock(addr(space.lock), 0);
  return id;
}
function vacate(space: ptr<AddressSpace>, c: ptr<Claim>): void {
  freePages(c, expel(space, c));
}

// ---- ranges --------------------------------------------------------------------------------------------------------
function rangeIsFree(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  return regionsAreAbsent(addr(space.regions), start, end) && !rangeIsClaimed(space, start, end);
}
/** Lowest free range from USER_MAP_BASE on; 0 if there is none. */
function findRange(space: ptr<AddressSpace>, lengthBytes: u64): u64 {
  let at: u64 = findGap(addr(space.regions), USER_MAP_BASE, lengthBytes);
  for (;;) {
    const past: u64 = at === 0 ? 0 : claimedEnd(space, at, at + lengthBytes);
    if (past === 0) return at;
    at = findGap(addr(space.regions), placedAt(past, lengthBytes), lengthBytes);
  }
}

function badRange(address: u64, lengthBytes: u64): boolean {
  if ((address & (PAGE_BYTES - 1)) !== 0 || lengthBytes === 0) return true;
  return address >= USER_END || lengthBytes > USER_END - address;
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
/** Cuts the range out of regions and large pages. False: no memory, or the list is full. */
function cutRange(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  if (regionsAreAbsent(addr(space.regions), start, end)) return true;
  return splitAt(space, start) && splitAt(space, end) && regionCut(addr(space.regions), start, end);
}

// ---- operations ----------------------------------------------------------------------------------------------------
/**
 * Maps zeroed memory. `fixed`: exactly at `address`, in place of what is there; otherwise `address` is a hint that is taken if free.
 * Returns the address, or -EINVAL, -ENOMEM.
 */
export function spaceMap(
  space: ptr<AddressSpace>,
  address: u64,
  lengthBytes: u64,
  protection: u64,
  fixed: boolean,
): i64 {
  const bytes: u64 = roundUp(lengthBytes);
  if (lengthBytes === 0 || (fixed && badRange(address, bytes))) return error(Errno.EINVAL);
  if (bytes < lengthBytes || bytes >= USER_END) return error(Errno.ENOMEM);
  const flags: u64 = fixed ? lockRange(space, address, address + bytes) : lock(addr(space.lock));
  const start: u64 = fixed ? address : placeFor(space, address, bytes);
  let mapped: boolean = start !== 0 || fixed;
  if (fixed) mapped = cutRange(space, start, start + bytes);
  if (mapped) {
    // The new region is there before the old pages are gone: nobody finds the range free in between.
    const added: boolean = regionAdd(addr(space.regions), start, start + bytes, protection);
    const c = claim(space, start, start + bytes);
    const id: u64 = fixed ? expel(space, c) : 0;
    mapped = added && (protection === Prot.NONE || populate(c, protectionBits(protection)));
    if (fixed) freePages(c, id);
    if (!mapped) vacate(space, c);
    endClaim(space);
    if (added && !mapped) regionCut(addr(space.regions), start, start + bytes);
  }
  unlock(addr(space.lock), flags);
  return mapped ? i64(start) : error(Errno.ENOMEM);
}
/** The hint if it is free, else the lowest free range; 0 if there is none. */
function placeFor(space: ptr<AddressSpace>, hint: u64, bytes: u64): u64 {
  if (hint !== 0 && !badRange(hint, bytes) && rangeIsFree(space, hint, hint + bytes)) return hint;
  return findRange(space, bytes);
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
/** Gives up the lock meanwhile. */
function unmapLocked(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  if (regionsAreAbsent(addr(space.regions), start, end)) return true;
  if (!cutRange(space, start, end)) return false;
  vacate(space, claim(space, start, end));
  endClaim(space);
  return true;
}

/** Changes the permissions of a range that is wholly mapped. Returns 0, -EINVAL or -ENOMEM. */
export function spaceProtect(space: ptr<AddressSpace>, address: u64, lengthBytes: u64, protection: u64): i64 {
  const bytes: u64 = roundUp(lengthBytes);
  if (lengthBytes === 0) return (address & (PAGE_BYTES - 1)) === 0 ? 0 : error(Errno.EINVAL);
  if (badRange(address, bytes) || bytes < lengthBytes) return error(Errno.EINVAL);
  const end: u64 = address + bytes;
  const flags: u64 = lockRange(space, address, end);
  let done: boolean = regionsCover(addr(space.regions), address, end);
  done = done && cutRange(space, address, end) && regionAdd(addr(space.regions), address, end, protection);
  if (done) {
    const c = claim(space, address, end);
    const list: FlushList = uninitialized();
    list.count = 0;
    changePages(c, protectionBits(protection), addr(list));
    if (list.count !== 0) shootdown(addr(list), space.root, addr(space.activeCpus));
    done = protection === Prot.NONE || populate(c, protectionBits(protection));
    endClaim(space);
  }
  unlock(addr(space.lock), flags);
  return done ? 0 : error(Errno.ENOMEM);
}

/** Zeroes a range that is wholly mapped, accessible or not: what MADV_DONTNEED does to anonymous memory. Returns 0, -EINVAL or -ENOMEM. */
export function spaceClear(space: ptr<AddressSpace>, address: u64, lengthBytes: u64): i64 {
  const bytes: u64 = roundUp(lengthBytes);
  if (lengthBytes === 0) return (address & (PAGE_BYTES - 1)) === 0 ? 0 : error(Errno.EINVAL);
  if (badRange(address, bytes) || bytes < lengthBytes) return error(Errno.EINVAL);
  const flags: u64 = lockRange(space, address, address + bytes);
  const whole: boolean = regionsCover(addr(space.regions), address, address + bytes);
  if (whole) {
    clearPages(claim(space, address, address + bytes));
    endClaim(space);
  }
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
    } else if (rangeIsFree(space, from, to) && regionAdd(addr(space.regions), from, to, Prot.READ | Prot.WRITE)) {
      const c = claim(space, from, to);
      const grown: boolean = populate(c, protectionBits(Prot.READ | Prot.WRITE));
      if (!grown) vacate(space, c);
      endClaim(space);
      if (grown) space.brkEnd = end;
      else regionCut(addr(space.regions), from, to);
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
