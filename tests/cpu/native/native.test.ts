/**
 * User-mode instructions compared with the processor that runs the tests: registers, defined flags, memory, the
 * exception and its address. A fixed set here; `make cpu N=1000000 SEED=2` tries more.
 */
import { describe, expect, it } from "vitest";
import { createNativeEngine } from "../../../emulator/cpu/native/engine.ts";
import { realEngine } from "../../machine/guest.ts";
import { oracleMissing } from "./oracle.ts";
import { Campaign } from "./run.ts";

const SEED = 1;
const CASES = { integer: 6000, sse: 4000, x87: 3000 } as const;

const engine = await realEngine();
const missing = typeof engine === "string" ? engine : oracleMissing;
if (missing !== undefined) console.log(`tests/cpu/native skipped: ${missing}`);

describe.skipIf(missing !== undefined)("user-mode instructions as this processor executes them", () => {
  for (const family of ["integer", "sse", "x87"] as const)
    it(family, () => {
      if (typeof engine === "string") throw new Error(engine);
      const { cases, differences, listed } = new Campaign(engine, SEED).run(family, CASES[family]);
      console.log(`${family}: ${cases} cases, ${differences.length} differences, ${listed} listed ones`);
      expect(differences.map(({ kind, text }) => `${kind}: ${text}`)).toEqual([]);
    });
});

describe.skipIf(oracleMissing !== undefined)("user-mode instructions, native engine", () => {
  for (const family of ["integer", "sse", "x87"] as const)
    it(family, () => {
      const { cases, differences, listed } = new Campaign(createNativeEngine, SEED).run(family, CASES[family]);
      console.log(`${family}: ${cases} cases, ${differences.length} differences, ${listed} listed ones`);
      expect(differences.map(({ kind, text }) => `${kind}: ${text}`)).toEqual([]);
    });
});
