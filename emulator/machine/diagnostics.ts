/**
 * Observers that look for faults of the guest: a handler without EOI; and `strict`, which makes every reported error a
 * stop.
 */
import type { RunResult } from "../cpu/engine.ts";
import { vectorName } from "../trace/decode.ts";
import type { NodeObserver } from "./observer.ts";
import type { CoreSlot } from "./slot.ts";

/**
 * An interrupt is in service from its delivery to its EOI, and no handler is left where a core runs a program or waits
 * in hlt: a handler has returned without EOI, and its priority class and those below stay blocked.
 */
export class MissingEoi implements NodeObserver {
  /** By core: the vector that was reported last, so that it is said once. */
  private readonly reported = new Map<number, number>();

  constructor(private readonly report: (text: string) => void) {}

  interrupt(slot: CoreSlot): void {
    if (slot.core.cpl === 3) this.check(slot, "in user mode");
  }
  ran(slot: CoreSlot, { reason }: RunResult): void {
    if (reason === "halt" && slot.core.interruptible) this.check(slot, "at hlt");
  }
  endOfInterrupt(core: number): void {
    this.reported.delete(core);
  }

  private check({ index, apic }: CoreSlot, where: string): void {
    const vector = apic.inService;
    if (vector < 0 || this.reported.get(index) === vector) return;
    this.reported.set(index, vector);
    this.report(`lapic: missing EOI: ${vectorName(vector)} still in service ${where}`);
  }
}

export class Strict implements NodeObserver {
  constructor(private readonly stop: (line: string) => void) {}

  error(line: string): void {
    this.stop(line);
  }
}
