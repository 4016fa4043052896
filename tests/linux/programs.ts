/**
 * Real programs on Linux and on Margay: each runs in the same directory of the host on both, and must print the same
 * and end with the same status. A program that needs what is not installed is skipped, and its name is printed.
 */
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "../system/command.ts";
import { Bench } from "../system/jobs.ts";

const CORES = 4;
export interface Built {
  readonly compiler: string;
  readonly flags?: readonly string[];
  readonly source: string;
}
export interface Program {
  readonly name: string;
  /** Path and arguments; relative paths are in the directory that the program runs in. */
  readonly argv: readonly string[];
  readonly env?: readonly string[];
  /** Run afterwards in the same directory. */
  readonly then?: readonly string[];
  /** Compiled before, by file name. */
  readonly build?: Readonly<Record<string, Built>>;
  /** Text files that it needs. */
  readonly files?: Readonly<Record<string, string>>;
  /** Shell commands that build the rest from `files`. */
  readonly make?: readonly string[];
  /** What has to be installed besides: commands, or files by their whole path. */
  readonly needs?: readonly string[];
}
/** Debian's. With -B it writes no byte code beside its modules, since the root is the host's. */
export const PYTHON = "/usr/bin/python3";

/** Declares a test for each program. */
export function comparePrograms(programs: readonly Program[]): void {
  const both = new BothSystems();
  afterAll(() => both.close());
  describe("prints and ends on Margay as on Linux:", () => {
    for (const program of programs) {
      const absent = missing(program);
      if (absent.length > 0) console.log(`tests/linux: ${program.name} skipped: no ${absent.join(", ")}`);
      it.skipIf(absent.length > 0)(program.name, { timeout: 120_000 }, () => {
        const commands = [program.argv, ...(program.then === undefined ? [] : [program.then])];
        const env = program.env ?? [];
        both.build(program);
        both.prepare();
        const linux = commands.map(([file, ...args]) => both.onLinux(file!, args, env));
        // What the native run has left behind is not there for the other one.
        both.prepare();
        const margay = commands.map(([file, ...args]) => both.onMargay(file!, args, env));
        expect(margay).toEqual(linux);
      });
    }
  });
}

/** Names of what a program needs and this host has not. */
function missing({ argv, build = {}, needs = [] }: Program): string[] {
  const wanted = [
    ...Object.values(build).map((b) => b.compiler),
    ...(argv[0]!.startsWith("/") ? [argv[0]!] : []),
    ...needs,
  ];
  return wanted.filter((name) =>
    name.startsWith("/") ? !fs.existsSync(name) : spawnSync("sh", ["-c", 'command -v "$0"', name]).status !== 0,
  );
}

interface Outcome {
  readonly stdout: string;
  /** As wait(2) has it. */
  readonly status: number;
}
class BothSystems {
  private readonly folder = temporaryFolder();
  private readonly built = path.join(this.folder, "built");
  /** Where programs run; the machine has it open. */
  private readonly work = path.join(this.folder, "work");
  private bench: Bench | undefined;

  constructor() {
    fs.chmodSync(this.folder, 0o755);
    fs.mkdirSync(this.work);
  }
  build({ build = {}, files = {}, make = [] }: Program): void {
    fs.rmSync(this.built, { recursive: true, force: true });
    fs.mkdirSync(this.built);
    for (const [name, text] of Object.entries(files))
      fs.writeFileSync(path.join(this.built, name), text, { mode: 0o755 });
    for (const [name, { compiler, flags = [], source }] of Object.entries(build))
      this.command(compiler, ["-O1", "-o", name, ...flags, "-"], source);
    for (const line of make) this.command("sh", ["-c", line]);
  }
  private command(file: string, args: readonly string[], input = ""): void {
    const r = spawnSync(file, args, { cwd: this.built, encoding: "utf8", input });
    if (r.error !== undefined) throw r.error;
    if (r.status !== 0) throw new Error(`${[file, ...args].join(" ")}: ${r.stdout}${r.stderr}`);
  }
  /** The directory as it was after building. */
  prepare(): void {
    for (const name of fs.readdirSync(this.work)) fs.rmSync(path.join(this.work, name), { recursive: true });
    fs.cpSync(this.built, this.work, { recursive: true });
  }
  onLinux(file: string, args: readonly string[], env: readonly string[]): Outcome {
    const variables = Object.fromEntries(env.map((e) => e.split("=", 2) as [string, string]));
    const r = spawnSync(file, args, { cwd: this.work, encoding: "utf8", env: variables });
    if (r.error !== undefined) throw r.error;
    return { stdout: r.stdout, status: r.signal === null ? r.status! << 8 : os.constants.signals[r.signal] };
  }
  onMargay(file: string, args: readonly string[], env: readonly string[]): Outcome {
    this.bench ??= new Bench({
      nodes: 1,
      cores: CORES,
      memBytes: 512 << 20,
      root: "/",
      workingDirectory: this.work,
      traced: false,
    }).boot();
    const { result, stdout } = this.bench.run({ program: file, args, env });
    if (result.kind !== "exited") throw new Error(`${JSON.stringify(result)}\n${this.bench.console}`);
    return { stdout, status: result.waitStatus };
  }
  close(): void {
    this.bench?.close();
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
