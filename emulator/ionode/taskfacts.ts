/** What the kernel has sent of a task (protocol: abi/io.ts). */
import type { ProcessState, RegionState } from "../abi/io.ts";

export interface TaskFacts {
  readonly task: ProcessState;
  readonly regions: RegionState[];
}
