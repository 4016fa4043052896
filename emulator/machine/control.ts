/**
 * Run control, the debugger's access to a machine: breakpoints, watchpoints, steps, registers and memory, by nid and
 * core.
 *
 * Looking and stopping change nothing that the guest, the trace or the state hash can see: the schedule is the one of a
 * machine without a debugger. A single core cannot run alone: a step runs until its core has retired the instruction,
 * and the other cores follow the schedule. When a run stops, cores that the schedule runs later in the window stand at
 * an earlier virtual time (see `core.time`). Writes to registers and memory do change the run; that is their purpose.
 */
import type { Core, Place, WatchKind } from "../cpu/engine.ts";
import type { Machine, RunOptions, RunReason } from "./machine.ts";
import type { Node } from "./node.ts";

/**
 * The core stops once it has retired at least one instruction and its rip is outside [start, end); without a range,
 * after one instruction. A halted core first waits for its event. The instruction at its rip is executed even if a
 * breakpoint is there.
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
  /** Virtual time of that core, ns. */
  readonly time: number;
  /** breakpoint, watchpoint: the id, unique within the node. */
  readonly id?: number;
  /** watchpoint: the first byte accessed in the watched range, and whether the access was a write. */
  readonly accessed?: { readonly virtual: bigint; readonly write: boolean };
}
/** A debug stop, or another reason why the machine returned (RunReason in machine.ts explains each). */
export type ControlResult = DebugStop | { readonly reason: Exclude<RunReason, "breakpoint"> };

const PAGE = 0x1000;
const nothing = new Uint8Array(0);
const noSteps: readonly StepRequest[] = [];
/** The empty range: every rip is outside. */
const ANYWHERE = { start: 0n, end: 0n };

/** The methods throw RangeError if the machine has no such nid or core. */
export class RunControl {
  /** The steps now set in the nodes. */
  private steps = noSteps;

  constructor(readonly machine: Machine) {}

  /**
   * Stops a core of the node before it executes the instruction at `where`. Returns an id > 0, unique within the node.
   */
  addBreakpoint(nid: number, where: Place): number {
    return this.node(nid).engine.addBreakpoint(where);
  }
  removeBreakpoint(nid: number, id: number): void {
    this.node(nid).engine.removeBreakpoint(id);
  }
  /**
   * Stops a core of the node after an instruction that accesses any of the `bytes` bytes from `where`. Returns an id >
   * 0, unique within the node.
   */
  addWatchpoint(nid: number, where: Place, bytes: number, kind: WatchKind): number {
    return this.node(nid).engine.addWatchpoint(where, bytes, kind);
  }
  removeWatchpoint(nid: number, id: number): void {
    this.node(nid).engine.removeWatchpoint(id);
  }

  /**
   * Runs about `budget` instructions of the whole machine and returns "slice", or returns earlier at a stop or an end.
   * If the next call passes the same `steps` array, its steps continue; another array replaces them. When one step
   * completes, all of them are cancelled. Slice boundaries change nothing in the run. A debugger interrupts the machine
   * by not calling again; every core is then at an instruction boundary.
   */
  runSlice(budget: number, steps: readonly StepRequest[] = noSteps, options: RunOptions = {}): ControlResult {
    if (steps !== this.steps) this.setSteps(steps);
    const reason = this.machine.runSlice(budget, options);
    if (reason !== "breakpoint") return { reason };
    const { kind, nid, core, time, id, accessed } = this.machine.breakpoint!;
    if (kind === "step") this.setSteps(noSteps);
    return { reason: kind as DebugStop["reason"], nid, core, time, id, accessed };
  }

  private setSteps(steps: readonly StepRequest[]): void {
    for (const { nid, core } of steps) this.core(nid, core);
    this.steps = steps;
    for (const node of this.machine.nodes) {
      const own = steps.filter(({ nid }) => nid === node.nid);
      node.setSteps(new Map(own.map(({ core, range }) => [core, range ?? ANYWHERE])));
    }
  }

  /** Registers: `core(…).register(name)`, `setRegister(name, value)`, `save()`; `rip`, `cpl`, `time`, `halted`. */
  core(nid: number, core: number): Core {
    const found = this.node(nid).engine.cores[core];
    if (found === undefined) throw new RangeError(`run control: node ${nid} has no core ${core}`);
    return found;
  }

  /** The address space of a core in the form of `Place.space`: CR3 without its flags. */
  space(nid: number, core: number): number {
    return Number(this.core(nid, core).register("cr3") & 0xf_ffff_ffff_f000n);
  }

  /** Physical address by the core's page tables, ignoring its TLB and access rights. undefined: not mapped. */
  translate(nid: number, core: number, virtual: bigint): number | undefined {
    return this.core(nid, core).translate(virtual);
  }

  /**
   * Reads up to `bytes` bytes; the result ends before the first byte that is not mapped or not RAM. Devices are not
   * read.
   */
  readMemory(nid: number, core: number, virtual: bigint, bytes: number): Uint8Array {
    const parts: Uint8Array[] = [];
    this.eachPage(virtual, bytes, (at, length) => {
      const physical = this.translate(nid, core, at);
      const part = physical === undefined ? nothing : this.readPhysical(nid, physical, length);
      parts.push(part);
      return part.length;
    });
    return Buffer.concat(parts);
  }
  /**
   * Returns how many bytes were written, up to the first that is not mapped or not RAM. Access rights are ignored;
   * translated code is discarded.
   */
  writeMemory(nid: number, core: number, virtual: bigint, data: Uint8Array): number {
    return this.eachPage(virtual, data.length, (at, length, done) => {
      const physical = this.translate(nid, core, at);
      return physical === undefined ? 0 : this.writePhysical(nid, physical, data.subarray(done, done + length));
    });
  }
  /**
   * Like `readMemory`, by physical address. The result is a copy, and it ends at the end of RAM or at the device hole.
   */
  readPhysical(nid: number, physical: number, bytes: number): Uint8Array {
    const { ram } = this.node(nid);
    const parts: Uint8Array[] = [];
    this.eachRamPage(nid, physical, bytes, (offset, length) => parts.push(ram.slice(offset, offset + length)));
    return Buffer.concat(parts);
  }
  writePhysical(nid: number, physical: number, data: Uint8Array): number {
    const node = this.node(nid);
    return this.eachRamPage(nid, physical, data.length, (offset, length, done) => {
      node.ram.set(data.subarray(done, done + length), offset);
      node.written(offset, length);
    });
  }

  private eachRamPage(
    nid: number,
    physical: number,
    bytes: number,
    visit: (offset: number, length: number, done: number) => void,
  ): number {
    const node = this.node(nid);
    return this.eachPage(BigInt(physical), bytes, (at, length, done) => {
      const offset = node.offset(Number(at), length);
      if (offset < 0) return 0;
      visit(offset, length, done);
      return length;
    });
  }

  /**
   * Visits the parts of the range page by page until one was not handled whole. Returns the number of bytes handled.
   */
  private eachPage(first: bigint, bytes: number, visit: (at: bigint, length: number, done: number) => number): number {
    let done = 0;
    while (done < bytes) {
      const at = BigInt.asUintN(64, first + BigInt(done));
      const length = Math.min(bytes - done, PAGE - Number(at % BigInt(PAGE)));
      const served = visit(at, length, done);
      done += served;
      if (served < length) break;
    }
    return done;
  }

  private node(nid: number): Node {
    const found = this.machine.node(nid);
    if (found === undefined) throw new RangeError(`run control: there is no node ${nid}`);
    return found;
  }
}
