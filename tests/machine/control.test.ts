/**
 * Run control on real cores that interrupt each other. Stops are at exact points. However a debugger stops, steps and
 * inspects, the machine's trace and state equal those of a run without it.
 */
import { afterEach, describe, expect, it } from "vitest";
import { EventKind } from "../../emulator/abi/events.ts";
import { type ControlResult, type DebugStop, RunControl, type StepRequest } from "../../emulator/machine/control.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { fullLine } from "../../emulator/trace/format.ts";
import { EventList, Tracer } from "../../emulator/trace/tracer.ts";
import { seeded } from "../cpu/guest.ts";
import { assemble, assembleFile, hasAssembler, realEngine } from "./guest.ts";

const engine = await realEngine();
const reason =
  typeof engine === "string" ? engine : hasAssembler ? undefined : "GNU as and ld are needed: install binutils";
if (reason !== undefined) console.log(`tests/machine/control skipped: ${reason}`);

const CORES = 3;
const LIMIT = 3e6;
/** Lengths in smp.s: the first instructions of its handlers, and the part of `again` before it disables interrupts. */
const INC_BYTES = 3;
const LOCK_INC_BYTES = 8;
const LOOP_BYTES = 17;

class Bench {
  readonly list = new EventList();
  readonly machine: Machine;
  readonly control: RunControl;
  private readonly tracer = new Tracer([this.list]);
  constructor(kernel: Uint8Array, { nodes = 1, cores = CORES, hostSlice = Number.POSITIVE_INFINITY } = {}) {
    if (typeof engine === "string") throw new Error(engine);
    const node = { cores, ramBytes: 16 << 20, kernel, commandLine: "", nic: false };
    this.machine = new Machine({
      nodes: Array.from({ length: nodes }, (_, index) => ({ ...node, nid: index + 1 })),
      strict: true,
      createEngine: engine,
      hostSlice,
      trace: this.tracer,
    });
    this.control = new RunControl(this.machine);
  }
  /** Runs to the next stop or end. */
  go(steps?: readonly StepRequest[], budget = 1e9): ControlResult {
    return this.control.runSlice(budget, steps, { limitNs: LIMIT });
  }
  stop(steps?: readonly StepRequest[]): DebugStop {
    const result = this.go(steps);
    if (!("core" in result)) throw new Error(`no stop but ${result.reason}: ${this.machine.fault?.text}`);
    return result;
  }
  /** All results of a run. */
  outcome(): string {
    this.tracer.end();
    const { machine, list } = this;
    return [
      machine.stateHash(),
      machine.instructions,
      machine.time,
      JSON.stringify(machine.exits),
      ...list.events.map((e) => fullLine(e)),
    ].join("\n");
  }
  rip(stop: DebugStop): number {
    return Number(this.control.core(stop.nid, stop.core).rip);
  }
}

const everywhere = (address: number) => ({ virtual: BigInt(address), space: null });

describe.skipIf(reason !== undefined)("run control", () => {
  const guest =
    reason === undefined ? assembleFile("smp.s") : { image: new Uint8Array(0), labels: new Map<string, number>() };
  const at = (label: string): number => guest.labels.get(label) as number;
  const open: Bench[] = [];
  const bench = (options: ConstructorParameters<typeof Bench>[1] = {}, image = guest.image): Bench => {
    const created = new Bench(image, options);
    open.push(created);
    return created;
  };
  const plain = (options: ConstructorParameters<typeof Bench>[1] = {}): string => {
    const b = bench(options);
    let result = b.go();
    while (result.reason === "exit" && b.machine.exits.length < b.machine.nodes.length) result = b.go();
    expect(result.reason).toBe("exit");
    return b.outcome();
  };
  afterEach(() => {
    for (const b of open.splice(0)) b.machine.close();
  });

  it("breakpoints on the handlers stop once an interrupt, at its time, and change nothing", () => {
    const wanted = plain();
    const b = bench();
    const ids = [at("timer"), at("ipi")].map((address) => b.control.addBreakpoint(1, everywhere(address)));
    const stops: string[] = [];
    let result = b.go();
    for (; "core" in result; result = b.go()) {
      expect(result).toMatchObject({ reason: "breakpoint", nid: 1, time: b.control.core(1, result.core).time });
      expect(b.rip(result)).toBe(at(result.id === ids[0] ? "timer" : "ipi"));
      stops.push(`${result.time} c${result.core} ${result.id === ids[0] ? 0xe0 : 0xf1}`);
    }
    expect(result.reason).toBe("exit");
    const byCore = (lines: string[]): string[] =>
      lines.sort((p, q) => Number.parseInt(p, 10) - Number.parseInt(q, 10) || (p < q ? -1 : 1));
    const delivered = b.list.events
      .filter((e) => e.kind === EventKind.IRQ_DELIVER)
      .map((e) => `${e.time} c${e.core} ${e.words[0]}`);
    expect(byCore(stops)).toEqual(byCore(delivered));
    expect(stops.length).toBeGreaterThan(100);
    expect(b.outcome()).toBe(wanted);
  });

  it("a watched counter stops at each increment, on whatever core, and changes nothing", () => {
    const wanted = plain();
    const b = bench();
    const id = b.control.addWatchpoint(1, everywhere(0x20004), 4, "write");
    let stops = 0;
    let result = b.go();
    for (; "core" in result; result = b.go()) {
      expect(result).toMatchObject({ reason: "watchpoint", id, accessed: { virtual: 0x20004n, write: true } });
      stops++;
      expect(b.machine.nodes[0]!.view.getUint32(0x20004, true)).toBe(stops);
    }
    expect(stops).toBeGreaterThan(80);
    expect(b.outcome()).toBe(wanted);
  });

  it("steps retire one instruction of their core each, the others go on as they would have", () => {
    const wanted = plain();
    const b = bench();
    b.control.addBreakpoint(1, everywhere(at("again")));
    let stop = b.stop();
    while (stop.core !== 1) stop = b.stop();
    const core = b.control.core(1, 1);
    let last = core.time;
    let halts = 0;
    for (let count = 0; count < 400; count++) {
      const wasHalted = core.halted;
      const next = b.stop([{ nid: 1, core: 1 }]);
      if (next.reason === "breakpoint") {
        expect(b.rip(next)).toBe(at("again"));
        continue;
      }
      expect(next).toMatchObject({ reason: "step", core: 1 });
      if (wasHalted) {
        halts++;
        expect(next.time).toBeGreaterThan(last);
        // The first instruction of a handler has retired.
        expect([at("timer") + INC_BYTES, at("ipi") + LOCK_INC_BYTES]).toContain(b.rip(next));
      } else {
        expect(next.time).toBe(last + 1);
      }
      last = next.time;
    }
    expect(halts).toBeGreaterThan(1);
    b.control.removeBreakpoint(1, 1);
    expect(b.go().reason).toBe("exit");
    expect(b.outcome()).toBe(wanted);
  });

  it("a range is stepped over as one; a step passes the breakpoint that it starts at and stops at others", () => {
    const b = bench();
    const id = b.control.addBreakpoint(1, everywhere(at("again")));
    let stop = b.stop();
    while (stop.core !== 0) stop = b.stop();
    // imul, add, and 40 times lock inc and loop; behind them cli.
    const range = { start: BigInt(at("again")), end: BigInt(at("again") + LOOP_BYTES) };
    const before = stop.time;
    let next = b.stop([{ nid: 1, core: 0, range }]);
    while (next.core !== 0) next = b.stop([{ nid: 1, core: 0, range }]);
    expect(next).toMatchObject({ reason: "step", time: before + 2 + 2 * 40 });
    expect(b.rip(next)).toBe(at("again") + LOOP_BYTES);
    const inside = b.control.addBreakpoint(1, everywhere(at("timer")));
    const steps = [{ nid: 1, core: 0, range: { start: 0n, end: 1n << 47n } }];
    const hit = b.stop(steps);
    expect(hit.reason).toBe("breakpoint");
    expect([id, inside]).toContain(hit.id);
  });

  it("a step of one core is over when another stops first, and goes on with the same request", () => {
    const b = bench();
    b.control.addBreakpoint(1, everywhere(at("again")));
    while (b.stop().core !== 2);
    // Core 2 must leave everything below 2^47, which it never does; meanwhile the others reach their breakpoints.
    const steps = [{ nid: 1, core: 2, range: { start: 0n, end: 1n << 47n } }];
    const cores = new Set<number>();
    for (let count = 0; count < 20; count++) cores.add(b.stop(steps).core);
    expect(cores).toEqual(new Set([0, 1, 2]));
  });

  it.each([1, 2, 3, 4])("a random debugger changes nothing: seed %i", (seed) => {
    const options = { nodes: 2, cores: 2, hostSlice: seed % 2 ? 100 : Number.POSITIVE_INFINITY };
    const wanted = plain(options);
    const random = seeded(seed * 99_991);
    const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
    const b = bench(options);
    const labels = ["again", "work", "timer", "ipi", "long_mode", "protected", "enter", "trampoline"].map(at);
    const points: [nid: number, id: number, watch: boolean][] = [];
    let steps: readonly StepRequest[] = [];
    let stops = 0;
    for (;;) {
      const result = b.go(steps, 1 + random(4000));
      if ("core" in result) stops++;
      else if (result.reason === "exit") {
        if (b.machine.exits.length === b.machine.nodes.length) break;
        continue;
      } else expect(`${result.reason} ${b.machine.fault?.text}`).toBe("slice undefined");
      const nid = 1 + random(2);
      const core = random(2);
      const place = (address: number) =>
        random(3)
          ? { virtual: BigInt(address), space: random(4) ? null : b.control.space(nid, core) }
          : { physical: address };
      switch (random(8)) {
        case 0:
          points.push([nid, b.control.addBreakpoint(nid, place(pick(labels) + random(3) * 4)), false]);
          break;
        case 1:
          points.push([
            nid,
            b.control.addWatchpoint(
              nid,
              place(0x20000 + random(12)),
              1 + random(8),
              pick(["read", "write", "access"] as const),
            ),
            true,
          ]);
          break;
        case 2:
        case 3:
          for (let count = points.length > 6 ? 3 : 1; count > 0 && points.length > 0; count--) {
            const [owner, id, watch] = points.splice(random(points.length), 1)[0]!;
            if (watch) b.control.removeWatchpoint(owner, id);
            else b.control.removeBreakpoint(owner, id);
          }
          break;
        case 4:
          steps = [{ nid, core }];
          break;
        case 5:
          steps = [{ nid, core, range: { start: BigInt(at("again")), end: BigInt(at("timer")) } }];
          break;
        case 6:
          steps = [];
          break;
        case 7: {
          b.control.readMemory(nid, core, BigInt(pick(labels)), 64);
          b.control.core(nid, core).save();
          const rax = b.control.core(nid, core).register("rax");
          b.control.core(nid, core).setRegister("rax", rax);
          break;
        }
      }
    }
    expect(stops).toBeGreaterThan(50);
    expect(b.outcome()).toBe(wanted);
  });

  it("a breakpoint is its node's; the other node runs through", () => {
    const b = bench({ nodes: 2, cores: 1 });
    b.control.addBreakpoint(2, everywhere(at("timer")));
    for (let count = 0; count < 5; count++) expect(b.stop()).toMatchObject({ nid: 2, core: 0, reason: "breakpoint" });
    expect(() => b.control.addBreakpoint(3, everywhere(0))).toThrow("there is no node 3");
    expect(() => b.go([{ nid: 2, core: 1 }])).toThrow("node 2 has no core 1");
  });

  it("memory by page walk and by physical address, up to what is not there; code that is written is what runs", () => {
    const code = assemble(
      `.intel_syntax noprefix\n.code32\n.globl start\nstart: mov eax, 0x11\nafter: out 0xf4, al\nhlt\n`,
    );
    const b = bench({ cores: 1 }, code.image);
    const start = code.labels.get("start") as number;
    b.control.addBreakpoint(1, everywhere(start));
    b.stop();
    expect([...b.control.readMemory(1, 0, BigInt(start), 5)]).toEqual([0xb8, 0x11, 0, 0, 0]);
    expect(b.control.translate(1, 0, BigInt(start))).toBe(start);
    expect(b.control.writeMemory(1, 0, BigInt(start) + 1n, new Uint8Array([0x21, 0]))).toBe(2);
    const end = 16 << 20;
    expect(b.control.readPhysical(1, end - 10, 100).length).toBe(10);
    expect(b.control.readPhysical(1, end, 4).length).toBe(0);
    expect(b.control.writePhysical(1, end - 5000, new Uint8Array(6000).fill(7))).toBe(5000);
    expect([...b.control.readMemory(1, 0, BigInt(end - 2), 2)]).toEqual([7, 7]);
    expect(b.control.readMemory(1, 0, 0xfee0_0000n, 4).length).toBe(0);
    expect(b.go().reason).toBe("exit");
    expect(b.machine.exits[0]?.status).toBe((0x21 << 1) | 1);
  });

  it("registers written at a stop are what the core goes on with", () => {
    const b = bench();
    b.control.addBreakpoint(1, everywhere(at("work")));
    const stop = b.stop();
    b.control.core(1, stop.core).setRegister("rip", BigInt(at("other")));
    expect(b.go().reason).toBe("exit");
    expect(b.machine.exits[0]?.status).toBe((0x7f << 1) | 1);
  });
});
