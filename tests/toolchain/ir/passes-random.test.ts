/**
 * Proves that no pass changes what random IR computes: the interpreter gives the same result before and after, also
 * with each single pass left out.
 */
import { expect, test } from "vitest";
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import type { Module } from "../../../toolchain/ir/ir.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { printModule } from "../../../toolchain/ir/printer.ts";
import { verify } from "../../../toolchain/ir/verifier.ts";
import { optimize, passNames } from "../../../toolchain/passes/passes.ts";
import { randomModule } from "../random/ir-generator.ts";

const FIRST = Number(process.env.SEED ?? 1);
const COUNT = Number(process.env.COUNT ?? (process.env.SEED ? 1 : 60));
/** Modules that also run with each single pass left out, which takes the most time. All of them if seeds are given. */
const EACH = process.env.SEED ? COUNT : 25;
const run = (module: Module): string => {
  const outcome = new Interpreter(module, { maxSteps: 400_000 }).run("main");
  return outcome.kind === "returned" ? `${outcome.value}` : outcome.trap;
};

test(`random IR: ${COUNT} modules from seed ${FIRST}`, { timeout: 600_000 }, () => {
  let returned = 0;
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const replay = `replay: SEED=${seed} npx vitest run tests/toolchain/ir/passes-random.test.ts`;
    const module = randomModule(seed);
    verify(module);
    const text = printModule(module);
    expect(printModule(parseModule(text)), replay).toBe(text);
    const expected = run(module);
    if (expected === "steps") continue;
    returned++;
    for (const except of seed < FIRST + EACH ? [null, ...passNames] : [null]) {
      const copy = parseModule(text);
      const label = `${except === null ? "all passes" : `all but ${except}`}; ${replay}`;
      try {
        // Verified after every pass if all run; at the end if one is left out.
        optimize(copy, { verify: except === null, except: except === null ? [] : [except] });
        verify(copy);
      } catch (error) {
        throw new Error(`${label}\n${(error as Error).message}`, { cause: error });
      }
      expect(run(copy), label).toBe(expected);
    }
  }
  expect(returned).toBeGreaterThan(COUNT / 2);
});
