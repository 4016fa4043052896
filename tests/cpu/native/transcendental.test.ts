/**
 * Transcendental x87 instructions: within one unit in the last place of the processor that the tests run on, over
 * their whole ranges, with its stack, flags and tags; and bit patterns that are the same everywhere.
 */
import { describe, expect, it } from "vitest";
import { transcend } from "../../../emulator/cpu/x86/transcendental.ts";
import { seeded } from "../guest.ts";
import { type Case, DATA, FX_BYTES } from "./generate.ts";
import { Oracle, oracleMissing } from "./oracle.ts";

const SEED = 5;
const CASES = 1600;
const BIAS = 0x3fff;
/** By name: ModRM, operands, range of the exponents of x and y. */
// biome-ignore format: a table
const functions: readonly (readonly [name: string, modrm: number, x: readonly [number, number], y: readonly [number, number] | undefined, positive: boolean])[] = [
  ["f2xm1",   0xf0, [-70, -1],    undefined,    false],
  ["fyl2x",   0xf1, [-80, 80],    [-60, 60],    true],
  ["fptan",   0xf2, [-70, 62],    undefined,    false],
  ["fpatan",  0xf3, [-90, 90],    [-90, 90],    false],
  ["fyl2xp1", 0xf9, [-90, -3],    [-60, 60],    false],
  ["fsincos", 0xfb, [-70, 62],    undefined,    false],
  ["fsin",    0xfe, [-70, 62],    undefined,    false],
  ["fcos",    0xff, [-70, 62],    undefined,    false],
];

interface Value {
  readonly high: number;
  readonly low: bigint;
}
function imageOf(values: readonly Value[], control = 0x37f): Uint8Array {
  const fx = new Uint8Array(FX_BYTES);
  const view = new DataView(fx.buffer);
  view.setUint16(0, control, true);
  const top = (8 - values.length) & 7;
  view.setUint16(2, top << 11, true);
  view.setUint32(24, 0x1f80, true);
  values.forEach(({ high, low }, index) => {
    view.setUint8(4, view.getUint8(4) | (1 << ((top + index) & 7)));
    view.setBigUint64(32 + 16 * index, low, true);
    view.setUint16(40 + 16 * index, high, true);
  });
  return fx;
}
const registerOf = (fx: Uint8Array, index: number): Value => {
  const view = new DataView(fx.buffer, fx.byteOffset, fx.length);
  return { high: view.getUint16(40 + 16 * index, true), low: view.getBigUint64(32 + 16 * index, true) };
};
const text = ({ high, low }: Value): string =>
  `${high.toString(16).padStart(4, "0")}:${low.toString(16).padStart(16, "0")}`;
/** Units in the last place between two of the same sign. */
function distance(a: Value, b: Value): bigint {
  const place = ({ high, low }: Value): bigint => (BigInt(high & 0x7fff) << 63n) + (low & 0x7fff_ffff_ffff_ffffn);
  if (a.high >> 15 !== b.high >> 15) return 1n << 64n;
  const difference = place(a) - place(b);
  return difference < 0n ? -difference : difference;
}
function computed(modrm: number, fx: Uint8Array): Uint8Array {
  const image = fx.slice();
  if (!transcend(new DataView(image.buffer), modrm)) throw new Error(`left to the host: ${text(registerOf(fx, 0))}`);
  return image;
}

/** x, y, the result rounded to nearest: computed by unlimited arithmetic, with the π of 66 bits. */
// biome-ignore format: a table
const golden: readonly (readonly [name: string, x: string, y: string, result: string])[] = [
  ["fsin", "3fff:8000000000000000", "", "3ffe:d76aa47848677021"],
  ["fsin", "4000:c90fdaa22168c235", "", "bfbf:8000000000000000"],
  ["fsin", "403d:ffffffffffffffff", "", "3ffe:e0ab9300da6d2684"],
  ["fsin", "bffe:8000000000000000", "", "bffd:f57743a2582f7f44"],
  ["fsin", "3fd0:c000000000000001", "", "3fd0:c000000000000001"],
  ["fcos", "3fff:8000000000000000", "", "3ffe:8a51407da8345c92"],
  ["fcos", "3fff:c90fdaa22168c235", "", "bfbe:8000000000000000"],
  ["fcos", "403d:ffffffffffffffff", "", "3ffd:f56ec1e0a37c4176"],
  ["fptan", "3fff:8000000000000000", "", "3fff:c75922e5f71d2dc5"],
  ["fptan", "3fff:c90fdaa22168c235", "", "c040:8000000000000000"],
  ["fptan", "bffe:c90fdaa22168c235", "", "bfff:8000000000000000"],
  ["f2xm1", "3ffe:8000000000000000", "", "3ffd:d413cccfe7799211"],
  ["f2xm1", "bffe:8000000000000000", "", "bffd:95f619980c4336f7"],
  ["f2xm1", "3fbe:8000000000000001", "", "3fbd:b17217f7d1cf79ad"],
  ["f2xm1", "bffd:aaaaaaaaaaaaaaab", "", "bffc:d3402b5852386faa"],
  ["fyl2x", "4000:c000000000000000", "3fff:8000000000000000", "3fff:cae00d1cfdeb43d0"],
  ["fyl2x", "3fff:8000000000000001", "3fff:8000000000000000", "3fc0:b8aa3b295c17f0bb"],
  ["fyl2x", "4002:a000000000000000", "3ffd:9a209a84fbcff799", "3fff:8000000000000000"],
  ["fyl2xp1", "3ffd:8000000000000000", "3fff:8000000000000000", "3ffd:a4d3c25e68dc57f2"],
  ["fyl2xp1", "3fbf:8000000000000001", "bfff:c000000000000000", "bfc0:8a7fac5f0511f48e"],
  ["fpatan", "3fff:8000000000000000", "3fff:8000000000000000", "3ffe:c90fdaa22168c235"],
  ["fpatan", "4000:c000000000000000", "3fff:8000000000000000", "3ffd:a4bc7d1934f70924"],
  ["fpatan", "3fff:8000000000000001", "bffe:fffffffffffffffe", "bffe:c90fdaa22168c233"],
];
const parse = (value: string): Value => {
  const [high, low] = value.split(":");
  return { high: Number.parseInt(high, 16), low: BigInt(`0x${low}`) };
};
const modrmOf = (name: string): number => functions.find(([known]) => known === name)?.[1] as number;

describe("transcendental x87 instructions, the same on every host", () => {
  it("have the exact result's bits", () => {
    for (const [name, x, y, result] of golden) {
      const operands = y === "" ? [parse(x)] : [parse(x), parse(y)];
      const after = computed(modrmOf(name), imageOf(operands));
      const at = name === "fptan" ? 1 : 0;
      expect(`${name} ${x} ${y}: ${text(registerOf(after, at))}`).toBe(`${name} ${x} ${y}: ${result}`);
    }
  });
  it("are rounded by the control word, and C1 says when up", () => {
    for (const [name, x, y] of golden) {
      const operands = y === "" ? [parse(x)] : [parse(x), parse(y)];
      const [nearest, down, up, truncated] = [0x37f, 0x77f, 0xb7f, 0xf7f].map((control) =>
        computed(modrmOf(name), imageOf(operands, control)),
      );
      const at = name === "fptan" ? 1 : 0;
      const of = (image: Uint8Array): string => text(registerOf(image, at));
      const isNegative = registerOf(nearest, at).high >> 15 !== 0;
      if ((nearest[2] & 0x20) === 0) continue; // exact
      expect(distance(registerOf(down, at), registerOf(up, at))).toBe(1n);
      expect([of(down), of(up)]).toContain(of(nearest));
      expect(of(truncated)).toBe(of(isNegative ? up : down));
      if (name === "fptan") continue;
      const roundedUp = (image: Uint8Array): boolean => (image[3] & 2) !== 0;
      expect([roundedUp(down), roundedUp(up), roundedUp(truncated)]).toEqual([isNegative, !isNegative, false]);
      expect(roundedUp(nearest)).toBe(of(nearest) !== of(truncated));
    }
  });
  it("leave angles from 2^63 on alone, with C2", () => {
    for (const name of ["fsin", "fcos", "fsincos", "fptan"]) {
      for (const x of ["403e:8000000000000000", "c03e:8000000000000000", "7ffe:ffffffffffffffff"]) {
        const before = imageOf([parse(x)]);
        const after = computed(modrmOf(name), before);
        before[3] |= 4;
        expect(Buffer.from(after).toString("hex")).toBe(Buffer.from(before).toString("hex"));
      }
    }
  });
});

describe.skipIf(oracleMissing !== undefined)("transcendental x87 instructions beside this processor", () => {
  it(`${CASES} cases of seed ${SEED}`, () => {
    const random = seeded(SEED);
    for (let warm = 0; warm < 8; warm++) random(2);
    const value = ([first, last]: readonly [number, number], positive: boolean): Value => {
      let low = (1n << 63n) | (BigInt(random(2 ** 31)) << 32n) | BigInt(random(2 ** 31) * 2 + random(2));
      if (random(4) === 0) low &= -1n << BigInt(random(63));
      const exponent = first + random(last - first + 1);
      return {
        high: (BIAS + exponent) | (positive || random(2) ? 0 : 0x8000),
        low: BigInt.asUintN(64, low) | (1n << 63n),
      };
    };
    const oracle = new Oracle(new Uint8Array(0x2000));
    const cases: Case[] = Array.from({ length: CASES }, (_, index) => {
      const [name, modrm, x, y, positive] = functions[index % functions.length];
      const operands = [value(x, positive), ...(y === undefined ? [] : [value(y, false)])];
      return {
        offset: 0x100,
        code: Uint8Array.of(0xd9, modrm),
        gpr: new BigUint64Array(16).fill(BigInt(DATA + 0x1000)),
        rflags: 2,
        fx: imageOf(operands),
        steps: [],
        text: name,
        notes: "",
      };
    });
    try {
      const results = oracle.run(cases);
      let differing = 0;
      cases.forEach(({ code, fx, text: name }, index) => {
        const native = results[index].fx;
        // log2(1) is an exact zero, and the host's to give.
        if (name === "fyl2x" && text(registerOf(fx, 0)) === "3fff:8000000000000000") return;
        const ours = computed(code[1], fx);
        const what = `${index} ${name} ${text(registerOf(fx, 0))} ${text(registerOf(fx, 1))}`;
        const count = name === "fsincos" || name === "fptan" ? 2 : 1;
        for (let at = 0; at < count; at++) {
          const ulps = distance(registerOf(ours, at), registerOf(native, at));
          if (ulps > 0n) differing++;
          const shown = `${text(registerOf(ours, at))}, natively ${text(registerOf(native, at))}`;
          expect(`${what}: ${ulps <= 1n ? "" : shown}`).toBe(`${what}: `);
        }
        // TOP, flags but C1, and tags.
        const status = (image: Uint8Array): number => (image[2] | (image[3] << 8)) & ~0x200;
        expect(`${what} ${status(ours).toString(16)} ${ours[4]}`).toBe(
          `${what} ${status(native).toString(16)} ${native[4]}`,
        );
      });
      console.log(`transcendental: ${CASES} cases, ${differing} results differ from this processor's by one ulp`);
    } finally {
      oracle.close();
    }
  });
});
