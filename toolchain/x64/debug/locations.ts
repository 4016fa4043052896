/**
 * The ranges of a function's code in which each variable has a location, and that location: the states of track.ts,
 * followed along the written code. Inside an instruction that becomes several, only what it does not modify is valid. A
 * location that a call may clobber ends one byte before the call's end, because a debugger looks up a caller by the
 * byte before the return address.
 */
import type { Func, Variable } from "../../ir/ir.ts";
import type { DebugLocation, DebugPiece, DebugPlace, DebugStep } from "../../link/debug.ts";
import { CALLER_SAVED_MASK, placeArguments } from "../abi.ts";
import { CFA_FROM_RBP, type Frame } from "../frame.ts";
import { FIRST_SLOT, type PlacedFunction } from "../regalloc-place.ts";
import { PARAMETER, type Told } from "./told.ts";
import { ALTERNATIVES, DebugTracker, type State, UNKNOWN } from "./track.ts";
import { DWARF_RBP, dwarfOf, type WrittenBlock } from "./written.ts";

/** Location of values that need none: parameters on the stack stay where they were passed. */
const INCOMING = 0xffff;
/** Where a piece is: one alternative of its binding, with the locations of the values that it needs. */
interface Whereabouts {
  readonly binding: number;
  readonly alternative: number;
  readonly locations: readonly number[];
}

export class LocationWalk {
  readonly #f: Func;
  readonly #frame: Frame;
  readonly #moved: (offset: number) => number;
  readonly #tracker: DebugTracker;
  /** By piece: its current `Whereabouts` (index) or UNKNOWN; and the offset since when. */
  readonly #now: Int32Array;
  readonly #since: Int32Array;
  readonly #ranges: { start: number; end: number; code: number }[][];
  readonly #all: Whereabouts[] = [];
  readonly #known = new Map<string, number>();

  constructor(f: Func, placed: PlacedFunction, frame: Frame, moved: (offset: number) => number) {
    this.#f = f;
    this.#frame = frame;
    this.#moved = moved;
    this.#tracker = new DebugTracker(
      placed,
      f.params.map((p) => p.type),
    );
    const { length } = this.#tracker.pieces;
    this.#now = new Int32Array(length).fill(UNKNOWN);
    this.#since = new Int32Array(length);
    this.#ranges = Array.from({ length }, () => []);
  }

  run(written: readonly WrittenBlock[]): Map<Variable, DebugLocation[]> {
    const tracker = this.#tracker;
    let end = 0;
    written.forEach(({ block, code }, i) => {
      const state = tracker.entry(block.index);
      const start = i === 0 ? 0 : (code[0]?.start ?? end);
      if (state === null) return this.#nothing(start);
      this.#look(state, start);
      for (const { placed, start: from, first, end: to } of code) {
        const { instr } = placed;
        if (instr.debug !== null) {
          tracker.bind(instr, state);
          this.#look(state, from);
        }
        if (instr.op === "ret") {
          if (to > first) this.#leave(first);
        } else {
          tracker.step(placed, state);
          if (instr.op === "call") this.#keep(state, to - 1);
          else if (to > first) this.#keep(state, first);
          if (to > from) this.#look(state, to);
        }
        end = to;
      }
    });
    this.#nothing(end);
    return this.#byVariable();
  }

  #set(piece: number, code: number, offset: number): void {
    const now = this.#now[piece];
    if (now === code) return;
    if (now !== UNKNOWN) {
      const start = this.#moved(this.#since[piece]);
      const end = this.#moved(offset);
      if (end > start) this.#ranges[piece].push({ start, end, code: now });
    }
    this.#now[piece] = code;
    this.#since[piece] = offset;
  }
  /** From `offset` on, `state` applies. A piece whose location is still valid keeps it. */
  #look(state: State, offset: number): void {
    for (let p = 0; p < this.#now.length; p++) {
      const bound = state.bound[p];
      const now = this.#now[p];
      if (bound === UNKNOWN) {
        if (now !== UNKNOWN) this.#set(p, UNKNOWN, offset);
      } else if (now === UNKNOWN || !this.#stays(state, bound, now)) this.#set(p, this.#find(state, bound), offset);
    }
  }
  /** From `offset` on, keeps only known locations that are still valid in `state`. */
  #keep(state: State, offset: number): void {
    for (let p = 0; p < this.#now.length; p++) {
      const now = this.#now[p];
      if (now !== UNKNOWN && !this.#isHeld(state, this.#all[now])) this.#set(p, UNKNOWN, offset);
    }
  }
  /** Within an epilogue only constants and caller-saved registers remain valid. */
  #leave(offset: number): void {
    for (let p = 0; p < this.#now.length; p++) {
      const now = this.#now[p];
      if (now === UNKNOWN) continue;
      const { binding, alternative, locations } = this.#all[now];
      const { told } = this.#tracker.bindings[binding].alternatives[alternative];
      const stays =
        told.kind !== "object" && locations.every((l) => l < FIRST_SLOT && (CALLER_SAVED_MASK & (1 << l)) !== 0);
      if (!stays) this.#set(p, UNKNOWN, offset);
    }
  }
  #nothing(offset: number): void {
    for (let p = 0; p < this.#now.length; p++) this.#set(p, UNKNOWN, offset);
  }

  #stays(state: State, bound: number, now: number): boolean {
    const whereabouts = this.#all[now];
    return (
      bound >> ALTERNATIVES === whereabouts.binding &&
      (bound & (1 << whereabouts.alternative)) !== 0 &&
      this.#isHeld(state, whereabouts)
    );
  }
  #isHeld({ held }: State, { binding, alternative, locations }: Whereabouts): boolean {
    const { values } = this.#tracker.bindings[binding].alternatives[alternative];
    for (let i = 0; i < values.length; i++) {
      const location = locations[i];
      if (
        location !== INCOMING &&
        (held[values[i] * this.#tracker.words + (location >>> 5)] & (1 << (location & 31))) === 0
      )
        return false;
    }
    return true;
  }
  /** The first valid alternative for which everything has a location. */
  #find(state: State, bound: number): number {
    const binding = bound >> ALTERNATIVES;
    const { alternatives, indirect } = this.#tracker.bindings[binding];
    for (let alternative = 0; alternative < alternatives.length; alternative++) {
      if ((bound & (1 << alternative)) === 0) continue;
      const { told, values } = alternatives[alternative];
      // In a sum, an operation or an address only general registers and slots are possible; in a sum only registers.
      const isPlain = told.kind === "value" && told.addend === 0n && !indirect;
      const locations: number[] = [];
      for (const value of values) {
        const location = this.#locate(state, value, isPlain, told.kind === "value" && told.addend !== 0n);
        if (location < 0) break;
        locations.push(location);
      }
      if (locations.length < values.length) {
        const isIncoming = told.kind === "value" && told.addend === 0n && this.#incoming(told.value) !== null;
        if (!isIncoming) continue;
        locations.push(INCOMING);
      }
      const key = `${binding},${alternative},${locations.join()}`;
      let index = this.#known.get(key);
      if (index === undefined) this.#known.set(key, (index = this.#all.push({ binding, alternative, locations }) - 1));
      return index;
    }
    return UNKNOWN;
  }
  /** A location of the value, registers first; −1 = none. */
  #locate({ held }: State, value: number, vectors: boolean, registersOnly: boolean): number {
    const { words } = this.#tracker;
    for (let w = 0; w < words; w++) {
      const bits = held[value * words + w] & (w === 0 && !vectors ? 0xffff : -1);
      if (bits !== 0) return w * 32 + 31 - Math.clz32(bits & -bits);
      if (registersOnly) return -1;
    }
    return -1;
  }
  /** Offset from the CFA of a parameter passed on the stack. */
  #incoming(value: number): number | null {
    if (value > PARAMETER) return null;
    const place = placeArguments(this.#f.params.map((p) => p.type)).places[PARAMETER - value];
    return place !== undefined && "offset" in place ? place.offset : null;
  }

  // ---- output

  #byVariable(): Map<Variable, DebugLocation[]> {
    const result = new Map<Variable, DebugLocation[]>();
    const { pieces } = this.#tracker;
    for (let p = 0; p < pieces.length; ) {
      const { variable } = pieces[p];
      let next = p;
      while (next < pieces.length && pieces[next].variable === variable) next++;
      result.set(variable, this.#merge(p, next));
      p = next;
    }
    return result;
  }
  #merge(first: number, last: number): DebugLocation[] {
    if (last === first + 1) {
      return this.#ranges[first].flatMap(({ start, end, code }) => {
        const piece = this.#piece(first, code);
        return piece ? [{ start, end, pieces: [piece] }] : [];
      });
    }
    const cuts = new Set<number>();
    for (let p = first; p < last; p++) for (const { start, end } of this.#ranges[p]) cuts.add(start).add(end);
    const at = [...cuts].sort((a, b) => a - b);
    const cursor = new Int32Array(last - first);
    const locations: DebugLocation[] = [];
    for (let i = 0; i + 1 < at.length; i++) {
      const pieces: DebugPiece[] = [];
      for (let p = first; p < last; p++) {
        const list = this.#ranges[p];
        while (cursor[p - first] < list.length && list[cursor[p - first]].end <= at[i]) cursor[p - first]++;
        const range = list[cursor[p - first]];
        const piece = range && range.start <= at[i] ? this.#piece(p, range.code) : null;
        if (piece) join(pieces, piece);
      }
      if (pieces.length > 0) locations.push({ start: at[i], end: at[i + 1], pieces });
    }
    return locations;
  }

  #piece(index: number, code: number): DebugPiece | null {
    const { offset, bytes } = this.#tracker.pieces[index];
    const { binding, alternative, locations } = this.#all[code];
    const { alternatives, base, indirect } = this.#tracker.bindings[binding];
    const place = this.#place(alternatives[alternative].told, locations, offset - base, bytes, indirect);
    return place && { offset, bytes, ...place };
  }
  /** `inside`: offset in bytes from the start of the value. */
  #place(
    told: Told,
    locations: readonly number[],
    inside: number,
    bytes: number,
    indirect: boolean,
  ): { place: DebugPlace; indirect: boolean } | null {
    const frame = this.#frame;
    switch (told.kind) {
      case "constant": {
        const value = indirect
          ? BigInt.asUintN(64, told.value + BigInt(inside))
          : BigInt.asUintN(8 * bytes, BigInt.asUintN(64, told.value) >> BigInt(8 * inside));
        return { place: { kind: "constant", value }, indirect };
      }
      case "symbol":
        if (!indirect && inside > 0) return null;
        return { place: { kind: "symbol", symbol: told.symbol, addend: told.addend + BigInt(inside) }, indirect };
      case "object": {
        const at = frame.objects[told.object] + Number(told.addend);
        if (indirect) return { place: { kind: "frame", offset: at + inside - CFA_FROM_RBP }, indirect: false };
        return inside > 0 ? null : { place: { kind: "computed", register: DWARF_RBP, addend: BigInt(at) }, indirect };
      }
      case "value": {
        const [location] = locations;
        if (location >= FIRST_SLOT) {
          if (indirect && inside > 0) return null;
          return {
            place: { kind: "frame", offset: this.#offsetOf(told.value, location) + (indirect ? 0 : inside) },
            indirect,
          };
        }
        const register = dwarfOf(location);
        if (indirect)
          return { place: { kind: "memory", register, offset: Number(told.addend) + inside }, indirect: false };
        if (inside > 0) return null;
        if (told.addend === 0n) return { place: { kind: "register", register }, indirect };
        return { place: { kind: "computed", register, addend: told.addend }, indirect };
      }
      case "entry":
        return inside > 0 ? null : { place: { kind: "entry", register: dwarfOf(told.register) }, indirect };
      case "operation":
        return inside > 0
          ? null
          : { place: { kind: "expression", steps: this.#steps(told, [...locations]) }, indirect };
    }
  }
  /** Takes the locations of its values from the front. */
  #steps(told: Told, locations: number[]): DebugStep[] {
    switch (told.kind) {
      case "constant":
        return [{ op: "constant", value: told.value }];
      case "value": {
        const location = locations.shift()!;
        if (location < FIRST_SLOT) return [{ op: "register", register: dwarfOf(location), addend: told.addend }];
        const loaded: DebugStep = { op: "frame", offset: this.#offsetOf(told.value, location) };
        if (told.addend === 0n) return [loaded];
        return [loaded, { op: "constant", value: BigInt.asUintN(64, told.addend) }, { op: "plus" }];
      }
      case "operation":
        return [...this.#steps(told.args[0], locations), ...this.#steps(told.args[1], locations), { op: told.op }];
      default:
        throw new Error(`${told.kind} within an operation`);
    }
  }
  /** Offset from the CFA of a slot or of a parameter passed on the stack. */
  #offsetOf(value: number, location: number): number {
    return location === INCOMING ? this.#incoming(value)! : this.#frame.slots[location - FIRST_SLOT] - CFA_FROM_RBP;
  }
}

/** Merges pieces of one contiguous range of memory. */
function join(pieces: DebugPiece[], next: DebugPiece): void {
  const last = pieces[pieces.length - 1];
  if (
    last &&
    last.offset + last.bytes === next.offset &&
    last.place.kind === next.place.kind &&
    !last.indirect &&
    !next.indirect
  ) {
    const a = last.place;
    const b = next.place;
    const isNext =
      (a.kind === "frame" && b.kind === "frame" && a.offset + last.bytes === b.offset) ||
      (a.kind === "memory" && b.kind === "memory" && a.register === b.register && a.offset + last.bytes === b.offset);
    if (isNext) {
      pieces[pieces.length - 1] = { ...last, bytes: last.bytes + next.bytes };
      return;
    }
  }
  pieces.push(next);
}
