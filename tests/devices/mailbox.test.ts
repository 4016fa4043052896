/**
 * The mailbox as specified in kernel/abi/mailbox.ts. Offsets and bits are retyped here, so that a change of the table
 * is detected.
 */
import { describe, expect, it } from "vitest";
import { MailboxDevice } from "../../emulator/devices/mailbox.ts";
import { TestHost, TestLine } from "./host.ts";

const MAGIC = 0x000;
const VERSION = 0x004;
const STATUS = 0x008;
const CONTROL = 0x00c;
const IN_BYTES = 0x010;
const OUT_BYTES = 0x014;
const IN = 0x400;
const OUT = 0x800;
const IN_FULL = 1;
const OUT_FREE = 2;
const TAKE = 1;
const SEND = 2;

function rig() {
  const host = new TestHost();
  const line = new TestLine();
  const sent: number[][] = [];
  const device = new MailboxDevice(host, line, (message) => sent.push([...message]));
  const read = (offset: number) => device.read(offset, 4);
  const write = (offset: number, value: number) => device.write(offset, 4, value);
  return { host, line, sent, device, read, write };
}

describe("mailbox", () => {
  it("is found by its magic, and empty at first", () => {
    const { read, line, host } = rig();
    expect(Buffer.from(Uint32Array.of(read(MAGIC)).buffer).toString()).toBe("MBOX");
    expect([read(VERSION), read(STATUS), read(IN_BYTES), line.level, host.reports]).toEqual([
      1,
      OUT_FREE,
      0,
      false,
      [],
    ]);
  });

  it("holds one message at a time, in order, with an edge for each", () => {
    const { device, read, write, line, host } = rig();
    device.deliver(Uint8Array.of(1, 2, 3, 4, 5));
    device.deliver(Uint8Array.of(9));
    expect([read(STATUS), read(IN_BYTES), read(IN), read(IN + 4), read(IN + 8)]).toEqual([
      IN_FULL | OUT_FREE,
      5,
      0x04030201,
      5,
      0,
    ]);
    expect([line.level, line.edges]).toEqual([true, 1]);
    write(CONTROL, TAKE);
    expect([read(IN_BYTES), read(IN), line.level, line.edges]).toEqual([1, 9, true, 2]);
    write(CONTROL, TAKE);
    expect([read(STATUS), read(IN_BYTES), read(IN), line.level, device.waiting]).toEqual([OUT_FREE, 0, 0, false, 0]);
    expect(host.reports).toEqual([]);
  });

  it("sends what OUT holds", () => {
    const { read, write, sent, host } = rig();
    write(OUT, 0x44434241);
    write(OUT + 4, 0x45);
    write(OUT_BYTES, 5);
    write(CONTROL, SEND);
    write(OUT + 1020, 0xffffffff);
    write(OUT_BYTES, 1024);
    write(CONTROL, SEND);
    expect(sent[0]).toEqual([0x41, 0x42, 0x43, 0x44, 0x45]);
    expect([sent[1]!.length, sent[1]!.slice(1020), read(OUT), read(OUT_BYTES)]).toEqual([
      1024,
      [255, 255, 255, 255],
      0x44434241,
      1024,
    ]);
    expect(host.reports).toEqual([]);
  });

  it("reports what its page does not allow, and does nothing", () => {
    const { device, write, sent, host } = rig();
    write(OUT_BYTES, 1025);
    write(CONTROL, SEND);
    write(OUT_BYTES, 0);
    write(CONTROL, SEND);
    write(CONTROL, TAKE);
    write(CONTROL, 4);
    write(STATUS, 0);
    write(IN, 0);
    write(0x018, 0);
    device.write(OUT, 2, 1);
    device.write(OUT + 2, 4, 1);
    device.read(CONTROL, 4);
    device.read(0x018, 4);
    device.read(MAGIC, 1);
    expect(sent).toEqual([]);
    expect(host.reports).toEqual([
      "mailbox: SEND of 1025 bytes",
      "mailbox: SEND of 0 bytes",
      "mailbox: TAKE without a message",
      "mailbox: unknown control bits 0x00000004",
      "mailbox: write of 0x00000000 to read-only register 0x008",
      "mailbox: write of 0x00000000 to read-only register 0x400",
      "mailbox: write of 0x00000000 to unknown register 0x018",
      "mailbox: write of 2 bytes at 0x800: aligned 32-bit accesses only",
      "mailbox: write of 4 bytes at 0x802: aligned 32-bit accesses only",
      "mailbox: read of write-only register 0x00c",
      "mailbox: read of unknown register 0x018",
      "mailbox: read of 1 bytes at 0x000: aligned 32-bit accesses only",
    ]);
  });

  it("refuses messages that do not fit", () => {
    const { device, line } = rig();
    expect(() => device.deliver(new Uint8Array(0))).toThrow(RangeError);
    expect(() => device.deliver(new Uint8Array(1025))).toThrow(RangeError);
    expect(line.level).toBe(false);
  });
});
