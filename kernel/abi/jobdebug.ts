/**
 * Debugging of one job's processes over the management network (mailbox.ts): a DebugMessage, followed by up to
 * DEBUG_BODY_BYTES of body. Each request has one reply with the same operation and request id; a stop is reported by a
 * separate message. The peer is always nid 0. "The task" is that of the job's `rank` on this node; "the thread" is its
 * `tid`; 0 = all its threads, if the operation allows it.
 */
import { GeneralRegisters } from "./registers.ts";

export const DEBUG_MAGIC: u16 = 0x4744;
export const DEBUG_BODY_BYTES: u32 = 976;
export const DEBUG_BREAKPOINTS_MAX: u32 = 64;

export const enum DebugOperation {
  /**
   * Debugs the task from now on: its faults, breakpoints and steps stop the thread instead of ending the task. `count`
   * 1: also a job that is not here yet; it then stops before the first instruction of its program. Replies ESRCH if
   * there is no such job and count is 0.
   */
  ATTACH = 1,
  /** Removes all breakpoints, resumes all threads and ends debugging of the task. */
  DETACH = 2,
  /** Reply body: `count` DebugThreads. */
  THREADS = 3,
  /**
   * Stops the thread (0: all) at its next return to the program; one STOPPED for each thread that was running. A thread
   * that waits itself (futex, sleep, Portals events) leaves the wait and repeats it when it is resumed; the stop is
   * delayed until a shipped call returns.
   */
  STOP = 4,
  /** Resumes the stopped thread (0: all). `signal` ≠ 0: the fault that stopped it takes effect and ends the task. */
  CONTINUE = 5,
  /**
   * The stopped thread executes one instruction, then STOPPED follows. A system call and the instruction after it count
   * as one.
   */
  STEP = 6,
  /** Reply body: DebugRegisters. EBUSY: the thread is not stopped. */
  READ_REGISTERS = 7,
  WRITE_REGISTERS = 8,
  /**
   * Reads `count` bytes at `address` in the task's memory, without breakpoints. EFAULT: part of the range is not
   * mapped.
   */
  READ_MEMORY = 9,
  /** Writes the body into the task's memory, ignoring the permissions of its pages. */
  WRITE_MEMORY = 10,
  /** Sets a breakpoint at `address`. Errors: EFAULT, EEXIST, ENOSPC. */
  SET_BREAKPOINT = 11,
  /** Errors: ENOENT. */
  CLEAR_BREAKPOINT = 12,
  /** From the node, unrequested: thread `tid` stopped by `signal` for `reason`, at `address`. */
  STOPPED = 13,
  /** From the node, unrequested: the task has ended; `count` is the wait status. */
  ENDED = 14,
  /**
   * Every system call whose number is in the body, `count` u32, stops its thread before it begins and when it is over.
   * Replaces the list before. EINVAL: there is no such call.
   */
  CATCH_CALLS = 15,
  /** The same for every call. */
  CATCH_ALL_CALLS = 16,
  /** Reply: `count` DebugRegion in ascending order, the first of them that end above `address`. */
  REGIONS = 17,
  /** Reply: DebugTask. */
  DESCRIBE = 18,
}
export const enum DebugReason {
  /** By STOP, or at the start of the program. */
  REQUESTED = 1,
  BREAKPOINT = 2,
  STEP = 3,
  /** A fault. CONTINUE with a signal lets it take effect. */
  FAULT = 4,
  START = 5,
  /** Before a system call that is caught, and behind it; its number is in `count`. */
  CALL_ENTRY = 6,
  CALL_RETURN = 7,
}
export class DebugMessage {
  magic: u16 = 0;
  /** DebugOperation. */
  operation: u16 = 0;
  /** Chosen by the debugger; 0 in unrequested messages. */
  requestId: u32 = 0;
  jobId: u32 = 0;
  tid: u32 = 0;
  address: u64 = 0;
  count: u32 = 0;
  /** Reply: 0 or an errno. */
  errno: u32 = 0;
  signal: u32 = 0;
  reason: u32 = 0;
  bodyBytes: u32 = 0;
  rank: u32 = 0;
}
// biome-ignore format: a table
export const enum DebugThreadState { RUNNING = 0, STOPPED = 1 }
export class DebugThread {
  tid: u32 = 0;
  core: u32 = 0;
  state: u32 = 0;
  signal: u32 = 0;
}
/** A mapped range of the task's memory. */
export class DebugRegion {
  start: u64 = 0;
  end: u64 = 0;
  /** Prot. */
  protection: u64 = 0;
}
export class DebugTask {
  pid: u32 = 0;
  userId: u32 = 0;
  rank: u32 = 0;
  size: u32 = 0;
  /** The heap (brk). */
  heapStart: u64 = 0;
  heapEnd: u64 = 0;
}
/** Registers of a stopped thread; then the FXSAVE64 image. */
export class DebugRegisters extends GeneralRegisters {
  fsBase: u64 = 0;
  gsBase: u64 = 0;
  /**
   * Number of the system call at whose begin or end the thread stands, otherwise -1. RAX is -ENOSYS at the begin, as on
   * Linux; a number that is written there is the call that is made, and -1 is none.
   */
  callNumber: u64 = 0;
  fx!: arr<u8, 512>;
}
