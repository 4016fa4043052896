/**
 * Proves that the fixed seeds would notice: each deliberate bug of mutations.ts is built into the compiler and must change what a random
 * program or random IR module of the seeds that CI runs computes, crash the compiler, or be refused by the verifier. The reference is the
 * interpreter on unoptimised IR; bugs of the back end show in machine code. A bug that survives fails the test by name.
 * SHOW=1 prints what caught each, ONLY=pass tries those of one pass, OPEN=1 also those that are known to survive.
 */
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { toModule } from "../../../toolchain/compiler.ts";
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import type { Module } from "../../../toolchain/ir/ir.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { printModule } from "../../../toolchain/ir/printer.ts";
import { passNames } from "../../../toolchain/passes/passes.ts";
import { generate } from "./generator.ts";
import { compileOptions, runElf, symbolOf, whyNoNative } from "./harness.ts";
import { randomModule } from "./ir-generator.ts";
import { bundleMutant, type Mutant, staleness } from "./mutant.ts";
import { mutations } from "./mutations.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
/** The first seeds of ir/passes-random.test.ts and random.test.ts. */
const IR_SEEDS = 60;
const PROGRAM_SEEDS = 30;
/** As in ir/passes-random.test.ts, and more than any of the programs needs: a bug may make them endless. */
const MAX_STEPS = 400_000;
const BACK_END = "back end";

interface Sample {
  readonly name: string;
  readonly text: string;
  /** Functions to run, with what the interpreter says that they give. */
  readonly expected: ReadonlyMap<string, string>;
}

const outcomeOf = (interpreter: typeof Interpreter, module: Module, name: string): string => {
  const outcome = new interpreter(module, { maxSteps: MAX_STEPS }).run(name);
  return outcome.kind === "returned" ? (outcome.value ?? 0n).toString(16).padStart(16, "0") : outcome.trap;
};
const sample = (name: string, module: Module, functions: readonly string[]): Sample => ({
  name,
  text: printModule(module),
  expected: new Map(functions.map((f) => [f, outcomeOf(Interpreter, module, f)])),
});

const programs = Array.from({ length: PROGRAM_SEEDS }, (_, i) => generate(1 + i));
const options = compileOptions(programs, ROOT);

/** Alone what belongs to one of the programs, which share nothing: a bug shows in the first one that has it. */
function only(module: Module, seed: number): Module {
  const text = printModule(module);
  const part = parseModule(text);
  const owner = (name: string): string | undefined => /program[-_](\d+)/.exec(name)?.[1];
  for (const name of [...part.functions.keys()]) if (owner(name) !== `${seed}`) part.functions.delete(name);
  for (const name of [...part.data.keys()]) if (owner(name) !== `${seed}`) part.data.delete(name);
  return part;
}

/** The cheap ones first. Modules that do not end show nothing. */
function makeSamples(): { interpreted: Sample[]; all: Sample } {
  const modules = Array.from({ length: IR_SEEDS }, (_, i) => sample(`random IR ${1 + i}`, randomModule(1 + i), ["main"]));
  const { module, diagnostics } = toModule(options);
  if (!module) throw new Error(`the random programs do not compile: ${diagnostics[0].message}`);
  const parts = programs.map((p) => sample(`program ${p.seed}`, only(module, p.seed), [symbolOf(p)]));
  const expected = new Map(parts.flatMap((p) => [...p.expected]));
  return {
    interpreted: [...modules.filter((m) => m.expected.get("main") !== "steps"), ...parts],
    all: { name: "programs", text: printModule(module), expected },
  };
}

/** What shows the bug of the passes in `sample`; null = nothing. */
function caughtByInterpreter(mutant: Mutant, { name, text, expected }: Sample): string | null {
  const module = mutant.parseModule(text);
  try {
    mutant.optimize(module);
    mutant.verify(module);
  } catch (e) {
    const [first, second] = (e as Error).message.split("\n");
    return `${name}: ${first.slice(0, 100)} ${(second ?? "").slice(0, 80)}`;
  }
  for (const [f, value] of expected) {
    const actual = outcomeOf(mutant.Interpreter, module, f);
    if (actual !== value) return `${name} ${f}: ${actual} instead of ${value}`;
  }
  return null;
}

function caughtByMachineCode(mutant: Mutant, { text, expected }: Sample): string | null {
  for (const passes of [true, false]) {
    let elf: Uint8Array;
    try {
      const module = mutant.parseModule(text);
      if (passes) mutant.optimize(module, { roots: [options.layout.entry] });
      elf = mutant.link(mutant.emitModule(module), options.layout).elf;
    } catch (e) {
      return (e as Error).message.slice(0, 120);
    }
    const lines = runElf(elf);
    const wrong = [...expected.values()].findIndex((value, i) => lines[i] !== value);
    if (wrong >= 0) return `${passes ? "optimised" : "as built"}: ${programs[wrong].seed}: ${lines[wrong]}`;
  }
  return null;
}

const noNative = whyNoNative();
if (noNative) console.log(`mutations of the back end: left out: ${noNative}`);
const chosen = (name: string): boolean => process.env.ONLY === undefined || name.startsWith(process.env.ONLY);
const open = mutations.filter((m) => m.open && process.env.OPEN === undefined);
for (const m of open) console.log(`mutation left out, the fixed seeds do not catch it yet: ${m.pass}: ${m.bug}`);
const tried = mutations.filter((m) => chosen(m.pass) && !open.includes(m) && (m.pass !== BACK_END || noNative === null));

test("each pass has a mutation, and each mutation a pass", () => {
  expect(new Set(mutations.map((m) => m.pass))).toEqual(new Set([...passNames, BACK_END]));
});

test("the table of mutations fits the sources", () => {
  expect(mutations.map(staleness).filter((s) => s !== null)).toEqual([]);
});

test("every mutation is caught by the fixed seeds", { timeout: 240_000 }, async () => {
  const samples = makeSamples();
  const catchIt = (mutant: Mutant, inBackEnd: boolean): string | null => {
    if (inBackEnd) return caughtByMachineCode(mutant, samples.all);
    for (const [i, one] of samples.interpreted.entries()) {
      const how = caughtByInterpreter(mutant, one);
      if (how === null) continue;
      // What caught one bug is tried first on the next.
      samples.interpreted.unshift(...samples.interpreted.splice(i, 1));
      return how;
    }
    return null;
  };
  // What is not broken must pass, or everything below would be "caught".
  const sound = await bundleMutant(null);
  expect(catchIt(sound, false)).toBe(null);
  if (noNative === null) expect(catchIt(sound, true)).toBe(null);
  const survivors: string[] = [];
  for (const mutation of tried) {
    const name = `${mutation.pass}: ${mutation.bug}`;
    const how = catchIt(await bundleMutant(mutation), mutation.pass === BACK_END);
    if (how === null) survivors.push(name);
    if (process.env.SHOW) console.log(`${name}: ${how ?? "survived"}`);
  }
  console.log(`mutations: ${tried.length - survivors.length} of ${tried.length} caught, ${open.length} left out`);
  expect(survivors).toEqual([]);
});
