/**
 * Shipped calls whose arguments have different meanings: poll and select and their variants, fcntl, ioctl. A signal
 * ends the wait of poll and select (signal(7)): poll goes on by restart_syscall if no handler runs; the others begin
 * again with the time that is left, which they have written to their timeout.
 */
import { Errno } from "../abi/errno.ts";
import { DESCRIPTORS_MAX, Fcntl, type FileLock, Ioctl, type PollFd, type Termios, type WindowSize } from "../abi/io.ts";
import type { Timespec } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { readTsc } from "../arch/cpu.ts";
import { restoreMask, suspendMask } from "../core/signal.ts";
import type { Restart } from "../core/signalstate.ts";
import { currentTask, currentThread } from "../core/task.ts";
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

const NS_PER_MS: u64 = 1000000;
const NS_PER_SECOND: u64 = 1000000000;

/** (struct pollfd *, count, milliseconds). */
function poll(call: ptr<Call>): i64 {
  const time: i32 = i32(u32(call.c));
  return pollUntil(call.a, call.b, time < 0 ? 0 : readTsc() + u64(time) * NS_PER_MS, time);
}
/** `deadline`: TSC, 0: none. `time`: milliseconds up to it. */
function pollUntil(fds: u64, count: u64, deadline: u64, time: i32): i64 {
  const call: Call = zeroed();
  const s: Shipment = uninitialized();
  call.number = Syscall.POLL;
  call.a = fds;
  call.b = count;
  call.c = u64(i64(time));
  begin(addr(s), addr(call));
  const result: i64 = pollAll(addr(s), addr(call), 0);
  if (result !== failure(Errno.ERESTARTSYS)) return result;
  const restart = addr(currentThread().signals.restart);
  restart.run = pollOn;
  restart.deadline = deadline;
  restart.words[0] = fds;
  restart.words[1] = count;
  return failure(Errno.ERESTART_RESTARTBLOCK);
}
/** Goes on, with whole milliseconds: not less than are left. */
function pollOn(restart: ptr<Restart>): i64 {
  let time: i32 = -1;
  if (restart.deadline !== 0) time = i32(u32((timeLeft(restart.deadline) + NS_PER_MS - 1) / NS_PER_MS));
  return pollUntil(restart.words[0], restart.words[1], restart.deadline, time);
}
function timeLeft(deadline: u64): u64 {
  const now: u64 = readTsc();
  return deadline > now ? deadline - now : 0;
}
/** (struct pollfd *, count, struct timespec *, mask, its bytes). */
function ppoll(call: ptr<Call>): i64 {
  const s: Shipment = uninitialized();
  let mask: u64 = 0;
  begin(addr(s), call);
  if (call.d !== 0 && call.e !== MASK_BYTES) return failure(Errno.EINVAL);
  if (call.d !== 0 && !copyFromUser(addr(currentTask().space), cast<ptr<u8>>(addr(mask)), call.d, MASK_BYTES))
    return failure(Errno.EFAULT);
  const start: u64 = readTsc();
  if (call.d !== 0) suspendMask(mask);
  const result: i64 = pollAll(addr(s), call, call.c);
  return endWait(result, call.c, start, NS_PER_SECOND, call.d !== 0);
}
/**
 * The end of a wait with a timeout at `time` (0: none), whose second word counts `perSecond`, and with another signal
 * mask if `isMasked`. Of a wait that a signal has ended, the time that is left is written back, and a handler runs with
 * the call's mask.
 */
function endWait(result: i64, time: u64, start: u64, perSecond: u64, isMasked: boolean): i64 {
  if (result !== failure(Errno.ERESTARTSYS)) {
    if (isMasked) restoreMask();
    return result;
  }
  if (time === 0) return failure(Errno.ERESTARTNOHAND);
  const left: Timespec = zeroed();
  const space = addr(currentTask().space);
  if (!copyFromUser(space, cast<ptr<u8>>(addr(left)), time, TIME_BYTES)) return failure(Errno.EINTR);
  const unit: u64 = NS_PER_SECOND / perSecond;
  const wanted: u64 = u64(left.seconds) * NS_PER_SECOND + u64(left.nanoseconds) * unit;
  const passed: u64 = readTsc() - start;
  // A wait of more than 292 years stays as it is.
  const isLong: boolean = u64(left.seconds) >= LONGEST_SECONDS;
  const rest: u64 = wanted > passed ? wanted - passed : 0;
  if (!isLong) {
    left.seconds = i64(rest / NS_PER_SECOND);
    left.nanoseconds = i64((rest % NS_PER_SECOND) / unit);
  }
  // As on Linux: a call whose time cannot be written does not begin again.
  if (!copyToUser(space, time, cast<ptr<u8>>(addr(left)), TIME_BYTES)) return failure(Errno.EINTR);
  return failure(Errno.ERESTARTNOHAND);
}
const LONGEST_SECONDS: u64 = 9223372036;
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
  const start: u64 = readTsc();
  return endWait(selectAll(call), call.e, start, MICROSECONDS, false);
}
const MICROSECONDS: u64 = 1000000;
/** (count, three sets, struct timespec *, {mask, its bytes} *). */
function pselect6(call: ptr<Call>): i64 {
  const space = addr(currentTask().space);
  const argument: arr<u64, 2> = zeroed();
  let mask: u64 = 0;
  const start: u64 = readTsc();
  if (call.f !== 0 && !copyFromUser(space, cast<ptr<u8>>(addr(argument)), call.f, sizeof<u64>() * 2))
    return failure(Errno.EFAULT);
  const isMasked: boolean = argument[0] !== 0;
  if (isMasked) {
    if (argument[1] !== MASK_BYTES) return failure(Errno.EINVAL);
    if (!copyFromUser(space, cast<ptr<u8>>(addr(mask)), argument[0], MASK_BYTES)) return failure(Errno.EFAULT);
    suspendMask(mask);
  }
  return endWait(selectAll(call), call.e, start, NS_PER_SECOND, isMasked);
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
