/**
 * Function shipping: a file system call travels to the I/O node, and its result travels back. IO_REQUEST body:
 * IoRequest, then `dataBytes` of data (a path with its NUL, or bytes to write). IO_REPLY body: IoReply, then
 * `dataBytes` of data (bytes read, a Stat). The I/O node keeps one descriptor table per (nid, job), for the pid that
 * asked first; 0, 1, 2 are the job's standard streams. Integers are little-endian.
 */
/** Most data of one request or reply; the kernel splits longer reads and writes. */
export const IO_DATA_MAX_BYTES: u32 = 65536;
export const PATH_MAX_BYTES: u32 = 4096;
export class IoRequest {
  /** Linux system-call number. EXIT_GROUP closes all descriptors of the task; it has no reply. */
  call: u32 = 0;
  dataBytes: u32 = 0;
  /** The call's register arguments, with pointers replaced by 0; a path or data is in the body. */
  arguments!: arr<u64, 6>;
}
export class IoReply {
  /** Result, or -errno. */
  result: i64 = 0;
  dataBytes: u32 = 0;
  reserved: u32 = 0;
}
// biome-ignore format: a table
export const enum Open { RDONLY = 0, WRONLY = 1, RDWR = 2, ACCMODE = 3, CREAT = 0x40, EXCL = 0x80, NOCTTY = 0x100, TRUNC = 0x200, APPEND = 0x400, NONBLOCK = 0x800, DIRECTORY = 0x1_0000, NOFOLLOW = 0x2_0000, CLOEXEC = 0x8_0000 }
export const AT_FDCWD: i32 = -100;
// biome-ignore format: a table
export const enum Seek { SET = 0, CUR = 1, END = 2 }
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
export const enum FileMode { FIFO = 0x1000, CHARACTER = 0x2000, DIRECTORY = 0x4000, REGULAR = 0x8000, LINK = 0xa000, TYPE_MASK = 0xf000 }
