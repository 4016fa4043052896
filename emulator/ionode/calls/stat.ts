/**
 * fstat, stat, lstat, newfstatat, statx, access and its variants, statfs. Source: Linux stat(2), statx(2), access(2),
 * statfs(2). virtual.ts makes host-dependent values uniform.
 */
import { Errno } from "../../abi/errno.ts";
import { AT_FDCWD, At, StatFs, StatxMask } from "../../abi/io.ts";
import { IoError } from "../hostfs.ts";
import { Access, NAME_MAX_BYTES, permits, volumes } from "../namespace.ts";
import { BLOCK_BYTES, encodeStat, encodeStatx } from "../virtual.ts";
import { type CallContext, type CallResult, done } from "./context.ts";
import { factsOf, type Target, targetAt, targetOfOpen } from "./paths.ts";

export function fstat(c: CallContext): CallResult {
  return done(0, encodeStat(factsOf(c, targetOfOpen(c, c.table.get(c.int(0))))));
}
export function stat(c: CallContext): CallResult {
  return statAt(c, AT_FDCWD, c.path(0), 0);
}
export function lstat(c: CallContext): CallResult {
  return statAt(c, AT_FDCWD, c.path(0), At.SYMLINK_NOFOLLOW);
}
export function newfstatat(c: CallContext): CallResult {
  const flags = c.int(3);
  if (flags & ~(At.SYMLINK_NOFOLLOW | At.NO_AUTOMOUNT | At.EMPTY_PATH)) throw new IoError(Errno.EINVAL);
  return statAt(c, c.int(0), c.path(1), flags);
}
function statAt(c: CallContext, dirfd: number, path: string, flags: number): CallResult {
  const followLast = (flags & At.SYMLINK_NOFOLLOW) === 0;
  return targetAt(c, { dirfd, path, flags, followLast }, (target) => done(0, encodeStat(factsOf(c, target))));
}
/** (dirfd, path, flags, mask, struct statx *). */
export function statx(c: CallContext): CallResult {
  const flags = c.int(2);
  const known = At.SYMLINK_NOFOLLOW | At.NO_AUTOMOUNT | At.EMPTY_PATH | At.STATX_SYNC_TYPE;
  if (flags & ~known || (flags & At.STATX_SYNC_TYPE) === At.STATX_SYNC_TYPE) throw new IoError(Errno.EINVAL);
  if ((c.int(3) & StatxMask.RESERVED) !== 0) throw new IoError(Errno.EINVAL);
  const followLast = (flags & At.SYMLINK_NOFOLLOW) === 0;
  return targetAt(c, { dirfd: c.int(0), path: c.path(1), flags, followLast }, (target) =>
    done(0, encodeStatx(factsOf(c, target))),
  );
}

export function access(c: CallContext): CallResult {
  return accessAt(c, AT_FDCWD, c.path(0), c.int(1), 0);
}
export function faccessat(c: CallContext): CallResult {
  return accessAt(c, c.int(0), c.path(1), c.int(2), 0);
}
export function faccessat2(c: CallContext): CallResult {
  const flags = c.int(3);
  if (flags & ~(At.EACCESS | At.SYMLINK_NOFOLLOW | At.EMPTY_PATH)) throw new IoError(Errno.EINVAL);
  return accessAt(c, c.int(0), c.path(1), c.int(2), flags);
}
function accessAt(c: CallContext, dirfd: number, path: string, mode: number, flags: number): CallResult {
  if (mode & ~(Access.READ | Access.WRITE | Access.EXECUTE)) throw new IoError(Errno.EINVAL);
  const followLast = (flags & At.SYMLINK_NOFOLLOW) === 0;
  return targetAt(c, { dirfd, path, flags, followLast }, ({ stat: s, volume }) => {
    if (!permits(s, mode)) throw new IoError(Errno.EACCES);
    if (mode & Access.WRITE && volume.readOnly && s.kind !== "special" && s.kind !== "pipe")
      throw new IoError(Errno.EROFS);
    return done(0);
  });
}

export function statfs(c: CallContext): CallResult {
  const how = { dirfd: AT_FDCWD, path: c.path(0), flags: 0, followLast: true };
  return targetAt(c, how, (target) => done(0, encodeStatFs(c, target)));
}
export function fstatfs(c: CallContext): CallResult {
  return done(0, encodeStatFs(c, targetOfOpen(c, c.table.get(c.int(0)))));
}
/** Source: linux/magic.h. Files are served over the interconnect, as with 9p. */
const Magic = {
  REMOTE: 0x0102_1997n,
  TMPFS: 0x0102_1994n,
  PROC: 0x9fa0n,
  SYSFS: 0x6265_6572n,
  PIPE: 0x5049_5045n,
} as const;
/** statfs(2): ST_RDONLY, ST_VALID, ST_NOATIME. */
const MountFlag = { READ_ONLY: 1n, VALID: 0x20n, NO_ATIME: 0x400n } as const;
/** Sizes follow the job's quota, so that `df` shows what may still be written. */
function encodeStatFs(c: CallContext, { volume: { device, readOnly }, stream }: Target): Uint8Array {
  const bytes = new Uint8Array(StatFs.SIZE);
  const s = new StatFs(new DataView(bytes.buffer));
  s.type = Magic.REMOTE;
  if (stream !== undefined) s.type = Magic.PIPE;
  else if (device === volumes.proc.device) s.type = Magic.PROC;
  else if (device === volumes.sys.device) s.type = Magic.SYSFS;
  else if (device === volumes.devices.device || device === volumes.shared.device) s.type = Magic.TMPFS;
  s.blockBytes = s.fragmentBytes = BigInt(BLOCK_BYTES);
  if (s.type === Magic.REMOTE || device === volumes.shared.device) {
    s.blocks = BigInt(Math.floor(c.quota.limit / BLOCK_BYTES));
    s.free = s.available = BigInt(Math.floor(c.quota.roomBytes / BLOCK_BYTES));
    s.files = BigInt(c.quota.namesMax);
    s.filesFree = BigInt(c.quota.namesLeft);
  }
  s.id = BigInt(device);
  s.nameMax = BigInt(NAME_MAX_BYTES);
  s.flags = MountFlag.VALID | MountFlag.NO_ATIME | (readOnly ? MountFlag.READ_ONLY : 0n);
  return bytes;
}
