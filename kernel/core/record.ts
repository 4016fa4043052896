/**
 * What the floors above keep for each task, as data: Portals (net), the job's tree and segment, breakpoints (job). It
 * stands here so that a task is one record, and nobody keeps an array by slot beside it. Only the floor that is named
 * reads and writes a part. A record is zeroed when its task is created, and when its slot is given back.
 */
import type { ExitNotice } from "../abi/job.ts";
import type { MessageHeader } from "../abi/net.ts";
import type { MatchEntry } from "../abi/portals.ts";

/** An appended match entry. */
export class MatchSlot {
  used: u32 = 0;
  /** Messages that are arriving in its memory or being read from it. */
  busy: u32 = 0;
  /** 1: off its list (USE_ONCE), and used only until it is not busy any more. */
  unlinked: u32 = 0;
  reserved: u32 = 0;
  /** Slot number + 1 of the next entry of the list; 0 = none. */
  next: u32 = 0;
  /** MANAGE_LOCAL: where the next message lands. */
  localOffset: u64 = 0;
  entry!: MatchEntry;
}
/** An event queue in the program's memory; address 0: none. */
export class QueueSlot {
  address: u64 = 0;
  capacity: u64 = 0;
}
/** Of net/matchlist.ts and net/queues.ts, under `netLock`. */
export class PortalState {
  /** Slot number + 1 of the first entry. */
  heads!: arr<u32, 8>;
  slots!: arr<MatchSlot, 256>;
  queues!: arr<QueueSlot, 16>;
}

/** A load of this task's that was ACKed. */
export class Child {
  nid: u32 = 0;
  rank: u32 = 0;
  /** Where its load's events go, and what they carry. */
  queue: u32 = 0;
  reserved: u32 = 0;
  userPointer: u64 = 0;
}
/** Of job/exit.ts, under `netLock`. */
export class Tree {
  /** Loads that init has sent. */
  asked: u32 = 0;
  /** ACKed loads whose notice has not come. */
  childCount: u32 = 0;
  /** FANOUT_MAX of them at most. */
  children!: arr<Child, 64>;
  /** The job runs: every rank is loaded, and ends by itself. */
  started: u32 = 0;
  ownEnded: u32 = 0;
  /** The sub-tree so far. */
  notice!: ExitNotice;
  /** Whose KILL, or refused LOAD, is to be answered when nothing of the task is left. */
  asker!: MessageHeader;
  killed: u32 = 0;
  /** Cause that the load is refused with; OK: it is not. */
  refusal: u32 = 0;
  /** Times that the children were probed while their notices are awaited. */
  probes: u32 = 0;
  /** The service node was told of a node that the job needs and that does not answer. */
  reported: u32 = 0;
}

/** Of job/load.ts: the segment that init lies in; 0 bytes once it is unmapped. */
export class InitSegment {
  entry: u64 = 0;
  bytes: u64 = 0;
  /** Header of the last fragment of the LOAD that it came by. */
  load!: MessageHeader;
}

/** One int3 in the program. */
export class Breakpoint {
  address: u64 = 0;
  /** Byte of the program. */
  original: u8 = 0;
  used: u8 = 0;
}

/** Of job/breakpoints.ts, under the task lock. */
export class Breakpoints {
  list!: arr<Breakpoint, 64>;
}

export class TaskRecord {
  portals!: PortalState;
  tree!: Tree;
  segment!: InitSegment;
  breakpoints!: Breakpoints;
}
