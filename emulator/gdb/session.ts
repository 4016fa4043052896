/**
 * A debugging session as packet handlers see it: the selected core, the debugger's features, and the few actions that a
 * packet can cause. `stub.ts` implements it. Handlers import this file and never the stub, so that each family can be
 * read and tested alone.
 */
import type { Points } from "./points.ts";
import type { CoreId, Resumption, Target } from "./target.ts";
import type { ThreadNames } from "./threads.ts";

/** Features that the debugger has announced in qSupported. */
export interface PeerFeatures {
  swbreak: boolean;
  hwbreak: boolean;
}

export interface Session {
  readonly target: Target;
  readonly threads: ThreadNames;
  readonly points: Points;
  readonly peer: PeerFeatures;
  /** Register and memory packets apply to this core (Hg), as do old resume packets (Hc). */
  general: CoreId;
  /** Packets are no longer acknowledged (QStartNoAckMode). */
  noAcknowledge: boolean;
  /** The part of a thread list that has not been sent yet. */
  threadList: readonly CoreId[];
  /** Files of processes that the debugger has opened, by descriptor: as they were then. */
  readonly openFiles: Map<number, Uint8Array>;
  /** Nodes that the debugger sees, ascending. */
  readonly nids: readonly number[];

  /** The reply to `?`: the present stop. */
  stopReply(): string;
  /** vAttach: the debugger also attaches to the node. The reply is its stop. undefined: there is no such node. */
  attach(nid: number): string | undefined;
  /**
   * D: the debugger detaches from the node; undefined: from all. The machine resumes when no node is attached. False:
   * it is not attached.
   */
  detach(nid: number | undefined): boolean;
  /** Resumes the machine; the reply follows when it stops. */
  resume(resumption: Resumption): void;
  /** Ends the machine. */
  kill(): void;
  /** Text for the debugger's console, while it waits for a stop or for an answer to qRcmd. */
  print(text: string): void;
}
