/**
 * One job's processes as the stub's target (`--gdb-job`): ranks as inferiors, threads as threads, by messages to the
 * kernels (service/jobdebug.ts). The machine never stops for it: a request is sent, and virtual time continues until
 * its reply arrives. "The target is stopped" means that the job's threads are stopped in their kernels; other jobs, the
 * network and the kernels' own work continue.
 *
 * A thread at a breakpoint is stepped past it alone, while the others are still stopped, and the breakpoint is restored
 * before they continue.
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
import type { Place } from "../cpu/engine.ts";
import type { StepRequest } from "../machine/control.ts";
import type { Machine, RunOptions, RunReason } from "../machine/machine.ts";
import type { DebugEvent, DebugReply, DebugRequest, JobDebugLink } from "../service/jobdebug.ts";
import { fxOf, registerOf, setRegisterOf } from "./jobregisters.ts";
import { type ProcessState, processFile, processLink } from "./process.ts";
import type { CoreId, CoreRegisters, Going, Target, TargetFile, TargetStop, Task } from "./target.ts";

/** A kernel answers in microseconds; a thread in a shipped call stops when the call has returned. Virtual ns. */
const REPLY_NS = 1_000_000_000;
/** Longest time of an instruction, including page faults; otherwise it is a system call that waits. Virtual ns. */
const STEP_NS = 10_000_000;
/** Most rounds of stopping all threads: each round may find threads that were started meanwhile. */
const MOST_ROUNDS = 64;
const PAGE = 0x1000n;
const SIGTRAP = 5;

export interface JobTargetOptions {
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

interface Thread {
  readonly tid: number;
  stopped: boolean;
  /** It has stopped at the entry of a system call: the instruction at its RIP comes after the call. */
  atCall: boolean;
  /** Read on demand, discarded when the thread resumes. */
  registers: Uint8Array | undefined;
}
type Stopped = Extract<DebugEvent, { kind: "stopped" }>;

export class JobTarget implements Target {
  readonly nids: readonly number[];
  readonly files: readonly TargetFile[];
  readonly system = false;
  reason: RunReason = "slice";
  runOptions: RunOptions = {};
  /** By nid, by core. A rank whose task has ended has none. */
  private readonly threads = new Map<number, Map<number, Thread>>();
  private readonly ended = new Set<number>();
  /** Addresses by id, ids by node and address. */
  private readonly breakpoints = new Map<number, { readonly nid: number; readonly address: bigint }>();
  private lastId = 0;
  private standing = true;
  /** Ranks without a debugger: their tasks run normally until the next debugger comes. */
  private readonly free = new Set<number>();
  /** Stops that arrived while another one was being reported. */
  private readonly waiting: DebugEvent[] = [];
  /** Threads whose step past a breakpoint is not complete, by `nid.tid`: they continue after it. */
  private readonly passing = new Set<string>();
  /** The range that a stepping thread must leave, by `nid.tid`. */
  private readonly ranges = new Map<string, StepRequest["range"]>();

  constructor(private readonly o: JobTargetOptions) {
    this.nids = o.nids;
    this.files = o.files;
    for (const nid of o.nids) this.threads.set(nid, new Map());
  }

  /** All ranks are stopped before their programs. */
  begin(): void {
    for (const nid of this.nids) this.look(nid);
  }

  cores(nid: number): number {
    return this.o.machine.node(nid)?.engine.cores.length ?? 0;
  }
  present({ nid, core }: CoreId): boolean {
    return this.threads.get(nid)?.has(core) === true;
  }

  // ---- reading and writing -----------------------------------------------------------------------------------------

  registers(id: CoreId): CoreRegisters {
    const fetch = (): DebugRegisters => this.fetch(id);
    const change = (act: (r: DebugRegisters) => void): void => {
      const r = fetch();
      act(r);
      this.store(id, r);
    };
    return {
      register: (name) => registerOf(fetch(), name),
      setRegister: (name, value) => change((r) => setRegisterOf(r, name, value)),
      readFx: () => fxOf(fetch()).slice(),
      writeFx: (image) => change((r) => fxOf(r).set(image)),
    };
  }

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

  addBreakpoint(nid: number, place: Place): number {
    if ("physical" in place) return 0;
    const address = place.virtual;
    if (this.ask(nid, { operation: DebugOperation.SET_BREAKPOINT, address }).errno !== 0) return 0;
    this.breakpoints.set(++this.lastId, { nid, address });
    return this.lastId;
  }
  removeBreakpoint(_nid: number, id: number): void {
    const point = this.breakpoints.get(id);
    this.breakpoints.delete(id);
    if (point !== undefined)
      this.ask(point.nid, { operation: DebugOperation.CLEAR_BREAKPOINT, address: point.address });
  }
  /** The kernels have no watchpoints: gdb steps instead. */
  addWatchpoint(): number {
    return 0;
  }
  removeWatchpoint(): void {}

  describe({ nid, core }: CoreId): string {
    const thread = this.threads.get(nid)?.get(core);
    return thread === undefined ? "no thread" : `${this.o.name} rank ${this.nids.indexOf(nid)} thread ${thread.tid}`;
  }
  tasks(nid: number): readonly Task[] {
    return this.ended.has(nid) ? [] : [{ pid: nid, space: 0 }];
  }
  taskOf({ nid }: CoreId): Task | undefined {
    return this.tasks(nid)[0];
  }
  libraries(): readonly TargetFile[] {
    return [];
  }
  catchCalls(numbers: readonly number[] | "all"): boolean {
    const body = numbers === "all" ? undefined : new Uint8Array(Uint32Array.from(numbers).buffer);
    if (body !== undefined && body.length > DEBUG_BODY_BYTES) return false;
    const request =
      body === undefined
        ? { operation: DebugOperation.CATCH_ALL_CALLS }
        : { operation: DebugOperation.CATCH_CALLS, count: numbers.length, body };
    return this.debugged().every((nid) => this.ask(nid, request).errno === 0);
  }
  processFile(nid: number, name: string): Uint8Array | undefined {
    const state = this.debugged().includes(nid) ? this.processState(nid) : undefined;
    return state === undefined ? undefined : processFile(name, state);
  }
  processLink(nid: number, name: string): string | undefined {
    const state = this.debugged().includes(nid) ? this.processState(nid) : undefined;
    return state === undefined ? undefined : processLink(name, state);
  }
  private processState(nid: number): ProcessState | undefined {
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
  monitor(): string {
    return "a job has no monitor commands: --gdb debugs the machine\n";
  }

  // ---- resuming and stopping ---------------------------------------------------------------------------------------

  advance(
    budget: number,
    steps: readonly StepRequest[],
    going: Going = { exclusive: false, delivered: [], standing: [] },
  ): TargetStop {
    if (this.standing) {
      const early = going.exclusive ? undefined : this.tellWaiting(going.standing);
      if (early !== undefined) return early;
      const stepped = this.go(steps, going);
      if (stepped !== undefined) return stepped;
    }
    const { events } = this.o.link;
    const until = (machine: Machine): boolean => events.length > 0 || this.runOptions.until?.(machine) === true;
    if (events.length === 0) {
      const reason = this.o.machine.runSlice(budget, { ...this.runOptions, until });
      if (events.length === 0 && reason !== "slice") {
        this.reason = reason;
        if (reason !== "idle") return { kind: "end" };
        this.halt();
        return { kind: "idle" };
      }
    }
    for (let event = events.shift(); event !== undefined; event = events.shift()) {
      const stop = this.take(event);
      if (stop === undefined) continue;
      this.halt();
      return stop;
    }
    return { kind: "slice" };
  }

  /** Stops every thread of the job. After a `release` the tasks are debugged again. */
  halt(): void {
    if (this.standing) return;
    this.standing = true;
    for (const nid of this.free) {
      const { errno } = this.ask(nid, { operation: DebugOperation.ATTACH });
      if (errno === Errno.ESRCH) this.end(nid);
    }
    this.free.clear();
    const { events } = this.o.link;
    const settled = (): boolean => {
      for (let event = events.shift(); event !== undefined; event = events.shift()) this.defer(event);
      return this.debugged().every((nid) => this.running(nid) === 0);
    };
    // A thread that was about to stop may have started another one.
    for (let rounds = 0; rounds < MOST_ROUNDS; rounds++) {
      for (const nid of this.debugged()) {
        this.look(nid);
        if (this.running(nid) > 0) this.ask(nid, { operation: DebugOperation.STOP });
      }
      if (settled()) break;
      this.run(settled);
    }
  }

  /** Threads run without a debugger again. `only`: those of one rank. */
  release(only?: number): void {
    for (const nid of only === undefined ? this.debugged() : this.debugged().filter((n) => n === only)) {
      this.ask(nid, { operation: DebugOperation.DETACH });
      this.free.add(nid);
      this.threads.get(nid)!.clear();
      for (const [id, point] of this.breakpoints) if (point.nid === nid) this.breakpoints.delete(id);
    }
    // Stops reported before the release no longer matter.
    const isOver = (e: DebugEvent): boolean => e.kind === "stopped" && this.free.has(e.nid);
    const { events } = this.o.link;
    events.splice(0, events.length, ...events.filter((e) => !isOver(e)));
    this.waiting.splice(0, this.waiting.length, ...this.waiting.filter((e) => !isOver(e)));
    if (this.debugged().length === 0) this.standing = false;
  }

  private go(
    steps: readonly StepRequest[],
    { exclusive, delivered, standing }: Pick<Going, "exclusive" | "delivered" | "standing">,
  ): TargetStop | undefined {
    const isIn = (list: readonly CoreId[], nid: number, core: number): boolean =>
      list.some((s) => s.nid === nid && s.core === core);
    const at = (nid: number): Set<bigint> =>
      new Set([...this.breakpoints.values()].filter((p) => p.nid === nid).map((p) => p.address));
    this.ranges.clear();
    const stepping: (CoreId & { tid: number })[] = [];
    const continuing: (CoreId & { tid: number })[] = [];
    for (const nid of this.debugged()) {
      const points = at(nid);
      for (const [core, thread] of this.threads.get(nid)!) {
        if (!thread.stopped || isIn(standing, nid, core)) continue;
        const step = steps.find((s) => s.nid === nid && s.core === core);
        if (exclusive && step === undefined) continue;
        const rip = this.fetch({ nid, core }).rip;
        const isBeforeCall = thread.atCall;
        thread.registers = undefined;
        thread.atCall = false;
        if (step?.range !== undefined) this.ranges.set(`${nid}.${thread.tid}`, step.range);
        if (points.has(rip) && !isBeforeCall) {
          const stop = this.stepPast(nid, thread, rip);
          if (stop === "asleep") {
            if (step === undefined) this.passing.add(`${nid}.${thread.tid}`);
            continue;
          }
          if (stop === undefined || stop.reason !== DebugReason.STEP || (step !== undefined && !this.isInRange(stop))) {
            this.standing = true;
            return (stop === undefined ? undefined : this.told(stop)) ?? { kind: "slice" };
          }
        }
        (step === undefined ? continuing : stepping).push({ nid, core, tid: thread.tid });
      }
    }
    this.standing = false;
    const move = (list: typeof stepping, operation: number): void => {
      for (const { nid, core, tid } of list) {
        this.threads.get(nid)!.get(core)!.stopped = false;
        this.ask(nid, { operation, tid, signal: isIn(delivered, nid, core) ? 1 : 0 });
      }
    };
    move(continuing, DebugOperation.CONTINUE);
    move(stepping, DebugOperation.STEP);
    return undefined;
  }

  /**
   * Executes one instruction of a thread while its breakpoint is removed and every other thread is stopped. undefined:
   * its task has ended. "asleep": the instruction is a system call that waits, perhaps for one of the other threads;
   * its step completes later.
   */
  private stepPast(nid: number, thread: Thread, address: bigint): Stopped | "asleep" | undefined {
    this.ask(nid, { operation: DebugOperation.CLEAR_BREAKPOINT, address });
    this.ask(nid, { operation: DebugOperation.STEP, tid: thread.tid });
    let found: Stopped | undefined;
    const { events } = this.o.link;
    this.run(() => {
      for (let event = events.shift(); event !== undefined; event = events.shift()) {
        if (event.kind === "stopped" && event.nid === nid && event.tid === thread.tid) found = event;
        else this.defer(event);
      }
      return found !== undefined || this.ended.has(nid);
    }, STEP_NS);
    if (this.ended.has(nid)) return undefined;
    this.ask(nid, { operation: DebugOperation.SET_BREAKPOINT, address });
    if (found !== undefined) return found;
    thread.stopped = false;
    return "asleep";
  }

  /** Translates an event for the debugger; undefined: nothing to report yet. */
  private take(event: DebugEvent): TargetStop | undefined {
    if (event.kind === "ended") return this.exit(event);
    this.mark(event);
    if (event.reason === DebugReason.STEP && this.passing.delete(`${event.nid}.${event.tid}`)) {
      this.find(event.nid, event.tid)![1].stopped = false;
      this.ask(event.nid, { operation: DebugOperation.CONTINUE, tid: event.tid });
      return undefined;
    }
    if (event.reason === DebugReason.STEP && this.isInRange(event)) {
      const thread = this.find(event.nid, event.tid)!;
      thread[1].stopped = false;
      this.ask(event.nid, { operation: DebugOperation.STEP, tid: event.tid });
      return undefined;
    }
    return this.told(event);
  }
  /** The next deferred event that is still valid. */
  private tellWaiting(standing: readonly CoreId[]): TargetStop | undefined {
    for (let i = 0; i < this.waiting.length; ) {
      const event = this.waiting[i]!;
      const core = event.kind === "stopped" ? this.find(event.nid, event.tid)?.[0] : undefined;
      // A thread that must stay stopped is reported when it is resumed.
      if (core !== undefined && standing.some((s) => s.nid === event.nid && s.core === core)) {
        i++;
        continue;
      }
      this.waiting.splice(i, 1);
      if (event.kind === "ended") return this.exit(event);
      if (this.ended.has(event.nid)) continue;
      const stop = this.told(event);
      if (stop !== undefined) return stop;
    }
    return undefined;
  }
  /** An event that arrived during another operation. */
  private defer(event: DebugEvent): void {
    if (event.kind === "ended") {
      this.end(event.nid);
      this.waiting.push(event);
      return;
    }
    this.mark(event);
    if (event.reason !== DebugReason.REQUESTED) this.waiting.push(event);
  }
  private exit({ nid, waitStatus }: Extract<DebugEvent, { kind: "ended" }>): TargetStop {
    this.end(nid);
    return { kind: "exit", nid, status: (waitStatus >> 8) & 0xff, signal: waitStatus & 0x7f };
  }
  /** undefined: at a breakpoint that has been removed since; the thread continues. */
  private told(event: Stopped): TargetStop | undefined {
    const { nid, address, reason, signal } = event;
    const core = this.find(nid, event.tid)?.[0] ?? 0;
    if (reason === DebugReason.BREAKPOINT) {
      const id = [...this.breakpoints].find(([, p]) => p.nid === nid && p.address === address)?.[0];
      return id === undefined ? undefined : { kind: "breakpoint", nid, core, id };
    }
    if (reason === DebugReason.CALL_ENTRY || reason === DebugReason.CALL_RETURN)
      return { kind: "call", nid, core, number: event.call, isEntry: reason === DebugReason.CALL_ENTRY };
    return reason === DebugReason.STEP
      ? { kind: "step", nid, core }
      : { kind: "signal", nid, core, signal: signal || SIGTRAP };
  }
  private isInRange({ nid, tid, address }: Stopped): boolean {
    const range = this.ranges.get(`${nid}.${tid}`);
    return range !== undefined && address >= range.start && address < range.end;
  }

  // ---- the kernels -------------------------------------------------------------------------------------------------

  private debugged(): number[] {
    return this.nids.filter((nid) => !this.ended.has(nid) && !this.free.has(nid));
  }
  private running(nid: number): number {
    return [...this.threads.get(nid)!.values()].filter((thread) => !thread.stopped).length;
  }
  private find(nid: number, tid: number): [core: number, thread: Thread] | undefined {
    return [...this.threads.get(nid)!].find(([, thread]) => thread.tid === tid);
  }
  private mark(event: Stopped): void {
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
  private end(nid: number): void {
    this.ended.add(nid);
    this.free.delete(nid);
    this.threads.get(nid)!.clear();
    for (const [id, point] of this.breakpoints) if (point.nid === nid) this.breakpoints.delete(id);
  }
  /** Reads the node's present threads. */
  private look(nid: number): void {
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

  private fetch({ nid, core }: CoreId): DebugRegisters {
    const thread = this.threads.get(nid)?.get(core);
    if (thread !== undefined && thread.registers === undefined) {
      const { errno, body } = this.ask(nid, { operation: DebugOperation.READ_REGISTERS, tid: thread.tid });
      if (errno === 0 && body.length === DebugRegisters.SIZE) thread.registers = body.slice();
    }
    // A thread that does not exist, or does not stop, has zeros.
    const bytes = thread?.registers ?? new Uint8Array(DebugRegisters.SIZE);
    return new DebugRegisters(new DataView(bytes.buffer, bytes.byteOffset));
  }
  private store({ nid, core }: CoreId, r: DebugRegisters): void {
    const thread = this.threads.get(nid)?.get(core);
    if (thread === undefined) return;
    const body = new Uint8Array(r.view.buffer, r.view.byteOffset, DebugRegisters.SIZE);
    this.ask(nid, { operation: DebugOperation.WRITE_REGISTERS, tid: thread.tid, body });
    // The kernel may have changed the values.
    thread.registers = undefined;
  }

  /** Sends a request and waits for its reply; ETIMEDOUT if the node does not answer. */
  private ask(nid: number, request: Omit<DebugRequest, "jobId">): DebugReply {
    const pending = this.o.link.request(nid, { jobId: this.o.jobId, ...request });
    this.run(() => pending.reply !== undefined);
    return pending.reply ?? { errno: Errno.ETIMEDOUT, count: 0, body: new Uint8Array(), time: this.o.machine.time };
  }
  private run(until: () => boolean, withinNs = REPLY_NS): void {
    const { machine } = this.o;
    machine.run({ until, limitNs: machine.time + withinNs });
  }
}
