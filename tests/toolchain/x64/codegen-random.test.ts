/**
 * Proves that the back end computes the same as the interpreter, on random IR: as the frontend emits it (locals in
 * memory) and after all passes (phis, long live ranges). The independent checker also verifies the allocation of every
 * function.
 */
import { expect, test } from "vitest";
import type { Module } from "../../../toolchain/ir/ir.ts";
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import { optimize } from "../../../toolchain/passes/passes.ts";
import { randomModule } from "../random/ir-generator.ts";
import { allocationProblems, runNative } from "./codegen-native.ts";

const FIRST = Number(process.env.SEED ?? 1);
const COUNT = Number(process.env.COUNT ?? (process.env.SEED ? 1 : 20));
const CALLS = [{ name: "main", args: [] }];

const expected = (module: Module): bigint | string => {
  const outcome = new Interpreter(module, { maxSteps: 400_000 }).run("main");
  return outcome.kind === "returned" ? (outcome.value as bigint) : outcome.trap;
};

test(`random IR: ${COUNT} modules from seed ${FIRST}, compiled and run`, { timeout: 600_000 }, () => {
  let compared = 0;
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const value = expected(randomModule(seed));
    if (value === "steps") continue;
    for (const optimised of [false, true]) {
      const label = `${optimised ? "optimised" : "as built"}; replay: SEED=${seed} npx vitest run tests/toolchain/x64/codegen-random.test.ts`;
      const module = randomModule(seed);
      if (optimised) optimize(module);
      try {
        expect(allocationProblems(module), label).toEqual([]);
        const { results, signal } = runNative(module, CALLS);
        if (typeof value === "string") expect(signal, label).not.toBeNull();
        else expect({ result: results[0], signal }, label).toEqual({ result: value, signal: null });
      } catch (error) {
        throw new Error(`${label}\n${(error as Error).message}`, { cause: error });
      }
      compared++;
    }
  }
  expect(compared).toBeGreaterThan(COUNT / 2);
});
