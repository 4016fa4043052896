/**
 * `.debug_info` with its abbreviations and ranges, DWARF 5 section 7.5: one unit for the image, one subprogram a function.
 * Types, parameters, locals and frames are not described yet.
 */
import { Attribute, DWARF_VERSION, Form, LANGUAGE_C11, RangeEntry, Tag, UnitType } from "../lib/dwarf.ts";
import { fileIndex } from "./debug-line.ts";
import type { OutputSection, PlacedChunk } from "./layout.ts";
import { ByteWriter } from "./writer.ts";

type Abbreviation = readonly [tag: Tag, children: boolean, attributes: readonly (readonly [Attribute, Form])[]];
// biome-ignore format: a table
const ABBREVIATIONS: readonly Abbreviation[] = [
  [Tag.COMPILE_UNIT, true, [
    [Attribute.PRODUCER, Form.STRING], [Attribute.LANGUAGE, Form.DATA2], [Attribute.NAME, Form.STRING], [Attribute.COMP_DIR, Form.STRING],
    [Attribute.LOW_PC, Form.ADDR], [Attribute.RANGES, Form.SEC_OFFSET], [Attribute.STMT_LIST, Form.SEC_OFFSET],
  ]],
  [Tag.SUBPROGRAM, false, [
    [Attribute.NAME, Form.STRING], [Attribute.LINKAGE_NAME, Form.STRING], [Attribute.EXTERNAL, Form.FLAG_PRESENT],
    [Attribute.DECL_FILE, Form.UDATA], [Attribute.DECL_LINE, Form.UDATA], [Attribute.LOW_PC, Form.ADDR], [Attribute.HIGH_PC, Form.DATA8],
  ]],
  [Tag.SUBPROGRAM, false, [
    [Attribute.NAME, Form.STRING], [Attribute.LINKAGE_NAME, Form.STRING], [Attribute.EXTERNAL, Form.FLAG_PRESENT],
    [Attribute.LOW_PC, Form.ADDR], [Attribute.HIGH_PC, Form.DATA8],
  ]],
];
const enum Code {
  UNIT = 1,
  FUNCTION = 2,
  FUNCTION_WITHOUT_LINES = 3,
}

function abbreviations(): Uint8Array {
  const out = new ByteWriter();
  ABBREVIATIONS.forEach(([tag, children, attributes], i) => {
    out.uleb(i + 1);
    out.uleb(tag);
    out.u8(children ? 1 : 0);
    for (const [attribute, form] of attributes) {
      out.uleb(attribute);
      out.uleb(form);
    }
    out.u16(0);
  });
  out.u8(0);
  return out.take();
}

/** Bytes of the header of `.debug_rnglists`, behind which the only list stands. */
const RANGES_HEADER_BYTES = 12;

function rangeList(sections: readonly OutputSection[]): Uint8Array {
  const out = new ByteWriter();
  out.u32(0);
  out.u16(DWARF_VERSION);
  out.u8(8);
  out.u8(0);
  out.u32(0);
  for (const section of sections) {
    const code = section.chunks.filter(({ chunk }) => chunk.isFunction);
    if (code.length === 0) continue;
    const first = code[0].address;
    const last = code[code.length - 1];
    out.u8(RangeEntry.START_LENGTH);
    out.u64(first);
    out.uleb(Number(last.address - first) + last.chunk.size);
  }
  out.u8(RangeEntry.END_OF_LIST);
  out.patch32(0, out.length - 4);
  return out.take();
}

function information(name: string, functions: readonly PlacedChunk[]): Uint8Array {
  const out = new ByteWriter();
  out.u32(0);
  out.u16(DWARF_VERSION);
  out.u8(UnitType.COMPILE);
  out.u8(8);
  out.u32(0);
  out.uleb(Code.UNIT);
  out.string("margay");
  out.u16(LANGUAGE_C11);
  out.string(name);
  out.string(".");
  out.u64(0n);
  out.u32(RANGES_HEADER_BYTES);
  out.u32(0);
  for (const { chunk, address } of functions) {
    const row = chunk.lines.find(({ file }) => file >= 0);
    out.uleb(row === undefined ? Code.FUNCTION_WITHOUT_LINES : Code.FUNCTION);
    out.string(chunk.sourceName);
    out.string(chunk.symbol);
    if (row !== undefined) {
      out.uleb(fileIndex(row.file));
      out.uleb(row.line);
    }
    out.u64(address);
    out.u64(BigInt(chunk.size));
  }
  out.u8(0);
  out.patch32(0, out.length - 4);
  return out.take();
}

export interface DebugInfo {
  readonly info: Uint8Array;
  readonly abbreviations: Uint8Array;
  readonly ranges: Uint8Array;
}

export function debugInfo(name: string, sections: readonly OutputSection[]): DebugInfo {
  const functions = sections.flatMap((section) => section.chunks.filter(({ chunk }) => chunk.isFunction));
  return { info: information(name, functions), abbreviations: abbreviations(), ranges: rangeList(sections) };
}
