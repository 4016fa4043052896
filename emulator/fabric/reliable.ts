/**
 * Reliable, ordered messages between one node and its peers, as a state machine without sockets or clocks.
 * The rules stand in kernel/abi/net.ts; kernel/net/reliable.ts is the same machine on the other side.
 * Beyond them: a peer that answers nothing for RETRY_LIMIT retransmissions in a row is given up, and its owner is told.
 */
import { DropReason, RETRANSMIT_NS, WINDOW_FRAMES } from "../abi/net.ts";
import { acknowledgeFrame, fragment, parse, Reassembly, seal, type Message, type ParsedFrame } from "./message.ts";

/** Retransmissions in a row without any acknowledgement, after which a peer counts as unreachable. */
export const RETRY_LIMIT = 64;
/** Sequence numbers are 1 … 2^32 − 1 and again 1: 0 means none. */
const SEQUENCE_COUNT = 0xffff_ffff;

export interface ReliableHooks {
  /** Hands a sealed frame to the wire; the bytes are the wire's to keep. */
  send(frame: Uint8Array, time: number): void;
  /** A whole message, exactly once, in the order of sending. It may call `send` of the state machine. */
  deliver(message: Message, time: number): void;
  dropped?(from: number, sequence: number, reason: number, time: number): void;
  resent?(to: number, sequence: number, frames: number, time: number): void;
  /** The peer is given up: what waited for it is lost, and so is what will be sent to it. Told once. */
  unreachable?(nid: number, time: number): void;
}
export interface ReliableOptions {
  readonly retransmitNs?: number;
  readonly windowFrames?: number;
  readonly retryLimit?: number;
  /** First sequence number, 1 by the protocol; tests start just below the wrap. */
  readonly firstSequence?: number;
}
export interface ReliableCounters {
  sentFrames: number;
  receivedFrames: number;
  resentFrames: number;
  acknowledgeFrames: number;
  /** By DropReason. */
  dropped: number[];
}

interface Unacknowledged {
  readonly frame: Uint8Array;
  readonly sequence: number;
  sentTime: number;
}
class Peer {
  /** In flight, oldest first, at most a window. */
  readonly inFlight: Unacknowledged[] = [];
  /** Behind the window. */
  readonly waiting: Uint8Array[] = [];
  nextSequence: number;
  /** Highest sequence received in order; 0 = none yet. */
  received = 0;
  expected: number;
  acknowledgementOwed = false;
  retries = 0;
  unreachable = false;
  readonly reassembly = new Reassembly();
  constructor(
    readonly nid: number,
    firstSequence: number,
  ) {
    this.nextSequence = firstSequence;
    this.expected = firstSequence;
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
  /** Peers with frames in flight. */
  private readonly active = new Set<Peer>();
  private readonly retransmitNs: number;
  private readonly windowFrames: number;
  private readonly retryLimit: number;
  private readonly firstSequence: number;

  constructor(
    readonly nid: number,
    private readonly hooks: ReliableHooks,
    options: ReliableOptions = {},
  ) {
    this.retransmitNs = options.retransmitNs ?? RETRANSMIT_NS;
    this.windowFrames = options.windowFrames ?? WINDOW_FRAMES;
    this.retryLimit = options.retryLimit ?? RETRY_LIMIT;
    this.firstSequence = options.firstSequence ?? 1;
  }

  /** Frames in flight or waiting, over all peers. */
  get pendingFrames(): number {
    let n = 0;
    for (const p of this.active) n += p.inFlight.length + p.waiting.length;
    return n;
  }

  /** False: the peer was given up, nothing will be sent. */
  send(message: Message, time: number): boolean {
    const peer = this.peer(message.targetNid);
    if (peer.unreachable) return false;
    for (const frame of fragment(message)) peer.waiting.push(frame);
    this.fillWindow(peer, time);
    return true;
  }

  receive(frame: Uint8Array, time: number): void {
    this.counters.receivedFrames++;
    const parsed = parse(frame, this.nid);
    if (typeof parsed === "number") {
      this.drop(-1, 0, parsed, time);
      return;
    }
    const { sourceNid, sequence, acknowledgement } = parsed.header;
    const peer = this.peer(sourceNid);
    this.acknowledged(peer, acknowledgement);
    if (sequence !== 0) this.receiveData(peer, sequence, parsed, time);
    this.fillWindow(peer, time);
    if (peer.acknowledgementOwed) {
      this.counters.acknowledgeFrames++;
      this.transmit(peer, acknowledgeFrame(this.nid, peer.nid), 0, time);
    }
  }

  get nextTimer(): number {
    let earliest = Infinity;
    for (const p of this.active) earliest = Math.min(earliest, p.inFlight[0]!.sentTime + this.retransmitNs);
    return earliest;
  }

  tick(time: number): void {
    for (const peer of [...this.active]) {
      const oldest = peer.inFlight[0]!;
      if (oldest.sentTime + this.retransmitNs > time) continue;
      if (++peer.retries > this.retryLimit) {
        this.giveUp(peer, time);
        continue;
      }
      this.hooks.resent?.(peer.nid, oldest.sequence, peer.inFlight.length, time);
      this.counters.resentFrames += peer.inFlight.length;
      for (const u of peer.inFlight) {
        u.sentTime = time;
        this.transmit(peer, u.frame, u.sequence, time);
      }
    }
  }

  private receiveData(peer: Peer, sequence: number, parsed: ParsedFrame, time: number): void {
    peer.acknowledgementOwed = true;
    if (sequence !== peer.expected) {
      const late = sequenceDistance(sequence, peer.expected) <= SEQUENCE_COUNT / 2;
      this.drop(peer.nid, sequence, late ? DropReason.DUPLICATE : DropReason.OUT_OF_ORDER, time);
      return;
    }
    peer.received = sequence;
    peer.expected = nextSequence(sequence);
    const whole = peer.reassembly.accept(parsed);
    if (typeof whole === "number") {
      this.drop(peer.nid, sequence, whole, time);
      return;
    }
    if (whole !== null) this.hooks.deliver(whole, time);
  }

  private acknowledged(peer: Peer, acknowledgement: number): void {
    const oldest = peer.inFlight[0];
    if (oldest === undefined || acknowledgement === 0) return;
    const count = sequenceDistance(oldest.sequence, acknowledgement) + 1;
    // Acknowledgements of before the window, or of what was never sent, say nothing.
    if (count > peer.inFlight.length) return;
    peer.inFlight.splice(0, count);
    peer.retries = 0;
    if (peer.inFlight.length === 0) this.active.delete(peer);
  }

  private fillWindow(peer: Peer, time: number): void {
    while (peer.waiting.length > 0 && peer.inFlight.length < this.windowFrames) {
      const frame = peer.waiting.shift()!;
      const sequence = peer.nextSequence;
      peer.nextSequence = nextSequence(sequence);
      peer.inFlight.push({ frame, sequence, sentTime: time });
      this.active.add(peer);
      this.transmit(peer, frame, sequence, time);
    }
  }

  private transmit(peer: Peer, frame: Uint8Array, sequence: number, time: number): void {
    seal(frame, sequence, peer.received);
    peer.acknowledgementOwed = false;
    this.counters.sentFrames++;
    this.hooks.send(frame.slice(), time);
  }

  private giveUp(peer: Peer, time: number): void {
    peer.unreachable = true;
    peer.inFlight.length = 0;
    peer.waiting.length = 0;
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
      peer = new Peer(nid, this.firstSequence);
      this.peers.set(nid, peer);
    }
    return peer;
  }
}
