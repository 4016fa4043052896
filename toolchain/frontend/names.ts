/** Names as values: constants, functions, locals and module variables. */
import { type FunctionNode, ts } from "./adapter.ts";
import { load } from "./conversions.ts";
import { Refused } from "./diagnostics.ts";
import { globalConstant, globalType } from "./globals.ts";
import type { Lowering } from "./lowering.ts";
import { excerpt } from "./report.ts";
import { U64 } from "./types.ts";
import { untyped, type Value } from "./values.ts";

/** The value of a name: constant, function address, or the contents of its storage. */
export function identifier(ctx: Lowering, node: ts.Identifier): Value {
  const { unit } = ctx;
  const symbol = unit.source.symbol(node);
  if (node.text === "undefined") return unit.refuse(node, "MG2010", "there is no undefined; write null instead");
  if (!symbol) return unit.resolver.unknown(node);
  const local = ctx.locals.get(symbol);
  if (local !== undefined) {
    if (local === null)
      return load(ctx, { type: { kind: "error" }, base: { type: U64, constant: 0n }, offset: 0n }, node);
    return "value" in local ? local.value : load(ctx, local.place, node);
  }
  return symbolValue(ctx, symbol, node);
}
/** The value of a module's symbol. */
export function symbolValue(ctx: Lowering, symbol: ts.Symbol, node: ts.Node): Value {
  const { unit } = ctx;
  const declaration = symbol.valueDeclaration ?? symbol.declarations?.[0];
  if (!declaration) return unit.resolver.unknown(node);
  if (ts.isEnumMember(declaration)) return untyped(unit.resolver.enumMember(declaration));
  if (ts.isVariableDeclaration(declaration)) {
    if (unit.source.isPrelude(declaration))
      return unit.refuse(
        node,
        "MG5003",
        `${excerpt(node)} stands only in asm templates; write asm\`… \${${excerpt(node)}}\` instead`,
      );
    if (!ts.isSourceFile(declaration.parent.parent.parent))
      return unit.refuse(
        node,
        "MG1002",
        `${excerpt(node)} is a variable of another function; write a parameter instead`,
      );
    const entity = unit.variableEntity(declaration);
    const constant = globalConstant(ctx, entity, node);
    if (constant) return constant;
    const type = globalType(ctx, entity, node);
    return load(
      ctx,
      { type, base: { type: U64, symbol: { name: unit.requestVariable(entity), addend: 0n } }, offset: 0n },
      node,
    );
  }
  if (ts.isFunctionDeclaration(declaration)) return functionValue(ctx, declaration, node);
  // The destructuring declaration was refused.
  if (ts.isBindingElement(declaration)) throw new Refused();
  if (ts.isParameter(declaration) && ctx.entity?.attributes.naked) {
    return unit.refuse(node, "MG4002", `${excerpt(node)} has no place in a naked function; write its register instead`);
  }
  return unit.refuse(node, "MG1023", `${excerpt(node)} is no value; write a variable, constant or function instead`);
}

function functionValue(ctx: Lowering, declaration: ts.FunctionDeclaration, node: ts.Node): Value {
  const { unit } = ctx;
  if (unit.source.isPrelude(declaration))
    return unit.refuse(
      node,
      "MG1023",
      `${excerpt(node)} is an intrinsic without an address; write a call of it instead`,
    );
  checkOverload(ctx, declaration, node);
  if (declaration.typeParameters)
    return unit.refuse(node, "MG2018", `${excerpt(node)} is generic; write a function of fixed types instead`);
  const entity = unit.functionEntity(declaration, null, new Map());
  return { type: entity.type, symbol: { name: unit.request(entity), addend: 0n } };
}
export function checkOverload(ctx: Lowering, declaration: FunctionNode, node: ts.Node): void {
  const symbol = declaration.name ? ctx.unit.source.symbol(declaration.name) : undefined;
  const bodies = (symbol?.declarations ?? []).filter((d) => ts.isFunctionDeclaration(d) || ts.isMethodDeclaration(d));
  if (bodies.length > 1)
    ctx.unit.refuse(node, "MG1016", `${excerpt(node)} has several declarations; write one function a name instead`);
}

/** The symbol of `module.name`, if the left side is `import * as module`. */
export function namespaceMember(ctx: Lowering, node: ts.PropertyAccessExpression): ts.Symbol | null {
  if (!ts.isIdentifier(node.expression)) return null;
  const left = ctx.unit.source.symbol(node.expression);
  if (!left || !(left.flags & (ts.SymbolFlags.ValueModule | ts.SymbolFlags.Enum))) return null;
  return ctx.unit.source.symbol(node.name) ?? null;
}
