/**
 * Makes properties in which hosts differ uniform. Inode numbers count files in the order of their first appearance, and
 * a file that a job creates gets a new one. Device numbers are those of the trees (namespace.ts). A file has one time:
 * when the host last modified it (Python compares it with the one in its byte code). For files that a job has changed
 * in this run it is the boot epoch plus the virtual time of the change, or the time set by utimensat(2); for files of
 * the name space it is the boot epoch. Reading does not change the access time (noatime). Blocks follow from the size.
 * Every task owns all files.
 */
import { FileMode, Stat, Statx, StatxMask } from "../abi/io.ts";
import type { HostStat, NodeKind } from "./hostfs.ts";
import { volumes } from "./namespace.ts";

export const BLOCK_BYTES = 4096;
const SECTOR_BYTES = 512;
/** The text of a short link is stored in its inode, as on ext4. */
const SHORT_LINK_BYTES = 60;
const NANOSECONDS = 1_000_000_000n;
const typeBits: Readonly<Record<NodeKind, number>> = {
  regular: FileMode.REGULAR,
  directory: FileMode.DIRECTORY,
  link: FileMode.LINK,
  special: FileMode.CHARACTER,
  pipe: FileMode.FIFO,
  socket: FileMode.SOCKET,
  block: FileMode.BLOCK,
};

/** Nanoseconds since 1970. */
interface Times {
  accessed: bigint;
  modified: bigint;
  changed: bigint;
  born: bigint;
}
/** All facts of a file for stat(2). */
export interface Facts {
  readonly device: bigint;
  readonly inode: bigint;
  readonly links: number;
  readonly mode: number;
  readonly userId: number;
  readonly deviceNumber: number;
  readonly size: number;
  readonly sectors: number;
  readonly times: Readonly<Times>;
}
export interface FactsOptions {
  /** st_dev. */
  readonly volume: number;
  readonly userId: number;
  /** Device number, for a device of the name space. */
  readonly device?: number | undefined;
  /** Directories: 2 plus one for each directory inside. */
  readonly links?: number | undefined;
}

export class VirtualFacts {
  private readonly inodes = new Map<string, bigint>();
  private inodeCount = 0n;
  /** What jobs have changed, by identity. */
  private readonly times = new Map<string, Partial<Times>>();
  private readonly specialBits = new Map<string, number>();

  constructor(private readonly epochSeconds: bigint) {}

  /** A time of the run as nanoseconds since 1970. */
  at(time: number): bigint {
    return this.epochSeconds * NANOSECONDS + BigInt(Math.floor(time));
  }
  /** A new file; the host may have reused the inode of another. */
  created(identity: string, time: number): void {
    this.inodes.set(identity, ++this.inodeCount);
    const now = this.at(time);
    this.times.set(identity, { accessed: now, modified: now, changed: now, born: now });
  }
  /** The file's content has changed. */
  modified(identity: string, time: number): void {
    const now = this.at(time);
    this.note(identity, { modified: now, changed: now });
  }
  /** The file's metadata has changed. */
  changed(identity: string, time: number): void {
    this.note(identity, { changed: this.at(time) });
  }
  /** utimensat(2); null: unchanged. */
  setTimes(s: HostStat, accessed: bigint | null, modified: bigint | null, time: number): Readonly<Times> {
    this.note(s.identity, {
      ...(accessed === null ? {} : { accessed }),
      ...(modified === null ? {} : { modified }),
      changed: this.at(time),
    });
    return this.timesOf(s);
  }
  /** Set-user-ID, set-group-ID and sticky bit exist only in the job's view: the host's file does not get them. */
  setSpecialBits(identity: string, permissions: number): void {
    this.specialBits.set(identity, permissions & 0o7000);
  }
  /** chown(2) clears the bits; set-group-ID only if the group may execute. */
  dropSetId(identity: string, permissions: number): void {
    const bits = this.specialBits.get(identity) ?? permissions & 0o7000;
    const dropped = 0o4000 | (permissions & 0o010 ? 0o2000 : 0);
    if (bits & dropped) this.specialBits.set(identity, bits & ~dropped);
  }
  private note(identity: string, times: Partial<Times>): void {
    this.times.set(identity, { ...this.times.get(identity), ...times });
  }
  private timesOf(s: HostStat): Times {
    const noted = this.times.get(s.identity);
    // After a change by the job the host's time is that of this very run, which nothing may depend on.
    const modified = noted?.modified ?? s.modified ?? this.at(0);
    return { accessed: modified, modified, changed: modified, born: modified, ...noted };
  }

  facts(s: HostStat, { volume, userId, device = 0, links }: FactsOptions): Facts {
    const size = s.kind === "regular" || s.kind === "link" ? s.sizeBytes : s.kind === "directory" ? BLOCK_BYTES : 0;
    const stored = s.kind === "link" && size < SHORT_LINK_BYTES ? 0 : size;
    return {
      device: BigInt(volume),
      inode: this.inode(s.identity),
      links: links ?? s.links,
      mode: typeBits[s.kind] | (this.specialBits.get(s.identity) ?? s.permissions & 0o7000) | (s.permissions & 0o777),
      userId,
      deviceNumber: device,
      size,
      sectors: Math.ceil(stored / BLOCK_BYTES) * (BLOCK_BYTES / SECTOR_BYTES),
      times: this.timesOf(s),
    };
  }
  /** `terminal`: the stream is a terminal. */
  streamFacts(stream: number, userId: number, terminal: boolean): Facts {
    const start = this.at(0);
    return {
      device: BigInt(volumes.streams.device),
      inode: BigInt(stream + 1),
      links: 1,
      mode: terminal ? FileMode.CHARACTER | 0o620 : FileMode.FIFO | 0o600,
      userId,
      // Linux admin-guide/devices.txt: 136, 0 is the first terminal of a pseudo terminal.
      deviceNumber: terminal ? 136 << 8 : 0,
      size: 0,
      sectors: 0,
      times: { accessed: start, modified: start, changed: start, born: start },
    };
  }

  inode(identity: string): bigint {
    let inode = this.inodes.get(identity);
    if (inode === undefined) {
      inode = ++this.inodeCount;
      this.inodes.set(identity, inode);
    }
    return inode;
  }
}

export function encodeStat(f: Facts): Uint8Array {
  const bytes = new Uint8Array(Stat.SIZE);
  const s = new Stat(new DataView(bytes.buffer));
  s.dev = f.device;
  s.ino = f.inode;
  s.nlink = BigInt(f.links);
  s.mode = f.mode;
  s.uid = f.userId;
  s.gid = f.userId;
  s.rdev = BigInt(f.deviceNumber);
  s.size = BigInt(f.size);
  s.blockBytes = BigInt(BLOCK_BYTES);
  s.blocks = BigInt(f.sectors);
  [s.atimeSeconds, s.atimeNanoseconds] = split(f.times.accessed);
  [s.mtimeSeconds, s.mtimeNanoseconds] = split(f.times.modified);
  [s.ctimeSeconds, s.ctimeNanoseconds] = split(f.times.changed);
  return bytes;
}
export function encodeStatx(f: Facts): Uint8Array {
  const bytes = new Uint8Array(Statx.SIZE);
  const s = new Statx(new DataView(bytes.buffer));
  s.mask = StatxMask.BASIC_STATS | StatxMask.BTIME;
  s.blockBytes = BLOCK_BYTES;
  s.nlink = f.links;
  s.uid = f.userId;
  s.gid = f.userId;
  s.mode = f.mode;
  s.ino = f.inode;
  s.size = BigInt(f.size);
  s.blocks = BigInt(f.sectors);
  let nanoseconds: bigint;
  [s.atimeSeconds, nanoseconds] = split(f.times.accessed);
  s.atimeNanoseconds = Number(nanoseconds);
  [s.btimeSeconds, nanoseconds] = split(f.times.born);
  s.btimeNanoseconds = Number(nanoseconds);
  [s.ctimeSeconds, nanoseconds] = split(f.times.changed);
  s.ctimeNanoseconds = Number(nanoseconds);
  [s.mtimeSeconds, nanoseconds] = split(f.times.modified);
  s.mtimeNanoseconds = Number(nanoseconds);
  s.rdevMajor = f.deviceNumber >> 8;
  s.rdevMinor = f.deviceNumber & 0xff;
  // makedev(3): these numbers are below 256.
  s.devMajor = 0;
  s.devMinor = Number(f.device);
  return bytes;
}
/** Seconds, rounded down, and the remaining nanoseconds. */
function split(time: bigint): [seconds: bigint, nanoseconds: bigint] {
  const nanoseconds = ((time % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  return [BigInt.asUintN(64, (time - nanoseconds) / NANOSECONDS), nanoseconds];
}
