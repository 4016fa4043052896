/**
 * Agent expressions: the bytecode in which gdb sends a breakpoint's condition. Source: the gdb manual, appendix F. It
 * works on a stack of 64-bit values; the operation decides whether they are signed. Left out: floating point (the
 * manual reserves it), tracing (trace state variables, recording of memory). An expression that uses them fails, and
 * the breakpoint then stops, as the manual requires.
 */
import { type Register, RegisterView, registers } from "./registers.ts";
import type { CoreRegisters } from "./target.ts";

/** The expression cannot be evaluated: bad code, missing memory, division by 0, too long. */
export class AgentError extends Error {}

export interface AgentContext {
  readonly registers: CoreRegisters;
  /** Reads `length` bytes at `address`, or fewer. */
  read(address: bigint, length: number): Uint8Array;
}

/** Instructions after which an expression counts as endless. */
const MOST_STEPS = 10_000;
const MOST_DEPTH = 1024;
const u64 = (v: bigint): bigint => BigInt.asUintN(64, v);
const i64 = (v: bigint): bigint => BigInt.asIntN(64, v);

class Evaluation {
  at = 0;
  done = false;
  readonly stack: bigint[] = [];
  constructor(
    private readonly code: Uint8Array,
    readonly context: AgentContext,
  ) {}

  pop(): bigint {
    const value = this.stack.pop();
    if (value === undefined) throw new AgentError("stack is empty");
    return value;
  }
  push(value: bigint): void {
    if (this.stack.length >= MOST_DEPTH) throw new AgentError("stack is full");
    this.stack.push(u64(value));
  }
  /** Big-endian operand in the code. */
  operand(bytes: number): number {
    if (this.at + bytes > this.code.length) throw new AgentError("code ends inside an instruction");
    let value = 0n;
    for (let i = 0; i < bytes; i++) value = (value << 8n) | BigInt(this.code[this.at++]!);
    return Number(value);
  }
  wideOperand(bytes: number): bigint {
    let value = 0n;
    for (let i = 0; i < bytes; i++) value = (value << 8n) | BigInt(this.operand(1));
    return value;
  }
  jump(target: number): void {
    if (target >= this.code.length) throw new AgentError("jump out of the code");
    this.at = target;
  }
  next(): number {
    if (this.at >= this.code.length) throw new AgentError("code has no end");
    return this.code[this.at++]!;
  }
}

type Run = (e: Evaluation) => void;
const binary =
  (f: (a: bigint, b: bigint) => bigint): Run =>
  (e) => {
    const b = e.pop();
    e.push(f(e.pop(), b));
  };
const unary =
  (f: (a: bigint) => bigint): Run =>
  (e) =>
    e.push(f(e.pop()));
const divide = (f: (a: bigint, b: bigint) => bigint): Run =>
  binary((a, b) => {
    if (b === 0n) throw new AgentError("division by 0");
    return f(a, b);
  });
const load =
  (bytes: number): Run =>
  (e) => {
    const address = e.pop();
    const found = e.context.read(address, bytes);
    if (found.length < bytes) throw new AgentError(`no memory at 0x${address.toString(16)}`);
    let value = 0n;
    for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(found[i]!);
    e.push(value);
  };
const constant =
  (bytes: number): Run =>
  (e) =>
    e.push(e.wideOperand(bytes));
const flag = (v: boolean): bigint => (v ? 1n : 0n);
/** A shift by 64 or more gives 0. */
const shift = (b: bigint): bigint => (b > 64n ? 64n : b);
const register = (e: Evaluation): void => {
  const r: Register | undefined = registers[e.operand(2)];
  if (r === undefined) throw new AgentError("no such register");
  e.push(r.get(new RegisterView(e.context.registers)));
};
const pick = (e: Evaluation): void => {
  const value = e.stack[e.stack.length - 1 - e.operand(1)];
  if (value === undefined) throw new AgentError("stack is too short");
  e.push(value);
};
const rotate = (e: Evaluation): void => {
  const [c, b, a] = [e.pop(), e.pop(), e.pop()];
  for (const value of [c, a, b]) e.push(value);
};

// biome-ignore format: one operation a row: code, name in the manual, what it does
const operations: readonly (readonly [code: number, name: string, run: Run])[] = [
  [0x02, "add",             binary((a, b) => a + b)],
  [0x03, "sub",             binary((a, b) => a - b)],
  [0x04, "mul",             binary((a, b) => a * b)],
  [0x05, "div_signed",      divide((a, b) => i64(a) / i64(b))],
  [0x06, "div_unsigned",    divide((a, b) => a / b)],
  [0x07, "rem_signed",      divide((a, b) => i64(a) % i64(b))],
  [0x08, "rem_unsigned",    divide((a, b) => a % b)],
  [0x09, "lsh",             binary((a, b) => a << shift(b))],
  [0x0a, "rsh_signed",      binary((a, b) => i64(a) >> shift(b))],
  [0x0b, "rsh_unsigned",    binary((a, b) => a >> shift(b))],
  [0x0e, "log_not",         unary((a) => flag(a === 0n))],
  [0x0f, "bit_and",         binary((a, b) => a & b)],
  [0x10, "bit_or",          binary((a, b) => a | b)],
  [0x11, "bit_xor",         binary((a, b) => a ^ b)],
  [0x12, "bit_not",         unary((a) => ~a)],
  [0x13, "equal",           binary((a, b) => flag(a === b))],
  [0x14, "less_signed",     binary((a, b) => flag(i64(a) < i64(b)))],
  [0x15, "less_unsigned",   binary((a, b) => flag(a < b))],
  [0x16, "ext",             (e) => { const bits = e.operand(1); e.push(BigInt.asIntN(Math.min(bits, 64), e.pop())); }],
  [0x17, "ref8",            load(1)],
  [0x18, "ref16",           load(2)],
  [0x19, "ref32",           load(4)],
  [0x1a, "ref64",           load(8)],
  [0x20, "if_goto",         (e) => { const target = e.operand(2); if (e.pop() !== 0n) e.jump(target); }],
  [0x21, "goto",            (e) => e.jump(e.operand(2))],
  [0x22, "const8",          constant(1)],
  [0x23, "const16",         constant(2)],
  [0x24, "const32",         constant(4)],
  [0x25, "const64",         constant(8)],
  [0x26, "reg",             register],
  [0x27, "end",             (e) => { e.done = true; }],
  [0x28, "dup",             (e) => { const a = e.pop(); e.push(a); e.push(a); }],
  [0x29, "pop",             (e) => { e.pop(); }],
  [0x2a, "zero_ext",        (e) => { const bits = e.operand(1); e.push(BigInt.asUintN(Math.min(bits, 64), e.pop())); }],
  [0x2b, "swap",            (e) => { const b = e.pop(); const a = e.pop(); e.push(b); e.push(a); }],
  [0x32, "pick",            pick],
  [0x33, "rot",             rotate],
];
const byCode = new Map(operations.map((row) => [row[0], row]));
/** Code of an operation, for tests. */
export const agentCode = (name: string): number => operations.find((row) => row[1] === name)![0];

/** Returns the value on top of the stack at the end. Throws AgentError. */
export function evaluate(code: Uint8Array, context: AgentContext): bigint {
  const e = new Evaluation(code, context);
  for (let steps = 0; !e.done; steps++) {
    if (steps >= MOST_STEPS) throw new AgentError("does not end");
    const operation = byCode.get(e.next());
    if (operation === undefined) throw new AgentError("unknown operation");
    operation[2](e);
  }
  return e.pop();
}
