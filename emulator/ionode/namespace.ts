/**
 * The job's name space: one host directory as its root; the built-in jobs read-only under /margay/bin; its own /dev,
 * /proc and /sys (devices.ts, procfs.ts), which hide the host's. Paths are resolved here, one component after the
 * other, each looked up in the open directory before it (folder.ts, hostfs.ts). Absolute paths and symbolic links,
 * including absolute links, start at the job's root, and `..` stops there. So no path leads out, whatever another
 * process of the host does to the directories meanwhile. Source: path_resolution(7). Permissions: every task owns all
 * files, so the owner's bits apply, whoever runs the emulator. Paths are byte strings (bytestring.ts).
 */
import { Errno } from "../abi/errno.ts";
import { PATH_MAX_BYTES } from "../abi/io.ts";
import { type Device, devices } from "./devices.ts";
import { Folder, type Node, type Viewer, type Volume } from "./folder.ts";
import { type HostFs, type HostStat, IoError } from "./hostfs.ts";

export const NAME_MAX_BYTES = 255;
/** Most symbolic links followed in one resolution (Linux: MAXSYMLINKS). */
const LINKS_MAX = 40;

export const Access = { EXECUTE: 1, WRITE: 2, READ: 4 } as const;
export function permits(stat: HostStat, access: number): boolean {
  return ((stat.permissions >> 6) & access) === access;
}

/** Result of a resolution. Its holder closes it. */
export interface Place {
  /** The directory that contains `name`. */
  readonly folder: Folder;
  /** Last component; "": the path ended with `/`, `.` or `..` and gives a directory without a name. */
  readonly name: string;
  /** The end of the path. "/": the root. */
  readonly last: "name" | "." | ".." | "/";
  /** Null: the name does not exist, but its directory does. */
  readonly node: Node | null;
  /** The path requires a directory, by a trailing slash. */
  readonly mustBeDirectory: boolean;
}
export interface ResolveOptions {
  /** Follow a symbolic link in the last component. */
  readonly followLast: boolean;
  /**
   * For calls that create, remove or rename the last component: it is never followed, and a trailing slash requires
   * nothing.
   */
  readonly isParent?: boolean;
  /** The directory from which a relative path starts; left out: the job's root. */
  readonly from?: Folder;
  readonly viewer?: Viewer | undefined;
}

/** The lstat result of a node; a device counts as a file of its own. Streams have none. */
export function statOf(node: Node): HostStat {
  switch (node.kind) {
    case "folder":
      return node.folder.stat;
    case "file":
      return node.stat;
    case "device":
      return deviceStat(node.device);
    case "text":
      return ownStat("regular", node.identity, 0, node.permissions ?? 0o444);
    case "link":
      // proc(5): the links of /proc/self/fd show 64 bytes.
      return ownStat("link", node.identity, node.follow === undefined ? node.target.length : 64, 0o777);
    case "stream":
      return ownStat("pipe", `stream:${node.stream}`, 0, 0o600);
  }
}
export function deviceStat(device: Device): HostStat {
  return ownStat("special", `device:${device.name}`, 0, 0o666);
}
export function ownStat(kind: HostStat["kind"], identity: string, sizeBytes: number, permissions: number): HostStat {
  return { kind, identity, sizeBytes, permissions, links: 1 };
}

/** st_dev of the trees: arbitrary, the same on every host. */
export const volumes = {
  root: { device: 1, readOnly: false },
  builtIn: { device: 2, readOnly: true },
  streams: { device: 3, readOnly: false },
  devices: { device: 4, readOnly: false },
  proc: { device: 5, readOnly: false },
  sys: { device: 6, readOnly: false },
  /** /dev/shm. */
  shared: { device: 7, readOnly: false },
} as const satisfies Readonly<Record<string, Volume>>;
/** The first st_dev for --mount. */
export const MOUNT_DEVICE = 16;

/** A host directory that is mounted at another place of the job's name space. */
export interface Mount {
  readonly host: string;
  /** Absolute path, a byte string. */
  readonly at: string;
  readonly readOnly: boolean;
}

export class NameSpace {
  readonly root: Folder;
  readonly dev: Folder;
  readonly proc: Folder;
  readonly sys: Folder;
  /** Folders besides the root, parents first. */
  private readonly own: Folder[] = [];

  /** @throws IoError if `root` is not a directory that may be served */
  constructor(
    private readonly fs: HostFs,
    root: string,
    builtIn: string,
    readonly mounts: readonly Mount[] = [],
  ) {
    const { fd, stat } = fs.directory(root);
    this.root = new Folder(fs, stat, fd, { ...volumes.root, mounts: new Map() }, null, "");
    this.mount(this.folder(this.root, "margay", volumes.root), "bin", builtIn, volumes.builtIn);
    this.dev = this.folder(this.root, "dev", volumes.devices);
    for (const device of devices) this.dev.fixed.set(device.name, device);
    this.proc = this.folder(this.root, "proc", volumes.proc);
    this.sys = this.folder(this.root, "sys", volumes.sys);
    try {
      for (const [i, mount] of mounts.entries()) this.add(mount, MOUNT_DEVICE + i);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Missing directories on the path are synthesized. @throws IoError */
  private add({ host, at, readOnly }: Mount, device: number): void {
    const names = at.split("/").filter((name) => name !== "" && name !== ".");
    const last = names.pop();
    if (last === undefined || names.includes("..") || last === "..") throw new IoError(Errno.EINVAL);
    let parent = this.root.hold();
    try {
      for (const name of names) {
        const node = parent.find(name) ?? { kind: "folder", folder: this.folder(parent, name, volumes.root).hold() };
        if (node.kind !== "folder") {
          this.closeNode(node);
          throw new IoError(Errno.ENOTDIR);
        }
        parent.release();
        parent = node.folder;
      }
      if (parent.entry(last, undefined) !== undefined) throw new IoError(Errno.EBUSY);
      const { fd, stat } = this.fs.directory(host);
      const volume: Volume = { device, readOnly, mounts: new Map() };
      this.put(parent, last, new Folder(this.fs, stat, fd, volume, parent, last));
    } finally {
      parent.release();
    }
  }

  /** Closes everything on the host, except what others hold. */
  close(): void {
    for (const folder of this.own.splice(0).reverse()) folder.release();
    this.root.release();
  }

  /** @throws IoError; whatever `use` throws. The place is closed afterwards. */
  resolve<T>(text: string, options: ResolveOptions, use: (place: Place) => T): T {
    const place = this.walk(text, options);
    try {
      return use(place);
    } finally {
      this.closeNode(place.node);
      place.folder.release();
    }
  }

  private walk(text: string, options: ResolveOptions): Place {
    const { followLast, isParent = false, from = this.root, viewer } = options;
    if (text.length === 0) throw new IoError(Errno.ENOENT);
    if (text.length >= PATH_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
    /** Remaining components, the next one last. */
    const rest = text.split("/").reverse();
    let folder = (text.startsWith("/") ? this.root : from).hold();
    const moveTo = (to: Folder): void => {
      const held = to.hold();
      folder.release();
      folder = held.refresh();
    };
    let last: Place["last"] = "/";
    let links = 0;
    try {
      folder.refresh();
      for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
        if (name === "") continue;
        if (!permits(folder.stat, Access.EXECUTE)) throw new IoError(Errno.EACCES);
        if (name === "." || name === "..") {
          last = name;
          if (name === "..") moveTo(folder.parent ?? folder);
          continue;
        }
        last = "name";
        if (name.length > NAME_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
        const isLast = rest.every((r) => r === "");
        const mustBeDirectory = rest.length > 0;
        const node = folder.find(name, viewer);
        if (node === null || (isLast && isParent)) {
          if (!isLast) throw new IoError(Errno.ENOENT);
          return { folder, name, last, node, mustBeDirectory };
        }
        if (isLink(node) && (mustBeDirectory || followLast)) {
          this.closeNode(node);
          if (++links > LINKS_MAX) throw new IoError(Errno.ELOOP);
          if (node.kind === "link" && node.follow !== undefined) {
            const target = node.follow();
            if (isLast && (target.kind === "folder" || !mustBeDirectory))
              return { folder, name, last, node: target, mustBeDirectory };
            if (target.kind !== "folder") {
              this.closeNode(target);
              throw new IoError(Errno.ENOTDIR);
            }
            folder.release();
            folder = target.folder.refresh();
            continue;
          }
          const target = node.kind === "link" ? node.target : this.target(folder, name);
          rest.push(...target.split("/").reverse());
          if (target.startsWith("/")) {
            last = "/";
            moveTo(this.root);
          }
          continue;
        }
        if (isLast && (node.kind === "folder" || !mustBeDirectory))
          return { folder, name, last, node, mustBeDirectory };
        if (node.kind !== "folder") {
          this.closeNode(node);
          throw new IoError(Errno.ENOTDIR);
        }
        folder.release();
        folder = node.folder;
      }
      return { folder, name: "", last, node: { kind: "folder", folder: folder.hold() }, mustBeDirectory: true };
    } catch (error) {
      folder.release();
      throw error;
    }
  }

  /**
   * The path of a directory from the root. @throws IoError ENOENT: it was removed, or the host has moved it away from
   * where it was found.
   */
  pathOf(folder: Folder): string {
    const names: string[] = [];
    for (let at = folder; at.parent !== null; at = at.parent) names.push(this.nameIn(at.parent, at));
    return `/${names.reverse().join("/")}`;
  }
  private nameIn(parent: Folder, child: Folder): string {
    // What is not of the host, or the name space has put there, is nowhere else.
    if (!child.isHost || !parent.isHost || parent.entry(child.name, undefined) === child) return child.name;
    const { identity } = child.stat;
    try {
      const node = parent.find(child.name);
      const isThere = node?.kind === "folder" && node.folder.stat.identity === identity;
      this.closeNode(node);
      if (isThere) return child.name;
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
    }
    const renamed = parent.isHost ? parent.list().find((entry) => entry.identity === identity) : undefined;
    if (renamed === undefined) throw new IoError(Errno.ENOENT);
    return renamed.name;
  }

  /** The target of a link. If it is no longer a link, a host process has replaced it: its name is looked up again. */
  private target(folder: Folder, name: string): string {
    let target: string;
    try {
      target = folder.readlink(name);
    } catch (error) {
      if (error instanceof IoError && (error.errno === Errno.EINVAL || error.errno === Errno.ENOENT)) return name;
      throw error;
    }
    if (target.length === 0) throw new IoError(Errno.ENOENT);
    if (target.length >= PATH_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
    return target;
  }

  private closeNode(node: Node | null): void {
    if (node?.kind === "folder") node.folder.release();
    else if (node?.kind === "file" && node.isTaken !== true) this.fs.close(node.fd);
  }

  /** A directory of the name space only. */
  private folder(parent: Folder, name: string, volume: Volume): Folder {
    const stat = ownStat("directory", `own:${parent.name}/${name}`, 0, 0o555);
    return this.put(parent, name, new Folder(this.fs, stat, null, volume, parent, name));
  }
  /** A directory of the host; an empty one if it does not exist. */
  private mount(parent: Folder, name: string, path: string, volume: Volume): void {
    try {
      const { fd, stat } = this.fs.directory(path);
      this.put(parent, name, new Folder(this.fs, stat, fd, volume, parent, name));
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      this.folder(parent, name, volume);
    }
  }
  private put(parent: Folder, name: string, folder: Folder): Folder {
    // Each look-up of a host directory returns a new object.
    if (parent.isHost && parent !== this.root) parent.volume.mounts!.set(`${parent.stat.identity}/${name}`, folder);
    else parent.fixed.set(name, folder);
    this.own.push(folder);
    return folder;
  }
}
function isLink(node: Node): boolean {
  return node.kind === "link" || (node.kind === "file" && node.stat.kind === "link");
}
