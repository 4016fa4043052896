/** A core as the scheduler sees it: its processor, its local APIC, and what is on its way to it. */
import type { Core } from "../cpu/engine.ts";
import type { LocalApic } from "../devices/lapic.ts";
import { NEVER } from "./clock.ts";

/** A message on its way to a LAPIC. */
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
  /** Vector whose missing EOI was reported last, so that it is said once; -1 = none. */
  missedEoi = -1;
  /** Ascending by time. */
  readonly inbound: Inbound[] = [];
  /** A debugger's step: stop once the core has retired an instruction and its rip is outside [start, end). */
  step: StepRange | undefined;
  constructor(
    readonly index: number,
    readonly core: Core,
    readonly lapic: LocalApic,
  ) {}

  get nextEvent(): number {
    const timer = this.lapic.timerNext;
    const inbound = this.inbound.length === 0 ? NEVER : this.inbound[0].time;
    return timer < inbound ? timer : inbound;
  }
}

/** Addresses of a line that is being stepped over; empty: a step of one instruction. */
export interface StepRange {
  readonly start: bigint;
  readonly end: bigint;
}

/** Runs, or will as soon as it looks: a core may halt at the very end of its stretch with an interrupt already waiting. */
export function isRunnable({ power, core, lapic }: CoreSlot): boolean {
  return power === Power.RUNNING && (!core.halted || (lapic.pendingVector() >= 0 && core.interruptible));
}
