/**
 * Makes random programs (program.ts): every width signed and unsigned, floats, nested and packed structs, arrays,
 * pointers into both, more arguments than registers, loops, switches, early exits, calls directly and by pointers,
 * generic functions and classes, bounded recursion, volatile and atomic accesses. The families of statements are in
 * make-*.ts.
 *
 * Defined in both languages by construction: shift counts and indices are masked, divisors guarded, variables
 * initialised, calls are statements (C leaves the order of operands open), and a static estimate of the work keeps the
 * running time bounded.
 */
import { Prng } from "../../../toolchain/lib/prng.ts";
import { calls, callOf } from "./make-calls.ts";
import { control } from "./make-control.ts";
import { expr } from "./make-expressions.ts";
import { declaration, memory } from "./make-memory.ts";
import { type Block, constant, type Family, type FnInfo, Maker, nameOf, scalarPlaces, type World } from "./maker.ts";
import {
  type Arg,
  type Cond,
  type Expr,
  type Fn,
  type Global,
  INTS,
  type Int,
  type Param,
  type Program,
  type Scalar,
  type Shape,
  type Signature,
  type Stmt,
  type Struct,
} from "./program.ts";

const FAMILIES: readonly Family[] = [...memory, ...calls, ...control];
const FLAT = FAMILIES.filter((f) => !f.nests);
const spread = (families: readonly Family[]): Family[] =>
  families.flatMap((f) => Array.from({ length: f.weight }, () => f));
const ANY = spread(FAMILIES);
const INNERMOST = spread(FLAT);

export function generate(seed: number): Program {
  const prng = new Prng(seed);
  const signatures = makeSignatures(prng);
  const structs = makeStructs(prng, signatures);
  const world: World = { structs, signatures, globals: makeGlobals(prng, structs), containers: [] };
  const infos: FnInfo[] = [];
  for (const sig of signatures) {
    for (const name of sig.members) {
      const hides = prng.chance(0.3) ? sig.params.length - 1 : -1;
      const params = sig.params.map(
        (type, i): Param => ({
          name: `p${i}`,
          type: { kind: "scalar", type },
          ...(i === hides ? { hidden: true } : {}),
        }),
      );
      infos.push(makeFunction(prng, newFn(prng, name, params, sig.result), world, infos, 2));
    }
  }
  for (let i = 0, n = prng.between(1, 3); i < n; i++) {
    const params = makeParams(prng, world);
    const result = prng.chance(0.85) ? scalarOf(prng, 0.15) : null;
    infos.push(makeFunction(prng, newFn(prng, `f${i}`, params, result), world, infos, prng.between(3, 7)));
  }
  if (prng.chance(0.5)) infos.push(makeFunction(prng, generic(prng, world), world, infos, 4));
  if (prng.chance(0.3)) infos.push(recursive(prng, world, infos));
  const main: Fn = { name: "program", params: [], result: "u64", inline: "never", instances: null, body: [] };
  const made = makeFunction(prng, main, world, infos, 8);
  const last = main.body.pop() as Stmt;
  for (const g of world.globals)
    for (const p of scalarPlaces(nameOf(g.name), g.shape, false))
      main.body.push({ k: "hash", e: { k: "read", ...p }, apart: true });
  main.body.push(
    { k: "hash", e: (last as { e: Expr }).e },
    { k: "return", e: { k: "read", t: "u64", p: nameOf("hash") } },
  );
  return { seed, ...world, functions: [...infos.map((i) => i.fn), made.fn] };
}

const scalarOf = (prng: Prng, floats: number): Int | "f64" => (prng.chance(floats) ? "f64" : prng.pick(INTS));
const newFn = (prng: Prng, name: string, params: Param[], result: Scalar | null): Fn => ({
  name,
  params,
  result,
  inline: prng.pick(["auto", "auto", "always", "never"] as const),
  instances: null,
  body: [],
});

function makeSignatures(prng: Prng): Signature[] {
  return Array.from({ length: prng.between(1, 2) }, (_, i): Signature => {
    const params =
      i === 0 ? (["u32", "u32"] as const) : Array.from({ length: prng.between(1, 3) }, () => scalarOf(prng, 0.4));
    const members = [0, 1].map((k) => `h${i}${k}`);
    const entries = Array.from({ length: prng.pick([2, 4]) }, () => prng.pick(members));
    return {
      name: `F${i}`,
      params,
      result: i === 0 ? "u32" : scalarOf(prng, 0.5),
      members,
      table: { name: `t${i}`, entries },
    };
  });
}
function makeStructs(prng: Prng, signatures: readonly Signature[]): Struct[] {
  const structs: Struct[] = [];
  for (let i = 0, n = prng.between(1, 3); i < n; i++) {
    const fields = Array.from({ length: prng.between(1, 5) }, (_, k) => ({
      name: `m${k}`,
      shape: makeShape(prng, structs, k > 0 ? signatures : []),
    }));
    structs.push({ name: `S${i}`, packed: prng.chance(0.35), fields });
  }
  return structs;
}
function makeShape(prng: Prng, structs: readonly Struct[], signatures: readonly Signature[]): Shape {
  const kind = prng.below(10);
  if (kind < 2 && signatures.length > 0) return { kind: "fn", sig: prng.pick(signatures) };
  const scalar: Shape = { kind: "scalar", type: scalarOf(prng, 0.15) };
  if (kind < 6) return scalar;
  const inner: Shape = structs.length > 0 && prng.chance(0.6) ? { kind: "struct", struct: prng.pick(structs) } : scalar;
  return kind < 8 ? inner : { kind: "array", of: inner, length: prng.pick([2, 4]) };
}
function makeGlobals(prng: Prng, structs: readonly Struct[]): Global[] {
  const globals: Global[] = [];
  for (let i = 0, n = prng.between(3, 6); i < n; i++) {
    const type = scalarOf(prng, 0.15);
    const value = (): bigint => (type === "f64" ? BigInt(prng.between(-50, 50)) : constant(prng, type));
    const kind = prng.below(4);
    const name = `g${i}`;
    if (kind < 2) globals.push({ name, shape: { kind: "scalar", type }, values: [value()] });
    else if (kind === 2) {
      const length = prng.pick([4, 8]);
      const values = prng.chance(0.6) ? Array.from({ length }, value) : null;
      globals.push({ name, shape: { kind: "array", of: { kind: "scalar", type }, length }, values });
    } else globals.push({ name, shape: { kind: "struct", struct: prng.pick(structs) }, values: null });
  }
  return globals;
}
function makeParams(prng: Prng, world: World): Param[] {
  // Some functions have more floats than there are registers for them.
  const floats = prng.chance(0.1) ? 0.8 : 0.15;
  return Array.from({ length: prng.between(0, floats > 0.5 ? 12 : 9) }, (_, k): Param => {
    const name = `p${k}`;
    if (prng.chance(0.22)) return { name, type: { kind: "pointer", struct: prng.pick(world.structs) } };
    if (prng.chance(0.06)) return { name, type: { kind: "fn", sig: prng.pick(world.signatures) } };
    return { name, type: { kind: "scalar", type: scalarOf(prng, floats) } };
  });
}
/** Its first parameter has the type parameter's type. */
function generic(prng: Prng, world: World): Fn {
  const [, ...rest] = makeParams(prng, world).slice(0, 4);
  const first: Param = { name: "p0", type: { kind: "scalar", type: "T" } };
  const params: Param[] = [
    first,
    ...rest.map((p): Param => (prng.chance(0.5) ? { ...p, type: { kind: "scalar", type: "T" } } : p)),
  ];
  const instances = [...new Set(Array.from({ length: prng.between(1, 3) }, () => prng.pick(INTS)))];
  return { ...newFn(prng, "gen", params, prng.chance(0.6) ? "T" : prng.pick(INTS)), instances };
}

/** rec(depth, x): calls itself with depth − 1. */
function recursive(prng: Prng, world: World, infos: readonly FnInfo[]): FnInfo {
  const type = prng.pick(INTS);
  const scalar = (name: string, t: Scalar): Param => ({ name, type: { kind: "scalar", type: t } });
  const fn: Fn = { ...newFn(prng, "rec", [scalar("p0", "u8"), scalar("p1", type)], type), inline: "auto" };
  const info = makeFunction(prng, fn, world, infos.slice(0, 2), 3);
  const depth: Expr = {
    k: "bin",
    t: "u8",
    op: "&",
    a: { k: "read", t: "u8", p: nameOf("p0") },
    b: { k: "lit", t: "u8", v: 15n },
  };
  const less: Expr = { k: "bin", t: "u8", op: "-", a: depth, b: { k: "lit", t: "u8", v: 1n } };
  const args: Arg[] = [
    { k: "value", e: less, hidden: false },
    { k: "value", e: { k: "un", t: type, op: "~", a: { k: "read", t: type, p: nameOf("p1") } }, hidden: false },
  ];
  const more: Cond = { k: "cmp", op: "!==", a: depth, b: { k: "lit", t: "u8", v: 0n } };
  fn.body.unshift(
    { k: "let", name: "deep", t: type, e: { k: "lit", t: type, v: 3n } },
    { k: "if", c: more, then: [{ k: "call", to: nameOf("deep"), f: "rec", args, instance: null }], else: [] },
    { k: "hash", e: { k: "read", t: type, p: nameOf("deep") } },
  );
  return { fn, work: info.work * 16 };
}

/** Fills the body with about `statements` statements; then it hashes its variables and returns. */
function makeFunction(prng: Prng, fn: Fn, world: World, callable: readonly FnInfo[], statements: number): FnInfo {
  const m = new Maker(prng, fn, world, callable);
  const { body } = fn;
  let left = statements;
  const statement = (depth: number): Stmt[] => {
    const block: Block = (max, times = 1) => m.scoped(times, () => several(depth - 1, max));
    for (;;) {
      const made = prng.pick(depth > 0 ? ANY : INNERMOST).make(m, block);
      if (made) return Array.isArray(made) ? made : [made];
    }
  };
  const several = (depth: number, max: number): Stmt[] => {
    const list: Stmt[] = [];
    for (let n = prng.between(1, max); n > 0 && left > 0; n--) {
      left--;
      m.work += m.times;
      list.push(...statement(depth));
    }
    return list;
  };
  for (let i = prng.between(1, 3); i > 0; i--) body.push(declaration(m));
  // Every function runs at least once, so that little code is compiled without being run.
  if (fn.name === "program")
    for (const info of callable) body.push(...callOf(m, info, info.fn.name.startsWith("h") ? 1 : 2));
  while (left > 0) body.push(...several(2, 3));
  for (const v of m.scope)
    if (v.shape.kind === "scalar" && v.pointer === undefined && /^v/.test(v.name))
      body.push({ k: "hash", e: { k: "read", t: v.shape.type, p: nameOf(v.name) } });
  body.push({ k: "return", e: fn.result ? expr(m, fn.result, 2) : null });
  return { fn, work: m.work + 5 };
}
