/** All packets, by their prefix. */
import { connectionPackets } from "./connection.ts";
import { memoryPackets } from "./memory.ts";
import { monitorPackets } from "./monitor.ts";
import { pointPackets } from "./points.ts";
import { registerPackets } from "./registers.ts";
import { resumePackets } from "./resume.ts";
import type { PacketRow } from "./row.ts";
import { threadPackets } from "./threads.ts";
import { transferPackets } from "./transfer.ts";

const rows: readonly PacketRow[] = [
  ...connectionPackets,
  ...threadPackets,
  ...registerPackets,
  ...memoryPackets,
  ...pointPackets,
  ...resumePackets,
  ...transferPackets,
  ...monitorPackets,
].sort((a, b) => b.prefix.length - a.prefix.length);

/** The supported packets, for the documentation's table and its test. */
export const packetPrefixes: readonly string[] = rows.map((row) => row.prefix);

/** The row for a payload: the longest prefix wins. undefined: an unknown packet. */
export const rowOf = (payload: string): PacketRow | undefined => rows.find((row) => payload.startsWith(row.prefix));
