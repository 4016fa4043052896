/**
 * Lengths of the kernel's shortest paths, in instructions: on our machine the TSC counts retired instructions. A call:
 * from `syscall` to `sysret`, both counted. An interrupt: from the stub of its vector to `iretq`; the test sends it to
 * core 1 between the two marks.
 */
import "../../../userland/lib/start.ts";
import { PAGE_BYTES } from "../../../kernel/abi/memory.ts";
import { Clock, FutexFlag, FutexOperation, Prot, type Timespec } from "../../../kernel/abi/process.ts";
import { Syscall } from "../../../kernel/abi/syscalls.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { syscall2 } from "../../../userland/lib/syscall.ts";
import { createThread, joinThread, type Thread } from "../../../userland/lib/thread.ts";

const thread: Thread = zeroed();
const word: u32 = 0;
/** @align 4096 */
const page: arr<u8, 4096> = zeroed();

/** Ticks with and without the call, everything else equal. */
function call(number: u64, a: u64, b: u64, c: u64): u64 {
  const empty: u64 = asm<u64>({ out: "rax", clobber: ["rdx", "r8", "r10"] })`
    rdtsc
    mov r8d, eax
    xor r10d, r10d
    xor edx, edx
    mov eax, 0
    rdtsc
    sub eax, r8d
  `;
  const full: u64 = asm<u64>({
    in: { rbx: number, rdi: a, rsi: b, r12: c },
    out: "rax",
    clobber: ["rcx", "rdx", "r8", "r10", "r11", "memory"],
  })`
    rdtsc
    mov r8d, eax
    xor r10d, r10d
    mov rdx, r12
    mov eax, ebx
    syscall
    rdtsc
    sub eax, r8d
  `;
  return full - empty;
}

/** The longest interval in a loop of `count` equal steps, minus the shortest. */
function longestGap(count: u64): u64 {
  return asm<u64>({ in: { rbx: count }, out: "rax", clobber: ["rcx", "rdx", "rbx", "r8", "r9", "r10"] })`
    mov r9d, 0
    mov r10d, 1000000
    rdtsc
    mov r8d, eax
    jmp 2f
  1:
    rdtsc
    mov ecx, eax
    sub ecx, r8d
    mov r8d, eax
    cmp ecx, r9d
    cmova r9d, ecx
    cmp ecx, r10d
    cmovb r10d, ecx
  2:
    sub rbx, 1
    jnz 1b
    mov eax, r9d
    sub eax, r10d
  `;
}
function watch(_argument: u64): u64 {
  longestGap(10);
  syscall2(Syscall.MARGAY_MARK, 1, 0);
  const path: u64 = longestGap(2000);
  syscall2(Syscall.MARGAY_MARK, 2, 0);
  return path;
}

function line(what: ptr<u8>, count: u64): void {
  print(stdout(), what);
  print(stdout(), cstr(" "));
  printDecimal(stdout(), count);
  print(stdout(), cstr("\n"));
}
export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  line(cstr("getpid"), call(Syscall.GETPID, 0, 0, 0));
  line(cstr("sched_yield"), call(Syscall.SCHED_YIELD, 0, 0, 0));
  line(cstr("none"), call(400, 0, 0, 0));
  line(cstr("margay_mark"), call(Syscall.MARGAY_MARK, 0, 0, 0));
  const time: Timespec = zeroed();
  line(cstr("clock_gettime"), call(Syscall.CLOCK_GETTIME, Clock.MONOTONIC, cast<u64>(addr(time)), 0));
  line(cstr("futex_wake"), call(Syscall.FUTEX, cast<u64>(addr(word)), FutexOperation.WAKE | FutexFlag.PRIVATE, 1));
  line(cstr("portal_unlink"), call(Syscall.PORTAL_UNLINK, 1, 0, 0));
  line(cstr("mprotect"), call(Syscall.MPROTECT, cast<u64>(addr(page)), PAGE_BYTES, Prot.READ | Prot.WRITE));
  if (createThread(addr(thread), watch, 0) !== 0) return 1;
  line(cstr("interrupt"), joinThread(addr(thread)));
  return 0;
}
