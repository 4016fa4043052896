export const enum Bits { LOW = 1 << 4, HIGH = 1 << 40 }
export const enum Fine { HIGH = 0x100_0000_0000 }
export function f(): u64 { return Bits.HIGH + Fine.HIGH; }
