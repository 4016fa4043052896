/** `--trace FILE` and `--show LIST`: where events go. Without either nobody looks and tracing costs nothing. */
import fs from "node:fs";
import { FullWriter } from "../trace/format.ts";
import { Filter, parseShow, ShowError } from "../trace/show.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import { SymbolTable } from "../trace/symbols.ts";
import { type TraceConsumer, Tracer } from "../trace/tracer.ts";
import { UserError } from "./errors.ts";
import { openOutput, type Texts } from "./inputs.ts";

export interface Tracing {
  readonly sink: TraceSink;
  /** Writes what is left. Called once, at the end, whatever happened. */
  close(): void;
}

/** `--show` filters the file; without a file the events go to stderr. `watcher` sees every event. */
export function openTrace(o: Texts, kernel: Uint8Array, watcher?: TraceConsumer): Tracing {
  const show = o["show"] === undefined ? undefined : select(o["show"]);
  const consumers: TraceConsumer[] = watcher ? [watcher] : [];
  const fd = o["trace"] === undefined ? undefined : openOutput("--trace", o["trace"]);
  if (fd !== undefined || show !== undefined) {
    const symbols = SymbolTable.fromElf(kernel);
    const out = fd ?? process.stderr.fd;
    const writer = new FullWriter(
      (text) => void fs.writeFileSync(out, text),
      (address) => symbols.nameOf(address),
    );
    consumers.push(show ? new Filter(show, writer) : writer);
  }
  if (consumers.length === 0) return { sink: noTrace, close: () => {} };
  const tracer = new Tracer(consumers);
  return {
    sink: tracer,
    close: () => {
      tracer.end();
      if (fd !== undefined) fs.closeSync(fd);
    },
  };
}

function select(list: string): ReadonlySet<number> {
  try {
    return parseShow(list);
  } catch (error) {
    if (error instanceof ShowError) throw new UserError("bad --show", error.message, "");
    throw error;
  }
}
