/**
 * Debug information affects nothing: with and without it, every image's code, data and line rows are the same, byte for
 * byte.
 */
import path from "node:path";
import { describe, expect, test } from "vitest";
import { compileOptions } from "../../../images/build.ts";
import { recipes } from "../../../images/recipes.ts";
import { type CompileOptions, toModule, toObject, toOptimized } from "../../../toolchain/compiler.ts";
import { formatDiagnostic } from "../../../toolchain/frontend/diagnostics.ts";
import type { Chunk, LineRow, ObjectModule } from "../../../toolchain/link/object.ts";

const packageRoot = path.resolve(import.meta.dirname, "../../..");
const program = (name: string, folder: string): CompileOptions => ({
  name,
  roots: [path.join(packageRoot, folder, "main.ts")],
  packageRoot,
  entry: "_start",
  layout: { kind: "program", entry: "_start", base: 0n, address: 0x40_0000n },
});
const images = [
  ...recipes.map((r) => compileOptions(r, packageRoot)),
  program("cases", "tests/toolchain/debug/cases"),
  program("kernels of the bench", "tests/bench/kernels/cases"),
];

function objectOf(options: CompileOptions, debug: boolean): ObjectModule {
  const { module, diagnostics } = toModule({ ...options, debug });
  if (!module) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  toOptimized(module, options);
  return toObject(module);
}

const asText = (value: unknown): string =>
  JSON.stringify(value, (_key, v: unknown) => (typeof v === "bigint" ? `${v}` : v instanceof Map ? [...v] : v));
const rowOf = ({ offset, file, line, column, mark }: LineRow): string =>
  `${offset} ${file}:${line}:${column} ${mark ?? ""}`;
/** The rows of code; a row that only returns from a statement without code does not count. */
function rowsOf({ lines }: Chunk): string[] {
  const rows = lines.filter(({ mark }) => mark !== "no code").map(rowOf);
  const place = (row: string | undefined): string | undefined => row?.slice(row.indexOf(" "));
  return rows.filter(
    (row, i) =>
      row.endsWith("end") || row.endsWith("begin") || place(row) !== place(rows[i - 1])?.replace(/ \w+ \w+$/, " "),
  );
}

describe.each(images.map((o) => [o.name, o] as const))("%s", (_name, options) => {
  test("has the same code with debug information and without", { timeout: 120_000 }, () => {
    const [described, plain] = [objectOf(options, true), objectOf(options, false)];
    expect(described.chunks.map((c) => c.symbol)).toEqual(plain.chunks.map((c) => c.symbol));
    described.chunks.forEach((chunk, i) => {
      const { debug: _debug, datum: _datum, bytes, lines: _lines, ...rest } = chunk;
      const { bytes: plainBytes, lines: _plainLines, ...plainRest } = plain.chunks[i];
      expect(Buffer.from(bytes ?? []).toString("hex"), chunk.symbol).toBe(
        Buffer.from(plainBytes ?? []).toString("hex"),
      );
      expect(rowsOf(chunk), chunk.symbol).toEqual(rowsOf(plain.chunks[i]));
      expect(asText(rest)).toBe(asText(plainRest));
    });
    expect(plain.chunks.some((c) => c.debug ?? c.datum)).toBe(false);
    const functions = described.chunks.filter((c) => c.isFunction && c.debug);
    expect(functions.length).toBeGreaterThan(0);
    for (const { debug, size } of functions) expect(debug?.scopes[0].ranges).toEqual([{ start: 0, end: size }]);
  });
});
