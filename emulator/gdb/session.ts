/**
 * A debugging session as the handlers of packets see it: which core is selected, what the debugger knows, and the few
 * things that a packet can make happen. `stub.ts` implements it. Handlers import this file and never the stub, so that
 * each family can be read and tested alone.
 */
import type { Points } from "./points.ts";
import type { CoreId, Resumption, Target } from "./target.ts";
import type { ThreadNames } from "./threads.ts";

/** What the debugger has announced in qSupported. */
export interface PeerFeatures {
  swbreak: boolean;
  hwbreak: boolean;
}

export interface Session {
  readonly target: Target;
  readonly threads: ThreadNames;
  readonly points: Points;
  readonly peer: PeerFeatures;
  /** Register and memory packets are about this core (Hg), and resume packets of the old kind (Hc). */
  general: CoreId;
  /** Packets are no longer acknowledged (QStartNoAckMode). */
  noAcknowledge: boolean;
  /** The part of a thread list that has not been handed out yet. */
  threadList: readonly CoreId[];
  /** Nodes that the debugger sees, ascending. */
  readonly nids: readonly number[];

  /** The reply to `?`: the present stop. */
  stopReply(): string;
  /** vAttach: the debugger takes the node too. The reply is its stop. undefined: there is no such node. */
  attach(nid: number): string | undefined;
  /**
   * D: the debugger lets the node go; undefined: all of them. The machine goes on when it has none left. False: it does
   * not have it.
   */
  detach(nid: number | undefined): boolean;
  /** The machine goes on; the answer comes when it stops. */
  resume(resumption: Resumption): void;
  /** The machine ends. */
  kill(): void;
  /** Text for the debugger's console, while it waits for a stop or for an answer to qRcmd. */
  print(text: string): void;
}
