/**
 * The service node's end of a job's debugging (kernel/abi/jobdebug.ts): requests to the kernels and what comes back,
 * over the management network. A state machine without sockets and without a clock: the caller posts what it is given
 * and lets the machine go on.
 */
import { DEBUG_BODY_BYTES, DEBUG_MAGIC, DebugMessage, DebugOperation } from "../abi/jobdebug.ts";

/** From the host to a node's mailbox; an assumption like the fabric's latency, and not below it. */
export const MANAGEMENT_LATENCY_NS = 10_000;

export interface DebugRequest {
  readonly jobId: number;
  readonly operation: number;
  /** 0: all threads, where the operation allows it. */
  readonly tid?: number;
  readonly address?: bigint;
  readonly count?: number;
  readonly signal?: number;
  /** At most DEBUG_BODY_BYTES. */
  readonly body?: Uint8Array;
}
export interface DebugReply {
  /** 0, or why not. */
  readonly errno: number;
  readonly count: number;
  readonly body: Uint8Array;
  /** When the node sent it, virtual ns. */
  readonly time: number;
}
/** What a node says of itself. */
export type DebugEvent =
  | {
      readonly kind: "stopped";
      readonly nid: number;
      readonly jobId: number;
      readonly tid: number;
      readonly address: bigint;
      readonly signal: number;
      /** DebugReason. */
      readonly reason: number;
      /** When the node sent it, virtual ns. */
      readonly time: number;
    }
  /** The task of the job on this node is over; `waitStatus` as Linux has it. */
  | { readonly kind: "ended"; readonly nid: number; readonly jobId: number; readonly waitStatus: number };

/** Filled when the reply has come. */
export interface Pending {
  reply: DebugReply | undefined;
}

export class JobDebugLink {
  /** In the order of their arrival; the reader takes them out. */
  readonly events: DebugEvent[] = [];
  private readonly pending = new Map<string, Pending>();
  private lastId = 0;

  constructor(private readonly post: (nid: number, message: Uint8Array) => void) {}

  /** @throws RangeError if the body is too long. */
  request(
    nid: number,
    { jobId, operation, tid = 0, address = 0n, count = 0, signal = 0, body }: DebugRequest,
  ): Pending {
    const bytes = body?.length ?? 0;
    if (bytes > DEBUG_BODY_BYTES)
      throw new RangeError(`debug request: body of ${bytes} bytes: at most ${DEBUG_BODY_BYTES}`);
    const message = new Uint8Array(DebugMessage.SIZE + bytes);
    const head = new DebugMessage(new DataView(message.buffer));
    this.lastId = (this.lastId + 1) >>> 0 || 1;
    head.magic = DEBUG_MAGIC;
    head.operation = operation;
    head.requestId = this.lastId;
    head.jobId = jobId;
    head.tid = tid;
    head.address = address;
    head.count = count;
    head.signal = signal;
    head.bodyBytes = bytes;
    if (body !== undefined) message.set(body, DebugMessage.SIZE);
    const pending: Pending = { reply: undefined };
    this.pending.set(`${nid}.${this.lastId}`, pending);
    this.post(nid, message);
    return pending;
  }

  /** A message from a node's mailbox; what is none of ours is dropped. */
  receive(nid: number, message: Uint8Array, time: number): void {
    if (message.length < DebugMessage.SIZE) return;
    const head = new DebugMessage(new DataView(message.buffer, message.byteOffset));
    if (head.magic !== DEBUG_MAGIC || DebugMessage.SIZE + head.bodyBytes !== message.length) return;
    const { jobId, tid, address, signal, reason, count } = head;
    if (head.operation === DebugOperation.STOPPED)
      this.events.push({ kind: "stopped", nid, jobId, tid, address, signal, reason, time });
    else if (head.operation === DebugOperation.ENDED)
      this.events.push({ kind: "ended", nid, jobId, waitStatus: count });
    else {
      const key = `${nid}.${head.requestId}`;
      const pending = this.pending.get(key);
      if (pending !== undefined)
        pending.reply = { errno: head.errno, count, body: message.slice(DebugMessage.SIZE), time };
      this.pending.delete(key);
    }
  }
}
