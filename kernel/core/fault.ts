/** Exceptions: in the kernel a panic, in a program the end of its task by the signal that Linux would send, with a core report. */
import { Exception } from "../abi/x86.ts";
import { Signal } from "../abi/process.ts";
import { readCr2 } from "../arch/cpu.ts";
import { fatal } from "../arch/fatal.ts";
import { type Frame, fromUser } from "../arch/frame.ts";
import { consoleLine, endLine, print, printDecimal, printHex } from "../arch/text.ts";
import { interruptedFrame, setTrapHooks } from "../arch/trap.ts";
import { dumpContext } from "./dump.ts";
import { panicAt } from "./panic.ts";
import { currentTask, endTask, leaveIfKilled } from "./task.ts";

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

export function faultsStart(): void {
  setTrapHooks(exception, unexpectedInterrupt, leaveIfKilled);
}

function nameOf(vector: u64): ptr<u8> {
  if (vector >= exceptions.length) return cstr("reserved exception");
  const name = exceptions[vector].name;
  return name === null ? cstr("exception") : name;
}

function exception(frame: ptr<Frame>): void {
  const address: u64 = frame.vector === Exception.PF ? readCr2() : frame.rip;
  if (!fromUser(frame) || frame.vector === Exception.DF || frame.vector === Exception.MC) panicAt(nameOf(frame.vector), address, frame);
  // An NMI in a program comes from outside: nothing is wrong with it.
  if (frame.vector === Exception.NMI) return;
  const task = currentTask();
  const signal: u32 = frame.vector < exceptions.length ? exceptions[frame.vector].signal : Signal.SIGILL;
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
  dumpContext(t, frame, addr(task.space));
  endLine(t);
  endTask(task, signal);
}

function unexpectedInterrupt(vector: u32): void {
  const frame = interruptedFrame();
  if (frame !== null && !fromUser(frame)) panicAt(cstr("interrupt that nobody registered for"), u64(vector), frame);
  fatal(cstr("interrupt that nobody registered for"), u64(vector));
}
