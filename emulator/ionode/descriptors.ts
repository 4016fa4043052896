/** Open files and the descriptor table of one task. Descriptors 0, 1, 2 are the job's standard streams. */
import { Errno } from "../abi/errno.ts";
import { Open } from "../abi/io.ts";
import { IoError } from "./hostfs.ts";

/** Descriptors of a task (Linux: RLIMIT_NOFILE); past them EMFILE. */
export const DESCRIPTORS_MAX = 256;

export interface OpenFile {
  readonly kind: "stream" | "regular" | "directory";
  /** Open flags as given; the access mode decides what may be done. */
  readonly flags: number;
  /** Of the host; -1 for streams and for the directories that only the name space has. */
  readonly hostFd: number;
  /** Components from the job's root; a stream has none. */
  readonly names: readonly string[];
  readonly readOnly: boolean;
  positionBytes: bigint;
}
function stream(flags: number): OpenFile {
  return { kind: "stream", flags, hostFd: -1, names: [], readOnly: false, positionBytes: 0n };
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
