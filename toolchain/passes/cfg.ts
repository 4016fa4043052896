/**
 * Cleans up the control flow until nothing changes:
 * - removes unreachable blocks;
 * - replaces a branch or switch whose targets are all one block by a jump;
 * - merges a block into its only predecessor if that has no other successor;
 * - threads edges through blocks that contain only a jump;
 * - threads edges on which a branch's condition is a phi of constants (as && and || produce them).
 * An infinite empty loop stays. Two edges of one block never get two values for a phi (see ir/cfg.ts).
 */
import { jumpTo, phisOf, removeIncoming, removeUnreachable, targetFor, terminatorOf } from "../ir/cfg.ts";
import type { Block, Func, Instr, Phi } from "../ir/ir.ts";
import { bypass, isEmpty } from "./debug.ts";
import { Replacements, usesOf } from "./rewrite.ts";

/** Without a bound, threading constants around an endless loop would not end. */
const MAX_ROUNDS = 50;

export function cleanCfg(func: Func): void {
  removeUnreachable(func);
  let changed = true;
  for (let round = 0; changed && round < MAX_ROUNDS; round++) {
    changed = false;
    for (const block of [...func.blocks]) if (threadEmpty(func, block)) changed = true;
    for (const block of func.blocks) if (joinTargets(block)) changed = true;
    if (threadConstants(func)) changed = true;
    if (removeUnreachable(func)) changed = true;
    if (mergeChains(func)) changed = true;
  }
}

/** pred → block → target becomes pred → target if `block` is only a jump. */
function threadEmpty(func: Func, block: Block): boolean {
  if (block === func.blocks[0] || !isEmpty(block) || terminatorOf(block).op !== "jump") return false;
  const target = terminatorOf(block).targets[0];
  if (target === block) return false;
  const at = target.preds.indexOf(block);
  const phis = phisOf(target);
  let changed = false;
  for (const pred of [...new Set(block.preds)]) {
    // An existing edge pred → target must agree on every phi, because the values could not be distinguished.
    const existing = target.preds.indexOf(pred);
    if (existing >= 0 && phis.some((phi) => phi.args[existing] !== phi.args[at])) continue;
    redirect(pred, block, target, (phi) => phi.args[target.preds.indexOf(block)]);
    bypass(func, pred, block, target, (value) => value);
    changed = true;
  }
  if (block.preds.length === 0 && changed) detach(func, block);
  return changed;
}

function joinTargets(block: Block): boolean {
  const last = terminatorOf(block);
  const [target, ...others] = last.targets;
  if (others.length === 0 || others.some((t) => t !== target)) return false;
  jumpTo(block, target);
  return true;
}

/**
 * Redirects all edges pred → from to pred → to; phis of `to` take `value`. `from` has no phis, or they lose the
 * operand.
 */
function redirect(pred: Block, from: Block, to: Block, value: (phi: Phi) => Instr): void {
  const { targets } = terminatorOf(pred);
  for (let i = 0; i < targets.length; i++) {
    if (targets[i] !== from) continue;
    const values = phisOf(to).map(value);
    targets[i] = to;
    removeIncoming(from, pred);
    to.preds.push(pred);
    phisOf(to).forEach((phi, k) => phi.args.push(values[k]));
  }
}

function detach(func: Func, block: Block): void {
  for (const target of terminatorOf(block).targets) removeIncoming(target, block);
  func.blocks.splice(func.blocks.indexOf(block), 1);
}

/**
 * For a block that consists of phis and a branch (or switch) on one of them: a predecessor whose operand is constant
 * goes straight to the target. Only if the block's phis are used nowhere else, except in phis of its successors on the
 * edges from it.
 */
function threadConstants(func: Func): boolean {
  let uses: Map<Instr, Instr[]> | null = null;
  let changed = false;
  for (const block of func.blocks) {
    const last = terminatorOf(block);
    const condition = last.args[0];
    if ((last.op !== "branch" && last.op !== "switch") || condition.op !== "phi" || condition.block !== block) continue;
    const phis = phisOf(block);
    if (
      block.instrs.some((i) => i.op !== "phi" && i.op !== "dbg" && i !== last) ||
      !condition.args.some((a) => a.op === "const") ||
      last.targets.includes(block)
    )
      continue;
    uses ??= usesOf(func);
    const local = phis.every((phi) =>
      (uses?.get(phi) ?? []).every(
        (use) =>
          use === last || (use.op === "phi" && last.targets.includes(use.block as Block) && onlyFrom(use, phi, block)),
      ),
    );
    if (!local) continue;
    for (const pred of [...new Set(block.preds)]) {
      const at = block.preds.indexOf(pred);
      const value = condition.args[at];
      if (value.op !== "const" || pred === block) continue;
      const target = targetFor(last, value.imm);
      const edge = target.preds.indexOf(block);
      const incoming = (phi: Phi): Instr => {
        const arg = phi.args[edge];
        return arg.op === "phi" && arg.block === block ? arg.args[at] : arg;
      };
      const existing = target.preds.indexOf(pred);
      if (existing >= 0 && phisOf(target).some((phi) => phi.args[existing] !== incoming(phi))) continue;
      const values = new Map(phisOf(target).map((phi) => [phi, incoming(phi)]));
      const phisAt = new Map<Instr, Instr>(phis.map((phi) => [phi, phi.args[at]]));
      redirect(pred, block, target, (phi) => values.get(phi) as Instr);
      bypass(func, pred, block, target, (value) => phisAt.get(value) ?? value);
      changed = true;
      uses = null;
      break;
    }
  }
  return changed;
}

/** Whether `phi` takes `value` only on the edges from `block`. */
const onlyFrom = (phi: Instr, value: Instr, block: Block): boolean =>
  phi.args.every((arg, i) => arg !== value || phi.block?.preds[i] === block);

/** A block with one successor that has one predecessor takes over its instructions. */
function mergeChains(func: Func): boolean {
  const merged = new Set<Block>();
  const replacements = new Replacements();
  for (const block of func.blocks) {
    if (merged.has(block)) continue;
    for (;;) {
      const last = terminatorOf(block);
      const next = last.targets[0];
      if (last.op !== "jump" || next === block || next.preds.length !== 1 || next === func.blocks[0]) break;
      block.instrs.pop();
      // With one predecessor, a phi equals its operand.
      const phis = phisOf(next);
      for (const phi of phis) replacements.set(phi, replacements.resolve(phi.args[0]));
      for (const instr of next.instrs.slice(phis.length)) {
        instr.block = block;
        block.instrs.push(instr);
      }
      for (const target of new Set(terminatorOf(block).targets))
        target.preds = target.preds.map((p) => (p === next ? block : p));
      next.instrs = [];
      merged.add(next);
    }
  }
  replacements.apply(func);
  if (merged.size > 0) func.blocks = func.blocks.filter((b) => !merged.has(b));
  return merged.size > 0;
}
