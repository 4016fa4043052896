/**
 * Memory of each core in which a shipped call's parts are put together, and where a reply of several parts lands. A
 * thread has one call at a time and keeps its core, so nobody else uses it meanwhile. What a task that was ended has
 * left in a queue may be overwritten before it is sent: the I/O node refuses it, as it does any malformed request.
 */
import { PAGE_BYTES } from "../abi/memory.ts";
import { refuseBoot } from "../core/panic.ts";
import { cpuCount, cpuIndex } from "../arch/percpu.ts";
import { allocateFrames, OWNER_KERNEL, physical } from "../mm/frames.ts";

const STAGING_FRAMES: u64 = 3;
/** Two paths, or the descriptors of a poll, and small structures. */
export const STAGING_BYTES: u64 = STAGING_FRAMES * PAGE_BYTES;
/** By core, physical. */
const areas: arr<u64, 64> = zeroed();

export function stagingStart(): void {
  for (let cpu: u32 = 0; cpu < cpuCount(); cpu++) {
    areas[cpu] = allocateFrames(STAGING_FRAMES, OWNER_KERNEL);
    if (areas[cpu] === 0) refuseBoot(cstr("no memory for shipped calls, bytes a core"), STAGING_BYTES);
  }
}
/** This core's. */
export function staging(): ptr<u8> {
  return physical<u8>(areas[cpuIndex()]);
}
