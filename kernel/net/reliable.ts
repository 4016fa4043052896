/**
 * Reliable, ordered frames between this node and each peer; the rules stand in abi/net.ts, the same machine on the host's side is
 * emulator/fabric/reliable.ts. Sequence numbers, a window of unacknowledged frames that are sent again (the oldest with all after it)
 * when their time is up, acknowledgements within the interrupt that received, duplicates and damaged frames dropped and counted.
 * A peer that answers nothing for RETRY_LIMIT retransmissions in a row is given up.
 *
 * The timer is armed on the core that sent last with nothing in flight; it stays quiet while nothing is in flight.
 * Everything runs under `netLock`.
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
  RETRANSMIT_NS,
  WINDOW_FRAMES,
} from "../abi/net.ts";
import { crc32c } from "../../toolchain/lib/rt/crc32c.ts";
import { readTsc } from "../arch/cpu.ts";
import { lock, unlock } from "../arch/spinlock.ts";
import { armTimer, type Timer } from "../arch/timer.ts";
import { record } from "../arch/trace.ts";
import {
  allocateBuffer,
  bufferFrame,
  bufferIsIdle,
  NO_BUFFER,
  netPresent,
  netReceive,
  releaseBuffer,
  sendBuffer,
} from "../drivers/virtio-net.ts";
import { firstPeer, netLock, NID_MAX, ownNid, type Peer, peerOf, peersStart } from "./peer.ts";

export const ETHERNET_BYTES: u64 = 16;
export const HEADERS_BYTES: u64 = 112;
const RETRY_LIMIT: u32 = 64;

class Net {
  timer!: Timer;
  /** Takes a frame's message part, in order, once. */
  deliver: ((peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>) => void) | null = null;
  /** The window of some peer may have opened, or buffers have come free. */
  windowOpened: (() => void) | null = null;
  /** False: replies could not be sent now. */
  hasRoom: (() => boolean) | null = null;
  lost: ((peer: ptr<Peer>) => void) | null = null;
  receiveFlags: u64 = 0;
}
const net: Net = zeroed();
export function reliableStart(
  nid: u32,
  deliver: (peer: ptr<Peer>, header: ptr<MessageHeader>, body: ptr<u8>) => void,
  windowOpened: () => void,
  hasRoom: () => boolean,
  lost: (peer: ptr<Peer>) => void,
): void {
  peersStart(nid);
  net.deliver = deliver;
  net.windowOpened = windowOpened;
  net.hasRoom = hasRoom;
  net.lost = lost;
  if (netPresent()) netReceive(receiveBegin, receiveFrame, receiveEnd);
}
function following(sequence: u32): u32 {
  return sequence === 0xffff_ffff ? 1 : sequence + 1;
}

// ---- sending -------------------------------------------------------------------------------------------------------
/** Whether another frame may be sent to `peer` now. */
export function windowIsOpen(peer: ptr<Peer>): boolean {
  return peer.count < WINDOW_FRAMES;
}

/** The header of the frame in `buffer`. */
export function headerIn(buffer: u32): ptr<MessageHeader> {
  return cast<ptr<MessageHeader>>(addr(bufferFrame(buffer)[ETHERNET_BYTES]));
}

/** Sends the frame in `buffer` (headers but Ethernet's, sequence, acknowledgement and CRC filled in, body behind them), and keeps it until it is acknowledged. */
export function sendData(peer: ptr<Peer>, buffer: u32, bodyBytes: u64): void {
  const slot = addr(peer.inFlight[(peer.first + peer.count) % WINDOW_FRAMES]);
  slot.buffer = buffer;
  slot.frameBytes = u32(HEADERS_BYTES + bodyBytes);
  slot.sequence = peer.nextSequence;
  slot.sentAt = readTsc();
  peer.nextSequence = following(peer.nextSequence);
  peer.count++;
  fillEthernet(peer.nid, bufferFrame(buffer));
  headerIn(buffer).sequence = slot.sequence;
  transmit(peer, buffer, u64(slot.frameBytes));
  if (net.timer.armed === 0) armTimer(addr(net.timer), slot.sentAt + RETRANSMIT_NS, retransmitDue, 0);
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

/** Puts in what changes from sending to sending, and sends. */
function transmit(peer: ptr<Peer>, buffer: u32, frameBytes: u64): void {
  const header = headerIn(buffer);
  header.acknowledgement = peer.received;
  header.crc = 0;
  header.crc = crc32c(cast<ptr<u8>>(header), frameBytes - ETHERNET_BYTES);
  peer.acknowledgementOwed = 0;
  sendBuffer(buffer, frameBytes);
}

function sendAcknowledgement(peer: ptr<Peer>): void {
  const buffer: u32 = allocateBuffer();
  // Without a buffer the peer sends again, and is answered then.
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

function retransmitDue(_argument: u64): void {
  const flags: u64 = lock(addr(netLock));
  const now: u64 = readTsc();
  let earliest: u64 = 0;
  for (let peer = firstPeer(); peer !== null; peer = peer.next) {
    if (peer.count === 0) continue;
    if (peer.inFlight[peer.first].sentAt + RETRANSMIT_NS <= now) sendAgain(peer, now);
    if (peer.count === 0) continue;
    const due: u64 = peer.inFlight[peer.first].sentAt + RETRANSMIT_NS;
    if (earliest === 0 || due < earliest) earliest = due;
  }
  if (earliest !== 0) armTimer(addr(net.timer), earliest, retransmitDue, 0);
  unlock(addr(netLock), flags);
}

function sendAgain(peer: ptr<Peer>, now: u64): void {
  peer.retries++;
  if (peer.retries > RETRY_LIMIT) {
    giveUp(peer);
    return;
  }
  record(EventKind.MSG_RESEND, u64(peer.nid), u64(peer.inFlight[peer.first].sequence), u64(peer.count), 0);
  for (let i: u32 = 0; i < peer.count; i++) {
    const slot = addr(peer.inFlight[(peer.first + i) % WINDOW_FRAMES]);
    slot.sentAt = now;
    if (bufferIsIdle(slot.buffer)) transmit(peer, slot.buffer, u64(slot.frameBytes));
  }
}

function giveUp(peer: ptr<Peer>): void {
  peer.unreachable = 1;
  while (peer.count > 0) dropOldest(peer);
  const lost = net.lost;
  if (lost !== null) lost(peer);
}
function dropOldest(peer: ptr<Peer>): void {
  releaseBuffer(peer.inFlight[peer.first].buffer);
  peer.first = (peer.first + 1) % WINDOW_FRAMES;
  peer.count--;
}

// ---- receiving -----------------------------------------------------------------------------------------------------
function receiveBegin(): void {
  net.receiveFlags = lock(addr(netLock));
}

function drop(nid: u32, sequence: u32, reason: u32): void {
  record(EventKind.MSG_DROP, u64(nid), u64(sequence), u64(reason), 0);
}

/** Why a frame is not taken; DropReason.NONE if it is sound. */
function check(frame: ptr<u8>, frameBytes: u64): u32 {
  if (frameBytes < HEADERS_BYTES) return DropReason.NOT_OURS;
  if (cast<ptr<EthernetHeader>>(frame).type !== byteSwap(ETHERTYPE_MARGAY)) return DropReason.NOT_OURS;
  const header = cast<ptr<MessageHeader>>(addr(frame[ETHERNET_BYTES]));
  if (header.version !== MESSAGE_VERSION) return DropReason.VERSION;
  if (header.fragmentBytes > MAX_FRAGMENT_BYTES || header.totalBytes > MAX_MESSAGE_BYTES) return DropReason.LENGTHS;
  // A short frame may come with padding behind it (60 bytes are Ethernet's minimum); ours never are.
  if (u64(header.fragmentBytes) !== frameBytes - HEADERS_BYTES) return DropReason.LENGTHS;
  if (header.fragmentOffset > header.totalBytes || header.fragmentBytes > header.totalBytes - header.fragmentOffset)
    return DropReason.LENGTHS;
  if (header.totalBytes > 0 && header.fragmentBytes === 0) return DropReason.LENGTHS;
  if (header.targetNid !== ownNid() || header.sourceNid === ownNid() || header.sourceNid >= NID_MAX)
    return DropReason.NID;
  const crc: u32 = header.crc;
  header.crc = 0;
  const computed: u32 = crc32c(cast<ptr<u8>>(header), frameBytes - ETHERNET_BYTES);
  header.crc = crc;
  return computed === crc ? DropReason.NONE : DropReason.CRC;
}

function receiveFrame(frame: ptr<u8>, frameBytes: u64): void {
  const reason: u32 = check(frame, frameBytes);
  if (reason !== DropReason.NONE) {
    // What a damaged frame says of itself is not to be believed.
    drop(0, 0, reason);
    return;
  }
  const header = cast<ptr<MessageHeader>>(addr(frame[ETHERNET_BYTES]));
  const peer = peerOf(header.sourceNid);
  if (peer === null) return;
  acknowledged(peer, header.acknowledgement);
  if (header.sequence === 0) return;
  peer.acknowledgementOwed = 1;
  if (header.sequence !== following(peer.received)) {
    const late: boolean = i32(header.sequence - peer.received) <= 0;
    drop(peer.nid, header.sequence, late ? DropReason.DUPLICATE : DropReason.OUT_OF_ORDER);
    return;
  }
  const hasRoom = net.hasRoom;
  if (hasRoom !== null && !hasRoom()) {
    drop(peer.nid, header.sequence, DropReason.NO_ROOM);
    return;
  }
  peer.received = header.sequence;
  const deliver = net.deliver;
  if (deliver !== null) deliver(peer, header, addr(frame[HEADERS_BYTES]));
}

/** Lets go of every frame up to the one that `acknowledgement` names. */
function acknowledged(peer: ptr<Peer>, acknowledgement: u32): void {
  for (let i: u32 = 0; i < peer.count; i++) {
    if (peer.inFlight[(peer.first + i) % WINDOW_FRAMES].sequence !== acknowledgement) continue;
    for (let k: u32 = 0; k <= i; k++) dropOldest(peer);
    peer.retries = 0;
    return;
  }
}

/** The interrupt's last act: what has become possible is sent, and every peer that is owed an acknowledgement has it. */
function receiveEnd(): void {
  const windowOpened = net.windowOpened;
  if (windowOpened !== null) windowOpened();
  for (let peer = firstPeer(); peer !== null; peer = peer.next) {
    if (peer.acknowledgementOwed !== 0) sendAcknowledgement(peer);
  }
  unlock(addr(netLock), net.receiveFlags);
}
