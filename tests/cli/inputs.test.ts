/** Texts of the command line: numbers, sizes, times, labels. */
import { describe, expect, it } from "vitest";
import { ConsoleLines } from "../../emulator/cli/console.ts";
import { LabelledOutput } from "../../emulator/cli/label.ts";
import { coordinates } from "../../emulator/cli/nodes.ts";
import { exitStatus } from "../../emulator/cli/runend.ts";
import {
  formatSize,
  formatTime,
  parseCount,
  parseRate,
  parseSize,
  parseTime,
  parseWallTime,
} from "../../emulator/cli/units.ts";

describe("units", () => {
  it.each([
    ["64M", 64 << 20],
    ["64m", 64 << 20],
    ["1G", 2 ** 30],
    ["65536K", 64 << 20],
    ["67108864", 64 << 20],
    ["0.5G", 2 ** 29],
  ])("size %s", (text, bytes) => expect(parseSize("--mem", text, 4096, 2 ** 40)).toBe(bytes));
  it.each(["", "M", "64X", "-64M", "1e9", "100", "64 M", "0x10M"])("no size: '%s'", (text) =>
    expect(() => parseSize("--mem", text, 4096, 2 ** 40)).toThrow(/bad --mem/),
  );
  it.each([
    ["500", 500],
    ["500ns", 500],
    ["20us", 20_000],
    ["1.5ms", 1_500_000],
    ["2s", 2e9],
  ])("time %s", (text, ns) => expect(parseTime("--limit", text)).toBe(ns));
  it.each(["", "0", "soon", "-1ms", "1m", "1 s"])("no time: '%s'", (text) =>
    expect(() => parseTime("--limit", text)).toThrow(/bad --limit/),
  );
  it.each(["", "1.5", "x", "-1", "1e3", "9"])("no count from 1 to 8: '%s'", (text) =>
    expect(() => parseCount("--cores", text, 1, 8)).toThrow(/bad --cores/),
  );
  it.each([
    ["90s", 90],
    ["10m", 600],
    ["1.5h", 5400],
    ["1:30", 90],
    ["1:00:30", 3630],
  ])("wall-clock time %s", (text, seconds) => expect(parseWallTime("--time", text)).toBe(seconds));
  it.each(["", "10", "0s", "-1s", "1d", "1:60", "1:2:3:4", "s", "1e9h", "99999999h"])(
    "no wall-clock time: '%s'",
    (text) => expect(() => parseWallTime("--time", text)).toThrow(/bad --time/),
  );
  it.each([
    ["10GB/s", 1e10],
    ["1.5G", 1.5e9],
    ["100mb", 1e8],
    ["1000K", 1e6],
  ])("rate %s", (text, bytes) => expect(parseRate("--bandwidth", text)).toBe(bytes));
  it.each(["", "0G", "10", "1B/s", "1T", "10Gbit/s", "1e3G", "2000G"])("no rate: '%s'", (text) =>
    expect(() => parseRate("--bandwidth", text)).toThrow(/bad --bandwidth/),
  );
  it("reads hexadecimal counts", () => expect(parseCount("--seed", "0xff", 0, 255)).toBe(255));
  it("writes sizes and times for people", () => {
    expect([formatSize(2 ** 30), formatSize(64 << 20), formatSize(4096), formatSize(4097)]).toEqual([
      "1G",
      "64M",
      "4K",
      "4097",
    ]);
    expect([formatTime(999), formatTime(1500), formatTime(2_500_000), formatTime(3e9)]).toEqual([
      "999 ns",
      "1.500 us",
      "2.500 ms",
      "3.000 s",
    ]);
  });
});

describe("output", () => {
  it("labels whole lines, also when they come in pieces, and keeps ranks apart", () => {
    const out = new LabelledOutput(true);
    const take = (rank: number, text: string): string => Buffer.from(out.take(rank, 1, Buffer.from(text))).toString();
    expect(take(0, "one\ntw")).toBe("[0] one\n");
    expect(take(1, "other\n")).toBe("[1] other\n");
    expect(take(0, "o\n\nrest")).toBe("[0] two\n[0] \n");
    expect(Buffer.from(out.rest(2)).toString()).toBe("");
    expect(Buffer.from(out.rest(1)).toString()).toBe("[0] rest\n");
  });
  it("passes bytes as they are without --label", () => {
    const bytes = new Uint8Array([0, 255, 10, 13]);
    expect(new LabelledOutput(false).take(1, 1, bytes)).toBe(bytes);
  });
  it("knows the ready line on the console, in any pieces", () => {
    const lines = new ConsoleLines();
    expect(lines.take("boot\nmargay: rea")).toEqual([]);
    expect(lines.ready).toBe(false);
    expect(lines.take("dy nid=1 cpus=2 mem=64M net=up\r\npanic: x\nhalf")).toEqual(["panic: x"]);
    expect(lines.ready).toBe(true);
    expect(lines.all).toHaveLength(3);
  });
});

describe("machine", () => {
  it("gives every node coordinates of its own in a near-cubic box", () => {
    for (const nodes of [1, 2, 4, 8, 27, 64, 100, 256]) {
      const seen = new Set(Array.from({ length: nodes }, (_, i) => coordinates(i + 1, nodes).join(".")));
      expect(seen.size).toBe(nodes);
    }
    expect([coordinates(1, 8), coordinates(2, 8), coordinates(8, 8)]).toEqual([
      [0, 0, 0],
      [1, 0, 0],
      [1, 1, 1],
    ]);
  });
  it("turns a wait status into a shell's exit status", () => {
    expect([0, 0x100, 0xff00, 11, 9, 11 | 0x80].map(exitStatus)).toEqual([0, 1, 255, 139, 137, 139]);
  });
});
