/**
 * The 16550 and the keyboard controller in depth: interrupt priorities, FIFO control, loop-back bit by bit, the i8042's
 * commands and its interrupt gate. Values typed from PC16550D section 8 and the PS/2 Technical Reference, "Keyboard
 * controller".
 */
import { describe, expect, it } from "vitest";
import { KeyboardController } from "../../emulator/devices/i8042.ts";
import { scanCodes, UnknownKey } from "../../emulator/devices/scancodes.ts";
import { Uart16550 } from "../../emulator/devices/uart.ts";
import { TestHost, TestLine } from "./host.ts";

function serial() {
  const host = new TestHost();
  const line = new TestLine();
  const out: number[] = [];
  const uart = new Uart16550(host, line, (byte) => out.push(byte));
  return {
    host,
    line,
    out,
    uart,
    read: (r: number) => uart.read(r, 1),
    write: (r: number, v: number) => uart.write(r, 1, v),
  };
}

describe("16550 registers (table II)", () => {
  it.each([
    ["IER: bits 7–4 read 0", 1, 0xff, 0x0f],
    ["LCR: all bits but DLAB apart", 3, 0x7f, 0x7f],
    ["MCR: bits 7–5 read 0", 4, 0xff, 0x1f],
    ["scratch", 7, 0xa5, 0xa5],
  ])("%s", (_what, register, written, expected) => {
    const { read, write } = serial();
    write(register, written);
    expect(read(register)).toBe(expected);
  });
  it("MSR and LSR are read-only and named", () => {
    const { host, write } = serial();
    write(5, 0);
    write(6, 0);
    expect(host.reports).toEqual(["uart: write to read-only LSR 0x5", "uart: write to read-only MSR 0x6"]);
  });
  it("IIR bits 7–6 follow FCR bit 0 (8.5)", () => {
    const { read, write } = serial();
    expect(read(2) & 0xc0).toBe(0);
    write(2, 1);
    expect(read(2) & 0xc0).toBe(0xc0);
    write(2, 0);
    expect(read(2) & 0xc0).toBe(0);
  });
  it("the divisor latch has 16 bits, kept while DLAB is clear", () => {
    const { read, write } = serial();
    write(3, 0x80);
    write(0, 0x34);
    write(1, 0x12);
    write(3, 0x03);
    write(1, 0x01);
    write(3, 0x80);
    expect([read(0), read(1)]).toEqual([0x34, 0x12]);
    write(3, 0x03);
    expect(read(1)).toBe(0x01);
  });
});

describe("16550 interrupts: identification by priority (table III)", () => {
  it("line status 06, data 04, transmitter empty 02, none 01; each goes by its own act", () => {
    const { line, read, write } = serial();
    // Loop-back without FIFO: two bytes overrun the receiver.
    write(4, 0x10);
    write(1, 0x07);
    write(0, 0x41);
    write(0, 0x42);
    expect(read(2)).toBe(0x06);
    expect(read(5) & 0x03).toBe(0x03);
    // Reading LSR has cleared the overrun.
    expect(read(2)).toBe(0x04);
    // The second character has destroyed the first.
    expect(read(0)).toBe(0x42);
    expect([read(2), line.level]).toEqual([0x02, false]);
    expect(read(2)).toBe(0x01);
  });
  it.each([
    [0x01, "data"],
    [0x02, "transmitter"],
    [0x04, "line status"],
  ])("enable bit 0x%s alone lets through %s alone", (bit, what) => {
    const { line, read, write } = serial();
    write(4, 0x10);
    write(0, 1);
    write(0, 2);
    write(1, bit);
    expect([line.level, read(2)]).toEqual([true, { data: 0x04, transmitter: 0x02, "line status": 0x06 }[what]]);
    write(1, 0);
    expect([line.level, read(2)]).toEqual([false, 0x01]);
  });
  it("a FIFO holds the first 16 bytes, the register the last one; both show an overrun (8.6.1)", () => {
    for (const [fcr, held] of [
      [1, Array.from({ length: 16 }, (_, i) => i)],
      [0, [19]],
    ] as const) {
      const { read, write } = serial();
      write(4, 0x10);
      write(2, fcr);
      for (let i = 0; i < 20; i++) write(0, i);
      expect(read(5) & 3).toBe(3);
      const got: number[] = [];
      while ((read(5) & 1) !== 0) got.push(read(0));
      expect(got).toEqual(held);
    }
  });
  it("FIFO control: a change of mode clears, bit 1 clears together with bit 0 only (8.4)", () => {
    const full = (fcr: number) => {
      const s = serial();
      s.write(2, fcr);
      s.write(4, 0x10);
      s.write(0, 0x41);
      return s;
    };
    for (const [before, written, kept] of [
      [1, 1, true],
      [1, 3, false],
      [1, 0, false],
      [0, 1, false],
      [0, 2, true],
      [0, 0, true],
    ] as const) {
      const { read, write } = full(before);
      write(2, written);
      expect((read(5) & 1) !== 0, `${before} → ${written}`).toBe(kept);
    }
  });
});

describe("16550 loop-back (8.7)", () => {
  it.each([
    [0x00, 0x00],
    [0x01, 0x20],
    [0x02, 0x10],
    [0x04, 0x40],
    [0x08, 0x80],
    [0x0f, 0xf0],
  ])("modem control 0x%s shows as modem status 0x%s", (control, status) => {
    const { read, write } = serial();
    write(4, 0x10 | control);
    expect(read(6)).toBe(status);
  });
  it("typed bytes wait until loop-back ends", () => {
    const { read, write, uart } = serial();
    write(4, 0x10);
    uart.type(Uint8Array.of(0x55));
    expect(read(5) & 1).toBe(0);
    write(4, 0);
    uart.type(Uint8Array.of(0x56));
    expect([read(0), read(0)]).toEqual([0x55, 0x56]);
  });
});

describe("i8042", () => {
  const setup = () => {
    const host = new TestHost();
    const line = new TestLine();
    const keyboard = new KeyboardController(true, host, line, () => {});
    const all = () => {
      const bytes: number[] = [];
      while ((keyboard.read(0x64) & 1) !== 0) bytes.push(keyboard.read(0x60));
      return bytes;
    };
    return {
      host,
      line,
      keyboard,
      all,
      command: (v: number) => keyboard.write(0x64, v),
      data: (v: number) => keyboard.write(0x60, v),
    };
  };
  it("status: system flag, keylock open, command/data, output full", () => {
    const { keyboard, command, data, all } = setup();
    expect(keyboard.read(0x64)).toBe(0x14);
    command(0xae);
    expect(keyboard.read(0x64)).toBe(0x1c);
    data(0xf4);
    expect(keyboard.read(0x64)).toBe(0x15);
    expect([all(), keyboard.read(0x64)]).toEqual([[0xfa], 0x14]);
  });
  it("commands: self test 55, keyboard test 00, byte 20/60", () => {
    const { command, data, all } = setup();
    command(0xaa);
    command(0xab);
    command(0x20);
    expect(all().sort()).toEqual([0x00, 0x45, 0x55]);
    command(0x60);
    data(0x47);
    command(0x20);
    expect(all()).toEqual([0x47]);
  });
  it("keyboard: reset, identify, echo, LEDs and rate with operand", () => {
    const { data, all } = setup();
    data(0xff);
    expect(all()).toEqual([0xfa, 0xaa]);
    data(0xf2);
    expect(all()).toEqual([0xfa, 0xab, 0x83]);
    data(0xee);
    expect(all()).toEqual([0xee]);
    for (const withOperand of [0xed, 0xf3]) {
      data(withOperand);
      // The operand is not a command, even if it looks like one.
      data(0xff);
      expect(all()).toEqual([0xfa, 0xfa]);
    }
  });
  it("disabled, it keeps keys back and no interrupt; enabled, they come", () => {
    const { keyboard, line, command, all } = setup();
    command(0xad);
    keyboard.type([0x1e]);
    expect([line.level, keyboard.read(0x64) & 1]).toEqual([false, 0]);
    command(0xae);
    expect([line.level, all(), line.level]).toEqual([true, [0x1e], false]);
  });
  it("bit 0 of the command byte gates the interrupt, not the data", () => {
    const { keyboard, line, command, data, all } = setup();
    command(0x60);
    data(0x44);
    keyboard.type([0x1e, 0x9e]);
    expect([line.level, line.edges, keyboard.read(0x64) & 1]).toEqual([false, 0, 1]);
    command(0x60);
    data(0x45);
    expect(line.level).toBe(true);
    expect([all(), line.edges]).toEqual([[0x1e, 0x9e], 2]);
  });
  it("names what it does not know", () => {
    const { host, command, data } = setup();
    command(0xd4);
    data(0xf6);
    expect(host.reports).toEqual(["i8042: unknown controller command 0xd4", "i8042: unknown keyboard command 0xf6"]);
  });
});

describe("text to scan codes (set 1)", () => {
  it.each([
    ["a", [0x1e, 0x9e]],
    ["A", [0x2a, 0x1e, 0x9e, 0xaa]],
    ["1", [0x02, 0x82]],
    ["!", [0x2a, 0x02, 0x82, 0xaa]],
    ["0", [0x0b, 0x8b]],
    ["q", [0x10, 0x90]],
    ["z", [0x2c, 0xac]],
    ["/", [0x35, 0xb5]],
    ["`", [0x29, 0xa9]],
    ["|", [0x2a, 0x2b, 0xab, 0xaa]],
    [" ", [0x39, 0xb9]],
    ["\\n", [0x1c, 0x9c]],
    ["\\t", [0x0f, 0x8f]],
    ["\\b", [0x0e, 0x8e]],
    ["\\e", [0x01, 0x81]],
    ["\\\\", [0x2b, 0xab]],
  ])("%s", (text, codes) => expect(scanCodes(text)).toEqual([codes]));
  it("all printable ASCII is on a key, no two the same; the rest is refused by name", () => {
    const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i));
    const codes = printable.map((c) => scanCodes(c === "\\" ? "\\\\" : c)[0]!.join());
    expect(new Set(codes).size).toBe(95);
    for (const text of ["é", "\u0001", "\\x", "日"]) expect(() => scanCodes(text)).toThrow(UnknownKey);
  });
});
