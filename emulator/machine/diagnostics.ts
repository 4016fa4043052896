/**
 * Observers that look for mistakes of the guest: a handler that sends no EOI; and `strict`, which turns every reported
 * error into a stop.
 */
import type { RunResult } from "../cpu/engine.ts";
import { vectorName } from "../trace/decode.ts";
import type { NodeObserver } from "./observer.ts";
import type { CoreSlot } from "./slot.ts";

/**
 * An interrupt is in service from its delivery to its EOI. No handler can be active where a core runs a user program or
 * waits in hlt. A vector still in service there means that a handler returned without EOI; its priority class and all
 * lower ones stay blocked.
 */
export class MissingEoi implements NodeObserver {
  /** By core: the vector reported last, so that each is reported once. */
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
