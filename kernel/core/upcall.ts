/**
 * Upcalls: a task registers handlers for faults in ranges of its addresses, and one for its own end.
 *
 * A fault that the kernel cannot resolve, in a registered range, enters the range's handler instead of sending a
 * signal: on the thread's stack (or its alternate one), above a signal's frame, which is how it comes back: registers
 * and signal mask as they were, and the instruction is tried again. A handler that faults on the page that it was
 * called for, before it has returned, gets no upcall: that fault is the signal that it would otherwise be.
 *
 * The handler of the end runs once, on the thread that has ended the task: by exit_group, by a signal that ends it, or
 * as the last thread. The other threads go on meanwhile. When it returns, or ends the task itself, the task ends.
 * SIGKILL and the service node's KILL ask nobody.
 */
import { Errno } from "../abi/errno.ts";
import { FaultCode, RED_ZONE_BYTES, type SignalAction, SignalFlag, StackFlag } from "../abi/signal.ts";
import { PAGE_BYTES, USER_END } from "../abi/memory.ts";
import { PageFault } from "../abi/x86.ts";
import { type Frame, startFrame } from "../arch/frame.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { copyToUser } from "../mm/user.ts";
import { isOnStack, pushFrame } from "./sigframe.ts";
import type { QueuedSignal } from "./signalstate.ts";
import { currentTask, currentThread, type FaultHandler, type Task, taskLock } from "./task.ts";

// ---- faults ---------------------------------------------------------------------------------------------------------
/** Registers a handler for whole pages; 0 as its entry removes it. 0 or an errno. */
export function setFaultHandler(task: ptr<Task>, wanted: ptr<FaultHandler>): u32 {
  let errno: u32 = wanted.entry === 0 ? Errno.ENOENT : Errno.ENOSPC;
  const flags: u64 = lock(addr(taskLock));
  let free: ptr<FaultHandler> | null = null;
  let overlaps: boolean = false;
  for (let i: u64 = 0; i < task.faultHandlers.length; i++) {
    const h = addr(task.faultHandlers[i]);
    if (h.end === 0) {
      if (free === null) free = h;
    } else if (h.start === wanted.start && h.end === wanted.end) {
      free = h;
      if (wanted.entry === 0) errno = 0;
      break;
    } else if (h.start < wanted.end && wanted.start < h.end) overlaps = true;
  }
  if (wanted.entry === 0) {
    if (errno === 0 && free !== null) zero(free);
  } else if (overlaps) errno = Errno.EEXIST;
  else if (free !== null) {
    copy(free, wanted);
    errno = 0;
  }
  unlock(addr(taskLock), flags);
  return errno;
}

/** `frame` enters the handler of the range that contains `address`. False: there is none, or it cannot be entered. */
export function enterFaultHandler(frame: ptr<Frame>, signal: u32, address: u64, error: u64): boolean {
  const task = currentTask();
  const thread = currentThread();
  const handler: FaultHandler = zeroed();
  if (address >= USER_END || !takeHandler(task, address, addr(handler))) return false;
  const page: u64 = address & ~(PAGE_BYTES - 1);
  const signals = addr(thread.signals);
  // Still above the stack of the last one: it has not returned.
  if (signals.upcallPage === page && frame.rsp < signals.upcallStack) return false;
  const taken: QueuedSignal = zeroed();
  const action: SignalAction = zeroed();
  taken.signal = signal;
  taken.code = (error & PageFault.P) !== 0 ? FaultCode.SEGV_ACCERR : FaultCode.SEGV_MAPERR;
  taken.first = address;
  action.handler = handler.entry;
  action.restorer = handler.restorer;
  action.flags = SignalFlag.RESTORER | SignalFlag.SIGINFO | SignalFlag.ONSTACK;
  const rsp: u64 = frame.rsp;
  signals.cr2 = address;
  signals.error = error;
  if (!pushFrame(frame, task, thread, addr(taken), addr(action), signals.blocked)) return false;
  signals.upcallPage = page;
  signals.upcallStack = isOnStack(addr(signals.stack), frame.rsp) ? frame.rsp : rsp;
  frame.rdi = address;
  frame.rsi = error;
  frame.rcx = handler.argument;
  return true;
}
function takeHandler(task: ptr<Task>, address: u64, to: ptr<FaultHandler>): boolean {
  let found: boolean = false;
  const flags: u64 = lock(addr(taskLock));
  for (let i: u64 = 0; i < task.faultHandlers.length && !found; i++) {
    const h = addr(task.faultHandlers[i]);
    found = address >= h.start && address < h.end;
    if (found) copy(to, h);
  }
  unlock(addr(taskLock), flags);
  return found;
}

// ---- the end --------------------------------------------------------------------------------------------------------
export function hasExitHandler(task: ptr<Task>): boolean {
  return volatileRead(addr(task.exitHandler.entry)) !== 0;
}
/** Entry 0 removes it. */
export function setExitHandler(task: ptr<Task>, entry: u64, restorer: u64, argument: u64): void {
  const flags: u64 = lock(addr(taskLock));
  task.exitHandler.entry = entry;
  task.exitHandler.restorer = restorer;
  task.exitHandler.argument = argument;
  unlock(addr(taskLock), flags);
}
/**
 * The task is about to end with `waitStatus`: `frame`, with the stack pointer of the thread, enters the handler. False:
 * there is none, another thread runs it, or there is no stack for it: the task ends at once.
 */
export function enterExitHandler(frame: ptr<Frame>, task: ptr<Task>, waitStatus: u32): boolean {
  const stack = addr(currentThread().signals.stack);
  const flags: u64 = lock(addr(taskLock));
  const entry: u64 = task.exitHandler.entry;
  let restorer: u64 = task.exitHandler.restorer;
  const argument: u64 = task.exitHandler.argument;
  task.exitHandler.entry = 0;
  if (entry !== 0) {
    task.exitHandler.runs = 1;
    task.exitHandler.waitStatus = waitStatus;
  }
  unlock(addr(taskLock), flags);
  if (entry === 0) return false;
  let sp: u64 = frame.rsp - RED_ZONE_BYTES;
  const isArmed: boolean = stack.bytes !== 0 && (stack.flags & StackFlag.DISABLE) === 0;
  // The stack may be what has ended the task.
  if (isArmed && !isOnStack(stack, sp)) sp = stack.address + stack.bytes;
  sp = (sp & ~u64(15)) - 8;
  if (!copyToUser(addr(task.space), sp, cast<ptr<u8>>(addr(restorer)), 8)) return false;
  startFrame(frame, entry, sp);
  frame.rdi = u64(waitStatus);
  frame.rsi = argument;
  return true;
}
