/** What a call gets: its arguments, checked, and the I/O node's state. */
import type { Message } from "../../fabric/message.ts";
import type { Prng } from "../../machine/prng.ts";
import type { DescriptorTable } from "../descriptors.ts";
import type { Folder, Viewer } from "../folder.ts";
import type { HostFs } from "../hostfs.ts";
import type { LockTable, Owner } from "../locks.ts";
import type { MappedFiles } from "../mapped.ts";
import type { NameSpace } from "../namespace.ts";
import type { Quota } from "../quota.ts";
import type { VirtualFacts } from "../virtual.ts";

import type { TaskFacts } from "../taskfacts.ts";

/** Size of a terminal, in characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}
/** State of a task besides its open files. */
export interface TaskState {
  /** "nid:job". */
  readonly key: string;
  readonly pid: number;
  readonly table: DescriptorTable;
  readonly mapped: MappedFiles;
  /** By core, for its next call. */
  readonly states: Map<number, TaskFacts>;
  /** Held by the task. */
  workingFolder: Folder;
  umask: number;
}
export interface CallContext {
  readonly fs: HostFs;
  readonly names: NameSpace;
  readonly table: DescriptorTable;
  readonly facts: VirtualFacts;
  /** The job's quota. */
  readonly quota: Quota;
  readonly locks: LockTable;
  readonly task: TaskState;
  readonly viewer: Viewer;
  readonly random: Prng;
  readonly request: Message;
  /** That makes the call. */
  readonly core: number;
  readonly time: number;
  /** Arrival time of the request; the call is made again later if it has returned a Later. */
  readonly startTime: number;
  readonly isAgain: boolean;
  /** Raw argument registers. */
  readonly args: readonly bigint[];
  /** An argument as a C int. */
  int(index: number): number;
  /** The path to which the argument points. "": an optional argument is null. */
  path(index: number): string;
  /** The structure to which the argument points; null: none. */
  structure(index: number): DataView | null;
  /** The bytes to write, or other data after paths and structures. */
  readonly data: Uint8Array;
  output(stream: number, bytes: Uint8Array): void;
  /** Up to `count` bytes of the task's standard input; none at its end. Null: not available yet. */
  input(count: number): Uint8Array | null;
  /** Standard input arrives while the job runs: readers wait (`Later`). */
  readonly isLiveInput: boolean;
  /** Live standard input has bytes, or has ended. */
  readonly hasInput: boolean;
  /** Announces a read of standard input. */
  wantInput(): void;
  /** The terminal of a standard stream; undefined: it is not a terminal. */
  terminal(stream: number): TerminalSize | undefined;
  /** A directory was renamed: its open descriptors find the new `..`. */
  moved(identity: string, parent: Folder, name: string): void;
  /** A file has lost its last name: its bytes are returned when it is no longer open. */
  unlinked(identity: string): void;
}
export interface CallResult {
  readonly result: bigint;
  readonly data?: Uint8Array;
}
/** The call is made again: when there is input, when a lock is released, or at `due`. */
export type Later =
  | { readonly later: "input" }
  | { readonly later: "lock"; readonly owner: Owner }
  | { readonly later: "time"; readonly due: number };
/** @throws IoError */
export type Run = (c: CallContext) => CallResult | Later;
export const done = (result: number | bigint, data?: Uint8Array): CallResult =>
  data === undefined ? { result: BigInt(result) } : { result: BigInt(result), data };
