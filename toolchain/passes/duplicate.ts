/**
 * Copies blocks and repairs SSA form afterwards. If some predecessors of a block are redirected to copies of it, each
 * of its values is defined once in the block and once in each copy, and none of these definitions dominates all uses.
 * `repair` inserts phis where they meet (Braun et al.: Simple and Efficient Construction of Static Single Assignment
 * Form, 2013), only where a use follows and two different values really meet.
 *
 * A block's debug values are copied with it. They cause no phis: if a variable's value came from one of several copies
 * and no use needed the phi, it is unknown there.
 */
import { phisOf, removeIncoming, terminatorOf } from "../ir/cfg.ts";
import { clone, make, numbered } from "../ir/builder.ts";
import { Block, type DebugMark, type Func, type Instr, NO_LOC, type Phi } from "../ir/ir.ts";
import { newDebug, remade } from "./debug.ts";
import { samePhi } from "./fold.ts";
import { isLeaf } from "./gvn.ts";
import { isDivision, isPure } from "./rewrite.ts";

/** A copy of an instruction with the same operands, in no block; terminators go to `targets`. */
export const copyOf = (func: Func, old: Instr, targets: Block[] = []): Instr =>
  numbered(func, clone(old, [...old.args], targets));

/** A new block that is not in the function's list yet. */
export const newBlock = (func: Func): Block => new Block(func.blocks.reduce((max, b) => Math.max(max, b.id + 1), 0));

export function append<I extends Instr>(block: Block, instr: I): I {
  instr.block = block;
  block.instrs.push(instr);
  return instr;
}

/**
 * Cost of copying the block: instructions without leaves; null = it contains an instruction that must not be
 * duplicated.
 */
export function sizeOfCopy(block: Block): number | null {
  const last = terminatorOf(block);
  let size = 0;
  for (const instr of block.instrs) {
    if (instr.op === "phi" || instr.op === "dbg" || instr === last || isLeaf(instr)) continue;
    if (!isCopyable(instr)) return null;
    size++;
  }
  return size;
}
const isCopyable = (instr: Instr): boolean =>
  (instr.op === "load" && !instr.volatile) || isPure(instr) || isDivision(instr);

/**
 * Redirects the edges from `preds` to `block` to its copy, which is still empty. Returns the values of the block's phis
 * there: operands, or phis of the copy.
 */
export function leadTo(func: Func, block: Block, preds: readonly Block[], copy: Block): Map<Instr, Instr> {
  const values = new Map<Instr, Instr>();
  const at = block.preds.flatMap((p, i) => (preds.includes(p) ? i : []));
  copy.preds = at.map((i) => block.preds[i]);
  for (const phi of phisOf(block)) {
    const incoming = at.map((i) => phi.args[i]);
    if (incoming.every((value) => value === incoming[0])) {
      values.set(phi, incoming[0]);
      continue;
    }
    values.set(phi, append(copy, numbered(func, make.phi(phi.type, incoming, phi.name, phi.loc))));
  }
  for (const pred of copy.preds) removeIncoming(block, pred);
  for (const pred of new Set(copy.preds)) {
    const last = terminatorOf(pred);
    last.targets = last.targets.map((t) => (t === block ? copy : t));
  }
  return values;
}

/**
 * Appends copies of all instructions of `from` except phis and terminator. `values` gives the values of its phis; the
 * copies are added to it.
 */
export function copyInto(func: Func, from: Block, to: Block, values: Map<Instr, Instr>): void {
  const last = terminatorOf(from);
  for (const old of from.instrs) {
    if (old.op === "phi" || old === last) continue;
    if (old.op === "dbg") {
      const { watched } = old.debug;
      append(
        to,
        newDebug(
          func,
          { ...old.debug, watched: watched && remade(watched, (v) => inCopy(v, from, values), 0) },
          old.loc,
          to,
        ),
      );
      continue;
    }
    const copy = append(to, copyOf(func, old));
    copy.args = old.args.map((arg) => values.get(arg) ?? arg);
    values.set(old, copy);
  }
}

/** Null: an expression of the block's values must be copied, too. */
const inCopy = (value: Instr, from: Block, values: ReadonlyMap<Instr, Instr>): Instr | null =>
  values.get(value) ?? (value.block === from || value.args.some((arg) => values.has(arg)) ? null : value);

/**
 * Repairs the uses of the values that `block` defines; `copies` gives each value at the end of each copy. Edges and the
 * list of blocks are already final (`block` itself may be gone); phis have, for the edges from the copies, the operands
 * of the edge from the block.
 */
export function repair(func: Func, block: Block, copies: ReadonlyMap<Block, ReadonlyMap<Instr, Instr>>): void {
  const uses = new Map<Instr, Instr[]>();
  const debugs: DebugMark[] = [];
  for (const b of func.blocks) {
    if (copies.has(b)) continue;
    for (const instr of b.instrs) {
      if (instr.op === "dbg" && b !== block) debugs.push(instr);
      if (b === block && instr.op !== "phi") continue;
      for (const arg of instr.args) {
        if (arg.block !== block) continue;
        const list = uses.get(arg);
        if (list) list.push(instr);
        else uses.set(arg, [instr]);
      }
    }
  }
  const known = new Map<Instr, Meeting>();
  const isThere = func.blocks.includes(block);
  for (const [value, users] of uses) {
    const definitions = new Map<Block, Instr>(isThere ? [[block, value]] : []);
    for (const [copy, values] of copies) definitions.set(copy, values.get(value) as Instr);
    const meeting = new Meeting(func, value, definitions);
    known.set(value, meeting);
    meeting.rewrite(users);
  }
  tellDebuggers(func, block, copies, known, debugs);
}

/** The source variable that a value represents. */
const nameOf = (value: Instr): string =>
  value.op === "alloca" || value.op === "param" || value.op === "phi" ? value.name : "";

/** One value with definitions in several blocks. */
class Meeting {
  readonly #func: Func;
  readonly #value: Instr;
  readonly definitions: ReadonlyMap<Block, Instr>;
  /** Includes phis that turned out to be one value. */
  readonly #phis = new Map<Block, Phi>();
  readonly #same = new Map<Instr, Instr>();

  constructor(func: Func, value: Instr, definitions: ReadonlyMap<Block, Instr>) {
    this.#func = func;
    this.#value = value;
    this.definitions = definitions;
  }

  rewrite(users: readonly Instr[]): void {
    // Blocks that need the value at their start, and their predecessors up to the definitions.
    const wanted = new Set<Block>();
    const work: Block[] = [];
    const want = (block: Block): void => {
      if (wanted.has(block)) return;
      wanted.add(block);
      work.push(block);
    };
    const blockOf = (user: Instr): Block => user.block as Block;
    for (const user of users) {
      if (user.op !== "phi") want(blockOf(user));
      else
        blockOf(user).preds.forEach((pred, i) => {
          if (user.args[i] === this.#value && !this.definitions.has(pred)) want(pred);
        });
    }
    for (let block = work.pop(); block !== undefined; block = work.pop()) {
      if (block.preds.length > 1) this.#phi(block);
      for (const pred of block.preds) if (!this.definitions.has(pred)) want(pred);
    }
    for (const [block, phi] of this.#phis) phi.args = block.preds.map((pred) => this.#atEnd(pred));
    this.#simplify();
    for (const user of users) {
      for (let i = 0; i < user.args.length; i++) {
        if (user.args[i] !== this.#value) continue;
        user.args[i] = user.op === "phi" ? this.#atEnd(blockOf(user).preds[i]) : this.#atStart(blockOf(user));
      }
    }
    for (const [block, phi] of this.placed()) {
      phi.args = phi.args.map((arg) => this.#resolve(arg));
      phi.block = block;
      block.instrs.unshift(phi);
    }
  }
  placed(): [Block, Phi][] {
    return [...this.#phis].filter(([, phi]) => !this.#same.has(phi));
  }

  /** The value at the start of a block, without creating phis; null = no single value is known there. */
  find(block: Block): Instr | null {
    let at = block;
    for (let steps = 0; steps <= this.#func.blocks.length; steps++) {
      const phi = this.#phis.get(at);
      if (phi) return this.#resolve(phi);
      if (at.preds.length !== 1) return null;
      const value = this.definitions.get(at.preds[0]);
      if (value) return value;
      at = at.preds[0];
    }
    return null;
  }

  #phi(block: Block): void {
    const value = this.#value;
    const phi = numbered(this.#func, make.phi(value.type, [], nameOf(value), value.loc));
    this.#phis.set(block, phi);
  }
  #atEnd(block: Block): Instr {
    return this.definitions.get(block) ?? this.#atStart(block);
  }
  #atStart(block: Block): Instr {
    // If no definition reaches the block, it is unreachable and any value will do.
    return this.find(block) ?? this.#value;
  }
  #resolve(value: Instr): Instr {
    let at = value;
    for (let next = this.#same.get(at); next !== undefined; next = this.#same.get(at)) at = next;
    return at;
  }
  /** A phi of one value is that value; removing it may make another phi redundant. */
  #simplify(): void {
    for (let changed = true; changed; ) {
      changed = false;
      for (const phi of this.#phis.values()) {
        if (this.#same.has(phi)) continue;
        phi.args = phi.args.map((arg) => this.#resolve(arg));
        const same = samePhi(phi);
        if (same === null) continue;
        this.#same.set(phi, same);
        changed = true;
      }
    }
  }
}

/**
 * Updates debug values that watch the block's values in blocks that a copy's value may also reach, and records the
 * variables where values meet.
 */
function tellDebuggers(
  func: Func,
  block: Block,
  copies: ReadonlyMap<Block, ReadonlyMap<Instr, Instr>>,
  known: ReadonlyMap<Instr, Meeting>,
  debugs: readonly DebugMark[],
): void {
  const defined = new Set(block.instrs);
  const dependsOn = (value: Instr, depth: number): boolean =>
    defined.has(value) ||
    (depth > 0 && value.block !== null && value.op !== "phi" && value.args.some((arg) => dependsOn(arg, depth - 1)));
  let reached: Set<Block> | null = null;
  for (const instr of debugs) {
    const { watched } = instr.debug;
    if (!watched || !dependsOn(watched, 3)) continue;
    reached ??= reachedFrom([...copies.keys()], block);
    if (reached.has(instr.block as Block)) instr.debug.watched = known.get(watched)?.find(instr.block as Block) ?? null;
  }
  // Directly after the copies, a variable has the value of the phi there.
  const told = block.instrs.flatMap((i) => (i.op === "dbg" ? i.debug : []));
  for (const [k, debug] of told.entries()) {
    const meeting = debug.watched ? known.get(debug.watched) : undefined;
    if (!meeting || told.some((d, m) => m > k && d.variable === debug.variable && d.offset === debug.offset)) continue;
    for (const [at, phi] of meeting.placed()) {
      if (!at.preds.every((p) => meeting.definitions.has(p))) continue;
      at.instrs.splice(phisOf(at).length, 0, newDebug(func, { ...debug, watched: phi }, NO_LOC, at));
    }
  }
}

function reachedFrom(starts: readonly Block[], end: Block): Set<Block> {
  const reached = new Set<Block>();
  const work = starts.flatMap((b) => terminatorOf(b).targets);
  for (let block = work.pop(); block !== undefined; block = work.pop()) {
    if (reached.has(block) || block === end) continue;
    reached.add(block);
    work.push(...terminatorOf(block).targets);
  }
  return reached;
}
