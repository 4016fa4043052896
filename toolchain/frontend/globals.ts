/** Module variables: their types, the values of constants, and static data. */
import type { Data } from "../ir/ir.ts";
import { ts } from "./adapter.ts";
import { variableTags } from "./attributes.ts";
import { coerce } from "./conversions.ts";
import { Refused } from "./diagnostics.ts";
import { newType, staticImage } from "./initialise.ts";
import type { Lowering } from "./lowering.ts";
import { excerpt } from "./report.ts";
import { ERROR, isScalar, type MachineType, showType } from "./types.ts";
import { intrinsicName, type Unit, type VariableEntity } from "./unit.ts";
import { defaultType, type Value } from "./values.ts";

/** Entities whose initialiser is being evaluated, to detect circles. */
const busy = new WeakSet<VariableEntity>();

function guarded<T>(unit: Unit, entity: VariableEntity, node: ts.Node, evaluate: () => T): T {
  if (busy.has(entity))
    return unit.refuse(node, "MG3002", `${excerpt(node)} is needed for its own value; write a constant instead`);
  busy.add(entity);
  try {
    return evaluate();
  } catch (e) {
    if (e instanceof Refused) entity.type = ERROR;
    throw e;
  } finally {
    busy.delete(entity);
  }
}

/** Type of the variable; `untyped` for a const without annotation whose initialiser is a bare constant. */
export function globalType(ctx: Lowering, entity: VariableEntity, node: ts.Node): MachineType {
  const { unit } = ctx;
  if (entity.type) {
    if (entity.type === ERROR) throw new Refused();
    return entity.type;
  }
  const { declaration } = entity;
  const type = guarded(unit, entity, node, () => {
    if (!ts.isIdentifier(declaration.name))
      return unit.refuse(declaration.name, "MG1006", "destructuring; write one variable a name instead");
    if (declaration.type) {
      const declared = unit.resolver.type(declaration.type, new Map());
      if (!isScalar(declared) || entity.external) unit.resolver.sizeOf(declared, declaration.type);
      return declared;
    }
    const init = declaration.initializer;
    if (!init) {
      const name = excerpt(declaration.name);
      return unit.refuse(
        declaration,
        "MG3009",
        `${name} has no type and no value; write ${name}: u64 = 0, say, instead`,
      );
    }
    const own = ctx.constant();
    if (ts.isNewExpression(init)) return newType(own, init);
    const intrinsic = ts.isCallExpression(init) ? intrinsicName(unit, init) : null;
    if ((intrinsic === "zeroed" || intrinsic === "uninitialized") && ts.isCallExpression(init)) {
      const argument = init.typeArguments?.[0];
      if (!argument)
        return unit.refuse(
          declaration,
          "MG3009",
          `${excerpt(declaration.name)} has no type; write ${intrinsic}<T>() instead`,
        );
      return own.type(argument);
    }
    if (ts.isArrayLiteralExpression(init) || ts.isObjectLiteralExpression(init)) {
      return unit.refuse(
        declaration,
        "MG3009",
        `${excerpt(declaration.name)} has no type; write ${excerpt(declaration.name)}: arr<T, N> or a class instead`,
      );
    }
    const value = own.expression(init);
    if (value.type.kind === "null")
      return unit.refuse(
        declaration,
        "MG3009",
        `${excerpt(declaration.name)} has no type; write ${excerpt(declaration.name)}: ptr<T> | null instead`,
      );
    return entity.isConst ? value.type : defaultType(value.type);
  });
  entity.type = type;
  return type;
}

/** Value of a const scalar; null for variables. Addresses are evaluated at every use, which requests their target. */
export function globalConstant(ctx: Lowering, entity: VariableEntity, node: ts.Node): Value | null {
  const { unit } = ctx;
  if (!entity.isConst || entity.external) return null;
  if (entity.constant) return entity.constant;
  const type = globalType(ctx, entity, node);
  const init = entity.declaration.initializer;
  if (!init || !(isScalar(type) || type.kind === "untyped" || type.kind === "untypedFloat")) return null;
  if (ts.isCallExpression(init) && intrinsicName(unit, init) === "zeroed") return null;
  const value = guarded(unit, entity, node, () => {
    const own = ctx.constant();
    const found = own.expression(init, type);
    return isScalar(type) ? coerce(own, found, type, init) : found;
  });
  if (!value.symbol) entity.constant = { ...value, narrow: false };
  return value;
}

/** The variable's static data. */
export function lowerVariable(ctx: Lowering, entity: VariableEntity): Data {
  const { unit } = ctx;
  const { declaration } = entity;
  const type = defaultType(globalType(ctx, entity, declaration));
  const size = unit.resolver.sizeOf(type, declaration);
  const tags = ts.isVariableStatement(declaration.parent.parent) ? variableTags(unit, declaration.parent.parent) : null;
  if (!declaration.initializer && !isScalar(type)) {
    unit.refuse(
      declaration,
      "MG3009",
      `${excerpt(declaration.name)} has no value; write = zeroed() or new ${showType(type)}() instead`,
    );
  }
  const image = declaration.initializer
    ? staticImage(ctx, type, declaration.initializer)
    : { bytes: new Uint8Array(size), relocations: [] };
  const zero = image.relocations.length === 0 && image.bytes.every((b) => b === 0);
  const readonly = entity.isConst && isScalar(type);
  const types = unit.checkOnly ? null : unit.debugTypes;
  return {
    name: entity.linkName,
    sourceName: excerpt(declaration.name),
    section: tags?.section ?? (readonly ? ".rodata" : zero ? ".bss" : ".data"),
    align: Math.max(unit.resolver.alignOf(type, declaration), tags?.align ?? 1),
    size,
    bytes: zero && !readonly ? null : image.bytes,
    relocations: image.relocations,
    readonly,
    keep: tags?.keep ?? false,
    loc: unit.locOf(declaration),
    ...(types ? { type: declaration.type ? types.ofNode(declaration.type, new Map()) : types.ofType(type) } : {}),
  };
}
