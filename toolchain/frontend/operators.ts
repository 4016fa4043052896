/** Operators: arithmetic with unification, comparisons, short-circuit conditions, assignments. */
import type { IntBinary } from "../ir/builder.ts";
import { ts } from "./adapter.ts";
import { nullish, shortCircuit } from "./conditions.ts";
import { compare, foldUntyped } from "./constants.ts";
import { coerce, materialise, resize } from "./conversions.ts";
import type { Lowering } from "./lowering.ts";
import { excerpt } from "./report.ts";
import {
  BOOL,
  F64,
  fits,
  I64,
  type IntType,
  isAggregate,
  type MachineType,
  sameType,
  showType,
  widens,
  wrap,
} from "./types.ts";
import { boolConstant, isUntyped, untyped, untypedFloat, type Value } from "./values.ts";

const K = ts.SyntaxKind;
// biome-ignore format: a table
const SYMBOLS: ReadonlyMap<ts.SyntaxKind, string> = new Map<ts.SyntaxKind, string>([
  [K.PlusToken, "+"], [K.MinusToken, "-"], [K.AsteriskToken, "*"], [K.SlashToken, "/"], [K.PercentToken, "%"],
  [K.AmpersandToken, "&"], [K.BarToken, "|"], [K.CaretToken, "^"],
  [K.LessThanLessThanToken, "<<"], [K.GreaterThanGreaterThanToken, ">>"],
  [K.GreaterThanGreaterThanGreaterThanToken, ">>>"],
  [K.LessThanToken, "<"], [K.GreaterThanToken, ">"], [K.LessThanEqualsToken, "<="], [K.GreaterThanEqualsToken, ">="],
  [K.EqualsEqualsEqualsToken, "==="], [K.ExclamationEqualsEqualsToken, "!=="],
]);
export const isShift = (op: string): boolean => op === "<<" || op === ">>" || op === ">>>";
const isComparison = (op: string): boolean =>
  op === "<" || op === ">" || op === "<=" || op === ">=" || op === "===" || op === "!==";
const wraps = (op: string): boolean => op === "+" || op === "-" || op === "*" || op === "<<";

// ---- binary
export function binary(ctx: Lowering, node: ts.BinaryExpression, want: MachineType | null): Value {
  const { unit } = ctx;
  const kind = node.operatorToken.kind;
  switch (kind) {
    case K.CommaToken:
      ctx.expression(node.left);
      return ctx.expression(node.right, want);
    case K.AmpersandAmpersandToken:
    case K.BarBarToken:
      return shortCircuit(ctx, node);
    case K.QuestionQuestionToken:
      return nullish(ctx, node, want);
    case K.EqualsEqualsToken:
    case K.ExclamationEqualsToken:
      return unit.refuse(
        node.operatorToken,
        "MG1011",
        `${excerpt(node)} converts its operands; write ${kind === K.EqualsEqualsToken ? "===" : "!=="} instead`,
      );
    case K.AsteriskAsteriskToken:
      return unit.refuse(node, "MG1010", "** is no machine operation; write a product or a shift instead");
    case K.InKeyword:
    case K.InstanceOfKeyword:
      return unit.refuse(
        node,
        "MG1013",
        `${excerpt(node)} asks for a type at run time; write a field that tells it instead`,
      );
  }
  const op = SYMBOLS.get(kind);
  if (!op)
    return unit.refuse(
      node,
      "MG1023",
      `${excerpt(node.operatorToken)} is outside the language; write another operator instead`,
    );
  const hint = isComparison(op) ? null : want && (want.kind === "int" || want.kind === "f64") ? want : null;
  if (isShift(op)) {
    const left = ctx.expression(node.left, hint);
    return shift(ctx, node, op, left, node.left, ctx.expression(node.right), node.right, hint);
  }
  // An open left side, such as 1 << n, takes the type of the right side.
  const open = hint ?? (isOpen(ctx, node.left) ? ctx.dryType(node.right) : null);
  const a = ctx.expression(node.left, open && open.kind !== "untyped" ? open : null);
  const b = ctx.expression(node.right, hint ?? (isUntyped(a) ? null : a.type));
  return isComparison(op)
    ? comparison(ctx, node, op, a, node.left, b, node.right)
    : arithmetic(ctx, node, op, a, node.left, b, node.right);
}
/** Syntactically a shift of constants or a choice between constants: its width is open. */
function isOpen(ctx: Lowering, node: ts.Expression): boolean {
  if (ts.isParenthesizedExpression(node)) return isOpen(ctx, node.expression);
  if (ts.isPrefixUnaryExpression(node)) return node.operator !== K.ExclamationToken && isOpen(ctx, node.operand);
  if (ts.isConditionalExpression(node))
    return isOpenOrConstant(ctx, node.whenTrue) && isOpenOrConstant(ctx, node.whenFalse);
  if (!ts.isBinaryExpression(node)) return false;
  const op = SYMBOLS.get(node.operatorToken.kind);
  if (!op || isComparison(op)) return false;
  if (isShift(op)) return isOpenOrConstant(ctx, node.left) && !isPlainConstant(ctx, node.right);
  return (
    (isOpen(ctx, node.left) && isOpenOrConstant(ctx, node.right)) ||
    (isOpen(ctx, node.right) && isOpenOrConstant(ctx, node.left))
  );
}
const isOpenOrConstant = (ctx: Lowering, node: ts.Expression): boolean =>
  isPlainConstant(ctx, node) || isOpen(ctx, node);
function isPlainConstant(ctx: Lowering, node: ts.Expression): boolean {
  if (ts.isNumericLiteral(node)) return true;
  if (ts.isParenthesizedExpression(node)) return isPlainConstant(ctx, node.expression);
  if (ts.isIdentifier(node)) {
    const symbol = ctx.unit.source.symbol(node);
    const local = symbol && ctx.locals.get(symbol);
    if (local !== undefined) return local !== null && "value" in local && local.value.type.kind === "untyped";
  } else if (!ts.isPropertyAccessExpression(node)) return false;
  return ctx.constant().dryType(node)?.kind === "untyped";
}

/** Converts both operands to one type: the wider one, if the other widens to it losslessly. */
function unify(
  ctx: Lowering,
  node: ts.Node,
  a: Value,
  aNode: ts.Node,
  b: Value,
  bNode: ts.Node,
): [Value, Value, MachineType] {
  const bad = (): never => {
    let hint = "a cast on one side";
    if (a.type.kind === "int" && b.type.kind === "int") {
      const wider = widerOf(a.type, b.type);
      hint = `${wider.name}(${excerpt(wider === a.type ? bNode : aNode)}), or a cast of the other,`;
    }
    return ctx.unit.refuse(
      node,
      "MG2002",
      `${excerpt(node)} mixes ${showType(a.type)} and ${showType(b.type)}; write ${hint} instead`,
    );
  };
  for (const [v, n] of [
    [a, aNode],
    [b, bNode],
  ] as const) {
    if (isAggregate(v.type) || v.type.kind === "error") coerce(ctx, v, I64, n);
  }
  if (isUntyped(a) && isUntyped(b)) return [a, b, a.type];
  if (isUntyped(a) && (b.type.kind === "int" || b.type.kind === "f64"))
    return [coerce(ctx, a, b.type, aNode), b, b.type];
  if (isUntyped(b) && (a.type.kind === "int" || a.type.kind === "f64"))
    return [a, coerce(ctx, b, a.type, bNode), a.type];
  if (a.type.kind === "int" && b.type.kind === "int") {
    if (widens(a.type, b.type)) return [coerce(ctx, a, b.type, aNode), b, b.type];
    if (widens(b.type, a.type)) return [a, coerce(ctx, b, a.type, bNode), a.type];
    return bad();
  }
  if (a.type.kind === b.type.kind && (a.type.kind === "f64" || a.type.kind === "bool")) return [a, b, a.type];
  return bad();
}
const widerOf = (a: IntType, b: IntType): IntType => (a.width >= b.width ? a : b);

export function arithmetic(
  ctx: Lowering,
  node: ts.Node,
  op: string,
  a: Value,
  aNode: ts.Node,
  b: Value,
  bNode: ts.Node,
): Value {
  const { unit } = ctx;
  if (a.type.kind === "pointer" || b.type.kind === "pointer") {
    const p = a.type.kind === "pointer" ? aNode : bNode;
    unit.refuse(
      node,
      "MG2012",
      `${excerpt(node)} computes with a pointer; write addr(${excerpt(p)}[n]) or cast<u64>(${excerpt(p)}) instead`,
    );
  }
  const [x, y, type] = unify(ctx, node, a, aNode, b, bNode);
  if (isUntyped(x) && isUntyped(y)) return foldUntyped(unit, node, op, x, y);
  if (type.kind === "f64") return floatArithmetic(ctx, node, op, x, y);
  if (type.kind === "bool")
    return unit.refuse(node, "MG2005", `${excerpt(node)} computes with booleans; write &&, || or !== instead`);
  if (type.kind !== "int")
    return unit.refuse(node, "MG2005", `${excerpt(node)} computes with ${showType(type)}; write integers instead`);
  if ((op === "/" || op === "%") && y.constant === 0n)
    unit.refuse(node, "MG3003", `${excerpt(node)} divides by zero; write another divisor instead`);
  if (x.constant !== undefined && y.constant !== undefined) {
    const exact = foldUntyped(unit, node, op, untyped(x.constant), untyped(y.constant)).constant as bigint;
    return { type, constant: wrap(exact, type), narrow: wraps(op) && !fits(exact, type) };
  }
  const relocated = symbolArithmetic(type, op, x, y);
  if (relocated) return relocated;
  return { type, instr: emitInt(ctx, node, op, type, x, y), narrow: wraps(op) && type.width < 64 };
}
/** Address + constant stays an address that the linker resolves. */
function symbolArithmetic(type: IntType, op: string, x: Value, y: Value): Value | null {
  if (type.width !== 64) return null;
  if (x.symbol && y.constant !== undefined && (op === "+" || op === "-")) {
    return {
      type,
      symbol: {
        name: x.symbol.name,
        addend: BigInt.asIntN(64, op === "+" ? x.symbol.addend + y.constant : x.symbol.addend - y.constant),
      },
    };
  }
  if (y.symbol && x.constant !== undefined && op === "+")
    return { type, symbol: { name: y.symbol.name, addend: BigInt.asIntN(64, y.symbol.addend + x.constant) } };
  return null;
}
function emitInt(
  ctx: Lowering,
  node: ts.Node,
  op: string,
  type: IntType,
  x: Value,
  y: Value,
): NonNullable<Value["instr"]> {
  const s = type.signed;
  const names: Record<string, IntBinary> = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "/": s ? "sdiv" : "udiv",
    "%": s ? "srem" : "urem",
    "&": "and",
    "|": "or",
    "^": "xor",
  };
  ctx.emit(node);
  const a = materialise(ctx, x, node);
  const b = materialise(ctx, y, node);
  return ctx.emit(node).binary(names[op] as IntBinary, a, b);
}
function floatArithmetic(ctx: Lowering, node: ts.Node, op: string, x: Value, y: Value): Value {
  const names = { "+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv" } as const;
  if (x.float !== undefined && y.float !== undefined) {
    const folded = foldUntyped(ctx.unit, node, op, untypedFloat(x.float), untypedFloat(y.float));
    return { type: F64, float: folded.float as number };
  }
  if (!(op in names)) {
    const [code, text] =
      op === "%"
        ? (["MG2024", "floats have no remainder; write x - f64(i64(x / y)) * y instead"] as const)
        : (["MG2005", `${op} is for integers; write i64(…) around the float instead`] as const);
    return ctx.unit.refuse(node, code, text);
  }
  ctx.emit(node);
  const a = materialise(ctx, x, node);
  const b = materialise(ctx, y, node);
  return { type: F64, instr: ctx.emit(node).binary(names[op as keyof typeof names], a, b) };
}

export function shift(
  ctx: Lowering,
  node: ts.Node,
  op: string,
  a: Value,
  aNode: ts.Node,
  n: Value,
  nNode: ts.Node,
  want: MachineType | null,
): Value {
  const { unit } = ctx;
  if (isUntyped(a) && isUntyped(n)) return foldUntyped(unit, node, op, a, n);
  const left = isUntyped(a) ? coerce(ctx, a, want?.kind === "int" ? want : I64, aNode) : a;
  const type = left.type;
  if (type.kind !== "int")
    return unit.refuse(
      aNode,
      "MG2005",
      `${excerpt(aNode)} is ${showType(type)}, which does not shift; write an integer instead`,
    );
  if (n.type.kind !== "int" && n.type.kind !== "untyped")
    return unit.refuse(
      nNode,
      "MG2005",
      `${excerpt(nNode)} is ${showType(n.type)}, no shift count; write an integer instead`,
    );
  if (n.constant !== undefined) {
    if (n.constant < 0n || n.constant >= BigInt(type.width)) {
      unit.refuse(
        nNode,
        "MG2013",
        `shift count ${n.constant} is out of range for ${type.name}; write 0 … ${type.width - 1} instead`,
      );
    }
    if (left.constant !== undefined) {
      const raw = op === ">>>" ? BigInt.asUintN(type.width, left.constant) : left.constant;
      const exact = op === "<<" ? raw << n.constant : raw >> n.constant;
      return { type, constant: wrap(exact, type), narrow: op === "<<" && !fits(exact, type) };
    }
  }
  ctx.emit(node);
  const value = materialise(ctx, left, node);
  const amount = materialise(
    ctx,
    n.type.kind === "untyped" ? { type, constant: n.constant as bigint } : resize(ctx, n, type, nNode),
    node,
  );
  const name = op === "<<" ? "shl" : op === ">>" && type.signed ? "ashr" : "lshr";
  return { type, instr: ctx.emit(node).binary(name, value, amount), narrow: op === "<<" && type.width < 64 };
}

export function comparison(
  ctx: Lowering,
  node: ts.Node,
  op: string,
  a: Value,
  aNode: ts.Node,
  b: Value,
  bNode: ts.Node,
): Value {
  const { unit } = ctx;
  const isZero = (v: Value): boolean => v.type.kind === "untyped" && v.constant === 0n;
  const isPointer = (v: Value): boolean =>
    v.type.kind === "pointer" || v.type.kind === "function" || v.type.kind === "null";
  let x = a;
  let y = b;
  let signed = false;
  if (isPointer(a) || isPointer(b)) {
    if (a.type.kind === "null") x = b.type.kind === "null" ? a : coerce(ctx, a, b.type, aNode);
    else if (b.type.kind === "null") y = coerce(ctx, b, a.type, bNode);
    else if (!comparable(a.type, b.type)) {
      const instead = isZero(a) || isZero(b) ? "null for 0" : "a cast on one side";
      unit.refuse(
        node,
        "MG2002",
        `${excerpt(node)} mixes ${showType(a.type)} and ${showType(b.type)}; write ${instead} instead`,
      );
    }
    if (x.symbol && y.constant === 0n && x.symbol.addend === 0n && x.type.kind === "function")
      return boolConstant(op === "!==");
  } else {
    let type: MachineType;
    [x, y, type] = unify(ctx, node, a, aNode, b, bNode);
    if (isUntyped(x) && isUntyped(y)) return foldUntyped(unit, node, op, x, y);
    if (type.kind === "f64") return floatComparison(ctx, node, op, x, y);
    signed = type.kind === "int" && type.signed;
  }
  if (x.constant !== undefined && y.constant !== undefined) return boolConstant(compare(op, x.constant, y.constant));
  ctx.emit(node);
  const left = materialise(ctx, x, node);
  const right = materialise(ctx, y, node);
  const e = ctx.emit(node);
  const [lt, le] = signed ? (["slt", "sle"] as const) : (["ult", "ule"] as const);
  // biome-ignore format: a table
  const instr =
    op === "===" ? e.binary("eq", left, right)
    : op === "!==" ? e.binary("ne", left, right)
    : op === "<" ? e.binary(lt, left, right)
    : op === "<=" ? e.binary(le, left, right)
    : op === ">" ? e.binary(lt, right, left)
    : e.binary(le, right, left);
  return { type: BOOL, instr };
}
function comparable(a: MachineType, b: MachineType): boolean {
  if (a.kind === "function" || b.kind === "function") return a.kind === b.kind;
  if (a.kind !== "pointer" || b.kind !== "pointer") return false;
  const [x, y] = [a.target, b.target];
  if (x.kind === "void" || y.kind === "void" || sameType(x, y)) return true;
  if (x.kind !== "struct" || y.kind !== "struct") return false;
  for (let s: typeof x.struct | null = x.struct; s; s = s.base) if (s === y.struct) return true;
  for (let s: typeof y.struct | null = y.struct; s; s = s.base) if (s === x.struct) return true;
  return false;
}
function floatComparison(ctx: Lowering, node: ts.Node, op: string, x: Value, y: Value): Value {
  if (x.float !== undefined && y.float !== undefined) return boolConstant(compare(op, x.float, y.float));
  ctx.emit(node);
  const a = materialise(ctx, x, node);
  const b = materialise(ctx, y, node);
  const e = ctx.emit(node);
  // biome-ignore format: a table
  const instr =
    op === "===" ? e.binary("feq", a, b)
    : op === "!==" ? e.binary("fne", a, b)
    : op === "<" ? e.binary("flt", a, b)
    : op === "<=" ? e.binary("fle", a, b)
    : op === ">" ? e.binary("flt", b, a)
    : e.binary("fle", b, a);
  return { type: BOOL, instr };
}
