/** Proves which edges jump threading leads past a test, that values meet after it, and that loops keep one entry. */
import { describe, expect, test } from "vitest";
import { dumpAfter, results } from "./text.ts";

const SIGNATURE = '(i64 "a", i64 "b") i64';
/**
 * As an inlined function leaves it that returns a boolean and fills in a field: b3 tests one phi, the other one is used
 * after it.
 */
const INLINED = `b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i8 0
  %3 = const i8 1
  %4 = ult i8 %0, %1
  branch %4 ? b1 : b2
b1: preds b0
  %5 = mul i64 %0, %0
  jump b3
b2: preds b0
  jump b3
b3: preds b1, b2
  %6 = phi i8 [%3, %2]
  %7 = phi i64 [%5, %1]
  branch %6 ? b4 : b5
b4: preds b3
  %8 = add i64 %7, %1
  jump b6
b5: preds b3
  %9 = xor i64 %7, %0
  jump b6
b6: preds b4, b5
  %10 = phi i64 [%8, %9]
  %11 = mul i64 %10, %7
  ret %11`;
/** b3 also computes a value that is not a phi, so it is copied for the threaded edge, from b2. */
const PARTLY = `b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 0
  %4 = ult i8 %0, %1
  branch %4 ? b1 : b2
b1: preds b0
  jump b3
b2: preds b0
  jump b3
b3: preds b1, b2
  %6 = phi i64 [%1, %2]
  %7 = add i64 %6, %0
  %8 = eq i8 %6, %2
  branch %8 ? b4 : b5
b4: preds b3
  ret %7
b5: preds b3
  %9 = mul i64 %7, %6
  ret %9`;

describe("thread", () => {
  test("a tested phi of constants goes, with a phi behind the targets for what is used further on", () => {
    expect(dumpAfter(["cfg"], SIGNATURE, INLINED)).toContain("branch %6 ?");
    expect(dumpAfter(["thread", "cfg"], SIGNATURE, INLINED)).toBe(`b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i8 0
  %3 = const i8 1
  %4 = ult i8 %0, %1
  branch %4 ? b1 : b5
b1: preds b0
  %5 = mul i64 %0, %0
  %8 = add i64 %5, %1
  jump b6
b5: preds b0
  %9 = xor i64 %1, %0
  jump b6
b6: preds b1, b5
  %21 = phi i64 [%5, %1]
  %10 = phi i64 [%8, %9]
  %11 = mul i64 %10, %21
  ret %11`);
  });
  test("where only some predecessors know, the block's operations are done on both ways and meet", () => {
    expect(dumpAfter(["thread"], SIGNATURE, PARTLY)).toBe(`b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 0
  %4 = ult i8 %0, %1
  branch %4 ? b1 : b2
b1: preds b0
  jump b3
b2: preds b0
  jump b6
b6: preds b2
  %16 = add i64 %2, %0
  %17 = eq i8 %2, %2
  jump b4
b3: preds b1
  %6 = phi i64 [%1]
  %7 = add i64 %6, %0
  %8 = eq i8 %6, %2
  branch %8 ? b4 : b5
b4: preds b3, b6
  %19 = phi i64 [%7, %16]
  ret %19
b5: preds b3
  %9 = mul i64 %7, %6
  ret %9`);
  });
  test("a comparison that a dominating branch has answered is not made again; one that was answered on another way is", () => {
    const again = (second: string): string => `b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 5
  %3 = eq i8 %0, %2
  branch %3 ? b1 : b4
b1: preds b0
  %4 = ult i8 %1, %2
  branch %4 ? b2 : b3
b2: preds b1
  jump b3
b3: preds b1, b2
  %5 = ${second}
  branch %5 ? b5 : b4
b4: preds b0, b3
  ret %1
b5: preds b3
  ret %2`;
    expect(dumpAfter(["thread"], SIGNATURE, again("eq i8 %0, %2"))).not.toMatch(/branch %5/);
    expect(dumpAfter(["thread"], SIGNATURE, again("ult i8 %0, %2"))).not.toMatch(/branch %5/);
    expect(dumpAfter(["thread"], SIGNATURE, again("eq i8 %1, %2"))).toMatch(/branch %5/);
  });
  test("a loop keeps its one entry: its header is left out only on the way past the loop", () => {
    const loop = (first: number): string => `b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = const i64 ${first}
  %3 = const i64 10
  %4 = const i64 1
  jump b1
b1: preds b0, b2
  %5 = phi i64 [%2, %7]
  %6 = ult i8 %5, %3
  branch %6 ? b2 : b3
b2: preds b1
  %7 = add i64 %5, %4
  jump b1
b3: preds b1
  ret %5`;
    expect(dumpAfter(["thread"], SIGNATURE, loop(0))).toContain("b1: preds b0, b2");
    expect(dumpAfter(["thread", "cfg"], SIGNATURE, loop(12))).not.toContain("branch");
  });
  test("what may not be there twice is not copied", () => {
    const body = PARTLY.replace("%7 = add i64 %6, %0", "%7 = load i64 %0 volatile");
    expect(dumpAfter(["thread"], SIGNATURE, body).match(/load/g)).toHaveLength(1);
  });
  test("and computes the same", () => {
    for (const body of [INLINED, PARTLY]) {
      for (const args of [
        [1n, 2n],
        [2n, 1n],
        [0n, 0n],
        [3n, 0n],
      ]) {
        const [plain, optimised] = results(["thread"], SIGNATURE, body, args);
        expect(optimised).toEqual(plain);
      }
    }
  });
});
