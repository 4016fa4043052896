/**
 * Event queues in the programs' memory: posting events, and threads that wait for them. Layout: abi/portals.ts. Queues
 * are under `netLock`; a wait takes it only to probe its neighbours.
 */
import { Errno } from "../abi/errno.ts";
import { EVENT_QUEUES_MAX, type EventQueue, type PortalEvent } from "../abi/portals.ts";
import { readTsc } from "../arch/cpu.ts";
import { wakeCpu } from "../arch/crosscall.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { currentTask, type Task, threadOf } from "../core/task.ts";
import { mustLeave, startDeadline, stopDeadline, rest } from "../core/wait.ts";
import { copyFromUser, copyToUser, userRangeValid } from "../mm/user.ts";
import type { Call } from "../syscall/arguments.ts";
import { failure } from "../syscall/table.ts";
import { PROBE_NS, PROBES_MAX } from "./message.ts";
import { netLock } from "./peer.ts";
import { releaseNet } from "./reliable.ts";

/** By core: the queue on which its thread waits in portal_wait; 0 = none. */
const waiting: arr<u32, 64> = zeroed();
class Waits {
  /** A thread has waited for events for long: probe the nodes on which its job depends. Under `netLock`. */
  waitsLong: ((task: ptr<Task>) => void) | null = null;
}
const waits: Waits = zeroed();

export function queuesStart(waitsLong: (task: ptr<Task>) => void): void {
  waits.waitsLong = waitsLong;
}

/** (EventQueue *, capacity) → handle. */
export function portalQueue(call: ptr<Call>): i64 {
  const task = currentTask();
  const capacity: u64 = call.b;
  if ((capacity & (capacity - 1)) !== 0) return failure(Errno.EINVAL);
  if (!userRangeValid(addr(task.space), call.a, sizeof<EventQueue>() + capacity * sizeof<PortalEvent>(), true))
    return failure(Errno.EFAULT);
  const header: EventQueue = zeroed();
  header.capacity = capacity;
  if (!copyToUser(addr(task.space), call.a, cast<ptr<u8>>(addr(header)), sizeof<EventQueue>()))
    return failure(Errno.EFAULT);
  const flags: u64 = lock(addr(netLock));
  const state = addr(task.record.portals);
  let handle: i64 = failure(Errno.EAGAIN);
  for (let i: u32 = 0; i < EVENT_QUEUES_MAX && handle < 0; i++) {
    if (state.queues[i].address !== 0) continue;
    state.queues[i].address = call.a;
    state.queues[i].capacity = capacity;
    handle = i64(i) + 1;
  }
  unlock(addr(netLock), flags);
  return handle;
}

export function queueExists(task: ptr<Task>, queue: u32): boolean {
  return queue <= EVENT_QUEUES_MAX && (queue === 0 || task.record.portals.queues[queue - 1].address !== 0);
}

/** Appends the event to a queue of the task and wakes its waiters. Queue 0: none. */
export function postEvent(task: ptr<Task>, queue: u32, event: ptr<PortalEvent>): void {
  assertHeld(addr(netLock));
  if (queue === 0 || queue > EVENT_QUEUES_MAX) return;
  const slot = addr(task.record.portals.queues[queue - 1]);
  if (slot.address === 0) return;
  const space = addr(task.space);
  const header: EventQueue = zeroed();
  const headerBytes = cast<ptr<u8>>(addr(header));
  if (!copyFromUser(space, headerBytes, slot.address, sizeof<EventQueue>())) return;
  if (header.written - header.read >= slot.capacity) {
    header.dropped++;
    copyToUser(space, slot.address + offsetof<EventQueue>("dropped"), cast<ptr<u8>>(addr(header.dropped)), 8);
  } else {
    const at: u64 =
      slot.address + sizeof<EventQueue>() + (header.written & (slot.capacity - 1)) * sizeof<PortalEvent>();
    if (!copyToUser(space, at, cast<ptr<u8>>(event), sizeof<PortalEvent>())) return;
    // The program may poll: write the event before the count (x86 keeps the order of stores).
    compilerFence();
    header.written++;
    copyToUser(space, slot.address, cast<ptr<u8>>(addr(header.written)), 8);
  }
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const cpu: u32 = u32(countTrailingZeros(rest));
    if (waiting[cpu] === queue && threadOf(cpu).task === task) {
      waiting[cpu] = 0;
      wakeCpu(cpu);
    }
  }
}

/** (queue handle, i64 timeout ns, < 0 = none). */
export function portalWait(call: ptr<Call>): i64 {
  const task = currentTask();
  const queue: u32 = u32(call.a);
  if (!queueExists(task, queue)) return failure(Errno.EINVAL);
  const address: u64 = task.record.portals.queues[queue - 1].address;
  const timeout: i64 = i64(call.b);
  const cpu: u32 = cpuIndex();
  const deadline: u64 = readTsc() + call.b;
  const alarm: Alarm = zeroed();
  let result: i64 = 0;
  const header: EventQueue = zeroed();
  for (;;) {
    // Register as a waiter before the check: an event in between wakes us.
    atomicStore(addr(waiting[cpu]), queue);
    if (!copyFromUser(addr(task.space), cast<ptr<u8>>(addr(header)), address, sizeof<EventQueue>())) {
      result = failure(Errno.EFAULT);
      break;
    }
    if (header.written !== header.read) break;
    if (mustLeave()) {
      result = failure(Errno.ERESTARTSYS);
      break;
    }
    if (timeout >= 0 && readTsc() >= deadline) {
      result = failure(Errno.ETIMEDOUT);
      break;
    }
    setAlarm(addr(alarm), task, timeout > 0 ? deadline : 0);
    rest();
  }
  atomicStore(addr(waiting[cpu]), 0);
  if (alarm.at !== 0) stopDeadline();
  return result;
}

/** Ends the hlt of a wait, besides events. */
class Alarm {
  /** Time for which the thread's timer was last armed; 0: never. */
  at: u64 = 0;
  probeAt: u64 = 0;
  probes: u32 = 0;
}
/**
 * Called before each hlt of a wait until `deadline` (0: none). A long wait probes whether the nodes it depends on still
 * answer.
 */
function setAlarm(alarm: ptr<Alarm>, task: ptr<Task>, deadline: u64): void {
  const now: u64 = readTsc();
  if (alarm.at === 0) alarm.probeAt = now + PROBE_NS;
  if (now >= alarm.probeAt && alarm.probes < PROBES_MAX) {
    const waitsLong = waits.waitsLong;
    const flags: u64 = lock(addr(netLock));
    if (waitsLong !== null) waitsLong(task);
    releaseNet(flags);
    alarm.probes++;
    alarm.probeAt = now + (PROBE_NS << u64(alarm.probes));
  }
  let at: u64 = alarm.probes < PROBES_MAX ? alarm.probeAt : deadline;
  if (deadline !== 0 && deadline < at) at = deadline;
  if (at === 0 || at === alarm.at) return;
  alarm.at = at;
  startDeadline(at);
}
