/**
 * virtio-mmio and virtio-net against OASIS virtio 1.1, with offsets typed from section 4.2.2; and rings of garbage,
 * which must do no harm.
 */
import { describe, expect, it } from "vitest";
import { VirtioMmioSlot } from "../../emulator/devices/virtio-mmio.ts";
import { VirtioNet } from "../../emulator/devices/virtio-net.ts";
import { Prng } from "../../emulator/machine/prng.ts";
import { TestDma, TestHost, TestLine } from "./host.ts";

const QUEUE = 8;
/** Where the tests place the areas of queue q. */
const desc = (q: number) => 0x1000 * (q + 1);
const avail = (q: number) => desc(q) + 0x400;
const used = (q: number) => desc(q) + 0x800;

function card() {
  const host = new TestHost();
  const line = new TestLine();
  const dma = new TestDma(1 << 16);
  const slot = new VirtioMmioSlot(host, dma, line);
  const sent: Uint8Array[] = [];
  const lost: string[] = [];
  const nic = new VirtioNet(slot, dma, new Uint8Array([2, 0x4d, 0x47, 0, 0, 7]), {
    send: (frame) => sent.push(frame),
    lost: (text) => lost.push(text),
  });
  slot.attach(nic);
  return {
    host,
    line,
    dma,
    slot,
    nic,
    sent,
    lost,
    read: (at: number) => slot.read(at, 4),
    write: (at: number, value: number) => slot.write(at, 4, value),
  };
}
type Card = ReturnType<typeof card>;

/** The driver's side of 3.1.1 and 4.2.3.1. */
function start(c: Card): Card {
  const { read, write } = c;
  write(0x70, 0);
  write(0x70, 1);
  write(0x70, 3);
  write(0x24, 0);
  write(0x20, 1 << 5);
  write(0x24, 1);
  write(0x20, 1);
  write(0x70, 11);
  expect(read(0x70)).toBe(11);
  for (const q of [0, 1]) {
    write(0x30, q);
    expect([read(0x44), read(0x34) >= QUEUE]).toEqual([0, true]);
    write(0x38, QUEUE);
    write(0x80, desc(q));
    write(0x90, avail(q));
    write(0xa0, used(q));
    write(0x44, 1);
    expect(read(0x44)).toBe(1);
  }
  write(0x70, 15);
  return c;
}
function describeBuffer(
  { dma }: Card,
  q: number,
  index: number,
  address: number,
  bytes: number,
  flags: number,
  next = 0,
): void {
  const at = desc(q) + 16 * index;
  dma.view.setBigUint64(at, BigInt(address), true);
  dma.view.setUint32(at + 8, bytes, true);
  dma.view.setUint16(at + 12, flags, true);
  dma.view.setUint16(at + 14, next, true);
}
function offer({ dma }: Card, q: number, head: number): void {
  const index = dma.view.getUint16(avail(q) + 2, true);
  dma.view.setUint16(avail(q) + 4 + 2 * (index % QUEUE), head, true);
  dma.view.setUint16(avail(q) + 2, index + 1, true);
}
const usedElements = ({ dma }: Card, q: number) =>
  Array.from({ length: dma.view.getUint16(used(q) + 2, true) }, (_, i) => [
    dma.view.getUint32(used(q) + 4 + 8 * i, true),
    dma.view.getUint32(used(q) + 8 + 8 * i, true),
  ]);

describe("virtio-mmio", () => {
  it("identifies itself; an empty slot has device id 0 and nothing else", () => {
    const c = card();
    expect([c.read(0), c.read(4), c.read(8), c.read(0xc)]).toEqual([0x74726976, 2, 1, 0x554d4551]);
    expect([0, 1, 2, 3, 4, 5].map((i) => c.slot.read(0x100 + i, 1))).toEqual([2, 0x4d, 0x47, 0, 0, 7]);
    const host = new TestHost();
    const empty = new VirtioMmioSlot(host, c.dma, c.line);
    expect([empty.read(0, 4), empty.read(4, 4), empty.read(8, 4)]).toEqual([0x74726976, 2, 0]);
    empty.read(0x70, 4);
    expect(host.reports).toEqual(["virtio-mmio: read of STATUS 0x070"]);
  });
  it("offers MAC and VERSION_1, and refuses a driver that does not take VERSION_1 or takes more", () => {
    const c = card();
    c.write(0x14, 0);
    const low = c.read(0x10);
    c.write(0x14, 1);
    expect([low, c.read(0x10)]).toEqual([1 << 5, 1]);
    c.write(0x70, 3);
    c.write(0x70, 11);
    expect(c.read(0x70)).toBe(3);
    c.write(0x24, 1);
    c.write(0x20, 3);
    c.write(0x70, 11);
    expect([c.read(0x70), c.host.reports.length]).toEqual([3, 2]);
  });
  it("names misuse", () => {
    const c = start(card());
    c.read(0x30);
    c.write(0x04, 1);
    c.write(0x1c, 1);
    c.write(0x38, 4);
    c.write(0x50, 7);
    c.slot.read(0x10a, 4);
    expect(c.host.reports).toEqual([
      "virtio-net: read of write-only QUEUE_SEL 0x030",
      "virtio-net: write to read-only VERSION 0x004",
      "virtio-net: write to unknown register 0x01c",
      "virtio-net: write to QUEUE_NUM of queue 1, which is in use",
      "virtio-net: QUEUE_NOTIFY of queue 7, which is not ready",
      "virtio-net: read of 4 bytes beyond the configuration space, at 0x10a",
    ]);
  });
});

describe("virtio-net", () => {
  it("sends a chain without its header, and interrupts", () => {
    const c = start(card());
    for (let i = 0; i < 100; i++) c.dma.ram[0x8000 + i] = i;
    describeBuffer(c, 1, 0, 0x8000, 20, 1, 3);
    describeBuffer(c, 1, 3, 0x8014, 60, 0);
    offer(c, 1, 0);
    c.write(0x50, 1);
    expect(c.sent.map((frame) => [...frame])).toEqual([Array.from({ length: 68 }, (_, i) => i + 12)]);
    expect([usedElements(c, 1), c.line.level, c.read(0x60)]).toEqual([[[0, 0]], true, 1]);
    c.write(0x64, 1);
    expect([c.line.level, c.read(0x60)]).toEqual([false, 0]);
  });
  it("does not interrupt a driver that asked not to", () => {
    const c = start(card());
    c.dma.view.setUint16(avail(1), 1, true);
    describeBuffer(c, 1, 0, 0x8000, 100, 0);
    offer(c, 1, 0);
    c.write(0x50, 1);
    expect([usedElements(c, 1), c.line.level]).toEqual([[[0, 0]], false]);
  });
  it("receives into a chain behind a 12-byte header with buffer count 1", () => {
    const c = start(card());
    describeBuffer(c, 0, 2, 0x9000, 10, 3, 5);
    describeBuffer(c, 0, 5, 0xa000, 100, 2);
    offer(c, 0, 2);
    c.nic.receive(Uint8Array.from({ length: 64 }, (_, i) => i + 1));
    expect([usedElements(c, 0), c.line.level]).toEqual([[[2, 76]], true]);
    expect([...c.dma.ram.subarray(0x9000, 0x900a)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect([...c.dma.ram.subarray(0xa000, 0xa005)]).toEqual([1, 0, 1, 2, 3]);
    expect(c.dma.ram[0xa000 + 2 + 63]).toBe(64);
    expect(c.dma.ram[0xa000 + 2 + 64]).toBe(0);
  });
  it("keeps frames until a buffer comes", () => {
    const c = start(card());
    c.nic.receive(new Uint8Array(50).fill(7));
    expect(usedElements(c, 0)).toEqual([]);
    describeBuffer(c, 0, 0, 0x9000, 100, 2);
    offer(c, 0, 0);
    c.write(0x50, 0);
    expect([usedElements(c, 0), c.dma.ram[0x9000 + 12]]).toEqual([[[0, 62]], 7]);
  });
  it("drops and reports a frame that is larger than its buffer; the buffer stays", () => {
    const c = start(card());
    describeBuffer(c, 0, 0, 0x9000, 100, 2);
    offer(c, 0, 0);
    c.nic.receive(new Uint8Array(89));
    expect([c.lost, usedElements(c, 0), c.line.level]).toEqual([
      ["virtio-net: frame of 89 bytes does not fit a receive buffer of 100"],
      [],
      false,
    ]);
    c.nic.receive(new Uint8Array(88));
    expect(usedElements(c, 0)).toEqual([[0, 100]]);
  });
  it("loses frames before the driver is ready, and says so", () => {
    const c = card();
    c.nic.receive(new Uint8Array(60));
    expect(c.lost).toEqual(["virtio-net: frame of 60 bytes before the driver is ready"]);
  });
});

describe("broken rings set NEEDS_RESET and are named", () => {
  const broken: [string, RegExp, (c: Card) => void][] = [
    [
      "descriptor outside RAM",
      /descriptor 0 lies outside RAM: 0xfff0, 100 bytes/,
      (c) => {
        describeBuffer(c, 1, 0, 0xfff0, 100, 0);
        offer(c, 1, 0);
      },
    ],
    [
      "address beyond all memory",
      /descriptor 0 lies outside RAM/,
      (c) => {
        describeBuffer(c, 1, 0, 2 ** 52, 100, 0);
        offer(c, 1, 0);
      },
    ],
    [
      "chain that loops",
      /chain from 0 loops/,
      (c) => {
        describeBuffer(c, 1, 0, 0x8000, 10, 1, 1);
        describeBuffer(c, 1, 1, 0x8000, 10, 1, 0);
        offer(c, 1, 0);
      },
    ],
    ["head out of range", /descriptor index 99 in a queue of 8/, (c) => offer(c, 1, 99)],
    [
      "next out of range",
      /descriptor index 8 in a queue of 8/,
      (c) => {
        describeBuffer(c, 1, 0, 0x8000, 10, 1, 8);
        offer(c, 1, 0);
      },
    ],
    [
      "available index far ahead",
      /available index runs 500 ahead/,
      (c) => c.dma.view.setUint16(avail(1) + 2, 500, true),
    ],
    [
      "writable descriptor to send from",
      /writable descriptor in the transmit queue/,
      (c) => {
        describeBuffer(c, 1, 0, 0x8000, 100, 2);
        offer(c, 1, 0);
      },
    ],
    [
      "frame of nothing",
      /transmit chain of 12 bytes/,
      (c) => {
        describeBuffer(c, 1, 0, 0x8000, 12, 0);
        offer(c, 1, 0);
      },
    ],
    [
      "indirect descriptor, never offered",
      /unknown flags 0x4/,
      (c) => {
        describeBuffer(c, 1, 0, 0x8000, 100, 4);
        offer(c, 1, 0);
      },
    ],
  ];
  it.each(broken)("%s", (_, text, breakIt) => {
    const c = start(card());
    breakIt(c);
    c.write(0x50, 1);
    expect(c.host.reports.join("\n")).toMatch(text);
    expect([c.read(0x70) & 0x40, c.read(0x60) & 2, c.sent]).toEqual([0x40, 2, []]);
    start(c);
    expect(c.read(0x70)).toBe(15);
  });
  it("a queue that is no queue cannot be enabled", () => {
    for (const [register, value] of [
      [0x38, 0],
      [0x38, 7],
      [0x38, 4096],
      [0x80, 0x1008],
      [0x84, 1],
      [0xa0, 0xfffc],
    ]) {
      const c = card();
      c.write(0x70, 11);
      for (const [at, sane] of [
        [0x38, 8],
        [0x80, 0x1000],
        [0x90, 0x1400],
        [0xa0, 0x1800],
        [register, value],
      ])
        c.write(at, sane);
      c.write(0x44, 1);
      expect([c.read(0x44), c.read(0x70) & 0x40]).toEqual([0, 0x40]);
    }
  });
  it("random rings and registers never touch anything outside RAM", () => {
    const seed = Number(process.env.SEED ?? 20070329);
    const prng = new Prng(seed);
    let frames = 0;
    try {
      for (let round = 0; round < 300; round++) {
        const c = start(card());
        for (let i = 0; i < QUEUE; i++)
          for (const q of [0, 1]) describeBuffer(c, q, i, 0x8000 + 256 * i, 100, q === 0 ? 2 : 0);
        for (let step = 0; step < 40; step++) {
          const q = prng.below(2);
          // biome-ignore format: one case a row
          switch (prng.below(20)) {
            case 0: c.dma.ram.set(prng.bytes(16), desc(q) + 16 * prng.below(QUEUE)); break;
            case 1: c.dma.ram.set(prng.bytes(4), avail(q) + prng.below(24)); break;
            case 2: c.write(4 * prng.below(128), prng.chance(1, 2) ? prng.below(16) : prng.next()); break;
            case 3: c.nic.receive(prng.bytes(14 + prng.below(300))); break;
            case 4: describeBuffer(c, q, prng.below(QUEUE), 0x8000 + prng.below(0x9000), prng.below(200), prng.below(4), prng.below(QUEUE + 1)); break;
            case 5: case 6: case 7: case 8: case 9:
              describeBuffer(c, q, prng.below(QUEUE), 0x8000 + prng.below(0x7000), 26 + prng.below(200), q === 0 ? 2 : 0);
              break;
            default: offer(c, q, prng.below(QUEUE)); c.write(0x50, q);
          }
        }
        frames += c.sent.length;
      }
    } catch (error) {
      throw new Error(`seed ${seed}: ${String(error)}; replay: SEED=${seed} npx vitest run tests/devices/virtio`, {
        cause: error,
      });
    }
    expect(frames).toBeGreaterThan(50);
  });
});
