/**
 * What gdb shows of optimised code: every local at every line of the cases, compared with the IR interpreter on the
 * unoptimised program; the same for gcc -O2 -g on the C twins, compared with gcc -O0. The score of a local at a line is
 * the share of the line's visits at which it is shown correctly; a line without a stop shows nothing. Ours must be
 * ahead, and never wrong.
 */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type CompileOptions, compile, toModule } from "../../../toolchain/compiler.ts";
import { formatDiagnostic } from "../../../toolchain/frontend/diagnostics.ts";
import { agreement, gdbStops, linesOf, referenceStops, type Stop } from "./stops.ts";

const cases = path.join(import.meta.dirname, "cases");
const packageRoot = path.resolve(import.meta.dirname, "../../..");
const options: CompileOptions = {
  name: "cases",
  roots: [path.join(cases, "main.ts")],
  packageRoot,
  entry: "_start",
  layout: { kind: "program", entry: "_start", base: 0n, address: 0x40_0000n },
};
/** Least share of locals at the lines, so that a loss is detected. */
const FLOOR = 0.72;

const missing = whyNot();
if (missing) console.log(`skipped: locals in gdb (${missing})`);
function whyNot(): string | null {
  if (process.platform !== "linux" || process.arch !== "x64") return "the host is not Linux on x86-64";
  for (const tool of ["gcc", "gdb"]) if (spawnSync(tool, ["--version"]).status !== 0) return `${tool} is not installed`;
  return null;
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "margay-locals-"));
afterAll(() => fs.rmSync(folder, { recursive: true }));
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
/** The driver is not a case. */
const isCase = ({ file }: Stop): boolean => !file.startsWith("main.");

describe.skipIf(missing !== null)("locals of optimised code in gdb", () => {
  test("more are right than with gcc -O2 -g, and none is wrong", { timeout: 120_000 }, () => {
    const { module } = toModule({ ...options, debug: true });
    const { image, diagnostics } = compile(options);
    if (!module || !image) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
    const program = path.join(folder, "ours");
    fs.writeFileSync(program, image.elf, { mode: 0o755 });
    const reference = referenceStops(module, "run", [1n]).filter(isCase);
    const ours = agreement(reference, gdbStops(program, packageRoot, linesOf(reference)));

    const sources = fs.readdirSync(cases).filter((f) => f.endsWith(".c"));
    const gcc = (level: string): string => {
      const to = path.join(folder, `gcc${level}`);
      execFileSync("gcc", [level, "-g", "-no-pie", "-Wall", "-Wextra", "-Werror", ...sources, "-o", to], {
        cwd: cases,
      });
      return to;
    };
    const every = sources.flatMap((f) => Array.from({ length: 120 }, (_, i): [string, number] => [f, i + 1]));
    const plain = once(gdbStops(gcc("-O0"), cases, every).filter(isCase));
    const theirs = agreement(plain, gdbStops(gcc("-O2"), cases, linesOf(plain)));

    const line = (who: string, { share, pairs, wrong }: typeof ours): string =>
      `${who}: ${percent(share)} of ${pairs} locals at lines shown and right; shown and wrong ${wrong.length} times`;
    console.log(`${line("ours", ours)}\n${line("gcc -O2 -g", theirs)}`);
    expect(ours.wrong).toEqual([]);
    expect(ours.share).toBeGreaterThan(theirs.share);
    expect(ours.share).toBeGreaterThan(FLOOR);
    expect(ours.pairs).toBeGreaterThan(500);
  });
});

/**
 * gdb stops where each piece of a line begins: successive stops are one visit. Lines that gdb shows only in place of
 * others do not count.
 */
function once(stops: readonly Stop[]): Stop[] {
  const own = stops.filter(({ line, shown }) => line === shown);
  return own.filter(({ file, line }, i) => i === 0 || file !== own[i - 1].file || line !== own[i - 1].line);
}
