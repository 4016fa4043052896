/**
 * Conformance: the same static C program runs on Linux and on Margay, each in a directory of its own, and must print
 * the same lines. On Linux it runs without privileges, as a job does.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packageRoot, temporaryFolder } from "../system/command.ts";
import { Bench } from "../system/jobs.ts";

export const sources = path.join(packageRoot, "tests/linux");
/** nobody, nogroup. */
const NOBODY = 65_534;
/** Where the program runs, in its root. */
const WORK = "work";

export class Conformance {
  readonly folder = temporaryFolder();
  private readonly native = path.join(this.folder, "native");
  private readonly root = path.join(this.folder, "root");
  private bench: Bench | undefined;

  constructor() {
    fs.chmodSync(this.folder, 0o755);
    for (const root of [this.native, this.root]) fs.mkdirSync(path.join(root, WORK), { recursive: true });
  }
  /** Compiles tests/linux/NAME.c into both roots; the compiler's complaint if it does not. */
  compile(compiler: string, name: string): string | null {
    const source = path.join(sources, `${name}.c`);
    const to = path.join(this.native, name);
    const r = spawnSync(compiler, ["-static", "-pthread", "-O1", "-w", "-o", to, source], { encoding: "utf8" });
    if (r.status !== 0) return r.error?.message ?? r.stderr.trim();
    this.put(name, fs.readFileSync(to));
    return null;
  }
  /** An executable in both roots. */
  put(name: string, bytes: Uint8Array): void {
    for (const root of [this.native, this.root]) fs.writeFileSync(path.join(root, name), bytes, { mode: 0o755 });
  }

  /** Where the program has run. */
  work(system: "linux" | "margay"): string {
    return path.join(system === "linux" ? this.native : this.root, WORK);
  }
  private emptied(root: string): string {
    const work = path.join(root, WORK);
    // The directory itself stays: the machine has it open.
    for (const name of fs.readdirSync(work)) fs.rmSync(path.join(work, name), { recursive: true, force: true });
    return work;
  }
  /** stdout of /NAME with these arguments on Linux. */
  onLinux(name: string, args: readonly string[] = [], keep = false): string {
    const cwd = keep ? path.join(this.native, WORK) : this.emptied(this.native);
    const isRoot = process.getuid!() === 0;
    if (isRoot) fs.chownSync(cwd, NOBODY, NOBODY);
    const r = spawnSync(path.join(this.native, name), args, {
      argv0: `/${name}`,
      cwd,
      encoding: "utf8",
      env: {},
      ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
    });
    if (r.error !== undefined) throw r.error;
    if (r.signal !== null) throw new Error(`${name} on Linux: ${r.signal}\n${r.stdout}`);
    return r.stdout;
  }
  /** The same on Margay, all on one machine. */
  onMargay(name: string, args: readonly string[] = [], keep = false): string {
    if (!keep) this.emptied(this.root);
    this.bench ??= new Bench({
      nodes: 1,
      cores: 2,
      root: this.root,
      workingDirectory: `/${WORK}`,
      traced: false,
    }).boot();
    const { result, stdout } = this.bench.run({ program: `/${name}`, args });
    if (result.kind !== "exited") throw new Error(`${name}: ${JSON.stringify(result)}\n${this.bench.console}`);
    return stdout;
  }
  close(): void {
    this.bench?.close();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
export const lines = (text: string): string[] => text.split("\n");

/**
 * Declares the tests of some families: each program, compiled with glibc and with musl, prints the same lines on Linux
 * and on Margay. The numbers: with fewer lines a program has not reached its end.
 */
export function compareFamilies(families: Readonly<Record<string, number>>): void {
  const c = new Conformance();
  afterAll(() => c.close());
  describe.each(["gcc", "musl-gcc"])("%s -static", (compiler) => {
    it.each(Object.entries(families))(
      "%s: the same lines on Linux and on Margay",
      { timeout: 120_000 },
      (name, least) => {
        const problem = c.compile(compiler, name);
        if (problem !== null) {
          console.log(`tests/linux/${name} with ${compiler} skipped: ${problem}`);
          return;
        }
        const expected = lines(c.onLinux(name));
        expect(expected.length).toBeGreaterThan(least);
        expect(lines(c.onMargay(name))).toEqual(expected);
      },
    );
  });
}
