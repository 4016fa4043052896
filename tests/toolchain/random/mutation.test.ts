/**
 * Proves that the fixed seeds would detect bugs: each deliberate bug of mutations.ts is built into the compiler. It
 * must change the result of a random program or random IR module of the seeds that CI runs, crash the compiler, or be
 * refused by the verifier. The reference is the interpreter on unoptimised IR; bugs of the back end appear in machine
 * code. A bug that survives fails the test by name. SHOW=1 prints what caught each, ONLY=pass tries those of one pass.
 */
import { resolve } from "node:path";
import { runInThisContext } from "node:vm";
import { expect, test } from "vitest";
import { toModule } from "../../../toolchain/compiler.ts";
import type { Module } from "../../../toolchain/ir/ir.ts";
import { printModule } from "../../../toolchain/ir/printer.ts";
import { passNames } from "../../../toolchain/passes/passes.ts";
import { generate } from "./generator.ts";
import { compileOptions, runElf, symbolOf, whyNoNative } from "./harness.ts";
import { randomModule } from "./ir-generator.ts";
import { loadMutant, type Mutant, staleness } from "./mutant.ts";
import { mutations } from "./mutations.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
/** The first seeds of ir/passes-random.test.ts and random.test.ts. */
const IR_SEEDS = 60;
const PROGRAM_SEEDS = 30;
/** As in ir/passes-random.test.ts, and more than any program needs: a bug may make them endless. */
const MAX_STEPS = 400_000;
const BACK_END = "back end";

interface Sample {
  readonly name: string;
  readonly text: string;
  /** Function to run, and its result in the interpreter. */
  readonly entry: string;
  readonly expected: string;
}
const sound = loadMutant(null);

/** By the interpreter without the bug: what is broken is what made the module. */
function outcomeOf(module: Module, entry: string): string {
  const outcome = new sound.Interpreter(module, { maxSteps: MAX_STEPS }).run(entry);
  return outcome.kind === "returned" ? (outcome.value ?? 0n).toString(16).padStart(16, "0") : outcome.trap;
}
const sample = (name: string, text: string, entry: string): Sample => ({
  name,
  text,
  entry,
  expected: outcomeOf(sound.parseModule(text), entry),
});

/** Programs with their start code, one ELF each: a bug is found in the first one that triggers it. */
function makePrograms(): Sample[] {
  return Array.from({ length: PROGRAM_SEEDS }, (_, i) => {
    const program = generate(1 + i);
    const { module, diagnostics } = toModule(compileOptions([program], ROOT));
    if (!module) throw new Error(`program ${program.seed} does not compile: ${diagnostics[0].message}`);
    return sample(`program ${program.seed}`, printModule(module), symbolOf(program));
  });
}
/** Modules that do not terminate are useless. */
function makeModules(): Sample[] {
  const all = Array.from({ length: IR_SEEDS }, (_, i) =>
    sample(`random IR ${1 + i}`, printModule(randomModule(1 + i)), "main"),
  );
  return all.filter((s) => s.expected !== "steps");
}

/** Shows the bug in `sample`; null = not shown. */
type Attempt = (mutant: Mutant, sample: Sample) => string | null;
/** Some bugs make a pass or a program endless. A normal attempt takes a hundredth of this. */
const ENDLESS_MS = 4_000;
const scope = globalThis as unknown as { attempt?: () => string | null };
function within(attempt: () => string | null): string | null {
  scope.attempt = attempt;
  try {
    return runInThisContext("attempt()", { timeout: ENDLESS_MS }) as string | null;
  } catch (e) {
    if ((e as { code?: string }).code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return "does not end";
    throw e;
  }
}
const shorten = (e: unknown): string => (e as Error).message.split("\n", 2).join(" ").slice(0, 160);

const interpreted: Attempt = (mutant, { text, entry, expected }) => {
  const module = mutant.parseModule(text);
  try {
    mutant.optimize(module);
    mutant.verify(module);
  } catch (e) {
    return shorten(e);
  }
  const actual = outcomeOf(module, entry);
  return actual === expected ? null : `${actual} instead of ${expected}`;
};
const LAYOUT = { kind: "program", entry: "_start", base: 0n, address: 0x400000n } as const;
const executed: Attempt = (mutant, { text, expected }) => {
  for (const passes of [true, false]) {
    let elf: Uint8Array;
    try {
      const module = mutant.parseModule(text);
      if (passes) mutant.optimize(module, { roots: [LAYOUT.entry] });
      elf = mutant.link(mutant.emitModule(module), LAYOUT).elf;
    } catch (e) {
      return shorten(e);
    }
    const [actual] = runElf(elf, ENDLESS_MS);
    if (actual !== expected) return `${passes ? "optimised" : "as built"}: ${actual} instead of ${expected}`;
  }
  return null;
};

const noNative = whyNoNative();
if (noNative) console.log(`mutations of the back end: left out: ${noNative}`);
const tried = mutations.filter(
  (m) => m.pass.startsWith(process.env.ONLY ?? "") && (m.pass !== BACK_END || noNative === null),
);

test("each pass has a mutation, and each mutation a pass", () => {
  expect(new Set(mutations.map((m) => m.pass))).toEqual(new Set([...passNames, BACK_END]));
});

test("the table of mutations fits the sources", () => {
  expect(mutations.map(staleness).filter((s) => s !== null)).toEqual([]);
});

test("every mutation is caught by the fixed seeds", { timeout: 240_000 }, () => {
  const programs = makePrograms();
  const modules = makeModules();
  const catching = new Map<Sample, Set<Attempt>>();
  const survivors: string[] = [];
  for (const mutation of tried) {
    const mutant = loadMutant(mutation);
    const attempt = mutation.pass === BACK_END ? executed : interpreted;
    const samples = mutation.pass === BACK_END ? programs : modules;
    const name = `${mutation.pass}: ${mutation.bug}`;
    let how: string | null = null;
    // What caught one bug is tried first on the next; programs, which take longer, only if no module shows it.
    for (const list of samples === modules ? [modules, programs] : [programs]) {
      for (const [i, one] of list.entries()) {
        how = within(() => attempt(mutant, one));
        if (how === null) continue;
        how = `${one.name} (${i + 1}.): ${how}`;
        list.unshift(...list.splice(i, 1));
        catching.set(one, (catching.get(one) ?? new Set()).add(attempt));
        break;
      }
      if (how !== null) break;
    }
    if (how === null) survivors.push(name);
    if (process.env.SHOW) console.log(`${name}: ${how ?? "survived"}`);
  }
  console.log(`mutations: ${tried.length - survivors.length} of ${tried.length} caught, by ${catching.size} samples`);
  expect(survivors).toEqual([]);
  // The original compiler must pass, or everything would count as "caught".
  for (const [one, attempts] of catching)
    for (const attempt of attempts) expect(attempt(sound, one), one.name).toBe(null);
});
