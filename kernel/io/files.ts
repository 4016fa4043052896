/**
 * File system calls, all shipped: read, write, open, openat, close, lseek, fstat, stat, lstat, pread64.
 * Only what needs the program's memory is checked here; the rest, errno values included, is the I/O node's.
 * Reads and writes longer than a shipment are split; they stop at the first short one, as on Linux.
 */
import { Errno } from "../abi/errno.ts";
import { PATH_MAX_BYTES, type Stat } from "../abi/io.ts";
import { LONGEST_TRANSFER, Syscall } from "../abi/syscalls.ts";
import { PAGE_BYTES } from "../abi/memory.ts";
import { currentTask } from "../core/task.ts";
import { userRangeValid, userStringLength } from "../mm/user.ts";
import type { Call } from "../syscall/arguments.ts";
import { failure, registerSyscall } from "../syscall/table.ts";
import { ship, type Shipment, shipmentBytes } from "./client.ts";

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
  const total: u64 = call.c < u64(LONGEST_TRANSFER) ? call.c : u64(LONGEST_TRANSFER);
  const s: Shipment = zeroed();
  let done: u64 = 0;
  for (;;) {
    const bytes: u64 = accessibleBytes(call.b + done, shipmentBytes(total - done), isRead);
    if (bytes === 0 && done > 0 && done < total) return i64(done);
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
    // More than was asked for is no answer.
    if (u64(result) > bytes) return done > 0 ? i64(done) : failure(Errno.EIO);
    done += u64(result);
    // Nothing of the buffer is there, but the descriptor holds: so it was for the buffer.
    if (bytes === 0 && total > 0) return failure(Errno.EFAULT);
    if (u64(result) < bytes || done >= total) return i64(done);
  }
}

/**
 * How much of the range, from its start on, the program may read (or the kernel write for it). At most a shipment's
 * pages are looked at.
 */
function accessibleBytes(address: u64, lengthBytes: u64, write: boolean): u64 {
  const space = addr(currentTask().space);
  if (userRangeValid(space, address, lengthBytes, write)) return lengthBytes;
  let good: u64 = 0;
  for (;;) {
    const untilPageEnd: u64 = PAGE_BYTES - ((address + good) & (PAGE_BYTES - 1));
    if (good + untilPageEnd > lengthBytes || !userRangeValid(space, address + good, untilPageEnd, write)) return good;
    good += untilPageEnd;
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

/** The reply's copy sees whether `to` holds: after what is to be said about the file, as on Linux. */
function takeStat(s: ptr<Shipment>, to: u64): void {
  s.arguments[1] = 0;
  s.buffer = to;
  s.bufferBytes = sizeof<Stat>();
}
/** (fd, struct stat *). */
function fstat(call: ptr<Call>): i64 {
  const s: Shipment = zeroed();
  begin(addr(s), call);
  takeStat(addr(s), call.b);
  return ship(addr(s));
}
/** (path, struct stat *). */
function stat(call: ptr<Call>): i64 {
  const s: Shipment = zeroed();
  begin(addr(s), call);
  s.arguments[0] = 0;
  takeStat(addr(s), call.b);
  return withPath(addr(s), call.a);
}
