/**
 * Limits, and what a task has used: prlimit64, getrlimit, setrlimit, getrusage, times, sysinfo. Limits are kept and
 * told; the kernel's own (threads, stack, descriptors at the I/O node) are what they start with. Processor time is what
 * a thread has not waited; how much of it was the kernel's is not counted, so it is all the user's.
 */
import { Errno } from "../abi/errno.ts";
import { PAGE_BYTES } from "../abi/memory.ts";
import {
  type ProcessTimes,
  Resource,
  type ResourceLimit,
  type ResourceUsage,
  type SystemInfo,
  type Timeval,
  USER_TICKS,
  UsageOf,
} from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { monotonicNanoseconds } from "../arch/clock.ts";
import { currentTask, currentThread, findThread, taskTime, threadTime } from "../core/task.ts";
import { freeFrameCount, ownedFrameCount, ramBytes } from "../mm/frames.ts";
import { copyFromUser, copyToUser } from "../mm/user.ts";
import type { Call } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

const NS_PER_SECOND: u64 = 1000000000;
const NS_PER_MICROSECOND: u64 = 1000;
const BYTES_PER_KB: u64 = 1024;

export function limitCallsStart(): void {
  registerSyscall(Syscall.PRLIMIT64, prlimit);
  registerSyscall(Syscall.GETRLIMIT, getrlimit);
  registerSyscall(Syscall.SETRLIMIT, setrlimit);
  registerSyscall(Syscall.GETRUSAGE, getrusage);
  registerSyscall(Syscall.TIMES, times);
  registerSyscall(Syscall.SYSINFO, sysinfo);
}

function give(to: u64, from: ptr<u8>, bytes: u64): i64 {
  return copyToUser(addr(currentTask().space), to, from, bytes) ? 0 : failure(Errno.EFAULT);
}

/** (pid, resource, const ResourceLimit *new, ResourceLimit *old). Of the caller only. */
function prlimit(call: ptr<Call>): i64 {
  const task = currentTask();
  // The order is Linux's: the new limits are read first.
  const limit: ResourceLimit = zeroed();
  if (call.c !== 0 && !copyFromUser(addr(task.space), cast<ptr<u8>>(addr(limit)), call.c, sizeof<ResourceLimit>()))
    return failure(Errno.EFAULT);
  if (call.a !== 0 && call.a !== u64(task.pid) && findThread(task, u32(call.a)) === null) return failure(Errno.ESRCH);
  return change(call.b, call.c === 0 ? null : addr(limit), call.d);
}
/** (resource, ResourceLimit *). */
function getrlimit(call: ptr<Call>): i64 {
  if (call.a >= Resource.COUNT) return failure(Errno.EINVAL);
  return give(call.b, cast<ptr<u8>>(addr(currentTask().limits[call.a])), sizeof<ResourceLimit>());
}
/** (resource, const ResourceLimit *). */
function setrlimit(call: ptr<Call>): i64 {
  const limit: ResourceLimit = zeroed();
  if (!copyFromUser(addr(currentTask().space), cast<ptr<u8>>(addr(limit)), call.b, sizeof<ResourceLimit>()))
    return failure(Errno.EFAULT);
  return change(call.a, addr(limit), 0);
}
/** A hard limit does not rise again. `old`: null, or where the limit of before goes. */
function change(resource: u64, limit: ptr<ResourceLimit> | null, to: u64): i64 {
  if (resource >= Resource.COUNT) return failure(Errno.EINVAL);
  const own = addr(currentTask().limits[resource]);
  const old: ResourceLimit = uninitialized();
  copy(addr(old), own);
  if (limit !== null) {
    if (limit.current > limit.maximum) return failure(Errno.EINVAL);
    if (limit.maximum > own.maximum) return failure(Errno.EPERM);
    copy(own, limit);
  }
  return to === 0 ? 0 : give(to, cast<ptr<u8>>(addr(old)), sizeof<ResourceLimit>());
}

function setTime(t: ptr<Timeval>, ns: u64): void {
  t.seconds = i64(ns / NS_PER_SECOND);
  t.microseconds = i64((ns % NS_PER_SECOND) / NS_PER_MICROSECOND);
}
/** (who, ResourceUsage *). There are no children. */
function getrusage(call: ptr<Call>): i64 {
  const task = currentTask();
  const usage: ResourceUsage = zeroed();
  const who: i32 = i32(u32(call.a));
  if (who !== UsageOf.SELF && who !== UsageOf.THREAD && who !== UsageOf.CHILDREN) return failure(Errno.EINVAL);
  if (who !== UsageOf.CHILDREN) {
    setTime(addr(usage.user), who === UsageOf.SELF ? taskTime(task) : threadTime(currentThread()));
    usage.maxResident = (ownedFrameCount(u16(task.pid)) * PAGE_BYTES) / BYTES_PER_KB;
  }
  return give(call.b, cast<ptr<u8>>(addr(usage)), sizeof<ResourceUsage>());
}
/** (ProcessTimes *) → ticks since boot. */
function times(call: ptr<Call>): i64 {
  const t: ProcessTimes = zeroed();
  t.user = i64(taskTime(currentTask()) / (NS_PER_SECOND / USER_TICKS));
  if (call.a !== 0 && give(call.a, cast<ptr<u8>>(addr(t)), sizeof<ProcessTimes>()) !== 0) return failure(Errno.EFAULT);
  return i64(monotonicNanoseconds() / (NS_PER_SECOND / USER_TICKS));
}
/** (SystemInfo *): of this node. */
function sysinfo(call: ptr<Call>): i64 {
  const info: SystemInfo = zeroed();
  info.uptimeSeconds = i64(monotonicNanoseconds() / NS_PER_SECOND);
  info.totalRam = ramBytes();
  info.freeRam = freeFrameCount() * PAGE_BYTES;
  info.processes = u16(currentTask().threads);
  info.unitBytes = 1;
  return give(call.a, cast<ptr<u8>>(addr(info)), sizeof<SystemInfo>());
}
