/** Proves the shape of rotated loops, which code may then move out of them, and which loops stay unchanged. */
import { describe, expect, test } from "vitest";
import { dumpAfter, results } from "./text.ts";

const SIGNATURE = '(i64 "n", i64 "p") i64';
/** for (i = 0; i < n; i++) sum += BODY; the sum is %5. */
const loop = (body = "%7 = load i64 %1", test = ""): string => `b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 0
  %3 = const i64 1
  jump b1
b1: preds b0, b2
  %4 = phi i64 [%2, %9]
  %5 = phi i64 [%2, %8]${test}
  %6 = ult i8 %4, %0
  branch %6 ? b2 : b3
b2: preds b1
  ${body}
  %8 = add i64 %5, %7
  %9 = add i64 %4, %3
  jump b1
b3: preds b1
  ret %5`;

describe("rotate", () => {
  test("a guard, a loop with its test at the end, and phis where its values meet those of the guard", () => {
    expect(dumpAfter(["rotate"], SIGNATURE, loop())).toBe(`b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 0
  %3 = const i64 1
  jump b4
b4: preds b0
  %14 = ult i8 %2, %0
  branch %14 ? b5 : b3
b5: preds b1, b4
  %19 = phi i64 [%4, %2]
  %18 = phi i64 [%5, %2]
  jump b2
b2: preds b5
  %7 = load i64 %1
  %8 = add i64 %18, %7
  %9 = add i64 %19, %3
  jump b1
b1: preds b2
  %4 = phi i64 [%9]
  %5 = phi i64 [%8]
  %6 = ult i8 %4, %0
  branch %6 ? b5 : b3
b3: preds b1, b4
  %17 = phi i64 [%5, %2]
  ret %17`);
  });
  test("what the first turn surely does can be done in front: a load through a pointer, a division", () => {
    const hoisted = `  branch %14 ? b6 : b3
b6: preds b0
  %7 = load i64 %1
  jump b5
b5: preds b5, b6
  %19 = phi i64 [%9, %2]
  %18 = phi i64 [%8, %2]
  %8 = add i64 %18, %7
  %9 = add i64 %19, %3
  %6 = ult i8 %9, %0
  branch %6 ? b5 : b3`;
    expect(dumpAfter(["rotate", "cfg", "licm"], SIGNATURE, loop())).toContain(hoisted);
    expect(dumpAfter(["rotate", "cfg", "licm"], SIGNATURE, loop("%7 = udiv i64 %0, %1"))).toContain(
      hoisted.replace("load i64 %1", "udiv i64 %0, %1"),
    );
    expect(dumpAfter(["cfg", "licm"], SIGNATURE, loop())).toMatch(/b2: preds b1\n {2}%7 = load/);
  });
  test("a loop that may not run at all loads and divides nothing", () => {
    for (const body of ["%7 = load i64 %1", "%7 = udiv i64 %0, %1"]) {
      const [plain, optimised] = results(["rotate", "cfg", "licm"], SIGNATURE, loop(body), [0n, 0n]);
      expect(plain.value).toBe(0n);
      expect(optimised).toEqual(plain);
    }
  });
  test.each([
    ["a store that may reach it", "%7 = load i64 %1\n  store %0, %7", false],
    [
      "a store to another datum than the one that is read",
      "%10 = symbol i64 @d\n  %11 = symbol i64 @e\n  store %11, %4\n  %7 = load i64 %10",
      true,
    ],
    ["a call", "%7 = load i64 %1\n  %10 = call i64 @f (%0, %1)", false],
    ["a fence", "%7 = load i64 %1\n  fence", false],
    ["a volatile access", "%7 = load i64 %1\n  %10 = load i64 %1 volatile", false],
    ["a division beside a store", "%7 = udiv i64 %0, %1\n  %10 = symbol i64 @d\n  store %10, %7", false],
  ])("licm of a load or division beside %s", (_, body, isHoisted) => {
    const text = dumpAfter(["rotate", "cfg", "gvn", "licm"], SIGNATURE, loop(body));
    const inLoop = text.slice(text.indexOf(" phi "));
    expect(/%7 = /.test(inLoop)).toBe(!isHoisted);
  });
  test("a test with an effect, a long one, and a loop that is tested at its end stay", () => {
    const same = (body: string): void => expect(dumpAfter(["rotate"], SIGNATURE, body)).toBe(body);
    same(loop("%7 = load i64 %1", "\n  %10 = load i64 %1 volatile"));
    same(
      loop(
        "%7 = load i64 %1",
        Array.from({ length: 9 }, (_, i) => `\n  %${20 + i} = mul i64 %4, %${i === 0 ? 4 : 19 + i}`).join(""),
      ),
    );
    same(`b0:
  %0 = param i64 0
  %1 = param i64 1
  jump b1
b1: preds b0, b2
  %2 = phi i64 [%1, %4]
  %3 = ult i8 %2, %0
  branch %3 ? b2 : b3
b2: preds b1
  %4 = add i64 %2, %0
  %5 = eq i8 %4, %1
  branch %5 ? b3 : b1
b3: preds b1, b2
  ret %1`);
  });
  test("and computes the same for every number of turns, in a loop in a loop too", () => {
    const nest = `b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 0
  %3 = const i64 1
  jump b1
b1: preds b0, b4
  %4 = phi i64 [%2, %12]
  %5 = phi i64 [%2, %8]
  %6 = ult i8 %4, %0
  branch %6 ? b2 : b5
b2: preds b1, b3
  %7 = phi i64 [%4, %11]
  %8 = phi i64 [%5, %10]
  %9 = ult i8 %7, %1
  branch %9 ? b3 : b4
b3: preds b2
  %10 = add i64 %8, %4
  %11 = add i64 %7, %3
  jump b2
b4: preds b2
  %12 = add i64 %4, %3
  jump b1
b5: preds b1
  ret %5`;
    for (const [n, m] of [
      [0n, 0n],
      [1n, 0n],
      [3n, 7n],
      [9n, 4n],
    ]) {
      const [plain, optimised] = results(["rotate"], SIGNATURE, nest, [n!, m!]);
      expect(optimised).toEqual(plain);
    }
  });
});
