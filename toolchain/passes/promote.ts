/**
 * Keeps static data and locals in registers while a loop runs: a scalar that the loop reads and writes at one address
 * is loaded in the preheader and stored after each exit. It is stored only if the loop has stored to it: memory that
 * the program has not written may belong to another owner. The value and a flag for "stored" become locals here;
 * `mem2reg` turns them into values.
 *
 * Only for loops without other visible effects: no call, assembly, atomic, fence, volatile access, block copy or
 * division that may trap. Nothing else in the loop may access the place. A loop that only reads keeps its loads.
 */
import { make, numbered } from "../ir/builder.ts";
import { Dominators, findLoops, phisOf, removeIncoming, terminate, terminatorOf } from "../ir/cfg.ts";
import {
  Block,
  type DebugValue,
  type Func,
  type Instr,
  type Load,
  type Loc,
  type Module,
  type Store,
} from "../ir/ir.ts";
import { opInfo, type Type, widthOf } from "../ir/ops.ts";
import { isWithin, mayShare, type Place, placeOf } from "./alias.ts";
import { capturedAllocas } from "./forward.ts";
import { newDebug, watchersOf } from "./debug.ts";
import { preheaderOf, preheaders } from "./preheaders.ts";
import { isSafeDivision, isVolatile, newConst, newInstr } from "./rewrite.ts";

/** Most places per loop: each costs a register and another for its flag. */
const MAX_PLACES = 3;

interface Access {
  readonly instr: Load | Store;
  readonly block: Block;
  readonly type: Type;
  readonly place: Place;
}

export function promote(func: Func, module: Module): void {
  const candidates = findLoops(new Dominators(func));
  if (candidates.length === 0) return;
  preheaders(func);
  const done = new Set<Block>();
  let captured: Set<Instr> | null = null;
  // Outer loops first: what is kept in a register in the outer loop need not be handled in the inner one.
  for (const { header, blocks } of findLoops(new Dominators(func))) {
    const before = preheaderOf(header, blocks);
    if (done.has(header) || before === null) continue;
    const accesses = accessesOf(blocks);
    if (accesses === null) continue;
    captured ??= capturedAllocas(func);
    const groups = promotable(accesses, module, captured);
    const exits = exitsOf(blocks);
    if (groups.length === 0 || exits.length === 0) continue;
    for (const group of groups) {
      const { base } = group[0].place;
      const watchers = typeof base === "string" ? [] : (watchersOf(func, new Set([base])).get(base) ?? []);
      keep(func, before, group, exits, watchers);
    }
    for (const block of blocks) done.add(block);
  }
}

/** The loop's loads and stores; null if it has other effects on memory or on the outside. */
function accessesOf(blocks: ReadonlySet<Block>): Access[] | null {
  const accesses: Access[] = [];
  for (const block of blocks) {
    for (const instr of block.instrs) {
      if (isVolatile(instr)) return null;
      const info = opInfo(instr.op);
      if (instr.op === "load" || instr.op === "store") {
        const type = instr.op === "load" ? instr.type : instr.args[1].type;
        accesses.push({ instr, block, type, place: placeOf(instr.args[0], type) });
      } else if (instr.op === "dbg") continue;
      else if (info.readsMemory || info.writesMemory || (info.effect && !info.terminator && !isSafeDivision(instr)))
        return null;
    }
  }
  return accesses;
}

/** Groups of accesses to one place, read and written, that nothing else in the loop may access. */
function promotable(accesses: readonly Access[], module: Module, captured: ReadonlySet<Instr>): Access[][] {
  const groups: Access[][] = [];
  for (const a of accesses) {
    const { place, type } = a;
    if (place.low !== place.high || !isWithin(place, module)) continue;
    if (typeof place.base === "string" && module.data.get(place.base)?.readonly) continue;
    const isSame = (b: Access): boolean =>
      b.type === type && b.place.base === place.base && b.place.low === place.low && b.place.high === place.high;
    const group = groups.find((g) => isSame(g[0]));
    if (group) group.push(a);
    else if (accesses.every((b) => isSame(b) || !mayShare(place, b.place, module, captured))) groups.push([a]);
  }
  return groups
    .filter((g) => g.some((a) => a.instr.op === "load") && g.some((a) => a.instr.op === "store"))
    .slice(0, MAX_PLACES);
}

/** Each exit edge once. `keep` inserts its blocks there and moves `from`. */
function exitsOf(blocks: ReadonlySet<Block>): { from: Block; to: Block }[] {
  const exits: { from: Block; to: Block }[] = [];
  for (const from of blocks)
    for (const to of new Set(terminatorOf(from).targets)) if (!blocks.has(to)) exits.push({ from, to });
  return exits;
}

function keep(
  func: Func,
  before: Block,
  group: readonly Access[],
  exits: { from: Block; to: Block }[],
  watchers: readonly DebugValue[],
): void {
  const { place, type, instr } = group[0];
  const bytes = widthOf[type as "i64"] / 8;
  const value = local(func, bytes, instr);
  const flag = local(func, 1, instr);
  const address = (block: Block): Instr => addressIn(func, block, place, instr);
  const { loc } = instr;
  const first = append(func, before, make.load(type, address(before), false, loc));
  append(func, before, make.store(value, first, false, loc));
  append(func, before, make.store(flag, constant(func, before, "i8", 0n, loc), false, loc));
  livesAt(func, before, watchers, place, bytes, value, instr);
  for (const { instr: at, block } of group) {
    at.args[0] = value;
    if (at.op === "load") continue;
    const one = newConst(func, "i8", 1n, at.loc);
    const mark = numbered(func, make.store(flag, one, false, at.loc));
    one.block = mark.block = block;
    block.instrs.splice(block.instrs.indexOf(at) + 1, 0, one, mark);
  }
  for (const exit of exits) {
    const [test, write, next] = splitEdge(func, exit);
    const written = append(func, test, make.load("i8", flag, false, loc));
    terminate(test, make.branch(written, [write, next], terminatorOf(test).loc));
    write.preds = [test];
    next.preds = [test, write];
    const to = address(write);
    append(func, write, make.store(to, append(func, write, make.load(type, value, false, loc)), false, loc));
    livesAt(func, next, watchers, place, bytes, null, instr);
    exit.from = next;
  }
}

/** From here on, the variables at the place are in `alloca`; null: at the place again. */
function livesAt(
  func: Func,
  block: Block,
  watchers: readonly DebugValue[],
  { base, low }: Place,
  bytes: number,
  alloca: Instr | null,
  { loc }: Instr,
): void {
  for (const { variable, offset, bytes: size } of watchers) {
    const at = Number(low);
    if (at < 0 || at + bytes > size || typeof base === "string") continue;
    let watched = alloca ?? base;
    if (alloca === null && at > 0) watched = newInstr(func, "add", "i64", [base, newConst(func, "i64", low, loc)], loc);
    block.instrs.splice(
      -1,
      0,
      newDebug(func, { variable, watched, indirect: true, offset: offset + at, bytes }, loc, block),
    );
  }
}

/** Splits the edge by three new blocks; the first and the second lead to the third. */
function splitEdge(func: Func, { from, to }: { from: Block; to: Block }): [Block, Block, Block] {
  let id = func.blocks.reduce((max, b) => Math.max(max, b.id + 1), 0);
  const [test, write, next] = [new Block(id++), new Block(id++), new Block(id)];
  const at = to.preds.indexOf(from);
  const values = phisOf(to).map((phi) => phi.args[at]);
  const last = terminatorOf(from);
  for (let i = 0; i < last.targets.length; i++) {
    if (last.targets[i] !== to) continue;
    last.targets[i] = test;
    test.preds.push(from);
    removeIncoming(to, from);
  }
  to.preds.push(next);
  phisOf(to).forEach((phi, i) => phi.args.push(values[i]));
  for (const [block, target] of [
    [test, write],
    [write, next],
    [next, to],
  ]) {
    const jump = numbered(func, make.jump(target, last.loc));
    jump.block = block;
    block.instrs.push(jump);
  }
  func.blocks.splice(func.blocks.indexOf(from) + 1, 0, test, write, next);
  return [test, write, next];
}

function local(func: Func, bytes: number, like: Instr): Instr {
  const instr = numbered(func, make.alloca(bytes, bytes, "", like.loc));
  instr.block = func.blocks[0];
  func.blocks[0].instrs.unshift(instr);
  return instr;
}

/** Inserts before the block's terminator. */
function append(func: Func, block: Block, instr: Instr): Instr {
  numbered(func, instr).block = block;
  block.instrs.splice(-1, 0, instr);
  return instr;
}
const constant = (func: Func, block: Block, type: "i8" | "i64", value: bigint, loc: Loc): Instr =>
  append(func, block, make.intConst(type, BigInt.asUintN(widthOf[type], value), loc));
function addressIn(func: Func, block: Block, { base, low }: Place, { loc }: Instr): Instr {
  if (typeof base === "string") return append(func, block, make.symbol(base, low, loc));
  if (low === 0n) return base;
  return append(func, block, make.plain("add", "i64", [base, constant(func, block, "i64", low, loc)], loc));
}
