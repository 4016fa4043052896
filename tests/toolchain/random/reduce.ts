/**
 * Reduces a failing random program while it still fails: removes statements (halves of lists first), replaces
 * statements by their contents and expressions by an operand or a constant, and removes what is no longer used. Greedy,
 * until nothing more can be removed or the budget is spent.
 */
import { type Expr, isInt, type Program, type Stmt, TYPED_STATEMENTS } from "./program.ts";

/** `fails` gets candidates that may not even compile, and returns whether they fail in the same way. */
export function reduce(program: Program, fails: (candidate: Program) => boolean, budget: number): Program {
  let best = program;
  let left = budget;
  const attempt = (change: (copy: Program) => boolean): boolean => {
    if (left <= 0) return false;
    const copy = structuredClone(best);
    if (!change(copy)) return false;
    left--;
    if (!fails(copy)) return false;
    best = copy;
    return true;
  };
  for (let changed = true; changed && left > 0; ) {
    changed = false;
    for (let i = best.functions.length - 2; i >= 0; i--)
      if (attempt((p) => p.functions.splice(i, 1).length > 0)) changed = true;
    for (const part of ["containers", "globals", "structs", "signatures"] as const)
      for (let i = best[part].length - 1; i >= 0; i--)
        if (attempt((p) => (p[part] as unknown[]).splice(i, 1).length > 0)) changed = true;
    for (let list = 0; list < lists(best).length; list++) {
      for (let size = lists(best)[list].length; size >= 1; size = Math.floor(size / 2)) {
        for (let at = lists(best)[list].length - size; at >= 0; at -= size) {
          if (attempt((p) => (lists(p)[list] as Stmt[] | undefined)?.splice(at, size).length === size)) changed = true;
          if (lists(best)[list] === undefined) break;
        }
        if (lists(best)[list] === undefined) break;
      }
      if (lists(best)[list] === undefined) break;
    }
    for (let i = 0; i < expressions(best).length; i++) {
      for (const candidate of smaller(expressions(best)[i].value)) {
        if (!attempt((p) => expressions(p)[i]?.set(candidate) ?? false)) continue;
        changed = true;
        break;
      }
    }
  }
  return best;
}

/** Every list of statements, outer before inner. */
function lists(program: Program): Stmt[][] {
  const found: Stmt[][] = [];
  const visit = (list: Stmt[]): void => {
    found.push(list);
    for (const s of list) {
      if (s.k === "if") {
        visit(s.then);
        visit(s.else);
      } else if (s.k === "for" || s.k === "while" || s.k === "do") visit(s.body);
      else if (s.k === "switch") {
        for (const c of s.cases) visit(c.body);
      }
    }
  };
  for (const f of program.functions) visit(f.body);
  return found;
}

type Node = Record<string, unknown>;
/** Every typed expression, outer before inner, with the means to replace it. */
function expressions(program: Program): { value: Expr; set: (e: Expr) => boolean }[] {
  const found: { value: Expr; set: (e: Expr) => boolean }[] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    for (const [key, child] of Object.entries(node as Node)) {
      const k = (child as Node | null)?.k;
      if (typeof child === "object" && typeof k === "string" && "t" in (child as Node) && !TYPED_STATEMENTS.has(k)) {
        found.push({
          value: child as Expr,
          set: (e) => {
            (node as Node)[key] = e;
            return true;
          },
        });
      }
      visit(child);
    }
  };
  for (const f of program.functions) visit(f.body);
  return found;
}

function smaller(e: Expr): Expr[] {
  if (e.k === "lit") return e.v === 0n || e.v === 1n ? [] : [{ ...e, v: 1n }];
  if (e.k === "flit") return e.v === 1 ? [] : [{ ...e, v: 1 }];
  const inner = Object.values(e as unknown as Node).filter(
    (c): c is Expr => typeof c === "object" && c !== null && "t" in c && (c as Expr).t === e.t && "k" in c,
  );
  const one: Expr[] = isInt(e.t) ? [{ k: "lit", t: e.t, v: 1n }] : e.t === "f64" ? [{ k: "flit", t: e.t, v: 1 }] : [];
  return [...one, ...inner];
}
