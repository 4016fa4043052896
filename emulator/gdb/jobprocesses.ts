/**
 * A job's processes as a debugger sees them: their threads, registers, memory and state, by requests to the kernels
 * (service/jobdebug.ts). A request runs the machine until its reply arrives. Rank r is process r + 1, whatever node it
 * is on; where `Target` and `DebugEvent` say nid, it is here the number of a process.
 */
import { Errno } from "../abi/errno.ts";
import {
  DEBUG_BODY_BYTES,
  DebugOperation,
  DebugReason,
  DebugRegion,
  DebugRegisters,
  DebugTask,
  DebugThread,
  DebugThreadState,
} from "../abi/jobdebug.ts";
import type { Machine } from "../machine/machine.ts";
import type { DebugEvent, DebugReply, DebugRequest, JobDebugLink } from "../service/jobdebug.ts";
import type { ProcessState } from "./process.ts";
import type { CoreId, TargetFile } from "./target.ts";

/** A kernel answers in microseconds; a thread in a shipped call stops when the call has returned. Virtual ns. */
const REPLY_NS = 1_000_000_000;
const PAGE = 0x1000n;

export interface JobOptions {
  readonly machine: Machine;
  readonly link: JobDebugLink;
  readonly jobId: number;
  /** By rank. */
  readonly nids: readonly number[];
  /** The program. */
  readonly files: readonly TargetFile[];
  readonly name: string;
  /** Where its relative paths start. */
  readonly workingDirectory: string;
}

export interface Thread {
  readonly tid: number;
  stopped: boolean;
  /** It has stopped at the entry of a system call: the instruction at its RIP comes after the call. */
  atCall: boolean;
  /** Read on demand, discarded when the thread resumes. */
  registers: Uint8Array | undefined;
}
export type Stopped = Extract<DebugEvent, { kind: "stopped" }>;

const processOf = (rank: number): number => rank + 1;
export const rankOf = (nid: number): number => nid - 1;

export class JobProcesses {
  readonly nids: readonly number[];
  /** By nid, by core. A rank whose task has ended has none. */
  readonly threads = new Map<number, Map<number, Thread>>();
  readonly ended = new Set<number>();
  /** Ranks without a debugger: their tasks run normally until the next debugger comes. */
  readonly free = new Set<number>();

  private readonly arrived: DebugEvent[] = [];

  constructor(private readonly o: JobOptions) {
    this.nids = o.nids.map((_, rank) => processOf(rank));
    for (const nid of this.nids) this.threads.set(nid, new Map());
  }

  /** What the nodes have reported, in order; the reader removes it. */
  get events(): DebugEvent[] {
    for (const event of this.o.link.events.splice(0)) this.arrived.push({ ...event, nid: processOf(event.rank) });
    return this.arrived;
  }
  nodeOf(nid: number): number {
    return this.o.nids[rankOf(nid)]!;
  }

  debugged(): number[] {
    return this.nids.filter((nid) => !this.ended.has(nid) && !this.free.has(nid));
  }
  running(nid: number): number {
    return [...this.threads.get(nid)!.values()].filter((thread) => !thread.stopped).length;
  }
  find(nid: number, tid: number): [core: number, thread: Thread] | undefined {
    return [...this.threads.get(nid)!].find(([, thread]) => thread.tid === tid);
  }
  mark(event: Stopped): void {
    let found = this.find(event.nid, event.tid);
    if (found === undefined) {
      // Started since the last look.
      this.look(event.nid);
      found = this.find(event.nid, event.tid);
    }
    if (found !== undefined) {
      found[1].stopped = true;
      found[1].atCall = event.reason === DebugReason.CALL_ENTRY;
      found[1].registers = undefined;
    }
  }
  end(nid: number): void {
    this.ended.add(nid);
    this.free.delete(nid);
    this.threads.get(nid)!.clear();
  }
  /** Reads the node's present threads. */
  look(nid: number): void {
    const { errno, body, count } = this.ask(nid, { operation: DebugOperation.THREADS });
    if (errno !== 0) return;
    const before = this.threads.get(nid)!;
    const now = new Map<number, Thread>();
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    for (let i = 0; i < count && (i + 1) * DebugThread.SIZE <= body.length; i++) {
      const { tid, core, state } = new DebugThread(view, i * DebugThread.SIZE);
      const known = before.get(core);
      const thread = known?.tid === tid ? known : { tid, stopped: false, atCall: false, registers: undefined };
      thread.stopped = state === DebugThreadState.STOPPED;
      now.set(core, thread);
    }
    this.threads.set(nid, now);
  }

  fetch({ nid, core }: CoreId): DebugRegisters {
    const thread = this.threads.get(nid)?.get(core);
    if (thread !== undefined && thread.registers === undefined) {
      const { errno, body } = this.ask(nid, { operation: DebugOperation.READ_REGISTERS, tid: thread.tid });
      if (errno === 0 && body.length === DebugRegisters.SIZE) thread.registers = body.slice();
    }
    // A thread that does not exist, or does not stop, has zeros.
    const bytes = thread?.registers ?? new Uint8Array(DebugRegisters.SIZE);
    return new DebugRegisters(new DataView(bytes.buffer, bytes.byteOffset));
  }
  store({ nid, core }: CoreId, r: DebugRegisters): void {
    const thread = this.threads.get(nid)?.get(core);
    if (thread === undefined) return;
    const body = new Uint8Array(r.view.buffer, r.view.byteOffset, DebugRegisters.SIZE);
    this.ask(nid, { operation: DebugOperation.WRITE_REGISTERS, tid: thread.tid, body });
    // The kernel may have changed the values.
    thread.registers = undefined;
  }

  /** Sends a request and waits for its reply; ETIMEDOUT if the node does not answer. */
  ask(nid: number, request: Omit<DebugRequest, "jobId" | "rank">): DebugReply {
    const pending = this.o.link.request(this.nodeOf(nid), { jobId: this.o.jobId, rank: rankOf(nid), ...request });
    this.run(() => pending.reply !== undefined);
    return pending.reply ?? { errno: Errno.ETIMEDOUT, count: 0, body: new Uint8Array(), time: this.o.machine.time };
  }
  run(until: () => boolean, withinNs = REPLY_NS): void {
    const { machine } = this.o;
    machine.run({ until, limitNs: machine.time + withinNs });
  }

  // ---- memory and state ---------------------------------------------------------------------------------------------

  read({ nid }: CoreId, address: bigint, length: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let done = 0; done < length; ) {
      const at = address + BigInt(done);
      const most = Math.min(length - done, DEBUG_BODY_BYTES);
      const inPage = Math.min(most, Number(PAGE - (at % PAGE)));
      let reply = this.ask(nid, { operation: DebugOperation.READ_MEMORY, address: at, count: most });
      // The next page may not be mapped.
      if (reply.errno !== 0 && inPage < most)
        reply = this.ask(nid, { operation: DebugOperation.READ_MEMORY, address: at, count: inPage });
      if (reply.errno !== 0 || reply.body.length === 0) break;
      parts.push(reply.body);
      done += reply.body.length;
    }
    return Buffer.concat(parts);
  }

  write(id: CoreId, address: bigint, bytes: Uint8Array): boolean {
    // All or nothing: first checks that the whole range is mapped.
    if (this.read(id, address, bytes.length).length < bytes.length) return false;
    for (let at = 0; at < bytes.length; at += DEBUG_BODY_BYTES) {
      const body = bytes.subarray(at, at + DEBUG_BODY_BYTES);
      if (this.ask(id.nid, { operation: DebugOperation.WRITE_MEMORY, address: address + BigInt(at), body }).errno !== 0)
        return false;
    }
    return true;
  }

  state(nid: number): ProcessState | undefined {
    const { errno, body } = this.ask(nid, { operation: DebugOperation.DESCRIBE });
    if (errno !== 0) return undefined;
    const task = new DebugTask(new DataView(body.buffer, body.byteOffset));
    const regions: ProcessState["regions"][number][] = [];
    for (let address = 0n; ; address = regions.at(-1)!.end) {
      const list = this.ask(nid, { operation: DebugOperation.REGIONS, address });
      const view = new DataView(list.body.buffer, list.body.byteOffset, list.body.byteLength);
      if (list.errno !== 0 || list.count === 0) break;
      for (let i = 0; i < list.count; i++) {
        const { start, end, protection } = new DebugRegion(view, i * DebugRegion.SIZE);
        regions.push({ start, end, protection });
      }
    }
    const threads = [...this.threads.get(nid)!];
    const main = this.fetch({ nid, core: threads[0]?.[0] ?? 0 });
    return {
      pid: task.pid,
      userId: task.userId,
      file: this.o.files[0]!,
      workingDirectory: this.o.workingDirectory,
      threads: threads.length,
      stopped: threads.every(([, thread]) => thread.stopped),
      core: threads[0]?.[0] ?? 0,
      rip: main.rip,
      rsp: main.rsp,
      heap: { start: task.heapStart, end: task.heapEnd },
      regions,
      read: (address, length) => this.read({ nid, core: 0 }, address, length),
    };
  }
}
