/**
 * Margay's own local calls: rank, size, nid, rank map, personality, mark. job has the calls for loading and starting,
 * net those for Portals.
 */
import { Errno } from "../abi/errno.ts";
import { EventKind } from "../abi/events.ts";
import { Personality } from "../abi/personality.ts";
import { Syscall } from "../abi/syscalls.ts";
import { record } from "../arch/trace.ts";
import { currentTask } from "../core/task.ts";
import { copyToUser } from "../mm/user.ts";
import type { Call } from "./arguments.ts";
import { failure, registerSyscall } from "./table.ts";

/** The identity of this node, filled in at boot. */
export const personality: Personality = new Personality();

export function margayCallsStart(): void {
  registerSyscall(Syscall.MARGAY_RANK, rank);
  registerSyscall(Syscall.MARGAY_SIZE, size);
  registerSyscall(Syscall.MARGAY_NID, nid);
  registerSyscall(Syscall.MARGAY_RANK_MAP, rankMap);
  registerSyscall(Syscall.MARGAY_PERSONALITY, givePersonality);
  registerSyscall(Syscall.MARGAY_MARK, mark);
}

function rank(_call: ptr<Call>): i64 {
  return i64(currentTask().rank);
}
function size(_call: ptr<Call>): i64 {
  return i64(currentTask().size);
}
function nid(_call: ptr<Call>): i64 {
  return i64(personality.nid);
}

/** (u32 *nids, u32 *pids, count) → ranks written. */
function rankMap(call: ptr<Call>): i64 {
  const task = currentTask();
  const nids = task.nids;
  const pids = task.pids;
  if (nids === null || pids === null) return 0;
  const size: u64 = u64(atomicLoad(addr(task.size)));
  const count: u64 = call.c < size ? call.c : size;
  if (call.a !== 0 && !copyToUser(addr(task.space), call.a, cast<ptr<u8>>(nids), count * 4))
    return failure(Errno.EFAULT);
  if (call.b !== 0 && !copyToUser(addr(task.space), call.b, cast<ptr<u8>>(pids), count * 4))
    return failure(Errno.EFAULT);
  return i64(count);
}

/** (Personality *). */
function givePersonality(call: ptr<Call>): i64 {
  const from = cast<ptr<u8>>(addr(personality));
  return copyToUser(addr(currentTask().space), call.a, from, sizeof<Personality>()) ? 0 : failure(Errno.EFAULT);
}

/** (kind, value). */
function mark(call: ptr<Call>): i64 {
  record(EventKind.MARK, call.a, call.b, 0, 0);
  return 0;
}
