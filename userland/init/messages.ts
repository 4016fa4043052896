/** Init's messages: one event queue for all of them, and the meaning of each event. */
import { InitMatch, type LoadStatus } from "../../kernel/abi/job.ts";
import { Cause } from "../../kernel/abi/net.ts";
import {
  ANY_NID,
  ANY_PID,
  type LoadRequest,
  type MatchEntry,
  MatchOption,
  PORTAL_INIT,
  PORTAL_SERVICE,
  type PortalEvent,
  PortalEventKind,
  type PortalRequest,
} from "../../kernel/abi/portals.ts";
import { takeEvent } from "../lib/portals.ts";
import { margayLoad, portalAppend, portalGet, portalPut, portalQueue, portalWait } from "../lib/syscall.ts";
import { bundleBytes, ChildState, type Init, LOAD_EVENTS, type ProgramPrefix } from "./layout.ts";
import { childCountOf, indexInParent, leaderAt } from "./tree.ts";

export function openQueue(init: ptr<Init>): i64 {
  init.queue.header.capacity = LOAD_EVENTS;
  const handle: i64 = portalQueue(addr(init.queue.header), LOAD_EVENTS);
  if (handle < 0) return handle;
  init.queueHandle = u32(handle);
  return 0;
}

/** Called before STATUS is sent, so that the answer finds a match entry. */
export function expectGo(init: ptr<Init>): i64 {
  const e: MatchEntry = zeroed();
  e.portalIndex = PORTAL_INIT;
  e.options = MatchOption.ALLOW_PUT | MatchOption.USE_ONCE;
  e.matchBits = InitMatch.GO;
  e.sourceNid = init.parentNid;
  e.sourcePid = init.parentPid;
  e.address = cast<u64>(init.pids);
  e.lengthBytes = u64(init.size) * 4;
  e.queue = init.queueHandle;
  return portalAppend(addr(e));
}
/** Size of the children's records. */
export function childStatusBytes(init: ptr<Init>): u64 {
  return u64(init.nodesBelow) * init.statusBytes + u64(init.childCount - init.nodesBelow) * sizeof<LoadStatus>();
}
/** Called before the first LOAD is sent. Each child PUTs at the offset of its record. */
export function expectStatus(init: ptr<Init>): i64 {
  const e: MatchEntry = zeroed();
  e.portalIndex = PORTAL_INIT;
  e.options = MatchOption.ALLOW_PUT;
  e.matchBits = InitMatch.STATUS;
  e.sourceNid = ANY_NID;
  e.sourcePid = ANY_PID;
  e.address = init.childStatus;
  e.lengthBytes = childStatusBytes(init);
  e.queue = init.queueHandle;
  const handle: i64 = portalAppend(addr(e));
  if (handle > 0) init.statusEntry = u64(handle);
  return handle;
}
/** Lets the children GET a program. */
export function exposeProgram(init: ptr<Init>, index: u32): i64 {
  const program = addr(init.programs[index]);
  const e: MatchEntry = zeroed();
  e.portalIndex = PORTAL_INIT;
  e.options = MatchOption.ALLOW_GET;
  e.matchBits = InitMatch.PROGRAM + u64(index);
  e.sourceNid = ANY_NID;
  e.sourcePid = ANY_PID;
  e.address = program.buffer;
  e.lengthBytes = bundleBytes(cast<ptr<ProgramPrefix>>(program.buffer));
  const handle: i64 = portalAppend(addr(e));
  if (handle > 0) program.entry = u64(handle);
  return handle;
}

/** Step 8. */
export function loadChild(init: ptr<Init>, child: u32): i64 {
  const r: LoadRequest = zeroed();
  const places = init.places;
  r.rank = init.childRanks[child];
  r.nid = init.nids[r.rank];
  r.cores = places === null ? 0 : places[r.rank].cores;
  r.queue = init.queueHandle;
  r.address = cast<u64>(init.header);
  r.lengthBytes = init.bodyBytes;
  r.userPointer = u64(child);
  return margayLoad(addr(r));
}

/** Steps 11 and 12: to the parent's init, or to the service node. */
export function putStatus(init: ptr<Init>): i64 {
  const r: PortalRequest = zeroed();
  r.address = cast<u64>(init.status);
  r.lengthBytes = isLeader(init) ? init.statusBytes : sizeof<LoadStatus>();
  r.targetNid = init.parentNid;
  r.targetPid = init.parentPid;
  r.portalIndex = init.rank === 0 ? PORTAL_SERVICE : PORTAL_INIT;
  r.matchBits = InitMatch.STATUS;
  r.remoteOffset = init.rank === 0 ? 0 : recordOffset(init);
  r.headerData = init.rank;
  r.queue = init.queueHandle;
  const result: i64 = portalPut(addr(r));
  if (result >= 0) init.sending++;
  return result;
}
function isLeader(init: ptr<Init>): boolean {
  return leaderAt(init.places, init.position) === init.rank;
}
/** Where the own record is among those of the parent's children. */
function recordOffset(init: ptr<Init>): u64 {
  const places = init.places;
  if (places === null || isLeader(init)) return u64(indexInParent(init.position, init.fanout)) * init.statusBytes;
  const below: u32 = childCountOf(init.position, init.fanout, init.parameters.nodeCount);
  return u64(below) * init.statusBytes + u64(places[init.rank].order - 1) * sizeof<LoadStatus>();
}
/** Step 14. */
export function putGo(init: ptr<Init>, child: u32): i64 {
  const rank: u32 = init.childRanks[child];
  const r: PortalRequest = zeroed();
  r.address = cast<u64>(init.pids);
  r.lengthBytes = u64(init.size) * 4;
  r.targetNid = init.nids[rank];
  r.targetPid = init.pids[rank];
  r.portalIndex = PORTAL_INIT;
  r.matchBits = InitMatch.GO;
  r.queue = init.queueHandle;
  const result: i64 = portalPut(addr(r));
  if (result >= 0) init.sending++;
  return result;
}
/** GETs part of a program's buffer from the parent and waits for it. Returns a Cause. */
export function getFromParent(init: ptr<Init>, index: u32, to: u64, lengthBytes: u64, offset: u64): u32 {
  const r: PortalRequest = zeroed();
  r.address = to;
  r.lengthBytes = lengthBytes;
  r.targetNid = init.parentNid;
  r.targetPid = init.parentPid;
  r.portalIndex = PORTAL_INIT;
  r.matchBits = InitMatch.PROGRAM + u64(index);
  r.remoteOffset = offset;
  r.queue = init.queueHandle;
  init.getDone = false;
  if (portalGet(addr(r)) < 0) return Cause.BAD_REQUEST;
  while (!init.getDone) takeNext(init);
  return init.getCause;
}

/** Waits for the next event and updates the state. */
export function takeNext(init: ptr<Init>): void {
  const event: PortalEvent = zeroed();
  while (!takeEvent(addr(init.queue.header), addr(event))) portalWait(init.queueHandle, -1);
  switch (event.kind) {
    case PortalEventKind.LOAD_REPLY:
      loadAnswered(init, u32(event.userPointer), event.cause);
      break;
    case PortalEventKind.PUT:
      if (event.matchBits === InitMatch.GO) init.goReceived = true;
      else statusArrived(init, event.entryOffset, event.lengthBytes);
      break;
    case PortalEventKind.LOAD_EXIT:
      loadEnded(init, u32(event.userPointer), event.cause);
      break;
    case PortalEventKind.SENT:
      init.sending--;
      break;
    case PortalEventKind.REPLY:
      init.getDone = true;
      init.getCause = event.cause;
      break;
    default:
      break;
  }
}

/** Records a failure of `rank`, unless a lower rank has failed: the status names the lowest one. */
export function fail(init: ptr<Init>, cause: u32, errno: u32, rank: u32): void {
  const s = init.status;
  if (s.cause !== Cause.OK && s.rank <= rank) return;
  s.cause = cause;
  s.errno = errno;
  s.nid = init.nids[rank];
  s.rank = rank;
}

function loadAnswered(init: ptr<Init>, child: u32, cause: u32): void {
  if (child >= init.childCount || init.childStates[child] !== ChildState.LOADING) return;
  if (cause === Cause.OK) {
    init.childStates[child] = ChildState.INITIALISING;
    return;
  }
  init.childStates[child] = ChildState.REPORTED;
  fail(init, cause, 0, init.childRanks[child]);
}

/**
 * A child's init has ended before GO: it has crashed, or its node is lost. If the child had already reported, the
 * service node handles it.
 */
function loadEnded(init: ptr<Init>, child: u32, cause: u32): void {
  if (child >= init.childCount || init.childStates[child] === ChildState.REPORTED) return;
  init.childStates[child] = ChildState.REPORTED;
  fail(init, cause, 0, init.childRanks[child]);
}

/** Step 11: a child's sub-tree is ready or has failed. */
function statusArrived(init: ptr<Init>, offset: u64, lengthBytes: u64): void {
  const leadersBytes: u64 = u64(init.nodesBelow) * init.statusBytes;
  const isOfLeader: boolean = offset < leadersBytes;
  const recordBytes: u64 = isOfLeader ? init.statusBytes : sizeof<LoadStatus>();
  const start: u64 = isOfLeader ? 0 : leadersBytes;
  const index: u64 = (offset - start) / recordBytes;
  const child: u64 = isOfLeader ? index : u64(init.nodesBelow) + index;
  if (child >= u64(init.childCount) || start + index * recordBytes !== offset || lengthBytes !== recordBytes) return;
  if (init.childStates[child] === ChildState.REPORTED) return;
  init.childStates[child] = ChildState.REPORTED;
  const s = cast<ptr<LoadStatus>>(init.childStatus + offset);
  const rank: u32 = s.rank < init.size ? s.rank : init.childRanks[child];
  if (s.cause !== Cause.OK) fail(init, s.cause, s.errno, rank);
  init.status.readyCount += s.readyCount;
  if (!isOfLeader) {
    init.pids[init.childRanks[child]] = s.pid;
    return;
  }
  const pids = cast<ptr<u32>>(init.childStatus + offset + sizeof<LoadStatus>());
  for (let r: u32 = 0; r < init.size; r++) {
    if (init.pids[r] === 0) init.pids[r] = pids[r];
  }
}
