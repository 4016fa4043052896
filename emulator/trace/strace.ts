/**
 * Formats a system call as strace(1) does: `openat(AT_FDCWD, "/etc/hosts", O_RDONLY) = 3`. kernel/abi/syscalltable.ts
 * gives the types of the arguments. Input memory is read when the call is made; memory that the call fills in is read
 * when it returns.
 */
import { getSystemErrorMap } from "node:util";
import { FileMode, Stat } from "../abi/io.ts";
import { Timespec } from "../abi/process.ts";
import { ArgKind, SyscallNames } from "../abi/syscalls.ts";
import { syscallInfos } from "../abi/syscalltable.ts";
import { namedArgument } from "./arguments.ts";

/** Reads up to `bytes` bytes of the program's memory; fewer if it is not mapped. */
export type ReadMemory = (address: bigint, bytes: number) => Uint8Array;

/** Maximum shown length of strings and buffers, as in strace. */
const TEXT_BYTES = 32;
const PATH_BYTES = 4096;
const OUTPUT_KINDS: readonly number[] = [ArgKind.WRITE, ArgKind.WRITE_OPTIONAL, ArgKind.WRITE_BYTES];

type Row = (typeof syscallInfos)[number];
const rows = new Map<number, Row>(syscallInfos.map((row) => [row.number, row]));

export class TracedCall {
  private readonly row: Row | undefined;
  private readonly names: readonly string[];
  /** Arguments that are known before the call; null: shown when the call returns. */
  private readonly shown: readonly (string | null)[];

  constructor(
    readonly number: bigint,
    private readonly registers: readonly bigint[],
    read: ReadMemory,
  ) {
    this.row = rows.get(Number(number));
    this.names = this.row?.names?.split(" ") ?? [];
    this.shown = this.names.map((_, i) => (this.isOutput(i) ? null : this.argument(i, read)));
  }

  get name(): string {
    return this.row?.name ?? SyscallNames.get(Number(this.number))?.toLowerCase() ?? `syscall_${this.number}`;
  }

  /** The whole line, without its end. `result` undefined: the call has not returned. */
  line(result: bigint | undefined, read: ReadMemory): string {
    const failed = result !== undefined && result < 0n && result >= -4095n;
    const text =
      this.row === undefined
        ? this.registers.map(hexadecimal)
        : this.shown.map(
            (s, i) => s ?? (result === undefined || failed ? pointer(this.at(i)) : this.output(i, result, read)),
          );
    const call = `${this.name}(${text.join(", ")})`;
    return result === undefined ? `${call} = ?` : `${call} = ${resultText(this.name, result)}`;
  }

  private at(i: number): bigint {
    return this.registers[i] ?? 0n;
  }
  private isOutput(i: number): boolean {
    const kind = this.row?.kinds[i] ?? ArgKind.NONE;
    return OUTPUT_KINDS.includes(kind) || this.isFilled(i);
  }
  /** A structure whose address the kernel checks when it writes it. */
  private isFilled(i: number): boolean {
    return this.names[i] === "stat";
  }

  private argument(i: number, read: ReadMemory): string {
    const value = this.at(i);
    const named = namedArgument(this.name, this.names[i]!, value);
    if (named !== undefined) return named;
    switch (this.row!.kinds[i]) {
      case ArgKind.PATH:
        return value === 0n ? "NULL" : pathText(read(value, PATH_BYTES), value);
      case ArgKind.READ_BYTES:
        return bufferText(read, value, this.at(i + 1));
      case ArgKind.READ:
      case ArgKind.READ_OPTIONAL:
        return this.row!.limits[i] === Timespec.SIZE ? timeText(read, value) : pointer(value);
      case ArgKind.S32:
      case ArgKind.FD:
      case ArgKind.DIRECTORY:
        return String(BigInt.asIntN(32, value));
      case ArgKind.U32:
        return String(BigInt.asUintN(32, value));
      case ArgKind.HEX:
        return hexadecimal(value);
      case ArgKind.HEX32:
      case ArgKind.FLAGS:
        return hexadecimal(BigInt.asUintN(32, value));
      case ArgKind.LENGTH:
      case ArgKind.COUNT:
      case ArgKind.INDEX:
      case ArgKind.HANDLE:
        return String(value);
      case ArgKind.S64:
      case ArgKind.OFFSET:
      case ArgKind.TIMEOUT:
        return String(BigInt.asIntN(64, value));
      default:
        return pointer(value);
    }
  }

  private output(i: number, result: bigint, read: ReadMemory): string {
    const value = this.at(i);
    if (value === 0n) return "NULL";
    if (this.row!.kinds[i] === ArgKind.WRITE_BYTES) return bufferText(read, value, result);
    if (this.isFilled(i)) return statText(read, value);
    return this.row!.limits[i] === Timespec.SIZE ? timeText(read, value) : pointer(value);
  }
}

const hexadecimal = (value: bigint): string => (value === 0n ? "0" : `0x${BigInt.asUintN(64, value).toString(16)}`);
const pointer = (value: bigint): string => (value === 0n ? "NULL" : hexadecimal(value));

const ADDRESS_RESULTS: readonly string[] = ["mmap", "mremap", "brk"];
function resultText(name: string, result: bigint): string {
  if (result < 0n && result >= -4095n) {
    const [code, text] = getSystemErrorMap().get(Number(result)) ?? [`errno ${-result}`, "unknown error"];
    return `-1 ${code} (${text})`;
  }
  return ADDRESS_RESULTS.includes(name) ? hexadecimal(result) : String(result);
}

const ESCAPES: ReadonlyMap<number, string> = new Map([
  [9, "\\t"],
  [10, "\\n"],
  [11, "\\v"],
  [12, "\\f"],
  [13, "\\r"],
  [34, '\\"'],
  [92, "\\\\"],
]);
/** C syntax; octal escapes are as short as the next character allows. */
function quoted(bytes: Uint8Array): string {
  let text = "";
  bytes.forEach((byte, i) => {
    const next = bytes[i + 1];
    const isDigitNext = next !== undefined && next >= 48 && next <= 57;
    const octal = byte.toString(8);
    if (byte >= 32 && byte < 127 && byte !== 34 && byte !== 92) text += String.fromCharCode(byte);
    else text += ESCAPES.get(byte) ?? `\\${isDigitNext ? octal.padStart(3, "0") : octal}`;
  });
  return `"${text}"`;
}
function pathText(bytes: Uint8Array, address: bigint): string {
  if (bytes.length === 0) return pointer(address);
  const end = bytes.indexOf(0);
  return end < 0 ? `${quoted(bytes.subarray(0, TEXT_BYTES))}...` : quoted(bytes.subarray(0, end));
}
function bufferText(read: ReadMemory, address: bigint, lengthBytes: bigint): string {
  const wanted = lengthBytes > BigInt(TEXT_BYTES) ? TEXT_BYTES : Number(lengthBytes);
  const bytes = read(address, wanted);
  if (bytes.length < wanted) return pointer(address);
  return `${quoted(bytes)}${lengthBytes > BigInt(TEXT_BYTES) ? "..." : ""}`;
}
function timeText(read: ReadMemory, address: bigint): string {
  const bytes = read(address, Timespec.SIZE);
  if (bytes.length < Timespec.SIZE) return pointer(address);
  const { seconds, nanoseconds } = new Timespec(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return `{tv_sec=${seconds}, tv_nsec=${nanoseconds}}`;
}
const FILE_TYPES: ReadonlyMap<number, string> = new Map([
  [FileMode.FIFO, "S_IFIFO"],
  [FileMode.CHARACTER, "S_IFCHR"],
  [FileMode.DIRECTORY, "S_IFDIR"],
  [FileMode.REGULAR, "S_IFREG"],
  [FileMode.LINK, "S_IFLNK"],
]);
function statText(read: ReadMemory, address: bigint): string {
  const bytes = read(address, Stat.SIZE);
  if (bytes.length < Stat.SIZE) return pointer(address);
  const stat = new Stat(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const type = FILE_TYPES.get(stat.mode & FileMode.TYPE_MASK) ?? "0";
  return `{st_mode=${type}|0${(stat.mode & 0o7777).toString(8)}, st_size=${stat.size}, ...}`;
}
