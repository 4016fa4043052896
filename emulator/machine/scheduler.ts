/**
 * Interleaves the cores of a node. It knows cores, their interrupt controllers and their times, but no devices.
 *
 * Order, which defines a run. Time is cut into quanta of Q ns on a grid from 0. In each quantum the cores run one after
 * the other, each for the whole quantum. A node event (frame arrival, typed input) inside a quantum cuts it in two for
 * all cores, so it happens at its exact time for each. A core's own events (timer, arriving interrupt) only cut that
 * core's run. What a core sends to an interrupt controller at time t — an IPI, or a device interrupt that its access
 * caused — arrives at t+Q: after the current quantum of every other core, so no core has to go back in time. A frame's
 * interrupt arrives with the frame.
 *
 * Shortcuts that do not change the order: all cores halted → skip to the quantum of the next event; one core running →
 * it runs many quanta in one go until an event affects another core (`cut`). Host slices (`hostSlice`) cut every run
 * finer; nothing depends on them.
 */
import { Icr } from "../abi/lapic.ts";
import type { RunResult } from "../cpu/engine.ts";
import { NEVER } from "./clock.ts";
import type { RunLimits } from "./interruptsoff.ts";
import type { NodeObserver } from "./observer.ts";
import { type CoreSlot, type Inbound, isRunnable, Power, type StepRange } from "./slot.ts";

export interface SchedulerOptions {
  readonly quantumNs: number;
  /** Most instructions of one engine run. Affects host speed only. */
  readonly hostSlice: number;
}

/** Events that affect all cores at the same time. */
export interface NodeEvents {
  /** Time of the next event, or NEVER. */
  readonly next: number;
  /** Handles the events that are due at `now`. */
  serve(now: number): void;
}

/** Why a core ended its run in a way that the node must handle. */
export type CoreStop = "shutdown" | "breakpoint" | "watchpoint" | "step";

export class Scheduler {
  /** Time that all cores have reached, ns. */
  time = 0;
  /** Instructions retired by all cores. */
  instructions = 0;
  readonly slots: readonly CoreSlot[];
  private readonly quantum: number;
  private readonly hostSlice: number;
  /** The core whose instruction or event is current; its time is "now". */
  private active: CoreSlot | undefined;
  private inRun = false;
  /** End of the present stretch of the cores. A lone core's stretch may be cut while it runs. */
  private target = 0;
  /** The core that runs first in the stretch, ahead of the quantum. */
  private alone: CoreSlot | undefined;
  /** A stop interrupted the stretch: it continues as planned. */
  private inStretch = false;
  private end = 0;
  private isStopped = false;

  constructor(
    slots: readonly CoreSlot[],
    { quantumNs, hostSlice }: SchedulerOptions,
    private readonly events: NodeEvents,
    private readonly observers: readonly NodeObserver[],
    private readonly onStop: (slot: CoreSlot, why: CoreStop, result: RunResult) => void,
    /** Splits runs further, as `hostSlice` does, and ends them where a core's interrupts become enabled. */
    private readonly limits?: RunLimits,
  ) {
    this.slots = slots;
    this.quantum = quantumNs;
    this.hostSlice = hostSlice;
  }

  /** The core whose instruction or event is current. */
  get current(): CoreSlot | undefined {
    return this.active;
  }

  /** Virtual time of the current instruction or event, ns. */
  get now(): number {
    return this.active === undefined ? this.time : this.active.core.time;
  }

  /** Time of the next activity: now if a core runs, NEVER if all cores are halted for ever. */
  nextActivity(): number {
    let { next } = this.events;
    for (const slot of this.slots) {
      if (isRunnable(slot)) return this.time;
      const event = slot.nextEvent;
      if (event < next) next = event;
    }
    return next > this.time ? next : this.time;
  }

  /**
   * Runs all cores to `end`, a multiple of the quantum. Returns early after `stop`; after `resume`, another call
   * continues.
   */
  advance(end: number): void {
    this.end = end;
    while (this.time < this.end && !this.isStopped) {
      if (!this.inStretch) {
        this.events.serve(this.time);
        this.alone = this.plan();
        this.inStretch = true;
      }
      if (this.alone !== undefined) this.runCore(this.alone);
      for (const slot of this.slots) {
        if (this.isStopped) break;
        if (slot !== this.alone) this.runCore(slot);
      }
      if (this.isStopped) break;
      this.time = this.target;
      this.inStretch = false;
    }
  }

  /** The cores must not run past `end`. */
  cutEnd(end: number): void {
    if (end < this.end) this.end = end;
    this.cut(end);
  }

  /** The running core completes its instruction; no other core runs after it. */
  stop(): void {
    this.isStopped = true;
    if (this.inRun) this.active!.core.requestStop();
  }
  resume(): void {
    this.isStopped = false;
  }

  /**
   * Sets the steps of a debugger, by core index; the other cores run normally. A stepping core ignores a breakpoint at
   * its rip.
   */
  setSteps(steps: ReadonlyMap<number, StepRange>): void {
    for (const slot of this.slots) {
      slot.step = steps.get(slot.index);
      if (slot.step !== undefined) slot.core.passBreakpoint();
    }
  }

  /** Sends a message: one from a core arrives at now + Q, one from a node event at once. */
  post(target: number, mode: number, vector: number, level: boolean): void {
    const { now, active } = this;
    const time = active === undefined ? now : now + this.quantum;
    const { inbound } = this.slots[target];
    let at = inbound.length;
    while (at > 0 && inbound[at - 1].time > time) at--;
    inbound.splice(at, 0, { time, mode, vector, level });
    if (active !== undefined) this.cut((Math.floor(now / this.quantum) + 1) * this.quantum);
  }

  /** The state of the core's interrupt controller has changed: check it again after this instruction. */
  reschedule(core: number): void {
    if (this.inRun && this.active!.index === core) this.active!.core.requestStop();
  }

  /**
   * The scheduler's own state that decides the future: where a stop has left the stretch. The cores' times belong to
   * the cores.
   */
  state(): unknown {
    const { time, inStretch } = this;
    return { time, stretch: inStretch ? { target: this.target, alone: this.alone?.index } : null };
  }

  /** Sets `target`. Returns the only running core if it may run ahead of the quantum. */
  private plan(): CoreSlot | undefined {
    const quantum = this.quantum;
    const nodeEvent = this.events.next;
    const quantumEnd = (Math.floor(this.time / quantum) + 1) * quantum;
    let running = 0;
    let alone: CoreSlot | undefined;
    let others = NEVER;
    for (const slot of this.slots) {
      if (isRunnable(slot)) {
        running++;
        alone = slot;
      } else if (slot.nextEvent < others) others = slot.nextEvent;
    }
    // Run to the quantum in which another core has its next event.
    let stretch = quantumEnd;
    if (running <= 1) {
      const free = others === NEVER ? NEVER : Math.floor(others / quantum) * quantum;
      if (free > stretch) stretch = free;
    }
    // No core runs: skip whole quanta, but not past the quantum of the next node event.
    if (running === 0 && nodeEvent > quantumEnd) {
      const free = nodeEvent === NEVER ? NEVER : Math.floor(nodeEvent / quantum) * quantum;
      this.target = Math.min(this.end, stretch, free);
      return undefined;
    }
    this.target = Math.min(this.end, stretch, nodeEvent);
    return running === 1 ? alone : undefined;
  }

  private runCore(slot: CoreSlot): void {
    const { core, apic } = slot;
    const { observers, hostSlice, limits } = this;
    this.active = slot;
    while (core.time < this.target && !this.isStopped) {
      if (slot.nextEvent <= core.time) this.acceptEvents(slot);
      const event = slot.nextEvent;
      const limit = event < this.target ? event : this.target;
      if (slot.power !== Power.RUNNING) {
        core.time = limit;
        continue;
      }
      const vector = apic.pendingVector();
      if (vector >= 0 && core.interruptible) {
        for (const observer of observers) observer.interrupt?.(slot, vector);
        apic.acknowledge(vector);
        core.injectInterrupt(vector);
        continue;
      }
      if (core.halted) {
        core.time = limit;
        continue;
      }
      let room = Math.min(limit - core.time, slot.step === undefined ? hostSlice : 1);
      if (limits !== undefined) room = Math.min(room, limits.limit(slot));
      const toWindow = vector >= 0 || (limits !== undefined && !core.interruptible);
      for (const observer of observers) observer.beforeRun?.(slot);
      this.inRun = true;
      const result = toWindow ? core.runToWindow(room) : core.run(room);
      this.inRun = false;
      this.instructions += result.retired;
      for (const observer of observers) observer.ran?.(slot, result);
      switch (result.reason) {
        case "shutdown":
          slot.power = Power.SHUTDOWN;
          this.onStop(slot, "shutdown", result);
          break;
        case "breakpoint":
        case "watchpoint":
          this.onStop(slot, result.reason, result);
          break;
      }
      if (result.retired > 0 && slot.step !== undefined && !isWithin(slot.step, core.rip))
        this.onStop(slot, "step", result);
    }
    this.active = undefined;
  }

  /** Accepts what has arrived at this core by now. */
  private acceptEvents(slot: CoreSlot): void {
    const now = slot.core.time;
    if (slot.apic.timerNext <= now) slot.apic.timerExpired();
    while (slot.inbound.length > 0 && slot.inbound[0].time <= now) this.acceptMessage(slot, slot.inbound.shift()!);
  }

  private acceptMessage(slot: CoreSlot, { mode, vector, level }: Inbound): void {
    const { core } = slot;
    switch (mode) {
      case Icr.FIXED:
        slot.apic.accept(vector, level);
        return;
      case Icr.NMI:
        if (slot.power !== Power.RUNNING) return;
        for (const observer of this.observers) observer.nmi?.(slot);
        core.injectNmi();
        return;
      case Icr.INIT:
        for (const observer of this.observers) observer.init?.(slot);
        slot.apic.reset();
        core.init();
        slot.power = Power.WAIT_FOR_STARTUP;
        return;
      case Icr.STARTUP:
        if (slot.power !== Power.WAIT_FOR_STARTUP) return;
        for (const observer of this.observers) observer.startup?.(slot, vector);
        core.startup(vector);
        slot.power = Power.RUNNING;
        return;
    }
  }

  /**
   * Ends the present stretch at `time` if it would run longer, because an event at that time affects another core or
   * node.
   */
  private cut(time: number): void {
    if (time >= this.target) return;
    this.target = time;
    if (this.inRun) this.active!.core.requestStop();
  }
}

const isWithin = ({ start, end }: StepRange, rip: bigint): boolean => rip >= start && rip < end;
