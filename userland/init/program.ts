/**
 * Steps 6 and 10: the programs that a rank needs, and a leader's sub-tree. Rank 0 reads them through the file system
 * (source.ts), every other rank GETs them from its parent, in pieces. So a node receives a program once for all of its
 * tasks; what they get from their leader is copied within the node.
 */
import { PAGE_BYTES } from "../../kernel/abi/memory.ts";
import { Cause } from "../../kernel/abi/net.ts";
import { MapFlag, Prot } from "../../kernel/abi/process.ts";
import { mmap, munmap } from "../lib/syscall.ts";
import { bundleBytes, type Init, partBytes, type ProgramPrefix } from "./layout.ts";
import { exposeProgram, fail, getFromParent } from "./messages.ts";
import { stringAt } from "./parameters.ts";
import { closeSource, openSource, PROGRAM_MAX_BYTES, readSource, scriptArguments, type Source } from "./source.ts";
import { firstChildOf, leaderAt, subtreeRuns } from "./tree.ts";

/** Maximum size of one GET. */
const PIECE_BYTES: u64 = 65536;

/** Zeroed pages, or -errno. */
export function allocate(lengthBytes: u64): i64 {
  return mmap(0, lengthBytes, Prot.READ | Prot.WRITE, MapFlag.PRIVATE | MapFlag.ANONYMOUS, -1, 0);
}
function pages(lengthBytes: u64): u64 {
  return (lengthBytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

/** Fetches the programs of the sub-tree under this rank. False: the status holds the failure. */
export function fetchPrograms(init: ptr<Init>): boolean {
  for (let index: u32 = 0; index < init.parameters.programCount; index++) {
    if (!needs(init, index)) continue;
    if (!(init.rank === 0 ? openProgram(init, index) : getProgram(init, index))) return false;
  }
  return true;
}

function subtreeNeeds(init: ptr<Init>, position: u32, index: u32): boolean {
  return subtreeRuns(position, init.fanout, init.parameters.nodeCount, init.places, init.programOfRank, index);
}
function needs(init: ptr<Init>, index: u32): boolean {
  if (leaderAt(init.places, init.position) !== init.rank) return init.programOfRank[init.rank] === index;
  return subtreeNeeds(init, init.position, index);
}
/** Whether another rank of this node runs the program. */
function siblingNeeds(init: ptr<Init>, index: u32): boolean {
  for (let child: u32 = init.nodesBelow; child < init.childCount; child++) {
    if (init.programOfRank[init.childRanks[child]] === index) return true;
  }
  return false;
}
function nodeBelowNeeds(init: ptr<Init>, index: u32): boolean {
  const first: u32 = u32(firstChildOf(init.position, init.fanout));
  for (let child: u32 = 0; child < init.nodesBelow; child++) {
    if (subtreeNeeds(init, first + child, index)) return true;
  }
  return false;
}

/** Exposes the fetched programs that a child needs, or its sub-tree. */
export function exposePrograms(init: ptr<Init>): i64 {
  for (let index: u32 = 0; index < init.parameters.programCount; index++) {
    if (init.programs[index].buffer === 0) continue;
    if (!siblingNeeds(init, index) && !nodeBelowNeeds(init, index)) continue;
    const handle: i64 = exposeProgram(init, index);
    if (handle < 0) return handle;
  }
  return 0;
}

export function freePrograms(init: ptr<Init>): void {
  for (let index: u32 = 0; index < init.parameters.programCount; index++) {
    const p = addr(init.programs[index]);
    if (p.buffer !== 0) munmap(p.buffer, pages(bundleBytes(cast<ptr<ProgramPrefix>>(p.buffer))));
    p.buffer = 0;
  }
}

/** The rank to which a failure to open a program is attributed: the first rank that runs it. */
function firstRankOf(init: ptr<Init>, index: u32): u32 {
  for (let rank: u32 = 0; rank < init.size; rank++) {
    if (init.programOfRank[rank] === index) return rank;
  }
  return init.rank;
}

/** Allocates a buffer for the parts that the prefix names. */
function makeBuffer(init: ptr<Init>, index: u32, prefix: ptr<ProgramPrefix>): boolean {
  const buffer: i64 = allocate(pages(bundleBytes(prefix)));
  if (buffer < 0) {
    fail(init, Cause.NO_MEMORY, u32(-buffer), init.rank);
    return false;
  }
  init.programs[index].buffer = u64(buffer);
  copy(cast<ptr<ProgramPrefix>>(buffer), prefix);
  return true;
}

function openProgram(init: ptr<Init>, index: u32): boolean {
  const source: Source = zeroed();
  const path = stringAt(init.parameters, index);
  let errno: i64 = openSource(path, addr(source));
  if (errno === 0) {
    errno = readProgram(init, index, addr(source), path);
    closeSource(addr(source));
  }
  const cause: u32 = source.isInterpreter ? Cause.PROGRAM_INTERPRETER : Cause.PROGRAM_OPEN;
  if (errno !== 0) fail(init, cause, u32(errno), firstRankOf(init, index));
  return init.status.cause === Cause.OK;
}
/** Returns an errno; a lack of memory is already in the status. */
function readProgram(init: ptr<Init>, index: u32, source: ptr<Source>, path: ptr<u8>): i64 {
  const prefix: ProgramPrefix = zeroed();
  prefix.argumentBytes = scriptArguments(source, path, null);
  prefix.argumentCount = source.argumentCount === 0 ? 0 : source.argumentCount + 1;
  prefix.fileBytes = source.executable.neededBytes;
  prefix.linkerBytes = source.hasLinker ? source.linker.neededBytes : 0;
  if (!makeBuffer(init, index, addr(prefix))) return 0;
  let at: u64 = init.programs[index].buffer + sizeof<ProgramPrefix>();
  scriptArguments(source, path, cast<ptr<u8>>(at));
  at += partBytes(prefix.argumentBytes);
  const errno: i64 = readSource(addr(source.executable), cast<ptr<u8>>(at));
  if (errno !== 0 || !source.hasLinker) return errno;
  return readSource(addr(source.linker), cast<ptr<u8>>(at + partBytes(prefix.fileBytes)));
}

function getProgram(init: ptr<Init>, index: u32): boolean {
  const prefix: ProgramPrefix = zeroed();
  let cause: u32 = getFromParent(init, index, cast<u64>(addr(prefix)), sizeof<ProgramPrefix>(), 0);
  if (cause === Cause.OK && !prefixIsSound(addr(prefix))) cause = Cause.BAD_REQUEST;
  if (cause !== Cause.OK) {
    fail(init, cause, 0, init.rank);
    return false;
  }
  if (!makeBuffer(init, index, addr(prefix))) return false;
  const buffer: u64 = init.programs[index].buffer;
  const end: u64 = bundleBytes(addr(prefix));
  let at: u64 = sizeof<ProgramPrefix>();
  while (at < end) {
    const rest: u64 = end - at;
    const piece: u64 = rest < PIECE_BYTES ? rest : PIECE_BYTES;
    cause = getFromParent(init, index, buffer + at, piece, at);
    if (cause !== Cause.OK) {
      fail(init, cause, 0, init.rank);
      return false;
    }
    at += piece;
  }
  return true;
}
function prefixIsSound(p: ptr<ProgramPrefix>): boolean {
  return p.fileBytes <= PROGRAM_MAX_BYTES && p.linkerBytes <= PROGRAM_MAX_BYTES && p.argumentBytes <= PROGRAM_MAX_BYTES;
}
