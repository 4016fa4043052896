/**
 * The kernel's own tables, read from a node's memory with the layout in the kernel's debug information: its tasks, and
 * which task runs on a core. A kernel without these tables or without debug information shows cores by symbol only.
 * Reading changes nothing.
 */
import { KERNEL_BASE } from "../abi/memory.ts";
import { Cr0 } from "../abi/x86.ts";
import type { RunControl } from "../machine/control.ts";
import type { Symboliser } from "../trace/symbolise.ts";
import type { CoreId, Task } from "./target.ts";
import { type Datum, ImageTypes } from "./types.ts";

/** By value: kernel/core/task.ts, TaskState. */
export const taskStates = ["free", "loading", "init", "running", "ending", "fan-in"] as const;
const LOADING = 1;
const INIT = 2;
const ENDING = 4;

export interface KernelTask extends Task {
  readonly slot: number;
  readonly state: number;
  readonly jobId: number;
  readonly rank: number;
  readonly size: number;
  /** Bit n: the task owns core n. */
  readonly cores: bigint;
  readonly datum: Datum;
}

const PAGE_MASK = 0xf_ffff_ffff_f000n;
const FREE = 0;

export class KernelView {
  /** `program`: the job's program; empty: no job is known. */
  constructor(
    readonly control: RunControl,
    private readonly kernel: Uint8Array,
    private readonly symbols: () => Symboliser,
    readonly program: string,
  ) {}

  /** Symbols and debug information are read on demand, so a run without a debugger does not pay for them. */
  get symboliser(): Symboliser {
    return this.symbols();
  }

  /** A global variable of the kernel on a node; undefined: the kernel has no such variable. */
  global(nid: number, name: string): Datum | undefined {
    return ImageTypes.fromElf(this.kernel).global(name, (address, length) =>
      this.control.readMemory(nid, 0, address, length),
    );
  }

  /** All slots in use, in order. */
  allTasks(nid: number): readonly KernelTask[] {
    const found: KernelTask[] = [];
    for (const [slot, datum] of (this.global(nid, "tasks")?.elements ?? []).entries()) {
      const state = datum.numberOf("state");
      if (state === FREE || state >= taskStates.length) continue;
      found.push({
        slot,
        state,
        datum,
        pid: datum.numberOf("pid"),
        jobId: datum.numberOf("jobId"),
        rank: datum.numberOf("rank"),
        size: datum.numberOf("size"),
        cores: datum.bits("cores"),
        space: Number((datum.field("space")?.bits("root") ?? 0n) & PAGE_MASK),
      });
    }
    return found;
  }

  /** Tasks with an address space. */
  tasks(nid: number): readonly KernelTask[] {
    return this.allTasks(nid).filter((task) => task.state >= LOADING && task.state <= ENDING && task.space !== 0);
  }

  /** The task of the core's thread; also while the kernel works for it or it waits. */
  taskOn({ nid, core }: CoreId): KernelTask | undefined {
    const pointer = this.global(nid, "cpus")?.elements[core]?.bits("task") ?? 0n;
    return pointer === 0n ? undefined : this.allTasks(nid).find((task) => task.datum.address === pointer);
  }

  /** `hello rank 1`, `init rank 1`; `init` until it knows its rank. */
  taskName(task: KernelTask): string {
    if (task.size === 0) return "init";
    return `${task.state <= INIT ? "init" : this.program || `job ${task.jobId}`} rank ${task.rank}`;
  }

  /** `space_free+0x12, kernel/mm/space.ts:88`; also for code that runs at its physical address before paging. */
  place(id: CoreId, address: bigint): string {
    return this.symboliser.describe(this.linked(id, address)) ?? `0x${address.toString(16)}`;
  }
  /** Only the function. */
  functionAt(id: CoreId, address: bigint): string | undefined {
    return this.symboliser.nameOf(this.linked(id, address))?.replace(/^.*\/[^.]*\.|\+0x[0-9a-f]+$/g, "");
  }
  private linked({ nid, core }: CoreId, address: bigint): bigint {
    const paging = (this.control.core(nid, core).register("cr0") & BigInt(Cr0.PG)) !== 0n;
    return paging ? address : address + KERNEL_BASE;
  }

  /** Activity of a core: `user hello rank 1`, `kernel do_irq for hello rank 1`, `idle`. */
  describe(id: CoreId): string {
    const core = this.control.core(id.nid, id.core);
    const task = this.taskOn(id);
    const name = task === undefined ? undefined : this.taskName(task);
    if (core.cpl === 3) return `user ${name ?? "program"}`;
    if (core.halted && name === undefined) return core.save().waitingForStartup ? "not started" : "idle";
    const where = this.functionAt(id, core.rip) ?? `0x${core.rip.toString(16)}`;
    const whose = name === undefined ? "" : ` for ${name}`;
    return core.halted ? `kernel waits in ${where}${whose}` : `kernel ${where}${whose}`;
  }
}
