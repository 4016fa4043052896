/**
 * Loop-invariant code motion: an operation whose operands do not change in a loop is executed once in its preheader,
 * innermost loops first, so that it moves out of as many loops as possible. Operations that selection folds into their
 * user stay: comparisons, and parts of an address. Each value that is then live throughout a loop costs a register, so
 * there are only a few per loop.
 *
 * Pure operations always may move, even if the loop might not execute them. A load moves if nothing in the loop may
 * write there or make it visible to others, and if it reads a datum or local within its bounds or is executed in every
 * run of the loop (`rotate` makes this so for the first iteration). A division that may trap must also be executed in
 * every run, and the loop must have no side effects.
 */
import { Dominators, findLoops, successors } from "../ir/cfg.ts";
import type { Block, Func, Instr, Module } from "../ir/ir.ts";
import { opInfo } from "../ir/ops.ts";
import { isWithin, mayShare, type Place, placeOf } from "./alias.ts";
import { capturedAllocas } from "./forward.ts";
import { isLeaf } from "./gvn.ts";
import { preheaderOf, preheaders } from "./preheaders.ts";
import { isDivision, isPure, isVolatile } from "./rewrite.ts";

/** Most values that this pass keeps live through one loop. */
const MAX_VALUES = 5;
/** Largest scale of an address, as a shift. */
const MAX_SCALE_SHIFT = 3n;

export function licm(func: Func, module: Module): void {
  preheaders(func);
  const dominators = new Dominators(func);
  const loops = findLoops(dominators).reverse();
  const blockOf = new Map<Instr, Block>();
  if (loops.length > 0) for (const block of func.blocks) for (const instr of block.instrs) blockOf.set(instr, block);
  const captured = loops.length > 0 ? capturedAllocas(func) : new Set<Instr>();
  for (const { header, blocks } of loops) {
    const before = preheaderOf(header, blocks);
    if (before === null) continue;
    const effects = effectsOf(blocks);
    const exits = [...blocks].filter((b) => successors(b).some((s) => !blocks.has(s)));
    const isCertain = (block: Block): boolean =>
      exits.length > 0 && exits.every((exit) => dominators.dominates(block, exit));
    const mayMove = (instr: Instr, block: Block): boolean => {
      if (isPure(instr)) return !isLeaf(instr) && isWorthIt(instr);
      if (isDivision(instr)) return effects?.length === 0 && isCertain(block);
      if (instr.op !== "load" || instr.volatile || effects === null) return false;
      const place = placeOf(instr.args[0], instr.type);
      return (
        effects.every((e) => !mayShare(place, e, module, captured)) && (isWithin(place, module) || isCertain(block))
      );
    };
    const moved = new Set<Instr>();
    const outside = (value: Instr): boolean => moved.has(value) || !blocks.has(blockOf.get(value) as Block);
    // In layout order operands come before their users, except for those of phis; what another iteration would find
    // stays.
    for (const block of func.blocks) {
      if (!blocks.has(block)) continue;
      for (const instr of block.instrs) {
        if (instr.args.length > 0 && instr.args.every(outside) && mayMove(instr, block)) moved.add(instr);
      }
    }
    if (moved.size === 0) continue;
    const chosen = affordable(func, moved, blocks, blockOf);
    for (const block of blocks)
      if (block.instrs.some((i) => chosen.has(i))) block.instrs = block.instrs.filter((i) => !chosen.has(i));
    before.instrs.splice(-1, 0, ...chosen);
    for (const instr of chosen) {
      instr.block = before;
      blockOf.set(instr, before);
    }
  }
}

/**
 * What the loop writes; null if it does anything else that others may see or react to. Divisions that may trap do not
 * count.
 */
function effectsOf(blocks: ReadonlySet<Block>): Place[] | null {
  const places: Place[] = [];
  for (const block of blocks) {
    for (const instr of block.instrs) {
      const { args } = instr;
      if (isVolatile(instr)) return null;
      if (instr.op === "store") places.push(placeOf(args[0], args[1].type));
      else if (instr.op === "copy" || instr.op === "zero")
        places.push({ ...placeOf(args[0], "i8"), bytes: BigInt(instr.size) });
      else if (opInfo(instr.op).writesMemory) return null;
    }
  }
  return places;
}

function isWorthIt(instr: Instr): boolean {
  const [a, b] = instr.args;
  switch (instr.op) {
    case "add":
    case "sub":
      // The constant is a displacement.
      return a.op !== "const" && b.op !== "const";
    case "shl":
      return b.op !== "const" || b.imm > MAX_SCALE_SHIFT;
    case "trunc":
      return false;
    default:
      // A comparison becomes part of a branch.
      return opInfo(instr.op).result !== "i8";
  }
}

/** The first values that the loop would still need, with the values from which they are computed, in order. */
function affordable(
  func: Func,
  moved: ReadonlySet<Instr>,
  blocks: ReadonlySet<Block>,
  blockOf: ReadonlyMap<Instr, Block>,
): Set<Instr> {
  const needed = new Set<Instr>();
  for (const block of func.blocks) {
    for (const user of block.instrs) {
      if (moved.has(user)) continue;
      const isInside = blocks.has(blockOf.get(user) as Block);
      for (const arg of user.args) if (moved.has(arg) && (isInside || user.op === "phi")) needed.add(arg);
    }
  }
  const chosen = new Set<Instr>();
  const take = (value: Instr): void => {
    if (!moved.has(value) || chosen.has(value)) return;
    for (const arg of value.args) take(arg);
    chosen.add(value);
  };
  let count = 0;
  for (const value of moved) {
    if (!needed.has(value) || count === MAX_VALUES) continue;
    count++;
    take(value);
  }
  return chosen;
}
