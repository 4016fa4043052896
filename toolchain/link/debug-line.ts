/**
 * `.debug_line`, DWARF 5 section 6.2: one table per unit and in it one sequence per function, so that functions may
 * lie anywhere.
 *
 * A row is a place to stop at (is_stmt) unless it only changes the column within the line of the row before, and no
 * other line jumps there: gdb's `next`, and its `finish` from an inlined frame, run on to the next such place. Rows
 * without a source keep the line before them, because a debugger stops at a line 0 in the middle of a function.
 */
import { DWARF_VERSION, Form, LineContent, LineExtended, LineOp, STANDARD_OPCODE_LENGTHS } from "../lib/dwarf.ts";
import type { PlacedChunk } from "./layout.ts";
import type { LineRow } from "./object.ts";
import { ByteWriter } from "./writer.ts";

const LINE_BASE = -5;
const LINE_RANGE = 14;
const OPCODE_BASE = 13;

/** The files that a unit names, numbered as in its line table: 0 and 1 are the unit's own. */
export class UnitFiles {
  readonly #paths: string[];
  readonly #indices: Map<number, number>;
  readonly #modules: readonly string[];

  /** `home`: the unit's own file, an index into the module's files; -1: none, then `name` replaces it. */
  constructor(modules: readonly string[], home: number, name: string) {
    this.#modules = modules;
    this.#paths = [home < 0 ? name : (modules[home] ?? name)];
    this.#indices = new Map([[home, 1]]);
  }
  get home(): string {
    return this.#paths[0];
  }
  /** Number in the table of the module's file `file`. */
  index(file: number): number {
    const known = this.#indices.get(file);
    if (known !== undefined) return known;
    this.#paths.push(this.#modules[file] ?? "?");
    this.#indices.set(file, this.#paths.length);
    return this.#paths.length;
  }
  /** File 0 first. */
  paths(): readonly string[] {
    return [this.#paths[0], ...this.#paths];
  }
}

export class LineTables {
  readonly #out = new ByteWriter();

  /** Offset of the table that `add` writes next. */
  get offset(): number {
    return this.#out.length;
  }

  /** Adds the table of a unit: `files` are those that the unit's entries use; the rows are those of its functions. */
  add(files: UnitFiles, functions: readonly PlacedChunk[]): void {
    const program = new ByteWriter();
    for (const placed of functions) sequence(program, placed, files);
    const out = this.#out;
    const start = out.length;
    out.u32(0);
    out.u16(DWARF_VERSION);
    out.u8(8);
    out.u8(0);
    const headerLength = out.length;
    out.u32(0);
    // Minimum instruction length, operations per instruction, default is_stmt.
    out.u8(1);
    out.u8(1);
    out.u8(1);
    out.u8(LINE_BASE & 255);
    out.u8(LINE_RANGE);
    out.u8(OPCODE_BASE);
    for (const length of STANDARD_OPCODE_LENGTHS) out.u8(length);
    fileTables(out, files.paths());
    out.patch32(headerLength, out.length - headerLength - 4);
    out.bytes(program.take());
    out.patch32(start, out.length - start - 4);
  }
  finish(): Uint8Array {
    return this.#out.take();
  }
}

function fileTables(out: ByteWriter, paths: readonly string[]): void {
  const directories = ["."];
  const split = (path: string): [directory: number, name: string] => {
    const slash = path.lastIndexOf("/");
    if (slash === -1) return [0, path];
    const directory = path.slice(0, slash);
    let index = directories.indexOf(directory);
    if (index === -1) index = directories.push(directory) - 1;
    return [index, path.slice(slash + 1)];
  };
  const entries = paths.map(split);
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

function sequence(out: ByteWriter, { chunk, address }: PlacedChunk, files: UnitFiles): void {
  const rows = behindParameters(chunk.lines.filter(({ file }) => file >= 0));
  if (rows.length === 0) return;
  out.u8(0);
  out.uleb(9);
  out.u8(LineExtended.SET_ADDRESS);
  out.u64(address + BigInt(rows[0].offset));
  let { offset } = rows[0];
  let file = 1;
  let line = 1;
  let column = 0;
  let isStatement = true;
  for (const [i, row] of rows.entries()) {
    const before = rows[i - 1];
    const rowFile = files.index(row.file);
    if (rowFile !== file) {
      file = rowFile;
      out.u8(LineOp.SET_FILE);
      out.uleb(file);
    }
    if (row.column !== column) {
      column = row.column;
      out.u8(LineOp.SET_COLUMN);
      out.uleb(column);
    }
    const stops =
      before === undefined ||
      row.line !== before.line ||
      row.file !== before.file ||
      row.mark === "prologue end" ||
      row.entered === true;
    if (stops !== isStatement) {
      isStatement = stops;
      out.u8(LineOp.NEGATE_STMT);
    }
    if (row.mark === "prologue end") out.u8(LineOp.SET_PROLOGUE_END);
    if (row.mark === "epilogue begin") out.u8(LineOp.SET_EPILOGUE_BEGIN);
    let delta = row.line - line;
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
    ({ line, offset } = row);
  }
  out.u8(LineOp.ADVANCE_PC);
  out.uleb(chunk.size - offset);
  out.u8(0);
  out.uleb(1);
  out.u8(LineExtended.END_SEQUENCE);
}

/** Most bytes of code that moves parameters to their locations. */
const PARAMETER_MOVES_BYTES = 40;
/**
 * Code between the frame's set-up and the first statement moves parameters; like the set-up, it belongs to the
 * function's own position. So the end of the prologue is placed after it, and a breakpoint on the function stops at its
 * first statement.
 */
function behindParameters(rows: readonly LineRow[]): readonly LineRow[] {
  const at = rows.findIndex(({ mark }) => mark === "prologue end");
  const [first] = rows;
  const row = rows[at];
  const next = rows[at + 1];
  if (
    at < 0 ||
    next === undefined ||
    next.mark === "epilogue begin" ||
    next.offset - row.offset > PARAMETER_MOVES_BYTES
  )
    return rows;
  if (row.file !== first.file || row.line !== first.line || row.column !== first.column) return rows;
  // A function without a frame starts with its only such row.
  const before = at === 0 ? [{ ...row, mark: undefined }] : rows.slice(0, at);
  return [...before, { ...next, mark: "prologue end" }, ...rows.slice(at + 2)];
}
