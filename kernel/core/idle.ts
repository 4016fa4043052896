/**
 * The loop of a core: hlt until its thread is ready, run the thread, and return here when it leaves. There is no tick.
 */
import { EventKind } from "../abi/events.ts";
import { setFsBase, setUserGsBase } from "../arch/cpu.ts";
import { assert, fatal } from "../arch/fatal.ts";
import type { Frame } from "../arch/frame.ts";
import { fpuReset, fpuTake } from "../arch/fpu.ts";
import { isEnding, Leave, thisCpu } from "../arch/percpu.ts";
import { assertNoLocks, lock, unlock } from "../arch/spinlock.ts";
import { record } from "../arch/trace.ts";
import { spaceEnter, spaceLeave } from "../mm/addressspace.ts";
import { copyToUser } from "../mm/user.ts";
import { startCallEntry } from "./caughtcalls.ts";
import { ANY_BITS, futexWake } from "./futex.ts";
import { releaseRobust } from "./robust.ts";
import { stopIntervals } from "./interval.ts";
import { signalsOfEndedTask, signalsOfEndedThread } from "./signal.ts";
import { rest } from "./wait.ts";
import {
  currentTask,
  currentThread,
  setTaskState,
  type Task,
  taskLock,
  TaskState,
  type Thread,
  threadTime,
} from "./task.ts";
import { enterFrame } from "./user.ts";

class Hooks {
  /**
   * A task's main thread is about to run for the first time, in its address space. No lock is held; the task may be
   * ending.
   */
  firstRun: ((task: ptr<Task>) => void) | null = null;
  /** A task has no threads any more: job continues, and ends with `reclaimTask`. No lock is held. */
  lastThreadLeft: ((task: ptr<Task>) => void) | null = null;
  /** Before a thread's first instruction, where it must not go there as it is. */
  entry: ((frame: ptr<Frame>) => void) | null = null;
}
const hooks: Hooks = new Hooks();

export function setFirstRun(firstRun: (task: ptr<Task>) => void): void {
  hooks.firstRun = firstRun;
}
export function setLastThreadLeft(lastThreadLeft: (task: ptr<Task>) => void): void {
  hooks.lastThreadLeft = lastThreadLeft;
}
export function setThreadEntry(entry: (frame: ptr<Frame>) => void): void {
  hooks.entry = entry;
}

/** Discards everything on this core's kernel stack and idles. */
export function enterIdle(): void {
  attr({ naked: true, noreturn: true });
  asm`
    cli
    mov rsp, gs:[8]
    xor ebp, ebp
    call ${idleLoop}
    ud2
  `;
}

function idleLoop(): never {
  attr({ inline: "never" });
  record(EventKind.CPU_IDLE, 0, 0, 0, 0);
  for (;;) {
    const thread = currentThread();
    const ended = thread.ended;
    if (ended !== null) {
      thread.ended = null;
      finish(ended);
    }
    if (atomicLoad(addr(thread.ready)) !== 0) runThread(thread);
    rest();
  }
}

function finish(task: ptr<Task>): void {
  const lastThreadLeft = hooks.lastThreadLeft;
  if (lastThreadLeft !== null) lastThreadLeft(task);
}

/** On the thread's core, from the idle loop: enters the program. */
export function runThread(thread: ptr<Thread>): never {
  atomicStore(addr(thread.ready), 0);
  const task = thread.task;
  const cpu = thisCpu();
  if (task === null) fatal(cstr("thread: ready without a task, core"), u64(cpu.index));
  assert(cpu.task === 0, cstr("thread: the core has a program already"), cpu.task);
  assertNoLocks();
  cpu.task = cast<u64>(task);
  // The task may have been ended before its first instruction. A later end comes with an IPI, which stays pending until
  // the program runs.
  if ((volatileRead(addr(cpu.leave)) & Leave.END) !== 0) leaveThread();
  spaceEnter(addr(task.space));
  const firstRun = hooks.firstRun;
  if (task.state === TaskState.INIT && firstRun !== null) {
    firstRun(task);
    if (isEnding()) leaveThread();
  }
  setFsBase(thread.fsBase);
  setUserGsBase(thread.gsBase);
  startCallEntry();
  if (thread.inheritsFpu !== 0) fpuTake(cpu.index);
  else fpuReset();
  // A signal or a stop may have come before; its WAKE has ended no more than the idle loop's hlt.
  const entry = hooks.entry;
  if (volatileRead(addr(cpu.leave)) !== 0 && entry !== null) entry(addr(thread.start));
  enterFrame(addr(thread.start));
  unreachable();
}

/**
 * The calling core's thread ends: leaves the address space and enters the idle loop. The core is free before the word
 * at `clearTid` is cleared, so a waiter for the thread can create the next one at once.
 */
export function leaveThread(): never {
  const thread = currentThread();
  const cpu = thisCpu();
  const task = thread.task;
  if (task === null) fatal(cstr("thread: one that is not there leaves, core"), u64(cpu.index));
  assert(cpu.task === cast<u64>(task), cstr("thread: leaves for another task"), cpu.task);
  assertNoLocks();
  const clearTid: u64 = thread.clearTid;
  if (thread.robustList !== 0 && !isEnding()) releaseRobust(task, thread);
  spaceLeave(addr(task.space));
  setFsBase(0);
  cpu.frame = null;
  cpu.task = 0;
  let flags: u64 = lock(addr(taskLock));
  signalsOfEndedThread(task, thread);
  task.endedTime += threadTime(thread);
  thread.task = null;
  cpu.leave = 0;
  unlock(addr(taskLock), flags);

  if (clearTid !== 0) {
    let zero: u32 = 0;
    if (copyToUser(addr(task.space), clearTid, cast<ptr<u8>>(addr(zero)), 4))
      futexWake(addr(task.space), clearTid, 1, ANY_BITS);
  }
  flags = lock(addr(taskLock));
  assert(task.threads !== 0, cstr("task: more threads have left than there were, pid"), u64(task.pid));
  task.threads--;
  const last: boolean = task.threads === 0;
  // All threads have ended one by one: the wait status is the main thread's, as on Linux.
  if (last && task.state !== TaskState.ENDING) setTaskState(task, TaskState.ENDING);
  if (last) signalsOfEndedTask(task);
  unlock(addr(taskLock), flags);
  if (last) {
    stopIntervals(task);
    finish(task);
  }
  enterIdle();
  unreachable();
}

/** Exit of one thread. */
export function exitThread(waitStatus: u32): never {
  const task = currentTask();
  const flags: u64 = lock(addr(taskLock));
  if (currentThread().tid === task.pid && task.state !== TaskState.ENDING) task.waitStatus = waitStatus;
  unlock(addr(taskLock), flags);
  leaveThread();
}
