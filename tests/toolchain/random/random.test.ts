/**
 * Proves that frontend, passes and back end agree with each other and with gcc on fixed random programs: every way of
 * running one gives the same checksum (harness.ts); the first ones also with each pass left out and each alone. `make
 * fuzz N=… SEED=…` tries more.
 */
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { passNames } from "../../../toolchain/passes/passes.ts";
import { replayCommand } from "./fuzz.ts";
import { generate } from "./generator.ts";
import { difference, everyWay, type Results, runAll, whyNoGcc, whyNoNative } from "./harness.ts";
import type { Program } from "./program.ts";
import { reduce } from "./reduce.ts";
import { renderC, renderTypeScript } from "./render.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const FIRST = 1;
const COUNT = 32;
/** Programs that run with single passes. */
const EACH = 8;

for (const why of [whyNoGcc(), whyNoNative()]) if (why) console.log(`random programs: left out: ${why}`);
const programs = Array.from({ length: COUNT }, (_, i) => generate(FIRST + i));
const expectEqual = (of: readonly Program[], results: readonly Results[]): void => {
  const failures = results.flatMap((r, i) => {
    const shown = difference(r);
    return shown === null ? [] : [`seed ${of[i].seed} differs; replay: ${replayCommand(of[i].seed)}\n${shown}`];
  });
  expect(failures.join("\n")).toBe("");
  for (const r of results) expect(r.get("ir")).toMatch(/^[0-9a-f]{16}$/);
};

test(`random programs, seeds ${FIRST} to ${FIRST + COUNT - 1}`, { timeout: 120_000 }, () => {
  const results = runAll(programs, ROOT, { ...everyWay(), passes: [] });
  expectEqual(programs, results);
  // If all programs computed the same, the test would prove little.
  expect(new Set(results.map((r) => r.get("ir"))).size).toBe(COUNT);
});

test(`each pass left out and each alone, seeds ${FIRST} to ${FIRST + EACH - 1}`, { timeout: 120_000 }, () => {
  const first = programs.slice(0, EACH);
  const results = runAll(first, ROOT, { ...everyWay(), gcc: [], native: [] });
  expectEqual(first, results);
  expect(results[0].size).toBe(2 + 2 * passNames.length);
});

test("the fixed programs have everything that the language has", () => {
  const texts = programs.map((p) => renderTypeScript(p, "p"));
  // biome-ignore format: a table
  const wanted = [
    "@packed class", "volatileRead(", "volatileWrite(", "atomicLoad(", "atomicStore(", "atomicExchange(", "atomicAdd(", "atomicAnd(", "atomicOr(",
    "atomicXor(", "atomicCompareExchange(", " fence();", "compilerFence();", "class Stack<", "class Ring<", "gen<T extends number>", "bitsOfF64(",
    "f64FromBits(", "while (", "do {", "switch (", "default: {", "continue;", "copy(addr(", "zero(addr(", "mulHigh(", "rotateLeft(", "byteSwap(",
  ];
  for (const text of wanted) expect(texts.filter((t) => t.includes(text)).length, text).toBeGreaterThan(1);
  for (const pattern of [
    /: F\d\) *[,:]|: F\d[,)]/,
    /t\d\[.*\]\(/,
    /fp\d+\(/,
    /\.m\d\(/,
    /^ +\} *\n +case/m,
    /case .*: case/,
  ])
    expect(texts.filter((t) => pattern.test(t)).length, `${pattern}`).toBeGreaterThan(1);
  const c = programs.map((p) => renderC(p, "p_")).join("\n");
  for (const width of [8, 16, 32, 64]) expect(c).toMatch(new RegExp(`[ui]${width} v\\d+ = __atomic_fetch`));
});

test("equal seeds give equal programs", () => {
  expect(renderTypeScript(generate(7), "p")).toBe(renderTypeScript(generate(7), "p"));
  expect(renderTypeScript(generate(8), "p")).not.toBe(renderTypeScript(generate(7), "p"));
});

test("the reducer keeps what fails and drops the rest", () => {
  const program = generate(5);
  const divides = (text: string): boolean => text.includes(" % ");
  const body = (p: Program): string => renderTypeScript({ ...p, containers: [] }, "p");
  const small = reduce(program, (candidate) => divides(body(candidate)), 2000);
  expect(divides(body(program))).toBe(true);
  expect(divides(body(small))).toBe(true);
  const statements = small.functions.reduce((n, f) => n + f.body.length, 0);
  expect(statements).toBeLessThanOrEqual(3);
});
