/**
 * Threads: set_tid_address, gettid, robust lists, rseq, membarrier, getcpu. They are made by clone.ts, and wait by
 * futex.ts.
 */
import { Errno } from "../abi/errno.ts";
import { Membarrier, type RobustList, RSEQ_BYTES, RseqFlag } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { Vector } from "../abi/vectors.ts";
import { crossCall } from "../arch/crosscall.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { rseqReset, rseqStart } from "../core/rseq.ts";
import { currentTask, currentThread, findThread } from "../core/task.ts";
import { copyToUser } from "../mm/user.ts";
import { type Call, isUserRange } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

export function threadCallsStart(): void {
  registerSyscall(Syscall.SET_TID_ADDRESS, setTidAddress);
  registerSyscall(Syscall.GETTID, gettid);
  registerSyscall(Syscall.SET_ROBUST_LIST, setRobustList);
  registerSyscall(Syscall.GET_ROBUST_LIST, getRobustList);
  registerSyscall(Syscall.RSEQ, rseq);
  registerSyscall(Syscall.MEMBARRIER, membarrier);
  registerSyscall(Syscall.GETCPU, getcpu);
}

/** (u32 *): cleared and woken when this thread ends. */
function setTidAddress(call: ptr<Call>): i64 {
  currentThread().clearTid = call.a;
  return i64(currentThread().tid);
}
function gettid(_call: ptr<Call>): i64 {
  return i64(currentThread().tid);
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

// ---- ends of threads
/** (RobustList *, bytes): looked at when this thread ends. */
function setRobustList(call: ptr<Call>): i64 {
  if (call.b !== sizeof<RobustList>()) return failure(Errno.EINVAL);
  currentThread().robustList = call.a;
  return 0;
}
/** (tid, u64 *list, u64 *bytes). */
function getRobustList(call: ptr<Call>): i64 {
  const task = currentTask();
  const thread = call.a === 0 ? currentThread() : findThread(task, u32(call.a));
  if (thread === null) return failure(Errno.ESRCH);
  let bytes: u64 = sizeof<RobustList>();
  let list: u64 = thread.robustList;
  if (!copyToUser(addr(task.space), call.c, cast<ptr<u8>>(addr(bytes)), 8)) return failure(Errno.EFAULT);
  return copyToUser(addr(task.space), call.b, cast<ptr<u8>>(addr(list)), 8) ? 0 : failure(Errno.EFAULT);
}

/**
 * (Rseq *, bytes, flags, signature). There is no preemption and no migration: only a signal ends a restartable sequence
 * (core/rseq.ts), and the core's number never changes.
 */
function rseq(call: ptr<Call>): i64 {
  const thread = currentThread();
  const same: boolean = thread.rseq === call.a && call.b === RSEQ_BYTES;
  if ((call.c & RseqFlag.UNREGISTER) !== 0) {
    if (call.c !== RseqFlag.UNREGISTER || thread.rseq === 0 || !same) return failure(Errno.EINVAL);
    if (thread.rseqSignature !== u32(call.d)) return failure(Errno.EPERM);
    if (!rseqReset(call.a)) return failure(Errno.EFAULT);
    thread.rseq = 0;
    return 0;
  }
  if (call.c !== 0) return failure(Errno.EINVAL);
  if (thread.rseq !== 0) {
    if (!same) return failure(Errno.EINVAL);
    return failure(thread.rseqSignature !== u32(call.d) ? Errno.EPERM : Errno.EBUSY);
  }
  if ((call.a & (RSEQ_BYTES - 1)) !== 0 || call.b !== RSEQ_BYTES) return failure(Errno.EINVAL);
  if (!isUserRange(call.a, RSEQ_BYTES)) return failure(Errno.EFAULT);
  thread.rseq = call.a;
  thread.rseqSignature = u32(call.d);
  if (rseqStart(call.a)) return 0;
  thread.rseq = 0;
  return failure(Errno.EFAULT);
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
