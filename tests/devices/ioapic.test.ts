/** The I/O APIC against the Intel 82093AA data sheet, section 3. Values are typed from the data sheet. */
import { describe, expect, it } from "vitest";
import { IoApic, type IoapicBus } from "../../emulator/devices/ioapic.ts";
import { TestHost } from "./host.ts";

class Bus extends TestHost implements IoapicBus {
  readonly delivered: unknown[] = [];
  deliverExternal(destination: number, logical: boolean, mode: number, vector: number, level: boolean): void {
    this.delivered.push([destination, logical, mode, vector, level]);
  }
}
function setup() {
  const bus = new Bus();
  const apic = new IoApic(bus);
  const write = (register: number, value: number) => {
    apic.write(0x00, 4, register);
    apic.write(0x10, 4, value);
  };
  const read = (register: number) => {
    apic.write(0x00, 4, register);
    return apic.read(0x10, 4);
  };
  return { bus, apic, read, write };
}

describe("I/O APIC", () => {
  it("has 24 masked entries and version 0x20 at reset", () => {
    const { read } = setup();
    expect(read(1)).toBe(0x170020);
    for (let pin = 0; pin < 24; pin++) expect([read(0x10 + 2 * pin), read(0x11 + 2 * pin)]).toEqual([0x10000, 0]);
  });
  it("edge: one message a rising edge, none while masked", () => {
    const { bus, apic, write } = setup();
    apic.setLine(4, true);
    apic.setLine(4, false);
    write(0x11 + 8, 2 << 24);
    write(0x10 + 8, 0x34);
    expect(bus.delivered).toEqual([]);
    for (const level of [true, true, false, true]) apic.setLine(4, level);
    expect(bus.delivered).toEqual([
      [2, false, 0, 0x34, false],
      [2, false, 0, 0x34, false],
    ]);
  });
  it("level: remote IRR holds further messages back until EOI; a line still up sends again", () => {
    const { bus, apic, read, write } = setup();
    write(0x10 + 24, 0x803c);
    apic.setLine(12, true);
    apic.setLine(12, true);
    expect([bus.delivered.length, read(0x10 + 24)]).toEqual([1, 0xc03c]);
    apic.endOfInterrupt(0x3c);
    expect(bus.delivered.length).toBe(2);
    apic.setLine(12, false);
    apic.endOfInterrupt(0x3c);
    expect([bus.delivered.length, read(0x10 + 24)]).toEqual([2, 0x803c]);
  });
  it("level: unmasking with the line up sends", () => {
    const { bus, apic, write } = setup();
    apic.setLine(5, true);
    write(0x10 + 10, 0x1803a);
    expect(bus.delivered).toEqual([]);
    write(0x10 + 10, 0x803a);
    expect(bus.delivered).toEqual([[0, false, 0, 0x3a, true]]);
  });
  it("logical lowest-priority entries pass destination and mode on", () => {
    const { bus, apic, write } = setup();
    write(0x11, 0x0f000000);
    write(0x10, 0x0930);
    apic.setLine(0, true);
    expect(bus.delivered).toEqual([[0x0f, true, 0x100, 0x30, false]]);
  });
  it("names misuse", () => {
    const { bus, apic, read, write } = setup();
    write(1, 0);
    read(0x40);
    apic.read(0x20, 4);
    expect(bus.reports).toEqual([
      "ioapic: write to read-only VERSION 0x01",
      "ioapic: read of unknown register 0x40",
      "ioapic: read of 4 bytes at unknown offset 0x20",
    ]);
  });
});
