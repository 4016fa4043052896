/** A monitor command: a row of the table in monitor.ts, and the context that it gets. */
import type { KernelView } from "../kernel.ts";
import type { CoreId, OwnPoints } from "../target.ts";
import type { LiveTrace } from "./trace.ts";

export interface MonitorContext {
  /** The selected core; `node` and `core` arguments change it. */
  readonly id: CoreId;
  readonly view: KernelView;
  readonly points: OwnPoints;
  readonly trace: LiveTrace;
  /** Words after the command's name. */
  readonly words: readonly string[];
}
export interface MonitorCommand {
  readonly name: string;
  readonly usage: string;
  readonly help: string;
  /** Returns the answer as lines. */
  readonly run: (c: MonitorContext) => readonly string[];
}

/** Invalid input of the user: one line. */
export class MonitorError extends Error {}

export const hex = (value: bigint | number, digits = 0): string => `0x${value.toString(16).padStart(digits, "0")}`;
export const address = (value: bigint): string => hex(BigInt.asUintN(64, value), 16);

/** An address, always hexadecimal, with or without 0x: a decimal number without letters would be ambiguous. */
export function parseAddress(text: string | undefined, what: string): bigint {
  const digits = (text ?? "").replace(/^0x/i, "");
  if (!/^[0-9a-f]{1,16}$/i.test(digits)) throw new MonitorError(`${what}: '${text ?? ""}' is no hexadecimal address`);
  return BigInt(`0x${digits}`);
}
export function parseNumber(text: string, what: string, most: number): number {
  const value = /^(\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : Number.NaN;
  if (!(value <= most)) throw new MonitorError(`${what}: '${text}' is no number up to ${most}`);
  return value;
}

/** Formats rows as columns, the last one unpadded. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  return rows.map((row) =>
    row
      .map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
}

/** The cores of the selected node, or the one in the first word. */
export function chosenCores({ id, view, words }: MonitorContext): readonly CoreId[] {
  const count = view.control.machine.node(id.nid)!.engine.cores.length;
  const word = words[0];
  if (word === undefined) return Array.from({ length: count }, (_, core) => ({ nid: id.nid, core }));
  return [{ nid: id.nid, core: parseNumber(word, "core", count - 1) }];
}
