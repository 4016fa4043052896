/**
 * Delivery of exceptions and interrupts through the IDT (Intel SDM vol. 3, chapter 6; pseudocode of INT n in vol. 2):
 * long mode (IST, RSP0…2, 64-bit frames), 32-bit protected mode (16- and 32-bit gates, stack switch by the TSS) and
 * real mode. A fault during delivery is combined with the first one by the manual's table 6-5; a third one is shutdown.
 *
 * Not modelled: task gates, virtual-8086 mode, shadow stacks; the accessed bit of a descriptor is not written back.
 */
import { Cr0, Efer, Exception, Rflags } from "../../abi/x86.ts";
import {
  type CpuAccess,
  Fault,
  PRIVILEGE_IMPLICIT,
  PRIVILEGE_SUPERVISOR,
  PRIVILEGE_USER,
  type Privilege,
  SegmentIndex,
  UnsupportedFeature,
} from "./access.ts";
import {
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
  SystemType,
} from "./descriptors.ts";

export interface CpuEvent {
  readonly vector: number;
  /** exception: raised by the processor. software: INT n, INT3, INTO. external: interrupt or NMI. */
  readonly kind: "exception" | "software" | "external";
  /** Pushed if the vector has an error code (exceptions only). */
  readonly errorCode?: number;
  /** #PF: the address for CR2. */
  readonly address?: bigint;
  /** software: RIP of the instruction itself, for a fault during delivery; `cpu.rip` is already after it. */
  readonly instructionRip?: bigint;
  /** The frame's RF is set whatever the class of the event (x86/debug.ts). */
  readonly resumes?: boolean;
}

/** Exceptions that push an error code (SDM vol. 3, table 6-1). */
const withErrorCode: ReadonlySet<number> = new Set([
  Exception.DF,
  Exception.TS,
  Exception.NP,
  Exception.SS,
  Exception.GP,
  Exception.PF,
  Exception.AC,
]);
/** Classes of table 6-5; all other exceptions are benign. */
const contributory: ReadonlySet<number> = new Set([
  Exception.DE,
  Exception.TS,
  Exception.NP,
  Exception.SS,
  Exception.GP,
]);
/**
 * Traps. All other exceptions are faults (or aborts) and push RF = 1 (SDM vol. 3, 18.3.1.1). #DB is a trap, or the
 * fault of an execute breakpoint, which does not push RF; for DR7.GD the event tells it.
 */
const traps: ReadonlySet<number> = new Set([Exception.DB, Exception.BP, Exception.OF, Exception.DF, Exception.MC]);

const ERROR_IDT = 2;
const ERROR_EXTERNAL = 1;
const MASK_32 = 0xffff_ffffn;

/** The exception that results when `second` is raised during the delivery of `first` (SDM vol. 3, table 6-5). */
export function combineFaults(first: number, second: number): "serial" | "double" | "shutdown" {
  const secondIsSerious = contributory.has(second) || second === Exception.PF;
  if (first === Exception.DF) return secondIsSerious ? "shutdown" : "serial";
  if (first === Exception.PF) return secondIsSerious ? "double" : "serial";
  if (contributory.has(first)) return contributory.has(second) ? "double" : "serial";
  return "serial";
}

/**
 * Delivers an event immediately. False: triple fault, the processor has shut down. Memory holds everything that was
 * pushed before. `doubled` is called for a double fault that reached its handler, with the two exceptions and the RIP
 * where they occurred.
 */
export function deliverEvent(
  cpu: CpuAccess,
  event: CpuEvent,
  doubled?: (first: number, second: number, rip: bigint) => void,
): boolean {
  let current = event;
  let double: readonly [first: number, second: number, rip: bigint] | undefined;
  for (;;) {
    try {
      if (current.address !== undefined) cpu.cr2 = current.address;
      deliverOnce(cpu, current);
      if (double !== undefined) doubled?.(...double);
      return true;
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      const outcome = current.kind === "exception" ? combineFaults(current.vector, fault.vector) : "serial";
      if (outcome === "shutdown") {
        cpu.interruptShadow = false;
        return false;
      }
      if (current.kind === "software" && current.instructionRip !== undefined) cpu.rip = current.instructionRip;
      if (outcome === "double") {
        if (fault.address !== undefined) cpu.cr2 = fault.address;
        double = [current.vector, fault.vector, cpu.rip];
        current = { vector: Exception.DF, kind: "exception", errorCode: 0 };
      } else {
        current = { vector: fault.vector, kind: "exception", errorCode: fault.errorCode, address: fault.address };
      }
    }
  }
}

function deliverOnce(cpu: CpuAccess, event: CpuEvent): void {
  if (!(cpu.cr0 & Cr0.PE)) deliverReal(cpu, event);
  else if (cpu.efer & Efer.LMA) deliverLong(cpu, event);
  else deliverProtected(cpu, event);
  cpu.interruptShadow = false;
}

/** The frame's RFLAGS image, and the flags that the handler starts with. */
function flagsFor(cpu: CpuAccess, event: CpuEvent, interruptGate: boolean): { pushed: bigint; next: bigint } {
  const flags = cpu.rflags;
  const resumes = event.resumes === true || (event.kind === "exception" && !traps.has(event.vector));
  const cleared = Rflags.TF | Rflags.NT | Rflags.RF | Rflags.VM | (interruptGate ? Rflags.IF : 0);
  return { pushed: resumes ? flags | BigInt(Rflags.RF) : flags, next: flags & ~BigInt(cleared) };
}

/** Gate checks that both modes share. `external` is the EXT bit of error codes. */
function checkGate(cpu: CpuAccess, event: CpuEvent, gate: Gate, external: number): void {
  const gateError = event.vector * 8 + ERROR_IDT;
  if (event.kind === "software" && gate.dpl < cpu.cpl) throw new Fault(Exception.GP, gateError);
  if (!gate.present) throw new Fault(Exception.NP, gateError + external);
}

/** Reads and checks the handler's code segment; also returns the CPL of the handler. */
function handlerSegment(cpu: CpuAccess, gate: Gate, external: number) {
  if ((gate.selector & 0xfffc) === 0) throw new Fault(Exception.GP, external);
  const code = readDescriptor(cpu, gate.selector, Exception.GP, external);
  const error = selectorError(gate.selector) | external;
  const dpl = descriptorDpl(code.flags);
  if (!isCode(code.flags) || dpl > cpu.cpl) throw new Fault(Exception.GP, error);
  if (!isPresent(code.flags)) throw new Fault(Exception.NP, error);
  const conforming = (code.flags & SegmentFlag.CONFORMING) !== 0;
  return { code, error, cpl: conforming ? cpu.cpl : dpl };
}

const canonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
const externalBit = (event: CpuEvent): number => (event.kind === "software" ? 0 : ERROR_EXTERNAL);

/**
 * Privilege of the frame's pushes. RFLAGS.AC gives ring 0 access to user pages, but after an event from ring 3 the flag
 * is the program's own.
 */
function pushPrivilege(cpu: CpuAccess, cpl: number): Privilege {
  if (cpl === 3) return PRIVILEGE_USER;
  return cpu.cpl === 3 ? PRIVILEGE_IMPLICIT : PRIVILEGE_SUPERVISOR;
}

function deliverLong(cpu: CpuAccess, event: CpuEvent): void {
  const external = externalBit(event);
  const gateError = event.vector * 8 + ERROR_IDT + external;
  const entry = event.vector * 16;
  if (entry + 15 > cpu.idtr.limit) throw new Fault(Exception.GP, gateError);
  const gateAddress = BigInt.asUintN(64, cpu.idtr.base + BigInt(entry));
  const gate = decodeGate(
    cpu.readLinear(gateAddress, 8, PRIVILEGE_IMPLICIT),
    cpu.readLinear(gateAddress + 8n, 8, PRIVILEGE_IMPLICIT),
  );
  if (gate.type !== SystemType.INTERRUPT_GATE32 && gate.type !== SystemType.TRAP_GATE32)
    throw new Fault(Exception.GP, gateError);
  checkGate(cpu, event, gate, external);
  const { code, error, cpl } = handlerSegment(cpu, gate, external);
  if (!(code.flags & SegmentFlag.LONG) || code.flags & SegmentFlag.BIG) throw new Fault(Exception.GP, error);

  const inner = cpl < cpu.cpl;
  let stack = cpu.gpr(4);
  if (gate.ist || inner) {
    const tss = cpu.segment(SegmentIndex.TR);
    const field = gate.ist ? 0x1c + 8 * gate.ist : 4 + 8 * cpl;
    if (field + 7 > tss.limit) throw new Fault(Exception.TS, selectorError(tss.selector) | external);
    stack = cpu.readLinear(BigInt.asUintN(64, tss.base + BigInt(field)), 8, PRIVILEGE_IMPLICIT);
  }
  if (!canonical(stack)) throw new Fault(Exception.SS, external);
  stack &= ~15n;
  if (!canonical(gate.offset)) throw new Fault(Exception.GP, external);

  const flags = flagsFor(cpu, event, gate.type === SystemType.INTERRUPT_GATE32);
  const privilege = pushPrivilege(cpu, cpl);
  const oldStack = cpu.gpr(4);
  const push = (value: bigint): void => {
    stack = BigInt.asUintN(64, stack - 8n);
    if (!canonical(stack)) throw new Fault(Exception.SS, external);
    cpu.writeLinear(stack, 8, value, privilege);
  };
  push(BigInt(cpu.segment(SegmentIndex.SS).selector));
  push(oldStack);
  push(flags.pushed);
  push(BigInt(cpu.segment(SegmentIndex.CS).selector));
  push(cpu.rip);
  if (event.kind === "exception" && withErrorCode.has(event.vector)) push(BigInt(event.errorCode ?? 0));

  cpu.setSegment(SegmentIndex.CS, loadedSegment((gate.selector & 0xfffc) | cpl, code));
  if (inner)
    cpu.setSegment(SegmentIndex.SS, { selector: cpl, base: 0n, limit: 0, flags: cpl << SegmentFlag.DPL_SHIFT });
  cpu.setGpr(4, stack);
  cpu.rflags = flags.next;
  cpu.rip = gate.offset;
}

function deliverProtected(cpu: CpuAccess, event: CpuEvent): void {
  const external = externalBit(event);
  const gateError = event.vector * 8 + ERROR_IDT + external;
  const entry = event.vector * 8;
  if (entry + 7 > cpu.idtr.limit) throw new Fault(Exception.GP, gateError);
  const gate = decodeGate(cpu.readLinear(cpu.idtr.base + BigInt(entry), 8, PRIVILEGE_IMPLICIT), 0n);
  if (gate.type === SystemType.TASK_GATE)
    throw new UnsupportedFeature(`vector ${event.vector} goes through a task gate`);
  const wide = gate.type === SystemType.INTERRUPT_GATE32 || gate.type === SystemType.TRAP_GATE32;
  if (!wide && gate.type !== SystemType.INTERRUPT_GATE16 && gate.type !== SystemType.TRAP_GATE16)
    throw new Fault(Exception.GP, gateError);
  if (cpu.rflags & BigInt(Rflags.VM)) throw new UnsupportedFeature("event in virtual-8086 mode");
  checkGate(cpu, event, gate, external);
  const { code, cpl } = handlerSegment(cpu, gate, external);
  const offset = wide ? gate.offset & MASK_32 : gate.offset & 0xffffn;

  const inner = cpl < cpu.cpl;
  const oldStack = cpu.gpr(4) & MASK_32;
  const oldStackSegment = cpu.segment(SegmentIndex.SS);
  let stackSegment = oldStackSegment;
  let pointer = Number(oldStack);
  if (inner) ({ stackSegment, pointer } = innerStack(cpu, cpl, external));

  const flags = flagsFor(
    cpu,
    event,
    gate.type === SystemType.INTERRUPT_GATE32 || gate.type === SystemType.INTERRUPT_GATE16,
  );
  const bytes = wide ? 4 : 2;
  const big = (stackSegment.flags & SegmentFlag.BIG) !== 0;
  const privilege = pushPrivilege(cpu, cpl);
  const stackError = inner ? selectorError(stackSegment.selector) | external : external;
  const push = (value: bigint): void => {
    pointer = big ? (pointer - bytes) >>> 0 : ((pointer & 0xffff_0000) | ((pointer - bytes) & 0xffff)) >>> 0;
    const inSegment = big ? pointer : pointer & 0xffff;
    if (!withinLimit(stackSegment.flags, stackSegment.limit, inSegment, bytes))
      throw new Fault(Exception.SS, stackError);
    cpu.writeLinear(
      (stackSegment.base + BigInt(inSegment)) & MASK_32,
      bytes,
      value & (wide ? MASK_32 : 0xffffn),
      privilege,
    );
  };
  if (inner) {
    push(BigInt(oldStackSegment.selector));
    push(oldStack);
  }
  push(flags.pushed);
  push(BigInt(cpu.segment(SegmentIndex.CS).selector));
  push(cpu.rip);
  if (event.kind === "exception" && withErrorCode.has(event.vector)) push(BigInt(event.errorCode ?? 0));
  if (offset > BigInt(code.limit)) throw new Fault(Exception.GP, external);

  cpu.setSegment(SegmentIndex.CS, loadedSegment((gate.selector & 0xfffc) | cpl, code));
  if (inner) cpu.setSegment(SegmentIndex.SS, stackSegment);
  cpu.setGpr(4, big ? BigInt(pointer) : (cpu.gpr(4) & ~0xffffn) | BigInt(pointer & 0xffff));
  cpu.rflags = flags.next;
  cpu.rip = offset;
}

/** SS:ESP of an inner ring from the TSS, with the checks of SDM vol. 2, INT n, "inter-privilege-level interrupt". */
function innerStack(cpu: CpuAccess, cpl: number, external: number) {
  const tss = cpu.segment(SegmentIndex.TR);
  const wide = ((tss.flags >>> 8) & 15 & ~2) === (SystemType.TSS32_BUSY & ~2);
  const field = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
  const pointerBytes = wide ? 4 : 2;
  if (field + pointerBytes + 1 > tss.limit) throw new Fault(Exception.TS, selectorError(tss.selector) | external);
  const pointer = Number(cpu.readLinear(tss.base + BigInt(field), pointerBytes, PRIVILEGE_IMPLICIT));
  const selector = Number(cpu.readLinear(tss.base + BigInt(field + pointerBytes), 2, PRIVILEGE_IMPLICIT));
  if ((selector & 0xfffc) === 0) throw new Fault(Exception.TS, external);
  const descriptor = readDescriptor(cpu, selector, Exception.TS, external);
  const error = selectorError(selector) | external;
  if ((selector & 3) !== cpl || descriptorDpl(descriptor.flags) !== cpl || !isWritableData(descriptor.flags))
    throw new Fault(Exception.TS, error);
  if (!isPresent(descriptor.flags)) throw new Fault(Exception.SS, error);
  return { stackSegment: loadedSegment(selector, descriptor), pointer };
}

/** Limit check of a data segment, including expand-down segments (SDM vol. 3, 5.3). */
function withinLimit(flags: number, limit: number, offset: number, bytes: number): boolean {
  const last = offset + bytes - 1;
  if (!(flags & SegmentFlag.CONFORMING)) return last <= limit;
  return offset > limit && last <= (flags & SegmentFlag.BIG ? 0xffff_ffff : 0xffff);
}

/** Real mode (SDM vol. 3, 20.1.4): the IVT holds offset and segment, the frame has three words and no error code. */
function deliverReal(cpu: CpuAccess, event: CpuEvent): void {
  const entry = event.vector * 4;
  if (entry + 3 > cpu.idtr.limit) throw new Fault(Exception.GP, 0);
  const vector = Number(cpu.readLinear(cpu.idtr.base + BigInt(entry), 4, PRIVILEGE_IMPLICIT));
  const flags = cpu.rflags;
  const stack = cpu.segment(SegmentIndex.SS);
  let pointer = Number(cpu.gpr(4) & 0xffffn);
  const push = (value: bigint): void => {
    pointer = (pointer - 2) & 0xffff;
    cpu.writeLinear((stack.base + BigInt(pointer)) & MASK_32, 2, value & 0xffffn, PRIVILEGE_SUPERVISOR);
  };
  push(flags);
  push(BigInt(cpu.segment(SegmentIndex.CS).selector));
  push(cpu.rip);
  const selector = vector >>> 16;
  const code = cpu.segment(SegmentIndex.CS);
  cpu.setSegment(SegmentIndex.CS, { ...code, selector, base: BigInt(selector * 16) });
  cpu.setGpr(4, (cpu.gpr(4) & ~0xffffn) | BigInt(pointer));
  cpu.rflags = flags & ~BigInt(Rflags.IF | Rflags.TF | Rflags.AC);
  cpu.rip = BigInt(vector & 0xffff);
}
