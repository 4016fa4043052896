/**
 * Moves constants and symbol addresses to their uses: one instruction per block, before its first use there (for a phi,
 * at the end of the predecessor). They cost nothing or one `mov`, while a value that is live throughout the function
 * costs a register. Last pass: selection folds them into the instruction that follows.
 */
import { clone, numbered } from "../ir/builder.ts";
import type { Block, Func, Instr } from "../ir/ir.ts";
import { isLeaf } from "./gvn.ts";

export function leaves(func: Func): void {
  // An operand of a phi is placed at the end of its predecessor, or earlier if that block uses it, too.
  const byBlock = new Map<Block, Map<Instr, Instr>>(func.blocks.map((b) => [b, new Map()]));
  const place = (leaf: Instr, block: Block, emit: (copy: Instr) => void): Instr => {
    const known = byBlock.get(block) as Map<Instr, Instr>;
    let copy = known.get(leaf);
    if (copy === undefined) {
      copy = numbered(func, clone(leaf, [], []));
      copy.block = block;
      known.set(leaf, copy);
      emit(copy);
    }
    return copy;
  };
  for (const block of func.blocks) {
    const out: Instr[] = [];
    for (const instr of block.instrs) {
      if (isLeaf(instr)) continue;
      if (instr.op !== "phi") {
        for (let i = 0; i < instr.args.length; i++) {
          if (isLeaf(instr.args[i])) instr.args[i] = place(instr.args[i], block, (copy) => out.push(copy));
        }
      }
      out.push(instr);
    }
    block.instrs = out;
  }
  for (const block of func.blocks) {
    for (const instr of block.instrs) {
      if (instr.op !== "phi") break;
      instr.args = instr.args.map((arg, i) => {
        const pred = block.preds[i];
        return isLeaf(arg) ? place(arg, pred, (copy) => pred.instrs.splice(-1, 0, copy)) : arg;
      });
    }
  }
}
