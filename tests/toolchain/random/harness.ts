/**
 * Runs random programs in every available way and compares their checksums: the IR interpreter on unoptimised and
 * optimised IR and with passes left out or alone; our machine code, unoptimised and optimised, as a static ELF on this
 * host; gcc -O0 and -O2. A batch is one compile, one ELF and one C file.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CompileOptions, toModule, toObject } from "../../../toolchain/compiler.ts";
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import { Module } from "../../../toolchain/ir/ir.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { printModule } from "../../../toolchain/ir/printer.ts";
import { verify } from "../../../toolchain/ir/verifier.ts";
import { link } from "../../../toolchain/link/link.ts";
import type { Layout } from "../../../toolchain/link/object.ts";
import { optimize, type OptimizeOptions, passNames } from "../../../toolchain/passes/passes.ts";
import type { Program } from "./program.ts";
import { C_PRELUDE, renderC, renderMain, renderTypeScript } from "./render.ts";

export interface Ways {
  /** Levels of gcc: "-O0", "-O2". */
  readonly gcc: readonly string[];
  /** Machine code, without the passes and with them. */
  readonly native: readonly ("unoptimised" | "optimised")[];
  /** The programs that are also interpreted. */
  readonly interpreted: (program: Program) => boolean;
  /** Also run TypeScript's own checks. */
  readonly checked: boolean;
  /** Interpreted programs also run with each of these passes left out and with each alone. */
  readonly passes: readonly string[];
}
/** Checksum (or what happened instead) of each way, by name; the first way is the reference. */
export type Results = Map<string, string>;

/**
 * Two switches avoid bugs of gcc 12: it replaces -(double)i by 0.0 - (double)i, which gives another zero, and after a
 * cmpxchg it uses the flags as if from a comparison with the location's present contents.
 */
const GCC = ["-w", "-fwrapv", "-fno-strict-aliasing", "-frounding-math", "-fno-peephole2", "-x", "c"];
const MAX_STEPS = 3_000_000;
const RUN_TIMEOUT_MS = 20_000;

/** Why gcc or native runs are not possible here; null = they are. */
export function whyNoGcc(): string | null {
  return spawnSync("gcc", ["--version"]).status === 0 ? null : "gcc is not installed";
}
export function whyNoNative(): string | null {
  return process.platform === "linux" && process.arch === "x64" ? null : "the host is not Linux on x86-64";
}
/** All ways that this host supports. */
export function everyWay(): Ways {
  return {
    gcc: whyNoGcc() === null ? ["-O0", "-O2"] : [],
    native: whyNoNative() === null ? ["unoptimised", "optimised"] : [],
    interpreted: () => true,
    checked: true,
    passes: passNames,
  };
}

/** Results of each program, in order. `packageRoot`: the folder with toolchain/. */
export function runAll(programs: readonly Program[], packageRoot: string, ways: Ways): Results[] {
  if (programs.length === 0) return [];
  const options = compileOptions(programs, packageRoot);
  const { module, diagnostics } = toModule({ ...options, trusted: !ways.checked });
  if (!module) {
    // Continue without the programs that the frontend refuses.
    const refusals = programs.map((p) => diagnostics.find((d) => d.file.endsWith(fileName(p))) ?? null);
    const common = refusals.every((d) => d === null) ? diagnostics[0] : null;
    const accepted = common ? [] : programs.filter((_, i) => refusals[i] === null);
    const rest = runAll(accepted, packageRoot, ways);
    return refusals.map((d) => {
      const why = d ?? common;
      if (!why) return rest.shift() as Results;
      const refused = `${why.file}:${why.line}: ${why.code} ${why.message}`;
      return new Map([
        ["expected", "no diagnostic"],
        ["frontend", refused],
      ]);
    });
  }
  const results = programs.map((): Results => new Map());
  const put = (way: string, values: readonly string[]): void =>
    results.forEach((r, i) => r.set(way, values[i] ?? "nothing"));
  const text = printModule(module);
  const interpreted = programs.map((p, i) => ({ p, result: results[i] })).filter(({ p }) => ways.interpreted(p));
  const some = printModule(
    partOf(
      module,
      interpreted.map(({ p }) => p),
    ),
  );
  const interpret = (way: string, passes: OptimizeOptions | null): void => {
    if (interpreted.length === 0) return;
    const copy = parseModule(some);
    let failure: string | null = null;
    try {
      // Verified after every pass if all run; at the end if some do not.
      if (passes) optimize(copy, { verify: passes.only === undefined && passes.except === undefined, ...passes });
      verify(copy);
    } catch (e) {
      failure = (e as Error).message;
    }
    for (const { p, result } of interpreted) result.set(way, failure ?? run(copy, symbolOf(p)));
  };
  interpret("ir", null);
  interpret("ir optimised", {});
  for (const pass of ways.passes) {
    interpret(`ir without ${pass}`, { except: [pass] });
    interpret(`ir only ${pass}`, { only: [pass] });
  }
  for (const way of ways.native)
    put(`machine code ${way}`, runNative(programs, parseModule(text), way === "optimised", options.layout));
  for (const level of ways.gcc) put(`gcc ${level}`, runGcc(programs, level));
  return results;
}

/** If they differ, one line per value with the ways that gave it. Null = all agree. */
export function difference(results: Results): string | null {
  const ways = new Map<string, string[]>();
  for (const [way, value] of results) ways.set(value, [...(ways.get(value) ?? []), way]);
  return ways.size <= 1 ? null : [...ways].map(([value, which]) => `  ${value}  ${which.join(", ")}`).join("\n");
}

/** Link name of the program's function. */
export const symbolOf = (p: Program): string => `program_${p.seed}`;
const fileName = (p: Program): string => `program-${p.seed}.ts`;

/** The code that these programs need, as a separate module that shares the functions. */
export function partOf(module: Module, programs: readonly Program[]): Module {
  const part = new Module(module.name);
  part.files = module.files;
  part.types = module.types;
  const work = programs.map(symbolOf);
  const add = (name: string): void => void (part.functions.has(name) || part.data.has(name) || work.push(name));
  for (let name = work.pop(); name !== undefined; name = work.pop()) {
    const func = module.functions.get(name);
    const data = module.data.get(name);
    if (func && !part.functions.has(name)) {
      part.functions.set(name, func);
      for (const block of func.blocks)
        for (const i of block.instrs) if (i.op === "symbol" || i.op === "call") add(i.symbol);
    } else if (data && !part.data.has(name)) {
      part.data.set(name, data);
      for (const { symbol } of data.relocations) add(symbol);
    }
  }
  return part;
}

/** One module with all programs; its entry prints their checksums. */
export function compileOptions(programs: readonly Program[], packageRoot: string): CompileOptions {
  const folder = join(packageRoot, "tests/toolchain/random/generated");
  const overlay = new Map(programs.map((p) => [join(folder, fileName(p)), renderTypeScript(p, symbolOf(p))]));
  const main = join(folder, "main.ts");
  overlay.set(main, renderMain(programs.map((p) => ({ from: `./${fileName(p)}`, name: symbolOf(p) }))));
  return {
    name: "random",
    roots: [main],
    packageRoot,
    entry: "_start",
    layout: { kind: "program", entry: "_start", base: 0n, address: 0x400000n },
    overlay,
  };
}

function run(module: Module, name: string): string {
  const outcome = new Interpreter(module, { maxSteps: MAX_STEPS }).run(name);
  return outcome.kind === "returned"
    ? (outcome.value ?? 0n).toString(16).padStart(16, "0")
    : `${outcome.trap}: ${outcome.message}`;
}

/** Starts from the IR: the frontend, which takes the longest, has run once for all ways. */
function runNative(programs: readonly Program[], module: Module, passes: boolean, layout: Layout): string[] {
  let elf: Uint8Array;
  try {
    if (passes) optimize(module, { roots: [layout.entry] });
    elf = link(toObject(module), layout).elf;
  } catch (e) {
    return programs.map(() => `broke: ${(e as Error).message}`);
  }
  return runElf(elf);
}
export const runElf = (elf: Uint8Array, timeoutMs = RUN_TIMEOUT_MS): string[] =>
  runFile((file) => {
    writeFileSync(file, elf);
    chmodSync(file, 0o755);
  }, timeoutMs);
function runGcc(programs: readonly Program[], level: string): string[] {
  const main = [
    "#include <stdlib.h>",
    "int main(void) {",
    ...programs.map((p) => `  printf("%016llx\\n", (unsigned long long)p${p.seed}_program()); fflush(stdout);`),
    "}",
  ];
  const text = [C_PRELUDE, ...programs.map((p) => renderC(p, `p${p.seed}_`)), ...main].join("\n");
  return runFile((file) =>
    execFileSync("gcc", [level, ...GCC, "-", "-o", file], { input: text, stdio: ["pipe", "ignore", "pipe"] }),
  );
}

/** The lines that the program prints, and how it ended if not normally. */
function runFile(make: (file: string) => void, timeoutMs = RUN_TIMEOUT_MS): string[] {
  const folder = mkdtempSync(join(tmpdir(), "margay-random-"));
  try {
    const file = join(folder, "program");
    make(file);
    const { stdout, signal, status, error } = spawnSync(file, { encoding: "utf8", timeout: timeoutMs });
    const lines = (stdout ?? "").split("\n").filter((l) => l !== "");
    if (signal ?? status ?? error) lines.push(`ended by ${signal ?? error?.message ?? `status ${status}`}`);
    return lines;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
