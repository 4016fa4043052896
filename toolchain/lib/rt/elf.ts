/**
 * The ELF64 loader: first checks a whole image, then calls back to place each segment. Shared by init (the job's
 * program) and the kernel (boot modules). Source: System V ABI, gABI 4.1 chapters 4 and 5; AMD64 supplement.
 *
 * Loads executables (ET_EXEC) and position-independent ones (ET_DYN, at the caller's base). For a program that names an
 * interpreter (PT_INTERP: the dynamic linker), the caller loads that file too. No relocation is applied here.
 */
import { memcpy } from "./memory.ts";

export const enum ElfError {
  OK = 0,
  TRUNCATED = 1,
  NOT_ELF = 2,
  NOT_64_BIT = 3,
  NOT_X86_64 = 4,
  NOT_EXECUTABLE = 5,
  BAD_PROGRAM_HEADERS = 6,
  BAD_SEGMENT = 7,
  BAD_ADDRESS = 8,
  BAD_ENTRY = 9,
  BAD_INTERPRETER = 10,
  NO_MEMORY = 11,
}
export const enum SegmentFlag {
  EXECUTE = 1,
  WRITE = 2,
  READ = 4,
}

export class ElfHeader {
  magic: u32 = 0;
  class_: u8 = 0;
  data: u8 = 0;
  identVersion: u8 = 0;
  osAbi: u8 = 0;
  padding: u64 = 0;
  type: u16 = 0;
  machine: u16 = 0;
  version: u32 = 0;
  entry: u64 = 0;
  programHeadersOffset: u64 = 0;
  sectionHeadersOffset: u64 = 0;
  flags: u32 = 0;
  headerBytes: u16 = 0;
  programHeaderBytes: u16 = 0;
  programHeaderCount: u16 = 0;
  sectionHeaderBytes: u16 = 0;
  sectionHeaderCount: u16 = 0;
  sectionNames: u16 = 0;
}
export class ProgramHeader {
  type: u32 = 0;
  flags: u32 = 0;
  offset: u64 = 0;
  address: u64 = 0;
  physicalAddress: u64 = 0;
  fileBytes: u64 = 0;
  memoryBytes: u64 = 0;
  align: u64 = 0;
}
/** What the program's start-up needs: entry, auxiliary vector, end of the program's data. */
export class ElfImage {
  entry: u64 = 0;
  /** Added to every address of the file; 0 for ET_EXEC. */
  base: u64 = 0;
  /** Address of the program headers in memory, 0 if no segment holds them. */
  programHeaders: u64 = 0;
  programHeaderCount: u64 = 0;
  lowest: u64 = 0;
  /** First byte after the highest segment, rounded up to a page: the start of the heap. */
  end: u64 = 0;
  tlsAddress: u64 = 0;
  tlsFileBytes: u64 = 0;
  tlsMemoryBytes: u64 = 0;
  tlsAlign: u64 = 0;
  /** File offset of the interpreter's path, which ends in a NUL; 0: the program names none. */
  interpreterOffset: u64 = 0;
}
/** Range in which segments may lie. */
export class ElfLimits {
  lowest: u64 = 0;
  end: u64 = 0;
  /** Base of ET_DYN images. */
  base: u64 = 0;
  /** Segments that are aligned to this get whole pages of this size; 0: none do. */
  largePageBytes: u64 = 0;
}

const ELF_MAGIC: u32 = 0x464c_457f;
const ELFCLASS64: u8 = 2;
const ELFDATA2LSB: u8 = 1;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_TLS: u32 = 7;
const PAGE_MASK: u64 = 4095;
const PROGRAM_HEADERS_MAX: u32 = 64;
const INTERPRETER_MAX_BYTES: u64 = 4096;

function headerOf(image: ptr<u8>, index: u32): ptr<ProgramHeader> {
  const header = cast<ptr<ElfHeader>>(image);
  return cast<ptr<ProgramHeader>>(addr(image[header.programHeadersOffset + u64(index) * sizeof<ProgramHeader>()]));
}

/** Linux's rule (fs/binfmt_elf.c): 1 to PATH_MAX bytes and a NUL at the very end. */
function isPath(text: ptr<u8>, lengthBytes: u64): boolean {
  return lengthBytes >= 2 && lengthBytes <= INTERPRETER_MAX_BYTES && text[lengthBytes - 1] === 0;
}

/**
 * Bytes of a file that `elfLoad` needs: up to the end of the last segment, according to the headers in the first
 * `prefixBytes` bytes. Symbols and debug information follow it. 0: the prefix is too short.
 */
export function elfFileBytes(prefix: ptr<u8>, prefixBytes: u64): u64 {
  const header = cast<ptr<ElfHeader>>(prefix);
  if (prefixBytes < sizeof<ElfHeader>() || header.magic !== ELF_MAGIC) return 0;
  const count: u32 = header.programHeaderCount;
  const tableBytes: u64 = u64(count) * sizeof<ProgramHeader>();
  if (header.programHeaderBytes !== sizeof<ProgramHeader>() || header.programHeadersOffset > prefixBytes) return 0;
  if (tableBytes > prefixBytes - header.programHeadersOffset) return 0;
  let end: u64 = header.programHeadersOffset + tableBytes;
  for (let i: u32 = 0; i < count; i++) {
    const p = headerOf(prefix, i);
    if (p.type !== PT_LOAD && p.type !== PT_TLS && p.type !== PT_INTERP) continue;
    const segmentEnd: u64 = p.offset + p.fileBytes;
    if (segmentEnd < p.offset) return 0;
    if (segmentEnd > end) end = segmentEnd;
  }
  return end;
}

/** A range of the file. */
export class FileRange {
  offset: u64 = 0;
  lengthBytes: u64 = 0;
}
/**
 * Where the interpreter's path lies in a file, by headers for which `elfFileBytes` is not 0. False: it names none.
 */
export function elfInterpreter(prefix: ptr<u8>, result: ptr<FileRange>): boolean {
  const count: u32 = cast<ptr<ElfHeader>>(prefix).programHeaderCount;
  for (let i: u32 = 0; i < count; i++) {
    const p = headerOf(prefix, i);
    if (p.type !== PT_INTERP) continue;
    result.offset = p.offset;
    result.lengthBytes = p.fileBytes;
    return true;
  }
  return false;
}

/** Checks everything that `elfLoad` relies on, and fills in `result`. Returns an ElfError. */
export function elfCheck(image: ptr<u8>, imageBytes: u64, limits: ptr<ElfLimits>, result: ptr<ElfImage>): u32 {
  if (imageBytes < 4) return ElfError.TRUNCATED;
  const header = cast<ptr<ElfHeader>>(image);
  if (header.magic !== ELF_MAGIC) return ElfError.NOT_ELF;
  if (imageBytes < sizeof<ElfHeader>()) return ElfError.TRUNCATED;
  if (header.class_ !== ELFCLASS64) return ElfError.NOT_64_BIT;
  if (header.data !== ELFDATA2LSB || header.machine !== EM_X86_64) return ElfError.NOT_X86_64;
  if (header.identVersion !== 1 || header.version !== 1) return ElfError.NOT_ELF;
  if (header.type !== ET_EXEC && header.type !== ET_DYN) return ElfError.NOT_EXECUTABLE;
  const count: u32 = header.programHeaderCount;
  if (header.programHeaderBytes !== sizeof<ProgramHeader>()) return ElfError.BAD_PROGRAM_HEADERS;
  if (count === 0 || count > PROGRAM_HEADERS_MAX) return ElfError.BAD_PROGRAM_HEADERS;
  if ((header.programHeadersOffset & 7) !== 0) return ElfError.BAD_PROGRAM_HEADERS;
  const tableBytes: u64 = u64(count) * sizeof<ProgramHeader>();
  if (header.programHeadersOffset > imageBytes || tableBytes > imageBytes - header.programHeadersOffset)
    return ElfError.TRUNCATED;

  zero(result);
  result.base = header.type === ET_DYN ? limits.base : 0;
  result.entry = header.entry + result.base;
  result.programHeaderCount = count;
  let previousEnd: u64 = 0;
  let loads: u32 = 0;
  let entryFound: boolean = false;
  for (let i: u32 = 0; i < count; i++) {
    const p = headerOf(image, i);
    if (p.type !== PT_LOAD && p.type !== PT_TLS && p.type !== PT_INTERP) continue;
    if (p.fileBytes > p.memoryBytes) return ElfError.BAD_SEGMENT;
    if (p.offset > imageBytes || p.fileBytes > imageBytes - p.offset) return ElfError.TRUNCATED;
    if (p.type === PT_INTERP) {
      if (!isPath(addr(image[p.offset]), p.fileBytes)) return ElfError.BAD_INTERPRETER;
      result.interpreterOffset = p.offset;
      continue;
    }
    const start: u64 = p.address + result.base;
    if (start < result.base) return ElfError.BAD_ADDRESS;
    if (p.type === PT_TLS) {
      result.tlsAddress = start;
      result.tlsFileBytes = p.fileBytes;
      result.tlsMemoryBytes = p.memoryBytes;
      result.tlsAlign = p.align;
      continue;
    }
    if (p.memoryBytes === 0) continue;
    if (((p.address - p.offset) & PAGE_MASK) !== 0) return ElfError.BAD_SEGMENT;
    if (start < limits.lowest || start >= limits.end || p.memoryBytes > limits.end - start) return ElfError.BAD_ADDRESS;
    // Each page has one permission, so segments must ascend and must not share pages.
    const firstPage: u64 = start & ~PAGE_MASK;
    if (loads > 0 && firstPage < previousEnd) return ElfError.BAD_SEGMENT;
    if (loads === 0) result.lowest = firstPage;
    previousEnd = (start + p.memoryBytes + PAGE_MASK) & ~PAGE_MASK;
    loads++;
    if ((p.flags & SegmentFlag.EXECUTE) !== 0 && result.entry >= start && result.entry < start + p.fileBytes)
      entryFound = true;
    if (header.programHeadersOffset >= p.offset && header.programHeadersOffset + tableBytes <= p.offset + p.fileBytes) {
      result.programHeaders = start + (header.programHeadersOffset - p.offset);
    }
  }
  if (loads === 0) return ElfError.BAD_PROGRAM_HEADERS;
  if (!entryFound) return ElfError.BAD_ENTRY;
  result.end = previousEnd;
  return ElfError.OK;
}

/** Pages of a segment in memory. */
class Extent {
  start: u64 = 0;
  end: u64 = 0;
}
/**
 * The pages of PT_LOAD `index` of a checked image: whole large pages if the segment is aligned to them, and where
 * neither the segments before it, which end at `previousEnd`, nor the next one are in the way.
 */
function extentOf(
  image: ptr<u8>,
  index: u32,
  limits: ptr<ElfLimits>,
  base: u64,
  previousEnd: u64,
  x: ptr<Extent>,
): void {
  const p = headerOf(image, index);
  x.start = (p.address + base) & ~PAGE_MASK;
  x.end = (p.address + base + p.memoryBytes + PAGE_MASK) & ~PAGE_MASK;
  const mask: u64 = limits.largePageBytes - 1;
  if (limits.largePageBytes === 0 || p.align < limits.largePageBytes || (base & mask) !== 0) return;
  const start: u64 = x.start & ~mask;
  if (start >= previousEnd && start >= limits.lowest) x.start = start;
  const count: u32 = cast<ptr<ElfHeader>>(image).programHeaderCount;
  let free: u64 = limits.end;
  for (let i: u32 = index + 1; i < count && free === limits.end; i++) {
    const next = headerOf(image, i);
    if (next.type === PT_LOAD && next.memoryBytes !== 0) free = (next.address + base) & ~PAGE_MASK;
  }
  const end: u64 = (x.end + mask) & ~mask;
  if (end <= free) x.end = end;
}

/**
 * Checks and loads; returns an ElfError. For each PT_LOAD, `place(context, address, bytes)` maps `bytes` zeroed bytes
 * at the page-aligned `address` and returns where to write them (null: no memory). After the copy, `protect(context,
 * address, bytes, flags)` sets the segment's SegmentFlags. Both are called only after the whole image has passed its
 * checks.
 */
export function elfLoad(
  image: ptr<u8>,
  imageBytes: u64,
  limits: ptr<ElfLimits>,
  place: (context: u64, address: u64, lengthBytes: u64) => ptr<u8> | null,
  protect: (context: u64, address: u64, lengthBytes: u64, flags: u32) => boolean,
  context: u64,
  result: ptr<ElfImage>,
): u32 {
  const error: u32 = elfCheck(image, imageBytes, limits, result);
  if (error !== ElfError.OK) return error;
  const count: u32 = cast<ptr<ElfHeader>>(image).programHeaderCount;
  const x: Extent = zeroed();
  for (let i: u32 = 0; i < count; i++) {
    const p = headerOf(image, i);
    if (p.type !== PT_LOAD || p.memoryBytes === 0) continue;
    extentOf(image, i, limits, result.base, x.end, addr(x));
    const to = place(context, x.start, x.end - x.start);
    if (to === null) return ElfError.NO_MEMORY;
    memcpy(addr(to[p.address + result.base - x.start]), addr(image[p.offset]), p.fileBytes);
    if (!protect(context, x.start, x.end - x.start, p.flags)) return ElfError.NO_MEMORY;
  }
  result.end = x.end;
  return ElfError.OK;
}

/** One line for people. */
export function elfErrorText(error: u32): ptr<u8> {
  switch (error) {
    case ElfError.TRUNCATED:
      return cstr("file is truncated");
    case ElfError.NOT_ELF:
      return cstr("not an ELF file");
    case ElfError.NOT_64_BIT:
      return cstr("not a 64-bit ELF file");
    case ElfError.NOT_X86_64:
      return cstr("not for x86-64");
    case ElfError.NOT_EXECUTABLE:
      return cstr("not an executable");
    case ElfError.BAD_PROGRAM_HEADERS:
      return cstr("bad program headers");
    case ElfError.BAD_SEGMENT:
      return cstr("bad segment");
    case ElfError.BAD_ADDRESS:
      return cstr("segment outside the program's addresses");
    case ElfError.BAD_ENTRY:
      return cstr("entry is not in executable code");
    case ElfError.BAD_INTERPRETER:
      return cstr("bad path of the dynamic linker");
    case ElfError.NO_MEMORY:
      return cstr("not enough memory");
    default:
      return cstr("no error");
  }
}
