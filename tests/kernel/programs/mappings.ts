/**
 * Random calls of mmap, munmap, mprotect, madvise and brk on a few pages: `mappings SEED CALLS`. Prints each call's
 * result and, from time to time, the state of every page. It uses no Margay call: on Linux it must print the same.
 */
import "../../../userland/lib/start.ts";
import { Advice, MapFlag, Prot, type Utsname } from "../../../kernel/abi/process.ts";
import { Syscall } from "../../../kernel/abi/syscalls.ts";
import { parseDecimal, type ParsedNumber } from "../../../toolchain/lib/rt/strings.ts";
import { print, printDecimal, printSigned, stdout } from "../../../userland/lib/stdio.ts";
import { brk, mmap, mprotect, munmap, openat, syscall3, uname } from "../../../userland/lib/syscall.ts";

const PAGE: u64 = 4096;
const PAGES: u64 = 40;
const EFAULT: i64 = -14;
const ANYWHERE: u32 = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
class State {
  random: u64 = 0;
  base: u64 = 0;
  heap: u64 = 0;
}
const state: State = new State();

/** xorshift64. */
function next(below: u64): u64 {
  let x: u64 = state.random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  state.random = x;
  return (x >> 11) % below;
}
function isReadable(page: u64): boolean {
  return openat(-100, cast<ptr<u8>>(page + 1024), 0, 0) !== EFAULT;
}
function isWritable(page: u64): boolean {
  return uname(cast<ptr<Utsname>>(page + 2048)) === 0;
}
function protection(): u32 {
  const which: u64 = next(4);
  if (which === 0) return Prot.NONE;
  return which === 1 ? Prot.READ : Prot.READ | Prot.WRITE;
}

/** `-` not accessible; else the number stored in it, and whether it is writable. */
function show(): void {
  for (let i: u64 = 0; i < PAGES; i++) {
    const page: u64 = state.base + i * PAGE;
    if (!isReadable(page)) {
      print(stdout(), cstr(" -"));
      continue;
    }
    print(stdout(), cstr(" "));
    printDecimal(stdout(), volatileRead(cast<ptr<u64>>(page)));
    if (isWritable(page)) print(stdout(), cstr("w"));
  }
  print(stdout(), cstr("\n"));
}

function call(round: u64): i64 {
  const first: u64 = next(PAGES);
  const at: u64 = state.base + first * PAGE;
  const most: u64 = PAGES - first;
  const bytes: u64 = (1 + next(most < 12 ? most : 12)) * PAGE - next(2) * 100;
  switch (next(8)) {
    case 0:
    case 1: {
      const mapped: i64 = mmap(at, bytes, protection(), ANYWHERE | MapFlag.FIXED, -1, 0);
      return mapped < 0 ? mapped : mapped - i64(state.base);
    }
    case 2: {
      const mapped: i64 = mmap(at, bytes, protection(), ANYWHERE | MapFlag.FIXED_NOREPLACE, -1, 0);
      return mapped < 0 ? mapped : mapped - i64(state.base);
    }
    case 3:
      return munmap(at + next(20) / 19, bytes);
    case 4:
      return mprotect(at + next(20) / 19, bytes, protection());
    case 5:
      return syscall3(Syscall.MADVISE, at, bytes, next(3) === 0 ? Advice.WILLNEED : Advice.DONTNEED);
    case 6: {
      const end: i64 = brk(state.heap + 4096 + next(30) * 1000);
      // Memory that was released and allocated again is zero.
      const old: u64 = volatileRead(cast<ptr<u64>>(state.heap));
      volatileWrite(cast<ptr<u64>>(state.heap), round);
      return end - i64(state.heap) + i64(old);
    }
    default:
      if (isWritable(at)) volatileWrite(cast<ptr<u64>>(at), round);
      return 0;
  }
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 3) return 9;
  const seed: ParsedNumber = zeroed();
  const calls: ParsedNumber = zeroed();
  parseDecimal(argv[1], addr(seed));
  parseDecimal(argv[2], addr(calls));
  state.random = (seed.value + 1) * 0x9e37_79b9_7f4a_7c15;
  state.base = u64(mmap(0, PAGES * PAGE, Prot.NONE, ANYWHERE, -1, 0));
  // Keeps at least one page of the heap.
  state.heap = u64(brk(0));
  brk(state.heap + 4096);
  for (let round: u64 = 1; round <= calls.value; round++) {
    const result: i64 = call(round);
    printSigned(stdout(), result);
    print(stdout(), cstr(" "));
    if (round % 16 === 0) show();
  }
  print(stdout(), cstr("\n"));
  return 0;
}
