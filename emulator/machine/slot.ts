/** A core as the scheduler sees it: its processor, its interrupt controller, and what is on its way to it. */
import type { Core } from "../cpu/engine.ts";
import { NEVER } from "./clock.ts";

/** What the scheduler needs of a core's local APIC. */
export interface InterruptController {
  /** When its timer interrupts next, ns; NEVER if it does not. */
  readonly timerNext: number;
  /** The vector that the core is to take as soon as it takes interrupts; -1 = none. */
  pendingVector(): number;
  /** The core takes this vector. */
  acknowledge(vector: number): void;
  /** Highest vector in service; -1 = none. */
  readonly inService: number;
  timerExpired(): void;
  /** A fixed interrupt arrives. */
  accept(vector: number, level: boolean): void;
  /** INIT. */
  reset(): void;
}

/** A message on its way to a core's interrupt controller. */
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

/** Addresses of a line that is being stepped over; empty: a step of one instruction. */
export interface StepRange {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * Runs, or will as soon as it looks: a core may halt at the very end of its stretch with an interrupt already waiting.
 */
export function isRunnable({ power, core, apic }: CoreSlot): boolean {
  return power === Power.RUNNING && (!core.halted || (apic.pendingVector() >= 0 && core.interruptible));
}
