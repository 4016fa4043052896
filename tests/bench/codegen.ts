/**
 * Code generation: twelve kernels, each in our TypeScript and as idiomatic C under gcc -O0 and -O2, run natively. Both
 * sides use the same algorithm without assembly and intrinsics, and the checksums must be equal. The time is the
 * thread's processor time (CLOCK_THREAD_CPUTIME_ID, read by each program around each call of a kernel), the minimum
 * over all calls. The three programs take turns, so that changes of the host's clock rate or load affect them equally.
 */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { compile } from "../../toolchain/compiler.ts";
import { formatDiagnostic } from "../../toolchain/frontend/diagnostics.ts";
import { type Figure, geometricMean, type Section } from "./report.ts";

/** In the order of the tables in main.ts and main.c. */
const KERNELS = [
  "pagewalk",
  "ring",
  "hash",
  "sort",
  "bitscan",
  "strings",
  "matrix",
  "stencil",
  "list",
  "dispatch",
  "division",
  "crc",
];
const WAYS = ["ours", "-O0", "-O2"] as const;
type Way = (typeof WAYS)[number];
const GCC = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"];
/** Turns of the three programs, and calls of the kernel in each; a call takes about 0.2 to 5 ms. */
const ROUNDS = 5;
const CALLS = 20;
/** The goal, in percent of -O2's speed. */
const GOAL = 70;

export function codegen(packageRoot: string, only: string | undefined): Section {
  const how = "native, percent of the speed of gcc -O2; least thread processor time of a call";
  const missing = whyNot();
  if (missing)
    return { title: "code generation", how, figures: [{ name: "kernels", value: null, unit: "%", note: missing }] };
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "margay-bench-"));
  try {
    const programs = build(packageRoot, folder);
    const figures: Figure[] = [];
    const ofO2: number[] = [];
    const ofO0: number[] = [];
    KERNELS.forEach((name, index) => {
      if (only !== undefined && !name.includes(only)) return;
      const ns = measure(name, index, programs);
      const toO2 = (100 * ns["-O2"]) / ns.ours;
      const toO0 = (100 * ns["-O0"]) / ns.ours;
      ofO2.push(toO2);
      ofO0.push(toO0);
      const times = WAYS.map((way) => `${way} ${(ns[way] / 1000).toFixed(0)}`).join(", ");
      figures.push({ name, value: toO2, unit: "%", peer: { name: "of -O0", value: toO0 }, note: `µs: ${times}` });
    });
    figures.push({
      name: "geometric mean",
      value: geometricMean(ofO2),
      unit: "%",
      peer: { name: "of -O0", value: geometricMean(ofO0) },
      note: `goal ${GOAL} % of -O2`,
    });
    return { title: "code generation", how, figures };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function whyNot(): string | null {
  if (process.platform !== "linux" || process.arch !== "x64") return "needs Linux on x86-64";
  return spawnSync("gcc", ["--version"]).status === 0 ? null : "gcc is not installed";
}

/** Builds our program and the two of gcc from one folder of twins. */
function build(packageRoot: string, folder: string): Readonly<Record<Way, string>> {
  const cases = path.join(packageRoot, "tests/bench/kernels/cases");
  const programs = { ours: path.join(folder, "ours"), "-O0": path.join(folder, "O0"), "-O2": path.join(folder, "O2") };
  const { image, diagnostics } = compile({
    name: "kernels",
    roots: [path.join(cases, "main.ts")],
    packageRoot,
    entry: "_start",
    layout: { kind: "program", entry: "_start", base: 0n, address: 0x400000n },
  });
  if (!image) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
  fs.writeFileSync(programs.ours, image.elf, { mode: 0o755 });
  const sources = ["main", ...KERNELS].map((name) => path.join(cases, `${name}.c`));
  for (const level of ["-O0", "-O2"] as const) execFileSync("gcc", [level, ...GCC, ...sources, "-o", programs[level]]);
  return programs;
}

/** Minimum ns of a call, for each program. Throws if two programs compute different results. */
function measure(name: string, index: number, programs: Readonly<Record<Way, string>>): Record<Way, number> {
  const ns: Record<Way, number> = {
    ours: Number.POSITIVE_INFINITY,
    "-O0": Number.POSITIVE_INFINITY,
    "-O2": Number.POSITIVE_INFINITY,
  };
  const checksums = new Map<string, Way>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of WAYS) {
      const run = spawnSync(programs[way], [`${index}`, `${CALLS}`], { encoding: "utf8" });
      const [checksum, least] = run.stdout.trim().split(" ");
      if (run.status !== 0 || least === undefined)
        throw new Error(`${name} ${way}: ended by ${run.signal ?? run.status}: ${run.stdout}`);
      checksums.set(checksum!, way);
      ns[way] = Math.min(ns[way], Number(least));
    }
  }
  if (checksums.size !== 1)
    throw new Error(`${name}: checksums differ: ${[...checksums].map(([sum, way]) => `${way} ${sum}`).join(", ")}`);
  return ns;
}
