/**
 * No input makes the compiler crash: sources of the language, mutated by fixed seeds (characters, tokens and lines
 * deleted, duplicated, swapped, spliced from other files), give diagnostics or a well-formed module, never an
 * exception, an internal error or a hang. One seed alone: `SEED=17 npx vitest run tests/toolchain/frontend/fuzz`; more
 * of them: `SEEDS=5000`.
 */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { formatDiagnostic } from "../../../../toolchain/frontend/diagnostics.ts";
import { lowerProgram } from "../../../../toolchain/frontend/frontend.ts";
import { verify } from "../../../../toolchain/ir/verifier.ts";
import { Prng } from "../../../../toolchain/lib/prng.ts";

const root = path.join(import.meta.dirname, "..");
const folders = ["lowering/cases", "diagnostics/cases"].map((f) => path.join(root, f));
const sources = folders.flatMap((f) =>
  readdirSync(f)
    .filter((n) => n.endsWith(".ts"))
    .sort()
    .map((n) => readFileSync(path.join(f, n), "utf8")),
);
// biome-ignore format: a list
const VOCABULARY = [
  "0", "-1", "0xffff_ffff_ffff_ffff", "1.5", "null", "this", "ptr<", "arr<u64, 4>", "u8", "i64", "boolean", "never", "void", "(", ")", "{", "}", "[", "]", "<", ">",
  "addr(", "cast<u64>(", "zeroed()", "new ", "cstr(\"x\")", "asm`nop ${", "return ", "=> ", "=", "+", "<<", ">>>", "&&", "?", ":", ";", ",", ".", "...", "extends ", "class X {",
  "const ", "let ", "function f<T>(", "for (", "switch (x) {", "case 1:", "default:", "break ", "continue;", "attr({ naked: true });", "/** @align 3 */", "@packed ", "\u0000", "\ud800", "é",
];

function mutate(seed: number): string {
  const prng = new Prng(seed);
  const random = (below: number): number => prng.below(below);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  let text = pick(sources);
  for (let n = 1 + random(6); n > 0; n--) {
    const tokens = text.match(/\s+|\w+|[^\s\w]/g) ?? [];
    const at = random(tokens.length + 1);
    switch (random(7)) {
      case 0:
        tokens.splice(at, 1 + random(4));
        break;
      case 1:
        tokens.splice(at, 0, pick(VOCABULARY));
        break;
      case 2:
        tokens.splice(at, 1, pick(VOCABULARY));
        break;
      case 3:
        tokens.splice(at, 0, ...tokens.slice(at, at + random(12)));
        break;
      case 4:
        tokens.splice(at, 0, tokens[random(tokens.length)] ?? "");
        break;
      case 5:
        tokens.splice(at, 0, pick(sources).split("\n")[random(12)] ?? "", "\n");
        break;
      default:
        tokens.splice(at, 1 + random(3), ...tokens.slice(random(tokens.length)).slice(0, 3));
    }
    text = tokens.join("");
  }
  return text;
}

/** Tokens replaced by others of their kind, so that most results parse and reach the compiler's own checks. */
function replaceInKind(seed: number): string {
  const prng = new Prng(seed);
  const tokens = prng.pick(sources).match(/\/\/[^\n]*|\s+|\w+|[<>=!]=+|>>>|<<|>>|&&|\|\||[^\s\w]/g) ?? [];
  const kinds = [
    /^[a-z]\w*$/,
    /^[A-Z]\w*$/,
    /^\d\w*$/,
    /^(===|!==|<=|>=|>>>|<<|>>|[-+*/%&|^])$/,
    /^([uif]\d+|boolean|void)$/,
  ].map((k) => tokens.flatMap((t, i) => (k.test(t) ? [i] : [])));
  for (let n = 1 + prng.below(8); n > 0; n--) {
    const places = prng.pick(kinds);
    if (places.length === 0) continue;
    tokens[prng.pick(places)] = tokens[prng.pick(places)] as string;
  }
  return tokens.join("");
}

/** Inputs that TypeScript could parse, so that they reached the compiler's own rules. */
let parsed = 0;
/** Describes what is wrong with the compiler's behaviour on a text; null if nothing. */
function misbehaviour(text: string): string | null {
  const file = "/fuzz/input.ts";
  try {
    const { module, diagnostics } = lowerProgram({
      name: "fuzz",
      roots: [file],
      packageRoot: "/fuzz",
      entry: null,
      overlay: new Map([[file, text]]),
    });
    const internal = diagnostics.find((d) => d.code === "MG9999");
    if (internal) return formatDiagnostic(internal);
    if (diagnostics.some((d) => d.message.includes("\n")))
      return `message of several lines: ${diagnostics.map((d) => d.message).join("|")}`;
    if (!module && diagnostics.length === 0) return "neither a module nor a diagnostic";
    if (!diagnostics.some((d) => /^TS1\d\d\d$/.test(d.code))) parsed++;
    if (module) verify(module);
    return null;
  } catch (e) {
    return e instanceof Error ? (e.stack ?? e.message) : String(e);
  }
}

const only = process.env["SEED"];
const count = Number(process.env["SEEDS"] ?? 300);
const seeds = only ? [Number(only)] : Array.from({ length: count }, (_, i) => i + 1);

describe("mutated sources", () => {
  test(`${seeds.length} seeds`, { timeout: 60_000 + count * 100 }, () => {
    const failures = seeds.flatMap((seed) => {
      const what = misbehaviour(seed % 2 ? mutate(seed) : replaceInKind(seed));
      return what ? [`SEED=${seed} npx vitest run tests/toolchain/frontend/fuzz\n${what}`] : [];
    });
    expect(failures.slice(0, 5)).toEqual([]);
    if (!only) expect(parsed).toBeGreaterThan(count / 3);
  });

  test("deep nesting is one diagnostic", () => {
    for (const text of [
      `export function f(x: u64): u64 { return ${"(".repeat(20000)}x${")".repeat(20000)}; }`,
      `export function f(x: u64): u64 { return ${"x + ".repeat(20000)}x; }`,
      `export function f(x: u64): void { ${"{".repeat(5000)}${"}".repeat(5000)} }`,
      `export let x: ${"ptr<".repeat(3000)}u8${">".repeat(3000)};`,
    ]) {
      const file = "/fuzz/input.ts";
      const { diagnostics } = lowerProgram({
        name: "fuzz",
        roots: [file],
        packageRoot: "/fuzz",
        entry: null,
        overlay: new Map([[file, text]]),
      });
      expect(diagnostics.map((d) => d.code)).toEqual(["MG0005"]);
      expect(diagnostics[0]?.line).toBe(1);
    }
  });
});
