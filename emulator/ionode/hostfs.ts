/**
 * The I/O node's whole interface to the host's file system, so that tests and replay can replace it.
 *
 * A name is only looked up in an open directory, and never followed: `/proc/self/fd/D/NAME` with O_NOFOLLOW is
 * equivalent to openat(D, NAME, O_NOFOLLOW), because the first part is the open directory itself and not a path that
 * could change (proc_pid_fd(5)). `look` opens with O_PATH, which has no effect on the target: no device is started, no
 * pipe waits (open(2)). The kind of the node is read from this descriptor, and this descriptor is then opened for
 * reading or writing. So another process of the host can replace a name at any time and gains nothing. No `..` is ever
 * passed to the host.
 */
import fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
/** special: a character device or what looks like one; the others belong to the host and are never opened. */
export type NodeKind = "regular" | "directory" | "link" | "special" | "pipe" | "socket" | "block";
export interface HostStat {
  readonly kind: NodeKind;
  /** Identifies the file itself, whatever its name: host device and inode. */
  readonly identity: string;
  readonly sizeBytes: number;
  /** Permission bits, 0…0o7777. */
  readonly permissions: number;
  readonly links: number;
  /** Nanoseconds since 1970; left out: a file that the host has not. */
  readonly modified?: bigint;
}
/** A node that is open with O_PATH. */
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
 * Every function throws IoError. Descriptors are the host's; `directory` and `node` are open with O_PATH, `fd` for
 * reading or writing. A `name` is one component: not empty, without a slash, neither `.` nor `..`. Names and links'
 * texts are byte strings (bytestring.ts). No function follows a name.
 */
export interface HostFs {
  /**
   * A directory by a path that the user gave, with links followed. EACCES: it is a view of the host (filesystems.ts).
   */
  directory(path: string): HostNode;
  /** EACCES as in `directory`. */
  look(directory: number, name: string): HostNode;
  readlink(directory: number, name: string): string;
  /** Opens a regular file or a directory. `flags`: access mode and TRUNC of Linux. */
  open(node: number, flags: number): number;
  /** Creates a new regular file and opens it; EEXIST if the name exists. `flags`: access mode. */
  create(directory: number, name: string, flags: number, permissions: number): number;
  close(fd: number): void;
  fstat(fd: number): HostStat;
  /** Bytes read, 0 at the end. */
  read(fd: number, into: Uint8Array, position: number): number;
  /** Returns the bytes written: fewer than requested if an error followed them. */
  write(fd: number, bytes: Uint8Array, position: number): number;
  /** All names except `.` and `..`, in byte order. */
  list(directory: number): HostEntry[];
  /** Another descriptor for the object of `fd`, or of a node; also with O_PATH. */
  again(fd: number): HostNode;
  mkdir(directory: number, name: string, permissions: number): HostStat;
  rmdir(directory: number, name: string): void;
  unlink(directory: number, name: string): void;
  rename(from: number, name: string, to: number, newName: string): void;
  /** Links the node itself; EXDEV if the host has replaced it meanwhile. */
  link(node: HostNode, from: number, name: string, to: number, newName: string): void;
  symlink(directory: number, name: string, target: string): HostStat;
  chmod(node: number, permissions: number): void;
  truncate(fd: number, lengthBytes: number): void;
  sync(fd: number): void;
  /** A new empty directory of the emulator's own, open by O_PATH; `discard` removes it with all that is in it. */
  temporary(): { readonly path: string; readonly node: HostNode };
  discard(path: string): void;
  /** Seconds since 1970. */
  setTimes(node: number, accessed: number, modified: number): void;
}

/** The host's error names; their numbers differ between hosts. */
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
    modified: s.mtimeNs,
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

/** Closes the descriptor if `check` throws. */
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
 * `parentDevice`: st_dev of the directory in which it was found; a node with the same one is in the same file system.
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
      // The job must not see the host's umask.
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
      // link(2) does not follow, so it links a node of this directory; whether it is the one that was looked up, is
      // checked afterwards.
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
  temporary: () =>
    attempt(() => {
      const path = fs.mkdtempSync(join(tmpdir(), "margay-shm-"));
      fs.chmodSync(path, 0o777);
      return { path, node: hostFs.directory(path) };
    }),
  discard: (path) => attempt(() => fs.rmSync(path, { recursive: true, force: true })),
  setTimes: (node, accessed, modified) => attempt(() => fs.utimesSync(openPath(node), accessed, modified)),
};

/** Checks a node that was just created without following, so permissions are never set elsewhere. */
function made(directory: number, name: string, kind: NodeKind, permissions: number): HostStat {
  const fd = fs.openSync(inside(directory, name), O_PATH | c.O_NOFOLLOW);
  try {
    // The host has replaced it meanwhile.
    if (kindOf(fs.fstatSync(fd, { bigint: true })) !== kind) throw new IoError(Errno.ENOENT);
    // The host's umask must not show in the job.
    if (kind === "directory") fs.chmodSync(openPath(fd), permissions);
    return toStat(fs.fstatSync(fd, { bigint: true }));
  } finally {
    fs.closeSync(fd);
  }
}
