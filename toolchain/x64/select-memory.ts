/** Selection of addresses, loads, stores (with read-modify-write in place) and block copies. */
import type { Instr } from "../ir/ir.ts";
import { type Type, widthOf } from "../ir/ops.ts";
import { DEF, imm, type Mem, memOf, RAX, RCX, RDI, RSI, reg, USE, type Width } from "./machine.ts";
import { memory, type Selector } from "./select.ts";
import { shortImmediate } from "./select-integer.ts";

export const bits = (type: Type): Width => (type === "void" ? 64 : (widthOf[type] as Width));

const fits = (disp: bigint): boolean => disp === BigInt.asIntN(32, disp);

/**
 * The memory operand for address `address`: base + index * scale + displacement, an object of the frame, or a symbol.
 * It also serves lea on i32, where `address` is an i32 tree.
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
  symbol: Instr | null;
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

/** A value that a phi takes to the next iteration has a register of its own: to compute it again would only keep its operands alive. */
const carried = (s: Selector, instr: Instr): boolean => s.usedByPhi[instr.id] !== 0 && s.uses[instr.id] > 1;

function setBase(s: Selector, base: Instr, parts: AddressParts): void {
  if (base.op === "symbol" && parts.index === null) parts.symbol = base;
  else if (base.op === "alloca" && base.align <= 16) parts.object = s.objectOf(base);
  else if (base.op === "const" && fits(BigInt.asIntN(bits(base.type), base.imm) + parts.disp))
    parts.disp += BigInt.asIntN(bits(base.type), base.imm);
  else parts.base = base;
}

/** Follows additions of constants into the displacement. */
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

/** k if `instr` is a shift left by k = 1…3 that the address may take over; else 0. */
function scaleOf(s: Selector, instr: Instr): number {
  if (!s.near(instr)) return 0;
  if (instr.op === "shl" && instr.args[1].op === "const" && instr.args[1].imm >= 1n && instr.args[1].imm <= 3n)
    return Number(instr.args[1].imm);
  if (instr.op === "mul" && instr.args[1].op === "const") return [2n, 4n, 8n].indexOf(instr.args[1].imm) + 1;
  return 0;
}

export function lowerMemory(s: Selector, instr: Instr): void {
  if (instr.op === "load") return load(s, instr);
  if (instr.op === "store") return store(s, instr);
  if (instr.op === "copy") return copy(s, instr.args[0], instr.args[1], instr.size);
  return zero(s, instr.args[0], instr.size);
}

function load(s: Selector, instr: Instr): void {
  const width = bits(instr.type);
  const from = addressOf(s, instr.args[0], width);
  if (instr.type === "f64") s.emit("movsd", s.def(instr, 64), from);
  else if (width < 32) s.emit("movzx", s.def(instr, 32), from);
  else s.emit("mov", s.def(instr, width), from);
}

const IN_PLACE: Readonly<Record<string, string>> = { add: "add", sub: "sub", and: "and", or: "or", xor: "xor" };

function store(s: Selector, instr: Instr): void {
  const [address, value] = instr.args;
  const width = bits(value.type);
  if (value.type === "f64") {
    if (value.op === "fconst" && Object.is(value.float, 0)) s.emit("mov", addressOf(s, address, 64), imm(0));
    else s.emit("movsd", addressOf(s, address, 64), s.useReg(value, 64));
    return;
  }
  if (!instr.volatile && storeInPlace(s, address, value, width)) return;
  const constant = shortImmediate(value);
  if (constant !== null) s.emit("mov", addressOf(s, address, width), imm(constant));
  else s.emit("mov", addressOf(s, address, width), s.useReg(value, width));
}

/** store(p, op(load(p), x)) as one instruction. */
function storeInPlace(s: Selector, address: Instr, value: Instr, width: Width): boolean {
  const mnemonic = IN_PLACE[value.op];
  if (mnemonic === undefined || s.uses[value.id] !== 1 || s.wanted(value) || value.block !== s.root.block) return false;
  let [from, x] = value.args;
  const reads = (i: Instr): boolean => s.canSwallow(i, true) && sameAddress(i.args[0], address);
  if (!reads(from)) {
    if (value.op === "sub" || !reads(x)) return false;
    [from, x] = [x, from];
  }
  const constant = shortImmediate(x);
  if (constant !== null) s.emit(mnemonic, addressOf(s, address, width), imm(constant));
  else s.emit(mnemonic, addressOf(s, address, width), s.useReg(x, width));
  return true;
}

function sameAddress(a: Instr, b: Instr): boolean {
  if (a === b) return true;
  if (a.op !== b.op) return false;
  if (a.op === "symbol") return a.symbol === b.symbol && a.imm === b.imm;
  if (a.op === "const") return a.imm === b.imm;
  return a.op === "add" && sameAddress(a.args[0], b.args[0]) && sameAddress(a.args[1], b.args[1]);
}

// ---- blocks of memory

/** Up to here by single moves. */
const INLINE_BYTES = 64;

/** Offsets and widths that cover `size` bytes; the last may overlap the one before. */
function pieces(size: number): { offset: number; width: Width }[] {
  const result: { offset: number; width: Width }[] = [];
  let offset = 0;
  for (; size - offset >= 8; offset += 8) result.push({ offset, width: 64 });
  const rest = size - offset;
  if (rest === 0) return result;
  if (size > 8) return [...result, { offset: size - 8, width: 64 }];
  if (rest === 3) result.push({ offset, width: 16 }, { offset: offset + 2, width: 8 });
  else if (rest > 4) result.push({ offset, width: 32 }, { offset: size - 4, width: 32 });
  else result.push({ offset, width: (rest * 8) as Width });
  return result;
}

const moved = (m: Mem, by: number, width: Width): Mem => ({
  ...m,
  base: m.base && { ...m.base },
  index: m.index && { ...m.index },
  width,
  disp: m.symbol ? m.disp : m.disp + by,
  addend: m.symbol ? m.addend + BigInt(by) : m.addend,
});

function copy(s: Selector, to: Instr, from: Instr, size: number): void {
  if (size <= INLINE_BYTES) {
    const target = blockAddress(s, to, size);
    const source = blockAddress(s, from, size);
    for (const { offset, width } of pieces(size)) {
      const t = s.temp();
      s.emit(width < 32 ? "movzx" : "mov", reg(t, width < 32 ? 32 : width, DEF), moved(source, offset, width));
      s.emit("mov", moved(target, offset, width), reg(t, width, USE));
    }
    return;
  }
  const target = s.use(to);
  const source = s.use(from);
  stringMove(s, "rep movsq", size, target, source);
  if (size % 8 !== 0) {
    const t = s.temp();
    s.emit("mov", reg(t, 64, DEF), memory(64, source, size - 8));
    s.emit("mov", memory(64, target, size - 8), reg(t, 64, USE));
  }
}

function zero(s: Selector, to: Instr, size: number): void {
  if (size <= INLINE_BYTES) {
    const target = blockAddress(s, to, size);
    for (const { offset, width } of pieces(size)) s.emit("mov", moved(target, offset, width), imm(0));
    return;
  }
  const target = s.use(to);
  stringMove(s, "rep stosq", size, target, null);
  if (size % 8 !== 0) s.emit("mov", memory(64, target, size - 8), imm(0));
}

/** The address of a block, such that every displacement within it fits too. */
function blockAddress(s: Selector, address: Instr, size: number): Mem {
  const m = addressOf(s, address, 0);
  return m.disp + size <= 0x7fff_ffff ? m : memory(0, s.use(address));
}

/** The direction flag is clear, as the ABI demands. */
function stringMove(s: Selector, op: string, size: number, target: number, source: number | null): void {
  const operands = [reg(RDI, 64, DEF), reg(target, 64, USE), reg(RCX, 64, DEF), imm(Math.floor(size / 8))];
  if (source !== null) operands.push(reg(RSI, 64, DEF), reg(source, 64, USE));
  else operands.push(reg(RAX, 64, DEF), imm(0));
  s.emit("parcopy", ...operands);
  const instr = s.emit(op);
  instr.uses = (1 << RDI) | (1 << RCX) | (1 << (source !== null ? RSI : RAX));
  instr.defs = (1 << RDI) | (1 << RCX) | (source !== null ? 1 << RSI : 0);
}
