/**
 * Spinlocks. Held with interrupts off; a core that waits for one serves cross-calls meanwhile, and lets interrupts in
 * if it holds no other.
 *
 * A lock knows its owner and its rank, and each core the ranks that it holds. Checked always: a core takes locks from
 * the outermost inwards only (so no two of one rank, and none twice), releases only what it holds, and turns interrupts
 * on only when it holds none.
 */
import { Rflags } from "../abi/x86.ts";
import { disableInterrupts, pause, restoreInterrupts } from "./cpu.ts";
import { serveRequests } from "./crosscall.ts";
import { fatal } from "./fatal.ts";
import { admitInterrupts, cpuIndex, thisCpu } from "./percpu.ts";

/** Every lock of the kernel, outermost first: one bit each, in the set of what a core holds. */
// biome-ignore format: a table
export const enum LockRank {
  /** net/peer.ts, netLock: everything that messages touch, in net, io and job. */
  NET = 0x01,
  /** core/task.ts, taskLock: who owns cores, task states, which thread is where. */
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

/** `{ owner: 0, rank: LockRank.… }`. One without a rank is refused when it is taken. */
export class Lock {
  /** Core + 1; 0: free. */
  owner: u32 = 0;
  rank: u32 = 0;
}

/**
 * Returns the interrupt flag of before, for `unlock`. A core that holds no other lock waits with interrupts open: not
 * even several cores that want one lock keep them off for long.
 */
export function lock(l: ptr<Lock>): u64 {
  const flags: u64 = disableInterrupts();
  const cpu = thisCpu();
  // A bit as high as the lock's own, or higher: this lock, one of its rank, or one further in. True for rank 0, too.
  if (cpu.locks >= l.rank) outOfOrder(l);
  while (atomicCompareExchange(addr(l.owner), 0, cpu.index + 1) !== 0) {
    while (volatileRead(addr(l.owner)) !== 0) {
      serveRequests();
      if (cpu.locks === 0) admitInterrupts();
      else pause();
    }
  }
  cpu.locks |= l.rank;
  return flags;
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

/**
 * Tries `tries` times; false if it is not to be had. Interrupts are off. For NMIs, which may have broken into the
 * holder.
 */
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

/** For what is to be called under `l` only. */
export function assertHeld(l: ptr<Lock>): void {
  if (l.owner !== cpuIndex() + 1) fatal(cstr("lock: not held, rank"), u64(l.rank));
}
/** For what may wait with interrupts on, or never come back. */
export function assertNoLocks(): void {
  if (thisCpu().locks !== 0) fatal(cstr("lock: held where none may be, ranks"), u64(thisCpu().locks));
}
