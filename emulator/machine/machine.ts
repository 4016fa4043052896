/**
 * The machine: nodes, the switch between them and the endpoint at nid 0, run as a conservative discrete-event
 * simulation. A frame needs at least the fabric's latency, so within a window of that length no actor can affect
 * another: each runs through the window alone. Windows lie on the grid of the quantum. If only one actor has work, its
 * window is longer; the first frame that it sends shortens the window again. Nothing here depends on the host: not on
 * slices, speed, or which actor runs first.
 */
import { createHash } from "node:crypto";
import type { CreateEngine } from "../cpu/engine.ts";
import type { Endpoint, SendFrame } from "../fabric/endpoint.ts";
import { type FaultInjector, type FaultSpec, LinkFaults } from "../fabric/faults.ts";
import { defaultFabric, type FabricOptions, Switch } from "../fabric/switch.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import { DEFAULT_EPOCH_SECONDS, DEFAULT_QUANTUM_NS, NEVER } from "./clock.ts";
import { Node, type NodeOptions, type NodeStop } from "./node.ts";

export interface MachineOptions {
  readonly nodes: readonly NodeOptions[];
  readonly fabric?: FabricOptions;
  /** Link faults derived from `seed`, or an injector that decides on each frame. */
  readonly faults?: FaultSpec | FaultInjector;
  /** Creates the endpoint at nid 0. Called once, before time starts. */
  readonly endpoints?: (send: SendFrame) => Endpoint;
  /** Default 1,000. Part of what defines a run. */
  readonly quantumNs?: number;
  readonly seed?: number;
  /** Wall-clock time at virtual time 0, seconds since 1970. */
  readonly epoch?: number;
  /**
   * Stop the machine when a guest does what the manuals forbid. Default false: the guest gets QEMU's behaviour, and the
   * trace records the error.
   */
  readonly strict?: boolean;
  readonly trace?: TraceSink;
  readonly createEngine: CreateEngine;
  /** Most instructions of one engine run. Affects host speed only, never the run. */
  readonly hostSlice?: number;
}

export type RunReason =
  | "until"
  | "limit"
  /** All cores are halted and nothing is in flight: nothing will ever happen again. */
  | "idle"
  /** A node wrote to the debug exit or reset itself; see `machine.exits`. */
  | "exit"
  /** Triple fault, or under `strict` a device error; see `machine.fault`. */
  | "fault"
  | "stopped"
  /** A breakpoint, a watchpoint or a step of a debugger (control.ts); see `machine.breakpoint`. */
  | "breakpoint"
  /** `runSlice` only: the budget is used up. */
  | "slice";

export interface RunOptions {
  /** Checked between windows. */
  readonly until?: (machine: Machine) => boolean;
  /** Virtual time at which to stop, ns from the start of the machine. */
  readonly limitNs?: number;
  /** The host asks to stop (Ctrl-C). Checked between windows; no virtual time depends on it. */
  readonly stop?: () => boolean;
}

/** Longest window of a lone actor, quanta. It bounds how late `until` is checked. */
const LONE_WINDOW_QUANTA = 16;
/** With a trace: most instructions between two drains of a ring, which holds 256 records. */
const TRACED_SLICE = 1000;
const SERVICE_ROUNDS = 1_000_000;

/** nid 0: an actor like the nodes. */
class HostActor {
  private time = 0;
  constructor(
    private readonly endpoint: Endpoint,
    private readonly fabric: Switch,
  ) {}

  nextActivity(): number {
    return Math.max(this.time, Math.min(this.endpoint.nextTimer, this.fabric.nextArrival(0)));
  }

  advance(end: number): void {
    for (let rounds = 0; ; rounds++) {
      const arrival = this.fabric.nextArrival(0);
      const timer = this.endpoint.nextTimer;
      const next = Math.max(this.time, Math.min(arrival, timer));
      if (next >= end) break;
      if (rounds > SERVICE_ROUNDS) throw new Error(`nid 0 asks for the time ${timer} again and again at ${next}`);
      this.time = next;
      if (arrival <= next) this.endpoint.receive(this.fabric.take(0, next), next);
      else this.endpoint.tick(next);
    }
    this.time = end;
  }
}

export class Machine {
  readonly nodes: readonly Node[];
  readonly fabric: Switch;
  readonly epochSeconds: number;
  readonly seed: number;
  /** Exits so far, ordered by window and then by nid. */
  readonly exits: NodeStop[] = [];
  fault: NodeStop | undefined;
  breakpoint: NodeStop | undefined;
  /** Virtual time that every node has reached, ns. */
  time = 0;
  private readonly host: HostActor | undefined;
  private readonly trace: TraceSink;
  private readonly quantum: number;
  private windowEnd = 0;
  /** In a long window, the only actor with work; it runs first, because it may shorten the window. */
  private lone: Node | undefined;
  private exitsReported = 0;

  constructor(options: MachineOptions) {
    const { quantumNs = DEFAULT_QUANTUM_NS, fabric = defaultFabric, trace = noTrace } = options;
    if (!Number.isInteger(quantumNs) || quantumNs < 1)
      throw new Error(`machine: quantum of ${quantumNs} ns is not a positive whole number`);
    if (!Number.isInteger(fabric.latencyNs) || fabric.latencyNs < quantumNs) {
      throw new Error(
        `machine: the fabric's latency of ${fabric.latencyNs} ns must be a whole number not below the quantum of ${quantumNs} ns`,
      );
    }
    const nids = options.nodes.map((node) => node.nid);
    if (new Set([0, ...nids]).size !== nids.length + 1)
      throw new Error(`machine: nids must differ and not be 0: ${nids.join(", ")}`);
    this.quantum = quantumNs;
    this.trace = trace;
    this.seed = options.seed ?? 0;
    this.epochSeconds = options.epoch ?? DEFAULT_EPOCH_SECONDS;
    const { faults } = options;
    const injector = faults === undefined || "judge" in faults ? faults : new LinkFaults(faults, this.seed);
    this.fabric = new Switch(options.endpoints === undefined ? nids : [0, ...nids], trace, fabric, injector);
    this.fabric.onSend = (time) => this.frameSent(time);
    const slice = options.hostSlice ?? NEVER;
    const hostSlice = trace.enabled ? Math.min(slice, TRACED_SLICE) : slice;
    const environment = {
      quantumNs,
      hostSlice,
      strict: options.strict ?? false,
      trace,
      fabric: this.fabric,
      createEngine: options.createEngine,
    };
    const nodes: Node[] = [];
    this.nodes = nodes;
    try {
      for (const node of options.nodes) nodes.push(new Node(node, environment));
    } catch (error) {
      this.close();
      throw error;
    }
    if (options.endpoints !== undefined)
      this.host = new HostActor(
        options.endpoints((frame, time) => this.fabric.send(0, frame, time)),
        this.fabric,
      );
  }

  /**
   * Under `strict`: the longest time that any core kept interrupts off after its node's ready line, ns, with its place.
   */
  get longestInterruptsOff(): Node["longestInterruptsOff"] {
    return this.nodes
      .map((node) => node.longestInterruptsOff)
      .reduce((most, off) => (off !== undefined && off.ns > (most?.ns ?? 0) ? off : most), undefined);
  }

  /** Instructions retired by all cores of all nodes. */
  get instructions(): number {
    return this.nodes.reduce((sum, node) => sum + node.instructions, 0);
  }

  /** Nothing has happened yet at this virtual time or later, so something from outside may happen from then on. */
  get horizon(): number {
    return Math.max(this.time, this.windowEnd);
  }

  node(nid: number): Node | undefined {
    return this.nodes.find((node) => node.nid === nid);
  }

  run(options: RunOptions = {}): Exclude<RunReason, "slice"> {
    return this.proceed(NEVER, options) as Exclude<RunReason, "slice">;
  }

  /**
   * Like `run`, but returns "slice" after about `instructions` instructions. Where a slice ends does not affect the
   * run.
   */
  runSlice(instructions: number, options: RunOptions = {}): RunReason {
    return this.proceed(instructions, options);
  }

  /** Hash of the whole state: cores with their TLBs, RAM, devices, frames in flight. Hex SHA-256. */
  stateHash(): string {
    const hash = createHash("sha256");
    const add = (part: unknown) =>
      hash.update(JSON.stringify(part, (_, value) => (typeof value === "bigint" ? `${value}n` : value)) ?? "");
    for (const node of this.nodes) {
      const { ram, rest } = node.stateParts();
      hash.update(ram);
      add(rest);
    }
    add([this.time, this.fabric.state()]);
    return hash.digest("hex");
  }

  close(): void {
    for (const node of this.nodes) node.close();
  }

  private proceed(budget: number, { until, limitNs = NEVER, stop }: RunOptions): RunReason {
    const start = this.instructions;
    let spent = 0;
    for (;;) {
      if (this.fault !== undefined) return "fault";
      if (this.exitsReported < this.exits.length) {
        this.exitsReported = this.exits.length;
        return "exit";
      }
      const betweenWindows = this.windowEnd <= this.time;
      if (betweenWindows) {
        if (until?.(this) === true) return "until";
        if (this.time >= limitNs) return "limit";
      }
      if (stop?.() === true) return "stopped";
      if (spent >= budget) return "slice";
      if (betweenWindows) {
        const reason = this.openWindow(limitNs);
        if (reason !== undefined) return reason;
      } else this.clearBreakpoint();
      if (!this.runWindow()) {
        this.trace.flush?.(this.time);
        if (this.breakpoint !== undefined) return "breakpoint";
      }
      spent = this.instructions - start;
    }
  }

  /** Chooses the next window. */
  private openWindow(limitNs: number): RunReason | undefined {
    let first = this.host?.nextActivity() ?? NEVER;
    let second = NEVER;
    let lone: Node | undefined;
    for (const node of this.nodes) {
      const next = node.nextActivity();
      if (next < first) {
        second = first;
        first = next;
        lone = node;
      } else if (next < second) second = next;
    }
    if (first === NEVER) {
      if (this.exits.length > 0 && this.nodes.every((node) => node.stopped !== undefined)) return "exit";
      return "idle";
    }
    const { quantum } = this;
    const { latencyNs } = this.fabric.options;
    const floor = (time: number) => Math.floor(time / quantum) * quantum;
    // The limit applies to machine time, not to the grid: no quantum that starts at or after it runs.
    if (first >= limitNs) {
      this.time = this.windowEnd = Math.max(this.time, floor(limitNs));
      return "limit";
    }
    const start = Math.max(this.time, floor(first));
    let end = floor(start + latencyNs);
    const longer = Math.min(
      second === NEVER ? NEVER : floor(second + latencyNs),
      floor(start) + LONE_WINDOW_QUANTA * quantum,
      limitNs === NEVER ? NEVER : floor(limitNs + quantum - 1),
    );
    this.lone = undefined;
    if (longer > end && lone !== undefined) {
      end = longer;
      this.lone = lone;
    }
    this.windowEnd = end;
    return undefined;
  }

  /** Runs every actor to the window's end. False if one stopped earlier; calling again continues. */
  private runWindow(): boolean {
    if (this.lone !== undefined && !this.advance(this.lone)) return false;
    this.host?.advance(this.windowEnd);
    for (const node of this.nodes) if (node !== this.lone && !this.advance(node)) return false;
    this.time = this.windowEnd;
    this.trace.flush?.(this.time);
    return true;
  }

  private advance(node: Node): boolean {
    if (node.stopped !== undefined) return true;
    if (node.time < this.windowEnd) node.advance(this.windowEnd);
    const stop = node.stopped as NodeStop | undefined;
    if (stop === undefined) return true;
    if (stop.kind === "exit") {
      this.exits.push(stop);
      return true;
    }
    if (stop.kind === "fault") this.fault = stop;
    else this.breakpoint = stop;
    return false;
  }

  private clearBreakpoint(): void {
    if (this.breakpoint === undefined) return;
    this.node(this.breakpoint.nid)!.resume();
    this.breakpoint = undefined;
  }

  /** The receiver cannot see this frame earlier than one latency after it was sent. */
  private frameSent(time: number): void {
    if (this.lone === undefined) return;
    const end = Math.floor((time + this.fabric.options.latencyNs) / this.quantum) * this.quantum;
    if (end >= this.windowEnd) return;
    this.windowEnd = end;
    this.lone.cutEnd(end);
  }
}
