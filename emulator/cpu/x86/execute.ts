/**
 * Instructions that an engine executes wrongly. They are executed here in TypeScript with all their checks, by the
 * manual (Intel SDM vol. 2, under each name). 64-bit mode, except LAHF, SAHF and IRET.
 */
import { Exception, Rflags } from "../../abi/x86.ts";
import { Fault } from "./access.ts";
import {
  executeDescriptor,
  executeFar,
  executeLoadSystem,
  executeLoadTable,
  executeWriteBase,
  isFar,
  isInterruptReturn,
  isLoadSystem,
  isWriteBase,
  type SegmentCore,
  usesDescriptor,
} from "./execute-segments.ts";
import {
  directBranch,
  enter,
  isDirectBranch,
  isEnter,
  isLongReturn,
  leavesCanonical,
  longReturn,
} from "./execute-stack.ts";
import { isPortString, isString, iterate, type PortCore } from "./execute-string.ts";
import { type FpuCore, type FpuTransfer, transferFpu } from "./fpustate.ts";
import { type Decoded, isMemory, memoryOperand, regField } from "./instruction.ts";
import { ownPrivilege, widthOf } from "./operand.ts";
import { reciprocalBits } from "./reciprocal.ts";

export interface Execute extends SegmentCore, PortCore, FpuCore {
  /** The 16 bytes of an XMM register. */
  xmm(index: number): Uint8Array;
  loadTable(which: "gdtr" | "idtr", base: bigint, limit: number): void;
  /** An unmasked x87 exception is pending, and CR0.NE makes it #MF. */
  readonly hasPendingX87: boolean;
}

const XMM_REGISTERS = 16;
const FX_XMM = 160;
const STATUS = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF;

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

/** FXSAVE, FXRSTOR, FNSTENV, FLDENV, FNSAVE, FRSTOR. */
function fpuTransfer({ map, opcode, modrm, repeat }: Decoded): FpuTransfer | undefined {
  if (!isMemory(modrm)) return undefined;
  const extension = regField(modrm);
  if (map === 1 && opcode === 0xae && repeat === 0) return (["FXSAVE", "FXRSTOR"] as const)[extension];
  if (map !== 0) return undefined;
  if (opcode === 0xd9) return extension === 4 ? "FLDENV" : extension === 6 ? "FNSTENV" : undefined;
  if (opcode === 0xdd) return extension === 4 ? "FRSTOR" : extension === 6 ? "FNSAVE" : undefined;
  return undefined;
}

/** SHLD and SHRD by an immediate, of an operand relative to RIP: Unicorn leaves the immediate out of its address. */
export const isRelativeDoubleShift = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 1 && (opcode === 0xa4 || opcode === 0xac) && (modrm & 0xc7) === 5;
/** RCPPS, RSQRTPS, RCPSS, RSQRTSS. */
const isReciprocal = ({ map, opcode, operandSize, repeat }: Decoded): boolean =>
  map === 1 && (opcode === 0x52 || opcode === 0x53) && repeat !== 0xf2 && (!operandSize || repeat === 0xf3);

/** What the decision depends on besides the instruction: of the block that is translated. */
export interface Mode {
  readonly cpl: number;
  readonly is64Bit: boolean;
  readonly isLong: boolean;
  /** CR0.EM or CR0.TS: x87 instructions raise #NM. */
  readonly fpuOff: boolean;
  /** SSE instructions raise neither #UD nor #NM. */
  readonly sseOn: boolean;
  /** After STI or a load of SS. */
  readonly inShadow: boolean;
  /** SMAP, and RFLAGS.AC allows the program's accesses but not those of the processor itself. */
  readonly allowsUserPages: boolean;
}

export function isExecuted(found: Decoded, mode: Mode, linear: bigint, byte: (offset: number) => number | undefined) {
  const { cpl, is64Bit } = mode;
  if (isFlagsToAh(found)) return true;
  // IRETQ of a kernel is left to the engine, which takes no VM from its image.
  if (isInterruptReturn(found) && !found.lock && mode.isLong)
    return widthOf(found) !== 8 || !is64Bit || mode.allowsUserPages || cpl === 3;
  if (!is64Bit || (found.lock && !isLockedNeg(found))) return false;
  if (fpuTransfer(found) !== undefined) return !mode.fpuOff;
  if (isReciprocal(found)) return mode.sseOn;
  if (isRelativeDoubleShift(found)) return true;
  if (usesDescriptor(found) || isFar(found) || isWriteBase(found) || (cpl === 0 && isLoadSystem(found))) return true;
  if (
    isEnter(found) ||
    (isPortString(found) && cpl === 3) ||
    (isString(found) && mode.inShadow && found.repeat !== 0) ||
    isLongReturn(found, byte)
  )
    return true;
  if (isDirectBranch(found)) return leavesCanonical(found, linear, byte);
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
  const transfer = fpuTransfer(found);
  if (transfer !== undefined) return moveFpu(cpu, found, transfer, byte);
  if (isWriteBase(found)) return executeWriteBase(cpu, found);
  if (isFar(found) || isInterruptReturn(found)) return executeFar(cpu, found, byte);
  if (usesDescriptor(found)) return executeDescriptor(cpu, found, byte);
  if (isLoadSystem(found)) return executeLoadSystem(cpu, found, byte);
  if (isLoadTable(found)) return executeLoadTable(cpu, found, byte);
  if (isEnter(found)) return enter(cpu, found, byte);
  if (isString(found)) return iterate(cpu, found);
  if (isLongReturn(found, byte)) return longReturn(cpu, found, byte);
  if (isDirectBranch(found)) return directBranch(cpu, found, byte);
  if (isReciprocal(found)) return reciprocal(cpu, found, byte);
  if (isRelativeDoubleShift(found)) return doubleShift(cpu, found, byte);
  const { address, end } = memoryOperand(found, byte, cpu);
  if (isLockedNeg(found)) negate(cpu, found, address, ownPrivilege(cpu));
  else cpu.readLinear(address, 1, ownPrivilege(cpu)); // CLFLUSH
  return end;
}

function moveFpu(
  cpu: Execute,
  found: Decoded,
  what: FpuTransfer,
  byte: (offset: number) => number | undefined,
): number {
  if ((what === "FLDENV" || what === "FRSTOR") && cpu.hasPendingX87) throw new Fault(Exception.MF, 0);
  const { address, end } = memoryOperand(found, byte, cpu);
  const wide = !found.operandSize || (found.rex & 8) !== 0;
  transferFpu(cpu, what, address, wide, XMM_REGISTERS, ownPrivilege(cpu));
  return end;
}

function reciprocal(cpu: Execute, found: Decoded, byte: (offset: number) => number | undefined): number {
  const { opcode, modrm, rex, repeat, opcodeEnd } = found;
  const bytes = repeat === 0xf3 ? 4 : 16;
  let end = opcodeEnd + 1;
  let source: Uint8Array = new Uint8Array(16);
  if (isMemory(modrm)) {
    const operand = memoryOperand(found, byte, cpu);
    end = operand.end;
    if (bytes === 16 && operand.address & 15n) throw new Fault(Exception.GP, 0);
    cpu.readBytes(operand.address, source.subarray(0, bytes), ownPrivilege(cpu));
  } else source = cpu.xmm((modrm & 7) | ((rex & 1) << 3));
  const register = regField(modrm) | ((rex & 4) << 1);
  const from = new DataView(source.buffer, source.byteOffset, 16);
  const image = cpu.readFx();
  const to = new DataView(image.buffer, image.byteOffset + FX_XMM + 16 * register, 16);
  for (let at = 0; at < bytes; at += 4)
    to.setUint32(at, reciprocalBits(from.getUint32(at, true), opcode === 0x52), true);
  cpu.writeFx(image);
  return end;
}

/** A count above 1 clears OF, and AF is cleared: both are undefined. */
function doubleShift(cpu: Execute, found: Decoded, byte: (offset: number) => number | undefined): number {
  const { opcode, modrm, rex } = found;
  const bytes = widthOf(found);
  const bits = 8 * bytes;
  const { address, end } = memoryOperand(found, byte, cpu, 1);
  const privilege = ownPrivilege(cpu);
  cpu.checkWrite(address, bytes, privilege);
  const amount = BigInt((byte(end) ?? 0) & (bytes === 8 ? 63 : 31));
  if (amount === 0n) return end + 1;
  const value = cpu.readLinear(address, bytes, privilege);
  const filler = BigInt.asUintN(bits, cpu.gpr(regField(modrm) | ((rex & 4) << 1)));
  const left = opcode === 0xa4;
  // 16-bit operands shift through the destination, the filler and the destination again.
  const wide = (value << BigInt(2 * bits)) | (filler << BigInt(bits)) | value;
  const result = BigInt.asUintN(bits, wide >> (left ? BigInt(2 * bits) - amount : amount));
  const carry = (wide >> (left ? BigInt(3 * bits) - amount : amount - 1n)) & 1n;
  cpu.writeLinear(address, bytes, result, privilege);
  let ones = 0;
  for (let bit = 0n; bit < 8n; bit++) ones += Number((result >> bit) & 1n);
  const top = BigInt(bits - 1);
  const flags =
    (carry ? Rflags.CF : 0) |
    (ones % 2 === 0 ? Rflags.PF : 0) |
    (result === 0n ? Rflags.ZF : 0) |
    (result >> top ? Rflags.SF : 0) |
    (amount === 1n && (result ^ value) >> top ? Rflags.OF : 0);
  cpu.rflags = (cpu.rflags & ~BigInt(STATUS | Rflags.OF)) | BigInt(flags);
  return end + 1;
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
  const privilege = ownPrivilege(cpu);
  const source = cpu.xmm(regField(modrm) | ((rex & 4) << 1));
  const mask = cpu.xmm((modrm & 7) | ((rex & 1) << 3));
  cpu.checkWrite(address, 16, privilege);
  for (let byte = 0; byte < 16; byte++)
    if (mask[byte] & 0x80)
      cpu.writeLinear(BigInt.asUintN(64, address + BigInt(byte)), 1, BigInt(source[byte]), privilege);
  return opcodeEnd + 1;
}
