/**
 * Runs the check images on our machine and on QEMU's microvm. Both return the text of the serial port and how the run
 * ended. The guest sources are in guest/, one image per family.
 */
import { spawn, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { CreateEngine } from "../../../emulator/cpu/engine.ts";
import { Machine } from "../../../emulator/machine/machine.ts";
import { compiled } from "../../compiled.ts";

const LOAD_ADDRESS = 0x10_0000n;
const RAM_MEGABYTES = 32;
const LIMIT_NS = 2e8;
const QEMU_TIMEOUT_MS = 15_000;

export const qemuMissing: string | undefined =
  spawnSync("qemu-system-x86_64", ["--version"], { stdio: "ignore" }).status === 0
    ? undefined
    : "qemu-system-x86_64 is not installed: the checks run against the manual only (Debian: qemu-system-x86)";

/** The family's image: guest/FAMILY.ts over guest/boot.ts. */
export function buildFamily(family: string): Uint8Array {
  const source = (name: string) => path.join(import.meta.dirname, "guest", `${name}.ts`);
  const roots = [source("boot"), source(family)];
  return compiled({ roots, kind: "kernel", entry: "pvh_entry", address: LOAD_ADDRESS });
}

/** The variant that runs with `strict`. */
export const STRICT = "s";

/** Lines of the console; the last one tells how the run ended: `exit N`, `shutdown`, or another reason. */
export function runHere(createEngine: CreateEngine, image: Uint8Array, cores: number, variant: string): string[] {
  let text = "";
  const machine = new Machine({
    nodes: [
      {
        nid: 1,
        cores,
        ramBytes: RAM_MEGABYTES << 20,
        kernel: image,
        commandLine: variant,
        nic: false,
        onConsole: (part) => (text += part),
      },
    ],
    createEngine,
    strict: variant === STRICT,
  });
  try {
    const reason = machine.run({ limitNs: LIMIT_NS });
    const end =
      reason === "exit"
        ? `exit ${machine.exits[0].status}`
        : machine.nodes[0].state === "shutdown"
          ? "shutdown"
          : `${reason} ${machine.fault?.text ?? ""}`;
    return lines(text, end);
  } catch (error) {
    return lines(text, `thrown: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    machine.close();
  }
}

/** The same on QEMU; -no-reboot turns a triple fault into exit status 0. */
export async function runOnQemu(image: Uint8Array, cores: number, variant: string): Promise<string[]> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "margay-checks-"));
  const kernel = path.join(dir, "kernel.elf");
  fs.writeFileSync(kernel, image);
  // biome-ignore format: pairs
  const args = [
    "-M", "microvm,acpi=off", "-cpu", "qemu64,+smep,+smap,+umip,+fsgsbase,+pdpe1gb", "-smp", `${cores}`, "-m", `${RAM_MEGABYTES}`,
    "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
    "-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-kernel", kernel, "-append", variant,
  ];
  try {
    return await new Promise((resolve, reject) => {
      const child = spawn("qemu-system-x86_64", args, { stdio: ["ignore", "pipe", "pipe"], timeout: QEMU_TIMEOUT_MS });
      let out = "";
      let errors = "";
      child.stdout.setEncoding("latin1").on("data", (part: string) => (out += part));
      child.stderr.setEncoding("utf8").on("data", (part: string) => (errors += part));
      child.on("error", reject);
      child.on("close", (status, signal) => {
        resolve(
          lines(
            out,
            child.killed
              ? "hung"
              : status === 0
                ? "shutdown"
                : status === null
                  ? `killed by ${signal} ${errors}`
                  : `exit ${status}${errors && ` ${errors}`}`,
          ),
        );
      });
    });
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

const lines = (text: string, end: string): string[] => [...text.split("\n").filter((line) => line !== ""), end];
