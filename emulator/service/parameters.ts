/**
 * The parameter block after the init image (layout: kernel/abi/job.ts): built by the service node, read back by tests
 * and dumps. `parseParameters` checks every offset and count before it uses it, by the rules of
 * userland/init/parameters.ts.
 */
import {
  JobParameters,
  MAX_RANKS,
  PARAMETERS_MAGIC,
  PARAMETERS_VERSION,
  RankPlace,
  TASKS_PER_NODE_MAX,
} from "../abi/job.ts";
import { PATH_MAX_BYTES } from "../abi/io.ts";
import { USER_STRINGS_BYTES } from "../abi/memory.ts";

export interface Parameters {
  readonly jobId: number;
  readonly userId: number;
  /** Degree of the load tree of nodes, at least 1. */
  readonly fanout: number;
  /** The nid of each rank. The order in which nodes appear is their order in the tree. */
  readonly nids: readonly number[];
  /** The cores of each rank as a mask, 0n: as the load says. Must be given if a node has several ranks. */
  readonly coresOfRank?: readonly bigint[];
  /** Paths of the programs, as the job sees its files. */
  readonly programs: readonly string[];
  /** Index into `programs` of each rank. */
  readonly programOfRank: readonly number[];
  /** Of each program. */
  readonly argv: readonly (readonly string[])[];
  readonly envp: readonly string[];
}
/** InitMatch.PROGRAM has a byte for the program's index. */
export const PROGRAMS_MAX = 256;
/** Strings of a block, bytes. */
export const STRINGS_MAX_BYTES = USER_STRINGS_BYTES;

/** Maximum size of arguments and environment: the stack has two more pages, for what init puts beside them. */
export const argumentBytesMost = USER_STRINGS_BYTES - 8192;
/** Bytes that they take on the stack: the strings and the pointers to them (System V ABI, AMD64 supplement 3.4.1). */
export function argumentBytes(argv: readonly string[], envp: readonly string[]): number {
  const strings = [...argv, ...envp].reduce((sum, s) => sum + Buffer.byteLength(s) + 1, 0);
  return strings + 8 * (argv.length + envp.length + 3);
}

/** A request that does not fit into a parameter block. The message is one line. */
export class ParameterError extends Error {}

export function buildParameters(p: Parameters): Uint8Array {
  const rankCount = p.nids.length;
  if (rankCount < 1 || rankCount > MAX_RANKS) throw new ParameterError(`${rankCount} ranks: give 1 to ${MAX_RANKS}`);
  if (p.nids.some((nid) => !Number.isInteger(nid) || nid < 1 || nid > 0xff_ffff))
    throw new ParameterError("a nid is out of range: compute nodes are 1 to 16777215");
  if (p.programs.length < 1 || p.programs.length > PROGRAMS_MAX)
    throw new ParameterError(`${p.programs.length} programs: give 1 to ${PROGRAMS_MAX}`);
  if (p.programOfRank.length !== rankCount || p.programOfRank.some((i) => !(i >= 0 && i < p.programs.length)))
    throw new ParameterError("the program of some rank is missing");
  if (!Number.isInteger(p.fanout) || p.fanout < 1 || p.fanout > MAX_RANKS)
    throw new ParameterError(`fan-out ${p.fanout}: give 1 to ${MAX_RANKS}`);
  if (p.argv.length !== p.programs.length || p.argv.some((argv) => argv.length < 1))
    throw new ParameterError("argv is empty: its first string is the program's name");
  const places = placesOf(p);
  const args = p.argv.flat();
  const all = [...p.programs, ...args, ...p.envp].map((s) => new TextEncoder().encode(s));
  if (all.some((s) => s.includes(0))) throw new ParameterError("a string holds a NUL byte");
  if (all.slice(0, p.programs.length).some((s) => s.length === 0 || s.length >= PATH_MAX_BYTES))
    throw new ParameterError("the path of a program is empty or too long");
  for (const argv of p.argv)
    if (argumentBytes(argv, p.envp) > argumentBytesMost)
      throw new ParameterError(
        `arguments and environment take ${argumentBytes(argv, p.envp)} bytes of the stack, at most ${argumentBytesMost}`,
      );
  const stringsBytes = all.reduce((n, s) => n + s.length + 1, 0);
  if (stringsBytes > STRINGS_MAX_BYTES)
    throw new ParameterError(`arguments and environment take ${stringsBytes} bytes, at most ${STRINGS_MAX_BYTES}`);

  const nidsOffset = JobParameters.SIZE;
  const programsOffset = nidsOffset + 4 * rankCount;
  const argCountsOffset = programsOffset + 4 * rankCount;
  const placesOffset = Math.ceil((argCountsOffset + 4 * p.programs.length) / 8) * 8;
  const stringsOffset = placesOffset + RankPlace.SIZE * (places.table?.length ?? 0);
  const block = new Uint8Array(stringsOffset + stringsBytes);
  const view = new DataView(block.buffer);
  const h = new JobParameters(view);
  h.magic = PARAMETERS_MAGIC;
  h.version = PARAMETERS_VERSION;
  h.totalBytes = block.length;
  h.jobId = p.jobId;
  h.userId = p.userId;
  h.fanout = p.fanout;
  h.rankCount = rankCount;
  h.programCount = p.programs.length;
  h.argCount = args.length;
  h.envCount = p.envp.length;
  h.nidsOffset = nidsOffset;
  h.programsOffset = programsOffset;
  h.stringsOffset = stringsOffset;
  h.argCountsOffset = argCountsOffset;
  h.placesOffset = places.table === undefined ? 0 : placesOffset;
  h.nodeCount = places.nodeCount;
  p.argv.forEach((argv, index) => {
    view.setUint32(argCountsOffset + 4 * index, argv.length, true);
  });
  places.table?.forEach((place, rank) => {
    Object.assign(new RankPlace(view, placesOffset + RankPlace.SIZE * rank), place);
  });
  p.nids.forEach((nid, rank) => {
    view.setUint32(nidsOffset + 4 * rank, nid, true);
  });
  p.programOfRank.forEach((index, rank) => {
    view.setUint32(programsOffset + 4 * rank, index, true);
  });
  let at = stringsOffset;
  for (const s of all) {
    block.set(s, at);
    at += s.length + 1;
  }
  return block;
}

interface Places {
  readonly nodeCount: number;
  /** By rank; undefined: each rank has a node of its own. */
  readonly table: readonly Readonly<Pick<RankPlace, "cores" | "leader" | "next" | "order" | "position">>[] | undefined;
}
/** The nodes' positions in the tree, and the ranks of each. */
function placesOf({ nids, coresOfRank }: Parameters): Places {
  const ranksOn = new Map<number, number[]>();
  nids.forEach((nid, rank) => {
    const ranks = ranksOn.get(nid);
    if (ranks === undefined) ranksOn.set(nid, [rank]);
    else ranks.push(rank);
  });
  const nodes = [...ranksOn.values()];
  const crowded = nodes.find((ranks) => ranks.length > TASKS_PER_NODE_MAX);
  if (crowded !== undefined)
    throw new ParameterError(`${crowded.length} ranks on a node: give at most ${TASKS_PER_NODE_MAX}`);
  if (coresOfRank === undefined) {
    if (nodes.length === nids.length) return { nodeCount: nodes.length, table: undefined };
    throw new ParameterError("several ranks on a node: say which cores each of them gets");
  }
  if (coresOfRank.length !== nids.length) throw new ParameterError("the cores of some rank are missing");
  const table = new Array<NonNullable<Places["table"]>[number]>(nids.length);
  nodes.forEach((ranks, position) => {
    ranks.forEach((rank, order) => {
      const leader = nodes[rank]?.[0] ?? 0;
      table[rank] = { cores: coresOfRank[rank]!, leader, next: ranks[order + 1] ?? 0, order, position };
    });
  });
  return { nodeCount: nodes.length, table };
}

/** Returns null if anything in the block is invalid. */
export function parseParameters(block: Uint8Array): Parameters | null {
  if (block.length < JobParameters.SIZE) return null;
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const h = new JobParameters(view);
  if (h.magic !== PARAMETERS_MAGIC || h.version !== PARAMETERS_VERSION) return null;
  const { totalBytes, rankCount, programCount, argCount, envCount, nidsOffset, programsOffset, stringsOffset } = h;
  if (totalBytes < JobParameters.SIZE || totalBytes > block.length) return null;
  if (rankCount < 1 || rankCount > MAX_RANKS || h.fanout < 1 || h.fanout > MAX_RANKS) return null;
  if (programCount < 1 || programCount > PROGRAMS_MAX) return null;
  const isInside = (offset: number, bytes: number, align: number): boolean =>
    offset % align === 0 && offset >= JobParameters.SIZE && offset <= totalBytes && totalBytes - offset >= bytes;
  if (!isInside(nidsOffset, 4 * rankCount, 4) || !isInside(programsOffset, 4 * rankCount, 4)) return null;
  if (!isInside(h.argCountsOffset, 4 * programCount, 4)) return null;
  if (h.placesOffset !== 0 && !isInside(h.placesOffset, RankPlace.SIZE * rankCount, 8)) return null;
  if (stringsOffset < JobParameters.SIZE || stringsOffset > totalBytes) return null;
  const nids: number[] = [];
  const programOfRank: number[] = [];
  for (let rank = 0; rank < rankCount; rank++) {
    nids.push(view.getUint32(nidsOffset + 4 * rank, true));
    programOfRank.push(view.getUint32(programsOffset + 4 * rank, true));
  }
  if (programOfRank.some((index) => index >= programCount)) return null;
  const places =
    h.placesOffset === 0
      ? undefined
      : nids.map((_, rank) => new RankPlace(view, h.placesOffset + RankPlace.SIZE * rank));
  if (!placesValid(nids, h.nodeCount, places)) return null;
  const argCounts = Array.from({ length: programCount }, (_, i) => view.getUint32(h.argCountsOffset + 4 * i, true));
  if (argCounts.some((count) => count < 1) || argCounts.reduce((sum, n) => sum + n, 0) !== argCount) return null;
  const strings: string[] = [];
  let at = stringsOffset;
  // Every string takes at least one byte, so a wild count stops at the block's end.
  for (let n = programCount + argCount + envCount; n > 0; n--) {
    const end = block.subarray(0, totalBytes).indexOf(0, at);
    if (end < 0) return null;
    strings.push(new TextDecoder().decode(block.subarray(at, end)));
    at = end + 1;
  }
  const programs = strings.slice(0, programCount);
  if (programs.some((s) => s.length === 0)) return null;
  let firstArg = programCount;
  const argv = argCounts.map((count) => strings.slice(firstArg, (firstArg += count)));
  return {
    jobId: h.jobId,
    userId: h.userId,
    fanout: h.fanout,
    nids,
    ...(places === undefined ? {} : { coresOfRank: places.map(({ cores }) => cores) }),
    programs,
    programOfRank,
    argv,
    envp: strings.slice(programCount + argCount),
  };
}
/** The rules of init. */
function placesValid(nids: readonly number[], nodeCount: number, places: readonly RankPlace[] | undefined): boolean {
  if (nodeCount < 1 || nodeCount > nids.length) return false;
  if (places === undefined) return nodeCount === nids.length;
  const areChained = places.every(({ position, order, next }, rank) => {
    if (position >= nodeCount || order >= TASKS_PER_NODE_MAX) return false;
    const { leader } = places[position]!;
    if (leader >= nids.length || nids[leader] !== nids[rank] || (order === 0) !== (leader === rank)) return false;
    if (next === 0) return true;
    if (next <= rank || next >= nids.length) return false;
    return places[next]!.position === position && places[next]!.order === order + 1;
  });
  return (
    areChained &&
    places.slice(0, nodeCount).every(({ leader }, q) => places[leader]?.position === q) &&
    places[0]!.position === 0 &&
    places[0]!.leader === 0
  );
}
