/**
 * The compiler from the IR on, with one deliberate bug: a text of one source file is replaced while esbuild bundles it, so the sources stay
 * as they are. The bundle has its own copy of every class; IR goes into it and comes out of it as text, machine code as bytes.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { runInThisContext } from "node:vm";
import { build } from "esbuild";
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
  /** What the bug is, in words. */
  readonly bug: string;
  /** Stands exactly once in the file. */
  readonly find: string;
  readonly replace: string;
  /** The fixed seeds do not catch it yet. It is named in the output and tried only with OPEN=1. */
  readonly open?: true;
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
const EXPORTS = [
  ["ir/parser.ts", "parseModule"],
  ["passes/passes.ts", "optimize"],
  ["ir/verifier.ts", "verify"],
  ["ir/interpreter.ts", "Interpreter"],
  ["x64/emit.ts", "emitModule"],
  ["link/link.ts", "link"],
];

/** Why the mutation cannot be applied; null = it can. */
export function staleness({ file, find }: Mutation): string | null {
  const count = readFileSync(join(TOOLCHAIN, file), "utf8").split(find).length - 1;
  return count === 1 ? null : `toolchain/${file}: ${JSON.stringify(find)} occurs ${count} times; update the table in mutations.ts`;
}

/** Without a mutation: the compiler as it is. */
export async function bundleMutant(mutation: Mutation | null): Promise<Mutant> {
  const { outputFiles } = await build({
    stdin: {
      contents: EXPORTS.map(([file, name]) => `export { ${name} } from "./${file}";`).join("\n"),
      resolveDir: TOOLCHAIN,
      loader: "ts",
    },
    bundle: true,
    write: false,
    platform: "node",
    format: "iife",
    globalName: "mutant",
    target: "node20",
    logLevel: "silent",
    plugins: [
      {
        name: "mutation",
        setup(b) {
          if (!mutation) return;
          const path = join(TOOLCHAIN, mutation.file);
          b.onLoad({ filter: /\.ts$/ }, (args) => {
            if (args.path !== path) return null;
            // By a function: "$" has no meaning in the replacement.
            return { contents: readFileSync(path, "utf8").replace(mutation.find, () => mutation.replace), loader: "ts" };
          });
        },
      },
    ],
  });
  return runInThisContext(`(() => { ${outputFiles[0].text}\nreturn mutant; })()`) as Mutant;
}
