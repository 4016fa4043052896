/**
 * Proves the effect of the loop passes, on the smallest loop that shows it, and what they must not change; results by
 * the interpreter.
 */
import { describe, expect, test } from "vitest";
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import type { Func, Module } from "../../../toolchain/ir/ir.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { verify } from "../../../toolchain/ir/verifier.ts";
import { optimize } from "../../../toolchain/passes/passes.ts";

const DATA = 'data @d "d" section ".data" align 8 size 64\ndata @e "e" section ".data" align 8 size 8\n';
function parsed(signature: string, body: string): Module {
  const module = parseModule(`module "t"\n${DATA}func @f "f" ${signature} section ".text" keep {\n${body}\n}\n`);
  verify(module);
  return module;
}
/** Operations of each block after the passes, without leaves and parameters. */
function shape(module: Module, only: readonly string[]): string[] {
  optimize(module, { verify: true, only });
  const leaves = ["const", "param", "symbol"];
  const ops = (b: Func["blocks"][number]): string =>
    b.instrs
      .filter((i) => !leaves.includes(i.op))
      .map((i) => i.op)
      .join(" ");
  return (module.functions.get("f") as Func).blocks.map(ops);
}
/** Result of f, and the first two words of d, before and after all passes. */
function runs(signature: string, body: string, args: bigint[]): unknown[] {
  return [false, true].map((isOptimized) => {
    const module = parsed(signature, body);
    if (isOptimized) optimize(module, { verify: true });
    const interpreter = new Interpreter(module);
    const outcome = interpreter.run("f", args);
    const bytes = interpreter.bytesAt(interpreter.addressOf("d"), 16);
    return [outcome.kind === "returned" ? outcome.value : outcome.trap, [...bytes]];
  });
}
/** for (i = 0; i < n; i++) BODY. %0 is n, %2 is i, %5 is 1; values from %10 on are the body's. */
const loop = (body: string, result = "%2"): string =>
  `b0:\n  %0 = param i64 0\n  %1 = const i64 0\n  %5 = const i64 1\n  jump b1\nb1: preds b0, b2\n  %2 = phi i64 [%1, %3]\n  %4 = ult i8 %2, %0\n  branch %4 ? b2 : b3\nb2: preds b1\n${body}\n  %3 = add i64 %2, %5\n  jump b1\nb3: preds b1\n  ret ${result}`;
const COUNT = "  %10 = symbol i64 @d\n  %11 = load i64 %10\n  %12 = add i64 %11, %2\n  store %10, %12";

describe("preheaders", () => {
  test("two ways into a loop meet in one block; a phi takes their values there", () => {
    const body =
      "b0:\n  %0 = param i64 0\n  %1 = const i64 0\n  %5 = const i64 1\n  %6 = ult i8 %0, %5\n  branch %6 ? b1 : b2\nb1: preds b0\n  jump b3\nb2: preds b0\n  jump b3\nb3: preds b1, b2, b3\n  %2 = phi i64 [%1, %5, %3]\n  %3 = add i64 %2, %5\n  %4 = ult i8 %3, %0\n  branch %4 ? b3 : b4\nb4: preds b3\n  ret %3";
    expect(shape(parsed('(i64 "n") i64', body), ["preheaders"])).toEqual([
      "ult branch",
      "jump",
      "jump",
      "phi jump",
      "phi add ult branch",
      "ret",
    ]);
  });
});

describe("licm", () => {
  test("what does not change is computed in front, with what it is made of; a comparison and a displacement stay", () => {
    const body = loop(
      "  %10 = const i64 77\n  %11 = mul i64 %0, %10\n  %12 = xor i64 %11, %0\n  %13 = add i64 %0, %10\n  %14 = ult i8 %12, %13\n  %15 = symbol i64 @d\n  store %15, %14",
    );
    expect(shape(parsed('(i64 "n") i64', body), ["gvn", "licm"])).toEqual([
      "mul xor jump",
      "phi ult branch",
      "add ult store add jump",
      "ret",
    ]);
  });
  test("loads and divisions that may trap stay", () => {
    const body = loop("  %10 = symbol i64 @d\n  %11 = load i64 %10\n  %12 = udiv i64 %5, %0\n  store %10, %12");
    expect(shape(parsed('(i64 "n") i64', body), ["gvn", "licm"])[2]).toBe("load udiv store add jump");
  });
  test("not more than a few values", () => {
    const many = Array.from(
      { length: 9 },
      (_, i) => `  %${20 + i} = mul i64 %0, %${i === 0 ? 0 : 19 + i}\n  store %10, %${20 + i}`,
    ).join("\n");
    const [before, , inside] = shape(parsed('(i64 "n") i64', loop(`  %10 = symbol i64 @d\n${many}`)), ["gvn", "licm"]);
    expect([before, inside].map((ops) => ops!.split(" ").filter((op) => op === "mul").length)).toEqual([5, 4]);
  });
});

describe("promote", () => {
  const promoted = (body: string): string =>
    shape(parsed('(i64 "n") i64', loop(body)), ["promote", "mem2reg", "dce"]).join(" | ");
  const insideOf = (blocks: string): string => blocks.split(" | ").find((ops) => /^(?!phi).*add jump$/.test(ops)) ?? "";
  test("a counter in memory is a value in the loop, and stored behind it only if the loop stored to it", () => {
    expect(promoted(COUNT)).toBe(
      "load jump | phi phi phi ult branch | branch | store jump | jump | add add jump | ret",
    );
  });
  test("and computes the same, no turn included", () => {
    for (const n of [0n, 1n, 10n]) {
      const [plain, optimised] = runs('(i64 "n") i64', loop(COUNT), [n]);
      expect(optimised).toEqual(plain);
    }
  });
  test("an index that a mask keeps away does not hinder it, one that may reach the place does", () => {
    const at = (mask: number, offset: number): string =>
      `${COUNT}\n  %20 = const i64 ${mask}\n  %21 = and i64 %2, %20\n  %22 = const i64 3\n  %23 = shl i64 %21, %22\n  %24 = add i64 %10, %23\n  %25 = const i64 ${offset}\n  %26 = add i64 %24, %25\n  store %26, %12`;
    expect(insideOf(promoted(at(3, 8)))).toBe("add and shl add add store add jump");
    expect(insideOf(promoted(at(3, 0)))).toContain("load add store");
    const [plain, optimised] = runs('(i64 "n") i64', loop(at(3, 0)), [9n]);
    expect(optimised).toEqual(plain);
  });
  test.each([
    ["another datum within its bounds", "  %20 = symbol i64 @e\n  store %20, %12", true],
    ["another datum out of its bounds", "  %20 = symbol i64 @e+8\n  store %20, %12", false],
    ["a pointer", "  store %0, %12", false],
    ["a volatile access", "  %20 = symbol i64 @e\n  store %20, %12 volatile", false],
    ["a fence", "  fence", false],
    ["a call", "  %20 = call i64 @f (%0)", false],
    ["a division that may trap", "  %20 = udiv i64 %12, %0\n  %21 = symbol i64 @e\n  store %21, %20", false],
    ["an access of another width", "  %20 = load i32 %10", false],
  ])("beside %s", (_, more, isPromoted) => {
    expect(insideOf(promoted(`${COUNT}\n${more}`)).startsWith("load")).toBe(!isPromoted);
  });
  test("a loop that only reads goes on reading", () => {
    expect(promoted("  %10 = symbol i64 @d\n  %11 = load i64 %10\n  %12 = symbol i64 @e\n  store %12, %11")).toContain(
      "| load store add jump |",
    );
  });
});
