/**
 * Reliable, ordered frames between this node and each peer. abi/net.ts states the rules and their sources;
 * emulator/fabric/reliable.ts is the same state machine on the host. This file sends, checks and acknowledges frames;
 * net/retransmit.ts measures the round trip and decides which frames are retransmitted.
 *
 * Buffers: 120 transmit buffers for all peers. A peer may hold at most as many as remain for all others (Choudhury and
 * Hahne, "Dynamic queue length thresholds", 1998), not counting reserves. The reserves ensure that acknowledgements can
 * always be sent and that the service node has buffers that compute nodes cannot take. Peers that have never
 * acknowledged anything, or have stopped, may use only part of the rest; least if they sent first. Early frames stay in
 * their receive buffers, at most half of the ring's.
 *
 * Frames are received and timers run on the NIC's core. Everything runs under `netLock` (asserted at the entry points),
 * which is held for one frame, or some microseconds, at a time: a message, a frame or a timer only marks its peer as
 * ready (net/agenda.ts). `releaseNet` does the work, and admits interrupts in between. Checksums of received frames are
 * verified before the lock is taken.
 */
import { EventKind } from "../abi/events.ts";
import {
  DropReason,
  ETHERTYPE_MARGAY,
  type EthernetHeader,
  MAC_PREFIX_0,
  MAC_PREFIX_1,
  MAC_PREFIX_2,
  MAX_FRAGMENT_BYTES,
  MAX_MESSAGE_BYTES,
  MESSAGE_VERSION,
  type MessageHeader,
  Operation,
  RETRY_LIMIT,
  RTO_MIN_NS,
  SERVICE_NID,
  WINDOW_FRAMES,
} from "../abi/net.ts";
import { crc32c } from "../../toolchain/lib/rt/crc32c.ts";
import { readTsc } from "../arch/cpu.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { record } from "../arch/trace.ts";
import {
  allocateBuffer,
  bufferFrame,
  bufferIsIdle,
  freeBuffers,
  NO_BUFFER,
  netHasMore,
  netPresent,
  netReceive,
  netReceiveAgain,
  receivedFrame,
  releaseBuffer,
  sendBuffer,
} from "../drivers/virtio-net.ts";
import { anyPutOff, finished, firstDue, markReady, nextReady, putOff, retryPutOff, setDeadline } from "./agenda.ts";
import { netLock, nidExists, ownNid, type Peer, peerOf, peersStart } from "./peer.ts";
import { acknowledged, following, isLost, sequenceDistance, timedOut, timeoutOf } from "./retransmit.ts";
import { netTimerSet, netTimerStart } from "./timer.ts";

export const ETHERNET_BYTES: u64 = 16;
export const HEADERS_BYTES: u64 = 112;

/**
 * Transmit buffers that must stay free when a frame is sent to the service node; to a compute node; to a peer without a
 * sign of life; as a reply to such a peer. Acknowledgements may take the last ones.
 */
const RESERVE_SERVICE: u32 = 8;
const RESERVE_PEERS: u32 = 40;
const RESERVE_DOUBTFUL: u32 = 56;
const RESERVE_STRANGERS: u32 = 96;
/** Window for a peer that has not acknowledged anything yet, or whose acknowledgement is late. */
const WINDOW_DOUBTFUL: u32 = 4;
/** Most receive buffers with early frames of compute nodes; including those of the service node. */
const HELD_PEERS: u32 = 48;
const HELD_ALL: u32 = 64;
/** The checksum of longer frames takes so long that interrupts are admitted after it. */
const LARGE_FRAME_BYTES: u64 = 1024;
/** After this time in one hold of `netLock` no other frame is started; one costs up to 12 µs. */
const HOLD_NS: u64 = 4000;

class Net {
  /** Takes a frame's message part, in order, once. */
  deliver: ((peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>) => void) | null = null;
  /** Sends the peer's next fragment. False: there is none, or it may not be sent now. */
  sendNext: ((peer: ptr<Peer>) => boolean) | null = null;
  /** False: a message from this peer could not be answered now. */
  hasRoom: ((peer: ptr<Peer>) => boolean) | null = null;
  /** The peer was given up: reports it to one waiter. False: no waiter is left. */
  lost: ((peer: ptr<Peer>) => boolean) | null = null;
  /** The rest of the incoming message will not arrive. */
  abandoned: ((peer: ptr<Peer>) => void) | null = null;
  /** 1: more frames have arrived; acknowledgements and the timer wait for the last one. */
  receiving: u32 = 0;
  /** End of the time in which another frame may start in this hold of the lock; the first one always may. */
  until: u64 = 0;
  /** Frames started in this hold. */
  frames: u32 = 0;
  heldCount: u32 = 0;
}
const net: Net = zeroed();

export function reliableStart(
  nid: u32,
  nodes: u32,
  deliver: (peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>) => void,
  sendNext: (peer: ptr<Peer>) => boolean,
  hasRoom: (peer: ptr<Peer>) => boolean,
  lost: (peer: ptr<Peer>) => boolean,
  abandoned: (peer: ptr<Peer>) => void,
): void {
  peersStart(nid, nodes);
  net.deliver = deliver;
  net.sendNext = sendNext;
  net.hasRoom = hasRoom;
  net.lost = lost;
  net.abandoned = abandoned;
  netTimerStart(timerDue);
  if (netPresent()) netReceive(receive);
}

// ---- sending -------------------------------------------------------------------------------------------------------
/** Whether the peer has given no sign of life, or none recently: such peers get fewer resources. */
export function isDoubtful(peer: ptr<Peer>): boolean {
  return peer.proven === 0 || peer.silent > 1;
}

function ownWindowIsOpen(peer: ptr<Peer>): boolean {
  return peer.count < (peer.proven === 0 || peer.backoff !== 0 ? WINDOW_DOUBTFUL : WINDOW_FRAMES);
}
/** Whether another frame, of a reply or of something else, may be sent to `peer` now. */
export function windowIsOpen(peer: ptr<Peer>, isReply: boolean): boolean {
  if (!ownWindowIsOpen(peer)) return false;
  let reserve: u32 = RESERVE_PEERS;
  if (peer.nid === SERVICE_NID) reserve = RESERVE_SERVICE;
  else if (isDoubtful(peer)) reserve = isReply ? RESERVE_STRANGERS : RESERVE_DOUBTFUL;
  return peer.count + reserve < freeBuffers();
}

/** The header of the frame in `buffer`. */
export function headerIn(buffer: u32): ptr<MessageHeader> {
  return cast<ptr<MessageHeader>>(addr(bufferFrame(buffer)[ETHERNET_BYTES]));
}

/**
 * Sends the frame in `buffer` (headers filled in except Ethernet's, sequence, acknowledgement and CRC; body after
 * them), at once or in the next hold, and keeps it until it is acknowledged.
 */
export function sendData(peer: ptr<Peer>, buffer: u32, bodyBytes: u64): void {
  assertHeld(addr(netLock));
  const slot = addr(peer.inFlight[(peer.first + peer.count) % WINDOW_FRAMES]);
  slot.buffer = buffer;
  slot.frameBytes = u32(HEADERS_BYTES + bodyBytes);
  slot.sequence = peer.nextSequence;
  slot.resent = 0;
  slot.sentAt = readTsc();
  const bit: u32 = 1 << ((peer.first + peer.count) % WINDOW_FRAMES);
  peer.again &= ~bit;
  if (peer.count === 0) peer.timerAt = slot.sentAt + timeoutOf(peer);
  peer.nextSequence = following(peer.nextSequence);
  peer.count++;
  fillEthernet(peer.nid, bufferFrame(buffer));
  headerIn(buffer).sequence = slot.sequence;
  // Copying the body may have waited for the lock of the task's address space: the checksum then gets the next hold.
  if (readTsc() >= net.until) peer.again |= bit;
  else transmit(peer, buffer, u64(slot.frameBytes));
}

function fillEthernet(nid: u32, frame: ptr<u8>): void {
  const ethernet = cast<ptr<EthernetHeader>>(frame);
  fillAddress(addr(ethernet.destination[0]), nid);
  fillAddress(addr(ethernet.source[0]), ownNid());
  ethernet.type = byteSwap(ETHERTYPE_MARGAY);
  ethernet.padding = 0;
}
function fillAddress(to: ptr<u8>, nid: u32): void {
  to[0] = MAC_PREFIX_0;
  to[1] = MAC_PREFIX_1;
  to[2] = MAC_PREFIX_2;
  to[3] = u8(nid >> 16);
  to[4] = u8(nid >> 8);
  to[5] = u8(nid);
}
function isAddress(address: ptr<u8>, nid: u32): boolean {
  const number: u32 = (u32(address[3]) << 16) | (u32(address[4]) << 8) | u32(address[5]);
  return address[0] === MAC_PREFIX_0 && address[1] === MAC_PREFIX_1 && address[2] === MAC_PREFIX_2 && number === nid;
}

/** Fills in the fields that change with each transmission, and sends. */
function transmit(peer: ptr<Peer>, buffer: u32, frameBytes: u64): void {
  const header = headerIn(buffer);
  header.acknowledgement = peer.received;
  header.selective = peer.heldMask & ~1;
  header.crc = 0;
  header.crc = crc32c(cast<ptr<u8>>(header), frameBytes - ETHERNET_BYTES);
  peer.acknowledgementOwed = 0;
  sendBuffer(buffer, frameBytes);
}

function sendAcknowledgement(peer: ptr<Peer>): void {
  const buffer: u32 = allocateBuffer();
  // Without a buffer, no acknowledgement is sent; the peer retransmits and is answered then.
  if (buffer === NO_BUFFER) return;
  const header = headerIn(buffer);
  zero(header);
  header.version = MESSAGE_VERSION;
  header.operation = Operation.ACKNOWLEDGE;
  header.sourceNid = ownNid();
  header.targetNid = peer.nid;
  fillEthernet(peer.nid, bufferFrame(buffer));
  transmit(peer, buffer, HEADERS_BYTES);
  releaseBuffer(buffer);
}

/** Marks the frames selected by `isLost` for retransmission. */
function sendAgain(peer: ptr<Peer>, timeout: boolean): void {
  let sent: u32 = 0;
  let oldest: u32 = 0;
  const now: u64 = readTsc();
  for (let i: u32 = 0; i < peer.count; i++) {
    const at: u32 = (peer.first + i) % WINDOW_FRAMES;
    const slot = addr(peer.inFlight[at]);
    if (!isLost(peer, i, timeout)) continue;
    slot.resent = 1;
    // A frame that the device has not sent yet is sent anyway.
    if (!bufferIsIdle(slot.buffer)) continue;
    slot.sentAt = now;
    peer.again |= 1 << at;
    if (sent === 0) oldest = slot.sequence;
    sent++;
  }
  if (sent !== 0) record(EventKind.MSG_RESEND, u64(peer.nid), u64(oldest), u64(sent), 0);
}

/** Retransmits the next of them. False: there is none. */
function resendNext(peer: ptr<Peer>): boolean {
  for (let i: u32 = 0; i < peer.count && peer.again !== 0; i++) {
    const at: u32 = (peer.first + i) % WINDOW_FRAMES;
    if (((peer.again >> at) & 1) === 0) continue;
    peer.again &= ~(1 << at);
    const slot = addr(peer.inFlight[at]);
    // It may have been acknowledged in the meantime.
    if (slot.buffer === NO_BUFFER || !bufferIsIdle(slot.buffer)) continue;
    transmit(peer, slot.buffer, u64(slot.frameBytes));
    return true;
  }
  peer.again = 0;
  return false;
}

function giveUp(peer: ptr<Peer>): void {
  assertHeld(addr(netLock));
  peer.unreachable = 1;
  peer.lostUntold = 1;
  peer.again = 0;
  for (; peer.count > 0; peer.count--) {
    const buffer: u32 = peer.inFlight[peer.first].buffer;
    if (buffer !== NO_BUFFER) releaseBuffer(buffer);
    peer.first = (peer.first + 1) % WINDOW_FRAMES;
  }
  for (; peer.heldMask !== 0; advanceHeld(peer)) {
    if ((peer.heldMask & 1) !== 0) dropHeld(peer.held[peer.heldFirst]);
  }
  abandonInbound(peer);
}
function abandonInbound(peer: ptr<Peer>): void {
  const abandoned = net.abandoned;
  if (abandoned !== null) abandoned(peer);
}

// ---- the timer -----------------------------------------------------------------------------------------------------
/** The peer's first deadline: of its oldest frame, or of the rest of its message; 0: none. */
function deadlineOf(peer: ptr<Peer>): u64 {
  let at: u64 = peer.count !== 0 ? peer.timerAt : 0;
  if (peer.inbound.open !== 0 && (at === 0 || peer.inbound.deadline < at)) at = peer.inbound.deadline;
  return at;
}

/** On the NIC's core. */
function timerDue(): void {
  const flags: u64 = lock(addr(netLock));
  const now: u64 = readTsc();
  beginHold(now);
  retryPutOff();
  for (let peer = firstDue(); peer !== null && peer.deadline <= now; peer = firstDue()) {
    if (!mayGoOn()) breakHold(flags);
    net.frames++;
    if (peer.count !== 0 && peer.timerAt <= now) late(peer, now);
    if (peer.inbound.open !== 0 && peer.inbound.deadline <= now) abandonInbound(peer);
    setDeadline(peer, deadlineOf(peer));
    markReady(peer);
  }
  goOn(flags);
}
function late(peer: ptr<Peer>, now: u64): void {
  if (peer.silent >= RETRY_LIMIT) {
    giveUp(peer);
  } else {
    timedOut(peer, now);
    sendAgain(peer, true);
  }
}

/** Arms the timer for the first deadline, or stops it if there is none. */
function setTimer(): void {
  const first = firstDue();
  let at: u64 = first === null ? 0 : first.deadline;
  // Without a deadline the buffers that others wait for are with the device, which does not interrupt.
  if (first === null && anyPutOff()) at = readTsc() + RTO_MIN_NS;
  netTimerSet(at);
}

// ---- what has become possible --------------------------------------------------------------------------------------
function beginHold(now: u64): void {
  net.until = now + HOLD_NS;
  net.frames = 0;
}
/** Whether another frame may start before interrupts are admitted. */
function mayGoOn(): boolean {
  return net.frames === 0 || readTsc() < net.until;
}
/** No other frame starts in this hold. */
export function endHold(): void {
  net.until = 0;
}
/** Admits interrupts, and other cores to the lock. */
function breakHold(flags: u64): void {
  unlock(addr(netLock), flags);
  admitInterrupts();
  lock(addr(netLock));
  beginHold(readTsc());
}
/** For use between two parts of long work under `netLock` only; anything may have changed afterwards. */
export function breakLongHold(flags: u64): void {
  assertHeld(addr(netLock));
  if (readTsc() >= net.until) breakHold(flags);
}

/**
 * Releases `netLock`, after serving all ready peers. Every holder that may have made a peer ready must release the lock
 * this way, and hold no other lock.
 */
export function releaseNet(flags: u64): void {
  beginHold(readTsc());
  goOn(flags);
}
/** The same within a hold that has begun. Afterwards no peer is owed an acknowledgement, except for want of buffers. */
function goOn(flags: u64): void {
  assertHeld(addr(netLock));
  for (let peer = nextReady(); peer !== null; peer = nextReady()) {
    // When the lock is free for a moment, another core may continue with this peer.
    if (!goOnWith(peer) || readTsc() >= net.until) breakHold(flags);
  }
  if (net.receiving === 0) setTimer();
  unlock(addr(netLock), flags);
}
/** Serves the peer. False: the hold has lasted long enough, and the peer is still ready. */
function goOnWith(peer: ptr<Peer>): boolean {
  if (((peer.heldMask & 1) | peer.again | peer.lostUntold) !== 0 && !catchUp(peer)) return false;
  const sendNext = net.sendNext;
  while (peer.outFirst !== null && sendNext !== null) {
    if (!mayGoOn()) return false;
    if (!sendNext(peer)) break;
    net.frames++;
  }
  if (peer.acknowledgementOwed !== 0 && net.receiving === 0) {
    if (!mayGoOn()) return false;
    sendAcknowledgement(peer);
    net.frames++;
  }
  setDeadline(peer, deadlineOf(peer));
  // The queue of a lost peer has just been emptied: its waiters are next.
  if (peer.lostUntold !== 0) return true;
  // It waits for buffers, messages or the end of a burst, not for its own window.
  if (((peer.heldMask & 1) | peer.acknowledgementOwed) !== 0 || (peer.outFirst !== null && ownWindowIsOpen(peer)))
    putOff(peer);
  else finished(peer);
  return true;
}

/** The rare part: frames that arrived early, retransmissions, and the waiters of a lost peer. */
function catchUp(peer: ptr<Peer>): boolean {
  attr({ inline: "never" });
  while ((peer.heldMask & 1) !== 0 && roomFor(peer)) {
    if (!mayGoOn()) return false;
    deliverHeld(peer);
    net.frames++;
  }
  while (peer.again !== 0) {
    if (!mayGoOn()) return false;
    if (resendNext(peer)) net.frames++;
  }
  // The messages that are queued for a lost peer end first, in `sendNext`.
  const lost = net.lost;
  while (peer.lostUntold !== 0 && peer.outFirst === null) {
    if (!mayGoOn()) return false;
    if (lost === null || !lost(peer)) peer.lostUntold = 0;
    net.frames++;
  }
  return true;
}

// ---- receiving -----------------------------------------------------------------------------------------------------
/** A frame has arrived in `buffer`. On the NIC's core, in its interrupt. */
function receive(frame: ptr<u8>, frameBytes: u64, buffer: u32): void {
  const reason: u32 = check(frame, frameBytes);
  if (frameBytes > LARGE_FRAME_BYTES) admitInterrupts();
  const flags: u64 = lock(addr(netLock));
  beginHold(readTsc());
  // This hold is for the received frame.
  net.frames = 1;
  if (!receiveFrame(frame, reason, buffer)) netReceiveAgain(buffer);
  net.receiving = netHasMore() ? 1 : 0;
  retryPutOff();
  goOn(flags);
}

function drop(nid: u32, sequence: u32, reason: u32): void {
  record(EventKind.MSG_DROP, u64(nid), u64(sequence), u64(reason), 0);
}

/** Why a frame is refused; DropReason.NONE if it is valid. */
function check(frame: ptr<u8>, frameBytes: u64): u32 {
  if (frameBytes < HEADERS_BYTES) return DropReason.NOT_OURS;
  const ethernet = cast<ptr<EthernetHeader>>(frame);
  if (ethernet.type !== byteSwap(ETHERTYPE_MARGAY)) return DropReason.NOT_OURS;
  const header = cast<ptr<MessageHeader>>(addr(frame[ETHERNET_BYTES]));
  if (header.version !== MESSAGE_VERSION) return DropReason.VERSION;
  if (header.fragmentBytes > MAX_FRAGMENT_BYTES || header.totalBytes > MAX_MESSAGE_BYTES) return DropReason.LENGTHS;
  // A short frame may be padded (60 bytes are Ethernet's minimum); our frames are always longer.
  if (u64(header.fragmentBytes) !== frameBytes - HEADERS_BYTES) return DropReason.LENGTHS;
  if (header.fragmentOffset > header.totalBytes || header.fragmentBytes > header.totalBytes - header.fragmentOffset)
    return DropReason.LENGTHS;
  if (header.totalBytes > 0 && header.fragmentBytes === 0) return DropReason.LENGTHS;
  if (header.targetNid !== ownNid() || header.sourceNid === ownNid() || !nidExists(header.sourceNid))
    return DropReason.NID;
  if (!isAddress(addr(ethernet.source[0]), header.sourceNid) || !isAddress(addr(ethernet.destination[0]), ownNid()))
    return DropReason.NID;
  const crc: u32 = header.crc;
  header.crc = 0;
  const computed: u32 = crc32c(cast<ptr<u8>>(header), frameBytes - ETHERNET_BYTES);
  header.crc = crc;
  return computed === crc ? DropReason.NONE : DropReason.CRC;
}

/** True: the frame is early and stays in its receive buffer. */
function receiveFrame(frame: ptr<u8>, reason: u32, buffer: u32): boolean {
  if (reason !== DropReason.NONE) {
    // The fields of a damaged frame are not trusted.
    drop(0, 0, reason);
    return false;
  }
  const header = cast<ptr<MessageHeader>>(addr(frame[ETHERNET_BYTES]));
  const peer = peerOf(header.sourceNid);
  // A peer that we gave up must give us up, too, so it gets no acknowledgement.
  if (peer === null || peer.unreachable !== 0) return false;
  peer.silent = 0;
  if (acknowledged(peer, header.acknowledgement, header.selective, readTsc())) sendAgain(peer, false);
  markReady(peer);
  if (header.sequence === 0) return false;
  peer.acknowledgementOwed = 1;
  const ahead: u32 = sequenceDistance(peer.received, header.sequence);
  if (ahead === 1 && (peer.heldMask & 1) === 0) {
    if (roomFor(peer)) take(peer, frame);
    else drop(peer.nid, header.sequence, DropReason.NO_ROOM);
    return false;
  }
  if (ahead === 0 || ahead > WINDOW_FRAMES || ((peer.heldMask >> (ahead - 1)) & 1) !== 0) {
    const early: boolean = ahead > WINDOW_FRAMES && ahead < 0x8000_0000;
    drop(peer.nid, header.sequence, early ? DropReason.OUT_OF_ORDER : DropReason.DUPLICATE);
    return false;
  }
  if (net.heldCount >= (peer.nid === SERVICE_NID ? HELD_ALL : HELD_PEERS)) {
    drop(peer.nid, header.sequence, DropReason.OUT_OF_ORDER);
    return false;
  }
  net.heldCount++;
  peer.heldMask |= 1 << (ahead - 1);
  peer.held[(peer.heldFirst + ahead - 1) % WINDOW_FRAMES] = buffer;
  return true;
}

function roomFor(peer: ptr<Peer>): boolean {
  const hasRoom = net.hasRoom;
  return hasRoom === null || hasRoom(peer);
}
/** The next frame in order. */
function take(peer: ptr<Peer>, frame: ptr<u8>): void {
  peer.received = following(peer.received);
  advanceHeld(peer);
  const deliver = net.deliver;
  if (deliver !== null)
    deliver(peer, cast<ptr<MessageHeader>>(addr(frame[ETHERNET_BYTES])), addr(frame[HEADERS_BYTES]));
}
function advanceHeld(peer: ptr<Peer>): void {
  peer.heldMask = peer.heldMask >> 1;
  peer.heldFirst = (peer.heldFirst + 1) % WINDOW_FRAMES;
}
function dropHeld(buffer: u32): void {
  net.heldCount--;
  netReceiveAgain(buffer);
}

/** The missing frame has arrived: delivers the next one after it. */
function deliverHeld(peer: ptr<Peer>): void {
  const buffer: u32 = peer.held[peer.heldFirst];
  peer.acknowledgementOwed = 1;
  take(peer, receivedFrame(buffer));
  dropHeld(buffer);
}
