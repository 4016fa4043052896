/**
 * A core's registers as translated code sees them: the environment, which R15 points to, and its offsets. Code is
 * shared by all cores, so it reaches everything of a core through R15 and holds no address of one.
 */
import type { Address, HostMemory } from "./memory.ts";

/** Privileges that have tables of their own: the index is part of what code is translated for. */
export const PRIVILEGES = 3;
export const USER = 0;
export const SUPERVISOR = 1;
/** With SMAP and RFLAGS.AC set. */
export const SUPERVISOR_AC = 2;

/** Entries of one TLB, and of one jump cache; 16 bytes each. */
export const TLB_ENTRIES = 512;
export const JUMP_ENTRIES = 4096;
/** Slots of linear pages whose code page is known. */
export const PAGE_SLOTS = 1024;
export const ENTRY_BYTES = 16;
const TLB_BYTES = TLB_ENTRIES * ENTRY_BYTES;
const JUMP_BYTES = JUMP_ENTRIES * ENTRY_BYTES;

/** Offsets in bytes. The first 128 are reached by a short displacement. */
export const Env = {
  GPR: 0,
  /** As host RAX holds them: AL = OF (0 or 1), AH = SF ZF AF PF CF as LAHF puts them. */
  FLAGS: 0x80,
  /** Instructions left. Negative while a block is refunded. */
  BUDGET: 0x88,
  /** Linear address of an access that missed. */
  ADDRESS: 0x90,
  /** Where an indirect branch goes, where the jump cache does not know it. */
  TARGET: 0x98,
  /** RFLAGS without the status flags. */
  SYSTEM_FLAGS: 0xa0,
  /** The x87 state is in the host's registers. */
  X87_LIVE: 0xa4,
  /** MXCSR as the host has it while translated code runs: all exceptions masked. */
  MXCSR: 0xa8,
  HOST_MXCSR: 0xac,
  FS_BASE: 0xb0,
  GS_BASE: 0xb8,
  /** Position in the code buffer at which the host raised a signal, and which (crash.ts). */
  CRASH_AT: 0xc0,
  CRASH_SIGNAL: 0xc8,
  XMM: 0x100,
  /** 108 bytes as FNSAVE writes them, all exceptions masked. */
  X87: 0x200,
  /** Memory operand of an instruction that is executed alone (step.ts): 64 bytes, aligned. */
  BOUNCE: 0x280,
  /** Two scratch registers of 16 bytes. */
  SCRATCH: 0x2c0,
  /** By linear page, modulo PAGE_SLOTS: number of the code page that the core runs there, 0: none. */
  PAGES: 0x400,
  /** By privilege: a table for reads, then one for writes. An entry: the linear page, the host page. */
  TLB: 0x2000,
  /** By privilege. An entry: linear address, host code. */
  JUMPS: 0x2000 + PRIVILEGES * 2 * TLB_BYTES,
  BYTES: 0x2000 + PRIVILEGES * (2 * TLB_BYTES + JUMP_BYTES),
} as const;

export const readTable = (privilege: number): number => Env.TLB + privilege * 2 * TLB_BYTES;
export const writeTable = (privilege: number): number => readTable(privilege) + TLB_BYTES;
/** Where the number of the code page of a linear page, for a mode, is looked up. */
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
  /** Bit n: the jump cache of privilege n has entries. All of them at first, since nothing has been cleared. */
  private jumpsUsed = (1 << PRIVILEGES) - 1;
  private tlbUsed = true;
  private pagesUsed = true;

  /** `memory` of at least Env.BYTES, from `offset` on. */
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
  /** A canonical address as a signed number, which is exact. */
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

  /** Enters a page: `host` is where its first byte is. `linear`: its first byte, as a signed number. */
  enterTlb(table: number, linear: number, host: Address): void {
    this.tlbUsed = true;
    const at = table + (Math.floor(linear / 4096) & (TLB_ENTRIES - 1)) * ENTRY_BYTES;
    this.setAddress64(at, linear);
    this.setAddress64(at + 8, host);
  }
  /** Forgets a 4 KB page, in every privilege. */
  forgetPage(linear: number): void {
    const index = (Math.floor(linear / 4096) & (TLB_ENTRIES - 1)) * ENTRY_BYTES;
    for (let table = 0; table < PRIVILEGES * 2; table++)
      this.words[((Env.TLB + table * TLB_BYTES + index) >>> 2) + 1] = NO_TAG_HIGH;
  }
  forgetTlb(): void {
    if (this.tlbUsed) this.tables.fill(NO_ENTRY, Env.TLB >>> 3, Env.JUMPS >>> 3);
    this.tlbUsed = false;
  }
  /** Forgets a host page that is written through a table. */
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
