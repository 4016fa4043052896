/**
 * Checks that the machine fits into this host's memory. Done before anything starts, because a host without memory also
 * kills other programs.
 */
import os from "node:os";
import { UserError } from "./errors.ts";
import type { MachineSettings } from "./inputs.ts";
import { formatSize } from "./units.ts";

/**
 * Host memory of a node and of a core, besides the guest's RAM: measured with `hello` on 1 to 8 nodes and 1 to 64
 * cores.
 */
const NODE_BYTES = 5 * 2 ** 20;
const CORE_BYTES = 4 * 2 ** 20;

/** @throws UserError with the figures */
export function checkMemory(
  nodes: number,
  { cores, memBytes }: Pick<MachineSettings, "cores" | "memBytes">,
  available = availableBytes(),
): void {
  const ram = nodes * memBytes;
  const rest = nodes * (NODE_BYTES + cores * CORE_BYTES);
  if (ram + rest <= available) return;
  const figures = `${nodes} × ${formatSize(memBytes)} of RAM and ${inGigabytes(rest)} for ${nodes * cores} cores are ${inGigabytes(ram + rest)}`;
  throw new UserError(
    "not enough memory",
    `${figures}, this host has ${inGigabytes(available)} free`,
    "give fewer --nodes or --cores, or less --mem",
  );
}

/** Memory available without swapping and within a container's limits. */
function availableBytes(): number {
  const free = process.availableMemory?.() ?? os.freemem();
  const most = process.constrainedMemory?.() ?? 0;
  return most > 0 ? Math.min(free, most) : free;
}
const inGigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GB`;
