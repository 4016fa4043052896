/**
 * The state of lowering one function, or of evaluating one constant expression (then there is no builder, and whatever
 * needs an instruction is refused as "not a constant").
 */
import { Builder } from "../ir/builder.ts";
import type { Block, Instr, Scope } from "../ir/ir.ts";
import { ts } from "./adapter.ts";
import { excerpt } from "./report.ts";
import { irType, type MachineType, sizeOf, type Struct, type TypeEnvironment } from "./types.ts";
import type { FunctionEntity, Unit } from "./unit.ts";
import type { Place, Value } from "./values.ts";

/** A local variable or parameter: storage, or a value that never changes; null: its declaration was refused. */
export type Local = { readonly place: Place } | { readonly value: Value } | null;

/** A statement that break and continue can leave. */
export interface Target {
  readonly label: string | null;
  readonly breakTo: Block;
  /** Null for switch and labelled blocks. */
  readonly continueTo: Block | null;
}

/** Lowers an expression of any family: `expression` of expressions.ts. */
export type LowerExpression = (ctx: Lowering, node: ts.Expression, want: MachineType | null) => Value;

export class Lowering {
  readonly unit: Unit;
  readonly environment: TypeEnvironment;
  readonly owner: Struct | null;
  readonly entity: FunctionEntity | null;
  readonly builder: Builder | null;
  readonly locals = new Map<ts.Symbol, Local>();
  /** Innermost last. */
  readonly targets: Target[] = [];
  /** Variables that are assigned or whose address is taken: they need storage. */
  stored: ReadonlySet<ts.Symbol> = new Set();
  thisValue: Value | null = null;
  /** Label of the statement being lowered, for the loop that it names. */
  pendingLabel: string | null = null;
  readonly #lower: LowerExpression;
  #locNode: ts.Node | null = null;
  /** Innermost source scope at the current place; null: no debug information. */
  #scope: Scope | null = null;

  constructor(
    unit: Unit,
    lower: LowerExpression,
    environment: TypeEnvironment,
    owner: Struct | null,
    entity: FunctionEntity | null,
    builder: Builder | null,
  ) {
    this.unit = unit;
    this.#lower = lower;
    this.environment = environment;
    this.owner = owner;
    this.entity = entity;
    this.builder = builder;
  }
  /** A Lowering for an expression that must be a constant; it has no locals. */
  constant(environment: TypeEnvironment = new Map(), owner: Struct | null = null): Lowering {
    return new Lowering(this.unit, this.#lower, environment, owner, null, null);
  }

  /**
   * The value of an expression. `want` is the type that the context declares; it decides only what is open
   * (expressions.ts) and converts nothing.
   */
  expression(node: ts.Expression, want: MachineType | null = null): Value {
    return this.#lower(this, node, want);
  }

  /** The builder, positioned at a node of the source. */
  emit(node: ts.Node): Builder {
    this.unit.currentNode = node;
    if (!this.builder)
      return this.unit.refuse(
        node,
        "MG3001",
        `${excerpt(node)} is not known at compile time; write a constant instead`,
      );
    if (this.#locNode !== node) {
      this.#locNode = node;
      // Positions without a scope belong to the function's own scope.
      this.builder.loc = this.unit.locOf(node, this.#scope?.parent ? this.#scope : null);
    }
    return this.builder;
  }

  // ---- for debuggers
  /** Everything lowered in `work` belongs to a new scope, if the block declares variables. */
  within(declares: boolean, work: () => void): void {
    const outer = this.#scope;
    if (outer === null || !declares) return work();
    this.#scope = { parent: outer, function: outer.function, inlinedAt: null };
    this.#locNode = null;
    try {
      work();
    } finally {
      this.#scope = outer;
      this.#locNode = null;
    }
  }
  /** The function's own scope. */
  enter(scope: Scope): void {
    this.#scope = scope;
  }
  /**
   * From here on, the value of variable `name` is `watched`, or, if `indirect`, what is stored there. `typed`: its
   * annotation, if any. A constant is recorded as the instruction that would produce it.
   */
  declare(
    name: ts.Node,
    type: MachineType,
    typed: ts.TypeNode | undefined,
    watched: Instr | Value,
    indirect: boolean,
    parameter = -1,
  ): void {
    const { builder, unit } = this;
    const types = unit.debugTypes;
    if (this.#scope === null || builder === null || types === null) return;
    const index = typed ? types.ofNode(typed, this.environment) : types.ofType(type);
    const variable = {
      name: name.kind === ts.SyntaxKind.Identifier ? name.getText() : "this",
      type: index,
      loc: unit.locOf(name),
      scope: this.#scope,
      parameter,
    };
    const instr = "op" in watched ? watched : this.#constant(watched);
    if (instr) builder.debugValue(variable, instr, indirect, indirect ? sizeOf(type) : types.bytesOf(index));
  }
  #constant({ type, constant, float, symbol }: Value): Instr | null {
    const { builder } = this;
    if (builder === null) return null;
    if (symbol) return builder.debugSymbol(symbol.name, symbol.addend);
    const is = type.kind === "untypedFloat" || type.kind === "f64" ? "f64" : irType(type);
    if (is === "void" || (constant === undefined && float === undefined)) return null;
    return builder.debugConstant(is, is === "f64" ? (float ?? Number(constant)) : (constant as bigint));
  }

  type(node: ts.TypeNode): MachineType {
    return this.unit.resolver.type(node, this.environment);
  }

  /** The type that an expression will have, found without side effects. Null if it is refused. */
  dryType(node: ts.Expression): MachineType | null {
    const { unit, builder } = this;
    const reported = unit.diagnostics.length;
    const checkOnly = unit.checkOnly;
    unit.checkOnly = true;
    let scratch: Lowering = this;
    if (builder) {
      const func = { ...builder.func, blocks: [], nextId: 0 };
      scratch = new Lowering(unit, this.#lower, this.environment, this.owner, this.entity, new Builder(func));
      for (const [symbol, local] of this.locals) scratch.locals.set(symbol, local);
      scratch.thisValue = this.thisValue;
    }
    try {
      return scratch.expression(node).type;
    } catch {
      return null;
    } finally {
      unit.diagnostics.length = reported;
      unit.checkOnly = checkOnly;
    }
  }
}
