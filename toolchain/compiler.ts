/**
 * The compiler: source files in, linked image out. The pipeline is the list in `compile`, read top-down; each stage has
 * its folder and its dump (dump.ts). A stage that finds mistakes ends the compile with diagnostics; an internal error
 * in a stage becomes one MG9999 line.
 */
import type { Diagnostic } from "./frontend/diagnostics.ts";
import { asmDiagnostic, type FrontendOptions, lowerProgram } from "./frontend/frontend.ts";
import type { Module } from "./ir/ir.ts";
import { link, LinkError } from "./link/link.ts";
import type { Layout, LinkedImage, ObjectModule } from "./link/object.ts";
import { optimize, type OptimizeOptions } from "./passes/passes.ts";
import { emitModule } from "./x64/emit.ts";
import { checkAsm } from "./x64/inline.ts";

export interface CompileOptions {
  readonly name: string;
  /** The source files to start from, absolute paths. */
  readonly roots: readonly string[];
  /** Paths in diagnostics, line tables and link names are relative to this folder. */
  readonly packageRoot: string;
  /** Link name of the entry function. */
  readonly entry: string;
  readonly layout: Layout;
  /** Default true. */
  readonly optimize?: boolean;
  /** Describe types, variables and their locations for debuggers; default true. Does not affect the code. */
  readonly debug?: boolean;
  /** Further options of the passes: verify, only, except, onPass. */
  readonly passes?: OptimizeOptions;
  /** Texts that replace files, by absolute path. */
  readonly overlay?: ReadonlyMap<string, string>;
}
export interface CompileResult {
  /** Null if there are diagnostics. */
  readonly image: LinkedImage | null;
  readonly diagnostics: readonly Diagnostic[];
  /** The IR as the back end saw it; null if the frontend refused the source. */
  readonly module: Module | null;
}

export function compile(options: CompileOptions): CompileResult {
  const { module, diagnostics } = toModule({ ...options, debug: options.debug ?? true });
  if (!module) return { image: null, diagnostics, module: null };
  let stage = "passes";
  try {
    toOptimized(module, options);
    stage = "code generation";
    const object = toObject(module);
    stage = "linker";
    return { image: link(object, options.layout), diagnostics: [], module };
  } catch (e) {
    return { image: null, diagnostics: stageError(stage, e), module };
  }
}

/** Frontend: source → IR. Also checks the assembly blocks. */
export function toModule(options: FrontendOptions): { module: Module | null; diagnostics: readonly Diagnostic[] } {
  const { module, diagnostics } = lowerProgram(options);
  if (!module) return { module, diagnostics };
  const problems = checkAssembly(module, options.packageRoot);
  return problems.length > 0 ? { module: null, diagnostics: problems } : { module, diagnostics };
}
/** Passes: optimise the IR in place. */
export function toOptimized(
  module: Module,
  options: Pick<CompileOptions, "optimize" | "passes"> & Partial<Pick<CompileOptions, "entry">>,
): void {
  const roots = options.entry === undefined ? undefined : [options.entry];
  if (options.optimize !== false) optimize(module, { roots, ...options.passes });
}
/** Back end: IR → chunks of machine code and data. */
export const toObject = (module: Module): ObjectModule => emitModule(module);

function checkAssembly(module: Module, packageRoot: string): Diagnostic[] {
  const found: Diagnostic[] = [];
  for (const func of module.functions.values()) {
    for (const block of func.blocks) {
      for (const instr of block.instrs) {
        if (instr.op !== "asm") continue;
        const { asm } = instr;
        for (const p of checkAsm(asm)) found.push(asmDiagnostic(asm, p.piece, p.offset, p.message, packageRoot));
      }
    }
  }
  return found;
}

/**
 * Turns an exception of a later stage into diagnostics: one for each of the linker's problems; anything else is an
 * internal error.
 */
export function stageError(stage: string, e: unknown): Diagnostic[] {
  const none = { file: "", line: 0, column: 0 };
  if (e instanceof LinkError) return e.problems.map((message) => ({ code: "MG0004", message, ...none }));
  const text = e instanceof Error ? (e.message.split("\n")[0] ?? "") : String(e);
  return [
    {
      code: "MG9999",
      message: `internal error in ${stage}: ${text}; write a report with this source instead`,
      ...none,
    },
  ];
}
