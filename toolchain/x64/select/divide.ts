/**
 * Division by constants: shifts for powers of two, else multiplication by a reciprocal (Granlund and Montgomery, PLDI
 * 1994; Warren, Hacker's Delight, chapter 10). Narrow types are divided in 32 bits. Negative divisors use `idiv`: −1
 * must trap on overflow, and others are rare.
 */
import type { Instr } from "../../ir/ir.ts";
import { DEF, imm, MEMORY_OK, RAX, reg, USE, type Width } from "../machine.ts";
import { isByAddresses, multiplyHigh, timesByAddresses } from "./multiply.ts";
import { signExtend, zeroExtend } from "./operands.ts";
import type { Selector } from "./selector.ts";
import { constantOf, powerOfTwo, isZeroExtended } from "./values.ts";

const RW = USE | DEF;

/** False if `div` is the best known way. */
export function divideByConstant(s: Selector, instr: Instr, width: Width): boolean {
  const [a, b] = instr.args;
  if (b.op !== "const") return false;
  const signed = instr.op === "sdiv" || instr.op === "srem";
  const remainder = instr.op === "urem" || instr.op === "srem";
  const divisor = signed ? (constantOf(b) as bigint) : b.imm;
  if (divisor < 2n) return false;
  if (!s.wanted(instr)) return true;
  const w: 32 | 64 = width === 64 ? 64 : 32;
  // Operands must be in 64 bits for the 32-bit reciprocals, and in 32 bits for narrow types.
  let x: number;
  if (width === 64 || (!signed && isZeroExtended(a))) x = s.use(a);
  else {
    x = s.temp();
    if (signed) signExtend(s, x, a, 64);
    else zeroExtend(s, x, a);
  }
  const d = s.result(instr);
  const k = powerOfTwo(b);
  if (k > 0 && !signed) {
    copy(s, d, x);
    if (!remainder) s.emit("shr", reg(d, w, RW), imm(k));
    else if (k <= 31) s.emit("and", reg(d, 32, RW), imm((1n << BigInt(k)) - 1n));
    else {
      s.emit("shl", reg(d, 64, RW), imm(64 - k));
      s.emit("shr", reg(d, 64, RW), imm(64 - k));
    }
    return true;
  }
  const q = remainder ? s.temp() : d;
  if (k > 0) signedPower(s, q, x, k, w);
  else if (signed) signedReciprocal(s, q, x, divisor, w);
  else unsignedReciprocal(s, q, x, divisor, w);
  if (remainder) {
    const product = s.temp();
    if (k > 0) {
      copy(s, product, q);
      s.emit("shl", reg(product, w, RW), imm(k));
    } else times(s, product, q, divisor, w);
    copy(s, d, x);
    s.emit("sub", reg(d, w, RW), reg(product, w, USE | MEMORY_OK));
  }
  return true;
}

const copy = (s: Selector, to: number, from: number): void =>
  void s.emit("copy", reg(to, 64, DEF | MEMORY_OK), reg(from, 64, USE | MEMORY_OK));

function times(s: Selector, to: number, from: number, by: bigint, w: 32 | 64): void {
  const signed = BigInt.asIntN(w, by);
  if (isByAddresses(signed)) return timesByAddresses(s, to, from, signed, w);
  if (signed === BigInt.asIntN(32, signed)) {
    s.emit("imul", reg(to, w, DEF), reg(from, w, USE | MEMORY_OK), imm(signed));
    return;
  }
  s.materialise(to, imm(BigInt.asUintN(64, by)));
  s.emit("imul", reg(to, w, RW), reg(from, w, USE | MEMORY_OK));
}

/** To round towards zero, 2^k − 1 is added to negative dividends. */
function signedPower(s: Selector, q: number, x: number, k: number, w: 32 | 64): void {
  copy(s, q, x);
  if (k > 1) s.emit("sar", reg(q, w, RW), imm(w - 1));
  s.emit("shr", reg(q, w, RW), imm(w - k));
  s.emit("add", reg(q, w, RW), reg(x, w, USE | MEMORY_OK));
  s.emit("sar", reg(q, w, RW), imm(k));
}

/** floor(x * m / 2^(w+shift)) for all x < 2^w; m may have w+1 bits. */
function unsignedMagic(divisor: bigint, w: number): { multiplier: bigint; shift: number } {
  const l = (divisor - 1n).toString(2).length;
  for (let shift = 0; shift <= l; shift++) {
    const power = 1n << BigInt(w + shift);
    const multiplier = power / divisor + 1n;
    // Exact if 0 < m d − 2^(w+shift) ≤ 2^shift.
    if (multiplier * divisor - power <= 1n << BigInt(shift)) return { multiplier, shift };
  }
  throw new Error(`no reciprocal of ${divisor}`);
}

function unsignedReciprocal(s: Selector, q: number, x: number, divisor: bigint, w: 32 | 64): void {
  const { multiplier, shift } = unsignedMagic(divisor, w);
  const low = BigInt.asUintN(w, multiplier);
  const fits = low === multiplier;
  const high = fits && shift === 0 ? q : s.temp();
  if (w === 32) {
    // The product of two 32-bit numbers in one 64-bit register.
    times(s, high, x, low, 64);
    if (fits) {
      copy(s, q, high);
      s.emit("shr", reg(q, 64, RW), imm(32 + shift));
      return;
    }
    s.emit("shr", reg(high, 64, RW), imm(32));
  } else {
    s.materialise(RAX, imm(low));
    multiplyHigh(s, high, reg(x, 64, USE | MEMORY_OK), "mul");
    if (fits) {
      copy(s, q, high);
      if (shift > 0) s.emit("shr", reg(q, 64, RW), imm(shift));
      return;
    }
  }
  // q = (high + x) >> shift, whose sum has w+1 bits: ((x − high) / 2 + high) >> (shift − 1).
  copy(s, q, x);
  s.emit("sub", reg(q, w, RW), reg(high, w, USE));
  s.emit("shr", reg(q, w, RW), imm(1));
  s.emit("add", reg(q, w, RW), reg(high, w, USE));
  if (shift > 1) s.emit("shr", reg(q, w, RW), imm(shift - 1));
}

/** Multiplier and shift for signed division by d ≥ 2: the multiplier is below 2^w. */
function signedMagic(divisor: bigint, w: number): { multiplier: bigint; shift: number } {
  for (let shift = 0; shift < w; shift++) {
    const power = 1n << BigInt(w + shift);
    const multiplier = power / divisor + 1n;
    // Exact for |x| ≤ 2^(w−1) if 0 < m d − 2^(w+shift) ≤ 2^(shift+1).
    if (multiplier * divisor - power <= 1n << BigInt(shift + 1)) return { multiplier, shift };
  }
  throw new Error(`no reciprocal of ${divisor}`);
}

function signedReciprocal(s: Selector, q: number, x: number, divisor: bigint, w: 32 | 64): void {
  const { multiplier, shift } = signedMagic(divisor, w);
  if (w === 32) {
    // |x| ≤ 2^31 and m < 2^32: the product fits 64 bits.
    const product = s.temp();
    times(s, product, x, multiplier, 64);
    copy(s, q, product);
    s.emit("sar", reg(q, 64, RW), imm(32 + shift));
  } else {
    s.materialise(RAX, imm(multiplier));
    const high = s.temp();
    multiplyHigh(s, high, reg(x, 64, USE | MEMORY_OK), "imul");
    copy(s, q, high);
    // imul treated the multiplier as signed: it used m − 2^64 if the top bit is set.
    if (multiplier >> 63n) s.emit("add", reg(q, 64, RW), reg(x, 64, USE | MEMORY_OK));
    if (shift > 0) s.emit("sar", reg(q, 64, RW), imm(shift));
  }
  const sign = s.temp();
  copy(s, sign, x);
  s.emit("shr", reg(sign, w, RW), imm(w - 1));
  s.emit("add", reg(q, w, RW), reg(sign, w, USE | MEMORY_OK));
}
