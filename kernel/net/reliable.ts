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
 * Frames are received and timers run on the NIC's core. Everything runs under `netLock` (asserted at the entry points).
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
  SERVICE_NID,
  WINDOW_FRAMES,
} from "../abi/net.ts";
import { crc32c } from "../../toolchain/lib/rt/crc32c.ts";
import { readTsc } from "../arch/cpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { record } from "../arch/trace.ts";
import {
  allocateBuffer,
  bufferFrame,
  bufferIsIdle,
  freeBuffers,
  NO_BUFFER,
  netPresent,
  netReceive,
  netReceiveAgain,
  receivedFrame,
  releaseBuffer,
  sendBuffer,
} from "../drivers/virtio-net.ts";
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

class Net {
  /** Takes a frame's message part, in order, once. */
  deliver: ((peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>) => void) | null = null;
  /** The peer's window may have opened, or buffers have become free. */
  windowOpened: ((peer: ptr<Peer>) => void) | null = null;
  /** False: a message from this peer could not be answered now. */
  hasRoom: ((peer: ptr<Peer>) => boolean) | null = null;
  /** The peer is given up. */
  lost: ((peer: ptr<Peer>) => void) | null = null;
  /** The rest of the incoming message will not arrive. */
  abandoned: ((peer: ptr<Peer>) => void) | null = null;
  receiveFlags: u64 = 0;
  /** 1: in the interrupt, which calls `settle` at its end. */
  receiving: u32 = 0;
  heldCount: u32 = 0;
  /** Peers with something in flight; `settle` removes them. */
  busyFirst: ptr<Peer> | null = null;
  busyLast: ptr<Peer> | null = null;
}
const net: Net = zeroed();

export function reliableStart(
  nid: u32,
  nodes: u32,
  deliver: (peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>) => void,
  windowOpened: (peer: ptr<Peer>) => void,
  hasRoom: (peer: ptr<Peer>) => boolean,
  lost: (peer: ptr<Peer>) => void,
  abandoned: (peer: ptr<Peer>) => void,
): void {
  peersStart(nid, nodes);
  net.deliver = deliver;
  net.windowOpened = windowOpened;
  net.hasRoom = hasRoom;
  net.lost = lost;
  net.abandoned = abandoned;
  netTimerStart(timerDue);
  if (netPresent()) netReceive(receiveBegin, receiveFrame, receiveEnd);
}

// ---- sending -------------------------------------------------------------------------------------------------------
/** Whether the peer has given no sign of life, or none recently: such peers get fewer resources. */
export function isDoubtful(peer: ptr<Peer>): boolean {
  return peer.proven === 0 || peer.silent > 1;
}

/** Whether another frame, of a reply or of something else, may be sent to `peer` now. */
export function windowIsOpen(peer: ptr<Peer>, isReply: boolean): boolean {
  if (peer.count >= (peer.proven === 0 || peer.backoff !== 0 ? WINDOW_DOUBTFUL : WINDOW_FRAMES)) return false;
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
 * them), and keeps it until it is acknowledged. The caller calls `settle` when it has sent all it can.
 */
export function sendData(peer: ptr<Peer>, buffer: u32, bodyBytes: u64): void {
  assertHeld(addr(netLock));
  const slot = addr(peer.inFlight[(peer.first + peer.count) % WINDOW_FRAMES]);
  slot.buffer = buffer;
  slot.frameBytes = u32(HEADERS_BYTES + bodyBytes);
  slot.sequence = peer.nextSequence;
  slot.resent = 0;
  slot.sentAt = readTsc();
  if (peer.count === 0) peer.timerAt = slot.sentAt + timeoutOf(peer);
  peer.nextSequence = following(peer.nextSequence);
  peer.count++;
  fillEthernet(peer.nid, bufferFrame(buffer));
  headerIn(buffer).sequence = slot.sequence;
  transmit(peer, buffer, u64(slot.frameBytes));
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

/** Retransmits the frames selected by `isLost`. */
function sendAgain(peer: ptr<Peer>, timeout: boolean): void {
  let sent: u32 = 0;
  let oldest: u32 = 0;
  const now: u64 = readTsc();
  for (let i: u32 = 0; i < peer.count; i++) {
    const slot = addr(peer.inFlight[(peer.first + i) % WINDOW_FRAMES]);
    if (!isLost(peer, i, timeout)) continue;
    slot.resent = 1;
    // A frame that the device has not sent yet is sent anyway.
    if (!bufferIsIdle(slot.buffer)) continue;
    slot.sentAt = now;
    transmit(peer, slot.buffer, u64(slot.frameBytes));
    if (sent === 0) oldest = slot.sequence;
    sent++;
  }
  if (sent !== 0) record(EventKind.MSG_RESEND, u64(peer.nid), u64(oldest), u64(sent), 0);
}

function giveUp(peer: ptr<Peer>): void {
  assertHeld(addr(netLock));
  peer.unreachable = 1;
  for (; peer.count > 0; peer.count--) {
    const buffer: u32 = peer.inFlight[peer.first].buffer;
    if (buffer !== NO_BUFFER) releaseBuffer(buffer);
    peer.first = (peer.first + 1) % WINDOW_FRAMES;
  }
  for (; peer.heldMask !== 0; advanceHeld(peer)) {
    if ((peer.heldMask & 1) !== 0) dropHeld(peer.held[peer.heldFirst]);
  }
  const lost = net.lost;
  if (lost !== null) lost(peer);
}

// ---- who is busy, and the timer ------------------------------------------------------------------------------------
/** From now on something is in flight with the peer. */
export function markBusy(peer: ptr<Peer>): void {
  if (peer.busy !== 0) return;
  peer.busy = 1;
  peer.nextBusy = null;
  const last = net.busyLast;
  if (last === null) net.busyFirst = peer;
  else last.nextBusy = peer;
  net.busyLast = peer;
}

/** Called after anything was sent or received: arms the timer for the first deadline, or stops it if there is none. */
export function settle(): void {
  assertHeld(addr(netLock));
  if (net.receiving !== 0) return;
  let earliest: u64 = 0;
  let before: ptr<Peer> | null = null;
  let peer = net.busyFirst;
  while (peer !== null) {
    const next = peer.nextBusy;
    if (peer.count !== 0 && (earliest === 0 || peer.timerAt < earliest)) earliest = peer.timerAt;
    if (peer.inbound.open !== 0 && (earliest === 0 || peer.inbound.deadline < earliest))
      earliest = peer.inbound.deadline;
    if (peer.count !== 0 || peer.outFirst !== null || peer.inbound.open !== 0 || (peer.heldMask & 1) !== 0) {
      before = peer;
    } else {
      peer.busy = 0;
      if (before === null) net.busyFirst = next;
      else before.nextBusy = next;
      if (next === null) net.busyLast = before;
    }
    peer = next;
  }
  netTimerSet(earliest);
}

/** On the NIC's core. */
function timerDue(): void {
  const flags: u64 = lock(addr(netLock));
  const now: u64 = readTsc();
  net.receiving = 1;
  for (let peer = net.busyFirst; peer !== null; peer = peer.nextBusy) {
    if (peer.count !== 0 && peer.timerAt <= now) {
      if (peer.silent >= RETRY_LIMIT) {
        giveUp(peer);
      } else {
        timedOut(peer, now);
        sendAgain(peer, true);
      }
    }
    if (peer.inbound.open !== 0 && peer.inbound.deadline <= now) {
      const abandoned = net.abandoned;
      if (abandoned !== null) abandoned(peer);
    }
  }
  goOn();
  unlock(addr(netLock), flags);
}

/** Delivers and sends what has become possible, and sends every acknowledgement that is due. */
function goOn(): void {
  const windowOpened = net.windowOpened;
  for (let peer = net.busyFirst; peer !== null; peer = peer.nextBusy) {
    deliverHeld(peer);
    if (windowOpened !== null) windowOpened(peer);
    if (peer.acknowledgementOwed !== 0) sendAcknowledgement(peer);
  }
  net.receiving = 0;
  settle();
}

// ---- receiving -----------------------------------------------------------------------------------------------------
function receiveBegin(): void {
  net.receiveFlags = lock(addr(netLock));
  net.receiving = 1;
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
function receiveFrame(frame: ptr<u8>, frameBytes: u64, buffer: u32): boolean {
  const reason: u32 = check(frame, frameBytes);
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
  if (header.sequence === 0) return false;
  markBusy(peer);
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

/** The missing frame has arrived: delivers the frames after it, as far as there is room to answer them. */
function deliverHeld(peer: ptr<Peer>): void {
  while ((peer.heldMask & 1) !== 0 && roomFor(peer)) {
    const buffer: u32 = peer.held[peer.heldFirst];
    peer.acknowledgementOwed = 1;
    take(peer, receivedFrame(buffer));
    dropHeld(buffer);
  }
}

/** Last step of the interrupt. */
function receiveEnd(): void {
  goOn();
  unlock(addr(netLock), net.receiveFlags);
}
