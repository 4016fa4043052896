/**
 * Rank 0 reads a program through the file system: the executable, the dynamic linker that it names, and for a script
 * the interpreter. Source: execve(2); Linux fs/binfmt_elf.c, fs/binfmt_script.c.
 */
import { Errno } from "../../kernel/abi/errno.ts";
import { FileMode, IO_DATA_MAX_BYTES, Open, PATH_MAX_BYTES, type Stat } from "../../kernel/abi/io.ts";
import { elfFileBytes, elfInterpreter, type FileRange } from "../../toolchain/lib/rt/elf.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { stringLength } from "../../toolchain/lib/rt/strings.ts";
import { close, fstat, open, pread } from "../lib/syscall.ts";

/** Larger programs are refused before memory is allocated. */
export const PROGRAM_MAX_BYTES: u64 = 0x4000_0000;
/** Enough for the ELF header and 17 program headers; a file with more is read as a whole. */
const HEAD_BYTES: u64 = 1024;
/** A file without the owner's execute bit is not a program (execve(2): EACCES). */
const OWNER_EXECUTE: u32 = 0x40;
/** The part of a script's first line that is examined (Linux: BINPRM_BUF_SIZE). */
const SCRIPT_LINE_BYTES: u64 = 256;
/** Maximum depth of scripts whose interpreter is again a script. */
const SCRIPTS_MAX: u32 = 5;

/** An open executable file, and its first part. */
export class SourceFile {
  fd: i32 = 0;
  headBytes: u64 = 0;
  neededBytes: u64 = 0;
  head!: arr<u8, 1024>;
}
/** The files to read for one program. */
export class Source {
  executable!: SourceFile;
  /** Open if `hasLinker`. */
  linker!: SourceFile;
  hasLinker: boolean = false;
  /** The failure is in the interpreter or the dynamic linker, not in the program itself. */
  isInterpreter: boolean = false;
  /** Strings that replace argv[0] of a script. The script's own path follows them and is not included. */
  argumentBytes: u64 = 0;
  argumentCount: u64 = 0;
  arguments!: arr<u8, 1280>;
}

/** Opens the files that `path` needs. Returns an errno; then nothing is open. */
export function openSource(path: ptr<u8>, source: ptr<Source>): i64 {
  const file = addr(source.executable);
  let errno: i64 = openFile(path, file);
  const interpreter: arr<u8, 256> = zeroed();
  for (let depth: u32 = 0; errno === 0 && isScript(file); depth++) {
    closeFile(file);
    if (depth === SCRIPTS_MAX) return Errno.ELOOP;
    errno = takeScriptLine(source, addr(interpreter[0]));
    if (errno !== 0) return errno;
    source.isInterpreter = true;
    errno = openFile(addr(interpreter[0]), file);
  }
  if (errno !== 0) return errno;
  errno = openLinker(source);
  if (errno !== 0) closeFile(file);
  return errno;
}
export function closeSource(source: ptr<Source>): void {
  closeFile(addr(source.executable));
  if (source.hasLinker) closeFile(addr(source.linker));
}
function closeFile(file: ptr<SourceFile>): void {
  close(file.fd);
}

/** Reads `neededBytes` of the file. Returns an errno. */
export function readSource(file: ptr<SourceFile>, to: ptr<u8>): i64 {
  const known: u64 = file.headBytes < file.neededBytes ? file.headBytes : file.neededBytes;
  memcpy(to, addr(file.head[0]), known);
  return readFully(file.fd, addr(to[known]), file.neededBytes - known, known);
}

/** Returns an errno; then the file is not open. */
function openFile(path: ptr<u8>, file: ptr<SourceFile>): i64 {
  const fd: i64 = open(path, Open.RDONLY, 0);
  if (fd < 0) return -fd;
  file.fd = i32(fd);
  const errno: i64 = readHead(file);
  if (errno !== 0) closeFile(file);
  return errno;
}
/** Data after the last segment is for debuggers and is not read. */
function readHead(file: ptr<SourceFile>): i64 {
  const stat: Stat = zeroed();
  const result: i64 = fstat(file.fd, addr(stat));
  if (result < 0) return -result;
  if ((stat.mode & FileMode.TYPE_MASK) !== FileMode.REGULAR || (stat.mode & OWNER_EXECUTE) === 0) return Errno.EACCES;
  if (stat.size < 0) return Errno.EFBIG;
  const sizeBytes: u64 = u64(stat.size);
  file.headBytes = sizeBytes < HEAD_BYTES ? sizeBytes : HEAD_BYTES;
  const errno: i64 = readFully(file.fd, addr(file.head[0]), file.headBytes, 0);
  if (errno !== 0) return errno;
  const needed: u64 = elfFileBytes(addr(file.head[0]), file.headBytes);
  file.neededBytes = needed === 0 || needed > sizeBytes ? sizeBytes : needed;
  return file.neededBytes > PROGRAM_MAX_BYTES && !isScript(file) ? Errno.EFBIG : 0;
}

function openLinker(source: ptr<Source>): i64 {
  const file = addr(source.executable);
  const range: FileRange = zeroed();
  if (elfFileBytes(addr(file.head[0]), file.headBytes) === 0) return 0;
  if (!elfInterpreter(addr(file.head[0]), addr(range))) return 0;
  const path: arr<u8, 4096> = uninitialized();
  if (range.lengthBytes < 2 || range.lengthBytes > u64(PATH_MAX_BYTES)) return Errno.ENOEXEC;
  const errno: i64 = readFully(file.fd, addr(path[0]), range.lengthBytes, range.offset);
  if (errno !== 0) return errno;
  if (path[range.lengthBytes - 1] !== 0) return Errno.ENOEXEC;
  source.isInterpreter = true;
  const result: i64 = openFile(addr(path[0]), addr(source.linker));
  source.hasLinker = result === 0;
  return result;
}

// ---- scripts -------------------------------------------------------------------------------------------------------
function isScript(file: ptr<SourceFile>): boolean {
  return file.headBytes >= 2 && file.head[0] === 35 && file.head[1] === 33;
}
function isBlank(c: u8): boolean {
  return c === 32 || c === 9;
}
/**
 * "#! interpreter argument": the interpreter's path is stored in `interpreter`, and both are put before the arguments.
 * The argument is the rest of the line without blanks around it. Returns an errno.
 */
function takeScriptLine(source: ptr<Source>, interpreter: ptr<u8>): i64 {
  const line = addr(source.executable.head[0]);
  const available: u64 = source.executable.headBytes;
  const limit: u64 = available < SCRIPT_LINE_BYTES ? available : SCRIPT_LINE_BYTES;
  let end: u64 = 2;
  while (end < limit && line[end] !== 10 && line[end] !== 0) end++;
  const isWhole: boolean = end < limit || available < SCRIPT_LINE_BYTES;
  let start: u64 = 2;
  while (start < end && isBlank(line[start])) start++;
  let stop: u64 = start;
  while (stop < end && !isBlank(line[stop])) stop++;
  // A path that the limit may have cut off is not accepted.
  if (stop === start || (stop === end && !isWhole)) return Errno.ENOEXEC;
  let argument: u64 = stop;
  while (argument < end && isBlank(line[argument])) argument++;
  while (end > argument && isBlank(line[end - 1])) end--;
  memcpy(interpreter, addr(line[start]), stop - start);
  interpreter[stop - start] = 0;

  const text: arr<u8, 1280> = uninitialized();
  let bytes: u64 = stop - start + 1;
  memcpy(addr(text[0]), interpreter, bytes);
  source.argumentCount++;
  if (end > argument) {
    memcpy(addr(text[bytes]), addr(line[argument]), end - argument);
    bytes += end - argument + 1;
    text[bytes - 1] = 0;
    source.argumentCount++;
  }
  memcpy(addr(text[bytes]), addr(source.arguments[0]), source.argumentBytes);
  source.argumentBytes += bytes;
  memcpy(addr(source.arguments[0]), addr(text[0]), source.argumentBytes);
  return 0;
}
/** The arguments followed by the script's path; returns their size in bytes. `to` null: only counts. */
export function scriptArguments(source: ptr<Source>, script: ptr<u8>, to: ptr<u8> | null): u64 {
  if (source.argumentCount === 0) return 0;
  const pathBytes: u64 = stringLength(script) + 1;
  if (to !== null) {
    memcpy(to, addr(source.arguments[0]), source.argumentBytes);
    memcpy(addr(to[source.argumentBytes]), script, pathBytes);
  }
  return source.argumentBytes + pathBytes;
}

/** Returns an errno. */
function readFully(fd: i32, to: ptr<u8>, lengthBytes: u64, offset: u64): i64 {
  let done: u64 = 0;
  while (done < lengthBytes) {
    const rest: u64 = lengthBytes - done;
    const most: u64 = rest < u64(IO_DATA_MAX_BYTES) ? rest : u64(IO_DATA_MAX_BYTES);
    const n: i64 = pread(fd, addr(to[done]), most, offset + done);
    if (n < 0) return -n;
    // The file has become shorter meanwhile.
    if (n === 0) return Errno.EIO;
    done += u64(n);
  }
  return 0;
}
