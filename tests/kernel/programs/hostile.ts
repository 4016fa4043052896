/**
 * Hostile calls: `hostile SEED CALLS`. Threads on all cores of each rank make random system calls, with arguments by
 * their types in the table: good ones, and ones that are too large, negative, unaligned, in the kernel's half,
 * non-canonical, across the end of the user half or of what is mapped, read-only, null. Structures are mostly good with
 * a field or two that is not; what lies in shared memory is overwritten meanwhile by other threads, event queues too.
 * Ends with `hostile: N calls` and the counts of results.
 *
 * Looked for, beside the kernel's own checks: a kernel address in a result or in memory, a register that a call has
 * changed, a result below -4095, a write into memory that can only be read. What is found ends the job with a line and
 * status 1.
 *
 * Three grounds, from low to high: what a call may be given the address of and the threads write to (`open`), one that
 * stays as it is and can only be read (`still`), and one that is mapped, unmapped and protected at random (`shifting`).
 * Nothing of the program lies above them, so a range that starts there can be as long as it likes. Kernel addresses are
 * in arguments, and in structures in the program's own data, never in the grounds: what is found there is the kernel's.
 */
import "../../../userland/lib/start.ts";
import { MAX_RANKS } from "../../../kernel/abi/job.ts";
import { PAGE_BYTES } from "../../../kernel/abi/memory.ts";
import type { PortalEvent } from "../../../kernel/abi/portals.ts";
import { MapFlag, PROGRAM_LOWEST, Prot } from "../../../kernel/abi/process.ts";
import { ArgKind, ARGUMENTS_MAX, Route, Syscall, type SyscallInfo } from "../../../kernel/abi/syscalls.ts";
import { syscallInfos } from "../../../kernel/abi/syscalltable.ts";
import { parseDecimal, type ParsedNumber } from "../../../toolchain/lib/rt/strings.ts";
import { flushAll, print, printDecimal, printHex, stdout } from "../../../userland/lib/stdio.ts";
import { margayRank, mmap, syscall2, syscall6 } from "../../../userland/lib/syscall.ts";
import { createThread } from "../../../userland/lib/thread.ts";
import { argument, handleSignals, refine, scribble } from "./hostile/arguments.ts";
import {
  type Attempt,
  below,
  DIRECT_MAP,
  IMAGE,
  number,
  oneIn,
  OPEN,
  OPEN_BYTES,
  SHIFTING,
  SHIFTING_BYTES,
  STILL,
  type Worker,
} from "./hostile/grounds.ts";

const RW: u32 = Prot.READ | Prot.WRITE;
const FIXED: u32 = MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED;
const THREADS: u32 = 64;
/** Calls between two checks of the grounds. */
const LOOK_EVERY: u64 = 512;

const workers: arr<Worker, 64> = zeroed();
class Shared {
  calls: u64 = 0;
  limit: u64 = 0;
  seed: u64 = 0;
  /** Threads that exist. */
  alive: u32 = 0;
  failures: u32 = 0;
  succeeded: u64 = 0;
  /** Counts by errno. */
  errors!: arr<u64, 200>;
}
const shared: Shared = zeroed();

/**
 * The instruction with all arguments, and all registers afterwards. A thread that clone creates ends at once without
 * touching its stack: the number is in a register, because its creator continues on the stack.
 */
function make(_a: ptr<Attempt>): void {
  attr({ naked: true });
  asm`
    push rbx; push rbp; push r12; push r13; push r14; push r15
    push rdi
    mov rbx, rdi
    mov rdi, [rbx + ${offsetof<Attempt>("arguments")}]
    mov rsi, [rbx + ${offsetof<Attempt>("arguments") + 8}]
    mov rdx, [rbx + ${offsetof<Attempt>("arguments") + 16}]
    mov r10, [rbx + ${offsetof<Attempt>("arguments") + 24}]
    mov r8, [rbx + ${offsetof<Attempt>("arguments") + 32}]
    mov r9, [rbx + ${offsetof<Attempt>("arguments") + 40}]
    mov r12, [rbx + ${offsetof<Attempt>("number")}]
    lea rbp, [rbx + 1]
    lea r13, [rbx + 2]
    lea r14, [rbx + 3]
    lea r15, [rbx + 4]
    mov rax, r12
    syscall
    cmp r12, ${Syscall.CLONE}
    jne 1f
    test rax, rax
    jnz 1f
    mov eax, ${Syscall.EXIT}
    xor edi, edi
    syscall
  1:
    pop rcx
    mov [rcx + ${offsetof<Attempt>("result")}], rax
    mov [rcx + ${offsetof<Attempt>("after")}], rdi
    mov [rcx + ${offsetof<Attempt>("after") + 8}], rsi
    mov [rcx + ${offsetof<Attempt>("after") + 16}], rdx
    mov [rcx + ${offsetof<Attempt>("after") + 24}], r10
    mov [rcx + ${offsetof<Attempt>("after") + 32}], r8
    mov [rcx + ${offsetof<Attempt>("after") + 40}], r9
    # Each of the others less what it was: 0.
    sub r12, [rcx + ${offsetof<Attempt>("number")}]
    sub rbx, rcx
    sub rbp, rcx
    sub r13, rcx
    sub r14, rcx
    sub r15, rcx
    sub rbp, 1
    sub r13, 2
    sub r14, 3
    sub r15, 4
    or rbx, rbp
    or rbx, r12
    or rbx, r13
    or rbx, r14
    or rbx, r15
    mov [rcx + ${offsetof<Attempt>("changed")}], rbx
    pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx
    ret
  `;
}

/** In RAM in the direct map (the nodes have 64 MB), or in the kernel's image. */
function looksLikeKernel(value: u64): boolean {
  return value - DIRECT_MAP < 0x800_0000 || value - (IMAGE + 0x10_0000) < 0x80_0000;
}

/** Reports the error with the call, and ends the job. */
function fail(w: ptr<Worker>, what: ptr<u8>, value: u64): void {
  if (atomicExchange(addr(shared.failures), 1) !== 0) for (;;) asm`pause`;
  const o = stdout();
  print(o, cstr("\nhostile: "));
  print(o, what);
  print(o, cstr(" "));
  printHex(o, value);
  print(o, cstr(" at call "));
  printDecimal(o, shared.calls);
  print(o, cstr(", last call of thread "));
  printDecimal(o, u64(w.index));
  print(o, cstr(": "));
  printDecimal(o, w.attempt.number);
  for (let i: u32 = 0; i < ARGUMENTS_MAX; i++) {
    print(o, cstr(" "));
    printHex(o, w.attempt.arguments[i]);
  }
  print(o, cstr("\n"));
  flushAll();
  syscall2(Syscall.EXIT_GROUP, 1, 0);
}
function judge(w: ptr<Worker>): void {
  const a = addr(w.attempt);
  const result: i64 = i64(a.result);
  if (looksLikeKernel(a.result)) fail(w, cstr("a kernel address as result"), a.result);
  if (result <= -512 && result >= -516) fail(w, cstr("the kernel's own number as result"), a.result);
  if (result < 0 && result < -4095) fail(w, cstr("a result that is none"), a.result);
  for (let i: u32 = 0; i < ARGUMENTS_MAX; i++)
    if (a.after[i] !== a.arguments[i]) fail(w, cstr("a register was changed"), a.after[i]);
  if (a.changed !== 0) fail(w, cstr("a register that calls keep was changed"), a.changed);
  if (result >= 0) atomicAdd(addr(shared.succeeded), 1);
  else atomicAdd(addr(shared.errors[-result < 200 ? u64(-result) : 0]), 1);
}
/** Looks for kernel addresses in memory that calls have written, and for any change of read-only memory. */
function look(w: ptr<Worker>): void {
  for (let at: u64 = OPEN; at < OPEN + OPEN_BYTES; at += 8) {
    const value: u64 = volatileRead(cast<ptr<u64>>(at));
    if (looksLikeKernel(value)) fail(w, cstr("a kernel address in memory"), value);
  }
  for (let at: u64 = STILL; at < STILL + PAGE_BYTES; at += 8)
    if (volatileRead(cast<ptr<u64>>(at)) !== 0) fail(w, cstr("read-only memory was written"), at);
}

/** Releases mmap's ranges, so that the test itself does not use up memory for long. */
function keepMapped(w: ptr<Worker>, at: u64, lengthBytes: u64): void {
  const slot: u64 = w.turn++ & 3;
  if (w.mapped[slot] !== 0) syscall2(Syscall.MUNMAP, w.mapped[slot], w.mappedBytes[slot]);
  w.mapped[slot] = at;
  w.mappedBytes[slot] = lengthBytes;
}

/**
 * Calls are alike but for those that the I/O node serves, which cost the host much, and those that are refused, which
 * are many and have no code.
 */
function chooseCall(w: ptr<Worker>): ptr<SyscallInfo> {
  for (;;) {
    const info = addr(syscallInfos[below(w, syscallInfos.length)]);
    if (info.number === Syscall.EXIT_GROUP) continue;
    // These wait for a signal that need not come, or put the program where its stack says.
    if (info.number === Syscall.PAUSE || info.number === Syscall.RT_SIGSUSPEND) continue;
    if (info.number === Syscall.RT_SIGRETURN) continue;
    // These would send the program's own faults and its end anywhere; tests/system/upcalls has hostile handlers.
    if (info.number === Syscall.MARGAY_FAULT_HANDLER || info.number === Syscall.MARGAY_EXIT_HANDLER) continue;
    if (info.number === Syscall.EXIT && (w.index === 0 || !oneIn(w, 50))) continue;
    if (info.route === Route.SHIPPED && !oneIn(w, 4)) continue;
    if (info.route === Route.REFUSED && !oneIn(w, 32)) continue;
    return info;
  }
}

function step(w: ptr<Worker>): void {
  const info = chooseCall(w);
  const a = addr(w.attempt);
  a.number = u64(info.number);
  for (let i: u32 = 0; i < ARGUMENTS_MAX; i++)
    a.arguments[i] = argument(w, info.kinds[i], u64(info.limits[i]), 2 * sizeof<PortalEvent>());
  refine(w, a);
  // A range that starts below the program also ends there.
  if (info.kinds[0] === ArgKind.PAGE && a.arguments[0] < SHIFTING) a.arguments[1] &= PROGRAM_LOWEST - 1;
  // Call numbers that do not exist, or not with all 64 bits.
  if (oneIn(w, 100)) a.number = oneIn(w, 2) ? number(w) | 0x1000_0000 : a.number | (u64(1) << (32 + below(w, 32)));
  // Other threads write to what the kernel may be reading, including event queues.
  for (let i: u64 = below(w, 4); i > 0; i--) scribble(OPEN + 8 * below(w, OPEN_BYTES / 8), number(w));
  if (a.number === Syscall.EXIT) atomicAdd(addr(shared.alive), ~u32(0));
  make(a);
  judge(w);
  if (a.number === Syscall.MMAP && i64(a.result) >= 0 && (a.result < OPEN || a.result >= SHIFTING + SHIFTING_BYTES))
    keepMapped(w, a.result, a.arguments[1]);
  if (oneIn(w, 40)) mmap(SHIFTING + PAGE_BYTES * below(w, 60), 4 * PAGE_BYTES, RW, FIXED, -1, 0);
}
function work(index: u64): u64 {
  const w = addr(workers[index]);
  while (atomicAdd(addr(shared.calls), 1) < shared.limit) step(w);
  atomicAdd(addr(shared.alive), ~u32(0));
  return 0;
}

/** Creates a thread for each core that has none. */
function populate(count: u32): u32 {
  let used: u32 = count;
  while (used < THREADS) {
    const w = addr(workers[used]);
    w.index = used;
    w.random = (shared.seed * 64 + u64(used) + 1) * 0x9e37_79b9_7f4a_7c15;
    if (createThread(addr(w.thread), work, u64(used)) !== 0) break;
    atomicAdd(addr(shared.alive), 1);
    used++;
  }
  return used;
}

function parsed(text: ptr<u8>): u64 {
  const value: ParsedNumber = zeroed();
  parseDecimal(text, addr(value));
  return value.value;
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 3) return 9;
  shared.seed = parsed(argv[1]) * MAX_RANKS + u64(margayRank());
  shared.limit = parsed(argv[2]);
  if (mmap(OPEN, OPEN_BYTES, RW, FIXED, -1, 0) !== i64(OPEN)) return 2;
  if (mmap(STILL, PAGE_BYTES, Prot.READ, FIXED, -1, 0) !== i64(STILL)) return 2;
  if (mmap(SHIFTING, SHIFTING_BYTES, RW, FIXED, -1, 0) !== i64(SHIFTING)) return 2;
  const w = addr(workers[0]);
  w.random = (shared.seed * 64 + 1) * 0x9e37_79b9_7f4a_7c15;
  handleSignals(w);
  let used: u32 = populate(1);
  let looked: u64 = 0;
  while (atomicAdd(addr(shared.calls), 1) < shared.limit) {
    step(w);
    if (shared.calls - looked < LOOK_EVERY) continue;
    looked = shared.calls;
    look(w);
    // Ended threads have freed their cores.
    used = populate(used);
  }
  look(w);
  const o = stdout();
  print(o, cstr("\nhostile: "));
  printDecimal(o, shared.limit);
  print(o, cstr(" calls, ok "));
  printDecimal(o, shared.succeeded);
  for (let errno: u32 = 0; errno < shared.errors.length; errno++) {
    if (shared.errors[errno] === 0) continue;
    print(o, cstr(", errno "));
    printDecimal(o, u64(errno));
    print(o, cstr(" "));
    printDecimal(o, shared.errors[errno]);
  }
  print(o, cstr("\n"));
  flushAll();
  // The others may be in a call, or wait: ending them is the kernel's task.
  return i32(syscall6(Syscall.EXIT_GROUP, 0, 0, 0, 0, 0, 0));
}
