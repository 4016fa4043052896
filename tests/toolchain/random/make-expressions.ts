/**
 * Expressions and conditions. They have no side effects, so the order of operands, which C leaves open, does not
 * matter; calls and atomic updates are statements. Shift counts are masked, divisors guarded.
 */
import { constant, type Maker, nameOf } from "./maker.ts";
import {
  type Compare,
  type Cond,
  type Expr,
  type Int,
  isInt,
  isSigned,
  type Scalar,
  widens,
  width,
} from "./program.ts";

const COMPARE: readonly Compare[] = ["<", "<=", ">", ">=", "===", "!=="];
const DIVISORS = [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 16n, 25n, 64n, 100n, 127n];
const FLOATS = [0.5, 1, 2, 3.25, 10, 1000000, 0.001, 0, 4294967296, 1e300, 123456789.75];
// biome-ignore format: a table
const FLOAT_BITS = [
  0n, 1n << 63n,                                                       // 0, −0
  0x7ff0000000000000n, 0xfff0000000000000n, 0x7ff8000000000000n,       // ∞, −∞, NaN
  // denormal: least, greatest; normal: least, greatest
  1n, 0x000fffffffffffffn, 0x0010000000000000n, 0x7fefffffffffffffn,
  0x41dfffffffc00000n, 0x41e0000000000000n, 0xc1e0000000000000n,       // 2^31 − 1, 2^31, −2^31
  0x43e0000000000000n, 0xc3e0000000000000n, 0x43f0000000000000n,       // 2^63, −2^63, 2^64
  0x4330000000000001n, 0x3fdfffffffffffffn,                            // 2^52 + 1, just below a half
];

export function expr(m: Maker, t: Scalar, depth: number): Expr {
  return t === "f64" ? floatExpr(m, depth) : t === "T" ? opaqueExpr(m, depth) : intExpr(m, t, depth);
}

/** A value of the type parameter: an existing one, or a choice of two. */
function opaqueExpr(m: Maker, depth: number): Expr {
  if (depth > 0 && m.prng.chance(0.3))
    return { k: "choose", t: "T", c: cond(m, depth - 1), a: opaqueExpr(m, depth - 1), b: opaqueExpr(m, depth - 1) };
  const place = m.place("T", false);
  // Each generic function has a parameter of this type.
  return { k: "read", t: "T", p: place.t === "T" ? place.p : nameOf("p0") };
}

/** The contents of some place, perhaps by a volatile or atomic read. */
function read(m: Maker, t: Scalar): Expr {
  const place = m.place(t, false);
  const { prng } = m;
  if (prng.chance(0.06)) {
    if (place.aligned && isInt(place.t) && prng.chance(0.5))
      return { k: "special", t: place.t, p: place.p, how: "atomic" };
    return { k: "special", t: place.t, p: place.p, how: "volatile" };
  }
  return { k: "read", t: place.t, p: place.p };
}
const toInt = (t: Int, value: Expr): Expr =>
  value.t === t ? value : value.t === "f64" ? { k: "toInt", t, f: value } : { k: "cast", t, a: value };

function intExpr(m: Maker, t: Int, depth: number): Expr {
  const { prng } = m;
  const kind = prng.below(depth > 0 ? 23 : 5);
  if (kind === 0) return { k: "lit", t, v: constant(prng, t) };
  if (kind < 5) return toInt(t, read(m, t));
  const sub = (): Expr => intExpr(m, t, depth - 1);
  if (kind < 11) {
    const a = sub();
    const place = m.place(null, false);
    // The other operand makes the type wide: only then may this one be narrow without a cast.
    const b: Expr =
      a.k === "read" && place.t !== t && widens(place.t, t) && prng.chance(0.5)
        ? { k: "widen", t, a: { k: "read", t: place.t, p: place.p } }
        : sub();
    return { k: "bin", t, op: prng.pick(["+", "-", "*", "&", "|", "^", "+", "-"] as const), a, b };
  }
  if (kind < 13) {
    const n: Expr = prng.chance(0.5) ? { k: "lit", t, v: BigInt(prng.below(width(t))) } : sub();
    return { k: "shift", t, op: prng.pick(["<<", ">>", ">>>"] as const), a: sub(), n };
  }
  if (kind < 15) return division(m, t, sub);
  if (kind === 15) return { k: "un", t, op: prng.pick(["-", "~"] as const), a: sub() };
  if (kind < 18) return toInt(t, expr(m, prng.chance(0.2) ? "f64" : m.int(), depth - 1));
  if (kind === 18) return { k: "bool", t, c: cond(m, depth - 1) };
  if (kind === 19) return { k: "choose", t, c: cond(m, depth - 1), a: sub(), b: sub() };
  if (kind === 20 && t === "u64") {
    if (m.containers.length > 0 && prng.chance(0.5)) return { k: "sum", t, ...prng.pick(m.containers) };
    return { k: "bits", t, f: floatExpr(m, depth - 1) };
  }
  const intrinsic = prng.below(5);
  if (intrinsic < 3) return { k: (["clz", "ctz", "bswap"] as const)[intrinsic], t, a: sub() };
  if (intrinsic === 3 || t !== "u64") return { k: "rotl", t, a: sub(), b: sub() };
  return { k: "mulHigh", t, a: sub(), b: sub() };
}
function division(m: Maker, t: Int, sub: () => Expr): Expr {
  const { prng } = m;
  const op = prng.pick(["/", "%"] as const);
  if (!prng.chance(0.4))
    return { k: "div", t, op, a: sub(), b: sub(), guard: isSigned(t) && prng.chance(0.4) ? "negative" : "positive" };
  const negative = isSigned(t) ? [-2n, -3n, -4n, -7n, -10n, -(1n << BigInt(width(t) - 1))] : [];
  const v = prng.pick([...DIVISORS, constant(prng, t), ...negative]);
  return { k: "div", t, op, a: sub(), b: { k: "lit", t, v: v === 0n || v === -1n ? 3n : v }, guard: "constant" };
}

function floatExpr(m: Maker, depth: number): Expr {
  const { prng } = m;
  const t = "f64" as const;
  const kind = prng.below(depth > 0 ? 12 : 5);
  if (kind === 0)
    return prng.chance(0.5) ? { k: "flit", t, v: prng.pick(FLOATS) } : { k: "fconst", t, bits: prng.pick(FLOAT_BITS) };
  if (kind < 4) {
    const value = read(m, t);
    return value.t === t ? value : { k: "toFloat", t, i: value };
  }
  const sub = (): Expr => floatExpr(m, depth - 1);
  if (kind === 4) return { k: "toFloat", t, i: intExpr(m, m.int(), Math.min(depth, 1)) };
  if (kind === 5) return { k: "fneg", t, a: sub() };
  if (kind === 6) return { k: "choose", t, c: cond(m, depth - 1), a: sub(), b: sub() };
  if (kind === 7 && prng.chance(0.5)) return { k: "fromBits", t, i: intExpr(m, "u64", depth - 1) };
  const a = sub();
  // x − x and x / x are 0 and 1 only for some numbers.
  return { k: "fbin", t, op: prng.pick(["+", "-", "*", "/"] as const), a, b: prng.chance(0.1) ? a : sub() };
}

export function cond(m: Maker, depth: number): Cond {
  const { prng } = m;
  const kind = prng.below(depth > 0 ? 11 : 6);
  const t = m.int();
  if (kind === 0 && m.fn.instances)
    return { k: "cmp", op: prng.pick(COMPARE), a: opaqueExpr(m, 0), b: opaqueExpr(m, 0) };
  if (kind < 5) return { k: "cmp", op: prng.pick(COMPARE), a: intExpr(m, t, depth), b: intExpr(m, t, depth) };
  if (kind === 5) {
    const bit: Expr = { k: "lit", t, v: 1n << BigInt(prng.below(width(t) - 1)) };
    return { k: "test", e: { k: "bin", t, op: "&", a: intExpr(m, t, depth), b: bit } };
  }
  if (kind === 6) return { k: "not", a: cond(m, depth - 1) };
  if (kind === 7) return { k: "cmp", op: prng.pick(COMPARE), a: floatExpr(m, 1), b: floatExpr(m, 1) };
  return { k: prng.pick(["and", "or"] as const), a: cond(m, depth - 1), b: cond(m, depth - 1) };
}
