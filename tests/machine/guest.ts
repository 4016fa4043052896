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

/** The Unicorn engine, or why there is none. */
export async function realEngine(): Promise<CreateEngine | string> {
  const { createUnicornEngine, UnicornUnavailable } = await import("../../emulator/cpu/unicorn/engine.ts");
  const { selfTest } = await import("../../emulator/cpu/unicorn/selftest.ts");
  try {
    selfTest();
    return createUnicornEngine;
  } catch (error) {
    if (error instanceof UnicornUnavailable) return error.message;
    throw error;
  }
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
    execFileSync("ld", ["-m", "elf_x86_64", "-Ttext=0x100000", "--entry=start", "-N", "--no-warn-rwx-segments", "-o", at("guest.elf"), at("guest.o")]);
    execFileSync("objcopy", ["-O", "binary", at("guest.elf"), at("guest.bin")]);
    const names = execFileSync("nm", [at("guest.elf")], { encoding: "utf8" }).trim().split("\n").map((line) => line.split(" "));
    return { image: emptyKernel(new Uint8Array(fs.readFileSync(at("guest.bin")))), labels: new Map(names.map(([address, , name]) => [name, Number.parseInt(address, 16)])) };
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}
export function assembleFile(name: string): Guest {
  return assemble(fs.readFileSync(path.join(import.meta.dirname, "guests", name), "utf8"));
}
