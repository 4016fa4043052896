/**
 * poll, ppoll, select, pselect6. Source: Linux poll(2), select(2). Files and output are always ready. For standard
 * input that arrives while the job runs, the machine stops until it is there, so in virtual time it arrives at once.
 * Timeouts are virtual. The kernel handles signal masks.
 */
import { Errno } from "../../abi/errno.ts";
import { DESCRIPTORS_MAX, Open, Poll, PollFd } from "../../abi/io.ts";
import { IoError } from "../hostfs.ts";
import { type CallContext, type CallResult, done, type Later } from "./context.ts";

const FILE_READY = Poll.IN | Poll.OUT | Poll.RDNORM | Poll.WRNORM;
const INPUT_READY = Poll.IN | Poll.RDNORM;
const OUTPUT_READY = Poll.OUT | Poll.WRNORM;
const NANOSECONDS = 1_000_000_000n;
/** Longer waits last until the run ends. */
const LONGEST_NS = 2n ** 62n;

/** Readiness of a descriptor; "later": standard input that has not arrived yet. */
function readiness(c: CallContext, fd: number): number | "later" {
  const file = c.table.get(fd);
  if (file.flags & Open.PATH) throw new IoError(Errno.EBADF);
  if (file.stream === undefined) return FILE_READY;
  if (file.stream !== 0) return OUTPUT_READY;
  if (!c.isLiveInput || c.hasInput) return INPUT_READY;
  c.wantInput();
  return "later";
}

/** Nanoseconds from the request on; null: infinite. */
type Timeout = bigint | null;
/** The result as soon as something is ready, or when the time has expired. */
function waitFor(
  c: CallContext,
  timeout: Timeout,
  ready: number,
  wantsInput: boolean,
  answer: () => CallResult,
): CallResult | Later {
  if (ready > 0 || timeout === 0n) return answer();
  // The machine stops until the input is there.
  if (wantsInput) return { later: "input" };
  const due = timeout === null ? Infinity : c.startTime + Number(timeout);
  return c.time >= due ? answer() : { later: "time", due };
}
function remaining(c: CallContext, timeout: Timeout): bigint {
  const left = (timeout ?? 0n) - BigInt(Math.floor(c.time - c.startTime));
  return left > 0n ? left : 0n;
}

/** (struct pollfd *, count, milliseconds). */
export function poll(c: CallContext): CallResult | Later {
  const milliseconds = c.int(2);
  const timeout = milliseconds < 0 ? null : BigInt(milliseconds) * 1_000_000n;
  return pollFor(c, c.data, timeout, () => new Uint8Array(0));
}
/** (struct pollfd *, count, struct timespec * or null): returns the remaining time. */
export function ppoll(c: CallContext): CallResult | Later {
  const hasTime = c.args[2] !== 0n;
  const split = c.data.length - (hasTime ? 16 : 0);
  if (split < 0) throw new IoError(Errno.EINVAL);
  const timeout = hasTime ? timeOf(c.data.subarray(split), NANOSECONDS) : null;
  return pollFor(c, c.data.subarray(0, split), timeout, () =>
    hasTime ? timeBytes(remaining(c, timeout), NANOSECONDS) : new Uint8Array(0),
  );
}
function pollFor(c: CallContext, data: Uint8Array, timeout: Timeout, rest: () => Uint8Array): CallResult | Later {
  const count = c.int(1) >>> 0;
  if (count > DESCRIPTORS_MAX || data.length !== count * PollFd.SIZE) throw new IoError(Errno.EINVAL);
  const bytes = data.slice();
  let ready = 0;
  let wantsInput = false;
  for (let i = 0; i < count; i++) {
    const p = new PollFd(new DataView(bytes.buffer, i * PollFd.SIZE));
    p.revents = 0;
    if (p.fd < 0) continue;
    try {
      const events = readiness(c, p.fd);
      if (events === "later") wantsInput ||= (p.events & INPUT_READY) !== 0;
      else p.revents = events & (p.events | Poll.ERR | Poll.HUP);
    } catch (error) {
      if (!(error instanceof IoError)) throw error;
      p.revents = Poll.NVAL;
    }
    if (p.revents !== 0) ready++;
  }
  return waitFor(c, timeout, ready, wantsInput, () => done(ready, Buffer.concat([bytes, rest()])));
}

/** (count, three sets or null, struct timeval * or null): returns the sets and the remaining time. */
export function select(c: CallContext): CallResult | Later {
  return selectFor(c, 1_000_000n);
}
/** The same with a struct timespec. */
export function pselect6(c: CallContext): CallResult | Later {
  return selectFor(c, NANOSECONDS);
}
/** `perSecond`: unit of the second word of the time. */
function selectFor(c: CallContext, perSecond: bigint): CallResult | Later {
  const count = Math.min(c.int(0), DESCRIPTORS_MAX);
  if (count < 0) throw new IoError(Errno.EINVAL);
  const setBytes = Math.ceil(count / 64) * 8;
  const given = [1, 2, 3].filter((i) => c.args[i] !== 0n);
  const hasTime = c.args[4] !== 0n;
  if (c.data.length !== given.length * setBytes + (hasTime ? 16 : 0)) throw new IoError(Errno.EINVAL);
  const timeout = hasTime ? timeOf(c.data.subarray(given.length * setBytes), perSecond) : null;
  const asked = c.data.subarray(0, given.length * setBytes);
  const watched = Math.min(count, c.table.capacity);
  // Sets keep what is beyond the table.
  const found = asked.map((byte, i) => (i % setBytes < watched / 8 ? 0 : byte));
  let ready = 0;
  let wantsInput = false;
  // Conditions for the sets for reading, writing, and out-of-band data.
  const wanted = [INPUT_READY | Poll.HUP | Poll.ERR, OUTPUT_READY | Poll.ERR, Poll.PRI] as const;
  for (const [position, argument] of given.entries())
    for (let fd = 0; fd < watched; fd++) {
      const at = position * setBytes + (fd >> 3);
      const bit = 1 << (fd & 7);
      if ((asked[at]! & bit) === 0) continue;
      const events = readiness(c, fd);
      if (events === "later") wantsInput ||= argument === 1;
      else if (events & wanted[argument - 1]!) {
        found[at]! |= bit;
        ready++;
      }
    }
  return waitFor(c, timeout, ready, wantsInput, () => {
    const time = hasTime ? timeBytes(remaining(c, timeout), perSecond) : new Uint8Array(0);
    return done(ready, Buffer.concat([found, time]));
  });
}

/** Seconds and a fraction. @throws IoError EINVAL */
function timeOf(bytes: Uint8Array, perSecond: bigint): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [seconds, part] = [view.getBigInt64(0, true), view.getBigInt64(8, true)];
  // select(2) accepts more microseconds than one second.
  if (seconds < 0n || part < 0n || (perSecond === NANOSECONDS && part >= perSecond)) throw new IoError(Errno.EINVAL);
  const time = seconds * NANOSECONDS + part * (NANOSECONDS / perSecond);
  return time < LONGEST_NS ? time : LONGEST_NS;
}
function timeBytes(time: bigint, perSecond: bigint): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigInt64(0, time / NANOSECONDS, true);
  view.setBigInt64(8, (time % NANOSECONDS) / (NANOSECONDS / perSecond), true);
  return bytes;
}
