/**
 * Calls: of functions, methods and function pointers; inference of type arguments from the arguments' machine types.
 */
import { type FunctionNode, ts } from "./adapter.ts";
import { addressOf, coerce, materialise } from "./conversions.ts";
import { intrinsic } from "./intrinsics.ts";
import type { Lowering } from "./lowering.ts";
import { checkOverload, namespaceMember } from "./names.ts";
import { excerpt } from "./report.ts";
import {
  type FunctionType,
  irType,
  type MachineType,
  NEVER,
  sameType,
  showType,
  type Struct,
  type TypeEnvironment,
  U64,
  VOID,
  widens,
} from "./types.ts";
import type { FunctionEntity } from "./unit.ts";
import { defaultType, isUntyped, untyped, type Value } from "./values.ts";

const bare = (node: ts.Expression): ts.Expression =>
  ts.isParenthesizedExpression(node) || ts.isNonNullExpression(node) ? bare(node.expression) : node;

export function call(ctx: Lowering, node: ts.CallExpression, want: MachineType | null): Value {
  const { unit } = ctx;
  if (node.questionDotToken)
    return unit.refuse(
      node,
      "MG1008",
      `${excerpt(node)} tests for null in passing; write if (f !== null) f(…) instead`,
    );
  const callee = bare(node.expression);
  if (callee.kind === ts.SyntaxKind.SuperKeyword)
    return unit.refuse(node, "MG1026", "super() has no meaning; write field initialisers instead");
  if (ts.isIdentifier(callee)) {
    const symbol = unit.source.symbol(callee);
    if (!symbol) return unit.resolver.unknown(callee);
    if (!ctx.locals.has(symbol)) {
      const declaration = symbol.valueDeclaration;
      if (declaration && ts.isFunctionDeclaration(declaration)) {
        if (unit.source.isPrelude(declaration)) return intrinsic(ctx, node, callee.text, want);
        return direct(ctx, node, declaration, null, null, want);
      }
    }
  } else if (ts.isPropertyAccessExpression(callee)) {
    const found = memberCall(ctx, node, callee, want);
    if (found) return found;
  }
  const target = ctx.expression(callee);
  if (target.type.kind === "error") coerce(ctx, target, U64, callee);
  if (target.type.kind !== "function") {
    const instead = "a function or function pointer";
    return unit.refuse(
      callee,
      "MG2017",
      `${excerpt(callee)} is ${showType(target.type)}, which cannot be called; write ${instead} instead`,
    );
  }
  return indirect(ctx, node, target, target.type);
}

/** Calls through `a.b(…)`; null if `a.b` is a value: a field that holds a function pointer. */
function memberCall(
  ctx: Lowering,
  node: ts.CallExpression,
  callee: ts.PropertyAccessExpression,
  want: MachineType | null,
): Value | null {
  const { unit } = ctx;
  const name = callee.name.text;
  if (callee.questionDotToken)
    return unit.refuse(
      callee,
      "MG1008",
      `${excerpt(callee)} tests for null in passing; write if (p !== null) p.${name}(…) instead`,
    );
  const member = namespaceMember(ctx, callee);
  if (member) {
    const declaration = member.valueDeclaration;
    return declaration && ts.isFunctionDeclaration(declaration)
      ? direct(ctx, node, declaration, null, null, want)
      : null;
  }
  const left = bare(callee.expression);
  if (ts.isStringLiteralLike(left)) return characterCode(ctx, node, left, name);
  if (ts.isIdentifier(left)) {
    const declaration = unit.source.symbol(left)?.valueDeclaration;
    if (declaration && ts.isClassDeclaration(declaration)) return staticCall(ctx, node, declaration, name, want);
  }
  const object = ctx.expression(callee.expression);
  if (object.type.kind === "error") coerce(ctx, object, U64, callee);
  const target = object.type.kind === "pointer" ? object.type.target : object.type;
  if (target.kind !== "struct") {
    const isArray = target.kind === "array";
    const instead = isArray ? "indices [i] and a count of your own" : "a struct or a pointer to one";
    return unit.refuse(callee, "MG2016", `${showType(object.type)} has no method ${name}; write ${instead} instead`);
  }
  const method = unit.resolver.method(target.struct, name);
  if (!method) {
    const field = unit.resolver.complete(target.struct, callee).fields.get(name);
    if (!field)
      return unit.refuse(
        callee.name,
        "MG2016",
        `${target.struct.name} has no field or method ${name}; write a declared one instead`,
      );
    if (field.type.kind !== "function")
      return unit.refuse(
        callee,
        "MG2017",
        `${name} is ${showType(field.type)}, which cannot be called; write a function pointer field instead`,
      );
    const place = {
      type: field.type,
      base: object.place ? object.place.base : object,
      offset: (object.place?.offset ?? 0n) + BigInt(field.offset),
    };
    const address = materialise(ctx, addressOf(ctx, place, callee), callee);
    const pointer: Value = { type: field.type, instr: ctx.emit(callee).load("i64", address) };
    return indirect(ctx, node, pointer, field.type);
  }
  const self = object.place ? addressOf(ctx, object.place, callee) : object;
  return direct(ctx, node, method.declaration, method.owner, self, want);
}
function characterCode(ctx: Lowering, node: ts.CallExpression, text: ts.StringLiteralLike, name: string): Value {
  const argument = node.arguments[0];
  const index = argument ? ctx.expression(argument).constant : 0n;
  if (name !== "charCodeAt" || index === undefined || index < 0n || index >= BigInt(text.text.length)) {
    return ctx.unit.refuse(
      node,
      "MG1007",
      `${excerpt(node)} has no value; write "c".charCodeAt(0) with a constant index instead`,
    );
  }
  return untyped(BigInt(text.text.charCodeAt(Number(index))));
}
function staticCall(
  ctx: Lowering,
  node: ts.CallExpression,
  declaration: ts.ClassDeclaration,
  name: string,
  want: MachineType | null,
): Value {
  for (const member of declaration.members) {
    const isStatic =
      ts.canHaveModifiers(member) && ts.getModifiers(member)?.some((m) => m.kind === ts.SyntaxKind.StaticKeyword);
    if (ts.isMethodDeclaration(member) && isStatic && ts.isIdentifier(member.name) && member.name.text === name) {
      if (declaration.typeParameters)
        return ctx.unit.refuse(
          node,
          "MG2018",
          `${excerpt(node)}: the class is generic; write a function outside it instead`,
        );
      return direct(ctx, node, member, ctx.unit.resolver.struct(declaration, [], node), null, want);
    }
  }
  return ctx.unit.refuse(
    node,
    "MG2016",
    `${excerpt(node.expression)} is no static method; write a declared one instead`,
  );
}

function checkCount(ctx: Lowering, node: ts.CallExpression, expected: number): void {
  for (const a of node.arguments)
    if (ts.isSpreadElement(a)) ctx.unit.refuse(a, "MG1006", "spread; write the arguments one by one instead");
  if (node.arguments.length !== expected) {
    ctx.unit.refuse(node, "MG2022", `${node.arguments.length} of ${expected} arguments; write ${expected} instead`);
  }
}

function direct(
  ctx: Lowering,
  node: ts.CallExpression,
  declaration: FunctionNode,
  owner: Struct | null,
  self: Value | null,
  want: MachineType | null,
): Value {
  const { unit } = ctx;
  checkOverload(ctx, declaration, node);
  checkCount(ctx, node, declaration.parameters.length);
  const { own, values } = typeArguments(ctx, node, declaration, owner, want);
  const entity = unit.functionEntity(declaration, owner, own);
  if (entity.attributes.naked && entity.attributes.bits !== 64) {
    unit.refuse(
      node,
      "MG4006",
      `${excerpt(node.expression)} is ${entity.attributes.bits}-bit code; write a jump in assembly instead`,
    );
  }
  const skip = self ? 1 : 0;
  const args = node.arguments.map((a, i) => {
    const to = entity.type.parameters[i + skip] as MachineType;
    return materialise(ctx, coerce(ctx, values?.[i] ?? ctx.expression(a, to), to, a), a);
  });
  if (self) args.unshift(materialise(ctx, self, node));
  const result = entity.type.result;
  const instr = ctx.emit(node).call(unit.request(entity), irType(result), args);
  return finish(ctx, node, result, instr, entity);
}
function indirect(ctx: Lowering, node: ts.CallExpression, target: Value, type: FunctionType): Value {
  checkCount(ctx, node, type.parameters.length);
  const pointer = materialise(ctx, target, node.expression);
  const args = node.arguments.map((a, i) => {
    const to = type.parameters[i] as MachineType;
    return materialise(ctx, coerce(ctx, ctx.expression(a, to), to, a), a);
  });
  const instr = ctx.emit(node).callIndirect(pointer, irType(type.result), args);
  return finish(ctx, node, type.result, instr, null);
}
function finish(
  ctx: Lowering,
  node: ts.CallExpression,
  result: MachineType,
  instr: NonNullable<Value["instr"]>,
  entity: FunctionEntity | null,
): Value {
  if (result.kind === "never" || entity?.attributes.noreturn) {
    ctx.emit(node).unreachable();
    return { type: NEVER };
  }
  return result.kind === "void" ? { type: VOID } : { type: result, instr };
}

// ---- generics
/**
 * Explicit type arguments, or those inferred from the arguments' types and the wanted result. `values`: arguments
 * evaluated during inference.
 */
function typeArguments(
  ctx: Lowering,
  node: ts.CallExpression,
  declaration: FunctionNode,
  owner: Struct | null,
  want: MachineType | null,
): { own: TypeEnvironment; values: Value[] | null } {
  const { unit } = ctx;
  const parameters = declaration.typeParameters;
  if (!parameters) return { own: new Map(), values: null };
  if (node.typeArguments)
    return {
      own: unit.resolver.bind(
        parameters,
        node.typeArguments.map((t) => ctx.type(t)),
        node,
      ),
      values: null,
    };
  const symbols = new Map<ts.Symbol, ts.TypeParameterDeclaration>();
  for (const p of parameters) {
    const symbol = unit.source.symbol(p.name);
    if (symbol) symbols.set(symbol, p);
  }
  const bound = new Map<ts.Symbol, MachineType>();
  const infer = new Inference(ctx, new Set(symbols.keys()), bound);
  const values = node.arguments.map((a, i) => {
    const type = (declaration.parameters[i] as ts.ParameterDeclaration).type;
    const hint = type && !infer.mentions(type) ? unit.resolver.type(type, owner?.environment ?? new Map()) : null;
    return ctx.expression(a, hint);
  });
  const match = (untypedToo: boolean): void =>
    values.forEach((v, i) => {
      const type = (declaration.parameters[i] as ts.ParameterDeclaration).type;
      if (type && (untypedToo || !isUntyped(v)) && v.type.kind !== "null")
        infer.match(type, untypedToo ? defaultType(v.type) : v.type, untypedToo);
    });
  match(false);
  if (want && declaration.type && bound.size < symbols.size) infer.match(declaration.type, want, true);
  match(true);
  const own = new Map<ts.Symbol, MachineType>();
  for (const [symbol, p] of symbols) {
    const type = bound.get(symbol);
    if (!type)
      return unit.refuse(
        node,
        "MG2018",
        `${p.name.text} cannot be told from ${excerpt(node)}; write ${excerpt(node.expression)}<…>(…) instead`,
      );
    own.set(symbol, type);
  }
  return { own, values };
}

class Inference {
  readonly #ctx: Lowering;
  readonly #symbols: ReadonlySet<ts.Symbol>;
  readonly #bound: Map<ts.Symbol, MachineType>;
  constructor(ctx: Lowering, symbols: ReadonlySet<ts.Symbol>, bound: Map<ts.Symbol, MachineType>) {
    this.#ctx = ctx;
    this.#symbols = symbols;
    this.#bound = bound;
  }
  #symbolOf(node: ts.TypeReferenceNode): ts.Symbol | undefined {
    return ts.isIdentifier(node.typeName) ? this.#ctx.unit.source.symbol(node.typeName) : undefined;
  }
  mentions(node: ts.Node): boolean {
    if (ts.isTypeReferenceNode(node)) {
      const symbol = this.#symbolOf(node);
      if (symbol && this.#symbols.has(symbol)) return true;
    }
    return ts.forEachChild(node, (child) => this.mentions(child)) ?? false;
  }
  /** Binds the open type parameters of `node` so that it becomes `type`; with `onlyNew`, existing bindings are kept. */
  match(node: ts.TypeNode, type: MachineType, onlyNew: boolean): void {
    if (ts.isParenthesizedTypeNode(node)) return this.match(node.type, type, onlyNew);
    if (ts.isUnionTypeNode(node)) {
      for (const t of node.types) if (!ts.isLiteralTypeNode(t)) this.match(t, type, onlyNew);
      return;
    }
    if (ts.isFunctionTypeNode(node) && type.kind === "function") {
      node.parameters.forEach((p, i) => {
        const parameter = type.parameters[i];
        if (p.type && parameter) this.match(p.type, parameter, onlyNew);
      });
      return this.match(node.type, type.result, onlyNew);
    }
    if (!ts.isTypeReferenceNode(node)) return;
    const symbol = this.#symbolOf(node);
    if (symbol && this.#symbols.has(symbol)) return this.#bind(symbol, type, onlyNew);
    const typeArguments = node.typeArguments ?? [];
    const [first, second] = typeArguments;
    const name = ts.isIdentifier(node.typeName) ? node.typeName.text : "";
    if (name === "ptr" && first && type.kind === "pointer") this.match(first, type.target, onlyNew);
    else if (name === "NoInfer") return;
    else if (name === "arr" && first && second && type.kind === "array") {
      this.match(first, type.element, onlyNew);
      this.match(second, { kind: "count", value: type.count }, onlyNew);
    } else if (type.kind === "struct" && symbol) {
      for (let s: Struct | null = type.struct; s; s = s.base) {
        if (s.declaration !== symbol.declarations?.[0]) continue;
        const found = s;
        typeArguments.forEach((a, i) => {
          const argument = found.arguments[i];
          if (argument) this.match(a, argument, onlyNew);
        });
      }
    }
  }
  #bind(symbol: ts.Symbol, type: MachineType, onlyNew: boolean): void {
    const known = this.#bound.get(symbol);
    if (!known) {
      if (type.kind !== "void" && type.kind !== "never" && type.kind !== "error") this.#bound.set(symbol, type);
    } else if (!onlyNew && !sameType(known, type) && known.kind === "int" && type.kind === "int" && widens(known, type))
      this.#bound.set(symbol, type);
  }
}
