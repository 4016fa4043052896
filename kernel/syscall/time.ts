/**
 * Time: nanosleep and clock_gettime. Times are virtual nanoseconds; the wall clock adds the epoch from the boot
 * parameters.
 */
import { Errno } from "../abi/errno.ts";
import { Clock, type Timespec } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { bootEpochSeconds, monotonicNanoseconds } from "../arch/clock.ts";
import { readTsc } from "../arch/cpu.ts";
import { currentTask } from "../core/task.ts";
import { sleepUntil } from "../core/wait.ts";
import { copyToUser } from "../mm/user.ts";
import type { Call } from "./arguments.ts";
import { takeTimespec } from "./structures.ts";
import { failure, registerSyscall } from "./table.ts";

const NS_PER_SECOND: u64 = 1000000000;
/** Longer sleeps count as this long: 146 years. */
const LONGEST_SECONDS: i64 = 4611686018;

export function timeCallsStart(): void {
  registerSyscall(Syscall.NANOSLEEP, nanosleep);
  registerSyscall(Syscall.CLOCK_GETTIME, clockGettime);
}

/** (const struct timespec *, struct timespec *remaining). No signal can end it early. */
function nanosleep(call: ptr<Call>): i64 {
  const start: u64 = readTsc();
  const wanted: Timespec = zeroed();
  const errno: u32 = takeTimespec(addr(currentTask().space), call.a, addr(wanted));
  if (errno !== 0) return failure(errno);
  const seconds: u64 = u64(wanted.seconds > LONGEST_SECONDS ? LONGEST_SECONDS : wanted.seconds);
  return sleepUntil(start + seconds * NS_PER_SECOND + u64(wanted.nanoseconds)) ? 0 : failure(Errno.EINTR);
}

/** (clock, struct timespec *). */
function clockGettime(call: ptr<Call>): i64 {
  const now: u64 = monotonicNanoseconds();
  const time: Timespec = zeroed();
  time.seconds = i64(now / NS_PER_SECOND);
  time.nanoseconds = i64(now % NS_PER_SECOND);
  if (call.a === Clock.REALTIME || call.a === Clock.REALTIME_COARSE) time.seconds += i64(bootEpochSeconds());
  return copyToUser(addr(currentTask().space), call.b, cast<ptr<u8>>(addr(time)), sizeof<Timespec>())
    ? 0
    : failure(Errno.EFAULT);
}
