/**
 * read, write, pread64, pwrite64, and their vector forms. The I/O node knows only these four. A transfer longer than a
 * shipment is split and ends at the first short part, as on Linux; of a vector, as much as fits goes through the core's
 * staging area at once. With bad memory, the bytes moved before it count; if there are none, the result is EFAULT.
 */
import { Errno } from "../abi/errno.ts";
import { IO_DATA_MAX_BYTES, type IoVector, VECTORS_MAX } from "../abi/io.ts";
import { PAGE_BYTES } from "../abi/memory.ts";
import { LONGEST_TRANSFER, Syscall } from "../abi/syscalls.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { currentTask } from "../core/task.ts";
import { copyFromUser, copyToUser, userRangeValid } from "../mm/user.ts";
import { type Call, isUserRange } from "../syscall/arguments.ts";
import { failure, registerSyscall } from "../syscall/table.ts";
import { ship, type Shipment } from "./client.ts";
import { staging, STAGING_BYTES } from "./staging.ts";

export function transferCallsStart(): void {
  registerSyscall(Syscall.READ, read);
  registerSyscall(Syscall.WRITE, write);
  registerSyscall(Syscall.PREAD64, pread64);
  registerSyscall(Syscall.PWRITE64, pwrite64);
  registerSyscall(Syscall.READV, readv);
  registerSyscall(Syscall.WRITEV, writev);
  registerSyscall(Syscall.PREADV, preadv);
  registerSyscall(Syscall.PWRITEV, pwritev);
  registerSyscall(Syscall.PREADV2, preadv2);
  registerSyscall(Syscall.PWRITEV2, pwritev2);
}

/** One call of a program, in one or several shipments. */
class Transfer {
  /** READ, WRITE, PREAD64 or PWRITE64. */
  call: u32 = 0;
  isRead: boolean = false;
  fd: u64 = 0;
  /** Start in the file, for calls with an offset. */
  offset: u64 = 0;
  done: u64 = 0;
}
function begin(t: ptr<Transfer>, number: u32, call: ptr<Call>, offset: u64): void {
  zero(t);
  t.call = number;
  t.isRead = number === Syscall.READ || number === Syscall.PREAD64;
  t.fd = call.a;
  t.offset = offset;
}

/** (fd, buffer, count). */
function read(call: ptr<Call>): i64 {
  return transfer(Syscall.READ, call, 0);
}
function write(call: ptr<Call>): i64 {
  return transfer(Syscall.WRITE, call, 0);
}
/** (fd, buffer, count, offset). */
function pread64(call: ptr<Call>): i64 {
  return transfer(Syscall.PREAD64, call, call.d);
}
function pwrite64(call: ptr<Call>): i64 {
  return transfer(Syscall.PWRITE64, call, call.d);
}

/** Ships one part, in the program's memory or in the staging area. Returns the bytes moved, or an errno. */
function part(t: ptr<Transfer>, address: u64, lengthBytes: u64, staged: boolean): i64 {
  const s: Shipment = zeroed();
  s.call = t.call;
  s.arguments[0] = t.fd;
  s.arguments[1] = 1;
  s.arguments[2] = lengthBytes;
  if (t.call === Syscall.PREAD64 || t.call === Syscall.PWRITE64) s.arguments[3] = t.offset + t.done;
  // A stream that has returned some bytes does not wait for more.
  else if (t.isRead) s.arguments[3] = u64(t.done !== 0);
  if (t.isRead) {
    s.buffer = address;
    s.bufferBytes = lengthBytes;
    s.bufferStaged = staged;
  } else {
    s.data = address;
    s.dataBytes = lengthBytes;
    s.dataStaged = staged;
  }
  const result: i64 = ship(addr(s));
  // A reply with more than was requested is invalid.
  return result > i64(lengthBytes) ? failure(Errno.EIO) : result;
}
function shortest(a: u64, b: u64): u64 {
  return a < b ? a : b;
}
/** Result of a call that ends with `result`, an errno: bytes moved before count. */
function ended(t: ptr<Transfer>, result: i64): i64 {
  return t.done > 0 ? i64(t.done) : result;
}

function transfer(number: u32, call: ptr<Call>, offset: u64): i64 {
  const total: u64 = shortest(call.c, u64(LONGEST_TRANSFER));
  const t: Transfer = uninitialized();
  begin(addr(t), number, call, offset);
  for (;;) {
    const wanted: u64 = shortest(total - t.done, u64(IO_DATA_MAX_BYTES));
    const bytes: u64 = accessibleBytes(call.b + t.done, wanted, t.isRead);
    if (bytes === 0 && t.done > 0 && t.done < total) return i64(t.done);
    const result: i64 = part(addr(t), call.b + t.done, bytes, false);
    if (result < 0) return ended(addr(t), result);
    t.done += u64(result);
    // None of the buffer is accessible, but the descriptor is valid: so the error is the buffer's.
    if (bytes === 0 && total > 0) return failure(Errno.EFAULT);
    if (u64(result) < bytes || t.done >= total) return i64(t.done);
  }
}

/**
 * How many bytes from the start of the range the program may read (or the kernel may write for it). Checks at most the
 * pages of one shipment.
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

// ---- vectors -------------------------------------------------------------------------------------------------------
/** (fd, iovec *, count). */
function readv(call: ptr<Call>): i64 {
  return vector(Syscall.READ, call, 0);
}
function writev(call: ptr<Call>): i64 {
  return vector(Syscall.WRITE, call, 0);
}
/** (fd, iovec *, count, offset, upper half of the offset, which is ignored here). */
function preadv(call: ptr<Call>): i64 {
  return vector(Syscall.PREAD64, call, call.d);
}
function pwritev(call: ptr<Call>): i64 {
  return vector(Syscall.PWRITE64, call, call.d);
}
/** The same with flags, none of which is supported. Offset -1: at the file's position. */
function preadv2(call: ptr<Call>): i64 {
  if (call.f !== 0) return refused(Syscall.READ, call, Errno.EOPNOTSUPP);
  return i64(call.d) === -1 ? readv(call) : preadv(call);
}
function pwritev2(call: ptr<Call>): i64 {
  if (call.f !== 0) return refused(Syscall.WRITE, call, Errno.EOPNOTSUPP);
  return i64(call.d) === -1 ? writev(call) : pwritev(call);
}

/** Position of a walk over a vector: element, and offset in it. */
class Place {
  index: u64 = 0;
  done: u64 = 0;
}

/** Returns `errno`, unless the descriptor is bad: Linux checks it first. */
function refused(number: u32, call: ptr<Call>, errno: u32): i64 {
  const t: Transfer = uninitialized();
  begin(addr(t), number, call, 0);
  const result: i64 = part(addr(t), 0, 0, false);
  return result < 0 ? result : failure(errno);
}

function vector(number: u32, call: ptr<Call>, offset: u64): i64 {
  if (i64(offset) < 0) return refused(number === Syscall.PREAD64 ? Syscall.READ : Syscall.WRITE, call, Errno.EINVAL);
  let total: u64 = 0;
  const errno: u32 = checkVector(call.b, call.c, addr(total));
  if (errno !== 0) return refused(number, call, errno);
  const t: Transfer = uninitialized();
  begin(addr(t), number, call, offset);
  const place: Place = zeroed();
  for (;;) {
    const left: u64 = total - t.done;
    const result: i64 =
      left > STAGING_BYTES ? large(addr(t), call.b, addr(place)) : small(addr(t), call.b, addr(place), left);
    if (result < 0) return ended(addr(t), result);
    t.done += u64(result);
    if (place.index === STOPPED || t.done >= total) return i64(t.done);
  }
}
/** Value of Place.index: the transfer was short, or memory bad. */
const STOPPED: u64 = 0xffff_ffff_ffff_ffff;

/** Number of elements that are checked before interrupts are admitted. */
const LOOKS: u64 = 8;
function vectorAt(address: u64, index: u64, to: ptr<IoVector>): boolean {
  if (index % LOOKS === LOOKS - 1) admitInterrupts();
  const from: u64 = address + index * sizeof<IoVector>();
  return copyFromUser(addr(currentTask().space), cast<ptr<u8>>(to), from, sizeof<IoVector>());
}
/** 0 and the total number of bytes, at most LONGEST_TRANSFER, or Linux's errno (import_iovec of lib/iov_iter.c). */
function checkVector(address: u64, count: u64, total: ptr<u64>): u32 {
  if (count > u64(VECTORS_MAX)) return Errno.EINVAL;
  // A copy holds the space's lock, for which the handler of a frame may wait: so few copies.
  const some: arr<IoVector, 8> = uninitialized();
  const space = addr(currentTask().space);
  for (let i: u64 = 0; i < count; i += LOOKS) {
    const found: u64 = shortest(LOOKS, count - i);
    const from: u64 = address + i * sizeof<IoVector>();
    if (!copyFromUser(space, cast<ptr<u8>>(addr(some)), from, found * sizeof<IoVector>())) return Errno.EFAULT;
    for (let j: u64 = 0; j < found; j++) {
      const v = addr(some[j]);
      if (i64(v.lengthBytes) < 0) return Errno.EINVAL;
      if (!isUserRange(v.base, v.lengthBytes)) return Errno.EFAULT;
      total[0] += shortest(v.lengthBytes, u64(LONGEST_TRANSFER) - total[0]);
    }
    admitInterrupts();
  }
  return 0;
}

/** Moves part of the element at `place` directly from or to the program's memory. */
function large(t: ptr<Transfer>, address: u64, place: ptr<Place>): i64 {
  const v: IoVector = uninitialized();
  for (;;) {
    if (!vectorAt(address, place.index, addr(v))) return failure(Errno.EFAULT);
    if (place.done < v.lengthBytes) break;
    place.index++;
    place.done = 0;
  }
  const wanted: u64 = shortest(v.lengthBytes - place.done, u64(IO_DATA_MAX_BYTES));
  const bytes: u64 = accessibleBytes(v.base + place.done, wanted, t.isRead);
  const result: i64 = part(t, v.base + place.done, bytes, false);
  if (result < 0) return result;
  if (bytes === 0) return failure(Errno.EFAULT);
  place.done += u64(result);
  if (u64(result) < bytes) place.index = STOPPED;
  return result;
}

/** Moves the rest of the vector, `left` bytes, through the staging area at once. */
function small(t: ptr<Transfer>, address: u64, place: ptr<Place>, left: u64): i64 {
  const area = staging();
  let bytes: u64 = left;
  if (!t.isRead) {
    bytes = walk(t, address, place, left);
    if (bytes === 0 && left > 0) {
      const result: i64 = part(t, 0, 0, false);
      return result < 0 ? result : failure(Errno.EFAULT);
    }
  }
  const result: i64 = part(t, cast<u64>(area), bytes, true);
  if (result < 0) return result;
  place.index = t.isRead ? place.index : STOPPED;
  if (!t.isRead) return result;
  const given: u64 = walk(t, address, place, u64(result));
  place.index = STOPPED;
  return given === 0 && result > 0 ? failure(Errno.EFAULT) : i64(given);
}
/** Copies between the staging area and the elements from `place` on; returns the number of bytes copied. */
function walk(t: ptr<Transfer>, address: u64, place: ptr<Place>, lengthBytes: u64): u64 {
  const space = addr(currentTask().space);
  const area = staging();
  const v: IoVector = uninitialized();
  let moved: u64 = 0;
  let index: u64 = place.index;
  let inElement: u64 = place.done;
  while (moved < lengthBytes) {
    if (!vectorAt(address, index, addr(v))) return moved;
    const wanted: u64 = shortest(v.lengthBytes - shortest(inElement, v.lengthBytes), lengthBytes - moved);
    const bytes: u64 = accessibleBytes(v.base + inElement, wanted, t.isRead);
    const at = addr(area[moved]);
    const isMoved: boolean = t.isRead
      ? copyToUser(space, v.base + inElement, at, bytes)
      : copyFromUser(space, at, v.base + inElement, bytes);
    if (!isMoved) return moved;
    moved += bytes;
    if (bytes < wanted) return moved;
    index++;
    inElement = 0;
  }
  return moved;
}
