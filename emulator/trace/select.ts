/**
 * Which events of a trace: kinds (`--show`, `--kind`), nodes, cores and a range of virtual time. Everything is selected
 * where nothing is said; single instructions only where `insn` is.
 */
import { EventKind } from "../abi/events.ts";
import type { TraceConsumer, TraceEvent } from "./tracer.ts";

export interface Selection {
  readonly kinds?: ReadonlySet<number>;
  readonly nids?: ReadonlySet<number>;
  /** Of any node. What no core did (the links, nid 0) is not selected then. */
  readonly cores?: ReadonlySet<number>;
  /** First virtual ns. */
  readonly from: number;
  /** The first that is not selected any more. */
  readonly to: number;
}
export const everything: Selection = { from: 0, to: Number.POSITIVE_INFINITY };

export function isSelected(event: TraceEvent, { kinds, nids, cores, from, to }: Selection): boolean {
  const { time, nid, core, kind } = event;
  return (
    time >= from && time < to && (kinds?.has(kind) ?? true) && (nids?.has(nid) ?? true) && (cores?.has(core) ?? true)
  );
}
export const wantsInstructions = ({ kinds }: Selection): boolean => kinds?.has(EventKind.INSN) ?? false;

/** Passes on what is selected. */
export class Selector implements TraceConsumer {
  constructor(
    private readonly selection: Selection,
    private readonly next: TraceConsumer,
  ) {}
  event(event: TraceEvent): void {
    if (isSelected(event, this.selection)) this.next.event(event);
  }
  end(): void {
    this.next.end?.();
  }
}

/** "1,3-5", "n1,n3", "c0": whole numbers, each with `letter` in front or not. Undefined: not such a list. */
export function parseNumbers(text: string, letter: string): ReadonlySet<number> | undefined {
  const numbers = new Set<number>();
  for (const part of text.split(",")) {
    const match = new RegExp(`^${letter}?(\\d{1,5})(?:-${letter}?(\\d{1,5}))?$`).exec(part.trim());
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) return undefined;
    for (let n = first; n <= last; n++) numbers.add(n);
  }
  return numbers;
}
