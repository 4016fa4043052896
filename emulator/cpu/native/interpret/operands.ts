/** Operands of an interpreted instruction: effective addresses, and the r/m operand in a register or in memory. */
import { SegmentIndex } from "../../x86/access.ts";
import { type Instruction, NO_REGISTER, RIP } from "../decode.ts";
import type { Processor } from "../processor.ts";

const RBP = 5;
const RSP = 4;

/** What interpreted instructions need of a core besides its registers. */
export interface Machine extends Processor {
  /** Address of the next instruction; branches set it. */
  nextRip: bigint;
  /** Instructions that may still retire in this run, including the current one. */
  readonly budgetLeft: number;
  /** Iterations of a string instruction have retired. False: the run ends here, and RIP does not move. */
  retireIterations(count: number): boolean;
  inPort(port: number, bytes: number): number;
  outPort(port: number, bytes: number, value: number): void;
  /** INVLPG. */
  invalidatePage(address: bigint): void;
  /** Code bytes of one page, as a fetch reads them. Throws Fault. */
  fetchBytes(linear: bigint, to: Uint8Array): void;
  /** Runs the host code of one instruction. */
  enterAlone(code: number): void;
  /** IRET: RFLAGS.RF is set for the next instruction. */
  resumes: boolean;
  /** INT n and its variants: delivered once the instruction has retired. */
  interrupt(vector: number, kind: "software" | "exception"): void;
  /** HLT. */
  halt(): void;
}

export type Interpreter = (cpu: Machine, insn: Instruction) => void;

/** Offset within the segment, in the address size. */
export function effectiveOffset(cpu: Processor, insn: Instruction): bigint {
  const bits = insn.addressBytes * 8;
  if (insn.row?.how === "moffs") {
    const low = BigInt(insn.immediate >>> 0);
    if (bits === 64) return low | (BigInt(insn.immediateHigh >>> 0) << 32n);
    return BigInt.asUintN(bits, low);
  }
  let offset = BigInt(insn.displacement);
  if (insn.base === RIP) offset += cpu.rip + BigInt(insn.length);
  else if (insn.base !== NO_REGISTER) offset += cpu.gpr(insn.base);
  if (insn.index !== NO_REGISTER) offset += cpu.gpr(insn.index) << BigInt(insn.scale);
  return BigInt.asUintN(bits, offset);
}

/** The segment of the memory operand. */
export function operandSegment(insn: Instruction): SegmentIndex {
  if (insn.segment >= 0) return insn.segment as SegmentIndex;
  return insn.base === RSP || insn.base === RBP ? SegmentIndex.SS : SegmentIndex.DS;
}

export const memoryAddress = (cpu: Processor, insn: Instruction, bytes: number, write: boolean, beyond = 0n): bigint =>
  cpu.linear(
    operandSegment(insn),
    BigInt.asUintN(insn.addressBytes * 8, effectiveOffset(cpu, insn) + beyond),
    bytes,
    write,
  );

export function readRm(cpu: Processor, insn: Instruction, bytes: number): bigint {
  if (!insn.hasMemory) return cpu.readGpr(insn.rm, bytes, insn.rex);
  return cpu.readLinear(memoryAddress(cpu, insn, bytes, false), bytes, cpu.privilege);
}
export function writeRm(cpu: Processor, insn: Instruction, bytes: number, value: bigint): void {
  if (!insn.hasMemory) cpu.writeGpr(insn.rm, bytes, value, insn.rex);
  else cpu.writeLinear(memoryAddress(cpu, insn, bytes, true), bytes, value, cpu.privilege);
}
/** A read-modify-write: as on a processor, a page that is not writable faults as a write. */
export function checkRm(cpu: Processor, insn: Instruction, bytes: number): void {
  if (insn.hasMemory) cpu.checkWrite(memoryAddress(cpu, insn, bytes, true), bytes, cpu.privilege);
}
/** Size of the r/m operand for byte and word forms. */
export const formBytes = (insn: Instruction): number => (insn.opcode & 1 ? insn.operandBytes : 1);
