/**
 * The Portals subset: PUT and GET between match lists, with events in queues in user memory. Source: Sandia, Portals
 * 3.3/4.0; kernel/net/README.md lists what is left out.
 */
/** Portal table entries of a task. */
export const PORTAL_COUNT: u32 = 8;
/** Used by init during load; afterwards free for programs. */
export const PORTAL_INIT: u32 = 0;
/** For programs and libraries. */
export const PORTAL_USER: u32 = 1;
/** On the service node: job status from rank 0. */
export const PORTAL_SERVICE: u32 = 0;
export const ANY_NID: u32 = 0xffff_ffff;
export const ANY_PID: u32 = 0xffff_ffff;
/** Most match entries and event queues of a task; beyond them EAGAIN. */
export const MATCH_ENTRIES_MAX: u32 = 256;
export const EVENT_QUEUES_MAX: u32 = 16;
/** Most events that one queue holds. */
export const EVENT_CAPACITY_MAX: u32 = 0x1_0000;

export const enum MatchOption {
  ALLOW_PUT = 1,
  ALLOW_GET = 2,
  /** Unlink the entry after its first operation. */
  USE_ONCE = 4,
  /** Messages are placed one after the other (the entry keeps the offset), not at the initiator's remote offset. */
  MANAGE_LOCAL = 8,
  /** Truncate a message that is too long; without this option it does not match. */
  TRUNCATE = 16,
}
/** Argument of `portal_append`. Lists are searched in the order in which entries were appended. */
export class MatchEntry {
  portalIndex: u32 = 0;
  options: u32 = 0;
  matchBits: u64 = 0;
  /** A set bit of `ignoreBits` matches anything. */
  ignoreBits: u64 = 0;
  sourceNid: u32 = 0;
  sourcePid: u32 = 0;
  address: u64 = 0;
  lengthBytes: u64 = 0;
  /** Handle of an event queue, 0 = no events. */
  queue: u32 = 0;
  reserved: u32 = 0;
  /** Copied into events. */
  userPointer: u64 = 0;
}
/** Argument of `portal_put` and `portal_get`. The buffer is in use until SENT (put) or REPLY (get). */
export class PortalRequest {
  address: u64 = 0;
  lengthBytes: u64 = 0;
  targetNid: u32 = 0;
  targetPid: u32 = 0;
  portalIndex: u32 = 0;
  /** MessageFlag.ACK_WANTED: deliver an ACK event. */
  flags: u32 = 0;
  matchBits: u64 = 0;
  remoteOffset: u64 = 0;
  headerData: u64 = 0;
  queue: u32 = 0;
  reserved: u32 = 0;
  userPointer: u64 = 0;
}
/**
 * Argument of `margay_load`: PUT the init image to the kernel of `nid`, for the task of `rank`. The answer is a
 * LOAD_REPLY event: cause, initiatorPid = the new task's pid.
 */
export class LoadRequest {
  nid: u32 = 0;
  queue: u32 = 0;
  address: u64 = 0;
  lengthBytes: u64 = 0;
  userPointer: u64 = 0;
  /** Bit n: the task gets core n; 0: as the image's header says. */
  cores: u64 = 0;
  rank: u32 = 0;
  reserved: u32 = 0;
}
/**
 * LOAD_EXIT: a load that was answered by OK ended before its job was started, because init crashed or its node was lost
 * (cause); headerData = wait status.
 */
// biome-ignore format: a table
export const enum PortalEventKind { NONE = 0, PUT = 1, GET = 2, SENT = 3, ACK = 4, REPLY = 5, LOAD_REPLY = 6, LOAD_EXIT = 7 }
/** At a target: the initiator's operation. At an initiator: the result of its operation. */
export class PortalEvent {
  kind: u32 = 0;
  cause: u32 = 0;
  initiatorNid: u32 = 0;
  initiatorPid: u32 = 0;
  portalIndex: u32 = 0;
  userId: u32 = 0;
  matchBits: u64 = 0;
  headerData: u64 = 0;
  /** Bytes moved, and the offset of the first one in the match entry. */
  lengthBytes: u64 = 0;
  entryOffset: u64 = 0;
  userPointer: u64 = 0;
}
/**
 * Header of an event queue in user memory; `capacity` (a power of two) PortalEvents follow it. The kernel writes event
 * n at n & (capacity - 1) and then `written` = n + 1; the program advances `read`. If the queue is full, the kernel
 * drops the event and counts it.
 */
export class EventQueue {
  written: u64 = 0;
  read: u64 = 0;
  dropped: u64 = 0;
  capacity: u64 = 0;
}
