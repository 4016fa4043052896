/**
 * clone and clone3: new threads and nothing else. There is no fork on a light-weight kernel. Semantics: Linux,
 * clone(2), kernel/fork.c.
 */
import { Errno } from "../abi/errno.ts";
import { PAGE_BYTES } from "../abi/memory.ts";
import { CLONE_ARGUMENTS_FIRST_BYTES, CLONE_SIGNAL, type CloneArguments, CloneFlag } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { Msr, Rflags } from "../abi/x86.ts";
import { readMsr } from "../arch/cpu.ts";
import { type Frame, startFrame } from "../arch/frame.ts";
import { currentTask } from "../core/task.ts";
import { createThread, type ThreadWishes } from "../core/thread.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { copyFromUser } from "../mm/user.ts";
import { type CallFrame, type Handler, isUserRange } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

export function cloneCallsStart(): void {
  registerSyscall(Syscall.CLONE, cast<Handler>(cloneEntry));
  registerSyscall(Syscall.CLONE3, cast<Handler>(cloneEntry));
}

/** The registers that the ABI lets a called function keep: the SYSCALL entry leaves the program's in place. */
class Kept {
  rbx: u64 = 0;
  rbp: u64 = 0;
  r12: u64 = 0;
  r13: u64 = 0;
  r14: u64 = 0;
  r15: u64 = 0;
}
/** Called directly by the SYSCALL entry: also passes the kept registers. */
function cloneEntry(_call: ptr<CallFrame>): void {
  attr({ naked: true });
  asm`
    push r15; push r14; push r13; push r12; push rbp; push rbx
    mov rsi, rsp
    sub rsp, 8
    call ${cloneCall}
    add rsp, ${8 + sizeof<Kept>()}
    ret
  `;
}
function cloneCall(call: ptr<CallFrame>, kept: ptr<Kept>): i64 {
  return call.number === Syscall.CLONE3 ? clone3(call, kept) : clone(call, kept);
}

const THREAD_FLAGS: u64 = CloneFlag.VM | CloneFlag.FS | CloneFlag.FILES | CloneFlag.SIGHAND | CloneFlag.THREAD;
/**
 * SYSVSEM, and flags without a visible effect here, are accepted; the signal in the low byte is not sent for threads.
 */
const OPTIONAL_FLAGS: u64 =
  CloneFlag.SYSVSEM |
  CloneFlag.SETTLS |
  CloneFlag.PARENT_SETTID |
  CloneFlag.CHILD_CLEARTID |
  CloneFlag.CHILD_SETTID |
  CloneFlag.DETACHED |
  CloneFlag.UNTRACED;
/** Not available: EPERM, as for a caller without privileges. */
const NAMESPACES: u64 =
  CloneFlag.NEWNS |
  CloneFlag.NEWCGROUP |
  CloneFlag.NEWUTS |
  CloneFlag.NEWIPC |
  CloneFlag.NEWUSER |
  CloneFlag.NEWPID |
  CloneFlag.NEWNET;
/** What clone has, and beyond it clone3, which has no signal in the low byte. */
const LEGACY_FLAGS: u64 = 0xffff_ffff;
const CLONE3_FLAGS: u64 = CloneFlag.CLEAR_SIGHAND | CloneFlag.INTO_CGROUP;
const NEWTIME: u64 = 0x80;

/** 0 or an errno: EINVAL where Linux says so, ENOSYS for what Linux has and this kernel has not (processes). */
function checkFlags(flags: u64): u32 {
  if ((flags & CloneFlag.THREAD) !== 0 && (flags & CloneFlag.SIGHAND) === 0) return Errno.EINVAL;
  if ((flags & CloneFlag.SIGHAND) !== 0 && (flags & CloneFlag.VM) === 0) return Errno.EINVAL;
  if ((flags & (NAMESPACES | NEWTIME)) !== 0) return Errno.EPERM;
  const isThread: boolean = (flags & THREAD_FLAGS) === THREAD_FLAGS;
  return isThread && (flags & ~(THREAD_FLAGS | OPTIONAL_FLAGS)) === 0 ? 0 : Errno.ENOSYS;
}
/** `stack`: the new thread's stack pointer. */
function createFrom(call: ptr<CallFrame>, kept: ptr<Kept>, stack: u64, wishes: ptr<ThreadWishes>): i64 {
  const f: Frame = zeroed();
  startFrame(addr(f), call.rip, stack);
  // A debugger that steps the creator does not step its child.
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
  // As SYSCALL leaves them.
  f.rcx = call.rip;
  f.r11 = call.rflags;
  return createThread(addr(f), wishes);
}
function addWishes(wishes: ptr<ThreadWishes>, flags: u64, parentTid: u64, childTid: u64, tls: u64): u32 {
  wishes.fsBase = readMsr(Msr.FS_BASE);
  if ((flags & CloneFlag.SETTLS) !== 0) {
    if (!isUserRange(tls, 0)) return Errno.EPERM;
    wishes.fsBase = tls;
  }
  if ((flags & CloneFlag.PARENT_SETTID) !== 0) wishes.parentTid = parentTid;
  if ((flags & CloneFlag.CHILD_SETTID) !== 0) wishes.childTid = childTid;
  if ((flags & CloneFlag.CHILD_CLEARTID) !== 0) wishes.clearTid = childTid;
  return 0;
}

/**
 * (flags, stack, u32 *parent_tid, u32 *child_tid, tls) → tid; 0 in the new thread. -EAGAIN: every core of the task has
 * its thread.
 */
function clone(call: ptr<CallFrame>, kept: ptr<Kept>): i64 {
  const wishes: ThreadWishes = zeroed();
  const flags: u64 = call.a & ~CLONE_SIGNAL;
  let errno: u32 = checkFlags(flags);
  if (errno === 0) errno = addWishes(addr(wishes), flags, call.c, call.d, call.e);
  return errno !== 0 ? failure(errno) : createFrom(call, kept, call.b === 0 ? call.rsp : call.b, addr(wishes));
}

/** (CloneArguments *, their bytes): as clone, with the stack's lowest address. Later versions are longer. */
function clone3(call: ptr<CallFrame>, kept: ptr<Kept>): i64 {
  const arguments_: CloneArguments = zeroed();
  const wishes: ThreadWishes = zeroed();
  const a = addr(arguments_);
  let errno: u32 = takeArguments(call.a, call.b, a);
  if (errno === 0) errno = checkFlags(a.flags);
  if (errno === 0) errno = addWishes(addr(wishes), a.flags, a.parentTid, a.childTid, a.tls);
  if (errno !== 0) return failure(errno);
  return createFrom(call, kept, a.stack === 0 ? call.rsp : a.stack + a.stackBytes, addr(wishes));
}
/** What a later version of Linux has beyond our structure must be 0. No piece lies in two pages. Returns an errno. */
function checkZero(start: u64, end: u64): u32 {
  const piece: arr<u8, 64> = uninitialized();
  let at: u64 = start;
  while (at < end) {
    const next: u64 = (at | (piece.length - 1)) + 1;
    const count: u64 = (next < end ? next : end) - at;
    if (!copyFromUser(addr(currentTask().space), addr(piece[0]), at, count)) return Errno.EFAULT;
    for (let i: u64 = 0; i < count; i++) if (piece[i] !== 0) return Errno.E2BIG;
    at += count;
    admitInterrupts();
  }
  return 0;
}
function takeArguments(from: u64, bytes: u64, a: ptr<CloneArguments>): u32 {
  const space = addr(currentTask().space);
  const known: u64 = sizeof<CloneArguments>();
  if (bytes > PAGE_BYTES) return Errno.E2BIG;
  if (bytes < CLONE_ARGUMENTS_FIRST_BYTES) return Errno.EINVAL;
  if (bytes > known) {
    const errno: u32 = checkZero(from + known, from + bytes);
    if (errno !== 0) return errno;
  }
  if (!copyFromUser(space, cast<ptr<u8>>(a), from, bytes < known ? bytes : known)) return Errno.EFAULT;
  if (a.setTidCount > TID_LEVELS_MAX) return Errno.EINVAL;
  if ((a.setTid === 0) !== (a.setTidCount === 0)) return Errno.EINVAL;
  if ((a.exitSignal & ~CLONE_SIGNAL) !== 0 || a.exitSignal > SIGNALS) return Errno.EINVAL;
  if ((a.flags & ~(LEGACY_FLAGS | CLONE3_FLAGS)) !== 0) return Errno.EINVAL;
  if ((a.flags & (CloneFlag.DETACHED | (CLONE_SIGNAL & ~NEWTIME))) !== 0) return Errno.EINVAL;
  const bothHandlers: u64 = CloneFlag.SIGHAND | CloneFlag.CLEAR_SIGHAND;
  if ((a.flags & bothHandlers) === bothHandlers) return Errno.EINVAL;
  if ((a.flags & (CloneFlag.THREAD | CloneFlag.PARENT)) !== 0 && a.exitSignal !== 0) return Errno.EINVAL;
  if ((a.stack === 0) !== (a.stackBytes === 0)) return Errno.EINVAL;
  if (a.stack !== 0 && !isUserRange(a.stack, a.stackBytes)) return Errno.EINVAL;
  // Tids are the kernel's to give.
  return a.setTidCount !== 0 ? Errno.EPERM : 0;
}
/** Nested pid name spaces of Linux. */
const TID_LEVELS_MAX: u64 = 32;
const SIGNALS: u64 = 64;
