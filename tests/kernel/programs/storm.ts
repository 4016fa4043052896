/**
 * Shootdowns from all cores at once: each thread replaces, protects and unmaps its own pages while it reads and writes
 * pages of others that do the same. `storm SEED ROUNDS`. Every page that a thread owns must hold what it wrote there
 * last; prints `storm: N operations`.
 */
import "../../../userland/lib/start.ts";
import { PAGE_BYTES } from "../../../kernel/abi/memory.ts";
import { MapFlag, Membarrier, Prot } from "../../../kernel/abi/process.ts";
import { Syscall } from "../../../kernel/abi/syscalls.ts";
import { parseDecimal, type ParsedNumber } from "../../../toolchain/lib/rt/strings.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { mmap, mprotect, munmap, syscall2 } from "../../../userland/lib/syscall.ts";
import { type Barrier, createThread, joinThread, type Thread, waitBarrier } from "../../../userland/lib/thread.ts";

const PAGES: u64 = 16;
class Worker {
  thread!: Thread;
  operations: u64 = 0;
  failed: u64 = 0;
  random: u64 = 0;
}
const workers: arr<Worker, 64> = zeroed();
const barrier: Barrier = zeroed();
class Shared {
  base: u64 = 0;
  rounds: u64 = 0;
  seed: u64 = 0;
}
const shared: Shared = new Shared();

/** xorshift64. */
function next(w: ptr<Worker>, below: u64): u64 {
  let x: u64 = w.random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  w.random = x;
  return (x >> 11) % below;
}

function work(index: u64): u64 {
  const w = addr(workers[index]);
  w.random = (shared.seed * 64 + index + 1) * 0x9e37_79b9_7f4a_7c15;
  const own: u64 = shared.base + index * PAGES * PAGE_BYTES;
  const flags: u32 = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
  const open: u32 = Prot.READ | Prot.WRITE;
  waitBarrier(addr(barrier));
  for (let round: u64 = 1; round <= shared.rounds; round++) {
    const page: u64 = next(w, PAGES);
    const at: u64 = own + page * PAGE_BYTES;
    const count: u64 = 1 + next(w, PAGES - page);
    switch (next(w, 3)) {
      case 0:
        if (mmap(at, count * PAGE_BYTES, open, flags, -1, 0) !== i64(at)) w.failed++;
        break;
      case 1:
        if (mprotect(at, count * PAGE_BYTES, Prot.READ) !== 0) w.failed++;
        if (mprotect(at, count * PAGE_BYTES, open) !== 0) w.failed++;
        break;
      default:
        if (munmap(at, count * PAGE_BYTES) !== 0) w.failed++;
        if (mmap(at, count * PAGE_BYTES, open, flags, -1, 0) !== i64(at)) w.failed++;
        break;
    }
    w.operations++;
    // From time to time, all at once.
    if ((round & 3) === 0) {
      waitBarrier(addr(barrier));
      if (mprotect(own, PAGE_BYTES, Prot.READ) !== 0 || mprotect(own, PAGE_BYTES, open) !== 0) w.failed++;
      // Cross-calls without any lock.
      waitBarrier(addr(barrier));
      for (let i: u32 = 0; i < 4; i++) {
        if (syscall2(Syscall.MEMBARRIER, Membarrier.PRIVATE_EXPEDITED, 0) !== 0) w.failed++;
      }
    }
    for (let i: u64 = 0; i < count; i++) volatileWrite(cast<ptr<u64>>(at + i * PAGE_BYTES), (index << 32) | round);
    for (let i: u64 = 0; i < count; i++) {
      if (volatileRead(cast<ptr<u64>>(at + i * PAGE_BYTES)) !== ((index << 32) | round)) w.failed++;
    }
  }
  return 0;
}

function number(text: ptr<u8>): u64 {
  const parsed: ParsedNumber = zeroed();
  parseDecimal(text, addr(parsed));
  return parsed.value;
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 3) return 9;
  shared.seed = number(argv[1]);
  shared.rounds = number(argv[2]);
  const base: i64 = mmap(0, 64 * PAGES * PAGE_BYTES, Prot.NONE, MapFlag.PRIVATE | MapFlag.ANONYMOUS, -1, 0);
  if (base < 0) return 2;
  shared.base = u64(base);
  if (syscall2(Syscall.MEMBARRIER, Membarrier.REGISTER_PRIVATE_EXPEDITED, 0) !== 0) return 2;
  // No thread starts before all exist: the last to arrive counts them.
  barrier.parties = 64;
  let count: u32 = 1;
  while (count < 64 && createThread(addr(workers[count].thread), work, u64(count)) === 0) count++;
  const opened: i64 = mmap(
    u64(base),
    u64(count) * PAGES * PAGE_BYTES,
    Prot.READ | Prot.WRITE,
    MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED,
    -1,
    0,
  );
  if (opened !== base) return 2;
  while (atomicLoad(addr(barrier.arrived)) !== count - 1) asm`pause`;
  barrier.parties = count;
  work(0);
  let operations: u64 = workers[0].operations;
  let failed: u64 = workers[0].failed;
  for (let i: u32 = 1; i < count; i++) {
    joinThread(addr(workers[i].thread));
    operations += workers[i].operations;
    failed += workers[i].failed;
  }
  print(stdout(), cstr("storm: "));
  printDecimal(stdout(), operations);
  print(stdout(), cstr(" operations, "));
  printDecimal(stdout(), failed);
  print(stdout(), cstr(" failed\n"));
  return failed === 0 ? 0 : 1;
}
