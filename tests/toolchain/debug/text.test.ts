/**
 * Debug information in the IR's text: printed text is read back and printed identically, before and after the passes.
 */
import path from "node:path";
import { expect, test } from "vitest";
import { toModule, toOptimized } from "../../../toolchain/compiler.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { printModule } from "../../../toolchain/ir/printer.ts";
import { verify } from "../../../toolchain/ir/verifier.ts";

const cases = path.join(import.meta.dirname, "cases");
const options = { name: "cases", roots: [path.join(cases, "main.ts")], packageRoot: cases, entry: "_start" };

test.each(["frontend", "all passes", "without mem2reg"])("%s", (stage) => {
  const { module } = toModule({ ...options, debug: true });
  if (!module) throw new Error("the cases do not compile");
  const except = stage.startsWith("without ") ? [stage.slice("without ".length)] : [];
  if (stage !== "frontend") toOptimized(module, { entry: "_start", passes: { verify: true, except } });
  const text = printModule(module);
  const read = parseModule(text);
  verify(read);
  expect(printModule(read)).toBe(text);
  expect(text).toMatch(/^ {2}dbg var \d+ bytes 0 8 = %\d+/m);
  expect(text).toMatch(/^ {2}scope \d+ in \d+ "loops" "loops"/m);
  expect(read.types).toEqual(module.types);
});

test("what the frontend says of variables", () => {
  const { module } = toModule({ ...options, debug: true });
  const text = printModule(module!);
  const functionText = text.slice(text.indexOf("func @gcd "), text.indexOf("}", text.indexOf("func @gcd ")));
  const lines = functionText.split("\n").filter((l) => /^ {2}(scope|var|dbg)/.test(l));
  expect(lines.map((l) => l.trim().replace(/ !\S+$/, ""))).toEqual([
    'scope 0 "gcd" "gcd" 0',
    'scope 1 in 0 "gcd" "gcd" 0',
    'var 0 "a" type 0 scope 0 param 0',
    'var 1 "b" type 0 scope 0 param 1',
    'var 2 "x" type 0 scope 0',
    'var 3 "y" type 0 scope 0',
    'var 4 "rest" type 0 scope 1',
    "dbg var 0 bytes 0 8 = %0",
    "dbg var 1 bytes 0 8 = %1",
    expect.stringMatching(/^dbg var 2 bytes 0 8 = \[%\d+\]$/),
    expect.stringMatching(/^dbg var 3 bytes 0 8 = \[%\d+\]$/),
    expect.stringMatching(/^dbg var 4 bytes 0 8 = \[%\d+\]$/),
  ]);
  expect(module!.types[0]).toEqual({ kind: "base", name: "u64", bytes: 8, encoding: "unsigned" });
  expect(module!.types.filter((t) => t.kind === "enum").map((t) => t.name)).toEqual(["Kind"]);
  const node = module!.types.find((t) => t.kind === "struct" && t.name === "Node");
  expect(node?.kind === "struct" && node.members.map((m) => `${m.name}@${m.offset}`)).toEqual([
    "value@0",
    "weight@4",
    "next@8",
  ]);
});
