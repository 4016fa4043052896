/**
 * Integer instructions for which the host's own ones do not suffice: DIV, rotates through carry, bit strings, decimal
 * adjustments.
 */
import { Exception } from "../../../abi/x86.ts";
import { Fault } from "../../x86/access.ts";
import { Flag } from "../table.ts";
import { checkRm, effectiveOffset, formBytes, type Interpreter, memoryAddress, readRm, writeRm } from "./operands.ts";

const RAX = 0;
const RCX = 1;
const RDX = 2;

const div: Interpreter = (cpu, insn) => {
  const bytes = formBytes(insn);
  const bits = bytes * 8;
  const signed = insn.extension === 7;
  const raw = readRm(cpu, insn, bytes);
  const divisor = signed ? BigInt.asIntN(bits, raw) : raw;
  const low = bytes === 1 ? cpu.readGpr(RAX, 2) : cpu.readGpr(RAX, bytes);
  const both = bytes === 1 ? low : (cpu.readGpr(RDX, bytes) << BigInt(bits)) | low;
  const dividend = signed ? BigInt.asIntN(bits * 2, both) : both;
  if (divisor === 0n) throw new Fault(Exception.DE, 0);
  const quotient = dividend / divisor;
  const fits = signed ? BigInt.asIntN(bits, quotient) : BigInt.asUintN(bits, quotient);
  if (fits !== quotient) throw new Fault(Exception.DE, 0);
  const remainder = BigInt.asUintN(bits, dividend % divisor);
  if (bytes === 1) {
    cpu.writeGpr(RAX, 2, (remainder << 8n) | BigInt.asUintN(8, quotient));
  } else {
    cpu.writeGpr(RAX, bytes, BigInt.asUintN(bits, quotient));
    cpu.writeGpr(RDX, bytes, remainder);
  }
};

const parity = (value: bigint): number => {
  let bits = Number(value & 0xffn);
  bits ^= bits >> 4;
  bits ^= bits >> 2;
  bits ^= bits >> 1;
  return bits & 1 ? 0 : Flag.p;
};
/** SF, ZF, PF of a result. */
const resultFlags = (value: bigint, bits: number): number =>
  (value === 0n ? Flag.z : 0) | (value >> BigInt(bits - 1) ? Flag.s : 0) | parity(value);

/** All of C0 to D3, by the definition; one bit at a time if the carry takes part. */
const shift: Interpreter = (cpu, insn) => {
  const { opcode, extension } = insn;
  const bytes = formBytes(insn);
  const bits = bytes * 8;
  const by = opcode < 0xd0 ? insn.immediate : opcode < 0xd2 ? 1 : Number(cpu.gpr(RCX) & 0xffn);
  const count = by & (bytes === 8 ? 63 : 31);
  checkRm(cpu, insn, bytes);
  const original = readRm(cpu, insn, bytes);
  let value = original;
  let flags = cpu.statusFlags;
  const top = BigInt(bits - 1);
  const carryOf = (): bigint => BigInt(flags & Flag.c);
  // A rotate through carry by a multiple of its cycle changes nothing.
  const steps = extension === 2 || extension === 3 ? count % (bits + 1) : count;
  for (let step = 0; step < steps; step++) {
    const before = value;
    let carry: bigint;
    if (extension === 0) {
      carry = value >> top;
      value = BigInt.asUintN(bits, value << 1n) | carry;
    } else if (extension === 1) {
      carry = value & 1n;
      value = (value >> 1n) | (carry << top);
    } else if (extension === 2) {
      carry = value >> top;
      value = BigInt.asUintN(bits, value << 1n) | carryOf();
    } else if (extension === 3) {
      carry = value & 1n;
      value = (value >> 1n) | (carryOf() << top);
    } else if (extension === 5) {
      carry = value & 1n;
      value >>= 1n;
    } else if (extension === 7) {
      carry = value & 1n;
      value = (value >> 1n) | (value & (1n << top));
    } else {
      carry = value >> top;
      value = BigInt.asUintN(bits, value << 1n);
    }
    const overflow = ((before ^ value) >> top) & 1n;
    flags = (flags & ~(Flag.c | Flag.o)) | Number(carry) | (overflow ? Flag.o : 0);
  }
  if (extension >= 4 && count > 0) flags = (flags & (Flag.c | Flag.o)) | resultFlags(value, bits);
  if ((extension === 2 || extension === 3) && steps > 0)
    flags = (flags & ~Flag.o) | ((original ^ value) >> top ? Flag.o : 0);
  if (extension === 0 && count > 0 && steps > 0) {
    const overflow = (value >> top) ^ (value & 1n);
    flags = (flags & ~Flag.o) | (overflow ? Flag.o : 0);
  }
  writeRm(cpu, insn, bytes, value);
  cpu.statusFlags = flags;
};

/** SHLD and SHRD of 16 bits: beyond a count of 16 the bits of the first operand follow. */
const doubleshift: Interpreter = (cpu, insn) => {
  const bytes = insn.operandBytes;
  const bits = bytes * 8;
  const count = (insn.opcode & 1 ? Number(cpu.gpr(RCX) & 0xffn) : insn.immediate) & (bytes === 8 ? 63 : 31);
  checkRm(cpu, insn, bytes);
  const first = readRm(cpu, insn, bytes);
  if (count === 0) {
    writeRm(cpu, insn, bytes, first);
    return;
  }
  const second = cpu.readGpr(insn.reg, bytes);
  const left = (insn.opcode & 0xf8) === 0xa0;
  const n = BigInt(count);
  const width = BigInt(bits);
  const all = left
    ? (first << (2n * width)) | (second << width) | first
    : (first << (2n * width)) | (second << width) | first;
  const at = (by: bigint): bigint => BigInt.asUintN(bits, left ? all >> (2n * width - by) : all >> by);
  const value = at(n);
  const last = at(n - 1n);
  const carry = left ? last >> (width - 1n) : last & 1n;
  const overflow = count === 1 ? ((last ^ value) >> (width - 1n)) & 1n : 0n;
  writeRm(cpu, insn, bytes, value);
  cpu.statusFlags = Number(carry) | (overflow ? Flag.o : 0) | resultFlags(value, bits);
};

/** BT, BTS, BTR, BTC on memory with a register: the bit may lie anywhere in memory. */
const bt: Interpreter = (cpu, insn) => {
  const bytes = insn.operandBytes;
  const bits = BigInt(bytes * 8);
  const number = BigInt.asIntN(bytes * 8, cpu.gpr(insn.reg));
  const inOperand = number & (bits - 1n);
  const beyond = ((number - inOperand) / bits) * BigInt(bytes);
  const operation = (insn.opcode >> 3) & 3;
  const writes = operation !== 0;
  const address = memoryAddress(cpu, insn, bytes, writes, beyond);
  if (writes) cpu.checkWrite(address, bytes, cpu.privilege);
  const value = cpu.readLinear(address, bytes, cpu.privilege);
  const mask = 1n << inOperand;
  if (writes) {
    const next = operation === 1 ? value | mask : operation === 2 ? value & ~mask : value ^ mask;
    cpu.writeLinear(address, bytes, next, cpu.privilege);
  }
  cpu.statusFlags = (cpu.statusFlags & ~Flag.c) | (value & mask ? Flag.c : 0);
};

/** CMPXCHG with AH to BH. */
const cmpxchg: Interpreter = (cpu, insn) => {
  const bytes = formBytes(insn);
  const bits = bytes * 8;
  checkRm(cpu, insn, bytes);
  const value = readRm(cpu, insn, bytes);
  const expected = cpu.readGpr(RAX, bytes);
  const difference = BigInt.asUintN(bits, expected - value);
  const top = BigInt(bits - 1);
  const overflow = (((expected ^ value) & (expected ^ difference)) >> top) & 1n;
  if (difference === 0n) {
    writeRm(cpu, insn, bytes, cpu.readGpr(insn.reg, bytes, insn.rex));
  } else {
    writeRm(cpu, insn, bytes, value);
    cpu.writeGpr(RAX, bytes, value);
  }
  cpu.statusFlags =
    resultFlags(difference, bits) |
    (expected < value ? Flag.c : 0) |
    ((expected ^ value ^ difference) & 0x10n ? Flag.a : 0) |
    (overflow ? Flag.o : 0);
};

const lea: Interpreter = (cpu, insn) => {
  cpu.writeGpr(insn.reg, insn.operandBytes, BigInt.asUintN(insn.operandBytes * 8, effectiveOffset(cpu, insn)));
};

/** Decimal adjustments (SDM vol. 2: AAA, AAD, AAM, AAS, DAA, DAS), and SALC. */
const adjust: Interpreter = (cpu, insn) => {
  const flags = cpu.statusFlags;
  let al = Number(cpu.gpr(RAX) & 0xffn);
  let ah = Number((cpu.gpr(RAX) >> 8n) & 0xffn);
  const carry = (flags & Flag.c) !== 0;
  const low = (al & 15) > 9 || (flags & Flag.a) !== 0;
  const store = (next: number): void => {
    cpu.writeGpr(RAX, 2, BigInt(((ah & 0xff) << 8) | (al & 0xff)));
    cpu.statusFlags = next;
  };
  const shown = (): number => resultFlags(BigInt(al & 0xff), 8);
  switch (insn.opcode) {
    case 0x27:
    case 0x2f: {
      const sign = insn.opcode === 0x27 ? 1 : -1;
      const old = al;
      let c = carry;
      if (low) {
        al += sign * 6;
        if (al > 0xff || al < 0) c = true;
      }
      if (old > 0x99 || carry) {
        al += sign * 0x60;
        c = true;
      } else if (sign > 0) c = carry;
      al &= 0xff;
      return store(shown() | (c ? Flag.c : 0) | (low ? Flag.a : 0));
    }
    case 0x37:
    case 0x3f: {
      const sign = insn.opcode === 0x37 ? 1 : -1;
      if (low) {
        const ax = ((ah << 8) | al) + sign * 0x106;
        ah = (ax >> 8) & 0xff;
        al = ax & 0xff;
      }
      al &= 15;
      return store((flags & ~(Flag.c | Flag.a)) | (low ? Flag.c | Flag.a : 0));
    }
    case 0xd4: {
      const base = insn.immediate & 0xff;
      if (base === 0) throw new Fault(Exception.DE, 0);
      ah = Math.floor(al / base);
      al %= base;
      return store(shown());
    }
    case 0xd5:
      al = (al + ah * (insn.immediate & 0xff)) & 0xff;
      ah = 0;
      return store(shown());
    case 0xd6:
      al = carry ? 0xff : 0;
      return store(flags);
  }
};

export const arithmeticInterpreters: Readonly<Record<string, Interpreter>> = {
  div,
  shift,
  doubleshift,
  bt,
  cmpxchg,
  lea,
  adjust,
};
