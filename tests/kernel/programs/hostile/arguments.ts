/** The arguments of one call: by their types in the table, and corrected where the table is not sufficient. */
import { Fcntl, FlockFlag } from "../../../../kernel/abi/io.ts";
import { PAGE_BYTES } from "../../../../kernel/abi/memory.ts";
import type { LoadRequest, MatchEntry, PortalRequest } from "../../../../kernel/abi/portals.ts";
import {
  CloneFlag,
  FutexOperation,
  type IntervalValue,
  MapFlag,
  type Timespec,
} from "../../../../kernel/abi/process.ts";
import { Signal, type SignalAction, SignalFlag, SignalHandler } from "../../../../kernel/abi/signal.ts";
import { ArgKind, Syscall } from "../../../../kernel/abi/syscalls.ts";
import { syscall2, syscall6 } from "../../../../userland/lib/syscall.ts";
import {
  address,
  type Attempt,
  below,
  next,
  number,
  oneIn,
  OPEN,
  OPEN_BYTES,
  privateAddress,
  rangeStart,
  type Worker,
} from "./grounds.ts";

/** Longest wait, ns. */
const PATIENCE: u64 = 3000;

// ---- structures ----------------------------------------------------------------------------------------------------
function fillTime(w: ptr<Worker>): u64 {
  w.time.seconds = 0;
  w.time.nanoseconds = i64(below(w, PATIENCE));
  if (oneIn(w, 4)) w.time.nanoseconds = i64(1000000000 + below(w, 3)) - 1;
  if (oneIn(w, 4)) w.time.seconds = -1 - i64(below(w, 1000));
  // 10^9 - 1 ns is valid, but too long to wait for.
  if (w.time.seconds === 0 && w.time.nanoseconds === 999999999) w.time.nanoseconds = 1000000000;
  return cast<u64>(addr(w.time));
}
/** nids 1 and 2 exist. */
function nid(w: ptr<Worker>): u32 {
  if (oneIn(w, 64)) return u32(number(w));
  return u32(1 + below(w, 2));
}
/** Writes a copy of the structure to `open`, or leaves it where no thread disturbs it. Returns its address. */
function place(w: ptr<Worker>, from: u64, lengthBytes: u64): u64 {
  if (oneIn(w, 8)) return address(w, lengthBytes);
  if (oneIn(w, 2)) return from;
  const at: u64 = OPEN + 8 * below(w, (OPEN_BYTES - lengthBytes) / 8);
  for (let i: u64 = 0; i < lengthBytes; i += 8) scribble(at + i, cast<ptr<u64>>(from + i)[0]);
  return at;
}
/**
 * A value for `open` and for what the kernel returns in events. Copies move it by any number of bytes, so no part of
 * it, alone or with its neighbours, may look like a kernel address.
 */
function quiet(value: u64): u64 {
  return value & 0x7fff_ffff_7fff_ffff;
}
export function scribble(at: u64, value: u64): void {
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
/** A timeout. */
function patience(w: ptr<Worker>): u64 {
  const at: u64 = privateAddress(w, fillTime(w), sizeof<Timespec>());
  return at === 0 ? 8 : at;
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

// ---- arguments -----------------------------------------------------------------------------------------------------
export function argument(w: ptr<Worker>, kind: u8, limit: u64, sizeOfStructure: u64): u64 {
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
    case ArgKind.PATH_OPTIONAL:
      return oneIn(w, 4) ? 0 : path(w);
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
    case ArgKind.RESULT:
    case ArgKind.RESULT_BYTES:
    case ArgKind.UPDATE_OPTIONAL:
      return address(w, limit === 0 ? sizeOfStructure : limit);
    default:
      return number(w);
  }
}
/** Neither SIGKILL nor SIGSTOP, which no handler takes. */
function harmless(w: ptr<Worker>, signal: u64): u64 {
  const given: u32 = u32(oneIn(w, 4) ? signal : below(w, 66));
  return given === Signal.SIGKILL || given === Signal.SIGSTOP ? u64(Signal.SIGUSR1) : u64(given);
}
/** A handler that returns, or none that ends the task. */
function signalAction(w: ptr<Worker>): u64 {
  w.action.handler = oneIn(w, 3) ? u64(SignalHandler.IGNORE) : cast<u64>(handler);
  w.action.flags =
    u64(SignalFlag.RESTORER) | (next(w) & u64(SignalFlag.SIGINFO | SignalFlag.NODEFER | SignalFlag.RESTART));
  w.action.restorer = cast<u64>(restorer);
  w.action.mask = next(w) << 8;
  return cast<u64>(addr(w.action));
}
/** Every signal has a handler from now on. */
export function handleSignals(w: ptr<Worker>): void {
  for (let signal: u64 = 1; signal <= Signal.SIGRTMAX; signal++) {
    signalAction(w);
    w.action.handler = cast<u64>(handler);
    syscall6(Syscall.RT_SIGACTION, signal, cast<u64>(addr(w.action)), 0, 8, 0, 0);
  }
}
function handler(): void {
  attr({ naked: true });
  asm`ret`;
}
function restorer(): void {
  attr({ naked: true });
  asm`
    mov eax, ${Syscall.RT_SIGRETURN}
    syscall
  `;
}
function interval(w: ptr<Worker>): u64 {
  w.interval.value.seconds = i64(below(w, 2));
  w.interval.value.microseconds = i64(below(w, 1000010));
  w.interval.interval.seconds = i64(below(w, 2));
  // Not so often that nothing else happens.
  w.interval.interval.microseconds = 200 + i64(below(w, 1000010));
  return cast<u64>(addr(w.interval));
}
/**
 * Makes those arguments valid that the table cannot know, and those that would end the run or make it wait for ever.
 */
export function refine(w: ptr<Worker>, a: ptr<Attempt>): void {
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
      // The heap lies below everything important.
      return;
    case Syscall.WRITE:
      if (u32(a.arguments[0]) === 1 || u32(a.arguments[0]) === 2) a.arguments[2] = below(w, 16);
      return;
    case Syscall.CLOSE:
      if (u32(a.arguments[0]) < 3) a.arguments[0] += 4;
      return;
    // What the program prints at its end is its own.
    case Syscall.WRITEV:
    case Syscall.PWRITEV2:
    case Syscall.SENDFILE:
    case Syscall.CLOSE_RANGE:
      if (u32(a.arguments[0]) < 3) a.arguments[0] += 4;
      return;
    case Syscall.DUP2:
    case Syscall.DUP3:
      if (u32(a.arguments[1]) < 3) a.arguments[1] += 4;
      return;
    // The next job finds the root as it was.
    case Syscall.CHMOD:
    case Syscall.FCHMOD:
      a.arguments[1] |= 0o700;
      return;
    case Syscall.FCHMODAT:
    case Syscall.FCHMODAT2:
      a.arguments[2] |= 0o700;
      return;
    // Nobody waits for ever.
    case Syscall.POLL:
      if (!oneIn(w, 8)) a.arguments[1] = below(w, 8);
      a.arguments[2] = 0;
      return;
    case Syscall.PPOLL:
      if (!oneIn(w, 8)) a.arguments[1] = below(w, 8);
      a.arguments[2] = patience(w);
      return;
    case Syscall.SELECT:
    case Syscall.PSELECT6:
      if (!oneIn(w, 4)) a.arguments[0] = below(w, 256);
      a.arguments[4] = patience(w);
      // select has microseconds, and takes more of them than a second has.
      if (a.number === Syscall.SELECT && w.time.nanoseconds > i64(PATIENCE)) w.time.nanoseconds = 3;
      return;
    case Syscall.FLOCK:
      a.arguments[1] = FlockFlag.NONBLOCK | below(w, 16);
      return;
    case Syscall.FCNTL: {
      const command: u32 = oneIn(w, 4) ? u32(number(w)) : u32(oneIn(w, 2) ? below(w, 12) : 36 + below(w, 3));
      const waits: boolean = command === Fcntl.SETLKW || command === Fcntl.OFD_SETLKW;
      a.arguments[1] = waits ? u64(Fcntl.GETFL) : u64(command);
      return;
    }
    case Syscall.IOCTL:
      if (!oneIn(w, 4)) a.arguments[1] = 0x5400 + below(w, 0x60);
      return;
    case Syscall.OPEN:
      a.arguments[1] = oneIn(w, 4) ? number(w) : 0x42;
      return;
    case Syscall.KILL:
    case Syscall.TKILL:
    case Syscall.RT_SIGQUEUEINFO:
      if (oneIn(w, 2)) a.arguments[0] = u64(syscall2(Syscall.GETPID, 0, 0));
      a.arguments[1] = harmless(w, a.arguments[1]);
      return;
    case Syscall.TGKILL:
    case Syscall.RT_TGSIGQUEUEINFO:
      if (!oneIn(w, 4)) a.arguments[0] = u64(syscall2(Syscall.GETPID, 0, 0));
      if (oneIn(w, 2)) a.arguments[1] = a.arguments[0] + below(w, 4);
      a.arguments[2] = harmless(w, a.arguments[2]);
      return;
    case Syscall.RT_SIGACTION:
      a.arguments[1] = privateAddress(w, signalAction(w), sizeof<SignalAction>());
      if (!oneIn(w, 4)) a.arguments[3] = 8;
      return;
    case Syscall.RT_SIGTIMEDWAIT:
      a.arguments[2] = privateAddress(w, fillTime(w), sizeof<Timespec>());
      // Null waits for ever.
      if (a.arguments[2] === 0) a.arguments[2] = 8;
      if (!oneIn(w, 4)) a.arguments[3] = 8;
      return;
    case Syscall.RT_SIGPROCMASK:
    case Syscall.RT_SIGPENDING:
      if (!oneIn(w, 4)) a.arguments[a.number === Syscall.RT_SIGPENDING ? 1 : 3] = 8;
      return;
    case Syscall.SETITIMER:
      a.arguments[1] = privateAddress(w, interval(w), sizeof<IntervalValue>());
      return;
    case Syscall.RSEQ:
      // What a thread registers is looked at when a signal comes, and ends it where it is wrong.
      a.arguments[1] = 64;
      return;
    case Syscall.SET_ROBUST_LIST:
      // get_robust_list writes the address back as it was given, and a kernel address in memory is what is looked for.
      a.arguments[0] &= ~(u64(1) << 62);
      if (!oneIn(w, 4)) a.arguments[1] = 24;
      return;
    case Syscall.CLOCK_NANOSLEEP:
      a.arguments[2] = privateAddress(w, fillTime(w), sizeof<Timespec>());
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
        // Null waits for ever; other invalid addresses are tested elsewhere.
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
