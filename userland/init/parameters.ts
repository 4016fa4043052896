/** The parameter block (kernel/abi/job.ts), checked as a whole before anything in it is used. */
import { type JobParameters, MAX_RANKS, PARAMETERS_MAGIC, PARAMETERS_VERSION } from "../../kernel/abi/job.ts";
import { PROGRAMS_MAX } from "./layout.ts";

/** `availableBytes`: size of the segment from the start of the block. */
export function parametersValid(p: ptr<JobParameters>, availableBytes: u64): boolean {
  if (availableBytes < sizeof<JobParameters>()) return false;
  if (p.magic !== PARAMETERS_MAGIC || p.version !== PARAMETERS_VERSION) return false;
  const total: u64 = p.totalBytes;
  if (total < sizeof<JobParameters>() || total > availableBytes) return false;
  if (p.rankCount < 1 || p.rankCount > MAX_RANKS || p.fanout < 1 || p.fanout > MAX_RANKS) return false;
  if (p.programCount < 1 || p.programCount > PROGRAMS_MAX || p.argCount < 1) return false;
  if (!arrayInside(p.nidsOffset, p.rankCount, total) || !arrayInside(p.programsOffset, p.rankCount, total))
    return false;
  const programs = wordsAt(p, p.programsOffset);
  for (let rank: u32 = 0; rank < p.rankCount; rank++) {
    if (programs[rank] >= p.programCount) return false;
  }
  return stringsValid(p, total);
}

function arrayInside(offset: u32, count: u32, totalBytes: u64): boolean {
  if ((offset & 3) !== 0 || u64(offset) < sizeof<JobParameters>()) return false;
  return u64(offset) <= totalBytes && u64(count) * 4 <= totalBytes - u64(offset);
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

/** String `index`, counted over programs, argv and envp. */
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
