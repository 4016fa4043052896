/**
 * Debugging of one job's processes by messages over the management network (abi/jobdebug.ts): the kernel's side. Only
 * the requested threads stop; other tasks of the node, the network and the kernel's own work continue. Requests are
 * served in the mailbox's interrupt, on the first core; the core that stops reports a stop. Every request is checked:
 * job, thread, addresses by the program's page tables. An invalid request gets an errno and changes nothing.
 */
import { Errno } from "../abi/errno.ts";
import {
  DEBUG_BODY_BYTES,
  DEBUG_MAGIC,
  type DebugMessage,
  DebugOperation,
  DebugReason,
  type DebugRegion,
  type DebugRegisters,
  type DebugTask,
  type DebugThread,
  DebugThreadState,
} from "../abi/jobdebug.ts";
import { MAILBOX_MESSAGE_BYTES } from "../abi/mailbox.ts";
import { USER_END } from "../abi/memory.ts";
import { Rflags } from "../abi/x86.ts";
import { memcpy } from "../../toolchain/lib/rt/memory.ts";
import { type Frame, readGeneral, writeGeneral } from "../arch/frame.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { catchAllCalls, catchCall, catchNoCalls, isCall } from "../core/caughtcalls.ts";
import { setFaultStopper } from "../core/deliver.ts";
import {
  cancelStop,
  endStep,
  NO_CALL,
  requestStop,
  setStopHook,
  type Stop,
  stepThread,
  stopHere,
  stopOf,
  vectorsOf,
} from "../core/stop.ts";
import { currentTask, findRank, type Task, taskLock, TaskState, threadOf } from "../core/task.ts";
import { mailboxSend, mailboxStart } from "../drivers/mailbox.ts";
import { PROTECTIONS } from "../mm/addressspace.ts";
import { regionAbove } from "../mm/regions.ts";
import {
  breakpointAt,
  clearAllBreakpoints,
  clearBreakpoint,
  forgetBreakpoints,
  readHidden,
  setBreakpoint,
  writeHidden,
} from "./breakpoints.ts";

/** Tasks to debug that have not been loaded yet. */
class Awaited {
  /** 0: none. */
  jobId: u32 = 0;
  rank: u32 = 0;
}
const AWAITED_MAX: u32 = 64;
const awaited: arr<Awaited, 64> = zeroed();
const FX_BYTES: u64 = 512;
/** Offset of MXCSR in an FXSAVE image, and the MXCSR bits that every FXRSTOR accepts. */
const FX_MXCSR: u64 = 24;
const MXCSR_BITS: u32 = 0xffbf;

/** A message under construction or being read, with its body. */
class Envelope {
  head!: DebugMessage;
  body!: arr<u8, 976>;
}
/** The current request and its reply: one at a time, in the interrupt. */
const request: Envelope = zeroed();
const answer: Envelope = zeroed();

export function debugStart(): void {
  mailboxStart(receive);
  setStopHook(tellStopped, DebugReason.REQUESTED);
  setFaultStopper(stopAtFault);
}

// ---- events in the kernel -------------------------------------------------------------------------------------------

/** The program of `task` is about to start at `frame`: it stops there if a debugger waits for it. Runs on its core. */
export function debugProgramStart(task: ptr<Task>, frame: ptr<Frame>): void {
  for (let i: u32 = 0; i < AWAITED_MAX; i++) {
    if (awaited[i].jobId !== task.jobId || awaited[i].rank !== task.rank) continue;
    awaited[i].jobId = 0;
    task.debugged = 1;
    stopHere(frame, 0, DebugReason.START);
    return;
  }
}

/** The task has ended; its memory still exists. */
export function debugTaskEnded(task: ptr<Task>): void {
  if (task.debugged === 0) return;
  task.debugged = 0;
  forgetBreakpoints(task);
  const m: DebugMessage = zeroed();
  m.magic = DEBUG_MAGIC;
  m.operation = DebugOperation.ENDED;
  m.jobId = task.jobId;
  m.tid = task.pid;
  m.rank = task.rank;
  m.count = task.waitStatus;
  mailboxSend(cast<ptr<u32>>(addr(m)), u32(sizeof<DebugMessage>()));
}

/** Called on a core whose thread has just stopped. */
function tellStopped(): void {
  assertHeld(addr(taskLock));
  const stop = stopOf(cpuIndex());
  const frame = stop.frame;
  const task = currentTask();
  const m: DebugMessage = zeroed();
  m.magic = DEBUG_MAGIC;
  m.operation = DebugOperation.STOPPED;
  m.jobId = task.jobId;
  m.tid = threadOf(cpuIndex()).tid;
  m.rank = task.rank;
  m.address = frame === null ? 0 : frame.rip;
  m.signal = stop.signal;
  m.reason = stop.reason;
  m.count = stop.call === NO_CALL ? 0 : u32(stop.call);
  mailboxSend(cast<ptr<u32>>(addr(m)), u32(sizeof<DebugMessage>()));
}

/** An exception in a program. True: the fault takes effect. */
function stopAtFault(frame: ptr<Frame>, task: ptr<Task>, signal: u32, isBreakpoint: boolean, isStep: boolean): boolean {
  const stepped: boolean = isStep && endStep(frame);
  // A step left over from a debugger that has gone: the program does not see it.
  if (task.debugged === 0) return !stepped;
  if (isBreakpoint && breakpointAt(task, frame.rip - 1)) {
    // Moves the counter back to the program's own instruction.
    frame.rip--;
    stopHere(frame, signal, DebugReason.BREAKPOINT);
    return false;
  }
  if (stepped) {
    stopHere(frame, signal, DebugReason.STEP);
    return false;
  }
  return stopHere(frame, signal, DebugReason.FAULT);
}

// ---- requests ------------------------------------------------------------------------------------------------------

function receive(message: ptr<u32>, lengthBytes: u32): void {
  if (u64(lengthBytes) < sizeof<DebugMessage>() || lengthBytes > MAILBOX_MESSAGE_BYTES) return;
  memcpy(cast<ptr<u8>>(addr(request)), cast<ptr<u8>>(message), u64(lengthBytes));
  const head = addr(request.head);
  if (head.magic !== DEBUG_MAGIC) return;
  const reply = addr(answer.head);
  copy(reply, head);
  reply.bodyBytes = 0;
  const whole: boolean =
    head.bodyBytes <= DEBUG_BODY_BYTES && u64(head.bodyBytes) + sizeof<DebugMessage>() === u64(lengthBytes);
  const flags: u64 = lock(addr(taskLock));
  reply.errno = whole ? serve(head, reply) : Errno.EINVAL;
  unlock(addr(taskLock), flags);
  if (reply.errno !== 0) reply.bodyBytes = 0;
  mailboxSend(cast<ptr<u32>>(addr(answer)), u32(sizeof<DebugMessage>()) + reply.bodyBytes);
}

/** With the task lock, so that the set of threads does not change. Returns the reply's errno. */
function serve(head: ptr<DebugMessage>, reply: ptr<DebugMessage>): u32 {
  assertHeld(addr(taskLock));
  const task = findRank(head.jobId, head.rank);
  if (head.operation === DebugOperation.ATTACH) return attach(head, task);
  if (task === null || head.jobId === 0) return Errno.ESRCH;
  if (task.debugged === 0) return Errno.EPERM;
  switch (head.operation) {
    case DebugOperation.DETACH:
      return detach(task);
    case DebugOperation.THREADS:
      return threads(task, reply);
    case DebugOperation.STOP:
    case DebugOperation.CONTINUE:
      return eachThread(task, head);
    case DebugOperation.STEP:
      return step(task, head.tid);
    case DebugOperation.READ_REGISTERS:
      return readRegisters(task, head.tid, reply);
    case DebugOperation.WRITE_REGISTERS:
      return writeRegisters(task, head);
    case DebugOperation.READ_MEMORY:
      if (head.count > DEBUG_BODY_BYTES) return Errno.EMSGSIZE;
      if (!readHidden(task, addr(answer.body[0]), head.address, u64(head.count))) return Errno.EFAULT;
      reply.bodyBytes = head.count;
      return 0;
    case DebugOperation.WRITE_MEMORY:
      return writeHidden(task, head.address, addr(request.body[0]), u64(head.bodyBytes)) ? 0 : Errno.EFAULT;
    case DebugOperation.SET_BREAKPOINT:
      return setBreakpoint(task, head.address);
    case DebugOperation.CLEAR_BREAKPOINT:
      return clearBreakpoint(task, head.address);
    case DebugOperation.CATCH_CALLS:
      return catchCalls(task, head);
    case DebugOperation.CATCH_ALL_CALLS:
      catchAllCalls(task);
      return 0;
    case DebugOperation.REGIONS:
      return regions(task, head.address, reply);
    case DebugOperation.DESCRIBE:
      return describe(task, reply);
    default:
      return Errno.ENOSYS;
  }
}

function attach(head: ptr<DebugMessage>, task: ptr<Task> | null): u32 {
  if (head.jobId === 0) return Errno.EINVAL;
  if (task !== null && task.state === TaskState.RUNNING) {
    task.debugged = 1;
    return 0;
  }
  if (head.count === 0) return Errno.ESRCH;
  for (let i: u32 = 0; i < AWAITED_MAX; i++)
    if (awaited[i].jobId === head.jobId && awaited[i].rank === head.rank) return 0;
  for (let i: u32 = 0; i < AWAITED_MAX; i++) {
    if (awaited[i].jobId !== 0) continue;
    awaited[i].jobId = head.jobId;
    awaited[i].rank = head.rank;
    return 0;
  }
  return Errno.ENOSPC;
}

function detach(task: ptr<Task>): u32 {
  clearAllBreakpoints(task);
  catchNoCalls(task);
  task.debugged = 0;
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    if (threadOf(cpu).task !== task) continue;
    cancelStop(cpu);
  }
  return 0;
}

/** What is caught stays as it was if the list does not hold. */
function catchCalls(task: ptr<Task>, head: ptr<DebugMessage>): u32 {
  const numbers = cast<ptr<u32>>(addr(request.body[0]));
  if (u64(head.count) * 4 !== u64(head.bodyBytes)) return Errno.EINVAL;
  for (let i: u32 = 0; i < head.count; i++) if (!isCall(numbers[i])) return Errno.EINVAL;
  catchNoCalls(task);
  for (let i: u32 = 0; i < head.count; i++) catchCall(task, numbers[i]);
  return 0;
}

function regions(task: ptr<Task>, from: u64, reply: ptr<DebugMessage>): u32 {
  const list = cast<ptr<DebugRegion>>(addr(answer.body[0]));
  const most: u32 = u32(u64(DEBUG_BODY_BYTES) / sizeof<DebugRegion>());
  let at: u64 = from;
  reply.count = 0;
  const flags: u64 = lock(addr(task.space.lock));
  while (reply.count < most) {
    const region = regionAbove(addr(task.space.regions), at);
    if (region === null) break;
    const entry = addr(list[reply.count]);
    entry.start = region.start;
    entry.end = region.end;
    entry.protection = region.attributes & PROTECTIONS;
    at = region.end;
    reply.count++;
  }
  unlock(addr(task.space.lock), flags);
  reply.bodyBytes = reply.count * u32(sizeof<DebugRegion>());
  return 0;
}

function describe(task: ptr<Task>, reply: ptr<DebugMessage>): u32 {
  const d = cast<ptr<DebugTask>>(addr(answer.body[0]));
  d.pid = task.pid;
  d.userId = task.userId;
  d.rank = task.rank;
  d.size = task.size;
  d.heapStart = task.space.brkStart;
  d.heapEnd = task.space.brkEnd;
  reply.bodyBytes = u32(sizeof<DebugTask>());
  return 0;
}

function threads(task: ptr<Task>, reply: ptr<DebugMessage>): u32 {
  const list = cast<ptr<DebugThread>>(addr(answer.body[0]));
  reply.count = 0;
  for (
    let rest: u64 = task.cores;
    rest !== 0 && u64(reply.count + 1) * sizeof<DebugThread>() <= u64(DEBUG_BODY_BYTES);
    rest = rest & (rest - 1)
  ) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    const thread = threadOf(cpu);
    if (thread.task !== task) continue;
    const entry = addr(list[reply.count]);
    const stop = stopOf(cpu);
    const stopped: boolean = atomicLoad(addr(stop.stopped)) !== 0;
    entry.tid = thread.tid;
    entry.core = cpu;
    entry.state = stopped ? DebugThreadState.STOPPED : DebugThreadState.RUNNING;
    entry.signal = stopped ? stop.signal : 0;
    reply.count++;
  }
  reply.bodyBytes = reply.count * u32(sizeof<DebugThread>());
  return 0;
}

/** STOP and CONTINUE, for one thread or all. */
function eachThread(task: ptr<Task>, head: ptr<DebugMessage>): u32 {
  let found: boolean = false;
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    if (threadOf(cpu).task !== task || (head.tid !== 0 && threadOf(cpu).tid !== head.tid)) continue;
    found = true;
    if (head.operation === DebugOperation.STOP) {
      requestStop(cpu);
      continue;
    }
    const stop = stopOf(cpu);
    // Only a stop by a fault can deliver it.
    stop.deliver = head.signal !== 0 && stop.reason === DebugReason.FAULT ? 1 : 0;
    cancelStop(cpu);
  }
  return found ? 0 : Errno.ESRCH;
}

/** Core of the stopped thread `tid`; 64 + errno if there is none. */
function stoppedCore(task: ptr<Task>, tid: u32): u32 {
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    if (threadOf(cpu).task !== task || threadOf(cpu).tid !== tid) continue;
    return atomicLoad(addr(stopOf(cpu).stopped)) !== 0 ? cpu : 64 + Errno.EBUSY;
  }
  return 64 + Errno.ESRCH;
}

function step(task: ptr<Task>, tid: u32): u32 {
  const cpu: u32 = stoppedCore(task, tid);
  if (cpu >= 64) return cpu - 64;
  const stop = stopOf(cpu);
  const frame = stop.frame;
  if (frame === null) return Errno.EBUSY;
  stop.deliver = 0;
  stepThread(cpu, tid, frame);
  return 0;
}

function readRegisters(task: ptr<Task>, tid: u32, reply: ptr<DebugMessage>): u32 {
  const cpu: u32 = stoppedCore(task, tid);
  if (cpu >= 64) return cpu - 64;
  const stop = stopOf(cpu);
  const f = stop.frame;
  if (f === null) return Errno.EBUSY;
  const r = cast<ptr<DebugRegisters>>(addr(answer.body[0]));
  readGeneral(r, f);
  r.rflags &= ~u64(Rflags.TF);
  r.fsBase = stop.fsBase;
  r.gsBase = stop.gsBase;
  r.callNumber = stop.call;
  memcpy(addr(r.fx[0]), vectorsOf(cpu), FX_BYTES);
  reply.bodyBytes = u32(sizeof<DebugRegisters>());
  return 0;
}

/**
 * Ignores values that the processor would refuse or that the kernel owns: segments and RFLAGS' system bits are
 * unchanged, RIP and bases must be user addresses.
 */
function writeRegisters(task: ptr<Task>, head: ptr<DebugMessage>): u32 {
  const cpu: u32 = stoppedCore(task, head.tid);
  if (cpu >= 64) return cpu - 64;
  if (u64(head.bodyBytes) !== sizeof<DebugRegisters>()) return Errno.EINVAL;
  const stop: ptr<Stop> = stopOf(cpu);
  const f = stop.frame;
  if (f === null) return Errno.EBUSY;
  const r = cast<ptr<DebugRegisters>>(addr(request.body[0]));
  if (r.rip >= USER_END || r.fsBase >= USER_END || r.gsBase >= USER_END) return Errno.EINVAL;
  writeGeneral(f, r);
  stop.fsBase = r.fsBase;
  stop.gsBase = r.gsBase;
  if (stop.reason === DebugReason.CALL_ENTRY) stop.call = r.callNumber;
  const area = vectorsOf(cpu);
  memcpy(area, addr(r.fx[0]), FX_BYTES);
  // FXRSTOR faults if a reserved bit is set.
  const mxcsr = cast<ptr<u32>>(addr(area[FX_MXCSR]));
  mxcsr[0] &= MXCSR_BITS;
  return 0;
}
