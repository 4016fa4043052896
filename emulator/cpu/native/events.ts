/**
 * What happens to a core between instructions: exceptions and interrupts delivered, NMI, INIT, SIPI and the PVH start.
 */
import { Cr0, Rflags } from "../../abi/x86.ts";
import { gprNames } from "../engine.ts";
import { SegmentIndex } from "../x86/access.ts";
import { type CpuEvent, deliverEvent } from "../x86/deliver.ts";
import { DEBUG_AT_START, initState, pvhState, type StartState, startupSegment } from "../x86/start.ts";
import { Env } from "./environment.ts";
import { Processor } from "./processor.ts";

/**
 * Events in a row without an instruction: a handler that cannot start, for ever. A real processor hangs; we shut down.
 */
const EVENT_LIMIT = 10_000;
const CPUID_SIGNATURE = 1;

export abstract class EventProcessor extends Processor {
  private eventsInARow = 0;

  /** The core's state is another now: what is remembered of the run before does not hold. */
  protected abstract forgetRun(): void;

  /** An instruction has retired. */
  protected progressed(): void {
    this.eventsInARow = 0;
  }

  get halted(): boolean {
    return this.isHalted;
  }
  get interruptible(): boolean {
    return (
      (this.env.u32(Env.SYSTEM_FLAGS) & Rflags.IF) !== 0 &&
      !this.interruptShadow &&
      !this.waitingForStartup &&
      !this.isShutdown
    );
  }

  injectInterrupt(vector: number): void {
    if (this.waitingForStartup || this.isShutdown)
      throw new Error(
        `core ${this.core.index}: interrupt for a core that is ${this.isShutdown ? "shut down" : "waiting for SIPI"}`,
      );
    this.isHalted = false;
    this.deliver({ vector, kind: "external" });
  }

  /** While one is being served, one more waits for its IRET. */
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

  // ---- starting

  init(): void {
    const keep = this.cr0 & (Cr0.CD | Cr0.NW);
    const signature = this.node.bus.cpuid(this.core, CPUID_SIGNATURE, 0)[0];
    this.enterState(initState(signature), keep);
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
    this.enterState(pvhState(entry, startInfo), 0);
    this.waitingForStartup = false;
    this.isHalted = false;
  }

  private enterState(state: StartState, cr0Kept: number): void {
    for (let index = 0; index < gprNames.length; index++) this.setGpr(index, state.gpr.get(index) ?? 0n);
    const cache = Cr0.CD | Cr0.NW;
    this.cr0 = ((state.cr0 & ~cache) | ((state.cr0 | cr0Kept) & cache)) >>> 0;
    this.cr2 = 0n;
    this.cr3 = 0;
    this.cr4 = 0;
    this.efer = 0;
    state.segments.forEach((segment, index) => this.setSegment(index as SegmentIndex, segment));
    this.cpl = 0;
    this.debugRegisters = [...DEBUG_AT_START];
    this.gdtr = { base: 0n, limit: 0xffff };
    this.idtr = { base: 0n, limit: 0xffff };
    this.rflags = state.rflags;
    this.rip = state.rip;
    this.interruptShadow = false;
    this.nmiBlocked = false;
    this.nmiPending = false;
    this.isShutdown = false;
    this.forgetEvents();
    this.mmu.tlb.flushAll();
    this.dropHostTlb();
    this.updateMode();
  }

  protected forgetEvents(): void {
    this.eventsInARow = 0;
    this.forgetRun();
  }

  private readonly doubled = (first: number, second: number, rip: bigint): void =>
    this.node.bus.doubleFault?.(this.core, first, second, rip);

  protected deliver(event: CpuEvent): void {
    this.eventsInARow++;
    if (!deliverEvent(this, event, this.doubled) || this.eventsInARow > EVENT_LIMIT) {
      this.isShutdown = true;
      this.isHalted = true;
      return;
    }
    this.node.bus.delivered?.(this.core, event.vector);
  }
}
