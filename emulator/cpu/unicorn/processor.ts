/**
 * A core's registers and linear memory on top of its Unicorn instance, for event delivery, SYSCALL and the debugger.
 * core.ts runs the core.
 */
import { Cr0, Exception, Rflags } from "../../abi/x86.ts";
import type { Bus, Segment } from "../engine.ts";
import {
  ACCESS_FETCH,
  ACCESS_READ,
  ACCESS_WRITE,
  type AccessKind,
  Fault,
  type PagingRegisters,
  type PhysicalMemory,
  PRIVILEGE_IMPLICIT,
  PRIVILEGE_SUPERVISOR,
  PRIVILEGE_USER,
  type Privilege,
  SegmentIndex,
  type SyscallRegisters,
} from "../x86/access.ts";
import { BaseCore } from "../x86/core.ts";
import { Mmu } from "../x86/mmu.ts";
import { alignmentOf } from "../x86/operand.ts";
import { isCanonical } from "../x86/pagewalk.ts";
import type { PagingRegister, PlainRegister } from "../x86/registers.ts";
import type { StopTable } from "../x86/stops.ts";
import type { CodeCoherence } from "./coherence.ts";
import { Env, type Environment, HFLAG2_NMI, Hflag } from "./environment.ts";
import type { Instance } from "./instance.ts";

const PAT_RESET = 0x0007_0406_0007_0406n;

/** What a core shares with its node. */
export interface Node {
  readonly bus: Bus;
  readonly memory: PhysicalMemory & { readonly view: DataView };
  readonly coherence: CodeCoherence;
  readonly stops: StopTable;
  readonly tscBase: bigint;
}

/** Registers that are a single field of Unicorn's state, with their offsets. */
const fields: ReadonlyMap<PlainRegister | PagingRegister, number> = new Map([
  ["cr0", Env.CR0],
  ["cr2", Env.CR2],
  ["cr3", Env.CR3],
  ["cr4", Env.CR4],
  ["efer", Env.EFER],
  ["star", Env.STAR],
  ["lstar", Env.LSTAR],
  ["cstar", Env.CSTAR],
  ["fmask", Env.FMASK],
  ["kernel_gs_base", Env.KERNEL_GS_BASE],
  ["tsc_aux", Env.TSC_AUX],
  ["sysenter_esp", Env.SYSENTER_ESP],
  ["sysenter_eip", Env.SYSENTER_EIP],
]);
const NO_EXCEPTION = -1;
const FPU_EXCEPTIONS = 0x3f;

export abstract class Processor extends BaseCore implements PagingRegisters, SyscallRegisters {
  readonly env: Environment;
  readonly mmu: Mmu;
  /** Unicorn's state does not hold it. */
  private pat = PAT_RESET;

  constructor(
    protected readonly instance: Instance,
    readonly node: Node,
  ) {
    super();
    this.env = instance.env;
    this.mmu = new Mmu(this, node.memory);
  }

  /**
   * Raises an exception at the current instruction, from inside it. The instruction changes nothing else and does not
   * retire.
   */
  abstract raise(vector: number, errorCode: number, address?: bigint): void;
  /** `readLinear` has read, or `writeLinear` has written, within one page. */
  protected abstract noteOwnAccess(linear: bigint, bytes: number, write: boolean): void;
  /** The debug registers enable other breakpoints than before. */
  protected abstract debugChanged(): void;
  /** Called inside an instruction: it is the last of this run of Unicorn's. */
  abstract endRun(): void;

  /** Unicorn's TLB holds copies of architectural TLB entries that have been dropped. */
  dropHostTlb(): void {
    this.mmu.entryLeft = false;
    this.instance.flushTlb();
  }

  /** For Engine.flushCaches. */
  flushCaches(): void {
    this.instance.flushTranslations();
    this.instance.flushTlb();
  }

  get cr0(): number {
    return this.env.u32(Env.CR0);
  }
  get cr2(): bigint {
    return this.env.u64(Env.CR2);
  }
  set cr2(value: bigint) {
    this.env.setU64(Env.CR2, value);
  }
  get cr3(): number {
    return this.env.cr3;
  }
  get cr4(): number {
    return this.env.u32(Env.CR4);
  }
  get efer(): number {
    return this.env.u32(Env.EFER);
  }
  get star(): bigint {
    return this.env.u64(Env.STAR);
  }
  get lstar(): bigint {
    return this.env.u64(Env.LSTAR);
  }
  get cstar(): bigint {
    return this.env.u64(Env.CSTAR);
  }
  get fmask(): bigint {
    return this.env.u64(Env.FMASK);
  }
  get alignmentCheck(): boolean {
    return this.env.alignmentCheck;
  }
  get cpl(): number {
    return this.env.cpl;
  }
  get rip(): bigint {
    return this.env.u64(Env.RIP);
  }
  set rip(value: bigint) {
    this.env.setU64(Env.RIP, BigInt.asUintN(64, value));
  }
  get linearRip(): bigint {
    return this.env.u32(Env.HFLAGS) & Hflag.CS64
      ? this.rip
      : (this.segment(SegmentIndex.CS).base + this.rip) & 0xffff_ffffn;
  }
  get is64Bit(): boolean {
    return (this.env.u32(Env.HFLAGS) & Hflag.CS64) !== 0;
  }
  /** Operands and addresses have 32 bits by default. */
  get is32Bit(): boolean {
    return (this.env.u32(Env.HFLAGS) & Hflag.CS32) !== 0;
  }
  /** The key of the translations of code at RIP: env.hflags. */
  get hiddenFlags(): number {
    return this.env.u32(Env.HFLAGS);
  }
  /** Our own flags: a write to CR0 or CR4 sets those that QEMU does not have. */
  setOwnFlag(flag: number, value: boolean): void {
    this.env.setU32(Env.HFLAGS, value ? this.hiddenFlags | flag : this.hiddenFlags & ~flag);
  }
  get rflags(): bigint {
    return this.env.rflags;
  }
  set rflags(value: bigint) {
    this.env.rflags = value;
  }
  get interruptsEnabled(): boolean {
    return (this.env.u32(Env.EFLAGS) & Rflags.IF) !== 0;
  }
  get interruptShadow(): boolean {
    return (this.env.u32(Env.HFLAGS) & Hflag.INHIBIT_IRQ) !== 0;
  }
  set interruptShadow(value: boolean) {
    const flags = this.env.u32(Env.HFLAGS);
    this.env.setU32(Env.HFLAGS, value ? flags | Hflag.INHIBIT_IRQ : flags & ~Hflag.INHIBIT_IRQ);
  }
  get gdtr() {
    return this.env.table(Env.GDTR);
  }
  get idtr() {
    return this.env.table(Env.IDTR);
  }

  plain(name: PlainRegister | PagingRegister): bigint {
    const offset = fields.get(name);
    if (offset !== undefined) return this.env.u64(offset);
    switch (name) {
      case "pat":
        return this.pat;
      case "sysenter_cs":
        return BigInt(this.env.u32(Env.SYSENTER_CS));
      case "gdtr_base":
        return this.gdtr.base;
      case "gdtr_limit":
        return BigInt(this.gdtr.limit);
      case "idtr_base":
        return this.idtr.base;
      case "idtr_limit":
        return BigInt(this.idtr.limit);
      default:
        throw new Error(`unicorn: no register ${name}`);
    }
  }
  setPlain(name: PlainRegister | PagingRegister, value: bigint): void {
    const { env } = this;
    const offset = fields.get(name);
    if (offset !== undefined) env.setU64(offset, value);
    else if (name === "pat") this.pat = value;
    else if (name === "sysenter_cs") env.setU32(Env.SYSENTER_CS, Number(value));
    else if (name === "gdtr_base") env.setTable(Env.GDTR, value, this.gdtr.limit);
    else if (name === "gdtr_limit") env.setTable(Env.GDTR, this.gdtr.base, Number(value));
    else if (name === "idtr_base") env.setTable(Env.IDTR, value, this.idtr.limit);
    else if (name === "idtr_limit") env.setTable(Env.IDTR, this.idtr.base, Number(value));
    else throw new Error(`unicorn: no register ${name}`);
  }
  pagingChanged(): void {
    this.env.updateHflags(this.cpl);
    this.dropHostTlb();
  }
  enterMode(cpl: number): void {
    this.env.setU32(Env.OLD_EXCEPTION, NO_EXCEPTION);
    this.env.updateHflags(cpl);
  }
  debugRegister(index: number): bigint {
    return this.env.u64(Env.DEBUG + 8 * index);
  }
  setDebugRegister(index: number, value: bigint): void {
    if (this.debugRegister(index) === value) return;
    this.env.setU64(Env.DEBUG + 8 * index, value);
    if (index === 6) return;
    this.debug.configure(this);
    this.debugChanged();
  }
  readFx(): Uint8Array {
    return this.env.saveFx();
  }
  writeFx(image: Uint8Array): void {
    this.env.restoreFx(image);
  }
  gpr(index: number): bigint {
    return this.env.u64(index * 8);
  }
  setGpr(index: number, value: bigint): void {
    this.env.setU64(index * 8, BigInt.asUintN(64, value));
  }
  segment(index: SegmentIndex): Segment {
    return this.env.segment(index);
  }
  setSegment(index: SegmentIndex, segment: Segment): void {
    this.env.writeSegment(index, segment);
    this.env.updateHflags(index === SegmentIndex.CS && this.cr0 & Cr0.PE ? segment.selector & 3 : this.cpl);
  }

  /** Sets the hidden part without a load: the CPL does not change. */
  setHiddenPart(index: SegmentIndex, segment: Segment): void {
    this.env.writeSegment(index, segment);
    // No translation depends on FS and GS.
    if (index !== SegmentIndex.FS && index !== SegmentIndex.GS) this.env.updateHflags(this.cpl);
  }

  /** #AC of a program's access: before a page fault, but after the #GP of a non-canonical address. */
  private checkProgram(address: bigint, bytes: number, privilege: Privilege): void {
    if (privilege !== PRIVILEGE_USER || !this.alignmentCheck || !(this.cr0 & Cr0.AM)) return;
    if (address & BigInt(alignmentOf(bytes) - 1) && isCanonical(Number(address >> 32n)))
      throw new Fault(Exception.AC, 0);
  }

  readLinear(address: bigint, bytes: number, privilege: Privilege): bigint {
    this.checkProgram(address, bytes, privilege);
    let value = 0n;
    for (let done = 0; done < bytes; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const piece = Math.min(bytes - done, 4096 - Number(at & 0xfffn));
      const physical = this.physicalOf(at, ACCESS_READ, privilege);
      for (let byte = 0; byte < piece; byte++, done++)
        value |= BigInt(this.readByte(physical + byte)) << BigInt(8 * done);
      if (privilege !== PRIVILEGE_IMPLICIT) this.noteOwnAccess(at, piece, false);
    }
    return value;
  }

  writeLinear(address: bigint, bytes: number, value: bigint, privilege: Privilege): void {
    this.checkProgram(address, bytes, privilege);
    // Both pages of a straddling write are checked before the first byte is written.
    const first = Math.min(bytes, 4096 - Number(address & 0xfffn));
    const physical = this.physicalOf(address, ACCESS_WRITE, privilege);
    const second =
      first < bytes ? this.physicalOf(BigInt.asUintN(64, address + BigInt(first)), ACCESS_WRITE, privilege) : 0;
    for (let byte = 0; byte < bytes; byte++) {
      this.writeByte(
        byte < first ? physical + byte : second + byte - first,
        Number((value >> BigInt(8 * byte)) & 0xffn),
      );
    }
    this.noteOwnAccess(address, first, true);
    if (first < bytes) this.noteOwnAccess(BigInt.asUintN(64, address + BigInt(first)), bytes - first, true);
  }

  /** Copies linear memory of at most a page to `to`. Throws Fault. */
  readBytes(address: bigint, to: Uint8Array, privilege: Privilege): void {
    this.checkProgram(address, to.length, privilege);
    for (let done = 0; done < to.length; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const end = Math.min(to.length, done + 4096 - Number(at & 0xfffn));
      const physical = this.physicalOf(at, ACCESS_READ, privilege);
      this.noteOwnAccess(at, end - done, false);
      for (let byte = 0; done < end; byte++, done++) to[done] = this.readByte(physical + byte);
    }
  }
  /** The reverse: all or nothing. */
  writeBytes(address: bigint, from: Uint8Array, privilege: Privilege): void {
    this.checkWrite(address, from.length, privilege);
    for (let done = 0; done < from.length; ) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const end = Math.min(from.length, done + 4096 - Number(at & 0xfffn));
      const physical = this.physicalOf(at, ACCESS_WRITE, privilege);
      this.noteOwnAccess(at, end - done, true);
      for (let byte = 0; done < end; byte++, done++) this.writeByte(physical + byte, from[done]);
    }
  }

  checkWrite(address: bigint, bytes: number, privilege: Privilege): void {
    this.checkProgram(address, bytes, privilege);
    this.physicalOf(address, ACCESS_WRITE, privilege);
    const last = BigInt.asUintN(64, address + BigInt(bytes - 1));
    if (last >> 12n !== address >> 12n) this.physicalOf(last & ~0xfffn, ACCESS_WRITE, privilege);
  }

  segmentBase(index: number): bigint {
    return this.segment(index as SegmentIndex).base;
  }
  xmm(index: number): Uint8Array {
    return this.env.xmm(index);
  }
  get mxcsr(): number {
    return this.env.u32(Env.MXCSR);
  }
  /** Raises only exception flags. */
  raiseMxcsr(flags: number): void {
    this.env.setU32(Env.MXCSR, this.mxcsr | flags);
  }
  get hasPendingX87(): boolean {
    const { env } = this;
    const pending = env.u32(Env.FPU_STATUS) & ~env.u32(Env.FPU_CONTROL) & FPU_EXCEPTIONS;
    return pending !== 0 && (this.cr0 & Cr0.NE) !== 0;
  }
  set resumeFlag(value: boolean) {
    this.env.resumeFlag = value;
  }
  get resumeFlag(): boolean {
    return this.env.resumeFlag;
  }
  /** For INS and OUTS, after the check of the right to use the port. */
  inPort(port: number, bytes: number): number {
    this.debug.accessedPort(port, bytes, this.cr4);
    return this.node.bus.readPort(this.core, port, bytes) >>> 0;
  }
  outPort(port: number, bytes: number, value: number): void {
    this.debug.accessedPort(port, bytes, this.cr4);
    this.node.bus.writePort(this.core, port, bytes, value);
  }
  loadTable(which: "gdtr" | "idtr", base: bigint, limit: number): void {
    this.env.setTable(which === "gdtr" ? Env.GDTR : Env.IDTR, base, limit);
  }

  /** Checks a fetch from the page of this address. Throws Fault. */
  checkFetch(address: bigint): void {
    this.physicalOf(BigInt.asUintN(64, address), ACCESS_FETCH, this.cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR);
  }

  /** A byte as an instruction fetch sees it, undefined if nothing is mapped. The machine's debugger uses it as well. */
  fetchByte(address: bigint): number | undefined {
    try {
      return this.readByte(
        this.physicalOf(
          BigInt.asUintN(64, address),
          ACCESS_FETCH,
          this.cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR,
        ),
      );
    } catch (error) {
      if (error instanceof Fault) return undefined;
      throw error;
    }
  }

  /** As `fetchByte`, without any effect on TLB and page tables. */
  peekByte(linear: bigint): number | undefined {
    const physical = this.mmu.resident(BigInt.asUintN(64, linear));
    const offset = physical === undefined ? -1 : this.node.memory.offsetOf(physical);
    return offset < 0 ? undefined : this.node.memory.view.getUint8(offset);
  }

  private physicalOf(address: bigint, access: AccessKind, privilege: Privilege): number {
    try {
      return this.mmu.translateOrThrow(address, access, privilege);
    } finally {
      if (this.mmu.entryLeft) this.dropHostTlb();
    }
  }
  private readByte(physical: number): number {
    const offset = this.node.memory.offsetOf(physical);
    return offset < 0 ? Number(this.readDevice(physical, 1)) & 0xff : this.node.memory.view.getUint8(offset);
  }
  private writeByte(physical: number, value: number): void {
    const offset = this.node.memory.offsetOf(physical);
    if (offset < 0) {
      this.writeDevice(physical, 1, value, 0);
    } else {
      this.node.memory.view.setUint8(offset, value);
      this.node.coherence.written(offset, 1);
    }
  }

  /** Reads a physical address outside RAM. */
  readDevice(address: number, size: number): number | bigint {
    const { bus } = this.node;
    if (size <= 4) return bus.readMemory(this.core, address, size) >>> 0;
    const low = bus.readMemory(this.core, address, 4) >>> 0;
    return (BigInt(bus.readMemory(this.core, address + 4, 4) >>> 0) << 32n) | BigInt(low);
  }
  writeDevice(address: number, size: number, low: number, high: number): void {
    const { bus } = this.node;
    const value = size >= 4 ? low : size === 2 ? low & 0xffff : low & 0xff;
    bus.writeMemory(this.core, address, Math.min(size, 4), value);
    if (size > 4) bus.writeMemory(this.core, address + 4, 4, high);
  }

  /** INVLPG on the architectural TLB. True: the host's whole TLB has been flushed, which a large page needs. */
  invalidatePage(low: number, high: number): boolean {
    if (!this.mmu.invalidatePage(low, high)) return false;
    this.dropHostTlb();
    return true;
  }

  get nmiBlocked(): boolean {
    return (this.env.u32(Env.HFLAGS2) & HFLAG2_NMI) !== 0;
  }
  set nmiBlocked(value: boolean) {
    const flags = this.env.u32(Env.HFLAGS2);
    this.env.setU32(Env.HFLAGS2, value ? flags | HFLAG2_NMI : flags & ~HFLAG2_NMI);
  }
}
