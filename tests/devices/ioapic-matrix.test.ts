/**
 * The I/O APIC by exhaustion, against the Intel 82093AA data sheet, section 3.2: every register index, every pin with
 * every delivery mode, mask and trigger, and random lines, masks and EOIs against a model of a level-triggered input.
 * Values are copied from the data sheet.
 */
import { describe, expect, it } from "vitest";
import { IoApic, type IoapicBus } from "../../emulator/devices/ioapic.ts";
import { Prng } from "../../emulator/machine/prng.ts";
import { TestHost } from "./host.ts";

const PINS = 24;
interface Delivery {
  readonly destination: number;
  readonly logical: boolean;
  readonly mode: number;
  readonly vector: number;
  readonly level: boolean;
}
class Bus extends TestHost implements IoapicBus {
  readonly delivered: Delivery[] = [];
  deliverExternal(destination: number, logical: boolean, mode: number, vector: number, level: boolean): void {
    this.delivered.push({ destination, logical, mode, vector, level });
  }
}
function setup() {
  const bus = new Bus();
  const apic = new IoApic(bus);
  return {
    bus,
    apic,
    read: (register: number) => {
      apic.write(0x00, 4, register);
      return apic.read(0x10, 4);
    },
    write: (register: number, value: number) => {
      apic.write(0x00, 4, register);
      apic.write(0x10, 4, value >>> 0);
    },
    delivered: () => bus.delivered.splice(0),
  };
}
const low = (pin: number): number => 0x10 + 2 * pin;
const high = (pin: number): number => 0x11 + 2 * pin;

describe("register indices (3.2)", () => {
  it("00 id, 01 version, 02 arbitration, 10–3f redirection; everything else is unknown", () => {
    for (let index = 0; index < 256; index++) {
      const { bus, read, write } = setup();
      read(index);
      const known = index <= 2 || (index >= 0x10 && index <= 0x3f);
      expect(bus.reports.length, `read ${index}`).toBe(known ? 0 : 1);
      bus.reports.length = 0;
      write(index, 0);
      const writable = index === 0 || (index >= 0x10 && index <= 0x3f);
      expect(bus.reports.length, `write ${index}`).toBe(writable ? 0 : 1);
      if (!writable) expect(bus.reports[0]).toMatch(known ? /write to read-only/ : /write to unknown register/);
    }
  });
  it("the id has bits 27–24; entries: reserved bits, delivery status (12) and remote IRR (14) are not written", () => {
    const { read, write } = setup();
    write(0, 0xffff_ffff);
    expect(read(0)).toBe(0x0f00_0000);
    for (let pin = 0; pin < PINS; pin++) {
      write(low(pin), 0xffff_ffff);
      write(high(pin), 0xffff_ffff);
      expect([read(low(pin)), read(high(pin))]).toEqual([0x0001_afff, 0xff00_0000]);
      write(low(pin), 0x0001_0000);
      expect(read(low(pin))).toBe(0x0001_0000);
    }
  });
});

describe("every pin", () => {
  it.each(Array.from({ length: PINS }, (_, pin) => pin))("%i: modes, destinations, masks, triggers", (pin) => {
    const { apic, read, write, delivered } = setup();
    for (const mode of [0x000, 0x100, 0x200, 0x400, 0x500, 0x700])
      for (const logical of [false, true])
        for (const level of [false, true])
          for (const masked of [false, true]) {
            const vector = 0x30 + pin;
            const destination = (pin * 11) & 0xff;
            write(high(pin), destination << 24);
            write(low(pin), vector | mode | (logical ? 0x800 : 0) | (level ? 0x8000 : 0) | (masked ? 0x10000 : 0));
            apic.setLine(pin, true);
            expect(delivered()).toEqual(masked ? [] : [{ destination, logical, mode, vector, level }]);
            expect(read(low(pin)) & 0x4000).toBe(level && !masked ? 0x4000 : 0);
            // The line is still high: no new interrupt, whatever the trigger mode.
            apic.setLine(pin, true);
            expect(delivered()).toEqual([]);
            apic.setLine(pin, false);
            apic.endOfInterrupt(vector);
            expect([delivered(), read(low(pin)) & 0x4000]).toEqual([[], 0]);
          }
  });
});

describe("edges", () => {
  it("one while masked is lost; unmasking with the line up does not make one", () => {
    const { apic, write, delivered } = setup();
    write(low(3), 0x10033);
    apic.setLine(3, true);
    write(low(3), 0x33);
    expect(delivered()).toEqual([]);
    apic.setLine(3, false);
    apic.setLine(3, true);
    expect(delivered()).toHaveLength(1);
  });
  it("no EOI is waited for", () => {
    const { apic, write, delivered } = setup();
    write(low(3), 0x33);
    for (let i = 0; i < 5; i++) {
      apic.setLine(3, true);
      apic.setLine(3, false);
    }
    expect(delivered()).toHaveLength(5);
  });
});

describe("levels", () => {
  it("a line that falls and rises again before the EOI interrupts once more, at the EOI", () => {
    const { apic, write, delivered } = setup();
    write(low(9), 0x8039);
    for (const level of [true, false, true]) apic.setLine(9, level);
    expect(delivered()).toHaveLength(1);
    apic.endOfInterrupt(0x39);
    expect(delivered()).toHaveLength(1);
  });
  it("masked at the EOI: remote IRR goes, the message comes at unmasking", () => {
    const { apic, read, write, delivered } = setup();
    write(low(9), 0x8039);
    apic.setLine(9, true);
    delivered();
    write(low(9), 0x18039);
    // Writing the entry does not clear remote IRR.
    expect(read(low(9))).toBe(0x1c039);
    apic.endOfInterrupt(0x39);
    expect([delivered(), read(low(9))]).toEqual([[], 0x18039]);
    write(low(9), 0x8039);
    expect([delivered().length, read(low(9))]).toEqual([1, 0xc039]);
  });
  it("an EOI is for every entry with its vector and for no other", () => {
    const { apic, read, write, delivered } = setup();
    for (const [pin, vector] of [
      [1, 0x50],
      [2, 0x50],
      [3, 0x51],
    ] as const) {
      write(low(pin), 0x8000 | vector);
      apic.setLine(pin, true);
    }
    expect(delivered()).toHaveLength(3);
    apic.setLine(2, false);
    apic.endOfInterrupt(0x50);
    expect(delivered().map((d) => d.vector)).toEqual([0x50]);
    expect([1, 2, 3].map((pin) => read(low(pin)) & 0x4000)).toEqual([0x4000, 0, 0x4000]);
  });
  it("switched to edge, remote IRR is dropped", () => {
    const { apic, read, write } = setup();
    write(low(9), 0x8039);
    apic.setLine(9, true);
    write(low(9), 0x39);
    expect(read(low(9))).toBe(0x39);
  });
  it.each([1, 2, 3])("random lines, masks and EOIs: one message in flight a pin, none lost (seed %i)", (seed) => {
    const random = new Prng(seed);
    const { apic, read, write, delivered } = setup();
    const pins = Array.from({ length: PINS }, () => ({ up: false, masked: true, inFlight: false }));
    pins.forEach((_, pin) => write(low(pin), 0x18030 + pin));
    for (let step = 0; step < 3000; step++) {
      const pin = random.below(PINS);
      const state = pins[pin]!;
      const action = random.below(3);
      if (action === 0) apic.setLine(pin, (state.up = random.chance(1, 2)));
      else if (action === 1) write(low(pin), 0x8030 + pin + ((state.masked = random.chance(1, 2)) ? 0x10000 : 0));
      else if (state.inFlight) {
        state.inFlight = false;
        apic.endOfInterrupt(0x30 + pin);
      }
      const due = state.up && !state.masked && !state.inFlight;
      expect(
        delivered().map((d) => d.vector),
        `seed ${seed}, step ${step}`,
      ).toEqual(due ? [0x30 + pin] : []);
      state.inFlight ||= due;
      expect((read(low(pin)) & 0x4000) !== 0, `seed ${seed}, step ${step}`).toBe(state.inFlight);
    }
  });
});
