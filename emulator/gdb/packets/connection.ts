/** The session itself: features, acknowledgements, the reason of the stop, attach, detach, kill. */
import { PACKET_BYTES, parseSmallHex } from "../framing.ts";
import { Failure, type PacketRow, type Reply } from "./row.ts";
import type { Session } from "../session.ts";

/** Our features. gdb's own list is read only for what changes our replies. */
const FEATURES = [
  `PacketSize=${PACKET_BYTES.toString(16)}`,
  "QStartNoAckMode+",
  "multiprocess+",
  "vContSupported+",
  "swbreak+",
  "hwbreak+",
  "ConditionalBreakpoints+",
  "binary-upload+",
  "qXfer:features:read+",
  "qXfer:threads:read+",
  "qXfer:memory-map:read+",
  "qXfer:exec-file:read+",
  "qXfer:libraries:read+",
  "qXfer:auxv:read+",
].join(";");

function supported(session: Session, rest: string): Reply {
  for (const feature of rest.slice(1).split(";")) {
    if (feature === "multiprocess+") session.threads.multiprocess = true;
    if (feature === "swbreak+") session.peer.swbreak = true;
    if (feature === "hwbreak+") session.peer.hwbreak = true;
  }
  return session.target.catchCalls === undefined ? FEATURES : `${FEATURES};QCatchSyscalls+`;
}

/** `D` detaches all nodes, `D;PID` one. */
function detach(session: Session, rest: string): Reply {
  const nid = rest.startsWith(";") ? parseSmallHex(rest.slice(1), 0xffff) : undefined;
  if (rest !== "" && nid === undefined) return Failure.NO_THREAD;
  return session.detach(nid) ? "OK" : Failure.NO_THREAD;
}

function attach(session: Session, rest: string): Reply {
  const nid = parseSmallHex(rest, 0xffff);
  return (nid === undefined ? undefined : session.attach(nid)) ?? Failure.NO_THREAD;
}

/** `0`: none; `1`: all; `1;NUMBER;NUMBER…`. gdb means each process that it has. */
function catchCalls(session: Session, rest: string): Reply {
  const [on, ...list] = rest.split(";");
  const numbers = list.map((text) => parseSmallHex(text, 0xffff_ffff) ?? -1);
  if (session.target.catchCalls === undefined) return "";
  if ((on !== "0" && on !== "1") || (on === "0" && list.length > 0) || numbers.includes(-1)) return Failure.INVALID;
  return session.target.catchCalls(on === "1" && list.length === 0 ? "all" : numbers) ? "OK" : Failure.INVALID;
}

export const connectionPackets: readonly PacketRow[] = [
  { prefix: "qSupported", answer: supported },
  {
    prefix: "QStartNoAckMode",
    answer: (session) => {
      session.noAcknowledge = true;
      return "OK";
    },
  },
  { prefix: "?", answer: (session) => session.stopReply() },
  { prefix: "QCatchSyscalls:", answer: catchCalls },
  // We are always in extended mode: the machine outlives its debugger.
  { prefix: "!", answer: () => "OK" },
  { prefix: "vAttach;", answer: attach },
  { prefix: "D", answer: detach },
  {
    prefix: "vKill;",
    answer: (session, rest) => {
      const nid = parseSmallHex(rest, 0xffff);
      if (nid === undefined || !session.target.nids.includes(nid)) return Failure.NO_THREAD;
      session.kill();
      return "OK";
    },
  },
  {
    prefix: "k",
    answer: (session, rest) => {
      if (rest !== "") return "";
      session.kill();
      // gdb expects no reply, lldb expects the end of the process.
      return "X09";
    },
  },
  // The machine continues when its debugger leaves.
  { prefix: "qAttached", answer: () => "1" },
];
