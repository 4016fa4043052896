/**
 * Memory: mmap, munmap, mremap, mprotect, madvise, msync, mincore, the mlock family, brk. Mappings are anonymous, or
 * hold a file's contents, or show a shared file (io/sharedfile.ts). The arguments of a range are checked here, with
 * Linux's errno in Linux's order (mm/mmap.c, mprotect.c, madvise.c); mm gets whole pages below USER_END.
 */
import { Errno } from "../abi/errno.ts";
import { MapKind, type MapReply } from "../abi/io.ts";
import { PAGE_BYTES, USER_END } from "../abi/memory.ts";
import { Advice, LockFlag, MapFlag, MLOCK_ONFAULT, Prot, PROGRAM_LOWEST, RemapFlag, SyncFlag } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { admitInterrupts } from "../arch/percpu.ts";
import { currentTask } from "../core/task.ts";
import { pageIsThere } from "../mm/fault.ts";
import { isReadOnlyFile } from "../mm/filepages.ts";
import { REGION_FILE, REGION_LAZY } from "../mm/regions.ts";
import { type Remap, spaceRemap } from "../mm/remap.ts";
import { Placement, spaceAdvise, spaceBrk, spaceMap, spaceProtect, spaceUnmap } from "../mm/space.ts";
import { copyToUser, userRangeValid } from "../mm/user.ts";
import { lockFiles, newView, unlockFiles, viewOf } from "../mm/views.ts";
import { type Call, isUserRange } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

const PROTECTIONS: u64 = Prot.READ | Prot.WRITE | Prot.EXEC;

export function memoryCallsStart(): void {
  registerSyscall(Syscall.MMAP, mmap);
  registerSyscall(Syscall.MUNMAP, munmap);
  registerSyscall(Syscall.MPROTECT, mprotect);
  registerSyscall(Syscall.MADVISE, madvise);
  registerSyscall(Syscall.BRK, brk);
  registerSyscall(Syscall.MREMAP, mremap);
  registerSyscall(Syscall.MSYNC, msync);
  registerSyscall(Syscall.MINCORE, mincore);
  registerSyscall(Syscall.MLOCK, mlock);
  registerSyscall(Syscall.MLOCK2, mlock2);
  registerSyscall(Syscall.MUNLOCK, munlock);
  registerSyscall(Syscall.MLOCKALL, mlockall);
  registerSyscall(Syscall.MUNLOCKALL, munlockall);
}

/** Rounds up to whole pages; 0 if the result does not fit 64 bits. */
function roundUp(lengthBytes: u64): u64 {
  return (lengthBytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/** The part of a range below USER_END: a gap starts there. */
function userPart(address: u64, bytes: u64): u64 {
  return isUserRange(address, bytes) ? bytes : USER_END - address;
}

/** A higher floor reads files (io/mapping.ts). */
class FilePages {
  /** Whether the call's file can be mapped in this way: bytes from the offset to the file's end, or -errno. */
  available: ((call: ptr<Call>, reply: ptr<MapReply>) => i64) | null = null;
  /** Reads the call's file, `bytes` from its offset on, to `address`. 0 or -errno. */
  read: ((call: ptr<Call>, address: u64, bytes: u64) => i64) | null = null;
  /** Shared files: maps one; mremap, 1: not of such a range; msync; after regions of theirs may have gone. */
  map: ((at: u64, bytes: u64, protection: u64, placement: u32, offset: u64, reply: ptr<MapReply>) => i64) | null = null;
  remap: ((r: ptr<Remap>) => i64) | null = null;
  sync: ((start: u64, end: u64) => i64) | null = null;
  settle: (() => void) | null = null;
}
const files: FilePages = new FilePages();
export function setSharedFiles(
  map: (at: u64, bytes: u64, protection: u64, placement: u32, offset: u64, reply: ptr<MapReply>) => i64,
  remap: (r: ptr<Remap>) => i64,
  sync: (start: u64, end: u64) => i64,
  settle: () => void,
): void {
  files.map = map;
  files.remap = remap;
  files.sync = sync;
  files.settle = settle;
}
/** Regions of shared files may have been cut. */
function settleFiles(): void {
  const settle = files.settle;
  if (currentTask().space.filesChanged !== 0 && settle !== null) settle();
}
export function setFilePages(
  available: (call: ptr<Call>, reply: ptr<MapReply>) => i64,
  read: (call: ptr<Call>, address: u64, bytes: u64) => i64,
): void {
  files.available = available;
  files.read = read;
}

/** (address, length, protection, flags, fd, offset). */
function mmap(call: ptr<Call>): i64 {
  const bytes: u64 = roundUp(call.b);
  const fixed: boolean = (call.d & (MapFlag.FIXED | MapFlag.FIXED_NOREPLACE)) !== 0;
  const isFile: boolean = (call.d & MapFlag.ANONYMOUS) === 0;
  const type: u64 = call.d & MapFlag.TYPE_MASK;
  let available: i64 = 0;
  const reply: MapReply = uninitialized();
  if ((call.f & (PAGE_BYTES - 1)) !== 0) return failure(Errno.EINVAL);
  if (isFile) {
    available = fileBytes(call, addr(reply));
    if (available < 0) return available;
  }
  if (call.b === 0) return failure(Errno.EINVAL);
  if (bytes === 0 || bytes > USER_END) return failure(Errno.ENOMEM);
  if (fixed) {
    if (!isUserRange(call.a, bytes)) return failure(Errno.ENOMEM);
    if ((call.a & (PAGE_BYTES - 1)) !== 0) return failure(Errno.EINVAL);
    if (call.a < PROGRAM_LOWEST) return failure(Errno.EPERM);
  }
  if (type !== MapFlag.PRIVATE && type !== MapFlag.SHARED && (type !== MapFlag.SHARED_VALIDATE || !isFile))
    return failure(Errno.EINVAL);
  // A hint is rounded down; a hint at which nothing can be mapped is ignored.
  const hint: u64 = call.a & ~(PAGE_BYTES - 1);
  const at: u64 = fixed || (hint >= PROGRAM_LOWEST && isUserRange(hint, bytes)) ? hint : 0;
  let placement: u32 = fixed ? Placement.FIXED : Placement.HINT;
  if ((call.d & MapFlag.FIXED_NOREPLACE) !== 0) placement = Placement.NOREPLACE;
  if (isFile) return mapFile(call, at, bytes, u64(available), placement, addr(reply));
  // Reservations and growing stacks get their memory on first touch.
  const isLazy: boolean = (call.d & (MapFlag.NORESERVE | MapFlag.STACK)) !== 0 && (call.d & MapFlag.POPULATE) === 0;
  const attributes: u64 = (call.c & PROTECTIONS) | (isLazy ? REGION_LAZY : 0);
  const address: i64 = spaceMap(addr(currentTask().space), at, bytes, attributes, placement);
  settleFiles();
  return address;
}
/** Bytes of the call's file from its offset on; -errno if it cannot be mapped. */
function fileBytes(call: ptr<Call>, reply: ptr<MapReply>): i64 {
  const available = files.available;
  if (i32(u32(call.e)) < 0) return failure(Errno.EBADF);
  return available === null ? failure(Errno.ENODEV) : available(call, reply);
}
/**
 * A private mapping: the pages are the task's own copy of the file's present contents, as mmap(2) allows. Past the page
 * of the file's end there are none.
 */
function mapFile(call: ptr<Call>, at: u64, bytes: u64, available: u64, placement: u32, reply: ptr<MapReply>): i64 {
  const space = addr(currentTask().space);
  const read = files.read;
  const map = files.map;
  const protection: u64 = call.c & PROTECTIONS;
  if (read === null || map === null) return failure(Errno.ENODEV);
  if (reply.kind === MapKind.SHARED) return map(at, bytes, protection, placement, call.f, reply);
  const isZeros: boolean = reply.kind === MapKind.ZEROS;
  const whole: u64 = isZeros || roundUp(available) > bytes ? bytes : roundUp(available);
  lockFiles(space);
  // Without a number the region has no name in /proc/self/maps.
  const bits: u64 = reply.name === 0 ? 0 : newView(space, null, reply.name, false);
  // Where the file ends inside, the range is reserved first.
  let address: i64 =
    whole === bytes
      ? spaceMap(space, at, bytes, Prot.READ | Prot.WRITE | bits, placement)
      : spaceMap(space, at, bytes, protection | REGION_FILE | bits, placement);
  const view = bits === 0 ? null : viewOf(space, bits);
  if (view !== null) view.delta = u64(address) - call.f;
  unlockFiles(space);
  settleFiles();
  if (address < 0) return address;
  let done: i64 = 0;
  if (whole !== bytes && whole !== 0) {
    done = spaceMap(space, u64(address), whole, Prot.READ | Prot.WRITE | bits, Placement.FIXED);
    if (done > 0) done = 0;
  }
  if (done === 0 && !isZeros && available !== 0) done = read(call, u64(address), available < bytes ? available : bytes);
  if (done === 0 && whole !== 0 && protection !== (Prot.READ | Prot.WRITE))
    done = spaceProtect(space, u64(address), whole, protection);
  if (done === 0) return address;
  spaceUnmap(space, u64(address), bytes);
  return done;
}
/** (address, length). */
function munmap(call: ptr<Call>): i64 {
  if (call.b === 0 || call.a > USER_END || call.b > USER_END - call.a) return failure(Errno.EINVAL);
  const done: i64 = spaceUnmap(addr(currentTask().space), call.a, roundUp(call.b));
  settleFiles();
  return done;
}
/** (address, length, protection). */
function mprotect(call: ptr<Call>): i64 {
  const bytes: u64 = roundUp(call.b);
  if (call.b === 0) return 0;
  if (call.a + bytes <= call.a) return failure(Errno.ENOMEM);
  if ((call.c & ~PROTECTIONS) !== 0) return failure(Errno.EINVAL);
  if (call.a >= USER_END) return failure(Errno.ENOMEM);
  const space = addr(currentTask().space);
  const part: u64 = userPart(call.a, bytes);
  if ((call.c & Prot.WRITE) !== 0 && space.files !== 0 && isReadOnlyFile(space, call.a, call.a + part))
    return failure(Errno.EACCES);
  const done: i64 = spaceProtect(space, call.a, part, call.c);
  return isUserRange(call.a, bytes) ? done : failure(Errno.ENOMEM);
}
/**
 * (address, length, advice): DONTNEED zeroes the pages; other advice needs no action, because all pages are present.
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
/** (end) → the resulting end of the heap. */
function brk(call: ptr<Call>): i64 {
  return i64(spaceBrk(addr(currentTask().space), call.a));
}
/** (address, old length, new length, flags, new address) → address. */
function mremap(call: ptr<Call>): i64 {
  const r: Remap = zeroed();
  const fixed: boolean = (call.d & RemapFlag.FIXED) !== 0;
  r.from = call.a;
  r.oldBytes = roundUp(call.b);
  r.newBytes = roundUp(call.c);
  r.mayMove = (call.d & RemapFlag.MAYMOVE) !== 0;
  r.keepsOld = (call.d & RemapFlag.DONTUNMAP) !== 0;
  if ((fixed || r.keepsOld) && !r.mayMove) return failure(Errno.EINVAL);
  if (r.keepsOld && r.oldBytes !== r.newBytes) return failure(Errno.EINVAL);
  if (r.newBytes === 0) return failure(Errno.EINVAL);
  if (fixed) {
    r.to = call.e;
    if ((r.to & (PAGE_BYTES - 1)) !== 0 || !isUserRange(r.to, r.newBytes)) return failure(Errno.EINVAL);
    if (r.to + r.newBytes > r.from && r.from + r.oldBytes > r.to) return failure(Errno.EINVAL);
    if (r.to < PROGRAM_LOWEST) return failure(Errno.EPERM);
  }
  if (!isUserRange(r.from, r.oldBytes)) return failure(Errno.EFAULT);
  if (!isUserRange(0, r.newBytes)) return failure(r.oldBytes === 0 ? Errno.EINVAL : Errno.ENOMEM);
  const remap = files.remap;
  const shared: i64 = remap === null ? 1 : remap(addr(r));
  if (shared !== 1) return shared;
  // A second mapping of the same pages, which are not shared.
  if (r.oldBytes === 0) return failure(Errno.EINVAL);
  const moved: i64 = spaceRemap(addr(currentTask().space), addr(r));
  settleFiles();
  return moved;
}
/** Whether regions cover the range: 0, or -ENOMEM, as for all calls that only check. */
function covered(address: u64, bytes: u64): i64 {
  if (bytes === 0) return 0;
  if (address >= USER_END) return failure(Errno.ENOMEM);
  const found: i64 = spaceAdvise(addr(currentTask().space), address, userPart(address, bytes), false);
  return isUserRange(address, bytes) ? found : failure(Errno.ENOMEM);
}
/** (address, length, flags): pages of shared files are written at once, ASYNC or not. */
function msync(call: ptr<Call>): i64 {
  const bytes: u64 = roundUp(call.b);
  if ((call.c & SyncFlag.ASYNC) !== 0 && (call.c & SyncFlag.SYNC) !== 0) return failure(Errno.EINVAL);
  if (call.a + bytes < call.a || (call.b !== 0 && bytes === 0)) return failure(Errno.ENOMEM);
  const whole: i64 = covered(call.a, bytes);
  const sync = files.sync;
  if (sync === null || currentTask().space.files === 0 || bytes === 0 || call.a >= USER_END) return whole;
  // As on Linux, what is mapped is written even if there are holes.
  const written: i64 = sync(call.a, call.a + userPart(call.a, bytes));
  return whole !== 0 ? whole : written;
}
/** (address, length, u8 *vector): 1 for each page that has its memory. */
function mincore(call: ptr<Call>): i64 {
  const space = addr(currentTask().space);
  const bytes: u64 = roundUp(call.b);
  if (!isUserRange(call.a, call.b)) return failure(Errno.ENOMEM);
  if (!isUserRange(call.c, bytes / PAGE_BYTES)) return failure(Errno.EFAULT);
  const whole: i64 = covered(call.a, bytes);
  if (whole !== 0) return whole;
  for (let done: u64 = 0; done < bytes; done += PAGE_BYTES) {
    let flag: u8 = pageIsThere(space, call.a + done) ? 1 : 0;
    if (!copyToUser(space, call.c + done / PAGE_BYTES, addr(flag), 1)) return failure(Errno.EFAULT);
    admitInterrupts();
  }
  return 0;
}
/**
 * Memory is never paged out: locking populates lazy regions. The range consists of whole pages around the given one.
 */
function lockRange(address: u64, lengthBytes: u64, populates: boolean): i64 {
  const start: u64 = address & ~(PAGE_BYTES - 1);
  const bytes: u64 = roundUp(lengthBytes + (address - start));
  if (lengthBytes !== 0 && start + bytes <= start) return failure(Errno.EINVAL);
  const whole: i64 = covered(start, bytes);
  if (whole !== 0 || !populates) return whole;
  return userRangeValid(addr(currentTask().space), start, bytes, false) ? 0 : failure(Errno.ENOMEM);
}
/** (address, length). */
function mlock(call: ptr<Call>): i64 {
  return lockRange(call.a, call.b, true);
}
/** (address, length, flags). */
function mlock2(call: ptr<Call>): i64 {
  return lockRange(call.a, call.b, (call.c & MLOCK_ONFAULT) === 0);
}
/** (address, length). */
function munlock(call: ptr<Call>): i64 {
  return lockRange(call.a, call.b, false);
}
/** (flags). */
function mlockall(call: ptr<Call>): i64 {
  return call.a === 0 || call.a === LockFlag.ONFAULT ? failure(Errno.EINVAL) : 0;
}
function munlockall(_call: ptr<Call>): i64 {
  return 0;
}
