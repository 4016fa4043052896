/** open, openat, creat, close, close_range. Source: Linux open(2), close(2), close_range(2). */
import { Errno } from "../../abi/errno.ts";
import { AT_FDCWD, CloseRange, Open } from "../../abi/io.ts";
import { type OpenFile, streamFile } from "../descriptors.ts";
import type { Folder, Node } from "../folder.ts";
import { IoError } from "../hostfs.ts";
import { Access, permits, type Place, statOf } from "../namespace.ts";
import { done, type CallContext, type CallResult } from "./context.ts";
import { at, directoryToChange, volumeOf } from "./paths.ts";

/** A host process that creates and removes the file continuously must not block the job for ever. */
const ATTEMPTS_MAX = 16;
/** Flags that F_GETFL does not show. */
const AT_OPEN_ONLY = Open.CREAT | Open.EXCL | Open.NOCTTY | Open.TRUNC | Open.CLOEXEC;
/** Flags that O_PATH keeps. */
const WITH_PATH = Open.PATH | Open.DIRECTORY | Open.NOFOLLOW | Open.CLOEXEC;

export function open(c: CallContext): CallResult {
  return openFrom(c, AT_FDCWD, c.path(0), c.int(1), c.int(2));
}
export function openat(c: CallContext): CallResult {
  return openFrom(c, c.int(0), c.path(1), c.int(2), c.int(3));
}
export function creat(c: CallContext): CallResult {
  return openFrom(c, AT_FDCWD, c.path(0), Open.CREAT | Open.WRONLY | Open.TRUNC, c.int(1));
}
export function close(c: CallContext): CallResult {
  c.table.remove(c.int(0));
  return done(0);
}
export function closeRange(c: CallContext): CallResult {
  const first = c.int(0) >>> 0;
  const last = c.int(1) >>> 0;
  const flags = c.int(2);
  if (flags & ~(CloseRange.UNSHARE | CloseRange.CLOEXEC) || first > last) throw new IoError(Errno.EINVAL);
  for (const [fd, slot] of [...c.table.open()]) {
    if (fd < first || fd > last) continue;
    if (flags & CloseRange.CLOEXEC) slot.closeOnExec = true;
    else c.table.remove(fd);
  }
  return done(0);
}

function openFrom(c: CallContext, dirfd: number, path: string, given: number, mode: number): CallResult {
  const flags = given & Open.PATH ? given & WITH_PATH : given;
  if (flags & Open.CREAT && flags & Open.DIRECTORY) throw new IoError(Errno.EINVAL);
  if (flags & Open.TMPFILE) {
    const access = flags & Open.ACCMODE;
    const isWriting = access === Open.WRONLY || access === Open.RDWR;
    throw new IoError(flags & Open.DIRECTORY && isWriting ? Errno.EOPNOTSUPP : Errno.EINVAL);
  }
  if (path === "") throw new IoError(Errno.ENOENT);
  const fd = c.table.free();
  const isExclusive = (flags & Open.CREAT) !== 0 && (flags & Open.EXCL) !== 0;
  const options = { followLast: !isExclusive && (flags & Open.NOFOLLOW) === 0 };
  const permissions = mode & 0o7777 & ~c.task.umask;
  for (let attempt = 1; ; attempt++) {
    try {
      const file = at(c, dirfd, path, options, (place) => openPlace(c, place, flags, permissions));
      c.table.set(fd, file, (flags & Open.CLOEXEC) !== 0);
      return done(fd);
    } catch (error) {
      // A host process created the file after the look-up.
      const isOvertaken = error instanceof IoError && error.errno === Errno.EEXIST && !isExclusive;
      if (!isOvertaken || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

function openPlace(c: CallContext, place: Place, flags: number, permissions: number): OpenFile {
  const { node, folder } = place;
  const base = {
    flags: (flags & ~AT_OPEN_ONLY) | (flags & Open.PATH ? 0 : Open.LARGEFILE),
    hostFd: -1,
    volume: node === null ? folder.volume : volumeOf(node, place),
    identity: "",
    path: pathOf(c, folder, place.name),
    positionBytes: 0n,
    holders: 0,
  };
  if (node === null) {
    const hostFd = create(c, place, flags, permissions);
    const { identity } = c.fs.fstat(hostFd);
    c.facts.created(identity, c.time);
    c.facts.setSpecialBits(identity, permissions);
    c.facts.modified(folder.stat.identity, c.time);
    return { ...base, kind: "regular", hostFd, identity };
  }
  check(place, node, flags);
  if (node.kind === "folder") return openFolder(c, base, node.folder);
  if (flags & Open.PATH) {
    if (node.kind === "link") return { ...base, kind: "path", stat: statOf(node), linkText: node.target };
    if (node.kind !== "file") return { ...base, kind: "path", stat: statOf(node) };
    const link = node.stat.kind === "link" && folder.isHost ? { linkText: folder.readlink(place.name) } : {};
    node.isTaken = true;
    return { ...base, kind: "path", hostFd: node.fd, identity: node.stat.identity, ...link };
  }
  switch (node.kind) {
    case "device":
      return node.device.isTerminal ? terminal(c, flags) : { ...base, kind: "device", device: node.device };
    case "stream":
      return { ...streamFile(node.stream, base.flags), path: base.path };
    case "text":
      return { ...base, kind: "text", text: { file: node, bytes: node.bytes() } };
    case "link":
      throw new IoError(Errno.ELOOP);
    case "file": {
      const { identity, sizeBytes } = node.stat;
      const access = (flags & Open.ACCMODE) === Open.ACCMODE ? Open.RDONLY : flags & Open.ACCMODE;
      const hostFd = c.fs.open(node.fd, access | (flags & Open.TRUNC));
      if (flags & Open.TRUNC) {
        c.quota.resized(identity, sizeBytes, 0);
        c.facts.modified(identity, c.time);
      }
      return { ...base, kind: "regular", hostFd, identity };
    }
  }
}
/** A directory is opened only by O_PATH; its descriptor serves the *at calls, getdents and fstat. */
function openFolder(c: CallContext, base: Omit<OpenFile, "kind">, folder: Folder): OpenFile {
  const path = pathOf(c, folder, "");
  return { ...base, kind: "directory", volume: folder.volume, path, folder: folder.hold() };
}
/** /dev/tty: the terminal of the task's streams. */
function terminal(c: CallContext, flags: number): OpenFile {
  const stream = (flags & Open.ACCMODE) === Open.RDONLY ? 0 : 1;
  if (c.terminal(stream) === undefined) throw new IoError(Errno.ENXIO);
  return { ...streamFile(stream, flags & ~AT_OPEN_ONLY), path: "/dev/tty" };
}
/** The path where it was found, for /proc/self/fd. */
function pathOf(c: CallContext, folder: Folder, name: string): string {
  try {
    const directory = c.names.pathOf(folder);
    return name === "" ? directory : `${directory === "/" ? "" : directory}/${name}`;
  } catch (error) {
    // The directory has been removed.
    if (error instanceof IoError) return `${name} (deleted)`;
    throw error;
  }
}

function create(c: CallContext, { folder, name, mustBeDirectory }: Place, flags: number, permissions: number): number {
  if (!(flags & Open.CREAT)) throw new IoError(Errno.ENOENT);
  if (mustBeDirectory) throw new IoError(Errno.EISDIR);
  const directory = directoryToChange(folder);
  c.quota.named();
  const access = flags & Open.ACCMODE;
  return c.fs.create(directory, name, access === Open.ACCMODE ? Open.RDONLY : access, permissions & 0o777);
}

function check(place: Place, node: Node, flags: number): void {
  const { mustBeDirectory, last } = place;
  if (flags & Open.CREAT && (mustBeDirectory || last !== "name") && node.kind === "folder")
    throw new IoError(flags & Open.EXCL && last === "name" ? Errno.EEXIST : Errno.EISDIR);
  if (flags & Open.CREAT && flags & Open.EXCL) throw new IoError(Errno.EEXIST);
  const stat = statOf(node);
  if (flags & Open.PATH) {
    if (flags & Open.DIRECTORY && stat.kind !== "directory") throw new IoError(Errno.ENOTDIR);
    return;
  }
  if (stat.kind === "link") throw new IoError(flags & Open.DIRECTORY ? Errno.ENOTDIR : Errno.ELOOP);
  const mode = flags & Open.ACCMODE;
  const isWriting = mode !== Open.RDONLY || (flags & Open.TRUNC) !== 0;
  if (stat.kind === "directory") {
    if (flags & Open.CREAT || isWriting) throw new IoError(Errno.EISDIR);
  } else if (flags & Open.DIRECTORY) throw new IoError(Errno.ENOTDIR);
  // Devices, pipes and sockets of the host are not available to jobs.
  else if (node.kind === "file" && stat.kind !== "regular") throw new IoError(Errno.EACCES);
  else if (node.kind === "stream" && mode !== (node.stream === 0 ? Open.RDONLY : Open.WRONLY))
    throw new IoError(Errno.EACCES);
  const access = (mode === Open.WRONLY ? 0 : Access.READ) | (isWriting ? Access.WRITE : 0);
  if (!permits(stat, access)) throw new IoError(Errno.EACCES);
  if (isWriting && volumeOf(node, place).readOnly && node.kind !== "device" && node.kind !== "stream")
    throw new IoError(Errno.EROFS);
}
