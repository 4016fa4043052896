/**
 * The value of a pure operation for constant operands, by the `fold` of the op table; conversions and floats, which
 * depend on two types, are implemented here. The constant folder and the interpreter both use this function, so they
 * cannot differ.
 *
 * Integers are unsigned bigints of their width, f64 are numbers. f64 → integer is total, as gcc's code for x86-64 is:
 * the low bits of the 64-bit signed conversion, which gives "integer indefinite" (cvttsd2si: 1 << 63) for values that
 * do not fit; ftoui to i64 also converts numbers from 2^63 on, and gives 0 from 2^64 on.
 */
import { type Op, opInfo, type Type, widthOf } from "./ops.ts";

export type Value = bigint | number;

const INDEFINITE = 1n << 63n;
const scratch = new DataView(new ArrayBuffer(8));

/** Undefined: the operation traps (#DE). */
export function evaluate(op: Op, type: Type, operandType: Type, args: readonly Value[]): Value | undefined {
  const width = type === "void" ? 0 : widthOf[type];
  const fold = opInfo(op).fold;
  if (fold) {
    const value = fold(
      operandType === "void" ? 0 : widthOf[operandType],
      args[0] as bigint,
      (args[1] ?? 0n) as bigint,
      (args[2] ?? 0n) as bigint,
    );
    return value === undefined ? undefined : BigInt.asUintN(width, value);
  }
  const from = operandType === "void" ? 0 : widthOf[operandType];
  const a = args[0] as number;
  const b = args[1] as number;
  switch (op) {
    case "zext":
    case "trunc":
      return BigInt.asUintN(width, args[0] as bigint);
    case "sext":
      return BigInt.asUintN(width, BigInt.asIntN(from, args[0] as bigint));
    case "select":
      return args[0] !== 0n ? args[1] : args[2];
    case "fadd":
      return a + b;
    case "fsub":
      return a - b;
    case "fmul":
      return a * b;
    case "fdiv":
      return a / b;
    case "feq":
      return a === b ? 1n : 0n;
    case "fne":
      return a !== b ? 1n : 0n;
    case "flt":
      return a < b ? 1n : 0n;
    case "fle":
      return a <= b ? 1n : 0n;
    case "sitof":
      return Number(BigInt.asIntN(from, args[0] as bigint));
    case "uitof":
      return Number(args[0] as bigint);
    case "ftosi":
    case "ftoui":
      return BigInt.asUintN(width, truncated(a, op === "ftoui" && width === 64));
    case "fbits":
      scratch.setFloat64(0, a);
      return scratch.getBigUint64(0);
    case "bitsf":
      scratch.setBigUint64(0, args[0] as bigint);
      return scratch.getFloat64(0);
    default:
      throw new Error(`evaluate: ${op} is not a pure operation`);
  }
}

function truncated(a: number, unsigned: boolean): bigint {
  if (unsigned && a >= 2 ** 63) return a < 2 ** 64 ? BigInt(Math.trunc(a)) : 0n;
  return a >= -(2 ** 63) && a < 2 ** 63 ? BigInt(Math.trunc(a)) : INDEFINITE;
}

/** Whether the truncated value fits 64 bits: passes leave other values to the processor. */
export const convertible = (op: "ftosi" | "ftoui", a: number): boolean =>
  op === "ftosi" ? a >= -(2 ** 63) && a < 2 ** 63 : a > -1 && a < 2 ** 64;
