/**
 * `make fuzz N=count SEED=first`: random programs compared every way (harness.ts), in batches. Reads argv: count, first seed, and
 * "--keep-going" to go on behind a failure. Exits with 1 after printing seed, differences, the replay command and a reduced program.
 * Runs in the package's folder.
 */
import { generate } from "./generator.ts";
import { difference, type Results, runAll, type Ways, whyNoGcc, whyNoNative } from "./harness.ts";
import type { Program } from "./program.ts";
import { reduce } from "./reduce.ts";
import { renderTypeScript } from "./render.ts";

const BATCH = 20;
/** Candidates tried; each is a compile. */
const REDUCE_BUDGET = 150;

/** Number of seeds that failed. */
export function fuzz(count: number, firstSeed: number, packageRoot: string, keepGoing = false): number {
  const ways: Ways = { gcc: whyNoGcc() === null, native: whyNoNative() === null, each: true };
  for (const why of [whyNoGcc(), whyNoNative()]) if (why) console.log(`left out: ${why}`);
  let failures = 0;
  for (let first = firstSeed; first < firstSeed + count; first += BATCH) {
    const programs = Array.from({ length: Math.min(BATCH, firstSeed + count - first) }, (_, i) => generate(first + i));
    const batch = runAll(programs, packageRoot, ways);
    for (const [i, program] of programs.entries()) {
      const inBatch = difference(batch[i]);
      if (inBatch === null) continue;
      const results = runAll([program], packageRoot, ways)[0];
      const shown = difference(results);
      if (shown === null) {
        console.log(
          `seed ${program.seed} differs, but only in its batch; replay: make fuzz N=${programs.length} SEED=${first}\n${inBatch}`,
        );
        failures++;
        continue;
      }
      failures++;
      console.log(describe(program, results, shown, packageRoot));
      if (!keepGoing) return failures;
    }
    console.log(`${first - firstSeed + programs.length} programs, ${failures} failures`);
  }
  return failures;
}

export function replayCommand(seed: number): string {
  return `make fuzz N=1 SEED=${seed}`;
}

/** Seed, ways that differ, how to see it again, and the program made small. */
function describe(program: Program, results: Results, shown: string, packageRoot: string): string {
  const values = [...results];
  const odd = values.find(([, v]) => v !== values[0][1])?.[0] ?? "";
  const head = [`seed ${program.seed} differs; replay: ${replayCommand(program.seed)}`, shown];
  if (odd === "frontend" || /^broke|MG\d{4}/.test(results.get(odd) ?? "")) return head.join("\n");
  // Only what is needed to see the difference again.
  const ways: Ways = { gcc: odd.startsWith("gcc"), native: odd.startsWith("machine"), each: odd.startsWith("ir without") };
  const small = reduce(
    program,
    (candidate) => {
      const r = runAll([candidate], packageRoot, ways)[0];
      const reference = r.get("ir");
      return (
        reference !== undefined &&
        /^[0-9a-f]{16}$/.test(reference) &&
        r.get(odd) !== reference &&
        !/MG\d{4}|^nothing|^broke/.test(r.get(odd) ?? "")
      );
    },
    REDUCE_BUDGET,
  );
  return [...head, `reduced for "${odd}":`, renderTypeScript(small, "program")].join("\n");
}

const [count, seed, ...rest] = process.argv.slice(2);
if (/fuzz\.m?js$/.test(process.argv[1] ?? "")) {
  if (!/^[1-9]\d*$/.test(count ?? "") || !/^\d+$/.test(seed ?? "1")) {
    console.error("margay fuzz: count and first seed are numbers: make fuzz N=100 SEED=1");
    process.exitCode = 2;
  } else process.exitCode = fuzz(Number(count), Number(seed ?? 1), process.cwd(), rest.includes("--keep-going")) > 0 ? 1 : 0;
}
