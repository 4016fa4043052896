/**
 * System calls: numbers, and how the tracer shows their arguments. Linux x86-64 numbers (arch/x86/entry/syscalls/syscall_64.tbl);
 * Margay's own start at MARGAY_CALL_BASE. The kernel's handlers register themselves by number (kernel/syscall/table.ts).
 */
export const LINUX_CALL_COUNT: u32 = 512;
export const MARGAY_CALL_BASE: u32 = 4096;
export const MARGAY_CALL_COUNT: u32 = 32;
export const enum Syscall {
  READ = 0, WRITE = 1, OPEN = 2, CLOSE = 3, STAT = 4, FSTAT = 5, LSTAT = 6, LSEEK = 8, MMAP = 9, MPROTECT = 10, MUNMAP = 11, BRK = 12,
  PREAD64 = 17, SCHED_YIELD = 24, NANOSLEEP = 35, GETPID = 39, EXIT = 60, UNAME = 63, ARCH_PRCTL = 158, GETTID = 186, FUTEX = 202,
  CLOCK_GETTIME = 228, EXIT_GROUP = 231, OPENAT = 257, GETCPU = 309,

  /** () → rank, () → number of ranks, () → nid. */
  MARGAY_RANK = 4096, MARGAY_SIZE = 4097, MARGAY_NID = 4098,
  /** (u32 *nids, u32 *pids, count) → ranks written: where each rank lives. A null array is skipped. */
  MARGAY_RANK_MAP = 4099,
  /** (Personality *). */
  MARGAY_PERSONALITY = 4100,
  /** Init only: (rank, size, const u32 *nids, const u32 *pids) describes the job to the kernel. pids null = all 1. */
  MARGAY_DESCRIBE_JOB = 4101,
  /** Init only: (const LoadRequest *). */
  MARGAY_LOAD = 4102,
  /**
   * Init only: (entry, stack pointer) unlinks every match entry and event queue of the task (they lie in init), unmaps init
   * and enters the program with cleared registers.
   */
  MARGAY_START = 4103,
  /** (kind, value) → a mark in the trace. */
  MARGAY_MARK = 4104,

  /** (EventQueue *, capacity) → handle ≥ 1. */
  PORTAL_QUEUE = 4112,
  /** (const MatchEntry *) → handle ≥ 1, appended to the end of its portal's list. */
  PORTAL_APPEND = 4113,
  /** (match handle). */
  PORTAL_UNLINK = 4114,
  /** (const PortalRequest *). */
  PORTAL_PUT = 4115, PORTAL_GET = 4116,
  /** (queue handle, i64 timeout ns, < 0 = none) → 0 when the queue holds an event, -ETIMEDOUT. Reading needs no call. */
  PORTAL_WAIT = 4117,
}
/** How an argument is shown. */
export const enum ArgKind { NONE = 0, DECIMAL = 1, HEX = 2, FD = 3, PATH = 4, ADDRESS = 5, LENGTH = 6, FLAGS = 7 }
export class SyscallInfo {
  number: u32 = 0;
  name: ptr<u8> | null = null;
  /** ArgKind and name of each argument; "kind" 0 ends the list. */
  kinds!: arr<u8, 6>;
  names!: arr<ptr<u8> | null, 6>;
}
