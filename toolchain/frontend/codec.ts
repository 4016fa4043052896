/**
 * Bootstrap codec generator: prints the layouts and constants of subset modules as typed accessors for node.
 * Works on syntax alone (literal constants, enums, classes of fixed layout, literal tables).
 */
import ts from "typescript";

type Layout = { size: number; align: number };
const SCALARS: Record<string, [number, string]> = {
  u8: [1, "Uint8"], i8: [1, "Int8"], u16: [2, "Uint16"], i16: [2, "Int16"], u32: [4, "Uint32"], i32: [4, "Int32"],
  u64: [8, "BigUint64"], i64: [8, "BigInt64"], usize: [8, "BigUint64"], f64: [8, "Float64"], boolean: [1, "Uint8"],
};

function literal(node: ts.Expression, enums: Map<string, bigint>, file: ts.SourceFile): bigint {
  if (ts.isNumericLiteral(node)) return BigInt(node.getText(file).replace(/_/g, ""));
  if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.MinusToken) return -literal(node.operand, enums, file);
  if (ts.isPropertyAccessExpression(node)) {
    const value = enums.get(node.getText(file));
    if (value !== undefined) return value;
  }
  throw new Error(`codec: not a constant: ${node.getText(file)}`);
}
const num = (v: bigint): string => (v > 9007199254740991n || v < -9007199254740991n ? `0x${BigInt.asUintN(64, v).toString(16)}n` : v > 9n ? `0x${v.toString(16)}` : `${v}`);

/** The generated text of one module. */
export function generateCodec(name: string, text: string): string {
  const file = ts.createSourceFile(`${name}.ts`, text, ts.ScriptTarget.ES2022, true);
  const enums = new Map<string, bigint>();
  const layouts = new Map<string, Layout>();
  const out = [`// Generated from kernel/abi/${name}.ts. Do not edit.`];
  const typeLayout = (type: ts.TypeNode): Layout => {
    if (ts.isTypeReferenceNode(type)) {
      const id = type.typeName.getText(file);
      const scalar = SCALARS[id];
      if (scalar) return { size: scalar[0], align: scalar[0] };
      if (id === "ptr") return { size: 8, align: 8 };
      const args = type.typeArguments;
      if (id === "arr" && args?.[0] && args[1]) {
        const e = typeLayout(args[0]);
        return { size: e.size * Number(args[1].getText(file)), align: e.align };
      }
      const known = layouts.get(id);
      if (known) return known;
    }
    if (ts.isUnionTypeNode(type) || ts.isFunctionTypeNode(type)) return { size: 8, align: 8 };
    if (type.kind === ts.SyntaxKind.BooleanKeyword) return { size: 1, align: 1 };
    throw new Error(`codec: no layout: ${type.getText(file)}`);
  };
  const value = (node: ts.Expression): string => {
    if (ts.isArrayLiteralExpression(node)) return `[${node.elements.map(value).join(", ")}]`;
    if (ts.isObjectLiteralExpression(node))
      return `{ ${node.properties.map((p) => (ts.isPropertyAssignment(p) ? `${p.name.getText(file)}: ${value(p.initializer)}` : "")).join(", ")} }`;
    if (ts.isCallExpression(node) && node.expression.getText(file) === "cstr") return node.arguments[0]?.getText(file) ?? "";
    if (node.kind === ts.SyntaxKind.NullKeyword) return "null";
    return num(literal(node, enums, file));
  };
  for (const s of file.statements) {
    if (ts.isEnumDeclaration(s)) {
      const rows = s.members.map((m) => {
        const v = literal(m.initializer as ts.Expression, enums, file);
        enums.set(`${s.name.text}.${m.name.getText(file)}`, v);
        return [m.name.getText(file), v] as const;
      });
      const id = s.name.text;
      out.push(`export const ${id} = { ${rows.map(([k, v]) => `${k}: ${num(v)}`).join(", ")} } as const;`);
      out.push(`/** Names by value. */\nexport const ${id}Names: ReadonlyMap<number, string> = new Map([${rows.map(([k, v]) => `[${num(v)}, "${k}"]`).join(", ")}]);`);
    } else if (ts.isVariableStatement(s)) {
      for (const d of s.declarationList.declarations) if (d.initializer) out.push(`export const ${d.name.getText(file)} = ${value(d.initializer)}${ts.isArrayLiteralExpression(d.initializer) ? " as const" : ""};`);
    } else if (ts.isClassDeclaration(s) && s.name) {
      let offset = 0;
      let align = 1;
      const body: string[] = [];
      const offsets: string[] = [];
      for (const m of s.members) {
        if (!ts.isPropertyDeclaration(m) || !m.type) continue;
        const l = typeLayout(m.type);
        align = Math.max(align, l.align);
        offset = Math.ceil(offset / l.align) * l.align;
        const id = m.name.getText(file);
        offsets.push(`${id}: ${offset}`);
        const ref = m.type.getText(file);
        const scalar = ts.isTypeReferenceNode(m.type) ? SCALARS[ref] : undefined;
        const at = `this.offset + ${offset}`;
        const access = (sc: [number, string], where: string, v?: string): string => (v ? `this.view.set${sc[1]}(${where}, ${v}${sc[0] > 1 ? ", true" : ""})` : `this.view.get${sc[1]}(${where}${sc[0] > 1 ? ", true" : ""})`);
        const js = (sc: [number, string]): string => (sc[1].startsWith("Big") ? "bigint" : "number");
        if (scalar) body.push(`  get ${id}(): ${js(scalar)} { return ${access(scalar, at)}; }\n  set ${id}(v: ${js(scalar)}) { ${access(scalar, at, "v")}; }`);
        else if (ts.isTypeReferenceNode(m.type) && m.type.typeName.getText(file) === "arr") {
          const element = m.type.typeArguments?.[0]?.getText(file) ?? "";
          const sc = SCALARS[element] ?? (element.startsWith("ptr") ? SCALARS.u64 : undefined);
          const el = typeLayout(m.type.typeArguments?.[0] as ts.TypeNode);
          if (element === "u8") body.push(`  get ${id}(): Uint8Array { return new Uint8Array(this.view.buffer, this.view.byteOffset + ${at}, ${l.size}); }`);
          else if (sc) body.push(`  ${id}(i: number): ${js(sc)} { return ${access(sc, `${at} + i * ${el.size}`)}; }\n  ${id}Set(i: number, v: ${js(sc)}): void { ${access(sc, `${at} + i * ${el.size}`, "v")}; }`);
          else body.push(`  ${id}(i: number): ${element} { return new ${element}(this.view, ${at} + i * ${el.size}); }`);
        } else if (ts.isTypeReferenceNode(m.type) && layouts.has(ref)) body.push(`  get ${id}(): ${ref} { return new ${ref}(this.view, ${at}); }`);
        else body.push(`  get ${id}(): bigint { return ${access(SCALARS.u64 as [number, string], at)}; }\n  set ${id}(v: bigint) { ${access(SCALARS.u64 as [number, string], at, "v")}; }`);
        offset += l.size;
      }
      const size = Math.ceil(offset / align) * align;
      layouts.set(s.name.text, { size, align });
      out.push(`export class ${s.name.text} {\n  static readonly SIZE = ${size};\n  static readonly OFFSETS = { ${offsets.join(", ")} } as const;\n  constructor(readonly view: DataView, readonly offset = 0) {}\n${body.join("\n")}\n}`);
    }
  }
  return `${out.join("\n")}\n`;
}
