/** A core as the scheduler sees it: its processor, its interrupt controller, and the messages in flight to it. */
import type { Core } from "../cpu/engine.ts";
import { NEVER } from "./clock.ts";

/** What the scheduler needs from a core's local APIC. */
export interface InterruptController {
  /** When its timer fires next, ns; NEVER: the timer is off. */
  readonly timerNext: number;
  /** The vector to deliver as soon as the core accepts interrupts; -1: none. */
  pendingVector(): number;
  /** The core takes this vector: it is now in service. */
  acknowledge(vector: number): void;
  /** Highest vector in service; -1: none. */
  readonly inService: number;
  timerExpired(): void;
  /** A fixed interrupt arrives. */
  accept(vector: number, level: boolean): void;
  /** INIT. */
  reset(): void;
}

/** A message in flight to a core's interrupt controller. */
export interface Inbound {
  readonly time: number;
  /** Icr.FIXED, NMI, INIT, STARTUP. */
  readonly mode: number;
  readonly vector: number;
  readonly level: boolean;
}
export const enum Power {
  WAIT_FOR_STARTUP,
  RUNNING,
  SHUTDOWN,
}

export class CoreSlot {
  power = Power.WAIT_FOR_STARTUP;
  /** Ascending by time. */
  readonly inbound: Inbound[] = [];
  /** A debugger's step: stop once the core has retired an instruction and its rip is outside [start, end). */
  step: StepRange | undefined;
  constructor(
    readonly index: number,
    readonly core: Core,
    readonly apic: InterruptController,
  ) {}

  get nextEvent(): number {
    const timer = this.apic.timerNext;
    const inbound = this.inbound.length === 0 ? NEVER : this.inbound[0].time;
    return timer < inbound ? timer : inbound;
  }
}

/** Addresses of the source line to step over; empty: step one instruction. */
export interface StepRange {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * The core runs, or will run as soon as it checks its events: it may halt at the very end of its stretch while an
 * interrupt is already pending.
 */
export function isRunnable({ power, core, apic }: CoreSlot): boolean {
  return power === Power.RUNNING && (!core.halted || (apic.pendingVector() >= 0 && core.interruptible));
}
