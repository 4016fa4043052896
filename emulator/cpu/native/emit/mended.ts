/**
 * Instructions that leave flags undefined. Here their results are the same on every host: multiplication, division,
 * shifts, BSF and BSR.
 */
import type { Operand, Row } from "../table.ts";
import { Condition, FLAGS, GUEST_RAX, HOST, T1, T2 } from "./encoder.ts";
import { type Emitter, SAVED } from "./emitter.ts";
import { emitGeneral, sizeOf } from "./general.ts";

/** ModRM.reg of the groups. */
const DIV = 6;
const RCL = 2;
const RCR = 3;
const SHL = 4;

/**
 * Sets SF, ZF and PF by `register`, clears AF, and keeps CF and OF of the multiplication. So what the architecture
 * leaves undefined after MUL and IMUL equals a test of the low half.
 */
function mendProduct(e: Emitter, register: number, bytes: number): void {
  if (e.flagsAreDead) return;
  e.bytes(0x0f, 0x90, 0xc0); // seto al
  e.sized(0x84, bytes, register, register); // test
  e.bytes(0x9f, 0x08, 0xc4); // lahf; or ah, al: CF equals OF
  e.flags = SAVED;
}
/** Clears AF, which is undefined after shifts. */
function mendShift(e: Emitter): void {
  e.bytes(0x9f, 0x0f, 0x90, 0xc0); // lahf; seto al
  e.bytes(0x80, 0xe4, 0xef); // and ah, ~AF
  e.flags = SAVED;
}

/** A source operand in T2 or in its own register, of at least `bytes`. */
function source(e: Emitter, bytes: number): number {
  const { insn } = e;
  if (insn.hasMemory) {
    e.memory(bytes, false);
    e.sized(0x8a, bytes, T2, T1, true);
    return T2;
  }
  if (bytes === 1 && insn.rex === 0 && insn.rm >= 4) {
    e.rotate(T2, HOST[insn.rm - 4], 8);
    return T2;
  }
  return e.use(insn.rm, T2);
}

/** MUL and IMUL with the result in rDX:rAX. */
function mul(e: Emitter): void {
  const { insn } = e;
  const bytes = insn.opcode & 1 ? insn.operandBytes : 1;
  const factor = source(e, bytes);
  e.move(FLAGS, GUEST_RAX); // all flags are written: saved ones need not be kept
  e.sized(0xf6, bytes, insn.extension, factor);
  e.move(GUEST_RAX, FLAGS);
  e.flags = 1;
  mendProduct(e, GUEST_RAX, bytes);
}

/**
 * DIV and IDIV of 32 and 64 bits if the quotient certainly fits; otherwise the instruction is interpreted. The flags do
 * not change.
 */
function div(e: Emitter): void {
  const { insn } = e;
  const bytes = insn.operandBytes;
  e.saveFlags();
  const divisor = source(e, bytes);
  const value = T2;
  if (divisor !== T2) e.move(T2, divisor);
  if (insn.extension === DIV) {
    e.sized(0x3a, bytes, 2, value); // cmp rdx, divisor
    e.interpretIf(Condition.AE);
  } else {
    // The interpreter handles the divisors 0 and -1, and dividends that are not a sign extension of rAX.
    e.based(0x8d, T1, value, 1, bytes === 8); // lea
    e.bytes(0x40 | (bytes === 8 ? 9 : 1), 0x83, 0xf8 | (T1 & 7), 1); // cmp r13, 1
    e.interpretIf(Condition.BE);
    if (bytes === 8) e.move(T1, GUEST_RAX);
    else e.registers(0x8b, T1, GUEST_RAX, false);
    e.bytes(0x40 | (bytes === 8 ? 9 : 1), 0xc1, 0xf8 | (T1 & 7), bytes * 8 - 1); // sar r13, 31 or 63
    e.sized(0x3a, bytes, T1, 2); // cmp r13, rdx
    e.interpretIf(Condition.NE);
  }
  e.exchange(FLAGS, GUEST_RAX);
  e.sized(0xf6, bytes, insn.extension, value);
  e.exchange(FLAGS, GUEST_RAX);
  e.flags = SAVED;
}

function shift(e: Emitter): void {
  const { insn } = e;
  const row = insn.row as Row;
  const { extension, opcode } = insn;
  const bytes = opcode & 1 ? insn.operandBytes : 1;
  const byCl = (opcode & 0xfe) === 0xd2;
  const mask = bytes === 8 ? 63 : 31;
  const rotates = extension < SHL;
  if (rotates || e.flagsAreDead) {
    // By CL, a count of 0 leaves all flags alone.
    if (byCl) e.restoreFlags();
    emitGeneral(e);
    return;
  }
  if (!byCl) {
    const count = (opcode & 0xfe) === 0xd0 ? 1 : insn.immediate & mask;
    if (count === 0) {
      const before = e.flags;
      emitGeneral(e);
      // RFLAGS stay in the host if they were there, unless the address check has moved them.
      e.flags = insn.hasMemory && !e.alone ? SAVED : before;
      return;
    }
    emitGeneral(e);
    mendShift(e);
    return;
  }
  e.saveFlags();
  emitGeneralAround(e, row, () => {
    e.bytes(0xf6, 0xc1, mask); // test cl, mask
    return e.skipIf(Condition.E);
  });
  e.flags = SAVED;
}

/** A shift by CL: the operands are loaded first, so that they are written back whether the count is 0 or not. */
function emitGeneralAround(e: Emitter, row: Row, begin: () => number, mend?: () => void): void {
  const { insn } = e;
  const rm = row.rm as Operand;
  const bytes = sizeOf(e, rm);
  let host = T1;
  let high = false;
  if (insn.hasMemory) e.memory(bytes, true);
  else if (e.isHighByte(rm, insn.rm)) {
    high = true;
    host = HOST[insn.rm - 4];
    e.rotate(host, host, 8);
  } else host = e.use(insn.rm, T1);
  let reg = insn.extension;
  if (row.reg !== undefined) reg = e.use(insn.reg, T2);
  // A 32-bit result clears the upper half even if the count is 0.
  if (!insn.hasMemory && bytes === 4) e.registers(0x8b, host, host, false);
  const skip = begin();
  e.own(reg, host, insn.hasMemory);
  mendShift(e);
  mend?.();
  e.patchShort(skip);
  if (high) e.rotate(host, host, 56);
  else if (!insn.hasMemory) e.settle(insn.rm, host);
}

/** SHLD, SHRD. For a count above 1, OF is undefined; here it is 0. */
function doubleshift(e: Emitter): void {
  const { insn } = e;
  const mask = insn.operandBytes === 8 ? 63 : 31;
  const clearOverflow = (): void => e.bytes(0xb0, 0); // mov al, 0
  if (insn.opcode & 1) {
    e.saveFlags();
    emitGeneralAround(
      e,
      insn.row as Row,
      () => {
        e.bytes(0xf6, 0xc1, mask); // test cl, mask
        return e.skipIf(Condition.E);
      },
      () => {
        e.bytes(0xf6, 0xc1, mask & ~1);
        const one = e.skipIf(Condition.E);
        clearOverflow();
        e.patchShort(one);
      },
    );
    e.flags = SAVED;
    return;
  }
  const count = insn.immediate & mask;
  if (count === 0) e.saveFlags();
  emitGeneral(e);
  if (count === 0) {
    e.flags = SAVED;
  } else if (!e.flagsAreDead) {
    mendShift(e);
    if (count > 1) clearOverflow();
  }
}

/** BSF, BSR: a source of 0 leaves the destination alone; the flags equal a test of the source. */
function scan(e: Emitter): void {
  const { insn } = e;
  const bytes = insn.operandBytes;
  if (insn.hasMemory) {
    e.memory(bytes, false);
    e.sized(0x8a, bytes, T1, T1, true);
  }
  const from = insn.hasMemory ? T1 : e.use(insn.rm, T1);
  const old = HOST[insn.reg];
  if (old < 0) e.loadGuest(T2, insn.reg);
  else e.move(T2, old);
  if (bytes === 2) e.byte(0x66);
  e.byte(0x40 | (bytes === 8 ? 8 : 0) | ((T2 >> 3) << 2) | (from >> 3));
  e.bytes(0x0f, insn.opcode & 0xff, 0xc0 | ((T2 & 7) << 3) | (from & 7));
  e.sized(0x84, bytes, from, from);
  e.flags = 1;
  // For a source of 0, processors differ in the upper half of a 32-bit destination.
  const empty = e.skipIf(Condition.E);
  if (old < 0) e.storeGuest(T2, insn.reg);
  else e.move(old, T2);
  e.patchShort(empty);
}

export const mendedEmitters: Readonly<Record<string, (e: Emitter) => void>> = {
  mulmend: (e) => emitGeneral(e, (destination) => mendProduct(e, destination, e.insn.operandBytes)),
  mul,
  div,
  shift,
  doubleshift,
  scan,
};

/** Forms of these instructions that are interpreted. */
export function isInterpretedMended(e: Emitter): boolean {
  const { insn } = e;
  switch (insn.row?.how) {
    case "div":
      return e.alone || !(insn.opcode & 1) || insn.operandBytes === 2;
    case "shift":
      if ((insn.opcode & 0xff) === 0xd2 && insn.rex === 0 && !insn.hasMemory && insn.rm >= 4) return true;
      return (insn.extension === RCL || insn.extension === RCR) && (insn.opcode & 0xfe) !== 0xd0;
    case "doubleshift":
      return insn.operandBytes === 2;
  }
  return false;
}
