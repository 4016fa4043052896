/**
 * Source positions of addresses, from `.debug_line`. Source: DWARF 5, section 6.2. Reads the format of our linker
 * (link/debug-line.ts): one table per source file, inline names, one operation per instruction. Anything else gives no
 * positions; nothing throws. The table is decoded on first use, so a run without diagnostics does not pay.
 */
import { DWARF_VERSION, Form, LineContent, LineExtended, LineOp } from "../../toolchain/lib/dwarf.ts";
import { elfSections } from "./sections.ts";

export interface SourcePosition {
  /** As passed to the compiler: "kernel/mm/space.ts". */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}
interface Row extends SourcePosition {
  readonly address: bigint;
  /** The first address after a function. */
  readonly end: boolean;
}

export class LineTable {
  private rows: readonly Row[] | undefined;

  private constructor(private readonly section: Uint8Array) {}

  private static readonly known = new WeakMap<Uint8Array, LineTable>();

  /** Nodes share their kernel's bytes, and so its table. */
  static fromElf(bytes: Uint8Array): LineTable {
    let table = LineTable.known.get(bytes);
    if (table === undefined) {
      table = new LineTable(elfSections(bytes).find((s) => s.name === ".debug_line")?.bytes ?? new Uint8Array(0));
      LineTable.known.set(bytes, table);
    }
    return table;
  }

  /** Undefined outside all functions, and for compiler-generated code. */
  at(address: bigint): SourcePosition | undefined {
    const rows = (this.rows ??= decode(this.section));
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle]!.address <= address) low = middle + 1;
      else high = middle;
    }
    const row = rows[low - 1];
    return row === undefined || row.end || row.line === 0 ? undefined : row;
  }

  /** "kernel/mm/space.ts:88" */
  sourceOf(address: bigint): string | undefined {
    const position = this.at(address);
    return position === undefined ? undefined : `${position.file}:${position.line}`;
  }
}

/** Reads past the end throw RangeError, which ends `decode`. */
class Reader {
  at = 0;
  private readonly view: DataView;
  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  u8(): number {
    return this.view.getUint8(this.at++);
  }
  s8(): number {
    return this.view.getInt8(this.at++);
  }
  u16(): number {
    this.at += 2;
    return this.view.getUint16(this.at - 2, true);
  }
  u32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }
  u64(): bigint {
    this.at += 8;
    return this.view.getBigUint64(this.at - 8, true);
  }
  uleb(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
  }
  sleb(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.u8();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return (byte & 0x40) === 0 ? value : value - factor * 128;
    }
  }
  string(): string {
    const start = this.at;
    while (this.u8() !== 0);
    return new TextDecoder().decode(this.bytes.subarray(start, this.at - 1));
  }
}

function decode(section: Uint8Array): readonly Row[] {
  try {
    const rows: Row[] = [];
    for (const r = new Reader(section); r.at < section.length; ) {
      const bytes = r.u32();
      const end = r.at + bytes;
      for (const row of decodeTable(r, end)) rows.push(row);
      r.at = end;
    }
    return rows.sort((a, b) =>
      a.address < b.address ? -1 : a.address > b.address ? 1 : Number(b.end) - Number(a.end),
    );
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}

function decodeTable(r: Reader, end: number): Row[] {
  if (r.u16() !== DWARF_VERSION) return [];
  r.at += 2; // address and segment selector size
  r.at += 4; // header length
  const minimumInstructionBytes = r.u8();
  r.at += 2; // operations per instruction, default is_stmt
  const lineBase = r.s8();
  const lineRange = r.u8();
  const opcodeBase = r.u8();
  const operands = Array.from({ length: opcodeBase - 1 }, () => r.u8());
  const directories = entryTable(r).map((entry) => entry.path);
  const files = entryTable(r).map(({ path, directory }) => {
    const folder = directories[directory] ?? ".";
    return folder === "." ? path : `${folder}/${path}`;
  });

  const rows: Row[] = [];
  const state = { address: 0n, file: 1, line: 1, column: 0 };
  const emit = (isEnd: boolean): void => {
    rows.push({
      address: state.address,
      file: files[state.file] ?? "?",
      line: state.line,
      column: state.column,
      end: isEnd,
    });
  };
  const advance = (operations: number): void => {
    state.address += BigInt(operations * minimumInstructionBytes);
  };
  while (r.at < end) {
    const opcode = r.u8();
    if (opcode >= opcodeBase) {
      advance(Math.floor((opcode - opcodeBase) / lineRange));
      state.line += lineBase + ((opcode - opcodeBase) % lineRange);
      emit(false);
      continue;
    }
    // biome-ignore format: one opcode a row
    switch (opcode) {
      case 0: {
        const bytes = r.uleb();
        const next = r.at + bytes;
        const extended = r.u8();
        if (extended === LineExtended.SET_ADDRESS) state.address = r.u64();
        else if (extended === LineExtended.END_SEQUENCE) {
          emit(true);
          Object.assign(state, { address: 0n, file: 1, line: 1, column: 0 });
        }
        r.at = next;
        break;
      }
      case LineOp.COPY:         emit(false); break;
      case LineOp.ADVANCE_PC:   advance(r.uleb()); break;
      case LineOp.ADVANCE_LINE: state.line += r.sleb(); break;
      case LineOp.SET_FILE:     state.file = r.uleb(); break;
      case LineOp.SET_COLUMN:   state.column = r.uleb(); break;
      case LineOp.CONST_ADD_PC: advance(Math.floor((255 - opcodeBase) / lineRange)); break;
      default: for (let n = operands[opcode - 1]!; n > 0; n--) r.uleb();
    }
  }
  return rows;
}

/** Directory or file table: formats, then entries. */
function entryTable(r: Reader): { readonly path: string; readonly directory: number }[] {
  const formats = Array.from({ length: r.u8() }, () => [r.uleb(), r.uleb()] as const);
  return Array.from({ length: r.uleb() }, () => {
    const entry = { path: "", directory: 0 };
    for (const [content, form] of formats) {
      if (form === Form.STRING) {
        const text = r.string();
        if (content === LineContent.PATH) entry.path = text;
      } else if (form === Form.UDATA) {
        const value = r.uleb();
        if (content === LineContent.DIRECTORY_INDEX) entry.directory = value;
      } else throw new RangeError(`form ${form} in a line table`);
    }
    return entry;
  });
}
