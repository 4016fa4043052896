/**
 * One core: the run loop around uc_emu_start, and the events that the hooks report during a run (translation,
 * exceptions, breakpoints). README.md describes how Unicorn counts, stops and faults.
 */
import { Exception } from "../../abi/x86.ts";
import { type Core, type CoreState, gprNames, type Place, type RunResult, type StopReason } from "../engine.ts";
import {
  ACCESS_FETCH,
  type AccessKind,
  PRIVILEGE_IMPLICIT,
  PRIVILEGE_SUPERVISOR,
  PRIVILEGE_USER,
  type Privilege,
} from "../x86/access.ts";
import { FAULT, NOT_CANONICAL } from "../x86/mmu.ts";
import { isCanonical } from "../x86/pagewalk.ts";
import type { WatchHit } from "../x86/stops.ts";
import { pageOf } from "../x86/tlb.ts";
import { type Address, type Binding, binding, ErrorCode } from "./binding.ts";
import { implicitTableAccess, repeatCount } from "./decode.ts";
import { Env } from "./environment.ts";
import { FaultProcessor, FETCH_OUTSIDE_RAM } from "./faults.ts";
import { loadsStackAtRip } from "./intercept.ts";
import type { Instance } from "./instance.ts";
import { CorePoints } from "./points.ts";
import type { Node } from "./processor.ts";
import { softwareInterruptBytes, statusBeforeStep } from "./translator.ts";

/** Instructions per uc_emu_start: bounds the amount of code that a run can translate. */
const RUN_LIMIT = 10_000;
/**
 * Upper bound of translated bytes per instruction, including its count hook, and of the bytes that one block may add.
 */
const TRANSLATED_BYTES = 1024;
const TRANSLATION_MARGIN = 2 << 20;
/** Shorter runs than this would cost more than a new translation. */
const SHORT_RUN = 1000;
/** CPU_INTERRUPT_HARD: "an interrupt is pending". Unicorn delivers it as soon as IF and the interrupt shadow allow. */
const INTERRUPT_HARD = 2;
const TWO_32 = 0x1_0000_0000;
const NONE = -1;

/** The core that is inside uc_emu_start. */
export const running: { core: UnicornCore | undefined } = { core: undefined };

export class UnicornCore extends FaultProcessor implements Core {
  readonly core = this;
  /** Permissions of the last successful fillTlb. */
  grantedPermissions = 0;

  private readonly unicorn: Binding = binding();
  private readonly handle: Address;
  protected readonly points: CorePoints;
  /** Virtual time; inside uc_emu_start, the time of that call. */
  private clock = 0;
  private stopRequested = false;

  // What the hooks have reported during the current uc_emu_start.
  /** Counter at a requestStop from a callback. */
  private stopAt = NONE;
  /** Counter at a write that dropped translations of this core: the running code may be one of them. */
  private retranslateAt = NONE;
  /** A refused TLB fill. */
  private missKind: AccessKind | typeof NONE = NONE;
  private missLow = 0;
  private missHigh = 0;
  private missError = 0;
  /** Counter at the point where Unicorn would have taken an interrupt, between two instructions. */
  private windowAt = NONE;
  /** An exception or INT n that Unicorn has raised. */
  private trapVector = NONE;
  private trapAt = 0;
  /** An exception that one of our callbacks has raised. */
  private raised:
    | {
        readonly vector: number;
        readonly errorCode: number;
        readonly address?: bigint;
        readonly rip: bigint;
        readonly at: number;
        /** The rest of the instruction, for example a port read, changes these registers. */
        readonly gpr: readonly bigint[];
        /** DR6. */
        readonly status: bigint;
      }
    | undefined;
  private thrown: { readonly error: unknown } | undefined;
  /** The translator's list of breakpoints has ended the run at RIP. */
  private debugged = false;
  /** After the run: the breakpoint is one of ours, and RIP is at it. */
  private atBreakpoint = false;
  /** Counter at an access that meets a watchpoint. */
  private watchAt = NONE;
  /**
   * During the search for an instruction that straddles into a faulting page: blocks have one instruction each, in this
   * page.
   */
  private shortBlocksIn: bigint | undefined;

  constructor(
    readonly index: number,
    instance: Instance,
    node: Node,
  ) {
    super(instance, node);
    this.handle = instance.handle;
    this.points = new CorePoints(this, index, instance.breakpoints);
    this.init();
  }

  // ---- time and running

  get time(): number {
    return running.core === this ? this.clock + Math.max(this.env.counter - 1, 0) : this.clock;
  }
  set time(value: number) {
    if (running.core === this) throw new Error(`core ${this.index}: its time cannot be set while it runs`);
    this.clock = value;
  }

  run(budget: number): RunResult {
    return this.runFor(budget, false);
  }

  runToWindow(budget: number): RunResult {
    return this.runFor(budget, true);
  }

  private runFor(budget: number, toWindow: boolean): RunResult {
    if (this.isShutdown) return { reason: "shutdown", retired: 0 };
    if (this.stopRequested) {
      this.stopRequested = false;
      return { reason: "stop", retired: 0 };
    }
    if (this.nmiPending && !this.nmiBlocked && !this.waitingForStartup) this.takeNmi();
    if (this.isHalted) return { reason: "halt", retired: 0 };
    const start = this.clock;
    for (;;) {
      if (this.points.hit) return this.endAtWatchpoint(this.clock - start);
      const left = budget - (this.clock - start);
      if (left < 0) throw new Error(`core ${this.index}: ${-left} instructions beyond a budget of ${budget}`);
      if (left === 0) return { reason: "budget", retired: this.clock - start };
      const reason = this.isShutdown ? "shutdown" : this.execute(Math.min(left, RUN_LIMIT), toWindow);
      if (this.points.hit && reason !== "shutdown") continue;
      if (reason) return { reason, retired: this.clock - start };
      if (toWindow && this.interruptible) return { reason: "window", retired: this.clock - start };
      if (this.atBreakpoint && this.clock - start < budget) {
        const id = this.points.breakpointAtRip();
        if (id !== undefined) return { reason: "breakpoint", retired: this.clock - start, id };
      }
    }
  }

  private endAtWatchpoint(retired: number): RunResult {
    const { id, virtual, write } = this.points.hit as WatchHit;
    this.points.hit = undefined;
    return { reason: "watchpoint", retired, id, accessed: { virtual, write } };
  }

  requestStop(): void {
    if (running.core === this) {
      this.stopAt = this.env.counter;
      this.env.countLimit = this.stopAt;
    } else {
      this.stopRequested = true;
    }
  }

  /**
   * The number of instructions, up to `count`, for which the translation buffer certainly has space. If space is short,
   * runs become shorter: the bound assumes the worst case, and most code needs a tenth. Drops all translations only
   * when the possible runs would be too short.
   */
  private withinSpace(count: number): number {
    const fits = Math.floor((this.env.translationSpace - TRANSLATION_MARGIN) / TRANSLATED_BYTES);
    if (fits >= count) return count;
    if (fits >= SHORT_RUN) return fits;
    this.instance.flushTranslations();
    return count;
  }

  /** Executes at most `count` instructions; returns the reason for the end of the run. undefined: continue. */
  private execute(count: number, toWindow: boolean): StopReason | undefined {
    const { debug, env } = this;
    if (!debug.isActive) return this.executeRun(count, toWindow);
    const { steps } = debug;
    if (steps) {
      if (debug.breaksAt(this.linearRip, this)) {
        this.deliver({ vector: Exception.DB, kind: "exception" });
        return this.isShutdown ? "shutdown" : undefined;
      }
      count = 1;
      env.resumeFlag = false; // so that what it is afterwards, the instruction has made it
    }
    const before = this.clock;
    const { rip } = this;
    const loadsStack = loadsStackAtRip(this);
    const reason = this.executeRun(count, toWindow);
    if (this.clock === before) return reason;
    // In a run of several instructions only the last can have met a breakpoint. The interrupt shadow shows what it has
    // loaded.
    const left = !steps || this.rip === rip ? repeatCount(this) : undefined;
    const resume = (steps && env.resumeFlag) || left !== undefined;
    env.resumeFlag = false;
    const holdsBack = this.interruptShadow && (steps ? loadsStack : debug.hasHits);
    const holds = holdsBack ? "stack load" : left === 0n && debug.hasHits ? "last iteration" : "no";
    if (!debug.retired(this, resume, holds)) return reason;
    this.isHalted = false;
    this.deliver({ vector: Exception.DB, kind: "exception" });
    return this.isShutdown ? "shutdown" : reason === "halt" ? undefined : reason;
  }

  /** As `execute`, in one uc_emu_start. */
  private executeRun(count: number, toWindow: boolean): StopReason | undefined {
    const env = this.env;
    // One at a time while an NMI is pending and waits for the IRET of the NMI in service.
    if (this.nmiPending) {
      if (!this.nmiBlocked) {
        this.takeNmi();
        return undefined;
      }
      count = 1;
    }
    const pass = this.points.isPassing;
    if (pass) count = this.points.passable(count);
    const short = this.shortBlocksIn !== undefined && this.shortBlocksIn === env.u64(Env.RIP) >> 12n;
    const shadow = this.interruptShadow; // Unicorn makes blocks of one instruction in it
    if (short) {
      count = 1;
      this.interruptShadow = true;
    } else {
      this.shortBlocksIn = undefined;
    }
    count = this.withinSpace(count);
    this.stopAt = NONE;
    this.retranslateAt = NONE;
    this.missKind = NONE;
    this.trapVector = NONE;
    this.windowAt = NONE;
    this.watchAt = NONE;
    this.debugged = false;
    this.atBreakpoint = false;
    if (toWindow) env.interruptRequest = INTERRUPT_HARD;
    if (pass) this.points.beforePass();

    const before = this.clock;
    const outer = running.core;
    running.core = this;
    let code: number;
    try {
      code = this.unicorn.start(this.handle, env.u64(Env.RIP), 0, 0, count);
    } finally {
      running.core = outer;
      if (toWindow) env.interruptRequest = 0;
      if (pass) this.points.afterPass();
    }
    const begun = env.counter;
    this.points.dropStaleCode();
    if (short && !shadow) this.interruptShadow = false; // none of the instructions sought through makes one
    if (this.thrown) this.rethrow(begun);
    if (this.raised) {
      // This exception precedes the single-step trap that Unicorn has reported: the instruction is not complete.
      const { vector, errorCode, address, rip, at, gpr, status } = this.raised;
      this.setDebugRegister(6, status);
      this.raised = undefined;
      this.points.hit = undefined;
      this.advance(at - 1);
      this.rip = rip;
      gpr.forEach((value, index) => this.setGpr(index, value));
      this.deliver({ vector, kind: "exception", errorCode, address });
    } else if (this.trapVector !== NONE) {
      this.afterTrap();
    } else if (code === ErrorCode.EXCEPTION && this.missKind !== NONE) {
      this.afterMiss(begun, count, begun === 0 && (short || shadow));
    } else if (code === ErrorCode.INSN_INVALID) {
      this.advance(begun - 1);
      env.setU32(Env.OLD_EXCEPTION, NONE);
      // Unicorn would keep the translation although the code is written.
      this.node.coherence.dropCodeAt(this.index, this.linearRip);
      this.deliver({ vector: Exception.UD, kind: "exception" });
    } else if (code !== ErrorCode.OK) {
      throw new Error(
        `unicorn: core ${this.index} stopped with error ${code} at RIP 0x${this.rip.toString(16)}, address 0x${env.invalidAddress.toString(16)}`,
      );
    } else if (this.stopAt !== NONE) {
      this.advance(this.stopAt);
    } else if (this.retranslateAt !== NONE) {
      this.advance(this.retranslateAt);
    } else if (this.watchAt !== NONE) {
      this.advance(this.watchAt);
    } else if (this.debugged) {
      this.advance(begun);
      if (!pass && this.points.isListed(this.linearRip)) this.atBreakpoint = true;
      // Unicorn does not count an instruction of ours: it may be the one after the last instruction of this run.
      else if (begun < count) this.afterIntercept();
    } else if (this.windowAt !== NONE) {
      this.advance(this.windowAt); // runFor sees that the window is open
    } else if (begun > count) {
      this.advance(count);
    } else {
      this.advance(begun);
      this.isHalted = true;
      return this.isShutdown ? "shutdown" : "halt";
    }
    if (pass && this.clock > before) this.points.passed();
    if (this.isShutdown) return "shutdown";
    return this.stopAt === NONE ? undefined : "stop";
  }

  protected advance(retired: number): void {
    this.clock += retired;
    if (retired > 0) this.progressed();
  }

  private rethrow(begun: number): never {
    const { error } = this.thrown as { error: unknown };
    this.thrown = undefined;
    this.raised = undefined;
    this.advance(Math.max(begun - 1, 0));
    throw error;
  }

  private afterTrap(): void {
    const env = this.env;
    const vector = this.trapVector;
    if (env.u32(Env.EXCEPTION_IS_INT)) {
      this.advance(this.trapAt);
      this.interruptShadow = false;
      this.deliver({ vector, kind: "software", instructionRip: this.rip - BigInt(softwareInterruptBytes()) });
    } else {
      // #DB is the single-step trap: its instruction has been completed.
      if (vector !== Exception.DB) this.points.hit = undefined;
      else if (!isCanonical(Number(this.rip >> 32n)) && this.faultsAtBranch(this.trapAt, statusBeforeStep())) return;
      this.advance(vector === Exception.DB ? this.trapAt : this.trapAt - 1);
      this.deliverFound(vector);
    }
  }

  private afterMiss(begun: number, count: number, isAtRip: boolean): void {
    const fetch = this.missKind === ACCESS_FETCH;
    const page = BigInt(this.missHigh) * BigInt(TWO_32) + BigInt(this.missLow);
    if (fetch && this.missError === NOT_CANONICAL && this.faultsAtBranch(begun)) return;
    this.advance(fetch ? begun : begun - 1);
    // An access that faulted was not made, so it met no watchpoint. If the access was made, the fetch of the following
    // code faulted; that fetch faults again when its turn comes.
    if (!fetch) this.points.hit = undefined;
    else if (this.points.hit) return;
    // This fault is after the last instruction of this run: the next run fetches it again.
    if (fetch && begun === count) return;
    if (fetch && !isAtRip && this.linearRip >> 12n !== page >> 12n) {
      // The block at RIP extends into the page. Blocks of one instruction show which instruction does.
      this.shortBlocksIn = this.rip >> 12n;
      return;
    }
    this.shortBlocksIn = undefined;
    // A breakpoint comes before the faults of fetching what is there (Intel SDM vol. 3A, table 6-2).
    if (fetch && !this.points.isPassing && this.points.isListed(this.linearRip)) {
      this.atBreakpoint = true;
      return;
    }
    this.deliverMiss(this.missKind as AccessKind, this.missError, page);
  }

  // ---- what the hooks call

  /**
   * Returns the physical address of the 4 KB page, with permissions in `grantedPermissions`. Negative: the access
   * faults.
   */
  fillTlb(low: number, high: number, access: AccessKind): number {
    let privilege: Privilege = PRIVILEGE_SUPERVISOR;
    if (this.env.cpl === 3) {
      const implicit =
        access !== ACCESS_FETCH && this.env.inSystemTable(low, high) && implicitTableAccess(this, access);
      privilege = implicit ? PRIVILEGE_IMPLICIT : PRIVILEGE_USER;
    }
    const page = this.mmu.translate(low, high, access, privilege);
    if (this.mmu.entryLeft) this.dropHostTlb();
    let error = this.mmu.errorCode;
    if (page !== FAULT) {
      const offset = this.node.memory.offsetOf(page);
      const isNewBreakpoint = this.points.filled(low, high, access, page, offset);
      if (offset >= 0) {
        this.grantedPermissions = this.node.coherence.fill(
          this.index,
          pageOf(low, high),
          offset,
          access,
          this.mmu.granted,
        );
        if (this.node.coherence.ownDropped || isNewBreakpoint) {
          this.node.coherence.ownDropped = false;
          this.endRun();
        }
        return page;
      }
      if (access !== ACCESS_FETCH) {
        this.grantedPermissions = this.mmu.granted;
        return page;
      }
      error = FETCH_OUTSIDE_RAM;
    }
    this.missKind = access;
    this.missLow = low;
    this.missHigh = high;
    this.missError = error;
    return FAULT;
  }

  noteException(vector: number): void {
    this.trapVector = vector;
    this.trapAt = this.env.counter;
    this.env.setU32(Env.OLD_EXCEPTION, NONE); // else Unicorn makes the next one a #DF
    this.unicorn.stop(this.handle);
  }

  /** The translator's list of breakpoints has ended the run at RIP. */
  noteDebugException(): void {
    this.debugged = true;
    this.unicorn.stop(this.handle); // else Unicorn waits for ever for a debugger
  }

  /**
   * An access to a watched page is about to be made. If it meets a watchpoint, the instruction is the last of the run.
   */
  noteAccess(low: number, high: number, bytes: number, write: boolean): void {
    if (!this.points.accessed(low, high, bytes, write)) return;
    this.watchAt = this.env.counter;
    this.env.countLimit = this.watchAt;
  }

  protected override noteOwnAccess(linear: bigint, bytes: number, write: boolean): void {
    this.points.ownAccess(linear, bytes, write);
  }
  protected override debugChanged(): void {
    this.points.debugChanged();
    if (running.core === this) this.endRun();
  }
  override endRun(): void {
    this.retranslateAt = this.env.counter;
    this.env.countLimit = this.retranslateAt;
  }

  noteWindow(): void {
    this.windowAt = this.env.counter;
    this.unicorn.stop(this.handle);
  }

  /**
   * Raises an exception at the current instruction, from inside it. The instruction changes nothing else and does not
   * retire.
   */
  raise(vector: number, errorCode: number, address?: bigint): void {
    if (this.raised) return;
    const at = this.env.counter;
    this.raised = {
      vector,
      errorCode,
      address,
      rip: this.env.u64(Env.RIP),
      at,
      gpr: gprNames.map((_, index) => this.gpr(index)),
      status: this.debugRegister(6),
    };
    this.env.countLimit = at;
  }

  /** A callback has thrown: stops the core, and `run` throws the error. */
  abort(error: unknown): void {
    this.thrown ??= { error };
    this.env.countLimit = 0;
  }

  // ---- state

  protected override forgetRun(): void {
    this.shortBlocksIn = undefined;
    this.points.forget();
  }
  close(): void {
    this.points.close();
  }
  passBreakpoint(): void {
    this.points.pass();
  }
  /** The node's breakpoints or watchpoints have changed. */
  breakpointChanged(where: Place): void {
    this.points.breakpointChanged(where);
  }
  watchpointsChanged(removed?: number): void {
    this.points.watchpointsChanged(removed);
  }
  override restore(state: CoreState): void {
    super.restore(state);
    this.stopRequested = false;
  }
}
