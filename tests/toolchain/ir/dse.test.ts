/** Proves which stores are dead and which may still be read, on the smallest function that shows it. */
import { describe, expect, test } from "vitest";
import { dumpAfter, results } from "./text.ts";

const SIGNATURE = '(i64 "p", i64 "q") i64';
/** Stored values, and addresses. */
const HEAD = `b0:
  %0 = param i64 0
  %1 = param i64 1
  %2 = symbol i64 @d
  %3 = symbol i64 @d+4
  %4 = symbol i64 @e
  %5 = const i32 5`;
const stores = (body: string): string[] =>
  dumpAfter(["dse"], SIGNATURE, `${HEAD}\n${body}`).match(/(?:store|copy|zero).*/g) ?? [];

describe("dse", () => {
  test("the first of two stores to one place goes", () => {
    expect(stores("  store %2, %0\n  store %2, %1\n  ret %0")).toEqual(["store %2, %1"]);
  });
  test.each<[string, string, boolean]>([
    ["nothing", "", true],
    ["a load of another datum", "  %10 = load i64 %4", true],
    ["a load of it", "  %10 = load i64 %2", false],
    ["a load of a part of it", "  %10 = load i8 %3", false],
    ["a load of another datum out of its bounds", "  %9 = symbol i64 @e+8\n  %10 = load i64 %9", false],
    ["a load through a pointer", "  %10 = load i64 %0", false],
    ["a store through a pointer", "  store %0, %1", true],
    ["a volatile load", "  %10 = load i64 %4 volatile", false],
    ["a copy from it", "  copy %4 %2 size 8 align 8", false],
    ["a copy from elsewhere", "  %9 = symbol i64 @d+32\n  copy %4 %9 size 8 align 8", true],
    ["a call", "  %10 = call i64 @f (%0, %1)", false],
    ["a fence", "  fence", false],
    ["a barrier of the compiler", "  barrier", false],
    ["an atomic", "  %10 = aadd i64 %4, %1", false],
    ["a division that may trap", "  %10 = udiv i64 %0, %1", false],
    ["a division that does not", "  %9 = const i64 10\n  %10 = udiv i64 %0, %9", true],
  ])("with %s in between", (_, between, isDead) => {
    const body = `  store %2, %0\n${between}\n  store %2, %1\n  ret %0`;
    expect(stores(body).includes("store %2, %0")).toBe(!isDead);
  });
  test.each<[string, string, boolean]>([
    ["a wider one behind", "  store %2, %5\n  store %2, %1", true],
    ["a narrower one behind", "  store %2, %1\n  store %2, %5", false],
    ["one that overlaps in part", "  store %2, %1\n  store %3, %1", false],
    ["a clearing", "  store %3, %5\n  zero %2 size 16 align 8", true],
    ["a copy", "  store %3, %5\n  copy %2 %4 size 8 align 8", true],
    ["a copy that reads it", "  store %3, %5\n  copy %2 %3 size 8 align 4", false],
    ["a clearing that is overwritten", "  zero %2 size 8 align 8\n  store %2, %1", true],
    ["a clearing that is overwritten in part", "  zero %2 size 16 align 8\n  store %2, %1", false],
    ["a volatile one behind", "  store %2, %0\n  store %2, %1 volatile", false],
    ["a volatile one before", "  store %2, %0 volatile\n  store %2, %1", false],
    ["one at the same unknown index", "  %8 = add i64 %2, %0\n  store %8, %0\n  store %8, %1", true],
    [
      "one at another unknown index",
      "  %8 = add i64 %2, %0\n  %9 = add i64 %2, %1\n  store %8, %0\n  store %9, %1",
      false,
    ],
  ])("and %s", (_, body, isDead) => {
    expect(stores(`${body}\n  ret %0`)).toHaveLength(isDead ? 1 : 2);
  });
  test("a local is nobody's any more behind the function; what a call may see is stored before it", () => {
    const local = (between: string): string =>
      `b0:\n  %9 = alloca i64 size 16 align 8\n  %0 = param i64 0\n  %1 = param i64 1\n  store %9, %0\n${between}  store %9, %1\n  ret %0`;
    const left = (between: string): number =>
      (dumpAfter(["dse"], SIGNATURE, local(between)).match(/store/g) ?? []).length;
    expect(left("  %2 = load i64 %9\n")).toBe(1);
    expect(left("  %2 = load i64 %9 volatile\n")).toBe(1);
    expect(left("  %2 = call i64 @f (%0, %9)\n")).toBe(1);
    expect(left("  %2 = call i64 @f (%0, %0)\n")).toBe(0);
  });
  test("on every way: a branch that leaves it unwritten keeps it, whatever a loop does not read does not", () => {
    const branch = (other: string): string =>
      `${HEAD}\n  store %2, %0\n  %6 = ult i8 %0, %1\n  branch %6 ? b1 : b2\nb1: preds b0\n  store %2, %1\n  ret %0\nb2: preds b0\n${other}  ret %1`;
    const first = (body: string): boolean => dumpAfter(["dse"], SIGNATURE, body).includes("store %2, %0");
    expect(first(branch(""))).toBe(true);
    expect(first(branch("  store %2, %1\n"))).toBe(false);
    const loop = (inside: string): string =>
      `${HEAD}\n  %6 = const i64 1\n  store %2, %0\n  jump b1\nb1: preds b0, b2\n  %7 = phi i64 [%0, %8]\n  %9 = ult i8 %7, %1\n  branch %9 ? b2 : b3\nb2: preds b1\n${inside}  %8 = add i64 %7, %6\n  jump b1\nb3: preds b1\n  store %2, %1\n  ret %0`;
    expect(first(loop(""))).toBe(false);
    expect(first(loop("  store %4, %7\n"))).toBe(false);
    expect(first(loop("  %10 = load i64 %2\n"))).toBe(true);
  });
  test("a loop without an end overwrites nothing", () => {
    const body = `${HEAD}\n  store %2, %0\n  jump b1\nb1: preds b0, b1\n  store %2, %1\n  jump b1`;
    expect(dumpAfter(["dse"], SIGNATURE, body).match(/store/g)).toHaveLength(2);
  });
  test("an address that a loop computes is another one in each turn", () => {
    const body = `${HEAD}\n  %6 = const i64 8\n  jump b1\nb1: preds b0, b1\n  %7 = phi i64 [%2, %8]\n  store %7, %1\n  %8 = add i64 %7, %6\n  %9 = ult i8 %8, %0\n  branch %9 ? b1 : b2\nb2: preds b1\n  ret %0`;
    expect(dumpAfter(["dse"], SIGNATURE, body)).toContain("store %7, %1");
  });
  test("and memory is the same at the end", () => {
    const body = `${HEAD}\n  store %2, %0\n  store %3, %5\n  zero %2 size 16 align 8\n  store %3, %1\n  store %2, %5\n  ret %0`;
    const [plain, optimised] = results(["dse"], SIGNATURE, body, [0x1122334455667788n, 0x99aabbccddeeff00n]);
    expect(optimised).toEqual(plain);
  });
});
