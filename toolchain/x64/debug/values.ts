/**
 * What a debug value watches, in terms of the machine: a constant, an address, a place in the frame, a register, or a
 * computation on these. One value may have several descriptions: its own location; its operands, for values that got no
 * register (folded into their users, or removed) and for when the register is lost; and an undone result (after `i + 1`
 * has taken the register of `i`, that minus one).
 */
import type { DebugValue, Instr, IntConst } from "../../ir/ir.ts";
import { type Op, widthOf } from "../../ir/ops.ts";
import type { DebugOperator } from "../../link/debug.ts";
import { placeArguments } from "../abi.ts";
import { XMM0 } from "../machine.ts";
import type { Selector } from "../select/selector.ts";
import { isZeroExtended } from "../select/values.ts";
import {
  type Alternative,
  constant,
  less,
  type Mark,
  operation,
  PARAMETER,
  plus,
  type Told,
  toldKey,
  widened,
} from "./told.ts";

/** Most levels: of sums alone, and of operations. */
const MAX_DEPTH = 6;
const MAX_OPERATIONS = 3;
/** Most users of a watched value that are tried. */
const MAX_USERS = 2;

/** Describes the debug values of one function, after its selection. */
export class Teller {
  readonly #s: Selector;
  /** Users of each value, computed on demand. */
  #users: Map<Instr, Instr[]> | null = null;

  constructor(s: Selector) {
    this.#s = s;
  }

  tell({ watched, indirect, offset, bytes }: DebugValue): Mark[] {
    if (watched === null) return [{ offset, bytes, alternatives: [], indirect }];
    // Widening leaves the upper bytes zero: they are a separate piece.
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
    // The address of an object needs no computation.
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

  /** The value's own location, or a sum with a value that has one. Bits above the type's width may be anything. */
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

  /** A description by the value's operands; `isDeep`: also by their operands, although they have registers. */
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

  /** A description by a result computed from it, undone. */
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
const signed = (instr: IntConst): bigint => BigInt.asIntN(8 * bytesOf(instr), instr.imm);
