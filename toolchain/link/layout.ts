/**
 * Which chunks go into the image and where: reachability from the entry and the kept chunks, output sections in a fixed
 * order, addresses, and the symbols defined by the linker.
 *
 * Every section name is a separate output section. Order: `.header` (flat images), `.boot.*`, then code, read-only
 * data, data, zero data; within each the standard section, its dotted relatives by name, and custom ones by name. A
 * section's permissions follow from its chunks. In kernels and programs a change of permission starts a new page.
 */
import { ProgramFlag } from "../lib/elf.ts";
import type { Chunk, Layout, ObjectModule } from "./object.ts";

/** The link failed; `problems` holds one readable line for each problem. */
export class LinkError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

export const PAGE = 4096n;
export interface PlacedChunk {
  readonly chunk: Chunk;
  readonly address: bigint;
}
export interface OutputSection {
  readonly name: string;
  readonly address: bigint;
  /** Bytes. */
  readonly size: bigint;
  readonly align: bigint;
  /** ProgramFlag bits. */
  readonly flags: number;
  /** All bytes are zero and not in the file. */
  readonly zero: boolean;
  readonly chunks: readonly PlacedChunk[];
}
/** Sections of equal permissions, loaded together. */
export interface Segment {
  readonly flags: number;
  readonly sections: readonly OutputSection[];
}
export interface PlacedImage {
  /** Ascending by address; empty standard sections are left out. */
  readonly sections: readonly OutputSection[];
  readonly segments: readonly Segment[];
  /** Values of all symbols, including the linker's own. */
  readonly addresses: ReadonlyMap<string, bigint>;
  readonly linkerSymbols: readonly string[];
  readonly start: bigint;
  readonly end: bigint;
}

const STANDARD: readonly string[] = [".text", ".rodata", ".data", ".bss"];

const boundsOf = (section: string): [start: string, end: string] => {
  const name = section.replace(/^\./, "").replaceAll(/[^A-Za-z0-9_]/g, "_");
  return [`__${name}_start`, `__${name}_end`];
};

/** Chunks that the image needs, in module order; undefined symbols are problems. */
function reachable(object: ObjectModule, layout: Layout, problems: string[]): Chunk[] {
  const bySymbol = new Map<string, Chunk>();
  const bySection = new Map<string, Chunk[]>();
  for (const chunk of object.chunks) {
    if (bySymbol.has(chunk.symbol)) problems.push(`symbol '${chunk.symbol}' is defined twice`);
    bySymbol.set(chunk.symbol, chunk);
    const list = bySection.get(chunk.section);
    if (list) list.push(chunk);
    else bySection.set(chunk.section, [chunk]);
  }
  // A reference to the bounds of a custom section keeps its chunks, so tables can be collected by section name.
  const bounds = new Map<string, readonly Chunk[]>();
  for (const name of STANDARD) for (const bound of boundsOf(name)) bounds.set(bound, []);
  for (const [name, chunks] of bySection) {
    if (!STANDARD.includes(name)) for (const bound of boundsOf(name)) bounds.set(bound, chunks);
  }
  bounds.set("__image_start", []).set("__image_end", []);

  const wanted = new Set<Chunk>();
  const undefinedSymbols = new Map<string, Set<string>>();
  const work: Chunk[] = [];
  const want = (chunk: Chunk): void => {
    if (wanted.has(chunk)) return;
    wanted.add(chunk);
    work.push(chunk);
  };
  const refer = (symbol: string, from: string): void => {
    const chunk = bySymbol.get(symbol);
    if (chunk) {
      want(chunk);
      return;
    }
    const gathered = bounds.get(symbol);
    if (gathered) {
      gathered.forEach(want);
      return;
    }
    const referrers = undefinedSymbols.get(symbol);
    if (referrers) referrers.add(from);
    else undefinedSymbols.set(symbol, new Set([from]));
  };
  refer(layout.entry, "the entry of the image");
  for (const chunk of object.chunks) if (chunk.keep) want(chunk);
  for (let chunk = work.pop(); chunk !== undefined; chunk = work.pop()) {
    for (const { expression } of chunk.relocations) {
      refer(expression.plus, chunk.symbol);
      if (expression.minus !== null) refer(expression.minus, chunk.symbol);
    }
  }
  for (const [symbol, referrers] of undefinedSymbols) {
    const names = [...referrers].sort();
    const shown = names.slice(0, 4).join(", ") + (names.length > 4 ? ` and ${names.length - 4} more` : "");
    problems.push(`symbol '${symbol}' is not defined; referred to by ${shown}`);
  }
  return object.chunks.filter((chunk) => wanted.has(chunk));
}

interface Draft {
  name: string;
  chunks: Chunk[];
  flags: number;
  zero: boolean;
}

function draft(name: string, chunks: Chunk[]): Draft {
  const standard = name === ".text" ? ProgramFlag.X : name === ".data" || name === ".bss" ? ProgramFlag.W : 0;
  let flags = ProgramFlag.R | (chunks.length === 0 ? standard : 0);
  for (const chunk of chunks) {
    if (chunk.isFunction) flags |= ProgramFlag.X;
    else if (!chunk.readonly) flags |= ProgramFlag.W;
  }
  return {
    name,
    chunks,
    flags,
    zero: chunks.length === 0 ? name === ".bss" : chunks.every((chunk) => chunk.bytes === null),
  };
}

/** Sort key: position of the section in the image. */
function rank(section: Draft, layout: Layout): string {
  const { name, flags, zero } = section;
  const permission =
    (flags & ProgramFlag.X) !== 0
      ? (flags & ProgramFlag.W) !== 0
        ? 1
        : 0
      : (flags & ProgramFlag.W) === 0
        ? 2
        : zero
          ? 4
          : 3;
  const place =
    layout.kind === "flat" && name === ".header" ? 0 : name === ".boot" || name.startsWith(".boot.") ? 1 : 2;
  const standard = STANDARD.indexOf(name);
  const relative = STANDARD.some((base) => name.startsWith(`${base}.`));
  return `${place}${permission}${standard !== -1 ? 0 : relative ? 1 : 2}${name}`;
}

const alignUp = (value: bigint, alignment: bigint): bigint => ((value + alignment - 1n) / alignment) * alignment;

export function place(object: ObjectModule, layout: Layout): PlacedImage {
  const problems: string[] = [];
  const chunks = reachable(object, layout, problems);
  const paged = layout.kind !== "flat";
  if (paged && layout.address % PAGE !== 0n)
    problems.push(`image address 0x${layout.address.toString(16)} is not at the start of a page`);
  for (const chunk of chunks) {
    if (chunk.align < 1 || (chunk.align & (chunk.align - 1)) !== 0)
      problems.push(`${chunk.symbol}: alignment ${chunk.align} is no power of two`);
    if (chunk.bytes !== null && chunk.bytes.length > chunk.size)
      problems.push(`${chunk.symbol}: ${chunk.bytes.length} bytes in a size of ${chunk.size}`);
    if (chunk.bytes === null && chunk.relocations.length > 0)
      problems.push(`${chunk.symbol}: zero data with relocations`);
  }
  if (problems.length > 0) throw new LinkError(problems);

  const groups = new Map<string, Chunk[]>(STANDARD.map((name) => [name, []]));
  for (const chunk of chunks) {
    const list = groups.get(chunk.section);
    if (list) list.push(chunk);
    else groups.set(chunk.section, [chunk]);
  }
  const drafts = [...groups].map(([name, list]) => draft(name, list));
  const keyed = drafts
    .map((section): [string, Draft] => [rank(section, layout), section])
    .sort(([a], [b]) => (a < b ? -1 : 1));

  const addresses = new Map<string, bigint>();
  const linkerSymbols: string[] = [];
  const define = (symbol: string, value: bigint): void => {
    // A symbol of the program wins over a section's symbol of the same name.
    if (addresses.has(symbol)) return;
    addresses.set(symbol, value);
    linkerSymbols.push(symbol);
  };
  const sections: OutputSection[] = [];
  const segments: { flags: number; sections: OutputSection[] }[] = [];
  let cursor = layout.address;
  for (const [, { name, chunks: members, flags, zero }] of keyed) {
    let segment = segments[segments.length - 1];
    if (
      members.length > 0 &&
      (segment === undefined || (paged && (segment.flags !== flags || endsInZeros(segment.sections, zero))))
    ) {
      if (paged) cursor = alignUp(cursor, PAGE);
      segment = { flags, sections: [] };
      segments.push(segment);
    }
    const align = members.reduce((most, chunk) => (BigInt(chunk.align) > most ? BigInt(chunk.align) : most), 1n);
    cursor = alignUp(cursor, align);
    const address = cursor;
    const placed: PlacedChunk[] = [];
    for (const chunk of members) {
      cursor = alignUp(cursor, BigInt(chunk.align));
      placed.push({ chunk, address: cursor });
      addresses.set(chunk.symbol, cursor);
      cursor += BigInt(chunk.size);
    }
    const [start, end] = boundsOf(name);
    define(start, address);
    define(end, cursor);
    if (members.length === 0) continue;
    const section = { name, address, size: cursor - address, align, flags, zero, chunks: placed };
    sections.push(section);
    segment.flags |= flags;
    segment.sections.push(section);
  }
  define("__image_start", layout.address);
  define("__image_end", cursor);
  return { sections, segments, addresses, linkerSymbols, start: layout.address, end: cursor };
}

/** Zero data ends a segment's bytes in the file, so no file data can follow it. */
const endsInZeros = (sections: readonly OutputSection[], nextIsZero: boolean): boolean =>
  sections.length > 0 && sections[sections.length - 1].zero && !nextIsZero;
