/**
 * Nodes that are not there: frames that anybody on the wire could make, in the order that the link's rules ask for, or
 * mutated. Nothing that comes back reaches them.
 */
import { EthernetHeader, MessageHeader, Operation } from "../../emulator/abi/net.ts";
import { fragment, message, type Message, parse, seal } from "../../emulator/fabric/message.ts";
import { nextSequence } from "../../emulator/fabric/reliable.ts";
import type { Random } from "../fabric/random.ts";

export type Fields = Partial<Message> & { readonly operation: number };
/** What a frame may say besides its message. */
export interface FrameFields {
  readonly fragmentOffset?: number;
  readonly totalBytes?: number;
  readonly acknowledgement?: number;
  readonly selective?: number;
  /** Default: the next one. */
  readonly sequence?: number;
}

export class Stranger {
  private sequence = 1;
  constructor(
    readonly nid: number,
    private readonly target: number,
    private readonly inject: (frame: Uint8Array) => void,
  ) {}

  /** The frames of a whole message. */
  send(fields: Fields): void {
    for (const frame of fragment(message({ sourceNid: this.nid, targetNid: this.target, ...fields })))
      this.put(frame, {});
  }
  /** One fragment of a message of `totalBytes`. */
  fragment(fields: Fields, frame: FrameFields): void {
    const [first] = fragment(message({ sourceNid: this.nid, targetNid: this.target, ...fields }));
    this.put(first!, frame);
  }
  /** Takes what the target has sent, as far as this number. */
  acknowledge(acknowledgement: number): void {
    this.fragment({ operation: Operation.ACKNOWLEDGE }, { sequence: 0, acknowledgement });
  }

  private put(frame: Uint8Array, f: FrameFields): void {
    const header = new MessageHeader(new DataView(frame.buffer), EthernetHeader.SIZE);
    if (f.totalBytes !== undefined) header.totalBytes = f.totalBytes;
    if (f.fragmentOffset !== undefined) header.fragmentOffset = f.fragmentOffset;
    seal(frame, f.sequence ?? this.sequence, f.acknowledgement ?? 0, f.selective ?? 0);
    if (f.sequence === undefined) this.sequence = nextSequence(this.sequence);
    this.inject(frame);
  }
}

const headerOf = (frame: Uint8Array): MessageHeader =>
  new MessageHeader(new DataView(frame.buffer, frame.byteOffset), EthernetHeader.SIZE);

/** Values that have broken parsers before, for a field of any width. */
const EDGES = [
  0, 1, 2, 7, 8, 15, 16, 31, 32, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];
const edge = (random: Random): number =>
  random.chance(60) ? EDGES[random.below(EDGES.length)]! : random.chance(50) ? random.below(64) : random.next();
const wide = (random: Random): bigint =>
  random.chance(70) ? BigInt(edge(random)) : (BigInt(random.next()) << 32n) | BigInt(random.next());

export interface FuzzOptions {
  readonly target: number;
  /** nids that frames pretend to come from. */
  readonly nids: readonly number[];
  /**
   * Where the target's answers are not to be seen: each nid is given up for the next one after so many frames, since
   * sooner or later it would have to acknowledge.
   */
  readonly framesOfNid?: number;
  readonly jobs: readonly number[];
  readonly pids: readonly number[];
  /** Bodies that are sound, or nearly. */
  readonly bodies: readonly Uint8Array[];
}

/**
 * Random frames to one target, most of them sound down to the CRC and in sequence, so that what they say is believed:
 * several nids, messages half sent and mixed, replies that nobody asked for, edges in every field; some damaged
 * anywhere.
 */
export class FrameFuzzer {
  private readonly sequences = new Map<number, number>();
  private readonly acknowledgements = new Map<number, number>();
  private readonly unfinished: { fields: Message; offset: number; total: number }[] = [];
  private readonly nids: number[];
  private readonly used = new Map<number, number>();
  private lastNid: number;

  constructor(
    private readonly random: Random,
    private readonly o: FuzzOptions,
  ) {
    this.nids = [...o.nids];
    this.lastNid = Math.max(...o.nids);
  }

  /** A frame that the target has sent: what it wants to have acknowledged. */
  sent(frame: Uint8Array): void {
    const { targetNid, sequence } = headerOf(frame);
    if (sequence !== 0) this.acknowledgements.set(targetNid, sequence);
  }

  next(): Uint8Array {
    const { random } = this;
    const resumed = this.unfinished.length > 0 && random.chance(30) ? this.take() : undefined;
    const fields = resumed?.fields ?? this.message();
    const frame = fragment(fields)[0]!;
    const header = headerOf(frame);
    if (resumed !== undefined) {
      header.fragmentOffset = resumed.offset;
      header.totalBytes = resumed.total;
      if (random.chance(20)) header.operation = random.below(17);
      if (random.chance(5)) header.requestId = wide(random);
    } else if (random.chance(25)) {
      header.totalBytes = fields.body.length + random.below(20000);
      this.unfinished.push({ fields, offset: fields.body.length, total: header.totalBytes });
      if (this.unfinished.length > 16) this.unfinished.shift();
    }
    if (random.chance(4)) header.fragmentOffset = edge(random);
    if (random.chance(3)) header.totalBytes = edge(random);
    if (random.chance(2)) header.targetNid = edge(random);
    const nid = fields.sourceNid;
    const sequence = this.sequences.get(nid) ?? 1;
    const inOrder = random.chance(90);
    seal(
      frame,
      inOrder ? sequence : random.chance(50) ? (sequence + random.below(40)) >>> 0 : edge(random),
      random.chance(70) ? (this.acknowledgements.get(nid) ?? random.below(40)) : edge(random),
      random.chance(80) ? 0 : random.next(),
    );
    if (random.chance(10))
      for (let n = 1 + random.below(4); n > 0; n--) frame[random.below(frame.length)] = random.next();
    const bytes = random.chance(3) ? frame.subarray(0, random.below(frame.length)) : frame;
    // What the receiver refuses as a frame it waits for again.
    if (inOrder && typeof parse(bytes, this.o.target) !== "number") this.sequences.set(nid, nextSequence(sequence));
    return bytes;
  }

  /** Each now and then another one takes the place of one that has had its time. */
  private nid(): number {
    const { framesOfNid } = this.o;
    const at = this.random.below(this.nids.length);
    const nid = this.nids[at]!;
    const used = (this.used.get(nid) ?? 0) + 1;
    this.used.set(nid, used);
    if (framesOfNid !== undefined && used === framesOfNid) this.nids[at] = ++this.lastNid;
    return nid;
  }

  private take(): { fields: Message; offset: number; total: number } {
    const [u] = this.unfinished.splice(this.random.below(this.unfinished.length), 1);
    const bytes = Math.min(u!.total - u!.offset, this.random.below(300));
    const fields = { ...u!.fields, body: this.random.bytes(bytes) };
    if (u!.offset + bytes < u!.total) this.unfinished.push({ ...u!, fields, offset: u!.offset + bytes });
    return { fields, offset: u!.offset, total: u!.total };
  }

  private message(): Message {
    const { random } = this;
    const one = <T>(list: readonly T[]): T => list[random.below(list.length)]!;
    const body = random.chance(40)
      ? one(this.o.bodies).subarray(0, random.chance(70) ? undefined : random.below(200))
      : random.bytes(random.chance(50) ? 0 : random.chance(90) ? random.below(100) : random.below(8192));
    const changed = body.slice(0, 8192);
    if (changed.length > 0 && random.chance(50)) changed[random.below(changed.length)] = random.next();
    return message({
      operation: random.below(random.chance(95) ? 16 : 256),
      portalIndex: random.chance(80) ? random.below(2) : edge(random) & 0xff,
      flags: random.chance(90) ? random.below(2) : random.next() & 0xff,
      jobId: random.chance(70) ? one(this.o.jobs) : edge(random),
      userId: random.chance(50) ? 1000 : edge(random),
      sourceNid: this.nid(),
      targetNid: this.o.target,
      sourcePid: random.chance(70) ? random.below(3) : edge(random) & 0xffff,
      targetPid: random.chance(80) ? one(this.o.pids) : edge(random) & 0xffff,
      requestId: random.chance(50) ? BigInt(random.below(8)) + (BigInt(random.below(64)) << 16n) : wide(random),
      matchBits: random.chance(50) ? BigInt((1 + random.below(3)) << 16) : wide(random),
      remoteOffset: wide(random),
      headerData: wide(random),
      cause: random.chance(60) ? 0 : edge(random),
      body: changed,
    });
  }
}
