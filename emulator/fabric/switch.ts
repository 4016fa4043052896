/**
 * The switch: every nid has one full-duplex link to it. A frame leaves the sender when its link is free and takes bytes/bandwidth to
 * do so, needs `latencyNs` to the output port, waits there for frames before it and takes the link again: store and forward at the
 * output, FIFO per link. Ties at a port go by time, source nid, counter, so the order does not depend on who ran first.
 * No frame arrives earlier than latencyNs after it was sent: that is the lookahead with which nodes run apart.
 * Left out: buffers are unbounded, links lose nothing (fault injection comes with the torus).
 */
import { EventKind } from "../abi/events.ts";
import { ETHERTYPE_MARGAY, EthernetHeader, MAC_PREFIX_0, MAC_PREFIX_1, MAC_PREFIX_2, MessageHeader } from "../abi/net.ts";
import type { TraceSink } from "../trace/sink.ts";

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
  /** Counts the sender's frames: the last tie-breaker. */
  readonly counter: number;
  /** When it reaches the output port, ns. */
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
  /** Called with the send time of every frame, so that the machine can shorten what it runs ahead. */
  onSend: (time: number) => void = () => {};

  constructor(
    nids: readonly number[],
    private readonly trace: TraceSink,
    readonly options: FabricOptions = defaultFabric,
  ) {
    for (const nid of nids) this.links.set(nid, { queue: [], sendFreeAt: 0, receiveFreeAt: 0, sent: 0 });
  }

  /** `frame` leaves nid `source` at `time`. Its destination MAC says where to. */
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
    const counter = from.sent++;
    const broadcast = (frame[0] & 1) !== 0;
    const target = broadcast ? -1 : nidOfMac(frame);
    if (this.trace.enabled) this.observe(source, time, EventKind.LINK_SEND, broadcast ? 0xffff_ffff : target, frame);
    let reached = false;
    for (const [nid, link] of this.links) {
      if (broadcast ? nid === source : nid !== target) continue;
      reached = true;
      insert(link.queue, { frame: broadcast ? frame.slice() : frame, source, counter, atPort: leaves + this.options.latencyNs });
    }
    if (!reached && !broadcast) this.fault(source, time, `switch: no link for MAC ${macText(frame, 0)}`);
    this.onSend(time);
  }

  /** When the next frame has arrived completely at `nid`; Infinity = none under way. */
  nextArrival(nid: number): number {
    const link = this.links.get(nid);
    if (link === undefined || link.queue.length === 0) return Number.POSITIVE_INFINITY;
    const head = link.queue[0];
    return head.atPort > link.receiveFreeAt ? head.atPort : link.receiveFreeAt;
  }

  /** Takes the frame whose arrival is due at `time`. */
  take(nid: number, time: number): Uint8Array {
    const link = this.links.get(nid)!;
    const { frame, source } = link.queue.shift()!;
    link.receiveFreeAt = time + this.wireTime(frame);
    if (this.trace.enabled) this.observe(nid, time, EventKind.LINK_RECEIVE, source, frame);
    return frame;
  }

  state(): unknown {
    return [...this.links].map(([nid, link]) => [
      nid,
      { ...link, queue: link.queue.map((flight) => ({ ...flight, frame: [...flight.frame] })) },
    ]);
  }

  private wireTime(frame: Uint8Array): number {
    return Math.ceil(frame.length / this.options.bytesPerNs);
  }

  /** Margay's frames show operation and sequence, others zeros. */
  private observe(nid: number, time: number, kind: number, peer: number, frame: Uint8Array): void {
    const ours = frame.length >= EthernetHeader.SIZE + MessageHeader.SIZE && frame[12] * 256 + frame[13] === ETHERTYPE_MARGAY;
    const header = ours ? new MessageHeader(new DataView(frame.buffer, frame.byteOffset), EthernetHeader.SIZE) : undefined;
    this.trace.emit(nid, -1, time, kind, [peer, header?.operation ?? 0, header?.sequence ?? 0, frame.length]);
  }

  private fault(nid: number, time: number, text: string): void {
    this.trace.emit(nid, -1, time, EventKind.LINK_FAULT, [text]);
  }
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
