/**
 * The Portals subset: PUT and GET between match lists, the LOADs of init, and their cancellation when a task ends.
 * Contract: abi/portals.ts. Source: Sandia, Portals 3.3 and 4.0; README.md lists what is left out.
 *
 * Data moves directly between frames and the programs' pages, through their page tables. A GET carries the requested
 * length in headerData. A message matches only within its job; messages from nid 0 for the job match, too. All state is
 * under `netLock`; calls take it, handlers run with it held.
 */
import { Errno } from "../abi/errno.ts";
import { Cause, MAX_MESSAGE_BYTES, MessageFlag, type MessageHeader, Operation } from "../abi/net.ts";
import {
  EVENT_QUEUES_MAX,
  MatchOption,
  PORTAL_COUNT,
  type PortalEvent,
  type LoadRequest,
  PortalEventKind,
  type PortalRequest,
} from "../abi/portals.ts";
import { Syscall } from "../abi/syscalls.ts";
import { assertHeld, lock } from "../arch/spinlock.ts";
import type { Child } from "../core/record.ts";
import { currentTask, findTask, type Task } from "../core/task.ts";
import { copyToUser } from "../mm/user.ts";
import type { Call } from "../syscall/arguments.ts";
import { takePortalRequest } from "../syscall/structures.ts";
import { failure, registerSyscall } from "../syscall/table.ts";
import { accepted, match, offsetIn, portalAppend, portalUnlink, release, slotOf, use } from "./matchlist.ts";
import {
  allocateMessage,
  cancelInbound,
  isLast,
  refuse,
  registerAbandoned,
  registerOperation,
  replyTo,
  sendMessage,
} from "./message.ts";
import { type Inbound, netLock, nidExists, type OutMessage, type Peer } from "./peer.ts";
import { releaseNet } from "./reliable.ts";
import {
  Acknowledge,
  allocatePending,
  allocateReply,
  clearPending,
  complete,
  findAnswered,
  findPending,
  type Pending,
  pendingLeft,
  putSent,
  requestIdOf,
  requestSent,
} from "./pending.ts";
import { portalQueue, portalWait, postEvent, queueExists, queuesStart } from "./queues.ts";

class Loads {
  /** LOAD_REPLY with Cause.OK: the job's tree has one more child. */
  childLoaded: ((task: ptr<Task>, child: ptr<Child>) => void) | null = null;
}
const loads: Loads = zeroed();

export function portalsStart(
  childLoaded: (task: ptr<Task>, child: ptr<Child>) => void,
  waitsLong: (task: ptr<Task>) => void,
): void {
  loads.childLoaded = childLoaded;
  queuesStart(waitsLong);
  registerSyscall(Syscall.PORTAL_QUEUE, portalQueue);
  registerSyscall(Syscall.PORTAL_APPEND, portalAppend);
  registerSyscall(Syscall.PORTAL_UNLINK, portalUnlink);
  registerSyscall(Syscall.PORTAL_PUT, portalPut);
  registerSyscall(Syscall.PORTAL_GET, portalGet);
  registerSyscall(Syscall.PORTAL_WAIT, portalWait);
  const most: u64 = u64(MAX_MESSAGE_BYTES);
  registerOperation(Operation.PUT, 0, most, receivePut);
  registerOperation(Operation.PUT_ACK, 0, 0, receivePutAck);
  registerOperation(Operation.GET, 0, 0, receiveGet);
  registerOperation(Operation.GET_REPLY, 0, most, receiveGetReply);
  registerOperation(Operation.LOAD_REPLY, 0, 0, receiveLoadReply);
  registerAbandoned(Operation.PUT, putAbandoned);
  registerAbandoned(Operation.GET_REPLY, getReplyAbandoned);
}

/**
 * Unlinks every match entry and removes every queue; pending operations get no event. May release `netLock`, which was
 * taken with `flags`, in between.
 */
export function clearPortals(task: ptr<Task>, flags: u64): void {
  assertHeld(addr(netLock));
  task.record.portals.closing = 1;
  cancelInbound(task, flags);
  zero(addr(task.record.portals));
  clearPending(task);
}

/** Whether anything of `task` is left here; for the check at a task's end. */
export function portalsLeft(task: ptr<Task>): boolean {
  assertHeld(addr(netLock));
  const state = addr(task.record.portals);
  for (let i: u32 = 0; i < PORTAL_COUNT; i++) {
    if (state.heads[i] !== 0) return true;
  }
  for (let i: u32 = 0; i < EVENT_QUEUES_MAX; i++) {
    if (state.queues[i].address !== 0) return true;
  }
  return pendingLeft(task);
}

// ---- as the initiator ----------------------------------------------------------------------------------------------
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
  const errno: u32 = takePortalRequest(addr(task.space), call.a, addr(r), operation === Operation.GET);
  if (errno !== 0) return failure(errno);
  if (!nidExists(r.targetNid)) return failure(Errno.EHOSTUNREACH);
  const flags: u64 = lock(addr(netLock));
  const result: i64 = issueLocked(task, addr(r), operation);
  releaseNet(flags);
  return result;
}
function issueLocked(task: ptr<Task>, r: ptr<PortalRequest>, operation: u8): i64 {
  assertHeld(addr(netLock));
  if (!queueExists(task, r.queue)) return failure(Errno.EINVAL);
  const p = allocatePending(task);
  if (p === null) return failure(Errno.EAGAIN);
  const m = allocateMessage(r.targetNid);
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
    m.header.flags = u8(r.flags & MessageFlag.ACK_WANTED);
    p.acknowledge = m.header.flags !== 0 ? Acknowledge.WANTED : Acknowledge.NONE;
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

/** PUTs a body in the task's memory to a kernel as a LOAD; a LOAD_REPLY event follows. */
export function issueLoad(task: ptr<Task>, r: ptr<LoadRequest>): i64 {
  assertHeld(addr(netLock));
  if (!queueExists(task, r.queue)) return failure(Errno.EINVAL);
  const p = allocatePending(task);
  if (p === null) return failure(Errno.EAGAIN);
  const m = allocateMessage(r.nid);
  if (m === null) {
    p.used = 0;
    return failure(Errno.EAGAIN);
  }
  p.kind = Operation.LOAD;
  p.queue = r.queue;
  p.targetNid = r.nid;
  p.rank = r.rank;
  p.userPointer = r.userPointer;
  fillHeader(m, task, p, Operation.LOAD);
  m.header.remoteOffset = u64(r.rank);
  m.header.headerData = r.cores;
  fillBody(m, task, r.address, r.lengthBytes);
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

/** Notifies init that a child it loaded has exited before the job was started. */
export function postLoadExit(
  task: ptr<Task>,
  queue: u32,
  userPointer: u64,
  nid: u32,
  cause: u32,
  waitStatus: u32,
): void {
  assertHeld(addr(netLock));
  const event: PortalEvent = zeroed();
  event.kind = PortalEventKind.LOAD_EXIT;
  event.cause = cause;
  event.initiatorNid = nid;
  event.headerData = u64(waitStatus);
  event.userPointer = userPointer;
  postEvent(task, queue, addr(event));
}

// ---- as the target -------------------------------------------------------------------------------------------------
function receivePut(peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  const inbound = addr(peer.inbound);
  if (header.fragmentOffset === 0) beginPut(inbound, header);
  const task = inbound.taskPid === 0 ? null : findTask(inbound.taskPid);
  if (task !== null && u64(header.fragmentOffset) < inbound.acceptedBytes) {
    const rest: u64 = inbound.acceptedBytes - u64(header.fragmentOffset);
    const bytes: u64 = u64(header.fragmentBytes) < rest ? u64(header.fragmentBytes) : rest;
    // The program has unmapped the entry's memory: nothing of the message counts as delivered.
    if (!copyToUser(addr(task.space), inbound.address + u64(header.fragmentOffset), body, bytes))
      inbound.cause = Cause.BAD_REQUEST;
  }
  // The task has ended in the meantime, or the program has replaced init.
  if (task === null) inbound.cause = Cause.NO_MATCH;
  if (!isLast(header)) return;
  const delivered: u64 = inbound.cause === Cause.OK ? inbound.acceptedBytes : 0;
  if (task !== null) putEnded(task, inbound, delivered);
  if ((header.flags & MessageFlag.ACK_WANTED) === 0) return;
  const reply = replyTo(header, Operation.PUT_ACK, inbound.cause);
  reply.header.headerData = delivered;
  sendMessage(reply);
}
/** The entry is matched at the first fragment and is busy until the last. */
function beginPut(inbound: ptr<Inbound>, header: ptr<MessageHeader>): void {
  const target = findTask(header.targetPid);
  const number: u32 = target === null ? 0 : match(target, header, MatchOption.ALLOW_PUT, u64(header.totalBytes));
  if (target === null || number === 0) return;
  const slot = slotOf(target, number);
  inbound.cause = Cause.OK;
  inbound.taskPid = target.pid;
  inbound.entry = number;
  inbound.queue = slot.entry.queue;
  inbound.userPointer = slot.entry.userPointer;
  inbound.entryOffset = offsetIn(slot, header);
  inbound.acceptedBytes = accepted(addr(slot.entry), inbound.entryOffset, u64(header.totalBytes));
  inbound.address = slot.entry.address + inbound.entryOffset;
  use(target, number, inbound.acceptedBytes);
}
function putEnded(task: ptr<Task>, inbound: ptr<Inbound>, delivered: u64): void {
  release(task, inbound.entry);
  inbound.taskPid = 0;
  const event: PortalEvent = zeroed();
  targetEvent(addr(event), PortalEventKind.PUT, addr(inbound.header));
  event.cause = inbound.cause;
  event.lengthBytes = delivered;
  event.entryOffset = inbound.entryOffset;
  event.userPointer = inbound.userPointer;
  postEvent(task, inbound.queue, addr(event));
}
/** The sender is gone or has stopped. An event tells the program that a message has overwritten part of its memory. */
function putAbandoned(peer: ptr<Peer>): void {
  const inbound = addr(peer.inbound);
  const task = inbound.taskPid === 0 ? null : findTask(inbound.taskPid);
  if (task === null) return;
  inbound.cause = Cause.UNREACHABLE;
  putEnded(task, inbound, 0);
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

function receiveGet(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  const task = findTask(header.targetPid);
  const tooLong: boolean = header.headerData > u64(MAX_MESSAGE_BYTES);
  const number: u32 = task === null || tooLong ? 0 : match(task, header, MatchOption.ALLOW_GET, header.headerData);
  if (task === null || number === 0) {
    refuse(header, tooLong ? Cause.BAD_REQUEST : Cause.NO_MATCH);
    return;
  }
  // When the memory has been read, the target's event is posted and the entry is released.
  const p = allocateReply(task);
  if (p === null) {
    refuse(header, Cause.NO_MEMORY);
    return;
  }
  const slot = slotOf(task, number);
  const offset: u64 = offsetIn(slot, header);
  const bytes: u64 = accepted(addr(slot.entry), offset, header.headerData);
  p.kind = Operation.GET_REPLY;
  p.queue = slot.entry.queue;
  p.targetNid = header.sourceNid;
  p.targetPid = header.sourcePid;
  p.portalIndex = header.portalIndex;
  p.matchBits = header.matchBits;
  p.lengthBytes = bytes;
  p.userPointer = slot.entry.userPointer;
  p.entry = number;
  const reply = replyTo(header, Operation.GET_REPLY, Cause.OK);
  fillBody(reply, task, slot.entry.address + offset, bytes);
  reply.sent = getReplied;
  reply.argument = requestIdOf(p);
  use(task, number, bytes);
  sendMessage(reply);
}
function getReplied(requestId: u64, cause: u32): void {
  const p = findPending(requestId, Operation.GET_REPLY);
  if (p === null) return;
  const task = findTask(p.taskPid);
  if (task !== null) release(task, p.entry);
  complete(p, PortalEventKind.GET, cause, p.lengthBytes);
}

// ---- replies -------------------------------------------------------------------------------------------------------
function receivePutAck(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  const p = findAnswered(header, Operation.PUT);
  if (p === null || p.acknowledge !== Acknowledge.DUE || header.headerData > p.lengthBytes) return;
  complete(p, PortalEventKind.ACK, header.cause, header.headerData);
}

function receiveGetReply(peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  const p = findAnswered(header, Operation.GET);
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
function getReplyAbandoned(peer: ptr<Peer>): void {
  const p = findAnswered(addr(peer.inbound.header), Operation.GET);
  if (p !== null) complete(p, PortalEventKind.REPLY, Cause.UNREACHABLE, 0);
}

function receiveLoadReply(_peer: ptr<Peer>, header: ptr<MessageHeader>, _body: ptr<u8>): void {
  const p = findAnswered(header, Operation.LOAD);
  if (p === null) return;
  const isPid: boolean = header.headerData !== 0 && header.headerData <= 0xffff;
  const cause: u32 = header.cause === Cause.OK && !isPid ? Cause.BAD_REQUEST : header.cause;
  p.targetPid = isPid ? u32(header.headerData) : 0;
  const task = findTask(p.taskPid);
  const childLoaded = loads.childLoaded;
  if (task !== null && cause === Cause.OK && childLoaded !== null) {
    const child: Child = zeroed();
    child.nid = header.sourceNid;
    child.rank = p.rank;
    child.loadId = header.requestId;
    child.queue = p.queue;
    child.userPointer = p.userPointer;
    childLoaded(task, addr(child));
  }
  complete(p, PortalEventKind.LOAD_REPLY, cause, 0);
}
