/**
 * Instructions that Unicorn executes wrongly and that are corrected at translation (translator.ts). x86/instruction.ts
 * and x86/execute.ts define the correct behaviour. This file lists which of Unicorn's translations cannot be used as
 * they are, and adds what is missing in its faults.
 */
import { Exception, Rflags } from "../../abi/x86.ts";
import { Fault } from "../x86/access.ts";
import { execute, type Execute, isExecuted, isRelativeDoubleShift, type Mode } from "../x86/execute.ts";
import { isDirectBranch } from "../x86/execute-stack.ts";
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
import { isMultimedia, isPrefixedScan, otherEncoding, usesXmm } from "./encodings.ts";
import { Hflag } from "./environment.ts";
import { executeMmx, isMmx, mmxImmediate } from "./mmx.ts";
import type { Processor } from "./processor.ts";
import { Action, type Interest, readAs } from "./translator.ts";
import { executeX87, isX87 } from "./x87.ts";

/** Maximum length of an instruction in bytes. */
const LONGEST = 15;
const LOCK = 0xf0;
const RETURN_FAR = 0xca;
const RETURN = 0xc2;
const ENTER = 0xc8;
const ICEBP = 0xf1;
const INT = 0xcd;
const CMPXCHG = 0xb1;
const POPCNT = 0xb8;
/** 3DNow! */
const FEMMS = 0x0e;
const DNOW = 0x0f;
const RAX = 0;
/** Flag besides the register of BRACKET: the instruction is a scan. */
const SCAN = 0x100;
/** A word of the state after the general registers that CMPXCHG does not change: RIP. */
const NO_REGISTER = 16;

/** Opcodes for which `classify` is called. */
export const interest: Interest = {
  // biome-ignore format: by the opcode map
  opcodes: [
    LOCK, ICEBP, INT, ...range(0x6c, 0x6f), 0x8e, 0x90, 0x9b, 0x9e, 0x9f, ...range(0xa4, 0xa7), ...range(0xaa, 0xaf),
    0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc8, 0xca, 0xcb, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3, ...range(0xd8, 0xdf), 0xff,
  ],
  // biome-ignore format: by the opcode map
  second: [
    0x00, 0x01, 0x02, 0x03, 0x0d, FEMMS, DNOW, 0x18, 0x34, 0x35, 0xa1, 0xa4, 0xa9, 0xac, 0xae, CMPXCHG, 0xb2, 0xb4, 0xb5,
    POPCNT, 0xba, 0xbc, 0xbd,
    // With operands of 16 bytes.
    ...range(0x10, 0x17), ...range(0x28, 0x2f), 0x38, 0x3a,
    ...range(0x90, 0x9f),
    ...range(0x50, 0x77),
    ...[0x7c, 0x7d, 0x7e, 0x7f, 0xc2, 0xc6],
    ...range(0xc4, 0xc5),
    ...range(0xd0, 0xfe),
  ],
  // Extensions that do not exist, and TEST.
  groups: [
    [0x8f, 0xfe],
    [0xc6, 0xfe],
    [0xc7, 0xfe],
    [0xf6, 0x02],
    [0xf7, 0x02],
    [0xfe, 0xfc],
  ],
};

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** `flags`: of the block, in the format of env.hflags with RFLAGS' bits. */
export function classify(cpu: Processor, linear: bigint, flags: number): number {
  const isLong = (flags & Hflag.CS64) !== 0;
  const byte = bytesAt(cpu, linear);
  const found = decode(byte, isLong);
  if (found === undefined) return Action.PLAIN;
  const isOurs =
    exceptionOf(found, flags) !== undefined ||
    isExecuted(found, modeOf(flags), linear, byte) ||
    isX87(found, flags) ||
    isMmx(found, flags) ||
    isInvalidInt(found) ||
    isSteppedPause(found, flags);
  if (isOurs) return Action.EXIT | (covered(found, linear) << 8);
  const other = isLong || isPrefixedScan(found) ? otherEncoding(found, byte, isLong) : undefined;
  if (other !== undefined) readAs(linear, other);
  // If the destination is EAX itself, the comparison succeeds, and Unicorn is right.
  if (isNarrowCompareExchange(found, flags) && destination(found) !== RAX)
    return Action.BRACKET | (destination(found) << 8);
  if (isNarrowScan(found, flags))
    return Action.BRACKET | ((SCAN | regField(found.modrm) | ((found.rex & 4) << 1)) << 8);
  if (isLong && isIndirectBranch(found)) return Action.NOTE;
  if (isSetMemory(found) || isRotateMemory(found)) return Action.FLAGS;
  if (readsHalf(found)) return Action.HALF;
  if (loadsWide(found)) return Action.WIDE;
  if (storesWide(found) && checksAlignment(flags)) return Action.ALIGN;
  return needsAlignment(found) ? Action.ALIGN : Action.PLAIN;
}

/** The exception that the instruction raises before it does anything. */
function exceptionOf(found: Decoded, flags: number): { vector: number; errorCode: number } | undefined {
  const is64Bit = (flags & Hflag.CS64) !== 0;
  if ((found.lock && !isLockable(found)) || isUnannounced(found, is64Bit) || isUndefined(found) || isOff(found, flags))
    return { vector: Exception.UD, errorCode: 0 };
  if ((flags & Hflag.UMIP) !== 0 && (flags & Hflag.CPL) !== 0 && readsSystemRegister(found))
    return { vector: Exception.GP, errorCode: 0 };
  if (found.map === 0 && found.opcode === ICEBP) return { vector: Exception.DB, errorCode: 0 };
  return undefined;
}

/** Extensions that CPUID does not announce but Unicorn's model has: SSSE3 and later, POPCNT, AVX, 3DNow!. */
function isUnannounced({ map, opcode, modrm, repeat }: Decoded, is64Bit: boolean): boolean {
  if (map === 0) return (opcode === 0xc4 || opcode === 0xc5) && (is64Bit || !isMemory(modrm)); // VEX
  if (map === 1 && (opcode === FEMMS || opcode === DNOW)) return true;
  return map > 1 || (opcode === POPCNT && repeat === 0xf3);
}

/** Extensions of the opcode groups that do not exist (SDM vol. 2, table A-6). */
function isUndefined(found: Decoded): boolean {
  const { map, opcode, modrm } = found;
  if (modrm < 0) return false;
  const extension = regField(modrm);
  if (map === 1) return isUndefinedSecond(found);
  if (map !== 0) return false;
  // biome-ignore format: one case a row
  switch (opcode) {
    case 0x8f: case 0xc6: case 0xc7: return extension !== 0;
    case 0xfe: return extension > 1;
    case 0xff: return extension === 7;
  }
  return false;
}

/**
 * CLAC and STAC take no prefix, MASKMOVQ and its like no memory operand. SYSENTER and SYSEXIT are not announced. The
 * extensions of BT are 4 to 7.
 */
function isUndefinedSecond({ opcode, modrm, operandSize, repeat }: Decoded): boolean {
  if (opcode === 0x34 || opcode === 0x35) return true;
  if (opcode === 0xba) return regField(modrm) < 4;
  if (opcode === 0x01) return (modrm === 0xca || modrm === 0xcb) && (operandSize || repeat !== 0);
  return isMemory(modrm) && (opcode === 0x50 || opcode === 0xc5 || opcode === 0xd7 || opcode === 0xf7);
}

/** With EM, and with XMM registers without OSFXSR, #UD comes before the #NM of TS. */
function isOff(found: Decoded, flags: number): boolean {
  if (!(flags & Hflag.TS) || !isMultimedia(found)) return false;
  return (flags & Hflag.EM) !== 0 || (!(flags & Hflag.OSFXSR) && usesXmm(found));
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
function isNarrowScan({ map, opcode, operandSize, rex }: Decoded, flags: number): boolean {
  if (map !== 1 || (opcode !== 0xbc && opcode !== 0xbd) || rex & 8) return false;
  return (flags & Hflag.CS64) !== 0 && !operandSize;
}

/** INT 6: Unicorn takes it for an undefined instruction. `modrm` is the byte after the opcode. */
const isInvalidInt = ({ map, opcode, modrm, lock }: Decoded): boolean =>
  map === 0 && opcode === INT && modrm === Exception.UD && !lock;

/** PAUSE under RFLAGS.TF: Unicorn loses the trap. */
const isSteppedPause = ({ map, opcode, repeat, rex }: Decoded, flags: number): boolean =>
  map === 0 && opcode === 0x90 && repeat === 0xf3 && (rex & 1) === 0 && (flags & Rflags.TF) !== 0;

/** The register whose upper half must not change if the comparison fails. */
function destination({ modrm, rex }: Decoded): number {
  return isMemory(modrm) ? NO_REGISTER : (modrm & 7) | ((rex & 1) << 3);
}

/**
 * The bytes on which the decision to exit depends, as far as they lie in one page: writing them drops the translation.
 * A displacement or a count is among them.
 */
const covered = (found: Decoded, linear: bigint): number =>
  Math.min(found.opcodeEnd + (isDirectBranch(found) ? 4 : 2), 4096 - Number(linear & 0xfffn));

const bytesAt =
  (cpu: Processor, linear: bigint) =>
  (offset: number): number | undefined =>
    cpu.peekByte(linear + BigInt(offset));

/** `flags`: of the block. */
const modeOf = (flags: number): Mode => ({
  cpl: flags & Hflag.CPL,
  is64Bit: (flags & Hflag.CS64) !== 0,
  isLong: (flags & Hflag.LMA) !== 0,
  fpuOff: (flags & (Hflag.TS | Hflag.EM)) !== 0,
  sseOn: (flags & (Hflag.TS | Hflag.EM | Hflag.OSFXSR)) === Hflag.OSFXSR,
  inShadow: (flags & Hflag.INHIBIT_IRQ) !== 0,
  allowsUserPages: (flags & Hflag.SMAP) !== 0 && (flags & Rflags.AC) !== 0,
});

function decodeAt(cpu: Processor, linear: bigint, is64Bit: boolean): Decoded | undefined {
  return decode(bytesAt(cpu, linear), is64Bit);
}
const decodeAtRip = (cpu: Processor): Decoded | undefined => decodeAt(cpu, cpu.linearRip, cpu.is64Bit);

export type Intercepted =
  /** It raises this exception and does nothing else. */
  | { readonly vector: number; readonly errorCode: number }
  /** It must be executed; may throw Fault. */
  | {
      readonly length: number;
      /** INT1. */
      readonly trap?: number;
      /** INT n. */
      readonly interrupt?: number;
      /** It loads SS: no single step traps after it. */
      readonly loadsStack?: boolean;
    };

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
  if (isInvalidInt(found)) return { length: found.opcodeEnd + 1, interrupt: Exception.UD };
  const byte = bytesAt(cpu, cpu.linearRip);
  const flags = cpu.hiddenFlags | Number(cpu.rflags & BigInt(Rflags.AC));
  const isMultimedia = isMmx(found, flags);
  const isFloatingPoint = isX87(found, flags);
  if (isSteppedPause(found, cpu.hiddenFlags | Number(cpu.rflags & BigInt(Rflags.TF))))
    return { length: found.opcodeEnd };
  if (!isFloatingPoint && !isMultimedia && !isExecuted(found, modeOf(flags), cpu.linearRip, byte)) return undefined;
  try {
    const executeIt = isFloatingPoint ? executeX87 : isMultimedia ? executeMmx : execute;
    return { length: executeIt(cpu, found, byte), loadsStack: loadsStack(found) };
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
    end += isMmx(found, cpu.hiddenFlags) ? mmxImmediate(found) : isRelativeDoubleShift(found) ? 1 : 0;
  } else if (map === 0 && (opcode === RETURN_FAR || opcode === RETURN)) end += 2;
  else if (map === 0 && opcode === ENTER) end += 3;
  else if (isDirectBranch(found)) end += map === 1 || opcode === 0xe8 || opcode === 0xe9 ? 4 : 1;
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
  return found !== undefined && loadsStack(found);
}
function loadsStack({ map, opcode, modrm }: Decoded): boolean {
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
/** MOVUPS, MOVUPD, MOVDQU and LDDQU from memory: either both halves of the register change or none. */
const loadsWide = ({ map, opcode, modrm, repeat }: Decoded): boolean =>
  map === 1 &&
  isMemory(modrm) &&
  ((opcode === 0x10 && repeat === 0) || (opcode === 0x6f && repeat === 0xf3) || (opcode === 0xf0 && repeat === 0xf2));
/** The stores. With alignment checks they ask for 16 bytes, as on AMD's processors. */
const storesWide = ({ map, opcode, modrm, repeat }: Decoded): boolean =>
  map === 1 && isMemory(modrm) && ((opcode === 0x11 && repeat === 0) || (opcode === 0x7f && repeat === 0xf3));
function checksAlignment(flags: number): boolean {
  const needed = Hflag.CPL | Hflag.ALIGNMENT | Rflags.AC;
  return (flags & needed) === needed;
}
