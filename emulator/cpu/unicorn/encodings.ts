/**
 * Encodings that Unicorn's translator takes for something else than processors do. It gets other bytes with the same
 * length to read (`readAs` in translator.ts), by the manual (Intel SDM vol. 2, 2.1.1, 2.2.1 and appendix A).
 */
import { type Decoded, hasModrm, isMemory, memoryOperand, regField } from "../x86/instruction.ts";

const OPERAND_SIZE = 0x66;
const NEUTRAL = 0x40;
const REPEAT = 0xf3;
/** CMPPS and its variants. */
const COMPARE = 0xc2;
const HINT = 0x1f;

/** TZCNT and LZCNT: CPUID does not announce them, so they are BSF and BSR. */
export const isPrefixedScan = ({ map, opcode, repeat }: Decoded): boolean =>
  map === 1 && (opcode === 0xbc || opcode === 0xbd) && repeat === REPEAT;

/** The bytes to read instead of those from the first prefix to ModRM or to the immediate; undefined: as they are. */
export function otherEncoding(
  found: Decoded,
  byte: (offset: number) => number | undefined,
  is64Bit: boolean,
): Uint8Array | undefined {
  const { map, opcode, modrm, opcodeEnd } = found;
  const isCompare = is64Bit && map === 1 && opcode === COMPARE;
  const predicateAt = isMemory(modrm) && isCompare ? memoryOperand(found, byte, nowhere).end : opcodeEnd + 1;
  const end = isCompare ? predicateAt + 1 : hasModrm(found) ? opcodeEnd + 1 : opcodeEnd;
  let length = 0;
  while (length < end && byte(length) !== undefined) length++;
  const code = Uint8Array.from({ length }, (_, at) => byte(at) as number);
  const opcodeAt = opcodeEnd - (map === 0 ? 1 : 2);
  let differs = is64Bit && orderPrefixes(found, code.subarray(0, opcodeAt));
  const set = (at: number, value: number): void => {
    if (at >= length || code[at] === value) return;
    differs = true;
    code[at] = value;
  };
  if (isPrefixedScan(found)) for (let at = 0; at < opcodeAt; at++) if (code[at] === REPEAT) set(at, 0xf2);
  // F6 /1 and F7 /1 are TEST, as /0 is.
  if (map === 0 && (opcode === 0xf6 || opcode === 0xf7) && regField(modrm) === 1) set(opcodeEnd, modrm & ~0x38);
  // REX.R does not extend an opcode.
  if (map === 0 && (opcode === 0xc6 || opcode === 0xc7) && found.rex & 4) set(opcodeAt - 1, found.rex & ~4);
  // Hints with a register are no-operations.
  if (map === 1 && (opcode === 0x0d || opcode === 0x18) && !isMemory(modrm)) set(opcodeEnd - 1, HINT);
  // The upper bits of the predicate are reserved, and ignored.
  if (isCompare) set(predicateAt, code[predicateAt] & 7);
  return differs ? code : undefined;
}

/** Registers for the length of a memory operand. */
const nowhere = { gpr: () => 0n, rip: 0n, segmentBase: () => 0n };

/**
 * In 64-bit mode only FS and GS count among segments, and F2 and F3 come before 66 where they select the instruction.
 * Prefixes that do not count give way to others; a REX prefix that is not the last one has no effect.
 */
function orderPrefixes(found: Decoded, prefixes: Uint8Array): boolean {
  const selects = found.repeat !== 0 && isMultimedia(found);
  const counts = (prefix: number, at: number): boolean => {
    if (prefix === 0x26 || prefix === 0x2e || prefix === 0x36 || prefix === 0x3e) return false;
    if ((prefix & 0xf0) === NEUTRAL) return at === prefixes.length - 1;
    return !(prefix === OPERAND_SIZE && selects);
  };
  const kept = [...prefixes].filter(counts);
  const missing = prefixes.length - kept.length;
  if (missing === 0) return false;
  prefixes.set([...new Array<number>(missing).fill(NEUTRAL), ...kept]);
  // If no prefix follows, REX would make AH to BH the low bytes of other registers.
  if (kept.length === 0 && usesBytes(found)) prefixes[missing - 1] = REPEAT;
  return true;
}

/** Instructions that a prefix selects: MMX, SSE. */
export const isMultimedia = ({ map, opcode }: Decoded): boolean =>
  map === 1 &&
  ((opcode >= 0x10 && opcode <= 0x17) ||
    (opcode >= 0x28 && opcode <= 0x2f) ||
    (opcode >= 0x50 && opcode <= 0x7f) ||
    opcode === COMPARE ||
    (opcode >= 0xc4 && opcode <= 0xc6) ||
    opcode >= 0xd0);

/** Of these: those of XMM registers. */
export const usesXmm = ({ opcode, operandSize, repeat }: Decoded): boolean =>
  operandSize || repeat !== 0 || opcode < 0x60 || opcode === COMPARE || opcode === 0xc6;

/** May the instruction have a register of 8 bits? F3 has no effect on these. */
function usesBytes(found: Decoded): boolean {
  const { map, opcode } = found;
  if (map === 0) return hasModrm(found) || (opcode & 0xf8) === 0xb0 || opcode === 0x9e || opcode === 0x9f; // SAHF, LAHF
  return map === 1 && ((opcode & 0xf0) === 0x90 || [0xb0, 0xb6, 0xbe, 0xc0].includes(opcode));
}
