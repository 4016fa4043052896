/** Past and present events: the kernel's flight recorder, and events as they happen. */
import { TRACE_RING_RECORDS, type TraceRecord, TraceRing } from "../../abi/events.ts";
import { fullLine } from "../../trace/format.ts";
import { TRACE_RINGS_SYMBOL } from "../../trace/rings.ts";
import { ShowError } from "../../trace/show.ts";
import type { TraceEvent } from "../../trace/tracer.ts";
import { type MonitorCommand, type MonitorContext, MonitorError, parseNumber } from "./command.ts";

const DEFAULT_RECORDS = 20;

/** The newest records of all cores of a node, oldest first. */
function flight({ id, view, words }: MonitorContext): readonly string[] {
  const count = words[0] === undefined ? DEFAULT_RECORDS : parseNumber(words[0], "count", 64 * TRACE_RING_RECORDS);
  const node = view.control.machine.node(id.nid)!;
  const symbol = node.symbols.find(TRACE_RINGS_SYMBOL);
  if (symbol === undefined) return [`this kernel has no flight recorder ('${TRACE_RINGS_SYMBOL}')`];
  const events: TraceEvent[] = [];
  for (let core = 0; core < node.engine.cores.length; core++) {
    const bytes = view.control.readMemory(id.nid, 0, symbol.address + BigInt(core * TraceRing.SIZE), TraceRing.SIZE);
    if (bytes.length < TraceRing.SIZE) return ["the kernel has not mapped its memory yet"];
    const ring = new TraceRing(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const written = Number(ring.written);
    for (let n = Math.max(0, written - TRACE_RING_RECORDS); n < written; n++) {
      const r: TraceRecord = ring.records(n % TRACE_RING_RECORDS);
      events.push({
        nid: id.nid,
        core,
        time: Number(r.time),
        kind: r.kind,
        words: [0, 1, 2, 3].map((i) => r.words(i)),
      });
    }
  }
  events.sort((a, b) => a.time - b.time || a.core - b.core);
  const shown = count === 0 ? [] : events.slice(-count);
  return shown.length === 0
    ? ["the flight recorder is empty"]
    : shown.map((event) => fullLine(event, (a) => view.symboliser.nameOf(a)));
}

function trace({ words, trace: live }: MonitorContext): readonly string[] {
  const [switched, list] = words;
  if (switched === "off" && list === undefined) {
    live.off();
    return ["trace: off"];
  }
  if (switched !== "on") {
    if (switched === undefined) return [`trace: ${live.list === undefined ? "off" : `on, ${live.list}`}`];
    throw new MonitorError(`trace: '${words.join(" ")}' is neither on nor off`);
  }
  try {
    live.on(list ?? "all");
  } catch (error) {
    if (error instanceof ShowError) throw new MonitorError(`trace: ${error.message}`);
    throw error;
  }
  return [`trace: on, ${list ?? "all"}: events appear here while the machine runs`];
}

export const recorderCommands: readonly MonitorCommand[] = [
  { name: "flight", usage: "flight [COUNT]", help: "the newest records of the node's flight recorder", run: flight },
  {
    name: "trace",
    usage: "trace on [LIST] | off",
    help: "show events while the machine runs; LIST as for --show",
    run: trace,
  },
];
