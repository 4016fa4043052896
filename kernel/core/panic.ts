/**
 * The end of the machine by a broken invariant or an exception in the kernel: the other cores are stopped by NMI, then
 * the kernel's whole state goes to the console: message, registers and backtrace of every core, stray interrupts, the
 * flight recorder. Then debug exit. The console shows addresses; the host adds names and source lines
 * (emulator/trace/symbolise.ts, or `addr2line`).
 */
import { Icr } from "../abi/lapic.ts";
import { DEBUG_EXIT_PORT } from "../abi/platform.ts";
import { haltForever, pause, portWrite8, readTsc } from "../arch/cpu.ts";
import { setPanic } from "../arch/fatal.ts";
import type { Frame } from "../arch/frame.ts";
import { lapicSend } from "../arch/lapic.ts";
import { cpuAt, cpuCount, cpuIndex } from "../arch/percpu.ts";
import { consoleLine, consolePanic, endLine, print, printDecimal, printHex, type Text } from "../arch/text.ts";
import { interruptedFrame } from "../arch/trap.ts";
import { dumpBacktrace, dumpContext, dumpRecorder, dumpStrays } from "./dump.ts";
import { threadOf } from "./task.ts";

/** The debug exit turns this into status 3. */
const PANIC_EXIT: u8 = 1;
const RECORDS_SHOWN: u64 = 12;
/** Time in which the other cores must stop. A core that does not is reported. */
const STOP_WAIT_NS: u64 = 10000000;
class PanicState {
  /** Index + 1 of the core that panics. */
  cpu: u32 = 0;
  /** Bit n: core n has stopped, and its frame does not change any more. */
  stopped: u64 = 0;
}
const state: PanicState = new PanicState();

export function panicStart(): void {
  setPanic(panic);
}

export function panic(message: ptr<u8>, value: u64): void {
  const rbp: u64 = asm<u64>`mov ${ret}, rbp`;
  begin(message, value);
  const t = consoleLine();
  const frame = interruptedFrame();
  dumpBacktrace(t, 0, rbp, null);
  if (frame !== null) {
    print(t, cstr("  interrupted:\n"));
    dumpFrame(t, cpuIndex(), frame);
  }
  finish();
}

/** An exception in the kernel. */
export function panicAt(message: ptr<u8>, value: u64, frame: ptr<Frame>): never {
  begin(message, value);
  dumpFrame(consoleLine(), cpuIndex(), frame);
  finish();
}

/** The kernel cannot boot on this machine. Nothing is broken, so nothing is dumped. */
export function refuseBoot(why: ptr<u8>, value: u64): never {
  const t = consoleLine();
  print(t, cstr("margay: boot refused: "));
  print(t, why);
  print(t, cstr(": "));
  printDecimal(t, value);
  endLine(t);
  halt();
}

/** In an NMI: if another core has panicked, this core stops here for ever. */
export function stopIfPanicking(): void {
  const by: u32 = atomicLoad(addr(state.cpu));
  if (by === 0 || by === cpuIndex() + 1) return;
  atomicOr(addr(state.stopped), u64(1) << u64(cpuIndex()));
  haltForever();
}

function begin(message: ptr<u8>, value: u64): void {
  asm`cli`;
  const self: u32 = cpuIndex() + 1;
  const first: u32 = atomicCompareExchange(addr(state.cpu), 0, self);
  // Another core has panicked first: its dump matters, and its NMI is in flight.
  if (first !== 0 && first !== self) haltForever();
  consolePanic();
  const t = consoleLine();
  print(t, first === 0 ? cstr("\nmargay: panic: ") : cstr("\nmargay: panic within the panic: "));
  print(t, message);
  print(t, cstr(" ("));
  printHex(t, value, 16);
  print(t, cstr(") on cpu "));
  printDecimal(t, u64(cpuIndex()));
  endLine(t);
  if (first !== 0) halt();
  stopOthers();
}

function stopOthers(): void {
  const self: u32 = cpuIndex();
  let others: u64 = 0;
  for (let cpu: u32 = 0; cpu < cpuCount(); cpu++) {
    if (cpu === self) continue;
    others |= u64(1) << u64(cpu);
    lapicSend(cpu, Icr.NMI);
  }
  const start: u64 = readTsc();
  while (atomicLoad(addr(state.stopped)) !== others && readTsc() - start < STOP_WAIT_NS) pause();
}

function finish(): never {
  const t = consoleLine();
  const self: u32 = cpuIndex();
  for (let cpu: u32 = 0; cpu < cpuCount(); cpu++) {
    if (cpu !== self) dumpStopped(t, cpu);
  }
  dumpStrays(t);
  print(t, cstr("  flight recorder:\n"));
  for (let cpu: u32 = 0; cpu < cpuCount(); cpu++) dumpRecorder(t, cpu, RECORDS_SHOWN);
  halt();
}

function halt(): never {
  const t = consoleLine();
  print(t, cstr("margay: halted"));
  endLine(t);
  portWrite8(DEBUG_EXIT_PORT, PANIC_EXIT);
  haltForever();
}

function dumpStopped(t: ptr<Text>, cpu: u32): void {
  print(t, cstr("  cpu "));
  printDecimal(t, u64(cpu));
  const frame = cpuAt(cpu).frame;
  if ((state.stopped & (u64(1) << u64(cpu))) === 0 || frame === null) {
    print(t, cstr(": does not answer\n"));
    return;
  }
  const task = threadOf(cpu).task;
  if (task === null) {
    print(t, cstr(": idle\n"));
  } else {
    print(t, cstr(": pid "));
    printDecimal(t, u64(task.pid));
    print(t, cstr(" of job "));
    printDecimal(t, u64(task.jobId));
    print(t, cstr("\n"));
  }
  dumpFrame(t, cpu, frame);
}

function dumpFrame(t: ptr<Text>, cpu: u32, frame: ptr<Frame>): void {
  const task = threadOf(cpu).task;
  dumpContext(t, frame, task === null ? null : addr(task.space));
}
