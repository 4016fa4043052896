/**
 * Natural code of the language, run by the IR interpreter before and after the passes: each function returns the value
 * in the comment above it. Proves that lowering preserves the language's meaning and that the module is well-formed.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { formatDiagnostic } from "../../../../toolchain/frontend/diagnostics.ts";
import { lowerProgram } from "../../../../toolchain/frontend/frontend.ts";
import { Interpreter } from "../../../../toolchain/ir/interpreter.ts";
import type { Module } from "../../../../toolchain/ir/ir.ts";
import { verify } from "../../../../toolchain/ir/verifier.ts";
import { optimize } from "../../../../toolchain/passes/passes.ts";

const folder = path.join(import.meta.dirname, "cases");

function lower(file: string): Module {
  const { module, diagnostics } = lowerProgram({
    name: file,
    roots: [path.join(folder, file)],
    packageRoot: folder,
    entry: null,
  });
  expect(diagnostics.map(formatDiagnostic)).toEqual([]);
  return module as Module;
}
function expectations(file: string): [string, bigint][] {
  const text = readFileSync(path.join(folder, file), "utf8");
  return [...text.matchAll(/\/\/ expect (-?\w+)\nexport function (\w+)/g)].map((m) => {
    const value = m[1] as string;
    return [m[2] as string, BigInt.asUintN(64, value.startsWith("-") ? -BigInt(value.slice(1)) : BigInt(value))];
  });
}

describe.each(readdirSync(folder).filter((f) => f.endsWith(".ts")))("%s", (file) => {
  const plain = lower(file);
  verify(plain);
  const optimized = lower(file);
  optimize(optimized, { verify: true });
  test.each(expectations(file))("%s", (name, value) => {
    for (const module of [plain, optimized]) {
      expect(new Interpreter(module).run(name)).toMatchObject({ kind: "returned", value });
    }
  });
});
