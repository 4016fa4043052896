/** The session itself: features, acknowledgements, why it stands, attach, detach, kill. */
import { PACKET_BYTES, parseSmallHex } from "./packets.ts";
import { Failure, type PacketRow, type Reply } from "./packetrow.ts";
import type { Stub } from "./stub.ts";

/** What we can do. gdb's own list is read for what changes our replies. */
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
].join(";");

function supported(stub: Stub, rest: string): Reply {
  for (const feature of rest.slice(1).split(";")) {
    if (feature === "multiprocess+") stub.threads.multiprocess = true;
    if (feature === "swbreak+") stub.peer.swbreak = true;
    if (feature === "hwbreak+") stub.peer.hwbreak = true;
  }
  return FEATURES;
}

function detach(stub: Stub, rest: string): Reply {
  if (rest === "") stub.held.clear();
  else {
    const nid = parseSmallHex(rest.slice(1), 0xffff);
    if (!rest.startsWith(";") || nid === undefined || !stub.held.delete(nid)) return Failure.NO_THREAD;
  }
  // The machine goes on when the last node is let go.
  if (stub.held.size === 0) stub.release();
  else if (!stub.held.has(stub.general.nid)) stub.general = { nid: stub.nids[0]!, core: 0 };
  return "OK";
}

function attach(stub: Stub, rest: string): Reply {
  const nid = parseSmallHex(rest, 0xffff);
  if (nid === undefined || !stub.target.nids.includes(nid)) return Failure.NO_THREAD;
  stub.held.add(nid);
  return stub.stopAt({ nid, core: 0 });
}

export const sessionPackets: readonly PacketRow[] = [
  { prefix: "qSupported", answer: supported },
  {
    prefix: "QStartNoAckMode",
    answer: (stub) => {
      stub.noAcknowledge = true;
      return "OK";
    },
  },
  { prefix: "?", answer: (stub) => stub.lastStop },
  // Extended mode is what we are in: the machine outlives its debugger.
  { prefix: "!", answer: () => "OK" },
  { prefix: "vAttach;", answer: attach },
  { prefix: "D", answer: detach },
  {
    prefix: "vKill;",
    answer: (stub, rest) => {
      const nid = parseSmallHex(rest, 0xffff);
      if (nid === undefined || !stub.target.nids.includes(nid)) return Failure.NO_THREAD;
      stub.kill();
      return "OK";
    },
  },
  {
    prefix: "k",
    answer: (stub, rest) => {
      if (rest !== "") return "";
      stub.kill();
      return undefined;
    },
  },
  // A debugger that leaves lets the machine go on.
  { prefix: "qAttached", answer: () => "1" },
];
