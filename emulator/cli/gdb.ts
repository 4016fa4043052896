/**
 * `--gdb PORT|SOCKET`: a debugger drives the machine. The server listens before anything starts, so that a bad address
 * is refused; the machine waits for the first debugger unless `--no-wait` is given. While the machine runs, the socket
 * costs nothing: bytes are read between slices.
 */
import fs from "node:fs";
import path from "node:path";
import { loadedImage } from "../gdb/image.ts";
import { KernelView } from "../gdb/kernel.ts";
import { MachineTarget } from "../gdb/machine.ts";
import { monitor } from "../gdb/monitor/monitor.ts";
import { LiveTrace, TRACED_BUDGET } from "../gdb/monitor/trace.ts";
import { Stub } from "../gdb/stub.ts";
import { type Address, type Peer, Transport } from "../gdb/transport.ts";
import { RunControl } from "../machine/control.ts";
import type { Machine, RunOptions, RunReason } from "../machine/machine.ts";
import type { TraceSink } from "../trace/sink.ts";
import { Symboliser } from "../trace/symbolise.ts";
import { type DebugLine, Gdb } from "./debug.ts";
import { codeOf, reasonOf, UserError } from "./errors.ts";
import { readInput } from "./files.ts";
import { gdbScript, readHooks, ScriptFile } from "./gdbscript.ts";
import { printError } from "./output.ts";
import type { Texts } from "./parse.ts";
import { interruptions } from "./signals.ts";

/** Drives a session's machine in place of plain `runSlice`. */
export interface Driver {
  /** Wraps the session's trace sink. */
  sink(base: TraceSink): TraceSink;
  start(machine: Machine): void;
  /** The machine exists and signal handlers are installed: the debugger may connect. */
  invite(): void;
  advance(budget: number, options: RunOptions): Promise<RunReason>;
  /** A signal arrived: stop waiting. */
  interrupt(): void;
  /** The machine is stopped and waits for its debugger. */
  readonly standing: boolean;
  /** Ended by the debugger. */
  readonly ended: boolean;
  /** A node has sent a message into the management network. */
  mail?(nid: number, message: Uint8Array, time: number): void;
  /** Tells the debugger that the run ended with `status` and disconnects it. Returns the command's exit status. */
  close(status: number): Promise<number>;
  /** Removes everything at once, in any state. */
  remove(): void;
  /** A debugger that the command started owns the terminal. */
  readonly hasTerminal: boolean;
}

export interface DebugSettings {
  /** false: start at once; a debugger may connect later. */
  readonly wait: boolean;
  /** Images whose symbols gdb should load: the kernel first, then those in the jobs' address spaces. */
  readonly files: readonly string[];
  /** The job's program; empty: none. */
  readonly program: string;
}

export function parseAddress(text: string, option = "--gdb"): Address {
  if (/^:?\d+$/.test(text)) {
    const port = Number(text.replace(":", ""));
    if (port <= 65535) return { port };
  } else if (text.includes("/")) {
    // sun_path holds 108 bytes with the final NUL.
    if (Buffer.byteLength(path.resolve(text)) < 108) return { path: path.resolve(text) };
    throw new UserError(`bad ${option}`, `'${text}'`, "the path of a socket has at most 107 bytes");
  }
  throw new UserError(
    `bad ${option}`,
    `'${text}'`,
    "give a TCP port (1234) or the path of a socket with a slash (/tmp/gdb.sock)",
  );
}

/** Throws UserError for `option` if it is not possible to listen on `address`. */
export async function listenFor(option: string, address: Address, peer: Peer): Promise<Transport> {
  try {
    // Node reports EACCES if the directory does not exist.
    if ("path" in address) fs.accessSync(path.dirname(address.path));
    return await Transport.listen(address, peer);
  } catch (error) {
    const where = "port" in address ? `port ${address.port}` : address.path;
    const why = codeOf(error) === "ENOENT" ? "no such directory" : reasonOf(error);
    throw new UserError(`bad ${option}`, `${where}: ${why}`, "give another port or path");
  }
}

export class DebugServer implements Driver {
  private transport!: Transport;
  private stub!: Stub;
  private target!: MachineTarget;
  private live!: LiveTrace;
  private resume: (() => void) | undefined;
  private isEnded = false;
  /** By a command of the debugger. */
  private isKilled = false;
  private interrupted = false;
  private failure: { readonly error: unknown } | undefined;
  private scriptFile: ScriptFile | undefined;
  private knownSymbols: Symboliser | undefined;
  private readonly images: readonly { readonly path: string; readonly bytes: Uint8Array }[];

  private constructor(
    private readonly settings: DebugSettings,
    private readonly gdb?: Gdb,
  ) {
    this.images = settings.files.map((file) => ({ path: path.resolve(file), bytes: readInput("image", file, "") }));
    this.live = new LiveTrace((address) => this.symboliser().nameOf(address));
  }

  /** @throws UserError if it is not possible to listen on `address` */
  static async open(address: Address, settings: DebugSettings, gdb?: Gdb): Promise<DebugServer> {
    const server = new DebugServer(settings, gdb);
    server.transport = await listenFor("--gdb", address, {
      connected: () => server.event(() => server.stub.connected()),
      received: (bytes) => server.event(() => server.stub.receive(bytes)),
      closed: () => server.event(() => server.stub.disconnected()),
    });
    return server;
  }

  sink(base: TraceSink): TraceSink {
    return this.live.sink(base);
  }
  private symboliser(): Symboliser {
    this.knownSymbols ??= new Symboliser(this.images.map((image) => image.bytes));
    return this.knownSymbols;
  }

  start(machine: Machine): void {
    const control = new RunControl(machine);
    const view = new KernelView(control, this.images[0]!.bytes, () => this.symboliser(), this.settings.program);
    this.live.attach(machine);
    this.target = new MachineTarget({
      control,
      images: this.images.map((image) => loadedImage(image.path, image.bytes)),
      monitor: (id, command, points) => monitor(command, id, view, points, this.live),
      describe: (id) => view.describe(id),
      tasks: (nid) => view.tasks(nid),
    });
    this.stub = new Stub(
      this.target,
      {
        send: (bytes) => this.transport.send(bytes),
        kill: () => {
          this.isKilled = true;
          this.isEnded = true;
          this.wake();
        },
      },
      !this.settings.wait,
    );
    this.scriptFile = ScriptFile.write(
      this.transport,
      gdbScript(this.name, this.settings.files, this.target.nids, readHooks),
    );
  }

  /** The address in the form that gdb's `target remote` takes. */
  get name(): string {
    return this.transport.name;
  }
  /** Path of the script for `gdb -x`. */
  get script(): string {
    return this.scriptFile!.path;
  }
  /** Starts gdb, or prints how to start it. */
  invite(): void {
    if (this.gdb === undefined) {
      printError(`margay: ${this.settings.wait ? "waiting for gdb" : "gdb may connect"}: gdb -x ${this.script}\n`);
      return;
    }
    // If gdb detached, the machine runs to its end. If it is stopped, it ends with gdb, because nothing else can resume
    // it.
    this.gdb.start(this, () => {
      this.isEnded ||= !this.stub.running;
      this.wake();
    });
  }
  get hasTerminal(): boolean {
    return this.gdb?.alive === true;
  }
  get standing(): boolean {
    return !this.stub.running;
  }
  get ended(): boolean {
    return this.isEnded;
  }

  async advance(budget: number, options: RunOptions): Promise<RunReason> {
    if (this.failure !== undefined) throw this.failure.error;
    if (this.isEnded) return "stopped";
    if (!this.stub.running) {
      await new Promise<void>((resolve) => {
        this.resume = resolve;
      });
      return this.isEnded ? "stopped" : "slice";
    }
    this.target.runOptions = options;
    const outcome = this.stub.advance(this.live.list === undefined ? budget : TRACED_BUDGET, () => this.live.lines());
    return outcome === "end" ? this.target.reason : "slice";
  }

  interrupt(): void {
    this.interrupted = true;
    this.wake();
  }
  private wake(): void {
    this.resume?.();
    this.resume = undefined;
  }

  /**
   * Tells the debugger that the run ended with `status` and disconnects it. Returns the command's exit status, or gdb's
   * if gdb failed or ended the machine.
   */
  async close(status: number): Promise<number> {
    const wasRunning = !this.isEnded;
    if (wasRunning) {
      this.stub.finished(status);
      if (this.stub.attached && !this.interrupted) await this.left();
    } else await this.transport.close();
    // gdb has the terminal, and its script may go on, also after it has killed the machine.
    if (!this.interrupted) await this.gdb?.wait();
    if (wasRunning) await this.transport.close();
    this.remove();
    const own = this.gdb?.status;
    return own !== undefined && !this.isKilled && (this.isEnded || own !== 0) ? own : status;
  }
  /** Removes everything at once, in any state. */
  remove(): void {
    this.transport.remove();
    this.gdb?.remove();
    this.scriptFile?.remove();
  }

  /** After its end the machine can be inspected until the debugger leaves or a signal arrives. */
  private async left(): Promise<void> {
    if (this.gdb === undefined) printError("margay: the run is over: waiting for gdb to leave\n");
    const stop = (signal: NodeJS.Signals): void => {
      if (signal !== "SIGINT" || !this.hasTerminal) this.interrupt();
    };
    for (const signal of interruptions) process.on(signal, stop);
    while (this.stub.attached && !this.isEnded && !this.interrupted) {
      await new Promise<void>((resolve) => {
        this.resume = resolve;
      });
    }
    for (const signal of interruptions) process.off(signal, stop);
  }

  /** Handles input of the socket. An internal error ends the run as such, and not as an uncaught exception. */
  private event(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.failure ??= { error };
    }
    this.wake();
  }
}

/** The server for `--gdb` or `margay debug`. */
export async function openDebugger(
  o: Texts,
  files: readonly string[],
  program: string,
  debug?: DebugLine,
): Promise<DebugServer | undefined> {
  const address = o["gdb"];
  if (o["gdb-job"] !== undefined && (address !== undefined || debug !== undefined))
    throw new UserError(
      "bad --gdb-job",
      "with a debugger of the machine",
      "debug the machine or the job: give one of them",
    );
  if (debug !== undefined) {
    if (address !== undefined)
      throw new UserError("bad --gdb", "under margay debug", "leave it out: gdb is started here");
    const gdb = new Gdb(debug);
    try {
      return await DebugServer.open({ path: gdb.socket }, { wait: true, files, program }, gdb);
    } catch (error) {
      gdb.remove();
      throw error;
    }
  }
  if (address === undefined) {
    if (o["no-wait"] !== undefined && o["gdb-job"] === undefined)
      throw new UserError("bad --no-wait", "without --gdb", "give --gdb PORT or --gdb-job PORT too");
    return undefined;
  }
  return DebugServer.open(parseAddress(address), { wait: o["no-wait"] === undefined, files, program });
}
