/**
 * A few instructions that an engine executes wrongly. They are executed here in TypeScript with all their checks, by
 * the manual (Intel SDM vol. 2, under each name). 64-bit mode, except LAHF and SAHF.
 */
import { Cr4, Exception, Rflags } from "../../abi/x86.ts";
import { type CpuAccess, Fault, PRIVILEGE_SUPERVISOR, PRIVILEGE_USER, SegmentIndex } from "./access.ts";
import { type AddressRegisters, type Decoded, isMemory, memoryOperand, regField } from "./instruction.ts";

import { farCall, farJump, farReturn, loadSystemSegment } from "./segments.ts";

export interface Execute extends CpuAccess, AddressRegisters {
  rip: bigint;
  rflags: bigint;
  /** The 16 bytes of an XMM register. */
  xmm(index: number): Uint8Array;
  loadTable(which: "gdtr" | "idtr", base: bigint, limit: number): void;
}

const STATUS = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF;
const isCanonical = (address: bigint): boolean => BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;

const isFlagsToAh = ({ map, opcode, rex }: Decoded): boolean =>
  map === 0 && (opcode === 0x9e || opcode === 0x9f) && rex !== 0;
const isLockedNeg = ({ map, opcode, lock, modrm }: Decoded): boolean =>
  lock && map === 0 && (opcode === 0xf6 || opcode === 0xf7) && isMemory(modrm) && regField(modrm) === 3;
const isFlush = ({ map, opcode, modrm, repeat, operandSize }: Decoded): boolean =>
  map === 1 && opcode === 0xae && isMemory(modrm) && regField(modrm) === 7 && repeat === 0 && !operandSize;
/** MASKMOVDQU: all 16 bytes are checked, whatever the mask is. */
const isMaskedMove = ({ map, opcode, modrm, operandSize }: Decoded): boolean =>
  map === 1 && opcode === 0xf7 && operandSize && !isMemory(modrm);
const isLoadTable = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 1 && opcode === 0x01 && isMemory(modrm) && (regField(modrm) & 6) === 2;

/** RET far; CALL and JMP far through memory. */
const isFar = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 0 &&
  (opcode === 0xca ||
    opcode === 0xcb ||
    (opcode === 0xff && isMemory(modrm) && (regField(modrm) === 3 || regField(modrm) === 5)));
/** LLDT, LTR. */
const isLoadSystem = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 1 && opcode === 0x00 && (regField(modrm) & 6) === 2;
/** WRFSBASE, WRGSBASE. */
const isWriteBase = ({ map, opcode, modrm, repeat }: Decoded): boolean =>
  map === 1 && opcode === 0xae && repeat === 0xf3 && !isMemory(modrm) && (regField(modrm) & 6) === 2;

/** BSF, BSR with F3. The CPUID model has no TZCNT and LZCNT, so the prefix is ignored. */
const isBitScan = ({ map, opcode, repeat, lock }: Decoded): boolean =>
  map === 1 && (opcode === 0xbc || opcode === 0xbd) && repeat === 0xf3 && !lock;

export function isExecuted(found: Decoded, cpl: number, is64Bit: boolean): boolean {
  if (isFlagsToAh(found)) return true;
  if (!is64Bit || (found.lock && !isLockedNeg(found))) return false;
  if (isBitScan(found) || isFar(found) || isWriteBase(found) || (cpl === 0 && isLoadSystem(found))) return true;
  return isLockedNeg(found) || isFlush(found) || isMaskedMove(found) || (cpl === 0 && isLoadTable(found));
}

/**
 * Executes the instruction. Returns the number of bytes to move RIP: its length, or 0 for a branch. Throws Fault; then
 * nothing has changed.
 */
export function execute(cpu: Execute, found: Decoded, byte: (offset: number) => number | undefined): number {
  if (isFlagsToAh(found)) {
    if (found.opcode === 0x9f) cpu.setGpr(0, (cpu.gpr(0) & ~0xff00n) | ((cpu.rflags & 0xffn) << 8n));
    else cpu.rflags = (cpu.rflags & ~BigInt(STATUS)) | ((cpu.gpr(0) >> 8n) & BigInt(STATUS));
    return found.opcodeEnd;
  }
  if (isMaskedMove(found)) return maskedMove(cpu, found);
  if (isWriteBase(found)) return writeBase(cpu, found);
  if (isFar(found)) return far(cpu, found, byte);
  if (isBitScan(found)) return bitScan(cpu, found, byte);
  if (isLoadSystem(found)) return loadSystem(cpu, found, byte);
  const { address, end } = memoryOperand(found, byte, cpu);
  const privilege = cpu.cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR;
  if (isLockedNeg(found)) negate(cpu, found, address, privilege);
  else if (isFlush(found)) cpu.readLinear(address, 1, privilege);
  else loadTable(cpu, found, address);
  return end;
}

function negate(cpu: Execute, { opcode, rex, operandSize }: Decoded, address: bigint, privilege: 0 | 1): void {
  const bytes = opcode === 0xf6 ? 1 : rex & 8 ? 8 : operandSize ? 2 : 4;
  const bits = 8 * bytes;
  cpu.checkWrite(address, bytes, privilege);
  const value = cpu.readLinear(address, bytes, privilege);
  const result = BigInt.asUintN(bits, -value);
  cpu.writeLinear(address, bytes, result, privilege);
  let ones = 0;
  for (let bit = 0n; bit < 8n; bit++) ones += Number((result >> bit) & 1n);
  const flags =
    (value !== 0n ? Rflags.CF : 0) |
    (ones % 2 === 0 ? Rflags.PF : 0) |
    ((value & 15n) !== 0n ? Rflags.AF : 0) |
    (result === 0n ? Rflags.ZF : 0) |
    (result >> BigInt(bits - 1) ? Rflags.SF : 0) |
    (result === 1n << BigInt(bits - 1) ? Rflags.OF : 0);
  cpu.rflags = (cpu.rflags & ~BigInt(STATUS | Rflags.OF)) | BigInt(flags);
}

function maskedMove(cpu: Execute, { modrm, rex, addressSize, segment, opcodeEnd }: Decoded): number {
  const rdi = addressSize ? BigInt.asUintN(32, cpu.gpr(7)) : cpu.gpr(7);
  const address = BigInt.asUintN(64, rdi + (segment >= 4 ? cpu.segmentBase(segment) : 0n));
  const privilege = cpu.cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR;
  const source = cpu.xmm(regField(modrm) | ((rex & 4) << 1));
  const mask = cpu.xmm((modrm & 7) | ((rex & 1) << 3));
  cpu.checkWrite(address, 16, privilege);
  for (let byte = 0; byte < 16; byte++)
    if (mask[byte] & 0x80)
      cpu.writeLinear(BigInt.asUintN(64, address + BigInt(byte)), 1, BigInt(source[byte]), privilege);
  return opcodeEnd + 1;
}

/** LGDT, LIDT. */
function loadTable(cpu: Execute, { modrm }: Decoded, address: bigint): void {
  const limit = Number(cpu.readLinear(address, 2, PRIVILEGE_SUPERVISOR));
  const base = cpu.readLinear(BigInt.asUintN(64, address + 2n), 8, PRIVILEGE_SUPERVISOR);
  if (!isCanonical(base)) throw new Fault(Exception.GP, 0);
  cpu.loadTable(regField(modrm) === 2 ? "gdtr" : "idtr", base, limit);
}

/**
 * For a source of 0: sets ZF, and the destination keeps its value. The other flags are undefined; here they do not
 * change.
 */
function bitScan(cpu: Execute, found: Decoded, byte: (offset: number) => number | undefined): number {
  const { opcode, modrm, rex, opcodeEnd } = found;
  const bytes = widthOf(found);
  let end = opcodeEnd + 1;
  let value: bigint;
  if (isMemory(modrm)) {
    const operand = memoryOperand(found, byte, cpu);
    end = operand.end;
    value = cpu.readLinear(operand.address, bytes, cpu.cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR);
  } else value = BigInt.asUintN(8 * bytes, cpu.gpr((modrm & 7) | ((rex & 1) << 3)));
  cpu.rflags = (cpu.rflags & ~BigInt(Rflags.ZF)) | (value === 0n ? BigInt(Rflags.ZF) : 0n);
  if (value === 0n) return end;
  const lowest = value & -value;
  const index = BigInt((opcode === 0xbc ? lowest : value).toString(2).length - 1);
  const destination = regField(modrm) | ((rex & 4) << 1);
  cpu.setGpr(destination, bytes === 2 ? (cpu.gpr(destination) & ~0xffffn) | index : index);
  return end;
}

const widthOf = ({ rex, operandSize }: Decoded): number => (rex & 8 ? 8 : operandSize ? 2 : 4);

function far(cpu: Execute, found: Decoded, byte: (offset: number) => number | undefined): number {
  const { opcode, modrm, opcodeEnd } = found;
  const start = cpu.rip;
  const bytes = widthOf(found);
  try {
    if (opcode !== 0xff) {
      const release = opcode === 0xca ? (byte(opcodeEnd) ?? 0) | ((byte(opcodeEnd + 1) ?? 0) << 8) : 0;
      cpu.rip = start + BigInt(opcodeEnd + (opcode === 0xca ? 2 : 0));
      farReturn(cpu, bytes, release);
      return 0;
    }
    const { address, end } = memoryOperand(found, byte, cpu);
    const privilege = cpu.cpl === 3 ? PRIVILEGE_USER : PRIVILEGE_SUPERVISOR;
    const offset = cpu.readLinear(address, bytes, privilege);
    const selector = Number(cpu.readLinear(BigInt.asUintN(64, address + BigInt(bytes)), 2, privilege));
    cpu.rip = start + BigInt(end);
    if (regField(modrm) === 3) farCall(cpu, selector, offset, bytes);
    else farJump(cpu, selector, offset);
    return 0;
  } catch (fault) {
    cpu.rip = start;
    throw fault;
  }
}

function loadSystem(cpu: Execute, found: Decoded, byte: (offset: number) => number | undefined): number {
  const { modrm, rex, opcodeEnd } = found;
  let end = opcodeEnd + 1;
  let selector: bigint;
  if (isMemory(modrm)) {
    const operand = memoryOperand(found, byte, cpu);
    end = operand.end;
    selector = cpu.readLinear(operand.address, 2, PRIVILEGE_SUPERVISOR);
  } else selector = cpu.gpr((modrm & 7) | ((rex & 1) << 3));
  loadSystemSegment(cpu, regField(modrm) === 3 ? SegmentIndex.TR : SegmentIndex.LDTR, Number(selector & 0xffffn));
  return end;
}

function writeBase(cpu: Execute, { modrm, rex, opcodeEnd }: Decoded): number {
  if (!(cpu.cr4 & Cr4.FSGSBASE)) throw new Fault(Exception.UD, 0);
  const value = cpu.gpr((modrm & 7) | ((rex & 1) << 3));
  const base = rex & 8 ? value : BigInt.asUintN(32, value);
  if (!isCanonical(base)) throw new Fault(Exception.GP, 0);
  const index = regField(modrm) === 2 ? SegmentIndex.FS : SegmentIndex.GS;
  cpu.setSegment(index, { ...cpu.segment(index), base });
  return opcodeEnd + 1;
}
