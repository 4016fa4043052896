/**
 * Threads: create and join, mutex, barrier, condition. Each thread has its own core, so a waiter spins briefly before
 * it makes a system call, and an uncontended operation makes none. All objects are plain structs in the program's
 * memory; zero is their initial state. The mutex is that of Ulrich Drepper, "Futexes Are Tricky", section 5.
 */
import { CloneFlag, FutexFlag, FutexOperation, MapFlag, Prot } from "../../kernel/abi/process.ts";
import { Syscall } from "../../kernel/abi/syscalls.ts";
import { mmap, munmap, syscall3, syscall6 } from "./syscall.ts";

const STACK_BYTES: u64 = 0x1_0000;
/** Reads of a word before a system call is worth its cost: a few microseconds. */
const SPINS: u32 = 500;
const ALL: u64 = 0x7fff_ffff;

export class Thread {
  run: ((argument: u64) => u64) | null = null;
  argument: u64 = 0;
  /** What `run` returned. */
  result: u64 = 0;
  stack: u64 = 0;
  /** Not 0 while the thread lives; the kernel clears it and wakes waiters when the thread ends. */
  tid: u32 = 0;
  reserved: u32 = 0;
}

/** Waits while the word is `value`. Returns the kernel's result. */
export function futexWait(word: ptr<u32>, value: u32): i64 {
  return syscall6(Syscall.FUTEX, cast<u64>(word), FutexOperation.WAIT | FutexFlag.PRIVATE, u64(value), 0, 0, 0);
}
export function futexWake(word: ptr<u32>, count: u64): i64 {
  return syscall3(Syscall.FUTEX, cast<u64>(word), FutexOperation.WAKE | FutexFlag.PRIVATE, count);
}

const FLAGS: u64 =
  CloneFlag.VM |
  CloneFlag.FS |
  CloneFlag.FILES |
  CloneFlag.SIGHAND |
  CloneFlag.THREAD |
  CloneFlag.SYSVSEM |
  CloneFlag.SETTLS |
  CloneFlag.PARENT_SETTID |
  CloneFlag.CHILD_CLEARTID;

/**
 * Starts `run(argument)` on a free core of the job. Returns 0; -EAGAIN: no free core; -ENOMEM: no stack. `thread` is in
 * use until it is joined.
 */
export function createThread(thread: ptr<Thread>, run: (argument: u64) => u64, argument: u64): i64 {
  const stack: i64 = mmap(0, STACK_BYTES, Prot.READ | Prot.WRITE, MapFlag.PRIVATE | MapFlag.ANONYMOUS, -1, 0);
  if (stack < 0) return stack;
  thread.run = run;
  thread.argument = argument;
  thread.stack = u64(stack);
  const tid: i64 = cloneThread(FLAGS, u64(stack) + STACK_BYTES, addr(thread.tid), addr(thread.tid), thread);
  if (tid < 0) {
    munmap(u64(stack), STACK_BYTES);
    return tid;
  }
  return 0;
}

/** Waits for the thread's end; returns its result. */
export function joinThread(thread: ptr<Thread>): u64 {
  for (;;) {
    const tid: u32 = spinWhile(addr(thread.tid), volatileRead(addr(thread.tid)));
    if (tid === 0) break;
    // Not private, because the kernel's wake at the thread's end is not private either.
    syscall6(Syscall.FUTEX, cast<u64>(addr(thread.tid)), FutexOperation.WAIT, u64(tid), 0, 0, 0);
  }
  munmap(thread.stack, STACK_BYTES);
  return thread.result;
}

/**
 * clone(flags, stack, parent tid, child tid, tls). The new thread starts in `threadMain` with its Thread, which is also
 * its FS base.
 */
function cloneThread(_flags: u64, _stack: u64, _parentTid: ptr<u32>, _childTid: ptr<u32>, _thread: ptr<Thread>): i64 {
  return cast<(flags: u64, stack: u64, parentTid: ptr<u32>, childTid: ptr<u32>, thread: ptr<Thread>) => i64>(cloneStub)(
    _flags,
    _stack,
    _parentTid,
    _childTid,
    _thread,
  );
}
function cloneStub(): void {
  attr({ naked: true });
  asm`
    mov r10, rcx
    mov eax, ${Syscall.CLONE}
    syscall
    test rax, rax
    jz 1f
    ret
  1:
    .cfi_undefined rip
    xor ebp, ebp
    mov rdi, r8
    call ${threadMain}
    ud2
  `;
}
function threadMain(thread: ptr<Thread>): never {
  const run = thread.run;
  if (run !== null) thread.result = run(thread.argument);
  exitThread();
}
/** Ends only this thread. */
export function exitThread(): never {
  syscall3(Syscall.EXIT, 0, 0, 0);
  unreachable();
}

/** Returns the word once it differs from `value`, or `value` after SPINS reads. */
function spinWhile(word: ptr<u32>, value: u32): u32 {
  for (let i: u32 = 0; i < SPINS; i++) {
    const now: u32 = volatileRead(word);
    if (now !== value) return now;
    asm`pause`;
  }
  return volatileRead(word);
}

// ---- mutex
const FREE: u32 = 0;
const HELD: u32 = 1;
/** Held, and there may be waiters. */
const CONTENDED: u32 = 2;
export class Mutex {
  state: u32 = 0;
}
export function lockMutex(m: ptr<Mutex>): void {
  if (atomicCompareExchange(addr(m.state), FREE, HELD) === FREE) return;
  if (spinWhile(addr(m.state), HELD) === FREE && atomicCompareExchange(addr(m.state), FREE, HELD) === FREE) return;
  while (atomicExchange(addr(m.state), CONTENDED) !== FREE) futexWait(addr(m.state), CONTENDED);
}
export function tryLockMutex(m: ptr<Mutex>): boolean {
  return atomicCompareExchange(addr(m.state), FREE, HELD) === FREE;
}
export function unlockMutex(m: ptr<Mutex>): void {
  if (atomicExchange(addr(m.state), FREE) === CONTENDED) futexWake(addr(m.state), 1);
}

// ---- barrier
export class Barrier {
  /** Number of participating threads; set once before use. */
  parties: u32 = 0;
  arrived: u32 = 0;
  /** Number of completed barriers. */
  generation: u32 = 0;
  /** Threads that sleep or are about to sleep. */
  sleepers: u32 = 0;
}
/** Returns true in exactly one thread: the last to arrive. */
export function waitBarrier(b: ptr<Barrier>): boolean {
  const generation: u32 = atomicLoad(addr(b.generation));
  if (atomicAdd(addr(b.arrived), 1) + 1 === b.parties) {
    atomicStore(addr(b.arrived), 0);
    atomicAdd(addr(b.generation), 1);
    if (atomicLoad(addr(b.sleepers)) !== 0) futexWake(addr(b.generation), ALL);
    return true;
  }
  if (spinWhile(addr(b.generation), generation) !== generation) return false;
  atomicAdd(addr(b.sleepers), 1);
  while (atomicLoad(addr(b.generation)) === generation) futexWait(addr(b.generation), generation);
  atomicAdd(addr(b.sleepers), ~u32(0));
  return false;
}

// ---- condition
export class Condition {
  /** Number of signals. */
  sequence: u32 = 0;
  waiters: u32 = 0;
}
/** The caller holds `m`. Releases it, waits for a signal, takes it again. May return without a signal. */
export function waitCondition(c: ptr<Condition>, m: ptr<Mutex>): void {
  const sequence: u32 = atomicLoad(addr(c.sequence));
  atomicAdd(addr(c.waiters), 1);
  unlockMutex(m);
  if (spinWhile(addr(c.sequence), sequence) === sequence) futexWait(addr(c.sequence), sequence);
  atomicAdd(addr(c.waiters), ~u32(0));
  lockMutex(m);
}
export function signalCondition(c: ptr<Condition>): void {
  if (atomicLoad(addr(c.waiters)) === 0) return;
  atomicAdd(addr(c.sequence), 1);
  futexWake(addr(c.sequence), 1);
}
export function broadcastCondition(c: ptr<Condition>): void {
  if (atomicLoad(addr(c.waiters)) === 0) return;
  atomicAdd(addr(c.sequence), 1);
  futexWake(addr(c.sequence), ALL);
}
