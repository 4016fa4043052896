/**
 * Shapes of random IR that passes look for and that chance alone seldom produces: range checks, flags that are tested
 * at once, partly overlapping accesses, copies over known places, loops over one datum or in strides, volatile and
 * atomic accesses, floats. Each result is observed at once, on both sides of every bound, so that a mistake cannot
 * hide.
 */
import type { AtomicUpdate, Builder, IntBinary } from "../../../toolchain/ir/builder.ts";
import type { Instr } from "../../../toolchain/ir/ir.ts";
import { type Type, widthOf } from "../../../toolchain/ir/ops.ts";
import type { Prng } from "../../../toolchain/lib/prng.ts";

export const INTS: readonly Type[] = ["i8", "i16", "i32", "i64"];
export const COMPARE: readonly IntBinary[] = ["eq", "ne", "slt", "sle", "ult", "ule"];
export const MEMORY_BYTES = 256;
export const bytesOf = (type: Type): number => widthOf[type as "i64"] / 8;

/** The function under construction. */
export interface Shaper {
  readonly prng: Prng;
  readonly b: Builder;
  /** Mixes a value into the module's sum. */
  observe(value: Instr): void;
  /** A value that no pass can know. */
  unknown(type: Type): Instr;
  expression(type: Type, depth: number): Instr;
  constant(): bigint;
  as(type: Type, value: Instr): Instr;
}

export const patterns: readonly ((s: Shaper) => void)[] = [
  rangeCheck,
  flag,
  overlap,
  copyOver,
  copied,
  memoryLoop,
  stride,
  special,
  division,
  floats,
];

/** A loop that runs `count` times, with an i64 that starts at `first` and grows by `step`. */
function loop(s: Shaper, count: number, first: number, step: number, body: (counter: Instr) => void): void {
  const { b } = s;
  const place = b.alloca(8, 8);
  b.store(place, b.iconst("i64", first));
  const [head, inside, exit] = [b.createBlock(), b.createBlock(), b.createBlock()];
  b.jump(head);
  b.enter(head);
  b.branch(b.binary("slt", b.load("i64", place), b.iconst("i64", first + count * step)), inside, exit);
  b.enter(inside);
  body(b.load("i64", place));
  b.store(place, b.binary("add", b.load("i64", place), b.iconst("i64", step)));
  b.jump(head);
  b.enter(exit);
}
function diamond(s: Shaper, condition: Instr, yes: () => void, no: () => void): void {
  const { b } = s;
  const [then, otherwise, join] = [b.createBlock(), b.createBlock(), b.createBlock()];
  b.branch(condition, then, otherwise);
  b.enter(then);
  yes();
  b.jump(join);
  b.enter(otherwise);
  no();
  b.jump(join);
  b.enter(join);
}

/** Pairs of tests of one value against close constants, for all values around them, as && and || leave them. */
function rangeCheck(s: Shaper): void {
  const { b, prng } = s;
  const type = prng.pick(INTS);
  const low = prng.chance(0.7) ? s.constant() : BigInt(prng.below(3));
  loop(s, 5, 0, 1, (counter) => {
    const value = b.binary("add", s.as(type, counter), b.iconst(type, low - 1n));
    const test = (): Instr => {
      const operands = [value, b.iconst(type, low + BigInt(prng.below(3)))];
      if (prng.chance(0.3)) operands.reverse();
      return b.binary(prng.pick(COMPARE), operands[0], operands[1]);
    };
    for (let i = 0; i < 3; i++) {
      const [next, yes, no, join] = [b.createBlock(), b.createBlock(), b.createBlock(), b.createBlock()];
      const isAnd = prng.chance(0.5);
      b.branch(test(), isAnd ? next : yes, isAnd ? no : next);
      b.enter(next);
      const isSwapped = prng.chance(0.5);
      b.branch(test(), isSwapped ? no : yes, isSwapped ? yes : no);
      b.enter(yes);
      s.observe(b.iconst("i8", 1));
      b.jump(join);
      b.enter(no);
      s.observe(b.iconst("i8", 2));
      b.jump(join);
      b.enter(join);
    }
  });
}

/** A flag that is set to constants on some paths to its test; other values set there may be used after it. */
function flag(s: Shaper): void {
  const { b, prng } = s;
  const type = prng.pick(["i8", "i8", "i32"] as const);
  const [state, other] = [b.alloca(bytesOf(type), bytesOf(type)), b.alloca(8, 8)];
  const [hasEffects, isSeen] = [prng.chance(0.5), prng.chance(0.5)];
  const set = (): void => {
    b.store(
      state,
      prng.chance(0.8) ? b.iconst(type, prng.below(2)) : b.binary("and", s.unknown(type), b.iconst(type, 1)),
    );
    // With a store to memory, the branch remains.
    if (hasEffects) s.observe(b.iconst("i8", 13));
    if (isSeen && prng.chance(0.5))
      b.store(other, prng.chance(0.5) ? b.iconst("i64", prng.below(100)) : s.unknown("i64"));
  };
  const test = (): Instr =>
    type === "i8" && prng.chance(0.7) ? b.load("i8", state) : b.binary("eq", b.load(type, state), b.iconst(type, 1));
  const bit = (n: number): Instr =>
    b.convert("trunc", "i8", b.binary("and", b.binary("lshr", values, b.iconst("i64", n)), b.iconst("i64", 1)));
  b.store(state, b.iconst(type, prng.below(2)));
  b.store(other, b.iconst("i64", 7));
  const values = s.unknown("i64");
  const isInside = prng.chance(0.5);
  const first = test();
  diamond(s, bit(0), set, () => {
    if (prng.chance(0.5)) diamond(s, bit(1), set, set);
    else if (prng.chance(0.6)) set();
  });
  diamond(
    s,
    prng.chance(0.2) ? first : test(),
    () => s.observe(isSeen && isInside ? b.load("i64", other) : b.iconst("i8", 3)),
    () => s.observe(b.iconst("i8", 5)),
  );
  if (isSeen && prng.chance(0.5)) s.observe(b.load("i64", other));
  if (prng.chance(0.3))
    diamond(
      s,
      test(),
      () => s.observe(b.iconst("i8", 11)),
      () => {},
    );
}

/** Reads a value, stores over it or beside it in another width, and reads it again. */
function overlap(s: Shaper): void {
  const { b, prng } = s;
  let base = b.symbol("memory", prng.below(28) * 8);
  if (prng.chance(0.7)) {
    base = b.alloca(16, 8);
    b.store(base, s.unknown("i64"));
    b.store(b.offset(base, 8), s.unknown("i64"));
  }
  const pick = (): { type: Type; at: number } => {
    const type = prng.pick(INTS);
    return { type, at: prng.below(16 / bytesOf(type)) * bytesOf(type) };
  };
  const seen = pick();
  const read = (): Instr => b.load(seen.type, b.offset(base, seen.at));
  const before = read();
  for (let i = prng.between(1, 2); i > 0; i--) {
    const { type, at } = prng.chance(0.5) ? { type: "i64" as const, at: seen.at & 8 } : pick();
    b.store(b.offset(base, at), s.unknown(type), prng.chance(0.05));
  }
  s.observe(b.binary("sub", read(), before));
}

/** A known value of a datum or local, which a copy or clearing overwrites partly or not at all. */
function copyOver(s: Shaper): void {
  const { b, prng } = s;
  const size = prng.pick([4, 8, 16, 24]);
  const word = (limit: number): number => prng.below(limit) * 8;
  const from = prng.chance(0.5) ? b.symbol("memory", word(8)) : b.alloca(48, 8);
  const to = prng.chance(0.6) ? b.symbol("memory", 96 + word(8)) : b.alloca(48, 8);
  if (from.op === "alloca") for (let i = 0; i < 48; i += 8) b.store(b.offset(from, i), s.unknown("i64"));
  if (to.op === "alloca") b.zero(to, 48, 8);
  const [seen, start] = [word(4), word(3)];
  const type = prng.pick(INTS);
  const read = (): Instr => b.load(type, b.offset(to, seen));
  if (prng.chance(0.6)) b.store(b.offset(to, seen), s.unknown(type));
  const before = read();
  if (prng.chance(0.8)) b.copy(b.offset(to, start), b.offset(from, word(3)), size, 4);
  else b.zero(b.offset(to, start), size, 4);
  s.observe(b.binary("sub", read(), before));
}

/** A local that is only written, at an index, and then copied; only the copy is read. */
function copied(s: Shaper): void {
  const { b } = s;
  const [from, to] = [b.alloca(16, 8), b.alloca(16, 8)];
  const element = (of: Instr): Instr =>
    b.binary("add", of, b.binary("mul", b.binary("and", s.unknown("i64"), b.iconst("i64", 1)), b.iconst("i64", 8)));
  b.zero(from, 16, 8);
  b.store(element(from), s.unknown("i64"));
  b.copy(to, from, 16, 8);
  s.observe(b.load("i64", element(to)));
}

/** A datum that a loop reads and writes, and accesses at an index that may or may not reach it. */
function memoryLoop(s: Shaper): void {
  const { b, prng } = s;
  const type = prng.pick(INTS);
  const size = bytesOf(type);
  const at = prng.below(16);
  const fixed = (): Instr => b.symbol("memory", at * size);
  loop(s, prng.between(0, 12), 0, 1, (counter) => {
    const scaled = b.binary("and", counter, b.iconst("i64", prng.pick([3n, 7n, 15n])));
    const place = b.binary(
      "add",
      b.symbol("memory", prng.below(12) * size),
      b.binary("mul", scaled, b.iconst("i64", size)),
    );
    const other = prng.chance(0.3) ? b.symbol("memory", prng.below(16) * size) : place;
    const indexed = (): void => {
      if (prng.chance(0.7)) b.store(other, s.expression(type, 1));
      else b.store(fixed(), b.binary("xor", b.load(type, fixed()), b.load(type, other)));
    };
    const accumulate = (): void => void b.store(fixed(), b.binary("add", b.load(type, fixed()), s.as(type, counter)));
    for (const step of prng.chance(0.5) ? [accumulate, indexed] : [indexed, accumulate]) step();
  });
  s.observe(b.load(type, fixed()));
}

/**
 * Accesses whose address is a sum of products with the counter: upwards, downwards, from the middle, with more
 * invariant terms.
 */
function stride(s: Shaper): void {
  const { b, prng } = s;
  const type = prng.pick(INTS);
  const scale = prng.pick([1, 2, 3, 4, 5, 8, 12, 24]);
  const count = prng.between(2, 4);
  const fixed = b.binary("and", s.unknown("i64"), b.iconst("i64", 7));
  const isDown = prng.chance(0.4);
  const inside = prng.below(3);
  const behind = prng.below(9);
  const isLeft = prng.chance(0.3);
  loop(s, count, prng.below(2), prng.pick([1, 1, 2]), (counter) => {
    // At most 3 + 7 turns' worth on either side of the middle.
    let index = isDown ? b.binary("sub", b.iconst("i64", 9), counter) : counter;
    if (inside > 0) index = b.binary(isDown ? "add" : "sub", index, b.iconst("i64", -inside));
    const product =
      isLeft && scale === 8
        ? b.binary("shl", index, b.iconst("i64", 3))
        : b.binary("mul", index, b.iconst("i64", scale));
    const base = b.binary("add", b.symbol("memory"), fixed);
    let address = b.binary("add", base, product);
    if (behind > 0) address = b.offset(address, behind);
    if (prng.chance(0.4)) b.store(address, s.as(type, counter));
    s.observe(b.load(type, address));
    if (prng.chance(0.3)) s.observe(b.load("i8", b.offset(address, 1)));
  });
}

/** Volatile and atomic accesses to locals and data, surrounded by plain ones. */
function special(s: Shaper): void {
  const { b, prng } = s;
  const type = prng.pick(INTS);
  const place = prng.chance(0.5)
    ? b.alloca(bytesOf(type), bytesOf(type))
    : b.symbol("memory", prng.below(MEMORY_BYTES / 8) * 8);
  b.store(place, s.unknown(type));
  const value = (): Instr => (prng.chance(0.4) ? b.iconst(type, s.constant()) : s.unknown(type));
  for (let i = prng.between(1, 3); i > 0; i--) {
    const kind = prng.below(6);
    if (kind === 0) s.observe(b.load(type, place, true));
    else if (kind === 1) b.store(place, value(), true);
    else if (kind === 2) s.observe(b.atomicLoad(type, place));
    else if (kind === 3) b.atomicStore(place, value());
    else if (kind === 4) s.observe(b.compareExchange(place, prng.chance(0.5) ? b.load(type, place) : value(), value()));
    else {
      const old = b.atomicUpdate(
        prng.pick(["axchg", "aadd", "aand", "aor", "axor"] as const satisfies AtomicUpdate[]),
        place,
        value(),
      );
      if (prng.chance(0.6)) s.observe(old);
    }
    if (prng.chance(0.4)) b.store(place, value());
  }
  s.observe(b.load(type, place));
}

/** Quotients and remainders by constants, of numbers of either sign. */
function division(s: Shaper): void {
  const { b, prng } = s;
  const type = prng.pick(INTS);
  for (const op of ["udiv", "sdiv", "urem", "srem"] as const) {
    const divisor = prng.chance(0.5)
      ? 1n << BigInt(prng.between(1, widthOf[type as "i64"] - 2))
      : BigInt(prng.between(3, 127));
    s.observe(b.binary(op, s.unknown(type), b.iconst(type, divisor)));
  }
}

/**
 * Sums, products and quotients of integers as floats: compared and converted back, and their bits if they are certainly
 * numbers.
 */
function floats(s: Shaper): void {
  const { b, prng } = s;
  const number = (): Instr => {
    if (prng.chance(0.3))
      return b.fconst(prng.pick([0, -0, 1, -1, 2, 0.5, 1e300, Number.NaN, Number.POSITIVE_INFINITY]));
    const type = prng.pick(INTS);
    return b.convert(prng.pick(["sitof", "uitof"] as const), "f64", s.unknown(type));
  };
  const local = b.alloca(8, 8);
  b.store(local, number());
  diamond(
    s,
    b.binary(prng.pick(["feq", "fne", "flt", "fle"] as const), b.load("f64", local), number()),
    () => b.store(local, number()),
    () => {},
  );
  const [x, y] = [b.load("f64", local), number()];
  const z = b.binary(prng.pick(["fadd", "fsub", "fmul", "fdiv"] as const), x, prng.chance(0.2) ? x : y);
  s.observe(b.convert(prng.pick(["ftosi", "ftoui"] as const), prng.pick(INTS), z));
  s.observe(b.binary(prng.pick(["feq", "fne", "flt", "fle"] as const), z, prng.chance(0.2) ? z : x));
  s.observe(b.convert("fbits", "i64", b.convert("sitof", "f64", s.unknown("i32"))));
}
