/**
 * Random instructions on the native engine and on Unicorn: registers, defined flags, memory, XMM and x87 registers,
 * exceptions and their place; and on the native engine once more in one run. `make fuzz` runs the long campaign.
 */
import { describe, expect, it } from "vitest";
import { createNativeEngine } from "../../../emulator/cpu/native/engine.ts";
import { createUnicornEngine } from "../../../emulator/cpu/unicorn/engine.ts";
import { missing } from "../guest.ts";
import { campaign, families } from "./differential.ts";

const SEED = 1;
const PROGRAMS = 600;

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
