/** Where two traces diverge: the difference is named, and equal traces have none. */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Operation } from "../../emulator/abi/net.ts";
import { diffTraces, type Side } from "../../emulator/trace/diff.ts";
import type { TraceHeader } from "../../emulator/trace/file.ts";
import type { TraceEvent } from "../../emulator/trace/tracer.ts";

const header: TraceHeader = {
  command: ["run", "ring"],
  image: "ring",
  nodes: 2,
  cores: 1,
  seed: 0,
  show: "all",
  images: [],
};
const event = (
  time: number,
  nid: number,
  core: number,
  kind: number,
  ...words: (number | bigint | string)[]
): TraceEvent => ({
  time,
  nid,
  core,
  kind,
  words,
});
const mark = (time: number, nid: number, value: number): TraceEvent => event(time, nid, 0, EventKind.MARK, 1, value);
const base: readonly TraceEvent[] = Array.from({ length: 40 }, (_, i) => mark(100 * i, 1 + (i % 2), i));
const side = (name: string, events: readonly TraceEvent[], about: Partial<TraceHeader> = {}): Side => ({
  name,
  events,
  header: { ...header, ...about },
});
const diff = (a: readonly TraceEvent[], b: readonly TraceEvent[], ignoreTime = false, context = 2): string | null =>
  diffTraces(side("a", a), side("b", b), { ignoreTime, context })?.join("\n") ?? null;

describe("different runs", () => {
  const b = base.map((e, i) => (i === 20 ? mark(e.time, e.nid, 999) : e));
  it.each<[string, Partial<TraceHeader>, string]>([
    ["image", { image: "hello" }, "  image: ring | hello"],
    ["nodes", { nodes: 4 }, "  nodes: 2 | 4"],
    ["cores", { cores: 2 }, "  cores of a node: 1 | 2"],
  ])("%s: the header that differs comes first", (_, about, line) => {
    const lines = diffTraces(side("a", base), side("b", b, about), { ignoreTime: false, context: 0 });
    expect(lines?.slice(0, 2)).toEqual(["these are traces of different runs:", line]);
    expect(lines?.some((l) => l.startsWith("first divergence: event 21"))).toBe(true);
  });
  it("the seed alone makes no different run", () => {
    const lines = diffTraces(side("a", base), side("b", b, { seed: 4 }), { ignoreTime: false, context: 0 });
    expect(lines?.[0]).toMatch(/^first divergence: event 21/);
  });
});

describe("exact", () => {
  it("equal traces, also where one holds bigints and the other numbers", () => {
    expect(diff(base, base)).toBeNull();
    expect(
      diff(
        base,
        base.map((e) => ({ ...e, words: e.words.map((w) => BigInt(w)) })),
      ),
    ).toBeNull();
  });
  it("names event, node, core, time and field, with context from both", () => {
    const b = base.map((e, i) => (i === 20 ? mark(e.time, e.nid, 999) : e));
    expect(diff(base, b)).toBe(`first divergence: event 21: mark on n1.c0 at 2000 ns
  value: kind=1 value=20 | kind=1 value=999
before, the same in both:
          1800 n1.c0   mark           kind=1 value=18
          1900 n2.c0   mark           kind=1 value=19
a:
>         2000 n1.c0   mark           kind=1 value=20
          2100 n2.c0   mark           kind=1 value=21
          2200 n1.c0   mark           kind=1 value=22
b:
>         2000 n1.c0   mark           kind=1 value=999
          2100 n2.c0   mark           kind=1 value=21
          2200 n1.c0   mark           kind=1 value=22
the runs were made by the same line and images`);
  });
  it("a single event more, fewer, later, and an end", () => {
    const more = [...base.slice(0, 7), mark(650, 2, 1), ...base.slice(7)];
    expect(diff(base, more)).toContain("b has 1 event more here; behind them it goes on as a");
    expect(diff(more, base)).toContain("a has 1 event more here; behind them it goes on as b");
    const late = base.map((e, i) => (i >= 30 ? mark(e.time + 12, e.nid, i) : e));
    expect(diff(base, late)).toMatch(
      /first divergence: event 31: mark on n1.c0 at 3000 and 3012 ns\n {2}the same event, 12 ns earlier in a/,
    );
    expect(diff(base.slice(0, 5), base)).toContain("a ends here, b goes on");
    expect(diff([], base)).toContain("(the traces begin)\na:\n> (the trace ends)");
  });
  it("tells how the runs differed from the start", () => {
    const kernel = (sha256: string): TraceHeader["images"] => [{ role: "kernel", file: "kernel.elf", sha256 }];
    const text = diffTraces(
      side("a", base, { seed: 1, images: kernel("aa") }),
      side("b", base.slice(1), { seed: 2, images: kernel("bb") }),
      {
        ignoreTime: false,
        context: 0,
      },
    );
    expect(text?.slice(-3)).toEqual(["the runs differ in:", "  seed: 1 | 2", "  kernel: aa | bb"]);
  });
});

describe("--ignore time", () => {
  it("times and the order between cores mean nothing", () => {
    const shifted = [...base]
      .map((e) => ({ ...e, time: e.nid === 2 ? e.time * 3 + 5 : e.time }))
      .sort((a, b) => a.time - b.time);
    expect(diff(base, shifted)).not.toBeNull();
    expect(diff(base, shifted, true)).toBeNull();
  });
  it("the core that parts earliest is named", () => {
    const b = base.map((e, i) => (i === 31 || i === 20 ? mark(e.time, e.nid, 999) : e));
    expect(diff(base, b, true)).toMatch(/first divergence: event 11 of what n1\.c0 did: mark on n1\.c0 at 2000 ns/);
  });
  it("addresses count by name, messages by operation", () => {
    const a = [
      event(1, 1, 0, EventKind.TRAP, 14, 0, 0xffff_ffff_8010_0010n, 0n),
      event(2, 1, 0, EventKind.MSG_SEND, Operation.PUT, 2, 8, 0),
    ];
    const b = [
      event(9, 1, 0, EventKind.TRAP, 14, 0, 0xffff_ffff_8020_0000n, 0n),
      event(9, 1, 0, EventKind.MSG_SEND, Operation.GET, 2, 8, 0),
    ];
    const nameOf = (address: bigint): string => `load+0x${(address & 0xffn).toString(16)}`;
    const lines = diffTraces(
      { ...side("a", a), nameOf },
      { ...side("b", b), nameOf },
      { ignoreTime: true, context: 3 },
    );
    expect(lines?.[0]).toBe("first divergence: event 2 of what n1.c0 did: msg.send on n1.c0 at 2 and 9 ns");
    expect(lines?.[1]).toBe("  op: op=PUT to=n2 bytes=8 match=0 | op=GET to=n2 bytes=8 match=0");
  });
});
