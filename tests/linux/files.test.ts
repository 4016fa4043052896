/**
 * Proves that shipped calls behave as on Linux: each family's program (names.c, …) prints what every call gives, the
 * error cases of the manual pages among them, and prints the same on both. Compiled with glibc and with musl.
 */
import { afterAll, describe, expect, it } from "vitest";
import { Conformance, lines } from "./rig.ts";

const c = new Conformance();
afterAll(() => c.close());

/** Fewer lines than this: the program has not come to its end. */
const families = { names: 170, attributes: 150, transfer: 160, descriptors: 210, memory: 120 } as const;

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
