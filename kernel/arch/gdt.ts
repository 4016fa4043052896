/**
 * Descriptor tables of each core: a flat GDT with its TSS, which names the stacks for entries from user mode (RSP0),
 * NMI (IST1) and double fault (IST2). Source: Intel SDM vol. 3A, 3.4.5 (descriptors), 7.7 (64-bit TSS).
 */
import { Selector } from "../abi/x86.ts";

export const enum Ist {
  NMI = 1,
  DOUBLE_FAULT = 2,
}
/** Bytes of each IST stack. */
export const IST_STACK_BYTES: u64 = 4096;

// biome-ignore format: table
const DESCRIPTOR_KERNEL_CODE: u64 = 0x00af_9b00_0000_ffff;
const DESCRIPTOR_KERNEL_DATA: u64 = 0x00cf_9300_0000_ffff;
const DESCRIPTOR_USER_DATA: u64 = 0x00cf_f300_0000_ffff;
const DESCRIPTOR_USER_CODE: u64 = 0x00af_fb00_0000_ffff;
const DESCRIPTOR_CODE32: u64 = 0x00cf_9b00_0000_ffff;
const DESCRIPTOR_TSS_AVAILABLE: u64 = 0x0000_8900_0000_0000;

/** The first table of every core, until `loadGdt`; also used while paging is off. Index = selector >> 3. */
export const bootGdt: arr<u64, 9> = [
  0,
  DESCRIPTOR_KERNEL_CODE,
  DESCRIPTOR_KERNEL_DATA,
  0,
  DESCRIPTOR_USER_DATA,
  DESCRIPTOR_USER_CODE,
  0,
  0,
  DESCRIPTOR_CODE32,
];

@packed
class TaskState {
  reserved: u32 = 0;
  rsp!: arr<u64, 3>;
  reserved2: u64 = 0;
  ist!: arr<u64, 7>;
  reserved3: u64 = 0;
  reserved4: u16 = 0;
  /** Beyond the limit: programs may access no port. */
  ioMap: u16 = 0;
}
@packed
export class DescriptorPointer {
  limit: u16 = 0;
  base: u64 = 0;
}
class Tables {
  gdt!: arr<u64, 8>;
  state!: TaskState;
}
const tables: arr<Tables, 64> = zeroed();

/**
 * Loads the tables of CPU `index`, on that CPU. `istStacks`: 2 × IST_STACK_BYTES. Selectors are the same as in the boot
 * table.
 */
export function loadGdt(index: u32, kernelStackTop: u64, istStacks: u64): void {
  const t = addr(tables[index]);
  for (let i: u32 = 0; i < 6; i++) t.gdt[i] = bootGdt[i];
  t.state.rsp[0] = kernelStackTop;
  t.state.ist[Ist.NMI - 1] = istStacks + IST_STACK_BYTES;
  t.state.ist[Ist.DOUBLE_FAULT - 1] = istStacks + 2 * IST_STACK_BYTES;
  t.state.ioMap = u16(sizeof<TaskState>());
  const base: u64 = cast<u64>(addr(t.state));
  t.gdt[Selector.TSS >> 3] =
    DESCRIPTOR_TSS_AVAILABLE | (sizeof<TaskState>() - 1) | ((base & 0xff_ffff) << 16) | (((base >> 24) & 0xff) << 56);
  t.gdt[(Selector.TSS >> 3) + 1] = base >> 32;
  const pointer: DescriptorPointer = zeroed();
  pointer.limit = u16(sizeof<arr<u64, 8>>() - 1);
  pointer.base = cast<u64>(addr(t.gdt));
  const at: u64 = cast<u64>(addr(pointer));
  asm({ clobber: ["memory"] })`lgdt [${at}]`;
  asm({ in: { rax: Selector.TSS } })`ltr ax`;
}
