/**
 * State for each node with which frames were exchanged, and the lock that guards it. Peers are created at the first
 * frame and stay.
 */
import { MAX_RANKS } from "../abi/job.ts";
import { KERNEL_BASE } from "../abi/memory.ts";
import { type MessageHeader, RTO_INITIAL_NS } from "../abi/net.ts";
import { assert } from "../arch/fatal.ts";
import { assertHeld, type Lock, LockRank } from "../arch/spinlock.ts";
import type { Task } from "../core/task.ts";
import { allocateFrame, OWNER_KERNEL, physical } from "../mm/frames.ts";

/** nids from here on are always refused, whatever the size of the machine. */
export const NID_MAX: u32 = MAX_RANKS + 64;
const PEER_BYTES: u64 = 2048;
const PEERS_PER_FRAME: u64 = 2;

/** An outgoing message; net/message.ts fills and sends it. */
export class OutMessage {
  next: ptr<OutMessage> | null = null;
  header!: MessageHeader;
  prefixBytes: u64 = 0;
  prefix!: arr<u8, 64>;
  /** Owner of the memory that holds the rest of the body; null: the kernel's, at `address`. */
  task: ptr<Task> | null = null;
  taskPid: u32 = 0;
  address: u64 = 0;
  /** Bytes of body sent so far. */
  sentBytes: u64 = 0;
  /** Called when the last fragment is in flight: the body may be reused. */
  sent: ((argument: u64, cause: u32) => void) | null = null;
  argument: u64 = 0;
}
/** A frame that was sent and is not acknowledged, or follows such a frame. */
class InFlight {
  /** NO_BUFFER: the peer has received the frame, but one before it is missing. */
  buffer: u32 = 0;
  frameBytes: u32 = 0;
  sequence: u32 = 0;
  /** 1: sent more than once, so its acknowledgement gives no round-trip sample (Karn). */
  resent: u32 = 0;
  sentAt: u64 = 0;
}
/** The incoming message of a peer, fragment by fragment; used by `net/message.ts` and the operations. */
export class Inbound {
  /** 1 while fragments are missing. */
  open: u32 = 0;
  /** The operation discards the rest. */
  discard: u32 = 0;
  /** Header of the first fragment; all others must repeat its fields. */
  header!: MessageHeader;
  gotBytes: u32 = 0;
  /** Used by the operation: destination and purpose of the bytes. taskPid 0: none. */
  taskPid: u32 = 0;
  /** Number of the match entry that counts this message as arriving; 0: none. */
  entry: u32 = 0;
  queue: u32 = 0;
  cause: u32 = 0;
  address: u64 = 0;
  acceptedBytes: u64 = 0;
  entryOffset: u64 = 0;
  userPointer: u64 = 0;
  /** When the message is discarded if no more frames arrive. */
  deadline: u64 = 0;
}
export class Peer {
  nid: u32 = 0;
  unreachable: u32 = 0;
  /** 1: the peer was given up, and not all its waiters have been told. */
  lostUntold: u32 = 0;
  /** 1: the peer has acknowledged something, so it exists. */
  proven: u32 = 0;
  /** Sequence number of the next frame to send. */
  nextSequence: u32 = 1;
  /** Highest sequence received in order; 0 = none. */
  received: u32 = 0;
  acknowledgementOwed: u32 = 0;
  /** Timeouts since the last valid frame. */
  silent: u32 = 0;
  /** Number of times that RTO is doubled (Karn), until the next sample. */
  backoff: u32 = 0;
  /** SRTT and RTTVAR of RFC 6298, ns; smoothed 0 = no sample yet. */
  smoothed: u64 = 0;
  variance: u64 = 0;
  timeout: u64 = 0;
  /** When the oldest unacknowledged frame is retransmitted; valid while `count` > 0. */
  timerAt: u64 = 0;
  /** Frames in the window, a ring: the oldest is at `first`. */
  first: u32 = 0;
  count: u32 = 0;
  inFlight!: arr<InFlight, 32>;
  /** Bit n: inFlight[n] is to be transmitted, again or for the first time. */
  again: u32 = 0;
  /** Early frames: bit n is number n + 1 after `received`, its receive buffer at (heldFirst + n) mod 32. */
  heldMask: u32 = 0;
  heldFirst: u32 = 0;
  held!: arr<u32, 32>;
  /** Messages that wait for the window, oldest first. */
  outFirst: ptr<OutMessage> | null = null;
  outLast: ptr<OutMessage> | null = null;
  outCount: u32 = 0;
  inbound!: Inbound;
  /** All peers, in the order of their first frame. */
  next: ptr<Peer> | null = null;
  /** Of net/agenda.ts: the list and its neighbours there, the place in the heap, the first deadline (0: none). */
  on: u32 = 0;
  dueIndex: u32 = 0;
  before: ptr<Peer> | null = null;
  after: ptr<Peer> | null = null;
  deadline: u64 = 0;
}
class Peers {
  ownNid: u32 = 0;
  /** Compute nodes of the machine are 1 … lastNid. */
  lastNid: u32 = 0;
  first: ptr<Peer> | null = null;
  last: ptr<Peer> | null = null;
  /** Frame from which new peers are allocated. */
  fresh: u64 = 0;
  freshUsed: u64 = 0;
}
const peers: Peers = zeroed();
/**
 * The first peers, including the service node, need no memory: a node that is short of it can still report that.
 * @align 4096
 */
const firstPeers: arr<u8, 4096> = zeroed();
const peersByNid: arr<ptr<Peer> | null, 4160> = zeroed();
/** Guards all state in net, io and job that messages touch. The outermost lock. */
export const netLock: Lock = { owner: 0, rank: LockRank.NET, next: 0, serving: 0 };

/** `nodes`: compute nodes of the machine, 0 = unknown. */
export function peersStart(nid: u32, nodes: u32): void {
  assert(sizeof<Peer>() <= PEER_BYTES, cstr("peer: a peer is too large"), sizeof<Peer>());
  peers.ownNid = nid;
  peers.lastNid = nodes !== 0 && nodes < NID_MAX ? nodes : NID_MAX - 1;
  peers.fresh = cast<u64>(addr(firstPeers)) - KERNEL_BASE;
}
export function ownNid(): u32 {
  return peers.ownNid;
}
/** Whether the machine has a node with this nid; our own may exceed the boot parameter. */
export function nidExists(nid: u32): boolean {
  return nid <= peers.lastNid || nid === peers.ownNid;
}

/** The state for `nid`; null: no such nid, or no memory. */
export function peerOf(nid: u32): ptr<Peer> | null {
  assertHeld(addr(netLock));
  if (!nidExists(nid) || nid >= NID_MAX) return null;
  const known = peersByNid[nid];
  if (known !== null) return known;
  if (peers.fresh === 0 || peers.freshUsed === PEERS_PER_FRAME) {
    peers.fresh = allocateFrame(OWNER_KERNEL);
    peers.freshUsed = 0;
    if (peers.fresh === 0) return null;
  }
  const peer = physical<Peer>(peers.fresh + peers.freshUsed * PEER_BYTES);
  peers.freshUsed++;
  zero(peer);
  peer.nid = nid;
  peer.nextSequence = 1;
  peer.timeout = RTO_INITIAL_NS;
  peersByNid[nid] = peer;
  const last = peers.last;
  if (last === null) peers.first = peer;
  else last.next = peer;
  peers.last = peer;
  return peer;
}
export function firstPeer(): ptr<Peer> | null {
  return peers.first;
}
