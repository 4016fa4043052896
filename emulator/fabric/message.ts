/**
 * Messages and their frames (layout and rules: kernel/abi/net.ts): fragments messages, checks frames, reassembles
 * fragments. This file knows no time, and sequence numbers only as fields to write. All input is bytes from a wire:
 * every length is checked before it is used, and no input throws.
 */
import {
  DropReason,
  EthernetHeader,
  ETHERTYPE_MARGAY,
  MAC_PREFIX_0,
  MAC_PREFIX_1,
  MAC_PREFIX_2,
  MAX_FRAGMENT_BYTES,
  MAX_MESSAGE_BYTES,
  MESSAGE_VERSION,
  MessageFlag,
  MessageHeader,
  Operation,
} from "../abi/net.ts";
import { crc32c } from "./crc32c.ts";

export interface Message {
  readonly operation: number;
  readonly portalIndex: number;
  readonly flags: number;
  readonly jobId: number;
  readonly userId: number;
  readonly sourceNid: number;
  readonly targetNid: number;
  readonly sourcePid: number;
  readonly targetPid: number;
  readonly requestId: bigint;
  readonly matchBits: bigint;
  readonly remoteOffset: bigint;
  readonly headerData: bigint;
  readonly cause: number;
  readonly body: Uint8Array;
}
const NOTHING = new Uint8Array(0);
const blank: Message = {
  operation: Operation.ACKNOWLEDGE,
  portalIndex: 0,
  flags: 0,
  jobId: 0,
  userId: 0,
  sourceNid: 0,
  targetNid: 0,
  sourcePid: 0,
  targetPid: 0,
  requestId: 0n,
  matchBits: 0n,
  remoteOffset: 0n,
  headerData: 0n,
  cause: 0,
  body: NOTHING,
};
/** A message; the fields not given are 0. */
export function message(fields: Partial<Message> & { readonly operation: number }): Message {
  return { ...blank, ...fields };
}
/** A reply to `request`: its address, and the fields that a reply echoes (request id, job, match bits, portal). */
export function replyTo(request: Message, fields: Partial<Message> & { readonly operation: number }): Message {
  return message({
    sourceNid: request.targetNid,
    sourcePid: request.targetPid,
    targetNid: request.sourceNid,
    targetPid: request.sourcePid,
    jobId: request.jobId,
    userId: request.userId,
    requestId: request.requestId,
    matchBits: request.matchBits,
    portalIndex: request.portalIndex,
    ...fields,
  });
}

export const HEADERS_BYTES = EthernetHeader.SIZE + MessageHeader.SIZE;
const CRC_OFFSET = EthernetHeader.SIZE + MessageHeader.OFFSETS.crc;

export function macOf(nid: number): Uint8Array {
  return Uint8Array.of(MAC_PREFIX_0, MAC_PREFIX_1, MAC_PREFIX_2, (nid >>> 16) & 0xff, (nid >>> 8) & 0xff, nid & 0xff);
}

function isMacOf(address: Uint8Array, nid: number): boolean {
  const number = (address[3]! << 16) | (address[4]! << 8) | address[5]!;
  return address[0] === MAC_PREFIX_0 && address[1] === MAC_PREFIX_1 && address[2] === MAC_PREFIX_2 && number === nid;
}

/**
 * The frames of a message, in order, without sequence, acknowledgement and CRC: `seal` writes those each time a frame
 * is sent.
 */
export function fragment(m: Message): Uint8Array[] {
  const frames: Uint8Array[] = [];
  if (m.body.length > MAX_MESSAGE_BYTES)
    throw new RangeError(`fabric: message of ${m.body.length} bytes, at most ${MAX_MESSAGE_BYTES}`);
  let offset = 0;
  do {
    const bytes = Math.min(MAX_FRAGMENT_BYTES, m.body.length - offset);
    const frame = new Uint8Array(HEADERS_BYTES + bytes);
    const view = new DataView(frame.buffer);
    const ethernet = new EthernetHeader(view);
    ethernet.destination.set(macOf(m.targetNid));
    ethernet.source.set(macOf(m.sourceNid));
    view.setUint16(EthernetHeader.OFFSETS.type, ETHERTYPE_MARGAY, false);
    const h = new MessageHeader(view, EthernetHeader.SIZE);
    h.version = MESSAGE_VERSION;
    h.operation = m.operation;
    h.portalIndex = m.portalIndex;
    h.flags = m.flags;
    h.jobId = m.jobId;
    h.userId = m.userId;
    h.sourceNid = m.sourceNid;
    h.targetNid = m.targetNid;
    h.sourcePid = m.sourcePid;
    h.targetPid = m.targetPid;
    h.requestId = m.requestId;
    h.matchBits = m.matchBits;
    h.remoteOffset = m.remoteOffset;
    h.headerData = m.headerData;
    h.fragmentBytes = bytes;
    h.totalBytes = m.body.length;
    h.fragmentOffset = offset;
    h.cause = m.cause;
    frame.set(m.body.subarray(offset, offset + bytes), HEADERS_BYTES);
    frames.push(frame);
    offset += bytes;
  } while (offset < m.body.length);
  return frames;
}

/** Completes a frame for transmission. */
export function seal(frame: Uint8Array, sequence: number, acknowledgement: number, selective = 0): void {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const h = new MessageHeader(view, EthernetHeader.SIZE);
  h.sequence = sequence;
  h.acknowledgement = acknowledgement;
  h.selective = selective;
  h.crc = 0;
  h.crc = crc32c(frame.subarray(EthernetHeader.SIZE));
}

/** An unsealed frame that carries an acknowledgement only. */
export function acknowledgeFrame(sourceNid: number, targetNid: number): Uint8Array {
  return fragment(message({ operation: Operation.ACKNOWLEDGE, sourceNid, targetNid }))[0]!;
}

export interface ParsedFrame {
  readonly header: MessageHeader;
  readonly body: Uint8Array;
}

/** Checks a whole received frame. The result refers to the frame's bytes. */
export function parse(frame: Uint8Array, ownNid: number): ParsedFrame | number {
  if (frame.length < HEADERS_BYTES) return DropReason.NOT_OURS;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint16(EthernetHeader.OFFSETS.type, false) !== ETHERTYPE_MARGAY) return DropReason.NOT_OURS;
  const h = new MessageHeader(view, EthernetHeader.SIZE);
  if (h.version !== MESSAGE_VERSION) return DropReason.VERSION;
  if (h.fragmentBytes > MAX_FRAGMENT_BYTES || h.totalBytes > MAX_MESSAGE_BYTES) return DropReason.LENGTHS;
  if (h.fragmentBytes !== frame.length - HEADERS_BYTES) return DropReason.LENGTHS;
  if (h.fragmentOffset > h.totalBytes || h.fragmentBytes > h.totalBytes - h.fragmentOffset) return DropReason.LENGTHS;
  if (h.totalBytes > 0 && h.fragmentBytes === 0) return DropReason.LENGTHS;
  if (h.targetNid !== ownNid || h.sourceNid === ownNid) return DropReason.NID;
  const { source, destination } = new EthernetHeader(view);
  if (!isMacOf(source, h.sourceNid) || !isMacOf(destination, ownNid)) return DropReason.NID;
  const crc = h.crc;
  view.setUint32(CRC_OFFSET, 0, true);
  const computed = crc32c(frame.subarray(EthernetHeader.SIZE));
  view.setUint32(CRC_OFFSET, crc, true);
  if (computed !== crc) return DropReason.CRC;
  return { header: h, body: frame.subarray(HEADERS_BYTES) };
}

/** What a receiver accepts. */
export interface ReassemblyLimits {
  /** Longest body that a message of this operation may have; undefined: the operation is not for this receiver. */
  mostBytes(operation: number): number | undefined;
}
export const noLimits: ReassemblyLimits = { mostBytes: () => MAX_MESSAGE_BYTES };
const KNOWN_FLAGS: number = MessageFlag.ACK_WANTED;

/**
 * Reassembles the fragments of one peer: they arrive in order, one message after the other. An incomplete message is
 * discarded when the next one begins, or at its deadline.
 */
export class Reassembly {
  private body: Uint8Array = NOTHING;
  private gotBytes = 0;
  private first: MessageHeader | null = null;
  private refused = false;
  /** When `giveUp` must be called; Infinity: no message is incomplete. */
  deadline = Infinity;

  constructor(private readonly limits: ReassemblyLimits = noLimits) {}

  /**
   * Returns the message that this frame completes, null if more frames must follow, or why the frame was refused:
   * FRAGMENT (the message is discarded) or OPERATION (it is not accepted, and its remaining frames are skipped).
   */
  accept({ header: h, body }: ParsedFrame, deadline = Infinity): Message | null | number {
    let result: number | null = null;
    if (h.fragmentOffset === 0) {
      this.giveUp();
      this.refused = (h.flags & ~KNOWN_FLAGS) !== 0 || h.totalBytes > (this.limits.mostBytes(h.operation) ?? -1);
      if (this.refused) result = DropReason.OPERATION;
      else if (h.fragmentBytes === h.totalBytes) return toMessage(h, body.slice());
      else this.body = new Uint8Array(h.totalBytes);
      this.first = h;
    } else if (this.first === null || !sameMessage(this.first, h) || h.fragmentOffset !== this.gotBytes) {
      this.giveUp();
      return DropReason.FRAGMENT;
    }
    if (!this.refused) this.body.set(body, this.gotBytes);
    this.gotBytes += body.length;
    this.deadline = deadline;
    if (this.gotBytes < h.totalBytes) return result;
    const whole = this.refused ? result : toMessage(h, this.body);
    this.giveUp();
    return whole;
  }
  giveUp(): void {
    this.first = null;
    this.body = NOTHING;
    this.gotBytes = 0;
    this.deadline = Infinity;
  }
}
/** True if all fields that identify the message agree; the source nid is the peer's, the target ours. */
const sameMessage = (a: MessageHeader, b: MessageHeader): boolean =>
  a.operation === b.operation &&
  a.portalIndex === b.portalIndex &&
  a.flags === b.flags &&
  a.jobId === b.jobId &&
  a.userId === b.userId &&
  a.sourcePid === b.sourcePid &&
  a.targetPid === b.targetPid &&
  a.requestId === b.requestId &&
  a.matchBits === b.matchBits &&
  a.remoteOffset === b.remoteOffset &&
  a.headerData === b.headerData &&
  a.totalBytes === b.totalBytes &&
  a.cause === b.cause;

/** A message without its body. */
export function headOf(h: MessageHeader): Message {
  return toMessage(h, NOTHING);
}
function toMessage(h: MessageHeader, body: Uint8Array): Message {
  return {
    operation: h.operation,
    portalIndex: h.portalIndex,
    flags: h.flags,
    jobId: h.jobId,
    userId: h.userId,
    sourceNid: h.sourceNid,
    targetNid: h.targetNid,
    sourcePid: h.sourcePid,
    targetPid: h.targetPid,
    requestId: h.requestId,
    matchBits: h.matchBits,
    remoteOffset: h.remoteOffset,
    headerData: h.headerData,
    cause: h.cause,
    body,
  };
}
