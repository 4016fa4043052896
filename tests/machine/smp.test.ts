/**
 * Four x86 cores under Unicorn that wake each other: the result must not depend on the host's slices, and the checkers
 * must find nothing. tests/machine/scheduler.test.ts has the same guest for the toy engine.
 */
import { describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { checkTrace } from "../../emulator/trace/checkers.ts";
import { fullLine } from "../../emulator/trace/format.ts";
import { EventList, Tracer } from "../../emulator/trace/tracer.ts";
import { assembleFile, hasAssembler, hasQemu, realEngine, runOnQemu } from "./guest.ts";

const engine = await realEngine();
const reason =
  typeof engine === "string" ? engine : hasAssembler ? undefined : "GNU as and ld are needed: install binutils";
if (reason !== undefined) console.log(`tests/machine/smp skipped: ${reason}`);

describe.skipIf(reason !== undefined)("four cores", () => {
  const kernel = reason === undefined ? assembleFile("smp.s").image : new Uint8Array(0);
  const outcome = (cores: number, hostSlice: number, quantumNs = 1000, disturb?: (machine: Machine) => void) => {
    if (typeof engine === "string") throw new Error(engine);
    const list = new EventList();
    const tracer = new Tracer([list]);
    let text = "";
    const node = {
      nid: 1,
      cores,
      ramBytes: 16 << 20,
      kernel,
      commandLine: "",
      nic: false,
      onConsole: (part: string) => (text += part),
    };
    const machine = new Machine({
      nodes: [node],
      strict: true,
      createEngine: engine,
      hostSlice,
      quantumNs,
      trace: tracer,
    });
    try {
      if (disturb === undefined)
        expect([machine.run({ limitNs: 3e6 }), machine.fault?.text]).toEqual(["exit", undefined]);
      else while (machine.runSlice(5000, { limitNs: 3e6 }) === "slice") disturb(machine);
      tracer.end();
      const counters = [0, 4, 8].map((at) => machine.nodes[0].view.getUint32(0x20000 + at, true));
      return {
        hash: machine.stateHash(),
        text,
        exits: machine.exits,
        instructions: machine.instructions,
        counters,
        events: list.events,
      };
    } finally {
      machine.close();
    }
  };
  const reference = reason === undefined ? outcome(4, Number.POSITIVE_INFINITY) : undefined;

  it("all run, interrupt each other and end", () => {
    const { exits, counters, events, text } = reference!;
    expect(exits[0]).toMatchObject({ status: (4 << 1) | 1 });
    expect(counters.every((count) => count > 100)).toBe(true);
    expect(text).toBe(`${"i".repeat(Math.floor(counters[0] / 50))}\n`);
    expect(events.filter((e) => e.kind === EventKind.CORE_STARTUP).map((e) => e.core)).toEqual([1, 2, 3]);
    expect(new Set(events.filter((e) => e.kind === EventKind.IRQ_DELIVER).map((e) => e.core))).toEqual(
      new Set([0, 1, 2, 3]),
    );
  });
  it("the checkers find nothing", () => expect(checkTrace(reference!.events, false)).toEqual([]));
  it("a timer interrupts at its exact time when the core sleeps", () => {
    // Core 3's timer: started by its write, period 2500 + 3 × 777. Deliveries to a halted core are exactly on that
    // grid.
    const times = reference!.events
      .filter((e) => e.kind === EventKind.IRQ_DELIVER && e.core === 3 && e.words[0] === 0xe0)
      .map((e) => e.time);
    const period = 2500 + 3 * 777;
    const phases = times.map((time) => (time - times[0]) % period);
    expect(times.length).toBeGreaterThan(10);
    expect(phases.filter((phase) => phase === phases[0] || phase === 0).length).toBeGreaterThan(times.length / 3);
  });
  it.each([1, 3, 17, 1000])("slices of %i instructions change nothing", (slice) => {
    const other = outcome(4, slice);
    expect(other.events.map((e) => fullLine(e))).toEqual(reference!.events.map((e) => fullLine(e)));
    expect({ ...other, events: [] }).toEqual({ ...reference!, events: [] });
  });
  it("pauses of the host with the engine's caches flushed change nothing", () => {
    const other = outcome(4, 777, 1000, (machine) => machine.nodes[0].engine.flushCaches());
    expect(other.hash).toBe(reference!.hash);
    expect(other.events.map((e) => fullLine(e))).toEqual(reference!.events.map((e) => fullLine(e)));
  });
  it("the quantum is part of what defines a run", () => {
    const other = outcome(4, Number.POSITIVE_INFINITY, 500);
    expect(other.exits[0].status).toBe((4 << 1) | 1);
    expect(other.hash).not.toBe(reference!.hash);
  });
  it.skipIf(!hasQemu)("the guest is an honest one: QEMU runs it to the same end", () => {
    expect(runOnQemu(kernel, 4, 16).status).toBe((4 << 1) | 1);
  });
  it.each([1, 2, 8])("%i cores", (cores) => {
    expect(outcome(cores, Number.POSITIVE_INFINITY).exits[0].status).toBe((cores << 1) | 1);
  });
});
