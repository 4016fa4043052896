/**
 * Proves that joined comparisons choose the same target for every value, and that the usual character tests become one
 * comparison.
 */
import { describe, expect, test } from "vitest";
import { Interpreter } from "../../../toolchain/ir/interpreter.ts";
import type { Func, Module } from "../../../toolchain/ir/ir.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { verify } from "../../../toolchain/ir/verifier.ts";
import { type Interval, intersection } from "../../../toolchain/passes/intervals.ts";
import { optimize } from "../../../toolchain/passes/passes.ts";

interface Test {
  readonly op: string;
  /** The constant is the left operand. */
  readonly isLeft: boolean;
  readonly constant: number;
}
/** `first` and `second`, or one of them, decide between 1 and 2; the target of each that continues is given. */
function chain(first: Test, second: Test, onward: boolean, inner: boolean): Module {
  const compare = ({ op, isLeft }: Test, constant: string): string =>
    `${op} i8 ${isLeft ? `${constant}, %0` : `%0, ${constant}`}`;
  const body = [
    "b0:\n  %0 = param i8 0",
    `  %1 = const i8 ${first.constant}\n  %2 = ${compare(first, "%1")}\n  branch %2 ? ${onward ? "b1 : b2" : "b2 : b1"}`,
    `b1: preds b0\n  %3 = const i8 ${second.constant}\n  %4 = ${compare(second, "%3")}\n  branch %4 ? ${inner ? "b3 : b2" : "b2 : b3"}`,
    "b2: preds b0, b1\n  %5 = const i8 1\n  ret %5",
    "b3: preds b1\n  %6 = const i8 2\n  ret %6",
  ].join("\n");
  const module = parseModule(`module "t"\nfunc @f "f" (i8 "x") i8 section ".text" keep {\n${body}\n}\n`);
  verify(module);
  return module;
}
const results = (module: Module): unknown[] => {
  const interpreter = new Interpreter(module);
  return EDGES.map((x) => {
    const outcome = interpreter.run("f", [x]);
    return outcome.kind === "returned" ? outcome.value : outcome.trap;
  });
};
/** The constants of the tests with their neighbours, and some in between. */
const EDGES = [0n, 1n, 2n, 30n, 56n, 57n, 58n, 100n, 126n, 127n, 128n, 129n, 200n, 254n, 255n];
const branches = (module: Module): number =>
  (module.functions.get("f") as Func).blocks.filter((b) => b.instrs.at(-1)?.op === "branch").length;
const join = (module: Module): Module => {
  optimize(module, { verify: true, only: ["gvn", "intervals"] });
  return module;
};

describe("intervals", () => {
  test("intersections on the circle, against counting", () => {
    const has = ({ start, length }: Interval, x: bigint): boolean => BigInt.asUintN(3, x - start) < length;
    const all = Array.from({ length: 56 }, (_, i) => ({ start: BigInt(i >> 3), length: BigInt(i & 7 || 1) }));
    for (const a of all) {
      for (const b of all) {
        const both = [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n].filter((x) => has(a, x) && has(b, x));
        const starts = both.filter((x) => !both.includes(BigInt.asUintN(3, x - 1n)));
        const expected =
          both.length > 0 && starts.length === 1 ? { start: starts[0], length: BigInt(both.length) } : null;
        expect(intersection(a, b, 3), `${a.start}+${a.length} and ${b.start}+${b.length}`).toEqual(expected);
      }
    }
  });
  test("a digit is one comparison, two neighbours too; others stay two", () => {
    const digit = chain(
      { op: "ule", isLeft: true, constant: 48 },
      { op: "ule", isLeft: false, constant: 57 },
      true,
      true,
    );
    expect(branches(join(digit))).toBe(1);
    const neighbours = chain(
      { op: "eq", isLeft: false, constant: 10 },
      { op: "eq", isLeft: false, constant: 9 },
      false,
      false,
    );
    expect(branches(join(neighbours))).toBe(1);
    const apart = chain(
      { op: "eq", isLeft: false, constant: 32 },
      { op: "eq", isLeft: false, constant: 9 },
      false,
      false,
    );
    expect(branches(join(apart))).toBe(2);
  });
  test("every comparison with edges of its type, both ways round, for values beside all edges", {
    timeout: 60_000,
  }, () => {
    const ops = ["eq", "ne", "ult", "ule", "slt", "sle"];
    const constants = [0, 1, 57, 127, 128, 255];
    let joined = 0;
    let n = 0;
    for (const op of ops) {
      for (const other of ops) {
        for (const constant of constants) {
          // All combinations of the rest would take minutes, so they take turns.
          const second = { op: other, isLeft: (n & 2) !== 0, constant: constants[n % constants.length]! };
          const make = (): Module =>
            chain({ op, isLeft: (n & 1) !== 0, constant }, second, (n & 4) !== 0, (n & 8) !== 0);
          const after = join(make());
          expect(results(after), `${n}: ${op} ${constant}, ${JSON.stringify(second)}`).toEqual(results(make()));
          if (branches(after) === 1) joined++;
          n++;
        }
      }
    }
    expect(joined).toBeGreaterThan(n / 4);
  });
});
