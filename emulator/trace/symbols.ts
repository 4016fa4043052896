/**
 * Symbols of an ELF64 image, by name and by address. Source: ELF-64 object file format 1.5, sections 3 and 5. A
 * stripped image has none.
 */
import { cString, elfSections } from "./sections.ts";

export interface ElfSymbol {
  readonly name: string;
  readonly address: bigint;
  readonly bytes: number;
}

const SHT_SYMTAB = 2;
const SHN_UNDEF = 0;
const TYPE_OBJECT = 1;
const TYPE_FUNCTION = 2;
const TYPE_NONE = 0;

export class SymbolTable {
  /** Ascending by address, a label before the function that starts there; code and data. */
  private readonly sorted: readonly ElfSymbol[];
  private readonly byName = new Map<string, ElfSymbol>();

  constructor(symbols: readonly ElfSymbol[]) {
    this.sorted = [...symbols].sort((a, b) =>
      a.address < b.address ? -1 : a.address > b.address ? 1 : a.bytes - b.bytes,
    );
    for (const symbol of symbols) if (!this.byName.has(symbol.name)) this.byName.set(symbol.name, symbol);
  }

  private static readonly known = new WeakMap<Uint8Array, SymbolTable>();

  /** Never throws: unreadable parts yield fewer symbols. Nodes share their kernel's bytes, and so its table. */
  static fromElf(bytes: Uint8Array): SymbolTable {
    const known = SymbolTable.known.get(bytes);
    if (known !== undefined) return known;
    const symbols: ElfSymbol[] = [];
    const sections = elfSections(bytes);
    for (const { type: sectionType, link, bytes: table } of sections) {
      const strings = sections[link]?.bytes;
      if (sectionType !== SHT_SYMTAB || strings === undefined) continue;
      const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
      for (let at = 0; at + 24 <= table.length; at += 24) {
        const type = table[at + 4] & 0xf;
        if (
          (type !== TYPE_OBJECT && type !== TYPE_FUNCTION && type !== TYPE_NONE) ||
          view.getUint16(at + 6, true) === SHN_UNDEF
        )
          continue;
        const name = cString(strings, view.getUint32(at, true));
        if (name === "") continue;
        symbols.push({
          name,
          address: view.getBigUint64(at + 8, true),
          bytes: Number(view.getBigUint64(at + 16, true)),
        });
      }
    }
    const symbolTable = new SymbolTable(symbols);
    SymbolTable.known.set(bytes, symbolTable);
    return symbolTable;
  }

  get size(): number {
    return this.sorted.length;
  }

  find(name: string): ElfSymbol | undefined {
    return this.byName.get(name);
  }

  /** "name" or "name+0x12" of the symbol that holds `address`; undefined outside all of them. */
  nameOf(address: bigint): string | undefined {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.sorted[middle].address <= address) low = middle + 1;
      else high = middle;
    }
    // A label of size 0 (assembly) extends to the next symbol; a sized one before it may reach further.
    for (let i = low - 1; i >= 0 && i >= low - 8; i--) {
      const { name, address: start, bytes } = this.sorted[i];
      const offset = address - start;
      // A label at an end marks only that address.
      if (bytes === 0 && offset > 0n && name.endsWith("_end")) return undefined;
      if (bytes === 0 ? offset < 0x1000n : offset < BigInt(bytes))
        return offset === 0n ? name : `${name}+0x${offset.toString(16)}`;
    }
    return undefined;
  }
}
