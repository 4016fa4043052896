/**
 * Debugging information entries (DIEs) in `.debug_info`, with their abbreviations and strings. DWARF 5, sections 7.5
 * and 7.26. Each shape of an entry becomes an abbreviation when it first occurs; one table serves all units.
 */
import { type Attribute, DWARF_VERSION, Form, type Tag, UnitType } from "../lib/dwarf.ts";
import { ByteWriter } from "./writer.ts";

/**
 * REF_ADDR refers to a type, by its index in the module's table; REF4 to an entry of the same unit, by its offset in
 * the section.
 */
export type Attributed = readonly [Attribute, Form, number | bigint | string | Uint8Array];

export class DieWriter {
  readonly #info = new ByteWriter();
  readonly #abbreviations = new ByteWriter();
  readonly #codes = new Map<string, number>();
  readonly #strings = new ByteWriter();
  readonly #stringOffsets = new Map<string, number>();
  /** Section offsets of type entries; positions of references that wait for them. */
  readonly #types = new Map<number, number>();
  readonly #references: { readonly position: number; readonly type: number }[] = [];
  #unit = 0;

  /** Begins a unit; its entries follow. */
  openUnit(): void {
    this.#unit = this.#info.length;
    this.#info.u32(0);
    this.#info.u16(DWARF_VERSION);
    this.#info.u8(UnitType.COMPILE);
    this.#info.u8(8);
    this.#info.u32(0);
  }
  closeUnit(): void {
    this.#info.patch32(this.#unit, this.#info.length - this.#unit - 4);
  }

  /** Writes an entry and returns its offset. An entry with children must be closed by `end`. */
  die(tag: Tag, children: boolean, attributes: readonly Attributed[]): number {
    const offset = this.#info.length;
    this.#info.uleb(this.#code(tag, children, attributes));
    for (const [, form, value] of attributes) this.#value(form, value);
    return offset;
  }
  end(): void {
    this.#info.u8(0);
  }
  /** Declares that the next `die` writes type `type`. */
  defineType(type: number): void {
    this.#types.set(type, this.#info.length);
  }

  finish(): { info: Uint8Array; abbreviations: Uint8Array; strings: Uint8Array } {
    for (const { position, type } of this.#references) {
      const offset = this.#types.get(type);
      if (offset === undefined)
        throw new Error(`debug information refers to type ${type}, which the module does not have`);
      this.#info.patch32(position, offset);
    }
    this.#abbreviations.u8(0);
    return { info: this.#info.take(), abbreviations: this.#abbreviations.take(), strings: this.#strings.take() };
  }

  #code(tag: Tag, children: boolean, attributes: readonly Attributed[]): number {
    let key = `${tag}${children ? "+" : "-"}`;
    for (const [attribute, form] of attributes) key += `${attribute}:${form},`;
    const known = this.#codes.get(key);
    if (known !== undefined) return known;
    const code = this.#codes.size + 1;
    this.#codes.set(key, code);
    const table = this.#abbreviations;
    table.uleb(code);
    table.uleb(tag);
    table.u8(children ? 1 : 0);
    for (const [attribute, form] of attributes) {
      table.uleb(attribute);
      table.uleb(form);
    }
    table.u16(0);
    return code;
  }

  #value(form: Form, value: Attributed[2]): void {
    const out = this.#info;
    switch (form) {
      case Form.ADDR:
      case Form.DATA8:
        return out.u64(BigInt(value as bigint | number));
      case Form.DATA1:
        return out.u8(value as number);
      case Form.DATA2:
        return out.u16(value as number);
      case Form.SEC_OFFSET:
        return out.u32(value as number);
      case Form.REF4:
        return out.u32((value as number) - this.#unit);
      case Form.REF_ADDR:
        this.#references.push({ position: out.length, type: value as number });
        return out.u32(0);
      case Form.UDATA:
        return typeof value === "bigint" ? out.ulebLarge(value) : out.uleb(value as number);
      case Form.SDATA:
        return out.slebLarge(BigInt(value as bigint | number));
      case Form.STRING:
        return out.string(value as string);
      case Form.STRP:
        return out.u32(this.#string(value as string));
      case Form.EXPRLOC: {
        const bytes = value as Uint8Array;
        out.uleb(bytes.length);
        return out.bytes(bytes);
      }
      case Form.FLAG_PRESENT:
        return;
      default:
        throw new Error(`form ${form as number} is not written here`);
    }
  }

  #string(text: string): number {
    const known = this.#stringOffsets.get(text);
    if (known !== undefined) return known;
    const offset = this.#strings.length;
    this.#stringOffsets.set(text, offset);
    this.#strings.string(text);
    return offset;
  }
}
