/** Who am I, and the end: exit, exit_group, getpid, uname, arch_prctl, getrandom, and waits for children. */
import { Errno } from "../abi/errno.ts";
import { ArchPrctl, RandomFlag, type Utsname, WaitFor, WaitOption } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { Msr } from "../abi/x86.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { formatDecimal, stringLength } from "../../toolchain/lib/rt/strings.ts";
import { readMsr, writeMsr } from "../arch/cpu.ts";
import type { Frame } from "../arch/frame.ts";
import { thisCpu } from "../arch/percpu.ts";
import { exitThread, leaveThread } from "../core/idle.ts";
import { beforeReturn } from "../core/stop.ts";
import { currentTask, currentThread, endTask } from "../core/task.ts";
import { enterExitHandler, hasExitHandler } from "../core/upcall.ts";
import { enterFrame } from "../core/user.ts";
import { copyToUser } from "../mm/user.ts";
import { personality } from "./margay.ts";
import { type Call, type CallFrame, isUserRange } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

export function processCallsStart(): void {
  registerSyscall(Syscall.EXIT, exit);
  registerSyscall(Syscall.EXIT_GROUP, exitGroup);
  registerSyscall(Syscall.GETPID, getpid);
  registerSyscall(Syscall.UNAME, uname);
  registerSyscall(Syscall.ARCH_PRCTL, archPrctl);
  registerSyscall(Syscall.WAIT4, wait4);
  registerSyscall(Syscall.WAITID, waitid);
  registerSyscall(Syscall.GETRANDOM, getrandom);
}

function waitStatusOf(exitCode: u64): u32 {
  return u32(exitCode & 0xff) << 8;
}

/** Where the task ends by the call of this core: enters its handler, if it has one. */
function endByCall(waitStatus: u32): void {
  const task = currentTask();
  if (!hasExitHandler(task)) return;
  const at = cast<ptr<CallFrame>>(thisCpu().kernelStackTop - sizeof<CallFrame>());
  const frame: Frame = zeroed();
  frame.rsp = at.rsp;
  if (!enterExitHandler(addr(frame), task, waitStatus)) return;
  if (volatileRead(addr(thisCpu().leave)) !== 0) beforeReturn(addr(frame));
  enterFrame(addr(frame));
}
/** (code): of this thread. */
function exit(call: ptr<Call>): i64 {
  // Another thread that ends at the same time may be the last instead: then no handler runs.
  const task = currentTask();
  // As always, the status is the main thread's.
  const isMain: boolean = currentThread().tid === task.pid;
  if (atomicLoad(addr(task.threads)) === 1) endByCall(isMain ? waitStatusOf(call.a) : task.waitStatus);
  exitThread(waitStatusOf(call.a));
}
/** (code): of the whole task. */
function exitGroup(call: ptr<Call>): i64 {
  endByCall(waitStatusOf(call.a));
  endTask(currentTask(), waitStatusOf(call.a));
  leaveThread();
}
function getpid(_call: ptr<Call>): i64 {
  return i64(currentTask().pid);
}
function setField(field: ptr<u8>, text: ptr<u8>): void {
  memcpy(field, text, stringLength(text));
}
/** (struct utsname *). */
function uname(call: ptr<Call>): i64 {
  const names: Utsname = zeroed();
  setField(addr(names.sysname[0]), cstr("Margay"));
  names.nodename[0] = 110;
  formatDecimal(addr(names.nodename[1]), u64(personality.nid));
  // Start-up code of C libraries expects a Linux version: this is the one whose system calls are implemented.
  setField(addr(names.release[0]), cstr("6.1.0-margay"));
  setField(addr(names.version[0]), cstr("#1"));
  setField(addr(names.machine[0]), cstr("x86_64"));
  setField(addr(names.domainname[0]), cstr("(none)"));
  if (!copyToUser(addr(currentTask().space), call.a, cast<ptr<u8>>(addr(names)), sizeof<Utsname>()))
    return failure(Errno.EFAULT);
  return 0;
}

/** (code, address). */
function archPrctl(call: ptr<Call>): i64 {
  switch (call.a) {
    case ArchPrctl.SET_FS:
      if (!isUserRange(call.b, 0)) return failure(Errno.EPERM);
      writeMsr(Msr.FS_BASE, call.b);
      return 0;
    case ArchPrctl.SET_GS:
      if (!isUserRange(call.b, 0)) return failure(Errno.EPERM);
      // While the kernel runs, swapgs keeps the program's base here.
      writeMsr(Msr.KERNEL_GS_BASE, call.b);
      return 0;
    case ArchPrctl.GET_FS:
      return giveWord(call.b, readMsr(Msr.FS_BASE));
    case ArchPrctl.GET_GS:
      return giveWord(call.b, readMsr(Msr.KERNEL_GS_BASE));
    default:
      return failure(Errno.EINVAL);
  }
}
function giveWord(to: u64, value: u64): i64 {
  let word: u64 = value;
  return copyToUser(addr(currentTask().space), to, cast<ptr<u8>>(addr(word)), 8) ? 0 : failure(Errno.EFAULT);
}

/** (pid, int *status, options, rusage *): there are no children. */
function wait4(call: ptr<Call>): i64 {
  const known: u64 =
    WaitOption.NOHANG |
    WaitOption.UNTRACED |
    WaitOption.CONTINUED |
    WaitOption.NOTHREAD |
    WaitOption.CLONE |
    WaitOption.ALL;
  if ((call.c & 0xffff_ffff & ~known) !== 0) return failure(Errno.EINVAL);
  return failure(i64(call.a) === PID_LOWEST ? Errno.ESRCH : Errno.ECHILD);
}
const PID_LOWEST: i64 = -2147483648;
/** (which, id, SignalInfo *, options, rusage *). */
function waitid(call: ptr<Call>): i64 {
  const wanted: u64 = WaitOption.EXITED | WaitOption.STOPPED | WaitOption.CONTINUED;
  const known: u64 =
    wanted | WaitOption.NOHANG | WaitOption.NOWAIT | WaitOption.NOTHREAD | WaitOption.CLONE | WaitOption.ALL;
  const options: u64 = call.d & 0xffff_ffff;
  let errno: u32 = Errno.ECHILD;
  if ((options & ~known) !== 0 || (options & wanted) === 0 || call.a > WaitFor.PIDFD) errno = Errno.EINVAL;
  else if (call.a === WaitFor.PID && i64(call.b) <= 0) errno = Errno.EINVAL;
  else if (call.a !== WaitFor.ALL && i64(call.b) < 0) errno = Errno.EINVAL;
  else if (call.a === WaitFor.PIDFD) errno = Errno.EBADF;
  // Linux writes what it has found, nothing too: the six words that such an siginfo has.
  const nothing: arr<u32, 7> = zeroed();
  const to: u64 = call.c;
  if (to !== 0 && !copyToUser(addr(currentTask().space), to, cast<ptr<u8>>(addr(nothing)), 12))
    return failure(Errno.EFAULT);
  return failure(errno);
}

class RandomState {
  last: u64 = 0;
}
const random: RandomState = new RandomState();
/**
 * (buffer, bytes, flags) → bytes. splitmix64 from node, job and a counter: the same in every run, like everything here.
 * Not for secrets.
 */
function getrandom(call: ptr<Call>): i64 {
  const both: u64 = RandomFlag.RANDOM | RandomFlag.INSECURE;
  if ((call.c & both) === both) return failure(Errno.EINVAL);
  const task = currentTask();
  const bytes: u64 = call.b < RANDOM_MAX_BYTES ? call.b : RANDOM_MAX_BYTES;
  for (let done: u64 = 0; done < bytes; done += 8) {
    let z: u64 =
      (u64(personality.nid) << 32) ^
      (u64(task.jobId) << 48) ^
      ((atomicAdd(addr(random.last), 1) + 1) * 0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)) * 0xbf58_476d_1ce4_e5b9;
    z = (z ^ (z >> 27)) * 0x94d0_49bb_1331_11eb;
    z = z ^ (z >> 31);
    const rest: u64 = bytes - done < 8 ? bytes - done : 8;
    if (!copyToUser(addr(task.space), call.a + done, cast<ptr<u8>>(addr(z)), rest)) return failure(Errno.EFAULT);
  }
  return i64(bytes);
}
/** Linux returns this many bytes without interruption. */
const RANDOM_MAX_BYTES: u64 = 256;
