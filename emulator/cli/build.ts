/** `margay build`: compiles recipes into images/out, or prints a stage of the compiler. */
import fs from "node:fs";
import path from "node:path";
import { buildImage } from "../../images/build.ts";
import { type Recipe, recipes } from "../../images/recipes.ts";
import { formatDiagnostic } from "../../toolchain/frontend/diagnostics.ts";
import { EXIT_REFUSED, UserError } from "./errors.ts";
import { imagesOut } from "./inputs.ts";
import { packageRoot } from "./package.ts";
import { Progress } from "./terminal.ts";



function select(names: readonly string[]): readonly Recipe[] {
  if (names.length === 0) return recipes;
  return names.map((name) => {
    const recipe = recipes.find((r) => r.name === name);
    if (!recipe) throw new UserError("no such image", name, `build one of ${recipes.map((r) => r.name).join(", ")}`);
    return recipe;
  });
}

export function buildCommand(names: readonly string[], options: Record<string, string | undefined>): number {
  const chosen = select(names);
  const out = options["out"] ? path.resolve(options["out"]) : imagesOut;
  const progress = new Progress();
  let failed = false;
  for (const recipe of chosen) {
    progress.show(`building ${recipe.name}`);
    const result = buildImage(recipe, packageRoot, out);
    progress.clear();
    for (const d of result.diagnostics) process.stderr.write(`${formatDiagnostic(d)}\n`);
    if (result.written.length === 0) failed = true;
  }
  fs.mkdirSync(path.join(out, "root"), { recursive: true });
  return failed ? EXIT_REFUSED : 0;
}
