/**
 * `--trace FILE` (trace/file.ts), `--show LIST` with `--node`, `--core`, `--from`, `--to`, and `--strict`: where events
 * are written and which checkers run. Without any of these options tracing costs nothing.
 */
import fs from "node:fs";
import type { CreateEngine } from "../cpu/engine.ts";
import { Checkers } from "../trace/checkers.ts";
import { type TraceHeader, TraceFileWriter } from "../trace/file.ts";
import { FullWriter } from "../trace/format.ts";
import { instructionText } from "../trace/instructiontext.ts";
import { traceInstructions } from "../trace/instructions.ts";
import { everything, parseNumbers, type Selection, Selector, wantsInstructions } from "../trace/select.ts";
import { parseShow, ShowError } from "../trace/show.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import { Symboliser } from "../trace/symbolise.ts";
import { type TraceConsumer, Tracer } from "../trace/tracer.ts";
import { UserError } from "./errors.ts";
import { openOutput } from "./files.ts";
import { bounds } from "./limits.ts";
import { printError, writeAll } from "./output.ts";
import type { Texts } from "./parse.ts";
import { parseTime } from "./units.ts";

export interface Tracing {
  readonly sink: TraceSink;
  /** The engine for the machine's nodes, with instruction tracing where it is requested. */
  engine(create: CreateEngine, nids: readonly number[]): CreateEngine;
  /**
   * `--strict`: the broken rules of the trace, one line each. `complete`: the run ended by itself. Called once, before
   * `close`.
   */
  violations(complete: boolean): readonly string[];
  /** Writes the rest. Called at the end in every case; a second call does nothing. */
  close(): void;
}

export interface TracingOptions {
  /** ELF images whose symbols name addresses, the kernel first. */
  readonly images: readonly Uint8Array[];
  /** Sees every event, and single instructions as selected. */
  readonly watcher?: TraceConsumer | undefined;
  /** Header of a trace file. */
  readonly header: () => TraceHeader;
}

/** The selection filters the file; without a file the events go to stderr, decoded. */
export async function openTrace(o: Texts, { images, watcher, header }: TracingOptions): Promise<Tracing> {
  const selection = parseSelection(o, "show");
  const consumers: TraceConsumer[] = watcher ? [watcher] : [];
  // 1.7 MB: loaded only if instructions are traced.
  const disassemble = wantsInstructions(selection)
    ? await (await import("../trace/disassemble.ts")).loadDisassembler()
    : undefined;
  const [option, name] = o["output"] === undefined ? ["--trace", o["trace"]] : ["--output", o["output"]];
  const fd = name === undefined ? undefined : openOutput(option, name);
  if (fd !== undefined) {
    const writer = new TraceFileWriter(header(), (text) => writeAll(fd, Buffer.from(text), name!));
    consumers.push(new Selector(selection, writer));
  } else if (o["show"] !== undefined) {
    const symboliser = new Symboliser(images);
    const writer = new FullWriter(
      printError,
      (address) => symboliser.nameOf(address),
      disassemble && instructionText(disassemble, symboliser),
    );
    consumers.push(new Selector(selection, writer));
  }
  const checkers = o["strict"] === undefined ? null : new Checkers();
  if (checkers) consumers.push(checkers);
  if (consumers.length === 0)
    return { sink: noTrace, engine: (create) => create, violations: () => [], close: () => {} };
  const tracer = new Tracer(consumers);
  let ended = false;
  let isClosed = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    tracer.end();
  };
  return {
    sink: tracer,
    engine: (create, nids) =>
      disassemble ? traceInstructions(create, { nids, sink: tracer, selection, disassemble }) : create,
    violations: (complete) => {
      if (!checkers) return [];
      end();
      return checkers
        .finish(complete)
        .map((text) => `margay: trace: ${text}: a rule of every trace is broken (emulator/trace/checkers.ts)`);
    },
    close: () => {
      if (isClosed) return;
      isClosed = true;
      try {
        end();
      } finally {
        if (fd !== undefined) fs.closeSync(fd);
      }
    },
  };
}

/** `kinds`: the option that lists them, `show` or `kind`. */
export function parseSelection(o: Texts, kinds: "show" | "kind"): Selection {
  const list = o[kinds];
  const from = o["from"] === undefined ? everything.from : parseInstant("--from", o["from"]);
  const to = o["to"] === undefined ? everything.to : parseInstant("--to", o["to"]);
  if (to <= from) throw new UserError("bad --to", `'${o["to"]}'`, "give a time after --from");
  return {
    from,
    to,
    ...(list === undefined ? {} : { kinds: select(`--${kinds}`, list) }),
    ...(o["node"] === undefined ? {} : { nids: numbers("--node", o["node"], "n", bounds.nodes) }),
    ...(o["core"] === undefined ? {} : { cores: numbers("--core", o["core"], "c", bounds.cores - 1) }),
  };
}
/** A point in virtual time; 0 is valid. */
const parseInstant = (option: string, text: string): number =>
  /^0(ns|us|ms|s)?$/.test(text) ? 0 : parseTime(option, text);

function numbers(option: string, text: string, letter: string, most: number): ReadonlySet<number> {
  const parsed = parseNumbers(text, letter);
  if (parsed === undefined || [...parsed].some((n) => n > most))
    throw new UserError(
      `bad ${option}`,
      `'${text}'`,
      `give numbers up to ${most}, as 1, ${letter}2 or 1,4-7${option === "--core" ? "; core files: --core-dir DIR" : ""}`,
    );
  return parsed;
}

function select(option: string, list: string): ReadonlySet<number> {
  try {
    const selected = parseShow(list);
    if (selected.size === 0) throw new ShowError("no event is named: give groups or kinds, as sys,irq.eoi,msg");
    return selected;
  } catch (error) {
    if (error instanceof ShowError) throw new UserError(`bad ${option}`, error.message, "");
    throw error;
  }
}
