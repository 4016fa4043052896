/**
 * The state of lowering one function, or of evaluating one constant expression (no builder: whatever would need an instruction
 * is refused as "not a constant").
 */
import type { Block } from "../ir/ir.ts";
import { Builder } from "../ir/builder.ts";
import type { ts } from "./adapter.ts";
import type { MachineType, Struct, TypeEnvironment } from "./types.ts";
import { excerpt, type FunctionEntity, type Unit } from "./unit.ts";
import type { Place, Value } from "./values.ts";

/** A local variable or parameter: storage, or a value that never changes; null: its declaration was refused. */
export type Local = { readonly place: Place } | { readonly value: Value } | null;

/** What break and continue can leave. */
export interface Target {
  readonly label: string | null;
  readonly breakTo: Block;
  /** Null for switch and labelled blocks. */
  readonly continueTo: Block | null;
}

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
  #locNode: ts.Node | null = null;

  constructor(unit: Unit, environment: TypeEnvironment, owner: Struct | null, entity: FunctionEntity | null, builder: Builder | null) {
    this.unit = unit;
    this.environment = environment;
    this.owner = owner;
    this.entity = entity;
    this.builder = builder;
  }
  static constant(unit: Unit, environment: TypeEnvironment = new Map(), owner: Struct | null = null): Lowering {
    return new Lowering(unit, environment, owner, null, null);
  }

  /** The builder, positioned at a node of the source. */
  emit(node: ts.Node): Builder {
    this.unit.currentNode = node;
    if (!this.builder) return this.unit.refuse(node, "MG3001", `${excerpt(node)} is not known at compile time; write a constant instead`);
    if (this.#locNode !== node) {
      this.#locNode = node;
      this.builder.loc = this.unit.locOf(node);
    }
    return this.builder;
  }
  type(node: ts.TypeNode): MachineType {
    return this.unit.resolver.type(node, this.environment);
  }

  /** The type that an expression will have, without leaving any trace of lowering it. Null where it is refused. */
  dryType(node: ts.Expression, lower: (ctx: Lowering, node: ts.Expression) => Value): MachineType | null {
    const { unit, builder } = this;
    const reported = unit.diagnostics.length;
    const checkOnly = unit.checkOnly;
    unit.checkOnly = true;
    let scratch: Lowering = this;
    if (builder) {
      const func = { ...builder.func, blocks: [], nextId: 0 };
      scratch = new Lowering(unit, this.environment, this.owner, this.entity, new Builder(func));
      for (const [symbol, local] of this.locals) scratch.locals.set(symbol, local);
      scratch.thisValue = this.thisValue;
    }
    try {
      return lower(scratch, node).type;
    } catch {
      return null;
    } finally {
      unit.diagnostics.length = reported;
      unit.checkOnly = checkOnly;
    }
  }
}
