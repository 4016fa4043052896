/**
 * A node of 64 cores: started, then interrupted one by one and all at once, by IPI, NMI and a device; each at its exact
 * time. Toy engine.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { checkTrace } from "../../emulator/trace/checkers.ts";
import { EventList, Tracer } from "../../emulator/trace/tracer.ts";
import { emptyKernel, type Program, type Step, toyEngine } from "./toy-engine.ts";

// Addresses typed from the manuals, not from kernel/abi.
const LAPIC = 0xfee00000;
const SVR = LAPIC + 0xf0;
const EOI = LAPIC + 0xb0;
const ICR_LOW = LAPIC + 0x300;
const ICR_HIGH = LAPIC + 0x310;
const IOAPIC = 0xfec00000;
const CORES = 64;
const QUANTUM = 1000;
const COUNTS = 0x40000;

const counter = (core: number, kind: number): number => COUNTS + 16 * core + 4 * kind;
/** Counts in RAM: 0 by IPI, 1 by NMI, 2 by the UART's interrupt. */
function program(core: number, main: readonly Step[]): Program {
  const steps: Step[] = [["write", SVR, 0x1ff], ["sti"], ...main];
  const handler = (kind: number, apic: boolean): number =>
    steps.push(["add", counter(core, kind), 1], ...(apic ? [["write", EOI, 0] as const] : []), ["iret"]) -
    (apic ? 3 : 2);
  return { steps, startup: 0, handlers: { [0x51]: handler(0, true), 2: handler(1, false), [0x34]: handler(2, true) } };
}
const pause: Step[] = Array.from({ length: 3 * QUANTUM }, () => ["nop"] as const);
const icr = (low: number, destination = 0): Step[] => [
  ["write", ICR_HIGH, (destination << 24) >>> 0],
  ["write", ICR_LOW, low],
];
const idle: Step[] = [["hlt"], ["jump", 2]];

function run(main: readonly Step[]) {
  const list = new EventList();
  const tracer = new Tracer([list]);
  const others = Array.from({ length: CORES - 1 }, (_, i) => program(i + 1, idle));
  // INIT and SIPI to all other cores, then more than a quantum for them to start.
  const boot: Step[] = [...icr(0xc4500), ...icr(0xc4608), ...pause, ...main, ...pause, ["out", 0xf4, 0], ["hlt"]];
  const machine = new Machine({
    nodes: [{ nid: 1, cores: CORES, ramBytes: 16 << 20, kernel: emptyKernel(), commandLine: "", nic: false }],
    strict: true,
    trace: tracer,
    quantumNs: QUANTUM,
    createEngine: toyEngine([program(0, boot), ...others]),
  });
  expect([machine.run({ limitNs: 1e7 }), machine.fault?.text]).toEqual(["exit", undefined]);
  tracer.end();
  expect(checkTrace(list.events, false)).toEqual([]);
  const counts = (kind: number) =>
    Array.from({ length: CORES }, (_, core) => machine.nodes[0]!.view.getUint32(counter(core, kind), true));
  const times = (kind: number) => list.events.filter((e) => e.kind === kind).map((e) => [e.core, e.time] as const);
  return { counts, times };
}
const all = (value: number, self: number): number[] => [self, ...Array.from({ length: CORES - 1 }, () => value)];

describe("64 cores", () => {
  it("all start; an IPI to each id reaches that core alone, a quantum after it was sent", () => {
    const main = Array.from({ length: CORES }, (_, core) => icr(0x4051, core)).flat();
    const { counts, times } = run(main);
    expect(counts(0)).toEqual(all(1, 1));
    expect(times(EventKind.CORE_STARTUP).map(([core]) => core)).toEqual(
      Array.from({ length: CORES - 1 }, (_, i) => i + 1),
    );
    const sent = times(EventKind.IPI_ICR).slice(2 * (CORES - 1));
    const delivered = new Map(times(EventKind.IRQ_DELIVER));
    // Halted cores take it at once; the sender itself after it has returned from the previous handler.
    sent.forEach(([, time], target) => {
      if (target > 0) expect(delivered.get(target), `c${target}`).toBe(time + QUANTUM);
    });
  });
  it.each([
    ["all but self", 0xc4051, 0, all(1, 0)],
    ["all", 0x84051, 0, all(1, 1)],
    ["physical ff", 0x4051, 0xff, all(1, 1)],
  ])("one IPI to %s is one interrupt for each", (_what, low, destination, expected) => {
    expect(run(icr(low, destination)).counts(0)).toEqual(expected);
  });
  it("an NMI reaches all but its sender, and needs no EOI", () => {
    const { counts } = run(icr(0xc4400));
    expect([counts(0), counts(1)]).toEqual([all(0, 0), all(1, 0)]);
  });
  it.each([0, 1, 31, 32, 63])("a device's interrupt goes to the core that its redirection entry names: %i", (core) => {
    // The UART's transmitter interrupt (GSI 4), enabled with the transmitter empty.
    const entry = 0x10 + 2 * 4;
    const main: Step[] = [
      ["write", IOAPIC, entry + 1],
      ["write", IOAPIC + 0x10, (core << 24) >>> 0],
      ["write", IOAPIC, entry],
      ["write", IOAPIC + 0x10, 0x34],
      ["out", 0x3f9, 2],
    ];
    expect(run(main).counts(2)).toEqual(Array.from({ length: CORES }, (_, i) => (i === core ? 1 : 0)));
  });
});
