/** Symbols of an ELF64 image, by name and by address. Source: ELF-64 object file format 1.5, sections 3 and 5. A stripped image has none. */
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
  /** Ascending by address; code and data. */
  private readonly sorted: readonly ElfSymbol[];
  private readonly byName = new Map<string, ElfSymbol>();

  constructor(symbols: readonly ElfSymbol[]) {
    this.sorted = [...symbols].sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
    for (const symbol of symbols) if (!this.byName.has(symbol.name)) this.byName.set(symbol.name, symbol);
  }

  static readonly empty = new SymbolTable([]);

  /** Never throws: what cannot be read yields fewer symbols. */
  static fromElf(bytes: Uint8Array): SymbolTable {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const symbols: ElfSymbol[] = [];
    if (bytes.length < 64 || view.getUint32(0, false) !== 0x7f45_4c46) return SymbolTable.empty;
    const table = Number(view.getBigUint64(40, true));
    const entryBytes = view.getUint16(58, true);
    const count = view.getUint16(60, true);
    const inFile = (offset: number, length: number) => offset >= 0 && offset + length <= bytes.length;
    if (!inFile(table, count * entryBytes) || entryBytes < 64) return SymbolTable.empty;
    const section = (index: number) => {
      const at = table + index * entryBytes;
      return {
        type: view.getUint32(at + 4, true),
        offset: Number(view.getBigUint64(at + 24, true)),
        bytes: Number(view.getBigUint64(at + 32, true)),
        link: view.getUint32(at + 40, true),
      };
    };
    for (let i = 0; i < count; i++) {
      const symtab = section(i);
      if (symtab.type !== SHT_SYMTAB || symtab.link >= count) continue;
      const strings = section(symtab.link);
      if (!inFile(symtab.offset, symtab.bytes) || !inFile(strings.offset, strings.bytes)) continue;
      for (let at = symtab.offset; at + 24 <= symtab.offset + symtab.bytes; at += 24) {
        const type = bytes[at + 4] & 0xf;
        if ((type !== TYPE_OBJECT && type !== TYPE_FUNCTION && type !== TYPE_NONE) || view.getUint16(at + 6, true) === SHN_UNDEF) continue;
        const name = cString(bytes, strings.offset + view.getUint32(at, true), strings.offset + strings.bytes);
        if (name === "") continue;
        symbols.push({ name, address: view.getBigUint64(at + 8, true), bytes: Number(view.getBigUint64(at + 16, true)) });
      }
    }
    return new SymbolTable(symbols);
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
    // A label of size 0 (assembly) holds up to the next symbol; a sized one before it may reach further.
    for (let i = low - 1; i >= 0 && i >= low - 8; i--) {
      const { name, address: start, bytes } = this.sorted[i];
      const offset = address - start;
      if (bytes === 0 ? offset < 0x1000n : offset < BigInt(bytes)) return offset === 0n ? name : `${name}+0x${offset.toString(16)}`;
    }
    return undefined;
  }
}

function cString(bytes: Uint8Array, start: number, end: number): string {
  let stop = start;
  while (stop < end && stop < bytes.length && bytes[stop] !== 0) stop++;
  return new TextDecoder().decode(bytes.subarray(start, stop));
}
