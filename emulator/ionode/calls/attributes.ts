/**
 * chmod, chown, truncate, utimensat and their variants, umask. Source: their pages of section 2. Every task owns all
 * files, so it may change them, but may give them only to itself. The bits above 0o777 exist only in the job's view:
 * the host never gets a set-user-ID file.
 */
import { Errno } from "../../abi/errno.ts";
import { AT_FDCWD, At, UTIME_NOW, UTIME_OMIT } from "../../abi/io.ts";
import { mayWrite } from "../descriptors.ts";
import { IoError } from "../hostfs.ts";
import { Access, permits } from "../namespace.ts";
import { type CallContext, type CallResult, done } from "./context.ts";
import { type Target, targetAt, targetOfOpen } from "./paths.ts";
import { resize } from "./space.ts";

export function umask(c: CallContext): CallResult {
  const before = c.task.umask;
  c.task.umask = c.int(0) & 0o777;
  return done(before);
}

export function chmod(c: CallContext): CallResult {
  return chmodAt(c, AT_FDCWD, c.path(0), c.int(1), 0);
}
export function fchmod(c: CallContext): CallResult {
  return setMode(c, targetOfOpen(c, c.table.opened(c.int(0))), c.int(1));
}
export function fchmodat(c: CallContext): CallResult {
  return chmodAt(c, c.int(0), c.path(1), c.int(2), 0);
}
export function fchmodat2(c: CallContext): CallResult {
  const flags = c.int(3);
  if (flags & ~(At.SYMLINK_NOFOLLOW | At.EMPTY_PATH)) throw new IoError(Errno.EINVAL);
  return chmodAt(c, c.int(0), c.path(1), c.int(2), flags);
}
function chmodAt(c: CallContext, dirfd: number, path: string, mode: number, flags: number): CallResult {
  const followLast = (flags & At.SYMLINK_NOFOLLOW) === 0;
  return targetAt(c, { dirfd, path, flags, followLast }, (target) => setMode(c, target, mode));
}
/** Nodes made by the name space do not belong to the task: EPERM. */
function mustBeOwn({ volume, hostFd }: Target): void {
  if (volume.readOnly) throw new IoError(Errno.EROFS);
  if (hostFd < 0) throw new IoError(Errno.EPERM);
}
function setMode(c: CallContext, target: Target, mode: number): CallResult {
  mustBeOwn(target);
  const { identity, kind } = target.stat;
  if (kind === "link") throw new IoError(Errno.EOPNOTSUPP);
  c.fs.chmod(target.hostFd, mode & 0o777);
  c.facts.setSpecialBits(identity, mode);
  c.facts.changed(identity, c.time);
  return done(0);
}

export function chown(c: CallContext): CallResult {
  return chownAt(c, [AT_FDCWD, c.path(0), 0], c.int(1), c.int(2));
}
export function lchown(c: CallContext): CallResult {
  return chownAt(c, [AT_FDCWD, c.path(0), At.SYMLINK_NOFOLLOW], c.int(1), c.int(2));
}
export function fchown(c: CallContext): CallResult {
  return setOwner(c, targetOfOpen(c, c.table.opened(c.int(0))), c.int(1), c.int(2));
}
export function fchownat(c: CallContext): CallResult {
  const flags = c.int(4);
  if (flags & ~(At.SYMLINK_NOFOLLOW | At.EMPTY_PATH)) throw new IoError(Errno.EINVAL);
  return chownAt(c, [c.int(0), c.path(1), flags], c.int(2), c.int(3));
}
type Where = readonly [dirfd: number, path: string, flags: number];
function chownAt(c: CallContext, [dirfd, path, flags]: Where, user: number, group: number): CallResult {
  const followLast = (flags & At.SYMLINK_NOFOLLOW) === 0;
  return targetAt(c, { dirfd, path, flags, followLast }, (target) => setOwner(c, target, user, group));
}
function setOwner(c: CallContext, target: Target, user: number, group: number): CallResult {
  mustBeOwn(target);
  const own = c.request.userId | 0;
  if ((user !== -1 && user !== own) || (group !== -1 && group !== own)) throw new IoError(Errno.EPERM);
  const { identity, kind, permissions } = target.stat;
  if (kind === "regular") c.facts.dropSetId(identity, permissions);
  c.facts.changed(identity, c.time);
  return done(0);
}

export function truncate(c: CallContext): CallResult {
  const length = BigInt.asIntN(64, c.args[1]!);
  if (length < 0n) throw new IoError(Errno.EINVAL);
  return targetAt(c, { dirfd: AT_FDCWD, path: c.path(0), flags: 0, followLast: true }, ({ stat, volume, hostFd }) => {
    if (stat.kind === "directory") throw new IoError(Errno.EISDIR);
    if (stat.kind !== "regular") throw new IoError(Errno.EINVAL);
    if (volume.readOnly) throw new IoError(Errno.EROFS);
    if (!permits(stat, Access.WRITE)) throw new IoError(Errno.EACCES);
    if (hostFd < 0) throw new IoError(Errno.EPERM);
    const fd = c.fs.open(hostFd, 1);
    try {
      resize(c, fd, length);
    } finally {
      c.fs.close(fd);
    }
    return done(0);
  });
}
export function ftruncate(c: CallContext): CallResult {
  const length = BigInt.asIntN(64, c.args[1]!);
  if (length < 0n) throw new IoError(Errno.EINVAL);
  const file = c.table.opened(c.int(0));
  if (file.kind !== "regular" || !mayWrite(file)) throw new IoError(Errno.EINVAL);
  resize(c, file.hostFd, length);
  return done(0);
}

const NANOSECONDS = 1_000_000_000n;
const MICROSECONDS = 1_000_000n;
/** Times to set, in nanoseconds since 1970; null: unchanged. */
type Pair = readonly [accessed: bigint | null, modified: bigint | null];

/** (dirfd, path or null, struct timespec[2] or null, flags). */
export function utimensat(c: CallContext): CallResult {
  const flags = c.int(3);
  if (flags & ~(At.SYMLINK_NOFOLLOW | At.EMPTY_PATH)) throw new IoError(Errno.EINVAL);
  const times = timesOf(c, 2, (seconds, part) => {
    if (part === BigInt(UTIME_OMIT)) return null;
    if (part === BigInt(UTIME_NOW)) return c.facts.at(c.time);
    if (part >= NANOSECONDS) throw new IoError(Errno.EINVAL);
    return seconds * NANOSECONDS + part;
  });
  if (times[0] === null && times[1] === null) return done(0);
  if (c.args[1] === 0n) {
    if (c.int(0) === AT_FDCWD) throw new IoError(Errno.EFAULT);
    if (flags !== 0) throw new IoError(Errno.EINVAL);
    return setTimes(c, targetOfOpen(c, c.table.opened(c.int(0))), times);
  }
  return timesAt(c, [c.int(0), c.path(1), flags], times);
}
/** (dirfd, path or null, struct timeval[2] or null). */
export function futimesat(c: CallContext): CallResult {
  const times = timevals(c, 2);
  if (c.args[1] === 0n) {
    if (c.int(0) === AT_FDCWD) throw new IoError(Errno.EFAULT);
    return setTimes(c, targetOfOpen(c, c.table.opened(c.int(0))), times);
  }
  return timesAt(c, [c.int(0), c.path(1), 0], times);
}
/** (path, struct timeval[2] or null). */
export function utimes(c: CallContext): CallResult {
  return timesAt(c, [AT_FDCWD, c.path(0), 0], timevals(c, 1));
}
/** (path, struct utimbuf or null): seconds. */
export function utime(c: CallContext): CallResult {
  const view = c.structure(1);
  const now = c.facts.at(c.time);
  const second = (offset: number): bigint => (view === null ? now : view.getBigInt64(offset, true) * NANOSECONDS);
  return timesAt(c, [AT_FDCWD, c.path(0), 0], [second(0), second(8)]);
}
function timevals(c: CallContext, index: number): Pair {
  return timesOf(c, index, (seconds, part) => {
    if (part >= MICROSECONDS) throw new IoError(Errno.EINVAL);
    return seconds * NANOSECONDS + part * 1000n;
  });
}
function timesOf(c: CallContext, index: number, toTime: (seconds: bigint, part: bigint) => bigint | null): Pair {
  const view = c.structure(index);
  if (view === null) return [c.facts.at(c.time), c.facts.at(c.time)];
  return [
    toTime(view.getBigInt64(0, true), view.getBigUint64(8, true)),
    toTime(view.getBigInt64(16, true), view.getBigUint64(24, true)),
  ];
}
function timesAt(c: CallContext, [dirfd, path, flags]: Where, times: Pair): CallResult {
  const followLast = (flags & At.SYMLINK_NOFOLLOW) === 0;
  return targetAt(c, { dirfd, path, flags, followLast }, (target) => setTimes(c, target, times));
}
function setTimes(c: CallContext, target: Target, [accessed, modified]: Pair): CallResult {
  mustBeOwn(target);
  const t = c.facts.setTimes(target.stat, accessed, modified, c.time);
  // The host's times are set, too, for users of the files after the run.
  const seconds = (time: bigint): number => Number(time) / Number(NANOSECONDS);
  c.fs.setTimes(target.hostFd, seconds(t.accessed), seconds(t.modified));
  return done(0);
}
