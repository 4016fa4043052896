/** Proves the purpose of each pass, on the smallest function that shows it, and what it must not change. */
import { describe, expect, test } from "vitest";
import { terminatorOf } from "../../../toolchain/ir/cfg.ts";
import type { Func, Module } from "../../../toolchain/ir/ir.ts";
import { parseModule } from "../../../toolchain/ir/parser.ts";
import { printFunction } from "../../../toolchain/ir/printer.ts";
import { verify } from "../../../toolchain/ir/verifier.ts";
import { optimize, type OptimizeOptions, passNames } from "../../../toolchain/passes/passes.ts";

const func = (name: string, signature: string, attributes: string, body: string): string =>
  `func @${name} "${name}" ${signature} section ".text"${attributes} {\n${body}\n}\n`;
function optimized(text: string, options: OptimizeOptions = {}): Module {
  const module = parseModule(`module "t"\n${text}`);
  verify(module);
  optimize(module, { verify: true, ...options });
  return module;
}
/** Operations of f after the passes, in order; constants and parameters left out. */
const shape = (module: Module): string =>
  (module.functions.get("f") as Func).blocks
    .map((b) =>
      b.instrs
        .filter((i) => i.op !== "const" && i.op !== "param")
        .map((i) => i.op)
        .join(" "),
    )
    .join(" | ");
const f = (signature: string, body: string, options?: OptimizeOptions): Module =>
  optimized(func("f", signature, " keep", body), options);
const AB = "  %0 = param i32 0\n  %1 = param i32 1\n";

describe("mem2reg", () => {
  const loop =
    "b0:\n  %9 = alloca i64 size 4 align 4\n  %0 = param i32 0\n  store %9, %0\n  jump b1\nb1: preds b0, b2\n  %1 = load i32 %9\n  %2 = const i32 0\n  %3 = ne i8 %1, %2\n  branch %3 ? b2 : b3\nb2: preds b1\n  %4 = load i32 %9\n  %5 = const i32 3\n  %6 = sub i32 %4, %5\n  store %9, %6\n  jump b1\nb3: preds b1\n  ret";
  test("a variable of a loop becomes a phi", () => {
    expect(shape(f('(i32 "n") void', loop, { only: ["mem2reg"] }))).toBe("jump | phi ne branch | sub jump | ret");
  });
  test("volatile and escaping variables stay", () => {
    const volatile = "b0:\n  %9 = alloca i64 size 4 align 4\n  %0 = param i32 0\n  store %9, %0 volatile\n  ret";
    expect(shape(f('(i32 "n") void', volatile))).toBe("alloca store ret");
    const escapes =
      "b0:\n  %9 = alloca i64 size 4 align 4\n  %0 = param i32 0\n  store %9, %0\n  call void @g (%9)\n  ret".replace(
        "call void",
        "call",
      );
    expect(shape(f('(i32 "n") void', escapes))).toBe("alloca store call ret");
  });
});

describe("sroa", () => {
  test("a struct that is copied and read field by field disappears", () => {
    const body =
      "b0:\n  %8 = alloca i64 size 16 align 8\n  %9 = alloca i64 size 16 align 8\n  %0 = param i64 0\n  %1 = const i64 8\n  zero %8 size 16 align 8\n  %2 = add i64 %8, %1\n  store %2, %0\n  copy %9 %8 size 16 align 8\n  %3 = add i64 %9, %1\n  %4 = load i64 %3\n  %5 = load i64 %9\n  %6 = add i64 %4, %5\n  ret %6";
    expect(shape(f('(i64 "x") i64', body))).toBe("ret");
  });
  test("overlapping accesses keep it", () => {
    const body =
      "b0:\n  %8 = alloca i64 size 8 align 8\n  %0 = param i64 0\n  store %8, %0\n  %1 = const i64 4\n  %2 = add i64 %8, %1\n  %3 = load i32 %2\n  ret %3";
    expect(shape(f('(i64 "x") i32', body))).toBe("alloca store add load ret");
  });
});

describe("fold", () => {
  test("a mask that a shift count has anyway goes; ~x + 1 is one operation", () => {
    const shift = (mask: number): string =>
      `b0:\n${AB}  %2 = const i32 ${mask}\n  %3 = and i32 %1, %2\n  %4 = shl i32 %0, %3\n  ret %4`;
    expect(shape(f('(i32 "a", i32 "b") i32', shift(31)))).toBe("shl ret");
    expect(shape(f('(i32 "a", i32 "b") i32', shift(15)))).toBe("and shl ret");
    const negate = `b0:\n${AB}  %2 = const i32 4294967295\n  %3 = xor i32 %0, %2\n  %4 = const i32 1\n  %5 = add i32 %3, %4\n  ret %5`;
    expect(shape(f('(i32 "a", i32 "b") i32', negate))).toBe("sub ret");
  });
  test.each([
    ["%2 = const i32 8\n  %3 = udiv i32 %0, %2", "lshr ret"],
    ["%2 = const i32 8\n  %3 = urem i32 %0, %2", "and ret"],
    ["%2 = const i32 8\n  %3 = mul i32 %2, %0", "shl ret"],
    ["%2 = const i32 8\n  %3 = sdiv i32 %0, %2", "sdiv ret"],
    ["%2 = const i32 0\n  %3 = udiv i32 %0, %2", "udiv ret"],
    ["%2 = const i32 2147483648\n  %4 = const i32 4294967295\n  %3 = sdiv i32 %2, %4", "sdiv ret"],
    ["%2 = const i32 7\n  %4 = add i32 %0, %2\n  %3 = sub i32 %4, %2", "ret"],
    ["%3 = xor i32 %0, %0", "ret"],
    ["%2 = trunc i8 %0\n  %4 = sext i64 %2\n  %3 = trunc i32 %4", "trunc sext ret"],
    ["%2 = slt i8 %0, %1\n  %4 = const i8 0\n  %5 = eq i8 %2, %4\n  %3 = zext i32 %5", "sle zext ret"],
  ])("%s", (body, expected) => {
    expect(shape(f('(i32 "a", i32 "b") i32', `b0:\n${AB}  ${body}\n  ret %3`))).toBe(expected);
  });
  test("a switch on a constant takes its edge, phis follow", () => {
    const body =
      "b0:\n  %0 = const i32 2\n  %1 = const i32 10\n  %2 = const i32 20\n  switch %0 1: b1, 2: b2, else: b1\nb1: preds b0, b0\n  jump b3\nb2: preds b0\n  jump b3\nb3: preds b1, b2\n  %3 = phi i32 [%1, %2]\n  ret %3";
    const module = f("() i32", body);
    expect(printFunction(module.functions.get("f") as Func)).toMatch(/const i32 20\n {2}ret/);
  });
  test("what is NaN or out of range is left to the processor", () => {
    expect(shape(f("() f64", "b0:\n  %0 = fconst f64 0x0000000000000000\n  %1 = fdiv f64 %0, %0\n  ret %1"))).toBe(
      "fconst fdiv ret",
    );
    expect(shape(f("() i32", "b0:\n  %0 = fconst f64 1e30\n  %1 = ftosi i32 %0\n  ret %1"))).toBe("fconst ftosi ret");
  });
});

describe("gvn and forward", () => {
  test("equal operations and commuted ones are one; loads are not, with a store between that may overlap", () => {
    expect(
      shape(
        f(
          '(i32 "a", i32 "b") i32',
          `b0:\n${AB}  %2 = add i32 %0, %1\n  %3 = add i32 %1, %0\n  %4 = mul i32 %2, %3\n  ret %4`,
        ),
      ),
    ).toBe("add mul ret");
    const memory = (between: string): string =>
      `b0:\n  %0 = param i64 0\n  %1 = param i64 1\n  %2 = load i32 %0\n${between}  %3 = load i32 %0\n  %4 = add i32 %2, %3\n  ret %4`;
    const sig = '(i64 "p", i64 "q") i32';
    expect(shape(f(sig, memory("")))).toBe("load add ret");
    expect(shape(f(sig, memory("  store %1, %2\n")))).toBe("load store load add ret");
    expect(shape(f(sig, memory("  barrier\n")))).toBe("load barrier load add ret");
    expect(shape(f(sig, memory("  %5 = load i8 %1 volatile\n")))).toBe("load load load add ret");
  });
  test("volatile loads are all kept, in order", () => {
    const body = "b0:\n  %0 = param i64 0\n  %1 = load i32 %0 volatile\n  %2 = load i32 %0 volatile\n  ret %2";
    expect(shape(f('(i64 "p") i32', body))).toBe("load load ret");
  });
  test("a private local keeps its value across a call", () => {
    const body =
      "b0:\n  %9 = alloca i64 size 8 align 8\n  %0 = param i32 0\n  store %9, %0\n  call @g ()\n  %1 = load i32 %9\n  %2 = load i8 %9\n  %3 = zext i32 %2\n  %4 = add i32 %1, %3\n  ret %4";
    expect(shape(f('(i32 "x") i32', body))).toBe("alloca store call load zext add ret");
  });
});

describe("cfg", () => {
  test("a condition that a predecessor knows is not tested again", () => {
    const body =
      "b0:\n  %0 = param i8 0\n  %1 = const i8 0\n  branch %0 ? b1 : b2\nb1: preds b0\n  %2 = call i8 @g ()\n  jump b2\nb2: preds b0, b1\n  %3 = phi i8 [%1, %2]\n  branch %3 ? b3 : b4\nb3: preds b2\n  call @g ()\n  jump b4\nb4: preds b2, b3\n  ret".replace(
        "  call @g ()\n  jump b4",
        "  call @h ()\n  jump b4",
      );
    const blocks = (f('(i8 "a") void', body).functions.get("f") as Func).blocks;
    expect(terminatorOf(blocks[0]).targets[1]).toBe(blocks.at(-1));
    expect(blocks.some((b) => b.instrs.some((i) => i.op === "phi"))).toBe(false);
  });
  test("empty loops end the passes, not the program", () => {
    expect(shape(f("() void", "b0:\n  jump b1\nb1: preds b0, b2\n  jump b2\nb2: preds b1\n  jump b1"))).toMatch(
      /^jump \| jump$/,
    );
  });
});

describe("inline", () => {
  const caller = func(
    "f",
    '(i32 "x") i32',
    " keep",
    "b0:\n  %0 = param i32 0\n  %1 = call i32 @g (%0)\n  %2 = call i32 @g (%1)\n  ret %2",
  );
  const g = (attributes: string, section = ".text"): string =>
    func("g", '(i32 "x") i32', attributes, "b0:\n  %0 = param i32 0\n  %1 = clz i32 %0\n  ret %1").replace(
      ".text",
      section,
    );
  test.each([
    ["small", g(""), "clz clz ret"],
    ["never", g(" inline=never"), "call call ret"],
    ["another section", g("", ".boot.text"), "call call ret"],
    ["another section, but always", g(" inline=always", ".boot.text"), "clz clz ret"],
    ["naked", g(" naked"), "call call ret"],
    ["noreturn", g(" noreturn"), "call call ret"],
    [
      "large",
      func(
        "g",
        '(i32 "x") i32',
        "",
        `b0:\n  %0 = param i32 0\n${Array.from({ length: 40 }, (_, i) => `  %${i + 1} = clz i32 %${i}\n`).join("")}  ret %40`,
      ),
      "call call ret",
    ],
    [
      "recursive",
      func("g", '(i32 "x") i32', " inline=always", "b0:\n  %0 = param i32 0\n  %1 = call i32 @f (%0)\n  ret %1"),
      "call call ret",
    ],
  ])("%s", (_name, callee, expected) => {
    expect(shape(optimized(caller + callee))).toBe(expected);
  });
  test("a callee's locals move to the caller's entry; one that never returns leaves no code behind it", () => {
    const local = func(
      "g",
      '(i32 "x") i32',
      "",
      "b0:\n  %9 = alloca i64 size 4 align 4\n  %0 = param i32 0\n  store %9, %0 volatile\n  %1 = load i32 %9 volatile\n  ret %1",
    );
    expect(shape(optimized(caller + local))).toBe("alloca alloca store load store load ret");
    expect(shape(optimized(caller + func("g", '(i32 "x") i32', "", "b0:\n  unreachable")))).toBe("unreachable");
  });
  test("with roots given, what was inlined everywhere is removed", () => {
    expect([...optimized(caller + g("")).functions.keys()]).toEqual(["f", "g"]);
    expect([...optimized(caller + g(""), { roots: ["f"] }).functions.keys()]).toEqual(["f"]);
    expect([...optimized(caller + g(" inline=never"), { roots: ["f"] }).functions.keys()]).toEqual(["f", "g"]);
  });
});

describe("the list", () => {
  test("a name that no pass has is refused", () => {
    expect(() => f("() void", "b0:\n  ret", { only: ["nonsense"] })).toThrow(
      "no pass is called nonsense; there are cfg, inline",
    );
    expect(passNames).toContain("mem2reg");
  });
  test("a crash names pass and function", () => {
    const module = parseModule(`module "t"\n${func("f", "() void", "", "b0:\n  ret")}`);
    (module.functions.get("f") as Func).blocks[0].instrs = [];
    expect(() => optimize(module, { only: ["cfg"] })).toThrow("pass cfg failed on f: block b0 has no terminator");
  });
  test("onPass sees each run in order, callees first", () => {
    const seen: string[] = [];
    optimized(func("f", "() void", "", "b0:\n  call @g ()\n  ret") + func("g", "() void", "", "b0:\n  ret"), {
      only: ["cfg", "dce"],
      onPass: (pass, x) => seen.push(`${x.name}.${pass}`),
    });
    expect(seen.slice(0, 2)).toEqual(["g.cfg", "g.cfg"]);
    expect(seen.at(-1)).toBe("f.dce");
  });
});
