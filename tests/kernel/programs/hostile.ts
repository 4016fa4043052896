/**
 * Hostile calls: `hostile SEED CALLS`. Threads on all cores of each rank make random system calls, with arguments by
 * their types in the table: good ones, and ones that are too large, negative, unaligned, in the kernel's half,
 * non-canonical, across the end of the user half or of what is mapped, read-only, null. Structures are mostly good with
 * a field or two that is not; what lies in shared memory is overwritten meanwhile by other threads, event queues too.
 * Ends with `hostile: N calls` and the counts of results.
 *
 * Looked for, beside the kernel's own checks: a kernel address in a result or in memory, a register that a call has
 * changed, a result below -4095, a write into memory that can only be read. What is found ends the job with a line and
 * status 1.
 *
 * Three grounds, from low to high: what a call may be given the address of and the threads write to (`open`), one that
 * stays as it is and can only be read (`still`), and one that is mapped, unmapped and protected at random (`shifting`).
 * Nothing of the program lies above them, so a range that starts there can be as long as it likes. Kernel addresses are
 * in arguments, and in structures in the program's own data, never in the grounds: what is found there is the kernel's.
 */
import "../../../userland/lib/start.ts";
import { MAX_RANKS } from "../../../kernel/abi/job.ts";
import { PAGE_BYTES, USER_END } from "../../../kernel/abi/memory.ts";
import type { LoadRequest, MatchEntry, PortalEvent, PortalRequest } from "../../../kernel/abi/portals.ts";
import {
  CloneFlag,
  FutexOperation,
  MapFlag,
  PROGRAM_LOWEST,
  Prot,
  type Timespec,
} from "../../../kernel/abi/process.ts";
import { ArgKind, ARGUMENTS_MAX, Syscall, type SyscallInfo, syscallInfos } from "../../../kernel/abi/syscalls.ts";
import { parseDecimal, type ParsedNumber } from "../../../toolchain/lib/rt/strings.ts";
import { flushAll, print, printDecimal, printHex, stdout } from "../../../userland/lib/stdio.ts";
import { margayRank, mmap, syscall2, syscall6 } from "../../../userland/lib/syscall.ts";
import { createThread, type Thread } from "../../../userland/lib/thread.ts";

const OPEN: u64 = 0x7100_0000_0000;
const OPEN_BYTES: u64 = 16 * PAGE_BYTES;
const STILL: u64 = 0x7180_0000_0000;
const SHIFTING: u64 = 0x7200_0000_0000;
const SHIFTING_BYTES: u64 = 64 * PAGE_BYTES;
const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
const IMAGE: u64 = 0xffff_ffff_8000_0000;
const RW: u32 = Prot.READ | Prot.WRITE;
const FIXED: u32 = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
const THREADS: u32 = 64;
/** Longest wait, ns. */
const PATIENCE: u64 = 3000;
/** Calls between two looks at the grounds. */
const LOOK_EVERY: u64 = 512;

/** Arguments a…f, number, result and what the registers hold afterwards. */
class Attempt {
  arguments!: arr<u64, 6>;
  number: u64 = 0;
  result: u64 = 0;
  after!: arr<u64, 6>;
  /** Not 0: a register that a call must keep is another. */
  changed: u64 = 0;
}
class Worker {
  thread!: Thread;
  index: u32 = 0;
  random: u64 = 0;
  attempt!: Attempt;
  /** What mmap has placed; the oldest goes when there are too many. */
  mapped!: arr<u64, 4>;
  mappedBytes!: arr<u64, 4>;
  turn: u64 = 0;
  /** Structures that nobody else writes to. */
  time!: Timespec;
  entry!: MatchEntry;
  request!: PortalRequest;
  load!: LoadRequest;
  noise!: arr<u8, 512>;
}
const workers: arr<Worker, 64> = zeroed();
class Shared {
  calls: u64 = 0;
  limit: u64 = 0;
  seed: u64 = 0;
  /** Threads that are there. */
  alive: u32 = 0;
  failures: u32 = 0;
  succeeded: u64 = 0;
  /** By errno. */
  errors!: arr<u64, 200>;
}
const shared: Shared = zeroed();

// ---- choices -------------------------------------------------------------------------------------------------------
/** xorshift64*. */
function next(w: ptr<Worker>): u64 {
  let x: u64 = w.random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  w.random = x;
  return (x * 0x2545_f491_4f6c_dd1d) >> 16;
}
function below(w: ptr<Worker>, count: u64): u64 {
  return next(w) % count;
}
function oneIn(w: ptr<Worker>, count: u64): boolean {
  return below(w, count) === 0;
}

/** A number that is at an edge of something, more or less. */
function number(w: ptr<Worker>): u64 {
  const near: u64 = below(w, 5) - 2;
  switch (below(w, 12)) {
    case 0:
    case 1:
      return below(w, 20);
    case 2:
      return (u64(1) << below(w, 64)) + near;
    case 3:
      return near;
    case 4:
      return 0xffff_ffff + near;
    case 5:
      return 0x7fff_ffff + near;
    case 6:
      return (u64(1) << 32) + below(w, 20);
    case 7:
      return USER_END + near;
    case 8:
      return (u64(1) << 63) + near;
    case 9:
      return PAGE_BYTES * below(w, 5) + near;
    case 10:
      return (next(w) << 32) ^ next(w);
    default:
      return below(w, 1000);
  }
}
/** Somewhere in the grounds; `lengthBytes` of it may be there. */
function inGround(w: ptr<Worker>, lengthBytes: u64): u64 {
  const shift: u64 = oneIn(w, 4) ? below(w, 16) : 0;
  switch (below(w, 8)) {
    case 0:
    case 1:
      return SHIFTING + 8 * below(w, SHIFTING_BYTES / 8) + shift;
    case 2:
      return SHIFTING + PAGE_BYTES * below(w, 65) - lengthBytes / 2 + shift;
    case 3:
      return OPEN + OPEN_BYTES - below(w, 2 * lengthBytes + 8);
    case 4:
      return STILL + 8 * below(w, 256) + shift;
    default:
      return OPEN + 8 * below(w, OPEN_BYTES / 8) + shift;
  }
}
/** An address that is no good; where the program itself may lie another is taken. */
function badAddress(w: ptr<Worker>, lengthBytes: u64): u64 {
  const at: u64 = anyBadAddress(w, lengthBytes);
  return at >= PROGRAM_LOWEST && at < OPEN ? at + SHIFTING : at;
}
function anyBadAddress(w: ptr<Worker>, lengthBytes: u64): u64 {
  switch (below(w, 10)) {
    case 0:
      return 0;
    case 1:
      return below(w, PROGRAM_LOWEST);
    case 2:
      return USER_END - below(w, 2 * lengthBytes + 8);
    case 3:
      return USER_END + below(w, 2 * PAGE_BYTES);
    case 4:
      return (u64(1) << 47) + (next(w) & 0xff_ffff);
    case 5:
      return DIRECT_MAP + (next(w) & 0x7ff_ffff);
    case 6:
      return IMAGE + 0x10_0000 + (next(w) & 0xf_ffff);
    case 7:
      return 0 - below(w, 2 * lengthBytes + 8);
    case 8:
      return number(w);
    default:
      return (next(w) << 48) | (next(w) & 0xffff_ffff_fff8);
  }
}
function address(w: ptr<Worker>, lengthBytes: u64): u64 {
  return oneIn(w, 3) ? badAddress(w, lengthBytes) : inGround(w, lengthBytes);
}
/** For what a call waits by, or what would fill the ground with words that mean something: not in the grounds. */
function privateAddress(w: ptr<Worker>, own: u64, lengthBytes: u64): u64 {
  if (!oneIn(w, 4)) return own;
  const at: u64 = badAddress(w, lengthBytes);
  return at >= PROGRAM_LOWEST && at < USER_END - 2 * PAGE_BYTES ? 0 : at;
}
/** Start of a range that calls may unmap or protect: in `shifting`, above it, or no good. */
function rangeStart(w: ptr<Worker>): u64 {
  if (!oneIn(w, 4)) return SHIFTING + PAGE_BYTES * below(w, 64) + (oneIn(w, 8) ? below(w, PAGE_BYTES) : 0);
  return badAddress(w, PAGE_BYTES);
}

// ---- structures ----------------------------------------------------------------------------------------------------
function fillTime(w: ptr<Worker>): u64 {
  w.time.seconds = 0;
  w.time.nanoseconds = i64(below(w, PATIENCE));
  if (oneIn(w, 4)) w.time.nanoseconds = i64(1000000000 + below(w, 3)) - 1;
  if (oneIn(w, 4)) w.time.seconds = -1 - i64(below(w, 1000));
  // 10^9 - 1 ns is a time: not one to wait for.
  if (w.time.seconds === 0 && w.time.nanoseconds === 999999999) w.time.nanoseconds = 1000000000;
  return cast<u64>(addr(w.time));
}
/** nid 1 and 2 are there. */
function nid(w: ptr<Worker>): u32 {
  if (oneIn(w, 64)) return u32(number(w));
  return u32(1 + below(w, 2));
}
/** Writes a copy of the structure to `open`, or leaves it where nobody disturbs it. Returns where it is. */
function place(w: ptr<Worker>, from: u64, lengthBytes: u64): u64 {
  if (oneIn(w, 8)) return address(w, lengthBytes);
  if (oneIn(w, 2)) return from;
  const at: u64 = OPEN + 8 * below(w, (OPEN_BYTES - lengthBytes) / 8);
  for (let i: u64 = 0; i < lengthBytes; i += 8) scribble(at + i, cast<ptr<u64>>(from + i)[0]);
  return at;
}
/**
 * What may stand in `open`, and in what the kernel hands back in events. Copies move it by any number of bytes: no part
 * of it, nor of it and its neighbours, looks like an address of the kernel's then.
 */
function quiet(value: u64): u64 {
  return value & 0x7fff_ffff_7fff_ffff;
}
function scribble(at: u64, value: u64): void {
  volatileWrite(cast<ptr<u64>>(at), quiet(value));
}
function matchEntry(w: ptr<Worker>): u64 {
  const e = addr(w.entry);
  e.portalIndex = u32(oneIn(w, 12) ? number(w) : below(w, 8));
  e.options = u32(oneIn(w, 12) ? number(w) : below(w, 32));
  e.matchBits = below(w, 4);
  e.ignoreBits = oneIn(w, 2) ? 0xffff_ffff_ffff : 0;
  e.sourceNid = oneIn(w, 2) ? 0xffff_ffff : nid(w);
  e.sourcePid = oneIn(w, 2) ? 0xffff_ffff : u32(below(w, 4));
  e.lengthBytes = oneIn(w, 8) ? number(w) : below(w, 3 * PAGE_BYTES);
  e.address = address(w, e.lengthBytes);
  e.queue = u32(oneIn(w, 12) ? number(w) : below(w, 4));
  e.userPointer = quiet(number(w));
  return place(w, cast<u64>(e), sizeof<MatchEntry>());
}
function portalRequest(w: ptr<Worker>): u64 {
  const r = addr(w.request);
  r.lengthBytes = oneIn(w, 8) ? number(w) : below(w, oneIn(w, 8) ? 8 * PAGE_BYTES : 256);
  r.address = address(w, r.lengthBytes);
  r.targetNid = nid(w);
  r.targetPid = u32(oneIn(w, 12) ? number(w) : below(w, 4));
  r.portalIndex = u32(oneIn(w, 12) ? number(w) : below(w, 8));
  r.flags = u32(oneIn(w, 12) ? number(w) : below(w, 2));
  r.matchBits = below(w, 4);
  r.remoteOffset = oneIn(w, 3) ? quiet(number(w)) : below(w, 256);
  r.headerData = quiet(number(w));
  r.queue = u32(oneIn(w, 12) ? number(w) : below(w, 4));
  r.userPointer = quiet(number(w));
  return place(w, cast<u64>(r), sizeof<PortalRequest>());
}
function loadRequest(w: ptr<Worker>): u64 {
  const r = addr(w.load);
  r.nid = nid(w);
  r.queue = u32(number(w));
  r.lengthBytes = number(w);
  r.address = address(w, r.lengthBytes);
  r.userPointer = quiet(number(w));
  return place(w, cast<u64>(r), sizeof<LoadRequest>());
}
function path(w: ptr<Worker>): u64 {
  switch (below(w, 6)) {
    case 0:
      return cast<u64>(cstr("/"));
    case 1:
    case 2:
      return cast<u64>(cstr("/scratch"));
    case 3:
      return cast<u64>(cstr("/missing/../none"));
    default:
      return address(w, 64);
  }
}

// ---- a call --------------------------------------------------------------------------------------------------------
function argument(w: ptr<Worker>, kind: u8, limit: u64, sizeOfStructure: u64): u64 {
  switch (kind) {
    case ArgKind.FD:
    case ArgKind.DIRECTORY:
      return oneIn(w, 4) ? number(w) : below(w, 10) | (oneIn(w, 8) ? next(w) << 32 : 0);
    case ArgKind.HANDLE:
      return oneIn(w, 3) ? number(w) : 1 + below(w, 4);
    case ArgKind.COUNT:
      return oneIn(w, 2) ? number(w) : u64(1) << below(w, 5);
    case ArgKind.FLAGS:
      return oneIn(w, 2) ? number(w) : limit & next(w);
    case ArgKind.LENGTH:
      return oneIn(w, 3) ? number(w) : below(w, 2 * PAGE_BYTES);
    case ArgKind.TIMEOUT:
      return below(w, PATIENCE);
    case ArgKind.PATH:
      return path(w);
    case ArgKind.PAGE:
      return rangeStart(w);
    case ArgKind.ALIGNED:
      return address(w, PAGE_BYTES) & (oneIn(w, 8) ? ~u64(0) : ~(limit - 1));
    case ArgKind.ADDRESS:
    case ArgKind.READ:
    case ArgKind.WRITE:
    case ArgKind.READ_OPTIONAL:
    case ArgKind.WRITE_OPTIONAL:
    case ArgKind.READ_BYTES:
    case ArgKind.WRITE_BYTES:
      return address(w, limit === 0 ? sizeOfStructure : limit);
    default:
      return number(w);
  }
}
/** The arguments that the table cannot know are good, and those that would end the run or make it wait for ever. */
function refine(w: ptr<Worker>, a: ptr<Attempt>): void {
  const own: u64 = cast<u64>(addr(w.noise));
  switch (a.number) {
    case Syscall.MMAP:
      a.arguments[0] = oneIn(w, 2) ? 0 : rangeStart(w);
      if (!oneIn(w, 3)) a.arguments[1] = PAGE_BYTES * (1 + below(w, 8));
      if (!oneIn(w, 4)) a.arguments[2] = below(w, 8);
      if (!oneIn(w, 4)) a.arguments[3] = u64(MapFlag.PRIVATE | MapFlag.ANONYMOUS);
      if (oneIn(w, 2)) a.arguments[3] |= oneIn(w, 3) ? MapFlag.FIXED_NOREPLACE : MapFlag.FIXED;
      if (!oneIn(w, 8)) a.arguments[5] = 0;
      return;
    case Syscall.MPROTECT:
      if (!oneIn(w, 4)) a.arguments[2] = below(w, 8);
      return;
    case Syscall.MADVISE:
      if (!oneIn(w, 2)) a.arguments[2] = 4;
      return;
    case Syscall.BRK:
      // The heap lies below everything that matters.
      return;
    case Syscall.WRITE:
      if (u32(a.arguments[0]) === 1 || u32(a.arguments[0]) === 2) a.arguments[2] = below(w, 16);
      return;
    case Syscall.CLOSE:
      if (u32(a.arguments[0]) < 3) a.arguments[0] += 4;
      return;
    case Syscall.OPEN:
      a.arguments[1] = oneIn(w, 4) ? number(w) : 0x42;
      return;
    case Syscall.NANOSLEEP:
      a.arguments[0] = privateAddress(w, fillTime(w), sizeof<Timespec>());
      return;
    case Syscall.FUTEX: {
      a.arguments[1] = oneIn(w, 4) ? number(w) : below(w, 12) | (below(w, 4) << 7);
      if (!oneIn(w, 4)) a.arguments[0] = (a.arguments[0] & ~u64(3)) | 0;
      a.arguments[4] = address(w, 4) & (oneIn(w, 4) ? ~u64(0) : ~u64(3));
      const command: u32 = u32(a.arguments[1]) & FutexOperation.COMMAND_MASK;
      if (command === FutexOperation.WAIT || command === FutexOperation.WAIT_BITSET) {
        a.arguments[3] = privateAddress(w, fillTime(w), sizeof<Timespec>());
        // Null waits for ever; a null address elsewhere is hostile enough.
        if (a.arguments[3] === 0) a.arguments[3] = 8;
      }
      return;
    }
    case Syscall.GETRANDOM:
      a.arguments[0] = privateAddress(w, own, 64);
      if (a.arguments[0] === own && a.arguments[1] > 512) a.arguments[1] = 512;
      return;
    case Syscall.CLONE:
      if (!oneIn(w, 4))
        a.arguments[0] = u64(
          CloneFlag.VM | CloneFlag.FS | CloneFlag.FILES | CloneFlag.SIGHAND | CloneFlag.THREAD | (next(w) & 0x1f8_00ff),
        );
      return;
    case Syscall.PORTAL_APPEND:
      a.arguments[0] = matchEntry(w);
      return;
    case Syscall.PORTAL_PUT:
    case Syscall.PORTAL_GET:
      a.arguments[0] = portalRequest(w);
      return;
    case Syscall.MARGAY_LOAD:
      a.arguments[0] = loadRequest(w);
      return;
    case Syscall.PORTAL_WAIT:
      if (a.arguments[0] - 1 >= 16) a.arguments[1] = number(w);
      return;
    case Syscall.PORTAL_QUEUE:
      if (oneIn(w, 2)) a.arguments[0] = OPEN + 64 * below(w, OPEN_BYTES / 64);
      return;
    default:
      return;
  }
}

/**
 * The instruction with all arguments, and all registers afterwards. A thread that clone makes ends at once, without
 * touching its stack: the number is in a register, since its creator goes on.
 */
function make(_a: ptr<Attempt>): void {
  attr({ naked: true });
  asm`
    push rbx; push rbp; push r12; push r13; push r14; push r15
    push rdi
    mov rbx, rdi
    mov rdi, [rbx + ${offsetof<Attempt>("arguments")}]
    mov rsi, [rbx + ${offsetof<Attempt>("arguments") + 8}]
    mov rdx, [rbx + ${offsetof<Attempt>("arguments") + 16}]
    mov r10, [rbx + ${offsetof<Attempt>("arguments") + 24}]
    mov r8, [rbx + ${offsetof<Attempt>("arguments") + 32}]
    mov r9, [rbx + ${offsetof<Attempt>("arguments") + 40}]
    mov r12, [rbx + ${offsetof<Attempt>("number")}]
    lea rbp, [rbx + 1]
    lea r13, [rbx + 2]
    lea r14, [rbx + 3]
    lea r15, [rbx + 4]
    mov rax, r12
    syscall
    cmp r12, ${Syscall.CLONE}
    jne 1f
    test rax, rax
    jnz 1f
    mov eax, ${Syscall.EXIT}
    xor edi, edi
    syscall
  1:
    pop rcx
    mov [rcx + ${offsetof<Attempt>("result")}], rax
    mov [rcx + ${offsetof<Attempt>("after")}], rdi
    mov [rcx + ${offsetof<Attempt>("after") + 8}], rsi
    mov [rcx + ${offsetof<Attempt>("after") + 16}], rdx
    mov [rcx + ${offsetof<Attempt>("after") + 24}], r10
    mov [rcx + ${offsetof<Attempt>("after") + 32}], r8
    mov [rcx + ${offsetof<Attempt>("after") + 40}], r9
    # Each of the others less what it was: 0.
    sub r12, [rcx + ${offsetof<Attempt>("number")}]
    sub rbx, rcx
    sub rbp, rcx
    sub r13, rcx
    sub r14, rcx
    sub r15, rcx
    sub rbp, 1
    sub r13, 2
    sub r14, 3
    sub r15, 4
    or rbx, rbp
    or rbx, r12
    or rbx, r13
    or rbx, r14
    or rbx, r15
    mov [rcx + ${offsetof<Attempt>("changed")}], rbx
    pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx
    ret
  `;
}

/** RAM in the direct map (the nodes have 64 MB), the kernel's image. */
function looksLikeKernel(value: u64): boolean {
  return value - DIRECT_MAP < 0x800_0000 || value - (IMAGE + 0x10_0000) < 0x80_0000;
}

/** Says what has gone wrong, with the call, and ends the job. */
function fail(w: ptr<Worker>, what: ptr<u8>, value: u64): void {
  if (atomicExchange(addr(shared.failures), 1) !== 0) for (;;) asm`pause`;
  const o = stdout();
  print(o, cstr("\nhostile: "));
  print(o, what);
  print(o, cstr(" "));
  printHex(o, value);
  print(o, cstr(" at call "));
  printDecimal(o, shared.calls);
  print(o, cstr(", last call of thread "));
  printDecimal(o, u64(w.index));
  print(o, cstr(": "));
  printDecimal(o, w.attempt.number);
  for (let i: u32 = 0; i < ARGUMENTS_MAX; i++) {
    print(o, cstr(" "));
    printHex(o, w.attempt.arguments[i]);
  }
  print(o, cstr("\n"));
  flushAll();
  syscall2(Syscall.EXIT_GROUP, 1, 0);
}
function judge(w: ptr<Worker>): void {
  const a = addr(w.attempt);
  const result: i64 = i64(a.result);
  if (looksLikeKernel(a.result)) fail(w, cstr("a kernel address as result"), a.result);
  if (result < 0 && result < -4095) fail(w, cstr("a result that is none"), a.result);
  for (let i: u32 = 0; i < ARGUMENTS_MAX; i++)
    if (a.after[i] !== a.arguments[i]) fail(w, cstr("a register was changed"), a.after[i]);
  if (a.changed !== 0) fail(w, cstr("a register that calls keep was changed"), a.changed);
  if (result >= 0) atomicAdd(addr(shared.succeeded), 1);
  else atomicAdd(addr(shared.errors[-result < 200 ? u64(-result) : 0]), 1);
}
/** Kernel addresses in what calls have written; anything at all in what only can be read. */
function look(w: ptr<Worker>): void {
  for (let at: u64 = OPEN; at < OPEN + OPEN_BYTES; at += 8) {
    const value: u64 = volatileRead(cast<ptr<u64>>(at));
    if (looksLikeKernel(value)) fail(w, cstr("a kernel address in memory"), value);
  }
  for (let at: u64 = STILL; at < STILL + PAGE_BYTES; at += 8)
    if (volatileRead(cast<ptr<u64>>(at)) !== 0) fail(w, cstr("read-only memory was written"), at);
}

/** mmap's ranges go again, so that memory does not run out by our own doing for long. */
function keepMapped(w: ptr<Worker>, at: u64, lengthBytes: u64): void {
  const slot: u64 = w.turn++ & 3;
  if (w.mapped[slot] !== 0) syscall2(Syscall.MUNMAP, w.mapped[slot], w.mappedBytes[slot]);
  w.mapped[slot] = at;
  w.mappedBytes[slot] = lengthBytes;
}

/** Calls are alike but for those that the I/O node serves: they cost the host much. */
function chooseCall(w: ptr<Worker>): ptr<SyscallInfo> {
  for (;;) {
    const info = addr(syscallInfos[below(w, syscallInfos.length)]);
    switch (info.number) {
      case Syscall.EXIT_GROUP:
        continue;
      case Syscall.EXIT:
        if (w.index === 0 || !oneIn(w, 50)) continue;
        return info;
      case Syscall.READ:
      case Syscall.WRITE:
      case Syscall.OPEN:
      case Syscall.OPENAT:
      case Syscall.CLOSE:
      case Syscall.LSEEK:
      case Syscall.STAT:
      case Syscall.LSTAT:
      case Syscall.FSTAT:
      case Syscall.PREAD64:
        if (!oneIn(w, 4)) continue;
        return info;
      default:
        return info;
    }
  }
}

function step(w: ptr<Worker>): void {
  const info = chooseCall(w);
  const a = addr(w.attempt);
  a.number = u64(info.number);
  for (let i: u32 = 0; i < ARGUMENTS_MAX; i++)
    a.arguments[i] = argument(w, info.kinds[i], u64(info.limits[i]), 2 * sizeof<PortalEvent>());
  refine(w, a);
  // A range that starts below the program ends there, too.
  if (info.kinds[0] === ArgKind.PAGE && a.arguments[0] < SHIFTING) a.arguments[1] &= PROGRAM_LOWEST - 1;
  // Numbers that there are not, or not in all 64 bits.
  if (oneIn(w, 100)) a.number = oneIn(w, 2) ? number(w) | 0x1000_0000 : a.number | (u64(1) << (32 + below(w, 32)));
  // Somebody writes to what the kernel may be reading, event queues too.
  for (let i: u64 = below(w, 4); i > 0; i--) scribble(OPEN + 8 * below(w, OPEN_BYTES / 8), number(w));
  if (a.number === Syscall.EXIT) atomicAdd(addr(shared.alive), ~u32(0));
  make(a);
  judge(w);
  if (a.number === Syscall.MMAP && i64(a.result) >= 0 && (a.result < OPEN || a.result >= SHIFTING + SHIFTING_BYTES))
    keepMapped(w, a.result, a.arguments[1]);
  if (oneIn(w, 40)) mmap(SHIFTING + PAGE_BYTES * below(w, 60), 4 * PAGE_BYTES, RW, FIXED, -1, 0);
}
function work(index: u64): u64 {
  const w = addr(workers[index]);
  while (atomicAdd(addr(shared.calls), 1) < shared.limit) step(w);
  atomicAdd(addr(shared.alive), ~u32(0));
  return 0;
}

/** A thread for each core that has none. */
function populate(count: u32): u32 {
  let used: u32 = count;
  while (used < THREADS) {
    const w = addr(workers[used]);
    w.index = used;
    w.random = (shared.seed * 64 + u64(used) + 1) * 0x9e37_79b9_7f4a_7c15;
    if (createThread(addr(w.thread), work, u64(used)) !== 0) break;
    atomicAdd(addr(shared.alive), 1);
    used++;
  }
  return used;
}

function parsed(text: ptr<u8>): u64 {
  const value: ParsedNumber = zeroed();
  parseDecimal(text, addr(value));
  return value.value;
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 3) return 9;
  shared.seed = parsed(argv[1]) * MAX_RANKS + u64(margayRank());
  shared.limit = parsed(argv[2]);
  if (mmap(OPEN, OPEN_BYTES, RW, FIXED, -1, 0) !== i64(OPEN)) return 2;
  if (mmap(STILL, PAGE_BYTES, Prot.READ, FIXED, -1, 0) !== i64(STILL)) return 2;
  if (mmap(SHIFTING, SHIFTING_BYTES, RW, FIXED, -1, 0) !== i64(SHIFTING)) return 2;
  const w = addr(workers[0]);
  w.random = (shared.seed * 64 + 1) * 0x9e37_79b9_7f4a_7c15;
  let used: u32 = populate(1);
  let looked: u64 = 0;
  while (atomicAdd(addr(shared.calls), 1) < shared.limit) {
    step(w);
    if (shared.calls - looked < LOOK_EVERY) continue;
    looked = shared.calls;
    look(w);
    // Where threads have ended there is a core again.
    used = populate(used);
  }
  look(w);
  const o = stdout();
  print(o, cstr("\nhostile: "));
  printDecimal(o, shared.limit);
  print(o, cstr(" calls, ok "));
  printDecimal(o, shared.succeeded);
  for (let errno: u32 = 0; errno < shared.errors.length; errno++) {
    if (shared.errors[errno] === 0) continue;
    print(o, cstr(", errno "));
    printDecimal(o, u64(errno));
    print(o, cstr(" "));
    printDecimal(o, shared.errors[errno]);
  }
  print(o, cstr("\n"));
  flushAll();
  // The others may be in the middle of a call, or wait: their end is the kernel's business.
  return i32(syscall6(Syscall.EXIT_GROUP, 0, 0, 0, 0, 0, 0));
}
