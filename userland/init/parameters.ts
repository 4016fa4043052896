/** The parameter block (kernel/abi/job.ts), checked as a whole before anything in it is used. */
import {
  type JobParameters,
  MAX_RANKS,
  PARAMETERS_MAGIC,
  PARAMETERS_VERSION,
  type RankPlace,
  TASKS_PER_NODE_MAX,
} from "../../kernel/abi/job.ts";
import { PROGRAMS_MAX } from "./layout.ts";

/** `availableBytes`: size of the segment from the start of the block. */
export function parametersValid(p: ptr<JobParameters>, availableBytes: u64): boolean {
  if (availableBytes < sizeof<JobParameters>()) return false;
  if (p.magic !== PARAMETERS_MAGIC || p.version !== PARAMETERS_VERSION) return false;
  const total: u64 = p.totalBytes;
  if (total < sizeof<JobParameters>() || total > availableBytes) return false;
  if (p.rankCount < 1 || p.rankCount > MAX_RANKS || p.fanout < 1 || p.fanout > MAX_RANKS) return false;
  if (p.programCount < 1 || p.programCount > PROGRAMS_MAX) return false;
  if (!arrayInside(p.nidsOffset, p.rankCount, 4, total) || !arrayInside(p.programsOffset, p.rankCount, 4, total))
    return false;
  const programs = wordsAt(p, p.programsOffset);
  for (let rank: u32 = 0; rank < p.rankCount; rank++) {
    if (programs[rank] >= p.programCount) return false;
  }
  return placesValid(p, total) && argCountsValid(p, total) && stringsValid(p, total);
}

/** Also that a multiple of 4 (8 for larger elements) is the offset. */
function arrayInside(offset: u32, count: u32, elementBytes: u64, totalBytes: u64): boolean {
  if ((offset & (elementBytes === 4 ? 3 : 7)) !== 0 || u64(offset) < sizeof<JobParameters>()) return false;
  return u64(offset) <= totalBytes && u64(count) * elementBytes <= totalBytes - u64(offset);
}

/** Each node has a leader, and the chain of its ranks ascends. */
function placesValid(p: ptr<JobParameters>, totalBytes: u64): boolean {
  if (p.nodeCount < 1 || p.nodeCount > p.rankCount) return false;
  if (p.placesOffset === 0) return p.nodeCount === p.rankCount;
  if (!arrayInside(p.placesOffset, p.rankCount, sizeof<RankPlace>(), totalBytes)) return false;
  const places = cast<ptr<RankPlace>>(addr(cast<ptr<u8>>(p)[p.placesOffset]));
  const nids = wordsAt(p, p.nidsOffset);
  for (let rank: u32 = 0; rank < p.rankCount; rank++) {
    const place = addr(places[rank]);
    if (place.position >= p.nodeCount || place.order >= TASKS_PER_NODE_MAX) return false;
    const leader: u32 = places[place.position].leader;
    if (leader >= p.rankCount || nids[leader] !== nids[rank]) return false;
    if ((place.order === 0) !== (leader === rank)) return false;
    if (place.next === 0) continue;
    if (place.next <= rank || place.next >= p.rankCount) return false;
    const next = addr(places[place.next]);
    if (next.position !== place.position || next.order !== place.order + 1) return false;
  }
  for (let q: u32 = 0; q < p.nodeCount; q++) {
    if (places[q].leader >= p.rankCount || places[places[q].leader].position !== q) return false;
  }
  return places[0].position === 0 && places[0].leader === 0;
}

/** Each program has its name at least. */
function argCountsValid(p: ptr<JobParameters>, totalBytes: u64): boolean {
  if (!arrayInside(p.argCountsOffset, p.programCount, 4, totalBytes)) return false;
  const counts = wordsAt(p, p.argCountsOffset);
  let sum: u64 = 0;
  for (let index: u32 = 0; index < p.programCount; index++) {
    if (counts[index] < 1) return false;
    sum += u64(counts[index]);
  }
  return sum === u64(p.argCount);
}

/** Every string ends inside the block, and no program's name is empty. */
function stringsValid(p: ptr<JobParameters>, totalBytes: u64): boolean {
  let at: u64 = p.stringsOffset;
  if (at < sizeof<JobParameters>() || at > totalBytes) return false;
  const bytes = cast<ptr<u8>>(p);
  const count: u64 = u64(p.programCount) + u64(p.argCount) + u64(p.envCount);
  for (let n: u64 = 0; n < count; n++) {
    if (n < u64(p.programCount) && at < totalBytes && bytes[at] === 0) return false;
    while (at < totalBytes && bytes[at] !== 0) at++;
    if (at === totalBytes) return false;
    at++;
  }
  return true;
}

export function wordsAt(p: ptr<JobParameters>, offset: u32): ptr<u32> {
  return cast<ptr<u32>>(addr(cast<ptr<u8>>(p)[offset]));
}

export function placesOf(p: ptr<JobParameters>): ptr<RankPlace> | null {
  return p.placesOffset === 0 ? null : cast<ptr<RankPlace>>(addr(cast<ptr<u8>>(p)[p.placesOffset]));
}
/** Number of strings in a program's argv. */
export function argCountOf(p: ptr<JobParameters>, program: u32): u32 {
  return wordsAt(p, p.argCountsOffset)[program];
}
/** Index of a program's first argument for `stringAt`. */
export function firstArgOf(p: ptr<JobParameters>, program: u32): u32 {
  let index: u32 = p.programCount;
  for (let before: u32 = 0; before < program; before++) index += argCountOf(p, before);
  return index;
}

/** String `index`, counted over programs, each one's argv, and envp. */
export function stringAt(p: ptr<JobParameters>, index: u32): ptr<u8> {
  const bytes = cast<ptr<u8>>(p);
  let at: u64 = p.stringsOffset;
  for (let n: u32 = 0; n < index; n++) {
    while (bytes[at] !== 0) at++;
    at++;
  }
  return addr(bytes[at]);
}
/** Start of the string after `s`. */
export function nextString(s: ptr<u8>): ptr<u8> {
  let n: u64 = 0;
  while (s[n] !== 0) n++;
  return addr(s[n + 1]);
}
