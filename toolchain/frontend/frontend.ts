/**
 * The frontend: from source files to an IR module. Everything reachable from the entry and the `keep` declarations is
 * lowered; the rest is checked in the same way and discarded, so that errors are reported before a function is used.
 */
import { existsSync } from "node:fs";
import { Module } from "../ir/ir.ts";
import { type FunctionNode, isDeclared, NESTING_MAX, SourceProgram, ts } from "./adapter.ts";
import { asmPosition } from "./asm.ts";
import { functionAttributes, variableTags } from "./attributes.ts";
import { type Diagnostic, Refused, sortDiagnostics } from "./diagnostics.ts";
import { constantExpression, constants } from "./expressions.ts";
import { lowerFunction } from "./functions.ts";
import type { DebugTypes } from "./debug-types.ts";
import { globalConstant, globalType, lowerVariable } from "./globals.ts";
import { checkModule } from "./structure.ts";
import { VOID } from "./types.ts";
import { type FunctionEntity, Unit, type VariableEntity } from "./unit.ts";

export interface FrontendOptions {
  readonly name: string;
  /** Absolute paths. */
  readonly roots: readonly string[];
  readonly packageRoot: string;
  /** Link name of the entry function. Null: keep every function and variable of the root files (a library). */
  readonly entry: string | null;
  /** Texts that replace files, by absolute path. */
  readonly overlay?: ReadonlyMap<string, string>;
  /** Add types, scopes and debug values for debuggers; default false. Changes nothing else. */
  readonly debug?: boolean;
  /** Skip TypeScript's semantic checks, half of the work: for generated texts that are known to have no errors. */
  readonly trusted?: boolean;
}
export interface FrontendResult {
  /** Null if there are diagnostics. */
  readonly module: Module | null;
  readonly diagnostics: Diagnostic[];
}

export function lowerProgram(options: FrontendOptions): FrontendResult {
  const missing = options.roots.filter((r) => !options.overlay?.has(r) && !existsSync(r));
  if (missing.length > 0) {
    return {
      module: null,
      diagnostics: missing.map((r) => ({
        code: "MG0003",
        message: `${r} does not exist; write the path of a source file instead`,
        file: "",
        line: 0,
        column: 0,
      })),
    };
  }
  let unit: Unit | null = null;
  try {
    const source = new SourceProgram(options.roots, options.packageRoot, options.overlay);
    const deep = source.tooDeep();
    if (deep)
      return {
        module: null,
        diagnostics: [{ code: "MG0005", message: NESTS, ...source.position(deep.getSourceFile(), deep.pos) }],
      };
    const { syntax, semantic } = source.diagnostics(options.trusted !== true);
    if (syntax.length > 0) return { module: null, diagnostics: sortDiagnostics(syntax) };
    unit = new Unit(source, options.name, constantExpression, options.debug);
    unit.hasSourceErrors = semantic.length > 0;
    lowerAll(unit, options.entry, new Set(options.roots));
    // If both report an error in a line, ours says what to write instead.
    const own = unit.diagnostics.filter((d) => !(d.code === "MG0001" && semantic.length > 0));
    const lines = new Set(own.map((d) => `${d.file}:${d.line}`));
    const diagnostics = sortDiagnostics([
      ...semantic.filter((d) => !lines.has(`${d.file}:${d.line}`) && (own.length === 0 || d.file !== "")),
      ...own,
    ]);
    return { module: diagnostics.length === 0 ? unit.module : null, diagnostics };
  } catch (e) {
    return {
      module: null,
      diagnostics: sortDiagnostics([...(unit?.diagnostics ?? []), internalError(unit, options, e)]),
    };
  }
}

const NESTS = `the source nests more than ${NESTING_MAX} levels here; write smaller expressions and functions instead`;

function internalError(unit: Unit | null, options: FrontendOptions, e: unknown): Diagnostic {
  // The host's stack has overflowed: only deep nesting causes this.
  const nested = e instanceof RangeError && /call stack/.test(e.message);
  const text = e instanceof Error ? (e.message.split("\n")[0] ?? "") : String(e);
  const code = nested ? "MG0005" : "MG9999";
  const message = nested
    ? NESTS
    : `internal error: ${text}; write a report with this source, and the construct in another way, instead`;
  const node = unit?.currentNode;
  if (!unit || !node)
    return {
      code,
      message,
      file: options.roots[0] ? options.roots[0].replace(`${options.packageRoot}/`, "") : "",
      line: 1,
      column: 1,
    };
  return { code, message, ...unit.source.position(node.getSourceFile(), node.getStart()) };
}

/** Runs one piece of work. A refused construct is already reported; an internal error becomes one MG9999 line. */
function attempt(unit: Unit, work: () => void): void {
  try {
    work();
  } catch (e) {
    if (e instanceof Refused) return;
    unit.diagnostics.push(internalError(unit, { name: "", roots: [], packageRoot: "", entry: null }, e));
  }
}

type Declarations = {
  functions: ts.FunctionDeclaration[];
  methods: ts.MethodDeclaration[];
  variables: ts.VariableDeclaration[];
};
function declarationsOf(unit: Unit): Declarations {
  const found: Declarations = { functions: [], methods: [], variables: [] };
  for (const file of unit.source.files) {
    for (const s of file.statements) {
      if (ts.isFunctionDeclaration(s) && s.body && s.name) found.functions.push(s);
      else if (ts.isClassDeclaration(s))
        for (const m of s.members)
          if (ts.isMethodDeclaration(m) && m.body && ts.isIdentifier(m.name)) found.methods.push(m);
      if (ts.isVariableStatement(s)) found.variables.push(...s.declarationList.declarations);
    }
  }
  return found;
}

function lowerAll(unit: Unit, entry: string | null, roots: ReadonlySet<string>): void {
  for (const file of unit.source.files) attempt(unit, () => checkModule(unit, file));
  const found = declarationsOf(unit);
  requestRoots(unit, found, entry, roots);
  drain(unit);
  const { module } = unit;
  checkRest(unit, found);
  if (unit.debugTypes && unit.diagnostics.length === 0) {
    describeConstants(unit, unit.debugTypes, found.variables);
    module.types = unit.debugTypes.finish();
  }
}

/** Enums and constant scalars have no storage: debuggers know them only from these descriptions. */
function describeConstants(unit: Unit, types: DebugTypes, variables: readonly ts.VariableDeclaration[]): void {
  for (const file of unit.source.files) for (const s of file.statements) if (ts.isEnumDeclaration(s)) types.ofEnum(s);
  for (const v of variables) {
    if (!ts.isVariableStatement(v.parent.parent) || isDeclared(v.parent.parent)) continue;
    attempt(unit, () => {
      const value = globalConstant(constants(unit), unit.variableEntity(v), v);
      if (value?.constant === undefined) return;
      unit.module.constants.push({
        name: v.name.getText(),
        type: v.type ? types.ofNode(v.type, new Map()) : types.ofType(value.type),
        value: value.constant,
        file: unit.locOf(v).file,
        line: unit.locOf(v).line,
      });
    });
  }
}

function requestRoots(unit: Unit, found: Declarations, entry: string | null, roots: ReadonlySet<string>): void {
  const isLibrary = (node: ts.Node): boolean => entry === null && roots.has(node.getSourceFile().fileName);
  let hasEntry = entry === null;
  for (const f of found.functions) {
    if (f.typeParameters) continue;
    attempt(unit, () => {
      const { attributes, symbol } = functionAttributes(unit, f, VOID);
      const isEntry =
        entry !== null &&
        ((symbol ?? f.name?.text) === entry || unit.uniqueName(f.name?.text ?? "", f.name?.text ?? "", f) === entry);
      if (!attributes.keep && !isEntry && !isLibrary(f)) return;
      hasEntry ||= isEntry;
      unit.request(unit.functionEntity(f, null, new Map()));
    });
  }
  for (const v of found.variables) {
    if (!ts.isVariableStatement(v.parent.parent) || isDeclared(v.parent.parent)) continue;
    const statement = v.parent.parent;
    attempt(unit, () => {
      if (variableTags(unit, statement).keep || isLibrary(v)) unit.requestVariable(unit.variableEntity(v));
    });
  }
  if (!hasEntry) {
    unit.diagnostics.push({
      code: "MG0001",
      message: `no function '${entry}'; write attr({ symbol: "${entry}" }) in the entry function instead`,
      file: "",
      line: 0,
      column: 0,
    });
  }
}

const isFunctionEntity = (e: FunctionEntity | VariableEntity): e is FunctionEntity => "attributes" in e;
function drain(unit: Unit): void {
  // A generic that instantiates itself with ever new types would never end.
  const LIMIT = 100_000;
  for (let i = 0; i < unit.pending.length && i < LIMIT; i++) {
    const entity = unit.pending[i] as FunctionEntity | VariableEntity;
    attempt(unit, () => {
      if (isFunctionEntity(entity)) unit.module.functions.set(entity.linkName, lowerFunction(unit, entity));
      else {
        const data = lowerVariable(constants(unit), entity);
        unit.module.data.set(data.name, data);
      }
    });
  }
  unit.pending.length = 0;
}

/**
 * Checks unreachable functions in the same way. Generic functions are checked only with the types with which they are
 * used.
 */
function checkRest(unit: Unit, found: Declarations): void {
  const module = unit.module;
  unit.module = new Module(module.name);
  unit.checkOnly = true;
  for (const f of [...found.functions, ...found.methods] as FunctionNode[]) {
    const owner = ts.isMethodDeclaration(f) && ts.isClassDeclaration(f.parent) ? f.parent : null;
    if (f.typeParameters || owner?.typeParameters || unit.wasRequested(f)) continue;
    attempt(unit, () => {
      const struct = owner ? unit.resolver.struct(owner, [], owner) : null;
      lowerFunction(unit, unit.functionEntity(f, struct, new Map()));
    });
  }
  for (const file of unit.source.files) {
    for (const s of file.statements) {
      if (ts.isClassDeclaration(s) && !s.typeParameters)
        attempt(unit, () => void unit.resolver.complete(unit.resolver.struct(s, [], s), s));
    }
  }
  for (const v of found.variables) {
    if (!ts.isVariableStatement(v.parent.parent)) continue;
    attempt(unit, () => {
      const entity = unit.variableEntity(v);
      if (entity.requested) return;
      globalType(constants(unit), entity, v);
      if (!entity.external && !globalConstant(constants(unit), entity, v)) lowerVariable(constants(unit), entity);
    });
  }
  unit.module = module;
  unit.checkOnly = false;
}

/** The source position of a position inside an assembly template. */
export function asmDiagnostic(
  block: Parameters<typeof asmPosition>[0],
  piece: number,
  offset: number,
  message: string,
  packageRoot: string,
): Diagnostic {
  const at = asmPosition(block, piece, offset);
  if (!at) return { code: "MG5001", message, file: "", line: 0, column: 0 };
  const p = at.file.getLineAndCharacterOfPosition(Math.min(at.position, at.file.text.length));
  return {
    code: "MG5001",
    message,
    file: at.file.fileName.replace(`${packageRoot}/`, ""),
    line: p.line + 1,
    column: p.character + 1,
  };
}
