/**
 * The local APIC against the Intel SDM, volume 3A, chapter 11. Offsets and values are typed from the manual, not taken
 * from kernel/abi.
 */
import { describe, expect, it } from "vitest";
import { TestLapicBus } from "./host.ts";

// biome-ignore format: SDM table 11-1
const R = { ID: 0x20, VERSION: 0x30, TPR: 0x80, APR: 0x90, PPR: 0xa0, EOI: 0xb0, LDR: 0xd0, DFR: 0xe0, SVR: 0xf0, ISR: 0x100, TMR: 0x180, IRR: 0x200, ESR: 0x280, ICR_LOW: 0x300, ICR_HIGH: 0x310, LVT_TIMER: 0x320, LVT_ERROR: 0x370, INITIAL: 0x380, CURRENT: 0x390, DIVIDE: 0x3e0 };

function enabled(cores = 1) {
  const bus = new TestLapicBus(cores);
  for (const lapic of bus.lapics) lapic.write(R.SVR, 4, 0x1ff);
  const apic = bus.lapics[0];
  return {
    bus,
    apic,
    read: (offset: number) => apic.read(offset, 4),
    write: (offset: number, value: number) => apic.write(offset, 4, value),
  };
}

describe("reset state (11.4.7.1)", () => {
  it.each([
    [R.TPR, 0],
    [R.PPR, 0],
    [R.LDR, 0],
    [R.DFR, 0xffffffff],
    [R.SVR, 0xff],
    [R.LVT_TIMER, 0x10000],
    [0x350, 0x10000],
    [0x360, 0x10000],
    [R.LVT_ERROR, 0x10000],
    [R.INITIAL, 0],
    [R.CURRENT, 0],
    [R.DIVIDE, 0],
    [R.VERSION, 0x50014],
  ])("register 0x%s", (offset, value) => {
    expect(new TestLapicBus(1).lapics[0].read(offset, 4)).toBe(value);
  });
  it("the id is in bits 31–24", () => expect(new TestLapicBus(4).lapics[3].read(R.ID, 4)).toBe(0x03000000));
});

describe("acceptance and priority (11.8)", () => {
  it("an interrupt goes IRR → ISR → out by EOI", () => {
    const { bus, apic, read, write } = enabled();
    apic.accept(0x51, false);
    expect(read(R.IRR + 0x20)).toBe(1 << 17);
    expect(apic.pendingVector()).toBe(0x51);
    apic.acknowledge(0x51);
    expect([read(R.IRR + 0x20), read(R.ISR + 0x20), read(R.PPR)]).toEqual([0, 1 << 17, 0x50]);
    write(R.EOI, 0);
    expect([read(R.ISR + 0x20), read(R.PPR)]).toEqual([0, 0]);
    expect(bus.ended).toEqual([0x51]);
  });
  it("only a higher class interrupts one in service; EOI ends the highest", () => {
    const { bus, apic, write } = enabled();
    apic.accept(0x51, false);
    apic.acknowledge(0x51);
    apic.accept(0x5f, false);
    expect(apic.pendingVector()).toBe(-1);
    apic.accept(0x60, false);
    expect(apic.pendingVector()).toBe(0x60);
    apic.acknowledge(0x60);
    write(R.EOI, 0);
    expect(apic.pendingVector()).toBe(-1);
    write(R.EOI, 0);
    expect(apic.pendingVector()).toBe(0x5f);
    expect(bus.ended).toEqual([0x60, 0x51]);
  });
  it("the task priority holds back its class and those below", () => {
    const { apic, write, read } = enabled();
    apic.accept(0x45, false);
    write(R.TPR, 0x40);
    expect([apic.pendingVector(), read(R.PPR)]).toEqual([-1, 0x40]);
    write(R.TPR, 0x3f);
    expect(apic.pendingVector()).toBe(0x45);
    apic.taskPriorityClass = 0xf;
    expect([apic.pendingVector(), read(R.TPR)]).toEqual([-1, 0xf0]);
  });
  it("two of the same vector merge; one more waits while one is in service", () => {
    const { apic, write } = enabled();
    apic.accept(0x70, false);
    apic.accept(0x70, false);
    apic.acknowledge(0x70);
    expect(apic.pendingVector()).toBe(-1);
    apic.accept(0x70, false);
    write(R.EOI, 0);
    expect(apic.pendingVector()).toBe(0x70);
  });
  it("the EOI of a level-triggered interrupt is broadcast, that of an edge is not (11.8.5)", () => {
    const { bus, apic, read, write } = enabled();
    for (const level of [true, false]) {
      apic.accept(0x34, level);
      expect(read(R.TMR + 0x10)).toBe(level ? 1 << 20 : 0);
      apic.acknowledge(0x34);
      write(R.EOI, 0);
    }
    expect(bus.broadcasts).toEqual([0x34]);
  });
  it("a disabled APIC takes no fixed interrupt and masks its LVT (11.4.7.2)", () => {
    const apic = new TestLapicBus(1).lapics[0];
    apic.accept(0x50, false);
    expect(apic.read(R.IRR + 0x20, 4)).toBe(0);
    apic.write(R.LVT_TIMER, 4, 0xe0);
    expect(apic.read(R.LVT_TIMER, 4)).toBe(0x100e0);
  });
});

describe("interrupt command (11.6)", () => {
  const four = () => enabled(4);
  // biome-ignore format: ICR high, low → mode in place, vector, targets
  const commands: [string, number, number, number, number, number[]][] = [
    ["fixed, physical",          2 << 24,    0x000040f1, 0x000, 0xf1, [2]],
    ["fixed, physical broadcast", 0xff << 24 >>> 0, 0x000040f1, 0x000, 0xf1, [0, 1, 2, 3]],
    ["self",                     0,          0x000440f2, 0x000, 0xf2, [0]],
    ["all",                      0,          0x000840f2, 0x000, 0xf2, [0, 1, 2, 3]],
    ["all but self",             0,          0x000c40f2, 0x000, 0xf2, [1, 2, 3]],
    ["NMI",                      1 << 24,    0x00004400, 0x400, 0x00, [1]],
    ["INIT",                     3 << 24,    0x00004500, 0x500, 0x00, [3]],
    ["SIPI to all but self",     0,          0x000c4608, 0x600, 0x08, [1, 2, 3]],
  ];
  it.each(commands)("%s", (_, high, low, mode, vector, targets) => {
    const { bus, write } = four();
    write(R.ICR_HIGH, high);
    write(R.ICR_LOW, low);
    expect(bus.sent).toEqual([{ source: 0, targets, mode, vector }]);
    expect(bus.reports).toEqual([]);
  });
  it("logical destinations, flat and cluster (11.6.2.2)", () => {
    const { bus, write } = four();
    bus.lapics.forEach((apic, i) => void apic.write(R.LDR, 4, (1 << i) << 24));
    write(R.ICR_HIGH, 0b1010 << 24);
    write(R.ICR_LOW, 0x48f1);
    for (const apic of bus.lapics) apic.write(R.DFR, 4, 0x0fffffff);
    bus.lapics.forEach((apic, i) => void apic.write(R.LDR, 4, (((i >> 1) << 4) | (1 << (i & 1))) << 24));
    write(R.ICR_HIGH, 0x12 << 24);
    write(R.ICR_LOW, 0x48f1);
    expect(bus.sent.map((message) => message.targets)).toEqual([[1, 3], [3]]);
  });
  it("lowest priority picks the core with the lowest processor priority", () => {
    const { bus, write } = four();
    [0x40, 0x30, 0x10, 0x20].forEach((priority, i) => void bus.lapics[i].write(R.TPR, 4, priority));
    write(R.ICR_LOW, 0x000c4100 | 0x55);
    expect(bus.sent[0]).toMatchObject({ targets: [2], vector: 0x55 });
  });
  it("INIT level de-assert does nothing", () => {
    const { bus, write } = four();
    write(R.ICR_LOW, 0x000c8500);
    expect([bus.sent, bus.reports]).toEqual([[], []]);
  });
  it("illegal vectors set the error status (11.5.3)", () => {
    const { bus, read, write } = four();
    write(R.ICR_LOW, 0x4005);
    write(R.ESR, 0);
    expect(read(R.ESR)).toBe(0x20);
    bus.lapics[0].accept(3, false);
    write(R.ESR, 0);
    expect(read(R.ESR)).toBe(0x40);
    write(R.ESR, 0);
    expect(read(R.ESR)).toBe(0);
  });
});

describe("timer (11.5.4)", () => {
  it("one-shot: once, and the count stays 0", () => {
    const { bus, apic, read, write } = enabled();
    bus.now = 500;
    write(R.DIVIDE, 0xb);
    write(R.LVT_TIMER, 0xe0);
    write(R.INITIAL, 1000);
    expect(apic.timerNext).toBe(1500);
    bus.now = 900;
    expect(read(R.CURRENT)).toBe(600);
    bus.now = 1500;
    apic.timerExpired();
    expect([apic.pendingVector(), apic.timerNext, read(R.CURRENT)]).toEqual([0xe0, Number.POSITIVE_INFINITY, 0]);
  });
  it("periodic: at every period, and the count reloads", () => {
    const { bus, apic, read, write } = enabled();
    write(R.DIVIDE, 0xb);
    write(R.LVT_TIMER, 0x200e0);
    write(R.INITIAL, 300);
    for (const at of [300, 600, 900]) {
      expect(apic.timerNext).toBe(at);
      bus.now = at;
      apic.timerExpired();
    }
    bus.now = 1000;
    expect(read(R.CURRENT)).toBe(200);
  });
  // biome-ignore format: figure 11-10
  it.each([[0x0, 2], [0x1, 4], [0x2, 8], [0x3, 16], [0x8, 32], [0x9, 64], [0xa, 128], [0xb, 1]])("divide configuration 0x%s divides by %s", (code, divisor) => {
    const { apic, write } = enabled();
    write(R.DIVIDE, code);
    write(R.LVT_TIMER, 0xe0);
    write(R.INITIAL, 100);
    expect(apic.timerNext).toBe(100 * divisor);
  });
  it("writing 0 stops it, masking silences it, unmasking goes on with the period", () => {
    const { bus, apic, write } = enabled();
    write(R.DIVIDE, 0xb);
    write(R.LVT_TIMER, 0x200e0);
    write(R.INITIAL, 100);
    write(R.LVT_TIMER, 0x300e0);
    expect(apic.timerNext).toBe(Number.POSITIVE_INFINITY);
    bus.now = 250;
    write(R.LVT_TIMER, 0x200e0);
    expect(apic.timerNext).toBe(300);
    write(R.INITIAL, 0);
    expect(apic.timerNext).toBe(Number.POSITIVE_INFINITY);
  });
});

describe("misuse is named", () => {
  it.each([
    [(a: ReturnType<typeof enabled>) => a.write(R.VERSION, 1), "lapic: write to read-only VERSION 0x030"],
    [(a: ReturnType<typeof enabled>) => a.write(R.PPR, 1), "lapic: write to read-only PPR 0x0a0"],
    [(a: ReturnType<typeof enabled>) => a.write(R.IRR + 0x30, 1), "lapic: write to read-only IRR 0x230"],
    [(a: ReturnType<typeof enabled>) => a.write(R.CURRENT, 1), "lapic: write to read-only TIMER_CURRENT 0x390"],
    [(a: ReturnType<typeof enabled>) => a.write(R.EOI, 0), "lapic: EOI with nothing in service"],
    [(a: ReturnType<typeof enabled>) => a.write(0x3b0, 0), "lapic: write to unknown register 0x3b0"],
    [(a: ReturnType<typeof enabled>) => a.read(0x40), "lapic: read of unknown register 0x040"],
    [(a: ReturnType<typeof enabled>) => a.read(R.EOI), "lapic: read of write-only EOI 0x0b0"],
    [
      (a: ReturnType<typeof enabled>) => a.apic.write(R.EOI, 1, 0),
      "lapic: write of 1 bytes at 0x0b0: registers are 4 bytes on 16-byte boundaries",
    ],
    [
      (a: ReturnType<typeof enabled>) => a.write(R.ICR_LOW, 0x00044400),
      "lapic: ICR with delivery mode 0x400 to a shorthand that includes the sender",
    ],
    [
      (a: ReturnType<typeof enabled>) => {
        a.write(R.ICR_HIGH, 9 << 24);
        a.write(R.ICR_LOW, 0x40f1);
      },
      "lapic: ICR to destination 0x9 that no core has",
    ],
  ])("%#", (act, text) => {
    const a = enabled();
    act(a);
    expect(a.bus.reports).toEqual([text]);
  });
});
