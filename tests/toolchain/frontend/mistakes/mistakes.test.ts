/**
 * The mistakes that a TypeScript programmer makes first: NAME.ts is a natural program, NAME.expected the compiler's
 * output, and NAME.fixed.ts the program after following the messages: it compiles. Read the three side by side.
 * `UPDATE=1 npx vitest run tests/toolchain/frontend/mistakes` accepts the present output.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { toModule } from "../../../../toolchain/compiler.ts";
import { formatDiagnostic } from "../../../../toolchain/frontend/diagnostics.ts";

const folder = path.join(import.meta.dirname, "cases");
const mistakes = readdirSync(folder)
  .filter((f) => f.endsWith(".ts") && !f.endsWith(".fixed.ts"))
  .map((f) => f.slice(0, -3));

const diagnose = (file: string): string =>
  toModule({ name: file, roots: [path.join(folder, file)], packageRoot: folder, entry: null })
    .diagnostics.map((d) => `${formatDiagnostic(d)}\n`)
    .join("");

test("there are at least twenty", () => {
  expect(mistakes.length).toBeGreaterThanOrEqual(20);
});

describe("a mistake leads to the right code", () => {
  test.each(mistakes)("%s", (name) => {
    const file = path.join(folder, `${name}.expected`);
    const actual = diagnose(`${name}.ts`);
    if (process.env.UPDATE) writeFileSync(file, actual);
    expect(actual).toBe(readFileSync(file, "utf8"));
    // All messages are ours: TypeScript's checker does not know the language.
    for (const line of actual.trimEnd().split("\n"))
      expect(line).toMatch(/^\S+:\d+:\d+: error MG[1-5]\d{3}: .*write .*/);
    expect(diagnose(`${name}.fixed.ts`), "what the message told to write").toBe("");
  });
});
