/** Integer instructions whose operands cannot just be renamed. */
import { isTranscendental } from "../../x86/transcendental.ts";
import { Env } from "../environment.ts";
import { type Operand, type Row, STATUS_FLAGS } from "../table.ts";
import { RIP } from "../decode.ts";
import { Condition, FLAGS, GUEST_RAX, HOST, T1, T2 } from "./encoder.ts";
import { type Emitter, SAVED } from "./emitter.ts";
import { emitGeneral, sizeOf } from "./general.ts";
import { isInterpretedMended, mendedEmitters } from "./mended.ts";

/** Op rAX, immediate: encoded as the group with ModRM. */
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

/** INC and DEC of 16- and 32-bit code, encoded as the group with ModRM. */
function incdec(e: Emitter): void {
  const { insn } = e;
  const host = e.use(insn.rm, T1);
  e.restoreCarry();
  e.sized(0xfe, insn.operandBytes, (insn.opcode >> 3) & 1, host);
  e.afterFlags(STATUS_FLAGS);
  e.settle(insn.rm, host);
}

function cmpxchg(e: Emitter): void {
  const { insn } = e;
  const row = insn.row as Row;
  const bytes = sizeOf(e, row.rm as Operand);
  // The instruction expects an operand in RAX.
  const operand = (guest: number, temporary: number): number => (guest === 0 ? FLAGS : e.use(guest, temporary));
  if (insn.hasMemory) e.memory(bytes, true);
  const hostRm = insn.hasMemory ? T1 : operand(insn.rm, T1);
  const hostReg = operand(insn.reg, T2);
  const keeps = !insn.hasMemory && bytes === 4;
  if (keeps) e.environment(0x89, hostRm === FLAGS ? GUEST_RAX : hostRm, Env.SCRATCH);
  e.move(FLAGS, GUEST_RAX); // all flags are written
  e.own(hostReg, hostRm, insn.hasMemory);
  if (keeps) {
    // If the comparison fails, the destination does not change at all, on every host.
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
  // For 16 bits the result is undefined; here it is 0.
  if (insn.operandBytes === 2) e.bytes(0x66, 0x40 | (host >> 3), 0xb8 | (host & 7), 0, 0);
  else e.bytes(0x40 | (insn.rex & 8) | (host >> 3), 0x0f, 0xc8 | (host & 7));
  e.settle(insn.rm, host);
}

/**
 * BT and its variants with a register as bit number. In memory the bit may lie beyond the operand: that form is
 * interpreted.
 */
function bt(e: Emitter): void {
  emitGeneral(e);
}

/** CLC, STC, CMC. */
function bare(e: Emitter): void {
  e.restoreFlags();
  e.byte(e.insn.opcode);
  e.afterFlags(e.insn.row?.writesFlags ?? 0);
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

/** A NOP with a memory operand does not access it. */
const nop = (): void => {};

export const integerEmitters: Readonly<Record<string, (e: Emitter) => void>> = {
  ...mendedEmitters,
  emit: (e) => emitGeneral(e),
  movsxd: (e) => emitGeneral(e),
  accumulator,
  incdec,
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
  // It faults like a read.
  clflush: (e) => e.memory(1, false),
};

/** Forms that are interpreted although their instruction has an emitter. */
export function isInterpreted(e: Emitter): boolean {
  const { insn } = e;
  switch (insn.row?.how) {
    case "x87":
      return !e.alone && isTranscendental(insn.opcode, insn.modrm);
    case "lea":
      return insn.addressBytes === 2 || (e.alone && insn.base === RIP);
    case "bt":
      return insn.hasMemory;
    case "cmpxchg":
      return !(insn.opcode & 1) && insn.rex === 0 && (insn.reg >= 4 || (!insn.hasMemory && insn.rm >= 4));
  }
  return isInterpretedMended(e);
}
