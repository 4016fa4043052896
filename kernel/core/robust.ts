/**
 * Robust futexes: when a thread ends, the locks that it still holds are marked and a waiter of each is woken. The list
 * lies in the program's memory, so nothing in it is trusted. Source: Linux, kernel/futex/core.c.
 */
import { FutexWord, ROBUST_LIST_MAX, type RobustList } from "../abi/process.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { compareExchangeUser, copyFromUser } from "../mm/user.ts";
import { ANY_BITS, futexWake } from "./futex.ts";
import type { Task, Thread } from "./task.ts";

/** The low bit of a link: its lock inherits priorities. */
const LINK_FLAGS: u64 = 1;

/** The thread ends; holds no lock. */
export function releaseRobust(task: ptr<Task>, thread: ptr<Thread>): void {
  const list: RobustList = zeroed();
  const head: u64 = thread.robustList;
  thread.robustList = 0;
  if (!take(task, cast<ptr<u8>>(addr(list)), head, sizeof<RobustList>())) return;
  const pending: u64 = list.pending & ~LINK_FLAGS;
  let at: u64 = list.first & ~LINK_FLAGS;
  for (let i: u32 = 0; at !== head && i < ROBUST_LIST_MAX; i++) {
    // The link is read first: the next owner of the lock may free its memory.
    let next: u64 = 0;
    const hasNext: boolean = take(task, cast<ptr<u8>>(addr(next)), at, 8);
    if (at !== pending && !release(task, thread.tid, at + u64(list.futexOffset), false)) return;
    if (!hasNext) return;
    at = next & ~LINK_FLAGS;
    admitInterrupts();
  }
  if (pending !== 0) release(task, thread.tid, pending + u64(list.futexOffset), true);
}
function take(task: ptr<Task>, to: ptr<u8>, from: u64, bytes: u64): boolean {
  return copyFromUser(addr(task.space), to, from, bytes);
}
/** False: the address is invalid. `isPending`: the lock may have been released already, without its wake. */
function release(task: ptr<Task>, tid: u32, address: u64, isPending: boolean): boolean {
  if ((address & 3) !== 0) return false;
  for (;;) {
    let word: u32 = 0;
    if (!take(task, cast<ptr<u8>>(addr(word)), address, 4)) return false;
    if (isPending && word === 0) {
      futexWake(addr(task.space), address, 1, ANY_BITS);
      return true;
    }
    if ((word & FutexWord.TID_MASK) !== tid) return true;
    const dead: u32 = (word & FutexWord.WAITERS) | FutexWord.OWNER_DIED;
    const found: i64 = compareExchangeUser(addr(task.space), address, word, dead);
    if (found < 0) return false;
    if (u32(found) !== word) continue;
    if ((word & FutexWord.WAITERS) !== 0) futexWake(addr(task.space), address, 1, ANY_BITS);
    return true;
  }
}
