/**
 * Pending operations: PUTs with an acknowledgement, GETs and LOADs of this node's programs, and GETs of others whose
 * data is being sent. Each ends with one event. Under `netLock`.
 */
import { Cause, type MessageHeader, Operation } from "../abi/net.ts";
import { type PortalEvent, PortalEventKind } from "../abi/portals.ts";
import { assertHeld } from "../arch/spinlock.ts";
import { findTask, type Task } from "../core/task.ts";
import { allocationFails } from "../mm/frames.ts";
import { postEvent } from "./queues.ts";
import { netLock } from "./peer.ts";

// biome-ignore format: a table
export const enum Acknowledge { NONE = 0, WANTED = 1, /** the body has been read, so the acknowledgement may arrive */ DUE = 2 }
const PENDING_MAX: u32 = 384;
const OWN_MAX: u32 = 256;

/** requestId = index + 1 | generation << 16. */
export class Pending {
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
  /** PUT: Acknowledge. */
  acknowledge: u32 = 0;
  /** GET_REPLY: number of the match entry that is being read. */
  entry: u32 = 0;
  /** LOAD: the child's rank. */
  rank: u32 = 0;
  reserved: u32 = 0;
}
const pendings: arr<Pending, 384> = zeroed();
class Generation {
  last: u32 = 0;
}
const generation: Generation = new Generation();

export function allocatePending(task: ptr<Task>): ptr<Pending> | null {
  return allocateIn(task, 0, OWN_MAX);
}
/** For a GET of another node. These have a separate share, so they cannot use up that of our own programs. */
export function allocateReply(task: ptr<Task>): ptr<Pending> | null {
  return allocateIn(task, OWN_MAX, PENDING_MAX);
}
function allocateIn(task: ptr<Task>, first: u32, end: u32): ptr<Pending> | null {
  assertHeld(addr(netLock));
  if (allocationFails()) return null;
  for (let i: u32 = first; i < end; i++) {
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
export function requestIdOf(p: ptr<Pending>): u64 {
  const index: u64 = (cast<u64>(p) - cast<u64>(addr(pendings))) / sizeof<Pending>();
  return (index + 1) | (u64(p.generation) << 16);
}
/** Null: already answered, or its task is gone. */
export function findPending(requestId: u64, kind: u32): ptr<Pending> | null {
  assertHeld(addr(netLock));
  const number: u64 = requestId & 0xffff;
  if (number === 0 || number > u64(PENDING_MAX)) return null;
  const p = addr(pendings[number - 1]);
  if (p.used === 0 || p.kind !== kind || u64(p.generation) !== requestId >> 16) return null;
  return p;
}

/**
 * The operation that `header` answers. Null: none, or the answer comes from another sender than the one asked, or is
 * for another task or job.
 */
export function findAnswered(header: ptr<MessageHeader>, kind: u32): ptr<Pending> | null {
  const p = findPending(header.requestId, kind);
  if (p === null || header.sourceNid !== p.targetNid || u32(header.sourcePid) !== p.targetPid) return null;
  const task = findTask(p.taskPid);
  return task === null || u32(header.targetPid) !== p.taskPid || header.jobId !== task.jobId ? null : p;
}

/** Ends a pending operation with an event. */
export function complete(p: ptr<Pending>, kind: u32, cause: u32, lengthBytes: u64): void {
  assertHeld(addr(netLock));
  p.used = 0;
  const task = findTask(p.taskPid);
  if (task === null) return;
  const event: PortalEvent = zeroed();
  pendingEvent(addr(event), kind, p, cause, lengthBytes);
  postEvent(task, p.queue, addr(event));
}
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

/** The body of a PUT has been read. */
export function putSent(requestId: u64, cause: u32): void {
  const p = findPending(requestId, Operation.PUT);
  if (p === null) return;
  const acknowledge: boolean = p.acknowledge !== Acknowledge.NONE && cause === Cause.OK;
  complete(p, PortalEventKind.SENT, cause, p.lengthBytes);
  if (!acknowledge) return;
  p.used = 1;
  p.acknowledge = Acknowledge.DUE;
}
/** A GET or LOAD has been sent, or cannot be. */
export function requestSent(requestId: u64, cause: u32): void {
  if (cause === Cause.OK) return;
  const get = findPending(requestId, Operation.GET);
  if (get !== null) complete(get, PortalEventKind.REPLY, cause, 0);
  const load = findPending(requestId, Operation.LOAD);
  if (load !== null) complete(load, PortalEventKind.LOAD_REPLY, cause, 0);
}
/** Nothing will arrive from `nid` any more: ends one operation that waits for it. False: there is none. */
export function pendingLost(nid: u32): boolean {
  assertHeld(addr(netLock));
  for (let i: u32 = 0; i < PENDING_MAX; i++) {
    const p = addr(pendings[i]);
    if (p.used === 0 || p.targetNid !== nid || p.kind === Operation.GET_REPLY) continue;
    if (p.kind === Operation.PUT) complete(p, PortalEventKind.ACK, Cause.UNREACHABLE, 0);
    else if (p.kind === Operation.GET) complete(p, PortalEventKind.REPLY, Cause.UNREACHABLE, 0);
    else complete(p, PortalEventKind.LOAD_REPLY, Cause.UNREACHABLE, 0);
    return true;
  }
  return false;
}
/** The task ends: its pending operations get no event. */
export function clearPending(task: ptr<Task>): void {
  assertHeld(addr(netLock));
  for (let i: u32 = 0; i < PENDING_MAX; i++) {
    if (pendings[i].used !== 0 && pendings[i].taskPid === task.pid) pendings[i].used = 0;
  }
}
export function pendingLeft(task: ptr<Task>): boolean {
  for (let i: u32 = 0; i < PENDING_MAX; i++) {
    if (pendings[i].used !== 0 && pendings[i].taskPid === task.pid) return true;
  }
  return false;
}
