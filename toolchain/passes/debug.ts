/**
 * Support for debug values (`dbg`, ../ir/ops.ts) in passes. Most passes need nothing: replacing an operand replaces it
 * here too (Replacements.apply), and a removed value is computed from others if possible (x64/debug/values.ts). What
 * remains:
 *
 * - Code that tests whether a block is empty, counts instructions, or looks at the first one skips debug values:
 *   `isEmpty`, `firstOf`.
 * - A pass that removes a store records what the variables hold from there on: `afterStore`.
 * - A pass that redirects an edge past a block copies the block's debug values: `bypass`.
 * - A pass that keeps memory in registers for a while records that at both ends (promote.ts).
 *
 * Debug values never affect a decision, and never cause a new block or another instruction.
 */
import { phisOf, terminatorOf } from "../ir/cfg.ts";
import { make, numbered } from "../ir/builder.ts";
import type { Block, DebugMark, DebugValue, Func, Instr, Loc, Plain } from "../ir/ir.ts";
import { widthOf } from "../ir/ops.ts";

/** In no block yet. */
export function newDebug(func: Func, debug: DebugValue, loc: Loc, block: Block | null): DebugMark {
  const instr = numbered(func, make.debug(debug, loc));
  instr.block = block;
  return instr;
}

/** Contains only a terminator. */
export const isEmpty = (block: Block): boolean =>
  block.instrs.every((instr, i) => instr.op === "dbg" || i === block.instrs.length - 1);
/** The first instruction that is not a debug value; phis count. */
export const firstOf = (block: Block): Instr => block.instrs.find((instr) => instr.op !== "dbg") as Instr;

/** The debug values that watch the contents of each of `allocas`: those of variables that live there. */
export function watchersOf(func: Func, allocas: { has(alloca: Instr): boolean }): Map<Instr, DebugValue[]> {
  const watchers = new Map<Instr, DebugValue[]>();
  for (const block of func.blocks) {
    for (const instr of block.instrs) {
      if (instr.op !== "dbg") continue;
      const { debug } = instr;
      if (!debug.indirect || debug.watched === null || !allocas.has(debug.watched)) continue;
      const list = watchers.get(debug.watched);
      if (list === undefined) watchers.set(debug.watched, [debug]);
      else if (!list.some((d) => d.variable === debug.variable && d.offset === debug.offset && d.bytes === debug.bytes))
        list.push(debug);
    }
  }
  return watchers;
}

/**
 * Debug values for the variables that `watchers` place in an alloca, after `value` was recorded `at` bytes into it
 * instead of being stored; null = unknown.
 */
export function afterStore(
  func: Func,
  watchers: readonly DebugValue[],
  at: number,
  value: Instr | null,
  bytes: number,
  like: Instr,
): DebugMark[] {
  const width = value === null || value.type === "void" ? bytes : widthOf[value.type] / 8;
  return watchers.flatMap(({ variable, offset, bytes: size }) => {
    const count = Math.min(width, size - at);
    if (at < 0 || count <= 0) return [];
    const watched = value?.op === "undef" ? null : value;
    return newDebug(
      func,
      { variable, watched, indirect: false, offset: offset + at, bytes: count },
      like.loc,
      like.block,
    );
  });
}

/**
 * An edge from `from` now leads to `to` and bypasses `past`, which has only phis, debug values and its terminator. Call
 * this for each such `from` once the edge exists. `knownAs` maps a phi of `past` to its value on this path.
 */
export function bypass(func: Func, from: Block, past: Block, to: Block, knownAs: (value: Instr) => Instr): void {
  const passed = past.instrs.filter((i) => i.op === "dbg");
  if (passed.length === 0) return;
  // Two edges to one block are still two paths.
  const single = terminatorOf(from).op === "jump";
  for (const { debug, loc } of passed) {
    const { variable, offset, bytes, watched } = debug;
    if (single)
      from.instrs.splice(-1, 0, newDebug(func, { ...debug, watched: watched && knownAs(watched) }, loc, from));
    else forget(func, to, { variable, offset, bytes, watched: null, indirect: false }, loc);
  }
}

/** Records "unknown" at the head of `block`, unless it already describes these bytes there. */
export function forget(func: Func, block: Block, debug: DebugValue, loc: Loc): void {
  const head = phisOf(block).length;
  for (let i = head; i < block.instrs.length; i++) {
    const instr = block.instrs[i];
    if (instr.op !== "dbg") break;
    const known = instr.debug;
    if (
      known.variable === debug.variable &&
      known.offset <= debug.offset &&
      known.offset + known.bytes >= debug.offset + debug.bytes
    )
      return;
  }
  block.instrs.splice(head, 0, newDebug(func, { ...debug, watched: null }, loc, block));
}

/**
 * Operations that selection can recompute for debuggers (x64/debug/values.ts) when the code no longer computes them.
 */
const isTellable = (value: Instr): value is Plain =>
  value.op === "add" || value.op === "sub" || value.op === "zext" || value.op === "trunc";
const MAX_DEPTH = 4;

/**
 * A watched value in a copy of the code: `knownAs` for values of the copy, a new copy of a value that is in no block;
 * null = unknown.
 */
export function remade(value: Instr, knownAs: (value: Instr) => Instr | null, depth: number): Instr | null {
  const own = knownAs(value);
  if (own !== null) return own;
  if (value.op === "const" || value.op === "fconst" || value.op === "symbol") return value;
  if (!isTellable(value) || depth === MAX_DEPTH) return null;
  const args: Instr[] = [];
  for (const arg of value.args) {
    const copy = remade(arg, knownAs, depth + 1);
    if (copy === null) return null;
    args.push(copy);
  }
  const copy = make.plain(value.op, value.type, args, value.loc);
  copy.id = value.id;
  return copy;
}
