/**
 * Ranks that wait for long, for the watch over neighbours: `patience WAY [MILLISECONDS]`.
 *   message   rank 0 waits for a message that the last rank sends after that time
 *   exit      rank 0 ends at once, the others sleep that time
 *   ever      every rank waits for a message that nobody sends
 */
import "../../../userland/lib/start.ts";
import {
  ANY_NID,
  ANY_PID,
  type MatchEntry,
  MatchOption,
  PORTAL_USER,
  type PortalEvent,
  type PortalRequest,
} from "../../../kernel/abi/portals.ts";
import { parseDecimal, type ParsedNumber, stringsEqual } from "../../../toolchain/lib/rt/strings.ts";
import { rank, size } from "../../../userland/lib/margay.ts";
import { expose, openQueue, putAcknowledged, type Queue, waitEvent } from "../../../userland/lib/portals.ts";
import { margayRankMap } from "../../../userland/lib/syscall.ts";
import { sleepNs } from "../../../userland/lib/time.ts";

const arrivals: Queue = zeroed();
const departures: Queue = zeroed();
const word: arr<u64, 1> = zeroed();
const nids: arr<u32, 64> = zeroed();
const pids: arr<u32, 64> = zeroed();

function receive(): i32 {
  const e: MatchEntry = zeroed();
  e.portalIndex = PORTAL_USER;
  e.options = MatchOption.ALLOW_PUT;
  e.sourceNid = ANY_NID;
  e.sourcePid = ANY_PID;
  e.address = cast<u64>(addr(word));
  e.lengthBytes = 8;
  e.queue = arrivals.handle;
  if (expose(addr(e)) < 0) return 2;
  const event: PortalEvent = zeroed();
  return waitEvent(addr(arrivals), addr(event), -1) === 0 ? 0 : 3;
}
function send(): i32 {
  const r: PortalRequest = zeroed();
  r.address = cast<u64>(addr(word));
  r.lengthBytes = 8;
  r.targetNid = nids[0];
  r.targetPid = pids[0];
  r.portalIndex = PORTAL_USER;
  return putAcknowledged(addr(departures), addr(r)) === 0 ? 0 : 4;
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 2) return 9;
  const time: ParsedNumber = zeroed();
  if (argc > 2) parseDecimal(argv[2], addr(time));
  const ns: u64 = time.value * 1_000_000;
  if (openQueue(addr(arrivals)) < 0 || openQueue(addr(departures)) < 0) return 1;
  margayRankMap(addr(nids[0]), addr(pids[0]), 64);
  if (stringsEqual(argv[1], cstr("ever"))) return receive();
  if (stringsEqual(argv[1], cstr("exit"))) {
    if (rank() !== 0) sleepNs(ns);
    return 0;
  }
  if (rank() === 0) return receive();
  if (rank() + 1 < size()) return 0;
  sleepNs(ns);
  return send();
}
