/**
 * From type annotations to machine types, with the type parameters in force; struct layout; enum values.
 * Type nodes are read as written: nothing here asks TypeScript for an inferred or narrowed type.
 */
import { type FunctionNode, ts } from "./adapter.ts";
import { fieldAlignment, structAttributes } from "./attributes.ts";
import { Refused } from "./diagnostics.ts";
import { excerpt, type Reporter } from "./report.ts";
import {
  alignOf,
  arrayOf,
  BOOL,
  ERROR,
  F64,
  type Field,
  INTEGERS,
  isAggregate,
  isScalar,
  type MachineType,
  NEVER,
  pointerTo,
  showType,
  sizeOf,
  type Struct,
  type TypeEnvironment,
  typeKey,
  VOID,
} from "./types.ts";

/** Most bytes of one struct or array. */
const SIZE_MAX = 2 ** 31;

export class Resolver {
  readonly #reporter: Reporter;
  readonly #constant: (node: ts.Expression) => bigint;
  readonly #structs = new Map<ts.ClassDeclaration, Map<string, Struct>>();
  readonly #enums = new Map<ts.EnumDeclaration, MachineType>();
  readonly #members = new Map<ts.EnumMember, bigint | null>();
  #aliasDepth = 0;

  /** `constant`: evaluates an expression that must be constant. */
  constructor(reporter: Reporter, constant: (node: ts.Expression) => bigint) {
    this.#reporter = reporter;
    this.#constant = constant;
  }

  /** The machine type of a type annotation. */
  type(node: ts.TypeNode, environment: TypeEnvironment): MachineType {
    switch (node.kind) {
      case ts.SyntaxKind.BooleanKeyword:
        return BOOL;
      case ts.SyntaxKind.VoidKeyword:
      case ts.SyntaxKind.UnknownKeyword:
        return VOID;
      case ts.SyntaxKind.NeverKeyword:
        return NEVER;
      case ts.SyntaxKind.NumberKeyword:
        return this.#reporter.refuse(node, "MG2009", "number has no width; write i64, u32, … instead");
      case ts.SyntaxKind.StringKeyword:
        return this.#reporter.refuse(node, "MG1007", "there are no string values; write ptr<u8> instead");
    }
    if (ts.isParenthesizedTypeNode(node)) return this.type(node.type, environment);
    if (ts.isUnionTypeNode(node)) return this.#union(node, environment);
    if (ts.isFunctionTypeNode(node)) {
      if (node.typeParameters)
        this.#reporter.refuse(node, "MG2008", "a function pointer has no type parameters; write the types instead");
      return {
        kind: "function",
        parameters: node.parameters.map((p) => this.parameterType(p, environment)),
        result: this.type(node.type, environment),
      };
    }
    if (ts.isTypeReferenceNode(node)) return this.#reference(node, environment);
    if (ts.isLiteralTypeNode(node) && ts.isNumericLiteral(node.literal))
      return this.#count(node, this.#constant(node.literal));
    if (ts.isTypeQueryNode(node) && ts.isIdentifier(node.exprName))
      return this.#count(node, this.#constant(node.exprName));
    if (ts.isTypeOperatorNode(node) && node.operator === ts.SyntaxKind.ReadonlyKeyword)
      return this.type(node.type, environment);
    if (ts.isArrayTypeNode(node) || ts.isTupleTypeNode(node)) {
      return this.#reporter.refuse(
        node,
        "MG2008",
        `${excerpt(node)} has no fixed size; write arr<T, N>, or for a parameter ptr<T> and a count, instead`,
      );
    }
    const instead = "an integer, f64, boolean, ptr<T>, arr<T, N>, a function type or a class";
    return this.#reporter.refuse(node, "MG2008", `${excerpt(node)} is no machine type; write ${instead} instead`);
  }
  #count(node: ts.Node, value: bigint): MachineType {
    if (value < 0n || value > BigInt(SIZE_MAX))
      this.#reporter.refuse(node, "MG3005", `${value} is no count of elements; write 0 … ${SIZE_MAX} instead`);
    return { kind: "count", value: Number(value) };
  }
  #union(node: ts.UnionTypeNode, environment: TypeEnvironment): MachineType {
    const isNull = (t: ts.TypeNode): boolean => ts.isLiteralTypeNode(t) && t.literal.kind === ts.SyntaxKind.NullKeyword;
    const others = node.types.filter((t) => !isNull(t));
    const only = others[0];
    if (others.length !== 1 || !only)
      return this.#reporter.refuse(
        node,
        "MG2010",
        `${excerpt(node)} is a union; write one type, or ptr<T> | null, instead`,
      );
    const type = this.type(only, environment);
    if (type.kind !== "pointer" && type.kind !== "function")
      this.#reporter.refuse(node, "MG2010", `only pointers can be null; write ptr<${showType(type)}> | null instead`);
    return type;
  }
  #reference(node: ts.TypeReferenceNode, environment: TypeEnvironment): MachineType {
    const name = ts.isIdentifier(node.typeName) ? node.typeName : node.typeName.right;
    const symbol = this.#reporter.source.symbol(name);
    const declaration = symbol?.declarations?.[0];
    if (!symbol || !declaration) return this.unknown(name);
    const bound = environment.get(symbol);
    if (bound) return bound;
    if (this.#reporter.source.isPrelude(declaration)) return this.#prelude(node, name.text, environment);
    const typeArguments = (node.typeArguments ?? []).map((t) => this.type(t, environment));
    if (ts.isClassDeclaration(declaration))
      return { kind: "struct", struct: this.struct(declaration, typeArguments, node) };
    if (ts.isEnumDeclaration(declaration)) return this.enumType(declaration);
    if (ts.isEnumMember(declaration)) return this.enumType(declaration.parent);
    if (ts.isTypeAliasDeclaration(declaration)) {
      if (this.#aliasDepth > 32)
        return this.#reporter.refuse(node, "MG2019", `${name.text} refers to itself; write a class instead`);
      this.#aliasDepth++;
      try {
        return this.type(declaration.type, this.bind(declaration.typeParameters, typeArguments, node));
      } finally {
        this.#aliasDepth--;
      }
    }
    if (ts.isInterfaceDeclaration(declaration))
      return this.#reporter.refuse(node, "MG1017", `${name.text} is an interface; write a class instead`);
    return this.#reporter.refuse(
      node,
      "MG2008",
      `${excerpt(node)} is no machine type; write a class or a prelude type instead`,
    );
  }
  #prelude(node: ts.TypeReferenceNode, name: string, environment: TypeEnvironment): MachineType {
    const integer = INTEGERS[name];
    if (integer) return integer;
    if (name === "f64") return F64;
    const [first, second] = node.typeArguments ?? [];
    if (name === "ptr" && first) return pointerTo(this.type(first, environment));
    if (name === "NoInfer" && first) return this.type(first, environment);
    if (name === "arr" && first && second) {
      const element = this.type(first, environment);
      const count = this.type(second, environment);
      if (element.kind === "error" || count.kind === "error") return ERROR;
      if (count.kind !== "count")
        return this.#reporter.refuse(
          second,
          "MG2008",
          `${excerpt(second)} is no count of elements; write a number instead`,
        );
      if (!isScalar(element) && !isAggregate(element))
        return this.#reporter.refuse(
          first,
          "MG2008",
          `${showType(element)} cannot be an element; write a type with a size instead`,
        );
      if (this.sizeOf(element, first) * count.value > SIZE_MAX)
        return this.#reporter.refuse(
          node,
          "MG3005",
          `${excerpt(node)} has more than ${SIZE_MAX} bytes; write a smaller array instead`,
        );
      return arrayOf(element, count.value);
    }
    return this.#reporter.refuse(
      node,
      "MG2008",
      `${excerpt(node)} is no machine type; write a class or a machine type instead`,
    );
  }
  /** A name that TypeScript does not know and has already reported. */
  unknown(node: ts.Node): never {
    if (!this.#reporter.hasSourceErrors)
      this.#reporter.report(node, "MG1023", `${excerpt(node)} is not known here; write a declared name instead`);
    throw new Refused();
  }

  bind(
    parameters: readonly ts.TypeParameterDeclaration[] | undefined,
    values: readonly MachineType[],
    node: ts.Node,
  ): TypeEnvironment {
    const environment = new Map<ts.Symbol, MachineType>();
    (parameters ?? []).forEach((p, i) => {
      const symbol = this.#reporter.source.symbol(p.name);
      const value = values[i];
      if (!value)
        this.#reporter.refuse(
          node,
          "MG2018",
          `type argument ${p.name.text} is missing; write ${excerpt(node, 20)}<…> instead`,
        );
      if (symbol) environment.set(symbol, value);
    });
    return environment;
  }

  parameterType(p: ts.ParameterDeclaration, environment: TypeEnvironment): MachineType {
    if (p.dotDotDotToken || p.questionToken || p.initializer) {
      const instead = `${excerpt(p.name)}: ${p.type ? excerpt(p.type) : "T"}, and its value in every call,`;
      this.#reporter.refuse(p, "MG1015", `parameter ${excerpt(p)} may be left out of calls; write ${instead} instead`);
    }
    if (!ts.isIdentifier(p.name))
      this.#reporter.refuse(p, "MG1006", "destructured parameter; write a named one instead");
    if (!p.type)
      return this.#reporter.refuse(
        p,
        "MG2011",
        `parameter ${excerpt(p.name)} has no type; write ${excerpt(p.name)}: u64, say, instead`,
      );
    const type = this.type(p.type, environment);
    if (isAggregate(type))
      this.#reporter.refuse(
        p.type,
        "MG2007",
        `${showType(type)} is not passed by value; write ptr<${showType(type)}> instead`,
      );
    if (!isScalar(type) && type.kind !== "error")
      this.#reporter.refuse(
        p.type,
        "MG2008",
        `${showType(type)} is no type of a parameter; write a scalar or pointer instead`,
      );
    return type;
  }
  resultType(f: FunctionNode, environment: TypeEnvironment): MachineType {
    const name = f.name ? excerpt(f.name) : "function";
    if (!f.type)
      return this.#reporter.refuse(
        f.name ?? f,
        "MG2011",
        `${name} has no result type; write ${name}(…): u64, say, or : void, instead`,
      );
    const type = this.type(f.type, environment);
    if (isAggregate(type))
      this.#reporter.refuse(
        f.type,
        "MG2007",
        `${showType(type)} is not returned by value; write a parameter ptr<${showType(type)}> instead`,
      );
    return type;
  }

  // ---- structs
  struct(declaration: ts.ClassDeclaration, typeArguments: readonly MachineType[], node: ts.Node): Struct {
    const key = typeArguments.map(typeKey).join(",");
    let byArguments = this.#structs.get(declaration);
    if (!byArguments) this.#structs.set(declaration, (byArguments = new Map()));
    const known = byArguments.get(key);
    if (known) return known;
    const environment = this.bind(declaration.typeParameters, typeArguments, node);
    const plain = declaration.name?.text ?? "class";
    const name = typeArguments.length > 0 ? `${plain}<${typeArguments.map(showType).join(", ")}>` : plain;
    if (name.length > 400)
      this.#reporter.refuse(node, "MG2019", `${plain} has endlessly growing type arguments; write fixed ones instead`);
    const struct: Struct = {
      name,
      declaration,
      arguments: typeArguments,
      environment,
      state: "new",
      base: null,
      fields: new Map(),
      size: 0,
      align: 1,
    };
    byArguments.set(key, struct);
    struct.base = this.#base(struct);
    return struct;
  }
  /** Lays out the fields of a struct: the base's as a prefix, then its own in order, each at its alignment. */
  complete(struct: Struct, node: ts.Node): Struct {
    if (struct.state === "done") return struct;
    if (struct.state === "busy")
      this.#reporter.refuse(node, "MG2019", `${struct.name} contains itself; write ptr<${struct.name}> instead`);
    struct.state = "busy";
    const { packed, align } = structAttributes(this.#reporter, struct.declaration);
    let offset = 0;
    if (struct.base) {
      this.complete(struct.base, node);
      offset = struct.base.size;
      struct.align = struct.base.align;
      for (const [name, field] of struct.base.fields) struct.fields.set(name, field);
    }
    try {
      for (const member of struct.declaration.members) {
        if (!ts.isPropertyDeclaration(member)) continue;
        const field = this.#field(struct, member, offset, packed);
        if (!field) continue;
        struct.fields.set(field.name, field);
        struct.align = Math.max(
          struct.align,
          packed
            ? fieldAlignment(this.#reporter, member)
            : Math.max(alignOf(field.type), fieldAlignment(this.#reporter, member)),
        );
        offset = field.offset + sizeOf(field.type);
        if (offset > SIZE_MAX)
          this.#reporter.refuse(
            member,
            "MG3005",
            `${struct.name} has more than ${SIZE_MAX} bytes; write a smaller struct instead`,
          );
      }
    } finally {
      struct.align = Math.max(struct.align, align);
      struct.size = Math.ceil(offset / struct.align) * struct.align;
      struct.state = "done";
    }
    return struct;
  }
  #base(struct: Struct): Struct | null {
    for (const clause of struct.declaration.heritageClauses ?? []) {
      const first = clause.types[0];
      if (clause.token !== ts.SyntaxKind.ExtendsKeyword || !first) {
        this.#reporter.report(
          clause,
          "MG1017",
          "implements has no meaning for structs; write extends for a prefix, or nothing, instead",
        );
        continue;
      }
      const declaration = ts.isIdentifier(first.expression)
        ? this.#reporter.source.symbol(first.expression)?.declarations?.[0]
        : undefined;
      if (!declaration || !ts.isClassDeclaration(declaration)) {
        this.#reporter.report(first, "MG1017", `${excerpt(first)} is no class; write a class of the program instead`);
        continue;
      }
      const typeArguments = (first.typeArguments ?? []).map((t) => this.type(t, struct.environment));
      const base = this.struct(declaration, typeArguments, first);
      for (let s: Struct | null = base; s; s = s.base) if (s === struct) return null;
      return base;
    }
    return null;
  }
  #field(struct: Struct, member: ts.PropertyDeclaration, offset: number, packed: boolean): Field | null {
    try {
      if (member.modifiers?.some((m) => m.kind === ts.SyntaxKind.StaticKeyword)) return null;
      if (!ts.isIdentifier(member.name)) return null;
      const name = member.name.text;
      if (!member.type)
        this.#reporter.refuse(member, "MG2011", `field ${name} has no type; write ${name}: u64, say, instead`);
      const type = this.type(member.type, struct.environment);
      if (type.kind === "error") return null;
      if (!isScalar(type) && !isAggregate(type))
        this.#reporter.refuse(member.type, "MG2008", `${showType(type)} has no size; write a machine type instead`);
      if (type.kind === "struct") this.complete(type.struct, member.type);
      const align = Math.max(packed ? 1 : alignOf(type), fieldAlignment(this.#reporter, member));
      return { name, type, offset: Math.ceil(offset / align) * align, declaration: member, owner: struct };
    } catch (e) {
      if (e instanceof Refused) return null;
      throw e;
    }
  }
  /** The method and the struct that declares it: this struct or a base. */
  method(struct: Struct, name: string): { declaration: ts.MethodDeclaration; owner: Struct } | null {
    this.complete(struct, struct.declaration);
    for (let s: Struct | null = struct; s; s = s.base) {
      for (const member of s.declaration.members) {
        if (ts.isMethodDeclaration(member) && ts.isIdentifier(member.name) && member.name.text === name && member.body)
          return { declaration: member, owner: s };
      }
    }
    return null;
  }
  sizeOf(type: MachineType, node: ts.Node): number {
    this.#layOut(type, node);
    return sizeOf(type);
  }
  alignOf(type: MachineType, node: ts.Node): number {
    this.#layOut(type, node);
    return alignOf(type);
  }
  #layOut(type: MachineType, node: ts.Node): void {
    if (type.kind === "struct") this.complete(type.struct, node);
    else if (type.kind === "array") this.#layOut(type.element, node);
    else if (!isScalar(type))
      this.#reporter.refuse(node, "MG2008", `${showType(type)} has no size; write a machine type instead`);
  }

  // ---- enums
  /** The storage type of an enum: u32, or the narrowest of i32, u64, i64 that holds all members. */
  enumType(declaration: ts.EnumDeclaration): MachineType {
    const known = this.#enums.get(declaration);
    if (known) return known;
    const values = declaration.members.map((m) => this.enumMember(m));
    const low = values.reduce((a, b) => (b < a ? b : a), 0n);
    const high = values.reduce((a, b) => (b > a ? b : a), 0n);
    const name =
      low < 0n ? (low >= -(2n ** 31n) && high < 2n ** 31n ? "i32" : "i64") : high < 2n ** 32n ? "u32" : "u64";
    const type = INTEGERS[name] as MachineType;
    this.#enums.set(declaration, type);
    return type;
  }
  enumMember(member: ts.EnumMember): bigint {
    const known = this.#members.get(member);
    if (known === null)
      return this.#reporter.refuse(
        member,
        "MG3002",
        `${excerpt(member.name)} refers to itself; write a number instead`,
      );
    if (known !== undefined) return known;
    this.#members.set(member, null);
    let value = 0n;
    try {
      const index = member.parent.members.indexOf(member);
      const previous = member.parent.members[index - 1];
      if (member.initializer) value = this.#constant(member.initializer);
      else if (previous) value = this.enumMember(previous) + 1n;
      const seen = this.#reporter.source.enumValue(member);
      if (typeof seen === "number" && seen !== Number(value)) {
        this.#reporter.refuse(
          member,
          "MG3004",
          `${excerpt(member)} is ${value}, but TypeScript computes ${seen}; write the value in hex instead`,
        );
      }
    } finally {
      this.#members.set(member, value);
    }
    return value;
  }
}
