/**
 * Every refused construct has a case: NAME.ts beside NAME.expected, the lines that the compiler prints for it.
 * `UPDATE=1 npx vitest run tests/toolchain/frontend/diagnostics` accepts the present output.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { toModule } from "../../../../toolchain/compiler.ts";
import { codes, formatDiagnostic } from "../../../../toolchain/frontend/diagnostics.ts";

const folder = path.join(import.meta.dirname, "cases");
const cases = readdirSync(folder)
  .filter((f) => f.endsWith(".ts"))
  .map((f) => f.slice(0, -3));

function diagnose(name: string): string {
  const { diagnostics } = toModule({
    name,
    roots: [path.join(folder, `${name}.ts`)],
    packageRoot: folder,
    entry: null,
  });
  return diagnostics.map((d) => `${formatDiagnostic(d)}\n`).join("");
}

describe("a refused construct is named, placed, and told what to write instead", () => {
  test.each(cases)("%s", (name) => {
    const actual = diagnose(name);
    const file = path.join(folder, `${name}.expected`);
    if (process.env["UPDATE"]) writeFileSync(file, actual);
    expect(existsSync(file), `${name}.expected is missing; run with UPDATE=1 and review it`).toBe(true);
    expect(actual).toBe(readFileSync(file, "utf8"));
    expect(actual).toContain(` error ${name.slice(0, 6)}: `);
    expect(actual).not.toContain("MG9999");
  });

  test("every code of the table that a source file can cause has a case", () => {
    const elsewhere = new Set(["MG0001", "MG0003", "MG0004", "MG0005", "MG9999"]);
    expect(Object.keys(codes).filter((c) => !elsewhere.has(c) && !cases.some((n) => n.startsWith(c)))).toEqual([]);
  });

  test("every message of ours says what to write instead", () => {
    for (const name of cases) {
      for (const line of readFileSync(path.join(folder, `${name}.expected`), "utf8")
        .trimEnd()
        .split("\n")) {
        if (!line.includes("error TS") && !line.includes("error MG5001")) expect(line).toMatch(/write .*instead/);
      }
    }
  });
});
