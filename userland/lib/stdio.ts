/**
 * Text output by lines: bytes are buffered, and the buffer is written at each newline, so that lines of several ranks
 * do not mix, and when the program exits. There is no format string: `print(o, cstr("rank ")); printDecimal(o, rank);`.
 */
import { formatDecimal, formatHex, stringLength } from "../../toolchain/lib/rt/strings.ts";
import { Errno } from "../../kernel/abi/errno.ts";
import { write } from "./syscall.ts";

const BUFFER_BYTES: u64 = 1024;
const NEWLINE: u8 = 10;
export class Output {
  fd: i32 = 0;
  /** First errno of a failed write, 0 = none. */
  error: i32 = 0;
  usedBytes: u64 = 0;
  buffer!: arr<u8, 1024>;
}
const standardOutput: Output = zeroed();
const standardError: Output = zeroed();

export function stdout(): ptr<Output> {
  standardOutput.fd = 1;
  return addr(standardOutput);
}
export function stderr(): ptr<Output> {
  standardError.fd = 2;
  return addr(standardError);
}

/** Writes all bytes, with as many calls as necessary. Returns 0 or -errno. */
export function writeAll(fd: i32, from: ptr<u8>, lengthBytes: u64): i64 {
  let done: u64 = 0;
  while (done < lengthBytes) {
    const n: i64 = write(fd, addr(from[done]), lengthBytes - done);
    if (n === -Errno.EINTR) continue;
    if (n < 0) return n;
    if (n === 0) return -Errno.EIO;
    done += u64(n);
  }
  return 0;
}

export function flush(o: ptr<Output>): void {
  if (o.usedBytes === 0) return;
  const result: i64 = writeAll(o.fd, addr(o.buffer[0]), o.usedBytes);
  if (result < 0 && o.error === 0) o.error = i32(-result);
  o.usedBytes = 0;
}
/** At exit. */
export function flushAll(): void {
  flush(stdout());
  flush(stderr());
}

export function printBytes(o: ptr<Output>, from: ptr<u8>, lengthBytes: u64): void {
  for (let i: u64 = 0; i < lengthBytes; i++) {
    const c: u8 = from[i];
    o.buffer[o.usedBytes] = c;
    o.usedBytes++;
    if (c === NEWLINE || o.usedBytes === BUFFER_BYTES) flush(o);
  }
}
export function print(o: ptr<Output>, text: ptr<u8>): void {
  printBytes(o, text, stringLength(text));
}
export function printDecimal(o: ptr<Output>, value: u64): void {
  const digits: arr<u8, 24> = zeroed();
  printBytes(o, addr(digits[0]), formatDecimal(addr(digits[0]), value));
}
export function printSigned(o: ptr<Output>, value: i64): void {
  if (value < 0) print(o, cstr("-"));
  printDecimal(o, value < 0 ? u64(0) - u64(value) : u64(value));
}
/** With 0x and without leading zeros. */
export function printHex(o: ptr<Output>, value: u64): void {
  const digits: arr<u8, 16> = zeroed();
  const count: u64 = value === 0 ? 1 : (67 - u64(countLeadingZeros(value))) / 4;
  formatHex(addr(digits[0]), value, count);
  print(o, cstr("0x"));
  printBytes(o, addr(digits[0]), count);
}
