/**
 * Cost of a TLB shootdown if all other cores of the node use the address space. `cores N`; then in virtual ns (=
 * instructions) from `syscall` to `sysretq` of the initiator: `mprotect N` and `munmap N` of one page; and `disturbed
 * N`: time that each request takes from every other core, from its program back to its program. Means; the page is new
 * each time and has been written.
 */
import "../../../userland/lib/start.ts";
import { Errno } from "../../../kernel/abi/errno.ts";
import { PAGE_BYTES } from "../../../kernel/abi/memory.ts";
import { MapFlag, Prot } from "../../../kernel/abi/process.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { mmap, mprotect, munmap } from "../../../userland/lib/syscall.ts";
import { createThread, joinThread, type Thread } from "../../../userland/lib/thread.ts";

const ROUNDS: u64 = 16;
/** An iteration of the bystander's loop that is longer by this was interrupted. */
const GAP: u64 = 40;

class Bystander {
  thread!: Thread;
  isRunning: u64 = 0;
  interrupts: u64 = 0;
  taken: u64 = 0;
}
const bystanders: arr<Bystander, 63> = zeroed();
class Shared {
  isOver: u64 = 0;
}
const shared: Shared = new Shared();

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  let count: u32 = 0;
  while (count < 63) {
    const created: i64 = createThread(addr(bystanders[count].thread), standBy, u64(count));
    if (created === -Errno.EAGAIN) break;
    if (created < 0) return 1;
    count++;
  }
  for (let i: u32 = 0; i < count; i++) while (atomicLoad(addr(bystanders[i].isRunning)) === 0) asm`pause`;
  let protectNs: u64 = 0;
  let unmapNs: u64 = 0;
  for (let i: u64 = 0; i < ROUNDS; i++) {
    const page: i64 = mmap(0, PAGE_BYTES, Prot.READ | Prot.WRITE, MapFlag.PRIVATE | MapFlag.ANONYMOUS, -1, 0);
    if (page < 0) return 1;
    volatileWrite(cast<ptr<u64>>(page), i);
    const start: u64 = readTsc();
    if (mprotect(u64(page), PAGE_BYTES, Prot.READ) !== 0) return 1;
    const between: u64 = readTsc();
    if (munmap(u64(page), PAGE_BYTES) !== 0) return 1;
    unmapNs += readTsc() - between;
    protectNs += between - start;
  }
  atomicStore(addr(shared.isOver), 1);
  let interrupts: u64 = 0;
  let taken: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    joinThread(addr(bystanders[i].thread));
    interrupts += bystanders[i].interrupts;
    taken += bystanders[i].taken;
  }
  report(cstr("cores "), u64(count) + 1);
  report(cstr("mprotect "), protectNs / ROUNDS);
  report(cstr("munmap "), unmapNs / ROUNDS);
  report(cstr("disturbed "), interrupts === 0 ? 0 : taken / interrupts);
  return 0;
}

/** Computes, as all other cores of a job do while one of them changes a mapping. */
function standBy(index: u64): u64 {
  const me = addr(bystanders[index]);
  let turn: u64 = 0xffff_ffff;
  let before: u64 = readTsc();
  for (let n: u64 = 0; atomicLoad(addr(shared.isOver)) === 0; n++) {
    // The first iterations only measure their length.
    if (n === 3) atomicStore(addr(me.isRunning), 1);
    const now: u64 = readTsc();
    const taken: u64 = now - before;
    before = now;
    if (taken < turn) turn = taken;
    else if (taken >= turn + GAP) {
      me.interrupts++;
      me.taken += taken - turn;
    }
  }
  return 0;
}

function report(what: ptr<u8>, n: u64): void {
  const o = stdout();
  print(o, what);
  printDecimal(o, n);
  print(o, cstr("\n"));
}

function readTsc(): u64 {
  return asm<u64>({ out: "rax", clobber: ["rdx"] })`rdtsc; shl rdx, 32; or rax, rdx`;
}
