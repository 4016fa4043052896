/**
 * Spinlocks. Held with interrupts off; while a core waits for one it serves cross-calls.
 * Lock order (outermost first): net, task, mailbox, futex, address space, frames, console. A core never takes one that it holds.
 */
import { disableInterrupts, pause, restoreInterrupts } from "./cpu.ts";
import { serveRequests } from "./crosscall.ts";

export class Lock {
  held: u32 = 0;
}

/** Returns the interrupt flag of before, for `unlock`. */
export function lock(l: ptr<Lock>): u64 {
  const flags: u64 = disableInterrupts();
  while (atomicExchange(addr(l.held), 1) !== 0) {
    while (volatileRead(addr(l.held)) !== 0) {
      serveRequests();
      pause();
    }
  }
  return flags;
}

/** Tries `tries` times; false if it is not to be had. Interrupts are off. For NMIs, which may have broken into the holder. */
export function tryLock(l: ptr<Lock>, tries: u32): boolean {
  for (let i: u32 = 0; i < tries; i++) {
    if (atomicExchange(addr(l.held), 1) === 0) return true;
    pause();
  }
  return false;
}

export function unlock(l: ptr<Lock>, flags: u64): void {
  atomicStore(addr(l.held), 0);
  restoreInterrupts(flags);
}
