/** A row of the table of packets, and the replies of rows. */
import type { Session } from "../session.ts";

/**
 * Payload of the reply; "" = unknown packet; undefined: none now (the machine runs and the reply follows when it
 * stops).
 */
export type Reply = string | undefined;
/** `answer` handles packets that begin with `prefix` and gets the rest of the packet. */
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
