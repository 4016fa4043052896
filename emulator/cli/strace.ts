/**
 * `margay run --strace`: the system calls of the job's programs, in the manner of strace(1). The machine stops at the
 * entry of the SYSCALL instruction and at the kernel's way back, where registers and memory are what the program sees.
 * A core belongs to one rank for the whole job.
 * Stops change nothing in the run. A line is printed when its call returns: rank, core, call.
 */
import type { Machine, RunOptions, RunReason } from "../machine/machine.ts";
import { type ControlResult, type DebugStop, RunControl, type StepRequest } from "../machine/control.ts";
import { Syscall } from "../abi/syscalls.ts";
import { loadDisassembler } from "../trace/disassemble.ts";
import { elfSections } from "../trace/sections.ts";
import { type ReadMemory, TracedCall } from "../trace/strace.ts";
import { SymbolTable } from "../trace/symbols.ts";
import type { TraceSink } from "../trace/sink.ts";
import { UserError } from "./errors.ts";
import type { Driver } from "./gdb.ts";
import type { Placement } from "./placement.ts";

/** Stops after which the session looks for signals. */
const STOPS_AT_A_TIME = 2000;
const ARGUMENT_REGISTERS = ["rdi", "rsi", "rdx", "r10", "r8", "r9"] as const;
const NO_RETURN: readonly bigint[] = [BigInt(Syscall.EXIT), BigInt(Syscall.EXIT_GROUP)];
/** The kernel's function that SYSCALL enters. */
const ENTRY = "syscallEntry";
/** Instructions by which it goes back to the program. */
const RETURNS: readonly string[] = ["sysretq", "sysret", "iretq"];

interface Points {
  readonly entry: bigint;
  readonly returns: readonly bigint[];
}
/** `kernel`: its ELF image. */
export async function openStrace(
  kernel: Uint8Array,
  placement: Placement,
  print: (line: string) => void,
): Promise<Driver> {
  return new StraceDriver(await findPoints(kernel), placement, print);
}

async function findPoints(kernel: Uint8Array): Promise<Points> {
  const symbol = SymbolTable.fromElf(kernel).find(ENTRY);
  const refused = (): UserError =>
    new UserError("--strace", `the kernel image has no function ${ENTRY}`, "give a kernel of Margay with its symbols");
  if (symbol === undefined) throw refused();
  const section = elfSections(kernel).find(
    (s) => s.address <= symbol.address && symbol.address < s.address + BigInt(s.bytes.length),
  );
  if (section === undefined) throw refused();
  const code = section.bytes.subarray(Number(symbol.address - section.address)).subarray(0, symbol.bytes);
  const disassemble = await loadDisassembler();
  const returns: bigint[] = [];
  for (let at = 0; at < code.length; ) {
    const rip = symbol.address + BigInt(at);
    const { bytes, text } = disassemble(rip, code.subarray(at, at + 15), 64);
    if (RETURNS.includes(text)) returns.push(rip);
    at += Math.max(bytes, 1);
  }
  if (returns.length === 0) throw refused();
  return { entry: symbol.address, returns };
}

class StraceDriver implements Driver {
  readonly standing = false;
  readonly ended = false;
  readonly hasTerminal = false;
  private control!: RunControl;
  /** Calls that have not returned, by nid and core. */
  private readonly calls = new Map<
    string,
    { readonly nid: number; readonly core: number; readonly call: TracedCall }
  >();
  /** Ranks whose program runs: init's calls are not the program's. */
  private readonly started = new Set<number>();
  /** Cores that stand at a breakpoint, whose instruction they have yet to execute. */
  private steps: readonly StepRequest[] = [];

  constructor(
    private readonly points: Points,
    private readonly placement: Placement,
    private readonly print: (line: string) => void,
  ) {}

  sink(base: TraceSink): TraceSink {
    return base;
  }
  start(machine: Machine): void {
    this.control = new RunControl(machine);
    for (const { nid } of machine.nodes)
      for (const virtual of [this.points.entry, ...this.points.returns])
        this.control.addBreakpoint(nid, { virtual, space: null });
  }
  invite(): void {}
  interrupt(): void {}
  async advance(budget: number, options: RunOptions): Promise<RunReason> {
    for (let stops = 0; stops < STOPS_AT_A_TIME; stops++) {
      const result: ControlResult = this.control.runSlice(budget, this.steps, options);
      if (!("nid" in result)) return result.reason;
      if (result.reason === "step") this.steps = this.steps.filter((s) => !isAt(s, result));
      else {
        this.stopped(result);
        this.steps = [...this.steps.filter((s) => !isAt(s, result)), { nid: result.nid, core: result.core }];
      }
    }
    return "slice";
  }
  close(status: number): Promise<number> {
    for (const { nid, core, call } of this.calls.values()) this.show(nid, core, call.line(undefined, noMemory));
    this.calls.clear();
    return Promise.resolve(status);
  }
  remove(): void {}

  private stopped({ nid, core }: DebugStop): void {
    const key = `${nid}.${core}`;
    const cpu = this.control.core(nid, core);
    const read: ReadMemory = (address, bytes) => this.control.readMemory(nid, core, address, bytes);
    if (cpu.rip === this.points.entry) {
      const number = cpu.register("rax");
      // It goes to the program's first instruction, and never returns.
      if (number === BigInt(Syscall.MARGAY_START)) this.started.add(this.rankOn(nid, core));
      else if (this.started.has(this.rankOn(nid, core))) this.called(nid, core, number, read);
      return;
    }
    const pending = this.calls.get(key);
    if (pending === undefined) return;
    this.calls.delete(key);
    this.show(nid, core, pending.call.line(BigInt.asIntN(64, cpu.register("rax")), read));
  }
  private called(nid: number, core: number, number: bigint, read: ReadMemory): void {
    const cpu = this.control.core(nid, core);
    const registers = ARGUMENT_REGISTERS.map((name) => cpu.register(name));
    const call = new TracedCall(number, registers, read);
    if (NO_RETURN.includes(number)) this.show(nid, core, call.line(undefined, read));
    else this.calls.set(`${nid}.${core}`, { nid, core, call });
  }
  private show(nid: number, core: number, text: string): void {
    this.print(`[${this.rankOn(nid, core)}.${core}] ${text}`);
  }
  private rankOn(nid: number, core: number): number {
    const { nids, coresOfRank } = this.placement;
    return nids.findIndex((n, rank) => n === nid && ((coresOfRank?.[rank] ?? -1n) >> BigInt(core)) & 1n);
  }
}
const isAt = (step: StepRequest, stop: DebugStop): boolean => step.nid === stop.nid && step.core === stop.core;
const noMemory = (): Uint8Array => new Uint8Array(0);
