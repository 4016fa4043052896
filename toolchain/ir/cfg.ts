/**
 * The control-flow graph: predecessors, reverse postorder, dominators, dominance frontiers, loops.
 *
 * Each edge counts: a block that reaches another through two targets of its terminator is twice in that block's
 * `preds`, and phis have one operand for each entry. Two entries of one predecessor always have the same value (the
 * verifier checks it), so a back end may place the moves of an edge by predecessor.
 */
import { make } from "./builder.ts";
import type { Block, Branch, Func, Instr, Phi, Switch, Terminator } from "./ir.ts";

export function isTerminator(instr: Instr): instr is Terminator {
  switch (instr.op) {
    case "jump":
    case "branch":
    case "switch":
    case "ret":
    case "unreachable":
      return true;
    default:
      return false;
  }
}

/** The last instruction of a finished block. */
export function terminatorOf(block: Block): Terminator {
  const last = block.instrs[block.instrs.length - 1];
  if (last === undefined || !isTerminator(last)) throw new Error(`block b${block.id} has no terminator`);
  return last;
}
export const successors = (block: Block): Block[] => terminatorOf(block).targets;

/** The target of a branch or switch for a given value of its operand. */
export function targetFor(last: Branch | Switch, value: bigint): Block {
  if (last.op === "branch") return last.targets[value !== 0n ? 0 : 1];
  const at = last.cases.indexOf(value);
  return last.targets[at < 0 ? last.cases.length : at];
}

/** Rebuilds `preds` from the terminators. Only before there are phis: their operands would lose their order. */
export function recomputePreds(func: Func): void {
  for (const block of func.blocks) {
    if (block.instrs[0]?.op === "phi") throw new Error(`${func.name}: recomputePreds with a phi in b${block.id}`);
    block.preds = [];
  }
  for (const block of func.blocks) for (const target of successors(block)) target.preds.push(block);
}

/** The blocks reachable from the entry, each before its successors, except for back edges. */
export function reversePostorder(func: Func): Block[] {
  if (func.blocks.length === 1) return [...func.blocks];
  const order: Block[] = [];
  const seen = new Set<Block>([func.blocks[0]]);
  const stack: Block[] = [func.blocks[0]];
  const left: number[] = [successors(func.blocks[0]).length];
  while (stack.length > 0) {
    const block = stack[stack.length - 1];
    // Visit the last target first, so that the first one follows directly in the result.
    const next = --left[left.length - 1];
    if (next < 0) {
      order.push(block);
      stack.pop();
      left.pop();
      continue;
    }
    const target = successors(block)[next];
    if (seen.has(target)) continue;
    seen.add(target);
    stack.push(target);
    left.push(successors(target).length);
  }
  return order.reverse();
}

/** Dominator tree of the reachable blocks (Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm). */
export class Dominators {
  readonly order: readonly Block[];
  readonly #position = new Map<Block, number>();
  /** By position in `order`; the entry is its own immediate dominator. */
  readonly #idom: number[];
  readonly #children: Block[][];
  /** Preorder entry and exit times in the tree: a dominates b iff a's interval contains b's. */
  readonly #enter: number[];
  readonly #leave: number[];

  constructor(func: Func) {
    this.order = reversePostorder(func);
    this.order.forEach((b, i) => this.#position.set(b, i));
    const n = this.order.length;
    const preds = this.order.map((b) => b.preds.flatMap((p) => this.#position.get(p) ?? []));
    const idom = new Array<number>(n).fill(-1);
    idom[0] = 0;
    for (let changed = true; changed; ) {
      changed = false;
      for (let i = 1; i < n; i++) {
        let best = -1;
        for (const p of preds[i]) {
          if (idom[p] < 0) continue;
          let a = p;
          let b = best < 0 ? p : best;
          while (a !== b) {
            while (a > b) a = idom[a];
            while (b > a) b = idom[b];
          }
          best = a;
        }
        if (idom[i] !== best) {
          idom[i] = best;
          changed = true;
        }
      }
    }
    this.#idom = idom;
    this.#children = this.order.map(() => []);
    for (let i = 1; i < n; i++) this.#children[idom[i]].push(this.order[i]);
    this.#enter = new Array<number>(n).fill(0);
    this.#leave = new Array<number>(n).fill(0);
    let time = 0;
    const stack: [number, boolean][] = n > 0 ? [[0, false]] : [];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const [i, done] = top;
      if (done) {
        this.#leave[i] = time++;
        continue;
      }
      this.#enter[i] = time++;
      stack.push([i, true]);
      for (const child of this.#children[i]) stack.push([this.#position.get(child) as number, false]);
    }
  }
  reachable(block: Block): boolean {
    return this.#position.has(block);
  }
  /** Null for the entry. */
  idom(block: Block): Block | null {
    const i = this.#at(block);
    return i === 0 ? null : this.order[this.#idom[i]];
  }
  children(block: Block): readonly Block[] {
    return this.#children[this.#at(block)];
  }
  /** Every block dominates itself. */
  dominates(a: Block, b: Block): boolean {
    const i = this.#at(a);
    const j = this.#at(b);
    return this.#enter[i] <= this.#enter[j] && this.#leave[j] <= this.#leave[i];
  }
  /** Dominance frontier of each block. */
  frontiers(): Map<Block, Set<Block>> {
    const frontiers = new Map<Block, Set<Block>>();
    for (const block of this.order) {
      if (block.preds.length < 2) continue;
      const stop = this.idom(block);
      for (const pred of block.preds) {
        if (!this.reachable(pred)) continue;
        for (let runner: Block | null = pred; runner !== null && runner !== stop; runner = this.idom(runner)) {
          let set = frontiers.get(runner);
          if (set === undefined) frontiers.set(runner, (set = new Set()));
          set.add(block);
        }
      }
    }
    return frontiers;
  }
  #at(block: Block): number {
    const i = this.#position.get(block);
    if (i === undefined) throw new Error(`b${block.id} is unreachable`);
    return i;
  }
}

export interface Loop {
  readonly header: Block;
  /** Includes the header. */
  readonly blocks: ReadonlySet<Block>;
  /** 1 = outermost. */
  depth: number;
}

/** Natural loops, outer before inner; loops that share a header are one. Irreducible cycles are not found. */
export function findLoops(dominators: Dominators): Loop[] {
  const loops: Loop[] = [];
  for (const header of dominators.order) {
    const latches = header.preds.filter((p) => dominators.reachable(p) && dominators.dominates(header, p));
    if (latches.length === 0) continue;
    const blocks = new Set<Block>([header]);
    const work = [...latches];
    for (let block = work.pop(); block !== undefined; block = work.pop()) {
      if (blocks.has(block)) continue;
      blocks.add(block);
      work.push(...block.preds.filter((p) => dominators.reachable(p)));
    }
    loops.push({ header, blocks, depth: 1 + loops.filter((l) => l.blocks.has(header)).length });
  }
  return loops;
}

/** Loop depth of every reachable block; 0 = in no loop. */
export function loopDepths(dominators: Dominators): Map<Block, number> {
  const depths = new Map<Block, number>(dominators.order.map((b) => [b, 0]));
  for (const loop of findLoops(dominators))
    for (const block of loop.blocks) depths.set(block, Math.max(loop.depth, depths.get(block) ?? 0));
  return depths;
}

// ---- edges

/**
 * Removes one edge to `to`: the entry of `from` in its preds, with the operands of its phis. The caller changes the
 * terminator.
 */
export function removeIncoming(to: Block, from: Block): void {
  const at = to.preds.indexOf(from);
  if (at < 0) throw new Error(`b${from.id} is no predecessor of b${to.id}`);
  to.preds.splice(at, 1);
  for (const phi of phisOf(to)) phi.args.splice(at, 1);
}

/** Replaces the block's terminator and keeps its id. The caller updates edges and phis. */
export function terminate(block: Block, terminator: Terminator): void {
  const at = block.instrs.length - 1;
  terminator.id = block.instrs[at].id;
  terminator.block = block;
  block.instrs[at] = terminator;
}

/** Makes the block's terminator a jump to one of its targets and removes all its other edges. */
export function jumpTo(block: Block, target: Block): void {
  const last = terminatorOf(block);
  const keep = last.targets.indexOf(target);
  last.targets.forEach((other, i) => {
    if (i !== keep) removeIncoming(other, block);
  });
  terminate(block, make.jump(target, last.loc));
}

export function phisOf(block: Block): Phi[] {
  const phis: Phi[] = [];
  for (const instr of block.instrs) {
    if (instr.op !== "phi") break;
    phis.push(instr);
  }
  return phis;
}

/** Removes the blocks that the entry does not reach, with their edges. True if there were any. */
export function removeUnreachable(func: Func): boolean {
  const reachable = new Set(reversePostorder(func));
  if (reachable.size === func.blocks.length) return false;
  for (const block of func.blocks) {
    if (reachable.has(block)) continue;
    for (const target of successors(block)) if (reachable.has(target)) removeIncoming(target, block);
  }
  func.blocks = func.blocks.filter((b) => reachable.has(b));
  return true;
}
