/**
 * Test programs, compiled by the built compiler (dist/toolchain.js) and cached in images/out/tests under a hash of
 * everything that decides their bytes: compiler, options, sources. So a test process does not load the compiler or
 * compile anything unchanged.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { hashOfImage } from "../images/sources.ts";

const packageRoot = path.resolve(import.meta.dirname, "..");
const folder = path.join(packageRoot, "images/out/tests");
const compiler = path.join(packageRoot, "dist/toolchain.js");

export interface TestImage {
  /** Source files, absolute paths. */
  readonly roots: readonly string[];
  readonly kind: "kernel" | "program";
  readonly entry: string;
  readonly address: bigint;
}
/** A program that starts at `_start`, at the address of Linux's static programs. */
export const program = (root: string): TestImage => ({
  roots: [root],
  kind: "program",
  entry: "_start",
  address: 0x40_0000n,
});

/** Path of the compiled image. Throws with the diagnostics if it does not compile. */
export function compiledFile({ roots, kind, entry, address }: TestImage): string {
  const hash = hashOfImage(packageRoot, roots, { kind, entry, address });
  const name = `${path.basename(roots.at(-1)!, ".ts")}-${hash.slice(0, 20)}.elf`;
  const file = path.join(folder, name);
  if (fs.existsSync(file)) return file;
  fs.mkdirSync(folder, { recursive: true });
  // Several test processes may build the same image: each writes its own file, and the rename is atomic.
  const own = `${file}.${process.pid}`;
  const options = ["--kind", kind, "--entry", entry, "--address", `0x${address.toString(16)}`, "-o", own];
  const { status, stderr } = spawnSync(process.execPath, [compiler, "compile", ...options, ...roots], {
    cwd: packageRoot,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`${roots.join(", ")} does not compile:\n${stderr}`);
  fs.renameSync(own, file);
  return file;
}
export const compiled = (image: TestImage): Uint8Array => fs.readFileSync(compiledFile(image));
