/** Memory: mmap, munmap, mprotect, madvise, brk. Anonymous private (or shared: there is only one task to share with) mappings; files later. */
import { Errno } from "../abi/errno.ts";
import { Advice, MapFlag, Prot } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { currentTask } from "../core/task.ts";
import { spaceBrk, spaceClear, spaceMap, spaceProtect, spaceUnmap } from "../mm/space.ts";
import { type Call, failure, registerSyscall } from "./table.ts";

export function memoryCallsStart(): void {
  registerSyscall(Syscall.MMAP, mmap);
  registerSyscall(Syscall.MUNMAP, munmap);
  registerSyscall(Syscall.MPROTECT, mprotect);
  registerSyscall(Syscall.MADVISE, madvise);
  registerSyscall(Syscall.BRK, brk);
}

/** (address, length, protection, flags, fd, offset). */
function mmap(call: ptr<Call>): i64 {
  const type: u64 = call.d & MapFlag.TYPE_MASK;
  if (type !== MapFlag.PRIVATE && type !== MapFlag.SHARED) return failure(Errno.EINVAL);
  if ((call.d & MapFlag.ANONYMOUS) === 0) return failure(Errno.ENODEV);
  const protection: u64 = call.c & (Prot.READ | Prot.WRITE | Prot.EXEC);
  if ((call.d & MapFlag.FIXED_NOREPLACE) !== 0) {
    const at: i64 = spaceMap(addr(currentTask().space), call.a, call.b, protection, false);
    if (at < 0 || u64(at) === call.a) return at;
    spaceUnmap(addr(currentTask().space), u64(at), call.b);
    return failure(Errno.EEXIST);
  }
  return spaceMap(addr(currentTask().space), call.a, call.b, protection, (call.d & MapFlag.FIXED) !== 0);
}
/** (address, length). */
function munmap(call: ptr<Call>): i64 {
  return spaceUnmap(addr(currentTask().space), call.a, call.b);
}
/** (address, length, protection). */
function mprotect(call: ptr<Call>): i64 {
  return spaceProtect(addr(currentTask().space), call.a, call.b, call.c & (Prot.READ | Prot.WRITE | Prot.EXEC));
}
/** (address, length, advice): DONTNEED zeroes the pages, other advice has nothing to do where all pages are there. */
function madvise(call: ptr<Call>): i64 {
  switch (call.c) {
    case Advice.DONTNEED:
      return spaceClear(addr(currentTask().space), call.a, call.b);
    case Advice.NORMAL:
    case Advice.RANDOM:
    case Advice.SEQUENTIAL:
    case Advice.WILLNEED:
    case Advice.FREE:
    case Advice.HUGEPAGE:
    case Advice.NOHUGEPAGE:
    case Advice.DONTDUMP:
    case Advice.DODUMP:
      return 0;
    default:
      return failure(Errno.EINVAL);
  }
}
/** (end) → end of the heap as it is now. */
function brk(call: ptr<Call>): i64 {
  return i64(spaceBrk(addr(currentTask().space), call.a));
}
