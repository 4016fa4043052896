/**
 * Exceptions. In the kernel an exception is a panic. In a program it ends the task by the signal that Linux would send:
 * one line goes to the console, and registers and backtrace go to the service node as a core report, or to the console
 * if the report cannot be sent. An NMI outside a panic dumps what it interrupted and changes nothing. Interrupts
 * without a handler are reported once per vector.
 */
import { USER_END } from "../abi/memory.ts";
import { Exception, PageFault } from "../abi/x86.ts";
import { Signal } from "../abi/process.ts";
import { readCr2 } from "../arch/cpu.ts";
import { type Frame, fromUser } from "../arch/frame.ts";
import { cpuIndex } from "../arch/percpu.ts";
import {
  consoleLine,
  consoleLineAtOnce,
  endText,
  endTextAtOnce,
  endLine,
  print,
  printDecimal,
  printHex,
} from "../arch/text.ts";
import { setTrapHooks } from "../arch/trap.ts";
import { dumpContext } from "./dump.ts";
import { panicAt, stopIfPanicking } from "./panic.ts";
import { resolveFault, Touch } from "../mm/fault.ts";
import { beforeReturn } from "./stop.ts";
import { currentTask, currentThread, endTask, type Task } from "./task.ts";

class ExceptionInfo {
  name: ptr<u8> | null = null;
  signal: u32 = 0;
}
/** By vector. Source: Intel SDM vol. 3A, table 6-1; Linux arch/x86/kernel/traps.c. */
// biome-ignore format: table
const exceptions: arr<ExceptionInfo, 20> = [
  { name: cstr("divide error"),              signal: Signal.SIGFPE },
  { name: cstr("debug exception"),           signal: Signal.SIGTRAP },
  { name: cstr("non-maskable interrupt"),    signal: Signal.SIGKILL },
  { name: cstr("breakpoint"),                signal: Signal.SIGTRAP },
  { name: cstr("overflow"),                  signal: Signal.SIGSEGV },
  { name: cstr("bound range exceeded"),      signal: Signal.SIGSEGV },
  { name: cstr("invalid instruction"),       signal: Signal.SIGILL },
  { name: cstr("no floating-point unit"),    signal: Signal.SIGFPE },
  { name: cstr("double fault"),              signal: Signal.SIGKILL },
  { name: cstr("coprocessor overrun"),       signal: Signal.SIGFPE },
  { name: cstr("invalid task state"),        signal: Signal.SIGSEGV },
  { name: cstr("segment not present"),       signal: Signal.SIGBUS },
  { name: cstr("stack fault"),               signal: Signal.SIGBUS },
  { name: cstr("general protection fault"),  signal: Signal.SIGSEGV },
  { name: cstr("page fault"),                signal: Signal.SIGSEGV },
  { name: cstr("exception 15"),              signal: Signal.SIGILL },
  { name: cstr("floating-point exception"),  signal: Signal.SIGFPE },
  { name: cstr("alignment check"),           signal: Signal.SIGBUS },
  { name: cstr("machine check"),             signal: Signal.SIGKILL },
  { name: cstr("SIMD exception"),            signal: Signal.SIGFPE },
];

class Reporter {
  /** Sends a core report; false: it cannot be sent now. */
  report: ((task: ptr<Task>, frame: ptr<Frame>, signal: u32, address: u64) => boolean) | null = null;
  /** An exception in a program: stops its thread if it is debugged. True: the fault takes effect. */
  stop: ((frame: ptr<Frame>, task: ptr<Task>, signal: u32, isBreakpoint: boolean, isStep: boolean) => boolean) | null =
    null;
}
const reporter: Reporter = new Reporter();
export function setCoreReporter(
  report: (task: ptr<Task>, frame: ptr<Frame>, signal: u32, address: u64) => boolean,
): void {
  reporter.report = report;
}
export function setFaultStopper(
  stop: (frame: ptr<Frame>, task: ptr<Task>, signal: u32, isBreakpoint: boolean, isStep: boolean) => boolean,
): void {
  reporter.stop = stop;
}

export function faultsStart(): void {
  setTrapHooks(exception, unexpectedInterrupt, beforeReturn);
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
  if (frame.vector === Exception.PF) {
    const touch: u32 = resolveFault(addr(task.space), address, frame.error);
    if (touch === Touch.DONE) return;
    if (touch === Touch.NO_MEMORY) signal = Signal.SIGBUS;
  }
  const stop = reporter.stop;
  if (stop !== null && !stop(frame, task, signal, frame.vector === Exception.BP, frame.vector === Exception.DB)) return;
  const report = reporter.report;
  let reported: boolean = false;
  if (report !== null) reported = report(task, frame, signal, address);
  const t = consoleLine();
  print(t, cstr("margay: pid "));
  printDecimal(t, u64(task.pid));
  print(t, cstr(" of job "));
  printDecimal(t, u64(task.jobId));
  print(t, cstr(": "));
  print(t, nameOf(frame.vector));
  print(t, cstr(" at "));
  printHex(t, frame.rip, 16);
  print(t, cstr(", address "));
  printHex(t, address, 16);
  print(t, cstr(": ended by signal "));
  printDecimal(t, u64(signal));
  print(t, cstr("\n"));
  if (!reported) dumpContext(t, frame, addr(task.space));
  endText(t);
  endTask(task, signal);
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
