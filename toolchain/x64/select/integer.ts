/**
 * Selection of integer arithmetic, shifts, bit counts and width conversions. divide.ts handles division by constants.
 */
import type { Instr } from "../../ir/ir.ts";
import { DEF, imm, MEMORY_OK, RAX, RCX, RDX, reg, USE, type Width } from "../machine.ts";
import { divideByConstant } from "./divide.ts";
import { multiply, multiplyHigh } from "./multiply.ts";
import { addressOf, inPlace, moveInto, signExtend, sourceOf, truncate, wide, zeroExtend } from "./operands.ts";
import type { Selector } from "./selector.ts";
import { bits, constantOf, shortImmediate } from "./values.ts";

export function lowerInteger(s: Selector, instr: Instr): void {
  const [a, b] = instr.args;
  const width = bits(instr.type);
  const d = s.result(instr);
  switch (instr.op) {
    case "add":
    case "sub":
      return lowerAdd(s, instr, width);
    case "mul":
      return multiply(s, d, a, b, width);
    case "mulhu":
      s.emit("copy", reg(RAX, 64, DEF), reg(s.use(a), 64, USE | MEMORY_OK));
      multiplyHigh(s, d, sourceOf(s, b, 64), "mul");
      return;
    case "udiv":
    case "sdiv":
    case "urem":
    case "srem":
      if (divideByConstant(s, instr, width)) return;
      return divide(s, instr, width);
    case "and":
      return lowerAnd(s, instr, width);
    case "or":
    case "xor":
      return twoAddress(s, instr.op, instr, wide(width));
    case "shl":
    case "lshr":
    case "ashr":
    case "rotl":
      return shift(s, instr, width);
    case "clz":
    case "ctz":
      return countZeros(s, instr, width);
    case "bswap":
      moveInto(s, d, a, width);
      if (width === 16) s.emit("rol", reg(d, 16, USE | DEF), imm(8));
      else if (width > 16) s.emit("bswap", reg(d, width, USE | DEF));
      return;
    case "sext":
      return signExtend(s, d, a, width);
    case "zext":
      return zeroExtend(s, d, a);
    case "trunc":
      // Never reached: `use` looks through truncations.
      throw new Error("a truncation was asked for by its own register");
    default:
      throw new Error(`no selection for ${instr.op}`);
  }
}

/** d ← a op b; d takes the register of the operand that has no other use. */
function twoAddress(s: Selector, op: string, instr: Instr, width: 32 | 64): void {
  let [a, b] = instr.args;
  const d = s.result(instr);
  const commutes = op !== "sub";
  if (
    commutes &&
    b.op !== "const" &&
    !s.canSwallow(b, true) &&
    (a.op === "const" || s.canSwallow(a, true) || (s.uses[a.id] > 1 && s.uses[b.id] === 1))
  )
    [a, b] = [b, a];
  const exact = bits(instr.type) === width;
  const constant = shortImmediate(b);
  if (op === "xor" && constant === -1n) {
    moveInto(s, d, a, width);
    s.emit("not", reg(d, width, inPlace(width)));
    return;
  }
  if (constant !== null) {
    moveInto(s, d, a, bits(a.type));
    s.emit(op, reg(d, width, inPlace(width)), imm(constant));
    return;
  }
  // The source first: moving `a` into d must not fold a load across it, nor the reverse.
  const source = exact ? sourceOf(s, b, width) : reg(s.use(b), width, USE);
  if (a === b) s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(s.use(a), 64, USE | MEMORY_OK));
  else moveInto(s, d, a, bits(a.type));
  s.emit(op, reg(d, width, USE | DEF), source);
}

function lowerAdd(s: Selector, instr: Instr, width: Width): void {
  const [a, b] = instr.args;
  const d = s.result(instr);
  if (instr.op === "sub") {
    if (constantOf(a) === 0n) {
      moveInto(s, d, b, width);
      s.emit("neg", reg(d, wide(width), inPlace(wide(width))));
      return;
    }
    const constant = shortImmediate(b);
    if (constant === null || constant === -0x8000_0000n || a.op === "const")
      return twoAddress(s, "sub", instr, wide(width));
  } else if (s.canSwallow(a, true) || s.canSwallow(b, true) || (constantOf(b) !== null && shortImmediate(b) === null)) {
    return twoAddress(s, "add", instr, wide(width));
  }
  const address = addressOf(s, instr, 0);
  // Symbols and frame objects are computed whole, because they need a 64-bit lea.
  s.emit("lea", reg(d, wide(width), DEF), address);
}

/** Keeps the operand width, because an overflowing quotient must trap (#DE). */
function divide(s: Selector, instr: Instr, width: Width): void {
  const [a, b] = instr.args;
  const d = s.result(instr);
  const signed = instr.op === "sdiv" || instr.op === "srem";
  const remainder = instr.op === "urem" || instr.op === "srem";
  const divisor = sourceOf(s, b, width);
  if (width === 8) {
    s.emit(signed ? "movsx" : "movzx", reg(RAX, 32, DEF), reg(s.use(a), 8, USE | MEMORY_OK));
    const instr8 = s.emit(signed ? "idiv" : "div", divisor);
    instr8.uses = instr8.defs = 1 << RAX;
    if (remainder) s.emit("shr", reg(RAX, 32, USE | DEF), imm(8));
    s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(RAX, 64, USE));
    return;
  }
  const value = s.rematOf(a);
  if (value) s.materialise(RAX, value);
  else s.emit("copy", reg(RAX, 64, DEF), reg(s.use(a), 64, USE | MEMORY_OK));
  if (signed) {
    const extend = s.emit(width === 64 ? "cqo" : width === 32 ? "cdq" : "cwd");
    extend.uses = 1 << RAX;
    extend.defs = 1 << RDX;
  } else s.emit("mov", reg(RDX, 32, DEF), imm(0));
  const division = s.emit(signed ? "idiv" : "div", divisor);
  division.uses = division.defs = (1 << RAX) | (1 << RDX);
  s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(remainder ? RDX : RAX, 64, USE));
}

function lowerAnd(s: Selector, instr: Instr, width: Width): void {
  let [a, b] = instr.args;
  if (a.op === "const") [a, b] = [b, a];
  const d = s.result(instr);
  if (b.op === "const" && width > 8) {
    if (b.imm === 0xffn) return void s.emit("movzx", reg(d, 32, DEF), reg(s.use(a), 8, USE | MEMORY_OK));
    if (b.imm === 0xffffn && width > 16)
      return void s.emit("movzx", reg(d, 32, DEF), reg(s.use(a), 16, USE | MEMORY_OK));
    if (b.imm === 0xffff_ffffn && width === 64)
      return void s.emit("mov", reg(d, 32, DEF), reg(s.use(a), 32, USE | MEMORY_OK));
    if (width === 64 && b.imm <= 0xffff_ffffn) {
      moveInto(s, d, a, 64);
      s.emit("and", reg(d, 32, USE | DEF), imm(BigInt.asIntN(32, b.imm)));
      return;
    }
  }
  twoAddress(s, "and", instr, wide(width));
}

const SHIFT: Readonly<Record<string, string>> = { shl: "shl", lshr: "shr", ashr: "sar", rotl: "rol" };

function shift(s: Selector, instr: Instr, width: Width): void {
  const [a, b] = instr.args;
  const d = s.result(instr);
  const op = SHIFT[instr.op];
  // Right shifts of narrow values need defined upper bits: they are done in 32 bits.
  const w = instr.op === "rotl" ? width : wide(width);
  const bring = (): void => {
    if (width >= 32 || instr.op === "shl" || instr.op === "rotl") moveInto(s, d, a, width);
    else if (instr.op === "lshr") zeroExtend(s, d, a);
    else signExtend(s, d, a, 32);
  };
  if (b.op === "const") {
    const count = Number(b.imm & BigInt(width - 1));
    if (count === 0) return truncate(s, d, a, wide(width));
    bring();
    s.emit(op, reg(d, w, inPlace(w)), imm(count));
    return;
  }
  const count = s.use(b);
  bring();
  s.emit("copy", reg(RCX, 64, DEF), reg(count, 64, USE | MEMORY_OK));
  if (width < 32 && instr.op !== "rotl") s.emit("and", reg(RCX, 32, USE | DEF), imm(width - 1));
  s.emit(op, reg(d, w, inPlace(w)), reg(RCX, 8, USE));
}

/**
 * The result of bsf and bsr for zero is undefined, so the code handles zero; lzcnt and tzcnt are not in the baseline
 * (qemu64).
 */
function countZeros(s: Selector, instr: Instr, width: Width): void {
  const [a] = instr.args;
  const d = s.result(instr);
  const w = wide(width);
  if (instr.op === "ctz" && width < 32) {
    const t = s.temp();
    moveInto(s, t, a, width);
    s.emit("or", reg(t, 32, USE | DEF), imm(1 << width));
    s.emit("bsf", reg(d, 32, DEF), reg(t, 32, USE));
    return;
  }
  let x = s.use(a);
  if (width < 32) {
    const t = s.temp();
    zeroExtend(s, t, a);
    x = t;
  }
  const whenZero = s.temp();
  s.materialise(whenZero, imm(instr.op === "ctz" ? width : 2 * width - 1));
  s.emit(instr.op === "ctz" ? "bsf" : "bsr", reg(d, w, DEF), reg(x, w, USE | MEMORY_OK));
  s.emit("cmove", reg(d, w, USE | DEF), reg(whenZero, w, USE | MEMORY_OK));
  if (instr.op === "clz") s.emit("xor", reg(d, w, USE | DEF), imm(width - 1));
}
