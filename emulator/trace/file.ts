/**
 * The trace file of `margay trace`: text, one JSON value a line. The first line is the header: version, the command
 * line that made it, the machine, and the images with their SHA-256, by which symbols are found again. Then one line an
 * event, in the order of the trace,
 *   [time, nid, core, "kind", words…]     e.g. [526667,0,-1,"service.load",1,1,7566,8]
 * core -1: no core did it; a word is a number, or "0x…" where it has more than 53 bits, or the text of a text field.
 * The last line is {"end":true,"events":N}: a file without it is cut short. Nothing in it depends on the host, so the
 * same line gives the same bytes.
 */
import { eventTable, FieldFormat } from "../abi/events.ts";
import type { TraceConsumer, TraceEvent } from "./tracer.ts";

export const TRACE_FILE_VERSION = 1;

export interface TracedImage {
  readonly role: "kernel" | "init" | "program";
  /** Path in the package, or as given. */
  readonly file: string;
  readonly sha256: string;
}
export interface TraceHeader {
  /** Arguments of `margay` that repeat the run. */
  readonly command: readonly string[];
  /** The program, or the image that was booted. */
  readonly image: string;
  readonly nodes: number;
  /** Of each node. */
  readonly cores: number;
  readonly seed: number;
  /** Selection of events by `--show` and similar options; "all" = everything. */
  readonly show: string;
  readonly images: readonly TracedImage[];
}

/** An error in a trace file: "line 12: …". */
export class TraceFileError extends Error {}

const LINE_CHARACTERS_MAX = 1 << 20;
const CHUNK_CHARACTERS = 1 << 16;
const CORES_MAX = 64;
const WORDS = 4;
interface Row {
  readonly kind: number;
  readonly name: string;
  readonly fields: readonly (string | null)[];
  readonly formats: readonly number[];
}
const byKind = new Map<number, Row>(eventTable.map((row) => [row.kind, row]));
const byName = new Map<string, Row>(eventTable.map((row) => [row.name, row]));
const isText = (format: number): boolean => format === FieldFormat.TEXT || format === FieldFormat.CODE;

/** A kind that no table knows is a mistake of the kernel, which the trace must show. */
const HEX4: readonly number[] = [FieldFormat.HEX, FieldFormat.HEX, FieldFormat.HEX, FieldFormat.HEX];
const rowOf = (kind: number): Row =>
  byKind.get(kind) ?? { kind, name: `kind${kind}`, fields: ["a", "b", "c", "d"], formats: HEX4 };
function rowOfName(name: string): Row | undefined {
  const unknown = /^kind(\d{1,5})$/.exec(name);
  return byName.get(name) ?? (unknown === null ? undefined : rowOf(Number(unknown[1])));
}

/** Streams a trace file. */
export class TraceFileWriter implements TraceConsumer {
  private buffer: string[] = [];
  private length = 0;
  private events = 0;

  constructor(
    header: TraceHeader,
    private readonly write: (text: string) => void,
  ) {
    this.line(JSON.stringify({ margayTrace: TRACE_FILE_VERSION, ...header }));
  }

  event({ time, nid, core, kind, words }: TraceEvent): void {
    const row = rowOf(kind);
    this.events++;
    this.line(JSON.stringify([time, nid, core, row.name, ...words.slice(0, wordCount(row)).map(wordToJson)]));
  }

  end(): void {
    this.line(JSON.stringify({ end: true, events: this.events }));
    this.drain();
  }

  private line(text: string): void {
    this.buffer.push(text, "\n");
    this.length += text.length + 1;
    if (this.length >= CHUNK_CHARACTERS) this.drain();
  }
  private drain(): void {
    if (this.length > 0) this.write(this.buffer.join(""));
    this.buffer = [];
    this.length = 0;
  }
}

/** The kernel's records always hold four words; those without a field are ignored. */
function wordCount(row: Row): number {
  let count = WORDS;
  while (count > 0 && row.fields[count - 1] === null) count--;
  return count;
}
function wordToJson(word: number | bigint | string): number | string {
  if (typeof word === "string") return word;
  const value = BigInt.asUintN(64, BigInt(word));
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : `0x${value.toString(16)}`;
}

export interface TraceFile {
  readonly header: TraceHeader;
  /** Read on demand; throws TraceFileError where the file becomes invalid. */
  readonly events: Iterable<TraceEvent>;
}

/** `chunks`: the file's text in pieces. Throws TraceFileError. */
export function readTraceFile(chunks: Iterable<string>): TraceFile {
  const lines = linesOf(chunks);
  const first = lines.next();
  if (first.done === true) throw new TraceFileError("the file is empty");
  return { header: parseHeader(first.value), events: eventsOf(lines) };
}

function* linesOf(chunks: Iterable<string>): Generator<string, void> {
  /** Pieces of the incomplete line. */
  let open: string[] = [];
  let length = 0;
  for (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf("\n"); end >= 0; end = chunk.indexOf("\n", start)) {
      yield open.join("") + chunk.slice(start, end);
      open = [];
      length = 0;
      start = end + 1;
    }
    open.push(chunk.slice(start));
    length += chunk.length - start;
    if (length > LINE_CHARACTERS_MAX) throw new TraceFileError(`a line of more than ${LINE_CHARACTERS_MAX} characters`);
  }
  if (length > 0) yield open.join("");
}

function* eventsOf(lines: Iterator<string>): Generator<TraceEvent, void> {
  let count = 0;
  for (let at = 2; ; at++) {
    const line = lines.next();
    if (line.done === true) throw new TraceFileError(`cut short behind line ${at - 1}: the last line is missing`);
    const value = parseJson(line.value, at);
    if (Array.isArray(value)) {
      yield parseEvent(value, at);
      count++;
      continue;
    }
    if (!isObject(value) || value["end"] !== true) throw new TraceFileError(`line ${at}: neither an event nor the end`);
    if (value["events"] !== count)
      throw new TraceFileError(`line ${at}: ${count} events stand above, ${String(value["events"])} were written`);
    if (lines.next().done !== true) throw new TraceFileError(`line ${at + 1}: something follows the end`);
    return;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function parseJson(text: string, at: number): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new TraceFileError(`line ${at}: not JSON`);
  }
}

function parseHeader(text: string): TraceHeader {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = null;
  }
  if (!isObject(value) || value["margayTrace"] === undefined)
    throw new TraceFileError("no trace file: it has no header");
  const version = value["margayTrace"];
  if (version !== TRACE_FILE_VERSION)
    throw new TraceFileError(`version ${String(version)}, this command reads ${TRACE_FILE_VERSION}`);
  const { command, image, nodes, cores, seed, show, images } = value;
  const isImage = (item: unknown): item is TracedImage =>
    isObject(item) &&
    ["kernel", "init", "program"].includes(String(item["role"])) &&
    isString(item["file"]) &&
    isString(item["sha256"]);
  const isSound =
    isList(command, isString) &&
    isString(image) &&
    isCount(nodes) &&
    isCount(cores) &&
    isCount(seed) &&
    isString(show) &&
    isList(images, isImage);
  if (!isSound) throw new TraceFileError("line 1: the header lacks a field, or one is of the wrong kind");
  return { command, image, nodes, cores, seed, show, images };
}
const isString = (value: unknown): value is string => typeof value === "string";
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isList = <T>(value: unknown, is: (item: unknown) => item is T): value is readonly T[] =>
  Array.isArray(value) && value.every(is);

function parseEvent(value: readonly unknown[], at: number): TraceEvent {
  const [time, nid, core, name, ...words] = value;
  if (
    !isCount(time) ||
    !isCount(nid) ||
    !Number.isInteger(core) ||
    (core as number) < -1 ||
    (core as number) >= CORES_MAX
  )
    throw new TraceFileError(`line ${at}: an event begins with time, nid and core`);
  const row = isString(name) ? rowOfName(name) : undefined;
  if (row === undefined) throw new TraceFileError(`line ${at}: no kind of event is called ${JSON.stringify(name)}`);
  const count = wordCount(row);
  if (words.length > count)
    throw new TraceFileError(`line ${at}: ${row.name} has ${count} fields, not ${words.length}`);
  return {
    time,
    nid,
    core: core as number,
    kind: row.kind,
    words: words.map((word, i) => parseWord(word, row, i, at)),
  };
}

function parseWord(word: unknown, row: Row, i: number, at: number): number | bigint | string {
  if (isText(row.formats[i]!)) {
    if (isString(word)) return word;
  } else if (isCount(word)) return word;
  else if (isString(word) && /^0x[0-9a-f]{1,16}$/.test(word)) return BigInt(word);
  throw new TraceFileError(`line ${at}: ${row.name}: bad ${row.fields[i]}`);
}
