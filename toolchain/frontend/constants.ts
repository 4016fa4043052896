/** Exact arithmetic on untyped constants, and literals from their text. */
import type { ts } from "./adapter.ts";
import { excerpt, type Reporter } from "./report.ts";
import { boolConstant, untyped, untypedFloat, type Value } from "./values.ts";

/** Bounds the size of exact constants during evaluation. */
const BITS_MAX = 512;

/** A numeric literal, from its text: `.text` of the syntax tree rounds above 2^53. */
export function literalValue(unit: Reporter, node: ts.NumericLiteral): Value {
  const text = node.getText().replace(/_/g, "");
  if (text.length > BITS_MAX)
    unit.refuse(node, "MG3005", `${excerpt(node, 20)} is too large; write at most ${BITS_MAX} bits instead`);
  if (/^0[xob]/i.test(text) || /^\d+$/.test(text)) {
    try {
      return untyped(BigInt(text));
    } catch {
      return unit.refuse(node, "MG1023", `${excerpt(node)} is no number; write a decimal or 0x literal instead`);
    }
  }
  return untypedFloat(Number(text));
}

/** Value of an operator on two untyped constants; null: no value. */
export function foldUntyped(unit: Reporter, node: ts.Node, op: string, a: Value, b: Value): Value {
  if (a.float !== undefined || b.float !== undefined) {
    return foldFloat(unit, node, op, a.float ?? Number(a.constant), b.float ?? Number(b.constant));
  }
  const x = a.constant as bigint;
  const y = b.constant as bigint;
  const keep = a.complement === true || b.complement === true;
  const bounded = (r: bigint, complement = false): Value => {
    if (r > 1n << BigInt(BITS_MAX) || r < -(1n << BigInt(BITS_MAX)))
      unit.refuse(node, "MG3005", `${excerpt(node)} is too large; write at most ${BITS_MAX} bits instead`);
    return untyped(r, complement);
  };
  const count = (): bigint => {
    if (y < 0n || y >= BigInt(BITS_MAX))
      unit.refuse(node, "MG2013", `shift count ${y} is out of range; write 0 … 63 instead`);
    return y;
  };
  switch (op) {
    case "+":
      return bounded(x + y);
    case "-":
      return bounded(x - y);
    case "*":
      return bounded(x * y);
    case "/":
    case "%":
      if (y === 0n) unit.refuse(node, "MG3003", `${excerpt(node)} divides by zero; write another divisor instead`);
      return bounded(op === "/" ? x / y : x % y);
    case "&":
      return bounded(x & y, keep);
    case "|":
      return bounded(x | y, keep);
    case "^":
      return bounded(x ^ y, keep);
    case "<<":
      return bounded(x << count(), keep);
    case ">>":
      return bounded(x >> count(), keep);
    case ">>>":
      if (x < 0n)
        unit.refuse(
          node,
          "MG2013",
          `${excerpt(node)}: a negative constant has no width; write u64(…) around it instead`,
        );
      return bounded(x >> count());
    default:
      return boolConstant(compare(op, x, y));
  }
}
function foldFloat(unit: Reporter, node: ts.Node, op: string, x: number, y: number): Value {
  switch (op) {
    case "+":
      return untypedFloat(x + y);
    case "-":
      return untypedFloat(x - y);
    case "*":
      return untypedFloat(x * y);
    case "/":
      return untypedFloat(x / y);
    case "%":
      return unit.refuse(node, "MG2024", "floats have no remainder; write x - f64(i64(x / y)) * y instead");
    case "<":
    case ">":
    case "<=":
    case ">=":
    case "===":
    case "!==":
      return boolConstant(compare(op, x, y));
    default:
      return unit.refuse(node, "MG2005", `${op} is for integers; write i64(…) around the float instead`);
  }
}
export function compare<T extends bigint | number>(op: string, x: T, y: T): boolean {
  switch (op) {
    case "<":
      return x < y;
    case ">":
      return x > y;
    case "<=":
      return x <= y;
    case ">=":
      return x >= y;
    case "===":
      return x === y;
    default:
      return x !== y;
  }
}
