/**
 * Decodes one instruction from its bytes, by the table, in any mode (Intel SDM vol. 2, chapter 2). Independent of any
 * core.
 */
import { entries, isGroup, type Row } from "./table.ts";

/** Value of `base` and `index`. */
export const NO_REGISTER = 16;
/** Value of `base` for an address relative to the next instruction. */
export const RIP = 17;

export const LONGEST_INSTRUCTION = 15;

export type Mode = 16 | 32 | 64;

export class Instruction {
  /** undefined: no such instruction; the core raises #UD. */
  row: Row | undefined;
  /** Length of the whole instruction in bytes. */
  length = 0;
  mode: Mode = 64;
  /** 2, 4, 8. */
  operandBytes = 4;
  addressBytes = 8;
  /** 0, 0xf2 or 0xf3, as a repeat prefix or as a mandatory prefix. */
  repeat = 0;
  hasOperandPrefix = false;
  lock = false;
  /** REX, 0 if there is none. */
  rex = 0;
  /** The segment override that is effective in this mode, or -1. */
  segment = -1;
  /** The opcode as in the table, including its register bits. */
  opcode = 0;
  /** Position after prefixes and REX: opcode, ModRM. */
  opcodeAt = 0;
  modrm = 0;
  /** ModRM.reg without REX.R, and with it. */
  extension = 0;
  reg = 0;
  /** Register number with REX.B, from ModRM.rm or from the opcode. */
  rm = 0;
  hasMemory = false;
  base = NO_REGISTER;
  index = NO_REGISTER;
  /** As a power of two. */
  scale = 0;
  displacement = 0;
  /**
   * Immediate, sign-extended if the instruction does so. For a 64-bit immediate: the low word; the high word is in the
   * next field.
   */
  immediate = 0;
  immediateHigh = 0;
  immediateBytes = 0;
  /** The level of ENTER, or the selector of a far pointer. */
  immediate2 = 0;
  readonly bytes = new Uint8Array(LONGEST_INSTRUCTION);

  /** The mnemonic in the table. */
  get name(): string {
    return this.row?.name ?? "";
  }
  /** STI, MOV SS, POP SS, LSS: the core takes no interrupt before the next instruction has retired. */
  get setsShadow(): boolean {
    const { row } = this;
    if (row === undefined) return false;
    return (
      row.how === "sti" ||
      row.name === "POP_SS" ||
      row.name === "LSS" ||
      (row.how === "movtoseg" && this.extension === 2)
    );
  }
  /** Size in bytes of an operand in the table. */
  sizeOf(size: string): number {
    return operandSize(size, this.operandBytes);
  }
}

export function operandSize(size: string, operandBytes: number): number {
  switch (size) {
    case "b":
      return 1;
    case "w":
      return 2;
    case "d":
      return 4;
    case "q":
      return 8;
    case "v":
      return operandBytes;
    case "z":
      return operandBytes === 2 ? 2 : 4;
    case "y":
      return operandBytes === 8 ? 8 : 4;
    case "t":
      return 10;
    case "o":
    case "u":
      return 16;
  }
  return 0;
}

/** Thrown where the bytes end before the instruction does. */
export const TRUNCATED = Symbol("truncated");
/** Longer than 15 bytes: #GP. */
export const TOO_LONG = Symbol("too long");

export type DecodeResult = Instruction | typeof TRUNCATED | typeof TOO_LONG;

/** ModRM of 16-bit addresses: base and index. */
const base16 = [3, 3, 5, 5, NO_REGISTER, NO_REGISTER, 5, 3];
const index16 = [6, 7, 6, 7, 6, 7, NO_REGISTER, NO_REGISTER];
const segmentPrefix: Readonly<Record<number, number>> = { 38: 0, 46: 1, 54: 2, 62: 3, 100: 4, 101: 5 };

/** Decodes the instruction at `at`; the bytes from `end` on are unknown. */
export function decode(code: Uint8Array, at: number, end: number, mode: Mode): DecodeResult {
  const insn = new Instruction();
  insn.mode = mode;
  const start = at;
  let addressPrefix = false;
  let byte = 0;
  for (;;) {
    if (at >= end) return at - start >= LONGEST_INSTRUCTION ? TOO_LONG : TRUNCATED;
    byte = code[at];
    if (byte === 0x66) insn.hasOperandPrefix = true;
    else if (byte === 0x67) addressPrefix = true;
    else if (byte === 0xf2 || byte === 0xf3) insn.repeat = byte;
    else if (byte === 0xf0) insn.lock = true;
    else if ((byte & 0xe7) === 0x26 || byte === 0x64 || byte === 0x65) {
      const segment = segmentPrefix[byte];
      if (mode !== 64 || segment >= 4) insn.segment = segment;
    } else if (mode === 64 && (byte & 0xf0) === 0x40) {
      insn.rex = byte;
      at++;
      continue;
    } else break;
    insn.rex = 0; // REX counts only just before the opcode
    at++;
  }
  if (at - start >= LONGEST_INSTRUCTION) return TOO_LONG;
  const { rex } = insn;
  insn.opcodeAt = at - start;
  let opcode = byte;
  at++;
  if (byte === 0x0f) {
    if (at >= end) return TRUNCATED;
    opcode = 0x100 | code[at++];
  }
  insn.opcode = opcode === 0x82 && mode !== 64 ? 0x80 : opcode; // 82 is 80, and the host does not know it
  insn.operandBytes = rex & 8 ? 8 : mode === 16 ? (insn.hasOperandPrefix ? 4 : 2) : insn.hasOperandPrefix ? 2 : 4;
  insn.addressBytes = mode === 64 ? (addressPrefix ? 4 : 8) : (mode === 32) !== addressPrefix ? 4 : 2;

  const column = insn.repeat === 0xf3 ? 2 : insn.repeat === 0xf2 ? 3 : insn.hasOperandPrefix ? 1 : 0;
  const entry = entries[column * 512 + opcode];
  if (entry === undefined) return finish(insn, undefined, code, start, at);
  let row: Row | undefined;
  if (isGroup(entry) || entry.hasModrm) {
    if (at >= end) return TRUNCATED;
    const modrm = code[at++];
    const mod = modrm >> 6;
    insn.modrm = modrm;
    insn.extension = (modrm >> 3) & 7;
    insn.reg = insn.extension | ((rex & 4) << 1);
    row = isGroup(entry) ? entry[((mod === 3 ? 8 : 0) + insn.extension) * 8 + (modrm & 7)] : entry;
    // Control and debug registers always use the register form.
    if (mod === 3 || row?.how === "control") {
      insn.rm = (modrm & 7) | ((rex & 1) << 3);
    } else {
      insn.hasMemory = true;
      const next = decodeAddress(insn, code, at, end, mod);
      if (next < 0) return TRUNCATED;
      at = next;
    }
    if (row !== undefined && !formAllowed(row, insn)) row = undefined;
  } else {
    row = entry;
    insn.rm = (opcode & 7) | ((rex & 1) << 3);
    if (row.how === "moffs") {
      if (at + insn.addressBytes > end) return TRUNCATED;
      insn.hasMemory = true;
      insn.base = insn.index = NO_REGISTER;
      insn.immediate = readSigned(code, at, Math.min(insn.addressBytes, 4));
      insn.immediateHigh = insn.addressBytes === 8 ? readSigned(code, at + 4, 4) : 0;
      at += insn.addressBytes;
    }
  }
  if (row !== undefined && row.mode !== 0 && (row.mode === 64) !== (mode === 64)) row = undefined;
  if (row !== undefined) {
    const stop = decodeImmediate(insn, row, code, at, end);
    if (stop < 0) return TRUNCATED;
    at = stop;
    if (insn.lock && !(row.lockable && insn.hasMemory)) row = undefined;
  }
  return finish(insn, row, code, start, at);
}

function finish(insn: Instruction, row: Row | undefined, code: Uint8Array, start: number, at: number): DecodeResult {
  if (at - start > LONGEST_INSTRUCTION) return TOO_LONG;
  insn.row = row;
  insn.length = at - start;
  insn.bytes.set(code.subarray(start, at));
  return insn;
}

function formAllowed(row: Row, insn: Instruction): boolean {
  const kind = row.rm?.kind;
  if (kind === "M") return insn.hasMemory;
  if (kind === "R" || kind === "U" || kind === "N") return row.how === "control" || !insn.hasMemory;
  return true;
}

/** Returns the position after the address; negative: the bytes end before it. */
function decodeAddress(insn: Instruction, code: Uint8Array, at: number, end: number, mod: number): number {
  const rm = insn.modrm & 7;
  if (insn.addressBytes === 2) {
    insn.base =
      mod === 0 && rm === 6 ? NO_REGISTER : rm < 4 ? base16[rm] : rm === 6 ? 5 : rm === 7 ? 3 : rm === 4 ? 6 : 7;
    insn.index = rm < 4 ? index16[rm] : NO_REGISTER;
    const bytes = mod === 1 ? 1 : mod === 2 || (mod === 0 && rm === 6) ? 2 : 0;
    if (at + bytes > end) return -1;
    insn.displacement = readSigned(code, at, bytes);
    return at + bytes;
  }
  const { rex, mode } = insn;
  let bytes = mod === 1 ? 1 : mod === 2 ? 4 : 0;
  if (rm === 4) {
    if (at >= end) return -1;
    const sib = code[at++];
    insn.scale = sib >> 6;
    const index = ((sib >> 3) & 7) | ((rex & 2) << 2);
    insn.index = index === 4 ? NO_REGISTER : index;
    if ((sib & 7) === 5 && mod === 0) bytes = 4;
    else insn.base = (sib & 7) | ((rex & 1) << 3);
  } else if (rm === 5 && mod === 0) {
    bytes = 4;
    if (mode === 64) insn.base = RIP;
  } else {
    insn.base = rm | ((rex & 1) << 3);
  }
  if (at + bytes > end) return -1;
  insn.displacement = readSigned(code, at, bytes);
  return at + bytes;
}

function decodeImmediate(insn: Instruction, row: Row, code: Uint8Array, at: number, end: number): number {
  const { how } = row;
  if (how === "far" && (row.opcode === 0x9a || row.opcode === 0xea)) {
    const bytes = insn.operandBytes === 2 ? 2 : 4;
    if (at + bytes + 2 > end) return -1;
    insn.immediate = readSigned(code, at, bytes);
    insn.immediate2 = readSigned(code, at + bytes, 2) & 0xffff;
    return at + bytes + 2;
  }
  if (row.immediate === undefined) {
    return at;
  }
  const { size } = row.immediate;
  const bytes = size === "s" ? 1 : insn.sizeOf(size);
  if (at + bytes > end) return -1;
  insn.immediateBytes = bytes;
  if (bytes === 8) {
    insn.immediate = readSigned(code, at, 4);
    insn.immediateHigh = readSigned(code, at + 4, 4);
  } else {
    insn.immediate = readSigned(code, at, bytes);
    insn.immediateHigh = insn.immediate >> 31;
  }
  at += bytes;
  if (row.immediate2) {
    if (at >= end) return -1;
    insn.immediate2 = code[at++];
  }
  return at;
}

function readSigned(code: Uint8Array, at: number, bytes: number): number {
  switch (bytes) {
    case 0:
      return 0;
    case 1:
      return (code[at] << 24) >> 24;
    case 2:
      return ((code[at] | (code[at + 1] << 8)) << 16) >> 16;
  }
  return code[at] | (code[at + 1] << 8) | (code[at + 2] << 16) | (code[at + 3] << 24);
}
