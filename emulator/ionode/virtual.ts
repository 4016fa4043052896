/**
 * What hosts differ in, made the same everywhere: inode numbers count files in the order of their first appearance,
 * device numbers are 1 (root), 2 (built-in jobs) and 3 (streams), times are the boot epoch or, for what was written in
 * this run, the epoch plus the virtual time of the last write; blocks follow from the size; files belong to whoever
 * asks.
 */
import { FileMode, Stat } from "../abi/io.ts";
import type { HostStat, NodeKind } from "./hostfs.ts";

const BLOCK_BYTES = 4096;
const SECTOR_BYTES = 512;
const NANOSECONDS = 1_000_000_000n;
const typeBits: Readonly<Record<NodeKind, number>> = {
  regular: FileMode.REGULAR,
  directory: FileMode.DIRECTORY,
  link: FileMode.LINK,
  special: FileMode.CHARACTER,
};

export class VirtualFacts {
  private readonly inodes = new Map<string, bigint>();
  private readonly writtenTimes = new Map<string, number>();

  constructor(private readonly epochSeconds: bigint) {}

  modified(identity: string, time: number): void {
    this.writtenTimes.set(identity, time);
  }

  /** `device`: its number, if it is one of the name space's own. */
  stat(
    s: HostStat,
    { readOnly, userId, device = 0 }: { readOnly: boolean; userId: number; device?: number | undefined },
  ): Uint8Array {
    const regular = s.kind === "regular" || s.kind === "link";
    const size = regular ? s.sizeBytes : s.kind === "special" ? 0 : BLOCK_BYTES;
    return this.encode({
      dev: readOnly ? 2n : 1n,
      ino: this.inode(s.identity),
      nlink: s.kind === "directory" ? 2 : s.links,
      mode: typeBits[s.kind] | s.permissions,
      size,
      sectors: Math.ceil(size / SECTOR_BYTES),
      time: this.writtenTimes.get(s.identity) ?? 0,
      userId,
      rdev: device,
    });
  }

  streamStat(fd: number, userId: number): Uint8Array {
    return this.encode({
      dev: 3n,
      ino: BigInt(fd + 1),
      nlink: 1,
      mode: FileMode.FIFO | 0o600,
      size: 0,
      sectors: 0,
      time: 0,
      userId,
    });
  }

  private inode(identity: string): bigint {
    let ino = this.inodes.get(identity);
    if (ino === undefined) {
      ino = BigInt(this.inodes.size + 1);
      this.inodes.set(identity, ino);
    }
    return ino;
  }

  private encode(f: {
    dev: bigint;
    ino: bigint;
    nlink: number;
    mode: number;
    size: number;
    sectors: number;
    time: number;
    userId: number;
    rdev?: number;
  }): Uint8Array {
    const bytes = new Uint8Array(Stat.SIZE);
    const s = new Stat(new DataView(bytes.buffer));
    s.dev = f.dev;
    s.ino = f.ino;
    s.nlink = BigInt(f.nlink);
    s.mode = f.mode;
    s.uid = f.userId;
    s.gid = f.userId;
    s.rdev = BigInt(f.rdev ?? 0);
    s.size = BigInt(f.size);
    s.blockBytes = BigInt(BLOCK_BYTES);
    s.blocks = BigInt(f.sectors);
    const seconds = this.epochSeconds + BigInt(Math.floor(f.time)) / NANOSECONDS;
    const nanoseconds = BigInt(Math.floor(f.time)) % NANOSECONDS;
    s.atimeSeconds = s.mtimeSeconds = s.ctimeSeconds = seconds;
    s.atimeNanoseconds = s.mtimeNanoseconds = s.ctimeNanoseconds = nanoseconds;
    return bytes;
  }
}
