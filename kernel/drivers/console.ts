/**
 * What is typed at this node, whichever device it came from (uart.ts, keyboard.ts): a ring of bytes, and the keys that the kernel acts on.
 * Escape or ^D ("dump") shows the registers and the backtrace of what the key interrupted: the device's handler gets no frame, the dump
 * asks for it. Both devices interrupt the first core, so the ring has one writer. Nobody reads the ring yet: programs have no console.
 */
import { consoleLine, endText, print } from "../arch/text.ts";
import { interruptedFrame } from "../arch/trap.ts";
import { dumpContext, dumpStrays } from "../core/dump.ts";
import { currentThread } from "../core/task.ts";

const RING_BYTES: u32 = 256;
const KEY_CONTROL_D: u8 = 4;
const KEY_ESCAPE: u8 = 27;
class Input {
  /** Counts up; byte n lies at n & 255. */
  written: u32 = 0;
  read: u32 = 0;
  dropped: u32 = 0;
  ring!: arr<u8, 256>;
}
/**
 * @symbol console_input
 * @keep
 */
export const input: Input = zeroed();

/** In the device's interrupt. */
export function consoleInput(c: u8): void {
  if (c === KEY_CONTROL_D || c === KEY_ESCAPE) {
    dumpInterrupted();
    return;
  }
  if (input.written - input.read === RING_BYTES) {
    input.dropped++;
    return;
  }
  input.ring[input.written & (RING_BYTES - 1)] = c;
  input.written++;
}

function dumpInterrupted(): void {
  const frame = interruptedFrame();
  if (frame === null) return;
  const task = currentThread().task;
  const t = consoleLine();
  print(t, cstr("margay: key: interrupted context\n"));
  dumpContext(t, frame, task === null ? null : addr(task.space));
  dumpStrays(t);
  endText(t);
}
