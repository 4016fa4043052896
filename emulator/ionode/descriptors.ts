/**
 * Open file descriptions and the descriptors of a task that refer to them. Source: open(2), "Open file descriptions";
 * dup(2). Descriptors 0, 1, 2 are the job's standard streams.
 */
import { Errno } from "../abi/errno.ts";
import { DESCRIPTORS_MAX, Open } from "../abi/io.ts";
import type { Device } from "./devices.ts";
import type { Folder, TextFile, Volume } from "./folder.ts";
import { type HostEntry, type HostFs, type HostStat, IoError } from "./hostfs.ts";
import { volumes } from "./namespace.ts";

/** An open file description, shared by the descriptors that dup(2) made of it. */
export interface OpenFile {
  /** path: opened with O_PATH, a reference to a name only. */
  readonly kind: "stream" | "regular" | "directory" | "device" | "text" | "path";
  /** Access mode and status flags; F_SETFL changes the latter. */
  flags: number;
  /** Host descriptor: a regular file, open for reading and writing, or the target of `path`; else -1. */
  readonly hostFd: number;
  /** Number of the standard stream: 0, 1, 2. */
  readonly stream?: number;
  /** directory: held while it is open. */
  readonly folder?: Folder;
  readonly device?: Device;
  readonly text?: { readonly file: TextFile; readonly bytes: Uint8Array };
  /** path: the lstat result for a node that the name space made. */
  readonly stat?: HostStat;
  /** path: the text of a symbolic link. */
  readonly linkText?: string;
  readonly volume: Volume;
  /** Identity on the host, used by locks and quotas for a regular file; else "". */
  readonly identity: string;
  /** Where it was found, for /proc/self/fd. */
  readonly path: string;
  positionBytes: bigint;
  /** directory: its names when it was last read from its start. */
  entries?: readonly HostEntry[];
  /** Descriptors that refer to it, and mappings. */
  holders: number;
}
export interface Descriptor {
  readonly file: OpenFile;
  closeOnExec: boolean;
}
const STREAM_NAMES = ["stdin", "stdout", "stderr"] as const;
export function streamFile(stream: number, flags: number): OpenFile {
  return {
    kind: "stream",
    flags,
    hostFd: -1,
    stream,
    volume: volumes.streams,
    identity: "",
    path: `/dev/${STREAM_NAMES[stream]}`,
    positionBytes: 0n,
    holders: 0,
  };
}

const FEWEST_SLOTS = 64;

export class DescriptorTable {
  private readonly slots: (Descriptor | null)[] = [];

  /**
   * `closing`: called when a descriptor is removed (`isDescriptor`) or another hold; `isLast`: and with it the open
   * file, which is still open on the host.
   */
  constructor(
    private readonly fs: HostFs,
    private readonly closing: (file: OpenFile, isLast: boolean, isDescriptor: boolean) => void,
  ) {
    for (const [stream, flags] of [Open.RDONLY, Open.WRONLY, Open.WRONLY].entries())
      this.set(stream, streamFile(stream, flags), false);
  }

  /** @throws IoError EBADF */
  slot(fd: number): Descriptor {
    const slot = this.slots[fd];
    if (slot === undefined || slot === null) throw new IoError(Errno.EBADF);
    return slot;
  }
  /** @throws IoError EBADF */
  get(fd: number): OpenFile {
    return this.slot(fd).file;
  }
  /** The same, for operations that need more than its name. @throws IoError EBADF */
  opened(fd: number): OpenFile {
    const file = this.get(fd);
    if (file.kind === "path" || file.flags & Open.PATH) throw new IoError(Errno.EBADF);
    return file;
  }
  /** The lowest free descriptor from `least` on. Call this before the host opens anything. */
  free(least = 0): number {
    let fd = least;
    while (fd < this.slots.length && this.slots[fd] !== null && this.slots[fd] !== undefined) fd++;
    if (fd >= DESCRIPTORS_MAX) throw new IoError(Errno.EMFILE);
    return fd;
  }
  /** Closes what `fd` was before. */
  set(fd: number, file: OpenFile, closeOnExec: boolean): void {
    file.holders++;
    const before = this.slots[fd];
    while (this.slots.length < fd) this.slots.push(null);
    this.slots[fd] = { file, closeOnExec };
    if (before) this.drop(before.file, true);
  }
  /** Closes `fd`, and its file if no other descriptor refers to it. */
  remove(fd: number): OpenFile {
    const { file } = this.slot(fd);
    this.slots[fd] = null;
    this.drop(file, true);
    return file;
  }
  /** The file stays open without a descriptor until `letGo`. */
  hold(file: OpenFile): void {
    file.holders++;
  }
  letGo(file: OpenFile): void {
    this.drop(file, false);
  }
  private drop(file: OpenFile, isDescriptor: boolean): void {
    const isLast = --file.holders === 0;
    this.closing(file, isLast, isDescriptor);
    if (!isLast) return;
    if (file.hostFd >= 0) this.fs.close(file.hostFd);
    file.folder?.release();
  }
  /**
   * Size of the table as on Linux (fs/file.c): 64 at first, then powers of two; it never shrinks. select looks at no
   * descriptor beyond it.
   */
  get capacity(): number {
    return Math.max(FEWEST_SLOTS, 2 ** Math.ceil(Math.log2(this.slots.length)));
  }
  /** Descriptors with their files, in order. */
  *open(): Generator<readonly [fd: number, slot: Descriptor]> {
    for (const [fd, slot] of this.slots.entries()) if (slot) yield [fd, slot];
  }
  closeAll(): void {
    for (const [fd] of [...this.open()]) this.remove(fd);
  }
}
/** Access mode 3, which Linux takes, is for ioctl alone (open(2)). */
export function mayRead({ flags }: OpenFile): boolean {
  const mode = flags & Open.ACCMODE;
  return (mode === Open.RDONLY || mode === Open.RDWR) && (flags & Open.PATH) === 0;
}
export function mayWrite({ flags }: OpenFile): boolean {
  const mode = flags & Open.ACCMODE;
  return (mode === Open.WRONLY || mode === Open.RDWR) && (flags & Open.PATH) === 0;
}
