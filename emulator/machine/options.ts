/** The options of a node, what the nodes of a machine share, and how a node's run ends. */
import type { CreateEngine, RunResult } from "../cpu/engine.ts";
import type { Switch } from "../fabric/switch.ts";
import type { TraceSink } from "../trace/sink.ts";

export interface NodeOptions {
  readonly nid: number;
  readonly cores: number;
  readonly ramBytes: number;
  /** An ELF image with a PVH note. */
  readonly kernel: Uint8Array;
  readonly commandLine: string;
  readonly module?: Uint8Array;
  readonly nic: boolean;
  /** Attach an i8042 with a keyboard. Default: no. */
  readonly keyboard?: boolean;
  /** Set-1 scan codes of the keys to type after the ready line, 1 ms apart. */
  readonly keysWhenReady?: readonly (readonly number[])[];
  /**
   * Console output as it arrives: whole lines, or a partial line when a run ends. One character a byte (Latin-1),
   * because only the guest knows its encoding.
   */
  readonly onConsole?: (text: string) => void;
  /** A message that the node sent into the management network, and its time. The receiver owns the bytes. */
  readonly onMailbox?: (message: Uint8Array, time: number) => void;
  /**
   * The node's NIC is sending this frame now. The receiver may inspect cores and memory but must not change anything.
   */
  readonly onFrame?: (frame: Uint8Array) => void;
  /**
   * Describes a virtual address for diagnostics. Default: the kernel's symbol and source line, "space_free+0x12,
   * kernel/mm/space.ts:88".
   */
  readonly locate?: (address: bigint) => string | undefined;
}

/** What the nodes of a machine share. */
export interface NodeEnvironment {
  readonly quantumNs: number;
  /** Most instructions of one engine run. Affects host speed only. */
  readonly hostSlice: number;
  readonly strict: boolean;
  readonly trace: TraceSink;
  readonly fabric: Switch;
  readonly createEngine: CreateEngine;
}

export type NodeState = "booting" | "ready" | "halted" | "shutdown" | "exited";

/** What ended or interrupted a node's run. */
export interface NodeStop {
  readonly kind: "exit" | "fault" | "breakpoint" | "watchpoint" | "step";
  readonly nid: number;
  readonly core: number;
  readonly time: number;
  /** One line. For a fault: what the guest did wrong, and where. */
  readonly text: string;
  /** exit: status of the debug exit, 0 for a reset. */
  readonly status?: number;
  /** breakpoint, watchpoint: the engine's id. */
  readonly id?: number;
  /** watchpoint: see RunResult. */
  readonly accessed?: RunResult["accessed"];
}
