/** Conditions and choices: &&, ||, ?: and ??, which evaluate only the operands that they need. */
import type { Block } from "../ir/ir.ts";
import { ts } from "./adapter.ts";
import { coerce, materialise, store } from "./conversions.ts";
import type { Lowering } from "./lowering.ts";
import { excerpt } from "./report.ts";
import { BOOL, irType, isAggregate, type MachineType, sameType, showType, U64, VOID, widens } from "./types.ts";
import { boolConstant, defaultType, isUntyped, type Place, type Value } from "./values.ts";

/** A value as a condition: booleans, integers (not 0), pointers (not null). */
export function truth(ctx: Lowering, v: Value, node: ts.Node): Value {
  if (v.type.kind === "bool") return v;
  if (v.type.kind === "error") return coerce(ctx, v, BOOL, node);
  if (v.constant !== undefined) return boolConstant(v.constant !== 0n);
  if (v.type.kind === "int" || v.type.kind === "pointer" || v.type.kind === "function") {
    if (v.symbol && v.type.kind !== "int") return boolConstant(true);
    const operand = materialise(ctx, v, node);
    const e = ctx.emit(node);
    return { type: BOOL, instr: e.binary("ne", operand, e.iconst(irType(v.type), 0n)) };
  }
  return ctx.unit.refuse(
    node,
    "MG2014",
    `${excerpt(node)} is ${showType(v.type)}, no condition; write a comparison instead`,
  );
}

/** Jumps to one of two blocks; && and || evaluate only the operands that they need. */
export function condition(ctx: Lowering, node: ts.Expression, whenTrue: Block, whenFalse: Block): void {
  if (ts.isParenthesizedExpression(node)) return condition(ctx, node.expression, whenTrue, whenFalse);
  if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken)
    return condition(ctx, node.operand, whenFalse, whenTrue);
  if (ts.isBinaryExpression(node)) {
    const and = node.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken;
    if (and || node.operatorToken.kind === ts.SyntaxKind.BarBarToken) {
      const right = ctx.emit(node).createBlock();
      if (and) condition(ctx, node.left, right, whenFalse);
      else condition(ctx, node.left, whenTrue, right);
      ctx.emit(node).enter(right);
      return condition(ctx, node.right, whenTrue, whenFalse);
    }
  }
  const value = truth(ctx, ctx.expression(node), node);
  const e = ctx.emit(node);
  if (value.constant !== undefined) e.jump(value.constant ? whenTrue : whenFalse);
  else e.branch(materialise(ctx, value, node), whenTrue, whenFalse);
}

export function shortCircuit(ctx: Lowering, node: ts.BinaryExpression): Value {
  const and = node.operatorToken.kind === ts.SyntaxKind.AmpersandAmpersandToken;
  if (!ctx.builder) {
    const left = truth(ctx, ctx.expression(node.left), node.left);
    if (left.constant === undefined) ctx.emit(node.left);
    if ((left.constant === 1n) !== and) return left;
    return truth(ctx, ctx.expression(node.right), node.right);
  }
  const b = ctx.emit(node);
  const blocks = { yes: b.createBlock(), no: b.createBlock(), join: b.createBlock() };
  const slot = b.alloca(1, 1);
  condition(ctx, node, blocks.yes, blocks.no);
  for (const [block, value] of [
    [blocks.yes, 1],
    [blocks.no, 0],
  ] as const) {
    const e = ctx.emit(node);
    e.enter(block);
    e.store(slot, e.iconst("i8", value));
    e.jump(blocks.join);
  }
  b.enter(blocks.join);
  return { type: BOOL, instr: ctx.emit(node).load("i8", slot) };
}

export function nullish(ctx: Lowering, node: ts.BinaryExpression, want: MachineType | null): Value {
  const { unit } = ctx;
  const left = ctx.expression(node.left, want);
  if (left.type.kind === "null") return ctx.expression(node.right, want);
  if (left.type.kind !== "pointer" && left.type.kind !== "function") {
    return unit.refuse(
      node.left,
      "MG2005",
      `${excerpt(node.left)} is ${showType(left.type)}, which is never null; write a condition with ?: instead`,
    );
  }
  const b = ctx.emit(node);
  const type = left.type;
  const slot = b.alloca(8, 8);
  const value = materialise(ctx, left, node);
  const other = b.createBlock();
  const join = b.createBlock();
  b.store(slot, value);
  b.branch(b.binary("ne", value, b.iconst("i64", 0n)), join, other);
  b.enter(other);
  const right = coerce(ctx, ctx.expression(node.right, type), type, node.right);
  const operand = materialise(ctx, right, node.right);
  ctx.emit(node).store(slot, operand);
  ctx.emit(node).jump(join);
  b.enter(join);
  return { type, instr: ctx.emit(node).load("i64", slot) };
}

export function conditional(ctx: Lowering, node: ts.ConditionalExpression, want: MachineType | null): Value {
  const { unit } = ctx;
  if (!ctx.builder) {
    const chosen = truth(ctx, ctx.expression(node.condition), node.condition);
    if (chosen.constant === undefined) ctx.emit(node.condition);
    return ctx.expression(chosen.constant ? node.whenTrue : node.whenFalse, want);
  }
  const b = ctx.emit(node);
  const whenTrue = b.createBlock();
  const whenFalse = b.createBlock();
  const join = b.createBlock();
  condition(ctx, node.condition, whenTrue, whenFalse);
  b.enter(whenTrue);
  const x = ctx.expression(node.whenTrue, want);
  const endTrue = b.block;
  b.enter(whenFalse);
  const y = ctx.expression(node.whenFalse, want ?? (isUntyped(x) ? null : x.type));
  const endFalse = b.block;
  const type = unifyBranches(ctx, node, x, y, want);
  if (type.kind === "void") {
    for (const end of [endTrue, endFalse]) {
      b.enter(end);
      b.jump(join);
    }
    b.enter(join);
    return { type: VOID };
  }
  if (isAggregate(type)) {
    const instead = "a choice between addresses, addr(…),";
    unit.refuse(node, "MG2007", `${showType(type)} is not a value; write ${instead} instead`);
  }
  const slot: Place = {
    type,
    base: { type: U64, instr: b.alloca(unit.resolver.sizeOf(type, node), unit.resolver.alignOf(type, node)) },
    offset: 0n,
  };
  for (const [end, value, branch] of [
    [endTrue, x, node.whenTrue],
    [endFalse, y, node.whenFalse],
  ] as const) {
    b.enter(end);
    if (b.terminated) continue;
    store(ctx, slot, coerce(ctx, value, type, branch), branch);
    ctx.emit(node).jump(join);
  }
  b.enter(join);
  return {
    type,
    instr: ctx.emit(node).load(irType(type), slot.base.instr as NonNullable<Value["instr"]>),
    narrow: x.narrow === true || y.narrow === true,
  };
}

/** The common type of the two arms of ?: */
function unifyBranches(
  ctx: Lowering,
  node: ts.ConditionalExpression,
  x: Value,
  y: Value,
  want: MachineType | null,
): MachineType {
  if (x.type.kind === "never") return defaultType(y.type);
  if (y.type.kind === "never") return defaultType(x.type);
  if (x.type.kind === "void" && y.type.kind === "void") return x.type;
  if (isUntyped(x) && isUntyped(y)) {
    if (want && (want.kind === "int" || want.kind === "f64")) return want;
    return defaultType(x.type.kind === "untypedFloat" ? x.type : y.type);
  }
  if (x.type.kind === "null") return y.type;
  if (y.type.kind === "null") return x.type;
  if (x.type.kind === "pointer" || x.type.kind === "function") {
    if (want && (want.kind === "pointer" || want.kind === "function")) return want;
    return x.type;
  }
  if (isUntyped(x)) return y.type;
  if (isUntyped(y)) return x.type;
  if (x.type.kind === "int" && y.type.kind === "int") {
    if (widens(x.type, y.type)) return y.type;
    if (widens(y.type, x.type)) return x.type;
  }
  if (sameType(x.type, y.type)) return x.type;
  return ctx.unit.refuse(
    node,
    "MG2002",
    `the arms are ${showType(x.type)} and ${showType(y.type)}; write a cast around one instead`,
  );
}
