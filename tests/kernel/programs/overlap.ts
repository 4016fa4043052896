/**
 * All cores change one address space at the same moment: they meet, and each takes out pages of its own, round by
 * round.
 *
 *   overlap unmap|replace|protect|large ROUNDS   pages of its own: after each round they hold what belongs there.
 *   overlap contend ROUNDS                       one page that all replace by MAP_FIXED while all read and write it, and let the kernel
 *                                                write it: it is never seen missing, neither by a program nor by a call.
 * Prints `overlap: N operations, F failed`.
 */
import "../../../userland/lib/start.ts";
import { LARGE_PAGE_BYTES, PAGE_BYTES } from "../../../kernel/abi/memory.ts";
import { MapFlag, Prot } from "../../../kernel/abi/process.ts";
import { Syscall } from "../../../kernel/abi/syscalls.ts";
import { parseDecimal, type ParsedNumber } from "../../../toolchain/lib/rt/strings.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { mmap, mprotect, munmap, syscall2 } from "../../../userland/lib/syscall.ts";
import { createThread, joinThread, type Thread } from "../../../userland/lib/thread.ts";

const PAGES: u64 = 4;
const OPEN: u32 = Prot.READ | Prot.WRITE;
const ANYWHERE: u32 = MapFlag.PRIVATE | MapFlag.ANONYMOUS;
const CLOCK_MONOTONIC: u64 = 1;
class Worker {
  thread!: Thread;
  operations: u64 = 0;
  failed: u64 = 0;
}
const workers: arr<Worker, 64> = zeroed();
class Shared {
  base: u64 = 0;
  bytesEach: u64 = 0;
  rounds: u64 = 0;
  way: u8 = 0;
  /** Number of threads, once all have been started. */
  parties: u64 = 0;
  arrived: u64 = 0;
  /** Completed meetings. */
  met: u64 = 0;
}
const shared: Shared = new Shared();

/** A barrier without system calls: all continue within a few instructions of each other. */
function meet(): void {
  const met: u64 = atomicLoad(addr(shared.met));
  if (atomicAdd(addr(shared.arrived), 1) + 1 === atomicLoad(addr(shared.parties))) {
    atomicStore(addr(shared.arrived), 0);
    atomicAdd(addr(shared.met), 1);
    return;
  }
  while (atomicLoad(addr(shared.met)) === met) asm`pause`;
}

function fixed(at: u64, bytes: u64): boolean {
  return mmap(at, bytes, OPEN, ANYWHERE | MapFlag.FIXED, -1, 0) === i64(at);
}
/** Fresh pages hold zeros; then the round's number. */
function takePossession(w: ptr<Worker>, at: u64, bytes: u64, round: u64): void {
  for (let offset: u64 = 0; offset < bytes; offset += PAGE_BYTES) {
    if (volatileRead(cast<ptr<u64>>(at + offset)) !== 0) w.failed++;
    volatileWrite(cast<ptr<u64>>(at + offset), round);
  }
}
function holds(w: ptr<Worker>, at: u64, bytes: u64, value: u64): void {
  for (let offset: u64 = 0; offset < bytes; offset += PAGE_BYTES) {
    if (volatileRead(cast<ptr<u64>>(at + offset)) !== value) w.failed++;
  }
}

function change(w: ptr<Worker>, own: u64, round: u64): void {
  const bytes: u64 = shared.bytesEach;
  switch (shared.way) {
    case 117: // unmap
      if (munmap(own, bytes) !== 0) w.failed++;
      if (!fixed(own, bytes)) w.failed++;
      break;
    case 112: // protect
      if (mprotect(own, bytes, Prot.READ) !== 0 || mprotect(own, bytes, OPEN) !== 0) w.failed++;
      holds(w, own, bytes, round - 1);
      for (let offset: u64 = 0; offset < bytes; offset += PAGE_BYTES)
        volatileWrite(cast<ptr<u64>>(own + offset), round);
      return;
    case 108: // large: a hole into the middle, then all of it
      if (munmap(own + 16 * PAGE_BYTES, 16 * PAGE_BYTES) !== 0) w.failed++;
      holds(w, own, 16 * PAGE_BYTES, round - 1);
      if (!fixed(own, bytes)) w.failed++;
      break;
    default: // replace
      if (!fixed(own, bytes)) w.failed++;
      break;
  }
  takePossession(w, own, bytes, round);
}

function work(index: u64): u64 {
  const w = addr(workers[index]);
  while (atomicLoad(addr(shared.parties)) === 0) asm`pause`;
  const own: u64 = shared.base + index * shared.bytesEach;
  for (let round: u64 = 1; round <= shared.rounds; round++) {
    meet();
    if (shared.way === 99) {
      if (!fixed(shared.base, PAGE_BYTES)) w.failed++;
      for (let i: u32 = 0; i < 8; i++) {
        volatileWrite(cast<ptr<u64>>(shared.base + 64), round);
        if (volatileRead(cast<ptr<u64>>(shared.base + 64)) > shared.rounds) w.failed++;
        if (syscall2(Syscall.CLOCK_GETTIME, CLOCK_MONOTONIC, shared.base) !== 0) w.failed++;
      }
    } else {
      change(w, own, round);
      holds(w, own, shared.bytesEach, round);
    }
    w.operations++;
  }
  // All cores stay in the address space to the end.
  meet();
  return 0;
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 3) return 9;
  const rounds: ParsedNumber = zeroed();
  parseDecimal(argv[2], addr(rounds));
  shared.rounds = rounds.value;
  shared.way = argv[1][0];
  shared.bytesEach = shared.way === 108 ? LARGE_PAGE_BYTES : PAGES * PAGE_BYTES;
  let count: u32 = 1;
  while (count < 64 && createThread(addr(workers[count].thread), work, u64(count)) === 0) count++;
  const base: i64 = mmap(0, u64(count) * shared.bytesEach, OPEN, ANYWHERE, -1, 0);
  if (base < 0) return 2;
  shared.base = u64(base);
  atomicStore(addr(shared.parties), u64(count));
  work(0);
  let operations: u64 = workers[0].operations;
  let failed: u64 = workers[0].failed;
  for (let i: u32 = 1; i < count; i++) {
    joinThread(addr(workers[i].thread));
    operations += workers[i].operations;
    failed += workers[i].failed;
  }
  print(stdout(), cstr("overlap: "));
  printDecimal(stdout(), operations);
  print(stdout(), cstr(" operations, "));
  printDecimal(stdout(), failed);
  print(stdout(), cstr(" failed\n"));
  return failed === 0 ? 0 : 1;
}
