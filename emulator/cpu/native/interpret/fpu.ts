/**
 * Loads and stores of the x87 and SSE state, and instructions whose results differ between processors (Intel SDM vol.
 * 2).
 */
import { Exception } from "../../../abi/x86.ts";
import { Fault, SegmentIndex } from "../../x86/access.ts";
import { reciprocalBits } from "../../x86/reciprocal.ts";
import { type FpuTransfer, transferBytes, transferFpu } from "../../x86/fpustate.ts";
import type { Instruction } from "../decode.ts";
import { Env } from "../environment.ts";
import { MXCSR_VALID } from "../fximage.ts";
import { type Interpreter, type Machine, memoryAddress } from "./operands.ts";

const mxcsr: Interpreter = (cpu, insn) => {
  if (insn.extension === 3) {
    cpu.writeLinear(memoryAddress(cpu, insn, 4, true), 4, BigInt(cpu.mxcsr), cpu.privilege);
    return;
  }
  const value = Number(cpu.readLinear(memoryAddress(cpu, insn, 4, false), 4, cpu.privilege));
  if (value & ~MXCSR_VALID) throw new Fault(Exception.GP, 0);
  cpu.mxcsr = value;
};

const transfer = (cpu: Machine, insn: Instruction, what: FpuTransfer, write: boolean): void => {
  const wide = insn.operandBytes !== 2;
  const registers = cpu.is64Bit ? 16 : 8;
  const address = memoryAddress(cpu, insn, transferBytes(what, wide, registers), write);
  transferFpu(cpu, what, address, wide, registers, cpu.privilege);
};
const fxsave: Interpreter = (cpu, insn) => {
  const save = insn.extension === 0;
  transfer(cpu, insn, save ? "FXSAVE" : "FXRSTOR", save);
};

const x87state: Interpreter = (cpu, insn) => {
  if (!insn.name.startsWith("FN")) cpu.checkPendingX87();
  const access = (bytes: number, write: boolean): bigint => memoryAddress(cpu, insn, bytes, write);
  switch (insn.name) {
    case "FLDCW":
      cpu.setFpuControl(Number(cpu.readLinear(access(2, false), 2, cpu.privilege)));
      return;
    case "FNSTCW":
      cpu.writeLinear(access(2, true), 2, BigInt(cpu.fpuControl), cpu.privilege);
      return;
    case "FNINIT":
      cpu.initFpu(false);
      return;
    case "FLDENV":
    case "FRSTOR":
      return transfer(cpu, insn, insn.name, false);
    case "FNSTENV":
    case "FNSAVE":
      return transfer(cpu, insn, insn.name, true);
  }
};

/** MASKMOVDQU, MASKMOVQ: stores the bytes of a register whose top bits are set in the mask to [rDI]. */
const maskmov: Interpreter = (cpu, insn) => {
  const xmm = insn.hasOperandPrefix;
  const bytes = xmm ? 16 : 8;
  if (!xmm) cpu.checkPendingX87();
  const at = (register: number): number => (xmm ? Env.XMM + register * 16 : Env.X87 + 28 + mmxSlot(cpu, register) * 10);
  const data = cpu.env.bytes.slice(at(insn.reg & (xmm ? 15 : 7)), at(insn.reg & (xmm ? 15 : 7)) + bytes);
  const mask = cpu.env.bytes.slice(at(insn.rm & (xmm ? 15 : 7)), at(insn.rm & (xmm ? 15 : 7)) + bytes);
  const segment = insn.segment >= 0 ? (insn.segment as SegmentIndex) : SegmentIndex.DS;
  const offset = cpu.readGpr(7, insn.addressBytes);
  const target = (index: number): bigint =>
    cpu.linear(segment, BigInt.asUintN(insn.addressBytes * 8, offset + BigInt(index)), 1, true);
  // All bytes are checked, whatever the mask is.
  cpu.checkWrite(cpu.linear(segment, offset, 1, true), bytes, cpu.privilege);
  for (let index = 0; index < bytes; index++)
    if (mask[index] & 0x80) cpu.writeLinear(target(index), 1, BigInt(data[index]), cpu.privilege);
  if (xmm) return;
  // As every MMX instruction does: sets the top of the stack to 0 and marks all registers as in use.
  cpu.setFpuStatus(cpu.fpuStatus & ~0x3800);
  cpu.env.view.setUint16(Env.X87 + 8, 0, true);
};
/** MMn is physical register n; the image starts with the top of the stack. */
const mmxSlot = (cpu: Machine, register: number): number =>
  (register - ((cpu.env.view.getUint16(Env.X87 + 4, true) >> 11) & 7)) & 7;

/** RCPPS, RSQRTPS and their scalar forms. */
const reciprocal: Interpreter = (cpu, insn) => {
  const scalar = insn.repeat === 0xf3;
  const lanes = scalar ? 1 : 4;
  const source = new Uint8Array(16);
  if (insn.hasMemory) {
    const address = memoryAddress(cpu, insn, lanes * 4, false);
    if (!scalar && address & 15n) throw new Fault(Exception.GP, 0);
    cpu.readBytes(address, source.subarray(0, lanes * 4), cpu.privilege);
  } else {
    const at = Env.XMM + insn.rm * 16;
    source.set(cpu.env.bytes.subarray(at, at + 16));
  }
  const view = new DataView(source.buffer);
  const square = insn.opcode === 0x152;
  for (let lane = 0; lane < lanes; lane++) {
    const bits = view.getUint32(lane * 4, true);
    cpu.env.view.setUint32(Env.XMM + insn.reg * 16 + lane * 4, reciprocalBits(bits, square), true);
  }
};

export const fpuInterpreters: Readonly<Record<string, Interpreter>> = {
  mxcsr,
  fxsave,
  x87state,
  maskmov,
  reciprocal,
};
