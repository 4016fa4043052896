/**
 * The MXCSR flags that a result of SSE arithmetic raises: overflow, underflow and precision (Intel SDM vol. 1, 4.9.1
 * and 11.5.2). With all exceptions masked, a processor reports them itself. If overflow or underflow is unmasked, they
 * concern the result rounded with an unbounded exponent, which is not delivered: an exact result may still be tiny, and
 * then has no precision flag. This file computes them exactly.
 */
import type { Decoded } from "./instruction.ts";

type Opcode = Pick<Decoded, "map" | "opcode" | "repeat" | "operandSize">;

export const Mxcsr = {
  OVERFLOW: 8,
  UNDERFLOW: 0x10,
  PRECISION: 0x20,
  DENORMALS_ARE_ZEROS: 0x40,
  OVERFLOW_MASK: 0x400,
  UNDERFLOW_MASK: 0x800,
  ROUNDING_SHIFT: 13,
  FLUSH_TO_ZERO: 0x8000,
} as const;
const NEAREST = 0;
const DOWN = 1;
const UP = 2;

interface Format {
  /** Bits of the significand, including the hidden bit. */
  readonly precision: number;
  readonly exponentBits: number;
  readonly bytes: number;
}
const SINGLE: Format = { precision: 24, exponentBits: 8, bytes: 4 };
const DOUBLE: Format = { precision: 53, exponentBits: 11, bytes: 8 };

/** significand × 2^exponent, divided by `divisor`. */
interface Exact {
  readonly significand: bigint;
  readonly exponent: number;
  readonly divisor: bigint;
}

type Lane = (read: Read) => Exact | undefined;
type Read = (operand: "destination" | "source", lane: number) => Exact | undefined;

interface Operation {
  readonly from: Format;
  readonly to: Format;
  readonly sourceBytes: number;
  readonly lanes: readonly Lane[];
}

const times = (a: Exact | undefined, b: Exact | undefined): Exact | undefined =>
  a && b && { significand: a.significand * b.significand, exponent: a.exponent + b.exponent, divisor: 1n };
const by = (a: Exact | undefined, b: Exact | undefined): Exact | undefined =>
  a && b && b.significand !== 0n
    ? {
        significand: b.significand < 0n ? -a.significand : a.significand,
        exponent: a.exponent - b.exponent,
        divisor: b.significand < 0n ? -b.significand : b.significand,
      }
    : undefined;
function sum(a: Exact | undefined, b: Exact | undefined, sign: 1n | -1n): Exact | undefined {
  if (!a || !b) return undefined;
  const exponent = Math.min(a.exponent, b.exponent);
  const aligned = (x: Exact): bigint => x.significand << BigInt(x.exponent - exponent);
  return { significand: aligned(a) + sign * aligned(b), exponent, divisor: 1n };
}

const vertical =
  (combine: (a: Exact | undefined, b: Exact | undefined) => Exact | undefined) =>
  (lane: number): Lane =>
  (read) =>
    combine(read("destination", lane), read("source", lane));
/** Lanes 2n and 2n + 1 of one operand. */
const horizontal =
  (sign: 1n | -1n, half: number) =>
  (lane: number): Lane =>
  (read) => {
    const operand = lane < half ? "destination" : "source";
    const first = 2 * (lane % half);
    return sum(read(operand, first), read(operand, first + 1), sign);
  };

const lanesOf = (count: number, lane: (index: number) => Lane): Lane[] =>
  Array.from({ length: count }, (_, i) => lane(i));

/** The operation that the instruction computes; undefined: none that overflows or underflows. */
function operationOf({ map, opcode, repeat, operandSize }: Opcode): Operation | undefined {
  if (map !== 1) return undefined;
  const scalar = repeat !== 0;
  const wide = opcode >= 0x7c ? operandSize : scalar ? repeat === 0xf2 : operandSize;
  const format = wide ? DOUBLE : SINGLE;
  const packed = 16 / format.bytes;
  const of = (count: number, lane: (index: number) => Lane): Operation => ({
    from: format,
    to: format,
    sourceBytes: count === 1 ? format.bytes : 16,
    lanes: lanesOf(count, lane),
  });
  const plain = (lane: (index: number) => Lane): Operation => of(scalar ? 1 : packed, lane);
  switch (opcode) {
    case 0x58:
      return plain(vertical((a, b) => sum(a, b, 1n)));
    case 0x5c:
      return plain(vertical((a, b) => sum(a, b, -1n)));
    case 0x59:
      return plain(vertical(times));
    case 0x5e:
      return plain(vertical(by));
    case 0x5a: {
      if (!wide) return undefined;
      const count = scalar ? 1 : 2;
      return {
        from: DOUBLE,
        to: SINGLE,
        sourceBytes: 8 * count,
        lanes: lanesOf(count, (lane) => (read) => read("source", lane)),
      };
    }
    case 0x7c:
      return of(packed, horizontal(1n, packed / 2));
    case 0x7d:
      return of(packed, horizontal(-1n, packed / 2));
    case 0xd0:
      return of(packed, (lane) => vertical((a, b) => sum(a, b, lane % 2 === 0 ? -1n : 1n))(lane));
  }
  return undefined;
}

/** Size of the source operand in bytes, if `resultFlags` has an answer for the instruction; otherwise undefined. */
export const arithmeticSourceBytes = (found: Opcode): number | undefined => operationOf(found)?.sourceBytes;

/**
 * Overflow, underflow and precision flags of an instruction whose operands raise no unmasked exception. undefined: the
 * instruction cannot overflow or underflow. `mxcsr`: its value before the instruction.
 */
export function resultFlags(
  found: Opcode,
  destination: Uint8Array,
  source: Uint8Array,
  mxcsr: number,
): number | undefined {
  const operation = operationOf(found);
  if (operation === undefined) return undefined;
  const { from, to, lanes } = operation;
  const read: Read = (operand, lane) =>
    decode(operand === "destination" ? destination : source, lane, from, (mxcsr & Mxcsr.DENORMALS_ARE_ZEROS) !== 0);
  let flags = 0;
  for (const lane of lanes) {
    const result = lane(read);
    if (result !== undefined && result.significand !== 0n) flags |= laneFlags(result, to, mxcsr);
  }
  return flags;
}

/** undefined: infinite or not a number; such an operand raises none of these flags. */
function decode(bytes: Uint8Array, lane: number, format: Format, denormalsAreZeros: boolean): Exact | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const at = lane * format.bytes;
  const bits = format === DOUBLE ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true));
  const fractionBits = BigInt(format.precision - 1);
  const exponentMask = (1n << BigInt(format.exponentBits)) - 1n;
  const fraction = bits & ((1n << fractionBits) - 1n);
  const biased = (bits >> fractionBits) & exponentMask;
  if (biased === exponentMask) return undefined;
  const significand = biased === 0n ? (denormalsAreZeros ? 0n : fraction) : fraction | (1n << fractionBits);
  const isNegative = bits >> BigInt(8 * format.bytes - 1) !== 0n;
  return {
    significand: isNegative ? -significand : significand,
    exponent: Math.max(Number(biased), 1) - bias(format) - (format.precision - 1),
    divisor: 1n,
  };
}

const bias = ({ exponentBits }: Format): number => 2 ** (exponentBits - 1) - 1;
const bitLength = (value: bigint): number => value.toString(2).length;

function laneFlags(result: Exact, format: Format, mxcsr: number): number {
  const { precision } = format;
  const isNegative = result.significand < 0n;
  const numerator = isNegative ? -result.significand : result.significand;
  // numerator / divisor lies in [2^magnitude, 2^(magnitude + 1)).
  let magnitude = bitLength(numerator) - bitLength(result.divisor);
  if (scaled(numerator, -magnitude) < scaled(result.divisor, magnitude)) magnitude--;
  const { quotient, isExact, roundsUp } = round(
    numerator,
    result.divisor,
    precision - 1 - magnitude,
    isNegative,
    mxcsr,
  );
  const carries = roundsUp && bitLength(quotient + 1n) > precision;
  const exponent = magnitude + result.exponent + (carries ? 1 : 0);
  const inexact = isExact ? 0 : Mxcsr.PRECISION;
  const lowest = 1 - bias(format);
  if (exponent > bias(format)) return Mxcsr.OVERFLOW | (mxcsr & Mxcsr.OVERFLOW_MASK ? Mxcsr.PRECISION : inexact);
  if (exponent >= lowest) return inexact;
  if (!(mxcsr & Mxcsr.UNDERFLOW_MASK)) return Mxcsr.UNDERFLOW | inexact;
  if (mxcsr & Mxcsr.FLUSH_TO_ZERO) return Mxcsr.UNDERFLOW | Mxcsr.PRECISION;
  // A masked underflow requires an inexact denormal result.
  const quantum = lowest - (precision - 1);
  const denormal = round(numerator, result.divisor, result.exponent - quantum, isNegative, mxcsr);
  return denormal.isExact ? 0 : Mxcsr.UNDERFLOW | Mxcsr.PRECISION;
}

const scaled = (value: bigint, shift: number): bigint => (shift >= 0 ? value << BigInt(shift) : value);

/** numerator × 2^shift / divisor, rounded to an integer. */
function round(numerator: bigint, divisor: bigint, shift: number, isNegative: boolean, mxcsr: number) {
  const over = scaled(numerator, shift);
  const under = scaled(divisor, -shift);
  const quotient = over / under;
  const rest = over % under;
  const mode = (mxcsr >> Mxcsr.ROUNDING_SHIFT) & 3;
  let roundsUp = false;
  if (mode === NEAREST) roundsUp = 2n * rest > under || (2n * rest === under && (quotient & 1n) === 1n);
  else if (mode === DOWN) roundsUp = isNegative && rest !== 0n;
  else if (mode === UP) roundsUp = !isNegative && rest !== 0n;
  return { quotient, isExact: rest === 0n, roundsUp };
}
