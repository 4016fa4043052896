/**
 * Limits of a job's writes: the growth of its files by their apparent size, including holes, as a disk quota in bytes
 * (quotactl(2)), and the number of names that it creates. When a file shrinks, the bytes that the job had added are
 * returned.
 */
import { Errno } from "../abi/errno.ts";
import { IoError } from "./hostfs.ts";

export const QUOTA_DEFAULT_BYTES = 2 ** 30;
/** Most names that a job may create: the host's inodes are as limited as its blocks. */
export const NAMES_MAX = 1 << 18;

export class Quota {
  private usedBytes = 0;
  private names = 0;
  /** Bytes that the job has added, by the file's identity. */
  private readonly added = new Map<string, number>();

  constructor(private readonly limitBytes: number) {}

  /** Bytes by which files may still grow. */
  get roomBytes(): number {
    return this.limitBytes - this.usedBytes;
  }
  /** A file has changed its size. Growth beyond the room must have been refused earlier. */
  resized(identity: string, from: number, to: number): void {
    const before = this.added.get(identity) ?? 0;
    const after = to > from ? before + to - from : Math.max(0, before - (from - to));
    this.usedBytes += after - before;
    if (after === 0) this.added.delete(identity);
    else this.added.set(identity, after);
  }
  /** The file is gone: the bytes that the job had added are returned. */
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
  /** A name was removed. */
  unnamed(): void {
    this.names = Math.max(0, this.names - 1);
  }
  /** @throws IoError EDQUOT */
  named(): void {
    if (this.names >= NAMES_MAX) throw new IoError(Errno.EDQUOT);
    this.names++;
  }
}
