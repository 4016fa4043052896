/**
 * The fifteen steps of a two-phase job load (telecon of 2007-03-29; ARCHITECTURE.md section 5) as stretches of time on
 * their nodes, found in the events of a trace. Steps 1 to 3 take no virtual time, because the service node is the host.
 * A step that the trace does not show (a selection, a failed load) has no stretch.
 */
import { EventKind } from "../abi/events.ts";
import { InitMatch } from "../abi/job.ts";
import { Operation, SERVICE_NID } from "../abi/net.ts";
import { Syscall } from "../abi/syscalls.ts";
import type { TraceEvent } from "./tracer.ts";

/** By number; 0 is no step. */
// biome-ignore format: a table
export const stepNames: readonly string[] = [
  "",
  "map the init image",                          // service node
  "append the nid map and parameters",           // service node
  "append program, argv and envp",               // service node
  "PUT the load message to rank 0",              // service node
  "create the task, ACK, run_user()",            // kernel of rank 0
  "GET the executable from the file system",     // init of rank 0
  "compute the fan-out tree",                    // init
  "PUT the load message to the children",        // init
  "create the task, ACK, run_user()",            // kernels of the children
  "GET the executable from the parent",          // init of the children
  "fan the status in",                           // init
  "PUT the status to the service node",          // init of rank 0
  "PUT go to rank 0",                            // service node
  "fan go out",                                  // init
  "jump into main()",                            // every rank
];

export interface Step {
  readonly step: number;
  readonly nid: number;
  readonly job: number;
  readonly start: number;
  end: number;
}

/** State of a node from its LOAD to the start of its program. */
interface Loading {
  readonly job: number;
  readonly isRoot: boolean;
  readonly setup: Step;
  /** By number; steps in progress or completed here. */
  readonly steps: Map<number, Step>;
  /** When the last call of init before it computed the tree returned. */
  treeFrom: number | undefined;
  goReceived: number | undefined;
}

const MATCH_MASK = 0xffff_0000n;

/** Ascending by start. `events` in the order of the trace. */
export function jobSteps(events: Iterable<TraceEvent>): readonly Step[] {
  const steps: Step[] = [];
  const loading = new Map<number, Loading>();
  /** Sent and not arrived: "step:from>to". */
  const underWay = new Map<string, Step>();
  const begin = (step: number, nid: number, job: number, time: number): Step => {
    const made = { step, nid, job, start: time, end: time };
    steps.push(made);
    return made;
  };
  /** Extends the stretch of `step` at a loading node to `time`; starts it if necessary. */
  const extend = (l: Loading, step: number, nid: number, time: number): Step => {
    let s = l.steps.get(step);
    if (s === undefined) l.steps.set(step, (s = begin(step, nid, l.job, time)));
    s.end = Math.max(s.end, time);
    return s;
  };
  const arrive = (key: string, time: number): void => {
    const s = underWay.get(key);
    if (s !== undefined) s.end = Math.max(s.end, time);
    underWay.delete(key);
  };
  const sent = (e: TraceEvent, l: Loading, operation: number, to: number, match: number): void => {
    const { nid, time } = e;
    if (operation === Operation.IO_REQUEST && l.isRoot && !l.steps.has(8) && !l.steps.has(12)) extend(l, 6, nid, time);
    else if (operation === Operation.LOAD) underWay.set(`8:${nid}>${to}`, extend(l, 8, nid, time));
    else if (operation === Operation.GET && match === InitMatch.PROGRAM) extend(l, 10, nid, time);
    else if (operation === Operation.PUT && match === InitMatch.STATUS)
      underWay.set(`${to === SERVICE_NID ? 12 : 11}:${nid}>${to}`, extend(l, to === SERVICE_NID ? 12 : 11, nid, time));
    else if (operation === Operation.PUT && match === InitMatch.GO)
      underWay.set(`14:${nid}>${to}`, extend(l, 14, nid, time));
  };
  const received = (e: TraceEvent, l: Loading | undefined, operation: number, from: number, match: number): void => {
    const { nid, time } = e;
    if (operation === Operation.PUT && match === InitMatch.STATUS)
      arrive(`${nid === SERVICE_NID ? 12 : 11}:${from}>${nid}`, time);
    if (l === undefined) return;
    if (operation === Operation.IO_REPLY && l.steps.has(6) && !l.steps.has(8) && !l.steps.has(12))
      extend(l, 6, nid, time);
    else if (operation === Operation.GET_REPLY && match === InitMatch.PROGRAM) extend(l, 10, nid, time);
    else if (operation === Operation.PUT && match === InitMatch.GO) {
      arrive(`${from === SERVICE_NID ? 13 : 14}:${from}>${nid}`, time);
      l.goReceived = time;
    }
  };

  for (const event of events) {
    const { kind, nid, time, words } = event;
    const word = (i: number): number => Number(words[i] ?? 0);
    const l = loading.get(nid);
    switch (kind) {
      case EventKind.SERVICE_LOAD:
        for (const step of [1, 2, 3]) begin(step, nid, word(0), time);
        underWay.set(`4:${nid}>${word(1)}`, begin(4, nid, word(0), time));
        break;
      case EventKind.JOB_LOAD: {
        const isRoot = word(1) === SERVICE_NID;
        arrive(`${isRoot ? 4 : 8}:${word(1)}>${nid}`, time);
        const setup = begin(isRoot ? 5 : 9, nid, word(0), time);
        loading.set(nid, { job: word(0), isRoot, setup, steps: new Map(), treeFrom: undefined, goReceived: undefined });
        break;
      }
      case EventKind.JOB_REFUSE:
        if (l !== undefined) l.setup.end = time;
        loading.delete(nid);
        break;
      case EventKind.JOB_RUN_USER:
        if (l !== undefined) l.setup.end = time;
        break;
      // Init knows its place once it has asked for the nid; it computes the tree before its next call.
      case EventKind.SYS_EXIT:
        if (l !== undefined && word(0) === Syscall.MARGAY_NID) l.treeFrom = time;
        break;
      case EventKind.SYS_ENTER:
        if (l?.treeFrom !== undefined && !l.steps.has(7)) {
          const tree = begin(7, nid, l.job, l.treeFrom);
          tree.end = time;
          l.steps.set(7, tree);
        }
        break;
      case EventKind.MSG_SEND:
        if (l !== undefined) sent(event, l, word(0), word(1), matchOf(words[3]));
        break;
      case EventKind.MSG_RECEIVE:
        received(event, l, word(0), word(1), matchOf(words[3]));
        break;
      case EventKind.SERVICE_GO:
        underWay.set(`13:${nid}>${word(1)}`, begin(13, nid, word(0), time));
        break;
      case EventKind.JOB_START:
        if (l?.goReceived !== undefined) begin(15, nid, l.job, l.goReceived).end = time;
        loading.delete(nid);
        break;
    }
  }
  return steps.sort((a, b) => a.start - b.start || a.step - b.step || a.nid - b.nid);
}

/** Kind of init's message: InitMatch without the index in its low half; 0 = none. */
function matchOf(word: number | bigint | string | undefined): number {
  const value = word === undefined || typeof word === "string" ? 0n : BigInt.asUintN(64, BigInt(word));
  return value >> 32n === 0n ? Number(value & MATCH_MASK) : 0;
}
