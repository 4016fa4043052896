/**
 * Removes what nothing needs: values whose uses are all dead (mark and sweep, so that cycles of phis go too), non-volatile loads and
 * safe divisions among them, and allocas that are only ever written, with the stores.
 */
import type { Func, Instr } from "../ir/ir.ts";
import { isRemovable, usesOf } from "./rewrite.ts";

export function dce(func: Func): void {
  removeWriteOnly(func);
  const live = new Set<Instr>();
  const work: Instr[] = [];
  for (const block of func.blocks) for (const instr of block.instrs) if (!isRemovable(instr)) work.push(instr);
  for (let instr = work.pop(); instr !== undefined; instr = work.pop()) {
    if (live.has(instr)) continue;
    live.add(instr);
    for (const arg of instr.args) if (!live.has(arg)) work.push(arg);
  }
  for (const block of func.blocks) block.instrs = block.instrs.filter((i) => live.has(i));
}

/** Allocas whose address is used for nothing but writing to them, directly or at an offset. */
function removeWriteOnly(func: Func): void {
  const allocas = func.blocks[0].instrs.filter((i) => i.op === "alloca");
  if (allocas.length === 0) return;
  const uses = usesOf(func);
  const dead = new Set<Instr>();
  for (const alloca of allocas) {
    const writes: Instr[] = [];
    const work: Instr[] = [alloca];
    let writeOnly = true;
    for (let address = work.pop(); address !== undefined && writeOnly; address = work.pop()) {
      for (const use of uses.get(address) ?? []) {
        if (use.op === "add") work.push(use);
        else if (!use.volatile && (use.op === "store" || use.op === "copy" || use.op === "zero") && use.args.lastIndexOf(address) === 0)
          writes.push(use);
        else writeOnly = false;
      }
    }
    if (writeOnly) for (const write of writes) dead.add(write);
  }
  if (dead.size > 0) for (const block of func.blocks) block.instrs = block.instrs.filter((i) => !dead.has(i));
}
