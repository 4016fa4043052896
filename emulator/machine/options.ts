/** What a node is made of, what the nodes of a machine share, and how a node's run ends. */
import type { CreateEngine, RunResult } from "../cpu/engine.ts";
import type { Switch } from "../fabric/switch.ts";
import type { TraceSink } from "../trace/sink.ts";

export interface NodeOptions {
  readonly nid: number;
  readonly cores: number;
  readonly ramBytes: number;
  /** An ELF with a PVH note. */
  readonly kernel: Uint8Array;
  readonly commandLine: string;
  readonly module?: Uint8Array;
  readonly nic: boolean;
  /** An i8042 with a keyboard. Default: none. */
  readonly keyboard?: boolean;
  /** Set-1 scan codes of keys, typed 1 ms apart from then on that the ready line is out. */
  readonly keysWhenReady?: readonly (readonly number[])[];
  /**
   * Console output as it comes, a line at a time or what there is of it. One character a byte (Latin-1): the guest's
   * encoding is its own.
   */
  readonly onConsole?: (text: string) => void;
  /** A message that the node sent into the management network, and when. The bytes are the receiver's to keep. */
  readonly onMailbox?: (message: Uint8Array, time: number) => void;
  /** A frame that the node's NIC is sending just now; its cores and memory may be looked at, and nothing else done. */
  readonly onFrame?: (frame: Uint8Array) => void;
  /**
   * What stands at a virtual address, for diagnostics. Default: the kernel's symbol and source line, "space_free+0x12,
   * kernel/mm/space.ts:88".
   */
  readonly locate?: (address: bigint) => string | undefined;
}

/** What the nodes of a machine share. */
export interface NodeEnvironment {
  readonly quantumNs: number;
  /** Most instructions of one engine run. A matter of the host only. */
  readonly hostSlice: number;
  readonly strict: boolean;
  readonly trace: TraceSink;
  readonly fabric: Switch;
  readonly createEngine: CreateEngine;
}

export type NodeState = "booting" | "ready" | "halted" | "shutdown" | "exited";

/** What ended or interrupted the node's run. */
export interface NodeStop {
  readonly kind: "exit" | "fault" | "breakpoint" | "watchpoint" | "step";
  readonly nid: number;
  readonly core: number;
  readonly time: number;
  /** One line: for a fault what the guest did wrong and where. */
  readonly text: string;
  /** exit: status of the debug exit, 0 for a reset. */
  readonly status?: number;
  /** breakpoint, watchpoint: the engine's id. */
  readonly id?: number;
  /** watchpoint: as RunResult has it. */
  readonly accessed?: RunResult["accessed"];
}
