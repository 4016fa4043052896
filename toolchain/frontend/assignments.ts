/** Assignments and unary operators: prefix operators, ++ and --, = and compound assignments. */
import { ts } from "./adapter.ts";
import { truth } from "./conditions.ts";
import { coerce, load, materialise, store } from "./conversions.ts";
import { reinitialise } from "./initialise.ts";
import type { Lowering } from "./lowering.ts";
import { arithmetic, isShift, shift } from "./operators.ts";
import { placeOf } from "./places.ts";
import { excerpt } from "./report.ts";
import { BOOL, fits, I64, irType, isAggregate, type MachineType, showType, wrap } from "./types.ts";
import { boolConstant, isUntyped, type Place, untyped, type Value } from "./values.ts";

const K = ts.SyntaxKind;
// biome-ignore format: a table
const COMPOUND: ReadonlyMap<ts.SyntaxKind, string> = new Map<ts.SyntaxKind, string>([
  [K.PlusEqualsToken, "+"], [K.MinusEqualsToken, "-"], [K.AsteriskEqualsToken, "*"], [K.SlashEqualsToken, "/"],
  [K.PercentEqualsToken, "%"],
  [K.AmpersandEqualsToken, "&"], [K.BarEqualsToken, "|"], [K.CaretEqualsToken, "^"],
  [K.LessThanLessThanEqualsToken, "<<"], [K.GreaterThanGreaterThanEqualsToken, ">>"],
  [K.GreaterThanGreaterThanGreaterThanEqualsToken, ">>>"],
]);

// ---- unary
export function prefix(ctx: Lowering, node: ts.PrefixUnaryExpression, want: MachineType | null): Value {
  const { unit } = ctx;
  if (node.operator === K.PlusPlusToken || node.operator === K.MinusMinusToken)
    return update(ctx, node, node.operand, node.operator, false);
  if (node.operator === K.ExclamationToken) {
    const v = truth(ctx, ctx.expression(node.operand), node.operand);
    if (v.constant !== undefined) return boolConstant(v.constant === 0n);
    const e = ctx.emit(node);
    const operand = materialise(ctx, v, node);
    return { type: BOOL, instr: e.binary("eq", operand, e.iconst("i8", 0n)) };
  }
  const v = ctx.expression(node.operand, want);
  if (v.type.kind === "error" || isAggregate(v.type)) coerce(ctx, v, I64, node.operand);
  if (node.operator === K.PlusToken) {
    if (v.type.kind === "int" || v.type.kind === "f64" || isUntyped(v)) return v;
  } else if (node.operator === K.MinusToken) {
    if (v.float !== undefined) return { type: v.type, float: -v.float };
    if (v.type.kind === "untyped") return untyped(-(v.constant as bigint));
    if (v.type.kind === "int" && v.constant !== undefined)
      return { type: v.type, constant: wrap(-v.constant, v.type), narrow: !fits(-v.constant, v.type) };
    if (v.type.kind === "int") {
      ctx.emit(node);
      const operand = materialise(ctx, v, node);
      const e = ctx.emit(node);
      return { type: v.type, instr: e.binary("sub", e.iconst(irType(v.type), 0n), operand) };
    }
    if (v.type.kind === "f64") {
      const operand = materialise(ctx, v, node);
      const e = ctx.emit(node);
      return { type: v.type, instr: e.binary("fsub", e.fconst(-0), operand) };
    }
  } else if (node.operator === K.TildeToken) {
    if (v.type.kind === "untyped") return untyped(~(v.constant as bigint), true);
    if (v.type.kind === "int" && v.constant !== undefined) return { type: v.type, constant: wrap(~v.constant, v.type) };
    if (v.type.kind === "int") {
      ctx.emit(node);
      const operand = materialise(ctx, v, node);
      const e = ctx.emit(node);
      return { type: v.type, instr: e.binary("xor", operand, e.iconst(irType(v.type), -1n)) };
    }
  }
  return unit.refuse(
    node,
    "MG2005",
    `${excerpt(node)}: the operator does not take ${showType(v.type)}; write a number instead`,
  );
}

/** ++ and --, before or after their operand. */
export function update(
  ctx: Lowering,
  node: ts.Expression,
  operand: ts.Expression,
  operator: ts.SyntaxKind,
  postfix: boolean,
): Value {
  const { unit } = ctx;
  const place = writablePlace(ctx, operand);
  const op = operator === K.PlusPlusToken ? "+" : "-";
  const old = load(ctx, place, operand);
  if (old.type.kind !== "int" && old.type.kind !== "f64") {
    if (old.type.kind === "pointer")
      unit.refuse(
        node,
        "MG2012",
        `${excerpt(node)} steps a pointer; write ${excerpt(operand)} = addr(${excerpt(operand)}[1]) instead`,
      );
    unit.refuse(node, "MG2005", `${excerpt(node)} counts a ${showType(old.type)}; write an integer instead`);
  }
  const changed = arithmetic(ctx, node, op, old, operand, untyped(1n), node);
  store(ctx, place, changed, node);
  return postfix ? old : { ...changed, narrow: false };
}

// ---- assignment
function writablePlace(ctx: Lowering, node: ts.Expression): Place {
  const { unit } = ctx;
  const place = placeOf(ctx, node);
  if (!place)
    return unit.refuse(
      node,
      "MG2015",
      `${excerpt(node)} cannot be assigned; write a variable, field or element instead`,
    );
  if (ts.isIdentifier(node)) {
    const declaration = unit.source.symbol(node)?.valueDeclaration;
    if (
      declaration &&
      ts.isVariableDeclaration(declaration) &&
      declaration.parent.flags & ts.NodeFlags.Const &&
      !isAggregate(place.type)
    ) {
      unit.refuse(node, "MG2023", `${node.text} is const; write let in its declaration instead`);
    }
  }
  return place;
}
export function assignment(ctx: Lowering, node: ts.BinaryExpression): Value {
  const { unit } = ctx;
  const kind = node.operatorToken.kind;
  if (ts.isObjectLiteralExpression(node.left) || ts.isArrayLiteralExpression(node.left)) {
    return unit.refuse(node.left, "MG1006", "destructuring; write one assignment an element instead");
  }
  if (kind === K.EqualsToken) {
    const place = writablePlace(ctx, node.left);
    if (isAggregate(place.type)) {
      reinitialise(ctx, place, node.right);
      return { type: { kind: "void" } };
    }
    const value = coerce(ctx, ctx.expression(node.right, place.type), place.type, node.right);
    store(ctx, place, value, node);
    return { ...value, narrow: false };
  }
  const op = COMPOUND.get(kind);
  if (!op) {
    if (kind === K.AsteriskAsteriskEqualsToken)
      return unit.refuse(node, "MG1010", "**= is no machine operation; write a product or a shift instead");
    return unit.refuse(
      node,
      "MG1023",
      `${excerpt(node.operatorToken)} is outside the language; write an if and = instead`,
    );
  }
  const place = writablePlace(ctx, node.left);
  const old = load(ctx, place, node.left);
  let right = ctx.expression(node.right, isShift(op) ? null : place.type);
  if (!isShift(op) && (place.type.kind === "int" || place.type.kind === "f64"))
    right = coerce(ctx, right, place.type, node.right);
  const result = isShift(op)
    ? shift(ctx, node, op, old, node.left, right, node.right, null)
    : arithmetic(ctx, node, op, old, node.left, right, node.right);
  const value = coerce(ctx, result, place.type, node);
  store(ctx, place, value, node);
  return { ...value, narrow: false };
}
