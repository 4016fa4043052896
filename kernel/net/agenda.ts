/**
 * Which peers are ready to be served, which wait for resources that others hold, and the first deadline. The cost of
 * every step is independent of the number of peers, except for the logarithm of the heap. So net/reliable.ts does a
 * bounded amount of work in one hold of `netLock`, even with thousands of peers. Everything runs under `netLock`
 * (asserted in `markReady`).
 *
 * A peer that lacks buffers, messages or the end of a burst is put off. It is tried again after the next received frame
 * or timeout. A peer that waits for its own acknowledgement is on no list: the frames that it sends make it ready.
 */
import { assertHeld } from "../arch/spinlock.ts";
import { netLock, type Peer } from "./peer.ts";

// biome-ignore format: a table
const enum On { NONE = 0, READY = 1, /** Waits for resources that others hold. */ PUT_OFF = 2 }

/** Doubly linked, first in, first out. */
class PeerList {
  first: ptr<Peer> | null = null;
  last: ptr<Peer> | null = null;
}
class Agenda {
  ready!: PeerList;
  putOff!: PeerList;
  putOffCount: u32 = 0;
  /** Number of peers at the front of `putOff` that are to be tried again. */
  retries: u32 = 0;
  /** Peers with a deadline. */
  dueCount: u32 = 0;
}
const agenda: Agenda = zeroed();
/** A binary heap by deadline: none is earlier than that of index (i - 1) / 2. */
const due: arr<ptr<Peer> | null, 4160> = zeroed();

// ---- lists ---------------------------------------------------------------------------------------------------------
function append(list: ptr<PeerList>, peer: ptr<Peer>, on: u32): void {
  const last = list.last;
  peer.on = on;
  peer.after = null;
  peer.before = last;
  if (last === null) list.first = peer;
  else last.after = peer;
  list.last = peer;
}
function remove(list: ptr<PeerList>, peer: ptr<Peer>): void {
  const before = peer.before;
  const after = peer.after;
  if (before === null) list.first = after;
  else before.after = after;
  if (after === null) list.last = before;
  else after.before = before;
  peer.on = On.NONE;
}

/** Something may have become possible for `peer`: `releaseNet` serves it. */
export function markReady(peer: ptr<Peer>): void {
  assertHeld(addr(netLock));
  if (peer.on === On.READY) return;
  if (peer.on === On.PUT_OFF) {
    remove(addr(agenda.putOff), peer);
    agenda.putOffCount--;
  }
  append(addr(agenda.ready), peer, On.READY);
}
/**
 * The peer to serve next; null: none. It stays first until it is `finished` or `putOff`. Peers to be tried again come
 * after the ready ones.
 */
export function nextReady(): ptr<Peer> | null {
  const first = agenda.ready.first;
  return first !== null || agenda.retries === 0 ? first : nextRetry();
}
function nextRetry(): ptr<Peer> | null {
  attr({ inline: "never" });
  agenda.retries--;
  const peer = agenda.putOff.first;
  if (peer !== null) markReady(peer);
  return peer;
}
/** Nothing more can be done for `peer` until it is marked again. */
export function finished(peer: ptr<Peer>): void {
  if (peer.on === On.READY) remove(addr(agenda.ready), peer);
}
/** `peer` waits for resources that others hold. */
export function putOff(peer: ptr<Peer>): void {
  finished(peer);
  append(addr(agenda.putOff), peer, On.PUT_OFF);
  agenda.putOffCount++;
}
/** Resources may have become free: `nextReady` returns each peer that was put off once more. */
export function retryPutOff(): void {
  agenda.retries = agenda.putOffCount;
}
export function anyPutOff(): boolean {
  return agenda.putOffCount !== 0;
}

// ---- deadlines -----------------------------------------------------------------------------------------------------
/** `deadline`: TSC ns; 0: none. */
export function setDeadline(peer: ptr<Peer>, deadline: u64): void {
  const before: u64 = peer.deadline;
  if (deadline === before) return;
  peer.deadline = deadline;
  if (before === 0) {
    agenda.dueCount++;
    rise(peer, agenda.dueCount - 1);
  } else if (deadline === 0) {
    agenda.dueCount--;
    const last = due[agenda.dueCount];
    due[agenda.dueCount] = null;
    // It takes the vacant place.
    if (last !== null && last !== peer) place(last, peer.dueIndex);
  } else {
    place(peer, peer.dueIndex);
  }
}
/** The peer with the first deadline; null: none has one. */
export function firstDue(): ptr<Peer> | null {
  return due[0];
}

/** Puts `peer` where its deadline belongs, from the free index `at` up or down. */
function place(peer: ptr<Peer>, at: u32): void {
  const parent = at === 0 ? null : due[(at - 1) / 2];
  if (parent !== null && peer.deadline < parent.deadline) rise(peer, at);
  else sink(peer, at);
}
function rise(peer: ptr<Peer>, from: u32): void {
  let at: u32 = from;
  while (at !== 0) {
    const parent = due[(at - 1) / 2];
    if (parent === null || parent.deadline <= peer.deadline) break;
    put(parent, at);
    at = (at - 1) / 2;
  }
  put(peer, at);
}
function sink(peer: ptr<Peer>, from: u32): void {
  let at: u32 = from;
  for (;;) {
    let child: u32 = 2 * at + 1;
    if (child >= agenda.dueCount) break;
    let earlier = due[child];
    const right = child + 1 < agenda.dueCount ? due[child + 1] : null;
    if (right !== null && earlier !== null && right.deadline < earlier.deadline) {
      earlier = right;
      child++;
    }
    if (earlier === null || earlier.deadline >= peer.deadline) break;
    put(earlier, at);
    at = child;
  }
  put(peer, at);
}
function put(peer: ptr<Peer>, at: u32): void {
  due[at] = peer;
  peer.dueIndex = at;
}
