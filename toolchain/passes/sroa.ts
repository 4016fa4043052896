/**
 * Scalar replacement of aggregates: splits a small alloca into one alloca per field, if every access is at a constant
 * offset and accesses overlap only if they are identical; mem2reg then promotes the parts. A `zero` or `copy` of the
 * whole or of a range becomes accesses to each part, if there are few.
 */
import { make, numbered } from "../ir/builder.ts";
import type { Alloca, Copy, DebugValue, Func, Instr, Load, Store, Zero } from "../ir/ir.ts";
import { type Type, widthOf } from "../ir/ops.ts";
import { newDebug } from "./debug.ts";
import { isVolatile, newConst, newInstr, usesOf } from "./rewrite.ts";

const MAX_BYTES = 128;
const MAX_PARTS = 8;

interface Part {
  readonly offset: number;
  readonly type: Type;
  alloca: Alloca | null;
}
interface Access {
  readonly instr: Load | Store | Copy | Zero;
  /** Operand with the address: 0 or, for the source of a copy, 1. */
  readonly operand: 0 | 1;
  readonly offset: number;
}

const bytesOf = (type: Type): number => widthOf[type as "i64"] / 8;

export function sroa(func: Func): void {
  // A copy between two aggregates is split on one side first; this changes the uses.
  let uses: Map<Instr, Instr[]> | null = null;
  for (const alloca of func.blocks[0].instrs.filter((i) => i.op === "alloca")) {
    if (alloca.size > MAX_BYTES) continue;
    uses ??= usesOf(func);
    const addresses = new Set<Instr>();
    const accesses = collect(alloca, uses, addresses);
    const parts = accesses && partition(alloca, accesses);
    if (!accesses || !parts) continue;
    split(func, alloca, accesses, parts, addresses);
    uses = null;
  }
}

/**
 * Every access; null if the address escapes, or if both ends of a copy are here. Values computed from the address are
 * added to `addresses`.
 */
function collect(alloca: Alloca, uses: ReadonlyMap<Instr, readonly Instr[]>, addresses: Set<Instr>): Access[] | null {
  const accesses: Access[] = [];
  const copies = new Set<Copy>();
  const work: { address: Instr; offset: number }[] = [{ address: alloca, offset: 0 }];
  for (let top = work.pop(); top !== undefined; top = work.pop()) {
    const { address, offset } = top;
    addresses.add(address);
    for (const instr of uses.get(address) ?? []) {
      if (isVolatile(instr)) return null;
      if (instr.op === "add") {
        const other = instr.args[0] === address ? instr.args[1] : instr.args[0];
        if (other.op !== "const") return null;
        work.push({ address: instr, offset: offset + Number(BigInt.asIntN(64, other.imm)) });
      } else if (instr.op === "load" || instr.op === "zero") accesses.push({ instr, operand: 0, offset });
      else if (instr.op === "store" && instr.args[1] !== address) accesses.push({ instr, operand: 0, offset });
      else if (instr.op === "copy" && !copies.has(instr)) {
        copies.add(instr);
        accesses.push({ instr, operand: instr.args[0] === address ? 0 : 1, offset });
      } else return null;
    }
  }
  return accesses;
}

/** The parts, sorted; null if they overlap or if there is nothing to gain. */
function partition(alloca: Alloca, accesses: readonly Access[]): Part[] | null {
  const parts = new Map<number, Part>();
  const ranges: { from: number; to: number }[] = [];
  for (const { instr, offset } of accesses) {
    const scalar = instr.op === "load" || instr.op === "store";
    const type = instr.op === "load" ? instr.type : instr.op === "store" ? instr.args[1].type : "void";
    const size = instr.op === "load" || instr.op === "store" ? bytesOf(type) : instr.size;
    if (offset < 0 || offset + size > alloca.size) return null;
    if (!scalar) {
      ranges.push({ from: offset, to: offset + size });
      continue;
    }
    const known = parts.get(offset);
    if (known && known.type !== type) return null;
    parts.set(offset, { offset, type, alloca: null });
  }
  // Bytes that only copies access become parts, too: as wide as alignment and neighbours allow.
  const covered = new Uint8Array(alloca.size);
  for (const part of parts.values()) {
    for (let i = part.offset; i < part.offset + bytesOf(part.type); i++) {
      if (covered[i]) return null;
      covered[i] = 1;
    }
  }
  for (const { from, to } of ranges) {
    for (let at = from; at < to; ) {
      if (covered[at]) {
        at++;
        continue;
      }
      const fits = (n: number): boolean =>
        at % n === 0 && at + n <= to && covered.subarray(at, at + n).every((c) => c === 0);
      const type: Type = fits(8) ? "i64" : fits(4) ? "i32" : fits(2) ? "i16" : "i8";
      parts.set(at, { offset: at, type, alloca: null });
      covered.fill(1, at, at + bytesOf(type));
      at += bytesOf(type);
    }
  }
  const list = [...parts.values()].sort((a, b) => a.offset - b.offset);
  for (const { from, to } of ranges) {
    const inside = list.filter((p) => p.offset < to && p.offset + bytesOf(p.type) > from);
    if (inside.length > MAX_PARTS || inside.some((p) => p.offset < from || p.offset + bytesOf(p.type) > to))
      return null;
  }
  const whole = list.length === 1 && ranges.length === 0 && list[0].offset === 0;
  return list.length === 0 || whole ? null : list;
}

/** Bytes in no part are unknown. */
function partsOfVariable(func: Func, at: Instr, debug: DebugValue, parts: readonly Part[]): Instr[] {
  const { variable, offset, bytes } = debug;
  const unknown = newDebug(func, { variable, watched: null, indirect: false, offset, bytes }, at.loc, at.block);
  const known = parts.flatMap((part) => {
    const count = Math.min(bytesOf(part.type), bytes - part.offset);
    if (count <= 0) return [];
    return newDebug(
      func,
      { variable, watched: part.alloca, indirect: true, offset: offset + part.offset, bytes: count },
      at.loc,
      at.block,
    );
  });
  return [unknown, ...known];
}

function split(
  func: Func,
  alloca: Alloca,
  accesses: readonly Access[],
  parts: readonly Part[],
  addresses: ReadonlySet<Instr>,
): void {
  const byInstr = new Map<Instr, Access>(accesses.map((a) => [a.instr, a]));
  for (const part of parts) {
    const size = bytesOf(part.type);
    const name = alloca.name === "" ? "" : `${alloca.name}+${part.offset}`;
    part.alloca = numbered(func, make.alloca(size, size, name, alloca.loc));
    part.alloca.block = alloca.block;
  }
  for (const block of func.blocks) {
    if (!block.instrs.some((i) => byInstr.has(i) || addresses.has(i) || (i.op === "dbg" && i.debug.watched === alloca)))
      continue;
    const out: Instr[] = [];
    const emit = (instr: Instr): Instr => {
      instr.block = block;
      out.push(instr);
      return instr;
    };
    for (const instr of block.instrs) {
      if (instr === alloca) for (const part of parts) out.push(part.alloca as Instr);
      if (addresses.has(instr)) continue;
      if (instr.op === "dbg" && instr.debug.indirect && instr.debug.watched === alloca) {
        out.push(...partsOfVariable(func, instr, instr.debug, parts));
        continue;
      }
      const access = byInstr.get(instr);
      if (!access) {
        out.push(instr);
        continue;
      }
      const { instr: accessing } = access;
      const { loc } = accessing;
      if (accessing.op === "load" || accessing.op === "store") {
        accessing.args[0] = parts.find((p) => p.offset === access.offset)?.alloca as Instr;
        out.push(accessing);
        continue;
      }
      const inside = parts.filter((p) => p.offset >= access.offset && p.offset < access.offset + accessing.size);
      const at = (base: Instr, bytes: number): Instr =>
        bytes === 0
          ? base
          : emit(newInstr(func, "add", "i64", [base, emit(newConst(func, "i64", BigInt(bytes), loc))], loc));
      for (const part of inside) {
        const delta = part.offset - access.offset;
        const own = part.alloca as Instr;
        const bytes = bytesOf(part.type);
        if (accessing.op === "zero") emit(numbered(func, make.zero(own, bytes, bytes, loc)));
        else if (access.operand === 0) {
          const value = emit(numbered(func, make.load(part.type, at(accessing.args[1], delta), false, loc)));
          emit(numbered(func, make.store(own, value, false, loc)));
        } else {
          const value = emit(numbered(func, make.load(part.type, own, false, loc)));
          emit(numbered(func, make.store(at(accessing.args[0], delta), value, false, loc)));
        }
      }
    }
    block.instrs = out;
  }
}
