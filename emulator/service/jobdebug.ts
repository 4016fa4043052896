/**
 * The service node's end of job debugging (kernel/abi/jobdebug.ts): requests to the kernels, replies and events, over
 * the management network. A state machine without sockets or clock: the caller posts the messages and runs the machine.
 */
import { DEBUG_BODY_BYTES, DEBUG_MAGIC, DebugMessage, DebugOperation } from "../abi/jobdebug.ts";

/** From the host to a node's mailbox; assumed, like the fabric's latency, and not below it. */
export const MANAGEMENT_LATENCY_NS = 10_000;

export interface DebugRequest {
  readonly jobId: number;
  readonly operation: number;
  /** Of the task; default 0. */
  readonly rank?: number;
  /** 0: all threads, where the operation allows it. */
  readonly tid?: number;
  readonly address?: bigint;
  readonly count?: number;
  readonly signal?: number;
  /** At most DEBUG_BODY_BYTES. */
  readonly body?: Uint8Array;
}
export interface DebugReply {
  /** 0 or an errno. */
  readonly errno: number;
  readonly count: number;
  readonly body: Uint8Array;
  /** When the node sent it, virtual ns. */
  readonly time: number;
}
/** An event that a node reports. */
export type DebugEvent =
  | {
      readonly kind: "stopped";
      readonly nid: number;
      readonly jobId: number;
      readonly rank: number;
      readonly tid: number;
      readonly address: bigint;
      readonly signal: number;
      /** DebugReason. */
      readonly reason: number;
      /** Number of the system call at whose begin or end it stopped; 0 elsewhere. */
      readonly call: number;
      /** When the node sent it, virtual ns. */
      readonly time: number;
    }
  /** The task has ended; `waitStatus` in Linux's format. */
  | {
      readonly kind: "ended";
      readonly nid: number;
      readonly jobId: number;
      readonly rank: number;
      readonly waitStatus: number;
    };

/** Filled in when the reply arrives. */
export interface Pending {
  reply: DebugReply | undefined;
}

export class JobDebugLink {
  /** In order of arrival; the reader removes them. */
  readonly events: DebugEvent[] = [];
  private readonly pending = new Map<string, Pending>();
  private lastId = 0;

  constructor(private readonly post: (nid: number, message: Uint8Array) => void) {}

  /** @throws RangeError if the body is too long. */
  request(
    nid: number,
    { jobId, operation, rank = 0, tid = 0, address = 0n, count = 0, signal = 0, body }: DebugRequest,
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
    head.rank = rank;
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

  /** Takes a message from a node's mailbox; foreign messages are dropped. */
  receive(nid: number, message: Uint8Array, time: number): void {
    if (message.length < DebugMessage.SIZE) return;
    const head = new DebugMessage(new DataView(message.buffer, message.byteOffset));
    if (head.magic !== DEBUG_MAGIC || DebugMessage.SIZE + head.bodyBytes !== message.length) return;
    const { jobId, rank, tid, address, signal, reason, count } = head;
    if (head.operation === DebugOperation.STOPPED)
      this.events.push({ kind: "stopped", nid, jobId, rank, tid, address, signal, reason, call: count, time });
    else if (head.operation === DebugOperation.ENDED)
      this.events.push({ kind: "ended", nid, jobId, rank, waitStatus: count });
    else {
      const key = `${nid}.${head.requestId}`;
      const pending = this.pending.get(key);
      if (pending !== undefined)
        pending.reply = { errno: head.errno, count, body: message.slice(DebugMessage.SIZE), time };
      this.pending.delete(key);
    }
  }
}
