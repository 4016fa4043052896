/**
 * Proves constructs that span instructions: calls with many arguments, phis that exchange values, register pressure
 * with spills, switches, block copies, frames and alignment, atomics, inline assembly under every constraint, naked
 * functions.
 */
import { expect, test } from "vitest";
import { Builder, type IntBinary } from "../../../toolchain/ir/builder.ts";
import { type Instr, Module, NO_LOC } from "../../../toolchain/ir/ir.ts";
import { type Type, widthOf } from "../../../toolchain/ir/ops.ts";
import { Prng } from "../../../toolchain/lib/prng.ts";
import { optimize } from "../../../toolchain/passes/passes.ts";
import { allocateFunction, emitFunctionText, emitModule, optionsFor } from "../../../toolchain/x64/emit.ts";
import { forEachRegister, R14, R15, USE } from "../../../toolchain/x64/machine.ts";
import { checkAllocation } from "../../../toolchain/x64/regalloc-check.ts";
import { randomModule } from "../random/ir-generator.ts";
import {
  allocationProblems,
  asmInstr,
  attributes,
  type NativeCall,
  newFunction,
  runInterpreted,
  runNative,
} from "./codegen-native.ts";

const INTS = ["i8", "i16", "i32", "i64"] as const;
const mask = (type: Type, value: bigint): bigint => BigInt.asUintN(type === "void" ? 64 : widthOf[type], value);

function begin(module: Module, name: string, params: readonly Type[], result: Type): { b: Builder; p: Instr[] } {
  const b = new Builder(newFunction(module, name, params, result));
  return { b, p: params.map((_, i) => b.param(i)) };
}

/** Interpreter and machine code agree, and the allocation is correct. */
function agree(module: Module, calls: readonly NativeCall[], label = ""): void {
  expect(allocationProblems(module), label).toEqual([]);
  const expected = runInterpreted(module, calls);
  expect(runNative(module, calls), label).toEqual({ results: expected, signal: null });
}

test("arguments: every position and width, integers and floats mixed, in registers and on the stack", () => {
  const module = new Module("arguments");
  const prng = new Prng(7);
  const calls: NativeCall[] = [];
  for (let n = 0; n < 24; n++) {
    const params = Array.from({ length: n }, () => (prng.chance(0.3) ? ("f64" as const) : prng.pick(INTS)));
    const { b, p } = begin(module, `callee${n}`, params, "i64");
    let sum = b.iconst("i64", n);
    p.forEach((value, i) => {
      const wide = value.type === "f64" ? b.convert("ftosi", "i64", value) : b.convert("sext", "i64", value);
      sum = b.binary("xor", b.binary("mul", sum, b.iconst("i64", 31)), b.binary("add", wide, b.iconst("i64", i)));
    });
    b.ret(sum);
    // Passes its arguments on, in order and reversed, and keeps some across the calls.
    const caller = begin(module, `caller${n}`, params, "i64");
    const first = caller.b.call(`callee${n}`, "i64", caller.p);
    const target = caller.b.symbol(`callee${n}`);
    const second = caller.b.callIndirect(
      target,
      "i64",
      params
        .map((type, i) => caller.p[params.lastIndexOf(type, params.length - 1 - i)] ?? caller.p[i])
        .map((v, i) => (v.type === params[i] ? v : caller.p[i])),
    );
    const third = caller.b.call(`callee${n}`, "i64", caller.p);
    caller.b.ret(
      caller.b.binary(
        "add",
        caller.b.binary("sub", second, first),
        caller.b.binary("rotl", third, caller.b.iconst("i64", 7)),
      ),
    );
    for (let k = 0; k < 3; k++) {
      const args = params.map((type) => {
        if (type !== "f64") return mask(type, prng.u64());
        const view = new DataView(new ArrayBuffer(8));
        view.setFloat64(0, prng.between(-1000, 1000));
        return view.getBigUint64(0);
      });
      calls.push({ name: `callee${n}`, args }, { name: `caller${n}`, args });
    }
  }
  agree(module, calls);
}, 60_000);

test("phis that exchange and rotate values", () => {
  const module = new Module("phis");
  for (const count of [2, 3, 5, 20]) {
    const { b, p } = begin(module, `rotate${count}`, ["i32", "i64"], "i64");
    const [entry, head, body, exit] = [b.block, b.createBlock(), b.createBlock(), b.createBlock()];
    const start = Array.from({ length: count }, (_, i) => b.binary("add", p[1], b.iconst("i64", i * i + 1)));
    const zero = b.iconst("i32", 0);
    b.jump(head);
    b.enter(head);
    const i = b.phi("i32", [zero]);
    const values = start.map((v) => b.phi("i64", [v]));
    b.branch(b.binary("ult", i, p[0]), body, exit);
    b.enter(body);
    const next = b.binary("add", i, b.iconst("i32", 1));
    b.jump(head);
    i.args.push(next);
    // The first two are exchanged, the others move up by one.
    const source = (k: number): number => (k === 0 ? 1 : k === 1 ? 0 : k === 2 ? count - 1 : k - 1);
    values.forEach((v, k) => v.args.push(values[source(k)]));
    expect(head.preds).toEqual([entry, body]);
    b.enter(exit);
    b.ret(values.reduce((sum, v) => b.binary("add", b.binary("mul", sum, b.iconst("i64", 10)), v)));
  }
  agree(
    module,
    [2, 3, 5, 20].flatMap((count) => [0n, 1n, 2n, 7n].map((n) => ({ name: `rotate${count}`, args: [n, 3n] }))),
  );
}, 60_000);

test("register pressure: dozens of values alive across loops, divisions, shifts and calls", () => {
  const FIRST = Number(process.env.SEED ?? 1);
  const COUNT = Number(process.env.COUNT ?? (process.env.SEED ? 1 : 8));
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const prng = new Prng(seed);
    const module = new Module("pressure");
    const leaf = begin(module, "leaf", ["i64", "i64"], "i64");
    leaf.b.ret(leaf.b.binary("xor", leaf.b.binary("mul", leaf.p[0], leaf.b.iconst("i64", 3)), leaf.p[1]));
    const floats = prng.chance(0.4);
    const { b, p } = begin(module, "f", ["i64", "i32", "i16", "i8", "i64"], "i64");
    let pool: Instr[] = [...p];
    const any = (type: Type): Instr => {
      const same = pool.filter((v) => v.type === type);
      return same.length > 0 && prng.chance(0.9)
        ? prng.pick(same)
        : type === "f64"
          ? b.fconst(prng.between(-9, 9))
          : b.iconst(type, prng.u64());
    };
    const grow = (n: number): void => {
      for (let k = 0; k < n; k++) {
        const type = prng.pick(INTS);
        const kind = prng.below(12);
        if (kind < 6)
          pool.push(
            b.binary(
              prng.pick(["add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "rotl"] as IntBinary[]),
              any(type),
              any(type),
            ),
          );
        else if (kind === 6)
          pool.push(
            b.binary(
              prng.pick(["udiv", "urem"] as IntBinary[]),
              any(type),
              b.binary("or", any(type), b.iconst(type, 1)),
            ),
          );
        else if (kind === 7)
          pool.push(
            b.select(
              b.binary(prng.pick(["slt", "ult", "eq"] as IntBinary[]), any(type), any(type)),
              any(type),
              any(type),
            ),
          );
        else if (kind === 8) pool.push(b.call("leaf", "i64", [any("i64"), any("i64")]));
        else if (kind === 9) pool.push(b.convert("trunc", "i8", any("i32")), b.convert("sext", "i64", any("i16")));
        else if (kind === 10 && floats) pool.push(b.convert("sitof", "f64", any("i16")));
        else if (floats) pool.push(b.binary(prng.pick(["fadd", "fsub"] as const), any("f64"), any("f64")));
        else pool.push(b.binary("mulhu", any("i64"), any("i64")));
      }
    };
    grow(prng.between(20, 50));
    for (let loop = prng.between(1, 2); loop > 0; loop--) {
      const [head, body, exit] = [b.createBlock(), b.createBlock(), b.createBlock()];
      const before = pool;
      const zero = b.iconst("i32", 0);
      b.jump(head);
      b.enter(head);
      const i = b.phi("i32", [zero]);
      const phis = before.filter(() => prng.chance(0.5)).map((v) => b.phi(v.type, [v]));
      pool = [...before, ...phis, i];
      b.branch(b.binary("ult", i, b.iconst("i32", prng.between(0, 5))), body, exit);
      b.enter(body);
      grow(prng.between(5, 30));
      i.args.push(b.binary("add", i, b.iconst("i32", 1)));
      for (const phi of phis) phi.args.push(any(phi.type));
      b.jump(head);
      b.enter(exit);
      pool = [...before, ...phis];
      grow(5);
    }
    let sum = b.iconst("i64", 0);
    for (const v of pool) {
      const wide = v.type === "f64" ? b.convert("fbits", "i64", v) : b.convert("zext", "i64", v);
      sum = b.binary("add", b.binary("mul", sum, b.iconst("i64", 7)), wide);
    }
    b.ret(sum);
    const calls = Array.from({ length: 4 }, () => ({
      name: "f",
      args: p.map((v) => mask(v.type, prng.chance(0.3) ? BigInt(prng.below(3)) : prng.u64())),
    }));
    agree(
      module,
      calls,
      `replay: SEED=${seed} npx vitest run tests/toolchain/x64/codegen-structure.test.ts -t pressure`,
    );
  }
}, 60_000);

test("switch: tables, trees, sparse and huge cases, phis on its edges", () => {
  const module = new Module("switch");
  const calls: NativeCall[] = [];
  const shapes: [string, bigint[]][] = [
    ["dense", [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n]],
    ["shifted", [100n, 101n, 103n, 104n, 105n, 107n]],
    ["sparse", [1n, 50n, 100n, 120n]],
    ["mixed", [0n, 1n, 2n, 3n, 4n, 5n, 90n, 120n, 121n, 122n, 123n, 124n, 126n]],
    ["negative", [-3n, -2n, -1n, 0n, 1n, 2n]],
    ["one", [7n]],
    ["huge", [0n, 1n << 31n, 1n << 32n, (1n << 63n) - 1n, 1n << 63n, -1n]],
  ];
  for (const [shape, cases] of shapes) {
    for (const type of INTS) {
      const values = [...new Set(cases.map((c) => mask(type, c)))];
      const { b, p } = begin(module, `${shape}.${type}`, [type], "i64");
      const join = b.createBlock();
      const targets = values.map((_, i) => (i % 4 === 3 ? join : b.createBlock()));
      const direct = b.iconst("i64", 99);
      b.switch(p[0], values, targets, join);
      const results = new Map<object, Instr>();
      targets.forEach((target, i) => {
        if (target === join) return;
        b.enter(target);
        results.set(target, b.iconst("i64", i + 1));
        b.jump(join);
      });
      b.enter(join);
      const phi = b.phi(
        "i64",
        join.preds.map((pred) => results.get(pred) ?? direct),
      );
      b.ret(phi);
      for (const v of values)
        for (const near of [-1n, 0n, 1n]) calls.push({ name: `${shape}.${type}`, args: [mask(type, v + near)] });
    }
  }
  expect(
    emitModule(module).chunks.some(
      (c) => c.symbol === "dense.i64.table0" && c.size === 56 && c.relocations.length === 7,
    ),
  ).toBe(true);
  agree(module, calls);
}, 60_000);

test("copy and zero of small, odd and large sizes; aligned and over-aligned objects", () => {
  const module = new Module("blocks");
  const calls: NativeCall[] = [];
  const sizes = [...Array.from({ length: 26 }, (_, i) => i + 1), 31, 39, 47, 56, 63, 64, 65, 71, 80, 255];
  for (const size of sizes) {
    const { b, p } = begin(module, `f${size}`, ["i64"], "i64");
    // A guard on each side; all bytes count.
    const whole = size + 16;
    const [from, to] = [b.alloca(whole, 8), b.alloca(whole, 8)];
    for (let at = 0; at < whole; at++) {
      b.store(b.offset(from, at), b.convert("trunc", "i8", b.binary("mul", p[0], b.iconst("i64", 2 * at + 1))));
      b.store(b.offset(to, at), b.iconst("i8", at));
    }
    b.copy(b.offset(to, 8), b.offset(from, 5), size, 1);
    b.zero(b.offset(from, 3), size, 1);
    let sum = b.iconst("i64", 0);
    for (const object of [from, to])
      for (let at = 0; at < whole; at++)
        sum = b.binary(
          "add",
          b.binary("mul", sum, b.iconst("i64", 3)),
          b.convert("zext", "i64", b.load("i8", b.offset(object, at))),
        );
    b.ret(sum);
    calls.push({ name: `f${size}`, args: [0x1234_5678_9abc_def1n] });
  }
  for (const align of [8, 16, 32, 64]) {
    const { b } = begin(module, `aligned${align}`, [], "i64");
    const address = b.alloca(24, align);
    b.store(address, b.iconst("i64", 5));
    b.ret(b.binary("and", address, b.iconst("i64", align - 1)));
    calls.push({ name: `aligned${align}`, args: [] });
  }
  agree(module, calls);
}, 60_000);

test("loads and stores: addresses of every form, read-modify-write, order around writes", () => {
  const module = new Module("memory");
  module.data.set("table", {
    name: "table",
    sourceName: "table",
    section: ".data",
    align: 8,
    size: 256,
    bytes: Uint8Array.from({ length: 256 }, (_, i) => i * 7),
    relocations: [],
    readonly: false,
    keep: false,
    loc: NO_LOC,
  });
  const calls: NativeCall[] = [];
  for (const type of INTS) {
    const bytes = widthOf[type] / 8;
    const { b, p } = begin(module, `walk.${type}`, ["i64", type], type);
    const table = b.symbol("table");
    const scaled = b.binary("shl", p[0], b.iconst("i64", Math.log2(bytes)));
    const element = b.binary("add", table, scaled);
    const first = b.load(type, element);
    b.store(element, b.binary("add", b.load(type, element), p[1]));
    const second = b.load(type, b.binary("add", element, b.iconst("i64", bytes)));
    b.store(b.symbol("table", 64), b.binary("xor", p[1], b.load(type, b.symbol("table", 64))));
    b.store(element, b.binary("sub", b.load(type, element), b.iconst(type, 3)));
    b.store(element, b.binary("sub", p[1], b.load(type, element)));
    const local = b.alloca(64, 8);
    b.zero(local, 64, 8);
    const inside = b.binary("add", local, scaled);
    b.store(inside, first);
    b.store(b.offset(inside, bytes), b.binary("or", b.load(type, inside), second));
    const swapped = b.load(type, b.offset(inside, bytes));
    b.store(b.offset(inside, bytes), b.iconst(type, -1));
    b.ret(
      b.binary(
        "add",
        b.binary("add", swapped, b.load(type, element)),
        b.binary("mul", b.load(type, b.offset(inside, bytes)), b.load(type, b.symbol("table", 64))),
      ),
    );
    for (const i of [0n, 1n, 5n]) calls.push({ name: `walk.${type}`, args: [i, 0x81n] });
  }
  agree(module, calls);
}, 60_000);

test("atomics: results used and unused, every width", () => {
  const module = new Module("atomics");
  const calls: NativeCall[] = [];
  for (const type of INTS) {
    const { b, p } = begin(module, `all.${type}`, [type, type], type);
    const cell = b.alloca(8, 8);
    b.atomicStore(cell, p[0]);
    let sum = b.atomicLoad(type, cell);
    for (const op of ["axchg", "aadd", "aand", "aor", "axor"] as const) {
      sum = b.binary("add", b.binary("mul", sum, b.iconst(type, 5)), b.atomicUpdate(op, cell, p[1]));
      sum = b.binary("xor", sum, b.atomicUpdate(op, cell, b.iconst(type, 0x55)));
      b.atomicUpdate(op, cell, p[1]);
      b.atomicUpdate(op, cell, b.iconst(type, 0x5a));
      sum = b.binary("add", sum, b.load(type, cell));
    }
    b.fence("fence");
    b.fence("barrier");
    sum = b.binary("add", sum, b.compareExchange(cell, b.load(type, cell), p[0]));
    sum = b.binary("add", b.binary("mul", sum, b.iconst(type, 3)), b.compareExchange(cell, b.iconst(type, 1), p[1]));
    b.compareExchange(cell, p[0], p[1]);
    b.ret(b.binary("sub", sum, b.load(type, cell)));
    for (const x of [0n, 1n, 0x81n, -1n])
      for (const y of [3n, -5n]) calls.push({ name: `all.${type}`, args: [mask(type, x), mask(type, y)] });
  }
  const locked = emitFunctionText(module.functions.get("all.i64")!);
  expect(locked).toContain("lock and");
  expect(locked).toContain("lock xadd");
  expect(locked).toContain("mfence");
  agree(module, calls);
}, 60_000);

test("inline assembly: chosen and fixed registers, results, clobbers, widths", () => {
  const module = new Module("asm");
  const define = (name: string, params: Type[], result: Type, body: (b: Builder, p: Instr[]) => Instr): void => {
    const { b, p } = begin(module, name, params, result);
    b.ret(body(b, p));
  };
  // The result is written before the last read of the inputs.
  define("early", ["i64", "i64"], "i64", (b, [x, y]) =>
    asmInstr(b, "i64", [x, y], {
      pieces: ["mov ", ", 100; add ", ", ", "; sub ", ", ", ""],
      operands: [{ kind: "ret" }, { kind: "ret" }, { kind: "in", index: 0 }, { kind: "ret" }, { kind: "in", index: 1 }],
    }),
  );
  define("widths", ["i8", "i16", "i32"], "i32", (b, [x, y, z]) =>
    asmInstr(b, "i32", [x, y, z], {
      pieces: ["movzx ", ", ", "; movzx ecx, ", "; add ", ", ecx; add ", ", ", ""],
      operands: [
        { kind: "ret" },
        { kind: "in", index: 0 },
        { kind: "in", index: 1 },
        { kind: "ret" },
        { kind: "ret" },
        { kind: "in", index: 2 },
      ],
      clobbers: ["rcx"],
    }),
  );
  define("fixed", ["i64", "i32"], "i64", (b, [x, y]) => {
    const quotient = asmInstr(b, "i64", [x, y], {
      pieces: ["xor edx, edx; div rcx"],
      operands: [],
      inputs: ["rax", "rcx"],
      out: "rax",
      clobbers: ["rdx"],
    });
    return b.binary("add", quotient, b.binary("mul", x, b.convert("zext", "i64", y)));
  });
  // Every register is clobbered: values live across are stored and reloaded.
  const everything = [
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "rbp",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
  ];
  define("everything", ["i64", "i64", "i64"], "i64", (b, [x, y, z]) => {
    asmInstr(b, "void", [], {
      pieces: [everything.map((r) => `mov ${r}, 0x77`).join("; ")],
      operands: [],
      clobbers: everything,
    });
    return b.binary("add", b.binary("mul", x, y), z);
  });
  define("labels", ["i64"], "i64", (b, [x]) => {
    const block = {
      pieces: ["mov ", ", 0; 1: add ", ", ", "; dec ", "; jnz 1b"],
      operands: [{ kind: "ret" }, { kind: "ret" }, { kind: "in", index: 0 }, { kind: "in", index: 0 }],
    } as const;
    return b.binary(
      "add",
      asmInstr(b, "i64", [b.binary("add", x, b.iconst("i64", 0))], block),
      asmInstr(b, "i64", [b.binary("add", x, b.iconst("i64", 1))], block),
    );
  });
  define("memory", ["i64"], "i64", (b, [x]) => {
    const cell = b.alloca(8, 8);
    b.store(cell, x);
    asmInstr(b, "void", [cell], {
      pieces: ["add qword ptr [", "], 5"],
      operands: [{ kind: "in", index: 0 }],
      clobbersMemory: true,
    });
    return b.load("i64", cell);
  });
  define("calls", ["i64"], "i64", (b, [x]) =>
    b.binary(
      "add",
      x,
      asmInstr(b, "i64", [x, x], {
        pieces: ["call ", ""],
        operands: [{ kind: "symbol", name: "early" }],
        inputs: ["rdi", "rsi"],
        out: "rax",
        clobbers: ["rcx", "rdx", "r8", "r9", "r10", "r11"],
      }),
    ),
  );
  expect(allocationProblems(module)).toEqual([]);
  const calls = [
    { name: "early", args: [7n, 3n], value: 104n },
    { name: "widths", args: [0xffn, 0x1000n, 0x10000n], value: 0x110ffn },
    { name: "fixed", args: [1000n, 7n], value: 142n + 7000n },
    { name: "everything", args: [6n, 7n, 8n], value: 50n },
    { name: "labels", args: [4n], value: 10n + 15n },
    { name: "memory", args: [10n], value: 15n },
    { name: "calls", args: [9n], value: 109n },
  ];
  expect(runNative(module, calls)).toEqual({ results: calls.map((c) => c.value), signal: null });
});

test("naked functions hold their assembly only; bits, section and alignment are kept", () => {
  const module = new Module("naked");
  const start = new Builder(
    newFunction(module, "start32", [], "void", { naked: true, bits: 32, section: ".boot.text", align: 64, keep: true }),
  );
  asmInstr(start, "void", [], {
    bits: 32,
    pieces: ["mov eax, cr0; or eax, ", "; ljmp 8, 1f; 1:"],
    operands: [{ kind: "const", value: 1n }],
  });
  start.unreachable();
  const [chunk] = emitModule(module).chunks;
  expect(chunk).toMatchObject({ symbol: "start32", section: ".boot.text", align: 64, keep: true, isFunction: true });
  expect(Buffer.from(chunk.bytes!).toString("hex")).toBe("0f20c083c801ea000000000800");
  expect(chunk.relocations).toMatchObject([{ offset: 7, kind: "abs32", expression: { plus: "start32", addend: 13n } }]);

  const wrong = new Module("wrong");
  const b = new Builder(newFunction(wrong, "f", ["i64"], "i64", { naked: true }));
  b.ret(b.binary("add", b.param(0), b.iconst("i64", 1)));
  expect(() => emitModule(wrong)).toThrow("f: a naked function holds inline assembly only, not add");
});

test("frames: a pointer where there are calls, none in a leaf; ud2 behind calls that do not return; lines", () => {
  const module = new Module("frames");
  module.files.push("a.ts");
  const leaf = begin(module, "leaf", ["i64"], "i64");
  leaf.b.ret(leaf.b.binary("mul", leaf.p[0], leaf.p[0]));
  expect(emitFunctionText(module.functions.get("leaf")!, module)).not.toContain("rbp");
  const panic = new Builder(newFunction(module, "panic", [], "void", { noreturn: true }));
  panic.unreachable();
  const { b } = begin(module, "caller", [], "void");
  b.loc = { file: 0, line: 12, column: 3 };
  b.call("panic", "void", []);
  b.ret();
  const text = emitFunctionText(module.functions.get("caller")!, module);
  expect(text).toMatch(/push rbp\n\s+mov rbp, rsp\n/);
  expect(text).toMatch(/call panic.*\n\s+ud2/);
  const chunk = emitModule(module).chunks.find((c) => c.symbol === "caller")!;
  const row = { file: 0, line: 12, column: 3 };
  expect(chunk.lines).toEqual([
    { ...row, offset: 4 },
    { ...row, offset: 11, mark: "epilogue begin" },
  ]);
  expect(attributes().section).toBe(".text");
});

test("kernel code never touches vector registers: no block copy, zero or move does", () => {
  const module = new Module("integers");
  const { b, p } = begin(module, "f", ["i64", "i64"], "void");
  for (const size of [1, 16, 48, 64, 200, 5000]) {
    b.copy(p[0], p[1], size, 8);
    b.zero(p[1], size, 8);
  }
  b.ret();
  expect(emitFunctionText(module.functions.get("f")!)).not.toMatch(/[xy]mm/);
});

test("the checker of allocations sees a wrong location, wherever it is", () => {
  const module = randomModule(3);
  optimize(module);
  let mutations = 0;
  for (const f of module.functions.values()) {
    const placed = allocateFunction(f, optionsFor(module));
    expect(checkAllocation(placed)).toEqual([]);
    for (const block of placed.blocks) {
      block.code.forEach((old, i) => {
        const { instr, locations } = old;
        let k = 0;
        forEachRegister(instr, (operand) => {
          const at = k++;
          if (!(operand.role & USE) || mutations % 7 !== 0 || instr.op === "shuffle") return void mutations++;
          mutations++;
          // r15 holds nothing here, or another value.
          const location = locations[at] === R15 ? R14 : R15;
          block.code[i] = { instr, locations: locations.map((l, n) => (n === at ? location : l)) };
          expect(checkAllocation(placed), `${f.name}: ${instr.op}`).not.toEqual([]);
          block.code[i] = old;
        });
      });
    }
  }
  expect(mutations).toBeGreaterThan(100);
}, 60_000);

test("a failure names function and instruction", () => {
  const module = new Module("failure");
  const { b, p } = begin(module, "broken", ["i64"], "void");
  b.loc = { file: -1, line: 5, column: 9 };
  asmInstr(b, "void", [p[0]], { pieces: ["nop"], operands: [], inputs: ["rbp"] });
  b.ret();
  expect(() => emitModule(module)).toThrow(/broken: selecting asm %\d+ \(5:9\): asm: rbp holds the frame/);
});
