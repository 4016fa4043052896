/**
 * File system calls, all shipped: read, write, open, openat, close, lseek, fstat, stat, lstat, pread64.
 * Only what needs the program's memory is checked here; the rest, errno values included, is the I/O node's.
 * Reads and writes longer than a shipment are split; they stop at the first short one, as on Linux.
 */
import { Errno } from "../abi/errno.ts";
import { PATH_MAX_BYTES, type Stat } from "../abi/io.ts";
import { Syscall } from "../abi/syscalls.ts";
import { currentTask } from "../core/task.ts";
import { userRangeValid, userStringLength } from "../mm/user.ts";
import { type Call, failure, registerSyscall } from "../syscall/table.ts";
import { ship, type Shipment, shipmentBytes } from "./client.ts";

/** Longest read or write, as Linux's MAX_RW_COUNT. */
const LONGEST_BYTES: u64 = 0x7fff_f000;

export function fileCallsStart(): void {
  registerSyscall(Syscall.READ, read);
  registerSyscall(Syscall.WRITE, write);
  registerSyscall(Syscall.PREAD64, pread);
  registerSyscall(Syscall.OPEN, open);
  registerSyscall(Syscall.OPENAT, openat);
  registerSyscall(Syscall.CLOSE, close);
  registerSyscall(Syscall.LSEEK, lseek);
  registerSyscall(Syscall.FSTAT, fstat);
  registerSyscall(Syscall.STAT, stat);
  registerSyscall(Syscall.LSTAT, stat);
}

/** The call with its registers. */
function begin(s: ptr<Shipment>, call: ptr<Call>): void {
  zero(s);
  s.call = u32(call.number);
  s.arguments[0] = call.a;
  s.arguments[1] = call.b;
  s.arguments[2] = call.c;
  s.arguments[3] = call.d;
}

/** (fd, buffer, count). */
function read(call: ptr<Call>): i64 {
  return transfer(call, true, false);
}
/** (fd, buffer, count). */
function write(call: ptr<Call>): i64 {
  return transfer(call, false, false);
}
/** (fd, buffer, count, offset). */
function pread(call: ptr<Call>): i64 {
  return transfer(call, true, true);
}

function transfer(call: ptr<Call>, isRead: boolean, hasOffset: boolean): i64 {
  const total: u64 = call.c < LONGEST_BYTES ? call.c : LONGEST_BYTES;
  if (!userRangeValid(addr(currentTask().space), call.b, total, isRead)) return failure(Errno.EFAULT);
  const s: Shipment = zeroed();
  let done: u64 = 0;
  for (;;) {
    const bytes: u64 = shipmentBytes(total - done);
    begin(addr(s), call);
    s.arguments[1] = 0;
    s.arguments[2] = bytes;
    if (hasOffset) s.arguments[3] = call.d + done;
    if (isRead) {
      s.buffer = call.b + done;
      s.bufferBytes = bytes;
    } else {
      s.data = call.b + done;
      s.dataBytes = bytes;
    }
    const result: i64 = ship(addr(s));
    if (result < 0) return done > 0 ? i64(done) : result;
    done += u64(result);
    if (u64(result) < bytes || done >= total) return i64(done);
  }
}

/** Ships a path of the program's memory. */
function withPath(s: ptr<Shipment>, path: u64): i64 {
  const length: i64 = userStringLength(addr(currentTask().space), path, u64(PATH_MAX_BYTES));
  if (length < 0) return failure(Errno.EFAULT);
  if (length >= i64(PATH_MAX_BYTES)) return failure(Errno.ENAMETOOLONG);
  s.data = path;
  s.dataBytes = u64(length) + 1;
  return ship(s);
}

/** (path, flags, mode). */
function open(call: ptr<Call>): i64 {
  const s: Shipment = zeroed();
  begin(addr(s), call);
  s.arguments[0] = 0;
  return withPath(addr(s), call.a);
}
/** (directory fd, path, flags, mode). */
function openat(call: ptr<Call>): i64 {
  const s: Shipment = zeroed();
  begin(addr(s), call);
  s.arguments[1] = 0;
  return withPath(addr(s), call.b);
}
/** (fd). */
function close(call: ptr<Call>): i64 {
  const s: Shipment = zeroed();
  begin(addr(s), call);
  return ship(addr(s));
}
/** (fd, offset, whence). */
function lseek(call: ptr<Call>): i64 {
  const s: Shipment = zeroed();
  begin(addr(s), call);
  return ship(addr(s));
}

function takeStat(s: ptr<Shipment>, to: u64): boolean {
  s.arguments[1] = 0;
  s.buffer = to;
  s.bufferBytes = sizeof<Stat>();
  return userRangeValid(addr(currentTask().space), to, sizeof<Stat>(), true);
}
/** (fd, struct stat *). */
function fstat(call: ptr<Call>): i64 {
  const s: Shipment = zeroed();
  begin(addr(s), call);
  return takeStat(addr(s), call.b) ? ship(addr(s)) : failure(Errno.EFAULT);
}
/** (path, struct stat *). */
function stat(call: ptr<Call>): i64 {
  const s: Shipment = zeroed();
  begin(addr(s), call);
  s.arguments[0] = 0;
  return takeStat(addr(s), call.b) ? withPath(addr(s), call.a) : failure(Errno.EFAULT);
}
