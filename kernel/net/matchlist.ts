/**
 * Match lists: the entries of a task's portal table, and the choice of the entry for a message. Under `netLock`. A list
 * is searched in the order in which entries were appended; the first entry that accepts source, bits, operation and
 * length takes the message. While a message arrives in an entry's memory, or is read from it, the entry is busy and
 * cannot be unlinked.
 */
import { Errno } from "../abi/errno.ts";
import type { MessageHeader } from "../abi/net.ts";
import { ANY_NID, ANY_PID, MATCH_ENTRIES_MAX, type MatchEntry, MatchOption, PORTAL_COUNT } from "../abi/portals.ts";
import { assert } from "../arch/fatal.ts";
import { assertHeld, lock, unlock } from "../arch/spinlock.ts";
import type { MatchSlot, PortalState } from "../core/record.ts";
import { currentTask, type Task } from "../core/task.ts";
import type { Call } from "../syscall/arguments.ts";
import { takeMatchEntry } from "../syscall/structures.ts";
import { failure } from "../syscall/table.ts";
import { queueExists } from "./queues.ts";
import { netLock } from "./peer.ts";

function stateOf(task: ptr<Task>): ptr<PortalState> {
  return addr(task.record.portals);
}
/** Entry `number` of a list of `task`. */
export function slotOf(task: ptr<Task>, number: u32): ptr<MatchSlot> {
  return addr(stateOf(task).slots[number - 1]);
}

/** (const MatchEntry *) → handle. */
export function portalAppend(call: ptr<Call>): i64 {
  const task = currentTask();
  const entry: MatchEntry = zeroed();
  const errno: u32 = takeMatchEntry(addr(task.space), call.a, addr(entry));
  if (errno !== 0) return failure(errno);
  const flags: u64 = lock(addr(netLock));
  let handle: i64 = failure(Errno.EAGAIN);
  if (!queueExists(task, entry.queue)) {
    handle = failure(Errno.EINVAL);
  } else {
    const state = stateOf(task);
    for (let i: u32 = 0; i < MATCH_ENTRIES_MAX && handle < 0; i++) {
      const slot = addr(state.slots[i]);
      if (slot.used !== 0) continue;
      zero(slot);
      slot.used = 1;
      copy(addr(slot.entry), addr(entry));
      appendToList(state, entry.portalIndex, i + 1);
      handle = i64(i) + 1;
    }
  }
  unlock(addr(netLock), flags);
  return handle;
}
function appendToList(state: ptr<PortalState>, portal: u32, number: u32): void {
  assertHeld(addr(netLock));
  if (state.heads[portal] === 0) {
    state.heads[portal] = number;
    return;
  }
  let at: u32 = state.heads[portal];
  while (state.slots[at - 1].next !== 0) at = state.slots[at - 1].next;
  state.slots[at - 1].next = number;
}

/** (handle). EBUSY corresponds to PTL_IN_USE of Portals: the entry is unchanged. */
export function portalUnlink(call: ptr<Call>): i64 {
  const task = currentTask();
  const flags: u64 = lock(addr(netLock));
  let result: i64 = failure(Errno.EINVAL);
  if (stateOf(task).slots[call.a - 1].used !== 0) {
    const slot = slotOf(task, u32(call.a));
    if (slot.busy !== 0) {
      result = failure(Errno.EBUSY);
    } else {
      unlink(stateOf(task), u32(call.a));
      slot.used = 0;
      result = 0;
    }
  }
  unlock(addr(netLock), flags);
  return result;
}
/** Removes the entry from its list. */
function unlink(state: ptr<PortalState>, number: u32): void {
  assertHeld(addr(netLock));
  const slot = addr(state.slots[number - 1]);
  const portal: u32 = slot.entry.portalIndex;
  if (state.heads[portal] === number) {
    state.heads[portal] = slot.next;
    return;
  }
  for (let at: u32 = state.heads[portal]; at !== 0; at = state.slots[at - 1].next) {
    if (state.slots[at - 1].next === number) state.slots[at - 1].next = slot.next;
  }
}

/**
 * Number (index + 1) of the first entry that takes the message; 0: none. `offset` is where the message would be placed.
 */
export function match(task: ptr<Task>, header: ptr<MessageHeader>, option: u32, lengthBytes: u64): u32 {
  assertHeld(addr(netLock));
  if (header.portalIndex >= PORTAL_COUNT || header.jobId !== task.jobId) return 0;
  const state = stateOf(task);
  if (state.closing !== 0) return 0;
  for (let number: u32 = state.heads[header.portalIndex]; number !== 0; number = state.slots[number - 1].next) {
    const slot = addr(state.slots[number - 1]);
    const e = addr(slot.entry);
    if ((e.options & option) === 0 || ((e.matchBits ^ header.matchBits) & ~e.ignoreBits) !== 0) continue;
    if (e.sourceNid !== ANY_NID && e.sourceNid !== header.sourceNid) continue;
    if (e.sourcePid !== ANY_PID && e.sourcePid !== header.sourcePid) continue;
    const offset: u64 = offsetIn(slot, header);
    if ((e.options & MatchOption.TRUNCATE) !== 0 || (offset <= e.lengthBytes && lengthBytes <= e.lengthBytes - offset))
      return number;
  }
  return 0;
}
export function offsetIn(slot: ptr<MatchSlot>, header: ptr<MessageHeader>): u64 {
  return (slot.entry.options & MatchOption.MANAGE_LOCAL) !== 0 ? slot.localOffset : header.remoteOffset;
}
/** Number of bytes of the message that the entry takes at `offset`. */
export function accepted(e: ptr<MatchEntry>, offset: u64, lengthBytes: u64): u64 {
  if (offset >= e.lengthBytes) return 0;
  const room: u64 = e.lengthBytes - offset;
  return lengthBytes < room ? lengthBytes : room;
}
/**
 * A message was matched: the entry is busy until `release`, its offset advances, and a USE_ONCE entry leaves its list.
 */
export function use(task: ptr<Task>, number: u32, bytes: u64): void {
  assertHeld(addr(netLock));
  const slot = slotOf(task, number);
  slot.busy++;
  slot.localOffset += bytes;
  if ((slot.entry.options & MatchOption.USE_ONCE) === 0) return;
  unlink(stateOf(task), number);
  slot.unlinked = 1;
}
/** The message no longer uses the entry's memory, or has been discarded. */
export function release(task: ptr<Task>, number: u32): void {
  assertHeld(addr(netLock));
  const slot = slotOf(task, number);
  assert(slot.used !== 0 && slot.busy !== 0, cstr("portals: an entry is released twice"), u64(number));
  slot.busy--;
  if (slot.busy === 0 && slot.unlinked !== 0) slot.used = 0;
}
