/** Inline assembly: the tagged template asm`…` with its operands and options, as an AsmBlock of the IR. */
import type { AsmBlock, AsmOperand, Instr } from "../ir/ir.ts";
import { ts, unwrap } from "./adapter.ts";
import { coerce, materialise } from "./conversions.ts";
import type { Lowering } from "./lowering.ts";
import { placeOf } from "./places.ts";
import { excerpt } from "./report.ts";
import { irType, isScalar, type MachineType, U64, VOID } from "./types.ts";
import { defaultType, isUntyped, type Value, voidValue } from "./values.ts";

const REGISTERS = new Set([
  "rax",
  "rbx",
  "rcx",
  "rdx",
  "rsi",
  "rdi",
  "rbp",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
]);

interface Options {
  /** Fixed inputs in source order. */
  inputs: { register: string; value: Instr }[];
  out: string | null;
  clobbers: string[];
  clobbersMemory: boolean;
}

/** Source positions of the pieces of each block's template, for errors that the assembler finds. */
interface Origin {
  readonly template: ts.TemplateLiteral;
  /** Characters that the compiler inserted before each piece: addends of symbols. */
  readonly inserted: readonly number[];
}
const origins = new WeakMap<AsmBlock, Origin>();
/** Source position of a character of a block's piece. */
export function asmPosition(
  block: AsmBlock,
  piece: number,
  offset: number,
): { file: ts.SourceFile; position: number } | null {
  const origin = origins.get(block);
  if (!origin) return null;
  const { template } = origin;
  const part = ts.isNoSubstitutionTemplateLiteral(template)
    ? template
    : piece === 0
      ? template.head
      : template.templateSpans[piece - 1]?.literal;
  if (!part) return null;
  return {
    file: template.getSourceFile(),
    position: part.getStart() + 1 + Math.max(0, offset - (origin.inserted[piece] ?? 0)),
  };
}

/** Whether the tag of a template is the prelude's asm, with or without options. */
export function isAsm(ctx: Lowering, node: ts.TaggedTemplateExpression): boolean {
  const tag = ts.isCallExpression(node.tag) ? node.tag.expression : node.tag;
  if (!ts.isIdentifier(tag)) return false;
  const declaration = ctx.unit.source.symbol(tag)?.valueDeclaration;
  return declaration !== undefined && ctx.unit.source.isPrelude(declaration) && tag.text === "asm";
}

export function asmExpression(ctx: Lowering, node: ts.TaggedTemplateExpression): Value {
  const { unit } = ctx;
  if (!isAsm(ctx, node)) {
    const text = excerpt(node);
    return unit.refuse(node, "MG1007", `${text} is a string template; write asm\`…\` or cstr("…") instead`);
  }
  const naked = ctx.entity?.attributes.naked ?? false;
  const optionsCall = ts.isCallExpression(node.tag) ? node.tag : null;
  const typeNode = (node.typeArguments ?? optionsCall?.typeArguments)?.[0];
  const result: MachineType = typeNode ? ctx.type(typeNode) : VOID;
  if (typeNode && !isScalar(result))
    unit.refuse(typeNode, "MG5002", `${excerpt(typeNode)} does not fit a register; write a scalar type instead`);
  const options = readOptions(ctx, optionsCall, naked);

  const template = node.template;
  const spans = ts.isTemplateExpression(template) ? [...template.templateSpans] : [];
  const pieces = [
    ts.isTemplateExpression(template) ? template.head.text : template.text,
    ...spans.map((s) => s.literal.text),
  ];
  const inserted = pieces.map(() => 0);
  const args = options.inputs.map((i) => i.value);
  const inputs: (string | null)[] = options.inputs.map((i) => i.register);
  const operands = spans.map((span, i): AsmOperand => {
    const operand = readOperand(ctx, span.expression);
    if (operand.kind === "value") {
      if (naked) {
        const instead = "a constant, function or static variable";
        unit.refuse(
          span.expression,
          "MG4002",
          `${excerpt(span.expression)} is not known at compile time; write ${instead} instead`,
        );
      }
      args.push(materialise(ctx, operand.value, span.expression));
      inputs.push(null);
      return { kind: "in", index: args.length - 1 };
    }
    if (operand.kind === "symbol" && operand.addend !== 0n) {
      const text = operand.addend > 0n ? `+${operand.addend}` : `${operand.addend}`;
      pieces[i + 1] = text + (pieces[i + 1] ?? "");
      inserted[i + 1] = text.length;
    }
    return operand.kind === "symbol" ? { kind: "symbol", name: operand.name } : operand;
  });

  const names = operands.some((o) => o.kind === "ret");
  if (typeNode && !names && !options.out)
    unit.refuse(
      node,
      "MG5002",
      `${excerpt(node)} gives no result; write \${ret} in the text or { out: "rax" } instead`,
    );
  if (!typeNode && (names || options.out))
    unit.refuse(node, "MG5002", "the result has no type; write asm<u64>, say, instead");
  if (names && options.out) unit.refuse(node, "MG5002", "the result is both ${ret} and out; write one of them instead");
  if (naked && (typeNode || options.inputs.length > 0))
    unit.refuse(node, "MG4002", "a naked function has no values; write registers in the text instead");

  const b = ctx.emit(node);
  const block: AsmBlock = {
    pieces,
    operands,
    bits: ctx.entity?.attributes.bits ?? 64,
    inputs,
    out: options.out,
    clobbers: options.clobbers,
    clobbersMemory: options.clobbersMemory,
    loc: unit.locOf(node),
  };
  origins.set(block, { template, inserted });
  const instr = b.asm(block, irType(result), args);
  return typeNode ? { type: result, instr } : voidValue;
}

type Operand =
  | Exclude<AsmOperand, { kind: "in" | "symbol" }>
  | { kind: "symbol"; name: string; addend: bigint }
  | { kind: "value"; value: Value };
function readOperand(ctx: Lowering, expr: ts.Expression): Operand {
  const { unit } = ctx;
  const node = unwrap(expr);
  if (ts.isIdentifier(node)) {
    const symbol = unit.source.symbol(node);
    const declaration = symbol?.valueDeclaration;
    if (declaration && unit.source.isPrelude(declaration) && node.text === "ret") return { kind: "ret" };
    // A static variable gives its address, a constant its value.
    if (symbol && declaration && ts.isVariableDeclaration(declaration) && !ctx.locals.has(symbol)) {
      const value = constantOf(ctx, node, declaration);
      if (value) return value;
      const place = placeOf(ctx, node);
      if (place?.base.symbol)
        return { kind: "symbol", name: place.base.symbol.name, addend: place.base.symbol.addend + place.offset };
    }
  }
  const value = ctx.expression(node);
  if (value.symbol) return { kind: "symbol", ...value.symbol };
  if (value.constant !== undefined) return { kind: "const", value: value.constant };
  if (value.place) {
    const { base, offset } = value.place;
    if (base.symbol) return { kind: "symbol", name: base.symbol.name, addend: base.symbol.addend + offset };
    return unit.refuse(node, "MG5003", `${excerpt(node)} is a struct or array; write addr(${excerpt(node)}) instead`);
  }
  if (!isScalar(value.type))
    return unit.refuse(node, "MG5003", `${excerpt(node)} has no value; write a number, function or variable instead`);
  return { kind: "value", value };
}
function constantOf(ctx: Lowering, node: ts.Identifier, declaration: ts.VariableDeclaration): Operand | null {
  if (!(declaration.parent.flags & ts.NodeFlags.Const) || !declaration.initializer) return null;
  const { unit } = ctx;
  const type = ctx.dryType(node);
  if (!type || !(isScalar(type) || type.kind === "untyped")) return null;
  const value = ctx.expression(node);
  if (value.constant !== undefined) return { kind: "const", value: value.constant };
  if (value.symbol) return { kind: "symbol", ...value.symbol };
  return value.float === undefined
    ? null
    : unit.refuse(node, "MG5003", `${excerpt(node)} is a float; write an integer instead`);
}

function readOptions(ctx: Lowering, node: ts.CallExpression | null, naked: boolean): Options {
  const { unit } = ctx;
  const options: Options = { inputs: [], out: null, clobbers: [], clobbersMemory: false };
  if (!node) return options;
  const object = node.arguments[0];
  if (!object || !ts.isObjectLiteralExpression(object))
    return unit.refuse(node, "MG5004", `${excerpt(node)} has no options; write asm({ in: { … } })\`…\` instead`);
  const register = (at: ts.Node, name: string): string => {
    if (!REGISTERS.has(name))
      unit.refuse(at, "MG5004", `${excerpt(at)} is no general register; write rax … r15 instead`);
    return name;
  };
  for (const property of object.properties) {
    const name = property.name && ts.isIdentifier(property.name) ? property.name.text : "";
    const init = ts.isPropertyAssignment(property) ? property.initializer : null;
    if (name === "in" && init && ts.isObjectLiteralExpression(init)) {
      for (const input of init.properties) {
        if (!ts.isPropertyAssignment(input) || !ts.isIdentifier(input.name))
          return unit.refuse(input, "MG5004", `${excerpt(input)}: write rcx: value instead`);
        if (naked) unit.refuse(input, "MG4002", "a naked function has no values; write registers in the text instead");
        options.inputs.push({
          register: register(input.name, input.name.text),
          value: inputValue(ctx, input.initializer),
        });
      }
    } else if (name === "out" && init && ts.isStringLiteralLike(init)) options.out = register(init, init.text);
    else if (name === "clobber" && init && ts.isArrayLiteralExpression(init)) {
      for (const element of init.elements) {
        if (!ts.isStringLiteralLike(element))
          return unit.refuse(element, "MG5004", `${excerpt(element)}: write a register's name or "memory" instead`);
        if (element.text === "memory") options.clobbersMemory = true;
        else options.clobbers.push(register(element, element.text));
      }
    } else {
      const text = excerpt(property);
      unit.refuse(property, "MG5004", `${text}: write in: { … }, out: "rax" or clobber: [ … ] instead`);
    }
  }
  return options;
}
function inputValue(ctx: Lowering, node: ts.Expression): Instr {
  const value = ctx.expression(node);
  if (value.type.kind === "untyped") {
    const fits64 = (value.constant as bigint) >= 0n ? U64 : defaultType(value.type);
    return materialise(ctx, coerce(ctx, value, fits64, node), node);
  }
  if (value.type.kind === "null") return materialise(ctx, { type: U64, constant: 0n }, node);
  if (value.place || isUntyped(value) || value.type.kind === "f64" || !isScalar(value.type)) {
    ctx.unit.refuse(
      node,
      "MG5003",
      `${excerpt(node)} does not fit a general register; write an integer or addr(…) instead`,
    );
  }
  return materialise(ctx, value, node);
}
