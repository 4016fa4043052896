/**
 * The program's side of tests/system/wire.test.ts: `wire MODE`.
 *   entry    an entry of 64 KB for PUT and GET under bits 1; tells when a message is in it, and what unlink says then and later
 *   get      the same, for a GET that the test makes within a millisecond
 *   once     the same, USE_ONCE
 *   hole     the same, with its memory unmapped
 *   exit     the same, and ends as soon as a message has begun to arrive
 *   flood    PUTs to 300 nids that do not exist, then a write
 *   serve    an entry of 8 bytes for PUT and GET under any bits, until the test has had enough: stays until a PUT with header data 77
 */
import "../../../userland/lib/start.ts";
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
import { MapFlag, Prot } from "../../../kernel/abi/process.ts";
import { Errno } from "../../../kernel/abi/errno.ts";
import { stringsEqual } from "../../../toolchain/lib/rt/strings.ts";
import { expose, openQueue, type Queue, waitEvent } from "../../../userland/lib/portals.ts";
import { flush, print, printDecimal, printSigned, stdout } from "../../../userland/lib/stdio.ts";
import { mmap, munmap, portalPut, portalUnlink } from "../../../userland/lib/syscall.ts";
import { sleepNs } from "../../../userland/lib/time.ts";

const BUFFER_BYTES: u64 = 65536;
const FIRST_NID: u32 = 100;
const FLOOD: u32 = 300;

const queue: Queue = zeroed();

function say(what: ptr<u8>, value: i64): void {
  const o = stdout();
  print(o, what);
  print(o, cstr(" "));
  printSigned(o, value);
  print(o, cstr("\n"));
  flush(o);
}
function sayEvent(event: ptr<PortalEvent>): void {
  const o = stdout();
  print(o, cstr("event "));
  printDecimal(o, event.kind);
  print(o, cstr(" cause "));
  printDecimal(o, event.cause);
  print(o, cstr(" bytes "));
  printDecimal(o, event.lengthBytes);
  print(o, cstr("\n"));
  flush(o);
}

function append(address: u64, lengthBytes: u64, options: u32, ignoreBits: u64): i64 {
  const e: MatchEntry = zeroed();
  e.portalIndex = PORTAL_USER;
  e.options = MatchOption.ALLOW_PUT | MatchOption.ALLOW_GET | options;
  e.matchBits = 1;
  e.ignoreBits = ignoreBits;
  e.sourceNid = ANY_NID;
  e.sourcePid = ANY_PID;
  e.address = address;
  e.lengthBytes = lengthBytes;
  e.queue = queue.handle;
  return expose(addr(e));
}

function entry(mode: ptr<u8>): i32 {
  const at: i64 = mmap(0, BUFFER_BYTES, Prot.READ | Prot.WRITE, MapFlag.PRIVATE | MapFlag.ANONYMOUS, -1, 0);
  if (at < 0) return 1;
  const word = cast<ptr<u8>>(u64(at));
  const once: boolean = stringsEqual(mode, cstr("once"));
  const handle: i64 = append(u64(at), BUFFER_BYTES, once ? MatchOption.USE_ONCE : 0, 0);
  if (handle < 0) return 2;
  const hole: boolean = stringsEqual(mode, cstr("hole"));
  if (hole) munmap(u64(at), BUFFER_BYTES);
  say(cstr("ready"), 0);
  const event: PortalEvent = zeroed();
  if (!hole) {
    // A PUT writes its first byte; a GET leaves no trace, so wait some time.
    if (stringsEqual(mode, cstr("get"))) sleepNs(1_000_000);
    else while (volatileRead(word) === 0) {}
    if (stringsEqual(mode, cstr("exit"))) return 0;
    say(cstr("unlink"), portalUnlink(u64(handle)));
  }
  if (waitEvent(addr(queue), addr(event), 5_000_000_000) < 0) return 4;
  sayEvent(addr(event));
  say(cstr("unlink"), portalUnlink(u64(handle)));
  say(cstr("unlink"), portalUnlink(u64(handle)));
  return 0;
}

function flood(): i32 {
  let refused: i64 = 0;
  let issued: i64 = 0;
  let again: i64 = 0;
  const word: arr<u64, 1> = zeroed();
  for (let i: u32 = 0; i < FLOOD; i++) {
    const r: PortalRequest = zeroed();
    r.address = cast<u64>(addr(word));
    r.lengthBytes = 8;
    r.targetNid = FIRST_NID + i;
    r.targetPid = 1;
    r.portalIndex = PORTAL_USER;
    const result: i64 = portalPut(addr(r));
    if (result === 0) issued++;
    else if (result === -i64(Errno.EHOSTUNREACH)) refused++;
    else if (result === -i64(Errno.EAGAIN)) again++;
    else return 5;
  }
  say(cstr("refused"), refused);
  say(cstr("issued or again"), issued + again);
  return 0;
}

function serve(): i32 {
  const word: arr<u64, 1> = zeroed();
  if (append(cast<u64>(addr(word)), 8, MatchOption.TRUNCATE, 0xffff_ffff_ffff_ffff) < 0) return 6;
  say(cstr("ready"), 0);
  const event: PortalEvent = zeroed();
  for (;;) {
    if (waitEvent(addr(queue), addr(event), -1) < 0) return 7;
    if (event.kind === PortalEventKind.PUT && event.headerData === 77) break;
  }
  say(cstr("served"), 0);
  return 0;
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc < 2 || openQueue(addr(queue)) < 0) return 9;
  if (stringsEqual(argv[1], cstr("flood"))) return flood();
  if (stringsEqual(argv[1], cstr("serve"))) return serve();
  return entry(argv[1]);
}
