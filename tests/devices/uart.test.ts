/** UART, keyboard controller, fw_cfg, debug exit and CPUID: main paths, values typed from the manuals. */
import { describe, expect, it } from "vitest";
import { CpuidModel } from "../../emulator/devices/cpuid.ts";
import { DebugExit } from "../../emulator/devices/debugexit.ts";
import { FwCfg } from "../../emulator/devices/fwcfg.ts";
import { KeyboardController } from "../../emulator/devices/i8042.ts";
import { Uart16550 } from "../../emulator/devices/uart.ts";
import { TestHost, TestLine } from "./host.ts";

describe("16550 (PC16550D, section 8)", () => {
  const setup = () => {
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
  };
  const bytes = (text: string) => new TextEncoder().encode(text);

  it("sends without being set up; the line status shows both registers empty", () => {
    const { out, read, write } = setup();
    write(0, 0x41);
    expect([out, read(5), read(2)]).toEqual([[0x41], 0x60, 0x01]);
  });
  it("DLAB turns registers 0 and 1 into the divisor", () => {
    const { out, read, write } = setup();
    write(3, 0x83);
    write(0, 1);
    write(1, 2);
    expect([read(0), read(1), out]).toEqual([1, 2, []]);
    write(3, 0x03);
    expect(read(1)).toBe(0);
  });
  it("receives: interrupt, identification, data, none lost beyond 16 bytes of FIFO", () => {
    const { line, read, write, uart } = setup();
    write(2, 0x01);
    write(1, 0x01);
    uart.type(bytes("0123456789abcdefXYZ"));
    expect([line.level, read(2), read(5)]).toEqual([true, 0xc4, 0x61]);
    let text = "";
    while ((read(5) & 1) !== 0) text += String.fromCharCode(read(0));
    expect([text, line.level, read(2)]).toEqual(["0123456789abcdefXYZ", false, 0xc1]);
  });
  it("transmitter empty: at enabling, after each byte; reading the identification clears it", () => {
    const { line, read, write } = setup();
    write(1, 0x02);
    expect([line.level, read(2), line.level, read(2)]).toEqual([true, 0x02, false, 0x01]);
    write(0, 0x41);
    expect([line.level, line.edges]).toEqual([true, 2]);
    write(0, 0x42);
    expect(line.edges).toBe(3);
  });
  it("received data outranks transmitter empty", () => {
    const { read, write, uart } = setup();
    write(1, 0x03);
    uart.type(bytes("a"));
    expect(read(2)).toBe(0x04);
    read(0);
    expect(read(2)).toBe(0x02);
  });
  it("loops back, with modem control at modem status", () => {
    const { out, read, write } = setup();
    write(4, 0x1b);
    write(0, 0x55);
    // DTR→DSR, RTS→CTS, OUT2→DCD.
    expect([out, read(0), read(6)]).toEqual([[], 0x55, 0xb0]);
  });
  it("names misuse", () => {
    const { host, write, uart } = setup();
    write(5, 0);
    uart.read(0, 4);
    expect(host.reports).toEqual(["uart: write to read-only LSR 0x5", "uart: read of 4 bytes at register 0"]);
  });
});

describe("i8042", () => {
  const setup = (attached: boolean) => {
    const host = new TestHost();
    const line = new TestLine();
    let resets = 0;
    const keyboard = new KeyboardController(attached, host, line, () => resets++);
    return { host, line, keyboard, resets: () => resets };
  };
  it("without a keyboard reads 0xff, but resets the machine", () => {
    const { keyboard, resets } = setup(false);
    keyboard.type([0x1e]);
    expect([keyboard.read(0x60), keyboard.read(0x64)]).toEqual([0xff, 0xff]);
    keyboard.write(0x64, 0xfe);
    expect(resets()).toBe(1);
  });
  it("hands out scan codes one interrupt each", () => {
    const { keyboard, line } = setup(true);
    keyboard.type([0x1e, 0x9e]);
    expect([
      keyboard.read(0x64) & 1,
      line.level,
      keyboard.read(0x60),
      line.edges,
      keyboard.read(0x60),
      line.level,
      keyboard.read(0x64) & 1,
    ]).toEqual([1, true, 0x1e, 2, 0x9e, false, 0]);
  });
  it("answers self test, keyboard reset and its command byte", () => {
    const { keyboard } = setup(true);
    keyboard.write(0x64, 0xaa);
    expect(keyboard.read(0x60)).toBe(0x55);
    keyboard.write(0x60, 0xff);
    expect([keyboard.read(0x60), keyboard.read(0x60)]).toEqual([0xfa, 0xaa]);
    keyboard.write(0x64, 0x60);
    keyboard.write(0x60, 0x44);
    keyboard.write(0x64, 0x20);
    expect(keyboard.read(0x60)).toBe(0x44);
  });
});

describe("fw_cfg, debug exit", () => {
  it("gives the signature and the number of processors", () => {
    const host = new TestHost();
    const config = new FwCfg(host, 6);
    const item = (key: number, count: number) => {
      config.write(0x510, 2, key);
      return Array.from({ length: count }, () => config.read(0x511, 1));
    };
    expect([item(0, 4), item(5, 2), item(5, 1)]).toEqual([[0x51, 0x45, 0x4d, 0x55], [6, 0], [6]]);
    expect(host.reports).toEqual([]);
    expect(item(0x19, 4)).toEqual([0, 0, 0, 0]);
    expect(host.reports).toEqual(["fw_cfg: unknown key 0x19"]);
  });
  it("ends with (v << 1) | 1", () => {
    const statuses: number[] = [];
    const exit = new DebugExit((status) => statuses.push(status));
    for (const value of [0, 0x2a, 0xff]) exit.write(value);
    expect(statuses).toEqual([1, 0x55, 0xff]);
  });
});

describe("CPUID: within QEMU's qemu64", () => {
  const model = new CpuidModel(4);
  // Recorded from qemu-system-x86_64 7.2 -M microvm: leaf 1 ECX, EDX and leaf 80000001h ECX, EDX.
  it.each([
    [1, 0x80002001, 0x178bfbfd],
    [0x80000001, 0x00000007, 0x2193fbfd],
  ])("leaf 0x%s has no feature that qemu64 lacks", (leaf, ecx, edx) => {
    const [, , c, d] = model.read(0, leaf, 0);
    expect([c & ~ecx, d & ~edx]).toEqual([0, 0]);
  });
  it("shows no x2APIC, no TSC deadline, no AVX; has SSE2, SYSCALL, NX, long mode", () => {
    expect(model.read(0, 1, 0)[2] & ((1 << 21) | (1 << 24) | (1 << 28))).toBe(0);
    expect(model.read(0, 1, 0)[3] & (1 << 26)).not.toBe(0);
    expect(model.read(0, 0x80000001, 0)[3] & 0x20100800).toBe(0x20100800);
  });
  it("tells each core its APIC id", () =>
    expect([0, 1, 2, 3].map((core) => model.read(core, 1, 0)[1] >>> 24)).toEqual([0, 1, 2, 3]));
});
