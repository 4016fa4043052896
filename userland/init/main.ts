/**
 * Init, the user-level job loader: the second phase of the two-phase load (ARCHITECTURE.md section 5, steps 6 to 15).
 * The service node PUTs it to rank 0; from there the first rank of each node (its leader) loads the leaders of the
 * nodes below and the other ranks of its own node, with the same image. Init fetches the
 * program, fans the status in, waits for GO, fans it out and jumps into the program. Every failure becomes a LoadStatus
 * that travels to the service node, which then kills the job; init only waits for that.
 */
import {
  FANOUT_MAX,
  INIT_MAGIC,
  INIT_VERSION,
  type InitHeader,
  type JobParameters,
  type LoadStatus,
} from "../../kernel/abi/job.ts";
import { Cause } from "../../kernel/abi/net.ts";
import {
  exitGroup,
  getpid,
  margayDescribeJob,
  margayNid,
  margayRank,
  margayStart,
  munmap,
  portalUnlink,
} from "../lib/syscall.ts";
import { type Entry, prepareProgram } from "./execute.ts";
import { ChildState, type Init, INIT_MEMORY_BYTES } from "./layout.ts";
import {
  childStatusBytes,
  expectGo,
  expectStatus,
  fail,
  loadChild,
  openQueue,
  putGo,
  putStatus,
  takeNext,
} from "./messages.ts";
import { parametersValid, placesOf, wordsAt } from "./parameters.ts";
import { allocate, exposePrograms, fetchPrograms, freePrograms } from "./program.ts";
import { childCountOf, firstChildOf, leaderAt, nextOnNode } from "./tree.ts";

/**
 * The part that the kernel reads. The service node fills in the lengths.
 * @section .header
 * @keep
 */
export const header: InitHeader = {
  magic: INIT_MAGIC,
  version: INIT_VERSION,
  entry: cast<u64>(init_entry),
  fileBytes: 0,
  memoryBytes: INIT_MEMORY_BYTES,
  parametersOffset: 0,
  cores: 0,
  tasksPerNode: 0,
  reserved2: 0,
  reserved3: 0,
};

/** Registers at entry: kernel/abi/job.ts. */
export function init_entry(): void {
  attr({ naked: true, symbol: "init_entry", keep: true });
  asm`
    .cfi_undefined rip
    xor ebp, ebp
    lea rsp, [rdi + rsi]
    and rsp, -16
    mov rcx, r8
    call ${main}
    ud2
  `;
}

/** Exit status if not even a status can be sent: the rank is unknown, or the parent is unreachable. */
const EXIT_CANNOT_REPORT: i32 = 125;
const STATE_ALIGN: u64 = 64;
/** Tasks of this node that are loaded at a time: more would only wait for each other in the kernel's memory. */
const LOCAL_LOADS: u32 = 2;

function main(image: ptr<InitHeader>, segmentBytes: u64, parentNid: u32, parentPid: u32): never {
  const parameters = cast<ptr<JobParameters>>(cast<u64>(image) + image.parametersOffset);
  if (image.parametersOffset + sizeof<JobParameters>() > segmentBytes) exitGroup(EXIT_CANNOT_REPORT);
  if (!parametersValid(parameters, segmentBytes - image.parametersOffset)) exitGroup(EXIT_CANNOT_REPORT);
  const bodyBytes: u64 = image.parametersOffset + u64(parameters.totalBytes);
  const init = cast<ptr<Init>>((cast<u64>(image) + bodyBytes + STATE_ALIGN - 1) & ~(STATE_ALIGN - 1));
  init.header = image;
  init.parameters = parameters;
  init.bodyBytes = bodyBytes;
  init.parentNid = parentNid;
  init.parentPid = parentPid;
  if (!findPlace(init) || !makeBuffers(init) || openQueue(init) < 0) exitGroup(EXIT_CANNOT_REPORT);

  const entry: Entry = zeroed();
  if (loadSubtree(init, addr(entry))) init.status.readyCount++;
  else noteFailure(init);
  while (!childrenReported(init)) takeNext(init);
  const ready: boolean = init.status.cause === Cause.OK;
  if ((ready && expectGo(init) < 0) || putStatus(init) < 0) exitGroup(EXIT_CANNOT_REPORT);
  while (!init.goReceived) takeNext(init);
  start(init, addr(entry));
}

/** The LOAD named the rank, which must be one of this node. */
function findPlace(init: ptr<Init>): boolean {
  const p = init.parameters;
  init.nids = wordsAt(p, p.nidsOffset);
  init.programOfRank = wordsAt(p, p.programsOffset);
  init.size = p.rankCount;
  init.fanout = p.fanout < FANOUT_MAX ? p.fanout : FANOUT_MAX;
  const rank: i64 = margayRank();
  if (rank < 0 || rank >= i64(init.size)) return false;
  init.rank = u32(rank);
  if (i64(init.nids[init.rank]) !== margayNid()) return false;
  init.places = placesOf(p);
  const places = init.places;
  init.position = places === null ? init.rank : places[init.rank].position;
  if (leaderAt(places, init.position) === init.rank) findChildren(init);
  return true;
}
function findChildren(init: ptr<Init>): void {
  const places = init.places;
  init.nodesBelow = childCountOf(init.position, init.fanout, init.parameters.nodeCount);
  const first: u32 = u32(firstChildOf(init.position, init.fanout));
  for (let child: u32 = 0; child < init.nodesBelow; child++) init.childRanks[child] = leaderAt(places, first + child);
  init.childCount = init.nodesBelow;
  for (let rank: u32 = nextOnNode(places, init.rank); rank !== 0; rank = nextOnNode(places, rank)) {
    init.childRanks[init.childCount] = rank;
    init.childCount++;
  }
}

function makeBuffers(init: ptr<Init>): boolean {
  init.statusBytes = sizeof<LoadStatus>() + u64(init.size) * 4;
  const own: i64 = allocate(statusPagesBytes(init));
  if (own < 0) return false;
  init.status = cast<ptr<LoadStatus>>(own);
  init.childStatus = u64(own) + init.statusBytes;
  init.pids = cast<ptr<u32>>(u64(own) + sizeof<LoadStatus>());
  const pid: i64 = getpid();
  init.pids[init.rank] = u32(pid);
  init.status.pid = u32(pid);
  init.status.nid = init.nids[init.rank];
  init.status.rank = init.rank;
  return true;
}
function statusPagesBytes(init: ptr<Init>): u64 {
  return (init.statusBytes + childStatusBytes(init) + 4095) & ~4095;
}

/** Steps 6 to 10. False: the status holds the failure, or a call failed (`noteFailure`). */
function loadSubtree(init: ptr<Init>, entry: ptr<Entry>): boolean {
  if (!fetchPrograms(init)) return false;
  if (init.childCount > 0) {
    if (exposePrograms(init) < 0 || expectStatus(init) < 0) return false;
    for (let child: u32 = 0; child < init.childCount; child++) {
      while (child >= init.nodesBelow && countIn(init, ChildState.LOADING) >= init.nodesBelow + LOCAL_LOADS)
        takeNext(init);
      init.childStates[child] = ChildState.LOADING;
      const result: i64 = loadChild(init, child);
      if (result < 0) {
        init.childStates[child] = ChildState.REPORTED;
        fail(init, Cause.BAD_REQUEST, u32(-result), init.childRanks[child]);
      }
    }
  }
  return prepareProgram(init, entry);
}
function noteFailure(init: ptr<Init>): void {
  if (init.status.cause === Cause.OK) fail(init, Cause.NO_MEMORY, 0, init.rank);
}

function countIn(init: ptr<Init>, state: u32): u32 {
  let count: u32 = 0;
  for (let child: u32 = 0; child < init.childCount; child++) if (u32(init.childStates[child]) === state) count++;
  return count;
}
function childrenReported(init: ptr<Init>): boolean {
  for (let child: u32 = 0; child < init.childCount; child++) {
    const state: u8 = init.childStates[child];
    if (state === ChildState.LOADING || state === ChildState.INITIALISING) return false;
  }
  return true;
}

/** Steps 14 and 15. */
function start(init: ptr<Init>, entry: ptr<Entry>): never {
  for (let child: u32 = 0; child < init.childCount; child++) {
    if (putGo(init, child) < 0) exitGroup(EXIT_CANNOT_REPORT);
  }
  while (init.sending > 0) takeNext(init);
  unlinkEntries(init);
  if (margayDescribeJob(init.rank, init.size, init.nids, init.pids) < 0) exitGroup(EXIT_CANNOT_REPORT);
  const address: u64 = entry.address;
  const stackPointer: u64 = entry.stackPointer;
  freePrograms(init);
  munmap(cast<u64>(init.status), statusPagesBytes(init));
  margayStart(address, stackPointer);
  exitGroup(EXIT_CANNOT_REPORT);
}
/** The network must not write to memory that is unmapped next. GO's entry has already unlinked itself. */
function unlinkEntries(init: ptr<Init>): void {
  if (init.statusEntry !== 0) portalUnlink(init.statusEntry);
  for (let index: u32 = 0; index < init.parameters.programCount; index++) {
    if (init.programs[index].entry !== 0) portalUnlink(init.programs[index].entry);
  }
}
