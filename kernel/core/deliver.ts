/**
 * Delivery of a signal, on the core of the thread that takes it, when the thread is about to return to its program: no
 * action, a stop, a handler, or the end of the task with a core report. Signals that a thread causes by an exception
 * are delivered at once; if such a signal is blocked or ignored, it ends the task (Linux, force_sig).
 */
import { NO_EXCEPTION } from "../abi/job.ts";
import { Signal, type SignalAction, SignalCode, SignalFlag, SignalHandler } from "../abi/signal.ts";
import type { Frame } from "../arch/frame.ts";
import { cpuIndex, Leave, thisCpu } from "../arch/percpu.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { consoleLine, endText, print, printDecimal, printHex } from "../arch/text.ts";
import { dumpContext } from "./dump.ts";
import { leaveThread } from "./idle.ts";
import { rseqAbort } from "./rseq.ts";
import { pushFrame } from "./sigframe.ts";
import { enterExitHandler } from "./upcall.ts";
import {
  bitOf,
  CORE_BY_DEFAULT,
  IGNORED_BY_DEFAULT,
  setBlocked,
  STOPS_BY_DEFAULT,
  stopTask,
  takeSignal,
} from "./signal.ts";
import type { QueuedSignal } from "./signalstate.ts";
import { currentTask, currentThread, endTask, type Task, taskLock, type Thread } from "./task.ts";
import { rest } from "./wait.ts";

class Hooks {
  /** Sends a core report; false: it cannot be sent now. */
  report: ((task: ptr<Task>, frame: ptr<Frame>, signal: u32, address: u64) => boolean) | null = null;
  /**
   * A signal is about to be delivered to a thread that may be debugged; for an exception, whether it is a breakpoint or
   * a step. True: deliver it.
   */
  stop: ((frame: ptr<Frame>, task: ptr<Task>, signal: u32, isBreakpoint: boolean, isStep: boolean) => boolean) | null =
    null;
}
const hooks: Hooks = new Hooks();
export function setCoreReporter(
  report: (task: ptr<Task>, frame: ptr<Frame>, signal: u32, address: u64) => boolean,
): void {
  hooks.report = report;
}
export function setFaultStopper(
  stop: (frame: ptr<Frame>, task: ptr<Task>, signal: u32, isBreakpoint: boolean, isStep: boolean) => boolean,
): void {
  hooks.stop = stop;
}
export function debuggerLets(
  frame: ptr<Frame>,
  task: ptr<Task>,
  signal: u32,
  isBreakpoint: boolean,
  isStep: boolean,
): boolean {
  const stop = hooks.stop;
  return stop === null || stop(frame, task, signal, isBreakpoint, isStep);
}

/** How a system call continues that a signal has ended; `none`: there is no such call. */
export type CallEnd = (frame: ptr<Frame>, number: u64, flags: u64) => void;

/**
 * Leave.SIGNAL is set: takes the signals that this thread does not block until one has a handler, which `frame` then
 * enters, or none is left. True: a handler. `settle` is called before the registers become the handler's.
 */
export function deliver(frame: ptr<Frame>, settle: CallEnd, number: u64): boolean {
  const task = currentTask();
  const thread = currentThread();
  const signal: QueuedSignal = zeroed();
  const action: SignalAction = zeroed();
  for (;;) {
    const flags: u64 = lock(addr(taskLock));
    const stopped: boolean = task.signals.stopped !== 0;
    if (!stopped && takeSignal(task, thread, ~thread.signals.blocked, addr(signal)) === 0) {
      atomicAnd(addr(thisCpu().leave), ~u32(Leave.SIGNAL));
      unlock(addr(taskLock), flags);
      return false;
    }
    if (!stopped) takeAction(task, signal.signal, addr(action));
    unlock(addr(taskLock), flags);
    if (stopped) {
      waitStopped(task);
      return false;
    }
    if (action.handler === SignalHandler.IGNORE) continue;
    const bit: u64 = bitOf(signal.signal);
    if (action.handler === SignalHandler.DEFAULT && (bit & IGNORED_BY_DEFAULT) !== 0) continue;
    if (!debuggerLets(frame, task, signal.signal, false, false)) continue;
    if (action.handler !== SignalHandler.DEFAULT) {
      settle(frame, number, action.flags);
      enterHandler(frame, task, thread, addr(signal), addr(action));
      return true;
    }
    // A job has no shell that could continue it after a stop by the terminal (POSIX: orphaned process group).
    if (signal.signal === Signal.SIGSTOP) {
      const again: u64 = lock(addr(taskLock));
      stopTask(task);
      unlock(addr(taskLock), again);
    } else if ((bit & STOPS_BY_DEFAULT) === 0) {
      frame.vector = NO_EXCEPTION;
      endBySignal(frame, task, signal.signal, frame.rip, null);
      return true;
    }
  }
}
/** Waits for SIGCONT; a debugger may look at the thread meanwhile. */
function waitStopped(task: ptr<Task>): void {
  const leave = addr(thisCpu().leave);
  while (atomicLoad(addr(task.signals.stopped)) !== 0 && (volatileRead(leave) & (Leave.END | Leave.STOP)) === 0) rest();
}
/** The action for the signal; with SA_RESETHAND it applies only once. */
function takeAction(task: ptr<Task>, signal: u32, to: ptr<SignalAction>): void {
  const action = addr(task.signals.actions[signal - 1]);
  copy(to, action);
  if ((action.flags & SignalFlag.RESETHAND) !== 0 && action.handler !== SignalHandler.IGNORE)
    action.handler = SignalHandler.DEFAULT;
}

function enterHandler(
  frame: ptr<Frame>,
  task: ptr<Task>,
  thread: ptr<Thread>,
  signal: ptr<QueuedSignal>,
  action: ptr<SignalAction>,
): void {
  const signals = addr(thread.signals);
  const isWhole: boolean = thread.rseq === 0 || rseqAbort(frame, task, thread);
  if (
    !isWhole ||
    !pushFrame(frame, task, thread, signal, action, signals.restores !== 0 ? signals.saved : signals.blocked)
  ) {
    frame.vector = NO_EXCEPTION;
    // Linux, force_sigsegv: the alternate stack serves a handler of SIGSEGV, unless that stack is what failed.
    if (signal.signal === Signal.SIGSEGV) endBySignal(frame, task, Signal.SIGSEGV, frame.rsp, null);
    else force(frame, Signal.SIGSEGV, SignalCode.SI_KERNEL, 0, null);
    return;
  }
  const flags: u64 = lock(addr(taskLock));
  const own: u64 = (action.flags & SignalFlag.NODEFER) !== 0 ? 0 : bitOf(signal.signal);
  signals.restores = 0;
  setBlocked(task, thread, cpuIndex(), signals.blocked | action.mask | own);
  unlock(addr(taskLock), flags);
}

/**
 * The thread has caused `signal`: `frame` enters the handler, or the task ends. `name`: the exception's, for the
 * console; null: no exception.
 */
export function force(frame: ptr<Frame>, signal: u32, code: i32, address: u64, name: ptr<u8> | null): void {
  const task = currentTask();
  const thread = currentThread();
  const taken: QueuedSignal = zeroed();
  const action: SignalAction = zeroed();
  taken.signal = signal;
  taken.code = code;
  taken.first = address;
  const flags: u64 = lock(addr(taskLock));
  const blocked: boolean = (thread.signals.blocked & bitOf(signal)) !== 0;
  takeAction(task, signal, addr(action));
  unlock(addr(taskLock), flags);
  const handled: boolean = action.handler !== SignalHandler.DEFAULT && action.handler !== SignalHandler.IGNORE;
  if (handled && !blocked) enterHandler(frame, task, thread, addr(taken), addr(action));
  else endBySignal(frame, task, signal, code === SignalCode.SI_KERNEL ? frame.rip : address, name);
}

/**
 * Ends the task, with a report of the place if it is an error. Returns only if `frame` enters the handler of the end.
 */
function endBySignal(frame: ptr<Frame>, task: ptr<Task>, signal: u32, address: u64, name: ptr<u8> | null): void {
  // The others are somebody's will, and no error.
  if ((bitOf(signal) & CORE_BY_DEFAULT) !== 0) tellEnd(frame, task, signal, address, name);
  if (enterExitHandler(frame, task, signal)) return;
  endTask(task, signal);
  leaveThread();
}
function tellEnd(frame: ptr<Frame>, task: ptr<Task>, signal: u32, address: u64, name: ptr<u8> | null): void {
  const report = hooks.report;
  const isReported: boolean = report === null ? false : report(task, frame, signal, address);
  const t = consoleLine();
  print(t, cstr("margay: pid "));
  printDecimal(t, u64(task.pid));
  print(t, cstr(" of job "));
  printDecimal(t, u64(task.jobId));
  print(t, cstr(": "));
  print(t, name === null ? cstr("signal") : name);
  print(t, cstr(" at "));
  printHex(t, frame.rip, 16);
  print(t, cstr(", address "));
  printHex(t, address, 16);
  print(t, cstr(": ended by signal "));
  printDecimal(t, u64(signal));
  print(t, cstr("\n"));
  if (!isReported) dumpContext(t, frame, addr(task.space));
  endText(t);
}
