/**
 * nid 0 on the fabric: runs the reliable messages and hands each message to the service that its target pid names
 * (pid 1 service node, pid 2 I/O node). A message for nobody is answered where its sender waits for an answer.
 */
import { EventKind } from "../abi/events.ts";
import { Cause, MessageFlag, Operation, SERVICE_NID } from "../abi/net.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import type { Endpoint, SendFrame } from "./endpoint.ts";
import { replyTo, type Message } from "./message.ts";
import { Reliable, type ReliableOptions } from "./reliable.ts";

/** What runs at a pid of nid 0. */
export interface HostService {
  receive(message: Message, time: number): void;
  /** Virtual time at which `tick` wants to be called; Infinity = never. */
  readonly nextTimer: number;
  tick(time: number): void;
  /** The node was given up: nothing sent to it arrives any more. */
  unreachable(nid: number, time: number): void;
}
/** What a service needs of the host. The message's source is filled in. */
export type SendMessage = (message: Message, time: number) => void;

export class FabricHost implements Endpoint {
  readonly reliable: Reliable;
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
        unreachable: (nid, time) => this.lost.push({ nid, time }),
      },
      options,
    );
  }

  /** A service at a pid. Later messages for the pid go to it; the answer is how it sends. */
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
    const answer = refusal(message);
    if (answer !== null) this.send(answer, time);
  }

  /** After the state machine has returned, so that a service may send from within. */
  private tellLost(): void {
    for (let l = this.lost.shift(); l !== undefined; l = this.lost.shift()) {
      for (const s of this.services.values()) s.unreachable(l.nid, l.time);
    }
  }
}

/** The refusal that the sender of a PUT or GET waits for; null where nobody waits. */
export function refusal(message: Message, cause: number = Cause.NO_MATCH): Message | null {
  if (message.operation === Operation.PUT && message.flags & MessageFlag.ACK_WANTED)
    return replyTo(message, { operation: Operation.PUT_ACK, cause });
  if (message.operation === Operation.GET) return replyTo(message, { operation: Operation.GET_REPLY, cause });
  return null;
}
