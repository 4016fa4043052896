/** Selection of comparisons, select, branches, switches, calls and returns. */
import type { Block, Branch, Call, Instr, Plain, Ret, Switch, Terminator } from "../../ir/ir.ts";
import { CALLER_SAVED_MASK, INTEGER_RESULT, placeArguments, VECTOR_RESULT } from "../abi.ts";
import { DEF, EARLY, imm, type MachineBlock, type MachineOperand, MEMORY_OK, reg, USE } from "../machine.ts";
import { compareFloats } from "./float.ts";
import { addressOf, moveInto, sourceOf, zeroExtend } from "./operands.ts";
import { outgoing, type Selector } from "./selector.ts";
import { bits, constantOf, shortImmediate } from "./values.ts";

// ---- conditions

const CONDITION: Readonly<Record<string, string>> = { eq: "e", ne: "ne", slt: "l", sle: "le", ult: "b", ule: "be" };
/** The equivalent condition after the operands are swapped. */
const SWAPPED: Readonly<Record<string, string>> = { e: "e", ne: "ne", l: "g", le: "ge", b: "a", be: "ae" };
/** oe, une: equal and ordered, its opposite (two flags, see emit.ts). */
// biome-ignore format: pairs
const OPPOSITES = [
  ["e", "ne"], ["l", "ge"], ["le", "g"], ["b", "ae"], ["be", "a"], ["s", "ns"], ["p", "np"], ["oe", "une"],
] as const;
const NEGATED: ReadonlyMap<string, string> = new Map(
  OPPOSITES.flatMap(([a, b]) => [
    [a, b],
    [b, a],
  ]),
);
export const negate = (cc: string): string => NEGATED.get(cc) as string;

const isIntegerCompare = (op: string): boolean => op in CONDITION;
const isFloatCompare = (op: string): boolean => op === "feq" || op === "fne" || op === "flt" || op === "fle";
const isCompare = (op: string): boolean => isIntegerCompare(op) || isFloatCompare(op);

/** Sets the flags for "`condition` is not 0"; returns the condition code. */
function flagsFor(s: Selector, condition: Instr): string {
  let at = condition;
  let exclusive = true;
  let negated = false;
  for (;;) {
    exclusive &&= s.uses[at.id] === 1;
    const [a, b] = at.args;
    if ((at.op === "zext" || at.op === "sext") && isCompare(a.op)) at = a;
    else if ((at.op === "eq" || at.op === "ne") && b.op === "const" && b.imm === 0n && isBoolean(a)) {
      if (at.op === "eq") negated = !negated;
      at = a;
    } else if (at.op === "xor" && b.op === "const" && b.imm === 1n && isBoolean(a)) {
      negated = !negated;
      at = a;
    } else break;
  }
  if (isCompare(at.op) && (at === s.root || s.near(at) || cheap(at))) {
    const cc = isIntegerCompare(at.op) ? compare(s, at, exclusive) : compareFloats(s, at, exclusive);
    return negated ? negate(cc) : cc;
  }
  testZero(s, at, exclusive);
  return negated ? "e" : "ne";
}

/** Holds only 0 or 1, and is the result of a comparison. */
function isBoolean(instr: Instr): boolean {
  if (isCompare(instr.op)) return true;
  if (instr.op === "zext") return isBoolean(instr.args[0]);
  return instr.op === "xor" && instr.args[1].op === "const" && instr.args[1].imm === 1n && isBoolean(instr.args[0]);
}
/** One operand is a constant, so repeating the comparison keeps at most one more register alive. */
const cheap = (instr: Instr): boolean => instr.args[1].op === "const";

/** Flags of `instr` compared with 0; valid for e, ne, s and ns. */
function testZero(s: Selector, instr: Instr, exclusive: boolean): void {
  const width = bits(instr.type);
  if (instr.op === "and" && s.near(instr)) {
    const alone = exclusive && s.uses[instr.id] === 1;
    let [a, b] = instr.args;
    if (a.op === "const") [a, b] = [b, a];
    const constant = shortImmediate(b);
    if (constant !== null) {
      // Bits in the low half of a register can be tested in 32 bits, with a shorter encoding; but not the sign bit.
      const w = width === 64 && constant >= 0n && !s.canSwallow(a, alone) ? 32 : width;
      s.emit("test", sourceOf(s, a, w, alone), imm(constant));
    } else if (s.canSwallow(b, alone)) s.emit("test", addressOf(s, b.args[0], width), s.useReg(a, width));
    else s.emit("test", sourceOf(s, a, width, alone), s.useReg(b, width));
    return;
  }
  if (s.canSwallow(instr, exclusive)) s.emit("cmp", addressOf(s, instr.args[0], width), imm(0));
  else {
    const r = s.use(instr);
    s.emit("test", reg(r, width, USE), reg(r, width, USE));
  }
}

/** Sets the flags for integer comparison `instr`; returns the condition code under which it holds. */
function compare(s: Selector, instr: Instr, exclusive: boolean): string {
  let [a, b] = instr.args;
  let cc = CONDITION[instr.op];
  const width = bits(a.type);
  if (a.op === "const" && b.op !== "const") {
    [a, b] = [b, a];
    cc = SWAPPED[cc];
  }
  const constant = shortImmediate(b);
  if (constant === 0n && (cc === "e" || cc === "ne")) {
    testZero(s, a, exclusive);
    return cc;
  }
  if (constant === 0n && (cc === "l" || cc === "ge")) {
    testZero(s, a, exclusive);
    return cc === "l" ? "s" : "ns";
  }
  if (constant !== null) s.emit("cmp", sourceOf(s, a, width, exclusive), imm(constant));
  else if (s.canSwallow(b, exclusive)) s.emit("cmp", s.useReg(a, width), addressOf(s, b.args[0], width));
  else s.emit("cmp", sourceOf(s, a, width, exclusive), s.useReg(b, width));
  return cc;
}

export function lowerCompare(s: Selector, instr: Instr): void {
  const cc = isIntegerCompare(instr.op) ? compare(s, instr, true) : compareFloats(s, instr, true);
  setCondition(s, s.result(instr), cc);
}

function setCondition(s: Selector, d: number, cc: string): void {
  if (cc !== "oe" && cc !== "une") {
    s.emit(`set${cc}`, reg(d, 8, DEF));
    return;
  }
  const parity = s.temp();
  s.emit(cc === "oe" ? "setnp" : "setp", reg(parity, 8, DEF));
  s.emit(cc === "oe" ? "sete" : "setne", reg(d, 8, DEF));
  s.emit(cc === "oe" ? "and" : "or", reg(d, 8, USE | DEF), reg(parity, 8, USE));
}

export function lowerSelect(s: Selector, instr: Instr): void {
  const [condition, whenTrue, whenFalse] = instr.args;
  const d = s.result(instr);
  const isFloat = instr.type === "f64";
  const width: 32 | 64 = isFloat || instr.type === "i64" ? 64 : 32;
  // Vector registers have no conditional move: the bits go through general registers.
  const bitsOf = (value: Instr): number => {
    const r = s.temp();
    s.emit("movq", reg(r, 64, DEF), s.useReg(value, 64));
    return r;
  };
  const t = isFloat ? bitsOf(whenTrue) : s.use(whenTrue);
  const result = isFloat ? bitsOf(whenFalse) : d;
  if (!isFloat) moveInto(s, d, whenFalse, width === 64 ? 64 : bits(instr.type));
  const cc = flagsFor(s, condition);
  if (cc === "une" || cc === "oe") {
    // une: ZF = 0 or PF = 1. oe: ZF = 1 and PF = 0, so PF = 1 selects the other value again.
    if (cc === "une") {
      s.emit("cmovne", reg(result, width, USE | DEF), reg(t, width, USE));
      s.emit("cmovp", reg(result, width, USE | DEF), reg(t, width, USE));
    } else {
      const other = s.temp();
      s.emit("copy", reg(other, 64, DEF), reg(result, 64, USE));
      s.emit("cmove", reg(result, width, USE | DEF), reg(t, width, USE));
      s.emit("cmovp", reg(result, width, USE | DEF), reg(other, width, USE));
    }
  } else s.emit(`cmov${cc}`, reg(result, width, USE | DEF), reg(t, width, USE | MEMORY_OK));
  if (isFloat) s.emit("movq", reg(d, 64, DEF), reg(result, 64, USE));
}

// ---- terminators

export function lowerTerminator(s: Selector, instr: Terminator): void {
  switch (instr.op) {
    case "jump":
      return s.jump(instr.targets[0]);
    case "branch":
      return branch(s, instr);
    case "switch":
      return lowerSwitch(s, instr);
    case "ret":
      return lowerReturn(s, instr);
    case "unreachable":
      s.emit("ud2");
      return;
  }
}

function branch(s: Selector, instr: Branch): void {
  const [condition] = instr.args;
  const [yes, no] = instr.targets;
  if (yes === no) return s.jump(yes);
  if (condition.op === "const") return s.jump(condition.imm !== 0n ? yes : no);
  const cc = flagsFor(s, condition);
  branchTo(s, cc, s.edge(yes), s.edge(no));
}

function branchTo(s: Selector, cc: string, yes: MachineBlock, no: MachineBlock): void {
  const instr = s.emit(yes === no ? "jump" : "br");
  instr.cc = cc;
  instr.targets = yes === no ? [yes] : [yes, no];
}

function lowerReturn(s: Selector, instr: Ret): void {
  const value = instr.args[0];
  if (value === undefined) {
    s.emit("ret");
    return;
  }
  const r = value.type === "f64" ? VECTOR_RESULT : INTEGER_RESULT;
  s.emit("parcopy", reg(r, 64, DEF), s.copySource(value));
  s.emit("ret").uses = 1 << r;
}

// ---- switch

interface Case {
  /** Unsigned, of the switch's width. */
  readonly value: bigint;
  readonly target: Block;
}
/** Least number of cases for a table; at least a third of its entries must be used. */
const TABLE_CASES = 5;
const TABLE_SPARSITY = 3n;

function lowerSwitch(s: Selector, instr: Switch): void {
  const value = instr.args[0];
  const width = bits(value.type);
  const defaultTarget = instr.targets[instr.cases.length];
  const cases: Case[] = instr.cases
    .map((v, i) => ({ value: BigInt.asUintN(width, v), target: instr.targets[i] }))
    .filter((c) => c.target !== defaultTarget)
    .sort((a, b) => (a.value < b.value ? -1 : 1));
  if (cases.length === 0) return s.jump(defaultTarget);
  if (value.op === "const") return s.jump(cases.find((c) => c.value === value.imm)?.target ?? defaultTarget);
  // One register for the whole tree, with 32 or 64 defined bits.
  const x = s.temp();
  if (width < 32) zeroExtend(s, x, value);
  else moveInto(s, x, value, width);
  searchCases(s, x, width === 64 ? 64 : 32, cases, defaultTarget);
}

/** Emits, at the current place, jumps on x to the `cases` (sorted by value). */
function searchCases(s: Selector, x: number, w: 32 | 64, cases: readonly Case[], otherwise: Block): void {
  const low = cases[0].value;
  const span = cases[cases.length - 1].value - low;
  if (cases.length >= TABLE_CASES && span < TABLE_SPARSITY * BigInt(cases.length))
    return jumpTable(s, x, w, cases, otherwise);
  if (cases.length <= 3) {
    compareWith(s, x, w, cases[0].value);
    const rest = cases.slice(1);
    const no = rest.length === 0 ? s.edge(otherwise) : s.extraBlock(() => searchCases(s, x, w, rest, otherwise));
    branchTo(s, "e", s.edge(cases[0].target), no);
    return;
  }
  const middle = cases.length >> 1;
  compareWith(s, x, w, cases[middle].value);
  const below = s.extraBlock(() => searchCases(s, x, w, cases.slice(0, middle), otherwise));
  const above = s.extraBlock(() => searchCases(s, x, w, cases.slice(middle), otherwise));
  branchTo(s, "b", below, above);
}

function compareWith(s: Selector, x: number, w: 32 | 64, value: bigint): void {
  const signed = BigInt.asIntN(w, value);
  if (signed === BigInt.asIntN(32, signed)) s.emit("cmp", reg(x, w, USE | MEMORY_OK), imm(signed));
  else {
    const t = s.temp();
    s.materialise(t, imm(value));
    s.emit("cmp", reg(x, w, USE), reg(t, w, USE));
  }
}

function jumpTable(s: Selector, x: number, w: 32 | 64, cases: readonly Case[], otherwise: Block): void {
  const low = cases[0].value;
  const span = Number(cases[cases.length - 1].value - low);
  const index = s.temp();
  s.emit("copy", reg(index, 64, DEF | MEMORY_OK), reg(x, 64, USE | MEMORY_OK));
  const signedLow = BigInt.asIntN(w, low);
  if (signedLow === BigInt.asIntN(32, signedLow)) s.emit("sub", reg(index, w, USE | DEF), imm(signedLow));
  else {
    const t = s.temp();
    s.materialise(t, imm(low));
    s.emit("sub", reg(index, w, USE | DEF), reg(t, w, USE));
  }
  s.emit("cmp", reg(index, w, USE), imm(span));
  const fallback = s.edge(otherwise);
  const table = s.extraBlock(() => {
    const byOffset = new Map(cases.map((c) => [Number(c.value - low), c.target]));
    const targets = Array.from({ length: span + 1 }, (_, i) => s.edge(byOffset.get(i) ?? otherwise));
    s.emit("table", reg(index, 64, USE), reg(s.temp(), 64, DEF | EARLY)).targets = targets;
  });
  branchTo(s, "a", fallback, table);
}

// ---- calls

/** A call, or a call through a pointer (icall). */
export function lowerCall(s: Selector, instr: Call | Plain): void {
  const args = instr.op === "call" ? instr.args : instr.args.slice(1);
  const { places, stackBytes } = placeArguments(args.map((a) => a.type));
  s.mf.hasCalls = true;
  s.mf.outgoingBytes = Math.max(s.mf.outgoingBytes, stackBytes);
  const target = instr.op === "call" ? nameOf(instr.symbol) : targetOf(s, instr.args[0]);
  const copies: MachineOperand[] = [];
  let uses = 0;
  args.forEach((arg, i) => {
    const place = places[i];
    if ("reg" in place) {
      if (arg.op === "undef") return;
      copies.push(reg(place.reg, 64, DEF), s.copySource(arg));
      uses |= 1 << place.reg;
      return;
    }
    const constant = arg.op === "const" ? constantOf(arg) : null;
    if (arg.op === "undef") return;
    if (constant !== null && shortImmediate(arg) !== null) s.emit("mov", outgoing(64, place.offset), imm(constant));
    else s.emit(arg.type === "f64" ? "movsd" : "mov", outgoing(64, place.offset), s.useReg(arg, 64));
  });
  if (copies.length > 0) s.emit("parcopy", ...copies);
  const call = s.emit("call", target);
  call.uses = uses;
  call.defs = CALLER_SAVED_MASK;
  if (s.wanted(instr))
    s.emit(
      "copy",
      reg(s.result(instr), 64, DEF | MEMORY_OK),
      reg(instr.type === "f64" ? VECTOR_RESULT : INTEGER_RESULT, 64, USE),
    );
  if (instr.op === "call" && s.options.isNoreturn(instr.symbol) && s.next?.op !== "unreachable") s.emit("ud2");
}

const nameOf = (name: string): MachineOperand => ({ kind: "sym", name, addend: 0n });
function targetOf(s: Selector, pointer: Instr): MachineOperand {
  if (pointer.op === "symbol" && pointer.imm === 0n) return nameOf(pointer.symbol);
  return reg(s.use(pointer), 64, USE | MEMORY_OK);
}
