/** Defaults and bounds of the command line. */
import { MAX_RANKS } from "../abi/job.ts";
import { DEFAULT_EPOCH_SECONDS } from "../machine/clock.ts";
import { QUOTA_DEFAULT_BYTES } from "../ionode/quota.ts";

export const engineNames = ["unicorn", "native"] as const;
export type EngineName = (typeof engineNames)[number];

export const defaults = {
  engine: "unicorn",
  bootCores: 1,
  runCores: 2,
  nodes: 4,
  memBytes: 64 * 2 ** 20,
  fanout: 4,
  seed: 0,
  epochSeconds: DEFAULT_EPOCH_SECONDS,
  quotaBytes: QUOTA_DEFAULT_BYTES,
  traceFile: "margay.trace",
  /** Most data of one core file. */
  coreBytes: 256 * 2 ** 20,
} as const;
/** RAM must end below the device hole (kernel/abi/memory.ts). */
export const bounds = {
  cores: 64,
  /** kernel/abi/job.ts. */
  ranks: MAX_RANKS,
  nodes: 256,
  fanout: 64,
  memLeast: 16 * 2 ** 20,
  memMost: 3 * 2 ** 30,
  /** More than any current disk holds. */
  quotaMost: 2 ** 50,
} as const;
