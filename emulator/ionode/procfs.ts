/**
 * /proc, /sys and the part of /dev besides its devices, made from what the I/O node knows: the same on every host,
 * without anything of the host. Source: proc(5) and its pages. A task sees only itself. What only its kernel knows is
 * in procself.ts.
 */
import { CpuidModel } from "../devices/cpuid.ts";
import { fromText, toBytes } from "./bytestring.ts";
import {
  type Entries,
  type Entry,
  type Folder,
  madeFolder,
  type OwnLink,
  type TextFile,
  type Viewer,
} from "./folder.ts";
import type { HostFs } from "./hostfs.ts";
import type { NameSpace } from "./namespace.ts";
import { auxiliaryVector, command, maps, stat, statm, status } from "./procself.ts";

/** Facts of every node. */
export interface MachineFacts {
  readonly cores: number;
  readonly memoryBytes: number;
}
const RELEASE = "6.1.0-margay";
const NS_PER_SECOND = 1e9;

const binary = (identity: string, bytes: () => Uint8Array): TextFile => ({
  kind: "text",
  identity: `made:${identity}`,
  bytes,
});
const text = (identity: string, content: () => string): TextFile => binary(identity, () => toBytes(content()));
const link = (identity: string, target: string): OwnLink => ({ kind: "link", identity: `made:${identity}`, target });

/** Fills /proc, /sys and /dev. */
export function fillNameSpace(fs: HostFs, names: NameSpace, machine: MachineFacts): void {
  names.proc.made = (viewer) => proc(fs, names, machine, viewer);
  names.sys.made = () => sys(fs, machine);
  for (const [i, name] of ["stdin", "stdout", "stderr"].entries())
    names.dev.fixed.set(name, link(`dev/${name}`, `/proc/self/fd/${i}`));
  names.dev.fixed.set("fd", link("dev/fd", "/proc/self/fd"));
}
function directory(fs: HostFs, name: string, entries: () => Entries): Entry {
  return (_viewer: Viewer, parent: Folder) => madeFolder(fs, parent, name, entries);
}

function proc(fs: HostFs, names: NameSpace, machine: MachineFacts, viewer: Viewer): Entries {
  const pid = String(viewer.pid);
  return new Map<string, Entry>([
    ["self", link("proc/self", pid)],
    [pid, directory(fs, pid, () => self(fs, names, viewer))],
    ["mounts", link("proc/mounts", "self/mounts")],
    ["cpuinfo", text("proc/cpuinfo", () => cpuinfo(machine))],
    ["meminfo", text("proc/meminfo", () => meminfo(machine))],
    ["uptime", text("proc/uptime", () => uptime(viewer))],
    ["loadavg", text("proc/loadavg", () => `0.00 0.00 0.00 1/1 ${pid}\n`)],
    ["version", text("proc/version", () => `Margay version ${RELEASE}\n`)],
    ["filesystems", text("proc/filesystems", () => "nodev\t9p\nnodev\tproc\nnodev\tsysfs\nnodev\ttmpfs\n")],
    ["sys", directory(fs, "sys", () => new Map([["kernel", directory(fs, "kernel", kernelParameters)]]))],
  ]);
}
function kernelParameters(): Entries {
  return new Map<string, Entry>([
    ["osrelease", text("proc/sys/kernel/osrelease", () => `${RELEASE}\n`)],
    ["ostype", text("proc/sys/kernel/ostype", () => "Margay\n")],
  ]);
}

function self(fs: HostFs, names: NameSpace, viewer: Viewer): Entries {
  const at = `proc/${viewer.nid}.${viewer.pid}`;
  const { program } = viewer;
  const entries: (readonly [string, Entry])[] = [
    ["cwd", workingFolder(at, viewer)],
    ["root", link(`${at}/root`, "/")],
    ["fd", directory(fs, "fd", () => viewer.links())],
    ["maps", text(`${at}/maps`, () => maps(viewer))],
    ["auxv", binary(`${at}/auxv`, () => auxiliaryVector(viewer))],
    ["status", text(`${at}/status`, () => status(viewer))],
    ["stat", text(`${at}/stat`, () => stat(viewer))],
    ["statm", text(`${at}/statm`, () => statm(viewer))],
    ["mounts", text(`${at}/mounts`, () => mounts(names))],
  ];
  if (program !== undefined)
    entries.push(
      ["exe", link(`${at}/exe`, fromText(program.path))],
      ["cmdline", text(`${at}/cmdline`, () => terminated(program.argv))],
      ["environ", text(`${at}/environ`, () => terminated(program.envp))],
      ["comm", text(`${at}/comm`, () => `${command(viewer, viewer.state())}\n`)],
    );
  return new Map(entries);
}
function workingFolder(at: string, viewer: Viewer): OwnLink {
  return {
    ...link(`${at}/cwd`, viewer.workingPath()),
    follow: () => ({ kind: "folder", folder: viewer.workingFolder() }),
  };
}
const terminated = (texts: readonly string[]): string => texts.map((t) => `${fromText(t)}\0`).join("");
function mounts(names: NameSpace): string {
  return [
    "margay / 9p rw,noatime 0 0",
    "margay /margay/bin 9p ro,noatime 0 0",
    "dev /dev tmpfs rw,noatime 0 0",
    "proc /proc proc rw,noatime 0 0",
    "sysfs /sys sysfs rw,noatime 0 0",
    ...names.mounts.map(({ at, readOnly }) => `margay ${escaped(at)} 9p ${readOnly ? "ro" : "rw"},noatime 0 0`),
    "",
  ].join("\n");
}
/** In the format of getmntent(3). */
function escaped(path: string): string {
  return path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
}
/** "0-3", or "0". */
function range(cores: number): string {
  return cores === 1 ? "0" : `0-${cores - 1}`;
}

/** CPUID facts of each core. */
function cpuinfo({ cores }: MachineFacts): string {
  const model = new CpuidModel(cores);
  const chars = (...words: number[]): string => {
    const view = new DataView(new ArrayBuffer(4 * words.length));
    for (const [i, word] of words.entries()) view.setUint32(4 * i, word, true);
    return Buffer.from(view.buffer).toString("latin1").replace(/\0+$/, "");
  };
  const [, b, c, d] = model.read(0, 0, 0);
  const brand = chars(...[2, 3, 4].flatMap((leaf) => [...model.read(0, 0x8000_0000 + leaf, 0)]));
  const [signature, , ecx, edx] = model.read(0, 1, 0);
  const [, ebx7] = model.read(0, 7, 0);
  const flags = [...flagNames(edx, FLAGS_1_EDX), ...flagNames(ecx, FLAGS_1_ECX), ...flagNames(ebx7, FLAGS_7_EBX)];
  return Array.from({ length: cores }, (_, core) =>
    [
      ["processor", core],
      ["vendor_id", chars(b, d, c)],
      ["cpu family", ((signature >> 8) & 0xf) + ((signature >> 20) & 0xff)],
      ["model", ((signature >> 4) & 0xf) | ((signature >> 12) & 0xf0)],
      ["model name", brand],
      ["stepping", signature & 0xf],
      ["cpu MHz", "1000.000"],
      ["siblings", cores],
      ["core id", core],
      ["cpu cores", cores],
      ["flags", flags.join(" ")],
      ["clflush size", 64],
      ["address sizes", "40 bits physical, 48 bits virtual"],
    ]
      .map(([name, value]) => `${String(name).padEnd(15)}\t: ${value}\n`)
      .join(""),
  ).join("\n");
}
/** Linux's names of the bits (arch/x86/include/asm/cpufeatures.h). */
// biome-ignore format: bits in their order
const FLAGS_1_EDX = ["fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "", "sep", "mtrr", "pge", "mca", "cmov", "pat", "pse36", "pn", "clflush", "", "dts", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht"] as const;
const FLAGS_1_ECX = ["pni", ...Array.from({ length: 12 }, () => ""), "cx16"];
// biome-ignore format: bits in their order
const FLAGS_7_EBX = ["fsgsbase", "", "", "", "", "", "", "smep", "", "", "", "", "", "", "", "", "", "", "", "", "smap"] as const;
function flagNames(bits: number, names: readonly string[]): string[] {
  return names.filter((name, bit) => name !== "" && (bits & (1 << bit)) !== 0);
}
/** MemTotal is the node's RAM; only the node knows how much is in use. */
function meminfo({ memoryBytes }: MachineFacts): string {
  const row = (name: string, bytes: number): string =>
    `${`${name}:`.padEnd(16)}${String(bytes / 1024).padStart(8)} kB\n`;
  return [row("MemTotal", memoryBytes), row("SwapTotal", 0), row("SwapFree", 0)].join("");
}
/** Time since boot, and idle time, which only the node knows. */
function uptime({ time }: Viewer): string {
  return `${(Math.floor(time) / NS_PER_SECOND).toFixed(2)} 0.00\n`;
}

function sys(fs: HostFs, { cores }: MachineFacts): Entries {
  const list = (name: string): readonly [string, Entry] => [
    name,
    text(`sys/devices/system/cpu/${name}`, () => `${range(cores)}\n`),
  ];
  const cpu = (): Entries =>
    new Map<string, Entry>([
      list("online"),
      list("possible"),
      list("present"),
      ...Array.from({ length: cores }, (_, i) => [`cpu${i}`, directory(fs, `cpu${i}`, () => new Map())] as const),
    ]);
  const system = (): Entries => new Map([["cpu", directory(fs, "cpu", cpu)]]);
  const devices = (): Entries => new Map([["system", directory(fs, "system", system)]]);
  return new Map([["devices", directory(fs, "devices", devices)]]);
}
