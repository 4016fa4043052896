/**
 * 16550A serial port. Source: National Semiconductor PC16550D data sheet, section 8 (registers), 8.5 (interrupt
 * identification), 8.6 (FIFOs). Modelled: both FIFOs' registers, receiver and transmitter-empty interrupts, loop-back,
 * divisor latch, modem status (all signals present). Left out: baud rate (a character is sent in no time, as in QEMU's
 * console), parity, break, modem interrupts.
 */
import { Uart, UartFcr, UartIer, UartIir, UartLcr, UartLsr, UartMcr } from "../abi/uart.ts";
import { type DeviceHost, hex, type InterruptLine } from "./device.ts";

const FIFO_BYTES = 16;
/** DCD, DSR and CTS present, no change recorded. */
const MODEM_STATUS = 0xb0;

export class Uart16550 {
  private ier = 0;
  private lcr = 0;
  private mcr = 0;
  private scratch = 0;
  private divisor = 12;
  private fifoEnabled = false;
  private overrun = false;
  /** The transmitter-empty condition is reported once: reading IIR or writing THR clears it. */
  private transmitPending = false;
  private readonly received: number[] = [];
  /** Bytes that the host has typed and the receiver has not taken yet. */
  private readonly typed: number[] = [];

  constructor(
    private readonly host: DeviceHost,
    private readonly line: InterruptLine,
    private readonly onByte: (byte: number) => void,
  ) {}

  /** Host side: bytes arrive as fast as the guest empties the FIFO; none is lost. */
  type(bytes: Uint8Array): void {
    for (const byte of bytes) this.typed.push(byte);
    this.refill();
  }

  read(register: number, size: number): number {
    if (size !== 1) this.host.report(`uart: read of ${size} bytes at register ${register}`);
    if ((this.lcr & UartLcr.DLAB) !== 0 && register < 2)
      return register === 0 ? this.divisor & 0xff : this.divisor >>> 8;
    // biome-ignore format: one case a row
    switch (register) {
      case Uart.DATA: {
        const byte = this.received.shift() ?? 0;
        this.refill();
        this.update();
        return byte;
      }
      case Uart.IER: return this.ier;
      case Uart.IIR: {
        const cause = this.cause();
        if (cause === UartIir.TRANSMIT_EMPTY) {
          this.transmitPending = false;
          this.update();
        }
        return cause | (this.fifoEnabled ? UartIir.FIFO : 0);
      }
      case Uart.LCR: return this.lcr;
      case Uart.MCR: return this.mcr;
      case Uart.LSR: {
        const status = UartLsr.TRANSMIT_EMPTY | UartLsr.TRANSMIT_HOLDING_EMPTY | (this.received.length > 0 ? UartLsr.DATA_READY : 0) | (this.overrun ? UartLsr.OVERRUN : 0);
        this.overrun = false;
        this.update();
        return status;
      }
      case Uart.MSR: return (this.mcr & UartMcr.LOOP) !== 0 ? loopedModemStatus(this.mcr) : MODEM_STATUS;
      default: return this.scratch;
    }
  }

  write(register: number, size: number, value: number): void {
    if (size !== 1) this.host.report(`uart: write of ${size} bytes at register ${register}`);
    value &= 0xff;
    if ((this.lcr & UartLcr.DLAB) !== 0 && register < 2) {
      this.divisor = register === 0 ? (this.divisor & 0xff00) | value : (this.divisor & 0xff) | (value << 8);
      return;
    }
    // biome-ignore format: one case a row
    switch (register) {
      case Uart.DATA: this.transmit(value); break;
      case Uart.IER:
        // Enabling the transmitter interrupt while it is empty interrupts at once (8.5).
        if ((value & ~this.ier & UartIer.TRANSMIT_EMPTY) !== 0) this.transmitPending = true;
        this.ier = value & 0xf;
        break;
      case Uart.FCR:
        this.writeFifoControl(value);
        this.refill();
        break;
      case Uart.LCR: this.lcr = value; break;
      case Uart.MCR: this.mcr = value & 0x1f; break;
      case Uart.SCRATCH: this.scratch = value; break;
      default: this.host.report(`uart: write to read-only ${register === Uart.LSR ? "LSR" : "MSR"} ${hex(register)}`);
    }
    this.update();
  }

  state(): unknown {
    const { ier, lcr, mcr, scratch, divisor, fifoEnabled, overrun, transmitPending } = this;
    return {
      ier,
      lcr,
      mcr,
      scratch,
      divisor,
      fifoEnabled,
      overrun,
      transmitPending,
      received: [...this.received],
      typed: [...this.typed],
    };
  }

  /** 8.4: a change of mode clears the FIFOs; the other bits are valid only together with ENABLE. */
  private writeFifoControl(value: number): void {
    const enable = (value & UartFcr.ENABLE) !== 0;
    if (enable !== this.fifoEnabled || (enable && (value & UartFcr.CLEAR_RECEIVE) !== 0)) this.received.length = 0;
    this.fifoEnabled = enable;
  }

  private transmit(byte: number): void {
    if ((this.mcr & UartMcr.LOOP) !== 0) this.loopBack(byte);
    else this.onByte(byte);
    // The line falls and rises again, so that an edge-triggered input sees the new empty condition.
    this.transmitPending = false;
    this.update();
    this.transmitPending = true;
  }

  /** 8.6.1, bit 1: a full FIFO loses the new character; without FIFO the old character is overwritten. */
  private loopBack(byte: number): void {
    const isFull = this.received.length >= (this.fifoEnabled ? FIFO_BYTES : 1);
    this.overrun ||= isFull;
    if (!isFull) this.received.push(byte);
    else if (!this.fifoEnabled) this.received[0] = byte;
  }

  private refill(): void {
    if ((this.mcr & UartMcr.LOOP) !== 0) return;
    const room = this.fifoEnabled ? FIFO_BYTES : 1;
    while (this.typed.length > 0 && this.received.length < room) this.received.push(this.typed.shift()!);
    this.update();
  }

  /** Highest pending and enabled cause (table of 8.5). The trigger level is 1, so data never waits for a time-out. */
  private cause(): number {
    if ((this.ier & UartIer.LINE_STATUS) !== 0 && this.overrun) return UartIir.LINE_STATUS;
    if ((this.ier & UartIer.RECEIVED) !== 0 && this.received.length > 0) return UartIir.RECEIVED;
    if ((this.ier & UartIer.TRANSMIT_EMPTY) !== 0 && this.transmitPending) return UartIir.TRANSMIT_EMPTY;
    return UartIir.NONE;
  }

  private update(): void {
    this.line.set(this.cause() !== UartIir.NONE);
  }
}

/** Loop-back ties RTS→CTS, DTR→DSR, OUT1→RI, OUT2→DCD (8.7). */
function loopedModemStatus(mcr: number): number {
  return ((mcr & 0x2) << 3) | ((mcr & 0x1) << 5) | ((mcr & 0xc) << 4);
}
