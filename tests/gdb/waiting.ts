/** A command that waits for debuggers, and gdbs that connect to it. */
import { type ChildProcess, spawn } from "node:child_process";
import { packageRoot } from "../system/command.ts";

/** `margay run` with a socket for debuggers; `gdb` starts them one after the other. */
export class Command {
  stderr = "";
  stdout = "";
  status: number | null = null;
  private readonly child: ChildProcess;
  private readonly ended: Promise<void>;
  /** It waits for a debugger. */
  readonly invited: Promise<void>;

  constructor(
    readonly socket: string,
    option: "--gdb" | "--gdb-job",
    args: readonly string[],
  ) {
    const child = spawn(process.execPath, ["dist/margay.js", "run", option, this.socket, ...args], {
      cwd: packageRoot,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.child = child;
    child.stdout.setEncoding("utf8").on("data", (piece: string) => (this.stdout += piece));
    this.invited = new Promise((resolve) => {
      child.stderr.setEncoding("utf8").on("data", (piece: string) => {
        this.stderr += piece;
        if (this.stderr.includes("gdb -x")) resolve();
      });
    });
    this.ended = new Promise((resolve) => {
      child.once("close", (status) => {
        this.status = status;
        resolve();
      });
    });
  }

  /** Returns what gdb prints. With `killAt` gdb is killed as soon as it has printed that text. */
  gdb(commands: readonly string[], killAt?: string): Promise<string> {
    const all = ["set confirm off", "set width 0", "set height 0", ...commands];
    const args = ["-q", "-nx", "-batch", "-x", `${this.socket}.gdb`, ...all.flatMap((c) => ["-ex", c])];
    return this.debugger("gdb", args, killAt);
  }
  async debugger(program: string, args: readonly string[], killAt?: string): Promise<string> {
    await this.invited;
    const child = spawn(program, args, { cwd: packageRoot, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
        if (killAt !== undefined && text.includes(killAt)) child.kill("SIGKILL");
      });
    await new Promise((resolve) => child.once("close", resolve));
    return text;
  }
  async end(signal?: NodeJS.Signals): Promise<void> {
    if (signal !== undefined) this.child.kill(signal);
    await this.ended;
  }
}
