/** Options of each node of a machine: its command line, NIC and place in the fabric. */
import type { NodeOptions } from "../machine/node.ts";
import type { MachineSettings } from "./inputs.ts";

export interface NodeSpec {
  readonly nid: number;
  /** Number of compute nodes. */
  readonly nodes: number;
  readonly settings: MachineSettings;
  readonly kernel: Uint8Array;
  readonly module?: Uint8Array;
  readonly onConsole: (text: string) => void;
  readonly onMailbox?: (message: Uint8Array, time: number) => void;
  readonly onFrame?: (frame: Uint8Array) => void;
}

/** Coordinates in a near-cubic X × Y × Z box that holds all nodes, x fastest. */
export function coordinates(nid: number, nodes: number): readonly [number, number, number] {
  const x = Math.ceil(Math.cbrt(nodes));
  const y = Math.ceil(Math.sqrt(nodes / x));
  const index = nid - 1;
  return [index % x, Math.floor(index / x) % y, Math.floor(index / (x * y))];
}

export function nodeOptions(spec: NodeSpec): NodeOptions {
  const { nid, nodes, settings, kernel, module, onConsole, onMailbox, onFrame } = spec;
  const commandLine = [
    `nodes=${nodes}`,
    `coords=${coordinates(nid, nodes).join(".")}`,
    `epoch=${settings.epochSeconds}`,
    settings.append,
  ]
    .filter(Boolean)
    .join(" ");
  return {
    nid,
    cores: settings.cores,
    ramBytes: settings.memBytes,
    kernel,
    commandLine,
    nic: true,
    onConsole,
    ...(onMailbox ? { onMailbox } : {}),
    ...(onFrame ? { onFrame } : {}),
    ...(settings.keys ? { keyboard: true, keysWhenReady: settings.keys } : {}),
    ...(module ? { module } : {}),
  };
}
