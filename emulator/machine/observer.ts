/**
 * Observers of a node: the trace, diagnostics, strict checks and measurements subscribe to these calls. An observer
 * changes nothing that the guest can see; it may ask the node to stop. `core.time` is exact in every call.
 */
import type { RunResult } from "../cpu/engine.ts";
import type { CoreSlot } from "./slot.ts";

export interface NodeObserver {
  /**
   * The core is about to take this interrupt. Its state is still that of the interrupted code; the vector is not yet in
   * service.
   */
  interrupt?(slot: CoreSlot, vector: number): void;
  nmi?(slot: CoreSlot): void;
  init?(slot: CoreSlot): void;
  startup?(slot: CoreSlot, page: number): void;
  /** The core is about to run some instructions, or has run them. The host decides how many. */
  beforeRun?(slot: CoreSlot): void;
  ran?(slot: CoreSlot, result: RunResult): void;
  /** A core has written its ICR. One call per target. */
  interprocessor?(source: number, target: number, mode: number, vector: number): void;
  endOfInterrupt?(core: number, vector: number): void;
  /** The guest did what the manuals forbid. One line that includes the place. */
  error?(line: string): void;
  exit?(why: string, status: number): void;
  /** A whole line of the console, Latin-1. */
  consoleLine?(line: string): void;
  /** The kernel has printed its ready line. */
  ready?(): void;
}
