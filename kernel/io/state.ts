/**
 * What only the kernel knows of a task, for the I/O node's /proc/self: its regions, memory, threads, signals, auxiliary
 * vector. The I/O node asks for it by IO_NEEDS_STATE, the result of the call that needs it, which is then made again.
 * So nothing is sent for other calls, and nothing is kept (protocol: abi/io.ts).
 */
import { type ProcessState, REGIONS_AT_ONCE, type RegionState, StatePart } from "../abi/io.ts";
import { Auxiliary, type AuxiliaryEntry } from "../abi/process.ts";
import { SignalHandler } from "../abi/signal.ts";
import { Syscall } from "../abi/syscalls.ts";
import { readTsc } from "../arch/cpu.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { currentTask, currentThread, type Task, taskLock, taskTime } from "../core/task.ts";
import { PROTECTIONS } from "../mm/addressspace.ts";
import { allocateFrame, freeFrames, ownedFrameCount, physical } from "../mm/frames.ts";
import { regionAbove } from "../mm/regions.ts";
import { copyFromUser } from "../mm/user.ts";
import { viewOf } from "../mm/views.ts";
import { ship, type Shipment } from "./client.ts";

/** False: no memory, or the I/O node does not take it. */
export function shipState(): boolean {
  const task = currentTask();
  const frame: u64 = allocateFrame(task.space.owner);
  if (frame === 0) return false;
  const state = physical<ProcessState>(frame);
  describe(task, state);
  let sent: boolean = send(StatePart.TASK, frame, sizeof<ProcessState>());
  let at: u64 = 0;
  let count: u64 = REGIONS_AT_ONCE;
  while (sent && count === REGIONS_AT_ONCE) {
    count = 0;
    for (let more: boolean = true; more && count < REGIONS_AT_ONCE; ) {
      const entry = addr(physical<RegionState>(frame)[count]);
      const flags: u64 = lock(addr(task.space.lock));
      more = nextRegion(task, at, entry);
      unlock(addr(task.space.lock), flags);
      if (more) {
        at = entry.end;
        count++;
      }
      admitInterrupts();
    }
    sent = send(StatePart.REGIONS, frame, count * sizeof<RegionState>());
  }
  freeFrames(frame, 1, task.space.owner);
  return sent;
}
/** The first region that ends above `at`; false: there is none. Under the space's lock. */
function nextRegion(task: ptr<Task>, at: u64, entry: ptr<RegionState>): boolean {
  const region = regionAbove(addr(task.space.regions), at);
  if (region === null) return false;
  zero(entry);
  entry.start = region.start;
  entry.end = region.end;
  entry.protection = u32(region.attributes & PROTECTIONS);
  const view = viewOf(addr(task.space), region.attributes);
  if (view === null) return true;
  entry.name = view.name;
  entry.fileOffset = region.start - view.delta;
  entry.isShared = u32(view.file !== null);
  return true;
}
function send(part: u32, frame: u64, bytes: u64): boolean {
  const s: Shipment = zeroed();
  s.call = Syscall.PRCTL;
  s.arguments[0] = u64(part);
  s.data = cast<u64>(physical<u8>(frame));
  s.dataBytes = bytes;
  s.dataStaged = true;
  return ship(addr(s)) === 0;
}

function describe(task: ptr<Task>, to: ptr<ProcessState>): void {
  const thread = currentThread();
  zero(to);
  to.heapStart = task.space.brkStart;
  to.heapEnd = task.space.brkEnd;
  to.stack = task.startStack;
  to.residentPages = ownedFrameCount(task.space.owner);
  const flags: u64 = lock(addr(taskLock));
  to.threads = u32(task.threads);
  to.queued = task.signals.queued;
  to.pending = thread.signals.pending.set;
  to.sharedPending = task.signals.pending.set;
  to.blocked = thread.signals.blocked;
  for (let i: u64 = 0; i < 64; i++) {
    const handler: u64 = task.signals.actions[i].handler;
    if (handler === SignalHandler.IGNORE) to.ignored |= u64(1) << i;
    else if (handler !== SignalHandler.DEFAULT) to.caught |= u64(1) << i;
  }
  to.processorNs = taskTime(task);
  to.startNs = readTsc() - thread.since;
  unlock(addr(taskLock), flags);
  to.cores = task.cores;
  to.tid = thread.tid;
  to.noNewPrivileges = thread.noNewPrivileges;
  copy(addr(to.name), addr(thread.name));
  readAuxiliary(task, to);
}
/** The vector lies above the environment, where the program started. Source: System V ABI, AMD64 supplement, 3.4.1. */
function readAuxiliary(task: ptr<Task>, to: ptr<ProcessState>): void {
  let at: u64 = task.startStack;
  if (at === 0) return;
  let word: u64 = 0;
  // The count of arguments, then two lists that end with 0.
  for (let lists: u32 = 0; lists < 2; ) {
    at += 8;
    if (!copyFromUser(addr(task.space), cast<ptr<u8>>(addr(word)), at, 8)) return;
    if (word === 0) lists++;
    admitInterrupts();
  }
  for (let i: u64 = 0; i < to.auxiliary.length; i++) {
    const entry = addr(to.auxiliary[i]);
    const from: u64 = at + 8 + i * sizeof<AuxiliaryEntry>();
    if (!copyFromUser(addr(task.space), cast<ptr<u8>>(entry), from, sizeof<AuxiliaryEntry>())) return;
    to.auxiliaryCount++;
    if (entry.type === Auxiliary.NULL) return;
  }
}
