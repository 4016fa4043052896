/**
 * Nodes and the switch: a token passes round a ring of toy nodes that program their virtio cards directly. Each hop
 * takes exactly its wire time, latency and instructions. The result does not depend on slices or on other busy cores.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Switch } from "../../emulator/fabric/switch.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { fullLine } from "../../emulator/trace/format.ts";
import { EventList, Tracer } from "../../emulator/trace/tracer.ts";
import { emptyKernel, type Program, type Step, toyEngine } from "./toy-engine.ts";

// Typed from the manuals.
const LAPIC = 0xfee00000;
const IOAPIC = 0xfec00000;
const NIC = 0xfeb00e00;
const QUEUE = 8;
const FRAME = 100;
const desc = (q: number) => 0x10000 * (q + 1);
const avail = (q: number) => desc(q) + 0x1000;
const used = (q: number) => desc(q) + 0x2000;

const mac = (nid: number) => [2, 0x4d, 0x47, 0, 0, nid];
const setUp: readonly Step[] = [
  ["write", LAPIC + 0xf0, 0x1ff],
  ["write", IOAPIC, 0x11 + 24],
  ["write", IOAPIC + 0x10, 0],
  ["write", IOAPIC, 0x10 + 24],
  ["write", IOAPIC + 0x10, 0x3c],
  ["write", NIC + 0x70, 3],
  ["write", NIC + 0x24, 1],
  ["write", NIC + 0x20, 1],
  ["write", NIC + 0x70, 11],
  ...[0, 1].flatMap((q): Step[] => [
    ["write", NIC + 0x30, q],
    ["write", NIC + 0x38, QUEUE],
    ["write", NIC + 0x80, desc(q)],
    ["write", NIC + 0x90, avail(q)],
    ["write", NIC + 0xa0, used(q)],
    ["write", NIC + 0x44, 1],
  ]),
  ["write", NIC + 0x70, 15],
  ["sti"],
];
const handler: readonly Step[] = [
  ["write", NIC + 0x64, 1],
  ["add", avail(0), 0x10000],
  ["write", NIC + 0x50, 0],
  ["add", avail(1), 0x10000],
  ["write", NIC + 0x50, 1],
  ["write", LAPIC + 0xb0, 0],
  ["iret"],
];
/** Instructions of the handler before the frame leaves. */
const TO_SEND = 4;

function program(starts: boolean): Program {
  const steps: Step[] = [
    ...setUp,
    ...(starts
      ? ([
          ["add", avail(1), 0x10000],
          ["write", NIC + 0x50, 1],
        ] as Step[])
      : []),
    ["hlt"],
  ];
  const at = steps.length;
  steps.push(["jump", at - 1], ...handler);
  return { steps, handlers: { [0x3c]: at + 1 } };
}

interface RingOptions {
  readonly nodes: number;
  readonly hostSlice?: number;
  readonly chop?: number;
  /** A second core on every node that never halts. */
  readonly busy?: boolean;
}
function ring({ nodes, hostSlice, chop, busy = false }: RingOptions) {
  const list = new EventList();
  const tracer = new Tracer([list]);
  let made = 0;
  const spinner: Program = { steps: [["jump", 0]], startup: 0 };
  const machine = new Machine({
    nodes: Array.from({ length: nodes }, (_, i) => ({
      nid: i + 1,
      cores: busy ? 2 : 1,
      ramBytes: 16 << 20,
      kernel: emptyKernel(),
      commandLine: "",
      nic: true,
    })),
    strict: true,
    hostSlice,
    trace: tracer,
    createEngine: (options) => {
      const first = program(made++ === nodes - 1);
      // With a spinner, the first core starts it before anything else.
      const wake: Step[] = busy
        ? [
            ["write", LAPIC + 0xf0, 0x1ff],
            ["write", LAPIC + 0x300, 0xc4500],
            ["write", LAPIC + 0x300, 0xc4608],
          ]
        : [["nop"], ["nop"], ["nop"]];
      const shifted = first.steps.map((step): Step => (step[0] === "jump" ? ["jump", step[1] + 3] : step));
      return toyEngine([{ steps: [...wake, ...shifted], handlers: { [0x3c]: first.handlers![0x3c] + 3 } }, spinner])(
        options,
      );
    },
  });
  for (const { nid, view, ram } of machine.nodes) {
    for (let i = 0; i < QUEUE; i++) {
      for (const q of [0, 1]) {
        view.setBigUint64(desc(q) + 16 * i, q === 0 ? BigInt(0x40000 + 0x1000 * i) : 0x50000n, true);
        view.setUint32(desc(q) + 16 * i + 8, q === 0 ? 2048 : 12 + FRAME, true);
        view.setUint16(desc(q) + 16 * i + 12, q === 0 ? 2 : 0, true);
        view.setUint16(avail(q) + 4 + 2 * i, i, true);
      }
    }
    view.setUint16(avail(0) + 2, QUEUE, true);
    view.setUint16(avail(1), 1, true);
    ram.set([...mac((nid % nodes) + 1), ...mac(nid), 0x88, 0xb5], 0x50000 + 12);
  }
  const limitNs = 60_000;
  if (chop === undefined) machine.run({ limitNs });
  else while (machine.runSlice(chop, { limitNs }) !== "limit");
  tracer.end();
  const links = list.events.filter((e) => e.kind === EventKind.LINK_RECEIVE);
  return {
    hops: links.map((e) => [e.nid, e.time]),
    hash: machine.stateHash(),
    lines: list.events.map((e) => fullLine(e)),
    fault: machine.fault?.text,
  };
}

describe("a token on a ring of nodes", () => {
  const reference = ring({ nodes: 3 });
  it("takes wire time, latency and the handler's instructions a hop", () => {
    expect(reference.fault).toBeUndefined();
    expect(reference.hops.length).toBeGreaterThan(50);
    const hop = FRAME / 10 + 1000 + TO_SEND;
    reference.hops.forEach(([nid, time], i) => {
      expect(nid).toBe((i % 3) + 1);
      expect(time).toBe((reference.hops[0][1] as number) + i * hop);
    });
  });
  it.each([1, 2, 5, 1000])("slices of %i instructions change nothing", (hostSlice) =>
    expect(ring({ nodes: 3, hostSlice })).toEqual(reference),
  );
  it.each([1, 100])("machine slices of %i instructions change nothing", (chop) =>
    expect(ring({ nodes: 3, chop })).toEqual(reference),
  );
  it("busy cores beside it do not move it", () => expect(ring({ nodes: 3, busy: true }).hops).toEqual(reference.hops));
  it("one node may send to itself", () => {
    const { hops } = ring({ nodes: 1 });
    expect(hops.length).toBeGreaterThan(50);
    expect((hops[1][1] as number) - (hops[0][1] as number)).toBe(FRAME / 10 + 1000 + TO_SEND);
  });
});

describe("switch", () => {
  const frame = (to: number, bytes: number) => {
    const f = new Uint8Array(bytes);
    f.set(mac(to));
    return f;
  };
  const setup = () => {
    const list = new EventList();
    const tracer = new Tracer([list]);
    return { list, tracer, fabric: new Switch([0, 1, 2, 3], tracer, { latencyNs: 1000, bytesPerNs: 10 }) };
  };
  const arrivals = (fabric: Switch, nid: number) => {
    const seen: [number, number][] = [];
    for (let at = fabric.nextArrival(nid); at < Number.POSITIVE_INFINITY; at = fabric.nextArrival(nid))
      seen.push([at, fabric.take(nid, at).length]);
    return seen;
  };
  it("a link carries one frame after the other", () => {
    const { fabric } = setup();
    fabric.send(1, frame(2, 1000), 0);
    fabric.send(1, frame(2, 500), 0);
    fabric.send(1, frame(2, 500), 5000);
    expect(arrivals(fabric, 2)).toEqual([
      [1100, 1000],
      [1200, 500],
      [6050, 500],
    ]);
  });
  it("frames of several senders queue at the receiver's link, in the order of time, nid, counter", () => {
    const { fabric } = setup();
    fabric.send(3, frame(2, 600), 0);
    fabric.send(1, frame(2, 600), 0);
    fabric.send(0, frame(2, 590), 0);
    expect(arrivals(fabric, 2)).toEqual([
      [1059, 590],
      [1118, 600],
      [1178, 600],
    ]);
  });
  it("does not carry what has no destination, and says so", () => {
    const { fabric, tracer, list } = setup();
    fabric.send(1, frame(9, 100), 0);
    fabric.send(1, new Uint8Array([0x52, 0x54, 0, 1, 2, 3, ...new Array(20).fill(0)]), 0);
    fabric.send(1, new Uint8Array(5), 0);
    tracer.end();
    expect(list.events.filter((e) => e.kind === EventKind.LINK_FAULT).map((e) => e.words[0])).toEqual([
      "switch: no link for MAC 02:4d:47:00:00:09",
      "switch: no link for MAC 52:54:00:01:02:03",
      "switch: runt frame of 5 bytes",
    ]);
  });
  it("a broadcast reaches all but its sender", () => {
    const { fabric } = setup();
    fabric.send(1, new Uint8Array(100).fill(0xff), 0);
    expect([0, 1, 2, 3].map((nid) => arrivals(fabric, nid).length)).toEqual([1, 0, 1, 1]);
  });
});
