/** Debug information decides nothing: with it and without it every image's code, data and line rows are the same, byte for byte. */
import path from "node:path";
import { describe, expect, test } from "vitest";
import { compileOptions } from "../../../images/build.ts";
import { recipes } from "../../../images/recipes.ts";
import { type CompileOptions, toModule, toObject, toOptimized } from "../../../toolchain/compiler.ts";
import { formatDiagnostic } from "../../../toolchain/frontend/diagnostics.ts";
import type { Chunk, ObjectModule } from "../../../toolchain/link/object.ts";

const packageRoot = path.resolve(import.meta.dirname, "../../..");
const cases: CompileOptions = {
  name: "cases",
  roots: [path.join(packageRoot, "tests/toolchain/debug/cases/main.ts")],
  packageRoot,
  entry: "_start",
  layout: { kind: "program", entry: "_start", base: 0n, address: 0x40_0000n },
};
const kernels: CompileOptions = { ...cases, name: "kernels", roots: [path.join(packageRoot, "tests/bench/kernels/cases/main.ts")] };

function objectOf(options: CompileOptions, debug: boolean): ObjectModule {
  const { module, diagnostics } = toModule({ ...options, debug });
  if (!module) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  toOptimized(module, options);
  return toObject(module);
}
/** All that goes into the image, as text that shows a difference. */
const codeOf = ({ debug: _debug, datum: _datum, bytes, ...rest }: Chunk): string =>
  JSON.stringify(
    {
      ...rest,
      bytes: bytes && Buffer.from(bytes).toString("hex"),
      frame: rest.frame?.rows.map((r) => [r.offset, r.cfaRegister, r.cfaOffset, ...r.saved]),
    },
    (_key, v: unknown) => (typeof v === "bigint" ? `${v}` : v),
  );

describe.each([...recipes.map((r) => compileOptions(r, packageRoot)), cases, kernels].map((o) => [o.name, o] as const))(
  "%s",
  (_name, options) => {
    test("has the same code with debug information and without", () => {
      const [described, plain] = [objectOf(options, true), objectOf(options, false)];
      expect(described.chunks.map((c) => c.symbol)).toEqual(plain.chunks.map((c) => c.symbol));
      described.chunks.forEach((chunk, i) => expect(codeOf(chunk), chunk.symbol).toBe(codeOf(plain.chunks[i])));
      expect(plain.chunks.some((c) => c.debug ?? c.datum)).toBe(false);
      const functions = described.chunks.filter((c) => c.isFunction && c.debug);
      expect(functions.length).toBeGreaterThan(0);
      if (options.optimize !== false)
        for (const { debug, size } of functions) expect(debug?.scopes[0].ranges).toEqual([{ start: 0, end: size }]);
    });
  },
);
