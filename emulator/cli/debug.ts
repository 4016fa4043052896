/**
 * `margay debug [--script FILE] [--batch] boot|run …`: the machine and a gdb connected to it, in one terminal. The
 * machine's socket and gdb's script lie in a temporary folder that is removed at the end. gdb owns the terminal: it
 * handles Ctrl-C, and the command ends when gdb ends.
 */
import { type ChildProcess, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { reasonOf, UserError } from "./errors.ts";
import { openInputFile } from "./files.ts";
import { printError } from "./output.ts";
import { type Parsed, shown } from "./parse.ts";

export interface DebugLine {
  readonly scripts: readonly string[];
  readonly batch: boolean;
  readonly program: string;
  /** The command line to debug: `run --nodes 2 hello`. */
  readonly rest: readonly string[];
}

/** Parses `debug` and its options, which stand before `boot` or `run`. @throws UserError */
export function debugLine({ texts, lists, operands }: Parsed): DebugLine {
  if (operands[0] !== "boot" && operands[0] !== "run")
    throw new UserError("debug", shown(operands[0]!), "give boot or run: margay debug run hello");
  const scripts = lists["script"] ?? [];
  for (const file of scripts) fs.closeSync(openInputFile("bad --script", file, "give a file of gdb commands"));
  const program = texts["gdb"] ?? "gdb";
  if (program === "") throw new UserError("bad --gdb", "''", "give a debugger: --gdb gdb");
  return { scripts, batch: texts["batch"] !== undefined, program, rest: operands };
}

function temporaryFolder(): string {
  try {
    return fs.mkdtempSync(path.join(os.tmpdir(), "margay-debug-"));
  } catch (error) {
    throw new UserError(
      "no folder for the debugger",
      `${os.tmpdir()}: ${reasonOf(error)}`,
      "set TMPDIR to one that can be written",
    );
  }
}

/** gdb as a child process that owns the terminal. */
export class Gdb {
  readonly folder = temporaryFolder();
  private child: ChildProcess | undefined;
  private ended: Promise<void> = Promise.resolve();
  /** gdb's exit status; undefined: it runs, or was never started. */
  status: number | undefined;

  constructor(private readonly line: DebugLine) {}

  get socket(): string {
    return path.join(this.folder, "socket");
  }
  get alive(): boolean {
    return this.child !== undefined && this.status === undefined;
  }

  /** Calls `ended` once. */
  start(server: { readonly script: string }, ended: () => void): void {
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
        printError(
          `margay: ${program}: ${code === "ENOENT" ? "not found: install gdb, or give another by --gdb" : code}\n`,
        );
        end(127);
      });
      child.once("exit", (code, signal) =>
        end(code ?? (signal === null ? 1 : 128 + (os.constants.signals[signal] ?? 0))),
      );
    });
  }

  /** The machine has ended; an interactive gdb stays until its user leaves. */
  async wait(): Promise<void> {
    await this.ended;
  }

  /** Removes everything. */
  remove(): void {
    if (this.alive) this.child!.kill("SIGKILL");
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}
