/**
 * Portals for programs (kernel/abi/portals.ts): event queues, match entries, PUT and GET. All functions return 0 or a
 * handle, or -errno. `putAcknowledged` and `getAll` wait on a separate queue, so that the program's other events keep
 * their order.
 */
import { Errno } from "../../kernel/abi/errno.ts";
import { Cause, MessageFlag } from "../../kernel/abi/net.ts";
import {
  type EventQueue,
  type MatchEntry,
  type PortalEvent,
  PortalEventKind,
  type PortalRequest,
} from "../../kernel/abi/portals.ts";
import { portalAppend, portalGet, portalPut, portalQueue, portalWait } from "./syscall.ts";
import { sleepNs } from "./time.ts";

export const QUEUE_EVENTS: u64 = 64;
/** A queue with its storage; it holds at most QUEUE_EVENTS events. */
export class Queue {
  header!: EventQueue;
  events!: arr<PortalEvent, 64>;
  handle: u32 = 0;
  reserved: u32 = 0;
}

export function openQueue(queue: ptr<Queue>): i64 {
  zero(addr(queue.header));
  queue.header.capacity = QUEUE_EVENTS;
  const handle: i64 = portalQueue(addr(queue.header), QUEUE_EVENTS);
  if (handle < 0) return handle;
  queue.handle = u32(handle);
  return 0;
}

/** Removes the oldest event; false: the queue is empty. */
export function pollEvent(queue: ptr<Queue>, to: ptr<PortalEvent>): boolean {
  return takeEvent(addr(queue.header), to);
}
/** For any queue: the events follow its header. */
export function takeEvent(header: ptr<EventQueue>, to: ptr<PortalEvent>): boolean {
  const n: u64 = header.read;
  if (volatileRead(addr(header.written)) === n) return false;
  const events = cast<ptr<PortalEvent>>(addr(header[1]));
  copy(to, addr(events[n & (header.capacity - 1)]));
  compilerFence();
  volatileWrite(addr(header.read), n + 1);
  return true;
}
/** Waits for an event; `timeoutNs` < 0: without limit. Returns 0, -ETIMEDOUT or another -errno. */
export function waitEvent(queue: ptr<Queue>, to: ptr<PortalEvent>, timeoutNs: i64): i64 {
  while (!pollEvent(queue, to)) {
    const result: i64 = portalWait(queue.handle, timeoutNs);
    if (result < 0 && result !== -Errno.EINTR) return result;
  }
  return 0;
}

/** Appends a match entry for a buffer and returns its handle. */
export function expose(entry: ptr<MatchEntry>): i64 {
  return portalAppend(entry);
}

/** Interval between attempts of a PUT or GET that found no match entry, because the peer has not created it yet. */
const RETRY_NS: u64 = 10_000;
const RETRIES: u32 = 10_000;

/**
 * PUTs, waits for delivery, and retries while the target has no match entry for it. Uses the request's flags, queue and
 * user pointer.
 */
export function putAcknowledged(queue: ptr<Queue>, request: ptr<PortalRequest>): i64 {
  return complete(queue, request, false);
}
/** GETs, waits for the data, and retries while the target has no match entry for it. */
export function getAll(queue: ptr<Queue>, request: ptr<PortalRequest>): i64 {
  return complete(queue, request, true);
}

function complete(queue: ptr<Queue>, request: ptr<PortalRequest>, isGet: boolean): i64 {
  const done: u32 = isGet ? PortalEventKind.REPLY : PortalEventKind.ACK;
  const event: PortalEvent = zeroed();
  request.queue = queue.handle;
  request.flags = isGet ? 0 : MessageFlag.ACK_WANTED;
  for (let tries: u32 = 0; tries < RETRIES; tries++) {
    const issued: i64 = isGet ? portalGet(request) : portalPut(request);
    if (issued < 0) return issued;
    event.kind = PortalEventKind.NONE;
    while (event.kind !== done) {
      const waited: i64 = waitEvent(queue, addr(event), -1);
      if (waited < 0) return waited;
    }
    if (event.cause === Cause.OK) return 0;
    if (event.cause !== Cause.NO_MATCH) return -errnoOfCause(event.cause);
    sleepNs(RETRY_NS);
  }
  return -Errno.ETIMEDOUT;
}

/** The errno that is closest to the cause. */
export function errnoOfCause(cause: u32): i64 {
  switch (cause) {
    case Cause.OK:
      return 0;
    case Cause.BUSY:
      return Errno.EBUSY;
    case Cause.NO_MEMORY:
      return Errno.ENOMEM;
    case Cause.NOT_PERMITTED:
      return Errno.EPERM;
    case Cause.NO_SUCH_JOB:
      return Errno.ESRCH;
    case Cause.NO_MATCH:
      return Errno.ECONNREFUSED;
    case Cause.UNREACHABLE:
      return Errno.ENETDOWN;
    default:
      return Errno.EPROTO;
  }
}
