/**
 * Makes random programs (program.ts): every width signed and unsigned, nested structs and arrays, pointers into both, more than six
 * arguments, loops, switches, early exits, calls directly and by pointer, bounded recursion, floats, statics.
 *
 * Defined in both languages by construction: shift counts and indices are masked, divisors guarded, variables initialised, calls are
 * statements (C leaves the order of operands open), and a static estimate of the work keeps the running time bounded.
 */
import { Prng } from "../../../toolchain/lib/prng.ts";
import {
  type Arg,
  type Cond,
  type Expr,
  type Float,
  type Fn,
  type Global,
  isSigned,
  type Param,
  type Place,
  type Program,
  type Scalar,
  SCALARS,
  type Shape,
  type Stmt,
  type Struct,
  widens,
  width,
} from "./program.ts";

/** Statements executed, estimated. */
const MAX_WORK = 8000;
const COMPARE = ["<", "<=", ">", ">=", "===", "!=="] as const;

interface Var {
  readonly name: string;
  readonly shape: Shape;
  /** Of a pointer to `shape`: number of elements that it may index. */
  readonly pointer?: number;
  readonly constant?: boolean;
}
interface FnInfo {
  readonly fn: Fn;
  readonly work: number;
}

export function generate(seed: number): Program {
  const prng = new Prng(seed);
  const structs = makeStructs(prng);
  const globals = makeGlobals(prng, structs);
  const infos: FnInfo[] = [];
  const leaf = (name: string): Fn => ({
    name,
    params: ["a", "b"].map((n) => ({ name: n, type: { kind: "scalar", type: "u32" } })),
    result: "u32",
    inline: "auto",
    body: [],
  });
  for (const fn of [leaf("h0"), leaf("h1")]) infos.push(new FunctionMaker(prng, fn, globals, infos, 2).make());
  for (let i = 0, n = prng.between(2, 6); i < n; i++) {
    const params = Array.from({ length: prng.between(0, 9) }, (_, k): Param => {
      const struct = structs.length > 0 && prng.chance(0.25) ? prng.pick(structs) : null;
      return { name: `p${k}`, type: struct ? { kind: "pointer", struct } : { kind: "scalar", type: prng.pick(SCALARS) } };
    });
    const fn: Fn = {
      name: `f${i}`,
      params,
      result: prng.chance(0.85) ? prng.pick(SCALARS) : null,
      inline: prng.pick(["auto", "auto", "always", "never"]),
      body: [],
    };
    infos.push(new FunctionMaker(prng, fn, globals, infos, prng.between(3, 9)).make());
  }
  if (prng.chance(0.4)) infos.push(recursive(prng, globals, infos));
  const main: Fn = { name: "program", params: [], result: "u64", inline: "never", body: [] };
  const made = new FunctionMaker(prng, main, globals, infos, 10).make();
  const last = main.body.pop() as Stmt;
  for (const g of globals)
    for (const p of scalarPlaces({ k: "name", name: g.name }, g.shape, false)) main.body.push({ k: "hash", e: { k: "read", ...p } });
  main.body.push({ k: "hash", e: (last as { e: Expr }).e }, { k: "return", e: { k: "read", t: "u64", p: { k: "name", name: "hash" } } });
  return { seed, structs, globals, functions: [...infos.map((i) => i.fn), made.fn] };
}

function makeStructs(prng: Prng): Struct[] {
  const structs: Struct[] = [];
  for (let i = 0, n = prng.between(1, 3); i < n; i++) {
    const fields = Array.from({ length: prng.between(1, 5) }, (_, k) => ({ name: `m${k}`, shape: makeShape(prng, structs) }));
    structs.push({ name: `S${i}`, fields });
  }
  return structs;
}
function makeShape(prng: Prng, structs: readonly Struct[]): Shape {
  const kind = prng.below(10);
  const scalar: Shape = { kind: "scalar", type: prng.pick(SCALARS) };
  if (kind < 6) return scalar;
  const inner: Shape = structs.length > 0 && prng.chance(0.6) ? { kind: "struct", struct: prng.pick(structs) } : scalar;
  return kind < 8 ? inner : { kind: "array", of: inner, length: prng.pick([2, 4]) };
}
function makeGlobals(prng: Prng, structs: readonly Struct[]): Global[] {
  const globals: Global[] = [];
  for (let i = 0, n = prng.between(3, 7); i < n; i++) {
    const type = prng.pick(SCALARS);
    const kind = prng.below(4);
    const name = `g${i}`;
    if (kind < 2) globals.push({ name, shape: { kind: "scalar", type }, values: [constant(prng, type)] });
    else if (kind === 2) {
      const length = prng.pick([4, 8, 16]);
      const values = prng.chance(0.6) ? Array.from({ length }, () => constant(prng, type)) : null;
      globals.push({ name, shape: { kind: "array", of: { kind: "scalar", type }, length }, values });
    } else globals.push({ name, shape: { kind: "struct", struct: prng.pick(structs) }, values: null });
  }
  return globals;
}

/** f(depth, x): calls itself with depth − 1. */
function recursive(prng: Prng, globals: readonly Global[], infos: readonly FnInfo[]): FnInfo {
  const type = prng.pick(SCALARS);
  const fn: Fn = {
    name: "rec",
    params: [
      { name: "p0", type: { kind: "scalar", type: "u8" } },
      { name: "p1", type: { kind: "scalar", type } },
    ],
    result: type,
    inline: "auto",
    body: [],
  };
  const info = new FunctionMaker(prng, fn, globals, infos.slice(0, 2), 3).make();
  const name = (n: string): Place => ({ k: "name", name: n });
  const depth: Expr = { k: "read", t: "u8", p: name("p0") };
  const less: Expr = {
    k: "bin",
    t: "u8",
    op: "-",
    a: { k: "bin", t: "u8", op: "&", a: depth, b: { k: "lit", t: "u8", v: 15n } },
    b: { k: "lit", t: "u8", v: 1n },
  };
  const args: Arg[] = [
    { k: "value", e: less },
    { k: "value", e: { k: "un", t: type, op: "~", a: { k: "read", t: type, p: name("p1") } } },
  ];
  const zero: Expr = { k: "lit", t: "u8", v: 0n };
  const more: Cond = { k: "cmp", op: "!==", a: { k: "bin", t: "u8", op: "&", a: depth, b: { k: "lit", t: "u8", v: 15n } }, b: zero };
  fn.body.unshift(
    { k: "let", name: "deep", t: type, e: { k: "lit", t: type, v: 3n } },
    { k: "if", c: more, then: [{ k: "call", to: name("deep"), f: "rec", args }], else: [] },
    { k: "hash", e: { k: "read", t: type, p: name("deep") } },
  );
  return { fn, work: info.work * 16 };
}

function scalarPlaces(p: Place, shape: Shape, arrow: boolean): { t: Scalar; p: Place }[] {
  if (shape.kind === "scalar") return [{ t: shape.type, p }];
  if (shape.kind === "struct")
    return shape.struct.fields.flatMap((f) => scalarPlaces({ k: "field", base: p, field: f.name, arrow }, f.shape, false));
  return Array.from({ length: shape.length }, (_, i) => i).flatMap((i) =>
    scalarPlaces({ k: "index", base: p, index: { k: "lit", t: "u32", v: BigInt(i) }, mask: shape.length - 1 }, shape.of, false),
  );
}

/** Favours the edges of the type. */
function constant(prng: Prng, t: Scalar): bigint {
  const w = width(t);
  const edge = [
    0n,
    1n,
    -1n,
    2n,
    3n,
    7n,
    10n,
    BigInt(w - 1),
    1n << BigInt(w - 1),
    (1n << BigInt(w - 1)) - 1n,
    0x7fn,
    0x80n,
    0xffn,
    0x100n,
    0xffffn,
    0x7fffffffn,
    0x80000000n,
    0xffffffffn,
  ];
  const v = prng.chance(0.4) ? prng.pick(edge) : prng.chance(0.3) ? BigInt(prng.below(100)) : prng.u64();
  return isSigned(t) ? BigInt.asIntN(w, v) : BigInt.asUintN(w, v);
}

class FunctionMaker {
  readonly #prng: Prng;
  readonly #fn: Fn;
  readonly #callable: readonly FnInfo[];
  #scope: Var[];
  #floats: string[] = [];
  #names = 0;
  #statements: number;
  /** How often the current statement runs in one call, and the work of one call so far. */
  #times = 1;
  #work = 0;
  #loop: "none" | "loop" | "switch" = "none";

  constructor(prng: Prng, fn: Fn, globals: readonly Global[], callable: readonly FnInfo[], statements: number) {
    this.#prng = prng;
    this.#fn = fn;
    this.#callable = [...callable];
    this.#statements = statements;
    const params = fn.params.map(
      (p): Var =>
        p.type.kind === "scalar"
          ? { name: p.name, shape: p.type }
          : { name: p.name, shape: { kind: "struct", struct: p.type.struct }, pointer: 1 },
    );
    this.#scope = [...globals.map((g) => ({ name: g.name, shape: g.shape })), ...params];
  }
  make(): FnInfo {
    const { body } = this.#fn;
    for (let i = this.#prng.between(1, 3); i > 0; i--) body.push(this.#let());
    // Every function runs at least once, so that little code is only there to be compiled.
    if (this.#fn.name === "program") for (const info of this.#callable) body.push(...this.#callOf(info, 2));
    while (this.#statements > 0) body.push(...this.#block(2, 3));
    for (const v of this.#scope)
      if (v.shape.kind === "scalar" && v.pointer === undefined && /^v/.test(v.name))
        body.push({ k: "hash", e: { k: "read", t: v.shape.type, p: { k: "name", name: v.name } } });
    for (const name of this.#floats) body.push({ k: "hash", e: { k: "fromFloat", t: "i32", name } });
    body.push({ k: "return", e: this.#fn.result ? this.#expr(this.#fn.result, 2) : null });
    return { fn: this.#fn, work: this.#work + 5 };
  }
  #name(prefix: string): string {
    return `${prefix}${this.#names++}`;
  }

  // ---- statements
  /** Not a scope of its own: the caller restores it. */
  #block(depth: number, max: number): Stmt[] {
    const list: Stmt[] = [];
    for (let n = this.#prng.between(1, max); n > 0 && this.#statements > 0; n--) {
      this.#statements--;
      this.#work += this.#times;
      list.push(...this.#stmt(depth));
    }
    return list;
  }
  #scoped(depth: number, max: number, kind: "loop" | "switch" | null, times = 1): Stmt[] {
    const [scope, floats, loop] = [this.#scope, this.#floats, this.#loop];
    this.#scope = [...scope];
    this.#floats = [...floats];
    if (kind) this.#loop = kind;
    this.#times *= times;
    const list = this.#block(depth, max);
    this.#times /= times;
    this.#scope = scope;
    this.#floats = floats;
    this.#loop = loop;
    return list;
  }
  #let(): Stmt {
    const t = this.#prng.pick(SCALARS);
    const e = this.#expr(t, 2);
    const name = this.#name("v");
    this.#scope.push({ name, shape: { kind: "scalar", type: t } });
    return { k: "let", name, t, e };
  }
  #stmt(depth: number): Stmt[] {
    const prng = this.#prng;
    const kind = prng.below(depth > 0 ? 26 : 16);
    if (kind < 2) return [this.#let()];
    if (kind < 7) return [this.#set()];
    if (kind < 9) return [this.#call() ?? this.#set()];
    if (kind === 9) return this.#prng.chance(0.5) ? [this.#shape()] : this.#fields();
    if (kind === 10) return [this.#pointer() ?? this.#set()];
    if (kind === 11) return [this.#copyOrZero() ?? this.#set()];
    if (kind === 12) return [this.#float()];
    if (kind === 13) return [this.#callPointer() ?? this.#set()];
    if (kind === 14) return [{ k: "hash", e: this.#expr(prng.pick(SCALARS), 3) }];
    if (kind === 15) {
      if (this.#loop === "loop") return [{ k: "if", c: this.#cond(2), then: [{ k: prng.pick(["break", "continue"]) }], else: [] }];
      if (prng.chance(0.5))
        return [
          { k: "if", c: this.#cond(2), then: [{ k: "return", e: this.#fn.result ? this.#expr(this.#fn.result, 1) : null }], else: [] },
        ];
      return [this.#set()];
    }
    if (kind < 20)
      return [
        {
          k: "if",
          c: this.#cond(2),
          then: this.#scoped(depth - 1, 3, null),
          else: prng.chance(0.5) ? this.#scoped(depth - 1, 3, null) : [],
        },
      ];
    if (kind < 22) return [this.#switch(depth)];
    const count = prng.between(1, 7);
    if (kind < 24) {
      const t = prng.pick(["u32", "u64", "i32", "u8", "i64", "i16"] as const);
      const name = this.#name("i");
      this.#scope.push({ name, shape: { kind: "scalar", type: t }, constant: true });
      const body = this.#scoped(depth - 1, 4, "loop", count);
      this.#scope = this.#scope.filter((v) => v.name !== name);
      return [{ k: "for", name, t, count, down: prng.chance(0.3), body }];
    }
    return [
      { k: kind === 24 ? "while" : "do", name: this.#name("n"), count, c: this.#cond(1), body: this.#scoped(depth - 1, 4, "loop", count) },
    ];
  }
  #set(): Stmt {
    const { t, p } = this.#place(null, true);
    if (this.#prng.chance(0.1)) return { k: "step", p, op: this.#prng.pick(["++", "--"]) };
    return { k: "set", p, op: this.#prng.pick(["", "", "", "+", "-", "*", "&", "|", "^"] as const), e: this.#expr(t, 3) };
  }
  #switch(depth: number): Stmt {
    const prng = this.#prng;
    const t = prng.pick(SCALARS);
    const e: Expr = prng.chance(0.7) ? { k: "bin", t, op: "&", a: this.#expr(t, 2), b: { k: "lit", t, v: 7n } } : this.#expr(t, 2);
    const values = new Set(
      Array.from({ length: prng.between(1, 6) }, () => (prng.chance(0.7) ? BigInt(prng.below(8)) : constant(prng, t))),
    );
    const cases = [...values].map((v) => ({ v, body: this.#scoped(depth - 1, 2, "switch") }));
    return { k: "switch", e, cases, otherwise: prng.chance(0.7) ? this.#scoped(depth - 1, 2, "switch") : [] };
  }
  /** A zeroed array or struct. */
  #shape(): Stmt {
    const structs = this.#scope.flatMap((v) => (v.shape.kind === "struct" ? [v.shape.struct] : []));
    const name = this.#name("a");
    const of: Shape =
      structs.length > 0 && this.#prng.chance(0.5)
        ? { kind: "struct", struct: this.#prng.pick(structs) }
        : { kind: "scalar", type: this.#prng.pick(SCALARS) };
    const shape: Shape = of.kind === "struct" && this.#prng.chance(0.7) ? of : { kind: "array", of, length: this.#prng.pick([2, 4, 8]) };
    this.#scope.push({ name, shape });
    return { k: "letShape", name, shape };
  }
  /** A struct that is only used field by field, and as a whole in copies: what scalar replacement is for. */
  #fields(): Stmt[] {
    const prng = this.#prng;
    const structs = this.#scope.flatMap((v) => (v.shape.kind === "struct" ? [v.shape.struct] : []));
    if (structs.length === 0) return [this.#set()];
    const shape: Shape = { kind: "struct", struct: prng.pick(structs) };
    const names = prng.chance(0.4) ? [this.#name("a"), this.#name("a")] : [this.#name("a")];
    const list: Stmt[] = names.map((name) => ({ k: "letShape", name, shape }));
    const pick = (): { t: Scalar; p: Place } => prng.pick(scalarPlaces({ k: "name", name: prng.pick(names) }, shape, false));
    const whole = (name: string): Place => ({ k: "name", name });
    const change = (): Stmt => {
      if (prng.chance(0.2) && names.length > 1) return { k: "copy", to: whole(prng.pick(names)), from: whole(prng.pick(names)) };
      const { t, p } = pick();
      const from = pick();
      const read: Expr = { k: "read", ...from };
      const other: Expr = from.t === t ? read : { k: "cast", t, a: read };
      return { k: "set", p, op: "", e: { k: "bin", t, op: prng.pick(["+", "-", "^"] as const), a: this.#expr(t, 1), b: other } };
    };
    for (let i = prng.between(3, 6); i > 0; i--) list.push(change());
    if (prng.chance(0.5)) list.push({ k: "if", c: this.#cond(1), then: [change(), change()], else: prng.chance(0.5) ? [change()] : [] });
    const outside = this.#aggregates().filter((o) => o.struct === shape.struct);
    if (outside.length > 0 && prng.chance(0.4)) {
      const { p } = prng.pick(outside);
      list.push(prng.chance(0.5) ? { k: "copy", to: whole(names[0]), from: p } : { k: "copy", to: p, from: whole(names[0]) }, change());
    }
    for (let i = 0; i < 4; i++) list.push({ k: "hash", e: { k: "read", ...pick() } });
    if (prng.chance(0.2)) this.#scope.push({ name: names[0], shape });
    return list;
  }
  #pointer(): Stmt | null {
    const structs = this.#aggregates();
    if (structs.length > 0 && this.#prng.chance(0.4)) {
      const { p, struct } = this.#prng.pick(structs);
      const name = this.#name("s");
      this.#scope.push({ name, shape: { kind: "struct", struct }, pointer: 1 });
      return { k: "letStructPtr", name, struct, p };
    }
    const arrays = this.#scope.filter((v) => v.pointer === undefined && v.shape.kind === "array" && v.shape.of.kind === "scalar");
    const name = this.#name("q");
    if (arrays.length > 0 && this.#prng.chance(0.7)) {
      // From the lower half on, half as many elements are in range.
      const array = this.#prng.pick(arrays);
      const shape = array.shape as Shape & { kind: "array" };
      const half = shape.length / 2;
      const t = (shape.of as Shape & { kind: "scalar" }).type;
      const index = this.#expr(this.#prng.pick(["u32", "u64", "i32"]), 1);
      this.#scope.push({ name, shape: shape.of, pointer: half });
      return { k: "letPtr", name, t, p: { k: "index", base: { k: "name", name: array.name }, index, mask: half - 1 } };
    }
    const { t, p } = this.#place(null, true);
    this.#scope.push({ name, shape: { kind: "scalar", type: t }, pointer: 1 });
    return { k: "letPtr", name, t, p };
  }
  #copyOrZero(): Stmt | null {
    const list = this.#aggregates();
    if (list.length === 0) return null;
    const to = this.#prng.pick(list);
    if (this.#prng.chance(0.2)) return { k: "zero", p: to.p };
    // Two parts of one object might overlap without being equal only by nesting, and then their structs differ.
    return { k: "copy", to: to.p, from: this.#prng.pick(list.filter((o) => o.struct === to.struct)).p };
  }
  #float(): Stmt {
    if (this.#floats.length > 0 && this.#prng.chance(0.6))
      return { k: "setFloat", name: this.#prng.pick(this.#floats), e: this.#floatExpr(2) };
    const e = this.#floatExpr(2);
    const name = this.#name("d");
    this.#floats.push(name);
    return { k: "letFloat", name, e };
  }
  #call(): Stmt | null {
    const affordable = this.#callable.filter((c) => (this.#work + c.work) * this.#times < MAX_WORK);
    return affordable.length > 0 ? (this.#callOf(this.#prng.pick(affordable), 1)[0] ?? null) : null;
  }
  /** Up to `count` calls, with different arguments; none where there is nothing to point to. */
  #callOf({ fn, work }: FnInfo, count: number): Stmt[] {
    const args: Arg[] = [];
    for (const { type } of fn.params) {
      if (type.kind === "scalar") {
        args.push({ k: "value", e: this.#expr(type.type, 2) });
        continue;
      }
      const targets = this.#aggregates().filter((a) => a.struct === type.struct);
      const pointers = this.#scope.filter((v) => v.pointer !== undefined && v.shape.kind === "struct" && v.shape.struct === type.struct);
      if (pointers.length > 0 && this.#prng.chance(0.5))
        args.push({ k: "address", p: { k: "name", name: this.#prng.pick(pointers).name }, pointer: true });
      else if (targets.length > 0) args.push({ k: "address", p: this.#prng.pick(targets).p, pointer: false });
      else return [];
    }
    this.#work += work * this.#times;
    const to = fn.result === null ? null : this.#variable(fn.result);
    return [{ k: "call", to, f: fn.name, args }, ...(count > 1 ? this.#callOf({ fn, work }, count - 1) : [])];
  }
  #callPointer(): Stmt | null {
    const to = this.#variable("u32");
    if (to === null || this.#callable.length < 2) return null;
    const [a, b] = this.#callable;
    this.#work += Math.max(a.work, b.work) * this.#times;
    return {
      k: "callPtr",
      name: this.#name("fp"),
      c: this.#cond(1),
      yes: a.fn.name,
      no: b.fn.name,
      to,
      args: [this.#expr("u32", 1), this.#expr("u32", 1)],
    };
  }

  // ---- places
  /** A plain scalar variable that may be written. */
  #variable(t: Scalar): Place | null {
    const list = this.#scope.filter((v) => v.pointer === undefined && !v.constant && v.shape.kind === "scalar" && v.shape.type === t);
    return list.length > 0 ? { k: "name", name: this.#prng.pick(list).name } : null;
  }
  /** Structs in scope, with those inside them. */
  #aggregates(): { p: Place; struct: Struct }[] {
    const walk = (p: Place, shape: Shape, arrow: boolean): { p: Place; struct: Struct }[] => {
      if (shape.kind === "scalar") return [];
      if (shape.kind === "array")
        return walk(
          { k: "index", base: p, index: { k: "lit", t: "u32", v: BigInt(this.#prng.below(shape.length)) }, mask: shape.length - 1 },
          shape.of,
          false,
        );
      const inner = shape.struct.fields.flatMap((f) => walk({ k: "field", base: p, field: f.name, arrow }, f.shape, false));
      return arrow ? inner : [{ p, struct: shape.struct }, ...inner];
    };
    return this.#scope.flatMap((v) => walk({ k: "name", name: v.name }, v.shape, v.pointer !== undefined));
  }
  /** Some scalar in memory or a variable; of type `t` if one is found. */
  #place(t: Scalar | null, write: boolean): { t: Scalar; p: Place } {
    const prng = this.#prng;
    for (let tries = 0; ; tries++) {
      const v = prng.chance(0.5)
        ? prng.pick(this.#scope)
        : (this.#scope[this.#scope.length - 1 - prng.below(Math.min(6, this.#scope.length))] as Var);
      if (write && v.constant && tries < 50) continue;
      let p: Place = { k: "name", name: v.name };
      let shape = v.shape;
      let arrow = v.pointer !== undefined && shape.kind === "struct";
      if (v.pointer !== undefined && shape.kind === "scalar") p = { k: "index", base: p, index: this.#index(), mask: v.pointer - 1 };
      while (shape.kind !== "scalar") {
        if (shape.kind === "array") {
          p = { k: "index", base: p, index: this.#index(), mask: shape.length - 1 };
          shape = shape.of;
        } else {
          const field: Struct["fields"][number] = prng.pick(shape.struct.fields);
          p = { k: "field", base: p, field: field.name, arrow };
          arrow = false;
          shape = field.shape;
        }
      }
      if (t === null || shape.type === t || tries > 8) {
        if (write && v.constant) return { t: "u64", p: { k: "name", name: "hash" } };
        return { t: shape.type, p };
      }
    }
  }
  #index(): Expr {
    const t = this.#prng.pick(["u8", "u32", "u64", "i32", "i64"] as const);
    const plain = this.#scope.filter((v) => v.pointer === undefined && v.shape.kind === "scalar" && v.shape.type === t);
    if (plain.length > 0 && this.#prng.chance(0.6)) return { k: "read", t, p: { k: "name", name: this.#prng.pick(plain).name } };
    return { k: "lit", t, v: BigInt(this.#prng.below(16)) };
  }

  // ---- expressions
  #expr(t: Scalar, depth: number): Expr {
    const prng = this.#prng;
    const kind = prng.below(depth > 0 ? 22 : 5);
    if (kind === 0) return { k: "lit", t, v: constant(prng, t) };
    if (kind < 5) {
      const place = this.#place(t, false);
      const read: Expr = { k: "read", ...place };
      return place.t === t ? read : { k: "cast", t, a: read };
    }
    const sub = (): Expr => this.#expr(t, depth - 1);
    if (kind < 11) {
      const a = sub();
      const place = this.#place(null, false);
      // The other operand keeps the type wide: only then may this one be narrow without a cast.
      const b: Expr =
        a.k === "read" && place.t !== t && widens(place.t, t) && prng.chance(0.5) ? { k: "widen", t, a: { k: "read", ...place } } : sub();
      return { k: "bin", t, op: prng.pick(["+", "-", "*", "&", "|", "^", "+", "-"] as const), a, b };
    }
    if (kind < 13) {
      const n: Expr = prng.chance(0.5) ? { k: "lit", t, v: BigInt(prng.below(width(t))) } : sub();
      return { k: "shift", t, op: prng.pick(["<<", ">>", ">>>"] as const), a: sub(), n };
    }
    if (kind < 15) {
      const op = prng.pick(["/", "%"] as const);
      if (prng.chance(0.4)) {
        const divisors = [
          1n,
          2n,
          3n,
          4n,
          5n,
          6n,
          7n,
          8n,
          9n,
          10n,
          16n,
          25n,
          64n,
          100n,
          127n,
          constant(prng, t),
          ...(isSigned(t) ? [-2n, -3n, -4n, -7n, -10n, -(1n << BigInt(width(t) - 1))] : []),
        ];
        const v = prng.pick(divisors);
        return { k: "div", t, op, a: sub(), b: { k: "lit", t, v: v === 0n || v === -1n ? 3n : v }, guard: "constant" };
      }
      return { k: "div", t, op, a: sub(), b: sub(), guard: isSigned(t) && prng.chance(0.4) ? "negative" : "positive" };
    }
    if (kind === 15) return { k: "un", t, op: prng.pick(["-", "~"] as const), a: sub() };
    if (kind < 18) return { k: "cast", t, a: this.#expr(prng.pick(SCALARS), depth - 1) };
    if (kind === 18) return { k: "bool", t, c: this.#cond(depth - 1) };
    if (kind === 19) return { k: "choose", t, c: this.#cond(depth - 1), a: sub(), b: sub() };
    if (kind === 20 && this.#floats.length > 0) return { k: "fromFloat", t, name: prng.pick(this.#floats) };
    const intrinsic = prng.below(5);
    if (intrinsic < 3) return { k: (["clz", "ctz", "bswap"] as const)[intrinsic], t, a: sub() };
    if (intrinsic === 3 || t !== "u64") return { k: "rotl", t, a: sub(), b: sub() };
    return { k: "mulHigh", t, a: sub(), b: sub() };
  }
  #cond(depth: number): Cond {
    const prng = this.#prng;
    const kind = prng.below(depth > 0 ? 10 : 6);
    const t = prng.pick(SCALARS);
    if (kind < 5) return { k: "cmp", op: prng.pick(COMPARE), a: this.#expr(t, depth), b: this.#expr(t, depth) };
    if (kind === 5)
      return {
        k: "test",
        e: { k: "bin", t, op: "&", a: this.#expr(t, depth), b: { k: "lit", t, v: 1n << BigInt(prng.below(width(t) - 1)) } },
      };
    if (kind === 6) return { k: "not", a: this.#cond(depth - 1) };
    if (kind === 7 && this.#floats.length > 0) return { k: "fcmp", op: prng.pick(COMPARE), a: this.#floatExpr(1), b: this.#floatExpr(1) };
    return { k: prng.pick(["and", "or"] as const), a: this.#cond(depth - 1), b: this.#cond(depth - 1) };
  }
  #floatExpr(depth: number): Float {
    const prng = this.#prng;
    const kind = prng.below(depth > 0 ? 6 : 3);
    if (kind === 0) return { k: "flit", v: prng.pick([0.5, 1, 2, 3.25, 10, 1000000, 0.001]) };
    if (kind === 1 && this.#floats.length > 0) return { k: "fvar", name: prng.pick(this.#floats) };
    if (kind < 3) return { k: "toFloat", e: this.#expr(prng.pick(SCALARS), 1) };
    return { k: "fbin", op: prng.pick(["+", "-", "*", "/"] as const), a: this.#floatExpr(depth - 1), b: this.#floatExpr(depth - 1) };
  }
}
