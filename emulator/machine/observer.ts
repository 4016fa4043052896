/**
 * What can be seen of a node from outside: trace, diagnostics, strict checks and measurements subscribe to it. An
 * observer changes nothing that the guest sees; it may ask the node to stop. `core.time` is exact in every call.
 */
import type { RunResult } from "../cpu/engine.ts";
import type { CoreSlot } from "./slot.ts";

export interface NodeObserver {
  /** The core is about to take this interrupt: still as the interrupted code left it, the vector not yet in service. */
  interrupt?(slot: CoreSlot, vector: number): void;
  nmi?(slot: CoreSlot): void;
  init?(slot: CoreSlot): void;
  startup?(slot: CoreSlot, page: number): void;
  /** A piece of the core's instructions is about to run, or has run; how long pieces are is a matter of the host. */
  beforeRun?(slot: CoreSlot): void;
  ran?(slot: CoreSlot, result: RunResult): void;
  /** A core has written its ICR: one call a target. */
  interprocessor?(source: number, target: number, mode: number, vector: number): void;
  endOfInterrupt?(core: number, vector: number): void;
  /** The guest did what the manuals forbid. One line, with its place. */
  error?(line: string): void;
  exit?(why: string, status: number): void;
  /** A whole line of the console, Latin-1. */
  consoleLine?(line: string): void;
  /** The kernel's ready line is out. */
  ready?(): void;
}
