/** The end of the machine by a broken invariant or an exception in the kernel: all that is known goes to the console, then debug exit. */
import { DEBUG_EXIT_PORT } from "../abi/platform.ts";
import { haltForever, portWrite8 } from "../arch/cpu.ts";
import { setPanic } from "../arch/fatal.ts";
import type { Frame } from "../arch/frame.ts";
import { cpuCount, cpuIndex } from "../arch/percpu.ts";
import { consoleLine, consolePanic, endLine, print, printDecimal, printHex } from "../arch/text.ts";
import { interruptedFrame } from "../arch/trap.ts";
import { dumpBacktrace, dumpContext, dumpRecorder } from "./dump.ts";

/** Debug exit turns it into status 3. */
const PANIC_EXIT: u8 = 1;
const RECORDS_SHOWN: u64 = 12;
class PanicState {
  entered: u32 = 0;
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
    dumpContext(t, frame, null);
  }
  finish();
}

/** An exception that the kernel should not have had. */
export function panicAt(message: ptr<u8>, value: u64, frame: ptr<Frame>): never {
  begin(message, value);
  dumpContext(consoleLine(), frame, null);
  finish();
}

function begin(message: ptr<u8>, value: u64): void {
  asm`cli`;
  // A panic within a panic, or on another core meanwhile: the first one is the interesting one.
  if (atomicExchange(addr(state.entered), 1) !== 0) haltForever();
  consolePanic();
  const t = consoleLine();
  print(t, cstr("\nmargay: panic: "));
  print(t, message);
  print(t, cstr(" ("));
  printHex(t, value, 16);
  print(t, cstr(") on cpu "));
  printDecimal(t, u64(cpuIndex()));
  endLine(t);
}

function finish(): never {
  const t = consoleLine();
  print(t, cstr("  flight recorder:\n"));
  for (let cpu: u32 = 0; cpu < cpuCount(); cpu++) dumpRecorder(t, cpu, RECORDS_SHOWN);
  print(t, cstr("margay: halted"));
  endLine(t);
  portWrite8(DEBUG_EXIT_PORT, PANIC_EXIT);
  haltForever();
}
