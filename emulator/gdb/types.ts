/**
 * An image's debug information about its data: structs, arrays and global variables, so that the kernel's tables are
 * read with that kernel's own layout. Source: DWARF 5, sections 2 and 7. Reads what our linker writes and tolerates
 * unknown entries: an image without debug information has no types.
 */
import { Attribute, Form, Operation, Tag } from "../../toolchain/lib/dwarf.ts";
import { cString, elfSections } from "../trace/sections.ts";

export interface Member {
  readonly name: string;
  readonly offset: number;
  readonly type: Type | undefined;
}
export interface Type {
  readonly kind: "struct" | "array" | "pointer" | "scalar" | "typedef" | "other";
  readonly name: string;
  readonly bytes: number;
  readonly members: readonly Member[];
  /** Element type, pointee, or the type that a typedef names. */
  readonly target: Type | undefined;
  readonly count: number;
}

interface Row {
  readonly tag: number;
  readonly children: boolean;
  readonly attributes: readonly { readonly name: number; readonly form: number; readonly constant: number }[];
}
type AttributeValue = bigint | string | Uint8Array;
interface Entry {
  readonly offset: number;
  readonly tag: number;
  readonly values: ReadonlyMap<number, AttributeValue>;
  readonly children: Entry[];
}

/** Forms besides those that our own linker uses (DWARF 5, 7.5.6), so that other tools' images can be read. */
const FORM_DATA4 = 0x06;
const FORM_IMPLICIT_CONST = 0x21;
const FORM_LINE_STRP = 0x1f;
const UNIT_HEADER_BYTES = 12;

class Cursor {
  private readonly view: DataView;
  constructor(
    readonly bytes: Uint8Array,
    public at: number,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  u8(): number {
    return this.view.getUint8(this.at++);
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
  leb(signed = false): bigint {
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      shift += 7n;
      if (byte < 0x80) return signed && (byte & 0x40) !== 0 ? value - (1n << shift) : value;
    }
  }
  take(length: number): Uint8Array {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
  string(): string {
    const text = cString(this.bytes, this.at);
    this.at += Buffer.byteLength(text) + 1;
    return text;
  }
}

function abbreviations(bytes: Uint8Array, offset: number): ReadonlyMap<number, Row> {
  const rows = new Map<number, Row>();
  const cursor = new Cursor(bytes, offset);
  for (;;) {
    const code = Number(cursor.leb());
    if (code === 0) return rows;
    const tag = Number(cursor.leb());
    const children = cursor.u8() !== 0;
    const attributes = [];
    for (;;) {
      const name = Number(cursor.leb());
      const form = Number(cursor.leb());
      const constant = form === FORM_IMPLICIT_CONST ? Number(cursor.leb(true)) : 0;
      if (name === 0 && form === 0) break;
      attributes.push({ name, form, constant });
    }
    rows.set(code, { tag, children, attributes });
  }
}

/** Entries of all units, by their offset in .debug_info. Throws on unknown forms. */
function entries(info: Uint8Array, abbrev: Uint8Array, strings: Uint8Array, lineStrings: Uint8Array): readonly Entry[] {
  const top: Entry[] = [];
  const tables = new Map<number, ReadonlyMap<number, Row>>();
  for (let unit = 0; unit + UNIT_HEADER_BYTES <= info.length; ) {
    const cursor = new Cursor(info, unit);
    const end = unit + 4 + cursor.u32();
    cursor.at = unit + 8;
    const offset = cursor.u32();
    let rows = tables.get(offset);
    if (rows === undefined) {
      rows = abbreviations(abbrev, offset);
      tables.set(offset, rows);
    }
    const value = (form: number, constant: number): AttributeValue => {
      switch (form) {
        case Form.ADDR:
        case Form.DATA8:
          return cursor.u64();
        case Form.DATA1:
          return BigInt(cursor.u8());
        case Form.DATA2:
          return BigInt(cursor.u16());
        case FORM_DATA4:
        case Form.SEC_OFFSET:
        case Form.REF_ADDR:
          return BigInt(cursor.u32());
        case Form.REF4:
          return BigInt(unit + cursor.u32());
        case Form.UDATA:
          return cursor.leb();
        case Form.SDATA:
          return cursor.leb(true);
        case Form.STRING:
          return cursor.string();
        case Form.STRP:
          return cString(strings, cursor.u32());
        case FORM_LINE_STRP:
          return cString(lineStrings, cursor.u32());
        case Form.EXPRLOC:
          return cursor.take(Number(cursor.leb()));
        case Form.FLAG_PRESENT:
          return 1n;
        case FORM_IMPLICIT_CONST:
          return BigInt(constant);
        default:
          throw new Error(`DWARF form 0x${form.toString(16)}`);
      }
    };
    const open: Entry[][] = [top];
    while (cursor.at < end) {
      const at = cursor.at;
      const code = Number(cursor.leb());
      if (code === 0) {
        open.pop();
        if (open.length === 0) break;
        continue;
      }
      const row = rows.get(code);
      if (row === undefined) throw new Error(`DWARF abbreviation ${code}`);
      const values = new Map(row.attributes.map((a) => [a.name, value(a.form, a.constant)]));
      const entry: Entry = { offset: at, tag: row.tag, values, children: [] };
      open.at(-1)?.push(entry);
      if (row.children) open.push(entry.children);
    }
    unit = end;
  }
  return top;
}

const scalars: ReadonlySet<number> = new Set([Tag.BASE_TYPE, Tag.ENUMERATION_TYPE]);

export class ImageTypes {
  private readonly byOffset = new Map<number, Entry>();
  private readonly made = new Map<number, Type>();
  private readonly variables = new Map<string, { readonly address: bigint; readonly type: number }>();

  private constructor(top: readonly Entry[]) {
    const visit = (entry: Entry): void => {
      this.byOffset.set(entry.offset, entry);
      const name = entry.values.get(Attribute.NAME);
      const place = entry.values.get(Attribute.LOCATION);
      const type = entry.values.get(Attribute.TYPE);
      if (
        entry.tag === Tag.VARIABLE &&
        typeof name === "string" &&
        typeof type === "bigint" &&
        place instanceof Uint8Array
      ) {
        if (place.length === 9 && place[0] === Operation.ADDR && !this.variables.has(name))
          this.variables.set(name, { address: new Cursor(place, 1).u64(), type: Number(type) });
      }
      for (const child of entry.children) visit(child);
    };
    for (const entry of top) visit(entry);
  }

  private static readonly known = new WeakMap<Uint8Array, ImageTypes>();

  /** Never throws. Nodes share their kernel's bytes, and so its types. */
  static fromElf(bytes: Uint8Array): ImageTypes {
    let types = ImageTypes.known.get(bytes);
    if (types !== undefined) return types;
    const section = (name: string): Uint8Array =>
      elfSections(bytes).find((s) => s.name === name)?.bytes ?? new Uint8Array();
    try {
      types = new ImageTypes(
        entries(section(".debug_info"), section(".debug_abbrev"), section(".debug_str"), section(".debug_line_str")),
      );
    } catch {
      types = new ImageTypes([]);
    }
    ImageTypes.known.set(bytes, types);
    return types;
  }

  /** A global variable, read from memory by `read`. */
  global(name: string, read: Read): Datum | undefined {
    const variable = this.variables.get(name);
    const type = variable === undefined ? undefined : this.type(variable.type);
    return variable === undefined || type === undefined ? undefined : new Datum(read, variable.address, type);
  }

  private type(offset: number): Type | undefined {
    const known = this.made.get(offset);
    if (known !== undefined) return known;
    const entry = this.byOffset.get(offset);
    if (entry === undefined) return undefined;
    const number = (of: Entry, name: number): number => {
      const value = of.values.get(name);
      return typeof value === "bigint" ? Number(value) : 0;
    };
    const members: Member[] = [];
    const self = this;
    const name = entry.values.get(Attribute.NAME);
    // Types are resolved on demand: a struct may point to itself.
    const type: Type = {
      kind:
        entry.tag === Tag.STRUCTURE_TYPE
          ? "struct"
          : entry.tag === Tag.ARRAY_TYPE
            ? "array"
            : entry.tag === Tag.POINTER_TYPE
              ? "pointer"
              : entry.tag === Tag.TYPEDEF
                ? "typedef"
                : scalars.has(entry.tag)
                  ? "scalar"
                  : "other",
      name: typeof name === "string" ? name : "",
      bytes: number(entry, Attribute.BYTE_SIZE) || (entry.tag === Tag.POINTER_TYPE ? 8 : 0),
      members,
      get target() {
        const target = number(entry, Attribute.TYPE);
        return target === 0 ? undefined : self.type(target);
      },
      count: entry.children.reduce(
        (count, child) => (child.tag === Tag.SUBRANGE_TYPE ? number(child, Attribute.COUNT) : count),
        0,
      ),
    };
    this.made.set(offset, type);
    for (const child of entry.children) {
      const memberName = child.values.get(Attribute.NAME);
      if (child.tag !== Tag.MEMBER || typeof memberName !== "string") continue;
      const memberType = number(child, Attribute.TYPE);
      members.push({
        name: memberName,
        offset: number(child, Attribute.DATA_MEMBER_LOCATION),
        get type() {
          return self.type(memberType);
        },
      });
    }
    return type;
  }
}

/** Reads memory by virtual address; returns fewer bytes where it is not mapped. */
export type Read = (address: bigint, length: number) => Uint8Array;

const resolved = (type: Type | undefined): Type | undefined =>
  type?.kind === "typedef" ? resolved(type.target) : type;
const sizeOf = (type: Type | undefined): number => {
  const t = resolved(type);
  return t === undefined ? 0 : t.kind === "array" ? t.count * sizeOf(t.target) : t.bytes;
};

/**
 * A value in memory with its type. Missing memory reads as 0 or undefined, because a debugger also inspects half-built
 * structures.
 */
export class Datum {
  readonly type: Type | undefined;
  constructor(
    private readonly read: Read,
    readonly address: bigint,
    type: Type | undefined,
  ) {
    this.type = resolved(type);
  }

  field(name: string): Datum | undefined {
    const member = this.type?.members.find((m) => m.name === name);
    return member === undefined ? undefined : new Datum(this.read, this.address + BigInt(member.offset), member.type);
  }
  /** Elements of an array. */
  get elements(): readonly Datum[] {
    if (this.type?.kind !== "array") return [];
    const size = BigInt(sizeOf(this.type.target));
    return Array.from(
      { length: this.type.count },
      (_, i) => new Datum(this.read, this.address + BigInt(i) * size, this.type?.target),
    );
  }
  /** The target of a pointer; undefined for null. */
  get pointee(): Datum | undefined {
    const address = this.value;
    return this.type?.kind === "pointer" && address !== 0n
      ? new Datum(this.read, address, this.type.target)
      : undefined;
  }
  /** Unsigned. */
  get value(): bigint {
    const bytes = this.read(this.address, Math.min(sizeOf(this.type), 8));
    let value = 0n;
    for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    return value;
  }
  get number(): number {
    return Number(this.value);
  }
  /** Value of a field; 0 if there is no such field. */
  numberOf(name: string): number {
    return this.field(name)?.number ?? 0;
  }
  bits(name: string): bigint {
    return this.field(name)?.value ?? 0n;
  }
}
