/** Builds recipes into images/out: an ELF or flat image and, beside each, its link map and its stamp (stamp.ts). */
import fs from "node:fs";
import path from "node:path";
import { type CompileOptions, compile } from "../toolchain/compiler.ts";
import type { Diagnostic } from "../toolchain/frontend/diagnostics.ts";
import type { Recipe } from "./recipes.ts";
import { stampFile, stampOf } from "./stamp.ts";

export interface BuildResult {
  readonly recipe: Recipe;
  readonly diagnostics: readonly Diagnostic[];
  /** Files written, relative to `out`; empty if there were errors. */
  readonly written: readonly string[];
}

export const compileOptions = (recipe: Recipe, packageRoot: string): CompileOptions => ({
  name: recipe.name,
  roots: recipe.roots.map((r) => path.join(packageRoot, r)),
  packageRoot,
  entry: recipe.layout.entry,
  layout: recipe.layout,
});

/** Compiles one recipe; writes nothing if the source has errors. */
export function buildImage(recipe: Recipe, packageRoot: string, out: string): BuildResult {
  const { image, diagnostics } = compile(compileOptions(recipe, packageRoot));
  if (!image) return { recipe, diagnostics, written: [] };
  const written: string[] = [];
  const write = (name: string, content: Uint8Array | string, mode = 0o644): void => {
    const file = path.join(out, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(`${file}.new`, content, { mode });
    // A job sees its program's time. Without it every build of the same sources gives the same runs.
    fs.utimesSync(`${file}.new`, 0, 0);
    fs.renameSync(`${file}.new`, file);
    written.push(name);
  };
  write(recipe.output, image.flat ?? image.elf, recipe.layout.kind === "program" ? 0o755 : 0o644);
  if (recipe.elf) write(recipe.elf, image.elf);
  write(`maps/${recipe.name}.map`, image.map);
  // Written last, so that an interrupted build is repeated.
  write(stampFile(recipe), stampOf(recipe, packageRoot, out));
  return { recipe, diagnostics, written };
}
