/** The line-number program, DWARF 5 section 6.2: one sequence a function, so that functions may lie anywhere. */
import { DWARF_VERSION, Form, LineContent, LineExtended, LineOp, STANDARD_OPCODE_LENGTHS } from "../lib/dwarf.ts";
import type { PlacedChunk } from "./layout.ts";
import { ByteWriter } from "./writer.ts";

const LINE_BASE = -5;
const LINE_RANGE = 14;
const OPCODE_BASE = 13;

/** Index of Module.files[i] in the table: file 0 is the unit itself. */
export const fileIndex = (file: number): number => file + 1;

function fileTables(out: ByteWriter, files: readonly string[]): void {
  const directories = ["."];
  const split = (path: string): [directory: number, name: string] => {
    const slash = path.lastIndexOf("/");
    if (slash === -1) return [0, path];
    const directory = path.slice(0, slash);
    let index = directories.indexOf(directory);
    if (index === -1) index = directories.push(directory) - 1;
    return [index, path.slice(slash + 1)];
  };
  const entries = [files[0] ?? "", ...files].map(split);
  out.u8(1);
  out.uleb(LineContent.PATH);
  out.uleb(Form.STRING);
  out.uleb(directories.length);
  for (const directory of directories) out.string(directory);
  out.u8(2);
  out.uleb(LineContent.PATH);
  out.uleb(Form.STRING);
  out.uleb(LineContent.DIRECTORY_INDEX);
  out.uleb(Form.UDATA);
  out.uleb(entries.length);
  for (const [directory, name] of entries) {
    out.string(name);
    out.uleb(directory);
  }
}

function sequence(out: ByteWriter, { chunk, address }: PlacedChunk): void {
  out.u8(0);
  out.uleb(9);
  out.u8(LineExtended.SET_ADDRESS);
  out.u64(address + BigInt(chunk.lines[0].offset));
  let offset = chunk.lines[0].offset;
  let file = 1;
  let line = 1;
  let column = 0;
  for (const row of chunk.lines) {
    // Code that the compiler made has line 0: no source.
    const rowLine = row.file < 0 ? 0 : row.line;
    if (row.file >= 0 && fileIndex(row.file) !== file) {
      file = fileIndex(row.file);
      out.u8(LineOp.SET_FILE);
      out.uleb(file);
    }
    if (row.column !== column) {
      column = row.column;
      out.u8(LineOp.SET_COLUMN);
      out.uleb(column);
    }
    let delta = rowLine - line;
    let advance = row.offset - offset;
    if (delta < LINE_BASE || delta >= LINE_BASE + LINE_RANGE) {
      out.u8(LineOp.ADVANCE_LINE);
      out.sleb(delta);
      delta = 0;
    }
    const step = Math.floor((255 - OPCODE_BASE) / LINE_RANGE);
    let special = delta - LINE_BASE + LINE_RANGE * advance + OPCODE_BASE;
    if (special > 255 && advance >= step) {
      special -= LINE_RANGE * step;
      if (special <= 255) out.u8(LineOp.CONST_ADD_PC);
    }
    if (special > 255) {
      out.u8(LineOp.ADVANCE_PC);
      out.uleb(advance);
      advance = 0;
      special = delta - LINE_BASE + OPCODE_BASE;
    }
    out.u8(special);
    line = rowLine;
    offset = row.offset;
  }
  out.u8(LineOp.ADVANCE_PC);
  out.uleb(chunk.size - offset);
  out.u8(0);
  out.uleb(1);
  out.u8(LineExtended.END_SEQUENCE);
}

/** `.debug_line` of the functions among `chunks`, in the order given. */
export function debugLine(files: readonly string[], chunks: readonly PlacedChunk[]): Uint8Array {
  const out = new ByteWriter();
  out.u32(0);
  out.u16(DWARF_VERSION);
  out.u8(8);
  out.u8(0);
  const headerLength = out.length;
  out.u32(0);
  // Minimum instruction length, operations an instruction, default is_stmt.
  out.u8(1);
  out.u8(1);
  out.u8(1);
  out.u8(LINE_BASE & 255);
  out.u8(LINE_RANGE);
  out.u8(OPCODE_BASE);
  for (const length of STANDARD_OPCODE_LENGTHS) out.u8(length);
  fileTables(out, files);
  out.patch32(headerLength, out.length - headerLength - 4);
  for (const placed of chunks) {
    if (placed.chunk.isFunction && placed.chunk.lines.length > 0) sequence(out, placed);
  }
  out.patch32(0, out.length - 4);
  return out.take();
}
