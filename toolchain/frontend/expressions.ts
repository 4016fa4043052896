/**
 * Expressions: `expression` lowers one and returns its value. The families are in the files below, which call back
 * through `Lowering.expression`. `want` is the type that the context declares. It decides only what is open (the width
 * of `1 << n` and of `c ? 1 : 2`, type arguments, null) and converts nothing; `coerce` does that.
 */
import { ts } from "./adapter.ts";
import { asmExpression } from "./asm.ts";
import { assignment, prefix, update } from "./assignments.ts";
import { call } from "./calls.ts";
import { conditional } from "./conditions.ts";
import { literalValue } from "./constants.ts";
import { load } from "./conversions.ts";
import { Lowering } from "./lowering.ts";
import { identifier } from "./names.ts";
import { binary } from "./operators.ts";
import { elementPlace, property, thisPlace } from "./places.ts";
import { excerpt } from "./report.ts";
import { type MachineType, NULL } from "./types.ts";
import type { Unit } from "./unit.ts";
import { boolConstant, type Value } from "./values.ts";

export function expression(ctx: Lowering, node: ts.Expression, want: MachineType | null = null): Value {
  const { unit } = ctx;
  unit.currentNode = node;
  if (ts.isParenthesizedExpression(node) || ts.isNonNullExpression(node)) return expression(ctx, node.expression, want);
  if (ts.isNumericLiteral(node)) return literalValue(unit, node);
  if (ts.isIdentifier(node)) return identifier(ctx, node);
  switch (node.kind) {
    case ts.SyntaxKind.TrueKeyword:
      return boolConstant(true);
    case ts.SyntaxKind.FalseKeyword:
      return boolConstant(false);
    case ts.SyntaxKind.NullKeyword:
      return { type: NULL, constant: 0n };
    case ts.SyntaxKind.ThisKeyword:
      return load(ctx, thisPlace(ctx, node), node);
    case ts.SyntaxKind.SuperKeyword:
      return unit.refuse(node, "MG1026", "super has no meaning; write this instead");
  }
  if (ts.isPropertyAccessExpression(node)) return property(ctx, node);
  if (ts.isElementAccessExpression(node)) return load(ctx, elementPlace(ctx, node), node);
  if (ts.isCallExpression(node)) return call(ctx, node, want);
  if (ts.isBinaryExpression(node)) {
    if (
      node.operatorToken.kind >= ts.SyntaxKind.FirstAssignment &&
      node.operatorToken.kind <= ts.SyntaxKind.LastAssignment
    )
      return assignment(ctx, node);
    return binary(ctx, node, want);
  }
  if (ts.isPrefixUnaryExpression(node)) return prefix(ctx, node, want);
  if (ts.isPostfixUnaryExpression(node)) return update(ctx, node, node.operand, node.operator, true);
  if (ts.isConditionalExpression(node)) return conditional(ctx, node, want);
  if (ts.isTaggedTemplateExpression(node)) return asmExpression(ctx, node);
  return refuseExpression(ctx, node);
}

function refuseExpression(ctx: Lowering, node: ts.Expression): never {
  const { unit } = ctx;
  if (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) {
    const { parent } = node;
    const isSum = ts.isBinaryExpression(parent) && parent.operatorToken.kind === ts.SyntaxKind.PlusToken;
    if (!isSum && !ts.isTemplateExpression(node))
      return unit.refuse(node, "MG1007", `${excerpt(node)} is a string; write cstr("…") instead`);
    const built = excerpt(isSum ? parent : node);
    return unit.refuse(
      node,
      "MG1007",
      `${built} would build a string; write cstr("…") for its text and a call of its own for each value instead`,
    );
  }
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) {
    const instead = "a function at the top level, with what it needs as parameters, and its name here";
    return unit.refuse(node, "MG1002", `functions capture nothing; write ${instead} instead`);
  }
  if (ts.isObjectLiteralExpression(node) || ts.isArrayLiteralExpression(node) || ts.isNewExpression(node)) {
    return unit.refuse(node, "MG1014", `${excerpt(node)} has no place in memory; write ${placed(node)} instead`);
  }
  if (ts.isAsExpression(node) || ts.isTypeAssertionExpression(node) || ts.isSatisfiesExpression(node)) {
    return unit.refuse(
      node,
      "MG1012",
      `${excerpt(node)} converts nothing; write cast<${excerpt(node.type)}>(…) or a width such as u32(…) instead`,
    );
  }
  if (ts.isTypeOfExpression(node) || ts.isDeleteExpression(node) || ts.isVoidExpression(node)) {
    return unit.refuse(
      node,
      "MG1013",
      `${excerpt(node)} has no machine form; write a comparison or a statement instead`,
    );
  }
  if (ts.isAwaitExpression(node) || ts.isYieldExpression(node))
    return unit.refuse(node, "MG1005", `${excerpt(node)} would suspend; write a loop or a call instead`);
  if (ts.isSpreadElement(node)) return unit.refuse(node, "MG1006", "spread; write the elements one by one instead");
  if (ts.isClassExpression(node))
    return unit.refuse(node, "MG1025", "class inside an expression; write it at the top level instead");
  if (ts.isBigIntLiteral(node))
    return unit.refuse(node, "MG1023", `${excerpt(node)} is a bigint; write the number without n instead`);
  return unit.refuse(
    node,
    "MG1023",
    `${excerpt(node)} is outside the language; write a construct of toolchain/README.md instead`,
  );
}

/** Source text of a declaration that would give the literal storage. */
function placed(node: ts.ObjectLiteralExpression | ts.ArrayLiteralExpression | ts.NewExpression): string {
  const { parent } = node;
  const name = ts.isVariableDeclaration(parent) && ts.isIdentifier(parent.name) ? parent.name.text : "name";
  if (ts.isArrayLiteralExpression(node))
    return `const ${name}: arr<u64, ${node.elements.length}> = […], with your element type,`;
  return `const ${name}: C = ${ts.isNewExpression(node) ? "new C()" : "{ … }"}, where C is a class,`;
}

/** An expression that must be an integer constant. */
export function constantExpression(unit: Unit, node: ts.Expression | ts.Identifier): bigint {
  const value = expression(constants(unit), node);
  if (value.constant === undefined || (value.type.kind !== "int" && value.type.kind !== "untyped")) {
    return unit.refuse(node, "MG3001", `${excerpt(node)} is no integer constant; write a number instead`);
  }
  return value.constant;
}

/** A Lowering for constant expressions outside all functions. */
export const constants = (unit: Unit): Lowering => new Lowering(unit, expression, new Map(), null, null, null);
