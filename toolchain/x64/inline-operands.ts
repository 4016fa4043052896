/** Inline assembly, one statement: the mnemonic and its operands, by recursive descent over the tokens. */
import type { SymbolExpression } from "../link/object.ts";
import { InlineError, type Statement, type Token } from "./inline-text.ts";
import type { MemoryOperand, Operand } from "./operand.ts";
import { SEGMENTS, registers } from "./registers.ts";

/** Registers of the operands: `of` those of kind "in" by AsmOperand.index, `ret` the result's. */
export interface AsmRegisters {
  of(operandIndex: number): string;
  readonly ret: string | null;
}
export interface Scope {
  readonly names: AsmRegisters;
  /** Labels of the block: named ones, and numeric ones as NUMBER.ORDINAL. */
  readonly labels: ReadonlyMap<string, string>;
}

const SIZES: Readonly<Record<string, MemoryOperand["width"]>> = {
  byte: 8,
  word: 16,
  dword: 32,
  qword: 64,
  tbyte: 80,
  xmmword: 128,
  oword: 128,
};

/** Sum of registers, a constant, and at most one symbol minus another. */
interface Sum {
  registers: { name: string; scale: bigint }[];
  plus: string | null;
  minus: string | null;
  value: bigint;
}
const constant = (value: bigint): Sum => ({ registers: [], plus: null, minus: null, value });
const isConstant = (sum: Sum): boolean => sum.registers.length === 0 && sum.plus === null && sum.minus === null;

export class Cursor {
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
    if (token.kind === "name" && token.text.startsWith(".") && !token.text.startsWith(".cfi_")) {
      throw new InlineError(
        `directives such as '${token.text}' do not exist here; put data into a static variable`,
        token,
      );
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
      if (this.done() || ptr.text.toLowerCase() !== "ptr")
        throw new InlineError(`write '${start.text} ptr [...]'`, start);
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
      if (
        sum.registers.length > 1 ||
        register.scale !== 1n ||
        sum.value !== 0n ||
        sum.plus !== null ||
        sum.minus !== null
      ) {
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
    if (scale !== 1n && scale !== 2n && scale !== 4n && scale !== 8n)
      throw new InlineError(`scale ${scale} is not 1, 2, 4 or 8`, at);
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
    // Equal symbols of opposite sign cancel.
    const plus = [a.plus, b.plus].filter((name) => name !== null);
    const minus = [a.minus, b.minus].filter((name) => name !== null);
    for (const name of [...plus]) {
      if (minus.includes(name)) {
        plus.splice(plus.indexOf(name), 1);
        minus.splice(minus.indexOf(name), 1);
      }
    }
    if (plus.length > 1 || minus.length > 1)
      throw new InlineError("at most one symbol minus another; two cannot be added", operator);
    return {
      registers: [...a.registers, ...b.registers],
      plus: plus[0] ?? null,
      minus: minus[0] ?? null,
      value: a.value + b.value,
    };
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
    throw new InlineError(
      `'${token.text}' is no register and no label of this block; write \${${token.text}} for a name of the program`,
      token,
    );
  }

  private numericLabel(token: Token): string {
    const number = token.text.slice(0, -1);
    const backward = token.text.endsWith("b");
    const ordinal = (this.seen.get(number) ?? 0) + (backward ? 0 : 1);
    const label = this.scope.labels.get(`${number}.${ordinal}`);
    if (label === undefined)
      throw new InlineError(`no label '${number}:' stands ${backward ? "before" : "behind"} this statement`, token);
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
        if (name === null)
          throw new InlineError(`this block has no result register for \${ret}; write asm<type>\`…\``, token);
        return { ...constant(0n), registers: [{ name, scale: 1n }] };
      }
    }
  }
}

const LEVELS: readonly (readonly string[])[] = [["|"], ["&"], ["<<", ">>"], ["+", "-"], ["*"]];
