/** The module's types as entries of a separate unit, to which all other units refer. DWARF 5, chapter 5. */
import { Attribute, Encoding, Form, Tag } from "../lib/dwarf.ts";
import type { Attributed, DieWriter } from "./debug-dies.ts";
import type { DebugType } from "./debug.ts";
import type { UnitFiles } from "./debug-line.ts";

const ENCODINGS = {
  unsigned: Encoding.UNSIGNED,
  signed: Encoding.SIGNED,
  float: Encoding.FLOAT,
  boolean: Encoding.BOOLEAN,
} as const;
const POINTER_BYTES = 8;

export const named = (name: string): Attributed[] => (name === "" ? [] : [[Attribute.NAME, Form.STRP, name]]);
/** -1: void, which has no entry. */
export const typed = (type: number): Attributed[] => (type < 0 ? [] : [[Attribute.TYPE, Form.REF_ADDR, type]]);
export const declared = (files: UnitFiles, file: number, line: number): Attributed[] =>
  file < 0
    ? []
    : [
        [Attribute.DECL_FILE, Form.UDATA, files.index(file)],
        [Attribute.DECL_LINE, Form.UDATA, line],
      ];

/** Bytes of a value of type `type`. */
export function sizeOf(types: readonly DebugType[], type: number): number {
  const t = types[type];
  switch (t?.kind) {
    case "base":
    case "struct":
      return t.bytes;
    case "pointer":
    case "function":
      return POINTER_BYTES;
    case "array":
      return t.count * sizeOf(types, t.element);
    case "enum":
      return sizeOf(types, t.base);
    case "typedef":
      return sizeOf(types, t.target);
    case undefined:
      throw new Error(`debug information refers to type ${type}, which the module does not have`);
  }
}

/**
 * Writes all types in order. Structs and enums also get a typedef: gdb is told that the language is C, where tags alone
 * would need their keyword, which TypeScript does not have.
 */
export function writeTypes(dies: DieWriter, types: readonly DebugType[], files: UnitFiles): void {
  const typedefs = new Set(types.map((t) => (t.kind === "typedef" ? t.name : "")));
  types.forEach((t, index) => {
    dies.defineType(index);
    writeType(dies, types, t, files);
    if ((t.kind !== "struct" && t.kind !== "enum") || typedefs.has(t.name)) return;
    typedefs.add(t.name);
    dies.die(Tag.TYPEDEF, false, [...named(t.name), ...typed(index)]);
  });
}

function writeType(dies: DieWriter, types: readonly DebugType[], t: DebugType, files: UnitFiles): void {
  const bytes = (n: number): Attributed => [Attribute.BYTE_SIZE, Form.UDATA, n];
  switch (t.kind) {
    case "base":
      dies.die(Tag.BASE_TYPE, false, [
        ...named(t.name),
        bytes(t.bytes),
        [Attribute.ENCODING, Form.DATA1, ENCODINGS[t.encoding]],
      ]);
      return;
    case "pointer":
      dies.die(Tag.POINTER_TYPE, false, [bytes(POINTER_BYTES), ...typed(t.target)]);
      return;
    case "typedef":
      dies.die(Tag.TYPEDEF, false, [...named(t.name), ...typed(t.target)]);
      return;
    case "struct":
      dies.die(Tag.STRUCTURE_TYPE, t.members.length > 0, [
        ...named(t.name),
        bytes(t.bytes),
        ...declared(files, t.file, t.line),
      ]);
      for (const { name, type, offset } of t.members)
        dies.die(Tag.MEMBER, false, [
          ...named(name),
          ...typed(type),
          [Attribute.DATA_MEMBER_LOCATION, Form.UDATA, offset],
        ]);
      if (t.members.length > 0) dies.end();
      return;
    case "array":
      dies.die(Tag.ARRAY_TYPE, true, typed(t.element));
      dies.die(Tag.SUBRANGE_TYPE, false, [[Attribute.COUNT, Form.UDATA, t.count]]);
      dies.end();
      return;
    case "enum":
      dies.die(Tag.ENUMERATION_TYPE, t.values.length > 0, [
        ...named(t.name),
        bytes(sizeOf(types, t.base)),
        ...typed(t.base),
      ]);
      for (const { name, value } of t.values)
        dies.die(Tag.ENUMERATOR, false, [
          ...named(name),
          [Attribute.CONST_VALUE, value < 0n ? Form.SDATA : Form.UDATA, value],
        ]);
      if (t.values.length > 0) dies.end();
      return;
    case "function":
      dies.die(Tag.SUBROUTINE_TYPE, t.parameters.length > 0, [
        [Attribute.PROTOTYPED, Form.FLAG_PRESENT, 1],
        ...typed(t.result),
      ]);
      for (const parameter of t.parameters) dies.die(Tag.FORMAL_PARAMETER, false, typed(parameter));
      if (t.parameters.length > 0) dies.end();
      return;
  }
}
