/**
 * Signals: handlers, masks, the alternate stack, sending, waiting. Semantics: Linux, kernel/signal.c, in its order of
 * checks. A signal reaches the caller's own task; others are nobody's to signal (ESRCH, or EPERM where there is one).
 */
import { Errno } from "../abi/errno.ts";
import { EventKind } from "../abi/events.ts";
import type { Timespec } from "../abi/process.ts";
import {
  MINSIGSTKSZ,
  Signal,
  type SignalAction,
  SignalCode,
  type SignalContext,
  SignalFlag,
  SignalHow,
  type SignalInfo,
  type SignalStack,
  SIGNAL_SET_BYTES,
  StackFlag,
} from "../abi/signal.ts";
import { Syscall } from "../abi/syscalls.ts";
import { Rflags } from "../abi/x86.ts";
import { readTsc } from "../arch/cpu.ts";
import { type Frame, startFrame } from "../arch/frame.ts";
import { cpuIndex, Leave, thisCpu } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { record } from "../arch/trace.ts";
import { force } from "../core/deliver.ts";
import { isOnStack, popFrame, stackFlags } from "../core/sigframe.ts";
import {
  flushAll,
  bitOf,
  isIgnored,
  sendLocked,
  sendToThread,
  setBlocked,
  suspendMask,
  takeSignal,
  UNBLOCKABLE,
  waitingSignals,
} from "../core/signal.ts";
import type { QueuedSignal } from "../core/signalstate.ts";
import { beforeReturn } from "../core/stop.ts";
import {
  currentTask,
  currentThread,
  findTask,
  nextOfJob,
  type Task,
  taskLock,
  TaskState,
  threadOf,
} from "../core/task.ts";
import { enterFrame } from "../core/user.ts";
import { mustLeave, rest, startDeadline, stopDeadline } from "../core/wait.ts";
import { copyFromUser, copyToUser } from "../mm/user.ts";
import type { Call, CallFrame, Handler } from "./arguments.ts";
import { takeTimespec } from "./structures.ts";
import { failure, registerSyscall } from "./table.ts";

const NS_PER_SECOND: u64 = 1000000000;
/** Longer waits are taken as this long: 146 years. */
const LONGEST_SECONDS: i64 = 4611686018;
const KNOWN_FLAGS: u64 =
  SignalFlag.NOCLDSTOP |
  SignalFlag.NOCLDWAIT |
  SignalFlag.SIGINFO |
  SignalFlag.EXPOSE_TAGBITS |
  SignalFlag.RESTORER |
  SignalFlag.ONSTACK |
  SignalFlag.RESTART |
  SignalFlag.NODEFER |
  SignalFlag.RESETHAND;

export function signalCallsStart(): void {
  registerSyscall(Syscall.RT_SIGACTION, sigaction);
  registerSyscall(Syscall.RT_SIGPROCMASK, sigprocmask);
  registerSyscall(Syscall.RT_SIGRETURN, cast<Handler>(sigreturn));
  registerSyscall(Syscall.RT_SIGPENDING, sigpending);
  registerSyscall(Syscall.RT_SIGSUSPEND, sigsuspend);
  registerSyscall(Syscall.RT_SIGTIMEDWAIT, sigtimedwait);
  registerSyscall(Syscall.RT_SIGQUEUEINFO, sigqueueinfo);
  registerSyscall(Syscall.RT_TGSIGQUEUEINFO, tgsigqueueinfo);
  registerSyscall(Syscall.SIGALTSTACK, cast<Handler>(sigaltstack));
  registerSyscall(Syscall.KILL, kill);
  registerSyscall(Syscall.TKILL, tkill);
  registerSyscall(Syscall.TGKILL, tgkill);
  registerSyscall(Syscall.PAUSE, pause);
  registerSyscall(Syscall.RESTART_SYSCALL, restartSyscall);
}

function take(to: ptr<u8>, from: u64, bytes: u64): boolean {
  return copyFromUser(addr(currentTask().space), to, from, bytes);
}
function give(to: u64, from: ptr<u8>, bytes: u64): boolean {
  return copyToUser(addr(currentTask().space), to, from, bytes);
}
function isSignal(signal: u32): boolean {
  return signal >= 1 && signal <= Signal.SIGRTMAX;
}

// ---- handlers and masks ---------------------------------------------------------------------------------------------
/** (signal, const SignalAction *new, SignalAction *old, bytes of a set). */
function sigaction(call: ptr<Call>): i64 {
  const task = currentTask();
  const signal: u32 = u32(call.a);
  const action: SignalAction = zeroed();
  const old: SignalAction = zeroed();
  if (call.d !== SIGNAL_SET_BYTES) return failure(Errno.EINVAL);
  if (call.b !== 0 && !take(cast<ptr<u8>>(addr(action)), call.b, sizeof<SignalAction>())) return failure(Errno.EFAULT);
  if (!isSignal(signal) || (call.b !== 0 && (bitOf(signal) & UNBLOCKABLE) !== 0)) return failure(Errno.EINVAL);
  const flags: u64 = lock(addr(taskLock));
  const own = addr(task.signals.actions[signal - 1]);
  copy(addr(old), own);
  if (call.b !== 0) {
    copy(own, addr(action));
    own.flags &= KNOWN_FLAGS;
    own.mask &= ~UNBLOCKABLE;
    if (isIgnored(task, signal)) flushAll(task, bitOf(signal));
  }
  unlock(addr(taskLock), flags);
  if (call.c !== 0 && !give(call.c, cast<ptr<u8>>(addr(old)), sizeof<SignalAction>())) return failure(Errno.EFAULT);
  return 0;
}

/** (how, const set *new, set *old, bytes of a set). */
function sigprocmask(call: ptr<Call>): i64 {
  const thread = currentThread();
  let old: u64 = thread.signals.blocked;
  let set: u64 = 0;
  if (call.d !== SIGNAL_SET_BYTES) return failure(Errno.EINVAL);
  if (call.b !== 0) {
    if (!take(cast<ptr<u8>>(addr(set)), call.b, 8)) return failure(Errno.EFAULT);
    switch (u32(call.a)) {
      case SignalHow.BLOCK:
        set |= old;
        break;
      case SignalHow.UNBLOCK:
        set = old & ~set;
        break;
      case SignalHow.SETMASK:
        break;
      default:
        return failure(Errno.EINVAL);
    }
    const flags: u64 = lock(addr(taskLock));
    setBlocked(currentTask(), thread, cpuIndex(), set);
    unlock(addr(taskLock), flags);
  }
  return call.c === 0 || give(call.c, cast<ptr<u8>>(addr(old)), 8) ? 0 : failure(Errno.EFAULT);
}

/** (set *, bytes of a set, which may be fewer than there are): what waits because it is blocked. */
function sigpending(call: ptr<Call>): i64 {
  const thread = currentThread();
  if (call.b > SIGNAL_SET_BYTES) return failure(Errno.EINVAL);
  const flags: u64 = lock(addr(taskLock));
  let set: u64 = waitingSignals(currentTask(), thread) & thread.signals.blocked;
  unlock(addr(taskLock), flags);
  return give(call.a, cast<ptr<u8>>(addr(set)), call.b) ? 0 : failure(Errno.EFAULT);
}

/** (const stack_t *new, stack_t *old). Called straight from the SYSCALL entry: it looks at the stack pointer. */
function sigaltstack(call: ptr<CallFrame>): i64 {
  const stack: SignalStack = zeroed();
  const old: SignalStack = zeroed();
  if (call.a !== 0 && !take(cast<ptr<u8>>(addr(stack)), call.a, sizeof<SignalStack>())) return failure(Errno.EFAULT);
  const errno: u32 = changeStack(call.a === 0 ? null : addr(stack), addr(old), call.rsp);
  if (errno !== 0) return failure(errno);
  return call.b === 0 || give(call.b, cast<ptr<u8>>(addr(old)), sizeof<SignalStack>()) ? 0 : failure(Errno.EFAULT);
}
/** 0 or an errno. `old`: what it was. */
function changeStack(to: ptr<SignalStack> | null, old: ptr<SignalStack>, sp: u64): u32 {
  const own = addr(currentThread().signals.stack);
  copy(old, own);
  old.flags = stackFlags(own, sp) | (own.flags & StackFlag.AUTODISARM);
  if (to === null) return 0;
  if (isOnStack(own, sp)) return Errno.EPERM;
  const mode: u32 = to.flags & ~u32(StackFlag.AUTODISARM);
  if (mode !== StackFlag.DISABLE && mode !== StackFlag.ONSTACK && mode !== 0) return Errno.EINVAL;
  if (mode === StackFlag.DISABLE) {
    to.address = 0;
    to.bytes = 0;
  } else if (to.bytes < MINSIGSTKSZ) return Errno.ENOMEM;
  copy(own, to);
  own.reserved = 0;
  return 0;
}

/**
 * A handler has returned. Called straight from the SYSCALL entry, and does not go back there: all registers come from
 * the frame.
 */
function sigreturn(call: ptr<CallFrame>): i64 {
  const task = currentTask();
  const thread = currentThread();
  const context: SignalContext = zeroed();
  const frame: Frame = zeroed();
  startFrame(addr(frame), call.rip, call.rsp);
  // What the program has in force now; a context changes its own flags.
  frame.rflags = (call.rflags & ~u64(Rflags.TF)) | Rflags.IF;
  thread.signals.restart.run = null;
  if (popFrame(addr(frame), task, call.rsp, addr(context))) {
    const flags: u64 = lock(addr(taskLock));
    setBlocked(task, thread, cpuIndex(), context.mask);
    unlock(addr(taskLock), flags);
    // As on Linux, a stack that does not hold is not an error.
    const old: SignalStack = zeroed();
    changeStack(addr(context.stack), addr(old), frame.rsp);
  } else {
    force(addr(frame), Signal.SIGSEGV, SignalCode.SI_KERNEL, 0, null);
  }
  record(EventKind.SYS_EXIT, Syscall.RT_SIGRETURN, frame.rax, 0, 0);
  if (volatileRead(addr(thisCpu().leave)) !== 0) beforeReturn(addr(frame));
  enterFrame(addr(frame));
  unreachable();
}

// ---- sending --------------------------------------------------------------------------------------------------------
/** siginfo's first words: who sends. */
function sender(task: ptr<Task>): u64 {
  return u64(task.pid) | (u64(task.userId) << 32);
}
/** Core of the thread `tid` of `task`, 64: there is none. */
function coreOf(task: ptr<Task>, tid: u32): u32 {
  assertHeld(addr(taskLock));
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    if (threadOf(cpu).task === task && threadOf(cpu).tid === tid) return cpu;
  }
  return 64;
}
/**
 * The task of the caller's job on this node that has this pid, or a thread with this tid; null: none. Under the task
 * lock.
 */
function taskWith(caller: ptr<Task>, id: u32): ptr<Task> | null {
  if (caller.pid === id || coreOf(caller, id) !== 64) return caller;
  for (let task = nextOfJob(caller.jobId, 0); task !== null; task = nextOfJob(caller.jobId, task.slot + 1)) {
    if (task.state <= TaskState.RUNNING && (task.pid === id || coreOf(task, id) !== 64)) return task;
  }
  return null;
}
/** What is said of a pid or tid of no task of the caller's job. */
function stranger(id: u32): u32 {
  return findTask(id) === null ? Errno.ESRCH : Errno.EPERM;
}

/**
 * (pid, signal). Each task of the job is the only one of its process group; 0 looks whether there is one. Tasks on
 * other nodes have pids of their own kernels: they are not reached.
 */
function kill(call: ptr<Call>): i64 {
  const caller = currentTask();
  const pid: i32 = i32(u32(call.a));
  const signal: u32 = u32(call.b);
  if (pid === -1) return killOthers(caller, signal);
  const id: u32 = u32(pid < 0 ? -pid : pid);
  const flags: u64 = lock(addr(taskLock));
  const task = id === 0 ? caller : taskWith(caller, id);
  let errno: u32 = 0;
  if (task === null || (pid < 0 && task.pid !== id)) errno = stranger(id);
  else if (signal !== 0 && !isSignal(signal)) errno = Errno.EINVAL;
  else if (signal !== 0) errno = sendLocked(task, signal, SignalCode.SI_USER, sender(caller), 0);
  unlock(addr(taskLock), flags);
  return failure(errno);
}
/** All others that the caller may signal: those of its job on this node. */
function killOthers(caller: ptr<Task>, signal: u32): i64 {
  if (signal !== 0 && !isSignal(signal)) return failure(Errno.EINVAL);
  const flags: u64 = lock(addr(taskLock));
  let errno: u32 = Errno.ESRCH;
  for (let task = nextOfJob(caller.jobId, 0); task !== null; task = nextOfJob(caller.jobId, task.slot + 1)) {
    if (task === caller || task.state > TaskState.RUNNING) continue;
    errno = 0;
    if (signal !== 0) sendLocked(task, signal, SignalCode.SI_USER, sender(caller), 0);
  }
  unlock(addr(taskLock), flags);
  return failure(errno);
}
/** (tid, signal). */
function tkill(call: ptr<Call>): i64 {
  return signalThread(0, call.a, u32(call.b), SignalCode.SI_TKILL, sender(currentTask()), 0);
}
/** (pid, tid, signal). */
function tgkill(call: ptr<Call>): i64 {
  if (i64(call.a) <= 0) return failure(Errno.EINVAL);
  return signalThread(u32(call.a), call.b, u32(call.c), SignalCode.SI_TKILL, sender(currentTask()), 0);
}
/** `pid` 0: any of the job's tasks on this node. */
function signalThread(pid: u32, tid: u64, signal: u32, code: i32, first: u64, value: u64): i64 {
  if (i64(tid) <= 0) return failure(Errno.EINVAL);
  const flags: u64 = lock(addr(taskLock));
  const task = taskWith(currentTask(), pid === 0 ? u32(tid) : pid);
  const cpu: u32 = task === null ? 64 : coreOf(task, u32(tid));
  let errno: u32 = 0;
  if (task === null) errno = stranger(pid === 0 ? u32(tid) : pid);
  else if (cpu === 64 || (pid !== 0 && task.pid !== pid)) errno = Errno.ESRCH;
  else if (signal > Signal.SIGRTMAX) errno = Errno.EINVAL;
  else if (signal !== 0) errno = sendToThread(task, cpu, signal, code, first, value);
  unlock(addr(taskLock), flags);
  return failure(errno);
}

/** (pid, signal, const SignalInfo *). */
function sigqueueinfo(call: ptr<Call>): i64 {
  const info: SignalInfo = zeroed();
  const signal: u32 = u32(call.b);
  if (!take(cast<ptr<u8>>(addr(info)), call.c, sizeof<SignalInfo>())) return failure(Errno.EFAULT);
  const pid: i32 = i32(u32(call.a));
  // Nobody can pretend to be the kernel, or somebody else, to others.
  if (isForged(addr(info)) && u32(pid) !== currentThread().tid) return failure(Errno.EPERM);
  const flags: u64 = lock(addr(taskLock));
  const task = pid > 0 ? taskWith(currentTask(), u32(pid)) : null;
  let errno: u32 = 0;
  if (task === null) errno = stranger(u32(pid));
  else if (signal > Signal.SIGRTMAX) errno = Errno.EINVAL;
  else if (signal !== 0) errno = sendLocked(task, signal, info.code, info.first, info.value);
  unlock(addr(taskLock), flags);
  return failure(errno);
}
/** (pid, tid, signal, const SignalInfo *). */
function tgsigqueueinfo(call: ptr<Call>): i64 {
  const info: SignalInfo = zeroed();
  if (!take(cast<ptr<u8>>(addr(info)), call.d, sizeof<SignalInfo>())) return failure(Errno.EFAULT);
  if (i64(call.a) <= 0 || i64(call.b) <= 0) return failure(Errno.EINVAL);
  if (isForged(addr(info)) && u32(call.b) !== currentThread().tid) return failure(Errno.EPERM);
  return signalThread(u32(call.a), call.b, u32(call.c), info.code, info.first, info.value);
}
function isForged(info: ptr<SignalInfo>): boolean {
  return info.code >= 0 || info.code === SignalCode.SI_TKILL;
}

// ---- waiting --------------------------------------------------------------------------------------------------------
/** Until a handler has run. */
function pause(_call: ptr<Call>): i64 {
  while (!mustLeave()) rest();
  return failure(Errno.ERESTARTNOHAND);
}
/** (const set *, bytes of a set): the same with another mask. */
function sigsuspend(call: ptr<Call>): i64 {
  let set: u64 = 0;
  if (call.b !== SIGNAL_SET_BYTES) return failure(Errno.EINVAL);
  if (!take(cast<ptr<u8>>(addr(set)), call.a, 8)) return failure(Errno.EFAULT);
  suspendMask(set);
  while (!mustLeave()) rest();
  return failure(Errno.ERESTARTNOHAND);
}

/** (const set *, SignalInfo *, const Timespec *timeout, bytes of a set) → signal. -EAGAIN: none came in time. */
function sigtimedwait(call: ptr<Call>): i64 {
  const timeout: Timespec = zeroed();
  const signal: QueuedSignal = zeroed();
  let set: u64 = 0;
  const start: u64 = readTsc();
  if (call.d !== SIGNAL_SET_BYTES) return failure(Errno.EINVAL);
  if (!take(cast<ptr<u8>>(addr(set)), call.a, 8)) return failure(Errno.EFAULT);
  if (call.c !== 0) {
    const errno: u32 = takeTimespec(addr(currentTask().space), call.c, addr(timeout));
    if (errno !== 0) return failure(errno);
  }
  set &= ~UNBLOCKABLE;
  const seconds: u64 = u64(timeout.seconds > LONGEST_SECONDS ? LONGEST_SECONDS : timeout.seconds);
  const deadline: u64 = start + seconds * NS_PER_SECOND + u64(timeout.nanoseconds);
  const waits: boolean = call.c === 0 || deadline !== start;
  let found: u32 = takeAwaited(set, addr(signal), waits ? set : 0);
  if (found === 0 && waits) {
    if (call.c !== 0) startDeadline(deadline);
    while (!mustLeave() && (call.c === 0 || readTsc() < deadline)) rest();
    if (call.c !== 0) stopDeadline();
    found = takeAwaited(set, addr(signal), 0);
    // A handler ends the wait for good; a debugger does not.
    if (found === 0 && mustLeave())
      return failure((thisCpu().leave & Leave.SIGNAL) !== 0 ? Errno.EINTR : Errno.ERESTARTNOINTR);
  }
  if (found === 0) return failure(Errno.EAGAIN);
  const info: SignalInfo = zeroed();
  info.signal = i32(found);
  info.code = signal.code;
  info.first = signal.first;
  info.value = signal.value;
  if (call.b !== 0 && !give(call.b, cast<ptr<u8>>(addr(info)), sizeof<SignalInfo>())) return failure(Errno.EFAULT);
  return i64(found);
}
/** Takes a signal of `set`; 0: none waits, and from now on those of `awaited` end a wait. */
function takeAwaited(set: u64, to: ptr<QueuedSignal>, awaited: u64): u32 {
  const thread = currentThread();
  const flags: u64 = lock(addr(taskLock));
  const found: u32 = takeSignal(currentTask(), thread, set, to);
  thread.signals.awaited = found === 0 ? awaited : 0;
  unlock(addr(taskLock), flags);
  return found;
}

/** Made by the kernel in place of a call that a signal without handler, or a debugger, has interrupted. */
function restartSyscall(_call: ptr<Call>): i64 {
  const restart = addr(currentThread().signals.restart);
  const run = restart.run;
  return run === null ? failure(Errno.EINTR) : run(restart);
}
