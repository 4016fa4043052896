/** Mappings from a program's view. Prints `memory: N checks passed`, or the number of the first that failed. */
import "../../../userland/lib/start.ts";
import { Errno } from "../../../kernel/abi/errno.ts";
import { MapFlag, Prot, type Utsname } from "../../../kernel/abi/process.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { brk, exitGroup, mmap, mprotect, munmap, uname, write } from "../../../userland/lib/syscall.ts";

const PAGE: u64 = 4096;
const LARGE: u64 = 0x20_0000;
const RW: u32 = Prot.READ | Prot.WRITE;
const ANONYMOUS: u32 = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
class Passed {
  count: u64 = 0;
}
const passed: Passed = new Passed();

function check(holds: boolean): void {
  if (!holds) {
    print(stdout(), cstr("memory: failed check "));
    printDecimal(stdout(), passed.count + 1);
    print(stdout(), cstr("\n"));
    exitGroup(1);
  }
  passed.count++;
}
function map(address: u64, bytes: u64, prot: u32, flags: u32): i64 {
  return mmap(address, bytes, prot, flags, -1, 0);
}
/** Whether the kernel considers the page writable; does not fault the program. */
function writable(address: u64): boolean {
  return uname(cast<ptr<Utsname>>(address)) === 0;
}
function word(address: u64): ptr<u64> {
  return cast<ptr<u64>>(address);
}

function small(): void {
  const at: i64 = map(0, 3 * PAGE, RW, ANONYMOUS);
  check(at > 0 && (u64(at) & (PAGE - 1)) === 0);
  const a: u64 = u64(at);
  for (let i: u64 = 0; i < 3; i++) {
    check(volatileRead(word(a + i * PAGE)) === 0);
    volatileWrite(word(a + i * PAGE), 0x1111 * (i + 1));
  }
  check(munmap(a + PAGE, PAGE) === 0);
  check(!writable(a + PAGE));
  check(volatileRead(word(a)) === 0x1111 && volatileRead(word(a + 2 * PAGE)) === 0x3333);
  // The hole is reused, and is zero again.
  check(map(a + PAGE, PAGE, RW, ANONYMOUS) === i64(a + PAGE));
  check(volatileRead(word(a + PAGE)) === 0);
  // MAP_FIXED replaces the mapping, MAP_FIXED_NOREPLACE does not.
  check(map(a, PAGE, RW, ANONYMOUS | MapFlag.FIXED_NOREPLACE) === -i64(Errno.EEXIST));
  check(map(a, PAGE, RW, ANONYMOUS | MapFlag.FIXED) === i64(a));
  check(volatileRead(word(a)) === 0);
  check(munmap(a, 3 * PAGE) === 0 && munmap(a, 3 * PAGE) === 0);
  check(!writable(a) && !writable(a + 2 * PAGE));
}

function protections(): void {
  const a: u64 = u64(map(0, 2 * PAGE, RW, ANONYMOUS));
  volatileWrite(word(a), 77);
  check(mprotect(a, PAGE, Prot.READ) === 0);
  check(!writable(a) && writable(a + PAGE));
  check(mprotect(a, PAGE, Prot.NONE) === 0);
  check(write(1, cast<ptr<u8>>(a), 1) === -i64(Errno.EFAULT));
  check(mprotect(a, PAGE, RW) === 0 && volatileRead(word(a)) === 77);
  const none: u64 = u64(map(0, 64 * LARGE, Prot.NONE, ANONYMOUS | MapFlag.NORESERVE));
  // More than the node's memory: nothing of it was populated.
  check(i64(none) > 0 && !writable(none));
  check(
    mprotect(none + PAGE, PAGE, RW) === 0 && writable(none + PAGE) && !writable(none) && !writable(none + 2 * PAGE),
  );
  check(mprotect(none + 64 * LARGE, PAGE, RW) === -i64(Errno.ENOMEM));
  check(munmap(none, 64 * LARGE) === 0 && munmap(a, 2 * PAGE) === 0);
}

function large(): void {
  const a: u64 = u64(map(0, 2 * LARGE + 5 * PAGE, RW, ANONYMOUS));
  check((a & (LARGE - 1)) === 0);
  for (let at: u64 = a; at < a + 2 * LARGE + 5 * PAGE; at += PAGE) {
    check(volatileRead(word(at)) === 0);
    volatileWrite(word(at), at);
  }
  // A hole in the middle of a large page does not affect its neighbours.
  check(munmap(a + 7 * PAGE, 2 * PAGE) === 0);
  check(!writable(a + 7 * PAGE) && !writable(a + 8 * PAGE));
  for (let at: u64 = a; at < a + 2 * LARGE + 5 * PAGE; at += PAGE) {
    if (at < a + 7 * PAGE || at >= a + 9 * PAGE) check(volatileRead(word(at)) === at);
  }
  check(munmap(a, 3 * LARGE) === 0);
}

function exhaustion(): void {
  check(map(0, 0x100_0000_0000, RW, ANONYMOUS) === -i64(Errno.ENOMEM));
  // Nothing leaks: half of the memory can be allocated repeatedly.
  for (let i: u32 = 0; i < 4; i++) {
    const at: i64 = map(0, 16 * LARGE, RW, ANONYMOUS);
    check(at > 0);
    check(munmap(u64(at), 16 * LARGE) === 0);
  }
}

function heap(): void {
  const start: u64 = u64(brk(0));
  check(start > 0);
  check(brk(start + 10000) === i64(start + 10000));
  volatileWrite(word((start + 9000) & ~u64(7)), 5);
  check(brk(start) === i64(start));
  check(brk(start + 10000) === i64(start + 10000));
  check(volatileRead(word((start + 9000) & ~u64(7))) === 0);
  // Beyond the possible, the end does not move.
  check(brk(start + 0x100_0000_0000) === i64(start + 10000));
}

function refusals(): void {
  check(map(0, 0, RW, ANONYMOUS) === -i64(Errno.EINVAL));
  check(map(PAGE + 1, PAGE, RW, ANONYMOUS | MapFlag.FIXED) === -i64(Errno.EINVAL));
  check(map(0xffff_8000_0000_0000, PAGE, RW, ANONYMOUS | MapFlag.FIXED) === -i64(Errno.ENOMEM));
  check(map(0, PAGE, RW, MapFlag.ANONYMOUS) === -i64(Errno.EINVAL));
  check(munmap(1, PAGE) === -i64(Errno.EINVAL) && munmap(PAGE, 0) === -i64(Errno.EINVAL));
  // Programs cannot use the kernel's memory under any of its addresses.
  check(write(1, cast<ptr<u8>>(0xffff_ffff_8010_0000), 16) === -i64(Errno.EFAULT));
  check(write(1, cast<ptr<u8>>(0x7fff_ffff_f000), 16) === -i64(Errno.EFAULT));
  check(write(1, cast<ptr<u8>>(~u64(15)), 32) === -i64(Errno.EFAULT));
  check(!writable(0xffff_8000_0010_0000));
}

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  small();
  protections();
  large();
  exhaustion();
  heap();
  refusals();
  print(stdout(), cstr("memory: "));
  printDecimal(stdout(), passed.count);
  print(stdout(), cstr(" checks passed\n"));
  return 0;
}
