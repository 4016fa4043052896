/**
 * A function's description for debuggers (../link/debug.ts): its scopes with the code that came from each, and for each variable the ranges
 * of code in which its value is somewhere.
 *
 * The writer tells what each allocated instruction became (`wrote`); at the end the states of debug-track.ts are followed along that code.
 * An instruction that becomes several holds in between only what it leaves alone. What a call may clobber ends one byte before the call's
 * end, since a debugger looks a caller up by the byte before the return address.
 */
import type { Func, Loc, Scope, Variable } from "../ir/ir.ts";
import type {
  DebugCall,
  DebugLocation,
  DebugPiece,
  DebugPlace,
  DebugScope,
  DebugStep,
  DebugVariable,
  FunctionDebug,
} from "../link/debug.ts";
import { CALLER_SAVED_MASK, placeArguments } from "./abi.ts";
import { ALTERNATIVES, DebugTracker, type State, UNKNOWN } from "./debug-track.ts";
import { callsOf } from "./debug-calls.ts";
import { PARAMETER, type Told } from "./debug-values.ts";
import type { Frame } from "./frame.ts";
import type { MachineBlock } from "./machine.ts";
import type { CodeSink, Operand } from "./operand.ts";
import { FIRST_SLOT, type Placed, type PlacedFunction } from "./regalloc-place.ts";

/** rbp + 16 is the CFA in every function that has a frame. */
export const CFA_FROM_RBP = 16;
export const DWARF_RBP = 6;
/** DWARF numbers of the general registers in encoding order (System V ABI AMD64, figure 3.36); vector registers count from 17. */
const DWARF = [0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];
export const dwarfOf = (register: number): number => (register < 16 ? DWARF[register] : register - 16 + 17);

export interface Written {
  readonly placed: Placed;
  /** Offsets in the code: of its first byte, behind the first machine instruction, behind the last. */
  readonly start: number;
  readonly first: number;
  readonly end: number;
}
/** Location of what needs none: parameters on the stack stay where they came. */
const INCOMING = 0xffff;
/** A piece's whereabouts: one alternative of its binding, with the locations of the values that it needs. */
interface Whereabouts {
  readonly binding: number;
  readonly alternative: number;
  readonly locations: readonly number[];
}

/** A sink that notes where instructions end. */
export class MeasuringSink implements CodeSink {
  /** Ends of the instructions since `mark`. */
  ends: number[] = [];
  readonly #sink: CodeSink & { readonly length: number };
  constructor(sink: CodeSink & { readonly length: number }) {
    this.#sink = sink;
  }
  get length(): number {
    return this.#sink.length;
  }
  emit(mnemonic: string, ...operands: Operand[]): void {
    const start = this.#sink.length;
    this.#sink.emit(mnemonic, ...operands);
    if (this.#sink.length > start) this.ends.push(this.#sink.length);
  }
  label(name: string): void {
    this.#sink.label(name);
  }
  line(...at: Parameters<CodeSink["line"]>): void {
    this.#sink.line(...at);
  }
}

/** Collects what the writer does. */
export class DebugWriter {
  readonly sink: MeasuringSink;
  readonly #written: { readonly block: MachineBlock; readonly code: Written[] }[] = [];
  #start = 0;
  frame: Frame | null = null;
  constructor(sink: CodeSink & { readonly length: number }) {
    this.sink = new MeasuringSink(sink);
  }
  enter(block: MachineBlock): void {
    this.#written.push({ block, code: [] });
    this.#start = this.sink.length;
    this.sink.ends = [];
  }
  wrote(placed: Placed): void {
    const { ends } = this.sink;
    const end = this.sink.length;
    this.#written[this.#written.length - 1].code.push({ placed, start: this.#start, first: ends[0] ?? end, end });
    this.#start = end;
    this.sink.ends = [];
  }

  /** `moved`: from offsets as they were written to those in the finished code of `size` bytes. */
  describe(
    f: Func,
    root: Scope,
    placed: PlacedFunction,
    size: number,
    moved: (offset: number) => number,
  ): FunctionDebug {
    const locations = new LocationWalk(f, placed, this.frame as Frame, moved).run(this.#written);
    const scopes = new Scopes(root);
    for (const { code } of this.#written)
      for (const { placed: p, start, end } of code) scopes.cover(p.instr.loc, moved(start), moved(end));
    const { file, line } = f.loc;
    const list = scopes.list(locations, size);
    const calls: DebugCall[] = [];
    for (const { end, instr, told } of callsOf(this.#written, placed.slotCount, this.frame as Frame)) {
      const [to] = instr.operands;
      calls.push({ end: moved(end), target: to.kind === "sym" ? to.name : null, arguments: told });
    }
    return { file, line, result: root.function.result, scopes: list, calls };
  }
}

// ---- locations

class LocationWalk {
  readonly #f: Func;
  readonly #frame: Frame;
  readonly #moved: (offset: number) => number;
  readonly #tracker: DebugTracker;
  /** By piece: index among the whereabouts, or UNKNOWN; and since when. */
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

  run(
    written: readonly { readonly block: MachineBlock; readonly code: readonly Written[] }[],
  ): Map<Variable, DebugLocation[]> {
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
  /** From `offset` on all is as `state` says. A piece that still is where it was stays there. */
  #look(state: State, offset: number): void {
    for (let p = 0; p < this.#now.length; p++) {
      const bound = state.bound[p];
      const now = this.#now[p];
      if (bound === UNKNOWN) {
        if (now !== UNKNOWN) this.#set(p, UNKNOWN, offset);
      } else if (now === UNKNOWN || !this.#stays(state, bound, now)) this.#set(p, this.#find(state, bound), offset);
    }
  }
  /** From `offset` on only what is known already and `state` still says. */
  #keep(state: State, offset: number): void {
    for (let p = 0; p < this.#now.length; p++) {
      const now = this.#now[p];
      if (now !== UNKNOWN && !this.#isHeld(state, this.#all[now])) this.#set(p, UNKNOWN, offset);
    }
  }
  /** Within an epilogue only constants and registers that callers may lose are what they were. */
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
  /** The first alternative that holds and of which everything is somewhere. */
  #find(state: State, bound: number): number {
    const binding = bound >> ALTERNATIVES;
    const { alternatives, indirect } = this.#tracker.bindings[binding];
    for (let alternative = 0; alternative < alternatives.length; alternative++) {
      if ((bound & (1 << alternative)) === 0) continue;
      const { told, values } = alternatives[alternative];
      // Within a sum, an operation or an address only general registers and slots can stand, for a sum only registers.
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
  /** Offset from the CFA of a parameter that came on the stack. */
  #incoming(value: number): number | null {
    if (value > PARAMETER) return null;
    const place = placeArguments(this.#f.params.map((p) => p.type)).places[PARAMETER - value];
    return place !== undefined && "offset" in place ? place.offset : null;
  }

  // ---- what is said

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
  /** `inside`: bytes from where the value starts. */
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
  /** From the CFA, of a slot or of a parameter that came on the stack. */
  #offsetOf(value: number, location: number): number {
    return location === INCOMING ? this.#incoming(value)! : this.#frame.slots[location - FIRST_SLOT] - CFA_FROM_RBP;
  }
}

/** Pieces of one run of memory are one. */
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

// ---- scopes

class Scopes {
  readonly #root: Scope;
  readonly #ranges = new Map<Scope, { start: number; end: number }[]>();
  constructor(root: Scope) {
    this.#root = root;
  }
  /** The code belongs to the position's scope and to all that this is in. */
  cover(loc: Loc, start: number, end: number): void {
    if (end <= start) return;
    for (let scope = loc.scope ?? this.#root; scope !== this.#root; scope = this.#parent(scope)) {
      let ranges = this.#ranges.get(scope);
      if (ranges === undefined) this.#ranges.set(scope, (ranges = []));
      const last = ranges[ranges.length - 1];
      if (last && last.end === start) last.end = end;
      else ranges.push({ start, end });
    }
  }
  #parent(scope: Scope): Scope {
    return scope.parent ?? scope.inlinedAt?.scope ?? this.#root;
  }

  list(locations: ReadonlyMap<Variable, DebugLocation[]>, size: number): DebugScope[] {
    const order: Scope[] = [this.#root];
    const index = new Map<Scope, number>([[this.#root, 0]]);
    const add = (scope: Scope): number => {
      const known = index.get(scope);
      if (known !== undefined) return known;
      add(this.#parent(scope));
      index.set(scope, order.length);
      return order.push(scope) - 1;
    };
    for (const scope of this.#ranges.keys()) add(scope);
    const variables = new Map<Scope, [Variable, DebugLocation[]][]>();
    for (const entry of locations) {
      const list = variables.get(entry[0].scope);
      if (list === undefined) variables.set(entry[0].scope, [entry]);
      else list.push(entry);
    }
    return order.map((scope, i): DebugScope => {
      const call = scope.inlinedAt;
      const { name, sourceName, loc, result } = scope.function;
      const inlined = call && {
        symbol: name,
        sourceName,
        file: loc.file,
        line: loc.line,
        callFile: call.file,
        callLine: call.line,
        callColumn: call.column,
        result,
      };
      return {
        parent: i === 0 ? -1 : (index.get(this.#parent(scope)) as number),
        ranges: i === 0 ? [{ start: 0, end: size }] : (this.#ranges.get(scope) ?? []),
        inlined,
        variables: (variables.get(scope) ?? []).sort(([a], [b]) => rank(a) - rank(b)).map(([v, l]) => describe(v, l)),
      };
    });
  }
}

/** Parameters first, in their order; then by the place of the declaration. */
const rank = ({ parameter, loc }: Variable): number =>
  parameter >= 0 ? parameter - 1e9 : loc.line * 1000 + loc.column;

function describe({ name, type, parameter, loc }: Variable, locations: readonly DebugLocation[]): DebugVariable {
  return { name, type, parameter: parameter >= 0, file: loc.file, line: loc.line, locations: joined(locations) };
}
/** Neighbours that say the same are one. */
function joined(locations: readonly DebugLocation[]): DebugLocation[] {
  const result: DebugLocation[] = [];
  for (const location of locations) {
    const last = result[result.length - 1];
    if (last && last.end === location.start && same(last.pieces, location.pieces))
      result[result.length - 1] = { ...last, end: location.end };
    else result.push(location);
  }
  return result;
}
const same = (a: readonly DebugPiece[], b: readonly DebugPiece[]): boolean =>
  a.length === b.length && a.every((x, i) => samePiece(x, b[i]));
function samePiece(a: DebugPiece, b: DebugPiece): boolean {
  return (
    a.offset === b.offset &&
    a.bytes === b.bytes &&
    a.indirect === b.indirect &&
    (a.place === b.place || textOf(a.place) === textOf(b.place))
  );
}
const textOf = (place: DebugPlace): string =>
  JSON.stringify(place, (_key, v: unknown) => (typeof v === "bigint" ? `${v}` : v));
