/**
 * Local APIC, xAPIC mode. Source: Intel SDM vol. 3A, chapter 11 (table 11-1 register map). 32-bit registers, 16-byte
 * stride.
 */
// biome-ignore format: a table
export const enum Lapic {
  ID = 0x020, VERSION = 0x030, TPR = 0x080, APR = 0x090, PPR = 0x0a0, EOI = 0x0b0, RRD = 0x0c0, LDR = 0x0d0, DFR = 0x0e0, SVR = 0x0f0,
  ISR = 0x100, TMR = 0x180, IRR = 0x200, ESR = 0x280, LVT_CMCI = 0x2f0, ICR_LOW = 0x300, ICR_HIGH = 0x310,
  LVT_TIMER = 0x320, LVT_THERMAL = 0x330, LVT_PMC = 0x340, LVT_LINT0 = 0x350, LVT_LINT1 = 0x360, LVT_ERROR = 0x370,
  TIMER_INITIAL = 0x380, TIMER_CURRENT = 0x390, TIMER_DIVIDE = 0x3e0,
}
/** As reported by QEMU's TCG machine: version 0x14, 6 LVT entries. */
export const LAPIC_VERSION: u32 = 0x0005_0014;
export const SVR_ENABLE: u32 = 0x100;
/** ICR_LOW and LVT fields. */
// biome-ignore format: a table
export const enum Icr {
  FIXED = 0x000, LOWEST = 0x100, SMI = 0x200, NMI = 0x400, INIT = 0x500, STARTUP = 0x600, DELIVERY_MASK = 0x700,
  LOGICAL = 0x800, PENDING = 0x1000, ASSERT = 0x4000, LEVEL = 0x8000,
  SELF = 0x4_0000, ALL = 0x8_0000, ALL_BUT_SELF = 0xc_0000, SHORTHAND_MASK = 0xc_0000,
}
// biome-ignore format: a table
export const enum Lvt { MASKED = 0x1_0000, PERIODIC = 0x2_0000, TSC_DEADLINE = 0x4_0000 }
/** Encodings of the divide configuration register: divide by 1. */
export const TIMER_DIVIDE_BY_1: u32 = 0xb;
/** With divide by 1 the timer counts at 1 GHz, like the TSC. */
export const TIMER_HZ: u64 = 1000000000;
