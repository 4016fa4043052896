/**
 * Random IR modules, made with the builder: input for passes without a frontend. Structured control flow over memory
 * locals, so that mem2reg has work; calls (forward only: no recursion), structs in memory with copies, every width,
 * guarded divisions; and the shapes of ir-patterns.ts.
 */
import { Builder, type IntBinary } from "../../../toolchain/ir/builder.ts";
import { Func, type FunctionAttributes, type Instr, Module, NO_LOC } from "../../../toolchain/ir/ir.ts";
import { type Type, widthOf } from "../../../toolchain/ir/ops.ts";
import { Prng } from "../../../toolchain/lib/prng.ts";
import { bytesOf, COMPARE, INTS, MEMORY_BYTES, patterns, type Shaper } from "./ir-patterns.ts";

const BINARY: readonly IntBinary[] = ["add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "rotl"];
const EDGES = [
  0n,
  1n,
  2n,
  7n,
  8n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffffffn,
  0x80000000n,
  1n << 63n,
  -1n,
  -2n,
];

/** Function `main` has no parameters and returns an i64; it uses the data `memory` and `sum`. */
export function randomModule(seed: number): Module {
  const prng = new Prng(seed);
  const module = new Module(`seed${seed}`);
  const datum = (name: string, bytes: Uint8Array): void => {
    const { length: size } = bytes;
    const rest = { section: ".data", align: 16, relocations: [], readonly: false, keep: true, loc: NO_LOC };
    module.data.set(name, { name, sourceName: name, size, bytes, ...rest });
  };
  datum(
    "memory",
    Uint8Array.from({ length: MEMORY_BYTES }, () => prng.below(256)),
  );
  datum("sum", new Uint8Array(8));
  const functions: Func[] = [];
  for (let i = prng.between(1, 4); i >= 0; i--) {
    const params =
      i === 0 ? [] : Array.from({ length: prng.between(0, 8) }, (_, k) => ({ name: `p${k}`, type: prng.pick(INTS) }));
    const attributes: FunctionAttributes = {
      naked: false,
      bits: 64,
      section: ".text",
      align: 0,
      inline: prng.pick(["auto", "auto", "always", "never"]),
      noreturn: false,
      keep: i === 0,
    };
    const func = new Func(
      i === 0 ? "main" : `f${i}`,
      i === 0 ? "main" : `f${i}`,
      params,
      i === 0 ? "i64" : prng.pick(INTS),
      attributes,
      NO_LOC,
    );
    new Body(prng, func, [...functions]).generate();
    functions.push(func);
    module.functions.set(func.name, func);
  }
  return module;
}

class Body implements Shaper {
  readonly prng: Prng;
  readonly b: Builder;
  readonly #func: Func;
  readonly #callees: readonly Func[];
  #locals: { address: Instr; type: Type }[] = [];
  #structs: Instr[] = [];
  #budget: number;

  constructor(prng: Prng, func: Func, callees: readonly Func[]) {
    this.prng = prng;
    this.#func = func;
    this.#callees = callees;
    this.b = new Builder(func);
    this.#budget = prng.between(4, 16);
  }
  generate(): void {
    const b = this.b;
    const params = this.#func.params.map((_, i) => b.param(i));
    for (const param of params) this.#local(param.type, param);
    for (const type of INTS) this.#local(type, b.iconst(type, this.constant()));
    for (let i = this.prng.below(3); i > 0; i--) {
      const struct = b.alloca(24, 8);
      b.zero(struct, 24, 8);
      this.#structs.push(struct);
    }
    // Code that never runs tests nothing.
    if (this.#func.name === "main")
      for (const f of this.#callees)
        this.observe(
          b.call(
            f.name,
            f.result,
            f.params.map((p) => this.unknown(p.type)),
          ),
        );
    this.#statements(2);
    b.ret(this.#func.name === "main" ? this.#checksum() : this.expression(this.#func.result, 2));
  }
  #local(type: Type, value: Instr): void {
    const size = widthOf[type as "i64"] / 8;
    const address = this.b.alloca(size, size);
    this.b.store(address, value);
    this.#locals.push({ address, type });
  }
  constant(): bigint {
    return this.prng.chance(0.6) ? this.prng.pick(EDGES) : this.prng.u64();
  }
  #statements(depth: number): void {
    for (let n = this.prng.between(2, 5); n > 0 && this.#budget > 0; n--) {
      this.#budget--;
      this.#statement(depth);
    }
  }
  #statement(depth: number): void {
    const b = this.b;
    const prng = this.prng;
    const kind = prng.below(depth > 0 ? 10 : 6);
    if (prng.chance(0.3)) prng.pick(patterns)(this);
    else if (kind < 3) {
      const local = prng.pick(this.#locals);
      b.store(local.address, this.expression(local.type, 3), prng.chance(0.1));
    } else if (kind === 3) {
      const type = prng.pick(INTS);
      b.store(this.#place(type), this.expression(type, 2));
    } else if (kind === 4 && this.#structs.length > 1) b.copy(this.#structs[0], prng.pick(this.#structs), 24, 8);
    else if (kind === 4 || kind === 5) {
      const local = prng.pick(this.#locals);
      b.store(local.address, this.#call(local.type));
    } else if (kind < 8) {
      const [yes, no, join] = [b.createBlock(), b.createBlock(), b.createBlock()];
      b.branch(this.#condition(2), yes, no);
      b.enter(yes);
      this.#statements(depth - 1);
      if (prng.chance(0.1) && this.#func.name !== "main") b.ret(this.expression(this.#func.result, 1));
      b.jump(join);
      b.enter(no);
      if (prng.chance(0.6)) this.#statements(depth - 1);
      b.jump(join);
      b.enter(join);
    } else if (kind === 8) {
      const value = this.expression(prng.pick(INTS), 1);
      const join = b.createBlock();
      const targets = Array.from({ length: prng.between(1, 4) }, () => (prng.chance(0.2) ? join : b.createBlock()));
      b.switch(
        value,
        targets.map((_, i) => BigInt(i)),
        targets,
        join,
      );
      for (const target of targets) {
        if (target === join) continue;
        b.enter(target);
        this.#statements(depth - 1);
        b.jump(join);
      }
      b.enter(join);
    } else {
      const counter = b.alloca(4, 4);
      b.store(counter, b.iconst("i32", 0));
      const [head, body, next, exit] = [b.createBlock(), b.createBlock(), b.createBlock(), b.createBlock()];
      b.jump(head);
      b.enter(head);
      b.branch(b.binary("ult", b.load("i32", counter), b.iconst("i32", prng.between(0, 6))), body, exit);
      b.enter(body);
      this.#statements(depth - 1);
      if (prng.chance(0.3)) {
        const rest = b.createBlock();
        b.branch(this.#condition(1), prng.chance(0.5) ? exit : next, rest);
        b.enter(rest);
        this.#statements(depth - 1);
      }
      b.jump(next);
      b.enter(next);
      b.store(counter, b.binary("add", b.load("i32", counter), b.iconst("i32", 1)));
      b.jump(head);
      b.enter(exit);
    }
  }
  /** A load from somewhere in `memory`, which every call may change. */
  unknown(type: Type): Instr {
    return this.b.load(type, this.b.symbol("memory", this.prng.below(MEMORY_BYTES / bytesOf(type)) * bytesOf(type)));
  }
  observe(value: Instr): void {
    const { b } = this;
    const sum = b.binary("mul", b.load("i64", b.symbol("sum")), b.iconst("i64", 1000003));
    b.store(b.symbol("sum"), b.binary("add", sum, value.type === "i64" ? value : b.convert("zext", "i64", value)));
  }
  #place(type: Type): Instr {
    const b = this.b;
    const size = widthOf[type as "i64"] / 8;
    if (this.#structs.length > 0 && this.prng.chance(0.08)) {
      const index = b.binary("and", this.expression("i64", 0), b.iconst("i64", 16 / size - 1));
      return b.binary("add", this.prng.pick(this.#structs), b.binary("mul", index, b.iconst("i64", size)));
    }
    if (this.#structs.length > 0 && this.prng.chance(0.5))
      return b.offset(this.prng.pick(this.#structs), this.prng.below(24 / size) * size);
    if (this.prng.chance(0.5)) return b.symbol("memory", this.prng.below(256 / size) * size);
    const index = b.binary("and", this.expression("i64", 1), b.iconst("i64", 31));
    return b.binary("add", b.symbol("memory"), b.binary("mul", index, b.iconst("i64", size)));
  }
  #call(type: Type): Instr {
    if (this.#callees.length === 0) return this.expression(type, 2);
    const callee = this.prng.pick(this.#callees);
    const args = callee.params.map((p) => this.expression(p.type, 1));
    return this.as(type, this.b.call(callee.name, callee.result, args));
  }
  as(type: Type, value: Instr): Instr {
    const from = widthOf[value.type as "i64"];
    const to = widthOf[type as "i64"];
    if (from === to) return value;
    return this.b.convert(to < from ? "trunc" : this.prng.pick(["sext", "zext"]), type, value);
  }
  #condition(depth: number): Instr {
    const type = this.prng.pick(INTS);
    if (this.prng.chance(0.1)) {
      // A widened value compared with a constant that may be out of its narrow range.
      const wide = this.prng.pick(["i16", "i32", "i64"] as const);
      const bit = this.b.binary("and", this.expression("i8", depth), this.b.iconst("i8", 1));
      const constant = this.b.iconst(wide, this.prng.pick([0x100n, 0x101n, 1n, -1n]));
      return this.b.binary(this.prng.pick(["eq", "ne", ...COMPARE]), this.b.convert("zext", wide, bit), constant);
    }
    const compared = this.b.binary(this.prng.pick(COMPARE), this.expression(type, depth), this.expression(type, depth));
    return this.prng.chance(0.2) ? this.b.binary("eq", compared, this.b.iconst("i8", 0)) : compared;
  }
  expression(type: Type, depth: number): Instr {
    const b = this.b;
    const prng = this.prng;
    const kind = depth === 0 ? prng.below(2) : prng.below(13);
    if (kind === 0) return b.iconst(type, this.constant());
    if (kind === 1 || kind === 2) {
      const local = prng.pick(this.#locals);
      return this.as(type, b.load(local.type, local.address));
    }
    if (kind === 3) return b.load(type, this.#place(type));
    if (kind === 4 && widthOf[type as "i64"] > 16 && prng.chance(0.5)) {
      // Widened in two steps, each with or without the sign.
      const half = b.convert(
        prng.pick(["sext", "zext"]),
        "i16",
        b.binary("xor", this.expression("i8", depth - 1), b.iconst("i8", 0x80)),
      );
      return b.convert(prng.pick(["sext", "zext"]), type, half);
    }
    if (kind === 4) return this.as(type, this.expression(prng.pick(INTS), depth - 1));
    if (kind === 5) return this.as(type, this.#condition(depth - 1));
    if (kind === 6)
      return b.select(this.#condition(depth - 1), this.expression(type, depth - 1), this.expression(type, depth - 1));
    if (kind === 7) {
      const divisor = prng.chance(0.5)
        ? b.iconst(type, prng.pick([1n, 2n, 3n, 5n, 8n, 10n, 64n, 100n, 0x7fn]))
        : b.binary("or", b.binary("and", this.expression(type, depth - 1), b.iconst(type, 0x7f)), b.iconst(type, 1));
      return b.binary(prng.pick(["udiv", "sdiv", "urem", "srem"]), this.expression(type, depth - 1), divisor);
    }
    if (kind === 8)
      return b.unary(
        prng.pick(["clz", "ctz", ...(type === "i8" ? [] : (["bswap"] as const))]),
        this.expression(type, depth - 1),
      );
    const [x, y] = [this.expression(type, depth - 1), this.expression(type, depth - 1)];
    const op = prng.pick(BINARY);
    // One operation with its operands in either order.
    if (kind === 12) return b.binary(prng.pick(["xor", "add", "sub"] as const), b.binary(op, x, y), b.binary(op, y, x));
    return b.binary(op, x, y);
  }
  #checksum(): Instr {
    const b = this.b;
    let sum = b.iconst("i64", 0);
    const mix = (value: Instr): void => {
      sum = b.binary("add", b.binary("mul", sum, b.iconst("i64", 1000003)), this.as("i64", value));
    };
    // Elsewhere most of what is computed is never looked at.
    const narrow = (): Instr => b.binary("xor", this.expression("i8", 1), b.load("i8", this.#place("i8")));
    mix(b.convert("zext", "i64", b.convert("sext", "i16", narrow())));
    const bit = b.convert("zext", "i32", b.binary("and", narrow(), b.iconst("i8", 1)));
    mix(b.binary("eq", bit, b.iconst("i32", this.prng.pick([0x100n, 0x101n]))));
    for (const local of this.#locals) mix(b.load(local.type, local.address));
    for (const struct of this.#structs) for (let i = 0; i < 24; i += 8) mix(b.load("i64", b.offset(struct, i)));
    for (let i = 0; i < MEMORY_BYTES; i += 8) mix(b.load("i64", b.symbol("memory", i)));
    mix(b.load("i64", b.symbol("sum")));
    return sum;
  }
}
