/**
 * The one file that touches TypeScript's compiler API: programs, source text, symbols, TypeScript's own diagnostics.
 * The rest of the frontend reads syntax trees through the `ts` exported here and asks `SourceProgram` for symbols.
 * TypeScript's type checker is used for nothing else: machine types come from declarations (types.ts).
 *
 * Programs and parsed files are cached between compiles: a file is parsed again only if its text has changed.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Diagnostic } from "./diagnostics.ts";
import path from "node:path";
import ts from "typescript";

export { ts };

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  noLib: true,
  types: [],
  strict: true,
  allowImportingTsExtensions: true,
  verbatimModuleSyntax: true,
  noEmit: true,
};

/** Folder of core.d.ts and prelude.d.ts, searched upwards from this module, bundled or not. */
export function libraryFolder(): string {
  for (let folder = path.dirname(fileURLToPath(import.meta.url)); ; folder = path.dirname(folder)) {
    const candidate = path.join(folder, "toolchain/lib");
    if (existsSync(path.join(candidate, "prelude.d.ts"))) return candidate;
    if (folder === path.dirname(folder)) throw new Error("toolchain/lib/prelude.d.ts is not above the compiler");
  }
}

interface CachedFile {
  readonly text: string;
  readonly file: ts.SourceFile;
  /** First node that is nested more deeply than NESTING_MAX. */
  readonly tooDeep: ts.Node | null;
}
/** Most levels of syntax. Beyond, TypeScript's checker takes quadratic time and the host's stack overflows. */
export const NESTING_MAX = 500;
const parsed = new Map<string, CachedFile>();
const programs = new Map<string, ts.Program>();
const PROGRAMS_KEPT = 8;

function readText(fileName: string, overlay: ReadonlyMap<string, string>): string | undefined {
  const text = overlay.get(fileName);
  if (text !== undefined) return text;
  try {
    return readFileSync(fileName, "utf8");
  } catch {
    return undefined;
  }
}

/** Nothing has changed since the program was made, so it is reused with its checker's results. */
const isCurrent = (program: ts.Program, overlay: ReadonlyMap<string, string>): boolean =>
  program.getSourceFiles().every((file) => readText(file.fileName, overlay) === file.text);

function deepNode(file: ts.SourceFile): ts.Node | null {
  const stack: [ts.Node, number][] = [[file, 0]];
  for (let top = stack.pop(); top; top = stack.pop()) {
    const [node, depth] = top;
    if (depth > NESTING_MAX) return node;
    ts.forEachChild(node, (child) => void stack.push([child, depth + 1]));
  }
  return null;
}

function compilerHost(overlay: ReadonlyMap<string, string>): ts.CompilerHost {
  return {
    getSourceFile(fileName) {
      const text = readText(fileName, overlay);
      if (text === undefined) return undefined;
      const known = parsed.get(fileName);
      if (known && known.text === text) return known.file;
      const file = ts.createSourceFile(
        fileName,
        text,
        { languageVersion: ts.ScriptTarget.ES2022, jsDocParsingMode: ts.JSDocParsingMode.ParseAll },
        true,
      );
      // TypeScript reuses a program only if unchanged files keep their identity and changed files have another version.
      (file as ts.SourceFile & { version?: string }).version = ts.sys.createHash?.(text) ?? text;
      parsed.set(fileName, { text, file, tooDeep: deepNode(file) });
      return file;
    },
    getDefaultLibFileName: () => "core.d.ts",
    writeFile: () => undefined,
    getCurrentDirectory: () => "/",
    getCanonicalFileName: (name) => name,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
    fileExists: (name) => overlay.has(name) || (existsSync(name) && statSync(name).isFile()),
    readFile: (name) => readText(name, overlay),
    directoryExists: (name) => existsSync(name) || [...overlay.keys()].some((file) => file.startsWith(`${name}/`)),
    getDirectories: () => [],
  };
}

/** A parsed program with its symbols. */
export class SourceProgram {
  readonly packageRoot: string;
  /** The program's modules in TypeScript's (dependency) order, without declaration files. */
  readonly files: readonly ts.SourceFile[];
  readonly #program: ts.Program;
  #lazyChecker: ts.TypeChecker | null = null;
  readonly #library: string;

  constructor(roots: readonly string[], packageRoot: string, overlay: ReadonlyMap<string, string> = new Map()) {
    this.packageRoot = packageRoot;
    this.#library = libraryFolder();
    const rootNames = [path.join(this.#library, "core.d.ts"), path.join(this.#library, "prelude.d.ts"), ...roots];
    const key = rootNames.join("\n");
    const oldProgram = programs.get(key);
    this.#program =
      oldProgram && isCurrent(oldProgram, overlay)
        ? oldProgram
        : ts.createProgram({
            rootNames,
            options: OPTIONS,
            host: compilerHost(overlay),
            ...(oldProgram ? { oldProgram } : {}),
          });
    programs.delete(key);
    programs.set(key, this.#program);
    if (programs.size > PROGRAMS_KEPT) programs.delete(programs.keys().next().value as string);
    this.files = this.#program.getSourceFiles().filter((file) => !file.isDeclarationFile);
  }

  get #checker(): ts.TypeChecker {
    this.#lazyChecker ??= this.#program.getTypeChecker();
    return this.#lazyChecker;
  }
  /** Where the source is nested more deeply than NESTING_MAX; then no other method may be called. */
  tooDeep(): ts.Node | null {
    for (const file of this.files) {
      const node = parsed.get(file.fileName)?.tooDeep;
      if (node) return node;
    }
    return null;
  }

  /**
   * TypeScript's own errors, with their TS codes; only syntax errors if there are any, or if semantic errors are not
   * wanted.
   */
  diagnostics(wantsSemantic = true): { syntax: Diagnostic[]; semantic: Diagnostic[] } {
    const syntax = [
      ...this.#program.getOptionsDiagnostics(),
      ...this.#program.getGlobalDiagnostics(),
      ...this.files.flatMap((f) => this.#program.getSyntacticDiagnostics(f)),
    ];
    if (syntax.length > 0 || !wantsSemantic) return { syntax: syntax.map((d) => this.#convert(d)), semantic: [] };
    return {
      syntax: [],
      semantic: this.files.flatMap((file) => this.#program.getSemanticDiagnostics(file)).map((d) => this.#convert(d)),
    };
  }
  #convert(d: ts.Diagnostic): Diagnostic {
    const message = ts.flattenDiagnosticMessageText(d.messageText, "\n").split("\n")[0] ?? "";
    const at = d.file && d.start !== undefined ? this.position(d.file, d.start) : { file: "", line: 0, column: 0 };
    return { code: `TS${d.code}`, message, ...at };
  }

  /** Path of a file relative to the package root. */
  relative(file: ts.SourceFile): string {
    return path.relative(this.packageRoot, file.fileName).split(path.sep).join("/");
  }
  /** 1-based position of an offset in a file. */
  position(file: ts.SourceFile, offset: number): { file: string; line: number; column: number } {
    const at = file.getLineAndCharacterOfPosition(Math.min(offset, file.text.length));
    return { file: this.relative(file), line: at.line + 1, column: at.character + 1 };
  }

  /** The symbol of an identifier, through imports; undefined if TypeScript does not know it. */
  symbol(node: ts.Node): ts.Symbol | undefined {
    const found = this.#checker.getSymbolAtLocation(node);
    return found && found.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(found) : found;
  }
  /** The symbol of the `x` in a shorthand property `{ x }`. */
  shorthandSymbol(node: ts.ShorthandPropertyAssignment): ts.Symbol | undefined {
    const found = this.#checker.getShorthandAssignmentValueSymbol(node);
    return found && found.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(found) : found;
  }
  /** TypeScript's value of an enum member. */
  enumValue(node: ts.EnumMember): string | number | undefined {
    return this.#checker.getConstantValue(node);
  }
  isPrelude(node: ts.Node): boolean {
    return path.dirname(node.getSourceFile().fileName) === this.#library && node.getSourceFile().isDeclarationFile;
  }
}

// ---- shapes of syntax

export type FunctionNode = ts.FunctionDeclaration | ts.MethodDeclaration;

export const isDeclared = (node: { readonly modifiers?: ts.NodeArray<ts.ModifierLike> }): boolean =>
  node.modifiers?.some((m) => m.kind === ts.SyntaxKind.DeclareKeyword) ?? false;
/** Without parentheses and `!`. */
export function unwrap(node: ts.Expression): ts.Expression {
  return ts.isParenthesizedExpression(node) || ts.isNonNullExpression(node) ? unwrap(node.expression) : node;
}
