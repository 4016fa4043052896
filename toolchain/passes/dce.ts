/**
 * Removes unused code: values whose uses are all dead (mark and sweep, so that cycles of phis are removed, too),
 * including non-volatile loads and safe divisions; and allocas that are only written, with their stores. Debug values
 * then record what these stored.
 */
import { make } from "../ir/builder.ts";
import type { Copy, DebugValue, Func, Instr, Store, Zero } from "../ir/ir.ts";
import { afterStore, watchersOf } from "./debug.ts";
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

/** Allocas whose address is only used to write to them, directly or at an offset. */
function removeWriteOnly(func: Func): void {
  const allocas = func.blocks[0].instrs.filter((i) => i.op === "alloca");
  if (allocas.length === 0) return;
  const uses = usesOf(func);
  const dead = new Map<Instr, Write>();
  const gone = new Set<Instr>();
  for (const alloca of allocas) {
    const writes: Write[] = [];
    const work: { address: Instr; offset: number }[] = [{ address: alloca, offset: 0 }];
    let writeOnly = true;
    for (let top = work.pop(); top !== undefined && writeOnly; top = work.pop()) {
      const { address, offset } = top;
      for (const use of uses.get(address) ?? []) {
        if (use.op === "add") {
          const other = use.args[use.args[0] === address ? 1 : 0];
          work.push({
            address: use,
            offset: other.op === "const" ? offset + Number(BigInt.asIntN(64, other.imm)) : Number.NaN,
          });
        } else if (
          ((use.op === "store" && !use.volatile) || use.op === "copy" || use.op === "zero") &&
          use.args.lastIndexOf(address) === 0
        )
          writes.push({ instr: use, alloca, offset });
        else writeOnly = false;
      }
    }
    if (!writeOnly) continue;
    gone.add(alloca);
    for (const write of writes) dead.set(write.instr, write);
  }
  if (dead.size === 0) return;
  const watchers = watchersOf(func, gone);
  for (const block of func.blocks) {
    if (!block.instrs.some((i) => dead.has(i))) continue;
    block.instrs = block.instrs.flatMap((i) => {
      const write = dead.get(i);
      return write === undefined ? i : told(func, write, watchers.get(write.alloca) ?? []);
    });
  }
}

interface Write {
  readonly instr: Store | Copy | Zero;
  readonly alloca: Instr;
  /** Bytes; NaN = unknown. */
  readonly offset: number;
}

/** The debug values that replace a write. */
function told(func: Func, { instr: write, offset }: Write, watchers: readonly DebugValue[]): Instr[] {
  if (watchers.length === 0) return [];
  if (Number.isNaN(offset)) return afterStore(func, watchers, 0, null, Number.MAX_SAFE_INTEGER, write);
  if (write.op === "store") return afterStore(func, watchers, offset, write.args[1], 8, write);
  if (write.op === "copy") return afterStore(func, watchers, offset, null, write.size, write);
  const zero = make.intConst("i64", 0n, write.loc);
  const parts: Instr[] = [];
  for (let at = 0; at < write.size; at += 8) {
    const value = at + 8 <= write.size ? zero : null;
    parts.push(...afterStore(func, watchers, offset + at, value, Math.min(8, write.size - at), write));
  }
  return parts;
}
