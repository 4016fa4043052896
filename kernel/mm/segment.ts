/** A segment of a task that arrives in pieces, as network frames: the init image. */
import { PAGE_BYTES } from "../abi/memory.ts";
import { Pte } from "../abi/x86.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { type AddressSpace, claim, endClaim, leave, lockRange, protectionBits, take } from "./addressspace.ts";
import { allocateFrame, freeFrameCount, physical } from "./frames.ts";
import { populate } from "./pages.ts";
import { PTE_OWNED, smallPageTable } from "./pagetable.ts";
import { Join, regionAdd, regionsReady } from "./regions.ts";

/** Creates a region without pages, in a space that no thread has entered. False: no memory. */
export function spaceReserve(space: ptr<AddressSpace>, start: u64, bytes: u64, protection: u64): boolean {
  const flags: u64 = lock(addr(space.lock));
  const ready: boolean = bytes / PAGE_BYTES <= freeFrameCount() && regionsReady(addr(space.regions), 1, 1);
  if (ready) regionAdd(addr(space.regions), start, start + bytes, protection, Join.NONE);
  unlock(addr(space.lock), flags);
  return ready;
}
/**
 * Writes to the region, a few pages at most, and allocates their frames. For an interrupt handler. False: no memory.
 */
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
/** Allocates the pages that are still missing. False: no memory, or the task ends. */
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
