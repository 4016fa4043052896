/**
 * Follows the allocated code instruction by instruction (like regalloc-check.ts) and determines where the values are
 * that debuggers ask for: for each watched value the locations that hold it, by whatever copies, until they are
 * overwritten; for each piece of a variable its binding. Where paths meet, only what they agree on remains. When a
 * value is computed again, variables bound to its old value lose it.
 *
 * Pieces: the byte ranges that a variable's debug values ever distinguish.
 */
import type { Variable } from "../../ir/ir.ts";
import { placeArguments } from "../abi.ts";
import { forEachValue, type Mark, PARAMETER, type Told, toldKey } from "./told.ts";
import { DEF, FIRST_VIRTUAL, forEachRegister, type MachineInstr } from "../machine.ts";
import { FIRST_SLOT, type Placed, type PlacedFunction } from "../regalloc-place.ts";
import type { Type } from "../../ir/ops.ts";

export interface Piece {
  readonly variable: Variable;
  readonly offset: number;
  readonly bytes: number;
}
/** What pieces are bound to. */
export interface Binding {
  readonly alternatives: readonly BoundAlternative[];
  readonly indirect: boolean;
  /** Offset in the variable at which the described value starts. */
  readonly base: number;
  /** Mask of the alternatives that are valid from the start. */
  readonly atFirst: number;
}
export interface BoundAlternative {
  readonly told: Told;
  /** Indices of the watched values that it needs, in order; all must have a location. */
  readonly values: readonly number[];
  /** Index of the value after whose computation it becomes valid; −1: from the start. */
  readonly once: number;
}
export const UNKNOWN = -1;
/** Most alternatives of a binding: they are bits. */
export const ALTERNATIVES = 8;

export interface State {
  /** By watched value, `words` each: mask of the locations that hold it. */
  readonly held: Uint32Array;
  /** By piece: its binding << ALTERNATIVES | mask of the valid alternatives; or UNKNOWN. */
  readonly bound: Int32Array;
}

export class DebugTracker {
  readonly pieces: Piece[] = [];
  readonly bindings: Binding[] = [];
  /** 32-bit words of locations: 32 registers, then slots. */
  readonly words: number;
  readonly #placed: PlacedFunction;
  /** Index among the watched values by register number or parameter. */
  readonly #values = new Map<number, number>();
  /** By virtual register − FIRST_VIRTUAL; −1 = not watched. */
  readonly #watched: Int32Array;
  /**
   * By watched value: for each binding the alternatives that become invalid, and those that become valid, when it is
   * computed again.
   */
  readonly #affected: (Map<number, { lost: number; made: number }> | undefined)[] = [];
  readonly #binds = new Map<MachineInstr, { piece: number; binding: number }[]>();
  readonly #entries: (State | null)[];

  constructor(placed: PlacedFunction, parameters: readonly Type[]) {
    this.#placed = placed;
    this.words = (FIRST_SLOT + placed.slotCount + 31) >>> 5;
    this.#watched = new Int32Array(placed.f.registerCount).fill(-1);
    this.#entries = placed.blocks.map(() => null);
    this.#collect();
    if (this.pieces.length > 0) this.#solve(parameters);
  }

  /** State at the start of a block; null if it is unreachable. The caller may change it. */
  entry(index: number): State | null {
    const entry = this.#entries[index];
    return entry && { held: entry.held.slice(), bound: entry.bound.slice() };
  }

  /** Applies the debug values before the instruction. */
  bind(instr: MachineInstr, state: State): void {
    for (const { piece, binding } of this.#binds.get(instr) ?? [])
      state.bound[piece] = binding < 0 ? UNKNOWN : (binding << ALTERNATIVES) | this.bindings[binding].atFirst;
  }

  /** Applies the instruction itself. */
  step({ instr, locations }: Placed, state: State): void {
    if (this.#values.size === 0) return;
    if (instr.op === "copy" || instr.op === "parcopy" || instr.op === "shuffle")
      return this.#move(instr, locations, state);
    const { held } = state;
    const { words } = this;
    const lost = new Uint32Array(words);
    lost[0] = instr.defs | instr.earlyDefs;
    // Assembly may change the registers of its inputs.
    if (instr.op === "expand") lost[0] |= instr.uses;
    let k = 0;
    forEachRegister(instr, (operand) => {
      const location = locations[k++];
      if (location >= 0 && (operand.role & DEF || instr.op === "expand")) lost[location >>> 5] |= 1 << (location & 31);
    });
    for (let w = 0; w < words; w++) {
      const keep = ~lost[w];
      if (keep !== -1) for (let i = w; i < held.length; i += words) held[i] &= keep;
    }
    k = 0;
    forEachRegister(instr, (operand) => {
      const location = locations[k++];
      if (!(operand.role & DEF) || operand.reg < FIRST_VIRTUAL) return;
      const value = this.#watched[operand.reg - FIRST_VIRTUAL];
      if (value < 0) return;
      this.#renew(value, state, true);
      if (location >= 0) held[value * words + (location >>> 5)] |= 1 << (location & 31);
    });
  }

  /** A value is computed again; `isResult`: not by a copy, which may be the first half of an operation. */
  #renew(value: number, { held, bound }: State, isResult: boolean): void {
    held.fill(0, value * this.words, (value + 1) * this.words);
    const affected = this.#affected[value];
    if (affected === undefined) return;
    for (let p = 0; p < bound.length; p++) {
      const now = bound[p];
      if (now === UNKNOWN) continue;
      const effect = affected.get(now >> ALTERNATIVES);
      if (effect === undefined) continue;
      // A value that was computed from another can be undone if that other value is the watched one.
      const made = isResult && now & 1 ? effect.made : 0;
      const rest = (now & ((1 << ALTERNATIVES) - 1) & ~effect.lost) | made;
      bound[p] = rest === 0 ? UNKNOWN : ((now >> ALTERNATIVES) << ALTERNATIVES) | rest;
    }
  }

  /** A copy takes along everything that its source holds. */
  #move(instr: MachineInstr, locations: readonly number[], state: State): void {
    const { held } = state;
    const { words } = this;
    const pairs: { to: number; from: number; value: number; source: number }[] = [];
    let k = 0;
    for (let i = 0; i < instr.operands.length; i += 2) {
      const target = instr.operands[i];
      const source = instr.operands[i + 1];
      const to = locations[k++];
      const from = source.kind === "reg" ? locations[k++] : -1;
      const isNew = instr.op !== "shuffle" && target.kind === "reg" && target.reg >= FIRST_VIRTUAL;
      pairs.push({
        to,
        from,
        value: isNew ? this.#watched[target.reg - FIRST_VIRTUAL] : -1,
        source: source.kind === "reg" && source.reg >= FIRST_VIRTUAL ? this.#watched[source.reg - FIRST_VIRTUAL] : -1,
      });
    }
    const before = held.slice();
    for (const { to } of pairs) {
      const keep = ~(1 << (to & 31));
      for (let i = to >>> 5; i < held.length; i += words) held[i] &= keep;
    }
    for (const { to, from } of pairs) {
      if (from < 0) continue;
      const bit = 1 << (from & 31);
      for (let i = 0; i < held.length; i += words)
        if (before[i + (from >>> 5)] & bit) held[i + (to >>> 5)] |= 1 << (to & 31);
    }
    // A new value is where its source is, and in the source's other copies.
    const also = pairs.map(({ to, value, source }) => {
      if (value < 0) return null;
      const own = source < 0 ? new Uint32Array(words) : held.slice(source * words, (source + 1) * words);
      own[to >>> 5] |= 1 << (to & 31);
      return own;
    });
    pairs.forEach(({ value }, i) => {
      const own = also[i];
      if (own === null) return;
      this.#renew(value, state, false);
      held.set(own, value * words);
    });
  }

  // ---- pieces and bindings

  #collect(): void {
    const { f, blocks } = this.#placed;
    const { teller } = f;
    if (teller === null) return;
    const marks: { instr: MachineInstr; variable: Variable; mark: Mark }[] = [];
    const cuts = new Map<Variable, Set<number>>();
    for (const { code } of blocks) {
      for (const { instr } of code) {
        for (const { debug } of instr.debug ?? []) {
          const { variable } = debug;
          let known = cuts.get(variable);
          if (known === undefined) cuts.set(variable, (known = new Set()));
          for (const mark of teller.tell(debug)) {
            known.add(mark.offset).add(mark.offset + mark.bytes);
            marks.push({ instr, variable, mark });
          }
        }
      }
    }
    const first = new Map<Variable, number>();
    for (const [variable, known] of cuts) {
      first.set(variable, this.pieces.length);
      const at = [...known].sort((a, b) => a - b);
      for (let i = 1; i < at.length; i++) this.pieces.push({ variable, offset: at[i - 1], bytes: at[i] - at[i - 1] });
    }
    const known = new Map<string, number>();
    for (const { instr, variable, mark } of marks) {
      let list = this.#binds.get(instr);
      if (list === undefined) this.#binds.set(instr, (list = []));
      const binding = mark.alternatives.length === 0 ? UNKNOWN : this.#binding(mark, known);
      for (let p = first.get(variable)!; p < this.pieces.length; p++) {
        const piece = this.pieces[p];
        if (piece.variable !== variable || piece.offset >= mark.offset + mark.bytes) break;
        if (piece.offset >= mark.offset) list.push({ piece: p, binding });
      }
    }
  }
  #binding(mark: Mark, known: Map<string, number>): number {
    const given = mark.alternatives.slice(0, ALTERNATIVES);
    const key = `${given.map(({ told, once }) => `${toldKey(told)}@${once}`).join()},${mark.indirect},${mark.offset}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    let atFirst = 0;
    const alternatives = given.map(({ told, once }, i): BoundAlternative => {
      const values: number[] = [];
      forEachValue(told, (value) => values.push(this.#value(value)));
      if (once === null) atFirst |= 1 << i;
      return { told, values, once: once === null ? -1 : this.#value(once) };
    });
    const index = this.bindings.push({ alternatives, indirect: mark.indirect, base: mark.offset, atFirst }) - 1;
    known.set(key, index);
    alternatives.forEach(({ values, once }, i) => {
      for (const value of values) this.#effect(value, index).lost |= 1 << i;
      if (once >= 0) this.#effect(once, index).made |= 1 << i;
    });
    return index;
  }
  #effect(value: number, binding: number): { lost: number; made: number } {
    const affected = (this.#affected[value] ??= new Map());
    let effect = affected.get(binding);
    if (effect === undefined) affected.set(binding, (effect = { lost: 0, made: 0 }));
    return effect;
  }
  #value(number: number): number {
    let value = this.#values.get(number);
    if (value === undefined) {
      value = this.#values.size;
      this.#values.set(number, value);
      if (number >= FIRST_VIRTUAL) this.#watched[number - FIRST_VIRTUAL] = value;
    }
    return value;
  }

  // ---- data flow

  #solve(parameters: readonly Type[]): void {
    const { blocks } = this.#placed;
    this.#entries[0] = this.#start(parameters);
    const pending = new Uint8Array(blocks.length);
    pending[0] = 1;
    for (let again = true; again; ) {
      again = false;
      for (let b = 0; b < blocks.length; b++) {
        if (!pending[b]) continue;
        pending[b] = 0;
        const state = this.entry(b)!;
        for (const placed of blocks[b].code) {
          if (placed.instr.debug !== null) this.bind(placed.instr, state);
          this.step(placed, state);
        }
        for (const succ of blocks[b].block.succs) {
          const entry = this.#entries[succ.index];
          if (entry === null) this.#entries[succ.index] = { held: state.held.slice(), bound: state.bound.slice() };
          else if (!meet(entry, state)) continue;
          pending[succ.index] = 1;
          if (succ.index <= b) again = true;
        }
      }
    }
  }
  /** At the function's entry its parameters are where the convention says. */
  #start(parameters: readonly Type[]): State {
    const held = new Uint32Array(this.#values.size * this.words);
    const bound = new Int32Array(this.pieces.length).fill(UNKNOWN);
    const { places } = placeArguments(parameters);
    places.forEach((place, index) => {
      const value = this.#values.get(PARAMETER - index);
      if (value !== undefined && "reg" in place) held[value * this.words] |= 1 << place.reg;
    });
    for (const list of this.#binds.values()) {
      for (const { piece, binding } of list) {
        const { variable } = this.pieces[piece];
        if (variable.parameter < 0 || variable.scope.inlinedAt || binding < 0 || bound[piece] >= 0) continue;
        const { alternatives, atFirst } = this.bindings[binding];
        const { told } = alternatives[0];
        if (told.kind === "value" && told.value === PARAMETER - variable.parameter && told.addend === 0n)
          bound[piece] = (binding << ALTERNATIVES) | atFirst;
      }
    }
    return { held, bound };
  }
}

/** Keeps in `into` what both agree on; true if something was removed. */
function meet(into: State, other: State): boolean {
  let changed = false;
  for (let i = 0; i < into.held.length; i++) {
    const both = (into.held[i] & other.held[i]) >>> 0;
    if (both === into.held[i]) continue;
    into.held[i] = both;
    changed = true;
  }
  for (let p = 0; p < into.bound.length; p++) {
    const [a, b] = [into.bound[p], other.bound[p]];
    if (a === UNKNOWN || a === b) continue;
    const both = b !== UNKNOWN && a >> ALTERNATIVES === b >> ALTERNATIVES ? a & b : 0;
    const next = (both & ((1 << ALTERNATIVES) - 1)) === 0 ? UNKNOWN : both;
    if (next === a) continue;
    into.bound[p] = next;
    changed = true;
  }
  return changed;
}
