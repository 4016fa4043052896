/** Messages in flight: between which nodes, frames without an acknowledgement, frames on the wire. */
import { EthernetHeader, MessageHeader, OperationNames } from "../../abi/net.ts";
import type { Datum } from "../types.ts";
import { columns, type MonitorCommand, type MonitorContext } from "./command.ts";

/** The result of Switch.state. */
type LinkState = readonly [
  nid: number,
  link: {
    readonly queue: readonly { readonly frame: readonly number[]; readonly source: number; readonly atPort: number }[];
  },
];
const MOST_WAITING = 1000;

function peers({ id, view }: MonitorContext): readonly string[] {
  const list = view.global(id.nid, "peers");
  if (list === undefined) return ["this kernel's debug information names no 'peers'"];
  const rows: string[][] = [];
  for (
    let peer = list.field("first")?.pointee;
    peer !== undefined && rows.length < MOST_WAITING;
    peer = peer.field("next")?.pointee
  ) {
    let waiting = 0;
    for (
      let m: Datum | undefined = peer.field("outFirst")?.pointee;
      m !== undefined && waiting < MOST_WAITING;
      m = m.field("next")?.pointee
    )
      waiting++;
    const inbound = peer.field("inbound");
    rows.push([
      `n${peer.numberOf("nid")}`,
      `next ${peer.numberOf("nextSequence")}`,
      `received ${peer.numberOf("received")}`,
      `unacknowledged ${peer.numberOf("count")}`,
      `waiting ${waiting}`,
      `timeout ${peer.numberOf("timeout")} ns`,
      `silent ${peer.numberOf("silent")}`,
      peer.numberOf("unreachable") !== 0
        ? "given up"
        : inbound?.numberOf("open") === 1
          ? `coming in: ${inbound.numberOf("gotBytes")} of ${inbound.numberOf("totalBytes")} bytes`
          : "",
    ]);
  }
  return rows.length === 0
    ? [`n${id.nid}: no peers yet`]
    : [`n${id.nid}'s peers:`, ...columns(rows).map((l) => `  ${l}`)];
}

function onTheWire({ view }: MonitorContext): readonly string[] {
  const { machine } = view.control;
  const state = machine.fabric.state() as readonly LinkState[] | readonly [readonly LinkState[], unknown];
  const links = (machine.fabric.faults === undefined ? state : state[0]) as readonly LinkState[];
  const rows = links.flatMap(([nid, { queue }]) =>
    queue.map(({ frame, source, atPort }) => {
      const bytes = Uint8Array.from(frame);
      const isOurs = bytes.length >= EthernetHeader.SIZE + MessageHeader.SIZE;
      const header = isOurs ? new MessageHeader(new DataView(bytes.buffer), EthernetHeader.SIZE) : undefined;
      const what =
        header === undefined
          ? ""
          : `${OperationNames.get(header.operation) ?? header.operation} sequence ${header.sequence}`;
      return [`  n${source} → n${nid}`, what, `${bytes.length} bytes`, `arrives at ${atPort} ns`];
    }),
  );
  return rows.length === 0 ? ["no frame is under way"] : ["frames under way:", ...columns(rows)];
}

export const messageCommands: readonly MonitorCommand[] = [
  {
    name: "messages",
    usage: "messages",
    help: "the node's peers with what is unacknowledged, and the frames on the wire",
    run: (c) => [...peers(c), ...onTheWire(c)],
  },
];
