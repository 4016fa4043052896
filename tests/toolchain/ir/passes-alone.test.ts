/**
 * Proves, for each pass that copies blocks, decides branches or removes stores, that it alone does not change what
 * random IR computes, directly after mem2reg and again after passes that expose more; and that debug values after every
 * value of the module do not change its code.
 */
import { expect, test } from "vitest";
import { make, numbered } from "../../../toolchain/ir/builder.ts";
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import { type Func, type Instr, type Module, NO_LOC, type Scope, type Variable } from "../../../toolchain/ir/ir.ts";
import { widthOf } from "../../../toolchain/ir/ops.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { printModule } from "../../../toolchain/ir/printer.ts";
import { optimize } from "../../../toolchain/passes/passes.ts";
import { emitModule } from "../../../toolchain/x64/emit.ts";
import { randomModule } from "../random/ir-generator.ts";

const FIRST = Number(process.env.SEED ?? 101);
const COUNT = Number(process.env.COUNT ?? (process.env.SEED ? 1 : 40));
const PASSES = ["sccp", "thread", "rotate", "dse", "licm", "induction"];
const run = (module: Module): string => {
  const outcome = new Interpreter(module, { maxSteps: 400_000 }).run("main");
  return outcome.kind === "returned" ? `${outcome.value}` : outcome.trap;
};
const replayOf = (seed: number): string =>
  `replay: SEED=${seed} npx vitest run tests/toolchain/ir/passes-alone.test.ts`;

test(`each pass alone: ${COUNT} modules from seed ${FIRST}`, { timeout: 120_000 }, () => {
  let compared = 0;
  const changed = new Set<string>();
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const text = printModule(randomModule(seed));
    const expected = run(parseModule(text));
    if (expected === "steps") continue;
    for (const pass of PASSES) {
      for (const others of [["mem2reg"], ["mem2reg", "fold", "cfg", "gvn", "forward"]]) {
        const label = `${[...others, pass].join(", ")}; ${replayOf(seed)}`;
        const module = parseModule(text);
        let before = "";
        const onPass = (name: string): void => {
          const now = printModule(module);
          if (name === pass && now !== before) changed.add(pass);
          before = now;
        };
        optimize(module, { only: [...others, pass], verify: true, ...(seed < FIRST + 10 ? { onPass } : {}) });
        expect(run(module), label).toBe(expected);
        compared++;
      }
    }
  }
  expect(compared).toBeGreaterThan(COUNT * PASSES.length);
  expect([...changed].sort()).toEqual([...PASSES].sort());
});

/** A debug value after every value that is not a phi, and after the phis one for each phi. */
function watchAll(module: Module): void {
  for (const func of module.functions.values()) {
    const scope: Scope = {
      parent: null,
      function: { name: func.name, sourceName: func.name, loc: NO_LOC, result: -1 },
      inlinedAt: null,
    };
    func.scope = scope;
    let count = 0;
    const watch = (value: Instr): Instr[] => {
      if (value.type === "void") return [];
      const variable = { name: `v${count % 7}`, type: 0, loc: NO_LOC, scope, parameter: -1 };
      const indirect = value.op === "alloca";
      const bytes = indirect ? value.size : widthOf[value.type] / 8;
      const known = variables.get(variable.name) ?? variable;
      const dbg = numbered(func, make.debug({ variable: known, watched: value, indirect, offset: 0, bytes }, NO_LOC));
      dbg.block = value.block;
      variables.set(variable.name, known);
      count++;
      return [dbg];
    };
    const variables = new Map<string, Variable>();
    for (const block of (func as Func).blocks) {
      const phis = block.instrs.filter((i) => i.op === "phi");
      block.instrs = [
        ...phis,
        ...phis.flatMap(watch),
        ...block.instrs.slice(phis.length).flatMap((i) => [i, ...watch(i)]),
      ];
    }
  }
}

test(`debug values change no byte of the code: ${COUNT} modules from seed ${FIRST}`, { timeout: 120_000 }, () => {
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const code = (isWatched: boolean): string[] => {
      const module = randomModule(seed);
      if (isWatched) watchAll(module);
      optimize(module, { verify: isWatched });
      return emitModule(module).chunks.map((c) => `${c.symbol}: ${Buffer.from(c.bytes ?? []).toString("hex")}`);
    };
    expect(code(true), replayOf(seed)).toEqual(code(false));
  }
});
