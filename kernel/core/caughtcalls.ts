/**
 * System calls that a debugger catches (job/debug.ts). A core whose thread has such calls enters the kernel at another
 * address (MSR LSTAR), so that the fast path costs the same with and without this. `caughtCall` stops the thread before
 * the call; the call is then made like any other, and Leave.CALL stops the thread again on its return.
 */
import { LINUX_CALL_COUNT, MARGAY_CALL_BASE, MARGAY_CALL_COUNT } from "../abi/syscalls.ts";
import { Msr } from "../abi/x86.ts";
import { writeMsr } from "../arch/cpu.ts";
import { cpuIndex, Leave, thisCpu } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { currentTask, type Task, taskLock } from "./task.ts";

/** Of SYSCALL, by `chooseCallEntry`. */
class Entries {
  plain: u64 = 0;
  caught: u64 = 0;
}
const entries: Entries = new Entries();
/** Of a core. */
class Caught {
  /** 1: the core uses the entry of caught calls. */
  chosen: u32 = 0;
  reserved: u32 = 0;
  /** Address of a SYSCALL whose entry was reported and that a stop or a signal repeats; 0: none. */
  anew: u64 = 0;
  /** Number of the call whose return is to be reported, whatever number it is repeated with. */
  number: u64 = 0;
}
/** By core. */
const caught: arr<Caught, 64> = zeroed();

export function setCallEntries(plain: u64, caughtToo: u64): void {
  entries.plain = plain;
  entries.caught = caughtToo;
}

/** Chooses the entry before this core resumes its thread. */
export function chooseCallEntry(): void {
  const calls = addr(currentTask().record.caughtCalls);
  const core = addr(caught[cpuIndex()]);
  const wanted: u32 = volatileRead(addr(calls.all)) !== 0 || volatileRead(addr(calls.some)) !== 0 ? 1 : 0;
  if (wanted === core.chosen) return;
  core.chosen = wanted;
  writeMsr(Msr.LSTAR, wanted !== 0 ? entries.caught : entries.plain);
}
/** A thread begins: clears the state of the previous one. */
export function startCallEntry(): void {
  caught[cpuIndex()].anew = 0;
  chooseCallEntry();
}

/** Whether system call `number` of this core's task is caught. */
export function isCaught(number: u64): boolean {
  const task = currentTask();
  const calls = addr(task.record.caughtCalls);
  const flags: u64 = lock(addr(taskLock));
  let bits: u64 = u64(calls.all);
  if (number < u64(LINUX_CALL_COUNT)) bits |= calls.linux[u32(number >> 6)] >> (number & 63);
  else if (number - u64(MARGAY_CALL_BASE) < u64(MARGAY_CALL_COUNT))
    bits |= calls.own >> (number - u64(MARGAY_CALL_BASE));
  const found: boolean = (bits & 1) !== 0 && task.debugged !== 0;
  unlock(addr(taskLock), flags);
  return found;
}

/** The return of the call that is about to be made is reported as that of `number`. */
export function callBegins(number: u64): void {
  caught[cpuIndex()].number = number;
  callGoesOn();
}
export function callGoesOn(): void {
  atomicOr(addr(thisCpu().leave), Leave.CALL);
}
/** True: the return of the call must be reported. */
export function callEnds(): boolean {
  const leave = addr(thisCpu().leave);
  const told: boolean = (volatileRead(leave) & Leave.CALL) !== 0;
  if (told) atomicAnd(leave, ~u32(Leave.CALL));
  return told;
}
export function endedCall(): u64 {
  return caught[cpuIndex()].number;
}
/** The call ended for a stop and is repeated at `address`; its entry has been reported. */
export function callBeginsAnew(address: u64): void {
  caught[cpuIndex()].anew = address;
}
/** Whether the call at `address` is a repeated one. */
export function isAnew(address: u64): boolean {
  const core = addr(caught[cpuIndex()]);
  const anew: boolean = core.anew !== 0 && core.anew === address;
  core.anew = 0;
  return anew;
}

// ---- requests of the debugger ---------------------------------------------------------------------
export function catchNoCalls(task: ptr<Task>): void {
  assertHeld(addr(taskLock));
  zero(addr(task.record.caughtCalls));
}
export function catchAllCalls(task: ptr<Task>): void {
  catchNoCalls(task);
  task.record.caughtCalls.all = 1;
}
export function isCall(number: u32): boolean {
  return number < LINUX_CALL_COUNT || number - MARGAY_CALL_BASE < MARGAY_CALL_COUNT;
}
export function catchCall(task: ptr<Task>, number: u32): void {
  const calls = addr(task.record.caughtCalls);
  assertHeld(addr(taskLock));
  if (number < LINUX_CALL_COUNT) calls.linux[number >> 6] |= u64(1) << u64(number & 63);
  else calls.own |= u64(1) << u64(number - MARGAY_CALL_BASE);
  calls.some++;
}
