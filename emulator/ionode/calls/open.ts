/** open, openat, close. Source: Linux open(2), close(2), path_resolution(7). */
import { Errno } from "../../abi/errno.ts";
import { AT_FDCWD, Open } from "../../abi/io.ts";
import { closeFile, type OpenFile } from "../descriptors.ts";
import type { Folder, Node } from "../folder.ts";
import { IoError } from "../hostfs.ts";
import { Access, permits, type Place, statOf } from "../namespace.ts";
import { done, type CallContext, type CallResult } from "./context.ts";

/** What a new file loses of the permissions asked for (Linux: the usual umask). */
const UMASK = 0o022;
/** A host that makes and removes the file all the time does not hold up the job for ever. */
const ATTEMPTS_MAX = 16;

export function open(c: CallContext): CallResult {
  return openFrom(c, AT_FDCWD, c.int(1), c.int(2));
}
export function openat(c: CallContext): CallResult {
  return openFrom(c, c.int(0), c.int(2), c.int(3));
}
export function close(c: CallContext): CallResult {
  closeFile(c.fs, c.table.remove(c.int(0)));
  return done(0);
}

/** The directory that a relative path starts from: the job's working directory, or an open one. */
export function startOf(c: CallContext, dirfd: number): Folder {
  if (c.path.startsWith("/")) return c.names.root;
  if (dirfd === AT_FDCWD) return c.workingFolder;
  const { folder } = c.table.get(dirfd);
  if (folder === undefined) throw new IoError(Errno.ENOTDIR);
  return folder;
}

function openFrom(c: CallContext, dirfd: number, flags: number, mode: number): CallResult {
  if ((flags & Open.ACCMODE) === Open.ACCMODE || (flags & Open.CREAT && flags & Open.DIRECTORY))
    throw new IoError(Errno.EINVAL);
  const fd = c.table.free();
  const isExclusive = (flags & Open.CREAT) !== 0 && (flags & Open.EXCL) !== 0;
  const options = { followLast: !isExclusive && (flags & Open.NOFOLLOW) === 0, from: startOf(c, dirfd) };
  const permissions = mode & 0o777 & ~UMASK;
  for (let attempt = 1; ; attempt++) {
    try {
      const file = c.names.resolve(c.path, options, (place) => openPlace(c, place, flags, permissions));
      c.table.set(fd, file);
      return done(fd);
    } catch (error) {
      // Somebody of the host made the file since it was looked for.
      const isOvertaken = error instanceof IoError && error.errno === Errno.EEXIST && !isExclusive;
      if (!isOvertaken || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

function openPlace(c: CallContext, place: Place, flags: number, permissions: number): OpenFile {
  const { node, folder } = place;
  const base = { flags, hostFd: -1, readOnly: folder.readOnly, positionBytes: 0n };
  if (node === null) {
    const hostFd = create(c, place, flags, permissions);
    c.facts.modified(c.fs.fstat(hostFd).identity, c.time);
    return { ...base, kind: "regular", hostFd };
  }
  check(place, node, flags);
  switch (node.kind) {
    // A directory is only looked at here; its descriptor serves openat and fstat.
    case "folder":
      return { ...base, kind: "directory", readOnly: node.folder.readOnly, folder: node.folder.hold() };
    case "device":
      return { ...base, kind: "device", device: node.device };
    case "file": {
      const hostFd = c.fs.open(node.fd, flags & (Open.ACCMODE | Open.TRUNC));
      if (flags & Open.TRUNC) {
        c.quota.resized(node.stat.identity, node.stat.sizeBytes, 0);
        c.facts.modified(node.stat.identity, c.time);
      }
      return { ...base, kind: "regular", hostFd };
    }
  }
}

function create(c: CallContext, { folder, name, mustBeDirectory }: Place, flags: number, permissions: number): number {
  if (!(flags & Open.CREAT)) throw new IoError(Errno.ENOENT);
  if (mustBeDirectory) throw new IoError(Errno.EISDIR);
  if (folder.readOnly) throw new IoError(Errno.EROFS);
  if (!permits(folder.stat, Access.WRITE)) throw new IoError(Errno.EACCES);
  const directory = folder.hostFd;
  c.quota.named();
  return c.fs.create(directory, name, flags & Open.ACCMODE, permissions);
}

function check({ folder }: Place, node: Node, flags: number): void {
  if (flags & Open.CREAT && flags & Open.EXCL) throw new IoError(Errno.EEXIST);
  const stat = statOf(node);
  if (stat.kind === "link") throw new IoError(flags & Open.DIRECTORY ? Errno.ENOTDIR : Errno.ELOOP);
  const isWriting = (flags & Open.ACCMODE) !== Open.RDONLY || (flags & Open.TRUNC) !== 0;
  if (stat.kind === "directory") {
    if (flags & Open.CREAT || isWriting) throw new IoError(Errno.EISDIR);
  } else if (flags & Open.DIRECTORY) throw new IoError(Errno.ENOTDIR);
  // Devices, pipes and sockets of the host are nothing of the job's.
  else if (stat.kind === "special" && node.kind !== "device") throw new IoError(Errno.EACCES);
  const access = ((flags & Open.ACCMODE) === Open.WRONLY ? 0 : Access.READ) | (isWriting ? Access.WRITE : 0);
  if (!permits(stat, access)) throw new IoError(Errno.EACCES);
  if (isWriting && folder.readOnly) throw new IoError(Errno.EROFS);
}
