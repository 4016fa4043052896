/**
 * The state hash covers everything that decides the future: the test changes each field of the devices and each pending
 * input in turn.
 */
import { describe, expect, it } from "vitest";
import { Machine } from "../../emulator/machine/machine.ts";
import { emptyKernel, toyEngine } from "./toy-engine.ts";

const createEngine = toyEngine([{ steps: [["hlt"]] }]);
const machine = (): Machine =>
  new Machine({
    nodes: [
      { nid: 1, cores: 1, ramBytes: 16 << 20, kernel: emptyKernel(), commandLine: "", nic: true, keyboard: true },
    ],
    createEngine,
  });

/** Not state: identity of a device, or derived from other fields. */
const derived = new Set(["core", "attached", "irrHighest", "isrHighest"]);

function* fields(device: object): Iterable<readonly [name: string, change: () => void]> {
  const record = device as Record<string, unknown>;
  for (const [name, value] of Object.entries(record)) {
    if (derived.has(name)) continue;
    if (typeof value === "number") yield [name, () => void (record[name] = value === 1 ? 2 : 1)];
    else if (typeof value === "boolean") yield [name, () => void (record[name] = !value)];
    else if (value instanceof Uint32Array) yield [name, () => void (value[0] ^= 1)];
    else if (Array.isArray(value) && value.length === 0) yield [name, () => void value.push(1)];
  }
}

/** Scratch space, identity and connections of the devices below. */
const fixed = new Set(["header", "config", "features", "deviceId", "queueCount"]);
type Change = () => void;
/** Everything that can be changed in an object, and in the plain objects and arrays below it, by its path. */
function* changes(target: object, path = ""): Iterable<readonly [string, Change]> {
  for (const [key, value] of Object.entries(target) as [string, unknown][]) {
    if (fixed.has(key)) continue;
    const name = `${path}.${key}`;
    const set = (changed: unknown): void => void ((target as Record<string, unknown>)[key] = changed);
    if (typeof value === "number") yield [name, () => set(value + 1)];
    else if (typeof value === "boolean") yield [name, () => set(!value)];
    else if (value instanceof Uint8Array) yield [name, () => void (value[0]! ^= 1)];
    else if (value instanceof DataView) yield [name, () => value.setUint8(0, value.getUint8(0) ^ 1)];
    else if (Array.isArray(value) && value.length === 0) yield [name, () => void value.push(Uint8Array.of(1))];
    else if (Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype)
      yield* changes(value as object, name);
  }
}
const NIC_SLOT = -1;
const hidden = (owner: object, name: string): object => (owner as Record<string, object>)[name]!;
const FRAME_BYTES = 64;
/** Two nodes; a frame is on its way from the second one to the first one. */
function withFrame(): Machine {
  const node = { cores: 1, ramBytes: 16 << 20, kernel: emptyKernel(), commandLine: "", nic: true };
  const m = new Machine({
    nodes: [
      { nid: 1, ...node },
      { nid: 2, ...node },
    ],
    createEngine,
  });
  m.fabric.send(2, new Uint8Array(FRAME_BYTES).fill(0xff), 0);
  return m;
}
/** Objects whose fields are changed, by name. */
const owners: Readonly<Record<string, (m: Machine) => object>> = {
  mailbox: (m) => m.nodes[0]!.board.mailbox,
  "virtio slot": (m) => m.nodes[0]!.board.virtio.at(NIC_SLOT)!,
  "receive queue": (m) => m.nodes[0]!.board.virtio.at(NIC_SLOT)!.queues[0]!,
  "transmit queue": (m) => m.nodes[0]!.board.virtio.at(NIC_SLOT)!.queues[1]!,
  "virtio-net": (m) => hidden(m.nodes[0]!.board.virtio.at(NIC_SLOT)!, "function"),
  link: (m) => (hidden(m.fabric, "links") as Map<number, object>).get(1)!,
};

describe("state hash", () => {
  it.each(Object.keys(owners))("every field of %s", (name) => {
    const m = withFrame();
    let before = m.stateHash();
    const missing: string[] = [];
    const found = [...changes(owners[name]!(m))];
    for (const [path, change] of found) {
      change();
      const after = m.stateHash();
      if (after === before) missing.push(path);
      before = after;
    }
    expect(found.length).toBeGreaterThan(0);
    expect(missing).toEqual([]);
  });
  it("every field of an input to come", () => {
    const prepared = (): Machine => {
      const m = machine();
      m.nodes[0]!.typeAt(5000, Uint8Array.of(65));
      return m;
    };
    const list = (m: Machine): object => hidden(hidden(m.nodes[0]!, "agenda"), "inputs");
    const before = prepared().stateHash();
    const missing = [...changes(list(prepared()))].filter(([path]) => {
      const m = prepared();
      for (const [own, change] of changes(list(m))) if (own === path) change();
      return m.stateHash() === before;
    });
    expect(missing.map(([path]) => path)).toEqual([]);
  });

  const start = machine().stateHash();
  it.each(["typeAt", "keysAt", "mailAt"] as const)("input to come: %s", (input) => {
    const m = machine();
    m.nodes[0]![input](5000, new Uint8Array([65]) as Uint8Array & number[]);
    const typed = m.stateHash();
    expect(typed).not.toBe(start);
    const later = machine();
    later.nodes[0]![input](6000, new Uint8Array([65]) as Uint8Array & number[]);
    expect(later.stateHash()).not.toBe(typed);
  });
  it.each(["uart", "keyboard", "ioapic", "fwcfg"] as const)("each field of %s", (name) => {
    const missing: string[] = [];
    for (const [field] of fields(machine().nodes[0]!.board[name])) {
      const m = machine();
      for (const [own, change] of fields(m.nodes[0]!.board[name])) if (own === field) change();
      if (m.stateHash() === start) missing.push(field);
    }
    expect(missing).toEqual([]);
  });
  it("each field of the local APIC", () => {
    const missing: string[] = [];
    for (const [field] of fields(machine().nodes[0]!.board.lapics[0]!)) {
      const m = machine();
      for (const [own, change] of fields(m.nodes[0]!.board.lapics[0]!)) if (own === field) change();
      if (m.stateHash() === start) missing.push(field);
    }
    expect(missing).toEqual([]);
  });
});
