/**
 * Proves that local calls and signals behave as on Linux: signals.c (actions, masks, frames, stacks, waits, timers,
 * codes of faults), local.c (users, limits, scheduling, clocks, futexes, refusals) and threads.c (signals to threads,
 * robust locks, restartable sequences) print the same lines on both, errors included.
 */
import { afterAll, describe, expect, it } from "vitest";
import { Conformance, lines } from "./rig.ts";

const c = new Conformance();
afterAll(() => c.close());

/** Fewer lines than this: the program has not come to its end. */
const families = { signals: 260, local: 280, threads: 25 } as const;

describe.each(["gcc", "musl-gcc"])("%s -static", (compiler) => {
  it.each(Object.entries(families))(
    "%s: the same lines on Linux and on Margay",
    { timeout: 120_000 },
    (name, least) => {
      const problem = c.compile(compiler, name);
      if (problem !== null) {
        console.log(`tests/linux/${name} with ${compiler} skipped: ${problem}`);
        return;
      }
      const expected = lines(c.onLinux(name));
      expect(expected.length).toBeGreaterThan(least);
      expect(lines(c.onMargay(name))).toEqual(expected);
    },
  );
});
