/**
 * Global value numbering over the dominator tree: a pure operation is replaced by one that dominates it and has the
 * same operands. Also removes phis that equal another phi of their block. Each constant becomes one instruction per
 * function, in the entry block; the pass `leaves` moves it back to its uses. Loads are handled by the pass `forward`.
 */
import { Dominators } from "../ir/cfg.ts";
import type { Block, Func, Instr } from "../ir/ir.ts";
import { opInfo } from "../ir/ops.ts";
import { samePhi } from "./fold.ts";
import { isPure, Replacements } from "./rewrite.ts";

export function gvn(func: Func): void {
  const dominators = new Dominators(func);
  const replacements = new Replacements();
  const table = new Map<string, Instr>();
  const hoisted: Instr[] = [];
  const entry = func.blocks[0];
  // The entries of a block leave the table when its subtree is done.
  const stack: ({ block: Block } | { leave: string[] })[] = [{ block: entry }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    if ("leave" in top) {
      for (const key of top.leave) table.delete(key);
      continue;
    }
    const { block } = top;
    const keys: string[] = [];
    const out: Instr[] = [];
    for (const instr of block.instrs) {
      const { args } = instr;
      for (let i = 0; i < args.length; i++) args[i] = replacements.resolve(args[i]);
      const key = keyOf(instr, block);
      if (key === null) {
        out.push(instr);
        continue;
      }
      const same = (instr.op === "phi" ? samePhi(instr) : null) ?? table.get(key);
      if (same) replacements.set(instr, same);
      else {
        table.set(key, instr);
        if (isLeaf(instr)) {
          // From now on known in the whole function: the entry dominates everything.
          instr.block = entry;
          hoisted.push(instr);
        } else {
          keys.push(key);
          out.push(instr);
        }
      }
    }
    block.instrs = out;
    stack.push({ leave: keys });
    for (const child of dominators.children(block)) stack.push({ block: child });
  }
  entry.instrs.unshift(...hoisted);
  replacements.apply(func);
}

export const isLeaf = (instr: Instr): boolean =>
  instr.op === "const" || instr.op === "fconst" || instr.op === "symbol" || instr.op === "undef";

function keyOf(instr: Instr, block: Block): string | null {
  switch (instr.op) {
    case "const":
      return `c${instr.type},${instr.imm}`;
    case "fconst":
      return Object.is(instr.float, -0) ? "f-0" : `f${instr.float}`;
    case "symbol":
      return `s${instr.imm},${instr.symbol}`;
    case "undef":
      return `u${instr.type}`;
    case "phi":
      return `p${block.id},${instr.type},${instr.args.map((a) => a.id).join()}`;
  }
  if (!isPure(instr)) {
    // A division that a dominating equal division has survived cannot trap.
    if (!/^[su](div|rem)$/.test(instr.op)) return null;
  }
  const [a, b, c] = instr.args;
  const swap = opInfo(instr.op).commutative === true && a.id > b.id;
  return `${instr.op},${instr.type},${a.type},${swap ? b.id : a.id},${swap ? a.id : (b?.id ?? "")},${c?.id ?? ""}`;
}
