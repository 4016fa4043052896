/**
 * Passes a token by PUT round all ranks, a few laps; every rank adds one to it. Rank 0 checks the sum and prints the
 * mean hop in virtual nanoseconds: from a program's PUT to its successor's PUT, so library, both kernels and the wire
 * count.
 */
import "../lib/start.ts";
import { MAX_RANKS } from "../../kernel/abi/job.ts";
import {
  ANY_NID,
  ANY_PID,
  type MatchEntry,
  MatchOption,
  PORTAL_USER,
  type PortalEvent,
  PortalEventKind,
  type PortalRequest,
} from "../../kernel/abi/portals.ts";
import { errnoName } from "../lib/errno.ts";
import { rank, size } from "../lib/margay.ts";
import { expose, openQueue, putAcknowledged, type Queue, waitEvent } from "../lib/portals.ts";
import { print, printDecimal, stderr, stdout } from "../lib/stdio.ts";
import { margayRankMap, portalPut } from "../lib/syscall.ts";
import { nanoseconds } from "../lib/time.ts";

const LAPS: u64 = 8;
const TOKEN_MATCH: u64 = 0x746f_6b65_6e;

/** Buffers of the token: where it arrives, and where it is sent from. */
class Tokens {
  arrived: u64 = 0;
  leaving: u64 = 0;
}
const tokens: Tokens = zeroed();
const arrivals: Queue = zeroed();
const departures: Queue = zeroed();
const nids: arr<u32, 4096> = zeroed();
const pids: arr<u32, 4096> = zeroed();

export function main(_argc: i32, _argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  const ranks: u32 = size();
  const me: u32 = rank();
  if (ranks === 1) {
    print(stdout(), cstr("ring: 1 rank, no hop to measure\n"));
    return 0;
  }
  let result: i64 = prepare();
  if (result < 0) return complain(cstr("prepare"), result);
  const next: u32 = me + 1 === ranks ? 0 : me + 1;

  // The first lap only makes sure that every rank is ready.
  result = lap(me, next, true);
  if (result < 0) return complain(cstr("first lap"), result);
  const start: u64 = nanoseconds();
  for (let n: u64 = 0; n < LAPS; n++) {
    result = lap(me, next, false);
    if (result < 0) return complain(cstr("lap"), result);
  }
  if (me !== 0) return 0;
  const hops: u64 = LAPS * u64(ranks);
  const meanNs: u64 = (nanoseconds() - start) / hops;
  if (tokens.arrived !== hops + u64(ranks)) {
    const e = stderr();
    print(e, cstr("ring: the token says "));
    printDecimal(e, tokens.arrived);
    print(e, cstr(" hops\n"));
    return 1;
  }
  const o = stdout();
  print(o, cstr("ring: "));
  printDecimal(o, ranks);
  print(o, cstr(" ranks, mean hop "));
  printDecimal(o, meanNs);
  print(o, cstr(" ns\n"));
  return 0;
}

function prepare(): i64 {
  let result: i64 = margayRankMap(addr(nids[0]), addr(pids[0]), MAX_RANKS);
  if (result < 0) return result;
  result = openQueue(addr(arrivals));
  if (result < 0) return result;
  result = openQueue(addr(departures));
  if (result < 0) return result;
  const e: MatchEntry = zeroed();
  e.portalIndex = PORTAL_USER;
  e.options = MatchOption.ALLOW_PUT;
  e.matchBits = TOKEN_MATCH;
  e.sourceNid = ANY_NID;
  e.sourcePid = ANY_PID;
  e.address = cast<u64>(addr(tokens.arrived));
  e.lengthBytes = 8;
  e.queue = arrivals.handle;
  return expose(addr(e));
}

/** One lap: rank 0 sends first and receives the token last; the others pass it on. */
function lap(me: u32, next: u32, first: boolean): i64 {
  if (me === 0) {
    const sent: i64 = send(next, first);
    return sent < 0 ? sent : receive();
  }
  const received: i64 = receive();
  return received < 0 ? received : send(next, first);
}

function receive(): i64 {
  const event: PortalEvent = zeroed();
  while (event.kind !== PortalEventKind.PUT) {
    const result: i64 = waitEvent(addr(arrivals), addr(event), -1);
    if (result < 0) return result;
  }
  return 0;
}

function send(next: u32, first: boolean): i64 {
  const r: PortalRequest = zeroed();
  tokens.leaving = tokens.arrived + 1;
  r.address = cast<u64>(addr(tokens.leaving));
  r.lengthBytes = 8;
  r.targetNid = nids[next];
  r.targetPid = pids[next];
  r.portalIndex = PORTAL_USER;
  r.matchBits = TOKEN_MATCH;
  if (first) return putAcknowledged(addr(departures), addr(r));
  // The buffer is reused only a lap later, long after the PUT is complete, so SENT is not awaited.
  return portalPut(addr(r));
}

function complain(what: ptr<u8>, result: i64): i32 {
  const e = stderr();
  print(e, cstr("ring: rank "));
  printDecimal(e, rank());
  print(e, cstr(": "));
  print(e, what);
  print(e, cstr(": "));
  print(e, errnoName(u32(-result)));
  print(e, cstr("\n"));
  return 1;
}
