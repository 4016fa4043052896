/**
 * Hostile arguments, one per line: `NAME RESULT`. `arguments linux` makes the calls that Linux has, whose results must
 * equal Linux's (the test runs the same file there). `arguments margay` makes Margay's own calls and prints the correct
 * result beside the actual one.
 */
import "../../../userland/lib/start.ts";
import { Errno } from "../../../kernel/abi/errno.ts";
import { AT_FDCWD } from "../../../kernel/abi/io.ts";
import { PAGE_BYTES, USER_END } from "../../../kernel/abi/memory.ts";
import { MAX_MESSAGE_BYTES } from "../../../kernel/abi/net.ts";
import { EVENT_CAPACITY_MAX, type MatchEntry, MatchOption, type PortalRequest } from "../../../kernel/abi/portals.ts";
import {
  ArchPrctl,
  FutexFlag,
  FutexOperation,
  MapFlag,
  Membarrier,
  Prot,
  type Timespec,
} from "../../../kernel/abi/process.ts";
import { Syscall } from "../../../kernel/abi/syscalls.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { mmap, syscall6 } from "../../../userland/lib/syscall.ts";

const KERNEL: u64 = 0xffff_8000_0000_0000;
const IMAGE: u64 = 0xffff_ffff_8010_0000;
const HOLE: u64 = 0x8000_0000_0000;
const MINUS: u64 = 0xffff_ffff_ffff_ffff;
const HIGH: u64 = 0x1_0000_0000;
/** Nothing is mapped there: it is below the lowest address that the system lets a program map. */
const NOWHERE: u64 = 0x1000;
const RW: u32 = Prot.READ | Prot.WRITE;
const ANONYMOUS: u64 = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
const FIXED: u64 = ANONYMOUS | MapFlag.FIXED;
const WAKE: u64 = FutexOperation.WAKE | FutexFlag.PRIVATE;
const WAIT: u64 = FutexOperation.WAIT | FutexFlag.PRIVATE;

class Ground {
  /** Two pages, of which the second is not mapped; and a read-only one. */
  page: u64 = 0;
  end: u64 = 0;
  readOnly: u64 = 0;
}
const ground: Ground = new Ground();
const time: Timespec = zeroed();
const entry: MatchEntry = zeroed();
const request: PortalRequest = zeroed();
const word: u32 = 0;

function call(name: ptr<u8>, number: u64, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64): void {
  const o = stdout();
  const result: i64 = syscall6(number, a, b, c, d, e, f);
  print(o, name);
  print(o, result < 0 ? cstr(" -") : cstr(" "));
  printDecimal(o, u64(result < 0 ? -result : result));
  print(o, cstr("\n"));
}
function call3(name: ptr<u8>, number: u64, a: u64, b: u64, c: u64): void {
  call(name, number, a, b, c, 0, 0, 0);
}
/** One of Margay's own calls: `right` is the correct result. */
function own(name: ptr<u8>, right: i64, number: u64, a: u64, b: u64, c: u64, d: u64): void {
  const o = stdout();
  const result: i64 = syscall6(number, a, b, c, d, 0, 0);
  if (result === right) return;
  print(o, name);
  print(o, cstr(": wrong, "));
  print(o, result < 0 ? cstr("-") : cstr(""));
  printDecimal(o, u64(result < 0 ? -result : result));
  print(o, cstr("\n"));
}

function descriptors(): void {
  call3(cstr("read(-1)"), Syscall.READ, MINUS, ground.page, 1);
  call3(cstr("read(-1, kernel)"), Syscall.READ, MINUS, KERNEL, 1);
  call3(cstr("read(2^32 - 1)"), Syscall.READ, HIGH - 1, ground.page, 1);
  call3(cstr("read(2^31)"), Syscall.READ, 0x8000_0000, ground.page, 1);
  call3(cstr("read(closed)"), Syscall.READ, 999, ground.page, 1);
  call3(cstr("read(closed, null)"), Syscall.READ, 999, 0, 1);
  call3(cstr("read(2^32 + closed)"), Syscall.READ, HIGH + 999, ground.page, 1);
  call3(cstr("write(1, kernel)"), Syscall.WRITE, 1, KERNEL, 1);
  call3(cstr("write(1, kernel image)"), Syscall.WRITE, 1, IMAGE, 16);
  call3(cstr("write(1, hole)"), Syscall.WRITE, 1, HOLE, 1);
  call3(cstr("write(1, end)"), Syscall.WRITE, 1, USER_END, 1);
  call3(cstr("write(1, across the end)"), Syscall.WRITE, 1, USER_END - 8, 16);
  call3(cstr("write(1, wrapping)"), Syscall.WRITE, 1, MINUS - 7, 16);
  call3(cstr("write(1, length -1)"), Syscall.WRITE, 1, ground.page, MINUS);
  call3(cstr("write(1, length 2^63)"), Syscall.WRITE, 1, ground.page, u64(1) << 63);
  call3(cstr("write(1, nowhere)"), Syscall.WRITE, 1, NOWHERE, 16);
  call3(cstr("write(1, null, 0)"), Syscall.WRITE, 1, 0, 0);
  call3(cstr("write(1, kernel, 0)"), Syscall.WRITE, 1, KERNEL, 0);
  call(cstr("pread(-1, offset -1)"), Syscall.PREAD64, MINUS, KERNEL, 1, MINUS, 0, 0);
  call(cstr("pread(0, offset -1)"), Syscall.PREAD64, 0, ground.page, 1, MINUS, 0, 0);
  call3(cstr("lseek(-1)"), Syscall.LSEEK, MINUS, 0, 99);
  call3(cstr("close(-1)"), Syscall.CLOSE, MINUS, 0, 0);
  call3(cstr("close(closed)"), Syscall.CLOSE, 999, 0, 0);
  call3(cstr("close(2^32 + closed)"), Syscall.CLOSE, HIGH + 999, 0, 0);
  call3(cstr("fstat(-1, kernel)"), Syscall.FSTAT, MINUS, KERNEL, 0);
  call3(cstr("fstat(1, kernel)"), Syscall.FSTAT, 1, KERNEL, 0);
  call3(cstr("fstat(1, null)"), Syscall.FSTAT, 1, 0, 0);
  call3(cstr("fstat(1, read-only)"), Syscall.FSTAT, 1, ground.readOnly, 0);
}
function paths(): void {
  const missing: u64 = cast<u64>(cstr("/there/is/none"));
  const root: u64 = cast<u64>(cstr("/"));
  call3(cstr("open(kernel)"), Syscall.OPEN, KERNEL, 0, 0);
  call3(cstr("open(null)"), Syscall.OPEN, 0, 0, 0);
  call3(cstr("open(end)"), Syscall.OPEN, USER_END, 0, 0);
  call3(cstr("open(missing)"), Syscall.OPEN, missing, 0, 0);
  call3(cstr("openat(-5, kernel)"), Syscall.OPENAT, MINUS - 4, KERNEL, 0);
  call3(cstr("openat(cwd as u32, missing)"), Syscall.OPENAT, u64(u32(AT_FDCWD)), missing, 0);
  call3(cstr("stat(missing, kernel)"), Syscall.STAT, missing, KERNEL, 0);
  call3(cstr("stat(/, kernel)"), Syscall.STAT, root, KERNEL, 0);
  call3(cstr("stat(/, read-only)"), Syscall.STAT, root, ground.readOnly, 0);
  call3(cstr("stat(kernel, kernel)"), Syscall.STAT, KERNEL, KERNEL, 0);
  call3(cstr("lstat(null)"), Syscall.LSTAT, 0, 0, 0);
  // No NUL before the end of memory; and none within the longest path.
  for (let i: u64 = 0; i < PAGE_BYTES; i++) cast<ptr<u8>>(ground.page)[i] = 97;
  call3(cstr("open(unterminated)"), Syscall.OPEN, ground.end - 16, 0, 0);
  const long = cast<ptr<u8>>(u64(mmap(0, 2 * PAGE_BYTES, RW, u32(ANONYMOUS), -1, 0)));
  for (let i: u64 = 0; i < 2 * PAGE_BYTES - 1; i++) long[i] = 97;
  call3(cstr("open(8191 bytes)"), Syscall.OPEN, cast<u64>(long), 0, 0);
}
function memory(): void {
  call(cstr("mmap(fixed, kernel)"), Syscall.MMAP, KERNEL, PAGE_BYTES, RW, FIXED, MINUS, 0);
  call(cstr("mmap(fixed, odd)"), Syscall.MMAP, 0x10_0001, PAGE_BYTES, RW, FIXED, MINUS, 0);
  call(cstr("mmap(fixed, kernel, odd)"), Syscall.MMAP, KERNEL + 1, PAGE_BYTES, RW, FIXED, MINUS, 0);
  call(cstr("mmap(fixed, across the end)"), Syscall.MMAP, USER_END - PAGE_BYTES, 2 * PAGE_BYTES, RW, FIXED, MINUS, 0);
  call(cstr("mmap(length 0)"), Syscall.MMAP, 0, 0, RW, ANONYMOUS, MINUS, 0);
  call(cstr("mmap(length -1)"), Syscall.MMAP, 0, MINUS, RW, ANONYMOUS, MINUS, 0);
  call(cstr("mmap(length 2^63)"), Syscall.MMAP, 0, u64(1) << 63, RW, ANONYMOUS, MINUS, 0);
  call(cstr("mmap(length 2^47)"), Syscall.MMAP, 0, u64(1) << 47, RW, ANONYMOUS, MINUS, 0);
  call(cstr("mmap(no type)"), Syscall.MMAP, 0, PAGE_BYTES, RW, MapFlag.ANONYMOUS, MINUS, 0);
  call(cstr("mmap(odd offset)"), Syscall.MMAP, 0, PAGE_BYTES, RW, ANONYMOUS, MINUS, 1);
  call(cstr("mmap(file -1)"), Syscall.MMAP, 0, PAGE_BYTES, RW, MapFlag.PRIVATE, MINUS, 0);
  call(cstr("mmap(file 2^32 - 1)"), Syscall.MMAP, 0, PAGE_BYTES, RW, MapFlag.PRIVATE, HIGH - 1, 0);
  call3(cstr("munmap(odd)"), Syscall.MUNMAP, 1, PAGE_BYTES, 0);
  call3(cstr("munmap(length 0)"), Syscall.MUNMAP, PAGE_BYTES, 0, 0);
  call3(cstr("munmap(kernel)"), Syscall.MUNMAP, KERNEL, PAGE_BYTES, 0);
  call3(cstr("munmap(end)"), Syscall.MUNMAP, USER_END, PAGE_BYTES, 0);
  call3(cstr("munmap(across the end)"), Syscall.MUNMAP, USER_END - PAGE_BYTES, 2 * PAGE_BYTES, 0);
  call3(cstr("munmap(length -1)"), Syscall.MUNMAP, PAGE_BYTES, MINUS, 0);
  call3(cstr("mprotect(odd)"), Syscall.MPROTECT, 1, 0, 0);
  call3(cstr("mprotect(length 0, bad)"), Syscall.MPROTECT, PAGE_BYTES, 0, 0xff);
  call3(cstr("mprotect(length -1)"), Syscall.MPROTECT, PAGE_BYTES, MINUS, 1);
  call3(cstr("mprotect(kernel)"), Syscall.MPROTECT, KERNEL, PAGE_BYTES, 1);
  call3(cstr("mprotect(kernel, bad)"), Syscall.MPROTECT, KERNEL, PAGE_BYTES, 0x100);
  call3(cstr("mprotect(nowhere)"), Syscall.MPROTECT, NOWHERE, PAGE_BYTES, 1);
  call3(cstr("mprotect(wrapping)"), Syscall.MPROTECT, MINUS - 4095, PAGE_BYTES, 1);
  call3(cstr("madvise(odd)"), Syscall.MADVISE, 1, 0, 4);
  call3(cstr("madvise(bad)"), Syscall.MADVISE, PAGE_BYTES, 0, 99);
  call3(cstr("madvise(2^32 + bad)"), Syscall.MADVISE, PAGE_BYTES, 0, HIGH + 99);
  call3(cstr("madvise(length 0)"), Syscall.MADVISE, PAGE_BYTES, 0, HIGH + 4);
  call3(cstr("madvise(kernel)"), Syscall.MADVISE, KERNEL, PAGE_BYTES, 4);
  call3(cstr("madvise(nowhere)"), Syscall.MADVISE, NOWHERE, PAGE_BYTES, 4);
  call3(cstr("madvise(length -1)"), Syscall.MADVISE, NOWHERE, MINUS, 4);
  call3(cstr("madvise(wrapping)"), Syscall.MADVISE, MINUS - 4095, PAGE_BYTES, 4);
}
function times(): void {
  call3(cstr("clock_gettime(99, null)"), Syscall.CLOCK_GETTIME, 99, 0, 0);
  call3(cstr("clock_gettime(2^32 + 99)"), Syscall.CLOCK_GETTIME, HIGH + 99, ground.page, 0);
  call3(cstr("clock_gettime(1, null)"), Syscall.CLOCK_GETTIME, 1, 0, 0);
  call3(cstr("clock_gettime(1, kernel)"), Syscall.CLOCK_GETTIME, 1, KERNEL, 0);
  call3(cstr("clock_gettime(1, across the end)"), Syscall.CLOCK_GETTIME, 1, USER_END - 8, 0);
  call3(cstr("clock_gettime(1, half)"), Syscall.CLOCK_GETTIME, 1, ground.end - 8, 0);
  call3(cstr("clock_gettime(1, read-only)"), Syscall.CLOCK_GETTIME, 1, ground.readOnly, 0);
  call3(cstr("clock_gettime(2^32 + 1)"), Syscall.CLOCK_GETTIME, HIGH + 1, ground.page, 0);
  call3(cstr("nanosleep(null)"), Syscall.NANOSLEEP, 0, 0, 0);
  call3(cstr("nanosleep(kernel)"), Syscall.NANOSLEEP, KERNEL, 0, 0);
  time.nanoseconds = 1000000000;
  call3(cstr("nanosleep(10^9 ns)"), Syscall.NANOSLEEP, cast<u64>(addr(time)), 0, 0);
  time.nanoseconds = -1;
  call3(cstr("nanosleep(-1 ns)"), Syscall.NANOSLEEP, cast<u64>(addr(time)), 0, 0);
  time.nanoseconds = 0;
  time.seconds = -1;
  call3(cstr("nanosleep(-1 s)"), Syscall.NANOSLEEP, cast<u64>(addr(time)), 0, 0);
  time.seconds = 0;
  call3(cstr("nanosleep(0, kernel)"), Syscall.NANOSLEEP, cast<u64>(addr(time)), KERNEL, 0);
}
function processes(): void {
  call3(cstr("uname(null)"), Syscall.UNAME, 0, 0, 0);
  call3(cstr("uname(kernel)"), Syscall.UNAME, KERNEL, 0, 0);
  call3(cstr("uname(half)"), Syscall.UNAME, ground.end - 300, 0, 0);
  call3(cstr("uname(read-only)"), Syscall.UNAME, ground.readOnly, 0, 0);
  call3(cstr("arch_prctl(set fs, kernel)"), Syscall.ARCH_PRCTL, ArchPrctl.SET_FS, KERNEL, 0);
  call3(cstr("arch_prctl(set fs, hole)"), Syscall.ARCH_PRCTL, ArchPrctl.SET_FS, HOLE, 0);
  call3(cstr("arch_prctl(set gs, 2^47)"), Syscall.ARCH_PRCTL, ArchPrctl.SET_GS, u64(1) << 47, 0);
  call3(cstr("arch_prctl(get fs, kernel)"), Syscall.ARCH_PRCTL, ArchPrctl.GET_FS, KERNEL, 0);
  call3(cstr("arch_prctl(2^32 + get gs, kernel)"), Syscall.ARCH_PRCTL, HIGH + ArchPrctl.GET_GS, KERNEL, 0);
  call3(cstr("arch_prctl(99)"), Syscall.ARCH_PRCTL, 99, 0, 0);
  call(cstr("prlimit(bad, bad, kernel)"), Syscall.PRLIMIT64, 999999, 99, KERNEL, 0, 0, 0);
  call(cstr("prlimit(bad, bad)"), Syscall.PRLIMIT64, 999999, 99, 0, 0, 0, 0);
  call(cstr("prlimit(0, bad)"), Syscall.PRLIMIT64, 0, 99, 0, 0, 0, 0);
  call(cstr("prlimit(0, 2^32 + bad)"), Syscall.PRLIMIT64, 0, HIGH + 99, 0, 0, 0, 0);
  call(cstr("prlimit(0, stack, null, kernel)"), Syscall.PRLIMIT64, 0, 3, 0, KERNEL, 0, 0);
  call(cstr("prlimit(2^32, stack)"), Syscall.PRLIMIT64, HIGH, 3, 0, 0, 0, 0);
  call3(cstr("sched_getaffinity(-1)"), Syscall.SCHED_GETAFFINITY, MINUS, 128, KERNEL);
  call3(cstr("sched_getaffinity(-1, 7)"), Syscall.SCHED_GETAFFINITY, MINUS, 7, KERNEL);
  call3(cstr("sched_getaffinity(0, 0)"), Syscall.SCHED_GETAFFINITY, 0, 0, KERNEL);
  call3(cstr("sched_getaffinity(0, 128, kernel)"), Syscall.SCHED_GETAFFINITY, 0, 128, KERNEL);
  call3(cstr("sched_getaffinity(2^32, 128, null)"), Syscall.SCHED_GETAFFINITY, HIGH, 128, 0);
  call3(cstr("getrandom(kernel, 8, bad)"), Syscall.GETRANDOM, KERNEL, 8, 8);
  call3(cstr("getrandom(kernel, 8)"), Syscall.GETRANDOM, KERNEL, 8, 0);
  call3(cstr("getrandom(kernel, 0)"), Syscall.GETRANDOM, KERNEL, 0, 0);
  call3(cstr("getrandom(null, 0)"), Syscall.GETRANDOM, 0, 0, 0);
  call3(cstr("getrandom(random, insecure)"), Syscall.GETRANDOM, ground.page, 8, 6);
  call3(cstr("getrandom(nowhere, 2^62)"), Syscall.GETRANDOM, NOWHERE, u64(1) << 62, 0);
  call3(cstr("getrandom(across the end)"), Syscall.GETRANDOM, USER_END - 4, 8, 0);
  call3(cstr("getcpu(kernel, null)"), Syscall.GETCPU, KERNEL, 0, 0);
  call3(cstr("getcpu(null, kernel)"), Syscall.GETCPU, 0, KERNEL, 0);
  call3(cstr("getcpu(null, null)"), Syscall.GETCPU, 0, 0, 0);
  call3(cstr("getcpu(1, null)"), Syscall.GETCPU, 1, 0, 0);
  call3(cstr("membarrier(query, flags)"), Syscall.MEMBARRIER, 0, 1, 0);
  call3(cstr("membarrier(99)"), Syscall.MEMBARRIER, 99, 0, 0);
  call3(cstr("membarrier(unregistered)"), Syscall.MEMBARRIER, Membarrier.PRIVATE_EXPEDITED, 0, 0);
  call3(cstr("membarrier(2^32 + register)"), Syscall.MEMBARRIER, HIGH + Membarrier.REGISTER_PRIVATE_EXPEDITED, HIGH, 0);
  call3(cstr("membarrier(registered)"), Syscall.MEMBARRIER, Membarrier.PRIVATE_EXPEDITED, 0, 0);
  call3(cstr("clone(thread alone)"), Syscall.CLONE, 0x1_0000, 0, 0);
  call3(cstr("clone(thread, sighand)"), Syscall.CLONE, 0x1_0800, 0, 0);
  call3(cstr("no such call"), 4000, 0, 0, 0);
  call3(cstr("no such call, 2^32"), HIGH + 4000, 0, 0, 0);
  call3(cstr("no such call, -1"), MINUS, 0, 0, 0);
}
function futexes(): void {
  const at: u64 = cast<u64>(addr(word));
  call3(cstr("futex(odd, wait)"), Syscall.FUTEX, 1, WAIT, 0);
  call3(cstr("futex(odd, bad)"), Syscall.FUTEX, 1, 99, 0);
  call3(cstr("futex(kernel, wait)"), Syscall.FUTEX, KERNEL, WAIT, 0);
  call3(cstr("futex(kernel, wake)"), Syscall.FUTEX, KERNEL, WAKE, 1);
  call3(cstr("futex(hole, wake)"), Syscall.FUTEX, HOLE, WAKE, 1);
  call3(cstr("futex(kernel, odd)"), Syscall.FUTEX, KERNEL + 1, WAIT, 0);
  call3(cstr("futex(nowhere, wait)"), Syscall.FUTEX, NOWHERE, WAIT, 0);
  call3(cstr("futex(nowhere, wake private)"), Syscall.FUTEX, NOWHERE, WAKE, 1);
  call3(cstr("futex(nowhere, wake)"), Syscall.FUTEX, NOWHERE, FutexOperation.WAKE, 1);
  call3(cstr("futex(wait, other value)"), Syscall.FUTEX, at, WAIT, 1);
  call3(cstr("futex(wait, 2^32 + other value)"), Syscall.FUTEX, at, HIGH + WAIT, HIGH + 1);
  call(cstr("futex(wait, kernel timeout)"), Syscall.FUTEX, at, WAIT, 0, KERNEL, 0, 0);
  call(cstr("futex(wait, bits 0)"), Syscall.FUTEX, at, FutexOperation.WAIT_BITSET | FutexFlag.PRIVATE, 0, 0, 0, HIGH);
  call(cstr("futex(wake, bits 0)"), Syscall.FUTEX, at, FutexOperation.WAKE_BITSET | FutexFlag.PRIVATE, 1, 0, 0, 0);
  call(cstr("futex(requeue, kernel)"), Syscall.FUTEX, at, FutexOperation.REQUEUE | FutexFlag.PRIVATE, 1, 1, KERNEL, 0);
  call(cstr("futex(requeue, odd)"), Syscall.FUTEX, at, FutexOperation.REQUEUE | FutexFlag.PRIVATE, 1, 1, at + 1, 0);
  call(
    cstr("futex(requeue, count -1)"),
    Syscall.FUTEX,
    at,
    FutexOperation.REQUEUE | FutexFlag.PRIVATE,
    1,
    HIGH - 1,
    at,
    0,
  );
}

// ---- Margay's own --------------------------------------------------------------------------------------------------
const EINVAL: i64 = -22;
const EFAULT: i64 = -14;

function queues(): void {
  const page: u64 = ground.page;
  own(cstr("portal_wait(0)"), EINVAL, Syscall.PORTAL_WAIT, 0, 0, 0, 0);
  own(cstr("portal_wait(2^32)"), EINVAL, Syscall.PORTAL_WAIT, HIGH, 0, 0, 0);
  own(cstr("portal_wait(2^32 + 1)"), EINVAL, Syscall.PORTAL_WAIT, HIGH + 1, 0, 0, 0);
  own(cstr("portal_wait(17)"), EINVAL, Syscall.PORTAL_WAIT, 17, 0, 0, 0);
  own(cstr("portal_wait(16)"), EINVAL, Syscall.PORTAL_WAIT, 16, 0, 0, 0);
  own(cstr("portal_wait(-1)"), EINVAL, Syscall.PORTAL_WAIT, MINUS, 0, 0, 0);
  own(cstr("portal_wait(2^63)"), EINVAL, Syscall.PORTAL_WAIT, u64(1) << 63, 0, 0, 0);
  own(cstr("portal_queue(capacity 0)"), EINVAL, Syscall.PORTAL_QUEUE, page, 0, 0, 0);
  own(cstr("portal_queue(capacity 3)"), EINVAL, Syscall.PORTAL_QUEUE, page, 3, 0, 0);
  own(cstr("portal_queue(capacity 2^32 + 4)"), EINVAL, Syscall.PORTAL_QUEUE, page, HIGH + 4, 0, 0);
  own(cstr("portal_queue(capacity 2^63)"), EINVAL, Syscall.PORTAL_QUEUE, page, u64(1) << 63, 0, 0);
  own(cstr("portal_queue(too many)"), EINVAL, Syscall.PORTAL_QUEUE, page, 2 * u64(EVENT_CAPACITY_MAX), 0, 0);
  own(cstr("portal_queue(odd)"), EINVAL, Syscall.PORTAL_QUEUE, page + 4, 4, 0, 0);
  own(cstr("portal_queue(null)"), EFAULT, Syscall.PORTAL_QUEUE, 0, 4, 0, 0);
  own(cstr("portal_queue(kernel)"), EFAULT, Syscall.PORTAL_QUEUE, KERNEL, 4, 0, 0);
  own(cstr("portal_queue(wrapping)"), EFAULT, Syscall.PORTAL_QUEUE, MINUS - 7, 4, 0, 0);
  own(cstr("portal_queue(across the end)"), EFAULT, Syscall.PORTAL_QUEUE, USER_END - 64, 4, 0, 0);
  own(cstr("portal_queue(half)"), EFAULT, Syscall.PORTAL_QUEUE, ground.end - 64, 4, 0, 0);
  own(cstr("portal_queue(read-only)"), EFAULT, Syscall.PORTAL_QUEUE, ground.readOnly, 4, 0, 0);
  own(cstr("portal_queue"), 1, Syscall.PORTAL_QUEUE, page, 4, 0, 0);
  own(cstr("portal_wait(timeout 0)"), -i64(Errno.ETIMEDOUT), Syscall.PORTAL_WAIT, 1, 0, 0, 0);
  own(cstr("portal_wait(2^32 + 1), with a queue"), EINVAL, Syscall.PORTAL_WAIT, HIGH + 1, 0, 0, 0);
  // The program owns the header: whatever it contains, the kernel stays within the queue's memory.
  cast<ptr<u64>>(page)[0] = MINUS;
  cast<ptr<u64>>(page)[3] = MINUS;
  own(cstr("portal_wait(forged header)"), 0, Syscall.PORTAL_WAIT, 1, 0, 0, 0);
  zero(addr(request));
  request.targetNid = 1;
  request.portalIndex = 1;
  request.queue = 1;
  request.address = page;
  own(cstr("portal_put(event into a forged header)"), 0, Syscall.PORTAL_PUT, cast<u64>(addr(request)), 0, 0, 0);
}
/** The entry with one wrong field. */
function append(name: ptr<u8>, right: i64): void {
  own(name, right, Syscall.PORTAL_APPEND, cast<u64>(addr(entry)), 0, 0, 0);
  zero(addr(entry));
  entry.portalIndex = 1;
  entry.options = MatchOption.ALLOW_PUT;
  entry.address = ground.page + 2048;
  entry.lengthBytes = 64;
}
function entries(): void {
  zero(addr(entry));
  entry.portalIndex = 8;
  append(cstr("append(portal 8)"), EINVAL);
  entry.portalIndex = 0xffff_ffff;
  append(cstr("append(portal -1)"), EINVAL);
  entry.options = 0x8000_0001;
  append(cstr("append(options)"), EINVAL);
  entry.queue = 16;
  append(cstr("append(no queue)"), EINVAL);
  entry.queue = 0xffff_ffff;
  append(cstr("append(queue -1)"), EINVAL);
  entry.address = KERNEL;
  append(cstr("append(kernel)"), EFAULT);
  entry.address = HOLE;
  append(cstr("append(hole)"), EFAULT);
  entry.lengthBytes = MINUS;
  append(cstr("append(length -1)"), EFAULT);
  entry.lengthBytes = USER_END;
  append(cstr("append(across the end)"), EFAULT);
  entry.address = MINUS - 7;
  append(cstr("append(wrapping)"), EFAULT);
  entry.address = ground.readOnly;
  append(cstr("append(read-only)"), EFAULT);
  entry.address = ground.end - 8;
  append(cstr("append(half)"), EFAULT);
  own(cstr("append(null)"), EFAULT, Syscall.PORTAL_APPEND, 0, 0, 0, 0);
  own(cstr("append(entry kernel)"), EFAULT, Syscall.PORTAL_APPEND, KERNEL, 0, 0, 0);
  own(cstr("append(entry half)"), EFAULT, Syscall.PORTAL_APPEND, ground.end - 16, 0, 0, 0);
  own(cstr("unlink(0)"), EINVAL, Syscall.PORTAL_UNLINK, 0, 0, 0, 0);
  own(cstr("unlink(257)"), EINVAL, Syscall.PORTAL_UNLINK, 257, 0, 0, 0);
  append(cstr("append"), 1);
  own(cstr("unlink(2^32 + 1)"), EINVAL, Syscall.PORTAL_UNLINK, HIGH + 1, 0, 0, 0);
  own(cstr("unlink(2)"), EINVAL, Syscall.PORTAL_UNLINK, 2, 0, 0, 0);
  own(cstr("unlink(1)"), 0, Syscall.PORTAL_UNLINK, 1, 0, 0, 0);
  own(cstr("unlink(1) again"), EINVAL, Syscall.PORTAL_UNLINK, 1, 0, 0, 0);
}
/** The request with one wrong field, as a PUT and as a GET. */
function issue(name: ptr<u8>, put: i64, get: i64): void {
  own(name, put, Syscall.PORTAL_PUT, cast<u64>(addr(request)), 0, 0, 0);
  own(name, get, Syscall.PORTAL_GET, cast<u64>(addr(request)), 0, 0, 0);
  zero(addr(request));
  request.targetNid = 1;
  request.portalIndex = 1;
  request.address = ground.page + 2048;
  request.lengthBytes = 64;
}
function requests(): void {
  zero(addr(request));
  request.portalIndex = 8;
  issue(cstr("request(portal 8)"), EINVAL, EINVAL);
  request.portalIndex = 0x101;
  issue(cstr("request(portal 257)"), EINVAL, EINVAL);
  request.targetPid = 0x1_0001;
  issue(cstr("request(pid 2^16 + 1)"), EINVAL, EINVAL);
  request.flags = 2;
  issue(cstr("request(flags)"), EINVAL, EINVAL);
  request.queue = 16;
  issue(cstr("request(no queue)"), EINVAL, EINVAL);
  request.queue = 0x8000_0000;
  issue(cstr("request(queue 2^31)"), EINVAL, EINVAL);
  request.lengthBytes = u64(MAX_MESSAGE_BYTES) + 1;
  issue(cstr("request(too long)"), -i64(Errno.EMSGSIZE), -i64(Errno.EMSGSIZE));
  request.lengthBytes = HIGH;
  issue(cstr("request(2^32 bytes)"), -i64(Errno.EMSGSIZE), -i64(Errno.EMSGSIZE));
  request.address = KERNEL;
  issue(cstr("request(kernel)"), EFAULT, EFAULT);
  request.address = USER_END - 8;
  issue(cstr("request(across the end)"), EFAULT, EFAULT);
  request.address = ground.end - 8;
  issue(cstr("request(half)"), EFAULT, EFAULT);
  request.address = ground.readOnly;
  issue(cstr("request(read-only)"), 0, EFAULT);
  own(cstr("put(null)"), EFAULT, Syscall.PORTAL_PUT, 0, 0, 0, 0);
  own(cstr("put(kernel)"), EFAULT, Syscall.PORTAL_PUT, KERNEL, 0, 0, 0);
  own(cstr("get(half)"), EFAULT, Syscall.PORTAL_GET, ground.end - 16, 0, 0, 0);
}
function rest(): void {
  own(cstr("rank_map(kernel)"), EFAULT, Syscall.MARGAY_RANK_MAP, KERNEL, 0, 1, 0);
  own(cstr("rank_map(null, kernel)"), EFAULT, Syscall.MARGAY_RANK_MAP, 0, KERNEL, 1, 0);
  own(cstr("rank_map(read-only)"), EFAULT, Syscall.MARGAY_RANK_MAP, ground.readOnly, 0, 1, 0);
  own(cstr("rank_map(2^32)"), 1, Syscall.MARGAY_RANK_MAP, 0, 0, HIGH, 0);
  own(cstr("rank_map(2^62)"), 1, Syscall.MARGAY_RANK_MAP, ground.page, ground.page, u64(1) << 62, 0);
  own(cstr("rank_map(0)"), 0, Syscall.MARGAY_RANK_MAP, ground.page, 0, 0, 0);
  own(cstr("personality(kernel)"), EFAULT, Syscall.MARGAY_PERSONALITY, KERNEL, 0, 0, 0);
  own(cstr("personality(half)"), EFAULT, Syscall.MARGAY_PERSONALITY, ground.end - 8, 0, 0, 0);
  // Only init may call it; wrong arguments may be reported first.
  own(cstr("describe_job"), -i64(Errno.EPERM), Syscall.MARGAY_DESCRIBE_JOB, 0, 1, ground.page, 0);
  own(cstr("describe_job(rank 2^32)"), EINVAL, Syscall.MARGAY_DESCRIBE_JOB, HIGH, 1, ground.page, 0);
  own(cstr("describe_job(size 2^32 + 1)"), EINVAL, Syscall.MARGAY_DESCRIBE_JOB, 0, HIGH + 1, ground.page, 0);
  own(cstr("describe_job(kernel)"), EFAULT, Syscall.MARGAY_DESCRIBE_JOB, 0, 1, KERNEL, 0);
  own(cstr("load"), -i64(Errno.EPERM), Syscall.MARGAY_LOAD, ground.page, 0, 0, 0);
  own(cstr("load(kernel)"), EFAULT, Syscall.MARGAY_LOAD, KERNEL, 0, 0, 0);
  own(cstr("start"), -i64(Errno.EPERM), Syscall.MARGAY_START, ground.page, ground.page, 0, 0);
  own(cstr("start(kernel)"), EFAULT, Syscall.MARGAY_START, KERNEL, ground.page, 0, 0);
  own(cstr("start(stack hole)"), EFAULT, Syscall.MARGAY_START, ground.page, HOLE, 0, 0);
  own(cstr("no such call of ours"), -i64(Errno.ENOSYS), 4096 + 32, 0, 0, 0, 0);
  own(cstr("2^32 + portal_wait"), -i64(Errno.ENOSYS), HIGH + Syscall.PORTAL_WAIT, 0, 0, 0, 0);
  // Low pages are never mapped for a program, so a null pointer faults.
  const low: i64 = syscall6(Syscall.MMAP, 0, PAGE_BYTES, RW, FIXED, MINUS, 0);
  if (low !== -i64(Errno.EPERM)) print(stdout(), cstr("mmap(null): wrong\n"));
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  const two: i64 = mmap(0, 2 * PAGE_BYTES, RW, u32(ANONYMOUS), -1, 0);
  const one: i64 = mmap(0, PAGE_BYTES, Prot.READ, u32(ANONYMOUS), -1, 0);
  if (argc < 2 || two < 0 || one < 0) return 2;
  ground.page = u64(two);
  ground.end = ground.page + PAGE_BYTES;
  ground.readOnly = u64(one);
  if (syscall6(Syscall.MUNMAP, ground.end, PAGE_BYTES, 0, 0, 0, 0) !== 0) return 2;
  if (argv[1][0] === 108) {
    descriptors();
    paths();
    memory();
    times();
    processes();
    futexes();
  } else {
    queues();
    entries();
    requests();
    rest();
  }
  print(stdout(), cstr("done\n"));
  return 0;
}
