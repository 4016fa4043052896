/**
 * Tasks and threads. A task is one rank of a job: it owns cores of this node, an address space and frames. A job may
 * have several tasks here, up to one a core; they share nothing. A thread is
 * bound to one core for its life; each core has at most one. The main thread runs on the lowest core of its task;
 * thread.ts creates the others, idle.ts runs them.
 *
 * States of a task: LOADING (its segment arrives) → INIT (user-level loader runs) → RUNNING → ENDING (its threads leave
 * their cores) → FAN_IN (only the wait for its children's exits is left) → FREE. job decides the transitions. Cores,
 * states and the location of threads change under `taskLock`.
 */
import { EventKind } from "../abi/events.ts";
import { DESCRIPTORS_MAX } from "../abi/io.ts";
import { USER_STACK_BYTES } from "../abi/memory.ts";
import { Resource, RESOURCE_INFINITY, type ResourceLimit } from "../abi/process.ts";
import { Signal, SIGNALS_QUEUED_MAX } from "../abi/signal.ts";
import { memset } from "../../toolchain/lib/rt/memory.ts";
import { readTsc } from "../arch/cpu.ts";
import { wakeCpu } from "../arch/crosscall.ts";
import { assert } from "../arch/fatal.ts";
import { type Frame, startFrame } from "../arch/frame.ts";
import { allCpusMask, type Cpu, cpuAt, cpuIndex, Leave } from "../arch/percpu.ts";
import { assertHeld, type Lock, LockRank, lock, unlock } from "../arch/spinlock.ts";
import type { Timer } from "../arch/timer.ts";
import { record } from "../arch/trace.ts";
import { freeOwnedFrames } from "../mm/frames.ts";
import type { AddressSpace } from "../mm/addressspace.ts";
import type { TaskRecord } from "./record.ts";
import type { TaskSignals, ThreadSignals } from "./signalstate.ts";

export const enum TaskState {
  FREE = 0,
  LOADING = 1,
  INIT = 2,
  RUNNING = 3,
  ENDING = 4,
  FAN_IN = 5,
}
/** By state: mask of the states that may follow. */
const NEXT_STATES: arr<u32, 6> = [
  1 << TaskState.LOADING,
  (1 << TaskState.INIT) | (1 << TaskState.ENDING),
  (1 << TaskState.RUNNING) | (1 << TaskState.ENDING),
  1 << TaskState.ENDING,
  1 << TaskState.FAN_IN,
  1 << TaskState.FREE,
];
/** One a core. */
export const TASKS_MAX: u32 = 64;
const ID_MAX: u32 = 30000;
/** The program's part of a wait status: killed by signal n is n, exit code n is n << 8. */
export const WAIT_KILLED: u32 = Signal.SIGKILL;

/** Upcalls (upcall.ts): addresses in the program. Under the task lock. */
export class FaultHandler {
  start: u64 = 0;
  /** 0: unused. */
  end: u64 = 0;
  entry: u64 = 0;
  restorer: u64 = 0;
  argument: u64 = 0;
}
export class ExitHandler {
  /** 0: none. */
  entry: u64 = 0;
  restorer: u64 = 0;
  argument: u64 = 0;
  /** 1: it was entered, and `waitStatus` is what the task ends with. */
  runs: u32 = 0;
  waitStatus: u32 = 0;
}

export class Task {
  pid: u32 = 0;
  slot: u32 = 0;
  state: u32 = 0;
  jobId: u32 = 0;
  /** User id of the load's sender; the kernel writes it into every message that the task sends. */
  userId: u32 = 0;
  /** Sender of the load: the parent in the job's tree, or the service node. */
  parentNid: u32 = 0;
  parentPid: u32 = 0;
  rank: u32 = 0;
  size: u32 = 0;
  /** 1: faults stop the thread for a debugger (stop.ts) instead of ending the task. */
  debugged: u32 = 0;
  /** 1: membarrier(PRIVATE_EXPEDITED) was registered. */
  expedited: u32 = 0;
  /** The main thread's exit code until the task is ENDING, then the task's wait status. */
  waitStatus: u32 = 0;
  /** Bit n: the task owns core n. */
  cores: u64 = 0;
  /** Number of threads that have not ended. */
  threads: u64 = 0;
  /** Processor time of threads that have ended, ns. */
  endedTime: u64 = 0;
  /** Frame-backed tables of `size` entries, null before the job is described. */
  nids: ptr<u32> | null = null;
  pids: ptr<u32> | null = null;
  /** By nid: rank + 1 of the lowest rank there, 0 = none; of the same life. */
  ranks: ptr<u16> | null = null;
  /** Stack pointer of the program's first instruction. */
  startStack: u64 = 0;
  space!: AddressSpace;
  signals!: TaskSignals;
  faultHandlers!: arr<FaultHandler, 16>;
  exitHandler!: ExitHandler;
  /** By Resource. */
  limits!: arr<ResourceLimit, 16>;
  // What prctl and personality keep for who asks again.
  personality: u32 = 0;
  parentDeathSignal: u32 = 0;
  notDumpable: u32 = 0;
  subreaper: u32 = 0;
  noLargePages: u32 = 0;
  record!: TaskRecord;
}
/** Registers of a task's first instruction. */
export class UserStart {
  entry: u64 = 0;
  stack: u64 = 0;
  rdi: u64 = 0;
  rsi: u64 = 0;
  rdx: u64 = 0;
  r8: u64 = 0;
}
export class Thread {
  /** Null: the core is free. */
  task: ptr<Task> | null = null;
  tid: u32 = 0;
  /** Set by the starter of the thread; cleared by the core's idle loop. */
  ready: u32 = 0;
  /** An ended task without threads that this core's idle loop must finish. */
  ended: ptr<Task> | null = null;
  /** Word in the program to clear, with a futex wake, when the thread ends; 0: none. */
  clearTid: u64 = 0;
  fsBase: u64 = 0;
  gsBase: u64 = 0;
  /** 1: the thread starts with its creator's FPU registers (fpuSaveFor); 0: fresh ones. */
  inheritsFpu: u32 = 0;
  reserved: u32 = 0;
  /** Registers of its first instruction. */
  start!: Frame;
  /** For timed waits. */
  timer!: Timer;
  /** TSC when it first ran; time that it has waited since; TSC when the wait began in which it is, 0: none. */
  since: u64 = 0;
  waited: u64 = 0;
  waitsSince: u64 = 0;
  signals!: ThreadSignals;
  /** The program's RobustList and Rseq, 0: none. */
  robustList: u64 = 0;
  rseq: u64 = 0;
  rseqSignature: u32 = 0;
  // What a new thread has from its creator: kept, and told to who asks.
  policy: u32 = 0;
  nice: i32 = 0;
  noNewPrivileges: u32 = 0;
  /** 0: all cores of the task. */
  affinity: u64 = 0;
  /** ns; 0: the default. */
  timerSlack: u64 = 0;
  name!: arr<u8, 16>;
}

const tasks: arr<Task, 64> = zeroed();
/** By core. */
const threads: arr<Thread, 64> = zeroed();
class Owned {
  lastId: u32 = 0;
  /** Every slot from this one on is free. */
  slotsEnd: u32 = 0;
  cores: u64 = 0;
}
const owned: Owned = zeroed();
/** Guards states and the location of threads. */
export const taskLock: Lock = { owner: 0, rank: LockRank.TASK, next: 0, serving: 0 };

export function threadOf(cpu: u32): ptr<Thread> {
  return addr(threads[cpu]);
}
export function currentThread(): ptr<Thread> {
  return addr(threads[cpuIndex()]);
}
/** The task of the program that entered the kernel on this core: for system calls. */
export function currentTask(): ptr<Task> {
  return cast<ptr<Task>>(asm<u64>`mov ${ret}, gs:[${offsetof<Cpu>("task")}]`);
}
/** The thread of `task` with that tid; null: none. Without the task lock only for the caller's own task. */
export function findThread(task: ptr<Task>, tid: u32): ptr<Thread> | null {
  if (task !== currentTask()) assertHeld(addr(taskLock));
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const thread = threadOf(u32(countTrailingZeros(rest)));
    if (thread.task === task && thread.tid === tid) return thread;
  }
  return null;
}
export function taskAt(slot: u32): ptr<Task> {
  return addr(tasks[slot]);
}

/** Number of slots that may be in use; the others are free. */
export function tasksEnd(): u32 {
  return volatileRead(addr(owned.slotsEnd));
}
/** The task with this pid that may receive messages: neither free nor ended. Null: none. */
export function findTask(pid: u32): ptr<Task> | null {
  const end: u32 = tasksEnd();
  for (let i: u32 = 0; i < end; i++) {
    const task = taskAt(i);
    if (task.pid === pid && task.state >= TaskState.LOADING && task.state <= TaskState.RUNNING) return task;
  }
  return null;
}
/** The first task of a job from slot `from` on, even if only its fan-in is left. Null: there is none. */
export function nextOfJob(jobId: u32, from: u32): ptr<Task> | null {
  const end: u32 = tasksEnd();
  for (let i: u32 = from; i < end; i++) {
    const task = taskAt(i);
    if (task.state !== TaskState.FREE && task.jobId === jobId) return task;
  }
  return null;
}
/** The task of a rank, even if only its fan-in is left. */
export function findRank(jobId: u32, rank: u32): ptr<Task> | null {
  let task = nextOfJob(jobId, 0);
  while (task !== null && task.rank !== rank) task = nextOfJob(jobId, task.slot + 1);
  return task;
}

/** Whether all of these cores are free. */
export function areFree(cores: u64): boolean {
  return (owned.cores & cores) === 0;
}
/** The lowest `count` free cores (0: all of the node's); 0 if they are not available. */
export function freeCores(count: u32): u64 {
  const free: u64 = allCpusMask() & ~owned.cores;
  if (count === 0) return free === allCpusMask() ? free : 0;
  let mask: u64 = 0;
  let rest: u64 = free;
  for (let i: u32 = 0; i < count; i++) {
    if (rest === 0) return 0;
    mask |= rest & (~rest + 1);
    rest = rest & (rest - 1);
  }
  return mask;
}

/** The only place where a state changes. */
export function setTaskState(task: ptr<Task>, state: u32): void {
  assertHeld(addr(taskLock));
  const follows: boolean = ((NEXT_STATES[task.state] >> state) & 1) !== 0;
  assert(
    follows,
    cstr("task: a state that does not follow; from, and to in the upper half"),
    u64(task.state) | (u64(state) << 32),
  );
  atomicStore(addr(task.state), state);
}

/**
 * Creates a task in state LOADING that owns `cores`; null if every slot is in use. The caller then creates its address
 * space.
 */
export function createTask(cores: u64): ptr<Task> | null {
  const flags: u64 = lock(addr(taskLock));
  let found: ptr<Task> | null = null;
  for (let i: u32 = 0; i < TASKS_MAX && found === null; i++) {
    const task = taskAt(i);
    if (task.state !== TaskState.FREE) continue;
    assert(cores !== 0 && (owned.cores & cores) === 0, cstr("task: cores that are owned"), cores);
    clearTask(task);
    task.slot = i;
    if (i >= owned.slotsEnd) owned.slotsEnd = i + 1;
    task.pid = newId();
    task.cores = cores;
    setLimits(task);
    setTaskState(task, TaskState.LOADING);
    owned.cores |= cores;
    found = task;
  }
  unlock(addr(taskLock), flags);
  return found;
}

/**
 * Zeroes the task except for Portals and tree, most of it, which are zero: the end of the last task in this slot has
 * cleared them (net/portals.ts, job/exit.ts).
 */
function clearTask(task: ptr<Task>): void {
  const start: u64 = cast<u64>(task);
  const rest: u64 = cast<u64>(addr(task.record.segment));
  memset(cast<ptr<u8>>(task), 0, cast<u64>(addr(task.record.portals)) - start);
  memset(cast<ptr<u8>>(rest), 0, start + sizeof<Task>() - rest);
}
/** What the kernel and the I/O node hold to; the rest is as free as it is. Nobody has a privilege. */
function setLimits(task: ptr<Task>): void {
  for (let i: u32 = 0; i < Resource.COUNT; i++) limit(task, i, RESOURCE_INFINITY);
  limit(task, Resource.STACK, USER_STACK_BYTES);
  limit(task, Resource.CORE, 0);
  limit(task, Resource.NOFILE, u64(DESCRIPTORS_MAX));
  limit(task, Resource.SIGPENDING, u64(SIGNALS_QUEUED_MAX));
  limit(task, Resource.MSGQUEUE, 0);
  limit(task, Resource.NICE, 0);
  limit(task, Resource.RTPRIO, 0);
  let threads: u64 = 0;
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) threads++;
  limit(task, Resource.NPROC, threads);
}
function limit(task: ptr<Task>, resource: u32, most: u64): void {
  task.limits[resource].current = most;
  task.limits[resource].maximum = most;
}
/**
 * An unused pid or tid. Pids are also frame owners, so they are small and never one of the allocator's own. Tasks and
 * threads share one number space, as on Linux.
 */
export function newId(): u32 {
  assertHeld(addr(taskLock));
  do owned.lastId = owned.lastId >= ID_MAX ? 1 : owned.lastId + 1;
  while (idInUse(owned.lastId));
  return owned.lastId;
}
function idInUse(id: u32): boolean {
  for (let i: u32 = 0; i < owned.slotsEnd; i++) {
    if (tasks[i].state !== TaskState.FREE && tasks[i].pid === id) return true;
  }
  for (let cpu: u32 = 0; cpu < threads.length; cpu++) {
    if (threads[cpu].task !== null && threads[cpu].tid === id) return true;
  }
  return false;
}

/** Starts the main thread. */
export function startTask(task: ptr<Task>, start: ptr<UserStart>): void {
  const cpu: u32 = u32(countTrailingZeros(task.cores));
  const thread = threadOf(cpu);
  const flags: u64 = lock(addr(taskLock));
  const f = addr(thread.start);
  startFrame(f, start.entry, start.stack);
  f.rdi = start.rdi;
  f.rsi = start.rsi;
  f.rdx = start.rdx;
  f.r8 = start.r8;
  thread.fsBase = 0;
  thread.gsBase = 0;
  thread.inheritsFpu = 0;
  thread.clearTid = 0;
  zero(addr(thread.signals));
  thread.robustList = 0;
  thread.rseq = 0;
  thread.policy = 0;
  thread.nice = 0;
  thread.noNewPrivileges = 0;
  thread.affinity = 0;
  thread.timerSlack = 0;
  zero(addr(thread.name));
  setTaskState(task, TaskState.INIT);
  launch(task, cpu, task.pid);
  unlock(addr(taskLock), flags);
}

/** The program replaces init. False: the task is ending, and stays so. */
export function taskRuns(task: ptr<Task>): boolean {
  const flags: u64 = lock(addr(taskLock));
  const runs: boolean = task.state === TaskState.INIT;
  if (runs) setTaskState(task, TaskState.RUNNING);
  unlock(addr(taskLock), flags);
  return runs;
}

/** Starts the thread of `cpu`, which is prepared except for its task. */
export function launch(task: ptr<Task>, cpu: u32, tid: u32): void {
  const thread = threadOf(cpu);
  assertHeld(addr(taskLock));
  assert(thread.task === null && thread.ready === 0, cstr("task: a core with two threads"), u64(cpu));
  assert(((task.cores >> u64(cpu)) & 1) !== 0, cstr("task: a thread on a core that is not its task's"), u64(cpu));
  thread.tid = tid;
  thread.since = readTsc();
  thread.waited = 0;
  thread.task = task;
  task.threads++;
  atomicStore(addr(thread.ready), 1);
  wakeCpu(cpu);
}

/**
 * Ends a task: each of its threads leaves its core at its next check, and the last one finishes the task. A task
 * without threads (LOADING) is finished by its lowest core. The first wait status wins. May be called in interrupts.
 */
export function endTask(task: ptr<Task>, waitStatus: u32): void {
  const flags: u64 = lock(addr(taskLock));
  endLocked(task, waitStatus);
  unlock(addr(taskLock), flags);
}
export function endLocked(task: ptr<Task>, waitStatus: u32): void {
  assertHeld(addr(taskLock));
  if (task.state < TaskState.LOADING || task.state > TaskState.RUNNING) return;
  if (task.state === TaskState.LOADING) {
    const lowest: u32 = u32(countTrailingZeros(task.cores));
    threadOf(lowest).ended = task;
    wakeCpu(lowest);
  }
  setTaskState(task, TaskState.ENDING);
  task.waitStatus = waitStatus;
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    if (threadOf(cpu).task !== task) continue;
    atomicOr(addr(cpuAt(cpu).leave), Leave.END);
    wakeCpu(cpu);
  }
}

/** Frees the frames of a task without threads. Admits interrupts: the caller holds no lock. */
export function reclaimFrames(task: ptr<Task>): void {
  const frames: u64 = freeOwnedFrames(u16(task.pid));
  record(EventKind.TASK_END, u64(task.pid), frames, 0, 0);
}
/** Also frees its cores; only its slot stays, for the fan-in. */
export function reclaimTask(task: ptr<Task>): void {
  const flags: u64 = lock(addr(taskLock));
  assert(task.threads === 0, cstr("task: reclaimed with threads"), task.threads);
  assert((owned.cores & task.cores) === task.cores, cstr("task: cores that it does not own"), task.cores);
  owned.cores &= ~task.cores;
  setTaskState(task, TaskState.FAN_IN);
  unlock(addr(taskLock), flags);
}

/** Processor time of the thread of a core, ns: what it has not waited. */
export function threadTime(thread: ptr<Thread>): u64 {
  const now: u64 = readTsc();
  const waitsSince: u64 = volatileRead(addr(thread.waitsSince));
  const total: u64 = (waitsSince === 0 ? now : waitsSince) - thread.since;
  return total < thread.waited ? 0 : total - thread.waited;
}
/** Of all of the task's threads, those that have ended too. */
export function taskTime(task: ptr<Task>): u64 {
  let total: u64 = task.endedTime;
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const thread = threadOf(u32(countTrailingZeros(rest)));
    if (thread.task === task) total += threadTime(thread);
  }
  return total;
}

/** The slot may be used again. */
export function releaseTask(task: ptr<Task>): void {
  const flags: u64 = lock(addr(taskLock));
  setTaskState(task, TaskState.FREE);
  while (owned.slotsEnd > 0 && tasks[owned.slotsEnd - 1].state === TaskState.FREE) owned.slotsEnd--;
  unlock(addr(taskLock), flags);
}
