/**
 * Directories of the name space: one of the host that is open, or one that only the name space has. `..` is the
 * directory that this one was found in and is never asked of the host, so that a directory which the host moves away
 * meanwhile leads nowhere; where a job of this I/O node moves it, `moveTo` says so. Counted: the host's descriptor is
 * closed when the last holder lets go.
 */
import { Errno } from "../abi/errno.ts";
import { byBytes } from "./bytestring.ts";
import type { Device } from "./devices.ts";
import { type HostEntry, type HostFs, type HostNode, type HostStat, IoError } from "./hostfs.ts";

/** A file that the name space makes up: read-only, its bytes are made when it is opened. */
export interface TextFile {
  readonly kind: "text";
  readonly identity: string;
  /** 0o444 where left out. */
  readonly permissions?: number;
  bytes(): Uint8Array;
}
/** A symbolic link of the name space. `follow`: it leads to this node itself and not to a path (proc_pid_fd(5)). */
export interface OwnLink {
  readonly kind: "link";
  readonly identity: string;
  readonly target: string;
  readonly follow?: () => Node;
}
/** A standard stream of the task, by its number. */
export interface StreamNode {
  readonly kind: "stream";
  readonly stream: number;
}
/**
 * What a name stands for. A folder is held for the caller; `fd` is the caller's to close, unless it sets `isTaken`.
 */
export type Node =
  | { readonly kind: "folder"; readonly folder: Folder }
  | { readonly kind: "device"; readonly device: Device }
  | ({ readonly kind: "file"; isTaken?: boolean } & HostNode)
  | TextFile
  | OwnLink
  | StreamNode;

/** What a task was started with. */
export interface ProgramFacts {
  /** Its path in the job's name space. */
  readonly path: string;
  readonly argv: readonly string[];
  /** `NAME=VALUE`. */
  readonly envp: readonly string[];
}
/** Who looks: the task whose /proc/self this is. */
export interface Viewer {
  readonly nid: number;
  readonly jobId: number;
  readonly pid: number;
  readonly userId: number;
  readonly umask: number;
  readonly time: number;
  readonly program: ProgramFacts | undefined;
  /** Links of /proc/self/fd. */
  links(): ReadonlyMap<string, OwnLink>;
  /** Held for the caller. */
  workingFolder(): Folder;
  /** Where it is. @throws IoError ENOENT */
  workingPath(): string;
}
/** What the name space puts into a directory; a function makes a directory for whoever looks. */
export type Entry = Folder | Device | TextFile | OwnLink | ((viewer: Viewer, parent: Folder) => Folder);
export type Entries = ReadonlyMap<string, Entry>;

/** What all directories of a mounted tree share. */
export interface Volume {
  /** st_dev. */
  readonly device: number;
  readonly readOnly: boolean;
}

const directoryIdentity = (folder: Folder, name: string): string => `${folder.stat.identity}/${name}`;

export class Folder {
  private holders = 1;
  /** Names that the name space puts here, whatever the host has. */
  readonly fixed = new Map<string, Entry>();
  /** The same, made for whoever looks. */
  made?: (viewer: Viewer) => Entries;

  /** `host`: taken over. Null: a directory of the name space alone, with nothing but its own entries in it. */
  constructor(
    private readonly fs: HostFs,
    private known: HostStat,
    private readonly host: number | null,
    readonly volume: Volume,
    /** Held until this one is closed. */
    private above: Folder | null,
    /** As it was found. */
    private called: string,
  ) {
    above?.hold();
  }

  get stat(): HostStat {
    return this.known;
  }
  get parent(): Folder | null {
    return this.above;
  }
  get name(): string {
    return this.called;
  }
  get readOnly(): boolean {
    return this.volume.readOnly;
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
    this.above?.release();
  }
  /** What it is now: it may have been open for long. */
  refresh(): this {
    if (this.host !== null) this.known = this.fs.fstat(this.host);
    return this;
  }
  /** A job has renamed it. */
  moveTo(parent: Folder, name: string): void {
    parent.hold();
    this.above?.release();
    this.above = parent;
    this.called = name;
  }

  /** The name space's own entry of that name, which the host's do not reach. */
  entry(name: string, viewer: Viewer | undefined): Entry | undefined {
    return this.fixed.get(name) ?? (viewer === undefined ? undefined : this.made?.(viewer).get(name));
  }

  /** Null: there is nothing of that name. */
  find(name: string, viewer?: Viewer): Node | null {
    const own = this.entry(name, viewer);
    if (own instanceof Folder) return { kind: "folder", folder: own.hold() };
    if (typeof own === "function") return { kind: "folder", folder: own(viewer!, this) };
    if (own !== undefined) return "kind" in own ? own : { kind: "device", device: own };
    if (this.host === null) return null;
    let found: HostNode;
    try {
      found = this.fs.look(this.host, name);
    } catch (error) {
      if (error instanceof IoError && error.errno === Errno.ENOENT) return null;
      throw error;
    }
    if (found.stat.kind !== "directory") return { kind: "file", ...found };
    return { kind: "folder", folder: new Folder(this.fs, found.stat, found.fd, this.volume, this, name) };
  }

  /** Its names, in the order of their bytes; the name space's hide the host's. */
  list(viewer?: Viewer): HostEntry[] {
    const entries = new Map<string, HostEntry>();
    if (this.host !== null) for (const entry of this.fs.list(this.host)) entries.set(entry.name, entry);
    const own = [...this.fixed, ...(viewer === undefined ? [] : (this.made?.(viewer) ?? []))];
    for (const [name, entry] of own) entries.set(name, { name, ...this.described(name, entry) });
    return [...entries.values()].sort((a, b) => byBytes(a.name, b.name));
  }
  private described(name: string, entry: Entry): Pick<HostEntry, "kind" | "identity"> {
    if (entry instanceof Folder) return { kind: "directory", identity: entry.stat.identity };
    if (typeof entry === "function") return { kind: "directory", identity: directoryIdentity(this, name) };
    if (!("kind" in entry)) return { kind: "special", identity: `device:${entry.name}` };
    return { kind: entry.kind === "link" ? "link" : "regular", identity: entry.identity };
  }

  readlink(name: string): string {
    return this.fs.readlink(this.hostFd, name);
  }
}

/** A directory of the name space alone, for whoever looks; its identity is that of its place. */
export function madeFolder(fs: HostFs, parent: Folder, name: string, entries: (viewer: Viewer) => Entries): Folder {
  const stat: HostStat = {
    kind: "directory",
    identity: directoryIdentity(parent, name),
    sizeBytes: 0,
    permissions: 0o555,
    links: 2,
  };
  const folder = new Folder(fs, stat, null, parent.volume, parent, name);
  folder.made = entries;
  return folder;
}
