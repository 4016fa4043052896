/**
 * A program to debug: one thread computes, one waits for a word, one sleeps, and the main thread calls `bump` until
 * `state.stop` is set. With the argument `fault` it writes to address 8 instead. Prints the sum of what is known; exits
 * with status 7, or with 8 if a wait ended in a way that only a debugger can cause.
 */
import "../../../userland/lib/start.ts";
import { stringsEqual } from "../../../toolchain/lib/rt/strings.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { createThread, futexWait, futexWake, joinThread, type Thread } from "../../../userland/lib/thread.ts";
import { nanosleep } from "../../../userland/lib/syscall.ts";
import type { Timespec } from "../../../kernel/abi/process.ts";

class State {
  stop: u32 = 0;
  word: u32 = 0;
  counter: u64 = 0;
  calls: u64 = 0;
  /** Sum that `bump` received besides its own counting: a debugger may change it. */
  given: u64 = 0;
  naps: u64 = 0;
  awake: u64 = 0;
  /** Waits that ended with an error. */
  broken: u64 = 0;
}
/**
 * @symbol state
 * @keep
 */
const state: State = zeroed();
const threads: arr<Thread, 3> = zeroed();

function running(): boolean {
  return volatileRead(addr(state.stop)) === 0;
}

function compute(_argument: u64): u64 {
  while (running()) volatileWrite(addr(state.counter), state.counter + 1);
  return 1;
}
function waitForWord(_argument: u64): u64 {
  const EAGAIN: i64 = -11;
  while (volatileRead(addr(state.word)) === 0) {
    const result: i64 = futexWait(addr(state.word), 0);
    if (result !== 0 && result !== EAGAIN) atomicAdd(addr(state.broken), 1);
  }
  state.awake++;
  return 2;
}
function nap(_argument: u64): u64 {
  const length: Timespec = zeroed();
  length.nanoseconds = 50000;
  while (running()) {
    if (nanosleep(addr(length)) !== 0) atomicAdd(addr(state.broken), 1);
    state.naps++;
  }
  return 4;
}

/** Called repeatedly; `amount` is 1. */
function bump(amount: u64): u64 {
  attr({ symbol: "bump", keep: true, inline: "never" });
  state.given += amount;
  return state.calls + 1;
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc > 1 && stringsEqual(argv[1], cstr("fault"))) volatileWrite(cast<ptr<u64>>(u64(8)), 1);
  let sum: u64 = 0;
  if (createThread(addr(threads[0]), compute, 0) !== 0) return 1;
  if (createThread(addr(threads[1]), waitForWord, 0) !== 0) return 1;
  if (createThread(addr(threads[2]), nap, 0) !== 0) return 1;
  while (running()) state.calls = bump(1);
  atomicStore(addr(state.word), 1);
  futexWake(addr(state.word), 1);
  for (let i: u32 = 0; i < 3; i++) sum += joinThread(addr(threads[i]));
  const o = stdout();
  print(o, cstr("debuggee: threads "));
  printDecimal(o, sum);
  print(o, cstr(", awake "));
  printDecimal(o, state.awake);
  print(o, cstr(", given beyond calls "));
  printDecimal(o, state.given - state.calls);
  print(o, cstr("\n"));
  return state.broken === 0 ? 7 : 8;
}
