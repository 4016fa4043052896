/** The prelude's functions: casts, sizes, memory, atomics, bits, control. One row of the table per function. */
import type { AtomicUpdate } from "../ir/builder.ts";
import { evaluate } from "../ir/evaluate.ts";
import { ts, unwrap } from "./adapter.ts";
import { attrCall } from "./attributes.ts";
import { addressOf, coerce, load, materialise, resize, store } from "./conversions.ts";
import type { Lowering } from "./lowering.ts";
import { placeOf } from "./places.ts";
import { excerpt } from "./report.ts";
import {
  F64,
  INTEGERS,
  type IntType,
  irType,
  isAggregate,
  isScalar,
  type MachineType,
  NEVER,
  pointerTo,
  showType,
  U32,
  U64,
  U8,
  VOID,
  wrap,
} from "./types.ts";
import { defaultType, isUntyped, type Place, type Value, voidValue } from "./values.ts";

interface Call {
  readonly ctx: Lowering;
  readonly node: ts.CallExpression;
  readonly args: readonly ts.Expression[];
  readonly types: readonly MachineType[];
  readonly want: MachineType | null;
}
type Handler = (c: Call) => Value;

/** Number of arguments, most type arguments, implementation. */
const TABLE: Readonly<Record<string, [number, number, Handler]>> = {
  u8: [1, 0, (c) => castInt(c, INTEGERS.u8 as IntType)],
  u16: [1, 0, (c) => castInt(c, INTEGERS.u16 as IntType)],
  u32: [1, 0, (c) => castInt(c, INTEGERS.u32 as IntType)],
  u64: [1, 0, (c) => castInt(c, INTEGERS.u64 as IntType)],
  i8: [1, 0, (c) => castInt(c, INTEGERS.i8 as IntType)],
  i16: [1, 0, (c) => castInt(c, INTEGERS.i16 as IntType)],
  i32: [1, 0, (c) => castInt(c, INTEGERS.i32 as IntType)],
  i64: [1, 0, (c) => castInt(c, INTEGERS.i64 as IntType)],
  f64: [1, 0, castFloat],
  addr: [1, 1, address],
  cast: [1, 1, reinterpret],
  sizeof: [0, 1, (c) => ({ type: U64, constant: BigInt(c.ctx.unit.resolver.sizeOf(typeArgument(c), c.node)) })],
  alignof: [0, 1, (c) => ({ type: U64, constant: BigInt(c.ctx.unit.resolver.alignOf(typeArgument(c), c.node)) })],
  offsetof: [1, 1, offset],
  zeroed: [0, 1, blankScalar],
  uninitialized: [0, 1, blankScalar],
  cstr: [1, 0, pooled],
  volatileRead: [1, 1, (c) => accessed(c, (t, b, p) => b.load(irType(t), p, true))],
  volatileWrite: [2, 1, (c) => updated(c, VOID, (_t, b, p, v) => b.store(p, v, true))],
  copy: [2, 1, copy],
  zero: [1, 1, zero],
  atomicLoad: [1, 1, (c) => accessed(c, (t, b, p) => b.atomicLoad(irType(t), p))],
  atomicStore: [2, 1, (c) => updated(c, VOID, (_t, b, p, v) => b.atomicStore(p, v))],
  atomicExchange: [2, 1, (c) => atomic(c, "axchg")],
  atomicAdd: [2, 1, (c) => atomic(c, "aadd")],
  atomicAnd: [2, 1, (c) => atomic(c, "aand")],
  atomicOr: [2, 1, (c) => atomic(c, "aor")],
  atomicXor: [2, 1, (c) => atomic(c, "axor")],
  atomicCompareExchange: [3, 1, compareExchange],
  fence: [0, 0, (c) => fenced(c, "fence")],
  compilerFence: [0, 0, (c) => fenced(c, "barrier")],
  countLeadingZeros: [1, 1, (c) => countZeros(c, "clz")],
  countTrailingZeros: [1, 1, (c) => countZeros(c, "ctz")],
  byteSwap: [1, 1, byteSwap],
  rotateLeft: [2, 1, rotate],
  mulHigh: [2, 0, mulHigh],
  bitsOfF64: [1, 0, (c) => ({ type: U64, instr: convert(c, "fbits", F64, "i64") })],
  f64FromBits: [1, 0, (c) => ({ type: F64, instr: convert(c, "bitsf", U64, "f64") })],
  unreachable: [0, 0, stop],
};

export function intrinsic(ctx: Lowering, node: ts.CallExpression, name: string, want: MachineType | null): Value {
  const { unit } = ctx;
  if (name === "attr") {
    if (attrCall(unit, node.parent))
      return unit.refuse(
        node,
        "MG4001",
        "attr() stands behind other statements; write it as the function's first statement instead",
      );
    return unit.refuse(node, "MG4001", "attr() is no expression; write it as the function's first statement instead");
  }
  const row = Object.hasOwn(TABLE, name) ? TABLE[name] : undefined;
  if (!row)
    return unit.refuse(node, "MG1023", `${excerpt(node)} does not stand here; write it as the prelude shows instead`);
  const [count, typeCount, handler] = row;
  for (const a of node.arguments)
    if (ts.isSpreadElement(a)) unit.refuse(a, "MG1006", "spread; write the arguments one by one instead");
  if (node.arguments.length !== count)
    unit.refuse(node, "MG2022", `${node.arguments.length} arguments for ${count}; write ${count} instead`);
  const types = (node.typeArguments ?? []).slice(0, typeCount).map((t) => ctx.type(t));
  return handler({ ctx, node, args: node.arguments, types, want });
}

const argument = (c: Call, i: number): ts.Expression => c.args[i] as ts.Expression;
function typeArgument(c: Call): MachineType {
  return (
    c.types[0] ??
    c.ctx.unit.refuse(
      c.node,
      "MG2018",
      `${excerpt(c.node.expression)} needs a type; write ${excerpt(c.node.expression)}<T>(…) instead`,
    )
  );
}

// ---- casts
function castInt(c: Call, to: IntType): Value {
  const { ctx, node } = c;
  const v = ctx.expression(argument(c, 0), to);
  switch (v.type.kind) {
    case "untyped":
      return { type: to, constant: wrap(v.constant as bigint, to) };
    case "untypedFloat":
      return { type: to, constant: floatToInt(v.float as number, to) };
    case "int":
      return resize(ctx, v, to, node);
    case "bool":
      return resize(ctx, v, to, node);
    case "f64": {
      if (v.float !== undefined) return { type: to, constant: floatToInt(v.float, to) };
      const operand = materialise(ctx, v, node);
      return { type: to, instr: ctx.emit(node).convert(to.signed ? "ftosi" : "ftoui", irType(to), operand) };
    }
    case "pointer":
    case "function": {
      const address = `cast<u64>(${excerpt(argument(c, 0))})`;
      const instead = to.width === 64 ? address : `${to.name}(${address})`;
      return ctx.unit.refuse(
        node,
        "MG2005",
        `${excerpt(argument(c, 0))} is ${showType(v.type)}; write ${instead} instead`,
      );
    }
    default:
      return coerce(ctx, v, to, argument(c, 0));
  }
}
/** Like the processor at run time. */
const floatToInt = (x: number, to: IntType): bigint =>
  wrap(evaluate(to.signed ? "ftosi" : "ftoui", irType(to), "f64", [x]) as bigint, to);
function castFloat(c: Call): Value {
  const { ctx, node } = c;
  const v = ctx.expression(argument(c, 0), F64);
  if (v.type.kind !== "int" && v.type.kind !== "bool") {
    if (v.type.kind === "untyped") return { type: F64, float: Number(v.constant) };
    return coerce(ctx, v, F64, argument(c, 0));
  }
  if (v.constant !== undefined) return { type: F64, float: Number(v.constant) };
  const operand = materialise(ctx, v, node);
  return {
    type: F64,
    instr: ctx.emit(node).convert(v.type.kind === "int" && v.type.signed ? "sitof" : "uitof", "f64", operand),
  };
}
function reinterpret(c: Call): Value {
  const { ctx, node } = c;
  const to = c.types[0] ?? c.want ?? typeArgument(c);
  const v = ctx.expression(argument(c, 0), to.kind === "int" ? to : U64);
  const wide = (t: MachineType): boolean =>
    t.kind === "pointer" || t.kind === "function" || (t.kind === "int" && t.width === 64);
  if (v.type.kind === "error" || isAggregate(v.type)) coerce(ctx, v, to.kind === "pointer" ? to : U64, argument(c, 0));
  if (!wide(to))
    return ctx.unit.refuse(
      node,
      "MG2025",
      `cast makes pointers and 64-bit integers; write ${showType(to)}(…) around cast<u64>(…) instead`,
    );
  if (v.type.kind === "null") return { type: to, constant: 0n };
  if (v.type.kind === "untyped") {
    const constant = v.constant as bigint;
    if (constant >= 2n ** 64n || constant < -(2n ** 63n))
      return ctx.unit.refuse(node, "MG2004", `${constant} does not fit 64 bits; write a smaller address instead`);
    return { type: to, constant: to.kind === "int" ? wrap(constant, to) : BigInt.asUintN(64, constant) };
  }
  if (!wide(v.type))
    return ctx.unit.refuse(
      node,
      "MG2025",
      `${excerpt(argument(c, 0))} is ${showType(v.type)}; write cast<…>(u64(${excerpt(argument(c, 0))})) instead`,
    );
  if (v.constant !== undefined)
    return { type: to, constant: to.kind === "int" ? wrap(v.constant, to) : BigInt.asUintN(64, v.constant) };
  return { ...v, type: to };
}

// ---- places
function address(c: Call): Value {
  const { ctx, node } = c;
  const target = unwrap(argument(c, 0));
  const functionValue = addressOfFunction(c, target);
  if (functionValue) return functionValue;
  const place = placeOf(ctx, target);
  if (!place) {
    if (ts.isIdentifier(target)) ctx.expression(target);
    return ctx.unit.refuse(
      target,
      "MG2015",
      `${excerpt(target)} has no address; write a variable, field or element instead`,
    );
  }
  return { ...addressOf(ctx, place, node), type: pointerTo(place.type) };
}
function addressOfFunction(c: Call, target: ts.Expression): Value | null {
  if (!ts.isIdentifier(target) && !ts.isPropertyAccessExpression(target)) return null;
  const name = ts.isIdentifier(target) ? target : target.name;
  const symbol = c.ctx.unit.source.symbol(name);
  const declaration = symbol?.valueDeclaration;
  if (!symbol || c.ctx.locals.has(symbol) || !declaration || !ts.isFunctionDeclaration(declaration)) return null;
  const value = c.ctx.expression(target);
  return { ...value, type: pointerTo(value.type) };
}
function offset(c: Call): Value {
  const { unit } = c.ctx;
  const type = typeArgument(c);
  const name = unwrap(argument(c, 0));
  if (type.kind !== "struct" || !ts.isStringLiteralLike(name))
    return unit.refuse(c.node, "MG2016", `${excerpt(c.node)} names no field; write offsetof<Struct>("field") instead`);
  const field = unit.resolver.complete(type.struct, c.node).fields.get(name.text);
  if (!field) {
    const some = [...type.struct.fields.keys()].slice(0, 6).join(", ");
    return unit.refuse(name, "MG2016", `${type.struct.name} has no field ${name.text}; write one of ${some} instead`);
  }
  return { type: U64, constant: BigInt(field.offset) };
}
/** zeroed() and uninitialized() of a scalar; structs and arrays are initialised in place (initialise.ts). */
function blankScalar(c: Call): Value {
  const type = c.types[0] ?? c.want;
  if (!type || !isScalar(type))
    return c.ctx.unit.refuse(
      c.node,
      "MG1014",
      `${excerpt(c.node)} has no place in memory; write a variable that it initialises instead`,
    );
  return type.kind === "f64" ? { type, float: 0 } : { type, constant: 0n };
}
function pooled(c: Call): Value {
  const { unit } = c.ctx;
  const text = unwrap(argument(c, 0));
  if (!ts.isStringLiteralLike(text))
    return unit.refuse(text, "MG1007", `${excerpt(text)} is no literal; write cstr("…") instead`);
  if (text.text.includes("\0"))
    unit.refuse(text, "MG1007", "the string holds a NUL, which would end it; write two strings instead");
  return { type: pointerTo(U8), symbol: { name: unit.string(text.text), addend: 0n } };
}

// ---- memory
function pointee(c: Call, i: number): { place: Place; target: MachineType } {
  const { ctx } = c;
  const v = ctx.expression(argument(c, i));
  if (v.type.kind !== "pointer") {
    if (v.type.kind === "error") coerce(ctx, v, U64, argument(c, i));
    return ctx.unit.refuse(
      argument(c, i),
      "MG2005",
      `${excerpt(argument(c, i))} is ${showType(v.type)}, no pointer; write addr(${excerpt(argument(c, i))}) instead`,
    );
  }
  const target = c.types[0] ?? v.type.target;
  coerce(ctx, v, pointerTo(target), argument(c, i));
  return { place: { type: target, base: v, offset: 0n }, target };
}
function scalarPointee(c: Call): { pointer: NonNullable<Value["instr"]>; target: MachineType } {
  const { place, target } = pointee(c, 0);
  if (!isScalar(target)) {
    c.ctx.unit.refuse(
      argument(c, 0),
      "MG2026",
      `${showType(target)} is not read or written by one access; write the address of a scalar field instead`,
    );
  }
  c.ctx.emit(c.node);
  return { pointer: materialise(c.ctx, addressOf(c.ctx, place, c.node), c.node), target };
}
type BuilderOf = ReturnType<Lowering["emit"]>;
type InstrOf = NonNullable<Value["instr"]>;
function accessed(c: Call, make: (t: MachineType, b: BuilderOf, p: InstrOf) => InstrOf): Value {
  const { pointer, target } = scalarPointee(c);
  return { type: target, instr: make(target, c.ctx.emit(c.node), pointer) };
}
function updated(
  c: Call,
  result: MachineType | null,
  make: (t: MachineType, b: BuilderOf, p: InstrOf, v: InstrOf) => InstrOf,
): Value {
  const { pointer, target } = scalarPointee(c);
  const value = materialise(
    c.ctx,
    coerce(c.ctx, c.ctx.expression(argument(c, 1), target), target, argument(c, 1)),
    argument(c, 1),
  );
  const instr = make(target, c.ctx.emit(c.node), pointer, value);
  return result ? voidValue : { type: target, instr };
}
function fenced(c: Call, op: "fence" | "barrier"): Value {
  c.ctx.emit(c.node).fence(op);
  return voidValue;
}
function stop(c: Call): Value {
  c.ctx.emit(c.node).unreachable();
  return { type: NEVER };
}
const isFloat = (c: Call, t: MachineType): void => {
  if (t.kind === "f64")
    c.ctx.unit.refuse(c.node, "MG2026", "no atomic operation on f64; write bitsOfF64 and u64 instead");
};
function atomic(c: Call, op: AtomicUpdate): Value {
  return updated(c, null, (t, b, p, v) => {
    isFloat(c, t);
    return b.atomicUpdate(op, p, v);
  });
}
function compareExchange(c: Call): Value {
  const { pointer, target } = scalarPointee(c);
  isFloat(c, target);
  const [expected, desired] = [1, 2].map((i) =>
    materialise(c.ctx, coerce(c.ctx, c.ctx.expression(argument(c, i), target), target, argument(c, i)), argument(c, i)),
  ) as [InstrOf, InstrOf];
  return { type: target, instr: c.ctx.emit(c.node).compareExchange(pointer, expected, desired) };
}
function copy(c: Call): Value {
  const { ctx, node } = c;
  const to = pointee(c, 0);
  const from = pointee(c, 1);
  coerce(ctx, { type: pointerTo(from.target), constant: 0n }, pointerTo(to.target), argument(c, 1));
  if (isScalar(to.target)) {
    store(ctx, to.place, load(ctx, { ...from.place, type: to.target }, node), node);
    return voidValue;
  }
  const size = ctx.unit.resolver.sizeOf(to.target, node);
  const align = ctx.unit.resolver.alignOf(to.target, node);
  const target = materialise(ctx, addressOf(ctx, to.place, node), node);
  const source = materialise(ctx, addressOf(ctx, from.place, node), node);
  if (size > 0) ctx.emit(node).copy(target, source, size, align);
  return voidValue;
}
function zero(c: Call): Value {
  const { ctx, node } = c;
  const { place, target } = pointee(c, 0);
  const size = ctx.unit.resolver.sizeOf(target, node);
  const align = ctx.unit.resolver.alignOf(target, node);
  const to = materialise(ctx, addressOf(ctx, place, node), node);
  if (size > 0) ctx.emit(node).zero(to, size, align);
  return voidValue;
}

// ---- bits
function integer(c: Call, i: number): { value: Value; type: IntType } {
  const { ctx } = c;
  const raw = ctx.expression(argument(c, i), c.types[0] ?? null);
  const value = c.types[0]
    ? coerce(ctx, raw, c.types[0], argument(c, i))
    : isUntyped(raw)
      ? coerce(ctx, raw, defaultType(raw.type), argument(c, i))
      : raw;
  if (value.type.kind !== "int") {
    coerce(ctx, value, U64, argument(c, i));
    return ctx.unit.refuse(
      argument(c, i),
      "MG2005",
      `${excerpt(argument(c, i))} is ${showType(value.type)}; write an integer instead`,
    );
  }
  return { value, type: value.type };
}
function countZeros(c: Call, op: "clz" | "ctz"): Value {
  const { value, type } = integer(c, 0);
  const operand = materialise(c.ctx, value, c.node);
  const counted = c.ctx.emit(c.node).unary(op, operand);
  return resize(c.ctx, { type: INTEGERS[`u${type.width}`] as IntType, instr: counted }, U32, c.node);
}
function byteSwap(c: Call): Value {
  const { value, type } = integer(c, 0);
  const operand = materialise(c.ctx, value, c.node);
  return { type, instr: type.width === 8 ? operand : c.ctx.emit(c.node).unary("bswap", operand) };
}
function rotate(c: Call): Value {
  const { value, type } = integer(c, 0);
  const count = c.ctx.expression(argument(c, 1));
  if (count.constant !== undefined && (count.constant < 0n || count.constant >= BigInt(type.width))) {
    c.ctx.unit.refuse(
      argument(c, 1),
      "MG2013",
      `count ${count.constant} is out of range for ${type.name}; write 0 … ${type.width - 1} instead`,
    );
  }
  if (count.type.kind !== "int" && count.type.kind !== "untyped") coerce(c.ctx, count, U32, argument(c, 1));
  const operand = materialise(c.ctx, value, c.node);
  const amount = materialise(c.ctx, resize(c.ctx, count, type, argument(c, 1)), c.node);
  return { type, instr: c.ctx.emit(c.node).binary("rotl", operand, amount) };
}
function mulHigh(c: Call): Value {
  const [a, b] = [0, 1].map((i) =>
    materialise(c.ctx, coerce(c.ctx, c.ctx.expression(argument(c, i), U64), U64, argument(c, i)), c.node),
  ) as [InstrOf, InstrOf];
  return { type: U64, instr: c.ctx.emit(c.node).binary("mulhu", a, b) };
}
function convert(c: Call, op: "fbits" | "bitsf", from: MachineType, to: "i64" | "f64"): InstrOf {
  const operand = materialise(
    c.ctx,
    coerce(c.ctx, c.ctx.expression(argument(c, 0), from), from, argument(c, 0)),
    c.node,
  );
  return c.ctx.emit(c.node).convert(op, to, operand);
}
