/** `margay build`: compiles recipes into images/out, or prints a stage of the compiler. */
import fs from "node:fs";
import path from "node:path";
import { buildImage, compileOptions } from "../../images/build.ts";
import { type Recipe, recipes } from "../../images/recipes.ts";
import { dump, stages } from "../../toolchain/dump.ts";
import { formatDiagnostic } from "../../toolchain/frontend/diagnostics.ts";
import { EXIT_REFUSED, UserError } from "./errors.ts";
import { imagesOut, type Texts } from "./inputs.ts";
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

export function buildCommand(names: readonly string[], options: Texts): number {
  const chosen = select(names);
  const stage = options["emit"];
  if (stage !== undefined) return emitStage(chosen, stage);
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

function emitStage(chosen: readonly Recipe[], stage: string): number {
  if (!stages.includes(stage)) throw new UserError("bad --emit", `'${stage}'`, `give one of ${stages.join(", ")}`);
  let failed = false;
  for (const recipe of chosen) {
    const { text, diagnostics } = dump(stage, compileOptions(recipe, packageRoot));
    process.stdout.write(text);
    for (const d of diagnostics) process.stderr.write(`${formatDiagnostic(d)}\n`);
    failed ||= diagnostics.length > 0;
  }
  return failed ? EXIT_REFUSED : 0;
}
