/**
 * Files of /proc/self that show what only the task's kernel knows, in Linux's formats: maps, auxv, status, stat, statm.
 * Source: proc_pid_maps(5), proc_pid_auxv(5), proc_pid_status(5), proc_pid_stat(5), proc_pid_statm(5).
 */
import { DESCRIPTORS_MAX, type RegionState } from "../abi/io.ts";
import { PAGE_BYTES } from "../abi/memory.ts";
import { Prot } from "../abi/process.ts";
import type { TaskFacts } from "./taskfacts.ts";
import { fromBytes, fromText } from "./bytestring.ts";
import type { Viewer } from "./folder.ts";

const TICKS_PER_SECOND = 100n;
const NS_PER_SECOND = 1_000_000_000n;
/** Column of the path. */
const PATH_COLUMN = 73;
const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, "0");
const tabbed = (rows: readonly (readonly [name: string, value: string | number | bigint])[]): string =>
  rows.map(([name, value]) => `${name}:\t${value}\n`).join("");
/** As Linux pads sizes in status. */
const kilobytes = (bytes: bigint): string => `${String(bytes / 1024n).padStart(8)} kB`;
const bytesOf = ({ start, end }: RegionState): bigint => end - start;
const total = (regions: readonly RegionState[]): bigint => regions.reduce((sum, r) => sum + bytesOf(r), 0n);
const ticks = (ns: bigint): bigint => (ns * TICKS_PER_SECOND) / NS_PER_SECOND;

/** At most 15 bytes, as on Linux: what prctl has set, or the program's. */
export function command(viewer: Viewer, facts?: TaskFacts): string {
  const own = facts === undefined ? "" : nameOf(facts);
  if (own !== "") return own;
  const path = fromText(viewer.program?.path ?? "");
  return path.slice(path.lastIndexOf("/") + 1).slice(0, 15);
}
function nameOf({ task }: TaskFacts): string {
  const bytes = task.name;
  return fromBytes(bytes.subarray(0, bytes.indexOf(0) < 0 ? 15 : bytes.indexOf(0)));
}

export function maps(viewer: Viewer): string {
  const facts = viewer.state();
  const { heapStart } = facts.task;
  return facts.regions
    .flatMap((region) => {
      const { start, end } = region;
      // The heap follows the program's data, and the kernel has them as one region.
      if (start >= heapStart || end <= heapStart) return [mapLine(viewer, facts, region, start, end)];
      const halves = [[start, heapStart] as const, [heapStart, end] as const];
      return halves.map(([from, to]) => mapLine(viewer, facts, region, from, to));
    })
    .join("");
}
function mapLine(viewer: Viewer, facts: TaskFacts, region: RegionState, start: bigint, end: bigint): string {
  const { protection, fileOffset, isShared } = region;
  const flag = (bit: number, letter: string): string => ((protection & bit) !== 0 ? letter : "-");
  const rights = `${flag(Prot.READ, "r")}${flag(Prot.WRITE, "w")}${flag(Prot.EXEC, "x")}${isShared ? "s" : "p"}`;
  const file = viewer.mapped(region.name);
  const shown = file ?? { path: label(viewer, facts, start, end), device: 0, inode: 0n };
  const head = `${hex(start, 8)}-${hex(end, 8)} ${rights} ${hex(fileOffset, 8)} 00:${hex(shown.device, 2)} ${shown.inode} `;
  return `${shown.path === "" ? head : head.padEnd(PATH_COLUMN) + shown.path.replaceAll("\n", "\\012")}\n`;
}
/** What a region without a file is. */
function label(viewer: Viewer, { task }: TaskFacts, start: bigint, end: bigint): string {
  if (task.stack >= start && task.stack < end) return "[stack]";
  if (start >= task.heapStart && end <= roundUp(task.heapEnd) && start < end) return "[heap]";
  // Init loads the program below its heap.
  return end <= task.heapStart && viewer.program !== undefined ? fromText(viewer.program.path) : "";
}
const roundUp = (bytes: bigint): bigint =>
  ((bytes + BigInt(PAGE_BYTES) - 1n) / BigInt(PAGE_BYTES)) * BigInt(PAGE_BYTES);

export function auxiliaryVector(viewer: Viewer): Uint8Array {
  const { task } = viewer.state();
  const bytes = new Uint8Array(16 * task.auxiliaryCount);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < task.auxiliaryCount; i++) {
    const { type, value } = task.auxiliary(i);
    view.setBigUint64(16 * i, type, true);
    view.setBigUint64(16 * i + 8, value, true);
  }
  return bytes;
}

export function status(viewer: Viewer): string {
  const { pid, userId } = viewer;
  const facts = viewer.state();
  const { task, regions } = facts;
  const four = Array.from({ length: 4 }, () => userId).join("\t");
  const resident = task.residentPages * BigInt(PAGE_BYTES);
  const set = (value: bigint): string => hex(value, 16);
  return tabbed([
    ["Name", command(viewer, facts)],
    ["Umask", viewer.umask.toString(8).padStart(4, "0")],
    ["State", "R (running)"],
    ["Tgid", pid],
    ["Ngid", 0],
    ["Pid", pid],
    ["PPid", 0],
    ["TracerPid", 0],
    ["Uid", four],
    ["Gid", four],
    ["FDSize", DESCRIPTORS_MAX],
    ["Groups", userId],
    ["VmSize", kilobytes(total(regions))],
    ["VmRSS", kilobytes(resident)],
    ["VmData", kilobytes(total(regions.filter((r) => (r.protection & Prot.WRITE) !== 0 && !r.isShared)))],
    ["VmStk", kilobytes(total(regions.filter(({ start, end }) => task.stack >= start && task.stack < end)))],
    ["VmExe", kilobytes(total(regions.filter((r) => r.end <= task.heapStart && (r.protection & Prot.EXEC) !== 0)))],
    ["Threads", task.threads],
    ["SigQ", `${task.queued}/128`],
    ["SigPnd", set(task.pending)],
    ["ShdPnd", set(task.sharedPending)],
    ["SigBlk", set(task.blocked)],
    ["SigIgn", set(task.ignored)],
    ["SigCgt", set(task.caught)],
    ["NoNewPrivs", task.noNewPrivileges],
    ["Cpus_allowed", task.cores.toString(16)],
    ["Cpus_allowed_list", coreList(task.cores)],
  ]);
}
/** "0-3,6". */
function coreList(cores: bigint): string {
  const parts: string[] = [];
  const has = (n: number): boolean => ((cores >> BigInt(n)) & 1n) === 1n;
  for (let n = 0; n < 64; n++) {
    if (!has(n)) continue;
    const first = n;
    while (n < 63 && has(n + 1)) n++;
    parts.push(first === n ? `${n}` : `${first}-${n}`);
  }
  return parts.join(",");
}

/** 52 fields; those of page faults, children, addresses and delays are 0. */
export function stat(viewer: Viewer): string {
  const { pid, time } = viewer;
  const facts = viewer.state();
  const { task, regions } = facts;
  const fields = Array.from<bigint | number>({ length: 52 }).fill(0);
  const set = (number: number, value: bigint | number): void => {
    fields[number - 1] = value;
  };
  set(5, pid);
  set(6, pid);
  set(8, -1);
  set(14, ticks(task.processorNs));
  set(18, 20);
  set(20, task.threads);
  set(22, ticks(BigInt(Math.floor(time)) - task.startNs));
  set(23, total(regions));
  set(24, task.residentPages);
  set(25, 2n ** 64n - 1n);
  set(28, task.stack);
  set(31, task.pending & 0x7fff_ffffn);
  set(32, task.blocked & 0x7fff_ffffn);
  set(33, task.ignored & 0x7fff_ffffn);
  set(34, task.caught & 0x7fff_ffffn);
  set(38, 17);
  return `${pid} (${command(viewer, facts)}) R ${fields.slice(3).join(" ")}\n`;
}
/** In pages: size, resident, shared, text, 0, data and stack, 0. */
export function statm(viewer: Viewer): string {
  const { task, regions } = viewer.state();
  const pages = (list: readonly RegionState[]): bigint => total(list) / BigInt(PAGE_BYTES);
  const text = regions.filter((r) => r.end <= task.heapStart && (r.protection & Prot.EXEC) !== 0);
  const data = regions.filter((r) => (r.protection & Prot.WRITE) !== 0 && !r.isShared);
  return `${pages(regions)} ${task.residentPages} 0 ${pages(text)} 0 ${pages(data)} 0\n`;
}
