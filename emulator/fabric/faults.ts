/**
 * Faults of the links, from a seed: drop, duplicate, corrupt, reorder, delay, and cuts at given times. Pure: `judge`
 * decides what happens to a frame, and the switch carries it out. Every link has its own random stream, and its frames
 * are judged in the order in which they are sent, so verdicts depend neither on the host nor on which node ran first.
 * The same seed and the same traffic give the same faults.
 *
 * A corrupt frame has 1 to 3 bits flipped anywhere in it. CRC-32C finds every such error at our frame lengths (Hamming
 * distance 4 up to 2^31 bits: Koopman, "32-bit cyclic redundancy codes for Internet applications", 2002), so a corrupt
 * message that is delivered is always a bug. A reordered frame is held back alone, so that others overtake it; a
 * delayed one blocks its link, so that the order is kept. No frame arrives earlier than without faults, so the fabric's
 * lookahead remains valid.
 */
import { Prng } from "../machine/prng.ts";

/** Rates are parts per million of frames; times are virtual ns. */
export interface FaultSpec {
  readonly drop: number;
  readonly duplicate: number;
  readonly corrupt: number;
  readonly reorder: number;
  /** Longest time that a reordered frame is held back; at least 1. */
  readonly reorderNs: number;
  readonly delay: number;
  readonly delayNs: number;
  readonly cuts: readonly Cut[];
}
/** The link of `nid` carries nothing in either direction from `fromNs` until before `untilNs`. */
export interface Cut {
  readonly nid: number;
  readonly fromNs: number;
  readonly untilNs: number;
}
export const noLinkFaults: FaultSpec = {
  drop: 0,
  duplicate: 0,
  corrupt: 0,
  reorder: 0,
  reorderNs: 20_000,
  delay: 0,
  delayNs: 50_000,
  cuts: [],
};

/** What happens to one frame. `flips`: bit positions in the first copy of the frame. */
export interface Verdict {
  readonly lost: "drop" | "cut" | undefined;
  readonly copies: number;
  readonly flips: readonly number[];
  readonly holdNs: number;
  readonly stallNs: number;
}
export const soundVerdict: Verdict = { lost: undefined, copies: 1, flips: [], holdNs: 0, stallNs: 0 };

/** The switch asks it about every frame; tests replace it by a scripted one. */
export interface FaultInjector {
  /** `frame` leaves `source` for `target` at `time`. The injector must not change or keep the frame. */
  judge(source: number, target: number, frame: Uint8Array, time: number): Verdict;
  /** Plain data, for the state hash. */
  state(): unknown;
}

export interface FaultCounts {
  frames: number;
  dropped: number;
  cut: number;
  duplicated: number;
  corrupted: number;
  reordered: number;
  delayed: number;
}

const MILLION = 1_000_000;
/** Streams 0x4c00_0000 + nid of the machine's seed. */
const STREAM = 0x4c00_0000;
const MOST_FLIPS = 3;

export class LinkFaults implements FaultInjector {
  readonly counts: FaultCounts = {
    frames: 0,
    dropped: 0,
    cut: 0,
    duplicated: 0,
    corrupted: 0,
    reordered: 0,
    delayed: 0,
  };
  /** Random streams by sending nid. */
  private readonly streams = new Map<number, Prng>();

  constructor(
    readonly spec: FaultSpec,
    private readonly seed: number,
  ) {}

  judge(source: number, target: number, frame: Uint8Array, time: number): Verdict {
    const { spec, counts } = this;
    const random = this.stream(source);
    counts.frames++;
    if (spec.cuts.some((c) => (c.nid === source || c.nid === target) && time >= c.fromNs && time < c.untilNs)) {
      counts.cut++;
      return { ...soundVerdict, lost: "cut", copies: 0 };
    }
    if (spec.drop > 0 && random.chance(spec.drop, MILLION)) {
      counts.dropped++;
      return { ...soundVerdict, lost: "drop", copies: 0 };
    }
    const duplicate = spec.duplicate > 0 && random.chance(spec.duplicate, MILLION);
    const corrupt = spec.corrupt > 0 && random.chance(spec.corrupt, MILLION);
    const reorder = spec.reorder > 0 && random.chance(spec.reorder, MILLION);
    const delay = spec.delay > 0 && random.chance(spec.delay, MILLION);
    if (!duplicate && !corrupt && !reorder && !delay) return soundVerdict;
    if (duplicate) counts.duplicated++;
    if (corrupt) counts.corrupted++;
    if (reorder) counts.reordered++;
    if (delay) counts.delayed++;
    return {
      lost: undefined,
      copies: duplicate ? 2 : 1,
      flips: corrupt ? flips(random, frame.length * 8) : [],
      holdNs: reorder ? 1 + random.below(spec.reorderNs) : 0,
      stallNs: delay ? spec.delayNs : 0,
    };
  }

  state(): unknown {
    return [...this.streams].map(([nid, prng]) => [nid, prng.state()]);
  }

  /** `812 frames: 8 dropped, 9 duplicated, …`; zero counts are left out. */
  summary(): string {
    const { frames, ...rest } = this.counts;
    const parts = Object.entries(rest).filter(([, count]) => count > 0);
    return `${frames} frames: ${parts.length === 0 ? "none met a fault" : parts.map(([what, count]) => `${count} ${what}`).join(", ")}`;
  }

  private stream(nid: number): Prng {
    let prng = this.streams.get(nid);
    if (prng === undefined) this.streams.set(nid, (prng = new Prng(this.seed, STREAM + nid)));
    return prng;
  }
}

/** The positions differ: a bit flipped twice would be intact again. */
function flips(random: Prng, bits: number): readonly number[] {
  const positions = new Set<number>();
  for (let n = 1 + random.below(MOST_FLIPS); n > 0; n--) positions.add(random.below(bits));
  return [...positions];
}

/** "drop", "duplicate, reorder": for the trace. */
export function verdictText({ lost, copies, flips: bits, holdNs, stallNs }: Verdict): string {
  if (lost !== undefined) return lost;
  const parts: string[] = [];
  if (copies > 1) parts.push("duplicate");
  if (bits.length > 0) parts.push("corrupt");
  if (holdNs > 0) parts.push("reorder");
  if (stallNs > 0) parts.push("delay");
  return parts.join(", ");
}

// ---- --faults SPEC -------------------------------------------------------------------------------------------------

/** One line: which part is wrong, and what is accepted. */
export class FaultSpecError extends Error {}

const rates: Readonly<Record<string, "drop" | "duplicate" | "corrupt" | "reorder" | "delay">> = {
  drop: "drop",
  dup: "duplicate",
  corrupt: "corrupt",
  reorder: "reorder",
  delay: "delay",
};
const timeUnits: Readonly<Record<string, number>> = { "": 1, ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/**
 * `drop=1%,dup=1%,corrupt=0.5%,reorder=2%:20us,delay=1%:50us,cut=NID:FROM[:UNTIL]`. Parts in any order, each once;
 * `cut` repeats.
 * @throws FaultSpecError
 */
export function parseFaults(text: string): FaultSpec {
  const spec = { ...noLinkFaults };
  const cuts: Cut[] = [];
  const given = new Set<string>();
  if (text.trim() === "")
    throw new FaultSpecError("nothing given: as drop=1%,dup=1%,corrupt=0.5%,reorder=2%,delay=1%:50us,cut=2:1ms:3ms");
  for (const part of text.split(",").map((p) => p.trim())) {
    const m = /^([a-z]+)=(.*)$/.exec(part);
    if (m === null) throw new FaultSpecError(`'${part}' is not a fault: give NAME=RATE, as drop=1%`);
    const [, name, value] = m as unknown as [string, string, string];
    if (name === "cut") {
      cuts.push(parseCut(value));
      continue;
    }
    const field = rates[name];
    if (field === undefined)
      throw new FaultSpecError(`unknown fault '${name}': there are ${Object.keys(rates).join(", ")}, cut`);
    if (given.has(name)) throw new FaultSpecError(`'${name}' given twice`);
    given.add(name);
    const [rate, time, ...rest] = value.split(":");
    if (rest.length > 0 || (time !== undefined && field !== "reorder" && field !== "delay"))
      throw new FaultSpecError(`'${part}': ${name} takes a rate only, as ${name}=1%`);
    spec[field] = parseRate(name, rate!);
    if (time !== undefined) spec[field === "reorder" ? "reorderNs" : "delayNs"] = parseNs(name, time);
  }
  return { ...spec, cuts };
}

function parseRate(name: string, text: string): number {
  const value = /^\d+(\.\d+)?%$/.test(text) ? Number(text.slice(0, -1)) : Number.NaN;
  if (!(value >= 0 && value <= 100)) throw new FaultSpecError(`'${name}=${text}': give a rate from 0% to 100%`);
  return Math.round(value * (MILLION / 100));
}
function parseNs(name: string, text: string): number {
  const m = /^(\d+(?:\.\d+)?)(ns|us|ms|s|)$/.exec(text);
  const value = m === null ? Number.NaN : Math.round(Number(m[1]) * timeUnits[m[2]!]!);
  // The generator's 32 bits bound it.
  if (!(value > 0 && value <= 0xffff_ffff))
    throw new FaultSpecError(`'${name}': '${text}' is not a time up to 4s, as 500ns, 50us or 2ms`);
  return value;
}
function parseCut(text: string): Cut {
  const [nid, from, until, ...rest] = text.split(":");
  if (rest.length > 0 || from === undefined || !/^\d{1,6}$/.test(nid!))
    throw new FaultSpecError(`'cut=${text}': give cut=NID:FROM or cut=NID:FROM:UNTIL, as cut=2:1ms:3ms`);
  const fromNs = from === "0" ? 0 : parseNs("cut", from);
  const untilNs = until === undefined ? Number.MAX_SAFE_INTEGER : parseNs("cut", until);
  if (untilNs <= fromNs) throw new FaultSpecError(`'cut=${text}': it ends before it begins`);
  return { nid: Number(nid), fromNs, untilNs };
}
