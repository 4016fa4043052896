/**
 * Run control: what a debugger does to a machine. Breakpoints, watchpoints, steps, registers and memory, by nid and
 * core.
 *
 * Looking and stopping change nothing that the guest, the trace or the state hash can see: the schedule is the one of a
 * machine without a debugger. So there is no "only this core": a step runs until its core has retired, and the others
 * go on as the schedule says. Where a run stops, cores that the schedule runs later in the window stand at an earlier
 * virtual time (`core.time` tells). What writes (registers, memory) changes the run, as it is meant to.
 */
import type { Core, Place, WatchKind } from "../cpu/engine.ts";
import type { Machine, RunOptions, RunReason } from "./machine.ts";
import type { Node } from "./node.ts";

/**
 * A core stops as soon as it has retired at least one instruction and its rip is outside [start, end); without a range,
 * after one. A halted core first waits for its event. The instruction at its rip is executed even if a breakpoint is
 * there.
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

const PAGE = 0x1000;
const nothing = new Uint8Array(0);
const noSteps: readonly StepRequest[] = [];
/** The empty range: every rip is outside. */
const ANYWHERE = { start: 0n, end: 0n };

/** Throws RangeError for a nid or a core that the machine does not have. */
export class RunControl {
  /** Those that the nodes have. */
  private steps = noSteps;

  constructor(readonly machine: Machine) {}

  /** A core of the node that is about to execute the instruction at `where` stops. Id > 0, unique within the node. */
  addBreakpoint(nid: number, where: Place): number {
    return this.node(nid).engine.addBreakpoint(where);
  }
  removeBreakpoint(nid: number, id: number): void {
    this.node(nid).engine.removeBreakpoint(id);
  }
  /**
   * A core of the node that accesses any of `bytes` bytes from `where` stops after the instruction. Id > 0, unique
   * within the node.
   */
  addWatchpoint(nid: number, where: Place, bytes: number, kind: WatchKind): number {
    return this.node(nid).engine.addWatchpoint(where, bytes, kind);
  }
  removeWatchpoint(nid: number, id: number): void {
    this.node(nid).engine.removeWatchpoint(id);
  }

  /**
   * Runs about `budget` instructions of the whole machine, then says "slice"; or less, up to a stop or an end. The same
   * `steps` (the same array) in the next call go on as they are; others replace them; when one of them is completed,
   * all of them are over. Where slices end changes nothing: a debugger interrupts the machine by not calling again, and
   * every core then stands at an instruction boundary.
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

  /** The address space of a core, as `Place.space` has it: CR3 without its flags. */
  space(nid: number, core: number): number {
    return Number(this.core(nid, core).register("cr3") & 0xf_ffff_ffff_f000n);
  }

  /**
   * Physical address by the page tables of the core, whatever its TLB holds and whatever rights there are. undefined:
   * not mapped.
   */
  translate(nid: number, core: number, virtual: bigint): number | undefined {
    return this.core(nid, core).translate(virtual);
  }

  /**
   * As many of the bytes as are there: the result ends at the first that is not mapped or not RAM. Devices are not
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
   * How many bytes were written: up to the first that is not mapped or not RAM. Rights do not matter; code is
   * translated anew.
   */
  writeMemory(nid: number, core: number, virtual: bigint, data: Uint8Array): number {
    return this.eachPage(virtual, data.length, (at, length, done) => {
      const physical = this.translate(nid, core, at);
      return physical === undefined ? 0 : this.writePhysical(nid, physical, data.subarray(done, done + length));
    });
  }
  /** As `readMemory`, a copy; physical memory has an end and a hole. */
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

  /** Visits the parts that lie in one page each, until one could not be done whole. Returns how many bytes were. */
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
