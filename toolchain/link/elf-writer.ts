/**
 * Writes ELF64: header, program headers, the segments' bytes (at file offsets congruent to their addresses modulo the
 * page), the PVH note of kernels, symbols, and the debug sections, which are not loaded.
 */
import {
  DYNAMIC_BYTES,
  DynamicTag,
  ELF_CLASS_64,
  ELF_DATA_LSB,
  ELF_HEADER_BYTES,
  ELF_MACHINE_X86_64,
  ELF_MAGIC,
  ELF_VERSION,
  ElfType,
  PROGRAM_HEADER_BYTES,
  ProgramFlag,
  ProgramType,
  SECTION_HEADER_BYTES,
  SECTION_INDEX_ABS,
  SYMBOL_BYTES,
  SectionFlag,
  SectionType,
  SymbolBinding,
  SymbolType,
  XEN_ELFNOTE_PHYS32_ENTRY,
} from "../lib/elf.ts";
import { type OutputSection, PAGE, type PlacedImage } from "./layout.ts";
import type { Layout } from "./object.ts";
import { ByteWriter } from "./writer.ts";

interface ProgramHeader {
  type: number;
  flags: number;
  offset: number;
  virtual: bigint;
  physical: bigint;
  fileBytes: bigint;
  memoryBytes: bigint;
  align: bigint;
}
interface SectionHeader {
  name: string;
  type: number;
  flags: number;
  address: bigint;
  offset: number;
  size: bigint;
  link: number;
  info: number;
  align: bigint;
  entryBytes: number;
}

export interface ElfInput {
  readonly image: PlacedImage;
  readonly layout: Layout;
  /** Bytes of each section, in the order of image.sections; null for zero data. */
  readonly contents: readonly (Uint8Array | null)[];
  /** Sections that are not loaded, by name. */
  readonly debug: readonly (readonly [name: string, bytes: Uint8Array])[];
}

/** Name, descriptor and type of the note that gives a PVH loader the 32-bit physical entry. */
function pvhNote(entry: bigint): Uint8Array {
  const out = new ByteWriter();
  out.u32(4);
  out.u32(8);
  out.u32(XEN_ELFNOTE_PHYS32_ENTRY);
  out.string("Xen");
  out.u64(entry);
  return out.take();
}

export function writeElf({ image, layout, contents, debug }: ElfInput): Uint8Array {
  const out = new ByteWriter();
  const entry = image.addresses.get(layout.entry) ?? 0n;
  const programs: ProgramHeader[] = [];
  const sections: SectionHeader[] = [header("", SectionType.NULL)];
  const programCount = (layout.kind === "flat" ? 1 : image.segments.length) + (layout.kind === "flat" ? 0 : 1);
  out.pad(ELF_HEADER_BYTES + programCount * PROGRAM_HEADER_BYTES);
  if (layout.kind === "kernel") {
    out.align(8);
    const note = pvhNote(entry - layout.base);
    const size = BigInt(note.length);
    programs.push({
      type: ProgramType.NOTE,
      flags: ProgramFlag.R,
      offset: out.length,
      virtual: 0n,
      physical: 0n,
      fileBytes: size,
      memoryBytes: size,
      align: 4n,
    });
    sections.push({ ...header(".note.Xen", SectionType.NOTE), offset: out.length, size, align: 4n });
    out.bytes(note);
  }
  if (layout.kind === "program") {
    const flags = ProgramFlag.R | ProgramFlag.W;
    programs.push({
      type: ProgramType.GNU_STACK,
      flags,
      offset: 0,
      virtual: 0n,
      physical: 0n,
      fileBytes: 0n,
      memoryBytes: 0n,
      align: 16n,
    });
  }
  const indexOf = new Map<OutputSection, number>();
  for (const segment of image.segments) {
    const first = segment.sections[0];
    const last = segment.sections[segment.sections.length - 1];
    // A flat image need not start on a page boundary, but its companion is mapped like every ELF.
    out.align(Number(PAGE));
    out.pad(out.length + Number(first.address % PAGE));
    const base = out.length;
    let fileEnd = first.address;
    for (const section of segment.sections) {
      const bytes = contents[image.sections.indexOf(section)];
      const offset = base + Number(section.address - first.address);
      if (bytes !== null) {
        out.pad(offset);
        out.bytes(bytes);
        fileEnd = section.address + section.size;
      }
      indexOf.set(section, sections.length);
      const flags =
        SectionFlag.ALLOC |
        ((section.flags & ProgramFlag.W) !== 0 ? SectionFlag.WRITE : 0) |
        ((section.flags & ProgramFlag.X) !== 0 ? SectionFlag.EXECINSTR : 0);
      const type = bytes === null ? SectionType.NOBITS : SectionType.PROGBITS;
      sections.push({
        ...header(section.name, type),
        flags,
        address: section.address,
        offset,
        size: section.size,
        align: section.align,
      });
    }
    programs.push({
      type: ProgramType.LOAD,
      flags: segment.flags,
      offset: base,
      virtual: first.address,
      physical: first.address - layout.base,
      fileBytes: fileEnd - first.address,
      memoryBytes: last.address + last.size - first.address,
      align: PAGE,
    });
  }
  writeSymbols(out, sections, image, indexOf);
  for (const [name, bytes] of debug) {
    sections.push({ ...header(name, SectionType.PROGBITS), offset: out.length, size: BigInt(bytes.length) });
    out.bytes(bytes);
  }
  return finish(out, programs, sections, layout, entry);
}

const header = (name: string, type: number): SectionHeader => ({
  name,
  type,
  flags: 0,
  address: 0n,
  offset: 0,
  size: 0n,
  link: 0,
  info: 0,
  align: type === SectionType.NULL ? 0n : 1n,
  entryBytes: 0,
});

function writeSymbols(
  out: ByteWriter,
  sections: SectionHeader[],
  image: PlacedImage,
  indexOf: ReadonlyMap<OutputSection, number>,
): void {
  const names = new ByteWriter();
  names.u8(0);
  out.align(8);
  const offset = out.length;
  out.pad(offset + SYMBOL_BYTES);
  const symbol = (name: string, type: number, section: number, value: bigint, size: number): void => {
    out.u32(names.length);
    names.string(name);
    out.u8((SymbolBinding.GLOBAL << 4) | type);
    out.u8(0);
    out.u16(section);
    out.u64(value);
    out.u64(BigInt(size));
  };
  for (const section of image.sections) {
    for (const { chunk, address } of section.chunks) {
      symbol(
        chunk.symbol,
        chunk.isFunction ? SymbolType.FUNC : SymbolType.OBJECT,
        indexOf.get(section) ?? 0,
        address,
        chunk.size,
      );
      // Without a type, as GNU as does it: the enclosing function has the size.
      for (const label of chunk.labels ?? [])
        if (label.called)
          symbol(label.name, SymbolType.NOTYPE, indexOf.get(section) ?? 0, address + BigInt(label.offset), 0);
    }
  }
  for (const name of image.linkerSymbols)
    symbol(name, SymbolType.NOTYPE, SECTION_INDEX_ABS, image.addresses.get(name) ?? 0n, 0);
  const size = BigInt(out.length - offset);
  const link = sections.length + 1;
  sections.push({
    ...header(".symtab", SectionType.SYMTAB),
    offset,
    size,
    link,
    info: 1,
    align: 8n,
    entryBytes: SYMBOL_BYTES,
  });
  sections.push({ ...header(".strtab", SectionType.STRTAB), offset: out.length, size: BigInt(names.length) });
  out.bytes(names.take());
  writeDynamic(out, sections, link);
}

/**
 * `DT_SYMBOLIC`: names are looked for in this image before others. Of several images in one address space gdb then
 * takes the frame's own first: a program's `write` in the program, the kernel's in the kernel. Not loaded.
 */
function writeDynamic(out: ByteWriter, sections: SectionHeader[], link: number): void {
  const entries = [DynamicTag.SYMBOLIC, DynamicTag.NULL];
  out.align(8);
  sections.push({
    ...header(".dynamic", SectionType.DYNAMIC),
    offset: out.length,
    size: BigInt(entries.length * DYNAMIC_BYTES),
    link,
    align: 8n,
    entryBytes: DYNAMIC_BYTES,
  });
  for (const tag of entries) {
    out.u64(BigInt(tag));
    out.u64(0n);
  }
}

function finish(
  out: ByteWriter,
  programs: ProgramHeader[],
  sections: SectionHeader[],
  layout: Layout,
  entry: bigint,
): Uint8Array {
  const names = new ByteWriter();
  const nameIndex = sections.length;
  sections.push({ ...header(".shstrtab", SectionType.STRTAB), offset: out.length });
  const nameOffsets = sections.map((section) => {
    const at = names.length;
    names.string(section.name);
    return at;
  });
  sections[nameIndex].size = BigInt(names.length);
  out.bytes(names.take());
  out.align(8);
  const sectionTable = out.length;
  sections.forEach((section, i) => {
    out.u32(nameOffsets[i]);
    out.u32(section.type);
    out.u64(BigInt(section.flags));
    out.u64(section.address);
    out.u64(BigInt(section.offset));
    out.u64(section.size);
    out.u32(section.link);
    out.u32(section.info);
    out.u64(section.align);
    out.u64(BigInt(section.entryBytes));
  });
  const head = new ByteWriter();
  for (const byte of ELF_MAGIC) head.u8(byte);
  head.u8(ELF_CLASS_64);
  head.u8(ELF_DATA_LSB);
  head.u8(ELF_VERSION);
  head.pad(16);
  head.u16(ElfType.EXEC);
  head.u16(ELF_MACHINE_X86_64);
  head.u32(ELF_VERSION);
  // For a kernel, this field holds the physical entry.
  head.u64(entry - layout.base);
  head.u64(BigInt(ELF_HEADER_BYTES));
  head.u64(BigInt(sectionTable));
  head.u32(0);
  head.u16(ELF_HEADER_BYTES);
  head.u16(PROGRAM_HEADER_BYTES);
  head.u16(programs.length);
  head.u16(SECTION_HEADER_BYTES);
  head.u16(sections.length);
  head.u16(nameIndex);
  for (const program of programs) {
    head.u32(program.type);
    head.u32(program.flags);
    head.u64(BigInt(program.offset));
    head.u64(program.virtual);
    head.u64(program.physical);
    head.u64(program.fileBytes);
    head.u64(program.memoryBytes);
    head.u64(program.align);
  }
  const file = out.take();
  file.set(head.take());
  return file;
}
