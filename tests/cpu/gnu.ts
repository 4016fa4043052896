/** Guest code for these tests, by GNU as and ld: Intel syntax, cached by source. `missing` says why tests must be skipped. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const cache = new Map<string, Uint8Array>();

export function assemble(source: string, origin = 0): Uint8Array {
  const key = `${origin}\n${source}`;
  const known = cache.get(key);
  if (known) return known;
  const folder = mkdtempSync(join(tmpdir(), "margay-as-"));
  try {
    const at = (name: string): string => join(folder, name);
    writeFileSync(at("code.s"), `.intel_syntax noprefix\n.text\n${source}\n`);
    execFileSync("as", ["--64", at("code.s"), "-o", at("code.o")], { stdio: ["ignore", "ignore", "pipe"] });
    execFileSync("ld", ["-m", "elf_x86_64", `-Ttext=0x${origin.toString(16)}`, "--oformat", "binary", "-e", "0", at("code.o"), "-o", at("code.bin")], { stdio: ["ignore", "ignore", "pipe"] });
    const code = new Uint8Array(readFileSync(at("code.bin")));
    cache.set(key, code);
    return code;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const missing: string | undefined = (() => {
  try {
    execFileSync("as", ["--version"], { stdio: "ignore" });
    execFileSync("ld", ["--version"], { stdio: "ignore" });
    return undefined;
  } catch {
    return "GNU as and ld are not installed";
  }
})();
