/**
 * Sparse conditional constant propagation (Wegman, Zadeck: Constant Propagation with Conditional Branches, 1991).
 * Values and edges are evaluated together: a value is assumed constant, and an edge never taken, until reached code
 * shows otherwise. So it finds constants that a loop carries round, and branches that only such constants would take,
 * where `fold` sees a phi of two values.
 *
 * Values come from `evaluate`; as in `fold`, operations that would trap, results that are NaN and conversions out of
 * range are left to the processor. `undef` is not a constant: two reads of it may have to agree.
 */
import { make, numbered } from "../ir/builder.ts";
import { isTerminator, jumpTo, phisOf, removeUnreachable, targetFor, terminatorOf } from "../ir/cfg.ts";
import { convertible, evaluate, type Value } from "../ir/evaluate.ts";
import type { Block, Func, Instr, Terminator } from "../ir/ir.ts";
import { isFoldable, newConst, Replacements, usesOf } from "./rewrite.ts";

/** Lattice: no entry (not reached yet), a constant, UNKNOWN. A value only moves upwards. */
const UNKNOWN: unique symbol = Symbol("unknown");
type Known = Value | typeof UNKNOWN;

export function sccp(func: Func): void {
  const { known, edges, reached } = new Propagation(func).run();
  const replacements = new Replacements();
  const constants = new Map<string, Instr>();
  const entry = func.blocks[0];
  const constant = (like: Instr, value: Value): Instr => {
    const key = typeof value === "bigint" ? `${like.type}${value}` : `f${Object.is(value, -0) ? "-0" : value}`;
    let instr = constants.get(key);
    if (instr === undefined) {
      if (typeof value === "bigint") instr = newConst(func, like.type, value, like.loc);
      else instr = numbered(func, make.floatConst(value, like.loc));
      instr.block = entry;
      constants.set(key, instr);
    }
    return instr;
  };
  for (const block of func.blocks) {
    if (!reached.has(block)) continue;
    for (const instr of block.instrs) {
      const value = known.get(instr);
      if (value === undefined || value === UNKNOWN || instr.op === "const" || instr.op === "fconst") continue;
      replacements.set(instr, constant(instr, value));
    }
    const taken = [...(edges.get(block) ?? [])];
    if (taken.length === 1 && terminatorOf(block).targets.length > 1) jumpTo(block, taken[0]);
  }
  entry.instrs.unshift(...constants.values());
  replacements.apply(func);
  removeUnreachable(func);
}

class Propagation {
  readonly known = new Map<Instr, Known>();
  /** From each block, the targets that control was found to reach. */
  readonly edges = new Map<Block, Set<Block>>();
  readonly reached = new Set<Block>();
  readonly #uses: ReadonlyMap<Instr, readonly Instr[]>;
  readonly #blocks: Block[] = [];
  readonly #values: Instr[] = [];

  constructor(func: Func) {
    this.#uses = usesOf(func);
    this.#blocks.push(func.blocks[0]);
    this.reached.add(func.blocks[0]);
  }

  run(): this {
    for (;;) {
      const value = this.#values.pop();
      if (value !== undefined) {
        for (const use of this.#uses.get(value) ?? []) if (this.reached.has(use.block as Block)) this.#visit(use);
        continue;
      }
      const block = this.#blocks.pop();
      if (block === undefined) return this;
      for (const instr of block.instrs) this.#visit(instr);
    }
  }

  #visit(instr: Instr): void {
    if (isTerminator(instr)) this.#leave(instr);
    else if (instr.type !== "void" && this.known.get(instr) !== UNKNOWN)
      this.#rise(instr, instr.op === "phi" ? this.#phi(instr) : this.#value(instr));
  }
  /** `value` undefined: still not reached. */
  #rise(instr: Instr, value: Known | undefined): void {
    const old = this.known.get(instr);
    if (value === undefined || (old !== undefined && isSame(old, value))) return;
    // Never from one constant to another: that might not terminate.
    this.known.set(instr, old === undefined ? value : UNKNOWN);
    this.#values.push(instr);
  }

  #phi(phi: Instr): Known | undefined {
    const block = phi.block as Block;
    let same: Known | undefined;
    for (let i = 0; i < phi.args.length; i++) {
      if (!this.edges.get(block.preds[i])?.has(block)) continue;
      const value = this.known.get(phi.args[i]);
      if (value === undefined) continue;
      if (value === UNKNOWN || (same !== undefined && !isSame(same, value))) return UNKNOWN;
      same = value;
    }
    return same;
  }

  #value(instr: Instr): Known | undefined {
    const { op, args } = instr;
    if (instr.op === "const") return instr.imm;
    if (instr.op === "fconst") return Number.isNaN(instr.float) ? UNKNOWN : instr.float;
    if (args.length === 0 || !isFoldable(instr)) return UNKNOWN;
    if (op === "select") {
      const [condition, yes, no] = args.map((arg) => this.known.get(arg));
      if (condition === undefined) return undefined;
      if (condition !== UNKNOWN) return condition !== 0n ? yes : no;
      if (yes === undefined || no === undefined) return undefined;
      return isSame(yes, no) ? yes : UNKNOWN;
    }
    const values: Value[] = [];
    let waits = false;
    for (const arg of args) {
      const value: Known | undefined = this.known.get(arg);
      if (value === UNKNOWN) return UNKNOWN;
      if (value === undefined) waits = true;
      else values.push(value);
    }
    if (waits) return undefined;
    if ((op === "ftosi" || op === "ftoui") && !convertible(op, values[0] as number)) return UNKNOWN;
    const value = evaluate(op, instr.type, args[0].type, values);
    return value === undefined || Number.isNaN(value) ? UNKNOWN : value;
  }

  #leave(last: Terminator): void {
    const { targets } = last;
    const value = last.args.length === 0 ? UNKNOWN : this.known.get(last.args[0]);
    if (value === undefined) return;
    if (value === UNKNOWN) for (const target of targets) this.#take(last.block as Block, target);
    else if (last.op === "branch" || last.op === "switch")
      this.#take(last.block as Block, targetFor(last, value as bigint));
  }
  #take(from: Block, to: Block): void {
    let taken = this.edges.get(from);
    if (taken === undefined) this.edges.set(from, (taken = new Set()));
    if (taken.has(to)) return;
    taken.add(to);
    if (this.reached.has(to)) for (const phi of phisOf(to)) this.#visit(phi);
    else {
      this.reached.add(to);
      this.#blocks.push(to);
    }
  }
}

const isSame = (a: Known, b: Known): boolean => Object.is(a, b);
