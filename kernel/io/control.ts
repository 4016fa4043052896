/**
 * Shipped calls whose arguments have different meanings: poll and select and their variants, fcntl, ioctl. Signal masks
 * of ppoll and pselect6 are not applied yet: no signal is delivered while a call waits.
 */
import { Errno } from "../abi/errno.ts";
import { DESCRIPTORS_MAX, Fcntl, type FileLock, Ioctl, type PollFd, type Termios, type WindowSize } from "../abi/io.ts";
import type { Timespec } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { currentTask } from "../core/task.ts";
import { copyFromUser, copyToUser } from "../mm/user.ts";
import type { Call } from "../syscall/arguments.ts";
import { failure, registerSyscall } from "../syscall/table.ts";
import { ship, type Shipment } from "./client.ts";
import { argumentOf, stage } from "./marshal.ts";
import { staging, STAGING_BYTES } from "./staging.ts";

export function controlCallsStart(): void {
  registerSyscall(Syscall.POLL, poll);
  registerSyscall(Syscall.PPOLL, ppoll);
  registerSyscall(Syscall.SELECT, select);
  registerSyscall(Syscall.PSELECT6, pselect6);
  registerSyscall(Syscall.FCNTL, fcntl);
  registerSyscall(Syscall.IOCTL, ioctl);
}

/** The call with its registers. */
function begin(s: ptr<Shipment>, call: ptr<Call>): void {
  zero(s);
  s.call = u32(call.number);
  for (let i: u32 = 0; i < 6; i++) s.arguments[i] = argumentOf(call, i);
}
function takeReply(s: ptr<Shipment>): void {
  s.buffer = cast<u64>(staging());
  s.bufferBytes = STAGING_BYTES;
  s.bufferStaged = true;
}
/** Copies from the staging area, from `at` on, into the program's memory. */
function give(to: u64, at: u64, lengthBytes: u64): boolean {
  return copyToUser(addr(currentTask().space), to, addr(staging()[at]), lengthBytes);
}

// ---- waiting -------------------------------------------------------------------------------------------------------
/** Of a signal set. */
const MASK_BYTES: u64 = 8;
const TIME_BYTES: u64 = sizeof<Timespec>();

/** (struct pollfd *, count, milliseconds). */
function poll(call: ptr<Call>): i64 {
  const s: Shipment = uninitialized();
  begin(addr(s), call);
  return pollAll(addr(s), call, 0);
}
/** (struct pollfd *, count, struct timespec *, mask, its bytes). */
function ppoll(call: ptr<Call>): i64 {
  const s: Shipment = uninitialized();
  begin(addr(s), call);
  if (call.d !== 0 && call.e !== MASK_BYTES) return failure(Errno.EINVAL);
  return pollAll(addr(s), call, call.c);
}
/** `time`: address of the timeout, which is written back. */
function pollAll(s: ptr<Shipment>, call: ptr<Call>, time: u64): i64 {
  if (call.b > u64(DESCRIPTORS_MAX)) return failure(Errno.EINVAL);
  const bytes: u64 = call.b * sizeof<PollFd>();
  s.arguments[0] = u64(call.a !== 0);
  if (bytes > 0 && !stage(s, call.a, bytes)) return failure(Errno.EFAULT);
  if (call.number === Syscall.PPOLL) {
    s.arguments[2] = u64(time !== 0);
    s.arguments[3] = 0;
    if (time !== 0 && !stage(s, time, TIME_BYTES)) return failure(Errno.EFAULT);
  }
  takeReply(s);
  const result: i64 = ship(s);
  if (result < 0 || s.replyBytes < bytes) return result;
  if (!give(call.a, 0, bytes)) return failure(Errno.EFAULT);
  // As on Linux: if the time cannot be written, it is skipped.
  if (time !== 0 && s.replyBytes >= bytes + TIME_BYTES) give(time, bytes, TIME_BYTES);
  return result;
}

/** (count, three sets, struct timeval *). */
function select(call: ptr<Call>): i64 {
  return selectAll(call);
}
/** (count, three sets, struct timespec *, {mask, its bytes} *). */
function pselect6(call: ptr<Call>): i64 {
  if (call.f !== 0) {
    const mask: arr<u64, 2> = uninitialized();
    const to = cast<ptr<u8>>(addr(mask));
    if (!copyFromUser(addr(currentTask().space), to, call.f, sizeof<u64>() * 2)) return failure(Errno.EFAULT);
    if (mask[0] !== 0 && mask[1] !== MASK_BYTES) return failure(Errno.EINVAL);
  }
  return selectAll(call);
}
function selectAll(call: ptr<Call>): i64 {
  if (i64(call.a) < 0) return failure(Errno.EINVAL);
  const s: Shipment = uninitialized();
  begin(addr(s), call);
  const count: u64 = call.a < u64(DESCRIPTORS_MAX) ? call.a : u64(DESCRIPTORS_MAX);
  const setBytes: u64 = ((count + 63) / 64) * 8;
  s.arguments[5] = 0;
  for (let i: u32 = 1; i <= 4; i++) {
    const at: u64 = argumentOf(call, i);
    s.arguments[i] = u64(at !== 0);
    if (at !== 0 && !stage(addr(s), at, i === 4 ? TIME_BYTES : setBytes)) return failure(Errno.EFAULT);
  }
  takeReply(addr(s));
  const result: i64 = ship(addr(s));
  if (result < 0) return result;
  let done: u64 = 0;
  for (let i: u32 = 1; i <= 4; i++) {
    const at: u64 = argumentOf(call, i);
    const bytes: u64 = i === 4 ? TIME_BYTES : setBytes;
    if (at === 0 || done + bytes > s.replyBytes) continue;
    if (!give(at, done, bytes) && i < 4) return failure(Errno.EFAULT);
    done += bytes;
  }
  return result;
}

// ---- descriptors and devices ---------------------------------------------------------------------------------------
/** (fd, command, argument): a number, or a struct flock. */
function fcntl(call: ptr<Call>): i64 {
  const s: Shipment = uninitialized();
  begin(addr(s), call);
  switch (u32(call.b)) {
    case Fcntl.SETLK:
    case Fcntl.SETLKW:
    case Fcntl.OFD_SETLK:
    case Fcntl.OFD_SETLKW:
      return structureCall(addr(s), call.c, sizeof<FileLock>(), 0);
    case Fcntl.GETLK:
    case Fcntl.OFD_GETLK:
      return structureCall(addr(s), call.c, sizeof<FileLock>(), sizeof<FileLock>());
  }
  return ship(addr(s));
}
/** (fd, request, argument): the request decides what the argument points to. */
function ioctl(call: ptr<Call>): i64 {
  const s: Shipment = uninitialized();
  begin(addr(s), call);
  switch (u32(call.b)) {
    case Ioctl.FIONBIO:
      return structureCall(addr(s), call.c, sizeof<i32>(), 0);
    case Ioctl.FIONREAD:
      return structureCall(addr(s), call.c, 0, sizeof<i32>());
    case Ioctl.TIOCGWINSZ:
      return structureCall(addr(s), call.c, 0, sizeof<WindowSize>());
    case Ioctl.TCGETS:
      return structureCall(addr(s), call.c, 0, sizeof<Termios>());
  }
  return ship(addr(s));
}
/**
 * Sends `bytesIn` and receives `bytesOut`. Even if they cannot be read, the descriptor is checked, because Linux checks
 * it first: the I/O node then finds too few bytes.
 */
function structureCall(s: ptr<Shipment>, at: u64, bytesIn: u64, bytesOut: u64): i64 {
  s.arguments[2] = u64(at !== 0);
  const isRead: boolean = bytesIn === 0 || stage(s, at, bytesIn);
  s.buffer = at;
  s.bufferBytes = bytesOut;
  const result: i64 = ship(s);
  return !isRead && result === failure(Errno.EINVAL) ? failure(Errno.EFAULT) : result;
}
