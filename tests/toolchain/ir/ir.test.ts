/**
 * Proves that IR text is read back unchanged, that the verifier reports each kind of mistake, and that the interpreter
 * implements the op table.
 */
import { describe, expect, test } from "vitest";
import { Builder } from "../../../toolchain/ir/builder.ts";
import { Dominators, findLoops, loopDepths, recomputePreds } from "../../../toolchain/ir/cfg.ts";
import { Interpreter, type Outcome } from "../../../toolchain/ir/interpreter.ts";
import { Func, Module, NO_LOC } from "../../../toolchain/ir/ir.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { printModule } from "../../../toolchain/ir/printer.ts";
import { verify } from "../../../toolchain/ir/verifier.ts";

/** A module of one function f; `body` without the braces. */
const wrap = (signature: string, body: string): Module =>
  parseModule(`module "t"\nfunc @f "f" ${signature} section ".text" {\n${body}\n}\n`);
const run = (signature: string, body: string, args: (bigint | number)[] = []): Outcome =>
  new Interpreter(wrap(signature, body)).run("f", args);

const SAMPLE = `module "demo"
file 0 "a/b.ts"
file 1 "a/\\"c\\".ts"

data @table "table" section ".rodata" align 8 size 24 readonly keep !0:1:1
  bytes 000102030405060708090a0b0c0d0e0f1011121314151617
  reloc 8 @f+4
  reloc 16 @"odd name"-8

data @zeros "zeros" section ".bss" align 4096 size 8192

func @f "Ring.put<u16>" (i64 "p", f64 "x") i32 section ".boot.text" align 64 inline=never noreturn keep !0:3:1 {
b0:
  %9 = alloca i64 size 16 align 8 "buffer"
  %0 = param i64 0 "p"
  %1 = param f64 1 "x" !0:4:5
  %2 = fconst f64 1.5
  %3 = fconst f64 0x8000000000000000
  %4 = fadd f64 %1, %2
  %5 = flt i8 %4, %3
  zero %9 size 16 align 8
  copy %9 %0 size 16 align 8
  branch %5 ? b1 : b2
b1: preds b0, b2
  %6 = phi i64 [%0, %7] "i" !
  %10 = load i32 %6 volatile !1:9:2
  store %6, %10 volatile
  %11 = call i32 @f (%6, %2)
  %12 = asm i64 (%6) {"pieces":["mov ",", ",""],"operands":[{"kind":"ret"},{"kind":"const","value":"18446744073709551615"}],"bits":64,"inputs":[null],"out":null,"clobbers":["rcx"],"clobbersMemory":true,"loc":{"file":0,"line":1,"column":2}}
  switch %11 1: b3, 4294967295: b3, else: b4
b2: preds b0
  %7 = symbol i64 @"odd name"+16
  fence
  %13 = cmpxchg i64 %7, %0, %7
  jump b1
b3: preds b1, b1
  ret %11
b4: preds b1
  unreachable
}
`;

describe("text", () => {
  test("print of parse is the identity, and the sample is valid", () => {
    const module = parseModule(SAMPLE);
    verify(module);
    expect(printModule(module)).toBe(SAMPLE);
    expect(printModule(parseModule(printModule(module)))).toBe(SAMPLE);
  });
  test.each([
    ["func @f", 'line 1: string expected at ""'],
    ["fun", 'line 1: module, file, data or func expected at "fun"'],
    ['func @f "f" () void section ".text" {\nb0:\n  %0 = addd i64 %1', "line 3: unknown operation addd"],
    ['func @f "f" () void section ".text" {\nb0:\n  ret %3\n}', "line 3: %3 is not defined in f"],
    ['func @f "f" () void section ".text" {\nb0:\n  jump b7\n}', "f: b7 has no label"],
    ['func @f "f" () void section ".text" {\nb0:', "text ends within a function"],
  ])("a mistake names its line: %s", (text, message) => {
    expect(() => parseModule(text)).toThrow(message);
  });
});

describe("verifier", () => {
  test.each([
    ["() void", "b0:\n  %0 = const i32 1", "block has no terminator"],
    ["() void", "b0:\n  ret\n  ret", "terminator within the block"],
    ["() void", "b0: preds b0\n  jump b0", "the entry has predecessors"],
    ["() void", "b0:\n  jump b1\nb1:\n  ret", "preds are none, edges come from b0"],
    [
      "() void",
      "b0:\n  %0 = const i32 1\n  %1 = const i64 1\n  %2 = add i32 %0, %1\n  ret",
      "operands of one integer type wanted",
    ],
    ["() void", "b0:\n  %0 = const i32 1\n  %1 = eq i32 %0, %0\n  ret", "result is i32, not i8"],
    ["() void", "b0:\n  %0 = const i32 1\n  %1 = zext i16 %0\n  ret", "i32 to i16 does not widen"],
    ["() void", "b0:\n  %0 = const i32 1\n  %1 = load i8 %0\n  ret", "operand 0 is i32, not i64"],
    ["() i32", "b0:\n  %0 = const i64 1\n  ret %0", "function gives i32"],
    ['(i8 "a") void', "b0:\n  %0 = param i8 1\n  ret", "parameter 1 is not there"],
    [
      "() void",
      "b0:\n  %1 = neg i64 %0\n  %0 = const i64 1\n  ret".replace("neg", "clz"),
      "operand %0 does not dominate its use",
    ],
    [
      "() void",
      "b0:\n  %0 = const i8 1\n  branch %0 ? b1 : b2\nb1: preds b0\n  %1 = const i32 5\n  jump b2\nb2: preds b0, b1\n  %2 = clz i32 %1\n  ret",
      "b2: %2 = clz i32 %1: operand %1 does not dominate",
    ],
    ["() void", "b0:\n  jump b1\nb1: preds b0\n  %0 = phi i32 []\n  ret", "0 operands for 1 predecessors"],
    [
      "() void",
      "b0:\n  jump b1\nb1: preds b0\n  %0 = alloca i64 size 8 align 8\n  ret",
      "only the entry block may hold it",
    ],
    [
      "() void",
      "b0:\n  %0 = const i8 1\n  switch %0 1: b1, 1: b1, else: b1\nb1: preds b0, b0, b0\n  ret",
      "a case is there twice",
    ],
    ["() void", "b0:\n  call @f (%0)\n  ret".replace("call", "%0 = const i8 1\n  call"), "f takes ()"],
    ["() void", "b0:\n  %0 = alloca i64 size 8 align 3\n  ret", "align 3"],
    [
      "() void",
      "b0:\n  %0 = const i8 1\n  %1 = const i8 2\n  branch %0 ? b1 : b1\nb1: preds b0, b0\n  %2 = phi i8 [%0, %1]\n  ret",
      "two values on the edges from b0",
    ],
  ])("%s { %s }", (signature, body, message) => {
    expect(() => verify(wrap(signature, body))).toThrow(message);
  });
  test("data", () => {
    const data = (line: string): Module => parseModule(`module "t"\n${line}\n`);
    expect(() => verify(data('data @d "d" section ".data" align 8 size 4\n  bytes 0011'))).toThrow(
      "d: 2 bytes, size 4",
    );
    expect(() =>
      verify(data('data @d "d" section ".data" align 8 size 8\n  bytes 0011223344556677\n  reloc 4 @d')),
    ).toThrow("relocation at 4 of 8 bytes");
  });
});

describe("graph", () => {
  test("dominators, loops and depth of two nested loops", () => {
    const func = wrap(
      '(i8 "c") void',
      "b0:\n  %0 = param i8 0\n  jump b1\nb1: preds b0, b4\n  jump b2\nb2: preds b1, b3\n  branch %0 ? b3 : b4\nb3: preds b2\n  jump b2\nb4: preds b2\n  branch %0 ? b1 : b5\nb5: preds b4\n  ret",
    ).functions.get("f") as Func;
    const dominators = new Dominators(func);
    const block = (id: number) => func.blocks[id];
    expect(dominators.idom(block(4))).toBe(block(2));
    expect(dominators.dominates(block(1), block(5))).toBe(true);
    expect(dominators.dominates(block(3), block(4))).toBe(false);
    expect(findLoops(dominators).map((l) => [l.header.id, l.depth, l.blocks.size])).toEqual([
      [1, 1, 4],
      [2, 2, 2],
    ]);
    expect([...loopDepths(dominators)].map(([b, d]) => `${b.id}:${d}`).sort()).toEqual([
      "0:0",
      "1:1",
      "2:2",
      "3:2",
      "4:1",
      "5:0",
    ]);
    for (const b of func.blocks) b.preds = [];
    recomputePreds(func);
    verify(Object.assign(new Module("t"), { functions: new Map([["f", func]]) }));
  });
});

describe("interpreter", () => {
  const value = (o: Outcome): unknown => (o.kind === "returned" ? o.value : `${o.trap}: ${o.message}`);
  test("wraps, extends, and keeps signs where the operation says so", () => {
    const body = (op: string): string => `b0:\n  %0 = param i8 0\n  %1 = param i8 1\n  %2 = ${op} i8 %0, %1\n  ret %2`;
    const eval8 = (op: string, a: bigint, b: bigint): unknown => value(run('(i8 "a", i8 "b") i8', body(op), [a, b]));
    expect(eval8("add", 200n, 100n)).toBe(44n);
    expect(eval8("sdiv", 0x80n, 2n)).toBe(0xc0n);
    expect(eval8("udiv", 0x80n, 2n)).toBe(0x40n);
    expect(eval8("srem", 0xf9n, 4n)).toBe(0xfdn);
    expect(eval8("ashr", 0x80n, 15n)).toBe(0xffn);
    expect(eval8("shl", 1n, 9n)).toBe(2n);
    expect(eval8("rotl", 0x81n, 1n)).toBe(3n);
    expect(eval8("slt", 0xffn, 0n)).toBe(1n);
    expect(eval8("ult", 0xffn, 0n)).toBe(0n);
    expect(eval8("sdiv", 1n, 0n)).toMatch(/^divide: .* in f: b0: %2 = sdiv/);
    expect(eval8("sdiv", 0x80n, 0xffn)).toMatch(/^divide/);
  });
  test("floats, conversions and bits", () => {
    const one = (from: string, op: string, to: string, a: bigint | number): unknown =>
      value(run(`(${from} "a") ${to}`, `b0:\n  %0 = param ${from} 0\n  %1 = ${op} ${to} %0\n  ret %1`, [a]));
    expect(one("f64", "fbits", "i64", -0)).toBe(1n << 63n);
    expect(one("i64", "bitsf", "f64", 0x3ff8000000000000n)).toBe(1.5);
    expect(one("f64", "ftosi", "i8", -3.9)).toBe(0xfdn);
    expect(one("f64", "ftoui", "i64", 2 ** 63)).toBe(1n << 63n);
    expect(one("f64", "ftosi", "i64", 1e30)).toBe(1n << 63n);
    expect(one("i16", "sitof", "f64", 0xffffn)).toBe(-1);
    expect(one("i64", "uitof", "f64", (1n << 64n) - 1n)).toBe(2 ** 64);
    expect(one("i32", "bswap", "i32", 0x11223344n)).toBe(0x44332211n);
    expect(one("i16", "clz", "i16", 0n)).toBe(16n);
    expect(one("i8", "sext", "i32", 0x80n)).toBe(0xffffff80n);
  });
  test("memory, relocations, atomics, calls through pointers, phis that swap", () => {
    const module = parseModule(`module "t"
data @table "t" section ".data" align 8 size 16
  bytes 05000000000000000000000000000000
  reloc 8 @g+0
func @g "g" (i64 "a") i64 section ".text" {
b0:
  %0 = param i64 0
  %1 = const i64 3
  %2 = mul i64 %0, %1
  ret %2
}
func @f "f" () i64 section ".text" {
b0:
  %0 = symbol i64 @table
  %1 = const i64 7
  %2 = aadd i64 %0, %1
  %3 = symbol i64 @table+8
  %4 = load i64 %3
  %5 = load i64 %0
  %6 = icall i64 %4, %5
  %7 = add i64 %6, %2
  ret %7
}
func @swap "swap" () i64 section ".text" {
b0:
  %0 = const i64 1
  %1 = const i64 2
  jump b1
b1: preds b0, b1
  %2 = phi i64 [%0, %3]
  %3 = phi i64 [%1, %2]
  %4 = phi i64 [%0, %5]
  %5 = add i64 %4, %0
  %6 = const i64 4
  %7 = ult i8 %5, %6
  branch %7 ? b1 : b2
b2: preds b1
  %8 = const i64 10
  %9 = mul i64 %2, %8
  %10 = add i64 %9, %3
  ret %10
}
`);
    verify(module);
    const interpreter = new Interpreter(module);
    expect(value(interpreter.run("f"))).toBe(41n);
    expect(interpreter.bytesAt(interpreter.addressOf("table"), 1)[0]).toBe(12);
    expect(value(interpreter.run("swap"))).toBe(12n);
  });
  test.each([
    [
      "() void",
      "b0:\n  %0 = const i64 8\n  %1 = load i8 %0\n  ret",
      /^memory: access of 1 bytes at 0x8 in f: b0: %1 = load/,
    ],
    ["() void", "b0:\n  unreachable", /^unreachable/],
    ["() void", "b0:\n  jump b1\nb1: preds b0, b1\n  jump b1", /^steps/],
    ["() void", "b0:\n  call @f ()\n  ret", /^stack/],
    ["() void", "b0:\n  call @nowhere ()\n  ret", /^symbol: undefined function nowhere/],
    ["() void", "b0:\n  %0 = const i64 99\n  icall %0\n  ret", /^call: call of address 0x63/],
    [
      "() void",
      'b0:\n  asm () {"pieces":["hlt"],"operands":[],"bits":64,"inputs":[],"out":null,"clobbers":[],"clobbersMemory":false,"loc":{"file":-1,"line":0,"column":0}}\n  ret',
      /^asm: inline assembly cannot be interpreted/,
    ],
  ])("trap: %s %s", (signature, body, message) => {
    const outcome = new Interpreter(wrap(signature, body), { maxSteps: 20_000 }).run("f");
    expect(value(outcome)).toMatch(message);
  });
});

describe("builder", () => {
  test("code behind a terminator is kept apart, allocas go to the entry, edges are counted", () => {
    const attributes = {
      naked: false,
      bits: 64,
      section: ".text",
      align: 0,
      inline: "auto",
      noreturn: false,
      keep: false,
    } as const;
    const func = new Func("f", "f", [], "i32", { ...attributes }, NO_LOC);
    const b = new Builder(func);
    const next = b.createBlock();
    const value = b.iconst("i32", -1);
    b.switch(value, [-1n], [next], next);
    b.enter(next);
    const local = b.alloca(4, 4, "x");
    const wide = b.iconst("i64", 1);
    b.ret(value);
    b.ret(value);
    b.store(local, value);
    b.unreachable();
    expect(func.blocks[0].instrs[0]).toBe(local);
    expect(next.preds.length).toBe(2);
    expect(func.blocks.length).toBe(3);
    expect(value).toMatchObject({ op: "const", imm: 0xffffffffn });
    expect(() => b.binary("add", value, wide)).toThrow("f: add of i32 and i64");
    verify(Object.assign(new Module("t"), { functions: new Map([["f", func]]) }));
  });
});
