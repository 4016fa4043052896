/**
 * The scheduler's contract, on an engine of toy instructions: exact times, one order, no dependence on the host's
 * slices.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Machine, type MachineOptions } from "../../emulator/machine/machine.ts";
import type { Endpoint, SendFrame } from "../../emulator/fabric/endpoint.ts";
import type { TraceSink } from "../../emulator/trace/sink.ts";
import { emptyKernel, type Program, type Step, toyEngine } from "./toy-engine.ts";

// Addresses and values typed from the manuals, not from kernel/abi.
const LAPIC = 0xfee00000;
const SVR = LAPIC + 0xf0;
const EOI = LAPIC + 0xb0;
const ICR_LOW = LAPIC + 0x300;
const ICR_HIGH = LAPIC + 0x310;
const LVT_TIMER = LAPIC + 0x320;
const INITIAL = LAPIC + 0x380;
const DIVIDE = LAPIC + 0x3e0;

const enable: readonly Step[] = [
  ["write", SVR, 0x1ff],
  ["write", DIVIDE, 0xb],
];
const spin = (count: number): Step[] => Array.from({ length: count }, () => ["nop"] as const);

interface Seen {
  readonly core: number;
  readonly time: number;
  readonly kind: number;
  readonly words: readonly unknown[];
}
function recorder(): { sink: TraceSink; seen: Seen[]; text: () => string } {
  const seen: Seen[] = [];
  return {
    seen,
    sink: {
      enabled: true,
      emit: (nid, core, time, kind, words) => seen.push({ core, time, kind, words: [nid, ...words] }),
    },
    text: () =>
      [...seen]
        .sort((a, b) => a.time - b.time || Number(a.words[0]) - Number(b.words[0]) || a.core - b.core)
        .map((e) => `${e.time} ${e.core} ${e.kind} ${e.words.join(" ")}`)
        .join("\n"),
  };
}
function machine(
  programs: readonly Program[],
  cores = programs.length,
  options: Partial<MachineOptions> = {},
): Machine {
  const node = { nid: 1, cores, ramBytes: 16 << 20, kernel: emptyKernel(), commandLine: "", nic: false };
  return new Machine({ nodes: [node], strict: true, createEngine: toyEngine(programs), ...options });
}
const deliveries = (seen: readonly Seen[], kind: number = EventKind.IRQ_DELIVER) =>
  seen.filter((e) => e.kind === kind).map((e) => [e.core, e.time, e.words[1]]);

describe("scheduler", () => {
  it("delivers the timer at the exact instruction, spinning or halted", () => {
    for (const wait of [[["jump", 6]], [["hlt"], ["jump", 6]]] as Step[][]) {
      const r = recorder();
      const steps: Step[] = [
        ...enable,
        ["write", LVT_TIMER, 0xe0],
        ["write", INITIAL, 12345],
        ["sti"],
        ["nop"],
        ...wait,
      ];
      const handler = steps.length;
      steps.push(["out", 0xf4, 0]);
      const m = machine([{ steps, handlers: { [0xe0]: handler } }], 1, { trace: r.sink });
      expect(m.run()).toBe("exit");
      // The fourth instruction (index 3) starts the timer at time 3.
      expect(deliveries(r.seen)).toEqual([[0, 3 + 12345, 0xe0]]);
      expect(m.exits[0]).toMatchObject({ nid: 1, status: 1, time: 3 + 12345 });
    }
  });

  it("delivers an IPI one quantum after it was sent, whoever runs first", () => {
    const start = (target: number): Step[] => [
      ["write", ICR_HIGH, target << 24],
      ["write", ICR_LOW, 0x4500],
      ["write", ICR_LOW, 0x4608],
    ];
    const boot: Step[] = [
      ...enable,
      ...start(1),
      ...spin(2500),
      ["write", ICR_HIGH, 1 << 24],
      ["write", ICR_LOW, 0x40f1],
      ["hlt"],
    ];
    const application: Step[] = [...enable, ["sti"], ["nop"], ["jump", 4], ["write", EOI, 0], ["iret"]];
    const r = recorder();
    const m = machine([{ steps: boot }, { steps: application, startup: 0, handlers: { [0xf1]: 5 } }], 2, {
      trace: r.sink,
    });
    m.run({ limitNs: 10_000 });
    const sent = 2 + 3 + 2500 + 1;
    expect(deliveries(r.seen, EventKind.CORE_STARTUP)).toEqual([[1, 4 + 1000, 8]]);
    expect(deliveries(r.seen)).toEqual([[1, sent + 1000, 0xf1]]);
    expect(deliveries(r.seen, EventKind.IRQ_EOI)).toEqual([[1, sent + 1000, 0xf1]]);
  });

  it("takes a waiting interrupt at the instruction after the shadow of sti", () => {
    const r = recorder();
    const steps: Step[] = [
      ...enable,
      ["write", LVT_TIMER, 0xe0],
      ["write", INITIAL, 10],
      ...spin(100),
      ["sti"],
      ["nop"],
      ["nop"],
      ["nop"],
    ];
    const handler = steps.length;
    steps.push(["out", 0xf4, 0]);
    const m = machine([{ steps, handlers: { [0xe0]: handler } }], 1, { trace: r.sink });
    expect(m.run()).toBe("exit");
    expect(deliveries(r.seen)).toEqual([[0, 4 + 100 + 2, 0xe0]]);
  });

  it("is idle when all cores are halted and nothing is under way", () => {
    const m = machine([{ steps: [["hlt"]] }], 1);
    expect(m.run()).toBe("idle");
    expect(m.instructions).toBe(1);
    expect(m.nodes[0].state).toBe("halted");
  });

  it("wakes a core that halted at the very end of its stretch with an interrupt waiting", () => {
    const r = recorder();
    // The timer fires at 900 with IF clear; sti at 998, hlt at 999: the quantum ends with the core halted.
    const steps: Step[] = [
      ...enable,
      ["write", LVT_TIMER, 0xe0],
      ["write", INITIAL, 897],
      ...spin(994),
      ["sti"],
      ["hlt"],
    ];
    const handler = steps.length;
    steps.push(["out", 0xf4, 0]);
    const m = machine([{ steps, handlers: { [0xe0]: handler } }], 1, { trace: r.sink });
    expect(m.run()).toBe("exit");
    expect(deliveries(r.seen)).toEqual([[0, 1000, 0xe0]]);
  });

  it("reports a triple fault with its place", () => {
    const m = machine([{ steps: [["nop"], ["triple"]] }], 1);
    expect(m.run()).toBe("fault");
    expect(m.fault?.text).toMatch(/^processor: triple fault \(n1\.c0, rip 0x/);
  });

  it("stops a strict machine at a device error, and only traces it otherwise", () => {
    const steps: Step[] = [...enable, ["write", LAPIC + 0x30, 1], ["write", EOI, 0], ["hlt"]];
    const strict = machine([{ steps }], 1);
    expect(strict.run()).toBe("fault");
    expect(strict.fault?.text).toMatch(/^lapic: write to read-only VERSION 0x030 \(n1\.c0, /);
    const r = recorder();
    expect(machine([{ steps }], 1, { strict: false, trace: r.sink }).run()).toBe("idle");
    expect(
      r.seen.filter((e) => e.kind === EventKind.DEVICE_ERROR).map((e) => String(e.words[1]).replace(/ \(.*/, "")),
    ).toEqual(["lapic: write to read-only VERSION 0x030", "lapic: EOI with nothing in service"]);
  });

  it("refuses what cannot be a machine", () => {
    expect(() => machine([{ steps: [] }], 1, { fabric: { latencyNs: 500, bytesPerNs: 1 } })).toThrow(
      /latency of 500 ns must be .* not below the quantum of 1000/,
    );
    const node = { nid: 0, cores: 1, ramBytes: 16 << 20, kernel: emptyKernel(), commandLine: "", nic: false };
    expect(() => new Machine({ nodes: [node], createEngine: toyEngine([{ steps: [] }]) })).toThrow(
      /nids must differ and not be 0/,
    );
  });
});

/** Four cores that wake each other by IPIs and timers, at uneven intervals, and count in shared RAM. */
function busyPrograms(): Program[] {
  const work = (self: number): Step[] => [
    ...enable,
    ["write", LVT_TIMER, 0x2_00e0],
    ["write", INITIAL, 700 + 333 * self],
    ["sti"],
    ["nop"],
    ["set", 0, 50 + self],
    ["add", 0x1000, 1],
    ["loop", 0, 7],
    ["read", 1, LAPIC + 0x390],
    ["store", 0x2000 + 4 * self, 1],
    ["write", ICR_HIGH, ((self + 1) % 4) << 24],
    ["cli"],
    ["write", ICR_LOW, 0x40f1],
    ["set", 2, 30],
    ["loop", 2, 15],
    ["sti"],
    ["hlt"],
    ["jump", 6],
    // Handlers: timer at 19, IPI at 22.
    ["add", 0x1004, 1],
    ["write", EOI, 0],
    ["iret"],
    ["add", 0x1008, 1],
    ["out", 0x3f8, 0x41 + self],
    ["out", 0x3f8, 0x0a],
    ["write", EOI, 0],
    ["iret"],
  ];
  return [0, 1, 2, 3].map((self) => {
    const wake: Step[] =
      self === 0
        ? [
            ["write", ICR_LOW, 0xc4500],
            ["write", ICR_LOW, 0xc4608],
          ]
        : [["nop"], ["nop"]];
    const shift = (step: Step): Step =>
      step[0] === "jump" ? ["jump", step[1] + 2] : step[0] === "loop" ? ["loop", step[1], step[2] + 2] : step;
    return { steps: [...wake, ...work(self).map(shift)], startup: 0, handlers: { [0xe0]: 21, [0xf1]: 24 } };
  });
}

describe("host slices change nothing", () => {
  const outcome = (hostSlice: number, chop?: number) => {
    const r = recorder();
    const consoleText: string[] = [];
    const node = {
      nid: 1,
      cores: 4,
      ramBytes: 16 << 20,
      kernel: emptyKernel(),
      commandLine: "",
      nic: false,
      onConsole: (text: string) => consoleText.push(text),
    };
    const m = new Machine({
      nodes: [node],
      strict: true,
      createEngine: toyEngine(busyPrograms()),
      hostSlice,
      trace: r.sink,
    });
    if (chop === undefined) expect(m.run({ limitNs: 100_000 })).toBe("limit");
    else while (m.runSlice(chop, { limitNs: 100_000 }) !== "limit");
    return {
      hash: m.stateHash(),
      text: r.text(),
      console: consoleText.join(""),
      instructions: m.instructions,
      time: m.time,
    };
  };
  const reference = outcome(Number.POSITIVE_INFINITY);
  it("the run is a busy one", () => {
    expect(reference.console.length).toBeGreaterThan(100);
    expect(reference.instructions).toBeGreaterThan(100_000);
  });
  it.each([1, 2, 3, 7, 64, 999, 1000, 1001])("engine runs of at most %i instructions", (slice) => {
    expect(outcome(slice)).toEqual(reference);
  });
  it.each([1, 1000, 12_345])("machine slices of %i instructions", (chop) => {
    expect(outcome(333, chop)).toEqual(reference);
  });
});

describe("a lone core runs ahead without anybody noticing", () => {
  // Core 0 runs alone for long, then wakes core 1, which works and halts; the long stretch must end where the quantum
  // does.
  const programs = (): Program[] => {
    const boot: Step[] = [
      ...enable,
      ["write", ICR_LOW, 0xc4500],
      ["write", ICR_LOW, 0xc4608],
      ["set", 0, 7777],
      ["loop", 0, 5],
      ["write", ICR_HIGH, 1 << 24],
      ["write", ICR_LOW, 0x40f1],
      ["set", 0, 1400],
      ["add", 0x1000, 1],
      ["loop", 0, 9],
      ["jump", 4],
    ];
    const second: Step[] = [
      ...enable,
      ["sti"],
      ["hlt"],
      ["jump", 3],
      ["set", 1, 600],
      ["add", 0x1000, 1],
      ["loop", 1, 6],
      ["write", EOI, 0],
      ["iret"],
    ];
    return [{ steps: boot }, { steps: second, startup: 0, handlers: { [0xf1]: 5 } }];
  };
  it("the same as with a third core that never halts", () => {
    const run = (cores: Program[]) => {
      const r = recorder();
      const m = machine(cores, cores.length, { trace: r.sink });
      m.run({ limitNs: 200_000 });
      return { text: deliveries(r.seen), count: m.nodes[0].view.getUint32(0x1000, true) };
    };
    const alone = run(programs());
    const spinner: Program = { steps: [["jump", 0]], startup: 0 };
    const watched = run([...programs(), spinner]);
    expect(alone.text.length).toBeGreaterThan(10);
    // The third core is started, too, but affects no other.
    expect(watched).toEqual(alone);
  });
});

describe("frames", () => {
  /** Sends a frame when its timer fires, and answers each frame 500 ns later. */
  class Echo implements Endpoint {
    nextTimer = 5000;
    readonly received: [number, number][] = [];
    constructor(private readonly send: SendFrame) {}
    receive(frame: Uint8Array, time: number): void {
      this.received.push([time, frame.length]);
      this.send(frame, time + 500);
    }
    tick(time: number): void {
      this.nextTimer = Number.POSITIVE_INFINITY;
      const frame = new Uint8Array(1000);
      frame.set([0x02, 0x4d, 0x47, 0, 0, 0]);
      this.send(frame, time);
    }
  }
  it("loop back to nid 0 with latency and wire time", () => {
    let echo: Echo | undefined;
    const node = { nid: 1, cores: 1, ramBytes: 16 << 20, kernel: emptyKernel(), commandLine: "", nic: true };
    const m = new Machine({
      nodes: [node],
      createEngine: toyEngine([{ steps: [["hlt"]] }]),
      endpoints: (send) => (echo = new Echo(send)),
    });
    expect(m.run({ limitNs: 15_000 })).toBe("limit");
    // 1,000 bytes at 10 bytes/ns and 1,000 ns.
    expect(echo?.received.slice(0, 3)).toEqual([
      [6100, 1000],
      [7700, 1000],
      [9300, 1000],
    ]);
  });
});
