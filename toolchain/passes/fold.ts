/**
 * Constant folding and algebraic simplification, in reverse postorder, until nothing changes. Values come from
 * `evaluate`, that is, from the op table. Operations that would trap are kept. So are results that are NaN, because the
 * processor decides their sign and payload, and conversions out of range. Includes branches and switches on constants,
 * phis whose operands are all equal, chains of additions, and comparisons of comparisons.
 */
import { make, numbered } from "../ir/builder.ts";
import { isTerminator, jumpTo, removeUnreachable, reversePostorder, terminate, terminatorOf } from "../ir/cfg.ts";
import { convertible, evaluate, type Value } from "../ir/evaluate.ts";
import type { Block, Func, Instr, IntConst, Plain, PlainOp, SymbolAddress, Terminator } from "../ir/ir.ts";
import { type Op, opInfo, type Type, widthOf } from "../ir/ops.ts";
import { isFoldable, newConst, newInstr, Replacements } from "./rewrite.ts";

const MAX_ROUNDS = 8;

export function fold(func: Func): void {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const folder = new Folder(func);
    for (const block of reversePostorder(func)) folder.block(block);
    folder.replacements.apply(func);
    removeUnreachable(func);
    if (!folder.changed) return;
  }
}

const bits = (type: Type): number => widthOf[type as "i64"];
const ones = (type: Type): bigint => (1n << BigInt(bits(type))) - 1n;
const isConst = (instr: Instr): instr is IntConst => instr.op === "const";
const is = (instr: Instr, value: bigint): boolean => instr.op === "const" && instr.imm === value;
const log2 = (value: bigint): bigint | null =>
  value > 0n && (value & (value - 1n)) === 0n ? BigInt(value.toString(2).length - 1) : null;
const INVERSE: Partial<Record<Op, PlainOp>> = { eq: "ne", ne: "eq", feq: "fne", fne: "feq" };
const SHIFTS = new Set<Op>(["shl", "lshr", "ashr", "rotl"]);
/** A mask that keeps all bits that a shift count for `width` uses. */
const keepsCount = (mask: bigint, width: number): boolean => (mask & BigInt(width - 1)) === BigInt(width - 1);
const COMPARISONS = new Set<Op>(["eq", "ne", "slt", "sle", "ult", "ule", "feq", "fne", "flt", "fle"]);

/**
 * Offsets from a symbol that a RIP-relative operand can always reach; others stay additions (kernel: symbol −
 * KERNEL_BASE).
 */
const isNear = (offset: bigint): boolean => {
  const signed = BigInt.asIntN(64, offset);
  return signed >= -0x100_0000n && signed <= 0x100_0000n;
};

class Folder {
  readonly replacements = new Replacements();
  changed = false;
  readonly #func: Func;
  #out: Instr[] = [];
  #at!: Instr;

  constructor(func: Func) {
    this.#func = func;
  }

  block(block: Block): void {
    this.#out = [];
    for (const instr of block.instrs) {
      for (let i = 0; i < instr.args.length; i++) instr.args[i] = this.replacements.resolve(instr.args[i]);
      this.#at = instr;
      if (isTerminator(instr)) {
        this.#terminator(block, instr);
        this.#out.push(terminatorOf(block));
        continue;
      }
      const value = instr.op === "phi" ? samePhi(instr) : isFoldable(instr) ? this.#simplify(instr) : null;
      if (value !== null && value !== instr) {
        this.replacements.set(instr, value);
        this.changed = true;
      }
      this.#out.push(instr);
    }
    for (const instr of this.#out) instr.block = block;
    block.instrs = this.#out;
  }

  // ---- creating values before the current instruction
  #const(type: Type, value: bigint): Instr {
    const instr = newConst(this.#func, type, BigInt.asUintN(bits(type), value), this.#at.loc);
    this.#out.push(instr);
    return instr;
  }
  #make(op: PlainOp, type: Type, args: Instr[]): Instr {
    const instr = newInstr(this.#func, op, type, args, this.#at.loc);
    this.#out.push(instr);
    return instr;
  }
  #value(type: Type, value: Value): Instr {
    if (typeof value === "bigint") return this.#const(type, value);
    const instr = numbered(this.#func, make.floatConst(value, this.#at.loc));
    this.#out.push(instr);
    return instr;
  }
  /** Changes the instruction into another operation, in place. */
  #become(instr: Plain, op: PlainOp, args: Instr[]): null {
    instr.op = op;
    instr.args = args;
    this.changed = true;
    return null;
  }

  /** A replacement for the instruction; null = none (it may have been changed in place). */
  #simplify(instr: Plain): Instr | null {
    const { op, type, args } = instr;
    if (args.length === 0) return null;
    const constant = this.#evaluate(instr);
    if (constant !== null) return constant;
    if (op === "select") return this.#select(instr);
    if (op === "sext" || op === "zext" || op === "trunc") return this.#width(instr);
    if (args.length !== 2 || opInfo(op).operandType === "f64") return null;
    if (opInfo(op).commutative && isConst(args[0]) && !isConst(args[1])) {
      args.reverse();
      this.changed = true;
    }
    const [a, b] = args;
    if (a === b) {
      if (op === "sub" || op === "xor") return this.#const(type, 0n);
      if (op === "and" || op === "or") return a;
      if (op === "eq" || op === "sle" || op === "ule") return this.#const("i8", 1n);
      if (op === "ne" || op === "slt" || op === "ult") return this.#const("i8", 0n);
    }
    // Counts are taken modulo the width anyway.
    if (SHIFTS.has(op) && b.op === "and" && isConst(b.args[1]) && keepsCount(b.args[1].imm, bits(type)))
      return this.#become(instr, op, [a, b.args[0]]);
    if (op === "add" && a.op === "symbol" && isConst(b) && isNear(a.imm + b.imm)) return this.#symbol(a, b.imm);
    return isConst(b) ? this.#withConstant(instr, a, b.imm) : null;
  }

  #evaluate(instr: Plain): Instr | null {
    const { op, type, args } = instr;
    const values: Value[] = [];
    for (const a of args) {
      if (a.op === "const") values.push(a.imm);
      else if (a.op === "fconst") values.push(a.float);
      else return null;
    }
    if ((op === "ftosi" || op === "ftoui") && !convertible(op, values[0] as number)) return null;
    const value = evaluate(op, type, args[0].type, values);
    return value === undefined || Number.isNaN(value) ? null : this.#value(type, value);
  }

  #symbol({ symbol, imm }: SymbolAddress, offset: bigint): Instr {
    const instr = numbered(this.#func, make.symbol(symbol, imm + offset, this.#at.loc));
    this.#out.push(instr);
    return instr;
  }

  #select(instr: Plain): Instr | null {
    const [condition, yes, no] = instr.args;
    if (isConst(condition)) return condition.imm !== 0n ? yes : no;
    if (yes === no) return yes;
    if (isConst(yes) && isConst(no) && yes.imm === no.imm) return yes;
    if (instr.type === "i8" && is(yes, 1n) && is(no, 0n))
      return COMPARISONS.has(condition.op) ? condition : this.#become(instr, "ne", [condition, this.#const("i8", 0n)]);
    if (instr.type === "i8" && is(yes, 0n) && is(no, 1n))
      return this.#become(instr, "eq", [condition, this.#const("i8", 0n)]);
    return null;
  }

  #width(instr: Plain): Instr | null {
    const { op, type } = instr;
    const inner = instr.args[0];
    const source = inner.args[0];
    if (op === "trunc") {
      if (inner.op === "trunc") return this.#become(instr, "trunc", [source]);
      if (inner.op !== "zext" && inner.op !== "sext") return null;
      if (source.type === type) return source;
      return this.#become(instr, bits(source.type) > bits(type) ? "trunc" : inner.op, [source]);
    }
    if (inner.op === "zext") return this.#become(instr, "zext", [source]);
    if (inner.op === "sext" && op === "sext") return this.#become(instr, "sext", [source]);
    // Comparisons give 0 or 1, so the sign does not matter.
    return op === "sext" && COMPARISONS.has(inner.op) ? this.#become(instr, "zext", [inner]) : null;
  }

  #withConstant(instr: Plain, a: Instr, c: bigint): Instr | null {
    const { op, type } = instr;
    const all = ones(a.type);
    const power = log2(c);
    switch (op) {
      case "add":
        if (c === 0n) return a;
        if (a.op === "add" && isConst(a.args[1]))
          return this.#become(instr, "add", [a.args[0], this.#const(type, a.args[1].imm + c)]);
        // ~x + 1
        if (c === 1n && a.op === "xor" && is(a.args[1], BigInt.asUintN(bits(type), -1n)))
          return this.#become(instr, "sub", [this.#const(type, 0n), a.args[0]]);
        return null;
      case "sub":
        return c === 0n ? a : this.#become(instr, "add", [a, this.#const(type, -c)]);
      case "mul":
        if (c === 0n) return this.#const(type, 0n);
        if (c === 1n) return a;
        return power !== null ? this.#become(instr, "shl", [a, this.#const(type, power)]) : null;
      case "udiv":
        if (c === 1n) return a;
        return power !== null ? this.#become(instr, "lshr", [a, this.#const(type, power)]) : null;
      case "urem":
        return power !== null ? this.#become(instr, "and", [a, this.#const(type, c - 1n)]) : null;
      case "sdiv":
        return c === 1n ? a : null;
      case "srem":
        return c === 1n ? this.#const(type, 0n) : null;
      case "and":
        if (c === 0n) return this.#const(type, 0n);
        if (c === all) return a;
        if (a.op === "and" && isConst(a.args[1]))
          return this.#become(instr, "and", [a.args[0], this.#const(type, a.args[1].imm & c)]);
        return c === 1n && COMPARISONS.has(a.op) ? a : null;
      case "or":
        return c === 0n ? a : c === all ? this.#const(type, all) : null;
      case "xor":
        return c === 0n ? a : null;
      case "shl":
      case "lshr":
      case "ashr":
      case "rotl":
        return (c & BigInt(bits(type) - 1)) === 0n ? a : null;
      case "eq":
      case "ne":
        return this.#compareZero(instr, op, a, c);
      case "ult":
        if (c === 0n) return this.#const("i8", 0n);
        return c === 1n ? this.#become(instr, "eq", [a, this.#const(a.type, 0n)]) : null;
      case "ule":
        if (c === all) return this.#const("i8", 1n);
        return c === 0n ? this.#become(instr, "eq", [a, this.#const(a.type, 0n)]) : null;
      default:
        return null;
    }
  }

  /** eq and ne with a constant, usually 0: looks through widening, comparisons and offsets. */
  #compareZero(instr: Plain, op: "eq" | "ne", a: Instr, c: bigint): Instr | null {
    if (c === 0n && COMPARISONS.has(a.op)) {
      if (op === "ne") return a;
      const inverse = INVERSE[a.op];
      if (inverse) return this.#become(instr, inverse, [...a.args]);
      if (a.op === "slt" || a.op === "ult")
        return this.#become(instr, a.op === "slt" ? "sle" : "ule", [a.args[1], a.args[0]]);
      if (a.op === "sle" || a.op === "ule")
        return this.#become(instr, a.op === "sle" ? "slt" : "ult", [a.args[1], a.args[0]]);
    }
    if (a.op === "zext") {
      const inner = a.args[0];
      if (c > ones(inner.type)) return this.#const("i8", op === "eq" ? 0n : 1n);
      return this.#become(instr, op, [inner, this.#const(inner.type, c)]);
    }
    if (c === 0n && a.op === "sub") return this.#become(instr, op, [...a.args]);
    if (a.op === "add" && isConst(a.args[1]))
      return this.#become(instr, op, [a.args[0], this.#const(a.type, c - a.args[1].imm)]);
    return null;
  }

  #terminator(block: Block, instr: Terminator): void {
    const [value] = instr.args;
    if (instr.op === "branch") {
      const [yes, no] = instr.targets;
      if (isConst(value)) this.#jump(block, instr, value.imm !== 0n ? 0 : 1);
      else if (yes === no) this.#jump(block, instr, 0);
      else if (
        value.type === "i8" &&
        (value.op === "ne" || value.op === "eq") &&
        is(value.args[1], 0n) &&
        value.args[0].type === "i8"
      ) {
        instr.args = [value.args[0]];
        if (value.op === "eq") instr.targets = [no, yes];
        this.changed = true;
      }
    } else if (instr.op === "switch") {
      const at = isConst(value) ? instr.cases.indexOf(value.imm) : -1;
      if (isConst(value)) this.#jump(block, instr, at < 0 ? instr.cases.length : at);
      else if (instr.targets.every((t) => t === instr.targets[0])) this.#jump(block, instr, 0);
      else if (instr.cases.length === 1) {
        const equal = this.#make("eq", "i8", [value, this.#const(value.type, instr.cases[0])]);
        terminate(block, make.branch(equal, [instr.targets[0], instr.targets[1]], instr.loc));
        this.changed = true;
      }
    }
  }
  /** Keeps only one of the edges. */
  #jump(block: Block, instr: Terminator, keep: number): void {
    jumpTo(block, instr.targets[keep]);
    this.changed = true;
  }
}

/** The one value that a phi stands for, ignoring itself; null if there are two. */
export function samePhi(phi: Instr): Instr | null {
  let same: Instr | null = null;
  for (const arg of phi.args) {
    if (arg === phi || arg === same) continue;
    if (same !== null) return null;
    same = arg;
  }
  return same;
}
