/**
 * Facts shared by programs and kernel besides call numbers: mappings, times, names, the start-up stack. Source: Linux
 * uapi headers; System V ABI, AMD64 supplement 3.4.
 */
/** Arguments of mmap and mprotect (asm-generic/mman-common.h). */
// biome-ignore format: a table
export const enum Prot { NONE = 0, READ = 1, WRITE = 2, EXEC = 4 }
// biome-ignore format: a table
export const enum MapFlag { SHARED = 0x1, PRIVATE = 0x2, SHARED_VALIDATE = 0x3, TYPE_MASK = 0xf, FIXED = 0x10, ANONYMOUS = 0x20, NORESERVE = 0x4000, POPULATE = 0x8000, STACK = 0x2_0000, FIXED_NOREPLACE = 0x10_0000 }

/** mremap, msync, mlock2, mlockall (linux/mman.h, asm-generic/mman.h). */
// biome-ignore format: a table
export const enum RemapFlag { MAYMOVE = 1, FIXED = 2, DONTUNMAP = 4 }
// biome-ignore format: a table
export const enum SyncFlag { ASYNC = 1, INVALIDATE = 2, SYNC = 4 }
// biome-ignore format: a table
export const enum LockFlag { CURRENT = 1, FUTURE = 2, ONFAULT = 4 }
/** mlock2's own. */
export const MLOCK_ONFAULT: u32 = 1;

/** clock_gettime (time.h). */
// biome-ignore format: a table
export const enum Clock { REALTIME = 0, MONOTONIC = 1, PROCESS_CPUTIME = 2, THREAD_CPUTIME = 3, MONOTONIC_RAW = 4, REALTIME_COARSE = 5, MONOTONIC_COARSE = 6, BOOTTIME = 7, REALTIME_ALARM = 8, BOOTTIME_ALARM = 9, TAI = 11 }
export class Timespec {
  seconds: i64 = 0;
  nanoseconds: i64 = 0;
}

/** struct timeval, struct itimerval (time.h). */
export class Timeval {
  seconds: i64 = 0;
  microseconds: i64 = 0;
}
export class IntervalValue {
  interval!: Timeval;
  value!: Timeval;
}

/** clock_nanosleep: the time is one of the clock, not from now on. */
export const TIMER_ABSTIME: u32 = 1;
/** Ticks of times(), a second. */
export const USER_TICKS: u64 = 100;
/** struct tms (times.h): in ticks. */
export class ProcessTimes {
  user: i64 = 0;
  system: i64 = 0;
  childrenUser: i64 = 0;
  childrenSystem: i64 = 0;
}
/** Of whom getrusage tells. */
// biome-ignore format: a table
export const enum UsageOf { CHILDREN = -1, SELF = 0, THREAD = 1 }
/** struct rusage (resource.h). What this kernel does not count is 0. */
export class ResourceUsage {
  user!: Timeval;
  system!: Timeval;
  /** KB. */
  maxResident: u64 = 0;
  rest!: arr<u64, 13>;
}
/** struct sysinfo (sysinfo.h). */
export class SystemInfo {
  uptimeSeconds: i64 = 0;
  loads!: arr<u64, 3>;
  totalRam: u64 = 0;
  freeRam: u64 = 0;
  sharedRam: u64 = 0;
  bufferRam: u64 = 0;
  totalSwap: u64 = 0;
  freeSwap: u64 = 0;
  processes: u16 = 0;
  reserved: u16 = 0;
  totalHigh: u64 = 0;
  freeHigh: u64 = 0;
  /** Bytes that the sizes count. */
  unitBytes: u32 = 0;
}

/** struct new_utsname (utsname.h). */
export const UTSNAME_BYTES: u64 = 65;
export class Utsname {
  sysname!: arr<u8, 65>;
  nodename!: arr<u8, 65>;
  release!: arr<u8, 65>;
  version!: arr<u8, 65>;
  machine!: arr<u8, 65>;
  domainname!: arr<u8, 65>;
}

/** Types of auxiliary vector entries (auxvec.h). */
// biome-ignore format: a table
export const enum Auxiliary { NULL = 0, PHDR = 3, PHENT = 4, PHNUM = 5, PAGESZ = 6, BASE = 7, FLAGS = 8, ENTRY = 9, UID = 11, EUID = 12, GID = 13, EGID = 14, PLATFORM = 15, HWCAP = 16, CLKTCK = 17, SECURE = 23, RANDOM = 25, EXECFN = 31 }
export class AuxiliaryEntry {
  type: u64 = 0;
  value: u64 = 0;
}
/** Of times(2) and AT_CLKTCK. */
export const CLOCK_TICKS_PER_SECOND: u64 = 100;
/** Where init places position-independent programs. */
export const DYNAMIC_BASE: u64 = 0x0000_1000_0000_0000;
/** Lowest address of a program's segments (Linux: vm.mmap_min_addr). */
export const PROGRAM_LOWEST: u64 = 0x1_0000;
/** arch_prctl codes (arch/x86/include/uapi/asm/prctl.h). */
// biome-ignore format: a table
export const enum ArchPrctl { SET_GS = 0x1001, SET_FS = 0x1002, GET_FS = 0x1003, GET_GS = 0x1004 }

/** clone flags (sched.h); the low byte is a signal. */
// biome-ignore format: a table
export const enum CloneFlag {
  VM = 0x100, FS = 0x200, FILES = 0x400, SIGHAND = 0x800, VFORK = 0x4000, THREAD = 0x1_0000, NEWNS = 0x2_0000, SYSVSEM = 0x4_0000, SETTLS = 0x8_0000,
  PARENT_SETTID = 0x10_0000, CHILD_CLEARTID = 0x20_0000, DETACHED = 0x40_0000, UNTRACED = 0x80_0000, CHILD_SETTID = 0x100_0000,
  PIDFD = 0x1000, PTRACE = 0x2000, PARENT = 0x8000, NEWCGROUP = 0x200_0000, NEWUTS = 0x400_0000, NEWIPC = 0x800_0000, NEWUSER = 0x1000_0000, NEWPID = 0x2000_0000,
  NEWNET = 0x4000_0000, IO = 0x8000_0000, CLEAR_SIGHAND = 0x1_0000_0000, INTO_CGROUP = 0x2_0000_0000,
}
/** The low byte of clone's flags: a signal for the parent of a process. */
export const CLONE_SIGNAL: u64 = 0xff;
/** clone3 (sched.h). The first version had 64 bytes. */
export const CLONE_ARGUMENTS_FIRST_BYTES: u64 = 64;
export class CloneArguments {
  flags: u64 = 0;
  pidFd: u64 = 0;
  childTid: u64 = 0;
  parentTid: u64 = 0;
  exitSignal: u64 = 0;
  stack: u64 = 0;
  stackBytes: u64 = 0;
  tls: u64 = 0;
  setTid: u64 = 0;
  setTidCount: u64 = 0;
  group: u64 = 0;
}
/** set_robust_list (futex.h): a list of locks that the thread holds, its links in the locks. */
export class RobustList {
  first: u64 = 0;
  /** From a link to its futex word. */
  futexOffset: i64 = 0;
  /** A lock that is being taken or released. */
  pending: u64 = 0;
}
/** Most locks of a list that are looked at. */
export const ROBUST_LIST_MAX: u32 = 2048;
/** A futex word that holds a tid. */
// biome-ignore format: a table
export const enum FutexWord { WAITERS = 0x8000_0000, OWNER_DIED = 0x4000_0000, TID_MASK = 0x3fff_ffff }
/** rseq (rseq.h). */
export class Rseq {
  cpuStart: u32 = 0;
  cpu: u32 = 0;
  /** RseqSection that the thread is in, 0: none. */
  section: u64 = 0;
  flags: u32 = 0;
  node: u32 = 0;
  concurrency: u32 = 0;
  reserved: u32 = 0;
}
export const RSEQ_BYTES: u64 = 32;
// biome-ignore format: a table
export const enum RseqFlag { UNREGISTER = 1 }
/** struct rseq_cs. */
export class RseqSection {
  version: u32 = 0;
  flags: u32 = 0;
  start: u64 = 0;
  lengthBytes: u64 = 0;
  abort: u64 = 0;
}
/** FUTEX_WAKE_OP: what is done with the second word, and how its old value is compared. */
// biome-ignore format: a table
export const enum FutexChange { SET = 0, ADD = 1, OR = 2, ANDN = 3, XOR = 4, SHIFT = 8 }
// biome-ignore format: a table
export const enum FutexCompare { EQ = 0, NE = 1, LT = 2, LE = 3, GT = 4, GE = 5 }
/** futex operations and their flags (futex.h). */
// biome-ignore format: a table
export const enum FutexOperation { WAIT = 0, WAKE = 1, REQUEUE = 3, CMP_REQUEUE = 4, WAKE_OP = 5, WAIT_BITSET = 9, WAKE_BITSET = 10, COMMAND_MASK = 0x7f }
// biome-ignore format: a table
export const enum FutexFlag { PRIVATE = 128, CLOCK_REALTIME = 256 }
/** madvise (asm-generic/mman-common.h). */
// biome-ignore format: a table
export const enum Advice { NORMAL = 0, RANDOM = 1, SEQUENTIAL = 2, WILLNEED = 3, DONTNEED = 4, FREE = 8, HUGEPAGE = 14, NOHUGEPAGE = 15, DONTDUMP = 16, DODUMP = 17 }
/** prlimit64 (asm-generic/resource.h). */
// biome-ignore format: a table
export const enum Resource { CPU = 0, FSIZE = 1, DATA = 2, STACK = 3, CORE = 4, RSS = 5, NPROC = 6, NOFILE = 7, MEMLOCK = 8, AS = 9, LOCKS = 10, SIGPENDING = 11, MSGQUEUE = 12, NICE = 13, RTPRIO = 14, RTTIME = 15, COUNT = 16 }
export const RESOURCE_INFINITY: u64 = 0xffff_ffff_ffff_ffff;
export class ResourceLimit {
  current: u64 = 0;
  maximum: u64 = 0;
}
/** prctl (prctl.h). */
// biome-ignore format: a table
export const enum Prctl {
  SET_PDEATHSIG = 1, GET_PDEATHSIG = 2, GET_DUMPABLE = 3, SET_DUMPABLE = 4, GET_KEEPCAPS = 7, SET_KEEPCAPS = 8, GET_TIMING = 13, SET_TIMING = 14,
  SET_NAME = 15, GET_NAME = 16, GET_SECCOMP = 21, CAPBSET_READ = 23, GET_TSC = 25, SET_TSC = 26, SET_TIMERSLACK = 29, GET_TIMERSLACK = 30,
  SET_CHILD_SUBREAPER = 36, GET_CHILD_SUBREAPER = 37, SET_NO_NEW_PRIVS = 38, GET_NO_NEW_PRIVS = 39, SET_THP_DISABLE = 41, GET_THP_DISABLE = 42,
}
export const THREAD_NAME_BYTES: u64 = 16;
/** capget (capability.h). */
// biome-ignore format: a table
export const enum CapabilityVersion { V1 = 0x1998_0330, V2 = 0x2007_1026, V3 = 0x2008_0522 }
export const CAPABILITY_LAST: u64 = 40;
/** wait4 and waitid (wait.h). */
// biome-ignore format: a table
export const enum WaitOption { NOHANG = 1, UNTRACED = 2, STOPPED = 2, EXITED = 4, CONTINUED = 8, NOWAIT = 0x100_0000, NOTHREAD = 0x2000_0000, ALL = 0x4000_0000, CLONE = 0x8000_0000 }
// biome-ignore format: a table
export const enum WaitFor { ALL = 0, PID = 1, GROUP = 2, PIDFD = 3 }
/** getrandom (random.h). */
// biome-ignore format: a table
export const enum RandomFlag { NONBLOCK = 1, RANDOM = 2, INSECURE = 4 }
/** membarrier commands (membarrier.h). */
// biome-ignore format: a table
export const enum Membarrier { QUERY = 0, GLOBAL = 1, PRIVATE_EXPEDITED = 8, REGISTER_PRIVATE_EXPEDITED = 16 }
