/**
 * Words of events as text. Every name comes from the tables in kernel/abi; unknown values are shown as numbers, never
 * dropped. Two styles: `full` shows exact values; `golden` shows names of regions and symbols instead of addresses, so
 * that a reviewed trace does not change when code moves.
 */
import { ErrnoNames } from "../abi/errno.ts";
import { EventKind, eventTable, FieldFormat } from "../abi/events.ts";
import { InitMatchNames } from "../abi/job.ts";
import { Icr, IcrNames } from "../abi/lapic.ts";
import {
  DIRECT_MAP_BASE,
  INIT_BASE,
  KERNEL_BASE,
  USER_END,
  USER_MAP_BASE,
  USER_STACK_BYTES,
  USER_STACK_TOP,
} from "../abi/memory.ts";
import { CauseNames, DropReasonNames, OperationNames } from "../abi/net.ts";
import { KEYBOARD_GSI } from "../abi/platform.ts";
import { ArgKind } from "../abi/syscalls.ts";
import { syscallInfos } from "../abi/syscalltable.ts";
import { UART_GSI } from "../abi/uart.ts";
import { IRQ_COUNT, IRQ_VECTOR_BASE, VectorNames } from "../abi/vectors.ts";
import { VIRTIO_MMIO_GSI, VIRTIO_MMIO_SLOTS } from "../abi/virtio.ts";
import { ExceptionNames } from "../abi/x86.ts";
import { namedArgument } from "./arguments.ts";
import type { TraceEvent } from "./tracer.ts";

export type Word = number | bigint | string;
export interface DecodeOptions {
  readonly style: "full" | "golden";
  /** Name of a kernel address: "tlb_flush" or "tlb_flush+0x12". */
  readonly nameOf?: (address: bigint) => string | undefined;
  /**
   * Describes an instruction, from its address, mode (16, 32, 64) and bytes in hexadecimal. Without it, INSN shows
   * these.
   */
  readonly instruction?: (rip: bigint, bits: number, code: string) => string;
}

type Row = (typeof eventTable)[number];
const rows = new Map<number, Row>(eventTable.map((row) => [row.kind, row]));
const calls = new Map(
  syscallInfos.map((info) => [info.number as number, { ...info, names: (info.names ?? "").split(" ") }]),
);

export function kindName(kind: number): string {
  return rows.get(kind)?.name ?? `kind${kind}`;
}

/** "munmap addr=0x2000 length=4096": the fields of an event. */
export function decodeFields(event: TraceEvent, options: DecodeOptions): string {
  const row = rows.get(event.kind);
  if (row === undefined) return event.words.map((word) => String(word)).join(" ");
  if (event.kind === EventKind.INSN && options.instruction !== undefined)
    return instructionText(event, options, options.instruction);
  const parts: string[] = [];
  for (let i = 0; i < 4; i++) {
    const name = row.fields[i];
    if (name === null || i >= event.words.length) continue;
    const part = decodeField(row, i, name, event, options);
    if (part !== "") parts.push(part);
  }
  return parts.join(" ");
}

function instructionText(
  event: TraceEvent,
  options: DecodeOptions,
  instruction: NonNullable<DecodeOptions["instruction"]>,
): string {
  const rip = BigInt.asUintN(64, BigInt(event.words[0]!));
  const bits = Number(event.words[1]);
  return `${addressText(rip, { ...options, nameOf: (a) => options.nameOf?.(linkedAddress(a, bits)) })} ${instruction(rip, bits, String(event.words[2]))}`;
}

/** The link address of code that runs at its physical address before paging. */
export const linkedAddress = (rip: bigint, bits: number): bigint => (bits === 64 ? rip : rip + KERNEL_BASE);

function decodeField(row: Row, i: number, name: string, event: TraceEvent, options: DecodeOptions): string {
  const word = event.words[i];
  const format = row.formats[i];
  if (typeof word === "string") return `${name}=${format === FieldFormat.CODE ? word : JSON.stringify(word)}`;
  if (format === FieldFormat.SYSCALL) return syscallName(word);
  if (format === FieldFormat.SYSARG) return systemArgument(Number(event.words[0]), i - 1, word, options);
  // A reason has a separate table; the event table declares it as a number.
  if (event.kind === EventKind.MSG_DROP && name === "why")
    return `${name}=${DropReasonNames.get(Number(word)) ?? word}`;
  if (event.kind === EventKind.IPI_ICR && name !== "to")
    return interruptCommand(name, Number(event.words[1]), Number(word));
  return `${name}=${decodeWord(format, word, options)}`;
}

/** The vector field of an interrupt command is a page for STARTUP and has no meaning for INIT and NMI. */
function interruptCommand(name: string, mode: number, value: number): string {
  if (name === "mode") return `mode=${IcrNames.get(mode) ?? hexadecimal(mode)}`;
  if (mode === Icr.STARTUP) return `page=${hexadecimal(value)}`;
  return mode === Icr.FIXED || mode === Icr.LOWEST ? `vector=${vectorName(value)}` : "";
}

export function decodeWord(format: number, word: number | bigint, options: DecodeOptions): string {
  const value = Number(word);
  // biome-ignore format: one case a row
  switch (format) {
    case FieldFormat.HEX: return hexadecimal(word);
    case FieldFormat.ADDRESS: return addressText(BigInt.asUintN(64, BigInt(word)), options);
    case FieldFormat.VECTOR: return vectorName(value);
    case FieldFormat.RESULT: return resultText(BigInt.asIntN(64, BigInt(word)), options);
    case FieldFormat.OPERATION: return OperationNames.get(value) ?? `operation ${value}`;
    case FieldFormat.CAUSE: return CauseNames.get(value) ?? `cause ${value}`;
    case FieldFormat.NID: return value === 0xffff_ffff ? "all" : `n${value}`;
    case FieldFormat.CORE: return `c${value}`;
    case FieldFormat.WAIT_STATUS: return (value & 0x7f) === 0 ? `exit:${(value >>> 8) & 0xff}` : `signal:${value & 0x7f}`;
    case FieldFormat.INIT_MATCH: return matchText(BigInt.asUintN(64, BigInt(word)));
    case FieldFormat.BYTES: return bytesText(value, options);
    default: return String(word);
  }
}

/**
 * Golden: sizes above 1 KB depend on the size of code, which changes with every compile, so they are shown as the next
 * power of two.
 */
function bytesText(bytes: number, options: DecodeOptions): string {
  if (options.style === "full" || bytes <= 1024) return String(bytes);
  return `${2 ** Math.ceil(Math.log2(bytes / 1024))}K`;
}

export function vectorName(vector: number): string {
  const own = VectorNames.get(vector);
  if (own !== undefined) return own;
  if (vector < 32) {
    const exception = ExceptionNames.get(vector);
    return exception === undefined ? `exception ${vector}` : `#${exception}`;
  }
  const gsi = vector - IRQ_VECTOR_BASE;
  if (gsi < 0 || gsi >= IRQ_COUNT) return `0x${vector.toString(16)}`;
  if (gsi === UART_GSI) return "IRQ_UART";
  if (gsi === KEYBOARD_GSI) return "IRQ_KEYBOARD";
  if (gsi >= VIRTIO_MMIO_GSI && gsi < VIRTIO_MMIO_GSI + VIRTIO_MMIO_SLOTS) return `IRQ_VIRTIO${gsi - VIRTIO_MMIO_GSI}`;
  return `IRQ${gsi}`;
}

function syscallName(word: number | bigint): string {
  return calls.get(Number(word))?.name ?? `syscall:${word}`;
}

function systemArgument(call: number, index: number, word: number | bigint, options: DecodeOptions): string {
  const info = calls.get(call);
  if (info === undefined) return `${"abc"[index]}=${hexadecimal(word)}`;
  const name = info.names[index];
  if (name === undefined || name === "") return "";
  const signed = BigInt.asIntN(64, BigInt(word));
  // The golden format keeps the ABI's numbers.
  const named = options.style === "full" ? namedArgument(info.name, name, word) : undefined;
  if (named !== undefined) return `${name}=${named}`;
  // biome-ignore format: one case a row
  switch (info.kinds[index]) {
    case ArgKind.S64: case ArgKind.INDEX: case ArgKind.HANDLE: case ArgKind.COUNT: case ArgKind.OFFSET: case ArgKind.TIMEOUT:
      return `${name}=${signed}`;
    // An int: the upper half of the register is ignored.
    case ArgKind.S32: case ArgKind.FD: case ArgKind.DIRECTORY: return `${name}=${BigInt.asIntN(32, signed)}`;
    case ArgKind.U32: return `${name}=${BigInt.asUintN(32, signed)}`;
    case ArgKind.LENGTH: return `${name}=${BigInt.asUintN(64, signed)}`;
    case ArgKind.HEX: case ArgKind.HEX32: case ArgKind.FLAGS: return `${name}=${hexadecimal(word)}`;
    default: return `${name}=${addressText(BigInt.asUintN(64, signed), options)}`;
  }
}

function resultText(value: bigint, options: DecodeOptions): string {
  if (value < 0n && value >= -4095n) return `-${ErrnoNames.get(Number(-value)) ?? -value}`;
  return value >= 0x10000n && value < USER_END_BIG && regionOf(value) !== "USER_LOW"
    ? addressText(value, options)
    : bytesText(Number(value), options);
}

const USER_END_BIG = BigInt(USER_END);
// biome-ignore format: ascending, one region a row
const regions: readonly (readonly [start: bigint, name: string])[] = [
  [0n,                                                 "NULL_PAGE"],
  [0x1000n,                                            "USER_LOW"],
  [BigInt(USER_MAP_BASE),                              "USER_MAP"],
  [BigInt(USER_STACK_TOP) - BigInt(USER_STACK_BYTES),  "USER_STACK"],
  [BigInt(USER_STACK_TOP),                             "USER_HIGH"],
  [BigInt(INIT_BASE),                                  "INIT"],
  [USER_END_BIG,                                       "NON_CANONICAL"],
  [BigInt(DIRECT_MAP_BASE),                            "DIRECT_MAP"],
  [BigInt(KERNEL_BASE),                                "KERNEL"],
];

function regionOf(address: bigint): string {
  let name = regions[0][1];
  for (const [start, region] of regions) if (address >= start) name = region;
  return name;
}

function addressText(address: bigint, { style, nameOf }: DecodeOptions): string {
  const symbol = nameOf?.(address);
  if (style === "golden") return address === 0n ? "0" : (symbol?.replace(/\+0x[0-9a-f]+$/, "") ?? regionOf(address));
  return symbol === undefined ? hexadecimal(address) : `${hexadecimal(address)}<${symbol}>`;
}

/** Match bits that init uses have names: PROGRAM+3. */
function matchText(value: bigint): string {
  const base = Number(value & 0xffff_0000n);
  const low = value & 0xffffn;
  const name = value >> 32n === 0n ? InitMatchNames.get(base) : undefined;
  if (name === undefined) return value < 10n ? String(value) : hexadecimal(value);
  return low === 0n ? name : `${name}+${low}`;
}

function hexadecimal(word: number | bigint): string {
  return `0x${BigInt.asUintN(64, BigInt(word)).toString(16)}`;
}
