/**
 * Function shipping: a file system call travels to the I/O node, and its result travels back. IO_REQUEST body:
 * IoRequest, then `dataBytes` of data: what the call's arguments point to, in their order, by their types in the table
 * of system calls (a path with its NUL, a structure), and last the bytes to write. IO_REPLY body: IoReply, then
 * `dataBytes` of data: what the call gives out, in the order of its arguments. The I/O node keeps one descriptor table
 * per (nid, job), for the pid that asked first; 0, 1, 2 are the job's standard streams. Integers are little-endian.
 *
 * Calls whose arguments are no more than an ADDRESS in the table: POLL, PPOLL: the array, then the timespec; SELECT,
 * PSELECT6: the sets that are there, then the time; both come back. FCNTL: a FileLock. IOCTL: what the request takes.
 * READ's fourth argument: 1 says that the call has some data already and must not wait for more.
 *
 * Mapped files: MMAP is shipped with its own arguments, and answered by a MapReply. A shared mapping has a handle,
 * which stays open when descriptors are closed. With it in the place of the first argument: MREMAP (handle, 1, bytes,
 * offset) reads; MSYNC likewise writes, but never past the file's end; MINCORE (handle) gives the file's length; MUNMAP
 * (handle) releases it. Programs' own calls with these numbers are not shipped.
 *
 * A call whose result is -IO_NEEDS_STATE is made again after the kernel has sent what it knows of the task: PRCTL
 * (StatePart.TASK), with a ProcessState; then PRCTL (StatePart.REGIONS), with RegionStates in the order of their
 * addresses, until one has fewer than REGIONS_AT_ONCE. It is valid for the next call of that core.
 */
import type { AuxiliaryEntry } from "./process.ts";

/** Most data of one request or reply; the kernel splits longer reads and writes. */
export const IO_DATA_MAX_BYTES: u32 = 65536;
export const PATH_MAX_BYTES: u32 = 4096;
/** Descriptors of a task: RLIMIT_NOFILE. Past them EMFILE. */
export const DESCRIPTORS_MAX: u32 = 1024;
export class IoRequest {
  /** Linux system-call number. EXIT_GROUP closes all descriptors of the task; it has no reply. */
  call: u32 = 0;
  dataBytes: u32 = 0;
  /** The call's arguments as registers, pointers replaced by 0 (null) or 1; what they point to is in the body. */
  arguments!: arr<u64, 6>;
}
/** No errno of Linux; programs never see it. */
export const IO_NEEDS_STATE: u32 = 4000;
// biome-ignore format: a table
export const enum StatePart { TASK = 0, REGIONS = 1 }
export class ProcessState {
  heapStart: u64 = 0;
  heapEnd: u64 = 0;
  /** Stack pointer of the program's first instruction. */
  stack: u64 = 0;
  residentPages: u64 = 0;
  pending: u64 = 0;
  sharedPending: u64 = 0;
  blocked: u64 = 0;
  ignored: u64 = 0;
  caught: u64 = 0;
  /** Bit n: the task owns core n. */
  cores: u64 = 0;
  processorNs: u64 = 0;
  /** Since the thread began. */
  startNs: u64 = 0;
  threads: u32 = 0;
  queued: u32 = 0;
  tid: u32 = 0;
  noNewPrivileges: u32 = 0;
  name!: arr<u8, 16>;
  auxiliaryCount: u32 = 0;
  reserved: u32 = 0;
  auxiliary!: arr<AuxiliaryEntry, 32>;
}
export class RegionState {
  start: u64 = 0;
  end: u64 = 0;
  /** Of `start`. */
  fileOffset: u64 = 0;
  /** Prot. */
  protection: u32 = 0;
  /** From the MapReply; 0: none. */
  name: u32 = 0;
  isShared: u32 = 0;
  reserved: u32 = 0;
}
export const REGIONS_AT_ONCE: u64 = 100;
// biome-ignore format: a table
export const enum MapKind { COPY = 0, SHARED = 1, ZEROS = 2 }
/** The result is the number of bytes that the file has from the offset on. */
export class MapReply {
  kind: u32 = 0;
  /** Number of the file's name, for /proc/self/maps; 0: none. */
  name: u32 = 0;
  /** SHARED: the same for all mappings of the same file. */
  handle: u64 = 0;
  /** SHARED: 1 if the file is open for writing. */
  mayWrite: u64 = 0;
}
export class IoReply {
  /** Result, or -errno. */
  result: i64 = 0;
  dataBytes: u32 = 0;
  reserved: u32 = 0;
}
// biome-ignore format: a table
export const enum Open { RDONLY = 0, WRONLY = 1, RDWR = 2, ACCMODE = 3, CREAT = 0x40, EXCL = 0x80, NOCTTY = 0x100, TRUNC = 0x200, APPEND = 0x400, NONBLOCK = 0x800, DSYNC = 0x1000, ASYNC = 0x2000, DIRECT = 0x4000, LARGEFILE = 0x8000, DIRECTORY = 0x1_0000, NOFOLLOW = 0x2_0000, NOATIME = 0x4_0000, CLOEXEC = 0x8_0000, SYNC = 0x10_0000, PATH = 0x20_0000, TMPFILE = 0x40_0000 }
export const AT_FDCWD: i32 = -100;
// biome-ignore format: a table
export const enum At { SYMLINK_NOFOLLOW = 0x100, EACCESS = 0x200, REMOVEDIR = 0x200, SYMLINK_FOLLOW = 0x400, NO_AUTOMOUNT = 0x800, EMPTY_PATH = 0x1000, STATX_SYNC_TYPE = 0x6000 }
// biome-ignore format: a table
export const enum Seek { SET = 0, CUR = 1, END = 2, DATA = 3, HOLE = 4 }
// biome-ignore format: a table
export const enum Rename { NOREPLACE = 1, EXCHANGE = 2, WHITEOUT = 4 }
// biome-ignore format: a table
export const enum Fallocate { KEEP_SIZE = 1, PUNCH_HOLE = 2, COLLAPSE_RANGE = 8, ZERO_RANGE = 0x10, INSERT_RANGE = 0x20, UNSHARE_RANGE = 0x40 }
// biome-ignore format: a table
export const enum Fcntl { DUPFD = 0, GETFD = 1, SETFD = 2, GETFL = 3, SETFL = 4, GETLK = 5, SETLK = 6, SETLKW = 7, SETOWN = 8, GETOWN = 9, SETSIG = 10, GETSIG = 11, OFD_GETLK = 36, OFD_SETLK = 37, OFD_SETLKW = 38, DUPFD_CLOEXEC = 1030, GETPIPE_SZ = 1032 }
export const FD_CLOEXEC: u32 = 1;
// biome-ignore format: a table
export const enum LockKind { READ = 0, WRITE = 1, UNLOCK = 2 }
// biome-ignore format: a table
export const enum FlockFlag { SHARED = 1, EXCLUSIVE = 2, NONBLOCK = 4, UNLOCK = 8 }
/** CLOSE_RANGE_* of close_range(2). */
// biome-ignore format: a table
export const enum CloseRange { UNSHARE = 2, CLOEXEC = 4 }
/** Source: Linux include/uapi/asm-generic/ioctls.h. */
// biome-ignore format: a table
export const enum Ioctl { TCGETS = 0x5401, TCSETS = 0x5402, TCSETSW = 0x5403, TCSETSF = 0x5404, TIOCGPGRP = 0x540f, TIOCSPGRP = 0x5410, TIOCGWINSZ = 0x5413, TIOCSWINSZ = 0x5414, FIONREAD = 0x541b, FIONBIO = 0x5421, FIONCLEX = 0x5450, FIOCLEX = 0x5451, FIOASYNC = 0x5452 }
// biome-ignore format: a table
export const enum Poll { IN = 1, PRI = 2, OUT = 4, ERR = 8, HUP = 0x10, NVAL = 0x20, RDNORM = 0x40, RDBAND = 0x80, WRNORM = 0x100, WRBAND = 0x200 }
/** Nanoseconds of utimensat(2) that are no time. */
export const UTIME_NOW: u64 = 0x3fff_ffff;
export const UTIME_OMIT: u64 = 0x3fff_fffe;
/** Elements of a vector: UIO_MAXIOV. */
export const VECTORS_MAX: u32 = 1024;
/** struct iovec. */
export class IoVector {
  base: u64 = 0;
  lengthBytes: u64 = 0;
}
export class PollFd {
  fd: i32 = 0;
  events: u16 = 0;
  revents: u16 = 0;
}
/** struct flock of Linux x86-64. */
export class FileLock {
  kind: u16 = 0;
  whence: u16 = 0;
  padding: u32 = 0;
  start: i64 = 0;
  length: i64 = 0;
  pid: i32 = 0;
  padding2: u32 = 0;
}
export class WindowSize {
  rows: u16 = 0;
  columns: u16 = 0;
  xPixels: u16 = 0;
  yPixels: u16 = 0;
}
/** struct termios of the kernel, 36 bytes (include/uapi/asm-generic/termbits.h). */
export class Termios {
  input: u32 = 0;
  output: u32 = 0;
  control: u32 = 0;
  local: u32 = 0;
  line: u8 = 0;
  characters!: arr<u8, 19>;
}
/** struct statfs of Linux x86-64, 120 bytes. */
export class StatFs {
  type: u64 = 0;
  blockBytes: u64 = 0;
  blocks: u64 = 0;
  free: u64 = 0;
  available: u64 = 0;
  files: u64 = 0;
  filesFree: u64 = 0;
  id: u64 = 0;
  nameMax: u64 = 0;
  fragmentBytes: u64 = 0;
  flags: u64 = 0;
  spare!: arr<u64, 4>;
}
// biome-ignore format: a table
export const enum StatxMask { BASIC_STATS = 0x7ff, BTIME = 0x800, RESERVED = 0x8000_0000 }
/** struct statx (include/uapi/linux/stat.h), 256 bytes. */
export class Statx {
  mask: u32 = 0;
  blockBytes: u32 = 0;
  attributes: u64 = 0;
  nlink: u32 = 0;
  uid: u32 = 0;
  gid: u32 = 0;
  mode: u16 = 0;
  padding: u16 = 0;
  ino: u64 = 0;
  size: u64 = 0;
  blocks: u64 = 0;
  attributesMask: u64 = 0;
  atimeSeconds: u64 = 0;
  atimeNanoseconds: u32 = 0;
  padding2: u32 = 0;
  btimeSeconds: u64 = 0;
  btimeNanoseconds: u32 = 0;
  padding3: u32 = 0;
  ctimeSeconds: u64 = 0;
  ctimeNanoseconds: u32 = 0;
  padding4: u32 = 0;
  mtimeSeconds: u64 = 0;
  mtimeNanoseconds: u32 = 0;
  padding5: u32 = 0;
  rdevMajor: u32 = 0;
  rdevMinor: u32 = 0;
  devMajor: u32 = 0;
  devMinor: u32 = 0;
  mountId: u64 = 0;
  spare!: arr<u64, 13>;
}
/** struct stat of Linux x86-64 (arch/x86/include/uapi/asm/stat.h), 144 bytes. Times and numbers are virtual. */
export class Stat {
  dev: u64 = 0;
  ino: u64 = 0;
  nlink: u64 = 0;
  mode: u32 = 0;
  uid: u32 = 0;
  gid: u32 = 0;
  padding: u32 = 0;
  rdev: u64 = 0;
  size: i64 = 0;
  blockBytes: i64 = 0;
  blocks: i64 = 0;
  atimeSeconds: u64 = 0;
  atimeNanoseconds: u64 = 0;
  mtimeSeconds: u64 = 0;
  mtimeNanoseconds: u64 = 0;
  ctimeSeconds: u64 = 0;
  ctimeNanoseconds: u64 = 0;
  reserved!: arr<i64, 3>;
}
// biome-ignore format: a table
export const enum FileMode { FIFO = 0x1000, CHARACTER = 0x2000, DIRECTORY = 0x4000, BLOCK = 0x6000, REGULAR = 0x8000, LINK = 0xa000, SOCKET = 0xc000, TYPE_MASK = 0xf000 }
