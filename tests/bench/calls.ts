/**
 * Costs of system calls, threads and signals as a static glibc program sees them (guests/calls.c), and the same program
 * on Linux: Debian's kernel for clouds on QEMU with -icount shift=0, one core. Both time-stamp counters count
 * instructions. A shipped write crosses the interconnect here, and goes to a file in memory there.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { hasQemu } from "../machine/guest.ts";
import { initramfs } from "./initramfs.ts";
import { runJob } from "./job.ts";
import { debianKernel } from "./linuxkernel.ts";
import type { Figure, Section } from "./report.ts";

const THREADS = 4;
// biome-ignore format: a table
const rows: readonly (readonly [key: string, name: string, note?: string])[] = [
  ["getpid",        "getpid"],
  ["clock_gettime", "clock_gettime, as a system call"],
  ["write-1",       "pwrite of 1 byte",   "shipped to the I/O node"],
  ["write-64K",     "pwrite of 64 KB",    "shipped to the I/O node"],
  ["map",           "mmap and munmap of 64 KB, populated"],
  ["touch",         "first touch of a page"],
  ["signal",        "raise, with a handler"],
  ["fault",         "SIGSEGV, with a handler that calls mprotect"],
  ["thread",        "pthread_create and pthread_join"],
  ["futex",         "futex ping-pong, there and back", "on two cores here, on one on Linux"],
  ["maps-1",        "mmap, touch and munmap of 64 KB, 1 thread"],
  [`maps-${THREADS}`, `the same, ${THREADS} threads at once`],
];

export function calls(packageRoot: string): Section {
  const title = "calls beside Linux";
  const how = "instructions of one core, waiting included; peer Debian's kernel on QEMU -icount shift=0, same program";
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "margay-bench-"));
  try {
    const program = path.join(folder, "calls");
    const source = path.join(packageRoot, "tests/bench/guests/calls.c");
    const built = spawnSync("gcc", ["-O2", "-static", "-pthread", "-o", program, source], { encoding: "utf8" });
    if (built.status !== 0)
      return {
        title,
        how,
        figures: [{ name: "all", value: null, unit: "", note: built.error?.message ?? built.stderr }],
      };
    const here = runJob({
      packageRoot,
      nodes: 1,
      cores: THREADS,
      memBytes: 64 << 20,
      root: folder,
      program: "/calls",
      args: [String(THREADS)],
    }).stdout;
    const kernel = hasQemu ? debianKernel(packageRoot) : "qemu-system-x86_64 is not installed";
    const there = typeof kernel === "string" ? kernel : onLinux(kernel.file, program, folder);
    const figures = rows.map(([key, name, note]): Figure => {
      const value = figureOf(here, key);
      if (value === null) throw new Error(`calls: no '${key}' in: ${here}`);
      const linux = key === `maps-${THREADS}` ? null : figureOf(there, key);
      return {
        name,
        value,
        unit: "instructions",
        peer: { name: "Linux", value: linux },
        ...(note === undefined ? {} : { note }),
        ...(linux === null ? { note: key.startsWith("maps") ? "not measured: one core on QEMU" : there } : {}),
      };
    });
    return { title, how, figures };
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

function figureOf(text: string, key: string): number | null {
  const found = new RegExp(`^${key} (\\d+)\\r?$`, "m").exec(text);
  return found === null ? null : Number(found[1]);
}

/** What the program prints as the first process of Linux. */
function onLinux(kernel: string, program: string, folder: string): string {
  const file = path.join(folder, "initramfs");
  fs.writeFileSync(file, initramfs(fs.readFileSync(program)));
  // biome-ignore format: options with their values
  const options = [
    "-M", "q35", "-icount", "shift=0", "-m", "256", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
    "-serial", "stdio", "-kernel", kernel, "-initrd", file,
    // Nothing that costs a user-mode program instructions: no mitigations, no message for a fault.
    "-append", "console=ttyS0 quiet panic=-1 mitigations=off sysctl.debug.exception-trace=0",
  ];
  const r = spawnSync("qemu-system-x86_64", options, { encoding: "latin1", timeout: 300_000 });
  if (figureOf(r.stdout, "getpid") === null) return `Linux on QEMU printed: ${r.stdout.slice(-200)}${r.stderr}`;
  return r.stdout;
}
