/**
 * One-shot timers on the LAPIC of the core that arms them; there is no periodic tick. Times are TSC nanoseconds. A
 * timer's action runs in the interrupt, on the core that armed it. A timer is armed on at most one core. Only that core
 * can disarm it; another core lets it fire, so actions check whether there is still work.
 */
import { Vector } from "../abi/vectors.ts";
import { disableInterrupts, readTsc, restoreInterrupts } from "./cpu.ts";
import { lapicTimer } from "./lapic.ts";
import { cpuIndex } from "./percpu.ts";
import { registerInterrupt } from "./trap.ts";

export class Timer {
  deadline: u64 = 0;
  run: ((argument: u64) => void) | null = null;
  argument: u64 = 0;
  armed: u32 = 0;
  cpu: u32 = 0;
  next: ptr<Timer> | null = null;
}
class Queue {
  /** In the order of deadlines. */
  first: ptr<Timer> | null = null;
}
const queues: arr<Queue, 64> = zeroed();
/** The counter has 32 bits: longer waits are armed repeatedly. */
const LONGEST_TICKS: u64 = 0xf000_0000;

export function timerStart(): void {
  registerInterrupt(Vector.LAPIC_TIMER, timerInterrupt, 0);
}

/**
 * Arms (or, on the same core, re-arms) `timer` for the absolute time `deadline`. A timer that is armed on another core
 * is left unchanged.
 */
export function armTimer(timer: ptr<Timer>, deadline: u64, run: (argument: u64) => void, argument: u64): void {
  const flags: u64 = disableInterrupts();
  disarmTimer(timer);
  if (timer.armed !== 0) {
    restoreInterrupts(flags);
    return;
  }
  timer.deadline = deadline;
  timer.run = run;
  timer.argument = argument;
  timer.cpu = cpuIndex();
  timer.armed = 1;
  const queue = addr(queues[timer.cpu]);
  let before: ptr<Timer> | null = null;
  let at = queue.first;
  while (at !== null && at.deadline <= deadline) {
    before = at;
    at = at.next;
  }
  timer.next = at;
  if (before === null) {
    queue.first = timer;
    programTimer(queue);
  } else {
    before.next = timer;
  }
  restoreInterrupts(flags);
}

export function disarmTimer(timer: ptr<Timer>): void {
  const flags: u64 = disableInterrupts();
  const queue = addr(queues[cpuIndex()]);
  if (timer.armed !== 0 && timer.cpu === cpuIndex()) {
    timer.armed = 0;
    let before: ptr<Timer> | null = null;
    let at = queue.first;
    while (at !== null && at !== timer) {
      before = at;
      at = at.next;
    }
    if (before === null) {
      queue.first = timer.next;
      programTimer(queue);
    } else {
      before.next = timer.next;
    }
  }
  restoreInterrupts(flags);
}

function programTimer(queue: ptr<Queue>): void {
  const first = queue.first;
  if (first === null) {
    lapicTimer(0);
    return;
  }
  const now: u64 = readTsc();
  let ticks: u64 = first.deadline > now ? first.deadline - now : 1;
  if (ticks > LONGEST_TICKS) ticks = LONGEST_TICKS;
  lapicTimer(u32(ticks));
}

function timerInterrupt(_vector: u32, _device: u64): void {
  const queue = addr(queues[cpuIndex()]);
  for (;;) {
    const first = queue.first;
    if (first === null || first.deadline > readTsc()) break;
    queue.first = first.next;
    first.armed = 0;
    const run = first.run;
    if (run !== null) run(first.argument);
  }
  programTimer(queue);
}
