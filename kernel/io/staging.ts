/**
 * Staging memory of each core: a shipped call's parts are assembled here, and replies of several parts arrive here. A
 * thread has one call at a time and keeps its core, so no other call uses the memory meanwhile. Parts that an ended
 * task left in a queue may be overwritten before they are sent: the I/O node refuses such a request like any malformed
 * one.
 */
import { PAGE_BYTES } from "../abi/memory.ts";
import { refuseBoot } from "../core/panic.ts";
import { cpuCount, cpuIndex } from "../arch/percpu.ts";
import { allocateFrames, OWNER_KERNEL, physical } from "../mm/frames.ts";

const STAGING_FRAMES: u64 = 3;
/** Enough for two paths, or the descriptors of a poll, and small structures. */
export const STAGING_BYTES: u64 = STAGING_FRAMES * PAGE_BYTES;
/** By core, physical addresses. */
const areas: arr<u64, 64> = zeroed();

export function stagingStart(): void {
  for (let cpu: u32 = 0; cpu < cpuCount(); cpu++) {
    areas[cpu] = allocateFrames(STAGING_FRAMES, OWNER_KERNEL);
    if (areas[cpu] === 0) refuseBoot(cstr("no memory for shipped calls, bytes a core"), STAGING_BYTES);
  }
}
/** The staging area of this core. */
export function staging(): ptr<u8> {
  return physical<u8>(areas[cpuIndex()]);
}
