/**
 * A Machine as the stub's target: it uses run control to run and inspect the machine, and the images for what gdb reads
 * before anything is mapped.
 *
 * Memory that is not mapped yet is read from the images: before boot the kernel's high half, before a job its program.
 * gdb reads code when it sets a breakpoint, and would otherwise refuse to set any before boot. Writes there fail.
 */
import type { Place, WatchKind } from "../cpu/engine.ts";
import type { RunControl, StepRequest } from "../machine/control.ts";
import type { RunOptions, RunReason } from "../machine/machine.ts";
import { type LoadedImage, loadedBytes } from "./image.ts";
import type { CoreId, CoreRegisters, OwnPoints, Target, TargetFile, TargetStop, Task } from "./target.ts";

export interface MachineTargetOptions {
  readonly control: RunControl;
  /** Kernel first, then the images in jobs' address spaces: init, the program. */
  readonly images: readonly LoadedImage[];
  /** Answers `monitor`. */
  readonly monitor: (id: CoreId, command: string, points: OwnPoints) => string;
  readonly describe: (id: CoreId) => string;
  readonly tasks: (nid: number) => readonly Task[];
}

export class MachineTarget implements Target {
  readonly nids: readonly number[];
  readonly files: readonly TargetFile[];
  /** The run's own reason why the last `advance` returned "end", "fault" or "idle". */
  reason: RunReason = "slice";
  /** Limits of the owner's run; set before each `advance`. */
  runOptions: RunOptions = {};
  private readonly control: RunControl;
  /** Cores whose RIP the debugger has set since the machine last ran, by `nid.core`. */
  private readonly moved = new Set<string>();
  /** A guest has given up; the machine would continue without it. */
  private gaveUp = false;

  constructor(private readonly options: MachineTargetOptions) {
    this.control = options.control;
    this.nids = this.control.machine.nodes.map((node) => node.nid);
    this.files = options.images;
  }

  cores(nid: number): number {
    return this.control.machine.node(nid)?.engine.cores.length ?? 0;
  }
  registers({ nid, core }: CoreId): CoreRegisters {
    const registers = this.control.core(nid, core);
    return {
      register: (name) => registers.register(name),
      setRegister: (name, value) => {
        registers.setRegister(name, value);
        if (name === "rip") this.moved.add(`${nid}.${core}`);
      },
      readFx: () => registers.readFx(),
      writeFx: (image) => registers.writeFx(image),
    };
  }
  /** Calls of functions and jumps, where the core would not execute what it is sent to. */
  refusal({ nid, core }: CoreId): string | undefined {
    if (!this.moved.has(`${nid}.${core}`)) return undefined;
    const { halted, cpl, rip } = this.control.core(nid, core);
    const name = `n${nid}.c${core}`;
    if (halted) return `${name} is halted and executes nothing: select a core that runs`;
    if (cpl === 3 && rip >> 63n !== 0n)
      return `${name} is in user mode and cannot execute the kernel's code at 0x${rip.toString(16)}: stop in the kernel first`;
    return undefined;
  }

  read({ nid, core }: CoreId, address: bigint, length: number): Uint8Array {
    const bytes = this.control.readMemory(nid, core, address, length);
    if (bytes.length > 0 || length === 0) return bytes;
    return this.control.translate(nid, core, address) === undefined
      ? loadedBytes(this.options.images, address, length)
      : bytes;
  }
  readLoaded({ nid }: CoreId, address: bigint, length: number): Uint8Array | undefined {
    for (const { segments } of this.options.images) {
      for (const { physical, address: linked, bytes } of segments) {
        if (physical === linked || address < physical || address >= physical + BigInt(bytes.length)) continue;
        return this.control.readPhysical(nid, Number(address), length);
      }
    }
    return undefined;
  }
  write({ nid, core }: CoreId, address: bigint, bytes: Uint8Array): boolean {
    // All or nothing: first checks that the whole range exists.
    if (this.control.readMemory(nid, core, address, bytes.length).length < bytes.length) return false;
    return this.control.writeMemory(nid, core, address, bytes) === bytes.length;
  }

  addBreakpoint(nid: number, place: Place): number {
    return this.control.addBreakpoint(nid, place);
  }
  removeBreakpoint(nid: number, id: number): void {
    this.control.removeBreakpoint(nid, id);
  }
  addWatchpoint(nid: number, place: Place, bytes: number, kind: WatchKind): number {
    return this.control.addWatchpoint(nid, place, bytes, kind);
  }
  removeWatchpoint(nid: number, id: number): void {
    this.control.removeWatchpoint(nid, id);
  }

  advance(budget: number, steps: readonly StepRequest[]): TargetStop {
    if (this.gaveUp) return { kind: "end" };
    this.moved.clear();
    const result = this.control.runSlice(budget, steps, this.runOptions);
    const { machine } = this.control;
    switch (result.reason) {
      case "step":
        return { kind: "step", nid: result.nid, core: result.core };
      case "breakpoint":
        return { kind: "breakpoint", nid: result.nid, core: result.core, id: result.id! };
      case "watchpoint": {
        const { virtual, write } = result.accessed!;
        return { kind: "watchpoint", nid: result.nid, core: result.core, id: result.id!, virtual, write };
      }
      case "slice":
        return { kind: "slice" };
    }
    this.reason = result.reason;
    if (result.reason === "idle") return { kind: "idle" };
    const stop =
      result.reason === "fault" ? machine.fault : result.reason === "exit" ? machine.exits.at(-1) : undefined;
    // An orderly exit ends the run; a guest that gave up can still be inspected.
    if (stop !== undefined && !(stop.kind === "exit" && stop.status === 0)) {
      this.gaveUp = true;
      const text = `n${stop.nid}.c${Math.max(stop.core, 0)}: ${stop.text}${stop.kind === "exit" ? ` with status ${stop.status}` : ""}`;
      return { kind: "fault", text, nid: stop.nid, core: Math.max(stop.core, 0) };
    }
    return { kind: "end" };
  }

  describe(id: CoreId): string {
    return this.options.describe(id);
  }
  tasks(nid: number): readonly Task[] {
    return this.options.tasks(nid);
  }
  taskOf({ nid, core }: CoreId): Task | undefined {
    const space = this.control.space(nid, core);
    return this.options.tasks(nid).find((task) => task.space === space);
  }
  libraries(): readonly TargetFile[] {
    return this.files.slice(1);
  }
  monitor(id: CoreId, command: string, points: OwnPoints): string {
    return this.options.monitor(id, command, points);
  }
}
