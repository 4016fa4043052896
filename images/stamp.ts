/**
 * Whether an image must be rebuilt. Its stamp holds a hash of its inputs and a hash of its output, so that an edited
 * source, another compiler and a damaged image cause a rebuild, and nothing else does.
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import type { Recipe } from "./recipes.ts";
import { hashOfImage } from "./sources.ts";

/** Relative to the output folder. */
export const stampFile = (recipe: Recipe): string => `stamps/${recipe.name}`;

/** The stamp for the present sources and output folder. Throws if a file is missing. */
export function stampOf(recipe: Recipe, packageRoot: string, out: string): string {
  const roots = recipe.roots.map((root) => path.join(packageRoot, root));
  const outputs = createHash("sha256");
  for (const name of [recipe.output, recipe.elf, `maps/${recipe.name}.map`])
    if (name !== undefined) outputs.update(fs.readFileSync(path.join(out, name)));
  return `${hashOfImage(packageRoot, roots, recipe)}\n${outputs.digest("hex")}\n`;
}

export function isUpToDate(recipe: Recipe, packageRoot: string, out: string): boolean {
  try {
    return fs.readFileSync(path.join(out, stampFile(recipe)), "utf8") === stampOf(recipe, packageRoot, out);
  } catch {
    return false;
  }
}
