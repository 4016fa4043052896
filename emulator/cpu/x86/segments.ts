/**
 * Segment registers, their descriptors, and far transfers (Intel SDM vol. 2: MOV, CALL, JMP, RET, IRET, LAR, LSL, LLDT,
 * LTR, SYSRET, VERR; vol. 3, chapter 5). All checks are made before anything changes. RIP is set to the target; the
 * caller retires the instruction.
 *
 * Not modelled and refused by name: task gates, task switches by TSS or NT, virtual-8086 mode. Call gates of 16 and 32
 * bits raise #GP in long mode, as on a processor, and are refused outside it.
 */
import { Cr0, Efer, Exception, Rflags } from "../../abi/x86.ts";
import type { Segment } from "../engine.ts";
import {
  type CpuAccess,
  Fault,
  PRIVILEGE_IMPLICIT,
  PRIVILEGE_SUPERVISOR,
  PRIVILEGE_USER,
  SegmentIndex,
  UnsupportedFeature,
} from "./access.ts";
import {
  type Descriptor,
  decodeDescriptor,
  decodeGate,
  descriptorDpl,
  type Gate,
  isCode,
  isPresent,
  isWritableData,
  loadedSegment,
  readDescriptor,
  SegmentFlag,
  selectorError,
} from "./descriptors.ts";

const MASK_64 = 0xffff_ffff_ffff_ffffn;
const TYPE_LDT = 2;
const TYPE_TSS16 = 1;
const TYPE_CALL_GATE16 = 4;
const TYPE_TASK_GATE = 5;
const TYPE_TSS32 = 9;
const TYPE_TSS32_BUSY = 11;
const TYPE_CALL_GATE32 = 12;
const BUSY = 2 << 8;
const GP = Exception.GP;
const FLAT_DATA =
  SegmentFlag.PRESENT |
  SegmentFlag.NON_SYSTEM |
  SegmentFlag.WRITABLE |
  SegmentFlag.ACCESSED |
  SegmentFlag.GRANULARITY |
  SegmentFlag.BIG;

const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;
const typeOf = (flags: number): number => (flags >>> 8) & 15;
const isSystem = (flags: number): boolean => (flags & SegmentFlag.NON_SYSTEM) === 0;
const isConforming = (flags: number): boolean => (flags & SegmentFlag.CONFORMING) !== 0;
const isLong = (cpu: CpuAccess): boolean => (cpu.efer & Efer.LMA) !== 0;
const canonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
const fault = (vector: number, selector: number): Fault => new Fault(vector, selectorError(selector));
const is64 = (cpu: CpuAccess): boolean => isLong(cpu) && (cpu.segment(SegmentIndex.CS).flags & SegmentFlag.LONG) !== 0;
const ownPrivilege = (cpl: number) => (cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR);

/** Address of a descriptor of `bytes` bytes in its table; undefined: beyond the table. */
function descriptorAddress(cpu: CpuAccess, selector: number, bytes: number): bigint | undefined {
  const ldtr = cpu.segment(SegmentIndex.LDTR);
  const table = selector & 4 ? { base: ldtr.base, limit: isPresent(ldtr.flags) ? ldtr.limit : -1 } : cpu.gdtr;
  const index = selector & 0xfff8;
  return index + bytes - 1 > table.limit ? undefined : BigInt.asUintN(64, table.base + BigInt(index));
}

/** A load marks the descriptor in memory as accessed. */
function markAccessed(cpu: CpuAccess, selector: number, descriptor: Descriptor): void {
  if (descriptor.flags & SegmentFlag.ACCESSED) return;
  const at = (descriptorAddress(cpu, selector, 8) as bigint) + 4n;
  const high = cpu.readLinear(at, 4, PRIVILEGE_IMPLICIT);
  cpu.writeLinear(at, 4, high | BigInt(SegmentFlag.ACCESSED), PRIVILEGE_IMPLICIT);
}

/** MOV, POP and the far loads of ES, SS, DS, FS, GS. */
export function loadSegment(cpu: CpuAccess, index: SegmentIndex, selector: number): void {
  if (!(cpu.cr0 & Cr0.PE)) {
    cpu.setSegment(index, { ...cpu.segment(index), selector, base: BigInt(selector << 4) });
    return;
  }
  const rpl = selector & 3;
  if (isNull(selector)) {
    if (index !== SegmentIndex.SS) cpu.setSegment(index, { selector, base: 0n, limit: 0, flags: 0 });
    else if (!is64(cpu) || cpu.cpl === 3 || rpl !== cpu.cpl) throw new Fault(GP, 0);
    else cpu.setSegment(index, { selector, base: 0n, limit: 0, flags: cpu.cpl << SegmentFlag.DPL_SHIFT });
    return;
  }
  const descriptor = readDescriptor(cpu, selector, GP, 0);
  const { flags } = descriptor;
  const dpl = descriptorDpl(flags);
  if (index === SegmentIndex.SS) {
    if (rpl !== cpu.cpl || dpl !== cpu.cpl || !isWritableData(flags)) throw fault(GP, selector);
    if (!isPresent(flags)) throw fault(Exception.SS, selector);
  } else {
    const code = isCode(flags);
    if (isSystem(flags) || (code && !(flags & SegmentFlag.WRITABLE))) throw fault(GP, selector);
    if (!(code && isConforming(flags)) && (dpl < cpu.cpl || dpl < rpl)) throw fault(GP, selector);
    if (!isPresent(flags)) throw fault(Exception.NP, selector);
  }
  markAccessed(cpu, selector, descriptor);
  cpu.setSegment(index, loadedSegment(selector, descriptor));
}

/** Reads a code segment descriptor as target of a far transfer, with the checks that all far transfers share. */
function codeSegment(cpu: CpuAccess, selector: number): Descriptor {
  if (isNull(selector)) throw new Fault(GP, 0);
  return readDescriptor(cpu, selector, GP, 0);
}
function checkMode(cpu: CpuAccess, selector: number, flags: number): void {
  if (isLong(cpu) && flags & SegmentFlag.LONG && flags & SegmentFlag.BIG) throw fault(GP, selector);
}
/** Checks RIP against the segment. */
function checkTarget(cpu: CpuAccess, descriptor: Descriptor, offset: bigint): void {
  if (isLong(cpu) && descriptor.flags & SegmentFlag.LONG) {
    if (!canonical(offset)) throw new Fault(GP, 0);
  } else if (offset > BigInt(descriptor.limit)) {
    throw new Fault(GP, 0);
  }
}
function checkDirect(cpu: CpuAccess, selector: number, { flags }: Descriptor): void {
  const dpl = descriptorDpl(flags);
  if (isConforming(flags) ? dpl > cpu.cpl : (selector & 3) > cpu.cpl || dpl !== cpu.cpl) throw fault(GP, selector);
  if (!isPresent(flags)) throw fault(Exception.NP, selector);
  checkMode(cpu, selector, flags);
}

/** A stack pointer that moves, and its segment; the caller commits it. */
class Stack {
  constructor(
    private readonly cpu: CpuAccess,
    readonly segment: Segment,
    public pointer: bigint,
    private readonly cpl: number,
    private readonly wide: boolean,
  ) {}
  static current(cpu: CpuAccess): Stack {
    return new Stack(cpu, cpu.segment(SegmentIndex.SS), cpu.gpr(4), cpu.cpl, is64(cpu));
  }
  private get bits(): number {
    return this.wide ? 64 : this.segment.flags & SegmentFlag.BIG ? 32 : 16;
  }
  private linear(): bigint {
    const offset = BigInt.asUintN(this.bits, this.pointer);
    if (!this.wide) return (this.segment.base + offset) & 0xffff_ffffn;
    if (!canonical(offset)) throw new Fault(Exception.SS, 0);
    return offset;
  }
  move(bytes: number): void {
    const low = BigInt.asUintN(this.bits, this.pointer + BigInt(bytes));
    this.pointer = this.bits === 16 ? (this.pointer & ~0xffffn & MASK_64) | low : low;
  }
  push(value: bigint, bytes: number): void {
    this.move(-bytes);
    this.cpu.writeLinear(this.address(bytes), bytes, BigInt.asUintN(bytes * 8, value), ownPrivilege(this.cpl));
  }
  private address(bytes: number): bigint {
    const address = this.linear();
    if (this.cpl === 3) this.cpu.checkAlignment?.(address, bytes);
    return address;
  }
  pop(bytes: number): bigint {
    const value = this.cpu.readLinear(this.address(bytes), bytes, ownPrivilege(this.cpl));
    this.move(bytes);
    return value;
  }
}

/** JMP far, direct or through memory. `bytes`: operand size. */
export function farJump(cpu: CpuAccess, selector: number, offset: bigint): void {
  if (!(cpu.cr0 & Cr0.PE)) return farReal(cpu, selector, offset);
  const descriptor = codeSegment(cpu, selector);
  if (isCode(descriptor.flags)) {
    checkDirect(cpu, selector, descriptor);
    checkTarget(cpu, descriptor, offset);
    cpu.setSegment(SegmentIndex.CS, loadedSegment((selector & 0xfffc) | cpu.cpl, descriptor));
    cpu.rip = offset;
    return;
  }
  const { gate, code, target } = callGate(cpu, selector, descriptor);
  const dpl = descriptorDpl(code.flags);
  if (isConforming(code.flags) ? dpl > cpu.cpl : dpl !== cpu.cpl) throw fault(GP, target);
  if (!isPresent(code.flags)) throw fault(Exception.NP, target);
  checkTarget(cpu, code, gate.offset);
  cpu.setSegment(SegmentIndex.CS, loadedSegment((target & 0xfffc) | cpu.cpl, code));
  cpu.rip = gate.offset;
}

function farReal(cpu: CpuAccess, selector: number, offset: bigint): void {
  if (offset > BigInt(cpu.segment(SegmentIndex.CS).limit)) throw new Fault(GP, 0);
  cpu.setSegment(SegmentIndex.CS, { ...cpu.segment(SegmentIndex.CS), selector, base: BigInt(selector << 4) });
  cpu.rip = offset;
}

/** The gate of a far CALL or JMP, and its code segment. */
function callGate(
  cpu: CpuAccess,
  selector: number,
  { flags }: Descriptor,
): { gate: Gate; code: Descriptor; target: number } {
  const type = typeOf(flags);
  if (!isSystem(flags)) throw fault(GP, selector);
  if (!isLong(cpu)) {
    if ([TYPE_CALL_GATE16, TYPE_CALL_GATE32, TYPE_TASK_GATE, TYPE_TSS16, TYPE_TSS32].includes(type))
      throw new UnsupportedFeature(`far transfer through a gate or to a task outside long mode`);
    throw fault(GP, selector);
  }
  if (type !== TYPE_CALL_GATE32) throw fault(GP, selector);
  const dpl = descriptorDpl(flags);
  if (dpl < cpu.cpl || dpl < (selector & 3)) throw fault(GP, selector);
  if (!isPresent(flags)) throw fault(Exception.NP, selector);
  const at = descriptorAddress(cpu, selector, 16);
  if (at === undefined) throw fault(GP, selector);
  const high = cpu.readLinear(BigInt.asUintN(64, at + 8n), 8, PRIVILEGE_IMPLICIT);
  if ((high >> 40n) & 0x1fn) throw fault(GP, selector);
  const gate = decodeGate(cpu.readLinear(at, 8, PRIVILEGE_IMPLICIT), high);
  const target = gate.selector;
  if (isNull(target)) throw new Fault(GP, 0);
  const code = readDescriptor(cpu, target, GP, 0);
  if (!isCode(code.flags) || descriptorDpl(code.flags) > cpu.cpl) throw fault(GP, target);
  if (!(code.flags & SegmentFlag.LONG) || code.flags & SegmentFlag.BIG) throw fault(GP, target);
  return { gate, code, target };
}

/** CALL far. RIP is the return address. */
export function farCall(cpu: CpuAccess, selector: number, offset: bigint, bytes: number): void {
  const stack = Stack.current(cpu);
  const oldSelector = BigInt(cpu.segment(SegmentIndex.CS).selector);
  if (!(cpu.cr0 & Cr0.PE)) {
    stack.push(oldSelector, bytes);
    stack.push(cpu.rip, bytes);
    farReal(cpu, selector, offset);
    cpu.setGpr(4, stack.pointer);
    return;
  }
  const descriptor = codeSegment(cpu, selector);
  if (isCode(descriptor.flags)) {
    checkDirect(cpu, selector, descriptor);
    stack.push(oldSelector, bytes);
    stack.push(cpu.rip, bytes);
    checkTarget(cpu, descriptor, offset);
    cpu.setGpr(4, stack.pointer);
    cpu.setSegment(SegmentIndex.CS, loadedSegment((selector & 0xfffc) | cpu.cpl, descriptor));
    cpu.rip = offset;
    return;
  }
  const { gate, code, target } = callGate(cpu, selector, descriptor);
  if (!isPresent(code.flags)) throw fault(Exception.NP, target);
  const dpl = descriptorDpl(code.flags);
  if (isConforming(code.flags) || dpl === cpu.cpl) {
    stack.push(oldSelector, 8);
    stack.push(cpu.rip, 8);
    checkTarget(cpu, code, gate.offset);
    cpu.setGpr(4, stack.pointer);
    cpu.setSegment(SegmentIndex.CS, loadedSegment((target & 0xfffc) | cpu.cpl, code));
  } else {
    const tss = cpu.segment(SegmentIndex.TR);
    const field = 4 + 8 * dpl;
    if (field + 7 > tss.limit) throw fault(Exception.TS, tss.selector);
    const pointer = cpu.readLinear(BigInt.asUintN(64, tss.base + BigInt(field)), 8, PRIVILEGE_IMPLICIT);
    if (!canonical(pointer)) throw new Fault(Exception.SS, 0);
    const inner = new Stack(cpu, cpu.segment(SegmentIndex.SS), pointer, dpl, true);
    inner.push(BigInt(cpu.segment(SegmentIndex.SS).selector), 8);
    inner.push(cpu.gpr(4), 8);
    inner.push(oldSelector, 8);
    inner.push(cpu.rip, 8);
    checkTarget(cpu, code, gate.offset);
    cpu.setGpr(4, inner.pointer);
    cpu.setSegment(SegmentIndex.CS, loadedSegment((target & 0xfffc) | dpl, code));
    cpu.setSegment(SegmentIndex.SS, { selector: dpl, base: 0n, limit: 0, flags: dpl << SegmentFlag.DPL_SHIFT });
  }
  cpu.rip = gate.offset;
}

/** RET far; `release`: size of the parameters in bytes. */
export function farReturn(cpu: CpuAccess, bytes: number, release: number): void {
  const stack = Stack.current(cpu);
  const offset = stack.pop(bytes);
  const selector = Number(stack.pop(bytes) & 0xffffn);
  if (!(cpu.cr0 & Cr0.PE)) {
    farReal(cpu, selector, offset);
    stack.move(release);
    cpu.setGpr(4, stack.pointer);
    return;
  }
  returnTo(cpu, stack, selector, offset, bytes, release, undefined);
}

/** IRET. The caller unblocks NMIs. True: the image of RFLAGS has RF. */
export function interruptReturn(cpu: CpuAccess, bytes: number): boolean {
  const stack = Stack.current(cpu);
  const isProtected = (cpu.cr0 & Cr0.PE) !== 0;
  if (isProtected && cpu.rflags & BigInt(Rflags.NT)) {
    if (isLong(cpu)) throw new Fault(GP, 0);
    throw new UnsupportedFeature("IRET to another task");
  }
  const offset = stack.pop(bytes);
  const selector = Number(stack.pop(bytes) & 0xffffn);
  const flags = stack.pop(bytes);
  if (!isProtected) {
    farReal(cpu, selector, offset);
    cpu.setGpr(4, stack.pointer);
    const mask = BigInt(Rflags.TF | Rflags.IF | Rflags.IOPL | Rflags.NT | Rflags.RF | Rflags.AC | Rflags.ID);
    setFlags(cpu, flags, bytes === 2 ? mask & 0xffffn : mask);
    return bytes !== 2 && (flags & BigInt(Rflags.RF)) !== 0n;
  }
  if (flags & BigInt(Rflags.VM) && bytes === 4 && cpu.cpl === 0 && !isLong(cpu))
    throw new UnsupportedFeature("IRET to virtual-8086 mode");
  returnTo(cpu, stack, selector, offset, bytes, 0, flags);
  return bytes !== 2 && (flags & BigInt(Rflags.RF)) !== 0n;
}

/** Sets the status flags and DF always, the other flags by the mask; RF is never kept. */
function setFlags(cpu: CpuAccess, flags: bigint, mask: bigint): void {
  const status = BigInt(Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF | Rflags.DF);
  const changed = mask | status;
  cpu.rflags = (cpu.rflags & ~changed) | (flags & changed);
}

function returnTo(
  cpu: CpuAccess,
  stack: Stack,
  selector: number,
  offset: bigint,
  bytes: number,
  release: number,
  flags: bigint | undefined,
): void {
  const oldCpl = cpu.cpl;
  const code = codeSegment(cpu, selector);
  const rpl = selector & 3;
  if (!isCode(code.flags) || rpl < oldCpl) throw fault(GP, selector);
  const dpl = descriptorDpl(code.flags);
  if (isConforming(code.flags) ? dpl > rpl : dpl !== rpl) throw fault(GP, selector);
  if (!isPresent(code.flags)) throw fault(Exception.NP, selector);
  checkMode(cpu, selector, code.flags);
  stack.move(release);
  const outer = rpl !== oldCpl;
  let stackSegment: Segment | undefined;
  let pointer = stack.pointer;
  if (outer || (flags !== undefined && is64(cpu))) {
    pointer = stack.pop(bytes);
    const stackSelector = Number(stack.pop(bytes) & 0xffffn);
    stackSegment = returnStack(cpu, stackSelector, rpl, code);
    if (bytes !== 8 && !(stackSegment.flags & SegmentFlag.BIG) && !(isLong(cpu) && code.flags & SegmentFlag.LONG))
      pointer = (cpu.gpr(4) & ~0xffffn) | (pointer & 0xffffn);
    if (outer) pointer += BigInt(release);
  }
  checkTarget(cpu, code, offset);

  if (flags !== undefined) {
    let mask = Rflags.TF | Rflags.AC | Rflags.ID | Rflags.NT;
    if (oldCpl === 0) mask |= Rflags.IOPL;
    if (oldCpl <= Number((cpu.rflags & BigInt(Rflags.IOPL)) >> 12n)) mask |= Rflags.IF;
    setFlags(cpu, flags, bytes === 2 ? BigInt(mask & 0xffff) : BigInt(mask));
  }
  cpu.setSegment(SegmentIndex.CS, loadedSegment(selector, code));
  if (stackSegment) cpu.setSegment(SegmentIndex.SS, stackSegment);
  cpu.setGpr(4, pointer);
  cpu.rip = offset;
  if (outer) {
    for (const index of [SegmentIndex.ES, SegmentIndex.DS, SegmentIndex.FS, SegmentIndex.GS])
      dropInner(cpu, index, rpl);
  }
}

/** SS of the outer ring. */
function returnStack(cpu: CpuAccess, selector: number, rpl: number, code: Descriptor): Segment {
  if (isNull(selector)) {
    if (!isLong(cpu) || !(code.flags & SegmentFlag.LONG) || rpl === 3 || (selector & 3) !== rpl) throw new Fault(GP, 0);
    // 64-bit mode hides the descriptor of a null SS; this is QEMU's.
    return { selector, base: 0n, limit: 0xffff_ffff, flags: FLAT_DATA | (rpl << SegmentFlag.DPL_SHIFT) };
  }
  const descriptor = readDescriptor(cpu, selector, GP, 0);
  const { flags } = descriptor;
  if ((selector & 3) !== rpl || !isWritableData(flags) || descriptorDpl(flags) !== rpl) throw fault(GP, selector);
  if (!isPresent(flags)) throw fault(Exception.SS, selector);
  return loadedSegment(selector, descriptor);
}

/** A data segment that the outer ring may not use becomes null; a null FS or GS keeps its base. */
function dropInner(cpu: CpuAccess, index: SegmentIndex, cpl: number): void {
  const { flags, selector } = cpu.segment(index);
  if ((index === SegmentIndex.FS || index === SegmentIndex.GS) && isNull(selector)) return;
  if (descriptorDpl(flags) < cpl && !(isCode(flags) && isConforming(flags)))
    cpu.setSegment(index, { selector: 0, base: 0n, limit: 0, flags: 0 });
}

/**
 * SYSRET (AMD APM vol. 3): to 64-bit code with REX.W, otherwise to compatibility mode. A non-canonical target faults
 * after the transition, in ring 3, as on AMD's processors.
 */
export function performSysret(cpu: CpuAccess, star: bigint, wide: boolean): void {
  if (!(cpu.efer & Efer.SCE)) throw new Fault(Exception.UD, 0);
  if (!(cpu.cr0 & Cr0.PE) || cpu.cpl !== 0) throw new Fault(GP, 0);
  const selector = Number((star >> 48n) & 0xffffn);
  const target = cpu.gpr(1);
  const data = FLAT_DATA | (3 << SegmentFlag.DPL_SHIFT);
  const limit = 0xffff_ffff;
  const code = (data & ~SegmentFlag.BIG) | SegmentFlag.CODE;
  if (isLong(cpu)) {
    const status = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF | Rflags.DF;
    const loaded = status | Rflags.TF | Rflags.AC | Rflags.ID | Rflags.IF | Rflags.IOPL | Rflags.NT;
    cpu.rflags = (cpu.gpr(11) & BigInt(loaded)) | BigInt(Rflags.ONE);
  } else {
    cpu.rflags |= BigInt(Rflags.IF);
  }
  cpu.setSegment(SegmentIndex.CS, {
    selector: ((selector + (wide ? 16 : 0)) & 0xfffc) | 3,
    base: 0n,
    limit,
    flags: code | (wide ? SegmentFlag.LONG : SegmentFlag.BIG),
  });
  cpu.setSegment(SegmentIndex.SS, {
    selector: ((selector + 8) & 0xfffc) | 3,
    base: 0n,
    limit,
    flags: data,
  });
  cpu.rip = wide ? target : target & 0xffff_ffffn;
}

/** LLDT, LTR. */
export function loadSystemSegment(cpu: CpuAccess, index: 6 | 7, selector: number): void {
  const task = index === SegmentIndex.TR;
  if (isNull(selector)) {
    if (task) throw new Fault(GP, 0);
    cpu.setSegment(index, { selector, base: 0n, limit: 0, flags: 0 });
    return;
  }
  const bytes = isLong(cpu) ? 16 : 8;
  const at = selector & 4 ? undefined : descriptorAddress(cpu, selector, bytes);
  if (at === undefined) throw fault(GP, selector);
  const low = cpu.readLinear(at, 8, PRIVILEGE_IMPLICIT);
  const descriptor = decodeDescriptor(low);
  const type = typeOf(descriptor.flags);
  const fits = task ? type === TYPE_TSS32 || (type === TYPE_TSS16 && !isLong(cpu)) : type === TYPE_LDT;
  if (!isSystem(descriptor.flags) || !fits) throw fault(GP, selector);
  if (!isPresent(descriptor.flags)) throw fault(Exception.NP, selector);
  let { base } = descriptor;
  if (isLong(cpu)) {
    const high = cpu.readLinear(at + 8n, 8, PRIVILEGE_IMPLICIT);
    if ((high >> 40n) & 0x1fn) throw fault(GP, selector);
    base |= (high & 0xffff_ffffn) << 32n;
    if (!canonical(base)) throw fault(GP, selector);
  }
  let { flags } = descriptor;
  if (task) {
    flags |= BUSY;
    cpu.writeLinear(at + 4n, 4, (low >> 32n) | BigInt(BUSY), PRIVILEGE_IMPLICIT);
  }
  cpu.setSegment(index, { selector, base, limit: descriptor.limit, flags });
}

/** The descriptor if LAR, LSL, VERR or VERW may see it; undefined: ZF = 0. */
function visible(cpu: CpuAccess, selector: number): Descriptor | undefined {
  if (isNull(selector)) return undefined;
  const at = descriptorAddress(cpu, selector, 8);
  if (at === undefined) return undefined;
  const descriptor = decodeDescriptor(cpu.readLinear(at, 8, PRIVILEGE_IMPLICIT));
  const { flags } = descriptor;
  const dpl = descriptorDpl(flags);
  if (!(isCode(flags) && isConforming(flags)) && (dpl < cpu.cpl || dpl < (selector & 3))) return undefined;
  return descriptor;
}

/** Access rights in the format of LAR; undefined: not visible. */
export function loadAccessRights(cpu: CpuAccess, selector: number): number | undefined {
  const descriptor = visible(cpu, selector);
  if (!descriptor) return undefined;
  const type = typeOf(descriptor.flags);
  const allowed = isLong(cpu)
    ? [TYPE_LDT, TYPE_TSS32, TYPE_TSS32_BUSY, TYPE_CALL_GATE32]
    : [TYPE_TSS16, TYPE_LDT, 3, TYPE_CALL_GATE16, TYPE_TASK_GATE, TYPE_TSS32, TYPE_TSS32_BUSY, TYPE_CALL_GATE32];
  if (isSystem(descriptor.flags) && !allowed.includes(type)) return undefined;
  const at = descriptorAddress(cpu, selector, 8) as bigint;
  return Number(cpu.readLinear(at + 4n, 4, PRIVILEGE_IMPLICIT) & 0x00ff_ff00n);
}

/** LSL. */
export function loadSegmentLimit(cpu: CpuAccess, selector: number): number | undefined {
  const descriptor = visible(cpu, selector);
  if (!descriptor) return undefined;
  const allowed = isLong(cpu)
    ? [TYPE_LDT, TYPE_TSS32, TYPE_TSS32_BUSY]
    : [TYPE_TSS16, TYPE_LDT, 3, TYPE_TSS32, TYPE_TSS32_BUSY];
  if (isSystem(descriptor.flags) && !allowed.includes(typeOf(descriptor.flags))) return undefined;
  return descriptor.limit;
}

/** VERR, VERW. */
export function verifySegment(cpu: CpuAccess, selector: number, write: boolean): boolean {
  const descriptor = visible(cpu, selector);
  if (!descriptor || isSystem(descriptor.flags)) return false;
  const { flags } = descriptor;
  if (write) return isWritableData(flags);
  return !isCode(flags) || (flags & SegmentFlag.WRITABLE) !== 0;
}
