/**
 * Puts the program into memory: the segments of the executable and of its dynamic linker, by the shared ELF loader, and
 * the stack (stack.ts). A program with a dynamic linker starts in the linker, which finds the program by the auxiliary
 * vector.
 */
import { ElfError, elfCheck, type ElfImage, type ElfLimits, elfLoad, SegmentFlag } from "../../toolchain/lib/rt/elf.ts";
import { Errno } from "../../kernel/abi/errno.ts";
import { LARGE_PAGE_BYTES, USER_MAP_BASE } from "../../kernel/abi/memory.ts";
import { Cause } from "../../kernel/abi/net.ts";
import { DYNAMIC_BASE, MapFlag, PROGRAM_LOWEST, Prot } from "../../kernel/abi/process.ts";
import { mmap, mprotect } from "../lib/syscall.ts";
import { type Init, partBytes, type ProgramPrefix } from "./layout.ts";
import { fail } from "./messages.ts";
import { buildStack, type Start } from "./stack.ts";

/** Arguments of MARGAY_START. */
export class Entry {
  address: u64 = 0;
  stackPointer: u64 = 0;
}

/** Maps this rank's program and builds its stack. False: the status holds the failure. */
export function prepareProgram(init: ptr<Init>, entry: ptr<Entry>): boolean {
  const buffer: u64 = init.programs[init.programOfRank[init.rank]].buffer;
  const prefix = cast<ptr<ProgramPrefix>>(buffer);
  const texts = cast<ptr<u8>>(buffer + sizeof<ProgramPrefix>());
  const file = addr(texts[partBytes(prefix.argumentBytes)]);
  const start: Start = zeroed();
  start.texts = texts;
  start.textCount = u32(prefix.argumentCount);
  const error: u32 = load(addr(start), file, prefix);
  if (error === ElfError.NO_MEMORY) {
    fail(init, Cause.NO_MEMORY, Errno.ENOMEM, init.rank);
    return false;
  }
  if (error !== ElfError.OK) {
    fail(init, Cause.PROGRAM_FORMAT, Errno.ENOEXEC, init.rank);
    return false;
  }
  const stackPointer: i64 = buildStack(init, addr(start));
  if (stackPointer < 0) {
    fail(init, stackPointer === -Errno.E2BIG ? Cause.PROGRAM_FORMAT : Cause.NO_MEMORY, u32(-stackPointer), init.rank);
    return false;
  }
  entry.address = start.linker.entry === 0 ? start.image.entry : start.linker.entry;
  entry.stackPointer = u64(stackPointer);
  return true;
}

/** Returns an ElfError. */
function load(start: ptr<Start>, file: ptr<u8>, prefix: ptr<ProgramPrefix>): u32 {
  const limits: ElfLimits = zeroed();
  limits.lowest = PROGRAM_LOWEST;
  limits.end = USER_MAP_BASE;
  limits.base = DYNAMIC_BASE;
  limits.largePageBytes = LARGE_PAGE_BYTES;
  const error: u32 = elfLoad(file, prefix.fileBytes, addr(limits), placeSegment, protectSegment, 0, addr(start.image));
  if (error !== ElfError.OK) return error;
  if (prefix.linkerBytes === 0) return start.image.interpreterOffset === 0 ? ElfError.OK : ElfError.BAD_INTERPRETER;
  return loadLinker(addr(start.linker), addr(file[partBytes(prefix.fileBytes)]), prefix.linkerBytes);
}
/** The linker lies where mmap would place it, as on Linux: so the heap has all the room after the program. */
function loadLinker(image: ptr<ElfImage>, file: ptr<u8>, fileBytes: u64): u32 {
  const limits: ElfLimits = zeroed();
  limits.lowest = PROGRAM_LOWEST;
  limits.end = USER_MAP_BASE;
  limits.base = DYNAMIC_BASE;
  const error: u32 = elfCheck(file, fileBytes, addr(limits), image);
  if (error !== ElfError.OK) return error;
  if (image.base !== 0) {
    const spanBytes: u64 = image.end - image.base;
    const at: i64 = mmap(0, spanBytes, Prot.NONE, MapFlag.PRIVATE | MapFlag.ANONYMOUS, -1, 0);
    if (at < 0) return ElfError.NO_MEMORY;
    limits.base = u64(at);
    limits.end = u64(at) + spanBytes;
  }
  return elfLoad(file, fileBytes, addr(limits), placeSegment, protectSegment, 0, image);
}

function placeSegment(_context: u64, address: u64, lengthBytes: u64): ptr<u8> | null {
  const at: i64 = mmap(
    address,
    lengthBytes,
    Prot.READ | Prot.WRITE,
    MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED,
    -1,
    0,
  );
  return at < 0 ? null : cast<ptr<u8>>(at);
}
function protectSegment(_context: u64, address: u64, lengthBytes: u64, flags: u32): boolean {
  let prot: u32 = Prot.NONE;
  if ((flags & SegmentFlag.READ) !== 0) prot = prot | Prot.READ;
  if ((flags & SegmentFlag.WRITE) !== 0) prot = prot | Prot.WRITE;
  if ((flags & SegmentFlag.EXECUTE) !== 0) prot = prot | Prot.EXEC;
  return prot === (Prot.READ | Prot.WRITE) || mprotect(address, lengthBytes, prot) === 0;
}
