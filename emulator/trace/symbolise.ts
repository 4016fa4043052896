/**
 * Addresses for people: symbol and source line, over any number of disjoint images (kernel, init, program).
 * `Backtraces` reads a guest's text, line by line, and explains its dumps: the kernel has no symbols and prints
 * addresses only.
 */
import { LineTable } from "./lines.ts";
import { SymbolTable } from "./symbols.ts";

export class Symboliser {
  private readonly images: readonly { readonly symbols: SymbolTable; readonly lines: LineTable }[];

  constructor(elfs: readonly Uint8Array[]) {
    this.images = elfs.map((elf) => ({ symbols: SymbolTable.fromElf(elf), lines: LineTable.fromElf(elf) }));
  }

  /** "space_free+0x12" */
  nameOf(address: bigint): string | undefined {
    for (const { symbols } of this.images) {
      const name = symbols.nameOf(address);
      if (name !== undefined) return name;
    }
    return undefined;
  }

  /** "kernel/mm/space.ts:88" */
  sourceOf(address: bigint): string | undefined {
    for (const { lines } of this.images) {
      const source = lines.sourceOf(address);
      if (source !== undefined) return source;
    }
    return undefined;
  }

  /** "space_free+0x12, kernel/mm/space.ts:88", or the known part of it; undefined: unknown. */
  describe(address: bigint): string | undefined {
    return this.describeAs(address, address);
  }

  /** A return address is after its call: returns the call's line. */
  describeReturn(address: bigint): string | undefined {
    return this.describeAs(address, address - 1n);
  }

  private describeAs(address: bigint, at: bigint): string | undefined {
    for (const { symbols, lines } of this.images) {
      const parts = [symbols.nameOf(address), lines.sourceOf(at)].filter((part) => part !== undefined);
      if (parts.length > 0) return parts.join(", ");
    }
    return undefined;
  }
}

const ADDRESS = /\b(?:0x)?([0-9a-f]{16})\b/g;

/** One for each stream of text. */
export class Backtraces {
  private rip: bigint | undefined;

  constructor(private readonly symboliser: Symboliser) {}

  /**
   * Lines to print behind `line`: one for each address of a backtrace,
   * `    0xffffffff80012345 panic+0x12, kernel/core/panic.ts:30`.
   */
  explain(line: string): readonly string[] {
    const rip = /\brip=(?:0x)?([0-9a-f]{16})\b/.exec(line);
    if (rip !== null) this.rip = BigInt(`0x${rip[1]}`);
    const at = line.indexOf("backtrace:");
    if (at < 0) return [];
    const explained: string[] = [];
    for (const match of line.slice(at).matchAll(ADDRESS)) {
      const address = BigInt(`0x${match[1]}`);
      // Below the registers the first address is the interrupted instruction itself; all others are return addresses.
      const text =
        explained.length === 0 && address === this.rip
          ? this.symboliser.describe(address)
          : this.symboliser.describeReturn(address);
      explained.push(`    0x${match[1]} ${text ?? "?"}`);
    }
    this.rip = undefined;
    return explained;
  }
}
