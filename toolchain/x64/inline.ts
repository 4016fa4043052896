/**
 * Inline assembly: Intel syntax in a tagged template, with operands between the pieces of text.
 *
 *   statements end at `;` or a newline, `#` starts a comment; `name:` and `1:` are labels, `1b` and `1f` the nearest one
 *   operands: registers; [base + index*scale + displacement] with byte, word, dword, qword, tbyte or xmmword ptr and es: … gs: in front;
 *     expressions over numbers (0x, 0b, decimal, _), labels and symbols with + - * << >> & | ~ ( ), at most symbol minus symbol
 *   ljmp SELECTOR, OFFSET is a far jump; lock and rep stand in front of their instruction
 *
 * Names are registers, labels of the block, or symbols that the linker makes (they start with two underscores); everything else comes in
 * by `${…}`. There are no directives: a block holds code, not data.
 */
import type { AsmBlock, AsmOperand } from "../ir/ir.ts";
import type { SymbolExpression } from "../link/object.ts";
import { Assembler, AssemblerError } from "./assembler.ts";
import { CONDITIONS } from "./instructions.ts";
import type { CodeSink, MemoryOperand, Operand } from "./operand.ts";
import { SEGMENTS, registers } from "./registers.ts";

export interface AsmProblem {
  readonly message: string;
  /** Where: index into AsmBlock.pieces, and the offset of a character in that piece. */
  readonly piece: number;
  readonly offset: number;
}

class InlineError extends AssemblerError {
  readonly at: Token;
  constructor(message: string, at: Token) {
    super(message);
    this.at = at;
  }
}

/** Registers that stand for the operands: `of` those of kind "in" by AsmOperand.index, `ret` the result's. */
export interface AsmRegisters {
  of(operandIndex: number): string;
  readonly ret: string | null;
}

/**
 * All problems of a block, in the order of its text. Without `names` the widths of run-time operands are unknown, and a statement
 * passes if some widths fit; with them it is judged as it will be encoded.
 */
export function checkAsm(block: AsmBlock, names: AsmRegisters | null = null): AsmProblem[] {
  const problems: AsmProblem[] = [];
  const note = (error: unknown): void => {
    if (!(error instanceof InlineError)) throw error;
    const { piece, offset } = error.at;
    if (!problems.some((problem) => problem.piece === piece && problem.offset === offset)) problems.push({ message: error.message, piece, offset });
  };
  const { statements, labels } = parseStatements(block, "", note);
  for (const statement of statements) {
    if (statement.tokens.length === 0) continue;
    const choices = names === null ? placeholders(statement, block.bits) : [names];
    let first: unknown = null;
    for (const choice of choices) {
      try {
        const assembler = new Assembler("", block.bits);
        emitStatement(statement, { bits: block.bits, names: choice, labels, prefix: "" }, assembler);
        first = null;
        break;
      } catch (error) {
        first ??= error;
      }
    }
    if (first !== null) note(first);
  }
  return problems.sort((a, b) => a.piece - b.piece || a.offset - b.offset);
}

/**
 * Hands the block's instructions to `sink`, which must assemble code of `block.bits`. Lines of the text are lines of the source when the
 * template starts at block.loc. Labels get `uniqueLabelPrefix`, which no other block of the chunk has. Throws an AssemblerError where
 * checkAsm finds a problem.
 */
export function assembleInline(
  block: AsmBlock,
  registerOf: (operandIndex: number) => string,
  retRegister: string | null,
  sink: CodeSink,
  uniqueLabelPrefix: string,
): void {
  const { statements, labels } = parseStatements(block, uniqueLabelPrefix, (error) => {
    throw error;
  });
  const scope: Scope = { bits: block.bits, names: { of: registerOf, ret: retRegister }, labels, prefix: uniqueLabelPrefix };
  for (const statement of statements) {
    for (const label of statement.labels) sink.label(label);
    if (statement.tokens.length === 0) continue;
    if (block.loc.file >= 0) {
      const column = statement.line === 0 ? block.loc.column : statement.column;
      sink.line(block.loc.file, block.loc.line + statement.line, column);
    }
    emitStatement(statement, scope, sink);
  }
}

// ---- text to statements --------------------------------------------------------------------------------------------

interface Token {
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

interface Statement {
  /** Labels in front, by the names that the sink knows. */
  readonly labels: string[];
  readonly tokens: Token[];
  readonly line: number;
  readonly column: number;
  /** How many numeric labels of each number stand before this statement's instruction. */
  readonly seen: ReadonlyMap<string, number>;
}

interface Scope {
  readonly bits: 16 | 32 | 64;
  readonly names: AsmRegisters;
  /** Labels of the block: named ones, and numeric ones as NUMBER.ORDINAL. */
  readonly labels: ReadonlyMap<string, string>;
  readonly prefix: string;
}

const TOKEN = /[ \t\r]+|#[^\n]*|(0x[0-9a-fA-F_]+|0b[01][01_]*)(?![0-9A-Za-z_.$])|([0-9]+[bf])(?![0-9A-Za-z_.$])|([0-9][0-9A-Za-z_]*)|([A-Za-z_.$][A-Za-z0-9_.$]*)|(<<|>>|[-+*|&~(),:[\]])|([;\n])/y;

function tokens(block: AsmBlock, note: (error: unknown) => void): Token[] {
  const list: Token[] = [];
  let line = 0;
  let lineStart = 0;
  let total = 0;
  // A comment runs on over operands to the end of its line.
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
    if (operand !== undefined && !commented) push("operand", "${…}", 0n, operand);
    total += text.length;
  });
  list.push({ kind: "end", text: "", value: 0n, operand: null, piece: block.pieces.length - 1, offset: 0, line, column: 1 });
  return list;
}

function parseStatements(block: AsmBlock, prefix: string, note: (error: unknown) => void): { statements: Statement[]; labels: Map<string, string> } {
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
    while (current.length >= 2 && current[1].text === ":" && (current[0].kind === "name" || current[0].kind === "number")) {
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
    statements.push({ labels: own, tokens: current, line: start?.line ?? line, column: start?.column ?? column, seen: new Map(seen) });
    current = [];
  }
  return { statements, labels };
}

/** Registers to try where the widths of run-time operands are not known: each operand of the statement in each width. */
function placeholders(statement: Statement, bits: 16 | 32 | 64): AsmRegisters[] {
  const used = new Set<number>();
  for (const { operand } of statement.tokens) {
    if (operand?.kind === "in") used.add(operand.index);
    if (operand?.kind === "ret") used.add(-1);
  }
  const candidates = bits === 64 ? ["rbx", "ebx", "bx", "bl", "xmm1"] : ["ebx", "bx", "bl", "xmm1"];
  let choices: Map<number, string>[] = [new Map()];
  for (const index of used) choices = choices.flatMap((choice) => candidates.map((name) => new Map(choice).set(index, name)));
  return choices.map((choice) => ({ of: (index) => choice.get(index) ?? "", ret: choice.get(-1) ?? null }));
}

// ---- statements to instructions ------------------------------------------------------------------------------------

const SIZES: Readonly<Record<string, MemoryOperand["width"]>> = { byte: 8, word: 16, dword: 32, qword: 64, tbyte: 80, xmmword: 128, oword: 128 };
const PREFIXES: ReadonlySet<string> = new Set(["lock", "rep", "repe", "repz", "repne", "repnz"]);
/** A label is the target of these, and an address in every other instruction. */
const BRANCHES: ReadonlySet<string> = new Set(["jmp", "call", "loop", "jecxz", "jrcxz", ...CONDITIONS.flat().map((name) => `j${name}`)]);

function emitStatement(statement: Statement, scope: Scope, sink: CodeSink): void {
  const cursor = new Cursor(statement, scope);
  let mnemonic = cursor.mnemonic();
  while (PREFIXES.has(mnemonic.text) && !cursor.done()) {
    emit(sink, mnemonic, []);
    mnemonic = cursor.mnemonic();
  }
  const operands: Operand[] = [];
  if (!cursor.done()) {
    do operands.push(cursor.operand(BRANCHES.has(mnemonic.text)));
    while (cursor.accept(","));
    if (!cursor.done()) throw new InlineError(`unexpected '${cursor.peek().text}'`, cursor.peek());
  }
  if (mnemonic.text === "ljmp" && operands.length === 2) {
    const [selector, offset] = operands;
    if (selector.kind !== "immediate" || (offset.kind !== "immediate" && offset.kind !== "symbol")) {
      throw new InlineError("ljmp takes a constant selector and an offset: ljmp 0x08, 1f", mnemonic.token);
    }
    emit(sink, mnemonic, [{ kind: "far", selector: Number(selector.value), offset }]);
  } else {
    emit(sink, mnemonic, operands);
  }
}

function emit(sink: CodeSink, mnemonic: { text: string; token: Token }, operands: Operand[]): void {
  try {
    sink.emit(mnemonic.text, ...operands);
  } catch (error) {
    if (error instanceof InlineError || !(error instanceof AssemblerError)) throw error;
    throw new InlineError(error.message, mnemonic.token);
  }
}

/** Sum of registers, a constant, and at most one symbol minus another. */
interface Sum {
  registers: { name: string; scale: bigint }[];
  plus: string | null;
  minus: string | null;
  value: bigint;
}
const constant = (value: bigint): Sum => ({ registers: [], plus: null, minus: null, value });
const isConstant = (sum: Sum): boolean => sum.registers.length === 0 && sum.plus === null && sum.minus === null;

class Cursor {
  private position = 0;
  private readonly list: readonly Token[];
  private readonly seen: ReadonlyMap<string, number>;
  private readonly scope: Scope;

  constructor(statement: Statement, scope: Scope) {
    this.list = statement.tokens;
    this.seen = statement.seen;
    this.scope = scope;
  }

  done(): boolean {
    return this.position >= this.list.length;
  }
  /** The next token; at the end of the statement the last one, for messages. */
  peek(): Token {
    return this.list[Math.min(this.position, this.list.length - 1)];
  }
  accept(text: string): boolean {
    if (this.done() || this.peek().kind !== "punctuation" || this.peek().text !== text) return false;
    this.position++;
    return true;
  }
  private expect(text: string, after: string): void {
    if (!this.accept(text)) throw new InlineError(`'${text}' expected ${after}`, this.peek());
  }
  private next(): Token {
    if (this.done()) throw new InlineError("operand expected at the end of the statement", this.peek());
    return this.list[this.position++];
  }

  mnemonic(): { text: string; token: Token } {
    const token = this.next();
    if (token.kind === "name" && token.text.startsWith(".")) {
      throw new InlineError(`directives such as '${token.text}' do not exist here; put data into a static variable`, token);
    }
    if (token.kind !== "name") throw new InlineError(`instruction expected, found '${token.text}'`, token);
    return { text: token.text.toLowerCase(), token };
  }

  operand(isBranch: boolean): Operand {
    const start = this.peek();
    let width: MemoryOperand["width"] | null = null;
    if (!this.done() && start.kind === "name" && SIZES[start.text.toLowerCase()] !== undefined) {
      width = SIZES[start.text.toLowerCase()];
      this.position++;
      const ptr = this.peek();
      if (this.done() || ptr.text.toLowerCase() !== "ptr") throw new InlineError(`write '${start.text} ptr [...]'`, start);
      this.position++;
    }
    const segment = this.segment();
    if (this.accept("[")) {
      const sum = this.sum();
      this.expect("]", "at the end of the address");
      return this.memory(sum, width ?? 0, segment, start);
    }
    if (width !== null || segment !== null) throw new InlineError("'[' expected: an address in memory", this.peek());
    const sum = this.sum();
    if (sum.registers.length > 0) {
      const [register] = sum.registers;
      if (sum.registers.length > 1 || register.scale !== 1n || sum.value !== 0n || sum.plus !== null || sum.minus !== null) {
        throw new InlineError("a sum with a register is an address; write it in [ ]", start);
      }
      return { kind: "register", name: register.name };
    }
    const expression = this.expression(sum, start);
    if (expression === null) return { kind: "immediate", value: sum.value };
    if (isBranch && expression.minus === null && expression.addend === 0n && this.isLabel(expression.plus)) {
      return { kind: "label", name: expression.plus };
    }
    return { kind: "symbol", expression };
  }

  private isLabel(name: string): boolean {
    for (const label of this.scope.labels.values()) if (label === name) return true;
    return false;
  }

  private segment(): MemoryOperand["segment"] {
    const name = this.peek().text.toLowerCase();
    const found = SEGMENTS.find((segment) => segment === name);
    const colon = this.list[this.position + 1];
    if (found === undefined || colon === undefined || colon.text !== ":") return null;
    this.position += 2;
    return found;
  }

  private expression(sum: Sum, at: Token): SymbolExpression | null {
    if (sum.plus !== null && sum.plus === sum.minus) return null;
    if (sum.plus === null && sum.minus === null) return null;
    if (sum.plus === null) throw new InlineError("a symbol can only be subtracted from another symbol", at);
    return { plus: sum.plus, minus: sum.minus, addend: sum.value };
  }

  private memory(sum: Sum, width: MemoryOperand["width"], segment: MemoryOperand["segment"], at: Token): MemoryOperand {
    if (sum.registers.length > 2) throw new InlineError("an address has at most a base and an index", at);
    let base: string | null = null;
    let index: string | null = null;
    let scale = 1n;
    for (const register of sum.registers) {
      if (register.scale === 1n && base === null) base = register.name;
      else if (index === null) {
        index = register.name;
        scale = register.scale;
      } else throw new InlineError("an address has at most one scaled register", at);
    }
    if (scale !== 1n && scale !== 2n && scale !== 4n && scale !== 8n) throw new InlineError(`scale ${scale} is not 1, 2, 4 or 8`, at);
    const symbol = this.expression(sum, at);
    return {
      kind: "memory",
      width,
      base,
      index,
      scale: Number(scale) as 1 | 2 | 4 | 8,
      displacement: symbol === null ? sum.value : 0n,
      symbol,
      segment,
    };
  }

  // Precedence as in C: | below & below << >> below + - below * below unary - ~.
  private sum(): Sum {
    return this.binary(0);
  }

  private binary(level: number): Sum {
    const operators = LEVELS[level];
    if (operators === undefined) return this.unary();
    let left = this.binary(level + 1);
    for (;;) {
      const operator = this.peek();
      if (this.done() || operator.kind !== "punctuation" || !operators.includes(operator.text)) return left;
      this.position++;
      left = this.combine(operator, left, this.binary(level + 1));
    }
  }

  private combine(operator: Token, a: Sum, b: Sum): Sum {
    switch (operator.text) {
      case "+":
        return this.add(operator, a, b);
      case "-":
        if (b.registers.length > 0) throw new InlineError("a register cannot be subtracted", operator);
        return this.add(operator, a, { registers: [], plus: b.minus, minus: b.plus, value: -b.value });
      case "*": {
        const [factor, other] = isConstant(a) ? [a, b] : [b, a];
        if (!isConstant(factor) || other.plus !== null || other.minus !== null) break;
        return {
          registers: other.registers.map(({ name, scale }) => ({ name, scale: scale * factor.value })),
          plus: null,
          minus: null,
          value: other.value * factor.value,
        };
      }
      default:
        if (!isConstant(a) || !isConstant(b)) break;
        if (operator.text === "|") return constant(a.value | b.value);
        if (operator.text === "&") return constant(a.value & b.value);
        if (b.value < 0n || b.value > 64n) throw new InlineError(`shift by ${b.value}`, operator);
        return constant(operator.text === "<<" ? a.value << b.value : a.value >> b.value);
    }
    throw new InlineError(`'${operator.text}' takes constants only, not symbols or registers`, operator);
  }

  private add(operator: Token, a: Sum, b: Sum): Sum {
    // Equal symbols of opposite sign vanish.
    const plus = [a.plus, b.plus].filter((name) => name !== null);
    const minus = [a.minus, b.minus].filter((name) => name !== null);
    for (const name of [...plus]) {
      if (minus.includes(name)) {
        plus.splice(plus.indexOf(name), 1);
        minus.splice(minus.indexOf(name), 1);
      }
    }
    if (plus.length > 1 || minus.length > 1) throw new InlineError("at most one symbol minus another; two cannot be added", operator);
    return { registers: [...a.registers, ...b.registers], plus: plus[0] ?? null, minus: minus[0] ?? null, value: a.value + b.value };
  }

  private unary(): Sum {
    const token = this.next();
    if (token.kind === "punctuation") {
      if (token.text === "(") {
        const inner = this.sum();
        this.expect(")", "after '('");
        return inner;
      }
      if (token.text === "-" || token.text === "~") {
        const inner = this.unary();
        if (token.text === "-") return this.combine(token, constant(0n), inner);
        if (!isConstant(inner)) throw new InlineError("'~' takes a constant", token);
        return constant(~inner.value);
      }
      if (token.text === "+") return this.unary();
      throw new InlineError(`operand expected, found '${token.text}'`, token);
    }
    if (token.kind === "number") return constant(token.value);
    if (token.kind === "numericLabel") return { ...constant(0n), plus: this.numericLabel(token) };
    if (token.kind === "operand") return this.templateOperand(token);
    const lower = token.text.toLowerCase();
    if (registers.has(lower)) return { ...constant(0n), registers: [{ name: lower, scale: 1n }] };
    const label = this.scope.labels.get(token.text);
    if (label !== undefined) return { ...constant(0n), plus: label };
    if (token.text.startsWith("__")) return { ...constant(0n), plus: token.text };
    throw new InlineError(`'${token.text}' is no register and no label of this block; write \${${token.text}} for a name of the program`, token);
  }

  private numericLabel(token: Token): string {
    const number = token.text.slice(0, -1);
    const backward = token.text.endsWith("b");
    const ordinal = (this.seen.get(number) ?? 0) + (backward ? 0 : 1);
    const label = this.scope.labels.get(`${number}.${ordinal}`);
    if (label === undefined) throw new InlineError(`no label '${number}:' stands ${backward ? "before" : "behind"} this statement`, token);
    return label;
  }

  private templateOperand(token: Token): Sum {
    const operand = token.operand;
    if (operand === null) throw new InlineError("operand expected", token);
    switch (operand.kind) {
      case "const":
        return constant(operand.value);
      case "symbol":
        return { ...constant(0n), plus: operand.name };
      case "in":
        return { ...constant(0n), registers: [{ name: this.scope.names.of(operand.index), scale: 1n }] };
      case "ret": {
        const name = this.scope.names.ret;
        if (name === null) throw new InlineError("this block has no result register for ${ret}; write asm<type>`…`", token);
        return { ...constant(0n), registers: [{ name, scale: 1n }] };
      }
    }
  }
}

const LEVELS: readonly (readonly string[])[] = [["|"], ["&"], ["<<", ">>"], ["+", "-"], ["*"]];
