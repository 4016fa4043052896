/** Broken invariants. The panic itself is in core/panic.ts, which registers here, because lower floors need it, too. */
import { haltForever } from "./cpu.ts";

class Fatal {
  panic: ((message: ptr<u8>, value: u64) => void) | null = null;
}
const hook: Fatal = new Fatal();

export function setPanic(panic: (message: ptr<u8>, value: u64) => void): void {
  hook.panic = panic;
}

/** Ends the machine: message, value, registers, backtrace, flight recorder. */
export function fatal(message: ptr<u8>, value: u64): never {
  const panic = hook.panic;
  if (panic !== null) panic(message, value);
  haltForever();
}

export function assert(holds: boolean, message: ptr<u8>, value: u64): void {
  if (!holds) fatal(message, value);
}
