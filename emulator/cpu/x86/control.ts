/**
 * Checks and TLB effects of MOV to CR0, CR3, CR4 (Intel SDM vol. 2, MOV to control registers; vol. 3, 2.5 and
 * 4.10.4.1).
 */
import { Cr0, Cr4, Efer } from "../../abi/x86.ts";
import { type PagingRegisters, UnsupportedFeature } from "./access.ts";
import type { Mmu } from "./mmu.ts";
import { PHYSICAL_ADDRESS_BITS } from "./pagewalk.ts";

/** The registers that the checks read, and the TLB that a write flushes. */
export interface ControlledProcessor extends PagingRegisters {
  readonly is64Bit: boolean;
  readonly mmu: Mmu;
}

/** CR4.TSD: RDTSC is privileged. */
export const TIMESTAMP_DISABLE = 4;
const VME = 1;
const PVI = 2;
/** CR4.DE: DR4 and DR5 do not exist. */
export const DEBUG_EXTENSIONS = 8;
const PAGE_SIZE_EXTENSIONS = 0x10;
const PERFORMANCE_COUNTERS = 0x100;
/** The bits that CR4 may hold: all features of the CPUID model. */
const CR4_ALLOWED =
  VME |
  PVI |
  TIMESTAMP_DISABLE |
  DEBUG_EXTENSIONS |
  PAGE_SIZE_EXTENSIONS |
  PERFORMANCE_COUNTERS |
  Cr4.PAE |
  Cr4.MCE |
  Cr4.PGE |
  Cr4.OSFXSR |
  Cr4.OSXMMEXCPT |
  Cr4.UMIP |
  Cr4.FSGSBASE |
  Cr4.SMEP |
  Cr4.SMAP;

/** False: #GP(0). Throws UnsupportedFeature for paging without long mode. */
export function allowControlWrite(processor: ControlledProcessor, index: number, value: bigint): boolean {
  switch (index) {
    case 0: {
      const next = Number(value & 0xffff_ffffn);
      if (value >> 32n || (next & Cr0.PG && !(next & Cr0.PE)) || (next & Cr0.NW && !(next & Cr0.CD))) return false;
      const enabling = (next & ~processor.cr0 & Cr0.PG) !== 0;
      if (enabling && processor.efer & Efer.LME && !(processor.cr4 & Cr4.PAE)) return false;
      if (enabling && !(processor.efer & Efer.LME))
        throw new UnsupportedFeature(`32-bit paging (CR0.PG without EFER.LME) is not modelled`);
      if (!(next & Cr0.PG) && processor.is64Bit) return false;
      processor.mmu.flushForCr0(processor.cr0, next);
      return true;
    }
    case 3:
      if (value >> BigInt(PHYSICAL_ADDRESS_BITS)) return false;
      processor.mmu.tlb.flushNonGlobal();
      return true;
    case 4: {
      if (value & ~BigInt(CR4_ALLOWED)) return false;
      const next = Number(value);
      if (processor.efer & Efer.LMA && !(next & Cr4.PAE)) return false;
      processor.mmu.flushForCr4(processor.cr4, next);
      return true;
    }
    case 8:
      return false;
  }
  return true;
}
