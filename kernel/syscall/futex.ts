/**
 * futex: waits and wakes, with timeouts, bit sets and requeueing. Semantics: Linux, futex(2). Priority inheritance is
 * ENOSYS: nobody waits for a core, so there is nothing to inherit.
 */
import { Errno } from "../abi/errno.ts";
import { FutexChange, FutexCompare, FutexFlag, FutexOperation, type Timespec } from "../abi/process.ts";
import { Syscall } from "../abi/syscalls.ts";
import { bootEpochSeconds, bootTsc } from "../arch/clock.ts";
import { readTsc } from "../arch/cpu.ts";
import { ANY_BITS, futexRequeue, futexWait, futexWake, NO_DEADLINE } from "../core/futex.ts";
import type { Restart } from "../core/signalstate.ts";
import { currentTask, currentThread } from "../core/task.ts";
import { compareExchangeUser, copyFromUser, userRangeValid } from "../mm/user.ts";
import { type Call, checkWord } from "./arguments.ts";
import { takeTimespec } from "./structures.ts";
import { failure, registerSyscall } from "./table.ts";

export function futexCallsStart(): void {
  registerSyscall(Syscall.FUTEX, futex);
}

const NS_PER_SECOND: u64 = 1000000000;
/** Later deadlines count as none: 146 years. */
const LONGEST_SECONDS: i64 = 4611686018;

/** Bit n: command n is there. */
const KNOWN_COMMANDS: u32 =
  (1 << FutexOperation.WAIT) |
  (1 << FutexOperation.WAKE) |
  (1 << FutexOperation.REQUEUE) |
  (1 << FutexOperation.CMP_REQUEUE) |
  (1 << FutexOperation.WAKE_OP) |
  (1 << FutexOperation.WAIT_BITSET) |
  (1 << FutexOperation.WAKE_BITSET);

/** (u32 *word, operation, value, timeout or count2, u32 *word2, value3). */
function futex(call: ptr<Call>): i64 {
  const space = addr(currentTask().space);
  const operation: u32 = u32(call.b);
  const command: u32 = operation & FutexOperation.COMMAND_MASK;
  const value: u32 = u32(call.c);
  if ((operation & FutexFlag.CLOCK_REALTIME) !== 0 && command !== FutexOperation.WAIT_BITSET)
    return failure(Errno.ENOSYS);
  if ((operation & ~(FutexOperation.COMMAND_MASK | FutexFlag.PRIVATE | FutexFlag.CLOCK_REALTIME)) !== 0)
    return failure(Errno.ENOSYS);
  if (command >= 32 || ((KNOWN_COMMANDS >> command) & 1) === 0) return failure(Errno.ENOSYS);
  const errno: u32 = checkWord(call.a);
  if (errno !== 0) return failure(errno);
  // Linux looks for the page of a word that is not private.
  if ((operation & FutexFlag.PRIVATE) === 0 && !userRangeValid(space, call.a, 4, false)) return failure(Errno.EFAULT);
  switch (command) {
    case FutexOperation.WAIT:
      return wait(call, value, ANY_BITS, false);
    case FutexOperation.WAIT_BITSET:
      return wait(call, value, u32(call.f), true);
    case FutexOperation.WAKE:
      return i64(futexWake(space, call.a, countOf(value), ANY_BITS));
    case FutexOperation.WAKE_BITSET:
      if (u32(call.f) === 0) return failure(Errno.EINVAL);
      return i64(futexWake(space, call.a, countOf(value), u32(call.f)));
    case FutexOperation.REQUEUE:
    case FutexOperation.CMP_REQUEUE:
      if (i32(value) < 0 || i32(u32(call.d)) < 0) return failure(Errno.EINVAL);
      if (checkWord(call.e) !== 0) return failure(checkWord(call.e));
      return futexRequeue(
        space,
        call.a,
        call.e,
        u64(value),
        u64(u32(call.d)),
        command === FutexOperation.CMP_REQUEUE,
        u32(call.f),
      );
    case FutexOperation.WAKE_OP:
      return wakeAndChange(call, countOf(value));
    default:
      return failure(Errno.ENOSYS);
  }
}
/** Linux wakes one where it is asked for none or fewer. */
function countOf(value: u32): u64 {
  return i32(value) < 1 ? 1 : u64(value);
}

/**
 * WAIT's timeout is from now on; WAIT_BITSET's is a time of the monotonic clock, or with CLOCK_REALTIME of the wall
 * clock.
 */
function wait(call: ptr<Call>, value: u32, bits: u32, absolute: boolean): i64 {
  const space = addr(currentTask().space);
  let deadline: u64 = NO_DEADLINE;
  if (bits === 0) return failure(Errno.EINVAL);
  if (call.d !== 0) {
    const t: Timespec = zeroed();
    const errno: u32 = takeTimespec(space, call.d, addr(t));
    if (errno !== 0) return failure(errno);
    let seconds: i64 = t.seconds;
    let from: u64 = readTsc();
    if (absolute) {
      from = bootTsc();
      if ((call.b & FutexFlag.CLOCK_REALTIME) !== 0) seconds -= i64(bootEpochSeconds());
    }
    // Before boot: over at once, but only after a look at the word.
    if (seconds < 0) deadline = from + 1;
    else if (seconds < LONGEST_SECONDS) deadline = from + u64(seconds) * NS_PER_SECOND + u64(t.nanoseconds);
  }
  const result: i64 = futexWait(space, call.a, value, deadline, bits);
  if (deadline === NO_DEADLINE || result !== failure(Errno.ERESTARTSYS)) return result;
  const restart = addr(currentThread().signals.restart);
  restart.run = waitOn;
  restart.deadline = deadline;
  restart.words[0] = call.a;
  restart.words[1] = u64(value);
  restart.words[2] = u64(bits);
  return failure(Errno.ERESTART_RESTARTBLOCK);
}
/** The rest of a wait with a timeout. */
function waitOn(r: ptr<Restart>): i64 {
  const space = addr(currentTask().space);
  const result: i64 = futexWait(space, r.words[0], u32(r.words[1]), r.deadline, u32(r.words[2]));
  return result === failure(Errno.ERESTARTSYS) ? failure(Errno.ERESTART_RESTARTBLOCK) : result;
}

/**
 * WAKE_OP: changes the second word at once, wakes at the first, and at the second if its old value compares. value3 is
 * operation, comparison and two signed numbers of twelve bits.
 */
function wakeAndChange(call: ptr<Call>, wakes: u64): i64 {
  const space = addr(currentTask().space);
  const code: u32 = u32(call.f);
  const errno: u32 = checkWord(call.e);
  if (errno !== 0) return failure(errno);
  let operand: u32 = u32(i32(code << 8) >> 20);
  const compared: i32 = i32(code << 20) >> 20;
  let operation: u32 = (code >> 28) & 0xf;
  if ((operation & FutexChange.SHIFT) !== 0) {
    operation &= ~u32(FutexChange.SHIFT);
    operand = u32(1) << (operand & 31);
  }
  if (operation > FutexChange.XOR) return failure(Errno.ENOSYS);
  let old: u32 = 0;
  for (;;) {
    if (!copyFromUser(space, cast<ptr<u8>>(addr(old)), call.e, 4)) return failure(Errno.EFAULT);
    const result: i64 = compareExchangeUser(space, call.e, old, changed(operation, old, operand));
    if (result < 0) return failure(Errno.EFAULT);
    if (u32(result) === old) break;
  }
  let woken: u64 = futexWake(space, call.a, wakes, ANY_BITS);
  const comparison: u32 = (code >> 24) & 0xf;
  if (comparison > FutexCompare.GE) return failure(Errno.ENOSYS);
  if (compares(comparison, i32(old), compared)) woken += futexWake(space, call.e, countOf(u32(call.d)), ANY_BITS);
  return i64(woken);
}
function changed(operation: u32, old: u32, operand: u32): u32 {
  switch (operation) {
    case FutexChange.SET:
      return operand;
    case FutexChange.ADD:
      return old + operand;
    case FutexChange.OR:
      return old | operand;
    case FutexChange.ANDN:
      return old & ~operand;
    default:
      return old ^ operand;
  }
}
function compares(comparison: u32, a: i32, b: i32): boolean {
  switch (comparison) {
    case FutexCompare.EQ:
      return a === b;
    case FutexCompare.NE:
      return a !== b;
    case FutexCompare.LT:
      return a < b;
    case FutexCompare.LE:
      return a <= b;
    case FutexCompare.GT:
      return a > b;
    default:
      return a >= b;
  }
}
