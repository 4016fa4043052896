/** The remaining q packets: monitor commands and symbols. */
import { hexToBytes } from "../framing.ts";
import { Failure, type PacketRow, type Reply } from "./row.ts";
import type { Session } from "../session.ts";

function command(session: Session, rest: string): Reply {
  const bytes = hexToBytes(rest);
  if (bytes === undefined) return Failure.INVALID;
  session.print(session.target.monitor(session.general, Buffer.from(bytes).toString("utf8"), session.points));
  return "OK";
}

export const monitorPackets: readonly PacketRow[] = [
  { prefix: "qRcmd,", answer: command },
  // gdb offers to look up symbols; we have our own.
  { prefix: "qSymbol:", answer: () => "OK" },
];
