/** What the kernel sends of a task for a call that needs it (protocol: abi/io.ts). */
import { Errno } from "../../abi/errno.ts";
import { ProcessState, RegionState, StatePart } from "../../abi/io.ts";
import { IoError } from "../hostfs.ts";
import { type CallContext, type CallResult, done } from "./context.ts";

/** (StatePart). */
export function receiveState(c: CallContext): CallResult {
  const { states } = c.task;
  const bytes = c.data.slice();
  if (c.int(0) === StatePart.TASK) {
    if (bytes.length !== ProcessState.SIZE) throw new IoError(Errno.EINVAL);
    states.set(c.core, { task: new ProcessState(new DataView(bytes.buffer)), regions: [] });
    return done(0);
  }
  const state = states.get(c.core);
  if (c.int(0) !== StatePart.REGIONS || state === undefined || bytes.length % RegionState.SIZE !== 0)
    throw new IoError(Errno.EINVAL);
  for (let at = 0; at < bytes.length; at += RegionState.SIZE)
    state.regions.push(new RegionState(new DataView(bytes.buffer, at, RegionState.SIZE)));
  if (state.regions.length > REGIONS_MOST) {
    states.delete(c.core);
    throw new IoError(Errno.EINVAL);
  }
  return done(0);
}
/** More than a kernel has (mm/regions.ts). */
const REGIONS_MOST = 70_000;
