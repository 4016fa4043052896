/**
 * Expressions: `expression` lowers one and gives its value, `placeOf` gives the storage that it names.
 * `want` is the type that the context declares. It decides only what is open: the width of `1 << n` and of `c ? 1 : 2`, type arguments
 * and null; it converts nothing (`coerce` does).
 */
import { ts } from "./adapter.ts";
import { asmExpression } from "./asm.ts";
import { call } from "./calls.ts";
import { literalValue } from "./constants.ts";
import { Refused } from "./diagnostics.ts";
import { globalConstant, globalType } from "./globals.ts";
import type { Lowering } from "./lowering.ts";
import { assignment, prefix, update } from "./assignments.ts";
import { binary, condition, truth, unifyBranches } from "./operators.ts";
import { I64, isAggregate, irType, type MachineType, NULL, showType, U64, VOID } from "./types.ts";
import { excerpt, type FunctionNode } from "./unit.ts";
import {
  boolConstant,
  coerce,
  defaultType,
  isUntyped,
  load,
  materialise,
  type Place,
  resize,
  store,
  untyped,
  type Value,
} from "./values.ts";

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
  if (ts.isArrowFunction(node) || ts.isFunctionExpression(node))
    return unit.refuse(
      node,
      "MG1002",
      "functions capture nothing; write a function at the top level, with what it needs as parameters, and its name here instead",
    );
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

/** A declaration that gives a literal its place, in the words of its source. */
function placed(node: ts.ObjectLiteralExpression | ts.ArrayLiteralExpression | ts.NewExpression): string {
  const { parent } = node;
  const name = ts.isVariableDeclaration(parent) && ts.isIdentifier(parent.name) ? parent.name.text : "name";
  if (ts.isArrayLiteralExpression(node))
    return `const ${name}: arr<u64, ${node.elements.length}> = […], with your element type,`;
  return `const ${name}: C = ${ts.isNewExpression(node) ? "new C()" : "{ … }"}, where C is a class,`;
}

// ---- names
/** The value of a name: constant, function address, or what its storage holds. */
function identifier(ctx: Lowering, node: ts.Identifier): Value {
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
    const constant = globalConstant(unit, entity, node);
    if (constant) return constant;
    const type = globalType(unit, entity, node);
    return load(
      ctx,
      { type, base: { type: U64, symbol: { name: unit.requestVariable(entity), addend: 0n } }, offset: 0n },
      node,
    );
  }
  if (ts.isFunctionDeclaration(declaration)) return functionValue(ctx, declaration, node);
  // The destructuring that declares it was refused.
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

// ---- places
function thisPlace(ctx: Lowering, node: ts.Node): Place {
  if (!ctx.thisValue || !ctx.owner)
    return ctx.unit.refuse(node, "MG1023", "this stands outside a method; write a parameter instead");
  return { type: { kind: "struct", struct: ctx.owner }, base: ctx.thisValue, offset: 0n };
}

/** The storage that an expression names; null where it names none. */
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
  const type = defaultType(globalType(unit, entity, node));
  return { type, base: { type: U64, symbol: { name: unit.requestVariable(entity), addend: 0n } }, offset: 0n };
}

/** `a` of `a.b` or `a[i]`, as what the access goes through: a struct or array in place, or the target of a pointer. */
function container(ctx: Lowering, node: ts.Expression): { place: Place; throughPointer: boolean } {
  const value = expression(ctx, node);
  if (value.place) return { place: value.place, throughPointer: false };
  if (value.type.kind === "pointer")
    return { place: { type: value.type.target, base: value, offset: 0n }, throughPointer: true };
  if (value.type.kind === "error")
    return { place: { type: value.type, base: value, offset: 0n }, throughPointer: false };
  return ctx.unit.refuse(
    node,
    "MG2016",
    `${excerpt(node)} is ${showType(value.type)}, which has no fields or elements; write a struct, array or pointer instead`,
  );
}
function fieldPlace(ctx: Lowering, node: ts.PropertyAccessExpression): Place {
  const { unit } = ctx;
  if (node.questionDotToken)
    unit.refuse(
      node,
      "MG1008",
      `${excerpt(node)} tests for null in passing; write const p = ${excerpt(node.expression)}; p !== null ? p.${node.name.text} : … instead`,
    );
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
function elementPlace(ctx: Lowering, node: ts.ElementAccessExpression): Place {
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
  const index = expression(ctx, node.argumentExpression, I64);
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

// ---- members
/** The symbol that `module.name` names, where the left side is `import * as module`. */
export function namespaceMember(ctx: Lowering, node: ts.PropertyAccessExpression): ts.Symbol | null {
  if (!ts.isIdentifier(node.expression)) return null;
  const left = ctx.unit.source.symbol(node.expression);
  if (!left || !(left.flags & (ts.SymbolFlags.ValueModule | ts.SymbolFlags.Enum))) return null;
  return ctx.unit.source.symbol(node.name) ?? null;
}
function property(ctx: Lowering, node: ts.PropertyAccessExpression): Value {
  const member = namespaceMember(ctx, node);
  if (member) return symbolValue(ctx, member, node);
  if (node.name.text !== "length") return load(ctx, fieldPlace(ctx, node), node);
  if (ts.isStringLiteralLike(node.expression)) return untyped(BigInt(node.expression.text.length));
  const { place } = container(ctx, node.expression);
  if (place.type.kind === "array") return untyped(BigInt(place.type.count));
  return load(ctx, fieldOf(ctx, node, place), node);
}

function conditional(ctx: Lowering, node: ts.ConditionalExpression, want: MachineType | null): Value {
  const { unit } = ctx;
  if (!ctx.builder) {
    const chosen = truth(ctx, expression(ctx, node.condition), node.condition);
    if (chosen.constant === undefined) ctx.emit(node.condition);
    return expression(ctx, chosen.constant ? node.whenTrue : node.whenFalse, want);
  }
  const b = ctx.emit(node);
  const whenTrue = b.createBlock();
  const whenFalse = b.createBlock();
  const join = b.createBlock();
  condition(ctx, node.condition, whenTrue, whenFalse);
  b.enter(whenTrue);
  const x = expression(ctx, node.whenTrue, want);
  const endTrue = b.block;
  b.enter(whenFalse);
  const y = expression(ctx, node.whenFalse, want ?? (isUntyped(x) ? null : x.type));
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
  if (isAggregate(type))
    unit.refuse(node, "MG2007", `${showType(type)} is not a value; write a choice between addresses, addr(…), instead`);
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
