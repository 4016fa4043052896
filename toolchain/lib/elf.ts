/**
 * ELF numbers that the linker writes and loaders on the node side read.
 * Source: System V ABI, chapters 4 and 5 (gABI), and its AMD64 supplement; Xen's elfnote.h for the PVH note.
 */
/** e_ident: offsets of the bytes after the magic, and their values in 64-bit little-endian files. */
export const enum ElfIdent {
  CLASS = 4,
  DATA = 5,
  VERSION = 6,
}
export const ELF_CLASS_64 = 2;
export const ELF_DATA_LSB = 1;
export const ELF_VERSION = 1;
export const ELF_MAGIC: readonly number[] = [0x7f, 0x45, 0x4c, 0x46];
export const enum ElfType {
  EXEC = 2,
  DYN = 3,
}
export const ELF_MACHINE_X86_64 = 62;
export const ELF_HEADER_BYTES = 64;
export const PROGRAM_HEADER_BYTES = 56;
export const SECTION_HEADER_BYTES = 64;
export const SYMBOL_BYTES = 24;
export const enum ProgramType {
  LOAD = 1,
  DYNAMIC = 2,
  INTERP = 3,
  NOTE = 4,
  GNU_STACK = 0x6474_e551,
}
export const enum ProgramFlag {
  X = 1,
  W = 2,
  R = 4,
}
export const DYNAMIC_BYTES = 16;
export const enum DynamicTag {
  NULL = 0,
  SYMBOLIC = 16,
}
export const enum SectionType {
  NULL = 0,
  PROGBITS = 1,
  SYMTAB = 2,
  STRTAB = 3,
  DYNAMIC = 6,
  NOTE = 7,
  NOBITS = 8,
}
export const enum SectionFlag {
  WRITE = 1,
  ALLOC = 2,
  EXECINSTR = 4,
}
export const enum SymbolType {
  NOTYPE = 0,
  OBJECT = 1,
  FUNC = 2,
}
export const enum SymbolBinding {
  LOCAL = 0,
  GLOBAL = 1,
}
export const SECTION_INDEX_ABS = 0xfff1;
/** Note of name "Xen" that holds the 32-bit physical address of the PVH entry. */
export const XEN_ELFNOTE_PHYS32_ENTRY = 18;
