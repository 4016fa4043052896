/**
 * Dead-store elimination: a store, copy or clearing of memory is removed if all of its bytes are overwritten, on every
 * path from there, before they may be read; locals end with the function. The pass goes backwards over the blocks until
 * the sets of places that will be overwritten are stable (alias.ts decides which places may share a byte).
 *
 * A place is dropped from the set at loads and copies that may read it. It is also dropped at calls, assembly, atomics,
 * fences, volatile accesses and divisions that may trap, unless it is a local whose address is known nowhere else. An
 * endless path overwrites nothing. If a place's address is computed in a loop, the place belongs to that iteration
 * only.
 */
import { reversePostorder, terminatorOf } from "../ir/cfg.ts";
import type { Block, Copy, DebugValue, Func, Instr, Module, Store, Zero } from "../ir/ir.ts";
import { opInfo, widthOf } from "../ir/ops.ts";
import { mayShare, type Place, placeOf } from "./alias.ts";
import { afterStore, newDebug, watchersOf } from "./debug.ts";
import { capturedAllocas } from "./forward.ts";
import { isSafeDivision, isVolatile } from "./rewrite.ts";

/** Bytes that will be overwritten before they are read. */
interface Doomed {
  readonly place: Place;
  /** Where they start: exactly `offset` from this datum or value. */
  readonly base: string | Instr;
  readonly offset: bigint;
}
/** Longest list; beyond it the oldest entry is dropped. */
const MAX_DOOMED = 32;
const MAX_ROUNDS = 10;

export function dse(func: Func, module: Module): void {
  if (!func.blocks.some((b) => b.instrs.some(isWrite))) return;
  const walk = new Walk(func, module);
  const order = reversePostorder(func).reverse();
  // Unknown lists are ignored: lists only get shorter.
  let isDone = false;
  for (let round = 0; !isDone; round++) {
    if (round === MAX_ROUNDS) return;
    isDone = true;
    for (const block of order) if (walk.visit(block)) isDone = false;
  }
  const dead = new Set<Instr>();
  for (const block of order) walk.collect(block, dead);
  if (dead.size > 0) remove(func, dead);
}

type Write = Store | Copy | Zero;
const isWrite = (instr: Instr): instr is Write =>
  (instr.op === "store" && !instr.volatile) || instr.op === "copy" || instr.op === "zero";

class Walk {
  readonly #module: Module;
  readonly #captured: ReadonlySet<Instr>;
  readonly #locals: readonly Doomed[];
  /** Blocks from which no path leads to an end of the function. */
  readonly #endless: ReadonlySet<Block>;
  readonly #atStart = new Map<Block, readonly Doomed[]>();

  constructor(func: Func, module: Module) {
    this.#module = module;
    this.#captured = capturedAllocas(func);
    this.#locals = func.blocks[0].instrs
      .filter((i) => i.op === "alloca")
      .map((alloca) => ({
        place: { base: alloca, low: 0n, high: 0n, bytes: BigInt(alloca.size) },
        base: alloca,
        offset: 0n,
      }));
    this.#endless = endlessBlocks(func);
  }

  /** True if the list at its start has changed, or is not known yet. */
  visit(block: Block): boolean {
    const before = this.#atStart.get(block);
    const atEnd = this.#atEndOf(block);
    if (atEnd === null) return true;
    const now = this.#through(block, atEnd, null);
    this.#atStart.set(block, now);
    return before?.length !== now.length || !now.every((d) => isAmong(d, before));
  }

  collect(block: Block, dead: Set<Instr>): void {
    this.#through(block, this.#atEndOf(block) ?? [], dead);
  }

  /** Computes the list at the block's start from that at its end. Overwritten stores are added to `dead`. */
  #through(block: Block, atEnd: readonly Doomed[], dead: Set<Instr> | null): readonly Doomed[] {
    let doomed = [...atEnd];
    for (let i = block.instrs.length - 1; i >= 0; i--) {
      const instr = block.instrs[i];
      if (instr.op === "dbg") continue;
      if (isWrite(instr)) {
        const written = doomedBy(instr);
        if (isAmong(written, doomed)) {
          dead?.add(instr);
          continue;
        }
        const read = instr.op === "copy" ? rangeOf(instr.args[1], instr.size) : null;
        if (read) doomed = this.#without(doomed, read);
        if (read && mayShare(written.place, read, this.#module, this.#captured)) continue;
        if (doomed.length === MAX_DOOMED) doomed.shift();
        doomed.push(written);
      } else {
        if (instr.op === "load") doomed = this.#without(doomed, placeOf(instr.args[0], instr.type));
        if (isSeen(instr)) doomed = doomed.filter((d) => this.#isPrivate(d));
      }
      // Before this definition, the same name means another iteration's value.
      if (instr.type === "i64") doomed = doomed.filter((d) => d.base !== instr);
    }
    return doomed;
  }

  /** Null: not known yet. */
  #atEndOf(block: Block): readonly Doomed[] | null {
    if (this.#endless.has(block)) return [];
    const last = terminatorOf(block);
    if (last.op === "ret") return this.#locals;
    if (last.targets.length === 0) return this.#locals.filter((d) => this.#isPrivate(d));
    const lists = last.targets.flatMap((t): (readonly Doomed[])[] =>
      this.#atStart.has(t) ? [this.#atStart.get(t) ?? []] : [],
    );
    if (lists.length === 0) return null;
    const all: Doomed[] = [];
    for (const list of lists)
      for (const d of list) if (!isAmong(d, all) && lists.every((other) => isAmong(d, other))) all.push(d);
    return all;
  }
  #without(doomed: readonly Doomed[], read: Place): Doomed[] {
    return doomed.filter((d) => !mayShare(d.place, read, this.#module, this.#captured));
  }
  #isPrivate({ base }: Doomed): boolean {
    return typeof base !== "string" && base.op === "alloca" && !this.#captured.has(base);
  }
}

function endlessBlocks(func: Func): Set<Block> {
  const endless = new Set(func.blocks);
  const work = func.blocks.filter((b) => terminatorOf(b).targets.length === 0);
  for (let block = work.pop(); block !== undefined; block = work.pop())
    if (endless.delete(block)) work.push(...block.preds);
  return endless;
}

/** Whether other code may read memory here. */
function isSeen(instr: Instr): boolean {
  if (instr.op === "load" || isVolatile(instr)) return isVolatile(instr);
  const info = opInfo(instr.op);
  return (
    info.readsMemory ||
    info.writesMemory ||
    (info.effect && !info.terminator && instr.op !== "alloca" && !isSafeDivision(instr)) === true
  );
}

const rangeOf = (address: Instr, size: number): Place => ({ ...placeOf(address, "i8"), bytes: BigInt(size) });

function doomedBy(write: Write): Doomed {
  const [address, value] = write.args;
  const place = rangeOf(address, write.op === "store" ? widthOf[value.type as "i64"] / 8 : write.size);
  // If the index is unknown, only the address itself can be compared.
  return place.low === place.high
    ? { place, base: place.base, offset: place.low }
    : { place, base: address, offset: 0n };
}

/** Whether all bytes of `a` are among those of `b`. */
function isCovered(a: Doomed, b: Doomed): boolean {
  const end = b.offset + b.place.bytes;
  if (a.base === b.base) return a.offset >= b.offset && a.offset + a.place.bytes <= end;
  const { base, low, high, bytes } = a.place;
  return base === b.base && low >= b.offset && high + bytes <= end;
}

const isAmong = (d: Doomed, list: readonly Doomed[]): boolean =>
  list.some((other) => d === other || isCovered(d, other));

/** For debuggers, variables in a local have the value that would have been stored, until the next store. */
function remove(func: Func, dead: ReadonlySet<Instr>): void {
  const places = new Map<Instr, Place>([...dead].map((write) => [write, placeOf(write.args[0], "i8")]));
  const allocas = new Set<Instr>();
  for (const { base } of places.values()) if (typeof base !== "string" && base.op === "alloca") allocas.add(base);
  const watchers = watchersOf(func, allocas);
  for (const block of func.blocks) {
    if (watchers.size === 0) {
      if (block.instrs.some((i) => dead.has(i))) block.instrs = block.instrs.filter((i) => !dead.has(i));
      continue;
    }
    block.instrs = block.instrs.flatMap((instr) => {
      if (!isWrite(instr)) return instr;
      const { base, low, high } = places.get(instr) ?? placeOf(instr.args[0], "i8");
      const watching = typeof base === "string" ? [] : (watchers.get(base) ?? []);
      const isKnown = low === high;
      const bytes = isKnown
        ? instr.op === "store"
          ? widthOf[instr.args[1].type as "i64"] / 8
          : instr.size
        : Number.MAX_SAFE_INTEGER;
      const at = isKnown ? Number(low) : 0;
      if (dead.has(instr))
        return afterStore(func, watching, at, isKnown && instr.op === "store" ? instr.args[1] : null, bytes, instr);
      return [instr, ...watching.flatMap((w) => inMemory(func, w, at, bytes, instr))];
    });
  }
}

/** From here on the variable's bytes from `at` are in memory again. */
function inMemory(func: Func, debug: DebugValue, at: number, bytes: number, like: Instr): Instr[] {
  const count = Math.min(bytes, debug.bytes - at);
  if (at < 0 || count <= 0 || debug.watched === null) return [];
  if (at === 0) return [newDebug(func, { ...debug, bytes: count }, like.loc, like.block)];
  // Watched through the address that the write computed.
  return [
    newDebug(func, { ...debug, watched: like.args[0], offset: debug.offset + at, bytes: count }, like.loc, like.block),
  ];
}
