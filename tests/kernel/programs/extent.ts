/**
 * Calls that name far more than there is: what they answer, and in how many virtual nanoseconds. A line each: name,
 * result, time.
 *   extent names         ranges of terabytes
 *   extent regions N     N regions in one reservation, then all of it goes
 *   extent fill BYTES    maps, writes and unmaps BYTES again and again, for ever
 */
import "../../../userland/lib/start.ts";
import { Advice, MapFlag, Prot, RemapFlag, type Utsname } from "../../../kernel/abi/process.ts";
import { Syscall } from "../../../kernel/abi/syscalls.ts";
import { parseDecimal, type ParsedNumber } from "../../../toolchain/lib/rt/strings.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { brk, mmap, mprotect, munmap, syscall3, syscall4, uname } from "../../../userland/lib/syscall.ts";

const PAGE: u64 = 4096;
const TERABYTE: u64 = 0x100_0000_0000;
const LAST_PAGE: u64 = 0x7fff_ffff_e000;
const RW: u32 = Prot.READ | Prot.WRITE;
const ANYWHERE: u32 = MapFlag.PRIVATE | MapFlag.ANONYMOUS;

function now(): u64 {
  return asm<u64>({ out: "rax", clobber: ["rdx"] })`
    rdtsc
    shl rdx, 32
    or rax, rdx
  `;
}
class Clock {
  start: u64 = 0;
}
const clock: Clock = new Clock();
function begin(): void {
  clock.start = now();
}
/** 0: what it should be, else the errno. */
function line(name: ptr<u8>, result: i64): void {
  const ns: u64 = now() - clock.start;
  print(stdout(), name);
  print(stdout(), cstr(" "));
  printDecimal(stdout(), result < 0 ? u64(-result) : 0);
  print(stdout(), cstr(" "));
  printDecimal(stdout(), ns);
  print(stdout(), cstr("\n"));
  begin();
}
function madvise(address: u64, bytes: u64, advice: u64): i64 {
  return syscall3(Syscall.MADVISE, address, bytes, advice);
}

function names(): void {
  const top: i64 = mmap(LAST_PAGE, PAGE, RW, ANYWHERE | MapFlag.FIXED, -1, 0);
  begin();
  line(cstr("last-page"), top);
  line(cstr("mmap-all"), mmap(0, 0x7f00_0000_0000, Prot.NONE, ANYWHERE | MapFlag.NORESERVE, -1, 0));
  line(cstr("mmap-1536M"), mmap(0, 0x6000_0000, RW, ANYWHERE, -1, 0));
  line(cstr("mremap-to-end"), syscall4(Syscall.MREMAP, LAST_PAGE, PAGE, 0x7fff_ffff_e000, RemapFlag.MAYMOVE));
  line(cstr("mmap-4T"), mmap(0, 4 * TERABYTE, RW, ANYWHERE, -1, 0));
  line(cstr("mmap-fixed-4T"), mmap(0x3000_0000_0000, 4 * TERABYTE, RW, ANYWHERE | MapFlag.FIXED, -1, 0));
  line(cstr("brk-16T"), brk(0x1000_0000_0000) === brk(0) ? 0 : -1);
  line(cstr("munmap-nothing-16T"), munmap(0x5000_0000_0000, 16 * TERABYTE));
  line(cstr("mprotect-nothing-16T"), mprotect(0x5000_0000_0000, 16 * TERABYTE, Prot.READ));
  line(cstr("madvise-nothing-16T"), madvise(0x5000_0000_0000, 16 * TERABYTE, Advice.DONTNEED));
  const all: i64 = mmap(0, 16 * TERABYTE, Prot.NONE, ANYWHERE, -1, 0);
  line(cstr("reserve-16T"), all);
  const at: u64 = u64(all);
  line(cstr("mprotect-rw-16T"), mprotect(at, 16 * TERABYTE, RW));
  line(cstr("mprotect-none-16T"), mprotect(at, 16 * TERABYTE, Prot.NONE));
  line(cstr("mprotect-one-page"), mprotect(at + 5 * TERABYTE, PAGE, RW));
  volatileWrite(cast<ptr<u64>>(at + 5 * TERABYTE), 7);
  begin();
  line(cstr("madvise-16T"), madvise(at, 16 * TERABYTE, Advice.DONTNEED));
  line(cstr("cleared"), volatileRead(cast<ptr<u64>>(at + 5 * TERABYTE)) === 0 ? 0 : -1);
  line(cstr("munmap-16T"), munmap(at, 16 * TERABYTE));
  lazy();
}
/** Memory comes with the first touch: by the program, by the kernel for it, and again after it was given back. */
function lazy(): void {
  begin();
  const all: i64 = mmap(0, 16 * TERABYTE, Prot.NONE, ANYWHERE | MapFlag.NORESERVE, -1, 0);
  line(cstr("lazy-reserve-16T"), all);
  const at: u64 = u64(all);
  line(cstr("lazy-rw-16T"), mprotect(at, 16 * TERABYTE, RW));
  const far = cast<ptr<u64>>(at + 9 * TERABYTE);
  line(cstr("lazy-zero"), volatileRead(far) === 0 ? 0 : -1);
  volatileWrite(far, 7);
  line(cstr("lazy-kernel-writes"), uname(cast<ptr<Utsname>>(at + 11 * TERABYTE - 100)));
  line(
    cstr("lazy-kept"),
    volatileRead(far) === 7 && volatileRead(cast<ptr<u8>>(at + 11 * TERABYTE - 100)) === 77 ? 0 : -1,
  );
  line(cstr("lazy-madvise-16T"), madvise(at, 16 * TERABYTE, Advice.DONTNEED));
  line(cstr("lazy-cleared"), volatileRead(far) === 0 ? 0 : -1);
  line(cstr("lazy-mprotect-16T"), mprotect(at, 16 * TERABYTE, Prot.READ));
  line(cstr("lazy-read-only"), uname(cast<ptr<Utsname>>(at + 13 * TERABYTE)));
  line(cstr("lazy-munmap-16T"), munmap(at, 16 * TERABYTE));
}

/** All of it is there at once, and zero where it is looked at; then there is no room for the same again. */
function once(bytes: u64): void {
  begin();
  const at: i64 = mmap(0, bytes, RW, ANYWHERE, -1, 0);
  line(cstr("mmap"), at);
  if (at < 0) return;
  let touched: u64 = 0;
  for (let offset: u64 = 0; offset < bytes; offset += 0x100_0000) {
    const word = cast<ptr<u64>>(u64(at) + offset);
    if (volatileRead(word) === 0) touched++;
    volatileWrite(word, 1);
  }
  line(cstr("touched"), touched === bytes / 0x100_0000 ? 0 : -1);
  begin();
  line(cstr("mmap-again"), mmap(0, bytes, RW, ANYWHERE, -1, 0));
  line(cstr("munmap"), munmap(u64(at), bytes));
}

function regions(count: u64): void {
  const at: i64 = mmap(0, 2 * count * PAGE, Prot.NONE, ANYWHERE, -1, 0);
  let failed: i64 = at < 0 ? at : 0;
  for (let i: u64 = 0; i < count && failed === 0; i++) failed = mprotect(u64(at) + 2 * i * PAGE, PAGE, Prot.READ);
  begin();
  line(cstr("regions"), failed);
  // All of them become one again.
  line(cstr("mprotect-all"), mprotect(u64(at), 2 * count * PAGE, Prot.NONE));
  line(cstr("munmap-all"), munmap(u64(at), 2 * count * PAGE));
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 2) return 9;
  if (argv[1][0] === 110) {
    names();
    return 0;
  }
  const n: ParsedNumber = zeroed();
  parseDecimal(argv[2], addr(n));
  if (argv[1][0] === 114) {
    regions(n.value);
    return 0;
  }
  if (argv[1][0] === 111) {
    once(n.value);
    return 0;
  }
  for (;;) {
    const at: i64 = mmap(0, n.value, RW, ANYWHERE, -1, 0);
    if (at < 0) return 1;
    volatileWrite(cast<ptr<u64>>(u64(at) + n.value - 8), 1);
    if (munmap(u64(at), n.value) !== 0) return 2;
  }
}
