/**
 * All that the I/O node asks of the host's file system, so that tests and replay can put something else in its place.
 * Paths are absolute host paths that the name space has resolved; nothing here follows a symbolic link in the last component.
 */
import fs from "node:fs";
import { Errno } from "../abi/errno.ts";
import { Open } from "../abi/io.ts";

/** A refusal with its Linux error number. */
export class IoError extends Error {
  constructor(readonly errno: number) {
    super(`errno ${errno}`);
  }
}
export type NodeKind = "regular" | "directory" | "link" | "special";
export interface HostStat {
  readonly kind: NodeKind;
  /** Names the file itself, whatever it is called: host device and inode. */
  readonly identity: string;
  readonly sizeBytes: number;
  /** Permission bits, 0…0o7777. */
  readonly permissions: number;
  readonly links: number;
}
/** Every function throws IoError. Descriptors are the host's. */
export interface HostFs {
  lstat(path: string): HostStat;
  readlink(path: string): string;
  /** `flags`: access mode, CREAT, EXCL, TRUNC of Linux. */
  open(path: string, flags: number, permissions: number): number;
  close(fd: number): void;
  fstat(fd: number): HostStat;
  /** Bytes read, 0 at the end. */
  read(fd: number, into: Uint8Array, position: number): number;
  /** Writes all of it. */
  write(fd: number, bytes: Uint8Array, position: number): void;
}

/** The host's error names, whose numbers differ between hosts. EDQUOT has no number here. */
function errnoOf(error: unknown): number {
  const code = (error as { code?: unknown }).code;
  if (code === "EDQUOT") return Errno.ENOSPC;
  const known = typeof code === "string" ? (Errno as Readonly<Record<string, number>>)[code] : undefined;
  return known ?? Errno.EIO;
}
function attempt<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof IoError) throw error;
    throw new IoError(errnoOf(error));
  }
}
function toStat(s: fs.BigIntStats): HostStat {
  const kind = s.isFile() ? "regular" : s.isDirectory() ? "directory" : s.isSymbolicLink() ? "link" : "special";
  return {
    kind,
    identity: `${s.dev}:${s.ino}`,
    sizeBytes: Number(s.size),
    permissions: Number(s.mode) & 0o7777,
    links: Number(s.nlink),
  };
}
function hostFlags(flags: number): number {
  const c = fs.constants;
  const access = [c.O_RDONLY, c.O_WRONLY, c.O_RDWR][flags & Open.ACCMODE]!;
  return (
    access |
    (flags & Open.CREAT ? c.O_CREAT : 0) |
    (flags & Open.EXCL ? c.O_EXCL : 0) |
    (flags & Open.TRUNC ? c.O_TRUNC : 0) |
    c.O_NOFOLLOW |
    c.O_NONBLOCK
  );
}

export const hostFs: HostFs = {
  lstat: (path) => attempt(() => toStat(fs.lstatSync(path, { bigint: true }))),
  readlink: (path) => attempt(() => fs.readlinkSync(path)),
  open: (path, flags, permissions) =>
    attempt(() => {
      const fd = fs.openSync(path, hostFlags(flags), permissions);
      // The host's umask must not show in the job.
      if (flags & Open.CREAT) fs.fchmodSync(fd, permissions);
      return fd;
    }),
  close: (fd) => attempt(() => fs.closeSync(fd)),
  fstat: (fd) => attempt(() => toStat(fs.fstatSync(fd, { bigint: true }))),
  read: (fd, into, position) => attempt(() => fs.readSync(fd, into, 0, into.length, position)),
  write: (fd, bytes, position) =>
    attempt(() => {
      let done = 0;
      while (done < bytes.length) done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
    }),
};
