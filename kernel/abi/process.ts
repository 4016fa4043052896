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
export const enum Clock { REALTIME = 0, MONOTONIC = 1, PROCESS_CPUTIME = 2, THREAD_CPUTIME = 3, MONOTONIC_RAW = 4, REALTIME_COARSE = 5, MONOTONIC_COARSE = 6, BOOTTIME = 7 }
export class Timespec {
  seconds: i64 = 0;
  nanoseconds: i64 = 0;
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
/** Signals that end programs (arch/x86/include/uapi/asm/signal.h). */
// biome-ignore format: a table
export const enum Signal { SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGSEGV = 11, SIGTERM = 15 }

/** clone flags (sched.h); the low byte is a signal. */
// biome-ignore format: a table
export const enum CloneFlag {
  VM = 0x100, FS = 0x200, FILES = 0x400, SIGHAND = 0x800, VFORK = 0x4000, THREAD = 0x1_0000, NEWNS = 0x2_0000, SYSVSEM = 0x4_0000, SETTLS = 0x8_0000,
  PARENT_SETTID = 0x10_0000, CHILD_CLEARTID = 0x20_0000, DETACHED = 0x40_0000, UNTRACED = 0x80_0000, CHILD_SETTID = 0x100_0000,
}
/** futex operations and their flags (futex.h). */
// biome-ignore format: a table
export const enum FutexOperation { WAIT = 0, WAKE = 1, REQUEUE = 3, CMP_REQUEUE = 4, WAIT_BITSET = 9, WAKE_BITSET = 10, COMMAND_MASK = 0x7f }
// biome-ignore format: a table
export const enum FutexFlag { PRIVATE = 128, CLOCK_REALTIME = 256 }
/** madvise (asm-generic/mman-common.h). */
// biome-ignore format: a table
export const enum Advice { NORMAL = 0, RANDOM = 1, SEQUENTIAL = 2, WILLNEED = 3, DONTNEED = 4, FREE = 8, HUGEPAGE = 14, NOHUGEPAGE = 15, DONTDUMP = 16, DODUMP = 17 }
/** prlimit64 (asm-generic/resource.h). */
// biome-ignore format: a table
export const enum Resource { CPU = 0, FSIZE = 1, DATA = 2, STACK = 3, CORE = 4, RSS = 5, NPROC = 6, NOFILE = 7, MEMLOCK = 8, AS = 9, COUNT = 16 }
export const RESOURCE_INFINITY: u64 = 0xffff_ffff_ffff_ffff;
export class ResourceLimit {
  current: u64 = 0;
  maximum: u64 = 0;
}
/** getrandom (random.h). */
// biome-ignore format: a table
export const enum RandomFlag { NONBLOCK = 1, RANDOM = 2, INSECURE = 4 }
/** membarrier commands (membarrier.h). */
// biome-ignore format: a table
export const enum Membarrier { QUERY = 0, GLOBAL = 1, PRIVATE_EXPEDITED = 8, REGISTER_PRIVATE_EXPEDITED = 16 }
