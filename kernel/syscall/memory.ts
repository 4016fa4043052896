/**
 * Memory: mmap, munmap, mprotect, madvise, brk. Anonymous private (or shared: there is only one task to share with)
 * mappings; files later. What a range may be is decided here, with Linux's errno in Linux's order (mm/mmap.c,
 * mprotect.c, madvise.c); mm gets whole pages below USER_END.
 */
import { Errno } from "../abi/errno.ts";
import { PAGE_BYTES, USER_END } from "../abi/memory.ts";
import { Advice, MapFlag, Prot, PROGRAM_LOWEST } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { currentTask } from "../core/task.ts";
import { REGION_LAZY } from "../mm/regions.ts";
import { Placement, spaceAdvise, spaceBrk, spaceMap, spaceProtect, spaceUnmap } from "../mm/space.ts";
import { type Call, isUserRange } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

const PROTECTIONS: u64 = Prot.READ | Prot.WRITE | Prot.EXEC;

export function memoryCallsStart(): void {
  registerSyscall(Syscall.MMAP, mmap);
  registerSyscall(Syscall.MUNMAP, munmap);
  registerSyscall(Syscall.MPROTECT, mprotect);
  registerSyscall(Syscall.MADVISE, madvise);
  registerSyscall(Syscall.BRK, brk);
}

/** Whole pages; 0 where the sum does not fit 64 bits. */
function roundUp(lengthBytes: u64): u64 {
  return (lengthBytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/** What of a range lies below USER_END: as if a hole began there. */
function userPart(address: u64, bytes: u64): u64 {
  return isUserRange(address, bytes) ? bytes : USER_END - address;
}

/** (address, length, protection, flags, fd, offset). */
function mmap(call: ptr<Call>): i64 {
  const space = addr(currentTask().space);
  const bytes: u64 = roundUp(call.b);
  const fixed: boolean = (call.d & (MapFlag.FIXED | MapFlag.FIXED_NOREPLACE)) !== 0;
  if ((call.f & (PAGE_BYTES - 1)) !== 0) return failure(Errno.EINVAL);
  if ((call.d & MapFlag.ANONYMOUS) === 0) return failure(i32(u32(call.e)) < 0 ? Errno.EBADF : Errno.ENODEV);
  if (call.b === 0) return failure(Errno.EINVAL);
  if (bytes === 0 || bytes > USER_END) return failure(Errno.ENOMEM);
  if (fixed) {
    if (!isUserRange(call.a, bytes)) return failure(Errno.ENOMEM);
    if ((call.a & (PAGE_BYTES - 1)) !== 0) return failure(Errno.EINVAL);
    if (call.a < PROGRAM_LOWEST) return failure(Errno.EPERM);
  }
  const type: u64 = call.d & MapFlag.TYPE_MASK;
  if ((call.f & (PAGE_BYTES - 1)) !== 0) return failure(Errno.EINVAL);
  if (type !== MapFlag.PRIVATE && type !== MapFlag.SHARED) return failure(Errno.EINVAL);
  // A hint is rounded down, and one that nothing can lie at is none.
  const hint: u64 = call.a & ~(PAGE_BYTES - 1);
  const at: u64 = fixed || (hint >= PROGRAM_LOWEST && isUserRange(hint, bytes)) ? hint : 0;
  let placement: u32 = fixed ? Placement.FIXED : Placement.HINT;
  if ((call.d & MapFlag.FIXED_NOREPLACE) !== 0) placement = Placement.NOREPLACE;
  // What a program reserves, or grows into as a stack, gets its memory as it is touched.
  const isLazy: boolean = (call.d & (MapFlag.NORESERVE | MapFlag.STACK)) !== 0 && (call.d & MapFlag.POPULATE) === 0;
  const attributes: u64 = (call.c & PROTECTIONS) | (isLazy ? REGION_LAZY : 0);
  return spaceMap(space, at, bytes, attributes, placement);
}
/** (address, length). */
function munmap(call: ptr<Call>): i64 {
  if (call.b === 0 || call.a > USER_END || call.b > USER_END - call.a) return failure(Errno.EINVAL);
  return spaceUnmap(addr(currentTask().space), call.a, roundUp(call.b));
}
/** (address, length, protection). */
function mprotect(call: ptr<Call>): i64 {
  const bytes: u64 = roundUp(call.b);
  if (call.b === 0) return 0;
  if (call.a + bytes <= call.a) return failure(Errno.ENOMEM);
  if ((call.c & ~PROTECTIONS) !== 0) return failure(Errno.EINVAL);
  if (call.a >= USER_END) return failure(Errno.ENOMEM);
  const done: i64 = spaceProtect(addr(currentTask().space), call.a, userPart(call.a, bytes), call.c);
  return isUserRange(call.a, bytes) ? done : failure(Errno.ENOMEM);
}
/**
 * (address, length, advice): DONTNEED zeroes the pages, other advice has nothing to do where all pages are there.
 */
function madvise(call: ptr<Call>): i64 {
  const bytes: u64 = roundUp(call.b);
  if (!isAdvice(call.c)) return failure(Errno.EINVAL);
  if ((call.b !== 0 && bytes === 0) || call.a + bytes < call.a) return failure(Errno.EINVAL);
  if (bytes === 0) return 0;
  if (call.a >= USER_END) return failure(Errno.ENOMEM);
  const clear: boolean = call.c === Advice.DONTNEED;
  const done: i64 = spaceAdvise(addr(currentTask().space), call.a, userPart(call.a, bytes), clear);
  return isUserRange(call.a, bytes) ? done : failure(Errno.ENOMEM);
}
function isAdvice(advice: u64): boolean {
  switch (advice) {
    case Advice.NORMAL:
    case Advice.RANDOM:
    case Advice.SEQUENTIAL:
    case Advice.WILLNEED:
    case Advice.DONTNEED:
    case Advice.FREE:
    case Advice.HUGEPAGE:
    case Advice.NOHUGEPAGE:
    case Advice.DONTDUMP:
    case Advice.DODUMP:
      return true;
    default:
      return false;
  }
}
/** (end) → end of the heap as it is now. */
function brk(call: ptr<Call>): i64 {
  return i64(spaceBrk(addr(currentTask().space), call.a));
}
