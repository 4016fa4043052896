/**
 * Decides when a frame counts as lost. Timeout: RFC 6298 (smoothed round trip and its variance, exponential back-off,
 * Karn's rule). Earlier detection from what the peer holds: RFC 6675. abi/net.ts states the rules. Times are ns; the
 * integer arithmetic is the same as the host's.
 */
import { LATER_FRAMES, RTO_MAX_NS, RTO_MIN_NS, WINDOW_FRAMES } from "../abi/net.ts";
import { NO_BUFFER, releaseBuffer } from "../drivers/virtio-net.ts";
import type { Peer } from "./peer.ts";

/** Enough doublings to reach RTO_MAX_NS from RTO_MIN_NS. */
const BACKOFF_MAX: u32 = 5;

export function following(sequence: u32): u32 {
  return sequence === 0xffff_ffff ? 1 : sequence + 1;
}
/**
 * Steps forward from `from` to `to`; more than half of all numbers means that `to` lies before `from`. 0 is not a
 * number, so a wrap is one step shorter.
 */
export function sequenceDistance(from: u32, to: u32): u32 {
  return to >= from ? to - from : to - from - 1;
}

/** The present timeout of the oldest frame. */
export function timeoutOf(peer: ptr<Peer>): u64 {
  const doubled: u64 = peer.timeout << u64(peer.backoff);
  const limit: u64 = peer.timeout > RTO_MAX_NS ? peer.timeout : RTO_MAX_NS;
  return doubled < limit ? doubled : limit;
}

/** RFC 6298, 2.2 and 2.3. */
function sample(peer: ptr<Peer>, roundTrip: u64): void {
  if (peer.smoothed === 0) {
    peer.smoothed = roundTrip > 0 ? roundTrip : 1;
    peer.variance = roundTrip / 2;
  } else {
    const error: u64 = roundTrip > peer.smoothed ? roundTrip - peer.smoothed : peer.smoothed - roundTrip;
    peer.variance = (3 * peer.variance + error) / 4;
    peer.smoothed = (7 * peer.smoothed + roundTrip) / 8;
  }
  const timeout: u64 = peer.smoothed + 4 * peer.variance;
  peer.timeout = timeout > RTO_MIN_NS ? timeout : RTO_MIN_NS;
  peer.backoff = 0;
}

/**
 * Releases the frames up to `acknowledgement`, and those after it that `selective` reports as held. True: a frame
 * before a held one may be lost; `isLost` decides.
 */
export function acknowledged(peer: ptr<Peer>, acknowledgement: u32, selective: u32, now: u64): boolean {
  if (peer.count === 0) return false;
  let newest: u64 = 0;
  let progress: boolean = false;
  const oldest: u32 = peer.inFlight[peer.first].sequence;
  // An acknowledgement of frames before the window, or of frames never sent, is ignored.
  const count: u32 = acknowledgement === 0 ? 0 : sequenceDistance(oldest, acknowledgement) + 1;
  if (count <= peer.count) {
    for (let i: u32 = 0; i < count; i++) {
      const slot = addr(peer.inFlight[peer.first]);
      if (slot.buffer !== NO_BUFFER) {
        releaseBuffer(slot.buffer);
        if (slot.resent === 0) newest = slot.sentAt;
      }
      peer.first = (peer.first + 1) % WINDOW_FRAMES;
      peer.count--;
      progress = true;
    }
  }
  let holds: boolean = false;
  if (selective !== 0 && peer.count !== 0 && following(acknowledgement) === peer.inFlight[peer.first].sequence) {
    for (let i: u32 = 1; i < peer.count; i++) {
      if (((selective >> i) & 1) === 0) continue;
      const slot = addr(peer.inFlight[(peer.first + i) % WINDOW_FRAMES]);
      if (slot.buffer === NO_BUFFER) continue;
      releaseBuffer(slot.buffer);
      slot.buffer = NO_BUFFER;
      if (slot.resent === 0) newest = slot.sentAt;
      holds = true;
    }
  }
  if (progress || holds) peer.proven = 1;
  if (newest !== 0) sample(peer, now - newest);
  // RFC 6298, 5.3.
  if (progress) peer.timerAt = now + timeoutOf(peer);
  return holds;
}

/** RFC 6298, 5.5 and 5.6: the oldest frame has timed out. */
export function timedOut(peer: ptr<Peer>, now: u64): void {
  peer.silent++;
  if (peer.backoff < BACKOFF_MAX) peer.backoff++;
  peer.timerAt = now + timeoutOf(peer);
}

/**
 * Whether frame `index` of the window must be retransmitted. After a timeout: the oldest, and frames missing before a
 * held one. Otherwise: frames sent only once that have LATER_FRAMES held ones after them.
 */
export function isLost(peer: ptr<Peer>, index: u32, timeout: boolean): boolean {
  const slot = addr(peer.inFlight[(peer.first + index) % WINDOW_FRAMES]);
  if (slot.buffer === NO_BUFFER) return false;
  if (timeout && index === 0) return true;
  if (!timeout && slot.resent !== 0) return false;
  let held: u32 = 0;
  for (let i: u32 = index + 1; i < peer.count; i++) {
    if (peer.inFlight[(peer.first + i) % WINDOW_FRAMES].buffer === NO_BUFFER) held++;
  }
  return held >= (timeout ? 1 : LATER_FRAMES);
}
