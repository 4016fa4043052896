/**
 * `margay debug [--script FILE] [--batch] boot|run …`: the machine and a gdb that knows it, in one terminal. The machine's socket and gdb's
 * script lie in a folder of their own, which goes with it. gdb has the terminal: Ctrl-C is its business, and its end is ours.
 */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Options } from "yargs";
import { UserError } from "./errors.ts";
import type { DebugServer } from "./gdb.ts";

export const debugOptions: Readonly<Record<string, Options>> = {
  script: {
    describe: "commands for gdb, read when it is connected; again for more",
    type: "string",
    requiresArg: true,
    array: true,
    nargs: 1,
  },
  batch: { describe: "gdb ends behind the scripts; its exit status is ours", type: "boolean" },
  gdb: { describe: "the debugger to start (default gdb)", type: "string", requiresArg: true, nargs: 1 },
};

export interface DebugLine {
  readonly scripts: readonly string[];
  readonly batch: boolean;
  readonly program: string;
  /** What is debugged: `run --nodes 2 hello`. */
  readonly rest: readonly string[];
}

/** `debug` and its options in front of `boot` or `run`. undefined: not such a line (help, or a mistake that yargs explains). */
export function debugLine(argv: readonly string[]): DebugLine | undefined {
  if (argv[0] !== "debug") return undefined;
  const scripts: string[] = [];
  let batch = false;
  let program = "gdb";
  let i = 1;
  for (; i < argv.length && argv[i]!.startsWith("-"); i++) {
    const [name, inline] = /^--(script|gdb)(?:=(.*))?$/s.exec(argv[i]!)?.slice(1) ?? [];
    if (argv[i] === "--batch") batch = true;
    else if (name === undefined) return undefined;
    else {
      const value = inline ?? argv[++i];
      if (value === undefined) throw new UserError(`bad --${name}`, "no value", `give --${name} FILE`);
      if (name === "gdb") program = value;
      else scripts.push(value);
    }
  }
  if (argv[i] !== "boot" && argv[i] !== "run") {
    if (argv.some((a) => a === "--help" || a === "-h")) return undefined;
    throw new UserError("debug", argv[i] ?? "nothing to debug", "give boot or run: margay debug run hello");
  }
  for (const file of scripts) {
    if (fs.statSync(file, { throwIfNoEntry: false })?.isFile() !== true)
      throw new UserError("bad --script", `${file}: no such file`, "give a file of gdb commands");
  }
  return { scripts, batch, program, rest: argv.slice(i) };
}

/** gdb as a child that has the terminal. */
export class Gdb {
  readonly folder = fs.mkdtempSync(path.join(os.tmpdir(), "margay-debug-"));
  private child: ChildProcess | undefined;
  private ended: Promise<void> = Promise.resolve();
  /** Exit status; undefined: it lives, or was never started. */
  status: number | undefined;

  constructor(private readonly line: DebugLine) {}

  get socket(): string {
    return path.join(this.folder, "socket");
  }
  get alive(): boolean {
    return this.child !== undefined && this.status === undefined;
  }

  /** `ended` is told once. */
  start(server: DebugServer, ended: () => void): void {
    const { scripts, batch, program } = this.line;
    const args = ["-q", ...(batch ? ["-batch"] : []), "-x", server.script, ...scripts.flatMap((file) => ["-x", file])];
    const child = spawn(program, args, { stdio: "inherit" });
    this.child = child;
    this.ended = new Promise((resolve) => {
      const end = (status: number): void => {
        if (this.status !== undefined) return;
        this.status = status;
        resolve();
        ended();
      };
      child.once("error", (error) => {
        const code = (error as NodeJS.ErrnoException).code;
        process.stderr.write(
          `margay: ${program}: ${code === "ENOENT" ? "not found: install gdb, or give another by --gdb" : code}\n`,
        );
        end(127);
      });
      child.once("exit", (code, signal) =>
        end(code ?? (signal === null ? 1 : 128 + (os.constants.signals[signal] ?? 0))),
      );
    });
  }

  /** The machine has ended: an interactive gdb stays until its user leaves. */
  async wait(): Promise<void> {
    await this.ended;
  }

  /** Nothing is left. */
  remove(): void {
    if (this.alive) this.child!.kill("SIGKILL");
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
