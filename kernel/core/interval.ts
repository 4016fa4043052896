/**
 * Interval timers of a task (setitimer): of real time, and of the processor time of its threads. Each is a timer of the
 * task's lowest core, whichever thread sets it, so that it can be stopped. Processor time is checked when the timer
 * would expire if all threads computed until then.
 */
import { IntervalTimer, Signal, SignalCode } from "../abi/signal.ts";
import { Vector } from "../abi/vectors.ts";
import { readTsc } from "../arch/cpu.ts";
import { crossCall } from "../arch/crosscall.ts";
import { cpuIndex } from "../arch/percpu.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import { armTimer, disarmTimer } from "../arch/timer.ts";
import { sendLocked } from "./signal.ts";
import type { IntervalTimerState } from "./signalstate.ts";
import { type Task, taskAt, taskLock, TaskState, taskTime } from "./task.ts";

const KINDS: u32 = 3;
/** Shortest time between two checks of processor time. */
const SHORTEST_LOOK_NS: u64 = 100000;

function nowOf(task: ptr<Task>, kind: u32): u64 {
  return kind === IntervalTimer.REAL ? readTsc() : taskTime(task);
}
/** Remaining time; 0: off. A timer that is about to expire has 1 ns. */
function left(task: ptr<Task>, kind: u32): u64 {
  assertHeld(addr(taskLock));
  const state = addr(task.signals.timers[kind]);
  if (state.deadline === 0) return 0;
  const now: u64 = nowOf(task, kind);
  return state.deadline > now ? state.deadline - now : 1;
}
/** `left` and `interval` of timer `kind` in ns. */
export function readInterval(task: ptr<Task>, kind: u32, to: ptr<IntervalTimerState>): void {
  const flags: u64 = lock(addr(taskLock));
  to.deadline = left(task, kind);
  to.interval = task.signals.timers[kind].interval;
  unlock(addr(taskLock), flags);
}
/**
 * Expires in `delay` ns (0: never), then every `interval` ns (0: once). `old`: the previous state, as by readInterval.
 */
export function setInterval(task: ptr<Task>, kind: u32, delay: u64, interval: u64, old: ptr<IntervalTimerState>): void {
  const state = addr(task.signals.timers[kind]);
  const flags: u64 = lock(addr(taskLock));
  old.deadline = left(task, kind);
  old.interval = state.interval;
  state.deadline = delay === 0 ? 0 : nowOf(task, kind) + delay;
  state.interval = interval;
  unlock(addr(taskLock), flags);
  onHomeCore(task, kind);
}
/** The task's last thread has ended. */
export function stopIntervals(task: ptr<Task>): void {
  for (let kind: u32 = 0; kind < KINDS; kind++) {
    const state = addr(task.signals.timers[kind]);
    state.deadline = 0;
    if (atomicLoad(addr(state.timer.armed)) !== 0) onHomeCore(task, kind);
  }
}
function onHomeCore(task: ptr<Task>, kind: u32): void {
  const home: u32 = u32(countTrailingZeros(task.cores));
  const argument: u64 = (u64(task.slot) << 8) | u64(kind);
  if (home === cpuIndex()) arm(argument, 0);
  else crossCall(u64(1) << u64(home), Vector.CROSS_CALL, arm, argument);
}

/** Sets the timer to the deadline. On the home core, without a lock. */
function arm(argument: u64, _id: u64): void {
  const task = taskAt(u32(argument >> 8));
  const kind: u32 = u32(argument & 0xff);
  const state = addr(task.signals.timers[kind]);
  const deadline: u64 = volatileRead(addr(state.deadline));
  if (deadline === 0) disarmTimer(addr(state.timer));
  else armTimer(addr(state.timer), lookAt(task, kind, deadline), expire, argument);
}
/** When to check whether the timer has expired. */
function lookAt(task: ptr<Task>, kind: u32, deadline: u64): u64 {
  if (kind === IntervalTimer.REAL) return deadline;
  const now: u64 = taskTime(task);
  const threads: u64 = task.threads === 0 ? 1 : task.threads;
  const soonest: u64 = deadline > now ? (deadline - now + threads - 1) / threads : 0;
  return readTsc() + (soonest < SHORTEST_LOOK_NS ? SHORTEST_LOOK_NS : soonest);
}
/** In the timer's interrupt. */
function expire(argument: u64): void {
  const task = taskAt(u32(argument >> 8));
  const kind: u32 = u32(argument & 0xff);
  const state = addr(task.signals.timers[kind]);
  const flags: u64 = lock(addr(taskLock));
  const now: u64 = nowOf(task, kind);
  const runs: boolean = task.state === TaskState.INIT || task.state === TaskState.RUNNING;
  if (!runs) state.deadline = 0;
  if (state.deadline !== 0 && state.deadline <= now) {
    sendLocked(task, signalOf(kind), SignalCode.SI_KERNEL, 0, 0);
    const missed: u64 = state.interval === 0 ? 0 : (now - state.deadline) / state.interval;
    state.deadline = state.interval === 0 ? 0 : state.deadline + (missed + 1) * state.interval;
  }
  if (state.deadline !== 0) armTimer(addr(state.timer), lookAt(task, kind, state.deadline), expire, argument);
  unlock(addr(taskLock), flags);
}
function signalOf(kind: u32): u32 {
  if (kind === IntervalTimer.REAL) return Signal.SIGALRM;
  return kind === IntervalTimer.VIRTUAL ? Signal.SIGVTALRM : Signal.SIGPROF;
}
