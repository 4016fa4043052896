/**
 * The compiler from the IR on, with one deliberate bug: a text in one source file is replaced before the file is
 * translated, so the sources stay unchanged. Modules that do not import the file, directly or indirectly, are shared
 * with the compiler without the bug, so the JavaScript engine translates and optimises them once for all bugs. IR is
 * passed as text, because the mutant's classes may differ.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { runInThisContext } from "node:vm";
import { transformSync } from "esbuild";
import type { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import type { parseModule } from "../../../toolchain/ir/parser.ts";
import type { verify } from "../../../toolchain/ir/verifier.ts";
import type { link } from "../../../toolchain/link/link.ts";
import type { optimize } from "../../../toolchain/passes/passes.ts";
import type { emitModule } from "../../../toolchain/x64/emit.ts";

export interface Mutation {
  /** A name of `passNames`, or "back end". */
  readonly pass: string;
  /** Relative to toolchain/. */
  readonly file: string;
  /** Description of the bug. */
  readonly bug: string;
  /** Occurs exactly once in the file. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly parseModule: typeof parseModule;
  readonly optimize: typeof optimize;
  readonly verify: typeof verify;
  readonly Interpreter: typeof Interpreter;
  readonly emitModule: typeof emitModule;
  readonly link: typeof link;
}

const TOOLCHAIN = join(import.meta.dirname, "../../../toolchain");
const EXPORTS = {
  parseModule: "ir/parser.ts",
  optimize: "passes/passes.ts",
  verify: "ir/verifier.ts",
  Interpreter: "ir/interpreter.ts",
  emitModule: "x64/emit.ts",
  link: "link/link.ts",
} as const;

/** Why the mutation cannot be applied; null = it can. */
export function staleness({ file, find }: Mutation): string | null {
  const count = readFileSync(join(TOOLCHAIN, file), "utf8").split(find).length - 1;
  return count === 1
    ? null
    : `toolchain/${file}: ${JSON.stringify(find)} occurs ${count} times; update the table in mutations.ts`;
}

type Exports = Record<string, unknown>;
interface Translated {
  readonly run: (exports: Exports, require: (id: string) => unknown, module: { exports: Exports }) => void;
  /** Imports within the toolchain. */
  readonly imports: readonly string[];
}
const translated = new Map<string, Translated>();
/** Modules without a bug. */
const sound = new Map<string, { exports: Exports }>();
const nodeRequire = createRequire(import.meta.url);

function translate(path: string, source: string): Translated {
  const { code } = transformSync(source, { loader: "ts", format: "cjs", target: "node20" });
  const run = runInThisContext(`(function (exports, require, module) { ${code}\n})`, {
    filename: path,
  }) as Translated["run"];
  return { run, imports: [...code.matchAll(/require\("(\.[^"]+)"\)/g)].map((m) => join(dirname(path), m[1])) };
}
function soundly(path: string): Translated {
  const known = translated.get(path) ?? translate(path, readFileSync(path, "utf8"));
  translated.set(path, known);
  return known;
}

/** Without a mutation: the original compiler. */
export function loadMutant(mutation: Mutation | null): Mutant {
  const broken = mutation ? join(TOOLCHAIN, mutation.file) : null;
  // By a function: "$" has no meaning in the replacement.
  const text = broken ? readFileSync(broken, "utf8").replace(mutation?.find ?? "", () => mutation?.replace ?? "") : "";
  const bug = broken ? translate(broken, text) : null;
  const reaches = new Map<string, boolean>();
  const isAffected = (path: string): boolean => {
    const known = reaches.get(path);
    if (known !== undefined) return known;
    reaches.set(path, path === broken);
    const is = path === broken || soundly(path).imports.some(isAffected);
    reaches.set(path, is);
    return is;
  };
  const own = new Map<string, { exports: Exports }>();
  const load = (path: string): Exports => {
    const cache = isAffected(path) ? own : sound;
    const known = cache.get(path);
    if (known) return known.exports;
    const module = { exports: {} as Exports };
    cache.set(path, module);
    const { run } = path === broken && bug ? bug : soundly(path);
    run(module.exports, (id) => (id.startsWith(".") ? load(join(dirname(path), id)) : nodeRequire(id)), module);
    return module.exports;
  };
  const entries = Object.entries(EXPORTS).map(([name, file]) => [name, load(join(TOOLCHAIN, file))[name]]);
  return Object.fromEntries(entries) as Mutant;
}
