/**
 * Threads: clone, set_tid_address, gettid, futex, membarrier, sched_yield, sched_getaffinity, getcpu. clone creates
 * only threads: a light-weight kernel has no fork. Semantics: Linux, clone(2), futex(2).
 */
import { Errno } from "../abi/errno.ts";
import { CloneFlag, FutexFlag, FutexOperation, Membarrier, type Timespec } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { Vector } from "../abi/vectors.ts";
import { Msr, Rflags } from "../abi/x86.ts";
import { bootEpochSeconds, bootTsc } from "../arch/clock.ts";
import { readMsr, readTsc } from "../arch/cpu.ts";
import { crossCall } from "../arch/crosscall.ts";
import { type Frame, startFrame } from "../arch/frame.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { ANY_BITS, futexRequeue, futexWait, futexWake, NO_DEADLINE } from "../core/futex.ts";
import { currentTask, currentThread, threadOf } from "../core/task.ts";
import { createThread, type ThreadWishes } from "../core/thread.ts";
import { copyToUser, userRangeValid } from "../mm/user.ts";
import { type CallFrame, type Call, checkWord, type Handler, isUserRange } from "./arguments.ts";
import { takeTimespec } from "./structures.ts";
import { failure, registerSyscall } from "./table.ts";

export function threadCallsStart(): void {
  registerSyscall(Syscall.CLONE, cast<Handler>(cloneEntry));
  registerSyscall(Syscall.SET_TID_ADDRESS, setTidAddress);
  registerSyscall(Syscall.GETTID, gettid);
  registerSyscall(Syscall.FUTEX, futex);
  registerSyscall(Syscall.MEMBARRIER, membarrier);
  registerSyscall(Syscall.SCHED_YIELD, schedYield);
  registerSyscall(Syscall.SCHED_GETAFFINITY, schedGetaffinity);
  registerSyscall(Syscall.GETCPU, getcpu);
}

// ---- clone
/**
 * The registers that the ABI lets a called function preserve: the SYSCALL entry leaves the program's values in place.
 */
class Kept {
  rbx: u64 = 0;
  rbp: u64 = 0;
  r12: u64 = 0;
  r13: u64 = 0;
  r14: u64 = 0;
  r15: u64 = 0;
}
/** Called straight from the SYSCALL entry: also passes the preserved registers to `clone`. */
function cloneEntry(_call: ptr<CallFrame>): void {
  attr({ naked: true });
  asm`
    push r15; push r14; push r13; push r12; push rbp; push rbx
    mov rsi, rsp
    sub rsp, 8
    call ${clone}
    add rsp, ${8 + sizeof<Kept>()}
    ret
  `;
}

const THREAD_FLAGS: u64 = CloneFlag.VM | CloneFlag.FS | CloneFlag.FILES | CloneFlag.SIGHAND | CloneFlag.THREAD;
/** SYSVSEM and flags without a visible effect here are accepted; the signal in the low byte is not sent for threads. */
const OPTIONAL_FLAGS: u64 =
  CloneFlag.SYSVSEM |
  CloneFlag.SETTLS |
  CloneFlag.PARENT_SETTID |
  CloneFlag.CHILD_CLEARTID |
  CloneFlag.CHILD_SETTID |
  CloneFlag.DETACHED |
  CloneFlag.UNTRACED |
  0xff;

/**
 * (flags, stack, u32 *parent_tid, u32 *child_tid, tls) → tid; 0 in the new thread. -EAGAIN: every core of the task has
 * its thread. -EINVAL as on Linux; -ENOSYS for features of Linux that this kernel lacks (processes).
 */
function clone(call: ptr<CallFrame>, kept: ptr<Kept>): i64 {
  const flags: u64 = call.a;
  if ((flags & CloneFlag.THREAD) !== 0 && (flags & CloneFlag.SIGHAND) === 0) return failure(Errno.EINVAL);
  if ((flags & CloneFlag.SIGHAND) !== 0 && (flags & CloneFlag.VM) === 0) return failure(Errno.EINVAL);
  if ((flags & THREAD_FLAGS) !== THREAD_FLAGS || (flags & ~(THREAD_FLAGS | OPTIONAL_FLAGS)) !== 0)
    return failure(Errno.ENOSYS);
  const wishes: ThreadWishes = zeroed();
  wishes.fsBase = readMsr(Msr.FS_BASE);
  if ((flags & CloneFlag.SETTLS) !== 0) {
    if (!isUserRange(call.e, 0)) return failure(Errno.EPERM);
    wishes.fsBase = call.e;
  }
  if ((flags & CloneFlag.PARENT_SETTID) !== 0) wishes.parentTid = call.c;
  if ((flags & CloneFlag.CHILD_SETTID) !== 0) wishes.childTid = call.d;
  if ((flags & CloneFlag.CHILD_CLEARTID) !== 0) wishes.clearTid = call.d;
  const f: Frame = zeroed();
  startFrame(addr(f), call.rip, call.b === 0 ? call.rsp : call.b);
  // Single-stepping the creator does not step its child.
  f.rflags = call.rflags & ~u64(Rflags.TF);
  f.rdi = call.a;
  f.rsi = call.b;
  f.rdx = call.c;
  f.r10 = call.d;
  f.r8 = call.e;
  f.r9 = call.f;
  f.rbx = kept.rbx;
  f.rbp = kept.rbp;
  f.r12 = kept.r12;
  f.r13 = kept.r13;
  f.r14 = kept.r14;
  f.r15 = kept.r15;
  // As after SYSCALL.
  f.rcx = call.rip;
  f.r11 = call.rflags;
  return createThread(addr(f), addr(wishes));
}

/** (u32 *): cleared and woken when this thread ends. */
function setTidAddress(call: ptr<Call>): i64 {
  currentThread().clearTid = call.a;
  return i64(currentThread().tid);
}
function gettid(_call: ptr<Call>): i64 {
  return i64(currentThread().tid);
}
/** The core belongs to the thread: there is no other thread to yield to. */
function schedYield(_call: ptr<Call>): i64 {
  return 0;
}

/** (tid, bytes, u64 *mask) → 8. All threads of a task are reported to run on all of its cores; 0 is the caller. */
function schedGetaffinity(call: ptr<Call>): i64 {
  const task = currentTask();
  if ((call.b & 7) !== 0 || call.b === 0) return failure(Errno.EINVAL);
  if (call.a !== 0 && !isThreadOf(call.a)) return failure(Errno.ESRCH);
  return copyToUser(addr(task.space), call.c, cast<ptr<u8>>(addr(task.cores)), 8) ? 8 : failure(Errno.EFAULT);
}
function isThreadOf(tid: u64): boolean {
  const task = currentTask();
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const thread = threadOf(u32(countTrailingZeros(rest)));
    if (thread.task === task && u64(thread.tid) === tid) return true;
  }
  return u64(task.pid) === tid;
}

/** (u32 *cpu, u32 *node, unused); null pointers are skipped. */
function getcpu(call: ptr<Call>): i64 {
  const space = addr(currentTask().space);
  let cpu: u32 = cpuIndex();
  let node: u32 = 0;
  if (call.a !== 0 && !copyToUser(space, call.a, cast<ptr<u8>>(addr(cpu)), 4)) return failure(Errno.EFAULT);
  if (call.b !== 0 && !copyToUser(space, call.b, cast<ptr<u8>>(addr(node)), 4)) return failure(Errno.EFAULT);
  return 0;
}

// ---- futex
const NS_PER_SECOND: u64 = 1000000000;
/** Later deadlines count as infinite: 146 years. */
const LONGEST_SECONDS: i64 = 4611686018;

/** Bit n: command n is supported. */
const KNOWN_COMMANDS: u32 =
  (1 << FutexOperation.WAIT) |
  (1 << FutexOperation.WAKE) |
  (1 << FutexOperation.REQUEUE) |
  (1 << FutexOperation.CMP_REQUEUE) |
  (1 << FutexOperation.WAIT_BITSET) |
  (1 << FutexOperation.WAKE_BITSET);

/** (u32 *word, operation, value, timeout or count2, u32 *word2, value3). */
function futex(call: ptr<Call>): i64 {
  const space = addr(currentTask().space);
  const operation: u32 = u32(call.b);
  const command: u32 = operation & FutexOperation.COMMAND_MASK;
  const value: u32 = u32(call.c);
  if ((operation & FutexFlag.CLOCK_REALTIME) !== 0 && command !== FutexOperation.WAIT_BITSET)
    return failure(Errno.ENOSYS);
  if ((operation & ~(FutexOperation.COMMAND_MASK | FutexFlag.PRIVATE | FutexFlag.CLOCK_REALTIME)) !== 0)
    return failure(Errno.ENOSYS);
  if (command >= 32 || ((KNOWN_COMMANDS >> command) & 1) === 0) return failure(Errno.ENOSYS);
  const errno: u32 = checkWord(call.a);
  if (errno !== 0) return failure(errno);
  // For a word that is not private, Linux looks up the page.
  if ((operation & FutexFlag.PRIVATE) === 0 && !userRangeValid(space, call.a, 4, false)) return failure(Errno.EFAULT);
  switch (command) {
    case FutexOperation.WAIT:
      return wait(call, value, ANY_BITS, false);
    case FutexOperation.WAIT_BITSET:
      return wait(call, value, u32(call.f), true);
    case FutexOperation.WAKE:
      return i64(futexWake(space, call.a, countOf(value), ANY_BITS));
    case FutexOperation.WAKE_BITSET:
      if (u32(call.f) === 0) return failure(Errno.EINVAL);
      return i64(futexWake(space, call.a, countOf(value), u32(call.f)));
    case FutexOperation.REQUEUE:
    case FutexOperation.CMP_REQUEUE:
      if (i32(value) < 0 || i32(u32(call.d)) < 0) return failure(Errno.EINVAL);
      if (checkWord(call.e) !== 0) return failure(checkWord(call.e));
      return futexRequeue(
        space,
        call.a,
        call.e,
        u64(value),
        u64(u32(call.d)),
        command === FutexOperation.CMP_REQUEUE,
        u32(call.f),
      );
    default:
      return failure(Errno.ENOSYS);
  }
}
/** Linux wakes one waiter if one or fewer are requested. */
function countOf(value: u32): u64 {
  return i32(value) < 1 ? 1 : u64(value);
}

/**
 * WAIT's timeout is relative; WAIT_BITSET's is absolute, on the monotonic clock or with CLOCK_REALTIME on the wall
 * clock.
 */
function wait(call: ptr<Call>, value: u32, bits: u32, absolute: boolean): i64 {
  const space = addr(currentTask().space);
  let deadline: u64 = NO_DEADLINE;
  if (bits === 0) return failure(Errno.EINVAL);
  if (call.d !== 0) {
    const t: Timespec = zeroed();
    const errno: u32 = takeTimespec(space, call.d, addr(t));
    if (errno !== 0) return failure(errno);
    let seconds: i64 = t.seconds;
    let from: u64 = readTsc();
    if (absolute) {
      from = bootTsc();
      if ((call.b & FutexFlag.CLOCK_REALTIME) !== 0) seconds -= i64(bootEpochSeconds());
    }
    // Before boot: expires at once, but only after the word was read.
    if (seconds < 0) deadline = from + 1;
    else if (seconds < LONGEST_SECONDS) deadline = from + u64(seconds) * NS_PER_SECOND + u64(t.nanoseconds);
  }
  return futexWait(space, call.a, value, deadline, bits);
}

/**
 * (command, flags): on return every core of the task has executed a full barrier. A cross-call is one; so is the call
 * itself.
 */
function membarrier(call: ptr<Call>): i64 {
  const task = currentTask();
  switch (call.a) {
    case Membarrier.QUERY:
      return i64(Membarrier.GLOBAL | Membarrier.PRIVATE_EXPEDITED | Membarrier.REGISTER_PRIVATE_EXPEDITED);
    case Membarrier.REGISTER_PRIVATE_EXPEDITED:
      task.expedited = 1;
      return 0;
    case Membarrier.GLOBAL:
    case Membarrier.PRIVATE_EXPEDITED:
      if (call.a === Membarrier.PRIVATE_EXPEDITED && task.expedited === 0) return failure(Errno.EPERM);
      fence();
      crossCall(atomicLoad(addr(task.space.activeCpus)), Vector.CROSS_CALL, passBarrier, 0);
      return 0;
    default:
      return failure(Errno.EINVAL);
  }
}
function passBarrier(_argument: u64, _id: u64): void {
  fence();
}
