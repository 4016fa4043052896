/**
 * The linker: chunks in, image out. The parts: layout.ts selects and places, relocate.ts fills in fields, debug-info.ts
 * and its parts write debug information, elf-writer.ts writes the file. Equal input gives equal bytes.
 */
import { debugSections } from "./debug-info.ts";
import { writeElf } from "./elf-writer.ts";
import { LinkError, type PlacedImage, place } from "./layout.ts";
import type { Layout, LinkedImage, LinkedSymbol, ObjectModule } from "./object.ts";
import { relocateSection } from "./relocate.ts";

export { LinkError } from "./layout.ts";

/** Throws a LinkError with every problem found: undefined and duplicate symbols, fields that overflow, bad chunks. */
export function link(object: ObjectModule, layout: Layout): LinkedImage {
  const image = place(object, layout);
  const problems: string[] = [];
  const contents = image.sections.map((section) =>
    section.zero && layout.kind !== "flat" ? null : relocateSection(section, image, problems),
  );
  if (problems.length > 0) throw new LinkError(problems);
  const elf = writeElf({ image, layout, contents, debug: debugSections(object, image) });
  return {
    elf,
    flat: layout.kind === "flat" ? flatten(image, contents) : null,
    symbols: symbolsOf(image),
    map: mapOf(object, image),
  };
}

function flatten(image: PlacedImage, contents: readonly (Uint8Array | null)[]): Uint8Array {
  const flat = new Uint8Array(Number(image.end - image.start));
  for (const [i, section] of image.sections.entries())
    flat.set(contents[i] ?? [], Number(section.address - image.start));
  return flat;
}

/** Sorted by address; the linker's own symbols are only in .symtab. */
const symbolsOf = (image: PlacedImage): LinkedSymbol[] =>
  image.sections.flatMap((section) =>
    section.chunks.map(({ chunk, address }) => ({
      name: chunk.symbol,
      sourceName: chunk.sourceName,
      address,
      size: chunk.size,
      section: section.name,
      isFunction: chunk.isFunction,
    })),
  );

function mapOf(object: ObjectModule, image: PlacedImage): string {
  const lines = [`# link map of ${object.name}`, "# address          size     section              symbol"];
  const row = (address: bigint, size: bigint, section: string, symbol: string, source: string): void => {
    const at = `${address.toString(16).padStart(16, "0")} ${size.toString(16).padStart(8, "0")}`;
    const text = `${at} ${section.padEnd(20)} ${symbol}`;
    lines.push(source === "" ? text.trimEnd() : `${text}  ${source}`);
  };
  for (const section of image.sections) {
    row(section.address, section.size, section.name, "", "");
    for (const { chunk, address } of section.chunks) {
      const first = chunk.lines.find(({ file }) => file >= 0);
      row(
        address,
        BigInt(chunk.size),
        section.name,
        chunk.symbol,
        first === undefined ? "" : `${object.files[first.file]}:${first.line}`,
      );
    }
  }
  for (const name of image.linkerSymbols) row(image.addresses.get(name) ?? 0n, 0n, "-", name, "");
  return `${lines.join("\n")}\n`;
}
