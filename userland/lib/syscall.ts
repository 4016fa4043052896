/**
 * System calls: the raw instruction (System V ABI, AMD64 supplement A.2: number in rax, arguments in rdi rsi rdx r10 r8
 * r9; rcx and r11 are destroyed) and a typed wrapper for each call. A wrapper returns the kernel's result, or -errno.
 */
import { Syscall } from "../../kernel/abi/syscalls.ts";
import type { Stat } from "../../kernel/abi/io.ts";
import type { Timespec, Utsname } from "../../kernel/abi/process.ts";
import type { Personality } from "../../kernel/abi/personality.ts";
import type { EventQueue, LoadRequest, MatchEntry, PortalRequest } from "../../kernel/abi/portals.ts";

export function syscall0(number: u64): i64 {
  return asm<i64>({ in: { rax: number }, out: "rax", clobber: ["rcx", "r11", "memory"] })`syscall`;
}
export function syscall1(number: u64, a: u64): i64 {
  return asm<i64>({ in: { rax: number, rdi: a }, out: "rax", clobber: ["rcx", "r11", "memory"] })`syscall`;
}
export function syscall2(number: u64, a: u64, b: u64): i64 {
  return asm<i64>({ in: { rax: number, rdi: a, rsi: b }, out: "rax", clobber: ["rcx", "r11", "memory"] })`syscall`;
}
export function syscall3(number: u64, a: u64, b: u64, c: u64): i64 {
  return asm<i64>({
    in: { rax: number, rdi: a, rsi: b, rdx: c },
    out: "rax",
    clobber: ["rcx", "r11", "memory"],
  })`syscall`;
}
export function syscall4(number: u64, a: u64, b: u64, c: u64, d: u64): i64 {
  return asm<i64>({
    in: { rax: number, rdi: a, rsi: b, rdx: c, r10: d },
    out: "rax",
    clobber: ["rcx", "r11", "memory"],
  })`syscall`;
}
export function syscall6(number: u64, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64): i64 {
  return asm<i64>({
    in: { rax: number, rdi: a, rsi: b, rdx: c, r10: d, r8: e, r9: f },
    out: "rax",
    clobber: ["rcx", "r11", "memory"],
  })`syscall`;
}

// ---- files
export function read(fd: i32, to: ptr<u8>, lengthBytes: u64): i64 {
  return syscall3(Syscall.READ, u64(fd), cast<u64>(to), lengthBytes);
}
export function pread(fd: i32, to: ptr<u8>, lengthBytes: u64, offset: u64): i64 {
  return syscall4(Syscall.PREAD64, u64(fd), cast<u64>(to), lengthBytes, offset);
}
export function write(fd: i32, from: ptr<u8>, lengthBytes: u64): i64 {
  return syscall3(Syscall.WRITE, u64(fd), cast<u64>(from), lengthBytes);
}
export function open(path: ptr<u8>, flags: u32, mode: u32): i64 {
  return syscall3(Syscall.OPEN, cast<u64>(path), u64(flags), u64(mode));
}
export function openat(directory: i32, path: ptr<u8>, flags: u32, mode: u32): i64 {
  return syscall4(Syscall.OPENAT, u64(directory), cast<u64>(path), u64(flags), u64(mode));
}
export function close(fd: i32): i64 {
  return syscall1(Syscall.CLOSE, u64(fd));
}
export function lseek(fd: i32, offset: i64, whence: u32): i64 {
  return syscall3(Syscall.LSEEK, u64(fd), u64(offset), u64(whence));
}
export function fstat(fd: i32, to: ptr<Stat>): i64 {
  return syscall2(Syscall.FSTAT, u64(fd), cast<u64>(to));
}

// ---- memory
export function mmap(address: u64, lengthBytes: u64, prot: u32, flags: u32, fd: i32, offset: u64): i64 {
  return syscall6(Syscall.MMAP, address, lengthBytes, u64(prot), u64(flags), u64(fd), offset);
}
export function mprotect(address: u64, lengthBytes: u64, prot: u32): i64 {
  return syscall3(Syscall.MPROTECT, address, lengthBytes, u64(prot));
}
export function munmap(address: u64, lengthBytes: u64): i64 {
  return syscall2(Syscall.MUNMAP, address, lengthBytes);
}
export function brk(address: u64): i64 {
  return syscall1(Syscall.BRK, address);
}

// ---- processes and time
export function exitGroup(status: i32): never {
  syscall1(Syscall.EXIT_GROUP, u64(status));
  unreachable();
}
export function getpid(): i64 {
  return syscall0(Syscall.GETPID);
}
export function schedYield(): i64 {
  return syscall0(Syscall.SCHED_YIELD);
}
export function nanosleep(time: ptr<Timespec>): i64 {
  return syscall2(Syscall.NANOSLEEP, cast<u64>(time), 0);
}
export function clockGettime(clock: u32, to: ptr<Timespec>): i64 {
  return syscall2(Syscall.CLOCK_GETTIME, u64(clock), cast<u64>(to));
}
export function uname(to: ptr<Utsname>): i64 {
  return syscall1(Syscall.UNAME, cast<u64>(to));
}
export function getcpu(cpu: ptr<u32>): i64 {
  return syscall3(Syscall.GETCPU, cast<u64>(cpu), 0, 0);
}

// ---- Margay's own calls: -ENOSYS on Linux
export function margayRank(): i64 {
  return syscall0(Syscall.MARGAY_RANK);
}
export function margaySize(): i64 {
  return syscall0(Syscall.MARGAY_SIZE);
}
export function margayNid(): i64 {
  return syscall0(Syscall.MARGAY_NID);
}
export function margayRankMap(nids: ptr<u32>, pids: ptr<u32>, count: u64): i64 {
  return syscall3(Syscall.MARGAY_RANK_MAP, cast<u64>(nids), cast<u64>(pids), count);
}
export function margayPersonality(to: ptr<Personality>): i64 {
  return syscall1(Syscall.MARGAY_PERSONALITY, cast<u64>(to));
}
export function margayDescribeJob(rank: u32, size: u32, nids: ptr<u32>, pids: ptr<u32>): i64 {
  return syscall4(Syscall.MARGAY_DESCRIBE_JOB, u64(rank), u64(size), cast<u64>(nids), cast<u64>(pids));
}
export function margayLoad(request: ptr<LoadRequest>): i64 {
  return syscall1(Syscall.MARGAY_LOAD, cast<u64>(request));
}
/** Returns only if the kernel refuses. */
export function margayStart(entry: u64, stackPointer: u64): i64 {
  return syscall2(Syscall.MARGAY_START, entry, stackPointer);
}
export function margayMark(kind: u64, value: u64): i64 {
  return syscall2(Syscall.MARGAY_MARK, kind, value);
}
export function portalQueue(queue: ptr<EventQueue>, capacity: u64): i64 {
  return syscall2(Syscall.PORTAL_QUEUE, cast<u64>(queue), capacity);
}
export function portalAppend(entry: ptr<MatchEntry>): i64 {
  return syscall1(Syscall.PORTAL_APPEND, cast<u64>(entry));
}
export function portalUnlink(handle: u64): i64 {
  return syscall1(Syscall.PORTAL_UNLINK, handle);
}
export function portalPut(request: ptr<PortalRequest>): i64 {
  return syscall1(Syscall.PORTAL_PUT, cast<u64>(request));
}
export function portalGet(request: ptr<PortalRequest>): i64 {
  return syscall1(Syscall.PORTAL_GET, cast<u64>(request));
}
export function portalWait(queue: u64, timeoutNs: i64): i64 {
  return syscall2(Syscall.PORTAL_WAIT, queue, u64(timeoutNs));
}
