/**
 * The switch. Every nid has one full-duplex link to it. A frame leaves the sender when its link is free, which takes
 * bytes/bandwidth, and needs `latencyNs` to the output port. There it waits for earlier frames and then occupies the
 * receiver's link: store and forward at the output, FIFO per link. Frames that reach a port at the same time are
 * ordered by source nid, then by counter, so the order does not depend on which node ran first. No frame arrives
 * earlier than latencyNs after it was sent: this is the lookahead that lets nodes run independently. With `faults` a
 * link may lose, duplicate, corrupt or hold back a frame (faults.ts); each fault is a LINK_FAULT event. Not modelled:
 * limits of buffers.
 */
import { EventKind } from "../abi/events.ts";
import {
  ETHERTYPE_MARGAY,
  EthernetHeader,
  MAC_PREFIX_0,
  MAC_PREFIX_1,
  MAC_PREFIX_2,
  MessageHeader,
  OperationNames,
} from "../abi/net.ts";
import type { TraceSink } from "../trace/sink.ts";
import { type FaultInjector, soundVerdict, type Verdict, verdictText } from "./faults.ts";

export interface FabricOptions {
  /** Sender's link to receiver's port, virtual ns. */
  readonly latencyNs: number;
  /** Bandwidth of each link and direction. */
  readonly bytesPerNs: number;
}
/** About one InfiniBand switch hop, and 10 GB/s. */
export const defaultFabric: FabricOptions = { latencyNs: 1000, bytesPerNs: 10 };

interface Flight {
  readonly frame: Uint8Array;
  readonly source: number;
  /** Number of the frame among the sender's frames: the last tie-breaker. */
  readonly counter: number;
  /** When the frame reaches the output port, ns. */
  readonly atPort: number;
}
interface Link {
  /** Ascending by atPort, source, counter. */
  readonly queue: Flight[];
  sendFreeAt: number;
  receiveFreeAt: number;
  sent: number;
}

export class Switch {
  private readonly links = new Map<number, Link>();
  /** Called with the send time of every frame, so that the machine can shorten its window. */
  onSend: (time: number) => void = () => {};

  constructor(
    nids: readonly number[],
    private readonly trace: TraceSink,
    readonly options: FabricOptions = defaultFabric,
    readonly faults?: FaultInjector,
  ) {
    for (const nid of nids) this.links.set(nid, { queue: [], sendFreeAt: 0, receiveFreeAt: 0, sent: 0 });
  }

  /** `frame` leaves nid `source` at `time`. Its destination MAC gives the receiver. */
  send(source: number, frame: Uint8Array, time: number): void {
    const from = this.links.get(source);
    if (from === undefined) throw new Error(`switch: nid ${source} has no link`);
    if (frame.length < 14) {
      this.fault(source, time, `switch: runt frame of ${frame.length} bytes`);
      return;
    }
    const bytesTime = this.wireTime(frame);
    const leaves = Math.max(time, from.sendFreeAt) + bytesTime;
    from.sendFreeAt = leaves;
    const broadcast = (frame[0] & 1) !== 0;
    const target = broadcast ? -1 : nidOfMac(frame);
    if (this.trace.enabled) this.observe(source, time, EventKind.LINK_SEND, broadcast ? 0xffff_ffff : target, frame);
    let reached = false;
    for (const [nid, link] of this.links) {
      if (broadcast ? nid === source : nid !== target) continue;
      reached = true;
      const verdict = this.faults?.judge(source, nid, frame, time) ?? soundVerdict;
      if (verdict !== soundVerdict) this.observeFault(source, nid, time, verdict, frame);
      this.carry(from, source, link, broadcast ? frame.slice() : frame, leaves, verdict);
    }
    if (!reached && !broadcast) this.fault(source, time, `switch: no link for MAC ${macText(frame, 0)}`);
    this.onSend(time);
  }

  /** Sends the copies that the verdict leaves to the output port. A second copy occupies the link again. */
  private carry(from: Link, source: number, to: Link, frame: Uint8Array, leaves: number, verdict: Verdict): void {
    let at = leaves + verdict.stallNs;
    for (let copy = 0; copy < verdict.copies; copy++) {
      if (copy > 0) at += this.wireTime(frame);
      // The receiver may write into its frame, so frames are never shared.
      const bytes = copy > 0 || verdict.flips.length > 0 ? frame.slice() : frame;
      if (copy === 0) for (const bit of verdict.flips) bytes[bit >> 3] ^= 1 << (bit & 7);
      const holdNs = copy === 0 ? verdict.holdNs : 0;
      insert(to.queue, { frame: bytes, source, counter: from.sent++, atPort: at + holdNs + this.options.latencyNs });
    }
    if (verdict.copies > 1 || verdict.stallNs > 0) from.sendFreeAt = Math.max(from.sendFreeAt, at);
  }

  /** When the next frame has completely arrived at `nid`; Infinity: none in flight. */
  nextArrival(nid: number): number {
    const link = this.links.get(nid);
    if (link === undefined || link.queue.length === 0) return Number.POSITIVE_INFINITY;
    const head = link.queue[0];
    return head.atPort > link.receiveFreeAt ? head.atPort : link.receiveFreeAt;
  }

  /** Removes and returns the frame whose arrival is due at `time`. */
  take(nid: number, time: number): Uint8Array {
    const link = this.links.get(nid)!;
    const { frame, source } = link.queue.shift()!;
    link.receiveFreeAt = time + this.wireTime(frame);
    if (this.trace.enabled) this.observe(nid, time, EventKind.LINK_RECEIVE, source, frame);
    return frame;
  }

  state(): unknown {
    const links = [...this.links].map(([nid, link]) => [
      nid,
      { ...link, queue: link.queue.map((flight) => ({ ...flight, frame: [...flight.frame] })) },
    ]);
    return this.faults === undefined ? links : [links, this.faults.state()];
  }

  private wireTime(frame: Uint8Array): number {
    return Math.ceil(frame.length / this.options.bytesPerNs);
  }

  /** The event of a Margay frame shows its operation and sequence; other frames show zeros. */
  private observe(nid: number, time: number, kind: number, peer: number, frame: Uint8Array): void {
    const header = headerOf(frame);
    this.trace.emit(nid, -1, time, kind, [peer, header?.operation ?? 0, header?.sequence ?? 0, frame.length]);
  }

  private observeFault(source: number, target: number, time: number, verdict: Verdict, frame: Uint8Array): void {
    if (!this.trace.enabled) return;
    const header = headerOf(frame);
    const what =
      header === undefined
        ? ""
        : `, ${OperationNames.get(header.operation) ?? header.operation} sequence ${header.sequence}`;
    this.fault(source, time, `${verdictText(verdict)}: to n${target}${what}`);
  }

  private fault(nid: number, time: number, text: string): void {
    this.trace.emit(nid, -1, time, EventKind.LINK_FAULT, [text]);
  }
}

function headerOf(frame: Uint8Array): MessageHeader | undefined {
  const ours =
    frame.length >= EthernetHeader.SIZE + MessageHeader.SIZE && frame[12] * 256 + frame[13] === ETHERTYPE_MARGAY;
  return ours ? new MessageHeader(new DataView(frame.buffer, frame.byteOffset), EthernetHeader.SIZE) : undefined;
}

/** The nid in a frame's destination MAC; -1 if the prefix is not ours. */
export function nidOfMac(frame: Uint8Array): number {
  if (frame[0] !== MAC_PREFIX_0 || frame[1] !== MAC_PREFIX_1 || frame[2] !== MAC_PREFIX_2) return -1;
  return (frame[3] << 16) | (frame[4] << 8) | frame[5];
}

function macText(frame: Uint8Array, at: number): string {
  return Array.from(frame.subarray(at, at + 6), (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function insert(queue: Flight[], flight: Flight): void {
  let at = queue.length;
  while (at > 0 && isBefore(flight, queue[at - 1])) at--;
  queue.splice(at, 0, flight);
}

function isBefore(a: Flight, b: Flight): boolean {
  if (a.atPort !== b.atPort) return a.atPort < b.atPort;
  return a.source !== b.source ? a.source < b.source : a.counter < b.counter;
}
