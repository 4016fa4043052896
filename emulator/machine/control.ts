/**
 * Run control: what a debugger does to a machine. Breakpoints, watchpoints, steps, registers and memory, by nid and core.
 *
 * Looking and stopping change nothing that the guest, the trace or the state hash can see: the schedule is the one of a machine without a
 * debugger. So there is no "only this core": a step runs until its core has retired, and the others go on as the schedule says. Where a
 * run stops, cores that the schedule runs later in the window stand at an earlier virtual time (`core.time` tells).
 * What writes (registers, memory) changes the run, as it is meant to.
 */
import type { Core, Place, WatchKind } from "../cpu/engine.ts";
import type { Machine, RunOptions, RunReason } from "./machine.ts";
import type { Node } from "./node.ts";

/**
 * A core stops as soon as it has retired at least one instruction and its rip is outside [start, end); without a range, after one.
 * A halted core first waits for its event. The instruction at its rip is executed even if a breakpoint is there.
 */
export interface StepRequest {
  readonly nid: number;
  readonly core: number;
  readonly range?: { readonly start: bigint; readonly end: bigint };
}

/** Where a run has stopped: at an instruction boundary of this core, at its exact virtual time. */
export interface DebugStop {
  readonly reason: "breakpoint" | "watchpoint" | "step";
  readonly nid: number;
  readonly core: number;
  /** Virtual ns of that core. */
  readonly time: number;
  /** breakpoint, watchpoint: its id, unique within the node. */
  readonly id?: number;
  /** watchpoint: first byte accessed within it, and whether the access was a write. */
  readonly accessed?: { readonly virtual: bigint; readonly write: boolean };
}
/** A stop, or why the machine came back otherwise (machine.ts tells what each means). */
export type ControlResult = DebugStop | { readonly reason: Exclude<RunReason, "breakpoint"> };

/** Throws RangeError for a nid or a core that the machine does not have. */
export class RunControl {
  constructor(readonly machine: Machine) {}

  /** A core of the node that is about to execute the instruction at `where` stops. Id > 0, unique within the node. */
  addBreakpoint(nid: number, where: Place): number {
    return this.node(nid).engine.addBreakpoint(where);
  }
  removeBreakpoint(nid: number, id: number): void {
    this.node(nid).engine.removeBreakpoint(id);
  }
  /** A core of the node that accesses any of `bytes` bytes from `where` stops after the instruction. Id > 0, unique within the node. */
  addWatchpoint(nid: number, where: Place, bytes: number, kind: WatchKind): number {
    return this.node(nid).engine.addWatchpoint(where, bytes, kind);
  }
  removeWatchpoint(nid: number, id: number): void {
    this.node(nid).engine.removeWatchpoint(id);
  }

  /**
   * Runs about `budget` instructions of the whole machine, then says "slice"; or less, up to a stop or an end. `steps` hold until the next
   * call that has others, or until one of them is completed; then all of them are over. Where slices end changes nothing: a debugger
   * interrupts the machine by not calling again, and every core then stands at an instruction boundary.
   */
  runSlice(_budget: number, _steps: readonly StepRequest[] = [], _options: RunOptions = {}): ControlResult {
    throw new Error("run control: not yet");
  }

  /** Registers: `core(…).register(name)`, `setRegister(name, value)`, `save()`; `rip`, `cpl`, `time`, `halted`. */
  core(nid: number, core: number): Core {
    const found = this.node(nid).engine.cores[core];
    if (found === undefined) throw new RangeError(`run control: node ${nid} has no core ${core}`);
    return found;
  }

  /** The address space of a core, as `Place.space` has it: CR3 without its flags. */
  space(nid: number, core: number): number {
    return Number(this.core(nid, core).register("cr3") & 0xf_ffff_ffff_f000n);
  }

  /** Physical address by the page tables of the core, whatever its TLB holds and whatever rights there are. undefined: not mapped. */
  translate(nid: number, core: number, virtual: bigint): number | undefined {
    return this.core(nid, core).translate(virtual);
  }

  /** As many of the bytes as are there: the result ends at the first that is not mapped or not RAM. Devices are not read. */
  readMemory(_nid: number, _core: number, _virtual: bigint, _bytes: number): Uint8Array {
    throw new Error("run control: not yet");
  }
  /** How many bytes were written: up to the first that is not mapped or not RAM. Rights do not matter; code is translated anew. */
  writeMemory(_nid: number, _core: number, _virtual: bigint, _data: Uint8Array): number {
    throw new Error("run control: not yet");
  }
  readPhysical(_nid: number, _physical: number, _bytes: number): Uint8Array {
    throw new Error("run control: not yet");
  }
  writePhysical(_nid: number, _physical: number, _data: Uint8Array): number {
    throw new Error("run control: not yet");
  }

  private node(nid: number): Node {
    const found = this.machine.node(nid);
    if (found === undefined) throw new RangeError(`run control: there is no node ${nid}`);
    return found;
  }
}
