/**
 * Emulated instructions per second: the same guests here and on QEMU with -icount shift=0, whose clock counts
 * instructions as ours does. Each runs with few and with many iterations; the difference excludes start-up, and for
 * wide code the first two passes. Retired instructions are our exact count.
 */
import fs from "node:fs";
import path from "node:path";
import { Machine } from "../../emulator/machine/machine.ts";
import type { CreateEngine } from "../../emulator/cpu/engine.ts";
import { assemble, hasAssembler, hasQemu, realEngine, runOnQemu } from "../machine/guest.ts";
import { hostSeconds } from "./clock.ts";
import { wideBody } from "./guests/wide.ts";
import type { Figure, Section } from "./report.ts";

/** About 1 s on a slow host. */
const LOOP = { few: 1000, many: 8_000_000 };
/** Passes: from the third on, everything has been translated. */
const WIDE = { few: 2, many: 12 };
const REPETITIONS = 3;
const MEGABYTES = 16;

export async function mips(packageRoot: string): Promise<Section> {
  const engine = await realEngine();
  const guest = (name: string): string =>
    fs.readFileSync(path.join(packageRoot, `tests/bench/guests/${name}.s`), "utf8");
  const start = guest("start");
  const loop = `${start}${guest("loop")}`;
  const figures = [
    ...[1, 4].map((cores) => figure(`${cores} ${cores === 1 ? "core" : "cores"}`, loop, LOOP, cores, engine)),
    figure("wide code", `${start}${wideBody()}`, WIDE, 1, engine),
  ];
  return {
    title: "emulated speed",
    how: "least of 3, start-up left out; peer QEMU -icount shift=0, same guest",
    figures,
  };
}

function figure(
  name: string,
  source: string,
  { few: fewer, many: more }: { readonly few: number; readonly many: number },
  cores: number,
  engine: CreateEngine | string,
): Figure {
  const missing = typeof engine === "string" ? engine : hasAssembler ? null : "needs GNU as and ld: install binutils";
  if (missing !== null || typeof engine === "string") return { name, value: null, unit: "MIPS", note: missing ?? "" };
  const images = [fewer, more].map((iterations) => assemble(`.set ITERATIONS, ${iterations / cores}\n${source}`).image);
  const [few, many] = images.map((image) => ours(image, cores, engine));
  const millions = (many!.instructions - few!.instructions) / 1e6;
  const value = millions / (many!.seconds - few!.seconds);
  if (!hasQemu)
    return {
      name,
      value,
      unit: "MIPS",
      peer: { name: "QEMU", value: null },
      note: "qemu-system-x86_64 is not installed",
    };
  const [start, all] = images.map((image) => onQemu(image, cores));
  return {
    name,
    value,
    unit: "MIPS",
    peer: { name: "QEMU", value: millions / (all! - start!) },
    note: `${millions.toFixed(1)} M instructions`,
  };
}

function ours(
  kernel: Uint8Array,
  cores: number,
  createEngine: CreateEngine,
): { seconds: number; instructions: number } {
  let seconds = Number.POSITIVE_INFINITY;
  let instructions = 0;
  for (let i = 0; i < REPETITIONS; i++) {
    const machine = new Machine({
      nodes: [{ nid: 1, cores, ramBytes: MEGABYTES << 20, kernel, commandLine: "", nic: false }],
      createEngine,
    });
    try {
      const start = hostSeconds();
      const reason = machine.run();
      seconds = Math.min(seconds, hostSeconds() - start);
      if (reason !== "exit") throw new Error(`guest: ${reason}: ${machine.fault?.text}`);
      instructions = machine.instructions;
    } finally {
      machine.close();
    }
  }
  return { seconds, instructions };
}

function onQemu(kernel: Uint8Array, cores: number): number {
  let seconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < REPETITIONS; i++) {
    const start = hostSeconds();
    const { status } = runOnQemu(kernel, cores, MEGABYTES);
    seconds = Math.min(seconds, hostSeconds() - start);
    if (status !== ((cores << 1) | 1)) throw new Error(`guest on QEMU: status ${status}`);
  }
  return seconds;
}
