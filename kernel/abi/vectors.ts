/**
 * Interrupt vectors. Exceptions own 0…31; the rest is ordered by priority class (vector >> 4), higher is more urgent.
 */
export const IRQ_VECTOR_BASE: u32 = 0x30;
/** GSI n of the IOAPIC has vector IRQ_VECTOR_BASE + n. */
export const IRQ_COUNT: u32 = 24;
export const enum Vector {
  LAPIC_TIMER = 0xe0,
  /** Another core has sent a frame: the core that serves the NIC sets the retransmission timer. */
  NET_TIMER = 0xe8,
  /** Wakes a core from hlt; the handler does nothing. */
  WAKE = 0xf0,
  TLB_SHOOTDOWN = 0xf1,
  CROSS_CALL = 0xf2,
  LAPIC_ERROR = 0xfe,
  SPURIOUS = 0xff,
}
