/**
 * The program in memory: its segments by the shared ELF loader, the main stack as the System V ABI (AMD64 supplement
 * 3.4.1) has it, and the jump. The stack's random bytes come from job and rank, so that a run can be repeated.
 */
import {
  ElfError,
  type ElfImage,
  type ElfLimits,
  elfLoad,
  type ProgramHeader,
  SegmentFlag,
} from "../../toolchain/lib/rt/elf.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { stringLength } from "../../toolchain/lib/rt/strings.ts";
import { Errno } from "../../kernel/abi/errno.ts";
import { PAGE_BYTES, USER_MAP_BASE, USER_STACK_BYTES, USER_STACK_TOP } from "../../kernel/abi/memory.ts";
import { Cause } from "../../kernel/abi/net.ts";
import {
  Auxiliary,
  type AuxiliaryEntry,
  DYNAMIC_BASE,
  MapFlag,
  PROGRAM_LOWEST,
  Prot,
} from "../../kernel/abi/process.ts";
import { mmap, mprotect } from "../lib/syscall.ts";
import type { Init, ProgramPrefix } from "./layout.ts";
import { fail } from "./messages.ts";
import { nextString, stringAt } from "./parameters.ts";

/** What MARGAY_START needs. */
export class Entry {
  address: u64 = 0;
  stackPointer: u64 = 0;
}

/** Maps this rank's program and builds its stack. False: the failure is in the status. */
export function prepareProgram(init: ptr<Init>, entry: ptr<Entry>): boolean {
  const program = addr(init.programs[init.programOfRank[init.rank]]);
  const file = cast<ptr<u8>>(program.buffer + sizeof<ProgramPrefix>());
  const limits: ElfLimits = zeroed();
  limits.lowest = PROGRAM_LOWEST;
  limits.end = USER_MAP_BASE;
  limits.base = DYNAMIC_BASE;
  const image: ElfImage = zeroed();
  const error: u32 = elfLoad(file, program.fileBytes, addr(limits), placeSegment, protectSegment, 0, addr(image));
  if (error === ElfError.NO_MEMORY) {
    fail(init, Cause.NO_MEMORY, Errno.ENOMEM, init.rank);
    return false;
  }
  if (error !== ElfError.OK) {
    fail(init, Cause.PROGRAM_FORMAT, Errno.ENOEXEC, init.rank);
    return false;
  }
  const stackPointer: i64 = buildStack(init, addr(image));
  if (stackPointer < 0) {
    fail(init, stackPointer === -Errno.E2BIG ? Cause.PROGRAM_FORMAT : Cause.NO_MEMORY, u32(-stackPointer), init.rank);
    return false;
  }
  entry.address = image.entry;
  entry.stackPointer = u64(stackPointer);
  return true;
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

const AUXILIARY_COUNT: u64 = 9;
const RANDOM_BYTES: u64 = 16;

/**
 * Maps the stack and fills its top: argc, argv, envp, auxiliary vector, and above them random bytes and strings. -errno
 * or the stack pointer.
 */
function buildStack(init: ptr<Init>, image: ptr<ElfImage>): i64 {
  const p = init.parameters;
  const base: u64 = USER_STACK_TOP - USER_STACK_BYTES;
  const mapped: i64 = mmap(
    base,
    USER_STACK_BYTES,
    Prot.READ | Prot.WRITE,
    MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED | MapFlag.STACK,
    -1,
    0,
  );
  if (mapped < 0) return mapped;
  const count: u64 = u64(p.argCount) + u64(p.envCount);
  const from = stringAt(p, p.programCount);
  let s = from;
  for (let i: u64 = 0; i < count; i++) s = nextString(s);
  const stringsBytes: u64 = cast<u64>(s) - cast<u64>(from);
  const wordsBytes: u64 =
    (1 + u64(p.argCount) + 1 + u64(p.envCount) + 1) * 8 + AUXILIARY_COUNT * sizeof<AuxiliaryEntry>();
  if (stringsBytes + wordsBytes + RANDOM_BYTES + PAGE_BYTES > USER_STACK_BYTES / 2) return -Errno.E2BIG;

  const strings: u64 = USER_STACK_TOP - 8 - stringsBytes;
  memcpy(cast<ptr<u8>>(strings), from, stringsBytes);
  const random: u64 = (strings - RANDOM_BYTES) & ~15;
  fillRandom(cast<ptr<u64>>(random), p.jobId, init.rank);
  const stackPointer: u64 = (random - wordsBytes) & ~15;
  const words = cast<ptr<u64>>(stackPointer);
  words[0] = u64(p.argCount);
  let at: u64 = 1;
  let text = cast<ptr<u8>>(strings);
  for (let i: u64 = 0; i < count; i++) {
    if (i === u64(p.argCount)) words[at++] = 0;
    words[at++] = cast<u64>(text);
    text = addr(text[stringLength(text) + 1]);
  }
  if (p.envCount === 0) words[at++] = 0;
  words[at++] = 0;
  const auxiliary = cast<ptr<AuxiliaryEntry>>(addr(words[at]));
  setAuxiliary(addr(auxiliary[0]), Auxiliary.PAGESZ, PAGE_BYTES);
  setAuxiliary(addr(auxiliary[1]), Auxiliary.ENTRY, image.entry);
  setAuxiliary(addr(auxiliary[2]), Auxiliary.PHDR, image.programHeaders);
  setAuxiliary(addr(auxiliary[3]), Auxiliary.PHNUM, image.programHeaderCount);
  setAuxiliary(addr(auxiliary[4]), Auxiliary.PHENT, sizeof<ProgramHeader>());
  setAuxiliary(addr(auxiliary[5]), Auxiliary.RANDOM, random);
  setAuxiliary(addr(auxiliary[6]), Auxiliary.UID, p.userId);
  setAuxiliary(addr(auxiliary[7]), Auxiliary.SECURE, 0);
  setAuxiliary(addr(auxiliary[8]), Auxiliary.NULL, 0);
  return i64(stackPointer);
}
function setAuxiliary(to: ptr<AuxiliaryEntry>, type: u64, value: u64): void {
  to.type = type;
  to.value = value;
}
/** splitmix64 from job and rank. */
function fillRandom(to: ptr<u64>, jobId: u32, rank: u32): void {
  let state: u64 = (u64(jobId) << 32) | u64(rank);
  for (let i: u64 = 0; i < RANDOM_BYTES / 8; i++) {
    state += 0x9e37_79b9_7f4a_7c15;
    let z: u64 = state;
    z = (z ^ (z >> 30)) * 0xbf58_476d_1ce4_e5b9;
    z = (z ^ (z >> 27)) * 0x94d0_49bb_1331_11eb;
    to[i] = z ^ (z >> 31);
  }
}
