/**
 * Scheduling as programs ask for it. There is none: a thread has its core for its life, and nobody else runs there. So
 * policies and nice values are kept and told, real-time policies are EPERM as on Linux without privileges, an interval
 * of round robin is 0 (no time slicing), and an affinity is a wish: a thread stays on its core.
 */
import { Errno } from "../abi/errno.ts";
import { Nice, Policy, PriorityOf, RealTimePriority, SCHED_RESET_ON_FORK } from "../abi/schedule.ts";
import type { Timespec } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { currentTask, currentThread, findThread, type Thread } from "../core/task.ts";
import { copyFromUser, copyToUser } from "../mm/user.ts";
import type { Call } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

export function scheduleCallsStart(): void {
  registerSyscall(Syscall.SCHED_YIELD, schedYield);
  registerSyscall(Syscall.SCHED_GETAFFINITY, getAffinity);
  registerSyscall(Syscall.SCHED_SETAFFINITY, setAffinity);
  registerSyscall(Syscall.SCHED_GETSCHEDULER, getScheduler);
  registerSyscall(Syscall.SCHED_SETSCHEDULER, setScheduler);
  registerSyscall(Syscall.SCHED_GETPARAM, getParameter);
  registerSyscall(Syscall.SCHED_SETPARAM, setParameter);
  registerSyscall(Syscall.SCHED_GET_PRIORITY_MAX, highestPriority);
  registerSyscall(Syscall.SCHED_GET_PRIORITY_MIN, lowestPriority);
  registerSyscall(Syscall.SCHED_RR_GET_INTERVAL, getInterval);
  registerSyscall(Syscall.GETPRIORITY, getPriority);
  registerSyscall(Syscall.SETPRIORITY, setPriority);
}

/** A thread of the caller's task; 0 is the caller. Null: there is none. */
function threadWith(tid: u64): ptr<Thread> | null {
  return tid === 0 ? currentThread() : findThread(currentTask(), u32(tid));
}
/** The core is the thread's own: there is nobody to yield to. */
function schedYield(_call: ptr<Call>): i64 {
  return 0;
}

/** (tid, bytes, mask *) → 8. Without a wish all cores of the task. */
function getAffinity(call: ptr<Call>): i64 {
  const task = currentTask();
  if ((call.b & 7) !== 0 || call.b === 0) return failure(Errno.EINVAL);
  const thread = threadWith(call.a);
  if (thread === null) return failure(Errno.ESRCH);
  let mask: u64 = thread.affinity === 0 ? task.cores : thread.affinity;
  return copyToUser(addr(task.space), call.c, cast<ptr<u8>>(addr(mask)), 8) ? 8 : failure(Errno.EFAULT);
}
/** (tid, bytes, const mask *). */
function setAffinity(call: ptr<Call>): i64 {
  const task = currentTask();
  let mask: u64 = 0;
  const bytes: u64 = call.b < 8 ? call.b : 8;
  if (!copyFromUser(addr(task.space), cast<ptr<u8>>(addr(mask)), call.c, bytes)) return failure(Errno.EFAULT);
  const thread = threadWith(call.a);
  if (thread === null) return failure(Errno.ESRCH);
  if ((mask & task.cores) === 0) return failure(Errno.EINVAL);
  thread.affinity = mask & task.cores;
  return 0;
}

function isPolicy(policy: u32): boolean {
  return policy <= Policy.BATCH || policy === Policy.IDLE;
}
function isRealTime(policy: u32): boolean {
  return policy === Policy.FIFO || policy === Policy.RR;
}
/** (tid). */
function getScheduler(call: ptr<Call>): i64 {
  if (i64(call.a) < 0) return failure(Errno.EINVAL);
  const thread = threadWith(call.a);
  return thread === null ? failure(Errno.ESRCH) : i64(thread.policy);
}
/** (tid, policy, const int *priority). */
function setScheduler(call: ptr<Call>): i64 {
  if (i64(call.b) < 0) return failure(Errno.EINVAL);
  return schedule(call.a, call.c, u32(call.b), false);
}
/** (tid, const int *priority). */
function setParameter(call: ptr<Call>): i64 {
  return schedule(call.a, call.b, 0, true);
}
function schedule(tid: u64, from: u64, policy: u32, keeps: boolean): i64 {
  let priority: u32 = 0;
  if (from === 0 || i64(tid) < 0) return failure(Errno.EINVAL);
  if (!copyFromUser(addr(currentTask().space), cast<ptr<u8>>(addr(priority)), from, 4)) return failure(Errno.EFAULT);
  const thread = threadWith(tid);
  if (thread === null) return failure(Errno.ESRCH);
  const wanted: u32 = keeps ? thread.policy : policy & ~SCHED_RESET_ON_FORK;
  if (!isPolicy(wanted) || priority > RealTimePriority.HIGHEST) return failure(Errno.EINVAL);
  if (isRealTime(wanted) !== (priority !== 0)) return failure(Errno.EINVAL);
  if (isRealTime(wanted)) return failure(Errno.EPERM);
  if (!keeps) thread.policy = policy;
  return 0;
}
/** (tid, int *priority). */
function getParameter(call: ptr<Call>): i64 {
  let priority: u32 = 0;
  if (call.b === 0 || i64(call.a) < 0) return failure(Errno.EINVAL);
  if (threadWith(call.a) === null) return failure(Errno.ESRCH);
  return copyToUser(addr(currentTask().space), call.b, cast<ptr<u8>>(addr(priority)), 4) ? 0 : failure(Errno.EFAULT);
}
/** (policy). */
function highestPriority(call: ptr<Call>): i64 {
  const policy: u32 = u32(call.a);
  if (isRealTime(policy)) return RealTimePriority.HIGHEST;
  return isPolicy(policy) || policy === Policy.DEADLINE ? 0 : failure(Errno.EINVAL);
}
/** (policy). */
function lowestPriority(call: ptr<Call>): i64 {
  return isRealTime(u32(call.a)) ? RealTimePriority.LOWEST : highestPriority(call);
}
/** (tid, Timespec *): a thread has its core for ever, which Linux writes as 0. */
function getInterval(call: ptr<Call>): i64 {
  const time: Timespec = zeroed();
  if (i64(call.a) < 0) return failure(Errno.EINVAL);
  if (threadWith(call.a) === null) return failure(Errno.ESRCH);
  return copyToUser(addr(currentTask().space), call.b, cast<ptr<u8>>(addr(time)), sizeof<Timespec>())
    ? 0
    : failure(Errno.EFAULT);
}

/** The thread that `who` means; null: none. A group or a user is the task, and its nice value the caller's. */
function threadOfWho(which: u64, who: u64): ptr<Thread> | null {
  const task = currentTask();
  if (which === PriorityOf.PROCESS) return threadWith(who);
  const own: u32 = which === PriorityOf.GROUP ? task.pid : task.userId;
  return who === 0 || u32(who) === own ? currentThread() : null;
}
/** (which, who) → 20 - nice. */
function getPriority(call: ptr<Call>): i64 {
  if (call.a > PriorityOf.USER) return failure(Errno.EINVAL);
  const thread = threadOfWho(call.a, call.b);
  return thread === null ? failure(Errno.ESRCH) : 20 - i64(thread.nice);
}
/** (which, who, nice). */
function setPriority(call: ptr<Call>): i64 {
  if (call.a > PriorityOf.USER) return failure(Errno.EINVAL);
  const thread = threadOfWho(call.a, call.b);
  if (thread === null) return failure(Errno.ESRCH);
  let nice: i64 = i64(call.c);
  if (nice < Nice.LOWEST) nice = Nice.LOWEST;
  if (nice > Nice.HIGHEST) nice = Nice.HIGHEST;
  if (nice < i64(thread.nice)) return failure(Errno.EACCES);
  thread.nice = i32(nice);
  return 0;
}
