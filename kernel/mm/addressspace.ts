/**
 * An address space: page tables, their regions, the cores on which they are active, and the claims by which cores
 * change parts of it at the same time (space.ts explains them).
 */
import { Prot } from "../abi/process.ts";
import { writeCr3 } from "../arch/cpu.ts";
import { serveRequests } from "../arch/crosscall.ts";
import { admitInterrupts, cpuIndex } from "../arch/percpu.ts";
import { assertHeld, type Lock, LockRank, lock, unlock } from "../arch/spinlock.ts";
import { kernelRoot, makeUserRoot } from "./kernelmap.ts";
import type { Claim } from "./pages.ts";
import { userBits } from "./pagetable.ts";
import { REGION_FILE, REGION_LAZY, type RegionList } from "./regions.ts";

export class AddressSpace {
  /** Guards regions and claims. Claims protect the page tables; `activeCpus` and `claimants` are atomic. */
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
  // Mapped files (views.ts).
  /** Core + 1 of the holder of `lockFiles`, 0: free. */
  filesOwner: u32 = 0;
  /** 1: shared pages were unmapped, and files may have to be written, or closed. */
  filesChanged: u32 = 0;
  /** Physical addresses: of SharedFile records, of View records. 0: none. */
  files: u64 = 0;
  viewFrames!: arr<u64, 16>;
  /** All views below are in use. */
  viewHint: u64 = 0;
}

/** `space` is zeroed. False: no memory. The frames belong to `owner` and go back with freeOwnedFrames. */
export function spaceCreate(space: ptr<AddressSpace>, owner: u16): boolean {
  space.lock.rank = LockRank.SPACE;
  space.owner = owner;
  space.regions.owner = owner;
  space.root = makeUserRoot(owner);
  return space.root !== 0;
}

/** This core uses `space` from now on. */
export function spaceEnter(space: ptr<AddressSpace>): void {
  // The bit is set first: a shootdown that misses the bit would miss what the TLB loads next.
  atomicOr(addr(space.activeCpus), u64(1) << u64(cpuIndex()));
  writeCr3(space.root);
}
export function spaceLeave(space: ptr<AddressSpace>): void {
  writeCr3(kernelRoot());
  atomicAnd(addr(space.activeCpus), ~(u64(1) << u64(cpuIndex())));
}

/** The part of a region's attributes that mprotect changes. */
export const PROTECTIONS: u64 = Prot.READ | Prot.WRITE | Prot.EXEC;
export function protectionBits(protection: u64): u64 {
  return userBits((protection & Prot.READ) !== 0, (protection & Prot.WRITE) !== 0, (protection & Prot.EXEC) !== 0);
}
/** Whether pages of a region with these attributes get their frames when the region is created. */
export function isEager(attributes: u64): boolean {
  return (attributes & PROTECTIONS) !== Prot.NONE && (attributes & (REGION_LAZY | REGION_FILE)) === 0;
}

// ---- claims --------------------------------------------------------------------------------------------------------
/** End of a claimed range that overlaps this one; 0: none. */
export function claimedEnd(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
  for (let rest: u64 = atomicLoad(addr(space.claimants)); rest !== 0; rest = rest & (rest - 1)) {
    const c = addr(space.claims[u32(countTrailingZeros(rest))]);
    if (c.start < end && c.end > start) return c.end;
  }
  return 0;
}
/** Another core is changing pages of the range: the current entries say nothing. */
export function rangeIsClaimed(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  return claimedEnd(space, start, end) !== 0;
}
/** The same, of other cores. */
export function othersClaim(space: ptr<AddressSpace>, start: u64, end: u64): boolean {
  const others: u64 = atomicLoad(addr(space.claimants)) & ~(u64(1) << u64(cpuIndex()));
  for (let rest: u64 = others; rest !== 0; rest = rest & (rest - 1)) {
    const c = addr(space.claims[u32(countTrailingZeros(rest))]);
    if (c.start < end && c.end > start) return true;
  }
  return false;
}
/**
 * Takes the lock once no core has claimed any part of the range; waits for that with interrupts enabled. Returns the
 * flags for `unlock`.
 */
export function lockRange(space: ptr<AddressSpace>, start: u64, end: u64): u64 {
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
/** Claims the range for this core. */
export function claim(space: ptr<AddressSpace>, start: u64, end: u64): ptr<Claim> {
  assertHeld(addr(space.lock));
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
/** Releases the claim. */
export function endClaim(space: ptr<AddressSpace>): void {
  assertHeld(addr(space.lock));
  atomicAnd(addr(space.claimants), ~(u64(1) << u64(cpuIndex())));
}
/** Takes the lock for a claimant for a short time: interrupts are off before and after. */
export function take(space: ptr<AddressSpace>): void {
  lock(addr(space.lock));
}
export function leave(space: ptr<AddressSpace>): void {
  unlock(addr(space.lock), 0);
}
export function pass(space: ptr<AddressSpace>): void {
  leave(space);
  admitInterrupts();
  take(space);
}
