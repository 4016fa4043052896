/** What is left of the q packets: monitor commands and symbols. */
import { hexToBytes } from "./packets.ts";
import { Failure, type PacketRow, type Reply } from "./packetrow.ts";
import type { Stub } from "./stub.ts";

function command(stub: Stub, rest: string): Reply {
  const bytes = hexToBytes(rest);
  if (bytes === undefined) return Failure.INVALID;
  stub.print(stub.target.monitor(stub.general, Buffer.from(bytes).toString("utf8"), stub.points));
  return "OK";
}

export const queryPackets: readonly PacketRow[] = [
  { prefix: "qRcmd,", answer: command },
  // gdb offers to look up symbols: we know them.
  { prefix: "qSymbol:", answer: () => "OK" },
];
