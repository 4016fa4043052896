/**
 * The two text formats of a trace. Full: one line per event, in time order: `TIME nX.cY kind fields`, times in virtual
 * ns. For exact comparison of runs, and for grep. Golden: a header, then a section per core without times; ids instead
 * of ticks, names instead of addresses. For reviewers.
 */
import { decodeFields, type DecodeOptions, kindName } from "./decode.ts";
import type { TraceConsumer, TraceEvent } from "./tracer.ts";

/** "n1.c0", "n1" if no core did it. */
export function placeOf(event: TraceEvent): string {
  return event.core < 0 ? `n${event.nid}` : `n${event.nid}.c${event.core}`;
}

export function fullLine(
  event: TraceEvent,
  nameOf?: DecodeOptions["nameOf"],
  instruction?: DecodeOptions["instruction"],
): string {
  const fields = decodeFields(event, { style: "full", nameOf, instruction });
  return `${String(event.time).padStart(12)} ${placeOf(event).padEnd(7)} ${kindName(event.kind).padEnd(14)} ${fields}`.trimEnd();
}

const CHUNK_CHARACTERS = 1 << 16;

/** Streams the full format. */
export class FullWriter implements TraceConsumer {
  private buffer: string[] = [];
  private length = 0;

  constructor(
    private readonly write: (text: string) => void,
    private readonly nameOf?: DecodeOptions["nameOf"],
    private readonly instruction?: DecodeOptions["instruction"],
  ) {}

  event(event: TraceEvent): void {
    const line = `${fullLine(event, this.nameOf, this.instruction)}\n`;
    this.buffer.push(line);
    this.length += line.length;
    if (this.length >= CHUNK_CHARACTERS) this.drain();
  }

  end(): void {
    this.drain();
  }

  private drain(): void {
    if (this.buffer.length > 0) this.write(this.buffer.join(""));
    this.buffer = [];
    this.length = 0;
  }
}

export interface GoldenHeader {
  readonly image: string;
  readonly nodes: number;
  readonly cores: number;
  readonly seed: number;
  readonly show: string;
}

/** Events that are already filtered, in the golden format. */
export function goldenTrace(
  header: GoldenHeader,
  events: readonly TraceEvent[],
  nameOf?: DecodeOptions["nameOf"],
  instruction?: DecodeOptions["instruction"],
): string {
  const { image, nodes, cores, seed, show } = header;
  const sections = new Map<string, TraceEvent[]>();
  const ordered = [...events].sort((a, b) => a.nid - b.nid || a.core - b.core || a.time - b.time);
  for (const event of ordered) {
    const place = placeOf(event);
    const section = sections.get(place);
    if (section === undefined) sections.set(place, [event]);
    else section.push(event);
  }
  const kindWidth = Math.max(0, ...events.map((event) => kindName(event.kind).length));
  const placeWidth = Math.max(0, ...[...sections.keys()].map((place) => place.length));
  const text = [...sections].map(([place, section]) =>
    section
      .map((event) =>
        `${place.padEnd(placeWidth)} ${kindName(event.kind).padEnd(kindWidth)}  ${decodeFields(event, { style: "golden", nameOf, instruction })}`.trimEnd(),
      )
      .join("\n"),
  );
  return [
    `# trace v1 image=${image} nodes=${nodes} cores=${cores} seed=${seed} show=${show}`,
    text.join("\n\n"),
    "",
  ].join("\n");
}
