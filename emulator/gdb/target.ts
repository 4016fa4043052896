/**
 * What the stub needs of a machine; `machine.ts` makes one of Machine and RunControl, tests have a toy. Everything is
 * synchronous. The machine moves in `advance` only, and always as a whole: virtual time is common to all cores, so that
 * "this core alone" cannot be asked for. A step is the machine going on until that core has retired one instruction.
 */
import type { Core, Place, WatchKind } from "../cpu/engine.ts";
import type { StepRequest } from "../machine/control.ts";

/** A core, as gdb's thread p<nid>.<core + 1>. */
export interface CoreId {
  readonly nid: number;
  readonly core: number;
}

/** Registers as the engine has them: names as in cpu/engine.ts. */
export type CoreRegisters = Pick<Core, "register" | "setRegister" | "readFx" | "writeFx">;

/** Why the machine came to a stand, and whose core did it. */
export type TargetStop =
  /** A core's step is complete. */
  | ({ readonly kind: "step" } & CoreId)
  | ({ readonly kind: "breakpoint"; readonly id: number } & CoreId)
  /** `virtual`: first byte accessed. */
  | ({ readonly kind: "watchpoint"; readonly id: number; readonly virtual: bigint; readonly write: boolean } & CoreId)
  /**
   * A guest did what stops a machine: triple fault, or under --strict a device error. The state can be looked at; it
   * cannot go on.
   */
  | ({ readonly kind: "fault"; readonly text: string } & CoreId)
  /** A process is over: by `signal`, or if that is 0 by itself with `status`. The others stand. */
  | { readonly kind: "exit"; readonly nid: number; readonly status: number; readonly signal: number }
  /** A process has a signal of its own: a fault, or a stop that was asked for. */
  | ({ readonly kind: "signal"; readonly signal: number } & CoreId)
  /** Every core is halted and nothing is under way. */
  | { readonly kind: "idle" }
  /**
   * Nothing that concerns the debugger: the budget is used up, or the run has come to its own end, which is the
   * session's to handle.
   */
  | { readonly kind: "slice" }
  | { readonly kind: "end" };

/** `monitor break`, `monitor watch` and their like. */
export type OwnKind = "break" | "watch" | "rwatch" | "awatch";
/** Points that the debugger's user sets by monitor commands, in places that gdb has no words for. */
export interface OwnPoints {
  /** The point's number, for `removeOwn`; undefined: the engine cannot watch that. */
  addOwn(nid: number, place: Place, what: OwnKind, bytes: number): number | undefined;
  /** False: the node has no such point. */
  removeOwn(nid: number, id: number): boolean;
  readonly own: readonly { readonly nid: number; readonly id: number; readonly place: Place; readonly what: OwnKind }[];
}

/** How the debugger means it to go on. */
export interface Going {
  /** Only the threads that step: gdb has taken points out to pass one of them, and means the others to stand. */
  readonly exclusive: boolean;
  /**
   * Threads that are to stand while the others go on (scheduler-locking). Processes can; the cores of a machine cannot.
   */
  readonly standing: readonly CoreId[];
  /** Threads whose signal is to take its course. A machine has no signals. */
  readonly delivered: readonly CoreId[];
}

/** How the machine goes on. */
export interface Resumption extends Going {
  /** Cores that are to stop when their step is complete. */
  readonly steps: readonly StepRequest[];
}

export interface Target {
  readonly nids: readonly number[];
  /** Cores of a node; 0 for an unknown nid. */
  cores(nid: number): number;
  /** False: processes, without the registers of a system. */
  readonly system?: false;
  /** Whether the core has a thread; absent: each has. */
  present?(id: CoreId): boolean;
  /**
   * The debugger wants a stop that the target has not found itself. Absent: it stands whenever nobody calls `advance`.
   */
  halt?(): void;
  /** The debugger has let everything go, or this one process. */
  release?(nid?: number): void;

  registers(id: CoreId): CoreRegisters;

  /**
   * Bytes at a virtual address as the core's page tables have it (physical with paging off), up to the first that is
   * not RAM. No side effects.
   */
  read(id: CoreId, address: bigint, length: number): Uint8Array;
  /**
   * The same at an address where a loader has put an image: its physical one. undefined: no image lies there, or that
   * is where it runs.
   */
  readLoaded?(id: CoreId, address: bigint, length: number): Uint8Array | undefined;
  /** All or nothing; permissions of pages do not matter. */
  write(id: CoreId, address: bigint, bytes: Uint8Array): boolean;

  addBreakpoint(nid: number, place: Place): number;
  removeBreakpoint(nid: number, id: number): void;
  addWatchpoint(nid: number, place: Place, bytes: number, kind: WatchKind): number;
  removeWatchpoint(nid: number, id: number): void;

  /**
   * Goes on for about `budget` instructions, or until one of `steps` is complete: the core has retired an instruction
   * and is out of its range.
   */
  advance(budget: number, steps: readonly StepRequest[], going?: Going): TargetStop;

  /** What the core does, for people: "user hello rank 1", "kernel", "idle". */
  describe(id: CoreId): string;
  /** The job tasks that the node has now, oldest first. */
  tasks(nid: number): readonly Task[];
  /** The task in whose address space the core is. */
  taskOf(id: CoreId): Task | undefined;

  /** Files that gdb may read from us: kernel, init, program. */
  readonly files: readonly TargetFile[];
  /** What lies in the address spaces of the node beside the kernel: init, and the program once the job has started. */
  libraries(nid: number): readonly TargetFile[];
  /** `monitor COMMAND`: the answer. */
  monitor(id: CoreId, command: string, points: OwnPoints): string;
}

export interface Task {
  readonly pid: number;
  /** CR3 bits 12–51 of its address space. */
  readonly space: number;
}

export interface TargetFile {
  /** Absolute path on the host, where gdb finds it itself if it runs there. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Lowest linked address of its segments. */
  readonly base: bigint;
}
