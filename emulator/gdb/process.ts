/**
 * `/proc/PID` of a job's process for debuggers: built from the node's replies, in Linux's format, as far as gdb reads
 * it. Values that Margay does not have, such as terminals, are 0. Source: proc(5).
 */
import { USER_STACK_BYTES, USER_STACK_TOP } from "../abi/memory.ts";
import { Prot } from "../abi/process.ts";
import { auxiliaryVector, initialStrings } from "./auxiliary.ts";
import { loadedImage } from "./image.ts";
import type { TargetFile } from "./target.ts";

export interface ProcessState {
  readonly pid: number;
  readonly userId: number;
  readonly file: TargetFile;
  readonly workingDirectory: string;
  /** How many. */
  readonly threads: number;
  readonly stopped: boolean;
  /** Of the main thread. */
  readonly core: number;
  readonly rip: bigint;
  readonly rsp: bigint;
  readonly heap: { readonly start: bigint; readonly end: bigint };
  readonly regions: readonly { readonly start: bigint; readonly end: bigint; readonly protection: bigint }[];
  read(address: bigint, length: number): Uint8Array;
}

const PAGE = 0xfffn;
const KILOBYTE = 1024n;
/** TASK_COMM_LEN - 1. */
const NAME_BYTES = 15;

const nameOf = ({ file }: ProcessState): string => file.path.replace(/^.*\//, "").slice(0, NAME_BYTES);
const sizeOf = ({ regions }: ProcessState): bigint => regions.reduce((sum, r) => sum + r.end - r.start, 0n);

/** `START-END PERMISSIONS OFFSET DEVICE INODE PATH`; all memory is private. */
function maps(p: ProcessState): string {
  const { segments } = loadedImage(p.file.path, p.file.bytes);
  const stack = BigInt(USER_STACK_TOP - USER_STACK_BYTES);
  return p.regions
    .map(({ start, end, protection }) => {
      const has = (bit: number): boolean => (protection & BigInt(bit)) !== 0n;
      const permissions = `${has(Prot.READ) ? "r" : "-"}${has(Prot.WRITE) ? "w" : "-"}${has(Prot.EXEC) ? "x" : "-"}p`;
      const segment = segments.find((s) => start >= (s.address & ~PAGE) && start < s.address + BigInt(s.bytes.length));
      const name =
        segment !== undefined
          ? p.file.path
          : start < p.heap.end && end > p.heap.start
            ? "[heap]"
            : start >= stack && start < BigInt(USER_STACK_TOP)
              ? "[stack]"
              : "";
      const offset = segment === undefined ? 0n : BigInt(segment.offset) + start - segment.address;
      const range = `${start.toString(16)}-${end.toString(16)}`;
      return `${range} ${permissions} ${offset.toString(16).padStart(8, "0")} 00:00 0${name === "" ? "" : ` ${name}`}\n`;
    })
    .join("");
}

/** The 52 numbers of `stat` by their place in the manual page. */
function stat(p: ProcessState): string {
  const fields = Array.from({ length: 52 }, () => 0n);
  const set = (place: number, value: bigint | number): void => void (fields[place - 1] = BigInt(value));
  const { segments } = loadedImage(p.file.path, p.file.bytes);
  const text = segments[0];
  set(4, 1);
  set(5, p.pid);
  set(6, p.pid);
  set(20, p.threads);
  set(23, sizeOf(p));
  set(24, sizeOf(p) / (PAGE + 1n));
  set(25, BigInt.asUintN(64, -1n));
  set(26, text?.address ?? 0n);
  set(27, text === undefined ? 0n : text.address + BigInt(text.bytes.length));
  set(28, USER_STACK_TOP);
  set(29, p.rsp);
  set(30, p.rip);
  set(39, p.core);
  set(47, p.heap.start);
  return `${p.pid} (${nameOf(p)}) ${p.stopped ? "t" : "R"} ${fields.slice(3).join(" ")}\n`;
}

function status(p: ProcessState): string {
  const ids = Array.from({ length: 4 }, () => p.userId).join("\t");
  const rows: readonly (readonly [name: string, value: string | number | bigint])[] = [
    ["Name", nameOf(p)],
    ["State", p.stopped ? "t (tracing stop)" : "R (running)"],
    ["Tgid", p.pid],
    ["Pid", p.pid],
    ["PPid", 1],
    ["Uid", ids],
    ["Gid", ids],
    ["VmSize", `${sizeOf(p) / KILOBYTE} kB`],
    ["Threads", p.threads],
  ];
  return rows.map(([name, value]) => `${name}:\t${value}\n`).join("");
}

const files: Readonly<Record<string, (p: ProcessState) => string | Uint8Array>> = {
  auxv: (p) => auxiliaryVector((address, length) => p.read(address, length)),
  cmdline: (p) => initialStrings((address, length) => p.read(address, length)).arguments,
  comm: (p) => `${nameOf(p)}\n`,
  environ: (p) => initialStrings((address, length) => p.read(address, length)).environment,
  maps,
  stat,
  status,
};
const links: Readonly<Record<string, (p: ProcessState) => string>> = {
  cwd: (p) => p.workingDirectory,
  exe: (p) => p.file.path,
  root: () => "/",
};

/** undefined: there is none of that name. */
export function processFile(name: string, p: ProcessState): Uint8Array | undefined {
  const made = Object.hasOwn(files, name) ? files[name]!(p) : undefined;
  return typeof made === "string" ? Buffer.from(made, "utf8") : made;
}
export function processLink(name: string, p: ProcessState): string | undefined {
  return Object.hasOwn(links, name) ? links[name]!(p) : undefined;
}
