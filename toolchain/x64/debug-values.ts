/**
 * What a debug value watches, as the machine knows it: a constant, an address, a place of the frame, a register, or something computed of
 * these. There may be several ways to tell one value: where it is itself; what it was made of, for values that no register was asked for
 * (folded into their users, or removed) and for when the register is lost; and what was made of it, undone (after `i + 1` has taken the
 * register of `i`, that is one less).
 *
 * Values that live in registers are named by number: virtual registers by their own, what a parameter held at entry by
 * PARAMETER − index (negative), so that it can be followed from the argument's register on whoever else gets it.
 */
import type { DebugValue, Instr } from "../ir/ir.ts";
import { type Op, widthOf } from "../ir/ops.ts";
import type { DebugOperator } from "../link/debug.ts";
import { placeArguments } from "./abi.ts";
import { XMM0 } from "./machine.ts";
import type { Selector } from "./select.ts";
import { isZeroExtended } from "./select-integer.ts";

/** Numbers of the parameters' values: PARAMETER, PARAMETER − 1 … */
export const PARAMETER = -2;

export type Told =
  | { readonly kind: "constant"; readonly value: bigint }
  | { readonly kind: "symbol"; readonly symbol: string; readonly addend: bigint }
  /** The address of a frame object. */
  | { readonly kind: "object"; readonly object: number; readonly addend: bigint }
  | { readonly kind: "value"; readonly value: number; readonly addend: bigint }
  | { readonly kind: "operation"; readonly op: DebugOperator; readonly args: readonly [Told, Told] }
  /** What a register held at entry, by its number here. */
  | { readonly kind: "entry"; readonly register: number };

export interface Alternative {
  readonly told: Told;
  /** Holds only after this value has been computed anew, while the watched one is what it was; null: from the start. */
  readonly once: number | null;
}
/** Some bytes of a variable from here on. */
export interface Mark {
  readonly offset: number;
  readonly bytes: number;
  /** The best first; none = unknown. */
  readonly alternatives: readonly Alternative[];
  readonly indirect: boolean;
}

/** Of sums alone, and of operations. */
const MAX_DEPTH = 6;
const MAX_OPERATIONS = 3;
/** Values made of a watched one that are looked at. */
const MAX_USERS = 2;

/** Answers for the debug values of one function, after its selection. */
export class Teller {
  readonly #s: Selector;
  /** Made when it is first needed: users of each value. */
  #users: Map<Instr, Instr[]> | null = null;

  constructor(s: Selector) {
    this.#s = s;
  }

  tell({ watched, indirect, offset, bytes }: DebugValue): Mark[] {
    if (watched === null) return [{ offset, bytes, alternatives: [], indirect }];
    // Widening leaves the upper bytes zero: they are a piece of their own.
    if (!indirect && watched.op === "zext" && !this.#inRegister(watched)) {
      const [inner] = watched.args;
      const low = bytesOf(inner);
      if (low < bytes && !isZeroExtended(inner)) {
        const zeros: Told = { kind: "constant", value: 0n };
        return [
          { offset, bytes: low, alternatives: this.#alternatives(inner), indirect },
          { offset: offset + low, bytes: bytes - low, alternatives: [{ told: zeros, once: null }], indirect },
        ];
      }
    }
    // The address of something is no computation.
    const alternatives = this.#alternatives(watched);
    const isAddress = ({ told }: Alternative): boolean => told.kind !== "operation" && told.kind !== "entry";
    return [{ offset, bytes, alternatives: indirect ? alternatives.filter(isAddress) : alternatives, indirect }];
  }

  #alternatives(instr: Instr): Alternative[] {
    const own = this.#own(instr, 0);
    if (own !== null && own.kind !== "value") return [{ told: own, once: null }];
    const found: Alternative[] = own === null ? [] : [{ told: own, once: null }];
    for (const isDeep of [false, true]) {
      const made = instr.op === "param" ? null : this.#made(instr, 0, isDeep);
      if (made !== null && !found.some(({ told }) => toldKey(told) === toldKey(made)))
        found.push({ told: made, once: null });
    }
    if (own !== null && own.addend === 0n && own.value >= 0) this.#undone(instr, found);
    if (instr.op === "param") {
      const place = placeArguments(this.#s.f.params.map((p) => p.type)).places[instr.index];
      if (place !== undefined && "reg" in place && place.reg < XMM0)
        found.push({ told: { kind: "entry", register: place.reg }, once: null });
    }
    return found;
  }

  #inRegister(instr: Instr): boolean {
    return this.#s.instrs[instr.id] === instr && this.#s.registers[instr.id] !== 0;
  }

  /** Where the value is, or a sum with one that is somewhere. Bits above the type's width may be anything. */
  #own(instr: Instr, depth: number): Told | null {
    const s = this.#s;
    switch (instr.op) {
      case "const":
        return { kind: "constant", value: instr.imm };
      case "fconst":
        return { kind: "constant", value: new BigUint64Array(new Float64Array([instr.float]).buffer)[0] };
      case "symbol":
        return { kind: "symbol", symbol: instr.symbol, addend: BigInt.asIntN(64, instr.imm) };
      case "param":
        return { kind: "value", value: PARAMETER - instr.index, addend: 0n };
      case "alloca": {
        const object = s.knownObject(instr);
        return object === null || instr.align > 16 ? null : { kind: "object", object, addend: 0n };
      }
    }
    if (this.#inRegister(instr)) return { kind: "value", value: s.registers[instr.id], addend: 0n };
    if (depth === MAX_DEPTH) return null;
    const [a, b] = instr.args;
    switch (instr.op) {
      case "trunc":
        return this.#own(a, depth + 1);
      case "zext":
        return isZeroExtended(a) ? this.#own(a, depth + 1) : null;
      case "add":
        if (b.op === "const") return plus(this.#own(a, depth + 1), signed(b));
        return a.op === "const" ? plus(this.#own(b, depth + 1), signed(a)) : null;
      case "sub":
        return b.op === "const" ? plus(this.#own(a, depth + 1), -signed(b)) : null;
      default:
        return null;
    }
  }

  /** What the value was made of; `isDeep`: and these of, though they have registers of their own. */
  #made(instr: Instr, depth: number, isDeep: boolean): Told | null {
    if (depth === MAX_OPERATIONS || instr.type === "f64" || instr.type === "void") return null;
    const [a, b] = instr.args;
    const of = (arg: Instr): Told | null => {
      const own = this.#own(arg, 0);
      const mayGo = isDeep && own?.kind === "value" && arg.op !== "param";
      return own !== null && !mayGo ? own : (this.#made(arg, depth + 1, isDeep) ?? own);
    };
    const bits = 8 * bytesOf(instr);
    switch (instr.op) {
      case "trunc":
        return of(a);
      case "zext":
        return widened(of(a), 8 * bytesOf(a), false);
      case "sext":
        return widened(of(a), 8 * bytesOf(a), true);
      case "lshr":
      case "ashr": {
        if (b.op !== "const") return null;
        const from = widened(of(a), bits, instr.op === "ashr");
        return operation(instr.op === "ashr" ? "shra" : "shr", from, constant(b.imm & BigInt(bits - 1)));
      }
      case "shl":
        return b.op === "const" ? operation("shl", of(a), constant(b.imm & BigInt(bits - 1))) : null;
      case "eq":
      case "ne": {
        if (a.type === "f64") return null;
        const width = 8 * bytesOf(a);
        return operation(instr.op, widened(of(a), width, false), widened(of(b), width, false));
      }
      default: {
        const op = OPERATORS[instr.op];
        return op === undefined ? null : operation(op, of(a), of(b));
      }
    }
  }

  /** What was made of it, undone. */
  #undone(instr: Instr, found: Alternative[]): void {
    let left = MAX_USERS;
    for (const user of this.#usersOf(instr)) {
      if (left === 0) return;
      const [a, b] = user.args;
      if (a === b || !this.#inRegister(user)) continue;
      const other = this.#own(a === instr ? b : a, 0);
      const value = this.#s.registers[user.id];
      const result: Told = { kind: "value", value, addend: 0n };
      let told: Told | null = null;
      if (user.op === "add") told = less(result, other);
      else if (user.op === "xor") told = operation("xor", result, other);
      else if (user.op === "sub")
        told =
          a === instr
            ? other?.kind === "constant"
              ? plus(result, other.value)
              : operation("plus", result, other)
            : operation("minus", other, result);
      if (told === null) continue;
      found.push({ told, once: value });
      left--;
    }
  }
  #usersOf(value: Instr): readonly Instr[] {
    let users = this.#users;
    if (users === null) {
      this.#users = users = new Map();
      for (const user of this.#s.instrs) {
        if (user === undefined || (user.op !== "add" && user.op !== "sub" && user.op !== "xor")) continue;
        for (const arg of user.args) {
          const list = users.get(arg);
          if (list) list.push(user);
          else users.set(arg, [user]);
        }
      }
    }
    return users.get(value) ?? [];
  }
}

const OPERATORS: Partial<Record<Op, DebugOperator>> = {
  add: "plus",
  sub: "minus",
  mul: "mul",
  and: "and",
  or: "or",
  xor: "xor",
};

const bytesOf = (instr: Instr): number => (instr.type === "void" ? 0 : widthOf[instr.type] / 8);
const signed = (instr: Instr): bigint => BigInt.asIntN(8 * bytesOf(instr), instr.imm);
const constant = (value: bigint): Told => ({ kind: "constant", value: BigInt.asUintN(64, value) });

function plus(told: Told | null, addend: bigint): Told | null {
  if (told === null) return null;
  if (told.kind === "constant") return constant(told.value + addend);
  if (told.kind === "operation") return operation("plus", told, constant(addend));
  if (told.kind === "entry") return null;
  return { ...told, addend: told.addend + addend };
}
const less = (told: Told, by: Told | null): Told | null =>
  by?.kind === "constant" ? plus(told, -by.value) : operation("minus", told, by);

/** Only of values and constants: addresses of symbols and objects need none. */
function operation(op: DebugOperator, a: Told | null, b: Told | null): Told | null {
  if (a === null || b === null) return null;
  const fits = (told: Told): boolean => told.kind === "value" || told.kind === "constant" || told.kind === "operation";
  return fits(a) && fits(b) ? { kind: "operation", op, args: [a, b] } : null;
}

/** With the bits above `bits` zero, or copies of the sign. */
function widened(told: Told | null, bits: number, isSigned: boolean): Told | null {
  if (told === null || bits === 64) return told;
  if (told.kind === "constant")
    return constant(isSigned ? BigInt.asIntN(bits, told.value) : BigInt.asUintN(bits, told.value));
  if (!isSigned) return operation("and", told, constant((1n << BigInt(bits)) - 1n));
  const by = constant(BigInt(64 - bits));
  return operation("shra", operation("shl", told, by), by);
}

/** Calls back for each value that `told` needs. */
export function forEachValue(told: Told, visit: (value: number) => void): void {
  if (told.kind === "value") visit(told.value);
  else if (told.kind === "operation") for (const arg of told.args) forEachValue(arg, visit);
}
/** Identity, as text. */
export function toldKey(told: Told): string {
  switch (told.kind) {
    case "constant":
      return `#${told.value}`;
    case "symbol":
      return `&${told.symbol}+${told.addend}`;
    case "object":
      return `o${told.object}+${told.addend}`;
    case "value":
      return `v${told.value}+${told.addend}`;
    case "operation":
      return `${told.op}(${toldKey(told.args[0])},${toldKey(told.args[1])})`;
    case "entry":
      return `e${told.register}`;
  }
}
