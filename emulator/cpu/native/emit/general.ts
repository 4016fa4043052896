/** The general case: the instruction itself, with its operands in the host's registers. */
import { operandSize } from "../decode.ts";
import { type Operand, type Row, STATUS_FLAGS } from "../table.ts";
import { HOST, T1, T2 } from "./encoder.ts";
import type { Emitter } from "./emitter.ts";

const isGeneral = (operand: Operand): boolean => "EGRMZA".includes(operand.kind);
export const sizeOf = (e: Emitter, operand: Operand): number => operandSize(operand.size, e.insn.operandBytes);

/**
 * Emits the instruction itself with its operands in the host's registers. `mend` gets the host register of a result in
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
    // Two bytes of one register: the second operand is copied.
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
      // Twice the same byte (XADD, XCHG): the first operand is written last.
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
