/**
 * GDT and TSS of the checks. The table holds every kind of descriptor that a check loads. Source: Intel SDM vol. 3A,
 * 3.4.5 (segment descriptors), 5.8.3.1 (64-bit call gates), 7.7 (64-bit TSS).
 */

/**
 * Selectors, with the RPL that suits the descriptor's DPL. SYSRET needs CODE3_32, DATA3, CODE3 in this order, eight
 * apart.
 */
// biome-ignore format: a table
export const enum Sel {
  CODE0 = 0x08, DATA0 = 0x10, CODE0_32 = 0x18, CODE3_32 = 0x23, DATA3 = 0x2b, CODE3 = 0x33,
  CODE1 = 0x39, DATA1 = 0x41, CODE2 = 0x4a, DATA2 = 0x52, TSS = 0x58,
  DATA_ABSENT = 0x6b, CODE_ABSENT = 0x70, READ_ONLY = 0x7b, EXECUTE_ONLY = 0x83, CONFORMING = 0x88, LONG_AND_BIG = 0x90,
  CALL_GATE = 0x9b, GATE_TO_DATA = 0xab, FS_BASED = 0xbb, NOT_ACCESSED = 0xc3, LDT = 0xc8, LDT_ABSENT = 0xd8, TSS_ABSENT = 0xe8,
  BEYOND = 0x108,
}
export const GDT_ENTRIES: u64 = 33;
export const GDT_LIMIT: u32 = 263;

// biome-ignore format: a table
export const gdt: arr<u64, 33> = [
  0,
  0x00af_9b00_0000_ffff, // 08 code64, DPL 0
  0x00cf_9300_0000_ffff, // 10 data, DPL 0
  0x00cf_9b00_0000_ffff, // 18 code32, DPL 0
  0x00cf_fb00_0000_ffff, // 20 code32, DPL 3
  0x00cf_f300_0000_ffff, // 28 data, DPL 3
  0x00af_fb00_0000_ffff, // 30 code64, DPL 3
  0x00af_bb00_0000_ffff, // 38 code64, DPL 1
  0x00cf_b300_0000_ffff, // 40 data, DPL 1
  0x00af_db00_0000_ffff, // 48 code64, DPL 2
  0x00cf_d300_0000_ffff, // 50 data, DPL 2
  0, 0,                  // 58 TSS
  0x00cf_7300_0000_ffff, // 68 data, DPL 3, not present
  0x00af_1b00_0000_ffff, // 70 code64, DPL 0, not present
  0x00cf_f100_0000_ffff, // 78 data, DPL 3, read-only
  0x00cf_f900_0000_ffff, // 80 code32, DPL 3, execute-only
  0x00af_9f00_0000_ffff, // 88 code64, DPL 0, conforming
  0x00ef_9b00_0000_ffff, // 90 code, DPL 0, L and D both set
  0, 0,                  // 98 call gate, DPL 3
  0, 0,                  // a8 call gate, DPL 3, to a data segment
  0x12cf_f334_5678_ffff, // b8 data, DPL 3, base 0x12345678
  0x00cf_f200_0000_ffff, // c0 data, DPL 3, never accessed
  0, 0,                  // c8 LDT
  0x0000_0200_0000_ffff, 0, // d8 LDT, not present
  0x0000_0900_0000_0067, 0, // e8 TSS, available, not present
  0, 0,
];

@packed
export class TaskState {
  reserved: u32 = 0;
  rsp!: arr<u64, 3>;
  reserved2: u64 = 0;
  ist!: arr<u64, 7>;
  reserved3: u64 = 0;
  reserved4: u16 = 0;
  ioMap: u16 = 0;
}
@packed
export class DescriptorPointer {
  limit: u16 = 0;
  base: u64 = 0;
}
export const tss: TaskState = zeroed();

export const STACK_BYTES: u64 = 4096;
/** For entries from outer rings. @align 4096 */
export const ringStacks: arr<u8, 12288> = zeroed();
/** @align 4096 */
export const istStacks: arr<u8, 8192> = zeroed();

export function ringStackTop(ring: u64): u64 {
  return cast<u64>(addr(ringStacks)) + (ring + 1) * STACK_BYTES;
}
export function istStackTop(ist: u64): u64 {
  return cast<u64>(addr(istStacks)) + ist * STACK_BYTES;
}

/** A 16-byte system descriptor. */
export function setSystem(selector: u64, base: u64, limit: u64, type: u64): void {
  const at: u64 = selector >> 3;
  gdt[at] = limit | ((base & 0xff_ffff) << 16) | (type << 40) | (((base >> 24) & 0xff) << 56);
  gdt[at + 1] = base >> 32;
}
export function setCallGate(selector: u64, target: u64, targetSelector: u64): void {
  const at: u64 = selector >> 3;
  gdt[at] = (target & 0xffff) | (targetSelector << 16) | (0xec << 40) | (((target >> 16) & 0xffff) << 48);
  gdt[at + 1] = target >> 32;
}

/** Default stacks between two checks: RSP0…2 and IST1, IST2 (double fault). */
export function resetStacks(): void {
  for (let ring: u64 = 0; ring < 3; ring++) tss.rsp[ring] = ringStackTop(ring);
  tss.ist[0] = istStackTop(1);
  tss.ist[1] = istStackTop(2);
}
export function loadTables(): void {
  resetStacks();
  tss.ioMap = u16(sizeof<TaskState>());
  setSystem(Sel.TSS, cast<u64>(addr(tss)), sizeof<TaskState>() - 1, 0x89);
  asm({ in: { rax: Sel.TSS } })`ltr ax`;
}
