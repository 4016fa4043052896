/** Statements of control flow: branches, loops, switches, early exits. Every loop has a counter, so it terminates. */
import { cond, expr } from "./make-expressions.ts";
import { assignment } from "./make-memory.ts";
import { type Block, constant, type Family, type Maker, nameOf } from "./maker.ts";
import { type Case, type CaseEnd, type Expr, isSigned, type Stmt, width } from "./program.ts";

export const control: readonly Family[] = [
  { weight: 1, make: (m) => ({ k: "hash", e: expr(m, m.scalar(), 3) }) },
  { weight: 1, make: leave },
  { weight: 4, nests: true, make: branch },
  { weight: 2, nests: true, make: switchOf },
  { weight: 2, nests: true, make: counted },
  { weight: 2, nests: true, make: conditional },
];

/** Leaves the loop, the switch or the function, on a condition. */
function leave(m: Maker): Stmt | null {
  const { prng } = m;
  const then = (s: Stmt): Stmt => ({ k: "if", c: cond(m, 2), then: [s], else: [] });
  if (m.breaks !== "nothing" && prng.chance(0.8))
    return then({ k: m.inLoop && prng.chance(0.5) ? "continue" : "break" });
  return prng.chance(0.5) ? then({ k: "return", e: m.fn.result ? expr(m, m.fn.result, 1) : null }) : null;
}
function branch(m: Maker, block: Block): Stmt {
  const c = cond(m, 2);
  return { k: "if", c, then: block(3), else: m.prng.chance(0.5) ? block(3) : [] };
}

/** A counter that the body may read. */
function counted(m: Maker, block: Block): Stmt {
  const { prng } = m;
  const count = prng.between(1, 7);
  const t = prng.pick(["u32", "u64", "i32", "u8", "i64", "i16"] as const);
  // Not "i": i8 is a type.
  const name = m.newName("k");
  const down = prng.chance(0.3);
  const body = m.scoped(1, () => {
    m.declare({ name, shape: { kind: "scalar", type: t }, constant: true });
    [m.breaks, m.inLoop] = ["loop", true];
    return block(4, count);
  });
  return { k: "for", name, t, count, down, body };
}
function conditional(m: Maker, block: Block): Stmt {
  const count = m.prng.between(1, 7);
  const k = m.prng.pick(["while", "do"] as const);
  const name = m.newName("n");
  const c = cond(m, 1);
  const body = m.scoped(1, () => {
    [m.breaks, m.inLoop] = ["loop", true];
    return block(4, count);
  });
  return { k, name, count, c, body };
}

/**
 * Dense, for a jump table, or sparse, for comparisons; cases with several values, with fall-through, with the default
 * anywhere.
 */
function switchOf(m: Maker, block: Block): Stmt {
  const { prng } = m;
  const t = m.int();
  const dense = prng.chance(0.4);
  const count = dense ? prng.between(5, 14) : prng.between(1, 6);
  const low = dense && prng.chance(0.5) ? constant(prng, t) : 0n;
  const wrap = (v: bigint): bigint => (isSigned(t) ? BigInt.asIntN(width(t), v) : BigInt.asUintN(width(t), v));
  const masked = (mask: bigint): Expr => ({ k: "bin", t, op: "&", a: expr(m, t, 2), b: { k: "lit", t, v: mask } });
  const values = dense
    ? Array.from({ length: count }, (_, i) => wrap(low + BigInt(i))).filter((_, i) => i === 0 || prng.chance(0.9))
    : [...new Set(Array.from({ length: count }, () => (prng.chance(0.7) ? BigInt(prng.below(8)) : constant(prng, t))))];
  const inside: Expr = dense ? { k: "bin", t, op: "+", a: masked(15n), b: { k: "lit", t, v: low } } : masked(7n);
  const e = prng.chance(0.75) ? inside : expr(m, t, 2);
  const cases: Case[] = [];
  const body = (): Stmt[] =>
    m.scoped(1, () => {
      m.breaks = "switch";
      const target = m.variable("u64") ?? nameOf("hash");
      return prng.chance(0.5)
        ? block(2)
        : [
            prng.chance(0.5)
              ? assignment(m)
              : { k: "set", p: target, op: "+", e: { k: "lit", t: "u64", v: BigInt(prng.below(1000)) } },
          ];
    });
  const end = (): CaseEnd => (prng.chance(0.25) ? "fall" : m.inLoop && prng.chance(0.1) ? "continue" : "break");
  for (let i = 0; i < values.length; ) {
    const grouped = prng.chance(0.2) ? 2 : 1;
    cases.push({ values: values.slice(i, i + grouped), body: body(), end: end() });
    i += grouped;
  }
  if (prng.chance(0.7))
    cases.splice(prng.chance(0.7) ? cases.length : prng.below(cases.length + 1), 0, {
      values: [],
      body: body(),
      end: end(),
    });
  return { k: "switch", e, cases };
}
