/**
 * The trace file: written events are read back, and a damaged file is refused with the position, whatever the damage.
 */
import { describe, expect, it } from "vitest";
import { EventKind, eventTable, FieldFormat } from "../../emulator/abi/events.ts";
import { Prng } from "../../emulator/machine/prng.ts";
import { readTraceFile, TraceFileError, TraceFileWriter, type TraceHeader } from "../../emulator/trace/file.ts";
import { fullLine } from "../../emulator/trace/format.ts";
import type { TraceEvent } from "../../emulator/trace/tracer.ts";

const header: TraceHeader = {
  command: ["run", "--nodes", "2", "hello"],
  image: "hello",
  nodes: 2,
  cores: 1,
  seed: 7,
  show: "all",
  images: [{ role: "kernel", file: "images/out/kernel.elf", sha256: "00ff" }],
};
/** One of each kind, with words of every width. */
const events: readonly TraceEvent[] = eventTable.map((row, i) => ({
  time: 1000 + i,
  nid: i % 3,
  core: (i % 4) - 1,
  kind: row.kind,
  words: row.formats.map((f, n) =>
    f === FieldFormat.TEXT
      ? `zeile "${i}" \n`
      : f === FieldFormat.CODE
        ? "0f05"
        : n === 0
          ? BigInt(i)
          : 0xffff_ffff_8010_0000n + BigInt(n),
  ),
}));
function written(list: readonly TraceEvent[] = events): string {
  const parts: string[] = [];
  const writer = new TraceFileWriter(header, (text) => parts.push(text));
  for (const event of list) writer.event(event);
  writer.end();
  return parts.join("");
}
/** Split into pieces, as a file is read. */
function* pieces(text: string, length: number): Generator<string> {
  for (let at = 0; at < text.length; at += length) yield text.slice(at, at + length);
}
const readAll = (text: string, length = 1000): readonly TraceEvent[] => [...readTraceFile(pieces(text, length)).events];
const refusal = (text: string): string => {
  try {
    readAll(text);
  } catch (error) {
    if (error instanceof TraceFileError) return error.message;
    throw error;
  }
  return "none";
};

describe("round trip", () => {
  it("every kind of event reads back as it was shown", () => {
    const text = written();
    expect(readTraceFile([text]).header).toEqual(header);
    for (const length of [1, 7, 1 << 16])
      expect(readAll(text, length).map((e) => fullLine(e))).toEqual(events.map((e) => fullLine(e)));
  });
  it("a kind that no table knows stays what it is", () => {
    const odd: TraceEvent = { time: 5, nid: 1, core: 0, kind: 999, words: [1n, 2n, 3n, 2n ** 64n - 1n] };
    expect(readAll(written([odd])).map((e) => [e.kind, e.words.map(BigInt)])).toEqual([
      [999, [1n, 2n, 3n, 2n ** 64n - 1n]],
    ]);
  });
});

describe("what is no trace is refused with its place", () => {
  const [first, ...rest] = written().trimEnd().split("\n") as [string, ...string[]];
  const line = (text: string): string => [first, text, ...rest].join("\n");
  it.each([
    ["", /^the file is empty$/],
    ["ELF\u0001\u0002", /^no trace file/],
    [`{"margayTrace":9}\n`, /^version 9, this command reads 1$/],
    [`{"margayTrace":1,"command":["run"]}\n`, /^line 1: the header lacks a field/],
    [`${first}\n`, /^cut short behind line 1/],
    [`${[first, ...rest].slice(0, -1).join("\n")}\n`, /^cut short behind line \d+/],
    [line("[1,2,"), /^line 2: not JSON$/],
    [line("7"), /^line 2: neither an event nor the end$/],
    [line(`[-1,1,0,"cpu.idle"]`), /^line 2: an event begins with time, nid and core$/],
    [line(`[1,1,64,"cpu.idle"]`), /^line 2: an event begins with time/],
    [line(`[1,1,0,"cpu.asleep"]`), /^line 2: no kind of event is called "cpu.asleep"$/],
    [line(`[1,1,0,"cpu.idle",1]`), /^line 2: cpu.idle has 0 fields, not 1$/],
    [line(`[1,1,0,"irq.eoi","0xZZ"]`), /^line 2: irq.eoi: bad vector$/],
    [line(`[1,1,0,"console",5]`), /^line 2: console: bad line$/],
    [line(rest[0]!), /^line \d+: \d+ events stand above, \d+ were written$/],
    [`${[first, ...rest].join("\n")}\n[1]\n`, /something follows the end$/],
    [`${first}\n${"[".repeat(1 << 21)}`, /a line of more than/],
  ])("%#", (text, message) => expect(refusal(text)).toMatch(message));
});

/**
 * Each damage is either invisible (a digit became another) or a TraceFileError; nothing else is thrown, and nothing
 * hangs.
 */
describe("random damage", () => {
  const text = written();
  it.each(Array.from({ length: 40 }, (_, seed) => seed + 1))("seed %i", (seed) => {
    const random = new Prng(seed);
    const below = (n: number): number => random.next() % n;
    for (let n = 0; n < 25; n++) {
      const bytes = [...text];
      for (let flips = 1 + below(4); flips > 0; flips--) {
        const at = below(bytes.length);
        const how = below(4);
        if (how === 0) bytes[at] = String.fromCharCode(below(256));
        else if (how === 1) bytes.splice(at, 1 + below(200));
        else if (how === 2) bytes.splice(at, 0, ...text.slice(at, at + below(100)));
        else bytes.length = Math.max(at, 1);
      }
      const damaged = bytes.join("");
      const found = refusal(damaged);
      if (found === "none") for (const event of readAll(damaged)) fullLine(event);
      else expect(found).not.toBe("");
    }
  });
  it("a file cut anywhere is never taken for whole", () => {
    const end = text.trimEnd().length;
    for (let length = 0; length < end; length += 3) expect(refusal(text.slice(0, length))).not.toBe("none");
  });
});

it("numbers above 53 bits and texts survive exactly", () => {
  const odd: TraceEvent = { time: 1, nid: 1, core: 0, kind: EventKind.SYS_EXIT, words: [9n, 2n ** 64n - 12n, 0n, 0n] };
  expect(fullLine(readAll(written([odd]))[0]!)).toBe(fullLine(odd));
  expect(fullLine(odd)).toContain("mmap ret=-ENOMEM");
});
