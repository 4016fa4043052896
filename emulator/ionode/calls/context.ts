/** What a call sees: its arguments, checked, and the I/O node's state. */
import type { Message } from "../../fabric/message.ts";
import type { Prng } from "../../machine/prng.ts";
import type { DescriptorTable } from "../descriptors.ts";
import type { Folder, Viewer } from "../folder.ts";
import type { HostFs } from "../hostfs.ts";
import type { LockTable } from "../locks.ts";
import type { NameSpace } from "../namespace.ts";
import type { Quota } from "../quota.ts";
import type { VirtualFacts } from "../virtual.ts";

/** Of a terminal, in characters. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}
/** What a task has beside its open files. */
export interface TaskState {
  /** "nid:job". */
  readonly key: string;
  readonly pid: number;
  readonly table: DescriptorTable;
  /** Held. */
  workingFolder: Folder;
  umask: number;
}
export interface CallContext {
  readonly fs: HostFs;
  readonly names: NameSpace;
  readonly table: DescriptorTable;
  readonly facts: VirtualFacts;
  /** Of the job. */
  readonly quota: Quota;
  readonly locks: LockTable;
  readonly task: TaskState;
  readonly viewer: Viewer;
  readonly random: Prng;
  readonly request: Message;
  readonly time: number;
  /** When the request came; the call is made again later if it has returned a Later. */
  readonly startTime: number;
  readonly isAgain: boolean;
  /** Raw argument registers. */
  readonly args: readonly bigint[];
  /** Argument as a C int. */
  int(index: number): number;
  /** The path that the argument points to. "": an argument that may be null is. */
  path(index: number): string;
  /** The structure that the argument points to; null: it does not. */
  structure(index: number): DataView | null;
  /** The bytes to write, or what else stands behind paths and structures. */
  readonly data: Uint8Array;
  output(stream: number, bytes: Uint8Array): void;
  /** Up to `count` bytes of the task's standard input; none at its end. Null: they are not there yet. */
  input(count: number): Uint8Array | null;
  /** Standard input comes while the job runs: whoever wants it waits (`Later`). */
  readonly isLiveInput: boolean;
  /** Some of it is going to be read. */
  wantInput(): void;
  /** A standard stream that is a terminal; undefined: it is none. */
  terminal(stream: number): TerminalSize | undefined;
  /** A directory has been renamed: whoever has it open finds its new `..`. */
  moved(identity: string, parent: Folder, name: string): void;
  /** The last name of a file is gone: its bytes are given back when nobody has it open. */
  unlinked(identity: string): void;
}
export interface CallResult {
  readonly result: bigint;
  readonly data?: Uint8Array;
}
/** The call is made again: when there is input, when a lock is given back, or at `due`. */
export type Later =
  | { readonly later: "input" }
  | { readonly later: "lock" }
  | { readonly later: "time"; readonly due: number };
/** @throws IoError */
export type Run = (c: CallContext) => CallResult | Later;
export const done = (result: number | bigint, data?: Uint8Array): CallResult =>
  data === undefined ? { result: BigInt(result) } : { result: BigInt(result), data };
