/**
 * Z and z: `TYPE,ADDRESS,KIND[;X LENGTH,CODE…][;cmds:…]`. Kind is the length of a watched area; for a breakpoint it is
 * ignored.
 */
import { hexToBytes, parseHex, parseSmallHex } from "../framing.ts";
import { PointType } from "../points.ts";
import { Failure, type PacketRow, type Reply } from "./row.ts";
import type { Session } from "../session.ts";

/** Longest area of one watchpoint; gdb does not split an area that it may watch whole. */
const MOST_WATCHED = 0x100_0000;

interface Parsed {
  readonly type: number;
  readonly address: bigint;
  readonly bytes: number;
  readonly conditions: readonly Uint8Array[];
}

function parse(text: string): Parsed | undefined {
  const [head, ...options] = text.split(";");
  const [first, second, third] = head!.split(",");
  const type = parseSmallHex(first, PointType.ACCESS);
  const address = parseHex(second);
  const kind = parseSmallHex(third, MOST_WATCHED);
  if (type === undefined || address === undefined || kind === undefined) return undefined;
  const isWatch = type >= PointType.WRITE;
  if (isWatch && kind === 0) return undefined;
  const conditions: Uint8Array[] = [];
  for (const option of options) {
    // gdb writes several as X…X…, each with its length, so there is no separator.
    for (let rest = option; rest.startsWith("X"); ) {
      const comma = rest.indexOf(",");
      const length = parseSmallHex(rest.slice(1, Math.max(comma, 1)), 0x4000);
      if (length === undefined) return undefined;
      const code = hexToBytes(rest.slice(comma + 1, comma + 1 + 2 * length));
      if (code === undefined || code.length !== length) return undefined;
      conditions.push(code);
      rest = rest.slice(comma + 1 + 2 * length);
    }
  }
  return { type, address, bytes: isWatch ? kind : 1, conditions };
}

function insert(session: Session, rest: string): Reply {
  const point = parse(rest);
  if (point === undefined) return Failure.INVALID;
  return session.points.add(point.type, session.general.nid, point.address, point.bytes, point.conditions)
    ? "OK"
    : Failure.NO_ROOM;
}
function remove(session: Session, rest: string): Reply {
  const point = parse(rest);
  if (point === undefined) return Failure.INVALID;
  session.points.remove(point.type, session.general.nid, point.address, point.bytes);
  return "OK";
}

export const pointPackets: readonly PacketRow[] = [
  { prefix: "Z", answer: insert },
  { prefix: "z", answer: remove },
];
