/**
 * Inlines calls of small functions into one caller. `optimize` runs it bottom-up over the call graph, so that callees
 * are already optimised and their size is their real cost.
 *
 * Never: naked functions, code that is not 64-bit, functions that call the caller (directly or through others),
 * signatures that do not match, and inline "never". Always: inline "always". Otherwise by size, never noreturn
 * functions (they are cold), and only within one section, so that boot code does not move into memory that is not
 * mapped yet, nor other code into boot sections. The callee's allocas move to the caller's entry.
 */
import { make, numbered } from "../ir/builder.ts";
import { isTerminator, terminatorOf } from "../ir/cfg.ts";
import {
  Block,
  type Call,
  type DebugValue,
  type Func,
  type Instr,
  type Loc,
  type Module,
  type Scope,
  type Variable,
} from "../ir/ir.ts";
import { remade } from "./debug.ts";
import { copyOf } from "./duplicate.ts";
import { Replacements } from "./rewrite.ts";

/** Instructions, without leaves and parameters. The call itself costs about as much as the first. */
const SMALL = 14;
const SMALL_ONCE = 60;
/** Automatic inlining may not make the caller larger than this, nor its frame larger by more than MAX_FRAME bytes. */
const MAX_CALLER = 4000;
const MAX_FRAME = 128;

export interface CallGraph {
  /** Callees before their callers, cycles in any order. */
  readonly order: readonly Func[];
  /** Functions of one call cycle have the same number. */
  readonly component: ReadonlyMap<Func, number>;
  /** Direct calls and address uses, including those in assembly, in the whole module when the graph was made. */
  readonly references: ReadonlyMap<string, number>;
  /** Sizes of finished functions, computed on demand. */
  readonly sizes: Map<Func, number>;
}

/** Strongly connected components of the direct calls (Tarjan, without recursion). */
export function callGraph(module: Module): CallGraph {
  const references = new Map<string, number>();
  const refer = (name: string): void => void references.set(name, (references.get(name) ?? 0) + 1);
  const callees = new Map<Func, Func[]>();
  for (const func of module.functions.values()) {
    const list: Func[] = [];
    for (const block of func.blocks) {
      for (const instr of block.instrs) {
        if (instr.op === "asm")
          for (const operand of instr.asm.operands) if (operand.kind === "symbol") refer(operand.name);
        if (instr.op !== "call" && instr.op !== "symbol") continue;
        refer(instr.symbol);
        const callee = instr.op === "call" ? module.functions.get(instr.symbol) : undefined;
        if (callee) list.push(callee);
      }
    }
    callees.set(func, list);
  }
  for (const data of module.data.values()) for (const r of data.relocations) refer(r.symbol);
  const order: Func[] = [];
  const component = new Map<Func, number>();
  const index = new Map<Func, number>();
  const low = new Map<Func, number>();
  const open: Func[] = [];
  for (const root of module.functions.values()) {
    if (index.has(root)) continue;
    const stack = [{ func: root, next: 0 }];
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const { func } = top;
      if (top.next === 0 && !index.has(func)) {
        index.set(func, index.size);
        low.set(func, index.get(func) as number);
        open.push(func);
      }
      const callee = callees.get(func)?.[top.next++];
      if (callee !== undefined) {
        if (!index.has(callee)) stack.push({ func: callee, next: 0 });
        else if (!component.has(callee)) low.set(func, Math.min(low.get(func) as number, index.get(callee) as number));
        continue;
      }
      stack.pop();
      const parent = stack.at(-1)?.func;
      if (parent) low.set(parent, Math.min(low.get(parent) as number, low.get(func) as number));
      if (low.get(func) !== index.get(func)) continue;
      const number = component.size;
      for (let member = open.pop(); member !== undefined; member = open.pop()) {
        component.set(member, number);
        order.push(member);
        if (member === func) break;
      }
    }
  }
  return { order, component, references, sizes: new Map() };
}

export function inline(caller: Func, module: Module, graph: CallGraph): void {
  if (caller.attributes.naked || caller.attributes.bits !== 64) return;
  let size = sizeOf(caller);
  const replacements = new Replacements();
  // Blocks created by inlining are not visited again: calls in an inlined body were decided when its function was
  // optimised.
  for (const first of [...caller.blocks]) {
    let block = first;
    for (let i = 0; i < block.instrs.length; i++) {
      const call = block.instrs[i];
      if (call.op !== "call") continue;
      const callee = module.functions.get(call.symbol);
      if (!callee || !mayInline(caller, callee, call, graph)) continue;
      if (callee.attributes.inline === "auto") {
        const cost = graph.sizes.get(callee) ?? sizeOf(callee);
        graph.sizes.set(callee, cost);
        if (!worthInlining(caller, callee, cost, size, graph)) continue;
        size += cost;
      }
      block = expand(caller, callee, block, i, call, replacements);
      i = -1;
    }
  }
  replacements.apply(caller);
}

function mayInline(caller: Func, callee: Func, call: Call, graph: CallGraph): boolean {
  const a = callee.attributes;
  if (a.inline === "never" || a.naked || a.bits !== 64) return false;
  if (graph.component.get(callee) === graph.component.get(caller)) return false;
  return (
    callee.result === call.type &&
    callee.params.length === call.args.length &&
    callee.params.every((p, i) => p.type === call.args[i].type)
  );
}

function worthInlining(caller: Func, callee: Func, cost: number, callerSize: number, graph: CallGraph): boolean {
  const a = callee.attributes;
  if (a.noreturn || a.section !== caller.attributes.section) return false;
  const once = graph.references.get(callee.name) === 1 && !a.keep;
  if (cost > (once ? SMALL_ONCE : SMALL) || callerSize + cost > MAX_CALLER) return false;
  return callee.blocks[0].instrs.reduce((bytes, i) => bytes + (i.op === "alloca" ? i.size : 0), 0) <= MAX_FRAME;
}

function sizeOf(func: Func): number {
  let size = 0;
  for (const block of func.blocks) {
    for (const instr of block.instrs) {
      const { op, args } = instr;
      if (op === "dbg") continue;
      if (
        op === "const" ||
        op === "param" ||
        op === "undef" ||
        op === "alloca" ||
        op === "jump" ||
        op === "symbol" ||
        op === "phi"
      )
        continue;
      size +=
        instr.op === "asm"
          ? 1 + instr.asm.pieces.join("").split(/[;\n]/).length
          : op === "call" || op === "icall"
            ? 2 + args.length
            : 1;
    }
  }
  return size;
}

/** Replaces `call`, which is block.instrs[at], by the callee's body. Returns the block that follows it. */
function expand(caller: Func, callee: Func, block: Block, at: number, call: Call, replacements: Replacements): Block {
  let nextBlock = caller.blocks.reduce((max, b) => Math.max(max, b.id), 0) + 1;
  const rest = new Block(nextBlock++);
  rest.instrs = block.instrs.slice(at + 1);
  for (const instr of rest.instrs) instr.block = rest;
  for (const target of new Set(terminatorOf(rest).targets))
    target.preds = target.preds.map((p) => (p === block ? rest : p));
  block.instrs.length = at;

  const debug = new InlinedDebug(callee, call.loc);
  const blocks = new Map<Block, Block>(callee.blocks.map((b) => [b, new Block(nextBlock++)]));
  const values = new Map<Instr, Instr>();
  const allocas: Instr[] = [];
  const results: Instr[] = [];
  for (const [from, to] of blocks) {
    to.preds = from.preds.map((p) => blocks.get(p) as Block);
    for (const old of from.instrs) {
      if (old.op === "param") {
        values.set(old, call.args[old.index]);
        continue;
      }
      if (old.op === "ret") {
        const jump = numbered(caller, make.jump(rest, debug.loc(old.loc)));
        jump.block = to;
        to.instrs.push(jump);
        rest.preds.push(to);
        results.push(...old.args);
        continue;
      }
      const targets = isTerminator(old) ? old.targets.map((t) => blocks.get(t) as Block) : [];
      const instr = copyOf(caller, old, targets);
      instr.loc = debug.loc(old.loc);
      values.set(old, instr);
      if (old.op === "alloca") {
        instr.block = caller.blocks[0];
        allocas.push(instr);
      } else {
        instr.block = to;
        to.instrs.push(instr);
      }
    }
  }
  const mapped = (old: Instr): Instr => values.get(old) as Instr;
  for (const [from] of blocks) {
    for (const old of from.instrs) {
      if (old.op === "param" || old.op === "ret") continue;
      const copy = mapped(old);
      copy.args = old.args.map(mapped);
      if (old.op === "dbg" && copy.op === "dbg")
        copy.debug = debug.value(
          old.debug,
          (value) => values.get(value) ?? call.args[value.op === "param" ? value.index : -1] ?? null,
        );
    }
  }

  const entry = blocks.get(callee.blocks[0]) as Block;
  const enter = numbered(caller, make.jump(entry, call.loc));
  enter.block = block;
  block.instrs.push(enter);
  entry.preds = [block];
  if (call.type !== "void") {
    const result =
      rest.preds.length > 0
        ? make.phi(call.type, results.map(mapped), "", call.loc)
        : make.plain("undef", call.type, [], call.loc);
    result.id = call.id;
    result.block = rest;
    rest.instrs.unshift(result);
    replacements.set(call, result);
  }
  caller.blocks.splice(caller.blocks.indexOf(block) + 1, 0, ...blocks.values(), rest);
  caller.blocks[0].instrs.unshift(...allocas);
  return rest;
}

/** Scopes, variables and positions of a callee's body, for one inlined copy. */
class InlinedDebug {
  readonly #callee: Func;
  readonly #call: Loc;
  readonly #scopes = new Map<Scope, Scope>();
  readonly #variables = new Map<Variable, Variable>();
  readonly #locs = new Map<Loc, Loc>();
  constructor(callee: Func, call: Loc) {
    this.#callee = callee;
    this.#call = call;
  }
  loc(loc: Loc): Loc {
    const scope = loc.scope ?? this.#callee.scope;
    if (scope === null || loc.file < 0) return loc;
    let own = this.#locs.get(loc);
    if (own === undefined) this.#locs.set(loc, (own = { ...loc, scope: this.#scope(scope) }));
    return own;
  }
  value(debug: DebugValue, knownAs: (value: Instr) => Instr | null): DebugValue {
    const { variable } = debug;
    let own = this.#variables.get(variable);
    if (own === undefined) this.#variables.set(variable, (own = { ...variable, scope: this.#scope(variable.scope) }));
    return { ...debug, variable: own, watched: debug.watched && remade(debug.watched, knownAs, 0) };
  }
  #scope(scope: Scope): Scope {
    let own = this.#scopes.get(scope);
    if (own === undefined) {
      const { parent, inlinedAt } = scope;
      own = parent
        ? { ...scope, parent: this.#scope(parent) }
        : { ...scope, inlinedAt: inlinedAt ? this.loc(inlinedAt) : this.#call };
      this.#scopes.set(scope, own);
    }
    return own;
  }
}
