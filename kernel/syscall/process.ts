/** Who am I, and the end: exit, exit_group, getpid, gettid, sched_yield, getcpu, uname, arch_prctl. */
import { Errno } from "../abi/errno.ts";
import { USER_END } from "../abi/memory.ts";
import { ArchPrctl, type Utsname } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { Msr } from "../abi/x86.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { formatDecimal, stringLength } from "../../toolchain/lib/rt/strings.ts";
import { readMsr, writeMsr } from "../arch/cpu.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { currentTask, currentThread, endTask, exitThread, leaveThread } from "../core/task.ts";
import { copyToUser } from "../mm/user.ts";
import { personality } from "./margay.ts";
import { type Call, failure, registerSyscall } from "./table.ts";

export function processCallsStart(): void {
  registerSyscall(Syscall.EXIT, exit);
  registerSyscall(Syscall.EXIT_GROUP, exitGroup);
  registerSyscall(Syscall.GETPID, getpid);
  registerSyscall(Syscall.GETTID, gettid);
  registerSyscall(Syscall.SCHED_YIELD, schedYield);
  registerSyscall(Syscall.GETCPU, getcpu);
  registerSyscall(Syscall.UNAME, uname);
  registerSyscall(Syscall.ARCH_PRCTL, archPrctl);
}

function waitStatusOf(exitCode: u64): u32 {
  return u32(exitCode & 0xff) << 8;
}

/** (code): of this thread. */
function exit(call: ptr<Call>): i64 {
  exitThread(waitStatusOf(call.a));
}
/** (code): of the whole task. */
function exitGroup(call: ptr<Call>): i64 {
  endTask(currentTask(), waitStatusOf(call.a));
  leaveThread();
}
function getpid(_call: ptr<Call>): i64 {
  return i64(currentTask().pid);
}
function gettid(_call: ptr<Call>): i64 {
  return i64(currentThread().tid);
}
/** The core is the thread's own: there is nobody to yield to. */
function schedYield(_call: ptr<Call>): i64 {
  return 0;
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

function setField(field: ptr<u8>, text: ptr<u8>): void {
  memcpy(field, text, stringLength(text));
}
/** (struct utsname *). */
function uname(call: ptr<Call>): i64 {
  const names: Utsname = zeroed();
  setField(addr(names.sysname[0]), cstr("Margay"));
  names.nodename[0] = 110;
  formatDecimal(addr(names.nodename[1]), u64(personality.nid));
  // Start-up code of C libraries reads a Linux version here: the one whose system calls these are.
  setField(addr(names.release[0]), cstr("6.1.0-margay"));
  setField(addr(names.version[0]), cstr("#1"));
  setField(addr(names.machine[0]), cstr("x86_64"));
  setField(addr(names.domainname[0]), cstr("(none)"));
  if (!copyToUser(addr(currentTask().space), call.a, cast<ptr<u8>>(addr(names)), sizeof<Utsname>())) return failure(Errno.EFAULT);
  return 0;
}

/** (code, address). */
function archPrctl(call: ptr<Call>): i64 {
  switch (call.a) {
    case ArchPrctl.SET_FS:
      if (call.b >= USER_END) return failure(Errno.EPERM);
      writeMsr(Msr.FS_BASE, call.b);
      return 0;
    case ArchPrctl.SET_GS:
      if (call.b >= USER_END) return failure(Errno.EPERM);
      // swapgs has put the program's base here.
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
