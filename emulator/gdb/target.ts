/**
 * What the stub needs from a machine; `machine.ts` implements it with Machine and RunControl, tests with a toy.
 * Everything is synchronous. The machine runs only in `advance`, and always as a whole: all cores share virtual time,
 * so one core cannot run alone. During a step the machine runs until that core has retired one instruction.
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

/** Why the target stopped, and which core caused it. */
export type TargetStop =
  /** A core's step is complete. */
  | ({ readonly kind: "step" } & CoreId)
  | ({ readonly kind: "breakpoint"; readonly id: number } & CoreId)
  /** `virtual`: first byte accessed. */
  | ({ readonly kind: "watchpoint"; readonly id: number; readonly virtual: bigint; readonly write: boolean } & CoreId)
  /**
   * A guest did something that stops a machine: triple fault, or under --strict a device error. The state can be
   * inspected; the machine cannot continue.
   */
  | ({ readonly kind: "fault"; readonly text: string } & CoreId)
  /** A process has ended: by `signal`, or if that is 0, by itself with `status`. The others are stopped. */
  | { readonly kind: "exit"; readonly nid: number; readonly status: number; readonly signal: number }
  /** A thread is at the entry or the return of a system call that the debugger catches. */
  | ({ readonly kind: "call"; readonly number: number; readonly isEntry: boolean } & CoreId)
  /** A process has a signal: a fault, or a requested stop. */
  | ({ readonly kind: "signal"; readonly signal: number } & CoreId)
  /** Every core is halted and nothing is in flight. */
  | { readonly kind: "idle" }
  /** Nothing for the debugger: the budget is used up, or the run has ended by itself, which the session handles. */
  | { readonly kind: "slice" }
  | { readonly kind: "end" };

/** `monitor break`, `monitor watch` and similar commands. */
export type OwnKind = "break" | "watch" | "rwatch" | "awatch";
/** Points that the user sets by monitor commands, in places that gdb cannot express. */
export interface OwnPoints {
  /** The point's number, for `removeOwn`; undefined: the engine cannot watch that. */
  addOwn(nid: number, place: Place, what: OwnKind, bytes: number): number | undefined;
  /** False: the node has no such point. */
  removeOwn(nid: number, id: number): boolean;
  readonly own: readonly { readonly nid: number; readonly id: number; readonly place: Place; readonly what: OwnKind }[];
}

/** How the debugger wants to resume. */
export interface Going {
  /** Resume only the stepping threads: gdb has removed points to pass one of them, and wants the others stopped. */
  readonly exclusive: boolean;
  /**
   * Threads that stay stopped while the others run (scheduler-locking). Possible for processes, not for the cores of a
   * machine.
   */
  readonly standing: readonly CoreId[];
  /** Threads whose signal takes effect. A machine has no signals. */
  readonly delivered: readonly CoreId[];
}

/** How the machine resumes. */
export interface Resumption extends Going {
  /** Cores that stop when their step is complete. */
  readonly steps: readonly StepRequest[];
}

export interface Target {
  readonly nids: readonly number[];
  /** Cores of a node; 0 for an unknown nid. */
  cores(nid: number): number;
  /** False: the target consists of processes, without system registers. */
  readonly system?: false;
  /** Whether the core has a thread; absent: each has. */
  present?(id: CoreId): boolean;
  /** The debugger requests a stop. Absent: the target is stopped whenever `advance` is not called. */
  halt?(): void;
  /** The debugger has detached from everything, or from this one process. */
  release?(nid?: number): void;

  registers(id: CoreId): CoreRegisters;
  /** Why the thread cannot go on from where the debugger has moved it to; undefined: it can. */
  refusal?(id: CoreId): string | undefined;

  /**
   * Bytes at a virtual address by the core's page tables (physical with paging off), up to the first that is not RAM.
   * No side effects.
   */
  read(id: CoreId, address: bigint, length: number): Uint8Array;
  /**
   * The same at the load address of an image, which is physical. undefined: no image is there, or the address is where
   * it runs.
   */
  readLoaded?(id: CoreId, address: bigint, length: number): Uint8Array | undefined;
  /** All or nothing; page permissions are ignored. */
  write(id: CoreId, address: bigint, bytes: Uint8Array): boolean;

  addBreakpoint(nid: number, place: Place): number;
  removeBreakpoint(nid: number, id: number): void;
  addWatchpoint(nid: number, place: Place, bytes: number, kind: WatchKind): number;
  removeWatchpoint(nid: number, id: number): void;

  /**
   * Runs for about `budget` instructions, or until one of `steps` is complete: the core has retired an instruction and
   * has left its range.
   */
  advance(budget: number, steps: readonly StepRequest[], going?: Going): TargetStop;

  /** What the core does, for people: "user hello rank 1", "kernel", "idle". */
  describe(id: CoreId): string;
  /** The job tasks on the node, oldest first. */
  tasks(nid: number): readonly Task[];
  /** The task in whose address space the core is. */
  taskOf(id: CoreId): Task | undefined;

  /**
   * System calls that are to stop a thread before and behind them, instead of those of the last time; none: []. False:
   * there is no such call. Absent: a machine has no system calls.
   */
  catchCalls?(numbers: readonly number[] | "all"): boolean;
  /** `/proc/PID/NAME` of the process `nid`, out of what its node says. undefined: no such process or file. */
  processFile?(nid: number, name: string): Uint8Array | undefined;
  /** The same for a symbolic link. */
  processLink?(nid: number, name: string): string | undefined;

  /** Files that gdb may read from us: kernel, init, program. */
  readonly files: readonly TargetFile[];
  /** Images in the address spaces of the node besides the kernel: init, and the program once the job has started. */
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
  /** Absolute path on the host; gdb opens it itself if it runs there. */
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Lowest linked address of its segments. */
  readonly base: bigint;
}
