/** What a call sees: its arguments, checked, and the I/O node's state. */
import type { Message } from "../../fabric/message.ts";
import type { DescriptorTable } from "../descriptors.ts";
import type { HostFs } from "../hostfs.ts";
import type { NameSpace } from "../namespace.ts";
import type { VirtualFacts } from "../virtual.ts";

export interface CallContext {
  readonly fs: HostFs;
  readonly names: NameSpace;
  readonly table: DescriptorTable;
  readonly facts: VirtualFacts;
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
  /** Up to `count` bytes of the job's standard input; none at its end. */
  input(count: number): Uint8Array;
}
export interface CallResult {
  readonly result: bigint;
  readonly data?: Uint8Array;
}
export interface CallRow {
  /** What the request's body holds. */
  readonly body: "none" | "path" | "data";
  /** @throws IoError */
  readonly run: (c: CallContext) => CallResult;
}
export const done = (result: number | bigint, data?: Uint8Array): CallResult =>
  data === undefined ? { result: BigInt(result) } : { result: BigInt(result), data };
