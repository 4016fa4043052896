/**
 * The flags that results of SSE arithmetic raise (x86/sseflags.ts), against the processor that the tests run on: every
 * operation, with overflow, underflow and precision masked or not, every rounding mode, flush-to-zero.
 */
import { describe, expect, it } from "vitest";
import { decode } from "../../../emulator/cpu/x86/instruction.ts";
import { arithmeticSourceBytes, resultFlags } from "../../../emulator/cpu/x86/sseflags.ts";
import { seeded } from "../guest.ts";
import { type Case, DATA, FX_BYTES } from "./generate.ts";
import { Oracle, oracleMissing } from "./oracle.ts";

const SEED = 3;
const CASES = 6000;
const XMM = 160;
const MXCSR = 24;
const MASKS_OF_OPERANDS = 0x380;
const RESULT_FLAGS = 0x38;
// biome-ignore format: xmm0, xmm1
const operations = [
  "0f58", "660f58", "f30f58", "f20f58", "0f59", "660f59", "f30f59", "f20f59", "0f5c", "660f5c", "f30f5c", "f20f5c", "0f5e", "660f5e",
  "f30f5e", "f20f5e", "660f5a", "f20f5a", "660f7c", "f20f7c", "660f7d", "f20f7d", "660fd0", "f20fd0",
];

function lane(random: (below: number) => number, wide: boolean): bigint {
  const bits = wide ? 52 : 23;
  const exponents = wide ? 2047 : 255;
  const kind = random(4);
  const exponent = kind === 0 ? random(40) : kind === 1 ? exponents - 1 - random(40) : random(exponents + 1);
  let fraction = ((BigInt(random(2 ** 26)) << 26n) | BigInt(random(2 ** 26))) & ((1n << BigInt(bits)) - 1n);
  // Half of them are short, so that results are exact.
  if (random(2) === 0) fraction &= -1n << BigInt(bits - random(6));
  return (((BigInt(random(2)) << BigInt(wide ? 11 : 8)) | BigInt(exponent)) << BigInt(bits)) | fraction;
}

describe.skipIf(oracleMissing !== undefined)("flags of SSE results as this processor raises them", () => {
  it(`${CASES} cases of seed ${SEED}`, () => {
    const random = seeded(SEED);
    for (let warm = 0; warm < 8; warm++) random(2);
    const oracle = new Oracle(new Uint8Array(0x2000));
    const cases: Case[] = Array.from({ length: CASES }, (_, index) => {
      const text = operations[index % operations.length];
      const fx = new Uint8Array(FX_BYTES);
      const view = new DataView(fx.buffer);
      view.setUint16(0, 0x37f, true);
      const unmasked = random(8) << 10;
      const mxcsr = MASKS_OF_OPERANDS | (0x1c00 & ~unmasked) | (random(4) << 13) | (random(3) ? 0 : 0x8000);
      view.setUint32(MXCSR, mxcsr | (random(4) ? 0 : 0x40), true);
      for (let at = XMM; at < XMM + 32; at += 8) {
        const wide = random(2) === 0;
        const value = wide ? lane(random, true) : (lane(random, false) << 32n) | lane(random, false);
        view.setBigUint64(at, BigInt.asUintN(64, value), true);
      }
      return {
        offset: 0x100,
        code: Uint8Array.from(Buffer.from(`${text}c1`, "hex")),
        gpr: new BigUint64Array(16).fill(BigInt(DATA + 0x1000)),
        rflags: 2,
        fx,
        steps: [],
        text,
        notes: "",
      };
    });
    try {
      const results = oracle.run(cases);
      const counts = { raised: 0, exact: 0 };
      cases.forEach(({ code, fx, text }, index) => {
        const found = decode((at) => code[at], true);
        if (found === undefined) throw new Error(text);
        const view = new DataView(fx.buffer);
        const mxcsr = view.getUint32(MXCSR, true);
        const flags = resultFlags(found, fx.subarray(XMM, XMM + 16), fx.subarray(XMM + 16, XMM + 32), mxcsr) as number;
        const native = results[index].fx[MXCSR] & RESULT_FLAGS;
        const name = `${index} ${text} mxcsr ${mxcsr.toString(16)} ${Buffer.from(fx.subarray(XMM, XMM + 32)).toString("hex")}`;
        expect(`${name}: ${flags.toString(16)}`).toBe(`${name}: ${native.toString(16)}`);
        expect(results[index].vector).toBe(flags & ~(mxcsr >> 7) ? 19 : 3);
        if (flags & ~(mxcsr >> 7) & 0x18) counts[flags & 0x20 ? "raised" : "exact"]++;
        expect(arithmeticSourceBytes(found)).toBeGreaterThan(0);
      });
      expect(counts.raised).toBeGreaterThan(CASES / 50);
      expect(counts.exact).toBeGreaterThan(CASES / 100);
    } finally {
      oracle.close();
    }
  });
});
