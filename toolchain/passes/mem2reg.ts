/**
 * Promotes scalar allocas to SSA values: pruned SSA by dominance frontiers (Cytron et al.), with phis only where the
 * variable is live. Promotable: every use is a non-volatile load or store of one type at the alloca itself, or a `zero`
 * of exactly that type's size. A load before any store becomes `undef`. From each store and phi on, a source variable
 * in the alloca has that value.
 */
import { make, numbered } from "../ir/builder.ts";
import { Dominators, removeUnreachable, successors } from "../ir/cfg.ts";
import { type Alloca, type Block, type DebugMark, type DebugValue, type Func, type Instr, NO_LOC } from "../ir/ir.ts";
import { type Type, widthOf } from "../ir/ops.ts";
import { afterStore, newDebug, watchersOf } from "./debug.ts";
import { isVolatile, newConst, newInstr, Replacements, usesOf } from "./rewrite.ts";

interface Variable {
  readonly alloca: Alloca;
  readonly type: Type;
  /** Blocks that set the variable; blocks that read it before they set it. */
  readonly defining: Set<Block>;
  readonly reading: Set<Block>;
}

export function mem2reg(func: Func): void {
  removeUnreachable(func);
  const uses = usesOf(func);
  const variables = new Map<Instr, Variable>();
  for (const instr of func.blocks[0].instrs) {
    if (instr.op !== "alloca") continue;
    const type = scalarTypeOf(instr, uses.get(instr) ?? []);
    if (type !== null) variables.set(instr, { alloca: instr, type, defining: new Set(), reading: new Set() });
  }
  if (variables.size === 0) return;
  const dominators = new Dominators(func);
  for (const block of dominators.order) {
    for (const instr of block.instrs) {
      const variable = variables.get(instr.args[0]);
      if (!variable) continue;
      if (instr.op !== "load") variable.defining.add(block);
      else if (!variable.defining.has(block)) variable.reading.add(block);
    }
  }
  const frontiers = dominators.frontiers();
  const phis = new Map<Instr, Variable>();
  for (const variable of variables.values()) placePhis(func, variable, frontiers, phis);
  rename(func, dominators, variables, phis, watchersOf(func, variables));
}

function scalarTypeOf(alloca: Alloca, uses: readonly Instr[]): Type | null {
  let type: Type | null = null;
  for (const use of uses) {
    if (isVolatile(use) || use.args.indexOf(alloca, 1) >= 0) return null;
    if (use.op === "zero") continue;
    if (use.op !== "load" && use.op !== "store") return null;
    const accessed = use.op === "load" ? use.type : use.args[1].type;
    if (type !== null && type !== accessed) return null;
    type = accessed;
  }
  if (type === null) return null;
  const bytes = widthOf[type as "i64"] / 8;
  return alloca.size >= bytes && uses.every((u) => u.op !== "zero" || u.size === bytes) ? type : null;
}

function placePhis(
  func: Func,
  variable: Variable,
  frontiers: ReadonlyMap<Block, ReadonlySet<Block>>,
  phis: Map<Instr, Variable>,
): void {
  const liveIn = new Set<Block>();
  const reads = [...variable.reading];
  for (let block = reads.pop(); block !== undefined; block = reads.pop()) {
    if (liveIn.has(block)) continue;
    liveIn.add(block);
    for (const pred of block.preds) if (!variable.defining.has(pred)) reads.push(pred);
  }
  const placed = new Set<Block>();
  const work = [...variable.defining];
  for (let block = work.pop(); block !== undefined; block = work.pop()) {
    for (const join of frontiers.get(block) ?? []) {
      if (placed.has(join) || !liveIn.has(join)) continue;
      placed.add(join);
      const { loc, name } = variable.alloca;
      const phi = numbered(func, make.phi(variable.type, [], name, loc));
      phi.block = join;
      join.instrs.unshift(phi);
      phis.set(phi, variable);
      work.push(join);
    }
  }
}

function rename(
  func: Func,
  dominators: Dominators,
  variables: ReadonlyMap<Instr, Variable>,
  phis: ReadonlyMap<Instr, Variable>,
  watchers: ReadonlyMap<Instr, DebugValue[]>,
): void {
  const replacements = new Replacements();
  const removed = new Set<Instr>(variables.keys());
  const undefs = new Map<Type, Instr>();
  const undef = (type: Type): Instr => {
    let instr = undefs.get(type);
    if (instr === undefined) {
      instr = newInstr(func, "undef", type, [], func.loc);
      instr.block = func.blocks[0];
      undefs.set(type, instr);
    }
    return instr;
  };
  // Values of the variables at the end of each visited block; a child starts with those of its dominator.
  const stack: { block: Block; values: Map<Variable, Instr> }[] = [{ block: func.blocks[0], values: new Map() }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { block, values } = top;
    const out: Instr[] = [];
    const holds = ({ alloca, type }: Variable, value: Instr | null, like: Instr): DebugMark[] =>
      afterStore(func, watchers.get(alloca) ?? [], 0, value, widthOf[type as "i64"] / 8, like);
    let ofPhis: Instr[] = [];
    for (const instr of block.instrs) {
      if (ofPhis.length > 0 && instr.op !== "phi") {
        out.push(...ofPhis);
        ofPhis = [];
      }
      if (instr.op === "dbg") {
        const { watched, indirect } = instr.debug;
        const variable = indirect && watched ? variables.get(watched) : undefined;
        if (variable) {
          // Parts that the alloca never holds as one value stay unknown.
          out.push(newDebug(func, { ...instr.debug, watched: null, indirect: false }, instr.loc, block));
          const value = values.get(variable);
          if (value) out.push(...afterStore(func, [instr.debug], 0, value, 8, instr));
        } else out.push(instr);
        continue;
      }
      const variable = phis.get(instr) ?? variables.get(instr.args[0]);
      if (instr.op === "phi" && variable) {
        values.set(variable, instr);
        // Not a statement of the source.
        ofPhis.push(...holds(variable, instr, instr).map((d) => newDebug(func, d.debug, NO_LOC, block)));
      } else if (variable) {
        removed.add(instr);
        if (instr.op === "load") replacements.set(instr, values.get(variable) ?? undef(variable.type));
        else if (instr.op === "store") {
          values.set(variable, instr.args[1]);
          out.push(...holds(variable, instr.args[1], instr));
        } else {
          const value = zeroOf(func, variable.type, instr);
          value.block = block;
          values.set(variable, value);
          out.push(value, ...holds(variable, value, instr));
        }
      }
      if (!removed.has(instr)) out.push(instr);
    }
    block.instrs = out;
    const seen = new Set<Block>();
    for (const target of successors(block)) {
      if (seen.has(target)) continue;
      seen.add(target);
      for (const phi of target.instrs) {
        if (phi.op !== "phi") break;
        const variable = phis.get(phi);
        if (!variable) continue;
        target.preds.forEach((pred, i) => {
          if (pred === block) phi.args[i] = values.get(variable) ?? undef(variable.type);
        });
      }
    }
    // The last child may take the map itself.
    dominators
      .children(block)
      .forEach((child, i, all) =>
        stack.push({ block: child, values: i === all.length - 1 ? values : new Map(values) }),
      );
  }
  func.blocks[0].instrs.unshift(...undefs.values());
  replacements.apply(func);
}

function zeroOf(func: Func, type: Type, at: Instr): Instr {
  return type === "f64" ? numbered(func, make.floatConst(0, at.loc)) : newConst(func, type, 0n, at.loc);
}
