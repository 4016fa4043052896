/**
 * Messages: fragmented into frames as windows and buffers allow, and dispatched by operation as fragments arrive.
 *
 * Sending never waits. `allocateMessage` returns a message from a pool; the caller fills in header, prefix (up to 64
 * bytes of body in the message itself) and the rest of the body (in a program's or the kernel's memory, read when the
 * fragment is sent), then calls `sendMessage`. Receiving keeps no copy: each operation has a handler that is called for
 * every fragment, in order, and stores it at its destination (`peer.inbound` is its memory in between). A message to
 * the own nid takes the same path without the wire. The pool has levels, like the buffers below (reliable.ts): senders
 * that may wait leave messages for those that may not. Everything runs under `netLock` (asserted at the entry points).
 */
import { EventKind } from "../abi/events.ts";
import {
  Cause,
  DropReason,
  INBOUND_SILENCE_NS,
  MAX_FRAGMENT_BYTES,
  MESSAGE_VERSION,
  MessageFlag,
  type MessageHeader,
  Operation,
  SERVICE_NID,
  SERVICE_PID,
} from "../abi/net.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { memcpy, memset } from "../../toolchain/lib/rt/memory.ts";
import { readTsc } from "../arch/cpu.ts";
import { fatal } from "../arch/fatal.ts";
import { record } from "../arch/trace.ts";
import type { Task } from "../core/task.ts";
import { allocateBuffer, bufferFrame, NO_BUFFER, netPresent } from "../drivers/virtio-net.ts";
import { allocationFails } from "../mm/frames.ts";
import { copyFromUser } from "../mm/user.ts";
import { netLock, firstPeer, type OutMessage, ownNid, type Peer, peerOf } from "./peer.ts";
import { markReady } from "./agenda.ts";
import {
  breakLongHold,
  endHold,
  headerIn,
  HEADERS_BYTES,
  isDoubtful,
  reliableStart,
  sendData,
  windowIsOpen,
} from "./reliable.ts";

const POOL: u32 = 768;
/**
 * Messages that each kind of sender leaves to those below it. The kernel itself sends, unprompted, at most four
 * messages for each of its TASKS_MAX tasks (a lost node, the end of its files, its exit, a KILL's answer). These are
 * always available, because no task is created with fewer than LEVEL_SERVICE left.
 */
const LEVEL_PROGRAM: u32 = 416;
/** For replies to compute nodes; for replies to nodes that have shown no sign of life. */
const LEVEL_REPLY: u32 = 344;
const LEVEL_DOUBTFUL: u32 = 608;
/** For calls to the I/O node: one per core. */
const LEVEL_IO: u32 = 272;
/** For replies to the service node. */
const LEVEL_SERVICE: u32 = 256;
export const PREFIX_MAX: u64 = 64;

const pool: arr<OutMessage, 768> = zeroed();
class Messages {
  free: ptr<OutMessage> | null = null;
  freeCount: u32 = 0;
  /** The node was given up: reports it to one waiter. False: no waiter is left. */
  lost: ((nid: u32) => boolean) | null = null;
}
const messages: Messages = zeroed();
/** A fragment to ourselves is a page: what its receiver does with it is done in the same hold of the lock. */
const LOCAL_FRAGMENT_BYTES: u64 = 4096;
/** The fragment to ourselves that has been read from its sender's memory, but not delivered. */
class Local {
  /** 1: there is one. Its message is the first to ourselves. */
  full: u32 = 0;
  reserved: u32 = 0;
  header!: MessageHeader;
  body!: arr<u8, 4096>;
}
const local: Local = zeroed();

class OperationRow {
  run: ((peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>) => void) | null = null;
  /** The rest of the message will not arrive. */
  abandoned: ((peer: ptr<Peer>) => void) | null = null;
  leastBytes: u64 = 0;
  mostBytes: u64 = 0;
}
/** By operation. */
const operations: arr<OperationRow, 18> = zeroed();

/** Starts receiving; every operation must have been registered. */
export function messagesStart(nid: u32, nodes: u32, lost: (nid: u32) => boolean): void {
  const flags: u64 = lock(addr(netLock));
  for (let i: u32 = 0; i < POOL; i++) putBack(addr(pool[i]));
  unlock(addr(netLock), flags);
  messages.lost = lost;
  reliableStart(nid, nodes, deliver, sendNext, hasRoom, peerLost, abandon);
}

/**
 * `run` gets every fragment of the operation's messages; header.fragmentOffset is 0 in the first, `isLast` marks the
 * last. Bodies shorter than `leastBytes` or longer than `mostBytes` are refused earlier.
 */
export function registerOperation(
  operation: u32,
  leastBytes: u64,
  mostBytes: u64,
  run: (peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>) => void,
): void {
  const row = addr(operations[operation]);
  row.run = run;
  row.leastBytes = leastBytes;
  row.mostBytes = mostBytes;
}
/** For operations with state between fragments: `abandoned` is called instead of the last fragment. */
export function registerAbandoned(operation: u32, abandoned: (peer: ptr<Peer>) => void): void {
  operations[operation].abandoned = abandoned;
}
export function isLast(header: ptr<MessageHeader>): boolean {
  return header.fragmentOffset + header.fragmentBytes === header.totalBytes;
}

// ---- sending -------------------------------------------------------------------------------------------------------
function putBack(m: ptr<OutMessage>): void {
  assertHeld(addr(netLock));
  m.next = messages.free;
  messages.free = m;
  messages.freeCount++;
}

/**
 * A message for a program's call to `nid`; null: too many are in flight. A nid may have as many as remain for all
 * others.
 */
export function allocateMessage(nid: u32): ptr<OutMessage> | null {
  const peer = peerOf(nid);
  const queued: u32 = peer === null ? 0 : peer.outCount;
  return messages.freeCount > LEVEL_PROGRAM + queued && !allocationFails() ? takeMessage() : null;
}
/** A message for a program's call to the I/O node. */
export function allocateIoMessage(): ptr<OutMessage> | null {
  return messages.freeCount > LEVEL_IO && !allocationFails() ? takeMessage() : null;
}
/** A message of the kernel itself: replies, notices. There is always one: see the levels. */
export function allocateKernelMessage(): ptr<OutMessage> {
  const m = takeMessage();
  if (m === null) fatal(cstr("net: no message left for a reply"), 0);
  return m;
}
function takeMessage(): ptr<OutMessage> | null {
  assertHeld(addr(netLock));
  const m = messages.free;
  if (m === null) return null;
  messages.free = m.next;
  messages.freeCount--;
  zero(m);
  m.header.version = MESSAGE_VERSION;
  m.header.sourceNid = ownNid();
  return m;
}

/** A message to the source of `request`; copies the fields that a reply echoes. */
export function replyTo(request: ptr<MessageHeader>, operation: u8, cause: u32): ptr<OutMessage> {
  const m = allocateKernelMessage();
  m.header.operation = operation;
  m.header.portalIndex = request.portalIndex;
  m.header.jobId = request.jobId;
  m.header.userId = request.userId;
  m.header.targetNid = request.sourceNid;
  m.header.sourcePid = request.targetPid;
  m.header.targetPid = request.sourcePid;
  m.header.requestId = request.requestId;
  m.header.matchBits = request.matchBits;
  m.header.cause = cause;
  return m;
}

/** Copies `lengthBytes` (at most PREFIX_MAX) into the message as the start of its body. */
export function setPrefix(m: ptr<OutMessage>, from: ptr<u8>, lengthBytes: u64): void {
  memcpy(addr(m.prefix[0]), from, lengthBytes);
  m.prefixBytes = lengthBytes;
}

/**
 * Queues the message; header.totalBytes = prefix and the rest. The queue owns the message from here on. `releaseNet`
 * sends its fragments.
 */
export function sendMessage(m: ptr<OutMessage>): void {
  assertHeld(addr(netLock));
  record(
    EventKind.MSG_SEND,
    u64(m.header.operation),
    u64(m.header.targetNid),
    u64(m.header.totalBytes),
    m.header.matchBits,
  );
  const peer = peerOf(m.header.targetNid);
  const isLocal: boolean = m.header.targetNid === ownNid();
  if (peer === null || peer.unreachable !== 0 || (!isLocal && !netPresent())) {
    finish(m, Cause.UNREACHABLE);
    return;
  }
  const last = peer.outLast;
  if (last === null) peer.outFirst = m;
  else last.next = m;
  m.next = null;
  peer.outLast = m;
  peer.outCount++;
  markReady(peer);
}

/**
 * Probes whether `nid` still answers: sends a frame that only asks for an acknowledgement, unless something is already
 * in flight to it. A node that does not answer is given up as usual. Skipped if messages are short.
 */
export function probe(nid: u32): void {
  assertHeld(addr(netLock));
  const peer = peerOf(nid);
  if (
    peer === null ||
    nid === ownNid() ||
    peer.count !== 0 ||
    peer.outFirst !== null ||
    messages.freeCount <= LEVEL_PROGRAM
  )
    return;
  const m = allocateKernelMessage();
  m.header.operation = Operation.ACKNOWLEDGE;
  m.header.targetNid = nid;
  sendMessage(m);
}
/**
 * A wait probes after this time, then at doubled intervals, PROBES_MAX times, so that a job that waits for ever comes
 * to rest.
 */
export const PROBE_NS: u64 = 10_000_000;
export const PROBES_MAX: u32 = 10;

function finish(m: ptr<OutMessage>, cause: u32): void {
  const sent = m.sent;
  const argument: u64 = m.argument;
  putBack(m);
  if (sent !== null) sent(argument, cause);
}
function takeFirst(peer: ptr<Peer>, m: ptr<OutMessage>): void {
  peer.outCount--;
  peer.outFirst = m.next;
  if (m.next === null) peer.outLast = null;
}

/** Writes the next fragment of `m`, of at most `most` bytes; returns the number of its body bytes. */
function writeFragment(m: ptr<OutMessage>, header: ptr<MessageHeader>, body: ptr<u8>, most: u64): u64 {
  const rest: u64 = u64(m.header.totalBytes) - m.sentBytes;
  const bytes: u64 = rest < most ? rest : most;
  copy(header, addr(m.header));
  header.fragmentOffset = u32(m.sentBytes);
  header.fragmentBytes = u32(bytes);
  let done: u64 = 0;
  if (m.sentBytes < m.prefixBytes) {
    done = m.prefixBytes - m.sentBytes < bytes ? m.prefixBytes - m.sentBytes : bytes;
    memcpy(body, addr(m.prefix[m.sentBytes]), done);
  }
  if (done < bytes) {
    const from: u64 = m.address + (m.sentBytes + done - m.prefixBytes);
    const task = m.task;
    if (task === null) {
      memcpy(addr(body[done]), cast<ptr<u8>>(from), bytes - done);
    } else if (!copyFromUser(addr(task.space), addr(body[done]), from, bytes - done)) {
      // The program has unmapped its buffer since the call: zeros are sent.
      memset(addr(body[done]), 0, bytes - done);
    }
  }
  m.sentBytes += bytes;
  return bytes;
}

/** Sent because another node asked for it. */
function isReply(operation: u8): boolean {
  return (
    operation === Operation.LOAD_REPLY ||
    operation === Operation.STATUS_REPLY ||
    operation === Operation.KILL_REPLY ||
    operation === Operation.PUT_ACK ||
    operation === Operation.GET_REPLY
  );
}

/** Sends the next fragment to the peer. False: there is none, or window or buffers do not allow it now. */
function sendNext(peer: ptr<Peer>): boolean {
  assertHeld(addr(netLock));
  const m = peer.outFirst;
  if (m === null) return false;
  if (peer.unreachable !== 0) {
    takeFirst(peer, m);
    finish(m, Cause.UNREACHABLE);
    return true;
  }
  if (peer.nid === ownNid()) {
    sendLocal(peer, m);
    return true;
  }
  if (!windowIsOpen(peer, isReply(m.header.operation))) return false;
  const buffer: u32 = allocateBuffer();
  if (buffer === NO_BUFFER) return false;
  const bytes: u64 = writeFragment(
    m,
    headerIn(buffer),
    addr(bufferFrame(buffer)[HEADERS_BYTES]),
    u64(MAX_FRAGMENT_BYTES),
  );
  sendData(peer, buffer, bytes);
  finishSent(peer, m);
  return true;
}
function finishSent(peer: ptr<Peer>, m: ptr<OutMessage>): void {
  if (m.sentBytes !== u64(m.header.totalBytes)) return;
  takeFirst(peer, m);
  finish(m, Cause.OK);
}

/** Reads or delivers a fragment to this node itself: each takes as long as a frame, so they count as two. */
function sendLocal(peer: ptr<Peer>, m: ptr<OutMessage>): void {
  if (local.full === 0) {
    writeFragment(m, addr(local.header), addr(local.body[0]), LOCAL_FRAGMENT_BYTES);
    local.full = 1;
    // A task is created with the first page of its image: that takes a hold of its own.
    if (m.header.operation === Operation.LOAD && local.header.fragmentOffset === 0) endHold();
    return;
  }
  local.full = 0;
  finishSent(peer, m);
  deliver(peer, addr(local.header), addr(local.body[0]));
}

/** A received message may need an answer, and sending answers may have to wait. */
function hasRoom(peer: ptr<Peer>): boolean {
  if (peer.nid === SERVICE_NID) return messages.freeCount > LEVEL_SERVICE;
  return messages.freeCount > (isDoubtful(peer) ? LEVEL_DOUBTFUL : LEVEL_REPLY) + peer.outCount;
}

/** The messages that are queued for the peer end in `sendNext`. */
function peerLost(peer: ptr<Peer>): boolean {
  const lost = messages.lost;
  if (lost === null) return false;
  return lost(peer.nid);
}

/**
 * From here on, incoming messages for the task are discarded and answered by NO_MATCH; its entries must match nothing
 * more. May release `netLock`, which was taken with `flags`, in between.
 */
export function cancelInbound(task: ptr<Task>, flags: u64): void {
  for (let peer = firstPeer(); peer !== null; peer = peer.next) {
    breakLongHold(flags);
    if (peer.inbound.taskPid !== task.pid) continue;
    peer.inbound.taskPid = 0;
    peer.inbound.entry = 0;
  }
}

/**
 * Removes a task's messages from the queues when it ends. A GET that reads its memory is answered by NO_MATCH. May
 * release `netLock` in between, as above.
 */
export function cancelMessages(task: ptr<Task>, flags: u64): void {
  for (let peer = firstPeer(); peer !== null; peer = peer.next) {
    breakLongHold(flags);
    cancelFor(peer, task);
  }
}
function cancelFor(peer: ptr<Peer>, task: ptr<Task>): void {
  let before: ptr<OutMessage> | null = null;
  let m = peer.outFirst;
  while (m !== null) {
    const next = m.next;
    if (m.task === task && before === null && peer.nid === ownNid()) local.full = 0;
    if (m.task === task && m.header.operation === Operation.GET_REPLY) {
      // If it was partly sent, its receiver sees another message next and discards the incomplete one.
      m.task = null;
      m.sent = null;
      m.sentBytes = 0;
      m.header.totalBytes = 0;
      m.header.cause = Cause.NO_MATCH;
    }
    if (m.task === task) {
      // The receiver discards a message that stops half-way when the next one begins.
      if (before === null) peer.outFirst = next;
      else before.next = next;
      if (next === null) peer.outLast = before;
      peer.outCount--;
      putBack(m);
    } else {
      before = m;
    }
    m = next;
  }
}

/**
 * Whether anything in the queues, or incoming, belongs to `task`; for the check at a task's end. May release `netLock`
 * in between, as above.
 */
export function messagesLeft(task: ptr<Task>, flags: u64): boolean {
  for (let peer = firstPeer(); peer !== null; peer = peer.next) {
    breakLongHold(flags);
    if (peer.inbound.taskPid === task.pid && peer.inbound.open !== 0) return true;
    for (let m = peer.outFirst; m !== null; m = m.next) {
      if (m.task === task) return true;
    }
  }
  return false;
}

// ---- receiving -----------------------------------------------------------------------------------------------------
function deliver(peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>): void {
  assertHeld(addr(netLock));
  const inbound = addr(peer.inbound);
  if (header.fragmentOffset === 0) {
    abandon(peer);
    zero(inbound);
    copy(addr(inbound.header), header);
    record(
      EventKind.MSG_RECEIVE,
      u64(header.operation),
      u64(header.sourceNid),
      u64(header.totalBytes),
      header.matchBits,
    );
    if (!mayCome(header)) {
      record(EventKind.MSG_DROP, u64(header.sourceNid), u64(header.sequence), DropReason.OPERATION, 0);
      refuse(header, Cause.BAD_REQUEST);
      inbound.discard = 1;
    }
  } else if (
    inbound.open === 0 ||
    header.fragmentOffset !== inbound.gotBytes ||
    !sameMessage(addr(inbound.header), header)
  ) {
    record(EventKind.MSG_DROP, u64(header.sourceNid), u64(header.sequence), DropReason.FRAGMENT, 0);
    abandon(peer);
    return;
  }
  inbound.gotBytes = header.fragmentOffset + header.fragmentBytes;
  inbound.open = isLast(header) ? 0 : 1;
  inbound.deadline = readTsc() + INBOUND_SILENCE_NS;
  if (inbound.discard !== 0) return;
  const run = operations[header.operation].run;
  if (run !== null) run(peer, header, body);
}

/** True if all fields that identify the message agree. */
function sameMessage(first: ptr<MessageHeader>, header: ptr<MessageHeader>): boolean {
  return (
    header.operation === first.operation &&
    header.portalIndex === first.portalIndex &&
    header.flags === first.flags &&
    header.jobId === first.jobId &&
    header.userId === first.userId &&
    header.sourcePid === first.sourcePid &&
    header.targetPid === first.targetPid &&
    header.requestId === first.requestId &&
    header.matchBits === first.matchBits &&
    header.remoteOffset === first.remoteOffset &&
    header.headerData === first.headerData &&
    header.totalBytes === first.totalBytes &&
    header.cause === first.cause
  );
}

/**
 * True if the operation has a receiver, accepts this body length, and no unknown flag is set. A probe has no receiver
 * and no body.
 */
function mayCome(header: ptr<MessageHeader>): boolean {
  if (header.operation >= operations.length || (header.flags & ~u8(MessageFlag.ACK_WANTED)) !== 0) return false;
  const total: u64 = u64(header.totalBytes);
  if (header.operation === Operation.ACKNOWLEDGE) return total === 0;
  const row = addr(operations[header.operation]);
  return row.run !== null && total >= row.leastBytes && total <= row.mostBytes;
}

/** Answers a request that is not carried out; messages without a reply get none. */
export function refuse(header: ptr<MessageHeader>, cause: u32): void {
  let reply: u8 = 0;
  switch (header.operation) {
    case Operation.LOAD:
      reply = Operation.LOAD_REPLY;
      break;
    case Operation.STATUS:
      reply = Operation.STATUS_REPLY;
      break;
    case Operation.KILL:
      reply = Operation.KILL_REPLY;
      break;
    case Operation.GET:
      reply = Operation.GET_REPLY;
      break;
    case Operation.PUT:
      if ((header.flags & MessageFlag.ACK_WANTED) !== 0) reply = Operation.PUT_ACK;
      break;
    default:
      break;
  }
  if (reply !== 0) sendMessage(replyTo(header, reply, cause));
}

/** Discards the incomplete message from the peer. */
function abandon(peer: ptr<Peer>): void {
  const inbound = addr(peer.inbound);
  if (inbound.open === 0) return;
  inbound.open = 0;
  if (inbound.discard !== 0) return;
  const abandoned = operations[inbound.header.operation].abandoned;
  if (abandoned !== null) abandoned(peer);
}

/** True for the service node; only it may ask for status and kill. */
export function fromService(header: ptr<MessageHeader>): boolean {
  return header.sourceNid === SERVICE_NID && header.sourcePid === SERVICE_PID;
}
