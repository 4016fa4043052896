/** Operators: arithmetic with unification, comparisons, short-circuit conditions, assignments. */
import type { Block } from "../ir/ir.ts";
import type { IntBinary } from "../ir/builder.ts";
import { ts } from "./adapter.ts";
import { compare, foldUntyped } from "./constants.ts";
import { expression } from "./expressions.ts";
import { Lowering } from "./lowering.ts";
import {
  BOOL,
  F64,
  fits,
  I64,
  type IntType,
  isAggregate,
  irType,
  type MachineType,
  sameType,
  showType,
  widens,
  wrap,
} from "./types.ts";
import { excerpt } from "./unit.ts";
import {
  boolConstant,
  coerce,
  defaultType,
  isUntyped,
  materialise,
  resize,
  untyped,
  untypedFloat,
  type Value,
} from "./values.ts";

const K = ts.SyntaxKind;
// biome-ignore format: a table
const SYMBOLS: ReadonlyMap<ts.SyntaxKind, string> = new Map<ts.SyntaxKind, string>([
  [K.PlusToken, "+"], [K.MinusToken, "-"], [K.AsteriskToken, "*"], [K.SlashToken, "/"], [K.PercentToken, "%"],
  [K.AmpersandToken, "&"], [K.BarToken, "|"], [K.CaretToken, "^"],
  [K.LessThanLessThanToken, "<<"], [K.GreaterThanGreaterThanToken, ">>"], [K.GreaterThanGreaterThanGreaterThanToken, ">>>"],
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
      expression(ctx, node.left);
      return expression(ctx, node.right, want);
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
    const left = expression(ctx, node.left, hint);
    return shift(ctx, node, op, left, node.left, expression(ctx, node.right), node.right, hint);
  }
  // An open left side, such as 1 << n, takes the type of the right side.
  const open = hint ?? (isOpen(ctx, node.left) ? ctx.dryType(node.right, expression) : null);
  const a = expression(ctx, node.left, open && open.kind !== "untyped" ? open : null);
  const b = expression(ctx, node.right, hint ?? (isUntyped(a) ? null : a.type));
  return isComparison(op)
    ? comparison(ctx, node, op, a, node.left, b, node.right)
    : arithmetic(ctx, node, op, a, node.left, b, node.right);
}
/** Syntactically a shift of, or a choice between, constants: its width is open. */
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
  return Lowering.constant(ctx.unit).dryType(node, expression)?.kind === "untyped";
}

/** Both operands in one type: the wider, if the other widens to it losslessly. */
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

/** The common type of the two arms of ?: */
export function unifyBranches(
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
/** Address + constant stays an address for the linker. */
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
    else if (!comparable(a.type, b.type))
      unit.refuse(
        node,
        "MG2002",
        `${excerpt(node)} mixes ${showType(a.type)} and ${showType(b.type)}; write ${isZero(a) || isZero(b) ? "null for 0" : "a cast on one side"} instead`,
      );
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

// ---- conditions
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

/** Jumps to one of two blocks; && and || evaluate no more than they need. */
export function condition(ctx: Lowering, node: ts.Expression, whenTrue: Block, whenFalse: Block): void {
  if (ts.isParenthesizedExpression(node)) return condition(ctx, node.expression, whenTrue, whenFalse);
  if (ts.isPrefixUnaryExpression(node) && node.operator === K.ExclamationToken)
    return condition(ctx, node.operand, whenFalse, whenTrue);
  if (ts.isBinaryExpression(node)) {
    const and = node.operatorToken.kind === K.AmpersandAmpersandToken;
    if (and || node.operatorToken.kind === K.BarBarToken) {
      const right = ctx.emit(node).createBlock();
      if (and) condition(ctx, node.left, right, whenFalse);
      else condition(ctx, node.left, whenTrue, right);
      ctx.emit(node).enter(right);
      return condition(ctx, node.right, whenTrue, whenFalse);
    }
  }
  const value = truth(ctx, expression(ctx, node), node);
  const e = ctx.emit(node);
  if (value.constant !== undefined) e.jump(value.constant ? whenTrue : whenFalse);
  else e.branch(materialise(ctx, value, node), whenTrue, whenFalse);
}

function shortCircuit(ctx: Lowering, node: ts.BinaryExpression): Value {
  const and = node.operatorToken.kind === K.AmpersandAmpersandToken;
  if (!ctx.builder) {
    const left = truth(ctx, expression(ctx, node.left), node.left);
    if (left.constant === undefined) ctx.emit(node.left);
    if ((left.constant === 1n) !== and) return left;
    return truth(ctx, expression(ctx, node.right), node.right);
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

function nullish(ctx: Lowering, node: ts.BinaryExpression, want: MachineType | null): Value {
  const { unit } = ctx;
  const left = expression(ctx, node.left, want);
  if (left.type.kind === "null") return expression(ctx, node.right, want);
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
  const right = coerce(ctx, expression(ctx, node.right, type), type, node.right);
  const operand = materialise(ctx, right, node.right);
  ctx.emit(node).store(slot, operand);
  ctx.emit(node).jump(join);
  b.enter(join);
  return { type, instr: ctx.emit(node).load("i64", slot) };
}
