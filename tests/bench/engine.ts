/**
 * Emulated instructions per second of processor time, on each engine and on QEMU with -icount shift=0: the guests of
 * mips.ts, with few and with many iterations; the difference excludes start-up. Translation is included.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { CreateEngine } from "../../emulator/cpu/engine.ts";
import { createNativeEngine } from "../../emulator/cpu/native/engine.ts";
import { Machine } from "../../emulator/machine/machine.ts";
import { assemble, hasAssembler, hasQemu, realEngine } from "../machine/guest.ts";
import { wideBody } from "./guests/wide.ts";
import type { Figure, Section } from "./report.ts";

/** Few iterations, and many. */
const LOOP = [1000, 8_000_000];
const WIDE = [2, 40];
const REPETITIONS = 3;
const MEGABYTES = 16;

export async function engines(packageRoot: string): Promise<Section> {
  const unicorn = await realEngine();
  const figures: Figure[] = [];
  if (!hasAssembler) {
    figures.push({ name: "loop", value: null, unit: "MIPS", note: "needs GNU as and ld: install binutils" });
  } else {
    const guest = (name: string): string =>
      fs.readFileSync(path.join(packageRoot, `tests/bench/guests/${name}.s`), "utf8");
    const workloads = [
      { workload: "loop", body: guest("loop"), iterations: LOOP },
      { workload: "wide code", body: wideBody(), iterations: WIDE },
    ];
    for (const { workload, body, iterations } of workloads) {
      const images = iterations.map((count) => assemble(`.set ITERATIONS, ${count}\n${guest("start")}${body}`).image);
      const native = speed(images, createNativeEngine);
      const peer = (name: string, value: number | null): Figure => ({
        name: workload,
        value: native.mips,
        unit: "MIPS",
        peer: { name, value },
        note: `${native.millions.toFixed(1)} M instructions`,
      });
      figures.push(peer("Unicorn", typeof unicorn === "string" ? null : speed(images, unicorn).mips));
      figures.push(peer("QEMU", hasQemu ? native.millions / (onQemu(images[1]) - onQemu(images[0])) : null));
    }
  }
  return {
    title: "engines",
    how: "processor time, least of 3, start-up left out; peer QEMU -icount shift=0, same guest",
    figures,
  };
}

function speed(images: readonly Uint8Array[], createEngine: CreateEngine): { mips: number; millions: number } {
  const [few, many] = images.map((image) => run(image, createEngine));
  const millions = (many!.instructions - few!.instructions) / 1e6;
  return { mips: millions / (many!.seconds - few!.seconds), millions };
}

function run(kernel: Uint8Array, createEngine: CreateEngine): { seconds: number; instructions: number } {
  let seconds = Number.POSITIVE_INFINITY;
  let instructions = 0;
  for (let i = 0; i < REPETITIONS; i++) {
    const machine = new Machine({
      nodes: [{ nid: 1, cores: 1, ramBytes: MEGABYTES << 20, kernel, commandLine: "", nic: false }],
      createEngine,
    });
    try {
      const start = process.cpuUsage();
      const reason = machine.run();
      const { user, system } = process.cpuUsage(start);
      seconds = Math.min(seconds, (user + system) / 1e6);
      if (reason !== "exit") throw new Error(`loop guest: ${reason}: ${machine.fault?.text}`);
      instructions = machine.instructions;
    } finally {
      machine.close();
    }
  }
  return { seconds, instructions };
}

/** Processor seconds of QEMU, measured by the shell's `times`. */
function onQemu(kernel: Uint8Array): number {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "margay-bench-"));
  const file = path.join(folder, "kernel.elf");
  fs.writeFileSync(file, kernel);
  const command = `qemu-system-x86_64 -M microvm,acpi=off -accel tcg -icount shift=0,sleep=off -m ${MEGABYTES} \
-nodefaults -no-user-config -display none -no-reboot -serial null -device isa-debug-exit,iobase=0xf4,iosize=1 \
-kernel ${file}; times`;
  try {
    let seconds = Number.POSITIVE_INFINITY;
    for (let i = 0; i < REPETITIONS; i++) {
      const { stdout } = spawnSync("bash", ["-c", command], { encoding: "utf8" });
      const children = stdout.trim().split("\n").at(-1) ?? "";
      const parts = [...children.matchAll(/(\d+)m([\d.]+)s/g)].map((m) => Number(m[1]) * 60 + Number(m[2]));
      seconds = Math.min(seconds, parts[0]! + parts[1]!);
    }
    return seconds;
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}
