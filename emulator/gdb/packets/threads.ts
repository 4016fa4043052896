/** The list of cores, and the selection of one. */
import { textToHex } from "../framing.ts";
import { Failure, type PacketRow, type Reply } from "./row.ts";
import type { Session } from "../session.ts";
import type { CoreId } from "../target.ts";

/** Threads in one m packet. */
const LIST_PIECE = 256;

/** All cores that the debugger sees. */
export const coresOf = (session: Session): readonly CoreId[] =>
  session.nids
    .flatMap((nid) => Array.from({ length: session.target.cores(nid) }, (_, core) => ({ nid, core })))
    .filter((id) => session.target.present?.(id) !== false);

/** `n2.c1 user hello rank 1`. */
export const threadName = (session: Session, id: CoreId): string =>
  `n${id.nid}.c${id.core} ${session.target.describe(id)}`;

/** "Any" means the selected core, if it matches. */
function find(session: Session, text: string): CoreId | undefined {
  const pattern = session.threads.parse(text);
  if (pattern === undefined) return undefined;
  return session.threads.matches(pattern, session.general)
    ? session.general
    : session.threads.resolve(pattern, session.nids);
}

function select(session: Session, rest: string): Reply {
  const id = find(session, rest.slice(1));
  if (id === undefined) return Failure.NO_THREAD;
  // Hc is for c and s, which gdb does not use here. Other clients step the thread that they inspect.
  if (rest[0] === "g" || (rest[0] === "c" && !/^(?:-1|0)$/.test(rest.slice(1)))) session.general = id;
  else if (rest[0] !== "c") return Failure.INVALID;
  return "OK";
}

function listPiece(session: Session): Reply {
  const piece = session.threadList.slice(0, LIST_PIECE);
  session.threadList = session.threadList.slice(LIST_PIECE);
  return piece.length === 0 ? "l" : `m${piece.map((id) => session.threads.format(id)).join(",")}`;
}

export const threadPackets: readonly PacketRow[] = [
  { prefix: "H", answer: select },
  {
    prefix: "T",
    answer: (session, rest) => {
      const id = find(session, rest);
      return id === undefined || session.target.present?.(id) === false ? Failure.NO_THREAD : "OK";
    },
  },
  { prefix: "qC", answer: (session, rest) => (rest === "" ? `QC${session.threads.format(session.general)}` : "") },
  {
    prefix: "qfThreadInfo",
    answer: (session) => {
      session.threadList = coresOf(session);
      return listPiece(session);
    },
  },
  { prefix: "qsThreadInfo", answer: listPiece },
  {
    prefix: "qThreadExtraInfo,",
    answer: (session, rest) => {
      const id = find(session, rest);
      return id === undefined ? Failure.NO_THREAD : textToHex(threadName(session, id));
    },
  },
];
