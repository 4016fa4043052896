/**
 * Integer instructions whose operands cannot just be renamed, or that leave flags undefined. The general case is
 * `emitGeneral`.
 */
import { Env } from "../environment.ts";
import { type Operand, type Row, STATUS_FLAGS } from "../table.ts";
import { operandSize, RIP } from "../decode.ts";
import { Condition, FLAGS, GUEST_RAX, HOST, T1, T2 } from "./encoder.ts";
import { type Emitter, SAVED } from "./emitter.ts";

/** ModRM.reg of the groups. */
const DIV = 6;
const RCL = 2;
const RCR = 3;
const SHL = 4;

const isGeneral = (operand: Operand): boolean => "EGRMZA".includes(operand.kind);
const sizeOf = (e: Emitter, operand: Operand): number => operandSize(operand.size, e.insn.operandBytes);

/**
 * The instruction itself, its operands in the host's registers. `mend` sees the host register of what it wrote in
 * `reg`.
 */
export function emitGeneral(e: Emitter, mend?: (destination: number) => void): void {
  const { insn } = e;
  const row = insn.row as Row;
  const { rm, reg } = row;
  let highRm = false;
  let copyReg = false;
  let hostRm = T1;
  let hostReg = insn.reg;
  const rmIsRegister = rm !== undefined && !insn.hasMemory;
  const regIsGeneral = reg !== undefined && isGeneral(reg);

  if (rm !== undefined && insn.hasMemory) {
    e.memory(sizeOf(e, rm), rm.writes, rm.size === "o");
  } else if (rm !== undefined && isGeneral(rm)) {
    if (e.isHighByte(rm, insn.rm)) {
      const parent = HOST[insn.rm - 4];
      if (rm.writes) {
        highRm = true;
        hostRm = parent;
      } else {
        e.rotate(T1, parent, 8);
      }
    } else {
      hostRm = e.use(insn.rm, T1, rm.reads || sizeOf(e, rm) < 4);
    }
  } else if (rm !== undefined) {
    hostRm = insn.rm;
  }

  let highReg = false;
  if (regIsGeneral) {
    highReg = e.isHighByte(reg, insn.reg);
    const guest = highReg ? insn.reg - 4 : insn.reg;
    // Two bytes of one register: the second operand in a copy.
    const sharesRm =
      rmIsRegister &&
      rm.size === "b" &&
      reg.size === "b" &&
      (e.isHighByte(rm, insn.rm) ? insn.rm - 4 : insn.rm) === guest;
    copyReg = (highReg && !reg.writes) || (sharesRm && (highReg || highRm));
    if (copyReg) {
      if (highReg) e.rotate(T2, HOST[guest], 8);
      else e.move(T2, e.use(guest, T2));
      hostReg = T2;
    } else if (highReg) {
      hostReg = HOST[guest];
      e.rotate(hostReg, hostReg, 8);
    } else {
      hostReg = e.use(guest, T2, reg.reads || sizeOf(e, reg) < 4);
    }
  } else if (reg === undefined) {
    hostReg = insn.extension;
  }
  if (highRm) e.rotate(hostRm, hostRm, 8);

  e.beforeFlags(row.readsFlags & STATUS_FLAGS, row.writesFlags & STATUS_FLAGS);
  e.own(hostReg, hostRm, insn.hasMemory);
  e.afterFlags(row.writesFlags & STATUS_FLAGS);

  mend?.(regIsGeneral ? hostReg : hostRm);
  if (highRm) e.rotate(hostRm, hostRm, 56);
  if (regIsGeneral && reg.writes) {
    if (copyReg && rm?.writes === true && insn.reg === insn.rm) {
      // The same byte twice (XADD, XCHG): the first operand is written last.
    } else if (copyReg) {
      const parent = e.use(highReg ? insn.reg - 4 : insn.reg, T1);
      if (highReg) e.rotate(parent, parent, 8);
      e.sized(0x8a, 1, parent, T2);
      if (highReg) e.rotate(parent, parent, 56);
    } else if (highReg) {
      e.rotate(hostReg, hostReg, 56);
    } else {
      e.settle(insn.reg, hostReg);
    }
  }
  if (rmIsRegister && isGeneral(rm) && rm.writes && !highRm) e.settle(insn.rm, hostRm);
}

/**
 * SF, ZF and PF by `register`, AF clear, CF and OF as the multiplication left them: what the architecture leaves
 * undefined after MUL and IMUL is what a test of the low half gives.
 */
function mendProduct(e: Emitter, register: number, bytes: number): void {
  if (e.flagsAreDead) return;
  e.bytes(0x0f, 0x90, 0xc0); // seto al
  e.sized(0x84, bytes, register, register); // test
  e.bytes(0x9f, 0x08, 0xc4); // lahf; or ah, al: CF equals OF
  e.flags = SAVED;
}
/** AF, undefined after shifts, is clear. */
function mendShift(e: Emitter): void {
  e.bytes(0x9f, 0x0f, 0x90, 0xc0); // lahf; seto al
  e.bytes(0x80, 0xe4, 0xef); // and ah, ~AF
  e.flags = SAVED;
}

/** Op rAX, immediate: as the group with ModRM. */
function accumulator(e: Emitter): void {
  const { insn } = e;
  const row = insn.row as Row;
  const isByte = !(insn.opcode & 1);
  const isTest = insn.opcode >= 0xa8;
  e.beforeFlags(row.readsFlags, row.writesFlags);
  if (!isByte && insn.operandBytes === 2) e.byte(0x66);
  e.byte(0x41 | (insn.rex & 8));
  e.byte(isTest ? 0xf6 | (insn.opcode & 1) : 0x80 | (insn.opcode & 1));
  e.operand(isTest ? 0 : (insn.opcode >> 3) & 7, GUEST_RAX, false);
  e.immediate();
  e.afterFlags(row.writesFlags);
}

/** INC, DEC of 16- and 32-bit code, as the group with ModRM. */
function incdec(e: Emitter): void {
  const { insn } = e;
  const host = e.use(insn.rm, T1);
  e.restoreCarry();
  e.sized(0xfe, insn.operandBytes, (insn.opcode >> 3) & 1, host);
  e.afterFlags(STATUS_FLAGS);
  e.settle(insn.rm, host);
}

/** A source operand in T2 or a register of its own, of at least `bytes`. */
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

/** MUL, IMUL of rDX:rAX. */
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

/** DIV, IDIV of 32 and 64 bits where the quotient surely fits; else the instruction is interpreted. Flags stay. */
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
    // Divisors 0 and -1, and dividends that are no sign extension of rAX, are left to the interpreter.
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
    // With CL a count of 0 leaves all flags.
    if (byCl) e.restoreFlags();
    emitGeneral(e);
    return;
  }
  if (!byCl) {
    const count = (opcode & 0xfe) === 0xd0 ? 1 : insn.immediate & mask;
    if (count === 0) {
      const before = e.flags;
      emitGeneral(e);
      // RFLAGS stay in the host if they were there; the address check may have changed that.
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

/** A shift by CL: the operands first, so that they are settled whether the count is 0 or not. */
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
  // A result of 32 bits clears the upper half, also where the count is 0.
  if (!insn.hasMemory && bytes === 4) e.registers(0x8b, host, host, false);
  const skip = begin();
  e.own(reg, host, insn.hasMemory);
  mendShift(e);
  mend?.();
  e.patchShort(skip);
  if (high) e.rotate(host, host, 56);
  else if (!insn.hasMemory) e.settle(insn.rm, host);
}

/** SHLD, SHRD. By more than 1, OF is undefined, and here 0. */
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

/** BSF, BSR: a source of 0 leaves the destination; the flags are those of a test of the source. */
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
  // Of 0, processors differ in the upper half of a 32-bit destination.
  const empty = e.skipIf(Condition.E);
  if (old < 0) e.storeGuest(T2, insn.reg);
  else e.move(old, T2);
  e.patchShort(empty);
}

function cmpxchg(e: Emitter): void {
  const { insn } = e;
  const row = insn.row as Row;
  const bytes = sizeOf(e, row.rm as Operand);
  // RAX is where the instruction wants it.
  const operand = (guest: number, temporary: number): number => (guest === 0 ? FLAGS : e.use(guest, temporary));
  if (insn.hasMemory) e.memory(bytes, true);
  const hostRm = insn.hasMemory ? T1 : operand(insn.rm, T1);
  const hostReg = operand(insn.reg, T2);
  const keeps = !insn.hasMemory && bytes === 4;
  if (keeps) e.environment(0x89, hostRm === FLAGS ? GUEST_RAX : hostRm, Env.SCRATCH);
  e.move(FLAGS, GUEST_RAX); // all flags are written
  e.own(hostReg, hostRm, insn.hasMemory);
  if (keeps) {
    // Where it differs, nothing of the destination changes, on every host.
    const equal = e.skipIf(Condition.E);
    if (hostRm !== FLAGS) e.environment(0x8b, hostRm, Env.SCRATCH);
    e.patchShort(equal);
  }
  e.move(GUEST_RAX, FLAGS);
  e.flags = 1;
  if (!insn.hasMemory) e.settle(insn.rm, hostRm);
}

function cmpxchg8b(e: Emitter): void {
  const { insn } = e;
  const wide = (insn.rex & 8) !== 0;
  e.memory(wide ? 16 : 8, true, wide);
  e.restoreFlags();
  e.exchange(FLAGS, GUEST_RAX);
  e.byte(0x41 | (wide ? 8 : 0));
  e.bytes(0x0f, 0xc7);
  e.operand(1, T1, true);
  e.exchange(FLAGS, GUEST_RAX);
  e.flags = 1;
}

function xchgacc(e: Emitter): void {
  const { insn } = e;
  if (insn.rm === 0) return; // NOP, PAUSE
  const host = e.use(insn.rm, T1);
  e.sized(0x86, insn.operandBytes, GUEST_RAX, host);
  e.settle(insn.rm, host);
}

/** CBW, CWDE, CDQE; CWD, CDQ, CQO. */
function extend(e: Emitter): void {
  const { insn } = e;
  e.saveFlags();
  e.exchange(FLAGS, GUEST_RAX);
  if (insn.operandBytes === 2) e.byte(0x66);
  if (insn.operandBytes === 8) e.byte(0x48);
  e.byte(insn.opcode);
  e.exchange(FLAGS, GUEST_RAX);
}

function moffs(e: Emitter): void {
  const { insn } = e;
  const bytes = insn.opcode & 1 ? insn.operandBytes : 1;
  const store = insn.opcode >= 0xa2;
  e.memory(bytes, store);
  e.sized(store ? 0x88 : 0x8a, bytes, GUEST_RAX, T1, true);
}

function movimm(e: Emitter): void {
  const { insn } = e;
  if (insn.opcode < 0xb8) {
    const high = insn.rex === 0 && insn.rm >= 4;
    const guest = high ? insn.rm - 4 : insn.rm;
    const host = e.use(guest, T1);
    if (high) e.rotate(host, host, 8);
    e.bytes(0x40 | (host >> 3), 0xb0 | (host & 7), insn.immediate);
    if (high) e.rotate(host, host, 56);
    e.settle(guest, host);
    return;
  }
  const host = e.use(insn.rm, T1, insn.operandBytes === 2);
  if (insn.operandBytes === 8) {
    if (insn.immediate >> 31 === insn.immediateHigh) e.constant(host, insn.immediate);
    else e.constant64(host, insn.immediate, insn.immediateHigh);
  } else if (insn.operandBytes === 4) {
    e.constant(host, insn.immediate >>> 0);
  } else {
    e.bytes(0x66, 0x40 | (host >> 3), 0xb8 | (host & 7), insn.immediate, insn.immediate >> 8);
  }
  e.settle(insn.rm, host);
}

function lea(e: Emitter): void {
  const { insn } = e;
  const host = HOST[insn.reg];
  if (insn.operandBytes === 2) {
    e.offset(T1);
    const to = e.use(insn.reg, T2);
    e.sized(0x8a, 2, to, T1);
    e.settle(insn.reg, to);
    return;
  }
  const to = host < 0 ? T1 : host;
  if (insn.operandBytes === 4 && insn.addressBytes === 8) {
    e.offset(T1);
    e.registers(0x8b, to, T1, false);
  } else {
    e.offset(to);
  }
  e.settle(insn.reg, to);
}

function bswap(e: Emitter): void {
  const { insn } = e;
  const host = e.use(insn.rm, T1);
  // Of 16 bits it is undefined, and here 0.
  if (insn.operandBytes === 2) e.bytes(0x66, 0x40 | (host >> 3), 0xb8 | (host & 7), 0, 0);
  else e.bytes(0x40 | (insn.rex & 8) | (host >> 3), 0x0f, 0xc8 | (host & 7));
  e.settle(insn.rm, host);
}

/** BT and its kin with a register as bit number; in memory it reaches beyond the operand, and is interpreted. */
function bt(e: Emitter): void {
  emitGeneral(e);
}

function bare(e: Emitter): void {
  e.restoreFlags();
  e.byte(e.insn.opcode);
}

function cld(e: Emitter): void {
  e.saveFlags();
  const direction = 0x400;
  if (e.insn.opcode === 0xfd) e.environmentImmediate(1, Env.SYSTEM_FLAGS, direction);
  else e.environmentImmediate(4, Env.SYSTEM_FLAGS, ~direction);
  e.flags = SAVED;
}

function lahf(e: Emitter): void {
  e.saveFlags();
  e.rotate(T2, FLAGS, 8);
  e.rotate(GUEST_RAX, GUEST_RAX, 8);
  e.sized(0x8a, 1, GUEST_RAX, T2);
  e.rotate(GUEST_RAX, GUEST_RAX, 56);
}

function sahf(e: Emitter): void {
  e.saveFlags();
  e.rotate(T2, GUEST_RAX, 8);
  e.rotate(FLAGS, FLAGS, 8);
  e.sized(0x8a, 1, FLAGS, T2);
  e.bytes(0x24, 0xd5, 0x0c, 2); // and al, 0xd5; or al, 2
  e.rotate(FLAGS, FLAGS, 56);
  e.flags = SAVED;
}

function xlat(e: Emitter): void {
  if (e.alone) {
    e.memory(1, false);
  } else {
    e.saveFlags();
    const resume = e.p;
    e.bytes(0x45, 0x0f, 0xb6, 0xc0 | ((T2 & 7) << 3) | (GUEST_RAX & 7)); // movzx r12d, r11b
    // lea r13, [rbx + r12]
    e.bytes(0x40 | (e.insn.addressBytes === 8 ? 8 : 0) | 6, 0x8d, 0x04 | ((T1 & 7) << 3), ((T2 & 7) << 3) | 3);
    if (e.insn.segment === 4) e.environment(0x03, T1, Env.FS_BASE);
    else if (e.insn.segment === 5) e.environment(0x03, T1, Env.GS_BASE);
    e.check(1, false, resume);
  }
  e.sized(0x8a, 1, GUEST_RAX, T1, true);
}

/** A NOP with an operand does not touch it. */
const nop = (): void => {};

export const integerEmitters: Readonly<Record<string, (e: Emitter) => void>> = {
  emit: (e) => emitGeneral(e),
  movsxd: (e) => emitGeneral(e),
  mulmend: (e) => emitGeneral(e, (destination) => mendProduct(e, destination, e.insn.operandBytes)),
  accumulator,
  incdec,
  mul,
  div,
  shift,
  doubleshift,
  scan,
  cmpxchg,
  cmpxchg8b,
  xchgacc,
  extend,
  moffs,
  movimm,
  lea,
  bswap,
  bt,
  bare,
  cld,
  lahf,
  sahf,
  xlat,
  nop,
  // It faults as a read would.
  clflush: (e) => e.memory(1, false),
};

/** Forms of emitted instructions that are interpreted all the same. */
export function isInterpreted(e: Emitter): boolean {
  const { insn } = e;
  const row = insn.row as Row;
  switch (row.how) {
    case "div":
      return e.alone || !(insn.opcode & 1) || insn.operandBytes === 2;
    case "shift":
      if ((insn.opcode & 0xff) === 0xd2 && insn.rex === 0 && !insn.hasMemory && insn.rm >= 4) return true;
      return (insn.extension === RCL || insn.extension === RCR) && (insn.opcode & 0xfe) !== 0xd0;
    case "doubleshift":
      return insn.operandBytes === 2;
    case "lea":
      return insn.addressBytes === 2 || (e.alone && insn.base === RIP);
    case "bt":
      return insn.hasMemory;
    case "cmpxchg":
      return !(insn.opcode & 1) && insn.rex === 0 && (insn.reg >= 4 || (!insn.hasMemory && insn.rm >= 4));
  }
  return false;
}
