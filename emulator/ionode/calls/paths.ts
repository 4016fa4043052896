/** Resolves a call's path, and checks what may be done there. Source: Linux path_resolution(7), fs/namei.c. */
import { Errno } from "../../abi/errno.ts";
import { AT_FDCWD, At } from "../../abi/io.ts";
import type { OpenFile } from "../descriptors.ts";
import type { Folder, Node, Volume } from "../folder.ts";
import { type HostStat, IoError } from "../hostfs.ts";
import { Access, deviceStat, permits, type Place, type ResolveOptions, statOf } from "../namespace.ts";
import type { Facts } from "../virtual.ts";
import type { CallContext } from "./context.ts";

/** The directory from which a relative path starts: the task's working directory, or an open one. */
function startOf(c: CallContext, dirfd: number, path: string): Folder {
  if (path.startsWith("/")) return c.names.root;
  if (dirfd === AT_FDCWD) return c.task.workingFolder;
  const { folder } = c.table.get(dirfd);
  if (folder === undefined) throw new IoError(Errno.ENOTDIR);
  return folder;
}
type Options = Pick<ResolveOptions, "followLast" | "isParent">;
/** Resolves `path` from `dirfd`; the place is closed after `use`. */
export function at<T>(c: CallContext, dirfd: number, path: string, options: Options, use: (place: Place) => T): T {
  if (path === "") throw new IoError(Errno.ENOENT);
  return c.names.resolve(path, { ...options, from: startOf(c, dirfd, path), viewer: c.viewer }, use);
}
/** For something that must exist. */
export function existing<T>(
  c: CallContext,
  dirfd: number,
  path: string,
  followLast: boolean,
  use: (node: Node, place: Place) => T,
): T {
  return at(c, dirfd, path, { followLast }, (place) => {
    if (place.node === null) throw new IoError(Errno.ENOENT);
    return use(place.node, place);
  });
}
/** For a name to create or remove: never followed. */
export function nameAt<T>(c: CallContext, dirfd: number, path: string, use: (place: Place) => T): T {
  return at(c, dirfd, path, { followLast: false, isParent: true }, use);
}

/** The object of calls that change something: a node of the host or of the name space. */
export interface Target {
  readonly stat: HostStat;
  readonly volume: Volume;
  /** Open on the host, by O_PATH or fully; -1: the name space made it. */
  readonly hostFd: number;
  /** directory. */
  readonly folder?: Folder | undefined;
  readonly deviceNumber?: number | undefined;
  /** A standard stream. */
  readonly stream?: number | undefined;
}
/** The tree that it lies in: a link of /proc/self/fd leads into another than that of the link. */
export function volumeOf(node: Node, { folder }: Place): Volume {
  if (node.kind === "folder") return node.folder.volume;
  return node.kind === "file" ? node.volume : folder.volume;
}
export function targetOf(node: Node, place: Place): Target {
  const stat = statOf(node);
  const base = { stat, volume: volumeOf(node, place), hostFd: -1 };
  if (node.kind === "file") return { ...base, hostFd: node.fd };
  if (node.kind === "device") return { ...base, deviceNumber: node.device.number };
  if (node.kind === "stream") return { ...base, stream: node.stream };
  return node.kind === "folder" ? folderTarget(node.folder) : base;
}
export function folderTarget(folder: Folder): Target {
  const { stat, volume } = folder;
  const hostFd = folder.isHost ? folder.hostFd : -1;
  return { stat, volume, hostFd, folder };
}
export function targetOfOpen(c: CallContext, file: OpenFile): Target {
  if (file.folder !== undefined) return folderTarget(file.folder.refresh());
  const { volume, hostFd } = file;
  if (file.stream !== undefined)
    return { stat: statOf({ kind: "stream", stream: file.stream }), volume, hostFd, stream: file.stream };
  if (file.device !== undefined)
    return { stat: deviceStat(file.device), volume, hostFd, deviceNumber: file.device.number };
  if (file.text !== undefined) return { stat: statOf(file.text.file), volume, hostFd };
  return { stat: file.stat ?? c.fs.fstat(hostFd), volume, hostFd };
}
/** The same for (dirfd, path, flags) of an *at call, whose flags may include AT_EMPTY_PATH. */
export function targetAt<T>(
  c: CallContext,
  { dirfd, path, flags, followLast }: { dirfd: number; path: string; flags: number; followLast: boolean },
  use: (target: Target) => T,
): T {
  if (path === "" && flags & At.EMPTY_PATH) {
    if (dirfd === AT_FDCWD) return use(folderTarget(c.task.workingFolder.refresh()));
    return use(targetOfOpen(c, c.table.get(dirfd)));
  }
  return existing(c, dirfd, path, followLast, (node, place) => use(targetOf(node, place)));
}

export function factsOf(c: CallContext, target: Target): Facts {
  const { userId } = c.request;
  if (target.stream !== undefined)
    return c.facts.streamFacts(target.stream, userId, c.terminal(target.stream) !== undefined);
  const { stat, volume, deviceNumber: device, folder } = target;
  return c.facts.facts(stat, { volume: volume.device, userId, device, links: folder && linksOf(c, folder) });
}
/** Links of a directory: its own two names, and `..` of each directory in it. */
function linksOf(c: CallContext, folder: Folder): number {
  if (folder.stat.links === 0) return 0;
  try {
    return 2 + folder.list(c.viewer).filter((entry) => entry.kind === "directory").length;
  } catch (error) {
    // The host does not let the emulator's user read it.
    if (error instanceof IoError) return 2;
    throw error;
  }
}

/** The host's descriptor of the directory in which a name is created or removed. @throws IoError EROFS, EACCES */
export function directoryToChange(folder: Folder): number {
  if (folder.readOnly) throw new IoError(Errno.EROFS);
  if (!permits(folder.stat, Access.WRITE | Access.EXECUTE)) throw new IoError(Errno.EACCES);
  return folder.hostFd;
}
/** A name to create there. @throws IoError EEXIST, ENOENT, and those of `directoryToChange` */
export function nameToMake({ folder, name, last, node, mustBeDirectory }: Place, isDirectory: boolean): number {
  if (last !== "name" || node !== null) throw new IoError(Errno.EEXIST);
  if (mustBeDirectory && !isDirectory) throw new IoError(Errno.ENOENT);
  const directory = directoryToChange(folder);
  if (folder.stat.links === 0) throw new IoError(Errno.ENOENT);
  if (name === "") throw new IoError(Errno.EEXIST);
  return directory;
}
