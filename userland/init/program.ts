/**
 * Steps 6 and 10: the programs that a rank's sub-tree needs. Rank 0 opens and reads them through the file system, every
 * other rank GETs them from its parent, in pieces.
 */
import { Errno } from "../../kernel/abi/errno.ts";
import { FileMode, IO_DATA_MAX_BYTES, Open, type Stat } from "../../kernel/abi/io.ts";
import { PAGE_BYTES } from "../../kernel/abi/memory.ts";
import { Cause } from "../../kernel/abi/net.ts";
import { MapFlag, Prot } from "../../kernel/abi/process.ts";
import { elfFileBytes } from "../../toolchain/lib/rt/elf.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { close, fstat, mmap, munmap, open, read } from "../lib/syscall.ts";
import type { Init, ProgramPrefix } from "./layout.ts";
import { exposeProgram, fail, getFromParent } from "./messages.ts";
import { stringAt } from "./parameters.ts";
import { subtreeRuns } from "./tree.ts";

/** One GET. */
const PIECE_BYTES: u64 = 65536;
/** Larger programs are refused before memory is asked for. */
const PROGRAM_MAX_BYTES: u64 = 0x4000_0000;
/** Enough for the ELF header and 17 program headers; a file with more is read as a whole. */
const HEAD_BYTES: u64 = 1024;
/** A file without the owner's execute bit is no program (execve(2): EACCES). */
const OWNER_EXECUTE: u32 = 0x40;

/** Zeroed pages, or -errno. */
export function allocate(lengthBytes: u64): i64 {
  return mmap(0, lengthBytes, Prot.READ | Prot.WRITE, MapFlag.PRIVATE | MapFlag.ANONYMOUS, -1, 0);
}
function pages(lengthBytes: u64): u64 {
  return (lengthBytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/** Fetches what the sub-tree under this rank runs. False: the failure is in the status. */
export function fetchPrograms(init: ptr<Init>): boolean {
  for (let index: u32 = 0; index < init.parameters.programCount; index++) {
    if (!subtreeRuns(init.rank, init.fanout, init.size, init.programOfRank, index)) continue;
    if (!(init.rank === 0 ? openProgram(init, index) : getProgram(init, index))) return false;
  }
  return true;
}

/** Exposes the fetched programs that some child's sub-tree runs. */
export function exposePrograms(init: ptr<Init>): i64 {
  for (let index: u32 = 0; index < init.parameters.programCount; index++) {
    if (init.programs[index].buffer === 0) continue;
    for (let child: u32 = 0; child < init.childCount; child++) {
      if (!subtreeRuns(init.firstChild + child, init.fanout, init.size, init.programOfRank, index)) continue;
      const handle: i64 = exposeProgram(init, index);
      if (handle < 0) return handle;
      break;
    }
  }
  return 0;
}

export function freePrograms(init: ptr<Init>): void {
  for (let index: u32 = 0; index < init.parameters.programCount; index++) {
    const p = addr(init.programs[index]);
    if (p.buffer !== 0) munmap(p.buffer, pages(p.fileBytes + sizeof<ProgramPrefix>()));
    p.buffer = 0;
  }
}

/** The rank that a failure to open a program is told of: the first that runs it. */
function firstRankOf(init: ptr<Init>, index: u32): u32 {
  for (let rank: u32 = 0; rank < init.size; rank++) {
    if (init.programOfRank[rank] === index) return rank;
  }
  return init.rank;
}

function makeBuffer(init: ptr<Init>, index: u32, fileBytes: u64): boolean {
  const buffer: i64 = allocate(pages(fileBytes + sizeof<ProgramPrefix>()));
  if (buffer < 0) {
    fail(init, Cause.NO_MEMORY, u32(-buffer), init.rank);
    return false;
  }
  const p = addr(init.programs[index]);
  p.buffer = u64(buffer);
  p.fileBytes = fileBytes;
  cast<ptr<ProgramPrefix>>(p.buffer).fileBytes = fileBytes;
  return true;
}

function openProgram(init: ptr<Init>, index: u32): boolean {
  const fd: i64 = open(stringAt(init.parameters, index), Open.RDONLY, 0);
  if (fd < 0) {
    fail(init, Cause.PROGRAM_OPEN, u32(-fd), firstRankOf(init, index));
    return false;
  }
  const errno: i64 = readProgram(init, index, i32(fd));
  close(i32(fd));
  if (errno !== 0) fail(init, Cause.PROGRAM_OPEN, u32(errno), firstRankOf(init, index));
  return init.status.cause === Cause.OK;
}

/**
 * Returns an errno; running out of memory is in the status already. What stands behind the last segment, for debuggers,
 * is not read.
 */
function readProgram(init: ptr<Init>, index: u32, fd: i32): i64 {
  const stat: Stat = zeroed();
  const result: i64 = fstat(fd, addr(stat));
  if (result < 0) return -result;
  if ((stat.mode & FileMode.TYPE_MASK) !== FileMode.REGULAR || (stat.mode & OWNER_EXECUTE) === 0) return Errno.EACCES;
  if (stat.size < 0) return Errno.EFBIG;
  const sizeBytes: u64 = u64(stat.size);
  const head: arr<u8, 1024> = zeroed();
  const headBytes: u64 = sizeBytes < HEAD_BYTES ? sizeBytes : HEAD_BYTES;
  const errno: i64 = readFully(fd, addr(head[0]), headBytes);
  if (errno !== 0) return errno;
  const neededBytes: u64 = elfFileBytes(addr(head[0]), headBytes);
  const fileBytes: u64 = neededBytes === 0 || neededBytes > sizeBytes ? sizeBytes : neededBytes;
  if (fileBytes > PROGRAM_MAX_BYTES) return Errno.EFBIG;
  if (!makeBuffer(init, index, fileBytes)) return 0;
  const to = cast<ptr<u8>>(init.programs[index].buffer + sizeof<ProgramPrefix>());
  if (fileBytes <= headBytes) {
    memcpy(to, addr(head[0]), fileBytes);
    return 0;
  }
  memcpy(to, addr(head[0]), headBytes);
  return readFully(fd, addr(to[headBytes]), fileBytes - headBytes);
}

/** Returns an errno. */
function readFully(fd: i32, to: ptr<u8>, lengthBytes: u64): i64 {
  let done: u64 = 0;
  while (done < lengthBytes) {
    const rest: u64 = lengthBytes - done;
    const n: i64 = read(fd, addr(to[done]), rest < u64(IO_DATA_MAX_BYTES) ? rest : u64(IO_DATA_MAX_BYTES));
    if (n < 0) return -n;
    // It became shorter meanwhile.
    if (n === 0) return Errno.EIO;
    done += u64(n);
  }
  return 0;
}

function getProgram(init: ptr<Init>, index: u32): boolean {
  const prefix: ProgramPrefix = zeroed();
  let cause: u32 = getFromParent(init, index, cast<u64>(addr(prefix)), sizeof<ProgramPrefix>(), 0);
  if (cause === Cause.OK && prefix.fileBytes > PROGRAM_MAX_BYTES) cause = Cause.BAD_REQUEST;
  if (cause !== Cause.OK) {
    fail(init, cause, 0, init.rank);
    return false;
  }
  if (!makeBuffer(init, index, prefix.fileBytes)) return false;
  const buffer: u64 = init.programs[index].buffer;
  const end: u64 = prefix.fileBytes + sizeof<ProgramPrefix>();
  let at: u64 = sizeof<ProgramPrefix>();
  while (at < end) {
    const rest: u64 = end - at;
    const piece: u64 = rest < PIECE_BYTES ? rest : PIECE_BYTES;
    cause = getFromParent(init, index, buffer + at, piece, at);
    if (cause !== Cause.OK) {
      fail(init, cause, 0, init.rank);
      return false;
    }
    at += piece;
  }
  return true;
}
