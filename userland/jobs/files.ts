/**
 * Writes a file, reads it back and checks it, with seeks, fstat, appends and calls that must fail. Each rank uses its
 * own file, files.R.dat in the root; on Linux in the current directory. Prints one summary line per rank and exits with
 * 1 at the first mismatch.
 */
import "../lib/start.ts";
import { Errno } from "../../kernel/abi/errno.ts";
import { AT_FDCWD, FileMode, Open, Seek, type Stat } from "../../kernel/abi/io.ts";
import { errnoName } from "../lib/errno.ts";
import { rank } from "../lib/margay.ts";
import { print, printDecimal, printSigned, stderr, stdout, writeAll } from "../lib/stdio.ts";
import { close, fstat, lseek, open, openat, pread, read } from "../lib/syscall.ts";
import { formatDecimal } from "../../toolchain/lib/rt/strings.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";

/** More than one request to the I/O node can carry. */
const FILE_BYTES: u64 = 100_000;
const PIECE_BYTES: u64 = 32768;
const TAIL_BYTES: u64 = 11;
const PERMISSIONS: u32 = 0x1a4;

const written: arr<u8, 100000> = zeroed();
const readBack: arr<u8, 100032> = zeroed();
const path: arr<u8, 64> = zeroed();
/** Checks that succeeded. */
class Tally {
  checks: u64 = 0;
}
const tally: Tally = zeroed();

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  makePath();
  fill(u64(rank()) + 1);
  if (!writeFile() || !readFile() || !seekFile() || !appendFile() || !refusals()) return 1;
  const o = stdout();
  print(o, cstr("files: rank "));
  printDecimal(o, rank());
  print(o, cstr(": "));
  print(o, addr(path[0]));
  print(o, cstr(", "));
  printDecimal(o, FILE_BYTES + TAIL_BYTES);
  print(o, cstr(" bytes, "));
  printDecimal(o, tally.checks);
  print(o, cstr(" checks passed\n"));
  return 0;
}

function makePath(): void {
  memcpy(addr(path[0]), cstr("files."), 6);
  const digits: u64 = formatDecimal(addr(path[6]), rank());
  memcpy(addr(path[6 + digits]), cstr(".dat"), 5);
}
/**
 * Bytes that differ from rank to rank and do not repeat within a page (high bytes of a linear congruential generator).
 */
function fill(seed: u64): void {
  let state: u64 = seed;
  for (let i: u64 = 0; i < FILE_BYTES; i++) {
    state = state * 6364136223846793005 + 1442695040888963407;
    written[i] = u8(state >> 56);
  }
}

function writeFile(): boolean {
  const fd: i64 = open(addr(path[0]), Open.WRONLY | Open.CREAT | Open.TRUNC, PERMISSIONS);
  if (!expect(cstr("open for writing"), fd >= 0, fd)) return false;
  const result: i64 = writeAll(i32(fd), addr(written[0]), FILE_BYTES);
  if (!expect(cstr("write"), result === 0, result)) return false;
  const refused: i64 = read(i32(fd), addr(readBack[0]), 1);
  if (!expect(cstr("read from a descriptor for writing"), refused === -Errno.EBADF, refused)) return false;
  const closed: i64 = close(i32(fd));
  return expect(cstr("close"), closed === 0, closed);
}

function readFile(): boolean {
  const fd: i64 = openat(AT_FDCWD, addr(path[0]), Open.RDONLY, 0);
  if (!expect(cstr("openat"), fd >= 0, fd)) return false;
  // The buffer is longer than the file, so that a file that is too long is detected.
  let done: u64 = 0;
  let n: i64 = 1;
  while (n > 0) {
    const rest: u64 = readBack.length - done;
    n = read(i32(fd), addr(readBack[done]), rest < PIECE_BYTES ? rest : PIECE_BYTES);
    if (n > 0) done += u64(n);
  }
  if (!expect(cstr("read to the end"), n === 0 && done === FILE_BYTES, i64(done))) return false;
  if (!expect(cstr("compare"), sameBytes(0, FILE_BYTES), 0)) return false;
  const stat: Stat = zeroed();
  const result: i64 = fstat(i32(fd), addr(stat));
  if (!expect(cstr("fstat"), result === 0, result)) return false;
  if (!expect(cstr("size"), stat.size === i64(FILE_BYTES), stat.size)) return false;
  if (!expect(cstr("regular file"), (stat.mode & FileMode.TYPE_MASK) === FileMode.REGULAR, i64(stat.mode)))
    return false;
  close(i32(fd));
  return true;
}

function seekFile(): boolean {
  const fd: i64 = open(addr(path[0]), Open.RDONLY, 0);
  if (!expect(cstr("open for seeking"), fd >= 0, fd)) return false;
  let at: i64 = lseek(i32(fd), 4095, Seek.SET);
  if (!expect(cstr("seek from the start"), at === 4095, at)) return false;
  let n: i64 = read(i32(fd), addr(readBack[4095]), 10);
  if (!expect(cstr("read behind a seek"), n === 10 && sameBytes(4095, 10), n)) return false;
  at = lseek(i32(fd), -5, Seek.CUR);
  if (!expect(cstr("seek back"), at === 4100, at)) return false;
  at = lseek(i32(fd), -1, Seek.END);
  if (!expect(cstr("seek from the end"), at === i64(FILE_BYTES) - 1, at)) return false;
  n = pread(i32(fd), addr(readBack[70_000]), 100, 70_000);
  if (!expect(cstr("pread"), n === 100 && sameBytes(70_000, 100), n)) return false;
  at = lseek(i32(fd), 0, Seek.CUR);
  if (!expect(cstr("pread leaves the position"), at === i64(FILE_BYTES) - 1, at)) return false;
  at = lseek(i32(fd), -1, Seek.SET);
  if (!expect(cstr("seek before the start"), at === -Errno.EINVAL, at)) return false;
  at = lseek(i32(fd), 0, 99);
  if (!expect(cstr("seek with a wrong whence"), at === -Errno.EINVAL, at)) return false;
  close(i32(fd));
  return true;
}

function appendFile(): boolean {
  const fd: i64 = open(addr(path[0]), Open.WRONLY | Open.APPEND, 0);
  if (!expect(cstr("open for appending"), fd >= 0, fd)) return false;
  const result: i64 = writeAll(i32(fd), addr(written[0]), TAIL_BYTES);
  if (!expect(cstr("append"), result === 0, result)) return false;
  const stat: Stat = zeroed();
  fstat(i32(fd), addr(stat));
  close(i32(fd));
  return expect(cstr("size after appending"), stat.size === i64(FILE_BYTES + TAIL_BYTES), stat.size);
}

function refusals(): boolean {
  let r: i64 = open(cstr("files.no-such-file"), Open.RDONLY, 0);
  if (!expect(cstr("open of no file"), r === -Errno.ENOENT, r)) return false;
  r = open(addr(path[0]), Open.WRONLY | Open.CREAT | Open.EXCL, PERMISSIONS);
  if (!expect(cstr("exclusive open of a file"), r === -Errno.EEXIST, r)) return false;
  r = open(addr(path[0]), Open.RDONLY | Open.DIRECTORY, 0);
  if (!expect(cstr("open of a file as a directory"), r === -Errno.ENOTDIR, r)) return false;
  r = open(cstr("/"), Open.WRONLY, 0);
  if (!expect(cstr("open of a directory for writing"), r === -Errno.EISDIR, r)) return false;
  r = open(cstr(""), Open.RDONLY, 0);
  if (!expect(cstr("open of nothing"), r === -Errno.ENOENT, r)) return false;
  r = close(99);
  if (!expect(cstr("close of no descriptor"), r === -Errno.EBADF, r)) return false;
  r = read(99, addr(readBack[0]), 1);
  return expect(cstr("read of no descriptor"), r === -Errno.EBADF, r);
}

function sameBytes(from: u64, count: u64): boolean {
  for (let i: u64 = from; i < from + count; i++) {
    if (written[i] !== readBack[i]) return false;
  }
  return true;
}

/** Counts a check that holds; reports one that does not, with the call's result. */
function expect(what: ptr<u8>, holds: boolean, result: i64): boolean {
  if (holds) {
    tally.checks++;
    return true;
  }
  const e = stderr();
  print(e, cstr("files: rank "));
  printDecimal(e, rank());
  print(e, cstr(": "));
  print(e, what);
  print(e, cstr(": result "));
  printSigned(e, result);
  if (result < 0 && result > -4096) {
    print(e, cstr(" "));
    print(e, errnoName(u32(-result)));
  }
  print(e, cstr("\n"));
  return false;
}
