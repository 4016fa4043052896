/**
 * Random IR modules, made with the builder: what passes must survive without a frontend. Structured control flow over memory locals,
 * so that mem2reg has work; calls (forward only: no recursion), structs in memory with copies, every width, guarded divisions.
 */
import { Builder, type IntBinary } from "../../../toolchain/ir/builder.ts";
import { Func, type FunctionAttributes, type Instr, Module, NO_LOC } from "../../../toolchain/ir/ir.ts";
import { type Type, widthOf } from "../../../toolchain/ir/ops.ts";
import { Prng } from "../../../toolchain/lib/prng.ts";

const INTS: readonly Type[] = ["i8", "i16", "i32", "i64"];
const BINARY: readonly IntBinary[] = ["add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "rotl"];
const COMPARE: readonly IntBinary[] = ["eq", "ne", "slt", "sle", "ult", "ule"];
const EDGES = [0n, 1n, 2n, 7n, 8n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0x8000n, 0xffffffffn, 0x80000000n, 1n << 63n, -1n, -2n];

/** Function `main` takes nothing and gives an i64; it uses the datum `memory` (256 bytes). */
export function randomModule(seed: number): Module {
  const prng = new Prng(seed);
  const module = new Module(`seed${seed}`);
  const bytes = Uint8Array.from({ length: 256 }, () => prng.below(256));
  module.data.set("memory", {
    name: "memory",
    sourceName: "memory",
    section: ".data",
    align: 16,
    size: 256,
    bytes,
    relocations: [],
    readonly: false,
    keep: true,
    loc: NO_LOC,
  });
  const functions: Func[] = [];
  for (let i = prng.between(1, 4); i >= 0; i--) {
    const params = i === 0 ? [] : Array.from({ length: prng.between(0, 8) }, (_, k) => ({ name: `p${k}`, type: prng.pick(INTS) }));
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

class Body {
  readonly #prng: Prng;
  readonly #b: Builder;
  readonly #func: Func;
  readonly #callees: readonly Func[];
  #locals: { address: Instr; type: Type }[] = [];
  #structs: Instr[] = [];
  #budget: number;

  constructor(prng: Prng, func: Func, callees: readonly Func[]) {
    this.#prng = prng;
    this.#func = func;
    this.#callees = callees;
    this.#b = new Builder(func);
    this.#budget = prng.between(5, 25);
  }
  generate(): void {
    const b = this.#b;
    const params = this.#func.params.map((_, i) => b.param(i));
    for (const param of params) this.#local(param.type, param);
    for (const type of INTS) this.#local(type, b.iconst(type, this.#constant()));
    for (let i = this.#prng.below(3); i > 0; i--) {
      const struct = b.alloca(24, 8);
      b.zero(struct, 24, 8);
      this.#structs.push(struct);
    }
    this.#statements(2);
    b.ret(this.#func.name === "main" ? this.#checksum() : this.#expression(this.#func.result, 2));
  }
  #local(type: Type, value: Instr): void {
    const size = widthOf[type as "i64"] / 8;
    const address = this.#b.alloca(size, size);
    this.#b.store(address, value);
    this.#locals.push({ address, type });
  }
  #constant(): bigint {
    return this.#prng.chance(0.6) ? this.#prng.pick(EDGES) : this.#prng.u64();
  }
  #statements(depth: number): void {
    for (let n = this.#prng.between(2, 5); n > 0 && this.#budget > 0; n--) {
      this.#budget--;
      this.#statement(depth);
    }
  }
  #statement(depth: number): void {
    const b = this.#b;
    const prng = this.#prng;
    const kind = prng.below(depth > 0 ? 10 : 6);
    if (kind < 3) {
      const local = prng.pick(this.#locals);
      b.store(local.address, this.#expression(local.type, 3), prng.chance(0.1));
    } else if (kind === 3) {
      const type = prng.pick(INTS);
      b.store(this.#place(type), this.#expression(type, 2));
    } else if (kind === 4 && this.#structs.length > 1) b.copy(this.#structs[0], prng.pick(this.#structs), 24, 8);
    else if (kind === 4 || kind === 5) {
      const local = prng.pick(this.#locals);
      b.store(local.address, this.#call(local.type));
    } else if (kind < 8) {
      const [yes, no, join] = [b.createBlock(), b.createBlock(), b.createBlock()];
      b.branch(this.#condition(2), yes, no);
      b.enter(yes);
      this.#statements(depth - 1);
      if (prng.chance(0.1) && this.#func.name !== "main") b.ret(this.#expression(this.#func.result, 1));
      b.jump(join);
      b.enter(no);
      if (prng.chance(0.6)) this.#statements(depth - 1);
      b.jump(join);
      b.enter(join);
    } else if (kind === 8) {
      const value = this.#expression(prng.pick(INTS), 1);
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
  #place(type: Type): Instr {
    const b = this.#b;
    const size = widthOf[type as "i64"] / 8;
    if (this.#structs.length > 0 && this.#prng.chance(0.5))
      return b.offset(this.#prng.pick(this.#structs), this.#prng.below(24 / size) * size);
    if (this.#prng.chance(0.5)) return b.symbol("memory", this.#prng.below(256 / size) * size);
    const index = b.binary("and", this.#expression("i64", 1), b.iconst("i64", 31));
    return b.binary("add", b.symbol("memory"), b.binary("mul", index, b.iconst("i64", size)));
  }
  #call(type: Type): Instr {
    if (this.#callees.length === 0) return this.#expression(type, 2);
    const callee = this.#prng.pick(this.#callees);
    const args = callee.params.map((p) => this.#expression(p.type, 1));
    return this.#as(type, this.#b.call(callee.name, callee.result, args));
  }
  #as(type: Type, value: Instr): Instr {
    const from = widthOf[value.type as "i64"];
    const to = widthOf[type as "i64"];
    if (from === to) return value;
    return this.#b.convert(to < from ? "trunc" : this.#prng.pick(["sext", "zext"]), type, value);
  }
  #condition(depth: number): Instr {
    const type = this.#prng.pick(INTS);
    const compared = this.#b.binary(this.#prng.pick(COMPARE), this.#expression(type, depth), this.#expression(type, depth));
    return this.#prng.chance(0.2) ? this.#b.binary("eq", compared, this.#b.iconst("i8", 0)) : compared;
  }
  #expression(type: Type, depth: number): Instr {
    const b = this.#b;
    const prng = this.#prng;
    const kind = depth === 0 ? prng.below(2) : prng.below(12);
    if (kind === 0) return b.iconst(type, this.#constant());
    if (kind === 1 || kind === 2) {
      const local = prng.pick(this.#locals);
      return this.#as(type, b.load(local.type, local.address));
    }
    if (kind === 3) return b.load(type, this.#place(type));
    if (kind === 4) return this.#as(type, this.#expression(prng.pick(INTS), depth - 1));
    if (kind === 5) return this.#as(type, this.#condition(depth - 1));
    if (kind === 6) return b.select(this.#condition(depth - 1), this.#expression(type, depth - 1), this.#expression(type, depth - 1));
    if (kind === 7) {
      const divisor = prng.chance(0.5)
        ? b.iconst(type, prng.pick([1n, 2n, 3n, 5n, 8n, 10n, 64n, 100n, 0x7fn]))
        : b.binary("or", b.binary("and", this.#expression(type, depth - 1), b.iconst(type, 0x7f)), b.iconst(type, 1));
      return b.binary(prng.pick(["udiv", "sdiv", "urem", "srem"]), this.#expression(type, depth - 1), divisor);
    }
    if (kind === 8)
      return b.unary(prng.pick(["clz", "ctz", ...(type === "i8" ? [] : (["bswap"] as const))]), this.#expression(type, depth - 1));
    return b.binary(prng.pick(BINARY), this.#expression(type, depth - 1), this.#expression(type, depth - 1));
  }
  #checksum(): Instr {
    const b = this.#b;
    let sum = b.iconst("i64", 0);
    const mix = (value: Instr): void => {
      sum = b.binary("add", b.binary("mul", sum, b.iconst("i64", 1000003)), this.#as("i64", value));
    };
    for (const local of this.#locals) mix(b.load(local.type, local.address));
    for (const struct of this.#structs) for (let i = 0; i < 24; i += 8) mix(b.load("i64", b.offset(struct, i)));
    for (let i = 0; i < 256; i += 8) mix(b.load("i64", b.symbol("memory", i)));
    return sum;
  }
}
