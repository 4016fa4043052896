/**
 * Locations of values: expressions (DWARF 5 sections 2.5, 2.6), and the lists of `.debug_loclists` and
 * `.debug_rnglists` (sections 2.6.2 and 2.17.3), whose offsets count from the unit's low_pc.
 */
import { DWARF_VERSION, LocationEntry, Operation, RangeEntry } from "../lib/dwarf.ts";
import type { DebugLocation, DebugOperator, DebugPiece, DebugPlace, DebugStep } from "./debug.ts";
import { ByteWriter } from "./writer.ts";

/** Offsets, bytes, end exclusive. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The frame base of every function that has call-frame information. */
export const FRAME_BASE = Uint8Array.of(Operation.CALL_FRAME_CFA);

export type Addresses = ReadonlyMap<string, bigint>;

/** Address of a symbol + addend as a location; null: the image does not have it. */
export function addressExpression(symbol: string, addend: bigint, addresses: Addresses): Uint8Array | null {
  const out = new ByteWriter();
  return address(out, symbol, addend, addresses) ? out.take() : null;
}

/** The register as a location. */
export const registerExpression = (register: number): Uint8Array => Uint8Array.of(Operation.REG0 + register);

/** The value as an expression, not as a location; null: the image does not have it. */
export function valueExpression(place: DebugPlace, addresses: Addresses): Uint8Array | null {
  const out = new ByteWriter();
  switch (place.kind) {
    case "register":
      breg(out, place.register, 0n);
      break;
    case "frame":
      step(out, { op: "frame", offset: place.offset });
      break;
    default:
      if (!piece(out, { offset: 0, bytes: 8, place, indirect: true }, addresses)) return null;
  }
  return out.take();
}

/** Location of `bytes` bytes of a variable; null: no byte is known. */
export function locationExpression(location: DebugLocation, bytes: number, addresses: Addresses): Uint8Array | null {
  const out = new ByteWriter();
  const { pieces } = location;
  if (pieces.length === 1 && pieces[0].offset === 0 && pieces[0].bytes >= bytes)
    return piece(out, pieces[0], addresses) ? out.take() : null;
  let at = 0;
  let known = false;
  const hole = (end: number): void => {
    if (end <= at) return;
    out.u8(Operation.PIECE);
    out.uleb(end - at);
    at = end;
  };
  for (const part of pieces) {
    const one = new ByteWriter();
    if (part.offset < at || !piece(one, part, addresses)) continue;
    hole(part.offset);
    out.bytes(one.take());
    out.u8(Operation.PIECE);
    out.uleb(part.bytes);
    at += part.bytes;
    known = true;
  }
  hole(bytes);
  return known ? out.take() : null;
}

function piece(out: ByteWriter, { place, indirect }: DebugPiece, addresses: Addresses): boolean {
  if (!indirect) return value(out, place, addresses);
  switch (place.kind) {
    case "register":
      breg(out, place.register, 0n);
      return true;
    case "memory":
      breg(out, place.register, BigInt(place.offset));
      out.u8(Operation.DEREF);
      return true;
    case "frame":
      out.u8(Operation.FBREG);
      out.sleb(place.offset);
      out.u8(Operation.DEREF);
      return true;
    case "constant":
      constant(out, place.value);
      return true;
    case "symbol":
      return address(out, place.symbol, place.addend, addresses);
    case "computed":
      breg(out, place.register, place.addend);
      return true;
    case "expression":
    case "entry":
      return false;
  }
}

function value(out: ByteWriter, place: DebugPlace, addresses: Addresses): boolean {
  switch (place.kind) {
    case "register":
      if (place.register < 32) out.u8(Operation.REG0 + place.register);
      else {
        out.u8(Operation.REGX);
        out.uleb(place.register);
      }
      return true;
    case "memory":
      breg(out, place.register, BigInt(place.offset));
      return true;
    case "frame":
      out.u8(Operation.FBREG);
      out.sleb(place.offset);
      return true;
    case "constant":
      constant(out, place.value);
      break;
    case "symbol":
      if (!address(out, place.symbol, place.addend, addresses)) return false;
      break;
    case "computed":
      breg(out, place.register, place.addend);
      break;
    case "expression":
      for (const one of place.steps) step(out, one);
      break;
    case "entry":
      out.u8(Operation.ENTRY_VALUE);
      out.uleb(1);
      out.u8(Operation.REG0 + place.register);
      break;
  }
  out.u8(Operation.STACK_VALUE);
  return true;
}

const OPERATORS: Readonly<Record<DebugOperator, Operation>> = {
  plus: Operation.PLUS,
  minus: Operation.MINUS,
  mul: Operation.MUL,
  and: Operation.AND,
  or: Operation.OR,
  xor: Operation.XOR,
  shl: Operation.SHL,
  shr: Operation.SHR,
  shra: Operation.SHRA,
  eq: Operation.EQ,
  ne: Operation.NE,
};
function step(out: ByteWriter, one: DebugStep): void {
  switch (one.op) {
    case "register":
      breg(out, one.register, one.addend);
      return;
    case "frame":
      out.u8(Operation.FBREG);
      out.sleb(one.offset);
      out.u8(Operation.DEREF);
      return;
    case "constant":
      constant(out, one.value);
      return;
    default:
      out.u8(OPERATORS[one.op]);
  }
}

function breg(out: ByteWriter, register: number, offset: bigint): void {
  if (register < 32) out.u8(Operation.BREG0 + register);
  else {
    out.u8(Operation.BREGX);
    out.uleb(register);
  }
  out.slebLarge(BigInt.asIntN(64, offset));
}
function constant(out: ByteWriter, number: bigint): void {
  const bits = BigInt.asUintN(64, number);
  if (bits < 32n) out.u8(Operation.LIT0 + Number(bits));
  else {
    out.u8(Operation.CONSTU);
    out.ulebLarge(bits);
  }
}
function address(out: ByteWriter, symbol: string, addend: bigint, addresses: Addresses): boolean {
  const at = addresses.get(symbol);
  if (at === undefined) return false;
  out.u8(Operation.ADDR);
  out.u64(BigInt.asUintN(64, at + addend));
  return true;
}

/** Sorts ranges, drops empty ones and joins adjacent ones. */
export function joinRanges(ranges: readonly Range[]): Range[] {
  const joined: Range[] = [];
  for (const { start, end } of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = joined[joined.length - 1];
    if (start >= end) continue;
    if (last !== undefined && start <= last.end)
      joined[joined.length - 1] = { start: last.start, end: Math.max(last.end, end) };
    else joined.push({ start, end });
  }
  return joined;
}

const LIST_HEADER_BYTES = 12;
/** Header of both list sections: no offset table, because entries refer to lists by section offset. */
function listSection(): ByteWriter {
  const out = new ByteWriter();
  out.u32(0);
  out.u16(DWARF_VERSION);
  out.u8(8);
  out.u8(0);
  out.u32(0);
  return out;
}
/** Empty if no list was added: readers complain about unreferenced sections. */
function close(out: ByteWriter): Uint8Array {
  if (out.length === LIST_HEADER_BYTES) return new Uint8Array(0);
  out.patch32(0, out.length - 4);
  return out.take();
}

export class RangeLists {
  readonly #out = listSection();
  /** `base`: start of `ranges` relative to the unit's low_pc. Returns the list's offset. */
  add(base: number, ranges: readonly Range[]): number {
    const offset = this.#out.length;
    for (const { start, end } of ranges) {
      this.#out.u8(RangeEntry.OFFSET_PAIR);
      this.#out.uleb(base + start);
      this.#out.uleb(base + end);
    }
    this.#out.u8(RangeEntry.END_OF_LIST);
    return offset;
  }
  finish(): Uint8Array {
    return close(this.#out);
  }
}

export class LocationLists {
  readonly #out = listSection();
  /** Like range lists; each entry has its expression. */
  add(base: number, entries: readonly (Range & { readonly expression: Uint8Array })[]): number {
    const out = this.#out;
    const offset = out.length;
    for (const { start, end, expression } of entries) {
      out.u8(LocationEntry.OFFSET_PAIR);
      out.uleb(base + start);
      out.uleb(base + end);
      out.uleb(expression.length);
      out.bytes(expression);
    }
    out.u8(LocationEntry.END_OF_LIST);
    return offset;
  }
  finish(): Uint8Array {
    return close(this.#out);
  }
}
