/**
 * Calls: direct, of generic functions, through pointers from all sources; and generic containers with their methods.
 */
import { cond, expr } from "./make-expressions.ts";
import { type Family, type FnInfo, type Maker, MAX_WORK, nameOf } from "./maker.ts";
import {
  type Arg,
  type Container,
  INTS,
  type Place,
  type Pointer,
  type Scalar,
  type Signature,
  type Stmt,
} from "./program.ts";

export const calls: readonly Family[] = [
  { weight: 2, make: call },
  { weight: 2, make: callPointer },
  { weight: 1, make: setTable },
  { weight: 1, make: container },
  { weight: 2, make: useContainer },
];

function call(m: Maker): Stmt | null {
  const affordable = m.callable.filter((c) => (m.work + c.work) * m.times < MAX_WORK);
  return affordable.length > 0 ? (callOf(m, m.prng.pick(affordable), 1)[0] ?? null) : null;
}
/** Up to `count` calls, with different arguments; none if there is nothing to point to. */
export function callOf(m: Maker, info: FnInfo, count: number): Stmt[] {
  const { fn, work } = info;
  const { prng } = m;
  const instance = fn.instances ? prng.pick(fn.instances) : null;
  const concrete = (t: Scalar): Scalar => (t === "T" ? (instance ?? "u64") : t);
  const args: Arg[] = [];
  for (const { type, hidden } of fn.params) {
    if (type.kind === "scalar")
      args.push({ k: "value", e: expr(m, concrete(type.type), hidden ? 0 : 2), hidden: hidden === true });
    else if (type.kind === "fn")
      args.push({ k: "function", name: prng.pick([...type.sig.members, ...paramsOf(m, type.sig)]) });
    else {
      const targets = m.aggregates().filter((a) => a.struct === type.struct);
      const pointers = m.scope.filter(
        (v) => v.pointer !== undefined && v.shape.kind === "struct" && v.shape.struct === type.struct,
      );
      if (pointers.length > 0 && prng.chance(0.5))
        args.push({ k: "address", p: nameOf(prng.pick(pointers).name), pointer: true });
      else if (targets.length > 0) args.push({ k: "address", p: prng.pick(targets).p, pointer: false });
      else return [];
    }
  }
  m.work += work * m.times;
  const to = fn.result === null ? null : m.variable(concrete(fn.result));
  return [{ k: "call", to, f: fn.name, args, instance }, ...(count > 1 ? callOf(m, info, count - 1) : [])];
}

/** Function pointers among the parameters. */
const paramsOf = (m: Maker, sig: Signature): string[] =>
  m.fn.params.flatMap((p) => (p.type.kind === "fn" && p.type.sig === sig ? [p.name] : []));
function callPointer(m: Maker): Stmt[] | null {
  const { prng } = m;
  const sig = prng.pick(m.world.signatures);
  const members = m.callable.filter((c) => sig.members.includes(c.fn.name));
  const work = Math.max(...members.map((c) => c.work));
  if (members.length < sig.members.length || (m.work + work) * m.times > MAX_WORK) return null;
  m.work += work * m.times;
  const list: Stmt[] = [];
  let to = m.variable(sig.result);
  if (to === null) {
    const e = expr(m, sig.result, 0);
    const name = m.declare({ name: m.newName("v"), shape: { kind: "scalar", type: sig.result } });
    list.push({ k: "let", name, t: sig.result, e });
    to = nameOf(name);
  }
  return [...list, { k: "callPtr", via: pointerOf(m, sig), to, args: sig.params.map((t) => expr(m, t, 1)) }];
}
function pointerOf(m: Maker, sig: Signature): Pointer {
  const { prng } = m;
  const params = paramsOf(m, sig);
  if (params.length > 0 && prng.chance(0.6)) return { k: "param", name: prng.pick(params) };
  const choice = { c: cond(m, 1), yes: prng.pick(sig.members), no: prng.pick(sig.members) };
  const pointed = m.scope.flatMap((v) =>
    v.shape.kind === "struct" && v.pointer !== undefined
      ? [{ p: nameOf(v.name), struct: v.shape.struct, arrow: true }]
      : [],
  );
  const fields = [...pointed, ...m.aggregates().map((a) => ({ ...a, arrow: false }))].flatMap(({ p, struct, arrow }) =>
    struct.fields.flatMap((f): Place[] =>
      f.shape.kind === "fn" && f.shape.sig === sig ? [{ k: "field", base: p, field: f.name, arrow }] : [],
    ),
  );
  if (fields.length > 0 && prng.chance(0.5)) return { k: "member", p: prng.pick(fields), ...choice };
  if (prng.chance(0.5)) return { k: "table", sig, index: expr(m, prng.pick(["u8", "u32", "i64"] as const), 1) };
  return { k: "local", sig, name: m.newName("fp"), ...choice };
}
function setTable(m: Maker): Stmt {
  const sig = m.prng.pick(m.world.signatures);
  return { k: "setTable", sig, index: expr(m, "u32", 1), f: m.prng.pick(sig.members) };
}

function container(m: Maker): Stmt {
  const { prng, world } = m;
  const known = world.containers.length > 2 || (world.containers.length > 0 && prng.chance(0.5));
  const c: Container = known
    ? prng.pick(world.containers)
    : {
        of: prng.pick(["Stack", "Ring"] as const),
        t: prng.chance(0.15) ? "f64" : prng.pick(INTS),
        count: prng.pick([1, 2, 3, 4, 5, 8]),
      };
  if (!world.containers.some((w) => w.of === c.of && w.t === c.t && w.count === c.count)) world.containers.push(c);
  const name = m.newName("b");
  m.containers.push({ name, c });
  return { k: "letContainer", name, c };
}
function useContainer(m: Maker): Stmt | null {
  if (m.containers.length === 0) return null;
  const { name, c } = m.prng.pick(m.containers);
  if (m.prng.chance(0.6)) return { k: "put", name, c, e: expr(m, c.t, 2) };
  return { k: "take", name, c, to: m.variable(c.t) };
}
