/**
 * Random instructions on the native engine and on Unicorn: registers, defined flags, memory, XMM and x87 registers,
 * exceptions and their place; and on the native engine once more in one run. Then random bytes as code in ring 0 and
 * ring 3 (starts.ts). `make engines` runs the long campaigns.
 */
import { describe, expect, it } from "vitest";
import { createNativeEngine } from "../../../emulator/cpu/native/engine.ts";
import { createUnicornEngine } from "../../../emulator/cpu/unicorn/engine.ts";
import { missing } from "../guest.ts";
import { campaign, families } from "./differential.ts";
import { runStarts } from "./starts.ts";

const SEED = 1;
const PROGRAMS = 600;
const STARTS = 700;

describe.skipIf(missing)("random instructions, native beside Unicorn", () => {
  for (const [name, { accept, length }] of Object.entries(families)) {
    it(`${name}, seed ${SEED}`, () => {
      const result = campaign({
        reference: createUnicornEngine,
        native: createNativeEngine,
        programs: PROGRAMS,
        seed: SEED,
        accept,
        length,
      });
      expect(result.differences).toEqual([]);
      expect(result.instructions).toBeGreaterThan(PROGRAMS / 2);
    });
  }
});

describe.skipIf(missing)("random bytes as code", () => {
  for (const [peer, reference] of [
    ["Unicorn", createUnicornEngine],
    ["in pieces, in steps and in one run", createNativeEngine],
  ] as const)
    it(`${peer}, seed ${SEED}`, () => {
      const { starts, differences, known } = runStarts({
        reference,
        tested: createNativeEngine,
        starts: STARTS,
        seed: SEED,
      });
      expect(differences).toEqual([]);
      expect(starts).toBe(STARTS);
      if (reference === createNativeEngine) expect([...known.keys()]).toEqual([]);
    });
});
