/**
 * 16550 UART: output is the console's (arch/text.ts, polled); this is the input side. Received bytes go into a ring; keys that the
 * kernel itself knows act at once: ^D ("dump", 0x04) shows the registers and the backtrace of what the key interrupted.
 */
import { UART_GSI, UART_PORT, Uart, UartFcr, UartIer, UartIir, UartLsr, UartMcr } from "../abi/uart.ts";
import { portRead8, portWrite8 } from "../arch/cpu.ts";
import { ioapicRoute } from "../arch/ioapic.ts";
import { consoleLine, endLine, print } from "../arch/text.ts";
import { interruptedFrame } from "../arch/trap.ts";
import { dumpContext } from "../core/dump.ts";
import { currentThread } from "../core/task.ts";

const RING_BYTES: u32 = 256;
const KEY_DUMP: u8 = 4;
class Input {
  /** Counts up; byte n lies at n & 255. Written by the interrupt alone. */
  written: u32 = 0;
  dropped: u32 = 0;
  read: u32 = 0;
  ring!: arr<u8, 256>;
}
const input: Input = zeroed();

/** Interrupts of received bytes go to the first core. */
export function uartStart(): void {
  ioapicRoute(UART_GSI, 0, uartInterrupt, u64(UART_PORT));
  portWrite8(UART_PORT + Uart.FCR, UartFcr.ENABLE);
  portWrite8(UART_PORT + Uart.MCR, UartMcr.DTR | UartMcr.RTS | UartMcr.OUT2);
  portWrite8(UART_PORT + Uart.IER, UartIer.RECEIVED);
}

function uartInterrupt(_vector: u32, device: u64): void {
  const port: u16 = u16(device);
  // Edge-triggered: whatever is pending must be gone on return.
  while ((portRead8(port + Uart.IIR) & UartIir.NONE) === 0) {
    while ((portRead8(port + Uart.LSR) & UartLsr.DATA_READY) !== 0) received(portRead8(port + Uart.DATA));
  }
}

function received(c: u8): void {
  if (c === KEY_DUMP) {
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
  endLine(t);
}
