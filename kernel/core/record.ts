/**
 * Per-task state of the floors above, as data: Portals (net), the job's tree and segment, breakpoints (job). It is
 * defined here so that a task is one record, without arrays by slot in other files. Only the named floor accesses its
 * part. A record is zeroed when its task is created, but Portals and tree are zeroed by net and job at a task's end.
 */
import type { ExitNotice } from "../abi/job.ts";
import type { MessageHeader } from "../abi/net.ts";
import type { MatchEntry } from "../abi/portals.ts";

/** An appended match entry. */
export class MatchSlot {
  used: u32 = 0;
  /** Number of messages arriving in its memory or being read from it. */
  busy: u32 = 0;
  /** 1: removed from its list (USE_ONCE), in use only until it is not busy any more. */
  unlinked: u32 = 0;
  reserved: u32 = 0;
  /** Slot number + 1 of the next entry of the list; 0 = none. */
  next: u32 = 0;
  /** MANAGE_LOCAL: offset of the next message. */
  localOffset: u64 = 0;
  entry!: MatchEntry;
}
/** An event queue in the program's memory; address 0: none. */
export class QueueSlot {
  address: u64 = 0;
  capacity: u64 = 0;
}
/** State of net/matchlist.ts and net/queues.ts, under `netLock`. */
export class PortalState {
  /** 1: nothing matches any more; all of this is about to be cleared. */
  closing: u32 = 0;
  /** Slot number + 1 of the first entry. */
  heads!: arr<u32, 8>;
  slots!: arr<MatchSlot, 256>;
  queues!: arr<QueueSlot, 16>;
}

/** A load sent by this task that was ACKed. */
export class Child {
  nid: u32 = 0;
  rank: u32 = 0;
  /** Request id of the LOAD, which the notice of its end carries. */
  loadId: u64 = 0;
  /** The queue for the load's events, and their user pointer. */
  queue: u32 = 0;
  reserved: u32 = 0;
  userPointer: u64 = 0;
}
/** State of job/exit.ts, under `netLock`. */
export class Tree {
  /** Loads that init has sent. */
  asked: u32 = 0;
  /** ACKed loads whose exit notice has not arrived. */
  childCount: u32 = 0;
  /** At most CHILDREN_MAX of them. */
  children!: arr<Child, 128>;
  /** 1: the job runs: every rank is loaded and ends by itself. */
  started: u32 = 0;
  ownEnded: u32 = 0;
  /** The sub-tree's notice so far. */
  notice!: ExitNotice;
  /** The KILL, or refused LOAD, that must be answered when nothing of the task is left. */
  asker!: MessageHeader;
  killed: u32 = 0;
  /** Cause for refusing the load; OK: not refused. */
  refusal: u32 = 0;
  /** Number of probes of the children while their notices are pending. */
  probes: u32 = 0;
  /** 1: the service node was told of a node that the job needs and that does not answer. */
  reported: u32 = 0;
}

/** State of job/load.ts: the segment of init; 0 bytes once it is unmapped. */
export class InitSegment {
  entry: u64 = 0;
  bytes: u64 = 0;
  /** Of the image's header. */
  tasksPerNode: u32 = 0;
  reserved: u32 = 0;
  /** Header of the last fragment of its LOAD. */
  load!: MessageHeader;
}

/** One int3 in the program. */
export class Breakpoint {
  address: u64 = 0;
  /** The original byte of the program. */
  original: u8 = 0;
  used: u8 = 0;
}

/** State of job/breakpoints.ts, under the task lock. */
export class Breakpoints {
  list!: arr<Breakpoint, 64>;
}

/** Of core/caughtcalls.ts, under the task lock: the system calls that a debugger wants to see. */
export class CaughtCalls {
  all: u32 = 0;
  /** How many bits are set. */
  some: u32 = 0;
  /** Bit n: Linux's call n, Margay's call MARGAY_CALL_BASE + n. */
  linux!: arr<u64, 8>;
  own: u64 = 0;
}

export class TaskRecord {
  /** The first two fields stay zeroed between tasks: see clearTask in task.ts. */
  portals!: PortalState;
  tree!: Tree;
  segment!: InitSegment;
  breakpoints!: Breakpoints;
  caughtCalls!: CaughtCalls;
}
