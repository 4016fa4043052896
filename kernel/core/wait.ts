/**
 * How a thread waits inside a system call: sti; hlt until an interrupt has changed what it waits for. Callers loop:
 *   while (volatileRead(addr(x.done)) === 0 && !mustLeave()) waitForInterrupt();
 * Interrupts are off but inside of waitForInterrupt, so nothing can slip in between the look and the hlt; who changes the condition
 * on another core wakes this one by IPI.
 */
import { readTsc, waitForInterrupt } from "../arch/cpu.ts";
import { thisCpu } from "../arch/percpu.ts";
import { armTimer, disarmTimer } from "../arch/timer.ts";
import { currentThread } from "./task.ts";

/** The task is ending: no wait is worth while. */
export function mustLeave(): boolean {
  return volatileRead(addr(thisCpu().leave)) !== 0;
}

function wakeUp(_argument: u64): void {}

/** Arms this thread's timer: it ends the hlt at `deadline` (TSC). */
export function startDeadline(deadline: u64): void {
  armTimer(addr(currentThread().timer), deadline, wakeUp, 0);
}
export function stopDeadline(): void {
  disarmTimer(addr(currentThread().timer));
}

/** Waits until `deadline` (TSC); false if the task was ended before. */
export function sleepUntil(deadline: u64): boolean {
  startDeadline(deadline);
  while (readTsc() < deadline && !mustLeave()) waitForInterrupt();
  stopDeadline();
  return !mustLeave();
}
