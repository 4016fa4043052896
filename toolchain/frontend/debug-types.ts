/**
 * Machine types for debuggers (../link/debug.ts), one entry per type. They are made from annotations if possible,
 * because only annotations name enums and aliases; otherwise from the machine type. The members of a struct are its
 * fields at their offsets, its base's fields first (a base is a prefix, and its fields are members like any other).
 * Structs are filled in last, when every layout is known.
 */
import type { DebugType } from "../link/debug.ts";
import { ts } from "./adapter.ts";
import { Refused } from "./diagnostics.ts";
import type { Reporter } from "./report.ts";
import type { Resolver } from "./resolve.ts";
import { type MachineType, sizeOf, type Struct, type TypeEnvironment, typeKey } from "./types.ts";

const VOID = -1;
const textKey = (node: ts.TypeNode): string => `${node.getSourceFile().fileName}:${node.getText()}`;

export class DebugTypes {
  readonly #reporter: Reporter;
  readonly #resolver: Resolver;
  readonly #types: DebugType[] = [];
  readonly #known = new Map<string, number>();
  readonly #named = new Map<ts.Declaration, Map<string, number>>();
  /** By text, for annotations without type parameters: within a file, equal texts mean equal types. */
  readonly #byText = new Map<string, number>();
  readonly #structs: { readonly index: number; readonly struct: Struct }[] = [];

  constructor(reporter: Reporter, resolver: Resolver) {
    this.#reporter = reporter;
    this.#resolver = resolver;
  }

  /** The type of an annotation that the resolver has accepted; -1 = void. */
  ofNode(node: ts.TypeNode, environment: TypeEnvironment): number {
    // With type parameters in force, one annotation has many types.
    const isPlain = environment.size === 0;
    const known = isPlain ? this.#byText.get(textKey(node)) : undefined;
    if (known !== undefined) return known;
    const type = this.#ofNode(node, environment);
    if (isPlain) this.#byText.set(textKey(node), type);
    return type;
  }
  #ofNode(node: ts.TypeNode, environment: TypeEnvironment): number {
    if (ts.isParenthesizedTypeNode(node)) return this.ofNode(node.type, environment);
    if (ts.isTypeOperatorNode(node)) return this.ofNode(node.type, environment);
    if (ts.isUnionTypeNode(node)) {
      const only = node.types.find((t) => !(ts.isLiteralTypeNode(t) && t.literal.kind === ts.SyntaxKind.NullKeyword));
      if (only) return this.ofNode(only, environment);
    }
    if (ts.isFunctionTypeNode(node)) {
      const parameters = node.parameters.map((p) => (p.type ? this.ofNode(p.type, environment) : VOID));
      return this.#pointer(this.#function(this.ofNode(node.type, environment), parameters));
    }
    return (
      (ts.isTypeReferenceNode(node) ? this.#reference(node, environment) : null) ??
      this.ofType(this.#machine(node, environment))
    );
  }

  /** The type of an enum. With `finish` it is described even if nothing has the type. */
  ofEnum(declaration: ts.EnumDeclaration): number {
    return this.#enum(declaration);
  }

  ofType(type: MachineType): number {
    switch (type.kind) {
      case "int":
        return this.#add({
          kind: "base",
          name: type.name,
          bytes: type.width / 8,
          encoding: type.signed ? "signed" : "unsigned",
        });
      case "bool":
        return this.#add({ kind: "base", name: "boolean", bytes: 1, encoding: "boolean" });
      case "f64":
      case "untypedFloat":
        return this.#add({ kind: "base", name: "f64", bytes: 8, encoding: "float" });
      case "untyped":
        return this.#add({ kind: "base", name: "i64", bytes: 8, encoding: "signed" });
      case "pointer":
        return this.#pointer(this.ofType(type.target));
      case "null":
        return this.#pointer(VOID);
      case "function":
        return this.#pointer(
          this.#function(
            this.ofType(type.result),
            type.parameters.map((p) => this.ofType(p)),
          ),
        );
      case "array":
        return this.#add({ kind: "array", element: this.ofType(type.element), count: type.count });
      case "struct":
        return this.#struct(type.struct);
      default:
        return VOID;
    }
  }

  /** Size of a scalar, bytes; 8 for pointers. */
  bytesOf(index: number): number {
    const type = this.#types[index];
    switch (type?.kind) {
      case "base":
        return type.bytes;
      case "enum":
        return this.bytesOf(type.base);
      case "typedef":
        return this.bytesOf(type.target);
      default:
        return 8;
    }
  }

  /** All types, with structs filled in. No type may be requested afterwards. */
  finish(): DebugType[] {
    for (let i = 0; i < this.#structs.length; i++) {
      const { index, struct } = this.#structs[i];
      this.#types[index] = this.#described(struct);
    }
    return this.#types;
  }

  // ---- names

  #reference(node: ts.TypeReferenceNode, environment: TypeEnvironment): number | null {
    const name = ts.isIdentifier(node.typeName) ? node.typeName : node.typeName.right;
    const symbol = this.#reporter.source.symbol(name);
    const declaration = symbol?.declarations?.[0];
    if (!symbol || !declaration || environment.has(symbol)) return null;
    if (this.#reporter.source.isPrelude(declaration)) {
      const [first, second] = node.typeArguments ?? [];
      if (name.text === "ptr" && first) return this.#pointer(this.ofNode(first, environment));
      const array = name.text === "arr" && first && second ? this.#machine(node, environment) : null;
      if (first && array?.kind === "array")
        return this.#add({ kind: "array", element: this.ofNode(first, environment), count: array.count });
      return null;
    }
    if (ts.isEnumDeclaration(declaration)) return this.#enum(declaration);
    if (ts.isEnumMember(declaration)) return this.#enum(declaration.parent);
    if (ts.isTypeAliasDeclaration(declaration)) {
      const given = (node.typeArguments ?? []).map((t) => this.#machine(t, environment));
      const bound = this.#resolver.bind(declaration.typeParameters, given, node);
      const text =
        given.length > 0 ? `${name.text}<${(node.typeArguments ?? []).map((t) => t.getText()).join(", ")}>` : name.text;
      return this.#declared(declaration, given.map(typeKey).join(), () => ({
        kind: "typedef",
        name: text,
        target: this.ofNode(declaration.type, bound),
      }));
    }
    return null;
  }

  #enum(declaration: ts.EnumDeclaration): number {
    const resolver = this.#resolver;
    return this.#declared(declaration, "", () => ({
      kind: "enum",
      name: declaration.name.text,
      base: this.ofType(resolver.enumType(declaration)),
      values: declaration.members.map((m) => ({ name: m.name.getText(), value: resolver.enumMember(m) })),
    }));
  }

  #struct(struct: Struct): number {
    return this.#declared(struct.declaration, typeKey({ kind: "struct", struct }), (index) => {
      this.#structs.push({ index, struct });
      return { kind: "struct", name: struct.name, bytes: 0, members: [], file: -1, line: 0 };
    });
  }
  #described(struct: Struct): DebugType {
    const reporter = this.#reporter;
    // A struct that only pointers name may never have been laid out; errors in its layout are ignored here.
    const reported = reporter.diagnostics.length;
    try {
      this.#resolver.complete(struct, struct.declaration);
    } catch (e) {
      if (!(e instanceof Refused)) throw e;
    }
    reporter.diagnostics.length = reported;
    const members = [...struct.fields.values()].map(({ name, type, offset, declaration, owner }) => ({
      name,
      type: declaration.type ? this.ofNode(declaration.type, owner.environment) : this.ofType(type),
      offset,
    }));
    const { file, line } = reporter.locOf(struct.declaration);
    return { kind: "struct", name: struct.name, bytes: sizeOf({ kind: "struct", struct }), members, file, line };
  }

  // ---- the table

  #machine(node: ts.TypeNode, environment: TypeEnvironment): MachineType {
    return this.#resolver.type(node, environment);
  }
  #pointer(target: number): number {
    return this.#add({ kind: "pointer", target });
  }
  #function(result: number, parameters: readonly number[]): number {
    return this.#add({ kind: "function", result, parameters });
  }
  #add(type: DebugType): number {
    const key = JSON.stringify(type);
    let index = this.#known.get(key);
    if (index === undefined) this.#known.set(key, (index = this.#types.push(type) - 1));
    return index;
  }
  /**
   * Types with a declaration, identified by the declaration and their type arguments. The entry exists before `make`
   * resolves other types.
   */
  #declared(declaration: ts.Declaration, key: string, make: (index: number) => DebugType): number {
    let byArguments = this.#named.get(declaration);
    if (byArguments === undefined) this.#named.set(declaration, (byArguments = new Map()));
    let index = byArguments.get(key);
    if (index === undefined) {
      index = this.#types.push({ kind: "pointer", target: VOID }) - 1;
      byArguments.set(key, index);
      this.#types[index] = make(index);
    }
    return index;
  }
}
