/** Lowers a function of the source to a function of the IR. */
import { Builder } from "../ir/builder.ts";
import { Func } from "../ir/ir.ts";
import { ts, unwrap } from "./adapter.ts";
import { attrCall } from "./attributes.ts";
import { expression } from "./expressions.ts";
import { Lowering } from "./lowering.ts";
import { nakedBody, statements } from "./statements.ts";
import { alignOf, irType, type MachineType, sizeOf, U64 } from "./types.ts";
import { type FunctionEntity, intrinsicName, type Unit } from "./unit.ts";

export function lowerFunction(unit: Unit, entity: FunctionEntity): Func {
  const { declaration, type, attributes } = entity;
  const body = declaration.body as ts.Block;
  const isMethod = type.parameters.length > declaration.parameters.length;
  const params = type.parameters.map((t, i) => {
    const p = declaration.parameters[isMethod ? i - 1 : i];
    return { name: p ? p.name.getText() : "this", type: irType(t) };
  });
  const func = new Func(
    entity.linkName,
    entity.sourceName,
    params,
    irType(type.result),
    { ...attributes },
    unit.locOf(declaration.name ?? declaration),
  );
  const builder = new Builder(func);
  const ctx = new Lowering(unit, expression, entity.environment, entity.owner, entity, builder);
  ctx.emit(declaration.name ?? declaration);
  if (attributes.naked) {
    nakedBody(ctx, body);
    ctx.emit(body).unreachable();
    return func;
  }
  if (unit.debugTypes && !unit.checkOnly) {
    const result = declaration.type
      ? unit.debugTypes.ofNode(declaration.type, entity.environment)
      : unit.debugTypes.ofType(type.result);
    const { name, sourceName, loc } = func;
    func.scope = { parent: null, function: { name, sourceName, loc, result }, inlinedAt: null };
    ctx.enter(func.scope);
  }
  ctx.stored = storedSymbols(unit, body);
  bindParameters(ctx, entity, isMethod);
  statements(ctx, attrCall(unit, body.statements[0]) ? body.statements.slice(1) : body.statements);
  const end = ctx.emit(body);
  builder.loc = { ...builder.loc, ...endOf(unit, body) };
  if (type.result.kind === "void" && !attributes.noreturn) end.ret();
  else end.unreachable();
  return func;
}
function endOf(unit: Unit, body: ts.Block): { line: number; column: number } {
  const at = unit.source.position(body.getSourceFile(), Math.max(body.getStart(), body.getEnd() - 1));
  return { line: at.line, column: at.column };
}

/** Parameters that are never changed are used directly; the others get storage. */
function bindParameters(ctx: Lowering, entity: FunctionEntity, isMethod: boolean): void {
  const { unit } = ctx;
  const builder = ctx.emit(entity.declaration.name ?? entity.declaration);
  const instrs = entity.type.parameters.map((_, i) => builder.param(i));
  if (isMethod) {
    ctx.thisValue = {
      type: entity.type.parameters[0] as MachineType,
      instr: instrs[0] as NonNullable<(typeof instrs)[0]>,
    };
    ctx.declare(entity.declaration, ctx.thisValue.type, undefined, instrs[0], false, 0);
  }
  entity.declaration.parameters.forEach((p, i) => {
    const index = isMethod ? i + 1 : i;
    const type = entity.type.parameters[index] as MachineType;
    const instr = instrs[index] as NonNullable<(typeof instrs)[0]>;
    const symbol = unit.source.symbol(p.name);
    if (!symbol) return;
    if (!ctx.stored.has(symbol)) {
      ctx.locals.set(symbol, { value: { type, instr } });
      ctx.declare(p.name, type, p.type, instr, false, index);
      return;
    }
    const slot = builder.alloca(sizeOf(type), alignOf(type), p.name.getText());
    builder.store(slot, instr);
    ctx.declare(p.name, type, p.type, slot, true, index);
    ctx.locals.set(symbol, { place: { type, base: { type: U64, instr: slot }, offset: 0n } });
  });
}

/** Variables that are assigned, incremented or decremented, or whose address is taken. */
function storedSymbols(unit: Unit, body: ts.Node): Set<ts.Symbol> {
  const found = new Set<ts.Symbol>();
  const add = (node: ts.Expression): void => {
    const target = unwrap(node);
    const symbol = ts.isIdentifier(target) ? unit.source.symbol(target) : undefined;
    if (symbol) found.add(symbol);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isBinaryExpression(node)) {
      const kind = node.operatorToken.kind;
      if (kind >= ts.SyntaxKind.FirstAssignment && kind <= ts.SyntaxKind.LastAssignment) add(node.left);
    } else if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
      if (node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken)
        add(node.operand);
    } else if (
      ts.isCallExpression(node) &&
      node.arguments[0] &&
      ts.isIdentifier(node.expression) &&
      node.expression.text === "addr"
    ) {
      if (intrinsicName(unit, node)) add(node.arguments[0]);
    }
    ts.forEachChild(node, visit);
  };
  visit(body);
  return found;
}
