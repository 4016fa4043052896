/** The built images, and external commands that check them. */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, it } from "vitest";
import { compile } from "../../../toolchain/compiler.ts";
import { recipes } from "../../../images/recipes.ts";
import { PROGRAM_LAYOUT } from "./samples.ts";

export const packageRoot = resolve(import.meta.dirname, "../../..");

export const run = (command: string, ...args: string[]) =>
  spawnSync(command, args, { encoding: "utf8", timeout: 60_000, maxBuffer: 1 << 28, cwd: packageRoot });

/** Describes tests that need a command, or reports why they are skipped. */
export function needs(command: string, name: string, body: () => void): void {
  if (run(command, "--version").status === 0) describe(name, body);
  else describe.skip(`${name} (skipped: no ${command} on this host)`, body);
}

/** guest/walk.ts compiled as a Linux program, written to `file`. */
export function buildWalk(file: string, optimize: boolean): void {
  const roots = [join(packageRoot, "tests/toolchain/link/guest/walk.ts")];
  const { image, diagnostics } = compile({
    name: "walk",
    roots,
    packageRoot,
    entry: "_start",
    layout: PROGRAM_LAYOUT,
    optimize,
  });
  if (image === null) throw new Error(JSON.stringify(diagnostics));
  writeFileSync(file, image.elf, { mode: 0o755 });
}

/** A test that executes what we link. */
export function onLinux(name: string, body: () => void): void {
  if (process.platform === "linux" && process.arch === "x64") it(name, body);
  else it.skip(`${name} (skipped: this host is no x86-64 Linux)`, () => {});
}

/** gdb's output after `commands`; with `warnings` also its stderr. */
export function gdb(file: string, commands: readonly string[]): { stdout: string; stderr: string } {
  const args = ["set debuginfod enabled off", "set startup-with-shell off", ...commands].flatMap((command) => [
    "-ex",
    command,
  ]);
  return run("gdb", "-q", "-batch", "-nx", ...args, file);
}

/** One test per built image with symbols: kernel.elf, init.elf, the jobs. */
export function eachImage(body: (file: string, name: string) => void): void {
  for (const { name, elf, output } of recipes) {
    const file = join(packageRoot, "images/out", elf ?? output);
    if (existsSync(file)) it(name, () => body(file, name));
    else it.skip(`${name} (skipped: not built, run \`make build\`)`, () => {});
  }
}
