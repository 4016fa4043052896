/**
 * From spawning the process to the kernel's ready line, here and on QEMU's microvm with the same image; and the time of
 * a build.
 */
import { spawn, spawnSync } from "node:child_process";
import path from "node:path";
import { hostSeconds } from "./clock.ts";
import type { Section } from "./report.ts";

const REPETITIONS = 5;
const BUILDS = 2;
const READY = "margay: ready";

export async function start(packageRoot: string): Promise<Section> {
  const margay = path.join(packageRoot, "dist/margay.js");
  const kernel = path.join(packageRoot, "images/out/kernel.elf");
  const ours = await toReady(process.execPath, [
    margay,
    "boot",
    "kernel",
    "--cores",
    "1",
    "--mem",
    "64M",
    "--until",
    "ready",
  ]);
  const has = spawnSync("qemu-system-x86_64", ["--version"]).status === 0;
  const qemu = has ? await toReady("qemu-system-x86_64", qemuArguments(kernel)) : null;
  const built = least(() => {
    const { status, stderr } = spawnSync(process.execPath, [margay, "build"], { encoding: "utf8", cwd: packageRoot });
    if (status !== 0) throw new Error(`margay build: ${stderr}`);
  });
  return {
    title: "start",
    how: `least of ${REPETITIONS} starts and ${BUILDS} builds, host time, processes from cold`,
    figures: [
      {
        name: "spawn to ready",
        value: ours * 1000,
        unit: "ms",
        peer: { name: "QEMU microvm", value: qemu === null ? null : qemu * 1000 },
        ...(has ? {} : { note: "qemu-system-x86_64 is not installed" }),
      },
      { name: "build of all images", value: built, unit: "s", note: "kernel, init and jobs, one process" },
    ],
  };
}

// biome-ignore format: options with their values
const qemuArguments = (kernel: string): string[] => [
  "-M", "microvm,acpi=off", "-smp", "1", "-m", "64", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
  "-serial", "stdio", "-global", "virtio-mmio.force-legacy=false", "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-kernel", kernel,
];

/** Seconds; then the process is ended. */
async function toReady(command: string, args: readonly string[]): Promise<number> {
  let seconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < REPETITIONS; i++) seconds = Math.min(seconds, await once(command, args));
  return seconds;
}
function once(command: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const begun = hostSeconds();
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    let taken: number | null = null;
    child.stdout.on("data", (part: Buffer) => {
      text += part.toString("latin1");
      if (taken !== null || !text.includes(READY)) return;
      taken = hostSeconds() - begun;
      child.kill("SIGKILL");
    });
    child.stderr.on("data", (part: Buffer) => void (text += part.toString("latin1")));
    child.on("error", reject);
    child.on("close", () =>
      taken === null ? reject(new Error(`${command} ended before the ready line: ${text}`)) : resolve(taken),
    );
  });
}

function least(run: () => void): number {
  let seconds = Number.POSITIVE_INFINITY;
  for (let i = 0; i < BUILDS; i++) {
    const begun = hostSeconds();
    run();
    seconds = Math.min(seconds, hostSeconds() - begun);
  }
  return seconds;
}
