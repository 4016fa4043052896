/**
 * A core's registers, as event delivery, SYSCALL, the interpreter and the debugger see them. The environment holds
 * general, XMM and x87 registers, flags and MXCSR; this file holds the others. RIP is a canonical address as a signed
 * number, or a bigint.
 */
import { Cr0, Cr4, Efer, Exception, Rflags } from "../../abi/x86.ts";
import type { Bus, Segment } from "../engine.ts";
import {
  Fault,
  type PagingRegisters,
  type PhysicalMemory,
  SegmentIndex,
  type SyscallRegisters,
} from "../x86/access.ts";
import { TIMESTAMP_DISABLE } from "../x86/control.ts";
import { BaseCore } from "../x86/core.ts";
import { SEGMENT_FLAGS, SegmentFlag } from "../x86/descriptors.ts";
import { Mmu } from "../x86/mmu.ts";
import type { PagingRegister, PlainRegister } from "../x86/registers.ts";
import { DEBUG_AT_START } from "../x86/start.ts";
import type { StopTable } from "../x86/stops.ts";
import type { Mode } from "./decode.ts";
import { Env, type Environment, Restricted, SUPERVISOR, SUPERVISOR_AC, USER } from "./environment.ts";
import type { CodeFrames } from "./frames.ts";
import { STATUS_FLAGS } from "./table.ts";

/** What a core shares with its node. */
export interface Node {
  readonly bus: Bus;
  readonly memory: PhysicalMemory & { readonly view: DataView; readonly bytes: Uint8Array; readonly address: number };
  readonly code: CodeFrames;
  readonly stops: StopTable;
  readonly tscBase: bigint;
}

/** What translated code is specialised on, beside its address; 64-bit code only. */
/** x87, MMX and SSE instructions are executed one at a time: the unit is off, or an exception is unmasked. */
export const MODE_UNIT_OFF = 4;

const TABLE_NULL = { base: 0n, limit: 0xffff };
const MXCSR_MASKS = 0x1f80;
const FPU_CONTROL_RESET = 0x37f;
const FPU_MASKS = 0x3f;
const FPU_CONTROL_VALID = 0x1f3f;
/** ES and B. */
const FPU_SUMMARY = 0x8080;
const PAT_RESET = 0x0007_0406_0007_0406n;
const NO_SEGMENT: Segment = { selector: 0, base: 0n, limit: 0, flags: 0 };

export abstract class Registers extends BaseCore implements PagingRegisters, SyscallRegisters {
  readonly mmu: Mmu;
  cr0 = 0;
  cr2 = 0n;
  cr3 = 0;
  cr4 = 0;
  efer = 0;
  star = 0n;
  lstar = 0n;
  cstar = 0n;
  fmask = 0n;
  kernelGsBase = 0n;
  tscAux = 0n;
  pat = PAT_RESET;
  sysenter: [cs: bigint, esp: bigint, eip: bigint] = [0n, 0n, 0n];
  gdtr: { base: bigint; limit: number } = TABLE_NULL;
  idtr: { base: bigint; limit: number } = TABLE_NULL;
  debugRegisters = [...DEBUG_AT_START];
  cpl = 0;
  interruptShadow = false;
  nmiBlocked = false;
  /** Exceptions of MXCSR and of the x87 control word that the guest has masked. In the host all are masked. */
  mxcsrMasks = MXCSR_MASKS;
  fpuControl = FPU_CONTROL_RESET;

  /** The mode in which code is decoded now. */
  codeMode: Mode = 16;
  /** Index of the tables of this privilege. With MODE_UNIT_OFF, it selects the translations. */
  privilegeIndex = SUPERVISOR;
  translationMode = SUPERVISOR;

  /** RIP as a signed number, if it is canonical. */
  pc = 0;
  private oddRip: bigint | undefined;
  private readonly segments: Segment[] = Array.from({ length: 8 }, () => NO_SEGMENT);

  constructor(
    readonly env: Environment,
    readonly node: Node,
  ) {
    super();
    this.mmu = new Mmu(this, node.memory);
    env.setU32(Env.MXCSR, MXCSR_MASKS);
    this.initFpu(true);
  }

  /** Paging has changed: everything that has been looked up is void. */
  abstract override dropHostTlb(): void;

  // ---- registers

  get rip(): bigint {
    return this.oddRip ?? BigInt.asUintN(64, BigInt(this.pc));
  }
  set rip(value: bigint) {
    const signed = BigInt.asIntN(64, value);
    this.oddRip = BigInt.asIntN(48, value) === signed ? undefined : BigInt.asUintN(64, value);
    this.pc = Number(signed);
  }
  get ripIsCanonical(): boolean {
    return this.oddRip === undefined;
  }
  /** Sets RIP to a canonical address. */
  setPc(value: number): void {
    this.oddRip = undefined;
    this.pc = value;
  }
  get linearRip(): bigint {
    return this.codeMode === 64 ? this.rip : (this.segments[SegmentIndex.CS].base + this.rip) & 0xffff_ffffn;
  }
  /** Accesses must be checked for watchpoints or data breakpoints. */
  get isWatched(): boolean {
    return this.node.stops.isWatching || this.debug.watches;
  }
  get is64Bit(): boolean {
    return this.codeMode === 64;
  }
  get alignmentCheck(): boolean {
    return (this.env.u32(Env.SYSTEM_FLAGS) & Rflags.AC) !== 0;
  }
  get statusFlags(): number {
    const saved = this.env.u32(Env.FLAGS);
    return ((saved >>> 8) & STATUS_FLAGS & 0xff) | ((saved & 1) << 11);
  }
  set statusFlags(value: number) {
    this.env.setU32(Env.FLAGS, ((value & STATUS_FLAGS & 0xff) << 8) | 0x200 | ((value >>> 11) & 1));
  }
  get rflags32(): number {
    return this.statusFlags | this.env.u32(Env.SYSTEM_FLAGS) | Rflags.ONE;
  }
  get rflags(): bigint {
    return BigInt(this.rflags32);
  }
  /** RF exists only in pushed images (x86/deliver.ts); this property never shows it. */
  set rflags(value: bigint) {
    const low = Number(value & 0x3f_ffffn);
    this.statusFlags = low;
    this.env.setU32(Env.SYSTEM_FLAGS, low & ~(STATUS_FLAGS | Rflags.RF | Rflags.ONE));
    this.updateMode();
  }

  plain(name: PlainRegister | PagingRegister): bigint {
    switch (name) {
      case "cr0":
      case "cr3":
      case "cr4":
      case "efer":
        return BigInt(this[name]);
      case "kernel_gs_base":
        return this.kernelGsBase;
      case "tsc_aux":
        return this.tscAux;
      case "sysenter_cs":
        return this.sysenter[0];
      case "sysenter_esp":
        return this.sysenter[1];
      case "sysenter_eip":
        return this.sysenter[2];
      case "gdtr_base":
        return this.gdtr.base;
      case "gdtr_limit":
        return BigInt(this.gdtr.limit);
      case "idtr_base":
        return this.idtr.base;
      case "idtr_limit":
        return BigInt(this.idtr.limit);
      default:
        return this[name];
    }
  }
  setPlain(name: PlainRegister | PagingRegister, value: bigint): void {
    switch (name) {
      case "cr0":
      case "cr4":
      case "efer":
        this[name] = Number(value & 0xffff_ffffn);
        return;
      case "cr3":
        this.cr3 = Number(value);
        return;
      case "kernel_gs_base":
        this.kernelGsBase = value;
        return;
      case "tsc_aux":
        this.tscAux = value;
        return;
      case "sysenter_cs":
        this.sysenter[0] = value;
        return;
      case "sysenter_esp":
        this.sysenter[1] = value;
        return;
      case "sysenter_eip":
        this.sysenter[2] = value;
        return;
      case "gdtr_base":
        this.gdtr = { ...this.gdtr, base: value };
        return;
      case "gdtr_limit":
        this.gdtr = { ...this.gdtr, limit: Number(value) };
        return;
      case "idtr_base":
        this.idtr = { ...this.idtr, base: value };
        return;
      case "idtr_limit":
        this.idtr = { ...this.idtr, limit: Number(value) };
        return;
      default:
        this[name] = value;
    }
  }
  debugRegister(index: number): bigint {
    return this.debugRegisters[index];
  }
  setDebugRegister(index: number, value: bigint): void {
    if (this.debugRegisters[index] === value) return;
    this.debugRegisters[index] = value;
    if (index !== 6) this.debug.configure(this);
  }
  enterMode(cpl: number): void {
    this.cpl = cpl;
    this.updateMode();
  }
  get interruptsEnabled(): boolean {
    return (this.env.u32(Env.SYSTEM_FLAGS) & Rflags.IF) !== 0;
  }
  pagingChanged(): void {
    this.updateMode();
    this.dropHostTlb();
  }

  gpr(index: number): bigint {
    return this.env.u64(index * 8);
  }
  setGpr(index: number, value: bigint): void {
    this.env.setU64(index * 8, BigInt.asUintN(64, value));
  }
  /** A general register of 1 (without REX also AH to BH), 2, 4 or 8 bytes. */
  register8(index: number, rex: number): bigint {
    return rex === 0 && index >= 4 && index < 8 ? (this.gpr(index - 4) >> 8n) & 0xffn : this.gpr(index) & 0xffn;
  }
  readGpr(index: number, bytes: number, rex = 1): bigint {
    return bytes === 1 ? this.register8(index, rex) : BigInt.asUintN(bytes * 8, this.gpr(index));
  }
  writeGpr(index: number, bytes: number, value: bigint, rex = 1): void {
    if (bytes === 8) this.setGpr(index, value);
    else if (bytes === 4) this.setGpr(index, value & 0xffff_ffffn);
    else if (bytes === 2) this.setGpr(index, (this.gpr(index) & ~0xffffn) | (value & 0xffffn));
    else if (rex === 0 && index >= 4 && index < 8)
      this.setGpr(index - 4, (this.gpr(index - 4) & ~0xff00n) | ((value & 0xffn) << 8n));
    else this.setGpr(index, (this.gpr(index) & ~0xffn) | (value & 0xffn));
  }

  segment(index: SegmentIndex): Segment {
    return this.segments[index];
  }
  setSegment(index: SegmentIndex, segment: Segment): void {
    if (index === SegmentIndex.CS) this.cpl = this.cr0 & Cr0.PE ? segment.selector & 3 : 0;
    this.setHiddenPart(index, segment);
  }
  /** Sets the hidden part without a load: the CPL does not change. */
  setHiddenPart(index: SegmentIndex, segment: Segment): void {
    this.segments[index] = { ...segment, flags: segment.flags & SEGMENT_FLAGS };
    if (index === SegmentIndex.FS) this.env.setU64(Env.FS_BASE, segment.base);
    else if (index === SegmentIndex.GS) this.env.setU64(Env.GS_BASE, segment.base);
    else if (index === SegmentIndex.CS) this.updateMode();
  }

  /** After a change of CPL, CS, CR0, CR4, EFER or RFLAGS.AC: updates the modes for decoding and translation. */
  updateMode(): void {
    const { flags } = this.segments[SegmentIndex.CS];
    const long = (this.efer & Efer.LMA) !== 0;
    this.codeMode = long && flags & SegmentFlag.LONG ? 64 : flags & SegmentFlag.BIG ? 32 : 16;
    this.privilegeIndex =
      this.cpl === 3 ? USER : this.cr4 & Cr4.SMAP && this.alignmentCheck ? SUPERVISOR_AC : SUPERVISOR;
    const unitOff =
      (this.cr0 & (Cr0.EM | Cr0.TS)) !== 0 ||
      !(this.cr4 & Cr4.OSFXSR) ||
      this.mxcsrMasks !== MXCSR_MASKS ||
      (this.fpuControl & FPU_MASKS) !== FPU_MASKS;
    const noTsc = this.cpl !== 0 && (this.cr4 & TIMESTAMP_DISABLE) !== 0;
    this.env.setU32(Env.RESTRICTED, (noTsc ? Restricted.TSC : 0) | (this.cpl !== 0 ? Restricted.CLI : 0));
    const mode = this.privilegeIndex | (unitOff ? MODE_UNIT_OFF : 0);
    if (((mode ^ this.translationMode) & MODE_UNIT_OFF) !== 0) this.env.forgetJumps();
    this.translationMode = mode;
  }

  // ---- x87 and SSE control

  /** FNINIT; `clear`: also clears the registers. */
  initFpu(clear: boolean): void {
    this.setFpuStatus(0);
    this.env.bytes.fill(0, Env.X87, Env.X87 + (clear ? 108 : 28));
    this.env.view.setUint16(Env.X87 + 8, 0xffff, true);
    this.setFpuControl(FPU_CONTROL_RESET);
  }
  get mxcsr(): number {
    return (this.env.u32(Env.MXCSR) & ~MXCSR_MASKS) | this.mxcsrMasks;
  }
  set mxcsr(value: number) {
    this.mxcsrMasks = value & MXCSR_MASKS;
    this.env.setU32(Env.MXCSR, value | MXCSR_MASKS);
    this.updateMode();
  }
  setFpuControl(value: number): void {
    this.fpuControl = (value & FPU_CONTROL_VALID) | 0x40;
    this.env.view.setUint16(Env.X87, this.fpuControl | FPU_MASKS, true);
    this.updateMode();
  }

  /** Sets the status word, and with it the top of the stack: the registers do not move. */
  setFpuStatus(value: number): void {
    const { view, bytes } = this.env;
    const by = ((value >> 11) - (view.getUint16(Env.X87 + 4, true) >> 11)) & 7;
    view.setUint16(Env.X87 + 4, value & ~FPU_SUMMARY, true);
    if (by === 0) return;
    const first = Env.X87 + 28;
    const old = bytes.slice(first, first + 80);
    for (let index = 0; index < 8; index++) {
      const from = ((index + by) & 7) * 10;
      bytes.set(old.subarray(from, from + 10), first + index * 10);
    }
  }
  /** The x87 status word as programs see it, with the summary bit of unmasked exceptions. */
  get fpuStatus(): number {
    const status = this.env.view.getUint16(Env.X87 + 4, true) & ~FPU_SUMMARY;
    return status & ~this.fpuControl & FPU_MASKS ? status | FPU_SUMMARY : status;
  }
  get hasPendingX87(): boolean {
    return (this.fpuStatus & FPU_SUMMARY) !== 0;
  }
  /** The next instruction that waits raises a pending unmasked exception. */
  checkPendingX87(): void {
    if (this.hasPendingX87 && this.cr0 & Cr0.NE) throw new Fault(Exception.MF, 0);
  }
  get hasUnmaskedX87(): boolean {
    return (this.fpuControl & FPU_MASKS) !== FPU_MASKS;
  }
  /** Before and after an instruction that runs with the guest's masks in the host. */
  exposeX87Masks(): void {
    this.env.view.setUint16(Env.X87, this.fpuControl, true);
  }
  hideX87Masks(): void {
    const { view } = this.env;
    view.setUint16(Env.X87, this.fpuControl | FPU_MASKS, true);
    view.setUint16(Env.X87 + 4, view.getUint16(Env.X87 + 4, true) & ~FPU_SUMMARY, true);
  }
}
