/** What tasks and threads keep for signals, as data. It changes under the task lock; the rules are in signal.ts. */
import type { SignalAction, SignalStack } from "../abi/signal.ts";
import type { Timer } from "../arch/timer.ts";

/** A signal that waits, with what is to be known of it. */
export class QueuedSignal {
  next: ptr<QueuedSignal> | null = null;
  signal: u32 = 0;
  code: i32 = 0;
  /** As in SignalInfo. */
  first: u64 = 0;
  value: u64 = 0;
}
/** Signals that have not been delivered. A bit of `set` without an entry in the list: nothing more is known of it. */
export class PendingSignals {
  set: u64 = 0;
  /** In the order of arrival. */
  first: ptr<QueuedSignal> | null = null;
}

/** A timer of a task, on the task's lowest core. */
export class IntervalTimerState {
  /** TSC, or processor time of the task, when it expires; 0: off. */
  deadline: u64 = 0;
  interval: u64 = 0;
  timer!: Timer;
}

export class TaskSignals {
  /** By signal less 1. */
  actions!: arr<SignalAction, 64>;
  /** For any thread. */
  pending!: PendingSignals;
  /** Entries in the lists of the task and its threads. */
  queued: u32 = 0;
  /** 1: stopped by SIGSTOP; its threads wait for SIGCONT. */
  stopped: u32 = 0;
  /** By IntervalTimer. */
  timers!: arr<IntervalTimerState, 3>;
}

/** How an interrupted wait goes on, by restart_syscall. Of the thread alone. */
export class Restart {
  run: ((restart: ptr<Restart>) => i64) | null = null;
  deadline: u64 = 0;
  words!: arr<u64, 3>;
}
export class ThreadSignals {
  blocked: u64 = 0;
  /** What sigtimedwait waits for; blocked or not, it ends the wait. */
  awaited: u64 = 0;
  /** Mask that comes back on the return to the program, when `restores` is 1: sigsuspend's caller's. */
  saved: u64 = 0;
  restores: u32 = 0;
  reserved: u32 = 0;
  pending!: PendingSignals;
  stack!: SignalStack;
  restart!: Restart;
  /** Of the last exception, for contexts. */
  trap: u64 = 0;
  error: u64 = 0;
  cr2: u64 = 0;
  /** Of the last upcall for a fault: the page, and the stack pointer that was interrupted. */
  upcallPage: u64 = 0;
  upcallStack: u64 = 0;
}
