/**
 * The 4-level page walk of long mode (Intel SDM vol. 3, 4.5 to 4.8): 4 KB, 2 MB and 1 GB pages, reserved bits, NXE,
 * accessed and dirty bits, and the rights that a translation gives to an access.
 *
 * Not modelled: 32-bit and PAE paging, 5-level paging, PCID, protection keys (the CPUID model announces none of them).
 * Only an access that succeeds sets accessed bits, in every entry that it used. A paging-structure entry outside RAM
 * reads as all ones, so its reserved bits raise a fault.
 */
import { Cr0, Cr4, Efer, PageFault } from "../../abi/x86.ts";
import {
  ACCESS_FETCH,
  ACCESS_WRITE,
  type AccessKind,
  type PagingRegisters,
  type PhysicalMemory,
  PRIVILEGE_IMPLICIT,
  PRIVILEGE_USER,
  type Privilege,
} from "./access.ts";

/** MAXPHYADDR. CPUID leaf 0x80000008 must report the same number. QEMU's software CPU has 40. */
export const PHYSICAL_ADDRESS_BITS = 40;

/** The rights of a translation, combined from all levels. */
export const TranslationFlag = {
  WRITABLE: 1,
  USER: 2,
  NO_EXECUTE: 4,
  GLOBAL: 8,
  /** The page's dirty bit in memory is set. */
  DIRTY: 16,
} as const;

export const GRANT_READ = 1;
export const GRANT_WRITE = 2;
export const GRANT_FETCH = 4;
export const GRANT_ALL = 7;

/** Result of a walk that found a page; any other result is a #PF error code. */
export const WALK_OK = -1;

const PRESENT = 1;
const WRITE = 2;
const USER = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const LARGE = 0x80;
const GLOBAL = 0x100;
const NO_EXECUTE_HIGH = 0x8000_0000;
/** Bits 51…MAXPHYADDR, in the high word. */
const RESERVED_HIGH = (0x000f_ffff & ~((1 << (PHYSICAL_ADDRESS_BITS - 32)) - 1)) >>> 0;
const ADDRESS_HIGH = (1 << (PHYSICAL_ADDRESS_BITS - 32)) - 1;
const TWO_32 = 0x1_0000_0000;

export const pagingEnabled = (registers: PagingRegisters): boolean => (registers.cr0 & Cr0.PG) !== 0;

/** True if bits 63…47 are equal. */
export const isCanonical = (high: number): boolean => {
  const top = high >>> 15;
  return top === 0 || top === 0x1ffff;
};

/**
 * The rights of an access by `privilege` to a page with these flags (SDM vol. 3, 4.6.1). Write is granted only once D
 * is set.
 */
export function grants(flags: number, privilege: Privilege, registers: PagingRegisters): number {
  const cr4 = registers.cr4;
  const userPage = (flags & TranslationFlag.USER) !== 0;
  const executable = (flags & TranslationFlag.NO_EXECUTE) === 0;
  let granted = 0;
  if (privilege === PRIVILEGE_USER) {
    if (!userPage) return 0;
    granted = GRANT_READ;
    if (flags & TranslationFlag.WRITABLE) granted |= GRANT_WRITE;
    if (executable) granted |= GRANT_FETCH;
  } else {
    const smapForbids =
      userPage && (cr4 & Cr4.SMAP) !== 0 && (privilege === PRIVILEGE_IMPLICIT || !registers.alignmentCheck);
    if (!smapForbids) {
      granted = GRANT_READ;
      if (flags & TranslationFlag.WRITABLE || !(registers.cr0 & Cr0.WP)) granted |= GRANT_WRITE;
    }
    if (executable && !(userPage && cr4 & Cr4.SMEP)) granted |= GRANT_FETCH;
  }
  return granted;
}

/** Bits W/R, U/S and I/D of a #PF error code; the caller adds P and RSVD (SDM vol. 3, 4.7). */
export function accessError(access: AccessKind, privilege: Privilege, registers: PagingRegisters): number {
  let error = 0;
  if (access === ACCESS_WRITE) error |= PageFault.W;
  if (privilege === PRIVILEGE_USER) error |= PageFault.U;
  if (access === ACCESS_FETCH) {
    const noExecuteExists = (registers.efer & Efer.NXE) !== 0 && (registers.cr4 & Cr4.PAE) !== 0;
    if (noExecuteExists || registers.cr4 & Cr4.SMEP) error |= PageFault.I;
  }
  return error;
}

/** One walker per core. Its fields hold the results of the last successful walk, so a walk allocates nothing. */
export class PageWalk {
  /** Physical address of the page's first byte. */
  physical = 0;
  /** Size of the page in bytes: 4 KB, 2 MB or 1 GB. */
  bytes = 0;
  /** TranslationFlag bits. */
  flags = 0;
  private readonly entryOffsets = [0, 0, 0, 0];

  constructor(private readonly memory: PhysicalMemory) {}

  /**
   * Translates a canonical linear address with paging on. Returns WALK_OK or the #PF error code. `setBits` false: sets
   * no accessed or dirty bit and checks no rights (for the debugger).
   */
  walk(
    registers: PagingRegisters,
    low: number,
    high: number,
    access: AccessKind,
    privilege: Privilege,
    setBits = true,
  ): number {
    const words = this.memory.words;
    const noExecuteReserved = registers.efer & Efer.NXE ? 0 : NO_EXECUTE_HIGH;
    const reservedHigh = (RESERVED_HIGH | noExecuteReserved) >>> 0;
    const cr3 = registers.cr3;
    let table = cr3 - (cr3 % 4096);
    let writable = WRITE;
    let user = USER;
    let noExecute = 0;
    for (let level = 3; ; level--) {
      const index =
        level === 3
          ? (high >>> 7) & 511
          : level === 2
            ? ((high & 0x7f) << 2) | (low >>> 30)
            : level === 1
              ? (low >>> 21) & 511
              : (low >>> 12) & 511;
      const offset = this.memory.offsetOf(table + index * 8);
      const entryLow = offset < 0 ? 0xffff_ffff : words[offset / 4];
      const entryHigh = offset < 0 ? 0xffff_ffff : words[offset / 4 + 1];
      if (!(entryLow & PRESENT)) return accessError(access, privilege, registers);
      const leaf = level === 0 || (entryLow & LARGE) !== 0;
      if (entryHigh & reservedHigh || (leaf && level > 0 && reservedInLarge(level, entryLow))) {
        return PageFault.P | PageFault.RSVD | accessError(access, privilege, registers);
      }
      this.entryOffsets[level] = offset;
      writable &= entryLow;
      user &= entryLow;
      noExecute |= entryHigh >>> 31;
      const address = (entryLow & 0xffff_f000) >>> 0;
      if (!leaf) {
        table = (entryHigh & ADDRESS_HIGH) * TWO_32 + address;
        continue;
      }
      let flags = 0;
      if (writable) flags |= TranslationFlag.WRITABLE;
      if (user) flags |= TranslationFlag.USER;
      if (noExecute) flags |= TranslationFlag.NO_EXECUTE;
      if (entryLow & GLOBAL && registers.cr4 & Cr4.PGE) flags |= TranslationFlag.GLOBAL;
      if (entryLow & DIRTY || (access === ACCESS_WRITE && setBits)) flags |= TranslationFlag.DIRTY;
      if (setBits) {
        if (!(grants(flags, privilege, registers) & (1 << access)))
          return PageFault.P | accessError(access, privilege, registers);
        for (let used = 3; used > level; used--) this.setInEntry(this.entryOffsets[used], ACCESSED);
        this.setInEntry(offset, access === ACCESS_WRITE ? ACCESSED | DIRTY : ACCESSED);
      }
      this.flags = flags;
      this.bytes = level === 0 ? 0x1000 : level === 1 ? 0x20_0000 : 0x4000_0000;
      const pageLow =
        level === 0 ? address : level === 1 ? (address & 0xffe0_0000) >>> 0 : (address & 0xc000_0000) >>> 0;
      this.physical = (entryHigh & ADDRESS_HIGH) * TWO_32 + pageLow;
      return WALK_OK;
    }
  }

  private setInEntry(offset: number, bits: number): void {
    const words = this.memory.words;
    const entry = words[offset / 4];
    if ((entry & bits) === bits) return;
    words[offset / 4] = entry | bits;
    this.memory.written(offset);
  }
}

/** Bit 7 of a PML4 entry, and the address bits below a large page's boundary other than PAT (bit 12). */
function reservedInLarge(level: number, entryLow: number): boolean {
  if (level === 3) return true;
  return (entryLow & (level === 2 ? 0x3fff_e000 : 0x001f_e000)) !== 0;
}
