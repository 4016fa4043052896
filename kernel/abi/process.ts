/** What programs and kernel share besides call numbers: mappings, times, names, the start-up stack. Source: Linux uapi headers; System V ABI, AMD64 supplement 3.4. */
/** Arguments of mmap and mprotect (asm-generic/mman-common.h). */
// biome-ignore format: a table
export const enum Prot { NONE = 0, READ = 1, WRITE = 2, EXEC = 4 }
// biome-ignore format: a table
export const enum MapFlag { SHARED = 0x1, PRIVATE = 0x2, TYPE_MASK = 0xf, FIXED = 0x10, ANONYMOUS = 0x20, NORESERVE = 0x4000, POPULATE = 0x8000, STACK = 0x2_0000, FIXED_NOREPLACE = 0x10_0000 }

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
/** Where init places position-independent programs. */
export const DYNAMIC_BASE: u64 = 0x0000_1000_0000_0000;
/** No program's segments below it (Linux: vm.mmap_min_addr). */
export const PROGRAM_LOWEST: u64 = 0x1_0000;
/** arch_prctl codes (arch/x86/include/uapi/asm/prctl.h). */
// biome-ignore format: a table
export const enum ArchPrctl { SET_GS = 0x1001, SET_FS = 0x1002, GET_FS = 0x1003, GET_GS = 0x1004 }
/** Signals that end programs (arch/x86/include/uapi/asm/signal.h). */
// biome-ignore format: a table
export const enum Signal { SIGILL = 4, SIGTRAP = 5, SIGABRT = 6, SIGBUS = 7, SIGFPE = 8, SIGKILL = 9, SIGSEGV = 11, SIGTERM = 15 }
