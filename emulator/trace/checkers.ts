/**
 * What must hold in every trace (ARCHITECTURE.md section 7): one EOI per APIC interrupt and none for exceptions; every
 * shootdown acknowledged before its frame is reused; every message delivered once, in order; every load answered; no
 * device error. Each checker is a state machine over the ordered events; a violation is one line that names the event.
 * Skew: the cores of a node run a quantum one after the other, so a core may read "early" in a quantum what another
 * wrote "late" in it. Between cores, times that differ by less than a quantum do not determine the order; the checkers
 * allow for it.
 */
import { EventKind } from "../abi/events.ts";
import { Operation } from "../abi/net.ts";
import { Vector } from "../abi/vectors.ts";
import { DEFAULT_QUANTUM_NS } from "../machine/clock.ts";
import { vectorName } from "./decode.ts";
import { fullLine } from "./format.ts";
import type { TraceConsumer, TraceEvent } from "./tracer.ts";

type Report = (text: string, event?: TraceEvent) => void;
interface Checker {
  event(event: TraceEvent, report: Report): void;
  /** `complete`: the run ended by itself, so nothing may be left in flight. */
  end(report: Report, complete: boolean): void;
}

const word = (event: TraceEvent, index: number): number => Number(event.words[index] ?? 0);

/** Interrupts in service on each core form a stack. Each is removed by exactly one EOI, before its handler ends. */
class EoiChecker implements Checker {
  private readonly stacks = new Map<string, { readonly delivered: TraceEvent; exited: boolean }[]>();

  event(event: TraceEvent, report: Report): void {
    const key = `${event.nid}.${event.core}`;
    const stack = this.stacks.get(key) ?? [];
    this.stacks.set(key, stack);
    if (event.core < 0) return;
    const top = stack.at(-1);
    const vector = word(event, 0);
    if (event.kind === EventKind.IRQ_EOI) {
      if (top === undefined) report("EOI with no interrupt in service", event);
      else if (word(top.delivered, 0) !== vector)
        report(`EOI of ${vectorName(vector)} while ${vectorName(word(top.delivered, 0))} is in service`, event);
      else stack.pop();
      return;
    }
    if (top?.exited === true) {
      report(`${vectorName(word(top.delivered, 0))} was handled without an EOI`, top.delivered);
      stack.pop();
    }
    // biome-ignore format: one case a row
    switch (event.kind) {
      case EventKind.CORE_INIT: stack.length = 0; return;
      case EventKind.IRQ_DELIVER: stack.push({ delivered: event, exited: false }); return;
      case EventKind.IRQ_EXIT: {
        const open = stack.at(-1);
        if (open !== undefined && word(open.delivered, 0) === vector) open.exited = true;
      }
    }
  }

  end(report: Report): void {
    for (const stack of this.stacks.values()) {
      for (const { delivered, exited } of stack)
        if (exited) report(`${vectorName(word(delivered, 0))} was handled without an EOI`, delivered);
    }
  }
}

interface Request {
  readonly sent: TraceEvent[];
  readonly flushed: Set<number>;
  acknowledged: boolean;
}
/** A shootdown with request id: sent, flushed by every target, acknowledged; only then are its frames free. */
class ShootdownChecker implements Checker {
  private readonly requests = new Map<string, Request>();
  /** Claims that all targets have flushed, checked once the skew cannot hide a flush any more. */
  private claims: { readonly event: TraceEvent; readonly request: Request; readonly what: string }[] = [];

  constructor(private readonly skewNs: number) {}

  event(event: TraceEvent, report: Report): void {
    this.settle(event.time - this.skewNs, report);
    // biome-ignore format: one case a row
    switch (event.kind) {
      case EventKind.IPI_SEND:
        if (word(event, 1) === Vector.TLB_SHOOTDOWN) this.request(event.nid, word(event, 2)).sent.push(event);
        return;
      case EventKind.TLB_FLUSH: this.request(event.nid, word(event, 0)).flushed.add(event.core); return;
      case EventKind.IPI_ACKED: {
        const id = word(event, 0);
        const request = this.requests.get(`${event.nid}:${id}`);
        if (request === undefined) return;
        request.acknowledged = true;
        this.claims.push({ event, request, what: `shootdown ${id} counts as acknowledged` });
        return;
      }
      case EventKind.FRAME_FREE: {
        const id = word(event, 0);
        // id 0: the address space was active on no other core.
        if (id === 0) return;
        const request = this.requests.get(`${event.nid}:${id}`);
        if (request === undefined) report(`frames freed by shootdown ${id}, which was never sent`, event);
        else if (!request.acknowledged) report(`frames freed before shootdown ${id} was acknowledged`, event);
        else this.claims.push({ event, request, what: `frames freed by shootdown ${id}` });
      }
    }
  }

  end(report: Report, complete: boolean): void {
    this.settle(Number.POSITIVE_INFINITY, report);
    if (!complete) return;
    for (const { sent, acknowledged } of this.requests.values())
      if (sent.length > 0 && !acknowledged) report("shootdown never acknowledged", sent[0]);
  }

  private request(nid: number, id: number): Request {
    const key = `${nid}:${id}`;
    let found = this.requests.get(key);
    if (found === undefined) this.requests.set(key, (found = { sent: [], flushed: new Set(), acknowledged: false }));
    return found;
  }

  private settle(before: number, report: Report): void {
    while (this.claims.length > 0 && this.claims[0].event.time < before) {
      const { event, request, what } = this.claims.shift()!;
      for (const sent of request.sent)
        if (!request.flushed.has(word(sent, 0))) report(`${what}, but c${word(sent, 0)} has not flushed`, event);
    }
  }
}

/** For each ordered pair of nodes, the received messages are the sent ones, in order, without duplicates. */
class DeliveryChecker implements Checker {
  private readonly sent = new Map<string, TraceEvent[]>();

  constructor(private readonly skewNs: number) {}

  event(event: TraceEvent, report: Report): void {
    if (word(event, 0) === Operation.ACKNOWLEDGE) return;
    if (event.kind === EventKind.MSG_SEND) this.queue(event.nid, word(event, 1)).push(event);
    if (event.kind !== EventKind.MSG_RECEIVE) return;
    const queue = this.queue(word(event, 1), event.nid);
    const at = queue.findIndex(
      (sent) =>
        word(sent, 0) === word(event, 0) &&
        word(sent, 2) === word(event, 2) &&
        BigInt(sent.words[3]) === BigInt(event.words[3]),
    );
    if (at < 0) {
      report("message received that nobody sent, or received twice", event);
      return;
    }
    const [matched] = queue.splice(at, 1);
    const overtaken = queue.slice(0, at).find((sent) => sent.time + this.skewNs < matched.time);
    if (overtaken !== undefined) report(`message overtook the one sent at ${overtaken.time}`, event);
  }

  end(report: Report, complete: boolean): void {
    if (!complete) return;
    for (const queue of this.sent.values()) for (const event of queue) report("message never delivered", event);
  }

  private queue(from: number, to: number): TraceEvent[] {
    const key = `${from}>${to}`;
    let found = this.sent.get(key);
    if (found === undefined) this.sent.set(key, (found = []));
    return found;
  }
}

/** Each LOAD has one LOAD_REPLY from its target; the service node's loads have their replies. */
class LoadChecker implements Checker {
  private readonly open = new Map<string, TraceEvent[]>();

  event(event: TraceEvent, report: Report): void {
    const { kind, nid } = event;
    if (kind === EventKind.MSG_SEND && word(event, 0) === Operation.LOAD) this.ask(`${nid}>${word(event, 1)}`, event);
    else if (kind === EventKind.MSG_SEND && word(event, 0) === Operation.LOAD_REPLY)
      this.answer(`${word(event, 1)}>${nid}`, event, report);
    else if (kind === EventKind.SERVICE_LOAD) this.ask(`job ${word(event, 0)}>${word(event, 1)}`, event);
    else if (kind === EventKind.SERVICE_REPLY) this.answer(`job ${word(event, 0)}>${word(event, 1)}`, event, report);
  }

  end(report: Report, complete: boolean): void {
    if (!complete) return;
    for (const loads of this.open.values()) for (const event of loads) report("load never answered", event);
  }

  private ask(key: string, event: TraceEvent): void {
    this.open.set(key, [...(this.open.get(key) ?? []), event]);
  }
  private answer(key: string, event: TraceEvent, report: Report): void {
    if (this.open.get(key)?.shift() === undefined) report("answer to a load that is not open", event);
  }
}

/** Hardware was used as its manual requires. */
class DeviceErrorChecker implements Checker {
  event(event: TraceEvent, report: Report): void {
    if (event.kind === EventKind.DEVICE_ERROR) report("device error", event);
  }
  end(): void {}
}

/** All checkers over one trace. They need all kinds of events, unfiltered. */
export class Checkers implements TraceConsumer {
  readonly violations: string[] = [];
  private readonly checkers: readonly Checker[];

  constructor(quantumNs = DEFAULT_QUANTUM_NS) {
    this.checkers = [
      new EoiChecker(),
      new ShootdownChecker(quantumNs),
      new DeliveryChecker(quantumNs),
      new LoadChecker(),
      new DeviceErrorChecker(),
    ];
  }
  private readonly report: Report = (text, event) => {
    this.violations.push(event === undefined ? text : `${text}: ${fullLine(event).trim()}`);
  };

  event(event: TraceEvent): void {
    for (const checker of this.checkers) checker.event(event, this.report);
  }

  /** Call once, after the last event. `complete`: the run ended by itself ("idle", or after the last exit notice). */
  finish(complete: boolean): readonly string[] {
    for (const checker of this.checkers) checker.end(this.report, complete);
    return this.violations;
  }
}

export function checkTrace(events: readonly TraceEvent[], complete: boolean): readonly string[] {
  const checkers = new Checkers();
  for (const event of events) checkers.event(event);
  return checkers.finish(complete);
}
