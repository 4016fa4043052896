/**
 * Page faults of programs, and pages that get their frame on first touch: those of lazy regions (thread stacks,
 * reservations). The frame comes from the task's node without any I/O. A copy by the kernel counts as a touch, so that
 * a network reply finds its page.
 */
import { USER_END } from "../abi/memory.ts";
import { PageFault, PTE_NX, Pte } from "../abi/x86.ts";
import { assertHeld, unlock } from "../arch/spinlock.ts";
import { type AddressSpace, lockRange, protectionBits, rangeIsClaimed } from "./addressspace.ts";
import { allocateFrame } from "./frames.ts";
import { findLeaf, type Leaf, PTE_OWNED, smallPageTable, translateUser } from "./pagetable.ts";
import { REGION_FILE, REGION_LAZY, regionAt } from "./regions.ts";

export const enum Touch {
  /** The access is permitted, and the page is present. */
  DONE = 0,
  NOT_PERMITTED = 1,
  NO_MEMORY = 2,
  /** The access is permitted, but the page lies past the end of its file. */
  NO_PAGE = 3,
}

/**
 * Gives the page of a lazy region its zeroed frame, for an access that needs the entry bits `wanted` and none of
 * `unwanted`. Does not wait for a core that is changing the range: in that case the access is not permitted. Returns a
 * Touch.
 */
export function touchPage(space: ptr<AddressSpace>, address: u64, wanted: u64, unwanted: u64): u32 {
  assertHeld(addr(space.lock));
  const region = regionAt(addr(space.regions), address);
  if (region === null || (region.attributes & (REGION_LAZY | REGION_FILE)) === 0) return Touch.NOT_PERMITTED;
  const bits: u64 = protectionBits(region.attributes);
  if ((bits & wanted) !== wanted || (bits & unwanted) !== 0) return Touch.NOT_PERMITTED;
  if (rangeIsClaimed(space, address, address + 1)) return Touch.NOT_PERMITTED;
  if ((region.attributes & REGION_FILE) !== 0) return pageIsThere(space, address) ? Touch.NOT_PERMITTED : Touch.NO_PAGE;
  const table = smallPageTable(space.root, address, space.owner);
  if (table === null) return Touch.NO_MEMORY;
  const slot = addr(table.entries[(address >> 12) & 511]);
  if ((slot[0] & PTE_OWNED) !== 0) return Touch.NOT_PERMITTED;
  const frame: u64 = allocateFrame(space.owner);
  if (frame === 0) return Touch.NO_MEMORY;
  slot[0] = frame | bits;
  return Touch.DONE;
}

/**
 * Resolves a program's fault: the page was absent and is present now, or another of its cores has allowed the access
 * meanwhile. Waits for a core that is changing the range. `error`: the exception's error code. Returns a Touch.
 */
export function resolveFault(space: ptr<AddressSpace>, address: u64, error: u64): u32 {
  if (address >= USER_END) return Touch.NOT_PERMITTED;
  const isFetch: boolean = (error & PageFault.I) !== 0;
  const isWrite: boolean = (error & PageFault.W) !== 0;
  const flags: u64 = lockRange(space, address, address + 1);
  let result: u32 = Touch.DONE;
  const permitted: boolean = isFetch ? isExecutable(space, address) : translateUser(space.root, address, isWrite) !== 0;
  if (!permitted) result = touchPage(space, address, isWrite ? Pte.P | Pte.W : Pte.P, isFetch ? PTE_NX : 0);
  unlock(addr(space.lock), flags);
  return result;
}

/** Whether a page has a frame, accessible or not. */
export function pageIsThere(space: ptr<AddressSpace>, address: u64): boolean {
  const leaf: Leaf = zeroed();
  findLeaf(space.root, address, addr(leaf));
  const slot = leaf.entry;
  return slot !== null && (slot[0] & PTE_OWNED) !== 0;
}
/** True if a program may execute at `address`. */
export function isExecutable(space: ptr<AddressSpace>, address: u64): boolean {
  if (address >= USER_END) return false;
  const leaf: Leaf = zeroed();
  findLeaf(space.root, address, addr(leaf));
  const slot = leaf.entry;
  return slot !== null && (slot[0] & Pte.P) !== 0 && (slot[0] & Pte.U) !== 0 && (slot[0] & PTE_NX) === 0;
}
