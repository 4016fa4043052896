/** Selection of addresses, loads, stores (with read-modify-write in place) and block copies. */
import type { Copy, Instr, Load, Store, Zero } from "../../ir/ir.ts";
import { DEF, imm, type Mem, RAX, RCX, RDI, RSI, reg, USE, type Width } from "../machine.ts";
import { addressOf } from "./operands.ts";
import { memory, type Selector } from "./selector.ts";
import { bits, shortImmediate } from "./values.ts";

export function lowerMemory(s: Selector, instr: Load | Store | Copy | Zero): void {
  switch (instr.op) {
    case "load":
      return load(s, instr);
    case "store":
      return store(s, instr);
    case "copy":
      return copy(s, instr.args[0], instr.args[1], instr.size);
    case "zero":
      return zero(s, instr.args[0], instr.size);
  }
}

function load(s: Selector, instr: Load): void {
  const width = bits(instr.type);
  const from = addressOf(s, instr.args[0], width);
  if (instr.type === "f64") s.emit("movsd", s.def(instr, 64), from);
  else if (width < 32) s.emit("movzx", s.def(instr, 32), from);
  else s.emit("mov", s.def(instr, width), from);
}

const IN_PLACE: Readonly<Record<string, string>> = { add: "add", sub: "sub", and: "and", or: "or", xor: "xor" };

function store(s: Selector, instr: Store): void {
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
  if (a.op === "symbol") return b.op === "symbol" && a.symbol === b.symbol && a.imm === b.imm;
  if (a.op === "const") return b.op === "const" && a.imm === b.imm;
  return a.op === "add" && b.op === "add" && sameAddress(a.args[0], b.args[0]) && sameAddress(a.args[1], b.args[1]);
}

// ---- blocks of memory

/** Largest block that single moves handle. */
const INLINE_BYTES = 64;

/** Offsets and widths that cover `size` bytes; the last one may overlap the one before. */
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

/** Address of a block such that every displacement within it also fits. */
function blockAddress(s: Selector, address: Instr, size: number): Mem {
  const m = addressOf(s, address, 0);
  return m.disp + size <= 0x7fff_ffff ? m : memory(0, s.use(address));
}

/** The direction flag is clear, as the ABI requires. */
function stringMove(s: Selector, op: string, size: number, target: number, source: number | null): void {
  const operands = [reg(RDI, 64, DEF), reg(target, 64, USE), reg(RCX, 64, DEF), imm(Math.floor(size / 8))];
  if (source !== null) operands.push(reg(RSI, 64, DEF), reg(source, 64, USE));
  else operands.push(reg(RAX, 64, DEF), imm(0));
  s.emit("parcopy", ...operands);
  const instr = s.emit(op);
  instr.uses = (1 << RDI) | (1 << RCX) | (1 << (source !== null ? RSI : RAX));
  instr.defs = (1 << RDI) | (1 << RCX) | (source !== null ? 1 << RSI : 0);
}
