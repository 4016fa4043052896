/**
 * The job's name space: one host directory as its root; the built-in jobs read-only under /margay/bin; /dev with
 * devices of its own; /proc and /sys, empty. What the host has under these names does not show. Paths are resolved
 * here, one component after the other, each looked up in the open directory before it (folder.ts, hostfs.ts): absolute
 * paths and symbolic links, absolute ones too, start at the job's root, `..` stops at it. So no path leads out,
 * whatever another process of the host does to the directories meanwhile. Source: path_resolution(7). Permissions:
 * files belong to whoever asks, so the owner's bits count, whoever runs the emulator.
 */
import { Errno } from "../abi/errno.ts";
import { PATH_MAX_BYTES } from "../abi/io.ts";
import { type Device, devices } from "./devices.ts";
import { Folder, type Node } from "./folder.ts";
import { type HostFs, type HostStat, IoError } from "./hostfs.ts";

const NAME_MAX_BYTES = 255;
/** Symbolic links followed in one resolution (Linux: MAXSYMLINKS). */
const LINKS_MAX = 40;

export const Access = { EXECUTE: 1, WRITE: 2, READ: 4 } as const;
export function permits(stat: HostStat, access: number): boolean {
  return ((stat.permissions >> 6) & access) === access;
}

/** Where a resolution ended. Its holder closes it. */
export interface Place {
  /** The directory that `name` lies in. */
  readonly folder: Folder;
  /** Last component; "": the path ended with `/`, `.` or `..` and named a directory without its name. */
  readonly name: string;
  /** Null: nothing has that name, but its directory exists. */
  readonly node: Node | null;
  /** The path asked for a directory, by a slash at its end. */
  readonly mustBeDirectory: boolean;
}
export interface ResolveOptions {
  /** Follow a symbolic link in the last component. */
  readonly followLast: boolean;
  /** The directory that a relative path starts from; left out: the job's root. */
  readonly from?: Folder;
}

/** As lstat of what was found has it; of a device as if it were a file of its own. */
export function statOf(node: Node): HostStat {
  switch (node.kind) {
    case "folder":
      return node.folder.stat;
    case "file":
      return node.stat;
    case "device":
      return deviceStat(node.device);
  }
}
export function deviceStat(device: Device): HostStat {
  return { kind: "special", identity: `device:${device.name}`, sizeBytes: 0, permissions: 0o666, links: 1 };
}
const ownStat = (name: string): HostStat => ({
  kind: "directory",
  identity: `own:${name}`,
  sizeBytes: 0,
  permissions: 0o555,
  links: 2,
});

export class NameSpace {
  readonly root: Folder;
  /** Beside the root, parents first. */
  private readonly own: Folder[] = [];

  /** @throws IoError where `root` is no directory that may be served. */
  constructor(
    private readonly fs: HostFs,
    root: string,
    builtIn: string,
  ) {
    const { fd, stat } = fs.directory(root);
    this.root = new Folder(fs, stat, fd, false, null);
    this.mount(this.folder(this.root, "margay"), "bin", builtIn);
    const dev = this.folder(this.root, "dev");
    for (const device of devices) dev.fixed.set(device.name, device);
    this.folder(this.root, "proc");
    this.folder(this.root, "sys");
  }

  /** Nothing is open on the host any more, but for what others hold. */
  close(): void {
    for (const folder of this.own.splice(0).reverse()) folder.release();
    this.root.release();
  }

  /** @throws IoError; whatever `use` throws. The place is closed behind it. */
  resolve<T>(text: string, options: ResolveOptions, use: (place: Place) => T): T {
    const place = this.walk(text, options);
    try {
      return use(place);
    } finally {
      this.closeNode(place.node);
      place.folder.release();
    }
  }

  private walk(text: string, { followLast, from = this.root }: ResolveOptions): Place {
    if (text.length === 0) throw new IoError(Errno.ENOENT);
    if (Buffer.byteLength(text) >= PATH_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
    /** What is still to be walked, next component last. */
    const rest = text.split("/").reverse();
    let folder = (text.startsWith("/") ? this.root : from).hold();
    const moveTo = (to: Folder): void => {
      const held = to.hold();
      folder.release();
      folder = held;
    };
    let links = 0;
    try {
      for (let name = rest.pop(); name !== undefined; name = rest.pop()) {
        if (name === "") continue;
        if (!permits(folder.stat, Access.EXECUTE)) throw new IoError(Errno.EACCES);
        if (name === ".") continue;
        if (name === "..") {
          moveTo(folder.parent ?? folder);
          continue;
        }
        if (Buffer.byteLength(name) > NAME_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
        const isLast = rest.every((r) => r === "");
        const mustBeDirectory = rest.length > 0;
        const node = folder.find(name);
        if (node === null) {
          if (!isLast) throw new IoError(Errno.ENOENT);
          return { folder, name, node, mustBeDirectory };
        }
        if (node.kind === "file" && node.stat.kind === "link" && (mustBeDirectory || followLast)) {
          this.closeNode(node);
          if (++links > LINKS_MAX) throw new IoError(Errno.ELOOP);
          const target = this.target(folder, name);
          rest.push(...target.split("/").reverse());
          if (target.startsWith("/")) moveTo(this.root);
          continue;
        }
        if (isLast && (node.kind === "folder" || !mustBeDirectory)) return { folder, name, node, mustBeDirectory };
        if (node.kind !== "folder") {
          this.closeNode(node);
          throw new IoError(Errno.ENOTDIR);
        }
        folder.release();
        folder = node.folder;
      }
      return { folder, name: "", node: { kind: "folder", folder: folder.hold() }, mustBeDirectory: true };
    } catch (error) {
      folder.release();
      throw error;
    }
  }

  /** Where a link leads. If it is none any more, somebody of the host has exchanged it: its name is looked up again. */
  private target(folder: Folder, name: string): string {
    let target: string;
    try {
      target = folder.readlink(name);
    } catch (error) {
      if (error instanceof IoError && (error.errno === Errno.EINVAL || error.errno === Errno.ENOENT)) return name;
      throw error;
    }
    if (target.length === 0) throw new IoError(Errno.ENOENT);
    if (Buffer.byteLength(target) >= PATH_MAX_BYTES) throw new IoError(Errno.ENAMETOOLONG);
    return target;
  }

  private closeNode(node: Node | null): void {
    if (node?.kind === "folder") node.folder.release();
    else if (node?.kind === "file") this.fs.close(node.fd);
  }

  /** A directory of the name space alone. */
  private folder(parent: Folder, name: string): Folder {
    return this.put(parent, name, new Folder(this.fs, ownStat(name), null, false, parent));
  }
  /** A directory of the host, read-only; an empty one where there is none. */
  private mount(parent: Folder, name: string, path: string): void {
    try {
      const { fd, stat } = this.fs.directory(path);
      this.put(parent, name, new Folder(this.fs, stat, fd, true, parent));
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      this.folder(parent, name);
    }
  }
  private put(parent: Folder, name: string, folder: Folder): Folder {
    parent.fixed.set(name, folder);
    this.own.push(folder);
    return folder;
  }
}
