/** Fixed ports of the machine (QEMU's microvm,acpi=off layout) and the PVH start info. */
/** fw_cfg: 16-bit selector, 8-bit data. Source: QEMU docs/specs/fw_cfg. */
export const FW_CFG_SELECTOR: u16 = 0x510;
export const FW_CFG_DATA: u16 = 0x511;
// biome-ignore format: a table
export const enum FwCfgKey { SIGNATURE = 0, ID = 1, CPU_COUNT = 5 }
/** isa-debug-exit: writing v ends the machine with status (v << 1) | 1. */
export const DEBUG_EXIT_PORT: u16 = 0xf4;
// biome-ignore format: a table
export const enum I8042 { DATA = 0x60, COMMAND = 0x64 }
/** Command to I8042.COMMAND that resets the machine. */
export const I8042_RESET: u8 = 0xfe;
export const KEYBOARD_GSI: u32 = 1;

/** Xen PVH, public/arch-x86/hvm/start_info.h. EBX holds its physical address at entry. */
export const PVH_MAGIC: u32 = 0x336e_c578;
export class PvhStartInfo {
  magic: u32 = 0;
  version: u32 = 0;
  flags: u32 = 0;
  moduleCount: u32 = 0;
  modulesAddress: u64 = 0;
  commandLineAddress: u64 = 0;
  rsdpAddress: u64 = 0;
  memoryMapAddress: u64 = 0;
  memoryMapEntries: u32 = 0;
  reserved: u32 = 0;
}
export class PvhModule {
  address: u64 = 0;
  lengthBytes: u64 = 0;
  commandLineAddress: u64 = 0;
  reserved: u64 = 0;
}
export class PvhMemory {
  address: u64 = 0;
  lengthBytes: u64 = 0;
  type: u32 = 0;
  reserved: u32 = 0;
}
// biome-ignore format: a table
export const enum PvhMemoryType { RAM = 1, RESERVED = 2, ACPI = 3, NVS = 4, UNUSABLE = 5 }
/** ELF note with the entry: name "Xen", this type, descriptor = 32-bit physical address. */
export const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;
