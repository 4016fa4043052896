/**
 * Interposition of Unicorn's own helper functions. Unicorn has no hooks for RDTSC, RDMSR, WRMSR, INVLPG and the control
 * registers. But its build exports the helpers that translated code calls for them, and takes their addresses from the
 * global offset table. So a slot of that table can point to one of our callbacks. The slots belong to the whole
 * process.
 */
import { closeSync, openSync, readSync } from "node:fs";
import koffi from "koffi";
import { type Address, type CallbackKind, registerCallback, viewMemory } from "./binding.ts";
import { loadLibrary, UnicornUnavailable } from "./library.ts";

interface Slot {
  /** Address of the slot and value of the symbol, both relative to the load address of the library. */
  readonly slot: number;
  readonly symbolValue: number;
}

// ELF64 (System V ABI, AMD64 supplement): layout of a relocation and of a dynamic symbol.
const SECTION_RELA = 4;
const SECTION_DYNAMIC_SYMBOLS = 11;
const SECTION_GNU_HASH = 0x6fff_fff6;
const RELA_WORDS = 6;
const SYMBOL_WORDS = 6;
const R_X86_64_64 = 1;
const R_X86_64_GLOB_DAT = 6;
const R_X86_64_JUMP_SLOT = 7;

let mprotect: ((address: Address, bytes: number, protection: number) => number) | undefined;
let library: LibraryFile | undefined;

/**
 * The symbols and relocations in the library's file. It has 20 MB, 30,000 symbols and 75,000 relocations, and a run
 * needs a dozen of them. So only the relevant sections are read, as 32-bit words; names are found by the hash table of
 * the dynamic linker, and relocations are chained by symbol in one pass.
 */
class LibraryFile {
  private readonly symbols: Uint32Array;
  private readonly strings: Buffer;
  private readonly hash: Uint32Array;
  /** Words of all relocations, one section after the other. */
  private readonly relocations: readonly Uint32Array[];
  /** First relocation of a symbol, and the next one of the same symbol, as index + 1; 0: none. */
  private readonly first: readonly Uint32Array[];
  private readonly next: readonly Uint32Array[];

  constructor(private readonly path: string) {
    const file = openSync(path, "r");
    try {
      const read = (offset: number, size: number): Buffer => this.read(file, offset, size);
      const header = read(0, 64);
      const sectionBytes = header.readUInt16LE(58);
      const table = read(Number(header.readBigUInt64LE(40)), sectionBytes * header.readUInt16LE(60));
      const sections = Array.from({ length: header.readUInt16LE(60) }, (_, index) => {
        const at = index * sectionBytes;
        const [type, link] = [table.readUInt32LE(at + 4), table.readUInt32LE(at + 40)];
        return {
          type,
          link,
          offset: Number(table.readBigUInt64LE(at + 24)),
          size: Number(table.readBigUInt64LE(at + 32)),
        };
      });
      const words = ({ offset, size }: { offset: number; size: number }): Uint32Array =>
        new Uint32Array(read(offset, size).buffer);
      const dynamic = sections.find((section) => section.type === SECTION_DYNAMIC_SYMBOLS);
      const hash = sections.find((section) => section.type === SECTION_GNU_HASH);
      if (!dynamic || !hash) throw new UnicornUnavailable(`${path} has no dynamic symbols`);
      this.symbols = words(dynamic);
      this.strings = read(sections[dynamic.link].offset, sections[dynamic.link].size);
      this.hash = words(hash);
      this.relocations = sections.filter(({ type }) => type === SECTION_RELA).map(words);
      const count = this.symbols.length / SYMBOL_WORDS;
      this.first = this.relocations.map(() => new Uint32Array(count));
      this.next = this.relocations.map((list) => new Uint32Array(list.length / RELA_WORDS));
      for (const i of this.relocations.keys()) chain(this.relocations[i], this.first[i], this.next[i]);
    } finally {
      closeSync(file);
    }
  }

  /** Slots that hold the address of `name`. */
  slots(name: string): readonly Slot[] {
    const symbol = this.find(name);
    const at = symbol * SYMBOL_WORDS;
    const symbolValue = this.symbols[at + 3] * 2 ** 32 + this.symbols[at + 2];
    const slots: Slot[] = [];
    for (const [i, words] of this.relocations.entries())
      for (let r = this.first[i][symbol]; symbol !== 0 && r !== 0; r = this.next[i][r - 1]) {
        const word = (r - 1) * RELA_WORDS;
        slots.push({ slot: words[word + 1] * 2 ** 32 + words[word], symbolValue });
      }
    return slots;
  }

  /** Index of a symbol, 0 = none. Source: the GNU hash section, glibc elf/dl-lookup.c. */
  private find(name: string): number {
    let wanted = 5381;
    for (let i = 0; i < name.length; i++) wanted = (Math.imul(wanted, 33) + name.charCodeAt(i)) >>> 0;
    const [buckets, offset, bloomWords] = this.hash;
    const firstBucket = 4 + 2 * bloomWords;
    const firstChain = firstBucket + buckets;
    let symbol = this.hash[firstBucket + (wanted % buckets)];
    if (symbol < offset) return 0;
    for (; ; symbol++) {
      const hash = this.hash[firstChain + symbol - offset];
      // The lowest bit marks the end of the chain.
      if ((hash | 1) === (wanted | 1) && this.isNamed(symbol, name)) return symbol;
      if (hash & 1) return 0;
    }
  }
  private isNamed(symbol: number, name: string): boolean {
    const at = this.symbols[symbol * SYMBOL_WORDS];
    return this.strings.toString("latin1", at, at + name.length) === name && this.strings[at + name.length] === 0;
  }

  private read(file: number, offset: number, size: number): Buffer {
    // A separate buffer, aligned for views of words.
    const bytes = Buffer.from(new ArrayBuffer(size));
    for (let done = 0; done < size; ) {
      const count = readSync(file, bytes, done, size - done, offset + done);
      if (count === 0) throw new UnicornUnavailable(`${this.path} is cut short`);
      done += count;
    }
    return bytes;
  }
}

function chain(words: Uint32Array, first: Uint32Array, next: Uint32Array): void {
  for (let at = 0, index = 0; at < words.length; at += RELA_WORDS, index++) {
    const symbol = words[at + 3];
    // Most are relative to the library and name no symbol.
    if (symbol === 0) continue;
    const type = words[at + 2];
    if (type !== R_X86_64_64 && type !== R_X86_64_GLOB_DAT && type !== R_X86_64_JUMP_SLOT) continue;
    next[index] = first[symbol];
    first[symbol] = index + 1;
  }
}

/**
 * Makes every slot of `symbol` point to `callback`. Must be called before the first instance is opened, which copies
 * the addresses.
 */
export function interpose(symbol: string, kind: CallbackKind, callback: (...parameters: never[]) => unknown): void {
  interposeAddress(symbol, registerCallback(kind, callback));
}

/** As `interpose`, for a C function. */
export function interposeAddress(symbol: string, target: Address): void {
  const { path, handle } = loadLibrary();
  library ??= new LibraryFile(path);
  const slots = library.slots(symbol);
  if (slots.length === 0) throw new UnicornUnavailable(`${path} does not let ${symbol} be replaced (another build?)`);
  mprotect ??= koffi.load("libc.so.6").func("int mprotect(uint64_t address, size_t bytes, int protection)");
  const symbolAddress: Address = Number(handle.symbol(symbol));
  for (const { slot, symbolValue } of slots) {
    const address = symbolAddress - symbolValue + slot;
    const readWrite = 3;
    if (mprotect(address - (address % 4096), 4096, readWrite) !== 0)
      throw new UnicornUnavailable(`cannot write the slot of ${symbol}`);
    new BigUint64Array(viewMemory(address, 8))[0] = BigInt(target);
  }
}
