/**
 * Places of memory accesses, as far as their addresses determine them: a base and the interval of possible offsets from
 * it. Offsets that are not constant have bounds if masks, shifts or narrow types give them: `ring.slots[i & 255]` is
 * always within the slots.
 */
import type { Instr, Module } from "../ir/ir.ts";
import { type Type, widthOf } from "../ir/ops.ts";

export interface Place {
  /** Link name of a datum, or the value from which the offsets count. */
  readonly base: string | Instr;
  /** Lowest and highest possible offset of the first byte; equal: the offset is known. */
  readonly low: bigint;
  readonly high: bigint;
  readonly bytes: bigint;
}

/** Larger offsets are treated as unknown, because sums of them could wrap. */
const MAX_OFFSET = 1n << 40n;
const MAX_DEPTH = 8;

/** `type`: of the value that is loaded or stored. */
export function placeOf(address: Instr, type: Type): Place {
  let low = 0n;
  let high = 0n;
  let value = address;
  for (let depth = 0; value.op === "add" && depth < MAX_DEPTH; depth++) {
    const [a, b] = value.args;
    if (b.op === "const") {
      const offset = BigInt.asIntN(64, b.imm);
      if (offset > MAX_OFFSET || offset < -MAX_OFFSET) break;
      low += offset;
      high += offset;
      value = a;
      continue;
    }
    const ofB = limitOf(b, 0);
    const limit = ofB ?? limitOf(a, 0);
    if (limit === null) break;
    high += limit;
    value = ofB === null ? b : a;
  }
  const bytes = BigInt(widthOf[type as "i64"] / 8);
  if (value.op !== "symbol") return { base: value, low, high, bytes };
  const addend = BigInt.asIntN(64, value.imm);
  return { base: value.symbol, low: low + addend, high: high + addend, bytes };
}

/** Whether the place is certainly inside the datum or local from which it starts. */
export function isWithin(place: Place, module: Module): boolean {
  const { base } = place;
  const size = typeof base === "string" ? module.data.get(base)?.size : base.op === "alloca" ? base.size : undefined;
  return size !== undefined && place.low >= 0n && place.high + place.bytes <= BigInt(size);
}

/**
 * `captured`: locals whose address may be known elsewhere. Returns false only if the two places cannot share a byte.
 */
export function mayShare(a: Place, b: Place, module: Module, captured: ReadonlySet<Instr>): boolean {
  if (a.base === b.base) return a.low < b.high + b.bytes && b.low < a.high + a.bytes;
  if (typeof a.base === "string" && typeof b.base === "string") return !isWithin(a, module) || !isWithin(b, module);
  const isApart = (x: Place, y: Place): boolean => {
    if (typeof x.base === "string" || x.base.op !== "alloca") return false;
    return typeof y.base === "string" || y.base.op === "alloca" || !captured.has(x.base);
  };
  return !isApart(a, b) && !isApart(b, a);
}

/** Greatest unsigned value, or null if it may be large. */
function limitOf(value: Instr, depth: number): bigint | null {
  if (value.type === "void" || value.type === "f64" || depth > MAX_DEPTH) return null;
  const ofType = (1n << BigInt(widthOf[value.type])) - 1n;
  const [a, b] = value.args;
  const of = (instr: Instr): bigint | null => limitOf(instr, depth + 1);
  const constant = b?.op === "const" ? b.imm : null;
  const least = (x: bigint | null, y: bigint | null): bigint | null => (x === null ? y : y === null || x < y ? x : y);
  let limit: bigint | null = null;
  switch (value.op) {
    case "const":
      limit = value.imm;
      break;
    case "and":
      limit = least(of(a), of(b));
      break;
    case "zext":
    case "trunc":
      limit = of(a);
      break;
    case "lshr":
      if (constant !== null) limit = (of(a) ?? ofType) >> (constant & BigInt(widthOf[value.type] - 1));
      break;
    case "urem":
      if (constant !== null && constant > 0n) limit = constant - 1n;
      break;
    case "shl": {
      const x = of(a);
      if (x !== null && constant !== null) limit = x << (constant & BigInt(widthOf[value.type] - 1));
      break;
    }
    case "mul": {
      const x = of(a);
      if (x !== null && constant !== null) limit = x * constant;
      break;
    }
    case "add": {
      const x = of(a);
      const y = of(b);
      if (x !== null && y !== null) limit = x + y;
      break;
    }
  }
  // If a sum or product may have wrapped, only its width bounds it.
  limit = limit === null || limit > ofType ? ofType : limit;
  return limit < MAX_OFFSET ? limit : null;
}
