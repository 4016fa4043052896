/** I/O APIC. Source: Intel 82093AA data sheet, section 3. Index register at +0x00, data window at +0x10. */
// biome-ignore format: a table
export const enum Ioapic { INDEX = 0x00, DATA = 0x10 }
// biome-ignore format: a table
export const enum IoapicRegister { ID = 0x00, VERSION = 0x01, ARBITRATION = 0x02, REDIRECTION = 0x10 }
export const IOAPIC_VERSION: u32 = 0x0017_0020;
export const IOAPIC_PINS: u32 = 24;
/** Low word of a redirection entry; the high word holds the destination APIC id in bits 24–31. */
// biome-ignore format: a table
export const enum Redirection { LOGICAL = 0x800, PENDING = 0x1000, ACTIVE_LOW = 0x2000, REMOTE_IRR = 0x4000, LEVEL = 0x8000, MASKED = 0x1_0000 }
