/**
 * Instruction traces: an engine that wraps the engine. Where it is requested, its cores execute one instruction at a
 * time and emit an INSN event for each retired one: its address, mode and bytes, at the time at which it starts. Runs
 * may be divided anywhere without changing anything (tests vary exactly that), so the traced run equals the untraced
 * one. Bytes are read through the present page tables; if the core's TLB is stale, they may differ from those executed.
 */
import { EventKind } from "../abi/events.ts";
import { Efer } from "../abi/x86.ts";
import type { Bus, Core, CreateEngine, Engine, RunResult } from "../cpu/engine.ts";
import type { Disassembler } from "./disassemble.ts";
import { isSelected, type Selection } from "./select.ts";
import type { TraceSink } from "./sink.ts";

const INSTRUCTION_BYTES_MAX = 15;
const PAGE = 4096;
/** In place in `Segment.flags`: code of 64 bits, default size of 32. */
const FLAG_LONG = 1 << 21;
const FLAG_DEFAULT_32 = 1 << 22;

export interface InstructionTraceOptions {
  /** Nodes in the order in which their engines are created. */
  readonly nids: readonly number[];
  readonly sink: TraceSink;
  readonly selection: Selection;
  readonly disassemble: Disassembler;
}

export function traceInstructions(create: CreateEngine, options: InstructionTraceOptions): CreateEngine {
  const nids = options.nids.values();
  return (engineOptions) => {
    const nid = nids.next().value;
    if (nid === undefined) throw new Error("instruction trace: more engines than nodes");
    if (options.selection.nids?.has(nid) === false) return create(engineOptions);
    const { bus } = engineOptions;
    const steppers: Stepper[] = [];
    const observer: Partial<Bus> = {
      delivered: (core, vector) => {
        steppers[core.index]?.delivered(core);
        bus.delivered?.(core, vector);
      },
    };
    const engine: Engine = create({ ...engineOptions, bus: override(bus, observer) });
    for (const core of engine.cores) steppers.push(new Stepper(nid, core, engine.ram, options));
    const cores = engine.cores.map((core, i) => {
      const { cores: selected } = options.selection;
      if (selected?.has(i) === false) return core;
      const stepper = steppers[i]!;
      return override(core, {
        run: (budget) => stepper.run(budget, (n) => core.run(n)),
        runToWindow: (budget) => stepper.run(budget, (n) => core.runToWindow(n)),
      });
    });
    return override(engine, { cores });
  };
}

interface Place {
  readonly rip: bigint;
  readonly bits: number;
  readonly code: Uint8Array;
}

class Stepper {
  private isStepping = false;
  /** A handler that was entered before the instruction of this step, which starts there. */
  private handler: Place | undefined;
  private stepStart = 0;
  private isLong = false;

  constructor(
    private readonly nid: number,
    private readonly core: Core,
    private readonly ram: Uint8Array,
    private readonly options: InstructionTraceOptions,
  ) {}

  run(budget: number, step: (budget: number) => RunResult): RunResult {
    const { from, to } = this.options.selection;
    let retired = 0;
    for (;;) {
      const left = budget - retired;
      if (left <= 0) return { reason: "budget", retired };
      const now = this.core.time;
      const result = now < from ? step(Math.min(left, from - now)) : now < to ? this.one(step) : step(left);
      retired += result.retired;
      if (result.reason !== "budget") return { ...result, retired };
    }
  }

  delivered(core: Core): void {
    // INT n has retired when it is delivered; an instruction that faults has not, and the next to retire is the
    // handler's first.
    if (this.isStepping && core.time === this.stepStart) this.handler = this.place();
  }

  private one(step: (budget: number) => RunResult): RunResult {
    const start = this.core.time;
    const before = this.place();
    this.stepStart = start;
    this.handler = undefined;
    this.isStepping = true;
    let result: RunResult;
    try {
      result = step(1);
    } finally {
      this.isStepping = false;
    }
    if (result.retired > 0) this.emit(start, this.handler ?? before);
    return result;
  }

  private emit(time: number, { rip, bits, code }: Place): void {
    const { disassemble, selection, sink } = this.options;
    const length = disassemble(rip, code, bits).bytes;
    const bytes = Buffer.from(code.subarray(0, length === 0 ? code.length : length)).toString("hex");
    const event = { nid: this.nid, core: this.core.index, time, kind: EventKind.INSN, words: [rip, bits, bytes] };
    if (isSelected(event, selection)) sink.emit(event.nid, event.core, time, event.kind, event.words);
  }

  /** The next instruction of the core. */
  private place(): Place {
    const { core } = this;
    const rip = core.rip;
    let base = 0n;
    let bits = 64;
    // The kernel has no compatibility mode: a core that runs 64-bit code does so as long as long mode is active.
    if ((core.register("efer") & BigInt(Efer.LMA)) === 0n) this.isLong = false;
    if (!this.isLong) {
      const { cs } = core.save().segments;
      this.isLong = (cs.flags & FLAG_LONG) !== 0;
      bits = this.isLong ? 64 : (cs.flags & FLAG_DEFAULT_32) !== 0 ? 32 : 16;
      base = this.isLong ? 0n : cs.base;
    }
    return { rip, bits, code: this.read(base + rip) };
  }

  private read(linear: bigint): Uint8Array {
    const first = this.readPage(linear, INSTRUCTION_BYTES_MAX);
    if (first.length === 0 || first.length === INSTRUCTION_BYTES_MAX) return first;
    return Buffer.concat([first, this.readPage(linear + BigInt(first.length), INSTRUCTION_BYTES_MAX - first.length)]);
  }
  /** Reads to the end of the page; empty if there is no RAM. */
  private readPage(linear: bigint, bytes: number): Uint8Array {
    const physical = this.core.translate(BigInt.asUintN(64, linear));
    if (physical === undefined) return new Uint8Array(0);
    return this.ram.subarray(physical, physical + Math.min(bytes, PAGE - (physical % PAGE)));
  }
}

/** `target` with some members replaced. All others are its own, and act on `target`. */
function override<T extends object>(target: T, members: Partial<T>): T {
  const bound = new Map<PropertyKey, unknown>();
  return new Proxy(target, {
    get: (own, key) => {
      if (key in members) return members[key as keyof T];
      const value: unknown = Reflect.get(own, key, own);
      if (typeof value !== "function") return value;
      const known = bound.get(key) ?? value.bind(own);
      bound.set(key, known);
      return known;
    },
    set: (own, key, value) => Reflect.set(own, key, value, own),
  });
}
