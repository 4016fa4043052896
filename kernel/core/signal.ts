/**
 * Sending of signals, and pending signals. Semantics: Linux, signal(7), kernel/signal.c. A signal is sent to a task or
 * to one of its threads. It is pending in a list (and in a bit set: a standard signal is pending once at most) until a
 * thread that does not block it is about to return to its program. Such a thread is notified by Leave.SIGNAL and a
 * WAKE, which interrupts the program or ends its wait; without signals this costs nothing. Only the thread itself
 * clears that bit (deliver.ts), so that the end of a wait can see why the wait ended.
 *
 * Callers hold the task lock. Tasks do not send signals to each other; signals from outside are the kernel's.
 */
import { Errno } from "../abi/errno.ts";
import { Signal, SignalCode, SignalHandler, SIGNALS_QUEUED_MAX } from "../abi/signal.ts";
import { wakeCpu } from "../arch/crosscall.ts";
import { cpuAt, cpuIndex, Leave } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import type { PendingSignals, QueuedSignal, ThreadSignals } from "./signalstate.ts";
import {
  currentTask,
  currentThread,
  endLocked,
  type Task,
  taskLock,
  TaskState,
  type Thread,
  threadOf,
} from "./task.ts";

/** Sets of signals, bit n - 1 for signal n. Default actions; a signal that is in none of these ends the task. */
export const IGNORED_BY_DEFAULT: u64 =
  (1 << (Signal.SIGCHLD - 1)) | (1 << (Signal.SIGCONT - 1)) | (1 << (Signal.SIGURG - 1)) | (1 << (Signal.SIGWINCH - 1));
/** These leave a core report. */
export const CORE_BY_DEFAULT: u64 =
  (1 << (Signal.SIGQUIT - 1)) |
  (1 << (Signal.SIGILL - 1)) |
  (1 << (Signal.SIGTRAP - 1)) |
  (1 << (Signal.SIGABRT - 1)) |
  (1 << (Signal.SIGBUS - 1)) |
  (1 << (Signal.SIGFPE - 1)) |
  (1 << (Signal.SIGSEGV - 1)) |
  (1 << (Signal.SIGXCPU - 1)) |
  (1 << (Signal.SIGXFSZ - 1)) |
  (1 << (Signal.SIGSYS - 1));
export const STOPS_BY_DEFAULT: u64 =
  (1 << (Signal.SIGSTOP - 1)) | (1 << (Signal.SIGTSTP - 1)) | (1 << (Signal.SIGTTIN - 1)) | (1 << (Signal.SIGTTOU - 1));
/** Neither blocked nor handled. */
export const UNBLOCKABLE: u64 = (1 << (Signal.SIGKILL - 1)) | (1 << (Signal.SIGSTOP - 1));
/** Delivered before other pending signals: they are about the current instruction of the thread. */
const SYNCHRONOUS: u64 =
  (1 << (Signal.SIGSEGV - 1)) |
  (1 << (Signal.SIGBUS - 1)) |
  (1 << (Signal.SIGILL - 1)) |
  (1 << (Signal.SIGTRAP - 1)) |
  (1 << (Signal.SIGFPE - 1)) |
  (1 << (Signal.SIGSYS - 1));

/** Entries of all tasks. */
const entries: arr<QueuedSignal, 512> = zeroed();
class Pool {
  /** Linked by `next`. */
  free: ptr<QueuedSignal> | null = null;
  /** Number of entries that have ever been used; all after them are unused. */
  used: u32 = 0;
}
const pool: Pool = new Pool();

export function bitOf(signal: u32): u64 {
  return u64(1) << (u64(signal) - 1);
}

// ---- pending signals ------------------------------------------------------------------------------------------------
function takeEntry(task: ptr<Task>): ptr<QueuedSignal> | null {
  if (task.signals.queued >= SIGNALS_QUEUED_MAX) return null;
  let entry = pool.free;
  if (entry !== null) pool.free = entry.next;
  else if (pool.used < u32(entries.length)) entry = addr(entries[pool.used++]);
  if (entry !== null) task.signals.queued++;
  return entry;
}
function dropEntry(task: ptr<Task>, entry: ptr<QueuedSignal>): void {
  entry.next = pool.free;
  pool.free = entry;
  task.signals.queued--;
}
/** Discards the pending signals of `set`. */
function flush(task: ptr<Task>, pending: ptr<PendingSignals>, set: u64): void {
  pending.set &= ~set;
  let before: ptr<QueuedSignal> | null = null;
  let at = pending.first;
  while (at !== null) {
    const next = at.next;
    if ((bitOf(at.signal) & set) === 0) before = at;
    else {
      if (before === null) pending.first = next;
      else before.next = next;
      dropEntry(task, at);
    }
    at = next;
  }
}
/** False: too many signals are pending, and this one carries information. */
function append(
  task: ptr<Task>,
  pending: ptr<PendingSignals>,
  signal: u32,
  code: i32,
  first: u64,
  value: u64,
): boolean {
  // A standard signal is pending at most once.
  if (signal < Signal.SIGRTMIN && (pending.set & bitOf(signal)) !== 0) return true;
  const entry = takeEntry(task);
  if (entry === null && signal >= Signal.SIGRTMIN && code !== SignalCode.SI_USER) return false;
  pending.set |= bitOf(signal);
  if (entry === null) return true;
  entry.next = null;
  entry.signal = signal;
  entry.code = code;
  entry.first = first;
  entry.value = value;
  let last = pending.first;
  if (last === null) {
    pending.first = entry;
    return true;
  }
  for (let next = last.next; next !== null; next = last.next) last = next;
  last.next = entry;
  return true;
}
/** Removes the next pending signal of `set` and returns it; 0: none. Its information is stored in `to`. */
function take(task: ptr<Task>, pending: ptr<PendingSignals>, set: u64, to: ptr<QueuedSignal>): u32 {
  let candidates: u64 = pending.set & set;
  if (candidates === 0) return 0;
  if ((candidates & SYNCHRONOUS) !== 0) candidates &= SYNCHRONOUS;
  const signal: u32 = u32(countTrailingZeros(candidates)) + 1;
  zero(to);
  to.signal = signal;
  let before: ptr<QueuedSignal> | null = null;
  let at = pending.first;
  while (at !== null && at.signal !== signal) {
    before = at;
    at = at.next;
  }
  let more = at === null ? at : at.next;
  while (more !== null && more.signal !== signal) more = more.next;
  if (more === null) pending.set &= ~bitOf(signal);
  if (at === null) return signal;
  copy(to, at);
  if (before === null) pending.first = at.next;
  else before.next = at.next;
  dropEntry(task, at);
  return signal;
}

/** The next signal of `set` for this thread, its own before the task's; 0: none. */
export function takeSignal(task: ptr<Task>, thread: ptr<Thread>, set: u64, to: ptr<QueuedSignal>): u32 {
  assertHeld(addr(taskLock));
  const own: u32 = take(task, addr(thread.signals.pending), set, to);
  return own !== 0 ? own : take(task, addr(task.signals.pending), set, to);
}
/** Signals pending for the thread, blocked or not. */
export function waitingSignals(task: ptr<Task>, thread: ptr<Thread>): u64 {
  return thread.signals.pending.set | task.signals.pending.set;
}

// ---- sending --------------------------------------------------------------------------------------------------------
export function isIgnored(task: ptr<Task>, signal: u32): boolean {
  const handler: u64 = task.signals.actions[signal - 1].handler;
  return (
    handler === SignalHandler.IGNORE ||
    (handler === SignalHandler.DEFAULT && (bitOf(signal) & IGNORED_BY_DEFAULT) !== 0)
  );
}
function interrupt(cpu: u32): void {
  atomicOr(addr(cpuAt(cpu).leave), Leave.SIGNAL);
  wakeCpu(cpu);
}
/** Makes every thread of the task look at its signals. */
function interruptAll(task: ptr<Task>): void {
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    if (threadOf(cpu).task === task) interrupt(cpu);
  }
}
/** Signals for which a thread is notified: those it does not block, and those it waits for (sigtimedwait). */
function wanted(thread: ptr<Thread>): u64 {
  return ~thread.signals.blocked | thread.signals.awaited;
}
/** Notifies each thread that may take one of the task's pending signals. */
export function retarget(task: ptr<Task>): void {
  assertHeld(addr(taskLock));
  const set: u64 = task.signals.pending.set;
  for (let rest: u64 = set === 0 ? 0 : task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    const thread = threadOf(cpu);
    if (thread.task === task && (set & wanted(thread)) !== 0) interrupt(cpu);
  }
}
/** Discards the signals of `set`, for the task and for its threads. */
export function flushAll(task: ptr<Task>, set: u64): void {
  assertHeld(addr(taskLock));
  flush(task, addr(task.signals.pending), set);
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const thread = threadOf(u32(countTrailingZeros(rest)));
    if (thread.task === task) flush(task, addr(thread.signals.pending), set);
  }
}

/** Core of the thread that takes a signal to the task: the main thread if it can. 64: none can. */
function chooseCore(task: ptr<Task>, bit: u64): u32 {
  let found: u32 = 64;
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    const thread = threadOf(cpu);
    if (thread.task !== task || (wanted(thread) & bit) === 0) continue;
    if (found === 64 || thread.tid === task.pid) found = cpu;
  }
  return found;
}

/**
 * Sends `signal` to a thread, by its core, or to the task (64). 0, or EAGAIN: too many are pending. A signal without
 * handler that leaves no report ends the task at once.
 */
function send(task: ptr<Task>, cpu: u32, signal: u32, code: i32, first: u64, value: u64): u32 {
  const bit: u64 = bitOf(signal);
  if (task.state !== TaskState.INIT && task.state !== TaskState.RUNNING) return 0;
  if (signal === Signal.SIGKILL) {
    endLocked(task, Signal.SIGKILL);
    return 0;
  }
  if ((bit & STOPS_BY_DEFAULT) !== 0) flushAll(task, bitOf(Signal.SIGCONT));
  if (signal === Signal.SIGCONT) {
    flushAll(task, STOPS_BY_DEFAULT);
    if (task.signals.stopped !== 0) {
      atomicStore(addr(task.signals.stopped), 0);
      interruptAll(task);
    }
  }
  const target: u32 = cpu === 64 ? chooseCore(task, bit) : cpu;
  const blocked: boolean = target === 64 || (threadOf(target).signals.blocked & bit) !== 0;
  if (!blocked && isIgnored(task, signal)) return 0;
  const isFatal: boolean =
    task.signals.actions[signal - 1].handler === SignalHandler.DEFAULT &&
    (bit & (IGNORED_BY_DEFAULT | STOPS_BY_DEFAULT | CORE_BY_DEFAULT)) === 0;
  // A handler of the end needs a thread to run on.
  if (!blocked && isFatal && task.exitHandler.entry === 0) {
    endLocked(task, signal);
    return 0;
  }
  const pending = cpu === 64 ? addr(task.signals.pending) : addr(threadOf(cpu).signals.pending);
  if (!append(task, pending, signal, code, first, value)) return Errno.EAGAIN;
  if (target !== 64 && (wanted(threadOf(target)) & bit) !== 0) interrupt(target);
  return 0;
}
/** To the task: any of its threads may take it. */
export function sendToTask(task: ptr<Task>, signal: u32, code: i32, first: u64, value: u64): u32 {
  const flags: u64 = lock(addr(taskLock));
  const errno: u32 = send(task, 64, signal, code, first, value);
  unlock(addr(taskLock), flags);
  return errno;
}
/** The same for signals of the kernel. */
export function sendLocked(task: ptr<Task>, signal: u32, code: i32, first: u64, value: u64): u32 {
  assertHeld(addr(taskLock));
  return send(task, 64, signal, code, first, value);
}
/** To the thread of core `cpu`. */
export function sendToThread(task: ptr<Task>, cpu: u32, signal: u32, code: i32, first: u64, value: u64): u32 {
  assertHeld(addr(taskLock));
  return send(task, cpu, signal, code, first, value);
}

// ---- threads --------------------------------------------------------------------------------------------------------
/** A new thread inherits its creator's mask; it has no pending signals and no alternate stack. */
export function signalsOfNewThread(signals: ptr<ThreadSignals>, blocked: u64): void {
  zero(signals);
  signals.blocked = blocked;
}
/** The calling core's thread blocks `set` from now on. */
export function setBlocked(task: ptr<Task>, thread: ptr<Thread>, cpu: u32, set: u64): void {
  assertHeld(addr(taskLock));
  const news: u64 = set & ~thread.signals.blocked;
  thread.signals.blocked = set & ~UNBLOCKABLE;
  if ((waitingSignals(task, thread) & ~thread.signals.blocked) !== 0) atomicOr(addr(cpuAt(cpu).leave), Leave.SIGNAL);
  // This thread may have been the one to take the task's pending signals.
  if ((task.signals.pending.set & news) !== 0) retarget(task);
}
/** This thread blocks `set` until it returns to its program, or to a handler, whose return restores the old mask. */
export function suspendMask(set: u64): void {
  const thread = currentThread();
  const flags: u64 = lock(addr(taskLock));
  thread.signals.saved = thread.signals.blocked;
  thread.signals.restores = 1;
  setBlocked(currentTask(), thread, cpuIndex(), set);
  unlock(addr(taskLock), flags);
}
/** Restores the old mask at once. */
export function restoreMask(): void {
  const thread = currentThread();
  const flags: u64 = lock(addr(taskLock));
  thread.signals.restores = 0;
  setBlocked(currentTask(), thread, cpuIndex(), thread.signals.saved);
  unlock(addr(taskLock), flags);
}
/** The thread has ended: its own pending signals are discarded; other threads take those of the task. */
export function signalsOfEndedThread(task: ptr<Task>, thread: ptr<Thread>): void {
  assertHeld(addr(taskLock));
  flush(task, addr(thread.signals.pending), ALL_SIGNALS);
  if (task.state !== TaskState.ENDING) retarget(task);
}
/** The task's last thread has ended. */
export function signalsOfEndedTask(task: ptr<Task>): void {
  assertHeld(addr(taskLock));
  flush(task, addr(task.signals.pending), ALL_SIGNALS);
}
/** Whether entries of a task are left; for the check at its end. */
export function signalsLeft(task: ptr<Task>): boolean {
  return task.signals.queued !== 0;
}
const ALL_SIGNALS: u64 = 0xffff_ffff_ffff_ffff;

/** SIGSTOP: all threads stop at their next return to the program. */
export function stopTask(task: ptr<Task>): void {
  assertHeld(addr(taskLock));
  atomicStore(addr(task.signals.stopped), 1);
  interruptAll(task);
}
