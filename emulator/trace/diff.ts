/**
 * Where two traces diverge, and how. Either exactly: event by event, with nothing ignored. Or by golden identity
 * (`ignoreTime`): what each core did in its own order, with names instead of addresses; then the order between cores is
 * ignored, and the first divergence is that of the core that diverges earliest.
 */
import { eventTable } from "../abi/events.ts";
import { decodeFields, kindName } from "./decode.ts";
import { fullLine, placeOf } from "./format.ts";
import type { TraceHeader } from "./file.ts";
import type { TraceEvent } from "./tracer.ts";

type NameOf = (address: bigint) => string | undefined;
export interface Side {
  /** Name for messages. */
  readonly name: string;
  readonly header: TraceHeader;
  readonly events: Iterable<TraceEvent>;
  readonly nameOf?: NameOf;
}
export interface DiffOptions {
  readonly ignoreTime: boolean;
  /** Events before and after. */
  readonly context: number;
}
interface Parting {
  /** Position of the first event that differs: in the trace, or in the core's own events. */
  readonly index: number;
  readonly before: readonly TraceEvent[];
  /** Events from the first difference on; empty if the trace has ended. */
  readonly a: readonly TraceEvent[];
  readonly b: readonly TraceEvent[];
}
/** Events after the divergence that are searched for the other's event. */
const LOOKAHEAD = 200;

/** Lines for people; null: the traces are equal. */
export function diffTraces(a: Side, b: Side, options: DiffOptions): readonly string[] | null {
  const keep = Math.max(options.context, LOOKAHEAD);
  const sameAs = options.ignoreTime ? sameByName(a.nameOf, b.nameOf) : isSame;
  const parting = options.ignoreTime
    ? partByCore(a, b, sameAs, options.context, keep)
    : part(a.events, b.events, sameAs, options.context, keep);
  if (parting === null) return null;
  const first = partingHeaders(a, b);
  const rest = headerLines(a, b);
  return [...first, ...report(parting, a, b, options, sameAs), ...(first.length > 0 ? [] : rest)];
}

type Same = (a: TraceEvent, b: TraceEvent) => boolean;
const isSame: Same = (a, b) => a.time === b.time && isSameButTime(a, b);
const isSameButTime: Same = (a, b) =>
  a.nid === b.nid &&
  a.core === b.core &&
  a.kind === b.kind &&
  a.words.length === b.words.length &&
  a.words.every((w, i) => sameWord(w, b.words[i]!));
const sameWord = (a: number | bigint | string, b: number | bigint | string): boolean =>
  a === b || (typeof a !== "string" && typeof b !== "string" && BigInt(a) === BigInt(b));
const sameByName =
  (ofA?: NameOf, ofB?: NameOf): Same =>
  (a, b) =>
    a.nid === b.nid &&
    a.core === b.core &&
    a.kind === b.kind &&
    decodeFields(a, { style: "golden", nameOf: ofA }) === decodeFields(b, { style: "golden", nameOf: ofB });

function part(
  a: Iterable<TraceEvent>,
  b: Iterable<TraceEvent>,
  same: Same,
  context: number,
  keep: number,
): Parting | null {
  const left = a[Symbol.iterator]();
  const right = b[Symbol.iterator]();
  const before: TraceEvent[] = [];
  for (let index = 0; ; index++) {
    const l = left.next();
    const r = right.next();
    if (l.done === true && r.done === true) return null;
    if (l.done !== true && r.done !== true && same(l.value, r.value)) {
      before.push(l.value);
      if (before.length > context) before.shift();
      continue;
    }
    // Both are read to the end, so that a truncated file is refused wherever they differ.
    return { index, before, a: take(l, left, keep), b: take(r, right, keep) };
  }
}
function take(first: IteratorResult<TraceEvent, unknown>, rest: Iterator<TraceEvent>, count: number): TraceEvent[] {
  const events: TraceEvent[] = [];
  for (let item = first; item.done !== true; item = rest.next()) if (events.length < count) events.push(item.value);
  return events;
}

function partByCore(a: Side, b: Side, same: Same, context: number, keep: number): Parting | null {
  const left = byPlace(a.events);
  const right = byPlace(b.events);
  let first: Parting | null = null;
  let firstTime = Number.POSITIVE_INFINITY;
  for (const place of new Set([...left.keys(), ...right.keys()])) {
    const parting = part(left.get(place) ?? [], right.get(place) ?? [], same, context, keep);
    const time = Math.min(
      parting?.a[0]?.time ?? Number.POSITIVE_INFINITY,
      parting?.b[0]?.time ?? Number.POSITIVE_INFINITY,
    );
    if (time >= firstTime) continue;
    first = parting;
    firstTime = time;
  }
  return first;
}
function byPlace(events: Iterable<TraceEvent>): Map<string, TraceEvent[]> {
  const places = new Map<string, TraceEvent[]>();
  for (const event of events) {
    const place = placeOf(event);
    const list = places.get(place);
    if (list === undefined) places.set(place, [event]);
    else list.push(event);
  }
  return places;
}

function report(p: Parting, a: Side, b: Side, { ignoreTime, context }: DiffOptions, same: Same): string[] {
  const [x, y] = [p.a[0], p.b[0]];
  const at = x ?? y!;
  const order = ignoreTime ? ` of what ${at.core < 0 ? `n${at.nid}` : placeOf(at)} did` : "";
  const who = `${x === undefined || y === undefined || placeOf(x) === placeOf(y) ? placeOf(at) : `${placeOf(x)} and ${placeOf(y)}`}`;
  const when = x === undefined || y === undefined || x.time === y.time ? `${at.time} ns` : `${x.time} and ${y.time} ns`;
  const section = (name: string, events: readonly TraceEvent[], nameOf: NameOf | undefined): string[] => [
    `${name}:`,
    ...(events.length === 0
      ? ["> (the trace ends)"]
      : events.slice(0, context + 1).map((e, i) => `${i === 0 ? ">" : " "} ${fullLine(e, nameOf)}`)),
  ];
  return [
    `first divergence: event ${p.index + 1}${order}: ${kindNames(x, y)} on ${who} at ${when}`,
    ...explain(p, a, b, same).map((line) => `  ${line}`),
    `before, ${ignoreTime ? "the same but for time" : "the same in both"}:`,
    ...(p.before.length === 0 ? ["  (the traces begin)"] : p.before.map((e) => `  ${fullLine(e, a.nameOf)}`)),
    ...section(a.name, p.a, a.nameOf),
    ...section(b.name, p.b, b.nameOf),
  ];
}

function kindNames(x: TraceEvent | undefined, y: TraceEvent | undefined): string {
  const names = new Set([x, y].flatMap((e) => (e === undefined ? [] : [kindName(e.kind)])));
  return [...names].join(" against ");
}

/** How the two events differ, and whether one of them is only missing, or late, on the other side. */
function explain({ a, b }: Parting, sideA: Side, sideB: Side, same: Same): readonly string[] {
  const [x, y] = [a[0], b[0]];
  if (x === undefined || y === undefined) {
    const longer = x === undefined ? sideB : sideA;
    return [`${(x === undefined ? sideA : sideB).name} ends here, ${longer.name} goes on`];
  }
  if (isSameButTime(x, y))
    return [
      `the same event, ${Math.abs(x.time - y.time)} ns ${x.time > y.time ? "later" : "earlier"} in ${sideA.name}`,
    ];
  const lines: string[] = [];
  if (x.kind === y.kind && placeOf(x) === placeOf(y)) {
    const row = eventTable.find(({ kind }) => kind === x.kind)!;
    const shown = (e: TraceEvent, side: Side): string => decodeFields(e, { style: "full", nameOf: side.nameOf });
    const fields = row.fields.filter((name, i) => name !== null && !sameWord(x.words[i] ?? 0, y.words[i] ?? 0));
    lines.push(`${fields.join(", ")}: ${shown(x, sideA)} | ${shown(y, sideB)}`);
  }
  const later = (events: readonly TraceEvent[], wanted: TraceEvent, isA: boolean): number =>
    events.findIndex((event) => (isA ? same(event, wanted) : same(wanted, event)));
  const inB = later(b, x, false);
  const inA = later(a, y, true);
  if (inB > 0 && (inA < 0 || inB <= inA))
    lines.push(`${sideB.name} has ${plural(inB)} more here; behind them it goes on as ${sideA.name}`);
  else if (inA > 0) lines.push(`${sideA.name} has ${plural(inA)} more here; behind them it goes on as ${sideB.name}`);
  return lines;
}
const plural = (count: number): string => `${count} ${count === 1 ? "event" : "events"}`;

/** Different programs or machines are reported first, because then the events differ for that reason. */
function partingHeaders(a: Side, b: Side): readonly string[] {
  const [x, y] = [a.header, b.header];
  const differs = x.image !== y.image || x.nodes !== y.nodes || x.cores !== y.cores;
  return differs ? ["these are traces of different runs:", ...headerLines(a, b).slice(1)] : [];
}

/** Differences between the runs' headers. */
function headerLines(a: Side, b: Side): readonly string[] {
  const [x, y] = [a.header, b.header];
  const facts: (readonly [string, string, string])[] = [
    ["image", x.image, y.image],
    ["nodes", `${x.nodes}`, `${y.nodes}`],
    ["cores of a node", `${x.cores}`, `${y.cores}`],
    ["seed", `${x.seed}`, `${y.seed}`],
    ["command", x.command.join(" "), y.command.join(" ")],
    ["events selected", x.show, y.show],
  ];
  for (const role of ["kernel", "init", "program"] as const) {
    const hash = (h: TraceHeader): string => h.images.find((i) => i.role === role)?.sha256.slice(0, 12) ?? "none";
    facts.push([role, hash(x), hash(y)]);
  }
  const lines = facts.filter(([, l, r]) => l !== r).map(([what, l, r]) => `  ${what}: ${l} | ${r}`);
  return lines.length === 0 ? ["the runs were made by the same line and images"] : ["the runs differ in:", ...lines];
}
