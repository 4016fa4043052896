/**
 * The breakpoints and watchpoints of a node, and which of them an instruction or an access meets. Each engine detects
 * candidates in its own way; this file alone decides what counts as a hit.
 */
import type { Place, WatchKind } from "../engine.ts";

/** WatchKind as bits: the accesses that a watchpoint reports. */
export const WATCH_READ = 1;
export const WATCH_WRITE = 2;
const kindBits: Readonly<Record<WatchKind, number>> = {
  read: WATCH_READ,
  write: WATCH_WRITE,
  access: WATCH_READ | WATCH_WRITE,
};

/** `space` of a core that does not translate: it meets only places in every space. */
export const NO_SPACE = -1;
const PAGE = 4096;

interface Watch {
  readonly place: Place;
  /** First byte: a virtual or a physical address. */
  readonly first: bigint;
  readonly bytes: number;
  readonly kinds: number;
}
export interface WatchHit {
  readonly id: number;
  readonly virtual: bigint;
  readonly write: boolean;
}
/** Physical address of a linear one as the core translates it now; undefined: not mapped. */
export type Translate = (linear: bigint) => number | undefined;

const linearAddress = (place: Place): bigint | undefined =>
  "virtual" in place ? BigInt.asUintN(64, place.virtual) : undefined;

export class StopTable {
  private nextId = 1;
  private physicalCount = 0;
  private readonly breakpoints = new Map<number, Place>();
  private readonly watchpoints = new Map<number, Watch>();

  /** Ids are not reused. RangeError: no bytes, or a negative physical address. */
  addBreakpoint(where: Place): number {
    check(where, 1);
    this.breakpoints.set(this.nextId, where);
    if ("physical" in where) this.physicalCount++;
    return this.nextId++;
  }
  addWatchpoint(where: Place, bytes: number, kind: WatchKind): number {
    check(where, bytes);
    this.watchpoints.set(this.nextId, {
      place: where,
      first: linearAddress(where) ?? BigInt((where as { physical: number }).physical),
      bytes,
      kinds: kindBits[kind],
    });
    return this.nextId++;
  }
  /** Returns the place of the breakpoint; undefined: no breakpoint has this id. */
  removeBreakpoint(id: number): Place | undefined {
    const place = this.breakpoints.get(id);
    this.breakpoints.delete(id);
    if (place && "physical" in place) this.physicalCount--;
    return place;
  }
  /** False: no watchpoint has this id. */
  removeWatchpoint(id: number): boolean {
    return this.watchpoints.delete(id);
  }

  /** Virtual addresses of breakpoints, in any space. */
  *virtualBreakpoints(): Iterable<bigint> {
    for (const place of this.breakpoints.values()) {
      const linear = linearAddress(place);
      if (linear !== undefined) yield linear;
    }
  }
  get hasPhysicalBreakpoints(): boolean {
    return this.physicalCount > 0;
  }
  /** Physical addresses of breakpoints. */
  *physicalBreakpoints(): Iterable<number> {
    for (const place of this.breakpoints.values()) if ("physical" in place) yield place.physical;
  }
  /** The first breakpoint at the first byte of an instruction. */
  breakpointAt(linear: bigint, space: number, translate: Translate): number | undefined {
    for (const [id, place] of this.breakpoints) {
      if ("physical" in place) {
        if (translate(linear) === place.physical) return id;
      } else if (linearAddress(place) === linear && isIn(place, space)) return id;
    }
    return undefined;
  }

  get isWatching(): boolean {
    return this.watchpoints.size > 0;
  }
  /** The kinds of access to a page that must be checked; `linear` is the page's first byte, `physical` the frame's. */
  watchedKinds(linear: bigint, space: number, physical: number): number {
    let kinds = 0;
    for (const watch of this.watchpoints.values()) {
      const page = "physical" in watch.place ? BigInt(physical) : linear;
      if (isIn(watch.place, space) && watch.first < page + BigInt(PAGE) && watch.first + BigInt(watch.bytes) > page)
        kinds |= watch.kinds;
    }
    return kinds;
  }
  /** The first watchpoint that an access within one page meets. */
  watchHit(linear: bigint, bytes: number, write: boolean, space: number, translate: Translate): WatchHit | undefined {
    const kind = write ? WATCH_WRITE : WATCH_READ;
    for (const [id, watch] of this.watchpoints) {
      if (!(watch.kinds & kind) || !isIn(watch.place, space)) continue;
      let from = linear;
      if ("physical" in watch.place) {
        const physical = translate(linear);
        if (physical === undefined) continue;
        from = BigInt(physical);
      }
      const first = from > watch.first ? from : watch.first;
      if (first < from + BigInt(bytes) && first < watch.first + BigInt(watch.bytes))
        return { id, virtual: linear + first - from, write };
    }
    return undefined;
  }
  /** Parts of a page, as offsets [first, end), that watchpoints cover in any page. */
  *watchedOffsets(): Iterable<readonly [first: number, end: number]> {
    for (const { first, bytes } of this.watchpoints.values()) {
      const offset = Number(first & BigInt(PAGE - 1));
      if (bytes >= PAGE) yield [0, PAGE];
      else {
        yield [offset, Math.min(offset + bytes, PAGE)];
        if (offset + bytes > PAGE) yield [0, offset + bytes - PAGE];
      }
    }
  }
}

/** CR3 without its flags, as in `Place.space`. */
export const spaceOf = (cr3: number): number => cr3 - (cr3 % PAGE);

function isIn(place: Place, space: number): boolean {
  return "physical" in place || place.space === null || place.space === space;
}

function check(where: Place, bytes: number): void {
  if (!Number.isInteger(bytes) || bytes < 1) throw new RangeError(`a watchpoint of ${bytes} bytes`);
  if ("physical" in where && !(where.physical >= 0)) throw new RangeError(`no physical address: ${where.physical}`);
}
