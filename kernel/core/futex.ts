/**
 * Futexes: threads wait on a word of their memory, in sti;hlt on their cores. Semantics: Linux, futex(2).
 *
 * A key is address space and virtual address, as on Linux for anonymous memory, with and without FUTEX_PRIVATE_FLAG: a
 * page that is replaced under a waiter (MAP_FIXED) keeps its waiters. Memory shared by two tasks would need the frame
 * as key; there is none yet. There is at most one waiter per core, so one list serves all, in order of arrival. Lock:
 * `futexLock`.
 */
import { Errno } from "../abi/errno.ts";
import { readTsc } from "../arch/cpu.ts";
import { wakeCpu } from "../arch/crosscall.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { assert, fatal } from "../arch/fatal.ts";
import { assertHeld, type Lock, LockRank, lock, unlock } from "../arch/spinlock.ts";
import type { AddressSpace } from "../mm/addressspace.ts";
import { copyFromUser } from "../mm/user.ts";
import { mustLeave, startDeadline, stopDeadline, rest } from "./wait.ts";

/** The bitset of waits and wakes that specify none. */
export const ANY_BITS: u32 = 0xffff_ffff;
export const NO_DEADLINE: u64 = 0;

/** A thread's place in the list. */
class Waiter {
  space: ptr<AddressSpace> | null = null;
  address: u64 = 0;
  bits: u32 = 0;
  cpu: u32 = 0;
  /** 1: in the list. */
  queued: u32 = 0;
  reserved: u32 = 0;
  next: ptr<Waiter> | null = null;
}
class Queue {
  first: ptr<Waiter> | null = null;
}
const queue: Queue = zeroed();
const futexLock: Lock = { owner: 0, rank: LockRank.FUTEX, next: 0, serving: 0 };
/** By core. */
const waiters: arr<Waiter, 64> = zeroed();

function append(w: ptr<Waiter>): void {
  assertHeld(addr(futexLock));
  w.next = null;
  w.queued = 1;
  let last: ptr<Waiter> | null = null;
  for (let at = queue.first; at !== null; at = at.next) last = at;
  if (last === null) queue.first = w;
  else last.next = w;
}
function unlink(w: ptr<Waiter>): void {
  let before: ptr<Waiter> | null = null;
  let at = queue.first;
  while (at !== null && at !== w) {
    before = at;
    at = at.next;
  }
  if (at === null) fatal(cstr("futex: a waiter that is not in the list, core"), u64(w.cpu));
  if (before === null) queue.first = w.next;
  else before.next = w.next;
}
/** Removes a waiter from the list and wakes it. */
function release(w: ptr<Waiter>): void {
  unlink(w);
  atomicStore(addr(w.queued), 0);
}

/**
 * Waits while the word at `address` is `value`, until a wake with one of `bits`, or until `deadline` (TSC; NO_DEADLINE:
 * none). 0, -EAGAIN (another value), -EFAULT, -ETIMEDOUT, -ERESTARTSYS (the thread must leave).
 */
export function futexWait(space: ptr<AddressSpace>, address: u64, value: u32, deadline: u64, bits: u32): i64 {
  let found: u32 = 0;
  const w = addr(waiters[cpuIndex()]);
  let flags: u64 = lock(addr(futexLock));
  // Under the lock: a wake after a change of the word either comes after this read or finds us in the list.
  const readable: boolean = copyFromUser(space, cast<ptr<u8>>(addr(found)), address, 4);
  if (!readable || found !== value) {
    unlock(addr(futexLock), flags);
    return -i64(readable ? Errno.EAGAIN : Errno.EFAULT);
  }
  assert(w.queued === 0, cstr("futex: a thread that waits twice, core"), u64(cpuIndex()));
  w.space = space;
  w.address = address;
  w.bits = bits;
  w.cpu = cpuIndex();
  append(w);
  unlock(addr(futexLock), flags);

  if (deadline !== NO_DEADLINE) startDeadline(deadline);
  while (volatileRead(addr(w.queued)) !== 0 && !mustLeave() && (deadline === NO_DEADLINE || readTsc() < deadline))
    rest();
  if (deadline !== NO_DEADLINE) stopDeadline();

  flags = lock(addr(futexLock));
  const woken: boolean = w.queued === 0;
  if (!woken) release(w);
  unlock(addr(futexLock), flags);
  if (woken) return 0;
  return -i64(mustLeave() ? Errno.ERESTARTSYS : Errno.ETIMEDOUT);
}

/** Wakes up to `count` waiters whose bits intersect `bits`; returns their number. */
export function futexWake(space: ptr<AddressSpace>, address: u64, count: u64, bits: u32): u64 {
  const flags: u64 = lock(addr(futexLock));
  const woken: u64 = wakeLocked(space, address, count, bits);
  unlock(addr(futexLock), flags);
  return woken;
}
function wakeLocked(space: ptr<AddressSpace>, address: u64, count: u64, bits: u32): u64 {
  let woken: u64 = 0;
  let at = queue.first;
  while (at !== null && woken < count) {
    const next = at.next;
    if (at.space === space && at.address === address && (at.bits & bits) !== 0) {
      const cpu: u32 = at.cpu;
      release(at);
      wakeCpu(cpu);
      woken++;
    }
    at = next;
  }
  return woken;
}

/**
 * Wakes up to `wakes` waiters of `from` and moves up to `moves` others to the end of the list of `to`. `compare`: only
 * while the word at `from` is `value`. Returns woken + moved (`compare`) or woken, -EAGAIN, -EFAULT.
 */
export function futexRequeue(
  space: ptr<AddressSpace>,
  from: u64,
  to: u64,
  wakes: u64,
  moves: u64,
  compare: boolean,
  value: u32,
): i64 {
  const flags: u64 = lock(addr(futexLock));
  const result: i64 = requeueLocked(space, from, to, wakes, moves, compare, value);
  unlock(addr(futexLock), flags);
  return result;
}
function requeueLocked(
  space: ptr<AddressSpace>,
  from: u64,
  to: u64,
  wakes: u64,
  moves: u64,
  compare: boolean,
  value: u32,
): i64 {
  if (compare) {
    let found: u32 = 0;
    if (!copyFromUser(space, cast<ptr<u8>>(addr(found)), from, 4)) return -i64(Errno.EFAULT);
    if (found !== value) return -i64(Errno.EAGAIN);
  }
  const woken: u64 = wakeLocked(space, from, wakes, ANY_BITS);
  let moved: u64 = 0;
  let at = queue.first;
  // A moved waiter goes to the end of the list: process only those that are there now.
  let rest: u64 = waiting();
  while (at !== null && rest > 0 && moved < moves) {
    const next = at.next;
    if (at.space === space && at.address === from) {
      unlink(at);
      at.address = to;
      append(at);
      moved++;
    }
    at = next;
    rest--;
  }
  return i64(compare ? woken + moved : woken);
}
function waiting(): u64 {
  let count: u64 = 0;
  for (let at = queue.first; at !== null; at = at.next) count++;
  return count;
}
