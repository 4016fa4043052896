/**
 * Addresses that follow a loop counter. A load or store at `a + c*i`, where i grows by a constant in each iteration and
 * a does not change in the loop, is rewritten to a form that one addressing mode computes. If c is 1, 2, 4 or 8, a is
 * computed before the loop and i is the index. Otherwise a separate address is advanced by c times i's step (strength
 * reduction: no multiplication remains). Integer sums wrap, so their order does not matter; constants stay as
 * displacements.
 *
 * Only innermost loops are processed, because they gain most. Each form costs a register, so there are only a few per
 * loop.
 */
import { make, numbered } from "../ir/builder.ts";
import { Dominators, findLoops, type Loop, phisOf } from "../ir/cfg.ts";
import type { Block, Func, Instr, Loc, PlainOp } from "../ir/ir.ts";
import { copyOf } from "./duplicate.ts";
import { preheaderOf, preheaders } from "./preheaders.ts";
import { newConst, newInstr } from "./rewrite.ts";

/** Most forms per loop; each occupies a register throughout it. */
const MAX_FORMS = 4;
const MAX_TERMS = 5;
const MAX_DEPTH = 6;
/** Bound of the constant part of an address that stays with each access. */
const MAX_DISPLACEMENT = 1n << 30n;
const MAX_SHIFT = 32n;

/** A loop counter: a phi that grows by `step` at `next`. */
interface Counter {
  readonly phi: Instr;
  readonly first: Instr;
  readonly next: Instr;
  readonly step: bigint;
}
/** A sum of values times constants. */
interface Linear {
  readonly terms: ReadonlyMap<Instr, bigint>;
  readonly constant: bigint;
}
interface Form {
  readonly counter: Counter;
  readonly scale: bigint;
  /** The invariant part without its constant. */
  readonly rest: readonly (readonly [Instr, bigint])[];
  readonly accesses: { readonly instr: Instr; readonly constant: bigint }[];
  isAlways: boolean;
}

export function induction(func: Func): void {
  if (findLoops(new Dominators(func)).length === 0) return;
  preheaders(func);
  const dominators = new Dominators(func);
  const loops = findLoops(dominators);
  for (const { header, blocks } of loops) {
    const before = preheaderOf(header, blocks);
    if (before === null || loops.some((other) => other.header !== header && blocks.has(other.header))) continue;
    const counters = countersOf(header, blocks, before);
    if (counters.length === 0) continue;
    const latches = header.preds.filter((p) => blocks.has(p));
    const isAlways = (block: Block): boolean => latches.every((latch) => dominators.dominates(block, latch));
    const forms = formsOf(func, blocks, counters, isAlways);
    for (const form of forms.filter(isWorthIt).slice(0, MAX_FORMS)) shape(func, { header, blocks }, before, form);
  }
}

function countersOf(header: Block, blocks: ReadonlySet<Block>, before: Block): Counter[] {
  const at = header.preds.indexOf(before);
  return phisOf(header).flatMap((phi) => {
    const [next, ...others] = phi.args.filter((_, i) => i !== at);
    if (phi.type !== "i64" || next === undefined || others.some((o) => o !== next)) return [];
    const by = next.op === "add" && next.args[0] === phi ? next.args[1] : null;
    if (by?.op !== "const" || !blocks.has(next.block as Block)) return [];
    return { phi, first: phi.args[at], next, step: by.imm };
  });
}

/** The accesses of the loop, grouped by the common part of their addresses. */
function formsOf(
  func: Func,
  blocks: ReadonlySet<Block>,
  counters: readonly Counter[],
  isAlways: (block: Block) => boolean,
): Form[] {
  const forms = new Map<string, Form>();
  for (const block of func.blocks) {
    if (!blocks.has(block)) continue;
    for (const instr of block.instrs) {
      if (instr.op !== "load" && instr.op !== "store") continue;
      const linear = linearOf(instr.args[0], blocks, counters, 0);
      if (linear === null) continue;
      const counted = counters.filter((c) => linear.terms.has(c.phi));
      const constant = BigInt.asIntN(64, linear.constant);
      if (
        counted.length !== 1 ||
        linear.terms.size > MAX_TERMS ||
        constant > MAX_DISPLACEMENT ||
        constant < -MAX_DISPLACEMENT
      )
        continue;
      const [counter] = counted;
      const scale = linear.terms.get(counter.phi) as bigint;
      const rest = [...linear.terms].filter(([value]) => value !== counter.phi);
      const key = `${counter.phi.id}*${scale} ${rest.map(([value, c]) => `${value.id}*${c}`).sort()}`;
      let form = forms.get(key);
      if (form === undefined) forms.set(key, (form = { counter, scale, rest, accesses: [], isAlways: false }));
      form.accesses.push({ instr, constant });
      if (isAlways(block)) form.isAlways = true;
    }
  }
  return [...forms.values()];
}

/** Null: it changes in the loop in a way other than by a counter. */
function linearOf(
  value: Instr,
  blocks: ReadonlySet<Block>,
  counters: readonly Counter[],
  depth: number,
): Linear | null {
  if (value.op === "const") return { terms: new Map(), constant: value.imm };
  if (!blocks.has(value.block as Block) || value.op === "symbol" || counters.some((c) => c.phi === value))
    return { terms: new Map([[value, 1n]]), constant: 0n };
  if (depth === MAX_DEPTH) return null;
  const of = (arg: Instr): Linear | null => linearOf(arg, blocks, counters, depth + 1);
  const [a, b] = value.args;
  if (value.op === "add" || value.op === "sub") {
    const [x, y] = [of(a), of(b)];
    return x && y && sum(x, y, value.op === "add" ? 1n : -1n);
  }
  if (b?.op !== "const") return null;
  const factor = value.op === "mul" ? b.imm : value.op === "shl" && b.imm < MAX_SHIFT ? 1n << b.imm : null;
  const x = factor === null ? null : of(a);
  return x && sum({ terms: new Map(), constant: 0n }, x, factor as bigint);
}

function sum(x: Linear, y: Linear, factor: bigint): Linear {
  const terms = new Map(x.terms);
  for (const [value, c] of y.terms) {
    const total = BigInt.asIntN(64, (terms.get(value) ?? 0n) + c * factor);
    if (total === 0n) terms.delete(value);
    else terms.set(value, total);
  }
  return { terms, constant: BigInt.asUintN(64, x.constant + y.constant * factor) };
}

const shiftOf = (scale: bigint): number => [1n, 2n, 4n, 8n].indexOf(scale);

/**
 * False if one addressing mode already computes the address. A stepped address must be needed in every iteration that
 * steps it.
 */
function isWorthIt({ scale, rest, isAlways }: Form): boolean {
  if (shiftOf(scale) < 0) return isAlways;
  return rest.length > 1 || rest.some(([, c]) => c !== 1n);
}

function shape(
  func: Func,
  { header, blocks }: Pick<Loop, "header" | "blocks">,
  before: Block,
  { counter, scale, rest, accesses }: Form,
): void {
  const { loc } = accesses[0].instr;
  const inFront = (instr: Instr): Instr => {
    instr.block = before;
    before.instrs.splice(-1, 0, instr);
    return instr;
  };
  const shift = shiftOf(scale);
  // Symbols may be inside the loop.
  const fixed = rest.map(
    ([value, c]) => [blocks.has(value.block as Block) ? inFront(copyOf(func, value)) : value, c] as const,
  );
  const first = shift < 0 ? [...fixed, [counter.first, scale] as const] : fixed;
  const start = sumOf(func, first, loc, inFront);
  const base = shift < 0 ? stepped(func, header, before, start, counter, scale, loc) : start;
  for (const { instr, constant } of accesses) {
    const block = instr.block as Block;
    const here = (made: Instr): Instr => {
      made.block = block;
      block.instrs.splice(block.instrs.indexOf(instr), 0, made);
      return made;
    };
    const operation = (op: PlainOp, a: Instr, b: bigint | Instr): Instr =>
      here(
        newInstr(
          func,
          op,
          "i64",
          [a, typeof b === "bigint" ? here(newConst(func, "i64", b, instr.loc)) : b],
          instr.loc,
        ),
      );
    let address = base;
    if (shift === 0) address = operation("add", base, counter.phi);
    if (shift > 0) address = operation("add", base, operation("shl", counter.phi, BigInt(shift)));
    if (constant !== 0n) address = operation("add", address, BigInt.asUintN(64, constant));
    instr.args[0] = address;
  }
}

/** Sum of the values times their constants; constants are folded. */
function sumOf(
  func: Func,
  terms: readonly (readonly [Instr, bigint])[],
  loc: Loc,
  put: (instr: Instr) => Instr,
): Instr {
  const constant = (value: bigint): Instr => put(newConst(func, "i64", BigInt.asUintN(64, value), loc));
  const operation = (op: PlainOp, a: Instr, b: Instr): Instr => put(newInstr(func, op, "i64", [a, b], loc));
  let total: Instr | null = null;
  let known = 0n;
  for (const [value, c] of terms) {
    if (value.op === "const") {
      known += value.imm * c;
      continue;
    }
    const log = c > 0n && (c & (c - 1n)) === 0n ? BigInt(c.toString(2).length - 1) : null;
    const product =
      c === 1n ? value : log !== null ? operation("shl", value, constant(log)) : operation("mul", value, constant(c));
    total = total === null ? product : operation("add", total, product);
  }
  if (total === null) return constant(known);
  return BigInt.asUintN(64, known) === 0n ? total : operation("add", total, constant(known));
}

/** A phi that starts with `base` and grows `scale` times as fast as the counter. */
function stepped(
  func: Func,
  header: Block,
  before: Block,
  base: Instr,
  counter: Counter,
  scale: bigint,
  loc: Loc,
): Instr {
  const phi = numbered(func, make.phi("i64", [], "", loc));
  phi.block = header;
  const block = counter.next.block as Block;
  const step = newConst(func, "i64", BigInt.asUintN(64, counter.step * scale), loc);
  const next = newInstr(func, "add", "i64", [phi, step], loc);
  step.block = next.block = block;
  block.instrs.splice(block.instrs.indexOf(counter.next) + 1, 0, step, next);
  phi.args = header.preds.map((p) => (p === before ? base : next));
  header.instrs.unshift(phi);
  return phi;
}
