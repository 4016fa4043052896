/**
 * Who a task is: process group, session, users, capabilities. A task is the leader of a session and of a process group
 * of its own, has no parent that it could see, one user (the job's, which is also its group) and no privileges; so
 * what would change that is EPERM, as on Linux for such a process.
 */
import { Errno } from "../abi/errno.ts";
import { CAPABILITY_LAST, CapabilityVersion, Prctl, THREAD_NAME_BYTES } from "../abi/process.ts";
import { Signal } from "../abi/signal.ts";
import { Syscall } from "../abi/syscalls.ts";
import { currentTask, currentThread, findThread } from "../core/task.ts";
import { copyFromUser, copyToUser } from "../mm/user.ts";
import type { Call } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

const MINUS_ONE: u32 = 0xffff_ffff;

export function identityCallsStart(): void {
  registerSyscall(Syscall.GETPPID, none);
  registerSyscall(Syscall.GETPGRP, group);
  registerSyscall(Syscall.GETPGID, groupOf);
  registerSyscall(Syscall.GETSID, groupOf);
  registerSyscall(Syscall.SETPGID, setpgid);
  registerSyscall(Syscall.SETSID, forbidden);
  registerSyscall(Syscall.GETUID, user);
  registerSyscall(Syscall.GETEUID, user);
  registerSyscall(Syscall.GETGID, user);
  registerSyscall(Syscall.GETEGID, user);
  registerSyscall(Syscall.GETRESUID, users);
  registerSyscall(Syscall.GETRESGID, users);
  registerSyscall(Syscall.SETUID, setUser);
  registerSyscall(Syscall.SETGID, setUser);
  registerSyscall(Syscall.SETREUID, setUsers);
  registerSyscall(Syscall.SETREGID, setUsers);
  registerSyscall(Syscall.SETRESUID, setUsers);
  registerSyscall(Syscall.SETRESGID, setUsers);
  registerSyscall(Syscall.SETFSUID, user);
  registerSyscall(Syscall.SETFSGID, user);
  registerSyscall(Syscall.GETGROUPS, getgroups);
  registerSyscall(Syscall.SETGROUPS, forbidden);
  registerSyscall(Syscall.CAPGET, capget);
  registerSyscall(Syscall.CAPSET, capset);
  registerSyscall(Syscall.PERSONALITY, personality);
  registerSyscall(Syscall.PRCTL, prctl);
}

function giveU32(to: u64, value: u32): boolean {
  let word: u32 = value;
  return copyToUser(addr(currentTask().space), to, cast<ptr<u8>>(addr(word)), 4);
}
function none(_call: ptr<Call>): i64 {
  return 0;
}
function forbidden(_call: ptr<Call>): i64 {
  return failure(Errno.EPERM);
}
/** Whether it is the caller's task: 0, its pid, or the tid of a thread of its. */
function isOwn(id: u64): boolean {
  const task = currentTask();
  return id === 0 || id === u64(task.pid) || findThread(task, u32(id)) !== null;
}

// ---- groups ---------------------------------------------------------------------------------------------------------
function group(_call: ptr<Call>): i64 {
  return i64(currentTask().pid);
}
/** (pid). */
function groupOf(call: ptr<Call>): i64 {
  return isOwn(call.a) ? i64(currentTask().pid) : failure(Errno.ESRCH);
}
/** (pid, group). */
function setpgid(call: ptr<Call>): i64 {
  if (i64(call.b) < 0) return failure(Errno.EINVAL);
  if (!isOwn(call.a)) return failure(Errno.ESRCH);
  if (call.a !== 0 && call.a !== u64(currentTask().pid)) return failure(Errno.EINVAL);
  return failure(Errno.EPERM);
}

// ---- users ----------------------------------------------------------------------------------------------------------
/** Also setfsuid and setfsgid, which return the old one and report nothing. */
function user(_call: ptr<Call>): i64 {
  return i64(currentTask().userId);
}
/** (real *, effective *, saved *). */
function users(call: ptr<Call>): i64 {
  const id: u32 = currentTask().userId;
  return giveU32(call.a, id) && giveU32(call.b, id) && giveU32(call.c, id) ? 0 : failure(Errno.EFAULT);
}
/** (id). */
function setUser(call: ptr<Call>): i64 {
  if (u32(call.a) === MINUS_ONE) return failure(Errno.EINVAL);
  return u32(call.a) === currentTask().userId ? 0 : failure(Errno.EPERM);
}
/** (real, effective, saved): -1 leaves one as it is. Calls with two have no third. */
function setUsers(call: ptr<Call>): i64 {
  const hasThird: boolean = call.number === Syscall.SETRESUID || call.number === Syscall.SETRESGID;
  return mayBe(call.a) && mayBe(call.b) && (!hasThird || mayBe(call.c)) ? 0 : failure(Errno.EPERM);
}
function mayBe(id: u64): boolean {
  return u32(id) === MINUS_ONE || u32(id) === currentTask().userId;
}
/** (count, list *): there are no supplementary groups. */
function getgroups(call: ptr<Call>): i64 {
  return i64(call.a) < 0 ? failure(Errno.EINVAL) : 0;
}

// ---- capabilities: none ---------------------------------------------------------------------------------------------
class CapabilityHeader {
  version: u32 = 0;
  pid: i32 = 0;
}
/** Bytes of the sets of a version; 0: there is none such. */
function setBytes(version: u32): u64 {
  if (version === CapabilityVersion.V1) return 12;
  return version === CapabilityVersion.V2 || version === CapabilityVersion.V3 ? 24 : 0;
}
/** Takes the header; an unknown version is answered by ours. 0 or an errno. */
function takeHeader(from: u64, header: ptr<CapabilityHeader>): u32 {
  const space = addr(currentTask().space);
  if (!copyFromUser(space, cast<ptr<u8>>(header), from, sizeof<CapabilityHeader>())) return Errno.EFAULT;
  if (setBytes(header.version) !== 0) return 0;
  return giveU32(from, CapabilityVersion.V3) ? Errno.EINVAL : Errno.EFAULT;
}
/** (header *, sets *). */
function capget(call: ptr<Call>): i64 {
  const header: CapabilityHeader = zeroed();
  const sets: arr<u32, 6> = zeroed();
  const errno: u32 = takeHeader(call.a, addr(header));
  if (errno !== 0) return call.b === 0 && errno === Errno.EINVAL ? 0 : failure(errno);
  if (call.b === 0) return 0;
  if (header.pid < 0) return failure(Errno.EINVAL);
  if (!isOwn(u64(header.pid))) return failure(Errno.ESRCH);
  return copyToUser(addr(currentTask().space), call.b, cast<ptr<u8>>(addr(sets)), setBytes(header.version))
    ? 0
    : failure(Errno.EFAULT);
}
/** (header *, const sets *): words are effective, permitted, inheritable, and again for the upper half. */
function capset(call: ptr<Call>): i64 {
  const header: CapabilityHeader = zeroed();
  const sets: arr<u32, 6> = zeroed();
  const errno: u32 = takeHeader(call.a, addr(header));
  if (errno !== 0) return failure(errno);
  if (header.pid !== 0 && u32(header.pid) !== currentThread().tid) return failure(Errno.EPERM);
  if (!copyFromUser(addr(currentTask().space), cast<ptr<u8>>(addr(sets)), call.b, setBytes(header.version)))
    return failure(Errno.EFAULT);
  for (let i: u32 = 0; i < 6; i++) if (sets[i] !== 0) return failure(Errno.EPERM);
  return 0;
}

// ---- prctl and personality ------------------------------------------------------------------------------------------
/** (persona) → the old one; -1 asks only. It is kept and has no effect: the flags are about other architectures. */
function personality(call: ptr<Call>): i64 {
  const task = currentTask();
  const old: u32 = task.personality;
  if (u32(call.a) !== MINUS_ONE) task.personality = u32(call.a);
  return i64(old);
}

/** (option, …). What there is no such thing of here says so as Linux does on a machine without it: EINVAL. */
function prctl(call: ptr<Call>): i64 {
  const task = currentTask();
  const thread = currentThread();
  const isPlain: boolean = call.c === 0 && call.d === 0 && call.e === 0;
  switch (u32(call.a)) {
    case Prctl.SET_NAME:
      return setName(call.b);
    case Prctl.GET_NAME:
      return copyToUser(addr(task.space), call.b, addr(thread.name[0]), THREAD_NAME_BYTES) ? 0 : failure(Errno.EFAULT);
    case Prctl.SET_PDEATHSIG:
      if (call.b > Signal.SIGRTMAX) return failure(Errno.EINVAL);
      // There is no parent whose end it would come of.
      task.parentDeathSignal = u32(call.b);
      return 0;
    case Prctl.GET_PDEATHSIG:
      return giveU32(call.b, task.parentDeathSignal) ? 0 : failure(Errno.EFAULT);
    case Prctl.GET_DUMPABLE:
      return i64(u32(task.notDumpable === 0));
    case Prctl.SET_DUMPABLE:
      if (call.b > 1) return failure(Errno.EINVAL);
      task.notDumpable = u32(call.b === 0);
      return 0;
    case Prctl.GET_KEEPCAPS:
    case Prctl.GET_TIMING:
    case Prctl.GET_SECCOMP:
      return 0;
    case Prctl.SET_KEEPCAPS:
      return call.b > 1 ? failure(Errno.EINVAL) : 0;
    case Prctl.SET_TIMING:
      return call.b !== 0 ? failure(Errno.EINVAL) : 0;
    case Prctl.CAPBSET_READ:
      return call.b > CAPABILITY_LAST ? failure(Errno.EINVAL) : 0;
    case Prctl.GET_TSC:
      return giveU32(call.b, 1) ? 0 : failure(Errno.EFAULT);
    case Prctl.SET_TSC:
      return call.b === 1 ? 0 : failure(Errno.EINVAL);
    case Prctl.GET_TIMERSLACK:
      return i64(thread.timerSlack === 0 ? DEFAULT_SLACK_NS : thread.timerSlack);
    case Prctl.SET_TIMERSLACK:
      // Timers are exact here; 0 or less means the default.
      thread.timerSlack = i64(call.b) <= 0 ? 0 : call.b;
      return 0;
    case Prctl.SET_CHILD_SUBREAPER:
      task.subreaper = u32(call.b !== 0);
      return 0;
    case Prctl.GET_CHILD_SUBREAPER:
      return giveU32(call.b, task.subreaper) ? 0 : failure(Errno.EFAULT);
    case Prctl.SET_NO_NEW_PRIVS:
      if (call.b !== 1 || !isPlain) return failure(Errno.EINVAL);
      thread.noNewPrivileges = 1;
      return 0;
    case Prctl.GET_NO_NEW_PRIVS:
      return call.b !== 0 || !isPlain ? failure(Errno.EINVAL) : i64(thread.noNewPrivileges);
    case Prctl.GET_THP_DISABLE:
      return call.b !== 0 || !isPlain ? failure(Errno.EINVAL) : i64(task.noLargePages);
    case Prctl.SET_THP_DISABLE:
      if (!isPlain) return failure(Errno.EINVAL);
      task.noLargePages = u32(call.b !== 0);
      return 0;
    default:
      return failure(Errno.EINVAL);
  }
}
const DEFAULT_SLACK_NS: u64 = 50000;
/** The first 15 bytes of a string; no more than these need be there. */
function setName(from: u64): i64 {
  const name: arr<u8, 16> = zeroed();
  for (let i: u64 = 0; i + 1 < THREAD_NAME_BYTES; i++) {
    if (!copyFromUser(addr(currentTask().space), addr(name[i]), from + i, 1)) return failure(Errno.EFAULT);
    if (name[i] === 0) break;
  }
  copy(addr(currentThread().name), addr(name));
  return 0;
}
