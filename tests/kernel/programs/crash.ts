/**
 * Contents for a core file: the main thread writes to address 8 while one thread computes and another waits for a word.
 * With its own heap, a double in a register, and arguments.
 */
import "../../../userland/lib/start.ts";
import { createThread, futexWait, type Thread } from "../../../userland/lib/thread.ts";

class State {
  counter: u64 = 0;
  word: u32 = 0;
  /** 1: the second thread is about to wait. */
  waits: u32 = 0;
}
/**
 * @symbol state
 * @keep
 */
const state: State = zeroed();
const threads: arr<Thread, 2> = zeroed();

function compute(_argument: u64): u64 {
  for (;;) volatileWrite(addr(state.counter), state.counter + 1);
}
function waitForWord(argument: u64): u64 {
  attr({ inline: "never" });
  atomicStore(addr(state.waits), 1);
  for (;;) futexWait(addr(state.word), u32(argument));
}
function crash(where: u64, mark: u64): void {
  attr({ symbol: "crash", keep: true, inline: "never" });
  const marks: arr<u64, 4> = zeroed();
  for (let i: u64 = 0; i < 4; i++) volatileWrite(addr(marks[i]), mark + i);
  volatileWrite(cast<ptr<u64>>(where), marks[3]);
}

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (createThread(addr(threads[0]), compute, 0) !== 0) return 1;
  if (createThread(addr(threads[1]), waitForWord, 0) !== 0) return 1;
  while (volatileRead(addr(state.counter)) < 20000 || volatileRead(addr(state.waits)) === 0);
  crash(8, 1000);
  return 0;
}
