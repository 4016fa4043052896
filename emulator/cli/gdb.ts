/**
 * `--gdb PORT|SOCKET`: the machine is driven by a debugger's wishes. The server listens before anything starts, so that a bad address is
 * refused; the machine waits for the first debugger unless `--no-wait`. While it runs, the socket costs nothing: bytes are looked at
 * between slices.
 */
import path from "node:path";
import { loadedImage } from "../gdb/image.ts";
import { MachineTarget } from "../gdb/machine.ts";
import { Stub } from "../gdb/stub.ts";
import { type Address, Transport } from "../gdb/transport.ts";
import { RunControl } from "../machine/control.ts";
import type { Machine, RunOptions, RunReason } from "../machine/machine.ts";
import { UserError } from "./errors.ts";
import { readInput, type Texts } from "./inputs.ts";
import { packageRoot } from "./package.ts";

/** What moves a session's machine instead of `runSlice` alone. */
export interface Driver {
  start(machine: Machine): void;
  advance(budget: number, options: RunOptions): Promise<RunReason>;
  /** A signal came: nobody waits any longer. */
  wake(): void;
  /** It stands and waits for its debugger. */
  readonly standing: boolean;
  /** Ended by the debugger. */
  readonly ended: boolean;
}

export function parseAddress(text: string): Address {
  if (/^:?\d+$/.test(text)) {
    const port = Number(text.replace(":", ""));
    if (port <= 65535) return { port };
  } else if (text.includes("/")) {
    // The length of sun_path.
    if (Buffer.byteLength(text) < 108) return { path: path.resolve(text) };
    throw new UserError("bad --gdb", `'${text}'`, "the path of a socket has at most 107 bytes");
  }
  throw new UserError("bad --gdb", `'${text}'`, "give a TCP port (1234) or the path of a socket with a slash (/tmp/gdb.sock)");
}

const reasons: Readonly<Record<string, string>> = {
  EADDRINUSE: "is in use",
  EACCES: "permission denied",
  ENOENT: "no such directory",
  ENOTDIR: "a part of the path is no directory",
};

/** Quotes for a line that a shell reads. */
const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

export class DebugServer implements Driver {
  private transport!: Transport;
  private stub!: Stub;
  private target!: MachineTarget;
  private resume: (() => void) | undefined;
  private isEnded = false;

  private constructor(
    private readonly wait: boolean,
    private readonly files: readonly string[],
  ) {}

  /** `files`: images that gdb should know, the kernel first. Refuses what cannot be listened on. */
  static async open(address: Address, wait: boolean, files: readonly string[]): Promise<DebugServer> {
    const server = new DebugServer(wait, files);
    try {
      server.transport = await Transport.listen(address, {
        connected: () => {
          server.stub.connected();
          server.wake();
        },
        received: (bytes) => {
          server.stub.receive(bytes);
          server.wake();
        },
        closed: () => {
          server.stub.disconnected();
          server.wake();
        },
      });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "error";
      const where = "port" in address ? `port ${address.port}` : address.path;
      throw new UserError("bad --gdb", `${where}: ${reasons[code] ?? code}`, "give another port or path");
    }
    return server;
  }

  start(machine: Machine): void {
    const images = this.files.map((file) => loadedImage(path.resolve(file), readInput("image", file, "")));
    this.target = new MachineTarget({
      control: new RunControl(machine),
      images,
      monitor: () => "",
      describe: () => "",
      tasks: () => [],
    });
    this.stub = new Stub(
      this.target,
      {
        send: (bytes) => this.transport.send(bytes),
        kill: () => {
          this.isEnded = true;
          this.wake();
        },
      },
      !this.wait,
    );
  }

  /** Where gdb finds it, as its `target remote` takes it. */
  get name(): string {
    return this.transport.name;
  }
  /** What to type. */
  get invitation(): string {
    const commands = ["set sysroot", `directory ${packageRoot}`, "set schedule-multiple on", `target remote ${this.name}`];
    return `gdb ${commands.map((c) => `-ex ${quoted(c)}`).join(" ")} ${quoted(this.files[0]!)}`;
  }
  /** One line for stderr when the machine stands. */
  get greeting(): string {
    return `margay: ${this.wait ? "waiting for gdb" : "gdb may come"}: ${this.invitation}`;
  }
  get standing(): boolean {
    return !this.stub.running;
  }
  get ended(): boolean {
    return this.isEnded;
  }

  async advance(budget: number, options: RunOptions): Promise<RunReason> {
    if (this.isEnded) return "stopped";
    if (!this.stub.running) {
      await new Promise<void>((resolve) => {
        this.resume = resolve;
      });
      return this.isEnded ? "stopped" : "slice";
    }
    this.target.runOptions = options;
    return this.stub.advance(budget) === "end" ? this.target.reason : "slice";
  }

  wake(): void {
    this.resume?.();
    this.resume = undefined;
  }

  /** The debugger is told how the run ended, and let go. */
  async close(status?: number): Promise<void> {
    if (status !== undefined) this.stub?.finished(status);
    await this.transport.close();
  }
  /** As `close`, at once and whatever has happened. */
  remove(): void {
    this.transport.remove();
  }
}

/** The server that `--gdb` asks for. */
export async function openDebugger(o: Texts, files: readonly string[]): Promise<DebugServer | undefined> {
  const address = o["gdb"];
  if (address === undefined) {
    if (o["no-wait"] !== undefined) throw new UserError("bad --no-wait", "without --gdb", "give --gdb PORT too");
    return undefined;
  }
  return DebugServer.open(parseAddress(address), o["no-wait"] === undefined, files);
}
