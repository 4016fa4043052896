/**
 * Functions that are inlined in every position: at the end of their caller, in a condition, in a loop, twice deep with
 * one end, with several returns, with a system call as their last instruction. For finish.test.ts.
 */
import "../../../../userland/lib/start.ts";
import { mmap, munmap } from "../../../../userland/lib/syscall.ts";

class State {
  total: u64 = 0;
  calls: u64 = 0;
}
const state: State = zeroed();

function count(by: u64): void {
  volatileWrite(addr(state.calls), state.calls + by);
}
/** Its last statement is an inlined call. */
function note(value: u64): void {
  volatileWrite(addr(state.total), state.total + value);
  count(1);
}
/** Two deep, all with one end. */
function noteTwice(value: u64): void {
  note(value);
  note(value + 1);
}
function clamp(value: u64, most: u64): u64 {
  if (value > most) return most;
  if (value === 7) return 0;
  return value;
}
function isLarge(value: u64): boolean {
  return clamp(value, 100) > 50;
}
function release(address: i64): i64 {
  return munmap(cast<u64>(address), 4096);
}

/** Ends in an inlined function. */
function ending(value: u64): void {
  attr({ inline: "never" });
  noteTwice(value);
}
function deciding(value: u64): u64 {
  attr({ inline: "never" });
  if (isLarge(value)) return 1;
  note(value);
  return clamp(value, 3);
}
function looping(times: u64): u64 {
  attr({ inline: "never" });
  let sum: u64 = 0;
  for (let i: u64 = 0; i < times; i++) {
    sum += clamp(volatileRead(addr(state.total)) + i, 1000);
    note(i);
  }
  return sum;
}
function mapping(): void {
  attr({ inline: "never" });
  const at: i64 = mmap(0, 4096, 3, 0x22, -1, 0);
  release(at);
}

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  let sum: u64 = 0;
  for (let i: u64 = 0; i < 4; i++) {
    ending(i);
    sum += deciding(i * 40);
    sum += looping(3);
    mapping();
  }
  return i32(sum & 127);
}
