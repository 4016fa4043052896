/**
 * The door: every argument of every system call is checked here, by its type in the table (abi/syscalltable.ts), in all
 * 64 bits, before a handler runs or anything is narrowed. Structures that an argument points to are copied and checked
 * once by structures.ts.
 *
 * A call whose arguments need no check (getpid, brk) is called directly by the SYSCALL entry. All others start in
 * `checkedCall`, which gives the handler a copy of the registers with checked values; the program's own registers are
 * unchanged. The types are compiled when the table is closed: most checks are one mask and one comparison
 * (tests/kernel/paths counts portal_unlink).
 */
import { Errno } from "../abi/errno.ts";
import { PAGE_BYTES, USER_END } from "../abi/memory.ts";
import { ARGUMENTS_MAX, ArgKind, type SyscallInfo, TIMEOUT_MAX } from "../abi/syscalls.ts";
import { fatal } from "../arch/fatal.ts";

/** The handler's arguments a…f, in the order in which the SYSCALL entry leaves them on the stack. */
export class Call {
  f: u64 = 0;
  e: u64 = 0;
  d: u64 = 0;
  c: u64 = 0;
  b: u64 = 0;
  a: u64 = 0;
  number: u64 = 0;
}
/** For the SYSCALL entry: everything that it leaves on the stack, lowest address first, including the return state. */
export class CallFrame extends Call {
  rip: u64 = 0;
  rflags: u64 = 0;
  rsp: u64 = 0;
}
export type Handler = (call: ptr<Call>) => i64;

/**
 * The check of one argument: `word & mask`, minus `lowest`, is at most `span`, or the call fails; then special checks
 * of its kind.
 */
class Check {
  /** Index of the argument's word in Call. */
  word: u16 = 0;
  /** ArgKind if more checks follow, NONE otherwise. */
  special: u8 = 0;
  errno: u8 = 0;
  limit: u32 = 0;
  mask: u64 = 0;
  lowest: u64 = 0;
  span: u64 = 0;
}
export class Rule {
  run: Handler | null = null;
  count: u64 = 0;
  checks!: arr<Check, 6>;
}
const ALL: u64 = 0xffff_ffff_ffff_ffff;
const LOW_HALF: u64 = 0xffff_ffff;

/** Compiles a call's argument types into `rule`, in Linux's order of checks. False: there is nothing to check. */
export function compileRule(rule: ptr<Rule>, info: ptr<SyscallInfo>): boolean {
  compileKinds(rule, info, ArgKind.S64, ArgKind.TIMEOUT);
  compileKinds(rule, info, ArgKind.FD, ArgKind.DIRECTORY);
  compileKinds(rule, info, ArgKind.ADDRESS, ArgKind.UPDATE_OPTIONAL);
  return rule.count !== 0;
}
function compileKinds(rule: ptr<Rule>, info: ptr<SyscallInfo>, first: u8, last: u8): void {
  for (let i: u32 = 0; i < ARGUMENTS_MAX && info.kinds[i] !== ArgKind.NONE; i++) {
    if (info.kinds[i] < first || info.kinds[i] > last) continue;
    const check = addr(rule.checks[rule.count]);
    check.word = u16(ARGUMENTS_MAX - 1 - i);
    if (compileCheck(check, info.kinds[i], info.limits[i])) rule.count++;
  }
}
/** False: an argument of this kind needs no check. */
function compileCheck(check: ptr<Check>, kind: u8, limit: u32): boolean {
  check.limit = limit;
  check.mask = ALL;
  check.span = ALL;
  check.errno = Errno.EINVAL;
  switch (kind) {
    case ArgKind.S64:
    case ArgKind.HEX:
    case ArgKind.ADDRESS:
    case ArgKind.RESULT:
    case ArgKind.RESULT_BYTES:
      return false;
    case ArgKind.U32:
      if (limit !== 0) check.span = u64(limit);
      check.mask = LOW_HALF;
      return true;
    case ArgKind.HEX32:
      check.mask = LOW_HALF;
      return true;
    case ArgKind.FD:
      check.mask = LOW_HALF;
      check.span = 0x7fff_ffff;
      check.errno = Errno.EBADF;
      return true;
    case ArgKind.INDEX:
      check.span = u64(limit) - 1;
      return true;
    case ArgKind.HANDLE:
    case ArgKind.COUNT:
      check.lowest = 1;
      check.span = u64(limit) - 1;
      return true;
    case ArgKind.OFFSET:
      check.span = ALL >> 1;
      return true;
    case ArgKind.READ:
    case ArgKind.WRITE:
    case ArgKind.READ_OPTIONAL:
    case ArgKind.WRITE_OPTIONAL:
    case ArgKind.UPDATE_OPTIONAL:
      // Null is below USER_END, too: if it is not optional, the copy fails.
      check.span = USER_END - u64(limit);
      check.errno = Errno.EFAULT;
      return true;
    case ArgKind.PATH:
    case ArgKind.PATH_OPTIONAL:
      check.span = USER_END - 1;
      check.errno = Errno.EFAULT;
      return true;
    case ArgKind.READ_BYTES:
    case ArgKind.WRITE_BYTES:
      check.errno = Errno.EFAULT;
      break;
    case ArgKind.S32:
    case ArgKind.DIRECTORY:
    case ArgKind.FLAGS:
      check.mask = LOW_HALF;
      break;
    case ArgKind.LENGTH:
      if (limit === 0) return false;
      break;
    case ArgKind.TIMEOUT:
    case ArgKind.PAGE:
    case ArgKind.ALIGNED:
      break;
    default:
      fatal(cstr("syscall: an argument type that nothing checks"), u64(kind));
  }
  check.special = kind;
  return true;
}

/** Whether the kernel may access `lengthBytes` from `address` at all; the copy finds out whether they are mapped. */
export function isUserRange(address: u64, lengthBytes: u64): boolean {
  return address < USER_END && lengthBytes <= USER_END - address;
}
/** 0, or the errno for an address that cannot hold a u32 on which threads wait: as Linux's futex. */
export function checkWord(address: u64): u32 {
  if ((address & 3) !== 0) return Errno.EINVAL;
  return isUserRange(address, 4) ? 0 : Errno.EFAULT;
}

/** Checks the arguments of `call` in place. 0, or an errno. */
export function checkArguments(rule: ptr<Rule>, call: ptr<Call>): u32 {
  const words = cast<ptr<u64>>(call);
  for (let i: u64 = 0; i < rule.count; i++) {
    const check = addr(rule.checks[i]);
    const value: u64 = words[check.word] & check.mask;
    if (value - check.lowest > check.span) return check.errno;
    words[check.word] = value;
    if (check.special === ArgKind.NONE) continue;
    const errno: u32 = checkSpecial(check, words, value);
    if (errno !== 0) return errno;
  }
  return 0;
}
function checkSpecial(check: ptr<Check>, words: ptr<u64>, value: u64): u32 {
  const limit: u64 = u64(check.limit);
  switch (check.special) {
    case ArgKind.READ_BYTES:
    case ArgKind.WRITE_BYTES:
      // The next argument is one word below.
      return isUserRange(value, words[check.word - 1]) ? 0 : check.errno;
    case ArgKind.S32:
    case ArgKind.DIRECTORY:
      words[check.word] = u64(i64(i32(u32(value))));
      return 0;
    case ArgKind.FLAGS:
      return (value & ~limit) === 0 ? 0 : check.errno;
    case ArgKind.LENGTH:
      if (value > limit) words[check.word] = limit;
      return 0;
    case ArgKind.TIMEOUT:
      if (i64(value) > i64(TIMEOUT_MAX)) words[check.word] = TIMEOUT_MAX;
      return 0;
    case ArgKind.PAGE:
      return (value & (PAGE_BYTES - 1)) === 0 ? 0 : check.errno;
    default:
      // ALIGNED
      if (value % limit !== 0) return check.errno;
      return isUserRange(value, limit) ? 0 : Errno.EFAULT;
  }
}
