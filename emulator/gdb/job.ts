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
import { DEBUG_BODY_BYTES, DebugOperation, DebugReason, type DebugRegisters } from "../abi/jobdebug.ts";
import type { Place } from "../cpu/engine.ts";
import type { StepRequest } from "../machine/control.ts";
import type { Machine, RunOptions, RunReason } from "../machine/machine.ts";
import type { DebugEvent } from "../service/jobdebug.ts";
import { JobProcesses, type JobOptions, rankOf, type Stopped, type Thread } from "./jobprocesses.ts";
import { fxOf, registerOf, setRegisterOf } from "./jobregisters.ts";
import { processFile, processLink } from "./process.ts";
import type { CoreId, CoreRegisters, Going, Target, TargetFile, TargetStop, Task } from "./target.ts";

/** Longest time of an instruction, including page faults; otherwise it is a system call that waits. Virtual ns. */
const STEP_NS = 10_000_000;
/** Most rounds of stopping all threads: each round may find threads that were started meanwhile. */
const MOST_ROUNDS = 64;
const SIGTRAP = 5;

export class JobTarget implements Target {
  readonly nids: readonly number[];
  readonly files: readonly TargetFile[];
  readonly system = false;
  reason: RunReason = "slice";
  runOptions: RunOptions = {};
  private readonly processes: JobProcesses;
  /** Addresses by id, ids by node and address. */
  private readonly breakpoints = new Map<number, { readonly nid: number; readonly address: bigint }>();
  private lastId = 0;
  private standing = true;
  /** Stops that arrived while another one was being reported. */
  private readonly waiting: DebugEvent[] = [];
  /** Threads whose step past a breakpoint is not complete, by `nid.tid`: they continue after it. */
  private readonly passing = new Set<string>();
  /** The range that a stepping thread must leave, by `nid.tid`. */
  private readonly ranges = new Map<string, StepRequest["range"]>();

  constructor(private readonly o: JobOptions) {
    this.files = o.files;
    this.processes = new JobProcesses(o);
    this.nids = this.processes.nids;
  }

  /** All ranks are stopped before their programs. */
  begin(): void {
    for (const nid of this.nids) this.processes.look(nid);
  }

  cores(nid: number): number {
    return this.o.machine.node(this.processes.nodeOf(nid))?.engine.cores.length ?? 0;
  }
  present({ nid, core }: CoreId): boolean {
    return this.processes.threads.get(nid)?.has(core) === true;
  }

  // ---- reading and writing -----------------------------------------------------------------------------------------

  registers(id: CoreId): CoreRegisters {
    const fetch = (): DebugRegisters => this.processes.fetch(id);
    const change = (act: (r: DebugRegisters) => void): void => {
      const r = fetch();
      act(r);
      this.processes.store(id, r);
    };
    return {
      register: (name) => registerOf(fetch(), name),
      setRegister: (name, value) => change((r) => setRegisterOf(r, name, value)),
      readFx: () => fxOf(fetch()).slice(),
      writeFx: (image) => change((r) => fxOf(r).set(image)),
    };
  }

  read(id: CoreId, address: bigint, length: number): Uint8Array {
    return this.processes.read(id, address, length);
  }
  write(id: CoreId, address: bigint, bytes: Uint8Array): boolean {
    return this.processes.write(id, address, bytes);
  }
  addBreakpoint(nid: number, place: Place): number {
    if ("physical" in place) return 0;
    const address = place.virtual;
    if (this.processes.ask(nid, { operation: DebugOperation.SET_BREAKPOINT, address }).errno !== 0) return 0;
    this.breakpoints.set(++this.lastId, { nid, address });
    return this.lastId;
  }
  removeBreakpoint(_nid: number, id: number): void {
    const point = this.breakpoints.get(id);
    this.breakpoints.delete(id);
    if (point !== undefined)
      this.processes.ask(point.nid, { operation: DebugOperation.CLEAR_BREAKPOINT, address: point.address });
  }
  /** The kernels have no watchpoints: gdb steps instead. */
  addWatchpoint(): number {
    return 0;
  }
  removeWatchpoint(): void {}

  describe({ nid, core }: CoreId): string {
    const thread = this.processes.threads.get(nid)?.get(core);
    return thread === undefined ? "no thread" : `${this.o.name} rank ${rankOf(nid)} thread ${thread.tid}`;
  }
  tasks(nid: number): readonly Task[] {
    return this.processes.ended.has(nid) ? [] : [{ pid: nid, space: 0 }];
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
    return this.processes.debugged().every((nid) => this.processes.ask(nid, request).errno === 0);
  }
  processFile(nid: number, name: string): Uint8Array | undefined {
    const state = this.processes.debugged().includes(nid) ? this.processes.state(nid) : undefined;
    return state === undefined ? undefined : processFile(name, state);
  }
  processLink(nid: number, name: string): string | undefined {
    const state = this.processes.debugged().includes(nid) ? this.processes.state(nid) : undefined;
    return state === undefined ? undefined : processLink(name, state);
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
    const until = (machine: Machine): boolean =>
      this.processes.events.length > 0 || this.runOptions.until?.(machine) === true;
    if (this.processes.events.length === 0) {
      const reason = this.o.machine.runSlice(budget, { ...this.runOptions, until });
      if (this.processes.events.length === 0 && reason !== "slice") {
        this.reason = reason;
        if (reason !== "idle") return { kind: "end" };
        this.halt();
        return { kind: "idle" };
      }
    }
    for (let event = this.processes.events.shift(); event !== undefined; event = this.processes.events.shift()) {
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
    for (const nid of this.processes.free) {
      const { errno } = this.processes.ask(nid, { operation: DebugOperation.ATTACH });
      if (errno === Errno.ESRCH) this.end(nid);
    }
    this.processes.free.clear();
    const settled = (): boolean => {
      for (let event = this.processes.events.shift(); event !== undefined; event = this.processes.events.shift())
        this.defer(event);
      return this.processes.debugged().every((nid) => this.processes.running(nid) === 0);
    };
    // A thread that was about to stop may have started another one.
    for (let rounds = 0; rounds < MOST_ROUNDS; rounds++) {
      for (const nid of this.processes.debugged()) {
        this.processes.look(nid);
        if (this.processes.running(nid) > 0) this.processes.ask(nid, { operation: DebugOperation.STOP });
      }
      if (settled()) break;
      this.processes.run(settled);
    }
  }

  /** Threads run without a debugger again. `only`: those of one rank. */
  release(only?: number): void {
    for (const nid of only === undefined
      ? this.processes.debugged()
      : this.processes.debugged().filter((n) => n === only)) {
      this.processes.ask(nid, { operation: DebugOperation.DETACH });
      this.processes.free.add(nid);
      this.processes.threads.get(nid)!.clear();
      for (const [id, point] of this.breakpoints) if (point.nid === nid) this.breakpoints.delete(id);
    }
    // Stops reported before the release no longer matter.
    const isOver = (e: DebugEvent): boolean => e.kind === "stopped" && this.processes.free.has(e.nid);
    this.processes.events.splice(0, this.processes.events.length, ...this.processes.events.filter((e) => !isOver(e)));
    this.waiting.splice(0, this.waiting.length, ...this.waiting.filter((e) => !isOver(e)));
    if (this.processes.debugged().length === 0) this.standing = false;
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
    for (const nid of this.processes.debugged()) {
      const points = at(nid);
      for (const [core, thread] of this.processes.threads.get(nid)!) {
        if (!thread.stopped || isIn(standing, nid, core)) continue;
        const step = steps.find((s) => s.nid === nid && s.core === core);
        if (exclusive && step === undefined) continue;
        const rip = this.processes.fetch({ nid, core }).rip;
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
        this.processes.threads.get(nid)!.get(core)!.stopped = false;
        this.processes.ask(nid, { operation, tid, signal: isIn(delivered, nid, core) ? 1 : 0 });
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
    this.processes.ask(nid, { operation: DebugOperation.CLEAR_BREAKPOINT, address });
    this.processes.ask(nid, { operation: DebugOperation.STEP, tid: thread.tid });
    let found: Stopped | undefined;
    this.processes.run(() => {
      for (let event = this.processes.events.shift(); event !== undefined; event = this.processes.events.shift()) {
        if (event.kind === "stopped" && event.nid === nid && event.tid === thread.tid) found = event;
        else this.defer(event);
      }
      return found !== undefined || this.processes.ended.has(nid);
    }, STEP_NS);
    if (this.processes.ended.has(nid)) return undefined;
    this.processes.ask(nid, { operation: DebugOperation.SET_BREAKPOINT, address });
    if (found !== undefined) return found;
    thread.stopped = false;
    return "asleep";
  }

  /** Translates an event for the debugger; undefined: nothing to report yet. */
  private take(event: DebugEvent): TargetStop | undefined {
    if (event.kind === "ended") return this.exit(event);
    this.processes.mark(event);
    if (event.reason === DebugReason.STEP && this.passing.delete(`${event.nid}.${event.tid}`)) {
      this.processes.find(event.nid, event.tid)![1].stopped = false;
      this.processes.ask(event.nid, { operation: DebugOperation.CONTINUE, tid: event.tid });
      return undefined;
    }
    if (event.reason === DebugReason.STEP && this.isInRange(event)) {
      const thread = this.processes.find(event.nid, event.tid)!;
      thread[1].stopped = false;
      this.processes.ask(event.nid, { operation: DebugOperation.STEP, tid: event.tid });
      return undefined;
    }
    return this.told(event);
  }
  /** The next deferred event that is still valid. */
  private tellWaiting(standing: readonly CoreId[]): TargetStop | undefined {
    for (let i = 0; i < this.waiting.length; ) {
      const event = this.waiting[i]!;
      const core = event.kind === "stopped" ? this.processes.find(event.nid, event.tid)?.[0] : undefined;
      // A thread that must stay stopped is reported when it is resumed.
      if (core !== undefined && standing.some((s) => s.nid === event.nid && s.core === core)) {
        i++;
        continue;
      }
      this.waiting.splice(i, 1);
      if (event.kind === "ended") return this.exit(event);
      if (this.processes.ended.has(event.nid)) continue;
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
    this.processes.mark(event);
    if (event.reason !== DebugReason.REQUESTED) this.waiting.push(event);
  }
  private exit({ nid, waitStatus }: Extract<DebugEvent, { kind: "ended" }>): TargetStop {
    this.end(nid);
    return { kind: "exit", nid, status: (waitStatus >> 8) & 0xff, signal: waitStatus & 0x7f };
  }
  /** undefined: at a breakpoint that has been removed since; the thread continues. */
  private told(event: Stopped): TargetStop | undefined {
    const { nid, address, reason, signal } = event;
    const core = this.processes.find(nid, event.tid)?.[0] ?? 0;
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
  private end(nid: number): void {
    this.processes.end(nid);
    for (const [id, point] of this.breakpoints) if (point.nid === nid) this.breakpoints.delete(id);
  }
  private isInRange({ nid, tid, address }: Stopped): boolean {
    const range = this.ranges.get(`${nid}.${tid}`);
    return range !== undefined && address >= range.start && address < range.end;
  }
}
