/**
 * Proves which addresses that follow a loop counter get a form of one addressing mode, which get a stepped address, and
 * which stay unchanged.
 */
import { describe, expect, test } from "vitest";
import { Prng } from "../../../toolchain/lib/prng.ts";
import { dumpAfter, results } from "./text.ts";

const SIGNATURE = '(i64 "n", i64 "j") i64';
/** do { sum += load(ADDRESS) } while (++i < n); i is %4, %11 is the address; %10 and %12 to %19 are the body's. */
const loop = (address: string, access = "  %20 = load i64 %11"): string => `b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 0
  %3 = const i64 1
  %6 = symbol i64 @d
  jump b1
b1: preds b0, b1
  %4 = phi i64 [%2, %8]
  %5 = phi i64 [%2, %7]
${address}
${access}
  %7 = add i64 %5, %20
  %8 = add i64 %4, %3
  %9 = ult i8 %8, %0
  branch %9 ? b1 : b2
b2: preds b1
  ret %7`;
/** d[(i + j) * 1 + 2], eight bytes each. */
const INDEXED = `  %12 = add i64 %4, %1
  %13 = const i64 3
  %14 = shl i64 %12, %13
  %15 = add i64 %6, %14
  %16 = const i64 16
  %11 = add i64 %15, %16`;
/** d + 24 * i + j. */
const STEPPED = `  %13 = const i64 24
  %14 = mul i64 %4, %13
  %15 = add i64 %14, %1
  %11 = add i64 %6, %15`;

describe("induction", () => {
  test("a datum that is named in the loop is named again in front of it", () => {
    const named = INDEXED.replace("add i64 %6, %14", "add i64 %17, %14");
    const text = dumpAfter(["induction"], SIGNATURE, loop(`  %17 = symbol i64 @d\n${named}`));
    expect(text.slice(0, text.indexOf("b1:")).match(/symbol i64 @d/g)).toHaveLength(2);
  });
  test("what does not change is added up in front, the counter stays the index, the constant a displacement", () => {
    expect(dumpAfter(["induction", "dce"], SIGNATURE, loop(INDEXED))).toBe(`b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 0
  %3 = const i64 1
  %6 = symbol i64 @d
  %24 = const i64 3
  %25 = shl i64 %1, %24
  %26 = add i64 %6, %25
  jump b1
b1: preds b0, b1
  %4 = phi i64 [%2, %8]
  %5 = phi i64 [%2, %7]
  %27 = const i64 3
  %28 = shl i64 %4, %27
  %29 = add i64 %26, %28
  %30 = const i64 16
  %31 = add i64 %29, %30
  %20 = load i64 %31
  %7 = add i64 %5, %20
  %8 = add i64 %4, %3
  %9 = ult i8 %8, %0
  branch %9 ? b1 : b2
b2: preds b1
  ret %7`);
  });
  test("a counter times anything else is an address of its own, stepped beside the counter", () => {
    expect(dumpAfter(["induction", "dce"], SIGNATURE, loop(STEPPED))).toBe(`b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 0
  %3 = const i64 1
  %6 = symbol i64 @d
  %24 = add i64 %6, %1
  jump b1
b1: preds b0, b1
  %25 = phi i64 [%24, %27]
  %4 = phi i64 [%2, %8]
  %5 = phi i64 [%2, %7]
  %20 = load i64 %25
  %7 = add i64 %5, %20
  %8 = add i64 %4, %3
  %26 = const i64 24
  %27 = add i64 %25, %26
  %9 = ult i8 %8, %0
  branch %9 ? b1 : b2
b2: preds b1
  ret %7`);
  });
  test("accesses that differ in the constant share one", () => {
    const two = loop(
      STEPPED,
      "  %16 = const i64 8\n  %17 = add i64 %11, %16\n  %18 = load i64 %11\n  %19 = load i64 %17\n  %20 = sub i64 %18, %19",
    );
    const text = dumpAfter(["induction", "dce"], SIGNATURE, two);
    expect(text.match(/ phi /g)).toHaveLength(3);
    expect(text).not.toContain("mul");
  });
  test.each([
    [
      "what one addressing mode computes already",
      "  %13 = const i64 3\n  %14 = shl i64 %4, %13\n  %11 = add i64 %6, %14",
    ],
    [
      "a counter that is no such sum",
      "  %13 = xor i64 %4, %1\n  %14 = const i64 24\n  %15 = mul i64 %13, %14\n  %11 = add i64 %6, %15",
    ],
    ["a product of two values", "  %13 = mul i64 %4, %1\n  %11 = add i64 %6, %13"],
  ])("%s stays", (_, address) => {
    const body = loop(address);
    expect(dumpAfter(["induction"], SIGNATURE, body)).toBe(dumpAfter(["preheaders"], SIGNATURE, body));
  });
  test("an address that only some turns want is not stepped in all", () => {
    const some = loop(
      STEPPED,
      "  %18 = const i64 0\n  %19 = ult i8 %4, %1\n  branch %19 ? b3 : b4\nb3: preds b1\n  %17 = load i64 %11\n  jump b4\nb4: preds b1, b3\n  %20 = phi i64 [%18, %17]",
    )
      .replaceAll("b0, b1\n", "b0, b4\n")
      .replace("b2: preds b1", "b2: preds b4");
    expect(dumpAfter(["induction"], SIGNATURE, some)).toContain("mul i64 %4");
  });
  test("and computes the same", () => {
    for (const body of [loop(INDEXED), loop(STEPPED), loop(INDEXED, "  store %11, %4\n  %20 = load i64 %6")]) {
      for (const args of [
        [0n, 0n],
        [2n, 2n],
        [3n, 1n],
        [2n, 0xffff_ffff_ffff_ffffn],
      ]) {
        const [plain, optimised] = results(["induction"], SIGNATURE, body, args);
        expect(optimised).toEqual(plain);
      }
    }
  });
  test("random sums and products of counter, another value and constants, in any order, through loads and stores", () => {
    let stepped = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const prng = new Prng(seed);
      let id = 30;
      const lines: string[] = [];
      const emit = (op: string, a: number, b: number): number => {
        lines.push(`  %${id} = ${op} i64 %${a}, %${b}`);
        return id++;
      };
      const constant = (value: number): number => {
        lines.push(`  %${id} = const i64 ${BigInt.asUintN(64, BigInt(value))}`);
        return id++;
      };
      const times = (value: number, by: number): number =>
        by === 4 && prng.chance(0.5) ? emit("shl", value, constant(2)) : emit("mul", value, constant(by));
      // i below 5, j below 4: at most 4 * 7 + 3 * 5 + 13 bytes into d, which has 64.
      let parts = [times(4, prng.between(1, 7)), times(1, prng.between(1, 5)), constant(prng.between(0, 5))];
      if (prng.chance(0.5)) parts = [times(emit("add", 4, 1), prng.between(1, 5)), constant(prng.between(0, 9))];
      let address = 6;
      while (parts.length > 0) {
        const [part] = parts.splice(prng.below(parts.length), 1);
        address = prng.chance(0.5)
          ? emit("add", address, part!)
          : emit("sub", address, emit("mul", part!, constant(-1)));
      }
      if (prng.chance(0.4)) address = emit("sub", emit("add", address, constant(9)), constant(8));
      const narrow =
        "%21 = load i8 %A\n  %20 = zext i64 %21\n  %23 = add i64 %4, %3\n  %22 = trunc i8 %23\n  store %A, %22".replaceAll(
          "%A",
          `%${address}`,
        );
      const body = loop(lines.join("\n"), `  ${narrow}`);
      if (/phi i64 \[%\d+, %\d+\]\n {2}%4 = phi/.test(dumpAfter(["induction"], SIGNATURE, body))) stepped++;
      for (const only of [["induction"], ["gvn", "licm", "induction", "gvn", "fold", "dce"]]) {
        const [plain, optimised] = results(only, SIGNATURE, body, [5n, 3n]);
        expect(optimised, `seed ${seed}: ${only.join(", ")}`).toEqual(plain);
        expect(plain.value).not.toBe("memory");
      }
    }
    expect(stepped).toBeGreaterThan(10);
  });
});
