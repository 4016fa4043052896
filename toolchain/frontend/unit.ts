/**
 * State of one compile: the source program, the module under construction, diagnostics, and the entities (functions
 * with their type arguments, static variables, pooled strings). A work list holds the entities that are referenced but
 * not lowered yet.
 */
import { type Data, type FunctionAttributes, Module, NO_LOC } from "../ir/ir.ts";
import { type FunctionNode, isDeclared, type SourceProgram, ts } from "./adapter.ts";
import { functionAttributes, variableTags } from "./attributes.ts";
import { DebugTypes } from "./debug-types.ts";
import { Reporter } from "./report.ts";
import { Resolver } from "./resolve.ts";
import {
  type FunctionType,
  type MachineType,
  pointerTo,
  showType,
  type Struct,
  structKey,
  type TypeEnvironment,
  typeKey,
} from "./types.ts";
import type { Value } from "./values.ts";

/** A function with its type arguments; methods have their struct as owner and `this` as parameter 0. */
export interface FunctionEntity {
  readonly declaration: FunctionNode;
  readonly owner: Struct | null;
  readonly environment: TypeEnvironment;
  readonly linkName: string;
  readonly sourceName: string;
  /** Includes `this`. */
  readonly type: FunctionType;
  readonly attributes: FunctionAttributes;
}

/** A variable of a module. */
export interface VariableEntity {
  readonly declaration: ts.VariableDeclaration;
  readonly isConst: boolean;
  linkName: string;
  /** Null while it is being determined; a second request then means a circle. */
  type: MachineType | null;
  /** Value of a `const` scalar with a constant initialiser. */
  constant: Value | null;
  external: boolean;
  requested: boolean;
}

export class Unit extends Reporter {
  readonly resolver: Resolver;
  /** If true, code is lowered only to check it: it goes to a module that is discarded and requests no work. */
  checkOnly = false;
  module: Module;
  /** To be lowered next, in order. */
  readonly pending: (FunctionEntity | VariableEntity)[] = [];
  /** Null: no debug information. */
  readonly debugTypes: DebugTypes | null;

  readonly #functions = new Map<ts.Node, Map<string, FunctionEntity>>();
  readonly #variables = new Map<ts.Node, VariableEntity>();
  readonly #requested = new Set<FunctionEntity>();
  readonly #owners = new Map<string, ts.Node>();
  readonly #ambiguous = new Set<string>();
  readonly #strings = new Map<string, Data>();

  /** `constant`: evaluates an expression in a type or enum, which must be constant (constantExpression). */
  constructor(
    source: SourceProgram,
    name: string,
    constant: (unit: Unit, node: ts.Expression) => bigint,
    debug = false,
  ) {
    super(source);
    this.module = new Module(name);
    this.module.files = source.files.map((file) => source.relative(file));
    this.resolver = new Resolver(this, (node) => constant(this, node));
    this.debugTypes = debug ? new DebugTypes(this, this.resolver) : null;
    this.#findAmbiguousNames();
  }

  // ---- names
  /** Names that two modules declare. A class's methods are distinguished by the class. */
  #findAmbiguousNames(): void {
    const seen = new Set<string>();
    const add = (name: string): void => void (seen.has(name) ? this.#ambiguous.add(name) : seen.add(name));
    for (const file of this.source.files) {
      for (const statement of file.statements) {
        if (ts.isFunctionDeclaration(statement) && statement.body && statement.name) add(statement.name.text);
        else if (ts.isClassDeclaration(statement) && statement.name) add(statement.name.text);
        else if (ts.isVariableStatement(statement) && !isDeclared(statement))
          for (const d of statement.declarationList.declarations) if (ts.isIdentifier(d.name)) add(d.name.text);
      }
    }
  }
  /** The plain name, prefixed by its module's path if another module declares the same name. */
  uniqueName(plain: string, topLevelName: string, node: ts.Node): string {
    if (!this.#ambiguous.has(topLevelName)) return plain;
    return `${this.source.relative(node.getSourceFile()).replace(/\.ts$/, "")}.${plain}`;
  }
  /** Checks that no two definitions have the same link name. */
  #claim(linkName: string, node: ts.Node): void {
    const owner = this.#owners.get(linkName);
    if (owner && owner !== node) {
      const instead = 'another name, or attr({ symbol: "…" }),';
      const at = this.source.position(owner.getSourceFile(), owner.getStart());
      this.report(
        node,
        "MG0002",
        `link name '${linkName}' is taken by ${at.file}:${at.line}; write ${instead} instead`,
      );
    } else this.#owners.set(linkName, node);
  }

  // ---- entities
  /** `environment` binds the function's own type parameters; the owner's are added. */
  functionEntity(declaration: FunctionNode, owner: Struct | null, own: TypeEnvironment): FunctionEntity {
    const typeArguments = [...own.values()];
    const key = `${owner ? structKey(owner) : ""}|${typeArguments.map(typeKey).join(",")}`;
    let byArguments = this.#functions.get(declaration);
    if (!byArguments) this.#functions.set(declaration, (byArguments = new Map()));
    const known = byArguments.get(key);
    if (known) return known;

    const name = declaration.name && ts.isIdentifier(declaration.name) ? declaration.name.text : "";
    const suffix = typeArguments.length > 0 ? `<${typeArguments.map(showType).join(", ")}>` : "";
    const sourceName = `${owner ? `${owner.name}.` : ""}${name}${suffix}`;
    if (sourceName.length > 500)
      this.refuse(declaration, "MG2019", `${name} has endlessly growing type arguments; write fixed ones instead`);
    const environment: TypeEnvironment = owner ? new Map([...owner.environment, ...own]) : own;
    const isStatic = declaration.modifiers?.some((m) => m.kind === ts.SyntaxKind.StaticKeyword) ?? false;
    const parameters = declaration.parameters.map((p) => this.resolver.parameterType(p, environment));
    if (owner && !isStatic) parameters.unshift(pointerTo({ kind: "struct", struct: owner }));
    const result = this.resolver.resultType(declaration, environment);
    const { attributes, symbol } = functionAttributes(this, declaration, result);
    const external = !declaration.body;
    const linkName =
      symbol ??
      (external ? name : this.uniqueName(sourceName, owner ? (owner.declaration.name?.text ?? "") : name, declaration));
    const entity: FunctionEntity = {
      declaration,
      owner,
      environment,
      linkName,
      sourceName,
      type: { kind: "function", parameters, result },
      attributes,
    };
    byArguments.set(key, entity);
    return entity;
  }
  /** Returns the link name of a function that code refers to, and requests that it be lowered. */
  request(entity: FunctionEntity): string {
    if (!this.checkOnly && entity.declaration.body && !this.#requested.has(entity)) {
      this.#requested.add(entity);
      this.#claim(entity.linkName, entity.declaration);
      this.pending.push(entity);
    }
    return entity.linkName;
  }
  wasRequested(declaration: FunctionNode): boolean {
    return [...(this.#functions.get(declaration)?.values() ?? [])].some((e) => this.#requested.has(e));
  }
  variableEntity(declaration: ts.VariableDeclaration): VariableEntity {
    const known = this.#variables.get(declaration);
    if (known) return known;
    const name = ts.isIdentifier(declaration.name) ? declaration.name.text : "";
    const statement = declaration.parent.parent;
    const external = ts.isVariableStatement(statement) && isDeclared(statement);
    const tags = ts.isVariableStatement(statement) ? variableTags(this, statement) : null;
    const linkName = tags?.symbol ?? (external ? name : this.uniqueName(name, name, declaration));
    const isConst = (declaration.parent.flags & ts.NodeFlags.Const) !== 0;
    const entity: VariableEntity = {
      declaration,
      isConst,
      linkName,
      type: null,
      constant: null,
      external,
      requested: false,
    };
    this.#variables.set(declaration, entity);
    if (!external) this.#claim(linkName, declaration);
    return entity;
  }
  /** Returns the link name of a variable to whose storage code refers, and requests its data. */
  requestVariable(entity: VariableEntity): string {
    if (!this.checkOnly && !entity.external && !entity.requested) {
      entity.requested = true;
      this.pending.push(entity);
    }
    return entity.linkName;
  }
  /** The link name of a pooled string with its NUL. */
  string(text: string): string {
    const known = this.#strings.get(text);
    if (known) return known.name;
    const bytes = new TextEncoder().encode(`${text}\0`);
    const name = this.checkOnly ? "str.unused" : `str.${this.#strings.size}`;
    const data: Data = {
      name,
      sourceName: name,
      section: ".rodata",
      align: 1,
      size: bytes.length,
      bytes,
      relocations: [],
      readonly: true,
      keep: false,
      loc: NO_LOC,
    };
    if (!this.checkOnly) {
      this.#strings.set(text, data);
      this.module.data.set(name, data);
    }
    return name;
  }
}

/** Name of the intrinsic that a call uses; null for other calls. */
export function intrinsicName(unit: Unit, node: ts.CallExpression): string | null {
  if (!ts.isIdentifier(node.expression)) return null;
  const declaration = unit.source.symbol(node.expression)?.valueDeclaration;
  return declaration && ts.isFunctionDeclaration(declaration) && unit.source.isPrelude(declaration)
    ? node.expression.text
    : null;
}
