/**
 * A target without a processor: cores that execute toy instructions in turn, one each, from a memory that all cores of
 * a node share. It is enough for a real gdb: it reads registers and memory, sets points, steps and continues. 0x90
 * next; 0xeb REL8 jump; 0x01 u64 [0x3000 + 8·core]++; 0x02 u64 rax ← [0x3000]; 0xf4 stop for ever.
 */
import type { CoreState, Gpr, Place, Segment, SegmentName, WatchKind } from "../../emulator/cpu/engine.ts";
import { gprNames } from "../../emulator/cpu/engine.ts";
import type { StepRequest } from "../../emulator/machine/control.ts";
import type { CoreId, CoreRegisters, Target, TargetFile, TargetStop, Task } from "../../emulator/gdb/target.ts";

export const CODE = 0x1000n;
export const HIGH = 0xffff_ffff_8000_0000n;
const DATA = 0x3000;
const MEMORY_BYTES = 0x8000;

function coreState(rip: bigint): CoreState {
  const segment = (): Segment => ({ selector: 8, base: 0n, limit: 0xffff_ffff, flags: 0 });
  const names: readonly SegmentName[] = ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"];
  const fx = new Uint8Array(512);
  fx[0] = 0x7f;
  fx[1] = 3;
  return {
    gpr: Object.fromEntries(gprNames.map((name, i) => [name, name === "rsp" ? 0x7ff0n : BigInt(i)])) as Record<
      Gpr,
      bigint
    >,
    rip,
    rflags: 2n,
    segments: Object.fromEntries(names.map((name) => [name, segment()])) as Record<SegmentName, Segment>,
    gdtr: { base: 0n, limit: 0 },
    idtr: { base: 0n, limit: 0 },
    cr0: 0x8000_0011n,
    cr2: 0n,
    cr3: 0x1000n,
    cr4: 0x20n,
    efer: 0x500n,
    star: 0n,
    lstar: 0n,
    cstar: 0n,
    fmask: 0n,
    kernelGsBase: 0n,
    tscAux: 0n,
    tscOffset: 0n,
    pat: 0n,
    sysenter: { cs: 0n, esp: 0n, eip: 0n },
    debug: Array.from({ length: 8 }, () => 0n),
    fx,
    interruptShadow: false,
    halted: false,
    waitingForStartup: false,
    shutdown: false,
    nmiBlocked: false,
    nmiPending: false,
    time: 0,
    resume: false,
    debugPending: 0,
    tlb: [],
  };
}

interface Watch {
  readonly id: number;
  readonly address: number;
  readonly bytes: number;
  readonly kind: WatchKind;
}
interface ToyNode {
  readonly memory: Uint8Array;
  readonly cores: CoreState[];
  readonly breakpoints: Map<number, bigint>;
  readonly watches: Map<number, Watch>;
  /** The task in whose address space the cores run. */
  task: Task | undefined;
}

export class ToyTarget implements Target {
  readonly nids: readonly number[];
  readonly nodes: Map<number, ToyNode>;
  files: readonly TargetFile[] = [];
  /** Number of changes to its state, by a debugger or by a core. */
  changes = 0;
  /** Ends the run after this many turns. */
  turnsLeft = Number.POSITIVE_INFINITY;
  private nextId = 1;
  /** The next core to run: node and core as one number. */
  turn = 0;
  /** A core that stopped at a breakpoint passes it once. */
  private readonly passed = new Set<string>();

  constructor(nodes: number, cores: number, program: readonly number[], address = CODE) {
    this.nids = Array.from({ length: nodes }, (_, i) => i + 1);
    this.nodes = new Map(
      this.nids.map((nid) => {
        const memory = new Uint8Array(MEMORY_BYTES);
        memory.set(program, Number(BigInt.asUintN(15, address)));
        return [
          nid,
          {
            memory,
            cores: Array.from({ length: cores }, () => coreState(address)),
            breakpoints: new Map<number, bigint>(),
            watches: new Map<number, Watch>(),
            task: undefined,
          },
        ];
      }),
    );
  }

  cores(nid: number): number {
    return this.nodes.get(nid)?.cores.length ?? 0;
  }
  state({ nid, core }: CoreId): CoreState {
    return this.nodes.get(nid)!.cores[core]!;
  }
  registers(id: CoreId): CoreRegisters {
    const state = this.state(id);
    return {
      register: (name) =>
        name in state.gpr ? state.gpr[name as Gpr] : name === "rip" ? state.rip : name === "rflags" ? state.rflags : 0n,
      setRegister: (name, value) => {
        this.changes++;
        if (name in state.gpr) state.gpr[name as Gpr] = value;
        else if (name === "rip") state.rip = value;
      },
      readFx: () => state.fx.slice(),
      writeFx: (image) => {
        this.changes++;
        state.fx.set(image);
      },
    };
  }
  read({ nid }: CoreId, address: bigint, length: number): Uint8Array {
    const at = offset(address);
    return at === undefined ? new Uint8Array() : this.nodes.get(nid)!.memory.slice(at, at + length);
  }
  write({ nid }: CoreId, address: bigint, bytes: Uint8Array): boolean {
    const at = offset(address);
    if (at === undefined || at + bytes.length > MEMORY_BYTES) return false;
    this.changes++;
    this.nodes.get(nid)!.memory.set(bytes, at);
    return true;
  }
  addBreakpoint(nid: number, place: Place): number {
    if (!("virtual" in place)) return 0;
    this.nodes.get(nid)!.breakpoints.set(this.nextId, place.virtual);
    return this.nextId++;
  }
  removeBreakpoint(nid: number, id: number): void {
    this.nodes.get(nid)!.breakpoints.delete(id);
  }
  addWatchpoint(nid: number, place: Place, bytes: number, kind: WatchKind): number {
    const address = "virtual" in place ? offset(place.virtual) : undefined;
    if (address === undefined) return 0;
    this.nodes.get(nid)!.watches.set(this.nextId, { id: this.nextId, address, bytes, kind });
    return this.nextId++;
  }
  removeWatchpoint(nid: number, id: number): void {
    this.nodes.get(nid)!.watches.delete(id);
  }

  advance(budget: number, steps: readonly StepRequest[]): TargetStop {
    const all = this.nids.flatMap((nid) => this.nodes.get(nid)!.cores.map((_, core) => ({ nid, core })));
    for (let i = 0; i < budget; i++) {
      if (this.turnsLeft-- <= 0) return { kind: "end" };
      if (all.every((id) => this.state(id).halted)) return { kind: "idle" };
      const id = all[this.turn % all.length]!;
      if (this.state(id).halted) {
        this.turn++;
        continue;
      }
      const stop = this.execute(id);
      if (stop?.kind !== "breakpoint") this.turn++;
      if (stop !== undefined) return stop;
      const step = steps.find((s) => s.nid === id.nid && s.core === id.core);
      const { rip } = this.state(id);
      if (step !== undefined && !(step.range !== undefined && rip >= step.range.start && rip < step.range.end))
        return { kind: "step", ...id };
    }
    return { kind: "slice" };
  }

  private execute(id: CoreId): TargetStop | undefined {
    this.changes++;
    const node = this.nodes.get(id.nid)!;
    const state = this.state(id);
    const name = `${id.nid}.${id.core}@${state.rip}`;
    for (const [point, address] of node.breakpoints) {
      if (address !== state.rip || this.passed.delete(name)) continue;
      this.passed.add(name);
      return { kind: "breakpoint", id: point, ...id };
    }
    this.passed.delete(name);
    const view = new DataView(node.memory.buffer);
    const at = offset(state.rip);
    const watched = (address: number, write: boolean): TargetStop | undefined => {
      for (const watch of node.watches.values()) {
        const fits = watch.kind === "access" || (watch.kind === "write") === write;
        if (fits && address < watch.address + watch.bytes && address + 8 > watch.address)
          return { kind: "watchpoint", id: watch.id, virtual: BigInt(address), write, ...id };
      }
      return undefined;
    };
    switch (at === undefined ? undefined : node.memory[at]) {
      case 0x90:
        state.rip++;
        return undefined;
      case 0xeb:
        state.rip += 2n + BigInt(view.getInt8(at! + 1));
        return undefined;
      case 0x01: {
        const word = DATA + 8 * id.core;
        view.setBigUint64(word, view.getBigUint64(word, true) + 1n, true);
        state.rip++;
        return watched(word, true);
      }
      case 0x02:
        state.gpr.rax = view.getBigUint64(DATA, true);
        state.rip++;
        return watched(DATA, false);
      case 0xf4:
        state.halted = true;
        return undefined;
      default:
        return { kind: "fault", text: `no instruction at 0x${state.rip.toString(16)}`, ...id };
    }
  }

  describe(id: CoreId): string {
    return this.state(id).halted ? "halted" : "toy";
  }
  tasks(nid: number): readonly Task[] {
    const { task } = this.nodes.get(nid)!;
    return task === undefined ? [] : [task];
  }
  taskOf({ nid }: CoreId): Task | undefined {
    return this.nodes.get(nid)!.task;
  }
  libraries(): readonly TargetFile[] {
    return this.files.slice(1);
  }
  monitor(_id: CoreId, command: string): string {
    return `toy: ${command}\n`;
  }
}

/** The low and the high half's lowest 32 KB are the same memory. */
function offset(address: bigint): number | undefined {
  const low = address >= HIGH ? address - HIGH : address;
  return low < BigInt(MEMORY_BYTES) ? Number(low) : undefined;
}
