/**
 * `margay debug [--script FILE] [--batch] boot|run …`: the machine and a gdb that knows it, in one terminal. The
 * machine's socket and gdb's script lie in a folder of their own, which goes with it. gdb has the terminal: Ctrl-C is
 * its business, and its end is ours.
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
  /** What is debugged: `run --nodes 2 hello`. */
  readonly rest: readonly string[];
}

/** `debug` with its options, in front of `boot` or `run`. @throws UserError */
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

/** gdb as a child that has the terminal. */
export class Gdb {
  readonly folder = temporaryFolder();
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
