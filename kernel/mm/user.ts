/**
 * Access to a program's memory: the only place in the kernel that touches it. Each page is looked up in the program's
 * page tables and accessed through the direct map. So no access here can fault, and it works for any address space,
 * active or not. The program's own addresses are never dereferenced: with SMAP on and no STAC anywhere, kernel code
 * that does so panics there. False or -1: a page is missing or not permitted. The address space's lock is held during
 * each access, so a page is not unmapped and freed while it is copied. No function here waits for a range that another
 * core is changing (space.ts): interrupt handlers and holders of outer locks may copy.
 */
import { PAGE_BYTES, USER_END } from "../abi/memory.ts";
import { Prot } from "../abi/process.ts";
import { Pte } from "../abi/x86.ts";
import { memcpy, memset } from "../../toolchain/lib/rt/memory.ts";
import { stringLengthMax } from "../../toolchain/lib/rt/strings.ts";
import { assert } from "../arch/fatal.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { physical } from "./frames.ts";
import type { AddressSpace } from "./addressspace.ts";
import { Touch, touchPage } from "./fault.ts";
import { findLeaf, type Leaf, translateUser } from "./pagetable.ts";
import { REGION_LAZY, regionAbove } from "./regions.ts";

/** Copies are short: a caller that moves more does it in pieces and admits interrupts in between. */
const COPY_MAX_BYTES: u64 = 32768;
/** Pages checked, or bytes of a string read, before interrupts are admitted. */
const LOOKS: u64 = 64;
const STRING_BYTES: u64 = 512;

function outside(address: u64, lengthBytes: u64): boolean {
  return address >= USER_END || lengthBytes > USER_END - address;
}
function untilPageEnd(address: u64, lengthBytes: u64): u64 {
  const rest: u64 = PAGE_BYTES - (address & (PAGE_BYTES - 1));
  return lengthBytes < rest ? lengthBytes : rest;
}

/** Physical address; a page of a lazy region gets its frame. 0: not permitted, or no memory. */
function pageFor(space: ptr<AddressSpace>, address: u64, write: boolean): u64 {
  const page: u64 = translateUser(space.root, address, write);
  if (page !== 0 || touchPage(space, address, write ? Pte.P | Pte.W : Pte.P, 0) !== Touch.DONE) return page;
  return translateUser(space.root, address, write);
}

export function copyFromUser(space: ptr<AddressSpace>, to: ptr<u8>, from: u64, lengthBytes: u64): boolean {
  const flags: u64 = lock(addr(space.lock));
  const result: boolean = copyFromUserLocked(space, to, from, lengthBytes);
  unlock(addr(space.lock), flags);
  return result;
}
function copyFromUserLocked(space: ptr<AddressSpace>, to: ptr<u8>, from: u64, lengthBytes: u64): boolean {
  if (lengthBytes === 0) return true;
  assert(lengthBytes <= COPY_MAX_BYTES, cstr("user: a copy that is too long"), lengthBytes);
  if (outside(from, lengthBytes)) return false;
  let done: u64 = 0;
  while (done < lengthBytes) {
    const page: u64 = pageFor(space, from + done, false);
    if (page === 0) return false;
    const bytes: u64 = untilPageEnd(from + done, lengthBytes - done);
    memcpy(addr(to[done]), physical<u8>(page), bytes);
    done += bytes;
  }
  return true;
}

/**
 * The same for a debugger, whose look changes nothing: a page of a lazy region that the program has not touched reads
 * as zeros, and gets no frame.
 */
export function peekUser(space: ptr<AddressSpace>, to: ptr<u8>, from: u64, lengthBytes: u64): boolean {
  assert(lengthBytes <= COPY_MAX_BYTES, cstr("user: a copy that is too long"), lengthBytes);
  if (outside(from, lengthBytes)) return false;
  const flags: u64 = lock(addr(space.lock));
  let done: u64 = 0;
  while (done < lengthBytes) {
    const at: u64 = from + done;
    const page: u64 = translateUser(space.root, at, false);
    if (page === 0 && !isUntouched(space, at)) break;
    const bytes: u64 = untilPageEnd(at, lengthBytes - done);
    if (page !== 0) memcpy(addr(to[done]), physical<u8>(page), bytes);
    else memset(addr(to[done]), 0, bytes);
    done += bytes;
  }
  unlock(addr(space.lock), flags);
  return done >= lengthBytes;
}
/** A page of a lazy region that may be read and has no frame. */
function isUntouched(space: ptr<AddressSpace>, address: u64): boolean {
  assertHeld(addr(space.lock));
  const region = regionAbove(addr(space.regions), address);
  if (region === null || region.start > address) return false;
  return (region.attributes & REGION_LAZY) !== 0 && (region.attributes & Prot.READ) !== 0;
}

export function copyToUser(space: ptr<AddressSpace>, to: u64, from: ptr<u8>, lengthBytes: u64): boolean {
  const flags: u64 = lock(addr(space.lock));
  const result: boolean = copyToUserLocked(space, to, from, lengthBytes, true);
  unlock(addr(space.lock), flags);
  return result;
}
/**
 * The same for a debugger: also writes pages that the program may not write, such as its code. All or nothing within a
 * page.
 */
export function patchUser(space: ptr<AddressSpace>, to: u64, from: ptr<u8>, lengthBytes: u64): boolean {
  const flags: u64 = lock(addr(space.lock));
  const result: boolean = copyToUserLocked(space, to, from, lengthBytes, false);
  unlock(addr(space.lock), flags);
  return result;
}
function copyToUserLocked(
  space: ptr<AddressSpace>,
  to: u64,
  from: ptr<u8>,
  lengthBytes: u64,
  permitted: boolean,
): boolean {
  if (lengthBytes === 0) return true;
  assert(lengthBytes <= COPY_MAX_BYTES, cstr("user: a copy that is too long"), lengthBytes);
  if (outside(to, lengthBytes)) return false;
  let done: u64 = 0;
  while (done < lengthBytes) {
    const page: u64 = pageFor(space, to + done, permitted);
    if (page === 0) return false;
    const bytes: u64 = untilPageEnd(to + done, lengthBytes - done);
    memcpy(physical<u8>(page), addr(from[done]), bytes);
    done += bytes;
  }
  return true;
}

/** Writes `desired` to an aligned word of the program that is `expected`, at once. Its old value; -1: it may not. */
export function compareExchangeUser(space: ptr<AddressSpace>, address: u64, expected: u32, desired: u32): i64 {
  if ((address & 3) !== 0 || outside(address, 4)) return -1;
  const flags: u64 = lock(addr(space.lock));
  const page: u64 = pageFor(space, address, true);
  const old: i64 = page === 0 ? -1 : i64(atomicCompareExchange(physical<u32>(page), expected, desired));
  unlock(addr(space.lock), flags);
  return old;
}

/**
 * Whether the program may read (or write) the whole range, which may be as long as there is memory; pages of lazy
 * regions get their frames. Lets interrupts in: for system calls, without a lock.
 */
export function userRangeValid(space: ptr<AddressSpace>, address: u64, lengthBytes: u64, write: boolean): boolean {
  if (lengthBytes === 0) return true;
  if (outside(address, lengthBytes)) return false;
  const leaf: Leaf = zeroed();
  const wanted: u64 = write ? Pte.P | Pte.U | Pte.W : Pte.P | Pte.U;
  let at: u64 = address;
  for (let looks: u64 = 1; at < address + lengthBytes; looks++) {
    findLeaf(space.root, at, addr(leaf));
    const slot = leaf.entry;
    if (slot === null || (slot[0] & wanted) !== wanted) {
      const flags: u64 = lock(addr(space.lock));
      const page: u64 = pageFor(space, at, write);
      unlock(addr(space.lock), flags);
      if (page === 0) return false;
      leaf.pageBytes = PAGE_BYTES;
    }
    at = (at & ~(leaf.pageBytes - 1)) + leaf.pageBytes;
    if (looks % LOOKS === 0) admitInterrupts();
  }
  return true;
}

/**
 * Length of the string at `address` without its NUL; `limit` if there is no NUL within `limit` bytes; -1 if it cannot
 * be read. Admits interrupts: for system calls that hold no lock.
 */
export function userStringLength(space: ptr<AddressSpace>, address: u64, limit: u64): i64 {
  let done: u64 = 0;
  while (done < limit) {
    const bytes: u64 = untilPageEnd(address + done, limit - done < STRING_BYTES ? limit - done : STRING_BYTES);
    const flags: u64 = lock(addr(space.lock));
    const length: i64 = stringPartLength(space, address + done, bytes);
    unlock(addr(space.lock), flags);
    if (length < 0) return -1;
    done += u64(length);
    if (u64(length) < bytes) break;
    admitInterrupts();
  }
  return i64(done);
}
/** The part of the string within one page. */
function stringPartLength(space: ptr<AddressSpace>, address: u64, bytes: u64): i64 {
  if (outside(address, 1)) return -1;
  const page: u64 = pageFor(space, address, false);
  return page === 0 ? -1 : i64(stringLengthMax(physical<u8>(page), bytes));
}
