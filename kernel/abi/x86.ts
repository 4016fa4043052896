/**
 * Processor facts: control registers, MSRs, page-table entries, exceptions.
 * Source: Intel SDM vol. 3A (2.5 control registers, 4.5 paging, 6.15 exceptions), vol. 4 (MSRs); AMD APM vol. 2.
 */
// biome-ignore format: a table
export const enum Cr0 { PE = 0x1, MP = 0x2, EM = 0x4, TS = 0x8, ET = 0x10, NE = 0x20, WP = 0x1_0000, AM = 0x4_0000, NW = 0x2000_0000, CD = 0x4000_0000, PG = 0x8000_0000 }
// biome-ignore format: a table
export const enum Cr4 { PAE = 0x20, MCE = 0x40, PGE = 0x80, OSFXSR = 0x200, OSXMMEXCPT = 0x400, UMIP = 0x800, FSGSBASE = 0x1_0000, PCIDE = 0x2_0000, SMEP = 0x10_0000, SMAP = 0x20_0000 }
// biome-ignore format: a table
export const enum Efer { SCE = 0x1, LME = 0x100, LMA = 0x400, NXE = 0x800 }
// biome-ignore format: a table
export const enum Rflags { CF = 0x1, ONE = 0x2, PF = 0x4, AF = 0x10, ZF = 0x40, SF = 0x80, TF = 0x100, IF = 0x200, DF = 0x400, OF = 0x800, IOPL = 0x3000, NT = 0x4000, RF = 0x1_0000, VM = 0x2_0000, AC = 0x4_0000, ID = 0x20_0000 }
export const enum Msr {
  TSC = 0x10,
  APIC_BASE = 0x1b,
  PAT = 0x277,
  EFER = 0xc000_0080,
  STAR = 0xc000_0081,
  LSTAR = 0xc000_0082,
  CSTAR = 0xc000_0083,
  FMASK = 0xc000_0084,
  FS_BASE = 0xc000_0100,
  GS_BASE = 0xc000_0101,
  KERNEL_GS_BASE = 0xc000_0102,
  TSC_AUX = 0xc000_0103,
}
/** CPUID leaf 7, subleaf 0: EBX, and ECX. */
// biome-ignore format: a table
export const enum Feature7Ebx { FSGSBASE = 0x1, SMEP = 0x80, SMAP = 0x10_0000 }
// biome-ignore format: a table
export const enum Feature7Ecx { UMIP = 0x4 }
/** Page-table entry bits of all levels. */
// biome-ignore format: a table
export const enum Pte { P = 0x1, W = 0x2, U = 0x4, PWT = 0x8, PCD = 0x10, A = 0x20, D = 0x40, PS = 0x80, G = 0x100, ADDRESS = 0x000f_ffff_ffff_f000 }
/** Bit 63 of an entry; an enum member cannot represent it exactly. */
export const PTE_NX: u64 = 0x8000_0000_0000_0000;
/** #PF error code. */
// biome-ignore format: a table
export const enum PageFault { P = 0x1, W = 0x2, U = 0x4, RSVD = 0x8, I = 0x10 }
// biome-ignore format: a table
export const enum Exception { DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, BR = 5, UD = 6, NM = 7, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13, PF = 14, MF = 16, AC = 17, MC = 18, XM = 19 }

/** DR6. TRAPS: the four breakpoints. RESET: as after INIT. */
// biome-ignore format: a table
export const enum Dr6 { TRAPS = 0xf, BS = 0x4000, RESET = 0xffff_0ff0 }
/** Exceptions of the x87 status word and of MXCSR. The control word masks them by the same bits, MXCSR seven higher. */
// biome-ignore format: a table
export const enum FloatException { IE = 0x1, DE = 0x2, ZE = 0x4, OE = 0x8, UE = 0x10, PE = 0x20, ALL = 0x3f }

/** Global descriptor table of each core. SYSRET requires user data before user code (STAR[63:48] + 8, + 16). */
// biome-ignore format: a table
export const enum Selector { KERNEL_CODE = 0x08, KERNEL_DATA = 0x10, USER_BASE = 0x18, USER_DATA = 0x23, USER_CODE = 0x2b, TSS = 0x30, BOOT_CODE32 = 0x40 }
