/** `--trace FILE`, `--show LIST`, `--strict`: where events go, and who checks them. Without any of them tracing costs nothing. */
import fs from "node:fs";
import { Checkers } from "../trace/checkers.ts";
import { FullWriter } from "../trace/format.ts";
import { Filter, parseShow, ShowError } from "../trace/show.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import { SymbolTable } from "../trace/symbols.ts";
import { type TraceConsumer, Tracer } from "../trace/tracer.ts";
import { UserError } from "./errors.ts";
import { openOutput, type Texts } from "./inputs.ts";

export interface Tracing {
  readonly sink: TraceSink;
  /** `--strict`: what of the rules of every trace was broken, a line each. `complete`: the run ended by itself. Called once, before `close`. */
  violations(complete: boolean): readonly string[];
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
  const checkers = o["strict"] === undefined ? null : new Checkers();
  if (checkers) consumers.push(checkers);
  if (consumers.length === 0) return { sink: noTrace, violations: () => [], close: () => {} };
  const tracer = new Tracer(consumers);
  let ended = false;
  const end = (): void => {
    if (!ended) tracer.end();
    ended = true;
  };
  return {
    sink: tracer,
    violations: (complete) => {
      if (!checkers) return [];
      end();
      return checkers
        .finish(complete)
        .map((text) => `margay: trace: ${text}: a rule of every trace is broken (emulator/trace/checkers.ts)`);
    },
    close: () => {
      end();
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
