/** How values become operands: addresses, register-or-memory sources, copies into a register, unchanged or widened. */
import type { Instr, SymbolAddress } from "../../ir/ir.ts";
import { DEF, imm, type Mem, MEMORY_OK, memOf, type Reg, reg, USE, type Width } from "../machine.ts";
import type { Selector } from "./selector.ts";
import { bits, constantOf } from "./values.ts";

/**
 * Role of an operand that is read and written: it may be in its slot only if all of it changes, because 32-bit results
 * must be zero-extended.
 */
export const inPlace = (width: Width): number => (width === 64 ? USE | DEF | MEMORY_OK : USE | DEF);
export const wide = (width: Width): 32 | 64 => (width === 64 ? 64 : 32);

/**
 * A register-or-memory source: a folded load, or a register that may be replaced by its slot. No other operand may be
 * memory.
 */
export function sourceOf(s: Selector, instr: Instr, width: Width, exclusive = true): Reg | Mem {
  if (s.canSwallow(instr, exclusive)) return addressOf(s, instr.args[0], width);
  return reg(s.use(instr), width, USE | MEMORY_OK);
}

/** Copies the value of `instr` into `r`: the first half of a two-address operation. */
export function moveInto(s: Selector, r: number, instr: Instr, width: Width): void {
  const value = s.rematOf(instr);
  if (value) s.materialise(r, value);
  else if (instr.op === "fconst") s.materialiseFloat(r, instr.float);
  else if (width >= 32 && s.canSwallow(instr, true))
    s.emit(instr.type === "f64" ? "movsd" : "mov", reg(r, width, DEF), addressOf(s, instr.args[0], width));
  else s.emit("copy", reg(r, 64, DEF | MEMORY_OK), reg(s.use(instr), 64, USE | MEMORY_OK));
}

// ---- widths

/** d ← a, with zeros above 32 bits where `w` is 32 (see isZeroExtended). */
export function truncate(s: Selector, d: number, a: Instr, w: 32 | 64): void {
  const value = s.rematOf(a);
  if (value) s.materialise(d, value);
  else s.emit("mov", reg(d, w, DEF), reg(s.use(a), w, USE | MEMORY_OK));
}

/** d ← a, zero-extended to 64 bits. */
export function zeroExtend(s: Selector, d: number, a: Instr): void {
  const width = bits(a.type);
  if (a.op === "const") return s.materialise(d, imm(a.imm));
  s.emit(width === 32 ? "mov" : "movzx", reg(d, 32, DEF), sourceOf(s, a, width));
}

/** d ← a, sign-extended to `to` bits (at least 32 are written). */
export function signExtend(s: Selector, d: number, a: Instr, to: Width): void {
  const width = bits(a.type);
  const constant = constantOf(a);
  if (constant !== null) return s.materialise(d, imm(BigInt.asUintN(wide(to), constant)));
  s.emit(width === 32 ? "movsxd" : "movsx", reg(d, wide(to), DEF), sourceOf(s, a, width));
}

// ---- addresses

const fits = (disp: bigint): boolean => disp === BigInt.asIntN(32, disp);

/**
 * The memory operand for address `address`: base + index * scale + displacement, a frame object, or a symbol. Also used
 * for lea on i32, where `address` is an i32 tree.
 */
export function addressOf(s: Selector, address: Instr, width: Width | 0): Mem {
  const parts = addressParts(s, address);
  const base = parts.base ? reg(s.use(parts.base), 64, USE) : null;
  const index = parts.index ? reg(s.use(parts.index), 64, USE) : null;
  return memOf(width, {
    base,
    index,
    scale: parts.scale,
    disp: Number(parts.disp),
    symbol: parts.symbol?.symbol ?? null,
    addend: parts.symbol ? BigInt.asIntN(64, parts.symbol.imm) + parts.disp : 0n,
    space: parts.object >= 0 ? "object" : "none",
    object: Math.max(0, parts.object),
  });
}

interface AddressParts {
  base: Instr | null;
  index: Instr | null;
  scale: 1 | 2 | 4 | 8;
  disp: bigint;
  /** Excludes base and index. */
  symbol: SymbolAddress | null;
  /** Frame object, −1 = none. Excludes base. */
  object: number;
}

function addressParts(s: Selector, address: Instr): AddressParts {
  const parts: AddressParts = { base: null, index: null, scale: 1, disp: 0n, symbol: null, object: -1 };
  const top = strip(s, address, parts, 1n);
  if (top.op === "add" && (top === s.root || (s.near(top) && !carried(s, top)))) {
    let [x, y] = top.args;
    if (scaleOf(s, x) > 0 && scaleOf(s, y) === 0) [x, y] = [y, x];
    const scale = scaleOf(s, y);
    if (scale > 0) {
      parts.scale = (1 << scale) as 2 | 4 | 8;
      y = y.args[0];
    }
    x = strip(s, x, parts, 1n);
    y = strip(s, y, parts, BigInt(parts.scale));
    if (scale === 0 && (y.op === "alloca" || y.op === "symbol")) [x, y] = [y, x];
    parts.index = y;
    setBase(s, x, parts);
    return parts;
  }
  const scale = scaleOf(s, top);
  if (scale > 0) {
    parts.scale = (1 << scale) as 2 | 4 | 8;
    parts.index = top.args[0];
    return parts;
  }
  setBase(s, top, parts);
  return parts;
}

/**
 * A value that a phi carries to the next iteration has its own register: computing it again would only keep its
 * operands alive.
 */
const carried = (s: Selector, instr: Instr): boolean => s.usedByPhi[instr.id] !== 0 && s.uses[instr.id] > 1;

function setBase(s: Selector, base: Instr, parts: AddressParts): void {
  if (base.op === "symbol" && parts.index === null) parts.symbol = base;
  else if (base.op === "alloca" && base.align <= 16) parts.object = s.objectOf(base);
  else if (base.op === "const" && fits(BigInt.asIntN(bits(base.type), base.imm) + parts.disp))
    parts.disp += BigInt.asIntN(bits(base.type), base.imm);
  else parts.base = base;
}

/** Folds additions of constants into the displacement. */
function strip(s: Selector, from: Instr, parts: AddressParts, scale: bigint): Instr {
  let at = from;
  for (;;) {
    if (at.op !== "add" && at.op !== "sub") return at;
    const [x, y] = at.args;
    const constant = y.op === "const" ? y : at.op === "add" && x.op === "const" ? x : null;
    if (constant === null || (carried(s, at) && at !== s.root)) return at;
    const value = BigInt.asIntN(bits(constant.type), constant.imm) * scale;
    const disp = parts.disp + (at.op === "add" ? value : -value);
    if (!fits(disp)) return at;
    parts.disp = disp;
    at = constant === y ? x : y;
  }
}

/** k if `instr` is a left shift by k = 1…3 that the address can absorb; else 0. */
function scaleOf(s: Selector, instr: Instr): number {
  if (!s.near(instr)) return 0;
  if (instr.op === "shl" && instr.args[1].op === "const" && instr.args[1].imm >= 1n && instr.args[1].imm <= 3n)
    return Number(instr.args[1].imm);
  if (instr.op === "mul" && instr.args[1].op === "const") return [2n, 4n, 8n].indexOf(instr.args[1].imm) + 1;
  return 0;
}
