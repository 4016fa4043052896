/** Parses and prints numbers, sizes and times in the forms that people type. */
import { UserError } from "./errors.ts";

const SIZE_UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const TIME_UNITS: Readonly<Record<string, number>> = { "": 1, ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/** A whole number between bounds, decimal or 0x…. */
export function parseCount(option: string, text: string, least: number, most: number): number {
  const value = /^(\d+|0x[0-9a-fA-F]+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new UserError(`bad ${option}`, `'${text}'`, `give a whole number from ${least} to ${most}`);
  return value;
}

/** Bytes: 65536, 512K, 64M, 1G; whole multiples of `unitBytes`. */
export function parseSize(option: string, text: string, least: number, most: number, unitBytes = 4096): number {
  const m = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text);
  const value = m ? Number(m[1]) * (SIZE_UNITS[m[2]!.toUpperCase()] ?? Number.NaN) : Number.NaN;
  if (!(value >= least && value <= most) || value % unitBytes !== 0)
    throw new UserError(
      `bad ${option}`,
      `'${text}'`,
      `give a size from ${formatSize(least)} to ${formatSize(most)}${unitBytes === 1 ? "" : " in whole 4 KB pages"}, as 64M or 1G`,
    );
  return value;
}

/** Virtual time in ns: 500 (ns), 20us, 10ms, 2s. */
export function parseTime(option: string, text: string): number {
  const m = /^(\d+(?:\.\d+)?)(ns|us|ms|s|)$/.exec(text);
  const value = m ? Math.round(Number(m[1]) * TIME_UNITS[m[2]!]!) : Number.NaN;
  if (!(value > 0 && value <= Number.MAX_SAFE_INTEGER))
    throw new UserError(`bad ${option}`, `'${text}'`, "give a virtual time as 500ns, 20us, 10ms or 2s");
  return value;
}

/** Wall-clock time in seconds: 90s, 10m, 2h, 1:30:00. */
export function parseWallTime(option: string, text: string): number {
  const m = /^(\d+(?:\.\d+)?)([smh])$/.exec(text);
  const clock = /^(?:(\d+):)?(\d+):([0-5]\d)$/.exec(text);
  const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };
  let seconds = Number.NaN;
  if (m) seconds = Number(m[1]) * units[m[2]!]!;
  else if (clock) seconds = Number(clock[1] ?? 0) * 3600 + Number(clock[2]) * 60 + Number(clock[3]);
  if (!(seconds > 0 && seconds <= WALL_MOST_SECONDS))
    throw new UserError(`bad ${option}`, `'${text}'`, "give a wall-clock time as 90s, 10m, 2h or 1:30:00");
  return seconds;
}
/** Upper bound of node's timers, 2^31 ms: 24 days. */
const WALL_MOST_SECONDS = 2_000_000;

/** Bytes per second: 10GB/s, 500M, 1.5G; decimal, as links are specified. */
export function parseRate(option: string, text: string): number {
  const m = /^(\d+(?:\.\d+)?)([KMG])(?:B(?:\/s)?)?$/i.exec(text);
  const factors: Readonly<Record<string, number>> = { K: 1e3, M: 1e6, G: 1e9 };
  const value = m ? Number(m[1]) * factors[m[2]!.toUpperCase()]! : Number.NaN;
  if (!(value >= 1e6 && value <= 1e12))
    throw new UserError(`bad ${option}`, `'${text}'`, "give bytes a second from 1MB/s to 1000GB/s, as 10GB/s");
  return value;
}

export function formatSize(bytes: number): string {
  for (const unit of ["T", "G", "M", "K"])
    if (bytes >= SIZE_UNITS[unit]! && bytes % SIZE_UNITS[unit]! === 0) return `${bytes / SIZE_UNITS[unit]!}${unit}`;
  return `${bytes}`;
}

/** 1234567 ns → "1.235 ms". */
export function formatTime(ns: number): string {
  for (const [unit, factor] of [
    ["s", 1e9],
    ["ms", 1e6],
    ["us", 1e3],
  ] as const)
    if (ns >= factor) return `${(ns / factor).toFixed(3)} ${unit}`;
  return `${Math.round(ns)} ns`;
}
