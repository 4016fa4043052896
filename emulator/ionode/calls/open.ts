/** open, openat, close. Source: Linux open(2), close(2), path_resolution(7). */
import { Errno } from "../../abi/errno.ts";
import { AT_FDCWD, Open } from "../../abi/io.ts";
import { IoError } from "../hostfs.ts";
import { Access, permits, type Place } from "../namespace.ts";
import { done, type CallContext, type CallResult } from "./context.ts";

/** What a new file loses of the permissions asked for (Linux: the usual umask). */
const UMASK = 0o022;

export function open(c: CallContext): CallResult {
  return openFrom(c, AT_FDCWD, c.int(1), c.int(2));
}
export function openat(c: CallContext): CallResult {
  return openFrom(c, c.int(0), c.int(2), c.int(3));
}
export function close(c: CallContext): CallResult {
  const file = c.table.remove(c.int(0));
  if (file.hostFd >= 0) c.fs.close(file.hostFd);
  return done(0);
}

/** The directory that a relative path starts from: the job's root, or an open directory. */
export function startOf(c: CallContext, dirfd: number): readonly string[] {
  if (c.path.startsWith("/") || dirfd === AT_FDCWD) return [];
  const file = c.table.get(dirfd);
  if (file.kind !== "directory") throw new IoError(Errno.ENOTDIR);
  return file.names;
}

function openFrom(c: CallContext, dirfd: number, flags: number, mode: number): CallResult {
  if ((flags & Open.ACCMODE) === Open.ACCMODE || (flags & Open.CREAT && flags & Open.DIRECTORY))
    throw new IoError(Errno.EINVAL);
  const fd = c.table.free();
  const exclusive = (flags & Open.CREAT) !== 0 && (flags & Open.EXCL) !== 0;
  const followLast = !exclusive && (flags & Open.NOFOLLOW) === 0;
  const place = c.names.resolve(c.path, { followLast, from: startOf(c, dirfd) });
  if (place.stat === null) create(c, place, flags);
  else check(place, flags, exclusive);
  const directory = place.stat?.kind === "directory";
  const permissions = mode & 0o777 & ~UMASK;
  // A directory is only looked at here; its descriptor serves openat and fstat.
  const isVirtual = directory && place.stat.identity.startsWith("mount:");
  const hostFd = isVirtual
    ? -1
    : c.fs.open(
        place.hostPath,
        (flags & (Open.ACCMODE | Open.TRUNC)) | (place.stat === null ? Open.CREAT | Open.EXCL : 0),
        permissions,
      );
  const { names, readOnly } = place;
  c.table.set(fd, { kind: directory ? "directory" : "regular", flags, hostFd, names, readOnly, positionBytes: 0n });
  if (hostFd >= 0 && (place.stat === null || flags & Open.TRUNC)) c.facts.modified(c.fs.fstat(hostFd).identity, c.time);
  return done(fd);
}

function create(c: CallContext, place: Place, flags: number): void {
  if (!(flags & Open.CREAT)) throw new IoError(Errno.ENOENT);
  if (place.mustBeDirectory) throw new IoError(Errno.EISDIR);
  if (place.readOnly) throw new IoError(Errno.EROFS);
  if (!permits(c.names.parentStat(place), Access.WRITE)) throw new IoError(Errno.EACCES);
}

function check({ stat, readOnly, mustBeDirectory }: Place, flags: number, exclusive: boolean): void {
  if (stat === null) return;
  if (exclusive) throw new IoError(Errno.EEXIST);
  if (stat.kind === "link") throw new IoError(flags & Open.DIRECTORY ? Errno.ENOTDIR : Errno.ELOOP);
  const writes = (flags & Open.ACCMODE) !== Open.RDONLY || (flags & Open.TRUNC) !== 0;
  if (stat.kind === "directory") {
    if (flags & Open.CREAT || writes) throw new IoError(Errno.EISDIR);
  } else if (flags & Open.DIRECTORY || mustBeDirectory) throw new IoError(Errno.ENOTDIR);
  // Devices, pipes and sockets of the host are nothing of the job's.
  else if (stat.kind === "special") throw new IoError(Errno.EACCES);
  const access = ((flags & Open.ACCMODE) === Open.WRONLY ? 0 : Access.READ) | (writes ? Access.WRITE : 0);
  if (!permits(stat, access)) throw new IoError(Errno.EACCES);
  if (writes && readOnly) throw new IoError(Errno.EROFS);
}
