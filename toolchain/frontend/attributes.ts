/** Attributes: attr({…}) of functions, JSDoc tags of static variables, decorators of classes and fields. */
import type { FunctionAttributes } from "../ir/ir.ts";
import { type FunctionNode, ts } from "./adapter.ts";
import { excerpt, type Reporter } from "./report.ts";
import { type MachineType, NEVER } from "./types.ts";

/** The attr({…}) call of a statement, if it is one. */
export function attrCall(reporter: Reporter, statement: ts.Node | undefined): ts.CallExpression | null {
  if (!statement || !ts.isExpressionStatement(statement) || !ts.isCallExpression(statement.expression)) return null;
  const callee = statement.expression.expression;
  if (!ts.isIdentifier(callee) || callee.text !== "attr") return null;
  const declaration = reporter.source.symbol(callee)?.declarations?.[0];
  return declaration && reporter.source.isPrelude(declaration) ? statement.expression : null;
}

const isPowerOfTwo = (n: number): boolean => Number.isInteger(n) && n > 0 && n <= 2 ** 30 && (n & (n - 1)) === 0;

function literal(node: ts.Expression): string | number | boolean | null {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isNumericLiteral(node)) return Number(node.text);
  if (node.kind === ts.SyntaxKind.TrueKeyword) return true;
  if (node.kind === ts.SyntaxKind.FalseKeyword) return false;
  return null;
}

export function functionAttributes(
  reporter: Reporter,
  f: FunctionNode,
  result: MachineType,
): { attributes: FunctionAttributes; symbol: string | null } {
  const attributes: FunctionAttributes = {
    naked: false,
    bits: 64,
    section: ".text",
    align: 0,
    inline: "auto",
    noreturn: result === NEVER,
    keep: false,
  };
  let symbol: string | null = null;
  const call = attrCall(reporter, f.body?.statements[0]);
  if (!call) return { attributes, symbol };
  const [object] = call.arguments;
  if (!object || !ts.isObjectLiteralExpression(object)) {
    reporter.report(call, "MG4001", "attr() takes an object literal; write attr({ … }) instead");
    return { attributes, symbol };
  }
  for (const property of object.properties) {
    const value = ts.isPropertyAssignment(property) ? literal(property.initializer) : null;
    const name = property.name && ts.isIdentifier(property.name) ? property.name.text : "";
    const bad = (what: string): void =>
      reporter.report(property, "MG4001", `${excerpt(property)}: write ${what} instead`);
    switch (name) {
      case "naked":
      case "keep":
      case "noreturn":
        if (typeof value === "boolean") attributes[name] = value || (name === "noreturn" && attributes.noreturn);
        else bad(`${name}: true`);
        break;
      case "bits":
        if (value === 16 || value === 32 || value === 64) attributes.bits = value;
        else bad("bits: 16, 32 or 64");
        break;
      case "section":
        if (typeof value === "string" && value.startsWith(".")) attributes.section = value;
        else bad('section: ".name"');
        break;
      case "align":
        if (typeof value === "number" && isPowerOfTwo(value)) attributes.align = value;
        else reporter.report(property, "MG4004", `${excerpt(property)} is no alignment; write a power of two instead`);
        break;
      case "inline":
        if (value === "always" || value === "never") attributes.inline = value;
        else bad('inline: "always" or "never"');
        break;
      case "symbol":
        if (typeof value === "string" && value.length > 0) symbol = value;
        else bad('symbol: "name"');
        break;
      default:
        bad("naked, bits, section, align, inline, symbol, keep or noreturn");
    }
  }
  if (attributes.bits !== 64 && !attributes.naked)
    reporter.report(
      call,
      "MG4006",
      `bits: ${attributes.bits} needs a naked function; write naked: true beside it instead`,
    );
  return { attributes, symbol };
}

export interface VariableTags {
  section: string | null;
  align: number;
  symbol: string | null;
  keep: boolean;
}
/** Tags that are documentation, not attributes. */
const PROSE = new Set(["param", "returns", "return", "see", "deprecated", "example", "throws", "remarks"]);

export function variableTags(reporter: Reporter, statement: ts.VariableStatement): VariableTags {
  const tags: VariableTags = { section: null, align: 0, symbol: null, keep: false };
  for (const tag of ts.getJSDocTags(statement)) {
    const text = (ts.getTextOfJSDocComment(tag.comment) ?? "").trim();
    const word = text.split(/\s/)[0] ?? "";
    switch (tag.tagName.text) {
      case "section":
        if (word.startsWith(".")) tags.section = word;
        else reporter.report(tag, "MG4003", `@section ${word} is no section; write @section .name instead`);
        break;
      case "align":
        if (isPowerOfTwo(Number(word))) tags.align = Number(word);
        else reporter.report(tag, "MG4004", `@align ${word} is no alignment; write a power of two instead`);
        break;
      case "symbol":
        if (word) tags.symbol = word;
        else reporter.report(tag, "MG4003", "@symbol has no name; write @symbol name instead");
        break;
      case "keep":
        tags.keep = true;
        break;
      default:
        if (!PROSE.has(tag.tagName.text))
          reporter.report(
            tag,
            "MG4003",
            `@${tag.tagName.text} is not known; write @section, @align, @symbol or @keep instead`,
          );
    }
  }
  return tags;
}

function decorators(
  reporter: Reporter,
  node: ts.ClassDeclaration | ts.PropertyDeclaration,
): { packed: boolean; align: number } {
  const result = { packed: false, align: 1 };
  for (const decorator of ts.getDecorators(node) ?? []) {
    const e = decorator.expression;
    if (ts.isIdentifier(e) && e.text === "packed" && ts.isClassDeclaration(node)) result.packed = true;
    else if (ts.isCallExpression(e) && ts.isIdentifier(e.expression) && e.expression.text === "align") {
      const bytes = e.arguments[0] ? literal(e.arguments[0]) : null;
      if (typeof bytes === "number" && isPowerOfTwo(bytes)) result.align = bytes;
      else
        reporter.report(decorator, "MG4004", `${excerpt(decorator)} is no alignment; write @align(16), say, instead`);
    } else
      reporter.report(
        decorator,
        "MG4003",
        `${excerpt(decorator)} is not known here; write @packed (classes) or @align(n) instead`,
      );
  }
  return result;
}
export const structAttributes = (reporter: Reporter, node: ts.ClassDeclaration): { packed: boolean; align: number } =>
  decorators(reporter, node);
export const fieldAlignment = (reporter: Reporter, node: ts.PropertyDeclaration): number =>
  ts.getDecorators(node) ? decorators(reporter, node).align : 1;
