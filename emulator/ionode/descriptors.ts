/** Open files and the descriptor table of one task. Descriptors 0, 1, 2 are the job's standard streams. */
import { Errno } from "../abi/errno.ts";
import { Open } from "../abi/io.ts";
import type { Device } from "./devices.ts";
import type { Folder } from "./folder.ts";
import { type HostFs, IoError } from "./hostfs.ts";

/** Descriptors of a task (Linux: RLIMIT_NOFILE); past them EMFILE. */
export const DESCRIPTORS_MAX = 256;

export interface OpenFile {
  readonly kind: "stream" | "regular" | "directory" | "device";
  /** Open flags as given; the access mode decides what may be done. */
  readonly flags: number;
  /** Of the host, by which a regular file is read and written; else -1. */
  readonly hostFd: number;
  /** directory: held while it is open. */
  readonly folder?: Folder;
  /** device: which. */
  readonly device?: Device;
  readonly readOnly: boolean;
  positionBytes: bigint;
}
function stream(flags: number): OpenFile {
  return { kind: "stream", flags, hostFd: -1, readOnly: false, positionBytes: 0n };
}
/** Gives back what the host has open for it. */
export function closeFile(fs: HostFs, file: OpenFile): void {
  if (file.hostFd >= 0) fs.close(file.hostFd);
  file.folder?.release();
}

export class DescriptorTable {
  private readonly files: (OpenFile | null)[] = [stream(Open.RDONLY), stream(Open.WRONLY), stream(Open.WRONLY)];

  get(fd: number): OpenFile {
    const file = this.files[fd];
    if (file === undefined || file === null) throw new IoError(Errno.EBADF);
    return file;
  }
  /** The lowest descriptor that is free. Ask before the host opens anything. */
  free(): number {
    let fd = this.files.indexOf(null);
    if (fd < 0) fd = this.files.length;
    if (fd >= DESCRIPTORS_MAX) throw new IoError(Errno.EMFILE);
    return fd;
  }
  set(fd: number, file: OpenFile): void {
    this.files[fd] = file;
  }
  remove(fd: number): OpenFile {
    const file = this.get(fd);
    this.files[fd] = null;
    return file;
  }
  open(): OpenFile[] {
    return this.files.filter((f): f is OpenFile => f !== null);
  }
}
export function mayRead(file: OpenFile): boolean {
  return (file.flags & Open.ACCMODE) !== Open.WRONLY;
}
export function mayWrite(file: OpenFile): boolean {
  return (file.flags & Open.ACCMODE) !== Open.RDONLY;
}
