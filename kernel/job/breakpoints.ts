/**
 * Breakpoints of a debugged task: int3 in its code, written through the direct map. The original byte is kept here and
 * shown to readers. Calls are under the task lock; the task's own threads may run meanwhile, because a byte is written
 * atomically.
 */
import { Errno } from "../abi/errno.ts";
import { DEBUG_BREAKPOINTS_MAX } from "../abi/jobdebug.ts";
import type { Breakpoint } from "../core/record.ts";
import type { Task } from "../core/task.ts";
import { copyFromUser, patchUser, peekUser, userRangeValid } from "../mm/user.ts";

const INT3: u8 = 0xcc;

function find(task: ptr<Task>, address: u64): ptr<Breakpoint> | null {
  const table = addr(task.record.breakpoints);
  for (let i: u32 = 0; i < DEBUG_BREAKPOINTS_MAX; i++) {
    const b = addr(table.list[i]);
    if (b.used !== 0 && b.address === address) return b;
  }
  return null;
}

export function breakpointAt(task: ptr<Task>, address: u64): boolean {
  return find(task, address) !== null;
}

/** 0, or an errno. */
export function setBreakpoint(task: ptr<Task>, address: u64): u32 {
  if (find(task, address) !== null) return Errno.EEXIST;
  const table = addr(task.record.breakpoints);
  for (let i: u32 = 0; i < DEBUG_BREAKPOINTS_MAX; i++) {
    const b = addr(table.list[i]);
    if (b.used !== 0) continue;
    let trap: u8 = INT3;
    if (!copyFromUser(addr(task.space), addr(b.original), address, 1)) return Errno.EFAULT;
    if (!patchUser(addr(task.space), address, addr(trap), 1)) return Errno.EFAULT;
    b.address = address;
    b.used = 1;
    return 0;
  }
  return Errno.ENOSPC;
}

/** 0, or ENOENT. */
export function clearBreakpoint(task: ptr<Task>, address: u64): u32 {
  const b = find(task, address);
  if (b === null) return Errno.ENOENT;
  remove(task, b);
  return 0;
}
export function clearAllBreakpoints(task: ptr<Task>): void {
  const table = addr(task.record.breakpoints);
  for (let i: u32 = 0; i < DEBUG_BREAKPOINTS_MAX; i++) if (table.list[i].used !== 0) remove(task, addr(table.list[i]));
}
/** The task's memory is about to be freed. */
export function forgetBreakpoints(task: ptr<Task>): void {
  zero(addr(task.record.breakpoints));
}

/** The page may have been replaced: only an int3 that we wrote is removed. */
function remove(task: ptr<Task>, b: ptr<Breakpoint>): void {
  let found: u8 = 0;
  b.used = 0;
  if (!copyFromUser(addr(task.space), addr(found), b.address, 1) || found !== INT3) return;
  patchUser(addr(task.space), b.address, addr(b.original), 1);
}

/** Reads memory as the program has it, without breakpoints. */
export function readHidden(task: ptr<Task>, to: ptr<u8>, address: u64, lengthBytes: u64): boolean {
  if (!peekUser(addr(task.space), to, address, lengthBytes)) return false;
  const table = addr(task.record.breakpoints);
  for (let i: u32 = 0; i < DEBUG_BREAKPOINTS_MAX; i++) {
    const b = addr(table.list[i]);
    if (b.used === 0 || b.address < address || b.address - address >= lengthBytes) continue;
    const at: u64 = b.address - address;
    if (to[at] === INT3) to[at] = b.original;
  }
  return true;
}

/**
 * Writes regardless of the pages' permissions. Breakpoints in the range stay set; bytes under them are stored here.
 * Modifies `from`.
 */
export function writeHidden(task: ptr<Task>, address: u64, from: ptr<u8>, lengthBytes: u64): boolean {
  const table = addr(task.record.breakpoints);
  // All or nothing: no byte is written if the last one cannot be.
  if (!userRangeValid(addr(task.space), address, lengthBytes, false)) return false;
  for (let i: u32 = 0; i < DEBUG_BREAKPOINTS_MAX; i++) {
    const b = addr(table.list[i]);
    if (b.used === 0 || b.address < address || b.address - address >= lengthBytes) continue;
    const at: u64 = b.address - address;
    b.original = from[at];
    from[at] = INT3;
  }
  return patchUser(addr(task.space), address, from, lengthBytes);
}
