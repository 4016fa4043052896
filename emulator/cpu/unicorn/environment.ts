/**
 * The processor state inside a Unicorn instance: views on `uc_struct` and `CPUX86State` at the offsets of version 2.1.1
 * in Debian's build (README.md; selftest.ts checks them at start-up). This file calls the library only for state with
 * hidden parts: RFLAGS (lazy condition codes) and the FPU control words.
 */
import { Cr0, Cr4, Efer, Rflags } from "../../abi/x86.ts";
import type { Segment } from "../engine.ts";
import { SegmentIndex } from "../x86/access.ts";
import { SEGMENT_FLAGS, SegmentFlag } from "../x86/descriptors.ts";
import { type Address, type Binding, RegisterId, viewMemory } from "./binding.ts";

/** struct uc_struct. */
const Uc = {
  CPU: 0x1a0,
  TCG_CONTEXT: 0x2e8,
  COUNTER: 0x540,
  COUNT: 0x548,
  SPLIT_ACCESS: 0x550,
  INVALID_ADDRESS: 0x570,
  BYTES: 0x600,
} as const;
/**
 * CPUState. ENV is a pointer to the CPUX86State; BREAKPOINTS is the head of a list: a pointer to its first node and one
 * to its last link.
 */
const Cpu = { INTERRUPT_REQUEST: 0x1c, ENV: 0x128, BYTES: 0x130, BREAKPOINTS: 0x8148 } as const;
/** Distance from the CPU to the env, which is in the same object. */
const CPU_TO_ENV = 0x8a50;
/** TCGContext. */
const Tcg = { CODE_POINTER: 0xc0, HIGH_WATER: 0xd0, BYTES: 0xe0 } as const;
/** struct CPUX86State. */
export const Env = {
  GPR: 0,
  RIP: 128,
  EFLAGS: 136,
  FLAGS_SOURCE: 152,
  /** How to compute the lazy flags. */
  FLAGS_OPERATION: 168,
  HFLAGS: 176,
  HFLAGS2: 180,
  SEGMENTS: 184,
  LDTR: 328,
  TR: 352,
  GDTR: 376,
  IDTR: 400,
  CR0: 424,
  CR2: 440,
  CR3: 448,
  CR4: 456,
  EFER: 560,
  FPU_TOP: 572,
  FPU_STATUS: 576,
  FPU_CONTROL: 578,
  FPU_TAGS: 580,
  FPU_REGISTERS: 592,
  MXCSR: 784,
  SYSENTER_CS: 4768,
  SYSENTER_ESP: 4776,
  SYSENTER_EIP: 4784,
  STAR: 4792,
  /** vm_hsave of SVM, which no processor here has: the address of a bit for each page of RAM that has code. */
  CODE_PAGES: 4800,
  LSTAR: 4808,
  CSTAR: 4816,
  FMASK: 4824,
  KERNEL_GS_BASE: 4832,
  TSC_AUX: 4864,
  ERROR_CODE: 5352,
  EXCEPTION_IS_INT: 5356,
  EXCEPTION_NEXT_RIP: 5360,
  /** DR0 to DR7. */
  DEBUG: 5368,
  OLD_EXCEPTION: 5464,
} as const;
/** SegmentCache. */
const Cache = { BYTES: 24, BASE: 8, LIMIT: 16, FLAGS: 20 } as const;
/** Bit in the type of a TSS descriptor. */
const TSS_BUSY = 2 << 8;
/** uc_context_size includes a header that the env does not have. */
const CONTEXT_HEADER = 0x14;

/** Bits of env.hflags (target/i386/cpu.h). */
export const Hflag = {
  CPL: 3,
  INHIBIT_IRQ: 1 << 3,
  CS32: 1 << 4,
  SS32: 1 << 5,
  ADDSEG: 1 << 6,
  PE: 1 << 7,
  MP_SHIFT: 9,
  MP: 1 << 9,
  LMA: 1 << 14,
  CS64: 1 << 15,
  EM: 1 << 10,
  TS: 1 << 11,
  OSFXSR: 1 << 22,
  SMAP: 1 << 23,
  /** "Bound registers in use", which no processor here has. Used as a key for translations without breakpoints. */
  WITHOUT_BREAKPOINTS: 1 << 26,
  // Unused by QEMU 5. We use these bits so that code is translated separately for them.
  /** CR0.AM: with RFLAGS.AC, accesses of ring 3 are checked for alignment. */
  ALIGNMENT: 1 << 27,
  /** CR4.UMIP. */
  UMIP: 1 << 28,
} as const;
/** Value of env.cc_op: the flags are in env.cc_src. */
export const FLAGS_COMPUTED = 1;
/** Bit of env.hflags2: an NMI is in service; IRET clears it. */
export const HFLAG2_NMI = 1 << 2;

export class Environment {
  readonly bytes: Uint8Array;
  readonly envAddress: Address;
  readonly cpuAddress: Address;
  private readonly env: DataView;
  private readonly uc: DataView;
  private readonly cpu: DataView;
  private readonly tcg: DataView;
  private readonly breakpoints: DataView;
  private readonly word = new BigUint64Array(1);

  constructor(
    private readonly unicorn: Binding,
    readonly handle: Address,
  ) {
    unicorn.readRegister(handle, RegisterId.RIP, this.word); // the first call creates the CPU
    this.uc = new DataView(viewMemory(handle, Uc.BYTES));
    this.cpuAddress = Number(this.uc.getBigUint64(Uc.CPU, true));
    this.cpu = new DataView(viewMemory(this.cpuAddress, Cpu.BYTES));
    this.breakpoints = new DataView(viewMemory(this.cpuAddress + Cpu.BREAKPOINTS, 16));
    this.envAddress = Number(this.cpu.getBigUint64(Cpu.ENV, true));
    const buffer = viewMemory(this.envAddress, unicorn.contextSize(handle) - CONTEXT_HEADER);
    this.env = new DataView(buffer);
    this.bytes = new Uint8Array(buffer);
    this.tcg = new DataView(viewMemory(Number(this.uc.getBigUint64(Uc.TCG_CONTEXT, true)), Tcg.BYTES));
  }

  /** Number of instructions that the current or last uc_emu_start has begun. Runs are short, so 32 bits suffice. */
  get counter(): number {
    return this.uc.getUint32(Uc.COUNTER, true);
  }
  /** The count hook stops before the instruction whose number exceeds this. */
  set countLimit(value: number) {
    this.uc.setUint32(Uc.COUNT, value, true);
    this.uc.setUint32(Uc.COUNT + 4, 0, true);
  }
  set interruptRequest(value: number) {
    this.cpu.setUint32(Cpu.INTERRUPT_REQUEST, value, true);
  }
  get invalidAddress(): bigint {
    return this.uc.getBigUint64(Uc.INVALID_ADDRESS, true);
  }
  /** Bytes left in the translation buffer. */
  get translationSpace(): number {
    return (this.tcg.getUint32(Tcg.HIGH_WATER, true) - this.tcg.getUint32(Tcg.CODE_POINTER, true)) >>> 0;
  }

  /** A misaligned load is being made as two aligned ones. */
  get isSplitAccess(): boolean {
    return this.uc.getUint32(Uc.SPLIT_ACCESS, true) !== 0;
  }
  /** Address of the first CPUBreakpoint, or 0. */
  set breakpointList(first: Address) {
    this.breakpoints.setBigUint64(0, BigInt(first), true);
  }

  /** For the self-test. */
  selfPointerHolds(): boolean {
    return this.envAddress - this.cpuAddress === CPU_TO_ENV;
  }
  /** For the self-test: the list is empty, so its last link is its head. */
  breakpointListHolds(): boolean {
    const { breakpoints, cpuAddress } = this;
    return (
      breakpoints.getBigUint64(0, true) === 0n &&
      Number(breakpoints.getBigUint64(8, true)) === cpuAddress + Cpu.BREAKPOINTS
    );
  }

  u32(offset: number): number {
    return this.env.getUint32(offset, true);
  }
  setU32(offset: number, value: number): void {
    this.env.setUint32(offset, value, true);
  }
  u64(offset: number): bigint {
    return this.env.getBigUint64(offset, true);
  }
  setU64(offset: number, value: bigint): void {
    this.env.setBigUint64(offset, value, true);
  }

  gpr32(index: number): number {
    return this.env.getUint32(index * 8, true);
  }
  /** Zero-extends, as every 32-bit result does. */
  setGpr32(index: number, value: number): void {
    this.env.setUint32(index * 8, value, true);
    this.env.setUint32(index * 8 + 4, 0, true);
  }

  get cpl(): number {
    return this.env.getUint32(Env.HFLAGS, true) & Hflag.CPL;
  }
  get cr3(): number {
    return this.env.getUint32(Env.CR3 + 4, true) * 0x1_0000_0000 + this.env.getUint32(Env.CR3, true);
  }
  get alignmentCheck(): boolean {
    return (this.env.getUint32(Env.EFLAGS, true) & Rflags.AC) !== 0;
  }

  /** Unicorn's RF, which IRET sets. */
  get resumeFlag(): boolean {
    return (this.u32(Env.EFLAGS) & Rflags.RF) !== 0;
  }
  set resumeFlag(value: boolean) {
    const flags = this.u32(Env.EFLAGS);
    this.setU32(Env.EFLAGS, value ? flags | Rflags.RF : flags & ~Rflags.RF);
  }

  /** RF exists only in pushed images (x86/deliver.ts); this property never shows it. */
  get rflags(): bigint {
    this.unicorn.readRegister(this.handle, RegisterId.RFLAGS, this.word);
    return this.word[0] & ~BigInt(Rflags.RF);
  }
  set rflags(value: bigint) {
    this.word[0] = (value & ~BigInt(Rflags.RF)) | BigInt(Rflags.ONE);
    this.unicorn.writeRegister(this.handle, RegisterId.RFLAGS, this.word);
  }

  xmm(index: number): Uint8Array {
    const value = new Uint8Array(16);
    this.unicorn.readRegister(this.handle, RegisterId.XMM0 + index, value);
    return value;
  }

  /** Sets the reset values (SDM vol. 3, table 9-1, FNINIT): in a fresh instance they are wrong. */
  initFpu(): void {
    this.setControlWords(0x37f, 0x1f80);
    const word = new Uint8Array([0xff, 0xff]);
    this.unicorn.writeRegister(this.handle, RegisterId.FPTAG, word);
  }
  /** Both have hidden parts (rounding modes). */
  setControlWords(fpcw: number, mxcsr: number): void {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, fpcw, true);
    this.unicorn.writeRegister(this.handle, RegisterId.FPCW, bytes);
    view.setUint32(0, mxcsr, true);
    this.unicorn.writeRegister(this.handle, RegisterId.MXCSR, bytes);
  }

  /**
   * 512 bytes in the format of FXSAVE64 (SDM vol. 1, table 10-2), without the FPU's last instruction and data pointers.
   */
  saveFx(): Uint8Array {
    const image = new Uint8Array(512);
    const out = new DataView(image.buffer);
    const part = new Uint8Array(16);
    const read = (register: number, bytes: number, at: number): void => {
      part.fill(0);
      this.unicorn.readRegister(this.handle, register, part);
      image.set(part.subarray(0, bytes), at);
    };
    read(RegisterId.FPCW, 2, 0);
    read(RegisterId.FPSW, 2, 2);
    let tags = 0;
    for (let index = 0; index < 8; index++) if (this.env.getUint8(Env.FPU_TAGS + index) === 0) tags |= 1 << index;
    out.setUint8(4, tags);
    read(RegisterId.MXCSR, 4, 24);
    out.setUint32(28, 0xffff, true);
    const top = this.env.getUint32(Env.FPU_TOP, true) & 7;
    for (let index = 0; index < 8; index++) {
      const at = Env.FPU_REGISTERS + ((top + index) & 7) * 16;
      image.set(this.bytes.subarray(at, at + 10), 32 + index * 16);
    }
    for (let index = 0; index < 16; index++) read(RegisterId.XMM0 + index, 16, 160 + index * 16);
    return image;
  }

  restoreFx(image: Uint8Array): void {
    const from = new DataView(image.buffer, image.byteOffset, 512);
    this.setControlWords(from.getUint16(0, true), from.getUint32(24, true));
    this.unicorn.writeRegister(this.handle, RegisterId.FPSW, image.slice(2, 4));
    const top = (from.getUint16(2, true) >>> 11) & 7;
    for (let index = 0; index < 8; index++) {
      this.env.setUint8(Env.FPU_TAGS + index, from.getUint8(4) & (1 << index) ? 0 : 1);
      this.bytes.set(image.subarray(32 + index * 16, 42 + index * 16), Env.FPU_REGISTERS + ((top + index) & 7) * 16);
    }
    for (let index = 0; index < 16; index++)
      this.unicorn.writeRegister(this.handle, RegisterId.XMM0 + index, image.slice(160 + index * 16, 176 + index * 16));
  }

  /**
   * Saves the x87 part of an FXSAVE image, without the registers' hidden parts in Unicorn, which only its own
   * arithmetic needs.
   */
  saveX87(image: DataView): void {
    const { env } = this;
    const top = env.getUint32(Env.FPU_TOP, true) & 7;
    image.setUint16(0, env.getUint16(Env.FPU_CONTROL, true), true);
    image.setUint16(2, (env.getUint16(Env.FPU_STATUS, true) & ~0x3800) | (top << 11), true);
    let tags = 0;
    for (let index = 0; index < 8; index++) {
      if (env.getUint8(Env.FPU_TAGS + index) === 0) tags |= 1 << index;
      const at = Env.FPU_REGISTERS + ((top + index) & 7) * 16;
      image.setBigUint64(32 + 16 * index, env.getBigUint64(at, true), true);
      image.setUint16(40 + 16 * index, env.getUint16(at + 8, true), true);
    }
    image.setUint8(4, tags);
  }
  loadX87(image: DataView): void {
    const { env } = this;
    const status = image.getUint16(2, true);
    const top = (status >>> 11) & 7;
    env.setUint16(Env.FPU_CONTROL, image.getUint16(0, true), true);
    env.setUint16(Env.FPU_STATUS, status & ~0x3800, true);
    env.setUint32(Env.FPU_TOP, top, true);
    const tags = image.getUint8(4);
    for (let index = 0; index < 8; index++) {
      env.setUint8(Env.FPU_TAGS + index, tags & (1 << index) ? 0 : 1);
      const at = Env.FPU_REGISTERS + ((top + index) & 7) * 16;
      env.setBigUint64(at, image.getBigUint64(32 + 16 * index, true), true);
      env.setUint16(at + 8, image.getUint16(40 + 16 * index, true), true);
    }
  }

  /** The task register holds a busy TSS: QEMU sets the busy bit only in the descriptor in memory. */
  segment(index: SegmentIndex): Segment {
    const at = segmentOffset(index);
    const busy = index === SegmentIndex.TR ? TSS_BUSY : 0;
    return {
      selector: this.u32(at),
      base: this.u64(at + Cache.BASE),
      limit: this.u32(at + Cache.LIMIT),
      flags: (this.u32(at + Cache.FLAGS) & SEGMENT_FLAGS) | busy,
    };
  }
  /** Writes only the cache: `updateHflags` follows. */
  writeSegment(index: SegmentIndex, segment: Segment): void {
    const at = segmentOffset(index);
    this.setU32(at, segment.selector);
    this.setU64(at + Cache.BASE, segment.base);
    this.setU32(at + Cache.LIMIT, segment.limit);
    this.setU32(at + Cache.FLAGS, segment.flags);
  }
  table(offset: typeof Env.GDTR | typeof Env.IDTR): { base: bigint; limit: number } {
    return { base: this.u64(offset + Cache.BASE), limit: this.u32(offset + Cache.LIMIT) };
  }
  setTable(offset: typeof Env.GDTR | typeof Env.IDTR, base: bigint, limit: number): void {
    this.setU64(offset + Cache.BASE, base);
    this.setU32(offset + Cache.LIMIT, limit);
  }
  /** True if a linear address lies in a page of GDT, LDT, IDT or TSS. */
  inSystemTable(low: number, high: number): boolean {
    for (const at of [Env.GDTR, Env.LDTR, Env.IDTR, Env.TR]) {
      const base = this.u32(at + Cache.BASE);
      if (
        this.u32(at + Cache.BASE + 4) === high &&
        low >= base - (base & 0xfff) &&
        low <= base + this.u32(at + Cache.LIMIT)
      )
        return true;
    }
    return false;
  }

  /**
   * Computes env.hflags, on which translated code is specialised, from registers and segment caches
   * (cpu_x86_load_seg_cache, cpu_x86_update_cr0 and _cr4 in target/i386). `cpl` is the new privilege level.
   */
  updateHflags(cpl: number): void {
    const cr0 = this.u32(Env.CR0);
    const cr4 = this.u32(Env.CR4);
    const protectedMode = (cr0 & Cr0.PE) !== 0;
    const longMode = (this.u32(Env.EFER) & Efer.LMA) !== 0;
    const codeFlags = this.u32(segmentOffset(SegmentIndex.CS) + Cache.FLAGS);
    const stackFlags = this.u32(segmentOffset(SegmentIndex.SS) + Cache.FLAGS);
    let hflags = (this.u32(Env.HFLAGS) & (Hflag.INHIBIT_IRQ | Hflag.WITHOUT_BREAKPOINTS)) | cpl;
    if (protectedMode) hflags |= Hflag.PE;
    if (longMode) hflags |= Hflag.LMA;
    hflags |= (cr0 & (Cr0.MP | Cr0.EM | Cr0.TS)) << (Hflag.MP_SHIFT - 1);
    if (cr4 & Cr4.OSFXSR) hflags |= Hflag.OSFXSR;
    if (cr4 & Cr4.SMAP) hflags |= Hflag.SMAP;
    if (cr0 & Cr0.AM) hflags |= Hflag.ALIGNMENT;
    if (cr4 & Cr4.UMIP) hflags |= Hflag.UMIP;
    if (stackFlags & SegmentFlag.BIG) hflags |= Hflag.SS32;
    if (longMode && codeFlags & SegmentFlag.LONG) {
      hflags |= Hflag.CS32 | Hflag.SS32 | Hflag.CS64;
    } else {
      if (codeFlags & SegmentFlag.BIG) hflags |= Hflag.CS32;
      const flat = [SegmentIndex.DS, SegmentIndex.ES, SegmentIndex.SS].every(
        (index) => this.u64(segmentOffset(index) + Cache.BASE) === 0n,
      );
      if (!protectedMode || !(codeFlags & SegmentFlag.BIG) || this.u32(Env.EFLAGS) & Rflags.VM || !flat)
        hflags |= Hflag.ADDSEG;
    }
    this.setU32(Env.HFLAGS, hflags);
  }
}

function segmentOffset(index: SegmentIndex): number {
  if (index === SegmentIndex.LDTR) return Env.LDTR;
  if (index === SegmentIndex.TR) return Env.TR;
  return Env.SEGMENTS + index * Cache.BYTES;
}
