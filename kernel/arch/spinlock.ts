/**
 * Spinlocks. They are held with interrupts off. A waiting core serves cross-calls, and keeps interrupts on if it holds
 * no other lock. A core that holds another lock waits with interrupts off: it gets the lock before all that wait with
 * interrupts on, and in the order of arrival, so it waits for no more than one hold of each core before it.
 *
 * A lock knows its owner and its rank, and each core knows the ranks that it holds. These rules are always checked: a
 * core takes locks only from the outermost inwards (so it never takes two of one rank, or one lock twice), releases
 * only locks that it holds, and enables interrupts only when it holds none.
 */
import { Rflags } from "../abi/x86.ts";
import { disableInterrupts, pause, restoreInterrupts } from "./cpu.ts";
import { serveRequests } from "./crosscall.ts";
import { fatal } from "./fatal.ts";
import { admitInterrupts, cpuIndex, thisCpu } from "./percpu.ts";

/** All locks of the kernel, outermost first. Each is one bit in the set of locks that a core holds. */
// biome-ignore format: a table
export const enum LockRank {
  /** net/peer.ts, netLock: all message state, in net, io and job. */
  NET = 0x01,
  /** core/task.ts, taskLock: owners of cores, task states, location of threads. */
  TASK = 0x02,
  /** drivers/mailbox.ts: the device's registers. */
  MAILBOX = 0x04,
  /** core/futex.ts: the list of waiters. */
  FUTEX = 0x08,
  /** mm/space.ts, in each AddressSpace: regions and claims. */
  SPACE = 0x10,
  /** mm/frames.ts: free frames, owners, accounts. */
  FRAMES = 0x20,
  /** arch/text.ts: a line on the console. */
  CONSOLE = 0x40,
}

/** `{ owner: 0, rank: LockRank.…, next: 0, serving: 0 }`. Taking a lock without a rank is an error. */
export class Lock {
  /** Core + 1; 0: not held. */
  owner: u32 = 0;
  rank: u32 = 0;
  /** Tickets of cores that wait with interrupts off: the next one to draw, and the one whose turn it is. */
  next: u32 = 0;
  serving: u32 = 0;
}

/**
 * Returns the previous interrupt flag, for `unlock`. A core that holds no other lock waits with interrupts on, so
 * contention alone never keeps interrupts off for long.
 */
export function lock(l: ptr<Lock>): u64 {
  const flags: u64 = disableInterrupts();
  const cpu = thisCpu();
  // A held bit at or above the lock's own means this lock, another of its rank, or an inner one. Also true for rank 0.
  if (cpu.locks >= l.rank) outOfOrder(l);
  if (isAwaited(l) || atomicCompareExchange(addr(l.owner), 0, cpu.index + 1) !== 0) {
    if (cpu.locks === 0) waitOpen(l);
    else waitInTurn(l);
  }
  cpu.locks |= l.rank;
  return flags;
}
/** Whether a core waits with interrupts off. */
function isAwaited(l: ptr<Lock>): boolean {
  return volatileRead(addr(l.next)) !== volatileRead(addr(l.serving));
}
/** No ticket is drawn here: an interrupt handler may want the same lock, and would wait behind this core. */
function waitOpen(l: ptr<Lock>): void {
  attr({ inline: "never" });
  do {
    while (isAwaited(l) || volatileRead(addr(l.owner)) !== 0) {
      serveRequests();
      admitInterrupts();
    }
  } while (atomicCompareExchange(addr(l.owner), 0, cpuIndex() + 1) !== 0);
}
function waitInTurn(l: ptr<Lock>): void {
  attr({ inline: "never" });
  const ticket: u32 = atomicAdd(addr(l.next), 1);
  while (
    volatileRead(addr(l.serving)) !== ticket ||
    volatileRead(addr(l.owner)) !== 0 ||
    atomicCompareExchange(addr(l.owner), 0, cpuIndex() + 1) !== 0
  ) {
    serveRequests();
    pause();
  }
  atomicStore(addr(l.serving), ticket + 1);
}
function outOfOrder(l: ptr<Lock>): never {
  attr({ inline: "never" });
  if (l.rank === 0) fatal(cstr("lock: without a rank"), cast<u64>(l));
  if (l.owner === cpuIndex() + 1) fatal(cstr("lock: taken twice by one core, rank"), u64(l.rank));
  fatal(
    cstr("lock: out of order; ranks held, and wanted in the upper half"),
    (u64(l.rank) << 32) | u64(thisCpu().locks),
  );
}

/** Tries `tries` times; false: not acquired. Interrupts are off. For NMIs, which may have interrupted the owner. */
export function tryLock(l: ptr<Lock>, tries: u32): boolean {
  const cpu = thisCpu();
  for (let i: u32 = 0; i < tries; i++) {
    if (atomicCompareExchange(addr(l.owner), 0, cpu.index + 1) === 0) {
      cpu.locks |= l.rank;
      return true;
    }
    pause();
  }
  return false;
}

export function unlock(l: ptr<Lock>, flags: u64): void {
  const cpu = thisCpu();
  if (l.owner !== cpu.index + 1) fatal(cstr("lock: released by a core that does not hold it, rank"), u64(l.rank));
  cpu.locks &= ~l.rank;
  if ((flags & Rflags.IF) !== 0 && cpu.locks !== 0)
    fatal(cstr("lock: interrupts on while ranks are held"), u64(cpu.locks));
  atomicStore(addr(l.owner), 0);
  restoreInterrupts(flags);
}

/** For functions that must be called with `l` held. */
export function assertHeld(l: ptr<Lock>): void {
  if (l.owner !== cpuIndex() + 1) fatal(cstr("lock: not held, rank"), u64(l.rank));
}
/** For functions that may wait with interrupts on or may never return. */
export function assertNoLocks(): void {
  if (thisCpu().locks !== 0) fatal(cstr("lock: held where none may be, ranks"), u64(thisCpu().locks));
}
