/**
 * The pass pipeline: an ordered list that runs on each function, callees first. Each entry names what must have run
 * before it and why; this is checked when the module is loaded.
 */
import type { Func, Module } from "../ir/ir.ts";
import { verifyFunction } from "../ir/verifier.ts";
import { cleanCfg } from "./cfg.ts";
import { dce } from "./dce.ts";
import { dse } from "./dse.ts";
import { fold } from "./fold.ts";
import { forward } from "./forward.ts";
import { gvn } from "./gvn.ts";
import { induction } from "./induction.ts";
import { type CallGraph, callGraph, inline } from "./inline.ts";
import { intervals } from "./intervals.ts";
import { leaves } from "./leaves.ts";
import { licm } from "./licm.ts";
import { mem2reg } from "./mem2reg.ts";
import { preheaders } from "./preheaders.ts";
import { promote } from "./promote.ts";
import { rotate } from "./rotate.ts";
import { sccp } from "./sccp.ts";
import { sroa } from "./sroa.ts";
import { thread } from "./thread.ts";

interface Step {
  readonly pass: string;
  readonly run: (func: Func, module: Module, graph: CallGraph) => void;
  /** Passes that must come earlier in the list. */
  readonly after: readonly string[];
  readonly why: string;
}

// biome-ignore format: a table
const pipeline: readonly Step[] = [
  { pass: "cfg",     run: cleanCfg, after: [],                          why: "dead code of the frontend would hide what can be promoted" },
  { pass: "inline",  run: inline,   after: [],                          why: "before promotion: addresses of locals passed to small functions then vanish" },
  { pass: "sroa",    run: sroa,     after: ["inline"],                  why: "makes scalars of struct locals" },
  { pass: "mem2reg", run: mem2reg,  after: ["cfg", "inline", "sroa"],   why: "promotes the scalars" },
  { pass: "sccp",    run: sccp,     after: ["mem2reg"],                 why: "sees what loops carry round only once it is in SSA form" },
  { pass: "fold",    run: fold,     after: ["mem2reg"],                 why: "sees values only once they are in SSA form" },
  { pass: "cfg",     run: cleanCfg, after: ["fold"],                    why: "longer blocks, fewer phis" },
  { pass: "gvn",     run: gvn,      after: ["fold"],                    why: "canonical operands make equal operations look equal" },
  { pass: "forward", run: forward,  after: ["gvn"],                     why: "equal addresses are one value" },
  { pass: "fold",    run: fold,     after: ["forward"],                 why: "forwarded values fold again" },
  { pass: "gvn",     run: gvn,      after: ["forward"],                 why: "so do their uses" },
  { pass: "intervals", run: intervals, after: ["forward"],              why: "only equal loads show that one value is compared twice" },
  { pass: "thread",  run: thread,   after: ["gvn", "forward"],          why: "what was compared before is the same value only then" },
  { pass: "rotate",  run: rotate,   after: ["thread", "intervals"],     why: "both look for tests where the source has them" },
  { pass: "fold",    run: fold,     after: ["rotate"],                  why: "guards whose outcome is known" },
  { pass: "cfg",     run: cleanCfg, after: ["thread", "rotate"],        why: "copies that only jump; tests that have become the end of their latch" },
  { pass: "forward", run: forward,  after: ["cfg"],                     why: "longer blocks remember more" },
  { pass: "dse",     run: dse,      after: ["forward"],                 why: "loads that only a store feeds would keep it" },
  { pass: "promote", run: promote,  after: ["sroa", "forward"],         why: "sees what of the loop's accesses is left" },
  { pass: "mem2reg", run: mem2reg,  after: ["promote"],                 why: "makes values of the locals that it made" },
  { pass: "fold",    run: fold,     after: ["promote"],                 why: "whether something was stored is often known" },
  { pass: "gvn",     run: gvn,      after: ["promote"],                 why: "constants and addresses once more" },
  { pass: "licm",    run: licm,     after: ["gvn"],                     why: "equal values move once" },
  { pass: "induction", run: induction, after: ["licm"],                 why: "what does not change is one value then" },
  { pass: "gvn",     run: gvn,      after: ["licm"],                    why: "values that met in one preheader" },
  { pass: "dce",     run: dce,      after: ["fold", "gvn", "forward"],  why: "what they made useless" },
  { pass: "cfg",     run: cleanCfg, after: ["dce"],                     why: "blocks that became empty" },
  { pass: "dce",     run: dce,      after: ["cfg"],                     why: "conditions of branches that became jumps" },
  { pass: "preheaders", run: preheaders, after: ["cfg"],                why: "cfg removes empty ones; the back end makes a loop's constants there" },
  { pass: "leaves",  run: leaves,   after: ["gvn"],                     why: "last: shortens the lives of constants" },
];

pipeline.forEach((step, i) => {
  for (const needed of step.after) {
    if (!pipeline.slice(0, i).some((s) => s.pass === needed))
      throw new Error(`pass list: ${step.pass} must come after ${needed}: ${step.why}`);
  }
});

/** Names for `only` and `except`, in the order of their first run. */
export const passNames: readonly string[] = [...new Set(pipeline.map((s) => s.pass))];

export interface OptimizeOptions {
  /** Verify the function after each pass. */
  readonly verify?: boolean;
  /** Run only these passes, or all except these. */
  readonly only?: readonly string[];
  readonly except?: readonly string[];
  /**
   * Link names that code outside the module refers to. If given, functions that were inlined everywhere are removed:
   * those that are not a root, not `keep`, and no longer referenced.
   */
  readonly roots?: readonly string[];
  /** Called after each run of a pass on a function. */
  readonly onPass?: (pass: string, func: Func) => void;
}

/** Optimises every function in place. A crash or a failed verification names pass and function. */
export function optimize(module: Module, options: OptimizeOptions = {}): void {
  for (const name of [...(options.only ?? []), ...(options.except ?? [])]) {
    if (!passNames.includes(name)) throw new Error(`no pass is called ${name}; there are ${passNames.join(", ")}`);
  }
  const steps = pipeline.filter((s) => (options.only?.includes(s.pass) ?? true) && !options.except?.includes(s.pass));
  const graph = callGraph(module);
  for (const func of graph.order) {
    for (const step of steps) {
      try {
        step.run(func, module, graph);
      } catch (error) {
        throw new Error(
          `pass ${step.pass} failed on ${func.name}: ${error instanceof Error ? error.message : String(error)}`,
          {
            cause: error,
          },
        );
      }
      if (options.verify) {
        const messages = verifyFunction(func, module);
        if (messages.length > 0) throw new Error(`pass ${step.pass} broke ${func.name}\n${messages.join("\n")}`);
      }
      options.onPass?.(step.pass, func);
    }
  }
  if (options.roots) removeInlined(module, graph, new Set(options.roots));
}

/** Only functions that had references before: one that never had any was lowered for a reason outside the module. */
function removeInlined(module: Module, before: CallGraph, roots: ReadonlySet<string>): void {
  // Repeat while something is removed: functions referenced only by removed ones go, too.
  for (let removed = true; removed; ) {
    removed = false;
    const { references } = callGraph(module);
    for (const func of module.functions.values()) {
      if (
        func.attributes.keep ||
        roots.has(func.name) ||
        references.has(func.name) ||
        !before.references.has(func.name)
      )
        continue;
      module.functions.delete(func.name);
      removed = true;
    }
  }
}
