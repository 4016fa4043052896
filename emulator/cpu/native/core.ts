/**
 * One core: the run loop. Translated code runs until it leaves by an exit (cache.ts). The loop handles the exit or
 * executes the instruction by itself (step.ts), and goes on. The head of the loop, between instructions, decides every
 * end of a run.
 */
import { Rflags } from "../../abi/x86.ts";
import type { Core, RunResult, StopReason } from "../engine.ts";
import { ACCESS_FETCH, Fault } from "../x86/access.ts";
import { Dr6 } from "../x86/debug.ts";
import type { WatchHit } from "../x86/stops.ts";
import { ExitKind, PAGE, type TranslationCache } from "./cache.ts";
import { CRASHED, crashOf } from "./crash.ts";
import { decode, Instruction } from "./decode.ts";
import { Env, type Environment } from "./environment.ts";
import type { Machine } from "./interpret/operands.ts";
import { readFxImage, writeFxImage, FX_BYTES } from "./fximage.ts";
import { CodeLinks, type Link } from "./links.ts";
import type { Node } from "./registers.ts";
import { execute, fetchInstruction } from "./step.ts";
import type { Translator } from "./translate.ts";

const DEBUG_EXCEPTION = 1;
const RSP = 4;

export class NativeCore extends CodeLinks implements Core, Machine {
  readonly core = this;
  nextRip = 0n;
  private clock = 0;
  private running = false;
  /** The budget of the current run. */
  private runBudget = 0;
  private stopRequested = false;
  /** Stop before the next instruction. */
  private stopNow = false;
  /** A string instruction must be continued. */
  private unfinished = false;
  resumes = false;
  private softwareInterrupt: { vector: number; kind: "software" | "exception" } | undefined;
  private hit: WatchHit | undefined;
  /** The instruction at this address is executed even if a breakpoint is there. */
  private passing: bigint | undefined;

  constructor(
    readonly index: number,
    env: Environment,
    node: Node,
    cache: TranslationCache,
    translator: Translator,
  ) {
    super(env, node, cache, translator);
    this.init();
  }

  // ---- time and running

  get time(): number {
    return this.running ? this.clock + this.runBudget - this.env.budget : this.clock;
  }
  set time(value: number) {
    if (this.running) throw new Error(`core ${this.index}: its time cannot be set while it runs`);
    this.clock = value;
  }

  run(budget: number): RunResult {
    return this.runFor(budget, false);
  }
  runToWindow(budget: number): RunResult {
    return this.runFor(budget, true);
  }

  requestStop(): void {
    if (this.running) this.stopNow = true;
    else this.stopRequested = true;
  }

  private runFor(budget: number, toWindow: boolean): RunResult {
    if (this.isShutdown) return { reason: "shutdown", retired: 0 };
    if (this.stopRequested) {
      this.stopRequested = false;
      return { reason: "stop", retired: 0 };
    }
    if (this.nmiPending && !this.nmiBlocked && !this.waitingForStartup) this.takeNmi();
    if (this.isHalted && !this.isShutdown) return { reason: "halt", retired: 0 };
    const start = this.clock;
    // In translated code the budget is a 32-bit number.
    for (let left = budget; ; left = budget - (this.clock - start)) {
      const result = this.runPiece(Math.min(left, 0x3fff_ffff), toWindow);
      const retired = this.clock - start;
      if (result.reason !== "budget" || retired >= budget) return { ...result, retired };
    }
  }

  private runPiece(budget: number, toWindow: boolean): RunResult {
    this.runBudget = budget;
    this.env.budget = budget;
    this.env.setU32(Env.X87_LIVE, 0);
    this.running = true;
    this.publishClock();
    try {
      return this.loop(toWindow);
    } finally {
      this.running = false;
      this.clock += budget - this.env.budget;
      this.stopNow = false;
    }
  }

  /** For translated RDTSC and RDTSCP. */
  private publishClock(): void {
    const { env, node } = this;
    const end = node.tscBase + this.tscOffset + BigInt(this.clock + this.runBudget);
    env.setU64(Env.TSC_END, BigInt.asUintN(64, end));
    env.setU32(Env.TSC_AUX, Number(this.tscAux & 0xffff_ffffn));
  }

  private loop(toWindow: boolean): RunResult {
    const { env } = this;
    const ended = (reason: StopReason): RunResult => ({ reason, retired: 0 });
    for (;;) {
      if (this.isShutdown) return ended("shutdown");
      if (this.hit) {
        const { id, virtual, write } = this.hit;
        this.hit = undefined;
        return { reason: "watchpoint", retired: 0, id, accessed: { virtual, write } };
      }
      if (this.isHalted) return ended("halt");
      if (this.stopNow) return ended("stop");
      if (toWindow && this.interruptible) return ended("window");
      if (env.budget <= 0) return ended("budget");
      if (this.nmiPending && !this.nmiBlocked) {
        this.takeNmi();
        continue;
      }
      if (this.passing !== undefined && this.passing !== this.rip) this.passing = undefined;
      if (
        this.debug.isActive ||
        this.codeMode !== 64 ||
        this.interruptShadow ||
        this.passing !== undefined ||
        this.needsSteps
      ) {
        if (this.passing === undefined) {
          const id = this.breakpointHere();
          if (id !== undefined) return { reason: "breakpoint", retired: 0, id };
        }
        this.step(undefined);
        continue;
      }
      const id = this.translated();
      if (id !== undefined) return { reason: "breakpoint", retired: 0, id };
    }
  }

  /** TF is set, or accesses must be checked for alignment. */
  private get needsSteps(): boolean {
    return this.singleSteps || this.alignmentChecks;
  }
  private get singleSteps(): boolean {
    return (this.env.u32(Env.SYSTEM_FLAGS) & Rflags.TF) !== 0;
  }

  /**
   * Runs translated code from RIP until something has to be looked at. A breakpoint's id, if one is met. Where a branch
   * goes is looked up only if the budget lets it be executed: an interrupt may come first, and a page that is looked up
   * shows in the TLB and in its accessed bit.
   */
  private translated(): number | undefined {
    const { cache, env } = this;
    let code = this.codeAt(this.pc);
    if (code === undefined) {
      this.step(undefined);
      return undefined;
    }
    for (;;) {
      const id = cache.enter(env.address, cache.base + code);
      if (id === CRASHED) throw crashOf(env, cache.map);
      const { exits } = cache;
      const pc = exits.pc[id];
      switch (exits.kind[id]) {
        case ExitKind.MISS: {
          const access = exits.access[id];
          if (this.fill(access & 0xff, access > 0xff)) {
            code = exits.at[id];
            continue;
          }
          env.budget += exits.undone[id];
          this.setPc(pc);
          this.step(undefined);
          return undefined;
        }
        case ExitKind.INTERPRET:
          env.budget += exits.undone[id];
          this.setPc(pc);
          if (env.budget > 0) this.step(exits.insn[id]);
          return undefined;
        case ExitKind.LINK: {
          this.setPc(pc);
          if (env.budget <= 0) return undefined;
          const { generation } = cache;
          const next = this.codeAt(pc);
          if (next === undefined) return undefined;
          if (cache.generation === generation) cache.emitter.patch(exits.at[id], next);
          code = next;
          continue;
        }
        case ExitKind.SHORT: {
          this.setPc(pc);
          if (env.budget === 0) return undefined;
          const { generation } = cache;
          cache.reserve();
          const link = this.linkTo(pc);
          if (link === undefined) return undefined;
          const next = this.translator.countedBlock(link.page, pc - link.page.linear);
          if (cache.generation === generation) cache.emitter.patch(exits.at[id], next);
          code = next;
          continue;
        }
        case ExitKind.BUDGET:
          this.setPc(pc);
          return undefined;
        case ExitKind.BRANCH: {
          const high = env.u32(Env.TARGET + 4) | 0;
          if (high >> 15 !== 0 && high >> 15 !== -1) {
            this.branchFault(pc);
            return undefined;
          }
          const target = env.address64(Env.TARGET);
          this.setPc(target);
          if (env.budget <= 0) return undefined;
          const next = this.codeAt(target);
          if (next === undefined) return undefined;
          env.enterJump(this.privilegeIndex, target, cache.base + next);
          code = next;
          continue;
        }
        case ExitKind.FAR: {
          this.setPc(pc);
          if (env.budget <= 0) return undefined;
          const { generation } = cache;
          const next = this.codeAt(pc);
          if (next === undefined) return undefined;
          if (exits.at[id] !== 0 && cache.generation === generation) {
            const { page } = this.linkTo(pc) as Link;
            this.translator.linkFar(exits.at[id], page, pc - page.linear);
            exits.at[id] = 0;
          }
          code = next;
          continue;
        }
        case ExitKind.BREAKPOINT: {
          this.setPc(pc);
          if (env.budget <= 0) return undefined;
          const point = this.breakpointHere();
          if (point === undefined) this.step(undefined);
          return point;
        }
        default:
          throw new Error(`native: exit ${exits.kind[id]}`);
      }
    }
  }

  /** A branch to a non-canonical address: #GP at the instruction at `pc`, which has moved RSP. */
  private branchFault(pc: number): void {
    const { env } = this;
    this.setPc(pc);
    env.budget++;
    const insn = this.decodeAgain();
    if (insn?.row?.how === "ret")
      this.setGpr(RSP, this.gpr(RSP) - 8n - BigInt(insn.row.immediate ? insn.immediate & 0xffff : 0));
    else if (insn?.row?.how === "callind") this.setGpr(RSP, this.gpr(RSP) + 8n);
    this.deliver({ vector: 13, kind: "exception", errorCode: 0 });
  }
  private decodeAgain(): Instruction | undefined {
    const link = this.linkTo(this.pc);
    const result = link && decode(link.page.content, this.pc - link.page.linear, PAGE, 64);
    return result instanceof Instruction ? result : undefined;
  }

  // ---- one instruction

  /** Executes the instruction at RIP, or delivers its exception. `insn`: the decoded instruction. */
  private step(insn: Instruction | undefined): void {
    if (this.debug.isActive && this.debug.breaksAt(this.linearRip, this)) {
      this.deliver({ vector: DEBUG_EXCEPTION, kind: "exception" });
      return;
    }
    const traps = this.singleSteps;
    const shadow = this.interruptShadow;
    this.unfinished = false;
    this.codeChanged = false;
    this.softwareInterrupt = undefined;
    try {
      insn ??= fetchInstruction(this);
      this.nextRip = this.ripBehind(insn);
      execute(this, insn, this.translator);
      if (insn.row?.how === "system") this.publishClock(); // WRMSR
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      this.hit = undefined;
      this.deliver({
        vector: fault.vector,
        kind: "exception",
        errorCode: fault.errorCode,
        ...(fault.address === undefined ? {} : { address: fault.address }),
      });
      return;
    }
    if (shadow && this.interruptShadow && !insn.setsShadow) this.interruptShadow = false;
    if (this.unfinished) {
      const isLast = this.debug.hasHits && !traps && this.readGpr(1, insn.addressBytes) === 0n;
      const met = this.debug.isActive && this.debug.retired(this, true, isLast ? "last iteration" : "no");
      if (traps) this.trap();
      else if (met) this.deliver({ vector: DEBUG_EXCEPTION, kind: "exception" });
      return;
    }
    const at = this.rip;
    this.rip = this.nextRip;
    this.passing = undefined;
    this.env.budget--;
    this.progressed();
    const software = this.softwareInterrupt as { vector: number; kind: "software" | "exception" } | undefined;
    const loadsStack = insn.setsShadow && insn.row?.how !== "sti";
    const met = this.debug.isActive && this.debug.retired(this, this.resumes, loadsStack ? "stack load" : "no");
    this.resumes = false;
    if (software) this.deliver({ ...software, instructionRip: at });
    else if (this.trapsAfter(insn, traps)) this.trap();
    else if (met) {
      this.isHalted = false;
      this.deliver({ vector: DEBUG_EXCEPTION, kind: "exception" });
    }
  }

  /**
   * Single step: by the TF before the instruction; after SYSCALL and SYSRET, by the TF after it. Never between MOV SS
   * and the next instruction.
   */
  private trapsAfter(insn: Instruction, before: boolean): boolean {
    const how = insn.row?.how;
    if (how === "syscall" || how === "sysret") return this.singleSteps;
    return before && !this.isHalted && !(insn.setsShadow && how !== "sti");
  }
  private trap(): void {
    this.setDebugRegister(6, this.debugRegister(6) | Dr6.BS);
    this.deliver({ vector: DEBUG_EXCEPTION, kind: "exception" });
  }

  private ripBehind(insn: Instruction): bigint {
    const next = this.rip + BigInt(insn.length);
    return this.codeMode === 64 ? BigInt.asUintN(64, next) : BigInt.asUintN(this.codeMode, next);
  }

  get budgetLeft(): number {
    return this.env.budget;
  }
  retireIterations(count: number): boolean {
    this.env.budget -= count;
    this.progressed();
    const { budget } = this.env;
    const stops = this.stopNow || this.hit !== undefined || this.debug.hasHits || this.singleSteps || this.codeChanged;
    const goesOn = budget > 0 && !stops;
    if (!goesOn) this.unfinished = true;
    return goesOn;
  }
  interrupt(vector: number, kind: "software" | "exception"): void {
    this.softwareInterrupt = { vector, kind };
  }
  halt(): void {
    this.isHalted = true;
  }
  inPort(port: number, bytes: number): number {
    this.debug.accessedPort(port, bytes, this.cr4);
    return this.node.bus.readPort(this, port, bytes) >>> 0;
  }
  outPort(port: number, bytes: number, value: number): void {
    this.debug.accessedPort(port, bytes, this.cr4);
    this.node.bus.writePort(this, port, bytes, value);
  }
  enterAlone(code: number): void {
    if (this.cache.enter(this.env.address, this.cache.base + code) === CRASHED) throw crashOf(this.env, this.cache.map);
  }
  fetchBytes(linear: bigint, to: Uint8Array): void {
    const physical = this.translateOrThrow(linear, ACCESS_FETCH, this.privilege);
    const offset = this.node.memory.offsetOf(physical);
    if (offset < 0) {
      to.fill(0xff); // undefined opcodes
      return;
    }
    this.node.code.noteFetched(offset);
    to.set(this.node.memory.bytes.subarray(offset, offset + to.length));
  }

  // ---- breakpoints and watchpoints

  private readonly resident = (linear: bigint): number | undefined => this.mmu.resident(linear);

  /** The breakpoint at RIP. The next run passes it. */
  private breakpointHere(): number | undefined {
    const id = this.node.stops.breakpointAt(this.linearRip, this.space, this.resident);
    if (id !== undefined) this.passing = this.rip;
    return id;
  }
  passBreakpoint(): void {
    this.passing = this.rip;
  }
  protected noteAccess(linear: bigint, bytes: number, write: boolean): void {
    const { stops } = this.node;
    if (this.debug.watches) this.debug.accessed(linear, bytes, write);
    if (stops.isWatching) this.hit ??= stops.watchHit(linear, bytes, write, this.space, this.resident);
  }
  watchpointsChanged(removed?: number): void {
    if (this.hit?.id === removed) this.hit = undefined;
    this.env.forgetTlb();
  }

  // ---- state

  protected forgetRun(): void {
    this.passing = undefined;
    this.hit = undefined;
    this.stopRequested = false;
  }
  flushCaches(): void {
    this.env.forgetTlb();
    this.dropCodeLinks();
  }
  readFx(): Uint8Array {
    const image = new Uint8Array(FX_BYTES);
    readFxImage(this, image);
    return image;
  }
  writeFx(image: Uint8Array): void {
    writeFxImage(this, image);
  }
}
