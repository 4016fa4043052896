/** Interval timers: setitimer, getitimer, alarm. Semantics: Linux, kernel/time/itimer.c. */
import { Errno } from "../abi/errno.ts";
import type { IntervalValue, Timeval } from "../abi/process.ts";
import { IntervalTimer } from "../abi/signal.ts";
import { Syscall } from "../abi/syscalls.ts";
import { readInterval, setInterval } from "../core/interval.ts";
import type { IntervalTimerState } from "../core/signalstate.ts";
import { currentTask } from "../core/task.ts";
import { copyFromUser, copyToUser } from "../mm/user.ts";
import type { Call } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

const NS_PER_SECOND: u64 = 1000000000;
const NS_PER_MICROSECOND: u64 = 1000;
const MICROSECONDS: i64 = 1000000;
/** Longer times are taken as this long: 146 years. */
const LONGEST_SECONDS: u64 = 4611686018;

export function intervalCallsStart(): void {
  registerSyscall(Syscall.SETITIMER, setitimer);
  registerSyscall(Syscall.GETITIMER, getitimer);
  registerSyscall(Syscall.ALARM, alarm);
}

function nanoseconds(t: ptr<Timeval>): u64 {
  const seconds: u64 = u64(t.seconds) < LONGEST_SECONDS ? u64(t.seconds) : LONGEST_SECONDS;
  return seconds * NS_PER_SECOND + u64(t.microseconds) * NS_PER_MICROSECOND;
}
function isTime(t: ptr<Timeval>): boolean {
  return t.seconds >= 0 && t.microseconds >= 0 && t.microseconds < MICROSECONDS;
}
function setTime(t: ptr<Timeval>, ns: u64): void {
  t.seconds = i64(ns / NS_PER_SECOND);
  t.microseconds = i64((ns % NS_PER_SECOND) / NS_PER_MICROSECOND);
}
/** What is left is at least a microsecond: 0 would say that the timer is off. */
function give(to: u64, state: ptr<IntervalTimerState>): i64 {
  const value: IntervalValue = zeroed();
  const isShort: boolean = state.deadline !== 0 && state.deadline < NS_PER_MICROSECOND;
  setTime(addr(value.interval), state.interval);
  setTime(addr(value.value), isShort ? NS_PER_MICROSECOND : state.deadline);
  return copyToUser(addr(currentTask().space), to, cast<ptr<u8>>(addr(value)), sizeof<IntervalValue>())
    ? 0
    : failure(Errno.EFAULT);
}

/** (which, const IntervalValue *new, IntervalValue *old). A null `new` stops the timer, as on Linux. */
function setitimer(call: ptr<Call>): i64 {
  const task = currentTask();
  const value: IntervalValue = zeroed();
  const old: IntervalTimerState = zeroed();
  const bytes: u64 = sizeof<IntervalValue>();
  if (call.b !== 0) {
    if (!copyFromUser(addr(task.space), cast<ptr<u8>>(addr(value)), call.b, bytes)) return failure(Errno.EFAULT);
    if (!isTime(addr(value.value)) || !isTime(addr(value.interval))) return failure(Errno.EINVAL);
  }
  if (u32(call.a) > IntervalTimer.PROF) return failure(Errno.EINVAL);
  setInterval(task, u32(call.a), nanoseconds(addr(value.value)), nanoseconds(addr(value.interval)), addr(old));
  return call.c === 0 ? 0 : give(call.c, addr(old));
}
/** (which, IntervalValue *). */
function getitimer(call: ptr<Call>): i64 {
  const state: IntervalTimerState = zeroed();
  if (u32(call.a) > IntervalTimer.PROF) return failure(Errno.EINVAL);
  readInterval(currentTask(), u32(call.a), addr(state));
  return give(call.b, addr(state));
}
/** (seconds) → seconds that were left of the last one, rounded, but at least 1. */
function alarm(call: ptr<Call>): i64 {
  const old: IntervalTimerState = zeroed();
  const seconds: u64 = call.a <= 0x7fff_ffff ? call.a : 0x7fff_ffff;
  setInterval(currentTask(), IntervalTimer.REAL, seconds * NS_PER_SECOND, 0, addr(old));
  const whole: u64 = old.deadline / NS_PER_SECOND;
  const part: u64 = old.deadline % NS_PER_SECOND;
  const isUp: boolean = (whole === 0 && part !== 0) || part >= NS_PER_SECOND / 2;
  return i64(whole + u64(isUp));
}
