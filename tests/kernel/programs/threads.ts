/** Threads and futexes, checked from inside: the first argument selects the test. Prints `threads: N checks passed`. */
import "../../../userland/lib/start.ts";
import { Errno } from "../../../kernel/abi/errno.ts";
import {
  ArchPrctl,
  Clock,
  CloneFlag,
  FutexFlag,
  FutexOperation,
  MapFlag,
  Prot,
  type Timespec,
} from "../../../kernel/abi/process.ts";
import { Syscall } from "../../../kernel/abi/syscalls.ts";
import { stringsEqual } from "../../../toolchain/lib/rt/strings.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import {
  clockGettime,
  getcpu,
  mmap,
  schedYield,
  syscall2,
  syscall3,
  syscall4,
  syscall6,
} from "../../../userland/lib/syscall.ts";
import {
  type Barrier,
  broadcastCondition,
  type Condition,
  createThread,
  exitThread,
  futexWait,
  futexWake,
  joinThread,
  lockMutex,
  type Mutex,
  signalCondition,
  type Thread,
  tryLockMutex,
  unlockMutex,
  waitBarrier,
  waitCondition,
} from "../../../userland/lib/thread.ts";
import { nanoseconds, sleepNs } from "../../../userland/lib/time.ts";

class State {
  checks: u64 = 0;
  failed: u64 = 0;
  counter: u64 = 0;
  word: u32 = 0;
  other: u32 = 0;
  started: u32 = 0;
  woken: u32 = 0;
  full: u32 = 0;
  consumed: u32 = 0;
}
const state: State = zeroed();
const mutex: Mutex = zeroed();
const barrier: Barrier = zeroed();
const condition: Condition = zeroed();
const roomy: Condition = zeroed();
const threads: arr<Thread, 8> = zeroed();

function check(good: boolean, what: ptr<u8>): void {
  state.checks++;
  if (good) return;
  state.failed++;
  print(stdout(), cstr("failed: "));
  print(stdout(), what);
  print(stdout(), cstr("\n"));
}
function mark(value: u64): void {
  syscall2(Syscall.MARGAY_MARK, 1, value);
}
/** Starts `run` on every free core; returns the number of threads besides this one. */
function fill(run: (argument: u64) => u64): u32 {
  let count: u32 = 0;
  while (count < threads.length && createThread(addr(threads[count]), run, u64(count)) === 0) count++;
  return count;
}
function cores(): u32 {
  let mask: u64 = 0;
  check(syscall3(Syscall.SCHED_GETAFFINITY, 0, 8, cast<u64>(addr(mask))) === 8, cstr("affinity is 8 bytes"));
  let count: u32 = 0;
  for (let rest: u64 = mask; rest !== 0; rest = rest & (rest - 1)) count++;
  return count;
}

// ---- create, join
function ten(argument: u64): u64 {
  return argument + 10;
}
function create(): void {
  const all: u32 = cores();
  for (let round: u32 = 0; round < 20; round++) {
    const made: u32 = fill(ten);
    // Threads that have already ended make room again.
    check(made >= 1, cstr("at least one"));
    for (let i: u32 = 0; i < made; i++) check(joinThread(addr(threads[i])) === u64(i) + 10, cstr("result"));
  }
  const made: u32 = fill(waitForWord);
  check(made === all - 1, cstr("one thread a core"));
  const past: Thread = zeroed();
  check(createThread(addr(past), ten, 0) === -Errno.EAGAIN, cstr("EAGAIN past that"));
  atomicStore(addr(state.word), 1);
  for (let i: u32 = 0; i < made; i++) joinThread(addr(threads[i]));
  // A join frees the core at once.
  for (let round: u32 = 0; round < 20; round++) {
    for (let i: u32 = 0; i + 1 < all; i++) check(createThread(addr(threads[i]), ten, u64(i)) === 0, cstr("again"));
    for (let i: u32 = 0; i + 1 < all; i++) check(joinThread(addr(threads[i])) === u64(i) + 10, cstr("joined again"));
  }
}
function waitForWord(_argument: u64): u64 {
  while (atomicLoad(addr(state.word)) === 0) asm`pause`;
  return 0;
}

// ---- who am I
function identity(argument: u64): u64 {
  let cpu: u32 = 99;
  getcpu(addr(cpu));
  const tid: u64 = u64(syscall2(Syscall.GETTID, 0, 0));
  let fs: u64 = 0;
  syscall2(Syscall.ARCH_PRCTL, ArchPrctl.GET_FS, cast<u64>(addr(fs)));
  check(fs === cast<u64>(addr(threads[argument])), cstr("FS is the Thread"));
  syscall2(Syscall.ARCH_PRCTL, ArchPrctl.SET_GS, 0x1000 + argument * 8);
  waitBarrier(addr(barrier));
  let gs: u64 = 0;
  syscall2(Syscall.ARCH_PRCTL, ArchPrctl.GET_GS, cast<u64>(addr(gs)));
  check(gs === 0x1000 + argument * 8, cstr("GS is the thread's own"));
  check(schedYield() === 0, cstr("yield"));
  return (tid << 8) | u64(cpu);
}
function identities(): void {
  const all: u32 = cores();
  // No thread ends and makes room before all exist: this thread takes part.
  barrier.parties = all;
  const made: u32 = fill(identity);
  check(made === all - 1, cstr("all made"));
  waitBarrier(addr(barrier));
  let tids: u64 = 0;
  let cpus: u64 = 1;
  const pid: u64 = u64(syscall2(Syscall.GETPID, 0, 0));
  check(u64(syscall2(Syscall.GETTID, 0, 0)) === pid, cstr("the main thread's tid is the pid"));
  for (let i: u32 = 0; i < made; i++) {
    const tid: u32 = threads[i].tid;
    const who: u64 = joinThread(addr(threads[i]));
    check(tid === 0 || u64(tid) === who >> 8, cstr("PARENT_SETTID"));
    check((tids & (u64(1) << (who >> 8))) === 0 && who >> 8 !== pid, cstr("tid of its own"));
    tids |= u64(1) << (who >> 8);
    check((cpus & (u64(1) << (who & 0xff))) === 0, cstr("core of its own"));
    cpus |= u64(1) << (who & 0xff);
  }
  check(cpus === (u64(1) << u64(all)) - 1, cstr("all cores"));
  let mask: u64 = 0;
  check(syscall3(Syscall.SCHED_GETAFFINITY, 0, 4, cast<u64>(addr(mask))) === -Errno.EINVAL, cstr("affinity: 4 bytes"));
  check(
    syscall3(Syscall.SCHED_GETAFFINITY, 29999, 8, cast<u64>(addr(mask))) === -Errno.ESRCH,
    cstr("affinity: nobody"),
  );
  check(syscall3(Syscall.SCHED_GETAFFINITY, 0, 8, 8) === -Errno.EFAULT, cstr("affinity: bad address"));
}

// ---- clone's refusals
const THREAD: u64 = CloneFlag.VM | CloneFlag.FS | CloneFlag.FILES | CloneFlag.SIGHAND | CloneFlag.THREAD;
function refusals(): void {
  check(syscall6(Syscall.CLONE, 17, 0, 0, 0, 0, 0) === -Errno.ENOSYS, cstr("fork"));
  check(syscall6(Syscall.CLONE, CloneFlag.VM | CloneFlag.VFORK | 17, 0, 0, 0, 0, 0) === -Errno.ENOSYS, cstr("vfork"));
  check(
    syscall6(Syscall.CLONE, CloneFlag.THREAD | CloneFlag.VM, 0, 0, 0, 0, 0) === -Errno.EINVAL,
    cstr("THREAD without SIGHAND"),
  );
  check(syscall6(Syscall.CLONE, CloneFlag.SIGHAND, 0, 0, 0, 0, 0) === -Errno.EINVAL, cstr("SIGHAND without VM"));
  check(syscall6(Syscall.CLONE, THREAD | CloneFlag.NEWNS, 0, 0, 0, 0, 0) === -Errno.EPERM, cstr("a name space"));
  check(
    syscall6(Syscall.CLONE, THREAD & ~u64(CloneFlag.FILES), 0, 0, 0, 0, 0) === -Errno.ENOSYS,
    cstr("files of its own"),
  );
  check(
    syscall6(Syscall.CLONE, THREAD | CloneFlag.SETTLS, 0, 0, 0, 0xffff_8000_0000_0000, 0) === -Errno.EPERM,
    cstr("TLS in the kernel"),
  );
  check(syscall2(Syscall.CLONE3, 0, 0) === -Errno.EINVAL, cstr("clone3: too short"));
  check(syscall2(Syscall.CLONE3, 0, 88) === -Errno.EFAULT, cstr("clone3: no arguments"));
}

// ---- futex
function futexCall(operation: u64, value: u64, timeout: u64, second: u64, third: u64): i64 {
  return syscall6(Syscall.FUTEX, cast<u64>(addr(state.word)), operation, value, timeout, second, third);
}
/** Sleeps on `word`; its bit of the argument is its bitset. */
function sleeper(argument: u64): u64 {
  atomicAdd(addr(state.started), 1);
  const result: i64 = futexCall(FutexOperation.WAIT_BITSET, 0, 0, 0, u64(1) << argument);
  if (result === 0) atomicAdd(addr(state.woken), 1);
  return u64(result);
}
function sleepers(): u32 {
  state.started = 0;
  state.woken = 0;
  const made: u32 = fill(sleeper);
  while (atomicLoad(addr(state.started)) !== made) asm`pause`;
  // A few microseconds later they are in the kernel.
  sleepNs(100_000);
  check(state.woken === 0, cstr("all sleep"));
  return made;
}
function joinAll(count: u32): void {
  for (let i: u32 = 0; i < count; i++) check(joinThread(addr(threads[i])) === 0, cstr("woken, not failed"));
}
function futexes(): void {
  state.word = 0;
  check(futexWait(addr(state.word), 1) === -Errno.EAGAIN, cstr("another value"));
  check(futexWake(addr(state.word), 1) === 0, cstr("nobody waits"));
  check(
    syscall3(Syscall.FUTEX, cast<u64>(addr(state.word)) + 1, FutexOperation.WAIT, 0) === -Errno.EINVAL,
    cstr("unaligned"),
  );
  check(syscall4(Syscall.FUTEX, 0x1000, FutexOperation.WAIT, 0, 0) === -Errno.EFAULT, cstr("not mapped"));
  check(syscall3(Syscall.FUTEX, 0xffff_8000_0000_0000, FutexOperation.WAKE, 1) === -Errno.EFAULT, cstr("the kernel's"));
  check(futexCall(FutexOperation.WAIT_BITSET, 0, 0, 0, 0) === -Errno.EINVAL, cstr("wait for no bits"));
  check(futexCall(FutexOperation.WAKE_BITSET, 1, 0, 0, 0) === -Errno.EINVAL, cstr("wake no bits"));
  check(
    futexCall(FutexOperation.WAKE | FutexFlag.CLOCK_REALTIME, 1, 0, 0, 0) === -Errno.ENOSYS,
    cstr("wake by the wall clock"),
  );
  check(futexCall(77, 1, 0, 0, 0) === -Errno.ENOSYS, cstr("no such operation"));

  // Timeouts: relative, absolute, wall clock, in the past.
  const t: Timespec = zeroed();
  const at: u64 = cast<u64>(addr(t));
  t.nanoseconds = 200_000;
  let before: u64 = nanoseconds();
  check(futexCall(FutexOperation.WAIT | FutexFlag.PRIVATE, 0, at, 0, 0) === -Errno.ETIMEDOUT, cstr("relative timeout"));
  check(nanoseconds() - before >= 200_000 && nanoseconds() - before < 250_000, cstr("200 us"));
  for (let real: u64 = 0; real < 2; real++) {
    clockGettime(real === 0 ? Clock.MONOTONIC : Clock.REALTIME, addr(t));
    t.nanoseconds += 300_000;
    if (t.nanoseconds >= 1_000_000_000) {
      t.nanoseconds -= 1_000_000_000;
      t.seconds++;
    }
    before = nanoseconds();
    const operation: u64 = FutexOperation.WAIT_BITSET | FutexFlag.PRIVATE | (real === 0 ? 0 : FutexFlag.CLOCK_REALTIME);
    check(futexCall(operation, 0, at, 0, 1) === -Errno.ETIMEDOUT, cstr("absolute timeout"));
    check(nanoseconds() - before >= 290_000 && nanoseconds() - before < 350_000, cstr("300 us"));
  }
  t.seconds = 0;
  t.nanoseconds = 1;
  check(futexCall(FutexOperation.WAIT_BITSET, 0, at, 0, 1) === -Errno.ETIMEDOUT, cstr("in the past"));
  check(
    futexCall(FutexOperation.WAIT_BITSET | FutexFlag.CLOCK_REALTIME, 0, at, 0, 1) === -Errno.ETIMEDOUT,
    cstr("before boot"),
  );
  check(futexCall(FutexOperation.WAIT_BITSET, 1, at, 0, 1) === -Errno.EAGAIN, cstr("the value is looked at first"));
  t.nanoseconds = 1_000_000_000;
  check(futexCall(FutexOperation.WAIT, 0, at, 0, 0) === -Errno.EINVAL, cstr("no such time"));
  check(futexCall(FutexOperation.WAIT, 0, 8, 0, 0) === -Errno.EFAULT, cstr("time not mapped"));

  // Bitsets: each sleeper has its own.
  let made: u32 = sleepers();
  check(futexCall(FutexOperation.WAKE_BITSET, 100, 0, 0, 0x8000_0000) === 0, cstr("nobody's bit"));
  for (let i: u32 = 0; i < made; i++)
    check(futexCall(FutexOperation.WAKE_BITSET, 100, 0, 0, u64(1) << u64(i)) === 1, cstr("its bit"));
  joinAll(made);

  // Wake by count.
  made = sleepers();
  check(futexWake(addr(state.word), 1) === 1, cstr("one"));
  check(futexWake(addr(state.word), 100) === i64(made) - 1, cstr("the others"));
  joinAll(made);

  // Requeue: one wakes, the others continue to wait on the other word.
  made = sleepers();
  const other: u64 = cast<u64>(addr(state.other));
  check(futexCall(FutexOperation.CMP_REQUEUE, 1, 100, other, 5) === -Errno.EAGAIN, cstr("requeue: another value"));
  check(futexCall(FutexOperation.CMP_REQUEUE, 1, 100, other, 0) === i64(made), cstr("woken and moved"));
  check(futexWake(addr(state.word), 100) === 0, cstr("nobody is left here"));
  check(futexWake(addr(state.other), 100) === i64(made) - 1, cstr("they are there"));
  joinAll(made);
  made = sleepers();
  check(futexCall(FutexOperation.REQUEUE, 1, 1, other, 0) === 1, cstr("REQUEUE counts the woken"));
  check(futexWake(addr(state.other), 100) === (made > 1 ? 1 : 0), cstr("one was moved"));
  futexWake(addr(state.word), 100);
  joinAll(made);
  check(
    futexCall(FutexOperation.REQUEUE, 0xffff_ffff, 1, other, 0) === -Errno.EINVAL,
    cstr("requeue: fewer than none"),
  );
}

// ---- the library under contention
function increments(_argument: u64): u64 {
  for (let i: u32 = 0; i < 300; i++) {
    lockMutex(addr(mutex));
    const before: u64 = volatileRead(addr(state.counter));
    for (let k: u32 = 0; k < (i & 15); k++) asm`pause`;
    volatileWrite(addr(state.counter), before + 1);
    unlockMutex(addr(mutex));
  }
  return 0;
}
function consumer(_argument: u64): u64 {
  for (let i: u32 = 0; i < 50; i++) {
    lockMutex(addr(mutex));
    while (state.full === 0) waitCondition(addr(condition), addr(mutex));
    state.full--;
    state.consumed++;
    signalCondition(addr(roomy));
    unlockMutex(addr(mutex));
  }
  return 0;
}
function contention(): void {
  let made: u32 = fill(increments);
  increments(0);
  for (let i: u32 = 0; i < made; i++) joinThread(addr(threads[i]));
  check(state.counter === 300 * (u64(made) + 1), cstr("no increment is lost"));
  made = fill(consumer);
  for (let i: u32 = 0; i < 50 * made; i++) {
    lockMutex(addr(mutex));
    while (state.full === 2) waitCondition(addr(roomy), addr(mutex));
    state.full++;
    signalCondition(addr(condition));
    unlockMutex(addr(mutex));
    // Sometimes long enough for all to fall asleep.
    if ((i & 15) === 0) sleepNs(20_000);
  }
  for (let i: u32 = 0; i < made; i++) joinThread(addr(threads[i]));
  check(state.consumed === 50 * made && state.full === 0, cstr("all consumed"));
}

// ---- no system calls without contention
function meet(_argument: u64): u64 {
  for (let i: u32 = 0; i < 50; i++) waitBarrier(addr(barrier));
  return 0;
}
function quiet(): void {
  mark(1);
  for (let i: u32 = 0; i < 200; i++) {
    lockMutex(addr(mutex));
    unlockMutex(addr(mutex));
    check(tryLockMutex(addr(mutex)), cstr("free"));
    unlockMutex(addr(mutex));
    signalCondition(addr(condition));
    broadcastCondition(addr(condition));
  }
  mark(2);
  const all: u32 = cores();
  barrier.parties = all;
  const made: u32 = fill(meet);
  waitBarrier(addr(barrier));
  // All run and meet within a short time. The marks keep a distance from the first and the last meetings, because the
  // clocks of two cores in a trace differ by up to a quantum.
  for (let i: u32 = 1; i < 10; i++) waitBarrier(addr(barrier));
  mark(3);
  for (let i: u32 = 10; i < 40; i++) waitBarrier(addr(barrier));
  mark(4);
  for (let i: u32 = 40; i < 50; i++) waitBarrier(addr(barrier));
  for (let i: u32 = 0; i < made; i++) joinThread(addr(threads[i]));
}

// ---- ends
function spin(_argument: u64): u64 {
  atomicAdd(addr(state.started), 1);
  for (;;) asm`pause`;
}
function sleepForEver(_argument: u64): u64 {
  atomicAdd(addr(state.started), 1);
  for (;;) futexWait(addr(state.word), 0);
}
function endsGroup(_argument: u64): u64 {
  while (atomicLoad(addr(state.started)) === 0) asm`pause`;
  syscall2(Syscall.EXIT_GROUP, 5, 0);
  return 0;
}
function faults(_argument: u64): u64 {
  while (atomicLoad(addr(state.started)) === 0) asm`pause`;
  volatileWrite(cast<ptr<u64>>(8), 1);
  return 0;
}
function late(_argument: u64): u64 {
  sleepNs(300_000);
  print(stdout(), cstr("late\n"));
  return 0;
}
function replaced(_argument: u64): u64 {
  return u64(futexWait(cast<ptr<u32>>(state.counter), 0));
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 2) return 9;
  const way: ptr<u8> = argv[1];
  if (stringsEqual(way, cstr("create"))) create();
  if (stringsEqual(way, cstr("identities"))) identities();
  if (stringsEqual(way, cstr("refusals"))) refusals();
  if (stringsEqual(way, cstr("futexes"))) futexes();
  if (stringsEqual(way, cstr("contention"))) contention();
  if (stringsEqual(way, cstr("quiet"))) quiet();
  if (stringsEqual(way, cstr("exit_group"))) {
    createThread(addr(threads[0]), endsGroup, 0);
    createThread(addr(threads[1]), sleepForEver, 0);
    createThread(addr(threads[2]), spin, 0);
    for (;;) futexWait(addr(state.word), 0);
  }
  if (stringsEqual(way, cstr("fault"))) {
    createThread(addr(threads[0]), faults, 0);
    createThread(addr(threads[1]), sleepForEver, 0);
    spin(0);
  }
  if (stringsEqual(way, cstr("spin"))) {
    createThread(addr(threads[0]), spin, 0);
    createThread(addr(threads[1]), sleepForEver, 0);
    spin(0);
  }
  if (stringsEqual(way, cstr("main_first"))) {
    createThread(addr(threads[0]), late, 0);
    syscall2(Syscall.EXIT, 3, 0);
  }
  if (stringsEqual(way, cstr("others_first"))) {
    createThread(addr(threads[0]), ten, 0);
    joinThread(addr(threads[0]));
    exitThread();
  }
  if (stringsEqual(way, cstr("replaced"))) {
    // A waiter keeps waiting when its page is replaced.
    const at: i64 = mmap(0, 4096, Prot.READ | Prot.WRITE, MapFlag.PRIVATE | MapFlag.ANONYMOUS, -1, 0);
    state.counter = u64(at);
    createThread(addr(threads[0]), replaced, 0);
    sleepNs(200_000);
    mmap(u64(at), 4096, Prot.READ | Prot.WRITE, MapFlag.PRIVATE | MapFlag.ANONYMOUS | MapFlag.FIXED, -1, 0);
    check(futexWake(cast<ptr<u32>>(u64(at)), 1) === 1, cstr("found"));
    check(joinThread(addr(threads[0])) === 0, cstr("woken"));
  }
  if (state.checks === 0 || state.failed !== 0) return 1;
  print(stdout(), cstr("threads: "));
  printDecimal(stdout(), state.checks);
  print(stdout(), cstr(" checks passed\n"));
  return 0;
}
