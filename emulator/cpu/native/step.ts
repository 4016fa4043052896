/**
 * Executes one instruction at a time, in any mode, with every check in TypeScript. Translated code falls back on it for
 * instructions that are not translated, for accesses that the tables do not cover (devices, page crossings, watched
 * pages and code pages), and for 16- and 32-bit code. Arithmetic is still the host's: the instruction is executed
 * alone, and its memory operand is copied to the environment and back.
 */
import { Cr0, Cr4, Exception } from "../../abi/x86.ts";
import { Fault } from "../x86/access.ts";
import { resultFlags } from "../x86/sseflags.ts";
import { isTranscendental, transcend } from "../x86/transcendental.ts";
import { translationCache } from "./cache.ts";
import { decode, type Instruction, LONGEST_INSTRUCTION, operandSize, TOO_LONG, TRUNCATED } from "./decode.ts";
import { isInterpreted } from "./emit/integer.ts";
import { Env, type Environment } from "./environment.ts";
import { FX_BYTES, readFxImage, writeFxImage } from "./fximage.ts";
import { arithmeticInterpreters } from "./interpret/arithmetic.ts";
import { fpuInterpreters } from "./interpret/fpu.ts";
import { type Interpreter, type Machine, memoryAddress } from "./interpret/operands.ts";
import { stackInterpreters } from "./interpret/stack.ts";
import { stringInterpreters } from "./interpret/strings.ts";
import { systemInterpreters } from "./interpret/system.ts";
import type { Row } from "./table.ts";
import type { Translator } from "./translate.ts";

const interpreters: Readonly<Record<string, Interpreter>> = {
  ...arithmeticInterpreters,
  ...fpuInterpreters,
  ...stackInterpreters,
  ...stringInterpreters,
  ...systemInterpreters,
};
/** Always interpreted. The host executes all other instructions, unless `isInterpreted` excludes the form. */
const alwaysInterpreted = new Set([
  ...Object.keys(fpuInterpreters),
  ...Object.keys(stackInterpreters),
  ...Object.keys(stringInterpreters),
  ...Object.keys(systemInterpreters),
  "adjust",
]);

const PAGE = 4096;
const code = new Uint8Array(LONGEST_INSTRUCTION + 1);

/** Fetches and decodes the instruction at RIP. Throws Fault: of the fetch, #UD, or #GP if it is too long. */
export function fetchInstruction(cpu: Machine): Instruction {
  const linear = cpu.linearRip;
  const first = Math.min(PAGE - Number(linear & 0xfffn), LONGEST_INSTRUCTION);
  cpu.fetchBytes(linear, code.subarray(0, first));
  let result = decode(code, 0, first, cpu.codeMode);
  if (result === TRUNCATED && first < LONGEST_INSTRUCTION) {
    cpu.fetchBytes(BigInt.asUintN(64, linear + BigInt(first)), code.subarray(first, LONGEST_INSTRUCTION));
    result = decode(code, 0, LONGEST_INSTRUCTION, cpu.codeMode);
  }
  if (result === TOO_LONG || result === TRUNCATED) throw new Fault(Exception.GP, 0);
  return result as Instruction;
}

/**
 * Executes the instruction. RIP does not move; `cpu.nextRip` is the next address. Throws Fault: then nothing has
 * changed.
 */
export function execute(cpu: Machine, insn: Instruction, translator: Translator): void {
  const { row } = insn;
  if (row === undefined) throw new Fault(Exception.UD, 0);
  checkUnit(cpu, row);
  const { emitter } = translationCache();
  emitter.insn = insn;
  emitter.alone = true;
  if (alwaysInterpreted.has(row.how) || isInterpreted(emitter)) {
    emitter.alone = false;
    const interpreter = interpreters[row.how];
    if (interpreter === undefined) throw new Error(`native: no interpreter for ${row.name}`);
    interpreter(cpu, insn);
    return;
  }
  executeAlone(cpu, insn, row, translator);
}

/** #NM and #UD by CR0 and CR4 (SDM vol. 3, table 2-2 and 13.1). */
function checkUnit(cpu: Machine, row: Row): void {
  if (row.unit === "" || row.how === "clflush") {
    if (row.how === "fxsave" && cpu.cr0 & (Cr0.EM | Cr0.TS)) throw new Fault(Exception.NM, 0);
    return;
  }
  if (row.unit === "x87") {
    const waits = row.how === "fwait";
    const off = waits ? (cpu.cr0 & (Cr0.MP | Cr0.TS)) === (Cr0.MP | Cr0.TS) : (cpu.cr0 & (Cr0.EM | Cr0.TS)) !== 0;
    if (off) throw new Fault(Exception.NM, 0);
    return;
  }
  if (cpu.cr0 & Cr0.EM || (row.unit === "sse" && !(cpu.cr4 & Cr4.OSFXSR))) throw new Fault(Exception.UD, 0);
  if (cpu.cr0 & Cr0.TS) throw new Fault(Exception.NM, 0);
}

/** How the host's instruction uses memory. */
function operandOf(insn: Instruction, row: Row): { bytes: number; reads: boolean; writes: boolean; aligned: boolean } {
  if (row.how === "moffs") {
    const bytes = insn.opcode & 1 ? insn.operandBytes : 1;
    return { bytes, reads: insn.opcode < 0xa2, writes: insn.opcode >= 0xa2, aligned: false };
  }
  if (row.how === "cmpxchg8b") {
    const wide = (insn.rex & 8) !== 0;
    return { bytes: wide ? 16 : 8, reads: true, writes: true, aligned: wide };
  }
  const rm = row.rm as NonNullable<Row["rm"]>;
  const bytes = operandSize(rm.size, insn.operandBytes);
  return { bytes, reads: rm.reads, writes: rm.writes, aligned: rm.size === "o" };
}

function executeAlone(cpu: Machine, insn: Instruction, row: Row, translator: Translator): void {
  const { env } = cpu;
  if (row.how === "xlat") {
    const offset = BigInt.asUintN(insn.addressBytes * 8, cpu.gpr(3) + (cpu.gpr(0) & 0xffn));
    const segment = insn.segment >= 0 ? insn.segment : 3;
    const value = cpu.readLinear(cpu.linear(segment as 3, offset, 1, false), 1, cpu.privilege);
    cpu.writeGpr(0, 1, value);
    return;
  }
  const touches = insn.hasMemory && row.how !== "lea" && row.how !== "nop";
  // From memory, CVTPI2PS and CVTPI2PD leave the x87 unit alone.
  const isApart = insn.opcode === CVTPI2PS && insn.hasMemory;
  if ((row.unit === "x87" || row.how === "mmx") && !noWait.has(row.name) && !isApart) cpu.checkPendingX87();
  if (row.name === "FNSTSW") {
    if (insn.hasMemory) cpu.writeLinear(memoryAddress(cpu, insn, 2, true), 2, BigInt(cpu.fpuStatus), cpu.privilege);
    else cpu.writeGpr(0, 2, BigInt(cpu.fpuStatus));
    return;
  }
  if (isTranscendental(insn.opcode, insn.modrm) && transcendental(cpu, insn.modrm)) return;
  const run = (): boolean => runUnit(cpu, insn, row, translator.alone(insn));
  if (!touches) {
    run();
    return;
  }
  const { bytes, reads, writes, aligned } = operandOf(insn, row);
  const address = memoryAddress(cpu, insn, bytes, writes);
  if (aligned && address & BigInt(bytes - 1)) throw new Fault(Exception.GP, 0);
  // As on AMD's processors; the manual leaves it open (SDM vol. 2, MOVUPS).
  if (!aligned && bytes === 16) cpu.checkAlignment(address, bytes);
  const bounce = env.bytes.subarray(Env.BOUNCE, Env.BOUNCE + bytes);
  if (writes) cpu.checkWrite(address, bytes, cpu.privilege);
  if (reads) cpu.readBytes(address, bounce, cpu.privilege);
  if (run() && writes) cpu.writeBytes(address, bounce, cpu.privilege);
}

const CVTPI2PS = 0x12a;
const MXCSR_FLAGS = 0x3f;
const MXCSR_MASKS = 0x1f80;
const X87_STATUS = Env.X87 + 4;
/** Invalid operation, denormal, division by zero: detected before there is a result. */
const BEFORE_RESULT = 7;
/** With overflow and underflow: no result is stored to memory. */
const BEFORE_STORE = 0x1f;
/** x87 instructions that do not wait for exceptions (SDM vol. 1, 8.6). */
const noWait = new Set("FNCLEX FNINIT FNSTSW FNSTCW FNSTENV FNSAVE FNENI FNDISI FNSETPM".split(" "));

/** By x86/transcendental.ts, the same on every host. False: the host gives what is defined to the bit. */
function transcendental(cpu: Machine, modrm: number): boolean {
  cpu.checkPendingX87();
  const image = new Uint8Array(FX_BYTES);
  readFxImage(cpu, image);
  if (!transcend(new DataView(image.buffer), modrm)) return false;
  writeFxImage(cpu, image);
  return true;
}

/** What overflow and underflow raise when they are unmasked, which the host does not tell. `state`: before it. */
function sseResultFlags(insn: Instruction, state: Uint8Array, env: Environment, mxcsr: number): number | undefined {
  const xmm = (register: number): Uint8Array => state.subarray(Env.XMM + 16 * register, Env.XMM + 16 * register + 16);
  const source = insn.hasMemory ? env.bytes.subarray(Env.BOUNCE, Env.BOUNCE + 16) : xmm(insn.rm);
  const { repeat, hasOperandPrefix: operandSize } = insn;
  return resultFlags({ map: 1, opcode: insn.opcode & 0xff, repeat, operandSize }, xmm(insn.reg), source, mxcsr);
}

/**
 * Executes host code. Raises an SSE exception that the guest has unmasked; leaves an unmasked x87 exception pending.
 * False: no result goes to memory.
 */
function runUnit(cpu: Machine, insn: Instruction, row: Row, code: number): boolean {
  const { env } = cpu;
  if (row.unit === "sse" && cpu.mxcsrMasks !== MXCSR_MASKS) {
    const before = cpu.mxcsr;
    const state = env.bytes.slice(0, Env.X87);
    env.setU32(Env.MXCSR, env.u32(Env.MXCSR) & ~MXCSR_FLAGS);
    cpu.enterAlone(code);
    let raised = env.u32(Env.MXCSR) & MXCSR_FLAGS;
    const unmasked = raised & ~(before >> 7);
    if (unmasked & BEFORE_RESULT) raised &= BEFORE_RESULT;
    else raised = (raised & BEFORE_RESULT) | (sseResultFlags(insn, state, env, before) ?? raised);
    const isUnmasked = (raised & ~(before >> 7)) !== 0;
    if (isUnmasked) env.bytes.set(state);
    cpu.mxcsr = before | raised;
    if (isUnmasked) throw new Fault(cpu.cr4 & Cr4.OSXMMEXCPT ? Exception.XM : Exception.UD, 0);
    return true;
  }
  if (row.unit === "x87" && cpu.hasUnmaskedX87 && !cpu.hasPendingX87) {
    // With the guest's own masks, because results differ if an exception is unmasked. It becomes pending, and the
    // FNSAVE at the exit does not wait, so the host never raises it.
    cpu.exposeX87Masks();
    cpu.enterAlone(code);
    cpu.hideX87Masks();
    return !(env.view.getUint16(X87_STATUS, true) & ~cpu.fpuControl & BEFORE_STORE);
  }
  cpu.enterAlone(code);
  return true;
}
