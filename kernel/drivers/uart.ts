/** 16550 UART, input only: received bytes become console input. arch/text.ts does the output (polled). */
import { UART_GSI, UART_PORT, Uart, UartFcr, UartIer, UartIir, UartLsr, UartMcr } from "../abi/uart.ts";
import { portRead8, portWrite8 } from "../arch/cpu.ts";
import { ioapicRoute } from "../arch/ioapic.ts";
import { consoleInput } from "./console.ts";

/** Interrupts of received bytes go to the first core. */
export function uartStart(): void {
  ioapicRoute(UART_GSI, 0, uartInterrupt, u64(UART_PORT));
  portWrite8(UART_PORT + Uart.FCR, UartFcr.ENABLE);
  portWrite8(UART_PORT + Uart.MCR, UartMcr.DTR | UartMcr.RTS | UartMcr.OUT2);
  portWrite8(UART_PORT + Uart.IER, UartIer.RECEIVED);
}

function uartInterrupt(_vector: u32, device: u64): void {
  const port: u16 = u16(device);
  // Edge-triggered: no condition may be pending on return.
  while ((portRead8(port + Uart.IIR) & UartIir.NONE) === 0) {
    while ((portRead8(port + Uart.LSR) & UartLsr.DATA_READY) !== 0) consoleInput(portRead8(port + Uart.DATA));
  }
}
