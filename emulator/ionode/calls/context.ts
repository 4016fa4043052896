/** What a call sees: its arguments, checked, and the I/O node's state. */
import type { Message } from "../../fabric/message.ts";
import type { DescriptorTable } from "../descriptors.ts";
import type { Prng } from "../../machine/prng.ts";
import type { Folder } from "../folder.ts";
import type { HostFs } from "../hostfs.ts";
import type { NameSpace } from "../namespace.ts";
import type { Quota } from "../quota.ts";
import type { VirtualFacts } from "../virtual.ts";

export interface CallContext {
  readonly fs: HostFs;
  readonly names: NameSpace;
  readonly table: DescriptorTable;
  readonly facts: VirtualFacts;
  /** Of the job. */
  readonly quota: Quota;
  readonly workingFolder: Folder;
  readonly random: Prng;
  readonly request: Message;
  readonly time: number;
  /** Raw argument registers. */
  readonly args: readonly bigint[];
  /** Argument as a C int. */
  int(index: number): number;
  /** The path in the request's body, for calls whose row says so. */
  readonly path: string;
  /** The bytes to write. */
  readonly data: Uint8Array;
  output(fd: number, bytes: Uint8Array): void;
  /** Up to `count` bytes of the task's standard input; none at its end. Null: they are not there yet. */
  input(count: number): Uint8Array | null;
}
export interface CallResult {
  readonly result: bigint;
  readonly data?: Uint8Array;
}
export interface CallRow {
  /** What the request's body holds. */
  readonly body: "none" | "path" | "data";
  /** Null: not yet; the call is made again when there is input. @throws IoError */
  readonly run: (c: CallContext) => CallResult | null;
}
export const done = (result: number | bigint, data?: Uint8Array): CallResult =>
  data === undefined ? { result: BigInt(result) } : { result: BigInt(result), data };
