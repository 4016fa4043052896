/**
 * Breakpoints and watchpoints as one core meets them. What the node's are is in x86/stops.ts, how Unicorn is brought to
 * notice them in breakpoints.ts and watchfilter.ts; here is what has to be remembered between the two, from one run to
 * the next.
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
  /** Accesses are told because of data breakpoints of the debug registers. */
  private watchesDebug = false;
  /** Virtual addresses at which physical breakpoints have been seen. */
  private readonly aliases = new Set<bigint>();
  private listed: ReadonlySet<bigint> = new Set();
  /** The instruction at this RIP is executed whatever breakpoint is there. */
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

  /** The core's state is another now. */
  forget(): void {
    this.passRip = undefined;
    this.hit = undefined;
  }

  // ---- breakpoints

  /** The core stands at RIP: it executes that next, whatever breakpoint is there. */
  pass(): void {
    this.passRip = this.core.rip;
  }
  /** It is about to. If RIP has moved meanwhile, the breakpoint counts again. */
  get isPassing(): boolean {
    if (this.passRip === undefined) return false;
    if (this.passRip !== this.core.rip) this.passRip = undefined;
    return this.passRip !== undefined;
  }
  /** How many of `count` instructions it may execute so: the iterations of a repeated one are one. */
  passable(count: number): number {
    return Math.min(count, iterationsLeft(this.core));
  }
  /** Around a run of so many. */
  beforePass(): void {
    this.list.hide();
  }
  afterPass(): void {
    this.list.show();
  }
  /** It has retired: passed, unless it is repeated and goes on. */
  passed(): void {
    if (this.core.rip !== this.passRip || !isRepeating(this.core)) this.passRip = undefined;
  }

  /**
   * The translator's list has ended a run at RIP. The breakpoint that is met there, or undefined; the next run passes
   * it.
   */
  breakpointAtRip(): number | undefined {
    this.pass();
    return this.core.node.stops.breakpointAt(this.core.linearRip, this.space, this.translate);
  }

  /** The node's breakpoints are others than before, by one at `where`. */
  breakpointChanged(where: Place): void {
    const { memory, coherence } = this.core.node;
    if ("physical" in where) {
      // The fills to come find the virtual addresses.
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
   * A page is filled: which accesses to it are to be checked; and, if code of it is about to be translated, which
   * physical breakpoints get on the list at the virtual address that they are reached by. True: one is new there, and
   * what is being translated must be left. `offset`: of the frame in RAM, or negative.
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

  /** After the run: what was translated in that moment is translated again. */
  dropStaleCode(): void {
    if (this.staleFrame === NONE) return;
    this.unicorn.invalidateCode(this.core.env.handle, this.staleFrame, this.staleFrame + FRAME);
    this.staleFrame = NONE;
  }

  // ---- watchpoints

  /**
   * An access to a watched page is about to be made. Of accesses that are not aligned, QEMU's slow path tells for loads
   * the two aligned ones that it makes of them; for stores what lies in each page, with a wrong length where it is one,
   * and then every byte. True: it meets a watchpoint, or a breakpoint of the debug registers.
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
  /** Whether to decode the operands. */
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

  /** An instruction that is executed by us, or the processor itself (the frame of an event), has accessed memory. */
  ownAccess(linear: bigint, bytes: number, write: boolean): void {
    if (this.core.node.stops.isWatching) this.hit ??= this.match(linear, bytes, write);
    if (this.core.debug.watches) this.core.debug.accessed(linear, bytes, write);
  }

  /** The node's watchpoints are others than before. */
  watchpointsChanged(removed?: number): void {
    if (this.hit?.id === removed) this.hit = undefined;
    this.core.dropHostTlb();
  }

  /** The debug registers are others than before. */
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

  /** What `Place.space` is compared with. */
  private get space(): number {
    return this.core.cr0 & Cr0.PG ? spaceOf(this.core.cr3) : NO_SPACE;
  }
}

const linearAddress = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low);
