/**
 * The parts of a core that are the same in every engine: events between instructions (exceptions and interrupts, NMI,
 * INIT, SIPI, the PVH start), its clock, its registers by name, and saving and restoring its state. An engine
 * implements the abstract members; engine.ts documents the public ones.
 */
import { Cr0, Exception } from "../../abi/x86.ts";
import { type Bus, type Core, type CoreState, gprNames, type Segment } from "../engine.ts";
import type { Privilege, SegmentIndex as Index, TableRegister } from "./access.ts";
import { SegmentIndex } from "./access.ts";
import { DebugUnit } from "./debug.ts";
import { type CpuEvent, deliverEvent } from "./deliver.ts";
import type { Mmu } from "./mmu.ts";
import { type PagingRegister, type PlainRegister, readRegister, writeRegister } from "./registers.ts";
import { restoreCore, type SavedCore, saveCore } from "./snapshot.ts";
import { DEBUG_AT_START, initState, pvhState, type StartState, startupSegment } from "./start.ts";

/**
 * Consecutive events without an instruction: a handler that can never start. A real processor hangs; this model shuts
 * down.
 */
const EVENT_LIMIT = 10_000;
const CPUID_SIGNATURE = 1;

export abstract class BaseCore implements SavedCore {
  tscOffset = 0n;
  isHalted = true;
  waitingForStartup = true;
  isShutdown = false;
  nmiPending = false;
  readonly debug = new DebugUnit();
  private eventsInARow = 0;

  /** The core object that the bus gets. */
  abstract readonly core: Core;
  abstract readonly node: { readonly bus: Bus; readonly tscBase: bigint };
  abstract readonly mmu: Mmu;
  abstract time: number;
  abstract readonly cr0: number;
  abstract readonly cr4: number;
  abstract readonly efer: number;
  abstract cr2: bigint;
  abstract rip: bigint;
  abstract rflags: bigint;
  /** RFLAGS.IF. */
  abstract readonly interruptsEnabled: boolean;
  abstract readonly cpl: number;
  abstract interruptShadow: boolean;
  abstract nmiBlocked: boolean;
  abstract readonly gdtr: TableRegister;
  abstract readonly idtr: TableRegister;
  abstract gpr(index: number): bigint;
  abstract setGpr(index: number, value: bigint): void;
  abstract segment(index: Index): Segment;
  abstract setSegment(index: Index, segment: Segment): void;
  abstract setHiddenPart(index: Index, segment: Segment): void;
  abstract plain(name: PlainRegister | PagingRegister): bigint;
  abstract setPlain(name: PlainRegister | PagingRegister, value: bigint): void;
  abstract pagingChanged(): void;
  abstract debugRegister(index: number): bigint;
  abstract setDebugRegister(index: number, value: bigint): void;
  abstract readFx(): Uint8Array;
  abstract writeFx(image: Uint8Array): void;
  abstract enterMode(cpl: number): void;
  abstract dropHostTlb(): void;
  abstract readLinear(address: bigint, bytes: number, privilege: Privilege): bigint;
  abstract writeLinear(address: bigint, bytes: number, value: bigint, privilege: Privilege): void;
  abstract checkWrite(address: bigint, bytes: number, privilege: Privilege): void;
  /** The core's state has been replaced: everything remembered from the previous run is void. */
  protected abstract forgetRun(): void;

  /** An instruction has retired. */
  protected progressed(): void {
    this.eventsInARow = 0;
  }

  get timestamp(): bigint {
    return BigInt.asUintN(64, this.node.tscBase + this.tscOffset + BigInt(this.time));
  }
  set timestamp(value: bigint) {
    this.tscOffset = BigInt.asIntN(64, this.tscOffset + value - this.timestamp);
  }
  get taskPriority(): number {
    return this.node.bus.readTaskPriority(this.core);
  }
  set taskPriority(value: number) {
    this.node.bus.writeTaskPriority(this.core, value);
  }

  // ---- events

  get halted(): boolean {
    return this.isHalted;
  }
  get interruptible(): boolean {
    return this.interruptsEnabled && !this.interruptShadow && !this.waitingForStartup && !this.isShutdown;
  }

  injectInterrupt(vector: number): void {
    if (this.waitingForStartup || this.isShutdown)
      throw new Error(
        `core ${this.core.index}: interrupt for a core that is ${this.isShutdown ? "shut down" : "waiting for SIPI"}`,
      );
    this.isHalted = false;
    this.deliver({ vector, kind: "external" });
  }

  /** While an NMI is being served, one more waits for the IRET. */
  injectNmi(): void {
    if (this.waitingForStartup || this.isShutdown) return;
    if (this.nmiBlocked) this.nmiPending = true;
    else this.takeNmi();
  }

  protected takeNmi(): void {
    this.nmiPending = false;
    this.nmiBlocked = true;
    this.isHalted = false;
    this.deliver({ vector: 2, kind: "external" });
  }

  private readonly doubled = (first: number, second: number, rip: bigint): void =>
    this.node.bus.doubleFault?.(this.core, first, second, rip);

  protected deliver(event: CpuEvent): void {
    this.eventsInARow++;
    const isDebug = event.vector === Exception.DB && event.kind === "exception";
    if ((isDebug || this.debug.isActive) && this.debug.delivered(this, isDebug) && event.kind !== "software")
      event = { ...event, resumes: true };
    if (!deliverEvent(this, event, this.doubled) || this.eventsInARow > EVENT_LIMIT) {
      this.isShutdown = true;
      this.isHalted = true;
      return;
    }
    this.node.bus.delivered?.(this.core, event.vector);
  }

  // ---- starting

  init(): void {
    const keep = this.cr0 & (Cr0.CD | Cr0.NW);
    const signature = this.node.bus.cpuid(this.core, CPUID_SIGNATURE, 0)[0];
    this.enter(initState(signature), keep);
    this.waitingForStartup = true;
    this.isHalted = true;
  }

  startup(page: number): void {
    if (!this.waitingForStartup) return;
    this.setSegment(SegmentIndex.CS, startupSegment(page));
    this.rip = 0n;
    this.waitingForStartup = false;
    this.isHalted = false;
  }

  startPvh(entry: number, startInfo: number): void {
    this.enter(pvhState(entry, startInfo), 0);
    this.waitingForStartup = false;
    this.isHalted = false;
  }

  private enter(state: StartState, cr0Kept: number): void {
    for (let index = 0; index < gprNames.length; index++) this.setGpr(index, state.gpr.get(index) ?? 0n);
    const cache = Cr0.CD | Cr0.NW;
    this.setPlain("cr0", BigInt(((state.cr0 & ~cache) | ((state.cr0 | cr0Kept) & cache)) >>> 0));
    for (const name of ["cr2", "cr3", "cr4", "efer", "gdtr_base", "idtr_base"] as const) this.setPlain(name, 0n);
    for (const name of ["gdtr_limit", "idtr_limit"] as const) this.setPlain(name, 0xffffn);
    state.segments.forEach((segment, index) => this.setHiddenPart(index as Index, segment));
    DEBUG_AT_START.forEach((value, index) => this.setDebugRegister(index, value));
    this.rflags = state.rflags;
    this.rip = state.rip;
    this.interruptShadow = false;
    this.nmiBlocked = false;
    this.nmiPending = false;
    this.isShutdown = false;
    this.eventsInARow = 0;
    this.debug.pending = 0;
    this.enterMode(0);
    this.forgetRun();
    this.mmu.tlb.flushAll();
    this.dropHostTlb();
  }

  // ---- state

  register(name: string): bigint {
    return readRegister(this, name);
  }
  setRegister(name: string, value: bigint): void {
    writeRegister(this, name, value);
  }
  translate(virtual: bigint): number | undefined {
    return this.mmu.peek(virtual);
  }
  save(): CoreState {
    return saveCore(this);
  }
  restore(state: CoreState): void {
    restoreCore(this, state);
    this.eventsInARow = 0;
    this.forgetRun();
    this.dropHostTlb();
  }
}
