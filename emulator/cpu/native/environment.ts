/**
 * The environment: a core's registers as translated code sees them, at fixed offsets from R15. All cores share
 * translated code, so code reaches the data of a core only through R15 and contains no address of a core.
 */
import type { Address, HostMemory } from "./memory.ts";

/** Privileges that have their own tables. Code is translated for one privilege. */
export const PRIVILEGES = 3;
export const USER = 0;
export const SUPERVISOR = 1;
/** Supervisor with SMAP and RFLAGS.AC set. */
export const SUPERVISOR_AC = 2;

/** Entries of one TLB and of one jump cache, 16 bytes each. */
export const TLB_ENTRIES = 512;
export const JUMP_ENTRIES = 4096;
/** Slots for linear pages whose code page is known. */
export const PAGE_SLOTS = 1024;
export const ENTRY_BYTES = 16;
const TLB_BYTES = TLB_ENTRIES * ENTRY_BYTES;
const JUMP_BYTES = JUMP_ENTRIES * ENTRY_BYTES;

/** Offsets in bytes. A short displacement reaches the first 128. */
export const Env = {
  GPR: 0,
  /** In the format of host RAX: AL = OF (0 or 1), AH = SF ZF AF PF CF in the order of LAHF. */
  FLAGS: 0x80,
  /** Instructions left. Negative while a block is being refunded. */
  BUDGET: 0x88,
  /** Linear address of an access that missed. */
  ADDRESS: 0x90,
  /** Target of an indirect branch that the jump cache does not hold. */
  TARGET: 0x98,
  /** RFLAGS without the status flags. */
  SYSTEM_FLAGS: 0xa0,
  /** The x87 state is in the host's registers. */
  X87_LIVE: 0xa4,
  /** The host's MXCSR while translated code runs: all exceptions masked. */
  MXCSR: 0xa8,
  HOST_MXCSR: 0xac,
  FS_BASE: 0xb0,
  GS_BASE: 0xb8,
  /** Position in the code buffer where the host raised a signal, and the signal (crash.ts). */
  CRASH_AT: 0xc0,
  CRASH_SIGNAL: 0xc8,
  /** Bits: see Restricted. */
  RESTRICTED: 0xcc,
  /** What RDTSC would read at the end of the run's budget; TSC_AUX. */
  TSC_END: 0xd0,
  TSC_AUX: 0xd8,
  XMM: 0x100,
  /** 108 bytes in the format of FNSAVE, all exceptions masked. */
  X87: 0x200,
  /** Memory operand of an instruction that is executed alone (step.ts): 64 bytes, aligned. */
  BOUNCE: 0x280,
  /** Two scratch registers of 16 bytes. */
  SCRATCH: 0x2c0,
  /** By linear page, modulo PAGE_SLOTS: the number of the code page that the core runs there; 0: none. */
  PAGES: 0x400,
  /** By privilege: a table for reads, then a table for writes. An entry: the linear page, the host page. */
  TLB: 0x2000,
  /** By privilege. An entry: linear address, host code. */
  JUMPS: 0x2000 + PRIVILEGES * 2 * TLB_BYTES,
  BYTES: 0x2000 + PRIVILEGES * (2 * TLB_BYTES + JUMP_BYTES),
} as const;

/** Bits of Env.RESTRICTED: RDTSC faults; CLI looks at IOPL. */
export const Restricted = { TSC: 1, CLI: 2 } as const;

export const readTable = (privilege: number): number => Env.TLB + privilege * 2 * TLB_BYTES;
export const writeTable = (privilege: number): number => readTable(privilege) + TLB_BYTES;
/** Slot that holds the number of the code page, for a linear page and a mode. */
export const pageSlot = (linearPage: number, mode: number): number =>
  Env.PAGES + ((linearPage + mode * 341) & (PAGE_SLOTS - 1)) * 4;
export const jumpTable = (privilege: number): number => Env.JUMPS + privilege * JUMP_BYTES;

/** High word of a tag that no address has: bits 63 to 48 are neither all 0 nor all 1. */
const NO_TAG_HIGH = 0x4000_0000;
const NO_ENTRY = BigInt(NO_TAG_HIGH) << 32n;
const TWO_32 = 0x1_0000_0000;

export class Environment {
  readonly address: Address;
  readonly view: DataView;
  readonly bytes: Uint8Array;
  private readonly words: Uint32Array;
  private readonly tables: BigUint64Array;
  /** Bit n: the jump cache of privilege n has entries. Initially all bits are set, since nothing has been cleared. */
  private jumpsUsed = (1 << PRIVILEGES) - 1;
  private tlbUsed = true;
  private pagesUsed = true;

  /** `memory` has at least Env.BYTES bytes from `offset` on. */
  constructor(memory: HostMemory, offset: number) {
    this.address = memory.address + offset;
    const { buffer } = memory.bytes;
    this.view = new DataView(buffer, offset, Env.BYTES);
    this.bytes = new Uint8Array(buffer, offset, Env.BYTES);
    this.words = new Uint32Array(buffer, offset, Env.BYTES / 4);
    this.tables = new BigUint64Array(buffer, offset, Env.BYTES / 8);
    this.forgetTlb();
    this.forgetJumps();
  }

  u32(offset: number): number {
    return this.words[offset >>> 2];
  }
  setU32(offset: number, value: number): void {
    this.words[offset >>> 2] = value;
  }
  u64(offset: number): bigint {
    return this.tables[offset >>> 3];
  }
  setU64(offset: number, value: bigint): void {
    this.tables[offset >>> 3] = value;
  }
  /** A canonical address as a signed number, which represents it exactly. */
  address64(offset: number): number {
    return (this.words[(offset >>> 2) + 1] | 0) * TWO_32 + this.words[offset >>> 2];
  }
  setAddress64(offset: number, value: number): void {
    this.words[offset >>> 2] = value;
    this.words[(offset >>> 2) + 1] = Math.floor(value / TWO_32);
  }

  get budget(): number {
    return this.words[Env.BUDGET >>> 2] | 0;
  }
  set budget(value: number) {
    this.words[Env.BUDGET >>> 2] = value;
  }

  gpr32(index: number): number {
    return this.words[index * 2];
  }
  /** Zero-extends, as every 32-bit result does. */
  setGpr32(index: number, value: number): void {
    this.words[index * 2] = value;
    this.words[index * 2 + 1] = 0;
  }

  // ---- tables that translated code looks into

  /** Adds a page: `host` is the host address of its first byte, `linear` its linear address as a signed number. */
  enterTlb(table: number, linear: number, host: Address): void {
    this.tlbUsed = true;
    const at = table + (Math.floor(linear / 4096) & (TLB_ENTRIES - 1)) * ENTRY_BYTES;
    this.setAddress64(at, linear);
    this.setAddress64(at + 8, host);
  }
  /** Drops a 4 KB page, for every privilege. */
  forgetPage(linear: number): void {
    const index = (Math.floor(linear / 4096) & (TLB_ENTRIES - 1)) * ENTRY_BYTES;
    for (let table = 0; table < PRIVILEGES * 2; table++)
      this.words[((Env.TLB + table * TLB_BYTES + index) >>> 2) + 1] = NO_TAG_HIGH;
  }
  forgetTlb(): void {
    if (this.tlbUsed) this.tables.fill(NO_ENTRY, Env.TLB >>> 3, Env.JUMPS >>> 3);
    this.tlbUsed = false;
  }
  /** Drops a host page from the tables for writes. */
  forgetWrites(host: Address): void {
    const low = host >>> 0;
    const high = Math.floor(host / TWO_32);
    const { words } = this;
    for (let privilege = 0; privilege < PRIVILEGES; privilege++) {
      const first = writeTable(privilege) >>> 2;
      for (let at = first; at < first + TLB_BYTES / 4; at += ENTRY_BYTES / 4)
        if (words[at + 2] === low && words[at + 3] === high) words[at + 1] = NO_TAG_HIGH;
    }
  }
  enterPage(slot: number, id: number): void {
    this.pagesUsed = true;
    this.words[slot >>> 2] = id;
  }
  enterJump(privilege: number, linear: number, code: Address): void {
    this.jumpsUsed |= 1 << privilege;
    const at = jumpTable(privilege) + (linear & (JUMP_ENTRIES - 1)) * ENTRY_BYTES;
    this.setAddress64(at, linear);
    this.setAddress64(at + 8, code);
  }
  forgetJumps(): void {
    if (this.pagesUsed) this.words.fill(0, Env.PAGES >>> 2, (Env.PAGES >>> 2) + PAGE_SLOTS);
    this.pagesUsed = false;
    for (let privilege = 0; privilege < PRIVILEGES; privilege++) {
      if (!(this.jumpsUsed & (1 << privilege))) continue;
      const first = jumpTable(privilege) >>> 3;
      this.tables.fill(NO_ENTRY, first, first + JUMP_BYTES / 8);
    }
    this.jumpsUsed = 0;
  }
}
