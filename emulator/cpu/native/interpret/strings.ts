/**
 * String instructions (Intel SDM vol. 2: MOVS, CMPS, STOS, LODS, SCAS, INS, OUTS, REP). Each iteration retires as an
 * instruction; the test that finds the count 0 retires as one more, as in QEMU. MOVS and STOS on plain RAM move a page
 * at a time.
 */
import { Rflags } from "../../../abi/x86.ts";
import { ACCESS_READ, ACCESS_WRITE, SegmentIndex } from "../../x86/access.ts";
import { checkPort } from "../../x86/ports.ts";
import type { Instruction } from "../decode.ts";
import { Env } from "../environment.ts";
import { Flag } from "../table.ts";
import type { Interpreter, Machine } from "./operands.ts";

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;
const PAGE = 4096;

/** Below this size it does not pay to check whether memory is zero already. */
const LEAVE_ZEROS = 1024;

function isZero(words: Uint32Array, offset: number, length: number): boolean {
  if ((offset | length) & 3) return false;
  const end = (offset + length) / 4;
  for (let index = offset / 4; index < end; index++) if (words[index] !== 0) return false;
  return true;
}

type Kind = "ins" | "outs" | "movs" | "cmps" | "stos" | "lods" | "scas";
const kinds: Readonly<Record<number, Kind>> = {
  108: "ins",
  110: "outs",
  164: "movs",
  166: "cmps",
  170: "stos",
  172: "lods",
  174: "scas",
};

/** Flags of a − b. */
export function subtractFlags(a: bigint, b: bigint, bits: number): number {
  const result = BigInt.asUintN(bits, a - b);
  const top = BigInt(bits - 1);
  let ones = Number(result & 0xffn);
  ones ^= ones >> 4;
  ones ^= ones >> 2;
  ones ^= ones >> 1;
  return (
    (a < b ? Flag.c : 0) |
    (ones & 1 ? 0 : Flag.p) |
    ((a ^ b ^ result) & 0x10n ? Flag.a : 0) |
    (result === 0n ? Flag.z : 0) |
    (result >> top ? Flag.s : 0) |
    (((a ^ b) & (a ^ result)) >> top ? Flag.o : 0)
  );
}

const source = (cpu: Machine, insn: Instruction, bytes: number): bigint =>
  cpu.linear(
    insn.segment >= 0 ? (insn.segment as SegmentIndex) : SegmentIndex.DS,
    cpu.readGpr(RSI, insn.addressBytes),
    bytes,
    false,
  );
const destination = (cpu: Machine, insn: Instruction, bytes: number, write: boolean): bigint =>
  cpu.linear(SegmentIndex.ES, cpu.readGpr(RDI, insn.addressBytes), bytes, write);

function advance(cpu: Machine, insn: Instruction, register: number, by: number): void {
  const { addressBytes } = insn;
  cpu.writeGpr(
    register,
    addressBytes,
    BigInt.asUintN(addressBytes * 8, cpu.readGpr(register, addressBytes) + BigInt(by)),
  );
}

/** One iteration. */
function iterate(cpu: Machine, insn: Instruction, kind: Kind, bytes: number): void {
  const { privilege } = cpu;
  const step = cpu.env.u32(Env.SYSTEM_FLAGS) & Rflags.DF ? -bytes : bytes;
  const bits = bytes * 8;
  const port = Number(cpu.gpr(RDX) & 0xffffn);
  switch (kind) {
    case "movs": {
      const value = cpu.readLinear(source(cpu, insn, bytes), bytes, privilege);
      cpu.writeLinear(destination(cpu, insn, bytes, true), bytes, value, privilege);
      advance(cpu, insn, RSI, step);
      advance(cpu, insn, RDI, step);
      return;
    }
    case "cmps": {
      const b = cpu.readLinear(destination(cpu, insn, bytes, false), bytes, privilege);
      const a = cpu.readLinear(source(cpu, insn, bytes), bytes, privilege);
      cpu.statusFlags = subtractFlags(a, b, bits);
      advance(cpu, insn, RSI, step);
      advance(cpu, insn, RDI, step);
      return;
    }
    case "stos":
      cpu.writeLinear(destination(cpu, insn, bytes, true), bytes, BigInt.asUintN(bits, cpu.gpr(RAX)), privilege);
      advance(cpu, insn, RDI, step);
      return;
    case "lods":
      cpu.writeGpr(RAX, bytes, cpu.readLinear(source(cpu, insn, bytes), bytes, privilege));
      advance(cpu, insn, RSI, step);
      return;
    case "scas": {
      const b = cpu.readLinear(destination(cpu, insn, bytes, false), bytes, privilege);
      cpu.statusFlags = subtractFlags(BigInt.asUintN(bits, cpu.gpr(RAX)), b, bits);
      advance(cpu, insn, RDI, step);
      return;
    }
    case "ins": {
      checkPort(cpu, port, bytes);
      const to = destination(cpu, insn, bytes, true);
      cpu.checkWrite(to, bytes, privilege);
      cpu.writeLinear(to, bytes, BigInt(cpu.inPort(port, bytes)), privilege);
      advance(cpu, insn, RDI, step);
      return;
    }
    case "outs": {
      checkPort(cpu, port, bytes);
      const value = cpu.readLinear(source(cpu, insn, bytes), bytes, privilege);
      cpu.outPort(port, bytes, Number(value));
      advance(cpu, insn, RSI, step);
      return;
    }
  }
}

/**
 * Executes iterations of MOVS or STOS whose operands lie in one page each of plain RAM. Returns their number; 0: none.
 */
function bulk(cpu: Machine, insn: Instruction, kind: Kind, bytes: number, count: bigint): number {
  if ((kind !== "movs" && kind !== "stos") || count < 4n || cpu.isWatched || !cpu.is64Bit) return 0;
  if (insn.addressBytes !== 8 || cpu.env.u32(Env.SYSTEM_FLAGS) & Rflags.DF) return 0;
  const { memory, code } = cpu.node;
  const limit = Math.min(count > 4096n ? 4096 : Number(count), cpu.budgetLeft);
  const to = destination(cpu, insn, bytes, true);
  const toOffset = Number(to & 0xfffn);
  let iterations = Math.min(limit, Math.floor((PAGE - toOffset) / bytes));
  let from = -1;
  if (kind === "movs") {
    const address = source(cpu, insn, bytes);
    iterations = Math.min(iterations, Math.floor((PAGE - Number(address & 0xfffn)) / bytes));
    if (iterations < 2) return 0;
    from = memory.offsetOf(cpu.translateOrThrow(address, ACCESS_READ, cpu.privilege));
    if (from < 0) return 0;
  }
  if (iterations < 2) return 0;
  const at = memory.offsetOf(cpu.translateOrThrow(to, ACCESS_WRITE, cpu.privilege));
  // A write to code is executed by itself: it may change this very instruction.
  if (at < 0 || code.isCode(at)) return 0;
  const length = iterations * bytes;
  const ram = memory.bytes;
  if (kind === "movs") {
    if (at > from && at < from + length)
      for (let index = 0; index < length; index++) ram[at + index] = ram[from + index];
    else ram.copyWithin(at, from, from + length);
    cpu.setGpr(RSI, cpu.gpr(RSI) + BigInt(length));
  } else {
    const value = cpu.gpr(RAX);
    if (value === 0n && length >= LEAVE_ZEROS && isZero(memory.words, at, length)) {
      // Memory that is zero already, and often was never touched, stays the host's zero page.
      code.written(at, length);
      cpu.setGpr(RDI, cpu.gpr(RDI) + BigInt(length));
      return iterations;
    }
    for (let index = 0; index < bytes; index++) ram[at + index] = Number((value >> BigInt(8 * index)) & 0xffn);
    // Each step doubles the filled part.
    for (let done = bytes; done < length; done *= 2) ram.copyWithin(at + done, at, at + Math.min(done, length - done));
  }
  code.written(at, length);
  cpu.setGpr(RDI, cpu.gpr(RDI) + BigInt(length));
  return iterations;
}

const string: Interpreter = (cpu, insn) => {
  const kind = kinds[insn.opcode & ~1];
  const wide = insn.opcode & 1;
  const isPort = kind === "ins" || kind === "outs";
  const bytes = wide ? (isPort ? Math.min(insn.operandBytes, 4) : insn.operandBytes) : 1;
  if (insn.repeat === 0) {
    iterate(cpu, insn, kind, bytes);
    return;
  }
  const compares = kind === "cmps" || kind === "scas";
  // In an interrupt shadow and under TF the test for 0 belongs to the iteration, as in QEMU.
  let testsAtOnce = cpu.interruptShadow || (cpu.env.u32(Env.SYSTEM_FLAGS) & Rflags.TF) !== 0;
  for (;;) {
    const count = cpu.readGpr(RCX, insn.addressBytes);
    if (count === 0n) return;
    const many = testsAtOnce ? 0 : bulk(cpu, insn, kind, bytes, count);
    if (many > 0) {
      cpu.writeGpr(RCX, insn.addressBytes, count - BigInt(many));
      if (!cpu.retireIterations(many)) return;
      continue;
    }
    iterate(cpu, insn, kind, bytes);
    cpu.writeGpr(RCX, insn.addressBytes, count - 1n);
    if (compares && ((cpu.statusFlags & Flag.z) !== 0) !== (insn.repeat === 0xf3)) return;
    if (testsAtOnce && count === 1n) return;
    testsAtOnce = false;
    if (!cpu.retireIterations(1)) return;
  }
};

export const stringInterpreters: Readonly<Record<string, Interpreter>> = { string };
