/**
 * Nodes that do not exist: frames that anything on the wire could send, in the order that the link's rules require, or
 * mutated. Replies never reach them.
 */
import { EthernetHeader, MessageHeader, Operation } from "../../emulator/abi/net.ts";
import { fragment, message, type Message, parse, seal } from "../../emulator/fabric/message.ts";
import { nextSequence } from "../../emulator/fabric/reliable.ts";
import type { Random } from "../fabric/random.ts";

export type Fields = Partial<Message> & { readonly operation: number };
/** Fields of a frame outside its message. */
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
  /** Acknowledges what the target has sent, up to this number. */
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

/** Values that often break parsers, for a field of any width. */
const EDGES = [
  0, 1, 2, 7, 8, 15, 16, 31, 32, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff,
];
const edge = (random: Random): number =>
  random.chance(60) ? EDGES[random.below(EDGES.length)]! : random.chance(50) ? random.below(64) : random.next();
const wide = (random: Random): bigint =>
  random.chance(70) ? BigInt(edge(random)) : (BigInt(random.next()) << 32n) | BigInt(random.next());

export interface FuzzOptions {
  readonly target: number;
  /** Forged source nids. */
  readonly nids: readonly number[];
  /**
   * If the target's answers cannot be seen: each nid is replaced by the next after so many frames, because sooner or
   * later it would have to acknowledge.
   */
  readonly framesOfNid?: number;
  readonly jobs: readonly number[];
  readonly pids: readonly number[];
  /** Bodies that are valid, or nearly. */
  readonly bodies: readonly Uint8Array[];
}

/**
 * Random frames to one target, most of them valid down to the CRC and in sequence, so that their contents are
 * processed: several nids, incomplete and mixed messages, unrequested replies, boundary values in every field; some
 * corrupted anywhere.
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

  /** A frame that the target has sent and wants acknowledged. */
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
    // If the receiver refuses the frame, it waits for the same sequence number again.
    if (inOrder && typeof parse(bytes, this.o.target) !== "number") this.sequences.set(nid, nextSequence(sequence));
    return bytes;
  }

  /** From time to time another nid replaces one that has been used up. */
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
