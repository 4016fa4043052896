/** Lines on the serial port, and the end of the run through the debug exit. */
import { DEBUG_EXIT_PORT } from "../../../../kernel/abi/platform.ts";
import { UART_PORT, Uart, UartLsr } from "../../../../kernel/abi/uart.ts";

function out8(port: u16, value: u8): void {
  asm({ in: { rdx: port, rax: value } })`out dx, al`;
}
export function exit(value: u8): never {
  for (;;) out8(DEBUG_EXIT_PORT, value);
}

export function char(c: u8): void {
  while (
    (asm<u8>({ in: { rdx: UART_PORT + Uart.LSR }, out: "rax" })`in al, dx` & UartLsr.TRANSMIT_HOLDING_EMPTY) ===
    0
  ) {}
  out8(UART_PORT, c);
}
export function text(s: ptr<u8>): void {
  for (let i: u64 = 0; s[i] !== 0; i++) char(s[i]);
}
export function line(): void {
  char(10);
}
export function hex(value: u64): void {
  let shift: u64 = 60;
  while (shift > 0 && value >> shift === 0) shift -= 4;
  for (;;) {
    const digit: u8 = u8((value >> shift) & 15);
    char(digit < 10 ? digit + 48 : digit + 87);
    if (shift === 0) return;
    shift -= 4;
  }
}
export function decimal(value: u64): void {
  if (value >= 10) decimal(value / 10);
  char(u8(value % 10) + 48);
}
/** `name: hex` as a line. */
export function value(name: ptr<u8>, what: u64): void {
  text(name);
  text(cstr(": "));
  hex(what);
  line();
}
/** `name: ok`, or the value that was found instead. */
export function expect(name: ptr<u8>, found: u64, wanted: u64): void {
  text(name);
  if (found === wanted) {
    text(cstr(": ok"));
  } else {
    text(cstr(": found "));
    hex(found);
    text(cstr(" wanted "));
    hex(wanted);
  }
  line();
}
