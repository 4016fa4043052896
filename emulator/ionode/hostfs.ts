/**
 * All that the I/O node asks of the host's file system, so that tests and replay can put something else in its place.
 *
 * A name is only ever looked up in a directory that is open, and never followed: `/proc/self/fd/D/NAME` with O_NOFOLLOW
 * is what openat(D, NAME, O_NOFOLLOW) is, since the first part is the open directory itself and not a path that could
 * change (proc_pid_fd(5)). `look` opens with O_PATH, which has no effect on what it opens: no device is started, no
 * pipe waits (open(2)). What the node is, is asked of this descriptor, and it is this descriptor that is opened for
 * reading or writing. So another process of the host can put something else in the place of a name at any time and
 * gains nothing. No `..` is ever passed to the host.
 */
import fs from "node:fs";
import { Errno } from "../abi/errno.ts";
import { Open } from "../abi/io.ts";
import { byBytes, fromBytes, toBytes } from "./bytestring.ts";
import { HostViews } from "./filesystems.ts";

/** A refusal with its Linux error number. */
export class IoError extends Error {
  constructor(readonly errno: number) {
    super(`errno ${errno}`);
  }
}
/** special: a character device or what shows as one; the others are the host's, and never opened. */
export type NodeKind = "regular" | "directory" | "link" | "special" | "pipe" | "socket" | "block";
export interface HostStat {
  readonly kind: NodeKind;
  /** Names the file itself, whatever it is called: host device and inode. */
  readonly identity: string;
  readonly sizeBytes: number;
  /** Permission bits, 0…0o7777. */
  readonly permissions: number;
  readonly links: number;
}
/** A node that is open by O_PATH. */
export interface HostNode {
  readonly fd: number;
  readonly stat: HostStat;
}
/** One name of a directory. */
export interface HostEntry {
  readonly name: string;
  readonly kind: NodeKind;
  readonly identity: string;
}
/**
 * Every function throws IoError. Descriptors are the host's; `directory` and `node` are open by O_PATH, `fd` for
 * reading or writing. A `name` is one component: not empty, without a slash, neither `.` nor `..`. Names and links'
 * texts are byte strings (bytestring.ts). No function that takes a name follows it.
 */
export interface HostFs {
  /**
   * A directory by its path: what the user named, links followed. EACCES: it is a view of the host (filesystems.ts).
   */
  directory(path: string): HostNode;
  /** EACCES as in `directory`. */
  look(directory: number, name: string): HostNode;
  readlink(directory: number, name: string): string;
  /** Opens a regular file or a directory. `flags`: access mode and TRUNC of Linux. */
  open(node: number, flags: number): number;
  /** Makes a new regular file and opens it; EEXIST if there is anything of that name. `flags`: access mode. */
  create(directory: number, name: string, flags: number, permissions: number): number;
  close(fd: number): void;
  fstat(fd: number): HostStat;
  /** Bytes read, 0 at the end. */
  read(fd: number, into: Uint8Array, position: number): number;
  /** Bytes written: fewer than asked for if an error came after them. */
  write(fd: number, bytes: Uint8Array, position: number): number;
  /** All names but `.` and `..`, in the order of their bytes. */
  list(directory: number): HostEntry[];
  /** Another descriptor for what `fd`, or a node, has open; O_PATH as well. */
  again(fd: number): HostNode;
  mkdir(directory: number, name: string, permissions: number): HostStat;
  rmdir(directory: number, name: string): void;
  unlink(directory: number, name: string): void;
  rename(from: number, name: string, to: number, newName: string): void;
  /** Of the node itself; EXDEV where the host has exchanged it meanwhile. */
  link(node: HostNode, from: number, name: string, to: number, newName: string): void;
  symlink(directory: number, name: string, target: string): HostStat;
  chmod(node: number, permissions: number): void;
  truncate(fd: number, lengthBytes: number): void;
  sync(fd: number): void;
  /** Seconds since 1970. */
  setTimes(node: number, accessed: number, modified: number): void;
}

/** The host's error names, whose numbers differ between hosts. */
function errnoOf(error: unknown): number {
  const code = (error as { code?: unknown }).code;
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
function kindOf(s: fs.BigIntStats): NodeKind {
  if (s.isFile()) return "regular";
  if (s.isDirectory()) return "directory";
  if (s.isSymbolicLink()) return "link";
  if (s.isFIFO()) return "pipe";
  if (s.isSocket()) return "socket";
  return s.isBlockDevice() ? "block" : "special";
}
const identityOf = (s: fs.BigIntStats): string => `${s.dev}:${s.ino}`;
function toStat(s: fs.BigIntStats): HostStat {
  return {
    kind: kindOf(s),
    identity: identityOf(s),
    sizeBytes: Number(s.size),
    permissions: Number(s.mode) & 0o7777,
    links: Number(s.nlink),
  };
}

const c = fs.constants;
/** open(2), x86-64; not among node's constants. */
const O_PATH = 0x20_0000;
/** Of the host, by Open.ACCMODE. */
const ACCESS = [c.O_RDONLY, c.O_WRONLY, c.O_RDWR] as const;

const openPath = (fd: number): string => `/proc/self/fd/${fd}`;
function inside(directory: number, name: string): Buffer {
  if (name === "" || name === "." || name === ".." || name.includes("/"))
    throw new Error(`host file system: '${name}' is no component`);
  return toBytes(`${openPath(directory)}/${name}`);
}

/** Closes what was opened if `check` throws. */
function checked(fd: number, check: (stat: fs.BigIntStats) => void): HostNode {
  try {
    const stat = fs.fstatSync(fd, { bigint: true });
    check(stat);
    return { fd, stat: toStat(stat) };
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

let known: HostViews | undefined;
/**
 * `parentDevice`: st_dev of the directory that it was found in; a node with the same one lies in the same file system.
 */
function mustBeServed(fd: number, stat: fs.BigIntStats, parentDevice: bigint | undefined): void {
  known ??= new HostViews();
  if (stat.isDirectory() && known.isHostOnly(identityOf(stat))) throw new IoError(Errno.EACCES);
  if (stat.dev !== parentDevice && !known.isStorage(openPath(fd), stat.dev)) throw new IoError(Errno.EACCES);
}

export const hostFs: HostFs = {
  directory: (path) =>
    attempt(() => {
      const fd = fs.openSync(path, O_PATH | c.O_DIRECTORY);
      return checked(fd, (stat) => mustBeServed(fd, stat, undefined));
    }),
  look: (directory, name) =>
    attempt(() => {
      const fd = fs.openSync(inside(directory, name), O_PATH | c.O_NOFOLLOW);
      return checked(fd, (stat) => mustBeServed(fd, stat, fs.fstatSync(directory, { bigint: true }).dev));
    }),
  readlink: (directory, name) =>
    attempt(() => fromBytes(fs.readlinkSync(inside(directory, name), { encoding: "buffer" }))),
  open: (node, flags) =>
    attempt(() => {
      const access = ACCESS[flags & Open.ACCMODE]! | (flags & Open.TRUNC ? c.O_TRUNC : 0);
      return fs.openSync(openPath(node), access | c.O_NONBLOCK | c.O_NOCTTY);
    }),
  create: (directory, name, flags, permissions) =>
    attempt(() => {
      const access = ACCESS[flags & Open.ACCMODE]!;
      const fd = fs.openSync(inside(directory, name), access | c.O_CREAT | c.O_EXCL | c.O_NOFOLLOW, permissions);
      // The host's umask must not show in the job.
      fs.fchmodSync(fd, permissions);
      return fd;
    }),
  close: (fd) => attempt(() => fs.closeSync(fd)),
  fstat: (fd) => attempt(() => toStat(fs.fstatSync(fd, { bigint: true }))),
  read: (fd, into, position) => attempt(() => fs.readSync(fd, into, 0, into.length, position)),
  write: (fd, bytes, position) => {
    let done = 0;
    try {
      while (done < bytes.length) done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
    } catch (error) {
      if (done === 0) throw new IoError(errnoOf(error));
    }
    return done;
  },
  list: (directory) =>
    attempt(() => {
      const names = fs.readdirSync(openPath(directory), { encoding: "buffer" }).map(fromBytes);
      const entries: HostEntry[] = [];
      for (const name of names.sort(byBytes)) {
        const stat = fs.lstatSync(inside(directory, name), { bigint: true, throwIfNoEntry: false });
        // The host has removed it meanwhile.
        if (stat === undefined) continue;
        entries.push({ name, kind: kindOf(stat), identity: identityOf(stat) });
      }
      return entries;
    }),
  again: (fd) => attempt(() => checked(fs.openSync(openPath(fd), O_PATH), () => {})),
  mkdir: (directory, name, permissions) =>
    attempt(() => {
      fs.mkdirSync(inside(directory, name), 0o700);
      return made(directory, name, "directory", permissions);
    }),
  rmdir: (directory, name) => attempt(() => fs.rmdirSync(inside(directory, name))),
  unlink: (directory, name) => attempt(() => fs.unlinkSync(inside(directory, name))),
  rename: (from, name, to, newName) => attempt(() => fs.renameSync(inside(from, name), inside(to, newName))),
  link: (node, from, name, to, newName) =>
    attempt(() => {
      const target = inside(to, newName);
      // link(2) does not follow, so what it links is of this directory; whether it is what was looked at, is seen then.
      fs.linkSync(inside(from, name), target);
      if (identityOf(fs.lstatSync(target, { bigint: true })) === node.stat.identity) return;
      fs.unlinkSync(target);
      throw new IoError(Errno.EXDEV);
    }),
  symlink: (directory, name, target) =>
    attempt(() => {
      fs.symlinkSync(toBytes(target), inside(directory, name));
      return made(directory, name, "link", 0o777);
    }),
  chmod: (node, permissions) => attempt(() => fs.chmodSync(openPath(node), permissions)),
  truncate: (fd, lengthBytes) => attempt(() => fs.ftruncateSync(fd, lengthBytes)),
  sync: (fd) => attempt(() => fs.fsyncSync(fd)),
  setTimes: (node, accessed, modified) => attempt(() => fs.utimesSync(openPath(node), accessed, modified)),
};

/** What has just been made: it is looked at without following, so permissions never go elsewhere. */
function made(directory: number, name: string, kind: NodeKind, permissions: number): HostStat {
  const fd = fs.openSync(inside(directory, name), O_PATH | c.O_NOFOLLOW);
  try {
    // The host has exchanged it meanwhile.
    if (kindOf(fs.fstatSync(fd, { bigint: true })) !== kind) throw new IoError(Errno.ENOENT);
    // The host's umask must not show in the job.
    if (kind === "directory") fs.chmodSync(openPath(fd), permissions);
    return toStat(fs.fstatSync(fd, { bigint: true }));
  } finally {
    fs.closeSync(fd);
  }
}
