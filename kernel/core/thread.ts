/**
 * Creates threads of a running task: on a core of the task without a thread, with the creator's registers except stack
 * and result.
 */
import { Errno } from "../abi/errno.ts";
import { Msr } from "../abi/x86.ts";
import { readMsr } from "../arch/cpu.ts";
import { fpuSaveFor } from "../arch/fpu.ts";
import type { Frame } from "../arch/frame.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { copyToUser } from "../mm/user.ts";
import { signalsOfNewThread } from "./signal.ts";
import { currentTask, currentThread, launch, newId, taskLock, TaskState, threadOf } from "./task.ts";

/** What clone requests besides the registers; addresses in the program, 0: not requested. */
export class ThreadWishes {
  fsBase: u64 = 0;
  parentTid: u64 = 0;
  childTid: u64 = 0;
  clearTid: u64 = 0;
}

/** Starts a thread at `frame`. Returns its tid; -EAGAIN: every core of the task has a thread. */
export function createThread(frame: ptr<Frame>, wishes: ptr<ThreadWishes>): i64 {
  const task = currentTask();
  const creator = currentThread();
  const flags: u64 = lock(addr(taskLock));
  let result: i64 = -i64(Errno.EAGAIN);
  // A task that is ending gets no more threads, because nothing would end them.
  for (let rest: u64 = task.state === TaskState.RUNNING ? task.cores : 0; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    const thread = threadOf(cpu);
    if (thread.task !== null) continue;
    let tid: u32 = newId();
    copy(addr(thread.start), frame);
    thread.fsBase = wishes.fsBase;
    thread.gsBase = readMsr(Msr.KERNEL_GS_BASE);
    thread.inheritsFpu = 1;
    fpuSaveFor(cpu);
    // Both words are written before either thread continues; as on Linux, an invalid address is not an error.
    if (wishes.parentTid !== 0) copyToUser(addr(task.space), wishes.parentTid, cast<ptr<u8>>(addr(tid)), 4);
    if (wishes.childTid !== 0) copyToUser(addr(task.space), wishes.childTid, cast<ptr<u8>>(addr(tid)), 4);
    thread.clearTid = wishes.clearTid;
    signalsOfNewThread(addr(thread.signals), creator.signals.blocked);
    thread.robustList = 0;
    thread.rseq = 0;
    thread.policy = creator.policy;
    thread.nice = creator.nice;
    thread.noNewPrivileges = creator.noNewPrivileges;
    thread.affinity = creator.affinity;
    thread.timerSlack = creator.timerSlack;
    copy(addr(thread.name), addr(creator.name));
    launch(task, cpu, tid);
    result = i64(tid);
    break;
  }
  unlock(addr(taskLock), flags);
  return result;
}
