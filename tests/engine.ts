/**
 * The engine that tests of machines run on: MARGAY_ENGINE names it, as it does for the command (default: the command's
 * default). MARGAY_DISTURB=SEED splits every run of a core at random budgets and drops all of the engine's caches at
 * random between them: no test may notice.
 */
import { defaults } from "../emulator/cli/limits.ts";
import type { Core, CreateEngine, Engine, RunResult } from "../emulator/cpu/engine.ts";
import { createNativeEngine, NativeUnavailable } from "../emulator/cpu/native/engine.ts";
import { createUnicornEngine, UnicornUnavailable } from "../emulator/cpu/unicorn/engine.ts";
import { Prng } from "../emulator/machine/prng.ts";
import { RecordingBus } from "./cpu/bus.ts";

export const engineCreators = { native: createNativeEngine, unicorn: createUnicornEngine } as const;
export type TestedEngine = keyof typeof engineCreators;

const { MARGAY_ENGINE, MARGAY_DISTURB } = process.env;
export const engineName = (MARGAY_ENGINE ?? defaults.engine) as TestedEngine;
if (!(engineName in engineCreators)) throw new Error(`MARGAY_ENGINE: no engine '${engineName}'`);

/** The engine under test. */
export const createEngine: CreateEngine =
  MARGAY_DISTURB === undefined
    ? engineCreators[engineName]
    : disturbed(engineCreators[engineName], Number(MARGAY_DISTURB));

/** Why an engine cannot run here; undefined: it can. */
export function whyMissing(create: CreateEngine): string | undefined {
  try {
    create({ ramBytes: 1 << 20, cores: 1, bus: new RecordingBus() }).close();
    return undefined;
  } catch (error) {
    if (!(error instanceof UnicornUnavailable) && !(error instanceof NativeUnavailable)) throw error;
    return error.message;
  }
}

/** The same for `skipIf`, with the reason printed: which tests are skipped, and why. */
export function skipReason(tests: string, create: CreateEngine): string | undefined {
  const reason = whyMissing(create);
  if (reason !== undefined) console.log(`${tests} skipped: ${reason}`);
  return reason;
}

/** An engine whose runs are split and whose caches are dropped at random. Its results are the same. */
export function disturbed(create: CreateEngine, seed: number): CreateEngine {
  return (options) => {
    const engine = create(options);
    const prng = new Prng(seed);
    for (const core of engine.cores) splitRuns(engine, core, (below) => prng.next() % below);
    return engine;
  };
}

function splitRuns(engine: Engine, core: Core, random: (below: number) => number): void {
  const whole = { run: core.run.bind(core), runToWindow: core.runToWindow.bind(core) };
  for (const name of ["run", "runToWindow"] as const)
    core[name] = (budget: number): RunResult => {
      let retired = 0;
      for (;;) {
        // Mostly short: the first pieces decide how often a block is entered in its middle.
        const piece = Math.min(budget - retired, 1 + random(random(4) ? 2000 : 20));
        if (random(400) === 0) engine.flushCaches();
        const result = whole[name](piece);
        retired += result.retired;
        if (result.reason !== "budget" || retired >= budget) return { ...result, retired };
        if (name === "runToWindow" && core.interruptible) return { reason: "window", retired };
      }
    };
}
