/**
 * `--gdb-job PORT|SOCKET`: gdb for the job's processes, while the machine runs on. The kernels are asked before the job
 * is loaded; each rank stops before the first instruction of its program, and then the debugger may connect (with
 * `--no-wait` the ranks run at once). Requests of the debugger travel over the management network; only the job's
 * threads stop, never the machine.
 */
import path from "node:path";
import { DebugOperation, DebugReason } from "../abi/jobdebug.ts";
import { loadedImage } from "../gdb/image.ts";
import { JobTarget } from "../gdb/job.ts";
import { Stub } from "../gdb/stub.ts";
import type { Address, Transport } from "../gdb/transport.ts";
import type { Machine, RunOptions, RunReason } from "../machine/machine.ts";
import { JobDebugLink, MANAGEMENT_LATENCY_NS } from "../service/jobdebug.ts";
import type { TraceSink } from "../trace/sink.ts";
import { UserError } from "./errors.ts";
import { readInput } from "./files.ts";
import { type Driver, listenFor, parseAddress } from "./gdb.ts";
import { gdbScript, ScriptFile } from "./gdbscript.ts";
import { printError } from "./output.ts";
import type { Texts } from "./parse.ts";

/** The service node's first job. */
const JOB = 1;

export class JobDebugServer implements Driver {
  readonly hasTerminal = false;
  private transport!: Transport;
  private target!: JobTarget;
  private stub: Stub | undefined;
  private machine!: Machine;
  private link!: JobDebugLink;
  private resume: (() => void) | undefined;
  private isEnded = false;
  private interrupted = false;
  /** Bytes from a debugger that connected before the ranks stopped. */
  private early: Uint8Array[] = [];
  private isConnected = false;
  private failure: { readonly error: unknown } | undefined;
  private script: ScriptFile | undefined;

  private constructor(
    private readonly file: string,
    /** By rank. */
    private readonly nids: readonly number[],
    private readonly wait: boolean,
    private readonly workingDirectory: string,
  ) {}

  static async open(
    address: Address,
    file: string,
    nids: readonly number[],
    wait: boolean,
    workingDirectory: string,
  ): Promise<JobDebugServer> {
    const server = new JobDebugServer(path.resolve(file), nids, wait, workingDirectory);
    server.transport = await listenFor("--gdb-job", address, {
      connected: () => {
        server.isConnected = true;
        server.event((stub) => stub.connected());
      },
      received: (bytes) => {
        if (server.stub === undefined) server.early.push(bytes);
        server.event((stub) => stub.receive(bytes));
      },
      closed: () => {
        server.isConnected = false;
        server.early = [];
        server.event((stub) => stub.disconnected());
      },
    });
    return server;
  }

  /** A message from a node's mailbox. */
  mail(nid: number, message: Uint8Array, time: number): void {
    this.link.receive(nid, message, time);
  }
  sink(base: TraceSink): TraceSink {
    return base;
  }
  start(machine: Machine): void {
    this.machine = machine;
    this.link = new JobDebugLink((nid, message) =>
      machine.node(nid)!.mailAt(machine.time + MANAGEMENT_LATENCY_NS, message),
    );
    this.target = new JobTarget({
      machine,
      link: this.link,
      jobId: JOB,
      nids: this.nids,
      files: [loadedImage(this.file, readInput("program", this.file, ""))],
      name: path.basename(this.file),
      workingDirectory: this.workingDirectory,
    });
    // Sent before the kernels boot: the mailboxes hold the requests until then.
    for (const [rank, nid] of this.nids.entries())
      this.link.request(nid, { jobId: JOB, rank, operation: DebugOperation.ATTACH, count: 1 });
    // The job kernels have no watchpoints: gdb single-steps and compares.
    const settings = ["set can-use-hw-watchpoints 0"];
    this.script = ScriptFile.write(
      this.transport,
      gdbScript(this.transport.name, [this.file], this.target.nids, settings),
    );
  }
  /** Done later, when the ranks have stopped. */
  invite(): void {}
  get standing(): boolean {
    return this.stub !== undefined && !this.stub.running;
  }
  get ended(): boolean {
    return this.isEnded;
  }

  async advance(budget: number, options: RunOptions): Promise<RunReason> {
    if (this.failure !== undefined) throw this.failure.error;
    if (this.isEnded) return "stopped";
    if (this.stub === undefined) return this.load(budget, options);
    if (this.stub.running) {
      this.target.runOptions = options;
      return this.stub.advance(budget) === "end" ? this.target.reason : "slice";
    }
    // The job is stopped and the machine runs on, until it is idle.
    const reason = this.machine.runSlice(budget, options);
    if (reason !== "idle") return reason;
    await new Promise<void>((resolve) => {
      this.resume = resolve;
    });
    return this.isEnded ? "stopped" : "slice";
  }

  interrupt(): void {
    this.interrupted = true;
    this.wake();
  }

  /** Tells the debugger that the run ended with `status` and disconnects it. */
  async close(status: number): Promise<number> {
    this.stub?.finished(status);
    if (this.stub?.attached === true && !this.interrupted && !this.isEnded) {
      printError("margay: the job is over: waiting for gdb to leave\n");
      const stop = (): void => this.interrupt();
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, stop);
      while (this.stub.attached && !this.isEnded && !this.interrupted) {
        await new Promise<void>((resolve) => {
          this.resume = resolve;
        });
      }
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, stop);
    }
    await this.transport.close();
    this.remove();
    return status;
  }
  remove(): void {
    this.transport.remove();
    this.script?.remove();
  }

  /** Runs until every rank has stopped before its program, or the load has ended otherwise. */
  private load(budget: number, options: RunOptions): RunReason {
    const { events } = this.link;
    const stand = (): boolean =>
      this.nids.every((_, rank) =>
        events.some((e) => e.kind === "stopped" && e.rank === rank && e.reason === DebugReason.START),
      );
    const reason = this.machine.runSlice(budget, {
      ...options,
      until: (machine) => stand() || options.until?.(machine) === true,
    });
    if (!stand()) return reason;
    events.length = 0;
    this.target.begin();
    if (!this.wait) this.target.release();
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
    // A debugger may already be connected and waiting.
    if (this.isConnected) this.stub.connected();
    for (const bytes of this.early) this.stub.receive(bytes);
    printError(`margay: ${this.wait ? "the job waits for gdb" : "gdb may connect"}: gdb -x ${this.script!.path}\n`);
    return "slice";
  }

  private wake(): void {
    this.resume?.();
    this.resume = undefined;
  }
  /**
   * Handles input of the socket. An internal error ends the run as such, and not as an uncaught exception. Until the
   * ranks have stopped, input is kept.
   */
  private event(act: (stub: Stub) => void): void {
    try {
      if (this.stub !== undefined) act(this.stub);
    } catch (error) {
      this.failure ??= { error };
    }
    this.wake();
  }
}

/** The server for `--gdb-job`. `files`: the job's programs, for their symbols. */
export async function openJobDebugger(
  o: Texts,
  files: readonly (string | undefined)[],
  nids: readonly number[],
  workingDirectory: string,
): Promise<JobDebugServer | undefined> {
  const address = o["gdb-job"];
  if (address === undefined) return undefined;
  const [file] = files;
  if (files.some((other) => other !== file))
    throw new UserError("bad --gdb-job", "--map with several programs", "give one program for all ranks, or --gdb");
  if (file === undefined)
    throw new UserError(
      "bad --gdb-job",
      "the program cannot be read from here",
      "give a built-in job or a path inside --root",
    );
  return JobDebugServer.open(
    parseAddress(address, "--gdb-job"),
    file,
    nids,
    o["no-wait"] === undefined,
    workingDirectory,
  );
}
