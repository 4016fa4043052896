/**
 * The small part of instruction decoding that the engine needs: Unicorn reports the address of an instruction, but not
 * its length or the privilege of its memory accesses.
 */
import { ACCESS_READ, type AccessKind } from "../x86/access.ts";
import type { Processor } from "./processor.ts";

const LONGEST_INSTRUCTION = 15;
const prefixes: ReadonlySet<number> = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

/** Number of bytes up to and including a two-byte opcode 0F `second` at `rip`, with prefixes. */
export function opcodeLength(cpu: Processor, rip: bigint, second: number): number {
  for (let length = 2; length <= LONGEST_INSTRUCTION; length++) {
    if (cpu.fetchByte(rip + BigInt(length - 2)) === 0x0f && cpu.fetchByte(rip + BigInt(length - 1)) === second)
      return length;
  }
  return 2;
}

/**
 * Does the instruction at RIP, executed at CPL 3, access GDT, LDT, IDT or TSS on the processor's own behalf? That is a
 * segment load, LAR, LSL, VERR, VERW, a far transfer, or IN and OUT with their permission map. MOV to a segment
 * register counts only with a register source: with a memory source the access may be the program's own.
 */
export function implicitTableAccess(cpu: Processor, access: AccessKind): boolean {
  if (cpu.is64Bit) return false; // these are executed by x86/execute.ts
  let at = cpu.rip;
  const next = (): number => cpu.fetchByte(at++) ?? 0;
  let byte = next();
  while (prefixes.has(byte) || (byte & 0xf0) === 0x40) byte = next();
  if (byte === 0x0f) {
    const second = next();
    const loads = second === 0xa1 || second === 0xa9 || second === 0xb2 || second === 0xb4 || second === 0xb5;
    return loads || (access === ACCESS_READ && (second === 0x00 || second === 0x02 || second === 0x03));
  }
  if (byte === 0x8e) return next() >= 0xc0;
  if (byte === 0xff) {
    const extension = (next() >> 3) & 7;
    return extension === 3 || extension === 5; // far
  }
  const farTransfer = byte === 0xca || byte === 0xcb || byte === 0xcf || byte === 0x9a || byte === 0xea;
  const segmentPop = byte === 0x07 || byte === 0x17 || byte === 0x1f || byte === 0xc4 || byte === 0xc5;
  const portAccess = (byte >= 0xe4 && byte <= 0xe7) || (byte >= 0xec && byte <= 0xef) || (byte >= 0x6c && byte <= 0x6f);
  return farTransfer || segmentPop || portAccess;
}

/**
 * MOVS, STOS, LODS, INS, OUTS: with a repeat prefix they repeat until the count is 0. CMPS and SCAS may end earlier.
 */
const stringOpcodes: ReadonlySet<number> = new Set([0xa4, 0xa5, 0xaa, 0xab, 0xac, 0xad, 0x6c, 0x6d, 0x6e, 0x6f]);
const comparingOpcodes: ReadonlySet<number> = new Set([0xa6, 0xa7, 0xae, 0xaf]);

/** Prefixes and opcode at RIP, as far as repetition needs them. */
function repetition(cpu: Processor): { readonly opcode: number; readonly addressSize: boolean } | undefined {
  let at = cpu.linearRip;
  let repeats = false;
  let addressSize = false;
  const end = at + BigInt(LONGEST_INSTRUCTION);
  for (; at < end; at++) {
    const byte = cpu.peekByte(at) ?? 0;
    if (byte === 0xf2 || byte === 0xf3) repeats = true;
    else if (byte === 0x67) addressSize = true;
    else if (!prefixes.has(byte) && !(cpu.is64Bit && (byte & 0xf0) === 0x40))
      return repeats ? { opcode: byte, addressSize } : undefined;
  }
  return undefined;
}

/** Is the instruction at RIP a repeated one, so that RIP does not move between its iterations? */
export const isRepeating = (cpu: Processor): boolean => repeatCount(cpu) !== undefined;

/** Remaining iterations of the string instruction at RIP; undefined: not a repeated instruction. */
export function repeatCount(cpu: Processor): bigint | undefined {
  const found = repetition(cpu);
  if (!found || !(stringOpcodes.has(found.opcode) || comparingOpcodes.has(found.opcode))) return undefined;
  const bits = cpu.is64Bit ? (found.addressSize ? 32 : 64) : cpu.is32Bit !== found.addressSize ? 32 : 16;
  return BigInt.asUintN(bits, cpu.gpr(1));
}

/**
 * Number of instructions that certainly retire at RIP before it moves, apart from faults: iterations of a string
 * instruction, or 1.
 */
export function iterationsLeft(cpu: Processor): number {
  if (!stringOpcodes.has(repetition(cpu)?.opcode ?? 0)) return 1;
  const count = repeatCount(cpu) as bigint;
  return count > 1n ? Number(count) : 1;
}
