/**
 * `--trace FILE`, `--show LIST` with `--node`, `--core`, `--from`, `--to`, and `--strict`: where events go, and who checks them. Without any of
 * them tracing costs nothing.
 */
import fs from "node:fs";
import type { CreateEngine } from "../cpu/engine.ts";
import { Checkers } from "../trace/checkers.ts";
import { FullWriter } from "../trace/format.ts";
import { instructionText } from "../trace/instructiontext.ts";
import { traceInstructions } from "../trace/instructions.ts";
import { everything, parseNumbers, type Selection, Selector, wantsInstructions } from "../trace/select.ts";
import { parseShow, ShowError } from "../trace/show.ts";
import { noTrace, type TraceSink } from "../trace/sink.ts";
import { Symboliser } from "../trace/symbolise.ts";
import { type TraceConsumer, Tracer } from "../trace/tracer.ts";
import { UserError } from "./errors.ts";
import { openOutput, type Texts } from "./inputs.ts";
import { bounds } from "./options.ts";
import { writeAll } from "./session.ts";
import { parseTime } from "./units.ts";

export interface Tracing {
  readonly sink: TraceSink;
  /** The engine of the machine's nodes, watched where single instructions are asked for. */
  engine(create: CreateEngine, nids: readonly number[]): CreateEngine;
  /** `--strict`: what of the rules of every trace was broken, a line each. `complete`: the run ended by itself. Called once, before `close`. */
  violations(complete: boolean): readonly string[];
  /** Writes what is left. Called once, at the end, whatever happened. */
  close(): void;
}

/**
 * The selection filters the file; without a file the events go to stderr. `images`: ELFs with the symbols of addresses, the kernel first.
 * `watcher` sees every event, single instructions as selected. With `record` the selection goes to what it opens, and nowhere else.
 */
export async function openTrace(
  o: Texts,
  images: readonly Uint8Array[],
  watcher?: TraceConsumer,
  record?: () => TraceConsumer,
): Promise<Tracing> {
  const selection = parseSelection(o, "show");
  const consumers: TraceConsumer[] = watcher ? [watcher] : [];
  // 1.7 MB: loaded by those who ask for instructions.
  const disassemble = wantsInstructions(selection)
    ? await (await import("../trace/disassemble.ts")).loadDisassembler()
    : undefined;
  const fd = o["trace"] === undefined ? undefined : openOutput("--trace", o["trace"]);
  if (record) consumers.push(new Selector(selection, record()));
  if (fd !== undefined || (o["show"] !== undefined && !record)) {
    const symboliser = new Symboliser(images);
    const out = fd ?? process.stderr.fd;
    const writer = new FullWriter(
      (text) => writeAll(out, Buffer.from(text)),
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
  const end = (): void => {
    if (!ended) tracer.end();
    ended = true;
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
      end();
      if (fd !== undefined) fs.closeSync(fd);
    },
  };
}

/** `kinds`: the option that lists them, show or kind. */
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
/** A virtual time; 0 is one. */
const parseInstant = (option: string, text: string): number =>
  /^0(ns|us|ms|s)?$/.test(text) ? 0 : parseTime(option, text);

function numbers(option: string, text: string, letter: string, most: number): ReadonlySet<number> {
  const parsed = parseNumbers(text, letter);
  if (parsed === undefined || [...parsed].some((n) => n > most))
    throw new UserError(`bad ${option}`, `'${text}'`, `give numbers up to ${most}, as 1, ${letter}2 or 1,4-7`);
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
