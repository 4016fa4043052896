/**
 * Directories of the name space: one of the host that is open, or one that only the name space has. `..` is the
 * directory that this one was found in and is never asked of the host, so that a directory which the host moves away
 * meanwhile leads nowhere. Counted: the host's descriptor is closed when the last holder lets go.
 */
import { Errno } from "../abi/errno.ts";
import type { Device } from "./devices.ts";
import { type HostFs, type HostNode, type HostStat, IoError } from "./hostfs.ts";

/** What a name stands for. A folder is held for the caller; `fd` is the caller's to close. */
export type Node =
  | { readonly kind: "folder"; readonly folder: Folder }
  | { readonly kind: "device"; readonly device: Device }
  | ({ readonly kind: "file" } & HostNode);

export class Folder {
  private holders = 1;
  /** Names that the name space puts here, whatever the host has. */
  readonly fixed = new Map<string, Folder | Device>();

  /** `host`: taken over. Null: a directory of the name space alone, with nothing but `fixed` in it. */
  constructor(
    private readonly fs: HostFs,
    readonly stat: HostStat,
    private readonly host: number | null,
    readonly readOnly: boolean,
    /** Held until this one is closed. */
    readonly parent: Folder | null,
  ) {
    parent?.hold();
  }

  /** @throws IoError EACCES: this directory is none of the host's. */
  get hostFd(): number {
    if (this.host === null) throw new IoError(Errno.EACCES);
    return this.host;
  }
  get isHost(): boolean {
    return this.host !== null;
  }

  hold(): this {
    this.holders++;
    return this;
  }
  release(): void {
    if (--this.holders > 0) return;
    if (this.host !== null) this.fs.close(this.host);
    this.parent?.release();
  }

  /** Null: there is nothing of that name. */
  find(name: string): Node | null {
    const fixed = this.fixed.get(name);
    if (fixed !== undefined)
      return fixed instanceof Folder ? { kind: "folder", folder: fixed.hold() } : { kind: "device", device: fixed };
    if (this.host === null) return null;
    let found: HostNode;
    try {
      found = this.fs.look(this.host, name);
    } catch (error) {
      if (error instanceof IoError && error.errno === Errno.ENOENT) return null;
      throw error;
    }
    if (found.stat.kind !== "directory") return { kind: "file", ...found };
    return { kind: "folder", folder: new Folder(this.fs, found.stat, found.fd, this.readOnly, this) };
  }

  readlink(name: string): string {
    return this.fs.readlink(this.hostFd, name);
  }
}
