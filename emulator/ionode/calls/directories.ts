/** getdents64, getdents, getcwd, chdir, fchdir. Source: Linux getdents(2), getcwd(2), chdir(2). */
import { Errno } from "../../abi/errno.ts";
import { AT_FDCWD, IO_DATA_MAX_BYTES } from "../../abi/io.ts";
import { toBytes } from "../bytestring.ts";
import type { OpenFile } from "../descriptors.ts";
import type { Folder } from "../folder.ts";
import { type HostEntry, IoError, type NodeKind } from "../hostfs.ts";
import { Access, permits } from "../namespace.ts";
import { type CallContext, type CallResult, done } from "./context.ts";
import { existing } from "./paths.ts";

/** DT_ of dirent.h. */
const types: Readonly<Record<NodeKind, number>> = {
  pipe: 1,
  special: 2,
  directory: 4,
  block: 6,
  regular: 8,
  link: 10,
  socket: 12,
};
/** Writes one entry at `start`; its length is rounded up, so that the next one is aligned. */
type Encode = (view: DataView, start: number, inode: bigint, next: bigint, name: Uint8Array, type: number) => void;
interface Format {
  /** Bytes besides the name and its NUL. */
  readonly head: number;
  readonly tail: number;
  readonly encode: Encode;
}
/** struct linux_dirent64: ino, off, reclen, type, name. */
const dirent64: Format = {
  head: 19,
  tail: 0,
  encode: (view, start, inode, next, name, type) => {
    view.setBigUint64(start, inode, true);
    view.setBigInt64(start + 8, next, true);
    view.setUint16(start + 16, lengthOf(dirent64, name), true);
    view.setUint8(start + 18, type);
    new Uint8Array(view.buffer).set(name, start + 19);
  },
};
/** struct linux_dirent: ino, off, reclen, name, and the type in the last byte. */
const dirent: Format = {
  head: 18,
  tail: 1,
  encode: (view, start, inode, next, name, type) => {
    const length = lengthOf(dirent, name);
    view.setBigUint64(start, inode, true);
    view.setBigInt64(start + 8, next, true);
    view.setUint16(start + 16, length, true);
    new Uint8Array(view.buffer).set(name, start + 18);
    view.setUint8(start + length - 1, type);
  },
};
function lengthOf({ head, tail }: Format, name: Uint8Array): number {
  return Math.ceil((head + name.length + 1 + tail) / 8) * 8;
}

export function getdents64(c: CallContext): CallResult {
  return entries(c, dirent64);
}
export function getdents(c: CallContext): CallResult {
  return entries(c, dirent);
}
function entries(c: CallContext, format: Format): CallResult {
  const file = c.table.opened(c.int(0));
  const { folder } = file;
  if (folder === undefined) throw new IoError(Errno.ENOTDIR);
  const all = listing(c, file, folder);
  const room = Math.min(c.int(2) >>> 0, IO_DATA_MAX_BYTES);
  const bytes = new Uint8Array(room);
  const view = new DataView(bytes.buffer);
  let used = 0;
  let index = Number(file.positionBytes);
  for (; index < all.length; index++) {
    const { name, kind, identity } = all[index]!;
    const text = toBytes(name);
    const length = lengthOf(format, text);
    if (used + length > room) break;
    format.encode(view, used, c.facts.inode(identity), BigInt(index + 1), text, types[kind]);
    used += length;
  }
  if (used === 0 && index < all.length) throw new IoError(Errno.EINVAL);
  file.positionBytes = BigInt(index);
  return done(used, bytes.subarray(0, used));
}
/** The listing from the time when it was read from its start, so that later changes shift nothing. */
function listing(c: CallContext, file: OpenFile, folder: Folder): readonly HostEntry[] {
  if (file.entries !== undefined && file.positionBytes !== 0n) return file.entries;
  if (folder.refresh().stat.links === 0) throw new IoError(Errno.ENOENT);
  const above = folder.parent ?? folder;
  file.entries = [
    { name: ".", kind: "directory", identity: folder.stat.identity },
    { name: "..", kind: "directory", identity: above.stat.identity },
    ...folder.list(c.viewer),
  ];
  return file.entries;
}

/** (buffer, bytes) → bytes with the NUL. */
export function getcwd(c: CallContext): CallResult {
  const path = toBytes(`${c.names.pathOf(c.task.workingFolder.refresh())}\0`);
  if (c.args[1]! < BigInt(path.length)) throw new IoError(Errno.ERANGE);
  return done(path.length, path);
}
export function chdir(c: CallContext): CallResult {
  return existing(c, AT_FDCWD, c.path(0), true, (node) => {
    if (node.kind !== "folder") throw new IoError(Errno.ENOTDIR);
    return enter(c, node.folder);
  });
}
export function fchdir(c: CallContext): CallResult {
  const { folder } = c.table.get(c.int(0));
  if (folder === undefined) throw new IoError(Errno.ENOTDIR);
  return enter(c, folder.refresh());
}
function enter(c: CallContext, folder: Folder): CallResult {
  if (!permits(folder.stat, Access.EXECUTE)) throw new IoError(Errno.EACCES);
  const before = c.task.workingFolder;
  c.task.workingFolder = folder.hold();
  before.release();
  return done(0);
}
