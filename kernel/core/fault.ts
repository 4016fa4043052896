/**
 * Exceptions: in the kernel a panic, in a program the signal that Linux would send, with its code and address
 * (deliver.ts). An NMI in peace dumps what it broke into and changes nothing. Interrupts that nobody registered for are
 * named once a vector.
 */
import { USER_END } from "../abi/memory.ts";
import { Dr6, Exception, FloatException, PageFault } from "../abi/x86.ts";
import { FaultCode, Signal, SignalCode } from "../abi/signal.ts";
import { readCr2, readDr6, writeDr6 } from "../arch/cpu.ts";
import { fpuExceptions, simdExceptions } from "../arch/fpu.ts";
import { type Frame, fromUser } from "../arch/frame.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { consoleLine, consoleLineAtOnce, endTextAtOnce, endLine, print, printDecimal, printHex } from "../arch/text.ts";
import { setTrapHooks } from "../arch/trap.ts";
import { dumpContext } from "./dump.ts";
import { panicAt, stopIfPanicking } from "./panic.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { regionsAreAbsent } from "../mm/regions.ts";
import type { AddressSpace } from "../mm/addressspace.ts";
import { resolveFault, Touch } from "../mm/fault.ts";
import { debuggerLets, force } from "./deliver.ts";
import { setThreadEntry } from "./idle.ts";
import { beforeReturn } from "./stop.ts";
import { currentTask, currentThread } from "./task.ts";
import { enterFaultHandler } from "./upcall.ts";

class ExceptionInfo {
  name: ptr<u8> | null = null;
  signal: u32 = 0;
  /** FaultCode, or SI_KERNEL where there is none; then siginfo has no address. */
  code: u32 = 0;
}
/** By vector. Source: Intel SDM vol. 3A, table 6-1; Linux arch/x86/kernel/traps.c. #DB, #PF, #MF and #XM say more. */
// biome-ignore format: table
const exceptions: arr<ExceptionInfo, 20> = [
  { name: cstr("divide error"),              signal: Signal.SIGFPE,  code: FaultCode.FPE_INTDIV },
  { name: cstr("debug exception"),           signal: Signal.SIGTRAP, code: FaultCode.TRAP_BRKPT },
  { name: cstr("non-maskable interrupt"),    signal: Signal.SIGKILL, code: SignalCode.SI_KERNEL },
  { name: cstr("breakpoint"),                signal: Signal.SIGTRAP, code: SignalCode.SI_KERNEL },
  { name: cstr("overflow"),                  signal: Signal.SIGSEGV, code: SignalCode.SI_KERNEL },
  { name: cstr("bound range exceeded"),      signal: Signal.SIGSEGV, code: SignalCode.SI_KERNEL },
  { name: cstr("invalid instruction"),       signal: Signal.SIGILL,  code: FaultCode.ILL_ILLOPN },
  { name: cstr("no floating-point unit"),    signal: Signal.SIGFPE,  code: SignalCode.SI_KERNEL },
  { name: cstr("double fault"),              signal: Signal.SIGKILL, code: SignalCode.SI_KERNEL },
  { name: cstr("coprocessor overrun"),       signal: Signal.SIGFPE,  code: SignalCode.SI_KERNEL },
  { name: cstr("invalid task state"),        signal: Signal.SIGSEGV, code: SignalCode.SI_KERNEL },
  { name: cstr("segment not present"),       signal: Signal.SIGBUS,  code: SignalCode.SI_KERNEL },
  { name: cstr("stack fault"),               signal: Signal.SIGBUS,  code: SignalCode.SI_KERNEL },
  { name: cstr("general protection fault"),  signal: Signal.SIGSEGV, code: SignalCode.SI_KERNEL },
  { name: cstr("page fault"),                signal: Signal.SIGSEGV, code: FaultCode.SEGV_MAPERR },
  { name: cstr("exception 15"),              signal: Signal.SIGILL,  code: SignalCode.SI_KERNEL },
  { name: cstr("floating-point exception"),  signal: Signal.SIGFPE,  code: FaultCode.FPE_FLTINV },
  { name: cstr("alignment check"),           signal: Signal.SIGBUS,  code: FaultCode.BUS_ADRALN },
  { name: cstr("machine check"),             signal: Signal.SIGKILL, code: SignalCode.SI_KERNEL },
  { name: cstr("SIMD exception"),            signal: Signal.SIGFPE,  code: FaultCode.FPE_FLTINV },
];

class GrowingFiles {
  /** True: the file of a mapping has grown to `address` since, and the page is there now. */
  grow: ((space: ptr<AddressSpace>, address: u64) => boolean) | null = null;
}
const files: GrowingFiles = new GrowingFiles();
function isThereNow(space: ptr<AddressSpace>, address: u64): boolean {
  const grow = files.grow;
  return grow !== null ? grow(space, address) : false;
}
/** A higher floor reads files (io/sharedfile.ts). */
export function setGrowingFiles(grow: (space: ptr<AddressSpace>, address: u64) => boolean): void {
  files.grow = grow;
}

export function faultsStart(): void {
  setTrapHooks(exception, unexpectedInterrupt, beforeReturn);
  setThreadEntry(beforeReturn);
}

function nameOf(vector: u64): ptr<u8> {
  if (vector >= exceptions.length) return cstr("reserved exception");
  const name = exceptions[vector].name;
  return name === null ? cstr("exception") : name;
}

/**
 * Describes the kernel's error. The kernel may touch programs' pages only through mm/user.ts (SMAP, SMEP:
 * arch/protection.ts).
 */
function kernelFault(frame: ptr<Frame>, address: u64): ptr<u8> {
  if (fromUser(frame) || frame.vector !== Exception.PF || address >= USER_END) return nameOf(frame.vector);
  if ((frame.error & PageFault.P) === 0) return cstr("page fault at an address of programs");
  return (frame.error & PageFault.I) === 0 ? cstr("touch of a program's page") : cstr("execution of a program's page");
}

function exception(frame: ptr<Frame>): void {
  if (frame.vector === Exception.NMI) {
    nonMaskable(frame);
    return;
  }
  const address: u64 = frame.vector === Exception.PF ? readCr2() : frame.rip;
  if (!fromUser(frame) || frame.vector === Exception.DF || frame.vector === Exception.MC)
    panicAt(kernelFault(frame, address), address, frame);
  const task = currentTask();
  let signal: u32 = frame.vector < exceptions.length ? exceptions[frame.vector].signal : Signal.SIGILL;
  let code: i32 = 0;
  if (frame.vector === Exception.PF) {
    const touch: u32 = resolveFault(addr(task.space), address, frame.error);
    if (touch === Touch.DONE) return;
    const isPast: boolean = touch === Touch.NO_PAGE;
    if (isPast && isThereNow(addr(task.space), address)) return;
    if (touch === Touch.NO_MEMORY || isPast) {
      signal = Signal.SIGBUS;
      code = FaultCode.BUS_ADRERR;
    }
  }
  if (code === 0) code = codeOf(frame, addr(task.space), address);
  if (frame.vector === Exception.PF && enterFaultHandler(frame, signal, address, frame.error)) return;
  if (!debuggerLets(frame, task, signal, frame.vector === Exception.BP, frame.vector === Exception.DB)) return;
  // Spurious: the exception that the FPU signals is gone.
  if (code === 0) return;
  const signals = addr(currentThread().signals);
  signals.trap = frame.vector;
  signals.error = frame.error;
  if (frame.vector === Exception.PF) {
    signals.cr2 = address;
    // Linux does not tell a program what of the kernel's half is mapped.
    if (address >= USER_END) signals.error |= PageFault.P;
  }
  const hasAddress: boolean = code !== SignalCode.SI_KERNEL && frame.vector !== Exception.AC;
  force(frame, signal, code, hasAddress ? address : 0, nameOf(frame.vector));
}

/** si_code as Linux has it; 0: nothing is wrong any more. */
function codeOf(frame: ptr<Frame>, space: ptr<AddressSpace>, address: u64): i32 {
  switch (frame.vector) {
    case Exception.DB:
      return debugCode();
    case Exception.PF:
      if (address >= USER_END) return FaultCode.SEGV_MAPERR;
      return (frame.error & PageFault.P) !== 0 || isMapped(space, address)
        ? FaultCode.SEGV_ACCERR
        : FaultCode.SEGV_MAPERR;
    case Exception.MF:
      return floatCode(fpuExceptions());
    case Exception.XM:
      return floatCode(simdExceptions());
    default:
      return frame.vector < exceptions.length ? i32(exceptions[frame.vector].code) : SignalCode.SI_KERNEL;
  }
}
function isMapped(space: ptr<AddressSpace>, address: u64): boolean {
  const flags: u64 = lock(addr(space.lock));
  const mapped: boolean = !regionsAreAbsent(addr(space.regions), address, address + 1);
  unlock(addr(space.lock), flags);
  return mapped;
}
/** DR6 tells what it was; the processor never clears it. Source: Intel SDM vol. 3B, 17.2.3. */
function debugCode(): i32 {
  const status: u64 = readDr6();
  writeDr6(Dr6.RESET);
  if ((status & Dr6.BS) !== 0) return FaultCode.TRAP_TRACE;
  return (status & Dr6.TRAPS) !== 0 ? FaultCode.TRAP_HWBKPT : FaultCode.TRAP_BRKPT;
}
/** Of unmasked exceptions that have come: Linux's order (fpu__exception_code). */
function floatCode(exceptions: u32): i32 {
  if ((exceptions & FloatException.IE) !== 0) return FaultCode.FPE_FLTINV;
  if ((exceptions & FloatException.ZE) !== 0) return FaultCode.FPE_FLTDIV;
  if ((exceptions & FloatException.OE) !== 0) return FaultCode.FPE_FLTOVF;
  if ((exceptions & (FloatException.DE | FloatException.UE)) !== 0) return FaultCode.FPE_FLTUND;
  return (exceptions & FloatException.PE) !== 0 ? FaultCode.FPE_FLTRES : 0;
}

/** Sent by a panicking core, or from outside; in the latter case nothing is wrong with the interrupted code. */
function nonMaskable(frame: ptr<Frame>): void {
  stopIfPanicking();
  const task = currentThread().task;
  const t = consoleLineAtOnce();
  print(t, cstr("margay: NMI on cpu "));
  printDecimal(t, u64(cpuIndex()));
  print(t, cstr("\n"));
  dumpContext(t, frame, task === null ? null : addr(task.space));
  endTextAtOnce();
}

function unexpectedInterrupt(vector: u32): void {
  const t = consoleLine();
  print(t, cstr("margay: interrupt that nobody registered for: vector "));
  printHex(t, u64(vector), 2);
  print(t, cstr(" on cpu "));
  printDecimal(t, u64(cpuIndex()));
  endLine(t);
}
