/**
 * Segment loads, descriptor checks, far transfers and IRET of 64-bit mode, as decoded instructions: operands here, the
 * rules in segments.ts. Descriptor tables are read as implicit supervisor accesses, operands with the program's own
 * privilege (Intel SDM vol. 3, 4.6.1).
 */
import { Cr4, Exception, Rflags } from "../../abi/x86.ts";
import { type CpuAccess, Fault, PRIVILEGE_SUPERVISOR, SegmentIndex } from "./access.ts";
import { type AddressRegisters, type Decoded, isMemory, memoryOperand, regField } from "./instruction.ts";
import {
  farCall,
  farJump,
  farReturn,
  interruptReturn,
  loadAccessRights,
  loadSegment,
  loadSegmentLimit,
  loadSystemSegment,
  verifySegment,
} from "./segments.ts";
import { stackAddress, stackBytes } from "./execute-stack.ts";
import { ownPrivilege, widthOf, writeRegister } from "./operand.ts";

export interface SegmentCore extends CpuAccess, AddressRegisters {
  rip: bigint;
  nmiBlocked: boolean;
  readonly is64Bit: boolean;
  readonly is32Bit: boolean;
  /** IRET has loaded an image with RF. */
  resumeFlag: boolean;
}
type Bytes = (offset: number) => number | undefined;

/** RET far; CALL and JMP far through memory. */
export const isFar = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 0 &&
  (opcode === 0xca ||
    opcode === 0xcb ||
    (opcode === 0xff && isMemory(modrm) && (regField(modrm) === 3 || regField(modrm) === 5)));
export const isInterruptReturn = ({ map, opcode }: Decoded): boolean => map === 0 && opcode === 0xcf;
/** LLDT, LTR. */
export const isLoadSystem = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 1 && opcode === 0x00 && (regField(modrm) & 6) === 2;
/** WRFSBASE, WRGSBASE. */
export const isWriteBase = ({ map, opcode, modrm, repeat }: Decoded): boolean =>
  map === 1 && opcode === 0xae && repeat === 0xf3 && !isMemory(modrm) && (regField(modrm) & 6) === 2;
/** VERR, VERW. */
const isVerify = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 1 && opcode === 0x00 && (regField(modrm) & 6) === 4;
/** LAR, LSL. */
const isLookUp = ({ map, opcode }: Decoded): boolean => map === 1 && (opcode === 0x02 || opcode === 0x03);
const isMove = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 0 && opcode === 0x8e && regField(modrm) < 6 && regField(modrm) !== SegmentIndex.CS;
const isPop = ({ map, opcode }: Decoded): boolean => map === 1 && (opcode === 0xa1 || opcode === 0xa9);
/** LSS, LFS, LGS. */
const isLoadFar = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 1 && (opcode === 0xb2 || opcode === 0xb4 || opcode === 0xb5) && isMemory(modrm);

/** Segment loads and descriptor checks of every ring. */
export const usesDescriptor = (found: Decoded): boolean =>
  isVerify(found) || isLookUp(found) || isMove(found) || isPop(found) || isLoadFar(found);

const farSegments: ReadonlyMap<number, SegmentIndex> = new Map([
  [0xb2, SegmentIndex.SS],
  [0xb4, SegmentIndex.FS],
  [0xb5, SegmentIndex.GS],
]);

/** A 16-bit operand: a selector. */
function selectorOperand(cpu: SegmentCore, found: Decoded, byte: Bytes): { selector: number; end: number } {
  const { modrm, rex, opcodeEnd } = found;
  if (!isMemory(modrm))
    return { selector: Number(cpu.gpr((modrm & 7) | ((rex & 1) << 3)) & 0xffffn), end: opcodeEnd + 1 };
  const { address, end } = memoryOperand(found, byte, cpu);
  return { selector: Number(cpu.readLinear(address, 2, ownPrivilege(cpu))), end };
}

function load(cpu: SegmentCore, index: SegmentIndex, selector: number): void {
  loadSegment(cpu, index, selector);
  cpu.interruptShadow = index === SegmentIndex.SS;
}

/** Executes one of `usesDescriptor`. Returns its length. Throws Fault; then nothing has changed. */
export function executeDescriptor(cpu: SegmentCore, found: Decoded, byte: Bytes): number {
  const { opcode, modrm, opcodeEnd } = found;
  if (isPop(found)) {
    const bytes = stackBytes(found);
    const selector = Number(cpu.readLinear(stackAddress(cpu.gpr(4), bytes), bytes, ownPrivilege(cpu)) & 0xffffn);
    load(cpu, opcode === 0xa1 ? SegmentIndex.FS : SegmentIndex.GS, selector);
    cpu.setGpr(4, cpu.gpr(4) + BigInt(bytes));
    return opcodeEnd;
  }
  if (isLoadFar(found)) {
    const { address, end } = memoryOperand(found, byte, cpu);
    const bytes = offsetBytes(found);
    const offset = cpu.readLinear(address, bytes, ownPrivilege(cpu));
    const selector = cpu.readLinear(BigInt.asUintN(64, address + BigInt(bytes)), 2, ownPrivilege(cpu));
    load(cpu, farSegments.get(opcode) as SegmentIndex, Number(selector));
    writeRegister(cpu, found, bytes, offset);
    return end;
  }
  const { selector, end } = selectorOperand(cpu, found, byte);
  if (isMove(found)) {
    load(cpu, regField(modrm) as SegmentIndex, selector);
    return end;
  }
  if (isVerify(found)) {
    setZero(cpu, verifySegment(cpu, selector, regField(modrm) === 5));
    return end;
  }
  const value = opcode === 0x02 ? loadAccessRights(cpu, selector) : loadSegmentLimit(cpu, selector);
  if (value !== undefined) writeRegister(cpu, found, widthOf(found), BigInt(value));
  setZero(cpu, value !== undefined);
  return end;
}

/**
 * The offset of a far pointer in memory has at most 32 bits on AMD's processors, also with REX.W (APM vol. 3, JMP far,
 * CALL far, LFS); CPUID here is theirs.
 */
const offsetBytes = (found: Decoded): number => Math.min(widthOf(found), 4);

const setZero = (cpu: SegmentCore, zero: boolean): void => {
  cpu.rflags = (cpu.rflags & ~BigInt(Rflags.ZF)) | (zero ? BigInt(Rflags.ZF) : 0n);
};

/** RET far, CALL and JMP far through memory, IRET: RIP is at the target afterwards, and the result is 0. */
export function executeFar(cpu: SegmentCore, found: Decoded, byte: Bytes): number {
  const { opcode, modrm, opcodeEnd } = found;
  const start = cpu.rip;
  const bytes = widthOf(found);
  try {
    if (opcode === 0xcf) {
      cpu.rip = start + BigInt(opcodeEnd);
      const legacyBytes = cpu.is32Bit !== found.operandSize ? 4 : 2;
      cpu.resumeFlag = interruptReturn(cpu, cpu.is64Bit ? bytes : legacyBytes);
      cpu.nmiBlocked = false;
      return 0;
    }
    if (opcode !== 0xff) {
      const release = opcode === 0xca ? (byte(opcodeEnd) ?? 0) | ((byte(opcodeEnd + 1) ?? 0) << 8) : 0;
      cpu.rip = start + BigInt(opcodeEnd + (opcode === 0xca ? 2 : 0));
      farReturn(cpu, bytes, release);
      return 0;
    }
    const { address, end } = memoryOperand(found, byte, cpu);
    const size = offsetBytes(found);
    const offset = cpu.readLinear(address, size, ownPrivilege(cpu));
    const selector = Number(cpu.readLinear(BigInt.asUintN(64, address + BigInt(size)), 2, ownPrivilege(cpu)));
    cpu.rip = start + BigInt(end);
    if (regField(modrm) === 3) farCall(cpu, selector, offset, bytes);
    else farJump(cpu, selector, offset);
    return 0;
  } catch (fault) {
    cpu.rip = start;
    throw fault;
  }
}

export function executeLoadSystem(cpu: SegmentCore, found: Decoded, byte: Bytes): number {
  const { selector, end } = selectorOperand(cpu, found, byte);
  loadSystemSegment(cpu, regField(found.modrm) === 3 ? SegmentIndex.TR : SegmentIndex.LDTR, selector);
  return end;
}

const isCanonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;

export function executeWriteBase(cpu: SegmentCore, { modrm, rex, opcodeEnd }: Decoded): number {
  if (!(cpu.cr4 & Cr4.FSGSBASE)) throw new Fault(Exception.UD, 0);
  const value = cpu.gpr((modrm & 7) | ((rex & 1) << 3));
  const base = rex & 8 ? value : BigInt.asUintN(32, value);
  if (!isCanonical(base)) throw new Fault(Exception.GP, 0);
  const index = regField(modrm) === 2 ? SegmentIndex.FS : SegmentIndex.GS;
  cpu.setSegment(index, { ...cpu.segment(index), base });
  return opcodeEnd + 1;
}

/** LGDT, LIDT. */
export function executeLoadTable(
  cpu: SegmentCore & { loadTable(which: "gdtr" | "idtr", base: bigint, limit: number): void },
  found: Decoded,
  byte: Bytes,
): number {
  const { address, end } = memoryOperand(found, byte, cpu);
  const limit = Number(cpu.readLinear(address, 2, PRIVILEGE_SUPERVISOR));
  const base = cpu.readLinear(BigInt.asUintN(64, address + 2n), 8, PRIVILEGE_SUPERVISOR);
  if (!isCanonical(base)) throw new Fault(Exception.GP, 0);
  cpu.loadTable(regField(found.modrm) === 2 ? "gdtr" : "idtr", base, limit);
  return end;
}
