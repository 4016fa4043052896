/**
 * Text output: to the console (the UART, polled: it works from the first instruction on) or into memory.
 * A line on the console is written under the console lock, so that lines of several cores do not mix:
 *   const t = consoleLine(); print(t, cstr("margay: cpus=")); printDecimal(t, n); endLine(t);
 */
import { UART_PORT, Uart, UartFcr, UartLcr, UartLsr } from "../abi/uart.ts";
import { formatDecimal, formatHex } from "../../toolchain/lib/rt/strings.ts";
import { portRead8, portWrite8 } from "./cpu.ts";
import { admitInterrupts, thisCpu } from "./percpu.ts";
import { type Lock, LockRank, lock, tryLock, unlock } from "./spinlock.ts";

export class Text {
  /** Null: the console. */
  base: ptr<u8> | null = null;
  capacityBytes: u64 = 0;
  lengthBytes: u64 = 0;
}
class Console {
  flags: u64 = 0;
  text!: Text;
  /** A panic writes without the lock: the owner may never run again. */
  panicking: u32 = 0;
  /** An NMI holds the lock. */
  urgent: u32 = 0;
  /** NMIs that are writing, with the lock or without. */
  atOnce: u32 = 0;
}
/** Attempts of an NMI to take the console: longer than a line takes. */
const URGENT_TRIES: u32 = 20000;
const console: Console = zeroed();
const consoleLock: Lock = { owner: 0, rank: LockRank.CONSOLE, next: 0, serving: 0 };

/** 8 data bits, FIFOs on, no interrupts yet. */
export function consoleStart(): void {
  portWrite8(UART_PORT + Uart.IER, 0);
  portWrite8(UART_PORT + Uart.LCR, UartLcr.WORD_8);
  portWrite8(UART_PORT + Uart.FCR, UartFcr.ENABLE | UartFcr.CLEAR_RECEIVE | UartFcr.CLEAR_TRANSMIT);
}

function putConsole(c: u8): void {
  while ((portRead8(UART_PORT + Uart.LSR) & UartLsr.TRANSMIT_HOLDING_EMPTY) === 0) {}
  portWrite8(UART_PORT + Uart.DATA, c);
}

/** Takes the console until `endLine`. */
export function consoleLine(): ptr<Text> {
  if (console.panicking === 0) console.flags = lock(addr(consoleLock));
  return addr(console.text);
}
/** Writes the newline and releases the console. */
export function endLine(t: ptr<Text>): void {
  printChar(t, 10);
  endText(t);
}
/** Releases the console; the newline is already written. */
export function endText(t: ptr<Text>): void {
  if (t.base === null && console.panicking === 0) unlock(addr(consoleLock), console.flags);
}
/** For an NMI: takes the console if it is released soon, and writes in any case. Ends with `endTextAtOnce`. */
export function consoleLineAtOnce(): ptr<Text> {
  atomicAdd(addr(console.atOnce), 1);
  if (console.panicking === 0) console.urgent = u32(tryLock(addr(consoleLock), URGENT_TRIES));
  return addr(console.text);
}
export function endTextAtOnce(): void {
  if (console.urgent !== 0) unlock(addr(consoleLock), 0);
  console.urgent = 0;
  atomicAdd(addr(console.atOnce), 0xffff_ffff);
}
/**
 * For use between two lines of a long text: admits interrupts, and lines of other cores. Has no effect on texts in
 * memory, and in panics and NMIs.
 */
export function breakText(t: ptr<Text>): void {
  if (t.base !== null || console.panicking !== 0 || volatileRead(addr(console.atOnce)) !== 0) return;
  unlock(addr(consoleLock), console.flags);
  if (thisCpu().locks === 0) admitInterrupts();
  console.flags = lock(addr(consoleLock));
}
/** Disables locking of the console from now on. */
export function consolePanic(): void {
  console.panicking = 1;
}

/** Drops characters beyond the capacity. */
export function printChar(t: ptr<Text>, c: u8): void {
  const base = t.base;
  if (base === null) {
    putConsole(c);
  } else if (t.lengthBytes < t.capacityBytes) {
    base[t.lengthBytes] = c;
    t.lengthBytes++;
  }
}
export function print(t: ptr<Text>, s: ptr<u8>): void {
  for (let i: u64 = 0; s[i] !== 0; i++) printChar(t, s[i]);
}
export function printDecimal(t: ptr<Text>, value: u64): void {
  let digits: arr<u8, 24> = zeroed();
  const count: u64 = formatDecimal(addr(digits[0]), value);
  for (let i: u64 = 0; i < count; i++) printChar(t, digits[i]);
}
/** `digits` hexadecimal digits after "0x". */
export function printHex(t: ptr<Text>, value: u64, digits: u64): void {
  let text: arr<u8, 16> = zeroed();
  formatHex(addr(text[0]), value, digits);
  printChar(t, 48);
  printChar(t, 120);
  for (let i: u64 = 0; i < digits; i++) printChar(t, text[i]);
}
