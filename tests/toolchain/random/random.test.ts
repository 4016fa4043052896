/**
 * Proves that frontend, passes and back end agree with each other and with gcc on fixed random programs: every way of running one gives
 * one checksum (harness.ts). `make fuzz N=… SEED=…` tries more.
 */
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { replayCommand } from "./fuzz.ts";
import { generate } from "./generator.ts";
import { difference, runAll, whyNoGcc, whyNoNative } from "./harness.ts";
import { reduce } from "./reduce.ts";
import { renderTypeScript } from "./render.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const FIRST = 1;
const COUNT = 30;

const noGcc = whyNoGcc();
const noNative = whyNoNative();
for (const why of [noGcc, noNative]) if (why) console.log(`random programs: left out: ${why}`);

test(`random programs, seeds ${FIRST} to ${FIRST + COUNT - 1}`, { timeout: 120_000 }, () => {
  const programs = Array.from({ length: COUNT }, (_, i) => generate(FIRST + i));
  const results = runAll(programs, ROOT, { gcc: noGcc === null, native: noNative === null, each: true });
  const failures = results.flatMap((r, i) => {
    const shown = difference(r);
    return shown === null ? [] : [`seed ${programs[i].seed} differs; replay: ${replayCommand(programs[i].seed)}\n${shown}`];
  });
  expect(failures.join("\n")).toBe("");
  for (const r of results) expect(r.get("ir")).toMatch(/^[0-9a-f]{16}$/);
  // Programs that all computed the same would prove little.
  expect(new Set(results.map((r) => r.get("ir"))).size).toBe(COUNT);
});

test("equal seeds give equal programs", () => {
  expect(renderTypeScript(generate(7), "p")).toBe(renderTypeScript(generate(7), "p"));
  expect(renderTypeScript(generate(8), "p")).not.toBe(renderTypeScript(generate(7), "p"));
});

test("the reducer keeps what fails and drops the rest", () => {
  const program = generate(5);
  const divides = (text: string): boolean => text.includes(" / ");
  const small = reduce(program, (candidate) => divides(renderTypeScript(candidate, "p")), 2000);
  expect(divides(renderTypeScript(program, "p"))).toBe(true);
  expect(divides(renderTypeScript(small, "p"))).toBe(true);
  const statements = small.functions.reduce((n, f) => n + f.body.length, 0);
  expect(statements).toBeLessThanOrEqual(3);
});
