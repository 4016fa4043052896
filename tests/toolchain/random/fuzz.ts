/**
 * `make fuzz N=count SEED=first`: compares random programs in every way (harness.ts), in batches, with one process per
 * core. Reads argv: count, first seed, and "--keep-going" to continue after a difference. Ends with "N programs, D
 * differences". If there are differences, it prints for each the seed, the differing ways, the replay command and a
 * reduced program, and exits with status 1. Runs in the package's folder.
 *
 * All programs run as machine code and compiled by gcc -O0. More expensive ways take turns: a quarter of a batch is
 * interpreted, also with one pass left out and with one pass alone; machine code without the passes in every second
 * batch; TypeScript's own checks in every fourth; gcc -O2, which finds what C leaves open, in every sixteenth. With at
 * most EVERY_WAY programs, as in a replay, every way is used.
 */
import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { passNames } from "../../../toolchain/passes/passes.ts";
import { generate } from "./generator.ts";
import { difference, everyWay, type Results, runAll, type Ways, whyNoGcc, whyNoNative } from "./harness.ts";
import type { Program } from "./program.ts";
import { reduce } from "./reduce.ts";
import { renderTypeScript } from "./render.ts";

const BATCH = 100;
const EVERY_WAY = 10;
/** Candidates tried; each one is a compile. */
const REDUCE_BUDGET = 150;
const PARTS = 4;

interface Batch {
  readonly first: number;
  readonly count: number;
  /** Number of the batch: selects the ways that take turns. */
  readonly turn: number;
  readonly keepGoing: boolean;
}
/** A text for each program with a difference. */
interface Found {
  readonly batch: Batch;
  readonly failures: readonly string[];
}

export function replayCommand(first: number, count = 1): string {
  return `make fuzz N=${count} SEED=${first}`;
}

/** The ways of a batch. */
function waysOf({ count, turn }: Batch): Ways {
  const all = everyWay();
  if (count <= EVERY_WAY) return all;
  const hasGcc = all.gcc.length > 0;
  return {
    gcc: hasGcc ? (turn % 16 === 1 ? ["-O0", "-O2"] : ["-O0"]) : [],
    native: all.native.filter((way) => way === "optimised" || turn % 2 === 0),
    // Without gcc, the interpreter is the reference for machine code.
    interpreted: (p) => !hasGcc || p.seed % PARTS === turn % PARTS,
    checked: turn % PARTS === 0,
    passes: [passNames[turn % passNames.length]],
  };
}

/**
 * Runs one batch. If some of its programs differ, each runs alone, and if it does not differ alone, together with ever
 * fewer of the others.
 */
export function runBatch(batch: Batch, packageRoot: string): string[] {
  const { first, count } = batch;
  const programs = Array.from({ length: count }, (_, i) => generate(first + i));
  const results = runAll(programs, packageRoot, waysOf(batch));
  const odd = programs.flatMap((program, i) =>
    difference(results[i]) === null ? [] : [{ program, shown: difference(results[i]) ?? "" }],
  );
  const failures: string[] = [];
  for (const { program, shown } of odd) {
    if (failures.length > 0 && !batch.keepGoing) break;
    const alone = runAll([program], packageRoot, everyWay())[0];
    const differs = difference(alone);
    if (differs !== null) failures.push(describe(program, alone, differs, packageRoot));
    // After a crash, the programs after it have no results in the batch.
    else if (!shown.includes("nothing")) failures.push(inCompany(batch, program.seed, packageRoot, shown));
  }
  return failures;
}

/** Halves the range of seeds around `seed` as long as it still differs. */
function inCompany(batch: Batch, seed: number, packageRoot: string, shown: string): string {
  let [low, high] = [batch.first, batch.first + batch.count];
  for (let isLess = true; isLess && high - low > 1; ) {
    const middle = (low + high) >> 1;
    const halves: [number, number][] = seed < middle ? [[low, middle]] : [[middle, high]];
    halves.push([(low + seed) >> 1, (seed + high + 1) >> 1]);
    const smaller = halves.find(([from, to]) => {
      if (to - from >= high - low) return false;
      const programs = Array.from({ length: to - from }, (_, i) => generate(from + i));
      return difference(runAll(programs, packageRoot, waysOf(batch))[seed - from]) !== null;
    });
    isLess = smaller !== undefined;
    if (smaller) [low, high] = smaller;
  }
  return `seed ${seed} differs, but only among others; replay: ${replayCommand(low, high - low)}\n${shown}`;
}

/** Seed, differing ways, the replay command, and a reduced program. */
function describe(program: Program, results: Results, shown: string, packageRoot: string): string {
  const values = [...results];
  const [odd, value] = values.find(([, v]) => v !== values[0][1]) ?? ["", ""];
  const head = [`seed ${program.seed} differs; replay: ${replayCommand(program.seed)}`, shown];
  if (odd === "frontend" || /^broke|MG\d{4}/.test(value)) return head.join("\n");
  // Only the ways needed to reproduce the difference.
  const all = everyWay();
  const ways: Ways = {
    gcc: all.gcc.filter((level) => odd === `gcc ${level}`),
    native: all.native.filter((way) => odd === `machine code ${way}`),
    interpreted: () => true,
    checked: true,
    passes: passNames.filter((pass) => odd.endsWith(` ${pass}`)),
  };
  const fails = (candidate: Program): boolean => {
    const r = runAll([candidate], packageRoot, ways)[0];
    const reference = r.get("ir");
    const isSound = reference !== undefined && /^[0-9a-f]{16}$/.test(reference);
    return isSound && r.get(odd) !== reference && !/MG\d{4}|^nothing|^broke/.test(r.get(odd) ?? "");
  };
  const small = reduce(program, fails, REDUCE_BUDGET);
  return [...head, `reduced for "${odd}":`, renderTypeScript(small, "program")].join("\n");
}

/** Returns the number of programs with a difference. */
async function fuzz(count: number, firstSeed: number, keepGoing: boolean): Promise<number> {
  for (const why of [whyNoGcc(), whyNoNative()]) if (why) console.log(`left out: ${why}`);
  const batches = Array.from({ length: Math.ceil(count / BATCH) }, (_, turn): Batch => {
    const first = firstSeed + turn * BATCH;
    return { first, count: Math.min(BATCH, firstSeed + count - first), turn, keepGoing };
  });
  let next = 0;
  let done = 0;
  let differences = 0;
  const serve = (): Promise<void> =>
    new Promise((resolve, reject) => {
      // Compilers produce much short-lived garbage.
      const worker: ChildProcess = fork(process.argv[1], ["--worker"], { execArgv: ["--max-semi-space-size=64"] });
      const give = (): void => {
        if (next < batches.length && (differences === 0 || keepGoing)) worker.send(batches[next++]);
        else worker.disconnect();
      };
      worker.on("message", ({ batch, failures }: Found) => {
        done += batch.count;
        differences += failures.length;
        for (const text of failures) console.log(text);
        console.log(`… ${done} of ${count} programs, ${differences} differences`);
        give();
      });
      worker.on("exit", (status) =>
        status === 0 ? resolve() : reject(new Error(`a worker ended with status ${status}`)),
      );
      give();
    });
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), batches.length) }, serve));
  console.log(`${done} programs, ${differences} differences`);
  return differences;
}

if (/fuzz\.m?js$/.test(process.argv[1] ?? "")) {
  const [count, seed, ...rest] = process.argv.slice(2);
  if (count === "--worker") {
    process.on("message", (batch: Batch) =>
      process.send?.({ batch, failures: runBatch(batch, process.cwd()) } satisfies Found),
    );
  } else if (!/^[1-9]\d*$/.test(count ?? "") || !/^\d+$/.test(seed ?? "1")) {
    console.error("margay: fuzz: count and first seed are numbers: make fuzz N=100 SEED=1");
    process.exitCode = 2;
  } else {
    process.exitCode = (await fuzz(Number(count), Number(seed ?? 1), rest.includes("--keep-going"))) > 0 ? 1 : 0;
  }
}
