/**
 * Parses a request by the types of the call's arguments in the table of system calls: after the registers follow, in
 * the order of the arguments, the paths and structures to which they point, and then the data. Everything is checked
 * again here, because the sending kernel is not trusted.
 */
import { Errno } from "../abi/errno.ts";
import { IO_DATA_MAX_BYTES, IoRequest, PATH_MAX_BYTES } from "../abi/io.ts";
import { ArgKind, Syscall } from "../abi/syscalls.ts";
import { syscallInfos } from "../abi/syscalltable.ts";
import { fromBytes } from "./bytestring.ts";
import { IoError } from "./hostfs.ts";

export interface Request {
  readonly call: number;
  readonly args: readonly bigint[];
  /** By argument. */
  readonly paths: ReadonlyMap<number, string>;
  readonly structures: ReadonlyMap<number, DataView>;
  readonly data: Uint8Array;
}
interface Shape {
  readonly kinds: readonly number[];
  readonly limits: readonly number[];
}
const shapes: ReadonlyMap<number, Shape> = new Map(syscallInfos.map((info) => [info.number, info]));

const mayBeNull: ReadonlySet<number> = new Set([ArgKind.PATH_OPTIONAL, ArgKind.READ_OPTIONAL, ArgKind.UPDATE_OPTIONAL]);
const isStructure: ReadonlySet<number> = new Set([ArgKind.READ, ArgKind.READ_OPTIONAL, ArgKind.UPDATE_OPTIONAL]);

/** -1: the body is too short to contain a call. */
export function callOf(body: Uint8Array): number {
  return body.length >= 4 ? new DataView(body.buffer, body.byteOffset).getUint32(0, true) : -1;
}

/** @throws IoError EINVAL, ENOSYS, ENAMETOOLONG */
export function parseRequest(body: Uint8Array): Request {
  if (body.length < IoRequest.SIZE) throw new IoError(Errno.EINVAL);
  const head = new IoRequest(new DataView(body.buffer, body.byteOffset, body.byteLength));
  const shape = shapes.get(head.call);
  if (shape === undefined) throw new IoError(Errno.ENOSYS);
  let rest = body.subarray(IoRequest.SIZE);
  if (head.dataBytes !== rest.length || rest.length > IO_DATA_MAX_BYTES) throw new IoError(Errno.EINVAL);
  const args = [0, 1, 2, 3, 4, 5].map((i) => head.arguments(i));
  const paths = new Map<number, string>();
  const structures = new Map<number, DataView>();
  let takesData = false;
  for (const [i, kind] of shape.kinds.entries()) {
    if (mayBeNull.has(kind) && args[i] === 0n) continue;
    if (kind === ArgKind.PATH || kind === ArgKind.PATH_OPTIONAL) {
      const end = rest.indexOf(0);
      if (end < 0) throw new IoError(Errno.EINVAL);
      if (end >= PATH_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
      paths.set(i, fromBytes(rest.subarray(0, end)));
      rest = rest.subarray(end + 1);
    } else if (isStructure.has(kind)) {
      const length = shape.limits[i]!;
      if (rest.length < length) throw new IoError(Errno.EINVAL);
      structures.set(i, new DataView(rest.buffer, rest.byteOffset, length));
      rest = rest.subarray(length);
    } else if (kind === ArgKind.READ_BYTES || kind === ArgKind.ADDRESS) takesData = true;
  }
  // The kernel's own: the page of a mapped file, the state of a task (abi/io.ts).
  takesData ||= head.call === Syscall.MSYNC || head.call === Syscall.PRCTL;
  if (rest.length > 0 && !takesData) throw new IoError(Errno.EINVAL);
  return { call: head.call, args, paths, structures, data: rest };
}
