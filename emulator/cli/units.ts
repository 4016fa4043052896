/** Numbers, sizes and times as people type them. */
import { UserError } from "./errors.ts";

const SIZE_UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };
const TIME_UNITS: Readonly<Record<string, number>> = { "": 1, ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/** A whole number between bounds, decimal or 0x…. */
export function parseCount(option: string, text: string, least: number, most: number): number {
  const value = /^(\d+|0x[0-9a-fA-F]+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= most))
    throw new UserError(`bad ${option}`, `'${text}'`, `give a whole number from ${least} to ${most}`);
  return value;
}

/** Bytes: 65536, 512K, 64M, 1G. */
export function parseSize(option: string, text: string, least: number, most: number): number {
  const m = /^(\d+(?:\.\d+)?)([KMG]?)(?:i?B)?$/i.exec(text);
  const value = m ? Number(m[1]) * (SIZE_UNITS[m[2]!.toUpperCase()] ?? Number.NaN) : Number.NaN;
  if (!(value >= least && value <= most) || value % 4096 !== 0)
    throw new UserError(
      `bad ${option}`,
      `'${text}'`,
      `give a size from ${formatSize(least)} to ${formatSize(most)} in whole 4 KB pages, as 64M or 1G`,
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

export function formatSize(bytes: number): string {
  for (const unit of ["G", "M", "K"])
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
