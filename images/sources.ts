/**
 * The inputs that decide an image's bytes: the compiler, the language's declarations, the sources and their imports.
 */
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";

const IMPORT =
  /^\s*(?:import|export)\b[^"'`]*?from\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/gm;

/** Module specifiers in `text`, type-only imports included, in order. */
export const specifiersIn = (text: string): string[] => [...text.matchAll(IMPORT)].map((m) => m[1] ?? m[2] ?? m[3]!);

/** `roots` and all files that they import, directly or indirectly; absolute paths, sorted. */
export function closure(roots: readonly string[]): string[] {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const to of specifiersIn(fs.readFileSync(file, "utf8")))
      if (to.startsWith(".")) visit(path.resolve(path.dirname(file), to));
  };
  for (const root of roots) visit(path.resolve(root));
  return [...seen].sort();
}

/**
 * SHA-256 of the inputs that decide the bytes of an image made of `roots` (absolute paths) with `options`. The compiler
 * is identified by its bundle, dist/toolchain.js. Paths count as well, because debug information contains them. Throws
 * if a file is missing.
 */
export function hashOfImage(packageRoot: string, roots: readonly string[], options: unknown): string {
  const hash = createHash("sha256").update(fs.readFileSync(path.join(packageRoot, "dist/toolchain.js")));
  const declarations = path.join(packageRoot, "toolchain/lib");
  const names = fs.readdirSync(declarations).filter((name) => name.endsWith(".d.ts"));
  for (const file of [...names.map((name) => path.join(declarations, name)), ...closure(roots)])
    hash.update(`\n${path.relative(packageRoot, file)}\n`).update(fs.readFileSync(file));
  return hash.update(JSON.stringify(options, (_, v) => (typeof v === "bigint" ? `${v}` : v))).digest("hex");
}
