/**
 * Reliable, ordered messages between one node and its peers, as a state machine without sockets or clocks.
 * kernel/abi/net.ts states the rules; kernel/net/reliable.ts is the same state machine on the kernel's side.
 *
 * Memory that other nodes can cause it to use is bounded: at most `limits.mostBytes` per peer in reassembly, and at
 * most HELD_MAX early frames in all. Nothing is accepted from a peer that has more than its share of unacknowledged
 * bytes: PENDING_PEER_BYTES, and never more than remain for all others.
 */
import { DropReason, INBOUND_SILENCE_NS, LATER_FRAMES, RETRY_LIMIT, WINDOW_FRAMES } from "../abi/net.ts";
import {
  acknowledgeFrame,
  fragment,
  type Message,
  noLimits,
  type ParsedFrame,
  parse,
  headOf,
  Reassembly,
  type ReassemblyLimits,
  seal,
} from "./message.ts";
import { RoundTrip } from "./roundtrip.ts";

/** Sequence numbers run from 1 to 2^32 − 1 and wrap to 1: 0 means none. */
const SEQUENCE_COUNT = 0xffff_ffff;
/** Most frames in flight to a peer whose acknowledgement is late. */
const WINDOW_LATE = 4;
/**
 * Bytes of unacknowledged frames to all peers at which no more input is accepted; then the same for one peer, to which
 * every core may have one reply.
 */
const PENDING_BYTES = 128 << 20;
const PENDING_PEER_BYTES = 8 << 20;
/** Most early frames, over all peers. */
const HELD_MAX = 2048;

export interface ReliableHooks {
  /** Sends a sealed frame. The wire owns the bytes. */
  send(frame: Uint8Array, time: number): void;
  /** Receives a whole message, exactly once, in the order of sending. May call the state machine's `send`. */
  deliver(message: Message, time: number): void;
  dropped?(from: number, sequence: number, reason: number, time: number): void;
  resent?(to: number, sequence: number, frames: number, time: number): void;
  /** A message that is not accepted; only its head is known. */
  refused?(message: Message, time: number): void;
  /** The peer is unreachable: messages waiting for it are lost, and so is everything sent to it later. Called once. */
  unreachable?(nid: number, time: number): void;
}
export interface ReliableOptions {
  readonly retryLimit?: number;
  /** Whether a node exists: frames from other nids are dropped, messages to them refused. Left out: all exist. */
  readonly exists?: (nid: number) => boolean;
  readonly limits?: ReassemblyLimits;
  /** First sequence number, 1 by the protocol; tests start just below the wrap. */
  readonly firstSequence?: number;
}
export interface ReliableCounters {
  sentFrames: number;
  receivedFrames: number;
  resentFrames: number;
  acknowledgeFrames: number;
  /** Counts by DropReason. */
  dropped: number[];
}

interface Unacknowledged {
  /** Null: the peer has received it, but a frame before it is missing. */
  frame: Uint8Array | null;
  readonly sequence: number;
  sentTime: number;
  /** Sent more than once: its acknowledgement gives no round-trip sample (Karn's rule). */
  resent: boolean;
}
class Peer {
  /** The window, oldest first. */
  readonly inFlight: Unacknowledged[] = [];
  /** Frames that wait for the window to open. */
  readonly waiting: Uint8Array[] = [];
  /** Bytes of both. */
  pendingBytes = 0;
  nextSequence: number;
  /** Highest sequence received in order; 0 = none yet. */
  received = 0;
  expected: number;
  /** Early frames, by sequence. */
  readonly held = new Map<number, ParsedFrame>();
  acknowledgementOwed = false;
  /** Timeouts since the last valid frame of the peer. */
  silent = 0;
  readonly roundTrip = new RoundTrip();
  /** When the oldest frame is retransmitted; valid while the window is not empty. */
  timerAt = Infinity;
  unreachable = false;
  readonly reassembly: Reassembly;
  constructor(
    readonly nid: number,
    firstSequence: number,
    limits: ReassemblyLimits,
  ) {
    this.nextSequence = firstSequence;
    this.expected = firstSequence;
    this.reassembly = new Reassembly(limits);
  }
}

export function nextSequence(sequence: number): number {
  return sequence === SEQUENCE_COUNT ? 1 : sequence + 1;
}
/** Steps from `from` forward to `to`, 0 … SEQUENCE_COUNT − 1. */
export function sequenceDistance(from: number, to: number): number {
  return to >= from ? to - from : to - from + SEQUENCE_COUNT;
}

export class Reliable {
  readonly counters: ReliableCounters = {
    sentFrames: 0,
    receivedFrames: 0,
    resentFrames: 0,
    acknowledgeFrames: 0,
    dropped: [],
  };
  private readonly peers = new Map<number, Peer>();
  /** Peers with frames in flight or an acknowledgement to send. */
  private readonly active = new Set<Peer>();
  private pendingBytes = 0;
  private heldCount = 0;
  private readonly retryLimit: number;
  private readonly firstSequence: number;
  private readonly exists: (nid: number) => boolean;
  private readonly limits: ReassemblyLimits;

  constructor(
    readonly nid: number,
    private readonly hooks: ReliableHooks,
    options: ReliableOptions = {},
  ) {
    this.retryLimit = options.retryLimit ?? RETRY_LIMIT;
    this.firstSequence = options.firstSequence ?? 1;
    this.exists = options.exists ?? (() => true);
    this.limits = options.limits ?? noLimits;
  }

  /** Frames in flight or waiting, over all peers. */
  get pendingFrames(): number {
    let n = 0;
    for (const p of this.active) n += p.inFlight.length + p.waiting.length;
    return n;
  }

  /** Returns false if the node does not exist or is unreachable; then nothing is sent. */
  send(message: Message, time: number): boolean {
    if (!this.exists(message.targetNid)) return false;
    const peer = this.peer(message.targetNid);
    if (peer.unreachable) return false;
    for (const frame of fragment(message)) {
      peer.waiting.push(frame);
      peer.pendingBytes += frame.length;
      this.pendingBytes += frame.length;
    }
    this.active.add(peer);
    this.fillWindow(peer, time);
    return true;
  }

  receive(frame: Uint8Array, time: number): void {
    this.counters.receivedFrames++;
    const parsed = parse(frame, this.nid);
    if (typeof parsed === "number" || !this.exists(parsed.header.sourceNid)) {
      this.drop(-1, 0, typeof parsed === "number" ? parsed : DropReason.NID, time);
      return;
    }
    const { sourceNid, sequence, acknowledgement, selective } = parsed.header;
    const peer = this.peer(sourceNid);
    // A peer that we gave up must give us up, too, so it gets no acknowledgement.
    if (peer.unreachable) return;
    peer.silent = 0;
    if (this.acknowledged(peer, acknowledgement, selective, time)) this.sendAgain(peer, false, time);
    if (sequence !== 0) this.receiveData(peer, sequence, parsed, time);
    this.goOn(peer, time);
  }

  get nextTimer(): number {
    let earliest = Infinity;
    for (const p of this.active) earliest = Math.min(earliest, p.timerAt, p.reassembly.deadline);
    return earliest;
  }

  tick(time: number): void {
    for (const peer of [...this.active]) {
      if (peer.reassembly.deadline <= time) peer.reassembly.giveUp();
      if (peer.timerAt <= time) {
        if (++peer.silent > this.retryLimit) {
          this.giveUp(peer, time);
          continue;
        }
        peer.roundTrip.timedOut();
        peer.timerAt = time + peer.roundTrip.timeoutNs;
        this.sendAgain(peer, true, time);
      }
      this.goOn(peer, time);
    }
  }

  /** Delivers and sends what has become possible, and sends an acknowledgement that is due. */
  private goOn(peer: Peer, time: number): void {
    for (let next = peer.held.get(peer.expected); next !== undefined; next = peer.held.get(peer.expected)) {
      if (!this.hasRoom(peer)) break;
      peer.held.delete(peer.expected);
      this.heldCount--;
      peer.acknowledgementOwed = true;
      this.take(peer, next, time);
    }
    this.fillWindow(peer, time);
    if (peer.acknowledgementOwed) {
      this.counters.acknowledgeFrames++;
      this.transmit(peer, acknowledgeFrame(this.nid, peer.nid), 0, time);
    }
    const idle = peer.inFlight.length + peer.waiting.length === 0 && peer.reassembly.deadline === Infinity;
    if (idle && !peer.held.has(peer.expected)) this.active.delete(peer);
    else this.active.add(peer);
  }

  private hasRoom(peer: Peer): boolean {
    return peer.pendingBytes < Math.min(PENDING_PEER_BYTES, PENDING_BYTES - this.pendingBytes);
  }

  private receiveData(peer: Peer, sequence: number, parsed: ParsedFrame, time: number): void {
    peer.acknowledgementOwed = true;
    const ahead = sequenceDistance(peer.expected, sequence);
    if (ahead === 0 && !peer.held.has(sequence)) {
      if (this.hasRoom(peer)) this.take(peer, parsed, time);
      else this.drop(peer.nid, sequence, DropReason.NO_ROOM, time);
    } else if (ahead >= WINDOW_FRAMES || peer.held.has(sequence)) {
      const late = ahead > SEQUENCE_COUNT / 2 || ahead < WINDOW_FRAMES;
      this.drop(peer.nid, sequence, late ? DropReason.DUPLICATE : DropReason.OUT_OF_ORDER, time);
    } else if (this.heldCount >= HELD_MAX) {
      this.drop(peer.nid, sequence, DropReason.OUT_OF_ORDER, time);
    } else {
      peer.held.set(sequence, parsed);
      this.heldCount++;
    }
  }

  /** The next frame in order. */
  private take(peer: Peer, parsed: ParsedFrame, time: number): void {
    const { sequence } = parsed.header;
    peer.received = sequence;
    peer.expected = nextSequence(sequence);
    const whole = peer.reassembly.accept(parsed, time + INBOUND_SILENCE_NS);
    if (typeof whole === "number") {
      this.drop(peer.nid, sequence, whole, time);
      if (whole === DropReason.OPERATION) this.hooks.refused?.(headOf(parsed.header), time);
    } else if (whole !== null) {
      this.hooks.deliver(whole, time);
    }
  }

  /** Returns true if a frame before a held one may be lost. */
  private acknowledged(peer: Peer, acknowledgement: number, selective: number, time: number): boolean {
    const oldest = peer.inFlight[0];
    if (oldest === undefined) return false;
    let measured: number | undefined;
    const release = (u: Unacknowledged): void => {
      if (u.frame === null) return;
      peer.pendingBytes -= u.frame.length;
      this.pendingBytes -= u.frame.length;
      u.frame = null;
      if (!u.resent) measured = u.sentTime;
    };
    const count = acknowledgement === 0 ? 0 : sequenceDistance(oldest.sequence, acknowledgement) + 1;
    // An acknowledgement of frames before the window, or of frames never sent, is ignored.
    const done = count <= peer.inFlight.length ? peer.inFlight.splice(0, count) : [];
    done.forEach(release);
    let holds = false;
    const first = peer.inFlight[0];
    const known = first !== undefined && nextSequence(acknowledgement) === first.sequence;
    for (let i = 1; known && i < peer.inFlight.length; i++) {
      if (((selective >>> i) & 1) === 0 || peer.inFlight[i]!.frame === null) continue;
      release(peer.inFlight[i]!);
      holds = true;
    }
    if (measured !== undefined) peer.roundTrip.sample(time - measured);
    // RFC 6298, 5.2 and 5.3.
    if (peer.inFlight.length === 0) peer.timerAt = Infinity;
    else if (done.length > 0) peer.timerAt = time + peer.roundTrip.timeoutNs;
    return holds;
  }

  /**
   * Retransmits. After a timeout: the oldest frame and the frames missing before a held one. Otherwise: frames sent
   * only once that have LATER_FRAMES held ones after them.
   */
  private sendAgain(peer: Peer, timeout: boolean, time: number): void {
    const least = timeout ? 1 : LATER_FRAMES;
    const lost: Unacknowledged[] = [];
    let held = 0;
    for (let i = peer.inFlight.length - 1; i >= 0; i--) {
      const u = peer.inFlight[i]!;
      if (u.frame === null) held++;
      else if (timeout ? i === 0 || held >= least : held >= least && !u.resent) lost.unshift(u);
    }
    if (lost.length === 0) return;
    this.hooks.resent?.(peer.nid, lost[0]!.sequence, lost.length, time);
    this.counters.resentFrames += lost.length;
    for (const u of lost) {
      u.sentTime = time;
      u.resent = true;
      this.transmit(peer, u.frame!, u.sequence, time);
    }
  }

  private fillWindow(peer: Peer, time: number): void {
    const window = peer.roundTrip.isLate ? WINDOW_LATE : WINDOW_FRAMES;
    while (peer.waiting.length > 0 && peer.inFlight.length < window) {
      const frame = peer.waiting.shift()!;
      const sequence = peer.nextSequence;
      peer.nextSequence = nextSequence(sequence);
      if (peer.inFlight.length === 0) peer.timerAt = time + peer.roundTrip.timeoutNs;
      peer.inFlight.push({ frame, sequence, sentTime: time, resent: false });
      this.transmit(peer, frame, sequence, time);
    }
  }

  private transmit(peer: Peer, frame: Uint8Array, sequence: number, time: number): void {
    let selective = 0;
    for (const held of peer.held.keys()) selective |= 1 << sequenceDistance(peer.expected, held);
    // Bit 0 is the next expected frame: if it is held, it waits for room and is not acknowledged yet.
    seal(frame, sequence, peer.received, (selective & ~1) >>> 0);
    peer.acknowledgementOwed = false;
    this.counters.sentFrames++;
    this.hooks.send(frame.slice(), time);
  }

  private giveUp(peer: Peer, time: number): void {
    peer.unreachable = true;
    peer.inFlight.length = 0;
    peer.waiting.length = 0;
    this.pendingBytes -= peer.pendingBytes;
    peer.pendingBytes = 0;
    this.heldCount -= peer.held.size;
    peer.held.clear();
    peer.reassembly.giveUp();
    this.active.delete(peer);
    this.hooks.unreachable?.(peer.nid, time);
  }

  private drop(from: number, sequence: number, reason: number, time: number): void {
    this.counters.dropped[reason] = (this.counters.dropped[reason] ?? 0) + 1;
    this.hooks.dropped?.(from, sequence, reason, time);
  }

  private peer(nid: number): Peer {
    let peer = this.peers.get(nid);
    if (peer === undefined) {
      peer = new Peer(nid, this.firstSequence, this.limits);
      this.peers.set(nid, peer);
    }
    return peer;
  }
}
