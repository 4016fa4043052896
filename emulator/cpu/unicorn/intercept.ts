/**
 * Instructions that Unicorn executes wrongly and that are corrected at translation (translator.ts). x86/instruction.ts
 * and x86/execute.ts define the correct behaviour. This file lists which of Unicorn's translations cannot be used as
 * they are, and adds what is missing in its faults.
 */
import { Exception, Rflags } from "../../abi/x86.ts";
import { Fault } from "../x86/access.ts";
import { execute, type Execute, isExecuted } from "../x86/execute.ts";
import {
  type Decoded,
  decode,
  hasModrm,
  isBasedOnStack,
  isIndirectBranch,
  isLockable,
  isMemory,
  memoryOperand,
  needsAlignment,
  regField,
  usesStack,
  writesWhatItReads,
} from "../x86/instruction.ts";
import { arithmeticSourceBytes, resultFlags } from "../x86/sseflags.ts";
import { Hflag } from "./environment.ts";
import type { Processor } from "./processor.ts";
import { Action, type Interest } from "./translator.ts";
import { executeX87, isX87 } from "./x87.ts";

/** Maximum length of an instruction in bytes. */
const LONGEST = 15;
const LOCK = 0xf0;
const RETURN_FAR = 0xca;
const ICEBP = 0xf1;
const CMPXCHG = 0xb1;
const POPCNT = 0xb8;
const RAX = 0;
/** Flag besides the register of BRACKET: the instruction is a scan. */
const SCAN = 0x100;
/** A word of the state after the general registers that CMPXCHG does not change: RIP. */
const NO_REGISTER = 16;

/** Opcodes for which `classify` is called. */
export const interest: Interest = {
  // biome-ignore format: by the opcode map
  opcodes: [
    LOCK, ICEBP, 0x90, 0x9b, 0x9e, 0x9f, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xca, 0xcb, 0xd0, 0xd1, 0xd2, 0xd3, ...range(0xd8, 0xdf), 0xff,
  ],
  second: [
    ...[0x00, 0x01, 0xae, CMPXCHG, POPCNT, 0xbc, 0xbd],
    // With operands of 16 bytes.
    ...[0x12, 0x14, 0x15, 0x16, 0x28, 0x29, 0x2b, 0x2c, 0x2d, 0x38, 0x3a],
    ...range(0x90, 0x9f),
    ...range(0x51, 0x70),
    ...range(0x74, 0x76),
    ...[0x7c, 0x7d, 0x7f, 0xc2, 0xc6],
    ...range(0xd0, 0xfe),
  ],
};

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** `flags`: of the block, in the format of env.hflags with RFLAGS' bits. */
export function classify(cpu: Processor, linear: bigint, flags: number): number {
  const isLong = (flags & Hflag.CS64) !== 0;
  const found = decodeAt(cpu, linear, isLong);
  if (found === undefined) return Action.PLAIN;
  const isOurs =
    exceptionOf(found, flags) !== undefined ||
    isExecuted(found, flags & Hflag.CPL, isLong) ||
    isX87(found, flags) ||
    isSteppedPause(found, flags);
  if (isOurs) return Action.EXIT | (covered(found, linear) << 8);
  // If the destination is EAX itself, the comparison succeeds, and Unicorn is right.
  if (isNarrowCompareExchange(found, flags) && destination(found) !== RAX)
    return Action.BRACKET | (destination(found) << 8);
  if (isNarrowScan(found, flags))
    return Action.BRACKET | ((SCAN | regField(found.modrm) | ((found.rex & 4) << 1)) << 8);
  if (isLong && isIndirectBranch(found)) return Action.NOTE;
  if (isSetMemory(found) || isRotateMemory(found)) return Action.FLAGS;
  if (readsHalf(found)) return Action.HALF;
  return needsAlignment(found) ? Action.ALIGN : Action.PLAIN;
}

/** The exception that the instruction raises before it does anything. */
function exceptionOf(found: Decoded, flags: number): { vector: number; errorCode: number } | undefined {
  if ((found.lock && !isLockable(found)) || isUnannounced(found, (flags & Hflag.CS64) !== 0))
    return { vector: Exception.UD, errorCode: 0 };
  if ((flags & Hflag.UMIP) !== 0 && (flags & Hflag.CPL) !== 0 && readsSystemRegister(found))
    return { vector: Exception.GP, errorCode: 0 };
  if (found.map === 0 && found.opcode === ICEBP) return { vector: Exception.DB, errorCode: 0 };
  return undefined;
}

/** Extensions that CPUID does not announce but Unicorn's model has: SSSE3 and later, POPCNT, AVX. */
function isUnannounced({ map, opcode, modrm, repeat }: Decoded, is64Bit: boolean): boolean {
  if (map === 0) return (opcode === 0xc4 || opcode === 0xc5) && (is64Bit || !isMemory(modrm)); // VEX
  return map > 1 || (opcode === POPCNT && repeat === 0xf3);
}

/** SGDT, SIDT, SLDT, STR, SMSW: UMIP forbids them outside ring 0 (SDM vol. 3, 2.5). */
function readsSystemRegister({ map, opcode, modrm }: Decoded): boolean {
  if (map !== 1 || modrm < 0) return false;
  const extension = regField(modrm);
  if (opcode === 0x00) return extension < 2;
  return opcode === 0x01 && (extension === 4 || (extension < 2 && isMemory(modrm)));
}

/** CMPXCHG of 32 bits: Unicorn clears the upper half of a register that the instruction does not write. */
function isNarrowCompareExchange({ map, opcode, operandSize, rex }: Decoded, flags: number): boolean {
  if (map !== 1 || opcode !== CMPXCHG || rex & 8) return false;
  return ((flags & Hflag.CS32) !== 0) !== operandSize;
}

/**
 * BSF and BSR of 32 bits with a source of 0: Unicorn clears the upper half of a destination that the instruction does
 * not write.
 */
function isNarrowScan({ map, opcode, operandSize, rex, repeat }: Decoded, flags: number): boolean {
  if (map !== 1 || (opcode !== 0xbc && opcode !== 0xbd) || rex & 8 || repeat === 0xf3) return false;
  return (flags & Hflag.CS64) !== 0 && !operandSize;
}

/** PAUSE under RFLAGS.TF: Unicorn loses the trap. */
const isSteppedPause = ({ map, opcode, repeat, rex }: Decoded, flags: number): boolean =>
  map === 0 && opcode === 0x90 && repeat === 0xf3 && (rex & 1) === 0 && (flags & Rflags.TF) !== 0;

/** The register whose upper half must not change if the comparison fails. */
function destination({ modrm, rex }: Decoded): number {
  return isMemory(modrm) ? NO_REGISTER : (modrm & 7) | ((rex & 1) << 3);
}

/**
 * The bytes on which the decision to exit depends, as far as they lie in one page: writing them drops the translation.
 */
const covered = ({ opcodeEnd }: Decoded, linear: bigint): number =>
  Math.min(opcodeEnd + 1, 4096 - Number(linear & 0xfffn));

const bytesAt =
  (cpu: Processor, linear: bigint) =>
  (offset: number): number | undefined =>
    cpu.peekByte(linear + BigInt(offset));

function decodeAt(cpu: Processor, linear: bigint, is64Bit: boolean): Decoded | undefined {
  return decode(bytesAt(cpu, linear), is64Bit);
}
const decodeAtRip = (cpu: Processor): Decoded | undefined => decodeAt(cpu, cpu.linearRip, cpu.is64Bit);

export type Intercepted =
  /** It raises this exception and does nothing else. */
  | { readonly vector: number; readonly errorCode: number }
  /** It must be executed; may throw Fault. */
  | { readonly length: number; readonly trap?: number };

/**
 * A block has ended before an instruction of ours: executes it. undefined: the instruction is not one of ours, or no
 * longer. Throws Fault.
 */
export function perform(cpu: Processor & Execute): Intercepted | undefined {
  let found = decodeAtRip(cpu);
  if (found === undefined) return undefined;
  if (fetchRest(cpu, found)) found = decodeAtRip(cpu) as Decoded;
  const exception = exceptionOf(found, cpu.hiddenFlags);
  if (exception?.vector === Exception.DB) return { length: found.opcodeEnd, trap: Exception.DB };
  if (exception !== undefined) return exception;
  const byte = bytesAt(cpu, cpu.linearRip);
  const isFloatingPoint = isX87(found, cpu.hiddenFlags);
  if (isSteppedPause(found, cpu.hiddenFlags | Number(cpu.rflags & BigInt(Rflags.TF))))
    return { length: found.opcodeEnd };
  if (!isFloatingPoint && !isExecuted(found, cpu.cpl, cpu.is64Bit)) return undefined;
  try {
    return { length: isFloatingPoint ? executeX87(cpu, found, byte) : execute(cpu, found, byte) };
  } catch (fault) {
    // Linear memory ignores segments: a non-canonical address in the stack segment is #SS.
    if (!(fault instanceof Fault) || fault.vector !== Exception.GP || !isBasedOnStack(found, byte)) throw fault;
    const { address } = memoryOperand(found, byte, cpu);
    throw BigInt.asUintN(64, BigInt.asIntN(48, address)) === address ? fault : new Fault(Exception.SS, 0);
  }
}

/**
 * The translator has fetched only the opcode. This fetches the bytes in the next page. True: there are some. Throws
 * Fault.
 */
function fetchRest(cpu: Processor, found: Decoded): boolean {
  const linear = cpu.linearRip;
  const inPage = 4096 - Number(linear & 0xfffn);
  if (inPage >= LONGEST) return false;
  const { map, opcode, opcodeEnd, modrm } = found;
  let end = opcodeEnd;
  if (hasModrm(found)) {
    end++;
    if (end <= inPage && isMemory(modrm) && cpu.is64Bit) ({ end } = memoryOperand(found, bytesAt(cpu, linear), cpu));
  } else if (map === 0 && opcode === RETURN_FAR) end += 2;
  if (end <= inPage) return false;
  cpu.checkFetch(linear + BigInt(inPage));
  return true;
}

/**
 * Must the operand of the instruction at RIP be aligned to 16 bytes? If not, the alignment error comes from RFLAGS.AC.
 */
export function needsAlignmentAtRip(cpu: Processor): boolean {
  const found = decodeAtRip(cpu);
  return found !== undefined && needsAlignment(found);
}

/** SSE arithmetic at RIP has raised an unmasked overflow or underflow: sets its flags in MXCSR. */
export function raiseResultFlags(cpu: Processor): void {
  const found = decodeAtRip(cpu);
  const bytes = found && arithmeticSourceBytes(found);
  if (found === undefined || bytes === undefined) return;
  const { modrm, rex } = found;
  let source = cpu.xmm((modrm & 7) | ((rex & 1) << 3));
  if (isMemory(modrm)) {
    const { address } = memoryOperand(found, bytesAt(cpu, cpu.linearRip), cpu);
    source = Uint8Array.from({ length: bytes }, (_, at) => cpu.peekByte(address + BigInt(at)) ?? 0);
  }
  cpu.raiseMxcsr(resultFlags(found, cpu.xmm(regField(modrm) | ((rex & 4) << 1)), source, cpu.mxcsr) ?? 0);
}

/** MOV SS, POP SS, LSS: #DB is held back until the next instruction has retired. */
export function loadsStackAtRip(cpu: Processor): boolean {
  const found = decodeAtRip(cpu);
  if (found === undefined) return false;
  const { map, opcode, modrm } = found;
  return map === 0 ? opcode === 0x17 || (opcode === 0x8e && regField(modrm) === 2) : map === 1 && opcode === 0xb2;
}

/**
 * The instruction reads the operand that it then writes, and Unicorn has refused the read: a processor checks the right
 * to write.
 */
export function writesAtRip(cpu: Processor): boolean {
  const found = decodeAtRip(cpu);
  return found !== undefined && writesWhatItReads(found);
}

/**
 * An access of the instruction at RIP to a non-canonical address in `page`: #SS(0) in the stack segment, otherwise
 * #GP(0).
 */
export function vectorOfNotCanonical(cpu: Processor, page: bigint): number {
  const found = cpu.is64Bit ? decodeAtRip(cpu) : undefined;
  if (found === undefined) return Exception.GP;
  const byte = bytesAt(cpu, cpu.linearRip);
  if (isBasedOnStack(found, byte)) return Exception.SS;
  if (!usesStack(found)) return Exception.GP;
  // With two accesses: finds out which one it was.
  const isOperand = hasModrm(found) && isMemory(found.modrm) && memoryOperand(found, byte, cpu).address >> 12n === page;
  return isOperand ? Exception.GP : Exception.SS;
}

/** Is the instruction at a linear address a branch that `translator.ts` notes? */
export function isNotedBranch(cpu: Processor, linear: bigint): boolean {
  const found = decodeAt(cpu, linear, true);
  return found !== undefined && isIndirectBranch(found);
}

/** SETcc to memory. */
const isSetMemory = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 1 && (opcode & 0xf0) === 0x90 && isMemory(modrm);
/** RCL and RCR of memory. */
const isRotateMemory = ({ map, opcode, modrm }: Decoded): boolean =>
  map === 0 && [0xc0, 0xc1, 0xd0, 0xd1, 0xd2, 0xd3].includes(opcode) && isMemory(modrm) && (regField(modrm) & 6) === 2;

/**
 * Have the lazy flags been computed (FLAGS) before the instruction at RIP, whose access has been refused? Unicorn
 * treats them as lazy again.
 */
export function hasComputedFlags(cpu: Processor): boolean {
  const found = decodeAtRip(cpu);
  return found !== undefined && (isRotateMemory(found) || isSetMemory(found));
}

/** CVTDQ2PD and CVTPS2PD of memory. */
const readsHalf = ({ map, opcode, modrm, repeat, operandSize }: Decoded): boolean =>
  map === 1 &&
  isMemory(modrm) &&
  ((opcode === 0xe6 && repeat === 0xf3) || (opcode === 0x5a && repeat === 0 && !operandSize));
