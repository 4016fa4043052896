/**
 * `margay build`: compiles recipes into images/out, or prints a stage of the compiler. Images that are up to date are
 * left alone; the compiler is loaded only if there is something to compile.
 */
import fs from "node:fs";
import path from "node:path";
import { type Recipe, recipes } from "../../images/recipes.ts";
import { isUpToDate } from "../../images/stamp.ts";
import { EXIT_REFUSED, reasonOf, UserError } from "./errors.ts";
import { makeDirectories } from "./files.ts";
import { imagesOut } from "./inputs.ts";
import { print, printError } from "./output.ts";
import { packageRoot } from "./package.ts";
import type { Texts } from "./parse.ts";
import { Progress } from "./terminal.ts";

function select(names: readonly string[]): readonly Recipe[] {
  if (names.length === 0) return recipes;
  return names.map((name) => {
    const recipe = recipes.find((r) => r.name === name);
    if (!recipe)
      throw new UserError("no such image", `'${name}'`, `build one of ${recipes.map((r) => r.name).join(", ")}`);
    return recipe;
  });
}

export async function buildCommand(names: readonly string[], options: Texts): Promise<number> {
  const chosen = select(names);
  const stage = options["emit"];
  if (stage !== undefined) return emitStage(chosen, stage);
  if (options["out"] === "") throw new UserError("bad --out", "''", "give a directory");
  const out = options["out"] === undefined ? imagesOut : path.resolve(options["out"]);
  mustBeWritable(out);
  const stale = chosen.filter((recipe) => !isUpToDate(recipe, packageRoot, out));
  if (stale.length === 0) return 0;
  const { buildImage } = await import("../../images/build.ts");
  const { formatDiagnostic } = await import("../../toolchain/frontend/diagnostics.ts");
  const progress = new Progress();
  let failed = false;
  for (const recipe of stale) {
    progress.show(`building ${recipe.name}`);
    const result = buildImage(recipe, packageRoot, out);
    progress.clear();
    for (const d of result.diagnostics) printError(`${formatDiagnostic(d)}\n`);
    if (result.written.length === 0) failed = true;
  }
  return failed ? EXIT_REFUSED : 0;
}

/** Creates the output folder. Checked before anything is compiled: the installation may be read-only for this user. */
function mustBeWritable(out: string): void {
  try {
    makeDirectories(path.join(out, "root"));
    fs.accessSync(out, fs.constants.W_OK | fs.constants.X_OK);
  } catch (error) {
    throw new UserError("cannot write images", `${out}: ${reasonOf(error)}`, "give another folder by --out DIR");
  }
}

async function emitStage(chosen: readonly Recipe[], stage: string): Promise<number> {
  const { dump, stages } = await import("../../toolchain/dump.ts");
  const { compileOptions } = await import("../../images/build.ts");
  const { formatDiagnostic } = await import("../../toolchain/frontend/diagnostics.ts");
  if (!stages.includes(stage)) throw new UserError("bad --emit", `'${stage}'`, `give one of ${stages.join(", ")}`);
  let failed = false;
  for (const recipe of chosen) {
    const { text, diagnostics } = dump(stage, compileOptions(recipe, packageRoot));
    print(text);
    for (const d of diagnostics) printError(`${formatDiagnostic(d)}\n`);
    failed ||= diagnostics.length > 0;
  }
  return failed ? EXIT_REFUSED : 0;
}
