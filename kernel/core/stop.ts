/**
 * The return to a program where `leave` is set: the thread ends, takes signals (deliver.ts), or stops for a debugger
 * (job/debug.ts). Here all its registers are in a frame: after an interrupt, after a system call, at a fault. A stopped
 * thread waits in sti;hlt until it is resumed with the registers of the frame, which the debugger may have changed.
 *
 * A wait inside a system call then ends with ERESTART…: the program sees EINTR, or the call is repeated. Therefore the
 * reason stays in `leave` until the thread arrives here, even if the reason no longer exists: otherwise the program
 * would see the kernel's internal number. Every stop ends the thread's single step.
 */
import { Errno } from "../abi/errno.ts";
import { DebugReason } from "../abi/jobdebug.ts";
import { SignalFlag } from "../abi/signal.ts";
import { Syscall } from "../abi/syscalls.ts";
import { Msr, Rflags } from "../abi/x86.ts";
import { readMsr, setFsBase, setUserGsBase } from "../arch/cpu.ts";
import { wakeCpu } from "../arch/crosscall.ts";
import { type FxArea, fpuLoad, fpuSave } from "../arch/fpu.ts";
import type { Frame } from "../arch/frame.ts";
import { cpuAt, cpuIndex, Leave, thisCpu } from "../arch/percpu.ts";
import { assertHeld, assertNoLocks, lock, unlock } from "../arch/spinlock.ts";
import { deliver } from "./deliver.ts";
import { leaveThread } from "./idle.ts";
import { callBeginsAnew, callEnds, chooseCallEntry, endedCall, isCaught } from "./caughtcalls.ts";
import { restoreMask } from "./signal.ts";
import { currentTask, currentThread, taskLock } from "./task.ts";
import { rest } from "./wait.ts";

/** Bytes of `syscall`. */
export const SYSCALL_BYTES: u64 = 2;
export const NO_CALL: u64 = 0xffff_ffff_ffff_ffff;

export class Stop {
  // Under the task lock.
  /**
   * 1 while the thread is stopped here; then the fields below are valid, and the debugger may change them. 0 resumes
   * it.
   */
  stopped: u32 = 0;
  /** 1: the stop request is withdrawn: the thread passes without stopping. */
  withdrawn: u32 = 0;
  /**
   * Tid of the thread that is single-stepped, 0: none. The debug exception that follows belongs to the step, even after
   * the debugger has left.
   */
  stepping: u32 = 0;
  signal: u32 = 0;
  reason: u32 = 0;
  /** 1: the debugger lets the fault take effect. */
  deliver: u32 = 0;
  /** Number of the system call at whose begin or end the thread stands; NO_CALL elsewhere. */
  call: u64 = 0;
  frame: ptr<Frame> | null = null;
  fsBase: u64 = 0;
  gsBase: u64 = 0;
}
/** By core. */
const stops: arr<Stop, 64> = zeroed();
/**
 * By core.
 * @align 16
 */
const vectors: arr<FxArea, 64> = zeroed();
class StopHook {
  /** Called when the thread of this core has stopped. */
  stopped: (() => void) | null = null;
  reason: u32 = 0;
}
const hook: StopHook = new StopHook();

/** `reason`: for stops requested by `requestStop`. */
export function setStopHook(stopped: () => void, reason: u32): void {
  hook.stopped = stopped;
  hook.reason = reason;
}
export function stopOf(cpu: u32): ptr<Stop> {
  return addr(stops[cpu]);
}
/** Vector and FPU registers of a stopped thread, 512 bytes. */
export function vectorsOf(cpu: u32): ptr<u8> {
  return cast<ptr<u8>>(addr(vectors[cpu]));
}

/** Requests a stop of core `cpu`'s thread. */
export function requestStop(cpu: u32): void {
  assertHeld(addr(taskLock));
  const stop = stopOf(cpu);
  if (stop.stopped !== 0) return;
  stop.withdrawn = 0;
  atomicOr(addr(cpuAt(cpu).leave), Leave.STOP);
  wakeCpu(cpu);
}
/** Resumes the thread, or withdraws the stop request. */
export function cancelStop(cpu: u32): void {
  assertHeld(addr(taskLock));
  const stop = stopOf(cpu);
  const leave = addr(cpuAt(cpu).leave);
  if (stop.stopped !== 0) {
    atomicStore(addr(stop.stopped), 0);
    atomicAnd(leave, ~u32(Leave.STOP));
    wakeCpu(cpu);
  } else if ((volatileRead(leave) & Leave.STOP) !== 0) stop.withdrawn = 1;
}
/** The stopped thread of core `cpu` executes one instruction. */
export function stepThread(cpu: u32, tid: u32, frame: ptr<Frame>): void {
  frame.rflags |= Rflags.TF;
  stopOf(cpu).stepping = tid;
  cancelStop(cpu);
}
/** Ends the single step of this core's thread. False: it was not stepping. */
export function endStep(frame: ptr<Frame>): boolean {
  const stop = stopOf(cpuIndex());
  if (stop.stepping !== currentThread().tid) return false;
  stop.stepping = 0;
  frame.rflags &= ~u64(Rflags.TF);
  return true;
}

/** A system call that a signal or a stop has ended, and whose result is decided before its program continues. */
class EndedCall {
  number: u64 = 0;
  open: u32 = 0;
}

/**
 * Called before a return to a program if `leave` is set: the thread ends, or takes its signals, or stops until it is
 * resumed. Interrupts are off.
 */
export function beforeReturn(frame: ptr<Frame>): void {
  const call: EndedCall = zeroed();
  settleReturn(frame, addr(call));
}
/** The same after system call `number`, whose result is in the frame's rax. */
export function returnFromCall(frame: ptr<Frame>, number: u64): void {
  attr({ keep: true, inline: "never" });
  const call: EndedCall = zeroed();
  call.number = number;
  call.open = u32(i64(frame.rax) <= -i64(Errno.ERESTARTSYS) && i64(frame.rax) >= -i64(Errno.ERESTART_RESTARTBLOCK));
  if (callEnds()) {
    if (call.open !== 0) callBeginsAnew(frame.rip - SYSCALL_BYTES);
    else if (isCaught(endedCall())) stopAtCall(frame, endedCall(), DebugReason.CALL_RETURN);
  }
  settleReturn(frame, addr(call));
}
/** Stops this core's thread at the entry or the return of system call `number`. */
export function stopAtCall(frame: ptr<Frame>, number: u64, reason: u32): void {
  stopOf(cpuIndex()).call = number;
  stopHere(frame, 0, reason);
}
function settleReturn(frame: ptr<Frame>, call: ptr<EndedCall>): void {
  assertNoLocks();
  // A call that does not return to its caller, as rt_sigreturn, is not reported.
  callEnds();
  const leave = addr(thisCpu().leave);
  const signals = addr(currentThread().signals);
  for (;;) {
    const why: u32 = volatileRead(leave);
    if ((why & Leave.END) !== 0) leaveThread();
    if ((why & Leave.SIGNAL) !== 0) {
      if (deliver(frame, call.open !== 0 ? endForHandler : endOfNoCall, call.number)) call.open = 0;
    }
    if ((volatileRead(leave) & Leave.STOP) !== 0) {
      if (call.open !== 0) makeAnew(frame, call.number);
      call.open = 0;
      stopHere(frame, 0, hook.reason);
    }
    if (volatileRead(leave) !== 0) continue;
    if (signals.restores === 0) break;
    // No handler has run with sigsuspend's mask: the old one is restored.
    restoreMask();
  }
  if (call.open !== 0) makeAnew(frame, call.number);
}
/** No handler has run: the call is repeated or continued. Source: Linux, arch_do_signal_or_restart. */
function makeAnew(frame: ptr<Frame>, number: u64): void {
  frame.rax = i64(frame.rax) === -i64(Errno.ERESTART_RESTARTBLOCK) ? Syscall.RESTART_SYSCALL : number;
  frame.rip -= SYSCALL_BYTES;
}
/** A handler is about to run, with its flags: the call fails with EINTR, or is repeated after the handler. */
function endForHandler(frame: ptr<Frame>, number: u64, flags: u64): void {
  const result: i64 = i64(frame.rax);
  const restarts: boolean =
    result === -i64(Errno.ERESTARTNOINTR) || (result === -i64(Errno.ERESTARTSYS) && (flags & SignalFlag.RESTART) !== 0);
  if (restarts) makeAnew(frame, number);
  else frame.rax = u64(-i64(Errno.EINTR));
}
function endOfNoCall(_frame: ptr<Frame>, _number: u64, _flags: u64): void {}

/**
 * Stops this core's thread until `cancelStop`. True: the debugger lets the fault take effect, or has detached
 * meanwhile.
 */
export function stopHere(frame: ptr<Frame>, signal: u32, reason: u32): boolean {
  const cpu = thisCpu();
  const stop = stopOf(cpuIndex());
  const area = addr(vectors[cpuIndex()]);
  const flags: u64 = lock(addr(taskLock));
  endStep(frame);
  const withdrawn: boolean = stop.withdrawn !== 0 && reason === hook.reason;
  stop.withdrawn = 0;
  if (withdrawn) {
    atomicAnd(addr(cpu.leave), ~u32(Leave.STOP));
    unlock(addr(taskLock), flags);
    return false;
  }
  if (reason !== hook.reason && currentTask().debugged === 0) {
    unlock(addr(taskLock), flags);
    return true;
  }
  atomicOr(addr(cpu.leave), Leave.STOP);
  stop.frame = frame;
  stop.signal = signal;
  stop.reason = reason;
  stop.deliver = 0;
  if (reason !== DebugReason.CALL_ENTRY && reason !== DebugReason.CALL_RETURN) stop.call = NO_CALL;
  stop.fsBase = readMsr(Msr.FS_BASE);
  stop.gsBase = readMsr(Msr.KERNEL_GS_BASE);
  fpuSave(area);
  atomicStore(addr(stop.stopped), 1);
  const stopped = hook.stopped;
  if (stopped !== null) stopped();
  unlock(addr(taskLock), flags);
  while (volatileRead(addr(stop.stopped)) !== 0 && (volatileRead(addr(cpu.leave)) & Leave.END) === 0) rest();
  atomicStore(addr(stop.stopped), 0);
  stop.frame = null;
  fpuLoad(area);
  setFsBase(stop.fsBase);
  setUserGsBase(stop.gsBase);
  chooseCallEntry();
  return stop.deliver !== 0;
}
