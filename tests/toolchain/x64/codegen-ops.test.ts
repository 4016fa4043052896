/**
 * Proves each operation, in each width, at boundary values, with operands in registers and as constants, against the
 * interpreter.
 */
import { expect, test } from "vitest";
import { Builder, type FloatBinary, type IntBinary } from "../../../toolchain/ir/builder.ts";
import { type Instr, Module } from "../../../toolchain/ir/ir.ts";
import { ops, type Type, widthOf } from "../../../toolchain/ir/ops.ts";
import { allocationProblems, type NativeCall, newFunction, runInterpreted, runNative } from "./codegen-native.ts";

const INTS = ["i8", "i16", "i32", "i64"] as const;
type Int = (typeof INTS)[number];
const wrap = (type: Int, value: bigint): bigint => BigInt.asUintN(widthOf[type], value);

/** Values at and around the limits of each width. */
const edges = (type: Int): bigint[] => {
  const top = 1n << BigInt(widthOf[type] - 1);
  return [
    ...new Set(
      [0n, 1n, 2n, 3n, 7n, 10n, 100n, top - 1n, top, top + 1n, -1n, -2n, -7n, 0x5an, 0x1234_5678_9abc_def1n].map((v) =>
        wrap(type, v),
      ),
    ),
  ];
};

class Suite {
  readonly module = new Module("ops");
  readonly calls: NativeCall[] = [];
  define(
    name: string,
    params: readonly Type[],
    result: Type,
    body: (b: Builder, params: Instr[]) => Instr | null,
  ): void {
    const b = new Builder(newFunction(this.module, name, params, result));
    const value = body(
      b,
      params.map((_, i) => b.param(i)),
    );
    b.ret(value ?? undefined);
  }
  call(name: string, ...args: bigint[]): void {
    this.calls.push({ name, args });
  }
  check(): void {
    expect(allocationProblems(this.module)).toEqual([]);
    const expected = runInterpreted(this.module, this.calls);
    const { results, signal } = runNative(this.module, this.calls);
    expect(signal).toBeNull();
    const wrong = this.calls.flatMap(({ name, args }, i) =>
      results[i] === expected[i]
        ? []
        : [
            `${name}(${args.map((a) => `0x${a.toString(16)}`).join(", ")}) = 0x${results[i].toString(16)}, not 0x${expected[i].toString(16)}`,
          ],
    );
    expect(wrong.slice(0, 20)).toEqual([]);
    expect(this.calls.length).toBeGreaterThan(0);
  }
}

const TRAPPING = new Set(["udiv", "sdiv", "urem", "srem"]);
const traps = (op: IntBinary, type: Int, a: bigint, b: bigint): boolean =>
  TRAPPING.has(op) && ops[op].fold(widthOf[type], a, b) === undefined;

test("two operands in registers", () => {
  const suite = new Suite();
  const binary = Object.entries(ops).flatMap(([op, info]) =>
    info.operands === 2 && info.operandType === "int" ? [op as IntBinary] : [],
  );
  expect(binary.length).toBeGreaterThan(18);
  for (const type of INTS) {
    for (const op of binary) {
      const name = `${op}.${type}`;
      suite.define(name, [type, type], ops[op].result === "same" ? type : "i8", (b, [x, y]) => b.binary(op, x, y));
      for (const x of edges(type))
        for (const y of edges(type).slice(0, 9)) if (!traps(op, type, x, y)) suite.call(name, x, y);
    }
  }
  suite.define("mulhu", ["i64", "i64"], "i64", (b, [x, y]) => b.binary("mulhu", x, y));
  for (const x of edges("i64")) for (const y of edges("i64")) suite.call("mulhu", x, y);
  suite.check();
}, 60_000);

test("products with and remainders of every small constant", () => {
  const suite = new Suite();
  for (const type of ["i32", "i64"] as const) {
    for (let constant = 2n; constant < 300n; constant++) {
      suite.define(`mul.${type}.${constant}`, [type], type, (b, [x]) => b.binary("mul", x, b.iconst(type, constant)));
      suite.define(`urem.${type}.${constant}`, [type], type, (b, [x]) => b.binary("urem", x, b.iconst(type, constant)));
      for (const x of [1n, -1n, 0x1234_5678_9abc_def1n])
        for (const op of ["mul", "urem"]) suite.call(`${op}.${type}.${constant}`, wrap(type, x));
    }
  }
  suite.check();
}, 60_000);

test("constant operands: shifts, reciprocals, short forms", () => {
  const suite = new Suite();
  const constants = [
    0n,
    1n,
    2n,
    3n,
    5n,
    6n,
    7n,
    8n,
    9n,
    10n,
    12n,
    25n,
    64n,
    100n,
    125n,
    127n,
    128n,
    255n,
    641n,
    1000n,
    1024n,
    65535n,
    65536n,
    1_000_000_007n,
    0x7fff_ffffn,
    0x8000_0000n,
    0xffff_fffen,
    0xffff_ffffn,
    1n << 40n,
    (1n << 63n) - 1n,
    1n << 63n,
    0xcafe_babe_dead_beefn,
    -1n,
    -2n,
    -7n,
    -128n,
  ];
  for (const type of INTS) {
    const values = [...new Set(constants.map((c) => wrap(type, c)))];
    for (const op of [
      "add",
      "sub",
      "mul",
      "and",
      "or",
      "xor",
      "udiv",
      "sdiv",
      "urem",
      "srem",
      "shl",
      "lshr",
      "ashr",
      "rotl",
      "slt",
      "ult",
      "eq",
      "ule",
    ] as const) {
      values.forEach((c, i) => {
        const result = ops[op].result === "same" ? type : "i8";
        suite.define(`${op}.${type}.${i}`, [type], result, (b, [x]) => b.binary(op, x, b.iconst(type, c)));
        for (const x of [...edges(type).slice(5, 12), c, wrap(type, c - 1n), wrap(type, c * 3n)])
          if (!traps(op, type, x, c)) suite.call(`${op}.${type}.${i}`, x);
        if (op === "sub" || op === "shl" || op === "slt" || op === "udiv") {
          suite.define(`${op}.${type}.${i}.left`, [type], result, (b, [x]) => b.binary(op, b.iconst(type, c), x));
          for (const x of edges(type).slice(2, 7)) if (!traps(op, type, c, x)) suite.call(`${op}.${type}.${i}.left`, x);
        }
      });
    }
  }
  suite.check();
}, 60_000);

test("one operand, and conversions of width", () => {
  const suite = new Suite();
  for (const type of INTS) {
    for (const op of ["clz", "ctz", "bswap"] as const) {
      suite.define(`${op}.${type}`, [type], type, (b, [x]) => b.unary(op, x));
      for (const x of edges(type)) suite.call(`${op}.${type}`, x);
      for (let k = 0; k < widthOf[type]; k += 3) suite.call(`${op}.${type}`, 1n << BigInt(k));
    }
    for (const to of INTS) {
      if (widthOf[to] > widthOf[type]) {
        for (const op of ["sext", "zext"] as const) {
          suite.define(`${op}.${type}.${to}`, [type], to, (b, [x]) => b.convert(op, to, x));
          // The bits above a narrow value are undefined: a truncation must not expose them.
          suite.define(`${op}.${type}.${to}.cut`, ["i64"], to, (b, [x]) =>
            b.convert(op, to, b.convert("trunc", type, x)),
          );
          for (const x of edges(type)) suite.call(`${op}.${type}.${to}`, x);
          for (const x of edges("i64")) suite.call(`${op}.${type}.${to}.cut`, x);
        }
      }
    }
    suite.define(`select.${type}`, ["i8", type, type], type, (b, [c, x, y]) => b.select(c, x, y));
    suite.define(`max.${type}`, [type, type], type, (b, [x, y]) => b.select(b.binary("slt", x, y), y, x));
    suite.define(`sign.${type}`, [type], type, (b, [x]) =>
      b.select(b.binary("slt", x, b.iconst(type, 0)), b.iconst(type, -1), b.iconst(type, 1)),
    );
    for (const x of edges(type)) {
      suite.call(`select.${type}`, 0n, x, 5n);
      suite.call(`select.${type}`, 0x80n, x, 5n);
      suite.call(`sign.${type}`, x);
      for (const y of edges(type)) suite.call(`max.${type}`, x, y);
    }
  }
  suite.check();
}, 60_000);

test("comparisons fused with branches, and, not", () => {
  const suite = new Suite();
  const branchOn = (name: string, type: Int, condition: (b: Builder, x: Instr, y: Instr) => Instr): void => {
    suite.define(name, [type, type], "i64", (b, [x, y]) => {
      const [yes, no] = [b.createBlock(), b.createBlock()];
      b.branch(condition(b, x, y), yes, no);
      b.enter(yes);
      b.ret(b.iconst("i64", 1));
      b.enter(no);
      return b.iconst("i64", 2);
    });
    for (const x of edges(type)) for (const y of edges(type).slice(0, 9)) suite.call(name, x, y);
  };
  for (const type of INTS) {
    for (const op of ["eq", "ne", "slt", "sle", "ult", "ule"] as const) {
      branchOn(`br.${op}.${type}`, type, (b, x, y) => b.binary(op, x, y));
      branchOn(`br.not.${op}.${type}`, type, (b, x, y) => b.binary("eq", b.binary(op, x, y), b.iconst("i8", 0)));
      branchOn(`br.zero.${op}.${type}`, type, (b, x) => b.binary(op, x, b.iconst(type, 0)));
      branchOn(`br.and.${op}.${type}`, type, (b, x, y) => b.binary(op, b.binary("and", x, y), b.iconst(type, 0)));
    }
    branchOn(`br.mask.${type}`, type, (b, x) =>
      b.binary("ne", b.binary("and", x, b.iconst(type, 0x90)), b.iconst(type, 0)),
    );
    branchOn(`br.top.${type}`, type, (b, x) =>
      b.binary("ne", b.binary("and", x, b.iconst(type, 1n << BigInt(widthOf[type] - 1))), b.iconst(type, 0)),
    );
  }
  suite.check();
}, 60_000);

const float = (x: number): bigint => {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  return view.getBigUint64(0);
};

test("f64", () => {
  const suite = new Suite();
  const values = [0, -0, 1, -1, 0.1, 1e300, -1e-300, 2 ** 53, 2 ** 63, Number.POSITIVE_INFINITY, Number.NaN, 3.999].map(
    float,
  );
  for (const op of ["fadd", "fsub", "fmul", "fdiv", "feq", "fne", "flt", "fle"] as FloatBinary[]) {
    const result = op === "feq" || op === "fne" || op === "flt" || op === "fle" ? "i8" : "f64";
    suite.define(op, ["f64", "f64"], result, (b, [x, y]) => b.binary(op, x, y));
    if (result === "i8") {
      suite.define(`br.${op}`, ["f64", "f64"], "i64", (b, [x, y]) => {
        const [yes, no] = [b.createBlock(), b.createBlock()];
        b.branch(b.binary(op, x, y), yes, no);
        b.enter(yes);
        b.ret(b.iconst("i64", 1));
        b.enter(no);
        return b.iconst("i64", 2);
      });
      suite.define(`select.${op}`, ["f64", "f64"], "f64", (b, [x, y]) => b.select(b.binary(op, x, y), x, b.fconst(42)));
      suite.define(`iselect.${op}`, ["f64", "f64"], "i32", (b, [x, y]) =>
        b.select(b.binary(op, x, y), b.iconst("i32", 7), b.iconst("i32", 9)),
      );
    }
    for (const x of values) {
      for (const y of values) {
        // Any NaN is acceptable.
        if (result === "i8") for (const prefix of ["", "br.", "iselect."]) suite.call(`${prefix}${op}`, x, y);
        else if (!Number.isNaN(evaluate(op, x, y))) suite.call(op, x, y);
        if (result === "i8" && x !== float(Number.NaN)) suite.call(`select.${op}`, x, y);
      }
    }
  }
  for (const type of INTS) {
    for (const op of ["sitof", "uitof"] as const) {
      suite.define(`${op}.${type}`, [type], "f64", (b, [x]) => b.convert(op, "f64", x));
      for (const x of edges(type)) suite.call(`${op}.${type}`, x);
    }
    const limit = 2 ** (widthOf[type] - 1);
    suite.define(`ftosi.${type}`, ["f64"], type, (b, [x]) => b.convert("ftosi", type, x));
    suite.define(`ftoui.${type}`, ["f64"], type, (b, [x]) => b.convert("ftoui", type, x));
    for (const x of [0, 0.9, 1.5, -0.3, limit / 2 - 0.5, limit / 3]) {
      suite.call(`ftosi.${type}`, float(x));
      if (x > -1) suite.call(`ftoui.${type}`, float(Math.abs(x)));
    }
    suite.call(`ftosi.${type}`, float(-limit / 2));
    suite.call(`ftoui.${type}`, float(limit));
    suite.call(`ftoui.${type}`, float(limit * 1.5));
  }
  suite.check();
}, 60_000);

function evaluate(op: string, x: bigint, y: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  const of = (v: bigint): number => {
    view.setBigUint64(0, v);
    return view.getFloat64(0);
  };
  const [a, b] = [of(x), of(y)];
  return op === "fadd" ? a + b : op === "fsub" ? a - b : op === "fmul" ? a * b : a / b;
}

test("division by zero and its overflow trap", () => {
  for (const type of INTS) {
    for (const op of ["sdiv", "srem", "udiv"] as const) {
      const module = new Module("trap");
      const b = new Builder(newFunction(module, "f", [type, type], type));
      b.ret(b.binary(op, b.param(0), b.param(1)));
      const lowest = 1n << BigInt(widthOf[type] - 1);
      const args = op === "udiv" ? [5n, 0n] : [lowest, wrap(type, -1n)];
      expect(runNative(module, [{ name: "f", args }]).signal, `${op} ${type}`).toBe("SIGFPE");
    }
  }
}, 60_000);
