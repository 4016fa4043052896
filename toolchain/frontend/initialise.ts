/**
 * Initialisers of structs, arrays and scalars, for static data (an image of bytes and relocations) and for locals
 * (stores): new C() with the class's field initialisers, object and array literals, table(), zeroed(), uninitialized(),
 * scalar expressions.
 */
import { ts, unwrap } from "./adapter.ts";
import { addressOf, coerce, materialise, store } from "./conversions.ts";
import { Refused } from "./diagnostics.ts";
import type { Lowering } from "./lowering.ts";
import { excerpt } from "./report.ts";
import {
  type ArrayType,
  type Field,
  isAggregate,
  type MachineType,
  sameType,
  showType,
  sizeOf,
  type Struct,
  type StructType,
} from "./types.ts";
import { intrinsicName, type Unit } from "./unit.ts";
import type { Place, Value } from "./values.ts";

/** Receives every scalar, `offset` bytes into zeroed storage. */
type Leaf = (offset: number, type: MachineType, value: Value, node: ts.Node) => void;

/** The struct type of `new C()`. */
export function newType(ctx: Lowering, node: ts.NewExpression): StructType {
  const { unit } = ctx;
  const declaration = ts.isIdentifier(node.expression)
    ? unit.source.symbol(node.expression)?.declarations?.[0]
    : undefined;
  if (!declaration || !ts.isClassDeclaration(declaration)) {
    const instead = "one, or an arr<T, N> and its index,";
    return unit.refuse(
      node,
      "MG2008",
      `${excerpt(node.expression)} is no class of the program, and there is no library; write ${instead} instead`,
    );
  }
  if (node.arguments && node.arguments.length > 0) {
    const name = excerpt(node.expression);
    const instead = `const p: ${name} = { field: value, … }, or new ${name}() and assignments,`;
    unit.refuse(node, "MG1018", `there are no constructors; write ${instead} instead`);
  }
  const typeArguments = (node.typeArguments ?? []).map((t) => ctx.type(t));
  return { kind: "struct", struct: unit.resolver.struct(declaration, typeArguments, node) };
}

function blank(ctx: Lowering, node: ts.Expression): "zeroed" | "uninitialized" | null {
  const name = ts.isCallExpression(node) ? intrinsicName(ctx.unit, node) : null;
  return name === "zeroed" || name === "uninitialized" ? name : null;
}

/** The rows of a table(): an array literal, whose rows may leave out what is as in a new one. */
export function tableRows(unit: Unit, init: ts.Expression): ts.ArrayLiteralExpression | null {
  const node = unwrap(init);
  if (!ts.isCallExpression(node) || intrinsicName(unit, node) !== "table") return null;
  const rows = node.arguments[0] && unwrap(node.arguments[0]);
  if (rows && ts.isArrayLiteralExpression(rows)) return rows;
  return unit.refuse(node, "MG2005", `${excerpt(node)} is no table; write table([{ … }, …]) instead`);
}

function walk(
  ctx: Lowering,
  type: MachineType,
  init: ts.Expression,
  offset: number,
  leaf: Leaf,
  inTable = false,
): void {
  const node = unwrap(init);
  const { unit } = ctx;
  const rows = tableRows(unit, node);
  if (rows && type.kind === "array") {
    checkCount(unit, rows, type);
    return arrayLiteral(ctx, type, rows, offset, leaf, true);
  }
  if (blank(ctx, node)) {
    const argument = (node as ts.CallExpression).typeArguments?.[0];
    if (argument && !sameType(ctx.type(argument), type))
      unit.refuse(
        node,
        "MG2005",
        `${excerpt(node)} is not ${showType(type)}; write zeroed<${showType(type)}>() instead`,
      );
    return;
  }
  if (!isAggregate(type)) return leaf(offset, type, coerce(ctx, ctx.expression(node, type), type, node), node);
  if (type.kind === "struct" && ts.isNewExpression(node)) {
    const made = newType(ctx, node);
    if (!sameType(made, type))
      unit.refuse(node, "MG2006", `${showType(made)} is not ${showType(type)}; write new ${showType(type)}() instead`);
    return defaults(ctx, type.struct, offset, leaf, new Set(), node);
  }
  if (type.kind === "struct" && ts.isObjectLiteralExpression(node))
    return objectLiteral(ctx, type, node, offset, leaf, inTable);
  if (type.kind === "array" && ts.isArrayLiteralExpression(node)) {
    if (!inTable || node.elements.length > type.count) checkCount(unit, node, type);
    return arrayLiteral(ctx, type, node, offset, leaf, inTable);
  }
  const literal = type.kind === "array" ? "[…] or zeroed()" : `new ${showType(type)}() or { … }`;
  if (ts.isObjectLiteralExpression(node) || ts.isArrayLiteralExpression(node) || ts.isNewExpression(node)) {
    unit.refuse(node, "MG2005", `${excerpt(node)} does not initialise ${showType(type)}; write ${literal} instead`);
  }
  unit.refuse(
    node,
    "MG2007",
    `${showType(type)} is not copied by =; write ${literal}, copy(), or addr(${excerpt(node)}) for a pointer, instead`,
  );
}
/** Field initialisers of a class, except for fields that the literal gives. */
function defaults(
  ctx: Lowering,
  struct: Struct,
  offset: number,
  leaf: Leaf,
  given: ReadonlySet<string>,
  node: ts.Node,
): void {
  ctx.unit.resolver.complete(struct, node);
  for (const field of struct.fields.values()) {
    if (given.has(field.name) || !field.declaration.initializer) continue;
    const own = ctx.constant(field.owner.environment, field.owner);
    walk(own, field.type, field.declaration.initializer, offset + field.offset, leaf);
  }
}
function objectLiteral(
  ctx: Lowering,
  type: StructType,
  node: ts.ObjectLiteralExpression,
  offset: number,
  leaf: Leaf,
  inTable: boolean,
): void {
  const { unit } = ctx;
  const struct = unit.resolver.complete(type.struct, node);
  const given = new Map<string, [Field, ts.Expression | ts.ShorthandPropertyAssignment]>();
  for (const property of node.properties) {
    if (ts.isSpreadAssignment(property)) unit.refuse(property, "MG1006", "spread; write the fields one by one instead");
    const name = property.name && ts.isIdentifier(property.name) ? property.name.text : excerpt(property);
    const field = struct.fields.get(name);
    if (!field)
      return unit.refuse(
        property,
        "MG3008",
        `${struct.name} has no field ${name}; write one of ${[...struct.fields.keys()].slice(0, 6).join(", ")} instead`,
      );
    if (ts.isPropertyAssignment(property)) given.set(name, [field, property.initializer]);
    else if (ts.isShorthandPropertyAssignment(property)) given.set(name, [field, property]);
    else
      unit.refuse(
        property,
        "MG1018",
        `${name} is a method or accessor in a literal; write a function's name as its value instead`,
      );
  }
  defaults(ctx, struct, offset, leaf, new Set(given.keys()), node);
  for (const [field, init] of given.values()) {
    // The identifier of { x } is looked up by name, as an expression.
    const value = ts.isShorthandPropertyAssignment(init) ? shorthand(ctx, init) : init;
    walk(ctx, field.type, value, offset + field.offset, leaf, inTable);
  }
}
function shorthand(ctx: Lowering, node: ts.ShorthandPropertyAssignment): never {
  return ctx.unit.refuse(
    node,
    "MG1014",
    `{ ${node.name.text} } is short for itself; write ${node.name.text}: ${node.name.text} instead`,
  );
}
function checkCount(unit: Unit, node: ts.ArrayLiteralExpression, type: ArrayType): void {
  if (node.elements.length === type.count) return;
  unit.refuse(
    node,
    "MG3007",
    `${node.elements.length} elements for ${showType(type)}; write ${type.count} elements or zeroed() instead`,
  );
}
function arrayLiteral(
  ctx: Lowering,
  type: ArrayType,
  node: ts.ArrayLiteralExpression,
  offset: number,
  leaf: Leaf,
  inTable: boolean,
): void {
  const { unit } = ctx;
  const size = unit.resolver.sizeOf(type.element, node);
  node.elements.forEach((element, i) => {
    if (ts.isSpreadElement(element) || ts.isOmittedExpression(element))
      unit.refuse(element.parent, "MG1006", "spread or hole; write the elements one by one instead");
    walk(ctx, type.element, element, offset + i * size, leaf, inTable);
  });
}

// ---- static data
export interface StaticImage {
  readonly bytes: Uint8Array;
  readonly relocations: { offset: number; symbol: string; addend: bigint }[];
}
/** The bytes of a static variable. Errors in several elements are reported together. */
export function staticImage(ctx: Lowering, type: MachineType, init: ts.Expression): StaticImage {
  const { unit } = ctx;
  const size = unit.resolver.sizeOf(type, init);
  const image: StaticImage = { bytes: new Uint8Array(size), relocations: [] };
  walk(ctx.constant(), type, init, 0, (offset, leafType, value, node) =>
    writeLeaf(unit, image, offset, leafType, value, node),
  );
  return image;
}
export function writeLeaf(
  unit: Unit,
  image: StaticImage,
  offset: number,
  type: MachineType,
  value: Value,
  node: ts.Node,
): void {
  const view = new DataView(image.bytes.buffer);
  if (value.symbol) {
    if (sizeOf(type) !== 8)
      unit.refuse(
        node,
        "MG3006",
        `${excerpt(node)} is an address, which needs 8 bytes; write a u64 or a pointer instead`,
      );
    image.relocations.push({ offset, symbol: value.symbol.name, addend: value.symbol.addend });
  } else if (type.kind === "f64") view.setFloat64(offset, value.float ?? Number(value.constant), true);
  else if (value.constant !== undefined) {
    let rest = BigInt.asUintN(64, value.constant);
    for (let i = 0; i < sizeOf(type); i++, rest >>= 8n) image.bytes[offset + i] = Number(rest & 255n);
  } else unit.refuse(node, "MG3001", `${excerpt(node)} is not known at compile time; write a constant instead`);
}

// ---- locals
/** Initialises the storage of a local variable. */
export function initialise(ctx: Lowering, place: Place, init: ts.Expression): void {
  const { unit } = ctx;
  const node = unwrap(init);
  if (!isAggregate(place.type) && !blank(ctx, node)) {
    return store(ctx, place, coerce(ctx, ctx.expression(node, place.type), place.type, node), node);
  }
  const size = unit.resolver.sizeOf(place.type, node);
  const align = unit.resolver.alignOf(place.type, node);
  const kind = blank(ctx, node);
  const isLiteral =
    ts.isNewExpression(node) ||
    ts.isObjectLiteralExpression(node) ||
    ts.isArrayLiteralExpression(node) ||
    tableRows(unit, node) !== null;
  if (size > 0 && kind !== "uninitialized" && (kind === "zeroed" || isLiteral)) {
    const address = materialise(ctx, addressOf(ctx, place, node), node);
    ctx.emit(node).zero(address, size, align);
  }
  walk(ctx, place.type, node, 0, (offset, type, value, at) => {
    if (value.constant === 0n && type.kind !== "f64") return;
    store(ctx, { type, base: place.base, offset: place.offset + BigInt(offset) }, value, at);
  });
}
/** `place = …` for a struct or array: only forms that do not read the old contents. */
export function reinitialise(ctx: Lowering, place: Place, init: ts.Expression): void {
  const node = unwrap(init);
  if (ts.isNewExpression(node) || blank(ctx, node)) return initialise(ctx, place, node);
  const source =
    ts.isObjectLiteralExpression(node) || ts.isArrayLiteralExpression(node)
      ? "one assignment a field"
      : `copy(addr(…), addr(${excerpt(node)}))`;
  ctx.unit.refuse(node, "MG2007", `${showType(place.type)} is not copied by =; write ${source} instead`);
}

/** Type of a local without annotation; null if the initialiser is an ordinary value. */
export function initialiserType(ctx: Lowering, init: ts.Expression): MachineType | null {
  const node = unwrap(init);
  if (ts.isNewExpression(node)) return newType(ctx, node);
  const kind = blank(ctx, node);
  if (!kind) return null;
  const argument = (node as ts.CallExpression).typeArguments?.[0];
  if (!argument) {
    ctx.unit.report(node, "MG3009", `${kind}() has no type here; write ${kind}<T>() instead`);
    throw new Refused();
  }
  return ctx.type(argument);
}
