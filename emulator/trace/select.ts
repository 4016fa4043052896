/**
 * Selection of events: kinds (`--show`, `--kind`), nodes, cores and a range of virtual time. By default everything is
 * selected, except single instructions, which need `insn`.
 */
import { EventKind } from "../abi/events.ts";
import type { TraceConsumer, TraceEvent } from "./tracer.ts";

export interface Selection {
  readonly kinds?: ReadonlySet<number>;
  readonly nids?: ReadonlySet<number>;
  /** Cores of any node. Events of no core (links, nid 0) are then not selected. */
  readonly cores?: ReadonlySet<number>;
  /** First virtual ns. */
  readonly from: number;
  /** End of the selection, exclusive. */
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

/** Passes on the selected events. */
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

/** "1,3-5", "n1,n3", "c0": whole numbers, each with or without `letter` before it. Undefined: not such a list. */
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
