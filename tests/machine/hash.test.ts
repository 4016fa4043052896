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

describe("state hash", () => {
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
