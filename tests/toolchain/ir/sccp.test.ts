/** Proves what sparse conditional constant propagation finds that folding does not, and what it must not change. */
import { describe, expect, test } from "vitest";
import { dumpAfter, results } from "./text.ts";

const SIGNATURE = '(i64 "n") i64';
/** flag is 1 unless it is set to 3, which only happens if it is not 1. */
const CARRIED = (other: number): string => `b0:
  %0 = param i64 0
  %1 = const i64 1
  %2 = const i64 ${other}
  %3 = const i64 0
  jump b1
b1: preds b0, b4
  %4 = phi i64 [%3, %10]
  %5 = phi i64 [%1, %9]
  %6 = ult i8 %4, %0
  branch %6 ? b2 : b5
b2: preds b1
  %7 = eq i8 %5, %1
  branch %7 ? b4 : b3
b3: preds b2
  %8 = add i64 %5, %2
  jump b4
b4: preds b2, b3
  %9 = phi i64 [%5, %8]
  %10 = add i64 %4, %1
  jump b1
b5: preds b1
  ret %5`;

describe("sccp", () => {
  test("a constant that a loop carries round opens no branch that would change it; fold does not see it", () => {
    expect(dumpAfter(["fold", "cfg"], SIGNATURE, CARRIED(2))).toContain("eq i8");
    expect(dumpAfter(["sccp"], SIGNATURE, CARRIED(2))).toBe(`b0:
  %17 = const i64 1
  %18 = const i8 1
  %0 = param i64 0
  %1 = const i64 1
  %2 = const i64 2
  %3 = const i64 0
  jump b1
b1: preds b0, b4
  %4 = phi i64 [%3, %10]
  %6 = ult i8 %4, %0
  branch %6 ? b2 : b5
b2: preds b1
  jump b4
b4: preds b2
  %10 = add i64 %4, %1
  jump b1
b5: preds b1
  ret %17`);
  });
  test("and computes the same", () => {
    for (const n of [0n, 1n, 5n]) {
      const [plain, optimised] = results(["sccp"], SIGNATURE, CARRIED(2), [n]);
      expect(optimised).toEqual(plain);
    }
  });
  test("two values on two ways that are both taken are no constant, one value is", () => {
    const join = (value: number): string =>
      `b0:\n  %0 = param i64 0\n  %1 = const i64 7\n  %2 = const i64 ${value}\n  %3 = ult i8 %0, %1\n  branch %3 ? b1 : b2\nb1: preds b0\n  jump b3\nb2: preds b0\n  jump b3\nb3: preds b1, b2\n  %4 = phi i64 [%1, %2]\n  %5 = mul i64 %4, %4\n  ret %5`;
    expect(dumpAfter(["sccp"], SIGNATURE, join(8))).toContain("%5 = mul i64 %4, %4");
    expect(dumpAfter(["sccp"], SIGNATURE, join(7))).toMatch(/const i64 49\n[\s\S]*ret %11$/);
  });
  test("a switch on a constant keeps its target; a default counts for what is no case", () => {
    const by = (value: number): string =>
      `b0:\n  %0 = const i64 ${value}\n  %1 = const i64 10\n  switch %0 1: b1, 2: b2, else: b3\nb1: preds b0\n  ret %0\nb2: preds b0\n  ret %1\nb3: preds b0\n  %2 = add i64 %0, %1\n  ret %2`;
    expect(dumpAfter(["sccp"], "() i64", by(2)).match(/^b\d.*/gm)).toEqual(["b0:", "b2: preds b0"]);
    expect(dumpAfter(["sccp"], "() i64", by(5))).toMatch(/const i64 15\n[\s\S]*jump b3\nb3: preds b0\n {2}ret %\d+$/);
  });
  test.each([
    ["a division by zero", "%2 = udiv i64 %1, %0"],
    [
      "an overflow of division",
      "%2 = const i64 9223372036854775808\n  %3 = const i64 18446744073709551615\n  %4 = sdiv i64 %2, %3",
    ],
  ])("what traps stays: %s", (_, division) => {
    const body = `b0:\n  %0 = const i64 0\n  %1 = const i64 9\n  ${division}\n  ret %1`;
    expect(dumpAfter(["sccp"], "() i64", body)).toMatch(/div i64/);
  });
  test("NaN and conversions out of range are the processor's", () => {
    const nan = "b0:\n  %0 = fconst f64 0x0000000000000000\n  %1 = fdiv f64 %0, %0\n  ret %1";
    expect(dumpAfter(["sccp"], "() f64", nan)).toContain("fdiv");
    const wide = "b0:\n  %0 = fconst f64 1e30\n  %1 = ftosi i32 %0\n  ret %1";
    expect(dumpAfter(["sccp"], "() i32", wide)).toContain("ftosi");
  });
});
