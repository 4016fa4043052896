/**
 * Shows TLB shootdown, and what happens without it (boot parameter tlb_ipi=off).
 *
 *   shootdown [ROUNDS [READS]]   A writer replaces a page by MAP_FIXED, writes the generation into the new one and
 *                                publishes it; the readers, one on each other core, then read the page READS times.
 *                                Any other value is stale. The writer continues when all have read. Prints
 *                                `stale reads: S of R`.
 *   shootdown --hang             A join on a word in a page that the joined thread has replaced: a waiter with the old
 *                                translation waits for ever.
 */
import "../lib/start.ts";
import { Errno } from "../../kernel/abi/errno.ts";
import { PAGE_BYTES } from "../../kernel/abi/memory.ts";
import { MapFlag, Prot } from "../../kernel/abi/process.ts";
import { parseDecimal, type ParsedNumber, stringsEqual } from "../../toolchain/lib/rt/strings.ts";
import { print, printDecimal, stderr, stdout } from "../lib/stdio.ts";
import { mmap } from "../lib/syscall.ts";
import { sleepNs } from "../lib/time.ts";
import { createThread, joinThread, type Thread } from "../lib/thread.ts";

const READERS_MAX: u32 = 63;
class Reader {
  thread!: Thread;
  /** The last generation that this reader has finished. */
  done: u64 = 0;
  reads: u64 = 0;
  stale: u64 = 0;
}
const readers: arr<Reader, 63> = zeroed();
class Shared {
  page: ptr<u64> | null = null;
  generation: u64 = 0;
  rounds: u64 = 250;
  reads: u64 = 4;
}
const shared: Shared = new Shared();

/** Maps a new page at `address`, replacing the one there; 0: anywhere. */
function freshPage(address: u64): ptr<u64> | null {
  const fixed: u32 = address === 0 ? 0 : MapFlag.FIXED;
  const at: i64 = mmap(address, PAGE_BYTES, Prot.READ | Prot.WRITE, MapFlag.PRIVATE | MapFlag.ANONYMOUS | fixed, -1, 0);
  return at < 0 ? null : cast<ptr<u64>>(at);
}

function read(index: u64): u64 {
  const r = addr(readers[index]);
  const page = shared.page;
  if (page === null) return 0;
  for (let generation: u64 = 1; generation <= shared.rounds; generation++) {
    while (atomicLoad(addr(shared.generation)) < generation) asm`pause`;
    for (let i: u64 = 0; i < shared.reads; i++) {
      if (volatileRead(page) !== generation) r.stale++;
      r.reads++;
    }
    atomicStore(addr(r.done), generation);
  }
  return 0;
}

function measure(): i32 {
  const page = freshPage(0);
  if (page === null) return 1;
  shared.page = page;
  let count: u32 = 0;
  while (count < READERS_MAX) {
    const created: i64 = createThread(addr(readers[count].thread), read, u64(count));
    if (created === -Errno.EAGAIN) break;
    if (created < 0) return 1;
    count++;
  }
  if (count === 0) {
    print(stderr(), cstr("shootdown: needs a second core: --cores 2\n"));
    return 2;
  }
  for (let generation: u64 = 1; generation <= shared.rounds; generation++) {
    if (freshPage(cast<u64>(page)) === null) return 1;
    volatileWrite(page, generation);
    atomicStore(addr(shared.generation), generation);
    for (let i: u32 = 0; i < count; i++) while (atomicLoad(addr(readers[i].done)) < generation) asm`pause`;
  }
  let stale: u64 = 0;
  let reads: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    joinThread(addr(readers[i].thread));
    stale += readers[i].stale;
    reads += readers[i].reads;
  }
  const o = stdout();
  print(o, cstr("stale reads: "));
  printDecimal(o, stale);
  print(o, cstr(" of "));
  printDecimal(o, reads);
  print(o, cstr("\n"));
  return 0;
}

/** Replaces the page that holds its own Thread by a copy. The kernel will clear the tid there. */
function replaceOwnPage(_argument: u64): u64 {
  const page = shared.page;
  if (page === null) return 1;
  // By then the joining thread has read the page and waits in the kernel.
  sleepNs(20_000);
  const kept: Thread = zeroed();
  const thread = cast<ptr<Thread>>(page);
  copy(addr(kept), thread);
  if (freshPage(cast<u64>(page)) === null) return 1;
  copy(thread, addr(kept));
  return 0;
}
function hang(): i32 {
  const page = freshPage(0);
  if (page === null) return 1;
  shared.page = page;
  const thread = cast<ptr<Thread>>(page);
  if (createThread(thread, replaceOwnPage, 0) < 0) {
    print(stderr(), cstr("shootdown: needs a second core: --cores 2\n"));
    return 2;
  }
  joinThread(thread);
  print(stdout(), cstr("joined\n"));
  return 0;
}

/** False: not a number. */
function number(text: ptr<u8>, to: ptr<u64>): boolean {
  const parsed: ParsedNumber = zeroed();
  parseDecimal(text, addr(parsed));
  to[0] = parsed.value;
  return parsed.length !== 0 && text[parsed.length] === 0;
}

export function main(argc: i32, argv: ptr<ptr<u8>>, _envp: ptr<ptr<u8>>): i32 {
  attr({ symbol: "main", keep: true });
  if (argc === 2 && stringsEqual(argv[1], cstr("--hang"))) return hang();
  if (
    argc > 3 ||
    (argc > 1 && !number(argv[1], addr(shared.rounds))) ||
    (argc > 2 && !number(argv[2], addr(shared.reads)))
  ) {
    print(stderr(), cstr("usage: shootdown [ROUNDS [READS]] | shootdown --hang\n"));
    return 2;
  }
  return measure();
}
