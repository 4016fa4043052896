/**
 * Time: clocks and sleeping. Virtual nanoseconds; the wall clock is the epoch of the boot parameters plus them, and is
 * nobody's to set. Semantics: Linux, kernel/time/posix-timers.c and posix-cpu-timers.c.
 */
import { Errno } from "../abi/errno.ts";
import { Clock, TIMER_ABSTIME, type Timespec, type Timeval } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { bootEpochSeconds, bootTsc, monotonicNanoseconds } from "../arch/clock.ts";
import { readTsc } from "../arch/cpu.ts";
import type { Restart } from "../core/signalstate.ts";
import { currentTask, currentThread, findThread, taskTime, type Thread, threadTime } from "../core/task.ts";
import { sleepUntil } from "../core/wait.ts";
import { copyFromUser, copyToUser } from "../mm/user.ts";
import type { Call } from "./arguments.ts";
import { takeTimespec } from "./structures.ts";
import { failure, registerSyscall } from "./table.ts";

const NS_PER_SECOND: u64 = 1000000000;
const NS_PER_MICROSECOND: u64 = 1000;
/** Longer sleeps are taken as this long: 146 years. */
const LONGEST_SECONDS: i64 = 4611686018;
/** How often a sleeper looks at processor time, at most. */
const SHORTEST_LOOK_NS: u64 = 100000;

export function timeCallsStart(): void {
  registerSyscall(Syscall.NANOSLEEP, nanosleep);
  registerSyscall(Syscall.CLOCK_NANOSLEEP, clockNanosleep);
  registerSyscall(Syscall.CLOCK_GETTIME, clockGettime);
  registerSyscall(Syscall.CLOCK_GETRES, clockGetres);
  registerSyscall(Syscall.CLOCK_SETTIME, clockSettime);
  registerSyscall(Syscall.GETTIMEOFDAY, gettimeofday);
  registerSyscall(Syscall.TIME, time);
}

function giveTime(to: u64, ns: u64, seconds: u64): i64 {
  const t: Timespec = zeroed();
  t.seconds = i64(ns / NS_PER_SECOND + seconds);
  t.nanoseconds = i64(ns % NS_PER_SECOND);
  return copyToUser(addr(currentTask().space), to, cast<ptr<u8>>(addr(t)), sizeof<Timespec>())
    ? 0
    : failure(Errno.EFAULT);
}

// ---- clocks ---------------------------------------------------------------------------------------------------------
/** What a clock shows. */
// biome-ignore format: a table
const enum Shown { NOTHING = 0, WALL = 1, UPTIME = 2, TASK_TIME = 3, THREAD_TIME = 4 }

function shownBy(clock: i32): u32 {
  switch (clock) {
    case Clock.REALTIME:
    case Clock.REALTIME_COARSE:
    case Clock.REALTIME_ALARM:
    case Clock.TAI:
      return Shown.WALL;
    case Clock.MONOTONIC:
    case Clock.MONOTONIC_RAW:
    case Clock.MONOTONIC_COARSE:
    case Clock.BOOTTIME:
    case Clock.BOOTTIME_ALARM:
      return Shown.UPTIME;
    case Clock.PROCESS_CPUTIME:
      return Shown.TASK_TIME;
    case Clock.THREAD_CPUTIME:
      return Shown.THREAD_TIME;
    default:
      return clock < 0 ? shownByOwned(clock) : Shown.NOTHING;
  }
}
// A clock of a process or thread (clock_getcpuclockid): ~id << 3, with a bit for threads and what is counted.
const CLOCK_OF_THREAD: i32 = 4;
const CLOCK_KIND: i32 = 3;
function ownerOf(clock: i32): ptr<Thread> | null {
  const id: u32 = u32(~(clock >> 3));
  return id === 0 ? currentThread() : findThread(currentTask(), id);
}
function shownByOwned(clock: i32): u32 {
  if ((clock & CLOCK_KIND) === CLOCK_KIND) return Shown.NOTHING;
  const id: u32 = u32(~(clock >> 3));
  if ((clock & CLOCK_OF_THREAD) !== 0) return ownerOf(clock) === null ? Shown.NOTHING : Shown.THREAD_TIME;
  return id === 0 || id === currentTask().pid ? Shown.TASK_TIME : Shown.NOTHING;
}
/** Processor time of the task or the thread that `clock` shows. */
function timeShown(clock: i32, shown: u32): u64 {
  if (shown === Shown.TASK_TIME) return taskTime(currentTask());
  const thread = clock < 0 ? ownerOf(clock) : currentThread();
  return thread === null ? 0 : threadTime(thread);
}

/** (clock, Timespec *). */
function clockGettime(call: ptr<Call>): i64 {
  const clock: i32 = i32(u32(call.a));
  const shown: u32 = clock === Clock.MONOTONIC ? Shown.UPTIME : shownBy(clock);
  if (shown === Shown.UPTIME) return giveTime(call.b, monotonicNanoseconds(), 0);
  if (shown === Shown.WALL) return giveTime(call.b, monotonicNanoseconds(), bootEpochSeconds());
  return shown === Shown.NOTHING ? failure(Errno.EINVAL) : giveTime(call.b, timeShown(clock, shown), 0);
}
/** (clock, Timespec *): a nanosecond, of all. */
function clockGetres(call: ptr<Call>): i64 {
  if (shownBy(i32(u32(call.a))) === Shown.NOTHING) return failure(Errno.EINVAL);
  return call.b === 0 ? 0 : giveTime(call.b, 1, 0);
}
/** (clock, const Timespec *). */
function clockSettime(call: ptr<Call>): i64 {
  const t: Timespec = zeroed();
  const clock: i32 = i32(u32(call.a));
  const shown: u32 = shownBy(clock);
  const isTime: boolean = shown === Shown.TASK_TIME || shown === Shown.THREAD_TIME;
  if (clock !== Clock.REALTIME && !isTime) return failure(Errno.EINVAL);
  if (!copyFromUser(addr(currentTask().space), cast<ptr<u8>>(addr(t)), call.b, sizeof<Timespec>()))
    return failure(Errno.EFAULT);
  const isValid: boolean = t.seconds >= 0 && u64(t.nanoseconds) < NS_PER_SECOND;
  return failure(isTime || isValid ? Errno.EPERM : Errno.EINVAL);
}
/** (Timeval *, timezone *): either may be null; the zone is UTC. */
function gettimeofday(call: ptr<Call>): i64 {
  const space = addr(currentTask().space);
  const now: u64 = monotonicNanoseconds();
  const t: Timeval = zeroed();
  let zone: u64 = 0;
  t.seconds = i64(now / NS_PER_SECOND + bootEpochSeconds());
  t.microseconds = i64((now % NS_PER_SECOND) / NS_PER_MICROSECOND);
  if (call.a !== 0 && !copyToUser(space, call.a, cast<ptr<u8>>(addr(t)), sizeof<Timeval>()))
    return failure(Errno.EFAULT);
  return call.b === 0 || copyToUser(space, call.b, cast<ptr<u8>>(addr(zone)), 8) ? 0 : failure(Errno.EFAULT);
}
/** (i64 *) → seconds of the wall clock. */
function time(call: ptr<Call>): i64 {
  let seconds: i64 = i64(monotonicNanoseconds() / NS_PER_SECOND + bootEpochSeconds());
  if (call.a !== 0 && !copyToUser(addr(currentTask().space), call.a, cast<ptr<u8>>(addr(seconds)), 8))
    return failure(Errno.EFAULT);
  return seconds;
}

// ---- sleeping -------------------------------------------------------------------------------------------------------
function nanosecondsOf(t: ptr<Timespec>): u64 {
  return u64(t.seconds > LONGEST_SECONDS ? LONGEST_SECONDS : t.seconds) * NS_PER_SECOND + u64(t.nanoseconds);
}
/** (const Timespec *, Timespec *remaining). */
function nanosleep(call: ptr<Call>): i64 {
  const start: u64 = readTsc();
  const wanted: Timespec = zeroed();
  const errno: u32 = takeTimespec(addr(currentTask().space), call.a, addr(wanted));
  return errno !== 0 ? failure(errno) : sleep(start + nanosecondsOf(addr(wanted)), call.b);
}
/** (clock, flags, const Timespec *, Timespec *remaining). */
function clockNanosleep(call: ptr<Call>): i64 {
  const start: u64 = readTsc();
  const clock: i32 = i32(u32(call.a));
  const shown: u32 = shownBy(clock);
  const wanted: Timespec = zeroed();
  if (shown === Shown.NOTHING) return failure(Errno.EINVAL);
  if (!canSleep(clock)) return failure(Errno.EOPNOTSUPP);
  const errno: u32 = takeTimespec(addr(currentTask().space), call.c, addr(wanted));
  if (errno !== 0) return failure(errno);
  const isAbsolute: boolean = (call.b & u64(TIMER_ABSTIME)) !== 0;
  const length: u64 = nanosecondsOf(addr(wanted));
  if (shown === Shown.TASK_TIME) return sleepForTime(isAbsolute ? length : taskTime(currentTask()) + length);
  if (shown === Shown.THREAD_TIME) return failure(Errno.EINVAL);
  if (!isAbsolute) return sleep(start + length, call.d);
  const epoch: u64 = shown === Shown.WALL ? bootEpochSeconds() * NS_PER_SECOND : 0;
  const deadline: u64 = length > epoch ? bootTsc() + (length - epoch) : start;
  return sleepUntil(deadline) ? 0 : failure(Errno.ERESTARTNOHAND);
}
/** Coarse and raw clocks have no timers; there is no real-time clock for alarms, and a thread uses no time asleep. */
function canSleep(clock: i32): boolean {
  switch (clock) {
    case Clock.MONOTONIC_RAW:
    case Clock.REALTIME_COARSE:
    case Clock.MONOTONIC_COARSE:
    case Clock.REALTIME_ALARM:
    case Clock.BOOTTIME_ALARM:
    case Clock.THREAD_CPUTIME:
      return false;
    default:
      return true;
  }
}
/** `remaining`: where the rest goes if a signal ends it; 0: nowhere. */
function sleep(deadline: u64, remaining: u64): i64 {
  const restart = addr(currentThread().signals.restart);
  restart.deadline = deadline;
  restart.words[0] = remaining;
  return sleepOn(restart);
}
function sleepOn(r: ptr<Restart>): i64 {
  if (sleepUntil(r.deadline)) return 0;
  const now: u64 = readTsc();
  const left: u64 = r.deadline > now ? r.deadline - now : 0;
  r.run = sleepOn;
  if (r.words[0] !== 0 && giveTime(r.words[0], left, 0) !== 0) return failure(Errno.EFAULT);
  return failure(Errno.ERESTART_RESTARTBLOCK);
}
/** Until the task's threads have used so much processor time. */
function sleepForTime(target: u64): i64 {
  const task = currentTask();
  for (;;) {
    const used: u64 = taskTime(task);
    if (used >= target) return 0;
    const soonest: u64 = (target - used) / task.threads;
    if (!sleepUntil(readTsc() + (soonest > SHORTEST_LOOK_NS ? soonest : SHORTEST_LOOK_NS)))
      return failure(Errno.ERESTARTNOHAND);
  }
}
