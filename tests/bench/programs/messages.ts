/**
 * Messages of 8 bytes, as many as one asks for:
 *   messages ring N     a token goes N times round all ranks, one message at a time; rank 0 prints `ns N`, the time of all laps
 *   messages stream N   rank 0 PUTs N messages to the last rank, at most CREDITS under way; it prints `ns N`, from the first PUT to the
 *                       last acknowledgement
 */
import "../../../userland/lib/start.ts";
import { MAX_RANKS } from "../../../kernel/abi/job.ts";
import { MessageFlag } from "../../../kernel/abi/net.ts";
import {
  ANY_NID,
  ANY_PID,
  type MatchEntry,
  MatchOption,
  PORTAL_USER,
  type PortalEvent,
  PortalEventKind,
  type PortalRequest,
} from "../../../kernel/abi/portals.ts";
import { parseDecimal, type ParsedNumber, stringsEqual } from "../../../toolchain/lib/rt/strings.ts";
import { rank, size } from "../../../userland/lib/margay.ts";
import { expose, openQueue, putAcknowledged, type Queue, waitEvent } from "../../../userland/lib/portals.ts";
import { print, printDecimal, stdout } from "../../../userland/lib/stdio.ts";
import { margayRankMap, portalPut } from "../../../userland/lib/syscall.ts";
import { nanoseconds } from "../../../userland/lib/time.ts";

const MATCH: u64 = 0x6d65_7373;
/** Fewer than the queues hold. */
const CREDITS: u64 = 16;

class Words {
  arrived: u64 = 0;
  leaving: u64 = 0;
}
const words: Words = zeroed();
const arrivals: Queue = zeroed();
const departures: Queue = zeroed();
const nids: arr<u32, 4096> = zeroed();
const pids: arr<u32, 4096> = zeroed();

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc !== 3) return 2;
  const count: ParsedNumber = zeroed();
  parseDecimal(argv[2], addr(count));
  const ranks: u32 = size();
  const me: u32 = rank();
  const e: MatchEntry = zeroed();
  e.portalIndex = PORTAL_USER;
  e.options = MatchOption.ALLOW_PUT;
  e.matchBits = MATCH;
  e.sourceNid = ANY_NID;
  e.sourcePid = ANY_PID;
  e.address = cast<u64>(addr(words.arrived));
  e.lengthBytes = 8;
  if (margayRankMap(addr(nids[0]), addr(pids[0]), MAX_RANKS) < 0 || openQueue(addr(arrivals)) < 0) return 1;
  e.queue = arrivals.handle;
  if (openQueue(addr(departures)) < 0 || expose(addr(e)) < 0) return 1;
  const taken: i64 = stringsEqual(argv[1], cstr("ring"))
    ? ring(me, ranks, count.value)
    : stream(me, ranks, count.value);
  if (taken < 0) return 1;
  if (me === 0) {
    const o = stdout();
    print(o, cstr("ns "));
    printDecimal(o, u64(taken));
    print(o, cstr("\n"));
  }
  return 0;
}

/** ns of `laps` laps; the first, which waits until every rank stands there, is not counted. */
function ring(me: u32, ranks: u32, laps: u64): i64 {
  const next: u32 = me + 1 === ranks ? 0 : me + 1;
  let start: u64 = 0;
  for (let n: u64 = 0; n <= laps; n++) {
    if (me !== 0 && take(addr(arrivals), PortalEventKind.PUT) < 0) return -1;
    if (send(next, n === 0) < 0) return -1;
    if (me === 0 && take(addr(arrivals), PortalEventKind.PUT) < 0) return -1;
    if (n === 0) start = nanoseconds();
  }
  return words.arrived === (laps + 1) * u64(ranks) || me !== 0 ? i64(nanoseconds() - start) : -1;
}

function stream(me: u32, ranks: u32, count: u64): i64 {
  if (me === ranks - 1) {
    for (let n: u64 = 0; n <= count; n++) if (take(addr(arrivals), PortalEventKind.PUT) < 0) return -1;
    return 0;
  }
  if (me !== 0) return 0;
  if (send(ranks - 1, true) < 0) return -1;
  const start: u64 = nanoseconds();
  let acknowledged: u64 = 0;
  for (let n: u64 = 0; n < count; n++) {
    if (n - acknowledged >= CREDITS) {
      if (take(addr(departures), PortalEventKind.ACK) < 0) return -1;
      acknowledged++;
    }
    const r: PortalRequest = zeroed();
    fill(addr(r), ranks - 1);
    r.flags = MessageFlag.ACK_WANTED;
    r.queue = departures.handle;
    if (portalPut(addr(r)) < 0) return -1;
  }
  for (; acknowledged < count; acknowledged++) if (take(addr(departures), PortalEventKind.ACK) < 0) return -1;
  return i64(nanoseconds() - start);
}

/** Waits for the next event of this kind; others are passed over. */
function take(queue: ptr<Queue>, kind: u32): i64 {
  const event: PortalEvent = zeroed();
  while (event.kind !== kind) {
    const result: i64 = waitEvent(queue, addr(event), -1);
    if (result < 0) return result;
  }
  return event.cause === 0 ? 0 : -1;
}

function fill(r: ptr<PortalRequest>, target: u32): void {
  r.address = cast<u64>(addr(words.leaving));
  r.lengthBytes = 8;
  r.targetNid = nids[target];
  r.targetPid = pids[target];
  r.portalIndex = PORTAL_USER;
  r.matchBits = MATCH;
}

/** `first`: the target may not stand there yet. */
function send(target: u32, first: boolean): i64 {
  const r: PortalRequest = zeroed();
  words.leaving = words.arrived + 1;
  fill(addr(r), target);
  return first ? putAcknowledged(addr(departures), addr(r)) : portalPut(addr(r));
}
