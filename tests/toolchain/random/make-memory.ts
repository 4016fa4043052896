/**
 * Statements about memory: assignments, aggregates, pointers into them, copies, volatile and atomic accesses, fences.
 */
import { cond, expr } from "./make-expressions.ts";
import { type Family, type Maker, nameOf, scalarPlaces } from "./maker.ts";
import type { Expr, Place, Scalar, Shape, Stmt } from "./program.ts";

export const memory: readonly Family[] = [
  { weight: 2, make: declaration },
  { weight: 5, make: assignment },
  { weight: 1, make: aggregate },
  { weight: 1, make: fieldByField },
  { weight: 1, make: pointer },
  { weight: 1, make: copyOrZero },
  { weight: 1, make: specialWrite },
  { weight: 2, make: atomicUpdate },
];

export function declaration(m: Maker): Stmt {
  const t = m.scalar();
  const e = expr(m, t, 2);
  return { k: "let", name: m.declare({ name: m.newName("v"), shape: { kind: "scalar", type: t } }), t, e };
}
export function assignment(m: Maker): Stmt {
  const { prng } = m;
  const { t, p } = m.place(null, true);
  if (t === "T") return { k: "set", p, op: "", e: expr(m, t, 2) };
  if (t === "f64") return { k: "set", p, op: prng.pick(["", "", "+", "-", "*"] as const), e: expr(m, t, 2) };
  if (prng.chance(0.1)) return { k: "step", p, op: prng.pick(["++", "--"] as const) };
  return { k: "set", p, op: prng.pick(["", "", "", "+", "-", "*", "&", "|", "^"] as const), e: expr(m, t, 3) };
}

/** A zeroed array or struct. */
function aggregate(m: Maker): Stmt {
  const { prng } = m;
  const structs = m.structs();
  const name = m.newName("a");
  const of: Shape =
    structs.length > 0 && prng.chance(0.5)
      ? { kind: "struct", struct: prng.pick(structs) }
      : { kind: "scalar", type: m.scalar() };
  const shape: Shape =
    of.kind === "struct" && prng.chance(0.7) ? of : { kind: "array", of, length: prng.pick([2, 4, 8]) };
  m.declare({ name, shape });
  return { k: "letShape", name, shape };
}

/** A struct used field by field, and as a whole in copies: a case for scalar replacement. */
function fieldByField(m: Maker): Stmt[] | null {
  const { prng } = m;
  const structs = m.structs();
  if (structs.length === 0) return null;
  const shape: Shape = { kind: "struct", struct: prng.pick(structs) };
  const names = prng.chance(0.4) ? [m.newName("a"), m.newName("a")] : [m.newName("a")];
  const list: Stmt[] = names.map((name) => ({ k: "letShape", name, shape }));
  const pick = (): { t: Scalar; p: Place } => prng.pick(scalarPlaces(nameOf(prng.pick(names)), shape, false));
  const change = (): Stmt => {
    if (prng.chance(0.2) && names.length > 1)
      return { k: "copy", to: nameOf(prng.pick(names)), from: nameOf(prng.pick(names)) };
    const { t, p } = pick();
    if (t === "f64" || t === "T") return { k: "set", p, op: "", e: expr(m, t, 1) };
    const from = pick();
    const read: Expr = { k: "read", ...from };
    const other: Expr = from.t === t ? read : from.t === "f64" ? { k: "toInt", t, f: read } : { k: "cast", t, a: read };
    return {
      k: "set",
      p,
      op: "",
      e: { k: "bin", t, op: prng.pick(["+", "-", "^"] as const), a: expr(m, t, 1), b: other },
    };
  };
  for (let i = prng.between(3, 6); i > 0; i--) list.push(change());
  if (prng.chance(0.5))
    list.push({ k: "if", c: cond(m, 1), then: [change(), change()], else: prng.chance(0.5) ? [change()] : [] });
  const outside = m.aggregates().filter((o) => o.struct === shape.struct);
  if (outside.length > 0 && prng.chance(0.4)) {
    const { p } = prng.pick(outside);
    list.push(
      prng.chance(0.5) ? { k: "copy", to: nameOf(names[0]), from: p } : { k: "copy", to: p, from: nameOf(names[0]) },
      change(),
    );
  }
  for (let i = 0; i < 3; i++) list.push({ k: "hash", e: { k: "read", ...pick() } });
  if (prng.chance(0.2)) m.declare({ name: names[0], shape });
  return list;
}

function pointer(m: Maker): Stmt {
  const { prng } = m;
  const structs = m.aggregates();
  if (structs.length > 0 && prng.chance(0.4)) {
    const { p, struct, aligned } = prng.pick(structs);
    const name = m.declare({ name: m.newName("s"), shape: { kind: "struct", struct }, pointer: 1, aligned });
    return { k: "letStructPtr", name, struct, p };
  }
  const arrays = m.scope.filter(
    (v) => v.pointer === undefined && v.shape.kind === "array" && v.shape.of.kind === "scalar",
  );
  const name = m.newName("q");
  if (arrays.length > 0 && prng.chance(0.7)) {
    // From the lower half on, half as many elements are in range.
    const array = prng.pick(arrays);
    const shape = array.shape as Shape & { kind: "array" };
    const half = shape.length / 2;
    const index = expr(m, prng.pick(["u32", "u64", "i32"] as const), 1);
    m.declare({ name, shape: shape.of, pointer: half, aligned: true });
    const t = (shape.of as Shape & { kind: "scalar" }).type;
    return { k: "letPtr", name, t, p: { k: "index", base: nameOf(array.name), index, mask: half - 1 } };
  }
  const { t, p, aligned } = m.place(null, true);
  m.declare({ name, shape: { kind: "scalar", type: t }, pointer: 1, aligned });
  return { k: "letPtr", name, t, p };
}

function copyOrZero(m: Maker): Stmt | null {
  const list = m.aggregates();
  if (list.length === 0) return null;
  const to = m.prng.pick(list);
  if (m.prng.chance(0.2)) return { k: "zero", p: to.p };
  // Two parts of one object could overlap without being equal only by nesting, and then their structs differ.
  return { k: "copy", to: to.p, from: m.prng.pick(list.filter((o) => o.struct === to.struct)).p };
}

function specialWrite(m: Maker): Stmt {
  const { prng } = m;
  if (prng.chance(0.3)) return { k: "fence", how: prng.pick(["fence", "compilerFence"] as const) };
  const place = prng.chance(0.5) ? m.atomicPlace() : null;
  if (place) return { k: "setSpecial", ...place, e: expr(m, place.t, 2), how: "atomic" };
  const { t, p } = m.place(null, true);
  return { k: "setSpecial", t, p, e: expr(m, t, 2), how: "volatile" };
}
/** Whether the old value is used, and with what it is compared, decides the back end's code. */
function atomicUpdate(m: Maker): Stmt[] | null {
  const { prng } = m;
  const place = m.atomicPlace();
  if (place === null) return null;
  const { t, p } = place;
  const op = prng.pick(["exchange", "add", "add", "and", "or", "xor", "compareExchange", "compareExchange"] as const);
  // A value that is probably stored there, or any value.
  const guess: Expr = prng.chance(0.6) ? { k: "read", t, p } : expr(m, t, 1);
  const expected = op === "compareExchange" ? guess : null;
  const e = expr(m, t, prng.below(3));
  if (prng.chance(0.3)) return [{ k: "atomic", op, t, p, expected, e, to: null }];
  const to = m.newName("v");
  const update: Stmt = { k: "atomic", op, t, p, expected, e, to };
  m.declare({ name: to, shape: { kind: "scalar", type: t } });
  if (prng.chance(0.5)) return [update];
  const old: Expr = { k: "read", t, p: nameOf(to) };
  return [
    update,
    {
      k: "if",
      c: { k: "cmp", op: prng.pick(["===", "!==", "<"] as const), a: old, b: guess },
      then: [assignment(m)],
      else: [],
    },
  ];
}
