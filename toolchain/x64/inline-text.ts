/** Inline assembly as text: tokens with their positions, and statements with their labels. */
import type { AsmBlock, AsmOperand } from "../ir/ir.ts";
import { AssemblerError } from "./encoder.ts";
import { registers } from "./registers.ts";

export class InlineError extends AssemblerError {
  readonly at: Token;
  constructor(message: string, at: Token) {
    super(message);
    this.at = at;
  }
}

export interface Token {
  readonly kind: "name" | "number" | "numericLabel" | "punctuation" | "operand" | "end";
  readonly text: string;
  readonly value: bigint;
  readonly operand: AsmOperand | null;
  readonly piece: number;
  readonly offset: number;
  /** Lines since the start of the block, and 1-based column in that line. */
  readonly line: number;
  readonly column: number;
}

export interface Statement {
  /** Labels before the statement, by the names that the sink knows. */
  readonly labels: string[];
  readonly tokens: Token[];
  readonly line: number;
  readonly column: number;
  /** For each number, how many numeric labels precede this statement's instruction. */
  readonly seen: ReadonlyMap<string, number>;
}

/** In this order: blanks and comments, then one group per token kind. */
const TOKEN = new RegExp(
  [
    /[ \t\r]+|#[^\n]*/,
    /(0x[0-9a-fA-F_]+|0b[01][01_]*)(?![0-9A-Za-z_.$])/,
    /([0-9]+[bf])(?![0-9A-Za-z_.$])/,
    /([0-9][0-9A-Za-z_]*)/,
    /([A-Za-z_.$][A-Za-z0-9_.$]*)/,
    /(<<|>>|[-+*|&~(),:[\]])/,
    /([;\n])/,
  ]
    .map((part) => part.source)
    .join("|"),
  "y",
);

function tokens(block: AsmBlock, note: (error: unknown) => void): Token[] {
  const list: Token[] = [];
  let line = 0;
  let lineStart = 0;
  let total = 0;
  // A comment continues across operands to the end of its line.
  let commented = false;
  block.pieces.forEach((text, piece) => {
    let offset = 0;
    const push = (kind: Token["kind"], shown: string, value = 0n, operand: AsmOperand | null = null): void => {
      list.push({ kind, text: shown, value, operand, piece, offset, line, column: total + offset - lineStart + 1 });
    };
    while (offset < text.length) {
      if (commented) {
        const end = text.indexOf("\n", offset);
        if (end === -1) break;
        offset = end;
        commented = false;
      }
      TOKEN.lastIndex = offset;
      const match = TOKEN.exec(text);
      if (match === null) {
        push("punctuation", text[offset]);
        note(new InlineError(`unexpected character '${text[offset]}'`, list[list.length - 1]));
        offset++;
        continue;
      }
      const [shown, based, numeric, digits, name, punctuation, end] = match;
      if (shown.startsWith("#")) commented = !text.startsWith("\n", offset + shown.length);
      else if (based !== undefined) push("number", shown, BigInt(based.replaceAll("_", "")));
      else if (numeric !== undefined) push("numericLabel", shown);
      else if (digits !== undefined) {
        const plain = digits.replaceAll("_", "");
        push("number", shown, /^\d+$/.test(plain) ? BigInt(plain) : 0n);
        if (!/^\d+$/.test(plain)) note(new InlineError(`'${shown}' is no number`, list[list.length - 1]));
      } else if (name !== undefined) push("name", shown);
      else if (punctuation !== undefined) push("punctuation", shown);
      else if (end !== undefined) {
        push("end", shown);
        if (shown === "\n") {
          line++;
          lineStart = total + offset + 1;
        }
      }
      offset += shown.length;
    }
    offset = text.length;
    const operand = block.operands[piece];
    if (operand !== undefined && !commented) push("operand", `\${…}`, 0n, operand);
    total += text.length;
  });
  list.push({
    kind: "end",
    text: "",
    value: 0n,
    operand: null,
    piece: block.pieces.length - 1,
    offset: 0,
    line,
    column: 1,
  });
  return list;
}

export function parseStatements(
  block: AsmBlock,
  prefix: string,
  note: (error: unknown) => void,
): { statements: Statement[]; labels: Map<string, string> } {
  const statements: Statement[] = [];
  const labels = new Map<string, string>();
  const seen = new Map<string, number>();
  let current: Token[] = [];
  for (const token of tokens(block, note)) {
    if (token.kind !== "end") {
      current.push(token);
      continue;
    }
    if (current.length === 0) continue;
    const own: string[] = [];
    const { line, column } = current[0];
    while (
      current.length >= 2 &&
      current[1].text === ":" &&
      (current[0].kind === "name" || current[0].kind === "number")
    ) {
      const [token] = current;
      current = current.slice(2);
      let key = token.text;
      if (token.kind === "number") {
        const ordinal = (seen.get(token.text) ?? 0) + 1;
        seen.set(token.text, ordinal);
        key = `${token.text}.${ordinal}`;
      } else if (registers.has(key.toLowerCase())) {
        note(new InlineError(`label '${key}' has the name of a register`, token));
      }
      if (labels.has(key)) {
        note(new InlineError(`label '${key}' is defined twice`, token));
        continue;
      }
      labels.set(key, prefix + key);
      own.push(prefix + key);
    }
    const start = current[0];
    statements.push({
      labels: own,
      tokens: current,
      line: start?.line ?? line,
      column: start?.column ?? column,
      seen: new Map(seen),
    });
    current = [];
  }
  return { statements, labels };
}
