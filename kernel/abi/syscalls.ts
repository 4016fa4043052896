/**
 * System calls: numbers, and how the tracer shows their arguments. Linux x86-64 numbers (arch/x86/entry/syscalls/syscall_64.tbl);
 * Margay's own start at MARGAY_CALL_BASE. The kernel's handlers register themselves by number (kernel/syscall/table.ts).
 */
export const LINUX_CALL_COUNT: u32 = 512;
export const MARGAY_CALL_BASE: u32 = 4096;
export const MARGAY_CALL_COUNT: u32 = 32;
// biome-ignore format: a table
export const enum Syscall {
  READ = 0, WRITE = 1, OPEN = 2, CLOSE = 3, STAT = 4, FSTAT = 5, LSTAT = 6, LSEEK = 8, MMAP = 9, MPROTECT = 10, MUNMAP = 11, BRK = 12,
  PREAD64 = 17, SCHED_YIELD = 24, MADVISE = 28, NANOSLEEP = 35, GETPID = 39, CLONE = 56, EXIT = 60, UNAME = 63, ARCH_PRCTL = 158, GETTID = 186, FUTEX = 202,
  SCHED_GETAFFINITY = 204, SET_TID_ADDRESS = 218, CLOCK_GETTIME = 228, EXIT_GROUP = 231, OPENAT = 257, PRLIMIT64 = 302, GETCPU = 309, GETRANDOM = 318, MEMBARRIER = 324,

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
// biome-ignore format: a table
export const enum ArgKind { NONE = 0, DECIMAL = 1, HEX = 2, FD = 3, PATH = 4, ADDRESS = 5, LENGTH = 6, FLAGS = 7 }
export class SyscallInfo {
  number: u32 = 0;
  name: ptr<u8> | null = null;
  /** ArgKind and name of each argument; "kind" 0 ends the list. */
  kinds!: arr<u8, 6>;
  names!: arr<ptr<u8> | null, 6>;
}
/** Shown are the first three arguments: what SYS_ENTER records. */
// biome-ignore format: one call a row
export const syscallInfos: arr<SyscallInfo, 47> = [
  { number: Syscall.READ,                name: cstr("read"),                kinds: [ArgKind.FD, ArgKind.ADDRESS, ArgKind.LENGTH, 0, 0, 0],       names: [cstr("fd"), cstr("buffer"), cstr("bytes"), null, null, null] },
  { number: Syscall.WRITE,               name: cstr("write"),               kinds: [ArgKind.FD, ArgKind.ADDRESS, ArgKind.LENGTH, 0, 0, 0],       names: [cstr("fd"), cstr("buffer"), cstr("bytes"), null, null, null] },
  { number: Syscall.OPEN,                name: cstr("open"),                kinds: [ArgKind.PATH, ArgKind.FLAGS, ArgKind.FLAGS, 0, 0, 0],        names: [cstr("path"), cstr("flags"), cstr("mode"), null, null, null] },
  { number: Syscall.CLOSE,               name: cstr("close"),               kinds: [ArgKind.FD, 0, 0, 0, 0, 0],                                  names: [cstr("fd"), null, null, null, null, null] },
  { number: Syscall.STAT,                name: cstr("stat"),                kinds: [ArgKind.PATH, ArgKind.ADDRESS, 0, 0, 0, 0],                  names: [cstr("path"), cstr("stat"), null, null, null, null] },
  { number: Syscall.FSTAT,               name: cstr("fstat"),               kinds: [ArgKind.FD, ArgKind.ADDRESS, 0, 0, 0, 0],                    names: [cstr("fd"), cstr("stat"), null, null, null, null] },
  { number: Syscall.LSTAT,               name: cstr("lstat"),               kinds: [ArgKind.PATH, ArgKind.ADDRESS, 0, 0, 0, 0],                  names: [cstr("path"), cstr("stat"), null, null, null, null] },
  { number: Syscall.LSEEK,               name: cstr("lseek"),               kinds: [ArgKind.FD, ArgKind.DECIMAL, ArgKind.DECIMAL, 0, 0, 0],      names: [cstr("fd"), cstr("offset"), cstr("whence"), null, null, null] },
  { number: Syscall.MMAP,                name: cstr("mmap"),                kinds: [ArgKind.ADDRESS, ArgKind.LENGTH, ArgKind.FLAGS, 0, 0, 0],    names: [cstr("addr"), cstr("length"), cstr("prot"), null, null, null] },
  { number: Syscall.MPROTECT,            name: cstr("mprotect"),            kinds: [ArgKind.ADDRESS, ArgKind.LENGTH, ArgKind.FLAGS, 0, 0, 0],    names: [cstr("addr"), cstr("length"), cstr("prot"), null, null, null] },
  { number: Syscall.MUNMAP,              name: cstr("munmap"),              kinds: [ArgKind.ADDRESS, ArgKind.LENGTH, 0, 0, 0, 0],                names: [cstr("addr"), cstr("length"), null, null, null, null] },
  { number: Syscall.BRK,                 name: cstr("brk"),                 kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],                             names: [cstr("addr"), null, null, null, null, null] },
  { number: Syscall.PREAD64,             name: cstr("pread64"),             kinds: [ArgKind.FD, ArgKind.ADDRESS, ArgKind.LENGTH, 0, 0, 0],       names: [cstr("fd"), cstr("buffer"), cstr("bytes"), null, null, null] },
  { number: Syscall.SCHED_YIELD,         name: cstr("sched_yield"),         kinds: [0, 0, 0, 0, 0, 0],                                           names: [null, null, null, null, null, null] },
  { number: Syscall.NANOSLEEP,           name: cstr("nanosleep"),           kinds: [ArgKind.ADDRESS, ArgKind.ADDRESS, 0, 0, 0, 0],               names: [cstr("request"), cstr("remain"), null, null, null, null] },
  { number: Syscall.GETPID,              name: cstr("getpid"),              kinds: [0, 0, 0, 0, 0, 0],                                           names: [null, null, null, null, null, null] },
  { number: Syscall.EXIT,                name: cstr("exit"),                kinds: [ArgKind.DECIMAL, 0, 0, 0, 0, 0],                             names: [cstr("status"), null, null, null, null, null] },
  { number: Syscall.UNAME,               name: cstr("uname"),               kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],                             names: [cstr("name"), null, null, null, null, null] },
  { number: Syscall.ARCH_PRCTL,          name: cstr("arch_prctl"),          kinds: [ArgKind.HEX, ArgKind.ADDRESS, 0, 0, 0, 0],                   names: [cstr("code"), cstr("addr"), null, null, null, null] },
  { number: Syscall.GETTID,              name: cstr("gettid"),              kinds: [0, 0, 0, 0, 0, 0],                                           names: [null, null, null, null, null, null] },
  { number: Syscall.FUTEX,               name: cstr("futex"),               kinds: [ArgKind.ADDRESS, ArgKind.FLAGS, ArgKind.DECIMAL, 0, 0, 0],   names: [cstr("addr"), cstr("op"), cstr("value"), null, null, null] },
  { number: Syscall.CLOCK_GETTIME,       name: cstr("clock_gettime"),       kinds: [ArgKind.DECIMAL, ArgKind.ADDRESS, 0, 0, 0, 0],               names: [cstr("clock"), cstr("time"), null, null, null, null] },
  { number: Syscall.EXIT_GROUP,          name: cstr("exit_group"),          kinds: [ArgKind.DECIMAL, 0, 0, 0, 0, 0],                             names: [cstr("status"), null, null, null, null, null] },
  { number: Syscall.OPENAT,              name: cstr("openat"),              kinds: [ArgKind.FD, ArgKind.PATH, ArgKind.FLAGS, 0, 0, 0],           names: [cstr("dirfd"), cstr("path"), cstr("flags"), null, null, null] },
  { number: Syscall.GETCPU,              name: cstr("getcpu"),              kinds: [ArgKind.ADDRESS, ArgKind.ADDRESS, 0, 0, 0, 0],               names: [cstr("cpu"), cstr("node"), null, null, null, null] },
  { number: Syscall.CLONE,               name: cstr("clone"),               kinds: [ArgKind.FLAGS, ArgKind.ADDRESS, ArgKind.ADDRESS, 0, 0, 0], names: [cstr("flags"), cstr("stack"), cstr("parent_tid"), null, null, null] },
  { number: Syscall.SET_TID_ADDRESS,     name: cstr("set_tid_address"),     kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],                         names: [cstr("addr"), null, null, null, null, null] },
  { number: Syscall.SCHED_GETAFFINITY,   name: cstr("sched_getaffinity"),   kinds: [ArgKind.DECIMAL, ArgKind.LENGTH, ArgKind.ADDRESS, 0, 0, 0], names: [cstr("tid"), cstr("bytes"), cstr("mask"), null, null, null] },
  { number: Syscall.MADVISE,             name: cstr("madvise"),             kinds: [ArgKind.ADDRESS, ArgKind.LENGTH, ArgKind.DECIMAL, 0, 0, 0], names: [cstr("addr"), cstr("length"), cstr("advice"), null, null, null] },
  { number: Syscall.PRLIMIT64,           name: cstr("prlimit64"),           kinds: [ArgKind.DECIMAL, ArgKind.DECIMAL, ArgKind.ADDRESS, 0, 0, 0], names: [cstr("pid"), cstr("resource"), cstr("new"), null, null, null] },
  { number: Syscall.GETRANDOM,           name: cstr("getrandom"),           kinds: [ArgKind.ADDRESS, ArgKind.LENGTH, ArgKind.FLAGS, 0, 0, 0], names: [cstr("buffer"), cstr("bytes"), cstr("flags"), null, null, null] },
  { number: Syscall.MEMBARRIER,          name: cstr("membarrier"),          kinds: [ArgKind.DECIMAL, ArgKind.FLAGS, 0, 0, 0, 0],             names: [cstr("command"), cstr("flags"), null, null, null, null] },
  { number: Syscall.MARGAY_RANK,         name: cstr("margay_rank"),         kinds: [0, 0, 0, 0, 0, 0],                                           names: [null, null, null, null, null, null] },
  { number: Syscall.MARGAY_SIZE,         name: cstr("margay_size"),         kinds: [0, 0, 0, 0, 0, 0],                                           names: [null, null, null, null, null, null] },
  { number: Syscall.MARGAY_NID,          name: cstr("margay_nid"),          kinds: [0, 0, 0, 0, 0, 0],                                           names: [null, null, null, null, null, null] },
  { number: Syscall.MARGAY_RANK_MAP,     name: cstr("margay_rank_map"),     kinds: [ArgKind.ADDRESS, ArgKind.ADDRESS, ArgKind.DECIMAL, 0, 0, 0], names: [cstr("nids"), cstr("pids"), cstr("count"), null, null, null] },
  { number: Syscall.MARGAY_PERSONALITY,  name: cstr("margay_personality"),  kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],                             names: [cstr("buffer"), null, null, null, null, null] },
  { number: Syscall.MARGAY_DESCRIBE_JOB, name: cstr("margay_describe_job"), kinds: [ArgKind.DECIMAL, ArgKind.DECIMAL, ArgKind.ADDRESS, 0, 0, 0], names: [cstr("rank"), cstr("size"), cstr("nids"), null, null, null] },
  { number: Syscall.MARGAY_LOAD,         name: cstr("margay_load"),         kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],                             names: [cstr("request"), null, null, null, null, null] },
  { number: Syscall.MARGAY_START,        name: cstr("margay_start"),        kinds: [ArgKind.ADDRESS, ArgKind.ADDRESS, 0, 0, 0, 0],               names: [cstr("entry"), cstr("stack"), null, null, null, null] },
  { number: Syscall.MARGAY_MARK,         name: cstr("margay_mark"),         kinds: [ArgKind.DECIMAL, ArgKind.DECIMAL, 0, 0, 0, 0],               names: [cstr("kind"), cstr("value"), null, null, null, null] },
  { number: Syscall.PORTAL_QUEUE,        name: cstr("portal_queue"),        kinds: [ArgKind.ADDRESS, ArgKind.DECIMAL, 0, 0, 0, 0],               names: [cstr("queue"), cstr("capacity"), null, null, null, null] },
  { number: Syscall.PORTAL_APPEND,       name: cstr("portal_append"),       kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],                             names: [cstr("entry"), null, null, null, null, null] },
  { number: Syscall.PORTAL_UNLINK,       name: cstr("portal_unlink"),       kinds: [ArgKind.DECIMAL, 0, 0, 0, 0, 0],                             names: [cstr("match"), null, null, null, null, null] },
  { number: Syscall.PORTAL_PUT,          name: cstr("portal_put"),          kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],                             names: [cstr("request"), null, null, null, null, null] },
  { number: Syscall.PORTAL_GET,          name: cstr("portal_get"),          kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],                             names: [cstr("request"), null, null, null, null, null] },
  { number: Syscall.PORTAL_WAIT,         name: cstr("portal_wait"),         kinds: [ArgKind.DECIMAL, ArgKind.DECIMAL, 0, 0, 0, 0],               names: [cstr("queue"), cstr("timeout"), null, null, null, null] },
];
