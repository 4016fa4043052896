/**
 * Joins two branches that compare one value with constants: `c >= 48 && c <= 57` becomes `c - 48 < 10`, `c === 9 || c
 * === 10` becomes `c - 9 < 2`. The values that lead to each target are an interval on the circle of the type's values;
 * if the values of both branches together are again one interval, one unsigned comparison is enough. The second block
 * must contain only its comparison.
 */
import { phisOf, removeIncoming, terminatorOf } from "../ir/cfg.ts";
import type { Block, Func, Instr } from "../ir/ir.ts";
import { widthOf } from "../ir/ops.ts";
import { isLeaf } from "./gvn.ts";
import { newConst, newInstr } from "./rewrite.ts";

/** `length` values from `start` on, modulo 2^width; neither empty nor complete. */
export interface Interval {
  readonly start: bigint;
  readonly length: bigint;
}

export function intervals(func: Func): void {
  // Backwards, so that the last tests of a chain join first and the result can join again.
  let removed = false;
  for (let i = func.blocks.length - 1; i >= 0; i--) while (joinNext(func, func.blocks[i])) removed = true;
  if (removed) func.blocks = func.blocks.filter((b, i) => i === 0 || b.preds.length > 0);
}

function joinNext(func: Func, block: Block): boolean {
  const first = terminatorOf(block);
  if (first.op !== "branch" || first.targets[0] === first.targets[1]) return false;
  for (const side of [0, 1]) {
    const next = first.targets[side];
    const other = first.targets[1 - side];
    if (next.preds.length !== 1 || next === func.blocks[0]) continue;
    const second = terminatorOf(next);
    const at = second.op === "branch" ? second.targets.indexOf(other) : -1;
    if (at < 0 || second.targets[1 - at] === other) continue;
    const test = second.args[0];
    if (next.instrs.some((instr) => instr !== second && instr !== test && instr.op !== "dbg" && !isLeaf(instr)))
      continue;
    const a = trueFor(first.args[0]);
    const b = trueFor(test);
    if (a === null || b === null || a.value !== b.value) continue;
    const width = widthOf[a.value.type as "i64"];
    const both = intersection(
      side === 0 ? a.interval : complement(a.interval, width),
      at === 1 ? b.interval : complement(b.interval, width),
      width,
    );
    if (both === null) continue;
    const here = other.preds.indexOf(block);
    const there = other.preds.indexOf(next);
    if (phisOf(other).some((phi) => phi.args[here] !== phi.args[there])) continue;
    join(func, block, next, other, second.targets[1 - at], a.value, both);
    return true;
  }
  return false;
}

/** `block` goes to `inside` for values in the interval, else to `other`; `next` is removed. */
function join(
  func: Func,
  block: Block,
  next: Block,
  other: Block,
  inside: Block,
  value: Instr,
  interval: Interval,
): void {
  const branch = terminatorOf(block);
  removeIncoming(other, next);
  inside.preds = inside.preds.map((p) => (p === next ? block : p));
  next.preds = [];
  block.instrs.pop();
  // Leaves of the second block may be used in blocks that it dominates.
  for (const instr of next.instrs.slice(0, -1)) {
    instr.block = block;
    // A value that only one of the two paths knew.
    if (instr.op === "dbg") instr.debug.watched = null;
    block.instrs.push(instr);
  }
  const add = (instr: Instr): Instr => {
    instr.block = block;
    block.instrs.push(instr);
    return instr;
  };
  const { start, length } = interval;
  const constant = (n: bigint): Instr => add(newConst(func, value.type, n, branch.loc));
  const offset =
    length === 1n
      ? null
      : start === 0n
        ? value
        : add(newInstr(func, "sub", value.type, [value, constant(start)], branch.loc));
  branch.args = [
    offset === null
      ? add(newInstr(func, "eq", "i8", [value, constant(start)], branch.loc))
      : add(newInstr(func, "ult", "i8", [offset, constant(length)], branch.loc)),
  ];
  branch.targets = [inside, other];
  block.instrs.push(branch);
}

/** The values for which a comparison with a constant is true. */
function trueFor(test: Instr): { value: Instr; interval: Interval } | null {
  const [a, b] = test.args;
  if (!["eq", "ne", "ult", "ule", "slt", "sle"].includes(test.op) || (a.op === "const") === (b.op === "const"))
    return null;
  const isLeft = b.op === "const";
  const [value, constant] = isLeft ? [a, b] : [b, a];
  if (constant.op !== "const") return null;
  const c = constant.imm;
  const width = widthOf[value.type as "i64"];
  const circle = 1n << BigInt(width);
  const lowest = test.op === "slt" || test.op === "sle" ? circle / 2n : 0n;
  const between = (start: bigint, end: bigint): Interval | null => {
    const length = BigInt.asUintN(width, end - start);
    return length === 0n ? null : { start: BigInt.asUintN(width, start), length };
  };
  let interval: Interval | null = null;
  if (test.op === "eq") interval = { start: c, length: 1n };
  else if (test.op === "ne") interval = { start: BigInt.asUintN(width, c + 1n), length: circle - 1n };
  else if (test.op === "ult" || test.op === "slt") interval = isLeft ? between(lowest, c) : between(c + 1n, lowest);
  else interval = isLeft ? between(lowest, c + 1n) : between(c, lowest);
  return interval === null ? null : { value, interval };
}

const complement = ({ start, length }: Interval, width: number): Interval => ({
  start: BigInt.asUintN(width, start + length),
  length: (1n << BigInt(width)) - length,
});

/** Null: empty, or two pieces. */
export function intersection(a: Interval, b: Interval, width: number): Interval | null {
  const circle = 1n << BigInt(width);
  // Relative to a's start, b is [from, end) and, if it wraps, also [0, end - circle).
  const from = BigInt.asUintN(width, b.start - a.start);
  const end = from + b.length;
  const least = (x: bigint, y: bigint): bigint => (x < y ? x : y);
  const upper = from < a.length ? least(least(end, circle), a.length) - from : 0n;
  const lower = end > circle ? least(end - circle, a.length) : 0n;
  if (upper > 0n && lower > 0n) return null;
  const length = upper + lower;
  return length === 0n ? null : { start: upper > 0n ? BigInt.asUintN(width, a.start + from) : a.start, length };
}
