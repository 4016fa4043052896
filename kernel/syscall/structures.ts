/**
 * Structures that programs pass: each is copied once, and the copy is checked as a whole. Later changes by the program
 * have no effect. The functions return 0 or an errno.
 */
import { Errno } from "../abi/errno.ts";
import { MAX_RANKS } from "../abi/job.ts";
import { MAX_MESSAGE_BYTES, MessageFlag } from "../abi/net.ts";
import {
  EVENT_QUEUES_MAX,
  type LoadRequest,
  type MatchEntry,
  MatchOption,
  PORTAL_COUNT,
  type PortalRequest,
} from "../abi/portals.ts";
import type { Timespec } from "../abi/process.ts";
import type { AddressSpace } from "../mm/addressspace.ts";
import { copyFromUser, userRangeValid } from "../mm/user.ts";

const NS_PER_SECOND: i64 = 1000000000;
const MATCH_OPTIONS: u32 =
  MatchOption.ALLOW_PUT |
  MatchOption.ALLOW_GET |
  MatchOption.USE_ONCE |
  MatchOption.MANAGE_LOCAL |
  MatchOption.TRUNCATE;
const PID_MAX: u32 = 0xffff;

/** A time or a duration: not negative, nanoseconds below one second. */
export function takeTimespec(space: ptr<AddressSpace>, from: u64, to: ptr<Timespec>): u32 {
  if (!copyFromUser(space, cast<ptr<u8>>(to), from, sizeof<Timespec>())) return Errno.EFAULT;
  if (to.seconds < 0 || to.nanoseconds < 0 || to.nanoseconds >= NS_PER_SECOND) return Errno.EINVAL;
  return 0;
}

export function takeMatchEntry(space: ptr<AddressSpace>, from: u64, to: ptr<MatchEntry>): u32 {
  if (!copyFromUser(space, cast<ptr<u8>>(to), from, sizeof<MatchEntry>())) return Errno.EFAULT;
  if (to.portalIndex >= PORTAL_COUNT || to.queue > EVENT_QUEUES_MAX) return Errno.EINVAL;
  if ((to.options & ~MATCH_OPTIONS) !== 0) return Errno.EINVAL;
  const written: boolean = (to.options & MatchOption.ALLOW_PUT) !== 0;
  return userRangeValid(space, to.address, to.lengthBytes, written) ? 0 : Errno.EFAULT;
}

/** `written`: the kernel will write into the buffer (GET), otherwise read it (PUT). */
export function takePortalRequest(space: ptr<AddressSpace>, from: u64, to: ptr<PortalRequest>, written: boolean): u32 {
  if (!copyFromUser(space, cast<ptr<u8>>(to), from, sizeof<PortalRequest>())) return Errno.EFAULT;
  if (to.portalIndex >= PORTAL_COUNT || to.targetPid > PID_MAX || to.queue > EVENT_QUEUES_MAX) return Errno.EINVAL;
  if ((to.flags & ~u32(MessageFlag.ACK_WANTED)) !== 0) return Errno.EINVAL;
  if (to.lengthBytes > u64(MAX_MESSAGE_BYTES)) return Errno.EMSGSIZE;
  return userRangeValid(space, to.address, to.lengthBytes, written) ? 0 : Errno.EFAULT;
}

export function takeLoadRequest(space: ptr<AddressSpace>, from: u64, to: ptr<LoadRequest>): u32 {
  if (!copyFromUser(space, cast<ptr<u8>>(to), from, sizeof<LoadRequest>())) return Errno.EFAULT;
  if (to.queue > EVENT_QUEUES_MAX || to.rank >= MAX_RANKS) return Errno.EINVAL;
  if (to.lengthBytes > u64(MAX_MESSAGE_BYTES)) return Errno.EMSGSIZE;
  return userRangeValid(space, to.address, to.lengthBytes, false) ? 0 : Errno.EFAULT;
}
