/** Places: the storage that an expression denotes, and its contents. */
import { ts } from "./adapter.ts";
import { coerce, load, materialise, resize } from "./conversions.ts";
import { globalType } from "./globals.ts";
import type { Lowering } from "./lowering.ts";
import { namespaceMember, symbolValue } from "./names.ts";
import { excerpt } from "./report.ts";
import { I64, showType, U64 } from "./types.ts";
import { defaultType, type Place, untyped, type Value } from "./values.ts";

export function thisPlace(ctx: Lowering, node: ts.Node): Place {
  if (!ctx.thisValue || !ctx.owner)
    return ctx.unit.refuse(node, "MG1023", "this stands outside a method; write a parameter instead");
  return { type: { kind: "struct", struct: ctx.owner }, base: ctx.thisValue, offset: 0n };
}

/** The storage that an expression denotes; null if it denotes none. */
export function placeOf(ctx: Lowering, node: ts.Expression): Place | null {
  const { unit } = ctx;
  if (ts.isParenthesizedExpression(node) || ts.isNonNullExpression(node)) return placeOf(ctx, node.expression);
  if (node.kind === ts.SyntaxKind.ThisKeyword) return thisPlace(ctx, node);
  if (ts.isIdentifier(node)) {
    const symbol = unit.source.symbol(node);
    if (!symbol) return unit.resolver.unknown(node);
    const local = ctx.locals.get(symbol);
    if (local !== undefined) return local && "place" in local ? local.place : null;
    const declaration = symbol.valueDeclaration;
    return declaration ? globalPlace(ctx, declaration, node) : null;
  }
  if (ts.isPropertyAccessExpression(node)) {
    const member = namespaceMember(ctx, node);
    if (member) return member.valueDeclaration ? globalPlace(ctx, member.valueDeclaration, node) : null;
    return fieldPlace(ctx, node);
  }
  if (ts.isElementAccessExpression(node)) return elementPlace(ctx, node);
  return null;
}
function globalPlace(ctx: Lowering, declaration: ts.Declaration, node: ts.Node): Place | null {
  const { unit } = ctx;
  if (
    !ts.isVariableDeclaration(declaration) ||
    unit.source.isPrelude(declaration) ||
    !ts.isSourceFile(declaration.parent.parent.parent)
  )
    return null;
  const entity = unit.variableEntity(declaration);
  const type = defaultType(globalType(ctx, entity, node));
  return { type, base: { type: U64, symbol: { name: unit.requestVariable(entity), addend: 0n } }, offset: 0n };
}

/** `a` of `a.b` or `a[i]`: a struct or array in place, or the target of a pointer. */
function container(ctx: Lowering, node: ts.Expression): { place: Place; throughPointer: boolean } {
  const value = ctx.expression(node);
  if (value.place) return { place: value.place, throughPointer: false };
  if (value.type.kind === "pointer")
    return { place: { type: value.type.target, base: value, offset: 0n }, throughPointer: true };
  if (value.type.kind === "error")
    return { place: { type: value.type, base: value, offset: 0n }, throughPointer: false };
  const instead = "a struct, array or pointer";
  return ctx.unit.refuse(
    node,
    "MG2016",
    `${excerpt(node)} is ${showType(value.type)}, which has no fields or elements; write ${instead} instead`,
  );
}
function fieldPlace(ctx: Lowering, node: ts.PropertyAccessExpression): Place {
  const { unit } = ctx;
  if (node.questionDotToken) {
    const instead = `const p = ${excerpt(node.expression)}; p !== null ? p.${node.name.text} : …`;
    unit.refuse(node, "MG1008", `${excerpt(node)} tests for null in passing; write ${instead} instead`);
  }
  return fieldOf(ctx, node, container(ctx, node.expression).place);
}
function fieldOf(ctx: Lowering, node: ts.PropertyAccessExpression, place: Place): Place {
  const { unit } = ctx;
  const name = node.name.text;
  if (place.type.kind !== "struct") {
    if (place.type.kind === "error") coerce(ctx, { type: place.type }, U64, node);
    const index =
      place.type.kind === "pointer" && place.type.target.kind === "struct"
        ? `${excerpt(node.expression)}[0].${name}`
        : name === "length"
          ? "the number of elements, passed beside the pointer,"
          : "a struct";
    return unit.refuse(node, "MG2016", `${showType(place.type)} has no field ${name}; write ${index} instead`);
  }
  const struct = unit.resolver.complete(place.type.struct, node);
  const field = struct.fields.get(name);
  if (!field) {
    if (unit.resolver.method(struct, name))
      return unit.refuse(node, "MG2016", `${name} is a method of ${struct.name}; write a call of it instead`);
    return unit.refuse(
      node.name,
      "MG2016",
      `${struct.name} has no field ${name}; write one of ${[...struct.fields.keys()].slice(0, 6).join(", ")} instead`,
    );
  }
  return { type: field.type, base: place.base, offset: place.offset + BigInt(field.offset) };
}
export function elementPlace(ctx: Lowering, node: ts.ElementAccessExpression): Place {
  const { unit } = ctx;
  if (node.questionDotToken)
    unit.refuse(node, "MG1008", `${excerpt(node)} tests for null in passing; write if (p !== null) around it instead`);
  const { place, throughPointer } = container(ctx, node.expression);
  const array = !throughPointer && place.type.kind === "array" ? place.type : null;
  if (!array && !throughPointer) {
    if (place.type.kind === "error") coerce(ctx, { type: place.type }, U64, node);
    return unit.refuse(
      node,
      "MG2016",
      `${showType(place.type)} has no elements; write an arr<T, N> or a pointer instead`,
    );
  }
  const element = array ? array.element : place.type;
  const size = BigInt(unit.resolver.sizeOf(element, node));
  const index = ctx.expression(node.argumentExpression, I64);
  if (index.type.kind !== "int" && index.type.kind !== "untyped") {
    return unit.refuse(
      node.argumentExpression,
      "MG2005",
      `${excerpt(node.argumentExpression)} is ${showType(index.type)}, no index; write an integer instead`,
    );
  }
  if (index.constant !== undefined) {
    if (array && (index.constant < 0n || index.constant >= BigInt(array.count))) {
      unit.refuse(
        node.argumentExpression,
        "MG2021",
        `index ${index.constant} is outside ${showType(array)}; write 0 … ${array.count - 1} instead`,
      );
    }
    return { type: element, base: place.base, offset: place.offset + index.constant * size };
  }
  const wide = materialise(
    ctx,
    resize(ctx, index, index.type.kind === "int" && index.type.signed ? I64 : U64, node),
    node,
  );
  const base = materialise(ctx, { ...place.base }, node);
  const b = ctx.emit(node);
  const scaled = size === 1n ? wide : b.binary("mul", wide, b.iconst("i64", size));
  return { type: element, base: { type: U64, instr: b.binary("add", base, scaled) }, offset: place.offset };
}

export function property(ctx: Lowering, node: ts.PropertyAccessExpression): Value {
  const member = namespaceMember(ctx, node);
  if (member) return symbolValue(ctx, member, node);
  if (node.name.text !== "length") return load(ctx, fieldPlace(ctx, node), node);
  if (ts.isStringLiteralLike(node.expression)) return untyped(BigInt(node.expression.text.length));
  const { place } = container(ctx, node.expression);
  if (place.type.kind === "array") return untyped(BigInt(place.type.count));
  return load(ctx, fieldOf(ctx, node, place), node);
}
