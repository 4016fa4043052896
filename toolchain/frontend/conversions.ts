/** Values as instructions and in storage, and the implicit conversions between machine types (`coerce`). */
import type { Instr } from "../ir/ir.ts";
import { ts } from "./adapter.ts";
import { Refused } from "./diagnostics.ts";
import type { Lowering } from "./lowering.ts";
import { excerpt } from "./report.ts";
import {
  F64,
  fits,
  type FunctionType,
  type IntType,
  irType,
  isAggregate,
  isSubstruct,
  type MachineType,
  sameType,
  showType,
  U64,
  widens,
} from "./types.ts";
import type { Place, Value } from "./values.ts";

/** The value as an instruction of the current block. */
export function materialise(ctx: Lowering, v: Value, node: ts.Node): Instr {
  if (v.instr) return v.instr;
  const b = ctx.emit(node);
  if (v.symbol) {
    const { name, addend } = v.symbol;
    // Symbol operands are RIP-relative, so an address far from the symbol (kernel: symbol − KERNEL_BASE) needs an
    // addition.
    if (addend >= -0x100_0000n && addend <= 0x100_0000n) return b.symbol(name, addend);
    return b.binary("add", b.symbol(name, 0n), b.iconst("i64", BigInt.asUintN(64, addend)));
  }
  if (v.float !== undefined) return b.fconst(v.float);
  if (v.constant !== undefined) {
    if (v.type.kind === "f64") return b.fconst(Number(v.constant));
    return b.iconst(irType(v.type), v.constant);
  }
  if (v.place) return materialise(ctx, addressOf(ctx, v.place, node), node);
  throw new Refused();
}

/** The address of a place as a value of type u64. */
export function addressOf(ctx: Lowering, place: Place, node: ts.Node): Value {
  const { base, offset } = place;
  if (base.symbol) return { type: U64, symbol: { name: base.symbol.name, addend: base.symbol.addend + offset } };
  if (base.constant !== undefined) return { type: U64, constant: BigInt.asUintN(64, base.constant + offset) };
  const address = materialise(ctx, base, node);
  return { type: U64, instr: offset === 0n ? address : ctx.emit(node).offset(address, offset) };
}

/** The contents of a place: a load for scalars, the place itself for structs and arrays. */
export function load(ctx: Lowering, place: Place, node: ts.Node): Value {
  if (isAggregate(place.type)) return { type: place.type, place };
  ctx.emit(node);
  const address = materialise(ctx, addressOf(ctx, place, node), node);
  return { type: place.type, instr: ctx.emit(node).load(irType(place.type), address) };
}
export function store(ctx: Lowering, place: Place, value: Value, node: ts.Node): void {
  const address = materialise(ctx, addressOf(ctx, place, node), node);
  const operand = materialise(ctx, value, node);
  ctx.emit(node).store(address, operand);
}

/** An exact integer constant as a value of an integer type; null if it does not fit. */
export function constantAs(v: Value, to: IntType): Value | null {
  const c = v.constant as bigint;
  if (fits(c, to)) return { type: to, constant: c };
  if (v.complement && !to.signed && c < 0n && c >= -(1n << BigInt(to.width)))
    return { type: to, constant: BigInt.asUintN(to.width, c) };
  return null;
}

/** Widens an integer of any type by its own signedness, or truncates it: the raw conversion, without rules. */
export function resize(ctx: Lowering, v: Value, to: IntType, node: ts.Node): Value {
  if (v.constant !== undefined)
    return {
      type: to,
      constant: to.signed ? BigInt.asIntN(to.width, v.constant) : BigInt.asUintN(to.width, v.constant),
    };
  const width = v.type.kind === "int" ? v.type.width : 8;
  if (v.symbol && to.width === 64) return { type: to, symbol: v.symbol };
  if (v.symbol && !ctx.builder)
    ctx.unit.refuse(
      node,
      "MG3006",
      `${excerpt(node)} is an address, which needs 8 bytes; write a u64 or a pointer instead`,
    );
  if (width === to.width) return { ...v, type: to, narrow: false };
  const operand = materialise(ctx, v, node);
  const op = to.width < width ? "trunc" : v.type.kind === "int" && v.type.signed ? "sext" : "zext";
  return { type: to, instr: ctx.emit(node).convert(op, irType(to), operand) };
}

const pointerFits = (from: MachineType, to: MachineType): boolean =>
  to.kind === "void" ||
  sameType(from, to) ||
  (from.kind === "struct" && to.kind === "struct" && isSubstruct(from.struct, to.struct));

function functionFits(from: FunctionType, to: FunctionType): boolean {
  if (from.parameters.length > to.parameters.length) return false;
  const result = to.result.kind === "void" || from.result.kind === "never" || sameType(from.result, to.result);
  return (
    result &&
    from.parameters.every((p, i) => {
      const given = to.parameters[i] as MachineType;
      return (
        sameType(p, given) || (p.kind === "pointer" && given.kind === "pointer" && pointerFits(given.target, p.target))
      );
    })
  );
}

/** The implicit conversion of `v` to a declared type, or a diagnostic at `node`. */
export function coerce(ctx: Lowering, v: Value, to: MachineType, node: ts.Node): Value {
  const unit = ctx.unit;
  const from = v.type;
  if (from.kind === "error" || to.kind === "error") throw new Refused();
  if (from.kind === "never" && !isAggregate(to)) return { type: to, instr: ctx.emit(node).undef(irType(to)) };
  if (isAggregate(from) || isAggregate(to)) {
    const isLocal = v.place?.base.instr?.op === "alloca";
    // An address in the function's own frame must not be returned.
    if (to.kind === "pointer" && isLocal && ts.isReturnStatement(node.parent)) {
      const instead = `addr(…) of a variable of the module, or fill what the caller passes as ${showType(to)},`;
      return unit.refuse(
        node,
        "MG2007",
        `${excerpt(node)} is on the stack and ends with the function; write ${instead} instead`,
      );
    }
    const hint = to.kind === "pointer" ? `addr(${excerpt(node)})` : `copy(addr(…), addr(${excerpt(node)}))`;
    return unit.refuse(
      node,
      "MG2007",
      `${showType(isAggregate(from) ? from : to)} is not a value; write ${hint} instead`,
    );
  }
  switch (to.kind) {
    case "int":
      return coerceToInt(ctx, v, to, node);
    case "f64":
      if (from.kind === "f64") return v;
      if (from.kind === "untypedFloat") return { type: F64, float: v.float as number };
      if (from.kind === "untyped") {
        const float = Number(v.constant);
        if (BigInt(float) !== v.constant)
          unit.refuse(node, "MG2004", `${v.constant} is no exact f64; write ${float} instead`);
        return { type: F64, float };
      }
      return unit.refuse(node, "MG2005", `${showType(from)} is not f64; write f64(${excerpt(node)}) instead`);
    case "bool": {
      if (from.kind === "bool") return v;
      const zero = from.kind === "pointer" ? "null" : "0";
      return unit.refuse(
        node,
        "MG2005",
        `${showType(from)} is not boolean; write ${operandText(node)} !== ${zero} instead`,
      );
    }
    case "pointer":
      if (from.kind === "null") return { type: to, constant: 0n };
      if (from.kind !== "pointer") {
        return unit.refuse(
          node,
          "MG2005",
          `${showType(from)} is not ${showType(to)}; write cast<${showType(to)}>(${excerpt(node)}) instead`,
        );
      }
      if (!pointerFits(from.target, to.target)) {
        const nominal = from.target.kind === "struct" && to.target.kind === "struct";
        unit.refuse(
          node,
          nominal ? "MG2006" : "MG2005",
          `${showType(from)} is not ${showType(to)}; write cast<${showType(to)}>(${excerpt(node)}) instead`,
        );
      }
      return { ...v, type: to };
    case "function":
      if (from.kind === "null") return { type: to, constant: 0n };
      if (from.kind !== "function")
        return unit.refuse(node, "MG2005", `${showType(from)} is not a function; write a function's name instead`);
      if (!functionFits(from, to))
        unit.refuse(node, "MG2020", `${excerpt(node)} is ${showType(from)}; write a function ${showType(to)} instead`);
      return { ...v, type: to };
    default:
      return unit.refuse(
        node,
        "MG2005",
        `${excerpt(node)} has no place as ${showType(to)}; write an expression with a value instead`,
      );
  }
}

/** The node's text as the operand of another operator. */
const operandText = (node: ts.Node): string =>
  ts.isBinaryExpression(node) || ts.isConditionalExpression(node) ? `(${excerpt(node)})` : excerpt(node);

function coerceToInt(ctx: Lowering, v: Value, to: IntType, node: ts.Node): Value {
  const unit = ctx.unit;
  const from = v.type;
  if (from.kind === "untyped") {
    const constant = constantAs(v, to);
    return (
      constant ??
      unit.refuse(
        node,
        "MG2004",
        `${v.constant} does not fit ${to.name}; write a value in its range, or ${to.name}(${excerpt(node)}), instead`,
      )
    );
  }
  if (from.kind === "untypedFloat") {
    const { parent } = node;
    const other = ts.isBinaryExpression(parent) ? (parent.left === node ? parent.right : parent.left) : null;
    const op = ts.isBinaryExpression(parent) ? parent.operatorToken.getText() : "";
    // A cast of the number alone would change the meaning of the expression.
    const cast =
      other === null || op.endsWith("=")
        ? `${to.name}(${excerpt(node)})`
        : `${to.name}(f64(${excerpt(other)}) ${op} ${v.float})`;
    return unit.refuse(node, "MG2004", `${v.float} is no integer; write a whole number, or ${cast}, instead`);
  }
  if (from.kind === "int") {
    if (sameType(from, to)) return v;
    if (!widens(from, to)) {
      return unit.refuse(
        node,
        "MG2001",
        `${from.name} does not convert to ${to.name} without loss; write ${to.name}(${excerpt(node)}) instead`,
      );
    }
    if (v.narrow && from.width < to.width) {
      const instead = `${to.name}(…) around an operand`;
      unit.refuse(
        node,
        "MG2003",
        `${excerpt(node)} wraps in ${from.name} before it becomes ${to.name}; write ${instead} instead`,
      );
    }
    return resize(ctx, v, to, node);
  }
  const cast = from.kind === "pointer" || from.kind === "function" ? "cast<u64>" : to.name;
  return unit.refuse(node, "MG2005", `${showType(from)} is not ${to.name}; write ${cast}(${excerpt(node)}) instead`);
}
