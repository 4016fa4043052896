/**
 * Breakpoints and watchpoints as one core meets them. x86/stops.ts holds those of the node; breakpoints.ts and
 * watchfilter.ts make Unicorn detect them. This file holds what must be remembered between the two, from one run to the
 * next.
 */
import { Cr0 } from "../../abi/x86.ts";
import { ACCESS_FETCH, type AccessKind } from "../x86/access.ts";
import { NO_SPACE, spaceOf, type WatchHit } from "../x86/stops.ts";
import { binding } from "./binding.ts";
import type { BreakpointList } from "./breakpoints.ts";
import type { Place } from "../engine.ts";
import { isRepeating, iterationsLeft } from "./decode.ts";
import { splitReads } from "./operands.ts";
import type { Processor } from "./processor.ts";
import { watchFilter } from "./watchfilter.ts";

const FRAME = 4096;
const NONE = -1;

export class CorePoints {
  /** An access has met a watchpoint, and the run has not ended for it yet. */
  hit: WatchHit | undefined;
  private readonly unicorn = binding();
  private readonly filter = watchFilter();
  /** Accesses are reported because of data breakpoints of the debug registers. */
  private watchesDebug = false;
  /** Virtual addresses that reach physical breakpoints, as far as seen. */
  private readonly aliases = new Set<bigint>();
  private listed: ReadonlySet<bigint> = new Set();
  /** The instruction at this RIP is executed even if a breakpoint is there. */
  private passRip: bigint | undefined;
  /** The frame (offset in RAM) of code that was translated before a breakpoint in it was known. */
  private staleFrame = NONE;

  constructor(
    private readonly core: Processor,
    private readonly index: number,
    private readonly list: BreakpointList,
  ) {
    list.set(this.listed);
  }

  /** The core's state has been replaced. */
  forget(): void {
    this.passRip = undefined;
    this.hit = undefined;
  }

  // ---- breakpoints

  /** The core is at RIP and executes that instruction next, even if a breakpoint is there. */
  pass(): void {
    this.passRip = this.core.rip;
  }
  /** The core is about to pass the breakpoint. If RIP has moved meanwhile, the breakpoint counts again. */
  get isPassing(): boolean {
    if (this.passRip === undefined) return false;
    if (this.passRip !== this.core.rip) this.passRip = undefined;
    return this.passRip !== undefined;
  }
  /**
   * How many of `count` instructions the core may execute while it passes: all iterations of a repeated instruction
   * count as one.
   */
  passable(count: number): number {
    return Math.min(count, iterationsLeft(this.core));
  }
  /** Called before a run that passes. */
  beforePass(): void {
    this.list.hide();
  }
  afterPass(): void {
    this.list.show();
  }
  /** The instruction has retired: it is passed, unless it is repeated and goes on. */
  passed(): void {
    if (this.core.rip !== this.passRip || !isRepeating(this.core)) this.passRip = undefined;
  }

  /**
   * The translator's list has ended a run at RIP. Returns the breakpoint there, or undefined; the next run passes it.
   */
  breakpointAtRip(): number | undefined {
    this.pass();
    return this.core.node.stops.breakpointAt(this.core.linearRip, this.space, this.translate);
  }

  /** The node's breakpoints have changed, by one at `where`. */
  breakpointChanged(where: Place): void {
    const { memory, coherence } = this.core.node;
    if ("physical" in where) {
      // The coming TLB fills find the virtual addresses again.
      this.aliases.clear();
      this.core.dropHostTlb();
      const offset = memory.offsetOf(where.physical);
      if (offset >= 0) this.unicorn.invalidateCode(this.core.env.handle, offset, offset + 1);
    } else {
      coherence.dropCodeAt(this.index, BigInt.asUintN(64, where.virtual));
    }
    this.writeList();
  }

  /** Is a linear address on the translator's list? */
  isListed(linear: bigint): boolean {
    return this.listed.has(linear);
  }

  private writeList(): void {
    this.listed = new Set([...this.core.node.stops.virtualBreakpoints(), ...this.aliases]);
    this.list.set(this.listed);
  }

  // ---- TLB fills

  /**
   * A TLB fill for a page. Sets in the filter which accesses must be checked. If its code is about to be translated,
   * adds the physical breakpoints to the list at the virtual address that reaches them. True: one of them is new there,
   * so the current translation must be abandoned. `offset`: of the frame in RAM, or negative.
   */
  filled(low: number, high: number, access: AccessKind, physical: number, offset: number): boolean {
    const { stops } = this.core.node;
    const { debug } = this.core;
    this.filter.kinds =
      (stops.isWatching ? stops.watchedKinds(linearAddress(low, high), this.space, physical) : 0) |
      (debug.watches ? debug.watchedKinds(linearAddress(low, high)) : 0);
    if (access !== ACCESS_FETCH || !stops.hasPhysicalBreakpoints || offset < 0) return false;
    const known = this.aliases.size;
    for (const place of stops.physicalBreakpoints()) {
      if (place >= physical && place < physical + FRAME)
        this.aliases.add(linearAddress(low, high) + BigInt(place - physical));
    }
    if (this.aliases.size === known) return false;
    this.writeList();
    this.staleFrame = offset;
    return true;
  }

  /** After the run: code that was translated at that moment is translated again. */
  dropStaleCode(): void {
    if (this.staleFrame === NONE) return;
    this.unicorn.invalidateCode(this.core.env.handle, this.staleFrame, this.staleFrame + FRAME);
    this.staleFrame = NONE;
  }

  // ---- watchpoints

  /**
   * An access to a watched page is about to be made. For misaligned accesses, QEMU's slow path reports: for loads, the
   * two aligned loads that it makes of them; for stores, the part in each page, with a wrong length if it is one page,
   * and then every byte. True: the access meets a watchpoint, or a breakpoint of the debug registers.
   */
  accessed(low: number, high: number, bytes: number, write: boolean): boolean {
    if (!(bytes === 1 || bytes === 2 || bytes === 4 || bytes === 8) || low % bytes !== 0) return false;
    const linear = linearAddress(low, high);
    const isSplit = !write && this.core.env.isSplitAccess;
    if (!isSplit) return this.accessedOne(linear, bytes, write);
    if (!this.mayMeet(linear, bytes, write)) return false;
    let met = false;
    for (const read of splitReads(this.core, linear, bytes))
      met = this.accessedOne(read.linear, read.bytes, write) || met;
    return met;
  }
  /** Whether decoding the operands is necessary. */
  private mayMeet(linear: bigint, bytes: number, write: boolean): boolean {
    return this.core.debug.watches || this.match(linear, bytes, write) !== undefined;
  }
  private accessedOne(linear: bigint, bytes: number, write: boolean): boolean {
    const meetsDebug = this.core.debug.watches && this.core.debug.accessed(linear, bytes, write);
    const hit = this.match(linear, bytes, write);
    const known = this.hit;
    if (!hit || (known && !(known.id === hit.id && known.write === write && hit.virtual < known.virtual)))
      return meetsDebug;
    this.hit = hit;
    return true;
  }

  /** An instruction that we execute, or the processor itself (the frame of an event), has accessed memory. */
  ownAccess(linear: bigint, bytes: number, write: boolean): void {
    if (this.core.node.stops.isWatching) this.hit ??= this.match(linear, bytes, write);
    if (this.core.debug.watches) this.core.debug.accessed(linear, bytes, write);
  }

  /** The node's watchpoints have changed. */
  watchpointsChanged(removed?: number): void {
    if (this.hit?.id === removed) this.hit = undefined;
    this.core.dropHostTlb();
  }

  /** The debug registers have changed. */
  debugChanged(): void {
    const ranges = this.core.debug.watchedOffsets();
    if (ranges.length === 0 && !this.watchesDebug) return;
    this.watchesDebug = ranges.length > 0;
    this.filter.publish(this, ranges);
    this.core.dropHostTlb();
  }

  close(): void {
    this.filter.publish(this, []);
  }

  private match(linear: bigint, bytes: number, write: boolean): WatchHit | undefined {
    return this.core.node.stops.watchHit(linear, bytes, write, this.space, this.translate);
  }

  private readonly translate = (linear: bigint): number | undefined => this.core.mmu.resident(linear);

  /** The value to compare with `Place.space`. */
  private get space(): number {
    return this.core.cr0 & Cr0.PG ? spaceOf(this.core.cr3) : NO_SPACE;
  }
}

const linearAddress = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);
