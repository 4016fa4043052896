/** The stack and near branches, in all modes (Intel SDM vol. 2; stack and operand size: vol. 1, 6.2.3). */
import { Exception, Rflags } from "../../../abi/x86.ts";
import { Fault, SegmentIndex } from "../../x86/access.ts";
import { SegmentFlag } from "../../x86/descriptors.ts";
import { loadSegment } from "../../x86/segments.ts";
import type { Instruction } from "../decode.ts";
import { Env } from "../environment.ts";
import { type Interpreter, type Machine, memoryAddress, readRm } from "./operands.ts";

const RSP = 4;
const RBP = 5;
const RCX = 1;
const canonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;

const stackBits = (cpu: Machine): number =>
  cpu.is64Bit ? 64 : cpu.segment(SegmentIndex.SS).flags & SegmentFlag.BIG ? 32 : 16;

/** The stack pointer plus `by` bytes. */
function moved(cpu: Machine, pointer: bigint, by: number): bigint {
  const bits = stackBits(cpu);
  const low = BigInt.asUintN(bits, pointer + BigInt(by));
  return bits === 16 ? (pointer & ~0xffffn) | low : low;
}
const stackAddress = (cpu: Machine, pointer: bigint, bytes: number, write: boolean): bigint =>
  cpu.linear(SegmentIndex.SS, BigInt.asUintN(stackBits(cpu), pointer), bytes, write);

/** Size of the value that PUSH, POP, CALL and RET move. */
export const stackBytes = (cpu: Machine, insn: Instruction): number =>
  cpu.is64Bit ? (insn.hasOperandPrefix && !(insn.rex & 8) ? 2 : 8) : insn.operandBytes;

export function pushValue(cpu: Machine, value: bigint, bytes: number): void {
  const pointer = moved(cpu, cpu.gpr(RSP), -bytes);
  cpu.writeLinear(stackAddress(cpu, pointer, bytes, true), bytes, BigInt.asUintN(bytes * 8, value), cpu.privilege);
  cpu.setGpr(RSP, pointer);
}
/** The value on top of the stack, and the pointer after it. */
export function peekValue(cpu: Machine, bytes: number): { value: bigint; pointer: bigint } {
  const pointer = cpu.gpr(RSP);
  const value = cpu.readLinear(stackAddress(cpu, pointer, bytes, false), bytes, cpu.privilege);
  return { value, pointer: moved(cpu, pointer, bytes) };
}

const push: Interpreter = (cpu, insn) => {
  const bytes = stackBytes(cpu, insn);
  pushValue(cpu, insn.row?.immediate ? BigInt(insn.immediate) : cpu.gpr(insn.rm), bytes);
};
const pushmem: Interpreter = (cpu, insn) => {
  const bytes = stackBytes(cpu, insn);
  pushValue(cpu, readRm(cpu, insn, bytes), bytes);
};
const pop: Interpreter = (cpu, insn) => {
  const bytes = stackBytes(cpu, insn);
  const { value, pointer } = peekValue(cpu, bytes);
  cpu.setGpr(RSP, pointer);
  cpu.writeGpr(insn.rm, bytes, value);
};
/** POP [rsp + …] computes its address with the stack pointer after the pop. */
const popmem: Interpreter = (cpu, insn) => {
  const bytes = stackBytes(cpu, insn);
  const { value, pointer } = peekValue(cpu, bytes);
  const old = cpu.gpr(RSP);
  cpu.setGpr(RSP, pointer);
  if (!insn.hasMemory) {
    cpu.writeGpr(insn.rm, bytes, value);
    return;
  }
  try {
    cpu.writeLinear(memoryAddress(cpu, insn, bytes, true), bytes, value, cpu.privilege);
  } catch (fault) {
    cpu.setGpr(RSP, old);
    throw fault;
  }
};

const pusha: Interpreter = (cpu, insn) => {
  const bytes = insn.operandBytes;
  const pointer = cpu.gpr(RSP);
  const last = moved(cpu, pointer, -8 * bytes);
  // Either all registers change or none.
  for (let index = 0; index < 8; index++)
    cpu.checkWrite(stackAddress(cpu, moved(cpu, pointer, -(index + 1) * bytes), bytes, true), bytes, cpu.privilege);
  for (let index = 0; index < 8; index++) {
    const at = stackAddress(cpu, moved(cpu, pointer, -(index + 1) * bytes), bytes, true);
    cpu.writeLinear(at, bytes, BigInt.asUintN(bytes * 8, index === RSP ? pointer : cpu.gpr(index)), cpu.privilege);
  }
  cpu.setGpr(RSP, last);
};
const popa: Interpreter = (cpu, insn) => {
  const bytes = insn.operandBytes;
  const pointer = cpu.gpr(RSP);
  const values: bigint[] = [];
  for (let index = 0; index < 8; index++)
    values.push(
      cpu.readLinear(stackAddress(cpu, moved(cpu, pointer, index * bytes), bytes, false), bytes, cpu.privilege),
    );
  values.forEach((value, index) => {
    if (7 - index !== RSP) cpu.writeGpr(7 - index, bytes, value);
  });
  cpu.setGpr(RSP, moved(cpu, pointer, 8 * bytes));
};

const segmentOf: Readonly<Record<string, SegmentIndex>> = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 };
const named = (insn: Instruction): SegmentIndex => segmentOf[insn.name.slice(-2)];

const pushseg: Interpreter = (cpu, insn) => {
  pushValue(cpu, BigInt(cpu.segment(named(insn)).selector), stackBytes(cpu, insn));
};
const popseg: Interpreter = (cpu, insn) => {
  const index = named(insn);
  const { value, pointer } = peekValue(cpu, stackBytes(cpu, insn));
  const bits = stackBits(cpu);
  loadSegment(cpu, index, Number(value & 0xffffn));
  // The pointer has moved in the old SS, although SS is new now.
  cpu.setGpr(RSP, bits === 16 ? (cpu.gpr(RSP) & ~0xffffn) | (pointer & 0xffffn) : pointer);
  if (index === SegmentIndex.SS) cpu.interruptShadow = true;
};

const enter: Interpreter = (cpu, insn) => {
  const bytes = stackBytes(cpu, insn);
  const level = insn.immediate2 & 31;
  const size = insn.immediate & 0xffff;
  const top = cpu.gpr(RSP);
  const old = cpu.gpr(RBP);
  const slot = (index: number): bigint => stackAddress(cpu, moved(cpu, top, -(index + 1) * bytes), bytes, true);
  const outer = (index: number): bigint => stackAddress(cpu, moved(cpu, old, -index * bytes), bytes, false);
  const frame = moved(cpu, top, -bytes);
  const last = moved(cpu, top, -(level + 1) * bytes - size);
  // Nothing is written unless everything can be written, including the end of the new frame.
  for (let index = 0; index <= level; index++) cpu.checkWrite(slot(index), bytes, cpu.privilege);
  cpu.checkWrite(stackAddress(cpu, last, bytes, true), bytes, cpu.privilege);
  for (let index = 1; index < level; index++) cpu.readLinear(outer(index), bytes, cpu.privilege);
  const write = (index: number, value: bigint): void =>
    cpu.writeLinear(slot(index), bytes, BigInt.asUintN(bytes * 8, value), cpu.privilege);
  write(0, old);
  for (let index = 1; index < level; index++) write(index, cpu.readLinear(outer(index), bytes, cpu.privilege));
  if (level > 0) write(level, frame);
  cpu.writeGpr(RBP, cpu.is64Bit ? 8 : bytes, frame);
  cpu.setGpr(RSP, last);
};
const leave: Interpreter = (cpu, insn) => {
  const bytes = stackBytes(cpu, insn);
  const from = cpu.gpr(RBP);
  const bits = stackBits(cpu);
  const pointer = bits === 16 ? (cpu.gpr(RSP) & ~0xffffn) | (from & 0xffffn) : BigInt.asUintN(bits, from);
  const value = cpu.readLinear(stackAddress(cpu, pointer, bytes, false), bytes, cpu.privilege);
  cpu.setGpr(RSP, moved(cpu, pointer, bytes));
  cpu.writeGpr(RBP, bytes, value);
};

const pushf: Interpreter = (cpu, insn) => {
  pushValue(cpu, cpu.rflags & ~BigInt(Rflags.VM | Rflags.RF), stackBytes(cpu, insn));
};
/** IF and IOPL change as the privilege allows (SDM vol. 2, table 4-16). */
const popf: Interpreter = (cpu, insn) => {
  const bytes = stackBytes(cpu, insn);
  const { value, pointer } = peekValue(cpu, bytes);
  const status = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF | Rflags.DF;
  let mask = status | Rflags.TF | Rflags.NT | Rflags.AC | Rflags.ID;
  const iopl = (cpu.env.u32(Env.SYSTEM_FLAGS) & Rflags.IOPL) >>> 12;
  if (cpu.cpl === 0) mask |= Rflags.IOPL;
  if (cpu.cpl <= iopl) mask |= Rflags.IF;
  if (bytes === 2) mask &= 0xffff;
  cpu.setGpr(RSP, pointer);
  cpu.rflags = (cpu.rflags & ~BigInt(mask)) | (value & BigInt(mask));
};

// ---- near branches

/** Branches to an offset in CS; #GP(0) if that is impossible. */
export function branchTo(cpu: Machine, insn: Instruction, target: bigint): void {
  checkBranch(cpu, insn, target);
  cpu.nextRip = truncated(cpu, insn, target);
}
function truncated(cpu: Machine, insn: Instruction, target: bigint): bigint {
  const bytes = cpu.is64Bit ? (insn.hasOperandPrefix && !(insn.rex & 8) ? 2 : 8) : insn.operandBytes;
  return BigInt.asUintN(bytes * 8, target);
}
function checkBranch(cpu: Machine, insn: Instruction, target: bigint): void {
  const offset = truncated(cpu, insn, target);
  if (cpu.is64Bit ? !canonical(offset) : Number(offset) > cpu.segment(SegmentIndex.CS).limit)
    throw new Fault(Exception.GP, 0);
}
const relative = (cpu: Machine, insn: Instruction): bigint => cpu.nextRip + BigInt(insn.immediate);

const jmp: Interpreter = (cpu, insn) => branchTo(cpu, insn, relative(cpu, insn));
const jcc: Interpreter = (cpu, insn) => {
  if (holds(insn.opcode & 15, cpu.statusFlags)) jmp(cpu, insn);
};
const call: Interpreter = (cpu, insn) => {
  const target = relative(cpu, insn);
  checkBranch(cpu, insn, target);
  pushValue(cpu, cpu.nextRip, stackBytes(cpu, insn));
  branchTo(cpu, insn, target);
};
const jmpind: Interpreter = (cpu, insn) => branchTo(cpu, insn, readRm(cpu, insn, stackBytes(cpu, insn)));
const callind: Interpreter = (cpu, insn) => {
  const bytes = stackBytes(cpu, insn);
  const target = readRm(cpu, insn, bytes);
  checkBranch(cpu, insn, target);
  pushValue(cpu, cpu.nextRip, bytes);
  branchTo(cpu, insn, target);
};
const ret: Interpreter = (cpu, insn) => {
  const { value, pointer } = peekValue(cpu, stackBytes(cpu, insn));
  branchTo(cpu, insn, value);
  cpu.setGpr(RSP, insn.row?.immediate ? moved(cpu, pointer, insn.immediate & 0xffff) : pointer);
};
const loop: Interpreter = (cpu, insn) => {
  const bytes = insn.addressBytes;
  let count = cpu.readGpr(RCX, bytes);
  let taken = count === 0n;
  if (insn.opcode !== 0xe3) {
    count = BigInt.asUintN(bytes * 8, count - 1n);
    const zero = (cpu.statusFlags & Rflags.ZF) !== 0;
    taken = count !== 0n && (insn.opcode === 0xe2 || zero === (insn.opcode === 0xe1));
  }
  if (taken) jmp(cpu, insn);
  if (insn.opcode !== 0xe3) cpu.writeGpr(RCX, bytes, count);
};

/** Condition codes (SDM vol. 2, appendix B.1.4). */
export function holds(condition: number, flags: number): boolean {
  const set = (flag: number): boolean => (flags & flag) !== 0;
  const less = set(Rflags.SF) !== set(Rflags.OF);
  const base = [
    set(Rflags.OF),
    set(Rflags.CF),
    set(Rflags.ZF),
    set(Rflags.CF | Rflags.ZF),
    set(Rflags.SF),
    set(Rflags.PF),
    less,
    less || set(Rflags.ZF),
  ][condition >> 1];
  return base !== ((condition & 1) !== 0);
}

export const stackInterpreters: Readonly<Record<string, Interpreter>> = {
  push,
  pop,
  pushmem,
  popmem,
  pusha,
  popa,
  pushseg,
  popseg,
  enter,
  leave,
  pushf,
  popf,
  jmp,
  jcc,
  call,
  jmpind,
  callind,
  ret,
  loop,
};
