/**
 * Debugging of one job's processes over the management network (mailbox.ts): a DebugMessage, behind it up to
 * DEBUG_BODY_BYTES of body. Each request has one reply with the same operation and request id; a stop comes as a
 * message of its own. Only nid 0 is at the other end. "The thread" is `tid` of the job's task on this node; 0 = all its
 * threads, where an operation allows it.
 */
export const DEBUG_MAGIC: u16 = 0x4744;
export const DEBUG_BODY_BYTES: u32 = 976;
export const DEBUG_BREAKPOINTS_MAX: u32 = 64;

export const enum DebugOperation {
  /**
   * The task is debugged from now on: its faults, breakpoints and steps stop the thread instead of ending the task.
   * `count` 1: also if the job is not here yet, and it then stops before the first instruction of its program. Replies
   * ESRCH where there is no such job and count is 0.
   */
  ATTACH = 1,
  /** Breakpoints go, every thread goes on, the task is a task like any other again. */
  DETACH = 2,
  /** Reply: `count` DebugThread. */
  THREADS = 3,
  /**
   * The thread (0: all) stops at its next return to the program; one STOPPED for each that was running. A wait of its
   * own (futex, sleep, Portals events) ends for that and begins anew when the thread goes on; a call that is being
   * shipped is awaited.
   */
  STOP = 4,
  /**
   * The stopped thread (0: all) goes on. `signal` ≠ 0: the fault that stopped it takes its course, and ends the task.
   */
  CONTINUE = 5,
  /**
   * The stopped thread executes one instruction, then STOPPED; a system call and the instruction behind it count as
   * one.
   */
  STEP = 6,
  /** Reply: DebugRegisters. EBUSY: the thread is not stopped. */
  READ_REGISTERS = 7,
  WRITE_REGISTERS = 8,
  /** `count` bytes at `address` in the task's memory, breakpoints hidden. EFAULT: not all of it is there. */
  READ_MEMORY = 9,
  /** Body into the task's memory, permissions of its pages notwithstanding. */
  WRITE_MEMORY = 10,
  /** At `address`; EFAULT, EEXIST, ENOSPC. */
  SET_BREAKPOINT = 11,
  /** ENOENT. */
  CLEAR_BREAKPOINT = 12,
  /** From the node, without a request: thread `tid` stopped by `signal` for `reason`, at `address`. */
  STOPPED = 13,
  /** From the node: the task has ended, with the wait status in `count`. */
  ENDED = 14,
}
export const enum DebugReason {
  /** A STOP, or the start of the program. */
  REQUESTED = 1,
  BREAKPOINT = 2,
  STEP = 3,
  /** A fault, which CONTINUE with a signal lets happen. */
  FAULT = 4,
  START = 5,
}
export class DebugMessage {
  magic: u16 = 0;
  /** DebugOperation. */
  operation: u16 = 0;
  /** Chosen by the debugger; 0 in what comes without a request. */
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
  reserved: u32 = 0;
}
// biome-ignore format: a table
export const enum DebugThreadState { RUNNING = 0, STOPPED = 1 }
export class DebugThread {
  tid: u32 = 0;
  core: u32 = 0;
  state: u32 = 0;
  signal: u32 = 0;
}
/** What a stopped thread has, in the order of gdb's amd64 general registers; then the FXSAVE64 image. */
export class DebugRegisters {
  rax: u64 = 0;
  rbx: u64 = 0;
  rcx: u64 = 0;
  rdx: u64 = 0;
  rsi: u64 = 0;
  rdi: u64 = 0;
  rbp: u64 = 0;
  rsp: u64 = 0;
  r8: u64 = 0;
  r9: u64 = 0;
  r10: u64 = 0;
  r11: u64 = 0;
  r12: u64 = 0;
  r13: u64 = 0;
  r14: u64 = 0;
  r15: u64 = 0;
  rip: u64 = 0;
  rflags: u64 = 0;
  fsBase: u64 = 0;
  gsBase: u64 = 0;
  fx!: arr<u8, 512>;
}
