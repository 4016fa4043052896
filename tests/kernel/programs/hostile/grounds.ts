/** The fuzzer's records, the grounds that its calls point into, and its random numbers and addresses. */
import { PAGE_BYTES, USER_END } from "../../../../kernel/abi/memory.ts";
import type { LoadRequest, MatchEntry, PortalRequest } from "../../../../kernel/abi/portals.ts";
import { type IntervalValue, PROGRAM_LOWEST, type Timespec } from "../../../../kernel/abi/process.ts";
import type { SignalAction } from "../../../../kernel/abi/signal.ts";
import type { Thread } from "../../../../userland/lib/thread.ts";

/** Ground whose addresses calls may get, and to which all threads write. */
export const OPEN: u64 = 0x7100_0000_0000;
export const OPEN_BYTES: u64 = 16 * PAGE_BYTES;
/** Read-only ground. */
export const STILL: u64 = 0x7180_0000_0000;
/** Ground that is mapped, unmapped and protected at random. */
export const SHIFTING: u64 = 0x7200_0000_0000;
export const SHIFTING_BYTES: u64 = 64 * PAGE_BYTES;
export const DIRECT_MAP: u64 = 0xffff_8000_0000_0000;
export const IMAGE: u64 = 0xffff_ffff_8000_0000;

/** Arguments a…f, number, result and what the registers hold afterwards. */
export class Attempt {
  arguments!: arr<u64, 6>;
  number: u64 = 0;
  result: u64 = 0;
  after!: arr<u64, 6>;
  /** Not 0: a call has changed a register that it must preserve. */
  changed: u64 = 0;
}
export class Worker {
  thread!: Thread;
  index: u32 = 0;
  random: u64 = 0;
  attempt!: Attempt;
  /** Ranges that mmap has placed; the oldest is unmapped when there are too many. */
  mapped!: arr<u64, 4>;
  mappedBytes!: arr<u64, 4>;
  turn: u64 = 0;
  /** Structures that no other thread writes. */
  time!: Timespec;
  entry!: MatchEntry;
  request!: PortalRequest;
  load!: LoadRequest;
  action!: SignalAction;
  interval!: IntervalValue;
  noise!: arr<u8, 512>;
}

/** xorshift64*. */
export function next(w: ptr<Worker>): u64 {
  let x: u64 = w.random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  w.random = x;
  return (x * 0x2545_f491_4f6c_dd1d) >> 16;
}
export function below(w: ptr<Worker>, count: u64): u64 {
  return next(w) % count;
}
export function oneIn(w: ptr<Worker>, count: u64): boolean {
  return below(w, count) === 0;
}

/** A number at or near some boundary. */
export function number(w: ptr<Worker>): u64 {
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
/** An address in the grounds; `lengthBytes` of it may be mapped. */
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
/** An invalid address. Where the program itself may be, another address is used. */
export function badAddress(w: ptr<Worker>, lengthBytes: u64): u64 {
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
export function address(w: ptr<Worker>, lengthBytes: u64): u64 {
  return oneIn(w, 3) ? badAddress(w, lengthBytes) : inGround(w, lengthBytes);
}
/** For words that a call waits on, or data that would fill the ground with meaningful words: outside the grounds. */
export function privateAddress(w: ptr<Worker>, own: u64, lengthBytes: u64): u64 {
  if (!oneIn(w, 4)) return own;
  const at: u64 = badAddress(w, lengthBytes);
  return at >= PROGRAM_LOWEST && at < USER_END - 2 * PAGE_BYTES ? 0 : at;
}
/** Start of a range that calls may unmap or protect: in `shifting`, above it, or invalid. */
export function rangeStart(w: ptr<Worker>): u64 {
  if (!oneIn(w, 4)) return SHIFTING + PAGE_BYTES * below(w, 64) + (oneIn(w, 8) ? below(w, PAGE_BYTES) : 0);
  return badAddress(w, PAGE_BYTES);
}
