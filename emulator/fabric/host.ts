/**
 * nid 0 on the fabric: runs the reliable messages and passes each message to the service at its target pid (pid 1
 * service node, pid 2 I/O node). A message to a pid without a service is answered if its sender waits for an answer.
 */
import { EventKind } from "../abi/events.ts";
import { Cause, MessageFlag, Operation, SERVICE_NID } from "../abi/net.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import type { Endpoint, SendFrame } from "./endpoint.ts";
import { IoRequest, IO_DATA_MAX_BYTES } from "../abi/io.ts";
import { CoreReport, ExitNotice, LoadStatus, MAX_RANKS } from "../abi/job.ts";
import { Personality } from "../abi/personality.ts";
import { replyTo, type Message } from "./message.ts";
import { Reliable, type ReliableOptions } from "./reliable.ts";

/** A service at a pid of nid 0. */
export interface HostService {
  receive(message: Message, time: number): void;
  /** Virtual time of the next call of `tick`; Infinity = never. */
  readonly nextTimer: number;
  tick(time: number): void;
  /** The node is unreachable: nothing sent to it arrives any more. */
  unreachable(nid: number, time: number): void;
}
/** The host's `send` for a service. It fills in the message's source. */
export type SendMessage = (message: Message, time: number) => void;

/** Longest text of a STATUS_REPLY (kernel/job/status.ts). */
const STATUS_TEXT_BYTES = 32768;
/** Operations that nid 0 accepts, and the longest body of each. */
// biome-ignore format: a table
const mostBytes: ReadonlyMap<number, number> = new Map<number, number>([
  [Operation.ACKNOWLEDGE,  0],
  [Operation.LOAD_REPLY,   0],
  [Operation.STATUS_REPLY, STATUS_TEXT_BYTES],
  [Operation.KILL_REPLY,   0],
  [Operation.EXIT_NOTICE,  ExitNotice.SIZE],
  [Operation.READY,        Personality.SIZE],
  [Operation.PUT,          LoadStatus.SIZE + 4 * MAX_RANKS],
  [Operation.PUT_ACK,      0],
  [Operation.GET,          0],
  [Operation.IO_REQUEST,   IoRequest.SIZE + IO_DATA_MAX_BYTES],
  [Operation.CORE_REPORT,  CoreReport.SIZE],
  [Operation.IO_CANCEL,    0],
]);

export class FabricHost implements Endpoint {
  readonly reliable: Reliable;
  /** How many tasks the job has on that node, at most. The service node sets this; by default one. */
  tasksOf: (nid: number, jobId: number) => number = () => 1;
  private readonly services = new Map<number, HostService>();
  private readonly lost: { nid: number; time: number }[] = [];

  constructor(
    send: SendFrame,
    private readonly trace: TraceSink = noTrace,
    options: ReliableOptions = {},
  ) {
    this.reliable = new Reliable(
      SERVICE_NID,
      {
        send,
        deliver: (message, time) => this.deliver(message, time),
        dropped: (from, sequence, reason, time) =>
          this.trace.emit(SERVICE_NID, -1, time, EventKind.MSG_DROP, [from, sequence, reason]),
        resent: (to, sequence, frames, time) =>
          this.trace.emit(SERVICE_NID, -1, time, EventKind.MSG_RESEND, [to, sequence, frames]),
        refused: (message, time) => this.refuse(message, Cause.BAD_REQUEST, time),
        unreachable: (nid, time) => this.lost.push({ nid, time }),
      },
      { ...options, limits: { mostBytes: (operation) => mostBytes.get(operation) } },
    );
  }

  /** Attaches a service to a pid: it gets all later messages for that pid. Returns its send function. */
  attach(pid: number, service: HostService): SendMessage {
    if (this.services.has(pid)) throw new Error(`fabric host: pid ${pid} is taken`);
    this.services.set(pid, service);
    return (message, time) => this.send({ ...message, sourceNid: SERVICE_NID, sourcePid: pid }, time);
  }

  receive(frame: Uint8Array, time: number): void {
    this.reliable.receive(frame, time);
    this.tellLost();
  }

  get nextTimer(): number {
    let earliest = Math.min(this.reliable.nextTimer, this.lost[0]?.time ?? Infinity);
    for (const s of this.services.values()) earliest = Math.min(earliest, s.nextTimer);
    return earliest;
  }

  tick(time: number): void {
    this.reliable.tick(time);
    this.tellLost();
    for (const s of this.services.values()) if (s.nextTimer <= time) s.tick(time);
  }

  private send(message: Message, time: number): void {
    if (this.trace.enabled) {
      this.trace.emit(SERVICE_NID, -1, time, EventKind.MSG_SEND, [
        message.operation,
        message.targetNid,
        message.body.length,
        message.matchBits,
      ]);
    }
    if (!this.reliable.send(message, time)) this.lost.push({ nid: message.targetNid, time });
  }

  private deliver(message: Message, time: number): void {
    if (this.trace.enabled) {
      const words = [message.operation, message.sourceNid, message.body.length, message.matchBits];
      this.trace.emit(SERVICE_NID, -1, time, EventKind.MSG_RECEIVE, words);
    }
    const service = this.services.get(message.targetPid);
    if (service !== undefined) {
      service.receive(message, time);
      return;
    }
    this.refuse(message, Cause.NO_MATCH, time);
  }
  private refuse(message: Message, cause: number, time: number): void {
    const answer = refusal(message, cause);
    if (answer !== null) this.send(answer, time);
  }

  /** Called after the state machine has returned, so that a service may send from within the callback. */
  private tellLost(): void {
    for (let l = this.lost.shift(); l !== undefined; l = this.lost.shift()) {
      for (const s of this.services.values()) s.unreachable(l.nid, l.time);
    }
  }
}

/** The operation of the reply to each request that nid 0 does not serve. */
const replies: ReadonlyMap<number, number> = new Map<number, number>([
  [Operation.LOAD, Operation.LOAD_REPLY],
  [Operation.STATUS, Operation.STATUS_REPLY],
  [Operation.KILL, Operation.KILL_REPLY],
  [Operation.GET, Operation.GET_REPLY],
]);
/** The refusal that the sender of a request waits for; null if it does not wait. */
export function refusal(request: Message, cause: number = Cause.NO_MATCH): Message | null {
  const acknowledged = request.operation === Operation.PUT && (request.flags & MessageFlag.ACK_WANTED) !== 0;
  const operation = acknowledged ? Operation.PUT_ACK : replies.get(request.operation);
  return operation === undefined ? null : replyTo(request, { operation, cause });
}
