/** `margay trace show | diff | export`: reads files that `margay trace record` wrote. */
import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { StringDecoder } from "node:string_decoder";
import { EventKind } from "../abi/events.ts";
import type { DecodeOptions } from "../trace/decode.ts";
import { diffTraces, type Side } from "../trace/diff.ts";
import { readTraceFile, type TraceFile, TraceFileError, type TraceHeader } from "../trace/file.ts";
import { FullWriter, goldenTrace } from "../trace/format.ts";
import { instructionText } from "../trace/instructiontext.ts";
import { chromeTrace } from "../trace/perfetto.ts";
import { isSelected, type Selection } from "../trace/select.ts";
import { Symboliser } from "../trace/symbolise.ts";
import type { TraceEvent } from "../trace/tracer.ts";
import { UserError } from "./errors.ts";
import { openInputFile, openOutput } from "./files.ts";
import { packageRoot } from "./package.ts";
import { print, printError, writeAll } from "./output.ts";
import type { Texts } from "./parse.ts";
import { parseSelection } from "./tracing.ts";
import { parseCount } from "./units.ts";

const CHUNK_BYTES = 1 << 16;
const CONTEXT_MOST = 1000;
export const STATUS_DIFFERENT = 1;

export async function showCommand(file: string, o: Texts): Promise<number> {
  const selection = parseSelection(o, "kind");
  const format = o["format"] ?? "full";
  if (format !== "full" && format !== "golden")
    throw new UserError("bad --format", `'${format}'`, "give full or golden");
  return reading(file, async () => {
    const { header, events } = open(file, selection);
    const symboliser = symbolsOf(header);
    const nameOf = (address: bigint): string | undefined => symboliser.nameOf(address);
    let instruction: DecodeOptions["instruction"];
    const instructionFor = async (event: TraceEvent): Promise<void> => {
      if (event.kind !== EventKind.INSN || instruction) return;
      instruction = instructionText(await (await import("../trace/disassemble.ts")).loadDisassembler(), symboliser);
    };
    if (format === "golden") {
      const all = [...events];
      const first = all.find((event) => event.kind === EventKind.INSN);
      if (first) await instructionFor(first);
      const show = o["kind"] ?? header.show;
      print(goldenTrace({ ...header, show }, all, nameOf, instruction));
      return 0;
    }
    let writer: FullWriter | undefined;
    for (const event of events) {
      if (event.kind === EventKind.INSN && !instruction) {
        writer?.end();
        writer = undefined;
        await instructionFor(event);
      }
      writer ??= new FullWriter(print, nameOf, instruction);
      writer.event(event);
    }
    writer?.end();
    return 0;
  });
}

export function diffCommand(a: string, b: string, o: Texts): number {
  const selection = parseSelection(o, "kind");
  const { ignore } = o;
  if (ignore !== undefined && ignore !== "time")
    throw new UserError("bad --ignore", `'${ignore}'`, "give time, or leave it out");
  const context = parseCount("--context", o["context"] ?? "5", 0, CONTEXT_MOST);
  const side = (file: string, name: string): Side => {
    const { header, events } = open(file, selection);
    const symboliser = symbolsOf(header);
    return { name, header, events: naming(file, events), nameOf: (address) => symboliser.nameOf(address) };
  };
  // Two files of the same name in different folders.
  const isClear = path.basename(a) !== path.basename(b);
  const lines = diffTraces(side(a, isClear ? path.basename(a) : a), side(b, isClear ? path.basename(b) : b), {
    ignoreTime: ignore === "time",
    context,
  });
  if (lines === null) return 0;
  print(`${lines.join("\n")}\n`);
  return STATUS_DIFFERENT;
}

export function exportCommand(file: string, o: Texts): number {
  const selection = parseSelection(o, "kind");
  const to = o["perfetto"]!;
  const { header, events } = open(file, selection);
  const symboliser = symbolsOf(header);
  const { traceEvents, ...rest } = chromeTrace(header, [...naming(file, events)], (address) =>
    symboliser.nameOf(address),
  );
  const fd = openOutput("--perfetto", to);
  const write = (text: string): void => writeAll(fd, Buffer.from(text), to);
  try {
    // One event per line: searchable, and no string becomes too long.
    write(`${JSON.stringify(rest).slice(0, -1)},"traceEvents":[\n`);
    for (let i = 0; i < traceEvents.length; i += 1000) {
      const part = traceEvents.slice(i, i + 1000).map((event) => JSON.stringify(event));
      write(`${part.join(",\n")}${i + 1000 < traceEvents.length ? ",\n" : "\n"}`);
    }
    write("]}\n");
  } finally {
    fs.closeSync(fd);
  }
  return 0;
}

// ---- files

/** Reads the header at once and the events on demand. */
function open(file: string, selection: Selection): TraceFile {
  const fd = openInput(file);
  try {
    const { header, events } = readTraceFile(chunksOf(fd, file));
    return { header, events: selected(file, events, selection) };
  } catch (error) {
    throw badTrace(file, error);
  }
}
const openInput = (file: string): number =>
  openInputFile("trace", file, "give a file that `margay trace record` wrote");

function* chunksOf(fd: number, file: string): Generator<string, void> {
  const decoder = new StringDecoder("utf8");
  const bytes = Buffer.alloc(CHUNK_BYTES);
  try {
    for (let count = read(fd, bytes, file); count > 0; count = read(fd, bytes, file))
      yield decoder.write(bytes.subarray(0, count));
    yield decoder.end();
  } finally {
    fs.closeSync(fd);
  }
}
function read(fd: number, bytes: Buffer, file: string): number {
  try {
    return fs.readSync(fd, bytes);
  } catch (error) {
    throw new UserError(
      "trace",
      `${file}: ${(error as NodeJS.ErrnoException).code ?? "error"}`,
      "give a file that can be read",
    );
  }
}

/** Prints a line on stderr if the filters select none of the trace's events. */
function* selected(file: string, events: Iterable<TraceEvent>, selection: Selection): Generator<TraceEvent, void> {
  let all = 0;
  let passed = 0;
  for (const event of events) {
    all++;
    if (!isSelected(event, selection)) continue;
    passed++;
    yield event;
  }
  if (passed === 0 && all > 0)
    printError(`margay: ${file}: none of its ${all} events is selected by --kind, --node, --core, --from and --to\n`);
}

/** Adds the file's name to errors in the trace. */
function* naming(file: string, events: Iterable<TraceEvent>): Generator<TraceEvent, void> {
  try {
    yield* events;
  } catch (error) {
    throw badTrace(file, error);
  }
}
async function reading(file: string, run: () => Promise<number>): Promise<number> {
  try {
    return await run();
  } catch (error) {
    throw badTrace(file, error);
  }
}
const badTrace = (file: string, error: unknown): unknown =>
  error instanceof TraceFileError
    ? new UserError("bad trace", `${file}: ${error.message}`, "record it again with `margay trace record`")
    : error;

/** Symbols of the images that the header names, as long as those files have not changed. */
function symbolsOf(header: TraceHeader): Symboliser {
  const elfs: Uint8Array[] = [];
  for (const { role, file, sha256 } of header.images) {
    const found = path.resolve(packageRoot, file);
    const bytes = fs.statSync(found, { throwIfNoEntry: false })?.isFile() === true ? fs.readFileSync(found) : undefined;
    if (bytes !== undefined && createHash("sha256").update(bytes).digest("hex") === sha256) elfs.push(bytes);
    else {
      const why = bytes === undefined ? "no such file" : "not the one that was traced";
      printError(`margay: symbols of the ${role}: ${file}: ${why}: addresses stay numbers\n`);
    }
  }
  return new Symboliser(elfs);
}
