/**
 * The I/O APIC: routes global system interrupts to a core. Every pin starts masked. Source: Intel 82093AA data sheet,
 * 3.2.
 */
import { IOAPIC_PINS, Ioapic, IoapicRegister, Redirection } from "../abi/ioapic.ts";
import { DIRECT_MAP_BASE, IOAPIC_BASE } from "../abi/memory.ts";
import { IRQ_VECTOR_BASE } from "../abi/vectors.ts";
import { registerInterrupt } from "./trap.ts";

function write(index: u32, value: u32): void {
  volatileWrite(cast<ptr<u32>>(DIRECT_MAP_BASE + IOAPIC_BASE + Ioapic.INDEX), index);
  volatileWrite(cast<ptr<u32>>(DIRECT_MAP_BASE + IOAPIC_BASE + Ioapic.DATA), value);
}

export function ioapicStart(): void {
  for (let pin: u32 = 0; pin < IOAPIC_PINS; pin++) {
    write(IoapicRegister.REDIRECTION + 2 * pin, Redirection.MASKED | (IRQ_VECTOR_BASE + pin));
    write(IoapicRegister.REDIRECTION + 2 * pin + 1, 0);
  }
}

/**
 * Registers `run` for a pin (edge-triggered, active high) and unmasks it, with core `apicId` as the target. Boot only:
 * takes no lock.
 */
export function ioapicRoute(pin: u32, apicId: u32, run: (vector: u32, device: u64) => void, device: u64): void {
  registerInterrupt(IRQ_VECTOR_BASE + pin, run, device);
  write(IoapicRegister.REDIRECTION + 2 * pin + 1, apicId << 24);
  write(IoapicRegister.REDIRECTION + 2 * pin, IRQ_VECTOR_BASE + pin);
}
