/** Guests for machine tests: assembled by GNU as, wrapped into a PVH image at 1 MB. */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { CreateEngine } from "../../emulator/cpu/engine.ts";
import { emptyKernel } from "./toy-engine.ts";

const has = (tool: string): boolean => spawnSync(tool, ["--version"], { stdio: "ignore" }).status === 0;
export const hasAssembler = has("as") && has("ld");
export const hasQemu = has("qemu-system-x86_64");

/** The engine under test, or the reason why it cannot run here. */
export async function realEngine(): Promise<CreateEngine | string> {
  const { createEngine, whyMissing } = await import("../engine.ts");
  return whyMissing(createEngine) ?? createEngine;
}

export interface Guest {
  readonly image: Uint8Array;
  /** Address of a label. */
  readonly labels: ReadonlyMap<string, number>;
}
export function assemble(source: string): Guest {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "margay-guest-"));
  try {
    const at = (name: string) => path.join(dir, name);
    execFileSync("as", ["--64", "-o", at("guest.o"), "-"], { input: source, stdio: ["pipe", "ignore", "inherit"] });
    execFileSync("ld", [
      "-m",
      "elf_x86_64",
      "-Ttext=0x100000",
      "--entry=start",
      "-N",
      "--no-warn-rwx-segments",
      "-o",
      at("guest.elf"),
      at("guest.o"),
    ]);
    execFileSync("objcopy", ["-O", "binary", at("guest.elf"), at("guest.bin")]);
    const names = execFileSync("nm", [at("guest.elf")], { encoding: "utf8" })
      .trim()
      .split("\n")
      .map((line) => line.split(" "));
    return {
      image: emptyKernel(new Uint8Array(fs.readFileSync(at("guest.bin")))),
      labels: new Map(names.map(([address, , name]) => [name, Number.parseInt(address, 16)])),
    };
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}
export function assembleFile(name: string): Guest {
  return assemble(fs.readFileSync(path.join(import.meta.dirname, "guests", name), "utf8"));
}

/** Exit status and output of an image on QEMU's microvm with the same NIC as our nodes. */
export function runOnQemu(
  image: Uint8Array,
  cores: number,
  megabytes: number,
  more: { readonly commandLine?: string; readonly module?: Uint8Array } = {},
): { status: number | null; stdout: string } {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "margay-qemu-"));
  const file = (name: string, bytes: Uint8Array) => {
    fs.writeFileSync(path.join(dir, name), bytes);
    return path.join(dir, name);
  };
  const args = [
    "-M",
    "microvm,acpi=off",
    "-smp",
    `${cores}`,
    "-m",
    `${megabytes}`,
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-no-reboot",
    // A file accepts every byte at once; a pipe may be full, and these guests do not wait for the transmitter.
    "-serial",
    `file:${path.join(dir, "serial")}`,
  ];
  args.push(
    "-global",
    "virtio-mmio.force-legacy=false",
    "-device",
    "isa-debug-exit,iobase=0xf4,iosize=1",
    "-icount",
    "shift=0,sleep=off",
  );
  args.push(
    "-netdev",
    "hubport,hubid=0,id=n0",
    "-device",
    "virtio-net-device,netdev=n0,mac=02:4d:47:00:00:01",
    "-kernel",
    file("guest", image),
  );
  if (more.commandLine !== undefined) args.push("-append", more.commandLine);
  if (more.module !== undefined) args.push("-initrd", file("module", more.module));
  try {
    const { status } = spawnSync("qemu-system-x86_64", args, { timeout: 30_000 });
    return { status, stdout: fs.readFileSync(path.join(dir, "serial"), "utf8") };
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}
