/** Ordering, ring drain, formats, filters, symbols. */
import { describe, expect, it } from "vitest";
import { EventKind, eventTable, TRACE_RING_RECORDS, TraceRing } from "../../emulator/abi/events.ts";
import { decodeFields, vectorName } from "../../emulator/trace/decode.ts";
import { FullWriter, fullLine, goldenTrace } from "../../emulator/trace/format.ts";
import { RingReader, TraceOverflow } from "../../emulator/trace/rings.ts";
import { everything, Selector } from "../../emulator/trace/select.ts";
import { parseShow, ShowError } from "../../emulator/trace/show.ts";
import { SymbolTable } from "../../emulator/trace/symbols.ts";
import { EventList, type TraceEvent, Tracer } from "../../emulator/trace/tracer.ts";

const event = (
  nid: number,
  core: number,
  time: number,
  kind: number,
  ...words: (number | bigint | string)[]
): TraceEvent => ({
  nid,
  core,
  time,
  kind,
  words,
});

describe("order", () => {
  it("is time, nid, core, emission, whatever order nodes emit in", () => {
    const list = new EventList();
    const tracer = new Tracer([list]);
    tracer.emit(2, 0, 500, EventKind.MARK, [1, 1]);
    tracer.emit(1, 1, 900, EventKind.MARK, [1, 2]);
    tracer.emit(1, 0, 900, EventKind.MARK, [1, 3]);
    tracer.emit(1, 0, 900, EventKind.MARK, [1, 4]);
    tracer.emit(1, -1, 900, EventKind.MARK, [1, 5]);
    tracer.emit(1, 0, 400, EventKind.MARK, [1, 6]);
    tracer.end();
    expect(list.events.map((e) => e.words[1])).toEqual([6, 1, 5, 3, 4, 2]);
  });
  it("keeps back what may still be overtaken by a record that a core had not finished", () => {
    const list = new EventList();
    const tracer = new Tracer([list]);
    tracer.emit(1, 0, 1990, EventKind.MARK, [1, 2]);
    tracer.flush(2000);
    expect(list.events).toEqual([]);
    tracer.emit(1, 0, 1980, EventKind.MARK, [1, 1]);
    tracer.flush(3000);
    expect(list.events.map((e) => e.words[1])).toEqual([1, 2]);
  });
});

describe("ring drain", () => {
  const offset = 4096;
  const setup = () => {
    const view = new DataView(new ArrayBuffer(offset + 2 * TraceRing.SIZE));
    const list = new EventList();
    const tracer = new Tracer([list]);
    const reader = new RingReader(3, 2, view, offset, tracer);
    let written = 0;
    const record = (core: number, time: number, kind: number, a: bigint) => {
      const ring = new TraceRing(view, offset + core * TraceRing.SIZE);
      const r = ring.records(written % TRACE_RING_RECORDS);
      r.time = BigInt(time);
      r.kind = kind;
      r.wordsSet(0, a);
      ring.written = BigInt(++written);
    };
    return { list, tracer, reader, record };
  };
  it("reads what is new, across the ring's end", () => {
    const { list, tracer, reader, record } = setup();
    for (let i = 0; i < 700; i++) {
      record(1, i, EventKind.IRQ_ENTER, BigInt(i));
      if (i % 100 === 0) reader.drain(1);
    }
    reader.drain(1);
    reader.drain(0);
    tracer.end();
    expect(list.events.map((e) => Number(e.words[0]))).toEqual(Array.from({ length: 700 }, (_, i) => i));
    expect(list.events[5]).toMatchObject({ nid: 3, core: 1, time: 5, kind: EventKind.IRQ_ENTER });
  });
  it("an overflow is an error", () => {
    const { reader, record } = setup();
    for (let i = 0; i < TRACE_RING_RECORDS; i++) record(0, i, EventKind.MARK, 0n);
    expect(() => reader.drain(0)).not.toThrow();
    for (let i = 0; i <= TRACE_RING_RECORDS; i++) record(0, i, EventKind.MARK, 0n);
    expect(() => reader.drain(0)).toThrow(TraceOverflow);
  });
});

describe("full format", () => {
  const nameOf = (address: bigint) => (address === 0xffffffff80100040n ? "doIrq+0x40" : undefined);
  it.each<[TraceEvent, string]>([
    [
      event(1, 0, 1234, EventKind.SYS_ENTER, 11n, 0x200000001000n, 4096n, 0n),
      "        1234 n1.c0   sys.enter      munmap addr=0x200000001000 length=4096",
    ],
    [event(1, 0, 1240, EventKind.SYS_EXIT, 11n, 0n, 0n, 0n), "        1240 n1.c0   sys.exit       munmap ret=0"],
    [
      event(1, 0, 1, EventKind.SYS_EXIT, 2n, 0xfffffffffffffffen, 0n, 0n),
      "           1 n1.c0   sys.exit       open ret=-ENOENT",
    ],
    [
      event(1, 0, 1, EventKind.SYS_ENTER, 257n, 0xffffff9cn, 0x1000n, 0x40n),
      "           1 n1.c0   sys.enter      openat dirfd=AT_FDCWD path=0x1000 flags=RDONLY|CREAT",
    ],
    [
      event(1, 0, 1, EventKind.SYS_ENTER, 999n, 1n, 2n, 3n),
      "           1 n1.c0   sys.enter      syscall:999 a=0x1 b=0x2 c=0x3",
    ],
    [
      event(1, 0, 1, EventKind.IPI_SEND, 1n, 0xf1n, 7n, 0n),
      "           1 n1.c0   ipi.send       to=c1 vector=TLB_SHOOTDOWN id=7",
    ],
    [event(1, 0, 1, EventKind.IPI_ICR, 1, 0x500, 0), "           1 n1.c0   ipi.icr        to=c1 mode=INIT"],
    [event(1, 0, 1, EventKind.IPI_ICR, 1, 0x600, 8), "           1 n1.c0   ipi.icr        to=c1 mode=STARTUP page=0x8"],
    [
      event(1, 0, 1, EventKind.IPI_ICR, 1, 0, 0xf1),
      "           1 n1.c0   ipi.icr        to=c1 mode=FIXED vector=TLB_SHOOTDOWN",
    ],
    [
      event(1, 1, 1, EventKind.TRAP, 14n, 6n, 0xffffffff80100040n, 0x1000n),
      "           1 n1.c1   trap           vector=#PF error=0x6 rip=0xffffffff80100040<doIrq+0x40> address=0x1000",
    ],
    [
      event(0, -1, 1, EventKind.MSG_SEND, 1, 1, 5000, 0n),
      "           1 n0      msg.send       op=LOAD to=n1 bytes=5000 match=0",
    ],
    [
      event(1, 0, 1, EventKind.MSG_RECEIVE, 11n, 2n, 0n, 0x10003n),
      "           1 n1.c0   msg.receive    op=GET from=n2 bytes=0 match=PROGRAM+3",
    ],
    [event(1, 0, 1, EventKind.MSG_DROP, 2n, 9n, 5n), "           1 n1.c0   msg.drop       from=n2 sequence=9 why=CRC"],
    [
      event(1, 0, 1, EventKind.JOB_EXIT, 1n, 0n, 0x300n),
      "           1 n1.c0   job.exit       job=1 rank=0 status=exit:3",
    ],
    [
      event(1, 0, 1, EventKind.JOB_EXIT, 1n, 0n, 11n),
      "           1 n1.c0   job.exit       job=1 rank=0 status=signal:11",
    ],
    [event(2, -1, 1, EventKind.CONSOLE, 'say "hi"'), '           1 n2      console        line="say \\"hi\\""'],
    [event(1, 0, 1, EventKind.CPU_IDLE, 0n, 0n, 0n, 0n), "           1 n1.c0   cpu.idle"],
    [event(1, 0, 1, 200, 5n), "           1 n1.c0   kind200        5"],
  ])("%#", (e, line) => expect(fullLine(e, nameOf)).toBe(line));

  it("streams everything, in chunks", () => {
    const parts: string[] = [];
    const writer = new FullWriter((text) => parts.push(text));
    for (let i = 0; i < 5000; i++) writer.event(event(1, 0, i, EventKind.MARK, 1n, BigInt(i)));
    writer.end();
    expect(parts.length).toBeGreaterThan(2);
    expect(parts.join("").split("\n").length).toBe(5001);
  });
  it("every kind of the table decodes", () => {
    for (const row of eventTable)
      expect(decodeFields(event(1, 0, 0, row.kind, 1n, 2n, 3n, 4n), { style: "full" })).not.toMatch(/undefined|NaN/);
  });
  it("names vectors", () => {
    expect([0x30 + 4, 0x30 + 12, 0xe0, 13, 0x31, 0x80].map(vectorName)).toEqual([
      "IRQ_UART",
      "IRQ_VIRTIO7",
      "LAPIC_TIMER",
      "#GP",
      "IRQ_KEYBOARD",
      "0x80",
    ]);
  });
});

describe("golden format", () => {
  it("has a section per core, no times, and names instead of addresses", () => {
    const events = [
      event(1, 1, 50, EventKind.TLB_FLUSH, 1n, 1n),
      event(1, 0, 10, EventKind.SYS_ENTER, 11n, 0x200000001000n, 4096n, 0n),
      event(1, 0, 20, EventKind.IPI_SEND, 1n, 0xf1n, 1n),
      event(1, 0, 70, EventKind.IPI_ACKED, 1n),
      event(1, 0, 80, EventKind.SYS_EXIT, 11n, 0n),
    ];
    expect(goldenTrace({ image: "shootdown", nodes: 1, cores: 2, seed: 0, show: "sys,ipi,tlb" }, events)).toBe(
      `# trace v1 image=shootdown nodes=1 cores=2 seed=0 show=sys,ipi,tlb
n1.c0 sys.enter  munmap addr=USER_MAP length=4096
n1.c0 ipi.send   to=c1 vector=TLB_SHOOTDOWN id=1
n1.c0 ipi.acked  id=1
n1.c0 sys.exit   munmap ret=0

n1.c1 tlb.flush  cause=1 pages=1
`,
    );
  });
  it("does not change when code moves", () => {
    const trap = (rip: bigint, nameOf: (a: bigint) => string | undefined) =>
      decodeFields(event(1, 0, 0, EventKind.TRAP, 13n, 0n, rip, 0n), { style: "golden", nameOf });
    expect(trap(0xffffffff80100040n, () => "f+0x40")).toBe(trap(0xffffffff80200010n, () => "f+0x10"));
  });
});

describe("--show", () => {
  it("takes groups and kinds", () => {
    expect([...parseShow("irq.eoi, tlb")].sort()).toEqual([EventKind.TLB_FLUSH, EventKind.IRQ_EOI].sort());
    // All except single instructions.
    expect(parseShow("all").size).toBe(eventTable.length - 1);
    expect(parseShow("all,insn").size).toBe(eventTable.length);
    expect(parseShow("sys")).toEqual(new Set([EventKind.SYS_ENTER, EventKind.SYS_EXIT]));
  });
  it("names what it does not know, and what there is", () => {
    expect(() => parseShow("sys,foo")).toThrow(ShowError);
    expect(() => parseShow("foo")).toThrow(/no event or group 'foo': groups are console, core, cpu, .*sys/);
  });
  it("filters", () => {
    const list = new EventList();
    const filter = new Selector({ ...everything, kinds: parseShow("irq") }, list);
    filter.event(event(1, 0, 1, EventKind.IRQ_EOI, 0x30));
    filter.event(event(1, 0, 2, EventKind.MARK, 1n));
    expect(list.events.length).toBe(1);
  });
});

describe("symbols", () => {
  const table = new SymbolTable([
    { name: "label", address: 0x1000n, bytes: 0 },
    { name: "f", address: 0x2000n, bytes: 0x10 },
    { name: "g", address: 0x2010n, bytes: 0x20 },
  ]);
  it.each([
    [0xfffn, undefined],
    [0x1000n, "label"],
    [0x1004n, "label+0x4"],
    [0x2000n, "f"],
    [0x200fn, "f+0xf"],
    [0x2010n, "g"],
    [0x2030n, undefined],
  ])("0x%s", (address, name) => {
    expect(table.nameOf(address as bigint)).toBe(name);
  });
  it("of no ELF are none", () => expect(SymbolTable.fromElf(new Uint8Array(200)).size).toBe(0));
});
