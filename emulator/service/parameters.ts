/**
 * The parameter block after the init image (layout: kernel/abi/job.ts): built by the service node, read back by tests
 * and dumps. `parseParameters` checks every offset and count before it uses it, by the rules of
 * userland/init/parameters.ts.
 */
import { JobParameters, MAX_RANKS, PARAMETERS_MAGIC, PARAMETERS_VERSION } from "../abi/job.ts";
import { PATH_MAX_BYTES } from "../abi/io.ts";
import { USER_STRINGS_BYTES } from "../abi/memory.ts";

export interface Parameters {
  readonly jobId: number;
  readonly userId: number;
  /** Degree of the load tree, at least 1. */
  readonly fanout: number;
  /** The nid of each rank. */
  readonly nids: readonly number[];
  /** Paths of the programs, as the job sees its files. */
  readonly programs: readonly string[];
  /** Index into `programs` of each rank. */
  readonly programOfRank: readonly number[];
  readonly argv: readonly string[];
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
  if (new Set(p.nids).size !== rankCount)
    throw new ParameterError("a nid appears twice in the nid map: give one rank a node");
  if (p.nids.some((nid) => !Number.isInteger(nid) || nid < 1 || nid > 0xff_ffff))
    throw new ParameterError("a nid is out of range: compute nodes are 1 to 16777215");
  if (p.programs.length < 1 || p.programs.length > PROGRAMS_MAX)
    throw new ParameterError(`${p.programs.length} programs: give 1 to ${PROGRAMS_MAX}`);
  if (p.programOfRank.length !== rankCount || p.programOfRank.some((i) => !(i >= 0 && i < p.programs.length)))
    throw new ParameterError("the program of some rank is missing");
  if (!Number.isInteger(p.fanout) || p.fanout < 1 || p.fanout > MAX_RANKS)
    throw new ParameterError(`fan-out ${p.fanout}: give 1 to ${MAX_RANKS}`);
  if (p.argv.length < 1) throw new ParameterError("argv is empty: its first string is the program's name");
  const all = [...p.programs, ...p.argv, ...p.envp].map((s) => new TextEncoder().encode(s));
  if (all.some((s) => s.includes(0))) throw new ParameterError("a string holds a NUL byte");
  if (all.slice(0, p.programs.length).some((s) => s.length === 0 || s.length >= PATH_MAX_BYTES))
    throw new ParameterError("the path of a program is empty or too long");
  if (argumentBytes(p.argv, p.envp) > argumentBytesMost)
    throw new ParameterError(
      `arguments and environment take ${argumentBytes(p.argv, p.envp)} bytes of the stack, at most ${argumentBytesMost}`,
    );
  const stringsBytes = all.reduce((n, s) => n + s.length + 1, 0);
  if (stringsBytes > STRINGS_MAX_BYTES)
    throw new ParameterError(`arguments and environment take ${stringsBytes} bytes, at most ${STRINGS_MAX_BYTES}`);

  const nidsOffset = JobParameters.SIZE;
  const programsOffset = nidsOffset + 4 * rankCount;
  const stringsOffset = programsOffset + 4 * rankCount;
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
  h.argCount = p.argv.length;
  h.envCount = p.envp.length;
  h.nidsOffset = nidsOffset;
  h.programsOffset = programsOffset;
  h.stringsOffset = stringsOffset;
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

/** Returns null if anything in the block is invalid. */
export function parseParameters(block: Uint8Array): Parameters | null {
  if (block.length < JobParameters.SIZE) return null;
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const h = new JobParameters(view);
  if (h.magic !== PARAMETERS_MAGIC || h.version !== PARAMETERS_VERSION) return null;
  const { totalBytes, rankCount, programCount, argCount, envCount, nidsOffset, programsOffset, stringsOffset } = h;
  if (totalBytes < JobParameters.SIZE || totalBytes > block.length) return null;
  if (rankCount < 1 || rankCount > MAX_RANKS || h.fanout < 1 || h.fanout > MAX_RANKS) return null;
  if (programCount < 1 || programCount > PROGRAMS_MAX || argCount < 1) return null;
  for (const offset of [nidsOffset, programsOffset]) {
    if (offset % 4 !== 0 || offset < JobParameters.SIZE || offset > totalBytes || totalBytes - offset < 4 * rankCount)
      return null;
  }
  if (stringsOffset < JobParameters.SIZE || stringsOffset > totalBytes) return null;
  const nids: number[] = [];
  const programOfRank: number[] = [];
  for (let rank = 0; rank < rankCount; rank++) {
    nids.push(view.getUint32(nidsOffset + 4 * rank, true));
    programOfRank.push(view.getUint32(programsOffset + 4 * rank, true));
  }
  if (programOfRank.some((index) => index >= programCount)) return null;
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
  const argv = strings.slice(programCount, programCount + argCount);
  return {
    jobId: h.jobId,
    userId: h.userId,
    fanout: h.fanout,
    nids,
    programs,
    programOfRank,
    argv,
    envp: strings.slice(programCount + argCount),
  };
}
