/**
 * The job's name space: one host directory as its root, and the built-in jobs read-only under /margay/bin.
 * Paths are resolved here, one component after the other: absolute paths and symbolic links, absolute ones too, start at the
 * job's root, `..` stops at it. So no path leads out; the host is only ever asked about resolved paths below its two directories.
 * What this leaves out: another process of the host that exchanges directories for links while a job runs.
 * Permissions: files belong to whoever asks, so the owner's bits count, whoever runs the emulator.
 */
import path from "node:path";
import { Errno } from "../abi/errno.ts";
import { PATH_MAX_BYTES } from "../abi/io.ts";
import { IoError, type HostFs, type HostStat } from "./hostfs.ts";

const NAME_MAX_BYTES = 255;
/** Symbolic links followed in one resolution (Linux: MAXSYMLINKS). */
const LINKS_MAX = 40;
export const MOUNT = ["margay", "bin"] as const;

export const Access = { EXECUTE: 1, WRITE: 2, READ: 4 } as const;
export function permits(stat: HostStat, access: number): boolean {
  return ((stat.permissions >> 6) & access) === access;
}

/** Where a resolution ended. */
export interface Place {
  /** Components from the job's root. */
  readonly names: readonly string[];
  readonly hostPath: string;
  readonly readOnly: boolean;
  /** Null: nothing has that name, but its directory exists. */
  readonly stat: HostStat | null;
  /** The path asked for a directory, by a slash at its end. */
  readonly mustBeDirectory: boolean;
}
export interface ResolveOptions {
  /** Follow a symbolic link in the last component. */
  readonly followLast: boolean;
  /** Components of the directory that a relative path starts from. */
  readonly from?: readonly string[];
}

const directoryStat = (identity: string): HostStat => ({
  kind: "directory",
  identity,
  sizeBytes: 0,
  permissions: 0o555,
  links: 2,
});

export class NameSpace {
  constructor(
    private readonly fs: HostFs,
    readonly root: string,
    readonly builtIn: string,
  ) {}

  resolve(text: string, { followLast, from = [] }: ResolveOptions): Place {
    if (text.length === 0) throw new IoError(Errno.ENOENT);
    if (Buffer.byteLength(text) >= PATH_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
    /** What is still to be walked, next component last. */
    const rest = text.split("/").reverse();
    let names = text.startsWith("/") ? [] : [...from];
    let links = 0;
    let mustBeDirectory = false;
    let stat: HostStat = this.lstat(names);
    for (;;) {
      const name = rest.pop();
      if (name === undefined) break;
      if (name === "" || name === ".") {
        // A slash or a dot behind a name asks for a directory, except the slash at the beginning.
        if (names.length > 0 || name === ".")
          mustBeDirectory = rest.every((r) => r === "" || r === ".") || mustBeDirectory;
        this.search(stat);
        continue;
      }
      this.search(stat);
      if (Buffer.byteLength(name) > NAME_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
      if (name === "..") {
        names = names.slice(0, -1);
        stat = this.lstat(names);
        continue;
      }
      const last = rest.every((r) => r === "" || r === ".");
      const next = [...names, name];
      const found = this.find(next);
      if (found === null) {
        if (!last) throw new IoError(Errno.ENOENT);
        return this.place(next, null, rest.length > 0 || mustBeDirectory);
      }
      if (found.kind === "link" && (!last || followLast || rest.length > 0)) {
        if (++links > LINKS_MAX) throw new IoError(Errno.ELOOP);
        const target = this.fs.readlink(this.hostPath(next));
        if (target.length === 0) throw new IoError(Errno.ENOENT);
        if (Buffer.byteLength(target) >= PATH_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
        rest.push(...target.split("/").reverse());
        if (target.startsWith("/")) {
          names = [];
          stat = this.lstat(names);
        }
        continue;
      }
      names = next;
      stat = found;
      if (last && rest.length > 0) mustBeDirectory = true;
    }
    if (mustBeDirectory && stat.kind !== "directory") throw new IoError(Errno.ENOTDIR);
    return this.place(names, stat, mustBeDirectory);
  }

  /** Of the directory that a place lies in. */
  parentStat(place: Place): HostStat {
    return this.lstat(place.names.slice(0, -1));
  }

  private place(names: readonly string[], stat: HostStat | null, mustBeDirectory: boolean): Place {
    return { names, stat, mustBeDirectory, hostPath: this.hostPath(names), readOnly: isMount(names) };
  }
  /** To look a name up in it, it must be a directory that one may search. */
  private search(stat: HostStat): void {
    if (stat.kind !== "directory") throw new IoError(Errno.ENOTDIR);
    if (!permits(stat, Access.EXECUTE)) throw new IoError(Errno.EACCES);
  }
  private lstat(names: readonly string[]): HostStat {
    const stat = this.find(names);
    if (stat === null) throw new IoError(Errno.ENOENT);
    return stat;
  }
  private find(names: readonly string[]): HostStat | null {
    try {
      return this.fs.lstat(this.hostPath(names));
    } catch (error) {
      // /margay and /margay/bin are there although no host directory need be.
      if (error instanceof IoError && error.errno === Errno.ENOENT)
        return isMountParent(names) ? directoryStat(`mount:${names.length}`) : null;
      throw error;
    }
  }
  private hostPath(names: readonly string[]): string {
    return isMount(names) ? path.join(this.builtIn, ...names.slice(MOUNT.length)) : path.join(this.root, ...names);
  }
}
function isMount(names: readonly string[]): boolean {
  return names.length >= MOUNT.length && MOUNT.every((n, i) => names[i] === n);
}
function isMountParent(names: readonly string[]): boolean {
  return names.length > 0 && names.length <= MOUNT.length && names.every((n, i) => n === MOUNT[i]);
}
