/**
 * Codec generation: prints the layouts and constants of subset modules as TypeScript for node, so that the emulator,
 * the services and the tests read the same facts as the kernel. A struct becomes a class of DataView accessors
 * (bigint where a number would round), an enum an object with its names by value, a constant a number or bigint, a
 * table an array of objects with its strings.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { SourceProgram, ts, unwrap } from "./adapter.ts";
import { type Diagnostic, Refused, sortDiagnostics } from "./diagnostics.ts";
import { constantExpression, constants } from "./expressions.ts";
import { globalConstant } from "./globals.ts";
import { tableRows } from "./initialise.ts";
import { excerpt } from "./report.ts";
import { checkModule } from "./structure.ts";
import { type Field, type MachineType, sizeOf } from "./types.ts";
import { intrinsicName, Unit } from "./unit.ts";
import path from "node:path";

const GENERATED = "// Generated from ";

/** Generates one module per file of `abiDir` into `outDir`. Writes nothing if the sources have errors. */
export function generateCodecs(
  abiDir: string,
  outDir: string,
  packageRoot = process.cwd(),
): { written: string[]; diagnostics: Diagnostic[] } {
  const names = readdirSync(abiDir)
    .filter((f) => f.endsWith(".ts"))
    .sort();
  const texts = new Map<string, string>();
  const roots = names.map((n) => path.resolve(abiDir, n));
  const diagnostics = print(new SourceProgram(roots, packageRoot), (file, text) => {
    if (roots.includes(file.fileName)) texts.set(path.basename(file.fileName), text);
  });
  if (diagnostics.length > 0) return { written: [], diagnostics };
  mkdirSync(outDir, { recursive: true });
  for (const name of readdirSync(outDir)) {
    // Generated modules whose source no longer exists.
    if (name.endsWith(".ts") && !texts.has(name) && readIfThere(path.join(outDir, name))?.startsWith(GENERATED))
      rmSync(path.join(outDir, name));
  }
  const written: string[] = [];
  for (const [name, text] of texts) {
    const target = path.join(outDir, name);
    written.push(target);
    if (readIfThere(target) !== text) writeFileSync(target, text);
  }
  return { written, diagnostics };
}
function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

/** The generated text of one module without imports. */
export function generateCodec(name: string, text: string): string {
  const file = `/kernel/abi/${name}.ts`;
  let result = "";
  const diagnostics = print(new SourceProgram([file], "/", new Map([[file, text]])), (_file, generated) => {
    result = generated;
  });
  const first = diagnostics[0];
  if (first) throw new Error(`${first.file}:${first.line}:${first.column}: ${first.message}`);
  return result;
}

function print(source: SourceProgram, give: (file: ts.SourceFile, text: string) => void): Diagnostic[] {
  const { syntax, semantic } = source.diagnostics();
  if (syntax.length + semantic.length > 0) return sortDiagnostics([...syntax, ...semantic]);
  const unit = new Unit(source, "codec", constantExpression);
  unit.checkOnly = true;
  for (const file of source.files) {
    checkModule(unit, file);
    give(file, printModule(unit, file));
  }
  return sortDiagnostics(unit.diagnostics);
}

function printModule(unit: Unit, file: ts.SourceFile): string {
  const name = unit.source.relative(file);
  const body: string[] = [];
  const imports = new Map<string, Set<string>>();
  for (const s of file.statements) {
    try {
      if (ts.isEnumDeclaration(s)) body.push(printEnum(unit, s));
      else if (ts.isVariableStatement(s))
        body.push(...s.declarationList.declarations.map((d) => printVariable(unit, d)));
      else if (ts.isClassDeclaration(s) && s.name && !s.typeParameters) body.push(printStruct(unit, s, file, imports));
    } catch (e) {
      if (!(e instanceof Refused)) throw e;
    }
  }
  const lines = [...imports]
    .sort()
    .map(([from, names]) => `import { ${[...names].sort().join(", ")} } from "${from}";`);
  return `${[`${GENERATED}${name}. Do not edit.`, ...lines, ...body].join("\n")}\n`;
}

/** Decimal up to 9, hex beyond, with n where a double would round. */
const integer = (v: bigint): string => {
  if (v > 9007199254740991n || v < -9007199254740991n) return `0x${BigInt.asUintN(64, v).toString(16)}n`;
  return v > 9n ? `0x${v.toString(16)}` : `${v}`;
};

function printEnum(unit: Unit, e: ts.EnumDeclaration): string {
  const rows = e.members.map((m): [string, bigint] => [m.name.getText(), unit.resolver.enumMember(m)]);
  const id = e.name.text;
  const names = rows.map(([k, v]) => `[${integer(v)}, "${k}"]`).join(", ");
  return [
    `export const ${id} = { ${rows.map(([k, v]) => `${k}: ${integer(v)}`).join(", ")} } as const;`,
    "/** Names by value. */",
    `export const ${id}Names: ReadonlyMap<number, string> = new Map([${names}]);`,
  ].join("\n");
}

function printVariable(unit: Unit, d: ts.VariableDeclaration): string {
  if (!d.initializer)
    return unit.refuse(d, "MG3009", `${excerpt(d.name)} has no value; write a constant or a table instead`);
  const constant = globalConstant(constants(unit), unit.variableEntity(d), d);
  const rows = tableRows(unit, d.initializer);
  const isTable = rows !== null || ts.isArrayLiteralExpression(unwrap(d.initializer));
  const text = rows
    ? printTable(unit, d, rows)
    : constant?.constant !== undefined && constant.type.kind !== "bool"
      ? integer(constant.constant)
      : printValue(unit, d.initializer);
  return `export const ${d.name.getText()} = ${text}${isTable ? " as const" : ""};`;
}
/** A table(), each row with all of its fields. */
function printTable(unit: Unit, d: ts.VariableDeclaration, rows: ts.ArrayLiteralExpression): string {
  const type = d.type && unit.resolver.type(d.type, new Map());
  if (type?.kind !== "array" || type.element.kind !== "struct")
    return unit.refuse(d, "MG3009", `${excerpt(d.name)} has no type; write ${excerpt(d.name)}: arr<T, N> instead`);
  const { struct } = type.element;
  unit.resolver.complete(struct, d);
  const printRow = (row: ts.Expression): string => {
    if (!ts.isObjectLiteralExpression(row)) return printValue(unit, row);
    const given = new Map(row.properties.map((p) => [p.name?.getText(), p]));
    const fields = [...struct.fields.values()].map((field) => {
      const p = given.get(field.name);
      const value = p && ts.isPropertyAssignment(p) ? p.initializer : field.declaration.initializer;
      return `${field.name}: ${printFieldValue(unit, field.type, value)}`;
    });
    return `{ ${fields.join(", ")} }`;
  };
  return `[${rows.elements.map(printRow).join(", ")}]`;
}
function printFieldValue(unit: Unit, type: MachineType, value: ts.Expression | undefined): string {
  const node = value && unwrap(value);
  if (type.kind !== "array") return node ? printValue(unit, node) : "0";
  const given = node && ts.isArrayLiteralExpression(node) ? node.elements.map((e) => printValue(unit, e)) : [];
  return `[${[...given, ...Array<string>(type.count - given.length).fill("0")].join(", ")}]`;
}
/** A literal table as written, its constants evaluated. */
function printValue(unit: Unit, init: ts.Expression): string {
  const node = unwrap(init);
  if (ts.isArrayLiteralExpression(node)) return `[${node.elements.map((e) => printValue(unit, e)).join(", ")}]`;
  if (ts.isObjectLiteralExpression(node)) {
    const fields = node.properties.map((p) =>
      ts.isPropertyAssignment(p)
        ? `${p.name.getText()}: ${printValue(unit, p.initializer)}`
        : unit.refuse(p, "MG1014", `${excerpt(p)}: write name: value instead`),
    );
    return `{ ${fields.join(", ")} }`;
  }
  if (ts.isCallExpression(node) && intrinsicName(unit, node) === "cstr" && node.arguments[0])
    return node.arguments[0].getText();
  if (node.kind === ts.SyntaxKind.NullKeyword) return "null";
  const value = constants(unit).expression(node);
  if (value.type.kind === "bool") return value.constant ? "true" : "false";
  return value.float !== undefined ? String(value.float) : integer(constantExpression(unit, node));
}

/** DataView's name for a scalar's accessors, and their type in node. */
function accessor(type: MachineType): { view: string; js: "number" | "bigint"; bytes: number } {
  if (type.kind === "bool") return { view: "Uint8", js: "number", bytes: 1 };
  if (type.kind === "f64") return { view: "Float64", js: "number", bytes: 8 };
  if (type.kind === "int" && type.width < 64)
    return { view: `${type.signed ? "Int" : "Uint"}${type.width}`, js: "number", bytes: type.width / 8 };
  return { view: type.kind === "int" && type.signed ? "BigInt64" : "BigUint64", js: "bigint", bytes: 8 };
}
const getter = (type: MachineType, at: string): string => {
  const { view, bytes } = accessor(type);
  return `this.view.get${view}(${at}${bytes > 1 ? ", true" : ""})`;
};
const setter = (type: MachineType, at: string): string => {
  const { view, bytes } = accessor(type);
  return `this.view.set${view}(${at}, v${bytes > 1 ? ", true" : ""})`;
};

function printStruct(
  unit: Unit,
  c: ts.ClassDeclaration,
  file: ts.SourceFile,
  imports: Map<string, Set<string>>,
): string {
  const struct = unit.resolver.complete(unit.resolver.struct(c, [], c), c);
  const className = (type: MachineType): string => {
    if (type.kind !== "struct") return "";
    const home = type.struct.declaration.getSourceFile();
    if (home !== file) {
      const from = `./${path.basename(home.fileName)}`;
      const names = imports.get(from) ?? new Set();
      imports.set(from, names.add(type.struct.name));
    }
    return type.struct.name;
  };
  const fields = [...struct.fields.values()];
  const body = fields.map((f) => printField(f, className));
  return [
    `export class ${struct.name} {`,
    `  static readonly SIZE = ${struct.size};`,
    `  static readonly OFFSETS = { ${fields.map((f) => `${f.name}: ${f.offset}`).join(", ")} } as const;`,
    "  constructor(readonly view: DataView, readonly offset = 0) {}",
    ...body,
    "}",
  ].join("\n");
}
function printField({ name, type, offset }: Field, className: (type: MachineType) => string): string {
  const at = `this.offset + ${offset}`;
  const buffer = `this.view.buffer, this.view.byteOffset + ${at}, ${sizeOf(type)}`;
  const bytes = `  get ${name}(): Uint8Array { return new Uint8Array(${buffer}); }`;
  if (type.kind === "struct")
    return `  get ${name}(): ${className(type)} { return new ${className(type)}(this.view, ${at}); }`;
  if (type.kind !== "array") {
    const { js } = accessor(type);
    return `  get ${name}(): ${js} { return ${getter(type, at)}; }\n  set ${name}(v: ${js}) { ${setter(type, at)}; }`;
  }
  const { element } = type;
  const item = `${at} + i * ${sizeOf(element)}`;
  if (element.kind === "struct")
    return `  ${name}(i: number): ${className(element)} { return new ${className(element)}(this.view, ${item}); }`;
  if (element.kind === "array" || (element.kind === "int" && element.name === "u8")) return bytes;
  const { js } = accessor(element);
  const read = `${name}(i: number): ${js} { return ${getter(element, item)}; }`;
  const write = `${name}Set(i: number, v: ${js}): void { ${setter(element, item)}; }`;
  return `  ${read}\n  ${write}`;
}
