/** Which cores there are, and which one is meant. */
import { textToHex } from "./packets.ts";
import { Failure, type PacketRow, type Reply } from "./packetrow.ts";
import type { Stub } from "./stub.ts";
import type { CoreId } from "./target.ts";

/** Threads in one m packet. */
const LIST_PIECE = 256;

/** All cores that the debugger sees. */
export const coresOf = (stub: Stub): readonly CoreId[] =>
  stub.nids
    .flatMap((nid) => Array.from({ length: stub.target.cores(nid) }, (_, core) => ({ nid, core })))
    .filter((id) => stub.target.present?.(id) !== false);

/** `n2.c1 user hello rank 1`. */
export const threadName = (stub: Stub, id: CoreId): string => `n${id.nid}.c${id.core} ${stub.target.describe(id)}`;

/** "Any" is the selected one, if it fits. */
function find(stub: Stub, text: string): CoreId | undefined {
  const pattern = stub.threads.parse(text);
  if (pattern === undefined) return undefined;
  return stub.threads.matches(pattern, stub.general) ? stub.general : stub.threads.resolve(pattern, stub.nids);
}

function select(stub: Stub, rest: string): Reply {
  const id = find(stub, rest.slice(1));
  if (id === undefined) return Failure.NO_THREAD;
  // Hc is for c and s, which gdb does not use here; for others the thread that they step is the one that they look at.
  if (rest[0] === "g" || (rest[0] === "c" && !/^(?:-1|0)$/.test(rest.slice(1)))) stub.general = id;
  else if (rest[0] !== "c") return Failure.INVALID;
  return "OK";
}

function listPiece(stub: Stub): Reply {
  const piece = stub.threadList.slice(0, LIST_PIECE);
  stub.threadList = stub.threadList.slice(LIST_PIECE);
  return piece.length === 0 ? "l" : `m${piece.map((id) => stub.threads.format(id)).join(",")}`;
}

export const threadPackets: readonly PacketRow[] = [
  { prefix: "H", answer: select },
  {
    prefix: "T",
    answer: (stub, rest) => {
      const id = find(stub, rest);
      return id === undefined || stub.target.present?.(id) === false ? Failure.NO_THREAD : "OK";
    },
  },
  { prefix: "qC", answer: (stub, rest) => (rest === "" ? `QC${stub.threads.format(stub.general)}` : "") },
  {
    prefix: "qfThreadInfo",
    answer: (stub) => {
      stub.threadList = coresOf(stub);
      return listPiece(stub);
    },
  },
  { prefix: "qsThreadInfo", answer: listPiece },
  {
    prefix: "qThreadExtraInfo,",
    answer: (stub, rest) => {
      const id = find(stub, rest);
      return id === undefined ? Failure.NO_THREAD : textToHex(threadName(stub, id));
    },
  },
];
