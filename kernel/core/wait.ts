/**
 * How a thread waits inside a system call: sti; hlt until an interrupt has changed what it waits for. Callers loop:
 * while (volatileRead(addr(x.done)) === 0 && !mustLeave()) rest(); Interrupts are off but inside of `rest`, so nothing
 * can slip in between the look and the hlt; who changes the condition on another core wakes this one by IPI.
 */
import { readTsc, waitForInterrupt } from "../arch/cpu.ts";
import { Leave, thisCpu } from "../arch/percpu.ts";
import { assertNoLocks } from "../arch/spinlock.ts";
import { armTimer, disarmTimer } from "../arch/timer.ts";
import { currentThread } from "./task.ts";

/** sti; hlt; cli. Nobody rests with a lock. The time is not the thread's. */
export function rest(): void {
  const thread = currentThread();
  const since: u64 = readTsc();
  assertNoLocks();
  volatileWrite(addr(thread.waitsSince), since);
  waitForInterrupt();
  thread.waited += readTsc() - since;
  volatileWrite(addr(thread.waitsSince), 0);
}

/** The task ends, a signal has come, or the thread is to stop: the wait ends with one of ERESTART… (stop.ts). */
export function mustLeave(): boolean {
  return (volatileRead(addr(thisCpu().leave)) & (Leave.END | Leave.STOP | Leave.SIGNAL)) !== 0;
}
/** The task is ending. For waits that a stop must not end, because they cannot be repeated. */
export function mustEnd(): boolean {
  return (volatileRead(addr(thisCpu().leave)) & Leave.END) !== 0;
}

function wakeUp(_argument: u64): void {}

/** Arms this thread's timer, which ends the hlt at `deadline` (TSC). */
export function startDeadline(deadline: u64): void {
  armTimer(addr(currentThread().timer), deadline, wakeUp, 0);
}
export function stopDeadline(): void {
  disarmTimer(addr(currentThread().timer));
}

/** Waits until `deadline` (TSC); false if the thread must leave earlier. */
export function sleepUntil(deadline: u64): boolean {
  startDeadline(deadline);
  while (readTsc() < deadline && !mustLeave()) rest();
  stopDeadline();
  return !mustLeave();
}
