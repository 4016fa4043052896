/**
 * I/O APIC with 24 inputs. Source: Intel 82093AA data sheet, section 3. Modelled: index and data window, redirection
 * table, edge and level inputs, remote IRR with EOI, masks, physical and logical destinations. Left out: input polarity
 * (lines are logical levels), SMI, INIT, ExtINT delivery.
 */
import { IOAPIC_PINS, IOAPIC_VERSION, Ioapic, IoapicRegister, Redirection } from "../abi/ioapic.ts";
import { type DeviceHost, hex, type InterruptLine } from "./device.ts";

export interface IoapicBus extends DeviceHost {
  /** Message on the APIC bus; `mode` is the entry's delivery mode in place (bits 8–10). */
  deliverExternal(destination: number, logical: boolean, mode: number, vector: number, level: boolean): void;
}

/** Bits of the low word that a write changes: all except delivery status and remote IRR. */
const WRITABLE_LOW = 0x1_afff;
const DELIVERY_MASK = 0x700;

export class IoApic {
  private index = 0;
  private id = 0;
  private readonly low = new Uint32Array(IOAPIC_PINS).fill(Redirection.MASKED);
  private readonly high = new Uint32Array(IOAPIC_PINS);
  private readonly level = new Uint8Array(IOAPIC_PINS);

  constructor(private readonly bus: IoapicBus) {}

  /** The input `pin` as a line that a device drives. */
  line(pin: number): InterruptLine {
    return { set: (level) => this.setLine(pin, level) };
  }

  setLine(pin: number, level: boolean): void {
    const was = this.level[pin] !== 0;
    this.level[pin] = level ? 1 : 0;
    if (!level || (this.low[pin] & Redirection.MASKED) !== 0) return;
    if ((this.low[pin] & Redirection.LEVEL) !== 0) this.serviceLevel(pin);
    else if (!was) this.send(pin);
  }

  /** A LAPIC ended a level-triggered interrupt: a line that is still asserted interrupts again. */
  endOfInterrupt(vector: number): void {
    for (let pin = 0; pin < IOAPIC_PINS; pin++) {
      if ((this.low[pin] & Redirection.REMOTE_IRR) === 0 || (this.low[pin] & 0xff) !== vector) continue;
      this.low[pin] &= ~Redirection.REMOTE_IRR;
      this.serviceLevel(pin);
    }
  }

  read(offset: number, size: number): number {
    if (offset === Ioapic.INDEX) return this.index;
    if (offset === Ioapic.DATA && size === 4) return this.readRegister();
    this.bus.report(`ioapic: read of ${size} bytes at unknown offset ${hex(offset, 2)}`);
    return 0xffff_ffff;
  }

  write(offset: number, size: number, value: number): void {
    if (offset === Ioapic.INDEX) this.index = value & 0xff;
    else if (offset === Ioapic.DATA && size === 4) this.writeRegister(value >>> 0);
    else this.bus.report(`ioapic: write of ${size} bytes at unknown offset ${hex(offset, 2)}`);
  }

  state(): unknown {
    return { index: this.index, id: this.id, low: [...this.low], high: [...this.high], level: [...this.level] };
  }

  private readRegister(): number {
    // biome-ignore format: one case a row
    switch (this.index) {
      case IoapicRegister.ID: case IoapicRegister.ARBITRATION: return this.id;
      case IoapicRegister.VERSION: return IOAPIC_VERSION;
    }
    const pin = (this.index - IoapicRegister.REDIRECTION) >> 1;
    if (pin >= 0 && pin < IOAPIC_PINS) return (this.index & 1) !== 0 ? this.high[pin] : this.low[pin];
    this.bus.report(`ioapic: read of unknown register ${hex(this.index, 2)}`);
    return 0;
  }

  private writeRegister(value: number): void {
    if (this.index === IoapicRegister.ID) {
      this.id = value & 0x0f00_0000;
      return;
    }
    const pin = (this.index - IoapicRegister.REDIRECTION) >> 1;
    if (pin >= 0 && pin < IOAPIC_PINS) {
      if ((this.index & 1) !== 0) this.high[pin] = (value & 0xff00_0000) >>> 0;
      else this.writeLow(pin, value);
    } else if (this.index === IoapicRegister.VERSION || this.index === IoapicRegister.ARBITRATION) {
      this.bus.report(
        `ioapic: write to read-only ${this.index === IoapicRegister.VERSION ? "VERSION" : "ARBITRATION"} ${hex(this.index, 2)}`,
      );
    } else this.bus.report(`ioapic: write to unknown register ${hex(this.index, 2)}`);
  }

  private writeLow(pin: number, value: number): void {
    // Only level-triggered entries have a remote IRR: switching to edge clears it.
    const kept = (value & Redirection.LEVEL) !== 0 ? this.low[pin] & Redirection.REMOTE_IRR : 0;
    this.low[pin] = (value & WRITABLE_LOW) | kept;
    if ((value & Redirection.LEVEL) !== 0) this.serviceLevel(pin);
  }

  private serviceLevel(pin: number): void {
    const entry = this.low[pin];
    if (
      this.level[pin] === 0 ||
      (entry & (Redirection.MASKED | Redirection.REMOTE_IRR)) !== 0 ||
      (entry & Redirection.LEVEL) === 0
    )
      return;
    this.low[pin] |= Redirection.REMOTE_IRR;
    this.send(pin);
  }

  private send(pin: number): void {
    const entry = this.low[pin];
    const level = (entry & Redirection.LEVEL) !== 0;
    this.bus.deliverExternal(
      this.high[pin] >>> 24,
      (entry & Redirection.LOGICAL) !== 0,
      entry & DELIVERY_MASK,
      entry & 0xff,
      level,
    );
  }
}
