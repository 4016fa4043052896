/**
 * System calls: numbers, and the types of their arguments, by which the kernel checks them and the tracer shows them.
 * Linux x86-64 numbers (arch/x86/entry/syscalls/syscall_64.tbl); Margay's own start at MARGAY_CALL_BASE. The kernel's
 * handlers register themselves by number (kernel/syscall/table.ts).
 */
import { MAX_RANKS } from "./job.ts";
import type { Personality } from "./personality.ts";
import {
  EVENT_CAPACITY_MAX,
  EVENT_QUEUES_MAX,
  type LoadRequest,
  MATCH_ENTRIES_MAX,
  type MatchEntry,
  type PortalRequest,
} from "./portals.ts";
import { Clock, RandomFlag, type ResourceLimit, type Timespec, type Utsname } from "./process.ts";

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
   * Init only: (entry, stack pointer) unlinks every match entry and event queue of the task (they lie in init), unmaps
   * init and enters the program with cleared registers.
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
  /**
   * (queue handle, i64 timeout ns, < 0 = none) → 0 when the queue holds an event, -ETIMEDOUT. Reading needs no call.
   */
  PORTAL_WAIT = 4117,
}
/**
 * Type of an argument: what the kernel's door (kernel/syscall/arguments.ts) lets through, and how the tracer shows it.
 * `limit` is the row's number for that argument. Numbers are checked first, then descriptors, then addresses, as Linux
 * does; each in all 64 bits but where Linux itself takes an `int`: then the upper half of the register is not looked
 * at, and the handler gets the lower half, extended.
 */
// biome-ignore format: a table
export const enum ArgKind {
  /** The list is over. */
  NONE = 0,
  // ---- numbers
  /** Every value is one. */
  S64, HEX,
  /** `int`, `unsigned int`, and one that is shown in hexadecimal. U32 with a limit: above it EINVAL. */
  S32, U32, HEX32,
  /** `unsigned int` with no bits but those of the limit: EINVAL. */
  FLAGS,
  /** 0 … limit - 1: EINVAL. */
  INDEX,
  /** 1 … limit: EINVAL. */
  HANDLE, COUNT,
  /** Bytes, elements; more than the limit counts as the limit (0: there is none). */
  LENGTH,
  /** `loff_t` that is not negative: EINVAL. */
  OFFSET,
  /** i64 nanoseconds, negative: none; longer than TIMEOUT_MAX counts as that. */
  TIMEOUT,
  /** `unsigned int`, below 0 as an `int`: EBADF. DIRECTORY: below 0 is for the handler (AT_FDCWD). */
  FD, DIRECTORY,
  // ---- addresses
  /** Not checked here: never used but by the copies of mm/user.ts, which check it, at the moment that Linux would. */
  ADDRESS,
  /** A multiple of PAGE_BYTES: EINVAL. What the range means is the handler's (kernel/syscall/memory.ts). */
  PAGE,
  /** A multiple of the limit: EINVAL; below USER_END: EFAULT. */
  ALIGNED,
  /** `limit` bytes that the kernel reads, or writes, below USER_END: EFAULT. OPTIONAL: or null. */
  READ, WRITE, READ_OPTIONAL, WRITE_OPTIONAL,
  /** The same, as many bytes as the next argument says. */
  READ_BYTES, WRITE_BYTES,
  /** A string: its first byte is below USER_END (EFAULT); the rest is looked at as it is copied. */
  PATH,
}
/** 146 years. */
export const TIMEOUT_MAX: u64 = 0x4000_0000_0000_0000;
/** Most bytes that one call moves: Linux's MAX_RW_COUNT. */
export const LONGEST_TRANSFER: u32 = 0x7fff_f000;
/** Arguments of a call. */
export const ARGUMENTS_MAX: u32 = 6;
export class SyscallInfo {
  number: u32 = 0;
  name: ptr<u8> | null = null;
  /** ArgKind and limit of each argument; NONE ends the list. */
  kinds!: arr<u8, 6>;
  limits!: arr<u32, 6>;
  names!: arr<ptr<u8> | null, 6>;
}
/** The tracer shows the first three arguments: what SYS_ENTER records. */
// biome-ignore format: a call takes four lines
export const syscallInfos: arr<SyscallInfo, 47> = [
  { number: Syscall.READ, name: cstr("read"),
    kinds: [ArgKind.FD, ArgKind.WRITE_BYTES, ArgKind.LENGTH, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("fd"), cstr("buffer"), cstr("bytes"), null, null, null] },
  { number: Syscall.WRITE, name: cstr("write"),
    kinds: [ArgKind.FD, ArgKind.READ_BYTES, ArgKind.LENGTH, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("fd"), cstr("buffer"), cstr("bytes"), null, null, null] },
  { number: Syscall.OPEN, name: cstr("open"),
    kinds: [ArgKind.PATH, ArgKind.HEX32, ArgKind.HEX32, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("path"), cstr("flags"), cstr("mode"), null, null, null] },
  { number: Syscall.CLOSE, name: cstr("close"),
    kinds: [ArgKind.FD, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("fd"), null, null, null, null, null] },
  { number: Syscall.STAT, name: cstr("stat"),
    kinds: [ArgKind.PATH, ArgKind.ADDRESS, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("path"), cstr("stat"), null, null, null, null] },
  { number: Syscall.FSTAT, name: cstr("fstat"),
    kinds: [ArgKind.FD, ArgKind.ADDRESS, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("fd"), cstr("stat"), null, null, null, null] },
  { number: Syscall.LSTAT, name: cstr("lstat"),
    kinds: [ArgKind.PATH, ArgKind.ADDRESS, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("path"), cstr("stat"), null, null, null, null] },
  { number: Syscall.LSEEK, name: cstr("lseek"),
    kinds: [ArgKind.FD, ArgKind.S64, ArgKind.U32, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("fd"), cstr("offset"), cstr("whence"), null, null, null] },
  { number: Syscall.MMAP, name: cstr("mmap"),
    kinds: [ArgKind.ADDRESS, ArgKind.LENGTH, ArgKind.HEX, ArgKind.HEX, ArgKind.S32, ArgKind.HEX],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("addr"), cstr("length"), cstr("prot"), cstr("flags"), cstr("fd"), cstr("offset")] },
  { number: Syscall.MPROTECT, name: cstr("mprotect"),
    kinds: [ArgKind.PAGE, ArgKind.LENGTH, ArgKind.HEX, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("addr"), cstr("length"), cstr("prot"), null, null, null] },
  { number: Syscall.MUNMAP, name: cstr("munmap"),
    kinds: [ArgKind.PAGE, ArgKind.LENGTH, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("addr"), cstr("length"), null, null, null, null] },
  { number: Syscall.BRK, name: cstr("brk"),
    kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("addr"), null, null, null, null, null] },
  { number: Syscall.PREAD64, name: cstr("pread64"),
    kinds: [ArgKind.FD, ArgKind.WRITE_BYTES, ArgKind.LENGTH, ArgKind.OFFSET, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("fd"), cstr("buffer"), cstr("bytes"), cstr("offset"), null, null] },
  { number: Syscall.SCHED_YIELD, name: cstr("sched_yield"),
    kinds: [0, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [null, null, null, null, null, null] },
  { number: Syscall.NANOSLEEP, name: cstr("nanosleep"),
    kinds: [ArgKind.READ, ArgKind.ADDRESS, 0, 0, 0, 0],
    limits: [u32(sizeof<Timespec>()), 0, 0, 0, 0, 0],
    names: [cstr("request"), cstr("remain"), null, null, null, null] },
  { number: Syscall.GETPID, name: cstr("getpid"),
    kinds: [0, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [null, null, null, null, null, null] },
  { number: Syscall.EXIT, name: cstr("exit"),
    kinds: [ArgKind.S32, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("status"), null, null, null, null, null] },
  { number: Syscall.UNAME, name: cstr("uname"),
    kinds: [ArgKind.WRITE, 0, 0, 0, 0, 0],
    limits: [u32(sizeof<Utsname>()), 0, 0, 0, 0, 0],
    names: [cstr("name"), null, null, null, null, null] },
  { number: Syscall.ARCH_PRCTL, name: cstr("arch_prctl"),
    kinds: [ArgKind.HEX32, ArgKind.ADDRESS, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("code"), cstr("addr"), null, null, null, null] },
  { number: Syscall.GETTID, name: cstr("gettid"),
    kinds: [0, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [null, null, null, null, null, null] },
  { number: Syscall.FUTEX, name: cstr("futex"),
    kinds: [ArgKind.ADDRESS, ArgKind.HEX32, ArgKind.U32, ArgKind.ADDRESS, ArgKind.ADDRESS, ArgKind.U32],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("addr"), cstr("op"), cstr("value"), cstr("timeout"), cstr("addr2"), cstr("value3")] },
  { number: Syscall.CLOCK_GETTIME, name: cstr("clock_gettime"),
    kinds: [ArgKind.U32, ArgKind.WRITE, 0, 0, 0, 0],
    limits: [Clock.BOOTTIME, u32(sizeof<Timespec>()), 0, 0, 0, 0],
    names: [cstr("clock"), cstr("time"), null, null, null, null] },
  { number: Syscall.EXIT_GROUP, name: cstr("exit_group"),
    kinds: [ArgKind.S32, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("status"), null, null, null, null, null] },
  { number: Syscall.OPENAT, name: cstr("openat"),
    kinds: [ArgKind.DIRECTORY, ArgKind.PATH, ArgKind.HEX32, ArgKind.HEX32, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("dirfd"), cstr("path"), cstr("flags"), cstr("mode"), null, null] },
  { number: Syscall.GETCPU, name: cstr("getcpu"),
    kinds: [ArgKind.WRITE_OPTIONAL, ArgKind.WRITE_OPTIONAL, 0, 0, 0, 0],
    limits: [u32(sizeof<u32>()), u32(sizeof<u32>()), 0, 0, 0, 0],
    names: [cstr("cpu"), cstr("node"), null, null, null, null] },
  { number: Syscall.CLONE, name: cstr("clone"),
    kinds: [ArgKind.HEX, ArgKind.ADDRESS, ArgKind.ADDRESS, ArgKind.ADDRESS, ArgKind.ADDRESS, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("flags"), cstr("stack"), cstr("parent_tid"), cstr("child_tid"), cstr("tls"), null] },
  { number: Syscall.SET_TID_ADDRESS, name: cstr("set_tid_address"),
    kinds: [ArgKind.ADDRESS, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("addr"), null, null, null, null, null] },
  { number: Syscall.SCHED_GETAFFINITY, name: cstr("sched_getaffinity"),
    kinds: [ArgKind.S32, ArgKind.U32, ArgKind.ADDRESS, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("tid"), cstr("bytes"), cstr("mask"), null, null, null] },
  { number: Syscall.MADVISE, name: cstr("madvise"),
    kinds: [ArgKind.PAGE, ArgKind.LENGTH, ArgKind.S32, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("addr"), cstr("length"), cstr("advice"), null, null, null] },
  { number: Syscall.PRLIMIT64, name: cstr("prlimit64"),
    kinds: [ArgKind.S32, ArgKind.U32, ArgKind.READ_OPTIONAL, ArgKind.ADDRESS, 0, 0],
    limits: [0, 0, u32(sizeof<ResourceLimit>()), 0, 0, 0],
    names: [cstr("pid"), cstr("resource"), cstr("new"), cstr("old"), null, null] },
  { number: Syscall.GETRANDOM, name: cstr("getrandom"),
    kinds: [ArgKind.WRITE_BYTES, ArgKind.LENGTH, ArgKind.FLAGS, 0, 0, 0],
    limits: [0, LONGEST_TRANSFER, RandomFlag.NONBLOCK | RandomFlag.RANDOM | RandomFlag.INSECURE, 0, 0, 0],
    names: [cstr("buffer"), cstr("bytes"), cstr("flags"), null, null, null] },
  { number: Syscall.MEMBARRIER, name: cstr("membarrier"),
    kinds: [ArgKind.S32, ArgKind.FLAGS, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("command"), cstr("flags"), null, null, null, null] },
  { number: Syscall.MARGAY_RANK, name: cstr("margay_rank"),
    kinds: [0, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [null, null, null, null, null, null] },
  { number: Syscall.MARGAY_SIZE, name: cstr("margay_size"),
    kinds: [0, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [null, null, null, null, null, null] },
  { number: Syscall.MARGAY_NID, name: cstr("margay_nid"),
    kinds: [0, 0, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [null, null, null, null, null, null] },
  { number: Syscall.MARGAY_RANK_MAP, name: cstr("margay_rank_map"),
    kinds: [ArgKind.WRITE_OPTIONAL, ArgKind.WRITE_OPTIONAL, ArgKind.LENGTH, 0, 0, 0],
    limits: [u32(sizeof<u32>()), u32(sizeof<u32>()), MAX_RANKS, 0, 0, 0],
    names: [cstr("nids"), cstr("pids"), cstr("count"), null, null, null] },
  { number: Syscall.MARGAY_PERSONALITY, name: cstr("margay_personality"),
    kinds: [ArgKind.WRITE, 0, 0, 0, 0, 0],
    limits: [u32(sizeof<Personality>()), 0, 0, 0, 0, 0],
    names: [cstr("buffer"), null, null, null, null, null] },
  { number: Syscall.MARGAY_DESCRIBE_JOB, name: cstr("margay_describe_job"),
    kinds: [ArgKind.INDEX, ArgKind.COUNT, ArgKind.READ, ArgKind.READ_OPTIONAL, 0, 0],
    limits: [MAX_RANKS, MAX_RANKS, u32(sizeof<u32>()), u32(sizeof<u32>()), 0, 0],
    names: [cstr("rank"), cstr("size"), cstr("nids"), cstr("pids"), null, null] },
  { number: Syscall.MARGAY_LOAD, name: cstr("margay_load"),
    kinds: [ArgKind.READ, 0, 0, 0, 0, 0],
    limits: [u32(sizeof<LoadRequest>()), 0, 0, 0, 0, 0],
    names: [cstr("request"), null, null, null, null, null] },
  { number: Syscall.MARGAY_START, name: cstr("margay_start"),
    kinds: [ArgKind.READ, ArgKind.READ, 0, 0, 0, 0],
    limits: [u32(sizeof<u8>()), u32(sizeof<u8>()), 0, 0, 0, 0],
    names: [cstr("entry"), cstr("stack"), null, null, null, null] },
  { number: Syscall.MARGAY_MARK, name: cstr("margay_mark"),
    kinds: [ArgKind.S64, ArgKind.S64, 0, 0, 0, 0],
    limits: [0, 0, 0, 0, 0, 0],
    names: [cstr("kind"), cstr("value"), null, null, null, null] },
  { number: Syscall.PORTAL_QUEUE, name: cstr("portal_queue"),
    kinds: [ArgKind.ALIGNED, ArgKind.COUNT, 0, 0, 0, 0],
    limits: [8, EVENT_CAPACITY_MAX, 0, 0, 0, 0],
    names: [cstr("queue"), cstr("capacity"), null, null, null, null] },
  { number: Syscall.PORTAL_APPEND, name: cstr("portal_append"),
    kinds: [ArgKind.READ, 0, 0, 0, 0, 0],
    limits: [u32(sizeof<MatchEntry>()), 0, 0, 0, 0, 0],
    names: [cstr("entry"), null, null, null, null, null] },
  { number: Syscall.PORTAL_UNLINK, name: cstr("portal_unlink"),
    kinds: [ArgKind.HANDLE, 0, 0, 0, 0, 0],
    limits: [MATCH_ENTRIES_MAX, 0, 0, 0, 0, 0],
    names: [cstr("match"), null, null, null, null, null] },
  { number: Syscall.PORTAL_PUT, name: cstr("portal_put"),
    kinds: [ArgKind.READ, 0, 0, 0, 0, 0],
    limits: [u32(sizeof<PortalRequest>()), 0, 0, 0, 0, 0],
    names: [cstr("request"), null, null, null, null, null] },
  { number: Syscall.PORTAL_GET, name: cstr("portal_get"),
    kinds: [ArgKind.READ, 0, 0, 0, 0, 0],
    limits: [u32(sizeof<PortalRequest>()), 0, 0, 0, 0, 0],
    names: [cstr("request"), null, null, null, null, null] },
  { number: Syscall.PORTAL_WAIT, name: cstr("portal_wait"),
    kinds: [ArgKind.HANDLE, ArgKind.TIMEOUT, 0, 0, 0, 0],
    limits: [EVENT_QUEUES_MAX, 0, 0, 0, 0, 0],
    names: [cstr("queue"), cstr("timeout"), null, null, null, null] },
];
