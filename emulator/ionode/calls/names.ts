/**
 * mkdir, rmdir, unlink, rename, link, symlink, mknod and their *at variants, readlink. Source: their pages of section
 * 2, and fs/namei.c of Linux for the order of the errors.
 */
import { Errno } from "../../abi/errno.ts";
import { AT_FDCWD, At, FileMode, Open, PATH_MAX_BYTES, Rename } from "../../abi/io.ts";
import { toBytes } from "../bytestring.ts";
import type { Folder, Node } from "../folder.ts";
import { type HostStat, IoError } from "../hostfs.ts";
import { Access, permits, type Place, statOf } from "../namespace.ts";
import { type CallContext, type CallResult, done } from "./context.ts";
import { at, directoryToChange, existing, nameAt, nameToMake } from "./paths.ts";

export function mkdir(c: CallContext): CallResult {
  return mkdirFrom(c, AT_FDCWD, c.path(0), c.int(1));
}
export function mkdirat(c: CallContext): CallResult {
  return mkdirFrom(c, c.int(0), c.path(1), c.int(2));
}
function mkdirFrom(c: CallContext, dirfd: number, path: string, mode: number): CallResult {
  return nameAt(c, dirfd, path, (place) => {
    const directory = nameToMake(place, true);
    const permissions = mode & 0o1777 & ~c.task.umask;
    c.quota.named();
    isMade(c, place.folder, c.fs.mkdir(directory, place.name, permissions & 0o777), permissions);
    return done(0);
  });
}
function isMade(c: CallContext, folder: Folder, { identity }: HostStat, permissions: number): void {
  c.facts.created(identity, c.time);
  c.facts.setSpecialBits(identity, permissions);
  c.facts.modified(folder.stat.identity, c.time);
}

export function mknod(c: CallContext): CallResult {
  return mknodFrom(c, AT_FDCWD, c.path(0), c.int(1));
}
export function mknodat(c: CallContext): CallResult {
  return mknodFrom(c, c.int(0), c.path(1), c.int(2));
}
/** Only regular files: pipes and sockets would connect processes, and there is only one. */
function mknodFrom(c: CallContext, dirfd: number, path: string, mode: number): CallResult {
  const type = mode & FileMode.TYPE_MASK;
  const { FIFO, CHARACTER, DIRECTORY, BLOCK, REGULAR, SOCKET } = FileMode;
  if (type === DIRECTORY) throw new IoError(Errno.EPERM);
  if (![0, FIFO, CHARACTER, BLOCK, REGULAR, SOCKET].includes(type)) throw new IoError(Errno.EINVAL);
  return nameAt(c, dirfd, path, (place) => {
    const directory = nameToMake(place, false);
    if (type !== 0 && type !== REGULAR) throw new IoError(Errno.EPERM);
    const permissions = mode & 0o7777 & ~c.task.umask;
    c.quota.named();
    const fd = c.fs.create(directory, place.name, Open.WRONLY, permissions & 0o777);
    isMade(c, place.folder, c.fs.fstat(fd), permissions);
    c.fs.close(fd);
    return done(0);
  });
}

export function symlink(c: CallContext): CallResult {
  return symlinkFrom(c, c.path(0), AT_FDCWD, c.path(1));
}
export function symlinkat(c: CallContext): CallResult {
  return symlinkFrom(c, c.path(0), c.int(1), c.path(2));
}
function symlinkFrom(c: CallContext, target: string, dirfd: number, path: string): CallResult {
  if (target === "") throw new IoError(Errno.ENOENT);
  return nameAt(c, dirfd, path, (place) => {
    const directory = nameToMake(place, false);
    c.quota.named();
    isMade(c, place.folder, c.fs.symlink(directory, place.name, target), 0o777);
    return done(0);
  });
}

export function link(c: CallContext): CallResult {
  return linkFrom(c, [AT_FDCWD, c.path(0)], [AT_FDCWD, c.path(1)], 0);
}
export function linkat(c: CallContext): CallResult {
  return linkFrom(c, [c.int(0), c.path(1)], [c.int(2), c.path(3)], c.int(4));
}
type From = readonly [dirfd: number, path: string];
function linkFrom(c: CallContext, [oldDirfd, oldPath]: From, [dirfd, path]: From, flags: number): CallResult {
  if (flags & ~(At.SYMLINK_FOLLOW | At.EMPTY_PATH)) throw new IoError(Errno.EINVAL);
  return existing(c, oldDirfd, oldPath, (flags & At.SYMLINK_FOLLOW) !== 0, (node, old) =>
    nameAt(c, dirfd, path, (place) => {
      if (place.last !== "name" || place.node !== null) throw new IoError(Errno.EEXIST);
      if (place.mustBeDirectory) throw new IoError(Errno.ENOENT);
      if (old.folder.volume.device !== place.folder.volume.device) throw new IoError(Errno.EXDEV);
      const directory = directoryToChange(place.folder);
      if (node.kind === "folder") throw new IoError(Errno.EPERM);
      // From the name space, or found through a link in /proc/self/fd: it has no name here.
      if (node.kind !== "file" || !old.folder.isHost) throw new IoError(Errno.EXDEV);
      if (node.stat.kind !== "regular" && node.stat.kind !== "link") throw new IoError(Errno.EPERM);
      c.quota.named();
      c.fs.link(node, old.folder.hostFd, old.name, directory, place.name);
      c.facts.changed(node.stat.identity, c.time);
      c.facts.modified(place.folder.stat.identity, c.time);
      return done(0);
    }),
  );
}

export function readlink(c: CallContext): CallResult {
  return readlinkFrom(c, AT_FDCWD, c.path(0), c.int(2));
}
export function readlinkat(c: CallContext): CallResult {
  return readlinkFrom(c, c.int(0), c.path(1), c.int(3));
}
function readlinkFrom(c: CallContext, dirfd: number, path: string, count: number): CallResult {
  if (count <= 0) throw new IoError(Errno.EINVAL);
  const text = path === "" && dirfd !== AT_FDCWD ? openLink(c, dirfd) : linkAt(c, dirfd, path);
  const bytes = toBytes(text).subarray(0, Math.min(count, PATH_MAX_BYTES));
  return done(bytes.length, bytes);
}
function linkAt(c: CallContext, dirfd: number, path: string): string {
  return existing(c, dirfd, path, false, (node, { folder, name }) => {
    if (node.kind === "link") return node.target;
    if (node.kind !== "file" || node.stat.kind !== "link") throw new IoError(Errno.EINVAL);
    return folder.readlink(name);
  });
}
/** For a link that is open by O_PATH and O_NOFOLLOW. */
function openLink(c: CallContext, fd: number): string {
  const { linkText } = c.table.get(fd);
  if (linkText === undefined) throw new IoError(Errno.ENOENT);
  return linkText;
}

export function unlink(c: CallContext): CallResult {
  return unlinkFrom(c, AT_FDCWD, c.path(0));
}
export function rmdir(c: CallContext): CallResult {
  return rmdirFrom(c, AT_FDCWD, c.path(0));
}
export function unlinkat(c: CallContext): CallResult {
  const flags = c.int(2);
  if (flags & ~At.REMOVEDIR) throw new IoError(Errno.EINVAL);
  return flags & At.REMOVEDIR ? rmdirFrom(c, c.int(0), c.path(1)) : unlinkFrom(c, c.int(0), c.path(1));
}
/** Nodes that the name space has placed there behave like mount points (EBUSY). */
function mustNotBeMounted(c: CallContext, { folder, name }: Place): void {
  if (folder.entry(name, c.viewer) !== undefined) throw new IoError(Errno.EBUSY);
}
function unlinkFrom(c: CallContext, dirfd: number, path: string): CallResult {
  return nameAt(c, dirfd, path, (place) => {
    const { folder, name, node } = place;
    if (place.last !== "name") throw new IoError(Errno.EISDIR);
    if (folder.readOnly) throw new IoError(Errno.EROFS);
    if (node === null) throw new IoError(Errno.ENOENT);
    if (place.mustBeDirectory) throw new IoError(node.kind === "folder" ? Errno.EISDIR : Errno.ENOTDIR);
    const directory = directoryToChange(folder);
    if (node.kind === "folder") throw new IoError(Errno.EISDIR);
    mustNotBeMounted(c, place);
    c.fs.unlink(directory, name);
    isRemoved(c, folder, node);
    return done(0);
  });
}
function isRemoved(c: CallContext, folder: Folder, node: Node): void {
  c.quota.unnamed();
  c.facts.modified(folder.stat.identity, c.time);
  const { identity, kind, links } = statOf(node);
  c.facts.changed(identity, c.time);
  if (kind === "regular" && links <= 1) c.unlinked(identity);
}
function rmdirFrom(c: CallContext, dirfd: number, path: string): CallResult {
  return nameAt(c, dirfd, path, (place) => {
    const { folder, name, node, last } = place;
    if (last === "..") throw new IoError(Errno.ENOTEMPTY);
    if (last === ".") throw new IoError(Errno.EINVAL);
    if (last === "/") throw new IoError(Errno.EBUSY);
    if (folder.readOnly) throw new IoError(Errno.EROFS);
    if (node === null) throw new IoError(Errno.ENOENT);
    const directory = directoryToChange(folder);
    if (node.kind !== "folder") throw new IoError(Errno.ENOTDIR);
    mustNotBeMounted(c, place);
    c.fs.rmdir(directory, name);
    isRemoved(c, folder, node);
    return done(0);
  });
}

export function rename(c: CallContext): CallResult {
  return renameFrom(c, [AT_FDCWD, c.path(0)], [AT_FDCWD, c.path(1)], 0);
}
export function renameat(c: CallContext): CallResult {
  return renameFrom(c, [c.int(0), c.path(1)], [c.int(2), c.path(3)], 0);
}
/** RENAME_EXCHANGE and RENAME_WHITEOUT: EINVAL, as for a file system without them. */
export function renameat2(c: CallContext): CallResult {
  const flags = c.int(4);
  if (flags & ~Rename.NOREPLACE) throw new IoError(Errno.EINVAL);
  return renameFrom(c, [c.int(0), c.path(1)], [c.int(2), c.path(3)], flags);
}
function renameFrom(c: CallContext, [oldDirfd, oldPath]: From, [dirfd, path]: From, flags: number): CallResult {
  return nameAt(c, oldDirfd, oldPath, (from) =>
    at(c, dirfd, path, { followLast: false, isParent: true }, (to) => {
      renamePlaces(c, from, to, flags);
      return done(0);
    }),
  );
}
function renamePlaces(c: CallContext, from: Place, to: Place, flags: number): void {
  const { folder: oldFolder, node } = from;
  const { folder, node: target } = to;
  if (oldFolder.volume.device !== folder.volume.device) throw new IoError(Errno.EXDEV);
  if (from.last !== "name") throw new IoError(Errno.EBUSY);
  if (to.last !== "name") throw new IoError(flags & Rename.NOREPLACE ? Errno.EEXIST : Errno.EBUSY);
  if (folder.readOnly) throw new IoError(Errno.EROFS);
  if (node === null) throw new IoError(Errno.ENOENT);
  if (target !== null && flags & Rename.NOREPLACE) throw new IoError(Errno.EEXIST);
  const isDirectory = node.kind === "folder";
  if (!isDirectory && (from.mustBeDirectory || to.mustBeDirectory)) throw new IoError(Errno.ENOTDIR);
  if (isDirectory && isInside(folder, node.folder.stat.identity)) throw new IoError(Errno.EINVAL);
  if (target?.kind === "folder" && isInside(oldFolder, target.folder.stat.identity)) throw new IoError(Errno.ENOTEMPTY);
  const { identity } = statOf(node);
  if (target !== null && statOf(target).identity === identity) return;
  const oldDirectory = directoryToChange(oldFolder);
  const directory = directoryToChange(folder);
  if (target !== null && isDirectory && target.kind !== "folder") throw new IoError(Errno.ENOTDIR);
  if (target !== null && !isDirectory && target.kind === "folder") throw new IoError(Errno.EISDIR);
  const isElsewhere = oldFolder.stat.identity !== folder.stat.identity;
  if (isDirectory && isElsewhere && !permits(node.folder.stat, Access.WRITE)) throw new IoError(Errno.EACCES);
  mustNotBeMounted(c, from);
  mustNotBeMounted(c, to);
  c.fs.rename(oldDirectory, from.name, directory, to.name);
  c.facts.changed(identity, c.time);
  c.facts.modified(oldFolder.stat.identity, c.time);
  c.facts.modified(folder.stat.identity, c.time);
  if (target !== null) isRemoved(c, folder, target);
  if (isDirectory) c.moved(identity, folder, to.name);
}
/** Whether `folder` is the directory with that identity, or inside it. */
function isInside(folder: Folder, identity: string): boolean {
  for (let at: Folder | null = folder; at !== null; at = at.parent) if (at.stat.identity === identity) return true;
  return false;
}
