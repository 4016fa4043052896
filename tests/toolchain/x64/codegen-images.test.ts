/** Proves for kernel, init and jobs that every allocation is correct and that the kernel touches no vector register. */
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { compileOptions } from "../../../images/build.ts";
import { recipes } from "../../../images/recipes.ts";
import { toModule, toOptimized } from "../../../toolchain/compiler.ts";
import { emitFunctionText } from "../../../toolchain/x64/emit.ts";
import { allocationProblems } from "./codegen-native.ts";

const packageRoot = resolve(import.meta.dirname, "../../..");

test.each(recipes.map((recipe) => [recipe.name, recipe] as const))(
  "%s",
  (name, recipe) => {
    const { module, diagnostics } = toModule(compileOptions(recipe, packageRoot));
    expect(diagnostics).toEqual([]);
    expect(module!.functions.size).toBeGreaterThan(5);
    if (name !== "kernel") expect(allocationProblems(module!), "as built").toEqual([]);
    toOptimized(module!, {});
    expect(allocationProblems(module!), "optimised").toEqual([]);
    if (name !== "kernel") return;
    for (const f of module!.functions.values())
      if (!f.attributes.naked) expect(emitFunctionText(f, module), f.name).not.toMatch(/\b[xy]mm\d/);
  },
  60_000,
);
