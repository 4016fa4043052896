/**
 * File locks between all tasks that this I/O node serves; host processes do not see them. Source: fcntl(2) ("Advisory
 * record locking", "Open file description locks"), flock(2). The two kinds are independent. An owner is a task, or an
 * open file.
 */
import { LockKind } from "../abi/io.ts";

/** Task or open file. */
export type Owner = object;
export interface Range {
  readonly start: bigint;
  /** The last byte; END: to the end of the file, however long it becomes. */
  readonly last: bigint;
}
export const END = (1n << 63n) - 1n;
export interface Lock extends Range {
  readonly owner: Owner;
  readonly kind: number;
  /** For F_GETLK: the process that holds it, -1 for an open file. */
  readonly pid: number;
}
const overlaps = (a: Range, b: Range): boolean => a.start <= b.last && b.start <= a.last;

/** By file. */
export class LockTable {
  private readonly files = new Map<string, readonly Lock[]>();
  /** Waiters, and the holders for which they wait. */
  private readonly waits = new Map<Owner, Owner>();
  /** Number of releases: a waiter may try again when it has changed. */
  releases = 0;

  /** A lock that conflicts with `wanted`. */
  conflict(file: string, wanted: Lock): Lock | undefined {
    return this.files
      .get(file)
      ?.find(
        (lock) =>
          lock.owner !== wanted.owner &&
          overlaps(lock, wanted) &&
          (lock.kind === LockKind.WRITE || wanted.kind === LockKind.WRITE),
      );
  }
  /** Sets or releases a lock without conflicts. Replaces the owner's locks in the range and keeps the rest. */
  set(file: string, lock: Lock): void {
    const rest: Lock[] = [];
    for (const old of this.files.get(file) ?? []) {
      if (old.owner !== lock.owner || !overlaps(old, lock)) {
        rest.push(old);
        continue;
      }
      if (old.start < lock.start) rest.push({ ...old, last: lock.start - 1n });
      if (old.last > lock.last) rest.push({ ...old, start: lock.last + 1n });
    }
    if (lock.kind !== LockKind.UNLOCK) rest.push(lock);
    this.put(file, rest);
    this.waits.delete(lock.owner);
  }
  /** Releases all locks of the owner on the file. */
  drop(file: string, owner: Owner): void {
    const before = this.files.get(file);
    if (before?.some((lock) => lock.owner === owner))
      this.put(
        file,
        before.filter((lock) => lock.owner !== owner),
      );
  }
  /** Whether waiting for `holder` would close a cycle; otherwise `owner` waits. */
  isDeadlock(owner: Owner, holder: Owner): boolean {
    for (let at: Owner | undefined = holder; at !== undefined; at = this.waits.get(at)) if (at === owner) return true;
    this.waits.set(owner, holder);
    return false;
  }
  stopsWaiting(owner: Owner): void {
    this.waits.delete(owner);
  }
  /** Number of locks held; 0 without tasks. */
  get count(): number {
    return [...this.files.values()].reduce((sum, locks) => sum + locks.length, 0);
  }
  private put(file: string, locks: readonly Lock[]): void {
    if (locks.length === 0) this.files.delete(file);
    else this.files.set(file, locks);
    this.releases++;
  }
}
