/**
 * Access to a program's memory. Every page is looked up in the program's page tables and reached through the direct map, so nothing
 * here can fault the kernel, and it works for any address space, active or not. False or -1: a page is not there or not permitted.
 * The address space's lock is held over each access: a page that is being copied is not unmapped and freed meanwhile. What fails on a
 * range that another core has claimed (space.ts) is tried again when the claim ends.
 */
import { PAGE_BYTES, USER_END } from "../abi/memory.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { stringLengthMax } from "../../toolchain/lib/rt/strings.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { physical } from "./frames.ts";
import { translateUser } from "./pagetable.ts";
import { type AddressSpace, awaitClaims, rangeIsClaimed } from "./space.ts";

function outside(address: u64, lengthBytes: u64): boolean {
  return address >= USER_END || lengthBytes > USER_END - address;
}
function untilPageEnd(address: u64, lengthBytes: u64): u64 {
  const rest: u64 = PAGE_BYTES - (address & (PAGE_BYTES - 1));
  return lengthBytes < rest ? lengthBytes : rest;
}

export function copyFromUser(space: ptr<AddressSpace>, to: ptr<u8>, from: u64, lengthBytes: u64): boolean {
  for (;;) {
    const flags: u64 = lock(addr(space.lock));
    const result: boolean = copyFromUserLocked(space, to, from, lengthBytes);
    const again: boolean = !result && rangeIsClaimed(space, from, from + lengthBytes);
    unlock(addr(space.lock), flags);
    if (!again) return result;
    awaitClaims(space, from, from + lengthBytes);
  }
}
function copyFromUserLocked(space: ptr<AddressSpace>, to: ptr<u8>, from: u64, lengthBytes: u64): boolean {
  if (lengthBytes === 0) return true;
  if (outside(from, lengthBytes)) return false;
  let done: u64 = 0;
  while (done < lengthBytes) {
    const page: u64 = translateUser(space.root, from + done, false);
    if (page === 0) return false;
    const bytes: u64 = untilPageEnd(from + done, lengthBytes - done);
    memcpy(addr(to[done]), physical<u8>(page), bytes);
    done += bytes;
  }
  return true;
}

export function copyToUser(space: ptr<AddressSpace>, to: u64, from: ptr<u8>, lengthBytes: u64): boolean {
  for (;;) {
    const flags: u64 = lock(addr(space.lock));
    const result: boolean = copyToUserLocked(space, to, from, lengthBytes, true);
    const again: boolean = !result && rangeIsClaimed(space, to, to + lengthBytes);
    unlock(addr(space.lock), flags);
    if (!again) return result;
    awaitClaims(space, to, to + lengthBytes);
  }
}
/** The same for a debugger: pages that the program may not write, its code among them, are written too. All or nothing within a page. */
export function patchUser(space: ptr<AddressSpace>, to: u64, from: ptr<u8>, lengthBytes: u64): boolean {
  for (;;) {
    const flags: u64 = lock(addr(space.lock));
    const result: boolean = copyToUserLocked(space, to, from, lengthBytes, false);
    const again: boolean = !result && rangeIsClaimed(space, to, to + lengthBytes);
    unlock(addr(space.lock), flags);
    if (!again) return result;
    awaitClaims(space, to, to + lengthBytes);
  }
}
function copyToUserLocked(
  space: ptr<AddressSpace>,
  to: u64,
  from: ptr<u8>,
  lengthBytes: u64,
  permitted: boolean,
): boolean {
  if (lengthBytes === 0) return true;
  if (outside(to, lengthBytes)) return false;
  let done: u64 = 0;
  while (done < lengthBytes) {
    const page: u64 = translateUser(space.root, to + done, permitted);
    if (page === 0) return false;
    const bytes: u64 = untilPageEnd(to + done, lengthBytes - done);
    memcpy(physical<u8>(page), addr(from[done]), bytes);
    done += bytes;
  }
  return true;
}

/** Whether the program may read (or write) the whole range. */
export function userRangeValid(space: ptr<AddressSpace>, address: u64, lengthBytes: u64, write: boolean): boolean {
  for (;;) {
    const flags: u64 = lock(addr(space.lock));
    const result: boolean = userRangeValidLocked(space, address, lengthBytes, write);
    const again: boolean = !result && rangeIsClaimed(space, address, address + lengthBytes);
    unlock(addr(space.lock), flags);
    if (!again) return result;
    awaitClaims(space, address, address + lengthBytes);
  }
}
function userRangeValidLocked(space: ptr<AddressSpace>, address: u64, lengthBytes: u64, write: boolean): boolean {
  if (lengthBytes === 0) return true;
  if (outside(address, lengthBytes)) return false;
  let done: u64 = 0;
  while (done < lengthBytes) {
    if (translateUser(space.root, address + done, write) === 0) return false;
    done += untilPageEnd(address + done, lengthBytes - done);
  }
  return true;
}

/** Bytes of the string at `address` without its NUL; `limit` if no NUL is among them; -1 if it cannot be read. */
export function userStringLength(space: ptr<AddressSpace>, address: u64, limit: u64): i64 {
  for (;;) {
    const flags: u64 = lock(addr(space.lock));
    const result: i64 = userStringLengthLocked(space, address, limit);
    const again: boolean = result < 0 && rangeIsClaimed(space, address, address + limit);
    unlock(addr(space.lock), flags);
    if (!again) return result;
    awaitClaims(space, address, address + limit);
  }
}
function userStringLengthLocked(space: ptr<AddressSpace>, address: u64, limit: u64): i64 {
  let done: u64 = 0;
  while (done < limit) {
    if (outside(address + done, 1)) return -1;
    const page: u64 = translateUser(space.root, address + done, false);
    if (page === 0) return -1;
    const bytes: u64 = untilPageEnd(address + done, limit - done);
    const length: u64 = stringLengthMax(physical<u8>(page), bytes);
    done += length;
    if (length < bytes) break;
  }
  return i64(done);
}
