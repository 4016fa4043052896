/**
 * Checks after each task that nothing of it is left. Its memory was freed by owner; here the accounts must agree, and
 * no other part of the kernel may still refer to the task. Always on: a leak is found at the job that leaks, not days
 * later at one that finds no memory. A leak is a broken invariant of the kernel, whatever the program did, so the
 * kernel panics and names it. Files belong to the I/O node, which closes a task's descriptors when it is told of the
 * end (tests/system/memory.test.ts checks that).
 */
import { fatal } from "../arch/fatal.ts";
import { assertHeld } from "../arch/spinlock.ts";
import { signalsLeft } from "../core/signal.ts";
import { type Task, threadOf } from "../core/task.ts";
import { shipmentsLeft } from "../io/client.ts";
import { framesBalance, ownedFrameCount } from "../mm/frames.ts";
import { messagesLeft } from "../net/message.ts";
import { netLock } from "../net/peer.ts";
import { portalsLeft } from "../net/portals.ts";

/**
 * No message of the task, or for it, is in flight. May release `netLock`, which was taken with `flags`, in between.
 */
export function checkNoMessages(task: ptr<Task>, flags: u64): void {
  if (messagesLeft(task, flags)) fatal(cstr("leak: messages of an ended task"), u64(task.pid));
}
/** Its memory has been freed. Called without a lock: the wait for that of the frames may be long. */
export function checkNoFrames(task: ptr<Task>): void {
  if (ownedFrameCount(u16(task.pid)) !== 0) fatal(cstr("leak: pages of an ended task"), u64(task.pid));
  if (!framesBalance()) fatal(cstr("leak: pages on nobody's account after a task"), u64(task.pid));
}
/** `task` has been reclaimed; its cores are free and not yet reused. */
export function checkNothingLeft(task: ptr<Task>): void {
  assertHeld(addr(netLock));
  const pid: u64 = u64(task.pid);
  if (portalsLeft(task)) fatal(cstr("leak: portals of an ended task"), pid);
  if (signalsLeft(task)) fatal(cstr("leak: signals of an ended task"), pid);
  if (shipmentsLeft(task)) fatal(cstr("leak: a shipped call of an ended task"), pid);
  if (atomicLoad(addr(task.threads)) !== 0) fatal(cstr("leak: threads of an ended task"), pid);
  if (atomicLoad(addr(task.space.activeCpus)) !== 0)
    fatal(cstr("leak: a core in the address space of an ended task"), pid);
  for (let rest: u64 = task.cores; rest !== 0; rest = rest & (rest - 1)) {
    const thread = threadOf(u32(countTrailingZeros(rest)));
    if (thread.task !== null || thread.ready !== 0) fatal(cstr("leak: a thread of an ended task"), pid);
    if (thread.timer.armed !== 0) fatal(cstr("leak: the timer of an ended task's thread"), pid);
  }
}
