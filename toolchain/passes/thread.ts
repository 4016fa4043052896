/**
 * Jump threading: if some predecessors of a block know the outcome of its branch, their edges bypass it. They lead to a
 * copy of the block that jumps straight to the target, one copy per target, and phis join the values where the paths
 * meet (duplicate.ts). A predecessor knows: constant operands of a phi, comparisons of such operands, and what the
 * branches that lead to it have decided. If all predecessors know one outcome, the branch becomes a jump. Inlined
 * functions that return a boolean leave such blocks, usually with more phis than the tested one.
 *
 * Loops keep their single entry: from a loop's header only exits of the loop are threaded.
 */
import { make, numbered } from "../ir/builder.ts";
import {
  Dominators,
  findLoops,
  jumpTo,
  type Loop,
  phisOf,
  removeIncoming,
  removeUnreachable,
  targetFor,
  terminatorOf,
} from "../ir/cfg.ts";
import { evaluate } from "../ir/evaluate.ts";
import type { Block, Branch, Func, Instr, Switch, Terminator } from "../ir/ir.ts";
import { append, copyInto, leadTo, newBlock, repair, sizeOfCopy } from "./duplicate.ts";
import { isPure } from "./rewrite.ts";

/** Most instructions of a copied block, without leaves and phis. */
const MAX_COPIED = 6;
/** A threaded edge often exposes the next one; around an endless loop this would not end. */
const MAX_ROUNDS = 3;
const MAX_FACTS = 24;
const MAX_DEPTH = 4;

export function thread(func: Func): void {
  for (let round = 0; round < MAX_ROUNDS; round++) if (!new Threading(func).run()) return;
}

class Threading {
  readonly #func: Func;
  readonly #dominators: Dominators;
  readonly #loops = new Map<Block, Loop>();
  /** Blocks with predecessors that the dominator tree does not show. */
  readonly #touched = new Set<Block>();

  constructor(func: Func) {
    this.#func = func;
    this.#dominators = new Dominators(func);
    for (const loop of findLoops(this.#dominators)) this.#loops.set(loop.header, loop);
  }

  run(): boolean {
    let changed = false;
    for (const block of this.#dominators.order.slice(1)) {
      const last = terminatorOf(block);
      if ((last.op === "branch" || last.op === "switch") && this.#thread(block, last)) changed = true;
    }
    if (changed) removeUnreachable(this.#func);
    return changed;
  }

  #thread(block: Block, last: Branch | Switch): boolean {
    const groups = new Map<Block, Block[]>();
    const preds = new Set(block.preds);
    for (const pred of preds) {
      const target = pred === block ? null : this.#targetFrom(pred, block, last);
      if (target === null) continue;
      const group = groups.get(target);
      if (group) group.push(pred);
      else groups.set(target, [pred]);
    }
    if (groups.size === 0) return false;
    for (const [target, group] of groups) {
      if (group.length === preds.size) {
        jumpTo(block, target);
        return true;
      }
    }
    const loop = this.#loops.get(block);
    const threaded = [...groups].filter(([target]) => target !== block && !loop?.blocks.has(target));
    const size = threaded.length > 0 ? sizeOfCopy(block) : null;
    if (size === null || size > MAX_COPIED) return false;
    const copies = new Map<Block, Map<Instr, Instr>>();
    for (const [target, group] of threaded) {
      const { copy, values } = this.#copy(block, target, group);
      copies.set(copy, values);
      this.#touched.add(target);
    }
    this.#touched.add(block);
    if (block.preds.length === 0) {
      for (const target of last.targets) removeIncoming(target, block);
      this.#func.blocks.splice(this.#func.blocks.indexOf(block), 1);
    }
    repair(this.#func, block, copies);
    return true;
  }

  /** Redirects the edges from `preds` past the block's terminator to `target`. */
  #copy(block: Block, target: Block, preds: readonly Block[]): { copy: Block; values: Map<Instr, Instr> } {
    const func = this.#func;
    const copy = newBlock(func);
    const values = leadTo(func, block, preds, copy);
    copyInto(func, block, copy, values);
    append(copy, numbered(func, make.jump(target, terminatorOf(block).loc)));
    const edge = target.preds.indexOf(block);
    target.preds.push(copy);
    for (const phi of phisOf(target)) phi.args.push(phi.args[edge]);
    func.blocks.splice(func.blocks.indexOf(block), 0, copy);
    return { copy, values };
  }

  /** The target of the block for control from `pred`; null = unknown. */
  #targetFrom(pred: Block, block: Block, last: Branch | Switch): Block | null {
    const value = this.#valueFrom(pred, block, last.args[0], 0);
    return value === null ? null : targetFor(last, value);
  }

  /** The value of `value` in `block` for control from `pred`; null = unknown. */
  #valueFrom(pred: Block, block: Block, value: Instr, depth: number): bigint | null {
    if (value.op === "const") return value.imm;
    if (value.type === "f64" || depth > MAX_DEPTH) return null;
    if (value.block !== block) return this.#factOn(pred, block, value);
    if (value.op === "phi") {
      const arg = value.args[block.preds.indexOf(pred)];
      return arg.op === "const" ? arg.imm : arg.block === block ? null : this.#factOn(pred, block, arg);
    }
    if (!isPure(value) || value.args.length === 0) return null;
    const args: bigint[] = [];
    for (const arg of value.args) {
      const known = this.#valueFrom(pred, block, arg, depth + 1);
      if (known === null) return null;
      args.push(known);
    }
    const result = evaluate(value.op, value.type, value.args[0].type, args);
    return typeof result === "bigint" ? result : null;
  }

  /** What the branches have decided that lead to the edge from `pred` to `block`, if no other path leads there. */
  #factOn(pred: Block, block: Block, value: Instr): bigint | null {
    let from: Block | null = pred;
    let to = block;
    for (let steps = 0; from !== null && steps < MAX_FACTS; steps++) {
      const known = factOf(terminatorOf(from), to, value);
      if (known !== null) return known;
      // Further up the tree, only through blocks whose one predecessor is there.
      to = from;
      if (this.#touched.has(to) || !this.#dominators.reachable(to)) return null;
      while (to.preds.length !== 1) {
        const above: Block | null = this.#dominators.idom(to);
        if (above === null || this.#touched.has(above)) return null;
        to = above;
      }
      from = to.preds[0];
    }
    return null;
  }
}

/** The value of `value` if `last` has gone to `to`. */
function factOf(last: Terminator, to: Block, value: Instr): bigint | null {
  const { targets } = last;
  if (targets.length < 2) return null;
  const side = targets.indexOf(to);
  if (targets.indexOf(to, side + 1) >= 0) return null;
  const tested = last.args[0];
  if (last.op === "switch") return tested === value && side < last.cases.length ? last.cases[side] : null;
  if (tested === value) return side === 1 ? 0n : isComparison(value) ? 1n : null;
  const isEqual = (tested.op === "eq" && side === 0) || (tested.op === "ne" && side === 1);
  return isEqual && tested.args[0] === value && tested.args[1].op === "const" ? tested.args[1].imm : null;
}
const COMPARISONS = new Set(["eq", "ne", "slt", "sle", "ult", "ule", "feq", "fne", "flt", "fle"]);
const isComparison = (value: Instr): boolean => COMPARISONS.has(value.op);
