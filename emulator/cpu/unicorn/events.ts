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
/** Of env.old_exception. */
const NO_EXCEPTION = -1;

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
      !this.waitingForStartup &&
      !this.isShutdown &&
      (this.env.u32(Env.EFLAGS) & Rflags.IF) !== 0 &&
      !this.interruptShadow
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
    this.enter(initState(signature), keep);
    this.waitingForStartup = true;
    this.isHalted = true;
  }

  startup(page: number): void {
    if (!this.waitingForStartup) return;
    this.env.writeSegment(SegmentIndex.CS, startupSegment(page));
    this.env.updateHflags(0);
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
    const env = this.env;
    for (let index = 0; index < gprNames.length; index++) this.setGpr(index, state.gpr.get(index) ?? 0n);
    env.setU64(
      Env.CR0,
      BigInt((state.cr0 & ~(Cr0.CD | Cr0.NW)) | ((state.cr0 | cr0Kept) & (Cr0.CD | Cr0.NW))) & 0xffff_ffffn,
    );
    for (const offset of [Env.CR2, Env.CR3, Env.CR4, Env.EFER]) env.setU64(offset, 0n);
    state.segments.forEach((segment, index) => env.writeSegment(index as SegmentIndex, segment));
    DEBUG_AT_START.forEach((value, index) => {
      env.setU64(Env.DEBUG + 8 * index, value);
    });
    env.setTable(Env.GDTR, 0n, 0xffff);
    env.setTable(Env.IDTR, 0n, 0xffff);
    env.rflags = state.rflags;
    env.setU32(Env.HFLAGS, 0);
    env.updateHflags(0);
    env.setU32(Env.OLD_EXCEPTION, NO_EXCEPTION);
    this.rip = state.rip;
    this.nmiBlocked = false;
    this.nmiPending = false;
    this.isShutdown = false;
    this.eventsInARow = 0;
    this.forgetRun();
    this.mmu.tlb.flushAll();
    this.dropHostTlb();
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
