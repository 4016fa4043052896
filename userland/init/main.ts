/**
 * Init, the user-level job loader: the second phase of the two-phase load (ARCHITECTURE.md section 5, steps 6 to 15).
 * The service node PUTs it to rank 0; from there every rank loads its children with the same image. Init fetches the
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
import { exitGroup, getpid, margayDescribeJob, margayNid, margayStart, munmap, portalUnlink } from "../lib/syscall.ts";
import { type Entry, prepareProgram } from "./execute.ts";
import { ChildState, type Init, INIT_MEMORY_BYTES } from "./layout.ts";
import { expectGo, expectStatus, fail, loadChild, openQueue, putGo, putStatus, takeNext } from "./messages.ts";
import { parametersValid, wordsAt } from "./parameters.ts";
import { allocate, exposePrograms, fetchPrograms, freePrograms } from "./program.ts";
import { childCountOf, firstChildOf } from "./tree.ts";

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
  reserved: 0,
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

/** A rank is the position of the node's own nid in the nid map. It is not sent separately. */
function findPlace(init: ptr<Init>): boolean {
  const p = init.parameters;
  init.nids = wordsAt(p, p.nidsOffset);
  init.programOfRank = wordsAt(p, p.programsOffset);
  init.size = p.rankCount;
  init.fanout = p.fanout < FANOUT_MAX ? p.fanout : FANOUT_MAX;
  const nid: i64 = margayNid();
  let rank: u32 = 0;
  while (rank < init.size && i64(init.nids[rank]) !== nid) rank++;
  if (rank === init.size) return false;
  init.rank = rank;
  init.childCount = childCountOf(rank, init.fanout, init.size);
  init.firstChild = u32(firstChildOf(rank, init.fanout));
  return true;
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
  return (init.statusBytes * (u64(init.childCount) + 1) + 4095) & ~4095;
}

/** Steps 6 to 10. False: the status holds the failure, or a call failed (`noteFailure`). */
function loadSubtree(init: ptr<Init>, entry: ptr<Entry>): boolean {
  if (!fetchPrograms(init)) return false;
  if (init.childCount > 0) {
    if (exposePrograms(init) < 0 || expectStatus(init) < 0) return false;
    for (let child: u32 = 0; child < init.childCount; child++) {
      init.childStates[child] = ChildState.LOADING;
      const result: i64 = loadChild(init, child);
      if (result < 0) {
        init.childStates[child] = ChildState.REPORTED;
        fail(init, Cause.BAD_REQUEST, u32(-result), init.firstChild + child);
      }
    }
  }
  return prepareProgram(init, entry);
}
function noteFailure(init: ptr<Init>): void {
  if (init.status.cause === Cause.OK) fail(init, Cause.NO_MEMORY, 0, init.rank);
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
