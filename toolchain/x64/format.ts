/**
 * Operands and instructions as Intel-syntax text, for messages, dumps and tests; the inline-assembly parser reads the
 * same.
 */
import type { SymbolExpression } from "../link/object.ts";
import type { MemoryOperand, Operand } from "./operand.ts";

const SIZE_NAMES: Readonly<Record<number, string>> = {
  8: "byte ptr ",
  16: "word ptr ",
  32: "dword ptr ",
  64: "qword ptr ",
  80: "tbyte ptr ",
  128: "xmmword ptr ",
};

export function formatNumber(value: bigint): string {
  const magnitude = value < 0n ? -value : value;
  return (value < 0n ? "-" : "") + (magnitude < 10n ? magnitude.toString() : `0x${magnitude.toString(16)}`);
}

export function formatExpression(expression: SymbolExpression): string {
  let text = expression.plus;
  if (expression.minus !== null) text += ` - ${expression.minus}`;
  if (expression.addend > 0n) text += ` + ${formatNumber(expression.addend)}`;
  if (expression.addend < 0n) text += ` - ${formatNumber(-expression.addend)}`;
  return text;
}

function formatMemory(memory: MemoryOperand): string {
  const terms: string[] = [];
  if (memory.base !== null) terms.push(memory.base);
  if (memory.index !== null) terms.push(memory.scale === 1 ? memory.index : `${memory.index}*${memory.scale}`);
  if (memory.symbol !== null) terms.push(formatExpression(memory.symbol));
  let text = terms.join(" + ");
  if (text === "") text = formatNumber(memory.displacement);
  else if (memory.displacement !== 0n) {
    text +=
      memory.displacement < 0n ? ` - ${formatNumber(-memory.displacement)}` : ` + ${formatNumber(memory.displacement)}`;
  }
  return `${SIZE_NAMES[memory.width] ?? ""}${memory.segment !== null ? `${memory.segment}:` : ""}[${text}]`;
}

export function formatOperand(operand: Operand): string {
  switch (operand.kind) {
    case "register":
      return operand.name;
    case "immediate":
      return formatNumber(operand.value);
    case "symbol":
      return formatExpression(operand.expression);
    case "label":
      return operand.name;
    case "memory":
      return formatMemory(operand);
    case "far":
      return `${formatNumber(BigInt(operand.selector))}, ${formatOperand(operand.offset)}`;
  }
}

export const formatInstruction = (mnemonic: string, operands: readonly Operand[]): string =>
  operands.length === 0 ? mnemonic : `${mnemonic} ${operands.map(formatOperand).join(", ")}`;
