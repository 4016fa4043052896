/**
 * FSIN, FCOS, FSINCOS, FPTAN, FPATAN, F2XM1, FYL2X and FYL2XP1 for operands that are finite and not zero (Intel SDM
 * vol. 2; vol. 1, 8.3.7 to 8.3.10). Processors may err by one unit in the last place, each in its own way. Here a
 * result is the exact one, rounded by the control word, so it is the same on every host. The angle is first reduced by
 * the 66-bit π of vol. 1, 8.3.8; the exact sine is that of the reduced angle.
 *
 * Values are {n, e}: n × 2^e. Functions are computed with `precision` bits. If the rounding of a result is still in
 * doubt, it is computed again with twice as many bits. Exact results are detected first, so that this terminates.
 */

interface Big {
  readonly n: bigint;
  readonly e: number;
}

/** The number of low bits that may be wrong in a computed value. */
const GUARD_BITS = 24;
const FIRST_PRECISION = 160;
/** π as processors have it, × 2^64. */
const PI_66 = 0x3_243f_6a88_85a3_08d3n;
const PI_66_SHIFT = -64;

const bitLength = (value: bigint): number => (value < 0n ? -value : value).toString(2).length;
const shifted = (value: bigint, by: number): bigint => (by >= 0 ? value << BigInt(by) : value >> BigInt(-by));

/** The uppermost `precision` bits. */
function cut({ n, e }: Big, precision: number): Big {
  const surplus = bitLength(n) - precision;
  return surplus > 0 ? { n: n >> BigInt(surplus), e: e + surplus } : { n, e };
}
const times = (a: Big, b: Big, precision: number): Big => cut({ n: a.n * b.n, e: a.e + b.e }, precision);
function over(a: Big, b: Big, precision: number): Big {
  const shift = Math.max(0, precision + 2 + bitLength(b.n) - bitLength(a.n));
  return cut({ n: (a.n << BigInt(shift)) / b.n, e: a.e - b.e - shift }, precision);
}
function plus(a: Big, b: Big, precision: number): Big {
  if (a.n === 0n) return b;
  if (b.n === 0n) return a;
  const top = Math.max(bitLength(a.n) + a.e, bitLength(b.n) + b.e);
  // Bits far below the larger operand do not count.
  const lowest = Math.max(Math.min(a.e, b.e), top - 2 * precision);
  return cut({ n: shifted(a.n, a.e - lowest) + shifted(b.n, b.e - lowest), e: lowest }, 2 * precision);
}
const negative = ({ n, e }: Big): Big => ({ n: -n, e });
const integer = (n: number): Big => ({ n: BigInt(n), e: 0 });

/** first × (1 + Σ terms); `next` returns the next term, which must be smaller by a factor of 2 at least. */
function series(first: Big, next: (term: Big, index: number) => Big, precision: number): Big {
  let sum = first;
  let term = first;
  for (let index = 1; ; index++) {
    term = next(term, index);
    if (term.n === 0n || bitLength(term.n) + term.e < bitLength(sum.n) + sum.e - precision) return sum;
    sum = cut(plus(sum, term, precision), 2 * precision);
    term = cut(term, precision);
  }
}

/** atanh(z) and atan(z) for |z| ≤ 1/2. */
function inverseTangent(z: Big, sign: 1 | -1, precision: number): Big {
  const square = times(z, z, precision);
  let power = z;
  return series(
    z,
    (_, index) => {
      power = times(power, sign === 1 ? square : negative(square), precision);
      return over(power, integer(2 * index + 1), precision);
    },
    precision,
  );
}

const constants = new Map<string, Big>();
function constant(name: string, precision: number, compute: () => Big): Big {
  const key = `${name} ${precision}`;
  let value = constants.get(key);
  if (value === undefined) constants.set(key, (value = compute()));
  return value;
}
const naturalLogarithmOf2 = (precision: number): Big =>
  constant("ln 2", precision, () => {
    const value = inverseTangent(over(integer(1), integer(3), precision + 32), 1, precision + 32);
    return { n: value.n, e: value.e + 1 };
  });
/** Machin: 16 atan(1/5) - 4 atan(1/239). */
const pi = (precision: number): Big =>
  constant("pi", precision, () => {
    const of = (n: number): Big => inverseTangent(over(integer(1), integer(n), precision + 32), -1, precision + 32);
    const [a, b] = [of(5), of(239)];
    return plus({ n: a.n, e: a.e + 4 }, negative({ n: b.n, e: b.e + 2 }), precision + 32);
  });

/** Quadrant and remainder of an angle, |remainder| ≤ π/4, exact. */
function reduce({ n, e }: Big): { readonly quadrant: number; readonly rest: Big } {
  const half = PI_66_SHIFT - 1;
  const lowest = Math.min(e, half);
  const angle = n << BigInt(e - lowest);
  const quarterTurn = PI_66 << BigInt(half - lowest);
  // The nearest multiple of π/2.
  const doubled = 2n * angle + quarterTurn;
  const count =
    doubled >= 0n ? doubled / (2n * quarterTurn) : -((2n * quarterTurn - 1n - doubled) / (2n * quarterTurn));
  return { quadrant: Number(((count % 4n) + 4n) % 4n), rest: { n: angle - count * quarterTurn, e: lowest } };
}
function sineOf(x: Big, precision: number): Big {
  const square = negative(times(x, x, precision));
  return series(
    x,
    (term, index) => over(times(term, square, precision), integer(2 * index * (2 * index + 1)), precision),
    precision,
  );
}
function cosineOf(x: Big, precision: number): Big {
  const square = negative(times(x, x, precision));
  return series(
    integer(1),
    (term, index) => over(times(term, square, precision), integer(2 * index * (2 * index - 1)), precision),
    precision,
  );
}
function sine(x: Big, precision: number): Big {
  const { quadrant, rest } = reduce(x);
  const value = quadrant & 1 ? cosineOf(rest, precision) : sineOf(rest, precision);
  return quadrant & 2 ? negative(value) : value;
}
function cosine(x: Big, precision: number): Big {
  const { quadrant, rest } = reduce(x);
  const value = quadrant & 1 ? sineOf(rest, precision) : cosineOf(rest, precision);
  return quadrant === 1 || quadrant === 2 ? negative(value) : value;
}
const tangent = (x: Big, precision: number): Big => over(sine(x, precision), cosine(x, precision), precision);

function squareRoot({ n, e }: Big, precision: number): Big {
  let shift = Math.max(0, 2 * precision - bitLength(n));
  if ((e - shift) % 2 !== 0) shift++;
  const value = n << BigInt(shift);
  let root = 1n << BigInt((bitLength(value) >> 1) + 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return { n: root, e: (e - shift) / 2 };
    root = next;
  }
}
const HALVINGS = 5;
/** The arctangent of y / x, both positive. */
function positiveArctangent(y: Big, x: Big, precision: number): Big {
  const ratio = over(y, x, precision);
  if (bitLength(ratio.n) + ratio.e > 1) {
    const quarterTurn = { n: pi(precision).n, e: pi(precision).e - 1 };
    return plus(quarterTurn, negative(positiveArctangent(x, y, precision)), precision);
  }
  let reduced = ratio;
  let halvings = 0;
  // atan t = 2 atan (t / (1 + sqrt(1 + t²)))
  for (; halvings < HALVINGS && bitLength(reduced.n) + reduced.e > -HALVINGS; halvings++) {
    const root = squareRoot(plus(integer(1), times(reduced, reduced, precision), precision), precision);
    reduced = over(reduced, plus(integer(1), root, precision), precision);
  }
  const value = inverseTangent(reduced, -1, precision);
  return { n: value.n, e: value.e + halvings };
}
function arctangent(y: Big, x: Big, precision: number): Big {
  const isNegative = y.n < 0n;
  const angle = positiveArctangent(isNegative ? negative(y) : y, x.n < 0n ? negative(x) : x, precision);
  const turned = x.n < 0n ? plus(pi(precision), negative(angle), precision) : angle;
  return isNegative ? negative(turned) : turned;
}

/** 1 + x, exact. */
function onePlus(x: Big): Big {
  const e = Math.min(0, x.e);
  return { n: (1n << BigInt(-e)) + (x.n << BigInt(x.e - e)), e };
}
/** log2(x) for x > 0. */
function logarithm(x: Big, precision: number): Big {
  const top = bitLength(x.n) + x.e;
  // A significand in [3/4, 3/2).
  let exponent = top - 1;
  if (shifted(x.n, 2 - bitLength(x.n)) >= 3n) exponent++;
  const scaled = { n: x.n, e: x.e - exponent };
  const one = 1n << BigInt(-scaled.e);
  const z = over({ n: scaled.n - one, e: 0 }, { n: scaled.n + one, e: 0 }, precision);
  const fraction = over(inverseTangent(z, 1, precision), naturalLogarithmOf2(precision), precision);
  return plus(integer(exponent), { n: fraction.n, e: fraction.e + 1 }, precision);
}

/** 2^x - 1 for |x| ≤ 1. */
function exponentialLessOne(x: Big, precision: number): Big {
  const t = times(x, naturalLogarithmOf2(precision), precision);
  return series(t, (term, index) => over(times(term, t, precision), integer(index + 1), precision), precision);
}

// ---- extended precision

const PRECISION = 64;
const BIAS = 0x3fff;
const Status = {
  DENORMAL: 2,
  OVERFLOW: 8,
  UNDERFLOW: 0x10,
  PRECISION: 0x20,
  C1: 0x200,
  C2: 0x400,
  SUMMARY: 0x8080,
} as const;
/** Change of the exponent if overflow or underflow is unmasked (SDM vol. 1, 8.5.4). */
const UNMASKED_BIAS = 24576;

interface Extended {
  readonly sign: number;
  readonly exponent: number;
  readonly significand: bigint;
}
interface Rounded {
  readonly value: Extended;
  readonly flags: number;
}

/** Does rounding increase the magnitude? `kept`: the significand; `rest`: the `bits` bits below it. */
function roundsUp(kept: bigint, rest: bigint, bits: number, sign: number, mode: number): boolean {
  if (rest === 0n) return false;
  if (mode === 0) {
    const half = 1n << BigInt(bits - 1);
    return rest > half || (rest === half && (kept & 1n) === 1n);
  }
  return mode === 1 ? sign === 1 : mode === 2 ? sign === 0 : false;
}

/** Does rounding to 64 bits give the next power of two? A result is tiny if it is tiny after rounding. */
function carries(magnitude: bigint, sign: number, mode: number): boolean {
  const surplus = bitLength(magnitude) - PRECISION;
  if (surplus <= 0) return false;
  const significand = magnitude >> BigInt(surplus);
  const rest = magnitude - (significand << BigInt(surplus));
  return significand + 1n === 1n << 64n && roundsUp(significand, rest, surplus, sign, mode);
}

/** Rounds a value that is not 0. `control`: the control word. */
function round({ n, e }: Big, control: number): Rounded {
  const sign = n < 0n ? 1 : 0;
  const magnitude = n < 0n ? -n : n;
  const mode = (control >> 10) & 3;
  let flags = 0;
  const top = bitLength(magnitude) + e - 1;
  let exponent = top + BIAS;
  let kept = PRECISION;
  const isUnmasked = (flag: number): boolean => (control & flag) === 0;
  const isTiny = exponent < 1 && !(exponent === 0 && carries(magnitude, sign, mode));
  if (isTiny && isUnmasked(Status.UNDERFLOW)) {
    exponent += UNMASKED_BIAS;
    flags |= Status.UNDERFLOW;
  } else if (exponent < 1) {
    kept = PRECISION - (1 - exponent);
    exponent = 0;
  }
  const surplus = bitLength(magnitude) - kept;
  let significand = surplus > 0 ? magnitude >> BigInt(surplus) : magnitude << BigInt(-surplus);
  const rest = surplus > 0 ? magnitude - (significand << BigInt(surplus)) : 0n;
  const up = surplus > 0 && roundsUp(significand, rest, surplus, sign, mode);
  if (up) significand++;
  if (significand >> 64n) {
    significand >>= 1n;
    exponent++;
  }
  // A denormal that has become normal.
  if (exponent === 0 && significand >> 63n) exponent = 1;
  if (rest !== 0n) flags |= Status.PRECISION | (up ? Status.C1 : 0) | (isTiny ? Status.UNDERFLOW : 0);
  if (exponent >= 0x7fff) {
    if (isUnmasked(Status.OVERFLOW))
      return { value: { sign, exponent: exponent - UNMASKED_BIAS, significand }, flags: flags | Status.OVERFLOW };
    const toInfinity = mode === 0 || mode === (sign === 1 ? 1 : 2);
    const value = toInfinity
      ? { sign, exponent: 0x7fff, significand: 1n << 63n }
      : { sign, exponent: 0x7ffe, significand: (1n << 64n) - 1n };
    return { value, flags: Status.OVERFLOW | Status.PRECISION | (toInfinity ? Status.C1 : 0) };
  }
  return { value: { sign, exponent, significand }, flags };
}

const same = (a: Rounded, b: Rounded): boolean =>
  a.flags === b.flags && a.value.exponent === b.value.exponent && a.value.significand === b.value.significand;

/** Rounds the value of `compute`, with as many bits as that needs. */
function rounded(compute: (precision: number) => Big, control: number): Rounded {
  for (let precision = FIRST_PRECISION; ; precision *= 2) {
    const { n, e } = cut(compute(precision), precision);
    const doubt = 1n << BigInt(GUARD_BITS);
    // The exact value lies strictly between the two.
    const [low, high] = [round({ n: n - doubt, e }, control), round({ n: n + doubt, e }, control)];
    if (same(low, high)) return low;
    if (precision > 4096) throw new Error("transcendental: a result that may be exact");
  }
}

// ---- the instructions, on an FXSAVE image

const Fx = { CONTROL: 0, STATUS: 2, TAGS: 4, REGISTERS: 32, STEP: 16 } as const;

function readRegister(image: DataView, index: number): Extended {
  const at = Fx.REGISTERS + Fx.STEP * index;
  const high = image.getUint16(at + 8, true);
  return { sign: high >> 15, exponent: high & 0x7fff, significand: image.getBigUint64(at, true) };
}
function writeRegister(image: DataView, index: number, { sign, exponent, significand }: Extended): void {
  const at = Fx.REGISTERS + Fx.STEP * index;
  image.setBigUint64(at, significand, true);
  image.setUint16(at + 8, (sign << 15) | exponent, true);
}
const toBig = ({ sign, exponent, significand }: Extended): Big => ({
  n: sign ? -significand : significand,
  e: Math.max(exponent, 1) - BIAS - (PRECISION - 1),
});
const ONE: Extended = { sign: 0, exponent: BIAS, significand: 1n << 63n };

/** Finite, not zero, and in a format that the processor accepts. */
function isOrdinary({ exponent, significand }: Extended): boolean {
  return exponent !== 0x7fff && significand !== 0n && (exponent === 0 || significand >> 63n === 1n);
}
const isDenormal = ({ exponent }: Extended): boolean => exponent === 0;

const topOf = (image: DataView): number => (image.getUint16(Fx.STATUS, true) >> 11) & 7;
const isEmpty = (image: DataView, index: number): boolean =>
  (image.getUint8(Fx.TAGS) & (1 << ((topOf(image) + index) & 7))) === 0;

function setTop(image: DataView, top: number): void {
  image.setUint16(Fx.STATUS, (image.getUint16(Fx.STATUS, true) & ~0x3800) | (top << 11), true);
}
function push(image: DataView, value: Extended): void {
  const registers = Array.from({ length: 8 }, (_, index) => readRegister(image, index));
  const top = (topOf(image) - 1) & 7;
  setTop(image, top);
  image.setUint8(Fx.TAGS, image.getUint8(Fx.TAGS) | (1 << top));
  writeRegister(image, 0, value);
  for (let index = 1; index < 8; index++) writeRegister(image, index, registers[index - 1]);
}
function pop(image: DataView): void {
  const registers = Array.from({ length: 8 }, (_, index) => readRegister(image, index));
  const top = topOf(image);
  image.setUint8(Fx.TAGS, image.getUint8(Fx.TAGS) & ~(1 << top));
  setTop(image, (top + 1) & 7);
  for (let index = 0; index < 8; index++) writeRegister(image, index, registers[(index + 1) & 7]);
}

/** The second byte after D9. */
const Code = {
  F2XM1: 0xf0,
  FYL2X: 0xf1,
  FPTAN: 0xf2,
  FPATAN: 0xf3,
  FYL2XP1: 0xf9,
  FSINCOS: 0xfb,
  FSIN: 0xfe,
  FCOS: 0xff,
} as const;
const codes: ReadonlySet<number> = new Set(Object.values(Code));
const ofTwo: ReadonlySet<number> = new Set([Code.FYL2X, Code.FPATAN, Code.FYL2XP1]);
const pushing: ReadonlySet<number> = new Set([Code.FPTAN, Code.FSINCOS]);
const ofAngle: ReadonlySet<number> = new Set([Code.FPTAN, Code.FSINCOS, Code.FSIN, Code.FCOS]);
/** Exponent of 2^63. */
const TOO_LARGE = BIAS + 63;

export const isTranscendental = (opcode: number, modrm: number): boolean => opcode === 0xd9 && codes.has(modrm);

/**
 * Executes D9 `modrm` on an FXSAVE image. False: an operand is zero, infinite, not a number, empty, or raises an
 * unmasked exception. The results of these are defined to the bit, and left to the caller.
 */
export function transcend(image: DataView, modrm: number): boolean {
  const control = image.getUint16(Fx.CONTROL, true);
  if (isEmpty(image, 0) || (ofTwo.has(modrm) && isEmpty(image, 1))) return false;
  if (pushing.has(modrm) && !isEmpty(image, 7)) return false;
  const x = readRegister(image, 0);
  const operands = ofTwo.has(modrm) ? [x, readRegister(image, 1)] : [x];
  if (!operands.every(isOrdinary)) return false;
  const denormal = operands.some(isDenormal) ? Status.DENORMAL : 0;
  if (denormal && !(control & Status.DENORMAL)) return false;
  const finish = (flags: number): true => {
    let status = (image.getUint16(Fx.STATUS, true) & ~(Status.C1 | Status.C2)) | flags;
    if (status & ~control & 0x3f) status |= Status.SUMMARY;
    image.setUint16(Fx.STATUS, status, true);
    return true;
  };
  if (ofAngle.has(modrm) && x.exponent >= TOO_LARGE) return finish(Status.C2);
  const results = evaluate(modrm, operands.map(toBig), control);
  if (results === undefined) return false;
  if (ofTwo.has(modrm)) pop(image);
  writeRegister(image, 0, results[0].value);
  if (modrm === Code.FPTAN) push(image, ONE);
  if (modrm === Code.FSINCOS) push(image, results[1].value);
  const last = results[results.length - 1];
  const sticky = results.reduce((sum, { flags }) => sum | (flags & 0x3f), denormal);
  return finish(sticky | (last.flags & Status.C1));
}

function evaluate(modrm: number, [x, y]: readonly Big[], control: number): Rounded[] | undefined {
  const near = (operand: Big, outward: boolean): Rounded | undefined => nearby(operand, outward, control);
  switch (modrm) {
    case Code.FSIN:
      return [near(x, false) ?? rounded((precision) => sine(x, precision), control)];
    case Code.FCOS:
      return [nearOne(x, control) ?? rounded((precision) => cosine(x, precision), control)];
    case Code.FSINCOS:
      return [
        near(x, false) ?? rounded((precision) => sine(x, precision), control),
        nearOne(x, control) ?? rounded((precision) => cosine(x, precision), control),
      ];
    case Code.FPTAN:
      return [near(x, true) ?? rounded((precision) => tangent(x, precision), control)];
    case Code.FPATAN:
      return [arctangentOf(y, x, control)];
    case Code.F2XM1:
      return lessOne(x, control);
    case Code.FYL2X: {
      if (x.n < 0n) return undefined;
      const power = powerOfTwo(x);
      if (power === 0) return undefined; // log2(1): an exact zero
      if (power !== undefined) return [round({ n: y.n * BigInt(power), e: y.e }, control)];
      return [rounded((precision) => times(y, logarithm(x, precision), precision), control)];
    }
    default: {
      // Below -1 the result is undefined. It is also undefined outside ±(1 - sqrt(1/2)), but is computed there.
      if (x.n < 0n && bitLength(x.n) + x.e > 0) return undefined;
      if (bitLength(x.n) + x.e < -64)
        return [
          rounded((precision) => {
            const first = over(times(y, x, precision), naturalLogarithmOf2(precision), precision);
            return plus(first, negative(times(first, { n: x.n, e: x.e - 1 }, precision)), precision);
          }, control),
        ];
      return evaluate(Code.FYL2X, [onePlus(x), y], control);
    }
  }
}

/** The exponent of a power of two; undefined: not a power of two. */
function powerOfTwo({ n, e }: Big): number | undefined {
  return (n & (n - 1n)) === 0n ? e + bitLength(n) - 1 : undefined;
}

/**
 * For a function that differs from its operand by less than a part in 2^68; `outward`: the function is the larger one.
 */
function nearby(x: Big, outward: boolean, control: number): Rounded | undefined {
  if (bitLength(x.n) + x.e > -40) return undefined;
  const step = x.n < 0n === outward ? -1n : 1n;
  return round({ n: (x.n << 128n) + step, e: x.e - 128 }, control);
}
function nearOne(x: Big, control: number): Rounded | undefined {
  if (bitLength(x.n) + x.e > -40) return undefined;
  return round({ n: (1n << 192n) - 1n, e: -192 }, control);
}
function arctangentOf(y: Big, x: Big, control: number): Rounded {
  const isSmall = bitLength(y.n) + y.e - (bitLength(x.n) + x.e) < -100;
  if (isSmall && x.n > 0n) {
    // The result is y / x minus a part in 2^200. The quotient may have few bits; then this difference decides the
    // rounding.
    const shift = 256 + bitLength(x.n);
    const quotient = (y.n << BigInt(shift)) / x.n;
    const isExact = quotient * x.n === y.n << BigInt(shift);
    const inward = y.n < 0n ? 1n : -1n;
    return round({ n: 2n * quotient + (isExact ? inward : -inward), e: y.e - x.e - shift - 1 }, control);
  }
  return rounded((precision) => arctangent(y, x, precision), control);
}
function lessOne(x: Big, control: number): Rounded[] | undefined {
  const power = powerOfTwo(x.n < 0n ? negative(x) : x);
  if (power === 0) return [round(x.n < 0n ? { n: -1n, e: -1 } : { n: 1n, e: 0 }, control)];
  // Outside ±1 the result is undefined: the operand stays.
  if (bitLength(x.n) + x.e > 0) return [round(x, control)];
  return [rounded((precision) => exponentialLessOne(x, precision), control)];
}
