/**
 * The local APIC by exhaustion, against the Intel SDM, volume 3A, chapter 11: every register at every offset, every LVT
 * entry, every delivery mode with every shorthand and destination mode among 64 cores, priorities against a model typed
 * from the manual, the timer in both modes with every divisor. Offsets and values are typed from the manual, not taken
 * from kernel/abi.
 */
import { describe, expect, it } from "vitest";
import { Prng } from "../../emulator/machine/prng.ts";
import { TestLapicBus } from "./host.ts";

const CORES = 64;
function machine(cores = CORES) {
  const bus = new TestLapicBus(cores);
  for (const lapic of bus.lapics) lapic.write(0xf0, 4, 0x1ff);
  return bus;
}
const one = () => {
  const bus = machine(1);
  const apic = bus.lapics[0]!;
  return {
    bus,
    apic,
    read: (at: number) => apic.read(at, 4),
    write: (at: number, value: number) => apic.write(at, 4, value),
  };
};

describe("every offset (table 11-1)", () => {
  // biome-ignore format: the table, readable and writable registers of xAPIC mode without AMD's extensions, CMCI and self IPI
  const readable = new Set([0x20, 0x30, 0x80, 0x90, 0xa0, 0xd0, 0xe0, 0xf0, 0x280, 0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x390, 0x3e0,
    ...Array.from({ length: 24 }, (_, i) => 0x100 + 16 * i)]);
  const writable = new Set([
    0x80, 0xb0, 0xd0, 0xe0, 0xf0, 0x280, 0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3e0,
  ]);
  it("reads what the table lists, reports and flags the rest as illegal register", () => {
    for (let at = 0; at < 0x1000; at += 16) {
      const { bus, read, write } = one();
      const value = read(at);
      expect(bus.reports.length, `read 0x${at.toString(16)}`).toBe(readable.has(at) ? 0 : 1);
      if (readable.has(at)) continue;
      expect(value).toBe(0);
      // The EOI and remote read registers exist; an access to a missing register sets bit 7 of the ESR.
      write(0x280, 0);
      if (at !== 0xb0 && at !== 0xc0) expect(read(0x280), `ESR after 0x${at.toString(16)}`).toBe(0x80);
    }
  });
  it("writes what the table lists, reports the rest as read-only or unknown", () => {
    for (let at = 0; at < 0x1000; at += 16) {
      const { bus, write, apic } = one();
      if (at === 0xb0) {
        apic.accept(0x50, false);
        apic.acknowledge(0x50);
      }
      write(at, at === 0x300 ? 0x40050 : 0);
      expect(bus.reports.length, `write 0x${at.toString(16)}`).toBe(writable.has(at) ? 0 : 1);
      if (!writable.has(at))
        expect(bus.reports[0]).toMatch(
          readable.has(at)
            ? /^lapic: write to read-only [A-Z_]+ 0x/
            : /^lapic: write to (unknown register|read-only RRD) 0x/,
        );
    }
  });
  it("takes aligned accesses of 4 bytes only (11.4.1)", () => {
    const { bus, apic } = one();
    for (const [at, size] of [
      [0x80, 1],
      [0x80, 2],
      [0x81, 4],
      [0x84, 4],
      [0x8c, 4],
    ] as const) {
      apic.read(at, size);
      apic.write(at, size, 0x55);
    }
    expect(bus.reports).toHaveLength(10);
    expect(apic.read(0x80, 4)).toBe(0);
  });
});

describe("reserved bits read as 0 (figures 11-4 … 11-23)", () => {
  // biome-ignore format: register, what is written, what a read then gives
  it.each([
    ["TPR",           0x80,  0xffffffff, 0x000000ff],
    ["LDR",           0xd0,  0xffffffff, 0xff000000],
    ["DFR",           0xe0,  0x00000000, 0x0fffffff],
    ["SVR",           0xf0,  0xffffffff, 0x000003ff],
    ["ICR_HIGH",      0x310, 0xffffffff, 0xff000000],
    // Self, physical, edge, fixed, vector ff, and every reserved bit: 31–20, 17–16, 13, and delivery status 12.
    ["ICR_LOW",       0x300, 0xfff730ff, 0x000400ff],
    ["LVT_TIMER",     0x320, 0xfffbffff, 0x000300ff],
    ["LVT_THERMAL",   0x330, 0xffffffff, 0x000107ff],
    ["LVT_PMC",       0x340, 0xffffffff, 0x000107ff],
    ["LVT_LINT0",     0x350, 0xffffffff, 0x0001a7ff],
    ["LVT_LINT1",     0x360, 0xffffffff, 0x0001a7ff],
    ["LVT_ERROR",     0x370, 0xffffffff, 0x000100ff],
    ["TIMER_INITIAL", 0x380, 0xffffffff, 0xffffffff],
    ["TIMER_DIVIDE",  0x3e0, 0xffffffff, 0x0000000b],
  ])("%s", (_name, at, written, expected) => {
    const { read, write } = one();
    write(at, written >>> 0);
    expect(read(at)).toBe(expected);
  });
  it("a LAPIC that is disabled by software keeps every LVT entry masked, and sends no fixed interrupt (11.4.7.2)", () => {
    const { apic, read, write } = one();
    for (const at of [0x320, 0x330, 0x340, 0x350, 0x360, 0x370]) write(at, 0x40);
    write(0xf0, 0xff);
    for (const at of [0x320, 0x330, 0x340, 0x350, 0x360, 0x370]) {
      expect(read(at)).toBe(0x10040);
      write(at, 0x41);
      expect(read(at)).toBe(0x10041);
    }
    apic.accept(0x60, false);
    expect(apic.pendingVector()).toBe(-1);
    // When the LAPIC is enabled again, the masks stay until software clears them.
    write(0xf0, 0x1ff);
    expect([0x320, 0x350, 0x370].map(read)).toEqual([0x10041, 0x10041, 0x10041]);
  });
  it("INIT brings the reset state, and keeps the id (11.4.7.3)", () => {
    const bus = machine(8);
    const apic = bus.lapics[5]!;
    const fresh = JSON.stringify(new TestLapicBus(8).lapics[5]!.state());
    for (const [at, value] of [
      [0x80, 0x33],
      [0xd0, 0x20 << 24],
      [0xe0, 0],
      [0x320, 0x200e0],
      [0x380, 1000],
      [0x3e0, 0xb],
      [0x310, 7 << 24],
      [0x370, 0x40],
    ] as const)
      apic.write(at, 4, value >>> 0);
    apic.accept(0x51, true);
    apic.acknowledge(0x51);
    apic.accept(0x91, false);
    apic.read(0x40, 4);
    expect(JSON.stringify(apic.state())).not.toBe(fresh);
    apic.reset();
    expect(JSON.stringify(apic.state())).toBe(fresh);
    expect([apic.read(0x20, 4), apic.pendingVector(), apic.inService]).toEqual([0x0500_0000, -1, -1]);
  });
});

describe("priorities (11.8.3) against the manual's rules, at random", () => {
  /** Table 11-2 and 11.8.3.1, over sets of vectors. */
  class Model {
    readonly irr = new Set<number>();
    readonly isr = new Set<number>();
    tpr = 0;
    private static highest = (set: ReadonlySet<number>): number => Math.max(-1, ...set);
    get ppr(): number {
      const isrv = Math.max(0, Model.highest(this.isr));
      // "PPR[7:4] = max(TPR[7:4], ISRV[7:4]); PPR[3:0] = TPR[3:0] if TPR[7:4] >= ISRV[7:4], else 0."
      return this.tpr >> 4 >= isrv >> 4 ? this.tpr : isrv & 0xf0;
    }
    get pending(): number {
      const vector = Model.highest(this.irr);
      return vector >= 0 && vector >> 4 > this.ppr >> 4 ? vector : -1;
    }
    end(): number {
      const vector = Model.highest(this.isr);
      this.isr.delete(vector);
      return vector;
    }
  }
  it.each([1, 2, 3, 4, 5])("seed %i", (seed) => {
    const random = new Prng(seed);
    const { bus, apic, read, write } = one();
    const model = new Model();
    const ended: number[] = [];
    for (let step = 0; step < 4000; step++) {
      const what = `seed ${seed}, step ${step}`;
      switch (random.below(5)) {
        case 0:
        case 1: {
          const vector = 16 + random.below(240);
          apic.accept(vector, random.chance(1, 2));
          model.irr.add(vector);
          break;
        }
        case 2:
          model.tpr = random.chance(1, 2) ? 0 : random.below(256);
          write(0x80, model.tpr);
          break;
        case 3:
          if (model.pending < 0) break;
          apic.acknowledge(model.pending);
          model.isr.add(model.pending);
          model.irr.delete(Math.max(...model.irr));
          break;
        case 4:
          if (model.isr.size === 0) break;
          ended.push(model.end());
          write(0xb0, 0);
      }
      expect([apic.pendingVector(), read(0xa0), apic.inService], what).toEqual([
        model.pending,
        model.ppr,
        Math.max(-1, ...model.isr),
      ]);
      const bank = random.below(8);
      const bits = (set: ReadonlySet<number>): number =>
        [...set].filter((v) => v >> 5 === bank).reduce((sum, v) => sum + 2 ** (v & 31), 0);
      expect(
        [read(0x100 + 16 * bank), read(0x200 + 16 * bank)].map((v) => v >>> 0),
        what,
      ).toEqual([bits(model.isr), bits(model.irr)]);
    }
    expect(bus.ended).toEqual(ended);
    expect(bus.reports).toEqual([]);
  });
});

describe("64 cores", () => {
  // ICR fields, figure 11-12.
  const FIXED = 0x000;
  const LOWEST = 0x100;
  const NMI = 0x400;
  const INIT = 0x500;
  const SIPI = 0x600;
  const LOGICAL = 0x800;
  const ASSERT = 0x4000;
  const all = Array.from({ length: CORES }, (_, i) => i);
  function send(bus: TestLapicBus, source: number, low: number, destination = 0) {
    bus.lapics[source]!.write(0x310, 4, (destination << 24) >>> 0);
    bus.lapics[source]!.write(0x300, 4, low);
    const sent = bus.sent.splice(0);
    expect(sent.length).toBeLessThanOrEqual(1);
    return sent[0];
  }

  it("each has its id, and is reached by it from every other, in every mode", () => {
    const bus = machine();
    expect(bus.lapics.map((apic) => apic.read(0x20, 4) >>> 24)).toEqual(all);
    for (const [mode, vector] of [
      [FIXED, 0x81],
      [LOWEST, 0x82],
      [NMI, 0],
      [INIT, 0],
      [SIPI, 0x08],
    ] as const)
      for (const source of [0, 1, 31, 32, 63])
        for (const target of all)
          expect(send(bus, source, ASSERT | mode | vector, target)).toEqual({
            source,
            targets: [target],
            mode,
            vector,
          });
    expect(bus.reports).toEqual([]);
  });
  it("physical destination ff is everybody; ids that nobody has are reported", () => {
    const bus = machine();
    expect(send(bus, 7, ASSERT | 0x90, 0xff)!.targets).toEqual(all);
    for (const nobody of [64, 100, 254]) expect(send(bus, 7, ASSERT | 0x90, nobody)).toBeUndefined();
    expect(bus.reports).toHaveLength(3);
  });
  it("shorthands, from every core: self, all, all but self (table 11-3)", () => {
    const bus = machine();
    for (const source of all) {
      expect(send(bus, source, ASSERT | 0x40000 | 0x91)!.targets).toEqual([source]);
      expect(send(bus, source, ASSERT | 0x80000 | 0x91)!.targets).toEqual(all);
      for (const mode of [FIXED, NMI, INIT, SIPI]) {
        const vector = mode === FIXED || mode === SIPI ? 0x91 : 0;
        expect(send(bus, source, ASSERT | 0xc0000 | mode | vector)!.targets).toEqual(
          all.filter((core) => core !== source),
        );
      }
    }
    expect(bus.reports).toEqual([]);
  });
  // Table 11-3: valid combinations for Pentium 4 and later. Fixed may go anywhere; the others not to self or all
  // including self.
  it.each([
    [LOWEST, 0x40000, false],
    [NMI, 0x40000, false],
    [INIT, 0x40000, false],
    [SIPI, 0x40000, false],
    [LOWEST, 0x80000, false],
    [INIT, 0x80000, false],
    [SIPI, 0x80000, false],
  ])("delivery mode 0x%s with shorthand 0x%s is refused and named", (mode, shorthand) => {
    const bus = machine();
    expect(send(bus, 3, ASSERT | shorthand | mode | 0x50)).toBeUndefined();
    expect(bus.reports).toHaveLength(1);
    expect(bus.reports[0]).toMatch(/^lapic: ICR with delivery mode/);
  });
  it.each([0x200, 0x300, 0x700])("delivery mode 0x%s (SMI, reserved, ExtINT) is refused and named", (mode) => {
    const bus = machine();
    expect(send(bus, 3, ASSERT | mode, 4)).toBeUndefined();
    expect(bus.reports).toEqual([`lapic: ICR with unsupported delivery mode 0x${mode.toString(16)}`]);
  });
  it("flat model: eight bits, any set of them (11.6.2.2)", () => {
    const bus = machine();
    // Eight groups of eight cores.
    for (const apic of bus.lapics) apic.write(0xd0, 4, ((1 << (apic.core & 7)) << 24) >>> 0);
    for (let mask = 1; mask < 256; mask++)
      expect(send(bus, 0, ASSERT | LOGICAL | 0x92, mask)!.targets).toEqual(
        all.filter((core) => ((mask >> (core & 7)) & 1) !== 0),
      );
  });
  it("cluster model: 15 clusters of four, 60 cores; cluster f is all of them", () => {
    const bus = machine();
    for (const apic of bus.lapics) {
      apic.write(0xe0, 4, 0x0fff_ffff);
      apic.write(0xd0, 4, apic.core < 60 ? (((apic.core >> 2) << 28) | (1 << ((apic.core & 3) + 24))) >>> 0 : 0);
    }
    for (let cluster = 0; cluster < 15; cluster++)
      for (let mask = 1; mask < 16; mask++)
        expect(send(bus, 9, ASSERT | LOGICAL | 0x93, (cluster << 4) | mask)!.targets).toEqual(
          all.filter((core) => core < 60 && core >> 2 === cluster && ((mask >> (core & 3)) & 1) !== 0),
        );
    expect(send(bus, 9, ASSERT | LOGICAL | 0x93, 0xf5)!.targets).toEqual(
      all.filter((core) => core < 60 && (core & 1) === 0),
    );
    expect(bus.reports).toEqual([]);
  });
  it("lowest priority goes to the core with the lowest processor priority, in service included (11.6.2.4)", () => {
    const bus = machine();
    for (const apic of bus.lapics) apic.write(0x80, 4, 0x80 + ((apic.core * 7) % 64));
    bus.lapics[40]!.write(0x80, 4, 0x20);
    bus.lapics[41]!.write(0x80, 4, 0x10);
    expect(send(bus, 0, ASSERT | LOWEST | 0x94, 0xff)!.targets).toEqual([41]);
    bus.lapics[41]!.accept(0x75, false);
    bus.lapics[41]!.acknowledge(0x75);
    expect(send(bus, 0, ASSERT | LOWEST | 0x94, 0xff)!.targets).toEqual([40]);
  });
});

describe("timer (11.5.4): every divisor in both modes", () => {
  // Divide configuration register, bits 3, 1, 0 (figure 11-10).
  const divisors = [
    [0b0000, 2],
    [0b0001, 4],
    [0b0010, 8],
    [0b0011, 16],
    [0b1000, 32],
    [0b1001, 64],
    [0b1010, 128],
    [0b1011, 1],
  ] as const;
  it.each(divisors)("configuration %i divides by %i: count and expiry of one shot", (code, divisor) => {
    for (const initial of [1, 3, 1000, 0xffff_ffff]) {
      const { bus, apic, read, write } = one();
      bus.now = 12_345;
      write(0x3e0, code);
      write(0x320, 0xe0);
      write(0x380, initial);
      const expiry = 12_345 + initial * divisor;
      expect([read(0x390), apic.timerNext]).toEqual([initial, expiry]);
      // One tick less after `divisor` ns, and not before.
      bus.now += divisor - 1;
      expect(read(0x390)).toBe(initial);
      bus.now += 1;
      expect(read(0x390)).toBe(initial - 1);
      bus.now = expiry;
      apic.timerExpired();
      bus.now += 10 * divisor;
      expect([apic.pendingVector(), read(0x390), apic.timerNext]).toEqual([0xe0, 0, Number.POSITIVE_INFINITY]);
    }
  });
  it.each(divisors)("configuration %i divides by %i: periods reload the count", (code, divisor) => {
    for (const initial of [1, 3, 1000]) {
      const { bus, apic, read, write } = one();
      bus.now = 777;
      write(0x3e0, code);
      write(0x320, 0x200e0);
      write(0x380, initial);
      for (let period = 1; period <= 5; period++) {
        expect(apic.timerNext).toBe(777 + period * initial * divisor);
        bus.now = apic.timerNext;
        apic.timerExpired();
        expect(read(0x390)).toBe(initial);
        bus.now += divisor;
        expect(read(0x390)).toBe(initial === 1 ? 1 : initial - 1);
      }
    }
  });
  it("a masked timer counts and does not interrupt; a one-shot that ran out meanwhile stays silent", () => {
    const { bus, apic, read, write } = one();
    write(0x3e0, 0xb);
    write(0x320, 0x100e0);
    write(0x380, 100);
    bus.now = 60;
    expect([read(0x390), apic.timerNext]).toEqual([40, Number.POSITIVE_INFINITY]);
    bus.now = 200;
    write(0x320, 0xe0);
    expect([read(0x390), apic.timerNext, apic.pendingVector()]).toEqual([0, Number.POSITIVE_INFINITY, -1]);
  });
  it("a write of the initial count starts anew, one of 0 stops; a new divisor takes over at the present count", () => {
    const { bus, apic, read, write } = one();
    write(0x3e0, 0xb);
    write(0x320, 0xe0);
    write(0x380, 100);
    bus.now = 90;
    write(0x380, 100);
    expect(apic.timerNext).toBe(190);
    bus.now = 150;
    write(0x3e0, 0x2);
    expect([read(0x390), apic.timerNext]).toEqual([40, 150 + 40 * 8]);
    write(0x380, 0);
    expect([read(0x390), apic.timerNext]).toEqual([0, Number.POSITIVE_INFINITY]);
  });
  it("a vector below 16 in the timer's entry is an illegal vector received (11.5.3)", () => {
    const { bus, apic, read, write } = one();
    write(0x3e0, 0xb);
    write(0x320, 0x0f);
    write(0x380, 10);
    bus.now = 10;
    apic.timerExpired();
    write(0x280, 0);
    expect([apic.pendingVector(), read(0x280)]).toEqual([-1, 0x40]);
  });
});

describe("error status and its interrupt (11.5.3)", () => {
  it("collects until it is written; the entry interrupts if it is not masked", () => {
    const { apic, bus, read, write } = one();
    read(0x40);
    expect([read(0x280), apic.pendingVector()]).toEqual([0, -1]);
    write(0x370, 0xfe);
    apic.accept(5, false);
    expect(apic.pendingVector()).toBe(0xfe);
    write(0x300, 0x4003);
    expect(read(0x280)).toBe(0);
    write(0x280, 0xffff_ffff);
    expect(read(0x280)).toBe(0x80 | 0x40 | 0x20);
    write(0x280, 0);
    expect(read(0x280)).toBe(0);
    expect(bus.reports).toHaveLength(2);
  });
});
