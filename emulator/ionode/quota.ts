/**
 * What a job may write: the growth of its files by their apparent size, holes included, as a disk quota in bytes
 * (quotactl(2)), and the number of names that it makes. A file that shrinks gives back what the job had added to it.
 */
import { Errno } from "../abi/errno.ts";
import { IoError } from "./hostfs.ts";

export const QUOTA_DEFAULT_BYTES = 2 ** 30;
/** Names that a job may make: the host's inodes are no less finite than its blocks. */
export const NAMES_MAX = 1 << 18;

export class Quota {
  private usedBytes = 0;
  private names = 0;
  /** Bytes that the job has added, by the file's identity. */
  private readonly added = new Map<string, number>();

  constructor(private readonly limitBytes: number) {}

  /** Bytes that files may still grow by. */
  get roomBytes(): number {
    return this.limitBytes - this.usedBytes;
  }
  /** A file has changed its size. Growth beyond the room must have been refused before. */
  resized(identity: string, from: number, to: number): void {
    const before = this.added.get(identity) ?? 0;
    const after = to > from ? before + to - from : Math.max(0, before - (from - to));
    this.usedBytes += after - before;
    if (after === 0) this.added.delete(identity);
    else this.added.set(identity, after);
  }
  /** The file is gone: what the job had added is given back. */
  removed(identity: string): void {
    this.usedBytes -= this.added.get(identity) ?? 0;
    this.added.delete(identity);
  }
  get limit(): number {
    return this.limitBytes;
  }
  get namesMax(): number {
    return NAMES_MAX;
  }
  get namesLeft(): number {
    return NAMES_MAX - this.names;
  }
  /** A name is gone. */
  unnamed(): void {
    this.names = Math.max(0, this.names - 1);
  }
  /** @throws IoError EDQUOT */
  named(): void {
    if (this.names >= NAMES_MAX) throw new IoError(Errno.EDQUOT);
    this.names++;
  }
}
