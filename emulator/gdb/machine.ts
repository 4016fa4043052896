/**
 * A Machine as the stub's target: run control for what moves and is looked at, the images for what gdb reads before
 * anything is mapped.
 *
 * Memory that is not mapped yet reads as the images have it: before boot the kernel's high half, before a job its
 * program. gdb looks at code when it sets a breakpoint, and would otherwise refuse to set any before boot. Nothing can
 * be written there.
 */
import type { Place, WatchKind } from "../cpu/engine.ts";
import type { RunControl, StepRequest } from "../machine/control.ts";
import type { RunOptions, RunReason } from "../machine/machine.ts";
import { type LoadedImage, loadedBytes } from "./image.ts";
import type { CoreId, CoreRegisters, OwnPoints, Target, TargetFile, TargetStop, Task } from "./target.ts";

export interface MachineTargetOptions {
  readonly control: RunControl;
  /** Kernel first, then what lies in jobs' address spaces: init, the program. */
  readonly images: readonly LoadedImage[];
  /** What `monitor` answers. */
  readonly monitor: (id: CoreId, command: string, points: OwnPoints) => string;
  readonly describe: (id: CoreId) => string;
  readonly tasks: (nid: number) => readonly Task[];
}

export class MachineTarget implements Target {
  readonly nids: readonly number[];
  readonly files: readonly TargetFile[];
  /** Why the last `advance` came back with "end", "fault" or "idle": the run's own reason. */
  reason: RunReason = "slice";
  /** Until when and where the owner wants to run; set before each `advance`. */
  runOptions: RunOptions = {};
  private readonly control: RunControl;
  /** A guest did; the machine would go on without it. */
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
    return this.control.core(nid, core);
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
    // All or nothing: whether all of it is there is asked first.
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
    // An orderly exit is the run's end; a guest that gave up is worth a look.
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
