/** A row of the table of packets, and what rows answer with. */
import type { Session } from "../session.ts";

/**
 * The payload of the answer; "" = packet not known; undefined: none now (the machine goes on and answers when it
 * stops).
 */
export type Reply = string | undefined;
/** Packets that begin with `prefix` are answered by `answer`, which gets what follows it. */
export interface PacketRow {
  readonly prefix: string;
  readonly answer: (session: Session, rest: string) => Reply;
}

/** Error replies, numbers as errno in hex. */
export const Failure = {
  NOT_PERMITTED: "E01",
  NO_FILE: "E02",
  NO_THREAD: "E03",
  BAD_MEMORY: "E0e",
  INVALID: "E16",
  NO_ROOM: "E1c",
} as const;
