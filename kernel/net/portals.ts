/**
 * The Portals subset: match lists, PUT and GET between programs, events in queues in the programs' memory.
 * Contract: abi/portals.ts. Source: Sandia, Portals 3.3 and 4.0; what is left out is in README.md.
 *
 * Data goes straight between frames and the programs' pages, through their page tables. A GET carries the wanted length in headerData.
 * A message matches only within its job; what comes from nid 0 for the job does, too.
 * All state is under `netLock`; calls take it, handlers run with it.
 */
import { Errno } from "../abi/errno.ts";
import { Cause, MAX_MESSAGE_BYTES, MessageFlag, type MessageHeader, Operation } from "../abi/net.ts";
import {
  ANY_NID,
  ANY_PID,
  EVENT_QUEUES_MAX,
  type EventQueue,
  MATCH_ENTRIES_MAX,
  type MatchEntry,
  MatchOption,
  PORTAL_COUNT,
  type PortalEvent,
  PortalEventKind,
  type PortalRequest,
} from "../abi/portals.ts";
import { Syscall } from "../abi/syscalls.ts";
import { readTsc, waitForInterrupt } from "../arch/cpu.ts";
import { wakeCpu } from "../arch/crosscall.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { currentTask, findTask, type Task, threadOf } from "../core/task.ts";
import { mustLeave, startDeadline, stopDeadline } from "../core/wait.ts";
import { allocationFails } from "../mm/frames.ts";
import { copyFromUser, copyToUser, userRangeValid } from "../mm/user.ts";
import { type Call, failure, registerSyscall } from "../syscall/table.ts";
import {
  allocateMessage,
  isLast,
  type OutMessage,
  PROBE_NS,
  PROBES_MAX,
  registerOperation,
  replyTo,
  sendMessage,
} from "./message.ts";
import { netLock, type Peer } from "./reliable.ts";

const PENDING_MAX: u32 = 256;

class MatchSlot {
  used: u32 = 0;
  /** Slot number + 1 of the next entry of the list; 0 = none. */
  next: u32 = 0;
  /** MANAGE_LOCAL: where the next message lands. */
  localOffset: u64 = 0;
  entry!: MatchEntry;
}
class QueueSlot {
  address: u64 = 0;
  capacity: u64 = 0;
}
class PortalState {
  /** Slot number + 1 of the first entry. */
  heads!: arr<u32, 8>;
  slots!: arr<MatchSlot, 256>;
  queues!: arr<QueueSlot, 16>;
}
/** By task slot. */
const states: arr<PortalState, 8> = zeroed();

/** An operation of ours whose reply is awaited. requestId = index + 1 | generation << 16. */
class Pending {
  used: u32 = 0;
  generation: u32 = 0;
  kind: u32 = 0;
  queue: u32 = 0;
  targetNid: u32 = 0;
  targetPid: u32 = 0;
  portalIndex: u32 = 0;
  taskPid: u32 = 0;
  address: u64 = 0;
  lengthBytes: u64 = 0;
  matchBits: u64 = 0;
  userPointer: u64 = 0;
  /** PUT: the body is on its way, and an acknowledgement is wanted. */
  acknowledge: u32 = 0;
}
const pendings: arr<Pending, 256> = zeroed();
class Generation {
  last: u32 = 0;
  /** LOAD_REPLY with Cause.OK: the job's tree has a child more. */
  childLoaded: ((task: ptr<Task>, nid: u32, queue: u32, userPointer: u64) => void) | null = null;
  /** A thread has waited for events for long: do those that its job depends on still answer? Under `netLock`. */
  waitsLong: ((task: ptr<Task>) => void) | null = null;
}
const generation: Generation = new Generation();

export function portalsStart(
  childLoaded: (task: ptr<Task>, nid: u32, queue: u32, userPointer: u64) => void,
  waitsLong: (task: ptr<Task>) => void,
): void {
  generation.childLoaded = childLoaded;
  generation.waitsLong = waitsLong;
  registerSyscall(Syscall.PORTAL_QUEUE, portalQueue);
  registerSyscall(Syscall.PORTAL_APPEND, portalAppend);
  registerSyscall(Syscall.PORTAL_UNLINK, portalUnlink);
  registerSyscall(Syscall.PORTAL_PUT, portalPut);
  registerSyscall(Syscall.PORTAL_GET, portalGet);
  registerSyscall(Syscall.PORTAL_WAIT, portalWait);
  registerOperation(Operation.PUT, receivePut);
  registerOperation(Operation.PUT_ACK, receivePutAck);
  registerOperation(Operation.GET, receiveGet);
  registerOperation(Operation.GET_REPLY, receiveGetReply);
  registerOperation(Operation.LOAD_REPLY, receiveLoadReply);
}

function stateOf(task: ptr<Task>): ptr<PortalState> {
  return addr(states[task.slot]);
}

/** Unlinks every match entry and forgets every queue; what is pending gets no event. */
export function clearPortals(task: ptr<Task>): void {
  zero(stateOf(task));
  for (let i: u32 = 0; i < PENDING_MAX; i++) {
    if (pendings[i].used !== 0 && pendings[i].taskPid === task.pid) pendings[i].used = 0;
  }
}

/** Whether anything of `task` is left here; for the check at a task's end. */
export function portalsLeft(task: ptr<Task>): boolean {
  const state = stateOf(task);
  for (let i: u32 = 0; i < PORTAL_COUNT; i++) {
    if (state.heads[i] !== 0) return true;
  }
  for (let i: u32 = 0; i < EVENT_QUEUES_MAX; i++) {
    if (state.queues[i].address !== 0) return true;
  }
  for (let i: u32 = 0; i < PENDING_MAX; i++) {
    if (pendings[i].used !== 0 && pendings[i].taskPid === task.pid) return true;
  }
  return false;
}

// ---- events --------------------------------------------------------------------------------------------------------
/** Appends the event to a queue of the task, and wakes its threads. Queue 0: none. */
function postEvent(task: ptr<Task>, queue: u32, event: ptr<PortalEvent>): void {
  if (queue === 0 || queue > EVENT_QUEUES_MAX) return;
  const slot = addr(stateOf(task).queues[queue - 1]);
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
    // The program may poll: first the event, then the count (x86 keeps the order of stores).
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
/** By core: the queue that its thread waits for in portal_wait; 0 = none. */
const waiting: arr<u32, 64> = zeroed();

function pendingEvent(event: ptr<PortalEvent>, kind: u32, p: ptr<Pending>, cause: u32, lengthBytes: u64): void {
  zero(event);
  event.kind = kind;
  event.cause = cause;
  event.initiatorNid = p.targetNid;
  event.initiatorPid = p.targetPid;
  event.portalIndex = p.portalIndex;
  event.matchBits = p.matchBits;
  event.lengthBytes = lengthBytes;
  event.userPointer = p.userPointer;
}

// ---- calls ---------------------------------------------------------------------------------------------------------
/** (EventQueue *, capacity) → handle. */
function portalQueue(call: ptr<Call>): i64 {
  const task = currentTask();
  const capacity: u64 = call.b;
  if (capacity === 0 || (capacity & (capacity - 1)) !== 0 || capacity > 0x1_0000) return failure(Errno.EINVAL);
  if ((call.a & 7) !== 0) return failure(Errno.EINVAL);
  if (!userRangeValid(addr(task.space), call.a, sizeof<EventQueue>() + capacity * sizeof<PortalEvent>(), true))
    return failure(Errno.EFAULT);
  const header: EventQueue = zeroed();
  header.capacity = capacity;
  if (!copyToUser(addr(task.space), call.a, cast<ptr<u8>>(addr(header)), sizeof<EventQueue>()))
    return failure(Errno.EFAULT);
  const flags: u64 = lock(addr(netLock));
  const state = stateOf(task);
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

function queueExists(task: ptr<Task>, queue: u32): boolean {
  return queue <= EVENT_QUEUES_MAX && (queue === 0 || stateOf(task).queues[queue - 1].address !== 0);
}

/** (const MatchEntry *) → handle. */
function portalAppend(call: ptr<Call>): i64 {
  const task = currentTask();
  const entry: MatchEntry = zeroed();
  if (!copyFromUser(addr(task.space), cast<ptr<u8>>(addr(entry)), call.a, sizeof<MatchEntry>()))
    return failure(Errno.EFAULT);
  if (entry.portalIndex >= PORTAL_COUNT) return failure(Errno.EINVAL);
  if (
    !userRangeValid(addr(task.space), entry.address, entry.lengthBytes, (entry.options & MatchOption.ALLOW_PUT) !== 0)
  )
    return failure(Errno.EFAULT);
  const flags: u64 = lock(addr(netLock));
  let handle: i64 = failure(Errno.EAGAIN);
  if (!queueExists(task, entry.queue)) {
    handle = failure(Errno.EINVAL);
  } else {
    const state = stateOf(task);
    for (let i: u32 = 0; i < MATCH_ENTRIES_MAX && handle < 0; i++) {
      const slot = addr(state.slots[i]);
      if (slot.used !== 0) continue;
      zero(slot);
      slot.used = 1;
      copy(addr(slot.entry), addr(entry));
      appendToList(state, entry.portalIndex, i + 1);
      handle = i64(i) + 1;
    }
  }
  unlock(addr(netLock), flags);
  return handle;
}
function appendToList(state: ptr<PortalState>, portal: u32, number: u32): void {
  if (state.heads[portal] === 0) {
    state.heads[portal] = number;
    return;
  }
  let at: u32 = state.heads[portal];
  while (state.slots[at - 1].next !== 0) at = state.slots[at - 1].next;
  state.slots[at - 1].next = number;
}

/** (handle). */
function portalUnlink(call: ptr<Call>): i64 {
  const task = currentTask();
  const flags: u64 = lock(addr(netLock));
  let result: i64 = failure(Errno.EINVAL);
  if (call.a >= 1 && call.a <= u64(MATCH_ENTRIES_MAX) && stateOf(task).slots[call.a - 1].used !== 0) {
    unlink(stateOf(task), u32(call.a));
    result = 0;
  }
  unlock(addr(netLock), flags);
  return result;
}
function unlink(state: ptr<PortalState>, number: u32): void {
  const slot = addr(state.slots[number - 1]);
  const portal: u32 = slot.entry.portalIndex;
  slot.used = 0;
  if (state.heads[portal] === number) {
    state.heads[portal] = slot.next;
    return;
  }
  for (let at: u32 = state.heads[portal]; at !== 0; at = state.slots[at - 1].next) {
    if (state.slots[at - 1].next === number) state.slots[at - 1].next = slot.next;
  }
}

function portalPut(call: ptr<Call>): i64 {
  return issue(call, Operation.PUT);
}
function portalGet(call: ptr<Call>): i64 {
  return issue(call, Operation.GET);
}

/** (const PortalRequest *). */
function issue(call: ptr<Call>, operation: u8): i64 {
  const task = currentTask();
  const r: PortalRequest = zeroed();
  if (!copyFromUser(addr(task.space), cast<ptr<u8>>(addr(r)), call.a, sizeof<PortalRequest>()))
    return failure(Errno.EFAULT);
  if (r.portalIndex >= PORTAL_COUNT || r.targetPid > 0xffff) return failure(Errno.EINVAL);
  if (r.lengthBytes > u64(MAX_MESSAGE_BYTES)) return failure(Errno.EMSGSIZE);
  if (!userRangeValid(addr(task.space), r.address, r.lengthBytes, operation === Operation.GET))
    return failure(Errno.EFAULT);
  const flags: u64 = lock(addr(netLock));
  const result: i64 = issueLocked(task, addr(r), operation);
  unlock(addr(netLock), flags);
  return result;
}
function issueLocked(task: ptr<Task>, r: ptr<PortalRequest>, operation: u8): i64 {
  if (!queueExists(task, r.queue)) return failure(Errno.EINVAL);
  const p = allocatePending(task);
  if (p === null) return failure(Errno.EAGAIN);
  const m = allocateMessage();
  if (m === null) {
    p.used = 0;
    return failure(Errno.EAGAIN);
  }
  p.kind = operation;
  p.queue = r.queue;
  p.targetNid = r.targetNid;
  p.targetPid = r.targetPid;
  p.portalIndex = r.portalIndex;
  p.address = r.address;
  p.lengthBytes = r.lengthBytes;
  p.matchBits = r.matchBits;
  p.userPointer = r.userPointer;
  fillHeader(m, task, p, operation);
  m.header.portalIndex = u8(r.portalIndex);
  m.header.matchBits = r.matchBits;
  m.header.remoteOffset = r.remoteOffset;
  if (operation === Operation.PUT) {
    p.acknowledge = r.flags & MessageFlag.ACK_WANTED;
    m.header.flags = u8(p.acknowledge);
    m.header.headerData = r.headerData;
    fillBody(m, task, r.address, r.lengthBytes);
    m.sent = putSent;
  } else {
    m.header.headerData = r.lengthBytes;
    m.sent = requestSent;
  }
  m.argument = m.header.requestId;
  sendMessage(m);
  return 0;
}

/** PUTs a body of the task's memory to the kernel of `nid` as a LOAD, with a LOAD_REPLY event to come. Under `netLock`. */
export function issueLoad(
  task: ptr<Task>,
  nid: u32,
  queue: u32,
  address: u64,
  lengthBytes: u64,
  userPointer: u64,
): i64 {
  if (!queueExists(task, queue)) return failure(Errno.EINVAL);
  const p = allocatePending(task);
  if (p === null) return failure(Errno.EAGAIN);
  const m = allocateMessage();
  if (m === null) {
    p.used = 0;
    return failure(Errno.EAGAIN);
  }
  p.kind = Operation.LOAD;
  p.queue = queue;
  p.targetNid = nid;
  p.userPointer = userPointer;
  fillHeader(m, task, p, Operation.LOAD);
  fillBody(m, task, address, lengthBytes);
  m.sent = requestSent;
  m.argument = m.header.requestId;
  sendMessage(m);
  return 0;
}

function fillHeader(m: ptr<OutMessage>, task: ptr<Task>, p: ptr<Pending>, operation: u8): void {
  m.header.operation = operation;
  m.header.jobId = task.jobId;
  m.header.userId = task.userId;
  m.header.sourcePid = u16(task.pid);
  m.header.targetNid = p.targetNid;
  m.header.targetPid = u16(p.targetPid);
  m.header.requestId = requestIdOf(p);
}
function fillBody(m: ptr<OutMessage>, task: ptr<Task>, address: u64, lengthBytes: u64): void {
  m.task = task;
  m.address = address;
  m.header.totalBytes = u32(lengthBytes);
}

/** (queue handle, i64 timeout ns, < 0 = none). */
function portalWait(call: ptr<Call>): i64 {
  const task = currentTask();
  if (call.a === 0 || !queueExists(task, u32(call.a))) return failure(Errno.EINVAL);
  const queue: u32 = u32(call.a);
  const address: u64 = stateOf(task).queues[queue - 1].address;
  const timeout: i64 = i64(call.b);
  const cpu: u32 = cpuIndex();
  const deadline: u64 = readTsc() + call.b;
  const alarm: Alarm = zeroed();
  let result: i64 = 0;
  const header: EventQueue = zeroed();
  for (;;) {
    // First the note that we wait, then the look: an event in between wakes us.
    atomicStore(addr(waiting[cpu]), queue);
    if (!copyFromUser(addr(task.space), cast<ptr<u8>>(addr(header)), address, sizeof<EventQueue>())) {
      result = failure(Errno.EFAULT);
      break;
    }
    if (header.written !== header.read) break;
    if (mustLeave()) {
      result = failure(Errno.EINTR);
      break;
    }
    if (timeout >= 0 && readTsc() >= deadline) {
      result = failure(Errno.ETIMEDOUT);
      break;
    }
    setAlarm(addr(alarm), task, timeout > 0 ? deadline : 0);
    waitForInterrupt();
  }
  atomicStore(addr(waiting[cpu]), 0);
  if (alarm.at !== 0) stopDeadline();
  return result;
}

/** What ends a wait's hlt besides an event. */
class Alarm {
  /** What the thread's timer was armed for last; 0: never. */
  at: u64 = 0;
  probeAt: u64 = 0;
  probes: u32 = 0;
}
/** Before each hlt of a wait until `deadline` (0: none). Who waits for long asks whether there is still somebody to wait for. */
function setAlarm(alarm: ptr<Alarm>, task: ptr<Task>, deadline: u64): void {
  const now: u64 = readTsc();
  if (alarm.at === 0) alarm.probeAt = now + PROBE_NS;
  if (now >= alarm.probeAt && alarm.probes < PROBES_MAX) {
    const waitsLong = generation.waitsLong;
    const flags: u64 = lock(addr(netLock));
    if (waitsLong !== null) waitsLong(task);
    unlock(addr(netLock), flags);
    alarm.probes++;
    alarm.probeAt = now + (PROBE_NS << u64(alarm.probes));
  }
  let at: u64 = alarm.probes < PROBES_MAX ? alarm.probeAt : deadline;
  if (deadline !== 0 && deadline < at) at = deadline;
  if (at === 0 || at === alarm.at) return;
  alarm.at = at;
  startDeadline(at);
}

// ---- pending operations --------------------------------------------------------------------------------------------
function allocatePending(task: ptr<Task>): ptr<Pending> | null {
  if (allocationFails()) return null;
  for (let i: u32 = 0; i < PENDING_MAX; i++) {
    const p = addr(pendings[i]);
    if (p.used !== 0) continue;
    zero(p);
    p.used = 1;
    generation.last++;
    p.generation = generation.last;
    p.taskPid = task.pid;
    return p;
  }
  return null;
}
function requestIdOf(p: ptr<Pending>): u64 {
  const index: u64 = (cast<u64>(p) - cast<u64>(addr(pendings))) / sizeof<Pending>();
  return (index + 1) | (u64(p.generation) << 16);
}
/** Null: answered already, or its task is gone. */
function findPending(requestId: u64, kind: u32): ptr<Pending> | null {
  const number: u64 = requestId & 0xffff;
  if (number === 0 || number > u64(PENDING_MAX)) return null;
  const p = addr(pendings[number - 1]);
  if (p.used === 0 || p.kind !== kind || u64(p.generation) !== requestId >> 16) return null;
  return p;
}

/** Ends a pending operation with an event. */
function complete(p: ptr<Pending>, kind: u32, cause: u32, lengthBytes: u64): void {
  p.used = 0;
  const task = findTask(p.taskPid);
  if (task === null) return;
  const event: PortalEvent = zeroed();
  pendingEvent(addr(event), kind, p, cause, lengthBytes);
  postEvent(task, p.queue, addr(event));
}

/** The body of a PUT has been read. */
function putSent(requestId: u64, cause: u32): void {
  const p = findPending(requestId, Operation.PUT);
  if (p === null) return;
  const acknowledge: boolean = p.acknowledge !== 0 && cause === Cause.OK;
  complete(p, PortalEventKind.SENT, cause, p.lengthBytes);
  if (acknowledge) p.used = 1;
}
/** A GET or LOAD has left, or cannot. */
function requestSent(requestId: u64, cause: u32): void {
  if (cause === Cause.OK) return;
  const get = findPending(requestId, Operation.GET);
  if (get !== null) complete(get, PortalEventKind.REPLY, cause, 0);
  const load = findPending(requestId, Operation.LOAD);
  if (load !== null) complete(load, PortalEventKind.LOAD_REPLY, cause, 0);
}
/** Tells init that a load of its, answered by OK, has ended before the job was started. */
export function postLoadExit(
  task: ptr<Task>,
  queue: u32,
  userPointer: u64,
  nid: u32,
  cause: u32,
  waitStatus: u32,
): void {
  const event: PortalEvent = zeroed();
  event.kind = PortalEventKind.LOAD_EXIT;
  event.cause = cause;
  event.initiatorNid = nid;
  event.headerData = u64(waitStatus);
  event.userPointer = userPointer;
  postEvent(task, queue, addr(event));
}
/** Nothing will come from `nid` any more. */
export function portalsLost(nid: u32): void {
  for (let i: u32 = 0; i < PENDING_MAX; i++) {
    const p = addr(pendings[i]);
    if (p.used === 0 || p.targetNid !== nid) continue;
    if (p.kind === Operation.PUT) complete(p, PortalEventKind.ACK, Cause.UNREACHABLE, 0);
    if (p.kind === Operation.GET) complete(p, PortalEventKind.REPLY, Cause.UNREACHABLE, 0);
    if (p.kind === Operation.LOAD) complete(p, PortalEventKind.LOAD_REPLY, Cause.UNREACHABLE, 0);
  }
}

// ---- messages ------------------------------------------------------------------------------------------------------
/** Number (index + 1) of the first entry that takes the message; 0: none does. `offset` is where it would land. */
function match(task: ptr<Task>, header: ptr<MessageHeader>, option: u32, lengthBytes: u64): u32 {
  if (header.portalIndex >= PORTAL_COUNT || header.jobId !== task.jobId) return 0;
  const state = stateOf(task);
  for (let number: u32 = state.heads[header.portalIndex]; number !== 0; number = state.slots[number - 1].next) {
    const slot = addr(state.slots[number - 1]);
    const e = addr(slot.entry);
    if ((e.options & option) === 0 || ((e.matchBits ^ header.matchBits) & ~e.ignoreBits) !== 0) continue;
    if (e.sourceNid !== ANY_NID && e.sourceNid !== header.sourceNid) continue;
    if (e.sourcePid !== ANY_PID && e.sourcePid !== header.sourcePid) continue;
    const offset: u64 = offsetIn(slot, header);
    if ((e.options & MatchOption.TRUNCATE) !== 0 || (offset <= e.lengthBytes && lengthBytes <= e.lengthBytes - offset))
      return number;
  }
  return 0;
}
function offsetIn(slot: ptr<MatchSlot>, header: ptr<MessageHeader>): u64 {
  return (slot.entry.options & MatchOption.MANAGE_LOCAL) !== 0 ? slot.localOffset : header.remoteOffset;
}
/** Bytes of the message that the entry takes from `offset` on. */
function accepted(e: ptr<MatchEntry>, offset: u64, lengthBytes: u64): u64 {
  if (offset >= e.lengthBytes) return 0;
  const room: u64 = e.lengthBytes - offset;
  return lengthBytes < room ? lengthBytes : room;
}
/** After a match: the entry's offset moves on, a USE_ONCE entry goes. */
function use(task: ptr<Task>, number: u32, bytes: u64): void {
  const slot = addr(stateOf(task).slots[number - 1]);
  slot.localOffset += bytes;
  if ((slot.entry.options & MatchOption.USE_ONCE) !== 0) unlink(stateOf(task), number);
}

function receivePut(peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  const inbound = addr(peer.inbound);
  if (header.fragmentOffset === 0) {
    inbound.cause = Cause.NO_MATCH;
    const target = findTask(header.targetPid);
    if (target !== null) {
      const number: u32 = match(target, header, MatchOption.ALLOW_PUT, u64(header.totalBytes));
      if (number !== 0) {
        const slot = addr(stateOf(target).slots[number - 1]);
        inbound.cause = Cause.OK;
        inbound.taskPid = target.pid;
        inbound.queue = slot.entry.queue;
        inbound.userPointer = slot.entry.userPointer;
        inbound.entryOffset = offsetIn(slot, header);
        inbound.acceptedBytes = accepted(addr(slot.entry), inbound.entryOffset, u64(header.totalBytes));
        inbound.address = slot.entry.address + inbound.entryOffset;
        use(target, number, inbound.acceptedBytes);
      }
    }
  }
  const task = inbound.cause === Cause.OK ? findTask(inbound.taskPid) : null;
  if (task !== null && u64(header.fragmentOffset) < inbound.acceptedBytes) {
    const rest: u64 = inbound.acceptedBytes - u64(header.fragmentOffset);
    const bytes: u64 = u64(header.fragmentBytes) < rest ? u64(header.fragmentBytes) : rest;
    if (!copyToUser(addr(task.space), inbound.address + u64(header.fragmentOffset), body, bytes))
      inbound.cause = Cause.BAD_REQUEST;
  }
  if (task === null) inbound.cause = Cause.NO_MATCH;
  if (!isLast(header)) return;
  if (task !== null) {
    const event: PortalEvent = zeroed();
    targetEvent(addr(event), PortalEventKind.PUT, header);
    event.cause = inbound.cause;
    event.lengthBytes = inbound.acceptedBytes;
    event.entryOffset = inbound.entryOffset;
    event.userPointer = inbound.userPointer;
    postEvent(task, inbound.queue, addr(event));
  }
  if ((header.flags & MessageFlag.ACK_WANTED) === 0) return;
  const reply = replyTo(header, Operation.PUT_ACK, inbound.cause);
  reply.header.headerData = inbound.cause === Cause.OK ? inbound.acceptedBytes : 0;
  sendMessage(reply);
}

function targetEvent(event: ptr<PortalEvent>, kind: u32, header: ptr<MessageHeader>): void {
  event.kind = kind;
  event.initiatorNid = header.sourceNid;
  event.initiatorPid = header.sourcePid;
  event.portalIndex = header.portalIndex;
  event.userId = header.userId;
  event.matchBits = header.matchBits;
  event.headerData = header.headerData;
}

function receivePutAck(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  const p = findPending(header.requestId, Operation.PUT);
  if (p !== null) complete(p, PortalEventKind.ACK, header.cause, header.headerData);
}

function receiveGet(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  const task = findTask(header.targetPid);
  const number: u32 = task === null ? 0 : match(task, header, MatchOption.ALLOW_GET, header.headerData);
  if (task === null || number === 0) {
    sendMessage(replyTo(header, Operation.GET_REPLY, Cause.NO_MATCH));
    return;
  }
  const slot = addr(stateOf(task).slots[number - 1]);
  const offset: u64 = offsetIn(slot, header);
  const bytes: u64 = accepted(addr(slot.entry), offset, header.headerData);
  const reply = replyTo(header, Operation.GET_REPLY, Cause.OK);
  fillBody(reply, task, slot.entry.address + offset, bytes);
  // The target's event comes when the memory has been read.
  const p = allocatePending(task);
  if (p !== null) {
    p.kind = Operation.GET_REPLY;
    p.queue = slot.entry.queue;
    p.targetNid = header.sourceNid;
    p.targetPid = header.sourcePid;
    p.portalIndex = header.portalIndex;
    p.matchBits = header.matchBits;
    p.lengthBytes = bytes;
    p.userPointer = slot.entry.userPointer;
    reply.sent = getReplied;
    reply.argument = requestIdOf(p);
  }
  use(task, number, bytes);
  sendMessage(reply);
}
function getReplied(requestId: u64, cause: u32): void {
  const p = findPending(requestId, Operation.GET_REPLY);
  if (p !== null) complete(p, PortalEventKind.GET, cause, p.lengthBytes);
}

function receiveGetReply(peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  const p = findPending(header.requestId, Operation.GET);
  if (p === null) return;
  const task = findTask(p.taskPid);
  if (task === null) return;
  const at: u64 = u64(header.fragmentOffset);
  if (at < p.lengthBytes) {
    const rest: u64 = p.lengthBytes - at;
    const bytes: u64 = u64(header.fragmentBytes) < rest ? u64(header.fragmentBytes) : rest;
    if (!copyToUser(addr(task.space), p.address + at, body, bytes)) peer.inbound.cause = Cause.BAD_REQUEST;
  }
  if (!isLast(header)) return;
  const moved: u64 = u64(header.totalBytes) < p.lengthBytes ? u64(header.totalBytes) : p.lengthBytes;
  complete(p, PortalEventKind.REPLY, header.cause !== Cause.OK ? header.cause : peer.inbound.cause, moved);
}

function receiveLoadReply(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  const p = findPending(header.requestId, Operation.LOAD);
  if (p === null) return;
  p.targetPid = u32(header.headerData);
  const task = findTask(p.taskPid);
  const childLoaded = generation.childLoaded;
  if (task !== null && header.cause === Cause.OK && childLoaded !== null)
    childLoaded(task, header.sourceNid, p.queue, p.userPointer);
  complete(p, PortalEventKind.LOAD_REPLY, header.cause, 0);
}
