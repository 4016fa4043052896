/** The local APIC of each core, xAPIC mode, through the direct map. Source: Intel SDM vol. 3A, chapter 11. */
import { Icr, Lapic, Lvt, SVR_ENABLE, TIMER_DIVIDE_BY_1 } from "../abi/lapic.ts";
import { DIRECT_MAP_BASE, LAPIC_BASE } from "../abi/memory.ts";
import { Vector } from "../abi/vectors.ts";
import { disableInterrupts, pause, restoreInterrupts } from "./cpu.ts";

function register(offset: u32): ptr<u32> {
  return cast<ptr<u32>>(DIRECT_MAP_BASE + LAPIC_BASE + u64(offset));
}
function read(offset: u32): u32 {
  return volatileRead(register(offset));
}
function write(offset: u32, value: u32): void {
  volatileWrite(register(offset), value);
}

/**
 * Run on each core: enables the LAPIC, with the timer one-shot and stopped, errors delivered, both local pins masked.
 */
export function lapicStart(): void {
  write(Lapic.SVR, SVR_ENABLE | Vector.SPURIOUS);
  write(Lapic.TPR, 0);
  write(Lapic.LVT_LINT0, Lvt.MASKED);
  write(Lapic.LVT_LINT1, Lvt.MASKED);
  write(Lapic.TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
  write(Lapic.LVT_TIMER, Vector.LAPIC_TIMER);
  write(Lapic.TIMER_INITIAL, 0);
  write(Lapic.LVT_ERROR, Vector.LAPIC_ERROR);
}

export function lapicId(): u32 {
  return read(Lapic.ID) >> 24;
}

/** Interrupts after `ticks` nanoseconds; 0 stops the timer. */
export function lapicTimer(ticks: u32): void {
  write(Lapic.TIMER_INITIAL, ticks);
}

/** Sends an interrupt to one core. `command`: a vector (fixed delivery), or Icr.INIT, STARTUP | page, NMI. */
export function lapicSend(apicId: u32, command: u32): void {
  const flags: u64 = disableInterrupts();
  while ((read(Lapic.ICR_LOW) & Icr.PENDING) !== 0) pause();
  write(Lapic.ICR_HIGH, apicId << 24);
  write(Lapic.ICR_LOW, command | Icr.ASSERT);
  restoreInterrupts(flags);
}

/** Reads and clears the error status. */
export function lapicError(): u32 {
  write(Lapic.ESR, 0);
  return read(Lapic.ESR);
}
