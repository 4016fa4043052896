/** Selection of integer arithmetic, shifts, bit counts and conversions of width. Division by constants is in select-divide.ts. */
import type { Instr } from "../ir/ir.ts";
import { DEF, imm, MEMORY_OK, memOf, RAX, RCX, RDX, reg, USE, type Width } from "./machine.ts";
import type { Selector } from "./select.ts";
import { divideByConstant } from "./select-divide.ts";
import { addressOf, bits } from "./select-memory.ts";

/** The signed value of a constant. */
export const constantOf = (instr: Instr): bigint | null =>
  instr.op === "const" ? BigInt.asIntN(bits(instr.type), instr.imm) : null;
/** The same, if it fits a sign-extended 32-bit immediate. */
export function shortImmediate(instr: Instr): bigint | null {
  const value = constantOf(instr);
  return value !== null && value === BigInt.asIntN(32, value) ? value : null;
}
/** k if `instr` is the constant 2^k (as unsigned), else −1. */
export function powerOfTwo(instr: Instr): number {
  if (instr.op !== "const" || instr.imm === 0n || (instr.imm & (instr.imm - 1n)) !== 0n) return -1;
  return instr.imm.toString(2).length - 1;
}
/** Role of an operand that is read and written: in its slot only where all of it changes, since 32-bit results must end up zero-extended. */
const inPlace = (width: Width): number => (width === 64 ? USE | DEF | MEMORY_OK : USE | DEF);
const wide = (width: Width): 32 | 64 => (width === 64 ? 64 : 32);

const ZERO_EXTENDING = new Set([
  "add",
  "sub",
  "mul",
  "and",
  "or",
  "xor",
  "udiv",
  "sdiv",
  "urem",
  "srem",
  "load",
  "zext",
  "sext",
  "const",
  "select",
  "bswap",
]);
/**
 * Does the register of `instr` hold zeros above its type's width? A phi's does if those of all its operands do; one that is asked about
 * while it is being looked into is assumed to.
 */
export function isZeroExtended(instr: Instr, phis: Set<Instr> = new Set()): boolean {
  if (instr.op === "phi") {
    if (instr.type !== "i32" || phis.has(instr)) return instr.type === "i32";
    // Bounded: long chains of phis are not worth it.
    if (phis.size > 8) return false;
    phis.add(instr);
    return instr.args.every((arg) => isZeroExtended(arg, phis));
  }
  switch (instr.type) {
    case "i32":
      if (instr.op === "shl" || instr.op === "lshr" || instr.op === "ashr") return instr.args[1].op === "const";
      return ZERO_EXTENDING.has(instr.op);
    case "i8":
    case "i16":
      return instr.op === "load";
    default:
      return false;
  }
}

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
      multiplyHigh(s, d, s.source(b, 64), "mul");
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
      s.moveInto(d, a, width);
      if (width === 16) s.emit("rol", reg(d, 16, USE | DEF), imm(8));
      else if (width > 16) s.emit("bswap", reg(d, width, USE | DEF));
      return;
    case "sext":
      return signExtend(s, d, a, width);
    case "zext":
      return zeroExtend(s, d, a);
    case "trunc":
      // `use` looks through truncations.
      throw new Error("a truncation was asked for by its own register");
    default:
      throw new Error(`no selection for ${instr.op}`);
  }
}

/** d ← low … high half of rax * `by`: rdx. */
export function multiplyHigh(s: Selector, d: number, by: ReturnType<Selector["source"]>, op: "mul" | "imul"): void {
  const instr = s.emit(op, by);
  instr.uses = 1 << RAX;
  instr.defs = (1 << RAX) | (1 << RDX);
  s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(RDX, 64, USE));
}

/** d ← a op b, where d takes over the register of the operand that nobody else needs. */
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
    s.moveInto(d, a, width);
    s.emit("not", reg(d, width, inPlace(width)));
    return;
  }
  if (constant !== null) {
    s.moveInto(d, a, bits(a.type));
    s.emit(op, reg(d, width, inPlace(width)), imm(constant));
    return;
  }
  // The source first: moving `a` into d must not swallow a load across it, nor the other way round.
  const source = exact ? s.source(b, width) : reg(s.use(b), width, USE);
  if (a === b) s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(s.use(a), 64, USE | MEMORY_OK));
  else s.moveInto(d, a, bits(a.type));
  s.emit(op, reg(d, width, USE | DEF), source);
}

function lowerAdd(s: Selector, instr: Instr, width: Width): void {
  const [a, b] = instr.args;
  const d = s.result(instr);
  if (instr.op === "sub") {
    if (constantOf(a) === 0n) {
      s.moveInto(d, b, width);
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
  // Symbols and objects of the frame are made whole, as the 64-bit lea that they need.
  s.emit("lea", reg(d, wide(width), DEF), address);
}

function multiply(s: Selector, d: number, a: Instr, b: Instr, width: Width): void {
  const w = wide(width);
  if (a.op === "const") [a, b] = [b, a];
  const constant = shortImmediate(b);
  const k = powerOfTwo(b);
  if (k === 0) return truncate(s, d, a, w);
  if (k > 0) {
    s.moveInto(d, a, width);
    s.emit("shl", reg(d, w, inPlace(w)), imm(k));
    return;
  }
  if (constant !== null && isByAddresses(constant)) return timesByAddresses(s, d, s.use(a), constant, w);
  if (constant !== null) {
    s.emit("imul", reg(d, w, DEF), width === w ? s.source(a, w) : s.useReg(a, w), imm(constant));
    return;
  }
  const source = width === w ? s.source(b, w) : s.useReg(b, w);
  if (a === b) s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(s.use(a), 64, USE | MEMORY_OK));
  else s.moveInto(d, a, width);
  s.emit("imul", reg(d, w, USE | DEF), source);
}

/** One step of a product of x: lea of two earlier values (0 = x, 1 = the first step), the second one scaled; a shift left; or x added or taken away. */
type Step = readonly [base: 0 | 1, index: 0 | 1, scale: 2 | 4 | 8] | number | "add" | "sub";
/** Constants that two instructions multiply by, each of one cycle, where imul takes three. */
const steps: ReadonlyMap<bigint, readonly Step[]> = new Map([
  ...[4, 5, 6, 7, 8].flatMap((k): [bigint, Step[]][] => [
    [(1n << BigInt(k)) + 1n, [k, "add"]],
    [(1n << BigInt(k)) - 1n, [k, "sub"]],
  ]),
  ...([2, 4, 8] as const).flatMap((first): [bigint, Step[]][] => {
    const made = first + 1;
    return [
      ...[1, 2, 3, 4, 5].map((k): [bigint, Step[]] => [BigInt(made << k), [[0, 0, first], k]]),
      ...([2, 4, 8] as const).flatMap((scale): [bigint, Step[]][] => [
        [
          BigInt(made + made * scale),
          [
            [0, 0, first],
            [1, 1, scale],
          ],
        ],
        [
          BigInt(1 + made * scale),
          [
            [0, 0, first],
            [0, 1, scale],
          ],
        ],
        [
          BigInt(made + scale),
          [
            [0, 0, first],
            [1, 0, scale],
          ],
        ],
      ]),
      [BigInt(made), [[0, 0, first]]],
    ];
  }),
]);
export const isByAddresses = (constant: bigint): boolean => steps.has(constant);

/** `to` = `from` * `constant`, by leas and a shift. The registers may not be the same. */
export function timesByAddresses(s: Selector, to: number, from: number, constant: bigint, w: 32 | 64): void {
  const list = steps.get(constant)!;
  let made = from;
  list.forEach((step, i) => {
    const d = i === list.length - 1 ? to : s.temp();
    if (typeof step === "number" || typeof step === "string") {
      s.emit("copy", reg(d, 64, DEF | MEMORY_OK), reg(made, 64, USE | MEMORY_OK));
      if (typeof step === "string") s.emit(step, reg(d, w, USE | DEF), reg(from, w, USE | MEMORY_OK));
      else s.emit("shl", reg(d, w, inPlace(w)), imm(step));
    } else {
      const [base, index] = [step[0], step[1]].map((k) => reg(k === 0 ? from : made, 64, USE));
      s.emit("lea", reg(d, w, DEF), memOf(0, { base, index, scale: step[2] }));
    }
    made = d;
  });
}

/** Operand width as it is, since an overflowing quotient must trap (#DE). */
function divide(s: Selector, instr: Instr, width: Width): void {
  const [a, b] = instr.args;
  const d = s.result(instr);
  const signed = instr.op === "sdiv" || instr.op === "srem";
  const remainder = instr.op === "urem" || instr.op === "srem";
  const divisor = s.source(b, width);
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
      s.moveInto(d, a, 64);
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
  // Right shifts of narrow values need the bits above: they are done in 32 bits.
  const w = instr.op === "rotl" ? width : wide(width);
  const bring = (): void => {
    if (width >= 32 || instr.op === "shl" || instr.op === "rotl") s.moveInto(d, a, width);
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

/** bsf and bsr leave zero to the caller; lzcnt and tzcnt are beyond the baseline (qemu64). */
function countZeros(s: Selector, instr: Instr, width: Width): void {
  const [a] = instr.args;
  const d = s.result(instr);
  const w = wide(width);
  if (instr.op === "ctz" && width < 32) {
    const t = s.temp();
    s.moveInto(t, a, width);
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

/** d ← a, with zeros above 32 bits where `w` is 32 (see isZeroExtended). */
function truncate(s: Selector, d: number, a: Instr, w: 32 | 64): void {
  const value = s.rematOf(a);
  if (value) s.materialise(d, value);
  else s.emit("mov", reg(d, w, DEF), reg(s.use(a), w, USE | MEMORY_OK));
}

/** d ← a, zero-extended to 64 bits. */
export function zeroExtend(s: Selector, d: number, a: Instr): void {
  const width = bits(a.type);
  if (a.op === "const") return s.materialise(d, imm(a.imm));
  s.emit(width === 32 ? "mov" : "movzx", reg(d, 32, DEF), s.source(a, width));
}

/** d ← a, sign-extended to `to` bits (at least 32 are written). */
export function signExtend(s: Selector, d: number, a: Instr, to: Width): void {
  const width = bits(a.type);
  const constant = constantOf(a);
  if (constant !== null) return s.materialise(d, imm(BigInt.asUintN(wide(to), constant)));
  s.emit(width === 32 ? "movsxd" : "movsx", reg(d, wide(to), DEF), s.source(a, width));
}
